"""Inputs of the candidate generator: vocabularies, bags of what came before, example age.

Every function here answers one question: what was known about an account just before a given
moment? The same question is put to a stored log (to train) and to a live page request (to serve),
and the answers agree. Nothing here knows a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from course.errors import ConfigError, LogError
from course.logs import splits
from course.logs.schema import SCHEMA
from course.logs.tables import Logs
from course.simulator.feed import Requests

NONE = -1
"""Stands for "no video" and "no token" wherever ids of the log are used."""

BAG_LENGTH = 50
WARM_UP_DAYS = 5.0
"""Before this day the log is too young to have a history to look back into."""
TOKEN_LIMIT = 1_024
"""Search tokens are below this number; a pair (first, second) gets an id above it."""

DEMOGRAPHICS = ("country", "language", "gender", "age_band", "logged_in")
CONTEXT = ("device", "daypart")


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
        values = np.asarray(values).ravel()
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise LogError(f"ids of type {values.dtype}", allowed="whole numbers")
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
        """Rows (int32, same shape) of ids; ``padding`` for ids that are not known."""
        values = np.asarray(values)
        last = len(self._row) - 1
        return self._row[np.where((values < 0) | (values > last), last, values)]

    def decode(self, rows: np.ndarray) -> np.ndarray:
        """Ids (int32, same shape) of rows; `NONE` for ``padding``."""
        return np.append(self.ids, NONE).astype(np.int32)[np.asarray(rows)]


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


def search_bags(
    logs: Logs, examples: pd.DataFrame, length: int = BAG_LENGTH, bigrams: bool = False
) -> np.ndarray:
    """The last search tokens before the time of each example, newest first.

    The order is kept only to say which are the last ones: a model is to use them as a set.

    Parameters
    ----------
    examples : rows with ``user_id`` and ``time`` (days)
    bigrams : also give each pair of neighbours an id, see `with_bigrams`

    Returns
    -------
    (n, length) or, with bigrams, (n, 2 length - 1) int32, `NONE` where there is none
    """
    s = logs.searches
    tokens = s[["token_1", "token_2", "token_3"]].to_numpy()
    there = tokens >= 0
    count = there.sum(axis=1)
    history = History(
        np.repeat(s["user_id"].to_numpy(), count),
        np.repeat(s["time"].to_numpy(), count),
        tokens[there],
    )
    bags = history.bags(examples["user_id"].to_numpy(), examples["time"].to_numpy(), length)
    return with_bigrams(bags) if bigrams else bags


def with_bigrams(bags: np.ndarray) -> np.ndarray:
    """Append the ids of neighbouring tokens (n, t) -> (n, 2t - 1).

    A live request lists tokens without saying where one query ends. So a pair may span two
    queries, when training as well as when serving.
    """
    if bags.size and bags.max() >= TOKEN_LIMIT:
        raise LogError(f"a search token is {bags.max()}", allowed=f"below {TOKEN_LIMIT}")
    first, second = bags[:, 1:], bags[:, :-1]  # newest first: the earlier word stands behind
    pair = (first + 1) * TOKEN_LIMIT + second
    return np.hstack([bags, np.where((first < 0) | (second < 0), NONE, pair)]).astype(np.int32)


def example_age(
    time: np.ndarray, t_max: float, floor: float = 0.0, scale: float = 30.0
) -> np.ndarray:
    r"""Age of training examples (not of videos), as three powers.

    .. math:: a = \max(t_{max} - t, \text{floor}) / \text{scale}, \qquad (a, a^2, \sqrt a)

    Parameters
    ----------
    time : (n,) float days, the time of each label
    t_max : float days, the end of the training log. A later time (a live request, a test row) is
        served at the floor: the newest age that training has seen.
    floor : float days. At exactly 0 the root has an infinite slope and there are hardly any
        examples; a floor of a day or two keeps what is served away from that edge.
    scale : float days, brings the powers near 1

    Returns
    -------
    (n, 3) float32

    Raises
    ------
    ConfigError
        For a negative floor or a scale that is not positive.
    """
    if floor < 0 or scale <= 0:
        raise ConfigError(f"floor={floor}, scale={scale}", allowed="floor >= 0 and scale > 0")
    a = np.maximum(t_max - np.asarray(time, float), floor) / scale
    return np.stack([a, a**2, np.sqrt(a)], axis=-1).astype(np.float32)


def demographics(logs: Logs) -> np.ndarray:
    """Codes (users, 5) int64 of `DEMOGRAPHICS`, in the order of the schema."""
    return np.stack([_codes(logs.users[name]) for name in DEMOGRAPHICS], axis=1)


def context(examples: pd.DataFrame) -> np.ndarray:
    """Codes (n, 2) int64 of device and part of the day."""
    return np.stack([_codes(examples[name]) for name in CONTEXT], axis=1)


def sizes(table: str, columns: tuple[str, ...]) -> list[int]:
    """Number of codes of each column."""
    of = {field.name: field.categories for field in SCHEMA[table]}
    return [len(of[name]) if of[name] else 2 for name in columns]


def _codes(column: pd.Series) -> np.ndarray:
    values = column.cat.codes if hasattr(column, "cat") else column
    return values.to_numpy().astype(np.int64)


def examples(
    logs: Logs,
    before: float,
    first_watches: bool = True,
    per_user: int | None = None,
    *,
    after: float = -np.inf,
    seed: int = 0,
) -> pd.DataFrame:
    """Training examples for predicting the next watch: who, when, in which context, and what.

    Parameters
    ----------
    before, after : float days; watches with ``after <= time < before``
    first_watches : only the first watch of each (account, video) in the log
    per_user : at most this many examples of each account, drawn at random; None = all
    seed : of that draw

    Returns
    -------
    DataFrame with ``user_id, time, device, daypart, video_id`` (the label), in order of time, with
    the index of ``logs.watches``

    Raises
    ------
    LogError
        If no watch is left.
    ConfigError
        If ``per_user`` is below 1.
    """
    if per_user is not None and per_user < 1:
        raise ConfigError(f"per_user={per_user!r}", allowed="a whole number, at least 1, or None")
    rows = splits.first_watches(logs.watches) if first_watches else logs.watches
    rows = rows[(rows["time"] < before) & (rows["time"] >= after)]
    rows = rows[["user_id", "time", *CONTEXT, "video_id"]].sort_values("time", kind="stable")
    if per_user is not None:
        shuffled = rows.sample(frac=1.0, random_state=seed)
        place = shuffled.groupby("user_id").cumcount()
        rows = rows[(place < per_user).reindex(rows.index)]
    if rows.empty:
        raise LogError(f"No watches from day {after:g} to day {before:g}", fix="choose other days")
    return rows


@dataclass(frozen=True)
class Inputs:
    """What a model sees of n moments, in numbers. Made by `Features`.

    Attributes
    ----------
    watched : (n, L) int32, rows of the video vocabulary; searched : (n, T) int32, of the tokens
    age : (n, 3) float32, powers of the example age
    demographics : (n, 5) int64 codes; context : (n, 2) int64 codes
    """

    watched: np.ndarray
    searched: np.ndarray
    age: np.ndarray
    demographics: np.ndarray
    context: np.ndarray

    def __len__(self) -> int:
        return len(self.watched)

    def __getitem__(self, rows) -> Inputs:
        return Inputs(**{name: values[rows] for name, values in vars(self).items()})

    def replace(self, **inputs: np.ndarray) -> Inputs:
        """The same moments with other inputs: arrays with n rows, or one row for all."""
        kinds = {name: getattr(self, name) for name in inputs}
        shaped = {
            name: np.broadcast_to(inputs[name], (len(self), old.shape[1])).astype(old.dtype)
            for name, old in kinds.items()
        }
        return replace(self, **shaped)

    def with_age(self, age: np.ndarray) -> Inputs:
        """The same moments with another age: the powers (3,) or (n, 3) of `example_age`."""
        return self.replace(age=age)


class Features:
    """Turns moments into inputs: fitted once on a training log, then used to train and to serve.

    Parameters
    ----------
    logs : the training log; vocabularies, demographics and the end of training come from it
    top_videos, top_tokens : sizes of the vocabularies; None = everything that occurs
    length : watches and search tokens in a bag
    bigrams : pairs of search tokens too
    floor : float days, smallest example age and the one that is served

    Attributes
    ----------
    videos, tokens : Vocabulary
    t_max : float days, time of the last watch

    Raises
    ------
    LogError
        If the log holds no watches.
    ConfigError
        If ``length`` is more than a live request holds.
    """

    def __init__(
        self,
        logs: Logs,
        *,
        top_videos: int | None = None,
        top_tokens: int | None = None,
        length: int = BAG_LENGTH,
        bigrams: bool = False,
        floor: float = 0.0,
    ):
        if not 1 <= length <= BAG_LENGTH:
            raise ConfigError(f"length={length!r}", allowed=f"1 to {BAG_LENGTH}, as in requests")
        if logs.watches.empty:
            raise LogError("There are no watches to learn from", fix="cut the logs at a later day")
        self.length, self.bigrams, self.floor = length, bigrams, floor
        self.videos = Vocabulary(logs.watches["video_id"].to_numpy(), top_videos)
        self.tokens = Vocabulary(self._every_token(logs), top_tokens)
        self.t_max = float(logs.watches["time"].max())
        self.users = demographics(logs)

    def _every_token(self, logs: Logs) -> np.ndarray:
        s = logs.searches
        tokens = s[["token_1", "token_2", "token_3"]].to_numpy()
        if not self.bigrams:
            return tokens
        ordered = s.sort_values(["user_id", "time"], kind="stable")
        user = np.repeat(ordered["user_id"].to_numpy(), 3)
        flat = ordered[["token_1", "token_2", "token_3"]].to_numpy().ravel()
        user, flat = user[flat >= 0], flat[flat >= 0]
        pairs = with_bigrams(np.stack([flat[1:], flat[:-1]], axis=1))[:, 2]
        return np.concatenate([flat, pairs[user[1:] == user[:-1]]])

    def of_examples(self, logs: Logs, examples: pd.DataFrame) -> Inputs:
        """Inputs of past moments.

        Parameters
        ----------
        logs : the log to look back into; it may go on after the training log
        examples : rows with ``user_id, time, device, daypart``
        """
        user = self._known(examples["user_id"].to_numpy())
        return Inputs(
            self.videos.encode(history_bags(logs, examples, self.length)),
            self.tokens.encode(search_bags(logs, examples, self.length, self.bigrams)),
            example_age(examples["time"].to_numpy(), self.t_max, self.floor),
            self.users[user],
            context(examples),
        )

    def of_requests(self, requests: Requests) -> Inputs:
        """The same inputs of live page requests; the age is the smallest one, the floor."""
        user = self._known(requests.user)
        searched = np.asarray(requests.recent_tokens)[:, : self.length]
        now = np.full(len(requests), self.t_max)
        return Inputs(
            self.videos.encode(np.asarray(requests.recent_videos)[:, : self.length]),
            self.tokens.encode(with_bigrams(searched) if self.bigrams else searched),
            example_age(now, self.t_max, self.floor),
            self.users[user],
            np.stack([requests.device, requests.daypart], axis=1).astype(np.int64),
        )

    def labels(self, examples: pd.DataFrame) -> np.ndarray:
        """Vocabulary row (n,) int64 of each label; ``videos.padding`` = no label to learn from."""
        return self.videos.encode(examples["video_id"].to_numpy()).astype(np.int64)

    def _known(self, user: np.ndarray) -> np.ndarray:
        user = np.asarray(user)
        if user.size and not (0 <= user.min() and user.max() < len(self.users)):
            raise LogError(
                f"There is no account {int(user.max() if user.min() >= 0 else user.min())}",
                allowed=f"user_id from 0 to {len(self.users) - 1}",
            )
        return user
