"""Right answers to the exercises of chapter 05, written in other ways than the reference."""

from collections import Counter

import numpy as np


def around_in_loops(user, video, account, first, last, steps):
    out = []
    for one, begin, end in zip(account, first, last, strict=True):
        mine = np.flatnonzero(user == one)
        before, after = mine[mine < begin][::-1], mine[mine >= end]
        row = []
        for step in steps:
            side = before if step < 0 else after
            place = abs(step) - 1
            row.append(video[side[place]] if place < len(side) else -1)
        out.append(row)
    return np.array(out, np.float32)


def weight_by_counter(users, most):
    counts = Counter(users.tolist())
    return np.array([1.0 if counts[u] <= most else most / counts[u] for u in users.tolist()],
                    np.float32)  # fmt: skip


def query_word_by_word(tokens, opens):
    out = np.full((len(tokens), 3), -1, np.int32)
    for row, words in enumerate(tokens):
        query = []
        for word in words:
            if word < 0:
                query = []
                break
            query.insert(0, word)
            if opens[word]:
                break
        else:
            query = []
        out[row, : len(query)] = query
    return out


RIGHT = {
    "05-around": [around_in_loops],
    "05-equal-weight": [weight_by_counter],
    "05-last-query": [query_word_by_word],
}
