"""What nearest-neighbour search costs and what it spoils, on vectors learned in a large world.

The end metric is what viewers get: the expected clicks of a page under the truth of the world, for
the page as the search returns it and for the page that a perfect ranker picks from what the search
hands over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

from course.experiments.next_watch import fit_candidates
from course.features import Features, examples
from course.models.candidate_generation import CandidateGenerator
from course.models.softmax import SampledSoftmax
from course.retrieval import MISSING, Index, IndexPolicy, recall
from course.simulator.experiment import live_requests
from course.simulator.feed import Requests
from course.simulator.oracle import value
from course.simulator.policies import top
from course.world import World, ab_test

LARGE = {"users": 16_000, "videos": 200_000, "days": 30, "future_days": 1}
CANDIDATES = 200
REQUESTS = 1_000
SINGLE, ROUNDS = 200, 10
"""Requests that are searched one at a time, to measure the time, and into how many rounds they are
divided."""
NPROBE = (1, 2, 4, 8, 16, 32, 64, 128)
EF = (200, 400, 800, 1_600)
RAW_NPROBE = (1, 4, 16, 64, 128)
RAW_EF = (200, 800)


def learned(world: World, seed: int, *, epochs: int = 2, **options) -> CandidateGenerator:
    """A linear candidate generator with 32 dimensions, trained on sampled negatives."""
    logs = world.logs()
    features = Features(logs, floor=2.0)
    counts = features.videos.counts
    return fit_candidates(
        features, logs, examples(logs, world.config.days, after=5.0), depth=0, dim=32,
        epochs=epochs, batch=1_024,
        softmax=SampledSoftmax(counts), sparse=True, seed=seed, **options,
    )  # fmt: skip


def best_by_truth(world: World, requests: Requests, candidates: np.ndarray) -> np.ndarray:
    """Pages (r, slate) of the candidates with the largest true click probability."""
    engine = world.engine
    situation = engine.behaviour.situation(requests.user, requests.time, requests.device)
    worth = value(engine.behaviour, engine.memory, situation, np.maximum(candidates, 0), "click")
    return top(np.where(candidates == MISSING, -np.inf, worth), candidates, requests.slate)


def compare(
    world: World,
    model: CandidateGenerator,
    settings: Mapping[str, tuple[Index, Mapping[str, int]]],
    *,
    n: int = REQUESTS,
    k: int = CANDIDATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Serve the same requests with several indexes and settings.

    Parameters
    ----------
    settings : name -> (index, settings of its search); one must be "flat", the exact search
    n : requests; k : candidates that each search hands over

    Returns
    -------
    DataFrame, index name, with columns ``recall@10``, ``recall@k`` (k the number of candidates),
    ``scanned`` (share of the vectors compared with; NaN for hnsw), ``ms`` (median core milliseconds
    of a single search), ``clicks``, ``watch_minutes`` (expected, of the page as the search returns
    it), ``ranked_clicks``, ``ranked_watch_minutes`` (of the best page from the k candidates)
    """
    _, requests = live_requests(world.engine, n, seed, candidates="catalogue")
    users = model.user_vectors(requests)
    exact, _ = settings["flat"][0].search(users, k)
    seconds = single_searches(settings, users[:SINGLE], k)
    rows, pages = {}, {}
    for name, (index, options) in settings.items():
        found, _ = index.search(users, k, **options)
        rows[name] = {
            "recall@10": recall(found[:, :10], exact[:, :10]),
            "recall@k": recall(found, exact),
            "scanned": np.nan if index.kind == "hnsw" else index.scanned(users, **options).mean(),
            "ms": 1e3 * seconds[name],
        }
        candidates = IndexPolicy(model, index, k, **options).candidates(requests)
        pages[name] = candidates[:, : requests.slate]
        pages[f"{name}, ranked"] = best_by_truth(world, requests, candidates[:, :k])
    given = {name: (lambda asked, page=page: page) for name, page in pages.items()}
    outcome = ab_test(world, given, n=n, seed=seed, candidates="catalogue").table
    outcome = outcome.set_index(["metric", "policy"])["expected"]
    for name, row in rows.items():
        for metric in ("clicks", "watch_minutes"):
            row[metric] = outcome[metric, name]
            row[f"ranked_{metric}"] = outcome[metric, f"{name}, ranked"]
    return pd.DataFrame(rows).T


def single_searches(
    settings: Mapping[str, tuple[Index, Mapping[str, int]]], users: np.ndarray, k: int
) -> dict[str, float]:
    """Median core seconds of a search for one user.

    All settings take turns in each round: when the machine is slow for a while, all of them are.
    """
    taken: dict[str, list[float]] = {name: [] for name in settings}
    for some in np.array_split(users, ROUNDS):
        for name, (index, options) in settings.items():
            for user in some:
                start = time.process_time()
                index.search(user[None], k, **options)
                taken[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in taken.items()}


def indexes(vectors: np.ndarray, seed: int = 0):
    """The kinds at a range of settings, for `compare`, and core seconds to build each.

    "raw" indexes leave the vectors as long as they are.
    """
    made, seconds = {}, {}
    for name in ("flat", "ivf", "hnsw", "raw ivf", "raw hnsw"):
        start, kind = time.process_time(), name.split()[-1]
        made[name] = Index(vectors, kind, equal_length=name == kind, seed=seed)
        seconds[name] = time.process_time() - start
    settings = {"flat": (made["flat"], {})}
    for name, option, values in (
        ("ivf", "nprobe", NPROBE), ("hnsw", "ef", EF),
        ("raw ivf", "nprobe", RAW_NPROBE), ("raw hnsw", "ef", RAW_EF),
    ):  # fmt: skip
        settings |= {f"{name} {v}": (made[name], {option: v}) for v in values}
    return settings, seconds
