"""How far do two tables of vectors get? Floors, ceiling, factorizations and rivals, in one game.

Everything here scores *accounts*: a function of account numbers (n,) that returns a row of scores
for each, (n, videos). `per_account` turns it into what `NextWatch.measure` takes. The oracle and
the deep candidate generator know the moment of each event, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from scipy.special import logit

from course.experiments.next_watch import NextWatch, fit_candidates
from course.models.factorization import (
    MLPCombiner,
    SoftmaxFactorization,
    als,
    fit_pairs,
    interactions,
    popularity_scores,
)
from course.simulator import laws
from course.simulator.catalogue import N_LANGUAGES, N_TOPICS
from course.simulator.engine import Engine, Record
from course.simulator.organic import GOAL_STAYS, SOURCE_SHARES
from course.simulator.truth import Truth
from course.world import World

FACTORS, REGULARISATION, ALPHA = 64, 10.0, 3.0
RECENT_DAYS = 2.0
CLOCK_WEIGHT = 0.5
NEGATIVES, DECAY = 100, 0.003
"""Of the dot product and its rival, the network on two vectors."""
LATE_DAYS = 7.0
"""How much too old the bag of recent watches is made, to take away its clock."""
ORACLE_EVENTS = 2_000
APPEAL = 1.3
"""What the simulator multiplies the log-odds of a click with when people choose by themselves."""

Scores = Callable[[np.ndarray], np.ndarray]


def sampled(game: NextWatch, n: int, seed: int = 0) -> pd.DataFrame:
    """``n`` random events of a game (all, if there are fewer), in order of time."""
    events = game.events.sample(min(n, len(game.events)), random_state=seed)
    return events.sort_values("time", kind="stable").reset_index(drop=True)


def fit_als(table: csr_matrix, factors: int = FACTORS) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of accounts and of videos with the settings of the chapter."""
    return als(table, factors, REGULARISATION, ALPHA, solver="cg")


def per_account(score: Scores, events: pd.DataFrame) -> Callable[[slice], np.ndarray]:
    """Scores of events, for `NextWatch.rank`, from a function of their accounts."""
    user = events["user_id"].to_numpy()
    return lambda part: score(user[part])


def floors(game: NextWatch, seed: int = 0) -> dict[str, Scores]:
    """The guesses without a model: chance, and three ways to count watches before the cut."""
    rng, videos = np.random.default_rng(seed), len(game.train.videos)
    language = game.train.users["language"].cat.codes.to_numpy()
    everybody = popularity_scores(game.train)
    alike = popularity_scores(game.train, by_language=True)
    recent = popularity_scores(game.train, RECENT_DAYS, by_language=True)
    return {
        "random": lambda user: rng.random((len(user), videos)),
        "popularity": lambda user: np.broadcast_to(everybody, (len(user), videos)),
        "popularity in my language": lambda user: alike[language[user]],
        "recent popularity": lambda user: recent[language[user]],
    }


def with_clock(score: Scores, game: NextWatch, weight: float = CLOCK_WEIGHT) -> Scores:
    r"""Add what is in fashion: :math:`s_{ui} + w \log(1 + n_i)`.

    :math:`n_i` counts the watches of the last two days among accounts of the same language.
    """
    language = game.train.users["language"].cat.codes.to_numpy()
    fashion = np.log1p(popularity_scores(game.train, RECENT_DAYS, by_language=True))
    return lambda user: score(user) + weight * fashion[language[user]]


def dot(user_vectors: np.ndarray, video_vectors: np.ndarray) -> Scores:
    """Dot products of the vectors of accounts with those of all videos."""
    return lambda user: user_vectors[user] @ video_vectors.T


def truth_at(world: World, day: float) -> Truth:
    """The truth of a world on an earlier day of its log, when people remembered less.

    ``world.truth`` remembers the whole log, so it knows what is to be guessed. This lets the same
    days pass again up to ``day``.
    """
    engine = Engine(world.config, world.seed)
    engine.run(0, int(day), engine.past_ranking(), Record())
    return Truth(engine.behaviour, engine.memory, float(int(day)))


def oracle_scores(world: World, game: NextWatch, events: pd.DataFrame) -> np.ndarray:
    r"""The ceiling: the simulator's own law of what people come upon and choose by themselves.

    .. math:: \log P(\text{found at that moment}) + 1.3\, \mathrm{logit}\, P(\text{click})

    It knows the true interests and appetites of the person, the true odds of a click and the true
    rate at which each video is found. It does not know which cards the page of the moment shows,
    nor who is in the middle of a series, so a better guess is conceivable. Memory is that at the
    cut.

    Returns
    -------
    float (n, videos)
    """
    truth, videos = truth_at(world, game.at), np.arange(len(game.train.videos))
    out = []
    for start in range(0, len(events), 250):
        part = events.iloc[start : start + 250]
        user, time = part["user_id"].to_numpy(), part["time"].to_numpy()
        device = part["device"].cat.codes.to_numpy().astype(np.int64)
        click = truth.click_probability(user[:, None], videos, time[:, None], device[:, None])
        found = _found(world, user, time, device, len(videos))
        out.append(np.log(found + 1e-12) + APPEAL * logit(np.clip(click, 1e-9, 1 - 1e-9)))
    return np.concatenate(out)


