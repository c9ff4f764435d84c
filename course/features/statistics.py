"""What a platform has counted by the last midnight: sums per day, ready to be looked up."""

from __future__ import annotations

import numpy as np

from course.errors import LogError


class DailySums:
    """Sums of events per key (a video, an account) up to the midnight before any moment.

    Counting up to the very moment would be exact but slow, for the platform as for us; counters
    that are brought up to date at night are what most systems have.

    Parameters
    ----------
    time : (m,) float days; before day 0 counts as day 0
    key : (m,) int, 0 to ``size`` - 1
    size : int, number of keys
    weight : (m,) float, what each event adds; None = 1

    Raises
    ------
    LogError
        If a key is out of range.

    Examples
    --------
    >>> clicks = DailySums(time=np.array([0.5, 1.2]), key=np.array([3, 3]), size=4)
    >>> clicks.before(np.array([0.9, 1.1, 2.0]), np.array([3, 3, 3])).tolist()
    [0.0, 1.0, 2.0]
    """

    def __init__(
        self, time: np.ndarray, key: np.ndarray, size: int, weight: np.ndarray | None = None
    ):
        key = np.asarray(key)
        if key.size and not (0 <= key.min() and key.max() < size):
            raise LogError(f"a key is {int(key.max())}", allowed=f"0 to {size - 1}")
        day = np.maximum(np.floor(np.asarray(time)), 0).astype(np.int64)
        days = int(day.max(initial=-1)) + 1
        cells = np.bincount(day * size + key, weights=weight, minlength=days * size)
        self._sums = np.zeros((days + 1, size), np.float32)
        np.cumsum(cells.reshape(days, size), axis=0, out=self._sums[1:])

    def before(self, time: np.ndarray, key: np.ndarray) -> np.ndarray:
        """Sums (n,) float32 over the events of whole days before each time (n,), for its key."""
        day = np.clip(np.floor(np.asarray(time)), 0, len(self._sums) - 1).astype(np.int64)
        return self._sums[day, key]
