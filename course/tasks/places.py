"""Learn from clicks at places, be judged without places: the task of the chapter on position bias.

A click model learns from a log in which each card stood somewhere. It is judged by what no
platform knows: by its pages in front of people, and by the true law of what a place does to a
click. `Bottle` is a log in which the same can be seen in a second.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from course.lessons import position_bias as pb
from course.lessons.ranking_features import InputLayer, Scales
from course.lessons.watch_time import Ranker, best_constant
from course.simulator.names import DEVICES as NAMES
from course.tasks.next_day import LivePages, NextDay, fresh_pages
from course.world import World


class Places(NextDay):
    """The ranking task of a world, with the places of its cards.

    The world has ten positions on a page; ``live`` is the number of pages on which rankers are
    compared, the rest is as of `NextDay`.

    Attributes
    ----------
    cards : RankingBatch, the scaled training cards; cell, clicked : (n,) their places and clicks
    scales : brings raw cards to the scale of ``cards``
    """

    def __init__(self, world: World, pages: int = 5_000, first_day: float = 37, live: int = 4_000,
                 last_day: float | None = None):  # fmt: skip
        super().__init__(world, pages, first_day=first_day, last_day=last_day)
        self.scales = Scales(self.train)
        self.cards = self.scales(self.train)
        self.clicked = self.label("clicked").float()
        self.cell = cells_of(self.rows)
        self.live_pages = LivePages(world, self.features, live)
        self.live_cards = self.scales(self.live_pages.batch)

    def ranker(self, widths=(64, 32), seed: int = 0) -> Ranker:
        """An untrained ranker of chapter 07, which starts at the mean click rate."""
        start = best_constant(self.clicked > 0, torch.ones_like(self.clicked))
        return Ranker(InputLayer(self.features, seed=seed), widths, start, seed)

    @cached_property
    def theta(self) -> np.ndarray:
        """The true P(looked at) (devices, positions)."""
        device, position = np.mgrid[: pb.DEVICES, 1 : pb.POSITIONS + 1]
        return self.world.truth.examination(position, device)

    def true_curve(self, kind: str = "sum") -> np.ndarray:
        """What a model should learn of the places (devices, positions), 0 at the first position.

        A "product" is the logarithm of P(looked at), a "sum" the `best_curve` of the fresh pages.
        """
        if kind == "product":
            return np.log(self.theta / self.theta[:, :1])
        truth = self.fresh.truth
        p, p_click = (truth[name].to_numpy(float) for name in ("p_click_if_seen", "p_click"))
        return best_curve(p, p_click, cells_of(self.fresh.cards).numpy())

    def random_pages(self, pages: int = 5_000) -> tuple[Tensor, Tensor]:
        """Places (n,) and clicks (n,) of fresh pages in random order, at a price."""
        cards = fresh_pages(self.world, pages, seed=9, policy=self.world.random()).cards
        return cells_of(cards), torch.from_numpy(cards["clicked"].to_numpy(np.float32))

    @cached_property
    def live_cell(self) -> Tensor:
        """The places of the candidates of the live pages: their devices, no position."""
        device = np.repeat(self.live_pages.situation.device, self.live_pages.shape[1])
        return pb.cells(torch.zeros(len(device), dtype=torch.int64), torch.tensor(device).long())

    @cached_property
    def wanted(self) -> np.ndarray:
        """The true P(click) of the candidates of the live pages, if they are looked at."""
        return self.live_pages.truth()["click"].to_numpy()

    def serve(self, model, position: int = 0) -> np.ndarray:
        """Scores of the live pages' candidates, as if all stood at a position; 0 = missing."""
        return pb.scores_of(model, self.live_cards, self.live_cell + position)

    def live_clicks(self, scores: np.ndarray) -> dict[str, float]:
        """Clicks to be expected per page if each page shows the best by scores, and by device."""
        each, device = self.live_pages.per_page(scores)["clicks"], self.live_pages.situation.device
        by = {f"clicks, {name}": float(each[device == d].mean()) for d, name in enumerate(NAMES)}
        return {"clicks": float(each.mean()), **by}

    def offline(self, model, position: int = 0) -> dict[str, float]:
        """What a test on the fresh pages says: ``auc`` of what is served, and ``auc at its place``.

        ``off by`` is how far the mean served probability is from the click rate (mean |logarithm|
        over the devices).
        """
        cell, clicked = cells_of(self.fresh.cards), self.fresh.cards["clicked"].to_numpy()
        batch, device = self.scales(self.test), cell.numpy() // (pb.POSITIONS + 1)
        served = pb.scores_of(model, batch, pb.missing(cell) + position)
        chance = expit(served.astype(float))
        of = [device == d for d in range(pb.DEVICES)]
        level = np.array([chance[own].mean() / clicked[own].mean() for own in of])
        return {"auc": roc_auc_score(clicked, served),
                "auc at its place": roc_auc_score(clicked, pb.scores_of(model, batch, cell)),
                "off by": float(np.abs(np.log(level)).mean())}  # fmt: skip


