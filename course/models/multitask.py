"""Several tasks on one network: shared bottom, mixture of experts with gates (P2, section 4.2).

    tasks = (Task("click"), Task("watch", "regression"))
    model = MixtureOfExperts(64, tasks, experts=8)
    model(x)              # (b, 2): a logit, and a value
    model.gates(x)        # (b, 2, 8): who listens to whom

Both models take one row of numbers for each impression, so any input layer can be put below them.
The layout is P2's: one shared ReLU layer, experts on top of it, a dense softmax gate for each
task, a small tower for each task. All experts are one table (E, in, h) and one batched product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError
from course.training import check_number, check_whole, evaluating, seeded

KINDS = ("binary", "regression")
GATES = ("shared", "input", "context")


@dataclass(frozen=True)
class Task:
    """One thing to predict.

    Parameters
    ----------
    name : str
    kind : {"binary", "regression"}; decides the loss (cross-entropy, squared error)
    group : such as "engagement" or "satisfaction"; for tables and figures
    weight : at least 0; what its loss is multiplied with
    """

    name: str
    kind: str = "binary"
    group: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"Task {self.name!r} is of kind {self.kind!r}", allowed=" or ".join(KINDS)
            )
        check_number(f"weight of task {self.name!r}", self.weight, 0.0)


def task_names(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Names of the tasks, after a check that there are some and that no name stands twice."""
    names = tuple(task.name for task in tasks)
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        what = f"task {twice[0]!r} stands twice" if twice else "there is no task"
        raise ConfigError(f"tasks={list(names)}: {what}", allowed="one or more, each once")
    return names


def column(tasks: Sequence[Task], name: str) -> int:
    """Place of a task among the outputs.

    Raises
    ------
    ConfigError
        If there is no such task; the message lists those that there are.
    """
    names = task_names(tasks)
    if name not in names:
        raise ConfigError(f"There is no task {name!r}", allowed=", ".join(names))
    return names.index(name)


class Stack(nn.Module):
    """``n`` dense layers side by side, as one batched product: (n, b, in) -> (n, b, out).

    Weights (n, in, out) start as in ``nn.Linear``, each of the ``n`` for itself.
    """

    def __init__(self, n: int, inputs: int, outputs: int):
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(n, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, b, out); ``x`` is (n, b, in), or (b, in) if all read the same."""
        if x.dim() == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        n, inputs, outputs = self.weight.shape
        # All read the same input, so the n products are one product with a wide table.
        wide = self.weight.transpose(0, 1).reshape(inputs, n * outputs)
        out = torch.addmm(self.bias.reshape(-1), x, wide)
        return out.reshape(len(x), n, outputs).transpose(0, 1)

    def multiplications(self) -> int:
        """For one row of input."""
        return self.weight.numel()


class Towers(nn.Module):
    """A small network for each task: one hidden layer, one output. (K, b, h) -> (b, K).

    The hidden units are leaky: a tower is so narrow, and a rare task's gradient so rough, that
    with plain ReLU all units of one tower may die.
    """

    def __init__(self, tasks: int, inputs: int, width: int):
        super().__init__()
        self.hidden, self.out = Stack(tasks, inputs, width), Stack(tasks, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (b, K); ``x`` is (K, b, h), or (b, h) if all tasks read the same."""
        return self.out(functional.leaky_relu(self.hidden(x), 0.1))[:, :, 0].T

    def multiplications(self) -> int:
        """For one row of input."""
        return self.hidden.multiplications() + self.out.multiplications()


class Multitask(nn.Module):
    """What both models have in common: tasks, towers, and where the outputs start."""

    def __init__(self, tasks: Sequence[Task]):
        super().__init__()
        self.tasks = tuple(tasks)
        self.names = task_names(self.tasks)

    def start_at(self, labels: Tensor) -> None:
        """Set each output's bias to the task's base rate (its logit, or the mean).

        Otherwise the first part of the training is spent on finding it.

        Parameters
        ----------
        labels : (n, K), NaN where a label is not known
        """
        mean = torch.nanmean(labels, dim=0)
        with torch.no_grad():
            for k, task in enumerate(self.tasks):
                value = mean[k].clamp(1e-6, 1 - 1e-6).logit() if task.kind == "binary" else mean[k]
                self.towers.out.bias[k] = value

    def predict(self, *given: Tensor) -> dict[str, Tensor]:
        """Predictions by name (b,): probabilities of binary tasks, values of the others."""
        with evaluating(self):
            out = self(*given)
        return {
            task.name: torch.sigmoid(out[:, k]) if task.kind == "binary" else out[:, k]
            for k, task in enumerate(self.tasks)
        }


