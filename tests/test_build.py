"""The builder of notebooks, on a tiny made-up chapter."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from course import __version__, plots
from course.errors import ConfigError
from course.workshop import book as building
from course.workshop import chapters
from course.workshop import checks as notebook_checks
from course.workshop.book import Book

HEADER = """\
# ---
# course:
#   number: "07"
#   title: Tiny
#   question: Does it build | or not?
#   paper: none
#   minutes: 5
# ---

"""
CHAPTER = (
    HEADER
    + """\
# %% [markdown]
# # Tiny
#
# It takes {{seconds}} s.

# %%
# {{setup}}

# %%
numbers = [3, 1, 2]
print("first")
print("second")

# %% [markdown]
# Sort `numbers`.

# %% tags=["exercise"]
answer = None

# %% tags=["solution"]
answer = sorted(numbers, reverse=True)

# %%
print("not answered yet" if answer is None else "correct")
"""
)


@pytest.fixture
def book(tmp_path) -> Book:
    """A course of one chapter."""
    book = Book(tmp_path)
    book.source.mkdir(parents=True)
    (book.source / "07_tiny.py").write_text(CHAPTER, encoding="utf-8")
    marks = f"{building.TABLE_START}\n{building.TABLE_END}"
    book.readme.write_text(f"# Course\n\n{marks}\n\nThe end.\n", encoding="utf-8")
    return book


@pytest.fixture
def source(book):
    """The text of the made-up chapter."""
    return book.source / "07_tiny.py"


def rewrite(source, old, new):
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new), encoding="utf-8")


def texts(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The chapter, built once with a real kernel; tests only read it."""
    book = Book(tmp_path_factory.mktemp("built"))
    book.source.mkdir(parents=True)
    path = book.source / "07_tiny.py"
    path.write_text(CHAPTER, encoding="utf-8")
    building.build(path, book)
    return book, path


def test_both_notebooks_are_built_and_run(built):
    book, path = built
    student = nbformat.read(book.notebook("07_tiny", "student"), as_version=4)
    solved = nbformat.read(book.notebook("07_tiny", "solution"), as_version=4)
    assert "answer = None" in texts(student) and "sorted" not in texts(student)
    assert "sorted" in texts(solved) and "answer = None" not in texts(solved)
    assert student.cells[-1].outputs[0].text == "not answered yet\n"
    assert solved.cells[-1].outputs[0].text == "correct\n"
    # two prints may arrive as two messages; the file always holds one
    assert [output.text for output in student.cells[2].outputs] == ["first\nsecond\n"]
    for notebook in (student, solved):
        assert notebook_checks.faults(notebook) == []
        assert notebook.metadata == {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        assert chapters.SETUP_CELL.rstrip() == notebook.cells[1].source
    assert building.check(path, book) == []


def test_measured_seconds_are_stored_and_shown(built):
    book, _ = built
    seconds = book.seconds()["07_tiny"]
    assert seconds >= 1
    student = nbformat.read(book.notebook("07_tiny", "student"), as_version=4)
    assert f"It takes {seconds} s." in student.cells[0].source
    assert "{{" not in student.cells[0].source
    *_, row, _, last = building.table(book).splitlines()
    assert last.startswith("In all 1 chapters")
    assert row == (
        "| 07 | [Tiny](notebooks/07_tiny.ipynb) | Does it build \\| or not? | none | 5 | "
        f"{seconds} |"
    )


def test_cell_ids_are_fixed_and_shared_cells_keep_theirs(source):
    chapter = chapters.read_chapter(source)
    student = chapters.render(chapter, "student")
    again = chapters.render(chapters.read_chapter(source), "student")
    solved = chapters.render(chapter, "solution")
    ids = [cell.id for cell in student.cells]
    assert ids == [cell.id for cell in again.cells]
    assert len(set(ids)) == len(ids)
    differ = [
        number
        for number, (one, other) in enumerate(zip(student.cells, solved.cells, strict=True))
        if one.id != other.id
    ]
    assert differ == [4]  # the exercise itself


def test_a_change_of_the_source_is_noticed(book, source):
    building.build(source, book, run=False)
    assert building.check(source, book) == []
    rewrite(source, "[3, 1, 2]", "[3, 1, 2, 0]")
    assert building.check(source, book) == [
        "notebooks/07_tiny.ipynb, cell 3: its source differs",
        "notebooks/solutions/07_tiny.ipynb, cell 3: its source differs",
    ]
    building.build(source, book, run=False)
    assert building.check(source, book) == []
    path = book.notebook("07_tiny", "student")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    del notebook["cells"][-1]
    notebook["metadata"]["widgets"] = {}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert building.check(source, book) == [
        "notebooks/07_tiny.ipynb: its metadata differs",
        "notebooks/07_tiny.ipynb has 5 cells, not 6",
    ]
    path.unlink()
    assert building.check(source, book) == ["notebooks/07_tiny.ipynb is missing"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('# %% tags=["solution"]\nanswer = sorted(numbers, reverse=True)\n', "", "no solution"),
        ('# %% tags=["exercise"]\nanswer = None\n', "", "no exercise before it"),
        ('tags=["solution"]', 'tags=["solution", "exercise"]', "both exercise and solution"),
        ('# %% tags=["solution"]\n', "# %%\n", "an exercise has no solution"),
        ("# %% [markdown]\n# Sort", '# %% [markdown] tags=["solution"]\n# Sort', "text cell"),
        ("# {{setup}}\n", "import course\n", "first code cell"),
        ("{{seconds}}", "some", "its first cell must hold"),
        ('#   number: "07"\n', "#   number: 07\n", "wrong in: number"),
        ("#   minutes: 5\n", "", "wrong in: minutes"),
        ("#   minutes: 5\n", "#   minutes: 5\n#   colour: red\n", "wrong in: colour"),
        ("# ---\n# course", "# course", "does not open with a header"),
        ("#   title: Tiny", "#   title: [", "not YAML"),
    ],
)
def test_a_wrong_source_is_refused_with_words(book, source, old, new, message):
    rewrite(source, old, new)
    with pytest.raises(ConfigError, match=message) as error:
        building.build(source, book, run=False)
    assert "07_tiny.py" in str(error.value)
    assert not book.notebook("07_tiny", "student").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings; warnings.warn('look out')", "message on stderr"),
        ("print(object())", "memory address"),
        ("import sys; print(sys.prefix + '/lib/site-packages')", "absolute path"),
    ],
)
def test_a_failed_build_leaves_the_old_files(book, source, code, message):
    building.build(source, book, run=False)
    paths = [book.notebook("07_tiny", role) for role in ("student", "solution")]
    before = [path.read_bytes() for path in paths]
    rewrite(source, "numbers = [3, 1, 2]", f"numbers = [3, 1, 2]\n{code}")
    with pytest.raises(ConfigError, match=message) as error:
        building.build(source, book)
    assert "\x1b" not in str(error.value)
    assert [path.read_bytes() for path in paths] == before
    assert not book.seconds_file.exists()
    assert not list(book.root.rglob("*.part"))


