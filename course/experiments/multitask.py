"""Shared bottom, mixtures of experts and their fair rivals on the seven tasks (chapter 08).

Worlds are made for the corners of a square: the tasks *conflict* or follow one rule (dial
``task_conflict``), and their rules do or do not *depend on the context* (dial ``task_context``).
All contestants of one size have the same number of multiplications, within one per cent, and each
is tuned on worlds of its own (`tuning`): shape, learning rate, passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np

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
from course.tuning import Tuned, load, tune
from course.world import simulate

USERS = 1_500
"""Accounts of the contest's worlds: about 450,000 training impressions each."""

TEST_PAGES, PAGES_PER_BATCH = 8_000, 100
"""Batches of half the course's usual size: at equal seconds all contestants learn more by them."""

CORNERS = {
    "conflict, context": {"task_conflict": 1.0, "task_context": 1.0},
    "conflict only": {"task_conflict": 1.0, "task_context": 0.0},
    "context only": {"task_conflict": 0.0, "task_context": 1.0},
    "neither": {"task_conflict": 0.0, "task_context": 0.0},
}
"""Kinds of worlds. At a context of 1 the weights of a task vary over contexts with an sd of 1 on
the log scale, twice the default."""

MAIN = "conflict, context"
BASE, MIXTURE = "shared bottom", "experts on the input"
HAND_WEIGHT = 2.0
"""Weight of the rating in the combination at which models are compared live."""


@dataclass(frozen=True)
class Contestant:
    """An architecture in several shapes: function (width of the input, seed) -> model.

    ``size`` is "big" or "small"; all shapes of all contestants of one size have equal
    multiplications. ``crosses``: products of the numbers with the context are fed, too.
    """

    shapes: Mapping[str, Callable[[int, int], Multitask]]
    crosses: bool = False
    size: str = "big"


def _bottom(*hidden: int, film: bool = False):
    context = CONTEXT_WIDTH if film else 0
    return lambda inputs, seed: SharedBottom(
        inputs, TASKS, hidden, context=context, film=film, seed=seed
    )


def _mixture(experts: int, width: int, shared: int, gates: str, one_gate: bool = False):
    context = CONTEXT_WIDTH if gates == "context" else 0
    return lambda inputs, seed: MixtureOfExperts(
        inputs, TASKS, experts, (width,), shared, gates=gates, context=context,
        one_gate=one_gate, seed=seed,
    )  # fmt: skip


CONTESTANTS = {
    "shared bottom, small": Contestant(
        {"61": _bottom(61), "56, 38": _bottom(56, 38)}, size="small"
    ),
    "four experts": Contestant(
        {"4 x 16 over 48": _mixture(4, 16, 48, "shared"),
         "4 x 8 over 57": _mixture(4, 8, 57, "shared")}, size="small",
    ),
    BASE: Contestant({"82": _bottom(82), "73, 48": _bottom(73, 48)}),
    "crosses": Contestant({"48": _bottom(48), "43, 45": _bottom(43, 45)}, crosses=True),
    "film": Contestant({"74": _bottom(74, film=True), "67, 46": _bottom(67, 46, film=True)}),
    "eight experts": Contestant(
        {"8 x 16 over 49": _mixture(8, 16, 49, "shared"),
         "8 x 8 over 62": _mixture(8, 8, 62, "shared")},
    ),
    "gates on the input": Contestant(
        {"8 x 9 over 33": _mixture(8, 9, 33, "input"),
         "4 x 24 over 45": _mixture(4, 24, 45, "input")},
    ),
    "gates on the context": Contestant(
        {"8 x 16 over 55": _mixture(8, 16, 55, "context"),
         "8 x 9 over 70": _mixture(8, 9, 70, "context")},
    ),
    MIXTURE: Contestant(
        {"8 x 12": _mixture(8, 12, 0, "context"), "5 x 19": _mixture(5, 19, 0, "context")},
    ),
    "one gate": Contestant(
        {"13 x 8": _mixture(13, 8, 0, "context", one_gate=True),
         "6 x 17": _mixture(6, 17, 0, "context", one_gate=True)},
    ),
}  # fmt: skip
"""Shapes in words: widths of the shared layers; experts x units of each, over a shared layer or
straight on the input. "eight experts" and "four experts" are P2's layout: gates on the shared
layer. The gates of "gates on the context", "experts on the input" and "one gate" read the
context."""

GROUPS = ("engagement", "satisfaction")
GATED = ("eight experts", MIXTURE)
"""Whose gates are looked at."""

MAIN_CONTESTANTS = (BASE, MIXTURE, "film")
AGREEING = "context only"
"""The corner that serves as control for the gates: the context matters, and the tasks agree."""

DEVELOPMENT = (7, 11, 13)
"""Worlds on which the contestants are tuned; the ledger uses others."""

GRID = {
    "shape": {name: tuple(c.shapes) for name, c in CONTESTANTS.items()},
    "rate": (0.003, 0.01, 0.03, 0.1),
    "passes": (1, 2, 3, 4, 6),
}
STORE = "multitask_tuning"


def corner(name: str, seed: int, users: int = USERS, test_pages: int = TEST_PAGES) -> SevenTasks:
    """The seven tasks in a world of one of the ``CORNERS``."""
    world = simulate("small", seed=seed, cache=False, users=users, **CORNERS[name])
    return SevenTasks(world, test_pages)


