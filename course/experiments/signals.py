"""What searches, demographics and example age add, and how a clock can be got wrong (chapter 04).

The clock is the *example age*: how long before the end of the training log an example happened.
It says nothing about the video. In the softmax it lets the model learn what was watched *when*;
at serving it is set to the newest age, so that the model answers for now.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from course.experiments.next_watch import NextWatch, fit_candidates, fit_model
from course.features import NONE, Features, Inputs, example_age, examples, history_bags
from course.logs.tables import Logs
from course.metrics import mean_reciprocal_rank
from course.models.candidate_generation import (
    SIGNALS,
    CandidateGenerator,
    CandidatePolicy,
    training_set,
)
from course.simulator.feed import Requests
from course.world import World, ab_test, simulate

WATCHES = ("watches",)
SEARCHES = ("watches", "searches")
NO_DEMOGRAPHICS = ("watches", "searches", "age", "context")
NO_AGE = ("watches", "searches", "demographics", "context")
NO_HISTORY_NO_AGE = ("demographics", "context")
FEATURE_SETS = {
    "watches": WATCHES,
    "+ searches": SEARCHES,
    "+ example age": ("watches", "searches", "age"),
    "all": SIGNALS,
}
"""The four lines of Figure 6 of P1, each with everything that the one before has."""

HISTORY_GROUPS = {"none": (0, 0), "1 to 4": (1, 4), "5 to 19": (5, 19), "20 or more": (20, 50)}
"""Watches before the moment."""

FRESH_DAYS = 5.0
LIVE_REQUESTS = 1_500
DEPTH, WIDTH = 2, 128
"""The tower of this chapter: 256-128, half the widths of the paper's second line."""

TOWER = {"depth": DEPTH, "width": WIDTH}

SPAN = np.arange(-8, 17)
"""Days since the upload over which lives of videos are compared."""


# --- The clock -----------------------------------------------------------------------------------


class AtAge:
    """A candidate generator that is served at another example age than the newest one.

    Parameters
    ----------
    model : CandidateGenerator with the signal "age"
    age : days
    """

    def __init__(self, model: CandidateGenerator, age: float):
        self.model, self.features, self.age = model, model.features, float(age)

    def powers(self) -> np.ndarray:
        """The three inputs (3,) for this age."""
        return example_age(np.array(-self.age), 0.0, 0.0)

    def scores(self, requests: Requests | Inputs) -> np.ndarray:
        """Scores (n, V) as of the model, at this age."""
        given = requests
        if isinstance(requests, Requests):
            given = self.features.of_requests(requests)
        return self.model.scores(given.with_age(self.powers()))


def video_age_trap(
    features: Features, logs: Logs, examples: pd.DataFrame, seed: int = 0, **model
) -> CandidateGenerator:
    """The same network fed with the age of the label's *video* where the example's age belongs.

    It learns well, since the age of the video gives much of the label away, and is then served
    at age 0: a question about videos that were uploaded this moment.
    """
    made = CandidateGenerator(features, SIGNALS, **{**TOWER, "seed": seed, **model})
    data = training_set(features, logs, examples)
    known = features.labels(examples) != features.videos.padding
    rows = examples[known]
    uploaded = logs.videos["uploaded"].to_numpy()[rows["video_id"].to_numpy()]
    age = rows["time"].to_numpy() - uploaded
    trap = torch.from_numpy(example_age(-age, 0.0, 0.0))
    made.history = fit_model(made, type(data)(**{**vars(data), "age": trap}), seed=seed)
    return made


def class_probabilities(
    task: NextWatch,
    model: CandidateGenerator,
    days: Sequence[int],
    n: int = 200,
    seed: int = 0,
    moments: str = "of the day",
) -> np.ndarray:
    """Mean P(video is watched next) on each day, over moments at which somebody watched.

    Parameters
    ----------
    days : whole days of the log
    n : moments for each day
    moments : {"of the day", "fixed"}
        "fixed" asks about the same moments, drawn from the whole log, on every day, so that
        nothing changes with the day but the example age.

    Returns
    -------
    (days, V) float, a column for each video of the model's vocabulary
    """
    rng = np.random.default_rng(seed)
    watches = task.examples(first_watches=False)
    day = np.floor(watches["time"].to_numpy()).astype(int)
    everywhere = watches.iloc[np.sort(rng.choice(len(watches), n, replace=False))]
    fixed = model.features.of_examples(task.logs, everywhere)
    out = np.empty((len(days), len(model.features.videos)))
    for i, d in enumerate(days):
        if moments == "fixed":
            now = model.features.t_max - (d + 0.5)
            inputs = fixed.with_age(example_age(np.array(-now), 0.0, model.features.floor))
        else:
            rows = np.flatnonzero(day == d)
            some = watches.iloc[np.sort(rng.choice(rows, min(n, len(rows)), replace=False))]
            inputs = model.features.of_examples(task.logs, some)
        out[i] = softmax(model.scores(inputs).astype(float), axis=1).mean(axis=0)
    return out


