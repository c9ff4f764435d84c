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
from course.simulator.feed import SURVEY_SHARE, Feedback, Policy, Requests, named, rank, respond
from course.simulator.memory import Memory
from course.simulator.names import DAYPARTS
from course.simulator.people import DAYPART_SHARES
from course.simulator.streams import generator

OUTCOMES = ("watch_minutes", "clicks", "completions", "satisfied", "likes", "shares", "dismissals")
"""Sums over a page. ``satisfied`` counts watches worth 4 or 5 stars (observed: from surveys)."""

PAGE = ("topics", "fresh_share", "age_days", "length_minutes")
"""What a page shows: distinct topics, share of videos under 7 days old, mean age in days, mean
length in minutes (to be read beside ``watch_minutes``)."""

FRESH_DAYS = 7.0
SURFACES, CANDIDATES = ("home", "up_next"), ("nominated", "catalogue")


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


def draw_requests(engine: Engine, n: int, seed: int, surface: str = "home"):
    """Draw fresh page requests on the day after the log.

    Accounts come in proportion to their activity; some joined only now. Up-next requests carry a
    query video that fits what the person is after.

    Returns
    -------
    (Situation of n rows, query videos (n,), day)
    """
    people, config = engine.people, engine.config
    day = config.days
    rng = generator(engine.seed, "live requests", seed)
    odds = people.sessions_per_day * (people.joined <= day)
    if not odds.sum():
        raise ConfigError(
            f"Nobody is active on day {day} (sessions_per_day={config.sessions_per_day})",
            allowed="a world in which some accounts have sessions",
        )
    user = rng.choice(len(people), n, p=odds / odds.sum())
    daypart = rng.choice(len(DAYPARTS), n, p=DAYPART_SHARES)
    time = day + (daypart + rng.random(n)) / STEPS_PER_DAY
    situation = engine.behaviour.situation(user, time, people.draw_devices(user, daypart, rng))
    query = np.full(n, -1, dtype=np.int32)
    if surface == "up_next":
        engine.market.open(day)
        person = people.person(user, situation.member)
        topic = people.interests[person, day, 0]
        query = engine.market.topic(people.language[user], topic, rng.random((n, 1)))[:, 0]
        fallback = engine.market.language(people.language[user], rng.random((n, 1)))[:, 0]
        query = np.where(query < 0, fallback, query)
    return situation, query, day


def live_requests(
    engine: Engine,
    n: int,
    seed: int = 0,
    surface: str = "home",
    candidates: str = "nominated",
    visit: int = 0,
    memory: Memory | None = None,
) -> tuple[Situation, Requests]:
    """Make the page requests that all live experiments with these arguments share.

    Parameters
    ----------
    n, seed, surface, candidates : as for `ab_test`
    visit : how often the people came back already, an hour later each time
    memory : what is remembered by then; None = the engine's

    Returns
    -------
    (Situation, Requests) of n rows, as `respond` takes them
    """
    situation, query, day = draw_requests(engine, n, seed, surface)
    engine.market.open(day)
    time = situation.time + visit / 24
    time = np.minimum(time, np.floor(situation.time * 4 + 1) / 4 - 1e-4)
    situation = Situation(situation.user, situation.member, time, situation.device)
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
    surface: str = "home",
    candidates: str = "nominated",
    visits: int = 1,
) -> ABResult:
    """Put policies in front of the same people and compare.

    Parameters
    ----------
    engine : the world, at the end of its log; it is not changed
    policies : name -> policy; the first one is the control
    n : number of requests, at least 20
    seed : which fresh requests and which luck, at least 0
    surface : {"home", "up_next"}
    candidates : {"nominated", "catalogue"}
        Whether requests carry candidates or leave the whole catalogue to the policy.
    visits : how often each request comes back (an hour later, the same page being asked for
        again); what was shown and watched is remembered in between

    Raises
    ------
    ConfigError, PolicyError
    """
    _check(policies, n, seed, surface, candidates, visits)
    collected: dict[str, list[tuple[np.ndarray, Feedback]]] = {name: [] for name in policies}
    memories = {name: engine.memory for name in policies}
    if visits > 1:
        memories = {name: engine.memory.copy() for name in policies}
    moments = []
    for visit in range(visits):
        for name, policy in policies.items():
            memory = memories[name]
            situation, asked = live_requests(engine, n, seed, surface, candidates, visit, memory)
            pages = rank(named(_reading(policy, memory), name), asked)
            feedback = respond(engine.behaviour, memory, situation, asked.request, pages,
                               engine.seed)  # fmt: skip
            collected[name].append((pages, feedback))
            if visits > 1:
                _remember(engine, memory, situation, pages, feedback)
        moments.append(situation.time)
    return _summarise(engine, situation, np.concatenate(moments), collected, visits)


