"""Exercises of chapter 12: joining two sources, judging by another log, an honest interval."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake
from course.simulator.experiment import clustered_error


def _list_cases(rng: np.random.Generator):
    for _ in range(4):
        videos = rng.permutation(60)
        common = videos[:6]
        a, b = (rng.permutation(np.r_[common, own]) for own in (videos[6:14], videos[14:20]))
        watched = np.r_[a[1], b[2], videos[40:45]]
        b = np.r_[b, [-1] * int(rng.integers(1, 4))]  # this source found fewer
        yield (a, b, watched) if rng.random() < 0.5 else (b, a, watched)


def _joined(a, b, watched, *, turns=True, once=True, gaps=False, seen=False):
    if turns:
        n = max(len(a), len(b))
        lists = [list(x) + [-1] * (n - len(x)) for x in (a, b)]
        both = [v for pair in zip(*lists, strict=True) for v in pair]
    else:
        both = [*a, *b]
    out: list[int] = []
    for video in map(int, both):
        if (video < 0 and not gaps) or (video in watched and not seen):
            continue
        if once and video in out:
            continue
        out.append(video)
    return np.array(out)


def _log_cases(rng: np.random.Generator):
    for _ in range(4):
        n = int(rng.integers(200, 500))
        logged = rng.uniform(0.05, 0.6, n)
        new = np.clip(logged * rng.lognormal(-0.4, 0.8, n), 0.001, 0.95)
        yield np.where(rng.random(n) < 0.3, rng.gamma(2.0, 3.0, n), 0.0), new, logged


def _snips(reward, new, logged):
    weight = new / logged
    return float((weight * reward).sum() / weight.sum())


def _paired_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(150, 300))
        account = rng.integers(0, n // 4, n) * 7  # not every number is an account
        liking = rng.gamma(1.0, 8.0, account.max() + 1)[account]
        gain = rng.normal(1.0, 3.0, account.max() + 1)[account]
        yield liking + rng.gamma(1, 4, n), liking + gain + rng.gamma(1, 4, n), account


def _paired(old, new, account):
    difference = np.asarray(new) - np.asarray(old)
    return float(difference.mean()), 1.96 * clustered_error(difference, account)


def _each_alone(old, new, account):
    half = np.hypot(clustered_error(np.asarray(old), account),
                    clustered_error(np.asarray(new), account))  # fmt: skip
    return float(np.mean(new) - np.mean(old)), 1.96 * half


def _as_if_independent(old, new, account):
    difference = np.asarray(new) - np.asarray(old)
    return float(difference.mean()), 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))


def _account_means(old, new, account):
    difference = np.asarray(new) - np.asarray(old)
    means = np.array([difference[account == a].mean() for a in np.unique(account)])
    return float(means.mean()), 1.96 * means.std(ddof=1) / np.sqrt(len(means))


EXERCISES = (
    Exercise(
        id="12-pool",
        chapter=12,
        reference=_joined,
        cases=_list_cases,
        mistakes=(
            Mistake(
                lambda a, b, watched: _joined(a, b, watched, turns=False),
                "One source stands before the other; take one from each in turns.",
            ),
            Mistake(
                lambda a, b, watched: _joined(a, b, watched, once=False),
                "A video that both sources found stands there twice.",
            ),
            Mistake(
                lambda a, b, watched: _joined(a, b, watched, gaps=True),
                "-1 means that a source found no more; it is no video.",
            ),
            Mistake(
                lambda a, b, watched: _joined(a, b, watched, seen=True),
                "Some of these were watched lately.",
            ),
            Mistake(
                lambda a, b, watched: _joined(b, a, watched),
                "The first list comes first in each turn.",
            ),
            Mistake(
                lambda a, b, watched: np.sort(_joined(a, b, watched)),
                "You sorted them by number; the order is that of the turns.",
            ),
        ),
    ),
    Exercise(
        id="12-snips",
        chapter=12,
        reference=_snips,
        cases=_log_cases,
        mistakes=(
            Mistake(
                lambda reward, new, logged: float(np.mean(reward * new / logged)),
                "That is IPS: divided by the number of pages, and not by the sum of the weights.",
            ),
            Mistake(
                lambda reward, new, logged: _snips(reward, logged, new),
                "Your weights stand upside down.",
            ),
            Mistake(
                lambda reward, new, logged: float(np.mean(reward)),
                "That is what the old policy earned.",
            ),
            Mistake(
                lambda reward, new, logged: float((reward * new).sum() / new.sum()),
                "You weigh with the new probability alone; what the old policy often showed is "
                "in the log too often.",
            ),
            Mistake(
                lambda reward, new, logged: float((reward / logged).sum() / (1 / logged).sum()),
                "You weigh with the old probability alone: that is the value of a policy that "
                "draws evenly.",
            ),
        ),
    ),
    Exercise(
        id="12-paired",
        chapter=12,
        reference=_paired,
        cases=_paired_cases,
        tolerance=1e-4,  # 1.96 is a rounded number
        mistakes=(
            Mistake(
                _each_alone,
                "You treat the two as strangers; both served the same requests, so take the "
                "difference page by page.",
            ),
            Mistake(
                _as_if_independent,
                "Pages of one account hang together, and you count each as a new witness.",
            ),
            Mistake(
                lambda old, new, account: (_paired(old, new, account)[0],
                                           _paired(old, new, account)[1] / 1.96),
                "That is the standard error; the interval reaches 1.96 of them to each side.",
            ),
            Mistake(
                lambda old, new, account: (-_paired(old, new, account)[0],
                                           _paired(old, new, account)[1]),
                "The sign is turned: new minus old.",
            ),
            Mistake(
                lambda old, new, account: (_paired(old, new, account)[0],
                                           _paired(old, new, account)[1]
                                           * np.sqrt(1 - 1 / len(np.unique(account)))),
                "You left out the factor C / (C - 1).",
            ),
            Mistake(
                _account_means,
                "You average over accounts; the step is asked for per page.",
            ),
        ),
    ),
)  # fmt: skip
