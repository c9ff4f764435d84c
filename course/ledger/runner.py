"""Runs trials over their seeds and stores what comes out.

Seeds run beside each other, on this machine or over a cluster (`course.cluster`). Each finished
seed is kept in the cache until the whole run is through, so an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from course.cluster import spread
from course.ledger import registry, store
from course.ledger.claim import Trial, naming
from course.ledger.fingerprint import fingerprint
from course.paths import cache_dir, write_whole

LIBRARIES = ("numpy", "pandas", "torch", "faiss-cpu", "scikit-learn")


def run_seed(name: str, seed: int) -> store.Outcome:
    """Run one seed of a trial in this process; return its numbers and its core seconds."""
    import torch

    torch.set_num_threads(1)
    start = time.process_time()
    with naming(f"Trial {name!r}, seed {seed}"):
        row = store.flatten(registry.trials()[name].run(seed))
    return row, time.process_time() - start


def _run_seed(name: str, seed: int) -> store.Outcome:
    return run_seed(name, seed)


def run_trials(
    trials: Sequence[Trial],
    seeds: Sequence[int] | None = None,
    *,
    jobs: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    fresh: bool = False,
    missing: bool = False,
    folder: Path | None = None,
) -> list[Path]:
    """Run trials and store their results.

    Parameters
    ----------
    seeds : None = each trial's own
    jobs, backend, address : how seeds are spread, as of `course.cluster.spread`
    fresh : forget what an interrupted run has finished
    missing : run only seeds that are not stored yet, or by other code
    folder : where the results go; None = the repository's. Where it is another, the finished seeds
        stay in the cache, for a later run with more of them

    Returns
    -------
    The files that were written.
    """
    if (later := [t for t in trials if t.after]) and len(later) < len(trials):
        first = [t for t in trials if not t.after]
        how = {"jobs": jobs, "backend": backend, "address": address, "fresh": fresh,
               "missing": missing, "folder": folder}  # fmt: skip
        return [path for part in (first, later) for path in run_trials(part, seeds, **how)]
    codes = {t.name: fingerprint(t.run) for t in trials}
    stored = {
        n: store.stored_seeds(n, code, folder) if missing else {} for n, code in codes.items()
    }
    wanted = {t.name: [s for s in seeds or t.seeds if s not in stored[t.name]] for t in trials}
    kept = {(n, s): _kept_file(n, codes[n], s) for n, some in wanted.items() for s in some}
    done = {} if fresh else {key: out for key, path in kept.items() if (out := _read(path))}
    written, left = [], [name for name, some in wanted.items() if some]
    todo = [key for key in kept if key not in done]
    outcomes = spread(_run_seed, todo, jobs=jobs, backend=backend, address=address)
    bar = tqdm(total=len(kept), initial=len(done), unit="seed")

    def store_what_is_ready() -> None:
        for name in list(left):
            if all((name, seed) in done for seed in wanted[name]):
                mine = {seed: done[name, seed] for seed in wanted[name]}
                old, same = (store.stored_seeds(name, c, folder) for c in (None, codes[name]))
                if gone := set(old) - set(same) - set(mine):
                    words = f"{name}: {len(gone)} worlds that other code had made were dropped"
                    bar.write(words, file=sys.stderr)
                written.append(store.save(name, mine, _about(codes[name]), folder))
                left.remove(name)

    with bar:
        store_what_is_ready()
        for key, outcome in outcomes:
            done[key] = outcome
            write_whole(kept[key], json.dumps(outcome))
            bar.update()
            store_what_is_ready()
    if folder is None:
        for path in kept.values():
            path.unlink(missing_ok=True)
    return written


def _kept_file(name: str, code: str, seed: int) -> Path:
    return cache_dir() / "reproduce" / f"{name}-{code}-{seed}.json"


def _read(path: Path) -> store.Outcome | None:
    """What was kept, or None if there is nothing that can be read."""
    try:
        row, seconds = json.loads(path.read_text(encoding="utf-8"))
        return row, seconds
    except (OSError, ValueError, TypeError):
        return None


def _about(code: str) -> dict:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"code": code, "versions": {"python": platform.python_version(), **versions}}
