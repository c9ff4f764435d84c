"""Progressive layered extraction, and the count of winners and losers."""

import pytest
import torch

from course.errors import ConfigError
from course.experiments import seesaw
from course.experiments.seven_tasks import TASKS, SevenTasks
from course.models.multitask import MixtureOfExperts, Task
from course.models.ple import Level, ProgressiveLayers
from course.simulator.config import WorldConfig
from course.world import simulate

PAIR = (Task("one"), Task("two", "regression"))


def test_one_level_is_what_the_equation_says():
    level = Level(5, tasks=2, own=2, common=3, width=4, last=True)
    x = torch.randn(7, 5)
    out = level([x, x, x])
    for k in (0, 1):
        experts = [torch.relu(x @ w + b) for stack in (level.experts[k], level.experts[2])
                   for w, b in zip(stack.weight, stack.bias, strict=True)]  # fmt: skip
        gate = torch.softmax(level.gate[k](x), dim=1)
        by_hand = sum(gate[:, i, None] * expert for i, expert in enumerate(experts))
        assert len(experts) == 5 and torch.allclose(out[k], by_hand, atol=1e-6)


def test_the_others_experts_are_out_of_reach():
    model = ProgressiveLayers(5, PAIR, own=2, common=1, hidden=(4, 4), seed=1)
    x = torch.randn(6, 5)
    before = model(x)
    with torch.no_grad():  # the experts of the second task on the first level
        model.levels[0].experts[1].weight.add_(1.0)
    after = model(x)
    assert not torch.allclose(before[:, 1], after[:, 1])
    # They reach the first task by the common stream alone, which the second level reads.
    assert not torch.allclose(before[:, 0], after[:, 0])
    alone = ProgressiveLayers(5, PAIR, own=2, common=0, hidden=(4, 4), seed=1)
    before = alone(x)
    with torch.no_grad():
        alone.levels[0].experts[1].weight.add_(1.0)
    assert torch.equal(before[:, 0], alone(x)[:, 0])
    assert not torch.allclose(before[:, 1], alone(x)[:, 1])


def test_gates_sum_to_one_and_list_own_experts_first():
    model = ProgressiveLayers(5, PAIR, own=2, common=3, hidden=(4,), seed=1)
    gates = model.gates(torch.randn(9, 5))
    assert gates.shape == (9, 2, 5)
    assert torch.allclose(gates.sum(dim=2), torch.ones(9, 2))


def test_with_common_experts_alone_it_would_be_a_mixture():
    """Own experts that the gate never opens: what is left is a mixture of experts."""
    mixture = MixtureOfExperts(5, PAIR, 3, (4,), 0, gates="input", tower=6, seed=2)
    model = ProgressiveLayers(5, PAIR, own=1, common=3, hidden=(4,), tower=6, seed=3)
    level = model.levels[0]
    with torch.no_grad():
        level.experts[2].load_state_dict(mixture.layers[0].state_dict())
        model.towers.load_state_dict(mixture.towers.state_dict())
        for k, gate in enumerate(level.gate):
            gate.weight[1:] = mixture.gate.weight[3 * k : 3 * k + 3]
            gate.bias[1:] = mixture.gate.bias[3 * k : 3 * k + 3]
            gate.weight[0], gate.bias[0] = 0.0, -1e4
    x = torch.randn(8, 5)
    assert torch.allclose(model(x), mixture(x), atol=1e-5)


def test_multiplications_are_counted_by_hand():
    model = ProgressiveLayers(10, PAIR, own=2, common=3, hidden=(4,), shared=6, tower=8)
    experts = 7 * 6 * 4
    gates = 2 * (6 * 5 + 5 * 4)
    assert model.multiplications() == 10 * 6 + experts + gates + 2 * (4 * 8 + 8)
    two = ProgressiveLayers(10, PAIR, own=1, common=1, hidden=(4, 3), tower=8)
    first = 3 * 10 * 4 + 2 * (10 * 2 + 2 * 4) + (10 * 3 + 3 * 4)
    second = 3 * 4 * 3 + 2 * (4 * 2 + 2 * 3)
    assert two.multiplications() == first + second + 2 * (3 * 8 + 8)


def test_contestants_cost_about_the_same():
    cost = {name: make(181, 0).multiplications() for name, make in seesaw.CONTESTANTS.items()}
    assert abs(cost["MMoE"] / cost["PLE"] - 1) < 0.03
    assert abs(cost["MMoE"] / cost["alone"] - 1) < 0.03
    assert abs(cost["MMoE on the input"] / cost["PLE on the input"] - 1) < 0.03


@pytest.mark.parametrize("bad", [{"own": 0}, {"common": -1}, {"hidden": ()}, {"hidden": (0,)}])
def test_sizes_out_of_range(bad):
    with pytest.raises(ConfigError):
        ProgressiveLayers(5, PAIR, **bad)


def test_seesaws_are_counted():
    alone = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5}
    found = seesaw.seesaw({"a": 0.6, "b": 0.55, "c": 0.4, "d": 0.505}, alone)
    assert found == {"better": 2, "worse": 1, "seesaw": 2}
    assert seesaw.seesaw({"a": 0.4, "b": 0.4, "c": 0.4, "d": 0.4}, alone)["seesaw"] == 0
    with pytest.raises(ConfigError, match="tasks"):
        seesaw.seesaw({"a": 0.4}, alone)


def test_a_contestant_learns_in_a_tiny_world():
    data = SevenTasks(simulate(WorldConfig.of("tiny"), seed=2, cache=False), 400)
    ranker = seesaw.fit_contestant(data, "PLE", seed=1)
    found = seesaw.captured(data, ranker)
    assert set(found) == {task.name for task in TASKS}
    assert found["click"] > 0.1  # 0 = knows nothing but the mean
    with pytest.raises(ConfigError, match="PLE"):
        seesaw.fit_contestant(data, "nobody")
