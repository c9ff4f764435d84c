"""Right answers to the exercises of chapter 13, written in other ways than the reference."""

import math

import numpy as np
import torch


def ips_in_a_loop(outcome, new, old, most=np.inf):
    out = []
    for o, a, b in zip(outcome, new, old, strict=True):
        out.append(sum(min(x / y, most) * w for w, x, y in zip(o, a, b, strict=True)) / len(o))
    return np.array(out, np.float32)


def robust_as_ips_of_the_errors(outcome, new, old, guess, expected, most=np.inf):
    weight = np.clip(new / old, 0, most).astype(np.float32)
    return np.average(expected, axis=-1) - np.average(weight * (guess - outcome), axis=-1)


def people_by_steps(sd, difference):
    needed = (1.96 + 0.84) * math.sqrt(2) * sd / difference
    return needed * needed


def pairs_page_by_page(scores, clicked):
    out = []
    for own, hit in zip(scores, clicked > 0, strict=True):
        ahead = own[hit][:, None] - own[~hit][None, :]
        out.append(torch.log1p(torch.exp(-ahead.double())).sum())
    return torch.stack(out)


def page_by_page(scores, topic, k=10, strength=0.5):
    out = []
    for own, of in zip(scores, topic, strict=True):
        chosen = []
        for _ in range(k):
            free = [i for i in range(len(own)) if i not in chosen]
            price = {i: strength * sum(of[j] == of[i] for j in chosen) for i in free}
            chosen.append(max(free, key=lambda i, p=price, s=own: s[i] - p[i]))
        out.append(chosen)
    return out


RIGHT = {
    "13-inverse-propensity": [ips_in_a_loop],
    "13-doubly-robust": [robust_as_ips_of_the_errors],
    "13-people": [people_by_steps],
    "13-pair-wise": [pairs_page_by_page],
    "13-choose-page": [page_by_page],
}
