"""Differently written right answers to the exercises of chapter 12."""

from itertools import zip_longest

import numpy as np
import pandas as pd


def pool_by_zip(a, b, watched):
    turns = [v for pair in zip_longest(a, b, fillvalue=-1) for v in pair]
    kept = dict.fromkeys(int(v) for v in turns if v >= 0 and v not in set(watched.tolist()))
    return list(kept)


def pool_by_pandas(a, b, watched):
    frame = pd.DataFrame({
        "video": np.r_[a, b],
        "turn": np.r_[2 * np.arange(len(a)), 2 * np.arange(len(b)) + 1],
    }).sort_values("turn")  # fmt: skip
    frame = frame[(frame["video"] >= 0) & ~frame["video"].isin(watched)]
    return frame["video"].drop_duplicates().to_numpy()


def snips_by_average(reward, new, logged):
    return np.average(reward, weights=np.asarray(new) / np.asarray(logged))


def paired_by_pandas(old, new, account):
    difference = pd.Series(np.asarray(new) - np.asarray(old))
    sums = (difference - difference.mean()).groupby(np.asarray(account)).sum()
    c = len(sums)
    return difference.mean(), 1.96 * np.sqrt((sums**2).sum() * c / (c - 1)) / len(difference)


def paired_by_loop(old, new, account):
    gain = [n - o for o, n in zip(old, new, strict=True)]
    mean = sum(gain) / len(gain)
    of = {}
    for g, a in zip(gain, account, strict=True):
        of[int(a)] = of.get(int(a), 0.0) + g - mean
    squares = sum(s * s for s in of.values())
    return mean, 1.96 * (squares * len(of) / (len(of) - 1)) ** 0.5 / len(gain)


RIGHT = {
    "12-pool": [pool_by_zip, pool_by_pandas],
    "12-snips": [snips_by_average],
    "12-paired": [paired_by_pandas, paired_by_loop],
}
