"""Exercises of chapter 06, features for ranking."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake


def _table_cases(rng: np.random.Generator):
    spaces = np.array(["video", "channel", "language", "token", "device"])
    for _ in range(3):
        size = {s: int(n) for s, n in zip(spaces, np.exp(rng.uniform(1, 13, 5)) + 2, strict=True)}
        names = [str(s) for s in [*rng.permutation(spaces), "video", *rng.choice(spaces, 2)]]
        yield ([(name, size[name]) for name in names],)


def _dimension(n: float) -> int:
    return round(32 * np.log(n) / np.log(1e6))


def _numbers(features) -> int:
    return sum(n * _dimension(n) for n in dict(features).values())


def _quantile_cases(rng: np.random.Generator):
    for _ in range(3):
        # Counts, so that many values are equal, and a long tail.
        train = np.floor(np.exp(rng.normal(1.0, 1.0, int(rng.integers(60, 120)))))
        x = np.append(rng.choice(train, 20), [train.max() + 5.0, -1.0])
        yield train, x


def _shares(train, x):
    return (np.asarray(train)[None, :] < np.asarray(x)[:, None]).mean(axis=1)


def _with_powers(share):
    return np.stack([share, share**2, np.sqrt(share)], axis=1)


def _min_max(train, x):
    return np.clip((x - train.min()) / (train.max() - train.min()), 0, 1)


def _shown_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(150, 250))
        user, video = rng.integers(0, 5, n), rng.integers(0, 6, n)
        time = np.floor(rng.uniform(0, 30, n) * 8) / 8  # pages: several cards at one moment
        yield user, video, time


def _shown_before(user, video, time):
    same = (user[:, None] == user) & (video[:, None] == video)
    return (same & (time[None, :] < time[:, None])).sum(axis=1)


def _same(user, video):
    return (user[:, None] == user) & (video[:, None] == video)


EXERCISES = (
    Exercise(
        id="06-table-size",
        chapter=6,
        reference=_numbers,
        cases=_table_cases,
        mistakes=(
            Mistake(
                lambda features: sum(n * _dimension(n) for _, n in features),
                "You count a table for each feature; features of one id space share theirs.",
            ),
            Mistake(
                lambda features: sum(32 * n for n in dict(features).values()),
                "That gives every table 32 dimensions; they go with the logarithm of the values.",
            ),
            Mistake(
                lambda features: sum(_dimension(n) for n in dict(features).values()),
                "Those are the dimensions; a table has so many for each of its values.",
            ),
            Mistake(
                lambda features: sum(
                    n * 32 * np.log(n) / np.log(1e6) for n in dict(features).values()
                ),
                "A table has a whole number of dimensions: round first.",
            ),
            Mistake(
                lambda features: sum((n + 1) * _dimension(n) for n in dict(features).values()),
                "You count the row of zeros, too; nothing is learned there.",
            ),
        ),
    ),
    Exercise(
        id="06-quantiles",
        chapter=6,
        reference=lambda train, x: _with_powers(_shares(train, x)),
        cases=_quantile_cases,
        mistakes=(
            Mistake(
                lambda train, x: _with_powers((train[None, :] <= x[:, None]).mean(axis=1)),
                "You count training values that are equal, too; the share below x is meant.",
            ),
            Mistake(
                lambda train, x: _with_powers(_shares(x, x)),
                "You compare the values with each other; they are to be compared with the "
                "training values, or serving would differ from training.",
            ),
            Mistake(
                lambda train, x: _with_powers(_min_max(train, x)),
                "That is a place between the smallest and the largest value; one outlier moves "
                "all the others.",
            ),
            Mistake(
                lambda train, x: _with_powers(1 - _shares(train, x)),
                "That is the share that is not below x.",
            ),
            Mistake(
                lambda train, x: _shares(train, x),
                "That is the share alone; its square and its root belong beside it.",
            ),
            Mistake(
                lambda train, x: _with_powers(_shares(train, x))[:, [0, 2, 1]],
                "The order is the share, its square, its root.",
            ),
            Mistake(
                lambda train, x: _with_powers(_shares(train, x)).T,
                "Rows and columns are swapped: one row for each value.",
            ),
        ),
    ),
    Exercise(
        id="06-shown-before",
        chapter=6,
        reference=_shown_before,
        cases=_shown_cases,
        mistakes=(
            Mistake(
                lambda user, video, time: _same(user, video).sum(axis=1) - 1,
                "You count the showings that came later, too: a leak.",
            ),
            Mistake(
                lambda user, video, time: _same(user, video).sum(axis=1),
                "You count all showings in the log, later ones and the row itself: a leak.",
            ),
            Mistake(
                lambda user, video, time: (
                    _same(user, video) & (time[None, :] <= time[:, None])
                ).sum(axis=1),
                "You count showings of the very same moment, and the row itself; before means "
                "strictly before.",
            ),
            Mistake(
                lambda user, video, time: (
                    _same(user, video) & (time[None, :] <= time[:, None])
                ).sum(axis=1) - 1,
                "A second card of the same moment was not there before.",
            ),
            Mistake(
                lambda user, video, time: np.tril(_same(user, video), -1).sum(axis=1),
                "You count the rows further up; the rows are not in order of time.",
            ),
            Mistake(
                lambda user, video, time: (
                    (video[:, None] == video) & (time[None, :] < time[:, None])
                ).sum(axis=1),
                "You count showings to anybody; this account's are meant.",
            ),
            Mistake(
                lambda user, video, time: (
                    (user[:, None] == user) & (time[None, :] < time[:, None])
                ).sum(axis=1),
                "You count showings of any video; this video's are meant.",
            ),
        ),
    ),
)  # fmt: skip
