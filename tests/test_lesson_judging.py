"""Chapter 13's lesson: estimators, tests, losses, pages and days, against plain loops."""

import itertools

import numpy as np
import pytest
import torch

from course import simulate
from course.lessons import judging as jd
from course.lessons import position_bias as pb
from course.tasks.places import Places


@pytest.fixture(scope="module")
def task():
    return Places(simulate("village", seed=4, cache=False), 200, first_day=22, live=200)


def lab(pages=50, cards=4, seed=0):
    random = np.random.default_rng(seed)
    old, new = (random.dirichlet(np.ones(cards), pages) for _ in range(2))
    return jd.OneCard(old, new, random.uniform(0.1, 0.6, (pages, cards)))


def test_turned_by_hand():
    live = np.array([1.0, 2.0, 3.0])
    assert jd.turned(live, live) == 0
    assert jd.turned(-live, live) == 1
    assert jd.turned(np.array([2.0, 1.0, 3.0]), live) == pytest.approx(1 / 3)


def test_auc_of_a_page_against_a_loop():
    random = np.random.default_rng(1)
    scores, clicked = random.integers(4, size=(20, 5)) * 1.0, random.random((20, 5)) < 0.4
    right = [
        (s[i] > s[j]) + 0.5 * (s[i] == s[j])
        for s, c in zip(scores, clicked, strict=True)
        for i, j in itertools.product(range(5), range(5))
        if c[i] and not c[j]
    ]
    assert jd.page_auc(scores, clicked) == pytest.approx(np.mean(right))


def test_draws_follow_the_old_policy_and_the_click_rates():
    pages = lab(3)
    page, card, clicked = pages.draw(2, 60_000)
    for p, c in itertools.product(range(3), range(4)):
        mine = page == p
        assert (card[mine] == c).mean() == pytest.approx(pages.old[p, c], abs=0.012)
        both = mine & (card == c)
        near = 5 * np.sqrt(0.25 / both.sum())
        assert clicked[both].mean() == pytest.approx(pages.rate[p, c], abs=near)


def test_a_card_without_a_chance_is_never_drawn():
    pages = lab(20)
    old = np.where(np.arange(4) % 2, pages.old, 0)
    cut = jd.OneCard(old / old.sum(axis=1, keepdims=True), pages.new, pages.rate)
    assert (cut.draw(5, 2_000)[1] % 2 == 1).all()


def test_estimates_by_hand():
    outcome, new, old = np.array([1.0, 0.0]), np.array([0.6, 0.1]), np.array([0.2, 0.4])
    assert jd.inverse_propensity(outcome, new, old) == pytest.approx(1.5)
    assert jd.inverse_propensity(outcome, new, old, 2.0) == pytest.approx(1.0)
    assert jd.self_normalised(outcome, new, old) == pytest.approx(3 / 3.25)
    zero, half = np.zeros(2), np.full(2, 0.5)
    assert jd.doubly_robust(outcome, new, old, zero, zero) == pytest.approx(1.5)
    assert jd.doubly_robust(outcome, new, old, half, half) == pytest.approx(0.5 + (1.5 - 0.125) / 2)


def test_what_the_estimates_close_in_on():
    pages = lab()
    found = jd.four_estimates(pages, np.full((50, 4), 0.5), 20, 20_000)
    for name in ("IPS", "SNIPS", "doubly robust"):
        assert found[name].mean() == pytest.approx(pages.value, rel=0.02)
    assert found["direct"] == pytest.approx(0.5)
    assert jd.four_estimates(pages, pages.rate, 20, 20_000)["direct"].mean() == pytest.approx(
        pages.value, rel=0.01
    )


def test_the_formula_finds_four_of_five():
    random = np.random.default_rng(0)
    a = random.normal(1.0, 1.0, 20_000)
    n = int(jd.people_needed(1.0, 0.2))
    assert n == 391
    assert jd.share_found(a, a, n) == pytest.approx(0.05, abs=0.02)
    assert jd.share_found(a, a + 0.2, n) == pytest.approx(0.8, abs=0.04)


def test_losses_of_pages_by_hand():
    scores, clicked = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    want = np.log1p(np.exp(1)) + np.log1p(np.exp(-1))
    assert float(jd.pair_wise(scores, clicked)) == pytest.approx(want, rel=1e-5)
    share = 1 / (np.exp(1) + 1 + np.exp(-1))
    assert float(jd.list_wise(scores, clicked)) == pytest.approx(-np.log(share), rel=1e-5)
    want = np.log1p(np.exp(1)) + np.log(2) + np.log1p(np.exp(-1))
    assert float(jd.point_wise(scores, clicked)) == pytest.approx(want, rel=1e-5)


def test_only_point_wise_learns_the_level():
    scores, clicked = torch.zeros(2, 4, requires_grad=True), torch.eye(4)[:2]
    for loss, level in ((jd.point_wise, True), (jd.pair_wise, False), (jd.list_wise, False)):
        (pull,) = torch.autograd.grad(loss(scores, clicked).sum(), scores)
        assert bool(pull.sum().abs() > 1e-3) == level


def test_a_loss_of_pages_sees_whole_pages(task):
    seen = []

    def loss(scores, clicked):
        seen.append((scores.shape, clicked.clone()))
        return jd.point_wise(scores, clicked)

    model = jd.ByPage(task.ranker((8,)), loss)
    pb.train_clicks(model, task.cards, task.cell, task.clicked, passes=1, pages=50)
    assert seen[0][0] == (50, 10)
    whole = task.clicked.view(-1, 10).sum(dim=0)
    assert torch.equal(sum(clicks.sum(dim=0) for _, clicks in seen), whole)


def test_a_page_is_chosen_place_by_place():
    scores, topic = np.array([[5.0, 4.0, 3.0, 1.0]]), np.array([[0, 0, 0, 1]])
    assert jd.choose_page(scores, topic, 3, 0.0).tolist() == [[0, 1, 2]]
    assert jd.choose_page(scores, topic, 3, 1.6).tolist() == [[0, 1, 3]]
    assert jd.choose_page(scores, topic, 3, 4.0).tolist() == [[0, 3, 1]]
    chosen = jd.choose_page(scores, topic, 3, 4.0)
    order = np.argsort(-jd.as_scores(chosen, 4), axis=1, kind="stable")
    assert order[:, :3].tolist() == chosen.tolist()


def test_waiting():
    assert jd.after_waiting(2.0, 0.0, 0.1) == 2.0
    assert jd.after_waiting(2.0, 200.0, 0.1) == pytest.approx(2 * 0.81)
    assert jd.core_ms(lambda: sum(range(100_000)), 2) > 0


def test_days_in_order_are_trainings_one_after_the_other(task):
    day = np.arange(task.cards.pages) % 2
    models = [jd.ByPage(task.ranker((8,)), jd.point_wise) for _ in range(2)]
    jd.train_in_order(models[0], task.cards, task.cell, task.clicked, day, passes=1)
    for today in (0, 1):
        on = torch.arange(today, task.cards.pages, 2)
        rows = task.cards.rows(on)
        pb.train_clicks(models[1], task.cards[on], task.cell[rows], task.clicked[rows], passes=1)
    one, other = (task.serve(model) for model in models)
    assert np.array_equal(one, other)
    assert not np.array_equal(one, task.serve(jd.ByPage(task.ranker((8,)), jd.point_wise)))
