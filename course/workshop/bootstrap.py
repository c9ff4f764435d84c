"""The environment of the course: made once in ``.venv``, then found again.

Standard library only, because this runs before anything is installed. It also has to load on a
Python that is too old, so that the reader is told so in words; therefore no syntax newer than 3.8.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from course.paths import write_whole

ROOT = Path(__file__).resolve().parent.parent.parent
MINIMUM = (3, 11)
BELOW = (3, 15)
MARKER = "course-installed.txt"
PIP_VARIABLE = "COURSE_PIP_ARGS"
VENV_VARIABLE = "COURSE_VENV"
VENV = Path(os.environ.get(VENV_VARIABLE) or ROOT / ".venv").expanduser().absolute()
REQUIREMENTS = ROOT / "requirements.txt"
COLAB_VENV = ROOT / ".venv-colab"
COLAB_REQUIREMENTS = ROOT / "tests" / "colab-requirements.txt"

# Where an environment keeps its packages.
SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"

# When the running Python can import these, it is taken to be the environment of the course.
NEEDED = ("numpy", "pandas", "torch", "ipywidgets", "matplotlib", "platformdirs")


class SetupError(Exception):
    """The environment could not be made; the message is meant for the reader."""


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> None:
    """Raise `SetupError` when this Python is not one that the course runs on."""
    if not MINIMUM <= tuple(version[:2]) < BELOW:
        raise SetupError(
            f"This is Python {_dotted(version)}. The course needs Python {_dotted(MINIMUM)} or "
            f"newer, below {_dotted(BELOW)}.\n"
            "Install such a Python and start the command with it, for example:\n"
            "    python3.12 -m course open"
        )


def venv_python(venv: Path, windows: bool = os.name == "nt") -> Path:
    """Return where the interpreter of a virtual environment lies."""
    return venv / "Scripts" / "python.exe" if windows else venv / "bin" / "python"


def python_version(python: Path) -> str | None:
    """Return the version of an interpreter, such as ``"3.11"``; None when it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def fingerprint(requirements: Path, project: Path, version: str) -> str:
    """Return a hash that changes whenever the environment has to be installed again."""
    digest = hashlib.sha256(version.encode())
    for path in (requirements, project):
        # Line ends may differ between clones; that is no reason to install again.
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
        digest.update(b"\0")
    return digest.hexdigest()


def is_current(venv: Path, requirements: Path) -> bool:
    """Say whether a complete installation of these requirements is there."""
    marker = venv / MARKER
    if not marker.is_file():
        return False
    version = python_version(venv_python(venv))
    if version is None:
        return False
    wanted = fingerprint(requirements, ROOT / "pyproject.toml", version)
    return marker.read_text(encoding="utf-8").strip() == wanted


def ensure(
    venv: Path = VENV, requirements: Path = REQUIREMENTS, install_course: bool = True
) -> Path:
    """Make the environment if it is missing, incomplete or out of date; return its Python.

    The marker that says "complete" is written last, so an interrupted installation is taken up
    again at the next start.

    Parameters
    ----------
    venv : folder of the virtual environment
    requirements : file of pins to install
    install_course : whether the package `course` itself goes in too (editable), so that it can be
        imported from any folder

    Raises
    ------
    SetupError
        If this Python is too old, or venv or pip failed.
    """
    check_python()
    if is_current(venv, requirements):
        return venv_python(venv)
    if not writable(venv):
        raise SetupError(
            f"The packages are to be installed into {venv}, and nothing can be written there.\n"
            f"Set the variable {VENV_VARIABLE} to a folder of yours with room for 6 GB, and start "
            f"the same command again, for example:\n    {VENV_VARIABLE}=~/course-packages "
            "python3 -m course open"
        )
    say(f"Installing the packages into {venv}: once, and it takes a few minutes.")
    (venv / MARKER).unlink(missing_ok=True)
    python = venv_python(venv)
    version = python_version(python)
    if version is None or not MINIMUM <= tuple(map(int, version.split("."))) < BELOW:
        make_venv(venv)
        version = python_version(python)
        if version is None:
            raise SetupError(f"The new environment {venv} has no Python that runs.")
    pip_install(python, ["-r", str(requirements), *torch_for_processors(python, requirements)])
    if install_course and writable(ROOT):
        # --no-deps: the pins above are all it needs, and nothing may replace them.
        pip_install(python, ["--no-deps", "-e", str(ROOT)])
    elif install_course:  # pip would write into the repository
        site = subprocess.run([str(python), "-c", SITE], capture_output=True, text=True, check=True)
        write_whole(Path(site.stdout.strip()) / "course.pth", f"{ROOT}\n")
    quiet_jupyterlab(venv)
    write_whole(venv / MARKER, fingerprint(requirements, ROOT / "pyproject.toml", version) + "\n")
    say("Installed.")
    return python


