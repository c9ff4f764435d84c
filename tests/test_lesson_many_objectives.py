"""Chapter 08's lesson: masked losses, towers, gradients, combination, against plain loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from course import simulate
from course.lessons import many_objectives as mo
from course.lessons.ranking_features import InputLayer, Scales
from course.tasks.next_day import LivePages
from course.tasks.seven_tasks import TASKS, SevenTasks


@pytest.fixture(scope="module")
def data():
    return SevenTasks(simulate("village", seed=4, cache=False), 300)


@pytest.fixture(scope="module")
def scaled(data):
    scales = Scales(data.train)
    return scales(data.train), scales(data.test)


def labels(n=40, seed=0):
    random = torch.Generator().manual_seed(seed)
    made = (torch.rand(n, 7, generator=random) < 0.5).float()
    made = torch.where(mo.YES_NO, made, 1 + 4 * torch.rand(n, 7, generator=random))
    made[torch.rand(n, 7, generator=random) < 0.6] = torch.nan
    return made


def test_what_is_not_known_has_no_gradient():
    own = labels()
    outputs = torch.zeros(40, 7, requires_grad=True)
    mo.task_losses(outputs, own).sum().backward()
    assert torch.isfinite(outputs.grad).all()
    assert torch.equal(outputs.grad != 0, ~torch.isnan(own))


def test_a_row_of_towers_is_one_network_for_each_task():
    random = torch.Generator().manual_seed(3)
    towers = mo.Towers(5, torch.arange(4.0))
    h = torch.randn(6, 5, generator=random)
    by_hand = [
        functional.leaky_relu(h @ towers.first[m] + towers.shift[m], 0.1) @ towers.last[m]
        + towers.bias[m]
        for m in range(4)
    ]
    assert torch.allclose(towers(h), torch.cat(by_hand, dim=1), atol=1e-6)
    own = h.expand(4, -1, -1) + torch.arange(4.0)[:, None, None]
    assert torch.allclose(towers(own)[:, 2], towers(own[2])[:, 2], atol=1e-6)


def test_the_best_constants_are_where_the_losses_are_least():
    own = labels(400)
    start = mo.best_constants(own)
    outputs = start.expand(400, 7).clone().requires_grad_()
    mo.task_losses(outputs, own).sum().backward()
    assert outputs.grad.sum(dim=0).abs().max() < 1e-5


def test_rare_labels_count_by_their_share_of_the_whole_log(data, scaled):
    """One step over all pages: the weighted sum of the tasks' means, brought to scale."""
    model = mo.SharedBottom(InputLayer(data.features), mo.best_constants(data.labels), (6,))
    with torch.no_grad():
        losses = mo.task_losses(model(scaled[0]), data.labels)
    spread = torch.tensor(np.nanvar(data.labels.numpy(), axis=0))
    weights = torch.tensor([mo.WEIGHTS[task] for task in TASKS])
    want = (weights * losses / torch.where(mo.YES_NO, 1.0, spread)).sum()
    found = mo.train_tasks(model, scaled[0], data.labels, passes=1, pages=scaled[0].pages)
    assert found[0] == pytest.approx(float(want), rel=1e-4)


def test_training_learns_and_predictions_are_in_range(data, scaled):
    model = mo.SharedBottom(InputLayer(data.features), mo.best_constants(data.labels), (16, 8))
    mo.train_tasks(model, scaled[0], data.labels, passes=3)
    said = mo.predict_tasks(model, scaled[1])
    assert list(said) == list(TASKS) and len(said) == len(data.fresh)
    assert said.drop(columns=["rating", "watch time"]).stack().between(0, 1).all()
    found = data.captured(said)
    assert found["click/captured"] > 0.1 and found["watch time/captured"] > 0.3


def test_cosines_of_gradients_against_autograd_one_by_one():
    weight = torch.randn(3, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    losses = torch.stack([weight.sum(), -weight.sum(), (weight[0] ** 2).sum()])
    found = mo.cosines(losses, weight)
    assert torch.allclose(found.diagonal(), torch.ones(3))
    assert found[0, 1] == pytest.approx(-1) and torch.allclose(found, found.T)


def test_a_weighted_product_sorts_by_hand_worked_pages():
    factors = {"click": np.array([0.1, 0.2, 0.4]), "watch time": np.array([8.0, 4.0, 1.0]),
               "rating": np.array([0.9, 0.5, 0.5])}  # fmt: skip
    even = mo.combine(factors, {"click": 1, "watch time": 1})
    assert np.allclose(np.exp(even), [0.8, 0.8, 0.4])
    assert mo.combine(factors, {"click": 1, "watch time": 1, "rating": 2}).argmax() == 0
    assert mo.combine(factors, {"click": 1}).argmax() == 2


def test_factors_are_above_zero_and_grow_with_what_is_good():
    said = pd.DataFrame(0.5, index=range(2), columns=TASKS)
    said["rating"], said["dismissal"] = [1.0, 5.0], [1.0, 0.0]
    factors = mo.factors_of(said, np.array([60.0, 600.0]))
    assert all((values > 0).all() for values in factors.values())
    assert factors["watch time"].tolist() == [0.5, 5.0]
    assert factors["rating"].tolist() == [0.01, 1.0] and np.diff(factors["no dismissal"]) > 0


def test_a_frontier_buys_satisfaction_with_minutes(data):
    pages = LivePages(data.world, data.features, n=200)
    truth = mo.factors_of(pages.truth(), pages.batch.number("duration"))
    found = mo.frontier(pages, truth, rating=(0.0, 4.0, 16.0))
    assert found["watch_minutes"].is_monotonic_decreasing
    assert found.loc[4.0, "satisfied"] > found.loc[0.0, "satisfied"]
