"""Experiments and figures of chapter 10: treatments in the world, and a log in a bottle."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

from course import plots, simulate
from course.experiments import bias_bench, position_bias
from course.models.position_bias import ClickModel, against_truth, fit_clicks, pieces
from course.simulator.config import WorldConfig
from course.simulator.names import DEVICES


@pytest.fixture(scope="module")
def task():
    world = simulate("tiny", seed=3, cache=False)
    return position_bias.BiasTask(world, random_pages=1_000, test_pages=600)


@pytest.fixture(scope="module")
def models(task):
    names = ("none", "input, missing", "input, first", "shallow tower")
    return position_bias.fit_treatments(task, names, seed=1, epochs=1)


@pytest.fixture(scope="module")
def found():
    one = position_bias.trial(3, WorldConfig.of("tiny", days=10), n=100)
    return [one, {key: 1.01 * value for key, value in one.items()}]


def test_places_are_row_aligned_with_the_log(task):
    row = 1_234
    card = task.rows.iloc[row]
    assert task.position[row] == card["position"] and task.clicked[row] == card["clicked"]
    assert DEVICES[task.device[row]] == card["device"]
    assert torch.equal(position_bias.device_of(task.train), task.device)


def test_true_curves(task):
    k = np.arange(1, 11)
    assert np.allclose(np.exp(task.log_seen), k[None] ** -np.array([[0.9], [0.5], [1.4]]))
    # By hand for one device and place: what moving the card from 1 to 4 does to the log-odds.
    wanted = task.next_day.truth["p_click_if_seen"].to_numpy()
    p = wanted[(task.next_day.cards["device"] == "desktop").to_numpy()]
    low = 4**-0.5 * p
    shift = np.mean(np.log(low / (1 - low)) - np.log(p / (1 - p)))
    assert task.log_odds[1, 3] == pytest.approx(shift)
    assert (task.log_odds[:, 1:] < task.log_seen[:, 1:]).all()


def test_propensities_of_random_pages_are_near_the_truth(task):
    found = task.propensities("random")
    seen = np.exp(task.log_seen)
    assert found.shape == seen.shape and (found[:, 0] == 1).all()
    assert np.abs(found - seen)[0].max() < 0.2  # phone; 1,000 pages hold few clicks
    same = task.propensities("same video")
    assert same.shape == seen.shape and ((same > 0) & (same <= 1)).all()


def test_training_on_pages_is_training_on_their_rows(task):
    """A ranking batch is cut by pages; the labels must go with the cards."""
    parts = list(pieces(task.train, 5_000))
    rows = torch.cat([r for _, r in parts])
    assert torch.equal(rows, torch.arange(len(task.train)))
    # A label that is one of the inputs can be learned only if cards and labels stay together.
    device = task.device.numpy()
    model = position_bias.build(task, "none", hidden=(16,))
    fit_clicks(model, task.train, task.position, device, device == 2, epochs=1, batch=500,
               learning_rate=1e-2)  # fmt: skip
    p = expit(position_bias.served(model, task.train))
    assert p[device == 2].mean() > 0.8 and p[device != 2].mean() < 0.1


def test_served_as_first_shares_the_training(models):
    assert models["input, first"].main is models["input, missing"].main
    assert models["input, first"].serve_at == 1 and models["input, missing"].serve_at is None


def test_live_pages_follow_the_scores_and_inputs_are_shared(task, models):
    result = position_bias.live(task, models, n=60)
    table = result.table[result.table["metric"] == "clicks"].set_index("policy")
    assert table.loc["oracle", "expected"] > table.loc["none", "expected"]
    assert result.control == "none"
    inputs = position_bias.SharedInputs(task.features)
    made = []
    original = task.features.of_requests
    task.features.of_requests = lambda *a: made.append(1) or original(*a)
    try:
        from course import ab_test

        policies = {n: position_bias.policy(m, inputs) for n, m in models.items()}
        ab_test(task.world, policies, n=60)
    finally:
        del task.features.of_requests
    assert len(made) == 1


def test_offline_numbers(task, models):
    found = position_bias.offline(task, models["none"])
    assert found["auc"] == pytest.approx(found["auc at its place"])  # it does not know the place
    assert 0.5 < found["auc"] < 1 and found["calibration/phone"] == pytest.approx(1, abs=0.5)


def test_leaning_of_orders_that_are_known(task):
    watches = task.test_inputs.column("video watches") + np.linspace(0, 1e-3, len(task.test_inputs))
    assert position_bias.leaning(task, watches) == pytest.approx(1, abs=0.02)  # but for ties
    assert position_bias.leaning(task, -watches) == pytest.approx(-1, abs=0.02)
    chance = np.random.default_rng(0).random(len(watches))
    assert position_bias.leaning(task, chance) == pytest.approx(0, abs=0.06)


def test_every_treatment_can_be_built(task):
    names = (*position_bias.TREATMENTS, *position_bias.VARIANTS)
    built = {name: position_bias.build(task, name) for name in names}
    assert built["drop-out 5 %"].shallow.drop_out == 0.05
    assert built["shallow, no drop-out"].shallow.drop_out == 0.0
    assert built["without the device cross"].shallow.cross is False
    assert type(built["none"]) is ClickModel


def test_trial_has_what_the_claims_read(found):
    for name in position_bias.TREATMENTS:
        assert f"live/{name}/clicks" in found[0] and f"{name}/auc" in found[0]
    for name in ("shallow tower", "PAL", "regression-EM", "without the device cross"):
        assert f"{name}/slope/tv" in found[0] and f"{name}/max_error/phone" in found[0]
    assert all(isinstance(v, float) for v in found[0].values())


# --- In a bottle ---------------------------------------------------------------------------------


def test_bench_follows_its_laws():
    log = bias_bench.make_log(4_000, seed=1)
    rate = log.clicked[log.device == 1].mean(axis=0)
    p = log.theta[1] * expit(log.appeal[log.device == 1])
    assert np.allclose(rate, p.mean(axis=0), atol=0.03)
    x, position, device, clicked = log.rows()
    assert x.shape == (40_000, 12) and position[:10].tolist() == list(range(1, 11))
    assert (device.reshape(-1, 10) == log.device[:, None]).all() and clicked.shape == (40_000,)
    by_relevance = bias_bench.make_log(500, incumbency=0, noise=0, seed=1)
    assert (np.diff(by_relevance.appeal, axis=1) <= 1e-6).all()
    by_incumbency = bias_bench.make_log(500, relevance=0, noise=0, seed=1)
    assert (np.diff(by_incumbency.x[..., 0], axis=1) <= 0).all()
    assert (bias_bench.make_log(50, strength=0.0).theta == 1).all()


def test_a_hidden_part_of_the_appeal_orders_the_page_but_is_not_among_the_inputs():
    log = bias_bench.make_log(2_000, incumbency=0, noise=0, hidden=1.0, seed=1)
    assert (np.diff(log.appeal, axis=1) <= 1e-6).all()
    seen = bias_bench.APPEAL + bias_bench._wanted(log.x)
    assert np.std(log.appeal - seen) == pytest.approx(1.0, abs=0.05)
    assert (
        abs(np.corrcoef(log.x.reshape(-1, 12).T, (log.appeal - seen).ravel())[-1, :-1]).max() < 0.2
    )


def test_limits_and_swaps_have_what_the_claims_read():
    found = bias_bench.limit_trial(1, pages=300, many=600)
    for name in bias_bench.LIMIT_TREATMENTS:
        assert f"ranking knows more/live/{name}/clicks" in found
    assert found["ranking knows more/shallow, given/max_error/tv"] == pytest.approx(0, abs=1e-5)
    assert "swaps/regression-EM/error/phone" in found


def test_bench_counts_clicks_exactly():
    log = bias_bench.make_log(300, incumbency=0, noise=0, seed=2)
    clicks = bias_bench.clicks_per_page(log, {})
    p = log.theta[log.device] * expit(log.appeal)
    assert clicks["past ranking"] == pytest.approx(p.sum(axis=1).mean())
    assert clicks["oracle"] == pytest.approx(clicks["past ranking"])  # it was in the best order


def test_the_shallow_tower_pays_where_order_was_incumbency_and_not_without_bias():
    gain = {}
    for strength in (0.0, 1.0):
        log = bias_bench.make_log(6_000, strength=strength, relevance=0.5, incumbency=2, seed=3)
        fresh = bias_bench.make_log(6_000, strength=strength, seed=4)
        models = {n: bias_bench.train(log, n, seed=1) for n in ("none", "shallow tower")}
        clicks = bias_bench.clicks_per_page(fresh, models)
        gain[strength] = clicks["shallow tower"] / clicks["none"] - 1
    assert gain[0.0] == pytest.approx(0.0, abs=1e-6)
    assert gain[1.0] > 0.01
    slope = against_truth(models["shallow tower"].curve(), log.log_seen)["slope"]
    assert 0.5 < slope[0] < 1.5


# --- Figures -------------------------------------------------------------------------------------


def test_figures_draw(found):
    results = pd.DataFrame(found, index=[3, 4])
    orders = pd.DataFrame(
        [{f"{w}/{k}": v for w in ("one", "two") for k, v in row.items()} for row in found]
    )
    k = np.arange(1, 11)
    curve = np.stack([-np.log(k)] * 3)
    figures = [
        plots.beside_the_paper(1.0 / k, -np.log(k)),
        plots.learned_bias({"shallow tower": curve, "observed": 1.5 * curve}, curve),
        plots.position_treatments({"one": results, "two": results}),
        plots.logged_orders(orders, ("one", "two"), ("none", "shallow tower", "regression-EM")),
        plots.position_benches({"one": {"knows_more": True}, "two": {"noise": 0.0}}, pages=300),
    ]
    for fig in figures:
        assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
        assert all(ax.get_xlabel() for ax in fig.axes)


CORNERS = [(0.0, 0.0, 0.0, False), (2.0, 3.0, 0.0, True), (2.0, 0.0, 3.0, False)]


@pytest.mark.parametrize("corner", CORNERS)
def test_the_bench_draws_at_the_ends_of_its_sliders(corner):
    told = []
    fig = plots.position_bench(*corner, pages=500, progress=lambda *a: told.append(a))
    assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n" and told
