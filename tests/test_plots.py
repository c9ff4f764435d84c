"""Every figure function: over the corners of its slider, with labelled axes, as a picture."""

import functools

import numpy as np
import pandas as pd
import pytest

from course import ab_test, plots, simulate
from course.experiments.worlds import dial_world

DIALS = {"position_bias": (0.0, 2.0), "logger_relevance": (0.0, 3.0), "logger_noise": (0.0, 4.0)}
SIZES = pd.DataFrame(
    {
        "candidates": [10, 100, 1000],
        "clicks": [0.2, 0.5, 0.4],
        "recall": [0.1, 0.5, 1.0],
        "popular_recall": [0.2, 0.6, 1.0],
    }
)


@functools.cache
def experiment():
    world = simulate("tiny", seed=2, cache=False)
    policies = {"random": world.random(), "past": world.past_ranking(), "oracle": world.oracle()}
    return ab_test(world, policies, n=100)


def figures():
    k = np.arange(1, 11)
    curve = 1.0 / k
    sparse = pd.DataFrame({"impressions": k * 10.0, "error": curve}, index=k)
    bait = pd.DataFrame({"clickbait": [-1, 0, 1], "ctr": [0.1, 0.2, 0.3], "rating": [4, 3, 2]})
    rng = np.random.default_rng(0)
    return {
        "long_tail": lambda: plots.long_tail(rng.zipf(2, 300), rng.zipf(2, 200)),
        "life_of_a_video": lambda: plots.life_of_a_video(k, k[::-1], curve, "video 3"),
        "position_split": lambda: plots.position_split(curve**1.5, curve**0.5, curve),
        "by_device": lambda: plots.by_device({"phone": curve}, np.stack([curve] * 3)),
        "locally_sparse": lambda: plots.locally_sparse(sparse),
        "click_against_satisfaction": lambda: plots.click_against_satisfaction(bait),
        "experiment": lambda: plots.experiment(experiment()),
        "gap_closed": lambda: plots.gap_closed({"popularity": [0.1, 0.2, 0.3]}, title="Worlds"),
        "funnel_tradeoff": lambda: plots.funnel_tradeoff(SIZES, 100),
        "standing": lambda: plots.standing(rng.random(100), 0.5, 1.2),
    }


@pytest.mark.parametrize("name", sorted(figures()))
def test_axes_are_labelled_and_the_picture_is_drawn(name):
    fig = figures()[name]()
    assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
    for ax in fig.axes:
        assert ax.get_xlabel(), f"{name}: an x axis without a label"
        labelled = ax.get_ylabel() or [tick.get_text() for tick in ax.get_yticklabels()]
        assert labelled, f"{name}: a y axis without a label"


def test_drawings_without_axes():
    for fig in (plots.system_loop(), plots.funnel([("corpus", 2000), ("page", 10)])):
        assert len(plots.png(fig)) > 5_000 and fig.describe()


@pytest.mark.parametrize("candidates", [10, 100, 1000, [10, 1000]])
def test_funnel_slider_over_its_corners(candidates):
    assert plots.png(plots.funnel_tradeoff(SIZES, candidates))


def test_each_dial_shows_another_world_at_its_other_end():
    low = {name: ends[0] for name, ends in DIALS.items()}
    turned = [low, *({**low, name: ends[1]} for name, ends in DIALS.items())]
    assert len({plots.png(plots.turned_dials(**settings)) for settings in turned}) == 4


def test_without_position_bias_the_two_curves_coincide():
    off, on = dial_world(position_bias=0.0), dial_world()
    # 4,000 impressions per position: the sampling error of a rate is about half a point.
    assert (off["ctr"] - off["relevance"]).abs().max() < 0.03
    assert (on["relevance"] - on["ctr"]).iloc[-1] > 0.04


def test_experiment_figure_has_floor_and_ceiling():
    fig = plots.experiment(experiment())
    words = {text.get_text() for ax in fig.axes for text in ax.texts}
    assert {"random", "oracle"} <= words or {"random"} <= words
