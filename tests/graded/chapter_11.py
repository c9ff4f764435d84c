"""Graded variants of chapter 11, titles and thumbnails. Never handed out."""

import numpy as np
import torch
from torch.nn import functional

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _blended(half, power):
    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)

    def blended(content, own, n, half=half, power=power, first=unit, last=unit):
        share = ((half / (half + n)) ** power)[:, None]
        return last(share * first(content) + (1 - share) * first(own))

    def same(vectors):
        return vectors

    def cases(rng):
        for videos, d in ((3, 2), (8, 4)):
            n = rng.integers(1, 4 * half, videos).astype(float)
            n[0] = 0.0
            yield rng.normal(size=(videos, d)), 3 * rng.normal(size=(videos, d)), n

    return {
        "reference": lambda content, own, n: blended(content, own, n),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-4),
        "mistakes": (
            Mistake(lambda *a: blended(*a, first=same), "Make both directions one long first."),
            Mistake(lambda *a: blended(*a, last=same), "The mixture is to be one long, too."),
            Mistake(lambda *a: blended(*a, power=1.0), "The share falls in another way."),
        ),
    }


def _convolved(edge, least):
    def convolved(pictures, filters, edge=edge, least=least, turned=False, shift=1):
        wide = functional.pad(pictures, (1, 1, 1, 1), value=edge)
        filters = filters.flip(2, 3) if turned else filters
        return (functional.conv2d(wide, filters, stride=2) - shift * least).relu()

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for n, colours, kinds, size in ((1, 1, 2, 5), (2, 3, 2, 7)):
            pictures = torch.randn(n, colours, size, size + 2, generator=random)
            yield pictures, torch.randn(kinds, colours, 3, 3, generator=random)

    return {
        "reference": lambda pictures, filters: convolved(pictures, filters),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-4),
        "mistakes": (
            Mistake(lambda *a: convolved(*a, edge=0.0), "Your edge is black."),
            Mistake(lambda *a: convolved(*a, turned=True), "Your filters are turned round."),
            Mistake(lambda *a: convolved(*a, shift=0), "What is too weak does not count."),
            Mistake(lambda *a: convolved(*a, shift=-1), "The threshold is taken off, not added."),
        ),
    }


VARIANTS = (
    Variant(
        id="11-graded-blended",
        title="From content to own watches, in another way",
        points=3,
        draw=lambda rng: {
            "half": int(rng.integers(3, 20)),
            "power": int(rng.integers(15, 40)) / 10,
        },
        statement="""
A video with n watches is described by the direction of its content with the share
$({{half}} / ({{half}} + n))^{ {{power}} }$, and by the direction of its own vector with the rest. Make both vectors one long before
you mix them, and the mixture after it.""",
        stub='''
def blended(content, own, n):
    """Vectors (V, d), one long: from content (V, d) and own (V, d) after n (V,) watches."""
    ...  # your code
''',
        make=_blended,
        example=(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]), np.array([5.0])),
        right=(
            """
def blended(content, own, n):
    rows = []
    for c, o, times in zip(content, own, n):
        share = (1 + times / {{half}}) ** -{{power}}
        v = share * c / math.sqrt(c @ c) + (1 - share) * o / math.sqrt(o @ o)
        rows.append(v / math.sqrt(v @ v))
    return np.array(rows)
""",
        ),
        wrong=(
            """
from course.lessons.content import blend, unit
def blended(content, own, n):
    return unit(blend(content, own, n, {{half}}))
""",
        ),
    ),
    Variant(
        id="11-graded-convolved",
        title="Every second place, with an edge",
        points=5,
        draw=lambda rng: {
            "edge": int(rng.integers(10, 90)) / 100,
            "least": int(rng.integers(10, 90)) / 100,
        },
        statement="""
Lay filters (filters, colours, 3, 3) on every second place of pictures (B, colours, h, w), in both
directions. Before that, put an edge one pixel wide around each picture, filled with {{edge}} in all colours;
the first place is the upper left corner of the edge. From each sum take {{least}} off, and what is then below 0 is
0. As in the chapter, filters are not turned round.""",
        stub='''
def convolved(pictures, filters):
    """What filters find on pictures: (B, filters, places down, places across)."""
    ...  # your code
''',
        make=_convolved,
        example=(torch.ones(1, 1, 3, 3), torch.full((1, 1, 3, 3), 0.25)),
        right=(
            """
def convolved(pictures, filters):
    n, colours, h, w = pictures.shape
    wide = torch.full((n, colours, h + 2, w + 2), {{edge}})
    wide[:, :, 1:-1, 1:-1] = pictures
    found = torch.zeros(n, len(filters), (h - 1) // 2 + 1, (w - 1) // 2 + 1)
    for i in range(found.shape[2]):
        for j in range(found.shape[3]):
            window = wide[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            found[:, :, i, j] = (window[:, None] * filters).sum(dim=(2, 3, 4)) - {{least}}
    return found.clamp(min=0)
""",
        ),
        wrong=(
            """
def convolved(pictures, filters):
    return (functional.conv2d(pictures, filters, stride=2, padding=1) + {{edge}} - {{least}}).relu()
""",
        ),
    ),
)
