"""Rounds: serve, log, learn, serve again; beside a world in which nothing is recommended."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.errors import ConfigError, PolicyError
from course.simulator.engine import Engine, Record
from course.simulator.feed import Policy, failed, named

Learner = Callable[[Record, Engine], Policy]


@dataclass(frozen=True)
class Rounds:
    """Result of `run_rounds`.

    Attributes
    ----------
    table : DataFrame, one row per (arm, round): clicks, watch minutes and satisfaction per page,
        ``gini`` of the impressions over videos, ``coverage``, ``topics`` watched per account, and
        watches from anywhere (also for the arm in which nothing is recommended)
    records : dict arm -> list of the `Record` of each round
    """

    table: pd.DataFrame
    records: dict[str, list[Record]]


def run_rounds(
    engine: Engine,
    learners: dict[str, Learner | None],
    *,
    rounds: int = 5,
    days_per_round: int = 2,
) -> Rounds:
    """Let each arm serve, log and learn for several rounds, on its own copy of the world.

    Parameters
    ----------
    engine : the world at the end of its log; it is not changed
    learners : arm -> function from (rows of the arm's rounds so far, engine) to the policy of the
        next round; ``None`` = nothing is recommended. In the first round the record is empty. The
        engine that a learner gets shows the arm's present state and cannot change it.
    rounds, days_per_round : whole numbers; together they must fit into ``future_days``

    Raises
    ------
    ConfigError
    PolicyError
        When a learner raises or returns no policy, or for what `course.simulator.feed.rank`
        refuses.
    """
    config = engine.config
    for name, value in (("rounds", rounds), ("days_per_round", days_per_round)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise ConfigError(f"{name}={value!r}", allowed="a whole number, at least 1")
    for arm, learner in learners.items():
        if learner is not None and not callable(learner):
            raise ConfigError(
                f"The learner of the arm {arm!r} is a {type(learner).__name__}",
                allowed="a function (record, engine) -> policy, or None",
            )
    if rounds < 1 or days_per_round < 1 or rounds * days_per_round > config.future_days:
        raise ConfigError(
            f"rounds={rounds} of days_per_round={days_per_round}",
            allowed=f"at least one each, together at most future_days={config.future_days} days",
            fix="take fewer rounds, or simulate a world with more future_days",
        )
    rows, records = [], {}
    for arm, learner in learners.items():
        own = copy.copy(engine)  # people and videos are shared, memory is not
        own.memory = engine.memory.copy()
        own.market = engine.market.copy()
        so_far, records[arm] = Record(), []
        for number in range(rounds):
            policy = None if learner is None else _learn(learner, arm, number + 1, so_far, own)
            first = config.days + number * days_per_round
            record = Record()
            own.run(first, first + days_per_round, policy, record)
            so_far.extend(record)
            records[arm].append(record)
            rows.append({"arm": arm, "round": number + 1, **_figures(own, record)})
    return Rounds(pd.DataFrame(rows), records)


def _learn(learner: Learner, arm: str, number: int, record: Record, engine: Engine) -> Policy:
    who = f"The learner of the arm {arm!r}, round {number},"
    try:
        policy = learner(record, engine.for_guests())
    except (Exception, SystemExit) as error:
        raise failed(who, error) from error
    if not callable(policy):
        raise PolicyError(
            f"{who} returned a {type(policy).__name__}, which cannot be called",
            allowed="a policy: a function from Requests to an int array (requests, slate)",
            fix="to recommend nothing, give None in place of the learner",
        )
    return named(policy, arm)


def _figures(engine: Engine, record: Record) -> dict[str, float]:
    watches, pages = record.table("watches"), record.table("impressions")
    topic = engine.catalogue.topic[watches["video"]]
    topics = pd.Series(topic).groupby(watches["user"]).nunique().mean()
    figures = {
        "watches": len(topic),
        "topics": float(topics),
        "watched_gini": gini(np.bincount(watches["video"], minlength=len(engine.catalogue))),
    }
    if pages:
        n = len(np.unique(pages["request"]))
        truth = record.table("truth_impressions")
        available = engine.catalogue.available(pages["time"].max())
        shown = np.bincount(pages["video"], minlength=available)
        figures |= {
            "clicks": pages["clicked"].sum() / n,
            "watch_minutes": pages["watched_seconds"].sum() / 60 / n,
            "mean_rating": truth["expected_rating_if_clicked"][pages["clicked"]].mean(),
            "gini": gini(shown),
            "coverage": (shown > 0).mean(),
        }
    return figures


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of non-negative counts: 0 = all equal, towards 1 = one takes all."""
    ordered = np.sort(np.asarray(counts, dtype=float))
    n, total = len(ordered), ordered.sum()
    if n == 0 or total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
