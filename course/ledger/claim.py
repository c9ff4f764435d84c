"""A claim of the papers, the trial that tests it, and the rule that judges it.

A *trial* is an experiment that gives named numbers for a seed. A *claim* reads some of them in its
lines (*contrasts*) and says in which range each should lie. The verdict follows by rule from the
*headline lines*, which say what the paper says: nobody writes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.ledger import formulas
from course.metrics import interval

SEEDS = (1, 2, 3, 4, 5)
"""Seeds of a plain run."""
WORLDS = (*SEEDS, *range(21, 31))
"""The fifteen seeds of the stored ledger."""
DEVELOPMENT = (7, 11, 13)
"""Seeds on which settings were chosen, so that no claim may be judged on them."""

VERDICTS = ("reproduced", "mixed", "undecided", "contradicted", "built as in the paper",
            "cannot be tested here")  # fmt: skip
REPRODUCED, MIXED, LEFT_OPEN, CONTRADICTED, BUILT, UNTESTABLE = VERDICTS
HOLDS, FAILS, UNDECIDED, SHOWN = "holds", "fails", "undecided", "shown only"


@contextlib.contextmanager
def naming(place: str):
    """Put a place before the message of a ConfigError."""
    try:
        yield
    except ConfigError as error:
        what = f"{place}: {error.what}"
        raise ConfigError(what, allowed=error.allowed, fix=error.fix) from error


@dataclass(frozen=True)
class Trial:
    """An experiment that is repeated over seeds.

    Parameters
    ----------
    name : str, also of the file with its results
    run : function (seed) that yields records (`course.ledger.store.flatten`), the same names for
        every seed
    minutes : float, minutes of one core for one seed, as measured
    seeds : of a plain run; at least two different whole numbers
    cheap : takes seconds; the tests run one seed of it again and compare
    further : beyond the papers; a plain ``reproduce`` leaves it out
    after : names of the trials whose results it reads (`registry.row`); these run first
    """

    name: str
    run: Callable[[int], Mapping[str, float] | Iterable[Mapping]]
    minutes: float = 1.0
    seeds: tuple[int, ...] = SEEDS
    cheap: bool = False
    further: bool = False
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < max(2, len(self.seeds)):
            raise ConfigError(
                f"Trial {self.name!r} has the seeds {self.seeds}",
                allowed="two or more different ones, since one seed says nothing about chance",
            )


@dataclass(frozen=True)
class Contrast:
    """One line of a claim.

    Parameters
    ----------
    label : what it is, with its unit
    value : formula (`course.ledger.formulas`) over the results, one number for each seed
    low, high : the claim says that the true value lies between them; None leaves that side open.
        Both None: the number is only shown.
    headline : says what the paper says, so the verdict follows from it
    paper : the paper's number, where it gives one
    """

    label: str
    value: str
    low: float | None = None
    high: float | None = None
    headline: bool = False
    paper: str = ""

    def __post_init__(self) -> None:
        with naming(repr(self.label)):
            if self.low is not None and self.high is not None and not self.low < self.high:
                raise ConfigError(f"the range is {self.low:g} to {self.high:g}",
                                  allowed="a lower end below the upper one")  # fmt: skip
            if self.headline and not self.decides:
                raise ConfigError("a headline line without a range", allowed="a range")
            formulas.check(self.value)

    @property
    def decides(self) -> bool:
        """Whether it has a range."""
        return self.low is not None or self.high is not None

    @property
    def expected(self) -> str:
        """The range in words."""
        if self.low is None or self.high is None:
            ends = (("above", self.low), ("below", self.high))
            return "".join(f"{side} {end:g}" for side, end in ends if end is not None)
        return f"{self.low:g} to {self.high:g}"

    def judge(self, results: pd.DataFrame) -> Finding:
        """Compare the 95 % interval over the seeds with the range."""
        with naming(repr(self.label)):
            values = np.asarray(formulas.evaluate(self.value, results), float)
            if values.shape != (len(results),):
                raise ConfigError(f"values of the shape {values.shape}",
                                  allowed=f"a number for each of {len(results)} seeds")  # fmt: skip
        return Finding(self, *_judge(values, self.low, self.high))


@dataclass(frozen=True)
class Finding:
    """What came out of a line.

    Attributes
    ----------
    mean, half : over the seeds, with the half width of the 95 % interval
    detectable : the smallest difference that as many seeds would show in 4 of 5 repetitions
    outcome : {"holds", "fails", "undecided", "shown only"}
    """

    line: Contrast
    mean: float
    half: float
    detectable: float
    outcome: str

    @property
    def ours(self) -> str:
        """Mean and interval in words, rounded to what the interval can tell."""
        if not self.half > 0:
            return f"{self.mean:.3g}"
        digits = int(np.clip(1 - np.floor(np.log10(self.half)), 0, 6))
        return f"{self.mean:.{digits}f} ± {self.half:.{digits}f}"

    @property
    def words(self) -> str:
        """The outcome; beside "undecided", what could have been seen, and the paper's number."""
        if self.outcome != UNDECIDED or not np.isfinite(self.detectable):
            return self.outcome
        paper = f"; paper: {self.line.paper}" if self.line.paper else ""
        return f"{self.outcome} (could have seen {self.detectable:.2g}{paper})"


