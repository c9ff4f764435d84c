"""The stored results of the trials, one small file each."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from course.claims.claim import Trial
from course.errors import CacheError, ConfigError
from course.paths import data_dir, write_whole


def path_of(name: str, folder: Path | None = None) -> Path:
    """Where the results of a trial lie."""
    return (data_dir() / "results" if folder is None else folder) / f"{name}.json"


def load(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Results of a trial: a row for each seed (the index), a column for each number.

    Raises
    ------
    CacheError
        If the trial was never run, or its file cannot be read.
    """
    path = path_of(name, folder)
    fix = f"run the trial: python3 -m course reproduce {name}"
    if not path.is_file():
        raise CacheError(f"There are no results of the trial {name!r}", fix=fix)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = stored["rows"]
        table = pd.DataFrame(rows, dtype=float)
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"The results in {path.name} cannot be read ({error})", fix=fix) from error
    table.index = pd.Index(stored["seeds"], name="seed")
    table.attrs.update({key: value for key, value in stored.items() if key != "rows"})
    return table


def save(
    trial: Trial, rows: list[dict], seconds: list[float], about: dict, folder: Path | None = None
) -> Path:
    """Write the results of a trial, whole or not at all.

    Parameters
    ----------
    rows : a flat dict of numbers for each seed of the trial, in order
    seconds : core seconds of each seed
    about : further facts, such as the versions of the libraries

    Raises
    ------
    ConfigError
        If the seeds do not have the same numbers.
    """
    names = set(rows[0])
    for seed, row in zip(trial.seeds, rows, strict=True):
        if set(row) != names:
            raise ConfigError(
                f"Trial {trial.name!r}, seed {seed} has other numbers than seed {trial.seeds[0]}: "
                f"{', '.join(sorted(set(row) ^ names)[:5])}"
            )
    content = {
        "trial": trial.name,
        "seeds": list(trial.seeds),
        "core_seconds": [round(s, 1) for s in seconds],
        **about,
        "rows": [{name: _short(row[name]) for name in rows[0]} for row in rows],
    }
    path = path_of(trial.name, folder)
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return path


def _short(value) -> float | None:
    """Six significant digits, enough for any figure; None for what is not a number."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def disagreements(
    stored: pd.DataFrame, row: dict[str, float], seed: int, level: float = 0.99
) -> list[str]:
    """Numbers of a new run of one seed that do not fit what was stored.

    Each should lie within the interval in which a further seed is expected. The same seed on
    another machine gives nearly the same number, so this is wide; it catches what is broken.
    """
    from scipy.special import stdtrit

    n = len(stored)
    spread = stored.std(ddof=1) * stdtrit(n - 1, 0.5 + level / 2) * np.sqrt(1 + 1 / n)
    wide = np.maximum(spread, 0.02 * stored.abs().mean() + 1e-9)
    off = []
    for name in stored.columns:
        value, middle = float(row.get(name, np.nan)), stored[name].mean()
        known = np.isfinite(stored[name]).all()
        if known and not abs(value - middle) <= wide[name]:
            off.append(f"{name} (seed {seed}): {value:.4g}, stored {middle:.4g} ± {wide[name]:.2g}")
    return off
