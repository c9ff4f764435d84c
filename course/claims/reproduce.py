"""Run trials again, over all their seeds, and store what comes out.

``python3 -m course reproduce [ID ...]``; without an id every trial that a row of the papers needs,
with ``--all`` also those of the course's own further questions. Seeds run beside each other, one on
each core. Each finished seed is kept in the cache until the whole command is through, so an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import hashlib
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm.auto import tqdm

from course.claims import page, registry, store
from course.claims.claim import Trial
from course.errors import CacheError, ConfigError
from course.paths import cache_dir, write_whole

LIBRARIES = ("numpy", "pandas", "torch", "faiss-cpu", "scikit-learn")


def fingerprint(trial: Trial) -> str:
    """Short name for the code of a trial's module; comments and docstrings do not matter."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(trial.run)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant):
                body[0].value = ast.Constant(value="")
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]


def run_seed(name: str, seed: int) -> tuple[dict[str, float], float]:
    """Run one seed of a trial in this process; return its numbers and its core seconds."""
    import torch

    torch.set_num_threads(1)
    start = time.process_time()
    row = {key: float(value) for key, value in registry.trials()[name].run(seed).items()}
    return row, time.process_time() - start


def _end_with_the_parent() -> None:
    """Let this worker end when the command is killed; otherwise it would finish its seed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_trials(
    trials: Sequence[Trial],
    *,
    jobs: int | None = None,
    fresh: bool = False,
    folder: Path | None = None,
    run: Callable = run_seed,
    progress: bool = True,
    keep: bool = False,
) -> list[Path]:
    """Run trials and store their results.

    Parameters
    ----------
    jobs : seeds at a time; None = one for each core. 1 runs them in this process.
    fresh : forget what an interrupted run has finished
    folder : where the results go (default: the repository's)
    run : function (trial's name, seed) -> (numbers, seconds); for tests
    keep : leave the finished seeds in the cache, for a later run with more of them

    Returns
    -------
    The files that were written.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs < 1:
        raise ConfigError(f"jobs={jobs}", allowed="1 or more")
    kept = {(t.name, seed): _kept_file(t, seed) for t in trials for seed in t.seeds}
    found = {} if fresh else {key: _read(path) for key, path in kept.items()}
    done = {key: outcome for key, outcome in found.items() if outcome is not None}
    todo = [key for key in kept if key not in done]
    bar = tqdm(total=len(kept), initial=len(done), unit="seed", disable=not progress)
    written, left = [], {t.name: t for t in trials}

    def finish(key, outcome):
        if outcome is not None:
            done[key] = outcome
            write_whole(kept[key], json.dumps(outcome))
            bar.update()
        for trial in list(left.values()):
            found = [done.get((trial.name, seed)) for seed in trial.seeds]
            if all(found):
                rows, seconds = zip(*found, strict=True)
                written.append(store.save(trial, rows, seconds, _about(trial), folder))
                del left[trial.name]

    finish(None, None)
    with bar:
        if jobs == 1:
            for key in todo:
                finish(key, run(*key))
        else:
            # Spawned, not forked: a forked process would inherit torch's sleeping threads.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(jobs, context, initializer=_end_with_the_parent) as pool:
                waiting = {pool.submit(run, *key): key for key in todo}
                try:
                    for future in as_completed(waiting):
                        finish(waiting[future], future.result())
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    if not keep:
        for path in kept.values():
            path.unlink(missing_ok=True)
    return written


def first_look(
    trials: Sequence[Trial], seeds: int, folder: Path | None = None, **options
) -> list[Path]:
    """Run trials over their first few seeds; the stored results stay as they are.

    The seeds are kept: a full run goes on from them.

    Parameters
    ----------
    seeds : how many, 2 or more
    folder : where the results go; None = a folder in the cache
    **options : of `run_trials`
    """
    if seeds < 2:
        raise ConfigError(f"seeds={seeds}", allowed="2 or more: one says nothing about chance")
    short = [dataclasses.replace(t, seeds=t.seeds[:seeds]) for t in trials]
    folder = _first_look_folder() if folder is None else folder
    return run_trials(short, folder=folder, keep=True, **options)


def _first_look_folder() -> Path:
    return cache_dir() / "reproduce" / "first look"


def _kept_file(trial: Trial, seed: int) -> Path:
    return cache_dir() / "reproduce" / f"{trial.name}-{fingerprint(trial)}-{seed}.json"


def _read(path: Path):
    """What was kept, or None if there is nothing that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _about(trial: Trial) -> dict:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"code": fingerprint(trial), "versions": {"python": platform.python_version(),
                                                     **versions}}  # fmt: skip


def chosen(names: Sequence[str], further: bool = False) -> list[Trial]:
    """Trials by their own names or by the ids of claims.

    If none is given, those that the rows of the papers need, and with ``further`` the others, too.
    """
    known, claims = registry.trials(), registry.claims()
    if not names:
        return [trial for trial in known.values() if further or not trial.further]
    picked = {}
    for name in names:
        if name not in known:
            claim = claims.get(name) or registry.find(name)
            if not claim.trial:
                raise ConfigError(f"{name} cannot be tested here: {claim.untestable}")
            picked |= {trial: known[trial] for trial in claim.trials}
        else:
            picked[name] = known[name]
    return list(picked.values())


def listing() -> str:
    """One line for each trial: cost, claims, whether its results are there and of this code."""
    lines = []
    for trial in registry.trials().values():
        ids = [claim.id for claim in registry.claims().values() if trial.name in claim.trials]
        try:
            same = store.load(trial.name).attrs.get("code") == fingerprint(trial)
            state = "stored" if same else "stored, but the trial's code has changed since"
        except CacheError:
            state = "not run yet"
        state += "; only with --all" if trial.further else ""
        cost = f"{_minutes([trial]):5.1f} core min"
        lines.append(f"{trial.name:<24} {cost}  {', '.join(ids):<40} {state}")
    for name, further in (("rows of the papers", False), ("with --all", True)):
        lines.append(f"{name:<24} {_minutes(chosen([], further)):5.0f} core min")
    return "\n".join(lines)


def judged(names: set[str], stored: bool = True) -> list[str]:
    """Ids of the claims that these trials judge.

    Parameters
    ----------
    stored : a claim's second trial may have run earlier; False = it must be among the names
    """
    enough = any if stored else all
    known = (c for c in registry.claims().values() if c.trials)
    return [c.id for c in known if enough(name in names for name in c.trials)]


def _minutes(trials: Sequence[Trial]) -> float:
    return sum(trial.minutes * len(trial.seeds) for trial in trials)


def main(argv: Sequence[str]) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m course reproduce",
        description="Run the claims of the papers again and judge them.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="ID",
        help="claims (P1-F4) or trials; none: all that the papers' rows need",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, help="seeds at a time; one for each core")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    parser.add_argument("--all", action="store_true", help="the further questions, too")
    parser.add_argument("--list", action="store_true", help="only list the trials")
    parser.add_argument("--table", action="store_true", help="only print the stored ledger")
    parser.add_argument("--seeds", type=int, help="a first look: so many seeds, nothing is stored")
    parser.add_argument("--readme", action="store_true", help="only write the README's ledger")
    options = parser.parse_args(list(argv))
    if options.readme:
        for path in page.write():
            print(path.name)
        return 0
    if options.list:
        print(listing())
        return 0
    trials, folder = chosen(options.names, options.all or options.table), None
    if options.seeds:
        folder = _first_look_folder()
        first_look(trials, options.seeds, jobs=options.jobs, fresh=options.fresh)
    elif not options.table:
        run_trials(trials, jobs=options.jobs, fresh=options.fresh)
    ids = judged({trial.name for trial in trials}, stored=folder is None)
    if not options.names:
        ids += [c.id for c in registry.claims().values() if not c.trials]
    if ids:
        print(registry.table(*ids, folder=folder).to_string(index=False), file=sys.stdout)
    return 0
