"""The weighted loss against closed forms, the ranker, and chapter 07's experiments."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch

from course import plots, simulate
from course.errors import ConfigError, LogError
from course.experiments import duration, watch_time
from course.experiments.ranking import RankingTask, fit_ranker
from course.features.batch import RankingBatch
from course.models.watch_time import (
    WatchTimeRanker,
    best_constant,
    click_weights,
    weighted_logistic_loss,
)
from course.plots import paper


def impressions(n=4_000, seed=0, p=0.3, mean=5.0):
    rng = np.random.default_rng(seed)
    clicked = rng.random(n) < p
    return clicked, np.where(clicked, rng.gamma(2.0, mean / 2.0, n), 0.0)


def test_loss_by_hand_and_against_torch():
    z = torch.tensor([0.0, 2.0, -1.0])
    clicked, weight = torch.tensor([True, False, True]), torch.tensor([3.0, 9.0, 0.5])
    by_hand = (3 * np.log(2) + np.log(1 + np.e**2) + 0.5 * np.log(1 + np.e)) / 3
    assert weighted_logistic_loss(z, clicked, weight).item() == pytest.approx(by_hand, rel=1e-6)
    each = torch.where(clicked, weight, torch.ones(3))
    torch_says = torch.nn.functional.binary_cross_entropy_with_logits(z, clicked.float(), each)
    assert weighted_logistic_loss(z, clicked, weight).item() == pytest.approx(torch_says.item())


def test_loss_does_not_overflow():
    z = torch.tensor([500.0, -500.0])
    loss = weighted_logistic_loss(z, torch.tensor([False, True]), torch.tensor([1.0, 2.0]))
    assert loss.item() == pytest.approx((500 + 1000) / 2)


def test_a_constant_model_learns_watch_time_over_impressions_without_a_click():
    clicked, minutes = impressions()
    (odds,) = watch_time.best_odds(np.zeros(len(clicked), int), clicked, minutes)
    exact = minutes.sum() / (~clicked).sum()
    assert odds == pytest.approx(exact, rel=1e-6)
    assert np.exp(best_constant(clicked, minutes)) == pytest.approx(exact, rel=1e-12)
    # E[T] / (1 - P) is the same number; E[T] is not, and (1 + P) E[T] only nearly.
    watch, p = minutes.mean(), clicked.mean()
    assert odds == pytest.approx(watch / (1 - p), rel=1e-6)
    assert odds > 1.3 * watch


def test_two_cells_learn_their_own_odds():
    rare, short = impressions(6_000, 1, p=0.05, mean=8.0)
    often, long = impressions(3_000, 2, p=0.5, mean=2.0)
    cell = np.repeat([0, 1], [6_000, 3_000])
    odds = watch_time.best_odds(cell, np.r_[rare, often], np.r_[short, long])
    expected = [t.mean() / (1 - c.mean()) for c, t in ((rare, short), (often, long))]
    assert odds == pytest.approx(expected, rel=1e-6)


def test_thinned_impressions_without_a_click_multiply_the_odds():
    clicked, minutes = impressions(200_000)
    kept = clicked | (np.random.default_rng(5).random(len(clicked)) < 0.25)
    ratio = np.exp(best_constant(clicked[kept], minutes[kept]) - best_constant(clicked, minutes))
    assert ratio == pytest.approx(4.0, rel=0.02)


def test_weights():
    clicked, seconds = np.array([True, False, True]), np.array([90.0, 0.0, 30.0])
    assert click_weights(clicked, seconds).tolist() == [1.5, 0.0, 0.5]
    assert click_weights(clicked, seconds, "click").tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("clicked", "seconds", "words"),
    [
        ([True, True], [5.0, -1.0], "-1"),
        ([True, True], [5.0, np.nan], "nan"),
        ([True, False], [5.0, 3.0], "without a click"),
    ],
)
def test_bad_watch_times(clicked, seconds, words):
    with pytest.raises(LogError, match=words):
        click_weights(np.array(clicked), np.array(seconds))


def test_bad_objective():
    with pytest.raises(LogError, match="'likes'"):
        click_weights(np.array([True]), np.array([1.0]), "likes")


@pytest.mark.parametrize("clicked", [[False, False], [True, True]])
def test_nothing_or_everything_clicked_has_no_best_constant(clicked):
    clicked = np.array(clicked)
    with pytest.raises(LogError, match="of 2 cards were clicked"):
        best_constant(clicked, clicked.astype(float))


# --- In a world ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    return simulate("tiny", seed=3, cache=False)


@pytest.fixture(scope="module")
def task(world):
    return RankingTask(world, 400)


@pytest.fixture(scope="module")
def ranker(task):
    return fit_ranker(task, (16,), epochs=1)


def test_served_is_the_exponential_in_seconds(task, ranker):
    logits = ranker.logits(task.test, pages=7)
    assert np.allclose(logits, ranker.logits(task.test), atol=1e-5)
    assert np.allclose(ranker.expected_seconds(task.test), 60 * np.exp(logits), rtol=1e-5)
    assert ranker.expected_seconds(task.test).min() > 0


def test_an_untrained_ranker_serves_the_best_constant(task):
    rows = task.rows
    weight = click_weights(rows["clicked"], rows["watched_seconds"]).numpy()
    bias = best_constant(rows["clicked"], weight)
    served = WatchTimeRanker(task.features, (8,), bias=bias).expected_seconds(task.test)
    exact = rows["watched_seconds"].sum() / (~rows["clicked"]).sum()
    assert served == pytest.approx(np.full(len(served), exact), rel=1e-4)


def test_training_beats_the_constant_and_repeats_itself(task, ranker):
    history = ranker.history.losses
    rows = task.rows
    weight = click_weights(rows["clicked"], rows["watched_seconds"])
    constant = torch.full((len(rows),), best_constant(rows["clicked"], weight.numpy()))
    assert history[-1] < weighted_logistic_loss(constant, task.label("clicked"), weight).item()
    again = fit_ranker(task, (16,), epochs=1)
    assert np.array_equal(again.logits(task.test), ranker.logits(task.test))


def test_own_weights_are_the_objective_and_bad_ones_are_refused(task, ranker):
    own = fit_ranker(task, (16,), epochs=1, weight=watch_time.weights(task, "watch"))
    assert np.array_equal(own.logits(task.test), ranker.logits(task.test))
    n = len(task.rows)
    with pytest.raises(LogError, match="shape"):
        fit_ranker(task, (16,), weight=np.ones(n - 1))
    for bad in (-1.0, np.inf):
        with pytest.raises(LogError, match="a weight is"):
            fit_ranker(task, (16,), weight=np.r_[np.ones(n - 1), bad])


def test_time_watched_is_length_times_share_watched(task):
    clicked = task.rows["clicked"].to_numpy()
    w = {name: watch_time.weights(task, name)[clicked] for name in watch_time.OBJECTIVES}
    assert np.allclose(w["length"] * w["share"], w["watch"], rtol=1e-4)
    assert (w["click"] == 1).all() and w["share"].max() <= 1.0
    with pytest.raises(ConfigError, match="'stars'"):
        watch_time.weights(task, "stars")


def test_multiplications_by_hand(task):
    model = WatchTimeRanker(task.features, (16, 8))
    width = model.tower.layers[0].inputs.width
    assert watch_time.multiplications(model) == width * 16 + 16 * 8 + 8
    assert watch_time.multiplications(WatchTimeRanker(task.features, ())) == width


def test_trees_learn_the_same_odds(task):
    trees = watch_time.Trees(task, trees=30, max_leaf_nodes=8, seed=5)
    assert trees.model.random_state == 5  # large logs are cut into bins by a random sample
    order = trees.logits(task.test_inputs)
    past = -task.next_day.cards["position"].to_numpy().astype(float)
    assert task.loss(order) < task.loss(past)
    # Of the training cards as a whole the mean odds of cards without a click give the minutes.
    odds = np.exp(trees.logits(task.inputs))
    clicked = task.rows["clicked"].to_numpy()
    minutes = task.rows["watched_seconds"].sum() / 60
    assert odds[~clicked].sum() == pytest.approx(minutes, rel=0.3)


def test_calibration_of_a_perfect_score_is_exact(task):
    truth = task.next_day
    p = truth.truth["p_click"].to_numpy()
    table = watch_time.calibration(task, truth.expected_seconds / (1 - p), p, bins=5)
    assert np.allclose(table["repaired"], table["watch"], rtol=1e-5)
    assert (table["odds"] >= table["watch"]).all()
    assert np.allclose(table["exact"], table["watch"] / (1 - table["p"]))
    assert table["odds"].is_monotonic_increasing and len(table) == 5
    assert watch_time.slope(3 * table["watch"], table["watch"]) == pytest.approx(1.0)
    assert watch_time.slope(table["watch"] ** 2, table["watch"]) == pytest.approx(2.0)


def test_live_knows_what_pages_are_made_of(world, task, ranker):
    long = lambda batch: batch.numbers[:, duration._LENGTH].numpy()  # noqa: E731
    table = watch_time.live(world, {"watch": ranker.logits, "long": long}, task, pages=200)
    assert list(table.index) == [
        "past", "random", "oracle (watch)", "oracle (click)", "watch", "long",
    ]  # fmt: skip
    assert table["long"].idxmax() == "long" and table["length"].idxmax() == "long"
    assert table["watch_minutes"].idxmax() == "oracle (watch)"
    assert table["clicks"].idxmax() == "oracle (click)"
    per_click = table["watch_minutes"] / table["clicks"]
    assert np.allclose(table["minutes_per_click"], per_click)


def test_clickbait_parts_the_two_oracles():
    without, with_it = watch_time.oracle_contest(0.0), watch_time.oracle_contest(2.0)
    assert (with_it["clickbait"].diff() < without["clickbait"].diff() - 0.05)["watch time"]
    assert with_it["clicks"].idxmax() == "clicks"
    assert with_it["watch_minutes"].idxmax() == "watch time"


# --- Long videos ---------------------------------------------------------------------------------


def test_shares_within_groups_by_hand():
    groups = duration.WithinGroup(
        np.array([10.0, 20.0, 30.0, 40.0, 500.0, 600.0]), np.array([0, 0, 0, 0, 1, 1]), 2
    )
    seconds, group = np.array([10.0, 25.0, 500.0, 700.0]), np.array([0, 0, 1, 1])
    assert groups.shares(seconds, group).tolist() == [0.125, 0.5, 0.25, 1.0]
    assert groups.seconds(np.array([0.0, 0.5, 1.0, 0.5]), np.array([0, 0, 1, 1])).tolist() == [
        10.0, 25.0, 600.0, 550.0,
    ]  # fmt: skip
    with pytest.raises(LogError, match="Group 2 of 3"):
        duration.WithinGroup(seconds, group, 3)


def test_xauc_by_hand_and_by_brute_force():
    assert duration.xauc([3.0, 2.0, 1.0], [30.0, 20.0, 10.0]) == 1.0
    assert duration.xauc([1.0, 2.0, 3.0], [30.0, 20.0, 10.0]) == 0.0
    assert duration.xauc([1.0, 1.0, 1.0], [30.0, 20.0, 10.0]) == 0.5
    rng = np.random.default_rng(1)
    score, seconds = rng.integers(0, 9, 60).astype(float), rng.integers(0, 9, 60).astype(float)
    group = rng.integers(0, 3, 60)
    right, pairs = 0.0, 0
    for i in range(60):
        for j in range(60):
            if group[i] == group[j] and seconds[i] > seconds[j]:
                pairs += 1
                right += 1.0 if score[i] > score[j] else 0.5 * (score[i] == score[j])
    assert duration.xauc(score, seconds, group) == pytest.approx(right / pairs)
    with pytest.raises(LogError, match="no pair"):
        duration.xauc([1.0, 2.0], [5.0, 5.0])


def test_length_groups_are_equally_large(task):
    counts = np.bincount(duration.length_group(task.train), minlength=10)
    assert counts.min() > 0.05 * len(task.rows) and counts.max() < 0.2 * len(task.rows)
    group, length = duration.length_group(task.train), task.inputs.column("duration")
    assert (pd.Series(length).groupby(group).max().diff().dropna() > 0).all()


def test_watch_regression_learns_its_target(task):
    clicked = task.rows["clicked"].to_numpy()
    long = (duration.length_group(task.train)[clicked] >= 5).astype(float)
    model = duration.fit_watches(task, long, epochs=15, hidden=(16,))
    batch = RankingBatch.of(task.inputs[clicked], task.features)
    fitted = model.logits(batch)
    assert fitted[long == 1].mean() > fitted[long == 0].mean() + 0.5
    with pytest.raises(LogError, match="targets for"):
        duration.fit_watches(task, long[:-1])


def test_duration_rankers_value_watches(task, ranker):
    rankers = duration.DurationRankers(task)
    values = rankers.values(task.test)
    assert ((values["share"] > 0) & (values["share"] < 1)).all()
    assert all((v > 0).all() for v in values.values())
    scores = rankers.scores(ranker)
    odds = np.exp(ranker.logits(task.test).astype(float))
    assert np.allclose(scores["share"](task.test), values["share"] * odds / (1 + odds))
    table = duration.offline(task, {**values, "truth": task.next_day.truth["expected_seconds"]})
    assert table["overall"].idxmax() == "truth"


# --- The ledger's trials and the figures ---------------------------------------------------------


def test_the_ladder_measures_every_ranker(monkeypatch):
    monkeypatch.setattr(watch_time, "LADDER", {"None": (), "128-64-32": (8,)})
    monkeypatch.setattr(watch_time, "HIDDEN", (8,))
    monkeypatch.setattr(watch_time, "EPOCHS", 1)
    monkeypatch.setattr(watch_time, "RankingTask", lambda world, pages: RankingTask(world, 300))
    few = functools.partial(watch_time.Trees, trees=3)
    monkeypatch.setattr(watch_time, "Trees", few)
    found = watch_time.ladder(3, size="tiny", pages=60)
    assert all(np.isfinite(v) for v in found.values())
    assert found["oracle/loss"] < found["128-64-32/loss"] < found["random/loss"]
    assert found["128-64-32/multiplications"] > found["None/multiplications"]
    assert found["length/share/long"] <= 1 and 0 < found["xauc/oracle/within"] < 1
    assert found["decile/9/odds"] > found["decile/0/odds"]


def test_doses_turn_the_dial(monkeypatch):
    monkeypatch.setattr(watch_time, "DOSES", (0.0, 2.0))
    monkeypatch.setattr(watch_time, "DOSE_HIDDEN", ())
    monkeypatch.setattr(watch_time, "EPOCHS", 1)
    found = watch_time.doses(3, size="tiny", pages=100)
    assert found["clickbait 0/live/watch/watch_minutes"] > 0
    bait = [found[f"clickbait {d}/live/oracle (click)/clickbait"] for d in (0, 2)]
    assert bait[1] > bait[0] + 0.05


def test_simulated_odds_are_the_closed_form_and_bad_rates_are_refused():
    p, watch, odds = watch_time.simulated_odds(0.3)
    assert np.allclose(odds, watch / (1 - p))
    assert np.median(p) == pytest.approx(0.3, abs=0.06)
    for rate in (0.0, 1.0, -0.2):
        with pytest.raises(ConfigError, match="click_rate"):
            watch_time.simulated_odds(rate)


def test_figures_draw(task):
    rng = np.random.default_rng(0)
    seeds = rng.random(5)
    table = watch_time.calibration(task, task.next_day.value + 1, np.full(len(task.test), 0.1))
    grid = {"click ranker": rng.random((5, 3)), "watch-time ranker": rng.random((5, 3))}
    ways = {"share within length": seeds, "minutes by least squares": seeds + 0.1}
    figures = [
        plots.clicks_against_minutes(rng.random(90), rng.random(90), 1 + rng.random(90)),
        *(plots.odds_leave(rate) for rate in (0.01, 0.6)),
        plots.odds_leave_at((0.02, 0.4)),
        plots.calibration({"one": table, "two": table.drop(columns="repaired")}),
        plots.table1({name: 40 + seeds for name in watch_time.LADDER}, seeds),
        plots.losses({"deep": seeds, "trees": seeds + 1}, "deep"),
        plots.by_clickbait((0, 1, 2), {"minutes": grid, "clicks": grid}, "random"),
        *(plots.clickbait_strength(strength) for strength in (0.0, 3.0)),
        plots.clickbait_strengths((0, 1)),
        plots.long_videos(ways, ways, 0.8),
    ]
    for fig in figures:
        assert any(ax.get_xlabel() for ax in fig.axes) and plots.png(fig)
    assert len(paper.TABLE1) == len(watch_time.LADDER)
