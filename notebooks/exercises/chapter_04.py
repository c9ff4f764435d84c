"""Exercises of chapter 04, signals, depth and freshness."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import signals as lesson

VIDEOS, LENGTH = 15, 6


def _age_cases(rng: np.random.Generator):
    for _ in range(3):
        t_max = float(rng.uniform(20, 45))
        # The last moments come after the end of training: requests.
        yield np.append(rng.uniform(0, t_max, 30), t_max + rng.uniform(0.1, 3.0, 4)), t_max


def _powers(a):
    return np.stack([a, a**2, np.sqrt(np.maximum(a, 0))], axis=1)


def _given(random: torch.Generator, n: int = 6) -> lesson.Inputs:
    """Inputs of some moments, with bags of several lengths."""

    def bag(ids):
        bags = torch.randint(ids, (n, LENGTH), generator=random)
        return bags.masked_fill(torch.arange(LENGTH) >= torch.arange(n)[:, None], ids)

    def codes(kind):
        columns = [torch.randint(k, (n,), generator=random) for k in lesson.KINDS[kind].values()]
        return torch.stack(columns, dim=1)

    age = torch.tensor(lesson.age_inputs(np.linspace(0, 40, n), 39.0), dtype=torch.float32)
    return lesson.Inputs(
        {kind: codes(kind) for kind in lesson.KINDS},
        watches=bag(VIDEOS), searches=bag(lesson.TOKENS), age=age,
    )  # fmt: skip


def _at_fixed_weights(model):
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random) / 4)
    return model, random


def _of_network(model):
    """User vectors of some moments, and the gradient of a table, at fixed weights."""
    model, random = _at_fixed_weights(model)
    user = model(_given(random))
    if user is None:
        return None
    table = model.bags["watches"].weight
    (gradient,) = torch.autograd.grad(user.square().mean(), table, allow_unused=True)
    return user.detach(), torch.zeros_like(table) if gradient is None else gradient


def _network_cases(rng: np.random.Generator):
    for skip, signals in ((False, lesson.SIGNALS), (True, ("watches", "age", "moment"))):
        yield VIDEOS, signals, int(rng.integers(3, 6)), (7, 5), None, skip


def _network(normed=True, log=True, empty=True, count=True, age=True, one=1.0, columns=True):
    """The network with a part of the concatenation done wrong."""

    def forward(self, given):
        parts = []
        for name in self.signals:
            values = given[name]
            if name in self.bags:
                bag, padding = self.bags[name], self.bags[name].padding_idx
                n = (values != padding).sum(dim=1, keepdim=True)
                n = torch.full_like(n, values.shape[1]) if not count else n
                mean = bag(values) if empty else bag.weight[values].mean(dim=1)
                parts += [self.norms[name](mean) if normed else mean, torch.log1p(n) if log else n]
            elif name in self.codes:
                tables = list(enumerate(self.codes[name]))
                parts += [table(values[:, i if columns else 0] % len(table.weight))
                          for i, table in tables]  # fmt: skip
            else:
                parts.append(values if age else torch.zeros_like(values))
        x = self.last(self.tower(torch.cat(parts, dim=1)))
        return functional.pad(x, (0, 1), value=one)

    return type("AllSignals", (lesson.AllSignals,), {"forward": forward, "__module__": __name__})


def _turn_cases(rng: np.random.Generator):
    for skip in (False, True):
        seed = int(rng.integers(2**31))
        model = lesson.AllSignals(VIDEOS, dim=4, widths=(6,), skip=skip, seed=seed)
        model, _ = _at_fixed_weights(model)
        given = _given(torch.Generator().manual_seed(seed))
        yield model, given, np.array([0.0, rng.uniform(2, 9), rng.uniform(10, 30)])


def _turned(change=None, after=None, sign=1, days=1.0):
    """The lives of videos with a part done wrong."""

    def probabilities(model, given, ages):
        out = []
        for age in ages:
            n = len(given["age"])
            now = lesson.age_inputs(np.full(n, -sign * float(age) * days), 0.0)
            now = lesson.Inputs({**given, "age": torch.tensor(now, dtype=torch.float32)})
            with torch.no_grad():
                scores = model(given if change else now) @ model.output.weight.T
                rows = torch.softmax(scores, dim=1).mean(dim=0) if after is None else after(scores)
            out.append(rows.numpy())
        return np.array(out)

    return probabilities


def _cross_cases(rng: np.random.Generator):
    for widths in ((), (5,)):
        yield VIDEOS, lesson.SIGNALS, int(rng.integers(3, 6)), widths


def _of_cross(model):
    """User vectors, and where the gradient of the cells' table lies, at fixed weights."""
    model, random = _at_fixed_weights(model)
    given = _given(random)
    user = model(given)
    if user is None:
        return None
    (gradient,) = torch.autograd.grad(user.square().sum(), model.cells.weight, allow_unused=True)
    return user.detach(), torch.zeros(60) if gradient is None else gradient.sum(dim=1)


