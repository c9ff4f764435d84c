"""Learning from all pairs by Gramians."""

import numpy as np
import pytest
import torch

from course.errors import ConfigError, LogError
from course.models.gramian import (
    ContextModel,
    Gravity,
    fit_context_model,
    gramian,
    mean_squared_score,
)


def vectors(n, m, d=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw), torch.randn(m, d, generator=draw)


def test_identity_of_all_pairs():
    u, v = vectors(7, 5)
    assert torch.allclose(mean_squared_score(u, v), ((u @ v.T) ** 2).mean(), atol=1e-6)


def test_first_batch_gives_the_exact_value_and_gradient():
    u, v = (x.requires_grad_() for x in vectors(7, 5))
    value = Gravity(4, rate=0.1)(u, v)
    value.backward()
    exact = ((u @ v.T) ** 2).mean()
    assert torch.allclose(value, exact, atol=1e-6)
    du, dv = torch.autograd.grad(exact, (u, v))
    assert torch.allclose(u.grad, du, atol=1e-6)
    assert torch.allclose(v.grad, dv, atol=1e-6)


def test_moving_average_comes_closer_than_one_batch():
    u, v = vectors(2_000, 2_000, seed=1)
    exact = gramian(v)
    gravity, draw = Gravity(4, rate=0.02), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _ in range(200):
            rows = torch.randint(2_000, (50,), generator=draw)
            gravity(u[rows], v[rows])
    one = (gramian(v[rows]) - exact).norm()
    assert (gravity.right - exact).norm() < 0.5 * one


def test_model_tells_pairs_from_others():
    rng = np.random.default_rng(0)
    catalogue = np.stack([np.arange(40), np.arange(40) % 4], axis=1)
    context = rng.integers(4, size=(4_000, 1))
    video = 4 * rng.integers(10, size=4_000) + context[:, 0]  # a context watches its own group
    model = ContextModel([4], [40, 4], dim=8, seed=1)
    fit_context_model(model, context, video, catalogue, epochs=3, batch=128)
    with torch.no_grad():
        u = model.contexts(torch.arange(4)[:, None])
        v = model.videos(torch.from_numpy(catalogue))
    scores = (u @ v.T).numpy()
    own = catalogue[:, 1][None, :] == np.arange(4)[:, None]
    assert scores[own].min() > scores[~own].max()
    # In the limit p / (p + w p_all), here 1 / (1 + 1/4) for pairs that occur evenly.
    assert abs(scores[~own]).mean() < 0.2


@pytest.mark.parametrize(
    "call",
    [
        lambda: Gravity(0),
        lambda: Gravity(4, rate=0.0),
        lambda: Gravity(4, rate=1.5),
        lambda: ContextModel([], [3]),
        lambda: ContextModel([3], [0]),
        lambda: ContextModel([3], [3], weight=-1.0),
    ],
)
def test_bad_settings(call):
    with pytest.raises(ConfigError):
        call()


def test_bad_pairs():
    model, catalogue = ContextModel([3], [3]), np.arange(3)[:, None]
    with pytest.raises(LogError, match=r"shape \(0, 1\)"):
        fit_context_model(model, np.zeros((0, 1), int), np.zeros(0, int), catalogue)
    with pytest.raises(LogError, match="video 3"):
        fit_context_model(model, np.zeros((1, 1), int), np.array([3]), catalogue)
