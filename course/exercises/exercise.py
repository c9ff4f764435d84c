"""What an exercise is: plain data, and the verdict on an answer."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from course.errors import ExerciseError

Status = Literal["not answered", "wrong", "correct", "error"]


@dataclass(frozen=True)
class Mistake:
    """A known wrong way, and what to say about it.

    Parameters
    ----------
    function : with the arguments of the reference; makes the mistake
    message : one sentence that names the mistake and not the answer
    """

    function: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Tolerance:
    """How far an answer may be from the reference: ``absolute + relative * |reference|``.

    Who counts in single precision (about seven digits, as torch does) gives five right ones.
    """

    relative: float = 1e-5
    absolute: float = 1e-5


@dataclass(frozen=True)
class Exercise:
    """All that is needed to check an answer; its words, hints and difficulty stand in the notebook.

    Parameters
    ----------
    id : chapter number, a dash and a name: ``"01-ctr-by-position"``
    reference : the right answer, a function of a case's arguments
    cases : ``cases(rng)`` yields tuples of arguments, drawn from a numpy Generator with a fresh
        seed at every check, so an answer that only repeats numbers fails
    mistakes : tried in this order on a wrong answer; the first that agrees on all cases is named
    tolerance : a `Tolerance`, or a function ``tolerance(reference value, *arguments)`` that says
        how far the answer may be, in the answer's unit
    compare : ``compare(got, expected, *arguments)`` returns None when ``got`` is right, else a
        sentence; replaces the comparison by value (several right answers, properties)
    read : ``read(output)`` turns what an answer returns into what is compared: the steps of a
        generator, the scores and gradients of a model

    Raises
    ------
    ExerciseError
        If the id has another form.
    """

    id: str
    reference: Callable[..., Any]
    cases: Callable[[np.random.Generator], Iterable[tuple[Any, ...]]]
    mistakes: Sequence[Mistake] = ()
    tolerance: Tolerance | Callable[..., Any] = Tolerance()
    compare: Callable[..., str | None] | None = None
    read: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d-.+", self.id):
            raise ExerciseError(f"the exercise id is {self.id!r}", allowed='such as "01-some-name"')


#: How each status is shown: sign, words, colour of the rim.
_LOOK: dict[str, tuple[str, str, str]] = {
    "correct": ("✓", "Correct", "#1b7a3d"),
    "wrong": ("✗", "Not yet right", "#b8340f"),
    "error": ("✗", "Your code stopped with an error", "#b8340f"),
    "not answered": ("…", "Not answered yet", "#8a8f98"),
}


@dataclass(frozen=True, repr=False)
class Result:
    """The verdict on one answer.

    Attributes
    ----------
    status : {"not answered", "wrong", "correct", "error"}
    message : what to change, or a word of praise
    """

    exercise_id: str
    status: Status
    message: str

    def __repr__(self) -> str:
        sign, words, _ = _LOOK[self.status]
        return f"{sign} {self.exercise_id}: {words}. {self.message}".rstrip()

    def _repr_html_(self) -> str:
        sign, words, rim = _LOOK[self.status]
        message = html.escape(self.message).replace("\n", "<br>")
        return (
            f"<div style='border-left:5px solid {rim};padding:.3em .8em;margin:.2em 0'>"
            f"<b>{sign} {html.escape(self.exercise_id)}: {words}.</b> {message}</div>"
        )

    def show(self) -> None:
        """Show the verdict: as a box in a notebook, as a line of text elsewhere."""
        from IPython.display import display

        display(self)
