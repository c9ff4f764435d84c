"""Off-policy estimates against the true value, on pages of a single card (chapter 12).

A log of one-card pages under a policy that draws its card; another policy is to be judged by it.
The simulator knows P(click) of every candidate at the top of the page, so the value of the other
policy is known exactly, and logs of any size can be drawn again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, softmax

from course.errors import ConfigError
from course.experiments.ranking import RankingTask, fit_ranker
from course.features.batch import RankingBatch
from course.off_policy import direct, doubly_robust, effective_sample_size, ips, snips
from course.simulator.experiment import live_requests
from course.simulator.feed import Requests, respond
from course.training import check_number, check_whole
from course.world import World, simulate

SIZES = (300, 1_000, 3_000, 10_000, 30_000)
REPEATS = 200
REQUESTS = 4_000
METHODS = ("IPS", "SNIPS", "direct", "doubly robust")
LOGGING_TEMPERATURE, TARGET_TEMPERATURE = 1.0, 0.5
LAST_DAYS = 10
SUPPORT = 0.5
"""Share of the candidates that the logging policy without support may show: the most watched."""


@dataclass(frozen=True)
class Bandit:
    """Requests with r rows and c candidates, all as (r, c) arrays.

    Attributes
    ----------
    logging, target : P(card) under both policies; rows sum to 1
    click : true P(click at the top); for drawing clicks and for the true value only
    guess : a model's logit of the click, which knows nothing of positions
    """

    logging: np.ndarray
    target: np.ndarray
    click: np.ndarray
    guess: np.ndarray

    @property
    def value(self) -> float:
        """True clicks per page of the target policy."""
        return float((self.target * self.click).sum(axis=1).mean())

    @property
    def logged_value(self) -> float:
        """True clicks per page of the logging policy."""
        return float((self.logging * self.click).sum(axis=1).mean())

    @property
    def supported(self) -> float:
        """Share of the target's choices that the logging policy might have made."""
        return float((self.target * (self.logging > 0)).sum(axis=1).mean())

    def without_support(self, popular: np.ndarray, share: float = SUPPORT) -> Bandit:
        """The same with a logging policy that shows the most ``popular`` cards (r, c) only.

        Raises
        ------
        ConfigError
            For a share outside 0 to 1.
        """
        if not 0 < share <= 1:
            raise ConfigError(f"share={share!r}", allowed="above 0, at most 1")
        keep = max(1, round(share * popular.shape[1]))
        shown = np.argsort(np.argsort(-popular, axis=1), axis=1) < keep
        kept = np.where(shown, self.logging, 0.0)
        return replace(self, logging=kept / kept.sum(axis=1, keepdims=True))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """A log of n pages: rows, cards shown, clicks."""
        row = rng.integers(len(self.click), size=n)
        cumulative = np.cumsum(self.logging[row], axis=1)
        u = rng.random((n, 1)) * cumulative[:, -1:]
        card = (u >= cumulative).sum(axis=1)
        return row, card, rng.random(n) < self.click[row, card]

    def estimates(self, n: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
        """One log of n pages: method -> (estimate, its standard error)."""
        row, card, clicked = self.draw(n, rng)
        weight = self.target[row, card] / self.logging[row, card]
        reward, logit = clicked.astype(float), self.guess[row]
        own = logit[np.arange(n), card]
        # The model never knew the place of a card: its level and spread are set right on the log.
        level, spread = recalibration(own, reward)
        expected = (self.target[row] * expit(level + spread * logit)).sum(axis=1)
        found = (
            ips(reward, weight),
            snips(reward, weight),
            direct(expected),
            doubly_robust(reward, weight, expit(level + spread * own), expected),
        )
        return {m: (e.value, e.error) for m, e in zip(METHODS, found, strict=True)}


def recalibration(
    logit: np.ndarray, clicked: np.ndarray, prior: float = 5.0, steps: int = 8
) -> tuple[float, float]:
    r"""Level a and spread b of :math:`\sigma(a + b z)` that fit clicks best.

    Newton's method for a logistic regression on one logit, held near b = 1.

    Parameters
    ----------
    logit, clicked : (n,) float
    prior : how strongly b is held near 1
    """
    z = np.asarray(logit, float)
    rate = (clicked.sum() + 0.5) / (len(z) + 1.0)
    a, b = float(np.log(rate / (1 - rate)) - z.mean()), 1.0
    for _ in range(steps):
        p = expit(a + b * z)
        w, wrong = p * (1 - p), clicked - p
        g = np.array([wrong.sum(), (wrong * z).sum() - prior * (b - 1)])
        cross = (w * z).sum()
        h = np.array([[w.sum() + 1e-6, cross], [cross, (w * z * z).sum() + prior]])
        step = np.linalg.solve(h, g)
        a, b = a + np.clip(step[0], -2, 2), b + np.clip(step[1], -1, 1)
    return float(a), float(b)


def one_card(world: World, n: int = REQUESTS, seed: int = 0) -> tuple[Bandit, np.ndarray]:
    """Requests of a world, a logging policy that likes the popular, and a target that learned.

    Returns
    -------
    Bandit, and the watches of each candidate so far (r, c)
    """
    task = RankingTask(world, 200, first_day=world.config.days - LAST_DAYS)
    ranker = fit_ranker(task, (32,), "click", epochs=1, seed=seed)
    requests, click = _requests(world, n, seed)
    inputs = task.features.of_requests(requests)
    logits = ranker.logits(RankingBatch.of(inputs, task.features)).reshape(click.shape)
    popular = np.log1p(inputs.column("video watches")).reshape(click.shape)
    return Bandit(
        softmax(popular / LOGGING_TEMPERATURE, axis=1),
        softmax(logits / TARGET_TEMPERATURE, axis=1),
        click,
        logits,
    ), popular


def _requests(world: World, n: int, seed: int) -> tuple[Requests, np.ndarray]:
    """Requests with candidates, and P(click) of each candidate if it stood at the top (n, c)."""
    engine = world.engine
    moment, requests = live_requests(engine, n, seed)
    truth = respond(engine.behaviour, engine.memory, moment, requests.request,
                    requests.candidates, engine.seed)  # fmt: skip
    top = engine.behaviour.examined(moment.device[:, None], np.ones((1, 1), np.int64))
    return requests, truth.p_click_if_seen * top


def errors(bandit: Bandit, n: int, repeats: int = REPEATS, seed: int = 0) -> dict[str, float]:
    """How far each method is from the true value over many logs of n pages.

    Returns
    -------
    dict with, for each method and in percent of the true value, ``<method>/bias``,
    ``<method>/sd``, ``<method>/rmse``; and ``<method>/covered``, the share of logs whose 95 %
    interval holds the truth
    """
    check_whole("n", n, 2)
    check_whole("repeats", repeats, 2)
    check_number("seed", seed, 0)
    rng, value = np.random.default_rng([seed, n]), bandit.value
    drawn = [bandit.estimates(n, rng) for _ in range(repeats)]
    out = {}
    for method in METHODS:
        found = np.array([d[method] for d in drawn])
        off = 100 * (found[:, 0] / value - 1)
        out[f"{method}/bias"] = float(off.mean())
        out[f"{method}/sd"] = float(off.std())
        out[f"{method}/rmse"] = float(np.sqrt((off**2).mean()))
        inside = np.abs(found[:, 0] - value) <= 1.96 * found[:, 1]
        out[f"{method}/covered"] = float(inside.mean())
    return out


def weights_of(bandit: Bandit, n: int, seed: int = 0) -> float:
    """Effective sample size of a log of n pages, as a share of n."""
    row, card, _ = bandit.draw(n, np.random.default_rng(seed))
    return effective_sample_size(bandit.target[row, card] / bandit.logging[row, card]) / n


def trial(seed: int) -> dict[str, float]:
    """Errors of all methods at all sizes, with and without support; keys begin with the kind."""
    full, popular = one_card(simulate("small", seed=seed), seed=seed)
    out = {"value": full.value, "logged value": full.logged_value, "effective": weights_of(full,
           10_000, seed)}  # fmt: skip
    kinds: dict[str, Bandit] = {"full": full, "no support": full.without_support(popular)}
    for kind, bandit in kinds.items():
        out[f"{kind}/supported"] = bandit.supported
        for n in SIZES:
            out |= {f"{kind}/{n}/{key}": v for key, v in errors(bandit, n, seed=seed).items()}
    return out
