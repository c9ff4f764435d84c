"""The ranker's first layer, and what chapter 06 does with rankers."""

import functools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from course import plots, simulate
from course.claims import chapter_06
from course.errors import ConfigError, LogError
from course.experiments import churn, importance, nomination, ranking_inputs
from course.experiments.ranking import RankerPolicy, RankingTask, fit_ranker
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
from course.simulator.behaviour import COMPONENTS
from course.simulator.config import WorldConfig


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
    if not options:
        assert torch.allclose(ranking_inputs.by_hand(layer, batch), out, atol=1e-6)
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


# --- Scales -------------------------------------------------------------------------------------


def test_the_three_scales():
    raw, standard = (ranking_inputs.on_scale(task(), s) for s in ("raw", "standardised"))
    assert ranking_inputs.on_scale(task(), "quantiles") is task()
    assert np.array_equal(raw.train.numbers, task().inputs.numbers)
    assert torch.allclose(standard.train.numbers.mean(dim=0), torch.tensor(0.0), atol=1e-2)
    sd = standard.train.numbers.std(dim=0)
    assert torch.allclose(sd[sd > 0], torch.tensor(1.0), atol=1e-2)
    back = standard.test.numbers * raw.train.numbers.std(dim=0).clamp(min=1e-6)
    back = back + raw.train.numbers.mean(dim=0)
    assert torch.allclose(back, raw.test.numbers, rtol=1e-3, atol=0.05)
    assert task().train.numbers.max() < 1  # the task itself is as before
    with pytest.raises(ConfigError, match="'log'"):
        ranking_inputs.on_scale(task(), "log")


def test_trees_do_not_mind_the_scale():
    raw, shares = (ranking_inputs.fit_trees(task(), s, cards=5_000) for s in ("raw", "quantiles"))
    assert np.corrcoef(raw, shares)[0, 1] > 0.97
    with pytest.raises(ConfigError, match="standardised"):
        ranking_inputs.fit_trees(task(), "standardised")


def test_one_skewed_feature_descends_only_on_an_even_scale():
    x, clicked = ranking_inputs.skewed(2.5)
    ways = ranking_inputs.scaled(x)
    last = {name: ranking_inputs.descend(columns, clicked)[-1] for name, columns in ways.items()}
    assert last["quantiles"] < last["standardised"] < last["raw"]
    even, _ = ranking_inputs.skewed(0.0)
    assert np.allclose(even, 1.0)  # a constant feature harms nobody
    for columns in ranking_inputs.scaled(even).values():
        assert np.isfinite(ranking_inputs.descend(columns, clicked)).all()


def test_running_means_and_parameters():
    assert ranking_inputs.smooth([1.0, 3.0, 5.0, 7.0], 2).tolist() == [1.0, 2.0, 4.0, 6.0]
    found = ranking_inputs.parameters(model())
    layer = model().tower.layers[0].inputs
    tables = sum((t.num_embeddings - 1) * t.embedding_dim for t in layer.tables.values())
    rest = layer.width * 16 + 16 + 16 + 1
    assert found == {"tables": tables, "all": tables + rest}


# --- Churn --------------------------------------------------------------------------------------


def test_overlap_of_pages_by_hand():
    pages = np.array([[1, 2, 3], [4, 5, 6], [3, 2, 9], [7, 8, 9], [3, 1, 9], [7, 8, 9]])
    assert churn.page_overlap(pages, 3).tolist() == [2 / 6, 5 / 6]
    with pytest.raises(ConfigError, match="visits"):
        churn.page_overlap(pages, 1)


def test_second_chances_by_hand():
    asked = task()
    request = churn.one_page(asked.world)
    first = replace(request, slate=2, recent_videos=np.array([[-1, -1]]))
    second = replace(request, slate=2, recent_videos=np.array([[7, -1]]))
    # Of four shown, 7 was watched and 5 is not nominated again; the others stand at 1 and 4.
    found = churn.second_chances(
        [replace(first, slate=4), second], [np.array([[7, 5, 9, 8]]), np.array([[8, 7, 2, 9]])]
    )
    assert found["shown again"] == 1.0  # pages are of four
    assert found["place"] == 2.5
    assert churn.second_chances([first, first], [np.array([[7, 5, 9, 8]])] * 2) == {
        "shown again": 1.0, "place": 1.5,
    }  # fmt: skip


