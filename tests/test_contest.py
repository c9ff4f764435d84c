"""The contest: fair to all, told in full, and nothing of the truth in anybody's hands."""

from __future__ import annotations

import gc
import types
import weakref

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student_t
from worlds import MINI, mini

from course import contest, contests
from course.contests import BATCH, SYSTEMS, popularity_in_my_language
from course.errors import ConfigError
from course.simulator.behaviour import Behaviour
from course.simulator.catalogue import Catalogue
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine
from course.simulator.memory import Memory
from course.simulator.people import People
from course.simulator.policies import RandomPolicy, offered
from course.simulator.truth import Truth
from course.world import World, ab_test, simulate

SETTINGS = {"world": WorldConfig.of("village", **MINI), "worlds": 2, "n": 60, "first_seed": 11}
T = student_t.ppf(0.975, 1)
HIDDEN = (World, Engine, Truth, Memory, Behaviour, Catalogue, People)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def run(policy, **changes):
    return contest(policy, **{**SETTINGS, **changes})


def fixed(requests):
    """The same page for everybody."""
    return np.tile(np.arange(requests.slate), (len(requests), 1))


class TestScores:
    def test_the_ends_and_a_twin(self):
        """A submission that is a system of the course scores exactly what the system scores."""
        found = run(
            {"twin": lambda logs: popularity_in_my_language(logs), "chance": RandomPolicy(5)}
        )
        table = found.table
        assert (found.worlds["oracle"] == 1).all() and (found.worlds["random"] == 0).all()
        assert (found.worlds["twin"] == found.worlds["popularity in my language"]).all()
        assert table.index[0] == "oracle" and table["problem"].isna().all()
        assert abs(table.loc["chance", "share"]) < 0.1 < table.loc["twin", "share"]

    @pytest.mark.parametrize("metric", ["clicks", "watch_minutes", "satisfied"])
    def test_by_hand(self, metric):
        found = run(fixed, metric=metric, candidates="catalogue")
        ours = []
        for seed in (11, 12):
            world = simulate(SETTINGS["world"], seed=seed)
            arms = {"low": world.random(), "you": fixed, "high": world.oracle(metric)}
            table = ab_test(world, arms, n=60, candidates="catalogue").table
            value = table[table["metric"] == metric].set_index("policy")["expected"]
            ours.append((value["you"] - value["low"]) / (value["high"] - value["low"]))
        np.testing.assert_allclose(found.worlds["you"], ours)
        mean, half = np.mean(ours), T * np.std(ours, ddof=1) / np.sqrt(2)
        row = found.table.loc["you", ["share", "low", "high"]].astype(float)
        np.testing.assert_allclose(row, [mean, mean - half, mean + half])

    def test_nominated_candidates(self):
        def first(requests):
            return requests.candidates[:, : requests.slate]

        assert run(first, candidates="nominated").table.loc["you", "share"] < 1
        assert "NoneType" in run(first).table.loc["you", "problem"]

    def test_every_request_once_in_batches(self):
        seen = []

        def spy(requests):
            seen.append(requests)
            return fixed(requests)

        run(spy, n=BATCH + 30, worlds=1)
        assert [len(batch) for batch in seen] == [BATCH, 30]
        assert len(np.unique(np.concatenate([batch.request for batch in seen]))) == BATCH + 30

    def test_shows_itself(self):
        found = run({"a <b>": fixed, "broken": lambda requests: None})
        page = found._repr_html_()
        assert "a &lt;b&gt;" in page and "100%" in page and "nan" not in page
        value = found.table.loc["past ranking", "value"]
        assert "<th>clicks</th>" in page and f"<td>{value:.2f}"[:8] in page

    def test_systems_can_be_added(self):
        found = run(fixed, systems={**SYSTEMS, "mine": lambda logs: RandomPolicy(3)}, worlds=1)
        assert set(found.worlds) == {"random", "past ranking", "oracle", "mine", "you",
                                     "popularity in my language"}  # fmt: skip


