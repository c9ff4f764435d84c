"""Right answers to the exercises of chapter 05, written in other ways."""

import numpy as np


def roll_back(times, videos, moment, length):
    pairs = sorted(zip(times, videos, strict=True), reverse=True)
    return [video for time, video in pairs if time < moment][:length]


def roll_back_by_search(times, videos, moment, length):
    order = np.argsort(times)
    end = np.searchsorted(times[order], moment)
    return videos[order][max(0, end - length) : end][::-1]


def leak(bag_times, moments):
    newest = np.where(np.isnan(bag_times), -np.inf, bag_times).max(axis=1)
    return newest >= moments


def leak_by_loop(bag_times, moments):
    return [any(t >= m for t in row) for row, m in zip(bag_times, moments, strict=True)]


def cap(users, per_user):
    kept, left = [], {}
    for user in reversed(list(users)):
        left[user] = left.get(user, per_user) - 1
        kept.append(left[user] >= 0)
    return kept[::-1]


def inflation(own, past_context, honest):
    a, b, c = ((1 / rank).mean() for rank in (own, past_context, honest))
    return a - b, b - c


RIGHT = {
    "05-roll-back": [roll_back, roll_back_by_search],
    "05-leak": [leak, leak_by_loop],
    "05-cap": [cap],
    "05-inflation": [inflation],
}
