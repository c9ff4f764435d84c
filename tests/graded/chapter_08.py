"""Graded variants of chapter 08, many objectives. Never handed out."""

import numpy as np
import torch
from torch.nn import functional

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _masked(delta, smooth):
    def losses(outputs, labels, delta=delta, smooth=smooth, by=None):
        known = ~torch.isnan(labels)
        label = torch.where(known, labels, 0.0)
        soft = label * (1 - smooth) + smooth / 2
        each = functional.binary_cross_entropy_with_logits(outputs, soft, reduction="none")
        far = functional.huber_loss(outputs[:, 2], label[:, 2], reduction="none", delta=delta)
        each = torch.cat([each[:, :2], far[:, None]], dim=1)
        number = known.sum(dim=0).clamp(min=1) if by is None else len(labels)
        return (each * known).sum(dim=0) / number

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for n in (6, 30):
            labels = (torch.rand(n, 3, generator=random) < 0.5).float()
            labels[:, 2] = 5 * torch.rand(n, generator=random)
            labels[torch.rand(n, 3, generator=random) < 0.3] = torch.nan
            labels[:2] = torch.tensor([[1.0, torch.nan, 4.0], [torch.nan, 0.0, torch.nan]])
            if n == 6:
                labels[:, 1] = torch.nan  # nothing is known of a task
            yield 3 * torch.randn(n, 3, generator=random), labels

    return {
        "reference": lambda outputs, labels: losses(outputs, labels),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: losses(*a, by=1), "Divide by the number of known labels."),
            Mistake(lambda *a: losses(*a, smooth=0.0), "Your labels are not softened."),
            Mistake(lambda *a: losses(*a, delta=1e6), "Far errors grow in a straight line."),
        ),
    }


def _combined(offset, a, b, c):
    def combined(factors, offset=offset, minus=True, log=True):
        weights = {"click": a, "stars": b, "dismissal": -c if minus else c}
        return sum(
            w * (np.log(offset + factors[name]) if log else factors[name])
            for name, w in weights.items()
        )

    def cases(rng):
        for n in (3, 12):
            factors = {name: rng.uniform(0, 1, n) for name in ("click", "stars", "dismissal")}
            factors["click"][0] = 0.0
            yield (factors,)

    return {
        "reference": lambda factors: combined(factors),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-4),
        "mistakes": (
            Mistake(lambda f: combined(f, minus=False), "A dismissal speaks against a card."),
            Mistake(lambda f: combined(f, log=False), "A product is asked for, as logarithms."),
            Mistake(lambda f: combined(f, offset=1e-9), "The offset is missing."),
        ),
    }


VARIANTS = (
    Variant(
        id="08-graded-masked-losses",
        title="Three tasks, not all of them known",
        points=5,
        draw=lambda rng: {
            "delta": int(rng.integers(30, 150)) / 100,
            "smooth": int(rng.integers(4, 30)) / 100,
        },
        statement="""
Write the mean losses (3,) of three tasks over the cards whose label is known; NaN is not known, and a task of
which nothing is known has loss 0. The outputs of tasks 0 and 1 are logits of yes or no; their labels y are
softened to (1 - {{smooth}}) y + {{smooth}} / 2 before the cross-entropy. Task 2 is a number with the Huber loss of
an error e: e² / 2 up to |e| = {{delta}}, and {{delta}} (|e| - {{delta}} / 2) beyond.""",
        stub='''
def masked_losses(outputs, labels):
    """Losses (3,) of outputs (n, 3) and labels (n, 3), of which some are NaN."""
    ...  # your code
''',
        make=_masked,
        example=(
            torch.tensor([[0.0, 1.0, 3.0], [2.0, 0.0, 1.0]]),
            torch.tensor([[1.0, float("nan"), 1.0], [0.0, float("nan"), 1.5]]),
        ),
        right=(
            """
def masked_losses(outputs, labels):
    found = []
    for task in range(3):
        total, number = torch.tensor(0.0), 0
        for z, y in zip(outputs[:, task], labels[:, task]):
            if y != y:
                continue
            number += 1
            if task < 2:
                soft = (1 - {{smooth}}) * y + {{smooth}} / 2
                total = total + torch.log(1 + torch.exp(-z)) + (1 - soft) * z
            else:
                e = abs(z - y)
                total = total + (e * e / 2 if e <= {{delta}} else {{delta}} * (e - {{delta}} / 2))
        found.append(total / max(number, 1))
    return torch.stack(found)
""",
        ),
        wrong=(
            """
def masked_losses(outputs, labels):
    known = ~torch.isnan(labels)
    y = torch.nan_to_num(labels)
    loss = functional.binary_cross_entropy_with_logits(outputs, y, reduction="none")
    loss[:, 2] = functional.huber_loss(outputs[:, 2], y[:, 2], reduction="none", delta={{delta}})
    return (loss * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
""",
        ),
    ),
    Variant(
        id="08-graded-combined",
        title="Three predictions, one order",
        points=3,
        draw=lambda rng: {
            "offset": int(rng.integers(2, 40)) / 100,
            "a": int(rng.integers(5, 30)) / 10,
            "b": int(rng.integers(5, 30)) / 10,
            "c": int(rng.integers(5, 30)) / 10,
        },
        statement="""
A card is worth $(o + \\text{click})^{a} (o + \\text{stars})^{b} / (o + \\text{dismissal})^{c}$ with o = {{offset}},
a = {{a}}, b = {{b}} and c = {{c}}. Give the logarithm of it. `factors` holds an array (n,) under each of the names
"click", "stars" and "dismissal".""",
        stub='''
def combined(factors):
    """Scores (n,) of cards from a dict of three predictions (n,)."""
    ...  # your code
''',
        make=_combined,
        example=(
            {"click": np.array([0.1]), "stars": np.array([0.8]), "dismissal": np.array([0.0])},
        ),
        right=(
            """
def combined(factors):
    worth = (factors["click"] + {{offset}}) ** {{a}} * (factors["stars"] + {{offset}}) ** {{b}}
    return np.log(worth / (factors["dismissal"] + {{offset}}) ** {{c}})
""",
        ),
        wrong=(
            """
from course.lessons.many_objectives import combine
def combined(factors):
    return combine({k: v + 1e-6 for k, v in factors.items()}, {"click": {{a}}, "stars": {{b}}, "dismissal": -{{c}}})
""",
        ),
    ),
)
