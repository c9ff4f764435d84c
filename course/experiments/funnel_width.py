"""How wide should the funnel be, and what is a better ranker worth that is slow? (chapter 12)

`CorpusPages` asks for the same page requests once and takes the score of a ranker and the truth
for *every* video of the catalogue. What any choice of candidates, any re-ranking or any
combination is worth then follows by sorting, exactly.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from course.checks import no_nan
from course.errors import ConfigError
from course.experiments.live_pages import factors, weights
from course.experiments.ranking import multiplications as multiplications
from course.experiments.whole_system import System
from course.features.batch import RankingBatch
from course.models.combination import Combination
from course.recommender import Pool, Recommender, diversified
from course.simulator.experiment import live_requests
from course.simulator.feed import respond
from course.simulator.policies import top
from course.world import World

WIDTHS = (10, 20, 40, 80, 160)
CHUNK = 50
FIXED_MS, MS_PER_CARD = 20.0, 0.2
"""Assumed seconds of a large service: a fixed part, and for each card that one ranker scores. The
course's own ranker takes a hundredth of that; a service with a hundred times the weights does not.
"""


class CorpusPages:
    """Page requests of one live experiment, and the truth about every video for each of them.

    Parameters
    ----------
    world : World
    n : number of requests
    seed, surface : as for `course.ab_test`, whose requests these are

    Attributes
    ----------
    requests : Requests, without candidates
    value : dict of (r, V) float32, given a look: ``watch_minutes``, ``satisfied``, ``clicks``
    seen : (r, slate), P(the place is looked at)
    """

    def __init__(self, world: World, n: int = 300, seed: int = 0, surface: str = "home"):
        if world.config.time_budget:
            raise ConfigError(
                "With a budget of time the minutes of a page are no sum over its cards",
                fix="use a world with time_budget=0, or course.ab_test",
            )
        engine = world.engine
        moment, self.requests = live_requests(engine, n, seed, surface, "catalogue")
        everything = np.arange(self.requests.available, dtype=np.int32)
        parts = []
        for rows in _chunks(n):
            pages = np.broadcast_to(everything, (rows.stop - rows.start, len(everything)))
            truth = respond(engine.behaviour, engine.memory, moment.rows(rows),
                            self.requests.request[rows], pages, engine.seed)  # fmt: skip
            p = truth.p_click_if_seen
            parts.append({
                "watch_minutes": (p * truth.expected_seconds / 60.0).astype(np.float32),
                "satisfied": (p * truth.p_satisfied).astype(np.float32),
                "clicks": p.astype(np.float32),
            })  # fmt: skip
        self.value = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        place = np.arange(1, self.requests.slate + 1)
        self.seen = engine.behaviour.examined(moment.device[:, None], place)
        self.topic = engine.catalogue.topic

    def __len__(self) -> int:
        return len(self.requests)

    def first(self, n: int) -> CorpusPages:
        """The first n of the pages."""
        out = copy.copy(self)
        rows = slice(0, n)
        out.requests, out.seen = self.requests.rows(rows), self.seen[rows]
        out.value = {name: values[rows] for name, values in self.value.items()}
        return out

    def everything(self) -> Pool:
        """The whole catalogue as a pool: every video that may be shown."""
        r = self.requests
        videos = np.broadcast_to(np.arange(r.available, dtype=np.int32), (len(r), r.available))
        videos = videos.copy()
        rows = np.arange(len(r))[:, None]
        recent = np.asarray(r.recent_videos)
        there = (recent >= 0) & (recent < r.available)
        videos[np.broadcast_to(rows, recent.shape)[there], recent[there]] = -1
        return Pool(videos, np.zeros((*videos.shape, 1), np.float32), ("everything",))

    def outcomes(self, pages: np.ndarray) -> dict[str, float]:
        """Expected outcomes per page of pages (r, slate), and how many topics they hold."""
        out = {name: float((np.take_along_axis(v, pages, axis=1) * self.seen).sum(axis=1).mean())
               for name, v in self.value.items()}  # fmt: skip
        topics = np.sort(self.topic[pages], axis=1)
        out["topics"] = float(1 + (topics[:, 1:] != topics[:, :-1]).sum(axis=1).mean())
        return out

    def best(self, scores: np.ndarray, videos: np.ndarray) -> dict[str, float]:
        """Outcomes of the pages that take the highest scores (r, c) of videos (r, c)."""
        order = np.argsort(-no_nan("scores", scores), axis=1, kind="stable")
        order = order[:, : self.requests.slate]
        return self.outcomes(np.take_along_axis(videos, order, axis=1))


def _chunks(n: int, size: int = CHUNK) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def scored(recommender: Recommender, pages: CorpusPages, pool: Pool) -> np.ndarray:
    """Scores (r, c) of a pool by a recommender; minus infinity where there is no candidate."""
    parts = []
    for rows in _chunks(len(pages)):
        part = Pool(pool.videos[rows], pool.scores[rows], pool.sources)
        asked = recommender.with_candidates(pages.requests.rows(rows), part)
        parts.append(recommender.rank(asked))
    return np.concatenate(parts)


def widths(
    system: System, pages: CorpusPages, sizes: Sequence[int] = WIDTHS
) -> tuple[dict[str, dict[str, float]], np.ndarray]:
    """What pages are worth by the number of candidates that the ranker is handed.

    Returns
    -------
    found : name of the width ("10", ..., "pool", "corpus") -> outcomes, and ``cards`` ranked and
        ``core_ms`` per request
    scores : (r, V) of every video
    """
    recommender, r = system.recommender, pages.requests
    start = time.process_time()
    pool = recommender.nominate(r)
    sources_ms = 1_000 * (time.process_time() - start) / len(r)
    start = time.process_time()
    pooled_scores = scored(recommender, pages, pool)
    rank_ms = 1_000 * (time.process_time() - start) / len(r)
    everything = pages.everything()
    start = time.process_time()
    scores = scored(recommender, pages, everything)
    corpus_ms = 1_000 * (time.process_time() - start) / len(r)
    found = {}
    for size in sizes:
        cut = pool.first(size)
        found[str(size)] = pages.best(_of(scores, cut.videos), np.maximum(cut.videos, 0)) | {
            "cards": float(cut.size.mean())
        }
    found["pool"] = pages.best(pooled_scores, np.maximum(pool.videos, 0)) | {
        "cards": float(pool.size.mean()), "core_ms": sources_ms + rank_ms
    }  # fmt: skip
    found["corpus"] = pages.best(scores, np.maximum(everything.videos, 0)) | {
        "cards": float(everything.size.mean()), "core_ms": corpus_ms
    }  # fmt: skip
    return found, scores


def _of(scores: np.ndarray, videos: np.ndarray) -> np.ndarray:
    taken = np.take_along_axis(scores, np.maximum(videos, 0).astype(np.int64), axis=1)
    return np.where(videos >= 0, taken, -np.inf)


def break_even(small: float, large: float, more_ms: float) -> float:
    """Drop-off per 100 ms at which ``large``, slower by ``more_ms``, is worth what ``small`` is.

    Below it the large one wins. 0 if it is no better to begin with.
    """
    if large <= small:
        return 0.0
    return float(1.0 - (small / large) ** (100.0 / more_ms))


STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0)
COST_SIZES = (100, 200, 400, 800)
"""Candidates at which ranking is timed."""


def diversity(
    pages: CorpusPages, scores: np.ndarray, pool: Pool, strengths: Sequence[float] = STRENGTHS
) -> dict[float, dict[str, float]]:
    """Outcomes of list-wise pages by strength; 0 is point-wise.

    Parameters
    ----------
    scores : (r, c) of the pool's candidates; logarithms of minutes, so that a strength of 1 makes
        each video of a topic need 2.7 times the minutes of the one before
    """
    videos = np.maximum(pool.videos, 0)
    topics = pages.topic[videos]
    out = {}
    for strength in strengths:
        chosen = diversified(scores, topics, pages.requests.slate, strength)
        out[strength] = pages.outcomes(np.take_along_axis(videos, chosen, axis=1))
    return out


def page_cost(
    recommender: Recommender,
    pages: CorpusPages,
    sizes: Sequence[int] = COST_SIZES,
    repeats: int = 3,
    n: int = 100,
) -> dict[int, dict[str, float]]:
    """Core milliseconds per page by the number of candidates, medians of ``repeats``.

    Returns
    -------
    size -> dict with ``score`` (features and network), ``point`` (sorting) and ``list`` (choosing
    the page list-wise)
    """
    few = pages.first(n)
    rng = np.random.default_rng(0)
    out = {}
    for size in sizes:
        videos = rng.permutation(few.requests.available)[:size]
        rows = np.broadcast_to(videos.astype(np.int32), (len(few), size)).copy()
        pool = Pool(rows, np.zeros((*rows.shape, 1), np.float32), ("drawn",))
        topics = pages.topic[rows]
        scores = scored(recommender, few, pool)
        work = {
            "score": lambda pool=pool: scored(recommender, few, pool),
            "point": lambda s=scores, r=rows: top(s, r, few.requests.slate),
            "list": lambda s=scores, t=topics: diversified(s, t, few.requests.slate),
        }
        out[size] = {name: _core_ms(w, repeats) / len(few) for name, w in work.items()}
    return out


def _core_ms(work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(1_000 * (time.process_time() - start))
    return float(np.median(taken))


def straightness(x: Sequence[float], y: Sequence[float]) -> float:
    """Share of the variance of y that a straight line in x explains."""
    return float(np.corrcoef(x, y)[0, 1] ** 2)


WATCH_WEIGHTS, RATINGS = (0.0, 0.5, 1.0), (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def combination_sweep(system: System, pages: CorpusPages, pool: Pool) -> pd.DataFrame:
    """Live outcomes of the whole system by the two weights that are set by hand.

    Returns
    -------
    DataFrame with ``watch time`` and ``rating``, the weights (the click's is 1), and the outcomes
    of `CorpusPages.outcomes`
    """
    asked = system.whole.with_candidates(pages.requests, pool)
    known = replace(asked, candidates=np.maximum(asked.candidates, 0))
    inputs = system.whole.features.of_requests(known, system.logs)
    batch = RankingBatch.of(inputs, system.whole.features)
    predicted = factors(system.final.predict(batch), inputs.column("duration"))
    there, rows = pool.videos >= 0, []
    for watch_time in WATCH_WEIGHTS:
        for rating in RATINGS:
            by_hand = Combination(weights(watch_time, rating))
            scores = np.where(there, by_hand.score(predicted).reshape(there.shape), -np.inf)
            found = pages.best(scores, np.maximum(pool.videos, 0))
            rows.append({"watch time": watch_time, "rating": rating, **found})
    return pd.DataFrame(rows)
