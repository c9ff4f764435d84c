"""Chapter 01's lesson: the laws of a click and of time, the past ranking, the bias from the log."""

import numpy as np
import pandas as pd
import pytest
import worlds

from course import simulate
from course.lessons import clicks as lesson
from course.simulator import laws
from course.simulator.behaviour import EXAMINATION_EXPONENT, TASKS
from course.simulator.experiment import live_requests
from course.simulator.policies import top
from course.simulator.streams import coins


@pytest.fixture(scope="module")
def world():
    return worlds.mini(5)


def test_a_look_is_the_simulators():
    k = np.arange(1, 11)
    for steepness in EXAMINATION_EXPONENT:
        assert np.allclose(lesson.looked_at(k, steepness), laws.examination(k, steepness))
    assert lesson.looked_at(1, 0.7) == 1 and (lesson.looked_at(k, 0) == 1).all()


def test_a_click_by_hand():
    # z = -1 + 2 * 0.5 = 0, so the card is wanted by one in two, and looked at by one in four.
    ingredients, weights = np.zeros(13), np.zeros(13)
    ingredients[3], weights[3] = 0.5, 2.0
    assert lesson.click_probability(ingredients, weights, -1.0, 0.25) == pytest.approx(0.125)


def test_the_law_of_a_click_is_the_worlds(world):
    situation, asked = live_requests(world.engine, 30)
    behaviour, pages = world.engine.behaviour, world.past_ranking()(asked)
    saw = behaviour.components(situation, pages, world.engine.memory)
    weights = behaviour.weights[TASKS.index("click"), behaviour.weight_row(situation, pages)]
    place, device = np.arange(1, pages.shape[1] + 1), situation.device[:, None]
    seen = lesson.looked_at(place, EXAMINATION_EXPONENT[device])
    mine = lesson.click_probability(saw, weights, behaviour.intercepts["click"], seen)
    time = situation.time[:, None]
    truth = world.truth.click_probability(situation.user[:, None], pages, time, device, place)
    assert np.allclose(mine, truth, rtol=1e-4)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.5), (2.0, 0.0, 3.0), (0.0, 0.0, 1.0)])
def test_the_past_ranking_is_the_worlds(weights):
    dials = zip(("relevance", "incumbency", "noise"), weights, strict=True)
    world = worlds.mini(5, **{f"logger_{name}": value for name, value in dials})
    _, asked = live_requests(world.engine, 40)
    memory, catalogue, videos = world.engine.memory, world.engine.catalogue, asked.candidates
    watches = memory.topic_watches[asked.user]
    share = watches / (watches.sum(axis=1, keepdims=True) + 5)
    user = asked.user[:, None]
    luck = coins(world.seed, "past ranking", asked.request[:, None], videos) - 0.5
    scores = lesson.past_score(
        np.take_along_axis(share, catalogue.topic[videos], axis=1),
        memory.follows[user, catalogue.channel[videos]],
        memory.video_clicks[videos], memory.video_impressions[videos],
        memory.video_watches[videos], 12**0.5 * luck, memory.seen[user, videos], weights,
    )  # fmt: skip
    agree = top(scores, videos, asked.slate) == world.past_ranking()(asked)
    assert agree.mean() > 0.99  # the world counts in single precision, so near ties may swap


def test_standard_errors_against_coins():
    rate, shown = np.array([0.05, 0.3]), np.array([40, 200])
    drawn = np.random.default_rng(0).binomial(shown, rate, (50_000, 2)) / shown
    assert lesson.standard_error(rate, shown) == pytest.approx(drawn.std(axis=0), rel=0.02)


def test_how_well_rates_are_known_by_hand():
    # Video 0 is shown twice and clicked once (truth .25: off by 100 %), video 1 four times and
    # never clicked (off by 100 %), video 2 six times with 3 clicks and the truth .5 (right).
    video = np.repeat([0, 1, 2], [2, 4, 6])
    clicked = np.array([1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0], bool)
    found = lesson.known_rates(video, clicked, np.repeat([0.25, 0.1, 0.5], [2, 4, 6]))
    assert found["off by"].tolist() == [1.0, 1.0, 0.0] and found["shown"].tolist() == [2, 4, 6]


