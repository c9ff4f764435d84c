"""Chapter 09's lesson: experts, gates and surgery, against plain loops and closed forms."""

import pytest
import torch
from torch import nn

from course import simulate
from course.lessons import many_objectives as mo
from course.lessons import mixtures_of_experts as me
from course.lessons.ranking_features import InputLayer, Scales
from course.tasks.seven_tasks import SevenTasks


@pytest.fixture(scope="module")
def data():
    return SevenTasks(simulate("village", seed=4, cache=False), 60)


@pytest.fixture(scope="module")
def scaled(data):
    return Scales(data.train)(data.test)


def ranker(data, *sizes, **options):
    return me.RankingMixture(InputLayer(data.features), torch.zeros(7), *sizes, **options)


def test_needs_sum_to_one_and_turn_with_the_place():
    plane = me.Plane(seed=1)
    place, card, worth = plane.draw(50)
    needs = plane.needs(place)
    assert torch.allclose(needs.sum(dim=2), torch.ones(2, 50))
    by_hand = (needs[1, 7] * plane.components(card)[7]).sum()
    assert worth[7, 1] == pytest.approx(float(by_hand), rel=1e-5)
    middle = plane.needs(torch.zeros(1, 2))
    assert torch.allclose(middle, torch.full((2, 1, 4), 0.25))
    right = plane.needs(torch.tensor([[1.0, 0.0]]))
    assert right[0, 0].argmax() == 0 and right[1, 0].argmax() == 2  # the opposite side


def test_dials_of_the_plane():
    place = me.Plane(seed=1).draw(20)[0]
    agree = me.Plane(conflict=False, seed=1).needs(place)
    assert torch.equal(agree[0], agree[1])
    still = me.Plane(turning=False, seed=1).needs(place)
    assert torch.equal(still[:, 0], still[:, 7])  # everywhere the same, and
    assert still[0, 0].argmax() != still[1, 0].argmax()  # still at odds


def test_one_expert_is_a_shared_layer():
    model = me.MMoE(10, 2, experts=1, width=5, seed=3)
    x = torch.randn(8, 10)
    layer = nn.Linear(10, 5)
    with torch.no_grad():
        layer.weight.copy_(model.experts.weight[0].T)
        layer.bias.copy_(model.experts.shift[0, 0])
        assert torch.allclose(model(x, x[:, :2]), model.towers(layer(x).relu()), atol=1e-5)


def test_multiplications_are_those_of_the_tables():
    model = me.MMoE(10, 2, experts=6, width=6)
    tables = model.experts.weight.numel() + model.gate.weight.numel()
    towers = model.towers.first.numel() + model.towers.last.numel()
    assert me.multiplications(6, 6) == tables + towers + 2 * 6 * 6
    assert me.multiplications(1, 20) == 10 * 20 + 2 * (20 * 8 + 8)


def test_a_mixture_learns_the_plane_better_than_a_layer():
    left = {}
    for experts, width in ((1, 22), (6, 6)):
        plane = me.Plane(seed=5)
        model = me.train_on(plane, me.MMoE(10, 2, experts=experts, width=width, seed=5))
        left[experts] = float(me.error_left(plane, model).mean())
    assert left[6] < 0.6 * left[1] and left[1] < 0.3


def test_surgery_and_sparse_gates():
    gates = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    kept = me.keep_experts(gates, torch.tensor([True, True, False]))
    assert torch.allclose(kept, torch.tensor([[0.625, 0.375, 0.0], [0.0, 0.0, 1.0]]))
    two = me.top_k(gates[:1], 2)
    assert torch.allclose(two, kept[:1]) and torch.allclose(me.top_k(gates, 3), gates)
    sparse = me.SparseMMoE(10, 2, experts=8, width=4)
    shares = sparse.gates(torch.randn(20, 2))
    assert ((shares > 0).sum(dim=2) == 2).all()
    assert torch.allclose(shares.sum(dim=2), torch.ones(20, 2))


@pytest.mark.parametrize(
    "options",
    [{}, {"shared": 9, "reads": "shared"}, {"shared": 9}, {"reads": "input"}, {"one_gate": True},
     {"normalised": True}],
)  # fmt: skip
def test_every_layout_against_a_loop_over_experts(data, scaled, options):
    model = ranker(data, 3, 5, **options)
    with torch.no_grad():
        said, gates = model.parts(scaled)
        assert said.shape == (3, len(scaled), 5)
        assert torch.allclose(gates.sum(dim=2), torch.ones(gates.shape[:2]))
        mixed = torch.stack([
            sum(gates[:, min(m, gates.shape[1] - 1), [e]] * said[e] for e in range(3))
            for m in range(7)
        ])  # fmt: skip
        assert torch.allclose(model(scaled), model.towers(mixed), atol=1e-4)


def test_drop_out_on_gates_only_while_it_is_on(data, scaled):
    model = ranker(data, 4, 5)
    with torch.no_grad():
        plain = model(scaled)
        model.drop = 0.5
        torch.manual_seed(0)
        _, gates = model.parts(scaled)
        assert (gates == 0).any() and torch.allclose(gates.sum(dim=2), torch.ones(len(gates), 7))
        model.drop = 0.0
        assert torch.equal(model(scaled), plain)


def test_film_begins_as_the_plain_shared_bottom(data, scaled):
    film = me.FilmBottom(InputLayer(data.features), torch.zeros(7), (12,))
    bottom = mo.SharedBottom(InputLayer(data.features), torch.zeros(7), (12,))
    with torch.no_grad():
        assert torch.allclose(film(scaled), bottom(scaled), atol=1e-6)
