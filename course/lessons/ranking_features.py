"""Features for ranking.

Written in notebooks/source/06_ranking_features.py, and there only.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.features.taxonomy import (
    BAGS,
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
    SPACE,
)
from course.lessons import candidate_generation as cg


def dimensions(values):
    """Dimensions of the vectors of so many ids: 32 for a million, by the logarithm (P1, 4.1.1)."""
    return max(2, round(32 * math.log(values) / math.log(1e6)))


def tables_of(features, keys, size=dimensions, seed=0):
    """A table for each key (feature -> name of a table); the last row is zero and stays so."""
    tables = nn.ModuleDict()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for feature, key in keys.items():
            if key not in tables:
                n = features.cardinality(SPACE[feature])
                tables[key] = nn.Embedding(n + 1, size(n), padding_idx=n)
                tables[key].weight.data *= 0.3
    return tables


def columns_of(known, names, powers):
    """Columns of scaled numbers (n, 3 f) for those in `names`, with or without their powers."""
    of = [i for i, name in enumerate(known) if name in names]
    return [i + block * len(known) for block in range(3 if powers else 1) for i in of]


def mean_of(table, bags):
    """Means (pages, d) of bags (pages, H) in a table that others share, without the padding."""
    options = {"mode": "mean", "padding_idx": table.padding_idx}
    return functional.embedding_bag(bags, table.weight, **options)


class InputLayer(nn.Module):
    """The input layer of P1's Figure 7: a scaled batch of n cards becomes vectors (n, width)."""

    def __init__(self, features, include=None, powers=True, seed=0, shared=True, size=dimensions):
        super().__init__()
        names = set(features.names if include is None else include)
        self.key = {n: SPACE[n] if shared else n.replace(" ", "_") for n in SPACE if n in names}
        self.tables = tables_of(features, self.key, size, seed)
        self.of_card = columns_of(IMPRESSION_NUMBERS, names, powers)
        self.of_page = columns_of(QUERY_NUMBERS, names, powers)
        dim = {name: self.tables[key].embedding_dim for name, key in self.key.items()}
        own = [dim[name] for name in IMPRESSION_CODES if name in dim]
        self.card_width = sum(own) + len(self.of_card)
        self.width = sum(dim.values()) + len(self.of_card) + len(self.of_page)

    def look_up(self, features, codes):
        """The vectors of codes (m, f), a place for each feature that is in use."""
        used = [(i, self.key[name]) for i, name in enumerate(features) if name in self.key]
        return [self.tables[key](codes[:, i]) for i, key in used]

    def parts(self, batch):
        """What belongs to the cards (n, card_width), and what to the pages (pages, the rest)."""
        card = self.look_up(IMPRESSION_CODES, batch.codes)
        page = self.look_up(QUERY_CODES, batch.query_codes)
        for name, bags in zip(BAGS, (batch.watched, batch.searched), strict=True):
            if name in self.key:
                page.append(mean_of(self.tables[self.key[name]], bags))
        card.append(batch.numbers[:, self.of_card])
        page.append(batch.query_numbers[:, self.of_page])
        return torch.cat(card, dim=1), torch.cat(page, dim=1)

    def forward(self, batch):
        """Vectors (n, width): the card's part, then its page's."""
        card, page = self.parts(batch)
        return torch.cat([card, page[batch.page]], dim=1)


class FirstLinear(nn.Module):
    """A linear layer on an InputLayer's vectors, (n, out); the page's share is computed once."""

    def __init__(self, inputs, out):
        super().__init__()
        self.inputs, self.linear = inputs, nn.Linear(inputs.width, out)

    def forward(self, batch):
        """The same sums (n, out) as of the linear layer on `inputs(batch)`."""
        card, page = self.inputs.parts(batch)
        of_card, of_page = self.linear.weight.split([card.shape[1], page.shape[1]], dim=1)
        shared = functional.linear(page, of_page, self.linear.bias)
        return functional.linear(card, of_card) + shared[batch.page]


def quantile_knots(x, k=100):
    """At most k values that stand for x (n,), rising, and the share of x below each."""
    x = np.sort(x)
    knots = np.unique(x[np.linspace(0, len(x) - 1, k).round().astype(int)])
    return knots, np.searchsorted(x, knots) / len(x)


def share_below(x, knots, shares):
    """Share of the training data below each x: straight lines between knots (P1, 4.1.2)."""
    return np.where(x > knots[-1], 1.0, np.interp(x, knots, shares))


def with_powers(share):
    """Shares (n, f) in [0, 1], their squares, and their roots, side by side: (n, 3 f)."""
    return np.concatenate([share, share**2, np.sqrt(share)], axis=1)


