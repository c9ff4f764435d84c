"""Inputs of the ranker: everything it knows of one card on one page, from a log or live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.errors import ConfigError, LogError
from course.features.history import BAG_LENGTH, TOKENS, DailySums, History, search_bags
from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    NEVER,
    QUERY_CODES,
    QUERY_NUMBERS,
    RANKING_FEATURES,
    SPACE,
)
from course.features.vocabulary import NONE, Vocabulary
from course.logs.tables import Logs
from course.simulator.feed import Requests

CHUNK = 50_000
LENGTH = 20
"""Of the bags: so many watches and search tokens, the newest ones."""


@dataclass(frozen=True)
class RankingInputs:
    """What the ranker sees of n cards on r pages, in numbers. Made by `RankingFeatures`.

    Attributes
    ----------
    page : (n,) int64, the row of the card's page in the query arrays; never falling
    watched, searched : (r, 20) int32, vocabulary rows, newest first (`Vocabulary.padding` = none)
    query_codes : (r, 10) int64, in the order of ``QUERY_CODES``
    query_numbers : (r, 4) float32, in the order of ``QUERY_NUMBERS``, as they are
    codes : (n, 6) int64, in the order of ``IMPRESSION_CODES``
    numbers : (n, 13) float32, in the order of ``IMPRESSION_NUMBERS``, as they are
    """

    page: np.ndarray
    watched: np.ndarray
    searched: np.ndarray
    query_codes: np.ndarray
    query_numbers: np.ndarray
    codes: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.page)

    @property
    def pages(self) -> int:
        """Number of pages."""
        return len(self.query_codes)

    def __getitem__(self, rows) -> RankingInputs:
        """Some of the cards (int or bool index, in rising order), and the pages they need."""
        kept, page = np.unique(self.page[rows], return_inverse=True)
        query = ("watched", "searched", "query_codes", "query_numbers")
        return RankingInputs(
            page=page.astype(np.int64),
            **{name: getattr(self, name)[kept] for name in query},
            codes=self.codes[rows],
            numbers=self.numbers[rows],
        )

    def column(self, name: str) -> np.ndarray:
        """A univalent feature, one value for each card (n,): codes, or numbers as they are.

        Raises
        ------
        ConfigError
            For a feature that does not exist or holds a set of values.
        """
        for names, values, per_page in self._arrays():
            if name in names:
                column = values[:, names.index(name)]
                return column[self.page] if per_page else column
        raise ConfigError(f"There is no univalent feature {name!r}", allowed=", ".join(
            (*IMPRESSION_CODES, *QUERY_CODES, *IMPRESSION_NUMBERS, *QUERY_NUMBERS)))  # fmt: skip

    def _arrays(self):
        return (
            (IMPRESSION_CODES, self.codes, False),
            (QUERY_CODES, self.query_codes, True),
            (IMPRESSION_NUMBERS, self.numbers, False),
            (QUERY_NUMBERS, self.query_numbers, True),
        )


class RankingFeatures:
    """Turns cards into inputs: fitted once on a training log, then used to train and to serve.

    Parameters
    ----------
    logs : the training log; vocabularies and counters come from it
    rows : impressions of it whose clicked videos make the vocabulary; None = all
    top_videos : size of the video vocabulary, the most clicked first; None = all that were clicked
    scorer : an object with ``pair_scores(logs, moments, page, video)``; it gives the feature
        "nominating score", which is 0 everywhere without it. Train it on days before ``rows``, or
        the ranker learns from scores that have seen its labels.

    Attributes
    ----------
    vocabularies : dict space -> Vocabulary, for videos, channels and tokens

    Raises
    ------
    LogError
        If the log holds no click.
    """

    def __init__(
        self,
        logs: Logs,
        rows: pd.DataFrame | None = None,
        *,
        top_videos: int | None = None,
        scorer=None,
    ):
        rows = logs.impressions if rows is None else rows
        clicked = rows["video_id"].to_numpy()[rows["clicked"].to_numpy()]
        if not len(clicked):
            raise LogError("No impression was clicked", fix="take more pages to learn from")
        self.scorer, self._logs = scorer, logs
        self._sorted: tuple[pd.DataFrame, History] | None = None
        channel = logs.videos["channel_id"].to_numpy()
        tokens = logs.searches[TOKENS].to_numpy()
        self.vocabularies = {
            "video": Vocabulary(clicked, top_videos),
            "channel": Vocabulary(channel[clicked]),
            "token": Vocabulary(tokens),
        }
        self._read_videos(logs)
        self._count(logs)

    def _read_videos(self, logs: Logs) -> None:
        v = logs.videos
        self._channel = v["channel_id"].to_numpy().astype(np.int32)
        self._topic = v["topic"].cat.codes.to_numpy().astype(np.int16)
        self._duration = v["duration_seconds"].to_numpy()
        self._uploaded = v["uploaded"].to_numpy()
        coded = [self.vocabularies["video"].encode(np.arange(len(v))),
                 self.vocabularies["channel"].encode(self._channel), self._topic,
                 v["language"].cat.codes, v["format"].cat.codes]  # fmt: skip
        self._codes = np.stack([np.asarray(c, np.int64) for c in coded], axis=1)
        # A series is a channel; the episode before carries the number before.
        episode = v["episode"].to_numpy()
        order = np.lexsort((episode, self._channel))
        follows = (np.diff(self._channel[order]) == 0) & (np.diff(episode[order]) == 1)
        self._serial = episode > 0
        self._previous = np.full(len(v), NONE, np.int32)
        later = order[1:][follows & self._serial[order[:-1]]]
        self._previous[later] = order[:-1][follows & self._serial[order[:-1]]]
        u = logs.users
        names = ("language", "country", "gender", "age_band")
        codes = [u[name].cat.codes.to_numpy() for name in names] + [u["logged_in"].to_numpy()]
        self._users = np.stack(codes, axis=1).astype(np.int64)

    def _count(self, logs: Logs) -> None:
        i, w = logs.impressions, logs.watches
        shown, clicked = i["time"].to_numpy(), i["clicked"].to_numpy()
        watched, seconds = w["time"].to_numpy(), w["watched_seconds"].to_numpy()
        share = seconds / self._duration[w["video_id"].to_numpy()]
        self._sums = {}
        for name, size in (("video", len(logs.videos)), ("user", len(logs.users))):
            of_card, of_watch = i[f"{name}_id"].to_numpy(), w[f"{name}_id"].to_numpy()
            self._sums[name] = {
                "shown": DailySums(shown, of_card, size),
                "clicked": DailySums(shown[clicked], of_card[clicked], size),
                "watches": DailySums(watched, of_watch, size),
                "seconds": DailySums(watched, of_watch, size, seconds),
                "share": DailySums(watched, of_watch, size, share),
            }

    @property
    def names(self) -> tuple[str, ...]:
        """All features that carry something: no nominating score without a scorer, for one."""
        skip = () if self.scorer is not None else ("nominating score",)
        skip += () if len(self.vocabularies["token"]) else ("searched tokens",)
        return tuple(f.name for f in RANKING_FEATURES if f.name not in skip)

    def cardinality(self, space: str) -> int:
        """Number of known values of an id space."""
        known = {"logged_in": 2}
        for table in (self._logs.users, self._logs.videos, self._logs.impressions):
            for name, column in table.items():
                if isinstance(column.dtype, pd.CategoricalDtype):
                    known[name] = max(known.get(name, 0), len(column.cat.categories))
        known |= {name: len(vocabulary) for name, vocabulary in self.vocabularies.items()}
        if space in known:
            return known[space]
        raise ConfigError(f"There is no id space {space!r}", allowed=", ".join(set(SPACE.values())))

    def of_impressions(self, logs: Logs, rows: pd.DataFrame) -> RankingInputs:
        """Inputs of past cards.

        Parameters
        ----------
        logs : the log to look back into for watches and searches
        rows : cards in the columns of ``logs.impressions`` (labels are not read); cards of one
            page stand together
        """
        if rows.empty:
            raise LogError("There are no impressions")
        request = rows["request_id"].to_numpy()
        first = np.r_[True, request[1:] != request[:-1]]
        head = rows[first]
        moments = {
            "user": head["user_id"].to_numpy(),
            "time": head["time"].to_numpy(),
            "device": head["device"].cat.codes.to_numpy(),
            "daypart": head["daypart"].cat.codes.to_numpy(),
            "surface": head["surface"].cat.codes.to_numpy(),
            "seed": head["query_video_id"].to_numpy(),
        }
        cards = (
            np.cumsum(first) - 1,
            rows["video_id"].to_numpy(),
            rows["nominator"].cat.codes.to_numpy(),
            rows["previous_impressions"].to_numpy(),
        )
        return self._inputs(logs, moments, *cards)

    def of_requests(self, requests: Requests, logs: Logs | None = None) -> RankingInputs:
        """The same inputs of the candidates of live page requests (r pages of c cards each).

        Counters, and watches with their times, come from the log. What the request knows beyond
        it, watches of this very session, is put in front and counts as watched just now; earlier
        showings and searches are read from the request.
        """
        if requests.candidates is None:
            raise LogError(
                "The requests carry no candidates", fix='ask with candidates="nominated"'
            )
        r, c = requests.candidates.shape
        moments = {
            "user": requests.user, "time": requests.time, "device": requests.device,
            "daypart": requests.daypart, "surface": requests.surface,
            "seed": requests.query_video, "recent": np.asarray(requests.recent_videos),
            "tokens": np.asarray(requests.recent_tokens),
        }  # fmt: skip
        return self._inputs(
            self._logs if logs is None else logs, moments, np.repeat(np.arange(r), c),
            requests.candidates.ravel(), requests.nominators.ravel(),
            requests.previous_impressions.ravel(),
        )  # fmt: skip

    def _inputs(self, logs, moments, page, video, nominator, previous) -> RankingInputs:
        self._check(moments["user"], video)
        user, time = moments["user"], moments["time"]
        when = pd.DataFrame({"user_id": user, "time": time})
        bag, bag_time = _watches_before(logs, self._history(logs), user, time)
        if "recent" in moments:
            bag, bag_time = _continued(bag, bag_time, moments["recent"], time)
        tokens = moments["tokens"] if "tokens" in moments else search_bags(logs, when, LENGTH)
        encode = self.vocabularies["video"].encode
        newest = bag_time[:, 0]
        known = [encode(moments["seed"]), encode(bag[:, 0])]
        context = [moments[name] for name in ("device", "daypart", "surface")]
        query_codes = np.column_stack([*known, self._users[user], *context]).astype(np.int64)
        u = {name: sums.before(time, user) for name, sums in self._sums["user"].items()}
        query_numbers = np.column_stack([
            np.where(np.isfinite(newest), time - newest, NEVER),
            u["watches"],
            (u["clicked"] + 1.0) / (u["shown"] + 20.0),
            u["seconds"] / np.maximum(u["watches"], 1.0),
        ]).astype(np.float32)  # fmt: skip
        out = RankingInputs(
            page=page.astype(np.int64),
            watched=encode(bag[:, :LENGTH]),
            searched=self.vocabularies["token"].encode(tokens[:, :LENGTH]),
            query_codes=query_codes,
            query_numbers=query_numbers,
            codes=np.column_stack([self._codes[video], nominator]).astype(np.int64),
            numbers=self._numbers(time, bag, bag_time, page, video, previous),
        )
        if self.scorer is not None:
            score = self.scorer.pair_scores(logs, moments, page, video)
            out.numbers[:, IMPRESSION_NUMBERS.index("nominating score")] = score
        return out

    def _numbers(self, time, bag, bag_time, page, video, previous) -> np.ndarray:
        """All continuous features of the cards (n, 13) float32, but for the nominating score."""
        out = np.zeros((len(video), len(IMPRESSION_NUMBERS)), np.float32)
        column = {name: out[:, i] for i, name in enumerate(IMPRESSION_NUMBERS)}
        now = time[page]
        column["duration"][:] = self._duration[video]
        column["video age"][:] = np.maximum(now - self._uploaded[video], 0.0)
        column["previous impressions"][:] = previous
        there = bag >= 0
        of_bag = {
            "channel": np.where(there, self._channel[bag], -1),
            "topic": np.where(there, self._topic[bag], -1),
        }
        of_card = {"channel": self._channel[video], "topic": self._topic[video]}
        for start in range(0, len(video), CHUNK):
            part = slice(start, start + CHUNK)
            rows = page[part]
            for name in ("channel", "topic"):
                same = of_bag[name][rows] == of_card[name][part, None]
                column[f"watches of {name}"][part] = same.sum(axis=1)
                first = same.argmax(axis=1)
                ago = now[part] - bag_time[rows, first]
                found = same[np.arange(len(rows)), first]
                column[f"days since {name}"][part] = np.where(found, ago, NEVER)
            seen = bag[rows]
            column["watched before"][part] = (seen == video[part, None]).any(axis=1)
            serial = np.flatnonzero(self._serial[video[part]])
            before = self._previous[video[part][serial]]
            watched = (seen[serial] == before[:, None]).any(axis=1) & (before >= 0)
            column["next episode"][start + serial] = np.where(watched, 1.0, -1.0)
        v = {name: sums.before(now, video) for name, sums in self._sums["video"].items()}
        column["video click rate"][:] = (v["clicked"] + 2.0) / (v["shown"] + 40.0)
        column["video watches"][:] = v["watches"]
        column["video watched share"][:] = (v["share"] + 1.2) / (v["watches"] + 3.0)
        return out

    def _history(self, logs: Logs) -> History:
        """Watches in order of account and time; kept, since a request must not sort a whole log."""
        if self._sorted is None or self._sorted[0] is not logs.watches:
            w = logs.watches
            rows = History(w["user_id"].to_numpy(), w["time"].to_numpy(), np.arange(len(w)))
            self._sorted = logs.watches, rows
        return self._sorted[1]

    def _check(self, user, video) -> None:
        for name, ids, known in (("account", user, self._users), ("video", video, self._channel)):
            if len(ids) and not (0 <= ids.min() and ids.max() < len(known)):
                wrong = int(ids.max() if ids.min() >= 0 else ids.min())
                raise LogError(f"There is no {name} {wrong} in the training log",
                               allowed=f"ids from 0 to {len(known) - 1}")  # fmt: skip


def _watches_before(logs: Logs, history: History, user: np.ndarray, time: np.ndarray):
    """Videos and times (r, 50) of the last watches, newest first; -1 and -inf where none."""
    w = logs.watches
    at = history.bags(user, time, BAG_LENGTH)
    video = np.append(w["video_id"].to_numpy().astype(np.int32), np.int32(NONE))
    when = np.append(w["time"].to_numpy(), -np.inf)
    return video[at], when[at]


def _continued(bag, bag_time, recent, now):
    """The same with the newest watches (r, 50) of live requests, as far as the log lacks them."""
    new = np.ones(len(bag), bool)
    count = np.zeros(len(bag), np.int64)
    for video in recent.T:
        new &= (video >= 0) & ~(bag == video[:, None]).any(axis=1)
        if not new.any():
            break
        count += new
    rows, place = np.flatnonzero(count), np.arange(bag.shape[1])
    if not len(rows):
        return bag, bag_time
    bag, bag_time = bag.copy(), bag_time.copy()
    older = place - count[rows, None]
    at = np.maximum(older, 0)
    bag[rows] = np.where(older < 0, recent[rows], np.take_along_axis(bag[rows], at, axis=1))
    before = np.take_along_axis(bag_time[rows], at, axis=1)
    bag_time[rows] = np.where(older < 0, now[rows, None], before)
    return bag, bag_time