def tuning(jobs: int = 1, **options) -> Tuned:
    """Tune every contestant in the main corner; what is finished is kept, and goes on.

    Parameters
    ----------
    **options : of `course.tuning.tune`
    """
    about = {"users": USERS, "test pages": TEST_PAGES, "pages per batch": PAGES_PER_BATCH,
             **CORNERS[MAIN]}  # fmt: skip
    return tune(
        {name: partial(_score, name) for name in CONTESTANTS}, GRID, DEVELOPMENT,
        start={"rate": 0.01, "passes": 3}, compare=(MIXTURE, BASE), give_up=0.01,
        store=STORE, about=about, jobs=jobs, **options,
    )  # fmt: skip


def _score(name: str, settings: Mapping, seed: int) -> dict[str, float]:
    """What one training captures: the mean of both groups of tasks decides."""
    data, begun = _development(seed), time.process_time()
    ranker = fit(data, name, seed, settings)
    found = {"seconds": time.process_time() - begun, **_found(data, ranker)}
    groups = [found[f"{group}/captured"] for group in GROUPS]
    each = {f"{t.name}": found[f"{t.name}/captured"] for t in TASKS}
    return {"captured": float(np.mean(groups)), "engagement": groups[0],
            "satisfaction": groups[1], **each, "seconds": found["seconds"]}  # fmt: skip


@lru_cache(len(DEVELOPMENT))
def _development(seed: int) -> SevenTasks:
    return corner(MAIN, seed)


@cache
def recipes() -> dict[str, dict]:
    """Contestant -> its tuned ``shape``, ``rate`` and ``passes``, as stored."""
    return load(STORE).best


def fit(
    data: SevenTasks, name: str, seed: int = 0, settings: Mapping | None = None, **options
) -> MultitaskRanker:
    """Train one contestant.

    Parameters
    ----------
    settings : shape, rate, passes; None = the tuned recipe
    **options : of `course.experiments.seven_tasks.train`
    """
    contestant, given = CONTESTANTS[name], recipes()[name] if settings is None else settings
    own = {"epochs": given["passes"], "learning_rate": given["rate"],
           "pages_per_batch": PAGES_PER_BATCH, **options}  # fmt: skip
    make = contestant.shapes[given["shape"]]
    return train(data, make, crosses=contestant.crosses, seed=seed, **own)


def made(name: str, inputs: int, crossed: int, seed: int = 0) -> Multitask:
    """The untrained model of a contestant in its tuned shape.

    Parameters
    ----------
    inputs, crossed : width of the input, without and with crosses
    """
    c = CONTESTANTS[name]
    return c.shapes[recipes()[name]["shape"]](crossed if c.crosses else inputs, seed)


def multiplications(data: SevenTasks) -> dict[str, int]:
    """Of each contestant in its tuned shape, for one card, above the input layer."""
    width = input_width(data), input_width(data, crosses=True)
    return {name: made(name, *width).multiplications() for name in CONTESTANTS}


def contest(
    data: SevenTasks, names: Iterable[str] = tuple(CONTESTANTS), seed: int = 0, **options
) -> dict[str, MultitaskRanker]:
    """Train contestants, each by its tuned recipe, on the same pages in the same order."""
    return {name: fit(data, name, seed, **options) for name in names}


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


def _found(data: SevenTasks, ranker: MultitaskRanker) -> dict[str, float]:
    return measure(data.truth, ranker.predict(data.test, data.test_context))


def _measured(data: SevenTasks, rankers: Mapping[str, MultitaskRanker]) -> dict[str, float]:
    return {f"{name}/{key}": value for name, ranker in rankers.items()
            for key, value in _found(data, ranker).items()}  # fmt: skip


def _gates(data: SevenTasks, rankers: Mapping[str, MultitaskRanker], seed: int):
    """Gate numbers of the trained mixtures and of the same before training."""
    out = {}
    for name in (n for n in GATED if n in rankers):
        untrained = train_nothing(data, name, seed)
        for state, ranker in (("trained", rankers[name]), ("untrained", untrained)):
            g = ranker.gates(data.test, data.test_context)
            out |= {f"{name}/{state}/{key}": v for key, v in gate_numbers(g).items()}
            out |= {f"{name}/{state}/gate/{k}/{e}": float(g[k, e])
                    for k in range(g.shape[0]) for e in range(g.shape[1])}  # fmt: skip
    return out


def train_nothing(data: SevenTasks, name: str, seed: int = 0) -> MultitaskRanker:
    """A contestant as it is before its training: the control for everything about gates."""
    width = input_width(data), input_width(data, crosses=True)
    inputs = InputLayer(data.features, seed=seed)
    return MultitaskRanker(inputs, made(name, *width, seed), CONTESTANTS[name].crosses)


def trial(seed: int) -> dict[str, float]:
    """All contestants where tasks conflict and depend on the context.

    Offline, the main ones also with one pass more than their recipes say; live; what the gates do.
    """
    data = corner(MAIN, seed)
    rankers = contest(data, seed=seed)
    out = {"impressions": float(len(data.labels)), **_measured(data, rankers)}
    for name in MAIN_CONTESTANTS:
        longer = fit(data, name, seed, epochs=recipes()[name]["passes"] + 1)
        found = _found(data, longer)
        out |= {f"{name}/one more pass/{g}/captured": found[f"{g}/captured"] for g in GROUPS}
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
    """The main contestants in the other corners, by the recipes of the main corner: the controls.

    Names begin with the corner.
    """
    out = {}
    for name in CORNERS:
        if name != MAIN:
            data = corner(name, seed)
            more = ("eight experts",) if name == AGREEING else ()
            rankers = contest(data, MAIN_CONTESTANTS + more, seed)
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
