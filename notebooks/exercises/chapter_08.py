"""Exercises of chapter 08, many objectives."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import many_objectives as lesson

TASKS = len(lesson.TASKS)


def _loss_cases(rng: np.random.Generator):
    for empty in (False, True):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        outputs = torch.randn(9, TASKS, generator=random)
        labels = (torch.rand(9, TASKS, generator=random) < 0.5).float()
        numbers = torch.rand(9, TASKS, generator=random) * 4 + 1
        labels = torch.where(lesson.YES_NO, labels, numbers)
        labels[torch.rand(9, TASKS, generator=random) < 0.5] = torch.nan
        labels[0] = torch.where(torch.isnan(labels[0]), 1.0, labels[0])  # each is known somewhere
        if empty:
            labels[:, 6] = torch.nan
        yield outputs, labels


def _losses(fill=False, over_all=False, total=False, square_all=False, yes_no_all=False):
    """The losses of the tasks with a part done wrong."""

    def losses(outputs, labels):
        known = ~torch.isnan(labels) if not fill else torch.ones_like(labels, dtype=torch.bool)
        outcome = torch.nan_to_num(labels)
        entropy = functional.binary_cross_entropy_with_logits(outputs, outcome, reduction="none")
        yes_no = torch.ones_like(lesson.YES_NO) if yes_no_all else lesson.YES_NO
        yes_no = torch.zeros_like(yes_no) if square_all else yes_no
        each = torch.where(yes_no, entropy, (outputs - outcome) ** 2) * known
        n = torch.full((TASKS,), len(labels)) if over_all else known.sum(dim=0).clamp(min=1)
        return each.sum(dim=0) if total else each.sum(dim=0) / n

    return losses


class _Inputs(torch.nn.Module):
    """A stand-in for an InputLayer: a batch is a table (n, 5) already, on as many pages."""

    width = 5

    def parts(self, batch):
        return batch.cards, batch.pages_of


class _Batch:
    """Cards (n, 3) and what belongs to their pages (n, 2)."""

    def __init__(self, cards, pages_of):
        self.cards, self.pages_of, self.page = cards, pages_of, torch.arange(len(cards))


def _network_cases(rng: np.random.Generator):
    for layers in (1, 2):
        tasks, *widths = rng.integers(3, 20, size=1 + layers).tolist()
        bias = torch.from_numpy(rng.normal(size=tasks).astype(np.float32))
        yield _Inputs(), bias, tuple(widths)


def _of_network(model):
    """Outputs of a fixed batch at fixed weights, and the gradient of the first layer."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    cards = torch.randn(6, 3, generator=random)
    outputs = model(_Batch(cards, torch.randn(6, 2, generator=random)))
    if outputs is None:
        return None
    (gradient,) = torch.autograd.grad(outputs.square().mean(), model.first.linear.weight)
    return outputs.detach(), gradient


def _network(forward):
    """The network with another ``forward``."""
    return type(
        "SharedBottom", (lesson.SharedBottom,), {"forward": forward, "__module__": __name__}
    )


def _cosine_cases(rng: np.random.Generator):
    for seed in rng.integers(2**31, size=2).tolist():
        random = torch.Generator().manual_seed(seed)
        weight = torch.randn(4, 3, generator=random, requires_grad=True)
        x = torch.randn(7, 3, generator=random)
        ways = torch.randn(3, 4, generator=random)
        losses = ((x @ weight.T).relu() @ ways.T).square().mean(dim=0)
        yield torch.cat([losses, 0.3 * losses[1:2] - losses[:1]]), weight  # the last one fights


def _cosines(unit=True, retain=True, of_each=False, absolute=False):
    """The cosines with a part done wrong."""

    def cosines(losses, weight):
        pulls = [torch.autograd.grad(one, weight, retain_graph=True)[0].flatten() for one in losses]
        table = torch.stack(pulls)
        if of_each:
            table = torch.stack([functional.normalize(p.view_as(weight), dim=1).flatten()
                                 for p in table])  # fmt: skip
        table = functional.normalize(table, dim=1) if unit else table
        out = table @ table.T
        return out.abs() if absolute else out

    return cosines


def _combine_cases(rng: np.random.Generator):
    for _ in range(2):
        factors = {name: rng.uniform(0.05, 3, size=6) for name in ("click", "watch time", "rating")}
        yield factors, {"click": 1.0, "rating": float(rng.uniform(0.5, 4))}


EXERCISES = (
    Exercise(
        id="08-masked-loss",
        reference=lesson.task_losses,
        cases=_loss_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(_losses(fill=True), "You counted what is not known as 0; leave it out."),
            Mistake(
                _losses(over_all=True),
                "You divided by the number of cards; divide by how many labels the task has.",
            ),
            Mistake(_losses(total=True), "That is the sum over the known labels, not the mean."),
            Mistake(_losses(square_all=True), "Yes or no is learned by the cross-entropy."),
            Mistake(_losses(yes_no_all=True), "Numbers are learned by the squared error."),
        ),
    ),
    Exercise(
        id="08-forward",
        reference=lesson.SharedBottom,
        cases=_network_cases,
        read=_of_network,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _network(lambda self, batch: self.towers(self.above(self.first(batch)))),
                "Your first layer has no ReLU.",
            ),
            Mistake(
                _network(
                    lambda self, batch: self.towers(self.above(self.first(batch).relu())).sigmoid()
                ),
                "The towers give logits; no sigmoid here, the loss has one.",
            ),
        ),
    ),
    Exercise(
        id="08-cosines",
        reference=lesson.cosines,
        cases=_cosine_cases,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _cosines(unit=False), "Those are products; divide each gradient by its length."
            ),
            Mistake(
                _cosines(of_each=True),
                "You made each row of the gradient one long; flatten it first.",
            ),
            Mistake(_cosines(absolute=True), "A cosine may be negative, and that is the point."),
        ),
    ),
    Exercise(
        id="08-combine",
        reference=lesson.combine,
        cases=_combine_cases,
        mistakes=(
            Mistake(
                lambda factors, weights: sum(w * factors[name] for name, w in weights.items()),
                "That is a weighted sum of the predictions; take their logarithms.",
            ),
            Mistake(
                lambda factors, weights: np.prod(
                    [factors[name] ** w for name, w in weights.items()], axis=0
                ),
                "That is the product, which sorts the same; the logarithm of it is asked for.",
            ),
            Mistake(
                lambda factors, weights: sum(
                    weights.get(name, 1.0) * np.log(p) for name, p in factors.items()
                ),
                "What has no weight does not count.",
            ),
        ),
    ),
)
