"""Exercises of chapter 14, feedback loops and open problems."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake
from course.simulator.rounds import gini


def _count_cases(rng: np.random.Generator):
    for _ in range(4):
        n = int(rng.integers(30, 80))
        counts = rng.negative_binomial(0.6, 0.02, n)
        counts[rng.integers(n)] += 1  # at least one was shown
        yield (rng.permutation(counts),)


def _mean_difference(counts):
    """Mean absolute difference of two videos over the mean: twice the Gini coefficient."""
    counts = np.asarray(counts, float)
    return float(np.abs(counts[:, None] - counts).mean() / counts.mean())


def _residual_cases(rng: np.random.Generator):
    for gap in (0.0, 0.5, -0.8):
        n = int(rng.integers(2_000, 4_000))
        group = rng.random(n) < rng.uniform(0.2, 0.6)
        p = rng.beta(1.2, 12.0, n).clip(1e-4, 0.95)
        odds = p / (1 - p) * np.exp(gap * group)
        yield rng.random(n) < odds / (1 + odds), p, group


def _z(clicked, p, group):
    inside = p[group]
    return float((clicked[group].sum() - inside.sum()) / np.sqrt((inside * (1 - inside)).sum()))


def _weight_cases(rng: np.random.Generator):
    for rows in (3, 6, 9):
        scale = np.exp(rng.normal(0, 1.5, (rows, 1)))
        yield (scale * rng.normal(size=(rows, int(rng.integers(5, 12)))),)


def _int8(weight):
    scale = np.abs(weight).max(axis=1, keepdims=True) / 127
    return np.round(weight / scale) * scale


def _between_ends(weight):
    low, high = (f(weight, axis=1, keepdims=True) for f in (np.min, np.max))
    step = (high - low) / 255
    return low + np.round((weight - low) / step) * step


def _with(scale, weight, cut=np.round):
    return cut(weight / scale) * scale


EXERCISES = (
    Exercise(
        id="14-gini",
        chapter=14,
        reference=gini,
        cases=_count_cases,
        mistakes=(
            Mistake(
                lambda c: -gini(c),
                "The sign is turned: take the absolute value of the differences.",
            ),
            Mistake(
                _mean_difference,
                "That is twice the Gini coefficient: halve the mean difference.",
            ),
            Mistake(
                lambda c: gini(c[c > 0]),
                "You leave out the videos that were never shown; they are the point of it.",
            ),
            Mistake(
                lambda c: gini(c) * len(c) / (len(c) - 1),
                "You divide by n(n - 1); the definition here divides by n times n.",
            ),
            Mistake(
                lambda c: 1 - gini(c),
                "That is 1 minus the Gini coefficient: 0 should mean that all are equal.",
            ),
            Mistake(
                lambda c: float(np.std(c) / np.mean(c)),
                "That is the coefficient of variation; the Gini coefficient is asked for.",
            ),
        ),
    ),
    Exercise(
        id="14-residual",
        chapter=14,
        reference=_z,
        cases=_residual_cases,
        mistakes=(
            Mistake(
                lambda c, p, g: -_z(c, p, g),
                "Keep the sign of observed minus expected, so that more clicks than expected "
                "are positive.",
            ),
            Mistake(
                lambda c, p, g: _z(c, p * c.sum() / p.sum(), g),
                "Do not rescale the probabilities here; the test is of the model as it is.",
            ),
            Mistake(
                lambda c, p, g: float((c[g].sum() - p[g].sum()) / np.sqrt(p[g].sum())),
                "You divide by the root of the expected clicks; a click that may or may not "
                "come has the variance p(1 - p).",
            ),
            Mistake(
                lambda c, p, g: float((c[g].sum() - p[g].sum()) / np.sqrt((p * (1 - p)).sum())),
                "Your variance is that of all cards; only those of the group count.",
            ),
            Mistake(
                lambda c, p, g: _z(c, p, np.ones(len(g), bool)),
                "You test all cards together; take only those of the group.",
            ),
            Mistake(
                lambda c, p, g: float(
                    (c[g].mean() - p[g].mean()) / np.sqrt((p * (1 - p))[g].sum())
                ),
                "You take the mean above and the sum below; take sums in both.",
            ),
            Mistake(
                lambda c, p, g: float((c[g].sum() - p[g].sum()) / (p * (1 - p))[g].sum()),
                "You divide by the variance; its root is asked for.",
            ),
        ),
    ),
    Exercise(
        id="14-int8",
        chapter=14,
        reference=_int8,
        cases=_weight_cases,
        mistakes=(
            Mistake(
                lambda w: _with(np.abs(w).max() / 127, w),
                "You use one scale for the whole matrix; each row has its own.",
            ),
            Mistake(
                lambda w: _with(np.abs(w).max(axis=0, keepdims=True) / 127, w),
                "Your scales belong to columns; each row has its own.",
            ),
            Mistake(
                lambda w: _with(np.abs(w).max(axis=1, keepdims=True) / 127, w, np.trunc),
                "You cut the decimals off; round to the nearest.",
            ),
            Mistake(
                lambda w: _with(np.abs(w).max(axis=1, keepdims=True) / 128, w),
                "Eight bits with a sign and a zero in the middle reach from -127 to 127, not 128.",
            ),
            Mistake(
                lambda w: _with(w.max(axis=1, keepdims=True) / 127, w),
                "Take the largest absolute value of the row; its largest weight may be negative.",
            ),
            Mistake(
                lambda w: np.round(w / (np.abs(w).max(axis=1, keepdims=True) / 127)),
                "Those are the whole numbers; multiply them with the scale again.",
            ),
            Mistake(
                _between_ends,
                "You spread the steps from the smallest to the largest weight; here they are "
                "symmetric about 0.",
            ),
        ),
    ),
)