class Scales:
    """Brings the numbers of cards to one scale, fitted on raw training cards (P1, 4.1.2)."""

    def __init__(self, train, kind="centred quantiles", sample=200_000):
        self.kind, self.knots, self.shift, self.size = kind, {}, {}, {}
        for field in ("numbers", "query_numbers"):
            x = getattr(train, field).numpy()
            x = x[np.random.default_rng(0).permutation(len(x))[:sample]]
            self.knots[field] = [quantile_knots(column) for column in x.T]
            x = self._powers(field, x)
            centred = kind in ("standardised", "centred quantiles")
            self.shift[field] = x.mean(axis=0) if centred else np.zeros(x.shape[1])
            self.size[field] = np.maximum(x.std(axis=0), 1e-6) if centred else np.ones(x.shape[1])

    def _powers(self, field, x):
        if "quantiles" not in self.kind:
            return x
        pairs = zip(x.T, self.knots[field], strict=True)
        return with_powers(np.stack([share_below(c, *knots) for c, knots in pairs], axis=1))

    def __call__(self, batch):
        """The same cards with scaled numbers (n, 3 f) and query_numbers (pages, 3 g)."""
        scaled = {}
        for field in self.knots:
            x = self._powers(field, getattr(batch, field).numpy())
            x = (x - self.shift[field]) / self.size[field]
            scaled[field] = torch.from_numpy(x.astype(np.float32))
        return replace(batch, **scaled)


class PlainRanker(nn.Module):
    """FirstLinear, ReLU layers, one number for each card (n,); chapter 07 builds the real one."""

    def __init__(self, inputs, hidden=(128, 64, 32), seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            width = hidden[0] if hidden else 1
            self.first = FirstLinear(inputs, width)
            self.tower, last = cg.tower(width, hidden[1:])
            self.last = nn.Linear(last, 1) if hidden else None

    def forward(self, batch):
        """Logits (n,)."""
        x = self.first(batch)
        return (x if self.last is None else self.last(self.tower(x.relu())))[:, 0]


def fit_ranker(model, batch, clicked, weight, rate=0.003, passes=2, pages=100, **options):
    """Train on whole pages of a scaled batch by weighted logistic loss; the loss of each step."""
    positive = torch.where(clicked, weight, 0.0)

    def loss(chosen):
        rows, logit = batch.rows(chosen), model(batch[chosen])
        clicks, silent = positive[rows], (~clicked[rows]).float()
        return (clicks * functional.softplus(-logit) + silent * functional.softplus(logit)).mean()

    groups = [{"params": model.parameters(), "lr": rate}]
    return cg.fit(loss, groups, batch.pages, passes=passes, batch=pages, **options)


def click_rate(log, rows, nights=0):
    """Click rate of each row's video on one day (n,): 0 = on the day before, 1 = a night later."""
    day, video = log["time"].to_numpy().astype(int) + 1, log["video_id"].to_numpy()
    clicked, of = log["clicked"].to_numpy(), rows["video_id"].to_numpy()
    at = rows["time"].to_numpy().astype(int) + nights
    size = max(day.max(), at.max()) + 1, max(video.max(), of.max()) + 1
    shown, clicks = np.zeros(size), np.zeros(size)
    np.add.at(shown, (day, video), 1)
    np.add.at(clicks, (day[clicked], video[clicked]), 1)
    return (clicks[at, of] + 1) / (shown[at, of] + 20)


def with_number(batch, name, values):
    """The same cards with other values (n,) of one number."""
    numbers = batch.numbers.clone()
    numbers[:, IMPRESSION_NUMBERS.index(name)] = torch.as_tensor(values, dtype=torch.float32)
    return replace(batch, numbers=numbers)


def leak_check(feature, log, cut):
    """Share of the cards of a day up to `cut` whose feature changes without what comes then."""
    rows = log[(log["time"] >= np.floor(cut)) & (log["time"] <= cut)]
    whole, past = feature(log, rows), feature(log[log["time"] < cut], rows)
    return 1 - np.isclose(whole, past).mean()


def shuffled(batch, names, cards, pages):
    """The same batch with features mixed: a card's in the order `cards`, a page's in `pages`."""
    changed = {}
    for field, known, order in (
        ("codes", IMPRESSION_CODES, cards),
        ("numbers", IMPRESSION_NUMBERS, cards),
        ("query_codes", QUERY_CODES, pages),
        ("query_numbers", QUERY_NUMBERS, pages),
    ):
        at = [i for i, name in enumerate(known) if name in names]
        changed[field] = getattr(batch, field).clone()
        changed[field][:, at] = getattr(batch, field)[order][:, at]
    for name, field in zip(BAGS, ("watched", "searched"), strict=True):
        if name in names:
            changed[field] = getattr(batch, field)[pages]
    return replace(batch, **changed)
