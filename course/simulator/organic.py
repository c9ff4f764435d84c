"""What people do without the feed: search, follow, follow links, browse, go on with a series."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.simulator.behaviour import Behaviour, Situation
from course.simulator.catalogue import N_GENRES, N_TOPICS
from course.simulator.laws import SHARES_OF_INTEREST, by_odds, choose, comes_back
from course.simulator.memory import Memory
from course.simulator.names import DAYPARTS
from course.simulator.nominate import Market
from course.simulator.people import DAYPART_SHARES, SEARCH_LEAD_DAYS
from course.simulator.streams import generator

SOURCES = ("search", "followed", "external", "browse", "series", "autoplay", "home", "up_next")
SOURCE_SHARES = np.array([0.28, 0.14, 0.17, 0.24, 0.17])
PROPOSALS = 8
EVENTS_PER_SESSION = 2.4
GOAL_STAYS = 0.7
NEW_INTEREST_SEARCHED = 0.8
ABANDONED = 0.3
AUTOPLAY = 0.45
LONGEST_RUN = 4
EVENT_GAP_DAYS = 9.0 / (24 * 60)

# Search words: 8 for each topic, 6 for each genre, 40 that say nothing. Rank k is used as 1/k.
TOPIC_WORDS, GENRE_WORDS, EMPTY_WORDS = 8, 6, 40

Rows = dict[str, np.ndarray]
"""Columns of what happened: those of a `Situation`, and what was watched or searched for."""
TOKENS = ("token_1", "token_2", "token_3")


def joined(parts: list[Rows]) -> Rows:
    """Rows below each other; no columns if there are no parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts or [{}])[0]}


def in_order(parts: list[Rows]) -> Rows:
    """The same in order of time."""
    rows = joined(parts)
    order = np.argsort(rows["time"], kind="stable")
    return {name: values[order] for name, values in rows.items()}


def within_step(time: np.ndarray, step: int) -> np.ndarray:
    """What begins in a quarter of a day stays in it, and so do the person and the context."""
    return np.minimum(time, (step + 1) / len(DAYPARTS) - 1e-4)


def sessions(behaviour: Behaviour, step: int, memory: Memory) -> Situation:
    """Draw the sessions that start in a quarter of a day: Poisson, once an account has joined.

    In a world with an aftertaste the mean hangs on how gladly the account comes back.
    """
    people = behaviour.people
    day, daypart = divmod(step, len(DAYPARTS))
    rng = generator(behaviour.seed, "sessions", step)
    mean = people.sessions_per_day * DAYPART_SHARES[daypart] * (people.joined <= day)
    if behaviour.config.aftertaste:
        mean = mean * comes_back(memory.mood, behaviour.config.aftertaste)
    user = np.repeat(np.arange(len(people)), rng.poisson(mean))
    time = (step + rng.random(len(user))) / len(DAYPARTS)
    return behaviour.situation(user, time, people.draw_devices(user, daypart, rng))


def organic_step(
    behaviour: Behaviour, memory: Memory, market: Market, session: Situation, step: int
) -> tuple[Rows, Rows]:
    """Watches (without outcomes) and searches of people on their own in a quarter of a day."""
    catalogue, config = behaviour.catalogue, behaviour.config
    rng = generator(behaviour.seed, "events", step)
    count = rng.poisson(EVENTS_PER_SESSION, len(session))
    index = np.repeat(np.arange(len(session)), count)
    event = session.rows(index)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    event.time = within_step(event.time + nth * EVENT_GAP_DAYS, step)

    goal = _goals(behaviour, session, event, index, generator(behaviour.seed, "goals", step))
    source = rng.choice(len(SOURCE_SHARES), len(event), p=SOURCE_SHARES)
    last = memory.last_episode[event.user]
    following = np.where(last >= 0, catalogue.next[last], -1)
    waits = (following >= 0) & (following < catalogue.available(step / len(DAYPARTS)))
    source[(source == 4) & ~(waits & (config.series > 0))] = 3
    searches, goal, watched = _search(behaviour, event, source, goal, step)

    rng = generator(behaviour.seed, "proposals", step)
    proposals = _propose(behaviour, memory, market, event, source, goal, following, rng)
    picked = _pick(behaviour, memory, event, proposals, source, goal, step)
    video = np.take_along_axis(proposals, np.maximum(picked, 0)[:, None], axis=1)[:, 0]
    # The watch follows its query by half a minute.
    event.time = np.where(source == 0, within_step(event.time + 0.5 / 1440, step), event.time)
    keep = (picked >= 0) & watched
    rng = generator(behaviour.seed, "repeats", step)
    known = np.maximum(video, 0)
    repeat = memory.seen[event.user, memory.bucket(known)]
    repeat |= pd.DataFrame({"user": event.user, "video": known}).duplicated().to_numpy()
    keep &= ~repeat | (rng.random(len(event)) < config.rewatch)
    chosen = {**event.rows(keep).columns(), "video": video[keep], "source": source[keep]}
    return _autoplay(behaviour, memory, chosen, step), in_order([searches])


