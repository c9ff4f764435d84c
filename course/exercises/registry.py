"""Find an exercise by its id; only the module of its own chapter is imported."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re

import course.exercises
from course.errors import ExerciseError
from course.exercises.exercise import Exercise


def chapters() -> list[int]:
    """Return the numbers of the chapters that have exercises."""
    names = [module.name for module in pkgutil.iter_modules(course.exercises.__path__)]
    found = [re.fullmatch(r"chapter_(\d\d)", name) for name in names]
    return sorted(int(match.group(1)) for match in found if match)


def of_chapter(chapter: int) -> tuple[Exercise, ...]:
    """Return the exercises of a chapter, in the order of the notebook.

    Parameters
    ----------
    chapter : int
        Chapter number; its module ``course.exercises.chapter_NN`` has a tuple ``EXERCISES``.

    Raises
    ------
    ExerciseError
        If the chapter has no exercises, or they carry wrong or repeated ids.
    """
    if chapter not in chapters():
        raise ExerciseError(
            f"chapter {chapter} has no exercises", allowed=", ".join(map(str, chapters()))
        )
    module = importlib.import_module(f"course.exercises.chapter_{chapter:02d}")
    exercises = tuple(module.EXERCISES)
    ids = [exercise.id for exercise in exercises]
    if len(set(ids)) < len(ids) or any(exercise.chapter != chapter for exercise in exercises):
        raise ExerciseError(
            f"chapter_{chapter:02d} lists {ids}", allowed=f"each id once, chapter {chapter} only"
        )
    return exercises


def find(exercise_id: str) -> Exercise:
    """Return the exercise with this id.

    Raises
    ------
    ExerciseError
        If there is none; the message lists those there are.
    """
    match = re.match(r"(\d\d)-", exercise_id) if isinstance(exercise_id, str) else None
    number = int(match.group(1)) if match else None
    searched = [number] if number in chapters() else chapters()
    known = {exercise.id: exercise for chapter in searched for exercise in of_chapter(chapter)}
    if exercise_id in known:
        return known[exercise_id]
    close = difflib.get_close_matches(str(exercise_id), known, n=1)
    raise ExerciseError(
        f"there is no exercise {exercise_id!r}",
        allowed=", ".join(known) or "none yet",
        fix=f'did you mean "{close[0]}"?' if close else "",
    )
