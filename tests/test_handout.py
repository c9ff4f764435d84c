"""What students get: everything that a chapter needs, and no answer."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from returned import COHORT, right_and_wrong

from course.errors import ConfigError
from course.paths import repository_root
from course.workshop import handout, variants
from course.workshop.book import Book, execute
from course.workshop.chapters import read_chapter
from course.workshop.checks import leaks

ROOT = repository_root()
NUMBERS = sorted({variant.chapter for variant in variants.load()})


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("handout") / "course 2027"
    assert handout.main(folder, COHORT) == 0
    return folder


def secrets() -> set[str]:
    """Lines of the graded variants' answers, without spaces; not what their questions show."""
    shown, found = [], set()
    for variant in variants.load():
        shown += [variant.fill(variant.stub, COHORT), variant.question(COHORT)]
        for source in variant.right:
            found |= set(variant.fill(source, COHORT).splitlines())
    for path in variants.folder().glob("*.py"):
        head, _, _ = path.read_text(encoding="utf-8").partition("VARIANTS = ")
        found |= set(head.splitlines())
    squeezed = {"".join(line.split()) for line in found}
    openly = "".join("".join(shown).split())
    package = "".join(
        "".join(path.read_text(encoding="utf-8").split())
        for path in [*ROOT.glob("course/**/*.py"), *ROOT.glob("notebooks/exercises/*.py")]
    )
    return {
        line
        for line in squeezed
        if len(line) > 22 and line not in openly and line not in package
        and not line.startswith(("import", "from", "def", "return{", '"""'))
    }  # fmt: skip


def test_no_file_holds_an_answer(tree):
    hidden = secrets()
    assert len(hidden) > 20 * len(NUMBERS)
    for path in tree.rglob("*"):
        if path.is_file() and path.suffix not in (".png",):
            text = "".join(path.read_text(encoding="utf-8").replace("\\n", "").split())
            found = [line for line in hidden if line in text]
            assert not found, f"{path.relative_to(tree)}: {found[:3]}"


