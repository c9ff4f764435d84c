"""A log in a bottle: pages whose appeal, order and position bias are set by hand.

The course's world takes seconds to simulate and to learn from; here both take a fraction of one,
so that a slider can turn the bias and the past ranking and train anew. A card has a few numbers
that the model sees; the past ranking orders the ten cards of a page by relevance (what viewers
want), incumbency (what has nothing to do with it) and chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from course.models.position_bias import (
    ClickModel,
    MainTower,
    ShallowTowerModel,
    against_truth,
    fit_clicks,
)
from course.models.position_rivals import PAL, InversePropensity, RegressionEM
from course.simulator import laws
from course.simulator.behaviour import EXAMINATION_EXPONENT
from course.simulator.names import DEVICES
from course.training import check_number, check_whole

SLATE = 10
WIDTH = 12
APPEAL = -2.2
"""Logit of a click on an average card that is looked at."""
DEVICE_SHARES = (0.6, 0.25, 0.15)
_TASTE = np.array([0.0, 0.7, -0.5, 0.5, 0.4, -0.4, 0.3, 0.3, -0.2, 0.2, 0.1, 0.0])


@dataclass(frozen=True)
class Bench:
    """A log of n pages.

    Attributes
    ----------
    x : (n, 10, 12) float32, what the model sees of each card, in the order shown; the first number
        is the card's incumbency
    device : (n,) int
    clicked : (n, 10) bool
    appeal : (n, 10), the true logit of a click when looked at
    theta : (3, 10), the true P(seen)
    """

    x: np.ndarray
    device: np.ndarray
    clicked: np.ndarray
    appeal: np.ndarray
    theta: np.ndarray
    truth: str

    def rows(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray, np.ndarray]:
        """Cards one below the other: x (m, 12), position, device, clicked, as `fit_clicks` asks."""
        position = np.tile(np.arange(1, SLATE + 1), len(self.device))
        device = np.repeat(self.device, SLATE)
        return torch.from_numpy(self.x.reshape(-1, WIDTH)), position, device, self.clicked.ravel()

    @property
    def log_seen(self) -> np.ndarray:
        """True log P(seen) relative to position 1 (3, 10)."""
        return np.log(self.theta / self.theta[:, :1])


def make_log(
    pages: int = 6_000,
    *,
    strength: float = 1.0,
    relevance: float = 1.0,
    incumbency: float = 1.0,
    noise: float = 0.5,
    hidden: float = 0.0,
    truth: str = "examination",
    seed: int = 0,
) -> Bench:
    """Serve pages under a past ranking and log the clicks.

    Parameters
    ----------
    strength : of the position bias; 0 = everything is looked at
    relevance, incumbency, noise : weights of the past ranking, each on a part with sd 1
    hidden : sd of a part of the appeal that the past ranking knows and the model does not
    truth : {"examination", "additive"}, as in the world
    """
    check_whole("pages", pages, 1)
    dials = {"strength": strength, "relevance": relevance, "incumbency": incumbency}
    for name, value in {**dials, "noise": noise, "hidden": hidden}.items():
        check_number(name, value, 0.0)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(pages, SLATE, WIDTH)).astype(np.float32)
    wanted = _wanted(x) + hidden * rng.normal(size=x.shape[:2])
    parts = wanted / np.sqrt(1 + hidden**2), x[..., 0], rng.normal(size=wanted.shape)
    score = relevance * parts[0] + incumbency * parts[1] + noise * parts[2]
    order = np.argsort(-score, axis=1)
    x = np.take_along_axis(x, order[:, :, None], axis=1)
    appeal = APPEAL + np.take_along_axis(wanted, order, axis=1)
    device = rng.choice(len(DEVICES), pages, p=DEVICE_SHARES)
    at = np.arange(1, SLATE + 1)
    theta = laws.examination(at[None, :], EXAMINATION_EXPONENT[:, None], strength)
    p = laws.click_probability(appeal, theta[device], truth)
    return Bench(x, device, rng.random(p.shape) < p, appeal, theta, truth)


def _wanted(x: np.ndarray) -> np.ndarray:
    """Appeal without its level, sd about 1: a sum, and a product that takes a network to learn."""
    return 0.8 * (x @ _TASTE.astype(np.float32)) + 0.5 * x[..., 1] * x[..., 2]


def train(bench: Bench, name: str, *, seed: int = 0, epochs: int = 3, progress=None) -> ClickModel:
    """Train a treatment on a bench, starting from the same weights as every other.

    Parameters
    ----------
    name : {"none", "shallow tower", "shallow, no drop-out", "PAL", "regression-EM",
        "inverse propensity", "shallow, given"}; the last two are given the true P(seen), as a
        large experiment with random pages would find it: as weights, and as a fixed table
    """
    main = MainTower(WIDTH, hidden=(32, 16), start=APPEAL - 0.5, seed=seed)
    given = main, SLATE, len(DEVICES)
    model = {
        "none": lambda: ClickModel(*given),
        "shallow tower": lambda: ShallowTowerModel(*given),
        "shallow, no drop-out": lambda: ShallowTowerModel(*given, drop_out=0.0),
        "PAL": lambda: PAL(*given),
        "regression-EM": lambda: RegressionEM(*given),
        "inverse propensity": lambda: InversePropensity(main, bench.theta, *given[1:]),
        "shallow, given": lambda: _given(ShallowTowerModel(*given, drop_out=0.0), bench),
    }[name]()
    fit_clicks(model, *bench.rows(), epochs=epochs, batch=512, seed=seed, progress=progress)
    return model


def _given(model: ShallowTowerModel, bench: Bench) -> ShallowTowerModel:
    table = np.concatenate([np.zeros((len(DEVICES), 1)), np.log(bench.theta)], axis=1)
    model.shallow.table.weight.data = torch.from_numpy(table.reshape(-1, 1).astype(np.float32))
    model.shallow.table.weight.requires_grad_(False)
    return model


def clicks_per_page(bench: Bench, models: Mapping[str, ClickModel]) -> dict[str, float]:
    """Exact expected clicks on the bench's pages when each model orders the ten cards anew.

    Beside the models: "past ranking" (as logged) and "oracle" (by true appeal).
    """
    device = torch.from_numpy(np.repeat(bench.device, SLATE).astype(np.int64))
    cards = torch.from_numpy(bench.x.reshape(-1, WIDTH))
    scores = {name: model.serve(cards, device).numpy().reshape(-1, SLATE)
              for name, model in models.items()}  # fmt: skip
    scores["past ranking"] = np.broadcast_to(-np.arange(SLATE), bench.appeal.shape)
    scores["oracle"] = bench.appeal
    out = {}
    for name, score in scores.items():
        order = np.argsort(-score, axis=1, kind="stable")
        appeal = np.take_along_axis(bench.appeal, order, axis=1)
        p = laws.click_probability(appeal, bench.theta[bench.device], bench.truth)
        out[name] = float(p.sum(axis=1).mean())
    return out


# --- The ledger ----------------------------------------------------------------------------------

LIMITS = {
    "cards move": {},
    "sorted by relevance": {"incumbency": 0.0, "noise": 0.0},
    "ranking knows more": {"incumbency": 0.5, "noise": 0.0, "hidden": 1.0},
    "knows more, chance": {"incumbency": 0.5, "noise": 2.0, "hidden": 1.0},
}
"""Past rankings, from harmless to harmful, and one remedy."""
LIMIT_TREATMENTS = ("none", "shallow tower", "shallow, no drop-out", "PAL", "regression-EM",
                    "inverse propensity", "shallow, given")  # fmt: skip
SWAPS = {"relevance": 0.5, "incumbency": 0.5, "noise": 2.0}


def limit_trial(seed: int, pages: int = 6_000, many: int = 30_000) -> dict[str, float]:
    """Treatments under past rankings of several kinds, and regression-EM on ``many`` pages.

    Returns
    -------
    dict with ``<ranking>/live/<treatment>/clicks`` (exact, per page of fresh ones),
    ``<ranking>/<treatment>/slope/<device>`` and ``.../max_error/<device>``, and
    ``swaps/<treatment>/error/<device>``: mean relative error of P(seen), relative to position 1
    """
    out: dict[str, float] = {}
    for ranking, dials in LIMITS.items():
        log = make_log(pages, seed=seed, **dials)
        fresh = make_log(3 * pages, seed=seed + 10_000, **dials)
        models = {name: train(log, name, seed=seed) for name in LIMIT_TREATMENTS}
        for name, clicks in clicks_per_page(fresh, models).items():
            out[f"{ranking}/live/{name}/clicks"] = clicks
        for name, model in models.items():
            for key, values in against_truth(model.curve(), log.log_seen).items():
                out.update({f"{ranking}/{name}/{key}/{device}": float(values[d])
                            for d, device in enumerate(DEVICES)})  # fmt: skip
    log = make_log(many, seed=seed, **SWAPS)
    for name in ("regression-EM", "PAL", "shallow tower"):
        curve = train(log, name, seed=seed).curve()
        error = np.abs(np.exp(curve - log.log_seen) - 1)[:, 1:].mean(axis=1)
        out.update({f"swaps/{name}/error/{d}": float(error[i]) for i, d in enumerate(DEVICES)})
    return out
