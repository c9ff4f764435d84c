"""The trained system as chapter 00 meets it: one call trains it, another follows one request."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from course.experiments.live_pages import factors, weights
from course.experiments.seven_tasks import SevenTasks
from course.experiments.whole_system import RATING_WEIGHT, fit_final, fit_sources
from course.features.batch import RankingBatch
from course.models.combination import Combination
from course.recommender import MultitaskRecommender
from course.simulator.feed import Requests
from course.simulator.policies import top
from course.world import World

EPOCHS = 1
"""Of the ranker; chapter 11 takes two."""


def train_system(world: World, seed: int = 0, progress=None) -> MultitaskRecommender:
    """Four candidate sources, one ranker of seven tasks with a shallow tower, weights by hand.

    The system of chapter 11 with a shorter training.
    """
    logs = world.logs()
    _, sources = fit_sources(logs, seed, progress=progress)
    ranker = fit_final(SevenTasks(world, 100), seed=seed, epochs=EPOCHS, progress=progress)
    by_hand = Combination(weights(1.0, RATING_WEIGHT))
    return MultitaskRecommender(sources, ranker, by_hand, factors, logs)


def answer(system: MultitaskRecommender, requests: Requests) -> tuple[dict, pd.DataFrame]:
    """Follow one request through the system.

    Parameters
    ----------
    requests : one request; its candidates are replaced by the system's own

    Returns
    -------
    counts : candidates of each source, and of the pool after joining them
    page : a row for each card, best first: ``video_id``, ``named by``, and what the ranker
        predicts: ``P(click)`` in per cent, ``minutes`` and ``stars`` of a watch
    """
    pool = system.nominate(requests)
    named = {name: pool.of(name)[0] for name in pool.sources}
    counts = {name: int((videos >= 0).sum()) for name, videos in named.items()}
    asked = system.with_candidates(requests, pool)
    page = top(system.rank(asked), asked.candidates, asked.slate)
    shown = system.with_candidates(requests, replace(pool, videos=page))
    inputs = system.features.of_requests(shown, system.logs)
    predicted = system.ranker.predict(RankingBatch.of(inputs, system.features))
    minutes = factors(predicted, inputs.column("duration"))["watch time"] / 60
    rows = {
        "video_id": page[0],
        "named by": [
            ", ".join(name for name, videos in named.items() if v in videos) for v in page[0]
        ],
        "P(click), %": 100 * predicted["click"],
        "minutes": minutes,
        "stars": predicted["rating"],
    }
    place = pd.Index(np.arange(1, len(page[0]) + 1), name="position")
    return counts | {"pool": int(pool.size[0])}, pd.DataFrame(rows, index=place)


def for_clicks(system: MultitaskRecommender):
    """The system as a player of chapter 00's game, which counts clicks: it ranks by the click.

    Returns
    -------
    function (requests, videos (r, c)) -> videos (r, c), best first
    """
    player = MultitaskRecommender(
        system.sources, system.ranker, Combination({"click": 1.0}), factors, system.logs
    )

    def ranking(requests: Requests, videos: np.ndarray) -> np.ndarray:
        at = (requests.candidates[:, :, None] == videos[:, None, :]).argmax(axis=1)
        own = {name: np.take_along_axis(getattr(requests, name), at, axis=1)
               for name in ("nominators", "previous_impressions")}  # fmt: skip
        asked = replace(requests, candidates=videos, **own)
        return top(player.rank(asked), videos, videos.shape[1])

    return ranking