def cells_of(cards) -> Tensor:
    """The places (n,) of cards in the columns of ``logs.impressions``."""
    position, device = cards["position"].to_numpy(np.int64), cards["device"].cat.codes
    return torch.from_numpy(pb.cells(position, device.to_numpy(np.int64)))


def best_curve(p: np.ndarray, p_click: np.ndarray, cell: np.ndarray, steps: int = 50) -> np.ndarray:
    """The curve (devices, positions) that fits best beside a ranker that knows everything.

    ``p`` and ``p_click`` (n,) are the true P(click) if looked at, and at its place, ``cell`` (n,)
    int. The curve is what must be added to the logits of ``p`` at each place so that the mean of
    the probabilities is that of ``p_click``; where the place shifts the logit this is the shift.
    """
    z, b = logit(p), np.zeros(pb.PLACES)
    for _ in range(steps):  # Newton's
        q = expit(z + b[cell])
        slope = np.bincount(cell, q * (1 - q), pb.PLACES)
        b += np.bincount(cell, p_click - q, pb.PLACES) / np.where(slope > 0, slope, 1)
    return pb.relative(torch.from_numpy(b))


def beside_truth(learned: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of learned over true curves, and their largest distance, on each device."""
    x = true - true.mean(axis=1, keepdims=True)
    slope = (x * learned).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1e-12)
    return slope, np.abs(learned - true).max(axis=1)


class Bottle:
    """An endless log of made-up videos at ten places: a row for each video and place, with a share.

    Each video has three features and a home, a place to which the past ranking has put it.

    Parameters
    ----------
    swaps : 0 to 1, how often a card stands at a random place instead of its home
    overlap : 0 to 1, how far chance, and not the wish, has decided on the homes
    knows : sd of a part of the wish that the past ranking knows and no feature shows

    Attributes
    ----------
    x : (n, 3) float32; video, cell : (n,) int64; p_click : (n,) the true P(click) at the place
    chance : (n,) P(place | video); weight : (n,) the share of the row in the log, mean 1
    wish : (videos,) true logits; theta : (10,) what a place does, on the logit
    """

    def __init__(self, swaps: float, overlap: float, knows: float = 0.0, seed: int = 0,
                 videos: int = 600):  # fmt: skip
        random = np.random.default_rng(seed)
        x = random.normal(size=(videos, 3))
        self.wish = 0.8 * x[:, 0] + 0.8 * x[:, 1] * x[:, 2] + knows * random.normal(size=videos)
        score = (1 - overlap) * self.wish / self.wish.std() + overlap * random.normal(size=videos)
        home = np.argsort(np.argsort(-score)) * pb.POSITIONS // videos
        chance = swaps / pb.POSITIONS + (1 - swaps) * (home[:, None] == np.arange(pb.POSITIONS))
        video, place = np.nonzero(chance)
        self.theta = np.arange(1, pb.POSITIONS + 1) ** -0.9
        p_click = expit(self.wish[video] - 2 + np.log(self.theta[place]))
        share = chance[video, place]
        self.p_click, self.chance, self.weight = (
            torch.tensor(a, dtype=torch.float32) for a in (p_click, share, share / share.mean())
        )
        self.features = torch.tensor(x, dtype=torch.float32)
        self.video, self.cell = torch.from_numpy(video), torch.from_numpy(place + 1)
        self.x, self.pages = self.features[self.video], len(video)

    def rows(self, pages: Tensor) -> Tensor:
        """Each row is a page of its own."""
        return pages

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, 3) and videos (n,) of some rows."""
        return self.x[rows], self.video[rows]

    def judge(self, model) -> dict[str, float]:
        """How steep the learned curve is over the truth, how far off, and how good the order is."""
        slope, error = beside_truth(model.curve()[:1], np.log(self.theta)[None])
        with torch.no_grad():
            z = model.main((self.features, torch.arange(len(self.wish)))).numpy()
        return {"slope": float(slope[0]), "error": float(error[0]),
                "order": float(np.corrcoef(z, self.wish)[0, 1])}  # fmt: skip


class ById(nn.Module):
    """A logit for each video of a bottle, whatever its features."""

    def __init__(self, videos: int = 600):
        super().__init__()
        self.z = nn.Parameter(torch.full((videos,), -2.0))

    def forward(self, cards):
        """Logits (n,)."""
        return self.z[cards[1]]


class ByFeatures(nn.Module):
    """A network on the features of a bottle's videos; with 0 hidden units a linear model."""

    def __init__(self, hidden: int = 32, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = [nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 1)] if hidden else None
            self.net = nn.Sequential(*(network or [nn.Linear(3, 1)]))

    def forward(self, cards):
        """Logits (n,)."""
        return self.net(cards[0])[:, 0] - 2
