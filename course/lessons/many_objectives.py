"""Many objectives.

Written in notebooks/source/08_many_objectives.py, and there only.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.lessons.ranking_features import FirstLinear
from course.tasks.seven_tasks import REGRESSIONS, TASKS


YES_NO = torch.tensor([task not in REGRESSIONS for task in TASKS])


def task_losses(outputs, labels):
    """Mean loss (tasks,) over the cards whose label (n, tasks) is known; NaN = not known."""
    known = ~torch.isnan(labels)
    outcome = torch.where(known, labels, 0.0)
    entropy = functional.binary_cross_entropy_with_logits(outputs, outcome, reduction="none")
    each = torch.where(YES_NO, entropy, (outputs - outcome) ** 2)
    return (each * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)


class Towers(nn.Module):
    """A tower for each task on h, (n, width) for all or (tasks, n, width), gives (n, tasks)."""

    def __init__(self, width, bias, hidden=8):
        super().__init__()
        tasks = len(bias)
        self.first = nn.Parameter(torch.randn(tasks, width, hidden) / width**0.5)
        self.shift = nn.Parameter(torch.zeros(tasks, 1, hidden))
        self.last = nn.Parameter(torch.randn(tasks, hidden, 1) / hidden**0.5)
        self.bias = nn.Parameter(bias.clone())

    def forward(self, h):
        """Outputs (n, tasks): logits of yes or no, numbers of the others."""
        hidden = functional.leaky_relu(h @ self.first + self.shift, 0.1)
        return (hidden @ self.last)[:, :, 0].T + self.bias


def best_constants(labels):
    """What to say of a card of which nothing is known (tasks,): where the towers' biases start."""
    mean = torch.nanmean(labels, dim=0)
    return torch.where(YES_NO, torch.logit(mean.clamp(1e-4, 1 - 1e-4)), mean)


class SharedBottom(nn.Module):
    """Shared layers of these widths on an InputLayer, and a tower for each task (P2, Fig. 2a)."""

    def __init__(self, inputs, bias, widths=(82,), seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, widths[0])
            self.above, width = cg.tower(widths[0], widths[1:])
            self.towers = Towers(width, bias)

    def forward(self, batch):
        """Outputs (n, tasks) of a scaled batch of n cards."""
        h = self.above(self.first(batch).relu())
        return self.towers(h)


WEIGHTS = dict(zip(TASKS, (1.0, 0.1, 0.1, 0.1, 1.0, 0.1, 0.03), strict=True))


def train_tasks(model, batch, labels, weights=WEIGHTS, rate=0.01, passes=2, pages=100, seed=0,
                **options):  # fmt: skip
    """Fit a model to labels (n, tasks), pages of a scaled batch at a time; loss of each step."""
    share = (~torch.isnan(labels)).float().mean(dim=0)
    spread = torch.nanmean((labels - torch.nanmean(labels, dim=0)) ** 2, dim=0)
    each = torch.tensor([weights[task] for task in TASKS]) / share
    each = each / torch.where(YES_NO, 1.0, spread)

    def page_loss(chosen):
        own = labels[batch.rows(chosen)]
        in_batch = (~torch.isnan(own)).float().mean(dim=0)
        return (each * in_batch * task_losses(model(batch[chosen]), own)).sum()

    groups = [{"params": model.parameters(), "lr": rate}]
    return cg.fit(page_loss, groups, batch.pages, passes=passes, batch=pages, seed=seed, **options)


def predict_tasks(model, batch):
    """A table (n, tasks) of what a model expects: probabilities, watched share, stars."""
    with torch.no_grad():
        out = torch.cat([model(batch[some]) for some in torch.arange(batch.pages).split(2_000)])
    return pd.DataFrame(torch.where(YES_NO, out.sigmoid(), out).numpy(), columns=TASKS)


def cosines(losses, weight):
    """Cosines (tasks, tasks) between the gradients of losses (tasks,) on a weight."""
    pulls = [torch.autograd.grad(loss, weight, retain_graph=True)[0].flatten() for loss in losses]
    unit = functional.normalize(torch.stack(pulls), dim=1)
    return unit @ unit.T


def combine(factors, weights):
    """Scores: the sum of w log p over the names in weights (P2, section 3)."""
    return sum(weight * np.log(factors[name]) for name, weight in weights.items())


def factors_of(predicted, seconds):
    """Predictions (n, tasks) as numbers above 0, the larger the better; seconds (n,) = length."""
    factors = {task: predicted[task].clip(lower=1e-6).to_numpy() for task in TASKS}
    factors["watch time"] = predicted["watch time"].clip(0.01, 1).to_numpy() * seconds / 60
    factors["rating"] = ((predicted["rating"] - 1) / 4).clip(0.01, 1).to_numpy()
    factors["no dismissal"] = 1 - factors.pop("dismissal").clip(max=0.99)
    return factors


def frontier(pages, factors, rating=(0.0, 1.0, 2.0, 4.0, 8.0, 16.0), watch_time=1.0):
    """What pages are worth at each weight of the rating: a row of live outcomes for each."""
    rows = []
    for weight in rating:
        weights = {"click": 1.0, "watch time": watch_time, "rating": weight}
        rows.append({"rating": weight, **pages.outcomes(combine(factors, weights))})
    return pd.DataFrame(rows).set_index("rating")
