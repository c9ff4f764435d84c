"""Live experiments: several policies face the same people, with the same luck.

Each request is answered by every policy. A person's response to a video hangs on a coin keyed on
(request, video), so two policies that show the same card get the same response, and the
difference between them is due to what they show and where. Two read-outs stand side by side:

* *observed*: the sampled outcome with a 95 % interval, which is what a company sees;
* *expected*: the exact expectation given the pages, which only a simulator knows.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.checks import check_whole
from course.errors import ConfigError, PolicyError
from course.simulator.behaviour import Situation
from course.simulator.engine import STEPS_PER_DAY, Engine
from course.simulator.feed import SURVEY_SHARE, Feedback, Policy, Requests, rank, respond
from course.simulator.memory import Memory
from course.simulator.names import DAYPARTS
from course.simulator.organic import within_step
from course.simulator.people import DAYPART_SHARES
from course.simulator.streams import generator

OUTCOMES = ("watch_minutes", "clicks", "completions", "satisfied", "likes", "shares", "dismissals")
"""Sums over a page. ``satisfied`` counts watches worth 4 or 5 stars (observed: from surveys)."""

PAGE = ("topics", "fresh_share", "length_minutes")
"""What a page shows: distinct topics, share of videos under 7 days old, mean length in minutes (to
be read beside ``watch_minutes``)."""

FRESH_DAYS = 7.0
CANDIDATES = ("nominated", "catalogue")


@dataclass(frozen=True)
class ABResult:
    """Outcome of a live experiment.

    Attributes
    ----------
    table : DataFrame, one row per (policy, metric)
        ``observed``, ``low``, ``high``: sampled mean per page and its 95 % interval;
        ``expected``: exact expectation per page; ``lift``, ``lift_low``, ``lift_high``,
        ``expected_lift``: the same as a difference from the first policy, in percent of it;
        ``detectable``: smallest lift (percent) that this many pages would show in 4 of 5
        experiments.
    pages : dict policy -> int array (r * visits, k) of the videos shown
    requests : DataFrame, one row per page request: user, time
    per_page : dict policy -> dict metric -> (observed, expected) arrays per page
    """

    table: pd.DataFrame
    pages: dict[str, np.ndarray]
    requests: pd.DataFrame
    per_page: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]


def draw_requests(
    engine: Engine, n: int, seed: int, surface: str = "home"
) -> tuple[Situation, np.ndarray]:
    """Draw fresh page requests on the day after the log, and open the market of that day.

    Accounts come in proportion to their activity; some joined only now. The query
    videos (n,) are -1 on the home page; up next they fit what the person is after.
    """
    people, market, day = engine.people, engine.market, engine.config.days
    market.open(day)
    rng = generator(engine.seed, "live requests", seed)
    odds = people.sessions_per_day * (people.joined <= day)
    if not odds.sum():
        raise ConfigError(
            f"Nobody is active on day {day} (sessions_per_day={engine.config.sessions_per_day})",
            allowed="a world in which some accounts have sessions",
        )
    user = rng.choice(len(people), n, p=odds / odds.sum())
    daypart = rng.choice(len(DAYPARTS), n, p=DAYPART_SHARES)
    time = day + (daypart + rng.random(n)) / STEPS_PER_DAY
    situation = engine.behaviour.situation(user, time, people.draw_devices(user, daypart, rng))
    if surface == "home":
        return situation, np.full(n, -1, dtype=np.int32)
    language = people.language[user]
    topic = people.interests[people.person(user, situation.member), day, 0]
    query = market.topic(language, topic, rng.random(n))
    fallback = market.language(language, rng.random(n))
    return situation, np.where(query < 0, fallback, query)


def live_requests(
    engine: Engine,
    n: int,
    seed: int = 0,
    candidates: str = "nominated",
    visit: int = 0,
    memory: Memory | None = None,
) -> tuple[Situation, Requests]:
    """Make the page requests (n rows) that all live experiments (`ab_test`) with these share.

    ``visit`` says how often the people came back already, an hour later each time, and ``memory``
    what is remembered by then; None = the engine's.
    """
    situation, query = draw_requests(engine, n, seed)
    step = np.floor(situation.time * STEPS_PER_DAY)
    situation.time = within_step(situation.time + visit / 24, step)
    # Negative numbers never occur in a log, so a live test never replays logged luck.
    number = -1 - (np.arange(n, dtype=np.int64) + n * (visit + 1_000 * seed))
    rng = generator(engine.seed, "live nominate", seed, visit)
    pool, memory = candidates == "nominated", memory or engine.memory
    return situation, engine.requests(situation, query, memory, number, rng, pool=pool)


def ab_test(
    engine: Engine,
    policies: Mapping[str, Policy],
    *,
    n: int = 5_000,
    seed: int = 0,
    candidates: str = "nominated",
    visits: int = 1,
) -> ABResult:
    """Put policies on the home pages of the same people and compare.

    Parameters
    ----------
    engine : the world, at the end of its log; it is not changed
    policies : name -> policy; the first one is the control
    n : number of requests, at least 20
    seed : which fresh requests and which luck, at least 0
    candidates : {"nominated", "catalogue"}
        Whether requests carry candidates or leave the whole catalogue to the policy.
    visits : how often each request comes back (an hour later, the same page being asked for
        again); what was shown and watched is remembered in between

    Raises
    ------
    ConfigError, PolicyError
    """
    _check(policies, n, seed, candidates, visits)
    memories = {n: engine.memory if visits == 1 else engine.memory.copy() for n in policies}
    pages, values = ({name: [] for name in policies} for _ in range(2))
    moments = []
    for visit in range(visits):
        for name, policy in policies.items():
            memory = memories[name]
            situation, asked = live_requests(engine, n, seed, candidates, visit, memory)
            shown = rank(_reading(policy, memory), asked, name)
            f = respond(engine.behaviour, memory, situation, asked.request, shown, engine.seed)
            pages[name].append(shown)
            values[name].append(page_outcomes(f) | _what_pages_show(engine, situation.time, shown))
            if visits > 1:
                _remember(engine, memory, situation, shown, f)
        moments.append(situation.time)
    requests = pd.DataFrame({"user": np.tile(situation.user, visits)})
    requests["time"] = np.concatenate(moments)
    pages = {name: np.concatenate(parts) for name, parts in pages.items()}
    per_page = {
        name: {
            metric: tuple(map(np.concatenate, zip(*(part[metric] for part in parts), strict=True)))
            for metric in (*OUTCOMES, *PAGE)
        }
        for name, parts in values.items()
    }
    return ABResult(_table(engine, per_page, pages, requests["user"]), pages, requests, per_page)


def _reading(policy: Policy, memory: Memory) -> Policy:
    """A policy that looks into memory (past ranking, oracle) must look into its own arm's."""
    if not isinstance(getattr(policy, "memory", None), Memory):
        return policy
    own = copy.copy(policy)
    own.memory = memory
    return own


