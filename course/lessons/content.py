"""Titles and thumbnails.

Written in notebooks/source/11_titles_and_thumbnails.py, and there only.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.lessons import matrix_factorization as mf
from course.metrics import ranks
from course.tasks.next_watch import Moments, policy


def title_words(content):
    """Words (videos, words) int64 of all titles; the number of words stands for an empty place."""
    words = torch.from_numpy(content.title_tokens.astype(np.int64))
    return torch.where(words < 0, len(content.vocabulary), words)


def pictures(content):
    """Thumbnails (videos, 3, 18, 32), each number the mean of 2 x 2 pixels, from -.5 to .5."""
    pixels = torch.from_numpy(content.thumbnails(np.arange(len(content))))
    colours = pixels.permute(0, 3, 1, 2).float() / 255 - 0.5
    return functional.avg_pool2d(colours, 2)


def convolve(pictures, filters, step=1):
    """Sums (B, filters, h, w) of filters (filters, colours, s, s) on each place of pictures."""
    size = filters.shape[-1]
    windows = pictures.unfold(2, size, step).unfold(3, size, step)
    return torch.einsum("bchwij,fcij->bfhw", windows, filters)


class Reader(nn.Module):
    """A video from its title, a bag of words, and its thumbnail, under three layers of filters."""

    def __init__(self, words, topics, dim=64, hidden=64, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.words = nn.EmbeddingBag(words + 1, 48, mode="mean", padding_idx=words)
            first, second = nn.Conv2d(3, 16, 5, 2, padding=2), nn.Conv2d(16, 32, 3, 2, padding=1)
            third = nn.Conv2d(32, 48, 3, 2, padding=1)
            self.look = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU())
            self.both = nn.Linear(48 + 48, hidden)
            self.vector, self.topic = nn.Linear(hidden, dim), nn.Linear(hidden, topics)

    def forward(self, words, pictures):
        """Hidden numbers (B, hidden) of titles (B, words) and thumbnails (B, 3, 18, 32)."""
        seen = self.look(pictures).amax(dim=(2, 3))
        return torch.relu(self.both(torch.cat([self.words(words), seen], dim=1)))


def unit(vectors):
    """Vectors (n, d), each made one long; those that are zero stay zero."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)


def reading_loss(reader, words, looks, topic, aim, weight, topics=0.3):
    """A loss(rows): weighted squared distance from aims (n, d), plus cross-entropy of topics."""

    def loss(rows):
        hidden = reader(words[rows], looks[rows])
        away = (reader.vector(hidden) - aim[rows]).square().sum(dim=1)
        wrong = functional.cross_entropy(reader.topic(hidden), topic[rows])
        return (weight[rows] * away).mean() + topics * wrong

    return loss


def teach(reader, words, looks, logs, y, known, rate=0.01, passes=40, seed=0):
    """Fit a reader to the directions of y (videos, d) on the known videos (n,); losses of steps."""
    n = np.bincount(logs.watches["video_id"], minlength=len(y))[known]
    topic = torch.tensor(logs.videos["topic"].cat.codes.to_numpy(np.int64)[known])
    weight = torch.tensor(n / (n + 20), dtype=torch.float32)  # few watches aim badly
    aim = torch.from_numpy(unit(y[known]))
    loss = reading_loss(reader, words[known], looks[known], topic, aim, weight)
    groups = [{"params": reader.parameters(), "lr": rate}]
    return cg.fit(loss, groups, len(known), passes=passes, batch=64, seed=seed)


def read(reader, words, looks):
    """What a reader says of each video: hidden numbers (n, hidden); vectors (n, d) of length 1."""
    with torch.no_grad():
        hidden = reader(words, looks)
        return hidden.numpy(), unit(reader.vector(hidden).numpy())


def told(given, goal, known, fresh):
    """Share of the variance of a goal (n, k) that a line in given (n, d) tells on fresh rows."""
    given = (given - given[known].mean(axis=0)) / given[known].std()
    goal = goal.reshape(len(goal), -1)
    guess = RidgeCV(10.0 ** np.arange(-1, 6)).fit(given[known], goal[known]).predict(given[fresh])
    left = ((goal[fresh] - guess.reshape(len(fresh), -1)) ** 2).sum()
    return 1 - left / ((goal[fresh] - goal[known].mean(axis=0)) ** 2).sum()


