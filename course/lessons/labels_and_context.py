"""Labels and context.

Written in notebooks/source/05_labels_and_context.py, and there only.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.metrics import ranks
from course.tasks.next_watch import Moments


def places(watches, examples):
    """The log by account and time, and between which rows (n,) of it each example's moment lies."""
    log = watches.sort_values(["user_id", "time"], kind="stable")
    clock = np.sort(watches["time"].to_numpy())

    def key(table):
        rank = np.searchsorted(clock, table["time"].to_numpy())
        return table["user_id"].to_numpy(np.int64) * (len(clock) + 1) + rank

    return log, *(np.searchsorted(key(log), key(examples), side) for side in ("left", "right"))


def around(user, video, account, first, last, steps):
    """Videos (n, H) that each account (n,) watched so many steps (H,) away; -1 = none."""
    at = np.where(steps < 0, first[:, None], last[:, None] - 1) + steps
    inside = (at >= 0) & (at < len(user))
    at = np.where(inside, at, 0)
    return np.where(inside & (user[at] == account[:, None]), video[at], -1)


PAST, AFTER = -np.arange(1, 51), np.arange(1, 51)
BOTH_SIDES = np.r_[PAST[:25], AFTER[:25]]


def bags(watches, examples, steps):
    """What accounts watched around examples (n, H), without the label itself; -1 = none."""
    log, first, last = places(watches, examples)
    user, video = log["user_id"].to_numpy(), log["video_id"].to_numpy()
    found = around(user, video, examples["user_id"].to_numpy(), first, last, steps)
    return np.where(found == examples["video_id"].to_numpy()[:, None], -1, found)


def set_aside(game, examples, seed=0):
    """One example of each account for a held-out test, and the watches of the log without it."""
    held = examples.sample(frac=1.0, random_state=seed).drop_duplicates("user_id")
    pair, watches = ["user_id", "video_id"], game.train.watches
    out = pd.MultiIndex.from_frame(watches[pair]).isin(pd.MultiIndex.from_frame(held[pair]))
    return held.sort_index(), watches[~out]


def learn(model, bags, label, weight=None, rate=0.01, negatives=500, seed=0, **options):
    """Fit to next watches (n,); with weights (n,) examples are drawn in proportion to them."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.bincount(label, minlength=model.videos)
    loss = cg.sampled(cg.chances(cg.law(counts), negatives), seed=seed)

    def batch_loss(rows):
        if weight is not None:
            rows = torch.multinomial(weight, len(rows), replacement=True, generator=random)
        return loss(model(bags[rows]), model.output.weight, label[rows])

    return cg.fit(batch_loss, cg.two_rates(model, rate, rate / 4), len(label), seed=seed, **options)


RIVALS = ("never watched", "not watched before")


def ranks_of(game, scores, events, rivals=RIVALS[1]):
    """Ranks (n,) of held-out watches by scores (n, videos), among rivals of one of two kinds."""
    moments = Moments.of_events(game.train, events)
    hidden = game.hidden(moments)
    if rivals == "never watched":  # all that was watched before the cut, also later than the event
        hidden |= game.hidden(replace(moments, time=np.full(len(events), game.at)))
    return ranks(scores, events["video_id"].to_numpy(), hidden)


def cap(users, most=10, seed=0):
    """A mask (n,) that keeps at most so many random examples of each account."""
    order = np.random.default_rng(seed).permutation(len(users))
    place = pd.Series(order).groupby(users[order]).cumcount().to_numpy()
    keep = np.zeros(len(users), bool)
    keep[order] = place < most
    return keep


def equal_weight(users, most=10):
    """Weights (n,): the chance that a cap of so many examples per account keeps an example."""
    n = np.bincount(users)[users]
    return np.minimum(1.0, most / n)


def last_query(tokens, opens):
    """Words (n, 3) of the last query, in order, from words (n, H), newest first; -1 = none."""
    begins = (tokens >= 0) & opens[tokens]
    column = begins.argmax(axis=1)[:, None] - np.arange(3)
    found = np.take_along_axis(tokens, np.maximum(column, 0), axis=1)
    return np.where((column >= 0) & begins.any(axis=1)[:, None], found, -1)


class WithWords(cg.NextVideo):
    """NextVideo with further bags beside the watches, (vocabulary, columns) for each."""

    def __init__(self, videos, more, dim=64, seed=0, **options):
        super().__init__(videos, dim, (), seed=seed, **options)
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            self.more = nn.ModuleList(nn.EmbeddingBag(n + 1, dim, padding_idx=n) for n, _ in more)
            self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in more)
            self.columns = [50, *(columns for _, columns in more)]
            self.last = nn.Linear((1 + len(more)) * dim + 1, dim)
            for bag in self.more:
                bag.weight.data *= 0.1

    def forward(self, bags):
        """User vectors (B, dim + 1) of bags that stand side by side."""
        watched, *others = bags.split(self.columns, dim=1)
        n = (watched != self.videos).sum(dim=1, keepdim=True)
        further = zip(self.norms, self.more, others, strict=True)
        parts = [self.norm(self.watched(watched)), *(norm(bag(ids)) for norm, bag, ids in further)]
        x = torch.cat([*parts, torch.log1p(n)], dim=1)
        return functional.pad(self.last(x), (0, 1), value=1.0)


class Words:
    """The search words of a log, and which of them open a query."""

    def __init__(self, searches):
        table = searches[["token_1", "token_2", "token_3"]].to_numpy()
        self.words = int(table.max()) + 1
        self.opens = np.isin(np.arange(self.words), table[:, 0])

    def more(self, query):
        """Vocabulary and columns of a bag of words and, if wanted, of the last query."""
        return [(self.words, 50)] + [(3 * self.words, 3)] * query

    def bags(self, moments, videos, query):
        """Watches, words and the last query of moments side by side (n, 100 or 103)."""
        searched = np.where(moments.searched < self.words, moments.searched, -1)
        parts = [cg.as_bags(moments.watched, videos), cg.as_bags(searched, self.words)]
        if query:
            own = last_query(searched, self.opens)
            placed = np.where(own < 0, -1, own + self.words * np.arange(3))
            parts.append(cg.as_bags(placed, 3 * self.words))
        return torch.cat(parts, dim=1)

    def scorer(self, model, query):
        """A method from a network: scores (n, videos) of moments."""

        def scores(moments):
            with torch.no_grad():
                user = model(self.bags(moments, model.videos, query))
                return (user @ model.output.weight.T).numpy()

        return scores


LABELS = {
    "own pages only": lambda w: w["source"].isin(["home", "up_next"]),
    "completed": lambda w: w["completed"],
    "liked": lambda w: w["liked"],
    "4 or 5 stars": lambda w: w["survey"] >= 4,
}
