"""Graded variants of chapter 10, position bias. Never handed out."""

import numpy as np
import torch
from torch.nn import functional

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _weighted(power, most):
    def loss(z, clicked, theta, power=power, most=most, all_cards=False):
        weight = (theta**-power).clamp(max=most)
        c = clicked.to(z.dtype)
        silent = weight if all_cards else 1.0
        return (
            c * weight * functional.softplus(-z) + (1 - c) * silent * functional.softplus(z)
        ).mean()

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for n in (5, 30):
            clicked = torch.rand(n, generator=random) < 0.5
            clicked[:3] = torch.tensor([True, True, False])
            theta = 0.3 + 0.7 * torch.rand(n, generator=random)
            theta[0] = 1e-6
            yield torch.randn(n, generator=random), clicked, theta

    return {
        "reference": lambda z, clicked, theta: loss(z, clicked, theta),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: loss(*a, most=1e9), "No weight is above the cap."),
            Mistake(lambda *a: loss(*a, power=1.0), "The weights are flatter than 1 / theta."),
            Mistake(lambda *a: loss(*a, all_cards=True), "Only clicks are weighted."),
        ),
    }


def _posterior(slip):
    def step(clicked, theta, gamma, slip=slip, looked_always=False):
        theta, gamma = np.asarray(theta, float), np.asarray(gamma, float)
        wanted = gamma + slip * (1 - gamma)  # P(click | looked)
        silent = 1 - theta * wanted
        looked = np.where(clicked, 1.0, theta * (1 - wanted) / silent)
        no = gamma if looked_always else gamma * (1 - theta) / silent
        return looked, np.where(clicked, gamma / wanted, no)

    def cases(rng):
        for n in (4, 15):
            clicked = rng.random(n) < 0.4
            clicked[:2] = True, False
            yield clicked, rng.uniform(0.1, 0.9, n), rng.uniform(0.1, 0.9, n)

    def sure(clicked, theta, gamma):
        looked, relevant = step(clicked, theta, gamma)
        return looked, np.where(clicked, 1.0, relevant)

    return {
        "reference": lambda clicked, theta, gamma: step(clicked, theta, gamma),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(sure, "A click may be a slip; then it says less about the card."),
            Mistake(lambda *a: step(*a, slip=0.0), "There are no slips in your model."),
            Mistake(
                lambda *a: step(*a, looked_always=True),
                "That nobody clicked says something about the card, too.",
            ),
        ),
    }


VARIANTS = (
    Variant(
        id="10-graded-flat-weights",
        title="Inverse propensity, flattened and capped",
        points=4,
        draw=lambda rng: {
            "power": int(rng.integers(30, 85)) / 100,
            "most": int(rng.integers(3, 12)),
        },
        statement="""
A card was looked at with probability `theta` (n,). Write the mean logistic loss of logits `z` (n,) over all
cards, in which a click weighs $\\theta^{-{{power}}}$, but never more than {{most}}, and a card without a click
weighs 1.""",
        stub='''
def flat_weights(z, clicked, theta):
    """Mean loss of logits z (n,), clicked (n,) True or False, chances theta (n,)."""
    ...  # your code
''',
        make=_weighted,
        example=(
            torch.tensor([0.0, 1.0]),
            torch.tensor([True, False]),
            torch.tensor([0.5, 0.2]),
        ),
        right=(
            """
def flat_weights(z, clicked, theta):
    total = 0.0
    for one, click, chance in zip(z.double(), clicked, theta.double()):
        weight = min(float(chance) ** -{{power}}, {{most}}) if click else 1.0
        total = total - weight * torch.log(torch.sigmoid(one if click else -one))
    return total / len(z)
""",
        ),
        wrong=(
            """
def flat_weights(z, clicked, theta):
    weight = torch.where(clicked, (1 / theta).clamp(max={{most}}) ** {{power}}, 1.0)
    return functional.binary_cross_entropy_with_logits(z, clicked.float(), weight)
""",
        ),
    ),
    Variant(
        id="10-graded-slips",
        title="The E-step when people slip",
        points=6,
        draw=lambda rng: {"slip": int(rng.integers(5, 45)) / 100},
        statement="""
A card is looked at with probability `theta`, and fits with probability `gamma`, independently. A card that is
looked at is clicked if it fits, and, by a slip, with probability {{slip}} if it does not. A card that is not
looked at is never clicked. From what was `clicked` (n,), give two arrays (n,): the probability that each card
was looked at, and the probability that it fits.""",
        stub='''
def slips(clicked, theta, gamma):
    """Probabilities (n,) of looked at, and (n,) of a card that fits, given the clicks (n,)."""
    ...  # your code
''',
        make=_posterior,
        example=(np.array([True, False]), np.array([0.5, 0.5]), np.array([0.4, 0.4])),
        right=(
            """
def slips(clicked, theta, gamma):
    looked, fits = [], []
    for click, t, g in zip(clicked, theta, gamma):
        joint = {}
        for l in (0, 1):
            for f in (0, 1):
                chance = l * (1.0 if f else {{slip}})
                prior = (t if l else 1 - t) * (g if f else 1 - g)
                joint[l, f] = prior * (chance if click else 1 - chance)
        whole = sum(joint.values())
        looked.append((joint[1, 0] + joint[1, 1]) / whole)
        fits.append((joint[0, 1] + joint[1, 1]) / whole)
    return np.array(looked), np.array(fits)
""",
        ),
        wrong=(
            """
def slips(clicked, theta, gamma):
    silent = 1 - theta * gamma
    looked = np.where(clicked, 1.0, theta * (1 - gamma) / silent)
    return looked, np.where(clicked, 1 - {{slip}}, gamma * (1 - theta) / silent)
""",
        ),
    ),
)
