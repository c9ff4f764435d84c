"""The two-task problem: its correlation, trainings side by side, and what gates do."""

import numpy as np
import pytest
import torch

from course.experiments import two_tasks
from course.experiments.gates import effective_experts, overlap, polarised
from course.experiments.two_tasks import LAWS, Problems, label_correlation, shapes, train
from course.plots import paper_multitask as paper


def test_directions_have_the_wanted_cosine_and_length():
    p = np.array([-1.0, 0.0, 0.5, 1.0])
    w = Problems(p, 12, LAWS, np.random.default_rng(0)).directions.double().numpy()
    assert np.allclose(np.linalg.norm(w, axis=2), LAWS.scale)
    assert np.allclose((w[:, 0] * w[:, 1]).sum(axis=1) / LAWS.scale**2, p, atol=1e-6)


def test_labels_against_the_formula():
    problems = Problems([0.3, 0.3], 5, LAWS, np.random.default_rng(1))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    y = problems.labels(x).numpy()
    z = float(problems.directions[1, 0] @ x[3])
    beta = problems._beta[1, 0, :, 0].numpy()
    want = z + sum(np.sin(LAWS.spacing * (i + 1) * z + beta[i]) for i in range(LAWS.sines))
    assert y.shape == (2, 7, 2) and y[1, 3, 0] == pytest.approx(want, abs=1e-5)


def test_tasks_are_one_at_correlation_one():
    problems = Problems([1.0], 6, LAWS, np.random.default_rng(2))
    y = problems.labels(torch.randn(50, 6))
    assert torch.allclose(y[..., 0], y[..., 1], atol=1e-5)


def test_label_correlation_is_near_the_papers_and_below_the_diagonal():
    p = np.array(two_tasks.PAPERS_P)
    found = label_correlation(p, repeats=6)
    assert np.abs(found - paper.MMOE_FIG2).max() < 0.06
    assert (found[:-1] < p[:-1] - 0.1).all() and found[-1] > 0.98


def test_equal_multiplications_are_equal():
    made = {name: make(0).multiplications() for name, make in shapes(32, 6, 8).items()}
    assert made["multitask"] == 32 * 48 + 2 * 6 * 32 + 2 * 6 * 8 + 2 * (64 + 8)
    assert abs(made["shared bottom, gates counted"] - made["multitask"]) <= 24
    assert made["shared bottom"] < made["one gate"] < made["multitask"]


def test_side_by_side_is_the_same_as_one_after_the_other():
    """The second model of a batch of runs, against a plain loop that trains it alone."""
    problems = Problems([0.5, 0.5, 0.9], 8, LAWS, np.random.default_rng(3))
    make, steps, seed = shapes(8, 3, 4)["multitask"], 30, 1
    together = train(make, problems, steps, seed)
    model = make(1_000 * seed + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=two_tasks.LEARNING_RATE)
    draw = torch.Generator().manual_seed(7_919 * seed + 1)
    for step in range(steps):
        x = torch.randn(two_tasks.BATCH, 8, generator=draw)
        noise = two_tasks.NOISE * torch.randn(3, two_tasks.BATCH, 2, generator=draw)
        y = problems.labels(x)[1] + noise[1]
        late = max(0, step - steps // 2) / (steps // 2)
        optimizer.param_groups[0]["lr"] = two_tasks.LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * late))
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean(dim=0).sum().backward()
        optimizer.step()
    x = torch.randn(two_tasks.TEST_ROWS, 8, generator=torch.Generator().manual_seed(seed))
    loss = ((model(x) - problems.labels(x)[1]) ** 2).mean(dim=0).sum()
    assert together.loss[1] == pytest.approx(loss.item(), rel=1e-3)
    assert np.allclose(together.gates[1], model.gates(x).mean(dim=0).detach(), atol=1e-4)


def test_a_short_training_learns_and_reports():
    told = []
    problems = Problems([1.0] * 2, 6, LAWS, np.random.default_rng(4))
    runs = train(
        shapes(6, 2)["multitask"], problems, 400, seed=1, progress=lambda *a: told.append(a)
    )
    assert runs.curve[-1].mean() < 0.5 * runs.curve[0].mean()
    assert told[-1][:2] == (400, 400) and len(told) == len(runs.step) == 40
    assert np.allclose(runs.gates.sum(axis=2), 1.0, atol=1e-5)


def test_quick_reports_progress_over_both_trainings():
    told = []
    found = two_tasks.quick(2, 0.5, progress=lambda done, total, text="": told.append(done / total))
    assert set(found) == {"multitask", "shared bottom"}
    assert told == sorted(told) and told[-1] == 1.0


def test_four_times_is_four_times_and_the_others_are_alike():
    made = {name: make(0).multiplications() for name, make in two_tasks.needs_shapes().items()}
    assert abs(made["shared bottom"] - made["multitask"]) <= 12
    wide = made["shared bottom, four times"] - 16
    assert wide == pytest.approx(4 * (made["shared bottom"] - 16), rel=0.01)


def test_opposite_directions_need_the_same_number_and_have_unrelated_labels():
    problems = Problems([-1.0] * 40 + [0.0] * 40, 6, LAWS, np.random.default_rng(5))
    z = problems.directions
    assert torch.allclose(z[:40, 0], -z[:40, 1], atol=1e-6)
    y = problems.labels(torch.randn(3_000, 6, generator=torch.Generator().manual_seed(1)))
    related = np.array([np.corrcoef(pair.T)[0, 1] for pair in y.numpy()])
    assert abs(related[:40].mean()) < 0.2 and abs(related[40:].mean()) < 0.1


def test_overlap_effective_experts_and_polarisation():
    gates = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert np.allclose(overlap(gates), [[1, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 1]])
    assert np.allclose(effective_experts(gates), [2, 2, 1])
    assert effective_experts(np.full(8, 1 / 8)) == pytest.approx(8)
    assert polarised(gates) and not polarised(gates[:2])