def _crossed(cell=None, forward=None):
    own = {"cell": cell, "forward": forward, "__module__": __name__}
    return type("Crossed", (lesson.Crossed,), {k: v for k, v in own.items() if v is not None})


def _cell(order):
    def cell(self, given):
        (device, daypart), band = given["moment"].T, given["person"][:, 1]
        return order(device, daypart, band)

    return cell


def _alone(self, given):
    return functional.pad(self.cells(self.cell(given)), (0, 1), value=1.0)


def _one_too_many(self, given):
    user = lesson.AllSignals.forward(self, given)
    return user + functional.pad(self.cells(self.cell(given)), (0, 1), value=1.0)


EXERCISES = (
    Exercise(
        id="04-age",
        reference=lesson.age_inputs,
        cases=_age_cases,
        mistakes=(
            Mistake(
                lambda time, t_max: _powers((np.asarray(time, float) - t_max) / 30),
                "The sign is turned round: older examples have a larger age.",
            ),
            Mistake(
                lambda time, t_max: _powers(np.maximum(t_max - time, 0) / 30),
                "You set all of a negative age to 0; only the root needs that.",
            ),
            Mistake(
                lambda time, t_max: _powers(t_max - np.asarray(time, float)),
                "That is in days; units of 30 days are asked for.",
            ),
            Mistake(
                lambda time, t_max: _powers((np.max(time) - time) / 30),
                "You count back from the newest moment; the end of training is given.",
            ),
            Mistake(
                lambda time, t_max: _powers((t_max - time) / 30)[:, [0, 2, 1]],
                "The order is the age, its square, its root.",
            ),
        ),
    ),
    Exercise(
        id="04-side-by-side",
        reference=lesson.AllSignals,
        cases=_network_cases,
        read=_of_network,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _network(normed=False), "The mean of a bag went in as it is; normalise it first."
            ),
            Mistake(_network(log=False), "The count itself went in; log(1 + n) does."),
            Mistake(
                _network(count=False),
                "Your n is the length of the bag; count only the places that hold something.",
            ),
            Mistake(
                _network(empty=False), "Your mean counts the empty places, too; leave them out."
            ),
            Mistake(_network(age=False), "The age is missing; it goes in as it is."),
            Mistake(
                _network(columns=False),
                "Each column of codes has a table of its own; you looked up the first column only.",
            ),
            Mistake(_network(one=0.0), "Your vectors end in 0; the bias of a video wants a 1."),
        ),
    ),
    Exercise(
        id="04-turn-the-clock",
        reference=lesson.class_probabilities,
        cases=_turn_cases,
        tolerance=Tolerance(1e-3, 1e-6),
        mistakes=(
            Mistake(_turned(change=True), "Your age never changed; the rows are all the same."),
            Mistake(_turned(sign=-1), "Your clock runs into the future; an age lies in the past."),
            Mistake(_turned(days=30.0), "The ages are given in days; you took them for months."),
            Mistake(
                _turned(after=lambda scores: torch.softmax(scores.mean(dim=0), dim=0)),
                "You averaged the scores; take the softmax of each moment, then the mean.",
            ),
            Mistake(
                _turned(after=lambda scores: scores.mean(dim=0)),
                "Those are scores; probabilities need the softmax over all videos.",
            ),
            Mistake(
                _turned(after=lambda scores: torch.softmax(scores, dim=0).mean(dim=0)),
                "Your softmax runs over the moments; it runs over the videos.",
            ),
        ),
    ),
    Exercise(
        id="04-cross",
        reference=lesson.Crossed,
        cases=_cross_cases,
        read=_of_cross,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(_crossed(forward=_alone), "The user vector of the network itself is missing."),
            Mistake(
                _crossed(forward=_one_too_many),
                "Your last number is 2; what you add ends in 0, so that the 1 stays.",
            ),
            Mistake(
                _crossed(forward=lambda self, given: lesson.AllSignals.forward(self, given)),
                "Nothing was added to the network's user vector.",
            ),
            Mistake(
                _crossed(cell=_cell(lambda device, daypart, band: 4 * device + daypart)),
                "The age band is missing, so all ages share a vector.",
            ),
            Mistake(
                _crossed(cell=_cell(lambda device, daypart, band: device + daypart + band)),
                "A sum of codes gives one number to several combinations.",
            ),
            Mistake(
                _crossed(cell=_cell(lambda device, part, band: (3 * part + device) * 5 + band)),
                "Device and part of the day have changed places.",
            ),
        ),
    ),
)  # fmt: skip