def watched_share(task: NextWatch, days: Sequence[int]) -> np.ndarray:
    """Share of each day's watches that went to each video (days, V): the empirical curve."""
    watches = task.examples(first_watches=False)
    day = np.floor(watches["time"].to_numpy()).astype(int)
    row = task.features.videos.encode(watches["video_id"].to_numpy())
    counts = np.zeros((len(days), len(task.features.videos) + 1))
    place = {d: i for i, d in enumerate(days)}
    index = np.array([place.get(d, -1) for d in day])
    np.add.at(counts, (index[index >= 0], row[index >= 0]), 1.0)
    return counts[:, :-1] / counts.sum(axis=1, keepdims=True)


def lives(
    task: NextWatch, curves: np.ndarray, days: Sequence[int], videos: np.ndarray, span: np.ndarray
) -> np.ndarray:
    """Curves of videos over days since their upload: (videos, span), NaN outside the log."""
    uploaded = np.floor(task.train.videos["uploaded"].to_numpy()[videos]).astype(int)
    at = uploaded[:, None] + span - days[0]
    inside = (at >= 0) & (at < len(days))
    rows = task.features.videos.encode(videos)[:, None]
    return np.where(inside, curves[np.where(inside, at, 0), rows], np.nan)


def launched(task: NextWatch, first: float = 14, last: float = 24, least: int = 150) -> np.ndarray:
    """Ids of the videos uploaded in the middle of the log and watched at least so often."""
    uploaded = task.train.videos["uploaded"].to_numpy()[task.features.videos.ids]
    chosen = (uploaded >= first) & (uploaded <= last) & (task.features.videos.counts >= least)
    return task.features.videos.ids[chosen]


def likeness(model: np.ndarray, empirical: np.ndarray, span: np.ndarray) -> dict[str, float]:
    """How like the empirical curves are the model's: medians over videos (rows).

    Returns
    -------
    dict with ``correlation``; ``peak`` = height of the highest day over the empirical one;
    ``delay`` = days from the empirical peak to the model's; ``before`` = mean before the upload
    over the mean after it
    """
    both = np.isfinite(model) & np.isfinite(empirical)
    model, empirical = np.where(both, model, np.nan), np.where(both, empirical, np.nan)
    r = [
        np.corrcoef(a[k], b[k])[0, 1] if np.ptp(a[k]) > 0 else 0.0
        for a, b, k in zip(model, empirical, both, strict=True)
    ]
    before, after = np.nanmean(model[:, span < -1], axis=1), np.nanmean(model[:, span >= 0], axis=1)
    return {
        "correlation": float(np.median(r)),
        "peak": float(np.median(np.nanmax(model, axis=1) / np.nanmax(empirical, axis=1))),
        "delay": float(
            np.median(span[np.nanargmax(model, axis=1)] - span[np.nanargmax(empirical, axis=1)])
        ),
        "before": float(np.median(before / after)),
    }


def clock_likeness(
    task: NextWatch, model: CandidateGenerator, seed: int = 0, moments: str = "of the day"
) -> dict[str, float]:
    """`likeness` of a model's lives of videos to the empirical ones, on this log."""
    days, videos = np.arange(5, int(task.at)), launched(task)
    truth = lives(task, watched_share(task, days), days, videos, SPAN)
    curves = class_probabilities(task, model, days, seed=seed, moments=moments)
    return likeness(lives(task, curves, days, videos, SPAN), truth, SPAN)


def fresh_share(
    task: NextWatch, scores, events: pd.DataFrame | None = None, k: int = 20
) -> tuple[float, float]:
    """Share of videos under five days old: among the first ``k`` of each list, and truly watched.

    Parameters
    ----------
    scores : as `NextWatch.rank` takes them
    """
    events = task.events if events is None else events
    uploaded = task.train.videos["uploaded"].to_numpy()
    time = events["time"].to_numpy()[:, None]
    shares = []
    for start in range(0, len(events), 1_000):
        part = slice(start, start + 1_000)
        rows = scores(part) if callable(scores) else scores[part]
        rows = np.where(task.hidden(events.iloc[part]), -np.inf, rows)
        first = np.argpartition(-rows, k, axis=1)[:, :k]
        shares.append((time[part] - uploaded[first] < FRESH_DAYS).mean(axis=1))
    true = (time[:, 0] - uploaded[events["video_id"].to_numpy()]) < FRESH_DAYS
    return float(np.concatenate(shares).mean()), float(true.mean())


