r"""Choosing a page as a whole: what stands on it already lowers the worth of more of the same.

A point-wise ranker scores each candidate by itself and takes the best. A list-wise one looks at
the page that comes about. The simplest builds it from the top: each place goes to the candidate
with the highest

.. math:: s_i - \lambda \, n_i,

with :math:`s_i` the score and :math:`n_i` how many videos of its topic stand above.
"""

from __future__ import annotations

import numpy as np

from course.checks import no_nan
from course.errors import ConfigError
from course.training import check_number, check_whole


def diversified(
    scores: np.ndarray, topics: np.ndarray, slate: int, strength: float = 1.0
) -> np.ndarray:
    """Columns (r, slate) int64 of the chosen candidates, from the top of the page.

    Parameters
    ----------
    scores : (r, c) float; minus infinity = may not be shown
    topics : (r, c) int, at least 0
    slate : places on a page, at most c
    strength : lambda, what each video of the same topic above costs; 0 = point-wise

    Raises
    ------
    LogError
        For a score that is NaN.
    ConfigError
        For shapes that do not fit, a slate that is too long, or a negative strength.
    """
    scores, topics = no_nan("scores", scores).astype(float), np.asarray(topics)
    if scores.ndim != 2 or topics.shape != scores.shape:
        raise ConfigError(
            f"scores of shape {scores.shape}, topics {topics.shape}", allowed="the same (r, c)"
        )
    check_whole("slate", slate, 1)
    check_number("strength", strength, 0.0)
    if slate > scores.shape[1]:
        raise ConfigError(f"slate={slate}", allowed=f"1 to {scores.shape[1]}, the candidates")
    left, rows = scores.copy(), np.arange(len(scores))
    out = np.empty((len(scores), slate), np.int64)
    for place in range(slate):
        out[:, place] = best = left.argmax(axis=1)
        same = topics == topics[rows, best][:, None]
        left = np.where(same, left - strength, left)
        left[rows, best] = -np.inf
    return out
