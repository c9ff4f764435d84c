"""How far an offline test puts variants into the order in which viewers put them (chapter 05)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from course.experiments.labels import VARIANTS


def rank_correlation(
    t: pd.DataFrame,
    offline: str = "mrr",
    live: str = "clicks",
    variants: Sequence[str] = tuple(VARIANTS),
) -> pd.Series:
    """Spearman's correlation over the variants of an offline and a live result, seed by seed.

    Parameters
    ----------
    t : index seed, columns ``"<variant>/<metric>"``
    offline, live : metrics
    variants : names, two or more

    Returns
    -------
    Series (seeds,), between -1 and 1
    """
    x = t[[f"{name}/{offline}" for name in variants]].to_numpy()
    y = t[[f"{name}/{live}" for name in variants]].to_numpy()
    rho = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    return pd.Series(rho, index=t.index)


def reversed_pairs(
    t: pd.DataFrame,
    offline: str = "mrr",
    live: str = "clicks",
    variants: Sequence[str] = tuple(VARIANTS),
) -> pd.Series:
    """Share of pairs of variants that stand the other way round live than offline.

    Parameters
    ----------
    t, offline, live, variants : as for `rank_correlation`

    Returns
    -------
    Series (seeds,), between 0 and 1
    """
    turned = [
        np.sign(t[f"{a}/{offline}"] - t[f"{b}/{offline}"])
        != np.sign(t[f"{a}/{live}"] - t[f"{b}/{live}"])
        for a, b in combinations(variants, 2)
    ]
    return pd.concat(turned, axis=1).mean(axis=1)
