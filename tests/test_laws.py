"""Every law of behaviour against a closed form, a numeric integral or a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chisquare, norm

from course.simulator import laws

LATENTS = np.array([-6.0, -2.5, -0.6, 0.0, 0.9, 1.4, 3.0, 7.0])


def noise(n: int = 200_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


class TestPopularity:
    def test_zero_before_the_upload(self):
        assert laws.popularity(np.array([-10.0, -1e-9, 0.0]), 5.0, 3.0).tolist() == [0, 0, 0]
        assert laws.popularity(np.array([-1.0]), 5.0, 3.0, freshness=0.0)[0] == 0

    @pytest.mark.parametrize("peak", [0.5, 2.0, 8.0])
    def test_peak_lies_at_about_peak_days_and_is_about_the_base(self, peak):
        age = np.linspace(0.001, 20 * peak, 200_001)
        rate = laws.popularity(age, 3.0, peak)
        # The floor rises while the peak falls, so the maximum comes a little later.
        assert age[rate.argmax()] == pytest.approx(peak, rel=0.05)
        assert rate.max() == pytest.approx(3.0 * (1 + 0.06 * (1 - np.exp(-1))), rel=0.01)
        assert (np.diff(rate[: rate.argmax()]) > 0).all()
        assert (np.diff(rate[rate.argmax() + 1 :]) < 0).all()

    def test_floor_is_six_percent(self):
        assert laws.popularity(1e4, 2.0, 3.0) == pytest.approx(0.12)

    def test_constant_without_freshness(self):
        age = np.linspace(0.01, 500, 50)
        np.testing.assert_allclose(laws.popularity(age, 2.5, 3.0, freshness=0.0), 2.5)


class TestClick:
    def test_examination_by_hand(self):
        got = laws.examination(np.array([1, 2, 4, 10]), 0.5)
        np.testing.assert_allclose(got, [1, 2**-0.5, 0.5, 10**-0.5])
        got = laws.examination(np.array([1, 2, 10]), np.array([0.9, 0.5, 1.4]), strength=2.0)
        np.testing.assert_allclose(got, [1, 0.5, 10**-2.8])
        assert (laws.examination(np.arange(1, 51), 1.4, strength=0.0) == 1).all()

    def test_two_truths_by_hand(self):
        # appeal log(1/3): one chance in four. Half as likely to be seen.
        appeal = np.log(1 / 3)
        assert laws.click_probability(appeal, 0.5) == pytest.approx(0.125)
        # In odds: 1/3 x 1/2 = 1/6, which is a probability of 1/7.
        assert laws.click_probability(appeal, 0.5, "additive") == pytest.approx(1 / 7)

    def test_truths_agree_where_everything_is_seen(self):
        appeal = np.linspace(-5, 5, 11)
        for truth in ("examination", "additive"):
            np.testing.assert_allclose(
                laws.click_probability(appeal, 1.0, truth), laws.sigmoid(appeal)
            )

    def test_additive_shifts_the_logit_by_the_same_amount_for_all(self):
        appeal = np.linspace(-5, 5, 11)
        logit = {
            truth: (lambda p: np.log(p / (1 - p)))(laws.click_probability(appeal, 0.3, truth))
            for truth in ("additive", "examination")
        }
        np.testing.assert_allclose(logit["additive"] - appeal, np.log(0.3))
        assert np.ptp(logit["examination"] - appeal) > 0.5  # the product does not


class TestWatching:
    def test_mean_share_against_numeric_integration(self):
        def integral(m):
            return quad(lambda e: laws.watched_share(m, e) * norm.pdf(e), -12, 12)[0]

        exact = [integral(m) for m in LATENTS]
        np.testing.assert_allclose(laws.mean_watched_share(LATENTS), exact, rtol=1e-4, atol=1e-6)

    def test_mean_share_and_completion_against_simulation(self):
        share = laws.watched_share(LATENTS[:, None], noise()[None])
        bound = 4.5 * share.std(axis=1) / np.sqrt(share.shape[1]) + 1e-5
        assert (np.abs(share.mean(axis=1) - laws.mean_watched_share(LATENTS)) < bound).all()
        done = (share >= laws.COMPLETE_AT).mean(axis=1)
        p = laws.completion_probability(LATENTS)
        assert (np.abs(done - p) < 4.5 * np.sqrt(p * (1 - p) / share.shape[1]) + 1e-5).all()

    def test_keeps_float32(self):
        assert laws.mean_watched_share(np.zeros(3, np.float32)).dtype == np.float32


class TestRating:
    STARS = np.array([-1.0, 1.0, 2.4, 3.5, 4.2, 5.0, 8.0])

    def test_only_whole_stars(self):
        stars = laws.rating(self.STARS[:, None], noise(5_000)[None])
        assert set(np.unique(stars)) == {1, 2, 3, 4, 5}

    def test_mean_and_satisfied_against_simulation(self):
        stars = laws.rating(self.STARS[:, None], noise()[None])
        n = stars.shape[1]
        bound = 4.5 * stars.std(axis=1) / np.sqrt(n) + 1e-4
        assert (np.abs(stars.mean(axis=1) - laws.mean_rating(self.STARS)) < bound).all()
        p = laws.satisfied_probability(self.STARS)
        bound = 4.5 * np.sqrt(p * (1 - p) / n) + 1e-4
        assert (np.abs((stars >= 4).mean(axis=1) - p) < bound).all()


def test_freshness_by_hand():
    got = laws.freshness_appeal(np.array([-3.0, 0.0, 7.0, 14.0, 1e6]))
    np.testing.assert_allclose(got, [0.8, 0.8, np.exp(-1) - 0.2, np.exp(-2) - 0.2, -0.2])


def test_fatigue_by_hand():
    np.testing.assert_allclose(laws.fatigue(np.array([0, 1, 3])), [0, np.log(2), np.log(4)])


def test_ladder_by_hand():
    np.testing.assert_allclose(
        laws.ladder_place(np.array([0, 1, 3, 31, 10_000])), [0, 0.4, 0.8, 2, 2]
    )
    np.testing.assert_allclose(
        laws.ladder_gap(np.array([0, 1, 2]), np.array([0.4, 0.4, 2.0]), 2.0), [0.8, 0.4, 1.6]
    )
    assert (laws.ladder_gap(np.arange(3), 0.7, 0.0) == 0).all()


def test_satiation_by_hand():
    got = laws.satiation(np.array([0, 0.25, 0.35, 0.5, 1.0]))
    np.testing.assert_allclose(got, [0, 0.2, 0, -0.6, -5.2], atol=1e-12)
    share = np.linspace(0, 1, 1001)
    assert share[laws.satiation(share).argmax()] == pytest.approx(0.175)
    assert (laws.satiation(share, 0.0) == 0).all()


class TestBudget:
    MEAN = 900.0

    def test_draws_follow_the_mixture(self):
        u = np.random.default_rng(0).random((2, 400_000))
        drawn = laws.time_budget(self.MEAN, *u)
        assert drawn.mean() == pytest.approx(self.MEAN, rel=0.01)
        assert drawn.std() == pytest.approx(np.sqrt(2.75) * self.MEAN, rel=0.02)
        for t in (10.0, 300.0, 900.0, 5_000.0):
            p = laws.budget_cdf(t, self.MEAN) @ laws.BUDGET_SHARES
            assert abs((drawn < t).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / drawn.size)

    def test_cdf_of_each_kind(self):
        t = np.array([1e-3, 5.0, 600.0, 1e5])
        want = -np.expm1(-t[:, None] / (self.MEAN * np.array([0.5, 1.0, 4.0])))
        np.testing.assert_allclose(laws.budget_cdf(t, self.MEAN), want, rtol=1e-5)

    @pytest.mark.parametrize("seconds", [60.0, 660.0, 9_000.0])
    def test_running_out_against_numeric_integration(self, seconds):
        for m in (-3.0, -0.6, 1.4):
            for kind, scale in enumerate(laws.BUDGET_SCALES):

                def over(e, m=m, scale=scale):
                    share = laws.watched_share(m, e)
                    return -np.expm1(-share * seconds / (self.MEAN * scale)) * norm.pdf(e)

                x = laws.runs_out(np.array(m), seconds, self.MEAN)[kind]
                assert x == pytest.approx(quad(over, -9, 9)[0], abs=1e-4)

    def test_one_watch_lasts_the_smaller_of_both(self):
        rng = np.random.default_rng(1)
        wanted = laws.watched_share(-0.6, rng.normal(size=400_000)) * 1_200.0
        lasts = np.minimum(wanted, laws.time_budget(self.MEAN, *rng.random((2, wanted.size))))
        x = laws.runs_out(np.array(-0.6), 1_200.0, self.MEAN)
        mean = self.MEAN * x @ (laws.BUDGET_SHARES * laws.BUDGET_SCALES)
        assert abs(lasts.mean() - mean) < 4.5 * lasts.std() / np.sqrt(wanted.size)

    def test_time_left_by_hand(self):
        out = np.full((1, 3, 3), [0.5, 0.2, 0.1])
        left = laws.time_left(np.array([[1.0, 0.5, 1.0]]), out) / laws.BUDGET_SHARES
        want = [[1, 1, 1], [0.5, 0.8, 0.9], [0.5 * 0.75, 0.8 * 0.9, 0.9 * 0.95]]
        np.testing.assert_allclose(left[0], want)

    def test_wanted_above_by_hand(self):
        above = laws.wanted_above(np.array([5.0, 7.0, 1.0, 2.0, 3.0]), np.array([0, 0, 4, 9, 9]))
        assert above.tolist() == [0, 5, 0, 0, 2]
        assert laws.wanted_above(np.zeros(0), np.zeros(0, int)).shape == (0,)

    def test_overlong(self):
        got = laws.overlong(np.array([60.0, 900.0, 900.0 * np.e]), self.MEAN)
        np.testing.assert_allclose(got, [0, 0, 4], atol=1e-6)


def test_interest_weights_sum_to_one():
    assert laws.SHARES_OF_INTEREST.sum() == pytest.approx(1)
    assert (np.diff(laws.SHARES_OF_INTEREST) < 0).all()


class TestChoose:
    def test_frequencies_are_the_softmax(self):
        utility = np.array([0.0, 1.0, -0.5, 2.0, -np.inf])
        n = 100_000
        uniform = np.random.default_rng(3).random((n, 5))
        chosen = laws.choose(np.broadcast_to(utility, (n, 5)), uniform)
        share = np.exp(utility) / np.exp(utility).sum()
        counts = np.bincount(chosen, minlength=5)
        assert counts[4] == 0
        assert chisquare(counts[:4], n * share[:4]).pvalue > 1e-4

    def test_no_option_at_all(self):
        utility = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
        assert laws.choose(utility, np.full((2, 2), 0.5)).tolist() == [-1, 1]

    def test_extreme_coins(self):
        eps = 2.0**-53
        coins = np.array([[eps, 1 - eps], [1 - eps, eps]])
        assert laws.choose(np.zeros((2, 2)), coins).tolist() == [1, 0]
        # A coin of exactly 0 (NumPy's random() may draw it) means: not this one.
        with np.errstate(divide="ignore"):
            assert laws.choose(np.zeros((1, 2)), np.array([[0.0, 0.5]])).tolist() == [1]
