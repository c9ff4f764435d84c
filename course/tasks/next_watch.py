"""What does this account watch next? The question that all candidate generators are asked.

The log is cut at a day. What came before trains; each first watch of the days after is an *event*
to be guessed, from what was known just before it, among all videos that the account has not
watched yet. A *scorer* is any function of `Moments` that returns a score for each video.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import softmax

from course.errors import LogError, PolicyError
from course.features.history import BAG_LENGTH, history_bags, search_bags
from course.logs.splits import first_watches
from course.logs.tables import Logs, from_record
from course.metrics import hit_rate, mean_reciprocal_rank, ranks
from course.simulator.engine import Record
from course.simulator.experiment import ABResult
from course.simulator.feed import Policy, Requests
from course.simulator.policies import offered, top
from course.world import World, ab_test

TEST_DAYS = 3.0
WARM_UP_DAYS = 5.0
"""Before this day the log is too young to have a history to look back into."""
CHUNK = 1_000
"""Events that are ranked at a time: a row of scores for each would not fit for large worlds."""


@dataclass(frozen=True)
class Moments:
    """What is known of n moments in which somebody might watch something.

    Attributes
    ----------
    user : (n,) int64; time : (n,) float64 days; device, daypart : (n,) int64 codes
    watched, searched : (n, 50) int32, the last videos and search tokens before the moment, newest
        first, -1 where there is none
    """

    user: np.ndarray
    time: np.ndarray
    device: np.ndarray
    daypart: np.ndarray
    watched: np.ndarray
    searched: np.ndarray

    @classmethod
    def of_events(cls, logs: Logs, events: pd.DataFrame) -> Moments:
        """Past moments: rows with ``user_id, time, device, daypart`` and the log around them."""
        codes = (events[name].cat.codes.to_numpy(np.int64) for name in ("device", "daypart"))
        ids, time = events["user_id"].to_numpy(np.int64), events["time"].to_numpy(float)
        bags = history_bags(logs, events, BAG_LENGTH), search_bags(logs, events, BAG_LENGTH)
        return cls(ids, time, *codes, *bags)

    @classmethod
    def of_requests(cls, requests: Requests) -> Moments:
        """The same of live page requests."""
        return cls(
            np.asarray(requests.user, np.int64), requests.time,
            requests.device.astype(np.int64), requests.daypart.astype(np.int64),
            requests.recent_videos, requests.recent_tokens,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows) -> Moments:
        return Moments(*(values[rows] for values in vars(self).values()))


Scorer = Callable[[Moments], np.ndarray]
"""Function of n moments that returns scores (n, videos), higher = more likely next."""


class NextWatch:
    """The guessing game on one log, whose last ``days`` (float) are the test.

    Attributes
    ----------
    logs, train : the whole log and its part before the cut
    at : float, the day of the cut
    videos : int, how many were uploaded before the cut; these are the ids that are scored
    events : DataFrame ``user_id, time, device, daypart, source, video_id``, what is to be guessed:
        first watches of videos that were there before the cut
    """

    def __init__(self, logs: Logs, days: float = TEST_DAYS):
        end = float(np.ceil(logs.watches["time"].max()))
        if not 0 < days < end:
            raise LogError(f"days={days:g}", allowed=f"above 0 and below {end:g}, the whole log")
        self.at = end - days
        self.logs, self.train = logs, logs.before(self.at)
        self.videos = len(self.train.videos)
        self._watches = first_watches(logs.watches)
        self._watches = self._watches[self._watches["video_id"] < self.videos]
        columns = ["user_id", "time", "device", "daypart", "source", "video_id"]
        self.events = self._watches.loc[self._watches["time"] >= self.at, columns]
        self.events = self.events.reset_index(drop=True)
        if self.events.empty or self.train.watches.empty:
            raise LogError("one side of the cut has no first watch of a known video",
                           fix="take other days")  # fmt: skip
        # When each account first met each video: decides what is left to recommend.
        pairs = tuple(self._watches[name].to_numpy() for name in ("user_id", "video_id"))
        met = self._watches["time"].to_numpy(np.float32)
        self._first = csr_array((met, pairs), shape=(len(logs.users), self.videos))
        self._uploaded = self.train.videos["uploaded"].to_numpy(np.float32)

    def __repr__(self) -> str:
        return f"NextWatch({len(self.events):,} events from day {self.at:g} on)"

    def examples(self, after: float = WARM_UP_DAYS) -> pd.DataFrame:
        """First watches before the cut, to learn from: rows like ``events``, in order of time."""
        time = self._watches["time"]
        return self._watches.loc[(time < self.at) & (time >= after), list(self.events)]

    def sample(self, n: int, seed: int = 0) -> pd.DataFrame:
        """``n`` random events (all, if there are fewer), in order of time."""
        chosen = self.events.sample(min(n, len(self.events)), random_state=seed)
        return chosen.sort_values("time", kind="stable").reset_index(drop=True)

    def hidden(self, moments: Moments) -> np.ndarray:
        """What cannot be recommended (n, videos) bool: watched before, or not uploaded yet."""
        time = np.asarray(moments.time, np.float32)
        hidden = self._uploaded > time[:, None]
        met = self._first[moments.user].tocoo()
        before = met.data < time[met.row]
        hidden[met.row[before], met.col[before]] = True
        return hidden

    def rank(self, scorer: Scorer, events: pd.DataFrame | None = None) -> np.ndarray:
        """Rank of each event's video (n,) float, 1 = best; ties count half."""
        events = self.events if events is None else events
        moments, target = Moments.of_events(self.logs, events), events["video_id"].to_numpy()
        out = []
        for start in range(0, len(events), CHUNK):
            rows = slice(start, start + CHUNK)
            part = moments[rows]
            out.append(ranks(np.asarray(scorer(part)), target[rows], self.hidden(part)))
        return np.concatenate(out)

    def offline(
        self, scorer: Scorer, events: pd.DataFrame | None = None, recall: Sequence[int] = (20, 100)
    ) -> dict[str, float]:
        """``mrr`` and ``recall@k`` over the events."""
        rank = self.rank(scorer, events)
        return {"mrr": mean_reciprocal_rank(rank)} | {
            f"recall@{k}": hit_rate(rank, k) for k in recall
        }

    def shares(self, scorer: Scorer, events: pd.DataFrame | None = None) -> np.ndarray:
        """Share (videos,) of the next watches that a softmax of the scores expects."""
        events = self.events if events is None else events
        moments, total = Moments.of_events(self.logs, events), np.zeros(self.videos)
        for start in range(0, len(events), CHUNK):
            part = moments[start : start + CHUNK]
            total += softmax(np.where(self.hidden(part), -np.inf, scorer(part)), axis=1).sum(axis=0)
        return total / len(events)

    def live(self, world: World, scorers: Mapping[str, Scorer], **options) -> ABResult:
        """Put the pages of scorers in front of the same people; ``options`` as of `ab_test`."""
        policies = {name: self.policy(scorer) for name, scorer in scorers.items()}
        return ab_test(world, policies, **{"candidates": "catalogue", **options})

    def policy(self, scorer: Scorer) -> Policy:
        """Pages of a scorer: its best among what was not watched lately; nothing newer is known."""
        return policy(scorer, self.videos)

    def pages(self, scorer: Scorer, users: Sequence[int], k: int = 10) -> np.ndarray:
        """The k best videos (accounts, k) for some accounts at the moment of the cut, evening."""
        asked = pd.DataFrame({"user_id": np.asarray(users, np.int64), "time": self.at})
        for name, code in (("device", 0), ("daypart", 3)):
            kinds = self.events[name].cat.categories
            asked[name] = pd.Categorical.from_codes([code] * len(asked), kinds)
        moments = Moments.of_events(self.train, asked)
        scores = np.where(self.hidden(moments), -np.inf, np.asarray(scorer(moments)))
        return top(scores, np.broadcast_to(np.arange(self.videos), scores.shape), k)


