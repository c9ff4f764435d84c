"""Kinds of faults that numpy and torch pass over without a word: each must be said in words."""

from __future__ import annotations

import numpy as np
import pytest

from course.errors import CourseError, LogError
from course.metrics import (
    hit_rate,
    mean_reciprocal_rank,
    ranks,
    weighted_per_user_loss,
)
from course.simulator.policies import top

N = 6
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(N, 9))
ROW = RNG.random(N)
CLICKED = np.array([1, 0, 1, 0, 0, 1], bool)
WHOLE = np.arange(N) % 3
PAGE = np.array([0, 0, 0, 1, 1, 1])


# --- a NaN is neither above nor below another: whoever counts the better ones would put it first


CONTESTS = {
    "ranks": (lambda s: ranks(s, WHOLE), SCORES),
    "MRR": (mean_reciprocal_rank, 1 + ROW),
    "hit rate": (lambda r: hit_rate(r, 3), 1 + ROW),
    "weighted loss": (lambda s: weighted_per_user_loss(s, CLICKED, 60 * CLICKED, PAGE), ROW),
    "page": (lambda s: top(s, np.tile(np.arange(9), (N, 1)), 3), SCORES),
}


@pytest.mark.parametrize("name", CONTESTS)
def test_nan_never_competes(name):
    contest, numbers = CONTESTS[name]
    contest(numbers)
    for bad in (np.full_like(numbers, np.nan), np.where(numbers == numbers.min(), np.nan, numbers)):
        with pytest.raises(CourseError, match="(?i)nan"):
            contest(bad)


# --- a row (n,) beside a column (n, 1) would become a table (n, n)


PAIRS = {"weighted loss": (weighted_per_user_loss, ROW, CLICKED, 60.0 * CLICKED, PAGE)}


@pytest.mark.parametrize("name", PAIRS)
def test_a_row_beside_a_column_is_refused(name):
    call, *given = PAIRS[name]
    call(*given)
    for place in range(len(given)):
        column = [g[:, None] if i == place else g for i, g in enumerate(given)]
        longer = [np.append(g, g[:1]) if i == place else g for i, g in enumerate(given)]
        with pytest.raises(CourseError, match="shape"):
            call(*column)
        with pytest.raises(CourseError, match="shape"):
            call(*longer)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ranks(SCORES, WHOLE, np.zeros((N, 1), bool)),
        lambda: ranks(SCORES, WHOLE[:, None]),
    ],
)
def test_further_shapes_that_do_not_fit(call):
    with pytest.raises(CourseError, match="shape"):
        call()


# --- the course's own errors


def test_a_rank_below_1_is_refused():
    with pytest.raises(LogError, match="a rank is 0"):
        mean_reciprocal_rank(np.arange(3))
