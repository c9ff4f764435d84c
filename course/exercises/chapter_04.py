"""Exercises of chapter 04, signals, depth and freshness."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake

DIM = 5
TOKENS = 12


def _age_cases(rng: np.random.Generator):
    for _ in range(3):
        t_max = float(rng.uniform(20, 45))
        time = rng.uniform(0, t_max, 40)
        # A few moments after the end of training: they are served at the newest age.
        yield np.append(time, t_max + rng.uniform(0.1, 3.0, 3)), t_max


def _ages(time, t_max):
    return np.maximum(t_max - np.asarray(time, float), 0.0)


def _bag_cases(rng: np.random.Generator):
    for _ in range(3):
        tokens = rng.integers(0, TOKENS, (8, 6))
        count = rng.integers(1, 6, 8)
        count[0] = 0
        # Missing tokens stand at the end: the newest come first.
        tokens[np.arange(6) >= count[:, None]] = -1
        yield tokens, rng.normal(size=(TOKENS, DIM)) + 0.5


def _sum(tokens, table):
    there = tokens >= 0
    return (table[np.where(there, tokens, 0)] * there[:, :, None]).sum(axis=1)


def _bag(tokens, table):
    return _sum(tokens, table) / np.maximum((tokens >= 0).sum(axis=1), 1)[:, None]


def _event_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(200, 400))
        watches = np.where(rng.random(n) < 0.15, 0, rng.integers(1, 51, n))
        without = rng.integers(1, 300, n).astype(float)
        lift = np.where(watches == 0, rng.uniform(0.3, 0.7, n), rng.uniform(0.8, 1.05, n))
        yield np.maximum(1.0, without * lift), without, watches


def _gain(ranks_with, ranks_without, watches):
    gain, new = 1 / ranks_with - 1 / ranks_without, watches == 0
    return float(gain[new].mean() - gain[~new].mean())


def _gain_of_means(ranks_with, ranks_without, watches):
    new = watches == 0

    def reciprocal(rows):
        return 1 / ranks_with[rows].mean() - 1 / ranks_without[rows].mean()

    return float(reciprocal(new) - reciprocal(~new))


EXERCISES = (
    Exercise(
        id="04-example-age",
        chapter=4,
        title="Example age",
        difficulty=1,
        minutes=5,
        reference=_ages,
        cases=_age_cases,
        mistakes=(
            Mistake(
                lambda time, t_max: np.asarray(time, float),
                "That is the time of the example; its age counts back from the end of the log.",
            ),
            Mistake(
                lambda time, t_max: t_max - np.asarray(time, float),
                "Moments after the end of the log get a negative age; they count as the end.",
            ),
            Mistake(
                lambda time, t_max: np.abs(t_max - np.asarray(time, float)),
                "A moment after the end of the log is not old; it counts as the end.",
            ),
            Mistake(
                lambda time, t_max: np.asarray(time, float) - t_max,
                "The sign is turned round: older examples have a larger age.",
            ),
            Mistake(
                lambda time, t_max: _ages(time, np.max(time)),
                "You count back from the newest moment given; the end of the training log is "
                "another number, and it is given.",
            ),
            Mistake(
                lambda time, t_max: _ages(time, t_max) / 30,
                "That is in units of 30 days; days are asked for.",
            ),
        ),
        hints=("It is about the example, so the upload of the video does not come into it.",),
    ),
    Exercise(
        id="04-token-bag",
        chapter=4,
        title="A bag of tokens",
        difficulty=2,
        minutes=10,
        reference=_bag,
        cases=_bag_cases,
        mistakes=(
            Mistake(
                lambda tokens, table: _sum(tokens, table) / tokens.shape[1],
                "You divide by the length of the row; the places without a token do not count.",
            ),
            Mistake(_sum, "That is the sum; divide by the number of tokens that are there."),
            Mistake(
                lambda tokens, table: table[tokens].mean(axis=1),
                "-1 picked the last row of the table; it means that there is no token.",
            ),
            Mistake(
                lambda tokens, table: table[np.maximum(tokens, 0)].mean(axis=1),
                "Places without a token were given the vector of token 0; they count nothing.",
            ),
            Mistake(
                lambda tokens, table: np.where(
                    (tokens >= 0).any(axis=1)[:, None], _bag(tokens, table), table.mean(axis=0)
                ),
                "An empty bag is the zero vector here, not the mean of the table.",
            ),
            Mistake(
                lambda tokens, table: table[np.maximum(tokens[:, 0], 0)] * (tokens[:, :1] >= 0),
                "You kept only the newest token; the bag is the mean of all of them.",
            ),
        ),
        hints=(
            "How many tokens does each bag really hold?",
            "Give the missing tokens the weight 0, and do not divide by 0.",
        ),
    ),
    Exercise(
        id="04-new-users",
        chapter=4,
        title="Who gains from a signal?",
        difficulty=2,
        minutes=10,
        reference=_gain,
        cases=_event_cases,
        mistakes=(
            Mistake(
                lambda w, o, n: -_gain(w, o, n),
                "The sign is turned round: the new minus the others, with minus without.",
            ),
            Mistake(
                _gain_of_means,
                "You took the reciprocal of a mean rank; it is the mean of reciprocals that is "
                "meant.",
            ),
            Mistake(
                lambda w, o, n: float((1 / w - 1 / o)[n == 0].mean()),
                "That is the gain of the new accounts; take off that of the others.",
            ),
            Mistake(
                lambda w, o, n: float((1 / w - 1 / o).mean()),
                "That is the gain of everybody; split it into two groups.",
            ),
            Mistake(
                lambda w, o, n: float((1 / w - 1 / o)[n == 0].mean() - (1 / w - 1 / o).mean()),
                "You compare the new with everybody; compare them with all the others.",
            ),
            Mistake(
                lambda w, o, n: float((o - w)[n == 0].mean() - (o - w)[n > 0].mean()),
                "Those are ranks; a reciprocal rank is 1 divided by it.",
            ),
        ),
        hints=(
            "The reciprocal comes before the mean.",
            "Two gains, one for each group; the answer is their difference.",
        ),
    ),
)
