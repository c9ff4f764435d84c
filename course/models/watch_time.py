r"""Expected watch time by weighted logistic regression (P1 section 4.2).

A logistic regression on clicks in which a click weighs as much as was watched, and a card without
a click weighs 1. Its odds :math:`e^{z}` then learn, where the inputs are x,

.. math:: e^{z(x)} = \frac{P(x)\,E[T \mid \text{click}, x]}{1 - P(x)} = \frac{E[T \mid x]}{1-P(x)},

with P the probability of a click and T the watch time of an impression (0 without a click).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.checks import no_nan, one_each
from course.errors import LogError
from course.features import RankingFeatures
from course.models.ranking import InputLayer, RankingBatch, RankingTower
from course.training import evaluating

SECONDS_PER_UNIT = 60.0
"""Watch time is counted in minutes: the weights of clicks stay near 10, and not near 600."""


def weighted_logistic_loss(logit: Tensor, clicked: Tensor, weight: Tensor) -> Tensor:
    r"""Mean of :math:`w\,y\,\log(1+e^{-z}) + (1-y)\log(1+e^{z})`.

    Parameters
    ----------
    logit : (n,) float, z
    clicked : (n,) bool or float, y
    weight : (n,) float, what a click weighs: its watch time, or 1 for plain logistic regression

    Returns
    -------
    float scalar
    """
    one_each(logit=logit, clicked=clicked, weight=weight)
    clicked = clicked.to(logit.dtype)
    return (weight * clicked * functional.softplus(-logit)
            + (1 - clicked) * functional.softplus(logit)).mean()  # fmt: skip


def click_weights(clicked: np.ndarray, seconds: np.ndarray, objective: str = "watch") -> Tensor:
    """What each card's click weighs (n,) float32: minutes watched ("watch"), or 1 ("click").

    Raises
    ------
    LogError
        For a watch time that is negative or not finite, or time watched without a click.
    """
    one_each(clicked=clicked, seconds=seconds)
    seconds, clicked = np.asarray(seconds, np.float32), np.asarray(clicked, bool)
    bad = ~np.isfinite(seconds) | (seconds < 0)
    if bad.any():
        raise LogError(f"a watch time of {seconds[bad][0]} seconds", allowed="0 or more, finite")
    if (seconds[~clicked] > 0).any():
        raise LogError("time was watched without a click", fix="give 0 seconds where no click was")
    if objective not in ("watch", "click"):
        raise LogError(f"objective={objective!r}", allowed="'watch' or 'click'")
    weight = seconds / SECONDS_PER_UNIT if objective == "watch" else np.ones(len(seconds))
    return torch.from_numpy(weight.astype(np.float32))


def best_constant(clicked: np.ndarray, weight: np.ndarray) -> float:
    r"""The logit of the best constant: :math:`\log(\sum_i w_i y_i / (N - k))`, with k clicks of N.

    Raises
    ------
    LogError
        If nothing, or everything, was clicked: the best constant is then infinite.
    """
    one_each(clicked=clicked, weight=weight)
    clicked, weight = np.asarray(clicked, bool), no_nan("weights", weight).astype(float)
    positive, negative = float(weight[clicked].sum()), int((~clicked).sum())
    if positive <= 0 or negative == 0:
        raise LogError(
            f"{int(clicked.sum())} of {len(clicked)} cards were clicked, for {positive:g} in all",
            allowed="some cards with a click that weighs something, and some without a click",
        )
    return float(np.log(positive / negative))


class WatchTimeRanker(nn.Module):
    """Features, ReLU layers, one logit for each card; its exponential is the expected watch time.

    Parameters
    ----------
    features : RankingFeatures
    hidden : widths of the ReLU layers; empty = a linear model
    bias : first value of the output's bias, best the one of `best_constant`
    seed : of the first weights
    **inputs : options of `InputLayer`, such as ``powers=False``
    """

    def __init__(
        self,
        features: RankingFeatures,
        hidden: Sequence[int] = (128, 64, 32),
        *,
        bias: float = 0.0,
        seed: int = 0,
        **inputs,
    ):
        super().__init__()
        self.features = features
        self.tower = RankingTower(InputLayer(features, seed=seed, **inputs), hidden, seed)
        self.output = nn.Linear(self.tower.width, 1, dtype=torch.float32)
        with torch.no_grad():
            self.output.weight.zero_()
            self.output.bias.fill_(bias)

    def forward(self, batch: RankingBatch) -> Tensor:
        """Logits (n,)."""
        return self.output(self.tower(batch))[:, 0]

    def logits(self, batch: RankingBatch, pages: int = 5_000) -> np.ndarray:
        """Logits (n,) float32 of any number of cards, computed ``pages`` pages at a time."""
        with evaluating(self):
            parts = [self(batch[some]) for some in torch.arange(batch.pages).split(pages)]
        return torch.cat(parts).numpy() if parts else np.zeros(0, np.float32)

    def expected_seconds(self, batch: RankingBatch) -> np.ndarray:
        """Expected watch time per impression (n,) float32: what is served, e^z."""
        return np.exp(self.logits(batch)) * SECONDS_PER_UNIT
