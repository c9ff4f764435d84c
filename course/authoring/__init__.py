"""From the text of a chapter to its two notebooks: read, check, build."""

from course.authoring.book import Book, build, check, main
from course.authoring.chapters import SETUP_CELL, Chapter, read_chapter
from course.authoring.checks import measure

__all__ = ["SETUP_CELL", "Book", "Chapter", "build", "check", "main", "measure", "read_chapter"]
