"""Shared bottom, experts and gates, against hand counts and slower twins."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from course.errors import ConfigError
from course.models.multitask import (
    MixtureOfExperts,
    MultitaskLoss,
    SharedBottom,
    Stack,
    Task,
    column,
    drop_experts,
)

TASKS = (
    Task("click", "binary", "engagement"),
    Task("watch", "regression", "engagement"),
    Task("like", "binary", "satisfaction"),
)
X = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
CONTEXT = torch.nn.functional.one_hot(torch.arange(64) % 4, 4).float()


def mixture(**changes):
    return MixtureOfExperts(10, TASKS, 4, (6, 5), 12, **{"context": 4, "tower": 3, **changes})


def labels(n=200, seed=0):
    rng = np.random.default_rng(seed)
    y = np.stack(
        [rng.random(n) < 0.3, rng.normal(3.0, 2.0, n), rng.random(n) < 0.5], axis=1
    ).astype(np.float32)
    y[y[:, 0] == 0, 1:] = np.nan  # watch and like are known after a click only
    return torch.from_numpy(y)


@pytest.mark.parametrize("gates", ["shared", "input", "context"])
def test_gates_sum_to_one_and_come_task_by_task(gates):
    model = mixture(gates=gates)
    g = model.gates(X, CONTEXT)
    assert g.shape == (64, 3, 4) and (g > 0).all()
    assert torch.allclose(g.sum(dim=2), torch.ones(64, 3), atol=1e-6)
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.zero_()
        model.gate.bias[4:8] = torch.tensor([0.0, 9.0, 0.0, 0.0])  # the second task's second expert
    g = model.gates(X, CONTEXT)
    assert torch.allclose(g[:, [0, 2]], torch.full((64, 2, 4), 0.25))
    assert (g[:, 1, 1] > 0.99).all()


@pytest.mark.parametrize("gates", ["shared", "input", "context"])
def test_forward_agrees_with_loops_over_tasks_and_experts(gates):
    model = mixture(gates=gates).eval()
    s = torch.relu(X @ model.shared.weight.T + model.shared.bias)
    z = {"shared": s, "input": X, "context": CONTEXT}[gates]
    outputs = []
    for e in range(4):
        h = s
        for layer in model.layers:
            h = torch.relu(h @ layer.weight[e] + layer.bias[e])
        outputs.append(h)
    columns = []
    for k in range(3):
        rows = slice(4 * k, 4 * k + 4)
        g = torch.softmax(z @ model.gate.weight[rows].T + model.gate.bias[rows], dim=1)
        mixed = sum(g[:, e : e + 1] * outputs[e] for e in range(4))
        first, last = model.towers.hidden, model.towers.out
        h = mixed @ first.weight[k] + first.bias[k]
        h = torch.where(h > 0, h, 0.1 * h)
        columns.append((h @ last.weight[k] + last.bias[k])[:, 0])
    assert torch.allclose(model(X, CONTEXT), torch.stack(columns, dim=1), atol=1e-5)


def test_one_expert_is_a_shared_bottom():
    one = MixtureOfExperts(10, TASKS, 1, (6, 5), 12, tower=3)
    bottom = SharedBottom(10, TASKS, (12, 6, 5), tower=3)
    bottom.towers.load_state_dict(one.towers.state_dict())
    bottom.layers[0].load_state_dict(one.shared.state_dict())
    with torch.no_grad():
        for there, here in zip(bottom.layers[1:], one.layers, strict=True):
            there.weight.copy_(here.weight[0].T)
            there.bias.copy_(here.bias[0, 0])
    assert torch.allclose(one(X), bottom(X), atol=1e-6)


def test_identical_gates_are_one_gate():
    many, one = mixture(), mixture(one_gate=True)
    state = many.state_dict()
    state["gate.weight"] = state["gate.weight"][:4].repeat(3, 1)
    state["gate.bias"] = state["gate.bias"][:4].repeat(3)
    many.load_state_dict(state)
    one.load_state_dict({**state, "gate.weight": state["gate.weight"][:4],
                         "gate.bias": state["gate.bias"][:4]})  # fmt: skip
    assert torch.allclose(many(X), one(X), atol=1e-6)
    assert one.gates(X).shape == (64, 3, 4)


def test_film_starts_as_the_plain_shared_bottom_and_then_bends_by_context():
    film = SharedBottom(10, TASKS, (8, 6), context=4, film=True, seed=3)
    plain = SharedBottom(10, TASKS, (8, 6))
    plain.load_state_dict({k: v for k, v in film.state_dict().items() if "film" not in k})
    assert torch.allclose(film(X, CONTEXT), plain(X), atol=1e-6)
    with torch.no_grad():
        film.film.weight[:8, 0] = -1.0  # in context 0 the first layer is switched off
    same = film(X[:1].repeat(64, 1) + X, CONTEXT)
    assert same[CONTEXT[:, 0] == 1].std(dim=0).max() < 1e-5
    assert same[CONTEXT[:, 0] == 0].std(dim=0).min() > 1e-3


def test_multiplications_against_counting_by_hand():
    # shared 10x12; experts 4 x (12x6 + 6x5); gates 3 tasks x 4 x 12; mixing 3 x 4 x 5;
    # towers 3 x (5x3 + 3).
    assert mixture().multiplications() == 120 + 4 * (72 + 30) + 144 + 60 + 54
    assert mixture(gates="input").multiplications() == 120 + 408 + 120 + 60 + 54
    assert mixture(gates="context").multiplications() == 120 + 408 + 48 + 60 + 54
    assert mixture(one_gate=True).multiplications() == 120 + 408 + 48 + 20 + 54
    on_input = MixtureOfExperts(10, TASKS, 4, (6, 5), 0, tower=3)
    assert on_input.multiplications() == 4 * (60 + 30) + 120 + 60 + 54
    assert SharedBottom(10, TASKS, (12, 6), tower=3).multiplications() == 120 + 72 + 3 * 21
    film = SharedBottom(10, TASKS, (12, 6), tower=3, context=4, film=True)
    assert film.multiplications() == 120 + 72 + 63 + 4 * 24 + 12


@pytest.mark.parametrize("make", [mixture, lambda: mixture(one_gate=True),
                                  lambda: SharedBottom(10, TASKS, (12, 6))])  # fmt: skip
def test_multiplications_against_counting_operations(make):
    model = make().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(X, CONTEXT)
    assert counter.get_total_flops() == 2 * len(X) * model.multiplications()


def test_dropped_experts_leave_a_sum_of_one():
    torch.manual_seed(0)
    gate = torch.softmax(torch.randn(4000, 3, 8), dim=-1)
    dropped = drop_experts(gate, 0.1)
    assert torch.allclose(dropped.sum(dim=-1), torch.ones(4000, 3), atol=1e-5)
    assert (dropped == 0).float().mean() == pytest.approx(0.1, abs=0.005)
    left = dropped > 0
    ratio = torch.where(left, dropped / gate, torch.nan)  # what is left keeps its proportions
    spread = ratio.nan_to_num(0).amax(-1) - ratio.nan_to_num(9e9).amin(-1)
    assert spread.abs().max() < 1e-3
    alone = torch.ones(500, 3, 1)
    assert torch.equal(drop_experts(alone, 0.5), alone)  # the last expert cannot be dropped


def test_dropout_works_in_training_only():
    model = mixture(gate_dropout=0.5)
    assert not torch.allclose(model(X), model(X))
    model.eval()
    assert torch.equal(model(X), model(X))


def test_stack_agrees_with_its_layers_on_both_kinds_of_input():
    stack = Stack(3, 10, 4)
    each = torch.stack([X @ stack.weight[i] + stack.bias[i] for i in range(3)])
    assert torch.allclose(stack(X), each, atol=1e-6)
    assert torch.allclose(stack(X.expand(3, -1, -1)), each, atol=1e-6)


def test_loss_against_loops_over_the_known_labels():
    y = labels()
    out = torch.randn(len(y), 3, generator=torch.Generator().manual_seed(2))
    loss = MultitaskLoss(TASKS, y)
    known = ~torch.isnan(y[:, 1])
    p = torch.sigmoid(out)

    def entropy(k, rows):
        return -(y[rows, k] * p[rows, k].log() + (1 - y[rows, k]) * (1 - p[rows, k]).log()).mean()

    watch = ((out[known, 1] - y[known, 1]) ** 2).mean() / y[known, 1].var()
    everything = torch.ones(len(y), dtype=torch.bool)
    want = entropy(0, everything) + watch + entropy(2, known)
    assert loss(out, torch.arange(len(y))) == pytest.approx(float(want), rel=1e-5)
    heavier = MultitaskLoss((TASKS[0], Task("watch", "regression", weight=3.0), TASKS[2]), y)
    assert heavier(out, torch.arange(len(y))) == pytest.approx(float(want + 2 * watch), rel=1e-5)


def test_batches_add_up_to_the_whole():
    y = labels()
    out = torch.randn(len(y), 3)
    loss, rows = MultitaskLoss(TASKS, y), torch.arange(len(y))
    parts = [float(loss(out[r], r)) for r in rows.split(50)]
    assert np.mean(parts) == pytest.approx(float(loss(out, rows)), rel=1e-5)


def test_unknown_labels_give_no_gradient():
    y = labels()
    out = torch.zeros(len(y), 3, requires_grad=True)
    MultitaskLoss(TASKS, y)(out, torch.arange(len(y))).backward()
    assert ((out.grad[:, 1:] == 0) == torch.isnan(y[:, 1:])).all()


def test_outputs_start_at_the_base_rates():
    y = labels(5000)
    model = mixture()
    with torch.no_grad():
        model.towers.out.weight.zero_()
    model.start_at(y)
    made = model.predict(X)
    assert made["click"].numpy() == pytest.approx(float(y[:, 0].mean()))
    assert made["watch"].numpy() == pytest.approx(float(y[:, 1].nanmean()))
    assert made["like"].numpy() == pytest.approx(float(y[:, 2].nanmean()))


def test_the_same_seed_makes_the_same_model_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    a, b, other = mixture(seed=1), mixture(seed=1), mixture(seed=2)
    assert torch.rand(1) == first
    assert torch.equal(a(X), b(X)) and not torch.equal(a(X), other(X))


def test_two_tasks_are_learned_and_their_gates_come_apart():
    """Two tasks read two halves of the input: after training their gates overlap less."""
    from course.training import fit

    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 10, generator=rng)
    y = torch.stack([x[:, :5].sum(dim=1), x[:, 5:].sum(dim=1)], dim=1)
    tasks = (Task("left", "regression"), Task("right", "regression"))
    loss = MultitaskLoss(tasks, y)
    model = MixtureOfExperts(10, tasks, 4, (8,), 0, seed=1)

    before = model.gates(x).mean(dim=0)
    overlap_before = torch.minimum(before[0], before[1]).sum()

    def batch(rows):
        return loss(model(x[rows]), rows)

    fit(model.parameters(), batch, len(x), epochs=10, batch=200)
    everything = torch.arange(len(x))
    assert batch(everything) < 0.1
    after = model.gates(x).mean(dim=0)
    assert torch.minimum(after[0], after[1]).sum() < overlap_before - 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mixture(seed=0, gates="all"), r"gates='all'.*shared, input, context"),
        (lambda: MixtureOfExperts(10, TASKS, 0), r"experts=0.*at least 1"),
        (lambda: MixtureOfExperts(10, TASKS, 2.5), r"experts=2.5"),
        (lambda: MixtureOfExperts(10, TASKS, 4, ()), r"layers of an expert=0"),
        (lambda: MixtureOfExperts(10, TASKS, 4, (8, 0)), r"width of an expert's layer=0"),
        (lambda: MixtureOfExperts(10, TASKS, gates="context"), r"context=0"),
        (lambda: mixture(gate_dropout=1.0), r"gate_dropout=1.0.*below 1"),
        (lambda: mixture(gate_dropout=-0.1), r"gate_dropout=-0.1"),
        (lambda: SharedBottom(10, TASKS, ()), r"layers=0"),
        (lambda: SharedBottom(10, (), (8,)), r"there is no task"),
        (lambda: SharedBottom(10, (Task("a"), Task("a"))), r"'a' stands twice"),
        (lambda: SharedBottom(10, TASKS, film=True), r"context=0"),
        (lambda: Task("click", "ordinal"), r"'ordinal'.*binary or regression"),
        (lambda: Task("click", weight=-1.0), r"weight of task 'click'=-1.0"),
        (lambda: column(TASKS, "likes"), r"no task 'likes'.*click, watch, like"),
        (lambda: mixture(gates="context")(X), r"read context features, and got none"),
        (lambda: SharedBottom(10, TASKS, context=4, film=True)(X), r"needs the context"),
    ],
)  # fmt: skip
def test_bad_models_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_bad_labels_are_refused():
    y = labels()
    none = y.clone()
    none[:, 2] = torch.nan
    with pytest.raises(ConfigError, match="'like' has no label at all"):
        MultitaskLoss(TASKS, none)
    alike = y.clone()
    alike[:, 0] = 0.0
    with pytest.raises(ConfigError, match="All 200 labels of task 'click' are 0"):
        MultitaskLoss(TASKS, alike)
    stars = y.clone()
    stars[3, 0] = 4.0
    with pytest.raises(ConfigError, match="'click' is binary and has the label 4"):
        MultitaskLoss(TASKS, stars)
    with pytest.raises(ConfigError, match=r"shape \(200, 2\)"):
        MultitaskLoss(TASKS, y[:, :2])
