"""What came before a moment: bags of videos watched and tokens searched, sums by midnight."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.errors import ConfigError, LogError
from course.features.vocabulary import NONE
from course.logs.tables import Logs

BAG_LENGTH = 50
TOKENS = ["token_1", "token_2", "token_3"]


class History:
    """Events of accounts in order of time, ready to be asked what came before a moment.

    Parameters
    ----------
    user, time, value : arrays (m,); events of one account at the same time keep their order
    """

    def __init__(self, user: np.ndarray, time: np.ndarray, value: np.ndarray):
        order = np.argsort(time, kind="stable")
        self._times = np.asarray(time, float)[order]
        user = np.asarray(user, np.int64)[order]
        # Ranks instead of times: a whole number (account, rank) compares exactly.
        rank = np.searchsorted(self._times, self._times, "left")
        by_user = np.argsort(user, kind="stable")
        self._keys = self._key(user[by_user], rank[by_user])
        self.values = np.asarray(value, np.int32)[order][by_user]

    def _key(self, user, rank):
        return user * (len(self._times) + 1) + rank

    def bags(self, user: np.ndarray, time: np.ndarray, length: int) -> np.ndarray:
        """The last ``length`` values strictly before each time, newest first.

        Parameters
        ----------
        user : (n,) int; time : (n,) float days
        length : at least 1; of a longer history the newest are kept

        Returns
        -------
        (n, length) int32; places without an event hold `NONE`
        """
        if length < 1:
            raise ConfigError(f"length={length!r}", allowed="a whole number, at least 1")
        user = np.asarray(user, np.int64)
        rank = np.searchsorted(self._times, np.asarray(time, float), "left")
        start = np.searchsorted(self._keys, self._key(user, 0), "left")
        end = np.searchsorted(self._keys, self._key(user, rank), "left")
        at = end[:, None] - 1 - np.arange(length)
        known = np.append(self.values, np.int32(NONE))
        return known[np.where(at >= start[:, None], at, len(self.values))]


def history_bags(logs: Logs, examples: pd.DataFrame, length: int = BAG_LENGTH) -> np.ndarray:
    """The last videos that each account watched before the time of each example, newest first.

    Parameters
    ----------
    examples : rows with ``user_id`` and ``time`` (days); a watch at exactly that time is not
        part of its own history

    Returns
    -------
    (n, length) int32 video ids, `NONE` where there is none
    """
    w = logs.watches
    history = History(w["user_id"].to_numpy(), w["time"].to_numpy(), w["video_id"].to_numpy())
    return history.bags(examples["user_id"].to_numpy(), examples["time"].to_numpy(), length)


def search_bags(logs: Logs, examples: pd.DataFrame, length: int = BAG_LENGTH) -> np.ndarray:
    """The last search tokens before the time of each example, newest first.

    The order is kept only to say which are the last ones: a model is to use them as a set.

    Parameters
    ----------
    examples : rows with ``user_id`` and ``time`` (days)

    Returns
    -------
    (n, length) int32, `NONE` where there is none
    """
    s = logs.searches
    tokens = s[TOKENS].to_numpy()
    there = tokens >= 0
    count = there.sum(axis=1)
    history = History(
        np.repeat(s["user_id"].to_numpy(), count),
        np.repeat(s["time"].to_numpy(), count),
        tokens[there],
    )
    return history.bags(examples["user_id"].to_numpy(), examples["time"].to_numpy(), length)


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
