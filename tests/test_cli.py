"""The command line, the set-up behind it, paths and errors."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from course import __main__ as cli
from course import errors, paths
from course.workshop import bootstrap, commands
from course.workshop.bootstrap import SetupError

# --- set-up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(3, 10, 9), (2, 7, 18), (3, 15, 0)])
def test_a_python_that_does_not_fit_is_told_in_words(version):
    with pytest.raises(SetupError, match=r"needs Python 3\.11 or newer") as error:
        bootstrap.check_python(version)
    assert ".".join(map(str, version)) in str(error.value)


def test_a_python_that_fits_is_fine():
    for version in ((3, 11, 0), (3, 14, 9)):
        bootstrap.check_python(version)


def test_where_the_interpreter_lies():
    assert bootstrap.venv_python(Path("v"), windows=True) == Path("v/Scripts/python.exe")
    assert bootstrap.venv_python(Path("v"), windows=False) == Path("v/bin/python")


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """A set-up in which pip only notes what it was asked for."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy==2.4.6\n", encoding="utf-8")
    calls = []

    def make_venv(venv):
        calls.append("venv")
        bootstrap.venv_python(venv).parent.mkdir(parents=True)
        bootstrap.venv_python(venv).touch()

    def pip_install(python, what):
        calls.append(" ".join(what))

    def version(python):
        return "3.12" if python.exists() else None

    monkeypatch.setattr(bootstrap, "make_venv", make_venv)
    monkeypatch.setattr(bootstrap, "pip_install", pip_install)
    monkeypatch.setattr(bootstrap, "python_version", version)
    return tmp_path / "venv", requirements, calls


def test_installs_once(setup):
    venv, requirements, calls = setup
    expected = ["venv", f"-r {requirements}", f"--no-deps -e {bootstrap.ROOT}"]
    assert bootstrap.ensure(venv, requirements) == bootstrap.venv_python(venv)
    assert calls == expected
    bootstrap.ensure(venv, requirements)
    assert calls == expected


def test_other_pins_or_another_python_install_again(setup, monkeypatch):
    venv, requirements, calls = setup
    bootstrap.ensure(venv, requirements)
    calls.clear()
    # a clone with other line ends is not another list
    requirements.write_bytes(b"numpy==2.4.6\r\n")
    bootstrap.ensure(venv, requirements)
    assert calls == []
    requirements.write_text("numpy==2.4.7\n", encoding="utf-8")
    bootstrap.ensure(venv, requirements)
    assert len(calls) == 2 and "venv" not in calls
    calls.clear()
    monkeypatch.setattr(bootstrap, "python_version", lambda python: "3.13")
    bootstrap.ensure(venv, requirements)
    assert len(calls) == 2


def test_a_broken_environment_is_made_anew(setup):
    venv, requirements, calls = setup
    bootstrap.ensure(venv, requirements)
    calls.clear()
    bootstrap.venv_python(venv).unlink()
    bootstrap.venv_python(venv).parent.rmdir()
    bootstrap.ensure(venv, requirements)
    assert calls[0] == "venv" and len(calls) == 3


def test_an_interrupted_installation_is_taken_up_again(setup, monkeypatch):
    venv, requirements, calls = setup
    bootstrap.ensure(venv, requirements)
    requirements.write_text("numpy==2.4.7\n", encoding="utf-8")

    def interrupted(python, what):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "pip_install", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure(venv, requirements)
    assert not (venv / bootstrap.MARKER).exists()
    # even with the old list it is not taken for complete now
    requirements.write_text("numpy==2.4.6\n", encoding="utf-8")
    assert not bootstrap.is_current(venv, requirements)


def test_the_colab_environment_leaves_the_course_out(setup):
    venv, requirements, calls = setup
    bootstrap.ensure(venv, requirements, install_course=False)
    assert calls == ["venv", f"-r {requirements}"]


def test_jupyterlab_asks_nothing_at_its_first_start(setup):
    venv, requirements, _ = setup
    bootstrap.ensure(venv, requirements)
    settings = venv / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert '"fetchNews": "false"' in settings.read_text(encoding="utf-8")


