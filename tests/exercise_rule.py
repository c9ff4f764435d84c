"""What every exercise must hold."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from course.exercises import Exercise, check


def assert_exercise(
    exercise: Exercise,
    right_alternatives: Sequence[Callable] = (),
    wrong: Sequence[Callable] = (),
    seeds: Sequence[int] = (1, 2, 3),
) -> None:
    """Assert that an exercise tells right from wrong, on several hidden seeds.

    A stub is "not answered", every known mistake is wrong with its own message, the reference as a
    reader would write it and each right alternative are correct, and the course's own function and
    an answer that repeats numbers are wrong. The same verdict falls, right or wrong, when reference
    and mistakes count in single precision.
    """

    def verdict(answer: Any, seed: int = seeds[0]):
        return check(exercise, answer, seed=seed)

    assert verdict(exercise.reference).status == "wrong", f"{exercise.id}: the course's own counts"
    for stub in (None, ..., raises, *(lambda *_, v=v: v for v in (None, ..., NotImplemented))):
        assert verdict(stub).status == "not answered", f"{exercise.id}: a stub is {verdict(stub)}"
    own = as_written_by_a_reader(exercise)
    for seed in seeds:
        for right in (own, in_single(own), *right_alternatives):
            found = verdict(right, seed)
            assert found.status == "correct", f"{exercise.id}, seed {seed}: {found}"
        for mistake in exercise.mistakes:
            found = verdict(mistake.function, seed)
            assert (found.status, found.message) == ("wrong", mistake.message), (
                f"{exercise.id}, seed {seed}: the mistake {mistake.message!r} is {found}"
            )
        for answer in (*wrong, repeater(exercise, seed)):
            found = verdict(answer, seed)
            assert found.status in ("wrong", "error"), f"{exercise.id}, seed {seed}: {found}"
    for mistake in exercise.mistakes:
        found = verdict(in_single(mistake.function))
        assert found.status == "wrong", f"{exercise.id}: {mistake.message!r} is {found}"
    messages = [mistake.message for mistake in exercise.mistakes]
    assert len(set(messages)) == len(messages), f"{exercise.id}: two mistakes say the same"


def raises(*arguments: Any) -> Any:
    raise NotImplementedError


def as_written_by_a_reader(exercise: Exercise) -> Any:
    """The reference as if a reader had written the same; taken as it is, it is refused."""
    ours = exercise.reference
    if not isinstance(ours, type):
        return lambda *arguments: ours(*arguments)
    scope = {**vars(sys.modules[ours.__module__]), "__name__": "__main__"}
    exec(inspect.getsource(ours), scope)
    return scope[ours.__name__]


def in_single(function: Callable) -> Callable:
    """The same function, which gets all its numbers as float32."""
    return lambda *arguments: function(*map(single, arguments))


def single(value: Any) -> Any:
    """Numbers, arrays, tables and containers of them with float32 for float64."""
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, list | tuple):
        return type(value)(map(single, value))
    if isinstance(value, dict):
        return {key: single(part) for key, part in value.items()}
    if hasattr(value, "columns"):
        return value.astype({name: np.float32 for name in value.select_dtypes("float64")})
    return value.astype(np.float32) if getattr(value, "dtype", None) == np.float64 else value


def repeater(exercise: Exercise, seed: int) -> Callable:
    """A function that repeats the right outputs of other hidden cases, in order."""
    cases = [tuple(case) for case in exercise.cases(np.random.default_rng(seed + 1000))]
    calls = iter([exercise.reference(*case) for case in cases] * 100)
    return lambda *arguments: next(calls)
