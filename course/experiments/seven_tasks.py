"""Seven tasks on the impressions of one world: labels, context, training, measuring (chapter 08).

Engagement: click, watch time, completion. Satisfaction: like, dismissal, share, rating.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from course.experiments.ranking import RankingTask, fit_pages
from course.features import RankingInputs
from course.features.batch import RankingBatch
from course.models.multitask import Multitask, MultitaskLoss, Task
from course.models.ranking import InputLayer
from course.tasks.seven_tasks import CONTEXT, expected_labels, labels, measure
from course.training import evaluating
from course.world import World

TASKS = (
    Task("click", "binary", "engagement", 1.0),
    Task("watch time", "regression", "engagement", 0.1),
    Task("completion", "binary", "engagement", 0.1),
    Task("like", "binary", "satisfaction", 0.1),
    Task("dismissal", "binary", "satisfaction", 1.0),
    Task("share", "binary", "satisfaction", 0.1),
    Task("rating", "regression", "satisfaction", 0.03),
)
"""Watch time is learned as the watched share of the video, 0 to 1; its length is known.

The weights of the losses are set by hand, rarer labels lower. With equal weights the rarest one,
a few answers in each batch, shakes the shared layers so much that everything is learned worse.
"""

__all__ = ["CONTEXT", "TASKS", "MultitaskRanker", "SevenTasks", "measure", "train"]
CONTEXT_WIDTH = sum(len(names) for names in CONTEXT.values())
EPOCHS, LEARNING_RATE = 2, 1e-2


def context_of(inputs: RankingInputs) -> np.ndarray:
    """Context features (n, 13) float32: format, device and part of the day, one column each."""
    parts = [np.eye(len(names), dtype=np.float32)[inputs.column(name)]
             for name, names in CONTEXT.items()]  # fmt: skip
    return np.concatenate(parts, axis=1)


class SevenTasks:
    """One world's impressions with labels for seven tasks, and fresh pages to be judged on.

    Parameters
    ----------
    world : World
    test_pages : fresh pages on the day after the log, under the ranking that made it

    Attributes
    ----------
    task : RankingTask, with features and inputs
    labels, context : tensors (n, 7) and (n, 13), beside ``task.train``
    test_context : tensor beside ``task.test``
    truth : DataFrame, a column for each task: what really to expect of the fresh cards
    """

    def __init__(self, world: World, test_pages: int = 8_000):
        self.world = world
        self.task = task = RankingTask(world, test_pages)
        self.features, self.train, self.test = task.features, task.train, task.test
        seconds = task.inputs.column("duration")
        self.labels = torch.from_numpy(labels(task.rows, seconds))
        self.context = torch.from_numpy(context_of(task.inputs))
        self.test_context = torch.from_numpy(context_of(task.test_inputs))
        self.truth = expected_labels(
            task.next_day.truth, task.test_inputs.column("duration"), "p_click", "p_dismiss"
        )


def relation(data: SevenTasks) -> np.ndarray:
    """Correlation (7, 7) of what is truly to expect of cards that are looked at."""
    truth = data.task.next_day.truth
    looked_at = truth.assign(p_dismiss=truth["p_dismiss"] / truth["p_seen"])
    seconds = data.task.test_inputs.column("duration")
    return np.corrcoef(expected_labels(looked_at, seconds, "p_click_if_seen", "p_dismiss").T)


class MultitaskRanker(nn.Module):
    """Input layer, and a multitask model on top of it.

    Parameters
    ----------
    inputs : InputLayer
    model : Multitask
    crosses : also feed the products of each continuous feature with each context feature
    """

    def __init__(self, inputs: InputLayer, model: Multitask, crosses: bool = False):
        super().__init__()
        self.inputs, self.model, self.crosses = inputs, model, crosses

    def vectors(self, batch: RankingBatch, context: Tensor) -> Tensor:
        """What the model reads (n, width)."""
        x = self.inputs(batch)
        if not self.crosses:
            return x
        pairs = batch.numbers[:, :, None] * context[:, None, :]
        return torch.cat([x, pairs.flatten(1)], dim=1)

    def forward(self, batch: RankingBatch, context: Tensor) -> Tensor:
        """Outputs (n, K)."""
        return self.model(self.vectors(batch, context), context)

    def predict(self, batch: RankingBatch, context: Tensor, chunk: int = 2_000) -> pd.DataFrame:
        """Predictions, a column for each task: probabilities, watched share, stars."""
        parts = []
        with evaluating(self):
            for pages in torch.arange(batch.pages).split(chunk):
                rows = batch.rows(pages)
                out = self.model.predict(self.vectors(batch[pages], context[rows]), context[rows])
                parts.append({name: p.numpy() for name, p in out.items()})
        return pd.DataFrame({n: np.concatenate([p[n] for p in parts]) for n in parts[0]})

    def gates(self, batch: RankingBatch, context: Tensor, pages: int = 2_000) -> np.ndarray:
        """Mean gate probabilities (K, E) over the cards of some pages."""
        some = torch.arange(min(pages, batch.pages))
        rows = batch.rows(some)
        with evaluating(self):
            x = self.vectors(batch[some], context[rows])
            return self.model.gates(x, context[rows]).mean(dim=0).numpy()


def input_width(data: SevenTasks, crosses: bool = False) -> int:
    """Numbers that a model reads for each card."""
    width = InputLayer(data.features).width
    return width + data.train.numbers.shape[1] * CONTEXT_WIDTH if crosses else width


def train(
    data: SevenTasks,
    make: Callable[[int, int], Multitask],
    *,
    crosses: bool = False,
    seed: int = 0,
    **options,
) -> MultitaskRanker:
    """Train one contestant; every one is trained by this recipe.

    Parameters
    ----------
    make : function (width of the input, seed) -> model
    crosses : see `MultitaskRanker`
    **options : of `course.experiments.ranking.fit_pages`, such as ``learning_rate``
    """
    inputs = InputLayer(data.features, seed=seed)
    ranker = MultitaskRanker(inputs, make(input_width(data, crosses), seed), crosses)
    ranker.model.start_at(data.labels)
    loss = MultitaskLoss(ranker.model.tasks, data.labels)

    def batch_loss(batch: RankingBatch, rows: Tensor) -> Tensor:
        return loss(ranker(batch, data.context[rows]), rows)

    ranker.history = fit_pages(
        ranker,
        data.train,
        batch_loss,
        seed=seed,
        **{"epochs": EPOCHS, "learning_rate": LEARNING_RATE, **options},
    )
    return ranker
