"""The command line, the set-up behind it, paths and errors."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from course import __main__ as cli
from course import errors, paths
from course.workshop import bootstrap, commands, copies
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
    monkeypatch.setattr(bootstrap, "torch_for_processors", lambda python, requirements: [])
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


def test_a_read_only_repository_is_found_by_a_path_file(setup, monkeypatch, tmp_path):
    venv, requirements, calls = setup
    site = tmp_path / "site"
    monkeypatch.setattr(bootstrap, "writable", lambda folder: folder != bootstrap.ROOT)
    said = subprocess.CompletedProcess([], 0, f"{site}\n")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: said)
    bootstrap.ensure(venv, requirements)
    assert calls == ["venv", f"-r {requirements}"]
    assert (site / "course.pth").read_text(encoding="utf-8") == f"{bootstrap.ROOT}\n"


def test_where_nothing_can_be_installed_one_is_told_where_it_could(setup, monkeypatch, tmp_path):
    venv, requirements, calls = setup
    (tmp_path / "file").touch()
    assert bootstrap.writable(tmp_path / "not" / "there" / "yet")
    assert not bootstrap.writable(tmp_path / "file" / "below")
    with pytest.raises(bootstrap.SetupError, match="COURSE_VENV"):
        bootstrap.ensure(tmp_path / "file" / "venv", requirements)
    assert calls == []
    code = "from course.workshop import bootstrap; print(bootstrap.VENV)"
    env = {**os.environ, "COURSE_VENV": str(tmp_path / "elsewhere")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env,
                          cwd=bootstrap.ROOT)  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / "elsewhere"), done.stderr


@pytest.mark.parametrize(("offered", "graphics", "system", "wanted", "words"), [
    (True, False, "linux", ["torch==2.0+cpu"], "About 2 GB"),
    (False, False, "linux", [], "--extra-index-url ADDRESS"),
    (True, True, "linux", [], "Up to 6 GB"),
    (True, False, "darwin", [], "About 2 GB"),
])  # fmt: skip
def test_which_torch(offered, graphics, system, wanted, words, monkeypatch, tmp_path, capsys):
    """The size is said before anything is fetched."""
    pins = tmp_path / "pins.txt"
    pins.write_text("numpy==2.4.6\ntorch==2.0\n", encoding="utf-8")
    asked = []

    def run(command, **options):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0 if offered else 1)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "exists", lambda self: graphics)
    assert bootstrap.torch_for_processors(Path("python"), pins) == wanted
    assert words in capsys.readouterr().out
    assert all("--dry-run" in command for command in asked)


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


def test_open(calls, monkeypatch):
    brought = []
    monkeypatch.setattr(copies, "bring", lambda *where: brought.append(where))
    assert cli.main(["open", "--no-browser", "--port", "8899", "--", "--debug"]) == 0
    command, options = calls[0]
    assert command[:3] == [str(Path("usual/python")), "-m", "jupyterlab"]
    assert {"--no-browser", "--ServerApp.port=8899", "--debug"} <= set(command)
    assert f"--ServerApp.root_dir={commands.ROOT}" in command
    assert options["cwd"] == str(commands.ROOT)
    cli.main(["open", "--here"])
    assert calls[1][0][0] == sys.executable and "--no-browser" not in calls[1][0]
    assert brought == 2 * [(commands.ROOT / "my-notebooks", commands.NOTEBOOKS)]
    assert f"--LabApp.default_url=/lab/tree/my-notebooks/{commands.FIRST}" in command


def legs(calls):
    return [command[2:] for command, _ in calls]


def test_test_runs_everything(calls, monkeypatch, capsys):
    monkeypatch.setattr(commands, "find_notebooks", lambda: [commands.NOTEBOOKS / "00_a.ipynb"])
    assert cli.main(["test"]) == 0
    lint, form, unit, browser, notebooks = legs(calls)
    assert lint[:2] == ["ruff", "check"] and form[:3] == ["ruff", "format", "--check"]
    assert unit == ["pytest", "-m", "not browser and not lone", *commands.TWO_AT_A_TIME]
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
    assert legs(calls)[2] == [
        "pytest",
        "-m",
        "not browser and not lone",
        *commands.TWO_AT_A_TIME,
        "-k",
        "word",
    ]
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
    assert len(calls) == 2 and "--nbval-lax" in calls[0][0]
    assert (
        calls[1][0][2:4] == ["pytest", str(Path("tests", "test_lone_notebook.py"))]
        and calls[1][0][0] == calls[0][0][0]
    )
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


def test_copy_brings_copies(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(copies, "bring", lambda *where: asked.append(where))
    assert cli.main(["copy"]) == cli.main(["copy", str(tmp_path)]) == 0
    assert asked == [(bootstrap.ROOT / "my-notebooks", commands.NOTEBOOKS),
                     (tmp_path, commands.NOTEBOOKS)]  # fmt: skip


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
    assert commands.own_folder() == repository / "my-notebooks"


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["doctor", "--", "x"], ["test", "--unit", "--colab"]]
)
def test_a_wrong_command_line_ends_with_a_hint(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert "usage: python3 -m course" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "words"), [
    (errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "somebody else"),
])  # fmt: skip
def test_what_a_disk_refuses_is_told_in_words(number, words, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(number, "no", "/some/file")

    monkeypatch.setattr(copies, "bring", refuse)
    assert cli.main(["copy"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("/some/file could not be written") and words in said


def test_another_error_of_the_system_is_not_hidden(monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(copies, "bring", refuse)
    with pytest.raises(OSError):
        cli.main(["copy"])


def test_a_pipe_that_nobody_reads_to_its_end(repository):
    """As in ``python3 -m course doctor | head -1``."""
    code = ("import sys; from course import __main__ as cli; from course.workshop import copies\n"
            "copies.bring = lambda *where: [print('x' * 1000, flush=True) for _ in range(1000)]\n"
            "sys.exit(cli.main(['copy']))")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=repository) as process:  # fmt: skip
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


def test_errors_of_the_course_are_printed_without_a_traceback(monkeypatch, capsys):
    from course.workshop import book

    def refuse(*arguments):
        raise errors.ConfigError("size is 'huge'", allowed="village")

    monkeypatch.setattr(book, "main", refuse)
    assert cli.main(["notebooks"]) == 2
    assert capsys.readouterr().err == "size is 'huge'. Allowed: village.\n"


@pytest.mark.parametrize("command", ["open", "copy", "doctor", "reproduce", "test"])
def test_a_package_without_its_repository_refuses_with_a_reason(
    command, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    assert cli.main([command]) == 2
    said = capsys.readouterr().err
    assert "holds the package alone" in said and "clone it" in said


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
