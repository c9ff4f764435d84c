r"""Two made-up tasks whose relation is a dial (Ma et al. 2018, section 3; chapter 08).

    w_1 = c u_1,   w_2 = c (p u_1 + sqrt(1 - p^2) u_2)
    y_k = w_k x + sum_i sin(alpha_i w_k x + beta_i) + noise of variance 0.01

``u_1`` and ``u_2`` are orthonormal, so ``p`` is the cosine of the two directions. Both tasks read
the input through one number each; at p = 1 it is the same number.

The paper gives neither ``c`` nor the ``alpha_i``. `LAWS` was chosen so that the correlation of
the labels follows its Figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from course.experiments.gates import overlap
from course.models.multitask import MixtureOfExperts, SharedBottom, Task
from course.simulator.streams import generator
from course.training import learning_rate_factor

NOISE = 0.1
"""Standard deviation of the noise in the labels: variance 0.01."""

BATCH = 128
LEARNING_RATE = 3e-2
"""Best of .003, .01 and .03 for every contestant, on problems that the ledger does not use."""

STEPS = 2_000
QUICK_DIM, QUICK_STEPS, QUICK_RUNS = 8, 600, 4
NEEDS = (-1.0, -0.5, 0.0, 0.5, 1.0)
CORRELATIONS = (0.5, 0.9, 1.0)
TEST_ROWS = 4_000

PAPERS_P = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Where the paper's Figure 2 was read off."""

PAIR = (Task("task 1", "regression"), Task("task 2", "regression"))


@dataclass(frozen=True)
class Laws:
    """What the paper leaves open: scale ``c``, number ``m`` of sines, ``alpha_i = spacing * i``."""

    scale: float
    sines: int
    spacing: float

    @property
    def alpha(self) -> np.ndarray:
        """Frequencies (m,) of the sines."""
        return self.spacing * np.arange(1, self.sines + 1)


LAWS = Laws(scale=0.5, sines=5, spacing=3.0)


class Problems:
    """``n`` pairs of tasks, each with its own directions and phases.

    Parameters
    ----------
    correlation : (n,) cosine ``p`` of each pair, -1 to 1
    dim : width of the input, at least 2
    laws : Laws
    rng : numpy Generator
    """

    def __init__(self, correlation, dim: int, laws: Laws, rng: np.random.Generator):
        p = np.asarray(correlation, float)[:, None]
        u = np.linalg.qr(rng.normal(size=(len(p), dim, 2)))[0].transpose(0, 2, 1)
        w = np.stack([u[:, 0], p * u[:, 0] + np.sqrt(1 - p**2) * u[:, 1]], axis=1)
        beta = rng.uniform(0, 2 * np.pi, (len(p), 1, laws.sines, 1))
        self.laws, self.dim, self.n = laws, dim, len(p)
        self.directions = torch.from_numpy(laws.scale * w).float()  # (n, 2, d)
        self._beta = torch.from_numpy(beta).float()
        self._alpha = torch.from_numpy(laws.alpha).float()[:, None]

    def labels(self, x: Tensor) -> Tensor:
        """Noise-free labels (n, b, 2) of inputs (b, d). Both tasks of a pair share the phases."""
        z = self.directions @ x.T  # (n, 2, b)
        waves = torch.sin(self._alpha * z[:, :, None] + self._beta).sum(dim=2)
        return (z + waves).transpose(1, 2)


def label_correlation(p, laws: Laws = LAWS, n: int = 10_000, seed: int = 0, repeats: int = 20):
    """Pearson correlation of the two labels, mean over ``repeats`` draws of the phases.

    Parameters
    ----------
    p : float or (k,), cosine of the directions
    n : points

    Returns
    -------
    (k,) float
    """
    rng = generator(seed, "label correlation")
    p = np.atleast_1d(np.asarray(p, float))
    total = np.zeros(len(p))
    for _ in range(repeats):
        z = laws.scale * rng.normal(size=(2, n))
        beta = rng.uniform(0, 2 * np.pi, laws.sines)

        def label(z, beta=beta):
            return z + np.sin(laws.alpha * z[..., None] + beta).sum(-1) + NOISE * rng.normal(size=n)

        first = label(z[0])
        for i, q in enumerate(p):
            second = label(q * z[0] + math.sqrt(1 - q * q) * z[1])
            total[i] += np.corrcoef(first, second)[0, 1]
    return total / repeats


