"""Shared bottom, mixtures of experts and their fair rivals on the seven tasks (chapter 08).

Worlds are made for the corners of a square: the tasks *conflict* or follow one rule (dial
``task_conflict``), and their rules do or do not *depend on the context* (dial ``task_context``).
All contestants of one size have the same number of multiplications, within two per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from course.experiments import polarisation
from course.experiments.gates import effective_experts, overlap
from course.experiments.live_pages import RATING_WEIGHTS, LivePages, at_equal, curve
from course.experiments.seven_tasks import (
    CONTEXT_WIDTH,
    TASKS,
    MultitaskRanker,
    SevenTasks,
    input_width,
    measure,
    train,
)
from course.models.multitask import MixtureOfExperts, Multitask, SharedBottom
from course.models.ranking import InputLayer
from course.world import simulate

USERS = 3_600
"""Accounts of the ledger's worlds: more than a million training impressions each."""

CORNERS = {
    "conflict, context": {"task_conflict": 1.0, "task_context": 1.0},
    "conflict only": {"task_conflict": 1.0, "task_context": 0.0},
    "context only": {"task_conflict": 0.0, "task_context": 1.0},
    "neither": {"task_conflict": 0.0, "task_context": 0.0},
}
"""Kinds of worlds. At a context of 1 the weights of a task vary over contexts with an sd of 1 on
the log scale, twice the default."""

MAIN = "conflict, context"
BASE = "shared bottom"
HAND_WEIGHT = 2.0
"""Weight of the rating in the combination at which models are compared live."""


@dataclass(frozen=True)
class Contestant:
    """An architecture: function (width of the input, seed) -> model, and whether it gets crosses.

    ``size`` is "big" or "small", and contestants of one size have equal multiplications; one is
    "costly".
    """

    make: Callable[[int, int], Multitask]
    crosses: bool = False
    size: str = "big"


def _bottom(width: int, size: str = "big", crosses: bool = False, film: bool = False):
    def make(inputs: int, seed: int) -> Multitask:
        context = CONTEXT_WIDTH if film else 0
        return SharedBottom(inputs, TASKS, (width,), context=context, film=film, seed=seed)

    return Contestant(make, crosses, size)


def _mixture(experts: int, shared: int, gates: str, size: str = "big", one_gate: bool = False):
    def make(inputs: int, seed: int) -> Multitask:
        context = CONTEXT_WIDTH if gates == "context" else 0
        return MixtureOfExperts(
            inputs, TASKS, experts, (16,), shared, gates=gates, context=context,
            one_gate=one_gate, seed=seed,
        )  # fmt: skip

    return Contestant(make, False, size)


CONTESTANTS = {
    "shared bottom, small": _bottom(61, "small"),
    "four experts": _mixture(4, 48, "shared", "small"),
    BASE: _bottom(80),
    "eight experts": _mixture(8, 48, "shared"),
    "gates on the context": _mixture(8, 54, "context"),
    "gates on the input": _mixture(8, 48, "input", "costly"),
    "one gate": _mixture(8, 58, "context", one_gate=True),
    "film": _bottom(72, film=True),
    "crosses": _bottom(47, crosses=True),
}
"""Widths were chosen so that multiplications are equal within a size. "eight experts" and "four
experts" are P2's layout: gates on the shared layer. "gates on the input" has the same widths and
pays for its gates. "one gate" reads the context, too."""

PAPERS = ("shared bottom, small", "four experts", BASE, "eight experts", "gates on the input")
"""What P2 compares."""

READERS = tuple(name for name in CONTESTANTS if name not in PAPERS)
"""Those that know the context by itself: our further question."""

CORNER_CONTESTANTS = (BASE, "gates on the context", "film")
AGREEING = "context only"
"""The corner that serves as control for the gates: the context matters, and the tasks agree."""


def corner(name: str, seed: int, users: int = USERS, test_pages: int = 8_000) -> SevenTasks:
    """The seven tasks in a world of one of the ``CORNERS``."""
    world = simulate("small", seed=seed, cache=False, users=users, **CORNERS[name])
    return SevenTasks(world, test_pages)


def multiplications(data: SevenTasks) -> dict[str, int]:
    """Of each contestant, for one card, above the input layer."""
    return {
        name: c.make(input_width(data, c.crosses), 0).multiplications()
        for name, c in CONTESTANTS.items()
    }


def contest(
    data: SevenTasks, names: Iterable[str] = tuple(CONTESTANTS), seed: int = 0, **options
) -> dict[str, MultitaskRanker]:
    """Train contestants by one recipe: the same pages in the same order."""
    return {
        name: train(data, CONTESTANTS[name].make, crosses=CONTESTANTS[name].crosses, seed=seed,
                    **options)
        for name in names
    }  # fmt: skip


def live_curves(data: SevenTasks, rankers: Mapping[str, MultitaskRanker], seed: int = 0):
    """Engagement and satisfaction of each ranker along a sweep of the rating's weight.

    Returns
    -------
    pages : LivePages
    curves : contestant -> dict metric -> (k,) array, in the order of ``RATING_WEIGHTS``
    """
    pages = LivePages(data.world, data.features, seed=seed)
    curves = {
        name: curve(pages, pages.factors(r.predict(pages.batch, pages.context)))
        for name, r in rankers.items()
    }
    curves["oracle"] = curve(pages, pages.truth_as_predictions())
    return pages, curves


