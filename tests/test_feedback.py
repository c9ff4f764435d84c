"""Rounds of serve, log and learn in the world."""

import numpy as np
import pandas as pd
import pytest

from course import plots, run_rounds, simulate
from course.errors import ConfigError
from course.experiments import feedback, first_stage
from course.simulator.config import WorldConfig
from course.simulator.engine import Record
from course.simulator.rounds import gini

SMALL = {"users": 150, "videos": 200, "days": 12, "future_days": 4}


@pytest.fixture(scope="module")
def world():
    return simulate(WorldConfig.of("small", **SMALL), seed=3, cache=False)


@pytest.fixture(scope="module")
def found(world):
    arms = feedback.arms(world, ("naive", "shallow + exploration"), days_per_round=2, window=4.0)
    return run_rounds(world, arms, rounds=2, days_per_round=2)


def test_a_log_goes_on_where_the_world_ends(world, found):
    record = Record()
    for part in found.records["naive"]:
        record.extend(part)
    engine = world.engine
    logs = feedback.known_by(world, engine, record, 16.0, 0.0)
    first = world.logs()
    assert len(logs.impressions) == len(first.impressions) + len(
        record.table("impressions")["user"]
    )
    assert logs.impressions["time"].max() > 15 and (np.diff(logs.watches["time"]) >= 0).all()
    assert list(logs.impressions.columns) == list(first.impressions.columns)
    for name in ("device", "nominator"):
        assert isinstance(logs.impressions[name].dtype, pd.CategoricalDtype)
    assert engine.config.days == 12  # the arm's engine is as it was


def test_videos_are_known_when_they_are_uploaded(world):
    nothing = Record()
    now = feedback.known_by(world, world.engine, nothing, 12.0, 0.0)
    ahead = feedback.known_by(world, world.engine, nothing, 12.0, 2.0)
    assert len(now.videos) == len(world.logs().videos) < len(ahead.videos)
    assert ahead.videos["uploaded"].max() <= 14.0
    assert len(now.impressions) == len(world.logs().impressions)


def test_exploration_gives_places_away():
    rng = np.random.default_rng(0)
    videos = np.stack([rng.permutation(50)[:30] for _ in range(400)])
    pages, draws = videos[:, :10], rng.random(videos.shape)
    found = feedback.explored(pages, videos, 0.2, draws)
    for page, offer in zip(found, videos, strict=True):
        assert len(set(page)) == 10 and set(page) <= set(offer)
    assert (found != pages).mean() == pytest.approx(0.2, abs=0.03)
    # Whatever is not on the page is equally likely to come.
    new = found[found != pages]
    place = np.array([np.flatnonzero(offer == video)[0]
                      for offer, page, old in zip(videos, found, pages, strict=True)
                      for video in page[page != old]])  # fmt: skip
    assert len(new) == len(place) and place.min() >= 10
    assert np.bincount(place, minlength=30)[10:].min() > 15
    assert np.array_equal(feedback.explored(pages, videos, 0.0, draws), pages)
    assert not (feedback.explored(pages, videos, 1.0, draws) == pages).any()
    assert np.array_equal(feedback.explored(pages, pages, 1.0, draws[:, :10]), pages)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_out_of_range(share):
    pages = np.arange(6).reshape(1, 6)
    with pytest.raises(ConfigError, match="share"):
        feedback.explored(pages[:, :2], pages, share, np.zeros((1, 6)))


def test_measures_against_the_records(world, found):
    table = feedback.measures(world, found.records).set_index(["arm", "round"])
    shown = found.records["naive"][1].table("impressions")
    counts = pd.Series(shown["video"]).value_counts()
    available = world.engine.catalogue.available(shown["time"].max())
    row = table.loc["naive", 2]
    assert row["coverage"] == pytest.approx(len(counts) / available)
    assert row["gini"] == pytest.approx(gini(np.r_[counts, np.zeros(available - len(counts))]))
    age = shown["time"] - world.engine.catalogue.uploaded[shown["video"]]
    assert row["new"] == pytest.approx((age < 7).mean())
    pages = len(np.unique(shown["request"]))
    assert row["clicks"] == pytest.approx(shown["clicked"].sum() / pages, rel=0.35)  # expectation
    assert np.isnan(table.loc["nothing recommended", 1]["clicks"])
    assert table.loc["nothing recommended", 1]["topics"] > 1
    assert table.loc["oracle"]["clicks"].min() > table.loc["random"]["clicks"].max()
    explored = table.loc["shallow + exploration"]["coverage"]
    assert (explored > table.loc["naive"]["coverage"]).all()


