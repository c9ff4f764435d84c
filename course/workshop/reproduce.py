"""``python3 -m course reproduce``: run the papers' claims again, judge them, write the ledger.

Without an id, every trial that a row of the papers needs, with ``--all`` also those of the course's
own further questions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from course.errors import CacheError, ConfigError
from course.ledger import registry, runner, store
from course.ledger.claim import DEVELOPMENT, WORLDS, Trial
from course.ledger.fingerprint import fingerprint
from course.workshop import ledger_page


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


def judged(names: set[str], stored: bool = True) -> list[str]:
    """Ids of the claims that these trials judge.

    Parameters
    ----------
    stored : a claim's second trial may have run earlier; False = it must be among the names
    """
    enough = any if stored else all
    known = (c for c in registry.claims().values() if c.trials)
    return [c.id for c in known if enough(name in names for name in c.trials)]


def listing() -> str:
    """One line for each trial: cost, claims, whether its results are there and of this code."""
    lines = []
    for trial in registry.trials().values():
        ids = [claim.id for claim in registry.claims().values() if trial.name in claim.trials]
        try:
            found = store.load(trial.name)
            state = f"{len(found)} worlds stored"
            if found.attrs.get("code") != fingerprint(trial.run):
                state += ", but the trial's code has changed since"
        except CacheError:
            state = "not run yet"
        state += "; only with --all" if trial.further else ""
        cost = f"{_minutes([trial]):5.1f} core min"
        lines.append(f"{trial.name:<24} {cost}  {', '.join(ids):<40} {state}")
    for name, further in (("rows of the papers", False), ("with --all", True)):
        lines.append(f"{name:<24} {_minutes(chosen([], further)):5.0f} core min")
    return "\n".join(lines)


def _minutes(trials: Sequence[Trial]) -> float:
    return sum(trial.minutes * len(trial.seeds) for trial in trials)


def seeds_of(worlds: int | None, seeds: Sequence[str] | None, stored: bool) -> list[int] | None:
    """The seeds that the options ask for; None = each trial's own."""
    if worlds is not None and seeds is not None:
        raise ConfigError("--worlds and --seeds were both given", allowed="one of them")
    if worlds is not None:
        if not 2 <= worlds <= len(WORLDS):
            raise ConfigError(f"--worlds {worlds}", allowed=f"2 to {len(WORLDS)}")
        return list(WORLDS[:worlds])
    if seeds is None:
        return None
    asked = f"--seeds {' '.join(seeds)}"
    wrong = [seed for seed in seeds if not seed.isdecimal()]
    if wrong or len(seeds) < 2 or len(set(map(int, seeds))) < len(seeds):
        raise ConfigError(
            asked, allowed="two or more different whole numbers, 0 or above",
            fix="write names before --seeds, as in: reproduce P1-F4 --seeds 101 102 --no-store",
        )  # fmt: skip
    numbers = [int(seed) for seed in seeds]
    if chosen_on := set(numbers) & set(DEVELOPMENT):
        raise ConfigError(
            f"{asked}: on {', '.join(map(str, sorted(chosen_on)))} settings were chosen",
            allowed=f"worlds that nothing was chosen on, so none of {DEVELOPMENT}",
        )
    if stored and not set(numbers) <= set(WORLDS):
        raise ConfigError(
            f"{asked}: the stored ledger has the worlds {', '.join(map(str, WORLDS))}",
            fix="add --no-store to judge other worlds, which changes nothing that is stored",
        )
    return numbers


def parser() -> argparse.ArgumentParser:
    """The options."""
    top = argparse.ArgumentParser(
        prog="python3 -m course reproduce",
        description="Run the claims of the papers again and judge them.",
    )
    ids = "claims (P1-F4) or trials; none: all that the papers' rows need"
    top.add_argument("names", nargs="*", metavar="ID", help=ids)
    for name, what in {
        "all": "the further questions, too",
        "no-store": "only judge; what is stored stays as it is",
        "json": "print the lines for programs",
        "fresh": "forget what was interrupted, and with --worlds what is stored",
        "list": "only list the trials",
        "table": "only print the stored ledger",
        "summary": f"only write {ledger_page.SUMMARY}",
        "page": "only write data/LEDGER.md, its pictures and summary, and the README's ledger",
    }.items():
        top.add_argument(f"--{name}", action="store_true", help=what)
    worlds = f"the first N of the {len(WORLDS)} worlds; runs only what is not stored yet"
    top.add_argument("--worlds", type=int, metavar="N", help=worlds)
    seeds = "these worlds; others than the ledger's need --no-store"
    top.add_argument("--seeds", nargs="+", metavar="SEED", help=seeds)
    tune = "only search the recipes of a chapter's contests again, such as 03; takes hours"
    top.add_argument("--tune", metavar="CHAPTER", help=tune)
    top.add_argument("--jobs", type=int, help="seeds at a time; one for each core")
    backend = "dask or ray (a cluster), or one of joblib's with its options"
    top.add_argument("--backend", metavar="NAME[,KEY=VALUE...]", help=backend)
    top.add_argument("--address", metavar="HOST:PORT", help="of the cluster")
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command line; return its exit status."""
    options = parser().parse_args(list(argv))
    if options.page or options.summary:
        for path in ledger_page.write() if options.page else [ledger_page.write_summary()]:
            print(path.name)
        return 0
    if options.tune:
        registry.tuning_of(options.tune)()
        return 0
    if options.list:
        print(listing())
        return 0
    seeds = seeds_of(options.worlds, options.seeds, not options.no_store)
    trials = chosen(options.names, options.all or options.table)
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere) if options.no_store and not options.table else None
        if not options.table:
            runner.run_trials(
                trials, seeds, jobs=options.jobs, backend=options.backend,
                address=options.address, fresh=options.fresh, folder=folder,
                missing=options.worlds is not None and not options.fresh,
            )  # fmt: skip
        ids = judged({trial.name for trial in trials}, stored=folder is None)
        if not options.names:
            ids += [c.id for c in registry.claims().values() if not c.trials]
        if options.json:
            found = registry.lines(*ids, folder=folder) if ids else pd.DataFrame()
            print(found.to_json(orient="records", indent=1, force_ascii=False))
        elif ids:
            print(registry.table(*ids, folder=folder).to_string(index=False))
    return 0
