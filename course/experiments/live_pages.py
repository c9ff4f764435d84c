"""Live pages whose every candidate is known: any score can be judged at once (chapter 08).

`course.ab_test` asks a policy for its pages and then lets people respond. Here the same requests
are asked for once, and the truth is taken for *all* nominated candidates. A score then needs only
to be sorted: what its pages are worth follows exactly, which makes hundreds of settings of a
combination function cheap. The numbers are those of `ab_test`'s ``expected`` (a test compares).
"""

from __future__ import annotations

import numpy as np
import torch

from course.checks import no_nan
from course.errors import ConfigError
from course.experiments.seven_tasks import context_of
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.models.combination import Combination
from course.simulator.experiment import live_requests
from course.simulator.feed import respond
from course.world import World

REQUESTS = 2_000
LEAST = 0.01
"""Predicted shares and satisfactions are raised to this value before they are multiplied."""


class LivePages:
    """Requests of one live experiment, their candidates, and what each would do.

    Parameters
    ----------
    world : World
    features : RankingFeatures
    n : number of requests
    seed, surface : as for `course.ab_test`

    Attributes
    ----------
    batch : RankingBatch of all candidates, page by page; ``context`` beside it
    seconds : (r, c) length of each candidate
    value : dict of (r, c) arrays, given a look: ``clicks``, ``watch_minutes``, ``satisfied``
        (4 or 5 stars), ``stars``, ``dismissals``
    """

    def __init__(
        self,
        world: World,
        features: RankingFeatures,
        n: int = REQUESTS,
        seed: int = 0,
        surface: str = "home",
    ):
        if world.config.time_budget:
            raise ConfigError(
                "With a budget of time the minutes of a page are no sum over its cards",
                fix="use a world with time_budget=0, or course.ab_test",
            )
        engine = world.engine
        moment, asked = live_requests(engine, n, seed, surface)
        inputs = features.of_requests(asked)
        self.batch = RankingBatch.of(inputs, features)
        self.context = torch.from_numpy(context_of(inputs))
        self.shape = asked.candidates.shape
        self.seconds = inputs.column("duration").reshape(self.shape)
        truth = respond(
            engine.behaviour, engine.memory, moment, asked.request, asked.candidates, engine.seed
        )
        p = truth.p_click_if_seen
        self.value = {
            "clicks": p,
            "watch_minutes": p * truth.expected_seconds / 60.0,
            "satisfied": p * truth.p_satisfied,
            "stars": p * truth.expected_rating,
            "dismissals": truth.p_dismiss / truth.p_seen,
        }
        place = np.arange(1, asked.slate + 1)
        self.seen = engine.behaviour.examined(moment.device[:, None], place)

    def outcomes(self, scores: np.ndarray) -> dict[str, float]:
        """Expected outcomes per page, if each page shows the best candidates by score.

        Parameters
        ----------
        scores : (r, c) or (r * c,)

        Returns
        -------
        dict with ``clicks``, ``watch_minutes``, ``satisfied``, ``dismissals`` per page, and
        ``stars``: mean rating of a watch
        """
        order = np.argsort(-no_nan("scores", scores).reshape(self.shape), axis=1, kind="stable")
        order = order[:, : self.seen.shape[1]]
        sums = {
            name: float((np.take_along_axis(value, order, axis=1) * self.seen).sum(axis=1).mean())
            for name, value in self.value.items()
        }
        sums["stars"] /= sums["clicks"]
        return sums

    def factors(self, predictions) -> dict[str, np.ndarray]:
        """Predictions as numbers above 0 that may be multiplied; see `factors`."""
        return factors(predictions, self.seconds.ravel())

    def truth_as_predictions(self) -> dict[str, np.ndarray]:
        """The factors of a ranker that knows the truth: the ceiling."""
        clicks = self.value["clicks"].ravel()
        stars = self.value["stars"].ravel() / clicks
        return {
            "click": clicks,
            "watch time": self.value["watch_minutes"].ravel() * 60 / clicks,
            "rating": np.clip((stars - 1) / 4, LEAST, 1),
        }


def factors(predictions, seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Turn the predictions of the seven tasks into factors for a `Combination`.

    Watch time becomes seconds, the rating a share of the way from 1 to 5 stars, and a dismissal
    the chance that there is none.

    Parameters
    ----------
    predictions : DataFrame or mapping, task -> (n,)
    seconds : (n,) length of each video
    """
    out = {name: np.asarray(predictions[name], float) for name in predictions}
    out["watch time"] = np.clip(out["watch time"], LEAST, 1.0) * seconds
    out["rating"] = np.clip((out["rating"] - 1.0) / 4.0, LEAST, 1.0)
    out["no dismissal"] = 1.0 - out.pop("dismissal")
    return out


def weights(watch_time: float, rating: float) -> dict[str, float]:
    """The weights of this chapter: a click counts once, and two weights are set by hand."""
    return {"click": 1.0, "watch time": watch_time, "rating": rating}


RATING_WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


def curve(pages: LivePages, predictions, rating_weights=RATING_WEIGHTS) -> dict[str, np.ndarray]:
    """Live engagement and satisfaction along a sweep of the rating's weight.

    Returns
    -------
    dict metric -> (k,) array, in the order of ``rating_weights``
    """
    found = [
        pages.outcomes(Combination(weights(1.0, w)).score(predictions)) for w in rating_weights
    ]
    return {name: np.array([f[name] for f in found]) for name in found[0]}


def at_equal(curve: dict[str, np.ndarray], metric: str, level: float, other: str) -> float:
    """Value of ``other`` where the curve reaches ``level`` of ``metric``, by straight lines.

    The curve is followed from its first point on, as long as ``metric`` moves one way; beyond its
    ends the answer is NaN.
    """
    x, y = curve[metric], curve[other]
    for i in range(len(x) - 1):
        low, high = sorted((x[i], x[i + 1]))
        if low <= level <= high and high > low:
            share = (level - x[i]) / (x[i + 1] - x[i])
            return float(y[i] + share * (y[i + 1] - y[i]))
    return float("nan")
