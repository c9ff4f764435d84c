"""Keeping a world on disk: Parquet tables under a key made of configuration, seed and code.

A stored world is a folder ``<key>/`` with one Parquet file per table and the memory of all
accounts. It is written under a temporary name and renamed, so it is there whole or not at all. The
files carry checksums; what is damaged or does not follow the schema is never used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from course.errors import CacheError
from course.logs.schema import SCHEMA
from course.logs.tables import check_table
from course.simulator.config import WorldConfig

_MEMORY = "memory.npz"


@functools.cache
def code_version() -> str:
    """Checksum of NumPy's version and the source of simulator and tables (hex, 16 digits)."""
    course = Path(__file__).resolve().parent.parent
    files = [*(course / "simulator").glob("*.py"), course / "logs" / "schema.py",
             course / "logs" / "tables.py", course / "world.py"]  # fmt: skip
    # Another NumPy may draw other numbers from the same seed.
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(files):
        # Line ends may differ between checkouts; they do not change the world.
        digest.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:16]


def key(config: WorldConfig, seed: int) -> str:
    """Name of a world: readable size and seed, then a checksum of everything that decides it."""
    dials = {
        spec.name: getattr(config, spec.name)
        for spec in dataclasses.fields(config)
        if spec.name != "content"  # made when asked for, and never stored
    }
    content = json.dumps([dials, seed, code_version()], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"{config.users}x{config.videos}-seed{seed}-{digest}"


def save(
    folder: Path, name: str, tables: dict[str, pd.DataFrame], memory: dict[str, np.ndarray]
) -> None:
    """Write a world as ``folder / name``, whole or not at all.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    final = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    except OSError as error:
        raise CacheError(
            f"The cache folder {folder} cannot be written ({error.strerror or error})",
            allowed="a folder in which you may create files",
            fix="set the environment variable COURSE_CACHE to such a folder, or pass cache=False",
        ) from error
    try:
        for table, frame in tables.items():
            path = partial / f"{table}.parquet"
            frame.to_parquet(path, index=False, write_page_checksum=True)
        np.savez(partial / _MEMORY, **memory)
        os.replace(partial, final)
    except OSError as error:
        if (final / _MEMORY).exists():
            return  # another process stored the same world first
        raise CacheError(
            f"The world could not be stored in {folder} ({error.strerror or error})",
            allowed="a folder with enough free space",
            fix="free some space, or set COURSE_CACHE to another folder, or pass cache=False",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load(folder: Path, name: str) -> tuple[dict[str, pd.DataFrame], dict[str, np.ndarray]] | None:
    """Read a stored world; ``None`` if it is not there.

    Raises
    ------
    CacheError
        If something is there that is damaged, incomplete or no world.
    """
    place = folder / name
    if not place.exists():
        return None
    try:
        tables = {}
        for table in SCHEMA:
            file = place / f"{table}.parquet"
            tables[table] = pd.read_parquet(file, page_checksum_verification=True)
            check_table(table, tables[table])
        # Opened here, for np.load leaves a file open that is no archive; Windows then locks it.
        with (place / _MEMORY).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return tables, dict(arrays)
    except Exception as error:  # libraries have many kinds of it for a damaged file
        what = f"{place} cannot be used ({type(error).__name__}: {error})"
        raise CacheError(what) from error


def load_or_make(folder: Path, name: str, make):
    """Return the stored world, or make and store it. What is damaged is said and made anew.

    Parameters
    ----------
    make : function () -> (tables, memory)
    """
    try:
        found = load(folder, name)
    except CacheError as error:
        warnings.warn(f"{error}. It is made anew.", stacklevel=3)
        with contextlib.suppress(OSError):  # what cannot be removed is reported by `save`
            place = folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        found = None
    if found is None:
        found = make()
        save(folder, name, *found)
    return found
