"""A system that learns from its own log: rounds of serve, log and retrain (chapter 14)."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch

from course.errors import ConfigError
from course.experiments.position_bias import places, served
from course.features import RankingFeatures
from course.logs.tables import Logs, from_record
from course.models.position_bias import ClickModel, MainTower, ShallowTowerModel, fit_clicks
from course.models.ranking import FirstLinear, InputLayer, RankingBatch
from course.simulator.engine import Engine, Record
from course.simulator.feed import Policy, Requests
from course.simulator.policies import offered, top
from course.simulator.rounds import gini
from course.simulator.streams import coins
from course.training import check_number
from course.world import World, run_rounds, simulate

MEDIUM = {"users": 1_000, "videos": 1_000, "days": 24}
"""A world between "tiny" and "small", in which a round takes seconds."""
ROUNDS, DAYS_PER_ROUND = 6, 3
WINDOW_DAYS = 6.0
"""Days of the log that each retraining sees: after two rounds they are all the system's own."""
EXPLORE = 0.1
"""Share of the cards that exploration gives to a candidate drawn by chance."""
KEPT = 12
"""Of 30 candidates a closed first stage lets so many through, for a page of ten."""
HIDDEN = (32, 16)
EPOCHS, BATCH, LEARNING_RATE = 3, 500, 1e-2
NEW_DAYS = 7.0
LEARNED = {
    "naive": (False, 0.0),
    "shallow tower": (True, 0.0),
    "naive + exploration": (False, EXPLORE),
    "shallow + exploration": (True, EXPLORE),
}
"""Arm -> (whether it has a shallow tower, share of cards by chance)."""


def known_by(world: World, engine: Engine, record: Record, now: float, ahead: float) -> Logs:
    """The log of a world up to its end, and what an arm has added to it since.

    Parameters
    ----------
    world : World, whose log comes first
    engine, record : the arm's engine and all its rows so far
    now : float, days
    ahead : float, days; videos uploaded until ``now + ahead`` stand in the table of videos, since
        what describes a video is known when it is uploaded. Nothing else of the future is there.
    """
    later = copy.copy(engine)
    later.config = dataclasses.replace(
        engine.config,
        days=math.ceil(now + ahead),
        future_days=max(0, engine.config.horizon - math.ceil(now + ahead)),
    )
    own = from_record(later, record)
    first = world.logs()
    tables = {
        name: pd.concat([getattr(first, name), own[name]], ignore_index=True)
        for name in ("watches", "searches", "impressions")
    }
    return Logs(users=first.users, videos=own["videos"], **tables)


def explored(pages: np.ndarray, videos: np.ndarray, share: float, draws: np.ndarray) -> np.ndarray:
    """Give some places of each page to candidates that are not on it, drawn by chance.

    Parameters
    ----------
    pages : (r, k) int, as ranked
    videos : (r, c) int, all candidates
    share : probability that a place is given away
    draws : (r, c) in (0, 1), one for each candidate

    Returns
    -------
    (r, k) int; a page on which all candidates stand stays as it is
    """
    check_number("share", share, 0.0)
    if share > 1:
        raise ConfigError(f"share={share!r}", allowed="0 to 1")
    on = (videos[:, :, None] == pages[:, None, :]).any(axis=2)
    k, spare = pages.shape[1], videos.shape[1] - pages.shape[1]
    width = min(k, spare)
    if not share or not width:
        return pages
    order = np.argsort(np.where(on, 2.0, draws), axis=1)[:, :width]
    others = np.take_along_axis(videos, order, axis=1)
    # The draws of the cards that are on the page decide which places are given away.
    at = np.argmax(videos[:, None, :] == pages[:, :width, None], axis=2)
    out = pages.copy()
    out[:, :width] = np.where(np.take_along_axis(draws, at, axis=1) < share, others, out[:, :width])
    return out


class LoopPolicy:
    """A click model in front of people, with a share of the cards drawn by chance.

    Parameters
    ----------
    features, logs, model : the ranker, and the log that it looks back into
    explore : share of the cards that is drawn by chance
    clicks : (n,) clicks of each video, or None; with them a first stage keeps only the
        ``KEPT`` candidates with the most clicks
    seed : of what is drawn
    """

    def __init__(
        self,
        features: RankingFeatures,
        logs: Logs,
        model: ClickModel,
        explore: float = 0.0,
        clicks: np.ndarray | None = None,
        seed: int = 0,
    ):
        self.features, self.logs, self.model = features, logs, model
        self.explore, self.clicks, self.seed = explore, clicks, seed

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        videos = offered(requests)
        inputs = self.features.of_requests(requests, self.logs)
        batch = RankingBatch.of(inputs, self.features)
        scores = served(self.model, batch).reshape(videos.shape)
        if self.clicks is not None:
            place = np.argsort(np.argsort(-self.clicks[videos], axis=1, kind="stable"), axis=1)
            scores = np.where(place < KEPT, scores, scores - 1e3)
        pages = top(scores, videos, requests.slate)
        draws = coins(self.seed, "exploration", requests.request[:, None], videos)
        return explored(pages, videos, self.explore, draws)


