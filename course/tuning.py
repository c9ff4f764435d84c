"""Fair contests: every contestant tuned alike, on worlds that the contest itself does not use.

    tuned = tune({"a": train_a, "b": train_b}, {"rate": (.003, .01, .03), "passes": (2, 4, 8)},
                 (7, 11, 13), compare=("a", "b"))
    tuned.best["a"]      # {"rate": 0.01, "passes": 4}
    tuned.recipes()      # one row for each contestant, with what is to be warned of

It is a coordinate search on the grid, in the order of its axes: from a common start, the values one
step up and down an axis of numbers are tried in every world, and the best is kept, step by step
until none is better; then the next axis, and again from the first, until nothing changes. So the
neighbours of a best number are known to be worse. Names are chosen once, in the first round.

A hill may be the wrong one. Called again from another start, the search goes on with the cells that
are stored, and the best of all settings that were tried in every world wins.
"""

from __future__ import annotations

import json
import math
import numbers
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from scipy import stats

from course.errors import CacheError, ConfigError
from course.paths import data_dir, write_whole

Contestant = Callable[[dict, int], float | Mapping[str, float]]
"""Function (settings, world's seed) -> score, higher is better, or several scores by name, of which
the first decides. One named ``seconds`` replaces the time that is measured around the call."""


class TuningWarning(UserWarning):
    """A recipe that is no evidence yet: at the edge of its grid, failed, or not converged."""


@dataclass(frozen=True)
class Tuned:
    """What came out of a tuning.

    Attributes
    ----------
    cells : DataFrame, a row for each training: ``who``, the settings, ``world``, the scores,
        ``seconds``, and ``error`` (empty, or why there is no score)
    grid : axis -> values, or axis -> contestant -> values
    worlds : seeds of the development worlds
    best : contestant -> settings; one that failed everywhere is missing
    warnings : contestant -> what is to be warned of, in words; may be empty
    """

    cells: pd.DataFrame
    grid: dict
    worlds: tuple[int, ...]
    best: dict[str, dict]
    warnings: dict[str, list[str]]

    def recipes(self, **columns: Mapping[str, object]) -> pd.DataFrame:
        """The recipes for the page: a row for each contestant.

        There may be further columns, such as ``multiplications={contestant: number}``.
        """
        tuned_on = "worlds " + ", ".join(map(str, self.worlds))
        rows = {}
        for who, settings in self.best.items():
            own = self.cells[["who", *settings]] == pd.Series({"who": who, **settings})
            rows[who] = {
                **{name: given.get(who) for name, given in columns.items()}, **settings,
                "seconds": self.cells.loc[own.all(axis=1), "seconds"].mean(), "tuned on": tuned_on,
                "warning": "; ".join(self.warnings[who]),
            }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("who")


