"""Exercises of chapter 03, the deep candidate generator."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import candidate_generation as lesson

LENGTH = 6


def _network_cases(rng: np.random.Generator):
    for _ in range(2):
        videos, dim = (int(n) for n in rng.integers((7, 3), (20, 6)))
        yield videos, dim, tuple(int(n) for n in rng.integers(3, 7, size=2))


def _of_network(model):
    """User vectors of bags of several lengths, and the gradient of the tables, at fixed weights."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    bags = torch.randint(model.videos, (5, LENGTH), generator=random)
    bags[torch.arange(LENGTH) >= torch.tensor([0, 1, 3, 5, 6])[:, None]] = model.videos
    user = model(bags)
    if user is None:
        return None
    (gradient,) = torch.autograd.grad(user.square().mean(), model.watched.weight)
    return user.detach(), gradient


def _network(forward):
    """The network with another ``forward``."""
    return type("NextVideo", (lesson.NextVideo,), {"forward": forward, "__module__": __name__})


def _forward(count=None, normed=True, log=True, one=1.0, tower=True):
    """The forward pass with a part left out or done in another way."""

    def forward(self, bags):
        n = (bags != self.videos).sum(dim=1, keepdim=True) if count is None else count(self, bags)
        mean = self.watched(bags)
        parts = [self.norm(mean) if normed else mean, torch.log1p(n) if log else n]
        x = torch.cat(parts, dim=1)
        x = self.tower(x) if tower else x
        return functional.pad(self.last(x), (0, 1), value=one)

    return _network(forward)


def _norm_of_all(self, bags):
    n = (bags != self.videos).sum(dim=1, keepdim=True)
    x = functional.layer_norm(
        torch.cat([self.watched(bags), torch.log1p(n)], dim=1), (len(self.norm.weight) + 1,)
    )
    return functional.pad(self.last(self.tower(x)), (0, 1), value=1.0)


def _rate_cases(rng: np.random.Generator):
    for steps in rng.integers(20, 200, size=2).tolist():
        warm_up = float(rng.choice([0.1, 0.25]))
        for share in (0.0, 0.06, warm_up, 0.5, 0.9):
            yield min(int(share * steps), steps - 1), steps, warm_up


def _rate(step, steps, warm_up=0.1):
    return lesson.rate_factor(step, steps, warm_up)


def _softmax_cases(rng: np.random.Generator):
    random = torch.Generator().manual_seed(int(rng.integers(2**31)))
    for corrected in (False, True, True):
        videos = torch.randn(12, 4, generator=random)
        user = torch.randn(6, 4, generator=random)
        label = torch.randint(12, (6,), generator=random)
        sample = torch.randperm(12, generator=random)[:5]
        sample = torch.unique(torch.cat([sample, label[:2]]))  # accidental hits
        chance = torch.rand(12, generator=random) * 0.8 + 0.1
        yield user, videos, label, sample, chance.log() if corrected else None


def _loss(label_too=True, sample_too=True, hits=True, sign=-1.0, chance=False, mean=True):
    """The sampled softmax with a part done wrong."""

    def loss(user, videos, label, sample, log_chance=None):
        right, wrong = (user * videos[label]).sum(dim=1, keepdim=True), user @ videos[sample].T
        if log_chance is not None:
            by = log_chance.exp() if chance else log_chance
            right = right + sign * by[label, None] if label_too else right
            wrong = wrong + sign * by[sample] if sample_too else wrong
        if hits:
            wrong = wrong.masked_fill(label[:, None] == sample, -torch.inf)
        scores = torch.cat([right, wrong], dim=1)
        return functional.cross_entropy(
            scores, torch.zeros_like(label), reduction="mean" if mean else "sum"
        )

    return loss


def _cells_cases(rng: np.random.Generator):
    for nprobe in (1, 3):
        places, user = rng.normal(size=(60, 4)), rng.normal(size=4)
        centres, cell = rng.normal(size=(8, 4)), rng.integers(0, 8, 60)
        cell[:24] = np.repeat(np.arange(8), 3)  # no cell is empty
        yield user, places, centres, cell, nprobe, 3


