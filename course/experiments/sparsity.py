"""Locally sparse data: how well is a video known by how often it was shown? (P2 section 5.1)"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from course.experiments.ranking import RankingTask, fit_ranker
from course.world import simulate

GROUPS = 10
"""Groups of videos with equally many in each, from the least shown to the most shown."""


def groups_of(shown: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Group (v,) of each video, 0 = least shown; ties fall where they come."""
    order = np.argsort(np.argsort(shown, kind="stable"), kind="stable")
    return order * groups // len(shown)


def counted_error(impressions: pd.DataFrame, true: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Median relative error (groups,) of clicks / impressions, video by video.

    Parameters
    ----------
    impressions : with ``video_id`` and ``clicked``
    true : (n,) true click probability of each impression
    """
    stats = impressions.groupby("video_id")["clicked"].agg(["sum", "count"])
    rate = pd.Series(true, impressions.index).groupby(impressions["video_id"]).mean()
    error = (stats["sum"] / stats["count"] - rate).abs() / rate
    return error.groupby(groups_of(stats["count"].to_numpy(), groups)).median().to_numpy()


def predicted_error(
    shown: np.ndarray,
    video: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    groups: int = GROUPS,
) -> np.ndarray:
    """Median relative error (groups,) of a model's probabilities of fresh cards.

    The median, since a mean of ratios would hang on the few cards that nobody would click.

    Parameters
    ----------
    shown : (v,) how often each video was shown in the training log
    video : (n,) video of each fresh card
    predicted, true : (n,) probabilities
    """
    ever = np.flatnonzero(shown)
    group = np.full(len(shown), -1)
    group[ever] = groups_of(shown[ever], groups)
    error = pd.Series(np.abs(predicted - true) / true)
    return error.groupby(group[video]).median().reindex(range(groups)).to_numpy()


def trial(seed: int, size: str = "small") -> dict[str, float]:
    """Errors of counting and of a click ranker by decile of how often a video was shown."""
    world = simulate(size, seed=seed)
    task = RankingTask(world)
    logs = task.logs.impressions
    known = world.true_table("impressions")
    true = (known["p_seen"] * known["p_click_if_seen"]).to_numpy()
    out = {f"counted/{g}": v for g, v in enumerate(counted_error(logs, true))}
    ranker = fit_ranker(task, objective="click", seed=seed)
    predicted = expit(ranker.logits(task.test))
    shown = np.bincount(logs["video_id"], minlength=len(task.logs.videos))
    truth = task.next_day.truth
    # The ranker does not know the place, so it is compared with the wish at a place of average
    # visibility.
    average = truth["p_click_if_seen"] * truth["p_click"].mean() / truth["p_click_if_seen"].mean()
    video = task.next_day.cards["video_id"].to_numpy()
    found = predicted_error(shown, video, predicted, average.to_numpy())
    return out | {f"ranker/{g}": v for g, v in enumerate(found)}
