"""Chapter 12: sources, pool, Figure 1, the policy, a served day, the loop."""

import functools
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import mini

from course import ab_test, contests
from course.lessons import position_bias as pb
from course.lessons import whole_system as ws
from course.logs.tables import check_table
from course.simulator.experiment import OUTCOMES, draw_requests, live_requests
from course.simulator.feed import rank
from course.tasks.next_day import OwnPages
from course.tasks.next_watch import tomorrow

TWIN = runpy.run_path(str(Path(__file__).parent / "right_answers" / "chapter_12.py"))["RIGHT"]
RNG = np.random.default_rng(0)


@functools.cache
def logs():
    return mini().logs()


@functools.cache
def system():
    return ws.assemble(logs(), size=30, days=6, passes=1)


def requests(n=60):
    return live_requests(mini().engine, n, candidates="catalogue")[1]


def up_next(n=60):
    engine, number = mini().engine, -np.arange(1, n + 1)
    situation, query = draw_requests(engine, n, 0, "up_next")
    return engine.requests(situation, query, engine.memory, number, None, pool=False)


# --- the pool


def test_a_pool_by_hand():
    first, second = [5, 4, 3, 2, 1], [1, 9, 9, 0, 8]  # its lists: 0 1 2 3 4, and 1 2 4 0 3
    videos, scores = ws.pool(np.array([first, second]).T[None], 3)
    assert videos.tolist() == [[0, 1, 2]]
    np.testing.assert_array_equal(scores[0], [[5, np.nan], [4, 9], [np.nan, 9]])


@pytest.mark.parametrize("size", [1, 4, 11, 20])
def test_a_pool_is_what_loops_find_and_a_wide_one_goes_on_where_a_narrow_one_ends(size):
    scores = RNG.normal(size=(4, 20, 3))
    (loops,) = TWIN["12-pool"]
    for mine, twin in zip(ws.pool(scores, size), loops(scores, size), strict=True):
        np.testing.assert_array_equal(mine, twin)
    np.testing.assert_array_equal(ws.pool(scores, size)[0], ws.pool(scores, 20)[0][:, :size])
    assert not np.isnan(ws.pool(scores, size)[1]).all(axis=2).any()


# --- sources


def test_moments_begin_with_what_is_being_watched_and_know_no_later_video():
    asked = up_next()
    moments = ws.moments_of(asked, 40)
    known = np.where(asked.query_video < 40, asked.query_video, -1)
    np.testing.assert_array_equal(moments.watched[:, 0], known)
    assert moments.watched.max() < 40 and moments.watched.shape == asked.recent_videos.shape
    home = ws.moments_of(requests(), 10**6)
    np.testing.assert_array_equal(home.watched, requests().recent_videos)


def test_each_source_scores_every_video_for_everybody():
    moments = ws.moments_of(requests(), len(logs().videos))
    for name, source in system().first.sources.items():
        scores = source(moments)
        assert scores.shape == (60, len(logs().videos)) and np.isfinite(scores).all(), name
        assert len({row.tobytes() for row in scores}) > 1, name


def test_what_was_watched_lately_is_not_named():
    asked = requests()
    ready = system().first(asked)
    assert ready.candidates.shape == (60, 30)
    assert all(len(set(row)) == 30 for row in ready.candidates.tolist())
    again = (ready.candidates[:, :, None] == asked.recent_videos[:, None]).any()
    assert not again


def test_the_first_stage_counts_showings_and_its_parts_do_not_matter():
    asked = requests(620)
    ready, shown = system().first(asked), logs().impressions
    for row in (0, 499, 500, 619):
        user, video = asked.user[row], ready.candidates[row, 0]
        times = ((shown["user_id"] == user) & (shown["video_id"] == video)).sum()
        assert ready.previous_impressions[row, 0] == times
    part = system().first(asked.rows(slice(480, 620)))
    np.testing.assert_array_equal(part.candidates, ready.candidates[480:])


# --- the network


def test_the_place_moves_engagement_alone():
    model, batch = system().model, system().cards.batch[torch.arange(20)]
    with torch.no_grad():
        free = model(batch)
        at = ws.unplaced(batch) + 4
        moved = model(batch, at) - free
        np.testing.assert_allclose(free, model(batch, ws.unplaced(batch)))
    want = model.place[at] - model.place[ws.unplaced(batch)]
    np.testing.assert_allclose(moved[:, :3], want.detach(), atol=1e-5)
    assert (moved[:, 3:] == 0).all() and (moved[:, 0] != 0).any()


def test_missing_is_a_place_on_each_device():
    batch = system().cards.batch[torch.arange(50)]
    cell = ws.unplaced(batch)
    assert set(cell.tolist()) <= {0, pb.POSITIONS + 1, 2 * (pb.POSITIONS + 1)}
    placed = system().cards.cell[system().cards.batch.rows(torch.arange(50))]
    assert (pb.missing(placed) == cell).all()


