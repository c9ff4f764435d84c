"""What a contrast reads from a trial's results: a column, or two of them compared seed by seed.

percent("deep/mrr", "linear/mrr")(results)    # a Series, one number for each seed
difference(percent("a", "b"), "c")            # values can be made of values
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

Values = Callable[[pd.DataFrame], pd.Series]
"""Function of a trial's results (index seed) that returns one number for each seed."""


def column(name: str) -> Values:
    """A column as it is."""
    return lambda results: results[name]


def difference(one: str | Values, other: str | Values, scale: float = 1.0) -> Values:
    """``scale * (one - other)``; each is a column's name or itself a function of the results."""
    a, b = _values(one), _values(other)
    return lambda results: scale * (a(results) - b(results))


def ratio(one: str | Values, other: str | Values) -> Values:
    """``one / other``."""
    a, b = _values(one), _values(other)
    return lambda results: a(results) / b(results)


def percent(one: str | Values, other: str | Values) -> Values:
    """By how many per cent one is above another."""
    of = ratio(one, other)
    return lambda results: 100 * (of(results) - 1)


def _values(of: str | Values) -> Values:
    return column(of) if isinstance(of, str) else of
