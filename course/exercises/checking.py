"""Check a reader's answer on hidden cases and say one short thing about it."""

from __future__ import annotations

import copy
import dataclasses
import dis
import inspect
import linecache
import secrets
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from course.errors import ExerciseError
from course.exercises.compare import difference
from course.exercises.exercise import Exercise, Result
from course.exercises.registry import find

#: What a stub looks like when it is called or given.
_EMPTY = (None, Ellipsis, NotImplemented)


def check(exercise: str | Exercise, answer: Any, *, seed: int | None = None) -> Result:
    """Check an answer; a wrong one is told in the verdict and never raises.

    Parameters
    ----------
    exercise : the exercise, or its id, such as ``"01-ctr-by-position"``
    answer : the function itself (not its result)
    seed : of the hidden cases; fresh at each call when left out

    Returns
    -------
    Result with ``status`` and ``message``; shows itself as the last expression of a cell

    Raises
    ------
    ExerciseError
        If there is no such exercise, or the exercise itself is broken.
    """
    exercise = find(exercise)
    rng = np.random.default_rng(secrets.randbits(64) if seed is None else seed)
    return Result(exercise.id, *_judge(exercise, answer, rng))


def answer(exercise: str | Exercise, given: Any) -> Any:
    """Check an answer, show the verdict, and return what the notebook goes on with.

    That is the reader's own function when it is right, and the course's otherwise, so that a
    notebook always runs to its end.
    """
    exercise = find(exercise)
    result = check(exercise, given)
    if result.status != "correct":
        ours = f"{exercise.reference.__module__}.{exercise.reference.__qualname__}"
        message = f"{result.message} The notebook goes on with {ours}.".strip()
        result = dataclasses.replace(result, message=message)
    result.show()
    return given if result.status == "correct" else exercise.reference


def _is_ours(exercise: Exercise, given: Any) -> bool:
    """Tell whether an answer was taken from the package instead of written."""
    reference = exercise.reference
    if given is reference:
        return True
    given = inspect.unwrap(getattr(given, "func", given))
    if getattr(given, "__code__", 0) is getattr(reference, "__code__", 1):
        return True
    if isinstance(given, type) and reference in given.__mro__:
        return not any(map(callable, vars(given).values()))  # a subclass that adds nothing
    return str(getattr(given, "__module__", "")).startswith("course.lessons")


def is_empty(value: Any) -> bool:
    """Tell whether a value is what a stub returns: None, ``...``, or a tuple of only those."""
    if isinstance(value, tuple):
        return bool(value) and all(is_empty(part) for part in value)
    return any(value is empty for empty in _EMPTY)


def _judge(exercise: Exercise, answer: Any, rng: np.random.Generator) -> tuple[Any, str]:
    if is_empty(answer):
        return "not answered", ""
    if not callable(answer):
        return "wrong", (
            f"A function was asked for, got {type(answer).__name__}. "
            "Hand over the function itself, without calling it."
        )
    if _is_ours(exercise, answer):
        return "wrong", "This is the course's own function. Write yours, then it counts."
    cases, expected = _hidden_cases(exercise, rng)
    outputs: list[Any] = []
    for arguments in cases:
        given = copy_input(arguments)
        try:
            output = _read(exercise, answer(*given))
        except NotImplementedError:
            return "not answered", ""
        except (Exception, SystemExit) as error:
            return "error", _describe(error, answer)
        if is_empty(output):
            return "not answered", _forgotten_return(answer) if output is None else ""
        changed = _changed(exercise, arguments, given)
        if changed:
            return "wrong", changed
        outputs.append(output)
    wrong = []
    for arguments, output, right in zip(cases, outputs, expected, strict=True):
        found = _differs(exercise, output, right, arguments)
        if found:
            wrong.append((_size(arguments), found, arguments))
    if not wrong:
        return "correct", "" if len(cases) == 1 else f"It holds on {len(cases)} hidden cases."
    for mistake in exercise.mistakes:
        if _makes(exercise, mistake.function, cases, outputs):
            return "wrong", mistake.message
    _, found, arguments = min(wrong, key=lambda entry: entry[0])
    return "wrong", f"{found[:1].upper()}{found[1:]}.{_for_input(exercise, arguments)}"


def _hidden_cases(
    exercise: Exercise, rng: np.random.Generator
) -> tuple[list[tuple[Any, ...]], list[Any]]:
    try:
        cases = [tuple(arguments) for arguments in exercise.cases(rng)]
        made = (exercise.reference(*copy_input(arguments)) for arguments in cases)
        expected = [_read(exercise, output) for output in made]
    except Exception as error:
        raise ExerciseError(
            f"the exercise {exercise.id} is broken: {type(error).__name__}: {error}",
            fix="this is not your mistake; please report it",
        ) from error
    if not cases:
        raise ExerciseError(f"the exercise {exercise.id} is broken: it has no cases")
    return cases, expected


def _read(exercise: Exercise, output: Any) -> Any:
    """What is compared: the output itself, or what `Exercise.read` makes of it."""
    return output if exercise.read is None or is_empty(output) else exercise.read(output)


