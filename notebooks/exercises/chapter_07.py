"""Exercises of chapter 07, expected watch time."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import watch_time as lesson
from course.lessons.ranking_features import FirstLinear


def _page_cases(rng: np.random.Generator):
    for _ in range(3):
        shape = int(rng.integers(3, 6)), int(rng.integers(5, 9))
        clicked = rng.random(shape) < 0.4
        clicked[0, :2], clicked[1] = (True, False), False  # the second page has no click at all
        # Few different scores, so that clicked and unclicked cards tie.
        scores = rng.integers(0, 4, shape).astype(float)
        scores[0, 0] = scores[0, 1]
        yield scores, clicked, np.where(clicked, rng.uniform(5, 900, shape).round(), 0.0)


def _lost(tie=0.5, weighted=True, pooled=True, other=False, right=False):
    """P1's loss with a part done wrong."""

    def loss(scores, clicked, seconds):
        scores, clicked = np.asarray(scores), np.asarray(clicked, bool)
        rivals = np.ones_like(clicked) if other else ~clicked
        time = clicked[:, :, None] & rivals[:, None, :]
        time = time * np.asarray(seconds)[:, :, None] if weighted else time.astype(float)
        wrong = np.heaviside(scores[:, None, :] - scores[:, :, None], tie)
        wrong = 1 - wrong if right else wrong
        if pooled:
            return (wrong * time).sum() / time.sum()
        page = time.sum(axis=(1, 2)) > 0
        return np.mean((wrong * time).sum(axis=(1, 2))[page] / time.sum(axis=(1, 2))[page])

    return loss


def _loss_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(20, 40))
        clicked = torch.from_numpy(rng.random(n) < 0.4)
        weight = torch.from_numpy(np.where(clicked, rng.gamma(2.0, 3.0, n), 0.0))
        yield torch.from_numpy(rng.normal(size=n)), clicked, weight


def _loss(everybody=False, plain=False, flipped=False, total=False):
    """The weighted logistic loss with a part done wrong."""

    def loss(logit, clicked, weight):
        logit = -logit if flipped else logit
        up, down = functional.softplus(-logit), functional.softplus(logit)
        up = up if plain else weight * up
        down = weight * down if everybody else down
        pull = torch.where(clicked, up, down)
        return pull.sum() if total else pull.mean()

    return loss


def _over_weights(logit, clicked, weight):
    of = torch.where(clicked, weight, 1.0)
    return lesson.weighted_logistic(logit, clicked, weight) * len(of) / of.sum()


class _Inputs(nn.Module):
    """What stands for an input layer: two parts of a card, given with the batch."""

    def __init__(self, card, page):
        super().__init__()
        self.card_width, self.width = card, card + page

    def parts(self, batch):
        return batch.card, batch.of_page

    def forward(self, batch):
        return torch.cat([batch.card, batch.of_page[batch.page]], dim=1)


def _ranker_cases(rng: np.random.Generator):
    for widths in ((), (int(rng.integers(3, 7)),), tuple(int(n) for n in rng.integers(3, 7, 2))):
        card, page = (int(n) for n in rng.integers(2, 5, 2))
        yield _Inputs(card, page), widths, float(rng.uniform(-2, -1)), int(rng.integers(100))


def _of_ranker(model):
    """Logits at the start and at fixed weights, and the gradient of the first layer."""
    random, inputs = torch.Generator().manual_seed(5), model.first.inputs
    page = torch.tensor([0, 0, 1, 1, 1])
    batch = SimpleNamespace(
        card=torch.randn(5, inputs.card_width, generator=random), page=page,
        of_page=torch.randn(2, inputs.width - inputs.card_width, generator=random),
    )  # fmt: skip
    start = model(batch)
    if start is None:
        return None
    with torch.no_grad():
        for values in (*model.first.linear.parameters(), *model.rest.parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    logit = model(batch)
    (gradient,) = torch.autograd.grad(logit.square().mean(), model.first.linear.weight)
    return start.detach(), logit.detach(), gradient


class _Made(nn.Module):
    """The ranker with a part done wrong."""

    relu, after, column, zero, start, last = True, False, False, True, True, -1

    def __init__(self, inputs, widths=(64, 32), bias=0.0, seed=0):
        super().__init__()
        sizes = (*widths, 1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, sizes[0])
            self.rest = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        last = [self.first.linear, *self.rest][self.last]
        if self.zero:
            nn.init.zeros_(last.weight)
        if self.start:
            nn.init.constant_(last.bias, bias)

    def forward(self, batch):
        x = self.first(batch)
        for layer in self.rest:
            x = layer(x.relu() if self.relu else x)
        x = x.relu() if self.after else x
        return x if self.column else x[:, 0]


def _ranker(**parts):
    return type("Ranker", (_Made,), {**parts, "__module__": __name__})


def _group_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(20, 40))
        group = rng.integers(0, 3, n)
        group[:3] = 0, 1, 2
        yield rng.integers(1, 15, n) * 30.0, group  # few different times: many are equal


