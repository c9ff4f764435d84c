"""Each of the doctor's checks, on this machine and on planted failures."""

from __future__ import annotations

import re
import subprocess
import types

import pytest

from course.errors import CourseError
from course.workshop import doctor
from course.workshop.doctor import Trouble


def test_python_versions():
    assert doctor.check_python().startswith("3.")
    for version in ((3, 10, 14), (2, 7, 18), (3, 15, 0)):
        with pytest.raises(Trouble, match=r"\.") as trouble:
            doctor.check_python(version)
        assert "3.11" in trouble.value.fix


def test_requirements_hold_the_runtime_and_the_extras():
    names = " ".join(doctor.requirements())
    for name in ("torch>=", "faiss-cpu>=", "jupyterlab>=", "nbval>="):
        assert name in names


def test_nothing_is_asked_for_that_open_does_not_install(repository):
    pins = (repository / "requirements.txt").read_text(encoding="utf-8")
    pinned = {re.split("[=<>]", line)[0] for line in pins.splitlines() if "==" in line}
    assert {re.split("[=<>]", name)[0] for name in doctor.requirements()} <= pinned


def test_packages(monkeypatch):
    with pytest.raises(Trouble, match="missing") as trouble:
        doctor.check_package("no-such-package-anywhere>=1")
    assert "python3 -m course" in trouble.value.fix
    for version in ("2.1.3", "2.13.0+cpu"):
        monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name, v=version: v)
        assert doctor.check_package("numpy>=2.0") == version
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "1.26.4")
    with pytest.raises(Trouble, match="it is 1.26.4"):
        doctor.check_package("numpy>=2.0")


@pytest.mark.parametrize("order", [("torch", "faiss"), ("faiss", "torch")])
def test_torch_beside_faiss(order):
    assert "20 products and 20 searches" in doctor.check_pair(*order)
    code = doctor.PAIR.format(first=order[0], second=order[1])
    assert code.index(f"import {order[0]}") < code.index(f"import {order[1]}")


def finished(code, out="", err=""):
    return lambda *command, **options: subprocess.CompletedProcess([], code, out, err)


def too_long(*command, **options):
    raise subprocess.TimeoutExpired("python", 120)


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (finished(-11), "ended with status -11: no message"),
        (finished(1, err="Traceback\nImportError: libomp\n"), "status 1: ImportError: libomp"),
        (finished(0, "2 99.0\n"), "in 99.00 s"),
        (too_long, "did not end within 120 s"),
    ],
)
def test_torch_and_faiss_that_quarrel(run, found, monkeypatch):
    monkeypatch.setattr(doctor.subprocess, "run", run)
    with pytest.raises(Trouble, match=found) as trouble:
        doctor.check_pair("torch", "faiss")
    assert trouble.value.fix


@pytest.mark.parametrize(
    ("environment", "fine"),
    [
        ({"OMP_WAIT_POLICY": "PASSIVE"}, True),
        ({"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}, True),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1,2"}, True),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "5000"}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "0"}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "many"}, False),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, False),
        ({}, False),
    ],
)
def test_threads(environment, fine, monkeypatch):
    monkeypatch.setattr(doctor.os, "environ", environment)
    if fine:
        assert "idle threads wait" in doctor.check_threads()
    else:
        with pytest.raises(Trouble):
            doctor.check_threads()


def test_disk(monkeypatch):
    usage = types.SimpleNamespace(free=2.5e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    assert "2.5 GB free" in doctor.check_disk()
    usage.free = 0.4e9
    with pytest.raises(Trouble, match=r"0\.4 GB free"):
        doctor.check_disk()


def test_kernel(monkeypatch):
    assert "imports the course" in doctor.check_kernel()
    with pytest.raises(Trouble, match="no-such-kernel"):
        doctor.check_kernel("no-such-kernel")
    monkeypatch.setattr(doctor.sys, "prefix", "elsewhere")
    with pytest.raises(Trouble, match="not elsewhere"):
        doctor.check_kernel()


def test_widgets(tmp_path, monkeypatch):
    assert "extension" in doctor.check_widgets()
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda name: [str(tmp_path)])
    with pytest.raises(Trouble, match="jupyterlab_widgets"):
        doctor.check_widgets()
    package = tmp_path / doctor.LAB_EXTENSION
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "9.9"}', encoding="utf-8")
    assert doctor.check_widgets().endswith("extension 9.9")


def test_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.paths, "repository_root", lambda: tmp_path)
    with pytest.raises(Trouble, match=r"lacks notebooks, README\.md"):
        doctor.check_repository()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").touch()
    assert "version" in doctor.check_repository()


def fails(error):
    def check():
        raise error

    return check


def test_one_line_each_and_the_exit_status(capsys, monkeypatch):
    found = [("one", lambda: "fine")]
    monkeypatch.setattr(doctor, "checks", lambda: found)
    assert doctor.main() == 0
    assert capsys.readouterr().out == "OK    one: fine\nall 1 checks are fine\n"
    found += [
        ("two", fails(Trouble("broken", "mend it"))),
        ("three", fails(CourseError("lost", fix="clone it"))),
        ("four", fails(RuntimeError("no idea"))),
    ]
    assert doctor.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "OK    one: fine",
        "FAIL  two: broken",
        "      -> mend it",
        "FAIL  three: lost",
        "      -> clone it",
        "FAIL  four: RuntimeError: no idea",
        f"      -> {doctor.INSTALL}",
        "3 of 4 checks failed",
    ]


def test_everything_that_tends_to_break_is_looked_at(cache):
    known = dict(doctor.checks())
    assert set(known) >= {"Python", "course", "torch, then faiss", "faiss, then torch", "threads",
                          "cache folder", "disk", "Jupyter kernel", "widgets"}  # fmt: skip
    assert sum(name.startswith(("torch>", "faiss-cpu>", "ipywidgets>")) for name in known) == 3
    assert known["cache folder"]() == str(cache)