def test_a_missing_venv_is_told_in_words(tmp_path, monkeypatch):
    def no_ensurepip(command, **options):
        assert command[1:4] == ["-m", "venv", "--clear"]
        return subprocess.CompletedProcess(command, 1, "ensurepip is not available")

    monkeypatch.setattr(bootstrap.subprocess, "run", no_ensurepip)
    monkeypatch.setattr(bootstrap.sys, "platform", "linux")
    with pytest.raises(SetupError, match="sudo apt install python3-venv") as error:
        bootstrap.make_venv(tmp_path / "venv")
    assert "ensurepip is not available" in str(error.value)


def test_a_failure_of_pip_is_told_in_words(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_PIP_ARGS", "--some-option 'with a space'")
    seen = []

    def fails(command, **options):
        seen.extend(command)
        return 1

    monkeypatch.setattr(bootstrap.subprocess, "call", fails)
    with pytest.raises(SetupError, match=r"(?s)exit status 1.*COURSE_PIP_ARGS"):
        bootstrap.pip_install(Path("python"), ["-r", "list.txt"])
    assert seen[-4:] == ["--some-option", "with a space", "-r", "list.txt"]


def test_children_get_what_the_threads_need(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "KMP_DUPLICATE_LIB_OK"):  # a package may have set it
        monkeypatch.delenv(name, raising=False)
    env = bootstrap.child_environment(Path("some/bin/python"))
    assert env["OMP_WAIT_POLICY"] == "PASSIVE"
    assert env["PATH"].split(os.pathsep)[0] == str(Path("some/bin"))
    monkeypatch.setattr(bootstrap.sys, "platform", "darwin")
    assert bootstrap.child_environment()["KMP_DUPLICATE_LIB_OK"] == "TRUE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert bootstrap.child_environment()["OMP_WAIT_POLICY"] == "ACTIVE"


def test_which_python_runs_the_tools(monkeypatch, tmp_path):
    assert bootstrap.dependencies_here() and bootstrap.interpreter_for_tools() is None
    assert not bootstrap.dependencies_here(("numpy", "no_such_package"))
    monkeypatch.setattr(bootstrap, "dependencies_here", lambda: False)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / "venv")
    assert bootstrap.interpreter_for_tools() is None  # there is none
    python = bootstrap.venv_python(tmp_path / "venv")
    python.parent.mkdir(parents=True)
    python.touch()
    assert bootstrap.interpreter_for_tools() == python
    monkeypatch.setattr(bootstrap.sys, "prefix", str(tmp_path / "venv"))
    assert bootstrap.interpreter_for_tools() is None  # it is the running one


# --- commands --------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """What the command line would start."""
    found = []

    def call(command, **options):
        found.append((command, options))
        return 0

    monkeypatch.setattr(bootstrap, "call", call)
    monkeypatch.setattr(
        bootstrap, "ensure", lambda *which, **how: Path("colab" if which else "usual", "python")
    )
    return found


def test_open(calls):
    assert cli.main(["open", "--no-browser", "--port", "8899", "--", "--debug"]) == 0
    command, options = calls[0]
    assert command[:3] == [str(Path("usual/python")), "-m", "jupyterlab"]
    assert {"--no-browser", "--ServerApp.port=8899", "--debug"} <= set(command)
    assert f"--ServerApp.root_dir={commands.ROOT}" in command
    assert options["cwd"] == str(commands.ROOT)
    cli.main(["open", "--here"])
    assert calls[1][0][0] == sys.executable and "--no-browser" not in calls[1][0]


def legs(calls):
    return [command[2:] for command, _ in calls]


def test_test_runs_everything(calls, monkeypatch, capsys):
    monkeypatch.setattr(commands, "find_notebooks", lambda: [commands.NOTEBOOKS / "00_a.ipynb"])
    assert cli.main(["test"]) == 0
    lint, form, unit, browser, notebooks = legs(calls)
    assert lint[:2] == ["ruff", "check"] and form[:3] == ["ruff", "format", "--check"]
    assert unit == ["pytest", "-m", "not browser", *commands.TWO_AT_A_TIME]
    assert browser == ["pytest", "-m", "browser", *commands.TWO_AT_A_TIME]
    assert notebooks == ["pytest", *commands.NBVAL, str(Path("notebooks", "00_a.ipynb"))]
    env = calls[4][1]["env"]
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(commands.NO_NETWORK)
    assert env["OMP_NUM_THREADS"] == "1"
    assert (
        "PYTHONPATH" not in calls[2][1]["env"]
        or str(commands.NO_NETWORK) not in (calls[2][1]["env"]["PYTHONPATH"])
    )
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("ok")] == [
        "lint",
        "format",
        "unit",
        "browser",
        "notebooks",
    ]


