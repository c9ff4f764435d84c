"""Exercises of chapter 07: the odds, the repair, the loss of a page, shares within groups."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake


def _log_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(60, 200))
        clicked = rng.random(n) < rng.uniform(0.2, 0.6)
        clicked[:2] = True, False
        yield clicked, np.where(clicked, rng.gamma(2.0, 3.0, n), 0.0)


def _constant(clicked, minutes):
    return float(np.sum(minutes) / np.sum(~np.asarray(clicked, bool)))


def _served_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(20, 40))
        yield rng.normal(0.0, 1.5, n), float(rng.uniform(0.1, 0.6)), rng.uniform(0.02, 0.7, n)


def _repaired(logit, kept, p):
    return np.exp(logit) * kept * (1 - p)


def _page_cases(rng: np.random.Generator):
    for _ in range(4):
        n = int(rng.integers(6, 11))
        clicked = np.zeros(n, bool)
        clicked[rng.permutation(n)[: rng.integers(2, 4)]] = True
        # Few different scores, so that clicked and unclicked cards tie.
        scores = rng.integers(0, 4, n).astype(float)
        scores[np.flatnonzero(clicked)[0]] = scores[np.flatnonzero(~clicked)[0]]
        yield scores, clicked, np.where(clicked, rng.uniform(5, 900, n).round(), 0.0)


def _pairs(scores, clicked, seconds):
    scores, clicked, seconds = np.asarray(scores), np.asarray(clicked), np.asarray(seconds)
    mine, theirs = scores[clicked][:, None], scores[~clicked][None, :]
    return mine, theirs, np.broadcast_to(seconds[clicked][:, None], (mine.size, theirs.size))


def _page_loss(scores, clicked, seconds, tie=0.5):
    mine, theirs, weight = _pairs(scores, clicked, seconds)
    wrong = (theirs > mine) + tie * (theirs == mine)
    return float((wrong * weight).sum() / weight.sum())


def _unweighted(scores, clicked, seconds):
    mine, theirs, _ = _pairs(scores, clicked, seconds)
    return float(((theirs > mine) + 0.5 * (theirs == mine)).mean())


def _over_all(scores, clicked, seconds):
    mine, theirs, weight = _pairs(scores, clicked, seconds)
    wrong = (theirs > mine) + 0.5 * (theirs == mine)
    return float((wrong * weight).sum() / np.sum(seconds))


def _watch_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(30, 60))
        group = rng.integers(0, 3, n)
        # Whole tens of seconds, so that some are equal.
        yield 10.0 * rng.integers(1, 6, n) * (1 + group), group


def _within(seconds, group, equal=0.5):
    seconds, group = np.asarray(seconds), np.asarray(group)
    same = group[:, None] == group
    below = (same & (seconds < seconds[:, None])).sum(axis=1)
    level = (same & (seconds == seconds[:, None])).sum(axis=1)
    return (below + equal * level) / same.sum(axis=1)


def _of_longest(seconds, group):
    longest = [np.max(seconds[group == g]) for g in group]
    return seconds / np.array(longest)


EXERCISES = (
    Exercise(
        id="07-constant",
        chapter=7,
        reference=_constant,
        cases=_log_cases,
        mistakes=(
            Mistake(
                lambda clicked, minutes: float(np.mean(minutes)),
                "That is E[T], watch time over all impressions; the odds have another "
                "denominator.",
            ),
            Mistake(
                lambda clicked, minutes: float(minutes[clicked].mean()),
                "That is the watch time of a click; the odds also know how rare clicks are.",
            ),
            Mistake(
                lambda clicked, minutes: float(np.log(_constant(clicked, minutes))),
                "That is the logit; the odds are its exponential.",
            ),
            Mistake(
                lambda clicked, minutes: float(clicked.sum() / (~clicked).sum()),
                "Those are the odds of a click; a click weighs the minutes watched.",
            ),
            Mistake(
                lambda clicked, minutes: float(
                    minutes.sum() / (minutes.sum() + (~clicked).sum())
                ),
                "That is the sigmoid of the logit, a share of the weights; the odds are asked for.",
            ),
        ),
    ),
    Exercise(
        id="07-thinned",
        chapter=7,
        reference=_repaired,
        cases=_served_cases,
        mistakes=(
            Mistake(
                lambda z, r, p: np.exp(z) * (1 - p),
                "You left the thinning out: fewer cards without a click make the odds too large.",
            ),
            Mistake(
                lambda z, r, p: np.exp(z) / r * (1 - p),
                "The thinning goes the other way: with fewer cards without a click the odds are "
                "too large already.",
            ),
            Mistake(
                lambda z, r, p: np.exp(z) * r,
                "Those are the odds of the whole log; they are E[T] / (1 - P), not yet E[T].",
            ),
            Mistake(
                lambda z, r, p: np.exp(z) * r / (1 - p),
                "The odds are too large by 1 / (1 - P); you made it worse.",
            ),
            Mistake(
                lambda z, r, p: np.exp(z) * r / (1 + p),
                "1 / (1 + P) is right for small P only; it can be done exactly.",
            ),
            Mistake(
                lambda z, r, p: r * (1 - p) / (1 + np.exp(-np.asarray(z))),
                "You took the sigmoid of the logit; what is served is its exponential.",
            ),
            Mistake(
                lambda z, r, p: np.exp(z) * r * p,
                "Multiply with the probability of no click.",
            ),
        ),
    ),
    Exercise(
        id="07-page-loss",
        chapter=7,
        reference=_page_loss,
        cases=_page_cases,
        mistakes=(
            Mistake(
                lambda s, c, t: _page_loss(s, c, t, tie=0.0),
                "Equal scores count as right with you; half of the time is lost there.",
            ),
            Mistake(
                lambda s, c, t: _page_loss(s, c, t, tie=1.0),
                "Equal scores count as wrong with you; only half of the time is lost there.",
            ),
            Mistake(_unweighted, "Each pair counts alike with you; it counts with the time of the "
                    "clicked card."),
            Mistake(
                lambda s, c, t: 1 - _page_loss(s, c, t),
                "That is the share that was predicted right.",
            ),
            Mistake(
                _over_all,
                "You divide by the time of the page; each clicked card counts once for each "
                "card that it is compared with.",
            ),
        ),
    ),
    Exercise(
        id="07-within",
        chapter=7,
        reference=_within,
        cases=_watch_cases,
        mistakes=(
            Mistake(
                lambda t, g: _within(t, np.zeros(len(t), int)),
                "You compare with all watches; only those of the same group count.",
            ),
            Mistake(
                lambda t, g: _within(t, g, equal=0.0),
                "Watches that lasted as long count nothing with you; they count half.",
            ),
            Mistake(
                lambda t, g: _within(t, g, equal=1.0),
                "Watches that lasted as long count fully with you; they count half.",
            ),
            Mistake(
                _of_longest,
                "You divide by the longest of the group; one long watch would then decide.",
            ),
            Mistake(lambda t, g: 1 - _within(t, g), "That is the share of longer watches."),
        ),
    ),
)  # fmt: skip
