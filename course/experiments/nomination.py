"""The source that nominated a card, and its score, as features of the ranker.

The score comes from candidate generators that are trained anew every night, so that a card's
score is as old when the ranker learns from it as when it serves. A generator that is never trained
again does not know the new videos and says the least of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.experiments.importance import measure_of
from course.experiments.next_watch import fit_candidates
from course.experiments.ranking import PairScorer, RankingTask, fit_ranker
from course.features import Features, examples
from course.features.taxonomy import RANKING_FEATURES
from course.logs.tables import Logs
from course.world import World, simulate

FIRST_NIGHT = 34
MEMORY_DAYS = 12.0
GENERATOR = {"depth": 1, "width": 64, "dim": 32, "epochs": 2}
NOMINATION = ("nominator", "nominating score")
FEW = ("video", "channel", "topic", "format", "video language", "account language", "device",
       "daypart", "duration")  # fmt: skip
"""Hardly more than what stands on the card: nothing about the past of account or video."""

OBJECTIVES = ("watch", "click")


def generator_at(logs: Logs, day: float, seed: int = 0, memory_days: float = MEMORY_DAYS):
    """A candidate generator trained at the midnight before ``day``, on the days before it."""
    known = logs.before(day)
    features = Features(known)
    rows = examples(known, day, after=max(0.0, day - memory_days))
    return fit_candidates(features, known, rows, seed=seed, **GENERATOR)


class Nightly:
    """Scores of cards by the newest of several generators that was there at the card's moment.

    Parameters
    ----------
    nights : (g,) rising days from which each generator serves; before the first, it serves, too
    generators : trained `CandidateGenerator`s
    """

    def __init__(self, nights: Sequence[float], generators: Sequence):
        if len(nights) != len(generators) or not len(nights) or np.any(np.diff(nights) <= 0):
            raise ConfigError(
                f"{len(nights)} nights {list(nights)} and {len(generators)} generators",
                allowed="a rising night for each generator",
            )
        self.nights = np.asarray(nights, float)
        self.scorers = [PairScorer(model) for model in generators]

    def pair_scores(self, logs: Logs, moments: dict, page: np.ndarray, video: np.ndarray):
        """Scores (n,) float32 of cards; see `course.experiments.ranking.PairScorer`."""
        newest = np.searchsorted(self.nights, moments["time"], "right") - 1
        newest = np.maximum(newest, 0)
        out = np.empty(len(video), np.float32)
        for night in np.unique(newest):
            pages, cards = np.flatnonzero(newest == night), np.flatnonzero(newest[page] == night)
            mine = {name: values[pages] for name, values in moments.items()}
            out[cards] = self.scorers[night].pair_scores(
                logs, mine, np.searchsorted(pages, page[cards]), video[cards]
            )
        return out


def nightly(world: World, seed: int = 0, first: int = FIRST_NIGHT) -> Nightly:
    """A generator for each night from ``first`` to the end of the log."""
    nights = list(range(first, world.config.days + 1))
    return Nightly(nights, [generator_at(world.logs(), day, seed) for day in nights])


def score_alone(task: RankingTask, model) -> dict[str, float]:
    """How a generator's score alone orders the fresh cards, and how many of them it knows.

    Returns
    -------
    dict with ``watch`` and ``click`` (losses in percent) and ``known`` (share of cards)
    """
    cards = task.next_day.cards
    request = cards["request_id"].to_numpy()
    first = np.r_[True, request[1:] != request[:-1]]
    head = cards[first]
    moments = {
        "user": head["user_id"].to_numpy(),
        "time": head["time"].to_numpy(),
        "device": head["device"].cat.codes.to_numpy(),
        "daypart": head["daypart"].cat.codes.to_numpy(),
    }
    video = cards["video_id"].to_numpy()
    scores = PairScorer(model).pair_scores(task.logs, moments, np.cumsum(first) - 1, video)
    known = model.features.videos.encode(video) != model.features.videos.padding
    losses = {name: measure_of(task, name)(scores) for name in OBJECTIVES}
    return {**losses, "known": float(known.mean())}


def value_by_nominator(task: RankingTask) -> pd.Series:
    """True expected seconds of fresh cards that are looked at, mean by nominator."""
    nominator = task.next_day.cards["nominator"].to_numpy()
    return pd.Series(task.next_day.value).groupby(nominator).mean()


def feature_sets(names: Sequence[str]) -> dict[str, list[str]]:
    """Sets of features with and without nomination: few other ones, and all."""
    rest = [name for name in names if name not in NOMINATION]
    bases = {"few": list(FEW), "all": rest}
    order = [f.name for f in RANKING_FEATURES]
    out = {}
    for name, base in bases.items():
        out[name] = base
        out[f"{name} + nomination"] = sorted([*base, *NOMINATION], key=order.index)
    return out


def trial(seed: int, size: str = "small", test_pages: int = 10_000) -> dict[str, float]:
    """What nominator and score add to few and to all other features, for one seed."""
    world = simulate(size, seed=seed)
    first = min(FIRST_NIGHT, world.config.days - 4)
    scorer = nightly(world, seed, first)
    task = RankingTask(world, test_pages, first_day=first, scorer=scorer)
    out: dict[str, float] = {}
    ages = [age for age in (0, 1, 2, 4, 7, 10) if age < len(scorer.nights)]
    for age in ages:
        found = score_alone(task, scorer.scorers[-1 - age].model)
        out.update({f"score alone/{age} days old/{key}": v for key, v in found.items()})
    for name, include in feature_sets(task.features.names).items():
        model = fit_ranker(task, include=include, seed=seed)
        clicks = fit_ranker(task, objective="click", include=include, seed=seed)
        out[f"{name}/watch"] = measure_of(task, "watch")(model.logits(task.test))
        out[f"{name}/click"] = measure_of(task, "click")(clicks.logits(task.test))
    for name, seconds in value_by_nominator(task).items():
        out[f"true seconds/{name}"] = float(seconds)
    return out
