"""The whole system of one world, from its log to its pages, and its steps live (chapter 12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from course.checks import no_nan
from course.experiments.live_pages import factors, weights
from course.experiments.next_watch import fit_candidates
from course.experiments.ranking import fit_pages, fit_ranker
from course.experiments.seven_tasks import LEARNING_RATE, TASKS, SevenTasks
from course.features import WARM_UP_DAYS, Features, examples
from course.features.batch import RankingBatch
from course.lessons.matrix_factorization import als, popularity, who_watched_what
from course.logs.tables import Logs
from course.metrics import interval
from course.models.candidate_generation import CandidateGenerator
from course.models.combination import Combination
from course.models.multitask import MultitaskLoss
from course.models.position_bias import TABLE_RATE
from course.models.watch_time import WatchTimeRanker
from course.recommender import (
    ContextAware,
    CoWatch,
    FinalRanker,
    MultitaskRecommender,
    Recommender,
    SequenceModel,
    Source,
    TopicMatch,
)
from course.retrieval import Index, IndexPolicy
from course.simulator.experiment import ABResult, clustered_error
from course.simulator.feed import Policy, Requests
from course.tasks.next_watch import Moments, policy
from course.world import World, ab_test

EPOCHS = 1
"""Of the sequence model: two more raise its recall by a few hundredths and take twice as long."""
RATING_WEIGHT = 1.0
"""Set by hand on the worlds of seeds 7 and 11, along the curve that chapter 12 draws."""
STEPS = (
    "random",
    "popularity",
    "matrix factorization",
    "deep candidates",
    "+ watch-time ranker",
    "+ many objectives",
    "+ shallow tower",
    "oracle",
)
"""The steps of the course, each on top of the one before."""


def fit_sources(logs: Logs, seed: int = 0, epochs: int = EPOCHS, progress=None) -> tuple:
    """Train the deep candidate generator and make the four sources.

    Returns
    -------
    (CandidateGenerator, list of sources)
    """
    end = float(np.ceil(logs.watches["time"].max()))
    features = Features(logs)
    rows = examples(logs, end, after=min(WARM_UP_DAYS, end / 2))
    deep = fit_candidates(features, logs, rows, epochs=epochs, seed=seed, progress=progress)
    own = [TopicMatch(logs), CoWatch(logs), SequenceModel(deep), ContextAware(logs, seed=seed)]
    return deep, own


def fit_final(
    data: SevenTasks, shallow: bool = True, *, seed: int = 0, progress=None, **options
) -> FinalRanker:
    """Train the ranker of seven tasks, with or without the shallow tower.

    Parameters
    ----------
    **options : of `course.experiments.ranking.fit_pages`, such as ``epochs``
    """
    positions = data.world.config.slate if shallow else 0
    ranker = FinalRanker(data.features, TASKS, positions, seed=seed)
    ranker.model.start_at(data.labels)
    loss = MultitaskLoss(TASKS, data.labels)
    position = torch.from_numpy(data.task.rows["position"].to_numpy().astype(np.int64))

    def batch_loss(batch: RankingBatch, rows: Tensor) -> Tensor:
        return loss(ranker(batch, position[rows]), rows)

    table = [] if ranker.shallow is None else [ranker.shallow.table.weight]
    own = {id(p) for p in table}
    groups = [{"params": [p for p in ranker.parameters() if id(p) not in own]}]
    groups += [{"params": table, "lr": TABLE_RATE}] if table else []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # which positions are hidden
        ranker.history = fit_pages(
            ranker, data.train, batch_loss, parameters=groups, seed=seed, progress=progress,
            **{"learning_rate": LEARNING_RATE, **options},
        )  # fmt: skip
    return ranker


@dataclass
class System:
    """Everything that was learned from one world's log.

    Attributes
    ----------
    data : SevenTasks, with features and labels
    deep : CandidateGenerator; sources : the four candidate sources
    watch : WatchTimeRanker
    plain, final : FinalRanker without and with the shallow tower (``plain`` may be None)
    """

    world: World
    logs: Logs
    data: SevenTasks
    deep: CandidateGenerator
    sources: list[Source]
    watch: WatchTimeRanker
    final: FinalRanker
    plain: FinalRanker | None = None

    def __post_init__(self) -> None:
        self.recommender = Recommender(self.sources, self.data.features, self.watch.logits,
                                       self.logs)  # fmt: skip
        self.whole = self.combined(self.final)

    def combined(
        self, ranker: FinalRanker, rating: float = RATING_WEIGHT, watch_time: float = 1.0
    ) -> MultitaskRecommender:
        """The system with a ranker of seven tasks and two weights that are set by hand."""
        by_hand = Combination(weights(watch_time, rating))
        return MultitaskRecommender(self.sources, ranker, by_hand, factors, self.logs)


def build(
    world: World, *, plain: bool = False, seed: int = 0, test_pages: int = 6_000, progress=None
) -> System:
    """Train everything on the log of a world.

    Parameters
    ----------
    plain : also train the ranker without a shallow tower
    progress : see `course.training.fit`; called by each training
    """
    logs = world.logs()
    deep, sources = fit_sources(logs, seed, progress=progress)
    data = SevenTasks(world, test_pages)
    watch = fit_ranker(data.task, seed=seed, progress=progress)
    final = fit_final(data, seed=seed, progress=progress)
    without = fit_final(data, False, seed=seed, progress=progress) if plain else None
    return System(world, logs, data, deep, sources, watch, final, without)


class Prepared:
    """Several rankers of one system in one live test: candidates and inputs are made once."""

    def __init__(self, system: System):
        self._recommender, self._asked = system.recommender, None

    def policy(self, recommender: Recommender) -> Callable[[Requests], np.ndarray]:
        """The system with the scores of another recommender on the same sources."""

        def ranked(requests: Requests) -> np.ndarray:
            asked, inputs = self._inputs(requests)
            scores = np.asarray(recommender.scores(inputs)).reshape(asked.candidates.shape)
            scores = np.where(asked.candidates >= 0, scores, -np.inf)
            return _top(scores, asked.candidates, asked.slate)

        return ranked

    def _inputs(self, requests: Requests):
        key = requests.request.tobytes()
        if self._asked != key:
            r = self._recommender
            asked = r.with_candidates(requests, r.nominate(requests))
            known = replace(asked, candidates=np.maximum(asked.candidates, 0))
            self._kept = asked, r.features.of_requests(known, r.logs)
            self._asked = key
        return self._kept


def _top(scores, videos, k):
    order = np.argsort(-no_nan("scores", scores), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(videos, order, axis=1)


def policies(system: System) -> dict[str, Callable]:
    """The steps of the course as live policies, by the names of ``STEPS``."""
    world, logs = system.world, system.logs
    prepared = Prepared(system)
    plain = system.plain or system.final
    rankers = (system.recommender, system.combined(plain), system.whole)
    made = [
        world.random(),
        *tables(logs),
        IndexPolicy(system.deep, Index(system.deep.video_vectors())),
        *(prepared.policy(r) for r in rankers),
        world.oracle("watch"),
    ]
    out = dict(zip(STEPS, made, strict=True))
    if system.plain is None:
        out.pop("+ many objectives")
    return out


def tables(logs: Logs) -> tuple[Policy, Policy]:
    """The count of two days in the account's language; and ALS, for who has watched something."""
    counts, language = popularity(logs, 2.0), logs.users["language"].cat.codes.to_numpy()
    x, y = als(who_watched_what(logs))
    known = np.isin(np.arange(len(x)), logs.watches["user_id"])

    def popular(moments: Moments) -> np.ndarray:
        return counts[language[moments.user]]

    def factorized(moments: Moments) -> np.ndarray:
        scores = x[moments.user] @ y.T
        return np.where(known[moments.user][:, None], scores, popular(moments))

    return policy(popular, len(y)), policy(factorized, len(y))


