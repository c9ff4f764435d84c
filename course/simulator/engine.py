"""The engine: lets days pass, quarter by quarter, and writes down what happens.

In each quarter of a day: sessions start; most open the home page; people search, browse and go on
with series on their own; some watches open an up-next page. Memory is brought up to date between
these stages. There is no loop over accounts, sessions or impressions.
"""

from __future__ import annotations

import numpy as np

from course.simulator import feed, laws, organic
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.catalogue import Catalogue
from course.simulator.config import WorldConfig
from course.simulator.feed import Feedback, Policy, Requests
from course.simulator.memory import Memory, lock
from course.simulator.names import DAYPARTS
from course.simulator.nominate import Market, nominate
from course.simulator.organic import Rows, within_step
from course.simulator.people import People
from course.simulator.policies import PastRanking
from course.simulator.streams import generator

STEPS_PER_DAY = len(DAYPARTS)
OPENS_HOME = 0.75
OPENS_UP_NEXT = 0.36
FOLLOWS, FOLLOWS_IF_COMPLETED = 0.02, 0.10
OUTCOMES_OF_A_WATCH = ("watched_seconds", "completed", "liked", "shared", "survey")


class Record:
    """What happened, as parts of tables that are joined at the end."""

    def __init__(self):
        self._parts: dict[str, list[Rows]] = {}

    def add(self, table: str, **columns: np.ndarray) -> None:
        """Append rows (arrays of one length) to a table."""
        self._parts.setdefault(table, []).append(columns)

    def extend(self, other: Record) -> None:
        """Append all rows of another record."""
        for table, parts in other._parts.items():
            self._parts.setdefault(table, []).extend(parts)

    def table(self, name: str) -> Rows:
        """Joined columns of a table; empty if nothing was ever added."""
        return organic.joined(self._parts.get(name, []))


