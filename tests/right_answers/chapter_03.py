"""Right answers to the exercises of chapter 03, written in other ways than the reference."""

import math

import numpy as np
import torch
from torch import nn

from course.lessons import candidate_generation as lesson


class NetworkByHand(nn.Module):
    """The same parts, with a table and a mask instead of averaged bags."""

    def __init__(self, videos, dim=64, widths=(256,), counts=None, bag="mean", scale=0.1, seed=0):
        super().__init__()
        self.videos, self.watched = videos, nn.Embedding(videos + 1, dim)
        self.norm, (self.tower, last) = nn.LayerNorm(dim), lesson.tower(dim + 1, widths)
        self.last, self.output = nn.Linear(last, dim), nn.Embedding(videos, dim + 1)

    def forward(self, bags):
        there = (bags < self.videos).float()
        n = there.sum(dim=1)
        total = torch.einsum("bl,bld->bd", there, self.watched(bags))
        mean = total / n.clamp(min=1)[:, None]
        hidden = self.tower(torch.hstack([self.norm(mean), (1 + n).log()[:, None]]))
        return torch.hstack([self.last(hidden), torch.ones(len(bags), 1)])


def rate_with_numpy(step, steps, warm_up=0.1):
    rising = warm_up * steps
    up = (step + 1) / rising
    down = np.cos(np.pi / 2 * (step - rising) / (steps - rising)) ** 2
    return np.where(step < rising, min(up, 1.0), down)


def softmax_in_loops(user, videos, label, sample, log_chance=None):
    losses = []
    for u, y in zip(user.double(), label.tolist(), strict=True):
        rivals = [y, *(j for j in sample.tolist() if j != y)]
        off = 0 if log_chance is None else log_chance.double()[rivals]
        scores = videos.double()[rivals] @ u - off
        losses.append(scores.logsumexp(dim=0) - scores[0])
    return torch.stack(losses).mean()


def cells_in_loops(user, places, centres, cell, nprobe, k):
    distance = [math.dist(user, centre) for centre in centres]
    near = sorted(range(len(centres)), key=distance.__getitem__)[:nprobe]
    inside = [i for i in range(len(places)) if cell[i] in near]
    return sorted(inside, key=lambda i: -float(places[i] @ user))[:k]


RIGHT = {
    "03-forward": [NetworkByHand],
    "03-rate": [rate_with_numpy],
    "03-sampled-softmax": [softmax_in_loops],
    "03-search-cells": [cells_in_loops],
}
