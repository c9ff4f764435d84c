"""Signals, depth and freshness.

Written in notebooks/source/04_signals_depth_and_freshness.py, and there only.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.lessons.candidate_generation import as_bags, tower


def daily_shares(game, days):
    """Share of each whole day's watches that went to each video: (days, videos)."""
    watches = game.train.watches
    day = np.floor(watches["time"].to_numpy()).astype(int) - days[0]
    inside = (day >= 0) & (day < len(days))
    count = np.zeros((len(days), game.videos))
    np.add.at(count, (day[inside], watches["video_id"].to_numpy()[inside]), 1)
    return count / count.sum(axis=1, keepdims=True)


def launched(game, first=14, last=24, least=150):
    """Videos uploaded in the middle of the log and watched often, the most watched first."""
    uploaded = game.train.videos["uploaded"].to_numpy()
    count = np.bincount(game.train.watches["video_id"], minlength=game.videos)
    chosen = np.flatnonzero((uploaded >= first) & (uploaded <= last) & (count >= least))
    return chosen[np.argsort(-count[chosen], kind="stable")]


def since_upload(curves, days, game, videos, span):
    """Curves (days, V) of some videos over days since their upload: (videos, span), NaN outside."""
    uploaded = np.floor(game.train.videos["uploaded"].to_numpy()[videos]).astype(int)
    at = uploaded[:, None] + span - days[0]
    inside = (at >= 0) & (at < len(days))
    return np.where(inside, curves[np.where(inside, at, 0), videos[:, None]], np.nan)


def age_inputs(time, t_max):
    """Example age a of times (n,) in units of 30 days, its square, its root: (n, 3)."""
    a = (t_max - np.asarray(time, float)) / 30
    return np.stack([a, a**2, np.sqrt(np.maximum(a, 0))], axis=1)


SIGNALS = ("watches", "searches", "age", "region", "person", "moment")
TOKENS = 1_024  # ids of search tokens are smaller
KINDS = {
    "region": {"country": 6},
    "person": {"gender": 3, "age_band": 5, "logged_in": 2},
    "moment": {"device": 3, "daypart": 4},
}


class Inputs(dict):
    """What is known of n moments: name -> tensor with n rows; inputs[rows] takes rows of all."""

    def __getitem__(self, which):
        if isinstance(which, str):
            return super().__getitem__(which)
        return Inputs({name: values[which] for name, values in self.items()})


def teller(logs, videos, t_max, served=None):
    """A function from moments to Inputs; `served`, days, replaces the example age of all."""

    def codes(kind):
        columns = (logs.users[name] for name in KINDS[kind])
        return np.stack([c if c.dtype == bool else c.cat.codes for c in columns], axis=1)

    people = {kind: codes(kind).astype(np.int64) for kind in ("region", "person")}

    def tell(moments):
        time = moments.time if served is None else np.full(len(moments), t_max - served)
        return Inputs(
            {kind: torch.from_numpy(of[moments.user]) for kind, of in people.items()},
            watches=as_bags(moments.watched, videos),
            searches=as_bags(moments.searched, TOKENS),
            age=torch.tensor(age_inputs(time, t_max), dtype=torch.float32),
            moment=torch.from_numpy(np.stack([moments.device, moments.daypart], axis=1)),
        )

    return tell


class Skip(nn.Module):
    """A tower with a way around it: what comes out of it, and what goes in, side by side."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, x):
        """(B, n) -> (B, width of the last layer + n)."""
        return torch.cat([self.tower(x), x], dim=1)


class AllSignals(nn.Module):
    """P1's Figure 3: all that is known of a moment side by side, under one tower."""

    def __init__(
        self, videos, signals=SIGNALS, dim=64, widths=(256, 128), counts=None,
        skip=False, loud=1.0, seed=0,
    ):  # fmt: skip
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.signals, self.loud, size = signals, loud, {"age": 3}
            self.bags, self.norms, self.codes = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
            for name, ids in (("watches", videos), ("searches", TOKENS)):
                self.bags[name] = nn.EmbeddingBag(ids + 1, dim, padding_idx=ids)
                self.norms[name], size[name] = nn.LayerNorm(dim), dim + 1
            for name, kinds in KINDS.items():
                self.codes[name] = nn.ModuleList(nn.Embedding(n, 8) for n in kinds.values())
                size[name] = 8 * len(kinds)
            inputs = sum(size[name] for name in signals)
            self.tower, last = tower(inputs, widths)
            if skip:
                self.tower, last = Skip(self.tower), last + inputs
            self.last, self.output = nn.Linear(last, dim), nn.Embedding(videos, dim + 1)
            with torch.no_grad():
                for table in (*self.bags.values(), self.output):
                    table.weight *= 0.1
                self.output.weight[:, -1] = 0 if counts is None else torch.log1p(counts)

    def forward(self, given):
        """User vectors (B, dim + 1) of Inputs of B moments; their last number is 1."""
        parts = []
        for name in self.signals:
            values = given[name]
            if name in self.bags:
                n = (values != self.bags[name].padding_idx).sum(dim=1, keepdim=True)
                parts += [self.norms[name](self.bags[name](values)), torch.log1p(n)]
            elif name in self.codes:
                parts += [table(values[:, i]) for i, table in enumerate(self.codes[name])]
            else:
                parts.append(self.loud * values)
        return functional.pad(self.last(self.tower(torch.cat(parts, dim=1))), (0, 1), value=1.0)


def answers(model, tell):
    """A scorer from a network and a teller: scores (n, videos) of moments."""

    def scores(moments):
        with torch.no_grad():
            return (model(tell(moments)) @ model.output.weight.T).numpy()

    return scores


def class_probabilities(model, given, ages):
    """Mean P(i | x) over the moments of `given`, if all had the age, in days: (ages, V)."""
    out, n = [], len(next(iter(given.values())))
    for age in ages:
        now = torch.tensor(age_inputs(np.full(n, -float(age)), 0.0), dtype=torch.float32)
        with torch.no_grad():
            user = model(Inputs({**given, "age": now}))
            out.append(torch.softmax(user @ model.output.weight.T, dim=1).mean(dim=0).numpy())
    return np.array(out)


class Crossed(AllSignals):
    """The network, and a vector for each combination of device, part of the day and age band."""

    def __init__(self, *args, cells=60, **options):
        super().__init__(*args, **options)
        self.cells = nn.Embedding(cells, self.last.out_features)
        nn.init.zeros_(self.cells.weight)

    def cell(self, given):
        """The number (B,) of the combination of each moment."""
        device, daypart = given["moment"].T
        return (4 * device + daypart) * 5 + given["person"][:, 1]

    def forward(self, given):
        """User vectors (B, dim + 1) of Inputs of B moments; their last number is 1."""
        return super().forward(given) + functional.pad(self.cells(self.cell(given)), (0, 1))


class Daily(Crossed):
    """The network, and a vector for each day, counted back from the end of training."""

    def cell(self, given):
        """The day (B,); what comes after training has the last one."""
        return (30 * given["age"][:, 0]).clamp(min=0).long()