class SharedBottom(Multitask):
    r"""All tasks share the hidden layers; only the towers are their own.

    With ``film=True`` the context turns the first hidden layer up and down, unit by unit
    (feature-wise linear modulation): :math:`h \leftarrow h\,(1 + A c) + B c`.

    Parameters
    ----------
    inputs : width of the input
    tasks : sequence of Task
    hidden : widths of the shared layers
    tower : width of a task's hidden layer
    context : width of the context features; 0 = not used
    film : modulate by the context
    seed : of the starting weights
    """

    def __init__(
        self,
        inputs: int,
        tasks: Sequence[Task],
        hidden: Sequence[int] = (64, 32),
        tower: int = 8,
        *,
        context: int = 0,
        film: bool = False,
        seed: int = 0,
    ):
        super().__init__(tasks)
        for name, value in (("inputs", inputs), ("tower", tower), ("layers", len(hidden))):
            check_whole(name, value, 1)
        for width in hidden:
            check_whole("width of a hidden layer", width, 1)
        if film:
            check_whole("context", context, 1)
        with seeded(seed):
            widths = [inputs, *hidden]
            self.layers = nn.ModuleList(
                nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)
            )
            self.film = nn.Linear(context, 2 * hidden[0], bias=False) if film else None
            self.towers = Towers(len(self.tasks), hidden[-1], tower)
        if film:
            nn.init.zeros_(self.film.weight)  # it starts as the plain shared bottom

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Outputs (b, K): logits of binary tasks, values of the others."""
        for i, layer in enumerate(self.layers):
            x = torch.relu(layer(x))
            if i == 0 and self.film is not None:
                if context is None:
                    raise ConfigError("This model needs the context features, and got none")
                scale, shift = self.film(context).chunk(2, dim=1)
                x = x * (1.0 + scale) + shift
        return self.towers(x)

    def multiplications(self) -> int:
        """Multiplications for one impression, above the input layer."""
        dense = sum(layer.weight.numel() for layer in self.layers)
        film = 0
        if self.film is not None:
            film = self.film.weight.numel() + self.layers[0].out_features
        return dense + film + self.towers.multiplications()


class MixtureOfExperts(Multitask):
    r"""Experts on a shared layer, mixed by a softmax gate for each task (P2, section 4.2).

    .. math:: y_k = h^k\Big(\sum_{i=1}^{E} g^k_i\, f_i(s)\Big), \quad
              g^k = \mathrm{softmax}(W^k z), \quad s = \mathrm{relu}(W x + b)

    The gates are dense: every expert takes part in every task, with its share.

    Parameters
    ----------
    inputs : width of the input ``x``
    tasks : sequence of Task
    experts : number E of experts
    hidden : widths of an expert's layers
    shared : width of the layer ``s`` under the experts; 0 = the experts read the input
    gates : what they read (``z``): {"shared"} the shared layer, {"input"} the model's input,
        {"context"} context features that are handed to `forward`
    context : width of the context features, for ``gates="context"``
    one_gate : all tasks use one and the same gate
    gate_dropout : in training, each expert is left out of each gate with this probability, and
        what remains is brought back to sum 1
    tower : width of a task's hidden layer
    seed : of the starting weights
    """

    def __init__(
        self,
        inputs: int,
        tasks: Sequence[Task],
        experts: int = 8,
        hidden: Sequence[int] = (16, 8),
        shared: int = 48,
        *,
        gates: str = "shared",
        context: int = 0,
        one_gate: bool = False,
        gate_dropout: float = 0.0,
        tower: int = 8,
        seed: int = 0,
    ):
        super().__init__(tasks)
        for name, value, low in (
            ("inputs", inputs, 1),
            ("experts", experts, 1),
            ("layers of an expert", len(hidden), 1),
            ("shared", shared, 0),
            ("tower", tower, 1),
            ("context", context, 1 if gates == "context" else 0),
        ):
            check_whole(name, value, low)
        for width in hidden:
            check_whole("width of an expert's layer", width, 1)
        if gates not in GATES:
            raise ConfigError(f"gates={gates!r}", allowed=", ".join(GATES))
        check_number("gate_dropout", gate_dropout, 0.0)
        if gate_dropout >= 1:
            raise ConfigError(f"gate_dropout={gate_dropout!r}", allowed="0 to below 1")
        self.experts, self.reads, self.one_gate = int(experts), gates, one_gate
        self.gate_dropout = float(gate_dropout)
        below = shared or inputs
        reads = {"shared": below, "input": inputs, "context": context}[gates]
        with seeded(seed):
            self.shared = nn.Linear(inputs, shared) if shared else None
            widths = [below, *hidden]
            self.layers = nn.ModuleList(
                Stack(self.experts, a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)
            )
            n_gates = 1 if one_gate else len(self.tasks)
            self.gate = nn.Linear(reads, n_gates * self.experts)
            self.towers = Towers(len(self.tasks), hidden[-1], tower)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Outputs (b, K): logits of binary tasks, values of the others."""
        s = self._below(x)
        gate = self._gates(x, s, context)
        if self.training and self.gate_dropout:
            gate = drop_experts(gate, self.gate_dropout)
        out = s
        for layer in self.layers:
            out = torch.relu(layer(out))
        mixed = torch.bmm(gate, out.transpose(0, 1))  # (b, gates, E) times (b, E, h)
        if self.one_gate:
            return self.towers(mixed[:, 0])
        return self.towers(mixed.transpose(0, 1))

    def gates(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Gate probabilities (b, K, E); each row sums to one."""
        gate = self._gates(x, self._below(x), context)
        return gate.expand(-1, len(self.tasks), -1) if self.one_gate else gate

    def _below(self, x: Tensor) -> Tensor:
        return x if self.shared is None else torch.relu(self.shared(x))

    def _gates(self, x: Tensor, s: Tensor, context: Tensor | None) -> Tensor:
        if self.reads == "context" and context is None:
            raise ConfigError(
                "The gates of this model read context features, and got none",
                fix="call model(x, context)",
            )
        z = {"shared": s, "input": x, "context": context}[self.reads]
        logits = self.gate(z).unflatten(1, (-1, self.experts))
        # Softmax over the first axis: over a last axis as short as this it is three times slower.
        return torch.softmax(logits.permute(2, 0, 1).contiguous(), dim=0).permute(1, 2, 0)

    def multiplications(self) -> int:
        """Multiplications for one impression, above the input layer; gates and mixing included."""
        shared = 0 if self.shared is None else self.shared.weight.numel()
        experts = sum(layer.multiplications() for layer in self.layers)
        n_gates, width = self.gate.out_features // self.experts, self.layers[-1].weight.shape[2]
        mixing = n_gates * self.experts * width
        return shared + experts + self.gate.weight.numel() + mixing + self.towers.multiplications()


def drop_experts(gate: Tensor, share: float) -> Tensor:
    """Set each expert's probability to 0 with chance ``share``; bring the rest back to sum 1.

    A gate from which all experts would be dropped is left as it was.

    Parameters
    ----------
    gate : (..., E) probabilities
    share : 0 to below 1
    """
    kept = gate * (torch.rand_like(gate) >= share)
    total = kept.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, kept / total.clamp(min=1e-20), gate)


class MultitaskLoss:
    r"""Sum over tasks of the mean loss over those examples whose label is known.

    .. math:: L = \sum_k w_k \frac{1}{n\,q_k} \sum_{i:\,y_{ik}\ \mathrm{known}} \ell_k(y_{ik})

    with :math:`q_k` the share of known labels in the whole training set, not in the batch: a batch
    with two survey answers does not count them as much as one with twenty. Squared errors are
    divided by the variance of the label, so that tasks in seconds and in stars weigh alike.

    Parameters
    ----------
    tasks : sequence of Task
    labels : float (n, K); NaN where a label is not known (a survey that was not asked, the watch
        time of what was not clicked)

    Raises
    ------
    ConfigError
        For labels of the wrong shape, a task without any label or with one value only, or a
        binary task with labels other than 0 and 1.
    """

    def __init__(self, tasks: Sequence[Task], labels: Tensor):
        self.tasks, names = tuple(tasks), task_names(tasks)
        if labels.dim() != 2 or labels.shape[1] != len(names):
            raise ConfigError(
                f"labels have the shape {tuple(labels.shape)}",
                allowed=f"(n, {len(names)}), a column for each of {', '.join(names)}",
            )
        known = ~torch.isnan(labels)
        self.scale = torch.zeros(len(names), dtype=labels.dtype)
        for k, task in enumerate(self.tasks):
            own = labels[known[:, k], k]
            self.scale[k] = task.weight / _worth(task, own) / known[:, k].float().mean()
        self.values = torch.nan_to_num(labels)
        self.known = known.float()
        self.binary = torch.tensor([task.kind == "binary" for task in self.tasks])
        self._columns = [torch.nonzero(mask)[:, 0] for mask in (self.binary, ~self.binary)]

    def __call__(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Loss (scalar) of the outputs (b, K) for some rows of the training set."""
        if outputs.shape != (len(rows), len(self.tasks)):
            raise ConfigError(
                f"outputs have the shape {tuple(outputs.shape)}",
                allowed=f"({len(rows)}, {len(self.tasks)}), a row for each label, a column a task",
            )
        y, weight = self.values[rows], self.known[rows] * self.scale
        total = outputs.new_zeros(())
        logit, number = self._columns
        if len(logit):
            total = functional.binary_cross_entropy_with_logits(
                outputs[:, logit], y[:, logit], weight[:, logit], reduction="sum"
            )
        if len(number):
            error = outputs[:, number] - y[:, number]
            total = total + (weight[:, number] * error * error).sum()
        return total / len(rows)


def _worth(task: Task, known: Tensor) -> float:
    """What the loss of a task is divided by: 1, or the variance of a regression's labels."""
    if not len(known):
        raise ConfigError(
            f"Task {task.name!r} has no label at all",
            allowed="at least two different labels",
            fix="leave the task out, or take more days of the log",
        )
    if task.kind == "binary" and not torch.isin(known, torch.tensor([0.0, 1.0])).all():
        raise ConfigError(
            f"Task {task.name!r} is binary and has the label "
            f"{float(known[(known != 0) & (known != 1)][0]):g}",
            allowed="0, 1, or NaN where it is not known",
        )
    if (known == known[0]).all():
        raise ConfigError(
            f"All {len(known):,} labels of task {task.name!r} are {float(known[0]):g}",
            allowed="at least two different labels",
        )
    return 1.0 if task.kind == "binary" else float(known.var())
