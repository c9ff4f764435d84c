"""The contestants on chapter 09's plane: equal in multiplications, and what they are called."""

import pytest
import torch

from course.ledger import registry

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


@pytest.mark.parametrize("name", C9.SHAPES)
def test_everybody_on_the_plane_learns(name):
    model = C9.made(name, C9.SHAPES[name][0], 600, seed=1)
    x = torch.randn(6, 10)
    assert model(x, x[:, :2]).shape == (6, 2)
    assert C9.error(model, 1, steps=60) < 0.9
