"""Randomness: one seed, an independent stream for each purpose.

A `generator` yields numbers in turn; drawing more of them for one purpose never shifts those of
another. `coins` are looked up in any order: feedback to a shown video uses them with the request
and the video, so a person reacts to a video in the same way whichever policy showed it, wherever
on the page. That is what makes live experiments paired.
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
    """The NumPy generator of one purpose ("accounts") and further keys, such as the day."""
    return np.random.Generator(np.random.Philox(_sequence(seed, purpose, *keys)))


def coins(seed: int, purpose: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Uniform numbers in (0, 1) that depend on nothing but seed, purpose, ``a`` and ``b``.

    Int arrays a and b broadcast together (for feedback: the number of the request, and the video);
    the answer is float64 of that shape, with 24 bits of resolution, never exactly 0 or 1.
    """
    with np.errstate(over="ignore"):
        rows = _mix(np.asarray(a).astype(np.uint64) * _ODD_1 + _start(seed, purpose))
        bits = _mix(rows + np.asarray(b).astype(np.uint64) * _ODD_4) >> np.uint64(40)
    return (bits.astype(np.float64) + 0.5) * 2.0**-24


@functools.lru_cache(maxsize=256)
def _start(seed: int, purpose: str) -> np.uint64:
    return _sequence(seed, purpose).generate_state(1, np.uint64)[0]


def _sequence(seed: int, purpose: str, *keys: int) -> np.random.SeedSequence:
    spawn_key = (zlib.crc32(purpose.encode("utf-8")), *(int(key) for key in keys))
    return np.random.SeedSequence(seed, spawn_key=spawn_key)


def _mix(x: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers so that neighbours look unrelated (an avalanche finaliser)."""
    x = x ^ (x >> np.uint64(30))
    x = x * _ODD_2
    x ^= x >> np.uint64(27)
    x *= _ODD_3
    x ^= x >> np.uint64(31)
    return x
