r"""Continuous inputs for a network: the share of the data below a value, and two powers of it.

.. math:: \tilde x = \int_{-\infty}^{x} \mathrm{d}F \in [0, 1), \qquad
          (\tilde x, \; \tilde x^2, \; \sqrt{\tilde x})

The distribution F is read off the training data in one pass and kept as a few quantiles; between
two of them the integral is a straight line (P1 section 4.1).
"""

from __future__ import annotations

import numpy as np

from course.errors import LogError
from course.training import check_whole

BELOW_ONE = np.float32(1.0 - 2.0**-24)
"""The largest 32-bit number below 1: the quantile of everything above the training data."""


class Quantiles:
    """Maps values of one feature to the share of the training data below them.

    Parameters
    ----------
    values : float array of any shape, the training data
    knots : how many quantiles are kept at most; equal values share one

    Attributes
    ----------
    knots : (k,) float64, distinct values, rising
    shares : (k,) float64, the share of the training data that is smaller than each knot

    Raises
    ------
    LogError
        If there are no values, or one of them is not a finite number.

    Examples
    --------
    >>> q = Quantiles(np.array([10.0, 20.0, 30.0, 1000.0]))
    >>> q(np.array([0.0, 20.0, 25.0, 30.0])).tolist()
    [0.0, 0.25, 0.375, 0.5]
    """

    def __init__(self, values: np.ndarray, knots: int = 100):
        check_whole("knots", knots, 2)
        values = np.sort(finite(values), axis=None)
        if not values.size:
            raise LogError("There are no values to take quantiles of")
        places = np.linspace(0, len(values) - 1, min(knots, len(values))).round().astype(int)
        self.knots = np.unique(values[places])
        self.shares = np.searchsorted(values, self.knots, "left") / len(values)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Shares in [0, 1), float32, in the shape of ``values``.

        Values below the training data give 0, values above it a number just below 1. A feature
        that was constant in training gives 0 up to its constant.

        Raises
        ------
        LogError
            If a value is not a finite number.
        """
        values = finite(values)
        out = np.interp(values, self.knots, self.shares).astype(np.float32)
        out[values > self.knots[-1]] = BELOW_ONE
        return np.minimum(out, BELOW_ONE)


def powers(shares: np.ndarray) -> np.ndarray:
    """The inputs (n, 3f) of a network for shares (n, f): themselves, their squares, their roots."""
    return np.concatenate([shares, shares**2, np.sqrt(shares)], axis=1)


def finite(values: np.ndarray) -> np.ndarray:
    """The values as float64.

    Raises
    ------
    LogError
        If one of them is missing or infinite.
    """
    values = np.asarray(values, np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise LogError(
            f"{int(bad.sum())} of {values.size} values are not finite, the first is "
            f"{values[bad].flat[0]}",
            fix="say what a missing value means before the features are made, such as NEVER",
        )
    return values