class Engine:
    """A world in motion: its fixed parts, its memory, and a method that lets time pass.

    The same configuration and seed (int, at least 0) give the same world: `course.world.simulate`.
    """

    def __init__(self, config: WorldConfig, seed: int):
        self.config, self.seed = config, seed
        self.catalogue = Catalogue(config, seed)
        self.people = People(config, self.catalogue, seed)
        self.behaviour = Behaviour(config, self.people, self.catalogue, seed)
        self.market = Market(self.catalogue, config.freshness)
        self.memory = Memory(config.users, self.catalogue, config.aftertaste > 0)
        self.requests_made = 0
        for part in (self.catalogue, self.people, self.behaviour, self.market):
            lock(part, "cumulative")  # the market's, which changes with time

    def past_ranking(self, memory: Memory | None = None) -> PastRanking:
        """The policy that made the log, reading this engine's (or the given) memory."""
        return PastRanking(self.behaviour, memory or self.memory)

    def run(self, first_day: int, last_day: int, policy: Policy | None, record: Record) -> None:
        """Let the days ``first_day`` to ``last_day - 1`` pass and write down what happens.

        ``policy`` ranks the pages; None = a world in which nothing is recommended.
        """
        for step in range(first_day * STEPS_PER_DAY, last_day * STEPS_PER_DAY):
            if step % STEPS_PER_DAY == 0:
                self.memory.new_day()
            # As at the start of the quarter: nobody may meet a video before its upload.
            self.market.open(step / STEPS_PER_DAY)
            self._step(step, policy, record)

    def _step(self, step: int, policy: Policy | None, record: Record) -> None:
        session, served = organic.sessions(self.behaviour, step, self.memory), []
        if policy is not None:
            opens = generator(self.seed, "opens home", step).random(len(session)) < OPENS_HOME
            home = session.rows(opens)
            query = np.full(len(home), -1, dtype=np.int32)
            served.append(self._serve(home, query, policy, record, step, 0))
        watches, searches = organic.organic_step(
            self.behaviour, self.memory, self.market, session, step
        )
        watches = self._remember([*served, self._watched(watches, step)], record, step, 0)
        record.add("searches", **searches)
        tokens = np.stack([searches[name] for name in organic.TOKENS], axis=1)
        self.memory.add_searches(searches["user"], tokens)
        if policy is None:
            return
        video = watches["video"]
        opens = generator(self.seed, "opens up next", step).random(len(video)) < OPENS_UP_NEXT
        viewer = Situation.of(watches).rows(opens)
        viewer.time = within_step(viewer.time + 3 / 1440, step)
        served = self._serve(viewer, video[opens], policy, record, step, 1)
        self._remember([served], record, step, 1)

    def _watched(self, watches: Rows, step: int) -> Rows:
        """Watches that did not come from the feed, with their outcomes."""
        situation, video = Situation.of(watches), watches["video"]
        score = self.behaviour.scorer(situation, video[:, None], self.memory)
        latent = {task: score(task)[:, 0] for task in feed.AFTER_CLICK}
        rng = generator(self.seed, "organic outcome", step)
        uniforms = {name: rng.uniform(1e-9, 1, len(video)) for name in feed.CHANCES}
        # Who looks for a video alone has time for it alone.
        time = generator(self.seed, "organic time", step).uniform(1e-9, 1, (2, len(video)))
        outcome = feed.after_click(self.behaviour, situation, video, latent, uniforms, time)
        return {**watches, "request": np.full(len(video), -1, dtype=np.int64), **outcome}

    def requests(
        self, situation: Situation, query, memory: Memory, number, rng, *, pool: bool = True
    ) -> Requests:
        """Describe page requests as the platform sees them (``pool``: nominate candidates)."""
        candidates = nominators = previous = None
        if pool:
            candidates, nominators = nominate(
                self.behaviour, self.market, memory, situation, query, rng
            )
            previous = memory.shown[situation.user[:, None], memory.bucket(candidates)]
        return Requests(
            request=number,
            user=situation.user,
            time=situation.time,
            device=situation.device,
            daypart=situation.daypart,
            surface=(query >= 0).astype(np.int8),
            query_video=query,
            candidates=candidates,
            nominators=nominators,
            previous_impressions=previous,
            recent_videos=memory.recent_videos[situation.user],
            recent_tokens=memory.recent_tokens[situation.user],
            slate=self.config.slate,
            available=self.catalogue.available(self.market.time),
        )

    def _serve(self, situation, query, policy, record, step, stage) -> Rows:
        """Show one page for each row; returns the watches that come of it."""
        number = self.requests_made + np.arange(len(situation), dtype=np.int64)
        self.requests_made += len(situation)
        rng = generator(self.seed, "nominate", step, stage)
        asked = self.requests(situation, query, self.memory, number, rng)
        pages = feed.rank(policy, asked)
        f = feed.respond(self.behaviour, self.memory, situation, number, pages, self.seed)
        write_pages(situation, asked, pages, f, record)
        self.memory.add_impressions(situation.user, pages, f.clicked)
        if self.config.aftertaste:
            gain = f.clicked * laws.mood_gain(f.expected_rating)
            self.memory.add_aftertaste(self.catalogue, situation.user, pages, gain)
        row, column = np.nonzero(f.clicked)
        viewer = situation.rows(row)
        viewer.time = within_step(viewer.time + column / 1440, step)
        return {
            **viewer.columns(),
            "video": pages[row, column],
            "source": np.where(query[row] >= 0, *map(organic.SOURCES.index, ("up_next", "home"))),
            "request": number[row],
            **{name: getattr(f, name)[row, column] for name in OUTCOMES_OF_A_WATCH},
        }

    def _remember(self, parts: list[Rows], record: Record, step: int, stage: int) -> Rows:
        """Write watches down in order of time and let memory take them in."""
        watches = organic.in_order(parts)
        record.add("watches", **watches)
        chance = np.where(watches["completed"], FOLLOWS_IF_COMPLETED, FOLLOWS)
        chance = chance * self.people.logged_in[watches["user"]]  # following needs an account
        follow = generator(self.seed, "follow", step, stage).random(len(chance)) < chance
        self.memory.add_watches(self.catalogue, watches["user"], watches["video"], follow)
        return watches


def write_pages(situation, asked: Requests, pages, f: Feedback, record: Record) -> None:
    """Write down the cards of pages (r, k), a row for each, and the truth about them."""
    k = pages.shape[1]
    place = (pages[:, :, None] == asked.candidates[:, None, :]).argmax(axis=2)
    of_request = ("request", "user", "time", "surface", "query_video", "device", "daypart")
    of_candidate = {"nominator": asked.nominators,
                    "previous_impressions": asked.previous_impressions}  # fmt: skip
    of_card = ("large_thumbnail", "clicked", "dismissed", *OUTCOMES_OF_A_WATCH)
    record.add(
        "impressions",
        video=pages.ravel(),
        position=np.tile(np.arange(1, k + 1, dtype=np.int8), len(pages)),
        **{name: np.repeat(getattr(asked, name), k) for name in of_request},
        **{name: np.take_along_axis(values, place, axis=1).ravel()
           for name, values in of_candidate.items()},
        **{name: getattr(f, name).ravel() for name in of_card},
    )  # fmt: skip
    truth = {"p_seen": f.p_seen, "p_click_if_seen": f.p_click_if_seen,
             "expected_seconds_if_clicked": f.expected_seconds,
             "expected_rating_if_clicked": f.expected_rating}  # fmt: skip
    truth = {name: values.ravel().astype(np.float32) for name, values in truth.items()}
    record.add("truth_impressions", **truth, member=np.repeat(situation.member, k))
