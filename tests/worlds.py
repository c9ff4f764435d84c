"""Worlds that several tests share. They are made once per process and must not be changed."""

from __future__ import annotations

import functools

import numpy as np

from course.simulator.behaviour import Situation
from course.world import World, simulate

ENDLESS = {"time_budget": 0.0}
"""Time has no end here: the other laws are tested on their own, and this one too."""
MINI = {"users": 150, "videos": 200, "days": 8, "future_days": 4, **ENDLESS}
"""A world of about a third of a second."""


@functools.cache
def tiny(seed: int = 7, **dials) -> World:
    """A village with endless time; made once for each seed and set of dials."""
    return simulate("village", seed=seed, cache=False, **{**ENDLESS, **dials})


@functools.cache
def mini(seed: int = 7, **dials) -> World:
    """A still smaller world; made once for each seed and set of dials."""
    return simulate("village", seed=seed, cache=False, **{**MINI, **dials})


@functools.cache
def organic(seed: int = 7, **dials) -> World:
    """The same where nothing is recommended, so all that happens is people's own doing."""
    return simulate("village", seed=seed, cache=False, recommend=False, **{**ENDLESS, **dials})


def situations(world: World, n: int, seed: int = 0, time: float | None = None) -> Situation:
    """``n`` random accounts on random devices around the end of the log."""
    rng = np.random.default_rng(seed)
    user = rng.integers(len(world.engine.people), size=n)
    moment = world.config.days + rng.random(n) if time is None else np.full(n, float(time))
    return world.engine.behaviour.situation(user, moment, rng.integers(3, size=n))


def pages(world: World, n: int, k: int = 10, seed: int = 0) -> np.ndarray:
    """``n`` pages of ``k`` distinct uploaded videos."""
    rng = np.random.default_rng(seed)
    available = world.engine.catalogue.available(world.config.days)
    return rng.random((n, available)).argsort(axis=1)[:, :k].astype(np.int32)


def same_arrays(a: object, b: object) -> list[str]:
    """Names of the array attributes in which two objects differ in bytes."""
    names = [name for name, value in vars(a).items() if isinstance(value, np.ndarray)]
    return [n for n in names if getattr(a, n).tobytes() != getattr(b, n).tobytes()]


def table_bytes(world: World) -> dict[str, bytes]:
    """Content of every table of a world as bytes, column after column."""
    out = {}
    for name, frame in world._tables.items():
        parts = []
        for column in frame:
            values = frame[column]
            values = values.cat.codes if hasattr(values, "cat") else values
            parts.append(values.to_numpy().tobytes())
        out[name] = b"|".join(parts)
    return out
