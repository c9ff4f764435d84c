"""Exercises of chapter 05, labels and context."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake
from course.lessons import labels_and_context as lesson


def _log_cases(rng: np.random.Generator):
    """A log of a few accounts, and moments in it: of a watch, of two at once, of none."""
    for steps in (-np.arange(1, 5), np.array([-1, -2, 1, 2]), np.arange(1, 4)):
        user = np.repeat([2, 5, 6, 9], rng.integers(2, 7, 4))
        video = rng.permutation(100)[: len(user)]
        first = rng.permutation(len(user))[:6]
        first = np.r_[0, first, len(user) - 1]
        last = first + 1
        last[1] = first[1]  # that watch was taken out of the log
        wide = np.flatnonzero(user[:-1] == user[1:])[0]
        first, last = np.append(first, wide), np.append(last, wide + 2)  # two at once
        yield user, video, user[first], first, last, steps


def _around(both_from=None, other_accounts=False, wrap=False, zero=False):
    """The bags with a part done wrong."""

    def around(user, video, account, first, last, steps):
        base = {"first": first, "last": last - 1}.get(both_from)
        at = np.where(steps < 0, first[:, None], last[:, None] - 1) if base is None else base
        at = at + steps if base is None else at[:, None] + steps
        inside = (at >= 0) & (at < len(user)) | wrap
        at = np.where(inside, at, 0) % len(user)
        own = user[at] == account[:, None]
        return np.where(inside & (own | other_accounts), video[at], 0 if zero else -1)

    return around


def _user_cases(rng: np.random.Generator):
    for most in (1, 3, 10):
        yield rng.permutation(np.repeat(np.arange(5), rng.integers(1, 25, 5))), most


def _counts(users):
    return np.array([(users == u).sum() for u in users])


def _word_cases(rng: np.random.Generator):
    """Queries of one to three words, newest first; an opening word opens and does nothing else."""
    opens = np.arange(40) < 12
    for _ in range(2):
        rows = []
        for queries in (0, 1, 1, 2, 4, 4):
            row: list[int] = []
            for _ in range(queries):
                later = rng.integers(12, 40, rng.integers(0, 3)).tolist()
                row = [*later, int(rng.integers(12)), *row]
            rows.append((row + [-1] * 12)[:12])
        rows.append([20, 30] + [-1] * 10)  # what is left of a query that began before the list
        yield np.array(rows), opens


def _first_found(tokens, opens):
    return ((tokens >= 0) & opens[tokens]).argmax(axis=1)


EXERCISES = (
    Exercise(
        id="05-around",
        reference=lesson.around,
        cases=_log_cases,
        mistakes=(
            Mistake(
                _around(both_from="first"),
                "Steps forward begin at the last watch of the moment: `last` is behind it.",
            ),
            Mistake(
                _around(both_from="last"),
                "Steps back begin at `first`; what happens at the moment itself is not known yet.",
            ),
            Mistake(
                _around(other_accounts=True),
                "Your steps run on into the log of another account.",
            ),
            Mistake(_around(zero=True), "Where there is none, put -1; 0 is a video."),
        ),
    ),
    Exercise(
        id="05-equal-weight",
        reference=lesson.equal_weight,
        cases=_user_cases,
        mistakes=(
            Mistake(
                lambda users, most: 1 / _counts(users),
                "That makes all accounts equal; one with fewer than `most` keeps every example, "
                "and so the weight 1.",
            ),
            Mistake(
                lambda users, most: most / _counts(users),
                "No chance is above 1: what is kept for sure has the weight 1.",
            ),
            Mistake(
                lambda users, most: (_counts(users) <= most).astype(float),
                "Busy accounts keep some of their examples, so their weight is not 0.",
            ),
            Mistake(
                lambda users, most: np.minimum(_counts(users), most).astype(float),
                "That is how many examples an account keeps; the chance of one of them is asked.",
            ),
        ),
    ),
    Exercise(
        id="05-last-query",
        reference=lesson.last_query,
        cases=_word_cases,
        mistakes=(
            Mistake(
                lambda tokens, opens: lesson.last_query(tokens, opens)[:, ::-1],
                "The right words in the wrong order: the first word of the query comes first.",
            ),
            Mistake(
                lambda tokens, opens: tokens[:, :3],
                "Those are the last three words, which may belong to several queries.",
            ),
            Mistake(
                lambda tokens, opens: lesson.last_query(tokens, opens)[:, :1].repeat(3, axis=1),
                "That is the first word of the query three times.",
            ),
            Mistake(
                lambda tokens, opens: np.take_along_axis(
                    tokens, np.maximum(_first_found(tokens, opens)[:, None] - np.arange(3), 0), 1
                ),
                "A query of one or two words leaves places empty, and they hold -1.",
            ),
        ),
    ),
)
