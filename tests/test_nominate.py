"""Candidates: distinct, uploaded, drawn in proportion to popularity."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy.stats import chisquare
from worlds import situations, tiny

from course.simulator import laws
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine
from course.simulator.nominate import NOMINATORS, Market, _first_distinct, nominate


def opened(world, time: float) -> Market:
    market = Market(world.engine.catalogue, world.config.freshness)
    market.open(time)
    return market


def nominated(world, n=1_500, surface="home", seed=0, **changes):
    engine = world.engine
    market = opened(world, world.config.days)
    s = situations(world, n, seed)
    rng = np.random.default_rng(seed)
    query = np.full(n, -1, np.int32)
    if surface == "up_next":
        query = rng.integers(engine.catalogue.available(market.time), size=n).astype(np.int32)
    behaviour = copy.copy(engine.behaviour)
    behaviour.config = WorldConfig.of(world.config, **changes)
    found = nominate(behaviour, market, engine.memory, s, query, rng)
    return (*found, s, query, market)


class TestMarket:
    @pytest.mark.parametrize("freshness", [0.0, 1.0])
    @pytest.mark.parametrize("day", [0.0, 11.3])
    def test_draws_are_in_proportion_to_popularity(self, freshness, day):
        world = tiny()
        c = world.engine.catalogue
        market = Market(c, freshness)
        market.open(day)
        rate = laws.popularity(day - c.uploaded, c.base_popularity, c.peak_days, freshness)
        rng = np.random.default_rng(0)
        groups = np.bincount(c.language.astype(int) * 30 + c.topic, weights=rate > 0, minlength=90)
        for group in np.argsort(-groups)[:4]:
            language, topic = divmod(group, 30)
            n = 20_000
            drawn = market.topic(language, topic, rng.random(n))
            inside = np.flatnonzero((c.language == language) & (c.topic == topic) & (rate > 0))
            want = n * rate[inside] / rate[inside].sum()
            counts = np.bincount(drawn.ravel(), minlength=len(c))
            assert counts.sum() == counts[inside].sum()
            big = want >= 5
            if big.sum() < 2:
                continue
            share = counts[inside][big].sum() / want[big].sum()
            assert chisquare(counts[inside][big], want[big] * share).pvalue > 1e-4
        drawn = market.language(1, rng.random(40_000))
        counts = np.bincount(drawn.ravel(), minlength=len(c))
        want = np.where(c.language == 1, rate, 0)
        want = 40_000 * want / want.sum()
        assert counts[want == 0].sum() == 0
        big = want >= 5
        share = counts[big].sum() / want[big].sum()
        assert chisquare(counts[big], want[big] * share).pvalue > 1e-4

    def test_never_before_the_upload_even_with_extreme_coins(self):
        world = tiny()
        c = world.engine.catalogue
        edge = np.array([[2.0**-53, 0.5, 1 - 2.0**-53]])
        for day in (-61.0, 0.0, 3.7, 29.99):
            market = opened(world, day)
            every = np.arange(90)[:, None]
            drawn = market.topic(every // 30, every % 30, edge)
            there = drawn >= 0
            assert there.any() == (day > -60) and not there.all()
            assert (c.uploaded[drawn[there]] <= day).all()
            group = c.language[drawn].astype(int) * 30 + c.topic[drawn]
            assert (group == every)[there].all()

    def test_newest_of_against_brute_force(self):
        world = tiny()
        c = world.engine.catalogue
        for day in (-30.0, 0.0, 17.2, 40.0):
            market = opened(world, day)
            channel = np.arange(-1, c.channels)
            got = market.newest_of(np.repeat(channel[:, None], 5, axis=1), np.arange(5))
            for row, number in zip(got, channel, strict=True):
                ids = np.flatnonzero((c.channel == number) & (c.uploaded <= day))[::-1]
                want = [*ids[:5], *[-1] * 5][:5]
                assert row.tolist() == want


class TestNominate:
    @pytest.mark.parametrize("surface", ["home", "up_next"])
    def test_rows_are_distinct_uploaded_and_without_the_query(self, surface):
        videos, source, s, query, market = nominated(tiny(), surface=surface)
        assert videos.shape == source.shape == (1_500, tiny().config.candidates)
        assert (np.diff(np.sort(videos, axis=1), axis=1) > 0).all()
        assert (videos >= 0).all() and (videos < tiny().engine.catalogue.available(30)).all()
        assert (videos != query[:, None]).all()

    def test_the_tightest_possible_pool(self):
        """At the very start of the smallest world nearly every video must be nominated."""
        config = WorldConfig.of("village", users=40, videos=60, candidates=19, slate=5)
        engine = Engine(config, 2)
        engine.market.open(0.0)
        n = 200
        rng = np.random.default_rng(0)
        available = engine.catalogue.available(0.0)
        query = rng.integers(-1, available, size=n).astype(np.int32)
        s = engine.behaviour.situation(rng.integers(40, size=n), np.zeros(n), np.zeros(n, int))
        videos, _ = nominate(engine.behaviour, engine.market, engine.memory, s, query, rng)
        assert videos.shape == (n, 19)
        assert (np.diff(np.sort(videos, axis=1), axis=1) > 0).all()
        assert (videos >= 0).all() and (videos < available).all()
        assert (videos != query[:, None]).all()

    def test_sources_are_what_they_say(self):
        world = tiny()
        c, memory = world.engine.catalogue, world.engine.memory
        videos, source, s, _, _ = nominated(world)
        row, column = np.nonzero(source == NOMINATORS.index("recent topics"))
        recent = memory.recent_videos[s.user[row], :12]
        topics = np.where(recent >= 0, c.topic[recent], -1)
        assert (topics == c.topic[videos[row, column]][:, None]).any(axis=1).all()
        row, column = np.nonzero(source == NOMINATORS.index("followed channels"))
        assert len(row) and memory.follows[s.user[row], c.channel[videos[row, column]]].all()
        assert not np.isin(source, [3, 4]).any()
        videos, source, s, query, _ = nominated(world, surface="up_next")
        row, column = np.nonzero(source == NOMINATORS.index("same topic"))
        assert (c.topic[videos[row, column]] == c.topic[query[row]]).all()
        row, column = np.nonzero(source == NOMINATORS.index("same channel"))
        assert len(row) and (c.channel[videos[row, column]] == c.channel[query[row]]).all()
        assert not np.isin(source, [0, 1]).any()


def test_first_distinct_against_brute_force():
    rng = np.random.default_rng(0)
    pool = rng.integers(-1, 12, size=(300, 40)).astype(np.int32)
    source = rng.integers(5, size=pool.shape).astype(np.int8)
    query = rng.integers(-1, 12, size=300).astype(np.int32)
    videos, kinds = _first_distinct(pool, source, query, 6)
    for i in range(300):
        want = []
        for video, kind in zip(pool[i], source[i], strict=True):
            if video >= 0 and video != query[i] and video not in [v for v, _ in want]:
                want.append((video, kind))
        assert list(zip(videos[i], kinds[i], strict=True)) == want[:6]
