"""Rankers for clicks and for watch time: offline, calibrated, live (chapter 07)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor

from course.errors import ConfigError
from course.experiments import duration
from course.experiments.ranking import HIDDEN, RankerPolicy, RankingTask, fit_ranker
from course.features import RankingInputs
from course.features.batch import RankingBatch
from course.features.taxonomy import (
    BAGS,
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
)
from course.models.watch_time import (
    SECONDS_PER_UNIT,
    WatchTimeRanker,
    click_weights,
    weighted_logistic_loss,
)
from course.world import World, ab_test, simulate

LADDER: dict[str, tuple[int, ...]] = {
    "None": (),
    "32": (32,),
    "64": (64,),
    "128": (128,),
    "64-32": (64, 32),
    "128-64": (128, 64),
    "128-64-32": (128, 64, 32),
}
"""Hidden layers: those of P1's Table 1 at an eighth of the widths."""

OBJECTIVES = {
    "click": "clicks",
    "share": "clicks x share watched",
    "length": "clicks x length",
    "watch": "clicks x time watched",
}
"""What a click may weigh. Time watched = length x share watched: each half alone takes it apart."""

MANY_VALUES = ("video", "channel", "seed video", "last video")
"""Ids with more values than a tree may split on as categories; trees do without them."""

EPOCHS, LEARNING_RATE = 3, 1e-2
"""Of every network of this chapter; see `course.experiments.ranking` for all else."""

LIVE_PAGES = 2_000
DOSES = (0.0, 1.0, 2.0)
"""Settings of the dial ``clickbait``."""

DOSE_HIDDEN, DOSE_DAYS = (64, 32), 24
RATES = (0.01, 0.4)
"""Settings of the dial ``click_rate``; where every card is seen, 0.01 gives about 1 click in 20."""


# --- Rankers -------------------------------------------------------------------------------------


def weights(task: RankingTask, objective: str) -> np.ndarray:
    """What a click on each training card weighs (n,) float32 under one of ``OBJECTIVES``.

    Times are in minutes, shares from 0 to 1.
    """
    if objective not in OBJECTIVES:
        raise ConfigError(f"objective={objective!r}", allowed=", ".join(OBJECTIVES))
    rows = task.rows
    length = task.logs.videos["duration_seconds"].to_numpy()[rows["video_id"].to_numpy()]
    if objective in ("click", "watch"):
        return click_weights(rows["clicked"], rows["watched_seconds"], objective).numpy()
    if objective == "length":
        return (length / SECONDS_PER_UNIT).astype(np.float32)
    return (rows["watched_seconds"].to_numpy() / length).astype(np.float32)


def fit_objective(task: RankingTask, objective: str, hidden=HIDDEN, seed: int = 0, **options):
    """`fit_ranker` with a click weighing what an objective says."""
    options = {"epochs": EPOCHS, "learning_rate": LEARNING_RATE, **options}
    return fit_ranker(task, hidden, weight=weights(task, objective), seed=seed, **options)


def multiplications(model: WatchTimeRanker) -> int:
    """Multiplications for the score of one card, without those of looking embeddings up."""
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))


class Trees:
    """Gradient-boosted trees on the same cards with the same loss: clicks weigh what was watched.

    They see the numbers and the categories with few values. Ids of videos and channels they see
    only through the counts among the numbers.

    Parameters
    ----------
    task : RankingTask
    objective : "watch" or "click"
    trees : how many
    seed : of the sample of cards by which the numbers are cut into bins
    **options : of `sklearn.ensemble.HistGradientBoostingClassifier`
    """

    def __init__(
        self,
        task: RankingTask,
        objective: str = "watch",
        trees: int = 150,
        seed: int = 0,
        **options,
    ):
        clicked = task.rows["clicked"].to_numpy()
        weight = np.where(clicked, weights(task, objective), 1.0)
        columns, categories = self._columns(task.inputs)
        self.model = HistGradientBoostingClassifier(
            max_iter=trees, early_stopping=False, categorical_features=categories,
            random_state=seed,
            **{"learning_rate": 0.2, "max_leaf_nodes": 63, "min_samples_leaf": 200, **options},
        )  # fmt: skip
        self.model.fit(columns, clicked, sample_weight=weight)

    @staticmethod
    def _columns(inputs: RankingInputs) -> tuple[np.ndarray, list[int]]:
        coded = [n for n in (*IMPRESSION_CODES, *QUERY_CODES) if n not in MANY_VALUES]
        names = [*coded, *IMPRESSION_NUMBERS, *QUERY_NUMBERS]
        columns = [inputs.column(name).astype(np.float32) for name in names]
        return np.column_stack(columns), list(range(len(coded)))

    def logits(self, inputs: RankingInputs) -> np.ndarray:
        """Logits (n,) of cards; their exponential is the odds, in minutes for "watch"."""
        return self.model.decision_function(self._columns(inputs)[0])


