"""The policies that need no model: chance, and the past ranking that made the log."""

from __future__ import annotations

import numpy as np

from course.checks import no_nan
from course.simulator.behaviour import Behaviour
from course.simulator.feed import Requests
from course.simulator.memory import Memory
from course.simulator.streams import coins


def top(scores: np.ndarray, videos: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` best videos of each row (r, c), best first; a score that is NaN is a `LogError`."""
    scores = no_nan("scores", scores)
    if k < scores.shape[1]:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    else:
        best = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(videos, np.take_along_axis(best, order, axis=1), axis=1)


def offered(requests: Requests) -> np.ndarray:
    """The videos to choose from (r, c): the candidates, or the whole uploaded catalogue."""
    if requests.candidates is not None:
        return requests.candidates
    everything = np.arange(requests.available, dtype=np.int32)
    return np.broadcast_to(everything, (len(requests), requests.available))


class RandomPolicy:
    """Shows candidates in random order: the floor of every comparison."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        videos = offered(requests)
        order = coins(self.seed, "shuffle", requests.request[:, None], videos)
        return top(order, videos, requests.slate)


class PastRanking:
    """The ranking that made the log: relevance + incumbency + noise, the mix being a dial.

    * Relevance is a guess from what is observed, in two equal parts: how well the candidate fits
      the account (its share of watches in the topic, whether it follows the channel), and the
      candidate's click rate so far. What was watched already goes to the end.
    * Incumbency is the log of its watches so far, which favours what is established, whoever asks.
    * Noise is uniform, fresh for each request and candidate.
    """

    def __init__(self, behaviour: Behaviour, memory: Memory):
        self.config, self.catalogue = behaviour.config, behaviour.catalogue
        self.memory, self.seed = memory, behaviour.seed

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        memory, c, config = self.memory, self.catalogue, self.config
        videos, user = offered(requests), requests.user[:, None]
        watches = memory.topic_watches[requests.user].astype(np.float32)
        share = watches / (watches.sum(axis=1, keepdims=True) + 5.0)
        share = share[np.arange(len(user))[:, None], c.topic[videos]]
        fit = _standardise(np.sqrt(share) + 0.2 * memory.follows[user, c.channel[videos]])
        # Two clicks in fifty are taken as given, so that a lucky start does not decide.
        rate = (memory.video_clicks + 2.0) / (memory.video_impressions + 50.0)
        clicked = _standardise(np.log(rate).astype(np.float32)[videos])
        relevance = np.float32(np.sqrt(0.5)) * (fit + clicked)
        incumbency = _standardise(np.log1p(memory.video_watches)[videos].astype(np.float32))
        score = config.logger_relevance * relevance + config.logger_incumbency * incumbency
        if config.logger_noise:
            u = coins(self.seed, "past ranking", requests.request[:, None], videos)
            score = score + config.logger_noise * np.sqrt(12.0) * (u - 0.5)  # mean 0, sd 1
        score = score - 10.0 * memory.seen[user, memory.bucket(videos)]
        return top(score, videos, requests.slate)


def _standardise(x: np.ndarray) -> np.ndarray:
    """Mean 0 and sd 1 within each row."""
    x = x - x.mean(axis=1, keepdims=True)
    return x / (x.std(axis=1, keepdims=True) + 1e-6)
