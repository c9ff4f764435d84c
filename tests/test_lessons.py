"""What chapters export: the modules of ``course.lessons`` are the tagged cells, nothing else."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import test_build

import course.lessons
from course.errors import ConfigError
from course.workshop import book as building
from course.workshop.book import Book
from course.workshop.chapters import read_chapter
from course.workshop.lessons import module_text

book, source = test_build.book, test_build.source  # fixtures
HEADED = test_build.CHAPTER.replace("minutes: 5\n", "minutes: 5\n#   lesson: sorting\n")
EXPORTED = HEADED.replace(
    'tags=["solution"]\nanswer = sorted(numbers, reverse=True)',
    'tags=["solution", "export"]\ndef down(values):\n    """Sort (n,)."""\n'
    "    return sorted(values, reverse=True)",
).replace("answer = None", "down = None").replace("if answer is", "if down is") + """
# %% tags=["export"]
LIMIT: int = 3
""".replace("\n#", "\n\n#", 1)  # fmt: skip


@pytest.fixture
def exporting(source):
    source.write_text(EXPORTED, encoding="utf-8")
    (source.parents[2] / "course" / "lessons").mkdir(parents=True)
    return source


def test_the_module_is_the_exported_cells_in_order(book, exporting):
    building.build(exporting, book, run=False)
    text = (book.root / "course" / "lessons" / "sorting.py").read_text(encoding="utf-8")
    assert text == (
        '"""Tiny.\n\nWritten in notebooks/source/07_tiny.py, and there only.\n"""\n\n'
        'def down(values):\n    """Sort (n,)."""\n    return sorted(values, reverse=True)\n\n\n'
        "LIMIT: int = 3\n"
    )
    assert building.check(exporting, book) == []
    book.lesson(read_chapter(exporting)).write_text("changed = 1\n", encoding="utf-8")
    assert building.check(exporting, book)[0] == (
        "course/lessons/sorting.py is not what 07_tiny.py says"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("LIMIT: int = 3", "LIMIT: int = = 3", "cell 8, line 1: .*'LIMIT: int = = 3'"),
        ("LIMIT: int = 3", "%time down([1])", "cell 8, line 1: .*Python without magics"),
        ("LIMIT: int = 3", "def down(x): pass", "cell 8 exports 'down', and so does cell 6"),
        ("LIMIT: int = 3", "a, down = 1, 2", "cell 8 exports 'down', and so does cell 6"),
        ('["exercise"]', '["exercise", "export"]', "cell 5: a text or a stub"),
        ("#   lesson: sorting\n", "", "names no lesson"),
        ("lesson: sorting", "lesson: 3", "lesson"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_place(book, exporting, old, new, message):
    test_build.rewrite(exporting, old, new)
    with pytest.raises(ConfigError, match=message):
        building.build(exporting, book, run=False)
    assert not book.notebook("07_tiny", "student").exists()


def test_a_name_belongs_to_one_lesson(book, exporting):
    other = book.root / "course" / "lessons" / "ordering.py"
    other.write_text("def down(x):\n    return x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="down is exported by sorting and by ordering"):
        building.build(exporting, book, run=False)


def test_every_module_is_what_its_chapter_says():
    real = Book()
    texts = {c.lesson: module_text(c) for c in map(read_chapter, real.sources()) if c.lesson}
    found = [module.name for module in pkgutil.iter_modules(course.lessons.__path__)]
    assert sorted(texts) == sorted(found)
    for lesson, text in texts.items():
        module = real.root / "course" / "lessons" / f"{lesson}.py"
        assert module.read_text(encoding="utf-8") == text, "python3 -m course notebooks"
        importlib.import_module(f"course.lessons.{lesson}")