def writable(folder: Path) -> bool:
    """Say whether a file can be written in a folder, or in the one it would be made in."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    try:
        # A real file: permission bits tell little on network drives and on Windows.
        with tempfile.NamedTemporaryFile(dir=str(folder), prefix="write-test-"):
            return True
    except OSError:
        return False


def torch_for_processors(python: Path, requirements: Path) -> list[str]:
    """Return what keeps pip from fetching PyTorch's parts for graphics cards, if it can be had.

    Only Linux has them. Says how many gigabytes are to come, and how to make them fewer.
    """
    pin = next((line for line in requirements.read_text(encoding="utf-8").splitlines()
                if line.startswith("torch==")), "")  # fmt: skip
    if not sys.platform.startswith("linux"):
        say("About 2 GB are fetched.")
        return []
    if not pin or "+" in pin or Path("/proc/driver/nvidia/version").exists():
        say("Up to 6 GB are fetched, PyTorch's parts for graphics cards among them.")
        return []
    wanted = f"{pin.split()[0]}+cpu"
    extra = shlex.split(os.environ.get(PIP_VARIABLE, ""))
    look = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--dry-run", "--no-deps", "--retries=0", *extra, wanted]  # fmt: skip
    if subprocess.run(look, capture_output=True, env=child_environment()).returncode == 0:
        say("About 2 GB are fetched: this machine has no graphics card, and the package index has "
            "a PyTorch without the parts for one.")  # fmt: skip
        return [wanted]
    say(
        "2 to 6 GB are fetched: PyTorch may bring its parts for graphics cards, which this machine "
        "does not need. To leave them out, press Ctrl-C and start again with\n"
        f'    {PIP_VARIABLE}="--extra-index-url ADDRESS" python3 -m course open\n'
        "where ADDRESS is what PyTorch's page 'Get Started' names for Linux, Pip, CPU."
    )
    return []


def make_venv(venv: Path) -> None:
    """Make an empty virtual environment, replacing a broken one."""
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode == 0:
        return
    shutil.rmtree(venv, ignore_errors=True)
    message = f"Python could not make a virtual environment in {venv}:\n{done.stdout.strip()}\n"
    if sys.platform.startswith("linux"):
        message += "On Debian and Ubuntu this helps:\n    sudo apt install python3-venv\n"
    raise SetupError(message + "Then start the same command again.")


def pip_install(python: Path, what: list[str]) -> None:
    """Run ``pip install``; its progress is shown on a terminal and left out of log files."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    if not sys.stdout.isatty():
        command += ["--quiet", "--quiet"]  # errors still come through
    extra = shlex.split(os.environ.get(PIP_VARIABLE, ""), posix=os.name != "nt")
    code = subprocess.call([*command, *extra, *what], cwd=str(ROOT), env=child_environment())
    if code != 0:
        raise SetupError(
            f"pip failed (exit status {code}); its message stands above.\n"
            "Often the network is down, the disk is full, or there is no build of a package for "
            "this system yet.\n"
            f"Options for pip, such as another index, go into the variable {PIP_VARIABLE}.\n"
            "Start the same command again to go on where it stopped."
        )


def quiet_jupyterlab(venv: Path) -> None:
    """Keep JupyterLab from asking about news at its first start, in this environment only."""
    settings = venv / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    notification = {"fetchNews": "false", "checkForUpdates": False}
    content = {"@jupyterlab/apputils-extension:notification": notification}
    write_whole(settings, json.dumps(content, indent=2) + "\n")


def child_environment(python: Path | None = None) -> dict[str, str]:
    """Return the environment variables for the programs that the course starts.

    The folder of ``python`` comes first on the search path, so that ``!pip`` in a notebook is the
    right one.
    """
    env = dict(os.environ)
    # The reasons stand in course/__init__.py. A kernel may import torch before course.
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "darwin":
        env.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    if python is not None:
        env["PATH"] = os.pathsep.join([str(python.parent), env.get("PATH", "")])
    return env


def dependencies_here(names: tuple[str, ...] = NEEDED) -> bool:
    """Say whether the packages of the course can be imported by the running Python."""
    return all(importlib.util.find_spec(name) is not None for name in names)


def interpreter_for_tools() -> Path | None:
    """Return the interpreter that should run ``doctor``, ``notebooks`` and the like.

    None when the running one will do: it has the packages, or there is no other.
    """
    if dependencies_here():
        return None
    python = venv_python(VENV)
    # By its environment and not by its link.
    same = Path(sys.prefix).resolve() == python.parent.parent.resolve()
    return python if python.exists() and not same else None


def call(command: list[str], **options: object) -> int:
    """Run a program and wait for it; Ctrl-C reaches it too, and we wait for its own ending."""
    process = subprocess.Popen(command, **options)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def say(text: str) -> None:
    """Print now, also when the output goes to a file and a child writes to it next."""
    print(text, flush=True)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
