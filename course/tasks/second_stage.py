"""The trained ranking that chapter 00 puts beside the reader's counts, on the same candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course.features.batch import RankingBatch
from course.lessons.first_system import FirstSystem, count_pairs
from course.lessons.ranking_features import InputLayer, Scales
from course.lessons.watch_time import Ranker, best_constant, logits_of, train_ranker
from course.simulator.feed import Policy, Requests
from course.simulator.policies import top
from course.tasks.next_day import NextDay
from course.world import World

DAYS = 15.0
"""Of the log's end that are learned from; chapter 07 takes more, and more passes."""


def train_second_stage(
    world: World, system: FirstSystem, days: float = DAYS, passes: int = 3
) -> Policy:
    """The same candidates, ordered by chapter 07's network instead: by expected watch time."""
    task = NextDay(world, 20, first_day=float(world.config.days) - days)
    scales = Scales(task.train)
    hit, minutes = task.label("clicked"), task.label("watched_seconds").float() / 60
    ranker = Ranker(InputLayer(task.features), (64, 32), best_constant(hit, minutes))
    train_ranker(ranker, scales(task.train), hit, minutes, passes=passes, decay=3e-4)

    def score(batch: RankingBatch) -> np.ndarray:
        return logits_of(ranker, scales(batch))

    shown = task.logs.impressions["user_id"], task.logs.impressions["video_id"]
    before = count_pairs(*shown, (len(task.logs.users), system.videos))

    def best(requests: Requests) -> np.ndarray:
        pool = np.zeros((len(requests), system.videos), bool)
        for named in system.named(requests):
            np.put_along_axis(pool, named, True, axis=1)
        videos = np.argsort(~pool, axis=1, kind="stable")[:, : pool.sum(axis=1).max()]
        there, videos = np.take_along_axis(pool, videos, axis=1), videos.astype(np.int32)
        asked = replace(requests, candidates=videos, nominators=np.zeros(videos.shape, np.int8),
                        previous_impressions=before[requests.user[:, None], videos])  # fmt: skip
        scores = score(RankingBatch.of(task.features.of_requests(asked, task.logs)))
        return top(np.where(there, scores.reshape(there.shape), -np.inf), videos, requests.slate)

    return best