def _judge(values: np.ndarray, low: float | None, high: float | None):
    mean, half = interval(values)
    more = interval(values, level=0.6)[1]  # a fifth of the repetitions lies beyond it
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    if np.isinf(low) and np.isinf(high):
        outcome = SHOWN
    elif not np.isfinite(values).all():
        outcome = UNDECIDED
    elif low <= mean - half and mean + half <= high:
        outcome = HOLDS
    else:
        outcome = FAILS if mean + half < low or mean - half > high else UNDECIDED
    return float(mean), float(half), float(half + more), outcome


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Parameters
    ----------
    id : such as "P1-F4"
    chapter : two digits
    title : what the paper claims, in one plain sentence
    paper : what the paper reports
    trial, beside : names of the trial and of a second one whose numbers are read; empty if none
    contrasts : its lines. Where none is marked as a headline, the first that decides is it
    note : in plain words, what came out, and why where it differs from the paper
    untestable : why it cannot be tested here; empty if it can
    built : why our own code satisfies the headline lines by construction; empty if it does not
    """

    id: str
    chapter: str
    title: str
    paper: str = ""
    trial: str = ""
    contrasts: tuple[Contrast, ...] = ()
    note: str = ""
    untestable: str = ""
    beside: str = ""
    built: str = ""

    def __post_init__(self) -> None:
        deciding = [i for i, line in enumerate(self.contrasts) if line.decides]
        if bool(self.untestable) == bool(self.trial) or (self.trial and not deciding):
            raise ConfigError(
                f"Claim {self.id} has trial {self.trial!r} and untestable {self.untestable!r}",
                allowed="either a trial with a line that has a range, or why there is none",
            )
        if deciding and not any(line.headline for line in self.contrasts):
            lines = list(self.contrasts)
            lines[deciding[0]] = replace(lines[deciding[0]], headline=True)
            object.__setattr__(self, "contrasts", tuple(lines))

    @property
    def trials(self) -> tuple[str, ...]:
        """Names of the trials whose numbers are read."""
        return tuple(name for name in (self.trial, self.beside) if name)

    def findings(self, results: pd.DataFrame) -> list[Finding]:
        """What came out of each line."""
        with naming(f"Claim {self.id}, line"):
            return [line.judge(results) for line in self.contrasts]

    def verdict(self, found: list[Finding]) -> str:
        """One of the six verdicts, by rule, from what came out of each line."""
        outcomes = [f.outcome for f in found if f.line.headline]
        return UNTESTABLE if self.untestable else rule(outcomes, bool(self.built))


def rule(outcomes: list[str], built: bool = False) -> str:
    """The verdict that follows from the outcomes of the headline lines."""
    if set(outcomes) == {HOLDS}:
        return BUILT if built else REPRODUCED
    if HOLDS in outcomes:
        return MIXED
    return CONTRADICTED if FAILS in outcomes else LEFT_OPEN
