"""A dozen ways to order the pool: what an offline test says of each, and what people do (ch. 10).

All second stages get the same candidates, those of the system's pool. Offline they are judged on
fresh pages of the ranking that made the log; live by the truth about their own pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from course.experiments.funnel_width import CorpusPages
from course.experiments.live_pages import factors
from course.experiments.ranking import RankingTask
from course.experiments.whole_system import System
from course.features import RankingInputs
from course.features.batch import RankingBatch
from course.models.combination import Combination
from course.models.watch_time import WatchTimeRanker

Score = Callable[[RankingInputs], np.ndarray]
COMBINED = ("clicks", "minutes", "rated")
DOZEN = (
    "random",
    "popularity",
    "click rate",
    "own topics",
    "length",
    "click ranker",
    "watch ranker",
    *(f"many objectives, {name}" for name in COMBINED),
    *(f"shallow tower, {name}" for name in COMBINED),
    "three networks",
)
"""``clicks``: the click's head alone; ``minutes``: times the watch time; ``rated``: times the
rating, as served. "three networks" averages the logarithms of three rankers' minutes."""
NETWORKS = 3


def dozen(system: System, click: WatchTimeRanker) -> dict[str, Score]:
    """Score functions of cards, by the names of ``DOZEN``.

    Parameters
    ----------
    system : with ``plain``
    click : a ranker trained for clicks
    """
    features = system.data.features
    batch = _Latest(lambda inputs: RankingBatch.of(inputs, features))
    logits = _Latest(lambda inputs: system.watch.logits(batch(inputs)))
    made = {
        name: _Latest(
            lambda inputs, r=ranker: factors(r.predict(batch(inputs)), inputs.column("duration"))
        )
        for name, ranker in (("many objectives", system.plain), ("shallow tower", system.final))
    }
    by_hand = {
        "clicks": Combination({"click": 1.0}),
        "minutes": Combination({"click": 1.0, "watch time": 1.0}),
        "rated": system.whole.combination,
    }
    out: dict[str, Score] = {
        "random": lambda inputs: np.random.default_rng(0).random(len(inputs)),
        "popularity": lambda inputs: inputs.column("video watches"),
        "click rate": lambda inputs: inputs.column("video click rate"),
        "own topics": lambda inputs: inputs.column("watches of topic"),
        "length": lambda inputs: inputs.column("duration"),
        "click ranker": lambda inputs: click.logits(batch(inputs)),
        "watch ranker": logits,
    }
    for of, predicted in made.items():
        for name in COMBINED:
            out[f"{of}, {name}"] = lambda inputs, p=predicted, c=by_hand[name]: c.score(p(inputs))
    out["three networks"] = lambda inputs: (
        logits(inputs) + sum(by_hand["minutes"].score(p(inputs)) for p in made.values())
    ) / NETWORKS  # fmt: skip
    return out


class _Latest:
    """Remembers the answer to the latest question, which several scores ask for."""

    def __init__(self, function):
        self._function, self._asked, self._answer = function, None, None

    def __call__(self, inputs):
        if self._asked is not inputs:
            self._asked, self._answer = inputs, self._function(inputs)
        return self._answer


def offline(task: RankingTask, scores: np.ndarray) -> dict[str, float]:
    """What a test on fresh pages under the past ranking says of scores (n,) of its cards.

    Returns
    -------
    dict with ``auc`` of the clicks; ``error``, squared error of the minutes watched over their
    variance, on one half of the pages after the scores were turned into minutes on the other by a
    rising curve; ``loss``, the weighted per-user loss in percent
    """
    cards = task.next_day.cards
    minutes = cards["watched_seconds"].to_numpy() / 60.0
    half = np.arange(len(cards)) // task.world.config.slate % 2 == 0
    rising = IsotonicRegression(out_of_bounds="clip").fit(scores[half], minutes[half])
    wrong = rising.predict(scores[~half]) - minutes[~half]
    return {
        "auc": float(roc_auc_score(cards["clicked"], scores)),
        "error": float((wrong**2).mean() / minutes[~half].var()),
        "loss": task.loss(scores),
    }


def compare(
    system: System, scores: Mapping[str, Score], pages: CorpusPages
) -> dict[str, dict[str, float]]:
    """Offline and live results of each score: see `offline` and `CorpusPages.outcomes`."""
    task, recommender = system.data.task, system.recommender
    pool = recommender.nominate(pages.requests)
    asked = recommender.with_candidates(pages.requests, pool)
    there = pool.videos >= 0
    known = replace(asked, candidates=np.maximum(asked.candidates, 0))
    inputs = recommender.features.of_requests(known, system.logs)
    out = {}
    for name, score in scores.items():
        found = offline(task, np.asarray(score(task.test_inputs), float))
        live = np.where(there, np.asarray(score(inputs)).reshape(there.shape), -np.inf)
        out[name] = found | pages.best(live, np.maximum(pool.videos, 0))
    return out


def agreement(found: pd.DataFrame, offline: str, live: str) -> dict[str, float]:
    """How far an offline measure puts policies into the order of the live result.

    Parameters
    ----------
    found : a row for each policy
    offline, live : columns; for the errors and losses, lower = better is taken into account

    Returns
    -------
    dict with Spearman's ``rho`` and ``turned``, the share of pairs that stand the other way round
    """
    x, y = found[offline].to_numpy(float), found[live].to_numpy(float)
    x = -x if offline in ("error", "loss") else x
    pairs = list(combinations(range(len(x)), 2))
    turned = [np.sign(x[i] - x[j]) != np.sign(y[i] - y[j]) for i, j in pairs]
    return {"rho": float(spearmanr(x, y).statistic), "turned": float(np.mean(turned))}
