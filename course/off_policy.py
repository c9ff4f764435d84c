r"""Off-policy estimates: what would another policy have earned, judged from a log alone?

The log must come from a *stochastic* policy that wrote down how likely each of its choices was.
With :math:`w = \pi(a \mid x) / \pi_0(a \mid x)`, the ratio of the new policy's probability of the
logged action to the old one's, and r the reward:

========================  =================================================================
inverse propensity (IPS)  :math:`\mathrm{mean}(w r)`; unbiased, noisy
self-normalised (SNIPS)   :math:`\sum w r / \sum w`; slightly biased, less noisy
direct method (DM)        :math:`\mathrm{mean} \sum_a \pi(a \mid x)\, \hat q(x, a)`; as good as q̂
doubly robust (DR)        :math:`\mathrm{DM} + \mathrm{mean}(w (r - \hat q))`
========================  =================================================================

DR is unbiased if either the propensities or q̂ are right. None of them helps where the old policy
never does what the new one would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from course.errors import ConfigError, LogError
from course.simulator.feed import Requests
from course.simulator.policies import offered
from course.simulator.streams import coins


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error; ``low`` and ``high`` are the ends of the 95 % interval."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - 1.96 * self.error

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + 1.96 * self.error


def importance_weights(new: np.ndarray, logged: np.ndarray, cap: float | None = None) -> np.ndarray:
    """Weights (n,) of logged actions.

    Parameters
    ----------
    new, logged : (n,) probabilities of the logged action under the new and the logging policy
    cap : largest weight that is let through; None = all. A cap trades noise for bias.

    Raises
    ------
    LogError
        If a probability is not in [0, 1], or a logged action had probability 0.
    ConfigError
        For a cap that is not positive.
    """
    new, logged = np.asarray(new, float), np.asarray(logged, float)
    for name, p in (("new", new), ("logged", logged)):
        if not ((p >= 0) & (p <= 1)).all():
            raise LogError(f"a {name} probability is outside 0 to 1", allowed="probabilities")
    if (logged == 0).any():
        raise LogError(
            f"{int((logged == 0).sum())} logged actions had probability 0",
            fix="log the probability with which each action was really drawn",
        )
    if cap is not None and cap <= 0:
        raise ConfigError(f"cap={cap!r}", allowed="above 0, or None")
    weights = new / logged
    return weights if cap is None else np.minimum(weights, cap)


def effective_sample_size(weights: np.ndarray) -> float:
    r""":math:`(\sum w)^2 / \sum w^2`: how many equally weighted examples are worth as much."""
    weights = np.asarray(weights, float)
    square = (weights**2).sum()
    return float(weights.sum() ** 2 / square) if square else 0.0


def ips(reward: np.ndarray, weights: np.ndarray) -> Estimate:
    """Inverse propensity scoring; arrays (n,)."""
    return _mean(np.asarray(reward, float) * weights)


def snips(reward: np.ndarray, weights: np.ndarray) -> Estimate:
    """Self-normalised IPS; arrays (n,).

    Raises
    ------
    LogError
        If all weights are 0: the log holds nothing that the new policy does.
    """
    reward, weights = np.asarray(reward, float), np.asarray(weights, float)
    total = weights.sum()
    if total == 0:
        raise LogError("All weights are 0", fix="log a policy that also does what the new one does")
    value = float((weights * reward).sum() / total)
    error = np.sqrt(((weights * (reward - value)) ** 2).sum()) / total
    return Estimate(value, float(error))


def direct(expected: np.ndarray) -> Estimate:
    """Direct method, from the model's expected reward (n,) of the new policy at each request."""
    return _mean(np.asarray(expected, float))


def doubly_robust(
    reward: np.ndarray, weights: np.ndarray, guess: np.ndarray, expected: np.ndarray
) -> Estimate:
    """Doubly robust; arrays (n,).

    Parameters
    ----------
    guess : the model's reward of the logged action
    expected : the model's expected reward of the new policy at the same request
    """
    return _mean(np.asarray(expected, float) + weights * (np.asarray(reward, float) - guess))


class SoftmaxPolicy:
    r"""Draws one video with :math:`P(a) = e^{s_a/\tau} / \sum_b e^{s_b/\tau}`, and can say P.

    Parameters
    ----------
    score : function Requests -> (r, c), a score for each offered video
    temperature : tau, above 0; large = nearly even, small = nearly always the best
    seed : of the draws; they are fresh for each request and video
    """

    def __init__(self, score, temperature: float = 1.0, seed: int = 0):
        if not temperature > 0:
            raise ConfigError(f"temperature={temperature!r}", allowed="above 0")
        self.score, self.temperature, self.seed = score, float(temperature), seed

    def probabilities(self, requests: Requests) -> np.ndarray:
        """P (r, c) of each offered video."""
        return softmax(np.asarray(self.score(requests), float) / self.temperature, axis=1)

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, 1) of one video."""
        videos = offered(requests)
        p = self.probabilities(requests)
        u = coins(self.seed, "softmax policy", requests.request[:, None], videos)
        # Gumbel-max: the largest of log p plus noise is a draw from p.
        drawn = np.argmax(np.log(np.maximum(p, 1e-300)) - np.log(-np.log(u)), axis=1)
        return np.take_along_axis(videos, drawn[:, None], axis=1)


def _mean(values: np.ndarray) -> Estimate:
    if not len(values):
        raise LogError("There is nothing to estimate from", allowed="at least one logged request")
    return Estimate(float(values.mean()), float(values.std() / np.sqrt(len(values))))
