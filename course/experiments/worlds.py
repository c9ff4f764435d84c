"""Tiny worlds for sliders: turn a dial, simulate, look at what changed."""

from __future__ import annotations

import functools

import pandas as pd

from course.world import simulate

DIAL_DAYS = 10


@functools.lru_cache(maxsize=64)
def _by_position(settings: tuple[tuple[str, float], ...], seed: int) -> pd.DataFrame:
    world = simulate(
        "tiny", seed=seed, cache=False, days=DIAL_DAYS, future_days=0, **dict(settings)
    )
    impressions, truth = world.logs().impressions, world.true_table("impressions")
    position = impressions["position"]
    return pd.DataFrame(
        {
            "ctr": impressions["clicked"].groupby(position).mean(),
            "relevance": truth["p_click_if_seen"].groupby(position).mean(),
        }
    )


def dial_world(seed: int = 3, **settings: float) -> pd.DataFrame:
    """Click-through rate and true relevance by position in a tiny world of ten days.

    Parameters
    ----------
    seed : int
    **settings : dials of `WorldConfig`

    Returns
    -------
    DataFrame, index position, columns ``ctr`` and ``relevance``
    """
    return _by_position(tuple(sorted(settings.items())), seed).copy()
