r"""The ceiling of the next watch: the simulator's own law of what people come upon and choose.

.. math:: \log P(\text{found at that moment}) + 1.3\, \mathrm{logit}\, P(\text{click})

It knows the true interests and appetites of the person, the true odds of a click and the true rate
at which each video is found. It does not know which cards the page of the moment shows, nor who is
in the middle of a series, so a better guess is conceivable. For evaluation only.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from course.simulator import laws
from course.simulator.catalogue import N_LANGUAGES, N_TOPICS
from course.simulator.engine import Engine, Record
from course.simulator.organic import GOAL_STAYS, SOURCE_SHARES
from course.simulator.truth import Truth
from course.tasks.next_watch import Moments, NextWatch, Scorer
from course.world import World

APPEAL = 1.3
"""What the simulator multiplies the log-odds of a click with when people choose by themselves."""
CHUNK = 250


def oracle(world: World, game: NextWatch) -> Scorer:
    """Scores (n, videos) of the truth, as people remembered at the cut. Slow: ask for a sample."""
    truth, videos = truth_at(world, game.at), np.arange(game.videos)

    def scores(moments: Moments) -> np.ndarray:
        out = []
        for start in range(0, len(moments), CHUNK):
            part = moments[start : start + CHUNK]
            user, time, device = (values[:, None] for values in (part.user, part.time, part.device))
            click = truth.click_probability(user, videos, time, device)
            found = _found(world, part, game.videos)
            out.append(np.log(found + 1e-12) + APPEAL * logit(np.clip(click, 1e-9, 1 - 1e-9)))
        return np.concatenate(out)

    return scores


def truth_at(world: World, day: float) -> Truth:
    """The truth of a world on an earlier day of its log: the same days pass again up to then.

    ``world.truth`` remembers the whole log, so it knows what is to be guessed.
    """
    engine = Engine(world.config, world.seed)
    engine.run(0, int(day), engine.past_ranking(), Record())
    return Truth(engine.behaviour, engine.memory, float(int(day)))


def _found(world: World, moments: Moments, videos: int) -> np.ndarray:
    """P(a video is what somebody comes upon) (n, videos): by language, or by topic of interest."""
    behaviour, c = world.engine.behaviour, world.engine.catalogue
    user, time = moments.user, moments.time
    situation = behaviour.situation(user, time, moments.device)
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
