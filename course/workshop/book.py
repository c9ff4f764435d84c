"""Building the notebooks of the course from the texts of its chapters.

From ``notebooks/source/NN_name.py`` (see `course.workshop.chapters`) come
``notebooks/NN_name.ipynb`` with the exercises as stubs, and ``notebooks/solutions/NN_name.ipynb``
with the exercises solved, both executed, and ``course/lessons/<lesson>.py`` with the cells that are
exported. The measured seconds go into the chapter's header and into the README's table.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course.errors import ConfigError
from course.paths import fill_between, repository_root, write_whole
from course.workshop.chapters import Chapter, read_chapter, render, tidy
from course.workshop.checks import SETUP, SOLUTION, faults, has, leaks, size
from course.workshop.lessons import module_text, refuse_namesakes

TABLE_START = "<!-- chapters: written by `python3 -m course notebooks` -->"
TABLE_END = "<!-- end of chapters -->"
CELL_TIMEOUT = 300  # seconds
_ANSI = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True)
class Book:
    """Where the parts of the course lie, below one folder."""

    root: Path = field(default_factory=repository_root)

    @property
    def source(self) -> Path:
        """Folder of the texts."""
        return self.root / "notebooks" / "source"

    @property
    def readme(self) -> Path:
        """File with the table of chapters."""
        return self.root / "README.md"

    @property
    def seconds_file(self) -> Path:
        """File with the measured seconds of each chapter."""
        return self.root / "data" / "results" / "notebook_seconds.json"

    def notebook(self, name: str, role: str) -> Path:
        """Return the path of a notebook; `role` is ``"student"`` or ``"solution"``."""
        folder = self.root / "notebooks"
        return (folder / "solutions" if role == SOLUTION else folder) / f"{name}.ipynb"

    def lesson(self, chapter: Chapter) -> Path:
        """Return the path of the module that a chapter exports."""
        return self.root / "course" / "lessons" / f"{chapter.lesson}.py"

    def sources(self) -> list[Path]:
        """Return the texts of all chapters, in order."""
        return sorted(path for path in self.source.glob("*.py") if path.stem[:2].isdigit())

    def seconds(self) -> dict[str, int]:
        """Return the measured seconds of the chapters that have been run."""
        if not self.seconds_file.exists():
            return {}
        return json.loads(self.seconds_file.read_text(encoding="utf-8"))


def execute(notebook: NotebookNode, folder: Path) -> float:
    """Run a notebook in place, in a folder; return the seconds it kept a processor busy.

    The start of its kernel is included. They are what the clock says on a quiet machine; on a busy
    one they are less. Where several threads work, or where a system does not count the work of
    children, the clock counts.

    Raises
    ------
    ConfigError
        If a cell raised, or did not end in time.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        startup_timeout=60,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--log-level=40"],  # the kernel's own remarks help no author
        resources={"metadata": {"path": str(folder)}},
    )
    start, worked = time.monotonic(), _children()
    try:
        client.execute()
    except CellExecutionError as error:
        raise ConfigError(f"a cell failed:\n{_ANSI.sub('', str(error))}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise ConfigError(f"a cell did not end: {error}") from error
    taken = time.monotonic() - start
    return min(taken, (_children() - worked) or taken)


def _children() -> float:
    """Processor seconds of the kernels that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def build(path: Path, book: Book, run: bool = True) -> dict[str, NotebookNode]:
    """Build both notebooks of a chapter; write both, or none when anything is wrong.

    Parameters
    ----------
    path : source of the chapter
    book : where to write
    run : whether to execute them; without it, they are written without outputs

    Returns
    -------
    dict with ``"student"`` and ``"solution"``, as written

    Raises
    ------
    ConfigError
        If the source is wrong, a cell fails, an output is unfit, or a solution would leak.
    """
    chapter = read_chapter(path)
    _export(chapter, book)  # first: an exercise without an answer takes the module's version
    seconds = book.seconds()
    built = {}
    for role in ("student", SOLUTION):
        notebook = render(chapter, role, seconds.get(chapter.name))
        if run:
            # Both run where the reader's copy lies: the folder of solutions may not exist yet.
            taken = execute(notebook, book.source.parent)
            if role == "student":
                seconds[chapter.name] = max(1, round(taken))
            # The header is text, so the measured time can be filled in after the run.
            filled = render(chapter, role, seconds[chapter.name])
            for cell, fresh in zip(notebook.cells, filled.cells, strict=True):
                cell.source = fresh.source
            notebook = tidy(notebook)
            _refuse(chapter.name, role, faults(notebook))
        built[role] = notebook
    leaked = leaks(built["student"], chapter.notebook)
    _refuse(chapter.name, "student", [f"it gives the solution away: {line}" for line in leaked])
    for role, notebook in built.items():
        write_whole(book.notebook(chapter.name, role), dump(notebook))
    if run:
        known = {source.stem for source in book.sources()}
        kept = {name: seconds[name] for name in sorted(seconds) if name in known}
        write_whole(book.seconds_file, json.dumps(kept, indent=2) + "\n")
    return built


def refill(path: Path, book: Book) -> None:
    """Write the notebooks of a chapter anew and keep their outputs: only words have changed.

    Raises
    ------
    ConfigError
        If a code cell is another one; the cell that finds the package may be.
    """
    chapter = read_chapter(path)
    for role in ("student", SOLUTION):
        target = book.notebook(chapter.name, role)
        stored = nbformat.read(target, as_version=4)
        fresh = render(chapter, role, book.seconds().get(chapter.name))
        old, new = ([cell for cell in notebook.cells if cell.cell_type == "code"]
                    for notebook in (stored, fresh))  # fmt: skip
        same = [a.source == b.source or has(a, SETUP) for a, b in zip(old, new, strict=False)]
        if len(old) != len(new) or not all(same):
            raise ConfigError(
                f"the code of {target.name} is not what its source says",
                fix=f"build it first: python3 -m course notebooks {chapter.number}",
            )
        for one, other in zip(old, new, strict=True):
            other.outputs, other.execution_count = one.outputs, one.execution_count
        write_whole(target, dump(fresh))


def _export(chapter: Chapter, book: Book) -> None:
    text = module_text(chapter)
    if text:
        path = book.lesson(chapter)
        refuse_namesakes(text, path, path.parent.glob("*.py"))
        write_whole(path, text)


def _refuse(name: str, role: str, problems: list[str]) -> None:
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"the {role} notebook of {name} was not written:\n{listed}")


def check(path: Path, book: Book) -> list[str]:
    """Say in what the notebooks of a chapter differ from what its source would give."""
    chapter = read_chapter(path)
    seconds = book.seconds().get(chapter.name)
    found, text = [], module_text(chapter)
    if text:
        module = book.lesson(chapter)
        if not module.exists() or module.read_text(encoding="utf-8") != text:
            found.append(f"{module.relative_to(book.root).as_posix()} is not what {path.name} says")
    for role in ("student", SOLUTION):
        target = book.notebook(chapter.name, role)
        label = target.relative_to(book.root).as_posix()
        if not target.exists():
            found.append(f"{label} is missing")
            continue
        stored = nbformat.read(target, as_version=4)
        wanted = render(chapter, role, seconds)
        if stored.metadata != wanted.metadata:
            found.append(f"{label}: its metadata differs")
        if len(stored.cells) != len(wanted.cells):
            found.append(f"{label} has {len(stored.cells)} cells, not {len(wanted.cells)}")
        pairs = zip(stored.cells, wanted.cells, strict=False)
        for number, (one, other) in enumerate(pairs, start=1):
            for part in ("cell_type", "id", "metadata", "source"):
                if one[part] != other[part]:
                    found.append(f"{label}, cell {number}: its {part} differs")
    return found


def table(book: Book) -> str:
    """Return the README's table of chapters, as Markdown."""
    seconds, minutes = book.seconds(), 0
    rows = [
        "| no. | chapter | question | in the papers | your minutes | the machine's seconds |",
        "|---|---|---|---|---|---|",
    ]
    for path in book.sources():
        chapter = read_chapter(path)
        minutes += int(chapter.minutes)
        target = book.notebook(chapter.name, "student").relative_to(book.root).as_posix()
        cells = [
            chapter.number,
            f"[{chapter.title}]({target})",
            chapter.question,
            chapter.paper,
            chapter.minutes,
            seconds.get(chapter.name, "?"),
        ]
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    last = f"In all {len(rows) - 2} chapters, and about {round(minutes / 60)} hours of your time."
    return "\n".join([*rows, "", last])


def readme_with_table(book: Book) -> str:
    """Return the text of the README with a fresh table between its two marks."""
    text = book.readme.read_text(encoding="utf-8")
    return fill_between(text, TABLE_START, TABLE_END, table(book))


def dump(notebook: NotebookNode) -> str:
    """Return the text of a notebook file, the same for the same notebook."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def choose(names: list[str], book: Book) -> list[Path]:
    """Return the sources that are meant by names such as ``00``, ``00_start_here`` or a path.

    Raises
    ------
    ConfigError
        If there is no such chapter.
    """
    sources = book.sources()
    chosen = []
    for name in names:
        stem = Path(name).stem
        hits = [path for path in sources if path.stem == stem or path.stem.split("_")[0] == stem]
        if not hits:
            raise ConfigError(
                f"there is no chapter {name!r}",
                allowed=", ".join(path.stem for path in sources) or "none, there are none yet",
            )
        chosen += hits
    return chosen or sources


def main(names: list[str], only_check: bool = False, run: bool = True) -> int:
    """Build or compare the chapters that are named, all if none; return the exit status."""
    book = Book()
    problems = []
    for path in choose(names, book):
        if only_check:
            problems += check(path, book)
            continue
        built = build(path, book, run)
        print(f"{path.stem}: {size(built['student'])}", flush=True)
    readme = readme_with_table(book)
    if readme != book.readme.read_text(encoding="utf-8"):
        if only_check:
            problems.append("README.md: its table of chapters is out of date")
        else:
            write_whole(book.readme, readme)
    for problem in problems:
        print(problem)
    if only_check:
        print("To build them again: python3 -m course notebooks" if problems else "all up to date")
    return 1 if problems else 0