def first_watchers(logs, videos, n):
    """Accounts (videos, n) that watched each video first, in order; -1 where there were fewer."""
    watches = logs.watches.sort_values("time", kind="stable")
    watches = watches.drop_duplicates(["user_id", "video_id"])
    row = pd.Series(np.arange(len(videos)), index=videos).reindex(watches["video_id"]).to_numpy()
    watches = watches.assign(row=row).dropna(subset="row").astype({"row": int})
    place = watches.groupby("row").cumcount()
    watches, place = watches[place < n], place[place < n]
    found = np.full((len(videos), n), -1)
    found[watches["row"], place] = watches["user_id"]
    return found


def own_vectors(x, watchers, regularisation=300.0, alpha=100.0):
    """Vectors (videos, d) from the vectors x of those who watched, (videos, n), -1 = nobody."""
    x, shared = torch.from_numpy(x), torch.from_numpy(x.T @ x)
    shared.diagonal().add_(regularisation)
    there = torch.from_numpy(watchers >= 0).float()
    near = x[torch.from_numpy(watchers).clamp(min=0)] * there[:, :, None]
    return mf.best_vectors(near, there, shared, alpha).numpy()


def judge(game, new, x):
    """A function of vectors (new, d): how well x finds the watched one among the new videos."""
    events = game.events[game.events["video_id"].isin(new)]
    seen = game.hidden(Moments.of_events(game.logs, events))[:, new]
    target = np.searchsorted(new, events["video_id"])

    def found(vectors):
        rank = ranks(x[events["user_id"]] @ vectors.T, target, seen)
        return {"mrr": (1 / rank).mean(), "recall@30": (rank <= 30).mean()}

    return found


def blend(content, own, n, half=4):
    """Vectors (V, d): directions of the content and of the own vectors of n (V,) watches, mixed."""
    share = (half / (n + half))[:, None]
    return share * unit(content) + (1 - share) * unit(own)


def only(scores, new):
    """A policy with pages of new videos (ids) alone, by a function from moments to scores."""

    def wide(moments):
        found = np.full((len(moments), new.max() + 1), -np.inf)
        found[:, new] = scores(moments)
        return found

    return policy(wide, new.max() + 1)


def policies_of_new(world, new, scorers):
    """Policies that show new videos only: chance, scorers by name, and the best there is."""
    random, oracle = np.random.default_rng(0), world.oracle("watch_minutes")
    return {
        "chance": only(lambda moments: random.random((len(moments), len(new))), new),
        **{name: only(scores, new) for name, scores in scorers.items()},
        "oracle": lambda asked: oracle(replace(asked, candidates=np.tile(new, (len(asked), 1)))),
    }


def match(vectors, query):
    """How near all videos (videos, d) are in direction to the queries (n,), ids: (n, videos)."""
    vectors = unit(vectors)
    return vectors[query] @ vectors.T


def regrets(logs):
    """Clicked a lot and left early (videos,), in sd; and how much to trust it, from 0 to 1."""
    cards, videos = logs.impressions, len(logs.videos)
    clicks = cards[cards["clicked"]]
    shown = np.bincount(cards["video_id"], minlength=videos)
    clicked = np.bincount(clicks["video_id"], minlength=videos)
    length = logs.videos["duration_seconds"].to_numpy()[clicks["video_id"]]
    part = clicks["watched_seconds"] / length
    watched = np.bincount(clicks["video_id"], weights=part, minlength=videos)
    rate = np.log((clicked + 3) / (shown + 50))
    part = (watched + 10 * part.mean()) / (clicked + 10)  # as if 10 average clicks had come before
    sd = [(value - value.mean()) / value.std() for value in (rate, part)]
    return sd[0] - sd[1], clicked / (clicked + 20)


def learn_to_see(looks, label, trust, known, rate=0.003, passes=10, seed=0):
    """A number (n,) for each thumbnail, fitted to the labels (videos,) of the known ones (k,)."""
    eye = Reader(1, 1, seed=seed).look
    last = nn.Linear(48, 1)
    label, trust = (torch.tensor(values[known], dtype=torch.float32) for values in (label, trust))
    seen = looks[known]

    def loss(rows):
        guess = last(eye(seen[rows]).amax(dim=(2, 3)))[:, 0]
        return (trust[rows] * (guess - label[rows]).square()).mean()

    groups = [{"params": [*eye.parameters(), *last.parameters()], "lr": rate}]
    cg.fit(loss, groups, len(known), passes=passes, batch=64, seed=seed)
    with torch.no_grad():
        return last(eye(looks).amax(dim=(2, 3)))[:, 0].numpy()
