"""Long videos: watch time within groups of equal length (chapter 07's coda).

Half of what a watch lasts is decided by how long the video is. D2Q (Zhan et al., KDD 2022)
compares a watch with watches of videos of about the same length only: its label is the share of
those that were shorter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from course.checks import no_nan, one_each
from course.errors import LogError
from course.experiments.ranking import RankingTask, fit_pages
from course.features.batch import RankingBatch
from course.features.taxonomy import IMPRESSION_NUMBERS
from course.models.watch_time import WatchTimeRanker
from course.training import check_whole

GROUPS = 10
EPOCHS = 6
HIDDEN = (64, 32)
_LENGTH = IMPRESSION_NUMBERS.index("duration")


def length_group(batch: RankingBatch, groups: int = GROUPS) -> np.ndarray:
    """Group (n,) int of each card by the length of its video, 0 = shortest.

    The ranker's input is the share of training cards with a shorter video, so equal steps of it
    are groups of about equally many cards.
    """
    return (batch.numbers[:, _LENGTH].numpy() * groups).astype(int)


class WithinGroup:
    """Watch times as shares of their group's shorter watches, and back.

    Parameters
    ----------
    seconds : (n,) float, watch times
    group : (n,) int, 0 to ``groups`` - 1
    groups : number of groups

    Raises
    ------
    LogError
        If a group has no watch.
    """

    def __init__(self, seconds: np.ndarray, group: np.ndarray, groups: int = GROUPS):
        check_whole("groups", groups, 1)
        seconds, group = np.asarray(seconds, float), np.asarray(group)
        self.sorted = [np.sort(seconds[group == g]) for g in range(groups)]
        empty = [g for g, values in enumerate(self.sorted) if not len(values)]
        if empty:
            raise LogError(f"Group {empty[0]} of {groups} has no watch", fix="take fewer groups")

    def shares(self, seconds: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Share (n,) of the group's watches that are shorter; equal ones count half."""
        seconds, group = np.asarray(seconds, float), np.asarray(group)
        out = np.empty(len(seconds))
        for g, known in enumerate(self.sorted):
            rows = group == g
            below = np.searchsorted(known, seconds[rows], "left")
            up_to = np.searchsorted(known, seconds[rows], "right")
            out[rows] = 0.5 * (below + up_to) / len(known)
        return out

    def seconds(self, shares: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Watch time (n,) at a share of the group's watches: the way back."""
        shares, group = np.clip(shares, 0.0, 1.0), np.asarray(group)
        out = np.empty(len(shares))
        for g, known in enumerate(self.sorted):
            rows = group == g
            out[rows] = np.quantile(known, shares[rows])
        return out


def fit_watches(
    task: RankingTask, target: np.ndarray, *, seed: int = 0, epochs: int = EPOCHS, hidden=HIDDEN
) -> WatchTimeRanker:
    """A network that predicts a number for each *watch*, by least squares on the clicked cards.

    Parameters
    ----------
    target : (k,) float, one for each clicked training card, in order; best between 0 and 1 or so

    Returns
    -------
    WatchTimeRanker whose ``logits`` are the predictions
    """
    clicked = task.rows["clicked"].to_numpy()
    batch = RankingBatch.of(task.inputs[clicked], task.features)
    target = torch.from_numpy(np.asarray(target, np.float32))
    if len(target) != len(batch):
        raise LogError(f"{len(target)} targets for {len(batch)} clicked cards")
    model = WatchTimeRanker(task.features, hidden, bias=float(target.mean()), seed=seed)

    def loss(part: RankingBatch, rows: Tensor) -> Tensor:
        return ((model(part) - target[rows]) ** 2).mean()

    model.history = fit_pages(model, batch, loss, epochs=epochs, seed=seed)
    return model


def xauc(score: np.ndarray, seconds: np.ndarray, group: np.ndarray | None = None) -> float:
    """Share of pairs of watches that the score puts in the order of their lengths (XAUC).

    Parameters
    ----------
    score, seconds : (n,) float; pairs watched for equally long do not count, equal scores half
    group : (n,) int or None; if given, only pairs within a group count

    Raises
    ------
    LogError
        If there is no pair.
    """
    one_each(score=score, seconds=seconds, group=group)
    score, seconds = no_nan("scores", score).astype(float), np.asarray(seconds, float)
    group = np.zeros(len(score), int) if group is None else np.asarray(group)
    right = pairs = 0.0
    for g in np.unique(group):
        s, t = score[group == g], seconds[group == g]
        for first in range(0, len(t), 1_000):
            part = slice(first, first + 1_000)
            longer = t[part, None] > t
            above = 0.5 * (np.sign(s[part, None] - s) + 1.0)
            right, pairs = right + above[longer].sum(), pairs + longer.sum()
    if not pairs:
        raise LogError("There is no pair of watches of different lengths")
    return float(right / pairs)


class DurationRankers:
    """Three ways to value a watch, on the same clicked cards, each to be multiplied by P(click).

    Attributes
    ----------
    minutes : predicts minutes by least squares
    share : predicts the share of shorter watches within the group (D2Q)
    groups : WithinGroup of the training watches
    """

    def __init__(self, task: RankingTask, seed: int = 0):
        rows = task.rows["clicked"].to_numpy()
        seconds = task.rows["watched_seconds"].to_numpy()[rows].astype(float)
        group = length_group(task.train)[rows]
        self.groups = WithinGroup(seconds, group)
        # In units of the mean, so that both networks learn numbers of about the same size.
        self.unit = seconds.mean()
        self.minutes = fit_watches(task, seconds / self.unit, seed=seed)
        self.share = fit_watches(task, self.groups.shares(seconds, group), seed=seed)

    def values(self, batch: RankingBatch) -> dict[str, np.ndarray]:
        """Value (n,) of a watch of each card, by name."""
        share = self.share.logits(batch).clip(0.01, 0.99)
        return {
            "minutes": np.maximum(self.minutes.logits(batch) * self.unit, 1.0),
            "share, mapped back": self.groups.seconds(share, length_group(batch)),
            "share": share,
        }

    def scores(self, click) -> Mapping:
        """Name -> score of a batch: the value times P(click) of a click ranker."""

        def score(name):
            def of(batch):
                odds = np.exp(click.logits(batch).astype(float))
                return self.values(batch)[name] * odds / (1.0 + odds)

            return of

        return {name: score(name) for name in ("minutes", "share, mapped back", "share")}


def offline(task: RankingTask, values: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """XAUC of values of the fresh cards, on those that were clicked: overall and within groups."""
    rows = task.next_day.cards["clicked"].to_numpy()
    seconds = task.next_day.cards["watched_seconds"].to_numpy()[rows]
    group = length_group(task.test)[rows]
    table = {name: (xauc(v[rows], seconds), xauc(v[rows], seconds, group))
             for name, v in values.items()}  # fmt: skip
    return pd.DataFrame.from_dict(table, orient="index", columns=["overall", "within"])
