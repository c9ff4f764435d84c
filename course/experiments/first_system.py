"""The trained ranking that chapter 00 puts beside the reader's counts, on the same candidates."""

from __future__ import annotations

import numpy as np

from course.features.batch import RankingBatch
from course.lessons.first_system import FirstSystem
from course.lessons.ranking_features import InputLayer, Scales
from course.lessons.watch_time import Ranker, best_constant, logits_of, train_ranker
from course.recommender import Recommender
from course.simulator.feed import Requests
from course.tasks.next_day import NextDay
from course.world import World

DAYS = 15.0
"""Of the log's end that are learned from; chapter 07 takes more, and more passes."""


class Named:
    """One source of a `FirstSystem`, as a `course.recommender.Recommender` asks for it.

    Parameters
    ----------
    system : FirstSystem
    number : int, which of its sources
    """

    def __init__(self, system: FirstSystem, number: int):
        self._system, self._number = system, number
        self.name = system.sources[number][0]

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """Videos (r, m), best first, and scores that say nothing."""
        videos = self._system.named(requests)[self._number].astype(np.int32)
        return videos, np.zeros(videos.shape, np.float32)


def train_second_stage(
    world: World, system: FirstSystem, days: float = DAYS, passes: int = 3
) -> Recommender:
    """The same candidates, ordered by chapter 07's network instead: by expected watch time."""
    task = NextDay(world, 20, first_day=float(world.config.days) - days)
    scales = Scales(task.train)
    hit, minutes = task.label("clicked"), task.label("watched_seconds").float() / 60
    ranker = Ranker(InputLayer(task.features), (64, 32), best_constant(hit, minutes))
    train_ranker(ranker, scales(task.train), hit, minutes, passes=passes, decay=3e-4)

    def score(batch: RankingBatch) -> np.ndarray:
        return logits_of(ranker, scales(batch))

    sources = [Named(system, number) for number in range(len(system.sources))]
    return Recommender(sources, task.features, score, task.logs)