def _goals(behaviour, session, event, index, rng) -> np.ndarray:
    """Topic (m,) that each event is after: sticky within a session, and fit for the context."""

    def draw(situation):
        person = behaviour.people.person(situation.user, situation.member)
        topics = behaviour.people.interests[person, situation.day].astype(np.int64)
        odds = SHARES_OF_INTEREST * np.exp(behaviour.context(situation, topics))
        slot = by_odds(odds, rng.random(len(topics)))
        return topics[np.arange(len(topics)), slot]

    kept = draw(session)[index]
    return np.where(rng.random(len(event)) < GOAL_STAYS, kept, draw(event))


def _search(behaviour, event, source, goal, step):
    """Turn some events into searches: their rows, the goals of all, and which are watched.

    An errand is after any topic. Else a new interest is searched for days before it is watched.
    """
    people, config = behaviour.people, behaviour.config
    rng = generator(behaviour.seed, "search", step)
    is_search = np.flatnonzero(source == 0)
    asker = event.rows(is_search)
    person = people.person(asker.user, asker.member)
    now = people.interests[person, asker.day]
    ahead = people.interests[person, asker.day + SEARCH_LEAD_DAYS]
    changed = now != ahead
    coming = np.take_along_axis(ahead, changed.argmax(axis=1)[:, None], axis=1)[:, 0]
    n = len(asker)
    lead = changed.any(axis=1) & (rng.random(n) < NEW_INTEREST_SEARCHED)
    errand = rng.random(n) < config.search_errands
    intent = np.where(lead, coming, goal[is_search])
    intent = np.where(errand, rng.integers(N_TOPICS, size=n), intent)
    goal = goal.copy()
    goal[is_search] = intent
    watched = np.ones(len(event), bool)
    watched[is_search] = rng.random(n) >= ABANDONED
    tokens = dict(zip(TOKENS, _tokens(intent, rng), strict=True))
    return {**asker.columns(), **tokens, "errand": errand}, goal, watched


def _tokens(topic, rng) -> np.ndarray:
    """Three tokens (3, q) int32: a topic word, perhaps a genre word, perhaps an empty one."""

    def word(size):
        odds = 1.0 / np.arange(1, size + 1)
        return rng.choice(size, len(topic), p=odds / odds.sum())

    first = topic * TOPIC_WORDS + word(TOPIC_WORDS)
    second = N_TOPICS * TOPIC_WORDS + topic // 3 * GENRE_WORDS + word(GENRE_WORDS)
    third = N_TOPICS * TOPIC_WORDS + N_GENRES * GENRE_WORDS + word(EMPTY_WORDS)
    second = np.where(rng.random(len(topic)) < 0.6, second, -1)
    third = np.where(rng.random(len(topic)) < 0.4, third, -1)
    return np.stack([first, second, third]).astype(np.int32)


def _propose(behaviour, memory, market, event, source, goal, following, rng) -> np.ndarray:
    """Videos that come into question (m, 8) int32, -1 = none."""
    language, n = behaviour.people.language[event.user][:, None], len(event)
    uniform = rng.random((n, PROPOSALS))
    sibling = 3 * (goal // 3) + rng.integers(3, size=n)
    stays = (source == 0) | (rng.random(n) < GOAL_STAYS)
    proposals = market.topic(language, np.where(stays, goal, sibling)[:, None], uniform)
    external = source == 2
    proposals[external] = market.language(language[external], uniform[external])
    followed = np.flatnonzero(source == 1)
    channel = np.take_along_axis(
        memory.followed[event.user[followed]],
        rng.integers(memory.followed.shape[1], size=(len(followed), 2)),
        axis=1,
    )
    newest = market.newest_of(np.repeat(channel, PROPOSALS // 2, axis=1), np.arange(PROPOSALS) // 2)
    proposals[followed] = newest
    series = source == 4
    proposals[series] = -1
    proposals[series, 0] = following[series]
    return proposals


def _pick(behaviour, memory, event, proposals, source, goal, step) -> np.ndarray:
    """Choose among the proposals by the same appeal as in the feed, plus the goal of the moment."""
    videos = np.maximum(proposals, 0)
    topic, goal = behaviour.catalogue.topic[videos], goal[:, None]
    near = 1.5 * (topic == goal) + 1.0 * (topic // 3 == goal // 3)
    utility = 1.3 * behaviour.scorer(event, videos, memory)("click")
    utility = utility + (source != 2)[:, None] * near
    utility = np.where(proposals >= 0, utility, -np.inf)
    return choose(utility, generator(behaviour.seed, "choice", step).random(utility.shape))


def _autoplay(behaviour, memory, watches: Rows, step: int) -> Rows:
    """After an episode the next one often starts by itself, for at most four in a row."""
    rng = generator(behaviour.seed, "autoplay", step)
    chance, catalogue = AUTOPLAY * behaviour.config.series, behaviour.catalogue
    available = catalogue.available(step / len(DAYPARTS))
    parts = [watches]
    for _ in range(LONGEST_RUN):
        last = parts[-1]
        video = catalogue.next[last["video"]]
        goes_on = rng.random(len(video)) < chance
        goes_on &= (video >= 0) & (video < available)
        goes_on &= ~memory.seen[last["user"], memory.bucket(np.maximum(video, 0))]
        more = {name: values[goes_on] for name, values in last.items()}
        more["time"] = within_step(more["time"] + EVENT_GAP_DAYS / 3, step)
        parts.append(more | {"video": video[goes_on], "source": np.full(goes_on.sum(), 5)})
    return in_order(parts)
