"""Churn: does a page know that its last visit was in vain?

The feature is the number of times that the account was shown the card before. A ranker with it
and one without are put in front of the same people, who come back again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from course.errors import ConfigError
from course.experiments.ranking import RankerPolicy, RankingTask, fit_ranker
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.simulator.experiment import draw_requests
from course.simulator.feed import Policy, Requests
from course.simulator.oracle import value
from course.simulator.streams import generator
from course.training import check_whole
from course.world import World, ab_test, simulate

PREVIOUS = "previous impressions"
VISITS = 3
REQUESTS = 2_000
FATIGUE = (0.0, 1.0, 3.0)
FIRST_DAY = 30.0
"""Rankers of this chapter learn from the days from here on: a third of the time, nearly as good."""


def all_but(features: RankingFeatures, *names: str) -> list[str]:
    """Names of all features but some.

    Raises
    ------
    ConfigError
        If one of them does not exist.
    """
    unknown = set(names) - set(features.names)
    if unknown:
        raise ConfigError(f"features {sorted(unknown)}", allowed=", ".join(features.names))
    return [name for name in features.names if name not in names]


@dataclass
class Watched:
    """A policy that keeps what it was asked and how it ordered all candidates."""

    policy: Policy

    def __post_init__(self) -> None:
        self.requests: list[Requests] = []
        self.orders: list[np.ndarray] = []
        # A live experiment hands each policy the memory of its own people, if it wants one.
        self.memory = getattr(self.policy, "memory", None)

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        if self.memory is not None:
            self.policy.memory = self.memory
        order = self.policy(replace(requests, slate=requests.candidates.shape[1]))
        self.requests.append(requests)
        self.orders.append(order)
        return order[:, : requests.slate]


def page_overlap(pages: np.ndarray, visits: int) -> np.ndarray:
    """Share of each visit's page that stood on the page before (visits - 1,).

    Parameters
    ----------
    pages : (visits x r, k) int, visit by visit, as in the ``pages`` of an `ABResult`
    """
    check_whole("visits", visits, 2)
    by_visit = pages.reshape(visits, -1, pages.shape[1])
    again = (by_visit[1:, :, :, None] == by_visit[:-1, :, None, :]).any(axis=3)
    return again.mean(axis=(1, 2))


def second_chances(requests: Sequence[Requests], orders: Sequence[np.ndarray]) -> dict[str, float]:
    """What becomes of cards that were shown, not watched, and nominated for the next page again.

    Parameters
    ----------
    requests : of successive visits by the same accounts
    orders : (r, c) each, the candidates in the order of a policy, best first

    Returns
    -------
    dict with ``shown again``, the share that is on the next page, and ``place``, their mean place
    among its candidates (1 = top)
    """
    places = []
    for before, after, then, now in zip(
        orders[:-1], orders[1:], requests[:-1], requests[1:], strict=True
    ):
        shown = before[:, : then.slate]
        watched = (shown[:, :, None] == now.recent_videos[:, None, :]).any(axis=2)
        match = shown[:, :, None] == after[:, None, :]
        places.append((match.argmax(axis=2) + 1)[match.any(axis=2) & ~watched])
    place = np.concatenate(places)
    if not len(place):
        return {"shown again": np.nan, "place": np.nan}
    return {"shown again": float((place <= requests[0].slate).mean()), "place": float(place.mean())}


def revisit(
    world: World, policies: Mapping[str, Policy], n: int = REQUESTS, visits: int = VISITS
) -> dict[str, dict[str, float]]:
    """Let people come back, and count repeats, for each policy.

    Returns
    -------
    dict policy -> ``overlap`` of successive pages, ``shown again`` and ``place`` as in
    `second_chances`, and expected ``watch_minutes`` and ``clicks`` per page over all visits
    """
    kept = {name: Watched(policy) for name, policy in policies.items()}
    result = ab_test(world, kept, n=n, visits=visits)
    out = {}
    for name, policy in kept.items():
        metrics = {
            m: float(result.per_page[name][m][1].mean()) for m in ("watch_minutes", "clicks")
        }
        overlap = float(page_overlap(result.pages[name], visits).mean())
        chances = second_chances(policy.requests, policy.orders)
        out[name] = {"overlap": overlap, **chances, **metrics}
    return out


# --- One card, shown again and again ------------------------------------------------------------


def one_page(world: World, seed: int = 0) -> Requests:
    """A single request for a home page on the day after the log, with its candidates."""
    engine = world.engine
    situation, query, day = draw_requests(engine, 20, seed)
    engine.market.open(day)
    one = situation.rows(np.array([0]))
    rng = generator(engine.seed, "one page", seed)
    return engine.requests(one, query[:1], engine.memory, np.array([-1]), rng)


def shown_before(requests: Requests, card: int, count: int) -> Requests:
    """The same request, had the account been shown one of its candidates ``count`` times."""
    previous = np.array(requests.previous_impressions)
    previous[:, card] = count
    return replace(requests, previous_impressions=previous)


def again_and_again(
    score: Callable[[RankingBatch], np.ndarray],
    features: RankingFeatures,
    requests: Requests,
    card: int,
    counts: np.ndarray,
) -> np.ndarray:
    """What a ranker says of all candidates (counts, c) as one of them was shown more often.

    Parameters
    ----------
    requests : a single page request
    card : which candidate
    counts : (m,) int, times that it was shown before
    """
    asked = [shown_before(requests, card, int(count)) for count in counts]
    return np.stack([score(RankingBatch.of(features.of_requests(a), features)) for a in asked])


def truly_again_and_again(
    world: World, requests: Requests, card: int, counts: np.ndarray
) -> np.ndarray:
    """The truth (counts, c): expected seconds of each candidate, were it looked at."""
    engine = world.engine
    memory = engine.memory.copy()
    situation = engine.behaviour.situation(requests.user, requests.time, requests.device)
    bucket = memory.bucket(requests.candidates[0, card])
    out = []
    for count in counts:
        memory.shown[requests.user[0], bucket] = count
        out.append(value(engine.behaviour, memory, situation, requests.candidates)[0])
    return np.stack(out)


# --- The ledger ---------------------------------------------------------------------------------


def rankers(task: RankingTask, seed: int = 0) -> dict[str, object]:
    """A ranker with the number of previous impressions, and one without."""
    return {
        "with": fit_ranker(task, seed=seed),
        "without": fit_ranker(task, seed=seed, include=all_but(task.features, PREVIOUS)),
    }


def demotion(task: RankingTask, model, times: int = 5) -> float:
    """Mean change of the logit of the fresh cards when they were shown ``times`` times, not 0."""
    zero, many = (
        model.logits(RankingBatch.of(
            task.test_inputs.with_column(PREVIOUS, np.full(len(task.test_inputs), count)),
            task.features,
        ))
        for count in (0, times)
    )  # fmt: skip
    return float((many - zero).mean())


def trial(
    seed: int,
    size: str = "small",
    n: int = REQUESTS,
    first_day: float = FIRST_DAY,
    test_pages: int = 10_000,
) -> dict[str, float]:
    """Numbers of both rankers for one seed, in worlds with no, the usual and a strong fatigue."""
    out: dict[str, float] = {}
    for fatigue in FATIGUE:
        world = simulate(size, seed=seed, fatigue=fatigue)
        task = RankingTask(world, test_pages, first_day=first_day)
        models = rankers(task, seed)
        policies = {name: RankerPolicy(task.features, m.logits) for name, m in models.items()}
        found = revisit(world, {**policies, "oracle": world.oracle()}, n)
        for name, values in found.items():
            out.update({f"fatigue {fatigue:g}/{name}/{k}": v for k, v in values.items()})
        for name, model in models.items():
            out[f"fatigue {fatigue:g}/{name}/loss"] = task.loss(model.logits(task.test))
        out[f"fatigue {fatigue:g}/with/five times"] = demotion(task, models["with"])
    return out
