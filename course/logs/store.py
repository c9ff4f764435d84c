"""Keeping a world on disk: Parquet tables under a key made of configuration, seed and code.

A stored world is a folder ``<key>/`` with one Parquet file per table, the memory of all accounts
and a manifest with a checksum for each file. It is written under a temporary name and renamed, so
it is there whole or not at all. What does not match its manifest is never used.
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
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from course.errors import CacheError, CourseError
from course.logs.schema import SCHEMA
from course.logs.tables import check_table
from course.simulator.config import WorldConfig

_MANIFEST = "manifest.json"
_MEMORY = "memory.npz"


@functools.cache
def code_version() -> str:
    """Checksum of NumPy's version and the source of simulator and tables (hex, 16 digits)."""
    here = Path(__file__).resolve().parent
    files = sorted(
        [
            *(here.parent / "simulator").glob("*.py"),
            here / "schema.py",
            here / "tables.py",
            here.parent / "world.py",
        ]
    )
    # Another NumPy may draw other numbers from the same seed.
    digest = hashlib.sha256(np.__version__.encode())
    for path in files:
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
            frame.to_parquet(partial / f"{table}.parquet", index=False)
        np.savez(partial / _MEMORY, **memory)
        sums = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
        manifest = {"world": name, "code": code_version(), "files": sums}
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        _remove(final)
        os.replace(partial, final)
    except OSError as error:
        if (final / _MANIFEST).exists():
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
        If something is there that is damaged, foreign or incomplete. It says what.
    """
    place = folder / name
    if not place.exists():
        return None
    try:
        manifest = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        sums = dict(manifest["files"])
        stored = manifest["world"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{place} has no readable manifest ({type(error).__name__})") from error
    if stored != name:
        raise CacheError(f"{place} holds another world, {stored!r}", allowed=repr(name))
    expected = {f"{table}.parquet" for table in SCHEMA} | {_MEMORY}
    if set(sums) != expected:
        odd = sorted(set(sums) ^ expected)[0]
        raise CacheError(f"{place} has a file too many or too few: {odd}")
    for file, want in sums.items():
        if not (place / file).is_file():
            raise CacheError(f"{place / file} is missing")
        if _checksum(place / file) != want:
            raise CacheError(f"{place / file} is damaged: its checksum does not match")
    try:
        tables = {table: pd.read_parquet(place / f"{table}.parquet") for table in SCHEMA}
        for table, frame in tables.items():
            check_table(table, frame)
        # Opened here, for np.load leaves a file open that is no archive; Windows then locks it.
        with (place / _MEMORY).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            memory = dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CacheError(f"{place} cannot be read: {error}") from error
    return tables, memory


def load_or_make(folder: Path, name: str, make):
    """Return the stored world, or make and store it. What is damaged is said and made anew.

    Parameters
    ----------
    make : function () -> (tables, memory)
    """
    try:
        found = load(folder, name)
    except CourseError as error:
        warnings.warn(f"{error} It is not trusted and is made anew.", stacklevel=3)
        with contextlib.suppress(OSError):  # what cannot be removed is reported by `save`
            _remove(folder / name)
        found = None
    if found is None:
        found = make()
        save(folder, name, *found)
    return found


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
