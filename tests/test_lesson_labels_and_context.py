"""Chapter 05's lesson: contexts, weights, labels and queries, against plain loops."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from course import simulate
from course.features.history import history_bags
from course.lessons import candidate_generation as cg
from course.lessons import labels_and_context as lc
from course.tasks.next_watch import Moments, NextWatch


@pytest.fixture(scope="module")
def game():
    return NextWatch(simulate("village", seed=4, cache=False).logs())


def log(rows):
    return pd.DataFrame(rows, columns=["user_id", "time", "video_id"])


def test_a_context_by_hand():
    watches = log([(1, 3.0, 30), (0, 1.0, 10), (1, 1.0, 11), (1, 2.0, 20), (1, 2.0, 21),
                   (1, 4.0, 40), (2, 2.5, 50)])  # fmt: skip
    one = log([(1, 2.0, 20)])
    assert lc.bags(watches, one, np.array([-1, -2, 1, 2, 3])).tolist() == [[11, -1, 30, 40, -1]]
    taken_out = log([(1, 2.5, 99)])  # between two rows: nothing of it is in the log
    assert lc.bags(watches, taken_out, np.array([-2, -1, 1, 2])).tolist() == [[20, 21, 30, 40]]


def test_a_repeat_of_the_label_is_no_context():
    watches = log([(0, 1.0, 5), (0, 2.0, 7), (0, 3.0, 5), (0, 4.0, 8)])
    found = lc.bags(watches, log([(0, 1.0, 5)]), np.arange(1, 4))
    assert found.tolist() == [[7, -1, 8]]


def test_rolled_back_bags_are_those_of_the_game(game):
    rows = game.examples()
    past = lc.bags(game.train.watches, rows, lc.PAST)
    known = history_bags(game.train, rows)
    assert np.array_equal(past, np.where(known == rows["video_id"].to_numpy()[:, None], -1, known))


def test_both_sides_against_a_loop(game):
    rows = game.examples().sample(60, random_state=0)
    found = lc.bags(game.train.watches, rows, lc.BOTH_SIDES)
    watches = game.train.watches.sort_values("time", kind="stable")
    for row, example in zip(found, rows.itertuples(), strict=True):
        own = watches[watches["user_id"] == example.user_id]
        before = own.loc[own["time"] < example.time, "video_id"].tolist()[::-1][:25]
        after = own.loc[own["time"] > example.time, "video_id"].tolist()[:25]
        wanted = [v for v in before + after if v != example.video_id]
        assert row[row >= 0].tolist() == wanted


def test_what_is_set_aside_is_nowhere_in_the_log(game):
    rows = game.examples()
    held, watches = lc.set_aside(game, rows)
    assert held["user_id"].is_unique and set(held["user_id"]) == set(rows["user_id"])
    left = set(zip(watches["user_id"], watches["video_id"], strict=True))
    assert not left & set(zip(held["user_id"], held["video_id"], strict=True))
    assert len(game.train.watches) > len(watches) >= len(game.train.watches) - 2 * len(held)


def test_later_watches_are_rivals_only_of_the_honest_test(game):
    held, _ = lc.set_aside(game, game.examples())
    scores = np.random.default_rng(0).normal(size=(len(held), game.videos))
    kind, honest = (lc.ranks_of(game, scores, held, rivals) for rivals in lc.RIVALS)
    assert (kind <= honest).all() and kind.mean() < honest.mean()


def test_a_cap_keeps_as_many_as_it_says_and_its_weights_are_its_chances():
    users = np.repeat([3, 1, 8], [40, 4, 10])
    masks = np.array([lc.cap(users, 10, seed) for seed in range(400)])
    assert (np.add.reduceat(masks, [0, 40, 44], axis=1) == [10, 4, 10]).all()
    assert np.abs(masks.mean(axis=0) - lc.equal_weight(users, 10)).max() < 0.08
    total = np.add.reduceat(lc.equal_weight(users, 10), [0, 40, 44])
    assert np.allclose(total, [10, 4, 10])


def test_what_has_no_weight_is_not_learned(game):
    videos, label = 6, torch.tensor([1] * 300 + [4] * 300)
    bags = torch.full((600, 3), videos)
    model = cg.NextVideo(videos, 8, ())
    weight = torch.from_numpy(np.repeat([0.0, 1.0], 300))
    lc.learn(model, bags, label, weight, negatives=4, passes=20, batch=64)
    scores = cg.scorer(model)(Moments(*[np.full((1, 3), -1)] * 6))[0]
    assert scores.argmax() == 4 and scores[1] < scores[4] - 3


def test_label_choices_by_hand():
    w = pd.DataFrame({"source": ["home", "search", "up_next"], "completed": [True, False, False],
                      "liked": [False, True, False], "survey": [np.nan, 4, 3]})  # fmt: skip
    assert [choose(w).tolist() for choose in lc.LABELS.values()] == [
        [True, False, True], [True, False, False], [False, True, False], [False, True, False],
    ]  # fmt: skip


def test_the_last_query_by_hand():
    opens = np.array([True, True, False, False])
    tokens = np.array([[3, 2, 0, 1], [1, 2, 0, -1], [2, 1, -1, -1], [3, 2, -1, -1], [-1] * 4])
    wanted = [[0, 2, 3], [1, -1, -1], [1, 2, -1], [-1] * 3, [-1] * 3]
    assert lc.last_query(tokens, opens).tolist() == wanted


def test_the_last_query_is_that_of_the_log(game):
    words, searches = lc.Words(game.train.searches), game.train.searches
    events = game.sample(100)
    moments = Moments.of_events(game.train, events)
    found = lc.last_query(moments.searched, words.opens)
    for row, event in zip(found, events.itertuples(), strict=True):
        own = searches[(searches["user_id"] == event.user_id) & (searches["time"] < event.time)]
        query = own[["token_1", "token_2", "token_3"]].to_numpy()
        wanted = [token for token in query[-1] if token >= 0] if len(query) else []
        assert row[row >= 0].tolist() == wanted


def test_only_the_last_query_knows_an_order(game):
    words = lc.Words(game.train.searches)
    moments = Moments.of_events(game.train, game.sample(50))
    turned = dataclasses.replace(moments, searched=moments.searched[:, ::-1].copy())
    for query in (False, True):
        model = lc.WithWords(game.videos, words.more(query), 8)
        a, b = (words.scorer(model, query)(m) for m in (moments, turned))
        assert np.allclose(a, b, atol=1e-5) != query
