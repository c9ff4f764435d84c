"""Claims of the first edition's chapters, until they are written anew in ``notebooks/ledger``.

The engine is `course.ledger`; its names stand here, too, for those chapters. Which lines of these
claims are headlines was marked by reading their titles after the worlds had been run; the lines and
their ranges are older. What a contrast reads is a column, or two of them compared seed by seed::

    percent("deep/mrr", "linear/mrr")(results)    # a Series, one number for each seed
    difference(percent("a", "b"), "c")            # values can be made of values
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from course.ledger import Claim, Contrast, Trial, results, summary, table

__all__ = ["Claim", "Contrast", "Trial", "Values", "column", "difference", "percent", "ratio",
           "results", "summary", "table"]  # fmt: skip

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
