"""Ways to train one candidate generator: all videos, a sample under several laws, a tree.

The model sees watches only and has one ReLU layer; everything but the loss is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from course.experiments.next_watch import CHUNK, NextWatch, fit_model
from course.logs.tables import Logs
from course.models.candidate_generation import (
    Batch,
    CandidateGenerator,
    training_set,
)
from course.models.factorization import popularity_scores
from course.models.softmax import FullSoftmax, HierarchicalSoftmax, SampledSoftmax
from course.world import simulate

NEGATIVES = 500
LADDER = (10, 100, 1_000)
TEMPERATURES = (0.05, 0.1, 0.2)
GROUPS = 10
HEAD = 0.05
SHOWN = 20
QUICK_EXAMPLES = 40_000
_QUICK: dict[tuple, dict] = {}
"""Trainings that a slider has made already."""

RECALL = (20, 50, 100)


@dataclass(frozen=True)
class Setting:
    """A guessing game with its training examples, prepared once for many trainings."""

    game: NextWatch
    data: Batch
    signals: tuple[str, ...]

    @property
    def counts(self) -> np.ndarray:
        """How often each video of the vocabulary was watched."""
        return self.game.features.videos.counts

    def fit(self, softmax=None, *, kind=CandidateGenerator, seed=0, **options):
        """Train a model with this loss; ``options`` of the training and of the model."""
        training = {
            name: options.pop(name) for name in ("epochs", "batch", "progress") if name in options
        }
        made = kind(
            self.game.features, self.signals, softmax=softmax, seed=seed, **{"depth": 1, **options}
        )
        made.history = fit_model(made, self.data, seed=seed, **training)
        return made


def prepare(
    logs: Logs, signals: tuple[str, ...] = ("watches",), examples: int | None = None, seed: int = 0
) -> Setting:
    """Cut the log and make inputs and labels; ``examples`` = take so many at random."""
    game = NextWatch(logs)
    rows = game.examples()
    if examples is not None and examples < len(rows):
        rows = rows.sample(examples, random_state=seed)
    return Setting(game, training_set(game.features, game.train, rows), signals)


def topic_tree(logs: Logs, ids: np.ndarray) -> np.ndarray:
    r"""Clusters (V,) of about :math:`\sqrt V` videos: neighbours in language, topic and time.

    Parameters
    ----------
    ids : (V,) the videos of the vocabulary
    """
    v = logs.videos.iloc[ids]
    order = np.lexsort((v["uploaded"], v["topic"].cat.codes, v["language"].cat.codes))
    cluster = np.empty(len(ids), np.int64)
    cluster[order] = np.arange(len(ids)) // round(len(ids) ** 0.5)
    return cluster


def random_tree(n: int, seed: int = 0) -> np.ndarray:
    """Clusters (n,) of the same sizes, made of videos that have nothing to do with each other."""
    return np.random.default_rng(seed).permutation(n) // round(n**0.5)


def ways(setting: Setting, seed: int = 0) -> dict[str, Callable[[], torch.nn.Module]]:
    """Every way to train, by name."""
    made: dict[str, Callable] = {"full": FullSoftmax}
    for law in ("uniform", "popularity", "zipf", "in-batch"):
        for correct, name in ((True, f"{law}, corrected"), (False, law)):
            made[name] = functools.partial(SampledSoftmax, setting.counts, NEGATIVES, law, correct)
    features = setting.game.features
    for name, clusters in (
        ("topic tree", topic_tree(setting.game.train, features.videos.ids)),
        ("random tree", random_tree(len(features.videos), seed)),
    ):
        made[name] = functools.partial(HierarchicalSoftmax, clusters)
    return made


def popularity_groups(counts: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Group (V,) of each video: each holds the same share of all watches, group 0 the rarest."""
    order = np.argsort(counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    group = np.empty(len(counts), np.int64)
    group[order] = np.minimum(groups * before // counts.sum(), groups - 1)
    return group


def expectation(
    setting: Setting, model: CandidateGenerator, events=None, shown: int = SHOWN
) -> dict[str, np.ndarray | float]:
    """Where a model expects the next watch, and where it was.

    Returns
    -------
    dict with ``expected`` and ``actual`` (groups,), the share of each group of
    `popularity_groups`; ``head`` and ``actual_head``, the same of the 5 % most watched videos;
    ``watches``, the mean number of watches in training of the ``shown`` best videos of each event
    """
    game, videos = setting.game, setting.game.features.videos
    events = game.events if events is None else events
    events = events[videos.encode(events["video_id"].to_numpy()) != videos.padding]
    group, target = popularity_groups(videos.counts), game.features.labels(events)
    head = max(1, round(HEAD * len(videos)))  # rows run from the most to the least watched
    scores, mass, watches = game.catalogue_scores(model, events), np.zeros(len(videos)), 0.0
    for start in range(0, len(events), CHUNK):
        part = slice(start, start + CHUNK)
        rows = np.where(game.hidden(events.iloc[part]), -np.inf, scores(part))[:, videos.ids]
        mass += torch.softmax(torch.from_numpy(rows), dim=1).sum(dim=0).numpy()
        best = np.argpartition(-rows, shown - 1, axis=1)[:, :shown]
        watches += videos.counts[best].mean(axis=1).sum()
    mass = mass / mass.sum()
    return {
        "expected": np.bincount(group, weights=mass, minlength=GROUPS),
        "actual": np.bincount(group[target], minlength=GROUPS) / len(target),
        "head": float(mass[:head].sum()),
        "actual_head": float((target < head).mean()),
        "watches": watches / len(events),
    }


def floor(game: NextWatch) -> dict[str, float]:
    """Popularity of the last week, in the account's language: what needs no model."""
    scores = popularity_scores(game.train, days=7.0, by_language=True)
    spoken = game.logs.users["language"].cat.codes.to_numpy()[game.events["user_id"]]
    return game.measure(lambda part: scores[spoken[part]], recall=RECALL)


class CosineGenerator(CandidateGenerator):
    """The same model with vectors of length 1 on both sides, over a temperature, and no bias.

    This is the model of Yi et al. (2019), who sample negatives from the batch.
    """

    temperature = 0.1

    def forward(self, batch: Batch) -> torch.Tensor:
        """User vectors (n, dim + 1) of length 1 / temperature, the last number a 0."""
        user = functional.normalize(super().forward(batch)[:, :-1], dim=1) / self.temperature
        return functional.pad(user, (0, 1))

    def _videos(self) -> torch.Tensor:
        return functional.pad(functional.normalize(self.output.weight[:, :-1], dim=1), (0, 1))

    def loss(self, batch: Batch) -> torch.Tensor:
        """Training loss of a batch."""
        return self.softmax(self(batch), self._videos(), batch.label)

    def scores(self, of) -> np.ndarray:
        """Scores (n, V) float32 of all videos."""
        return self.user_vectors(of) @ self._videos().detach().numpy().T


@functools.lru_cache(maxsize=4)
def _small_setting(seed: int, examples: int) -> Setting:
    return prepare(simulate("small", seed=seed).logs(), examples=examples, seed=seed)


def quick(
    negatives: int,
    law: str = "popularity",
    correct: bool = True,
    seed: int = 7,
    progress: Callable | None = None,
) -> dict[str, np.ndarray | float]:
    """A training of about a second (40,000 examples, one epoch), for a slider.

    Parameters
    ----------
    negatives : int; 0 = the full softmax
    progress : called after each step with (steps done, steps in all, loss)

    Returns
    -------
    what `expectation` returns, and ``mrr``, both on about 2,000 events
    """
    known = (negatives, law, correct, seed)
    if known not in _QUICK:
        setting = _small_setting(seed, QUICK_EXAMPLES)
        events = setting.game.events
        events = events.iloc[:: max(1, len(events) // 2_000)]
        softmax = SampledSoftmax(setting.counts, negatives, law, correct) if negatives else None
        model = setting.fit(softmax, depth=0, epochs=1, seed=seed, progress=progress)
        rank = setting.game.rank(setting.game.catalogue_scores(model, events), events)
        mrr = float(np.mean(1.0 / rank))
        _QUICK[known] = {"mrr": mrr, **expectation(setting, model, events)}
    return dict(_QUICK[known])
