"""Inputs of the candidate generator: who asks, when, and what came before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from course.errors import ConfigError, LogError
from course.features.history import BAG_LENGTH, TOKENS, history_bags, search_bags
from course.features.vocabulary import Vocabulary
from course.logs import splits
from course.logs.schema import SCHEMA
from course.logs.tables import Logs
from course.simulator.feed import Requests

WARM_UP_DAYS = 5.0
"""Before this day the log is too young to have a history to look back into."""

DEMOGRAPHICS = ("country", "language", "gender", "age_band", "logged_in")
CONTEXT = ("device", "daypart")


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
        floor: float = 0.0,
    ):
        if not 1 <= length <= BAG_LENGTH:
            raise ConfigError(f"length={length!r}", allowed=f"1 to {BAG_LENGTH}, as in requests")
        if logs.watches.empty:
            raise LogError("There are no watches to learn from", fix="cut the logs at a later day")
        self.length, self.floor = length, floor
        self.videos = Vocabulary(logs.watches["video_id"].to_numpy(), top_videos)
        self.tokens = Vocabulary(logs.searches[TOKENS].to_numpy(), top_tokens)
        self.t_max = float(logs.watches["time"].max())
        self.users = demographics(logs)

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
            self.tokens.encode(search_bags(logs, examples, self.length)),
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
            self.tokens.encode(searched),
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
