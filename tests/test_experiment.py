"""Live experiments: paired, calibrated intervals, exact expectations, nothing left behind."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from worlds import mini, pages, situations, tiny

from course.errors import ConfigError, PolicyError
from course.simulator.experiment import (
    OUTCOMES,
    PAGE,
    clustered_error,
    draw_requests,
    live_requests,
    page_outcomes,
)
from course.simulator.feed import respond
from course.simulator.oracle import Cards
from course.simulator.policies import offered, top
from course.world import ab_test


def cells(result, column: str) -> pd.Series:
    return result.table.set_index(["policy", "metric"])[column]


def policies(world) -> dict:
    return {"random": world.random(), "past": world.past_ranking(), "oracle": world.oracle()}


class TestPairing:
    def test_identical_policies_differ_by_exactly_nothing(self):
        world = tiny()
        arms = {"a": world.past_ranking(), "b": world.past_ranking(), "c": world.past_ranking()}
        table = ab_test(world, arms, n=500).table
        table = table[table["metric"] != "coverage"].set_index(["policy", "metric"])
        for column in ("lift", "lift_low", "lift_high", "expected_lift"):
            values = table.loc[["b", "c"], column].dropna()
            assert (values == 0).all() and len(values) >= 2 * len(OUTCOMES) - 4
        assert (table.loc["a", "observed"] == table.loc["b", "observed"]).all()

    def test_paired_interval_is_much_narrower_than_an_unpaired_one(self):
        world = tiny()
        past = world.past_ranking()

        def swapped(requests):  # the same page with its two lowest cards in turn
            shown = past(requests).copy()
            shown[:, [-2, -1]] = shown[:, [-1, -2]]
            return shown

        result = ab_test(world, {"past": past, "swapped": swapped}, n=4_000)
        user = result.requests["user"].to_numpy()
        base = result.per_page["past"]["clicks"][0]
        both = [clustered_error(result.per_page[arm]["clicks"][0], user) for arm in result.pages]
        unpaired = 100 * 1.96 * np.hypot(*both) / base.mean()
        row = result.table.set_index(["policy", "metric"]).loc[("swapped", "clicks")]
        assert 0 < row["lift_high"] - row["lift_low"] < 0.5 * 2 * unpaired
        assert row["detectable"] < 0.5 * 2.8 / 1.96 * unpaired

    def test_who_asks_does_not_depend_on_the_policies(self):
        world = mini()
        one = ab_test(world, {"a": world.random()}, n=100)
        two = ab_test(world, {"b": world.oracle(), "a": world.random()}, n=100)
        pd.testing.assert_frame_equal(one.requests, two.requests)
        assert (one.pages["a"] == two.pages["a"]).all()
        for metric in OUTCOMES:
            for i in (0, 1):
                a, b = one.per_page["a"][metric][i], two.per_page["a"][metric][i]
                assert (a == b).all()

    def test_another_seed_asks_others(self):
        world = mini()
        a, b = (ab_test(world, {"a": world.random()}, n=100, seed=s) for s in (0, 1))
        assert (a.requests["user"] != b.requests["user"]).any()
        again = ab_test(world, {"a": world.random()}, n=100, seed=1)
        pd.testing.assert_frame_equal(b.table, again.table)


REPEATS, N = 60, 300


@pytest.fixture(scope="module")
def repeated():
    world = tiny()
    return [ab_test(world, policies(world), n=N, seed=1_000 + i) for i in range(REPEATS)]


class TestIntervals:
    @pytest.mark.parametrize(
        ("arm", "metric", "of"),
        [*itertools.product(["past", "oracle"], ["clicks", "watch_minutes", "dismissals"],
                            ["lift_low lift_high expected_lift lift"]),
         *itertools.product(["past"], ["clicks", "completions", "satisfied", "dismissals"],
                            ["low high expected observed"])],
    )  # fmt: skip
    def test_coverage(self, repeated, arm, metric, of):
        """Of 60 intervals for 95 %, the number that hold the exact value is within its limits."""
        rows = [r.table.set_index(["policy", "metric"]).loc[(arm, metric)] for r in repeated]
        low, high, exact, seen = pd.DataFrame(rows)[of.split()].to_numpy().T
        hit = ((low <= exact) & (exact <= high)).sum()
        # Watch time is skewed, which costs a normal interval some coverage at 300 pages.
        honest = 0.90 if metric == "watch_minutes" else 0.93 if of.startswith("low") else 0.95
        assert hit >= binom.ppf(0.001, REPEATS, honest), hit
        if of.startswith("low"):  # no bias: the errors of 60 experiments average out
            error = seen - exact
            assert abs(error.mean()) < 3.5 * error.std() / np.sqrt(REPEATS)

    def test_oracle_beats_past_beats_random(self, repeated):
        for result in repeated:
            expected = cells(result, "expected")
            oracle, past, random = (
                expected[arm, "watch_minutes"] for arm in ("oracle", "past", "random")
            )
            assert oracle > past and oracle > 1.3 * random
        means = pd.concat([cells(r, "expected") for r in repeated], axis=1).mean(axis=1)
        assert means["past", "watch_minutes"] > 1.1 * means["random", "watch_minutes"]

    def test_good_pages_do_not_saturate(self, repeated):
        """Clicks per page stay few, so that a live test can tell policies apart."""
        clicks = np.mean([cells(r, "expected")["oracle", "clicks"] for r in repeated])
        assert clicks / 10 < 0.25


def length_only(world):
    def shortest(requests):
        videos = offered(requests)
        return top(-world.engine.catalogue.seconds[videos], videos, requests.slate)

    return shortest


@pytest.mark.parametrize("budget", [0.0, 1.0])
def test_no_page_is_better_than_that_of_the_oracle_of_its_measure(budget):
    world = mini(time_budget=budget)
    arms = {"random": world.random(), "past": world.past_ranking(), "length": length_only(world)}
    arms |= {goal: world.oracle(goal) for goal in OUTCOMES}
    for options in ({}, {"candidates": "catalogue"}):
        expected = cells(ab_test(world, arms, n=300, **options), "expected").unstack()
        for goal in OUTCOMES:
            assert (-expected[goal] if goal == "dismissals" else expected[goal]).idxmax() == goal


@pytest.mark.parametrize("budget", [0.0, 1.0])
@pytest.mark.parametrize("truth", ["examination", "additive"])
def test_the_oracle_against_all_pages_of_a_few_cards(truth, budget):
    world = mini(bias_truth=truth, time_budget=budget, click_rate=0.3)
    b, memory = world.engine.behaviour, world.engine.memory
    s, shown = situations(world, 25), pages(world, 25, 6)

    def worth(rows, page):
        return page_outcomes(respond(b, memory, s.rows(rows), rows, page, world.seed))

    orders = np.array(list(itertools.permutations(range(6), 3)))
    everything = np.repeat(np.arange(25), len(orders))
    tried = worth(everything, np.take_along_axis(shown[everything], np.tile(orders, (25, 1)), 1))
    for goal in OUTCOMES:
        sign = -1 if goal == "dismissals" else 1
        most = (sign * tried[goal][1]).reshape(25, -1).max(axis=1)
        chosen = np.take_along_axis(shown, Cards(b, memory, s, shown, goal).best(3), axis=1)
        own = sign * worth(np.arange(25), chosen)[goal][1]
        exact = truth == "examination" and not (budget and goal in ("completions", "watch_minutes"))
        assert (own <= most + 1e-6).all(), goal
        if exact:
            np.testing.assert_allclose(own, most, rtol=1e-6)
        else:
            slack = 0.1 if goal == "completions" else 0.02
            assert own.mean() > most.mean() - slack * abs(most.mean()), goal


def test_live_requests_are_those_of_the_experiment():
    world = mini()
    for candidates in ("nominated", "catalogue"):
        seen = []

        def spy(requests, seen=seen):
            seen.append(requests)
            return offered(requests)[:, : requests.slate]

        ab_test(world, {"spy": spy}, n=40, seed=3, candidates=candidates, visits=2)
        for visit, asked in enumerate(seen):
            situation, again = live_requests(world.engine, 40, 3, candidates, visit)
            for name in ("request", "user", "time", "query_video"):
                np.testing.assert_array_equal(getattr(asked, name), getattr(again, name))
            assert (situation.time == again.time).all()
        assert (seen[0].candidates is None) == (candidates == "catalogue")
        some = seen[0].rows(slice(5, 9))
        assert len(some) == 4 and (some.user == seen[0].user[5:9]).all() and some.slate == 10


def test_expectation_is_the_mean_of_many_replicates():
    world = tiny()
    b, memory = world.engine.behaviour, world.engine.memory
    s, shown = situations(world, 300), pages(world, 300)
    total = {name: [] for name in OUTCOMES}
    for replicate in range(80):
        number = 10**8 + 1_000 * replicate + np.arange(300)
        f = respond(b, memory, s, number, shown, world.seed)
        for name, (seen, exact) in page_outcomes(f).items():
            total[name].append(seen.mean())
            assert exact.shape == seen.shape == (300,)
    for name, (_, exact) in page_outcomes(f).items():
        values = np.array(total[name])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - exact.mean()) < 4 * error, name


class TestClusteredError:
    @pytest.mark.parametrize("within", [0.0, 0.5])
    def test_against_a_bootstrap_of_accounts(self, within):
        rng = np.random.default_rng(0)
        size = rng.poisson(3, 250) + 1
        cluster = np.repeat(np.arange(250) * 7, size)  # numbers with gaps
        values = within * 2 * np.repeat(rng.normal(size=250), size) + rng.normal(size=len(cluster))
        sums = np.bincount(np.repeat(np.arange(250), size), values)
        means = []
        for _ in range(4_000):
            drawn = rng.integers(250, size=250)
            means.append(sums[drawn].sum() / size[drawn].sum())
        assert clustered_error(values, cluster) == pytest.approx(np.std(means), rel=0.06)
        if within:
            assert clustered_error(values, cluster) > 1.3 * values.std() / np.sqrt(len(values))
        alone = clustered_error(values, np.arange(len(values)))
        assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)))


def fixed(requests):
    """The same cards for everybody, out of the whole catalogue, so at each visit."""
    return np.tile(np.arange(10), (len(requests), 1))


class TestVisits:
    def test_tiredness_grows(self):
        def clicks(world, visits):
            result = ab_test(world, {"a": fixed}, n=400, visits=visits, candidates="catalogue")
            return result.per_page["a"]["clicks"][1].reshape(visits, 400)

        tired = clicks(tiny(), 4)
        assert (np.diff(tired.mean(axis=1)) < 0).all()
        np.testing.assert_array_equal(clicks(tiny(), 1)[0], tired[0])
        rested = clicks(tiny(fatigue=0.0), 2)
        # Without fatigue only what was watched meanwhile changes anything.
        assert (rested[0] == rested[1]).mean() > 0.3

    def test_what_was_shown_is_counted(self):
        counts = []

        def same_page(requests):
            counts.append(requests.previous_impressions)
            return np.sort(requests.candidates, axis=1)[:, : requests.slate]

        result = ab_test(tiny(), {"same": same_page}, n=400, visits=2)
        assert counts[1].mean() > counts[0].mean() + 0.05
        assert len(result.requests) == len(result.pages["same"]) == 800

    def test_arms_remember_apart(self):
        world = tiny()
        alone = ab_test(world, {"past": world.past_ranking()}, n=200, visits=3)
        beside = ab_test(world, policies(world), n=200, visits=3)
        assert (alone.pages["past"] == beside.pages["past"]).all()

    @pytest.mark.parametrize("visits", [1, 3])
    def test_the_world_is_left_as_it_was(self, visits):
        world = mini()
        before = copy.deepcopy(vars(world.engine.memory))
        numbers = world.engine.requests_made
        ab_test(world, policies(world), n=200, visits=visits)
        for name, value in vars(world.engine.memory).items():
            assert np.array_equal(value, before[name]), name
        assert world.engine.requests_made == numbers


class TestRequests:
    def test_fresh_and_plausible(self):
        world = tiny()
        seen = []

        def spy(requests):
            seen.append(requests)
            return requests.candidates[:, : requests.slate]

        result = ab_test(world, {"spy": spy}, n=3_000)
        (asked,) = seen
        people = world.engine.people
        assert (asked.request < 0).all() and len(set(asked.request)) == 3_000
        assert ((asked.time >= 30) & (asked.time < 31)).all()
        assert (people.joined[asked.user] <= asked.time).all()
        assert (people.device_weights[asked.user, asked.device] > 0).all()
        assert (asked.daypart == (asked.time % 1 * 4).astype(int)).all()
        assert (asked.query_video == -1).all() and (asked.surface == 0).all()
        assert (result.requests["user"] == asked.user).all()
        new = (people.joined[asked.user] > 23).mean()
        assert 0.03 < new < 0.4
        busy = np.bincount(asked.user, minlength=400)[people.joined <= 30]
        assert np.corrcoef(busy, people.sessions_per_day[people.joined <= 30])[0, 1] > 0.9

    def test_up_next(self):
        engine = tiny().engine
        asked, query = draw_requests(engine, 500, 0, "up_next")
        assert ((query >= 0) & (query < engine.catalogue.available(30))).all()
        topic = engine.catalogue.topic[query]
        liked = engine.people.interests[asked.user, 30] == topic[:, None]
        assert liked.any(axis=1).mean() > 0.5


class TestReadOuts:
    def test_table(self):
        result = ab_test(mini(), policies(mini()), n=100)
        assert set(result.table["metric"]) == {*OUTCOMES, *PAGE, "coverage"}
        assert list(result.table["policy"].unique()) == ["random", "past", "oracle"]
        assert (
            cells(result, "low").dropna()
            <= cells(result, "observed")[cells(result, "low").dropna().index]
        ).all()

    def test_page_metrics_by_hand(self):
        world = mini()
        result = ab_test(world, {"random": world.random()}, n=60)
        c, shown = world.engine.catalogue, result.pages["random"]
        topics = np.mean([len(set(c.topic[page])) for page in shown])
        assert cells(result, "expected")["random", "topics"] == pytest.approx(topics)
        age = result.requests["time"].to_numpy()[:, None] - c.uploaded[shown]
        assert cells(result, "expected")["random", "fresh_share"] == pytest.approx((age < 7).mean())
        coverage = len(np.unique(shown)) / c.available(world.config.days)
        assert cells(result, "expected")["random", "coverage"] == pytest.approx(coverage)
        length = cells(result, "expected")["random", "length_minutes"]
        assert length == pytest.approx(c.seconds[shown].mean() / 60)


def unlucky(requests):
    raise ZeroDivisionError("no luck")


class TestBadArguments:
    @pytest.mark.parametrize(
        ("arms", "words"),
        [
            (None, "dict"), ({}, "dict"), ([unlucky], "dict"), ("random", "dict"),
            ({"model": 3}, "'model' is a int"),
            ({"odd": lambda requests: requests.candidates[:, 0]}, "shape"),
            ({"fine": mini().random(), "mine": unlucky}, "'mine' failed: ZeroDivisionError: no"),
        ],
    )  # fmt: skip
    def test_policies(self, arms, words):
        with pytest.raises((ConfigError, PolicyError), match=words):
            ab_test(mini(), arms, n=30)

    def test_nobody_is_active(self):
        with pytest.raises(ConfigError, match="sessions_per_day"):
            ab_test(mini(sessions_per_day=0.0), {"random": mini().random()}, n=30)

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"n": 19}, "n=19"),
            ({"n": 100.0}, "n=100.0"),
            ({"n": True}, "n=True"),
            ({"seed": -1}, "seed=-1"),
            ({"visits": 0}, "visits=0"),
            ({"candidates": "all"}, "catalogue"),
        ],
    )
    def test_options(self, options, word):
        with pytest.raises(ConfigError) as caught:
            ab_test(mini(), {"random": mini().random()}, **options)
        assert word in str(caught.value) and "Allowed:" in str(caught.value)