def test_parts_of_the_tests(calls, monkeypatch):
    monkeypatch.setattr(commands, "find_notebooks", lambda: [commands.NOTEBOOKS / "00_a.ipynb"])
    cli.main(["test", "--unit", "--", "-k", "word"])
    assert [leg[0] for leg in legs(calls)] == ["ruff", "ruff", "pytest"]
    assert legs(calls)[2] == ["pytest", "-m", "not browser", *commands.TWO_AT_A_TIME, "-k", "word"]
    calls.clear()
    cli.main(["test", "--notebooks", "--", "notebooks/01_b.ipynb"])
    assert legs(calls) == [["pytest", *commands.NBVAL, "notebooks/01_b.ipynb"]]
    calls.clear()
    solved = Path("solutions", "00_a.ipynb")
    both = [commands.NOTEBOOKS / "00_a.ipynb", commands.NOTEBOOKS / solved]
    monkeypatch.setattr(commands, "find_notebooks", lambda: both)
    cli.main(["test", "--notebooks"])
    assert [leg[-1] for leg in legs(calls)] == [str(Path("notebooks", "00_a.ipynb")),
                                                str(Path("notebooks") / solved)]  # fmt: skip
    calls.clear()
    cli.main(["test", "--colab"])
    assert calls[0][0][0] == str(Path("colab/python"))
    assert len(calls) == 1 and "--nbval-lax" in calls[0][0]
    assert calls[0][0][-1] == str(Path("notebooks") / solved)
    assert str(Path("notebooks", "00_a.ipynb")) not in calls[0][0]


def test_one_failing_part_fails_the_whole_and_the_rest_still_runs(monkeypatch, capsys):
    codes = iter([0, 1, 0])
    monkeypatch.setattr(bootstrap, "call", lambda command, **options: next(codes))
    assert commands.run_tests(Path("python"), ["lint", "format", "unit"]) == 1
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[0] for line in lines] == ["ok", "FAIL", "ok"]


def test_a_run_without_any_test_fails(monkeypatch):
    monkeypatch.setattr(bootstrap, "call", lambda command, **options: 5)
    assert commands.run_tests(Path("python"), ["unit"]) == 1
    assert commands.run_tests(Path("python"), ["unit"], ["-k", "nothing"]) == 0


