"""The truth says what the feed uses; true tables are aligned with their logs."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import mini, pages, situations, tiny

from course.errors import ConfigError
from course.logs.schema import SCHEMA
from course.simulator.feed import respond
from course.simulator.oracle import value


@pytest.fixture(scope="module", params=["examination", "additive"])
def asked(request):
    world = tiny() if request.param == "examination" else tiny(bias_truth="additive")
    s, shown = situations(world, 800), pages(world, 800)
    f = respond(world.engine.behaviour, world.engine.memory, s, np.arange(800), shown, world.seed)
    return world, s, shown, f


def test_matches_the_feed(asked):
    world, s, shown, f = asked
    t = world.truth
    who = (s.user[:, None], shown, s.time[:, None], s.device[:, None])
    np.testing.assert_allclose(t.click_probability(*who), f.p_click_if_seen, rtol=1e-5)
    position = np.arange(1, 11)
    np.testing.assert_allclose(t.click_probability(*who, position), f.p_click, rtol=1e-5)
    np.testing.assert_allclose(t.examination(position, s.device[:, None]), f.p_seen, rtol=1e-6)
    np.testing.assert_allclose(t.watch_seconds(*who), f.expected_seconds, rtol=1e-5)
    np.testing.assert_allclose(t.rating(*who), f.expected_rating, rtol=1e-5)
    np.testing.assert_allclose(t.completion_probability(*who), f.p_complete, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(t.probability("like", *who), f.p_like, rtol=1e-5)
    np.testing.assert_allclose(t.probability("share", *who), f.p_share, rtol=1e-5)
    dismissed = t.probability("dismiss", *who) * f.p_seen
    np.testing.assert_allclose(dismissed, f.p_dismiss, rtol=1e-5)


def test_oracle_ranks_by_the_same_truth(asked):
    world, s, shown, f = asked
    b, memory = world.engine.behaviour, world.engine.memory
    if_clicked = {"watch_minutes": f.expected_seconds, "clicks": 1.0, "satisfied": f.p_satisfied,
                  "completions": f.p_complete, "likes": f.p_like, "shares": f.p_share}  # fmt: skip
    for goal, worth in if_clicked.items():
        got = value(b, memory, s, shown, goal)
        np.testing.assert_allclose(got, f.p_click_if_seen * worth, rtol=1e-4, atol=1e-9)


def test_broadcasting():
    t = mini().truth
    grid = t.click_probability(np.arange(5)[:, None], np.arange(7))
    assert grid.shape == (5, 7)
    assert t.click_probability(3, 4) == pytest.approx(grid[3, 4])
    assert np.shape(t.click_probability(3, 4)) == ()
    by_position = t.click_probability(3, 4, position=np.arange(1, 11))
    assert by_position.shape == (10,) and (np.diff(by_position) < 0).all()
    assert by_position[0] == pytest.approx(grid[3, 4])
    assert t.watch_seconds(3, np.arange(7), device=np.arange(3)[:, None]).shape == (3, 7)
    assert t.interest(np.arange(5), np.arange(5)).shape == (5,)
    assert t.interest(np.zeros((0,), int), 3).shape == (0,)
    assert t.rating([1, 2], [3, 4], [1.5, 2.5]).shape == (2,)


def test_interest_is_taste_alone():
    """It moves with the day (drift) but not with packaging, device or memory."""
    t = mini().truth
    users = np.arange(150)
    a, b = (t.interest(users, 3, time) for time in (0.0, 7.9))
    assert 0 < (a != b).mean() < 1
    still = mini(drift=0.0)
    alone = np.flatnonzero(~still.true_table("users")["shared"])
    first, last = (still.truth.interest(alone, 3, time) for time in (0.0, 7.9))
    np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user": -1}, ["user=-1", "0 to 149"]),
        ({"user": 150}, ["user=150", "0 to 149"]),
        ({"user": [1, 2, 999]}, ["user=999"]),
        ({"user": 1.5}, ["user", "float64", "whole numbers"]),
        ({"video": -1}, ["video=-1"]),
        ({"video": 10**6}, ["video=1000000"]),
        ({"video": 2.0}, ["video", "float64"]),
        ({"time": -0.1}, ["time=-0.1", "0 to 12"]),
        ({"time": 12.1}, ["time=12.1"]),
        ({"time": np.nan}, ["time=nan"]),
        ({"device": 3}, ["device=3", "phone"]),
        ({"device": -1}, ["device=-1"]),
        ({"position": 0}, ["position=0", "1"]),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ConfigError) as caught:
        mini().truth.click_probability(**{"user": 1, "video": 2, **arguments})
    for word in words:
        assert word in str(caught.value)


def test_bad_task_and_objective():
    with pytest.raises(ConfigError, match="like, share, dismiss"):
        mini().truth.probability("love", 1, 2)
    with pytest.raises(ConfigError, match="watch_minutes, clicks, completions"):
        mini().oracle("money")


class TestTables:
    def test_rows_are_aligned(self):
        world = tiny()
        for name in SCHEMA:
            if name.startswith("truth_"):
                of = name.removeprefix("truth_")
                assert len(world.true_table(of)) == len(getattr(world.logs(), of)), name

    def test_impressions(self):
        world = tiny()
        frame, truth = world.logs().impressions, world.true_table("impressions")
        user = frame["user_id"].to_numpy()
        device = frame["device"].cat.codes.to_numpy().astype(int)
        s = world.engine.behaviour.situation(user, frame["time"].to_numpy(), device)
        assert (s.member == truth["member"]).all()
        seen = world.truth.examination(frame["position"].to_numpy(), device)
        np.testing.assert_allclose(truth["p_seen"], seen, rtol=1e-6)
        length = world.engine.catalogue.seconds[frame["video_id"]]
        assert (truth["expected_seconds_if_clicked"] < length).all()

    def test_videos_and_users(self):
        world = tiny()
        c, people = world.engine.catalogue, world.engine.people
        videos = world.true_table("videos")
        n = c.available(world.config.days)
        assert len(videos) == n
        for name in SCHEMA["truth_videos"]:
            assert (videos[name.name] == getattr(c, name.name)[:n]).all()
        users = world.true_table("users")
        assert (users["shared"] == people.second_member.any(axis=(1, 2))).all()
        assert (users["sessions_per_day"] == people.sessions_per_day).all()

    def test_unknown(self):
        with pytest.raises(ConfigError, match="users, videos, watches"):
            tiny().true_table("clicks")
