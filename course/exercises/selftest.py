"""What every exercise must hold; used by the tests of each chapter's exercises."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from course.exercises.checking import check
from course.exercises.exercise import Exercise

#: Seeds of the hidden cases on which an exercise is tried.
SEEDS = (1, 2, 3, 4, 5)


def assert_exercise(
    exercise: Exercise,
    *,
    right_alternatives: Sequence[Any] = (),
    wrong: Sequence[Any] = (),
    seeds: Sequence[int] = SEEDS,
) -> None:
    """Assert that an exercise tells right from wrong, on several hidden seeds.

    The stub is "not answered", every known mistake is wrong with its own message, the reference
    and each right alternative are correct, and an answer that repeats numbers is wrong. The same
    verdict falls, right or wrong, when reference and mistakes count in single precision.

    Parameters
    ----------
    exercise : Exercise
    right_alternatives : sequence
        Right answers that are written differently from the reference (or other right values).
    wrong : sequence
        Further wrong answers, without a message of their own.
    seeds : sequence of int
        Seeds of the hidden cases.

    Raises
    ------
    AssertionError
        If any of this does not hold.
    """
    if exercise.kind == "function":
        verdict = check(exercise, exercise.reference, show=False, seed=seeds[0])
        assert verdict.status == "wrong", f"{exercise.id}: the course's own function is {verdict}"
    for stub in _stubs(exercise):
        verdict = check(exercise, stub, show=False, seed=seeds[0])
        assert verdict.status == "not answered", f"{exercise.id}: a stub is {verdict}"
    for seed in seeds:
        own = as_written_by_a_reader(exercise, seed)
        for right in (own, _in_single(exercise, own), *right_alternatives):
            verdict = check(exercise, right, show=False, seed=seed)
            assert verdict.status == "correct", f"{exercise.id}, seed {seed}: {verdict}"
        for mistake in exercise.mistakes:
            answer = _given(exercise, mistake.function, seed)
            verdict = check(exercise, answer, show=False, seed=seed)
            assert (verdict.status, verdict.message) == ("wrong", mistake.message), (
                f"{exercise.id}, seed {seed}: the mistake {mistake.message!r} is {verdict}"
            )
        for answer in (*wrong, *_repeaters(exercise, seed)):
            verdict = check(exercise, answer, show=False, seed=seed)
            assert verdict.status in ("wrong", "error"), f"{exercise.id}, seed {seed}: {verdict}"
    for mistake in exercise.mistakes:
        answer = _in_single(exercise, _given(exercise, mistake.function, seeds[0]))
        verdict = check(exercise, answer, show=False, seed=seeds[0])
        assert verdict.status == "wrong", f"{exercise.id}: {mistake.message!r} is {verdict}"
    messages = [mistake.message for mistake in exercise.mistakes]
    assert len(set(messages)) == len(messages), f"{exercise.id}: two mistakes say the same"


def _stubs(exercise: Exercise) -> list[Any]:
    if exercise.kind == "value":
        return [None, ..., NotImplemented, "", "..."]

    def raises(*arguments: Any) -> Any:
        raise NotImplementedError

    returns: list[Callable[..., Any]] = [
        lambda *arguments, value=value: value for value in (None, ..., NotImplemented)
    ]
    return [None, ..., raises, *returns]


def as_written_by_a_reader(exercise: Exercise, seed: int) -> Any:
    """Return the reference as if a reader had written the same; taken as it is, it is refused."""
    ours = exercise.reference
    if exercise.kind == "value":
        return _given(exercise, ours, seed)
    if not isinstance(ours, type):
        return lambda *arguments: ours(*arguments)
    scope = {**vars(sys.modules[ours.__module__]), "__name__": "__main__"}
    exec(inspect.getsource(ours), scope)
    return scope[ours.__name__]


def _given(exercise: Exercise, function: Any, seed: int) -> Any:
    """Return what a reader would hand over: the function, or the value that it gives."""
    if exercise.kind == "function":
        return function
    case = next(iter(exercise.cases(np.random.default_rng(seed))))
    value = function(*case) if callable(function) else function
    return sorted(value)[0] if isinstance(value, set | frozenset) else value


def _in_single(exercise: Exercise, answer: Any) -> Any:
    """Return the same function, which gets all its numbers as float32."""
    if exercise.kind == "value":
        return answer
    return lambda *arguments: answer(*map(in_single, arguments))


def in_single(value: Any) -> Any:
    """Return numbers, arrays, tables and containers of them with float32 for float64."""
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, list | tuple):
        return type(value)(map(in_single, value))
    if isinstance(value, dict):
        return {key: in_single(part) for key, part in value.items()}
    if hasattr(value, "columns"):
        return value.astype({name: np.float32 for name in value.select_dtypes("float64")})
    return value.astype(np.float32) if getattr(value, "dtype", None) == np.float64 else value


def _repeaters(exercise: Exercise, seed: int) -> list[Callable[..., Any]]:
    """Return a function that repeats the right outputs of other hidden cases, in order."""
    if exercise.kind == "value":
        return []
    cases = [tuple(case) for case in exercise.cases(np.random.default_rng(seed + 1000))]
    outputs = [exercise.reference(*case) for case in cases]
    calls = iter(outputs * 100)
    return [lambda *arguments: next(calls)]