def test_a_failure_of_the_solution_alone_writes_neither(book, source):
    rewrite(source, "sorted(numbers, reverse=True)", "sorted(numbers, reverse=True) / 2")
    with pytest.raises(ConfigError, match="TypeError"):
        building.build(source, book)
    assert not book.notebook("07_tiny", "student").exists()


def test_a_cell_that_does_not_end_is_reported(book, source, monkeypatch):
    monkeypatch.setattr(building, "CELL_TIMEOUT", 1)
    rewrite(source, "numbers = [3, 1, 2]", "import time; numbers = [3]; time.sleep(60)")
    with pytest.raises(ConfigError, match="did not end"):
        building.build(source, book)


@pytest.mark.parametrize("place", ["cell", "output", "metadata"])
def test_a_leaked_solution_is_found(source, place):
    chapter = chapters.read_chapter(source)
    student = chapters.render(chapter, "student")
    assert notebook_checks.leaks(student, chapter.notebook) == []
    line = "answer = sorted(numbers,  reverse = True)"  # other spaces do not hide it
    cell = student.cells[4]
    if place == "cell":
        cell.source += "\n# " + line
    elif place == "output":
        cell.outputs = [nbformat.v4.new_output("stream", text=f"hint: {line}\n")]
    else:
        cell.metadata["hint"] = {"deep": [line]}
    found = ["answer = sorted(numbers, reverse=True)"]
    assert notebook_checks.leaks(student, chapter.notebook) == found


