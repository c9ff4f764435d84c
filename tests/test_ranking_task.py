"""The ranking task, fresh pages with their truth, and rankers as live policies."""

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import ENDLESS

from course import ab_test, simulate
from course.errors import ConfigError, LogError
from course.simulator.experiment import draw_requests
from course.simulator.streams import generator
from course.tasks.next_day import (
    TRUE_COLUMNS,
    WARM_UP_DAYS,
    LivePages,
    NextDay,
    fresh_pages,
    length_only,
    ranker_policy,
)


@pytest.fixture(scope="module")
def world():
    return simulate("village", seed=4, cache=False, **ENDLESS)


@pytest.fixture(scope="module")
def fresh(world):
    return fresh_pages(world, 600, seed=2)


@pytest.fixture(scope="module")
def task(world):
    return NextDay(world, 300)


def test_cards_look_like_the_log(world, fresh):
    log = world.logs().impressions
    assert list(fresh.cards.columns) == list(log.columns)
    assert (fresh.cards.dtypes == log.dtypes).all()
    assert (fresh.cards["request_id"] < 0).all()
    day = world.config.days
    assert fresh.cards["time"].between(day, day + 1, inclusive="left").all()
    by_page = fresh.cards.groupby("request_id", sort=False)
    assert (by_page.size() == world.config.slate).all() and by_page.ngroups == 600
    assert fresh.cards["position"].tolist() == list(range(1, 11)) * 600
    assert by_page["video_id"].nunique().eq(world.config.slate).all()
    home = by_page["surface"].first() == "home"
    assert home.sum() == 330
    assert (by_page["query_video_id"].first()[home] == -1).all()
    assert (by_page["query_video_id"].first()[~home] >= 0).all()


def test_truth_of_a_card_is_the_truth_of_the_world(world, fresh):
    c, t = fresh.cards, fresh.truth
    device = c["device"].cat.codes.to_numpy()
    asked = (c["user_id"].to_numpy(), c["video_id"].to_numpy(), c["time"].to_numpy(), device)
    for found, want in (
        (t["p_click"], world.truth.click_probability(*asked, c["position"].to_numpy())),
        (t["expected_seconds"], world.truth.watch_seconds(*asked)),
        (fresh.value, t["p_click_if_seen"] * t["expected_seconds"]),
        (fresh.expected_seconds, t["p_seen"] * fresh.value),
    ):
        assert np.allclose(found, want, rtol=1e-4, atol=1e-6)
    assert list(t.columns) == list(TRUE_COLUMNS) and np.isfinite(t.to_numpy()).all()


def test_same_seed_same_cards_and_another_seed_others(world, fresh):
    again = fresh_pages(world, 600, seed=2)
    pd.testing.assert_frame_equal(again.cards, fresh.cards)
    pd.testing.assert_frame_equal(again.truth, fresh.truth)
    other = fresh_pages(world, 600, seed=3)
    assert not set(other.cards["request_id"]) & set(fresh.cards["request_id"])
    assert (other.cards["user_id"] != fresh.cards["user_id"]).any()


def test_the_world_is_left_as_it_was(world):
    memory = world.engine.memory
    before = {k: v.copy() for k, v in vars(memory).items() if isinstance(v, np.ndarray)}
    made = world.engine.requests_made
    log = world.logs().impressions.copy()
    fresh_pages(world, 50, seed=1)
    assert world.engine.requests_made == made
    assert all(np.array_equal(getattr(memory, k), v) for k, v in before.items())
    pd.testing.assert_frame_equal(world.logs().impressions, log)


def test_pages_of_another_policy(world):
    random = fresh_pages(world, 300, seed=5, policy=world.random())
    oracle = fresh_pages(world, 300, seed=5, policy=world.oracle())
    assert oracle.value.sum() > 1.5 * random.value.sum()
    # The oracle sorts by the truth, so its pages fall in value.
    value = oracle.value.reshape(300, -1)
    assert (np.diff(value, axis=1) <= 1e-4 * value[:, :-1] + 1e-6).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [({"pages": 3}, "pages=3"), ({"seed": -1}, "seed=-1"), ({"seed": 2**31}, "2147483647")],
)
def test_bad_pages_and_seeds(world, given, words):
    with pytest.raises(ConfigError, match=words):
        fresh_pages(world, **given)


# --- The task ------------------------------------------------------------------------------------


def test_task_trains_on_all_days_after_the_warm_up(world, task):
    time = world.logs().impressions["time"]
    assert len(task.rows) == (time >= WARM_UP_DAYS).sum() == len(task.inputs) == len(task.train)
    assert len(task.test) == len(task.fresh) == len(task.test_inputs)
    some = NextDay(world, 50, first_day=10.0, last_day=12.5)
    assert some.rows["time"].min() >= 10.0 and some.rows["time"].max() < 12.5
    label = task.label("clicked")
    assert label.dtype == torch.bool and label.sum() == task.rows["clicked"].sum()


def test_loss_of_the_task_has_its_ceiling_and_its_floor(task):
    watched, value = task.fresh.cards["watched_seconds"].to_numpy(), task.fresh.value
    assert task.offline(np.zeros(len(watched)))["loss"] == pytest.approx(50.0)
    assert task.offline(watched)["loss"] == 0.0
    assert task.offline(-watched)["loss"] == pytest.approx(100.0)
    assert task.offline(value)["loss"] < 40
    assert 0 < task.offline(value)["loss by account"] < 50


