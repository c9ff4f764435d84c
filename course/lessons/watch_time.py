"""Expected watch time.

Written in notebooks/source/07_expected_watch_time.py, and there only.
"""

import itertools

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.lessons.ranking_features import FirstLinear


def lost_time(scores, clicked, seconds):
    """P1's weighted, per-user loss, 0 to 1, of pages (B, k): all pairs pooled (section 4.3)."""
    time = (clicked[:, :, None] & ~clicked[:, None, :]) * seconds[:, :, None]
    wrong = np.heaviside(scores[:, None, :] - scores[:, :, None], 0.5)
    return (wrong * time).sum() / time.sum()


def weighted_logistic(logit, clicked, weight):
    """Mean loss of logits (n,): a click pulls with its weight, any other card with 1 (P1, 4.2)."""
    pull = torch.where(clicked, weight * functional.softplus(-logit), functional.softplus(logit))
    return pull.mean()


class Ranker(nn.Module):
    """P1's Figure 7: an InputLayer, ReLU layers of these widths, one logit for each card."""

    def __init__(self, inputs, widths=(64, 32), bias=0.0, seed=0):
        super().__init__()
        sizes = (*widths, 1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, sizes[0])
            self.rest = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        last = [self.first.linear, *self.rest][-1]
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, bias)

    def forward(self, batch):
        """Logits (n,) of a scaled batch of n cards."""
        x = self.first(batch)
        for layer in self.rest:
            x = layer(x.relu())
        return x[:, 0]


def best_constant(clicked, weight):
    """The logit of the best constant model: log(sum of the clicks' weights / cards not clicked)."""
    return float(torch.log(weight[clicked].sum() / (~clicked).sum()))


def train_ranker(ranker, batch, clicked, weight, rate=0.01, passes=4, decay=1e-4, seed=0,
                 loss=weighted_logistic, pages=200, **options):  # fmt: skip
    """Fit logits to the cards (n,) of a scaled batch, pages at a time; the loss of each step."""

    def page_loss(chosen):
        rows = batch.rows(chosen)
        return loss(ranker(batch[chosen]), clicked[rows], weight[rows])

    tables = [*ranker.first.inputs.parameters()]
    rest = [p for p in ranker.parameters() if all(p is not table for table in tables)]
    groups = [{"params": tables, "lr": rate, "weight_decay": decay}, {"params": rest, "lr": rate}]
    options = {"passes": passes, "batch": pages, "seed": seed, **options}
    return cg.fit(page_loss, groups, batch.pages, **options)


def logits_of(ranker, batch):
    """Logits (n,) of any number of scaled cards, as an array."""
    with torch.no_grad():
        parts = [ranker(batch[some]) for some in torch.arange(batch.pages).split(5_000)]
    return torch.cat(parts).numpy()


def served(ranker, scales):
    """A scorer for live pages: the logits (n,) of raw batches; e to the z has the same order."""
    return lambda batch: logits_of(ranker, scales(batch))


def share_of_shorter(seconds, group):
    """Of each watch (n,), the share of its group's watches that were shorter; equal ones half."""
    watches = pd.Series(seconds).groupby(group)
    return ((watches.rank() - 0.5) / watches.transform("size")).to_numpy()


def time_at_share(share, group, seconds, of_group):
    """Watch times (n,) at shares (n,) of shorter watches, of those in the log: seconds (m,)."""
    time = np.empty(len(share))
    for g in np.unique(group):
        time[group == g] = np.quantile(seconds[of_group == g], share[group == g].clip(0, 1))
    return time


def squared(z, label, weight):
    """Mean squared error of predictions z (n,)."""
    return (weight * (z - label) ** 2).mean()


def xauc(scores, seconds, group=None):
    """Share of pairs of watches (n,) that the scores order by time; of a group's only, if given."""
    right = pairs = 0.0
    for g in [None] if group is None else np.unique(group):
        of = slice(None) if group is None else group == g
        longer = seconds[of][:, None] > seconds[of]
        above = np.heaviside(scores[of][:, None] - scores[of], 0.5)
        right, pairs = right + above[longer].sum(), pairs + longer.sum()
    return right / pairs
