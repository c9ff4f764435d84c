"""Experiments and figures of chapter 04: the clock, who gains, depth."""

import numpy as np
import pandas as pd
import pytest
import torch

from course import plots, simulate
from course.experiments import depth, signals
from course.experiments.next_watch import NextWatch, fit_candidates
from course.features import example_age
from course.models.candidate_generation import Batch

DAYS = np.arange(6, 20)


@pytest.fixture(scope="module")
def task():
    return NextWatch(simulate("tiny", seed=3, cache=False).logs())


@pytest.fixture(scope="module")
def model(task):
    return fit_candidates(
        task.features, task.train, task.examples(), depth=1, width=16, dim=8, epochs=1
    )


def test_share_of_watches_against_counting(task):
    share = signals.watched_share(task, DAYS)
    assert np.allclose(share.sum(axis=1), 1.0)
    w = task.train.watches[task.train.watches["time"].between(9, 10, inclusive="left")]
    video = int(w["video_id"].mode()[0])
    column = task.features.videos.encode(np.array([video]))[0]
    assert share[3, column] == pytest.approx((w["video_id"] == video).mean())


def test_lives_are_shifted_to_the_upload(task):
    curves = np.arange(len(DAYS) * len(task.features.videos), dtype=float)
    curves = curves.reshape(len(DAYS), -1)
    video = int(task.features.videos.ids[2])
    born = int(np.floor(task.train.videos["uploaded"][video]))
    span = np.arange(6 - born - 1, 6 - born + 3)  # starts one day before the first day there is
    (life,) = signals.lives(task, curves, DAYS, np.array([video]), span)
    assert np.isnan(life[0]) and life[1:].tolist() == curves[:3, 2].tolist()


def test_likeness_of_a_curve_with_itself_and_with_a_late_flat_one():
    span = np.arange(-3, 5)
    real = np.array([[0, 0, 0, 1.0, 4.0, 2.0, 1.0, 1.0]])
    same = signals.likeness(real, real, span)
    assert same == {"correlation": pytest.approx(1.0), "peak": 1.0, "delay": 0.0, "before": 0.0}
    late = np.array([[1, 1, 1, 1.0, 1.0, 2.0, 1.0, 1.0]])
    found = signals.likeness(late, real, span)
    assert found["delay"] == 1.0 and found["peak"] == 0.5
    assert found["before"] == pytest.approx(1.0 / 1.2)
    flat = signals.likeness(np.ones((1, 8)), real, span)
    assert flat["correlation"] == 0.0 and flat["before"] == 1.0


def test_without_age_nothing_changes_with_the_day(task, model):
    blind = fit_candidates(
        task.features, task.train, task.examples(), signals.NO_AGE, depth=0, dim=8, epochs=1
    )
    flat = signals.class_probabilities(task, blind, DAYS, n=50, moments="fixed")
    assert np.allclose(flat, flat[0]) and np.allclose(flat.sum(axis=1), 1.0)
    bent = signals.class_probabilities(task, model, DAYS, n=50, moments="fixed")
    assert not np.allclose(bent, bent[0])


def test_served_age_0_is_what_a_request_gets_and_another_is_not(task, model):
    inputs = task.features.of_examples(task.logs, task.events.head(20))
    now = signals.AtAge(model, 0.0)
    assert np.array_equal(now.scores(inputs), model.scores(inputs))
    assert not np.allclose(signals.AtAge(model, 9.0).scores(inputs), model.scores(inputs))
    assert np.array_equal(signals.AtAge(model, 9.0).powers(), example_age(np.array(-9.0), 0.0))


def test_groups_by_history_against_counting(task):
    rank = np.arange(1.0, len(task.events) + 1)
    found = signals.by_history(task, rank)
    w = task.logs.watches
    before = np.array(
        [
            ((w["user_id"] == e.user_id) & (w["time"] < e.time)).sum()
            for e in task.events.itertuples()
        ]
    )
    few = (before >= 1) & (before <= 4)
    assert found["1 to 4"] == pytest.approx((1 / rank[few]).mean())
    assert (signals.history_length(task) == np.minimum(before, 50)).all()


