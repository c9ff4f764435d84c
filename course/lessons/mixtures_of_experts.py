"""Mixtures of experts.

Written in notebooks/source/09_mixtures_of_experts.py, and there only.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from course.lessons.many_objectives import SharedBottom, Towers
from course.lessons.ranking_features import FirstLinear
from course.tasks.seven_tasks import CONTEXT, context_of


class Plane:
    """A made-up world: what two tasks need of a card turns with a place on a plane."""

    def __init__(self, numbers=8, components=4, turning=True, conflict=True, seed=0):
        self.turning, self.turn = turning, components // 2 if conflict else 0
        self.random = torch.Generator().manual_seed(seed)
        drawn = torch.randn(2, components, numbers, generator=self.random)
        self.straight, self.bent = functional.normalize(drawn, dim=2)
        angle = 2 * math.pi * torch.arange(components) / components
        self.way = torch.stack([angle.cos(), angle.sin()], dim=1)

    def needs(self, place):
        """How much each component counts for each task at places (n, 2): (2, n, components)."""
        there = place if self.turning else torch.tensor([0.7, 0.0]).expand_as(place)
        lean = 4 * there @ self.way.T
        return torch.stack([lean, lean.roll(self.turn, dims=1)]).softmax(dim=2)

    def components(self, card):
        """What could matter about cards (n, numbers): (n, components)."""
        return 0.7 * card @ self.straight.T + 1.2 * ((card @ self.bent.T).abs() - 0.8)

    def draw(self, n):
        """Places (n, 2), cards (n, numbers), and what they are worth for both tasks (n, 2)."""
        place = 2 * torch.rand(n, 2, generator=self.random) - 1
        card = torch.randn(n, self.straight.shape[1], generator=self.random)
        return place, card, (self.needs(place) * self.components(card)).sum(dim=2).T


def mix(said, gates):
    """Sums (tasks, n, width), by gates (n, tasks, experts), of experts (experts, n, width)."""
    return torch.einsum("nme,enw->mnw", gates, said)


class Experts(nn.Module):
    """ReLU layers side by side on x (n, inputs): (experts, n, width)."""

    def __init__(self, experts, inputs, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, inputs, width) * (2 / inputs) ** 0.5)
        self.shift = nn.Parameter(torch.zeros(experts, 1, width))

    def forward(self, x):
        """What each expert says."""
        return (x @ self.weight + self.shift).relu()


class MMoE(nn.Module):
    """Experts on x (n, inputs), a gate for each task on z (n, reads), towers (Ma et al. 2018)."""

    def __init__(self, inputs, reads, tasks=2, experts=6, width=6, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.tasks, self.count = tasks, experts
            self.experts = Experts(experts, inputs, width)
            self.gate = nn.Linear(reads, tasks * experts)
            self.towers = Towers(width, torch.zeros(tasks))

    def gates(self, z):
        """Shares (n, tasks, experts) that sum to 1 over the experts."""
        return self.gate(z).unflatten(1, (self.tasks, self.count)).softmax(dim=2)

    def forward(self, x, z):
        """Outputs (n, tasks)."""
        return self.towers(mix(self.experts(x), self.gates(z)))


def train_on(plane, model, rate=0.03, steps=600, batch=256, look=None):
    """Train on fresh examples of a plane by squared error; the model itself."""
    optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps):
        if look is not None:
            look(step, model)
        place, card, worth = plane.draw(batch)
        said = model(torch.cat([place, card], dim=1), place)
        loss = ((said - worth) ** 2).mean(dim=0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def error_left(plane, model, n=20_000):
    """Squared error over the variance of each task (tasks,): 0 = all is known, 1 = nothing."""
    place, card, worth = plane.draw(n)
    with torch.no_grad():
        said = model(torch.cat([place, card], dim=1), place)
    return ((said - worth) ** 2).mean(dim=0) / worth.var(dim=0)


def multiplications(experts, width, inputs=10, reads=2, tasks=2, tower=8):
    """Multiplications for one example; a single expert has no gates."""
    gated = tasks * experts * (reads + width) if experts > 1 else 0
    return experts * inputs * width + gated + tasks * (width * tower + tower)


def keep_experts(gates, keep):
    """Gates (..., experts) in which only those of `keep` have a share, brought back to sum 1."""
    kept = gates * keep
    total = kept.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, kept / total.clamp(min=1e-20), gates)


def top_k(gates, k):
    """Gates (..., experts) in which only the k largest shares are kept, brought back to sum 1."""
    least = gates.topk(k, dim=-1).values[..., -1:]
    return keep_experts(gates, gates >= least)


class SparseMMoE(MMoE):
    """The same with sparse gates: only the k largest shares of each task count."""

    k = 2

    def gates(self, z):
        """Shares (n, tasks, experts), all but k of them 0."""
        return top_k(super().gates(z), self.k)


class MixtureLayers(nn.Module):
    """Experts on an InputLayer or on a shared layer of it, gates that read `reads`, towers."""

    def __init__(self, inputs, bias, experts=8, width=12, shared=0, reads="context",
                 one_gate=False, normalised=False, seed=0):  # fmt: skip
        super().__init__()
        self.shape, self.reads = (1 if one_gate else len(bias), experts), reads
        self.shared, self.normalised, self.drop = shared, normalised, 0.0
        number = math.prod(self.shape)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, shared or experts * width)
            self.above = Experts(experts, shared, width) if shared else None
            if reads == "input":
                self.gate = FirstLinear(inputs, number)
            else:
                context = sum(len(values) for values in CONTEXT.values())
                self.gate = nn.Linear(shared if reads == "shared" else context, number)
            self.towers = Towers(width, bias)


class RankingMixture(MixtureLayers):
    """MMoE on those layers: what the experts say, mixed by each task's gate (P2, section 4.2)."""

    def parts(self, batch):
        """What the experts say (experts, n, width), and the gates (n, tasks, experts)."""
        h = self.first(batch).relu()
        said = self.above(h) if self.shared else h.unflatten(1, (self.shape[1], -1)).transpose(0, 1)
        if self.normalised:
            said = functional.layer_norm(said, said.shape[-1:])
        z = batch if self.reads == "input" else h if self.reads == "shared" else context_of(batch)
        gates = self.gate(z).unflatten(1, self.shape).softmax(dim=2)
        if self.drop:
            gates = keep_experts(gates, torch.rand_like(gates) >= self.drop)
        return said, gates

    def forward(self, batch):
        """Outputs (n, tasks) of a scaled batch of n cards."""
        return self.towers(mix(*self.parts(batch)))


class FilmBottom(SharedBottom):
    """A shared bottom whose units the context turns up and down (Perez et al. 2018)."""

    def __init__(self, inputs, bias, widths=(74,), seed=0):
        super().__init__(inputs, bias, widths, seed)
        context = sum(len(values) for values in CONTEXT.values())
        self.film = nn.Linear(context, 2 * widths[0], bias=False)
        nn.init.zeros_(self.film.weight)

    def forward(self, batch):
        """Outputs (n, tasks) of a scaled batch of n cards."""
        scale, shift = self.film(context_of(batch)).chunk(2, dim=1)
        return self.towers(self.above(self.first(batch).relu() * (1 + scale) + shift))


def experts_in_use(gates):
    """How many experts gates (..., experts) spread over (...): e to the entropy."""
    return torch.special.entr(gates).sum(dim=-1).exp()
