"""Is this environment fine? One OK or FAIL line for each thing that tends to break.

Nothing is imported at the top that could be missing: the doctor must work where little else does.
A check returns what it found, or raises `Trouble`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from course import __version__, paths
from course.errors import CourseError
from course.workshop import bootstrap

INSTALL = "run: python3 -m course open (or: python3 -m course test)"
INSTALLED = ("lab", "test")  # the extras whose pins stand in requirements.txt
NEEDED_DISK = 1.0  # GB, for cached worlds and their logs
TOO_SLOW = 15.0  # seconds for a run that takes well under one second when all is well
LAB_EXTENSION = Path("@jupyter-widgets", "jupyterlab-manager", "package.json")

# Run in a process of its own, because the failure it looks for is a crash.
PAIR = """
import os, sys, time
import {first}
import {second}
import numpy as np
index = faiss.IndexFlatIP(32)
vectors = np.random.default_rng(0).normal(size=(20_000, 32)).astype("float32")
index.add(vectors)
matrix = torch.from_numpy(vectors)
start = time.perf_counter()
for _ in range(20):
    scores = matrix[:500] @ matrix.T
    _, found = index.search(vectors[:100], 5)
seconds = time.perf_counter() - start
assert int(scores[0].argmax()) == int(found[0, 0]), "torch and faiss disagree"
print(torch.get_num_threads(), seconds)
"""


class Trouble(Exception):
    """What is not fine, and what to do about it."""

    def __init__(self, found: str, fix: str = INSTALL) -> None:
        super().__init__(found)
        self.fix = fix


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> str:
    """Is Python one that the course runs on?"""
    text = ".".join(map(str, version))
    try:
        bootstrap.check_python(version)
    except bootstrap.SetupError as error:
        low, high = (".".join(map(str, x)) for x in (bootstrap.MINIMUM, bootstrap.BELOW))
        fix = f"install Python {low} or newer (below {high}) and start the course with it"
        raise Trouble(text, fix) from error
    return text


def requirements() -> list[str]:
    """Return what ``pyproject.toml`` asks for and `open` installs, such as ``"numpy>=2.0"``."""
    project = paths.repository_root() / "pyproject.toml"
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = table.get("optional-dependencies", {})
    return [*table["dependencies"], *(item for name in INSTALLED for item in extras[name])]


def check_package(requirement: str) -> str:
    """Is a package there, in a version that the course works with?"""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    wanted = Requirement(requirement)
    try:
        found = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError as error:
        raise Trouble("missing") from error
    if not wanted.specifier.contains(found, prereleases=True):
        raise Trouble(f"it is {found}")
    return found


def check_pair(first: str, second: str) -> str:
    """Do torch and faiss work in one process, imported in this order, at a fair speed?"""
    fix = "install both with pip and from the same place: " + INSTALL
    if sys.platform == "darwin":
        fix += "; set KMP_DUPLICATE_LIB_OK=TRUE before starting Jupyter by hand"
    command = [sys.executable, "-c", PAIR.format(first=first, second=second)]
    env = bootstrap.child_environment()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"did not end within {error.timeout:.0f} s", fix) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        last = said[-1] if said else "no message"
        raise Trouble(f"ended with status {done.returncode}: {last}", fix)
    threads, seconds = done.stdout.split()
    found = f"20 products and 20 searches in {float(seconds):.2f} s with {threads} threads"
    if float(seconds) > TOO_SLOW:
        slow = "set OMP_WAIT_POLICY=PASSIVE before anything is imported, or close other programs"
        raise Trouble(found, slow)
    return found


def check_threads() -> str:
    """Do the settings of threads fit this machine?"""
    alone = hasattr(os, "sched_getaffinity")  # else a system does not say what we may use
    cores = len(os.sched_getaffinity(0)) if alone else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    if asked and not (asked.isdigit() and 1 <= int(asked) <= cores):
        fix = f"set OMP_NUM_THREADS to a number from 1 to {cores}, or remove it"
        raise Trouble(f"OMP_NUM_THREADS is {asked!r}", fix)
    found = f"{asked or cores} of {cores} cores, idle threads wait: {policy}"
    if policy.upper() != "PASSIVE":
        fix = "remove OMP_WAIT_POLICY, or set it to PASSIVE: else torch and faiss slow each other"
        raise Trouble(found, fix)
    return found


def check_disk() -> str:
    """Is there room on the disk of the repository?"""
    folder = paths.repository_root()
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.1f} GB free where {folder} lies"
    if free < NEEDED_DISK:
        fix = f"free some space, or set {paths.CACHE_VARIABLE} to a folder on another disk"
        raise Trouble(found, fix)
    return found


def check_kernel(name: str = "python3") -> str:
    """Does a Jupyter kernel start, and can it import the course?"""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import start_new_kernel

    heard: list[str] = []

    def listen(message: dict) -> None:
        if message["msg_type"] == "stream":
            heard.append(message["content"]["text"])

    try:
        manager, client = start_new_kernel(
            kernel_name=name,
            cwd=str(paths.repository_root()),
            env=bootstrap.child_environment(),
            extra_arguments=["--log-level=40"],
        )
    except (NoSuchKernel, RuntimeError) as error:
        raise Trouble(f"the kernel {name!r} does not start: {error}") from error
    try:
        code = "import sys, course; print(sys.prefix)"
        reply = client.execute_interactive(code, timeout=60, output_hook=listen)["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise Trouble(f"{reply['ename']}: {reply['evalue']}")
    prefix = "".join(heard).strip()
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        fix = f"remove the kernel {name!r} (jupyter kernelspec list) that hides this one"
        raise Trouble(f"{name} runs in {prefix}, not {sys.prefix}", fix)
    return f"{name} starts and imports the course"


def check_widgets() -> str:
    """Is the part of ipywidgets there that JupyterLab loads?"""
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        package = Path(folder) / LAB_EXTENSION
        if package.is_file():
            version = json.loads(package.read_text(encoding="utf-8")).get("version", "?")
            return f"JupyterLab extension {version}"
    raise Trouble("the extension jupyterlab_widgets was not found")


def check_repository() -> str:
    """Is the whole repository there, and not the package alone?"""
    folder = paths.repository_root()
    missing = [name for name in ("notebooks", "README.md") if not (folder / name).exists()]
    if missing:
        fix = "get the whole repository: git checkout, or clone it again"
        raise Trouble(f"{folder} lacks {', '.join(missing)}", fix)
    return f"version {__version__} in {folder}"


def checks() -> Iterator[tuple[str, Callable[[], str]]]:
    """All checks by name."""
    yield "Python", check_python
    yield "course", check_repository
    for requirement in requirements():
        yield requirement, partial(check_package, requirement)
    for first, second in (("torch", "faiss"), ("faiss", "torch")):
        yield f"{first}, then {second}", partial(check_pair, first, second)
    yield "threads", check_threads
    yield "cache folder", lambda: str(paths.cache_dir())
    yield "disk", check_disk
    yield "Jupyter kernel", check_kernel
    yield "widgets", check_widgets


def main() -> int:
    """Print a line for each check as it is done; return 1 when any failed."""
    failed = total = 0
    for name, check in checks():
        total += 1
        try:
            print(f"OK    {name}: {check()}", flush=True)
            continue
        except Trouble as trouble:
            found, fix = str(trouble), trouble.fix
        except CourseError as error:
            found, fix = error.what, error.fix
        except Exception as error:  # what nobody foresaw is a finding, too
            found, fix = f"{type(error).__name__}: {error}", INSTALL
        failed += 1
        print(f"FAIL  {name}: {found}\n      -> {fix}", flush=True)
    print(f"{failed} of {total} checks failed" if failed else f"all {total} checks are fine")
    return 1 if failed else 0
