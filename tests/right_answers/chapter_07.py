"""Right answers to the exercises of chapter 07, written in other ways than the reference."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.lessons.ranking_features import FirstLinear


def lost_in_loops(scores, clicked, seconds):
    lost = total = 0.0
    for page in zip(scores, clicked, seconds, strict=True):
        for s, c, t in zip(*page, strict=True):
            for rival in page[0][~page[1]]:
                if c:
                    total += t
                    lost += t if rival > s else t / 2 if rival == s else 0.0
    return lost / total


def by_cross_entropy(logit, clicked, weight):
    y, w = clicked.to(logit.dtype), torch.where(clicked, weight, 1.0)
    return functional.binary_cross_entropy_with_logits(logit, y, w.to(logit.dtype))


class InARow(nn.Module):
    """The same layers in a Sequential."""

    def __init__(self, inputs, widths=(64, 32), bias=0.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        below, *above = *widths, 1
        self.first, layers = FirstLinear(inputs, below), []
        for width in above:
            layers += [nn.ReLU(), nn.Linear(below, width)]
            below = width
        self.rest = nn.Sequential(*layers)
        last = self.rest[-1] if layers else self.first.linear
        last.weight.data[:], last.bias.data[:] = 0.0, bias

    def forward(self, batch):
        return self.rest(self.first(batch)).squeeze(1)


def shares_in_loops(seconds, group):
    out = []
    for s, g in zip(seconds, group, strict=True):
        own = np.asarray(seconds)[np.asarray(group) == g]
        out.append(((own < s).sum() + (own == s).sum() / 2) / len(own))
    return out


RIGHT = {
    "07-lost-time": [lost_in_loops],
    "07-weighted-loss": [by_cross_entropy],
    "07-ranker": [InARow],
    "07-shorter": [shares_in_loops],
}
