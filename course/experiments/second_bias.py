"""A bias that nobody thought of: found by a residual test, explained by the shallow tower (ch. 11).

The world's dial ``thumbnail_bias`` lets large thumbnails be clicked more, whatever the video. In
the world the size is a coin toss. `by_popularity` thins a log out so that large thumbnails stand
mostly with popular videos, as they would where somebody hands them out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, logit, ndtr

from course.errors import ConfigError
from course.experiments.feedback import MEDIUM
from course.experiments.position_bias import BiasTask, SharedInputs, leaning, places, policy, served
from course.models.position_bias import (
    ClickModel,
    MainTower,
    ShallowTowerModel,
    fit_clicks,
    pieces,
)
from course.models.ranking import FirstLinear, InputLayer
from course.simulator.names import DEVICES
from course.world import World, ab_test, simulate

STRENGTH = 1.0
"""Of the dial: a large thumbnail adds 0.5 to the logit of a click, a small one takes 0.5 off."""
HIDDEN = (64, 32)
EPOCHS, BATCH, LEARNING_RATE = 2, 1_000, 1e-2
LIVE_PAGES = 4_000
DISTRUST = 0.9
"""Share of the cards with an untypical size that `by_popularity` throws away at most."""


def residual_test(clicked, probability, groups: Mapping[str, np.ndarray]) -> pd.DataFrame:
    r"""Does a model that has never seen a column explain the clicks in all of its groups?

    The probabilities are first brought to the right mean. For a group of cards with O clicks, of
    which the model expected :math:`E=\sum p`, the number
    :math:`z = (O-E)/\sqrt{\sum p(1-p)}` is about standard normal if the model is right.

    Parameters
    ----------
    clicked : (n,) bool, of cards that trained nothing
    probability : (n,) the model's click probability, where each card stood
    groups : name of a column -> (n,) its values, a few different ones

    Returns
    -------
    DataFrame, index the columns, most suspicious first: ``gap`` (log of O/E, largest minus
    smallest group), ``z`` (the largest in size over the groups) and ``p`` (two-sided, times the
    number of groups and columns looked at, at most 1)

    Raises
    ------
    ConfigError
        For lengths that differ, or probabilities that are none.
    """
    clicked, p = np.asarray(clicked, float), np.array(probability, float)
    if clicked.shape != p.shape or p.ndim != 1:
        raise ConfigError(f"clicked has shape {clicked.shape}, probability {p.shape}",
                          allowed="(n,) both")  # fmt: skip
    if not ((p > 0) & (p < 1)).all():
        raise ConfigError("a probability is not between 0 and 1", allowed="0 < p < 1")
    p *= clicked.sum() / p.sum()  # that all of it is too high or too low is no news
    rows, looks = [], 0
    for name, values in groups.items():
        if np.shape(values) != p.shape:
            raise ConfigError(f"{name!r} has shape {np.shape(values)}", allowed=f"{p.shape}")
        _, code = np.unique(np.asarray(values), return_inverse=True)
        observed, expected, variance = (
            np.bincount(code, weights) for weights in (clicked, p, p * (1 - p))
        )
        z = (observed - expected) / np.sqrt(variance)
        ratio = np.log(np.maximum(observed, 0.5) / expected)
        looks += len(z)
        rows.append((name, np.ptp(ratio), z[np.abs(z).argmax()]))
    table = pd.DataFrame(rows, columns=["column", "gap", "z"]).set_index("column")
    table["p"] = np.minimum(1.0, looks * 2 * ndtr(-table["z"].abs()))
    return table.reindex(table["z"].abs().sort_values(ascending=False).index)


def columns(cards: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns of a log's cards that a suspicious engineer might try: one is guilty."""
    time = cards["time"].to_numpy()
    return {
        "large thumbnail": cards["large_thumbnail"].to_numpy(),
        "surface": cards["surface"].cat.codes.to_numpy(),
        "nominator": cards["nominator"].cat.codes.to_numpy(),
        "part of the day": cards["daypart"].cat.codes.to_numpy(),
        "device": cards["device"].cat.codes.to_numpy(),
        "position": cards["position"].to_numpy(),
        "shown before": cards["previous_impressions"].to_numpy() > 0,
        "odd account number": cards["user_id"].to_numpy() % 2,
        "odd video number": cards["video_id"].to_numpy() % 2,
        "odd minute": (time * 1_440).astype(int) % 2,
    }


