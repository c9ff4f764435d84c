"""Treatments of position bias in the first edition's world, which chapters 12 and 13 still use."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from course import simulate
from course.experiments import position_bias
from course.models.position_bias import ClickModel, MainTower, fit_clicks, pieces
from course.models.ranking import FirstLinear, InputLayer
from course.simulator.names import DEVICES


@pytest.fixture(scope="module")
def task():
    world = simulate("tiny", seed=3, cache=False)
    return position_bias.BiasTask(world, test_pages=600)


@pytest.fixture(scope="module")
def models(task):
    found = {}
    torch.manual_seed(0)
    for name in ("one", "two"):
        main = MainTower(FirstLinear(InputLayer(task.features), 64), (64, 32), start=-1.0)
        found[name] = ClickModel(main, task.slate, len(DEVICES))
    return found


def test_places_are_row_aligned_with_the_log(task):
    row = 1_234
    card = task.rows.iloc[row]
    assert task.position[row] == card["position"] and task.clicked[row] == card["clicked"]
    assert DEVICES[task.device[row]] == card["device"]
    assert torch.equal(position_bias.device_of(task.train), task.device)


def test_training_on_pages_is_training_on_their_rows(task, models):
    """A ranking batch is cut by pages; the labels must go with the cards."""
    parts = list(pieces(task.train, 5_000))
    rows = torch.cat([r for _, r in parts])
    assert torch.equal(rows, torch.arange(len(task.train)))
    # A label that is one of the inputs can be learned only if cards and labels stay together.
    device = task.device.numpy()
    model = models["one"]
    fit_clicks(model, task.train, task.position, device, device == 2, epochs=3, batch=500,
               learning_rate=1e-2)  # fmt: skip
    p = expit(position_bias.served(model, task.train))
    assert p[device == 2].mean() > 0.8 and p[device != 2].mean() < 0.1


def test_inputs_are_shared_by_the_policies(task, models):
    inputs = position_bias.SharedInputs(task.features)
    made = []
    original = task.features.of_requests
    task.features.of_requests = lambda *a: made.append(1) or original(*a)
    try:
        from course import ab_test

        policies = {n: position_bias.policy(m, inputs) for n, m in models.items()}
        ab_test(task.world, policies, n=60)
    finally:
        del task.features.of_requests
    assert len(made) == 1


def test_leaning_of_orders_that_are_known(task):
    watches = task.test_inputs.column("video watches") + np.linspace(0, 1e-3, len(task.test_inputs))
    assert position_bias.leaning(task, watches) == pytest.approx(1, abs=0.02)  # but for ties
    assert position_bias.leaning(task, -watches) == pytest.approx(-1, abs=0.02)
    chance = np.random.default_rng(0).random(len(watches))
    assert position_bias.leaning(task, chance) == pytest.approx(0, abs=0.06)
