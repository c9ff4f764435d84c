"""Which videos come into question: draws by popularity, and the platform's simple nominators."""

from __future__ import annotations

import copy

import numpy as np

from course.simulator import laws
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.catalogue import N_LANGUAGES, N_TOPICS, Catalogue
from course.simulator.memory import Memory

NOMINATORS = ("recent topics", "followed channels", "trending", "same topic", "same channel")


class Market:
    """Popularity of all videos at one time, ready for drawing from any (language, topic).

    A cumulative sum over the videos sorted by (language, topic): such a group is a stretch of it,
    a language is a longer stretch, and a draw is one binary search.
    """

    def __init__(self, catalogue: Catalogue, freshness: float):
        self.catalogue, self.freshness = catalogue, freshness
        group = catalogue.language.astype(np.int64) * N_TOPICS + catalogue.topic
        self.order = np.argsort(group, kind="stable")
        self.bounds = np.searchsorted(group[self.order], np.arange(N_LANGUAGES * N_TOPICS + 1))
        self.by_channel = np.argsort(catalogue.channel, kind="stable")
        self.channel_bounds = np.searchsorted(
            catalogue.channel[self.by_channel], np.arange(catalogue.channels + 1)
        )
        self.cumulative = np.zeros(len(catalogue) + 1)
        self.time = -np.inf

    def open(self, time: float) -> None:
        """Set the popularity of all videos to that of ``time`` (days)."""
        c = self.catalogue
        rate = laws.popularity(time - c.uploaded, c.base_popularity, c.peak_days, self.freshness)
        np.cumsum(rate[self.order], out=self.cumulative[1:])
        self.time = time

    def copy(self) -> Market:
        """The same market, which can be opened at another time."""
        own = copy.copy(self)
        own.cumulative = self.cumulative.copy()
        return own

    def topic(self, language, topic, uniforms) -> np.ndarray:
        """Draw videos of languages and topics by popularity: int32, -1 where none is uploaded yet.

        Languages, topics (int) and uniforms in (0, 1) broadcast together.
        """
        group = np.asarray(language, np.int64) * N_TOPICS + topic
        return self._draw(group, group + 1, uniforms)

    def language(self, language, uniforms) -> np.ndarray:
        """Draw from a whole language likewise: what is trending."""
        first = np.asarray(language, np.int64) * N_TOPICS
        return self._draw(first, first + N_TOPICS, uniforms)

    def _draw(self, first_group, end_group, uniforms) -> np.ndarray:
        low = self.cumulative[self.bounds[first_group]]
        high = self.cumulative[self.bounds[end_group]]
        # side="right" skips videos of rate 0, which are not uploaded yet.
        # Rounding may lift a coin close to 1 to the end of the stretch, which is the next one's.
        height = np.minimum(low + uniforms * (high - low), np.nextafter(high, low))
        place = np.searchsorted(self.cumulative, height, side="right") - 1
        place = np.clip(place, 0, len(self.order) - 1)
        return np.where(high > low, self.order[place], -1).astype(np.int32)

    def newest_of(self, channel, back) -> np.ndarray:
        """The ``back``-newest uploads of channels (-1 = none), 0 the newest; -1 if none."""
        ids, start = self.by_channel, self.channel_bounds[channel]
        # Ids grow with upload time, so within a channel the uploaded ones come first.
        uploaded = np.concatenate([[0], np.cumsum(self.catalogue.uploaded[ids] <= self.time)])
        count = uploaded[self.channel_bounds[channel + 1]] - uploaded[start]
        place = start + count - 1 - back
        there = (channel >= 0) & (back < count)
        return np.where(there, ids[np.clip(place, 0, len(ids) - 1)], -1).astype(np.int32)


def nominate(
    behaviour: Behaviour,
    market: Market,
    memory: Memory,
    situation: Situation,
    query: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Nominate candidates with the platform's simple sources; none of them sees the truth.

    On the home page half come from the topics of recent watches, a fifth from followed channels,
    the rest from what is trending in the account's language. On the up-next page half come from
    the query video's topic and a fifth from its channel instead.

    Returns candidates int32 (r, c), distinct within a row, and for each an index into
    ``NOMINATORS``, int8 (r, c).
    """
    catalogue, r, c = behaviour.catalogue, len(situation), behaviour.config.candidates
    n_topic, n_channel = c // 2, c // 5
    language = behaviour.people.language[situation.user][:, None]
    up_next = query[:, None] >= 0
    trending = market.language(language, rng.random((r, 3 * c // 4)))
    recent = memory.recent_videos[situation.user, :12]
    pick = np.take_along_axis(recent, rng.integers(12, size=(r, n_topic)), axis=1)
    pick = np.where(up_next, query[:, None], pick)
    topic = catalogue.topic[np.maximum(pick, 0)]
    by_topic = market.topic(language, topic, rng.random(pick.shape))
    by_topic[pick < 0] = -1
    channel = np.take_along_axis(
        memory.followed[situation.user], rng.integers(8, size=(r, n_channel)), axis=1
    )
    channel = np.where(up_next, catalogue.channel[np.maximum(query, 0)][:, None], channel)
    by_channel = market.newest_of(channel, np.arange(n_channel)[None, :] // 2)
    # A stretch of distinct videos fills rows whose draws repeat each other too often.
    available = catalogue.available(market.time)
    spare = (rng.integers(available, size=(r, 1)) + np.arange(c + 1)) % available
    pool = np.concatenate([by_topic, by_channel, trending, spare], axis=1).astype(np.int32)
    widths = n_topic, n_channel, trending.shape[1] + spare.shape[1]
    at_home, beside = (np.repeat(np.int8(kinds), widths) for kinds in ([0, 1, 2], [3, 4, 2]))
    return _first_distinct(pool, np.where(up_next, beside, at_home), query, c)


def _first_distinct(pool, source, query, c):
    """Keep the first ``c`` distinct videos of each row, in order of nomination."""
    width = pool.shape[1]
    ordered = np.sort(pool.astype(np.int64) * width + np.arange(width), axis=1)
    video, place = ordered // width, ordered % width
    good = (video >= 0) & (video != query[:, None])
    good[:, 1:] &= video[:, 1:] != video[:, :-1]
    rank = np.sort(np.where(good, place, width), axis=1)[:, :c]
    return np.take_along_axis(pool, rank, axis=1), np.take_along_axis(source, rank, axis=1)
