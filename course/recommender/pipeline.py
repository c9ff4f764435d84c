"""From a request to a page: nominate, pool, rank, show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from course.features import NONE, RankingFeatures, RankingInputs
from course.features.batch import RankingBatch
from course.logs.tables import Logs
from course.recommender.pool import Pool, pooled
from course.recommender.sources import Source
from course.simulator.feed import Requests
from course.simulator.policies import top


def as_known(requests: Requests, videos: int) -> Requests:
    """The requests without what was watched of videos numbered ``videos`` and above.

    Those were uploaded after the log that the system learned from.
    """
    recent, query = np.asarray(requests.recent_videos), np.asarray(requests.query_video)
    if max(recent.max(initial=-1), query.max(initial=-1)) < videos:
        return requests
    return replace(
        requests,
        recent_videos=np.where(recent < videos, recent, NONE),
        query_video=np.where(query < videos, query, NONE),
    )


class ImpressionCounts:
    """How often each account was shown each video, as of the end of a log."""

    def __init__(self, logs: Logs):
        i = logs.impressions
        self._videos = len(logs.videos)
        key = self._key(i["user_id"].to_numpy(), i["video_id"].to_numpy())
        self._keys, self._counts = np.unique(key, return_counts=True)

    def __call__(self, user: np.ndarray, video: np.ndarray) -> np.ndarray:
        """Counts in the common shape of account and video."""
        key = self._key(*np.broadcast_arrays(user, video))
        at = np.minimum(np.searchsorted(self._keys, key), max(len(self._keys) - 1, 0))
        if not len(self._keys):
            return np.zeros(key.shape, np.int64)
        return np.where(self._keys[at] == key, self._counts[at], 0)

    def _key(self, user, video):
        return np.asarray(user, np.int64) * self._videos + video


class MostWatched:
    """The most watched videos of all, enough of them to fill a page for anybody: a last resort."""

    name = "most watched"

    def __init__(self, logs: Logs, k: int = 100):
        count = np.bincount(logs.watches["video_id"], minlength=len(logs.videos))
        self._best = np.argsort(-count, kind="stable")[:k].astype(np.int32)
        self._score = np.log1p(count[self._best]).astype(np.float32)

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """See `course.recommender.sources.Source`."""
        shape = (len(requests), len(self._best))
        return np.broadcast_to(self._best, shape), np.broadcast_to(self._score, shape)


class Recommender:
    """Two stages as a policy for live experiments: sources nominate, a ranker orders.

    Use it with ``ab_test(..., candidates="catalogue")``. Where requests bring candidates along
    (``candidates="nominated"``), it ranks those.

    Parameters
    ----------
    sources : candidate sources with different names
    features : RankingFeatures of the ranker
    score : function RankingBatch -> (n,) array, higher = better: the ranker, or a combination of
        the predictions of a multitask ranker
    logs : the log as of now
    """

    def __init__(
        self,
        sources: Sequence[Source],
        features: RankingFeatures,
        score: Callable[[RankingBatch], np.ndarray],
        logs: Logs,
    ):
        self.sources, self.features, self.score, self.logs = tuple(sources), features, score, logs
        self._shown, self._fill = ImpressionCounts(logs), MostWatched(logs)

    def nominate(self, requests: Requests) -> Pool:
        """Candidates of all sources; where they find less than a page, the most watched fill it."""
        pool = pooled(self.sources, requests)
        if len(pool.size) and pool.size.min() < requests.slate:
            pool = pooled([*self.sources, self._fill], requests)
        return pool

    def rank(self, requests: Requests) -> np.ndarray:
        """Scores (r, c) of the candidates that the requests carry.

        Minus infinity where there is none, and for videos uploaded after the log.
        """
        there = (requests.candidates >= 0) & (requests.candidates < len(self.logs.videos))
        asked = replace(requests, candidates=np.where(there, requests.candidates, 0))
        inputs = self.features.of_requests(asked, self.logs)
        return np.where(there, np.asarray(self.scores(inputs)).reshape(there.shape), -np.inf)

    def scores(self, inputs: RankingInputs) -> np.ndarray:
        """Scores (n,) of cards, higher = better."""
        return self.score(RankingBatch.of(inputs, self.features))

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, slate) int."""
        requests = as_known(requests, len(self.logs.videos))
        if requests.candidates is None:
            requests = self.with_candidates(requests, self.nominate(requests))
        return top(self.rank(requests), requests.candidates, requests.slate)

    def with_candidates(self, requests: Requests, pool: Pool) -> Requests:
        """The requests with the pool's candidates, as a feed hands them to a ranker."""
        return replace(
            requests,
            candidates=pool.videos,
            nominators=np.zeros(pool.videos.shape, np.int8),
            previous_impressions=self._shown(requests.user[:, None], np.maximum(pool.videos, 0)),
        )
