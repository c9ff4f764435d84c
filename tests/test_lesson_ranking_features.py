"""What chapter 06 writes: against plain twins, and examples worked by hand."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from course import simulate
from course.features import RANKING_FEATURES, RankingFeatures
from course.features.batch import RankingBatch
from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
)
from course.lessons import ranking_features as rf
from course.tasks.next_day import NextDay


@functools.cache
def task():
    return NextDay(simulate("village", seed=5, cache=False), 400, first_day=15.0)


@functools.cache
def scales(kind="centred quantiles"):
    return rf.Scales(task().train, kind)


def some(pages=30):
    return scales()(task().test[torch.arange(pages)])


# --- numbers


def test_knots_and_shares_by_hand():
    x = np.array([3.0, 1.0, 2.0, 2.0, 9.0])
    knots, shares = rf.quantile_knots(x)
    assert knots.tolist() == [1, 2, 3, 9] and shares.tolist() == [0, 0.2, 0.6, 0.8]
    asked = np.array([0.0, 1.0, 1.5, 2.0, 6.0, 9.0, 9.1])
    want = [0, 0, 0.1, 0.2, 0.7, 0.8, 1.0]
    np.testing.assert_allclose(rf.share_below(asked, knots, shares), want)
    assert len(rf.quantile_knots(np.arange(10_000.0))[0]) == 100


def test_shares_are_those_of_a_count_and_do_not_mind_a_rising_map():
    rng = np.random.default_rng(0)
    x, new = np.exp(2 * rng.normal(size=5_000)), np.exp(2 * rng.normal(size=300))
    share = rf.share_below(new, *rf.quantile_knots(x))
    np.testing.assert_allclose(share, (x < new[:, None]).mean(axis=1), atol=0.011)
    logs = rf.share_below(np.log(new), *rf.quantile_knots(np.log(x)))
    np.testing.assert_allclose(share, logs, atol=0.01)


def test_powers_stand_in_blocks():
    x = np.array([[0.0, 0.25], [1.0, 0.5]])
    want = [[0, 0.25, 0, 0.0625, 0, 0.5], [1, 0.5, 1, 0.25, 1, 0.5**0.5]]
    np.testing.assert_allclose(rf.with_powers(x), want)


@pytest.mark.parametrize("kind", ["centred quantiles", "standardised"])
def test_centred_numbers_have_mean_0_and_standard_deviation_1(kind):
    train = scales(kind)(task().train)
    for x in (train.numbers, train.query_numbers):
        assert x.mean(dim=0).abs().max() < 1e-3
        spread = x.std(dim=0)
        torch.testing.assert_close(spread[spread > 0], torch.ones(int((spread > 0).sum())),
                                   rtol=0, atol=1e-3)  # fmt: skip


def test_the_four_scales_are_maps_of_the_raw_numbers():
    raw, batch = task().train, task().test
    assert torch.equal(scales("raw")(batch).numbers, batch.numbers)
    plain = scales("quantiles")(batch).numbers.numpy()
    f, x = len(IMPRESSION_NUMBERS), batch.numbers[:, 0].numpy()
    share = (raw.numbers[:, 0].numpy() < x[:, None]).mean(axis=1)
    np.testing.assert_allclose(plain[:, 0], share, atol=0.02)
    np.testing.assert_allclose(plain[:, f], plain[:, 0] ** 2, atol=1e-6)
    np.testing.assert_allclose(plain[:, 2 * f], plain[:, 0] ** 0.5, atol=1e-6)
    assert 0 <= plain.min() and plain.max() <= 1
    ours = scales()(batch).numbers[:, : 3 * f].numpy()
    for column in (0, 1, f, 2 * f + 3):  # centred: a straight line of the plain ones
        line = np.polyfit(plain[:, column], ours[:, column], 1)
        np.testing.assert_allclose(np.polyval(line, plain[:, column]), ours[:, column], atol=1e-4)
    assert torch.equal(scales()(batch).codes, batch.codes)


# --- the input layer


def concatenated(layer, batch, names, powers, shared):
    """The layer's vector for each card, one feature after the other, in plain words."""
    card, page = [], []
    for f in RANKING_FEATURES:
        if f.name not in names or f.kind == "continuous":
            continue
        table = layer.tables[f.space if shared else f.name.replace(" ", "_")].weight
        if f.valence == "multivalent":
            bags = batch.watched if f.name == "watched videos" else batch.searched
            means = []
            for row in bags:
                known = [int(i) for i in row if i != len(table) - 1]
                means.append(table[known].mean(0) if known else torch.zeros(table.shape[1]))
            page.append(torch.stack(means)[batch.page])
        elif f.side == "impression":
            card.append(table[batch.codes[:, IMPRESSION_CODES.index(f.name)]])
        else:
            page.append(table[batch.query_codes[batch.page, QUERY_CODES.index(f.name)]])
    for side, known, x in ((card, IMPRESSION_NUMBERS, batch.numbers),
                           (page, QUERY_NUMBERS, batch.query_numbers[batch.page])):  # fmt: skip
        for block in range(3 if powers else 1):
            side.append(x[:, [i + block * len(known) for i, n in enumerate(known) if n in names]])
    return torch.cat([*card, *page], dim=1)