def tune(
    contestants: Mapping[str, Contestant],
    grid: Mapping[str, Sequence | Mapping[str, Sequence]],
    worlds: Sequence[int] = (7, 11, 13),
    *,
    start: Mapping[str, object] | None = None,
    compare: tuple[str, str] | None = None,
    more: str = "passes",
    give_up: float = math.inf,
    rounds: int | None = None,
    store: str | Path | None = None,
    about: Mapping[str, object] | None = None,
) -> Tuned:
    """Tune all contestants alike.

    Parameters
    ----------
    contestants : name -> function, see `Contestant`
    grid : axis -> two or more values: numbers in rising order, or names (a choice without order).
        An axis may also be given as contestant -> values; who is not named there goes without it.
    worlds : development seeds, none of them one on which the contest is decided
    start : axis -> value where the search begins; else the middle number, the first name
    compare : two contestants whose contrast should have settled: a step more of ``more`` must not
        move it by more than the half width of its 95 % interval over the worlds
    give_up : a setting that is worse by more than this in the first world is not tried further
    rounds : stop after so many rounds over the axes, and say so in the warnings; None = go on until
        nothing changes
    store : name of a file in ``data/results``, or a path: finished cells are kept there, so that an
        interrupted tuning goes on; None = nothing is kept
    about : what else decides the scores (size of the worlds); stored cells of another are dropped

    Trainings are spread by joblib: `joblib.parallel_config` says over what, and how many at a time.
    A contestant that raises, or whose score is not a number, is named in the warnings, and the
    others go on. A grid with one value, or a name that is not there, is a ConfigError.
    """
    axes = {who: _axes(grid, who) for who in contestants}
    start, worlds = dict(start or {}), tuple(worlds)
    _check(contestants, grid, axes, worlds, start, compare, more)
    path = store and _path(store)
    head = _plain({"about": about, "grid": grid, "worlds": worlds})
    cells = _kept(path, head["about"])

    def save(**results) -> dict:
        content = {**head, **results, "cells": list(cells.values())}
        if path:  # a line for each cell
            write_whole(path, json.dumps(content).replace('{"who"', '\n{"who"') + "\n")
        return content

    def run(wanted: list[tuple]) -> None:
        """Train what is not there yet, world by world."""
        new = {_key(*w): w for w in wanted if _key(*w) not in cells}
        work = sorted(new.values(), key=lambda w: worlds.index(w[2]))
        each = (joblib.delayed(_cell)(contestants[who], who, s, w) for who, s, w in work)
        for cell in joblib.Parallel(return_as="generator_unordered")(each):
            cells[_key(cell["who"], cell["settings"], cell["world"])] = cell
            save()

    def scores(who: str, settings: dict, among: Sequence[int] = worlds) -> np.ndarray:
        found = [cells.get(_key(who, settings, world), {}).get("scores") for world in among]
        return np.array([next(iter(f.values())) if f else -math.inf for f in found])

    def climb(who_at: dict[str, dict], axis: str) -> dict[str, dict]:
        """One step along an axis, for all contestants that have it."""
        near = {who: [s, *_neighbours(s, axes[who], axis)] for who, s in who_at.items()}
        run([(who, s, worlds[0]) for who in near for s in near[who]])
        for who, (here, *around) in near.items():
            least = scores(who, here, worlds[:1]) - give_up
            near[who] = [here, *(s for s in around if scores(who, s, worlds[:1]) >= least)]
        run([(who, s, w) for who in near for s in near[who] for w in worlds])
        # Of equals the first is kept: where the search stands.
        return {who: max(n, key=lambda s, w=who: scores(w, s).mean()) for who, n in near.items()}

    at = {who: {n: _first(v, start.get(n)) for n, v in own.items()} for who, own in axes.items()}
    before, names, done = None, True, 0
    while before != at and done != rounds:
        before, done = dict(at), done + 1
        for axis in grid:
            moving = {who for who, own in axes.items() if axis in own
                      and (names or _ordered(own[axis]))}  # fmt: skip
            while moving:
                new = climb({who: at[who] for who in contestants if who in moving}, axis)
                moved = {who for who, s in new.items() if s != at[who]}
                moving = {who for who in moved if _ordered(axes[who][axis])}
                at |= new
        names = False
    stopped = {who for who in at if before[who] != at[who]}
    # An earlier search from another start may have ended higher; of equals this one's end is kept.
    at = {who: max([s, *_tried(who, axes[who], cells)], key=lambda s, w=who: scores(w, s).mean())
          for who, s in at.items()}  # fmt: skip
    best = {who: s for who, s in at.items() if np.isfinite(scores(who, s)).all()}
    said = {who: _edges(s, axes[who]) + _failures(who, cells) for who, s in at.items()}
    for who in stopped:
        said[who].append(f"the search was stopped after round {done}")
    if compare and set(compare) <= set(best):
        longer = {who: _step(best[who], axes[who], more) for who in compare}
        run([(who, s, w) for who, s in longer.items() for w in worlds])
        now, then = (scores(compare[0], s[compare[0]]) - scores(compare[1], s[compare[1]])
                     for s in (best, longer))  # fmt: skip
        if abs((then - now).mean()) > stats.t.ppf(0.975, len(now) - 1) * stats.sem(now):
            said[compare[0]].append(f"more {more} move the contrast with {compare[1]} from "
                                    f"{now.mean():.2g} to {then.mean():.2g}")  # fmt: skip
    for who, words in said.items():
        for text in words:
            warnings.warn(f"{who}: {text}", TuningWarning, stacklevel=2)
    return _tuned(save(best=best, warnings=said))