def _found(world: World, user, time, device, videos: int) -> np.ndarray:
    """P(a video is what somebody comes upon) (n, videos): by language, or by topic of interest."""
    behaviour, c = world.engine.behaviour, world.engine.catalogue
    situation = behaviour.situation(user, time, device)
    person = behaviour.people.person(situation.user, situation.member)
    topics = behaviour.people.interests[person, situation.day].astype(np.int64)
    share = laws.SHARES_OF_INTEREST * np.exp(behaviour.context(situation, topics))
    wanted = np.zeros((len(user), N_TOPICS))
    np.add.at(wanted, (np.arange(len(user))[:, None], topics), share)
    wanted /= wanted.sum(axis=1, keepdims=True)
    genre = wanted.reshape(len(user), -1, 3).mean(axis=2).repeat(3, axis=1)
    wanted = GOAL_STAYS * wanted + (1 - GOAL_STAYS) * genre
    rate = laws.popularity(
        time[:, None] - c.uploaded[:videos], c.base_popularity[:videos], c.peak_days[:videos],
        world.config.freshness,
    )  # fmt: skip
    language, topic = c.language[:videos].astype(np.int64), c.topic[:videos]
    group = language * N_TOPICS + topic
    member = np.zeros((videos, N_LANGUAGES * N_TOPICS))
    member[np.arange(videos), group] = 1.0
    in_topic = rate @ member + 1e-12
    in_language = in_topic.reshape(len(user), N_LANGUAGES, N_TOPICS).sum(axis=2)
    # Of search, links from outside and browsing, only the links do not go by topic.
    outside = SOURCE_SHARES[2] / SOURCE_SHARES[[0, 2, 3]].sum()
    found = (
        outside / in_language[:, language] + (1 - outside) * wanted[:, topic] / (in_topic[:, group])
    )
    return rate * found * (language == behaviour.people.language[user][:, None])


def softmax_factorization(game: NextWatch, seed: int = 0, **options) -> SoftmaxFactorization:
    """The two tables of vectors, trained by softmax over all videos."""
    return _fit(SoftmaxFactorization, game, seed, **options)


def combiners(game: NextWatch, seed: int = 0, **options) -> dict[str, Scores]:
    """A dot product and a network on the same vectors, trained alike on the same pairs."""
    options = {"negatives": NEGATIVES, "decay": DECAY, **options}
    return {
        "dot product": _fit(SoftmaxFactorization, game, seed, **options).scores,
        "MLP combiner": _fit(MLPCombiner, game, seed, **options).scores,
    }


def _fit(kind, game: NextWatch, seed: int, factors: int = FACTORS, **options):
    table = interactions(game.train)
    model = kind(*table.shape, factors, popularity=table.sum(axis=0).A1, seed=seed)
    fit_pairs(model, table, seed=seed, **options)
    return model


def late_bags(game: NextWatch, events: pd.DataFrame, days: float) -> np.ndarray:
    """Bags of watches as they were ``days`` before the cut, for the input ``watched``."""
    asked = events.assign(time=game.at - days)
    return game.features.of_examples(game.logs, asked).watched


def deep_rivals(game: NextWatch, events: pd.DataFrame, seed: int = 0) -> dict[str, Callable]:
    """The candidate generator of chapter 03: watches only, with old bags, with all signals."""
    examples = game.examples()
    bag = fit_candidates(game.features, game.logs, examples, ("watches",), depth=0, seed=seed)
    everything = fit_candidates(game.features, game.logs, examples, depth=1, seed=seed)
    scores = game.catalogue_scores
    return {
        "deep 0": scores(bag, events),
        "deep 0, bag at the cut": scores(bag, events, watched=late_bags(game, events, 0.0)),
        "deep 0, bag a week old": scores(bag, events, watched=late_bags(game, events, LATE_DAYS)),
        "deep all": scores(everything, events),
    }


def recovery(
    world: World, scores: Mapping[str, Scores], accounts: np.ndarray, at: float, seed: int = 0,
    videos: int = 200,
) -> pd.DataFrame:  # fmt: skip
    """How well scores follow the true interest: a correlation for each account.

    Parameters
    ----------
    scores : method -> function of accounts
    accounts : (n,) account numbers
    at : float, days; the interest is the mean over the four parts of the day before
    videos : random videos of the account's language, uploaded before ``at``, on which both are
        compared; fewer, if one of the languages does not have as many

    Returns
    -------
    DataFrame, index account, a column for each method; NaN where all scores are equal
    """
    rng, logs = np.random.default_rng(seed), world.logs()
    uploaded = (logs.videos["uploaded"] < at).to_numpy()
    spoken, language = (
        table["language"].astype(str).to_numpy() for table in (logs.videos, logs.users)
    )
    pools = {name: np.flatnonzero(uploaded & (spoken == name)) for name in np.unique(spoken)}
    videos = min(videos, *(len(pools[name]) for name in np.unique(language[accounts])))
    drawn = np.stack([rng.choice(pools[language[a]], videos, replace=False) for a in accounts])
    moments = int(at) - 1 + (np.arange(4) + 0.5) / 4
    interest = sum(world.truth.interest(accounts[:, None], drawn, moment) for moment in moments)
    found = {}
    for name, score in scores.items():
        rows = np.take_along_axis(np.asarray(score(accounts), float), drawn, axis=1)
        found[name] = _correlation(rows, interest)
    return pd.DataFrame(found, index=accounts)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 1e-9, (a * b).sum(axis=1) / size, np.nan)


def last_days(game: NextWatch, days: float) -> csr_matrix:
    """The table who-watched-what of the last days before the cut alone."""
    watches = game.train.watches
    recent = watches[watches["time"] >= game.at - days]
    return interactions(dataclasses.replace(game.train, watches=recent))
