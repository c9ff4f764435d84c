"""A copy for students: ``python3 -m course handout FOLDER --cohort 2027``.

It has no history, no solved notebooks, no sources and no tests; its notebooks ask the graded
variants of `course.workshop.variants` with the numbers of the cohort. With ``--nbgrader`` it is a
course folder for nbgrader instead, with an assignment for each chapter.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.errors import ConfigError
from course.paths import notebooks_dir, repository_root, write_whole
from course.workshop.book import dump
from course.workshop.chapters import SETUP_CELL, tidy
from course.workshop.checks import SETUP
from course.workshop.variants import Variant, load

#: What an instructor keeps; a folder ends in a slash.
KEPT_BACK = ("notebooks/solutions/", "notebooks/source/", "tests/", ".github/", ".ci/", ".git",
             "INSTRUCTORS.md", "CONTRIBUTING.md", "README.ko.md", "README.md")  # fmt: skip

README = """\
# How YouTube recommends, cohort {cohort}

A course of notebooks. Two commands, with Python 3.11 or newer:

    python3 -m course open      # installs what is missing (once, some minutes), opens the course
    python3 -m course doctor    # says what is wrong, if anything

**Exercises.** Below each one stands a check. It is there for you: it says at once whether an answer
holds, and names common mistakes. It counts for nothing. What the chapters write can be read in
`course/lessons/`, as in a textbook; look there after you have tried.

**Graded questions.** Chapters {chapters} end with a section *Graded*. It asks the same skills in
another way, with numbers of this cohort alone. There is no check below it, only a worked example.

- Write your answer into the cell that is there. You may move it, but leave the function's name.
- The cell is run alone, on inputs that you have not seen, for {seconds} seconds at most. So it
  holds its own imports and helpers; only `np`, `pd`, `torch`, `nn`, `functional` and `math` are
  there already.
- It has no network, and may neither read nor write your files.
- A function that is right on all inputs gets the points that stand above it, any other none.

Hand in the notebook itself, with its outputs or without.

Licences: code MIT ([LICENSE](LICENSE)), text CC BY 4.0 ([LICENSE-CC-BY-4.0](LICENSE-CC-BY-4.0)).
"""

INTRODUCTION = """\
## Graded

{n} questions of this chapter for your mark (cohort {cohort}). Each cell is run alone, on inputs
that you have not seen: put the imports and helpers that it needs into it. `np`, `pd`, `torch`,
`nn`, `functional` and `math` are there already."""

IMPORTS = """\
import math

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional"""


def files(root: Path) -> list[Path]:
    """What goes into a hand-out, below the root: what git knows, or what lies there without it."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached"], capture_output=True, check=True
        )
        names = listed.stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        places = ("course", "data", "notebooks")
        within = [path for place in places for path in (root / place).rglob("*")]
        names = [path.relative_to(root).as_posix() for path in [*root.glob("*"), *within]]
    names = [n for n in names if not n.startswith(KEPT_BACK) or n == ".gitignore"]
    chosen = [root / n for n in sorted(set(names)) if n and "__pycache__" not in n]
    return [path for path in chosen if path.is_file()]


def graded_cells(variants: Sequence[Variant], cohort: int) -> list[NotebookNode]:
    """The section *Graded* of a chapter."""

    def cell(make, source, key, **metadata):
        name = hashlib.sha256(f"graded/{key}".encode()).hexdigest()[:12]
        return make(source, id=name, metadata=metadata)

    intro = INTRODUCTION.format(n=len(variants), cohort=cohort)
    cells = [cell(new_markdown_cell, intro, variants[0].id[:2])]
    for variant in variants:
        tags = ["graded", variant.id, f"points-{variant.points}", f"cohort-{cohort}"]
        question, stub = variant.question(cohort), variant.fill(variant.stub, cohort)
        cells.append(cell(new_markdown_cell, question, f"{variant.id}/question"))
        cells.append(cell(new_code_cell, stub, variant.id, tags=tags))
    return cells


def with_graded(notebook: NotebookNode, variants: Sequence[Variant], cohort: int) -> NotebookNode:
    """A student's notebook with the graded questions before its summary."""
    mark = re.compile(r"^## Summary$", re.MULTILINE)
    at = [n for n, cell in enumerate(notebook.cells) if mark.search(cell.source)]
    if len(at) != 1:
        raise ConfigError("a chapter has no place for graded questions", allowed="one ## Summary")
    last = notebook.cells[at[0]]
    cut = mark.search(last.source).start()
    before = [new_markdown_cell(last.source[:cut].rstrip(), id=f"{last.id}-1")] if cut else []
    last.source = last.source[cut:]
    notebook.cells[at[0] : at[0]] = [*before, *graded_cells(variants, cohort)]
    return notebook


