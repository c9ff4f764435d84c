"""Exercises of chapter 10, position bias."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import position_bias as lesson


class _Main(torch.nn.Module):
    """A stand-in for a ranker: a batch is a table (n, 4) already."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch):
        return self.layer(batch)[:, 0]


def _tower_cases(rng: np.random.Generator):
    for cross in (True, False):
        torch.manual_seed(int(rng.integers(2**31)))
        yield _Main(), float(rng.uniform(0, 0.2)), cross


def _of_tower(model):
    """Logits at a fixed table, and the gradients of the table and of the case's own ranker."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        model.place.copy_(torch.randn(model.place.shape, generator=random))
    batch = torch.randn(50, 4, generator=random)
    cell = torch.randint(0, lesson.PLACES, (50,), generator=random)
    logit = model(batch, cell)
    if logit is None:
        return None
    parts = model.place, model.main.layer.weight
    gradients = torch.autograd.grad(logit.square().mean(), parts, allow_unused=True)
    return logit.detach(), *(torch.zeros(1) if g is None else g for g in gradients)


def _tower(forward):
    """The tower with another ``forward``."""

    def at(self, batch, cell):
        return forward(self, batch, cell if self.cross else cell % (lesson.POSITIONS + 1))

    return type("ShallowTower", (lesson.ShallowTower,), {"forward": at, "__module__": __name__})


def _turn_cases(rng: np.random.Generator):
    for _ in range(3):
        h = torch.from_numpy(rng.normal(size=(6, 4)).astype(np.float32))
        yield h.requires_grad_(), float(rng.uniform(0.05, 2))


def _of_turn(h):
    """The value, and the gradient at what went in, as far as it is found."""
    if not isinstance(h, torch.Tensor):
        return h
    leaves = _leaves(h.grad_fn)
    way = torch.linspace(-1, 2, h.numel()).view(h.shape)
    found = torch.autograd.grad((h * way).sum(), leaves) if leaves else ()
    return h.detach(), found[0] if found else torch.zeros(1)


def _leaves(node, seen=None):
    seen = set() if seen is None else seen
    if node is None or node in seen:
        return []
    seen.add(node)
    own = [node.variable] if hasattr(node, "variable") else []
    return own + [leaf for before, _ in node.next_functions for leaf in _leaves(before, seen)]


def _product_cases(rng: np.random.Generator):
    for low in (-4.0, -30.0):  # so low that the product of two chances is no float32 any more
        n = 40
        z, b = (torch.from_numpy(rng.uniform(low, 1, n).astype(np.float32)) for _ in range(2))
        yield z, b, torch.from_numpy((rng.random(n) < 0.4).astype(np.float32))


def _product(form):
    """The loss of another P(click)."""

    def loss(z, b, clicked):
        p = form(z.double(), b.double())
        return -torch.where(clicked > 0, p.log(), torch.log1p(-p)).float()

    return loss


def _seen_cases(rng: np.random.Generator):
    for _ in range(3):
        n = 40
        theta = rng.uniform(0.05, 1, n).astype(np.float32)
        clicked = (rng.random(n) < 0.4).astype(np.float32)
        z = rng.normal(-1, 2, n).astype(np.float32)
        yield tuple(torch.from_numpy(a) for a in (z, clicked, theta))


def _entropy(z, label):
    return functional.softplus(z) - label * z


def _fact_cases(rng: np.random.Generator):
    for _ in range(3):
        n = 50
        clicked = (rng.random(n) < 0.3).astype(np.float32)
        given = clicked, rng.uniform(0.05, 0.95, n), rng.uniform(0.02, 0.7, n)
        yield tuple(torch.from_numpy(a.astype(np.float32)) for a in given)


def _fact(looked, wanted, click=True):
    """The chances with other formulas for no click."""

    def chances(clicked, theta, p):
        both = looked(theta, p), wanted(theta, p)
        return tuple(clicked + (1 - clicked) * x for x in both) if click else both

    return chances


def _weight_cases(rng: np.random.Generator):
    for most in (2.0, 5.0, 20.0):
        n = 60
        yield torch.from_numpy(rng.uniform(0.002, 1, n).astype(np.float32)), most


def _even(chance, most):
    return (0.1 / chance).clamp(max=most)


def _none(t, p):
    return 1 - t * p


EXERCISES = (
    Exercise(
        id="10-shallow-logit",
        reference=lesson.ShallowTower,
        cases=_tower_cases,
        read=_of_tower,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                _tower(lambda self, batch, cell: self.main(batch) - self.place[cell]),
                "You subtract the shallow logit; it is added.",
            ),
            Mistake(
                _tower(lambda self, batch, cell: (self.main(batch) + self.place[cell]).sigmoid()),
                "Those are probabilities; return the logits, the loss has the sigmoid.",
            ),
            Mistake(
                _tower(
                    lambda self, batch, cell: (
                        functional.logsigmoid(self.main(batch))
                        + functional.logsigmoid(self.place[cell])
                    )
                ),
                "That is a product of two probabilities, which is PAL; the tower adds logits.",
            ),
            Mistake(
                _tower(
                    lambda self, batch, cell: self.main(batch) + self.place[lesson.missing(cell)]
                ),
                "You leave the position out for every card; dropped does that, for some.",
            ),
            Mistake(
                _tower(lambda self, batch, cell: self.main(batch) + self.place[cell - 1]),
                "You are one place off; column 0 of a device is for missing.",
            ),
            Mistake(
                _tower(lambda self, batch, cell: self.place[cell]),
                "You left the ranker out.",
            ),
        ),
    ),
    Exercise(
        id="10-turned-back",
        reference=lesson.turned_back,
        cases=_turn_cases,
        read=_of_turn,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                lambda h, strength: -strength * h,
                "The gradient is right, but the reader does not see h any more; keep its value.",
            ),
            Mistake(
                lambda h, strength: strength * h + (1 - strength) * h.detach(),
                "That gradient points the way that helps the reader; turn it round.",
            ),
            Mistake(
                lambda h, strength: 2 * h.detach() - h,
                "The gradient is turned round, but the strength is missing.",
            ),
            Mistake(
                lambda h, strength: h.detach() + 0 * h,
                "No gradient comes back; the layer below shall learn, in the other direction.",
            ),
        ),
    ),
    Exercise(
        id="10-product",
        reference=lesson.product_loss,
        cases=_product_cases,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes=(
            Mistake(
                _product(lambda z, b: (z + b).sigmoid()),
                "You add the logits, which is the shallow tower; multiply the probabilities.",
            ),
            Mistake(
                _product(lambda z, b: z.sigmoid()),
                "That is P(wanted) alone; a click needs a look, too.",
            ),
            Mistake(
                lambda z, b, clicked: (
                    functional.binary_cross_entropy_with_logits(z, clicked, reduction="none")
                    + functional.binary_cross_entropy_with_logits(b, clicked, reduction="none")
                ),
                "You learn a click for each factor; no click does not say that both failed.",
            ),
            Mistake(
                lambda z, b, clicked: -(functional.logsigmoid(z) + functional.logsigmoid(b)),
                "That is the loss of a click; a card without one counts -log(1 - P).",
            ),
        ),
    ),
    Exercise(
        id="10-inverse-propensity",
        reference=lesson.as_if_seen,
        cases=_seen_cases,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes=(
            Mistake(
                lambda z, clicked, theta: _entropy(z, clicked),
                "That is the usual loss; a click far down counts more, and is not cut off at 1.",
            ),
            Mistake(
                lambda z, clicked, theta: _entropy(z, clicked * theta),
                "You multiply with the propensity; a click far down must count more, not less.",
            ),
            Mistake(
                lambda z, clicked, theta: _entropy(z, clicked) / theta,
                "You weigh the cards without a click, too; only the click is divided.",
            ),
            Mistake(
                lambda z, clicked, theta: torch.where(
                    clicked > 0, functional.softplus(-z) / theta, functional.softplus(z)
                ),
                "You weigh the loss of a click; divide its label, so that the mean has no bias.",
            ),
        ),
    ),
    Exercise(
        id="10-e-step",
        reference=lesson.after_the_fact,
        cases=_fact_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                _fact(lambda t, p: t, lambda t, p: p),
                "Those are the beliefs before; that there was no click makes both less likely.",
            ),
            Mistake(
                _fact(lambda t, p: t * (1 - p), lambda t, p: (1 - t) * p),
                "Those are chances of pairs; divide by that of no click.",
            ),
            Mistake(
                _fact(
                    lambda t, p: t * (1 - p) / (t * (1 - p) + (1 - t) * p),
                    lambda t, p: (1 - t) * p / (t * (1 - p) + (1 - t) * p),
                ),
                "There is a third way to no click, neither looked at nor wanted.",
            ),
            Mistake(
                _fact(
                    lambda t, p: (1 - t) * p / _none(t, p), lambda t, p: t * (1 - p) / _none(t, p)
                ),
                "The two are exchanged: first looked at, then wanted.",
            ),
            Mistake(
                _fact(
                    lambda t, p: t * (1 - p) / _none(t, p),
                    lambda t, p: (1 - t) * p / _none(t, p),
                    click=False,
                ),
                "You forgot the clicked cards: they were looked at and wanted, for sure.",
            ),
        ),
    ),
    Exercise(
        id="10-even-weights",
        reference=lesson.even_weights,
        cases=_weight_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                lambda chance, most: 10 * chance / (10 * chance).mean(),
                "You let a row count the more, the more often it is shown; divide by the chance.",
            ),
            Mistake(
                lambda chance, most: (0.1 / chance) / (0.1 / chance).mean(),
                "You cut nothing; a rare row would count for hundreds.",
            ),
            Mistake(
                lambda chance, most: (
                    (1 / chance).clamp(max=most) / (1 / chance).clamp(max=most).mean()
                ),
                "You cut too early: before the cut, a row with the chance .1 counts 1, not 10.",
            ),
            Mistake(
                _even,
                "Their mean is not 1, so that the training would have another rate.",
            ),
            Mistake(
                lambda chance, most: (0.1 / chance / (0.1 / chance).mean()).clamp(max=most),
                "You scale and then cut; cut first, so that the mean is 1 in the end.",
            ),
        ),
    ),
)
