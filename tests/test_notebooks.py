"""The notebooks that are handed out: built from their source, complete, clean."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course.workshop import book as building
from course.workshop import checks as notebook_checks
from course.workshop import commands
from course.workshop.book import Book
from course.workshop.chapters import SETUP_CELL, read_chapter
from course.workshop.checks import EXERCISE, SOLUTION, has

BOOK = Book()
SOURCES = BOOK.sources()
NOTEBOOKS = commands.find_notebooks()
MOST_BYTES = 1_500_000


def names(paths):
    return [path.relative_to(BOOK.root).as_posix() for path in paths]


every_source = pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))


@every_source
def test_the_notebooks_are_what_their_source_gives(path):
    assert building.check(path, BOOK) == [], "build them: python3 -m course notebooks"


def test_every_notebook_has_a_source():
    stems = {path.stem for path in SOURCES}
    assert {path.stem for path in NOTEBOOKS} == stems
    assert len(NOTEBOOKS) == 2 * len(stems)


def test_the_table_in_the_readme_is_fresh():
    text = BOOK.readme.read_text(encoding="utf-8")
    assert building.readme_with_table(BOOK) == text, "build it: python3 -m course notebooks"


@every_source
def test_every_chapter_has_its_seconds(path):
    assert BOOK.seconds().get(path.stem, 0) >= 1


@every_source
def test_a_chapter_has_two_to_six_exercises(path):
    cells = read_chapter(path).notebook.cells
    assert 2 <= sum(has(cell, EXERCISE) for cell in cells) <= 6


@every_notebook
def test_a_notebook_is_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook_checks.faults(notebook) == []
    assert path.stat().st_size <= MOST_BYTES


@every_source
def test_no_answer_stands_in_the_student_file(path):
    student = nbformat.read(BOOK.notebook(path.stem, "student"), as_version=4)
    assert notebook_checks.leaks(student, read_chapter(path).notebook) == []
    assert not any(has(cell, SOLUTION) for cell in student.cells)


@every_source
def test_the_exercises_say_unanswered_and_solved(path):
    """No check in the student file says it is solved, none in the solved one is unanswered."""
    texts = {}
    for role in ("student", SOLUTION):
        notebook = nbformat.read(BOOK.notebook(path.stem, role), as_version=4)
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        texts[role] = "\n".join(
            text for out in outputs for text in notebook_checks.output_texts(out)
        ).lower()
    assert texts["student"].count("not answered yet") >= 2
    assert "not answered yet" not in texts[SOLUTION]


# --- started from anywhere -------------------------------------------------------------------


def first_code_cells(path, number=2):
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"][:number]


@pytest.mark.skipif(not SOURCES, reason="there are no chapters yet")
@pytest.mark.parametrize("place", ["repository", "notebooks", "elsewhere"])
def test_a_notebook_starts_from_any_folder(place, tmp_path, cache):
    """The set-up cells run where JupyterLab, nbval or a reader's copy would start them."""
    folder = {
        "repository": BOOK.root,
        "notebooks": BOOK.source.parent,
        "elsewhere": tmp_path,
    }[place]
    cells = first_code_cells(BOOK.notebook(SOURCES[0].stem, "student"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    building.execute(notebook, folder)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]


def test_the_seconds_of_all_chapters_keep_the_budget():
    assert all(seconds <= 60 for seconds in BOOK.seconds().values())


# --- nbval and the network guard ---------------------------------------------------------------


def run_python(code, repository, **more):
    env = dict(os.environ, PYTHONPATH=str(repository / "tests" / "no_network"))
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, **more
    )


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=5)",
        "socket.create_connection(('example.org', 443), timeout=5)",
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', 0, ('192.0.2.1', 53))",
        "urllib.request.urlopen('http://example.org/', timeout=5)",
    ],
)
def test_the_guard_refuses_what_leaves_this_machine(call, repository):
    done = run_python(f"import socket, urllib.request\n{call}", repository)
    assert done.returncode == 1
    assert "the network is blocked while notebooks are tested" in done.stderr


def test_the_guard_lets_this_machine_talk_to_itself(repository):
    code = """
import asyncio, socket
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
socket.create_connection(("localhost", port), timeout=5).close()
assert socket.socket().connect_ex(("127.0.0.1", port)) == 0
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
async def ask():
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
asyncio.run(ask())
print("fine")
"""
    done = run_python(code, repository)
    assert done.stdout == "fine\n", done.stderr


