"""The world as a whole: corners of every dial, sizes, what it offers, what it refuses."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import mini, organic, tiny

from course.errors import ConfigError
from course.logs.tables import check_table
from course.simulator.config import WorldConfig
from course.world import ab_test, simulate

DIALS = [
    spec
    for spec in dataclasses.fields(WorldConfig)
    if spec.name not in ("users", "videos", "days", "future_days", "slate", "candidates")
]
CORNERS = [
    (spec.name, value)
    for spec in DIALS
    for value in spec.metadata.get("options", (spec.metadata.get("low"), spec.metadata.get("high")))
]
SPECK = {"users": 40, "videos": 100, "days": 3, "future_days": 1}


def sound(world) -> None:
    """A world without faults: tables follow their schema, truths are probabilities."""
    for name, frame in world._tables.items():
        check_table(name, frame)
    truth = world.true_table("impressions")
    for name in ("p_seen", "p_click_if_seen"):
        assert truth[name].between(0, 1).all()
    assert np.isfinite(truth["expected_seconds_if_clicked"]).all()
    assert truth["expected_rating_if_clicked"].between(1, 5).all()


@pytest.mark.parametrize(("dial", "value"), CORNERS, ids=lambda x: str(x))
def test_corners_of_every_dial(dial, value):
    sound(simulate("village", seed=3, cache=False, **{**SPECK, dial: value}))


@pytest.mark.parametrize("end", ["low", "high"])
def test_all_dials_at_one_end(end):
    extreme = {d.name: d.metadata[end] for d in DIALS if end in d.metadata}
    world = simulate("village", seed=3, cache=False, **{**extreme, **SPECK})
    sound(world)
    if end == "high":
        assert len(world.logs().impressions) > 500  # disappointed people come less often
        ab_test(world, {"past": world.past_ranking(), "oracle": world.oracle()}, n=30, visits=2)


@pytest.mark.parametrize(
    "size",
    [
        {"users": 10, "videos": 60, "days": 2, "candidates": 19, "slate": 19},
        {"users": 10, "videos": 60, "days": 2, "candidates": 2, "slate": 1, "future_days": 0},
        {"users": 10, "videos": 60, "days": 2, "candidates": 2, "slate": 2, "future_days": 365},
        {"users": 30, "videos": 5_000, "days": 3},  # buckets are shared
    ],
)
def test_corners_of_the_size(size):
    world = simulate("village", seed=1, cache=False, **size)
    sound(world)
    assert len(world.logs().users) == size["users"]
    assert len(world.logs().videos) == size["videos"]


def test_nobody_does_anything():
    world = mini(sessions_per_day=0.0)
    assert [len(getattr(world.logs(), t)) for t in ("watches", "searches", "impressions")] == [
        0
    ] * 3


def test_logs_and_truth_are_the_callers_own():
    world = mini()
    for table in (lambda: world.logs().watches, lambda: world.true_table("videos")):
        before = table()
        own = table()
        own["more"] = 1
        column = own.columns[0]
        with warnings.catch_warnings(action="ignore"):  # torch writes through what is read-only
            torch.from_numpy(own[column].to_numpy()).fill_(0)
        pd.testing.assert_frame_equal(table(), before)


class TestScale:
    """The world is of the kind that the course needs."""

    def test_click_rate(self):
        frame = tiny().logs().impressions
        assert 0.01 < frame["clicked"].mean() < 0.10
        higher = tiny(click_rate=0.2).logs().impressions
        assert higher["clicked"].mean() > 1.5 * frame["clicked"].mean()

    def test_position_and_relevance_both_lower_the_click_down_the_page(self):
        logs, truth = tiny().logs(), tiny().true_table("impressions")
        by_place = truth.groupby(logs.impressions["position"]).mean(numeric_only=True)
        assert (np.diff(by_place["p_seen"]) < 0).all()
        assert (
            by_place["p_click_if_seen"].iloc[:3].mean()
            > by_place["p_click_if_seen"].iloc[-3:].mean()
        )

    def test_both_tasks_are_neither_rare_nor_sure(self):
        frame = tiny().logs().impressions
        clicked = frame[frame["clicked"]]
        assert 0.1 < clicked["completed"].mean() < 0.6
        assert 0.02 < clicked["liked"].mean() < 0.4
        assert 0 < frame["dismissed"].mean() < 0.05
        asked = clicked["survey"][clicked["survey"] > 0]
        assert set(asked) == {1, 2, 3, 4, 5} and 2 < asked.mean() < 4.5

    def test_accounts_are_sparse_and_unequal(self):
        counts = tiny().logs().watches["user_id"].value_counts().reindex(range(400), fill_value=0)
        assert (counts == 0).any() and counts.median() < counts.mean() < counts.max() / 5

    def test_cold_accounts_and_videos(self):
        logs = tiny().logs()
        assert (logs.users["joined"] > 25).any() and (logs.videos["uploaded"] > 29).any()

    def test_feed_and_organic_watches(self):
        share = (tiny().logs().watches["request_id"] >= 0).mean()
        assert 0.1 < share < 0.9
        assert (organic().logs().watches["request_id"] == -1).all()


class TestWorld:
    def test_says_what_it_is(self):
        assert repr(mini()) == "World(150 accounts, 200 videos, 8 days, seed 7)"

    def test_takes_a_configuration(self):
        config = WorldConfig.of("village", **SPECK)
        one, two = simulate(config, 5, cache=False), simulate("village", 5, cache=False, **SPECK)
        assert one.logs().watches.equals(two.logs().watches)
        three = simulate(config, 5, cache=False, clickbait=0)
        assert three.config.clickbait == 0

    def test_refuses_what_does_not_exist(self):
        with pytest.raises(ConfigError, match="no size 'middle'"):
            simulate("middle", cache=False)
        with pytest.raises(ConfigError, match="clickbait=3"):
            simulate("village", cache=False, clikbait=3)

    def test_uses_the_cache_by_default(self, tmp_path, monkeypatch):
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "here"))
        simulate("village", 5, **SPECK)
        assert len(list((tmp_path / "here").iterdir())) == 1

    def test_keeps_nothing_when_told(self, tmp_path, monkeypatch):
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "here"))
        simulate("village", 5, cache=False, **SPECK)
        assert not (tmp_path / "here").exists()


def test_what_another_processor_may_change(tmp_path):
    """The same world, made without the vector units that NumPy found here."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    found = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
    if not found:
        pytest.skip("NumPy uses no vector units on this machine that could be left out")
    code = (
        f"import pandas, worlds; pandas.to_pickle(worlds.mini()._tables, {str(tmp_path / 'w')!r})"
    )
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": found}
    command = [sys.executable, "-c", code, str(tmp_path / "w")]
    subprocess.run(command, cwd=Path(__file__).parent, env=env, check=True)
    here, there = mini()._tables, pd.read_pickle(tmp_path / "w")
    rounded = set()
    for name, table in here.items():
        for column in table:
            one, other = table[column], there[name][column]
            if not one.equals(other):
                np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=f"{name} {column}")
                rounded.add((name, column))
    allowed = {(t, "watched_seconds") for t in ("watches", "impressions")}
    assert {pair for pair in rounded if not pair[0].startswith("truth")} <= allowed
