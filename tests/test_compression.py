"""Students and fewer bits."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from course import plots
from course.errors import ConfigError
from course.experiments import compression as c
from course.experiments.ranking import RankingTask
from course.simulator.config import WorldConfig
from course.world import simulate


@pytest.fixture(scope="module")
def task():
    world = simulate(WorldConfig.of("tiny", days=16), seed=4, cache=False)
    return RankingTask(world, 400)


def test_rounding_by_hand():
    weight = torch.tensor([[1.27, -0.634, 0.0], [-254.0, 2.9, 127.1], [0.0, 0.0, 0.0]])
    found = c.rounded(weight, 8)
    by_hand = torch.tensor([[1.27, -0.63, 0.0], [-254.0, 2.0, 128.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(found, by_hand)
    assert torch.allclose(c.rounded(weight[:1], 2), torch.tensor([[1.27, 0.0, 0.0]]))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_so_many_bits_hold_so_many_values(bits):
    weight = torch.randn(5, 4_000)
    found = c.rounded(weight, bits)
    for row, original in zip(found, weight, strict=True):
        assert len(row.unique()) <= 2**bits - 1
        step = original.abs().max() / (2 ** (bits - 1) - 1)
        assert (row - original).abs().max() <= step / 2 + 1e-6


def test_a_model_is_rounded_in_a_copy():
    model = nn.Sequential(nn.Embedding(6, 3), nn.Linear(3, 2))
    kept = [p.clone() for p in model.parameters()]
    copy = c.quantised(model, 3)
    assert all(torch.equal(a, b) for a, b in zip(kept, model.parameters(), strict=True))
    assert torch.equal(copy[1].bias, model[1].bias)
    assert torch.allclose(copy[0].weight, c.rounded(model[0].weight, 3))
    assert not torch.equal(copy[1].weight, model[1].weight)


def test_bytes_by_hand():
    model = nn.Sequential(nn.Embedding(6, 3), nn.Linear(3, 2))
    assert c.size_in_bytes(model) == 4 * (18 + 6 + 2)
    assert c.size_in_bytes(model, 8) == (18 + 6 * 4) + (6 + 2 * 4) + 4 * 2
    assert c.size_in_bytes(model, 4) == (9 + 24) + (3 + 8) + 8


@pytest.mark.parametrize("bits", [1, 17, 2.5])
def test_bits_out_of_range(bits):
    with pytest.raises(ConfigError, match="bits"):
        c.rounded(torch.ones(2, 2), bits)


def test_rounding_wants_a_matrix():
    with pytest.raises(ConfigError, match="shape"):
        c.rounded(torch.ones(3))


def test_the_taught_loss_is_least_at_the_odds():
    odds = torch.tensor([0.1, 1.0, 9.0])
    loss, rows = c.teach(odds), torch.arange(3)
    best = loss(odds.log(), rows)
    for shift in (-0.2, 0.2):
        for i in range(3):
            z = odds.log()
            z[i] += shift
            assert loss(z, rows) > best
    z = odds.log().requires_grad_(True)
    loss(z, rows).backward()
    assert torch.allclose(z.grad, torch.zeros(3), atol=1e-7)


def test_a_student_follows_its_teacher(task):
    teacher = c.fit_ranker(task, (16,), seed=1, epochs=1)
    odds = c.ensemble_odds([teacher], task.train)
    student = c.fit_student(task, odds, (16,), seed=2)
    untaught = c.fit_student(task, None, (16,), seed=2)

    def distance(model):
        return np.corrcoef(model.logits(task.test), teacher.logits(task.test))[0, 1]

    assert distance(student) > 0.97 and distance(student) > distance(untaught)


@pytest.mark.parametrize("odds", [np.ones(3), "zero"])
def test_bad_odds(task, odds):
    odds = np.zeros(len(task.rows)) if isinstance(odds, str) else odds
    with pytest.raises(ConfigError, match="odds"):
        c.fit_student(task, odds)


def test_share_of_the_gain():
    minutes = {"past ranking": 4.0, "teachers": 8.0, "small": 7.0}
    assert c.kept(minutes, "small") == 75.0


def test_trial_and_its_figures(monkeypatch, task):
    monkeypatch.setattr(c, "compression_task", lambda seed: task)
    monkeypatch.setattr(c, "TEACHERS", 2)
    monkeypatch.setattr(c, "TEACHER", (16, 8))
    one = c.trial(1, n=60)
    assert one["teachers/multiplications"] == 2 * one["one teacher/multiplications"]
    assert one["one teacher, 8 bits/bytes"] < one["one teacher/bytes"] / 3
    assert one["past ranking/minutes"] < one["oracle/minutes"]
    table = pd.DataFrame([one, {k: 1.02 * v for k, v in one.items()}])
    assert plots.png(plots.price_of_quality(table))
    weight = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    scores = {b: np.linspace(-1, 1, 30) + b for b in (0, 8, 4, 2)}
    for bits in (8, 2):
        assert plots.png(plots.fewer_bits(weight, scores, bits))
    assert len(plots.fewer_bits_at(weight, scores).axes) == 6