def test_what_stays_with_the_instructor(tree):
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*")}
    assert not [n for n in names if n.startswith((".git/", ".github", ".ci", "tests"))]
    assert not [n for n in names if "solutions" in n or "source" in n or "INSTRUCTORS" in n]
    assert {"README.md", "LICENSE", "notebooks/NOTATION.md", "course/__main__.py"} <= names
    text = (tree / "README.md").read_text(encoding="utf-8")
    assert f"cohort {COHORT}" in text
    for path in ROOT.glob("course/**/*.py"):
        assert (tree / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("source", Book().sources(), ids=lambda path: path.stem)
def test_a_chapter_is_the_reader_s_with_two_questions(tree, source):
    """All but the graded section is the student's notebook, which runs as it is."""
    ours = nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", 4)
    given = nbformat.read(tree / "notebooks" / f"{source.stem}.ipynb", 4)
    nbformat.validate(given)
    asked = [variant for variant in variants.load() if variant.id[:2] == source.stem[:2]]
    (at,) = (n for n, cell in enumerate(given.cells) if cell.source.startswith("## Graded"))
    new = given.cells[at : at + 1 + 2 * len(asked)]
    del given.cells[at : at + len(new)]
    one, other = ("".join("".join(c.source for c in nb.cells).split()) for nb in (ours, given))
    assert one == other
    assert [c for c in given.cells if c.cell_type == "code"] == [
        c for c in ours.cells if c.cell_type == "code"
    ]
    assert given.cells[at].source.startswith("## Summary") and at == len(given.cells) - 1
    for variant, cell in zip(asked, new[2::2], strict=True):
        tags = {"graded", variant.id, f"points-{variant.points}", f"cohort-{COHORT}"}
        assert tags == set(cell.metadata["tags"])
        compile(cell.source, "stub", "exec")
    assert not leaks(given, read_chapter(source).notebook)


def test_commands_in_a_hand_out_say_what_they_lack(tree, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(tree)}
    for command in (["test", "--unit"], ["notebooks"], ["grade", ".", "--csv", "m.csv"],
                    ["handout", str(tmp_path / "x"), "--cohort", "1"]):  # fmt: skip
        if command[0] == "grade":
            (tmp_path / "a.ipynb").write_text("{}")
        done = subprocess.run(
            [sys.executable, "-m", "course", *command], cwd=tmp_path, env=env, text=True,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 2 and "Traceback" not in done.stderr, command
        assert "hand" in done.stderr


@pytest.mark.slow
def test_a_chapter_runs_in_it(tree, monkeypatch):
    """The fastest, with graded stubs, by the hand-out's own package."""
    seconds = {n: s for n, s in Book().seconds().items() if int(n[:2]) in NUMBERS}
    path = tree / "notebooks" / f"{min(seconds, key=seconds.get)}.ipynb"
    monkeypatch.setenv("PYTHONPATH", str(tree))
    chapter = nbformat.read(path, 4)
    chapter.cells.append(nbformat.v4.new_code_cell("print(course.__file__)"))
    execute(chapter, path.parent)
    assert chapter.cells[-1].outputs[0].text.startswith(str(tree))


def test_wrong_folders_are_refused_in_words(tmp_path):
    (tmp_path / "there").write_text("")
    for folder in (tmp_path, tmp_path / "there"):
        with pytest.raises(ConfigError, match="not empty"):
            handout.main(folder, COHORT)
    with pytest.raises(ConfigError, match="in the repository"):
        handout.main(ROOT / "out", COHORT)


# --- nbgrader


def graded_by_nbgrader() -> list[str] | None:
    """The command nbgrader of this Python, if it is installed."""
    return [sys.executable, "-m", "nbgrader"] if find_spec("nbgrader") else None


def test_assignments_have_a_question_and_a_hidden_test_each(tmp_path):
    handout.write_nbgrader(tmp_path, COHORT)
    for number in NUMBERS:
        (path,) = (tmp_path / "source" / f"chapter_{number:02d}").glob("*.ipynb")
        cells = nbformat.read(path, 4).cells
        roles = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
        assert [(role["solution"], role["grade"]) for role in roles] == 2 * [(1, 0), (0, 1)]
        for cell in cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                before, _, rest = cell.source.partition("    ### BEGIN SOLUTION\n")
                answer, _, after = rest.partition("    ### END SOLUTION")
                compile(cell.source, "answer", "exec")
                assert answer.strip() and not after and '"""' in before


@pytest.mark.slow
def test_nbgrader_s_own_commands(tmp_path):
    command = graded_by_nbgrader()
    if command is None:
        pytest.skip('nbgrader is not installed: pip install "nbgrader>=0.9"')
    handout.write_nbgrader(tmp_path, COHORT)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def nbgrader(*words):
        done = subprocess.run([*command, *words], cwd=tmp_path, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]

    nbgrader("generate_assignment", "chapter_02")
    (path,) = (tmp_path / "release" / "chapter_02").glob("*.ipynb")
    released = path.read_text(encoding="utf-8")
    assert "SOLUTION" not in released and "assert_right" not in released
    for kind in ("right", "wrong"):
        answers = right_and_wrong(variants.load([2]), kind)
        returned = nbformat.read(path, 4)
        for cell in returned.cells:
            for tag in cell.metadata.get("tags", []):
                cell.source = answers.get(tag, cell.source)
        goal = tmp_path / "submitted" / kind / "chapter_02" / path.name
        goal.parent.mkdir(parents=True)
        nbformat.write(returned, goal)
    nbgrader("autograde", "chapter_02")
    nbgrader("export")
    rows = (tmp_path / "grades.csv").read_text().splitlines()
    scores = {row.split(",")[3]: float(row.split(",")[7]) for row in rows[1:]}
    assert scores == {"right": sum(v.points for v in variants.load([2])), "wrong": 0.0}
