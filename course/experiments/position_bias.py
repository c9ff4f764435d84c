"""Click models under the treatments of position bias, in front of live people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from course.experiments.ranking import RankingTask
from course.features import RankingFeatures
from course.features.ranking import QUERY_CODES
from course.models.position_bias import (
    ClickModel,
    pieces,
)
from course.models.ranking import RankingBatch
from course.simulator.feed import Requests
from course.simulator.names import DEVICES
from course.simulator.policies import offered, top
from course.world import World


class BiasTask(RankingTask):
    """A ranking task with positions and devices.

    Parameters
    ----------
    world : World
    **options : of `RankingTask`

    Attributes
    ----------
    position, device, clicked : (n,) int64, int64, float32 tensors of the training cards
    slate : int, positions on a page
    """

    def __init__(self, world: World, **options):
        super().__init__(world, **options)
        self.slate = world.config.slate
        self.position, self.device, self.clicked = places(self.rows)

    @property
    def log_seen(self) -> np.ndarray:
        """True log P(seen), relative to position 1 (devices, positions). For evaluation only."""
        at, device = np.meshgrid(np.arange(1, self.slate + 1), np.arange(len(DEVICES)))
        return np.log(self.world.truth.examination(at, device))


def places(rows: pd.DataFrame) -> tuple[Tensor, Tensor, Tensor]:
    """Position, device and click of impressions as tensors (n,)."""
    return (
        torch.from_numpy(rows["position"].to_numpy().astype(np.int64)),
        torch.from_numpy(rows["device"].cat.codes.to_numpy().astype(np.int64)),
        torch.from_numpy(rows["clicked"].to_numpy().astype(np.float32)),
    )


def device_of(batch: RankingBatch) -> Tensor:
    """The device of each card of a batch (n,) int64."""
    return batch.query_codes[:, QUERY_CODES.index("device")][batch.page]


@dataclass
class SharedInputs:
    """Remembers the inputs of the latest page requests, which several rankers are asked about."""

    features: RankingFeatures
    _asked: tuple = field(default=(), repr=False)
    _batch: RankingBatch | None = field(default=None, repr=False)

    def __call__(self, requests: Requests) -> RankingBatch:
        """Inputs of all candidates."""
        asked = (requests.request.tobytes(), requests.candidates.tobytes())
        if asked != self._asked:
            inputs = self.features.of_requests(requests)
            self._asked, self._batch = asked, RankingBatch.of(inputs, self.features)
        return self._batch


def served(model: ClickModel, batch: RankingBatch) -> np.ndarray:
    """Scores of the cards of a batch (n,), as they are ranked by."""
    device = device_of(batch)
    return torch.cat([model.serve(part, device[rows]) for part, rows in pieces(batch)]).numpy()


def policy(model: ClickModel, inputs: SharedInputs) -> Callable[[Requests], np.ndarray]:
    """A live policy that shows the candidates with the highest score."""

    def ranked(requests: Requests) -> np.ndarray:
        videos = offered(requests)
        scores = served(model, inputs(requests)).reshape(videos.shape)
        return top(scores, videos, requests.slate)

    return ranked


def leaning(task: BiasTask, scores: np.ndarray) -> float:
    """How much an order follows what is watched anyway (-1 to 1).

    Mean over the fresh pages of the rank correlation between scores (n,) and the videos' watches
    so far, which is what the past ranking calls incumbency.
    """
    shape = (-1, task.slate)
    watches = task.test_inputs.column("video watches").reshape(shape)
    ranks = [np.argsort(np.argsort(a, axis=1), axis=1) - (task.slate - 1) / 2
             for a in (np.asarray(scores).reshape(shape), watches)]  # fmt: skip
    return float((ranks[0] * ranks[1]).sum() / (ranks[0] ** 2).sum())
