"""Candidate sources: each finds videos that fit a request in one sense (P2 section 3).

A source is called with `Requests` and returns videos (r, k), best first, -1 where it finds no
more, and a score for each of them. Scores of different sources are not comparable: that is what
the ranker is for.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix

from course.errors import LogError
from course.features import NONE, History
from course.features.vocabulary import Vocabulary
from course.logs.tables import Logs
from course.models.candidate_generation import CandidateGenerator
from course.models.gramian import ContextModel, fit_context_model
from course.retrieval import Index
from course.simulator.feed import Requests
from course.simulator.names import DAYPARTS, DEVICES
from course.training import check_whole

SEEDS = 5
"""On the home page a source that starts from a video starts from the last few watches."""


class Source(Protocol):
    """What the recommender asks of a source."""

    name: str

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """Videos (r, k) int32, best first, -1 = none, and their scores (r, k) float32."""


def seeds(requests: Requests, n: int = SEEDS) -> np.ndarray:
    """Videos (r, n) to start from: the query video, or on the home page the last watches."""
    out = np.asarray(requests.recent_videos)[:, :n].copy()
    up_next = np.asarray(requests.query_video) >= 0
    out[up_next] = NONE
    out[up_next, 0] = np.asarray(requests.query_video)[up_next]
    return out


class TopicMatch:
    """What is watched a lot these days in the topic of the seeds, in the account's language.

    Without a seed: what is watched a lot in the language.

    Parameters
    ----------
    logs : the training log
    k : videos for each seed
    days : how far "these days" reach back
    """

    name = "topic match"

    def __init__(self, logs: Logs, k: int = 30, days: float = 3.0):
        check_whole("k", k, 1)
        if logs.watches.empty:
            raise LogError("There are no watches to count", fix="take a later day of the log")
        v, w = logs.videos, logs.watches
        recent = w["video_id"][w["time"] > w["time"].max() - days]
        count = np.bincount(recent, minlength=len(v)).astype(np.float32)
        self._topic = v["topic"].cat.codes.to_numpy().astype(int)
        language = v["language"].cat.codes.to_numpy().astype(int)
        self._language = logs.users["language"].cat.codes.to_numpy().astype(int)
        topics, self._anything = len(v["topic"].cat.categories), len(v["topic"].cat.categories)
        shape = (len(v["language"].cat.categories), topics + 1, k)
        self._best, self._score = np.full(shape, NONE, np.int32), np.zeros(shape, np.float32)
        order = np.argsort(-count, kind="stable")
        for group in np.ndindex(shape[:2]):  # a hundred small groups
            of_group = language[order] == group[0]
            if group[1] < topics:
                of_group &= self._topic[order] == group[1]
            best = order[of_group][:k]
            self._best[group][: len(best)] = best
            self._score[group][: len(best)] = np.log1p(count[best])

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """See `Source`."""
        seed = seeds(requests)
        topic = np.where(seed >= 0, self._topic[seed], self._anything)
        # The same topic twice would bring nothing new: it gives way to the language's favourites.
        for i in range(1, topic.shape[1]):
            twice = (topic[:, :i] == topic[:, i : i + 1]).any(axis=1)
            topic[twice, i] = self._anything
        language = np.broadcast_to(self._language[requests.user][:, None], topic.shape)
        r = len(requests)
        videos = self._best[language, topic].transpose(0, 2, 1).reshape(r, -1)
        scores = self._score[language, topic].transpose(0, 2, 1).reshape(r, -1)
        return videos, scores


class CoWatch:
    r"""What the same accounts watched soon before or after the seeds.

    .. math:: s_{ij} = \frac{n_{ij}}{\sqrt{n_i n_j}}

    with :math:`n_{ij}` how often j was watched within ``window`` watches of i.

    Parameters
    ----------
    logs : the training log
    k : videos for each seed
    window : how many watches apart still counts as together
    """

    name = "co-watch"

    def __init__(self, logs: Logs, k: int = 30, window: int = 5):
        check_whole("k", k, 1)
        check_whole("window", window, 1)
        if logs.watches.empty:
            raise LogError("There are no watches to count", fix="take a later day of the log")
        w, n = logs.watches, len(logs.videos)
        user, video = w["user_id"].to_numpy(), w["video_id"].to_numpy()
        before = History(user, w["time"].to_numpy(), video).bags(
            user, w["time"].to_numpy(), window
        )  # (m, window): what was watched before each watch
        left, right = np.repeat(video, window), before.ravel()
        pairs = (right >= 0) & (right != left)
        ones = np.ones(int(pairs.sum()), np.float32)
        table = csr_matrix((ones, (left[pairs], right[pairs])), shape=(n, n))
        table = table + table.T
        count = np.sqrt(np.maximum(np.bincount(video, minlength=n), 1)).astype(np.float32)
        table = csr_matrix(table.multiply(1.0 / count[:, None]).multiply(1.0 / count[None, :]))
        self._best, self._score = _largest(table, k)

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """See `Source`."""
        seed = seeds(requests)
        videos = np.where((seed >= 0)[:, :, None], self._best[seed], NONE)
        scores = np.where(videos >= 0, self._score[seed], 0.0).astype(np.float32)
        r = len(requests)
        return videos.transpose(0, 2, 1).reshape(r, -1), scores.transpose(0, 2, 1).reshape(r, -1)


class SequenceModel:
    """The deep candidate generator: what this account watches next, given what it watched.

    Parameters
    ----------
    model : a trained CandidateGenerator
    k : videos
    index : Index of ``model.video_vectors()``; None = exact search
    """

    name = "sequence"

    def __init__(self, model: CandidateGenerator, k: int = 100, index: Index | None = None):
        check_whole("k", k, 1)
        self.model, self.index = model, index or Index(model.video_vectors())
        self.k = min(k, len(self.index))

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """See `Source`."""
        rows, scores = self.index.search(self.model.user_vectors(requests), self.k)
        vocabulary = self.model.features.videos
        return vocabulary.decode(np.where(rows < 0, vocabulary.padding, rows)), scores

    def video_vectors(self) -> np.ndarray:
        """Vectors (V, d) that the index holds."""
        return self.model.video_vectors()


class ContextAware:
    """What is watched in this context: seed video, device, part of the day, language, age band.

    A two-tower model that is trained against all other videos by Gramians.

    Parameters
    ----------
    logs : the training log
    k : videos
    seed : of the training
    **model : options of `course.models.gramian.ContextModel`
    """

    name = "context"

    def __init__(self, logs: Logs, k: int = 100, seed: int = 0, epochs: int = 3, **model):
        check_whole("k", k, 1)
        v, u, w = logs.videos, logs.users, logs.watches
        self._people = np.stack(
            [u[name].cat.codes.to_numpy().astype(np.int64) for name in ("language", "age_band")],
            axis=1,
        )
        self.videos = Vocabulary(w["video_id"].to_numpy())
        traits = [v[name].cat for name in ("topic", "language", "format")]
        codes = [t.codes.to_numpy().astype(np.int64)[self.videos.ids] for t in traits]
        self._catalogue = np.column_stack([np.arange(len(self.videos)), *codes])
        sizes = [len(self.videos), len(DEVICES), len(DAYPARTS),
                 len(u["language"].cat.categories), len(u["age_band"].cat.categories)]  # fmt: skip
        video_sizes = [len(self.videos), *(len(t.categories) for t in traits)]
        self.model = ContextModel(sizes, video_sizes, seed=seed, **model)
        user, time = w["user_id"].to_numpy(), w["time"].to_numpy()
        before = History(user, time, w["video_id"].to_numpy()).bags(user, time, 1)[:, 0]
        context = self._codes(user, before, w["device"].cat.codes, w["daypart"].cat.codes)
        label = self.videos.encode(w["video_id"].to_numpy())
        self.history = fit_context_model(
            self.model, context, label, self._catalogue, epochs=epochs, seed=seed
        )
        self.index = Index(self.video_vectors())
        self.k = min(k, len(self.index))

    def video_vectors(self) -> np.ndarray:
        """Vectors (V, d) that the index holds."""
        with torch.no_grad():
            return self.model.videos(torch.from_numpy(self._catalogue)).numpy()

    def _codes(self, user, seed, device, daypart) -> np.ndarray:
        return np.column_stack(
            [self.videos.encode(seed), device, daypart, self._people[user]]
        ).astype(np.int64)

    def __call__(self, requests: Requests) -> tuple[np.ndarray, np.ndarray]:
        """See `Source`."""
        codes = self._codes(
            requests.user, seeds(requests, 1)[:, 0], requests.device, requests.daypart
        )
        with torch.no_grad():
            contexts = self.model.contexts(torch.from_numpy(codes)).numpy()
        rows, scores = self.index.search(contexts, self.k)
        return self.videos.decode(np.where(rows < 0, self.videos.padding, rows)), scores


def _largest(table: csr_matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest entries of each row: columns (n, k) int32, -1 = none, and values (n, k)."""
    n = table.shape[0]
    row = np.repeat(np.arange(n), np.diff(table.indptr))
    order = np.lexsort((table.indices, -table.data, row))
    place = np.arange(len(row)) - table.indptr[row]
    kept = place < k
    columns, values = np.full((n, k), NONE, np.int32), np.zeros((n, k), np.float32)
    columns[row[kept], place[kept]] = table.indices[order][kept]
    values[row[kept], place[kept]] = table.data[order][kept]
    return columns, values