def test_training_rows_are_the_last_days(world, monkeypatch):
    seen = {}

    def spy(features, logs, rows, *given):
        seen["first"], seen["last"] = rows["time"].min(), rows["time"].max()
        raise InterruptedError

    monkeypatch.setattr(feedback, "_fit", spy)
    with pytest.raises(InterruptedError):
        feedback.learner(world, window=3.0)(Record(), world.engine)
    assert 9 <= seen["first"] < 9.2 and seen["last"] <= 12


def test_a_closed_first_stage_lets_the_clicked_through(world, monkeypatch):
    logs = world.logs()
    clicks = np.random.default_rng(1).integers(0, 9, len(world.engine.catalogue))

    class Asked:
        candidates = np.arange(30)[None, :].repeat(4, axis=0)
        slate, request = 10, np.arange(4)

    features = type("Features", (), {"of_requests": lambda self, requests, logs: None})()
    monkeypatch.setattr(feedback.RankingBatch, "of", lambda inputs, features: None)
    monkeypatch.setattr(feedback, "served", lambda model, batch: np.tile(np.arange(30.0), 4))
    pages = feedback.LoopPolicy(features, logs, None, 0.0, clicks)(Asked())
    kept = np.argsort(-clicks[:30], kind="stable")[: feedback.KEPT]
    assert set(pages[0]) == set(np.sort(kept)[-10:])  # among them, the highest scores


def test_trial_and_its_figures():
    one = feedback.trial(3, rounds=1, size=SMALL)
    assert {k.split("/")[0] for k in one} == {"open", "closed"}
    assert not any(k.startswith("open/nothing recommended/1/clicks") for k in one)
    row = {f"{s}/{a}/{n}/{m}": v for n in (1, 2) for key, v in one.items()
           for s, a, _, m in [key.split("/")]}  # fmt: skip
    table = pd.DataFrame([row, {k: 1.02 * v for k, v in row.items()}])
    fig = plots.loop_rounds(table)
    assert plots.png(fig) and len(fig.axes) == 3
    assert fig.axes[0].get_ylim()[0] == 0
    stages = pd.DataFrame({f"{s}/{n}/{m}": [0.4, 0.5] for s in first_stage.STAGES
                           for n in (1, 2) for m in ("clicks", "gini", "new")})  # fmt: skip
    drawn = plots.loop_stages(table, stages, rounds=(1, 2))
    assert plots.png(drawn) and len(drawn.axes[0].get_yticks()) == 5


def test_first_stages_know_what_they_say(world):
    kinds = {}
    for stage in first_stage.STAGES:
        policy = first_stage.learner(world, stage, days_per_round=2)(Record(), world.engine)
        kinds[stage] = policy
        pages = run_rounds(
            world, {stage: lambda record, engine, policy=policy: policy}, rounds=1, days_per_round=1
        ).records[stage][0].table("impressions")  # fmt: skip
        assert len(pages["video"]) > 0
    logs = world.logs()
    last = logs.watches["time"] >= logs.impressions["time"].max() - feedback.WINDOW_DAYS
    counts = np.bincount(logs.watches["video_id"][last])
    known = kinds["all watches"].clicks
    assert np.array_equal(known[: len(counts)], counts)
    own = logs.impressions[logs.impressions["time"] >= 12 - feedback.WINDOW_DAYS]
    assert kinds["own clicks"].clicks.sum() == own["clicked"].sum() < known.sum()
    with pytest.raises(ConfigError, match="own clicks"):
        first_stage.learner(world, "nobody")


def test_trial_of_the_first_stages():
    one = first_stage.trial(3, rounds=1, size=SMALL)
    assert {key.split("/")[0] for key in one} == set(first_stage.STAGES)
    assert one["chance/1/gini"] < one["own clicks/1/gini"]
