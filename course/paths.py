"""Where things lie: the repository, its notebooks and data, and the cache folder."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from course.errors import CacheError, ConfigError, CourseError

CACHE_VARIABLE = "COURSE_CACHE"
CACHE_NAME = "how-youtube-recommends"
"""Name of the folder inside the user's cache when `CACHE_VARIABLE` is not set."""


def repository_root() -> Path:
    """Return the folder that holds ``course/``, ``notebooks/`` and ``data/``.

    Found from this file's own place, so it does not depend on the working directory.

    Raises
    ------
    CourseError
        If the package was installed without its repository around it.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        raise CourseError(
            f"the folder {root} holds the package course but not the rest of the repository",
            allowed="a clone of the whole repository",
            fix="clone the repository and run the course inside it (python3 -m course open)",
        )
    return root


def notebooks_dir() -> Path:
    """Return the folder of the chapters that a reader opens."""
    return repository_root() / "notebooks"


def load_by_path(path: Path) -> ModuleType:
    """Return a chapter's Python file as a new module: nothing in `course` imports it."""
    name = f"notebooks_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def data_dir() -> Path:
    """Return the folder of the data card, small samples and stored results."""
    return repository_root() / "data"


def cache_dir() -> Path:
    """Return the folder for files that can be made again, and make it when it is missing.

    The environment variable ``COURSE_CACHE`` decides; without it, the user's cache folder of the
    operating system does. In the folder a file could be written just now.

    Raises
    ------
    CacheError
        If the folder cannot be made or cannot be written.
    """
    given = os.environ.get(CACHE_VARIABLE, "").strip()
    if given:
        folder = Path(given).expanduser().absolute()
        source = f"{CACHE_VARIABLE} is {given!r}"
    else:
        # Imported here because `import course.paths` must work before anything is installed.
        import platformdirs

        folder = Path(platformdirs.user_cache_dir(CACHE_NAME, appauthor=False))
        source = f"the cache folder is {folder}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A real file: permission bits tell little on network drives and on Windows.
        with tempfile.NamedTemporaryFile(dir=folder, prefix="write-test-"):
            pass
    except OSError as error:
        raise CacheError(
            f"{source}, where no file can be written ({error.strerror or error})",
            allowed="a folder that exists or can be made, and in which files can be written",
            fix=f"set the environment variable {CACHE_VARIABLE} to such a folder",
        ) from error
    return folder


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; missing folders above it are made.

    Lines of a text end with a line feed on every system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            temporary.write_text(content, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fill_between(text: str, begin: str, end: str, content: str) -> str:
    """Return a text with what stands between two marks written anew.

    Raises
    ------
    ConfigError
        Unless each mark is there exactly once, in this order.
    """
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found or text.count(begin) != 1 or text.count(end) != 1:
        raise ConfigError(
            "the text has no place for what is to be written",
            allowed=f"one line {begin} and after it one line {end}",
            fix="put both back",
        )
    return f"{before}{begin}\n{content}\n{end}{after}"
