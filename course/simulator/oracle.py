"""The oracle: the best page by the truth, and the ceiling that no page exceeds, for each measure.

For evaluation only.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from course.errors import ConfigError
from course.simulator import laws
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.feed import Requests
from course.simulator.memory import Memory
from course.simulator.policies import offered, top

OBJECTIVES = ("clicks", "watch_minutes", "completions", "satisfied", "likes", "shares",
              "dismissals")  # fmt: skip
"""What a page can be judged by, as in `course.simulator.experiment.OUTCOMES`."""
OLD_NAMES = {"click": "clicks", "watch": "watch_minutes", "satisfaction": "satisfied"}
CHUNK = 1_000_000
"""Numbers that are held at once."""


class Cards:
    """The truth about the cards that pages could be made of, by one objective.

    Parameters
    ----------
    situation : r rows
    videos : int array (r, c)
    objective : one of ``OBJECTIVES``

    Attributes
    ----------
    appeal : (r, c), logit of a click on what is seen
    worth : (r, c), of a click with all time still left, minutes in seconds; of "dismissals", which
        should be few, it is that of a look, and negative
    out : (r, c, 3), P(the time ends within the watch), see `laws.runs_out`; None without a budget
    """

    def __init__(self, behaviour, memory, situation, videos, objective):
        self.behaviour, self.situation = behaviour, situation
        self.objective, self.out = OLD_NAMES.get(objective, objective), None
        components = behaviour.components(situation, videos, memory)
        row = behaviour.weight_row(situation, videos)

        def score(task):
            return behaviour.score(task, situation, videos, components, row)

        self.appeal, seconds = score("click"), behaviour.catalogue.seconds[videos]
        logged_in = behaviour.people.logged_in[situation.user][:, None]
        self.worth = {
            "clicks": lambda: np.ones_like(self.appeal),
            "watch_minutes": lambda: self._seconds(score("watch"), seconds),
            "completions": lambda: self._completions(score("watch"), seconds),
            "satisfied": lambda: laws.satisfied_probability(score("survey")),
            "likes": lambda: expit(score("like")) * logged_in,
            "shares": lambda: expit(score("share")),
            "dismissals": lambda: (
                (expit(self.appeal) - 1.0) * expit(score("dismiss")).astype(float)
            ),
        }[self.objective]()

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

    def reached(self, slate: int) -> np.ndarray:
        """P(click) (r, slate, c) at each place, or P(look) where looks count."""
        place = np.arange(1, slate + 1)
        seen = self.behaviour.examined(self.situation.device[:, None], place)[:, :, None]
        if self.objective == "dismissals":
            return np.broadcast_to(seen, (*seen.shape[:2], self.appeal.shape[1]))
        truth = self.behaviour.config.bias_truth
        return laws.click_probability(self.appeal[:, None, :], seen, truth)

    def ranked(self, slate: int) -> np.ndarray:
        """Columns (r, slate) of the cards with the highest values, best first."""
        columns = np.arange(self.appeal.shape[1])
        return top(self.value(), np.broadcast_to(columns, self.appeal.shape), slate)

    def greedy(self, slate: int) -> np.ndarray:
        """Columns (r, slate), minutes with a budget: each place adds most to those above it."""
        rows, left, chance = np.arange(len(self.appeal)), self._time(), self.reached(slate)
        chosen = np.empty((len(rows), slate), np.int64)
        for k in range(slate):
            gain = chance[:, k] * np.einsum("rci,ri->rc", self.out, left)
            np.put_along_axis(gain, chosen[:, :k], -1.0, axis=1)
            card = chosen[:, k] = gain.argmax(axis=1)
            left = left * (1 - chance[rows, k, card][:, None] * self.out[rows, card])
        return chosen

    def best(self, slate: int) -> np.ndarray:
        """Columns (r, slate) of the best page, as far as is known.

        Exact, but for two measures under a budget of time: minutes come within .03 % of the
        ceiling on the mean (1 % with an additive bias), and completions are planned as if each card
        had all the time, which leaves them 4 to 20 % below a bound that may be too high.
        """
        if self.behaviour.config.bias_truth == "additive":
            return self.plan(slate)[0]
        return self.ranked(slate) if self.out is None else self.greedy(slate)

    def minutes(self, columns: np.ndarray) -> np.ndarray:
        """Exact minutes (r,) of pages made of columns (r, k), by the objective "watch_minutes"."""
        rows, place = np.arange(len(columns))[:, None], np.arange(columns.shape[1])
        chance = self.reached(len(place))[rows, place, columns]
        if self.out is None:
            return (chance * self.worth[rows, columns]).sum(axis=1) / 60.0
        stays = (1.0 - chance[..., None] * self.out[rows, columns]).prod(axis=1)
        return (self._time() * (1.0 - stays)).sum(axis=1) / 60.0

    def plan(self, slate: int, rounds: int = 6) -> tuple[np.ndarray, np.ndarray]:
        r"""The best page found (columns (r, slate)), and what no page exceeds (r,).

        Putting cards in places is an assignment problem. With a budget, minutes are
        :math:`\sum_i w_i\mu s_i(1 - e^{-S_i})` with :math:`S_i = -\sum_k\log(1 - p_k x_{ki})`, a
        sum over the page. A concave function lies below its tangents:
        :math:`1 - e^{-S} \le 1 - e^{-s} + e^{-s}(S - s)` for any s, so the best assignment by
        the right side, which is linear, bounds all pages; s is moved towards where the bound is
        tight. Completions are bounded as if each card had all the time.
        """
        chance = self.reached(slate).astype(float)
        if self.out is None:
            return _assigned(chance * self.worth[:, None, :])
        time, rows = self._time().astype(float), np.arange(len(chance))[:, None]
        spent = -np.log1p(-chance[..., None] * self.out[:, None])
        best = columns = self.greedy(slate)
        bound, most, s = np.inf, -np.inf, 0.0
        for step in range(rounds):
            page, found = spent[rows, np.arange(slate), columns].sum(axis=1), self.minutes(columns)
            best = np.where((found > most)[:, None], columns, best)
            most = np.maximum(found, most)
            s = s + (page - s) * 2 / (step + 2)
            slope = time * np.exp(-s)
            columns, total = _assigned(np.einsum("rkci,ri->rkc", spent, slope))
            bound = np.minimum(bound, total + (time - slope * (1 + s)).sum(axis=1))
        return best, bound


def _assigned(worth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best cards for the places (r, k, c): columns (r, k) and total worth (r,)."""
    columns = np.stack([linear_sum_assignment(page, maximize=True)[1] for page in worth])
    return columns, np.take_along_axis(worth, columns[:, :, None], axis=2).sum(axis=(1, 2))


