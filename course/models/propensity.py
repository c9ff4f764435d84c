r"""How likely a position is looked at: estimates of it, and what can be done with them.

Notation: :math:`\theta_{dk}` = P(position k is looked at on device d), :math:`\gamma` = P(click |
looked at), c = clicked or not. Everything rests on :math:`P(c = 1) = \theta_{dk}\,\gamma`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from course.checks import one_each
from course.errors import ConfigError

FLOOR = 0.02
"""No propensity is taken to be smaller: a single click would count more than 50 times."""

LEAST = 1e-3
"""What an estimated P(seen) never falls below."""


def check_places(position, device, positions: int, devices: int) -> None:
    """Raise a `ConfigError` unless all positions are 1 to ``positions`` and devices are known.

    Parameters
    ----------
    position : int array or tensor (n,), or None for "missing"
    device : int array or tensor (n,), 0 to ``devices`` - 1
    """
    if position is not None:
        _whole("position", position, 1, positions, "1 is the top of the page",
               "leave the position out (None) where it is not known")  # fmt: skip
    _whole("device", device, 0, devices - 1, "as in course.simulator.names.DEVICES", "")
    if position is not None and np.shape(position) != np.shape(device):
        raise ConfigError(
            f"position has shape {tuple(np.shape(position))}, device {tuple(np.shape(device))}",
            allowed="one of each for every impression",
        )


def check_propensities(theta, positions: int | None = None, devices: int | None = None) -> Tensor:
    """Return propensities as a float32 tensor (devices, positions), or raise a `ConfigError`.

    Raises
    ------
    ConfigError
        For a value that is not above 0 and at most 1, or the wrong shape.
    """
    theta = torch.as_tensor(np.asarray(theta), dtype=torch.float32)
    if theta.ndim != 2 or (positions is not None and theta.shape != (devices, positions)):
        want = "(devices, positions)" if positions is None else f"({devices}, {positions})"
        raise ConfigError(f"propensities of shape {tuple(theta.shape)}", allowed=want)
    bad = ~((theta > 0) & (theta <= 1))
    if bad.any():
        raise ConfigError(
            f"a propensity is {theta[bad][0].item():g}", allowed="above 0 and at most 1",
            fix="use more clicks, or raise small estimates to a floor such as 0.02",
        )  # fmt: skip
    return theta


def click_table(position, device, clicked, positions: int, devices: int = 3):
    """Clicks and impressions of each (device, position), two float64 arrays (devices, positions).

    Raises
    ------
    ConfigError
        See `check_places`.
    """
    one_each(position=position, device=device, clicked=clicked)
    position, device = np.asarray(position), np.asarray(device)
    check_places(position, device, positions, devices)
    cell = device.astype(np.int64) * positions + position - 1
    shape, size = (devices, positions), devices * positions
    clicks = np.bincount(cell, weights=np.asarray(clicked, float), minlength=size).reshape(shape)
    return clicks, np.bincount(cell, minlength=size).reshape(shape).astype(float)


def propensities_from_random(
    position, device, clicked, positions: int, devices: int = 3, floor: float = FLOOR
) -> np.ndarray:
    r"""Click rate at each position over that at position 1, from pages in *random* order.

    .. math:: \hat\theta_{dk} = \mathrm{CTR}_{dk} / \mathrm{CTR}_{d1}

    On random pages every position holds the same mix of videos, so the click rates differ by the
    looking alone. The same formula serves for swaps: pages on which the card of position 1 and
    that of position k were exchanged by chance.

    Parameters
    ----------
    position, device, clicked : (n,) one row an impression
    floor : smaller estimates are raised to this, larger than 1 lowered to 1

    Returns
    -------
    float array (devices, positions), 1 in the first column

    Raises
    ------
    ConfigError
        For a place that cannot be, or a device without clicks at position 1.
    """
    clicks, shown = click_table(position, device, clicked, positions, devices)
    if (clicks[:, 0] == 0).any():
        raise ConfigError(
            f"device {int(np.argmin(clicks[:, 0]))} has no click at position 1",
            fix="collect more random pages",
        )
    rate = clicks / np.maximum(shown, 1)
    return np.clip(rate / rate[:, :1], floor, 1.0)


def inverse_propensity_loss(logit: Tensor, clicked: Tensor, propensity: Tensor) -> Tensor:
    r"""Cross-entropy in which a click counts :math:`1/\theta`, one value a row.

    .. math:: \ell = \log(1 + e^{z}) - \frac{c}{\theta}\, z

    It is the cross-entropy with the label c / theta. Because :math:`E[c/\theta] = \gamma`, its
    mean is that of a log in which everything had been looked at. A click at a place with small
    theta counts many times; that is where the variance comes from.

    Parameters
    ----------
    logit : (n,) of gamma; clicked : (n,) 0 or 1; propensity : (n,) in (0, 1]
    """
    one_each(logit=logit, clicked=clicked, propensity=propensity)
    return functional.softplus(logit) - clicked / propensity * logit


def posterior(clicked: Tensor, theta: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    r"""P(looked at | c) and P(wanted | c): the E-step of Wang et al. (2018).

    A click says both. Without one,

    .. math:: P(E = 1) = \frac{\theta(1-\gamma)}{1-\theta\gamma}, \qquad
              P(R = 1) = \frac{(1-\theta)\gamma}{1-\theta\gamma}.

    Parameters
    ----------
    clicked, theta, gamma : (n,) each
    """
    one_each(clicked=clicked, theta=theta, gamma=gamma)
    missed = (1.0 - clicked) / (1.0 - theta * gamma).clamp(min=1e-7)
    return clicked + missed * theta * (1.0 - gamma), clicked + missed * (1.0 - theta) * gamma


def em_theta(theta: Tensor, cell: Tensor, clicked: Tensor, gamma: Tensor, steps: int = 1) -> Tensor:
    r"""EM steps for :math:`\theta` at given :math:`\gamma`: the mean of P(looked at | c) per cell.

    Parameters
    ----------
    theta : (cells,); cell : (n,) int64, the cell of each row; clicked, gamma : (n,)
    steps : how many E- and M-steps; one makes little way where clicks are rare, since most of
        what is "expected to have been looked at" is then the old belief

    Returns
    -------
    (cells,) tensor; cells without rows keep their value
    """
    rows = torch.bincount(cell, minlength=len(theta))
    clicked = clicked.to(gamma.dtype)
    for _ in range(steps):
        looked, _ = posterior(clicked, theta[cell], gamma)
        total = torch.zeros_like(theta).index_add_(0, cell, looked.to(theta.dtype))
        theta = torch.where(rows > 0, total / rows.clamp(min=1), theta)
        theta = theta.clamp(min=LEAST)  # a place without any click would go to 0
    return theta


def _whole(name, values, low, high, meaning, fix) -> None:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"{name} has the type {values.dtype}", allowed="whole numbers")
    if values.size and (values.min() < low or values.max() > high):
        worst = values.min() if values.min() < low else values.max()
        raise ConfigError(
            f"{name}={int(worst)} was not trained", allowed=f"{low} to {high} ({meaning})", fix=fix
        )
