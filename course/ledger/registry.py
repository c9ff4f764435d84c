"""All trials and claims, chapter by chapter, and the ledger as tables."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd

from course.errors import ConfigError
from course.ledger import store
from course.ledger.claim import UNDECIDED, UNTESTABLE, Claim, Trial
from course.ledger.tables import read
from course.paths import load_by_path, notebooks_dir, repository_root

PAGE = "data/LEDGER.md"
"""The page with every line, from the root of the repository."""


def chapter_files() -> list[Path]:
    """The files of the chapters, in order."""
    return sorted((notebooks_dir() / "ledger").glob("chapter_[0-9][0-9].py"))


@functools.cache
def _module(path: Path) -> ModuleType:
    """A chapter's file as a module. Loaded by its path: nothing in `course` imports it."""
    try:
        module = load_by_path(path)
        module.CLAIMS = read(module.CLAIMS, path.stem[-2:])
    except Exception as error:
        what = f"{_short(path)} cannot be loaded ({type(error).__name__}: {error})"
        raise ConfigError(what, fix="mend that file") from error
    return module


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _everything(kind: str, name: str) -> dict:
    """All trials or claims by name; an error says in which files a name stands twice."""
    found, places = {}, {}
    for path in chapter_files():
        for one in getattr(_module(path), kind):
            key = getattr(one, name)
            if key in found:
                what = f"{key} exists twice, in {places[key]} and in {_short(path)}"
                raise ConfigError(what, allowed="each name once")
            found[key], places[key] = one, _short(path)
    return found


def trials() -> dict[str, Trial]:
    """All trials by name."""
    return _everything("TRIALS", "name")


def tuning_of(chapter: str) -> Callable[[], object]:
    """The function that tunes the contestants of a chapter's contests, such as "03"."""
    found = {path.stem[-2:]: _module(path) for path in chapter_files()}
    known = {name: module.tune for name, module in found.items() if hasattr(module, "tune")}
    if chapter not in known:
        raise ConfigError(f"Nothing is tuned in chapter {chapter!r}", allowed=", ".join(known))
    return known[chapter]


def claims() -> dict[str, Claim]:
    """All claims by id, in order of the chapters."""
    found, known = _everything("CLAIMS", "id"), trials()
    for claim in found.values():
        for name in set(claim.trials) - set(known):
            what = f"Claim {claim.id} needs a trial {name!r}, which is not there"
            raise ConfigError(what, fix=_closest(name, known))
    return found


def _closest(name: str, known) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"write {close[0]}" if close else ""


def find(name: str) -> Claim:
    """The claim with this id; if there is none, a ConfigError that names the closest."""
    known = claims()
    if name not in known:
        raise ConfigError(f"There is no claim {name!r}", allowed=", ".join(known),
                          fix=_closest(name, known))  # fmt: skip
    return known[name]


def results(trial: str, *, tidy: bool = False) -> pd.DataFrame:
    """Stored results of a trial: index seed, a column for each number, such as ``deep 0/mrr``.

    If ``tidy``, a row for each number: the columns seed, who ("deep 0"), metric ("mrr"), value.
    """
    table = store.load(trial)
    if not tidy:
        return table
    rows = [(seed, *name.rpartition("/")[::2], value)
            for name, column in table.items() for seed, value in column.items()]  # fmt: skip
    return pd.DataFrame(rows, columns=["seed", "who", "metric", "value"])


def row(trial: str, seed: int) -> pd.Series:
    """What a trial that another one builds upon has found in a world; a ConfigError if nothing."""
    stored = store.load(trial)
    if seed not in stored.index:
        raise ConfigError(
            f"no results of the trial {trial!r} for seed {seed}, on which this one builds",
            allowed=", ".join(map(str, stored.index)),
            fix=f"run that one with more worlds first: python3 -m course reproduce {trial}",
        )
    return stored.loc[seed]


def results_of(claim: Claim, folder: Path | None = None) -> pd.DataFrame | None:
    """What a claim reads: its trials side by side, over the seeds that all have; None if none."""
    if not claim.trials:
        return None
    first, *others = (store.load(name, folder) for name in claim.trials)
    joined = first.join(others, how="inner") if others else first
    joined.attrs.clear()  # pandas would copy them with every column
    if len(joined) < 2:
        what = f"Claim {claim.id} has {len(joined)} worlds on which all its trials ran"
        fix = f"python3 -m course reproduce {' '.join(claim.trials)}"
        raise ConfigError(what, allowed="two or more", fix=fix)
    return joined


