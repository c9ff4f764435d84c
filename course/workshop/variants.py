"""Graded variants: exercises whose questions change with a cohort's number.

They stand in ``tests/graded/chapter_NN.py`` of the whole repository as a tuple ``VARIANTS``, and no
hand-out holds that folder. A text of a variant has tokens such as ``{{alpha}}``, which are filled
with the numbers that the cohort drew.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from course.checks import check_whole
from course.errors import ExerciseError
from course.exercises.exercise import Exercise
from course.paths import load_by_path, repository_root


@dataclass(frozen=True)
class Variant:
    """A graded question: the skill of an exercise of the chapter, asked in another way.

    Parameters
    ----------
    id : chapter, a dash and a name: ``"02-graded-hit-score"``
    title, points : as the student reads them
    draw : ``draw(rng)`` gives the numbers of a cohort by name
    statement, stub : Markdown, and a cell with one function that is to be written
    make : ``make(**numbers)`` gives the parts of an `Exercise` without its id: reference, cases,
        mistakes, and whatever else it needs
    example : arguments for which the statement shows the answer
    right, wrong : sources of right answers, written in other ways than the reference, and of wrong
        ones; the first right one is a lone function
    """

    id: str
    title: str
    points: int
    draw: Callable[[np.random.Generator], Mapping[str, Any]]
    statement: str
    stub: str
    make: Callable[..., Mapping[str, Any]]
    example: tuple[Any, ...]
    right: Sequence[str]
    wrong: Sequence[str]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d-graded-[\w-]+", self.id):
            raise ExerciseError(
                f"the id of a graded variant is {self.id!r}", allowed='such as "02-graded-name"'
            )

    @property
    def chapter(self) -> int:
        """Number of the chapter."""
        return int(self.id[:2])

    @property
    def function(self) -> str:
        """Name of the function that is to be written."""
        return re.search(r"^def (\w+)", self.stub, re.MULTILINE).group(1)

    def seed(self, cohort: int) -> list[int]:
        """What the hidden cases of a cohort are drawn from."""
        check_whole("cohort", cohort, 0)
        return [cohort, zlib.crc32(self.id.encode())]

    def numbers(self, cohort: int) -> Mapping[str, Any]:
        """The numbers of a cohort, each of them another one than that of the cohort before."""
        century, year = divmod(self.seed(cohort)[0], 100)
        rng = np.random.default_rng(self.seed(century))
        found = self.draw(rng)
        for _ in range(year):
            last, found = found, self.draw(rng)
            while any(found[name] == last[name] for name in last):
                found = self.draw(rng)
        return found

    def exercise(self, cohort: int) -> Exercise:
        """The exercise that an answer of this cohort is judged by."""
        return Exercise(id=self.id, **self.make(**self.numbers(cohort)))

    def fill(self, text: str, cohort: int) -> str:
        """A text with the numbers of a cohort for its tokens."""
        for name, value in self.numbers(cohort).items():
            text = text.replace("{{" + name + "}}", str(value))
        return text.strip("\n")

    def question(self, cohort: int) -> str:
        """The Markdown that stands above the stub."""
        value = self.exercise(cohort).reference(*self.example)
        given = ", ".join(map(_shown, self.example))
        return (
            f"**{self.title}** ({self.points} points, `{self.id}`)\n\n"
            f"{self.fill(self.statement, cohort)}\n\n"
            f"For example, `{self.function}({given})` is `{_shown(value, 5)}`."
        )


def _shown(value: Any, digits: int = 8) -> str:
    """A value of an example as a reader would write it."""
    if hasattr(value, "shape"):
        kind = "torch.tensor" if hasattr(value, "detach") else "np.array"
        array = np.asarray(value)
        if array.ndim == 0:
            return f"{array.item():.{digits}g}"
        text = np.array2string(array, separator=", ", precision=digits).replace("\n", "")
        return f"{kind}({re.sub(' +', ' ', text)})"
    if isinstance(value, tuple | list):
        inside = ", ".join(_shown(part, digits) for part in value)
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else repr(value)


def folder() -> Path:
    """Where the variants stand, in the whole repository only."""
    return repository_root() / "tests" / "graded"


def load(chapters: Sequence[int] | None = None) -> list[Variant]:
    """The variants of some chapters, of all that have any if none are named.

    Raises
    ------
    ExerciseError
        If this is a hand-out, or a chapter has no variants.
    """
    files = {int(path.stem[-2:]): path for path in sorted(folder().glob("chapter_[0-9][0-9].py"))}
    if not files:
        raise ExerciseError(
            f"there are no graded variants in {folder()}",
            fix="use the instructor's whole repository; a hand-out has none, on purpose",
        )
    missing = [chapter for chapter in chapters or () if chapter not in files]
    if missing:
        raise ExerciseError(
            f"no graded variants for chapter {', '.join(map(str, missing))}",
            allowed=", ".join(map(str, files)),
        )
    chosen = files if chapters is None else chapters
    return [variant for chapter in chosen for variant in load_by_path(files[chapter]).VARIANTS]
