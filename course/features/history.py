"""Bags of what an account did before a moment: videos watched, tokens searched."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.errors import ConfigError
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
