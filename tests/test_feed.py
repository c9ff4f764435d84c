"""The feed: responses follow the stated probabilities, coins are shared, bad pages are refused."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch
from scipy.special import logit
from worlds import ENDLESS, MINI, mini, pages, situations, tiny

from course.errors import PolicyError
from course.simulator import laws
from course.simulator.behaviour import EXAMINATION_EXPONENT
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine
from course.simulator.experiment import live_requests
from course.simulator.feed import Feedback, rank, respond
from course.simulator.oracle import Cards
from course.simulator.streams import coins

REQUESTS = 12_000


@functools.cache
def answered(**dials) -> tuple:
    """(behaviour, situation, request, pages, feedback) of many random pages in the tiny world.

    The memory is that of the default world, so that only the dials differ.
    """
    config = WorldConfig.of("village", **{**ENDLESS, **dials})
    behaviour = Engine(config, 7).behaviour
    s, shown = situations(tiny(), REQUESTS), pages(tiny(), REQUESTS)
    number = 5_000_000 + np.arange(REQUESTS)
    return behaviour, s, number, shown, respond(behaviour, memory(), s, number, shown, 7)


def memory():
    return tiny().engine.memory


def z_score(seen, expected, variance) -> float:
    return float((np.sum(seen) - np.sum(expected)) / np.sqrt(np.sum(variance)))


def binomial_z(seen, p) -> float:
    return z_score(seen, p, p * (1 - p))


class TestCalibration:
    @pytest.mark.parametrize("truth", ["examination", "additive"])
    def test_clicks_by_position_and_device(self, truth):
        _, s, _, _, f = answered(bias_truth=truth)
        scores = [
            binomial_z(f.clicked[s.device == device, k], f.p_click[s.device == device, k])
            for device in range(3)
            for k in range(10)
        ]
        assert np.abs(scores).max() < 4
        assert np.sum(np.square(scores)) < 30 + 4.5 * np.sqrt(60)  # chi-square, 30 cells

    def test_examination_is_the_law(self):
        _, s, _, _, f = answered()
        want = np.arange(1, 11) ** -EXAMINATION_EXPONENT[s.device][:, None]
        np.testing.assert_allclose(f.p_seen, want)
        np.testing.assert_allclose(f.p_click, f.p_seen * f.p_click_if_seen)

    def test_watch_seconds(self):
        _, _, _, _, f = answered(click_rate=0.3)
        seconds, mean = f.watched_seconds[f.clicked], f.expected_seconds[f.clicked]
        for part in np.array_split(np.argsort(mean), 4):
            error = seconds[part] - mean[part]
            assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(part)) + 0.05

    @pytest.mark.parametrize(
        ("outcome", "p"), [("completed", "p_complete"), ("liked", "p_like"), ("shared", "p_share")]
    )
    def test_what_follows_a_click(self, outcome, p):
        _, _, _, _, f = answered(click_rate=0.3)
        chance, seen = getattr(f, p)[f.clicked], getattr(f, outcome)[f.clicked]
        for part in np.array_split(np.argsort(chance), 4):
            assert abs(binomial_z(seen[part], chance[part])) < 4

    def test_survey(self):
        _, _, _, _, f = answered(click_rate=0.3)
        asked = f.clicked & (f.survey > 0)
        share = asked.sum() / f.clicked.sum()
        assert abs(share - 0.1) < 4 * np.sqrt(0.09 / f.clicked.sum())
        error = f.survey[asked] - f.expected_rating[asked]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(asked.sum())
        assert abs(binomial_z(f.survey[asked] >= 4, f.p_satisfied[asked])) < 4

    def test_nothing_follows_without_a_click(self):
        _, _, _, _, f = answered()
        for name in ("watched_seconds", "completed", "liked", "shared", "survey"):
            assert not getattr(f, name)[~f.clicked].any(), name
        assert (f.watched_seconds[f.clicked] >= 1).all()

    def test_the_log_is_calibrated_too(self):
        frame, truth = tiny().logs().impressions, tiny().true_table("impressions")
        p = (truth["p_seen"] * truth["p_click_if_seen"]).astype(float)
        for _, rows in frame.groupby(["device", "surface"], observed=True).groups.items():
            assert abs(binomial_z(frame["clicked"][rows], p[rows])) < 4
        for _, rows in frame.groupby("position").groups.items():
            assert abs(binomial_z(frame["clicked"][rows], p[rows])) < 4
        clicked = frame["clicked"]
        seconds = frame["watched_seconds"][clicked]
        error = seconds - truth["expected_seconds_if_clicked"][clicked]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))


class TestCoins:
    def test_same_card_elsewhere_meets_the_same_coins(self):
        behaviour, s, number, shown, f = answered()
        order = np.random.default_rng(1).random(shown.shape).argsort(axis=1)
        moved = np.take_along_axis(shown, order, axis=1)
        g = respond(behaviour, memory(), s, number, moved, 7)

        def back(values):
            out = np.empty_like(values)
            np.put_along_axis(out, order, values, axis=1)
            return out

        coin = coins(7, "click", number[:, None], shown)
        assert (f.clicked == (coin < f.p_click)).all()
        assert (back(g.clicked) == (coin < back(g.p_click))).all()
        up = order.argsort(axis=1) < np.arange(10)  # cards that now stand higher
        assert not (f.clicked & ~back(g.clicked))[up].any()
        assert (back(g.clicked) & ~f.clicked)[up].any()
        both = f.clicked & back(g.clicked)
        assert both.sum() > 500
        for name in ("watched_seconds", "completed", "liked", "shared", "survey"):
            assert (getattr(f, name)[both] == back(getattr(g, name))[both]).all(), name
        assert (f.large_thumbnail == back(g.large_thumbnail)).all()
        np.testing.assert_array_equal(f.expected_seconds, back(g.expected_seconds))

    def test_response_does_not_depend_on_the_other_cards(self):
        behaviour, s, number, shown, f = answered()
        short = respond(behaviour, memory(), s, number, shown[:, :4], 7)
        for field in dataclasses.fields(Feedback):
            np.testing.assert_array_equal(
                getattr(short, field.name), getattr(f, field.name)[:, :4], err_msg=field.name
            )

    def test_nobody_dismisses_what_they_click(self):
        _, _, _, _, f = answered(click_rate=0.3)
        assert f.dismissed.sum() > 100 and not (f.clicked & f.dismissed).any()
        # A coin shared with the click would leave far fewer dismissals than this.
        error = f.dismissed.sum() - f.p_dismiss.sum()
        assert abs(error) < 4.5 * np.sqrt((f.p_dismiss * (1 - f.p_dismiss)).sum())


class TestDials:
    @pytest.mark.parametrize("dial", [0.0, 1.0])
    def test_fatigue_is_the_law(self, dial):
        behaviour, s, number, shown, f = answered(task_context=0, fatigue=dial)
        empty = memory().copy()
        empty.shown[:] = 0
        g = respond(behaviour, empty, s, number, shown, 7)
        want = -0.35 * dial * np.log1p(memory().shown[s.user[:, None], shown])
        got = logit(f.p_click_if_seen) - logit(g.p_click_if_seen)
        np.testing.assert_allclose(got, want, atol=2e-3)

    def test_thumbnail_bias_is_the_odds_ratio(self):
        f, g = answered()[4], answered(thumbnail_bias=1.5)[4]
        assert (f.large_thumbnail == g.large_thumbnail).all()
        shift = logit(g.p_click_if_seen) - logit(f.p_click_if_seen)
        np.testing.assert_allclose(shift, np.where(f.large_thumbnail, 0.75, -0.75), atol=2e-3)
        large = f.large_thumbnail
        assert abs(large.mean() - 0.5) < 4.5 * 0.5 / np.sqrt(large.size)

    def test_position_bias_off(self):
        f = answered(position_bias=0)[4]
        assert (f.p_seen == 1).all()
        np.testing.assert_allclose(f.p_click, f.p_click_if_seen)
        rate = f.clicked.mean(axis=0)
        assert rate.max() - rate.min() < 6 * np.sqrt(rate.mean() / REQUESTS)
        default = answered()[4].clicked.mean(axis=0)
        assert default[0] > 4 * default[-1]

    def test_additive_truth_is_a_shift_of_the_logit(self):
        _, s, _, _, f = answered(bias_truth="additive")
        np.testing.assert_allclose(
            logit(f.p_click) - logit(f.p_click_if_seen), np.log(f.p_seen), atol=2e-3
        )
        same = answered()[4]
        np.testing.assert_array_equal(f.p_click_if_seen, same.p_click_if_seen)
        np.testing.assert_allclose(f.p_click[:, 0], same.p_click[:, 0], rtol=1e-6)

    def test_click_rate_is_the_intercept(self):
        shift = logit(answered(click_rate=0.3)[4].p_click_if_seen) - logit(
            answered()[4].p_click_if_seen
        )
        np.testing.assert_allclose(shift, logit(0.3) - logit(0.06), atol=2e-3)

    def test_clickbait_pulls_clicks_and_spoils_ratings(self):
        bait = tiny().engine.catalogue.clickbait
        slopes = {}
        for dial in (0.0, 1.0):
            _, _, _, shown, f = answered(clickbait=dial)
            x = bait[shown].ravel()
            slopes[dial] = [
                np.polyfit(x, y.ravel(), 1)[0]
                for y in (logit(f.p_click_if_seen), f.expected_rating)
            ]
        assert abs(slopes[0.0][0]) < 0.1 and abs(slopes[0.0][1]) < 0.06
        assert slopes[1.0][0] > 0.35 and slopes[1.0][1] < -0.25

    def test_task_conflict_parts_appeal_from_satisfaction(self):
        r = {}
        for dial in (0.0, 1.0):
            _, _, _, _, f = answered(task_conflict=dial)
            appeal = logit(f.p_click_if_seen.astype(float))
            r[dial] = np.corrcoef(appeal.ravel(), f.expected_rating.ravel())[0, 1]
        assert r[0.0] > 0.85 and r[1.0] < r[0.0] - 0.3

    def test_task_context_off_makes_one_rule_for_all(self):
        for dial, same in ((0.0, True), (0.5, False)):
            weights = Engine(
                WorldConfig.of("village", **MINI, task_context=dial), 7
            ).behaviour.weights
            assert (np.ptp(weights, axis=1).max() == 0) == same

    def test_freshness_of_a_card(self):
        ages = tiny().config.days - tiny().engine.catalogue.uploaded
        slopes = {}
        for dial in (0.0, 1.0):
            _, _, _, shown, f = answered(freshness=dial)
            new = np.exp(-ages[shown] / 7).ravel()
            slopes[dial] = np.polyfit(new, logit(f.p_click_if_seen).ravel(), 1)[0]
        assert slopes[1.0] - slopes[0.0] == pytest.approx(0.6, abs=0.15)


class TestBudgetOfTime:
    DIALS = {"click_rate": 0.3, "time_budget": 1.0}

    @pytest.mark.parametrize("truth", ["examination", "additive"])
    def test_expectations_of_each_place(self, truth):
        _, s, _, _, f = answered(**self.DIALS, bias_truth=truth)
        mean = f.p_click * f.expected_seconds
        for device in range(3):
            rows = s.device == device
            error = (f.watched_seconds - mean)[rows]
            # Whoever has no time left watches one second, which the expectation leaves out.
            within = 4.5 * error.std(axis=0) / np.sqrt(rows.sum()) + 0.05
            assert (np.abs(error.mean(axis=0)) < within).all()
            done = (f.p_click * f.p_complete)[rows]
            for k in range(10):
                assert abs(binomial_z(f.completed[rows, k], done[:, k])) < 4.5

    def test_the_first_card_has_all_the_time_and_the_others_have_less(self):
        b, s, _, shown, f = answered(**self.DIALS)
        alone = Cards(b, memory(), s, shown, "watch_minutes").worth
        np.testing.assert_allclose(alone[:, 0], f.expected_seconds[:, 0], rtol=1e-5)
        assert (alone[:, 1:] > f.expected_seconds[:, 1:]).all()

    def test_a_page_keeps_within_its_budget(self):
        b, s, number, shown, f = answered(**self.DIALS)
        chances = [coins(7, name, number, 0) for name in ("time kind", "time")]
        budget, clicks = laws.time_budget(b.time_mean(s)[:, 0], *chances), f.clicked.sum(axis=1)
        total = f.watched_seconds.sum(axis=1)
        assert (total <= budget + clicks + 0.01).all()
        assert 0.2 < (total > 0.999 * budget)[clicks > 1].mean() < 0.9
        length = b.catalogue.seconds[shown]
        assert (f.watched_seconds[f.completed] >= 0.799 * length[f.completed]).all()
        cut = f.clicked & (f.watched_seconds == 1)
        assert not cut[:, 0].any() or cut[:, 0].mean() < cut[:, 4].mean()
        assert not f.completed[cut & (length > 2)].any()

    def test_a_budget_without_end_is_the_old_world(self):
        old, new = answered(click_rate=0.3)[4], answered(click_rate=0.3, time_budget=1e-6)[4]
        for name in ("clicked", "liked", "shared", "survey", "dismissed", "p_click"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        assert (old.completed != new.completed).mean() < 1e-4
        np.testing.assert_allclose(old.expected_seconds, new.expected_seconds, rtol=1e-3)
        np.testing.assert_allclose(old.p_complete, new.p_complete, rtol=1e-3)

    def test_more_time_is_watched_more(self):
        minutes = [answered(click_rate=0.3, time_budget=d)[4].watched_seconds.mean()
                   for d in (0.0, 0.5, 1.0, 2.0)]  # fmt: skip
        assert (np.diff(minutes) < 0).all()

    def test_organic_watches_have_their_own(self):
        long = mini(time_budget=1.0).logs().watches
        old = mini().logs().watches
        rows = long["request_id"] < 0
        assert long[rows]["watched_seconds"].mean() < 0.7 * old["watched_seconds"].mean()
        assert (long[rows]["watched_seconds"] == 1).mean() < 0.01


class TestPastRanking:
    @staticmethod
    def ranked(**dials):
        world = tiny()
        engine = Engine(WorldConfig.of("village", **dials), 7)
        asked = requests(world, 3_000)
        return asked, engine.past_ranking(world.engine.memory)(asked)

    def test_incumbency_alone_sorts_by_watches(self):
        asked, shown = self.ranked(logger_noise=0, logger_relevance=0)
        m = tiny().engine.memory
        score = np.log1p(m.video_watches)[shown] - 1e6 * m.seen[asked.user[:, None], shown]
        assert (np.diff(score, axis=1) <= 0).all()

    def test_dials_move_what_they_say(self):
        def figures(**dials):
            asked, shown = self.ranked(**dials)
            m = tiny().engine.memory
            watches = m.topic_watches[asked.user].astype(float)
            share = watches / (watches.sum(axis=1, keepdims=True) + 5)
            topic = tiny().engine.catalogue.topic[shown]
            return np.log1p(m.video_watches)[shown].mean(), np.take_along_axis(
                share, topic.astype(int), axis=1
            ).mean()

        popular, own = figures()
        assert figures(logger_incumbency=0)[0] < popular - 0.2
        assert figures(logger_relevance=5)[1] > own + 0.02
        noisy = figures(logger_noise=5)
        assert noisy[0] < popular - 0.2 and noisy[1] < own


def requests(world, n=40, pool=True):
    """Requests at the end of a world's log."""
    return live_requests(world.engine, n, candidates="nominated" if pool else "catalogue")[1]