def test_every_picture_carries_its_words(tmp_path):
    """A figure of the course brings them along, shown at the end of a cell or before it."""
    cells = [
        "from course.plots import figure, show\nfig, ax = figure(title='Clicks by day')",
        "show(fig)\nfig",
        "fig.alt = 'Clicks fall from 9 to 4.'\nfig",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n_ = plt.plot([1, 2])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    building.execute(notebook, tmp_path)
    shown = [output for cell in notebook.cells for output in cell.outputs]
    words = [output.metadata.get("image/png", {}).get("alt") for output in shown]
    assert words == ["Figure: Clicks by day"] * 2 + ["Clicks fall from 9 to 4.", None]
    assert shown[0].metadata["image/png"]["width"] == 880
    assert notebook_checks.faults(chapters.tidy(notebook)) == [
        "cell 4 has a picture without words for those who cannot see it: image/png"
    ]


def test_a_stored_picture_keeps_its_look_in_fewer_bytes():
    fig, ax = plots.figure(alt="a line")
    ax.plot([1, 3, 2])
    whole = plots.style.png(fig)
    small = chapters.few_colours(base64.b64encode(whole).decode())
    one, other = (
        np.asarray(Image.open(io.BytesIO(b)).convert("RGB"), int)
        for b in (whole, base64.b64decode(small))
    )
    assert np.abs(one - other).mean() < 0.5
    assert len(small) < 0.7 * len(whole) * 4 / 3
    assert chapters.few_colours(small) == small
    ax.imshow(np.random.default_rng(0).random((40, 40, 3)))
    many = base64.b64encode(plots.style.png(fig)).decode()
    assert chapters.few_colours(many) == many


def test_a_leak_stops_the_build(book, source):
    # a stub in one exercise that is the solution of another, printed by a shared helper
    rewrite(source, 'print("first")', 'print("answer = sorted(" + "numbers, reverse=True)")')
    with pytest.raises(ConfigError, match="gives the solution away"):
        building.build(source, book)


def test_a_widget_is_stored_as_words(source):
    view = {chapters.WIDGET_VIEW: {"model_id": "1"}, "text/plain": "IntSlider()"}
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "slider",
                outputs=[nbformat.v4.new_output("display_data", data=view)],
                execution_count=1,
                metadata={"execution": {"iopub.status.busy": "2020"}},
            )
        ],
        metadata={"widgets": {"state": {}}},
    )
    assert len(notebook_checks.faults(notebook)) == 3
    tidied = chapters.tidy(notebook)
    assert notebook_checks.faults(tidied) == []
    assert tidied.cells[0].outputs[0].data == {"text/plain": chapters.WIDGET_TEXT}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("saved to /Users/ada/x.png", "an absolute path"),
        (r"saved to C:\\Users\\ada", "an absolute path"),
        ("<Model at 0x7f00deadbeef>", "a memory address"),
        ("\x1b[31mred\x1b[0m", "terminal colours"),
        ("Wall time: 3 s", "a time of this run"),
        ("10/10 [00:01<00:00, 9.8it/s]", "a time of this run"),
        ("see http://localhost:8888/", "an address of a local server"),
        ("world 90001: 'you', called with requests, failed: E", "a submission that failed"),
        ("clicks/views and user/video, 1/2, at 0x10, https://example.org/home/x", None),
        # Data of a picture may by chance hold what would be a path elsewhere.
        (f'<img src="data:image/png;base64,AAA/{"tmp"}/B0x123456789==">', None),
    ],
)
def test_what_outputs_must_not_hold(text, fault):
    output = nbformat.v4.new_output("stream", text=text)
    found = notebook_checks.output_faults(output)
    assert (fault is None and found == []) or (len(found) == 1 and found[0].startswith(fault))


def test_cells_out_of_order_and_errors_are_faults():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("1", execution_count=2),
        nbformat.v4.new_code_cell("2"),
        nbformat.v4.new_code_cell(
            "3",
            execution_count=3,
            outputs=[nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[])],
        ),
    ]
    assert notebook_checks.faults(notebook) == [
        "cell 1 was not run in order (its number is 2)",
        "cell 2 was not run in order (its number is None)",
        "cell 3 has an error: E: v",
    ]


def test_the_size_counts_what_a_reader_reads():
    notebook = nbformat.v4.new_notebook()
    picture = nbformat.v4.new_output("display_data", data={"image/png": "x", "text/plain": "F"})
    drawn = nbformat.v4.new_output("display_data", data={"text/html": "<b>h</b><svg></svg>"})
    plain = nbformat.v4.new_output("display_data", data={"text/html": "<table></table>"})
    lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 30]
    notebook.cells = [
        nbformat.v4.new_markdown_cell(
            "Two words\n```python\nx = not_counted\n```\n<br> 3 more here"
        ),
        nbformat.v4.new_code_cell("a\n" * 50, metadata={"tags": ["setup"]}),
        *(nbformat.v4.new_code_cell("x\n\n" * length) for length in lengths),
    ]
    notebook.cells[2].outputs = [picture, drawn, plain]
    assert notebook_checks.size(notebook) == (
        "10 code cells (lines: median 5.5, longest 30), 4 words, 2 figures"
    )


