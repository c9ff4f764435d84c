"""Inputs of the candidate generator."""

import functools

import numpy as np
import pandas as pd
import pytest

from course import ab_test, simulate
from course.errors import ConfigError, LogError
from course.features.history import History, history_bags, search_bags
from course.features.vocabulary import NONE, Vocabulary


@functools.cache
def world():
    return simulate("village", seed=4, cache=False)


@functools.cache
def live_requests():
    """Page requests right after the log, as a policy receives them."""
    seen = []

    def spy(requests):
        seen.append(requests)
        return np.tile(np.arange(requests.slate), (len(requests), 1))

    ab_test(world(), {"spy": spy}, n=400, candidates="catalogue")
    return seen[0]


def plain_bag(frame, columns, user, time, length):
    """Row by row: the last values before a time, newest first."""
    rows = frame[(frame["user_id"] == user) & (frame["time"] < time)]
    values = [v for row in rows[columns].to_numpy() for v in row if v >= 0]
    newest = values[::-1][:length]
    return newest + [NONE] * (length - len(newest))


def test_vocabulary_puts_the_frequent_first_and_ties_by_id():
    v = Vocabulary(np.array([5, 5, 5, 2, 9, 9, 1, -1, -1]))
    assert v.ids.tolist() == [5, 9, 1, 2]
    assert v.counts.tolist() == [3, 2, 1, 1]
    assert len(v) == v.padding == 4
    assert Vocabulary(np.array([5, 5, 2, 9, 9]), top=2).ids.tolist() == [5, 9]


def test_vocabulary_sends_unknown_ids_of_every_kind_to_padding():
    v = Vocabulary(np.array([5, 5, 9]))
    assert v.encode(np.array([[5, 9], [NONE, 6], [10, 10**6], [0, -(10**6)]])).tolist() == [
        [0, 1],
        [2, 2],
        [2, 2],
        [2, 2],
    ]
    assert Vocabulary(np.array([], int)).encode(np.array([0, 3])).tolist() == [0, 0]
    left, right = pd.DataFrame({"row": [0, 1]}), pd.DataFrame({"row": [0], "video_id": [5]})
    merged = left.merge(right, how="left")["video_id"]  # floats: one row found no partner
    with pytest.raises(LogError, match="float64.*fillna"):
        v.encode(merged)
    assert v.encode(merged.fillna(NONE).astype(int)).tolist() == [0, 2]


def test_vocabulary_refuses_what_are_no_ids():
    with pytest.raises(LogError, match="float64"):
        Vocabulary(np.array([1.5]))
    with pytest.raises(ConfigError, match="top=0"):
        Vocabulary(np.array([1]), top=0)


def test_history_by_hand():
    h = History(
        np.array([1, 0, 1, 1, 1]),
        np.array([3.0, 1.0, 1.0, 2.0, 3.0]),
        np.array([30, 9, 10, 20, 31]),
    )
    bags = h.bags(np.array([1, 1, 1, 0, 2]), np.array([3.0, 3.5, 0.5, 9.0, 9.0]), 3)
    assert bags.tolist() == [
        [20, 10, NONE],  # what happens at 3.0 is not before 3.0
        [31, 30, 20],  # a longer history keeps the newest
        [NONE] * 3,  # nothing yet
        [9, NONE, NONE],  # nothing of the neighbours
        [NONE] * 3,  # an account without events
    ]
    with pytest.raises(ConfigError, match="length=0"):
        h.bags(np.array([1]), np.array([1.0]), 0)


def test_bags_are_what_a_plain_loop_finds():
    logs = world().logs()
    rows = logs.watches.sample(60, random_state=1)
    watched = history_bags(logs, rows, 12)
    searched = search_bags(logs, rows, 12)
    tokens = ["token_1", "token_2", "token_3"]
    for i, row in enumerate(rows.itertuples()):
        want = plain_bag(logs.watches, ["video_id"], row.user_id, row.time, 12)
        assert watched[i].tolist() == want
        assert searched[i].tolist() == plain_bag(logs.searches, tokens, row.user_id, row.time, 12)
    assert (watched == NONE).any() and (watched != NONE).all(axis=1).any()
