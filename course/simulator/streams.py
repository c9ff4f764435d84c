"""Randomness: one seed, an independent stream for each purpose.

Two kinds of streams:

* ``generator(seed, purpose, *keys)`` is an ordinary NumPy generator. Streams with different
  purposes (or keys, such as the day) are independent, so drawing more numbers for one purpose
  never shifts the numbers of another.
* ``coins(seed, purpose, a, b)`` is a table of uniforms that can be looked up in any order: the
  same ``(seed, purpose, a, b)`` always gives the same number. Feedback to a shown video uses it
  with ``a`` = the request and ``b`` = the video, so a person reacts to a video in the same way
  whichever policy showed it, wherever on the page. That is what makes live experiments paired.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np

_ODD_1 = np.uint64(0x9E3779B97F4A7C15)
_ODD_2 = np.uint64(0xBF58476D1CE4E5B9)
_ODD_3 = np.uint64(0x94D049BB133111EB)
_ODD_4 = np.uint64(0xD6E8FEB86659FD93)


def generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return the generator of one purpose.

    Parameters
    ----------
    seed : int
        The world's seed, at least 0.
    purpose : str
        What the numbers are for, such as ``"people"`` or ``"search"``.
    *keys : int
        Optional further keys, such as the day.
    """
    spawn_key = (zlib.crc32(purpose.encode("utf-8")), *(int(key) for key in keys))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=spawn_key)))


def coins(seed: int, purpose: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Uniform numbers in (0, 1) that depend on nothing but seed, purpose, ``a`` and ``b``.

    Parameters
    ----------
    a, b : int arrays that broadcast together
        For feedback, the request number and the video.

    Returns
    -------
    float64 array of the broadcast shape
        24 bits of resolution, never exactly 0 or 1.
    """
    with np.errstate(over="ignore"):
        rows = _mix(np.asarray(a).astype(np.uint64) * _ODD_1 + _start(seed, purpose))
        return _to_uniform(_mix(rows + np.asarray(b).astype(np.uint64) * _ODD_4))


@functools.lru_cache(maxsize=256)
def _start(seed: int, purpose: str) -> np.uint64:
    spawn_key = (zlib.crc32(purpose.encode("utf-8")),)
    return np.random.SeedSequence(seed, spawn_key=spawn_key).generate_state(1, np.uint64)[0]


def _mix(x: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers so that neighbours look unrelated (an avalanche finaliser)."""
    x = x ^ (x >> np.uint64(30))
    x = x * _ODD_2
    x ^= x >> np.uint64(27)
    x *= _ODD_3
    x ^= x >> np.uint64(31)
    return x


def _to_uniform(x: np.ndarray) -> np.ndarray:
    return ((x >> np.uint64(40)).astype(np.float64) + 0.5) * 2.0**-24
