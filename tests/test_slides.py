"""Slides are made of the chapters' own figures and summaries, and show no code."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course import __main__ as cli
from course.workshop import slides
from course.workshop.book import Book


def picture(words):
    return new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": words},
                      metadata={"image/png": {"alt": words}})  # fmt: skip


def small():
    return new_notebook(cells=[
        new_markdown_cell("# 00 · A title\n\n**Promise.** You will see.\n\n* **Papers.** P1."),
        new_markdown_cell("## 1. Waves\n\nA reason."),
        new_code_cell("secret = 1", outputs=[picture("one"), picture("two")]),
        new_markdown_cell("*What to see:* two waves.\n\nMore words."),
        new_code_cell("no_figure = 2", outputs=[new_output("stream", text="printed")]),
        new_markdown_cell("## Summary\n\n1. Waves.\n2. More.\n\n**Limits.** Few."),
    ])  # fmt: skip


def test_a_slide_for_each_figure_between_promise_and_summary():
    found = list(slides.slides(small()))
    assert [words for words, *_ in found] == ["# 00 · A title\n\n**Promise.** You will see.",
        "## 1. Waves", "## 1. Waves", "## Summary\n\n1. Waves.\n2. More."]  # fmt: skip
    assert [below for *_, below in found] == ["", "", "*What to see:* two waves.", ""]
    deck = slides.deck(small())
    assert sum("slideshow" in cell.metadata for cell in deck.cells) == 4
    assert "secret" not in nbformat.writes(deck) and "printed" not in nbformat.writes(deck)


def test_one_command_writes_a_file_with_the_words_of_its_figures(tmp_path):
    assert cli.main(["slides", "08", "--folder", str(tmp_path), "--reveal", "reveal.js"]) == 0
    text = (tmp_path / "08_many_objectives.slides.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64") >= 9 and "reveal.js/dist/reveal.js" in text
    assert slides.NO_WORDS not in text and 'alt="True correlations of the tasks' in text
    assert "import torch" not in text and "REPOSITORY" not in text


def test_every_chapter_has_slides():
    book = Book()
    for path in book.sources():
        found = list(
            slides.slides(nbformat.read(book.notebook(path.stem, "student"), as_version=4))
        )
        assert 8 < len(found) < 25 and all(words.strip() for words, *_ in found), path.stem
        assert "**Promise.**" in found[0][0] and found[-1][0].startswith("## Summary\n\n1. ")
