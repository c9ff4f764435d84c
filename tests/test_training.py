"""The fit loop: its schedule by hand, its determinism, its errors."""

import math

import pytest
import torch

from course.errors import ConfigError
from course.training import fit, learning_rate_factor, softmax_cross_entropy


def regression(seed=0, rows=200):
    """Weights to learn, the loss of a batch, and the weights that made the data."""
    rng = torch.Generator().manual_seed(seed)
    x, true = torch.randn(rows, 3, generator=rng), torch.tensor([1.0, -2.0, 0.5])
    w = torch.zeros(3, requires_grad=True)
    return w, lambda i: ((x[i] @ w - x[i] @ true) ** 2).mean(), true


def test_cross_entropy_by_hand():
    scores = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    # Row 1: the right class has 1 of 4 parts, row 2: 4 of 5.
    expected = -(math.log(1 / 4) + math.log(4 / 5)) / 2
    loss = softmax_cross_entropy(scores, torch.tensor([0, 0]))
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_warm_up_and_cosine_by_hand():
    factors = [learning_rate_factor(step, 10, warmup=0.2) for step in range(10)]
    assert factors[:3] == pytest.approx([0.5, 1.0, 1.0])
    # Half-way between step 2 and step 10 the cosine has reached one half.
    assert factors[6] == pytest.approx(0.5)
    assert factors[9] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    assert factors[9] > 0
    assert [learning_rate_factor(s, 4, 0.5, cosine=False) for s in range(4)] == [0.5, 1, 1, 1]
    assert learning_rate_factor(0, 1, 0.0) == 1.0


def test_steps_use_the_schedule():
    # Adam's first step has the length of the learning rate, whatever the gradient.
    w = torch.zeros(1, requires_grad=True)
    fit([w], lambda i: 5 * w.sum(), 10, batch=1, learning_rate=0.3, warmup=0.1)
    moved = [-0.3 * learning_rate_factor(step, 10) for step in range(10)]
    assert float(w.detach()) == pytest.approx(sum(moved), rel=1e-4)


def test_it_learns_and_every_epoch_sees_every_example_once():
    w, loss, true = regression()
    seen = []

    def counting(rows):
        seen.append(rows.clone())
        return loss(rows)

    history = fit([w], counting, 200, epochs=40, batch=64, learning_rate=0.1)
    assert torch.allclose(w, true, atol=1e-2)
    assert history.losses[-1] < 1e-3 * history.losses[0]
    assert len(history.losses) == len(history.seconds) == 40
    assert [len(rows) for rows in seen[:4]] == [64, 64, 64, 8]
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:8])
    assert sorted(first.tolist()) == list(range(200)) == sorted(second.tolist())
    assert not torch.equal(first, second)


def test_epoch_loss_is_the_mean_over_examples():
    # With no learning rate the loss of each example is its number: mean 4.5, not that of batches.
    w = torch.zeros(1, requires_grad=True)
    history = fit(
        [w], lambda i: i.float().mean() + w.sum(), 10, batch=4, learning_rate=0.0, warmup=0
    )
    assert history.losses == pytest.approx([4.5])


def test_the_seed_decides_the_weights():
    def trained(seed):
        w, loss, _ = regression()
        fit([w], loss, 200, epochs=2, batch=32, seed=seed)
        return w.detach()

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


def test_groups_have_their_own_rate_and_decay():
    fast, slow, held = (torch.ones(1, requires_grad=True) for _ in range(3))
    fit(
        [
            {"params": [fast], "lr": 0.1},
            {"params": [slow]},
            {"params": [held], "weight_decay": 1.0},
        ],
        lambda i: fast.sum() + slow.sum() + 0 * held.sum(),
        1,
        learning_rate=0.01,
        warmup=0,
    )
    assert [float(t.detach()) for t in (fast, slow, held)] == pytest.approx([0.9, 0.99, 0.99])


def test_sparse_tables_move_only_where_they_were_used():
    table = torch.nn.Embedding(5, 2, sparse=True)
    before = table.weight.detach().clone()
    rows = torch.tensor([1, 3])
    fit(
        [{"params": table.parameters(), "sparse": True}],
        lambda i: (table(rows[i]) ** 2).sum(),
        2,
        epochs=3,
        batch=1,
    )
    moved = (table.weight.detach() != before).any(dim=1)
    assert moved.tolist() == [False, True, False, True, False]


def test_progress_is_called_after_every_step():
    w, loss, _ = regression()
    calls = []
    history = fit([w], loss, 200, epochs=2, batch=64, progress=lambda *args: calls.append(args))
    assert [done for done, _, _ in calls] == list(range(1, 9))
    assert {steps for _, steps, _ in calls} == {8}
    assert [value for _, _, value in calls] == history.step_losses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch": 2.5}, "batch=2.5"),
        ({"seed": -1}, "seed=-1"),
        ({"warmup": 1.0}, "warmup=1.0"),
        ({"learning_rate": float("nan")}, "learning rate=nan"),
        ({"learning_rate": -0.1}, "learning rate=-0.1"),
    ],
)
def test_wrong_settings_are_named(options, message):
    w, loss, _ = regression()
    with pytest.raises(ConfigError, match=message):
        fit([w], loss, 200, **options)


def test_wrong_examples_and_groups_are_named():
    w, loss, _ = regression()
    with pytest.raises(ConfigError, match="n_examples=0"):
        fit([w], loss, 0)
    with pytest.raises(ConfigError, match="nothing to learn"):
        fit([], loss, 200)
    with pytest.raises(ConfigError, match="'rate'"):
        fit([{"params": [w], "rate": 1.0}], loss, 200)
    with pytest.raises(ConfigError, match="every row at every step"):
        fit([{"params": [w], "sparse": True, "weight_decay": 0.1}], loss, 200)


def test_a_loss_that_is_no_number_stops_the_training():
    w = torch.zeros(1, requires_grad=True)
    with pytest.raises(ConfigError, match="nan at step 3 of 10"):
        steps = iter(range(10))
        fit([w], lambda i: w.sum() * (math.nan if next(steps) == 2 else 1), 10, batch=1)