def test_copy_never_overwrites(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("00_a.ipynb", "01_b.ipynb", "notes.txt"):
        (source / name).write_text(name, encoding="utf-8")
    target = tmp_path / "deep" / "mine"
    assert [path.name for path in commands.copy_notebooks(target, source)] == [
        "00_a.ipynb",
        "01_b.ipynb",
    ]
    (target / "00_a.ipynb").write_text("my answers", encoding="utf-8")
    (target / "01_b.ipynb").unlink()
    assert [path.name for path in commands.copy_notebooks(target, source)] == ["01_b.ipynb"]
    assert (target / "00_a.ipynb").read_text(encoding="utf-8") == "my answers"
    assert "kept" in capsys.readouterr().out


def test_the_folder_for_copies_is_ignored_by_git(repository):
    if not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    ignored = ["my-notebooks/00.ipynb", ".venv/x", ".venv-colab/x"]
    done = subprocess.run(
        ["git", "check-ignore", *ignored, "notebooks/00.ipynb"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ignored, done.stderr
    assert cli.parser().parse_args(["copy"]).folder == repository / "my-notebooks"


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["doctor", "--", "x"], ["test", "--unit", "--colab"]]
)
def test_a_wrong_command_line_ends_with_a_hint(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert "usage: python3 -m course" in capsys.readouterr().err


def test_errors_of_the_course_are_printed_without_a_traceback(monkeypatch, capsys):
    from course.workshop import book

    def refuse(*arguments):
        raise errors.ConfigError("size is 'huge'", allowed="village")

    monkeypatch.setattr(book, "main", refuse)
    assert cli.main(["notebooks"]) == 2
    assert capsys.readouterr().err == "size is 'huge'. Allowed: village.\n"


def test_without_packages_the_tools_say_how_to_get_them(monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "dependencies_here", lambda: False)
    monkeypatch.setattr(bootstrap, "interpreter_for_tools", lambda: None)
    assert cli.main(["notebooks"]) == 2
    assert "python3 -m course open" in capsys.readouterr().err


def test_tools_are_handed_on_to_the_environment_once(calls, monkeypatch):
    monkeypatch.setattr(bootstrap, "interpreter_for_tools", lambda: Path("v/bin/python"))
    monkeypatch.delenv(cli.HANDED_ON, raising=False)
    assert cli.main(["notebooks", "--check"]) == 0
    command, options = calls[0]
    assert command == [str(Path("v/bin/python")), "-m", "course", "notebooks", "--check"]
    assert options["env"][cli.HANDED_ON] == "1"
    assert options["env"]["PYTHONPATH"].split(os.pathsep)[0] == str(bootstrap.ROOT)


def test_the_command_line_starts_on_a_bare_python(repository):
    # -S leaves site-packages out: what runs here runs before anything is installed
    done = subprocess.run(
        [sys.executable, "-S", "-m", "course", "--version"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.strip()[0].isdigit()


# --- paths and errors ------------------------------------------------------------------------


def test_the_repository_is_found_from_any_folder(tmp_path, monkeypatch, repository):
    monkeypatch.chdir(tmp_path)
    assert paths.repository_root() == repository
    assert paths.notebooks_dir() == repository / "notebooks"
    assert paths.data_dir() == repository / "data"


def test_a_package_without_its_repository_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "course" / "paths.py"))
    with pytest.raises(errors.CourseError, match="not the rest of the repository"):
        paths.repository_root()


def test_the_cache_is_made_where_the_variable_says(cache):
    assert not cache.exists()
    assert paths.cache_dir() == cache
    assert list(cache.iterdir()) == []


def test_the_cache_is_in_the_users_folder_otherwise(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.delenv("COURSE_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name, **_: str(tmp_path / name))
    assert paths.cache_dir() == tmp_path / paths.CACHE_NAME


def test_a_cache_that_cannot_be_written_is_told_in_three_parts(tmp_path, monkeypatch):
    blocker = tmp_path / "a file"
    blocker.write_text("", encoding="utf-8")
    for place in (blocker, blocker / "below"):
        monkeypatch.setenv("COURSE_CACHE", str(place))
        with pytest.raises(errors.CacheError) as error:
            paths.cache_dir()
        text = str(error.value)
        assert "COURSE_CACHE is" in text and "Allowed: a folder" in text and "To fix it:" in text


def test_a_text_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.txt"
    paths.write_whole(path, "one\ntwo\n")
    assert path.read_bytes() == b"one\ntwo\n"

    def fails(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(paths.os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        paths.write_whole(path, "three\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert list(path.parent.iterdir()) == [path]


def test_errors_have_three_parts_and_a_common_base():
    error = errors.CacheError("it was 3", allowed="1 or 2", fix="write 2")
    assert str(error) == "it was 3. Allowed: 1 or 2. To fix it: write 2."
    assert str(errors.ConfigError("only this")) == "only this"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.fix) == (str(error), "write 2")
    for name in ("Config", "Policy", "Cache", "Log", "Exercise"):
        kind = getattr(errors, f"{name}Error")
        assert issubclass(kind, errors.CourseError) and issubclass(kind, ValueError)


@pytest.mark.parametrize("text", ["", "<a>", "<b>", "<b> <a>", "<a><b><a><b>"])
def test_only_what_stands_between_two_marks_is_written_anew(text):
    assert paths.fill_between("one <a> old <b> two", "<a>", "<b>", "new") == "one <a>\nnew\n<b> two"
    with pytest.raises(errors.ConfigError, match="no place.*one line <a> and after it"):
        paths.fill_between(text, "<a>", "<b>", "new")
