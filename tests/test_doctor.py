"""Each of the doctor's checks, on this machine and on planted failures."""

from __future__ import annotations

import subprocess
import types

import pytest

from course.errors import CourseError
from course.workshop import doctor
from course.workshop.doctor import Result


def test_python_versions():
    assert doctor.check_python().ok
    for version in ((3, 10, 14), (2, 7, 18), (3, 15, 0)):
        result = doctor.check_python(version)
        assert not result.ok and "3.11" in result.fix and "." in result.detail


def test_requirements_hold_the_runtime_and_the_extras():
    names = " ".join(doctor.requirements())
    for name in ("torch>=", "faiss-cpu>=", "jupyterlab>=", "nbval>="):
        assert name in names


@pytest.mark.parametrize(
    ("version", "ok", "detail"),
    [
        ("2.1.3", True, "2.1.3"),
        ("2.13.0+cpu", True, "2.13.0+cpu"),
        ("1.26.4", False, "1.26.4, wanted >=2.0"),
        (None, False, "missing, wanted >=2.0"),
    ],
)
def test_packages(version, ok, detail):
    result = doctor.check_package("numpy>=2.0", lambda name: version)
    assert (result.name, result.ok, result.detail) == ("numpy", ok, detail)
    assert ok or "python3 -m course" in result.fix


def test_a_package_that_is_not_there_has_no_version():
    assert doctor.installed_version("no-such-package-anywhere") is None
    assert doctor.installed_version("pytest")


@pytest.mark.parametrize("order", [("torch", "faiss"), ("faiss", "torch")])
def test_torch_beside_faiss(order):
    result = doctor.check_pair(*order)
    assert result.ok, result
    assert "20 products and 20 searches" in result.detail


def finished(code, out="", err=""):
    return lambda first, second: subprocess.CompletedProcess([], code, out, err)


def too_long(first, second):
    raise subprocess.TimeoutExpired("python", 120)


@pytest.mark.parametrize(
    ("run", "detail"),
    [
        (finished(-11), "ended with status -11: no message"),
        (finished(1, err="Traceback\nImportError: libomp\n"), "status 1: ImportError: libomp"),
        (finished(0, "2 99.0\n"), "in 99.00 s"),
        (too_long, "did not end within 120 s"),
    ],
)
def test_torch_and_faiss_that_quarrel(run, detail):
    result = doctor.check_pair("torch", "faiss", run)
    assert not result.ok and detail in result.detail and result.fix


def test_the_pair_is_really_run_in_the_order_asked_for():
    done = doctor.run_pair("json", "no_such_module")
    assert done.returncode != 0
    code = doctor.PAIR.format(first="json", second="no_such_module")
    assert code.index("import json") < code.index("import no_such_module")
    assert "no_such_module" in done.stderr


@pytest.mark.parametrize(
    ("environment", "ok"),
    [
        ({"OMP_WAIT_POLICY": "PASSIVE"}, True),
        ({"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}, True),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "4,2"}, True),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "5"}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "0"}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "many"}, False),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, False),
        ({}, False),
    ],
)
def test_threads(environment, ok):
    result = doctor.check_threads(environment, cores=4)
    assert result.ok is ok and (ok or result.fix)


def test_importing_the_course_sets_what_the_threads_need():
    assert doctor.check_threads(cores=4).ok or "OMP_NUM_THREADS" in doctor.os.environ


def test_cache(cache, monkeypatch, tmp_path):
    result = doctor.check_cache()
    assert result.ok and result.detail == str(cache)
    blocker = tmp_path / "a file"
    blocker.write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_CACHE", str(blocker / "below"))
    result = doctor.check_cache()
    assert not result.ok and "COURSE_CACHE" in result.detail and "COURSE_CACHE" in result.fix


def test_disk(tmp_path):
    usage = lambda folder: types.SimpleNamespace(free=2.5e9)  # noqa: E731
    assert doctor.check_disk(tmp_path, 1.0, usage).ok
    result = doctor.check_disk(tmp_path, 3.0, usage)
    assert not result.ok and "2.5 GB free" in result.detail and result.fix


def test_kernel():
    result = doctor.check_kernel()
    assert result.ok, result
    result = doctor.check_kernel("no-such-kernel")
    assert not result.ok and "no-such-kernel" in result.detail


def test_a_kernel_of_another_python_is_told(monkeypatch):
    monkeypatch.setattr(doctor.sys, "prefix", "elsewhere")
    result = doctor.check_kernel()
    assert not result.ok and "not elsewhere" in result.detail


def test_widgets(tmp_path):
    assert doctor.check_widgets().ok
    result = doctor.check_widgets([str(tmp_path)])
    assert not result.ok and "jupyterlab_widgets" in result.detail
    package = tmp_path / doctor.LAB_EXTENSION
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "9.9"}', encoding="utf-8")
    assert doctor.check_widgets([str(tmp_path)]).detail.endswith("extension 9.9")


def test_repository(tmp_path):
    result = doctor.check_repository(lambda: tmp_path)
    assert not result.ok and "lacks notebooks, README.md" in result.detail
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").touch()
    assert doctor.check_repository(lambda: tmp_path).ok

    def lost():
        raise CourseError("the rest is missing", fix="clone it")

    result = doctor.check_repository(lost)
    assert (result.ok, result.detail, result.fix) == (False, "the rest is missing", "clone it")


def test_a_check_that_breaks_is_a_finding():
    def broken():
        raise RuntimeError("no idea")

    result = doctor.guarded("thing", broken)
    assert not result.ok and result.detail == "RuntimeError: no idea"


def test_one_line_each_and_the_exit_status(capsys):
    good, bad = Result("one", True, "fine"), Result("two", False, "broken", "mend it")
    assert doctor.main([good]) == 0
    assert capsys.readouterr().out == "OK    one: fine\nall 1 checks are fine\n"
    assert doctor.main([good, bad]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "OK    one: fine",
        "FAIL  two: broken",
        "      -> mend it",
        "1 of 2 checks failed",
    ]


def test_examine_covers_everything_that_tends_to_break(monkeypatch):
    monkeypatch.setattr(doctor, "guarded", lambda name, check, *rest: Result(name, True, ""))
    names = {result.name for result in doctor.examine()}
    assert names >= {
        "Python",
        "course",
        "torch, then faiss",
        "faiss, then torch",
        "threads",
        "cache folder",
        "disk",
        "Jupyter kernel",
        "widgets",
    }
    assert sum(name.startswith(("torch>", "faiss-cpu>", "ipywidgets>")) for name in names) == 3
