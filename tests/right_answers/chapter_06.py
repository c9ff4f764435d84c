"""Differently written right answers to the exercises of chapter 06."""

import math
from collections import Counter, defaultdict

import numpy as np
import pandas as pd


def table_by_table(features):
    seen, total = set(), 0
    for space, n in features:
        if space not in seen:
            seen.add(space)
            total += n * round(32 * math.log10(n) / 6)
    return total


def shares_by_searching(train, x):
    share = np.searchsorted(np.sort(train), x, side="left") / len(train)
    return np.column_stack([share, share * share, share**0.5])


def shares_one_by_one(train, x):
    rows = []
    for value in x:
        share = sum(t < value for t in train) / len(train)
        rows.append([share, share**2, math.sqrt(share)])
    return np.array(rows)


def shown_by_walking(user, video, time):
    counted, now, out = defaultdict(int), Counter(), np.zeros(len(user), int)
    order, last = np.argsort(time, kind="stable"), None
    for row in order:
        if time[row] != last:  # a new moment: what the one before showed counts from here on
            for key, count in now.items():
                counted[key] += count
            now, last = Counter(), time[row]
        out[row] = counted[user[row], video[row]]
        now[user[row], video[row]] += 1
    return out


def shown_by_ranking(user, video, time):
    frame = pd.DataFrame({"u": user, "v": video, "t": time})
    return (frame.groupby(["u", "v"])["t"].rank(method="min") - 1).astype(int).to_numpy()


RIGHT = {
    "06-table-size": [table_by_table],
    "06-quantiles": [shares_by_searching, shares_one_by_one],
    "06-shown-before": [shown_by_walking, shown_by_ranking],
}
