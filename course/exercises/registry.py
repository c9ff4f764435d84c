"""Find an exercise by its id; only the file of its own chapter is loaded."""

from __future__ import annotations

import difflib
import functools
import re
from pathlib import Path

from course.errors import ExerciseError
from course.exercises.exercise import Exercise
from course.paths import load_by_path, notebooks_dir


def folder() -> Path:
    """Return the folder with a file for each chapter that has exercises."""
    return notebooks_dir() / "exercises"


_module = functools.cache(load_by_path)


def chapters() -> list[int]:
    """Return the numbers of the chapters that have exercises."""
    return sorted(int(path.stem[-2:]) for path in folder().glob("chapter_[0-9][0-9].py"))


def of_chapter(chapter: int) -> tuple[Exercise, ...]:
    """Return the exercises of a chapter, in the order of the notebook.

    Its file ``notebooks/exercises/chapter_NN.py`` has them as a tuple ``EXERCISES``.

    Raises
    ------
    ExerciseError
        If the chapter has no exercises, or they carry wrong or repeated ids.
    """
    if chapter not in chapters():
        raise ExerciseError(
            f"chapter {chapter} has no exercises", allowed=", ".join(map(str, chapters()))
        )
    exercises = tuple(_module(folder() / f"chapter_{chapter:02d}.py").EXERCISES)
    ids = [exercise.id for exercise in exercises]
    if len(set(ids)) < len(ids) or any(int(one[:2]) != chapter for one in ids):
        raise ExerciseError(
            f"chapter_{chapter:02d} lists {ids}", allowed=f"each id once, chapter {chapter} only"
        )
    return exercises


def find(exercise_id: str | Exercise) -> Exercise:
    """Return the exercise with this id; an exercise is returned as it is.

    Raises
    ------
    ExerciseError
        If there is none; the message lists those there are.
    """
    if isinstance(exercise_id, Exercise):
        return exercise_id
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
