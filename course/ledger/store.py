"""The stored results of the trials, one small file each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from course.errors import CacheError, ConfigError
from course.paths import data_dir, write_whole

Outcome = tuple[dict[str, float], float]
"""Numbers of one seed, and its core seconds."""


def flatten(records: Mapping | Iterable[Mapping]) -> dict[str, float]:
    """Columns of the records that a trial yields.

    The texts of a record, in their order, say what it is about; each number makes a column of its
    own. ``{"who": "deep 0", "mrr": .1}`` is the column ``deep 0/mrr``, and so is
    ``{"who": "deep 0", "metric": "mrr", "value": .1}``: ``value`` adds nothing to the name. Two
    numbers of one name, or what is neither text nor number, are a ConfigError.
    """
    found: dict[str, float] = {}
    for record in [records] if isinstance(records, Mapping) else records:
        texts = [value for value in record.values() if isinstance(value, str)]
        for key, value in record.items():
            if isinstance(value, str):
                continue
            name = "/".join(texts if key == "value" and texts else [*texts, key])
            if name in found:
                raise ConfigError(f"two records have the name {name!r}", allowed="each name once")
            try:
                found[name] = float(value)
            except (TypeError, ValueError) as error:
                allowed = "texts and numbers in a record"
                raise ConfigError(f"{name!r} is {value!r}", allowed=allowed) from error
    return found


def _read(name: str, folder: Path | None) -> dict:
    path = path_of(name, folder)
    fix = f"run the trial: python3 -m course reproduce {name}"
    if not path.is_file():
        raise CacheError(f"There are no results of the trial {name!r}", fix=fix)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if not len(stored["seeds"]) == len(stored["rows"]) == len(stored["core_seconds"]):
            raise ValueError("a row is missing")
        return stored
    except (ValueError, KeyError, TypeError) as error:
        raise CacheError(f"The results in {path.name} cannot be read ({error})", fix=fix) from error


def path_of(name: str, folder: Path | None = None) -> Path:
    """Where the results of a trial lie."""
    return (data_dir() / "results" if folder is None else folder) / f"{name}.json"


def load(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Results of a trial: a row for each seed (the index), a column for each number.

    A CacheError if the trial was never run, or its file cannot be read.
    """
    stored = _read(name, folder)
    index = pd.Index(stored["seeds"], name="seed")
    table = pd.DataFrame(stored.pop("rows"), index=index, dtype=float)
    table.attrs.update(stored)
    return table


def stored_seeds(name: str, code: str | None, folder: Path | None = None) -> dict[int, Outcome]:
    """What is stored of a trial if this code made it (None = any); nothing otherwise."""
    try:
        stored = _read(name, folder)
    except CacheError:
        return {}
    outcomes = zip(stored["rows"], stored["core_seconds"], strict=True)
    made_so = code in (None, stored.get("code"))
    return dict(zip(stored["seeds"], outcomes, strict=True)) if made_so else {}


def save(
    name: str, done: Mapping[int, Outcome], about: Mapping, folder: Path | None = None
) -> Path:
    """Write the results of a trial, whole or not at all; stored seeds of the same code stay.

    ``about`` has ``code``, the trial's fingerprint, and further facts, such as versions of
    libraries. All seeds must have the same numbers.
    """
    outcomes = dict(sorted({**stored_seeds(name, about["code"], folder), **done}.items()))
    first, names = next((seed, list(row)) for seed, (row, _) in outcomes.items())
    for seed, (row, _) in outcomes.items():
        if different := sorted(set(row) ^ set(names)):
            raise ConfigError(f"Trial {name!r}, seed {seed} has other numbers than seed {first}: "
                              f"{', '.join(different[:5])}")  # fmt: skip
    content = {
        "trial": name,
        "seeds": list(outcomes),
        "core_seconds": [round(seconds, 1) for _, seconds in outcomes.values()],
        **about,
        "rows": [{key: _short(row[key]) for key in names} for row, _ in outcomes.values()],
    }
    path = path_of(name, folder)
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return path


def _short(value: float | None) -> float | None:
    """Six significant digits, enough for any figure; None for what is not a number."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
