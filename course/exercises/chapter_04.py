"""Exercises of chapter 04, signals, depth and freshness."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake, Tolerance


def _age_cases(rng: np.random.Generator):
    for _ in range(3):
        t_max = float(rng.uniform(20, 45))
        time = rng.uniform(0, t_max, 40)
        # A few moments after the end of training: they are served at the newest age.
        yield np.append(time, t_max + rng.uniform(0.1, 3.0, 3)), t_max


def _ages(time, t_max):
    return np.maximum(t_max - np.asarray(time, float), 0.0)


def _count_cases(rng: np.random.Generator):
    for _ in range(3):
        days, videos = int(rng.integers(5, 9)), int(rng.integers(4, 8))
        # Busy and quiet days, and videos that come and go.
        rate = rng.uniform(5, 80, (days, 1)) * rng.dirichlet(np.ones(videos), days)
        yield (rng.poisson(rate) + 1,)


def _share(watches):
    return watches.sum(axis=0) / watches.sum()


def _daily(watches):
    return watches / watches.sum(axis=1, keepdims=True)


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
    ),
    Exercise(
        id="04-no-clock",
        chapter=4,
        reference=_share,
        cases=_count_cases,
        # Wide enough for somebody who finds the minimum by following the gradient.
        tolerance=Tolerance(relative=2e-3, absolute=1e-4),
        mistakes=(
            Mistake(
                lambda watches: _daily(watches).mean(axis=0),
                "You average the shares of the days, so a quiet day weighs as much as a busy "
                "one; each watch is an example.",
            ),
            Mistake(
                lambda watches: _daily(watches)[-1],
                "That is the share of the last day, which a model with a clock would give.",
            ),
            Mistake(
                lambda watches: _daily(watches),
                "That is an answer for each day; without a clock there is one for all.",
            ),
            Mistake(
                lambda watches: watches.sum(axis=0),
                "Those are counts; probabilities sum to 1.",
            ),
            Mistake(
                lambda watches: watches.sum(axis=0) / watches.sum(axis=0).max(),
                "Those are relative to the most watched video; probabilities sum to 1.",
            ),
            Mistake(
                lambda watches: (watches.sum(axis=0) == watches.sum(axis=0).max()).astype(float),
                "You bet everything on the most watched video; the logarithm of 0 costs too much.",
            ),
        ),
    ),
    Exercise(
        id="04-new-users",
        chapter=4,
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
    ),
)