def learner(
    world: World,
    shallow: bool = False,
    explore: float = 0.0,
    *,
    closed: bool = False,
    include=None,
    window: float = WINDOW_DAYS,
    days_per_round: int = DAYS_PER_ROUND,
    seed: int = 0,
) -> Callable[[Record, Engine], Policy]:
    """What `course.run_rounds` asks before each round: train on the last days, serve the next.

    Parameters
    ----------
    shallow : explain the position by a shallow tower (chapter 10)
    explore : share of the cards that is drawn by chance
    closed : the first stage learns from the log, too: it lets only those candidates through that
        were clicked most
    include : names of the features that the ranker sees; None = all
    window : days of the log that it trains on
    """

    def learn(record: Record, engine: Engine) -> Policy:
        watches = record.table("watches")
        now = float(world.config.days)
        if watches:
            passed = watches["time"].max() - now
            now += days_per_round * math.ceil(passed / days_per_round)
        logs = known_by(world, engine, record, now, days_per_round)
        rows = logs.impressions[logs.impressions["time"] >= now - window]
        features = RankingFeatures(logs, rows)
        model = _fit(features, logs, rows, shallow, include, world.config.slate, seed)
        clicks = None
        if closed:
            clicked = rows["video_id"].to_numpy()[rows["clicked"].to_numpy()]
            clicks = np.bincount(clicked, minlength=len(logs.videos))
        return LoopPolicy(features, logs, model, explore, clicks, world.seed)

    return learn


def _fit(features, logs, rows, shallow, include, slate, seed) -> ClickModel:
    batch = RankingBatch.of(features.of_impressions(logs, rows), features)
    rate = float(rows["clicked"].mean())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = FirstLinear(InputLayer(features, include, seed=seed), HIDDEN[0])
        main = MainTower(first, HIDDEN, start=math.log(rate / (1 - rate)), seed=seed)
    model = (ShallowTowerModel if shallow else ClickModel)(main, slate)
    fit_clicks(model, batch, *places(rows), epochs=EPOCHS, batch=BATCH,
               learning_rate=LEARNING_RATE, seed=seed)  # fmt: skip
    return model


def arms(world: World, which=tuple(LEARNED), **options) -> dict[str, Callable | None]:
    """Learners for `course.run_rounds`: those asked for, chance, the oracle, and nothing shown."""
    out = {name: learner(world, *LEARNED[name], **options) for name in which}
    return {
        **out,
        "random": lambda record, engine: world.random(),
        "oracle": lambda record, engine: _oracle(world, engine),
        "nothing recommended": None,
    }


def _oracle(world: World, engine: Engine) -> Policy:
    oracle = world.oracle("click")
    oracle.memory = engine.memory  # of this arm
    return oracle


def measures(world: World, records: Mapping[str, list[Record]]) -> pd.DataFrame:
    """What each arm showed in each round, and what it was worth by the truth.

    Returns
    -------
    DataFrame, a row for each (arm, round): ``clicks`` and ``minutes`` expected per page, ``stars``
        expected per watch, ``gini`` of the impressions over the videos that exist, ``coverage``
        (share of them that was shown), ``new`` (share of the cards younger than 7 days),
        ``topics`` watched per account, from anywhere
    """
    catalogue, rows = world.engine.catalogue, []
    for arm, rounds in records.items():
        for number, record in enumerate(rounds, start=1):
            watches = record.table("watches")
            topic = pd.Series(catalogue.topic[watches["video"]])
            row = {"arm": arm, "round": number,
                   "topics": float(topic.groupby(watches["user"]).nunique().mean())}  # fmt: skip
            shown = record.table("impressions")
            rows.append(row | (_pages(catalogue, shown, record) if shown else {}))
    return pd.DataFrame(rows)


def _pages(catalogue, shown, record) -> dict[str, float]:
    truth = record.table("truth_impressions")
    p = truth["p_seen"].astype(float) * truth["p_click_if_seen"]
    pages = len(np.unique(shown["request"]))
    counts = np.bincount(shown["video"], minlength=catalogue.available(shown["time"].max()))
    return {
        "clicks": p.sum() / pages,
        "minutes": (p * truth["expected_seconds_if_clicked"]).sum() / 60 / pages,
        "stars": np.average(truth["expected_rating_if_clicked"], weights=p),
        "gini": gini(counts),
        "coverage": float((counts > 0).mean()),
        "new": float((shown["time"] - catalogue.uploaded[shown["video"]] < NEW_DAYS).mean()),
    }


def loop_world(seed: int, **dials) -> World:
    """The world of the rounds, with days enough after its log."""
    return simulate(
        "small", seed=seed, **{**MEDIUM, "future_days": ROUNDS * DAYS_PER_ROUND, **dials}
    )


# --- The ledger ----------------------------------------------------------------------------------


def trial(seed: int, rounds: int = ROUNDS, size=None) -> dict[str, float]:
    """All arms, with nominators that know the outside world and with a first stage of our own.

    Parameters
    ----------
    size : dials of the world in place of ``MEDIUM``

    Returns
    -------
    dict with ``<stage>/<arm>/<round>/<measure>``, stage "open" or "closed"
    """
    world = loop_world(seed, **(size or {}))
    out = {}
    for stage, closed in (("open", False), ("closed", True)):
        learners = arms(world, seed=seed, closed=closed)
        if closed:  # the others do not learn, so nothing would change
            learners = {name: learners[name] for name in LEARNED}
        found = run_rounds(world, learners, rounds=rounds, days_per_round=DAYS_PER_ROUND)
        for row in measures(world, found.records).to_dict("records"):
            arm, number = row.pop("arm"), row.pop("round")
            out |= {f"{stage}/{arm}/{number}/{key}": float(value)
                    for key, value in row.items() if value == value}  # fmt: skip
    return out