def load(store: str | Path) -> Tuned:
    """A finished tuning from its file; a CacheError if there is none, or it cannot be read."""
    path = _path(store)
    try:
        return _tuned(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(
            f"There is no finished tuning in {path.name} ({error!r})", fix="run it: tune(...)"
        ) from error


def _cell(contestant: Contestant, who: str, settings: dict, world: int) -> dict:
    """One training with what came out, or why nothing did."""
    begun, scores, error = time.process_time(), {}, ""
    try:
        found = contestant(dict(settings), world)
        found = found if isinstance(found, Mapping) else {"score": found}
        scores = {name: float(f"{float(value):.6g}") for name, value in found.items()}
        error = ", ".join(f"{n} is {v}" for n, v in scores.items() if not math.isfinite(v))
    except Exception as raised:  # whatever it is, the others go on
        error = f"{type(raised).__name__}: {raised}"
    seconds = round(scores.pop("seconds", time.process_time() - begun), 2)
    return {"who": who, "settings": settings, "world": world, "scores": {} if error else scores,
            "seconds": seconds, "error": error}  # fmt: skip


def _tuned(content: dict) -> Tuned:
    rows = [{"who": c["who"], **c["settings"], "world": c["world"], **c["scores"],
             "seconds": c["seconds"], "error": c["error"]} for c in content["cells"]]  # fmt: skip
    return Tuned(pd.DataFrame(rows), content["grid"], tuple(content["worlds"]), content["best"],
                 content["warnings"])  # fmt: skip


def _kept(path: Path | None, about) -> dict[tuple, dict]:
    """Cells of an earlier run; what failed is tried again."""
    if not path or not path.is_file():
        return {}
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        good = [c for c in old["cells"] if old["about"] == about and not c["error"]]
        return {_key(c["who"], c["settings"], c["world"]): c for c in good}
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{path.name} cannot be read ({error!r})", fix="delete it") from error


def _axes(grid: Mapping, who: str) -> dict[str, list]:
    """Values of each axis that a contestant has."""
    own = {n: v.get(who) if isinstance(v, Mapping) else v for n, v in grid.items()}
    return {name: _plain(values) for name, values in own.items() if values is not None}


def _ordered(values: Sequence) -> bool:
    """Whether an axis is of numbers, and not of names."""
    return all(isinstance(v, numbers.Real) for v in values)


def _first(values: list, wanted) -> object:
    middle = values[(len(values) - 1) // 2] if _ordered(values) else values[0]
    return wanted if wanted in values else middle


def _step(settings: dict, axes: dict[str, list], name: str, by: int = 1) -> dict:
    """Settings one step along an axis of numbers; beyond its end there is no step."""
    values = axes[name]
    i = min(max(values.index(settings[name]) + by, 0), len(values) - 1)
    return settings | {name: values[i]}


def _neighbours(settings: dict, axes: dict[str, list], axis: str) -> list[dict]:
    near = ([_step(settings, axes, axis, by) for by in (-1, 1)] if _ordered(axes[axis])
            else [settings | {axis: value} for value in axes[axis]])  # fmt: skip
    return [s for s in near if s != settings]


def _edges(settings: dict, axes: dict[str, list]) -> list[str]:
    return [f"best {name} {settings[name]:g} is at the edge of its grid" for name, v in axes.items()
            if _ordered(v) and settings[name] in (v[0], v[-1])]  # fmt: skip


def _tried(who: str, axes: dict[str, list], cells: Mapping) -> list[dict]:
    """Settings of a contestant for which there are cells, and which the grid still has."""
    known = {json.dumps(c["settings"], sort_keys=True): c["settings"] for c in cells.values()
             if c["who"] == who}  # fmt: skip
    return [s for s in known.values()
            if set(s) == set(axes) and all(s[n] in axes[n] for n in axes)]  # fmt: skip


def _failures(who: str, cells: Mapping) -> list[str]:
    bad = [c for c in cells.values() if c["who"] == who and c["error"]]
    return [f"no score at {c['settings']}, world {c['world']}: {c['error']}" for c in bad[:1]]


def _key(who: str, settings: Mapping, world: int) -> tuple:
    return who, json.dumps(settings, sort_keys=True), world


def _plain(value):
    """The same as JSON gives it back; NumPy's numbers are plain ones."""
    return json.loads(json.dumps(value, default=lambda v: v.item()))


def _path(store: str | Path) -> Path:
    return store if isinstance(store, Path) else data_dir() / "results" / f"{store}.json"


def _check(contestants, grid, axes, worlds, start, compare, more) -> None:
    if not contestants or len(set(worlds)) < max(2, len(worlds)):
        raise ConfigError(f"{len(contestants)} contestants, worlds {worlds}",
                          allowed="at least one contestant, and two different worlds")  # fmt: skip
    named = {who for v in grid.values() if isinstance(v, Mapping) for who in v}
    for who in sorted((named | set(compare or ())) - set(contestants)):
        raise ConfigError(f"There is no contestant {who!r}", allowed=", ".join(contestants))
    for who, own in axes.items():
        for name, values in own.items():
            rising = not _ordered(values) or values == sorted(values)
            if len(set(map(str, values))) < max(2, len(values)) or not rising:
                raise ConfigError(
                    f"{name} of {who!r} has the values {values}",
                    allowed="two or more different ones, numbers in rising order",
                    fix=f"leave {name} out of the grid if it is not tuned",
                )
    for name in [*start, *([more] if compare else [])]:
        if name not in grid:
            raise ConfigError(f"There is no setting {name!r}", allowed=", ".join(grid))
    for name, value in start.items():
        known = [v for own in axes.values() for v in own.get(name, ())]
        if value not in known:
            raise ConfigError(f"The search starts at {name}={value!r}", allowed=f"one of {known}")