def shapes(dim: int = 32, experts: int = 6, width: int = 8, tower: int = 8) -> dict[str, Callable]:
    """The contestants, as functions of a seed, in the layout of that paper.

    Experts and gates read the input. "shared bottom" has the width that the paper's rule gives
    (equal weights, gates not counted); "shared bottom, gates counted" has as many multiplications
    as the mixture with one gate for each task, gates and mixing included.
    """

    def mixture(seed, **changes):
        return MixtureOfExperts(
            dim, PAIR, experts, (width,), 0, gates="input", tower=tower, seed=seed, **changes
        )

    def bottom(units):
        return lambda seed: SharedBottom(dim, PAIR, (units,), tower, seed=seed)

    # dim*E*h + 2*h*t weights against (dim + 2*t) for each unit of a shared layer.
    papers = round((dim * experts * width + 2 * width * tower) / (dim + 2 * tower))
    towers = 2 * tower  # the second layers of the towers
    counted = round((mixture(0).multiplications() - towers) / (dim + 2 * tower))
    return {
        "shared bottom": bottom(papers),
        "shared bottom, gates counted": bottom(counted),
        "one gate": lambda seed: mixture(seed, one_gate=True),
        "multitask": mixture,
    }


@dataclass(frozen=True)
class Runs:
    """What came out of some trainings.

    Attributes
    ----------
    loss : (n,) mean squared error against the noise-free labels, sum of both tasks
    curve : (points, n) training loss on the way, ``step`` (points,) where
    gates : (n, 2, E) mean gates at the end, or None
    """

    loss: np.ndarray
    curve: np.ndarray
    step: np.ndarray
    gates: np.ndarray | None


def train(
    make: Callable[[int], torch.nn.Module],
    problems: Problems,
    steps: int = STEPS,
    seed: int = 0,
    learning_rate: float = LEARNING_RATE,
    progress: Callable[..., object] | None = None,
) -> Runs:
    """Train one model on each of the problems, all at once.

    The models share nothing but the inputs: their weights are stacked and each step is one
    batched product. Adam works weight by weight, so this is the same as one after the other.

    Parameters
    ----------
    make : function of a seed -> model
    problems : Problems (n)
    steps : each with 128 fresh points
    """
    models = [make(1_000 * seed + i) for i in range(problems.n)]
    skeleton = models[0]
    weights, buffers = stack_module_state(models)
    forward = vmap(lambda w, b, x: functional_call(skeleton, (w, b), (x,)), in_dims=(0, 0, None))
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate, fused=True)
    draw = torch.Generator().manual_seed(7_919 * seed + 1)
    every, curve = max(1, steps // 40), []
    window = torch.zeros(problems.n)
    for step in range(steps):
        x = torch.randn(BATCH, problems.dim, generator=draw)
        noise = NOISE * torch.randn(problems.n, BATCH, 2, generator=draw)
        factor = 1.0 if step < steps // 2 else learning_rate_factor(
            step - steps // 2, steps - steps // 2, warmup=0.0
        )  # fmt: skip
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        error = forward(weights, buffers, x) - problems.labels(x) - noise
        each = (error**2).mean(dim=1).sum(dim=1)
        optimizer.zero_grad()
        each.sum().backward()
        optimizer.step()
        window += each.detach()
        if (step + 1) % every == 0:
            curve.append(window / every)
            window = torch.zeros(problems.n)
            if progress is not None:
                progress(step + 1, steps, f"loss {float(curve[-1].mean()):.2f}")
    x = torch.randn(TEST_ROWS, problems.dim, generator=torch.Generator().manual_seed(seed))
    gates = None
    with torch.no_grad():
        loss = ((forward(weights, buffers, x) - problems.labels(x)) ** 2).mean(dim=1).sum(dim=1)
        if isinstance(skeleton, MixtureOfExperts):
            for i, model in enumerate(models):  # the trained weights lie in the stack
                model.load_state_dict({name: w[i] for name, w in weights.items()})
            gates = np.stack([model.gates(x).mean(dim=0).numpy() for model in models])
    at = every * np.arange(1, len(curve) + 1)
    return Runs(loss.numpy(), torch.stack(curve).numpy(), at, gates)


