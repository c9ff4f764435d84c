"""What chapter 07 writes: against plain twins, closed forms, and examples worked by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from course import simulate
from course.lessons import watch_time as wt
from course.lessons.ranking_features import InputLayer, Scales
from course.metrics import weighted_per_user_loss
from course.tasks.next_day import NextDay


def cards(n=4_000, seed=0, p=0.3, mean=5.0):
    rng = np.random.default_rng(seed)
    clicked = rng.random(n) < p
    minutes = np.where(clicked, rng.gamma(2.0, mean / 2.0, n), 0.0)
    return torch.from_numpy(clicked), torch.from_numpy(minutes)


# --- the loss on pages


def test_lost_time_by_hand():
    scores = np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 5.0]])
    clicked = np.array([[False, True, False], [True, False, False]])
    seconds = np.array([[0.0, 60.0, 0.0], [30.0, 0.0, 0.0]])
    # The first page loses one of two pairs of 60 s, the second half of one and all of another.
    assert wt.lost_time(scores, clicked, seconds) == pytest.approx((60 + 15 + 30) / (120 + 60))
    assert wt.lost_time(seconds, clicked, seconds) == 0.0
    assert wt.lost_time(-seconds, clicked, seconds) == 1.0


def test_lost_time_is_the_loss_of_the_task():
    rng = np.random.default_rng(1)
    scores, clicked = rng.integers(0, 5, (40, 6)).astype(float), rng.random((40, 6)) < 0.2
    seconds = np.where(clicked, rng.gamma(2.0, 100.0, (40, 6)), 0.0)
    page = np.repeat(np.arange(40), 6)
    want = weighted_per_user_loss(scores.ravel(), clicked.ravel(), seconds.ravel(), page)
    assert wt.lost_time(scores, clicked, seconds) == pytest.approx(want)


# --- the loss that is trained


def test_weighted_logistic_by_hand_and_against_torch():
    z = torch.tensor([0.0, 2.0, -1.0])
    clicked, weight = torch.tensor([True, False, True]), torch.tensor([3.0, 9.0, 0.5])
    by_hand = (3 * np.log(2) + np.log(1 + np.e**2) + 0.5 * np.log(1 + np.e)) / 3
    assert wt.weighted_logistic(z, clicked, weight).item() == pytest.approx(by_hand, rel=1e-6)
    each = torch.where(clicked, weight, torch.ones(3))
    torch_says = functional.binary_cross_entropy_with_logits(z, clicked.float(), each)
    torch.testing.assert_close(wt.weighted_logistic(z, clicked, weight), torch_says)
    far = torch.tensor([500.0, -500.0])
    loss = wt.weighted_logistic(far, torch.tensor([False, True]), torch.tensor([1.0, 2.0]))
    assert loss.item() == pytest.approx((500 + 1000) / 2)


def test_the_best_constant_is_watch_time_over_the_share_not_clicked():
    clicked, minutes = cards()
    z = torch.tensor(wt.best_constant(clicked, minutes), dtype=torch.float64, requires_grad=True)
    wt.weighted_logistic(z.expand(len(clicked)), clicked, minutes).backward()
    assert abs(z.grad.item()) < 1e-9  # nothing pulls it
    watch, p = minutes.mean().item(), clicked.double().mean().item()
    assert np.exp(z.item()) == pytest.approx(watch / (1 - p), rel=1e-6)
    assert np.exp(z.item()) > 1.3 * watch
    equal = wt.best_constant(clicked, torch.ones_like(minutes))
    assert equal == pytest.approx(np.log(p / (1 - p)), rel=1e-6)


def test_thinned_cards_without_a_click_multiply_the_odds():
    clicked, minutes = cards(200_000)
    kept = clicked | (torch.rand(len(clicked), generator=torch.Generator().manual_seed(5)) < 0.25)
    some = wt.best_constant(clicked[kept], minutes[kept])
    assert np.exp(some - wt.best_constant(clicked, minutes)) == pytest.approx(4.0, rel=0.02)


# --- the ranker


@pytest.fixture(scope="module")
def task():
    return NextDay(simulate("village", seed=3, cache=False), 400)


@pytest.fixture(scope="module")
def scaled(task):
    scales = Scales(task.train)
    return scales, scales(task.train), scales(task.test)


@pytest.mark.parametrize("widths", [(), (7,), (7, 5)])
def test_the_ranker_against_layers_by_hand(task, scaled, widths):
    ranker = wt.Ranker(InputLayer(task.features), widths, bias=-1.5, seed=2)
    batch = scaled[2][torch.arange(20)]
    torch.testing.assert_close(ranker(batch), torch.full((len(batch),), -1.5))
    layers = [ranker.first.linear, *ranker.rest]
    assert [layer.out_features for layer in layers] == [*widths, 1]
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_()
        x = ranker.first.inputs(batch)
        for i, layer in enumerate(layers):
            x = x @ layer.weight.T + layer.bias
            x = x.clamp(min=0) if i < len(widths) else x
        torch.testing.assert_close(ranker(batch), x[:, 0], rtol=1e-4, atol=1e-4)
        assert np.allclose(wt.logits_of(ranker, batch), x[:, 0], rtol=1e-4, atol=1e-4)


def test_where_the_ranker_starts_is_decided_by_the_seed_alone(task):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        wt.Ranker(InputLayer(task.features, seed=s), (4,), seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), want)  # the global stream is left alone
    assert torch.equal(one.first.linear.weight, two.first.linear.weight)
    assert not torch.equal(one.first.linear.weight, other.first.linear.weight)


def test_training_beats_the_best_constant_and_repeats_itself(task, scaled):
    scales, train, test = scaled
    clicked, minutes = task.label("clicked"), task.label("watched_seconds").float() / 60
    constant = wt.best_constant(clicked, minutes)

    def trained(seed):
        ranker = wt.Ranker(InputLayer(task.features, seed=seed), (16,), constant, seed)
        losses = wt.train_ranker(ranker, train, clicked, minutes, 0.01, 2, seed)
        return ranker, losses

    ranker, losses = trained(1)
    assert len(losses) == 2 * -(-train.pages // 200)
    flat = wt.weighted_logistic(torch.full((len(train),), constant), clicked, minutes)
    assert np.mean(losses[-5:]) < flat.item()
    logits = wt.logits_of(ranker, test)
    assert np.array_equal(logits, wt.logits_of(trained(1)[0], test))
    assert not np.array_equal(logits, wt.logits_of(trained(2)[0], test))
    past = -task.fresh.cards["position"].to_numpy().astype(float)
    assert task.offline(logits)["true loss"] < task.offline(past)["true loss"]
    # Live it gets raw batches.
    scorer = wt.served(ranker, scales)
    assert np.array_equal(scorer(task.test), logits)
    pages = task.pages(scorer, [1, 2, 3])
    assert pages.shape == (3, task.world.config.slate)


def test_every_card_is_met_once_a_pass_with_its_own_label(task, scaled):
    train, met = scaled[1], []
    label = torch.arange(len(train))

    def loss(logit, cards, weight):
        assert torch.equal(weight, 2.0 * cards)
        met.append(cards)
        return logit.sum() * 0

    ranker = wt.Ranker(InputLayer(task.features), ())
    wt.train_ranker(ranker, train, label, 2.0 * label, passes=1, loss=loss, pages=70)
    assert torch.equal(torch.cat(met).sort().values, label)


# --- watches of equal length


def test_shares_of_shorter_watches_and_the_way_back():
    seconds = np.array([10.0, 20.0, 20.0, 40.0, 500.0, 600.0])
    group = np.array([0, 0, 0, 0, 1, 1])
    share = wt.share_of_shorter(seconds, group)
    assert share.tolist() == [0.125, 0.5, 0.5, 0.875, 0.25, 0.75]
    back = wt.time_at_share(np.array([0.0, 0.5, 1.2, 0.5]), group[[0, 1, 4, 5]], seconds, group)
    assert back.tolist() == [10.0, 20.0, 600.0, 550.0]


def test_squared_is_a_weighted_mean_of_squares():
    z, label = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 5.0])
    assert wt.squared(z, label, torch.ones(2)).item() == pytest.approx((1 + 4) / 2)
    assert wt.squared(z, label, torch.tensor([0.0, 3.0])).item() == pytest.approx(12 / 2)


def test_xauc_by_hand_and_by_brute_force():
    up, down = np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])
    seconds = np.array([30.0, 20.0, 10.0])
    assert [wt.xauc(s, seconds) for s in (up, down, np.ones(3))] == [1.0, 0.0, 0.5]
    rng = np.random.default_rng(1)
    score, seconds = rng.integers(0, 9, (2, 60)).astype(float)
    group = rng.integers(0, 3, 60)
    for of in (None, group):
        right, pairs = 0.0, 0
        for i, j in itertools.product(range(60), repeat=2):
            if (of is None or group[i] == group[j]) and seconds[i] > seconds[j]:
                pairs += 1
                right += 1.0 if score[i] > score[j] else 0.5 * (score[i] == score[j])
        assert wt.xauc(score, seconds, of) == pytest.approx(right / pairs)