def _shorter(seconds, group, itself=0.5, equal=0.5, within=True):
    seconds, group = np.asarray(seconds), np.asarray(group)
    same = group[:, None] == group if within else np.ones((len(group), len(group)), bool)
    below = np.heaviside(seconds[:, None] - seconds, equal)
    np.fill_diagonal(below, itself)
    return (same * below).sum(axis=1) / same.sum(axis=1)


EXERCISES = (
    Exercise(
        id="07-lost-time",
        reference=lesson.lost_time,
        cases=_page_cases,
        mistakes=(
            Mistake(_lost(tie=0.0), "Two cards that score alike cost you nothing; half is lost."),
            Mistake(_lost(tie=1.0), "Two cards that score alike cost you all; half is lost."),
            Mistake(
                _lost(weighted=False),
                "Each of your pairs counts alike; its clicked card's seconds do.",
            ),
            Mistake(
                _lost(pooled=False),
                "You took the loss of each page, and then their mean. Pooled, all pairs go into "
                "one sum, so that pages with long watches count more.",
            ),
            Mistake(
                _lost(other=True), "You also compare two clicked cards, and a card with itself."
            ),
            Mistake(_lost(right=True), "That is the share that is in the right order."),
        ),
    ),
    Exercise(
        id="07-weighted-loss",
        reference=lesson.weighted_logistic,
        cases=_loss_cases,
        mistakes=(
            Mistake(_loss(plain=True), "Your clicks all count alike; each counts with its weight."),
            Mistake(
                _loss(everybody=True),
                "You weigh the cards without a click, too. They have no watch time, so nothing is "
                "left of them.",
            ),
            Mistake(_loss(flipped=True), "Your clicks pull the logit down, and the others up."),
            Mistake(_loss(total=True), "That is the sum over the cards; the mean is asked for."),
            Mistake(
                _over_weights,
                "You divided by the sum of the weights; divide by the number of cards.",
            ),
        ),
    ),
    Exercise(
        id="07-ranker",
        reference=lesson.Ranker,
        cases=_ranker_cases,
        read=_of_ranker,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _ranker(relu=False), "Without a ReLU between them your layers are one linear map."
            ),
            Mistake(
                _ranker(after=True),
                "A ReLU on the logit itself lets no odds fall below 1; the last layer has none.",
            ),
            Mistake(_ranker(column=True), "Your logits are a column (n, 1); drop it."),
            Mistake(_ranker(zero=False), "The last layer's weights do not start with 0."),
            Mistake(_ranker(start=False), "The last layer's bias does not start with `bias`."),
            Mistake(
                _ranker(last=0),
                "You set the start of the first layer; that of the last one is asked for, which "
                "gives the logit.",
            ),
        ),
    ),
    Exercise(
        id="07-shorter",
        reference=lesson.share_of_shorter,
        cases=_group_cases,
        mistakes=(
            Mistake(
                lambda seconds, group: _shorter(seconds, group, within=False),
                "You compare with all watches; only those of the same group count.",
            ),
            Mistake(
                lambda seconds, group: _shorter(seconds, group, itself=1.0),
                "You count the watch itself as one; it is equal to itself, so it counts half.",
            ),
            Mistake(
                lambda seconds, group: _shorter(seconds, group, itself=0.0),
                "You leave the watch itself out; it is equal to itself, so it counts half.",
            ),
            Mistake(
                lambda seconds, group: _shorter(seconds, group, 0.0, 0.0),
                "Watches of the same time count half; yours count nothing.",
            ),
            Mistake(
                lambda seconds, group: _shorter(seconds, group, 1.0, 1.0),
                "Watches of the same time count half; yours count fully.",
            ),
            Mistake(
                lambda seconds, group: 1 - _shorter(seconds, group),
                "That is the share of the longer ones.",
            ),
        ),
    ),
)
