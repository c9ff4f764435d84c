"""Inputs of the candidate generator."""

import functools

import numpy as np
import pandas as pd
import pytest

from course import ab_test, simulate
from course.errors import ConfigError, LeakError, LogError
from course.features import (
    NONE,
    Features,
    History,
    Vocabulary,
    example_age,
    examples,
    history_bags,
    search_bags,
    sizes,
)
from course.logs import check_future, check_truth, first_watches


@functools.cache
def world():
    return simulate("tiny", seed=4, cache=False)


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
    assert v.decode(np.array([0, 1, 2])).tolist() == [5, 9, NONE]
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


def test_example_age_in_powers_and_what_is_served():
    age = example_age(np.array([0.0, 22.5, 29.5, 30.0, 31.0]), t_max=30.0, floor=0.0, scale=30.0)
    assert age.dtype == np.float32
    np.testing.assert_allclose(age[0], [1, 1, 1])
    np.testing.assert_allclose(age[1], [0.25, 0.0625, 0.5])
    assert (age[3:] == 0).all(), "now and later are served at the floor"
    floored = example_age(np.array([29.5, 28.0, 31.0]), t_max=30.0, floor=2.0, scale=2.0)
    np.testing.assert_allclose(floored, np.ones((3, 3)))
    for wrong in ({"floor": -1.0}, {"scale": 0.0}):
        with pytest.raises(ConfigError, match="floor"):
            example_age(np.zeros(1), 1.0, **wrong)


def test_examples_are_first_watches_in_order_and_within_the_days():
    logs = world().logs()
    rows = examples(logs, 20.0, after=10.0)
    first = first_watches(logs.watches)
    want = first[(first["time"] >= 10.0) & (first["time"] < 20.0)]
    assert set(rows.index) == set(want.index)
    assert rows["time"].is_monotonic_increasing
    assert len(examples(logs, 20.0, first_watches=False, after=10.0)) > len(rows)
    with pytest.raises(LogError, match="No watches"):
        examples(logs, -1.0)


def test_a_fixed_number_of_examples_of_each_account():
    logs = world().logs()
    everything = examples(logs, 20.0)
    few = examples(logs, 20.0, per_user=5)
    size = everything.groupby("user_id").size()
    pd.testing.assert_series_equal(few.groupby("user_id").size(), size.clip(upper=5))
    assert few["time"].is_monotonic_increasing
    assert not few.index.equals(examples(logs, 20.0, per_user=5, seed=1).index)
    heavy = few[few["user_id"].isin(size[size > 40].index)]
    span = everything[everything["user_id"].isin(heavy["user_id"])]
    # A random draw is as old as all of them, the newest five would be much younger.
    assert abs(heavy["time"].mean() - span["time"].mean()) < 1.0
    with pytest.raises(ConfigError, match="per_user=0"):
        examples(logs, 20.0, per_user=0)


def as_frame(inputs, index):
    parts = {name: pd.DataFrame(getattr(inputs, name), index=index) for name in vars(inputs)}
    frame = pd.concat(parts, axis=1)
    frame.columns = [f"{name} {column}" for name, column in frame.columns]
    return frame


def test_inputs_know_neither_the_future_nor_the_truth():
    logs = world().logs()
    f = Features(logs, length=8)
    rows = examples(logs, 30.0).sample(600, random_state=0)
    made = functools.partial(lambda log, ex: as_frame(f.of_examples(log, ex), ex.index))
    check_future(made, logs, rows, cuts=3)
    check_truth(made(logs, rows))

    def leaky(log, ex):  # the same, asked a minute too late
        return as_frame(f.of_examples(log, ex.assign(time=ex["time"] + 1 / 1440)), ex.index)

    with pytest.raises(LeakError, match="watched"):
        check_future(leaky, logs, rows, cuts=3)


def test_live_requests_give_the_same_inputs_as_the_log():
    logs, requests = world().logs(), live_requests()
    f = Features(logs, floor=1.5)
    live = f.of_requests(requests)
    codes = {
        name: pd.Categorical.from_codes(getattr(requests, name), logs.watches[name].cat.categories)
        for name in ("device", "daypart")
    }
    moments = pd.DataFrame({"user_id": requests.user, "time": requests.time, **codes})
    stored = f.of_examples(logs, moments)
    for name in ("searched", "age", "demographics", "context"):
        np.testing.assert_array_equal(getattr(live, name), getattr(stored, name), err_msg=name)
        assert getattr(live, name).dtype == getattr(stored, name).dtype
    # The platform writes the watches of one quarter of a day in two goes (the home page, then the
    # pages beside a video), so their order within it, and nothing else, may differ.
    short = (stored.watched == f.videos.padding).any(axis=1)
    assert short.sum() > 50 and (~short).sum() > 20
    np.testing.assert_array_equal(
        np.sort(live.watched[short], axis=1), np.sort(stored.watched[short], axis=1)
    )
    assert (live.watched == stored.watched).mean() > 0.9
    overlap = [len(set(a) & set(b)) for a, b in zip(live.watched, stored.watched, strict=True)]
    distinct = [len(set(b)) for b in stored.watched]
    assert min(np.array(overlap) - distinct) >= -3 and np.mean(overlap) > np.mean(distinct) - 0.2


def test_a_shorter_bag_holds_the_newest_of_a_request():
    requests = live_requests()
    f = Features(world().logs(), length=5)
    x = f.of_requests(requests)
    np.testing.assert_array_equal(x.watched, f.videos.encode(requests.recent_videos[:, :5]))
    np.testing.assert_array_equal(x.searched, f.tokens.encode(requests.recent_tokens[:, :5]))


def test_empty_history_is_all_padding_and_labels_outside_are_marked():
    logs = world().logs()
    f = Features(logs, top_videos=20)
    first = logs.watches.sort_values("time").groupby("user_id").head(1)
    assert (f.of_examples(logs, first).watched == 20).all()
    labels = f.labels(logs.watches)
    known = logs.watches["video_id"].isin(f.videos.ids).to_numpy()
    assert (labels[~known] == f.videos.padding).all()
    np.testing.assert_array_equal(f.videos.decode(labels[known]), logs.watches["video_id"][known])


def test_age_can_be_swept_without_touching_the_rest():
    logs = world().logs()
    f = Features(logs)
    x = f.of_examples(logs, logs.watches.head(20))
    y = x.with_age(example_age(np.array([f.t_max - 7.0]), f.t_max)[0])
    assert (y.age == y.age[0]).all() and not (x.age == y.age).all()
    assert y.watched is x.watched
    assert len(x[:5]) == 5


def test_sizes_cover_all_codes():
    f = Features(world().logs())
    names = ("country", "language", "gender", "age_band", "logged_in")
    assert (f.users.max(axis=0) < sizes("users", names)).all()
    assert sizes("users", names) == [6, 3, 3, 5, 2]


def test_wrong_calls_are_refused():
    logs = world().logs()
    with pytest.raises(ConfigError, match="length=51"):
        Features(logs, length=51)
    with pytest.raises(LogError, match="no watches"):
        Features(logs.before(-1.0))
    stranger = logs.watches.head(1).assign(user_id=10_000)
    with pytest.raises(LogError, match="10000"):
        Features(logs).of_examples(logs, stranger)