def _differs(exercise: Exercise, got: Any, right: Any, arguments: tuple[Any, ...]) -> str | None:
    if exercise.compare is not None:
        return exercise.compare(got, right, *copy_input(arguments))
    return difference(got, right, exercise.tolerance, arguments)


def _makes(
    exercise: Exercise, mistaken: Callable[..., Any], cases: list[Any], outputs: list[Any]
) -> bool:
    """Tell whether the outputs are those of a known mistake, on all cases."""
    for arguments, output in zip(cases, outputs, strict=True):
        try:
            expected = _read(exercise, mistaken(*copy_input(arguments)))
            if difference(output, expected, exercise.tolerance, arguments):
                return False
        except Exception:
            return False  # the mistake does not even run here, so it is not this one
    return True


# --- words


def _describe(error: BaseException, answer: Callable[..., Any]) -> str:
    """Say type, message and the reader's own line of an exception."""
    code = getattr(inspect.unwrap(answer), "__code__", None)
    line = ""
    trace = error.__traceback__
    while trace is not None and code is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            line = f" In line {trace.tb_lineno}" + (f": {text}" if text else "")
        trace = trace.tb_next
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}.{line}"


# A stub's byte code does nothing but return or raise; what does more is an attempt.
_IDLE = {"RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "POP_TOP", "NOP", "STORE_FAST",
         "LOAD_FAST", "LOAD_GLOBAL", "RAISE_VARARGS", "COPY_FREE_VARS", "MAKE_CELL",
         "LOAD_COMMON_CONSTANT", "LOAD_FAST_BORROW", "NOT_TAKEN", "LOAD_SMALL_INT"}  # fmt: skip


def _forgotten_return(answer: Callable[..., Any]) -> str:
    code = getattr(answer, "__code__", None)
    if not isinstance(code, types.CodeType):
        return ""
    if {instruction.opname for instruction in dis.get_instructions(code)} <= _IDLE:
        return ""
    return "Your function gives nothing back: is its `return` still missing?"


def _for_input(exercise: Exercise, arguments: tuple[Any, ...]) -> str:
    """Show the input of a small failing case; its numbers are random, so they give nothing away."""
    if _size(arguments) > 24:
        return ""
    names = list(inspect.signature(exercise.reference).parameters)
    parts = []
    for name, value in zip(names, arguments, strict=False):
        text = (
            np.array2string(np.asarray(value), precision=3, separator=", ")
            if isinstance(value, np.ndarray)
            else repr(value)
        )
        if "\n" in text or len(text) > 90 or " at 0x" in text:
            return ""
        parts.append(f"{name} = {text}")
    return f" For example with {', '.join(parts)}." if parts else ""


# --- inputs


def copy_input(value: Any) -> Any:
    """Copy arrays, tables, tensors, generators and what holds them (containers, data classes)."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(copy_input, value))
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(copy_input(part) for part in value)
    if isinstance(value, Mapping) and isinstance(value, dict):
        return {key: copy_input(part) for key, part in value.items()}
    if isinstance(value, np.random.Generator) or hasattr(value, "state_dict"):
        return copy.deepcopy(value)
    if hasattr(value, "detach") and hasattr(value, "clone"):
        # A copy would not belong to the graph of what was computed from it.
        return value if value.requires_grad else value.detach().clone()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # Requests, Logs
        return dataclasses.replace(value, **copy_input(vars(value)))
    if type(value).__module__.split(".")[0] in ("pandas", "scipy") and hasattr(value, "copy"):
        return value.copy()
    return value


def _changed(exercise: Exercise, before: tuple[Any, ...], after: tuple[Any, ...]) -> str:
    names = list(inspect.signature(exercise.reference).parameters)
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        if not _same(one, other):
            name = names[place] if place < len(names) else f"number {place + 1}"
            return (
                f"You changed the input `{name}` in place; whoever called your function still "
                "needs it. Work on a copy."
            )
    return ""


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.random.Generator) or hasattr(one, "state_dict"):
        return True  # drawing from a generator, or training a copy, is no mistake
    if type(one).__module__.split(".")[0] == "pandas":
        return bool(one.equals(other))
    if hasattr(one, "nnz"):  # a sparse table
        return one.shape == other.shape and not (one != other).nnz
    if dataclasses.is_dataclass(one):
        return _same(vars(one), vars(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) or hasattr(one, "detach"):
        a, b = (np.asarray(part.detach() if hasattr(part, "detach") else part)
                for part in (one, other))  # fmt: skip
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    return bool(one == other)


def _size(arguments: tuple[Any, ...]) -> int:
    """Count the numbers in a case: the smallest failing case is the easiest to understand."""
    total = 0
    for value in arguments:
        if isinstance(value, list | tuple | set | frozenset):
            total += _size(tuple(value))
        elif isinstance(value, dict):
            total += _size(tuple(value.values()))
        else:
            shape = getattr(value, "shape", ())
            total += int(np.prod(shape)) if isinstance(shape, tuple) else 1
    return total