def test_people_come_back_and_policies_keep_their_own_memory():
    world = task().world
    policy = RankerPolicy(task().features, model().logits)
    found = churn.revisit(world, {"ranker": policy, "oracle": world.oracle(),
                                  "random": world.random()}, n=60)  # fmt: skip
    assert set(found) == {"ranker", "oracle", "random"}
    for values in found.values():
        assert 0 < values["overlap"] < 1 and 1 <= values["place"] <= world.config.candidates
    assert found["random"]["overlap"] < found["ranker"]["overlap"]
    assert found["oracle"]["watch_minutes"] > found["random"]["watch_minutes"]


def test_a_card_is_shown_again_and_again():
    request = churn.one_page(task().world, seed=2)
    counts = np.array([0, 3, 50])
    card = 4
    said = churn.again_and_again(model().logits, task().features, request, card, counts)
    others = np.delete(said, card, axis=1)
    assert said.shape == (3, request.candidates.shape[1])
    assert np.allclose(others, others[0]) and not np.allclose(said[:, card], said[0, card])
    blind = fit_ranker(task(), (), epochs=1,
                       include=churn.all_but(task().features, churn.PREVIOUS))  # fmt: skip
    flat = churn.again_and_again(blind.logits, task().features, request, card, counts)
    assert np.allclose(flat, flat[0])
    truth = churn.truly_again_and_again(task().world, request, card, counts)
    assert (np.diff(truth[:, card]) < 0).all()
    assert np.allclose(np.delete(truth, card, axis=1), np.delete(truth[:1], card, axis=1))
    before = task().world.engine.memory.shown.copy()
    churn.truly_again_and_again(task().world, request, card, counts)
    assert np.array_equal(before, task().world.engine.memory.shown)
    with pytest.raises(ConfigError, match="colour"):
        churn.all_but(task().features, "colour")


# --- Importance ---------------------------------------------------------------------------------


def test_shuffling_moves_features_together_and_nothing_else():
    inputs = task().test_inputs
    rng = np.random.default_rng(0)
    names = ("duration", "video", "device", "watched videos")
    moved = importance.shuffled(inputs, names, rng)
    for name in ("duration", "video", "device"):
        assert np.array_equal(np.sort(moved.column(name)), np.sort(inputs.column(name)))
        assert not np.array_equal(moved.column(name), inputs.column(name))
    pair = set(zip(inputs.column("duration"), inputs.column("video"), strict=True))
    assert set(zip(moved.column("duration"), moved.column("video"), strict=True)) == pair
    for name in ("topic", "video age", "daypart", "account watches"):
        assert np.array_equal(moved.column(name), inputs.column(name))
    assert np.array_equal(moved.searched, inputs.searched)
    for wrong in (("colour",), "duration"):
        with pytest.raises(ConfigError, match="names"):
            importance.shuffled(inputs, wrong, rng)


def test_an_unused_feature_has_no_importance_and_the_only_one_has_all():
    only = fit_ranker(task(), (), include=["duration"], epochs=1)
    measure = importance.measure_of(task())
    found = importance.permutation_importance(
        task(), only, {"it": ("duration",), "other": ("video age", "device")}, measure, repeats=3
    )
    assert found["other"] == 0.0 and found["it"] > 3.0


def test_the_groups_hold_every_feature_and_every_component_once():
    names = [name for group in importance.GROUPS.values() for name in group]
    assert sorted(names) == sorted(f.name for f in RANKING_FEATURES)
    parts = [name for group in importance.LAW_GROUPS.values() for name in group]
    assert sorted(parts) == sorted(COMPONENTS)


def test_true_scores_are_the_truth_until_a_component_is_shuffled():
    world, fresh = task().world, task().next_day
    for objective, truth in (("watch", fresh.value), ("click", fresh.truth["p_click_if_seen"])):
        score = importance.true_scores(world, fresh.cards, objective)
        assert np.allclose(score, truth, rtol=1e-4)
    found = importance.true_importance(task(), {"taste": ("taste",), "none": ()}, "click")
    assert found["none"] == 0.0 and found["taste"] > 1.0
    with pytest.raises(ConfigError, match="luck"):
        importance.true_scores(world, fresh.cards, permute=("luck",))


# --- Nomination ---------------------------------------------------------------------------------


class Constant:
    """Stands for a candidate generator; its pair scorer says its number."""

    def __init__(self, number):
        self.number = number


