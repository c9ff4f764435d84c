"""Some experts for all tasks, some for one task alone: progressive layered extraction.

Tang, Liu, Zhao, Gong 2020. Where a mixture of experts lends every expert to every task, here the
gate of a task chooses among its own experts and the common ones, and cannot reach the others':

    tasks = (Task("click"), Task("watch", "regression"))
    model = ProgressiveLayers(64, tasks, own=2, common=2)
    model(x)              # (b, 2): a logit, and a value
    model.gates(x)        # (b, 2, 4): own experts first, then the common ones
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course.models.multitask import Multitask, Stack, Task, Towers
from course.training import check_whole, seeded


class Level(nn.Module):
    """One level: experts of each task and common ones, and a gate for each task.

    A level that is not the last has a gate for the common stream as well, over all experts.

    Parameters
    ----------
    inputs : width of what the experts and gates read
    tasks : number K of tasks
    own, common : experts of each task, at least 1, and for all, at least 0
    width : units of an expert (one ReLU layer)
    last : no level follows
    """

    def __init__(self, inputs: int, tasks: int, own: int, common: int, width: int, last: bool):
        super().__init__()
        self.tasks = tasks
        counts = [own] * tasks + [common] * (common > 0)
        self.experts = nn.ModuleList(Stack(n, inputs, width) for n in counts)
        self.gate = nn.ModuleList(nn.Linear(inputs, own + common) for _ in range(tasks))
        self.common_gate = None
        if common and not last:
            self.common_gate = nn.Linear(inputs, own * tasks + common)

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """From the K tasks' streams and the common one, (b, inputs) each, to the next ones."""
        experts = [torch.relu(stack(x)) for stack, x in zip(self.experts, streams, strict=False)]
        shared = experts[self.tasks :]
        out = [
            _mixed(self.weights(k, streams[k]), torch.cat([experts[k], *shared]))
            for k in range(self.tasks)
        ]
        if self.common_gate is not None:
            gate = torch.softmax(self.common_gate(streams[self.tasks]), dim=1)
            out.append(_mixed(gate, torch.cat(experts)))
        return out

    def weights(self, task: int, x: Tensor) -> Tensor:
        """Gate of a task (b, own + common); each row sums to one."""
        return torch.softmax(self.gate[task](x), dim=1)

    def multiplications(self) -> int:
        """For one row of input, gates and mixing included."""
        gates = [*self.gate, *([] if self.common_gate is None else [self.common_gate])]
        width = self.experts[0].weight.shape[2]
        linear = sum(stack.multiplications() for stack in self.experts)
        return linear + sum(g.weight.numel() + g.out_features * width for g in gates)


def _mixed(gate: Tensor, experts: Tensor) -> Tensor:
    """Sum of the experts (n, b, h) with the weights of the gate (b, n): (b, h)."""
    return torch.bmm(gate[:, None], experts.transpose(0, 1))[:, 0]


class ProgressiveLayers(Multitask):
    """Experts of each task and common ones, in one or more levels, and a tower for each task.

    Parameters
    ----------
    inputs : width of the input
    tasks : sequence of Task
    own, common : experts of each task (at least 1) and for all tasks; ``common=0`` = the tasks
        share nothing but what lies below
    hidden : width of an expert in each level
    shared : width of a common ReLU layer below the experts; 0 = they read the input
    tower : width of a task's hidden layer
    seed : of the starting weights

    Raises
    ------
    ConfigError
        For a number out of range.
    """

    def __init__(
        self,
        inputs: int,
        tasks: Sequence[Task],
        own: int = 2,
        common: int = 2,
        hidden: Sequence[int] = (16,),
        *,
        shared: int = 0,
        tower: int = 8,
        seed: int = 0,
    ):
        super().__init__(tasks)
        for name, value, low in (
            ("inputs", inputs, 1),
            ("own", own, 1),
            ("common", common, 0),
            ("levels", len(hidden), 1),
            ("shared", shared, 0),
            ("tower", tower, 1),
        ):
            check_whole(name, value, low)
        for width in hidden:
            check_whole("width of an expert", width, 1)
        with seeded(seed):
            self.shared = nn.Linear(inputs, shared) if shared else None
            widths = [shared or inputs, *hidden]
            self.levels = nn.ModuleList(
                Level(a, len(self.tasks), own, common, b, last=i == len(hidden) - 1)
                for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))
            )
            self.towers = Towers(len(self.tasks), hidden[-1], tower)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Outputs (b, K): logits of binary tasks, values of the others."""
        streams = self._streams(x)
        for level in self.levels:
            streams = level(streams)
        return self.towers(torch.stack(streams))

    def gates(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Gates of the last level (b, K, own + common): a task's own experts first."""
        streams = self._streams(x)
        for level in self.levels[:-1]:
            streams = level(streams)
        last = self.levels[-1]
        return torch.stack([last.weights(k, streams[k]) for k in range(len(self.tasks))], dim=1)

    def _streams(self, x: Tensor) -> list[Tensor]:
        s = x if self.shared is None else torch.relu(self.shared(x))
        return [s] * (len(self.tasks) + 1)

    def multiplications(self) -> int:
        """Multiplications for one impression, above the input layer."""
        below = 0 if self.shared is None else self.shared.weight.numel()
        levels = sum(level.multiplications() for level in self.levels)
        return below + levels + self.towers.multiplications()
