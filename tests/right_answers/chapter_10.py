"""Differently written right answers to the exercises of chapter 10."""

import numpy as np
import torch


def logit_one_by_one(main, table, position, device):
    rows = zip(main, position, device, strict=True)
    return [1 / (1 + np.exp(-(z + table[d][p]))) for z, p, d in rows]


def logit_in_odds(main, table, position, device):
    odds = np.exp(main) * np.exp(table)[device, position]
    return odds / (1 + odds)


def rate_by_position(clicked, position, theta):
    total = 0.0
    for k, seen in enumerate(theta, start=1):
        total += clicked[position == k].sum() / seen
    return total / len(clicked)


def rate_as_least_squares(clicked, position, theta):
    """The constant that minimises the squared distance to clicked / theta."""
    target = torch.as_tensor(clicked / np.take(theta, position - 1))
    return target.double().mean().item()


def step_by_counting_ways(theta, gamma):
    ways = {
        (e, r): np.where(e, theta, 1 - theta) * np.where(r, gamma, 1 - gamma)
        for e in (0, 1)
        for r in (0, 1)
        if not (e and r)
    }
    total = sum(ways.values())
    return ways[1, 0] / total, ways[0, 1] / total


def step_by_bayes(theta, gamma):
    return (theta - theta * gamma) / (1 - theta * gamma), (gamma - theta * gamma) / (
        1 - theta * gamma
    )


def judged_by_polyfit(learned, true):
    slope = np.polyfit(true, learned, 1)[0]
    gap = (learned - true) - (learned[0] - true[0])
    return slope, max(abs(gap))


RIGHT = {
    "10-shallow-logit": [logit_one_by_one, logit_in_odds],
    "10-inverse-propensity": [rate_by_position, rate_as_least_squares],
    "10-e-step": [step_by_counting_ways, step_by_bayes],
    "10-judge": [judged_by_polyfit],
}