def test_training_lowers_the_loss_repeats_itself_and_reaches_the_missing_place():
    cards, found = system().cards, []
    for _ in range(2):
        model = ws.Figure1(cards.inputs(), cards.start)
        losses = ws.train_system(model, cards, passes=3, rate=0.02)
        found.append(model.place.detach().clone())
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert (found[0] == found[1]).all()
    used = torch.unique(pb.missing(cards.cell))
    assert (found[0][used, 0] != 0).all(), "places are hidden now and then"


def test_the_old_nominators_are_no_input():
    cards = system().cards
    other = replace(cards.batch, codes=cards.batch.codes.clone())
    other.codes[:, -1] = 0
    some = torch.arange(10)
    with torch.no_grad():
        assert (system().model(other[some]) == system().model(cards.batch[some])).all()


# --- the policy and what its pages are worth


def test_pages_in_front_of_people():
    made = ab_test(mini(), {"whole": system()}, n=40, candidates="catalogue")
    assert made.pages["whole"].shape == (40, mini().config.slate)
    assert rank(system(), up_next()).shape == (60, mini().config.slate)


def test_own_pages_are_worth_what_an_ab_test_says():
    pages = OwnPages(mini(), system().cards.features, system().first, 50)
    batch = pages.batch
    own = pages.worth(pages.best(system().score(batch))).mean()
    table = ab_test(mini(), {"whole": system()}, n=50, candidates="catalogue").table
    table = table.set_index("metric")["expected"]
    for name in (*OUTCOMES, "length_minutes"):
        assert own[name] == pytest.approx(table[name], rel=1e-5), name


@pytest.mark.parametrize("measure", ["watch_minutes", "clicks", "satisfied"])
def test_no_page_is_above_the_ceiling_of_its_measure(measure):
    pages = OwnPages(mini(), system().cards.features, system().first, 50)
    best = pages.worth(mini().oracle(measure)(pages.open))[measure]
    for weights in (ws.BALANCED, {"click": 1.0}, {"rating": 1.0}):
        own = ws.System(system().first, system().cards, system().model, weights)
        assert (pages.worth(own(pages.open))[measure] <= best + 1e-6).all()


def test_weights_are_tried_on_the_same_pages():
    pages = OwnPages(mini(), system().cards.features, system().first, 20)
    ones = {name: np.ones(pages.batch.numbers.shape[0]) for name in ("click", "rating")}
    factors = {**ones, "watch time": pages.batch.number("duration") + 1.0}
    found = ws.along(pages, factors, [(0.0, 0.0), (1.0, 0.0)])
    assert found[1.0, 0.0]["length_minutes"].mean() > found[0.0, 0.0]["length_minutes"].mean()


# --- the loop


def test_a_day_is_a_log_of_what_an_ab_test_shows():
    day = ws.serve_a_day(mini(), system(), 40, seed=3)
    check = day.assign(nominator=pd.Categorical.from_codes(
        np.zeros(len(day), int), dtype=logs().impressions["nominator"].dtype))  # fmt: skip
    check_table("impressions", check)
    assert day["nominator"].isna().all(), "the old system's words say nothing of our pool"
    seen = ab_test(mini(), {"whole": system()}, n=40, seed=3, candidates="catalogue")
    k = mini().config.slate
    np.testing.assert_array_equal(day["video_id"].to_numpy().reshape(-1, k), seen.pages["whole"])
    clicks = day["clicked"].to_numpy().reshape(-1, k).sum(axis=1)
    np.testing.assert_array_equal(clicks, seen.per_page["whole"]["clicks"][0])
    assert day["position"].tolist() == 40 * list(range(1, k + 1))
    assert (day["time"] >= mini().config.days).all()


def test_a_served_day_can_be_learned_from():
    day = ws.serve_a_day(mini(), system(), 40)
    rows = pd.concat([system().cards.rows, day], ignore_index=True)
    cards = ws.Cards(logs(), rows)
    assert len(cards.batch) == len(rows) and len(cards.labels) == len(rows)
    assert torch.isfinite(ws.learned(cards, passes=1).place).all()


def test_turns_by_hand():
    made = ws.turns(
        pd.DataFrame({"x": [1]}), lambda rows: rows["x"].tolist(),
        lambda policy, day: pd.DataFrame({"x": [10 * len(policy) + day]}), 2,
    )  # fmt: skip
    assert made == [[1], [1, 10], [1, 10, 21]]


# --- what is asked beside


def test_tomorrow_asks_about_the_day_after_the_log():
    game = tomorrow(mini())
    assert game.at == mini().config.days and game.videos == len(logs().videos)
    assert len(game.train.watches) == len(logs().watches)
    assert (game.events["time"] >= game.at).all()


def test_the_ladder_holds_the_chapters_systems():
    pages = {name: rank(make(logs()), requests(20)) for name, make in contests.CHAPTERS.items()}
    assert set(pages) == {"popularity in my language", "two counts (00)", "the whole system (12)"}
    assert len({page.tobytes() for page in pages.values()}) == 3