def _reading(policy: Policy, memory: Memory) -> Policy:
    """A policy that looks into memory (past ranking, oracle) must look into its own arm's."""
    if not isinstance(getattr(policy, "memory", None), Memory):
        return policy
    own = copy.copy(policy)
    own.memory = memory
    return own


def _check(policies, n, seed, surface, candidates, visits) -> None:
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
    if surface not in SURFACES:
        raise ConfigError(f"surface={surface!r}", allowed=" or ".join(map(repr, SURFACES)))
    if candidates not in CANDIDATES:
        raise ConfigError(f"candidates={candidates!r}", allowed=" or ".join(map(repr, CANDIDATES)))


def _remember(engine: Engine, memory: Memory, situation, pages, feedback) -> None:
    k = pages.shape[1]
    row, column = np.nonzero(feedback.clicked)
    memory.add_impressions(np.repeat(situation.user, k), pages.ravel(), feedback.clicked.ravel())
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


def _summarise(engine, situation, time, collected, visits) -> ABResult:
    catalogue, user = engine.catalogue, np.tile(situation.user, visits)
    per_page, shown = {}, {}
    for name, parts in collected.items():
        pages = np.concatenate([page for page, _ in parts])
        outcomes = [page_outcomes(feedback) for _, feedback in parts]
        values = {
            metric: tuple(np.concatenate([o[metric][i] for o in outcomes]) for i in (0, 1))
            for metric in OUTCOMES
        }
        age = time[:, None] - catalogue.uploaded[pages]
        topics = np.sort(catalogue.topic[pages], axis=1)
        page_values = {
            "topics": 1.0 + (topics[:, 1:] != topics[:, :-1]).sum(axis=1),
            "fresh_share": (age < FRESH_DAYS).mean(axis=1),
            "age_days": age.mean(axis=1),
            "length_minutes": catalogue.seconds[pages].mean(axis=1) / 60.0,
        }
        values.update({metric: (v, v) for metric, v in page_values.items()})
        per_page[name], shown[name] = values, pages
    control = next(iter(per_page.values()))
    rows = []
    for name, values in per_page.items():
        for metric in (*OUTCOMES, *PAGE):
            rows.append(_row(name, metric, values[metric], control[metric], user))
        distinct = len(np.unique(shown[name])) / catalogue.available(engine.config.days)
        rows.append(dict(policy=name, metric="coverage", observed=distinct, expected=distinct))
    requests = pd.DataFrame({"user": user, "time": time})
    return ABResult(pd.DataFrame(rows), shown, requests, per_page)


def _row(name, metric, values, control, user) -> dict:
    observed, expected = values
    base = control[0].mean()
    se = clustered_error(observed, user)
    difference_se = clustered_error(observed - control[0], user)
    # The control's mean, by which the lift is divided, is a sample too (delta method).
    ratio = observed.mean() / base if base else 1.0
    lift_se = clustered_error(observed - ratio * control[0], user)
    scale = 100.0 / base if base else np.nan
    lift = (observed.mean() - base) * scale
    exact = control[1].mean()
    return {
        "policy": name,
        "metric": metric,
        "observed": observed.mean(),
        "low": observed.mean() - 1.96 * se,
        "high": observed.mean() + 1.96 * se,
        "expected": expected.mean(),
        "lift": lift,
        "lift_low": lift - 1.96 * lift_se * scale,
        "lift_high": lift + 1.96 * lift_se * scale,
        "expected_lift": 100.0 * (expected.mean() - exact) / exact if exact else np.nan,
        "detectable": 2.8 * difference_se * scale,  # 1.96 + 0.84: 5 % level, 80 % power
    }


def clustered_error(values: np.ndarray, cluster: np.ndarray) -> float:
    """Standard error of a mean when rows of one account hang together.

    Parameters
    ----------
    values : float array (r,)
    cluster : int array (r,), the account of each row
    """
    residual = values - values.mean()
    sums = np.bincount(cluster, weights=residual)
    clusters = len(np.unique(cluster))
    return float(np.sqrt((sums**2).sum() * clusters / max(clusters - 1, 1)) / len(values))
