"""All trials and claims, chapter by chapter, and the ledger as a table."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from pathlib import Path

import pandas as pd

import course.claims
from course.claims import store
from course.claims.claim import Claim, Trial
from course.errors import ConfigError


def _modules():
    names = sorted(m.name for m in pkgutil.iter_modules(course.claims.__path__))
    for name in names:
        if re.fullmatch(r"chapter_\d\d", name):
            yield importlib.import_module(f"course.claims.{name}")


def trials() -> dict[str, Trial]:
    """All trials by name."""
    found = [trial for module in _modules() for trial in module.TRIALS]
    return _by([trial.name for trial in found], found)


def claims() -> dict[str, Claim]:
    """All claims by id, in order of the chapters."""
    found = [claim for module in _modules() for claim in module.CLAIMS]
    known = trials()
    for claim in found:
        for name in claim.trials:
            if name not in known:
                raise ConfigError(f"Claim {claim.id} needs a trial {name!r}, which is not there")
    return _by([claim.id for claim in found], found)


def _by(names, values):
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{', '.join(twice)} exists twice", allowed="each name once")
    return dict(zip(names, values, strict=True))


def find(name: str) -> Claim:
    """The claim with this id.

    Raises
    ------
    ConfigError
        If there is none; the message names the closest.
    """
    known = claims()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    fix = f"write {close[0]}" if close else ""
    raise ConfigError(f"There is no claim {name!r}", allowed=", ".join(known), fix=fix)


def results(trial: str, folder: Path | None = None) -> pd.DataFrame:
    """Stored results of a trial: index seed, a column for each number."""
    return store.load(trial, folder)


def results_of(claim: Claim, folder: Path | None = None) -> pd.DataFrame | None:
    """What a claim reads: the results of its trials side by side; None if it has none."""
    if not claim.trials:
        return None
    first, *others = (results(name, folder) for name in claim.trials)
    return first.join(others) if others else first


def verdict(claim: str) -> str:
    """The verdict on a claim, from the stored results."""
    found = find(claim)
    return found.verdict(results_of(found))


def table(*which: str, folder: Path | None = None) -> pd.DataFrame:
    """The ledger: one row for each contrast.

    Parameters
    ----------
    *which : chapters ("04") or ids of claims ("P1-F4"); everything if none is given
    folder : of the results; None = the repository's

    Returns
    -------
    DataFrame with the columns claim, what, the claim says, ours, detectable, outcome, verdict
    """
    rows = []
    for claim in _chosen(which):
        if claim.untestable:
            rows.append((claim.id, claim.untestable, "", "", "", "", claim.verdict(None)))
            continue
        known = results_of(claim, folder)
        for i, f in enumerate(claim.findings(known)):
            verdict = claim.verdict(known) if i == 0 else ""
            rows.append(
                (claim.id if i == 0 else "", f.label, f.expected, f.ours, f"{f.detectable:.2g}",
                 f.outcome, verdict)
            )  # fmt: skip
    columns = ["claim", "what", "the claim says", "ours", "detectable", "outcome", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def summary(*which: str) -> pd.DataFrame:
    """The ledger in short: one row for each claim, with its first deciding contrast.

    Where a claim cannot be tested, ``ours`` says why.
    """
    rows = []
    for claim in _chosen(which):
        ours, detectable, known = claim.untestable, "", results_of(claim)
        if known is not None:
            first = next(f for f in claim.findings(known) if f.expected)
            ours, detectable = f"{first.label}: {first.ours}", f"{first.detectable:.2g}"
        verdict = claim.verdict(known)
        rows.append((claim.id, claim.chapter, claim.title, claim.paper, ours, detectable, verdict))
    columns = ["claim", "chapter", "what the paper says", "paper", "ours", "detectable", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _chosen(which: tuple[str, ...]) -> list[Claim]:
    known = list(claims().values())
    if not which:
        return known
    chosen = []
    for name in which:
        of_chapter = [claim for claim in known if claim.chapter == name]
        chosen += of_chapter or [find(name)]
    return chosen
