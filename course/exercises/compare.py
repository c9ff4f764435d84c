"""Compare an answer with the reference and say in plain words how they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from course.exercises.exercise import Tolerance


def difference(
    got: Any,
    expected: Any,
    tolerance: Tolerance | Callable[..., Any],
    arguments: Sequence[Any] = (),
) -> str | None:
    """Say in one sentence how ``got`` differs from ``expected``; None if it does not.

    Parameters
    ----------
    got, expected : number, array, tensor, column of a table, or a tuple of these
    tolerance : as of `course.exercises.Exercise`
    arguments : of the case, for a tolerance that is a function
    """
    if not isinstance(expected, tuple):
        return _arrays(got, expected, tolerance, arguments)
    if not isinstance(got, tuple | list) or len(got) != len(expected):
        length = f" with {len(got)} parts" if isinstance(got, tuple | list) else ""
        return f"expected {len(expected)} values in a tuple, got {_kind(got)}{length}"
    for place, (one, other) in enumerate(zip(got, expected, strict=True)):
        found = difference(one, other, tolerance, arguments)
        if found:
            return f"value {place + 1} of {len(expected)}: {found}"
    return None


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    if callable(value):
        return "a function"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _plain(value: Any) -> np.ndarray:
    """Return numbers as a numpy array: from lists, tables' columns, tensors."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "to_numpy"):
        value = value.to_numpy()
    return np.asarray(value)


def _arrays(got: Any, expected: Any, tolerance: Any, arguments: Any) -> str | None:
    wanted = _plain(expected)
    if isinstance(got, str | Mapping) or callable(got) and not hasattr(got, "__array__"):
        return f"expected {_name(wanted)}, got {_kind(got)}"
    try:
        found = _plain(got)
    except Exception:
        return f"expected {_name(wanted)}, got {_kind(got)} that is not an even grid of numbers"
    if found.shape != wanted.shape:
        return _shapes(found, wanted)
    if found.dtype.kind not in "biufc":
        return f"expected numbers, got entries of dtype {found.dtype}"
    if wanted.dtype.kind == "b" and found.dtype.kind != "b":
        return f"expected True or False, got numbers of dtype {found.dtype}"
    if isinstance(tolerance, Tolerance):
        half = tolerance.absolute + tolerance.relative * np.abs(wanted.astype(float))
    else:
        half = np.asarray(tolerance(expected, *arguments), dtype=float)
    return _numbers(found, wanted, np.broadcast_to(half, wanted.shape))


def _name(wanted: np.ndarray) -> str:
    return "a number" if wanted.ndim == 0 else f"an array of shape {wanted.shape}"


def _shapes(found: np.ndarray, wanted: np.ndarray) -> str:
    if wanted.ndim == 0:
        return f"return one number, not {found.size} of them"
    words = f"the shape is {found.shape} instead of {wanted.shape}"
    if found.ndim == 2 and found.T.shape == wanted.shape:
        return f"{words}: transposed?"
    return words + ("; the number of values is right" if found.size == wanted.size else "")


def _numbers(found: np.ndarray, wanted: np.ndarray, half: np.ndarray) -> str | None:
    # At least one dimension, so that the rest can count and pick places.
    found, wanted, half = (np.atleast_1d(part) for part in (found, wanted, half))
    if wanted.dtype.kind == "b":
        wrong = int((found != wanted).sum())
        words = f"{wrong} of {wanted.size} entries are True or False the wrong way round"
        return words if wrong else None
    found, wanted = found.astype(float), wanted.astype(float)
    stray = np.isnan(found) & ~np.isnan(wanted)
    if stray.any():
        return _count(stray, "is NaN", "are NaN") + " (a division 0/0, or the logarithm of 0?)"
    stray = np.isinf(found) & ~np.isinf(wanted)
    if stray.any():
        return _count(stray, "is infinite", "are infinite") + " (a division by 0?)"
    with np.errstate(invalid="ignore"):
        right = (np.abs(found - wanted) <= half) | (found == wanted)
    right |= np.isnan(found) & np.isnan(wanted)
    if right.all():
        return None
    return _pattern(found, wanted, half) or _single(found, wanted, half, right)


def _count(which: np.ndarray, one: str, many: str) -> str:
    if which.size == 1:
        return f"the value {one}"
    number = int(which.sum())
    return f"{number} of {which.size} values {one if number == 1 else many}"


def _close(a: np.ndarray, b: np.ndarray, half: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= half + 1e-9 * np.abs(b)))


def _pattern(found: np.ndarray, wanted: np.ndarray, half: np.ndarray) -> str | None:
    """Recognise a slip that touches all values alike: sign, scale, offset, order."""
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return None
    # Within a wide tolerance any pattern would seem to fit.
    if np.max(half) > 0.1 * np.max(np.abs(wanted)):
        return None
    if _close(-found, wanted, half):
        return "the sign is turned round"
    if _close(100 * found, wanted, half) or _close(found / 100, wanted, half):
        return "the values are off by a factor of 100 (a percentage and a share?)"
    # One value can always be explained by a factor or an offset, so ask for three.
    if wanted.size >= 3 and np.ptp(wanted) > 0:
        scale = float(found.ravel() @ wanted.ravel() / (wanted.ravel() @ wanted.ravel()))
        if scale > 0 and _close(found / scale, wanted, half):
            times = f"{scale:.3g} times" if scale > 1 else f"1/{1 / scale:.3g} of"
            return f"every value is {times} what it should be (a unit, a sum for a mean?)"
        offset = float(np.mean(found - wanted))
        if _close(found - offset, wanted, half):
            return f"every value is too {'high' if offset > 0 else 'low'} by the same amount"
        if _close(np.sort(found, axis=None), np.sort(wanted, axis=None), np.sort(half, axis=None)):
            return "the values are right but stand in another order"
    return None


def _single(found: np.ndarray, wanted: np.ndarray, half: np.ndarray, right: np.ndarray) -> str:
    with np.errstate(invalid="ignore"):
        gap = np.where(right, -1.0, np.nan_to_num(np.abs(found - wanted), nan=np.inf))
    place = np.unravel_index(int(np.argmax(gap)), wanted.shape)
    got, want, slack = float(found[place]), float(wanted[place]), float(half[place])
    side = "too high" if got > want else "too low"
    if np.sign(got) * np.sign(want) < 0:
        side += ", and the sign is wrong"
    elif want and got and not 0.1 < got / want < 10:
        side += ", by more than a factor of 10"
    many = "" if wanted.size == 1 else f"{int((~right).sum())} of {wanted.size} values are off; "
    where = "" if wanted.size == 1 else f" at index {', '.join(map(str, map(int, place)))}"
    # Rounded outwards: enough to see where the answer should lie.
    width = max(slack, 0.02 * abs(want), 1e-3)
    if abs(got - want) <= 1.01 * width:  # a range that holds what is refused would confuse
        off = abs(got - want) / abs(want or 1.0)
        return f"{many}got {got:.4g}{where}, which is {side}, by about {100 * off:.2g}%"
    low, high = f"{want - width:.3g}", f"{want + width:.3g}"
    return f"{many}got {got:.4g}{where}, which is {side}; it should lie between {low} and {high}"
