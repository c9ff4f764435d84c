"""Random streams: independent, repeatable, and untouched by switches and added calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest
from worlds import MINI, mini, same_arrays, table_bytes

from course.simulator import organic
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine
from course.simulator.streams import coins, generator
from course.world import simulate

ROWS, COLUMNS = np.arange(300)[:, None], np.arange(300)[None, :]


def correlation(a, b) -> float:
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


class TestCoins:
    @pytest.mark.parametrize("first", [0, -90_000, 10**12])
    def test_uniform(self, first):
        u = coins(3, "click", ROWS + first, COLUMNS)
        assert ((u > 0) & (u < 1)).all()
        assert kstest(u.ravel(), "uniform").pvalue > 1e-3
        assert kstest((u.ravel() * 2**8) % 1, "uniform").pvalue > 1e-3  # the low bits too

    def test_order_does_not_matter(self):
        u = coins(3, "click", ROWS, COLUMNS)
        a, b = np.array([17, 5, 299, 17]), np.array([3, 250, 0, 3])
        assert (coins(3, "click", a, b) == u[a, b]).all()
        assert (coins(3, "click", a.astype(np.int32), b.astype(np.int16)) == u[a, b]).all()

    def test_independent_across_seeds_purposes_rows_and_columns(self):
        u = coins(3, "click", ROWS, COLUMNS)
        others = {
            "seed": coins(4, "click", ROWS, COLUMNS),
            "purpose": coins(3, "watch", ROWS, COLUMNS),
            "next row": coins(3, "click", ROWS + 1, COLUMNS),
            "next column": coins(3, "click", ROWS, COLUMNS + 1),
            "diagonal": coins(3, "click", ROWS + 1, COLUMNS - 1),
            "transposed": coins(3, "click", COLUMNS, ROWS)[ROWS != COLUMNS],
        }
        for name, other in others.items():
            mine = u[ROWS != COLUMNS] if name == "transposed" else u
            r = correlation(mine, other)
            assert abs(r) < 4.5 / np.sqrt(u.size), f"{name}: {r}"
            # Squares and signs too: dependence need not be linear.
            r = correlation(np.abs(mine - 0.5), np.abs(other - 0.5))
            assert abs(r) < 4.5 / np.sqrt(u.size), f"{name}, folded: {r}"

    def test_rows_and_columns_are_each_fair(self):
        u = coins(3, "click", ROWS, COLUMNS)
        sd = np.sqrt(1 / 12 / 300)
        for axis in (0, 1):
            z = (u.mean(axis=axis) - 0.5) / sd
            assert np.abs(z).max() < 4.5
            assert z.std() == pytest.approx(1, abs=0.2)

    def test_all_different(self):
        u = coins(3, "click", ROWS, COLUMNS)
        # 90,000 draws of 24 bits: about 241 accidental pairs.
        assert abs(u.size - len(np.unique(u)) - 241) < 5 * np.sqrt(241)


class TestGenerators:
    def test_same_key_same_numbers(self):
        assert (generator(1, "a", 2).random(9) == generator(1, "a", 2).random(9)).all()

    def test_other_keys_are_uncorrelated(self):
        n = 100_000
        base = generator(1, "people").random(n)
        for other in (
            generator(2, "people"),
            generator(1, "videos"),
            generator(1, "people", 0),
            generator(1, "people", 0, 0),
        ):
            x = other.random(n)
            assert abs(correlation(base, x)) < 4.5 / np.sqrt(n)
            assert kstest(x, "uniform").pvalue > 1e-3

    def test_purposes_of_the_simulator_have_different_keys(self):
        import re
        import zlib

        folder = Path(organic.__file__).parent
        text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
        found = set(re.findall(r'(?:generator|coins)\(\s*[\w.]*seed,\s*"([^"]+)"', text))
        assert len(found) > 15  # the pattern above still finds them
        assert len({zlib.crc32(name.encode()) for name in found}) == len(found)


class TestRepeatable:
    def test_same_seed_same_bytes(self):
        again = simulate("village", seed=7, cache=False, **MINI)
        assert table_bytes(again) == table_bytes(mini())
        assert same_arrays(again.engine.memory, mini().engine.memory) == []

    def test_another_seed_differs(self):
        one, two = table_bytes(mini()), table_bytes(mini(seed=8))
        assert [name for name in one if one[name] == two[name]] == []


FEED_DIALS = {
    "position_bias": 0,
    "bias_truth": "additive",
    "thumbnail_bias": 2,
    "fatigue": 0,
    "clickbait": 0,
    "click_rate": 0.2,
    "task_conflict": 0,
    "task_context": 0,
    "logger_noise": 0,
    "logger_incumbency": 0,
    "logger_relevance": 2,
    "niche_ladder": 0,
    "satiation": 0,
    "context_taste": 0,
    "series": 0,
    "search_errands": 1,
    "rewatch": 1,
    "freshness": 0,
    "time_budget": 1,
    "aftertaste": 1,
}


@pytest.fixture(scope="module")
def plain() -> Engine:
    return Engine(WorldConfig.of("village", **MINI), 7)


@pytest.mark.parametrize("dial", FEED_DIALS)
def test_a_switch_leaves_people_videos_and_sessions_alone(dial, plain):
    other = Engine(WorldConfig.of("village", **{**MINI, dial: FEED_DIALS[dial]}), 7)
    assert same_arrays(other.people, plain.people) == []
    assert same_arrays(other.catalogue, plain.catalogue) == []
    for step in (0, 9, 30):
        one, two = (organic.sessions(e.behaviour, step, e.memory) for e in (plain, other))
        assert same_arrays(one, two) == []


# dial: (another value, the only tables of people that may change)
PEOPLE_DIALS = {
    "drift": (0.0, {"interests"}),
    "sessions_per_day": (0.4, {"sessions_per_day"}),
    "own_taste": (0.5, {"interests", "residual"}),
}


@pytest.mark.parametrize("dial", PEOPLE_DIALS)
def test_a_switch_of_people_changes_only_its_own_table(dial, plain):
    value, touched = PEOPLE_DIALS[dial]
    other = Engine(WorldConfig.of("village", **{**MINI, dial: value}), 7)
    assert set(same_arrays(other.people, plain.people)) == touched
    assert same_arrays(other.catalogue, plain.catalogue) == []


def test_the_feed_changes_nothing_in_what_people_set_out_to_do():
    """Searches hang on people and days alone, so a world without a feed has the same ones."""
    quiet = simulate("village", seed=7, cache=False, recommend=False, **MINI)
    assert table_bytes(quiet)["searches"] == table_bytes(mini())["searches"]
    assert len(quiet.logs().impressions) == 0


def test_an_added_call_changes_nothing(monkeypatch):
    step = organic.sessions

    def curious(behaviour, number, *memory):
        generator(behaviour.seed, "a new purpose", number).random(1000)
        coins(behaviour.seed, "a new purpose", np.arange(9), np.arange(9))
        return step(behaviour, number, *memory)

    monkeypatch.setattr("course.simulator.organic.sessions", curious)
    assert table_bytes(simulate("village", seed=7, cache=False, **MINI)) == table_bytes(mini())