def policy(scorer: Scorer, videos: int) -> Policy:
    """Pages of the best of ``videos`` scores, without what was watched lately, for live tests."""

    def best(requests: Requests) -> np.ndarray:
        if requests.candidates is None and requests.slate > videos:
            raise PolicyError(f"A page of {requests.slate} out of {videos} videos")
        # One column for each video there is, and a last one for the "no video" entries (-1).
        table = np.full((len(requests), max(requests.available, videos) + 1), -np.inf)
        table[:, :videos] = scorer(Moments.of_requests(requests))
        table[np.arange(len(requests))[:, None], requests.recent_videos] = -np.inf
        ids = offered(requests)
        own = np.take_along_axis(table, ids.astype(np.int64), axis=1)
        return top(own, ids, requests.slate)

    return best


def tomorrow(world: World) -> NextWatch:
    """The game about the day after a world's log, so that models of the whole log can be asked.

    The day passes on a copy of the world, under the ranking that made the log. Rows about videos
    that are uploaded on that day are left out.
    """
    engine, record, day = copy.copy(world.engine), Record(), world.config.days
    engine.memory, engine.market = engine.memory.copy(), engine.market.copy()
    engine.run(day, day + 1, engine.past_ranking(), record)
    old, later = world.logs(), from_record(world.engine, record)
    known = later["watches"]["video_id"] < len(old.videos)
    watches = pd.concat([old.watches, later["watches"][known]], ignore_index=True)
    searches = pd.concat([old.searches, later["searches"]], ignore_index=True)
    return NextWatch(replace(old, watches=watches, searches=searches), days=1.0)
