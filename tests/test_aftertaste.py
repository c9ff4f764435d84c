"""What pages do to people (dial ``aftertaste``), against a plain count of what was shown."""

import numpy as np
import pytest

from course import simulate
from course.simulator import laws, organic
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine, Record

DAYS = 4
DIALS = {"users": 150, "videos": 200, "days": DAYS}


@pytest.fixture(scope="module")
def moved():
    engine, record = Engine(WorldConfig.of("village", aftertaste=1.5, **DIALS), 3), Record()
    engine.run(0, DAYS, engine.past_ranking(), record)
    return engine, record


def test_memory_is_what_a_plain_count_of_the_pages_gives(moved):
    engine, record = moved
    cards, truth = record.table("impressions"), record.table("truth_impressions")
    mood, shown = np.zeros(150), np.zeros((150, 10))
    day = 0
    for i in range(len(cards["user"])):
        while day < int(cards["time"][i]):
            day += 1
            mood, shown = mood * 0.9, shown * 0.9
        user, video = cards["user"][i], cards["video"][i]
        shown[user, engine.catalogue.topic[video] // 3] += 1
        if cards["clicked"][i]:
            mood[user] += (truth["expected_rating_if_clicked"][i] - 4) / 5
    assert np.allclose(engine.memory.mood, mood, atol=1e-4)
    assert np.allclose(engine.memory.shown_by_genre, shown, rtol=1e-4)
    assert mood.std() > 0.05


def test_a_mood_multiplies_the_sessions(moved):
    engine, _ = moved
    memory = engine.memory.copy()
    counts = {}
    for m in (-3.0, -1.0, 0.0, 5.0):
        memory.mood[:] = m
        counts[m] = sum(len(organic.sessions(engine.behaviour, step, memory))
                        for step in range(3, 4 * 200, 4))  # fmt: skip
    for m, clipped in ((-3.0, -2.0), (-1.0, -1.0), (5.0, 1.0)):
        want = counts[0.0] * np.exp(1.5 * clipped)
        assert abs(counts[m] - want) < 5 * np.sqrt(want) + 0.05 * want


def test_some_of_a_genre_is_liked_and_too_much_bores(moved):
    engine, _ = moved
    memory = engine.memory.copy()
    situation = engine.behaviour.situation(np.array([5]), np.array([3.8]), np.array([0]))
    video = np.arange(100)[None]
    genre = engine.catalogue.topic[video[0]] // 3
    memory.shown_by_genre[:] = 0
    before = engine.behaviour.components(situation, video, memory)
    memory.shown_by_genre[5] = [20, 0, 80, 0, 0, 0, 0, 0, 0, 0]
    after = engine.behaviour.components(situation, video, memory)
    share = np.array([20, 0, 80, 0, 0, 0, 0, 0, 0, 0]) / 110
    want = 1.5 * 8 * share * (0.35 - share)
    assert want[0] > 0 > want[2]
    assert np.allclose((after - before)[0, :, 0], want[genre], atol=1e-4)
    assert (after[..., 1:] == before[..., 1:]).all()


def test_laws_of_mood():
    assert np.allclose(laws.mood_gain([1, 4, 5]), [-0.6, 0, 0.2])
    assert np.allclose(laws.comes_back(np.array([-9, 0, 0.5, 9]), 2), np.exp([-4, 0, 1, 2]))
    assert (laws.comes_back(np.array([-1.0, 1.0]), 0) == 1).all()


def test_it_is_kept_with_the_world_and_absent_without_the_dial(tmp_path):
    first = simulate("village", seed=3, cache=tmp_path, aftertaste=1.0, **DIALS)
    again = simulate("village", seed=3, cache=tmp_path, aftertaste=1.0, **DIALS)
    assert (first.engine.memory.mood == again.engine.memory.mood).all()
    assert (again.engine.memory.mood != 0).any()
    assert not hasattr(simulate("village", seed=3, cache=False, **DIALS).engine.memory, "mood")
    clone = again.engine.memory.copy()
    clone.mood[:] = 7
    assert (again.engine.memory.mood != 7).all()