def gate_numbers(gates: np.ndarray) -> dict[str, float]:
    """Effective experts by group, and the overlap within and between the groups."""
    group = np.array([t.group for t in TASKS])
    engaged, satisfied = group == "engagement", group == "satisfaction"
    own = effective_experts(gates)
    common = overlap(gates)
    upper = np.triu(np.ones(common.shape, bool), 1)
    return {
        "effective experts/engagement": float(own[engaged].mean()),
        "effective experts/satisfaction": float(own[satisfied].mean()),
        "overlap/engagement": float(common[upper & np.outer(engaged, engaged)].mean()),
        "overlap/satisfaction": float(common[upper & np.outer(satisfied, satisfied)].mean()),
        "overlap/between": float(common[np.outer(engaged, satisfied)].mean()),
    }


def _measured(data: SevenTasks, rankers: Mapping[str, MultitaskRanker]) -> dict[str, float]:
    out = {}
    for name, ranker in rankers.items():
        found = measure(data.truth, ranker.predict(data.test, data.test_context))
        out |= {f"{name}/{key}": value for key, value in found.items()}
    return out


def _gates(data: SevenTasks, rankers: Mapping[str, MultitaskRanker], seed: int):
    """Gate numbers of the trained mixtures and of the same before training."""
    out = {}
    for name in (n for n in ("eight experts", "gates on the context") if n in rankers):
        c = CONTESTANTS[name]
        untrained = train_nothing(data, c, seed)
        for state, ranker in (("trained", rankers[name]), ("untrained", untrained)):
            g = ranker.gates(data.test, data.test_context)
            out |= {f"{name}/{state}/{key}": v for key, v in gate_numbers(g).items()}
            out |= {f"{name}/{state}/gate/{k}/{e}": float(g[k, e])
                    for k in range(g.shape[0]) for e in range(g.shape[1])}  # fmt: skip
    return out


def train_nothing(data: SevenTasks, contestant: Contestant, seed: int = 0) -> MultitaskRanker:
    """The contestant as it is before its training: the control for everything about gates."""
    width = input_width(data, contestant.crosses)
    inputs = InputLayer(data.features, seed=seed)
    return MultitaskRanker(inputs, contestant.make(width, seed), contestant.crosses)


def trial(seed: int) -> dict[str, float]:
    """P2's contestants where tasks conflict and depend on the context.

    Offline, live, and what the gates do.
    """
    data = corner(MAIN, seed)
    rankers = contest(data, PAPERS, seed)
    out = {"impressions": float(len(data.labels)), **_measured(data, rankers)}
    out |= {f"known/{t.name}": float((~np.isnan(data.labels[:, k].numpy())).sum())
            for k, t in enumerate(TASKS)}  # fmt: skip
    _, curves = live_curves(data, rankers)
    for name, found in curves.items():
        for metric, values in found.items():
            out |= {f"{name}/live/{metric}/{w:g}": float(v)
                    for w, v in zip(RATING_WEIGHTS, values, strict=True)}  # fmt: skip
    hand = RATING_WEIGHTS.index(HAND_WEIGHT)
    base = {metric: float(values[hand]) for metric, values in curves[BASE].items()}
    for name, found in curves.items():
        out[f"{name}/minutes at equal stars"] = at_equal(
            found, "stars", base["stars"], "watch_minutes"
        )
        out[f"{name}/stars at equal minutes"] = at_equal(
            found, "watch_minutes", base["watch_minutes"], "stars"
        )
    return out | _gates(data, rankers, seed)


def context_trial(seed: int) -> dict[str, float]:
    """Contestants that know the context, offline, and the other corners.

    Names of the other corners begin with the corner. The main corner's own contestants are those
    of `trial`, trained on the same world by the same recipe.
    """
    data = corner(MAIN, seed)
    rankers = contest(data, READERS, seed)
    out = _measured(data, rankers) | _gates(data, rankers, seed)
    for name in CORNERS:
        if name != MAIN:
            data = corner(name, seed)
            more = ("eight experts",) if name == AGREEING else ()
            rankers = contest(data, CORNER_CONTESTANTS + more, seed)
            found = _measured(data, rankers) | _gates(data, rankers, seed)
            out |= {f"{name}/{key}": value for key, value in found.items()}
    return out


def polarisation_trial(seed: int) -> dict[str, float]:
    """Shares of runs whose gates polarise, in a small world of the default kind."""
    data = SevenTasks(simulate("small", seed=seed, cache=False), test_pages=100)
    given = polarisation.table(data, seed)
    found = {
        name: polarisation.train_runs(given, seed=seed, **setting)
        for name, setting in polarisation.SETTINGS.items()
    }
    return polarisation.summary(found)


def layout_trial(seed: int) -> dict[str, float]:
    """What must hold of P2's equations and of where the experts stand, on random numbers."""
    inputs, x = 185, torch.randn(256, 185, generator=torch.Generator().manual_seed(seed))
    model = MixtureOfExperts(inputs, TASKS, 8, (16,), 48, seed=seed).eval()
    on_input = MixtureOfExperts(inputs, TASKS, 8, (16,), 0, seed=seed)
    one = MixtureOfExperts(inputs, TASKS, 1, (16,), 48, seed=seed)
    bottom = SharedBottom(inputs, TASKS, (48, 16), seed=seed)
    bottom.towers.load_state_dict(one.towers.state_dict())
    with torch.no_grad():
        bottom.layers[0].load_state_dict(one.shared.state_dict())
        bottom.layers[1].weight.copy_(one.layers[0].weight[0].T)
        bottom.layers[1].bias.copy_(one.layers[0].bias[0, 0])
        return {
            "gate sums off by": float((model.gates(x).sum(dim=2) - 1).abs().max()),
            "one expert off by": float((one(x) - bottom(x)).abs().max()),
            "on the input over on a shared layer": on_input.multiplications()
            / model.multiplications(),
        }
