"""The first edition's weighted loss against closed forms, and its ranker."""

import numpy as np
import pytest
import torch

from course import simulate
from course.errors import LogError
from course.experiments.ranking import RankingTask, fit_ranker, multiplications
from course.models.watch_time import (
    WatchTimeRanker,
    best_constant,
    click_weights,
    weighted_logistic_loss,
)


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
    weight = task.label("watched_seconds").numpy() / 60
    own = fit_ranker(task, (16,), epochs=1, weight=weight)
    assert np.array_equal(own.logits(task.test), ranker.logits(task.test))
    n = len(task.rows)
    with pytest.raises(LogError, match="shape"):
        fit_ranker(task, (16,), weight=np.ones(n - 1))
    for bad in (-1.0, np.inf):
        with pytest.raises(LogError, match="a weight is"):
            fit_ranker(task, (16,), weight=np.r_[np.ones(n - 1), bad])


def test_multiplications_by_hand(task):
    model = WatchTimeRanker(task.features, (16, 8))
    width = model.tower.layers[0].inputs.width
    assert multiplications(model) == width * 16 + 16 * 8 + 8
    assert multiplications(WatchTimeRanker(task.features, ())) == width
