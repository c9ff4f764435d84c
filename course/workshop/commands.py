"""What ``open`` and ``test`` of the command line do. Standard library only."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from course.workshop import bootstrap, copies
from course.workshop.bootstrap import ROOT, SetupError, say

NOTEBOOKS = ROOT / "notebooks"
FIRST = "00_start_here.ipynb"
NO_NETWORK = ROOT / "tests" / "no_network"

# A file at a time on each of two cores; so the cells of a notebook stay on one kernel.
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadfile"]
# Without --nbval-cell-timeout, a kernel that died is noticed only after half an hour.
NBVAL = [
    "--nbval-lax",
    "--nbval-current-env",
    "--nbval-cell-timeout=300",
    "--color=no",
    *TWO_AT_A_TIME,
]
NOTEBOOK_LEGS = ("notebooks", "solved")
MARKED = {"unit": "not browser and not lone", "browser": "browser"}
LONE = ROOT / "tests" / "test_lone_notebook.py"


def open_course(
    python: Path,
    folder: Path | None = None,
    browser: bool = True,
    port: int | None = None,
    extra: list[str] | None = None,
) -> int:
    """Bring the reader's copies up to date and start JupyterLab on the first; return its status.

    Parameters
    ----------
    python : interpreter of the environment
    folder : of the copies; None for `own_folder`
    browser : whether a browser window is opened
    port : to listen on; None for JupyterLab's own choice
    extra : further arguments for JupyterLab
    """
    folder = folder or own_folder()
    copies.bring(folder, NOTEBOOKS)
    refuse_unwritable_home()
    # From the repository, links to the ledger and the solved chapters work, too.
    root = ROOT if ROOT in folder.parents else folder
    page = (folder / FIRST).relative_to(root).as_posix()
    command = [str(python), "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    command.append(f"--LabApp.default_url=/lab/tree/{page}")
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container one usually is root, where JupyterLab would refuse to start.
        command.append("--allow-root")
    say(f"Your copies of the chapters are in {folder}.")
    say("Starting JupyterLab. Press Ctrl-C here to stop it.")
    return bootstrap.call(
        [*command, *(extra or [])], cwd=str(root), env=bootstrap.child_environment(python)
    )


def own_folder() -> Path:
    """Where a reader's copies lie: in the repository, or at home where that is read-only."""
    if bootstrap.writable(ROOT):
        return ROOT / "my-notebooks"
    return Path.home() / "how-youtube-recommends"


def refuse_unwritable_home() -> None:
    """Raise a `SetupError` where JupyterLab could not keep its settings."""
    folder = Path(os.environ.get("JUPYTER_CONFIG_DIR") or Path.home()).expanduser()
    moved = all(os.environ.get(f"JUPYTER_{name}_DIR") for name in ("CONFIG", "RUNTIME", "DATA"))
    if not moved and not bootstrap.writable(folder):
        raise SetupError(
            f"Nothing can be written in {folder}, where JupyterLab keeps its settings.\n"
            "Set HOME to a folder of yours (on Windows: USERPROFILE) and start the command again, "
            f"for example:\n    HOME={tempfile.gettempdir()}/me python3 -m course open"
        )


def run_tests(python: Path, legs: list[str], extra: list[str] | None = None) -> int:
    """Run the legs one after another, all of them even when one fails; return 0 when all pass.

    Parameters
    ----------
    python : interpreter of the environment
    legs : some of ``lint``, ``format``, ``unit``, ``browser`` (chapters in a real browser),
        ``notebooks``, the readers' ones, ``solved``, the same solved, and ``lone`` (a notebook
        without its repository)
    extra : further arguments for pytest
    """
    extra = extra or []
    results = []
    for leg in legs:
        if leg in NOTEBOOK_LEGS and not _files(leg):
            say("\nnotebooks: there are none yet")
            continue
        command, env = leg_command(leg, python, extra)
        say(f"\n{leg}: {' '.join(command[1:])}")
        start = time.monotonic()
        code = bootstrap.call(command, cwd=str(ROOT), env=env)
        if code == 5 and extra:
            code = 0  # pytest's "no tests ran" is fine when the reader chose some by hand
        results.append((leg, code, time.monotonic() - start))
    say("")
    if any(leg == "format" and code != 0 for leg, code, _ in results):
        say(f"to format the files: {python} -m ruff format .")
    for leg, code, seconds in results:
        say(f"{'ok  ' if code == 0 else 'FAIL'}  {leg:<10} {seconds:6.0f} s")
    return 0 if all(code == 0 for _, code, _ in results) else 1


def leg_command(leg: str, python: Path, extra: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment variables of one leg of the tests."""
    env = bootstrap.child_environment(python)
    run = [str(python), "-m"]
    if leg == "lint":
        return [*run, "ruff", "check", "--quiet", "."], env
    if leg == "format":
        return [*run, "ruff", "format", "--check", "--quiet", "--output-format=concise", "."], env
    if leg in MARKED:
        return [*run, "pytest", "-m", MARKED[leg], *TWO_AT_A_TIME, *extra], env
    if leg == "lone":  # by its name: Colab's packages cannot import the other tests
        return [*run, "pytest", str(LONE.relative_to(ROOT)), *extra], env
    # Refuses connections in pytest and, because kernels inherit it, in every notebook.
    path = env.get("PYTHONPATH")
    env["PYTHONPATH"] = os.pathsep.join([str(NO_NETWORK), *([path] if path else [])])
    # Two notebooks at a time on two cores: more threads only make them wait for each other.
    env["OMP_NUM_THREADS"] = "1"
    # The debugger of an older kernel otherwise remarks on itself at every start.
    env["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    chosen = any(argument.split("::")[0].endswith(".ipynb") for argument in extra)
    files = [] if chosen else [str(path.relative_to(ROOT)) for path in _files(leg)]
    return [*run, "pytest", *NBVAL, *extra, *files], env


def _files(leg: str) -> list[Path]:
    """Notebooks of a leg: the readers', or the solved ones, which hold every cell but the stubs."""
    solved = leg == "solved"
    return [p for p in find_notebooks() if (p.parent.name == "solutions") == solved]


def find_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """Return the chapters, the readers' and the solved ones, in order."""
    return [*sorted(folder.glob("*.ipynb")), *sorted((folder / "solutions").glob("*.ipynb"))]
