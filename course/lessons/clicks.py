"""A simulated YouTube.

Written in notebooks/source/01_a_simulated_youtube.py, and there only.
"""

import numpy as np
import pandas as pd


def looked_at(position, steepness):
    """P(a position, counted from 1, is looked at): it falls by a power, from 1 at the top."""
    return np.asarray(position, float) ** -steepness


def click_probability(ingredients, weights, start, seen):
    """P(click) (...): the position is looked at (...), and then the card (..., 13) is wanted."""
    z = start + (np.asarray(weights) * ingredients).sum(axis=-1)
    return seen / (1 + np.exp(-z))


def among_candidates(x):
    """Numbers (pages, candidates) on one scale: mean 0 and standard deviation 1 on each page."""
    x = x - x.mean(axis=1, keepdims=True)
    return x / (x.std(axis=1, keepdims=True) + 1e-6)


def past_score(share, follows, clicks, shown, watches, luck, watched, weights=(1.0, 1.0, 0.5)):
    """Scores (B, candidates) of the ranking that made the log: relevance, incumbency, luck."""
    fit = among_candidates(np.sqrt(share) + 0.2 * follows)
    rate = among_candidates(np.log((clicks + 2) / (shown + 50)))
    incumbency = among_candidates(np.log1p(watches))
    parts = (fit + rate) / np.sqrt(2), incumbency, luck
    return sum(w * part for w, part in zip(weights, parts, strict=True)) - 10 * watched


def standard_error(rate, shown):
    """Standard errors of click rates, each the mean of so many showings."""
    return np.sqrt(rate * (1 - rate) / shown)


def known_rates(video, clicked, chance):
    """Of each video, how often it was shown and how far its rate is off; of showings (n,)."""
    frame = pd.DataFrame({"video": video, "clicked": clicked, "rate": chance})
    table = frame.groupby("video").mean()
    table["shown"] = frame.groupby("video").size()
    table["off by"] = (table["clicked"] - table["rate"]).abs() / table["rate"]
    return table


def split(position, seen, wanted):
    """Click rate at each position as bias times relevance (of what is looked at), exactly."""
    table = pd.DataFrame({"click rate": seen * wanted, "bias": seen}).groupby(position).mean()
    table["relevance"] = table["click rate"] / table["bias"]
    return table


def halvings(table, first=1, last=10):
    """How many times each column of a table over positions halves from one to another."""
    return np.log2(table.loc[first] / table.loc[last])


def count(video, position, clicked, videos, positions=10):
    """Clicks and showings (videos, positions) of a log: video, position from 1, clicked (n,)."""
    cell, size = video * positions + position - 1, videos * positions
    tables = np.bincount(cell, clicked, size), np.bincount(cell, minlength=size).astype(float)
    return [table.reshape(videos, positions) for table in tables]


def bias_from_log(clicks, shown):
    """How much positions are looked at, relative to the first (positions,)."""
    both = np.maximum(shown + shown[:, :1], 1)
    here = (clicks * shown[:, :1] / both).sum(axis=0)
    at_the_top = (clicks[:, :1] * shown / both).sum(axis=0)
    return here / at_the_top


def watched_seconds(wanted, has):
    """Seconds watched (B, k), if each page's watches (B, k) share the time that one has (B,)."""
    left = has[:, None] - (wanted.cumsum(axis=1) - wanted)
    return np.minimum(wanted, left.clip(min=0))


def same_topic(logs):
    """Share of pairs of videos with the same topic: of those with a word in common, and of all."""
    tokens = logs.content.title_tokens[: len(logs.videos)]
    topic = logs.videos["topic"].cat.codes.to_numpy()
    has = np.zeros((len(tokens), len(logs.content.vocabulary)))
    row, column = np.nonzero(tokens >= 0)
    has[row, tokens[row, column]] = 1
    rare = has[:, has.mean(axis=0) < 0.05]
    other, same = ~np.eye(len(topic), dtype=bool), topic[:, None] == topic
    common = (rare @ rare.T > 0) & other
    return {"a word in common": same[common].mean(), "any two": same[other].mean()}
