"""Is this environment fine? One OK or FAIL line for each thing that tends to break.

Nothing is imported at the top that could be missing: the doctor must work where little else does.
Each check is a function that takes what it looks at as arguments and returns a `Result`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from course import __version__, paths
from course.errors import CourseError
from course.workshop import bootstrap

INSTALL = "run: python3 -m course open (or: python3 -m course test)"
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


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes
    ----------
    name
        What was looked at.
    ok
        Whether it is fine.
    detail
        What was found.
    fix
        What to do when it is not fine.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"OK    {self.name}: {self.detail}"
        return f"FAIL  {self.name}: {self.detail}\n      -> {self.fix}"


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Result:
    """Is Python one that the course runs on?"""
    text = ".".join(map(str, version))
    try:
        bootstrap.check_python(version)
    except bootstrap.SetupError:
        low, high = (".".join(map(str, x)) for x in (bootstrap.MINIMUM, bootstrap.BELOW))
        fix = f"install Python {low} or newer (below {high}) and start the course with it"
        return Result("Python", False, text, fix)
    return Result("Python", True, text)


def requirements(project: Path | None = None) -> list[str]:
    """Return what ``pyproject.toml`` asks for, extras included, such as ``"numpy>=2.0"``."""
    project = project or paths.repository_root() / "pyproject.toml"
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = table.get("optional-dependencies", {})
    return [*table["dependencies"], *(item for name in sorted(extras) for item in extras[name])]


def installed_version(name: str) -> str | None:
    """Return the version of an installed package; None when it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_package(
    requirement: str, version: Callable[[str], str | None] = installed_version
) -> Result:
    """Is a package there, in a version that the course works with?

    Parameters
    ----------
    requirement
        Name and allowed versions, such as ``"numpy>=2.0"``.
    version
        Function from a package's name to its version, or None when it is missing.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    wanted = Requirement(requirement)
    found = version(wanted.name)
    if found is None:
        return Result(wanted.name, False, f"missing, wanted {wanted.specifier}", INSTALL)
    if not wanted.specifier.contains(found, prereleases=True):
        return Result(wanted.name, False, f"{found}, wanted {wanted.specifier}", INSTALL)
    return Result(wanted.name, True, found)


def run_pair(first: str, second: str) -> subprocess.CompletedProcess:
    """Import two libraries in this order in a fresh Python, and let both compute."""
    return subprocess.run(
        [sys.executable, "-c", PAIR.format(first=first, second=second)],
        capture_output=True,
        text=True,
        timeout=120,
        env=bootstrap.child_environment(),
    )


def check_pair(
    first: str, second: str, run: Callable[[str, str], subprocess.CompletedProcess] = run_pair
) -> Result:
    """Do torch and faiss work in one process, imported in this order, at a fair speed?"""
    name = f"{first}, then {second}"
    fix = "install both with pip and from the same place: " + INSTALL
    if sys.platform == "darwin":
        fix += "; set KMP_DUPLICATE_LIB_OK=TRUE before starting Jupyter by hand"
    try:
        done = run(first, second)
    except subprocess.TimeoutExpired as error:
        return Result(name, False, f"did not end within {error.timeout:.0f} s", fix)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        last = said[-1] if said else "no message"
        return Result(name, False, f"ended with status {done.returncode}: {last}", fix)
    threads, seconds = done.stdout.split()
    detail = f"20 products and 20 searches in {float(seconds):.2f} s with {threads} threads"
    if float(seconds) > TOO_SLOW:
        slow = "set OMP_WAIT_POLICY=PASSIVE before anything is imported, or close other programs"
        return Result(name, False, detail, slow)
    return Result(name, True, detail)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(environment: Mapping[str, str] | None = None, cores: int | None = None) -> Result:
    """Do the settings of threads fit this machine?"""
    environment = os.environ if environment is None else environment
    cores = cores or available_cores()
    asked = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    policy = environment.get("OMP_WAIT_POLICY", "not set")
    detail = f"{asked or cores} of {cores} cores, idle threads wait: {policy}"
    if asked and not asked.isdigit():
        fix = "set OMP_NUM_THREADS to a whole number, or remove it"
        return Result("threads", False, f"OMP_NUM_THREADS is {asked!r}", fix)
    if asked and not 1 <= int(asked) <= cores:
        fix = f"set OMP_NUM_THREADS to a number from 1 to {cores}, or remove it"
        return Result("threads", False, detail, fix)
    if policy.upper() != "PASSIVE":
        fix = "remove OMP_WAIT_POLICY, or set it to PASSIVE: else torch and faiss slow each other"
        return Result("threads", False, detail, fix)
    return Result("threads", True, detail)


def check_cache() -> Result:
    """Can cached worlds be written?"""
    try:
        return Result("cache folder", True, str(paths.cache_dir()))
    except CourseError as error:
        return Result("cache folder", False, error.what, error.fix)


def check_disk(folder: Path, needed: float = NEEDED_DISK, usage=shutil.disk_usage) -> Result:
    """Is there room on the disk of a folder? `needed` is in GB."""
    free = usage(folder).free / 1e9
    detail = f"{free:.1f} GB free where {folder} lies"
    fix = f"free some space, or set {paths.CACHE_VARIABLE} to a folder on another disk"
    return Result("disk", free >= needed, detail, fix)


def check_kernel(name: str = "python3") -> Result:
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
    except NoSuchKernel:
        return Result("Jupyter kernel", False, f"there is no kernel {name!r}", INSTALL)
    except RuntimeError as error:
        return Result("Jupyter kernel", False, f"{name!r} does not start: {error}", INSTALL)
    try:
        code = "import sys, course; print(sys.prefix)"
        reply = client.execute_interactive(code, timeout=60, output_hook=listen)["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        return Result("Jupyter kernel", False, f"{reply['ename']}: {reply['evalue']}", INSTALL)
    prefix = "".join(heard).strip()
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        fix = f"remove the kernel {name!r} (jupyter kernelspec list) that hides this one"
        return Result("Jupyter kernel", False, f"{name} runs in {prefix}, not {sys.prefix}", fix)
    return Result("Jupyter kernel", True, f"{name} starts and imports the course")


def check_widgets(folders: Iterable[str] | None = None) -> Result:
    """Are ipywidgets there, and the part of them that JupyterLab loads?"""
    if folders is None:
        from jupyter_core.paths import jupyter_path

        folders = jupyter_path("labextensions")
    version = installed_version("ipywidgets")
    if version is None:
        return Result("widgets", False, "ipywidgets is missing", INSTALL)
    for folder in folders:
        package = Path(folder) / LAB_EXTENSION
        if package.is_file():
            lab = json.loads(package.read_text(encoding="utf-8")).get("version", "?")
            return Result("widgets", True, f"ipywidgets {version}, JupyterLab extension {lab}")
    return Result("widgets", False, "the extension jupyterlab_widgets was not found", INSTALL)


def check_repository(root: Callable[[], Path] = paths.repository_root) -> Result:
    """Is the whole repository there, and not the package alone?"""
    try:
        folder = root()
    except CourseError as error:
        return Result("course", False, error.what, error.fix)
    missing = [name for name in ("notebooks", "README.md") if not (folder / name).exists()]
    if missing:
        fix = "get the whole repository: git checkout, or clone it again"
        return Result("course", False, f"{folder} lacks {', '.join(missing)}", fix)
    return Result("course", True, f"version {__version__} in {folder}")


def guarded(name: str, check: Callable[..., Result], *arguments: object) -> Result:
    """Run a check; an error that nobody foresaw is a finding, too."""
    try:
        return check(*arguments)
    except Exception as error:
        return Result(name, False, f"{type(error).__name__}: {error}", INSTALL)


def examine() -> Iterable[Result]:
    """Run all checks, one after another."""
    yield guarded("Python", check_python)
    yield guarded("course", check_repository)
    for requirement in requirements():
        yield guarded(requirement, check_package, requirement)
    yield guarded("torch, then faiss", check_pair, "torch", "faiss")
    yield guarded("faiss, then torch", check_pair, "faiss", "torch")
    yield guarded("threads", check_threads)
    yield guarded("cache folder", check_cache)
    yield guarded("disk", check_disk, paths.repository_root())
    yield guarded("Jupyter kernel", check_kernel)
    yield guarded("widgets", check_widgets)


def main(results: Iterable[Result] | None = None) -> int:
    """Print a line for each check as it is done; return 1 when any failed."""
    failed = total = 0
    for result in examine() if results is None else results:
        print(result, flush=True)
        total += 1
        failed += not result.ok
    print(f"{failed} of {total} checks failed" if failed else f"all {total} checks are fine")
    return 1 if failed else 0