FEW = ("topic", "duration", "watched videos", "daypart", "days since watch")


@pytest.mark.parametrize(
    "names", [None, FEW, ("device", "searched tokens"), ("duration",)], ids=str
)
@pytest.mark.parametrize(("powers", "shared"), [(True, True), (False, True), (True, False)])
def test_the_layer_is_the_concatenation_of_its_features(names, powers, shared):
    layer = rf.InputLayer(task().features, names, powers, shared=shared)
    batch, names = some(), names or task().features.names
    out = layer(batch)
    assert out.shape == (len(batch), layer.width)
    torch.testing.assert_close(out, concatenated(layer, batch, names, powers, shared))
    card, page = layer.parts(batch)
    assert card.shape == (len(batch), layer.card_width) and len(page) == batch.pages


def test_the_first_linear_layer_is_that_of_all_cards_and_learns_alike():
    layer, batch = rf.InputLayer(task().features), some()
    first = rf.FirstLinear(layer, 7)
    plain = first.linear(layer(batch))
    torch.testing.assert_close(first(batch), plain, rtol=1e-4, atol=1e-5)
    leaves = [first.linear.weight, first.linear.bias, layer.tables["video"].weight]
    ours = torch.autograd.grad(first(batch).square().mean(), leaves)
    for got, want in zip(ours, torch.autograd.grad(plain.square().mean(), leaves), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)


def test_the_unknown_is_the_zero_vector_and_learns_nothing():
    layer, batch = rf.InputLayer(task().features, ["video", "watched videos"]), some(3)
    table = layer.tables["video"]
    nobody = torch.full_like(batch.watched, table.padding_idx)
    unknown = replace(batch, codes=torch.full_like(batch.codes, table.padding_idx), watched=nobody)
    assert not layer(unknown).any()
    layer(unknown).sum().backward()
    assert table.weight.grad is None or not table.weight.grad.any()


def test_a_shared_table_learns_from_all_of_its_features():
    layer = rf.InputLayer(task().features, ["video", "last video"])
    before = layer.tables["video"].weight.detach().clone()
    alone = rf.InputLayer(task().features, ["video", "last video"], shared=False)
    assert set(layer.tables) == {"video"} and set(alone.tables) == {"video", "last_video"}
    layer(some()).square().sum().backward()
    moved = layer.tables["video"].weight.grad.abs().sum(dim=1) > 0
    rows = torch.cat([some().codes[:, 0], some().query_codes[:, QUERY_CODES.index("last video")]])
    want = torch.zeros_like(moved)
    want[rows] = True
    want[-1] = False
    assert torch.equal(moved, want) and torch.equal(layer.tables["video"].weight, before)


def test_dimensions_go_with_the_logarithm():
    assert [rf.dimensions(n) for n in (1, 2, 3, 30, 2_000, 1_000_000)] == [2, 2, 3, 8, 18, 32]
    assert rf.dimensions(10**12) == 64
    wide = rf.InputLayer(task().features, size=lambda n: 32)
    assert {table.embedding_dim for table in wide.tables.values()} == {32}


def test_the_seed_decides_the_start_and_leaves_the_global_stream_alone():
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        rf.PlainRanker(rf.InputLayer(task().features, seed=s), (8,), s) for s in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), want)
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c) or not a.any()


# --- the plain ranker


def test_the_ranker_is_its_layers():
    model, batch = rf.PlainRanker(rf.InputLayer(task().features), (6, 5)), some()
    x = model.first.linear(model.first.inputs(batch)).relu()
    layer = next(m for m in model.tower if isinstance(m, nn.Linear))
    want = model.last(layer(x).relu())[:, 0]
    torch.testing.assert_close(model(batch), want, rtol=1e-4, atol=1e-5)
    linear = rf.PlainRanker(rf.InputLayer(task().features), ())
    want = linear.first.linear(linear.first.inputs(batch))[:, 0]
    torch.testing.assert_close(linear(batch), want, rtol=1e-4, atol=1e-5)


def test_it_is_trained_by_the_weighted_logistic_loss():
    train = scales()(task().train)
    clicked, minutes = task().label("clicked"), task().label("watched_seconds") / 60
    model = rf.PlainRanker(rf.InputLayer(task().features), (8,))
    with torch.no_grad():
        p = torch.sigmoid(model(train))
        want = torch.where(clicked, -minutes * p.log(), -(1 - p).log()).mean()
    # One step over everything: the loss is that of the model as it was.
    losses = rf.fit_ranker(model, train, clicked, minutes, passes=1, pages=train.pages)
    assert losses == pytest.approx([float(want)], rel=1e-4)
    losses = rf.fit_ranker(model, train, clicked, minutes, passes=4)
    random = np.random.default_rng(0).random(len(task().fresh))
    with torch.no_grad():
        ours = model(scales()(task().test)).numpy()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert task().offline(ours)["true loss"] < task().offline(random)["true loss"] - 10