def _cells(by=None, nearest=True, chosen=True, order=-1):
    """The search with a part done wrong."""

    def search(user, places, centres, cell, nprobe, k):
        far = ((centres - user) ** 2).sum(axis=1) if by is None else by(centres, user)
        near = np.argsort(far if nearest else -far)[:nprobe]
        inside = np.flatnonzero(np.isin(cell, near)) if chosen else np.arange(len(cell))
        return inside[np.argsort(order * (places[inside] @ user))[:k]]

    return search


def _inside(user, places, centres, cell, nprobe, k):
    near = np.argsort(((centres - user) ** 2).sum(axis=1))[:nprobe]
    inside = np.flatnonzero(np.isin(cell, near))
    return np.argsort(-(places[inside] @ user))[:k]


EXERCISES = (
    Exercise(
        id="03-forward",
        reference=lesson.NextVideo,
        cases=_network_cases,
        read=_of_network,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _forward(count=lambda self, bags: torch.full((len(bags), 1), bags.shape[1])),
                "Your n is the length of the bag; count only the places that hold a video.",
            ),
            Mistake(
                _forward(log=False), "The count itself went in; its logarithm log(1 + n) does."
            ),
            Mistake(_forward(normed=False), "The mean went in as it is; normalise it first."),
            Mistake(_network(_norm_of_all), "You normalised the count along with the mean."),
            Mistake(_forward(one=0.0), "Your vectors end in 0; the bias of a video wants a 1."),
        ),
    ),
    Exercise(
        id="03-rate",
        reference=lesson.rate_factor,
        cases=_rate_cases,
        mistakes=(
            Mistake(
                lambda step, steps, warm_up=0.1: (
                    step / (warm_up * steps)
                    if step < warm_up * steps
                    else _rate(step, steps, warm_up)
                ),
                "Your first step has the rate 0 and learns nothing; it gets one part.",
            ),
            Mistake(
                lambda step, steps, warm_up=0.1: (
                    _rate(step, steps, warm_up)
                    if step < warm_up * steps
                    else 0.5 * (1 + math.cos(math.pi * step / steps))
                ),
                "Your cosine runs over all steps; it begins where the warm-up ends.",
            ),
            Mistake(
                lambda step, steps, warm_up=0.1: (
                    _rate(step, steps, warm_up)
                    if step < warm_up * steps
                    else math.cos(math.pi / 2 * (step - warm_up * steps) / (steps * (1 - warm_up)))
                ),
                "That is a quarter of a cosine, from 1 to 0; half of one falls from 1 to -1 and "
                "is then brought to 1 to 0.",
            ),
            Mistake(
                lambda step, steps, warm_up=0.1: (
                    _rate(step, steps, warm_up) if step < warm_up * steps else 1.0
                ),
                "After the warm-up your rate stays; it falls to zero.",
            ),
        ),
    ),
    Exercise(
        id="03-sampled-softmax",
        reference=lesson.sampled_softmax,
        cases=_softmax_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                _loss(label_too=False),
                "You corrected the sample alone. By Bayes' rule every video of the bag is divided "
                "by its chance, the label, too.",
            ),
            Mistake(_loss(sample_too=False), "You corrected the label alone; the sample, too."),
            Mistake(_loss(sign=1.0), "Your correction is added; it must be taken off."),
            Mistake(_loss(hits=False), "Where the label is in the sample, it is its own rival."),
            Mistake(
                _loss(chance=True), "The logarithm of the chance is taken off, not the chance."
            ),
            Mistake(_loss(mean=False), "That is the sum over the batch; the mean is asked for."),
        ),
    ),
    Exercise(
        id="03-search-cells",
        reference=lesson.search_cells,
        cases=_cells_cases,
        mistakes=(
            Mistake(
                _cells(by=lambda centres, user: -(centres @ user)),
                "You chose cells by their products; centres are not equally long, so take the "
                "nearest.",
            ),
            Mistake(_cells(nearest=False), "You look into the cells that are farthest away."),
            Mistake(_cells(chosen=False), "You look into all cells, so nothing is saved."),
            Mistake(_cells(order=1), "Your answer begins with the smallest product."),
            Mistake(
                _inside, "Your answer counts within the chosen cells; turn it into ids of videos."
            ),
        ),
    ),
)
