"""Drift and off-policy estimates of chapter 12, on tiny worlds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from course import ab_test, simulate
from course.errors import ConfigError
from course.experiments import drift
from course.experiments import off_policy_bench as bench

torch.set_num_threads(1)


def made_up(n=400, c=6, seed=0):
    rng = np.random.default_rng(seed)
    wanted = rng.normal(-2, 1, (n, c))
    logging = softmax(rng.normal(size=(n, c)), axis=1)
    return bench.Bandit(logging, softmax(2 * wanted, axis=1), expit(wanted), wanted - 1.0)


def test_draws_follow_the_logging_policy():
    bandit = made_up(n=2)
    row, card, clicked = bandit.draw(60_000, np.random.default_rng(1))
    for r in range(2):
        share = np.bincount(card[row == r], minlength=6) / (row == r).sum()
        assert share == pytest.approx(bandit.logging[r], abs=0.012)
        for a in range(6):
            mine = (row == r) & (card == a)
            error = 5 * np.sqrt(0.25 / mine.sum())
            assert abs(clicked[mine].mean() - bandit.click[r, a]) < error


def test_what_the_estimates_close_in_on():
    bandit = made_up()
    found = bench.errors(bandit, 20_000, repeats=20)
    for method in ("IPS", "SNIPS", "doubly robust"):
        assert abs(found[f"{method}/bias"]) < 2.0
        assert found[f"{method}/rmse"] >= found[f"{method}/sd"] - 1e-9
    small = bench.errors(bandit, 200, repeats=60)
    assert small["IPS/sd"] > 4 * found["IPS/sd"]
    assert 0.7 < small["SNIPS/covered"] <= 1.0


def test_without_support_ips_sees_only_what_is_shown():
    bandit = made_up()
    cut = bandit.without_support(bandit.click, share=0.5)  # the best half is shown
    assert cut.logging.sum(axis=1) == pytest.approx(1.0)
    assert ((cut.logging > 0).sum(axis=1) == 3).all()
    assert cut.supported < bandit.supported == pytest.approx(1.0)
    lost = (bandit.target * bandit.click * (cut.logging == 0)).sum(axis=1).mean() / bandit.value
    found = bench.errors(cut, 20_000, repeats=20)
    assert found["IPS/bias"] == pytest.approx(-100 * lost, abs=1.5)
    with pytest.raises(ConfigError, match="share"):
        bandit.without_support(bandit.click, share=0.0)


def test_recalibration_finds_level_and_spread():
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 1.2, 40_000)
    clicked = (rng.random(len(z)) < expit(0.7 + 0.5 * z)).astype(float)
    a, b = bench.recalibration(z, clicked)
    assert (a, b) == (pytest.approx(0.7, abs=0.08), pytest.approx(0.5, abs=0.05))
    a, b = bench.recalibration(z[:20], np.zeros(20))  # no click at all: finite, and low
    assert np.isfinite([a, b]).all() and expit(a + b * z[:20]).max() < 0.5


def test_bench_of_a_world_is_a_live_experiment():
    world = simulate("tiny", seed=3, cache=False)
    bandit, popular = bench.one_card(world, n=400)
    assert bandit.click.shape == popular.shape == (400, world.config.candidates)
    assert bandit.target.sum(axis=1) == pytest.approx(1.0)
    assert 0 < bandit.value < 1

    def logging(requests):  # draws from the logging policy: the largest of log p plus Gumbel noise
        noise = np.random.default_rng(0).gumbel(size=bandit.logging.shape)
        drawn = np.argmax(np.log(bandit.logging) + noise, axis=1)
        return np.take_along_axis(requests.candidates, drawn[:, None], axis=1)

    result = ab_test(world, {"logging": logging}, n=400, slate=1).table
    expected = result.set_index("metric")["expected"]["clicks"]
    assert expected == pytest.approx(bandit.logged_value, rel=0.25)  # one draw for each request
    assert 0 < bench.weights_of(bandit, 2_000) < 1
    for wrong in ({"n": 1}, {"repeats": 1}, {"seed": -1}):
        with pytest.raises(ConfigError):
            bench.errors(bandit, **{"n": 100, "repeats": 3, **wrong})


def test_equal_policies_have_equal_weights():
    bandit = made_up()
    assert bench.weights_of(replace(bandit, target=bandit.logging), 500) == pytest.approx(1.0)


def test_spans_cover_the_days_once():
    assert drift.spans(19, 7, 3) == [(7, 10), (10, 13), (13, 16), (16, 19)]
    assert drift.spans(9, 7, 3) == [(7, 9)]


@pytest.fixture
def small(monkeypatch):
    for name, value in {"USERS": 250, "VIDEOS": 200, "DAYS": 24, "HALT": 13, "PAGES": 200,
                        "LIVE_PAGES": 100}.items():  # fmt: skip
        monkeypatch.setattr(drift, name, value)


def test_one_setting_of_the_drift(small):
    found = drift.at_drift(0.05, seed=3)
    ways = {key.split("/")[1] for key in found if key.startswith("factors")}
    assert ways == {"once", "late", "on"}
    assert all(np.isfinite(v) for v in found.values())
    assert found["factors/on/taste"] > 0
    assert found["ranker/on/minutes"] > 0 and found["ranker/once/loss"] < 50


def test_training_in_order_stops_where_it_should(small):
    logs = drift.drifting(0.0, seed=3).logs()
    early, late = drift.fit_in_order(logs, 13), drift.fit_in_order(logs, 24)
    known = [len(m.features.vocabularies["video"]) for m in (early, late)]
    assert known[0] < known[1]
    users, videos = drift.fit_factors(logs, 0, 13)
    assert users.shape == (250, drift.FACTORS) and videos.shape[0] == len(logs.videos)
    seen = logs.watches[logs.watches["time"] < 13]["video_id"].unique()
    unseen = np.setdiff1d(np.arange(len(logs.videos)), seen)
    assert not videos[unseen].any()


def test_alike_is_one_for_the_same_and_near_zero_for_chance():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 40))
    assert drift._alike(a, 3 * a + rng.normal(size=40)) == pytest.approx(1.0)
    assert abs(drift._alike(a, rng.normal(size=(50, 40)))) < 0.1