def lines(*which: str, folder: Path | None = None) -> pd.DataFrame:
    """The ledger for programs: one row for each line of a claim.

    Parameters
    ----------
    *which : chapters ("04") or ids of claims ("P1-F4"); everything if none is given
    folder : of the results; None = the repository's

    Returns
    -------
    DataFrame with the columns claim, chapter, title, verdict, worlds, headline, line, says, paper
    (its number), mean, half, detectable, outcome, and in words ours and words. A claim that cannot
    be tested has one row, whose line says why.
    """
    known, rows = claims(), []
    for name in which or [None]:
        chapter = [claim for claim in known.values() if name in (None, claim.chapter)]
        for claim in chapter or [find(name)]:
            own = {"claim": claim.id, "chapter": claim.chapter, "title": claim.title,
                   "verdict": UNTESTABLE, "worlds": 0, "headline": True,
                   "line": claim.untestable, "says": "", "paper": "", "outcome": "",
                   "ours": "", "words": ""}  # fmt: skip
            if claim.untestable:
                rows.append(own)
                continue
            stored = results_of(claim, folder)
            found = claim.findings(stored)
            own |= {"verdict": claim.verdict(found), "worlds": len(stored)}
            rows += [
                own | {"headline": f.line.headline, "line": f.line.label, "says": f.line.expected,
                       "paper": f.line.paper, "mean": f.mean, "half": f.half,
                       "detectable": f.detectable, "outcome": f.outcome, "ours": f.ours,
                       "words": f.words}
                for f in found
            ]  # fmt: skip
    numbers = {"mean": float, "half": float, "detectable": float}
    return pd.DataFrame(rows).reindex(columns=[*own, *numbers]).astype(numbers)


def table(*which: str, folder: Path | None = None) -> pd.DataFrame:
    """The `lines` for readers, with a star at each headline line."""
    found = lines(*which, folder=folder)
    first, tested = ~found["claim"].duplicated(), found["worlds"] > 0
    return pd.DataFrame({
        "claim": found["claim"].where(first, ""),
        "what": found["line"] + (found["headline"] & tested).map({True: " *", False: ""}),
        "the claim says": found["says"],
        "ours": found["ours"],
        "detectable": found["detectable"].map("{:.2g}".format).where(tested, ""),
        "outcome": found["outcome"],
        "verdict": found["verdict"].where(first, ""),
    })  # fmt: skip


def summary(*which: str) -> pd.DataFrame:
    """The ledger in short: one row for each claim, with its first headline line."""
    found = lines(*which)
    found = found[found["headline"]].drop_duplicates("claim").reset_index(drop=True)
    ours = found["line"] + found["ours"].map(lambda ours: f": {ours}" if ours else "")
    found = found.assign(ours=ours)[["claim", "chapter", "title", "ours", "verdict"]]
    return found.rename(columns={"title": "what the paper says"})


def show(*which: str):
    """A notebook's view (HTML): headline lines, the others counted, and a link to all of them."""
    from IPython.display import HTML

    found = lines(*which)
    heads, rest = found[found["headline"]], found[~found["headline"]]["outcome"].value_counts()
    names = {"claim": "claim", "title": "what the paper says", "line": "our line"}
    names |= {"says": "it says", "ours": "here", "words": "outcome", "verdict": "verdict"}
    rows = heads[list(names)].copy()
    rows.loc[heads["claim"].duplicated(), ["claim", "title", "verdict"]] = ""
    with pd.option_context("display.max_colwidth", None):
        body = rows.rename(columns=names).to_html(index=False, border=0)
    text = "Mean and 95 % interval over the worlds; the verdict follows by rule from these lines. "
    if (heads["outcome"] == UNDECIDED).any():
        text += "A line is undecided where its interval crosses the border of its range; beside it "
        text += "stands the smallest effect that so many worlds would have shown. "
    words = ", ".join(f"{n} {outcome}" for outcome, n in rest.items())
    text += f"{rest.sum()} further lines ({words}) stand" if len(rest) else "All of it stands"
    link = Path(os.path.relpath(repository_root() / PAGE)).as_posix()
    return HTML(f"{body}<p>{text} in <a href='{link}'>the ledger</a>.</p>")
