"""Train once, or go on training every few days, in a world whose people change (chapter 12).

Two kinds of model stand for two places where taste may be kept. *Factorization* keeps it in a
vector for each account, that is, in its weights. The *ranker* reads it from what the account did
lately, that is, from its inputs, which are up to date either way.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course.experiments.ranking import HIDDEN, RankerPolicy, fit_pages
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.lessons.matrix_factorization import als, who_watched_what
from course.logs import first_watches
from course.logs.tables import Logs
from course.metrics import mean_reciprocal_rank, ranks, weighted_per_user_loss
from course.models.watch_time import (
    WatchTimeRanker,
    best_constant,
    click_weights,
    weighted_logistic_loss,
)
from course.tasks.next_day import FreshPages, fresh_pages
from course.world import World, ab_test, simulate

DRIFTS = (0.0, 0.05, 0.2)
"""P(a person swaps one interest) per day; 0.05 is the world as it is."""
USERS, VIDEOS, DAYS = 1_500, 1_000, 40
START, HALT, STEP = 7, 19, 3
"""Training begins on day ``START``, in steps of ``STEP`` days; one-shot training ends at ``HALT``.
"""
TEST_DAYS = 3
FACTORS, REGULARISATION, ALPHA, ITERATIONS = 32, 10.0, 3.0, 10
PAGES, LIVE_PAGES = 4_000, 2_000


def drifting(drift: float, seed: int) -> World:
    """The world of the trial, at one setting of the dial."""
    return simulate("small", seed=seed, cache=False, users=USERS, videos=VIDEOS, days=DAYS,
                    drift=drift)  # fmt: skip


def spans(last: int, first: int = START, step: int = STEP) -> list[tuple[int, int]]:
    """Days that are trained on together, in order: (first, first + step), ... up to ``last``."""
    return [(day, min(day + step, last)) for day in range(first, last, step)]


def fit_factors(logs: Logs, first: float, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of accounts and videos (ALS) from the watches of some days."""
    w = logs.watches
    rows = w[(w["time"] >= first) & (w["time"] < last)]
    table = who_watched_what(replace(logs, watches=rows))
    x, y = als(table, FACTORS, REGULARISATION, ALPHA, ITERATIONS)
    y[table.getnnz(axis=0) == 0] = 0.0  # nobody watched these: nothing is known of them
    return x, y


def factors_found(world: World, vectors: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """How well vectors know the people at the end of the log.

    Only videos count that were there at ``HALT``: all ways of training know them.

    Returns
    -------
    dict with ``mrr``, mean reciprocal rank of the first watches of the last days, and ``taste``,
    the mean over accounts of the correlation of their scores with how well each video truly fits
    them (both relative to the video's mean)
    """
    logs, known = world.logs(), int((world.logs().videos["uploaded"] < HALT).sum())
    scores = vectors[0] @ vectors[1][:known].T
    w = first_watches(logs.watches)
    w = w[w["video_id"] < known]
    last = DAYS - TEST_DAYS
    seen = np.zeros(scores.shape, bool)
    before, later = w[w["time"] < last], w[w["time"] >= last]
    seen[before["user_id"], before["video_id"]] = True
    user, target = later["user_id"].to_numpy(), later["video_id"].to_numpy()
    rank = ranks(scores[user], target, seen[user])
    busiest = np.argsort(-np.bincount(logs.watches["user_id"], minlength=len(logs.users)))
    some = busiest[: len(busiest) // 2]
    true = world.truth.interest(some[:, None], np.arange(known)[None], float(DAYS))
    return {"mrr": mean_reciprocal_rank(rank), "taste": _alike(scores[some], true)}


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Mean correlation of rows, after the mean of each column is taken off."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return float(((a * b).sum(axis=1) / np.maximum(size, 1e-12)).mean())


def fit_in_order(logs: Logs, last: int, seed: int = 0) -> WatchTimeRanker:
    """A watch-time ranker, trained on span after span of impressions up to day ``last``.

    Vocabularies and quantiles come from what it trained on; counters and histories from the whole
    log, since a platform counts on whether it trains or not.
    """
    rows = logs.impressions
    rows = rows[(rows["time"] >= START) & (rows["time"] < last)]
    features = RankingFeatures(logs, rows)
    weight = click_weights(rows["clicked"], rows["watched_seconds"])
    bias = best_constant(rows["clicked"], weight.numpy())
    model = WatchTimeRanker(features, HIDDEN, bias=bias, seed=seed)
    for first, end in spans(last):
        part = rows[(rows["time"] >= first) & (rows["time"] < end)]
        batch = RankingBatch.of(features.of_impressions(logs, part), features)
        clicked = batch.numbers.new_tensor(part["clicked"].to_numpy().astype(np.float32))
        worth = click_weights(part["clicked"], part["watched_seconds"])
        fit_pages(
            model, batch,
            lambda b, i, y=clicked, t=worth: weighted_logistic_loss(model(b), y[i], t[i]),
            epochs=1, seed=seed,
        )  # fmt: skip
    return model


def ranker_found(logs: Logs, model: WatchTimeRanker, fresh: FreshPages) -> float:
    """Weighted per-user loss (percent) on the pages of the day after the log."""
    inputs = model.features.of_impressions(logs, fresh.cards)
    scores = model.logits(RankingBatch.of(inputs, model.features))
    c = fresh.cards
    return 100 * weighted_per_user_loss(scores, c["clicked"], c["watched_seconds"], c["request_id"])


def at_drift(drift: float, seed: int) -> dict[str, float]:
    """Both models, trained once and sequentially, in one world.

    Returns
    -------
    dict with ``factors/<way>/mrr`` and ``factors/<way>/taste`` for the ways "once", "on", and
    "late" (as many days as "once", but the last ones); ``ranker/<way>/loss`` and
    ``ranker/<way>/minutes`` (live, per page) for "once" and "on"
    """
    world = drifting(drift, seed)
    logs, out, last = world.logs(), {}, DAYS - TEST_DAYS
    for way, days in {"once": (0, HALT), "late": (last - HALT, last), "on": (0, last)}.items():
        found = factors_found(world, fit_factors(logs, *days))
        out |= {f"factors/{way}/{key}": value for key, value in found.items()}
    fresh, policies = fresh_pages(world, PAGES, seed=1), {}
    for way, stop in (("once", HALT), ("on", DAYS)):
        ranker = fit_in_order(logs, stop, seed)
        out[f"ranker/{way}/loss"] = ranker_found(logs, ranker, fresh)
        policies[way] = RankerPolicy(ranker.features, ranker.logits, logs)
    table = ab_test(world, policies, n=LIVE_PAGES).table
    table = table[table["metric"] == "watch_minutes"].set_index("policy")["expected"]
    return out | {f"ranker/{way}/minutes": float(table[way]) for way in policies}


def trial(seed: int) -> dict[str, float]:
    """`at_drift` for each of ``DRIFTS``; keys begin with the setting."""
    out: dict[str, float] = {}
    for drift in DRIFTS:
        out |= {f"drift {drift:g}/{key}": v for key, v in at_drift(drift, seed).items()}
    return out