def contest(
    correlations: Sequence[float] = CORRELATIONS,
    runs: int = 8,
    dim: int = 32,
    steps: int = STEPS,
    seed: int = 0,
    laws: Laws = LAWS,
    which: Mapping[str, Callable] | None = None,
    progress: Callable[..., object] | None = None,
) -> dict[str, dict[float, Runs]]:
    """Train every contestant on the same problems, the same points and the same noise.

    Returns
    -------
    contestant -> correlation -> Runs
    """
    which = shapes(dim) if which is None else which
    p = np.repeat(np.asarray(correlations, float), runs)
    problems = Problems(p, dim, laws, generator(seed, "two tasks"))
    out = {}
    for name, make in which.items():
        all_runs = train(make, problems, steps, seed, progress=progress)
        out[name] = {
            float(q): _part(all_runs, slice(i * runs, (i + 1) * runs))
            for i, q in enumerate(correlations)
        }
    return out


def _part(runs: Runs, rows: slice) -> Runs:
    gates = None if runs.gates is None else runs.gates[rows]
    return Runs(runs.loss[rows], runs.curve[:, rows], runs.step, gates)


def quick(
    experts: int,
    correlation: float,
    seed: int = 7,
    progress: Callable[..., object] | None = None,
) -> dict[str, Runs]:
    """A contest small enough for a slider: 8 inputs, 600 steps, four pairs of tasks.

    Returns
    -------
    Runs of the mixture ("multitask") and of the shared bottom with as many multiplications
    """
    problems = Problems(
        [correlation] * QUICK_RUNS, QUICK_DIM, LAWS, generator(seed, "two tasks, quick")
    )
    every = shapes(QUICK_DIM, experts)
    chosen = {"multitask": every["multitask"],
              "shared bottom": every["shared bottom, gates counted"]}  # fmt: skip
    out = {}
    for i, (name, make) in enumerate(chosen.items()):

        def report(done, total, text="", i=i):
            progress(i * total + done, 2 * total, text)

        out[name] = train(make, problems, QUICK_STEPS, seed,
                          progress=None if progress is None else report)  # fmt: skip
    return out


def needs_shapes() -> dict[str, Callable]:
    """Contestants of the small problem, and a shared bottom with four times the units."""
    every = shapes(QUICK_DIM, 8)
    unit = QUICK_DIM + 2 * 8  # multiplications for each unit of a shared layer
    width = round((every["multitask"](0).multiplications() - 16) / unit)
    return {
        "shared bottom": every["shared bottom, gates counted"],
        "shared bottom, four times": lambda seed: SharedBottom(
            QUICK_DIM, PAIR, (4 * width,), 8, seed=seed
        ),
        "one gate": every["one gate"],
        "multitask": every["multitask"],
    }


def needs_trial(seed: int, runs: int = 12) -> dict[str, float]:
    """Losses over the whole range of directions, in the small problem, and the labels' relation.

    At p = -1 and at p = 0 the labels have next to nothing to do with each other. But at -1 both
    tasks need the same number of the input, and at 0 two different ones.
    """
    out = {}
    rng = generator(seed, "needs, labels")
    for p in NEEDS:
        problems = Problems([p] * 50, QUICK_DIM, LAWS, rng)
        x = torch.randn(2_000, QUICK_DIM, generator=torch.Generator().manual_seed(seed))
        labels = problems.labels(x).numpy()
        out[f"{p:g}/label correlation"] = float(np.mean([np.corrcoef(y.T)[0, 1] for y in labels]))
    found = contest(NEEDS, runs, QUICK_DIM, QUICK_STEPS, seed, which=needs_shapes())
    for name, by_p in found.items():
        for p, done in by_p.items():
            out[f"{p:g}/{name}/loss"] = float(done.loss.mean())
            if name == "multitask":
                out[f"{p:g}/{name}/overlap"] = float(overlap(done.gates)[:, 0, 1].mean())
    return out


def trial(seed: int, runs: int = 12) -> dict[str, float]:
    """Losses of all contestants, the label correlation, and the overlap of the gates."""
    out = {f"label correlation/{p:g}": float(c) for p, c in
           zip(PAPERS_P, label_correlation(PAPERS_P, seed=seed), strict=True)}  # fmt: skip
    for name, by_p in contest(runs=runs, seed=seed).items():
        for p, found in by_p.items():
            out[f"{name}/{p:g}/loss"] = float(found.loss.mean())
            out[f"{name}/{p:g}/worst"] = float(found.loss.max())
            out[f"{name}/{p:g}/best"] = float(found.loss.min())
            if name == "multitask":
                out[f"{name}/{p:g}/overlap"] = float(overlap(found.gates)[:, 0, 1].mean())
    return out
