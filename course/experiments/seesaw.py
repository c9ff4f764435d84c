"""One task up, another down: mixtures of experts and PLE on the seven tasks (chapter 14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from course.errors import ConfigError
from course.experiments.feedback import MEDIUM
from course.experiments.seven_tasks import (
    TASKS,
    MultitaskRanker,
    SevenTasks,
    input_width,
    measure,
    train,
)
from course.models.multitask import MixtureOfExperts
from course.models.ple import ProgressiveLayers
from course.world import simulate

MARGIN = 0.01
"""A task is better or worse if its captured share differs by more from that of its own network."""
SHARED = 48
"""Units of the layer below the experts, in the layouts that have one."""

CONTESTANTS = {
    "alone": lambda inputs, seed: ProgressiveLayers(inputs, TASKS, 1, 0, (14,), seed=seed),
    "alone, again": lambda inputs, seed: ProgressiveLayers(
        inputs, TASKS, 1, 0, (14,), seed=seed + 500
    ),
    "MMoE": lambda inputs, seed: MixtureOfExperts(inputs, TASKS, 8, (16,), SHARED, seed=seed),
    "PLE": lambda inputs, seed: ProgressiveLayers(
        inputs, TASKS, 1, 3, (17,), shared=SHARED, seed=seed
    ),
    "MMoE on the input": lambda inputs, seed: MixtureOfExperts(
        inputs, TASKS, 6, (8,), 0, gates="input", seed=seed
    ),
    "PLE on the input": lambda inputs, seed: ProgressiveLayers(
        inputs, TASKS, 1, 2, (8,), seed=seed
    ),
}
"""Name -> model. "alone" has an expert for each task and none in common: seven small networks
on the same embeddings. In "PLE" each task has one expert of its own and three are common."""


def seesaw(captured: Mapping[str, float], alone: Mapping[str, float], margin: float = MARGIN):
    """Count who wins and who loses by sharing.

    Parameters
    ----------
    captured, alone : task -> how much of the truth a model captures (higher = better): in the
        shared network, and in the task's own
    margin : difference that counts

    Returns
    -------
    dict with ``better`` and ``worse`` (numbers of tasks) and ``seesaw``: pairs of a task that
    gains and a task that loses
    """
    if set(captured) != set(alone) or not captured:
        raise ConfigError(f"tasks {sorted(captured)} and {sorted(alone)}", allowed="the same ones")
    gaps = [captured[name] - alone[name] for name in alone]
    better, worse = sum(g > margin for g in gaps), sum(g < -margin for g in gaps)
    return {"better": better, "worse": worse, "seesaw": better * worse}


def seesaw_tasks(seed: int, test_pages: int = 6_000) -> SevenTasks:
    """The seven tasks of a world between tiny and small."""
    return SevenTasks(simulate("small", seed=seed, **MEDIUM), test_pages)


def fit_contestant(data: SevenTasks, name: str, seed: int = 0, **options) -> MultitaskRanker:
    """Train one of ``CONTESTANTS`` by the recipe of chapter 08."""
    if name not in CONTESTANTS:
        raise ConfigError(f"There is no contestant {name!r}", allowed=", ".join(CONTESTANTS))
    make: Callable = CONTESTANTS[name]
    return train(data, make, seed=seed, **options)


def captured(data: SevenTasks, ranker: MultitaskRanker) -> dict[str, float]:
    """How much of the truth a ranker captures, task by task (see `seven_tasks.measure`)."""
    found = measure(data.truth, ranker.predict(data.test, data.test_context))
    return {task.name: found[f"{task.name}/captured"] for task in TASKS}


def trial(seed: int) -> dict[str, float]:
    """All contestants in one world.

    Returns
    -------
    dict with ``<contestant>/<task>`` (captured share), ``<contestant>/mean``,
    ``<contestant>/<better, worse, seesaw>`` against "alone", and ``<contestant>/multiplications``
    """
    data = seesaw_tasks(seed)
    width = input_width(data)
    out, alone = {}, {}
    for name, make in CONTESTANTS.items():
        found = captured(data, fit_contestant(data, name, seed))
        alone = alone or found
        out |= {f"{name}/{task}": value for task, value in found.items()}
        out[f"{name}/mean"] = sum(found.values()) / len(found)
        out[f"{name}/multiplications"] = float(make(width, 0).multiplications())
        if name != "alone":
            out |= {f"{name}/{k}": float(v) for k, v in seesaw(found, alone).items()}
    return out
