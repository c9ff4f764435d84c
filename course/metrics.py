"""Metrics: the few that are ours; for the rest the course uses scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from course.checks import no_nan, one_each
from course.errors import LogError


def interval(ys: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Student's t interval ``mean ± half`` of the mean over seeds: two arrays (...).

    ``ys`` (seeds, ...) has one row a seed, ``level`` is the confidence, between 0 and 1. With a
    single seed ``half`` is NaN: nothing is known about the spread.
    """
    ys = np.asarray(ys, dtype=float)
    if ys.ndim == 0:
        raise LogError("ys is a single number", allowed="an array with one row a seed")
    if not 0 < level < 1:
        raise LogError(f"level is {level}", allowed="a number between 0 and 1")
    seeds = ys.shape[0]
    mean = ys.mean(axis=0)
    if seeds < 2:
        return mean, np.full_like(mean, np.nan)
    quantile = float(stdtrit(seeds - 1, 0.5 + level / 2))
    return mean, quantile * ys.std(axis=0, ddof=1) / np.sqrt(seeds)


def gap_closed(value: float, floor: float, ceiling: float) -> float:
    """Share of the way from the floor (random) to the ceiling (oracle): 0 to 1, if in between.

    Raises a LogError if both are equal: there is no gap to close.
    """
    if ceiling == floor:
        raise LogError(f"floor and ceiling are both {floor}", allowed="two different values")
    return (value - floor) / (ceiling - floor)


def ranks(scores: np.ndarray, target: np.ndarray, exclude: np.ndarray | None = None) -> np.ndarray:
    """Rank of one target per row among all videos of the row; 1 = best.

    Ties count half: a target that shares its score with ``m`` others stands in their middle. So a
    model that gives everybody the same score gets the rank of a random guess, not rank 1.

    Parameters
    ----------
    scores : float array (r, n), higher = better
    target : int array (r,), the video that was watched next
    exclude : optional bool array (r, n), videos that do not compete (watched already, or not
        uploaded yet); the target itself always competes

    Returns a float array (r,), between 1 and n; raises a LogError if a target is not one of the
    columns, the shapes do not fit, or a score is NaN.
    """
    scores, target = no_nan("scores", scores), np.asarray(target)
    if scores.ndim != 2 or target.shape != scores.shape[:1]:
        raise LogError(
            f"scores have shape {scores.shape} and targets {target.shape}",
            allowed="(rows, videos) and (rows,)",
        )
    if exclude is not None and np.shape(exclude) != scores.shape:
        raise LogError(f"exclude has shape {np.shape(exclude)}", allowed=f"{scores.shape}")
    if len(target) and not (0 <= target.min() and target.max() < scores.shape[1]):
        raise LogError(
            f"a target is {int(target.max())}", allowed=f"video ids from 0 to {scores.shape[1] - 1}"
        )
    own = np.take_along_axis(scores, target[:, None], axis=1)
    competes = np.ones(scores.shape, bool) if exclude is None else ~np.asarray(exclude, bool)
    above = ((scores > own) & competes).sum(axis=1)
    level = (scores == own) & competes
    level[np.arange(len(target)), target] = False
    return 1.0 + above + 0.5 * level.sum(axis=1)


def mean_reciprocal_rank(rank: np.ndarray) -> float:
    """Mean of 1 / rank: the mean average precision when each row has a single target."""
    return float(np.mean(1.0 / _ranks(rank)))


def hit_rate(rank: np.ndarray, k: int) -> float:
    """Share of rows whose target stands among the first ``k``: recall at k for single targets."""
    if k < 1:
        raise LogError(f"k is {k}", allowed="1 or more")
    return float(np.mean(_ranks(rank) <= k))


def _ranks(rank) -> np.ndarray:
    rank = no_nan("ranks", rank)
    if (rank < 1).any():
        raise LogError(f"a rank is {rank.min():g}", allowed="1 or more; 1 = best")
    return rank


