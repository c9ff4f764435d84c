"""Trials of chapter 09: the plane's contestants, Ma et al.'s tasks, many runs side by side."""

import numpy as np
import pytest
import torch

from course.ledger import registry
from course.lessons import many_objectives as mo
from course.plots.paper import P2_FIG5

C9 = registry._module(
    next(p for p in registry.chapter_files() if str(p).endswith("ledger/chapter_09.py"))
)


@pytest.mark.parametrize("key", C9.ON_PLANE)
def test_multiplications_are_counted_right_and_nearly_equal(key):
    name, budget = C9.ON_PLANE[key]
    for shape in C9.SHAPES[name]:
        model = C9.made(name, shape, budget, seed=1)
        _, cost = C9.cost_of(name, shape, budget)
        tables = sum(
            p.numel() for n, p in model.named_parameters() if p.dim() >= 2 and "shift" not in n
        )
        experts = getattr(model, "count", 1)
        if experts > 1:  # mixing
            gates = 1 if name == "one gate" else 2
            tables += gates * experts * model.experts.weight.shape[2]
        elif name == "film":
            tables += model.first.out_features
        else:
            tables -= model.gate.weight.numel()  # a single expert's gate is always 1
        assert tables == cost
        assert cost <= budget if experts > 1 else budget <= cost < 1.06 * budget


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, shapes in C9.CONTEST.items() for shape in shapes]
)
def test_all_shapes_of_the_seven_tasks_cost_the_same(name, shape):
    assert C9.cost_in_world(name, shape) == pytest.approx(19_900, rel=0.01)


@pytest.mark.parametrize("name", C9.SHAPES)
def test_everybody_on_the_plane_learns(name):
    model = C9.made(name, C9.SHAPES[name][0], 600, seed=1)
    x = torch.randn(6, 10)
    assert model(x, x[:, :2]).shape == (6, 2)
    assert C9.error(model, 1, steps=60) < 0.9


def test_ma_et_als_tasks_against_their_formula():
    pair = C9.Sines(0.3, dim=5, seed=1)
    way, shift = pair.way.double(), pair.shift.tolist()
    assert torch.allclose(way.norm(dim=1), torch.tensor(0.5).double())
    assert float(way[0] @ way[1]) == pytest.approx(0.3 * 0.25, abs=1e-6)
    place, x, label = pair.draw(5_000)
    assert place.shape == (5_000, 0)
    z = x.double() @ way.T
    clean = z + sum(torch.sin(3 * (i + 1) * z + shift[i]) for i in range(5))
    off = label - clean
    assert abs(float(off.mean())) < 0.01 and float(off.std()) == pytest.approx(0.1, rel=0.1)
    _, _, same = C9.Sines(1.0, seed=2).draw(1_000)
    assert np.corrcoef(same.T)[0, 1] > 0.95


def test_runs_side_by_side_are_the_same_as_one_after_the_other(monkeypatch):
    monkeypatch.setattr(C9, "RUN_STEPS", 5)
    monkeypatch.setattr(C9, "LOOKS", (5,))
    random = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=random)
    y = (torch.rand(300, 7, generator=random) < 0.4).float()
    looks, loss = C9.train_runs(x, y, 0.05, False, 0.0, seed=3, batch=16, test=100)
    assert looks[5].shape == (C9.RUNS, 7, 8) and loss.shape == (C9.RUNS,)

    model = C9.OverPlain(6, mo.best_constants(y), 0.0, 3_001)  # the second of them, alone
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    draw = torch.Generator().manual_seed(3)
    spread = torch.where(mo.YES_NO, torch.ones(7), y.var(dim=0, correction=0))
    weights = torch.tensor(list(mo.WEIGHTS.values())) / spread
    for _ in range(5):
        rows = torch.randint(200, (C9.RUNS, 16), generator=draw)[1]
        optimizer.zero_grad()
        (weights * mo.task_losses(model(x[rows])[0], y[rows])).sum().backward()
        optimizer.step()
    with torch.no_grad():
        out, gates = model(x[200:])
        alone = (weights * mo.task_losses(out, y[200:])).sum()
    assert float(loss[1]) == pytest.approx(float(alone), rel=1e-4)
    assert torch.allclose(looks[5][1], gates.mean(dim=0), atol=1e-5)


def test_the_papers_gates_are_shares():
    assert np.allclose(np.sum(P2_FIG5, axis=1), 1.0, atol=0.03)