# --- counters and leaks


LOG = pd.DataFrame({
    "time": [0.2, 0.4, 1.1, 1.5, 1.6, 2.3],
    "video_id": [7, 7, 7, 3, 7, 7],
    "clicked": [True, False, True, True, True, False],
})  # fmt: skip


def test_click_rates_by_hand():
    want = [1 / 20, 1 / 20, 2 / 22, 1 / 20, 2 / 22, 3 / 22]
    np.testing.assert_allclose(rf.click_rate(LOG, LOG), want)
    late = [2 / 22, 2 / 22, 3 / 22, 2 / 21, 3 / 22, 1 / 21]
    np.testing.assert_allclose(rf.click_rate(LOG, LOG, 1), late)
    new = pd.DataFrame({"time": [3.5, 2.5], "video_id": [7, 9]})
    np.testing.assert_allclose(rf.click_rate(LOG, new), [1 / 21, 1 / 20])


def test_the_leak_check_finds_the_future_and_nothing_else():
    for cut in LOG["time"][1:]:
        assert rf.leak_check(rf.click_rate, LOG, cut) == 0
        late = rf.leak_check(lambda log, rows: rf.click_rate(log, rows, 1), LOG, cut)
        assert late == pytest.approx(2 / 3 if cut == 1.6 else 1)
    # A feature that knows the card's own click, and no other of the same time.
    own = lambda log, rows: rows.index.isin(log.index[log["clicked"]]).astype(float)  # noqa: E731
    assert rf.leak_check(own, LOG, 1.6) == pytest.approx(1 / 3)
    assert rf.leak_check(own, LOG, 2.3) == 0  # it was not clicked


def test_the_course_itself_counts_up_to_last_midnight():
    logs, log = task().logs, task().logs.impressions
    cut = float(log["time"].iloc[-200])
    for name in ("video click rate", "account watches", "watches of channel"):

        def feature(log, rows, name=name):
            made = RankingFeatures(replace(logs, impressions=log), log)
            return made.of_impressions(logs, rows).column(name)

        assert rf.leak_check(feature, log, cut) == 0


def test_other_values_of_one_number():
    batch = task().test
    values = np.arange(len(batch)) / 7
    other = rf.with_number(batch, "duration", values)
    np.testing.assert_allclose(other.number("duration"), values, rtol=1e-6)
    at = IMPRESSION_NUMBERS.index("duration")
    rest = [i for i in range(len(IMPRESSION_NUMBERS)) if i != at]
    assert torch.equal(other.numbers[:, rest], batch.numbers[:, rest])
    assert not torch.equal(other.numbers, batch.numbers)


# --- mixed features


def test_shuffling_moves_features_together_and_nothing_else():
    batch = task().test
    random = torch.Generator().manual_seed(0)
    cards, pages = (torch.randperm(n, generator=random) for n in (len(batch), batch.pages))
    before = {name: getattr(batch, name).clone() for name in ("codes", "numbers", "watched")}
    names = ("duration", "video", "device", "watched videos")
    moved = rf.shuffled(batch, names, cards, pages)
    for field, known, order, of in (
        ("codes", IMPRESSION_CODES, cards, "video"),
        ("numbers", IMPRESSION_NUMBERS, cards, "duration"),
        ("query_codes", QUERY_CODES, pages, "device"), ("query_numbers", QUERY_NUMBERS, pages, ""),
    ):  # fmt: skip
        for i, name in enumerate(known):
            old, new = getattr(batch, field)[:, i], getattr(moved, field)[:, i]
            assert torch.equal(new, old[order] if name == of else old), name
    assert torch.equal(moved.watched, batch.watched[pages])
    assert torch.equal(moved.searched, batch.searched) and torch.equal(moved.page, batch.page)
    for name, old in before.items():
        assert torch.equal(getattr(batch, name), old)


def test_what_a_ranker_does_not_see_has_no_importance():
    model = rf.PlainRanker(rf.InputLayer(task().features, ["duration"]), ())
    orders = [torch.arange(n - 1, -1, -1) for n in (len(task().test), task().test.pages)]
    with torch.no_grad():
        same, own, other = (
            model(scales()(batch))
            for batch in (task().test, rf.shuffled(task().test, ["duration"], *orders),
                          rf.shuffled(task().test, ["video age", "device"], *orders))
        )  # fmt: skip
    assert torch.equal(same, other) and not torch.equal(same, own)


def test_a_live_page_is_scaled_as_a_logged_one_is():
    _, asked = task().asked([1, 2])
    batch = RankingBatch.of(task().features.of_requests(asked))
    model = rf.PlainRanker(rf.InputLayer(task().features))
    logits = model(scales()(batch))
    assert logits.shape == (asked.candidates.size,) and torch.isfinite(logits).all()
