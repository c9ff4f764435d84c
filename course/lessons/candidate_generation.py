"""The deep candidate generator.

Written in notebooks/source/03_deep_candidate_generation.py, and there only.
"""

import math

import numpy as np
import torch
from scipy.optimize import brentq
from torch import nn
from torch.nn import functional


def tower(inputs, widths):
    """ReLU layers of the given widths on `inputs` numbers; and how many numbers come out."""
    layers = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers), inputs


class NextVideo(nn.Module):
    """P1's Figure 3 on watches: the mean of a bag, a ReLU tower, a dot product with each video."""

    def __init__(self, videos, dim=64, widths=(256,), counts=None, bag="mean", scale=0.1, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.videos = videos
            self.watched = nn.EmbeddingBag(videos + 1, dim, mode=bag, padding_idx=videos)
            self.norm = nn.LayerNorm(dim)
            self.tower, last = tower(dim + 1, widths)
            self.last = nn.Linear(last, dim)
            self.output = nn.Embedding(videos, dim + 1)  # the last column is the bias
            with torch.no_grad():
                self.watched.weight *= scale
                self.output.weight *= scale
                self.output.weight[:, -1] = 0 if counts is None else torch.log1p(counts)

    def forward(self, bags):
        """User vectors (B, dim + 1) of bags (B, H); their last number is 1."""
        n = (bags != self.videos).sum(dim=1, keepdim=True)
        x = torch.cat([self.norm(self.watched(bags)), torch.log1p(n)], dim=1)
        return functional.pad(self.last(self.tower(x)), (0, 1), value=1.0)


def as_bags(watched, videos):
    """Bags (n, H) int64 of ids (n, H); `videos` stands for nothing and for what is not known."""
    ids = torch.from_numpy(np.asarray(watched, np.int64))
    return torch.where((ids < 0) | (ids >= videos), videos, ids)


def scorer(model):
    """A method from a network: scores (n, videos) of moments."""

    def scores(moments):
        with torch.no_grad():
            user = model(as_bags(moments.watched, model.videos))
            return (user @ model.output.weight.T).numpy()

    return scores


def rate_factor(step, steps, warm_up=0.1):
    """Share of the learning rate at a step: a straight line up, then half a cosine down."""
    rising = warm_up * steps
    if step < rising:
        return min(1.0, (step + 1) / rising)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


torch.set_num_threads(1)


def fit(loss, groups, n, passes=3, batch=512, warm_up=0.1, seed=0, progress=None):
    """Make loss(rows) small with Adam, rows drawn from range(n); the loss of each step."""
    random = torch.Generator().manual_seed(seed)
    steps, losses = passes * math.ceil(n / batch), []
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, steps, warm_up)
    )
    for _ in range(passes):
        for rows in torch.randperm(n, generator=random).split(batch):
            value = loss(rows)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            losses.append(value.item())
            if progress is not None:
                progress(len(losses), steps)
    return losses


def two_rates(model, rate=0.01, tower_rate=0.0025):
    """Groups of parameters: the tables at one rate, what lies between them at another."""
    between = [*model.tower.parameters(), *model.last.parameters()]
    own = {id(p) for p in between}
    tables = [p for p in model.parameters() if id(p) not in own]
    return [{"params": tables, "lr": rate}, {"params": between, "lr": tower_rate}]


def full_softmax(user, videos, label):
    """Mean of -log P(label | x) over all videos; user (B, d), videos (V, d), label (B,)."""
    return functional.cross_entropy(user @ videos.T, label)


def train(model, bags, label, loss=full_softmax, rate=0.01, tower_rate=0.0025, **options):
    """Fit a network to next watches (n,) by a loss(user, videos, label); the loss of each step."""

    def batch_loss(rows):
        return loss(model(bags[rows]), model.output.weight, label[rows])

    return fit(batch_loss, two_rates(model, rate, tower_rate), len(label), **options)


