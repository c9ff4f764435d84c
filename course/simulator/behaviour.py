"""Why people click, watch, like: what they see in a card, and how each task weighs it.

One list of *components* (taste, quality, clickbait, ...) describes a person meeting a video at a
moment. Every task (click, watch, like, dismiss, share, survey) is a weighted sum of the same
components with its own weights, so appeal and satisfaction are related but not the same. How far
apart they are is the dial ``task_conflict``; how much the weights change with the format, the
device and the time of day is ``task_context``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from course.simulator import laws
from course.simulator.catalogue import N_TOPICS, Catalogue
from course.simulator.config import WorldConfig
from course.simulator.memory import Memory
from course.simulator.names import AGE_BANDS, DAYPARTS, DEVICES, FORMATS
from course.simulator.people import People
from course.simulator.streams import coins, generator

COMPONENTS = ("taste", "context", "quality", "clickbait", "packaging", "length", "freshness",
              "familiarity", "fatigue", "foreign", "rewatch", "ladder", "satiation")  # fmt: skip
TASKS = ("click", "watch", "like", "dismiss", "share", "survey")
ENGAGEMENT = ("click", "watch")

# Rows: tasks. Columns: components, in the order above.
_WEIGHTS = {
    #          taste  ctx   qual   bait  pack length fresh famil  fatig foreign rewat ladder satiat
    "click":   [0.90, 0.70, 0.25, 0.55, 0.45, -0.10, 0.60, 0.70, -0.35, -3.0, -3.0, 0.50, 1.20],
    "watch":   [0.80, 0.45, 0.60, -0.75, 0.0, -0.45, 0.10, 0.30, 0.00, -0.8, -0.5, 0.30, 0.40],
    "like":    [0.80, 0.30, 0.75, -0.60, 0.1, 0.00, 0.10, 0.40, 0.00, -0.5, 0.0, 0.20, 0.20],
    "dismiss": [-0.6, -0.30, -0.4, 0.45, 0.0, 0.10, -0.10, -0.40, 0.45, 1.2, 0.4, -0.20, -0.40],
    "share":   [0.40, 0.10, 0.65, -0.30, 0.3, 0.00, 0.50, 0.00, 0.00, -0.5, -0.5, 0.10, 0.00],
    "survey":  [0.60, 0.25, 0.70, -0.85, 0.0, 0.00, 0.05, 0.20, 0.00, -0.5, 0.0, 0.20, 0.30],
}  # fmt: skip
_INTERCEPTS = {"watch": -0.6, "like": -3.4, "dismiss": -5.0, "share": -4.2, "survey": 2.9}

# Taste is a dot product; these constants bring it to mean 0 and sd 1 over random pairs.
TASTE_MEAN, TASTE_SD = 0.11, 0.34
TIME_MINUTES = np.array([20.0, 30.0, 60.0])
TIME_BY_DAYPART = np.array([1.0, 0.6, 0.9, 1.2])
"""Mean minutes that people have for a page on phone, desktop and TV; times the part of the day."""
EXAMINATION_EXPONENT = np.array([0.9, 0.5, 1.4])
"""Steepness of the examination curve on phone, desktop and TV."""


@dataclass
class Situation:
    """Who meets the page, when, and on what: one row per request or per organic event.

    ``user`` (r,) int, ``member`` (r,) int (which person of the account; hidden), ``time`` (r,)
    float days since the start of the log, ``device`` (r,) int.
    """

    user: np.ndarray
    member: np.ndarray
    time: np.ndarray
    device: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def day(self) -> np.ndarray:
        """Whole day (r,) int, at least 0."""
        return np.maximum(self.time, 0).astype(np.int64)

    @property
    def daypart(self) -> np.ndarray:
        """Part of the day (r,) int: 0 night, 1 morning, 2 afternoon, 3 evening."""
        return ((self.time - np.floor(self.time)) * len(DAYPARTS)).astype(np.int64)

    def rows(self, index) -> Situation:
        """Some of the rows (int or bool index)."""
        return Situation(self.user[index], self.member[index], self.time[index], self.device[index])

    def columns(self) -> dict[str, np.ndarray]:
        """The rows as columns of a table, with their part of the day; `of` turns them back."""
        return {**vars(self), "daypart": self.daypart}

    @classmethod
    def of(cls, rows: dict[str, np.ndarray]) -> Situation:
        """The situations that stand in columns among others."""
        return cls(*(rows[name] for name in ("user", "member", "time", "device")))


class Behaviour:
    """The laws of one world, bound to its people, its videos and its dials."""

    def __init__(self, config: WorldConfig, people: People, catalogue: Catalogue, seed: int):
        self.config, self.people, self.catalogue, self.seed = config, people, catalogue, seed
        appetite = _context_appetite(generator(seed, "context taste"))
        self.context_appetite = config.context_taste * appetite
        self.weights = task_weights(config, generator(seed, "task context"))
        self.intercepts = {**_INTERCEPTS, "click": float(logit(config.click_rate))}
        # Quality, clickbait, packaging and length of a video, side by side for fast look-up.
        length = np.log(catalogue.seconds) - np.log(480.0)
        traits = [catalogue.quality, catalogue.clickbait, catalogue.packaging, length]
        self._traits = np.stack(traits, axis=1).astype(np.float32)

    def situation(self, user, time, device) -> Situation:
        """What the platform observes, and who is watching: one person through a part of a day."""
        situation = Situation(user, np.zeros(len(user), np.int8), np.asarray(time), device)
        chance = self.people.second_member[user, device, situation.daypart]
        quarter = np.floor(situation.time * len(DAYPARTS)).astype(np.int64)
        second = coins(self.seed, "member", user, quarter + 4_000) < chance
        situation.member = second.astype(np.int8)
        return situation

    def time_mean(self, situation: Situation) -> np.ndarray:
        """Mean seconds (r, 1) float32 that people have in a situation (dial ``time_budget`` on)."""
        minutes = TIME_MINUTES[situation.device] * TIME_BY_DAYPART[situation.daypart]
        return (60.0 * minutes / self.config.time_budget).astype(np.float32)[:, None]

    def taste(self, situation: Situation, video: np.ndarray) -> np.ndarray:
        """True interest (r, k) float32: how well the video's subject fits the person, sd about 1.

        It has no part of the moment, the packaging or the video's quality.
        """
        person = self.people.person(situation.user, situation.member)
        liked = self.catalogue.topic_vectors[self.people.interests[person, situation.day]]
        vector = np.tensordot(liked, laws.SHARES_OF_INTEREST, axes=(-2, 0))
        vector = vector + self.people.residual[person]
        match = np.einsum("rd,rkd->rk", vector, self.catalogue.latent[video])
        return (match - TASTE_MEAN) / TASTE_SD

    def components(self, situation: Situation, video: np.ndarray, memory: Memory) -> np.ndarray:
        """What people (r,) see in each video (r, k) by what they remember of the moments before.

        Returns float32 (r, k, 13), in the order of ``COMPONENTS``.
        """
        c, config = self.catalogue, self.config
        user = situation.user[:, None]
        topic, channel = c.topic[video], c.channel[video]
        out = np.empty((*video.shape, len(COMPONENTS)), dtype=np.float32)
        out[..., 0] = self.taste(situation, video)
        out[..., 1] = self.context(situation, topic)
        out[..., 2:6] = self._traits[video]
        if config.time_budget:  # what is longer than people have time is passed over, and left
            out[..., 5] += laws.overlong(c.seconds[video], self.time_mean(situation))
        age = (situation.time[:, None] - c.uploaded[video]).astype(np.float32)
        out[..., 6] = config.freshness * laws.freshness_appeal(age)
        out[..., 7] = self.familiarity(memory, user, video, channel)
        bucket = memory.bucket(video)
        out[..., 8] = config.fatigue * laws.fatigue(memory.shown[user, bucket].astype(np.float32))
        out[..., 9] = c.language[video] != self.people.language[user]
        out[..., 10] = memory.seen[user, bucket]
        row, genre = np.arange(len(user))[:, None], topic // 3
        watches = memory.genre_watches[situation.user].astype(np.float32)
        place = laws.ladder_place(watches)[row, genre]
        out[..., 11] = laws.ladder_gap(c.level[video], place, config.niche_ladder)
        recent = memory.recent_by_genre[situation.user]
        share = recent / (recent.sum(axis=1, keepdims=True) + np.float32(1))
        out[..., 12] = laws.satiation(share, config.satiation)[row, genre]
        if config.aftertaste:  # some of a genre on the pages makes one like it, too much bores
            shown = memory.shown_by_genre[situation.user]
            share = shown / (shown.sum(axis=1, keepdims=True) + np.float32(10))
            out[..., 0] += laws.satiation(share, config.aftertaste)[row, genre]
        return out

    def context(self, situation: Situation, topic: np.ndarray) -> np.ndarray:
        """Appetite (r, k) for topics on this device, at this time of day, at this age."""
        row = self.context_appetite[
            situation.device, situation.daypart, self.people.age_band[situation.user]
        ]
        return row[np.arange(len(row))[:, None], topic]

    def familiarity(self, memory, user, video, channel) -> np.ndarray:
        """Following the channel, having watched it, and waiting for this very episode (r, k)."""
        out = np.log1p(memory.channel_watches[user, channel].astype(np.float32))
        out *= np.float32(0.4)
        out += np.float32(0.8) * memory.follows[user, channel]
        previous = self.catalogue.previous[video]
        if self.config.series > 0:
            row, column = np.nonzero(previous >= 0)
            # An episode pulls if the one before it was seen, and repels as much if it was not.
            seen = memory.seen[user[row, 0], memory.bucket(previous[row, column])]
            out[row, column] += self.config.series * np.where(seen, 1.5, -1.5)
        return out

    def scorer(self, situation: Situation, video, memory: Memory) -> Callable[[str], np.ndarray]:
        """What `score` says of people and videos (r, k), as a function of the task alone."""
        components = self.components(situation, video, memory)
        return lambda task: self.score(task, situation, video, components)

    def score(self, task: str, situation: Situation, video, components) -> np.ndarray:
        """Logit (or latent) of a task (r, k): intercept + weights(context) . components."""
        weights = self.weights[TASKS.index(task)][self.weight_row(situation, video)]
        return self.intercepts[task] + np.einsum("rkc,rkc->rk", weights, components)

    def weight_row(self, situation: Situation, video) -> np.ndarray:
        """Row (r, k) of the weight table: format x device x part of the day."""
        moment = situation.device.astype(np.int64) * len(DAYPARTS) + situation.daypart
        formats = self.catalogue.format[video].astype(np.int64)
        return formats * (len(DEVICES) * len(DAYPARTS)) + moment[:, None]

    def examined(self, device: np.ndarray, position: np.ndarray) -> np.ndarray:
        """P(the card at this position is looked at), 1-based positions."""
        return laws.examination(position, EXAMINATION_EXPONENT[device], self.config.position_bias)


def task_weights(config: WorldConfig, rng: np.random.Generator) -> np.ndarray:
    """Weight tables (6 tasks, 72 contexts, 13 components) float32: ``base * exp(g)``, g normal.

    Tasks of one group (engagement, satisfaction) share most of ``g``. At ``task_conflict=0`` the
    satisfaction tasks copy the click: its base weights (dismissal with the opposite sign) and g.
    """
    engagement, satisfaction = _pattern(rng), _pattern(rng)
    click = np.array(_WEIGHTS["click"])
    table = []
    for task in TASKS:
        own, base = _pattern(rng), np.array(_WEIGHTS[task])
        if task in ENGAGEMENT:
            group = engagement
        else:
            k = config.task_conflict
            group = (1 - k) * engagement + k * satisfaction
            group = group / np.sqrt((1 - k) ** 2 + k**2)
            sign = -1.0 if task == "dismiss" else 1.0
            base = (1 - k) * sign * 0.7 * click + k * base
        g = config.task_context * (0.9 * group + np.sqrt(1 - 0.81) * own)
        weights = base * np.exp(g - config.task_context**2 / 2)
        weights[..., COMPONENTS.index("clickbait")] *= config.clickbait
        table.append(weights.reshape(-1, len(COMPONENTS)))
    return np.array(table, dtype=np.float32)


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Standard normal (6, 3, 4, 13), additive in format, device and part of the day."""
    by_format = rng.normal(size=(len(FORMATS), 1, 1, len(COMPONENTS)))
    by_device = 0.7 * rng.normal(size=(1, len(DEVICES), 1, len(COMPONENTS)))
    by_daypart = 0.7 * rng.normal(size=(1, 1, len(DAYPARTS), len(COMPONENTS)))
    return (by_format + by_device + by_daypart) / np.sqrt(1 + 2 * 0.49)


def _context_appetite(rng: np.random.Generator) -> np.ndarray:
    """Log-appetite (device, daypart, age band, topic) float32, sd about 1; most is interaction."""
    d, p, a, k = len(DEVICES), len(DAYPARTS), len(AGE_BANDS), N_TOPICS
    main = rng.normal(size=(d, 1, 1, k)) + rng.normal(size=(1, p, 1, k))
    pair = rng.normal(size=(d, p, 1, k))
    triple = rng.normal(size=(d, p, a, k))
    return (0.2 * main + 0.65 * pair + 0.65 * triple).astype(np.float32)
