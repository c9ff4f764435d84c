"""Rounds of serving, logging and learning, each arm in its own copy of the world."""

from __future__ import annotations

import copy
import operator

import numpy as np
import pandas as pd
import pytest
from worlds import mini, tiny

from course.errors import ConfigError, PolicyError
from course.simulator.policies import PopularityPolicy, RandomPolicy
from course.simulator.rounds import gini
from course.world import run_rounds


def popular(record, engine):
    """Learn popularity from the clicks of the arm's own rounds."""
    score = np.zeros(len(engine.catalogue))
    if record.table("impressions"):
        pages = record.table("impressions")
        np.add.at(score, pages["video"][pages["clicked"]], 1.0)
    return PopularityPolicy(score)


def chance(record, engine):
    return RandomPolicy(1)


ARMS = {"popular": popular, "chance": chance, "nothing": None}


@pytest.fixture(scope="module")
def result():
    return run_rounds(tiny(), ARMS, rounds=3, days_per_round=2)


def test_table(result):
    assert list(zip(result.table["arm"], result.table["round"], strict=True)) == [
        (arm, number) for arm in ARMS for number in (1, 2, 3)
    ]
    assert {arm: len(records) for arm, records in result.records.items()} == dict.fromkeys(ARMS, 3)
    shown = result.table[result.table["arm"] != "nothing"]
    assert shown.notna().all(axis=None)


def test_without_recommendation_there_are_no_impressions(result):
    for record in result.records["nothing"]:
        assert record.table("impressions") == {}
        assert (record.table("watches")["request"] == -1).all()
        assert len(record.table("watches")["user"]) > 20
    rows = result.table[result.table["arm"] == "nothing"]
    assert rows[["clicks", "gini", "coverage"]].isna().all(axis=None)
    assert (rows["watches"] > 0).all()


def test_days_follow_each_other(result):
    for arm, records in result.records.items():
        for number, record in enumerate(records):
            time = record.table("watches")["time"]
            first = tiny().config.days + 2 * number
            assert time.min() >= first and time.max() < first + 2, arm


def test_new_uploads_appear(result):
    known = tiny().engine.catalogue.available(tiny().config.days)
    uploaded = tiny().engine.catalogue.uploaded
    for arm in ("popular", "chance"):
        pages = result.records[arm][-1].table("impressions")
        assert (pages["video"] >= known).any()
        assert (uploaded[pages["video"]] <= pages["time"]).all()


def test_world_is_left_as_it_was():
    world = mini()
    before = copy.deepcopy(vars(world.engine.memory))
    made, time = world.engine.requests_made, world.engine.market.time
    cumulative = world.engine.market.cumulative.copy()
    run_rounds(world, ARMS, rounds=2, days_per_round=2)
    for name, value in vars(world.engine.memory).items():
        assert np.array_equal(value, before[name]), name
    assert world.engine.requests_made == made and world.engine.market.time == time
    assert (world.engine.market.cumulative == cumulative).all()


def test_arms_do_not_depend_on_each_other():
    world = mini()
    forward = run_rounds(world, ARMS, rounds=2, days_per_round=1)
    backward = run_rounds(world, dict(reversed(ARMS.items())), rounds=2, days_per_round=1)
    alone = run_rounds(world, {"popular": popular}, rounds=2, days_per_round=1)
    for arm in ARMS:
        one, two = (
            r.table[r.table["arm"] == arm].reset_index(drop=True) for r in (forward, backward)
        )
        pd.testing.assert_frame_equal(one, two, check_like=True)
    for one, two in zip(forward.records["popular"], alone.records["popular"], strict=True):
        a, b = one.table("impressions"), two.table("impressions")
        assert all((a[name] == b[name]).all() for name in a)


def test_learner_gets_what_happened_so_far_and_its_own_world():
    world = mini()
    seen = []

    def learner(record, engine):
        pages = record.table("impressions")
        seen.append((len(pages.get("user", [])), engine.memory.video_impressions.sum()))
        assert engine.memory is not world.engine.memory
        return engine.past_ranking()

    result = run_rounds(world, {"past": learner}, rounds=3, days_per_round=1)
    sizes = [len(r.table("impressions")["user"]) for r in result.records["past"]]
    assert [rows for rows, _ in seen] == [0, sizes[0], sizes[0] + sizes[1]]
    counted = np.diff([count for _, count in seen])
    assert counted.tolist() == sizes[:2]


def test_popularity_locks_in(result):
    """Serving what was clicked concentrates impressions; chance spreads them."""
    last = result.table[result.table["round"] == 3].set_index("arm")
    assert last.loc["popular", "gini"] > last.loc["chance", "gini"] + 0.1
    assert last.loc["popular", "coverage"] < last.loc["chance", "coverage"]


