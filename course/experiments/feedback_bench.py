"""A feedback loop in a bottle: rounds of serve, log and learn that take a moment (chapter 14).

Everybody likes the same, so that a ranker is nothing but one number for each video: what it
believes of the video's appeal. It learns these numbers from the pages that it served itself.
Videos come and go: each round the oldest leave and new ones, of which nothing is known, arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.simulator.laws import examination, sigmoid
from course.simulator.rounds import gini
from course.simulator.streams import generator
from course.training import check_number, check_whole

VIDEOS, CANDIDATES, KEPT, SLATE = 200, 30, 12, 10
PAGES, ROUNDS = 400, 20
NEW = 10
"""Videos that arrive in a round, and as many that leave."""
MEMORY = 0.8
"""What a round's counts are worth a round later."""
FADES = 0.1
"""By so much a video's appeal falls in each round, as a logit."""
PRIOR = 10.0
"""Impressions that the mean rate counts for in the estimate of a video."""
EXPONENT = 0.9
RANKERS = ("naive", "corrected", "oracle", "random")


@dataclass(frozen=True)
class Bottle:
    """Dials of the bottle.

    Parameters
    ----------
    position_bias : strength of the examination curve; 0 = every card is looked at
    explore : share of the places that go to a candidate drawn by chance
    closed : the first stage learns, too: of the 30 candidates drawn by chance it lets only the 12
        with the most clicks through
    new : videos that arrive in each round, and as many that leave
    """

    position_bias: float = 1.0
    explore: float = 0.0
    closed: bool = False
    new: int = NEW

    def __post_init__(self) -> None:
        check_number("position_bias", self.position_bias, 0.0)
        check_number("explore", self.explore, 0.0)
        check_whole("new", self.new, 0)
        if self.explore > 1 or self.new > VIDEOS:
            raise ConfigError(
                f"explore={self.explore}, new={self.new}", allowed=f"at most 1 and {VIDEOS}"
            )


def turn(
    ranker: str, bottle: Bottle = Bottle(), rounds: int = ROUNDS, pages: int = PAGES, seed: int = 0
) -> pd.DataFrame:
    """Let one ranker serve, log and learn; its first log is of pages in random order.

    Parameters
    ----------
    ranker : {"naive", "corrected", "oracle", "random"}; naive = clicks over impressions,
        corrected = clicks over the sum of P(seen), oracle = the true appeal

    Returns
    -------
    DataFrame, a row for each round (0 = the random pages): ``clicks`` expected per page, ``gini``
        of the impressions over the videos, ``coverage``, ``new`` (share of the cards that arrived
        in the last five rounds)
    """
    if ranker not in RANKERS:
        raise ConfigError(f"ranker={ranker!r}", allowed=", ".join(RANKERS))
    rng = generator(seed, "feedback bench")
    theta = examination(np.arange(1, SLATE + 1), EXPONENT, bottle.position_bias)
    wish = -1.7 + rng.normal(size=VIDEOS)
    age = np.repeat(np.arange(VIDEOS // NEW), NEW)[::-1].copy()
    clicks, shown, seen = np.zeros(VIDEOS), np.zeros(VIDEOS), np.zeros(VIDEOS)
    rows = []
    for number in range(rounds + 1):
        appeal = sigmoid(wish - FADES * age)
        offered = rng.random((pages, VIDEOS)).argpartition(CANDIDATES, axis=1)[:, :CANDIDATES]
        score = rng.random(offered.shape)
        if ranker == "oracle":
            score = appeal[offered]
        elif ranker != "random" and number:
            exposure = shown if ranker == "naive" else seen
            mean = clicks.sum() / exposure.sum()
            score = ((clicks + PRIOR * mean) / (exposure + PRIOR))[offered]
            if bottle.closed:
                place = np.argsort(np.argsort(-clicks[offered], axis=1), axis=1)
                score = np.where(place < KEPT, score, -1.0)
        order = np.argsort(-score, axis=1)
        page = np.take_along_axis(offered, order[:, :SLATE], axis=1)
        if bottle.explore and number and ranker in ("naive", "corrected"):
            spare = rng.permuted(np.take_along_axis(offered, order[:, SLATE:], axis=1), axis=1)
            spare = spare[:, :SLATE]
            page = np.where(rng.random(page.shape) < bottle.explore, spare, page)
        p = theta * appeal[page]
        hit = rng.random(p.shape) < p
        count = np.bincount(page.ravel(), minlength=VIDEOS)
        rows.append({"round": number, "clicks": p.sum(axis=1).mean(), "gini": gini(count),
                     "coverage": (count > 0).mean(), "new": (age < 5)[page].mean()})  # fmt: skip
        clicks = MEMORY * clicks + np.bincount(page.ravel(), hit.ravel(), VIDEOS)
        shown = MEMORY * shown + count
        seen = MEMORY * seen + np.bincount(page.ravel(), np.tile(theta, pages), VIDEOS)
        age = age + 1
        if bottle.new:  # the oldest leave, in the order in which they came
            leaving = (np.arange(bottle.new) + number * bottle.new) % VIDEOS
            wish[leaving] = -1.7 + rng.normal(size=bottle.new)
            age[leaving], clicks[leaving], shown[leaving], seen[leaving] = 0, 0.0, 0.0, 0.0
    return pd.DataFrame(rows)
