"""What depth adds, to which signals, and why (chapter 04, Figure 6 of P1).

The towers have half the widths of the paper: 0 = linear; 1 = 128; 2 = 256-128; 3 = 512-256-128;
4 = 1024-512-256-128.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor, nn
from torch.nn import functional

from course.experiments.next_watch import NextWatch, fit_model
from course.experiments.signals import FEATURE_SETS, WIDTH, clock_likeness
from course.features import CONTEXT, DEMOGRAPHICS, sizes
from course.models.candidate_generation import (
    SIGNALS,
    Batch,
    CandidateGenerator,
    training_set,
)
from course.world import simulate

DEPTHS = (0, 1, 2, 3, 4)
HELD_OUT = 0.05
STRENGTHS = (0.0, 2.0)
"""Settings of the dial ``context_taste`` in the dose-response."""

_TIME = {"freshness": 0.0, "drift": 0.0}
SWITCHES = {
    "as it is": {},
    "no moment": {"context_taste": 0.0},
    "no time": _TIME,
    "all off": {
        **_TIME, "context_taste": 0.0, "satiation": 0.0, "series": 0.0, "niche_ladder": 0.0,
        "shared_accounts": 0.0,
    },
}  # fmt: skip
"""Worlds in which something that a linear model cannot say is switched off."""

NEXT_EPISODE = ("series", "autoplay")
"""Sources in which the next watch is the next episode: a matter of looking it up."""


def depths_of(features: str) -> tuple[int, ...]:
    """Depths at which a feature set is trained."""
    return DEPTHS[:1] if features == "watches" else DEPTHS


class Crossed(CandidateGenerator):
    """The linear model's fair rival to depth: a hand-made cross of device, daypart and age band.

    Each of the combinations has a vector of its own, which is added to the user vector.
    """

    def __init__(self, *args, seed: int = 0, **options):
        super().__init__(*args, depth=0, seed=seed, **options)
        bands = sizes("users", DEMOGRAPHICS)[DEMOGRAPHICS.index("age_band")]
        self._shape = (*sizes("watches", CONTEXT), bands)
        self.cross = nn.Embedding(int(np.prod(self._shape)), self.output.embedding_dim - 1)
        nn.init.zeros_(self.cross.weight)

    def forward(self, batch: Batch) -> Tensor:
        """User vectors (n, dim + 1), as of any candidate generator."""
        device, daypart = batch.context.T
        band = batch.demographics[:, DEMOGRAPHICS.index("age_band")]
        cell = (device * self._shape[1] + daypart) * self._shape[2] + band
        return super().forward(batch) + functional.pad(self.cross(cell), (0, 1))


class Game:
    """The guessing game with a second test inside the training window.

    Attributes
    ----------
    task : NextWatch
    inside : examples (5 %, drawn at random) that are kept from training
    data : Batch of the others
    """

    def __init__(self, logs, seed: int):
        self.task = NextWatch(logs)
        rows = self.task.examples()
        held = np.random.default_rng(seed).random(len(rows)) < HELD_OUT
        self.inside, self.rows = rows[held], rows[~held]
        self.data = training_set(self.task.features, self.task.train, self.rows)

    def fit(self, signals=SIGNALS, depth: int = 0, seed: int = 0, epochs: int = 3, made=None):
        """Train one model on the examples that are not held out."""
        model = made or CandidateGenerator(
            self.task.features, signals, depth=depth, width=WIDTH, seed=seed
        )
        fit_model(model, self.data, epochs=epochs, seed=seed)
        return model

    def measure(self, model: CandidateGenerator) -> dict[str, float]:
        """``mrr, recall@20, recall@100, nats`` of the days after; the same ``inside/...``; and
        ``chosen/mrr`` of the events that are not simply the next episode.
        """
        events = self.task.events
        chosen = events[~events["source"].isin(NEXT_EPISODE)]
        inside = {f"inside/{k}": v for k, v in self.task.measure(model, self.inside).items()}
        scores = self.task.catalogue_scores(model, chosen)
        return {
            **self.task.measure(model),
            **inside,
            "chosen/mrr": self.task.measure(scores, chosen)["mrr"],
        }


def grid_trial(seed: int) -> dict[str, float]:
    """Feature sets by depth: keys such as ``all/2/mrr``; for "all" also ``all/2/clock``, how like
    the true lives of videos the learned ones are (chapter's Figure 4).

    Watches alone stay at depth 0: in P1's Figure 6 they are one dashed line.
    """
    game = Game(simulate("small", seed=seed).logs(), seed)
    out = {}
    for name, signals in FEATURE_SETS.items():
        for depth in depths_of(name):
            model = game.fit(signals, depth, seed)
            found = game.measure(model)
            if name == "all":
                found["clock"] = clock_likeness(game.task, model, seed, "fixed")["correlation"]
            out.update({f"{name}/{depth}/{key}": value for key, value in found.items()})
    return out


def context_trial(seed: int) -> dict[str, float]:
    """Depth where taste depends on the moment, and where it does not.

    Keys such as ``context 2/depth 1/nats``. Beside the tower stand its honest rivals, the linear
    model with a hand-made cross and the linear model trained twice as long.
    """
    out = {}
    for strength in STRENGTHS:
        world = simulate("small", seed=seed, context_taste=strength)
        game = Game(world.logs(), seed)
        models = {
            "depth 0": game.fit(SIGNALS, 0, seed),
            "depth 1": game.fit(SIGNALS, 1, seed),
            "cross": game.fit(seed=seed, made=Crossed(game.task.features, seed=seed)),
            "depth 0, twice as long": game.fit(SIGNALS, 0, seed, epochs=6),
        }
        for name, model in models.items():
            found = game.measure(model)
            out.update({f"context {strength:g}/{name}/{k}": v for k, v in found.items()})
    return out


def switch_trial(seed: int) -> dict[str, float]:
    """One layer against none in worlds with a mechanism off: ``no time/depth 1/nats``."""
    out = {}
    for name, dials in SWITCHES.items():
        game = Game(simulate("small", seed=seed, **dials).logs(), seed)
        for depth in (0, 1):
            found = game.measure(game.fit(SIGNALS, depth, seed))
            out.update({f"{name}/depth {depth}/{k}": v for k, v in found.items()})
    return out


def grid(results: pd.DataFrame, measure: str = "mrr") -> dict[str, np.ndarray]:
    """A grid's results as arrays (seeds, depths), one for each feature set; see `depths_of`."""
    return {
        name: np.stack([results[f"{name}/{d}/{measure}"] for d in depths_of(name)], axis=1)
        for name in FEATURE_SETS
    }