def test_readme_table_replaces_only_what_is_between_the_marks(book):
    first = building.readme_with_table(book)
    assert first.startswith("# Course\n\n") and first.endswith("\n\nThe end.\n")
    assert "| 07 | [Tiny](notebooks/07_tiny.ipynb) |" in first
    book.readme.write_text(first, encoding="utf-8")
    assert building.readme_with_table(book) == first
    book.readme.write_text(first.replace(building.TABLE_END, ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="no place.*chapters: written by"):
        building.readme_with_table(book)


def test_names_of_chapters(book, source):
    for name in ("07", "07_tiny", "notebooks/source/07_tiny.py", "07_tiny.ipynb"):
        assert building.choose([name], book) == [source]
    assert building.choose([], book) == [source]
    with pytest.raises(ConfigError, match=r"no chapter '99'.*07_tiny"):
        building.choose(["99"], book)


def test_seconds_of_chapters_that_are_gone_are_forgotten(built, tmp_path):
    book, path = built
    book.seconds_file.write_text('{"06_gone": 3, "07_tiny": 2}', encoding="utf-8")
    building.build(path, book)
    assert list(book.seconds()) == ["07_tiny"]


def run_setup_cell(folder, code=chapters.SETUP_CELL, **environment):
    """Run the first cell in a Python that knows nothing of the course."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # -I -S: neither the working directory nor installed packages are importable.
    command = [sys.executable, "-I", "-S", "-c", code + "\nprint('imported', course.__version__)"]
    return subprocess.run(
        command, cwd=folder, env={**env, **environment}, capture_output=True, text=True
    )


def test_setup_cell_finds_the_repository_above_the_notebook(repository):
    for folder in (repository, repository / "course", repository / "tests" / "no_network"):
        done = run_setup_cell(folder)
        assert done.stdout.startswith("imported"), done.stderr


def test_setup_cell_elsewhere_says_what_to_do(tmp_path):
    (tmp_path / "course").mkdir()  # a folder of that name is not the package
    done = run_setup_cell(tmp_path)
    assert done.returncode == 1
    assert (
        f"RuntimeError: The package `course` of this course, version {__version__}" in done.stderr
    )
    assert "python3 -m course open" in done.stderr and "is not it" not in done.stderr


FIRST = "import sys; sys.path.insert(0, '')\n"  # as in a kernel: the working directory comes first
NAMESAKES = {
    "course.py": "raise SystemExit('this is not the course')",
    "course/__init__.py": "__version__ = '0.1.0'",
    "course/notes.txt": "a folder",
}


@pytest.mark.parametrize("name", NAMESAKES)
def test_setup_cell_with_a_namesake_beside_the_notebook(name, tmp_path, repository):
    def beside(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NAMESAKES[name], encoding="utf-8")
        return run_setup_cell(folder, FIRST + chapters.SETUP_CELL)

    # Below the repository, the course wins; elsewhere, words say what is in the way.
    inside = tmp_path / "repository"
    (inside / "course").mkdir(parents=True)
    text = (repository / "course" / "__init__.py").read_text(encoding="utf-8")
    (inside / "course" / "__init__.py").write_text(text, encoding="utf-8")
    done = beside(inside / "notebooks")
    assert done.stdout == f"imported {__version__}\n", done.stderr
    done = beside(tmp_path / "elsewhere")
    assert done.returncode == 1
    said = re.search(r"not found\. (.*) is not it: rename it", done.stderr)
    assert said and "course" in Path(said[1]).parts[-1] + Path(said[1]).parent.name


def test_setup_cell_refuses_another_version(tmp_path, repository):
    text = (repository / "course" / "__init__.py").read_text(encoding="utf-8")
    (tmp_path / "course").mkdir()
    old = re.sub("__version__ = .*", '__version__ = "0.0.9"', text)
    (tmp_path / "course" / "__init__.py").write_text(old, encoding="utf-8")
    done = run_setup_cell(tmp_path, FIRST + chapters.SETUP_CELL)
    assert done.returncode == 1 and "or bring it up to date" in done.stderr


COLAB = (
    "import sys, types\n"
    "sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    "import importlib.util\n"
    "_find = importlib.util.find_spec\n"
    "importlib.util.find_spec = lambda name: sys if name == 'faiss' else _find(name)\n"
)


def test_setup_cell_on_colab_asks_for_the_address(tmp_path):
    done = run_setup_cell(tmp_path, COLAB + chapters.SETUP_CELL)
    assert done.returncode == 1 and "into REPOSITORY above" in done.stderr


def test_setup_cell_on_colab_clones_the_repository(tmp_path, repository):
    origin = tmp_path / "origin"
    (origin / "course").mkdir(parents=True)
    text = (repository / "course" / "__init__.py").read_text(encoding="utf-8")
    text += "__version__ += ' cloned'\n"
    (origin / "course" / "__init__.py").write_text(text, encoding="utf-8")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], cwd=origin, check=True)
    code = chapters.SETUP_CELL.replace('REPOSITORY = ""', f"REPOSITORY = {origin.as_uri()!r}")
    place = tmp_path / "content"
    place.mkdir()
    for _ in range(2):  # the second time it is there already
        done = run_setup_cell(place, COLAB + code)
        assert done.stdout == f"imported {__version__} cloned\n", done.stderr
