"""The first edition's first layer of a ranker, on which later chapters still stand."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from course import simulate
from course.errors import ConfigError, LogError
from course.experiments.ranking import RankingTask, fit_ranker
from course.features import RANKING_FEATURES, Quantiles
from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
    SPACE,
)
from course.models.ranking import (
    FirstLinear,
    InputLayer,
    RankingBatch,
    RankingTower,
    embedding_dim,
)


@functools.cache
def task():
    return RankingTask(simulate("tiny", seed=5, cache=False), test_pages=400, first_day=15.0)


@functools.cache
def model():
    return fit_ranker(task(), (16,), epochs=1)


def some(pages=30):
    return task().test[torch.arange(pages)]


# --- Batches ------------------------------------------------------------------------------------


def test_numbers_become_quantiles_or_stay():
    inputs, f = task().test_inputs, task().features
    batch, raw = RankingBatch.of(inputs, f), RankingBatch.of(inputs, f, normalise=False)
    for i, name in enumerate(IMPRESSION_NUMBERS):
        assert np.array_equal(batch.numbers[:, i], f.quantiles[name](inputs.numbers[:, i]))
    for i, name in enumerate(QUERY_NUMBERS):
        want = f.quantiles[name](inputs.query_numbers[:, i])
        assert np.array_equal(batch.query_numbers[:, i], want)
    assert np.array_equal(raw.numbers, inputs.numbers)
    assert 0 <= batch.numbers.min() and batch.numbers.max() < 1


def test_pages_of_unequal_length_keep_their_cards():
    rows = np.array([0, 1, 2, 10, 25, 26, 27, 28])  # 3 cards, 1 card, 4 cards
    batch = RankingBatch.of(task().test_inputs[rows], task().features)
    assert batch.pages == 3 and batch.start.tolist() == [0, 3, 4, 8]
    assert batch.rows(torch.tensor([2, 0])).tolist() == [4, 5, 6, 7, 0, 1, 2]
    part = batch[torch.tensor([2, 0])]
    assert part.page.tolist() == [0] * 4 + [1] * 3 and part.start.tolist() == [0, 4, 7]
    assert torch.equal(part.codes, batch.codes[[4, 5, 6, 7, 0, 1, 2]])
    assert torch.equal(part.watched, batch.watched[[2, 0]])
    layer = InputLayer(task().features)
    assert torch.allclose(layer(part), layer(batch)[[4, 5, 6, 7, 0, 1, 2]])


# --- The layer ----------------------------------------------------------------------------------


def concatenated(layer, batch):
    """The layer's vector for each card, one feature after the other, in plain words."""
    parts = {"impression": [], "query": []}
    for f in RANKING_FEATURES:
        if f.name not in layer.include or f.kind == "continuous":
            continue
        table = layer.tables[f.space if layer.shared else f.name.replace(" ", "_")].weight
        if f.valence == "multivalent":
            ids = batch.watched if f.name == "watched videos" else batch.searched
            means = []
            for row in ids:
                known = [int(i) for i in row if i != len(table) - 1]
                means.append(table[known].mean(0) if known else torch.zeros(table.shape[1]))
            value = torch.stack(means)[batch.page]
        elif f.side == "impression":
            value = table[batch.codes[:, IMPRESSION_CODES.index(f.name)]]
        else:
            value = table[batch.query_codes[batch.page, QUERY_CODES.index(f.name)]]
        parts[f.side].append(value)
    for side, names in (("impression", IMPRESSION_NUMBERS), ("query", QUERY_NUMBERS)):
        kept = [i for i, name in enumerate(names) if name in layer.include]
        x = batch.numbers if side == "impression" else batch.query_numbers[batch.page]
        x = x[:, kept]
        parts[side] += [x, x * x, x**0.5] if layer.powers else [x]
    return torch.cat([*parts["impression"], *parts["query"]], dim=1)


@pytest.mark.parametrize(
    "options",
    [{}, {"powers": False}, {"shared": False}, {"dim": 5},
     {"include": ["topic", "duration", "watched videos", "daypart", "days since watch"]},
     {"include": ["device", "searched tokens"]}, {"include": ["duration"]}],
    ids=str,
)  # fmt: skip
def test_the_layer_is_the_concatenation_of_its_features(options):
    layer, batch = InputLayer(task().features, **options), some()
    out = layer(batch)
    assert out.shape == (len(batch), layer.width)
    assert torch.allclose(out, concatenated(layer, batch), atol=1e-6)
    impression, query = layer.parts(batch)
    assert query.shape == (batch.pages, layer.query_width)
    assert torch.allclose(out, torch.cat([impression, query[batch.page]], dim=1))


