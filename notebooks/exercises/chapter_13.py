"""Exercises of chapter 13, judging a recommender."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import judging as lesson


def _log(rng: np.random.Generator, logs: int, n: int):
    """Outcomes and the chances of both policies (logs, n)."""
    old, new = (rng.uniform(0.02, 0.5, (logs, n)) for _ in range(2))
    return (rng.random((logs, n)) < 0.3).astype(float), new, old


def _ips_cases(rng: np.random.Generator):
    for logs, n, most in ((3, 40, np.inf), (2, 60, 2.0), (1, 30, 1.0)):
        yield *_log(rng, logs, n), most


def _robust_cases(rng: np.random.Generator):
    for logs, n, most in ((3, 40, np.inf), (2, 60, 2.0)):
        outcome, new, old = _log(rng, logs, n)
        yield outcome, new, old, rng.random((logs, n)), rng.random((logs, n)), most


def _people_cases(rng: np.random.Generator):
    for _ in range(3):
        yield float(rng.uniform(0.5, 8)), float(rng.uniform(0.01, 0.4))


def _pair_cases(rng: np.random.Generator):
    for pages, k in ((4, 6), (3, 10)):
        scores = torch.from_numpy(rng.normal(0, 2, (pages, k)).astype(np.float32))
        clicked = (rng.random((pages, k)) < 0.3).astype(np.float32)
        clicked[0], clicked[-1, :2] = 0, 1  # a page without a click, one with several
        yield scores.requires_grad_(), torch.from_numpy(clicked)


def _page_cases(rng: np.random.Generator):
    for strength in (0.0, 0.4, 3.0):
        yield rng.normal(size=(5, 14)), rng.integers(4, size=(5, 14)), 6, strength


def _pairs(scores, clicked, weight, of=lambda ahead: functional.softplus(-ahead)):
    ahead = scores[:, :, None] - scores[:, None, :]
    return (weight(clicked[:, :, None], clicked[:, None, :]) * of(ahead)).sum(dim=(1, 2))


def _apart(here, there):
    return here * (1 - there)


def _choose(price, again=False):
    """Pages with another price of a topic that stands above."""

    def choose(scores, topic, k=10, strength=0.5):
        rows, left = np.arange(len(scores)), scores.astype(float)
        above, chosen = np.zeros((len(scores), topic.max() + 1)), []
        for _ in range(k):
            best = (left - price(strength, above[rows[:, None], topic])).argmax(axis=1)
            chosen.append(best)
            above[rows, topic[rows, best]] += 1
            if not again:
                left[rows, best] = -np.inf
        return np.stack(chosen, axis=1)

    return choose


EXERCISES = (
    Exercise(
        id="13-inverse-propensity",
        reference=lesson.inverse_propensity,
        cases=_ips_cases,
        mistakes=(
            Mistake(
                lambda outcome, new, old, most=np.inf: outcome.mean(axis=-1),
                "That is what the old policy earned.",
            ),
            Mistake(
                lambda outcome, new, old, most=np.inf: (
                    np.minimum(old / new, most) * outcome
                ).mean(axis=-1),
                "The weight is upside down: what the new policy shows more often counts more.",
            ),
            Mistake(
                lambda outcome, new, old, most=np.inf: (new / old * outcome).mean(axis=-1),
                "You cut no weight.",
            ),
            Mistake(
                lambda *given: lesson.self_normalised(*given),
                "You divide by the sum of the weights, which is the next estimator; divide by n.",
            ),
            Mistake(
                lambda outcome, new, old, most=np.inf: (
                    np.where(new / old > most, 0, new / old) * outcome
                ).mean(axis=-1),
                "You throw the large weights away; cut them to the largest allowed.",
            ),
            Mistake(
                lambda *given: lesson.inverse_propensity(*given).mean(),
                "You mix the logs; each of them has its own mean, over the last axis.",
            ),
        ),
    ),
    Exercise(
        id="13-doubly-robust",
        reference=lesson.doubly_robust,
        cases=_robust_cases,
        mistakes=(
            Mistake(
                lambda outcome, new, old, guess, expected, most=np.inf: expected.mean(axis=-1),
                "That is the direct method alone; its errors on the log are missing.",
            ),
            Mistake(
                lambda outcome, new, old, guess, expected, most=np.inf: (
                    expected + np.minimum(new / old, most) * outcome
                ).mean(axis=-1),
                "You add the whole outcome; the model has counted a part of it already.",
            ),
            Mistake(
                lambda outcome, new, old, guess, expected, most=np.inf: (
                    expected + outcome - guess
                ).mean(axis=-1),
                "The errors have no weights; they are those of the old policy's cards.",
            ),
            Mistake(
                lambda outcome, new, old, guess, expected, most=np.inf: (
                    expected + np.minimum(new / old, most) * (guess - outcome)
                ).mean(axis=-1),
                "The sign of the error is wrong: where the model says too little, add.",
            ),
            Mistake(
                lambda outcome, new, old, guess, expected, most=np.inf: (
                    expected + np.minimum(new / old, most) * (outcome - expected)
                ).mean(axis=-1),
                "The error is that of the card that was shown, not of the page's mean.",
            ),
        ),
    ),
    Exercise(
        id="13-people",
        reference=lesson.people_needed,
        cases=_people_cases,
        tolerance=Tolerance(1e-4),
        mistakes=(
            Mistake(
                lambda sd, difference: 2 * (1.96 * sd / difference) ** 2,
                "So many see a real difference in every second test only; the .84 is missing.",
            ),
            Mistake(
                lambda sd, difference: (2.8 * sd / difference) ** 2,
                "Both groups vary, so the variance of the difference counts twice.",
            ),
            Mistake(
                lambda sd, difference: 4 * (2.8 * sd / difference) ** 2,
                "Those are the people of both groups; say how many are in each.",
            ),
            Mistake(
                lambda sd, difference: 2 * 2.8 * sd / difference,
                "Square: half the difference needs four times the people.",
            ),
        ),
    ),
    Exercise(
        id="13-pair-wise",
        reference=lesson.pair_wise,
        cases=_pair_cases,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes=(
            Mistake(
                lambda scores, clicked: _pairs(
                    scores, clicked, _apart, lambda ahead: functional.softplus(ahead)
                ),
                "That pushes the clicked card below the other one.",
            ),
            Mistake(
                lambda scores, clicked: _pairs(scores, clicked, lambda own, _: own),
                "You also compare clicked cards with each other and with themselves.",
            ),
            Mistake(
                lambda scores, clicked: _pairs(
                    scores, clicked, _apart, lambda ahead: ahead.sigmoid()
                ),
                "That is the probability of the right order; the loss is minus its logarithm.",
            ),
            Mistake(
                lambda scores, clicked: (
                    _pairs(scores, clicked, _apart) / _apart(
                        clicked[:, :, None], clicked[:, None, :]
                    ).sum(dim=(1, 2)).clamp(min=1)
                ),
                "You take the mean of a page's pairs; take the sum.",
            ),
            Mistake(
                lambda scores, clicked: _pairs(scores, clicked, _apart).mean(),
                "You mix the pages; return the loss of each.",
            ),
            Mistake(
                lambda scores, clicked: lesson.list_wise(scores, clicked),
                "That is the list-wise loss; here two cards at a time are compared.",
            ),
        ),
    ),
    Exercise(
        id="13-choose-page",
        reference=lesson.choose_page,
        cases=_page_cases,
        mistakes=(
            Mistake(
                lambda scores, topic, k=10, strength=0.5: np.argsort(-scores, axis=1)[:, :k],
                "That is plain sorting; the topics above do not count.",
            ),
            Mistake(
                _choose(lambda strength, above: strength * (above > 0)),
                "Each card of the topic above counts, not only whether there is one.",
            ),
            Mistake(
                _choose(lambda strength, above: -strength * above),
                "You reward what stands above; take the price off.",
            ),
            Mistake(
                _choose(lambda strength, above: strength * above, again=True),
                "A card stands on your page twice.",
            ),
            Mistake(
                _choose(lambda strength, above: above),
                "You leave the strength out.",
            ),
        ),
    ),
)  # fmt: skip
