"""Exercises of chapter 10, position bias."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from course.exercises.exercise import Exercise, Mistake
from course.simulator import laws


def _logit_cases(rng: np.random.Generator):
    for _ in range(3):
        n, positions, devices = 60, int(rng.integers(4, 9)), 3
        table = -np.sort(rng.uniform(0, 2.5, (devices, positions + 1)), axis=1)
        table[:, 0] = rng.normal(-1.0, 0.3, devices)  # "missing" is about the mean
        yield (
            rng.normal(-1, 1.5, n), table, rng.integers(0, positions + 1, n),
            rng.integers(0, devices, n),
        )  # fmt: skip


def _clicks(main, table, position, device):
    return expit(main + table[device, position])


def _shifted(main, table, position, device):
    return expit(main + table[device, np.maximum(position - 1, 0)])


def _propensity_cases(rng: np.random.Generator):
    for _ in range(4):
        n, k = int(rng.integers(3_000, 6_000)), int(rng.integers(4, 9))
        theta = laws.examination(np.arange(1, k + 1), rng.uniform(0.5, 1.3))
        position = np.minimum(rng.geometric(0.3, n), k)
        wanted = rng.uniform(0.1, 0.4) / position**0.3
        yield rng.random(n) < wanted * theta[position - 1], position, theta


def _wanted_rate(clicked, position, theta):
    return float(np.mean(clicked / theta[position - 1]))


def _self_normalised(clicked, position, theta):
    weight = 1 / theta[position - 1]
    return float((clicked * weight).sum() / weight.sum())


def _rates_evenly(clicked, position, theta):
    places = np.unique(position)
    return float(np.mean([clicked[position == k].mean() / theta[k - 1] for k in places]))


def _step_cases(rng: np.random.Generator):
    for _ in range(3):
        n = 50
        yield rng.uniform(0.05, 0.95, n), rng.uniform(0.02, 0.7, n)


def _no_click(theta, gamma):
    none = 1 - theta * gamma
    return theta * (1 - gamma) / none, (1 - theta) * gamma / none


def _curve_cases(rng: np.random.Generator):
    for _ in range(4):
        k = int(rng.integers(5, 11))
        true = np.log(laws.examination(np.arange(1, k + 1), rng.uniform(0.5, 1.4)))
        learned = rng.uniform(0.5, 1.8) * true + rng.normal(0, 0.1, k) + rng.normal(-1, 1)
        yield learned, true + rng.normal()


def _judge(learned, true):
    slope = np.cov(learned, true)[0, 1] / np.var(true, ddof=1)
    error = np.abs((learned - learned[0]) - (true - true[0])).max()
    return float(slope), float(error)


EXERCISES = (
    Exercise(
        id="10-shallow-logit",
        chapter=10,
        reference=_clicks,
        cases=_logit_cases,
        mistakes=(
            Mistake(
                lambda m, t, p, d: expit(m) * expit(t[d, p]),
                "You multiply two probabilities; the shallow tower adds its logit before the "
                "sigmoid.",
            ),
            Mistake(
                lambda m, t, p, d: expit(m) + t[d, p],
                "You add after the sigmoid; the sum goes into it.",
            ),
            Mistake(
                lambda m, t, p, d: m + t[d, p],
                "Those are logits; a probability is asked for.",
            ),
            Mistake(
                _shifted,
                "You are one column off: column 0 is for missing, column 1 for position 1.",
            ),
            Mistake(
                lambda m, t, p, d: expit(m - t[d, p]),
                "You subtract the shallow logit; it is added.",
            ),
            Mistake(
                lambda m, t, p, d: expit(m + t[d, 0]),
                "You take the column of a missing position for every card.",
            ),
            Mistake(
                lambda m, t, p, d: expit(m + t[0, p]),
                "You take the same row for all devices.",
            ),
            Mistake(
                lambda m, t, p, d: expit(m + np.where(p == 0, 0.0, t[d, p])),
                "You leave the logit of a missing position out; it was learned, and stands in "
                "column 0.",
            ),
        ),
    ),
    Exercise(
        id="10-inverse-propensity",
        chapter=10,
        reference=_wanted_rate,
        cases=_propensity_cases,
        mistakes=(
            Mistake(
                lambda c, p, t: float(np.mean(c)),
                "That is the click rate where the cards stood.",
            ),
            Mistake(
                _self_normalised,
                "You divide by the sum of all weights, so cards far down count more; only clicks "
                "are weighted, and the divisor is the number of cards.",
            ),
            Mistake(
                _rates_evenly,
                "You give each position the same weight; each card counts once.",
            ),
            Mistake(
                lambda c, p, t: float(np.mean(c) / np.mean(t[p - 1])),
                "You divide by the mean propensity: right only if what is wanted does not depend "
                "on the position.",
            ),
            Mistake(
                lambda c, p, t: float(np.sum(c / t[p - 1])),
                "That is a sum; a rate is asked for, so divide by the number of cards.",
            ),
            Mistake(
                lambda c, p, t: float(np.mean(1 / t[p[c] - 1])),
                "You average over the clicked cards only; cards without a click count as 0.",
            ),
            Mistake(
                lambda c, p, t: float(np.mean(c * t[p - 1])),
                "You multiply with the propensity; a click far down must count more, not less.",
            ),
            Mistake(
                lambda c, p, t: float(np.mean(c / t[np.minimum(p, len(t) - 1)])),
                "You are one place off: theta[0] belongs to position 1.",
            ),
        ),
    ),
    Exercise(
        id="10-e-step",
        chapter=10,
        reference=_no_click,
        cases=_step_cases,
        mistakes=(
            Mistake(
                lambda t, g: (t, g),
                "Those are the beliefs before; that there was no click makes both less likely.",
            ),
            Mistake(
                lambda t, g: (t * (1 - g), (1 - t) * g),
                "Those are probabilities of the pairs; divide by P(no click).",
            ),
            Mistake(
                lambda t, g: (
                    t * (1 - g) / (t * (1 - g) + (1 - t) * g),
                    (1 - t) * g / (t * (1 - g) + (1 - t) * g),
                ),
                "There is a third way to no click: neither looked at nor wanted.",
            ),
            Mistake(
                lambda t, g: _no_click(t, g)[::-1],
                "The two are exchanged: first looked at, then wanted.",
            ),
            Mistake(
                lambda t, g: (t * (1 - g) / (1 - t), (1 - t) * g / (1 - g)),
                "P(no click) is 1 minus P(looked at and wanted).",
            ),
        ),
    ),
    Exercise(
        id="10-judge",
        chapter=10,
        reference=_judge,
        cases=_curve_cases,
        mistakes=(
            Mistake(
                lambda a, b: (float(np.corrcoef(a, b)[0, 1]), _judge(a, b)[1]),
                "The first number is a correlation, which any falling curve has; the slope of a "
                "least-squares line is asked for.",
            ),
            Mistake(
                lambda a, b: (_judge(b, a)[0], _judge(a, b)[1]),
                "The slope is that of the truth over what was learned; turn the axes round.",
            ),
            Mistake(
                lambda a, b: (_judge(a, b)[0], float(np.abs(a - b).max())),
                "The level is a matter of convention: make both curves 0 at position 1 before "
                "you compare them.",
            ),
            Mistake(
                lambda a, b: (_judge(a, b)[0], float(np.abs((a - a[0]) - (b - b[0])).mean())),
                "That is the mean error, or that of curves with mean 0; the largest is asked for, "
                "with both curves 0 at position 1.",
            ),
            Mistake(
                lambda a, b: (_judge(a, b)[0], float(((a - a[0]) - (b - b[0])).max())),
                "An error counts in both directions: take the absolute value first.",
            ),
        ),
    ),
)
