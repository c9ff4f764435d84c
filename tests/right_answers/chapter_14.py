"""Differently written right answers to the exercises of chapter 14."""

import numpy as np
import torch


def gini_of_pairs(counts):
    counts = np.asarray(counts, float)
    gaps = [abs(a - b) for a in counts for b in counts]
    return sum(gaps) / len(counts) ** 2 / (2 * counts.mean())


def gini_of_the_lorenz_curve(counts):
    share = np.cumsum(np.sort(counts)) / np.sum(counts)
    under = np.r_[0.0, share]
    return 1 - (under[1:] + under[:-1]).sum() / len(counts)


def z_in_a_loop(clicked, probability, group):
    gap, variance = 0.0, 0.0
    for c, p, inside in zip(clicked, probability, group, strict=True):
        if inside:
            gap += float(c) - p
            variance += p * (1 - p)
    return gap / variance**0.5


def z_by_weights(clicked, probability, group):
    gap = np.dot(group, clicked - probability)
    return gap / np.sqrt(np.dot(group, probability - probability**2))


def int8_row_by_row(weight):
    out = []
    for row in weight:
        step = max(abs(row)) / 127
        out.append([step * round(w / step) for w in row])
    return out


def int8_in_torch(weight):
    w = torch.from_numpy(weight)
    scale = 127 / w.abs().amax(dim=1, keepdim=True)
    return (torch.round(w * scale) / scale).numpy()


RIGHT = {
    "14-gini": [gini_of_pairs, gini_of_the_lorenz_curve],
    "14-residual": [z_in_a_loop, z_by_weights],
    "14-int8": [int8_row_by_row, int8_in_torch],
}