def test_fresh_share_of_a_score_that_is_the_upload_time(task):
    newest = np.broadcast_to(
        task.train.videos["uploaded"].to_numpy(), (len(task.events), len(task.train.videos))
    )
    high, true = signals.fresh_share(task, newest, k=3)
    low, same = signals.fresh_share(task, -newest, k=3)
    assert high == 1.0 and low == 0.0 and 0 < true == same < 1


def test_the_trap_is_fed_with_the_age_of_the_video(task):
    trapped = signals.video_age_trap(
        task.features, task.train, task.examples(), depth=0, width=16, dim=8
    )
    # It has learned that at "age 0" people watch what was new, so it prefers what came late.
    rows = task.features.of_examples(task.logs, task.events.head(50))
    uploaded = task.train.videos["uploaded"].to_numpy()[task.features.videos.ids]

    def newness(age):
        return uploaded[signals.AtAge(trapped, age).scores(rows).argmax(axis=1)].mean()

    assert newness(0.0) > newness(20.0)


def test_the_cross_starts_as_the_linear_model_and_has_a_cell_for_each_combination(task):
    crossed = depth.Crossed(task.features, dim=8, seed=1).eval()
    inputs = task.features.of_examples(task.logs, task.events)
    batch = Batch.of(inputs)
    before = crossed(batch).detach()
    with torch.no_grad():
        crossed.cross.weight[:, 0] = torch.arange(len(crossed.cross.weight), dtype=torch.float32)
    cell = (crossed(batch).detach() - before)[:, 0].round().to(int).numpy()
    keys = pd.DataFrame(
        {"d": inputs.context[:, 0], "p": inputs.context[:, 1], "a": inputs.demographics[:, 3]}
    )
    assert len(set(zip(cell, *keys.T.to_numpy(), strict=True))) == len(keys.drop_duplicates())
    assert keys.groupby(cell).nunique().to_numpy().max() == 1
    assert len(crossed.cross.weight) == 3 * 4 * 5


def test_held_out_examples_are_kept_from_training(task):
    game = depth.Game(task.logs, seed=1)
    assert not set(game.inside.index) & set(game.rows.index)
    assert len(game.inside) == pytest.approx(0.05 * len(task.examples()), rel=0.25)
    assert len(game.data) == len(game.rows)


def test_figures_draw():
    span = np.arange(-8, 17)
    rng = np.random.default_rng(0)
    curve = rng.random(len(span))
    seeds = rng.random((5, 5))
    three = {"observed": curve, "with example age": curve, "without age": curve}
    figures = [
        plots.lives(span, {"video 1": curve, "video 2": curve}),
        plots.learned_lives(span, {"one": three, "two": three}),
        plots.serving_sweep(
            pd.DataFrame({"age": [0, 9], "mrr": [0.1, 0.05], "fresh": [0.3, 0]}), 0.3
        ),
        plots.gain_by_history({"none": seeds[0], "1 to 4": seeds[1]}),
        plots.depth_grid(
            {**dict.fromkeys(signals.FEATURE_SETS, seeds), "watches": seeds[:, :1]},
            {("all", 2): 0.5},
        ),
        plots.depth_by_measure({"MRR": {"all": seeds}, "nats": {"all": seeds}}),
        plots.what_depth_is_for(
            {"as it is": seeds[0], "no time": seeds[1]}, (0, 2), {"one layer": seeds[:, :2]}
        ),
    ]
    ages = np.arange(10)
    given = {"lives": {"v": curve[:10]}, "span": ages, "t_max": 42.0, "uploaded": {"v": 35.0}}
    figures += [plots.served_age(a, "v", **given) for a in (0, 9)]
    figures.append(plots.served_ages((0, 4, 9), "v", **given))
    for fig in figures:
        assert all(ax.get_xlabel() for ax in fig.axes) and plots.png(fig)
