"""Off-policy estimates against worlds small enough to be known exactly."""

import numpy as np
import pytest

from course.errors import LogError
from course.off_policy import (
    direct,
    doubly_robust,
    effective_sample_size,
    ips,
    snips,
)

OLD, NEW = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
REWARD = np.array([0.2, 0.5, 0.9])  # P(reward) of three actions
TRUE = float(NEW @ REWARD)


def logged(n, seed=0, old=OLD):
    rng = np.random.default_rng(seed)
    action = rng.choice(3, n, p=old)
    return action, (rng.random(n) < REWARD[action]).astype(float)


def estimates(n, seed, guess, old=OLD):
    action, reward = logged(n, seed, old)
    w = NEW[action] / old[action]
    expected = np.full(n, NEW @ guess)
    return {
        "ips": ips(reward, w),
        "snips": snips(reward, w),
        "direct": direct(expected),
        "dr": doubly_robust(reward, w, guess[action], expected),
    }


def test_by_hand():
    w, reward = np.array([2.0, 0.5]), np.array([1.0, 2.0])
    assert ips(reward, w).value == pytest.approx(1.5)
    assert snips(reward, w).value == pytest.approx(3.0 / 2.5)
    dr = doubly_robust(reward, w, np.array([0.5, 1.0]), np.array([1.0, 3.0]))
    assert dr.value == pytest.approx(((1 + 2 * 0.5) + (3 + 0.5 * 1.0)) / 2)
    assert effective_sample_size(w) == pytest.approx(2.5**2 / 4.25)


def test_unbiased_where_they_should_be():
    wrong = np.array([0.9, 0.9, 0.1])
    runs = [estimates(200, seed, wrong) for seed in range(400)]
    for name in ("ips", "dr"):
        values = np.array([run[name].value for run in runs])
        assert abs(values.mean() - TRUE) < 4 * values.std() / 20
        covered = np.mean([run[name].low <= TRUE <= run[name].high for run in runs])
        assert covered > 0.9
    assert abs(runs[0]["direct"].value - TRUE) > 0.2  # as wrong as its model


def test_wrong_propensities_are_repaired_by_a_right_model():
    action, reward = logged(20_000)
    w = NEW[action] / (1 / 3)  # not how they were drawn
    dr = doubly_robust(reward, w, REWARD[action], np.full(len(action), TRUE))
    assert abs(dr.value - TRUE) < 4 * dr.error
    assert abs(ips(reward, w).value - TRUE) > 0.1


def test_order_of_the_errors():
    fair = REWARD + np.array([0.05, -0.05, 0.05])
    runs = [estimates(200, seed, fair) for seed in range(300)]
    error = {name: np.mean([(run[name].value - TRUE) ** 2 for run in runs]) for name in runs[0]}
    assert error["dr"] < error["snips"] < error["ips"]


def test_no_support_no_estimate():
    old = np.array([0.5, 0.5, 0.0])
    estimate = estimates(5_000, 0, np.zeros(3), old)["ips"]
    assert estimate.high < TRUE  # wrong, and sure of itself


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: snips(np.ones(3), np.zeros(3)), LogError),
        (lambda: ips(np.zeros(0), np.zeros(0)), LogError),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error):
        call()
