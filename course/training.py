"""One small fit loop for every model of the course.

    history = fit(model.parameters(), batch_loss, len(labels), epochs=3, seed=7)

``batch_loss`` takes the row numbers of a batch and returns the loss. Everything stays in tensors
that are indexed with one permutation per epoch: at these sizes a loader that fetches examples one
by one would take longer than the training itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.errors import ConfigError, LogError

_GROUP_KEYS = ("params", "lr", "weight_decay", "sparse")


@dataclass
class History:
    """How a training went.

    Attributes
    ----------
    losses : list of float, mean loss over the examples of each epoch, as met during it
    step_losses : list of float, loss of each batch
    seconds : list of float, wall seconds of each epoch
    """

    losses: list[float] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def softmax_cross_entropy(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""Mean of :math:`-\log(e^{s_t} / \sum_j e^{s_j})` over the rows.

    Parameters
    ----------
    scores : float (b, n), one column for each class that competes
    target : int64 (b,), the column of the right class

    Returns
    -------
    float scalar, in nats
    """
    if scores.dim() != 2 or target.shape != scores.shape[:1]:
        raise LogError(
            f"scores have shape {tuple(scores.shape)} and targets {tuple(target.shape)}",
            allowed="(b, n) and (b,)",
        )
    return functional.cross_entropy(scores, target)


def learning_rate_factor(step: int, steps: int, warmup: float = 0.1, cosine: bool = True) -> float:
    """What the learning rate is multiplied with at a step.

    It rises in a straight line during the first ``warmup`` share of the steps, then falls along
    half a cosine towards 0 (without ``cosine`` it stays at 1). The last step still learns.

    Parameters
    ----------
    step : int, 0 to ``steps`` - 1
    steps : int, number of steps of the whole training
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if not cosine:
        return 1.0
    return 0.5 * (1.0 + math.cos(math.pi * (step - rising) / (steps - rising)))


def fit(
    parameters: Iterable[torch.Tensor] | Iterable[Mapping],
    batch_loss: Callable[[torch.Tensor], torch.Tensor],
    n_examples: int,
    *,
    epochs: int = 1,
    batch: int = 512,
    seed: int = 0,
    learning_rate: float = 1e-2,
    warmup: float = 0.1,
    cosine: bool = True,
    progress: Callable[[int, int, float], object] | None = None,
) -> History:
    """Minimise a loss with Adam, in batches, in a new random order at each epoch.

    The same seed and starting weights give the same weights at the same number of threads.

    Parameters
    ----------
    parameters : the tensors to learn, or groups of them: dicts with ``params`` and optionally
        ``lr``, ``weight_decay`` (added to the gradient, as Adam does it) and ``sparse=True`` for
        tables whose gradient is sparse (``nn.Embedding(..., sparse=True)``): those are learned by
        SparseAdam, which touches only the rows that a batch used
    batch_loss : function (rows) -> scalar tensor; ``rows`` is int64 (b,), 0 <= row < n_examples
    n_examples : int
    epochs, batch : int; the last batch of an epoch may be smaller
    seed : int, of the order of the examples (starting weights are the model's affair)
    learning_rate : float, for groups without their own
    warmup, cosine : see `learning_rate_factor`; ``warmup`` is a share of all steps
    progress : called after each step with (steps done, steps in all, loss)

    Raises
    ------
    ConfigError
        For a setting out of range, or when the loss is no longer a number.
    """
    for name, value in (("n_examples", n_examples), ("epochs", epochs), ("batch", batch)):
        check_whole(name, value, 1)
    check_whole("seed", seed, 0)
    if not 0 <= warmup < 1:
        raise ConfigError(f"warmup={warmup!r}", allowed="a share of the steps, from 0 to below 1")
    optimizers = _optimizers(parameters, learning_rate)
    order_of = torch.Generator().manual_seed(int(seed))
    steps = epochs * math.ceil(n_examples / batch)
    history = History()
    for _ in range(epochs):
        start, total = time.perf_counter(), 0.0
        for rows in torch.randperm(n_examples, generator=order_of).split(batch):
            factor = learning_rate_factor(len(history.step_losses), steps, warmup, cosine)
            loss = _step(optimizers, batch_loss, rows, factor)
            if not math.isfinite(loss):
                raise ConfigError(
                    f"The loss is {loss} at step {len(history.step_losses) + 1} of {steps}",
                    fix="lower the learning rate, or look for infinite numbers in the input",
                )
            history.step_losses.append(loss)
            total += loss * len(rows)
            if progress is not None:
                progress(len(history.step_losses), steps, loss)
        history.losses.append(total / n_examples)
        history.seconds.append(time.perf_counter() - start)
    return history


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model predicts: no drop-out, no gradients. Afterwards each part is as it was.

    So a model may be asked in the middle of its training, from ``progress`` for instance.
    """
    found = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in found:
            part.training = training


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch draws from ``seed`` and makes float32; afterwards both are as they were.

    The course's inputs are float32, so its weights are, too, whatever the reader's default is.
    """
    default = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def check_whole(name: str, value: object, low: int) -> None:
    """Raise a `ConfigError` unless ``value`` is a whole number of at least ``low``."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise ConfigError(f"{name}={value!r}", allowed=f"a whole number, at least {low}")


def check_number(name: str, value: object, low: float) -> None:
    """Raise a `ConfigError` unless ``value`` is a finite number of at least ``low``."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < low:
        raise ConfigError(f"{name}={value!r}", allowed=f"a number, at least {low:g}")


def _step(optimizers, batch_loss, rows, factor) -> float:
    for optimizer in optimizers:
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor
    loss = batch_loss(rows)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach())


def _optimizers(parameters, learning_rate):
    """Adam for dense groups, SparseAdam for sparse ones."""
    given = list(parameters)
    if not given:
        raise ConfigError("There is nothing to learn", allowed="at least one tensor")
    groups = given if isinstance(given[0], Mapping) else [{"params": given}]
    dense, sparse = [], []
    for group in groups:
        unknown = sorted(set(group) - set(_GROUP_KEYS))
        if "params" not in group or unknown:
            raise ConfigError(
                f"A group of parameters has the keys {sorted(group)}",
                allowed=f"params, and of the others {', '.join(_GROUP_KEYS[1:])}",
            )
        own = {"params": list(group["params"]), "lr": group.get("lr", learning_rate)}
        check_number("learning rate", own["lr"], 0.0)
        own["full_lr"] = own["lr"]
        if not group.get("sparse", False):
            dense.append({**own, "weight_decay": group.get("weight_decay", 0.0)})
        elif group.get("weight_decay"):
            raise ConfigError(
                f"A sparse group has weight_decay={group['weight_decay']!r}, which would touch "
                "every row at every step",
                fix="add a penalty on the rows of the batch to the loss instead",
            )
        else:
            sparse.append(own)
    optimizers = []
    if dense:
        optimizers.append(torch.optim.Adam(dense, lr=learning_rate, fused=True))
    if sparse:
        optimizers.append(torch.optim.SparseAdam(sparse, lr=learning_rate))
    return optimizers