def test_each_card_gets_the_score_of_its_night(monkeypatch):
    class Scorer:
        def __init__(self, model):
            self.model = model

        def pair_scores(self, logs, moments, page, video):
            return self.model.number + moments["time"][page] / 100 + video / 10_000

    monkeypatch.setattr(nomination, "PairScorer", Scorer)
    nights = nomination.Nightly([10, 12], [Constant(1.0), Constant(2.0)])
    moments = {"time": np.array([12.5, 9.0, 11.9, 13.0])}
    page, video = np.array([0, 0, 1, 2, 3]), np.array([5, 6, 7, 8, 9])
    got = nights.pair_scores(None, moments, page, video)
    assert np.allclose(got, [2.1255, 2.1256, 1.0907, 1.1198, 2.1309])
    for wrong in (([12, 10], 2), ([], 0), ([10], 2)):
        with pytest.raises(ConfigError, match="nights"):
            nomination.Nightly(wrong[0], [Constant(0.0)] * wrong[1])


def test_a_generator_does_not_see_its_own_night():
    logs = task().logs
    made = nomination.generator_at(logs, 20.0)
    later = logs.watches[logs.watches["time"] < 20.0]["video_id"].unique()
    assert set(made.features.videos.ids) <= set(later)
    found = nomination.score_alone(task(), made)
    assert 0 < found["known"] < 1 and 0 < found["watch"] < 100


def test_sets_of_features_differ_by_nomination_alone():
    names = [f.name for f in RANKING_FEATURES]
    sets = nomination.feature_sets(names)
    for base in ("few", "all"):
        added = set(sets[f"{base} + nomination"]) - set(sets[base])
        assert added == set(nomination.NOMINATION)
    assert sets["all + nomination"] == names
    assert not set(sets["few"]) & set(importance.GROUPS[importance.PAST])


# --- The ledger ---------------------------------------------------------------------------------


@pytest.mark.parametrize("trial", chapter_06.TRIALS, ids=lambda trial: trial.name)
def test_trials_give_what_the_claims_ask_for(trial):
    few = {} if trial.name == "ranking_nomination" else {"first_day": 26.0}
    few |= {"n": 40} if trial.name == "ranking_churn" else {}
    # Generators up to ten days old need a longer log.
    size = WorldConfig.of("tiny", users=150, days=45) if not few else "tiny"
    row = trial.run(2, size, test_pages=200, **few)
    assert all(np.isfinite(value) for value in row.values())
    results = pd.DataFrame([row, row], index=[1, 2])
    mine = [claim for claim in chapter_06.CLAIMS if claim.trial == trial.name]
    assert mine
    for claim in mine:
        for contrast in claim.contrasts:
            assert np.isfinite(contrast.value(results)).all(), contrast.label


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


# --- Figures ------------------------------------------------------------------------------------


def pictures():
    rng = np.random.default_rng(0)
    counts = np.arange(0, 21)
    lines = {name: rng.random((21, 30)) for name in ("truth", "with", "without")}
    steps = {name: [rng.random(40)] for name in ranking_inputs.SCALES}
    table = pd.DataFrame({"few": rng.random(5), "all": rng.random(5)})
    return {
        "raw_features": lambda: plots.raw_features({"a": rng.random(50), "b": rng.random(50)}),
        "one_scale": lambda: plots.one_scale(2.0),
        "scales": lambda: plots.scales([0.0, 1.5]),
        "learning_curves": lambda: plots.learning_curves(steps),
        "paired_losses": lambda: plots.paired_losses({"linear": rng.normal(size=5)}, "x"),
        "shown_again": lambda: plots.shown_again(3, "a", {"a": (4, lines)}, counts),
        "shown_agains": lambda: plots.shown_agains((0, 20), "a", {"a": (4, lines)}, counts),
        "repeats": lambda: plots.repeats({0.0: table, 1.0: table + 0.1}),
        "stale_scores": lambda: plots.stale_scores([0, 7], rng.random((5, 2)), rng.random((5, 2))),
        "importances": lambda: plots.importances({"m": {"a": rng.random(5), "b": rng.random(5)}}),
    }


@pytest.mark.parametrize("name", sorted(pictures()))
def test_pictures_have_labels(name):
    fig = pictures()[name]()
    assert plots.png(fig)[:4] == b"\x89PNG"
    for ax in fig.axes:
        assert ax.get_xlabel() or ax.get_xticklabels()
        beside = ax.get_shared_y_axes().get_siblings(ax)
        assert any(other.get_ylabel() or other.get_yticklabels() for other in beside)


@pytest.mark.parametrize("skew", [0.0, 3.0])
def test_the_skew_slider_over_its_corners(skew):
    assert plots.png(plots.one_scale(skew))
