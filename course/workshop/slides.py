"""Slides for a class, from the figures and summaries of the chapters, by nbconvert.

A slide has the heading of its section, a figure, and what is to be seen on it; the first has the
chapter's promise, the last its summary. Nothing is written for the slides alone, so they cannot
say something else than the chapter. The browser loads reveal.js from the web; without a network,
give nbconvert's option for another place: ``--reveal FOLDER``.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.paths import write_whole
from course.workshop.book import Book, choose

SEE = "*What to see:*"
NO_WORDS = 'alt="No description has been provided for this image"'


def main(names: list[str], folder: Path, reveal: str | None = None) -> int:
    """Write ``NN_name.slides.html`` for each chapter that is named, all if none.

    Parameters
    ----------
    names : chapters such as 00
    folder : where the files go
    reveal : address or folder of reveal.js; None for nbconvert's own choice
    """
    settings = {"reveal_url_prefix": reveal} if reveal else {}
    silent = logging.Logger("slides", logging.ERROR)  # it remarks on words that are filled in below
    exporter = SlidesExporter(
        exclude_input=True, exclude_output_prompt=True, log=silent, **settings
    )
    book = Book()
    for path in choose(names, book):
        notebook = nbformat.read(book.notebook(path.stem, "student"), as_version=4)
        made = deck(notebook)
        text, _ = exporter.from_notebook_node(made)
        for output in [output for cell in made.cells for output in cell.get("outputs", [])]:
            words = output.metadata["image/png"]["alt"]  # nbconvert's slides leave it out
            text = text.replace(NO_WORDS, f'alt="{html.escape(words)}"', 1)
        goal = folder / f"{path.stem}.slides.html"
        write_whole(goal, text)
        print(goal, flush=True)
    return 0


def deck(notebook: NotebookNode) -> NotebookNode:
    """The notebook of the slides of a chapter's notebook: a text, or a text and a figure, each."""
    cells: list[NotebookNode] = []
    for words, figure, below in slides(notebook):
        first = new_markdown_cell(words, metadata={"slideshow": {"slide_type": "slide"}})
        cells += [first, *([figure] if figure else []), *([new_markdown_cell(below)] * bool(below))]
    return new_notebook(cells=cells, metadata=notebook.metadata)


def slides(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode | None, str]]:
    """Each slide's words above, figure, and words below."""
    heading, cells = "", notebook.cells
    title, *rest = cells[0].source.split("\n\n")
    yield (
        "\n\n".join([title, *[part for part in rest if part.startswith("**Promise.**")]]),
        None,
        "",
    )
    for cell, after in zip(cells, [*cells[1:], new_markdown_cell()], strict=True):
        if cell.cell_type == "markdown":
            parts = cell.source.split("\n\n")
            for place, part in enumerate(parts):
                if part.startswith("## "):
                    heading = part
                if part == "## Summary":
                    yield "\n\n".join([part, parts[place + 1]]), None, ""
            continue
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                seen = [part for part in after.source.split("\n\n") if part.startswith(SEE)]
                last = output is cell.outputs[-1]
                yield heading, new_code_cell(outputs=[output]), "".join(seen[:1] if last else [])