class TestBadSubmissions:
    def raises(logs):
        raise KeyError("no such column")

    def leaves(requests):
        raise SystemExit

    def edits(requests):
        requests.time[:] = 0
        return fixed(requests)

    def second_world(logs):
        return fixed if logs.users["joined"].iloc[0] == first_joined() else None

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            (raises, "called with logs, failed: KeyError: 'no such column'"),
            (leaves, "failed: SystemExit"),
            (edits, "changed requests.time in place"),
            (lambda logs: 3, "called with logs, returned a int"),
            (lambda log: fixed, "call the argument logs"),
            (lambda requests: np.zeros((len(requests), 10), int), "video 0 twice"),
            (lambda requests: fixed(requests) + 10**6, "unknown video"),
            (lambda requests: fixed(requests)[:, :5], "shape (60, 5)"),
            (lambda requests: fixed(requests) * np.nan, "float64"),
            (second_world, "world 12: 'bad', called with logs, returned a NoneType"),
        ],
    )
    def test_one_costs_its_own_row_alone(self, entry, words):
        found = run({"bad": entry, "good": fixed})
        row = found.table.loc["bad"]
        assert words in row["problem"]
        assert row[["share", "low", "high", "value"]].isna().all()
        alone = run({"good": fixed})
        pd.testing.assert_frame_equal(found.worlds.drop(columns="bad"), alone.worlds)

    @pytest.mark.parametrize("when", ["built", "asked"])
    def test_slow(self, monkeypatch, when):
        clock = types.SimpleNamespace(now=0.0, calls=0)
        fake = types.SimpleNamespace(perf_counter=lambda: clock.now)
        monkeypatch.setattr(contests, "time", fake)

        def idle(requests):
            clock.calls += 1
            clock.now += 4.0 * (when == "asked")
            return fixed(requests)

        def make(logs):
            clock.now += 11.0 * (when == "built")
            return idle

        found = run({"slow": make, "fast": fixed}, n=5 * BATCH, seconds=10, worlds=1)
        seconds = {"built": "11.0", "asked": "12.0"}[when]
        assert f"'slow' took {seconds} seconds" in found.table.loc["slow", "problem"]
        assert "10 seconds" in found.table.loc["slow", "problem"]
        assert clock.calls == {"built": 0, "asked": 3}[when]
        assert np.isfinite(found.table.loc["fast", "share"])

    def test_seconds_are_per_world(self, monkeypatch):
        clock = types.SimpleNamespace(now=0.0)
        fake = types.SimpleNamespace(perf_counter=lambda: clock.now)
        monkeypatch.setattr(contests, "time", fake)

        def idle(requests):
            clock.now += 6.0
            return fixed(requests)

        found = run(idle, seconds=10)
        assert found.table.loc["you", "seconds"] == 6 and found.table["problem"].isna().all()


def first_joined():
    return simulate(SETTINGS["world"], seed=11).logs().users["joined"].iloc[0]


def reachable(root):
    """Everything that can be reached from an object, short of modules, classes and globals."""
    stack, seen = [root], {}
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, type | types.ModuleType):
            continue
        seen[id(one)] = one
        if isinstance(one, types.FunctionType):
            stack += [one.__closure__, one.__defaults__, one.__kwdefaults__, vars(one)]
        elif isinstance(one, weakref.ref):
            stack.append(one())
        else:
            stack += gc.get_referents(one)
            stack += [getattr(one, name, None) for name in ("base", "__self__", "__dict__")]
    return list(seen.values())


class TestNothingOfTheTruth:
    def test_what_a_submission_is_given(self):
        given = []

        class Grasping:
            memory = None  # what is called so is handed the memory in `ab_test`

            def __init__(self, logs):
                given.append(logs)
                self.memory = mini().engine.memory
                self.before = self.memory

            def __call__(self, requests):
                given.append(requests)
                assert self.memory is self.before
                return fixed(requests)

        found = run(Grasping)
        assert found.table["problem"].isna().all() and len(given) == 4
        world = simulate(SETTINGS["world"], seed=12)
        arrays = [a for a in vars(world.engine.memory).values() if isinstance(a, np.ndarray)]
        for one in reachable(given):
            assert not isinstance(one, HIDDEN)
            if isinstance(one, np.ndarray) and one.dtype != object:
                assert not any(np.shares_memory(one, a) for a in arrays)
        tables = [t for logs in (given[0], given[2]) for t in vars(logs).values()]
        columns = {c for t in tables if isinstance(t, pd.DataFrame) for c in t}
        assert not columns & {"quality", "clickbait", "p_click_if_seen", "member"}


class TestBadArguments:
    @pytest.mark.parametrize(
        ("policy", "options", "words"),
        [
            (3, {}, "policy"),
            ({}, {}, "policy"),
            ({"mine": None}, {}, "policy"),
            ({"oracle": fixed}, {}, "oracle"),
            ({"popularity in my language": fixed}, {}, "past ranking"),
            (fixed, {"worlds": 0}, "worlds"),
            (fixed, {"worlds": 1.5}, "worlds"),
            (fixed, {"metric": "profit"}, "watch_minutes"),
            (fixed, {"seconds": 0}, "seconds"),
            (fixed, {"seconds": np.nan}, "seconds"),
            (fixed, {"world": "huge"}, "village"),
            (fixed, {"n": 3}, "n=3"),
            (fixed, {"candidates": "all"}, "nominated"),
        ],
    )
    def test_refused(self, policy, options, words):
        with pytest.raises(ConfigError) as caught:
            run(policy, **options)
        assert words in str(caught.value) and "Allowed:" in str(caught.value)


def test_popularity_in_my_language_by_hand():
    logs = mini().logs()
    policy = popularity_in_my_language(logs)
    seen = {}

    def spy(requests):
        seen["page"], seen["asked"] = policy(requests), requests
        return seen["page"]

    ab_test(mini(), {"spy": spy}, n=40)
    language = logs.users["language"]
    for user, page, row in zip(
        seen["asked"].user, seen["page"], offered(seen["asked"]), strict=True
    ):
        alike = logs.watches["user_id"].isin(language.index[language == language[user]])
        count = logs.watches["video_id"][alike].value_counts()
        best = np.sort(count.reindex(row, fill_value=0))[::-1][:10]
        np.testing.assert_array_equal(count.reindex(page, fill_value=0), best)