def _check(policies, n, seed, candidates, visits) -> None:
    if not isinstance(policies, Mapping) or not policies:
        raise ConfigError(
            f"policies={policies!r} is not a set of named policies",
            allowed='a dict such as {"control": policy_a, "new": policy_b}',
        )
    for name, policy in policies.items():
        if not callable(policy):
            raise PolicyError(
                f"The policy {name!r} is a {type(policy).__name__}, which cannot be called",
                allowed="a function from Requests to an int array (requests, slate)",
            )
    check_whole("n", n, 20)
    check_whole("seed", seed, 0)
    check_whole("visits", visits, 1)
    if seed >= 2**32:  # request numbers must fit into 64 bits
        raise ConfigError(f"seed={seed!r}", allowed="0 to 4294967295")
    if candidates not in CANDIDATES:
        raise ConfigError(f"candidates={candidates!r}", allowed=" or ".join(map(repr, CANDIDATES)))


def _remember(engine: Engine, memory: Memory, situation, pages, feedback) -> None:
    row, column = np.nonzero(feedback.clicked)
    memory.add_impressions(situation.user, pages, feedback.clicked)
    follow = np.zeros(len(row), bool)
    memory.add_watches(engine.catalogue, situation.user[row], pages[row, column], follow)


def page_outcomes(f: Feedback) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(observed, expected) sums over each page (r,) for every name in ``OUTCOMES``."""
    p = f.p_click
    satisfied = (f.survey >= 4) / SURVEY_SHARE  # one watch in ten is asked
    pairs = {
        "watch_minutes": (f.watched_seconds / 60.0, p * f.expected_seconds / 60.0),
        "clicks": (f.clicked, p),
        "completions": (f.completed, p * f.p_complete),
        "satisfied": (satisfied, p * f.p_satisfied),
        "likes": (f.liked, p * f.p_like),
        "shares": (f.shared, p * f.p_share),
        "dismissals": (f.dismissed, f.p_dismiss),
    }
    return {name: (seen.sum(axis=1), mean.sum(axis=1)) for name, (seen, mean) in pairs.items()}


def _what_pages_show(engine, time, pages) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The same twice over (r,) for every name in ``PAGE``: nothing of it hangs on luck."""
    c = engine.catalogue
    topics = np.sort(c.topic[pages], axis=1)
    values = {
        "topics": 1.0 + (topics[:, 1:] != topics[:, :-1]).sum(axis=1),
        "fresh_share": (time[:, None] - c.uploaded[pages] < FRESH_DAYS).mean(axis=1),
        "length_minutes": c.seconds[pages].mean(axis=1) / 60.0,
    }
    return {name: (value, value) for name, value in values.items()}


