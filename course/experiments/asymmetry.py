"""How much the order of watches matters, and what it costs to ignore it.

Two models, the same but for the question they were trained on, in worlds whose order is weak,
usual and strong; and in a log whose order was destroyed by shuffling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from course.experiments.heldout import HeldOut
from course.experiments.labels import VARIANTS, held_out, live, train
from course.experiments.next_watch import NextWatch
from course.logs import first_watches
from course.logs.tables import Logs
from course.metrics import mean_reciprocal_rank
from course.models.candidate_generation import CandidatePolicy
from course.world import World, simulate

SETTINGS: dict[str, dict[str, float]] = {
    "dials at 0": {"series": 0.0, "niche_ladder": 0.0},
    "dials at 2": {"series": 2.0, "niche_ladder": 2.0},
}
USUAL = "as it is"
"""The world with its dials at 1; its models are two of the variants of `course.experiments.labels`,
whose trial trains them, see `with_usual`."""
SHUFFLED = "shuffled"
"""The log of the world as it is, with each account's watches in random order."""

QUESTIONS = ("next watch", "held-out watch")
PASSES = (1, 2, 3)
"""Over the examples of the shuffled log; everywhere else there are three, as in all chapters."""


def shuffled(logs: Logs, seed: int = 0) -> Logs:
    """The same log with each account's videos dealt out anew over its own watch times.

    Who watched which videos stays, and when; the order in which an account watched them is gone.
    All videos count as uploaded before the log, since a shuffled watch may come before the upload.
    """
    watches = logs.watches
    user = watches["user_id"].to_numpy()
    chance = np.random.default_rng(seed).random(len(user))
    video = np.empty(len(user), watches["video_id"].dtype)
    video[np.argsort(user, kind="stable")] = watches["video_id"].to_numpy()[
        np.lexsort((chance, user))
    ]
    return dataclasses.replace(
        logs, watches=watches.assign(video_id=video), videos=logs.videos.assign(uploaded=-1.0)
    )


def order_kept(logs: Logs, level: np.ndarray) -> dict[str, float]:
    """Share of pairs that accounts watched in order; one half would be no order at all.

    Parameters
    ----------
    logs : Logs
    level : (videos,) int, 0 mainstream to 2 niche (the truth; for evaluation)

    Returns
    -------
    dict
        ``series``: of an episode and the next one, both out before the first watch of either,
        the share in which the earlier episode came first. ``ladder``: of two videos of one genre
        that differ in level, the share in which the more mainstream one came first.
    """
    rows = first_watches(logs.watches)[["user_id", "video_id", "time"]]
    video = rows["video_id"].to_numpy()
    columns = logs.videos[["channel_id", "episode", "uploaded"]].iloc[video]
    rows = rows.assign(**{name: columns[name].to_numpy() for name in columns})
    episodes = rows[rows["episode"] > 0]
    before = episodes.assign(episode=episodes["episode"] + 1)
    both = before.merge(episodes, on=["user_id", "channel_id", "episode"])
    first = both[["time_x", "time_y"]].min(axis=1)
    both = both[(both["uploaded_x"] < first) & (both["uploaded_y"] < first)]
    series = float((both["time_x"] < both["time_y"]).mean())

    genre = logs.videos["topic"].cat.codes.to_numpy()[video] // 3
    steps = pd.DataFrame({"user": rows["user_id"].to_numpy(), "genre": genre})
    steps[[0, 1, 2]] = np.eye(3)[level[video]]
    seen = steps.groupby(["user", "genre"])[[0, 1, 2]].cumsum().to_numpy()
    now = steps[[0, 1, 2]].to_numpy()
    seen = seen - now
    up = (now * (np.cumsum(seen, axis=1) - seen)).sum()
    down = (now * (seen.sum(axis=1, keepdims=True) - np.cumsum(seen, axis=1))).sum()
    return {"series": series, "ladder": float(up / (up + down))}


def two_questions(
    logs: Logs, seed: int = 0, passes: int = 3
) -> tuple[dict[str, float], dict[str, object]]:
    """Train both models on one log and measure both on both tests.

    Parameters
    ----------
    logs : the whole log; models are trained on what lies before the cut of `NextWatch`
    passes : over the examples

    Returns
    -------
    numbers
        for each model ``mrr`` (the next watch) and the held-out tests; ``gap``: what the held-out
        model loses on the next watch, in per cent of the next-watch model; ``leak``: how much
        better the held-out model gets at held-out watches by seeing what came after, in per cent
    models : name -> CandidateGenerator
    """
    game = NextWatch(logs)
    test = HeldOut(game, seed)
    rows = game.examples().drop(index=test.events.index)
    numbers, models = {}, {}
    for name in QUESTIONS:
        models[name] = train(VARIANTS[name], test.logs, rows, seed=seed, epochs=passes)
        rank = game.rank(game.catalogue_scores(models[name]))
        numbers[f"{name}/mrr"] = mean_reciprocal_rank(rank)
        numbers |= {f"{name}/{key}": v for key, v in held_out(test, models[name]).items()}
    return numbers | costs(numbers), models


def costs(found: Mapping) -> dict:
    """``gap`` and ``leak``, see `two_questions`, from the numbers of both models.

    Parameters
    ----------
    found : name of a number -> its value, or the values of several seeds (a table's columns)
    """
    wrong, right = found["held-out watch/mrr"], found["next watch/mrr"]
    around, past = (
        found[f"held-out watch/held {where}, never watched"] for where in ("around", "past")
    )
    return {"gap": 100 * (1 - wrong / right), "leak": 100 * (around / past - 1)}


def with_usual(order: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """Results of this trial with ``gap`` and ``leak`` of the usual world, seed by seed.

    Parameters
    ----------
    order : results of this trial, a row for each seed
    variants : results of the trial "labels", of the same seeds
    """
    usual = pd.DataFrame(costs(variants)).add_prefix(f"{USUAL}/")
    return order.join(usual)


def trial(seed: int) -> dict[str, float]:
    """Both questions where order is weak or strong, and in the shuffled log of the usual world."""
    out = {}
    for setting, dials in SETTINGS.items():
        world = simulate("small", seed=seed, **dials)
        numbers, models = two_questions(world.logs(), seed)
        policies = {name: CandidatePolicy(model) for name, model in models.items()}
        for name, row in live(world, policies).items():
            numbers |= {f"{name}/{key}": row[key] for key in ("clicks", "minutes", "satisfied")}
        out |= _numbered(setting, numbers | order_kept(world.logs(), _level(world)))
    usual = simulate("small", seed=seed)
    kept = order_kept(usual.logs(), _level(usual))
    return out | _numbered(USUAL, kept) | _without_order(usual, seed)


def _without_order(world: World, seed: int) -> dict[str, float]:
    """Both questions in the shuffled log, and what is left when each gets its best passes."""
    mixed, level = shuffled(world.logs(), seed), _level(world)
    runs = {passes: two_questions(mixed, seed, passes)[0] for passes in PASSES}
    best = {name: max(run[f"{name}/mrr"] for run in runs.values()) for name in QUESTIONS}
    numbers = runs[3] | order_kept(mixed, level)
    numbers["gap at best passes"] = 100 * (1 - best["held-out watch"] / best["next watch"])
    for passes, run in runs.items():
        numbers |= {f"{name}/mrr, {passes} passes": run[f"{name}/mrr"] for name in QUESTIONS}
    return _numbered(SHUFFLED, numbers)


def _level(world: World) -> np.ndarray:
    return world.true_table("videos")["level"].to_numpy()


def _numbered(prefix: str, numbers: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{key}": value for key, value in numbers.items()}