def test_the_split_is_exact_where_looks_and_wishes_go_together():
    position = np.array([1, 1, 2, 2])
    seen, wanted = np.array([1.0, 1.0, 0.8, 0.2]), np.array([0.2, 0.4, 0.4, 0.1])
    table = lesson.split(position, seen, wanted)
    assert table["click rate"].tolist() == pytest.approx([0.3, 0.17])
    assert table["relevance"].tolist() == pytest.approx([0.3, 0.34])
    parts = lesson.halvings(table, last=2)
    assert parts["bias"] == pytest.approx(1.0)
    assert parts["click rate"] == pytest.approx(parts["bias"] + parts["relevance"])


def test_counts_and_bias_by_hand():
    # Video 1: 2 of 4 clicks at position 1, 1 of 8 at position 2, so 1/8 over 1/2. Video 2 never
    # stood at position 1, so it must not count.
    video, position = np.repeat([1, 1, 2], [4, 8, 3]), np.repeat([1, 2, 2], [4, 8, 3])
    clicked = np.array([1, 1, 0, 0] + [1] + [0] * 7 + [1] * 3, bool)
    clicks, shown = lesson.count(video, position, clicked, 3, 2)
    assert clicks.tolist() == [[0, 0], [2, 1], [0, 3]] and shown.tolist() == [
        [0, 0],
        [4, 8],
        [0, 3],
    ]
    assert lesson.bias_from_log(clicks, shown).tolist() == pytest.approx([1.0, 0.25])


def test_the_bias_is_exact_where_each_video_is_wanted_alike():
    """With expected clicks in the place of drawn ones nothing but rounding is left."""
    rng = np.random.default_rng(3)
    shown = rng.integers(1, 900, (50, 10)).astype(float)
    seen = lesson.looked_at(np.arange(1, 11), 0.9)
    clicks = shown * rng.uniform(0.01, 0.4, (50, 1)) * seen
    assert lesson.bias_from_log(clicks, shown) == pytest.approx(seen)


def test_time_against_a_loop():
    rng = np.random.default_rng(1)
    wanted, has = (
        rng.exponential(300, (50, 5)) * (rng.random((50, 5)) < 0.6),
        rng.exponential(500, 50),
    )
    found = lesson.watched_seconds(wanted, has)
    for page, left in enumerate(has):
        for place, want in enumerate(wanted[page]):
            got = min(want, left)
            assert found[page, place] == pytest.approx(got, abs=1e-6)
            left -= got


def test_time_is_the_simulators():
    rng = np.random.default_rng(2)
    wanted, has = rng.exponential(300, (40, 4)), rng.exponential(600, 40)
    above = laws.wanted_above(wanted.ravel(), np.repeat(np.arange(40), 4)).reshape(40, 4)
    want = np.maximum(np.minimum(wanted, has[:, None] - above), 0)
    assert np.allclose(lesson.watched_seconds(wanted, has), want)


def test_titles_tell_the_topic_as_far_as_the_dial_says():
    short = {"seed": 2, "cache": False, "days": 2, "future_days": 0}
    told = {c: lesson.same_topic(simulate("village", content=c, **short).logs()) for c in (0, 1)}
    assert told[1]["a word in common"] > 2 * told[1]["any two"]
    assert told[0]["a word in common"] == pytest.approx(told[0]["any two"], abs=0.03)
    assert told[0]["any two"] == told[1]["any two"]


def test_the_split_of_a_log_adds_up(world):
    hidden, shown = world.true_table("impressions"), world.logs().impressions
    seen, wanted = hidden["p_seen"].to_numpy(float), hidden["p_click_if_seen"].to_numpy(float)
    table = lesson.split(shown["position"].to_numpy(), seen, wanted)
    expected = pd.Series(seen * wanted).groupby(shown["position"].to_numpy()).mean()
    assert np.allclose(table["bias"] * table["relevance"], expected)