def test_figures_by_hand(result):
    record = result.records["chance"][0]
    pages = record.table("impressions")
    row = result.table[(result.table["arm"] == "chance") & (result.table["round"] == 1)].iloc[0]
    n = len(set(pages["request"]))
    assert row["clicks"] == pytest.approx(pages["clicked"].sum() / n)
    assert row["watch_minutes"] == pytest.approx(pages["watched_seconds"].sum() / 60 / n, rel=1e-5)
    watches = record.table("watches")
    topic = tiny().engine.catalogue.topic[watches["video"]]
    each = [len(set(topic[watches["user"] == user])) for user in set(watches["user"])]
    assert row["topics"] == pytest.approx(np.mean(each))
    assert row["watches"] == len(topic)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rounds": 5, "days_per_round": 1}, "future_days=4"),
        ({"rounds": 1, "days_per_round": 5}, "future_days=4"),
        ({"rounds": 0}, "rounds=0"),
        ({"days_per_round": 0, "rounds": 1}, "days_per_round=0"),
        ({"rounds": 1.5, "days_per_round": 1}, "rounds=1.5"),
        ({"rounds": "2", "days_per_round": 1}, "rounds='2'"),
    ],
)
def test_too_many_rounds_and_other_wrong_numbers(options, word):
    with pytest.raises(ConfigError) as caught:
        run_rounds(mini(), ARMS, **options)
    assert word in str(caught.value)


def test_a_learner_that_cannot_be_called():
    with pytest.raises(ConfigError, match="'odd' is a str"):
        run_rounds(mini(), {"odd": "popular"}, rounds=1, days_per_round=1)


class TestGuests:
    @pytest.mark.parametrize(
        "part", ["memory.video_clicks", "memory.seen", "catalogue.topic", "people.interests",
                 "behaviour._traits", "market.order"])  # fmt: skip
    def test_a_learner_cannot_change_the_world(self, part):
        def vandal(record, engine):
            operator.attrgetter(part)(engine)[:] = 0

        with pytest.raises(PolicyError, match="'bad', round 1, failed: ValueError.*read-only") as e:
            run_rounds(mini(), {"bad": vandal}, rounds=1, days_per_round=1)
        assert ".copy()" in str(e.value) and isinstance(e.value.__cause__, ValueError)

    def test_what_a_learner_sees_is_always_the_present(self):
        views = []

        def learner(record, engine):
            views.append((engine, engine.memory.video_impressions.sum()))
            return engine.past_ranking()

        run_rounds(mini(), {"past": learner}, rounds=2, days_per_round=1)
        (first, before), (second, between) = views
        for name, values in vars(second.memory).items():
            assert np.array_equal(values, getattr(first.memory, name)), name
        assert before < between < first.memory.video_impressions.sum()

    def test_what_a_learner_does_to_its_rows_and_its_market_stays_with_it(self):
        def untidy(record, engine):
            for values in record.table("watches").values():
                values[:] = 0
            engine.market.open(0.0)
            engine.requests_made = 0
            return RandomPolicy(1)

        one, two = (
            run_rounds(mini(), {"a": learner}, rounds=2, days_per_round=1)
            for learner in (untidy, chance)
        )
        pd.testing.assert_frame_equal(one.table, two.table)

    @pytest.mark.parametrize("answer", [None, 3])
    def test_a_learner_that_returns_no_policy(self, answer):
        with pytest.raises(PolicyError, match="'odd', round 1, returned a .* cannot be called"):
            run_rounds(mini(), {"odd": lambda *_: answer}, rounds=1, days_per_round=1)

    def test_a_policy_goes_by_the_name_of_its_arm(self):
        with pytest.raises(PolicyError, match="The policy 'odd' returned"):
            run_rounds(mini(), {"odd": lambda *_: len}, rounds=1, days_per_round=1)


class TestGini:
    def test_by_hand(self):
        assert gini(np.array([5, 5, 5, 5])) == 0
        assert gini(np.array([0, 0, 7])) == pytest.approx(2 / 3)
        assert gini(np.array([1, 3])) == pytest.approx(0.25)
        assert gini(np.array([])) == gini(np.zeros(4)) == 0

    def test_against_all_pairs(self):
        x = np.random.default_rng(0).poisson(3, 40)
        pairs = np.abs(x[:, None] - x).sum() / (2 * len(x) ** 2 * x.mean())
        assert gini(x) == pytest.approx(pairs) and gini(x[::-1]) == pytest.approx(pairs)
