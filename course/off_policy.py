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

from course.checks import no_nan, one_each
from course.errors import LogError


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


def effective_sample_size(weights: np.ndarray) -> float:
    r""":math:`(\sum w)^2 / \sum w^2`: how many equally weighted examples are worth as much."""
    weights = np.asarray(weights, float)
    square = (weights**2).sum()
    return float(weights.sum() ** 2 / square) if square else 0.0


def ips(reward: np.ndarray, weights: np.ndarray) -> Estimate:
    """Inverse propensity scoring; arrays (n,), or a `LogError`."""
    one_each(reward=reward, weights=weights)
    return _mean(np.asarray(reward, float) * weights)


def snips(reward: np.ndarray, weights: np.ndarray) -> Estimate:
    """Self-normalised IPS; arrays (n,).

    Raises
    ------
    LogError
        If all weights are 0: the log holds nothing that the new policy does; or for a NaN.
    """
    one_each(reward=reward, weights=weights)
    reward, weights = no_nan("rewards", reward).astype(float), no_nan("weights", weights)
    weights = weights.astype(float)
    total = weights.sum()
    if total == 0:
        raise LogError("All weights are 0", fix="log a policy that also does what the new one does")
    value = float((weights * reward).sum() / total)
    error = np.sqrt(((weights * (reward - value)) ** 2).sum()) / total
    return Estimate(value, float(error))


def direct(expected: np.ndarray) -> Estimate:
    """Direct method, from the model's expected reward (n,) of the new policy at each request."""
    one_each(expected=expected)
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
    one_each(reward=reward, weights=weights, guess=guess, expected=expected)
    return _mean(np.asarray(expected, float) + weights * (np.asarray(reward, float) - guess))


def _mean(values: np.ndarray) -> Estimate:
    if not len(values):
        raise LogError("There is nothing to estimate from", allowed="at least one logged request")
    no_nan("terms", values)
    return Estimate(float(values.mean()), float(values.std() / np.sqrt(len(values))))
