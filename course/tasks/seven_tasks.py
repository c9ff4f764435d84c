"""Seven tasks on the impressions of one world: their labels, and how good predictions are.

Engagement: click, watch time, completion. Satisfaction: like, dismissal, share, rating.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.special import rel_entr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from course.features.batch import RankingBatch
from course.features.taxonomy import IMPRESSION_CODES, QUERY_CODES
from course.simulator.names import DAYPARTS, DEVICES, FORMATS
from course.tasks.next_day import NextDay
from course.world import World

ENGAGEMENT = ("click", "watch time", "completion")
SATISFACTION = ("like", "dismissal", "share", "rating")
TASKS = ENGAGEMENT + SATISFACTION
REGRESSIONS = ("watch time", "rating")
"""All other tasks are binary. Watch time is learned as the watched share of the video, 0 to 1."""

SURE = ("click", "dismissal")
"""Tasks whose label every impression carries; the others are known after a click only."""

CONTEXT = {"format": FORMATS, "device": DEVICES, "daypart": DAYPARTS}
"""What may turn a task's rule in a world with ``task_context``."""


class SevenTasks(NextDay):
    """One world's impressions with labels for seven tasks, and fresh pages to be judged on.

    Attributes
    ----------
    labels : (n, 7) float32 tensor in the order of ``TASKS``, beside ``train``; NaN = not known
    expected : DataFrame, a column for each task: what really to expect of the fresh cards
    """

    def __init__(self, world: World, pages: int = 8_000, **options):
        super().__init__(world, pages, **options)
        self.labels = torch.from_numpy(labels(self.rows, self.inputs.column("duration")))
        self.expected = expected_labels(
            self.fresh.truth, self.test_inputs.column("duration"), "p_click", "p_dismiss"
        )

    def captured(self, predictions: pd.DataFrame) -> dict[str, float]:
        """How much of what there is to know predictions of the fresh cards know; see `measure`."""
        return measure(self.expected, predictions)

    def relation(self) -> pd.DataFrame:
        """Correlation (7, 7) of what is truly to expect of cards that are looked at."""
        truth = self.fresh.truth
        looked_at = truth.assign(p_dismiss=truth["p_dismiss"] / truth["p_seen"])
        seconds = self.test_inputs.column("duration")
        return expected_labels(looked_at, seconds, "p_click_if_seen", "p_dismiss").corr()


def context_of(batch: RankingBatch) -> Tensor:
    """Format, device and part of the day of each card (n, 13) float32, a column for each value."""
    columns = []
    for name, values in CONTEXT.items():
        if name in IMPRESSION_CODES:
            code = batch.codes[:, IMPRESSION_CODES.index(name)]
        else:
            code = batch.query_codes[batch.page, QUERY_CODES.index(name)]
        columns.append(functional.one_hot(code, len(values)).float())
    return torch.cat(columns, dim=1)


def labels(cards: pd.DataFrame, seconds: np.ndarray) -> np.ndarray:
    """Labels (n, 7) float32 of impressions, in the order of ``TASKS``; NaN = not known.

    What follows a click is known after a click only; a rating only where the survey was asked. The
    cards are rows of ``logs.impressions``, with the length of each one's video in ``seconds``.
    """
    clicked, stars = cards["clicked"].to_numpy(), cards["survey"].to_numpy()
    columns = {
        "click": clicked,
        "watch time": np.where(clicked, cards["watched_seconds"] / seconds, np.nan),
        "completion": np.where(clicked, cards["completed"], np.nan),
        "like": np.where(clicked, cards["liked"], np.nan),
        "dismissal": cards["dismissed"].to_numpy(),
        "share": np.where(clicked, cards["shared"], np.nan),
        "rating": np.where(stars > 0, stars, np.nan),
    }
    return np.stack([columns[name] for name in TASKS], axis=1).astype(np.float32)


def expected_labels(truth: pd.DataFrame, seconds: np.ndarray, click: str, dismiss: str):
    """Expectation of each task's label (DataFrame), from columns of the truth of `FreshPages`."""
    columns = {
        "click": truth[click],
        "watch time": truth["expected_seconds"] / seconds,
        "completion": truth["p_complete"],
        "like": truth["p_like"],
        "dismissal": truth[dismiss],
        "share": truth["p_share"],
        "rating": truth["expected_rating"],
    }
    return pd.DataFrame({name: np.asarray(values, float) for name, values in columns.items()})


def measure(truth: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """How good predictions are, by the truth instead of lucky labels; a column for each task.

    ``task/captured`` is 1 minus the excess loss over the truth, relative to that of the best
    constant (1 = perfect, 0 = knows the mean only). Beside it stand ``task/auc`` (binary tasks) or
    ``task/error`` (regressions: squared error over the variance of the truth), and the means of
    what is captured over a group, as ``engagement/captured``.
    """
    out = {}
    p_click = truth["click"].to_numpy()
    for name in TASKS:
        true, said = truth[name].to_numpy(float), predictions[name].to_numpy(float)
        # What follows a click counts as often as there is a click.
        weight = np.ones(len(true)) if name in SURE else p_click
        base = np.average(true, weights=weight)
        if name not in REGRESSIONS:
            out[f"{name}/auc"] = expected_auc(true, said, weight)
            left = _divergence(true, np.clip(said, 1e-6, 1 - 1e-6), weight)
            left /= _divergence(true, np.full(len(true), base), weight)
        else:
            left = np.average((true - said) ** 2, weights=weight)
            left /= np.average((true - base) ** 2, weights=weight)
            out[f"{name}/error"] = left
        out[f"{name}/captured"] = 1.0 - left
    for group, names in (("engagement", ENGAGEMENT), ("satisfaction", SATISFACTION)):
        out[f"{group}/captured"] = float(np.mean([out[f"{name}/captured"] for name in names]))
    return {name: float(value) for name, value in out.items()}


def _divergence(p: np.ndarray, q: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(rel_entr(p, q) + rel_entr(1 - p, 1 - q), weights=weight))


def expected_auc(p: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> float:
    """AUC of scores (n,) if each row were drawn often: positive p times, else negative."""
    y = np.repeat([1, 0], len(p))
    both = np.r_[weight * p, weight * (1 - p)]
    return float(roc_auc_score(y, np.tile(scores, 2), sample_weight=both))
