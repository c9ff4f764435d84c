"""Exercises that answer back.

`check` runs an answer on hidden cases, drawn afresh each time, and says one short thing: not
answered yet, correct, or what is wrong. The exercises of chapter NN stand in
``notebooks/exercises/chapter_NN.py`` as a tuple ``EXERCISES``; a chapter's file is loaded when one
of its exercises is asked for.
"""

from course.exercises.exercise import Exercise, Mistake, Result, Tolerance

# isort: split
from course.exercises.checking import answer, check
from course.exercises.registry import chapters, find, of_chapter

__all__ = [
    "Exercise",
    "Mistake",
    "Result",
    "Tolerance",
    "answer",
    "chapters",
    "check",
    "find",
    "of_chapter",
]
