"""Exercises of chapter 03, the deep candidate generator."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake


def _bags(rng: np.random.Generator):
    for _ in range(3):
        n, length, size, dim = rng.integers((3, 4, 8, 2), (6, 7, 15, 5))
        ids = rng.integers(size, size=(n, length))
        ids[np.arange(length) >= rng.integers(1, length, n)[:, None]] = -1
        ids[-1] = -1  # somebody who has watched nothing
        yield ids, rng.normal(size=(size, dim))


def _mean_bag(ids, table):
    there = (ids >= 0)[:, :, None]
    return (table[ids] * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _divided_by_length(ids, table):
    return (table[ids] * (ids >= 0)[:, :, None]).mean(axis=1)


def _sum_bag(ids, table):
    return (table[ids] * (ids >= 0)[:, :, None]).sum(axis=1)


def _padding_counts(ids, table):
    return table[ids].mean(axis=1)


def _empty_is_nan(ids, table):
    there = (ids >= 0)[:, :, None]
    with np.errstate(invalid="ignore"):
        return (table[ids] * there).sum(axis=1) / there.sum(axis=1)


def _samples(rng: np.random.Generator):
    for _ in range(3):
        n, s = rng.integers((3, 4), (6, 9))
        right, wrong = rng.normal(1.0, 1.0, n), rng.normal(0.0, 1.0, (n, s))
        yield right, wrong, rng.uniform(0.02, 0.9, n), rng.uniform(0.02, 0.9, s)


def _loss(right, wrong):
    scores = np.hstack([right[:, None], wrong])
    top = scores.max(axis=1)
    return float(np.mean(np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top - right))


def _corrected(right, wrong, right_count, wrong_count):
    return _loss(right - np.log(right_count), wrong - np.log(wrong_count))


def _without_label(right, wrong, right_count, wrong_count):
    wrong = wrong - np.log(wrong_count)
    return float(np.mean(np.log(np.exp(wrong).sum(axis=1)) - right + np.log(right_count)))


def _laws(rng: np.random.Generator):
    for _ in range(3):
        q = rng.dirichlet(rng.uniform(0.3, 2.0, int(rng.integers(4, 9))))
        yield q, int(rng.integers(5, 30))


def _expected(q, draws):
    return 1.0 - (1.0 - q) ** draws


def _vectors(rng: np.random.Generator):
    for _ in range(3):
        n, dim = rng.integers((4, 2), (9, 5))
        yield (rng.normal(size=(n, dim)) * rng.lognormal(0.0, 1.0, (n, 1)),)


def _equally_long(vectors):
    squared = (vectors**2).sum(axis=1)
    return np.column_stack([vectors, np.sqrt(squared.max() - squared)])


def _difference_of_lengths(vectors):
    length = np.sqrt((vectors**2).sum(axis=1))
    return np.column_stack([vectors, length.max() - length])


def _no_root(vectors):
    squared = (vectors**2).sum(axis=1)
    return np.column_stack([vectors, squared.max() - squared])


def _divided(vectors):
    scaled = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return np.column_stack([scaled, np.zeros(len(vectors))])


EXERCISES = (
    Exercise(
        id="03-mean-bag",
        chapter=3,
        reference=_mean_bag,
        cases=_bags,
        mistakes=(
            Mistake(
                _divided_by_length, "You divide by the length of the row; count what is there."
            ),
            Mistake(_sum_bag, "That is the sum of each bag; the mean is asked for."),
            Mistake(
                _padding_counts,
                "-1 is no video; as an index it takes the last row of the table.",
            ),
            Mistake(_empty_is_nan, "An empty bag divides by 0; it should be the zero vector."),
        ),
    ),
    Exercise(
        id="03-logq",
        chapter=3,
        reference=_corrected,
        cases=_samples,
        mistakes=(
            Mistake(
                lambda right, wrong, right_count, wrong_count: _loss(right, wrong),
                "You left out the logarithm of the expected counts.",
            ),
            Mistake(
                lambda right, wrong, right_count, wrong_count: _loss(
                    right, wrong - np.log(wrong_count)
                ),
                "You corrected the negatives only; here the label is corrected, too.",
            ),
            Mistake(
                lambda right, wrong, right_count, wrong_count: _loss(
                    right + np.log(right_count), wrong + np.log(wrong_count)
                ),
                "The sign is wrong: what is drawn often must weigh less.",
            ),
            Mistake(
                lambda right, wrong, right_count, wrong_count: _loss(
                    right - right_count, wrong - wrong_count
                ),
                "You subtracted the counts themselves; scores are logarithms.",
            ),
            Mistake(_without_label, "The label itself is missing in the sum of the softmax."),
        ),
    ),
    Exercise(
        id="03-expected-count",
        chapter=3,
        reference=_expected,
        cases=_laws,
        mistakes=(
            Mistake(
                lambda q, draws: draws * q,
                "That counts repeats; a video enters the sample once or not at all.",
            ),
            Mistake(
                lambda q, draws: q, "That is the chance in a single draw; there are several draws."
            ),
            Mistake(lambda q, draws: q**draws, "That is the chance to be drawn every single time."),
            Mistake(
                lambda q, draws: (1.0 - q) ** draws, "That is the chance *not* to be in the sample."
            ),
        ),
    ),
    Exercise(
        id="03-equal-length",
        chapter=3,
        reference=_equally_long,
        cases=_vectors,
        mistakes=(
            Mistake(
                _difference_of_lengths,
                "Lengths do not add up like that: squares do (Pythagoras).",
            ),
            Mistake(_no_root, "That is the square of the number that is missing."),
            Mistake(_divided, "Dividing by the length changes the products with the user."),
        ),
    ),
)
