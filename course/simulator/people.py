"""Accounts, the persons behind them, and what those persons like on each day."""

from __future__ import annotations

import numpy as np

from course.simulator.catalogue import DIMENSION, LANGUAGE_SHARES, N_TOPICS, Catalogue
from course.simulator.config import WorldConfig
from course.simulator.laws import SHARES_OF_INTEREST, by_odds
from course.simulator.names import AGE_BANDS, COUNTRIES, DAYPARTS, DEVICES, GENDERS
from course.simulator.streams import generator

# How much a device is used in each part of the day (rows: night, morning, afternoon, evening).
DEVICE_BY_DAYPART = np.array(
    [[0.6, 0.2, 0.2], [0.7, 0.25, 0.05], [0.5, 0.4, 0.1], [0.4, 0.15, 0.45]]
)
DAYPART_SHARES = np.array([0.09, 0.21, 0.28, 0.42])
SHARED_ACCOUNTS = 0.25
SEARCH_LEAD_DAYS = 3
"""Days by which searches run ahead of taste."""


class People:
    """Accounts (u,) and persons (2 u,): person ``p`` is member ``p // u`` of account ``p % u``.

    Accounts: ``country``, ``language``, ``gender``, ``age_band``: int8; ``logged_in``: bool (others
    can neither like nor follow); ``joined``: float, the day of its first appearance;
    ``sessions_per_day``: float; ``device_weights`` (u, 3): how often each device is at hand;
    ``second_member`` (u, 3, 4): P(the second person is using it | device, part of the day).

    Persons: ``interests`` (2 u, days, 4) int8, the topics liked on each day, in order of weight;
    ``residual`` (2 u, 8) float32, a lasting personal twist of taste.
    """

    def __init__(self, config: WorldConfig, catalogue: Catalogue, seed: int):
        u = config.users
        rng = generator(seed, "accounts")
        language = rng.choice(len(LANGUAGE_SHARES), u, p=LANGUAGE_SHARES)
        self.language = language.astype(np.int8)
        self.country = (2 * language + (rng.random(u) < 0.4)).astype(np.int8)
        self.gender = rng.choice(len(GENDERS), u, p=[0.45, 0.45, 0.10]).astype(np.int8)
        ages = rng.choice(len(AGE_BANDS), u, p=[0.12, 0.24, 0.26, 0.24, 0.14])
        self.age_band = ages.astype(np.int8)
        before = rng.random(u) < 0.5
        self.joined = np.where(before, rng.uniform(-400, 0, u), rng.uniform(0, config.horizon, u))
        log_activity = rng.normal(0, 1, u)
        sessions = config.sessions_per_day * np.exp(log_activity - 1 / 2)
        self.sessions_per_day = np.clip(sessions, 0.0, 8.0)
        self.logged_in = rng.random(u) < 0.85
        owned = rng.random((u, len(DEVICES))) < [0.95, 0.6, 0.6]
        owned[:, 0] |= ~owned.any(axis=1)
        liking = np.array([0.95, 0.55, 0.5]) * rng.lognormal(0, 0.5, (u, len(DEVICES)))
        self.device_weights = (owned * liking).astype(np.float32)

        rng = generator(seed, "households")
        shared = rng.random(u) < SHARED_ACCOUNTS
        # A U-shaped law: on most (device, daypart) pairs one of the two is nearly always there.
        second = rng.beta(0.4, 0.6, (u, len(DEVICES), len(DAYPARTS))) * shared[:, None, None]
        self.second_member = second.astype(np.float32)

        days = config.horizon + SEARCH_LEAD_DAYS + 1
        preference = self._preferences(log_activity, catalogue, seed)
        self.interests = _interests(preference, days, config.drift, generator(seed, "interests"))
        twist = generator(seed, "residual taste")
        residual = twist.normal(0, 0.35 / np.sqrt(DIMENSION), (2 * u, DIMENSION))
        self.residual = residual.astype(np.float32)
        crowd = generator(seed, "crowd").random(2 * u) >= config.own_taste
        self.interests[crowd] = self.interests[0]
        self.residual[crowd] = 0.0

    def __len__(self) -> int:
        return len(self.country)

    def person(self, user: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Row of the person tables for (account, member); all int arrays of one shape."""
        return user + member.astype(np.int64) * len(self)

    def draw_devices(self, user: np.ndarray, daypart, rng: np.random.Generator) -> np.ndarray:
        """Draw what accounts (r,) use in parts of the day (r,) or one: device (r,) int."""
        odds = self.device_weights[user] * DEVICE_BY_DAYPART[daypart]
        return by_odds(odds, rng.random(len(user)))

    def _preferences(self, log_activity, catalogue, seed) -> np.ndarray:
        """Cumulative topic probabilities of each person (2 u, 30).

        Demographics tilt the odds, so they are informative priors for new accounts; activity tilts
        them too, so heavy users like other topics than light ones.
        """
        rng = generator(seed, "preferences")
        supply = np.log(1 + np.bincount(catalogue.topic, minlength=N_TOPICS))
        by_gender = 0.7 * rng.normal(size=(len(GENDERS), N_TOPICS))
        by_age = 0.7 * rng.normal(size=(len(AGE_BANDS), N_TOPICS))
        by_country = 0.5 * rng.normal(size=(len(COUNTRIES), N_TOPICS))[self.country]
        by_activity = 0.6 * rng.normal(size=N_TOPICS)
        first = supply + by_gender[self.gender] + by_age[self.age_band] + by_country
        first = first + log_activity[:, None] * by_activity
        second = supply + by_country + 1.2 * rng.normal(size=first.shape)
        odds = np.exp(np.concatenate([first, second])).astype(np.float32)
        cumulative = np.cumsum(odds, axis=1)
        return cumulative / cumulative[:, -1:]


def _interests(cumulative, days, drift, rng) -> np.ndarray:
    """Topics liked on each day (2 u, days, 4) int8; each day one slot may be replaced."""
    persons = len(cumulative)

    def draw(rows):
        return (rng.random((len(rows), 1)) > cumulative[rows]).sum(axis=1)

    everyone = np.arange(persons)
    slots = len(SHARES_OF_INTEREST)
    today = np.stack([draw(everyone) for _ in range(slots)], axis=1).astype(np.int8)
    table = np.empty((persons, days, slots), dtype=np.int8)
    table[:, 0] = today
    for day in range(1, days):
        moved = np.flatnonzero(rng.random(persons) < drift)
        slot = rng.choice(slots, len(moved), p=SHARES_OF_INTEREST / SHARES_OF_INTEREST.sum())
        today[moved, slot] = draw(moved)
        table[:, day] = today
    return table
