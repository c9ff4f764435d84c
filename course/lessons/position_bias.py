"""Position bias.

Written in notebooks/source/10_position_bias.py, and there only.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg


POSITIONS, DEVICES = 10, 3
PLACES = DEVICES * (POSITIONS + 1)


def cells(position, device):
    """Places (n,) in a flat table that has a row for each device; position 0 is *missing*."""
    return device * (POSITIONS + 1) + position


def missing(cell):
    """The places (n,) on the same devices with the position left out."""
    return cell - cell % (POSITIONS + 1)


class Clicks(nn.Module):
    """No treatment: a ranker explains the clicks, wherever the cards stood."""

    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        return self.main(batch)

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return entropy(self(batch, cell), clicked)


def entropy(z, label):
    """Cross-entropy of each card (n,); labels may be any numbers from 0 to 1."""
    return functional.binary_cross_entropy_with_logits(z, label, reduction="none")


def train_clicks(model, batch, cell, clicked, weight=None, rate=0.01, passes=4, decay=1e-4,
                 pages=200, seed=0, **options):  # fmt: skip
    """Fit a click model to cards (n,) of a scaled batch, pages at a time; the loss of each step."""

    def page_loss(chosen):
        rows = batch.rows(chosen)
        loss = model.loss(batch[chosen], cell[rows], clicked[rows])
        return loss.mean() if weight is None else (weight[rows] * loss).mean()

    groups = {kind: {"params": [], "lr": rate} for kind in ("ids", "place", "rest")}
    groups["ids"]["weight_decay"], groups["place"]["lr"] = decay, 5 * rate
    for name, values in model.named_parameters():
        kind = "ids" if ".inputs." in name else name if name == "place" else "rest"
        groups[kind]["params"].append(values)
    groups = [group for group in groups.values() if group["params"]]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"passes": passes, "batch": pages, "seed": seed, **options}
        return cg.fit(page_loss, groups, batch.pages, **options)


def scores_of(model, batch, cell):
    """Logits (n,) of any number of scaled cards, served at these places, as an array."""
    with torch.no_grad():
        parts = [model(batch[some], cell[batch.rows(some)])
                 for some in torch.arange(batch.pages).split(5_000)]  # fmt: skip
    return torch.cat(parts).numpy()


def dropped(cell, share):
    """Places (n,), a share of them with the position left out, drawn anew at each call."""
    return torch.where(torch.rand(len(cell)) < share, missing(cell), cell)


class ShallowTower(Clicks):
    """P2's treatment: a logit for each place is added to the ranker's (section 4.3, Fig. 3)."""

    def __init__(self, main, drop=0.1, cross=True):
        super().__init__(main)
        self.drop, self.cross = drop, cross
        self.place = nn.Parameter(torch.zeros(PLACES))

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        cell = cell if self.cross else cell % (POSITIONS + 1)
        return self.main(batch) + self.place[cell]

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,), with some positions left out."""
        return super().loss(batch, dropped(cell, self.drop), clicked)

    def curve(self):
        """Learned bias (devices, positions) in logits, 0 at the first position."""
        return relative(self.place if self.cross else self.place[: POSITIONS + 1].repeat(DEVICES))


def relative(table):
    """A flat table of places as an array (devices, positions), 0 at the first position."""
    table = table.detach().numpy().reshape(DEVICES, -1)[:, 1:]
    return table - table[:, :1]


class PositionInput(Clicks):
    """The place as one more input of the ranker: a vector for each joins its first layer."""

    def __init__(self, main, drop=0.1):
        super().__init__(main)
        self.drop = drop
        self.place = nn.Parameter(torch.zeros(PLACES, main.first.linear.out_features))

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        x = self.main.first(batch) + self.place[cell]
        for layer in self.main.rest:
            x = layer(x.relu())
        return x[:, 0]

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,), with some positions left out."""
        return super().loss(batch, dropped(cell, self.drop), clicked)


def turned_back(h, strength):
    """The same h (n, width), whose gradient comes back with the factor -strength."""
    return (1 + strength) * h.detach() - strength * h


class Adversarial(Clicks):
    """A reader guesses the position from the last hidden layer, which learns to hide it."""

    def __init__(self, main, strength=0.01):
        super().__init__(main)
        self.strength = strength
        self.reader = nn.Linear(main.rest[-1].in_features, POSITIONS)
        for values in self.reader.parameters():
            nn.init.zeros_(values)

    def hidden(self, batch):
        """The last hidden layer (n, width)."""
        x = self.main.first(batch)
        for layer in self.main.rest[:-1]:
            x = layer(x.relu())
        return x.relu()

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,): of the click, and of the reader's guess."""
        h = self.hidden(batch)
        guess = self.reader(turned_back(h, self.strength))
        read = functional.cross_entropy(guess, cell % (POSITIONS + 1) - 1, reduction="none")
        return entropy(self.main.rest[-1](h)[:, 0], clicked) + read


