"""Exercises of chapter 05, labels and context."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake


def _roll_back(times, videos, moment, length):
    before = times < moment
    newest_first = np.argsort(-times[before], kind="stable")
    return videos[before][newest_first][:length]


def _account_cases(rng: np.random.Generator):
    """Watches of one account, not in order of time; the label is one of them."""
    for case in range(4):
        n = int(rng.integers(12, 30))
        times = rng.permutation(np.sort(rng.choice(np.arange(1, 400), n, replace=False)) / 10.0)
        videos = rng.permutation(500)[:n]
        # Once the label stands near the end, where it would be in the way of the last watches.
        place = int(rng.integers(6, n - 3)) if case else n - 2
        yield times, videos, float(np.sort(times)[place]), int(rng.integers(3, 6))
    yield times, videos, float(np.sort(times)[2]), 5  # a short history


def _newest(times, videos, keep, length):
    order = np.argsort(-times[keep], kind="stable")
    return videos[keep][order][:length]


def _leak_cases(rng: np.random.Generator):
    for _ in range(4):
        n, length = int(rng.integers(6, 12)), int(rng.integers(4, 7))
        moments = np.round(rng.uniform(20, 40, n), 1)
        bag = moments[:, None] - np.sort(np.round(rng.uniform(0.1, 9, (n, length)), 1), axis=1)
        bag[rng.random(bag.shape) < 0.2] = np.nan
        for row in range(0, n, 2):
            column = int(rng.integers(length))
            bag[row, column] = moments[row] + (0.0 if row % 4 else 2.5)
        yield bag, moments


def _knows(bag_times, moments):
    return (bag_times >= moments[:, None]).any(axis=1)


def _cap_cases(rng: np.random.Generator):
    for _ in range(4):
        users = rng.zipf(1.6, int(rng.integers(40, 80))) % 9
        yield users, int(rng.integers(2, 5))


def _count_from_end(users):
    seen: dict[int, int] = {}
    out = np.zeros(len(users), int)
    for i in range(len(users) - 1, -1, -1):
        out[i] = seen.get(int(users[i]), 0)
        seen[int(users[i])] = out[i] + 1
    return out


def _cap(users, per_user):
    return _count_from_end(users) < per_user


def _totals(users):
    return np.array([(users == u).sum() for u in users])


def _mrr(rank):
    return float(np.mean(1.0 / rank))


def _rank_cases(rng: np.random.Generator):
    for _ in range(3):
        honest = rng.geometric(0.03, int(rng.integers(50, 90))).astype(float)
        candidates = np.maximum(1, honest - rng.integers(0, 6, len(honest)))
        own = np.maximum(1, candidates - rng.integers(0, 4, len(honest)))
        yield own, candidates, honest


def _inflation(own, past_context, honest):
    return np.array([_mrr(own) - _mrr(past_context), _mrr(past_context) - _mrr(honest)])


EXERCISES = (
    Exercise(
        id="05-roll-back",
        chapter=5,
        reference=_roll_back,
        cases=_account_cases,
        mistakes=(
            Mistake(
                lambda times, videos, moment, length: _newest(
                    times, videos, times <= moment, length
                ),
                "The label itself is in its own context: what happened at the moment is not yet "
                "known at the moment.",
            ),
            Mistake(
                lambda times, videos, moment, length: _newest(
                    times, videos, times != moment, length
                ),
                "You leave out the label but use watches that came after it: that is the future.",
            ),
            Mistake(
                lambda times, videos, moment, length: _newest(
                    times, videos, np.ones(len(times), bool), length
                ),
                "Those are the last watches of the whole log, wherever the label stands.",
            ),
            Mistake(
                lambda times, videos, moment, length: _roll_back(times, videos, moment, length)[
                    ::-1
                ],
                "The right videos, but the newest must come first.",
            ),
            Mistake(
                lambda times, videos, moment, length: _roll_back(times, videos, moment, len(times))[
                    ::-1
                ][:length],
                "You keep the oldest watches; of a long history the newest count.",
            ),
            Mistake(
                lambda times, videos, moment, length: videos[times < moment][-length:][::-1],
                "The watches are not in order of time; sort them first.",
            ),
            Mistake(
                lambda times, videos, moment, length: _roll_back(times, videos, moment, len(times)),
                "Right, but the bag holds only `length` videos.",
            ),
        ),
    ),
    Exercise(
        id="05-leak",
        chapter=5,
        reference=_knows,
        cases=_leak_cases,
        mistakes=(
            Mistake(
                lambda bag_times, moments: (bag_times > moments[:, None]).any(axis=1),
                "A watch at exactly the moment of the label is the label: that leaks most of all.",
            ),
            Mistake(
                lambda bag_times, moments: (bag_times >= moments[:, None]).all(axis=1),
                "One such watch is enough.",
            ),
            Mistake(
                lambda bag_times, moments: ~(bag_times < moments[:, None]).all(axis=1),
                "An empty place (NaN) knows nothing, so it is no leak.",
            ),
            Mistake(
                lambda bag_times, moments: ~_knows(bag_times, moments),
                "That is the other way round: True should mean that the example leaks.",
            ),
            Mistake(
                lambda bag_times, moments: bag_times[:, 0] >= moments,
                "You look only at the first place of each bag.",
            ),
        ),
    ),
    Exercise(
        id="05-cap",
        chapter=5,
        reference=_cap,
        cases=_cap_cases,
        mistakes=(
            Mistake(
                lambda users, per_user: _count_from_end(users[::-1])[::-1] < per_user,
                "You keep the first examples of each account; the last ones are asked for.",
            ),
            Mistake(
                lambda users, per_user: _totals(users) <= per_user,
                "You drop busy accounts altogether; they should keep some of their examples.",
            ),
            Mistake(
                lambda users, per_user: (_totals(users) >= per_user) & _cap(users, per_user),
                "You drop the accounts that have fewer examples; they should keep all of them.",
            ),
            Mistake(
                lambda users, per_user: _count_from_end(users) <= per_user,
                "That is one more than allowed.",
            ),
            Mistake(
                lambda users, per_user: np.arange(len(users)) >= len(users) - per_user,
                "That is the last examples of the whole log; count each account on its own.",
            ),
        ),
    ),
    Exercise(
        id="05-inflation",
        chapter=5,
        reference=_inflation,
        cases=_rank_cases,
        mistakes=(
            Mistake(
                lambda own, past, honest: _inflation(own, past, honest)[::-1],
                "Right numbers in the wrong order: the context first, then the candidates.",
            ),
            Mistake(
                lambda own, past, honest: -_inflation(own, past, honest),
                "The signs are the wrong way round: a leak makes the number larger.",
            ),
            Mistake(
                lambda own, past, honest: np.array(
                    [_mrr(own) - _mrr(honest), _mrr(past) - _mrr(honest)]
                ),
                "Change one thing at a time: your first number holds both leaks.",
            ),
            Mistake(
                lambda own, past, honest: np.array(
                    [
                        1 / own.mean() - 1 / past.mean(),
                        1 / past.mean() - 1 / honest.mean(),
                    ]
                ),
                "The mean reciprocal rank is the mean of 1 / rank, not 1 / the mean rank.",
            ),
            Mistake(
                lambda own, past, honest: np.array(
                    [_mrr(own) / _mrr(past) - 1, _mrr(past) / _mrr(honest) - 1]
                ),
                "Those are shares; the differences of the mean reciprocal ranks are asked for.",
            ),
        ),
    ),
)