# --- Who gains -----------------------------------------------------------------------------------


def history_length(task: NextWatch, events: pd.DataFrame | None = None) -> np.ndarray:
    """Watches (n,) before each event, counted up to 50."""
    bags = history_bags(task.logs, task.events if events is None else events)
    return (bags != NONE).sum(axis=1)


def by_history(task: NextWatch, rank: np.ndarray) -> dict[str, float]:
    """Mean reciprocal rank by the number of watches that came before (`HISTORY_GROUPS`)."""
    length = history_length(task)
    out = {}
    for name, (low, high) in HISTORY_GROUPS.items():
        rows = (length >= low) & (length <= high)
        out[name] = mean_reciprocal_rank(rank[rows]) if rows.any() else np.nan
    return out


# --- The ledger ----------------------------------------------------------------------------------


def live(world: World, n: int = LIVE_REQUESTS, seed: int = 0) -> dict[str, float]:
    """Clicks, watch minutes and freshness per page of four ways to keep time, live.

    All are trained on the whole log and asked for whole pages from the catalogue on the day after
    it. The control has no clock; one has it and is served at the newest age, one is served at the
    mean age of training; one was fed with the age of the video.
    """
    logs = world.logs()
    features = Features(logs)
    rows = examples(logs, world.config.days, after=5.0)
    clock = fit_candidates(features, logs, rows, seed=seed, **TOWER)
    mean_age = float(features.t_max - rows["time"].mean())
    systems = {
        "no clock": fit_candidates(features, logs, rows, NO_AGE, seed=seed, **TOWER),
        "example age": clock,
        "served at the mean age": AtAge(clock, mean_age),
        "age of the video": AtAge(video_age_trap(features, logs, rows, seed=seed), 0.0),
    }
    policies = {name: CandidatePolicy(model) for name, model in systems.items()}
    table = ab_test(world, policies, n=n, candidates="catalogue").table
    kept = table[table["metric"].isin(["clicks", "watch_minutes", "fresh_share"])]
    return {
        f"live/{row.policy}/{row.metric}": float(
            row.observed if row.metric == "fresh_share" else row.expected
        )
        for row in kept.itertuples()
    }


def trial(seed: int, size: str = "small", n: int = LIVE_REQUESTS) -> dict[str, float]:
    """All numbers of the clock and of the demographics for one seed, see the keys."""
    world = simulate(size, seed=seed)
    task = NextWatch(world.logs())
    rows = task.examples()
    out: dict[str, float] = {}

    def made(signals):
        return fit_candidates(task.features, task.train, rows, signals, seed=seed, **TOWER)

    models = {
        "all": made(SIGNALS),
        "no age": made(NO_AGE),
        "no demographics": made(NO_DEMOGRAPHICS),
        "no history, no age": made(NO_HISTORY_NO_AGE),
    }
    traps = {
        "served at the mean age": AtAge(
            models["all"], float(task.features.t_max - rows["time"].mean())
        ),
        "age of the video": AtAge(video_age_trap(task.features, task.train, rows, seed=seed), 0.0),
    }
    for name, model in models.items():
        scores = task.catalogue_scores(model)
        out.update({f"{name}/{key}": v for key, v in task.measure(scores).items()})
        out[f"{name}/fresh share"], out["true/fresh share"] = fresh_share(task, scores)
        for group, value in by_history(task, task.rank(scores)).items():
            out[f"{name}/history {group}/mrr"] = value
    for name, served in traps.items():
        scores = task.catalogue_scores(served.model, age=served.powers())
        out.update({f"{name}/{key}": v for key, v in task.measure(scores).items()})
        out[f"{name}/fresh share"], _ = fresh_share(task, scores)
    out["videos with a life"] = float(len(launched(task)))
    for name in ("all", "no age", "no history, no age"):
        for moments in ("of the day", "fixed"):
            like = clock_likeness(task, models[name], seed, moments)
            out.update({f"{name}/{moments}/{key}": v for key, v in like.items()})
    return {**out, **live(world, n, seed)}
