"""What each candidate source finds of the watches to come, and what only it finds (chapter 12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course.errors import ConfigError
from course.features import BAG_LENGTH, History
from course.recommender import Pool, Source, pooled
from course.simulator.engine import Record
from course.simulator.feed import Requests
from course.training import check_whole
from course.world import World, run_rounds

EVENTS = 3_000


def future_watches(
    world: World, days: int = 3, n: int = EVENTS, seed: int = 0
) -> tuple[Requests, np.ndarray]:
    """Moments after the log at which somebody watched a video for the first time.

    The world goes on for some days on a copy of itself, under the ranking that made the log. Kept
    are first watches of videos that were there when the log ended.

    Parameters
    ----------
    days : at most the world's ``future_days``
    n : at most so many, drawn at random

    Returns
    -------
    requests : one page request at each moment, with what the platform knew by then
    videos : (n,) int, what was watched
    """
    check_whole("n", n, 1)
    past = {"past": lambda record, engine: engine.past_ranking()}
    record = run_rounds(world, past, rounds=1, days_per_round=days).records["past"][0]
    logs, later = world.logs(), record.table("watches")
    old = len(logs.watches)
    user = np.r_[logs.watches["user_id"], later["user"]]
    video = np.r_[logs.watches["video_id"], later["video"]]
    time = np.r_[logs.watches["time"], later["time"]]
    available = world.engine.catalogue.available(world.config.days)
    _, first = np.unique(user.astype(np.int64) * len(world.engine.catalogue) + video, True)
    rows = first[(first >= old) & (video[first] < available)]
    if not len(rows):
        raise ConfigError(f"days={days}: nobody watched anything new", fix="take more days")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:n])
    known = video < available  # a model of the log knows no later video
    watched = History(user[known], time[known], video[known])
    at, now = rows - old, (user[rows], time[rows])
    return Requests(
        request=-2 - np.arange(len(rows), dtype=np.int64),
        user=user[rows],
        time=time[rows],
        device=later["device"][at].astype(np.int64),
        daypart=later["daypart"][at].astype(np.int64),
        surface=np.zeros(len(rows), np.int64),
        query_video=np.full(len(rows), -1, np.int32),
        candidates=None,
        nominators=None,
        previous_impressions=None,
        recent_videos=watched.bags(*now, BAG_LENGTH),
        recent_tokens=_tokens(world, record).bags(*now, BAG_LENGTH),
        slate=world.config.slate,
        available=available,
    ), video[rows]


def _tokens(world: World, record: Record) -> History:
    """All search tokens of the log and of the days after it."""
    columns = ["token_1", "token_2", "token_3"]
    s, later = world.logs().searches, record.table("searches")
    tokens = np.r_[s[columns].to_numpy(), np.column_stack([later[c] for c in columns])]
    there = tokens >= 0
    count = there.sum(axis=1)
    user, time = np.r_[s["user_id"], later["user"]], np.r_[s["time"], later["time"]]
    return History(np.repeat(user, count), np.repeat(time, count), tokens[there])


def recall_of_sources(
    sources: Sequence[Source], requests: Requests, videos: np.ndarray
) -> dict[str, float]:
    """How often a watch to come is among the candidates.

    Returns
    -------
    dict with, for each source, ``<name>/recall``, ``<name>/alone`` (share of the watches that
    only it found) and ``<name>/size`` (candidates per request); the same without ``alone`` for
    ``pool``, for ``pool, as many`` (cut to the size of the largest source) and for ``random``
    (as many random videos as the pool has)
    """
    pool = pooled(sources, requests)
    found = {name: _finds(pool.of(name), videos) for name in pool.sources}
    sizes = {name: float((pool.of(name) >= 0).sum(axis=1).mean()) for name in pool.sources}
    out: dict[str, float] = {}
    for name, hit in found.items():
        others = np.any([h for other, h in found.items() if other != name], axis=0)
        out[f"{name}/recall"] = float(hit.mean())
        out[f"{name}/alone"] = float((hit & ~others).mean()) if len(found) > 1 else out[
            f"{name}/recall"]  # fmt: skip
        out[f"{name}/size"] = sizes[name]
    cut = pool.first(round(max(sizes.values())))
    for name, of in (("pool", pool), ("pool, as many", cut)):
        out[f"{name}/recall"] = float(_finds(of.videos, videos).mean())
        out[f"{name}/size"] = float(of.size.mean())
    out["random/recall"] = float((pool.size / requests.available).mean())
    return out


def _finds(candidates: np.ndarray, videos: np.ndarray) -> np.ndarray:
    return (candidates == videos[:, None]).any(axis=1)


def recall_by_width(
    pool: Pool, videos: np.ndarray, widths: Sequence[int], available: int
) -> dict[int, tuple[float, float]]:
    """Recall of the pool cut to each width, and of as many random videos."""
    out = {}
    for width in widths:
        cut = pool.first(width)
        out[width] = (
            float(_finds(cut.videos, videos).mean()),
            float((cut.size / available).mean()),
        )
    return out
