"""Gates that go over to one expert: provoked by a bad learning rate, held back by drop-out.

P2 trained on many machines and saw it in one run of five. Here one process trains many models
side by side on the same plain table of numbers; nothing diverges unless the step is too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from course.experiments.gates import effective_experts, polarised
from course.experiments.seven_tasks import TASKS, SevenTasks
from course.models.multitask import MixtureOfExperts, MultitaskLoss
from course.training import learning_rate_factor

RUNS, STEPS, BATCH = 16, 600, 512
TRAIN_ROWS, TEST_ROWS = 60_000, 20_000
DROPOUT = 0.1
"""P2's: each expert is left out of each gate with this probability."""

_SANE = {"learning_rate": 0.01, "schedule": True}
_STRESSED = {"learning_rate": 0.04, "schedule": False}
SETTINGS = {
    "sane": {**_SANE, "gate_dropout": 0.0},
    "sane, drop-out": {**_SANE, "gate_dropout": DROPOUT},
    "stressed": {**_STRESSED, "gate_dropout": 0.0},
    "stressed, drop-out": {**_STRESSED, "gate_dropout": DROPOUT},
}
"""A small step, warmed up and cooled down, and a large constant one; each without and with the
drop-out."""


@dataclass(frozen=True)
class Table:
    """Cards as plain numbers: ``x`` (n, d) and labels (n, 7); test rows apart."""

    x: Tensor
    labels: Tensor
    test_x: Tensor
    test_labels: Tensor


def table(data: SevenTasks, seed: int = 0) -> Table:
    """A random part of a world's cards: normalised numbers with their powers, and the context."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(data.labels), generator=draw)[: TRAIN_ROWS + TEST_ROWS]
    batch = data.train
    numbers = torch.cat([batch.numbers[rows], batch.query_numbers[batch.page[rows]]], dim=1)
    x = torch.cat([numbers, numbers**2, numbers.sqrt(), data.context[rows]], dim=1)
    y, cut = data.labels[rows], TRAIN_ROWS * len(rows) // (TRAIN_ROWS + TEST_ROWS)
    return Table(x[:cut], y[:cut], x[cut:], y[cut:])


@dataclass(frozen=True)
class Gates:
    """What came out of some runs: mean gates (runs, 7, E), held-out loss (runs,)."""

    gates: np.ndarray
    loss: np.ndarray

    @property
    def polarised(self) -> np.ndarray:
        """Whether any gate of the run has gone over to one expert (runs,) bool."""
        return polarised(self.gates)


def train_runs(
    given: Table,
    *,
    learning_rate: float,
    schedule: bool,
    gate_dropout: float,
    runs: int = RUNS,
    steps: int = STEPS,
    seed: int = 0,
    progress=None,
) -> Gates:
    """Train several models that differ in nothing but chance: first weights, batches, drop-out.

    With common batches they would be no independent runs: what polarises one then helps to
    polarise the others.

    Parameters
    ----------
    schedule : warm up and cool down the learning rate; False = it stays as it is
    """
    models = [
        MixtureOfExperts(given.x.shape[1], TASKS, 8, (8, 8), 32, gate_dropout=gate_dropout,
                         seed=1_000 * seed + i)
        for i in range(runs)
    ]  # fmt: skip
    for model in models:
        model.start_at(given.labels)
    weights, buffers = stack_module_state(models)
    skeleton = models[0].train()
    loss = MultitaskLoss(TASKS, given.labels)

    def one(w, b, x, rows):
        return loss(functional_call(skeleton, (w, b), (x,)), rows)

    losses = vmap(one, in_dims=(0, 0, 0, 0), randomness="different")
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate, fused=True)
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the drop-out
        for step in range(steps):
            rows = torch.randint(len(given.x), (runs, BATCH), generator=draw)
            if schedule:
                factor = learning_rate_factor(step, steps)
                optimizer.param_groups[0]["lr"] = learning_rate * factor
            optimizer.zero_grad()
            losses(weights, buffers, given.x[rows], rows).sum().backward()
            optimizer.step()
            if progress is not None and (step + 1) % 20 == 0:
                progress(step + 1, steps)
    test = MultitaskLoss(TASKS, given.test_labels)
    everything = torch.arange(len(given.test_x))
    gates, held_out = [], []
    for i, model in enumerate(models):
        model.load_state_dict({name: w[i].detach() for name, w in weights.items()})
        model.eval()
        with torch.no_grad():
            gates.append(model.gates(given.test_x).mean(dim=0).numpy())
            held_out.append(float(test(model(given.test_x), everything)))
    return Gates(np.stack(gates), np.array(held_out))


def summary(found: dict[str, Gates]) -> dict[str, float]:
    """Flat numbers for the ledger."""
    out = {}
    for name, f in found.items():
        sick = f.polarised
        for threshold in (1.2, 1.5, 2.0):
            out[f"{name}/polarised below {threshold:g}"] = float(
                polarised(f.gates, threshold).mean()
            )
        out[f"{name}/least effective experts"] = float(
            effective_experts(f.gates).min(axis=1).mean()
        )
        out[f"{name}/loss"] = float(f.loss.mean())
        out[f"{name}/loss of polarised"] = float(f.loss[sick].sum())
        out[f"{name}/polarised runs"] = float(sick.sum())
        out[f"{name}/runs"] = float(len(sick))
    return out