def sampled_softmax(user, videos, label, sample, log_chance=None):
    """Mean softmax loss over the label and a sample; log_chance (V,) corrects for the drawing."""
    right = (user * functional.embedding(label, videos)).sum(dim=1, keepdim=True)
    wrong = user @ functional.embedding(sample, videos).T
    if log_chance is not None:
        right, wrong = right - log_chance[label, None], wrong - log_chance[sample]
    wrong = wrong.masked_fill(label[:, None] == sample, -torch.inf)
    return functional.cross_entropy(torch.cat([right, wrong], dim=1), torch.zeros_like(label))


def law(counts, kind="popularity"):
    """How often each video is drawn (V,), summing to 1: popularity, uniform, or zipf (1/rank)."""
    counts = counts.double().clamp(min=1)
    rank = counts.argsort(descending=True, stable=True).argsort()
    share = {"popularity": counts, "uniform": counts**0, "zipf": 1 / (rank.double() + 1)}[kind]
    return share / share.sum()


def chances(q, size):
    """Chance (V,) of each video to be in a sample of about `size`, drawn by the law q (V,)."""
    draws = brentq(lambda d: float(-torch.expm1(-d * q).sum()) - size, 0.0, 1e12)
    return -torch.expm1(-draws * q).float()


def sampled(chance, correct=True, seed=0):
    """A loss(user, videos, label) on a fresh sample at each call."""
    random, log_chance = torch.Generator().manual_seed(seed), chance.log() if correct else None

    def loss(user, videos, label):
        sample = (torch.rand(len(chance), generator=random) < chance).nonzero()[:, 0]
        return sampled_softmax(user, videos, label, sample, log_chance)

    return loss


def in_batch(q, correct=True):
    """A loss(user, videos, label) whose sample are the labels of the batch."""

    def loss(user, videos, label):
        others = max(1, len(label) - 1)
        log_chance = torch.log(-torch.expm1(others * torch.log1p(-q))).float()
        return sampled_softmax(user, videos, label, label.unique(), log_chance if correct else None)

    return loss


class Tree(nn.Module):
    """Hierarchical softmax of two levels: a cluster (of those in `cluster` (V,)), then a video."""

    def __init__(self, cluster, dim=64):
        super().__init__()
        cluster = torch.as_tensor(cluster)
        size = cluster.bincount()
        order = cluster.argsort(stable=True)
        place = torch.arange(len(cluster)) - (size.cumsum(0) - size).repeat_interleave(size)
        members = torch.full((len(size), int(size.max())), -1)
        members[cluster[order], place] = order
        within = torch.empty_like(order)
        within[order] = place
        for name, value in (("cluster", cluster), ("members", members), ("within", within)):
            self.register_buffer(name, value)
        self.vectors = nn.Parameter(torch.zeros(len(size), dim + 1))

    def forward(self, user, videos, label):
        """Mean of -log P(label | x), the sum of the two choices."""
        own = self.members[self.cluster[label]]
        inside = functional.embedding(own.clamp(min=0), videos)
        scores = torch.bmm(inside, user[:, :, None])[:, :, 0].masked_fill(own < 0, -torch.inf)
        first = functional.cross_entropy(user @ self.vectors.T, self.cluster[label])
        return first + functional.cross_entropy(scores, self.within[label])

    def log_probability(self, user, videos):
        """Log-probability of every video (n, V)."""
        scores = user @ videos.T
        padded = functional.pad(scores, (0, 1), value=-torch.inf)[:, self.members]
        choice = functional.log_softmax(user @ self.vectors.T, dim=1) - padded.logsumexp(dim=2)
        return scores + choice[:, self.cluster]


def equally_long(vectors):
    """Vectors (V, d + 1), all as long as the longest of (V, d); the first d numbers stay."""
    length = np.linalg.norm(vectors, axis=1)
    lacking = np.sqrt(np.maximum(length.max() ** 2 - length**2, 0))
    return np.hstack([vectors, lacking[:, None]])


def search_cells(user, places, centres, cell, nprobe, k):
    """Ids (k,) of the largest products with user (d,), among places (V, d) in the nearest cells."""
    near = np.argsort(((centres - user) ** 2).sum(axis=1))[:nprobe]
    inside = np.flatnonzero(np.isin(cell, near))
    return inside[np.argsort(-(places[inside] @ user))[:k]]