def by_chapter(variants: Sequence[Variant]) -> dict[str, list[Variant]]:
    """Variants by the number of their chapter, such as ``"02"``."""
    found: dict[str, list[Variant]] = {}
    for variant in variants:
        found.setdefault(variant.id[:2], []).append(variant)
    return found


def write(folder: Path, cohort: int, root: Path | None = None) -> list[Path]:
    """Write a copy for students; return its files."""
    root, asked = root or repository_root(), by_chapter(load())
    for path in files(root):
        goal = folder / path.relative_to(root)
        goal.parent.mkdir(parents=True, exist_ok=True)
        if path.parent == root / "notebooks" and path.name[:2] in asked and path.suffix == ".ipynb":
            chapter = nbformat.read(path, as_version=4)
            write_whole(goal, dump(with_graded(chapter, asked[path.name[:2]], cohort)))
        else:
            shutil.copyfile(path, goal)
    readme = README.format(cohort=cohort, chapters=", ".join(asked), seconds=20)
    write_whole(folder / "README.md", readme)
    return [path for path in folder.rglob("*") if path.is_file()]


# --- nbgrader

CONFIG = """\
# Written by the course. nbgrader's commands run in this folder.
c = get_config()
c.CourseDirectory.course_id = "how-youtube-recommends-{cohort}"
c.ClearSolutions.code_stub = {{"python": "...  # your code"}}
c.ExecutePreprocessor.timeout = 300
"""

HIDDEN = """\
### BEGIN HIDDEN TESTS
from course.workshop.grading import assert_right

assert_right("{id}", {cohort}, In)
### END HIDDEN TESTS"""


def assignment(name: str, variants: Sequence[Variant], cohort: int) -> NotebookNode:
    """A chapter's graded questions alone, as nbgrader's source: it runs every cell of everybody."""
    setup = new_code_cell(SETUP_CELL.rstrip(), id="setup", metadata={"tags": [SETUP]})
    title = new_markdown_cell(f"# {name[:2]} · Graded", id="title")
    given = new_code_cell(IMPORTS, id="given")
    cells = [title, setup, given, *graded_cells(variants, cohort)]
    for variant in variants:
        (at,) = (n for n, c in enumerate(cells) if variant.id in c.metadata.get("tags", []))
        body = variant.fill(variant.right[0], cohort).split("\n")
        first = next(n for n, line in enumerate(body) if line.startswith("def "))
        hidden = ["    ### BEGIN SOLUTION", *body[first + 1 :], "    ### END SOLUTION"]
        stub = [line for line in cells[at].source.split("\n") if line.strip() != "...  # your code"]
        cells[at].source = "\n".join([*body[:first], *stub, *hidden])
        cells[at].metadata["nbgrader"] = _nbgrader(variant.id, solution=True)
        test = new_code_cell(HIDDEN.format(id=variant.id, cohort=cohort), id=f"test-{variant.id}")
        test.metadata["nbgrader"] = _nbgrader(f"test-{variant.id}", grade=True, locked=True)
        test.metadata["nbgrader"]["points"] = variant.points
        cells.insert(at + 1, test)
    return tidy(new_notebook(cells=cells))


def _nbgrader(grade_id: str, **roles: bool) -> dict:
    roles = {"grade": False, "solution": False, "locked": False, "task": False, **roles}
    return {"schema_version": 3, "grade_id": grade_id, **roles}


def write_nbgrader(folder: Path, cohort: int) -> list[Path]:
    """Write a course folder for nbgrader, an assignment for each chapter; return its files."""
    made = [folder / "nbgrader_config.py"]
    write_whole(made[0], CONFIG.format(cohort=cohort))
    names = {path.name[:2]: path.stem for path in notebooks_dir().glob("[0-9]*.ipynb")}
    for number, variants in by_chapter(load()).items():
        path = folder / "source" / f"chapter_{number}" / f"{names[number]}.ipynb"
        write_whole(path, dump(assignment(names[number], variants, cohort)))
        made.append(path)
    return made


def main(folder: Path, cohort: int, nbgrader: bool = False) -> int:
    """Write a hand-out into an empty folder; return the exit status."""
    root = repository_root()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty", fix="name a new folder")
    if folder.resolve().is_relative_to(root):
        raise ConfigError(f"{folder} lies in the repository", fix="name a folder outside of it")
    made = (write_nbgrader if nbgrader else write)(folder, cohort)
    size = sum(path.stat().st_size for path in made) / 1e6
    print(f"{folder}: {len(made)} files, {size:.1f} MB, cohort {cohort}")
    if nbgrader:
        print(f"In it: nbgrader generate_assignment chapter_{load()[0].id[:2]}")
    return 0
