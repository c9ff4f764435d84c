"""A claim of the papers, the trial that tests it, and the rule that judges it.

A *trial* is an experiment that returns named numbers for a seed. A *claim* reads some of them as
*contrasts* and says in which range each should lie. The verdict follows from the numbers by rule:
nobody writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from course.errors import ConfigError

SEEDS = (1, 2, 3, 4, 5)
"""Seeds of the ledger. Settings were chosen on other seeds."""

REPRODUCED, PARTLY, NOT, UNTESTABLE = (
    "reproduced",
    "partly",
    "not reproduced",
    "cannot be tested here",
)
HOLDS, FAILS, UNDECIDED, SHOWN = "holds", "fails", "undecided", "shown only"


@dataclass(frozen=True)
class Trial:
    """An experiment that is repeated over seeds.

    Parameters
    ----------
    name : str, also of the file with its results
    run : function (seed) -> mapping of names to numbers, the same names for every seed
    minutes : float, minutes of one core for one seed, as measured
    seeds : at least two different whole numbers
    cheap : takes seconds; the tests run one seed of it again and compare
    further : answers questions of the course that go beyond the papers; a plain ``reproduce``
        leaves it out
    """

    name: str
    run: Callable[[int], Mapping[str, float]]
    minutes: float = 1.0
    seeds: tuple[int, ...] = SEEDS
    cheap: bool = False
    further: bool = False

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < max(2, len(self.seeds)):
            raise ConfigError(
                f"Trial {self.name!r} has the seeds {self.seeds}",
                allowed="two or more different ones, since one seed says nothing about chance",
            )


@dataclass(frozen=True)
class Contrast:
    """One number of a claim.

    Parameters
    ----------
    label : what it is, with its unit
    value : function of the results (DataFrame, index seed) that returns one number for each seed
    low, high : the claim says that the true value lies between them; None leaves that side open.
        Both None: the number is only shown and decides nothing.
    """

    label: str
    value: Callable[[pd.DataFrame], pd.Series]
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ConfigError(
                f"{self.label!r} should lie from {self.low} to {self.high}", allowed="low < high"
            )

    @property
    def expected(self) -> str:
        """The range in words."""
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f"above {self.low:g}"
        if self.low is None:
            return f"below {self.high:g}"
        return f"{self.low:g} to {self.high:g}"

    def judge(self, results: pd.DataFrame) -> Finding:
        """Compare the 95 % interval over the seeds with the range."""
        values = np.asarray(self.value(results), float)
        if values.shape != (len(results),):
            raise ConfigError(
                f"{self.label!r} has shape {values.shape}", allowed=f"a number for each of "
                f"{len(results)} seeds",
            )  # fmt: skip
        return Finding(self.label, self.expected, *_judge(values, self.low, self.high))


@dataclass(frozen=True)
class Finding:
    """What came out of a contrast.

    Attributes
    ----------
    mean, half : over the seeds, with the half width of the 95 % interval
    detectable : the smallest difference that as many seeds would show in 4 of 5 repetitions
    outcome : {"holds", "fails", "undecided", "shown only"}
    """

    label: str
    expected: str
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


def _judge(values: np.ndarray, low: float | None, high: float | None):
    from scipy.special import stdtrit

    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n)
    mean, half = values.mean(), stdtrit(n - 1, 0.975) * error
    detectable = half + stdtrit(n - 1, 0.8) * error
    if low is None and high is None:
        outcome = SHOWN
    elif not np.isfinite(values).all():
        outcome = UNDECIDED
    else:
        below, above = (
            -np.inf if low is None else low,
            np.inf if high is None else high,
        )
        if below <= mean - half and mean + half <= above:
            outcome = HOLDS
        elif mean + half < below or mean - half > above:
            outcome = FAILS
        else:
            outcome = UNDECIDED
    return float(mean), float(half), float(detectable), outcome


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Parameters
    ----------
    id : such as "P1-F4"
    chapter : two digits
    title : what the paper claims, in one plain sentence
    paper : what the paper reports
    trial : name of the trial; empty if it cannot be tested here
    contrasts : what is looked at
    note : in plain words, what came out, and why where it differs from the paper
    untestable : why it cannot be tested here; empty if it can
    beside : name of a second trial over the same seeds, whose numbers are read, too
    """

    id: str
    chapter: str
    title: str
    paper: str
    trial: str = ""
    contrasts: tuple[Contrast, ...] = field(default=())
    note: str = ""
    untestable: str = ""
    beside: str = ""

    def __post_init__(self) -> None:
        decides = any(c.low is not None or c.high is not None for c in self.contrasts)
        if bool(self.untestable) == bool(self.trial) or (self.trial and not decides):
            raise ConfigError(
                f"Claim {self.id} has trial {self.trial!r} and untestable {self.untestable!r}",
                allowed="either a trial with a contrast that has a range, or why there is none",
            )

    @property
    def trials(self) -> tuple[str, ...]:
        """Names of the trials whose numbers are read."""
        return tuple(name for name in (self.trial, self.beside) if name)

    def findings(self, results: pd.DataFrame) -> list[Finding]:
        """What came out of each contrast."""
        return [contrast.judge(results) for contrast in self.contrasts]

    def verdict(self, results: pd.DataFrame | None) -> str:
        """One of the four verdicts, by rule: all, some or none of the contrasts hold."""
        if self.untestable:
            return UNTESTABLE
        outcomes = [f.outcome for f in self.findings(results) if f.outcome != SHOWN]
        held = outcomes.count(HOLDS)
        return REPRODUCED if held == len(outcomes) else PARTLY if held else NOT