def run_steps(system: System, n: int = 1_000, seed: int = 0) -> ABResult:
    """A live experiment of all steps on whole-catalogue pages; the first one is the control."""
    return ab_test(system.world, policies(system), n=n, seed=seed, candidates="catalogue")


def table_of_steps(result: ABResult, metrics=("watch_minutes", "satisfied")) -> pd.DataFrame:
    """What each step is worth: expected, observed with 95 % half widths, and the paired step.

    Returns
    -------
    DataFrame, a row for each step; for each metric ``expected``, ``observed``, ``half``, and
    ``step``, ``step half``: observed difference to the row above on the same requests
    """
    user = result.requests["user"].to_numpy()
    rows: dict[str, dict] = {}
    above: Mapping | None = None
    for name, values in result.per_page.items():
        row = rows[name] = {}
        for metric in metrics:
            seen, mean = values[metric]
            row[metric, "expected"] = mean.mean()
            row[metric, "observed"] = seen.mean()
            row[metric, "half"] = 1.96 * clustered_error(seen, user)
            if above is not None:
                step = seen - above[metric][0]
                row[metric, "step"] = step.mean()
                row[metric, "step half"] = 1.96 * clustered_error(step, user)
        above = values
    return pd.DataFrame(rows).T.rename_axis("step of the course")


def steps_over_worlds(results: pd.DataFrame, metric: str = "watch_minutes") -> pd.DataFrame:
    """What each step is worth over several worlds.

    Parameters
    ----------
    results : stored results of the trial "whole_system", index seed

    Returns
    -------
    DataFrame, a row for each step: ``expected`` and ``observed`` per page (means of the worlds),
    ``of the oracle (%)``, and ``step (%)``, the change of the expectation against the row above,
    with ``half``, the half width of its 95 % interval over the worlds
    """
    rows, before = {}, None
    ceiling = results[f"steps/{STEPS[-1]}/{metric}/expected"]
    for step in STEPS:
        value = results[f"steps/{step}/{metric}/expected"]
        rows[step] = {
            "expected": value.mean(),
            "observed": results[f"steps/{step}/{metric}/observed"].mean(),
            "of the oracle (%)": 100 * (value / ceiling).mean(),
        }
        if before is not None:
            mean, half = interval((100 * (value / before - 1)).to_numpy())
            rows[step] |= {"step (%)": float(mean), "half": float(half)}
        before = value
    return pd.DataFrame(rows).T.rename_axis("step of the course")
