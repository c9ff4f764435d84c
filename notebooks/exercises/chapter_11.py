"""Exercises of chapter 11, titles and thumbnails."""

from __future__ import annotations

import numpy as np
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import content as lesson


def _convolve_cases(rng: np.random.Generator):
    for size, step in ((3, 1), (2, 2), (4, 3)):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        pictures = torch.randn(2, 3, 7, 10, generator=random)
        yield pictures, torch.randn(4, 3, size, size, generator=random), step


def _turned(pictures, filters, step=1):
    return lesson.convolve(pictures, filters.flip(2, 3), step)


def _one_colour(pictures, filters, step=1):
    return lesson.convolve(pictures[:, :1], filters[:, :1], step)


def _all_places(pictures, filters, step=1):
    return lesson.convolve(pictures, filters)


def _mean(pictures, filters, step=1):
    return lesson.convolve(pictures, filters, step) / filters[0].numel()


def _transposed(pictures, filters, step=1):
    return lesson.convolve(pictures, filters, step).mT


def _reader_cases(rng: np.random.Generator):
    for words in (30, 50):
        yield words, int(rng.integers(3, 6)), 8, 16, int(rng.integers(2**31))


def _of_reader(model):
    """Hidden numbers of fixed titles and pictures, and the gradient of the first filters."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        model.both.bias.add_(0.3)
    words = torch.randint(0, 30, (5, 6), generator=random)
    words[:, 4:] = model.words.padding_idx
    hidden = model(words, torch.randn(5, 3, 18, 32, generator=random))
    if hidden is None:
        return None
    (gradient,) = torch.autograd.grad(hidden.square().mean(), model.look[0].weight)
    return hidden.detach(), gradient


def _reader(forward):
    """The reader with another ``forward``."""
    return type("Reader", (lesson.Reader,), {"forward": forward, "__module__": __name__})


def _forward(pool=lambda seen: seen.amax(dim=(2, 3)), last=torch.relu, turn=False):
    def forward(self, words, pictures):
        parts = [self.words(words), pool(self.look(pictures))]
        return last(self.both(torch.cat(parts[::-1] if turn else parts, dim=1)))

    return _reader(forward)


def _blend_cases(rng: np.random.Generator):
    for half in (16.0, 3.0):
        content, own = rng.normal(size=(2, 7, 5)) * rng.uniform(0.2, 4, size=(2, 7, 1))
        n = rng.integers(1, 60, size=7)
        n[0], own[0] = 0, 0.0
        yield content, own, n, half


def _blend(swapped=False, lengths=False, constant=False, whole=False):
    def blend(content, own, n, half=4):
        share = (half / (n + half))[:, None]
        share = 1 - share if swapped else np.full_like(share, 0.5) if constant else share
        if not lengths:
            content, own = lesson.unit(content), lesson.unit(own)
        out = share * content + (1 - share) * own
        return lesson.unit(out) if whole else out

    return blend


EXERCISES = (
    Exercise(
        id="11-convolve",
        reference=lesson.convolve,
        cases=_convolve_cases,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes=(
            Mistake(_turned, "You turned the filter round; lay it on the picture as it is."),
            Mistake(_one_colour, "Only the first colour counts in yours; add up all three."),
            Mistake(_all_places, "You go one pixel at a time; go step pixels."),
            Mistake(_mean, "That is the mean of the products, not their sum."),
            Mistake(_transposed, "Rows and columns of places have changed sides."),
        ),
    ),
    Exercise(
        id="11-reader",
        reference=lesson.Reader,
        cases=_reader_cases,
        read=_of_reader,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _forward(pool=lambda seen: seen.mean(dim=(2, 3))),
                "You took the mean over the places, not the largest.",
            ),
            Mistake(_forward(last=lambda x: x), "There is no ReLU after the layer of both."),
            Mistake(_forward(turn=True), "Words come first and the picture second."),
            Mistake(
                _forward(pool=lambda seen: seen[:, :, 0, 0]),
                "You took the first place; take the largest of all.",
            ),
        ),
    ),
    Exercise(
        id="11-blend",
        reference=lesson.blend,
        cases=_blend_cases,
        mistakes=(
            Mistake(_blend(swapped=True), "The shares are swapped: few watches, much content."),
            Mistake(_blend(lengths=True), "You mix the vectors and not their directions."),
            Mistake(_blend(constant=True), "Your share does not depend on the watches."),
            Mistake(_blend(whole=True), "You made the mixture one long, too; leave it as it is."),
        ),
    ),
)
