"""Click models that know about position: P2's shallow tower, and how they are trained and judged.

Every model has a *main tower*, a function of the impression alone, and differs in what it does
with position and device while it learns. All answer the same two questions: `probability`, the
click probability at the place where the card stood, and `serve`, the score to rank by when the
place is yet to be decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.checks import one_each
from course.errors import ConfigError
from course.training import History, check_number, check_whole, evaluating, fit, seeded

DROP_OUT = 0.1
"""Share of the training impressions whose position is hidden from the model (P2)."""
TABLE_RATE = 0.05
"""Learning rate of a bias table. With the rate of the network, a table that starts at 0 does not
arrive within a few hundred steps."""


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


class ShallowTower(nn.Module):
    """Position and device in, one scalar logit for each head out (P2, section 4.3).

    A cell for each pair of position and device, and one for "missing" on each device. Only
    differences between positions mean anything: a constant may move over to the main tower.

    Parameters
    ----------
    positions : int, trained positions, 1 to ``positions``
    devices : int
    heads : int, for which engagement tasks a logit is learned; satisfaction heads get none
    drop_out : share of the rows whose position is set to "missing" in training mode
    cross : False = one curve for all devices

    Raises
    ------
    ConfigError
        For a setting out of range; in `forward` for a place that was not trained.
    """

    def __init__(
        self,
        positions: int,
        devices: int = 3,
        heads: int = 1,
        drop_out: float = DROP_OUT,
        cross: bool = True,
    ):
        super().__init__()
        for name, value in (("positions", positions), ("devices", devices), ("heads", heads)):
            check_whole(name, value, 1)
        check_number("drop_out", drop_out, 0.0)
        if drop_out >= 1:
            raise ConfigError(f"drop_out={drop_out}", allowed="from 0 to below 1")
        self.positions, self.devices, self.drop_out = positions, devices, float(drop_out)
        self.cross = cross
        cells = (devices if cross else 1) * (positions + 1)
        self.table = nn.Embedding(cells, heads, dtype=torch.float32)
        nn.init.zeros_(self.table.weight)

    def forward(self, position: Tensor | None, device: Tensor) -> Tensor:
        """Logit (n,), or (n, heads) for several heads.

        Parameters
        ----------
        position : int64 (n,), 1 = top; or None = missing, as at serving
        device : int64 (n,)
        """
        check_places(position, device, self.positions, self.devices)
        place = torch.zeros_like(device) if position is None else position  # 0 = missing
        if self.training and self.drop_out and position is not None:
            place = place * (torch.rand(len(place), dtype=torch.float32) >= self.drop_out)
        cell = device * (self.positions + 1) + place if self.cross else place
        logit = self.table(cell)
        return logit[:, 0] if logit.shape[1] == 1 else logit

    def curve(self, head: int = 0) -> np.ndarray:
        """Learned logits relative to position 1 (devices, positions)."""
        table = self.table.weight.detach()[:, head].numpy().reshape(-1, self.positions + 1)
        table = np.broadcast_to(table[:, 1:], (self.devices, self.positions))
        return table - table[:, :1]


class MainTower(nn.Module):
    """ReLU layers and one logit: what the viewer wants, whatever the position.

    Parameters
    ----------
    inputs : int d, for (n, d) tensors; or a module that makes (n, hidden[0]) sums of whatever is
        given, such as `course.models.ranking.FirstLinear`
    hidden : widths of the layers, at least one
    extra : int, further numbers that a treatment adds at the input
    start : starting value of the logit, such as the logit of the mean click rate
    seed : int, of the starting weights
    """

    def __init__(
        self,
        inputs: int | nn.Module,
        hidden: Sequence[int] = (64, 32),
        extra: int = 0,
        start: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        if not hidden:
            raise ConfigError("hidden is empty", allowed="at least one layer")
        for width in hidden:
            check_whole("hidden", width, 1)
        self.extra, self.width = extra, hidden[-1]
        with seeded(seed):
            if not isinstance(inputs, nn.Module):
                check_whole("inputs", inputs, 1)
                inputs = nn.Linear(inputs, hidden[0])
            self.first = inputs
            pairs = zip(hidden[:-1], hidden[1:], strict=True)
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
            self.top = nn.Linear(hidden[-1], 1)
            self.more = nn.Linear(extra, hidden[0], bias=False) if extra else None
        nn.init.constant_(self.top.bias, start)

    def represent(self, x, extra: Tensor | None = None) -> Tensor:
        """Last hidden layer (n, width)."""
        h = self.first(x)
        if self.more is not None:  # the same as one layer over x and extra side by side
            h = h + self.more(extra)
        h = functional.relu(h)
        for layer in self.layers:
            h = functional.relu(layer(h))
        return h

    def forward(self, x, extra: Tensor | None = None) -> Tensor:
        """Logit (n,)."""
        return self.top(self.represent(x, extra))[:, 0]


class ClickModel(nn.Module):
    """No treatment: the main tower explains the clicks, wherever the card stood.

    Parameters
    ----------
    main : module, x -> logit (n,)
    positions, devices : int, which places there are
    """

    def __init__(self, main: nn.Module, positions: int, devices: int = 3):
        super().__init__()
        self.main, self.positions, self.devices = main, positions, devices

    def forward(self, x, position: Tensor | None, device: Tensor) -> Tensor:
        """Logit (n,) of the click at the place."""
        return self.main(x)

    def loss(self, x, position: Tensor, device: Tensor, clicked: Tensor) -> Tensor:
        """Loss of each row (n,)."""
        logit = self(x, position, device)
        return functional.binary_cross_entropy_with_logits(logit, clicked, reduction="none")

    def probability(self, x, position: Tensor | None, device: Tensor) -> Tensor:
        """P(click) at the place where the card stood (n,)."""
        check_places(position, device, self.positions, self.devices)
        with evaluating(self):
            return torch.sigmoid(self(x, position, device))

    def serve(self, x, device: Tensor) -> Tensor:
        """Score to rank by (n,): the logit without a position."""
        check_places(None, device, self.positions, self.devices)
        with evaluating(self):
            return self(x, None, device)

    def curve(self) -> np.ndarray:
        """Learned bias relative to position 1 (devices, positions): logits, or log P(seen)."""
        return np.zeros((self.devices, self.positions))

    def tables(self) -> list[nn.Parameter]:
        """What learns at the rate of a table rather than of the network."""
        return []

    def finish(self, x, position: Tensor, device: Tensor, clicked: Tensor) -> None:
        """Called once after the training, with all of it."""

    def _cell(self, position: Tensor, device: Tensor) -> Tensor:
        return device * self.positions + position - 1


class ShallowTowerModel(ClickModel):
    """P2's treatment: the logit of a shallow tower is *added* to that of the main tower.

    At serving the position is missing: that is the main logit plus a constant of the device, so
    the order on a page is that of the main tower.
    """

    def __init__(
        self,
        main: nn.Module,
        positions: int,
        devices: int = 3,
        drop_out: float = DROP_OUT,
        cross: bool = True,
    ):
        super().__init__(main, positions, devices)
        self.shallow = ShallowTower(positions, devices, drop_out=drop_out, cross=cross)

    def forward(self, x, position, device):
        """Logit (n,) of the click at the place."""
        return self.main(x) + self.shallow(position, device)

    def curve(self):
        """See `ClickModel.curve`."""
        return self.shallow.curve()

    def tables(self):
        """See `ClickModel.tables`."""
        return [self.shallow.table.weight]


def fit_clicks(
    model: ClickModel,
    x,
    position,
    device,
    clicked,
    *,
    weight=None,
    epochs: int = 3,
    batch: int = 2_048,
    learning_rate: float = 1e-2,
    table_rate: float = TABLE_RATE,
    seed: int = 0,
    progress: Callable[[int, int, float], object] | None = None,
) -> History:
    """Train a click model on impressions; the same recipe for every treatment.

    Parameters
    ----------
    model : ClickModel
    x : tensor (n, d), or a `course.models.ranking.RankingBatch`, which is cut by whole pages
    position, device : int (n,); 1 = top
    clicked : bool (n,)
    weight : optional (n,), how much each impression counts; 0 = not at all
    batch : impressions in a batch (about, where whole pages are taken)
    learning_rate, table_rate : of the network and of bias tables (Adam)
    seed : of the order of the examples and of the feature drop-out
    progress : see `course.training.fit`

    Raises
    ------
    LogError
        For shapes that do not fit.
    ConfigError
        For a place that does not exist, weights that are negative or all 0, or a setting out of
        range.
    """
    check_number("table_rate", table_rate, 0.0)
    one_each(position=position, device=device, clicked=clicked)
    check_places(np.asarray(position), np.asarray(device), model.positions, model.devices)
    place = torch.as_tensor(np.asarray(position), dtype=torch.int64)
    machine = torch.as_tensor(np.asarray(device), dtype=torch.int64)
    hit = torch.as_tensor(np.asarray(clicked), dtype=torch.float32)
    if len(x) != len(place):
        raise ConfigError(
            f"x has {len(x)} rows, position {len(place)}", allowed="the same number of rows"
        )
    share = None if weight is None else _checked_weight(weight, len(hit))

    paged = hasattr(x, "pages")
    units = x.pages if paged else len(x)

    def batch_loss(chosen: Tensor) -> Tensor:
        rows = x.rows(chosen) if paged else chosen
        loss = model.loss(x[chosen], place[rows], machine[rows], hit[rows])
        return loss.mean() if share is None else (share[rows] * loss).mean()

    tables = model.tables()
    own = {id(table) for table in tables}
    net = [p for p in model.parameters() if id(p) not in own]
    groups = [{"params": net}] + ([{"params": tables, "lr": table_rate}] if tables else [])
    model.train()
    with seeded(seed):  # feature drop-out
        history = fit(
            groups, batch_loss, units, epochs=epochs, batch=max(1, batch * units // len(x)),
            seed=seed, learning_rate=learning_rate, progress=progress,
        )  # fmt: skip
    model.eval()
    model.finish(x, place, machine, hit)
    return history


def pieces(x, size: int = 50_000) -> Iterator[tuple[object, Tensor]]:
    """Cut x as `fit_clicks` knows it into pieces of about ``size`` rows: (piece, its rows)."""
    paged = hasattr(x, "pages")
    units = x.pages if paged else len(x)
    for chosen in torch.arange(units).split(max(1, size * units // max(1, len(x)))):
        yield x[chosen], x.rows(chosen) if paged else chosen


def _checked_weight(weight, n: int) -> Tensor:
    weight = torch.as_tensor(np.asarray(weight), dtype=torch.float32)
    if weight.shape != (n,):
        raise ConfigError(f"weight has shape {tuple(weight.shape)}", allowed=f"({n},)")
    if not torch.isfinite(weight).all() or (weight < 0).any():
        raise ConfigError(
            f"a weight is {weight[~(torch.isfinite(weight) & (weight >= 0))][0].item():g}",
            allowed="finite numbers, at least 0",
        )
    if not (weight > 0).any():
        raise ConfigError("all weights are 0", allowed="at least one above 0")
    return weight / weight.mean()


def _whole(name, values, low, high, meaning, fix) -> None:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise ConfigError(f"{name} has the type {values.dtype}", allowed="whole numbers")
    if values.size and (values.min() < low or values.max() > high):
        worst = values.min() if values.min() < low else values.max()
        raise ConfigError(
            f"{name}={int(worst)} was not trained", allowed=f"{low} to {high} ({meaning})", fix=fix
        )
