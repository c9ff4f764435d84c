"""Right answers to the exercises of chapter 09, written in other ways than the reference."""

import torch
from torch import nn
from torch.nn import functional

from course.lessons import mixtures_of_experts as lesson


def mix_in_loops(said, gates):
    sums = []
    for m in range(gates.shape[1]):
        sums.append(sum(gates[:, m, [e]] * expert for e, expert in enumerate(said)))
    return torch.stack(sums)


class MixtureByHand(nn.Module):
    """Expert by expert and task by task."""

    def __init__(self, inputs, reads, tasks=2, experts=6, width=6, seed=0):
        super().__init__()
        self.tasks, self.experts = tasks, lesson.Experts(experts, inputs, width)
        self.gate, self.towers = (
            nn.Linear(reads, tasks * experts),
            lesson.Towers(width, torch.zeros(tasks)),
        )

    def gates(self, z):
        each = self.gate(z).chunk(self.tasks, dim=1)
        return torch.stack([one.exp() / one.exp().sum(dim=1, keepdim=True) for one in each], dim=1)

    def forward(self, x, z):
        said = [
            functional.relu(x @ w + b)
            for w, b in zip(self.experts.weight, self.experts.shift, strict=True)
        ]
        return self.towers(mix_in_loops(torch.stack(said), self.gates(z)))


def keep_in_loops(gates, keep):
    keep = keep.expand(gates.shape)
    out = gates.double().clone()
    for at in torch.cartesian_prod(*(torch.arange(n) for n in gates.shape[:-1])).tolist():
        row, left = out[tuple(at)], keep[tuple(at)]
        if left.any():
            row[~left] = 0.0
            row /= row.sum()
    return out


def train_by_hand(plane, model, rate=0.03, steps=600, batch=256, look=None):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        if look:
            look(step, model)
        place, card, worth = plane.draw(batch)
        optimizer.param_groups[0]["lr"] = rate * min(
            1, 5 * (step + 1) / steps, 2 - 2 * step / steps
        )
        left = model(torch.hstack([place, card]), place) - worth
        model.zero_grad()
        sum(part.square().mean() for part in left.T).backward()
        optimizer.step()
    return model


RIGHT = {
    "09-mix": [mix_in_loops],
    "09-mmoe": [MixtureByHand],
    "09-train": [train_by_hand],
    "09-keep-experts": [keep_in_loops],
}
