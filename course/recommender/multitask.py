"""The ranker of the whole system: one shared layer, experts, a head for each task, and a shallow
tower whose logit goes to the heads of engagement only (P2, Fig. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from course.errors import ConfigError
from course.features import RankingFeatures, RankingInputs
from course.features.batch import RankingBatch
from course.features.taxonomy import QUERY_CODES
from course.logs.tables import Logs
from course.models.combination import Combination
from course.models.multitask import MixtureOfExperts, Task
from course.models.position_bias import ShallowTower
from course.models.ranking import InputLayer
from course.recommender.pipeline import Recommender
from course.recommender.sources import Source
from course.simulator.names import DEVICES
from course.training import evaluating

EXPERTS, EXPERT_WIDTHS, SHARED = 8, (16,), 48


class FinalRanker(nn.Module):
    """Features to predictions of several tasks.

    Parameters
    ----------
    features : RankingFeatures
    tasks : what to predict; those of the group "engagement" get a shallow logit
    positions : places on a page, for the shallow tower; 0 = no shallow tower
    seed : of the starting weights

    Raises
    ------
    ConfigError
        If there is to be a shallow tower and no task of engagement to receive its logit.
    """

    def __init__(
        self,
        features: RankingFeatures,
        tasks: Sequence[Task],
        positions: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        self.features = features
        self.inputs = InputLayer(features, seed=seed)
        self.model = MixtureOfExperts(
            self.inputs.width, tasks, EXPERTS, EXPERT_WIDTHS, SHARED, seed=seed
        )
        self.engaged = [k for k, task in enumerate(tasks) if task.group == "engagement"]
        if positions and not self.engaged:
            raise ConfigError(
                f"groups={[task.group for task in tasks]}", allowed='one task of "engagement"'
            )
        self.shallow = None
        if positions:
            self.shallow = ShallowTower(positions, len(DEVICES), heads=len(self.engaged))

    def forward(self, batch: RankingBatch, position: Tensor | None = None) -> Tensor:
        """Outputs (n, K): logits of binary tasks, values of the others.

        Parameters
        ----------
        position : (n,) int64, where the cards stood, 1 = top; None = not placed yet
        """
        out = self.model(self.inputs(batch))
        if self.shallow is None:
            return out
        device = batch.query_codes[:, QUERY_CODES.index("device")][batch.page]
        logit = self.shallow(position, device).reshape(len(out), -1)
        more = torch.zeros_like(out)
        more[:, self.engaged] = logit
        return out + more

    def predict(
        self, batch: RankingBatch, position: Tensor | None = None, chunk: int = 2_000
    ) -> dict[str, np.ndarray]:
        """Predictions (n,) by task: probabilities of binary tasks, values of the others."""
        parts = []
        with evaluating(self):
            for pages in torch.arange(batch.pages).split(chunk):
                at = None if position is None else position[batch.rows(pages)]
                parts.append(self(batch[pages], at))
        out = torch.cat(parts) if parts else torch.zeros(0, len(self.model.tasks))
        for k, task in enumerate(self.model.tasks):
            if task.kind == "binary":
                out[:, k] = torch.sigmoid(out[:, k])
        return {name: out[:, k].numpy() for k, name in enumerate(self.model.names)}


class MultitaskRecommender(Recommender):
    """The whole system: sources, a `FinalRanker`, and weights that were set by hand.

    Parameters
    ----------
    sources : candidate sources with different names
    ranker : FinalRanker
    combination : Combination over the names that ``factors`` makes
    factors : function (predictions, seconds of each video (n,)) -> name -> (n,) numbers above 0
    logs : the log as of now
    """

    def __init__(
        self,
        sources: Sequence[Source],
        ranker: FinalRanker,
        combination: Combination,
        factors: Callable[[Mapping[str, np.ndarray], np.ndarray], Mapping[str, np.ndarray]],
        logs: Logs,
    ):
        super().__init__(sources, ranker.features, self._no_score, logs)
        self.ranker, self.combination, self.factors = ranker, combination, factors

    def scores(self, inputs: RankingInputs) -> np.ndarray:
        """Combined scores (n,) of cards."""
        predictions = self.ranker.predict(RankingBatch.of(inputs, self.features))
        return self.combination.score(self.factors(predictions, inputs.column("duration")))

    @staticmethod
    def _no_score(batch: RankingBatch) -> np.ndarray:
        raise ConfigError("this system scores inputs, not batches", fix="call system.scores")
