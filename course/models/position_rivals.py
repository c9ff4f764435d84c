r"""What else can be done about position: the rivals of the shallow tower.

===================  =========================================================================
`PositionInput`      the position is one more input of the main tower
`Adversarial`        the main tower must not give the position away (gradient reversal)
`PAL`                P(click) = P(seen | position) P(click | seen), both learned (Guo et al. 2019)
`InversePropensity`  clicks count 1 / P(seen), which is given
`RegressionEM`       like PAL, learned by expectation maximisation (Wang et al. 2018)
===================  =========================================================================

All are `course.models.position_bias.ClickModel` and trained by its `fit_clicks`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError
from course.models.position_bias import DROP_OUT, ClickModel, MainTower, pieces
from course.models.propensity import (
    check_places,
    check_propensities,
    em_theta,
    inverse_propensity_loss,
    posterior,
)
from course.training import check_number, evaluating


class PositionInput(ClickModel):
    """Position and device, crossed, as further inputs of the main tower.

    Parameters
    ----------
    main : MainTower with ``extra=PositionInput.width(positions, devices)``
    drop_out : as in the shallow tower
    serve_at : position to pretend at serving; None = missing
    """

    def __init__(
        self,
        main: MainTower,
        positions: int,
        devices: int = 3,
        drop_out: float = DROP_OUT,
        serve_at: int | None = None,
    ):
        super().__init__(main, positions, devices)
        if main.extra != self.width(positions, devices):
            raise ConfigError(
                f"the main tower has {main.extra} extra inputs",
                allowed=f"{self.width(positions, devices)}, one for each place",
            )
        if serve_at is not None:
            check_places(np.array([serve_at]), np.array([0]), positions, devices)
        self.drop_out, self.serve_at = drop_out, serve_at

    @staticmethod
    def width(positions: int, devices: int = 3) -> int:
        """Numbers that are added to the input: one for each place and each "missing"."""
        return (positions + 1) * devices

    def forward(self, x, position, device):
        """Logit (n,) of the click at the place."""
        place = torch.zeros_like(device) if position is None else position
        if self.training and self.drop_out and position is not None:
            place = place * (torch.rand(len(place), dtype=torch.float32) >= self.drop_out)
        cell = device * (self.positions + 1) + place
        return self.main(x, functional.one_hot(cell, self.main.extra).float())

    def serve(self, x, device):
        """Score to rank by (n,)."""
        check_places(None, device, self.positions, self.devices)
        at = None if self.serve_at is None else torch.full_like(device, self.serve_at)
        with evaluating(self):
            return self(x, at, device)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, strength):
        ctx.strength = strength
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


def reverse_gradient(h: Tensor, strength: float = 1.0) -> Tensor:
    """Return ``h`` itself; on the way back its gradient is multiplied with ``-strength``."""
    return _Reverse.apply(h, strength)


class Adversarial(ClickModel):
    """A second head tries to read the position off the last hidden layer; the tower hides it.

    Parameters
    ----------
    main : MainTower
    strength : what the reversed gradient is multiplied with
    """

    def __init__(self, main: MainTower, positions: int, devices: int = 3, strength: float = 0.02):
        super().__init__(main, positions, devices)
        check_number("strength", strength, 0.0)
        self.strength = strength
        self.reader = nn.Linear(main.width, positions, dtype=torch.float32)
        nn.init.zeros_(self.reader.weight)
        nn.init.zeros_(self.reader.bias)

    def loss(self, x, position, device, clicked):
        """Loss of each row (n,)."""
        h = self.main.represent(x)
        logit = self.main.top(h)[:, 0]
        read = self.reader(reverse_gradient(h, self.strength))
        guess = functional.cross_entropy(read, position - 1, reduction="none")
        click = functional.binary_cross_entropy_with_logits(logit, clicked, reduction="none")
        return click + guess


class PAL(ClickModel):
    r"""A product of two probabilities, :math:`P = \sigma(s_{dk})\,\sigma(z(x))`, learned together.

    Only the second factor is served. How much of the level belongs to which factor is open.
    """

    def __init__(self, main: nn.Module, positions: int, devices: int = 3):
        super().__init__(main, positions, devices)
        # One half at the start: near 0 or 1 the sigmoid would hardly move.
        self.seen = nn.Parameter(torch.zeros(devices * positions, dtype=torch.float32))

    def log_seen(self, position: Tensor, device: Tensor) -> Tensor:
        """Logarithm of P(seen) (n,)."""
        return functional.logsigmoid(self.seen)[self._cell(position, device)]

    def forward(self, x, position, device):
        """Logit of the product; without a position, of P(click | seen)."""
        logit = self.main(x)
        if position is None:
            return logit
        log_p = functional.logsigmoid(logit) + self.log_seen(position, device)
        return log_p - torch.log(-torch.expm1(log_p.clamp(max=-1e-6)))

    def curve(self):
        """See `ClickModel.curve`."""
        log_seen = functional.logsigmoid(self.seen).detach().numpy().reshape(self.devices, -1)
        return log_seen - log_seen[:, :1]

    def tables(self):
        """See `ClickModel.tables`."""
        return [self.seen]


class InversePropensity(ClickModel):
    """Clicks count 1 / P(seen); see `inverse_propensity_loss`.

    Parameters
    ----------
    propensities : (devices, positions), in (0, 1], from a source of its own
    """

    def __init__(self, main: nn.Module, propensities, positions: int, devices: int = 3):
        super().__init__(main, positions, devices)
        self.register_buffer("theta", check_propensities(propensities, positions, devices).ravel())

    def forward(self, x, position, device):
        """Logit of P(click | seen) P(seen); without a position, of the first alone."""
        logit = self.main(x)
        if position is None:
            return logit
        p = torch.sigmoid(logit) * self.theta[self._cell(position, device)]
        return torch.logit(p, eps=1e-7)

    def loss(self, x, position, device, clicked):
        """Loss of each row (n,)."""
        theta = self.theta[self._cell(position, device)]
        return inverse_propensity_loss(self.main(x), clicked, theta)

    def curve(self):
        """See `ClickModel.curve`."""
        log_theta = self.theta.log().numpy().reshape(self.devices, self.positions)
        return log_theta - log_theta[:, :1]


class RegressionEM(InversePropensity):
    r"""Wang et al. (2018): what was looked at is hidden, and guessed in turns with the rest.

    For each batch the E-step says how likely each unclicked card was wanted after all; the main
    tower is regressed on that. After every ``every`` batches :math:`\theta` takes EM steps on the
    latest rows, and once more on all rows at the end. With the E-step as fresh as this, the
    gradient of the main tower is that of `PAL`: the two differ in how :math:`\theta` is learned.

    Parameters
    ----------
    every, memory : int, batches between two updates of theta, and batches that these look at
    steps : int, EM steps of theta at an update
    """

    def __init__(
        self,
        main: nn.Module,
        positions: int,
        devices: int = 3,
        every: int = 10,
        memory: int = 50,
        steps: int = 20,
    ):
        start = np.full((devices, positions), 0.9)  # at 1 a card that is not clicked is not wanted
        super().__init__(main, start, positions, devices)
        self.every, self.memory, self.steps = every, memory, steps
        self._latest: list[tuple[Tensor, Tensor, Tensor]] = []
        self._batches = 0

    def loss(self, x, position, device, clicked):
        """Loss of each row (n,)."""
        logit, cell = self.main(x), self._cell(position, device)
        gamma = torch.sigmoid(logit.detach())
        self._latest = [*self._latest[1 - self.memory :], (cell, clicked, gamma)]
        self._batches += 1
        if self._batches % self.every == 0:
            parts = (torch.cat(column) for column in zip(*self._latest, strict=True))
            self.theta = em_theta(self.theta, *parts, steps=self.steps)
        _, wanted = posterior(clicked, self.theta[cell], gamma)
        return functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")

    def finish(self, x, position, device, clicked):
        """Last steps of theta, on all rows."""
        with evaluating(self):
            parts = [torch.sigmoid(self.main(part)) for part, _ in pieces(x)]
        cell = self._cell(position, device)
        self.theta = em_theta(self.theta, cell, clicked, torch.cat(parts), steps=2 * self.steps)
        self._latest = []