# --- The best a model can do where it has a number for each cell ---------------------------------


def best_odds(
    cell: np.ndarray, clicked: np.ndarray, weight: np.ndarray, steps: int = 400
) -> np.ndarray:
    """Odds (cells,) of the model with one logit for each cell, found by minimising the loss.

    Parameters
    ----------
    cell : (n,) int; clicked : (n,) bool; weight : (n,) float, what a click weighs
    """
    z = torch.zeros(int(np.max(cell)) + 1, dtype=torch.float64, requires_grad=True)
    of_card = torch.from_numpy(np.array(cell, np.int64))
    clicked = torch.from_numpy(np.array(clicked, bool))
    weight = torch.from_numpy(np.array(weight, float))
    optimizer = torch.optim.LBFGS([z], max_iter=steps, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-14, tolerance_change=1e-16)  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weighted_logistic_loss(z[of_card], clicked, weight)
        loss.backward()
        return loss

    optimizer.step(closure)
    return z.detach().exp().numpy()


def simulated_odds(
    click_rate: float, videos: int = 200, showings: int = 4_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant models of videos that differ in click probability and in watch time.

    Parameters
    ----------
    click_rate : P(click) of the median video, above 0 and below 1

    Returns
    -------
    p, watch, odds : (videos,) share of showings clicked, minutes per showing, and the odds that
        the weighted loss learns for the video, in minutes
    """
    if not 0 < click_rate < 1:
        raise ConfigError(f"click_rate={click_rate!r}", allowed="above 0 and below 1")
    rng = np.random.default_rng(seed)
    p = expit(logit(click_rate) + 0.8 * rng.normal(size=videos))
    mean = 4.0 * np.exp(0.7 * rng.normal(size=videos))
    clicks = np.maximum(rng.binomial(showings, p), 1)
    total = rng.gamma(2.0 * clicks, mean / 2.0)  # the sum of so many watch times
    return clicks / showings, total / showings, total / (showings - clicks)


# --- Calibration ---------------------------------------------------------------------------------


def calibration(
    task: RankingTask, odds: np.ndarray, p_click: np.ndarray | None = None, bins: int = 10
) -> pd.DataFrame:
    """Served odds beside the true expected watch time, in equal groups of the fresh cards.

    Cards are grouped by the odds. Position is not known to the ranker, so nothing is compared
    card by card: a group's truth is the mean over its cards where they stood.

    Parameters
    ----------
    odds : (n,) float, seconds, what the ranker serves for the fresh cards
    p_click : (n,) float or None, the click probability by a model, for the repair
    bins : number of groups

    Returns
    -------
    DataFrame, a row for each group, lowest odds first; seconds per impression
        ``odds`` mean odds; ``watch`` true E[T]; ``p`` true P(click); ``exact`` E[T] / (1 - P);
        ``repaired`` mean of odds x (1 - p_click), where that is given
    """
    place = np.argsort(np.argsort(odds, kind="stable")) * bins // len(odds)
    columns = {"odds": odds, "watch": task.next_day.expected_seconds,
               "p": task.next_day.truth["p_click"].to_numpy()}  # fmt: skip
    if p_click is not None:
        columns["repaired"] = odds * (1.0 - p_click)
    table = pd.DataFrame(columns).astype(float).groupby(place).mean()
    table["exact"] = table["watch"] / (1.0 - table["p"])
    return table.rename_axis("group")


def slope(served: np.ndarray, true: np.ndarray) -> float:
    """Slope of log(served) against log(true): 1 where one is a multiple of the other."""
    return float(np.polyfit(np.log(np.asarray(true)), np.log(np.asarray(served)), 1)[0])


def probabilities(model: WatchTimeRanker, batch: RankingBatch) -> np.ndarray:
    """Click probabilities (n,) of a ranker that was trained for clicks."""
    return expit(model.logits(batch).astype(float))


# --- Live ----------------------------------------------------------------------------------------

METRICS = ("watch_minutes", "clicks", "completions", "satisfied", "dismissals")


def live(
    world: World,
    scores: Mapping[str, Callable[[RankingBatch], np.ndarray]],
    task: RankingTask,
    pages: int = LIVE_PAGES,
    seed: int = 0,
    oracles: Sequence[str] = ("watch", "click"),
) -> pd.DataFrame:
    """Rankers before the same people: exact expectations per page, and what the pages are made of.

    Parameters
    ----------
    scores : name -> score of a batch's cards
    oracles : objectives of oracles that take part ("oracle (watch)")

    Returns
    -------
    DataFrame, a row for each policy (past, random, oracles, rankers): ``METRICS``;
    ``clickbait`` share of clickbait (the fifth of the catalogue with the most) on the page;
    ``long`` the same of long videos; ``length`` mean length in minutes; ``minutes_per_click``
    """
    policies = {"past": world.past_ranking(), "random": world.random()}
    policies |= {f"oracle ({name})": world.oracle(name) for name in oracles}
    policies |= {name: RankerPolicy(task.features, score) for name, score in scores.items()}
    result = ab_test(world, policies, n=pages, seed=seed)
    table = result.table.pivot(index="policy", columns="metric", values="expected")[list(METRICS)]
    c = world.engine.catalogue
    bait = c.clickbait >= np.quantile(c.clickbait, 0.8)
    minutes = c.seconds / 60.0
    long = minutes >= np.quantile(minutes, 0.8)
    for name, shown in result.pages.items():
        table.loc[name, ["clickbait", "long", "length"]] = (
            bait[shown].mean(), long[shown].mean(), minutes[shown].mean()
        )  # fmt: skip
    table["minutes_per_click"] = table["watch_minutes"] / table["clicks"]
    return table.loc[list(policies)]


def oracle_contest(strength: float, pages: int = 400, seed: int = 3) -> pd.DataFrame:
    """Ranking by the true P(click) and by the true watch time, live, in a tiny world.

    Parameters
    ----------
    strength : the dial ``clickbait``

    Returns
    -------
    DataFrame, rows "clicks" and "watch time": ``watch_minutes``, ``clicks``, ``satisfied`` per
    page, ``clickbait``: share of it on the page
    """
    world = simulate("tiny", seed=seed, cache=False, days=8, future_days=1, clickbait=strength)
    policies = {"clicks": world.oracle("click"), "watch time": world.oracle("watch")}
    result = ab_test(world, policies, n=pages)
    table = result.table.pivot(index="policy", columns="metric", values="expected")
    table = table.loc[list(policies), ["watch_minutes", "clicks", "satisfied"]]
    c = world.engine.catalogue
    bait = c.clickbait >= np.quantile(c.clickbait, 0.8)
    return table.assign(clickbait=[bait[result.pages[name]].mean() for name in policies])


# --- The ledger ----------------------------------------------------------------------------------


def _flat(table: pd.DataFrame, prefix: str) -> dict[str, float]:
    return {f"{prefix}/{row}/{column}": float(value)
            for row, values in table.iterrows() for column, value in values.items()}  # fmt: skip


def ladder(seed: int, size: str = "small", pages: int = LIVE_PAGES) -> dict[str, float]:
    """Table 1, what is left out of it, trees, calibration, long videos: one world, see the keys."""
    world = simulate(size, seed=seed)
    task = RankingTask(world, 20_000)
    out: dict[str, float] = {}

    def judge(name, scores):
        out[f"{name}/loss"] = task.loss(scores)
        out[f"{name}/per user"] = task.loss(scores, per_user=True)

    def trained(name, hidden, objective="watch", **options):
        start = time.process_time()
        model = fit_objective(task, objective, hidden, seed, **options)
        out[f"{name}/seconds"] = time.process_time() - start
        out[f"{name}/multiplications"] = multiplications(model)
        judge(name, model.logits(task.test))
        return model

    models = {name: trained(name, hidden) for name, hidden in LADDER.items()}
    watch, click = models["128-64-32"], trained("equal weights", HIDDEN, "click")
    trained("no powers", HIDDEN, powers=False)
    trained("None, no powers", (), powers=False)
    seen_by_trees = [n for n in task.features.names if n not in (*MANY_VALUES, *BAGS)]
    trained("no ids", HIDDEN, include=seen_by_trees)
    start = time.process_time()
    trees = Trees(task, seed=seed)
    out["trees/seconds"] = time.process_time() - start
    judge("trees", trees.logits(task.test_inputs))
    judge("oracle", task.next_day.value)
    judge("oracle of clicks", task.next_day.truth["p_click_if_seen"].to_numpy())
    judge("past", -task.next_day.cards["position"].to_numpy().astype(float))
    judge("random", np.random.default_rng(seed).random(len(task.next_day)))

    deciles = calibration(task, watch.expected_seconds(task.test), probabilities(click, task.test))
    out |= _flat(deciles, "decile")
    out["slope"] = slope(deciles["odds"], deciles["watch"])
    out |= _flat(live(world, {"click": click.logits, "watch": watch.logits,
                              "linear": models["None"].logits}, task, pages), "live")  # fmt: skip
    return out | long_videos(world, task, click, pages, seed)


def long_videos(world, task: RankingTask, click, pages: int, seed: int) -> dict[str, float]:
    """The coda: three ways to value a watch, offline (XAUC) and live, see the keys."""
    rankers = duration.DurationRankers(task, seed)
    values = {
        **rankers.values(task.test),
        "length alone": task.test_inputs.column("duration"),
        "oracle": task.next_day.truth["expected_seconds"].to_numpy(),
    }
    table = live(world, rankers.scores(click), task, pages, oracles=())
    return _flat(duration.offline(task, values), "xauc") | _flat(table, "length")


def doses(seed: int, size: str = "small", pages: int = LIVE_PAGES) -> dict[str, float]:
    """What a click weighs, by the strength of clickbait: offline and live, see the keys."""
    out: dict[str, float] = {}
    for dose in DOSES:
        world = simulate(size, seed=seed, cache=False, clickbait=dose, days=DOSE_DAYS)
        task = RankingTask(world)
        models = {n: fit_objective(task, n, DOSE_HIDDEN, seed) for n in OBJECTIVES}
        for name, model in models.items():
            out[f"clickbait {dose:g}/{name}/loss"] = task.loss(model.logits(task.test))
        out[f"clickbait {dose:g}/oracle/loss"] = task.loss(task.next_day.value)
        scores = {name: model.logits for name, model in models.items()}
        out |= _flat(live(world, scores, task, pages), f"clickbait {dose:g}/live")
    return out


def rate_world(rate: float, seed: int):
    """A world where every card is seen, with a click rate, and its task: the odds at their purest.

    Without position bias the ranker can know all that decides the click, save luck.
    """
    world = simulate("small", seed=seed, cache=False, users=2_000, videos=1_000, days=20,
                     click_rate=rate, position_bias=0.0)  # fmt: skip
    return world, RankingTask(world, 5_000)


def odds(seed: int) -> dict[str, float]:
    """How the odds leave the expected watch time as clicks become common, see the keys."""
    out: dict[str, float] = {}
    for rate in RATES:
        _, task = rate_world(rate, seed)
        watch, click = (fit_objective(task, n, DOSE_HIDDEN, seed) for n in ("watch", "click"))
        p = probabilities(click, task.test)
        table = calibration(task, watch.expected_seconds(task.test), p)
        out |= _flat(table, f"rate {rate:g}")
        out[f"rate {rate:g}/clicks"] = float(task.next_day.truth["p_click"].mean())
        out[f"rate {rate:g}/predicted clicks"] = float(p.mean())
        rows = task.rows
        clicked, seconds = rows["clicked"].to_numpy(), rows["watched_seconds"].to_numpy()
        learned = best_odds(np.zeros(len(rows), int), clicked, seconds / 60.0)[0]
        formula = seconds.sum() / 60.0 / (~clicked).sum()
        out[f"rate {rate:g}/constant error"] = float(abs(learned / formula - 1.0))
    return out
