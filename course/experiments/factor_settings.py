"""Tiny worlds for chapter 02: fit and held-out quality by settings, and a world of one taste."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

from course.experiments.factorization import ALPHA, dot, floors, per_account
from course.experiments.next_watch import NextWatch
from course.metrics import hit_rate, ranks
from course.models.factorization import als, interactions
from course.world import simulate

NUMBERS_OF_FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
TOP = 20
TINY_FACTORS = 16


@functools.lru_cache(maxsize=4)
def _game(seed: int) -> NextWatch:
    return NextWatch(simulate("tiny", seed=seed, cache=False).logs())


@functools.lru_cache(maxsize=512)
def fit_and_quality(factors: int, regularisation: float, seed: int = 3) -> tuple[float, float]:
    """Recall at 20 of ALS in a tiny world, on what it was trained on and on what came later.

    Parameters
    ----------
    factors : int, 1 to the smaller side of the table
    regularisation : float, above 0
    seed : int, of the world

    Returns
    -------
    fit : share of the training watches that are among the 20 best of their account; its other
        watches do not compete
    held_out : share of the first watches after the cut, as `NextWatch.measure` counts them
    """
    game = _game(seed)
    table = interactions(game.train)
    x, y = als(table, factors, regularisation, ALPHA, solver="cg")
    later = game.measure(per_account(dot(x, y), game.events), recall=(TOP,))
    pairs, watched = table.tocoo(), table.toarray() > 0
    rank = ranks((x @ y.T)[pairs.row], pairs.col, watched[pairs.row])
    return hit_rate(rank, TOP), later[f"recall@{TOP}"]


def settings_curve(
    regularisation: float, seed: int = 3, progress: Callable | None = None
) -> pd.DataFrame:
    """`fit_and_quality` for each of `NUMBERS_OF_FACTORS`.

    Returns
    -------
    DataFrame, index factors, columns ``fit`` and ``held_out``
    """
    rows = []
    for done, factors in enumerate(NUMBERS_OF_FACTORS, start=1):
        rows.append(fit_and_quality(factors, float(regularisation), seed))
        if progress is not None:
            progress(done, len(NUMBERS_OF_FACTORS), f"{factors} factors")
    index = pd.Index(NUMBERS_OF_FACTORS, name="factors")
    return pd.DataFrame(rows, index=index, columns=["fit", "held_out"])


def personal_gain(seed: int, **dials: float) -> float:
    """What vectors know beyond the counts of a language, in a tiny world: recall at 20, ALS minus.

    Both know the same weeks and neither has a clock, so the difference is what is personal.

    Parameters
    ----------
    seed : int
    **dials : of the world, such as ``own_taste=0``
    """
    world = simulate("tiny", seed=seed, **dials)
    game = NextWatch(world.logs())
    known = np.isin(game.events["user_id"], game.train.watches["user_id"])
    events = game.events[known].reset_index(drop=True)
    vectors = als(interactions(game.train), TINY_FACTORS, alpha=ALPHA, solver="cg")
    rivals = dot(*vectors), floors(game)["popularity in my language"]
    ours, theirs = (
        game.measure(per_account(score, events), events, (TOP,))[f"recall@{TOP}"]
        for score in rivals
    )
    return ours - theirs
