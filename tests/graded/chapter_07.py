"""Graded variants of chapter 07, expected watch time. Never handed out."""

import numpy as np
import torch
from torch.nn import functional

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _loss(unit, most, silent):
    def loss(z, clicked, seconds, unit=unit, most=most, silent=silent, total=None):
        weight = (1 + seconds / unit).clamp(max=most)
        pull = torch.where(
            clicked, weight * functional.softplus(-z), silent * functional.softplus(z)
        )
        return pull.mean() if total is None else pull.sum() / weight[clicked].sum()

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for n in (4, 20, 50):
            clicked = torch.rand(n, generator=random) < 0.5
            clicked[:2] = torch.tensor([True, False])
            seconds = torch.rand(n, generator=random) * 2 * most * unit
            seconds[0] = 2 * most * unit
            yield torch.randn(n, generator=random), clicked, seconds * clicked

    return {
        "reference": lambda z, clicked, seconds: loss(z, clicked, seconds),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: loss(*a, most=1e9), "No click weighs more than the cap."),
            Mistake(lambda *a: loss(*a, silent=1.0), "A card without a click weighs another."),
            Mistake(lambda *a: loss(*a, total=1), "The mean over all cards is asked for."),
        ),
    }


def _lost(power, tie):
    def lost(scores, clicked, seconds, power=power, tie=tie):
        time = (clicked[:, :, None] & ~clicked[:, None, :]) * (seconds**power)[:, :, None]
        ahead = scores[:, None, :] - scores[:, :, None]
        return float((np.heaviside(ahead, tie) * time).sum() / time.sum())

    def cases(rng):
        for pages, k in ((2, 4), (6, 8)):
            clicked = rng.random((pages, k)) < 0.4
            clicked[:, :2] = True, False
            scores = rng.integers(0, 3, (pages, k)).astype(float)
            scores[:, 1] = scores[:, 0]
            yield scores, clicked, rng.uniform(5, 500, (pages, k)) * clicked

    return {
        "reference": lambda scores, clicked, seconds: lost(scores, clicked, seconds),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: lost(*a, power=1.0), "Long watches count for less than that."),
            Mistake(lambda *a: lost(*a, tie=0.5), "Your ties count half."),
            Mistake(lambda *a: 1 - lost(*a, tie=1 - tie), "That is the share that was kept."),
        ),
    }


VARIANTS = (
    Variant(
        id="07-graded-capped-loss",
        title="Weighted logistic regression with a cap",
        points=4,
        draw=lambda rng: {
            "unit": int(rng.integers(20, 90)),
            "most": int(rng.integers(3, 12)),
            "silent": int(rng.integers(20, 80)) / 100,
        },
        statement="""
Write the mean loss over all cards (n,) of a logistic regression in which a click weighs
1 + seconds / {{unit}}, but never more than {{most}}, and a card without a click weighs {{silent}}. `z` are logits,
`clicked` is True or False, `seconds` is what was watched (0 without a click).""",
        stub='''
def capped_loss(z, clicked, seconds):
    """Mean loss of cards: logits z (n,), clicked (n,), watched seconds (n,)."""
    ...  # your code
''',
        make=_loss,
        example=(
            torch.tensor([0.0, 1.0]),
            torch.tensor([True, False]),
            torch.tensor([30.0, 0.0]),
        ),
        right=(
            """
def capped_loss(z, clicked, seconds):
    p, total = torch.sigmoid(z.double()), 0.0
    for chance, click, time in zip(p, clicked, seconds):
        weight = min(1 + float(time) / {{unit}}, {{most}}) if click else {{silent}}
        total = total - weight * torch.log(chance if click else 1 - chance)
    return total / len(z)
""",
        ),
        wrong=(
            """
from course.lessons.watch_time import weighted_logistic
def capped_loss(z, clicked, seconds):
    return weighted_logistic(z, clicked, (1 + seconds / {{unit}}).clamp(max={{most}}))
""",
        ),
    ),
    Variant(
        id="07-graded-lost-time",
        title="Lost time that levels off",
        points=4,
        draw=lambda rng: {
            "power": int(rng.integers(25, 85)) / 100,
            "tie": int(rng.integers(55, 95)) / 100,
        },
        statement="""
For the pages (B, k) of a log, take all pairs of a clicked and a not clicked card of one page. A pair weighs
the seconds of the clicked card to the power of {{power}}. It is lost if the other card has the higher score,
and {{tie}} of it is lost where both scores are equal. Give the lost share of the weight of all pairs, all pages
pooled.""",
        stub='''
def lost_share(scores, clicked, seconds):
    """Lost share of pages: scores, clicked and seconds, (B, k) each."""
    ...  # your code
''',
        make=_lost,
        example=(
            np.array([[1.0, 2.0, 1.0]]),
            np.array([[True, False, False]]),
            np.array([[40.0, 0, 0]]),
        ),
        right=(
            """
def lost_share(scores, clicked, seconds):
    lost = whole = 0.0
    for s, c, t in zip(scores, clicked, seconds):
        for i in np.flatnonzero(c):
            for j in np.flatnonzero(~c):
                weight = float(t[i]) ** {{power}}
                whole += weight
                lost += weight * (1.0 if s[j] > s[i] else {{tie}} if s[j] == s[i] else 0.0)
    return lost / whole
""",
        ),
        wrong=(
            """
from course.lessons.watch_time import lost_time
def lost_share(scores, clicked, seconds):
    return lost_time(scores, clicked, seconds ** {{power}})
""",
        ),
    ),
)