def _table(engine, per_page, pages, user) -> pd.DataFrame:
    rows, control = [], next(iter(per_page.values()))
    available = engine.catalogue.available(engine.config.days)
    for name, values in per_page.items():
        for metric, of_pages in values.items():
            found = _read_out(*of_pages, *control[metric], user)
            rows.append({"policy": name, "metric": metric, **found})
        share = len(np.unique(pages[name])) / available
        rows.append({"policy": name, "metric": "coverage", "observed": share, "expected": share})
    return pd.DataFrame(rows)


def _read_out(observed, expected, control, exact, user) -> dict[str, float]:
    """A row of the table, from values of each page; ``control`` and ``exact`` are the control's."""
    mean, base, exact = observed.mean(), control.mean(), exact.mean()
    se = clustered_error(observed, user)
    # The control's mean, by which the lift is divided, is a sample too (delta method).
    lift_se = clustered_error(observed - (mean / base if base else 1.0) * control, user)
    scale = 100.0 / base if base else np.nan
    lift = (mean - base) * scale
    return {
        "observed": mean,
        "low": mean - 1.96 * se,
        "high": mean + 1.96 * se,
        "expected": expected.mean(),
        "lift": lift,
        "lift_low": lift - 1.96 * lift_se * scale,
        "lift_high": lift + 1.96 * lift_se * scale,
        "expected_lift": 100.0 * (expected.mean() - exact) / exact if exact else np.nan,
        # 1.96 + 0.84: 5 % level, 80 % power.
        "detectable": 2.8 * clustered_error(observed - control, user) * scale,
    }


def clustered_error(values: np.ndarray, cluster: np.ndarray) -> float:
    """Standard error of the mean of values (r,) when rows of one cluster (r,) int hang together."""
    sums = np.bincount(cluster, weights=values - values.mean())
    clusters = len(np.unique(cluster))
    return float(np.sqrt((sums**2).sum() * clusters / max(clusters - 1, 1)) / len(values))
