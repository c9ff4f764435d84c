"""Exercises of chapter 09, mixtures of experts."""

from __future__ import annotations

import numpy as np
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import mixtures_of_experts as lesson


def _random(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _mix_cases(rng: np.random.Generator):
    for experts, n, width, tasks in ((3, 5, 4, 2), (4, 4, 2, 3)):
        random = _random(rng)
        said = torch.randn(experts, n, width, generator=random)
        yield said, torch.randn(n, tasks, experts, generator=random).softmax(dim=2)


def _network_cases(rng: np.random.Generator):
    for _ in range(2):
        tasks, experts, width = rng.integers((2, 2, 2), (5, 12, 12)).tolist()
        yield 6, 2, tasks, experts, width


def _of_network(model):
    """Gates and outputs of fixed inputs at fixed weights, and the gradient of the gates."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    x = torch.randn(5, 6, generator=random)
    gates, outputs = model.gates(x[:, :2]), model(x, x[:, :2])
    if gates is None or outputs is None:
        return None
    (gradient,) = torch.autograd.grad(outputs.square().mean(), model.gate.weight)
    return gates.detach(), outputs.detach(), gradient


def _network(gates=None, forward=None):
    """The network with other gates or another ``forward``."""
    changed = {"gates": gates, "forward": forward}
    changed = {name: of for name, of in changed.items() if of is not None}
    return type("MMoE", (lesson.MMoE,), {**changed, "__module__": __name__})


def _other_axis(self, z):
    return self.gate(z).unflatten(1, (self.tasks, self.count)).softmax(dim=1)


def _expert_by_expert(self, z):
    return self.gate(z).unflatten(1, (self.count, self.tasks)).transpose(1, 2).softmax(dim=2)


def _plain(self, z):
    return self.gate(z).unflatten(1, (self.tasks, self.count))


def _over_everything(self, z):
    return self.gate(z).softmax(dim=1).unflatten(1, (self.tasks, self.count))


def _loop_cases(rng: np.random.Generator):
    for seed in rng.integers(1_000, size=2).tolist():
        plane = lesson.Plane(numbers=4, seed=seed)
        model = lesson.MMoE(6, 2, experts=4, width=5, seed=seed)
        model.plane_seed, model.looks, model.start = seed, [], model.gate.weight.detach().clone()

        def look(step, model, plane=plane):
            model.looks.append((step, hash(bytes(plane.random.get_state().numpy()))))

        yield plane, model, 0.1, LOOP_STEPS, 128, look


LOOP_STEPS = 100
LOOP = ("looks", "stands still", "one batch", "neither task", "first task", "second task", "learns")


def _of_loop(model):
    """Which model it is, and what became of it in a word of ``LOOP``, as its number."""
    steps, states = zip(*model.looks, strict=True) if model.looks else ((), ())
    plane = lesson.Plane(numbers=4, seed=model.plane_seed)
    left = (lesson.error_left(plane, model, 5_000) < 0.5).tolist()
    if steps != tuple(range(LOOP_STEPS)):
        word = "looks"
    elif torch.equal(model.gate.weight, model.start):
        word = "stands still"
    elif len(set(states)) < LOOP_STEPS:
        word = "one batch"
    else:
        word = LOOP[3 + left[0] + 2 * left[1]]
    return np.array([model.plane_seed, LOOP.index(word)])


def _learns(got, right, *arguments):
    if got[0] != right[0]:
        return "it is not the model that was given"
    return {
        "looks": "look(step, model) is to be called at each of the steps, from 0",
        "stands still": "the model is as it was",
        "one batch": "not every step has a fresh batch",
        "neither task": "more than half of the variance is left in both tasks",
        "first task": "more than half of the variance is left in the second task",
        "second task": "more than half of the variance is left in the first task",
    }.get(LOOP[got[1]])


def _loop(zero=True, both=True, fresh=True, step=True):
    """The loop with a part left out."""

    def train_on(plane, model, rate=0.03, steps=600, batch=256, look=None):
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
        drawn = plane.draw(batch)
        for number in range(steps):
            if look is not None:
                look(number, model)
            place, card, worth = drawn
            error = (model(torch.cat([place, card], dim=1), place) - worth) ** 2
            loss = error.mean(dim=0).sum() if both else error.mean(dim=0)[0]
            if zero:
                optimizer.zero_grad()
            loss.backward()
            if step:
                optimizer.step()
                schedule.step()
            if fresh and number < steps - 1:
                drawn = plane.draw(batch)
        return model

    return train_on


def _keep_cases(rng: np.random.Generator):
    for kept in (0.7, 0.3):
        random = _random(rng)
        gates = torch.randn(5, 2, 4, generator=random).softmax(dim=2)
        keep = torch.rand(5, 2, 4, generator=random) < kept
        keep[0, 0] = False  # nothing is left of this one
        yield gates, keep
    yield gates, torch.arange(4) != 1


def _kept(again=True, empty=True, turned=False):
    """The surgery with a part done wrong."""

    def kept(gates, keep):
        left = gates * (~keep if turned else keep)
        total = left.sum(dim=-1, keepdim=True)
        out = left / total.clamp(min=1e-20) if again else left
        return torch.where(total > 0, out, gates) if empty else out

    return kept


EXERCISES = (
    Exercise(
        id="09-mix",
        reference=lesson.mix,
        cases=_mix_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                lambda said, gates: torch.einsum("nme,enw->nmw", gates, said),
                "The axes of your result are turned; the tasks come first.",
            ),
            Mistake(
                lambda said, gates: torch.einsum("nme,enw->mnw", gates, said) / len(said),
                "You divided by the number of experts; the shares sum to 1 already.",
            ),
            Mistake(
                lambda said, gates: said.mean(dim=0).expand(gates.shape[1], -1, -1),
                "You took the plain mean of the experts; take the gates' shares.",
            ),
        ),
    ),
    Exercise(
        id="09-mmoe",
        reference=lesson.MMoE,
        cases=_network_cases,
        read=_of_network,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _network(gates=_other_axis),
                "Your softmax runs over the tasks; the shares of a task sum to 1 over the experts.",
            ),
            Mistake(
                _network(gates=_expert_by_expert),
                "The gate's numbers come task by task; unflatten them as (tasks, experts).",
            ),
            Mistake(_network(gates=_plain), "The gate's numbers are no shares yet: softmax."),
            Mistake(
                _network(gates=_over_everything),
                "Your shares sum to 1 over all tasks together; each task has a softmax of its own.",
            ),
            Mistake(
                _network(
                    forward=lambda self, x, z: self.towers(
                        lesson.mix(self.experts(x), self.gates(z)[:, :1].expand(-1, self.tasks, -1))
                    )
                ),
                "All your tasks use the gate of the first one.",
            ),
        ),
    ),
    Exercise(
        id="09-train",
        reference=lesson.train_on,
        cases=_loop_cases,
        read=_of_loop,
        compare=_learns,
        mistakes=(
            Mistake(
                _loop(zero=False),
                "Your gradients add up from step to step; forget the old ones first.",
            ),
            Mistake(_loop(step=False), "Your optimizer never takes a step."),
            Mistake(_loop(both=False), "Your loss leaves out the second task."),
            Mistake(_loop(fresh=False), "You draw once; each step needs fresh examples."),
        ),
    ),
    Exercise(
        id="09-keep-experts",
        reference=lesson.keep_experts,
        cases=_keep_cases,
        mistakes=(
            Mistake(_kept(again=False), "What is left of a gate must sum to 1 again."),
            Mistake(_kept(empty=False), "A gate of which nothing is left stays as it was."),
            Mistake(_kept(turned=True), "You switched off those that were to be kept."),
        ),
    ),
)