def _by_rows(function, behaviour, memory, situation, videos, objective, cells=1) -> np.ndarray:
    """``function(cards)`` of few rows at a time, ``cells`` numbers for each card, joined."""
    step = max(1, CHUNK // (cells * videos.shape[1]))
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
    objective: str = "watch",
) -> np.ndarray:
    """True worth of each video as the first card of a page, seen for sure, all time still left.

    Parameters
    ----------
    situation : r rows
    videos : int array (r, k)
    objective : one of ``OBJECTIVES``, or "watch", "click", "satisfaction"

    Returns
    -------
    float array (r, k)
        Expected number on this card (minus the number for "dismissals"); seconds for "watch".
    """
    unit = 60.0 if objective == "watch_minutes" else 1.0
    return _by_rows(Cards.value, behaviour, memory, situation, videos, objective) / unit


class OraclePolicy:
    """Shows what is best by the truth. Never train on anything it returns.

    Parameters
    ----------
    objective : one of ``OBJECTIVES`` (dismissals: as few as possible), or the first edition's
        names "watch", "click", "satisfaction", which rank by value
    """

    def __init__(self, behaviour: Behaviour, memory: Memory, objective: str = "watch"):
        names = (*OLD_NAMES, *OBJECTIVES)
        if objective not in names:
            raise ConfigError(
                f"The oracle has no objective {objective!r}", allowed=", ".join(names)
            )
        self.behaviour, self.memory, self.objective = behaviour, memory, objective

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests; see `Cards.best`."""
        ranks = self.objective in OLD_NAMES and not self.behaviour.config.time_budget
        find, cells = (Cards.ranked, 1) if ranks else (Cards.best, 4 * requests.slate)
        columns = self._cards(lambda cards: find(cards, requests.slate), requests, cells)
        return np.take_along_axis(offered(requests), columns, axis=1)

    def ceiling(self, requests: Requests) -> np.ndarray:
        """What no page exceeds (r,) in expectation, minutes or counts; see `Cards.plan`.

        Of dismissals, minus the fewest on a full page. Thumbnails, which differ by chance, are
        left out (dial ``thumbnail_bias``).
        """
        unit = 60.0 if OLD_NAMES.get(self.objective, self.objective) == "watch_minutes" else 1.0
        k = requests.slate
        return self._cards(lambda cards: cards.plan(k)[1], requests, 4 * k) / unit

    def _cards(self, function, requests, cells):
        situation = self.behaviour.situation(requests.user, requests.time, requests.device)
        return _by_rows(function, self.behaviour, self.memory, situation, offered(requests),
                        self.objective, cells)  # fmt: skip