def weighted_per_user_loss(
    scores: np.ndarray,
    clicked: np.ndarray,
    seconds: np.ndarray,
    page: np.ndarray,
    user: np.ndarray | None = None,
) -> float:
    """Share of the watch time that the scores get wrong (P1 section 4.3).

    Each clicked card is compared with each unclicked card of the same page. If the unclicked one
    scores higher, the clicked card's watch time counts as mispredicted (half of it, if they score
    alike). The loss is the mispredicted share of the watch time of all pairs. Random scores give
    one half. Pages without a click, or without an unclicked card, have no pair.

    Parameters
    ----------
    scores : (n,) float, one for each card, higher = better
    clicked : (n,) bool
    seconds : (n,) float, watch time of each card, 0 or more
    page : (n,) int, cards of one page share a number
    user : (n,) int or None; if given, the loss is taken for each account, then averaged over the
        accounts, so that heavy viewers do not decide alone

    Raises
    ------
    LogError
        If no page has both a clicked card with watch time and an unclicked one, a score is not a
        number, a watch time is negative, or the shapes differ.
    """
    one_each(scores=scores, clicked=clicked, seconds=seconds, page=page, user=user)
    scores, seconds = no_nan("scores", scores).astype(float), no_nan("watch times", seconds)
    seconds = seconds.astype(float)
    clicked, page = np.asarray(clicked, bool), np.asarray(page)
    if (seconds < 0).any():
        raise LogError(f"a watch time of {seconds.min()} seconds", allowed="0 or more")
    order = np.argsort(page, kind="stable")
    start = np.flatnonzero(np.r_[True, page[order][1:] != page[order][:-1]])
    size = np.diff(np.r_[start, len(order)])
    place = np.repeat(np.arange(len(start)), size)  # the page of each card, in this order
    winners = np.flatnonzero(clicked[order])
    # Each clicked card beside every card of its page: the pairs, before the clicked are left out.
    count = size[place[winners]]
    left = np.repeat(winners, count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    right = start[place[left]] + within
    left, right = order[left], order[right]
    pairs = ~clicked[right]
    left, right = left[pairs], right[pairs]
    wrong = np.where(scores[right] > scores[left], 1.0, 0.5 * (scores[right] == scores[left]))
    weight = seconds[left]
    if not weight.sum():
        raise LogError("No page has both a click with watch time and a card without a click",
                       fix="take more pages")  # fmt: skip
    if user is None:
        return float((wrong * weight).sum() / weight.sum())
    _, account = np.unique(np.asarray(user)[left], return_inverse=True)
    total = np.bincount(account, weights=weight)
    lost = np.bincount(account, weights=wrong * weight)
    return float((lost[total > 0] / total[total > 0]).mean())


def weight_report(
    weight: np.ndarray, propensity: np.ndarray | None = None, most: float = np.inf
) -> dict[str, float]:
    """Whether an off-policy estimate can be trusted; warns where it cannot.

    Parameters
    ----------
    weight : (n,) new over old chance of what was logged, before it is cut
    propensity : (n,) the old chance itself, if it is to be looked at, too
    most : where weights are cut

    Returns
    -------
    dict: "effective rows" (sum of the weights, squared, over the sum of squares), "mean weight"
    (1 if the old policy could show what the new one shows), "share cut"
    """
    weight = no_nan("weight", weight)
    if weight.ndim != 1 or not len(weight) or (weight < 0).any():
        raise LogError(f"weights of shape {weight.shape}", allowed="(n,), none below 0")
    used = np.minimum(weight, most)
    rows = float(used.sum() ** 2 / max((used**2).sum(), 1e-300))
    mean, cut = float(weight.mean()), float((weight > most).mean())
    said = []
    if rows < max(30, 0.01 * len(weight)):
        said.append(f"the weights leave {rows:.0f} effective rows of {len(weight):,}")
    if abs(mean - 1) > max(0.1, 3 * weight.std() / len(weight) ** 0.5):
        said.append(f"the mean weight is {mean:.2f}, far from 1: some of what the new policy shows "
                    "was never shown, or the chances are wrong")  # fmt: skip
    if cut:
        said.append(f"{cut:.1%} of the weights are cut at {most:g}, which biases the estimate")
    if (
        propensity is not None
        and ((np.asarray(propensity) > 1) | (np.asarray(propensity) <= 0)).any()
    ):
        said.append("some propensities are no chances: above 1, or not above 0")
    if said:
        warnings.warn("; ".join(said), stacklevel=2)
    return {"effective rows": rows, "mean weight": mean, "share cut": cut}


def resampled(
    fit: Callable[[np.ndarray], np.ndarray], user: np.ndarray, times: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of what is learned from rows, by drawing accounts anew.

    Rows of one account belong together, so whole accounts are drawn, with replacement.

    Parameters
    ----------
    fit : gets the rows (m,) int of a draw, in rising order; returns an array of any shape
    user : (n,) account of each row
    """
    _, account = np.unique(np.asarray(user), return_inverse=True)
    rng, order = np.random.default_rng(seed), np.argsort(account, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(account))[:-1])
    found = []
    for _ in range(times):
        drawn = rng.integers(len(rows), size=len(rows))
        found.append(fit(np.sort(np.concatenate([rows[one] for one in drawn]))))
    found = np.stack(found)
    return found.mean(axis=0), found.std(axis=0, ddof=1)


def popularity_groups(counts: np.ndarray, groups: int = 10) -> np.ndarray:
    """Group (n,) int of each video: each holds the same share of all watches, group 0 the rarest.

    There may be fewer ``groups`` where single videos hold more than a share of the counts (n,).
    """
    order = np.argsort(counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    group = np.empty(len(counts), np.int64)
    group[order] = np.minimum(groups * before // np.sum(counts), groups - 1)
    return group


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of non-negative counts: 0 = all equal, towards 1 = one takes all."""
    ordered = np.sort(np.asarray(counts, dtype=float))
    n, total = len(ordered), ordered.sum()
    if n == 0 or total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