def by_popularity(cards: pd.DataFrame, watches: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which cards to keep (n,) bool, so that large thumbnails come to stand with popular videos.

    A card with a size that is untypical for its popularity is thrown away with a probability of
    up to ``DISTRUST``, by nothing but its size and its popularity: what people did is untouched.

    Parameters
    ----------
    cards : rows of ``logs.impressions``
    watches : (n,) watches of the card's video so far
    """
    rank = np.argsort(np.argsort(watches, kind="stable"), kind="stable") / len(watches)
    large = cards["large_thumbnail"].to_numpy()
    untypical = np.where(large, 1.0 - rank, rank)
    return np.random.default_rng(seed).random(len(cards)) >= DISTRUST * untypical


def fit_with(task: BiasTask, size: bool, weight=None, seed: int = 0, progress=None) -> ClickModel:
    """Train the shallow tower of chapter 10, with or without a cell for the thumbnail's size.

    With it each cell of (position, device) becomes two, for small and for large: a "device" from
    0 to 5. At serving every thumbnail counts as small, which changes no order.

    Parameters
    ----------
    size : give the shallow tower the size
    weight : (n,) how much each training card counts; None = all alike
    """
    kinds = len(DEVICES) * (2 if size else 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = float(logit(task.rows["clicked"].mean()))
        first = FirstLinear(InputLayer(task.features, seed=seed), HIDDEN[0])
        main = MainTower(first, HIDDEN, start=start, seed=seed)
    model = ShallowTowerModel(main, task.slate, kinds)
    fit_clicks(
        model, task.train, task.position, cell(task.rows, size), task.clicked, weight=weight,
        epochs=EPOCHS, batch=BATCH, learning_rate=LEARNING_RATE, seed=seed, progress=progress,
    )  # fmt: skip
    return model


def cell(cards: pd.DataFrame, size: bool) -> torch.Tensor:
    """Device (n,) int64, 0 to 2; with the size 3 more for a large thumbnail."""
    device = places(cards)[1]
    large = torch.from_numpy(cards["large_thumbnail"].to_numpy().copy())
    return device + len(DEVICES) * large if size else device


def at_its_place(task: BiasTask, model: ClickModel) -> np.ndarray:
    """Click probability of the fresh cards where they stood (n,)."""
    cards = task.next_day.cards
    position, device = places(cards)[0], cell(cards, model.devices > len(DEVICES))
    return torch.cat([model.probability(part, position[rows], device[rows])
                      for part, rows in pieces(task.test)]).double().numpy()  # fmt: skip


def learned(model: ClickModel) -> float:
    """Logit that a large thumbnail adds over a small one, mean over positions and devices."""
    table = model.shallow.table.weight.detach().numpy().reshape(2, len(DEVICES), -1)
    return float((table[1] - table[0])[:, 1:].mean())


def true_gap(task: BiasTask) -> float:
    """Log of how much more often a large thumbnail is clicked than a small one, all else equal.

    For evaluation only.
    """
    truth, strength = task.next_day.truth, task.world.config.thumbnail_bias
    large = task.next_day.cards["large_thumbnail"].to_numpy()
    appeal = logit(truth["p_click_if_seen"].to_numpy(float)) - strength * (large - 0.5)
    seen = truth["p_seen"].to_numpy(float)
    clicks = [(seen * expit(appeal + strength * side)).sum() for side in (-0.5, 0.5)]
    return float(np.log(clicks[1] / clicks[0]))


def bias_task(seed: int, strength: float = STRENGTH, test_pages: int = 6_000) -> BiasTask:
    """The ranking task of a world with a second bias."""
    world: World = simulate("small", seed=seed, **MEDIUM, thumbnail_bias=strength)
    return BiasTask(world, test_pages=test_pages)


def live(task: BiasTask, models: Mapping[str, ClickModel], n: int = LIVE_PAGES):
    """A live experiment: the models and the oracle; the first model is the control."""
    inputs = SharedInputs(task.features)
    policies = {name: policy(model, inputs) for name, model in models.items()}
    return ab_test(task.world, {**policies, "oracle": task.world.oracle("click")}, n=n)


# --- The ledger ----------------------------------------------------------------------------------


def trial(seed: int, n: int = LIVE_PAGES) -> dict[str, float]:
    """Position alone against position and size: sizes by chance, by popularity, and no bias.

    Returns
    -------
    dict with ``<sizes>/<model>/gap/<column>``, ``.../z/<column>`` of the residual test,
    ``<sizes>/learned``, ``<sizes>/<model>/leaning`` and ``live/<sizes>/<model>/clicks``; sizes
    are "chance" and "popularity"; "no bias" is a world without the second bias
    """
    out: dict[str, float] = {}
    task = bias_task(seed)
    watches = task.inputs.column("video watches")
    kept = {"chance": None, "popularity": by_popularity(task.rows, watches, seed).astype(float)}
    models = {}
    for sizes, weight in kept.items():
        for name, size in (("position", False), ("position and size", True)):
            model = fit_with(task, size, weight, seed)
            models[f"{sizes}/{name}"] = model
            out |= _tested(task, model, f"{sizes}/{name}")
            out[f"{sizes}/{name}/leaning"] = leaning(task, served(model, task.test))
        out[f"{sizes}/learned"] = learned(model)
    found = live(task, models, n).table
    for row in found[found["metric"] == "clicks"].itertuples():
        out[f"live/{row.policy}/clicks"] = float(row.expected)
    out["truth/gap"] = true_gap(task)
    out["truth/leaning"] = leaning(task, task.next_day.truth["p_click_if_seen"].to_numpy())
    innocent = bias_task(seed, 0.0)
    return out | _tested(innocent, fit_with(innocent, False, seed=seed), "no bias/position")


def _tested(task: BiasTask, model: ClickModel, name: str) -> dict[str, float]:
    cards = task.next_day.cards
    table = residual_test(cards["clicked"], at_its_place(task, model), columns(cards))
    return {f"{name}/{key}/{column}": float(value)
            for key in ("gap", "z") for column, value in table[key].items()}  # fmt: skip
