"""How long one request takes with a catalogue of 100,000 videos (chapter 12 and the benchmark).

The sources that search by vectors get an index of 100,000 vectors: those of the trained model, and
random ones with as much spread around them. A vector that belongs to no video of the small world
stands for one that does, so everything behind the search sees real candidates: the pool, the
features, the ranker. What does not grow with the catalogue is thus as in the small world.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from course.experiments.whole_system import System, build
from course.recommender import ContextAware, Pool, Recommender, SequenceModel, Source, pooled
from course.retrieval import Index
from course.simulator.experiment import live_requests
from course.simulator.feed import Requests
from course.training import check_whole
from course.world import World, simulate

VIDEOS = 100_000


class LargeIndex(Index):
    """An exact index of ``videos`` vectors that answers with the rows of the first ones.

    Parameters
    ----------
    vectors : (n, d) of real videos; they come first
    videos : vectors in all, at least n
    seed : of the random vectors
    """

    def __init__(self, vectors: np.ndarray, videos: int = VIDEOS, seed: int = 0):
        check_whole("videos", videos, len(vectors))
        rng = np.random.default_rng(seed)
        more = rng.normal(size=(videos - len(vectors), vectors.shape[1])) * vectors.std(axis=0)
        super().__init__(np.concatenate([vectors, more + vectors.mean(axis=0)]))
        self.real = len(vectors)

    def search(self, users: np.ndarray, k: int, **options) -> tuple[np.ndarray, np.ndarray]:
        """See `course.retrieval.Index.search`."""
        rows, scores = super().search(users, k, **options)
        return np.where(rows < 0, rows, rows % self.real), scores


def enlarged(sources: Sequence[Source], videos: int = VIDEOS) -> list[Source]:
    """The same sources with a `LargeIndex` where they search by vectors."""
    out = []
    for source in sources:
        if isinstance(source, SequenceModel | ContextAware):
            source = copy.copy(source)
            source.index = LargeIndex(source.video_vectors(), videos)
        out.append(source)
    return out


def single_requests(world: World, n: int, seed: int = 0) -> list[Requests]:
    """Live page requests one by one, without candidates."""
    _, requests = live_requests(world.engine, n, seed, candidates="catalogue")
    return [requests.rows(slice(i, i + 1)) for i in range(n)]


def request_ms(
    system: System,
    recommender: Recommender | None = None,
    videos: int = VIDEOS,
    n: int = 50,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Milliseconds of one request, medians over ``n`` of them.

    Parameters
    ----------
    recommender : whose ranker; None = the whole system's
    clock : seconds; ``time.process_time`` counts this process's work only

    Returns
    -------
    dict with ``sources``, ``pool`` (joining, leaving out), ``features`` and ``network``, their sum
    ``request``, the ``slowest`` tenth of the requests, and ``candidates`` per request
    """
    whole = recommender or system.whole
    sources = enlarged(system.sources, videos)
    taken, sizes = [], []
    requests = single_requests(system.world, n + 2)
    for request in requests:
        pool, parts = _timed(whole, sources, request, clock)
        taken.append(parts)
        sizes.append(pool.size[0])
    parts = {name: np.array([t[name] for t in taken[2:]]) for name in taken[0]}  # two to warm up
    total = sum(parts.values())
    out = {name: float(np.median(ms)) for name, ms in parts.items()}
    return out | {
        "request": float(np.median(total)),
        "slowest": float(np.quantile(total, 0.9)),
        "candidates": float(np.mean(sizes)),
    }


def _timed(whole: Recommender, sources: list[Source], request: Requests, clock):
    at = [clock()]
    answers = [_Answer(source.name, source(request)) for source in sources]
    at.append(clock())
    pool: Pool = pooled(answers, request)
    asked = whole.with_candidates(request, pool)
    at.append(clock())
    known = replace(asked, candidates=np.maximum(asked.candidates, 0))
    inputs = whole.features.of_requests(known, whole.logs)
    at.append(clock())
    scores = whole.scores(inputs)
    np.argsort(-np.asarray(scores))[: request.slate]
    at.append(clock())
    ms = 1_000 * np.diff(at)
    return pool, dict(zip(("sources", "pool", "features", "network"), ms, strict=True))


class _Answer:
    """A source that has answered already."""

    def __init__(self, name: str, found):
        self.name, self._found = name, found

    def __call__(self, requests: Requests):
        return self._found


def trial(seed: int) -> dict[str, float]:
    """Core milliseconds of a request with 100,000 videos, and with those of the tiny world only."""
    system = build(simulate("tiny", seed=seed), seed=seed, test_pages=100)
    few = len(system.deep.features.videos)
    out = request_ms(system, n=100, clock=time.process_time)
    small = request_ms(system, videos=few, n=100, clock=time.process_time)
    return out | {f"tiny/{name}": value for name, value in small.items()}
