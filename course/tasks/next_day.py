"""Rank the cards of a page: the task of all rankers.

A ranker learns from the impressions of a log. It is judged on fresh pages of the day after, served
by the ranking that made the log. A log's own last day would do as well, but holds few pages; here a
test can be as large as it needs to be, and every card carries what no platform knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from course.checks import check_whole, no_nan, one_each
from course.errors import ConfigError
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.logs.tables import from_record
from course.metrics import weighted_per_user_loss
from course.simulator.behaviour import Situation
from course.simulator.engine import Record, write_pages
from course.simulator.experiment import OUTCOMES, draw_requests, live_requests, page_outcomes
from course.simulator.feed import Policy, Requests, rank, respond
from course.simulator.policies import offered, top
from course.simulator.streams import generator
from course.world import World, ab_test

WARM_UP_DAYS = 5.0
"""Days at the beginning of a log that are left out: bags and counters are still empty there."""

HOME_SHARE = 0.55
"""Of the pages of a log about so many are home pages; the others are up-next lists."""

ORACLES = {"watch": "watch_minutes", "click": "clicks"}
"""Oracles of live tests, and what they want most of."""

TRUE_COLUMNS = ("p_seen", "p_click_if_seen", "p_click", "expected_seconds", "expected_rating",
                "p_satisfied", "p_complete", "p_like", "p_share", "p_dismiss")  # fmt: skip


@dataclass(frozen=True)
class FreshPages:
    """Cards of fresh pages, in the columns of ``logs.impressions``; request_id is negative.

    ``truth`` is row-aligned, ``TRUE_COLUMNS``: probabilities, and expectations given a click
    (seconds, stars). For evaluation only.
    """

    cards: pd.DataFrame
    truth: pd.DataFrame

    def __len__(self) -> int:
        return len(self.cards)

    @property
    def expected_seconds(self) -> np.ndarray:
        """True expected watch time of each card where it stood (n,), seconds."""
        return (self.truth["p_click"] * self.truth["expected_seconds"]).to_numpy()

    @property
    def value(self) -> np.ndarray:
        """True expected watch time of each card if it is looked at (n,), seconds: the ceiling."""
        return (self.truth["p_click_if_seen"] * self.truth["expected_seconds"]).to_numpy()


Scorer = Callable[[RankingBatch], np.ndarray]
"""Function of n cards that returns scores (n,), higher = shown earlier."""


class NextDay:
    """The ranking task of one world.

    Parameters
    ----------
    pages : fresh pages to be judged on, at least 20
    first_day, last_day : float days; pages with ``first_day <= time < last_day`` train. None =
        from the end of the warm-up to the end of the log.
    seed : of the fresh pages
    **features : options of `RankingFeatures`

    Attributes
    ----------
    rows : DataFrame, the impressions that train
    inputs, test_inputs : RankingInputs; train, test : the same as `RankingBatch`; numbers as they
        are
    fresh : FreshPages, the cards to be judged on, and their truth
    """

    def __init__(
        self,
        world: World,
        pages: int = 10_000,
        *,
        first_day: float | None = None,
        last_day: float | None = None,
        seed: int = 1,
        **features,
    ):
        self.world, self.logs = world, world.logs()
        first = WARM_UP_DAYS if first_day is None else first_day
        last = np.inf if last_day is None else last_day
        time = self.logs.impressions["time"]
        self.rows = self.logs.impressions[(time >= first) & (time < last)]
        self.features = RankingFeatures(self.logs, self.rows, **features)
        self.inputs = self.features.of_impressions(self.logs, self.rows)
        self.fresh = fresh_pages(world, pages, seed)
        self.test_inputs = self.features.of_impressions(self.logs, self.fresh.cards)

    def __repr__(self) -> str:
        return f"NextDay({len(self.rows):,} cards to learn from, {len(self.fresh):,} fresh ones)"

    @cached_property
    def train(self) -> RankingBatch:
        """The training cards as tensors."""
        return RankingBatch.of(self.inputs)

    @cached_property
    def test(self) -> RankingBatch:
        """The fresh cards as tensors."""
        return RankingBatch.of(self.test_inputs)

    def label(self, name: str) -> Tensor:
        """A column of the training cards, such as "clicked", as a tensor (n,)."""
        return torch.from_numpy(self.rows[name].to_numpy().copy())

    def offline(self, scores: np.ndarray) -> dict[str, float]:
        """How wrong scores (n,) of the fresh cards are, in percent of the watch time.

        ``loss``: P1's weighted per-user loss over the pairs of all pages; ``loss by account``: the
        same averaged over accounts; ``true loss``: what to expect of ``loss`` if the people came
        again and again, without the luck of labels.
        """
        c = self.fresh.cards
        k = len(c) // c["request_id"].nunique()
        given = scores, c["clicked"], c["watched_seconds"], c["request_id"]
        return {
            "loss": 100 * weighted_per_user_loss(*given),
            "loss by account": 100 * weighted_per_user_loss(*given, c["user_id"].to_numpy()),
            "true loss": 100 * expected_loss(scores, self.fresh.truth, k),
        }  # fmt: skip

    def policy(self, scorer: Scorer) -> Policy:
        """Pages of the candidates with the highest scores."""
        return ranker_policy(self.features, scorer)

    def live(
        self,
        scorers: Mapping[str, Scorer],
        n: int = 2_000,
        seed: int = 0,
        oracles: Sequence[str] = tuple(ORACLES),
        **options,
    ) -> pd.DataFrame:
        """Put rankers in front of the same people; the numbers are exact expectations per page.

        Parameters
        ----------
        oracles : names in ``ORACLES`` of those that take part, "oracle (watch)"
        **options : as of `ab_test`

        Returns
        -------
        DataFrame, a row for each policy ("past", "random", "length only", the oracles, the
        rankers), the columns ``OUTCOMES``, ``length_minutes`` (of what is shown), and
        ``minutes_per_click``
        """
        policies = {"past": self.world.past_ranking(), "random": self.world.random(),
                    "length only": self.policy(length_only)}  # fmt: skip
        policies |= {f"oracle ({name})": self.world.oracle(ORACLES[name]) for name in oracles}
        policies |= {name: self.policy(scorer) for name, scorer in scorers.items()}
        table = ab_test(self.world, policies, n=n, seed=seed, **options).table
        table = table.pivot(index="policy", columns="metric", values="expected").loc[list(policies)]
        table["minutes_per_click"] = table["watch_minutes"] / table["clicks"]
        columns = [*OUTCOMES, "length_minutes", "minutes_per_click"]
        return table[columns].rename_axis(columns=None)

    def asked(self, users: Sequence[int]) -> tuple[Situation, Requests]:
        """See `evening_requests`."""
        return evening_requests(self.world, users)

    def pages(self, scorer: Scorer, users: Sequence[int]) -> np.ndarray:
        """The pages (accounts, k) of some accounts by a ranker, on the evening after the log."""
        return self.policy(scorer)(self.asked(users)[1])


def evening_requests(
    world: World, users: Sequence[int], candidates: str = "nominated"
) -> tuple[Situation, Requests]:
    """Home pages that accounts ask for on the evening after the log, on their usual device.

    ``candidates`` are "nominated" or "catalogue", as for `course.ab_test`.
    """
    engine, users = world.engine, np.asarray(users, np.int64)
    day, device = world.config.days, engine.people.device_weights[users].argmax(axis=1)
    engine.market.open(day)
    situation = engine.behaviour.situation(users, np.full(len(users), day + 0.8), device)
    rng = generator(engine.seed, "evening after the log")
    number, query = -1 - np.arange(len(users)), np.full(len(users), -1)
    pool = candidates == "nominated"
    return situation, engine.requests(situation, query, engine.memory, number, rng, pool=pool)


def length_only(batch: RankingBatch) -> np.ndarray:
    """The rival that needs no model: the length of the video."""
    return batch.number("duration")


def ranker_policy(features: RankingFeatures, scorer: Scorer) -> Policy:
    """Pages of the candidates with the highest scores; the features make inputs of the requests."""

    def best(requests: Requests) -> np.ndarray:
        scores = np.asarray(scorer(RankingBatch.of(features.of_requests(requests))))
        videos = offered(requests)
        return top(scores.reshape(videos.shape), videos, requests.slate)

    return best


def expected_loss(scores: np.ndarray, truth: pd.DataFrame, k: int) -> float:
    """Expectation of the weighted loss over all pairs of pages of k cards, each of n / k pages.

    A pair of cards i, j of one page counts with P(i is clicked, j is not) times the watch time that
    is to be expected of i; coins of different cards are independent. The truth of the n cards has
    the columns ``p_click`` and ``expected_seconds``.
    """
    one_each(scores=scores, p_click=truth["p_click"])
    s = no_nan("scores", scores).astype(float).reshape(-1, k)
    p = truth["p_click"].to_numpy().reshape(-1, k)
    won = p * truth["expected_seconds"].to_numpy().reshape(-1, k)
    weight = won[:, :, None] * (1 - p)[:, None, :]
    weight[:, np.arange(k), np.arange(k)] = 0.0
    wrong = (s[:, None, :] > s[:, :, None]) + 0.5 * (s[:, None, :] == s[:, :, None])
    return float((weight * wrong).sum() / weight.sum())


class LivePages:
    """Requests of one live experiment with their candidates, for scores that are judged at once.

    `ab_test` asks policies anew each time. Here the inputs of all candidates are computed once, so
    hundreds of ways to combine the same predictions can be compared. The numbers are those of
    ``expected`` in `ab_test` (a test compares).

    Parameters
    ----------
    n, seed : as for `ab_test`

    Attributes
    ----------
    batch : RankingBatch of the candidates of all pages; shape : (r, c), pages and candidates
    """

    def __init__(self, world: World, features: RankingFeatures, n: int = 2_000, seed: int = 0):
        self.world, self.engine = world, world.engine
        self.situation, self.asked = live_requests(world.engine, n, seed)
        self.batch = RankingBatch.of(features.of_requests(self.asked))
        self.shape = self.asked.candidates.shape

    def best(self, scores: np.ndarray) -> np.ndarray:
        """Pages (r, k) of the candidates with the highest scores (r * c,)."""
        scores = no_nan("scores", scores).reshape(self.shape)
        return top(scores, self.asked.candidates, self.asked.slate)

    def outcomes(self, scores: np.ndarray) -> dict[str, float]:
        """``OUTCOMES`` to be expected per page if each shows the best by scores (r * c,)."""
        return {name: float(of.mean()) for name, of in self.per_page(scores).items()}

    def per_page(self, scores: np.ndarray, *, observed: bool = False) -> dict[str, np.ndarray]:
        """The same for each page (r,); or what was ``observed`` there, with the luck of a day."""
        found = page_outcomes(self.respond(self.best(scores)))
        return {name: found[name][0 if observed else 1] for name in OUTCOMES}

    def truth(self) -> pd.DataFrame:
        """What to expect of each candidate (r * c rows) that is looked at first, for each task."""
        truth, at = self.world.truth, self.situation
        asked = at.user[:, None], self.asked.candidates, at.time[:, None], at.device[:, None]
        seconds = self.batch.number("duration").reshape(self.shape)
        columns = {
            "click": truth.click_probability(*asked),
            "watch time": truth.watch_seconds(*asked) / seconds,
            "completion": truth.completion_probability(*asked),
            "like": truth.probability("like", *asked),
            "dismissal": truth.probability("dismiss", *asked),
            "share": truth.probability("share", *asked),
            "rating": truth.rating(*asked),
        }
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})

    def respond(self, videos: np.ndarray):
        """What the people do with videos (r, k) that stand on the page in this order."""
        e, asked = self.engine, self.asked
        return respond(e.behaviour, e.memory, self.situation, asked.request, videos, e.seed)


def fresh_pages(
    world: World, pages: int = 10_000, seed: int = 0, policy: Policy | None = None
) -> FreshPages:
    """Serve fresh pages to the people of a world on the day after its log; it does not change.

    Parameters
    ----------
    pages : number of pages, at least 20
    seed : which requests and which luck, 0 to 2147483647
    policy : who ranks them; None = the past ranking, which made the log
    """
    check_whole("pages", pages, 20)
    check_whole("seed", seed, 0)
    if seed >= 2**31:
        raise ConfigError(f"seed={seed!r}", allowed="0 to 2147483647")
    home = round(HOME_SHARE * pages)
    parts = [_serve(world, home, seed, "home", policy, 0),
             _serve(world, pages - home, seed, "up_next", policy, home)]  # fmt: skip
    cards, truth = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    return FreshPages(cards, truth)


def _serve(world, n, seed, surface, policy, offset):
    engine = world.engine
    situation, query = draw_requests(engine, n, seed, surface)
    # Far below the numbers of live experiments, so that no luck is shared with them.
    number = -(10**15) - (np.arange(n, dtype=np.int64) + offset + 10**7 * seed)
    rng = generator(engine.seed, "next day nominate", seed, offset)
    asked = engine.requests(situation, query, engine.memory, number, rng)
    pages = rank(policy or engine.past_ranking(), asked)
    f = respond(engine.behaviour, engine.memory, situation, number, pages, engine.seed)
    record = Record()
    write_pages(situation, asked, pages, f, record)
    cards = from_record(engine, record)["impressions"]
    truth = {name: getattr(f, name).ravel() for name in TRUE_COLUMNS}
    return cards, pd.DataFrame(truth)


class OwnPages(LivePages):
    """The same with candidates of one's own, out of the whole catalogue.

    ``nominate`` takes requests without candidates (which are kept as ``open``, for policies that
    choose from everything) and returns requests with them.
    """

    def __init__(
        self,
        world: World,
        features: RankingFeatures,
        nominate: Callable[[Requests], Requests],
        n: int = 1_000,
        seed: int = 0,
    ):
        self.world, self.engine = world, world.engine
        self.situation, self.open = live_requests(world.engine, n, seed, candidates="catalogue")
        self.asked = nominate(self.open)
        self.batch = RankingBatch.of(features.of_requests(self.asked))
        self.shape = self.asked.candidates.shape

    def worth(self, videos: np.ndarray) -> pd.DataFrame:
        """What is to be expected of each page (r, k): ``OUTCOMES`` and ``length_minutes``."""
        found = {name: of[1] for name, of in page_outcomes(self.respond(videos)).items()}
        length = self.engine.catalogue.seconds[videos].mean(axis=1) / 60.0
        return pd.DataFrame({**found, "length_minutes": length})