def refused(policy, pool=True, name="") -> str:
    with pytest.raises(PolicyError) as caught:
        rank(policy, requests(mini(), pool=pool), name)
    assert "Allowed:" in str(caught.value)
    return str(caught.value)


def changed(row, column, value):
    """A policy that shows the first candidates, and once another video."""

    def my_policy(asked):
        page = asked.candidates[:, : asked.slate].copy()
        page[row, column] = value(asked) if callable(value) else value
        return page

    return my_policy


def future(asked):
    """The last nine videos, and one that is not uploaded yet."""
    return np.tile(np.arange(asked.available - 9, asked.available + 1), (len(asked), 1))


SHAPE, TYPE, UNKNOWN = ["shape", "(40, 10)"], ["type", "integer"], ["unknown video", "0 to"]


class TestPolicyErrors:
    @pytest.mark.parametrize(
        ("policy", "words"),
        [
            (changed(7, 5, lambda a: a.candidates[7, 2]), ["'my_policy' put video", "row 7"]),
            (changed(4, 9, lambda a: np.setdiff1d(np.arange(150), a.candidates[4])[0]),
             ["row 4", "not nominated"]),
            *[(changed(3, 0, bad), [f"unknown video {bad}", "0 to"])
              for bad in (-1, 10**6, np.iinfo(np.int32).min)],
            (future, UNKNOWN),
            (lambda a: a.candidates[0, : a.slate], SHAPE),
            (lambda a: a.candidates[:-1, : a.slate], SHAPE),
            (lambda a: a.candidates[:, : a.slate].T, SHAPE),
            (lambda a: a.candidates[:, :9], SHAPE),
            (lambda a: np.zeros((0, 10), int), SHAPE),
            (lambda a: a.candidates[None], SHAPE),
            (lambda a: None, SHAPE),
            (lambda a: [], SHAPE),
            *[(lambda a, t=t: a.candidates[:, : a.slate].astype(t), TYPE)
              for t in (float, bool, str, object)],
            (lambda a: np.full((len(a), a.slate), np.nan), TYPE),
            (lambda a: torch.zeros(40, 10, requires_grad=True), ["no array"]),
            (lambda a: [[1, 2], *[[1]] * (len(a) - 1)], ["no array"]),
            (type("Grand", (), {"__call__": lambda self, a: a.candidates[:, :0]})(), ["'Grand'"]),
        ],
    )  # fmt: skip
    def test_bad_pages(self, policy, words):
        text = refused(policy)
        assert all(word in text for word in words), text

    def test_not_uploaded_yet_is_unknown_without_candidates_too(self):
        assert "unknown video" in refused(future, pool=False)

    def test_good_pages_pass(self):
        asked = requests(mini())
        for dtype in (np.int16, np.int32, np.int64, np.uint32):
            got = rank(lambda a, d=dtype: a.candidates[:, : a.slate].astype(d), asked)
            assert got.dtype == np.int32 and (got == asked.candidates[:, :10]).all()
        assert rank(lambda a: a.candidates[:, :10].tolist(), asked).shape == (40, 10)
        assert rank(lambda a: a.candidates, asked).shape == (40, 10)  # cut at the slate
        everything = requests(mini(), pool=False)
        page = np.tile(np.arange(10), (40, 1))
        assert (rank(lambda a: page, everything) == page).all()

    def test_one_that_raises_is_named_and_keeps_its_cause(self):
        def unlucky(asked):
            return {}["videos"]

        with pytest.raises(PolicyError, match="'unlucky' failed: KeyError: 'videos'") as caught:
            rank(unlucky, requests(mini()))
        assert isinstance(caught.value.__cause__, KeyError)

    def test_a_policy_of_policies_names_both_once(self):
        def inner(asked):
            return None

        def outer(asked):
            return rank(inner, asked)

        text = refused(outer)
        assert text.count("'outer'") == text.count("'inner'") == 1
        assert refused(lambda asked: rank(inner, asked, "me"), name="me").count("'me'") == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: np.floor(a.time, out=a.time),
            lambda a: a.user.fill(0),
            lambda a: a.candidates.sort(axis=1),
            lambda a: a.nominators.put(0, 99),
            lambda a: a.recent_videos.view(np.uint8).put(3, 77),
            lambda a: torch.from_numpy(a.previous_impressions).add_(1),
            lambda a: setattr(a.time, "shape", (-1, 1)),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Setting the shape")
    def test_requests_are_everybodys(self, change):
        def greedy(asked):
            change(asked)
            return asked.candidates[:, : asked.slate]

        asked = requests(mini())
        before = copy.deepcopy(vars(asked))
        with pytest.raises(PolicyError, match=r"'greedy' changed requests\.\w+ in place") as caught:
            rank(greedy, asked)
        assert ".copy()" in str(caught.value)
        for name, value in vars(asked).items():
            np.testing.assert_array_equal(value, before[name])

    def test_a_policy_may_give_itself_other_requests(self):
        def tidy(asked):
            asked.time, asked.slate = np.floor(asked.time), 3
            return asked.candidates[:, :10]

        asked = requests(mini())
        assert rank(tidy, asked).shape == (40, 10) and asked.slate == 10
        assert (asked.time % 1 > 0).any()

    @pytest.mark.parametrize("alias", [True, False])
    def test_pages_are_the_feeds_own(self, alias):
        kept = []

        def sly(asked):
            page = asked.candidates[:, : asked.slate]
            kept.append(page if alias else page.copy())
            return kept[-1]

        asked = requests(mini())
        pages = rank(sly, asked)
        kept[0][:] = 0
        np.testing.assert_array_equal(pages, asked.candidates[:, :10])

    def test_nobody_asks(self):
        asked = requests(mini(), n=0)
        assert rank(lambda a: 1 / 0, asked).shape == (0, 10)


