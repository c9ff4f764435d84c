"""Checks for public doors where numpy and torch would go on without a word."""

from __future__ import annotations

import numpy as np

from course.errors import ConfigError, LogError


def one_each(**values) -> None:
    """Raise a `LogError` unless all are one-dimensional and equally long; None is passed over.

    A row (n,) beside a column (n, 1) would be laid out as a table (n, n), and its mean is a number
    like any other.

    Parameters
    ----------
    **values : arrays, tensors or columns, by the names that the message uses
    """
    shapes = {name: tuple(np.shape(v)) for name, v in values.items() if v is not None}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise LogError(
            "the shapes are " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            allowed="(n,) for each, with one n",
            fix="take the only column of a table (n, 1) by [:, 0]",
        )


def no_nan(name: str, values) -> np.ndarray:
    """Return values as an array, or raise a `LogError`: a NaN is neither above nor below another.

    Whoever counts the better ones finds none above a NaN, so it would come first.
    """
    values = np.asarray(values)
    bad = int(np.isnan(values).sum())
    if bad:
        raise LogError(
            f"{bad} of {values.size} {name} are NaN",
            fix="look for a division of 0 by 0, or for a training that went astray",
        )
    return values


def check_whole(name: str, value: object, low: int) -> None:
    """Raise a `ConfigError` unless ``value`` is a whole number of at least ``low``."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{name}={value!r}", allowed=f"a whole number, at least {low}")