def product_loss(z, b, clicked):
    """Cross-entropy (n,) of P(click) = sigmoid(z) sigmoid(b), in logarithms."""
    log_p = functional.logsigmoid(z) + functional.logsigmoid(b)
    return -torch.where(clicked > 0, log_p, torch.log1p(-log_p.exp()))


class PAL(Clicks):
    """P(looked at) times P(wanted), both learned; the second is served (Guo et al. 2019)."""

    def __init__(self, main):
        super().__init__(main)
        self.place = nn.Parameter(torch.zeros(PLACES))

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return product_loss(self.main(batch), self.place[cell], clicked)

    def curve(self):
        """Learned log P(looked at) (devices, positions), 0 at the first position."""
        return relative(functional.logsigmoid(self.place))


def propensities(cell, clicked):
    """Click rate of random pages over that at position 1 (devices, positions); relative error."""
    clicks = np.bincount(cell, clicked, PLACES).reshape(DEVICES, -1)[:, 1:]
    rate = clicks / np.bincount(cell, minlength=PLACES).reshape(DEVICES, -1)[:, 1:].clip(1)
    error = np.sqrt(1 / clicks.clip(1) + 1 / clicks[:, :1].clip(1))
    return rate / rate[:, :1], error


def as_if_seen(z, clicked, theta):
    """Loss (n,) whose mean is what it would be if every card had been looked at."""
    return functional.softplus(z) - clicked / theta * z


class InversePropensity(Clicks):
    """A click counts 1 / theta, at most `most`; theta (devices, positions) must be known."""

    def __init__(self, main, theta, most=20.0):
        super().__init__(main)
        theta = np.insert(theta, 0, 1, axis=1).clip(1 / most)
        self.theta = torch.tensor(theta.ravel(), dtype=torch.float32)

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return as_if_seen(self.main(batch), clicked, self.theta[cell])


def after_the_fact(clicked, theta, p):
    """Chances (n,) that a card was looked at and that it was wanted, once we know of its click."""
    no_click = 1 - theta * p
    looked, wanted = theta * (1 - p) / no_click, (1 - theta) * p / no_click
    return clicked + (1 - clicked) * looked, clicked + (1 - clicked) * wanted


class RegressionEM(Clicks):
    """PAL's product, learned in turns: guess what is hidden, then fit to the guess (Wang 2018)."""

    def __init__(self, main, every=10, memory=50, turns=20):
        super().__init__(main)
        self.every, self.memory, self.turns = every, memory, turns
        self.theta, self.latest, self.steps = torch.full((PLACES,), 0.5), [], 0

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,): the ranker learns how likely it was wanted after all."""
        z = self.main(batch)
        p = z.detach().sigmoid()
        self.latest = [*self.latest, (clicked, cell, p)][-self.memory :]
        self.steps += 1
        if self.steps % self.every == 0:
            self.look_again(*(torch.cat(column) for column in zip(*self.latest, strict=True)))
        return entropy(z, after_the_fact(clicked, self.theta[cell], p)[1])

    def look_again(self, clicked, cell, p):
        """Fit theta, the share of a place's cards that were looked at, to the latest cards."""
        shown = torch.bincount(cell, minlength=PLACES)
        for _ in range(self.turns):
            looked, _ = after_the_fact(clicked, self.theta[cell], p)
            share = torch.bincount(cell, looked, PLACES) / shown.clamp(min=1)
            self.theta = torch.where(shown > 0, share, self.theta).clamp(1e-3, 1 - 1e-3)

    def curve(self):
        """Learned log P(looked at) (devices, positions), 0 at the first position."""
        return relative(self.theta.log())


def even_weights(chance, most=20.0):
    """Weights (n,) with mean 1 that make places independent of the cards, from P(place | card)."""
    weight = (1 / (POSITIONS * chance)).clamp(max=most)
    return weight / weight.mean()


def chance_of_place(reader, batch, cell):
    """P(position | features) (n,) of each card's own position, by an Adversarial's reader."""
    with torch.no_grad():
        parts = [reader.reader(reader.hidden(batch[some])).softmax(dim=1)
                 for some in torch.arange(batch.pages).split(5_000)]  # fmt: skip
    return torch.cat(parts).gather(1, cell[:, None] % (POSITIONS + 1) - 1)[:, 0]
