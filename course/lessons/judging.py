"""Judging a recommender.

Written in notebooks/source/13_judging_a_recommender.py, and there only.
"""

import time

import numpy as np
import torch
from torch.nn import functional

from course.lessons import position_bias as pb


def turned(offline, live):
    """Share of the pairs of policies (n,) that two measures put into opposite orders."""
    i, j = np.triu_indices(len(offline), 1)
    return float(np.mean((offline[i] - offline[j]) * (live[i] - live[j]) < 0))


class OneCard:
    """Pages of one card: chances of each card (pages, cards) by two policies, and click rates."""

    def __init__(self, old, new, rate):
        self.old, self.new, self.rate = old, new, rate
        self.value = float((new * rate).sum(axis=1).mean())

    def draw(self, logs, n, seed=0):
        """Logs of n pages each, served by the old policy: pages, cards, clicks (logs, n)."""
        random = np.random.default_rng(seed)
        page = random.integers(len(self.old), size=(logs, n))
        ladder = np.cumsum(self.old, axis=1)
        ladder = ladder / ladder[:, -1:] + np.arange(len(ladder))[:, None]
        card = np.searchsorted(ladder.ravel(), page + random.random(page.shape), side="right")
        card = np.minimum(card - page * ladder.shape[1], ladder.shape[1] - 1)
        return page, card, (random.random(page.shape) < self.rate[page, card]).astype(float)


def inverse_propensity(outcome, new, old, most=np.inf):
    """Mean outcome under the new policy from logs (..., n) of the old; weights cut at `most`."""
    return (np.minimum(new / old, most) * outcome).mean(axis=-1)


def self_normalised(outcome, new, old, most=np.inf):
    """The same, divided by the sum of the weights instead of n."""
    weight = np.minimum(new / old, most)
    return (weight * outcome).sum(axis=-1) / weight.sum(axis=-1)


def doubly_robust(outcome, new, old, guess, expected, most=np.inf):
    """A model's answer, put right by its weighted errors on the log; all (..., n)."""
    weight = np.minimum(new / old, most)
    return (expected + weight * (outcome - guess)).mean(axis=-1)


def four_estimates(lab, guess, logs=200, n=1_000, most=np.inf, seed=0):
    """What four estimators say of the new policy (logs,), by a model's guess (pages, cards)."""
    page, card, clicked = lab.draw(logs, n, seed)
    new, old = lab.new[page, card], lab.old[page, card]
    expected = (lab.new * guess).sum(axis=1)[page]
    return {
        "IPS": inverse_propensity(clicked, new, old, most),
        "SNIPS": self_normalised(clicked, new, old, most),
        "direct": expected.mean(axis=-1),
        "doubly robust": doubly_robust(clicked, new, old, guess[page, card], expected, most),
    }


def people_needed(sd, difference):
    """People in each of two groups, so that four of five tests see a difference of the means."""
    return 2 * ((1.96 + 0.84) * sd / difference) ** 2


def share_found(a, b, n, tests=1_000, seed=0):
    """Share of A/B tests that see a difference, n people in each group drawn from a and b (m,)."""
    random, found = np.random.default_rng(seed), 0
    for _ in range(tests):
        x, y = random.choice(a, n), random.choice(b, n)
        error = np.sqrt((x.var() + y.var()) / n)
        found += abs(x.mean() - y.mean()) > 1.96 * error
    return found / tests


def point_wise(scores, clicked):
    """Loss of each page (B,): the cross-entropy of its cards; scores, clicks (B, k)."""
    return pb.entropy(scores, clicked).sum(dim=1)


def list_wise(scores, clicked):
    """Loss of each page (B,): -log P(card | page) of the clicked ones, P a softmax of the page."""
    return -(clicked * functional.log_softmax(scores, dim=1)).sum(dim=1)


def pair_wise(scores, clicked):
    """Loss of each page (B,): a logistic loss on each pair of a clicked and another card."""
    ahead = scores[:, :, None] - scores[:, None, :]
    counts = clicked[:, :, None] * (1 - clicked[:, None, :])
    return (counts * functional.softplus(-ahead)).sum(dim=(1, 2))


class ByPage(pb.ShallowTower):
    """Ranker and shallow tower that learn by a loss of whole pages, of scores and clicks (B, k)."""

    def __init__(self, main, page_loss):
        super().__init__(main, drop=0.0)
        self.page_loss = page_loss

    def loss(self, batch, cell, clicked):
        """Loss of each page (B,)."""
        scores = self(batch, cell)
        return self.page_loss(scores.view(batch.pages, -1), clicked.view(batch.pages, -1))


def page_auc(scores, clicked):
    """Share of pairs of a page, one card clicked and one not, in the right order; (pages, k)."""
    counts = clicked[:, :, None] & ~clicked[:, None, :]
    right = np.heaviside(scores[:, :, None] - scores[:, None, :], 0.5)
    return float((right * counts).sum() / counts.sum())


def choose_page(scores, topic, k=10, strength=0.5):
    """Columns (pages, k), chosen place by place by score - strength * same topic above."""
    rows, left = np.arange(len(scores)), scores.astype(float)
    above, chosen = np.zeros((len(scores), topic.max() + 1)), []
    for _ in range(k):
        best = (left - strength * above[rows[:, None], topic]).argmax(axis=1)
        chosen.append(best)
        above[rows, topic[rows, best]] += 1
        left[rows, best] = -np.inf
    return np.stack(chosen, axis=1)


def as_scores(chosen, cards):
    """Scores (pages, cards) that put the chosen columns (pages, k) first, in their order."""
    scores = np.full((len(chosen), cards), -1.0)
    np.put_along_axis(scores, chosen, np.arange(chosen.shape[1])[None, ::-1] * 1.0, axis=1)
    return scores


def core_ms(work, repeats=5):
    """Milliseconds that a piece of work keeps a core busy: the least of some repeats."""
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return 1_000 * min(taken)


def after_waiting(value, ms, leave):
    """What is left of a page's value after so many ms, if a share leaves in each 100 ms."""
    return value * (1 - leave) ** (ms / 100)


def train_in_order(model, batch, cell, clicked, day, **recipe):
    """Train day after day, each day from where the last one ended; day (pages,)."""
    for today in np.unique(day):
        on = torch.from_numpy(np.flatnonzero(day == today))
        rows = batch.rows(on)
        pb.train_clicks(model, batch[on], cell[rows], clicked[rows], **recipe)
