"""The ids that a model knows, and one row for all that it does not know."""

from __future__ import annotations

import numpy as np

from course.errors import ConfigError, LogError

NONE = -1
"""Stands for "no video" and "no token" wherever ids of the log are used."""


class Vocabulary:
    """The ids that a model knows, in rows from the most frequent (row 0) to the rarest.

    What it does not know (and the mark `NONE`) goes to one further row, ``padding``, whose
    embedding is the zero vector.

    Parameters
    ----------
    values : int array of any shape, ids of the training log; negative values are skipped
    top : keep only this many of the most frequent; None = all. Ties go to the smaller id.

    Attributes
    ----------
    ids : (n,) int64, the id of each row
    counts : (n,) int64, how often it occurred

    Raises
    ------
    LogError
        If the ids are not whole numbers.
    ConfigError
        If ``top`` is below 1.

    Examples
    --------
    >>> v = Vocabulary(np.array([7, 7, 3, 9, 9, 9]), top=2)
    >>> v.ids.tolist(), v.encode(np.array([7, 3, -1])).tolist()
    ([9, 7], [1, 2, 2])
    """

    def __init__(self, values: np.ndarray, top: int | None = None):
        values = _whole(values).ravel()
        if top is not None and top < 1:
            raise ConfigError(f"top={top!r}", allowed="a whole number, at least 1, or None")
        ids, counts = np.unique(values[values >= 0], return_counts=True)
        order = np.lexsort((ids, -counts))[:top]
        self.ids, self.counts = ids[order].astype(np.int64), counts[order]
        # The last entry answers for all ids outside the range.
        self._row = np.full(int(ids.max(initial=-1)) + 2, self.padding, np.int32)
        self._row[self.ids] = np.arange(len(order), dtype=np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} ids)"

    @property
    def padding(self) -> int:
        """Row of everything that is not in the vocabulary: ``len(self)``."""
        return len(self.ids)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Rows (int32, same shape) of ids; ``padding`` for ids that are not known.

        Raises
        ------
        LogError
            If the ids are not whole numbers.
        """
        values = _whole(values)
        last = len(self._row) - 1
        return self._row[np.where((values < 0) | (values > last), last, values)]


def _whole(values) -> np.ndarray:
    values = np.asarray(values)
    if values.size and not np.issubdtype(values.dtype, np.integer):
        raise LogError(
            f"ids of type {values.dtype}",
            allowed="whole numbers",
            fix="where a merge found no partner and left NaN: .fillna(-1).astype(int)",
        )
    return values.astype(np.int64, copy=False)