# --- Live ----------------------------------------------------------------------------------------


def requests(world, n=40, surface="home"):
    situation, query = draw_requests(world.engine, n, 3, surface)
    rng = generator(world.engine.seed, "test", 3)
    number = -np.arange(1, n + 1)
    return world.engine.requests(situation, query, world.engine.memory, number, rng)


@pytest.mark.parametrize("surface", ["home", "up_next"])
def test_policy_shows_the_best_candidates_in_order(world, task, surface):
    asked = requests(world, surface=surface)
    r, c = asked.candidates.shape
    score = np.random.default_rng(0).permutation(r * c).astype(float)
    pages = ranker_policy(task.features, lambda batch: score)(asked)
    for row in range(r):
        best = sorted(zip(-score[row * c : (row + 1) * c], asked.candidates[row], strict=True))
        assert pages[row].tolist() == [video for _, video in best[: asked.slate]]


def test_a_ranker_by_the_truth_is_the_oracle(world, task):
    oracle, truth = world.oracle(), world.truth

    class ByTruth:
        def __call__(self, asked):
            device = np.repeat(asked.device, asked.candidates.shape[1])
            user = np.repeat(asked.user, asked.candidates.shape[1])
            time = np.repeat(asked.time, asked.candidates.shape[1])
            who = user, asked.candidates.ravel(), time, device
            value = truth.click_probability(*who) * truth.watch_seconds(*who)
            return ranker_policy(task.features, lambda batch: value)(asked)

    table = ab_test(world, {"oracle": oracle, "ranker": ByTruth()}, n=100).table
    minutes = table[table["metric"] == "watch_minutes"].set_index("policy")["expected"]
    assert minutes["ranker"] == pytest.approx(minutes["oracle"], rel=1e-3)


# --- The second edition's task -------------------------------------------------------------------


@pytest.fixture(scope="module")
def town():
    return NextDay(simulate("village", seed=4, cache=False), 400)


def test_the_expected_loss_is_that_of_all_pairs(town):
    scores = np.random.default_rng(0).normal(size=len(town.fresh)).round(1)  # some ties
    cards, truth = town.fresh.cards, town.fresh.truth
    wrong = total = 0.0
    for _, rows in cards.groupby("request_id").indices.items():
        for i in rows:
            for j in rows:
                if i == j:
                    continue
                p, t = truth["p_click"], truth["expected_seconds"]
                weight = p[i] * t[i] * (1 - p[j])
                total += weight
                wrong += weight * ((scores[j] > scores[i]) + 0.5 * (scores[j] == scores[i]))
    assert town.offline(scores)["true loss"] == pytest.approx(100 * wrong / total)


def test_floors_and_ceilings_stand_in_every_live_table(town):
    table = town.live({"length again": length_only}, n=300)
    assert list(table.index) == ["past", "random", "length only", "oracle (watch)",
                                 "oracle (click)", "length again"]  # fmt: skip
    pd.testing.assert_series_equal(table.loc["length only"], table.loc["length again"],
                                   check_names=False)  # fmt: skip
    assert table["length_minutes"].idxmax() in ("length only", "length again")
    assert table["watch_minutes"].idxmax() == "oracle (watch)"
    assert table["clicks"].idxmax() == "oracle (click)"


def test_scores_on_live_pages_are_worth_what_an_ab_test_says(town):
    pages = LivePages(town.world, town.features, n=300, seed=3)
    found = pages.outcomes(length_only(pages.batch))
    said = ab_test(town.world, {"x": town.policy(length_only)}, n=300, seed=3).table
    said = said.set_index("metric")["expected"]
    for name, value in found.items():
        assert value == pytest.approx(said[name])
    with pytest.raises(LogError, match="scores are NaN"):
        pages.outcomes(np.full(pages.shape, np.nan))


def test_the_truth_of_live_candidates_ranks_like_the_oracle(town):
    pages = LivePages(town.world, town.features, n=300, seed=3)
    truth = pages.truth()
    assert len(truth) == len(pages.batch) and np.isfinite(truth.to_numpy()).all()
    said = ab_test(town.world, {"x": town.world.oracle("clicks")}, n=300, seed=3).table
    said = said.set_index("metric")["expected"]["clicks"]
    assert pages.outcomes(truth["click"])["clicks"] == pytest.approx(said, rel=1e-6)


def test_a_number_of_the_cards(town):
    assert np.array_equal(town.test.number("duration"), town.test_inputs.column("duration"))
    with pytest.raises(ConfigError, match="no number 'hue'"):
        town.test.number("hue")


def test_the_evening_after_the_log(town):
    users = [3, 50, 3]
    situation, asked = town.asked(users)
    assert situation.user.tolist() == users and (situation.daypart == 3).all()
    np.testing.assert_array_equal(asked.candidates, town.asked(users)[1].candidates)
    pages = town.pages(length_only, users)
    length = town.logs.videos["duration_seconds"].to_numpy()
    for page, offered in zip(pages, asked.candidates, strict=True):
        assert set(page) <= set(offered) and len(set(page)) == asked.slate
        assert length[page].min() >= np.sort(length[offered])[-asked.slate]
