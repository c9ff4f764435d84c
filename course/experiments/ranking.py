"""The ranking task of one world, the one training recipe, and a ranker as a live policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from course.errors import LogError
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.logs.tables import Logs
from course.models.watch_time import (
    WatchTimeRanker,
    best_constant,
    click_weights,
    weighted_logistic_loss,
)
from course.simulator.feed import Requests
from course.simulator.policies import offered, top
from course.tasks.next_day import FreshPages, NextDay
from course.training import History, fit
from course.world import World

PAGES_PER_BATCH = 200
LEARNING_RATE = 3e-3
EPOCHS = 2
TEST_PAGES = 10_000
HIDDEN = (128, 64, 32)
"""The course's ranker: an eighth of the widths of P1's last line."""


class RankingTask(NextDay):
    """The first edition's task: the same, with quantiles for numbers."""

    def __init__(self, world: World, test_pages: int = TEST_PAGES, **options):
        super().__init__(world, test_pages, **options)

    @property
    def next_day(self) -> FreshPages:
        """The fresh cards and their truth."""
        return self.fresh

    @cached_property
    def train(self) -> RankingBatch:
        """The training cards as tensors."""
        return RankingBatch.of(self.inputs, self.features)

    @cached_property
    def test(self) -> RankingBatch:
        """The fresh cards as tensors."""
        return RankingBatch.of(self.test_inputs, self.features)

    def loss(self, scores: np.ndarray, per_user: bool = False) -> float:
        """Weighted per-user loss of scores (n,) of the fresh cards, in percent."""
        return self.offline(scores)["loss by account" if per_user else "loss"]


def fit_pages(
    model: nn.Module,
    batch: RankingBatch,
    loss: Callable[[RankingBatch, Tensor], Tensor],
    *,
    epochs: int = EPOCHS,
    learning_rate: float = LEARNING_RATE,
    pages_per_batch: int = PAGES_PER_BATCH,
    seed: int = 0,
    parameters=None,
    progress=None,
) -> History:
    """Train on whole pages, so that what belongs to the page is computed once for all its cards.

    Parameters
    ----------
    loss : function (batch of some pages, rows (m,) of their cards among all cards) -> scalar; the
        rows say where the labels stand
    parameters : groups of parameters as in `course.training.fit`; None = all of the model
    """

    def batch_loss(pages: Tensor) -> Tensor:
        return loss(batch[pages], batch.rows(pages))

    model.train()
    history = fit(
        list(model.parameters()) if parameters is None else parameters, batch_loss, batch.pages,
        epochs=epochs, batch=pages_per_batch, learning_rate=learning_rate, seed=seed,
        progress=progress,
    )  # fmt: skip
    model.eval()
    return history


def fit_ranker(
    task: RankingTask,
    hidden: Sequence[int] = HIDDEN,
    objective: str = "watch",
    *,
    weight: np.ndarray | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
    learning_rate: float = LEARNING_RATE,
    progress=None,
    **inputs,
) -> WatchTimeRanker:
    """Train a ranker for expected watch time ("watch") or for clicks ("click").

    Parameters
    ----------
    hidden : widths of the ReLU layers; empty = a linear model
    weight : (n,) float or None; what a click on each training card weighs, in place of what the
        objective says
    **inputs : options of `course.models.ranking.InputLayer`, such as ``powers=False``

    Returns
    -------
    WatchTimeRanker, with its training in ``history``
    """
    rows, clicked = task.rows, task.label("clicked")
    if weight is None:
        weight = click_weights(rows["clicked"], rows["watched_seconds"], objective)
    else:
        weight = _own_weights(weight, len(rows))
    bias = best_constant(rows["clicked"], weight.numpy())
    model = WatchTimeRanker(task.features, hidden, bias=bias, seed=seed, **inputs)

    def loss(batch: RankingBatch, rows: Tensor) -> Tensor:
        return weighted_logistic_loss(model(batch), clicked[rows], weight[rows])

    model.history = fit_pages(model, task.train, loss, epochs=epochs, seed=seed,
                              learning_rate=learning_rate, progress=progress)  # fmt: skip
    return model


def multiplications(model: nn.Module) -> int:
    """Multiplications for the score of one card, without those of looking embeddings up."""
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))


def _own_weights(weight, n: int) -> Tensor:
    weight = np.asarray(weight, np.float32)
    if weight.shape != (n,):
        raise LogError(f"weights have shape {weight.shape}", allowed=f"({n},), one for each card")
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        raise LogError(f"a weight is {weight[bad][0]}", allowed="0 or more, finite")
    return torch.from_numpy(weight)


@dataclass
class RankerPolicy:
    """Shows the candidates with the highest score: a ranker in front of live people.

    Parameters
    ----------
    features : RankingFeatures
    score : function RankingBatch -> (n,) array, higher = better
    logs : the log to look back into; None = the one that the features were fitted on
    """

    features: RankingFeatures
    score: Callable[[RankingBatch], np.ndarray]
    logs: Logs | None = None

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        inputs = self.features.of_requests(requests, self.logs)
        scores = np.asarray(self.score(RankingBatch.of(inputs, self.features)))
        videos = offered(requests)
        return top(scores.reshape(videos.shape), videos, requests.slate)


class PairScorer:
    """The score of a candidate generator for (page, video) pairs: a feature of the ranker.

    It is the logarithm of the probability that the generator gives the video as the next watch.
    A video that the generator does not know gets the lowest score on the page.

    Parameters
    ----------
    model : a trained `course.models.candidate_generation.CandidateGenerator`
    """

    def __init__(self, model):
        self.model = model

    def pair_scores(self, logs: Logs, moments: dict, page: np.ndarray, video: np.ndarray):
        """Scores (n,) float32 of the cards; ``page`` (n,) points into the moments."""
        f = self.model.features
        names = {"user_id": "user", "time": "time", "device": "device", "daypart": "daypart"}
        frame = pd.DataFrame({column: moments[name] for column, name in names.items()})
        row = f.videos.encode(video)
        out = np.empty(len(video), np.float32)
        for first in range(0, len(frame), 4_096):
            cards = slice(*np.searchsorted(page, [first, first + 4_096]))
            inputs = f.of_examples(logs, frame.iloc[first : first + 4_096])
            scores = self.model.scores(inputs)
            scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
            scores = np.c_[scores, scores.min(axis=1)]  # the last column: unknown videos
            out[cards] = scores[page[cards] - first, row[cards]]
        return out
