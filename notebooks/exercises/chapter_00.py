"""Exercises of chapter 00, start here."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake
from course.lessons import first_system as lesson


def _gaps(rng: np.random.Generator):
    for low, high in ((0.0, 1.0), (0.0, 1.0), (-0.4, -0.1)):  # the last is worse than random
        floor = rng.uniform(0.1, 1.0)
        ceiling = floor * rng.uniform(2.0, 8.0)
        yield floor + rng.uniform(low, high) * (ceiling - floor), floor, ceiling


def _pairs(rng: np.random.Generator):
    for _ in range(3):
        shape = tuple(int(n) for n in rng.integers(4, 9, 2) + [0, 5])  # never square
        n = int(rng.integers(80, 200))  # more than there are cells, so some repeat
        rows, columns = rng.integers(shape[0] - 1, size=n), rng.integers(shape[1] - 1, size=n)
        yield rows, columns, shape


def _counted(rows, columns, shape, *, repeats=True, swapped=False):
    """The table with a part done wrong."""
    table = np.zeros(shape[::-1] if swapped else shape)
    at = (columns, rows) if swapped else (rows, columns)
    if repeats:
        np.add.at(table, at, 1)
    else:
        table[at] += 1
    return table


def _evidence(rng: np.random.Generator):
    for prior in (1.0, float(rng.uniform(0.2, 5.0))):
        expected = rng.gamma(1.0, 3.0, (4, 6))
        counted = rng.poisson(expected * rng.gamma(1.0, 1.0, (4, 6))).astype(float)
        counted[0, 0] = expected[0, 0] = 0.0  # nothing is known
        yield counted, expected, prior


def _pools(rng: np.random.Generator):
    for sources in (1, 2, 3):
        r, videos, k = 5, 40, int(rng.integers(3, 7))
        score = rng.permuted(np.arange(r * videos) - 150.0).reshape(r, videos)
        named = [
            np.argsort(rng.random((r, videos)), axis=1)[:, : int(rng.integers(8, 12))]
            for _ in range(sources)
        ]
        yield score, named, k


def _best(score, named, k, *, outside=-np.inf, sign=-1, of=slice(None)):
    """The best of the pool with a part done wrong."""
    pool = np.zeros(score.shape, bool)
    for videos in named[of]:
        np.put_along_axis(pool, videos, True, axis=1)
    score = np.where(pool, score, outside)
    return np.argsort(sign * score, axis=1, kind="stable")[:, :k]


EXERCISES = (
    Exercise(
        id="00-gap-closed",
        reference=lesson.share_closed,
        cases=_gaps,
        mistakes=(
            Mistake(
                lambda value, floor, ceiling: value / ceiling,
                "You measure from zero; the floor is what random pages give already.",
            ),
            Mistake(
                lambda value, floor, ceiling: (value - floor) / floor,
                "That is the gain over random; it says nothing about how much was possible.",
            ),
            Mistake(
                lambda value, floor, ceiling: (value - floor) / ceiling,
                "The way you went is right; divide it by the whole way from random to oracle.",
            ),
            Mistake(
                lambda value, floor, ceiling: max(0.0, (value - floor) / (ceiling - floor)),
                "A method can be worse than random; then its share is negative.",
            ),
            Mistake(
                lambda value, floor, ceiling: (ceiling - value) / (ceiling - floor),
                "That is the part that is still open, not the part that is closed.",
            ),
        ),
    ),
    Exercise(
        id="00-count-pairs",
        reference=lesson.count_pairs,
        cases=_pairs,
        mistakes=(
            Mistake(
                lambda *case: _counted(*case, repeats=False),
                "A pair that occurs several times is counted once.",
            ),
            Mistake(
                lambda *case: _counted(*case, swapped=True),
                "Rows and columns have changed places.",
            ),
            Mistake(
                lambda rows, columns, shape: _counted(
                    rows, columns, (rows.max() + 1, columns.max() + 1)
                ),
                "The table is only as large as the ids that occur; give it the shape asked for.",
            ),
            Mistake(
                lambda *case: _counted(*case) / len(case[0]),
                "Those are shares of all pairs; the counts are asked for.",
            ),
        ),
    ),
    Exercise(
        id="00-times-more",
        reference=lesson.times_more,
        cases=_evidence,
        mistakes=(
            Mistake(
                lambda counted, expected, prior: counted / np.maximum(expected, 1e-12),
                "The prior is missing, so a single accident may count as a great success.",
            ),
            Mistake(
                lambda counted, expected, prior: (counted + prior) / np.maximum(expected, 1e-12),
                "You pretend to have counted more, and not to have expected more; add it to both.",
            ),
            Mistake(
                lambda counted, expected, prior: counted / (expected + prior),
                "You pretend to have expected more, and not to have counted more; add it to both.",
            ),
            Mistake(
                lambda counted, expected, prior: counted - expected,
                "That is how many more; how many times more is a quotient.",
            ),
            Mistake(
                lambda counted, expected, prior: (counted + 1) / (expected + 1),
                "You took 1 for the prior; take the one that is given.",
            ),
        ),
    ),
    Exercise(
        id="00-best-of",
        reference=lesson.best_of,
        cases=_pools,
        mistakes=(
            Mistake(
                lambda score, named, k: np.argsort(-score, axis=1)[:, :k],
                "Those are the best of all videos, named or not.",
            ),
            Mistake(
                lambda *case: _best(*case, outside=0.0),
                "You give 0 to what is outside the pool; a named video may score less.",
            ),
            Mistake(
                lambda *case: _best(*case, outside=np.inf, sign=1),
                "Those are the worst of the pool; argsort goes from low to high.",
            ),
            Mistake(
                lambda *case: _best(*case, of=slice(1)),
                "Only the first source is heard.",
            ),
            Mistake(
                lambda *case: _best(*case, of=slice(-1, None)),
                "Only the last source is heard.",
            ),
            Mistake(
                lambda *case: np.take_along_axis(case[0], _best(*case), axis=1),
                "Those are the scores; the ids of the videos are asked for.",
            ),
        ),
    ),
)