def test_without_a_login_nobody_likes_or_follows():
    _, s, _, _, f = answered(click_rate=0.3)
    logged_in = tiny().engine.people.logged_in
    out = ~logged_in[s.user]
    assert f.clicked[out].sum() > 500 and not f.liked[out].any() and not f.p_like[out].any()
    assert f.liked[~out].any() and (f.p_like[~out] > 0).all()
    follows = memory().follows
    assert follows[logged_in].any() and not follows[~logged_in].any()


def test_impressions_count_what_was_shown_before():
    """``previous_impressions`` in the log against counting in the log."""
    frame = mini().logs().impressions
    first = frame.groupby(["user_id", "video_id", "request_id"]).ngroup()
    assert first.is_unique  # a card stands once on a page
    # A quarter's home pages are all served before its impressions are counted.
    stage = (frame["time"] * 4).astype(int)
    before = frame.groupby(["user_id", "video_id"]).cumcount()
    quarter_start = (
        frame.assign(stage=stage, before=before)
        .groupby(["user_id", "video_id", "stage"])["before"]
        .transform("min")
    )
    assert (frame["previous_impressions"] >= quarter_start).all()
    assert (frame["previous_impressions"] <= before).all()
    assert (frame["previous_impressions"] > 0).mean() > 0.2


def test_pages_of_the_log():
    logs = mini().logs()
    frame = logs.impressions
    size = mini().config.slate
    assert (
        frame.groupby("request_id")["position"].apply(list).map(tuple) == tuple(range(1, size + 1))
    ).all()
    assert (frame["request_id"].diff().dropna() >= 0).all()
    per_page = frame.groupby("request_id")[["user_id", "time", "device", "surface"]].nunique()
    assert (per_page == 1).all(axis=None)
    up_next = frame["surface"] == "up_next"
    assert ((frame["query_video_id"] >= 0) == up_next).all() and up_next.any()
    assert (frame["video_id"] != frame["query_video_id"]).all()
    clicked = frame[frame["clicked"]].set_index(["request_id", "video_id"])["watched_seconds"]
    fed = logs.watches[logs.watches["request_id"] >= 0]
    assert fed["source"].isin(["home", "up_next"]).all()
    both = fed.set_index(["request_id", "video_id"])["watched_seconds"]
    assert both.index.is_unique and both.sort_index().equals(clicked.sort_index())