def test_first_linear_is_the_linear_layer_on_the_concatenation_and_learns_alike():
    layer, batch = InputLayer(task().features), some()
    first = FirstLinear(layer, 11)
    plain = first.linear(layer(batch))
    assert torch.allclose(first(batch), plain, atol=1e-5)
    target = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    (first(batch) * target).sum().backward()
    got = {name: p.grad.clone() for name, p in first.named_parameters()}
    first.zero_grad()
    (first.linear(concatenated(layer, batch)) * target).sum().backward()
    for name, p in first.named_parameters():
        rows = len(p) - ("tables" in name)  # the plain look-up knows of no padding
        assert torch.allclose(got[name][:rows], p.grad[:rows], rtol=1e-3, atol=1e-3), name


def test_what_is_unknown_is_the_zero_vector_and_learns_nothing():
    layer = InputLayer(task().features, seed=3)
    batch = some()
    unknown = replace(
        batch,
        **{name: torch.full_like(getattr(batch, name), len(layer.tables["video"].weight) - 1)
           for name in ("watched",)},
        codes=torch.stack([torch.full((len(batch),), len(layer.tables[SPACE[n]].weight) - 1)
                           for n in IMPRESSION_CODES], dim=1),
    )  # fmt: skip
    width = sum(layer.tables[SPACE[n]].embedding_dim for n in IMPRESSION_CODES)
    out = layer(unknown)
    assert (out[:, :width] == 0).all()
    layer(unknown).pow(2).sum().backward()
    for name, table in layer.tables.items():
        assert (table.weight[-1] == 0).all(), name
        assert (table.weight.grad[-1] == 0).all(), name
    # Training leaves the row where it is, too.
    for table in model().tower.layers[0].inputs.tables.values():
        assert (table.weight[-1] == 0).all() and table.weight[:-1].abs().sum() > 0


def test_a_shared_table_learns_from_all_of_its_features():
    batch = some()
    shared, apart = (InputLayer(task().features, shared=s) for s in (True, False))
    assert set(shared.tables) == set(SPACE.values())
    assert len(apart.tables) == len(SPACE)
    assert shared.width == apart.width
    n = len(task().features.vocabularies["video"])
    counts = {layer: sum(t.weight.numel() for name, t in layer.tables.items() if "video" in name
                         and "language" not in name) for layer in (shared, apart)}  # fmt: skip
    assert counts[apart] == 4 * counts[shared] == 4 * (n + 1) * embedding_dim(n)
    shared(batch).sum().backward()
    touched = set(np.flatnonzero(shared.tables["video"].weight.grad.abs().sum(dim=1)))
    ids = {int(i) for i in batch.codes[:, 0]} | {int(i) for i in batch.watched.ravel()}
    ids |= {int(i) for i in batch.query_codes[:, :2].ravel()}
    assert touched == ids - {n}


def test_dimension_by_the_logarithm():
    assert [embedding_dim(n) for n in (1, 2, 3, 1000, 10**6)] == [2, 2, 3, 16, 32]
    assert embedding_dim(10**4) == round(32 * math.log(10**4) / math.log(10**6))
    with pytest.raises(ConfigError, match="cardinality"):
        embedding_dim(0)
    assert 10**6 * 32 == pytest.approx(7 * 2048**2, rel=0.1)  # P1's comparison


def test_a_tower_without_layers_gives_the_inputs_and_wrong_names_are_refused():
    layer = InputLayer(task().features)
    assert torch.equal(RankingTower(layer, ())(some()), layer(some()))
    assert RankingTower(layer, (8, 4))(some()).shape == (len(some()), 4)
    with pytest.raises(ConfigError, match="width"):
        RankingTower(layer, (8, 0))
    for wrong in (["colour"], "duration", [], ["nominating score"]):
        with pytest.raises(ConfigError, match="include"):
            InputLayer(task().features, include=wrong)


# --- Bad input ----------------------------------------------------------------------------------


def test_a_number_that_is_not_finite_is_refused_before_it_reaches_the_network():
    inputs = task().test_inputs
    values = inputs.column("duration").copy()
    values[3] = np.nan
    with pytest.raises(LogError, match="not finite"):
        RankingBatch.of(inputs.with_column("duration", values), task().features)


def test_a_constant_feature_and_a_page_of_unknown_videos_are_ranked():
    inputs, f = task().test_inputs, task().features
    unknown = inputs.with_column("video", np.full(len(inputs), f.cardinality("video")))
    same = unknown.with_column("duration", np.full(len(inputs), 300.0))
    assert np.isfinite(model().logits(RankingBatch.of(same, f))).all()
    assert (Quantiles(np.full(9, 300.0))(np.full(4, 300.0)) == 0).all()
