"""The combination function: several predictions become one score (P2, section 3).

P2 multiplies the predictions, each with a weight that people set by hand. Written with powers,

    score = prod_k p_k ** w_k,    log score = sum_k w_k log p_k

so doubling one prediction is worth as much at any level of the others; in a weighted *sum* a video
that nobody wants can buy its place with one large number.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from course.errors import ConfigError

SMALLEST = 1e-9
"""Predictions are raised to this value, since the logarithm of 0 would decide alone."""


class Combination:
    """Weighted multiplication of predictions.

    Parameters
    ----------
    weights : name of a prediction -> weight; at least 0, and one of them above 0

    Examples
    --------
    >>> Combination({"click": 1.0, "watch": 0.5}).score({"click": [0.1], "watch": [4.0]}).round(3)
    array([-1.609])
    """

    def __init__(self, weights: Mapping[str, float]):
        for name, weight in weights.items():
            number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
            if not number or not np.isfinite(weight) or weight < 0:
                raise ConfigError(
                    f"The weight of {name!r} is {weight!r}",
                    allowed="a number, at least 0",
                    fix="combine 1 - p for something that should be avoided, such as a dismissal",
                )
        if not any(weight > 0 for weight in weights.values()):
            raise ConfigError(
                f"weights={dict(weights)!r} are all zero, so all videos would score alike",
                allowed="at least one weight above 0",
            )
        self.weights = {name: float(weight) for name, weight in weights.items()}

    def score(self, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
        """``sum_k w_k log p_k``, of the shape of the predictions.

        Parameters
        ----------
        predictions : name -> array of numbers, at least 0 (probabilities, seconds, stars)

        Raises
        ------
        ConfigError
            For a weight without a prediction, a negative prediction, or predictions of different
            shapes.
        """
        total = 0.0
        for name, weight in self.weights.items():
            if name not in predictions:
                raise ConfigError(
                    f"There is a weight for the unknown task {name!r}",
                    allowed=", ".join(predictions),
                )
            value = np.asarray(predictions[name], dtype=float)
            if not (value >= 0).all():
                raise ConfigError(
                    f"The prediction of {name!r} holds {value[~(value >= 0)].flat[0]:g}",
                    allowed="numbers, at least 0, since they are multiplied",
                )
            if np.shape(total) not in ((), value.shape):
                raise ConfigError(
                    f"The predictions have the shapes {np.shape(total)} and {value.shape}",
                    allowed="the same shape for each",
                )
            if weight:
                total = total + weight * np.log(np.maximum(value, SMALLEST))
        return total
