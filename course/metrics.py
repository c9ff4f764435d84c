"""Metrics: the few that are ours; for the rest the course uses scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.errors import LogError


def gap_closed(value: float, floor: float, ceiling: float) -> float:
    """Share of the way from the floor (random) to the ceiling (oracle): 0 to 1, if in between.

    Raises
    ------
    LogError
        If floor and ceiling are equal: there is no gap to close.
    """
    if ceiling == floor:
        raise LogError(f"floor and ceiling are both {floor}", allowed="two different values")
    return (value - floor) / (ceiling - floor)


def recall_at(candidates: np.ndarray, user: np.ndarray, watched: pd.DataFrame) -> float:
    """Mean over accounts of the share of their later videos that are among their candidates.

    Parameters
    ----------
    candidates : (r, c) int, video ids
    user : (r,) int, the account of each row, each at most once
    watched : DataFrame with ``user_id`` and ``video_id``; accounts that are not in ``user`` are
        left out, and a video counts once per account

    Returns
    -------
    float, or NaN when none of the accounts watched anything
    """
    pairs = watched[["user_id", "video_id"]].drop_duplicates()
    row_of = pd.Series(np.arange(len(user)), index=user)
    pairs = pairs[pairs["user_id"].isin(row_of.index)]
    rows = row_of[pairs["user_id"]].to_numpy()
    hit = (candidates[rows] == pairs["video_id"].to_numpy()[:, None]).any(axis=1)
    return float(pd.Series(hit).groupby(pairs["user_id"].to_numpy()).mean().mean())


def ctr_by_position(impressions: pd.DataFrame) -> pd.Series:
    """Click-through rate of each position: clicks / impressions (index: position)."""
    return impressions.groupby("position")["clicked"].mean()


def same_video_ratio(impressions: pd.DataFrame) -> pd.Series:
    r"""Click rate at each position relative to position 1, comparing each video with itself.

    .. math:: R_k = \frac{\sum_v c_{vk} n_{v1} / (n_{v1}+n_{vk})}
                         {\sum_v c_{v1} n_{vk} / (n_{v1}+n_{vk})}

    with :math:`n` impressions and :math:`c` clicks of video :math:`v` (the Mantel-Haenszel ratio).
    Videos that never stood at both positions drop out.
    """
    table = impressions.groupby(["video_id", "position"])["clicked"].agg(["sum", "count"])
    clicks = table["sum"].unstack(fill_value=0)
    shown = table["count"].unstack(fill_value=0)
    total = shown.add(shown[1], axis=0).where(lambda n: n > 0, 1)
    above = (clicks.mul(shown[1], axis=0) / total).sum()
    below = (shown.mul(clicks[1], axis=0) / total).sum()
    return above / below