CELLS = {
    "guard": "import sitecustomize\nassert sitecustomize.ACTIVE",
    "blocked": (
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as error:\n"
        "    assert 'network is blocked' in str(error)\n"
        "else:\n"
        "    raise AssertionError('a connection was made')"
    ),
    "later cells see the same kernel": "socket",
}


def run_nbval(folder, repository):
    """Run nbval on the notebooks of a folder, with the options and variables of the test leg."""
    command, env = commands.leg_command("notebooks", Path(sys.executable), ["x.ipynb"])
    at = command.index("x.ipynb")
    command[at:] = ["-c", str(repository / "pyproject.toml"), "--rootdir", str(folder), "."]
    command = [str(part) for part in command]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def save(folder, name, sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")


def test_the_guard_is_active_in_the_kernels_of_nbval(tmp_path, repository):
    for name in ("one", "two"):  # two, so that both workers get one
        save(tmp_path, name, CELLS.values())
    done = run_nbval(tmp_path, repository)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b6 passed", done.stdout)


def test_nbval_fails_where_a_cell_or_a_control_fails(tmp_path, repository):
    control = (
        "import ipywidgets\n"
        "slider = ipywidgets.IntSlider()\n"
        "slider.observe(lambda change: 1 / 0, 'value')\n"
        "slider.value = 3"
    )
    save(tmp_path, "one", ["x = 1", control, "x"])
    save(tmp_path, "two", ["undefined_name"])
    done = run_nbval(tmp_path, repository)
    assert done.returncode == 1
    assert re.search(r"2 failed, 2 passed", done.stdout), done.stdout


def test_the_set_up_cell_of_each_notebook_is_the_one_of_the_builder():
    for path in NOTEBOOKS:
        assert first_code_cells(path, 1)[0].source == SETUP_CELL.rstrip()


def read_before_bound(source):
    """Names that a cell reads from earlier cells and then binds or grows itself, at its top level.

    A second run of such a cell starts from what the first one left. An exercise's `f = answer(id,
    f)` may: what it takes is checked each time.
    """
    bound, outside, found = set(), set(), set()

    def visit(node):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id not in bound:
                outside.add(node.id)
        elif isinstance(node, ast.Name):
            if node.id in outside:
                found.add(node.id)
            bound.add(node.id)
        elif isinstance(node, ast.AugAssign):
            visit(node.value)
            named = node.target.id if isinstance(node.target, ast.Name) else None
            if named and named not in bound:
                found.add(named)
        elif isinstance(node, (ast.Assign, ast.For, ast.AnnAssign)):
            given = getattr(node, "value", None) or getattr(node, "iter", None)
            is_answer = isinstance(given, ast.Call) and getattr(given.func, "id", "") == "answer"
            if given is not None and not is_answer:
                visit(given)
            for child in ast.iter_child_nodes(node):
                if child is not given:
                    visit(child)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Lambda):
            pass
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            own = {n.id for g in node.generators for n in ast.walk(g.target)
                   if isinstance(n, ast.Name)}  # fmt: skip
            read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - own - bound
            outside.update(read)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            grows = node.func.attr in ("append", "extend", "insert", "pop", "add_", "mul_")
            if grows and getattr(owner, "id", "np") not in bound | {"np"}:
                found.add(owner.id)
            for child in ast.iter_child_nodes(node):
                visit(child)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child)

    for statement in ast.parse(source).body:
        visit(statement)
    return found


@pytest.mark.parametrize(
    ("cell", "found"),
    [("x = x + 1", {"x"}), ("n += 1", {"n"}), ("rows.append(1)", {"rows"}), ("y = x", set()),
     ("rows = []\nfor i in a:\n    rows.append(i)", set()), ("f = answer('02-a', f)", set()),
     ("t = {k: t[k] for k in t}", {"t"}), ("def f():\n    f()\nf()", set())],
)  # fmt: skip
def test_a_cell_that_cannot_run_twice_is_found(cell, found):
    assert read_before_bound(cell) == found


@every_source
def test_every_cell_can_run_twice(path):
    for cell in read_chapter(path).notebook.cells:
        if cell.cell_type == "code" and not cell.source.startswith("%"):
            assert not read_before_bound(cell.source), cell.source
