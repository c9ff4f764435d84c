"""The oracle: the best page by the truth, for each measure. For evaluation only."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from course.errors import ConfigError
from course.simulator import laws
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.experiment import OUTCOMES
from course.simulator.feed import Requests
from course.simulator.memory import Memory
from course.simulator.policies import offered, top

CHUNK = 1_000_000
"""Numbers that are held at once."""


class Cards:
    """The truth about the cards (r, c) that pages could be made of, by one of ``OUTCOMES``.

    Attributes
    ----------
    appeal : (r, c), logit of a click on what is seen
    worth : (r, c), of a click with all time still left, minutes in seconds; of "dismissals", which
        should be few, it is that of a look, and negative
    out : (r, c, 3), P(the time ends within the watch), see `laws.runs_out`; of minutes where time
        is short, else None
    """

    def __init__(
        self,
        behaviour: Behaviour,
        memory: Memory,
        situation: Situation,
        videos: np.ndarray,
        objective: str,
    ):
        self.behaviour, self.situation = behaviour, situation
        self.objective, self.out = objective, None
        score = behaviour.scorer(situation, videos, memory)
        self.appeal, seconds = score("click"), behaviour.catalogue.seconds[videos]
        logged_in = behaviour.people.logged_in[situation.user][:, None]
        self.worth = {
            "clicks": lambda: np.ones_like(self.appeal),
            "watch_minutes": lambda: self._seconds(score("watch"), seconds),
            "completions": lambda: self._completions(score("watch"), seconds),
            "satisfied": lambda: laws.satisfied_probability(score("survey")),
            "likes": lambda: expit(score("like")) * logged_in,
            "shares": lambda: expit(score("share")),
            "dismissals": lambda: (expit(self.appeal) - 1) * expit(score("dismiss")).astype(float),
        }[objective]()

    def _seconds(self, latent, seconds):
        if not self.behaviour.config.time_budget:
            return laws.mean_watched_share(latent) * seconds
        self.out = laws.runs_out(latent, seconds, self.behaviour.time_mean(self.situation))
        return np.einsum("rci,ri->rc", self.out, self._time())

    def _completions(self, latent, seconds):
        done = laws.completion_probability(latent)
        if not self.behaviour.config.time_budget:
            return done
        mean = self.behaviour.time_mean(self.situation)
        over = laws.budget_cdf(laws.COMPLETE_AT * seconds, mean)
        return done * ((1.0 - over) @ laws.BUDGET_SHARES)

    def _time(self) -> np.ndarray:
        """Seconds (r, 3) that each kind of budget adds to the mean."""
        mean = self.behaviour.time_mean(self.situation)
        return mean * (laws.BUDGET_SHARES * laws.BUDGET_SCALES)

    def value(self) -> np.ndarray:
        """Worth (r, c) of each as the first card of a page, seen for sure, all time still left."""
        return self.worth if self.objective == "dismissals" else expit(self.appeal) * self.worth

    def best(self, slate: int) -> np.ndarray:
        """Columns (r, slate) of the best page, as far as is known: ranked by value.

        That is exact, but for completions where time is short, and for an additive bias. Minutes
        where time is short come within .03 % of what no page exceeds: there each place, from the
        top down, takes the card that adds most to those above it.
        """
        if self.out is None:
            columns = np.arange(self.appeal.shape[1])
            return top(self.value(), np.broadcast_to(columns, self.appeal.shape), slate)
        rows, left = np.arange(len(self.appeal)), self._time()
        truth = self.behaviour.config.bias_truth
        chosen = np.empty((len(rows), slate), np.int64)
        for k in range(slate):
            seen = self.behaviour.examined(self.situation.device, k + 1)[:, None]
            chance = laws.click_probability(self.appeal, seen, truth)
            gain = chance * np.einsum("rci,ri->rc", self.out, left)
            np.put_along_axis(gain, chosen[:, :k], -1.0, axis=1)
            card = chosen[:, k] = gain.argmax(axis=1)
            left = left * (1 - chance[rows, card][:, None] * self.out[rows, card])
        return chosen


def _by_rows(function, behaviour, memory, situation, videos, objective) -> np.ndarray:
    """``function(cards)`` of few rows at a time, joined."""
    step = max(1, CHUNK // (8 * videos.shape[1]))
    rows = [slice(start, start + step) for start in range(0, max(1, len(videos)), step)]
    return np.concatenate([
        function(Cards(behaviour, memory, situation.rows(part), videos[part], objective))
        for part in rows
    ])  # fmt: skip


def value(
    behaviour: Behaviour,
    memory: Memory,
    situation: Situation,
    videos: np.ndarray,
    objective: str = "watch_minutes",
) -> np.ndarray:
    """True worth of videos (r, k) as the first card of a page, seen for sure, all time still left.

    For people (r,) and one of ``OUTCOMES``: the expected number on this card, float (r, k); minus
    the number for "dismissals"; seconds for "watch_minutes".
    """
    return _by_rows(Cards.value, behaviour, memory, situation, videos, objective)


class OraclePolicy:
    """Shows what is best by the truth, for one of ``OUTCOMES``. Never train on what it returns."""

    def __init__(self, behaviour: Behaviour, memory: Memory, objective: str = "watch_minutes"):
        if objective not in OUTCOMES:
            raise ConfigError(
                f"The oracle has no objective {objective!r}", allowed=", ".join(OUTCOMES)
            )
        self.behaviour, self.memory, self.objective = behaviour, memory, objective

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests; see `Cards.best`."""
        situation = self.behaviour.situation(requests.user, requests.time, requests.device)
        videos = offered(requests)
        columns = _by_rows(lambda cards: cards.best(requests.slate), self.behaviour, self.memory,
                           situation, videos, self.objective)  # fmt: skip
        return np.take_along_axis(videos, columns, axis=1)
