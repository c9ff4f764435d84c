"""Experiments of chapter 03: groups, trees, what a model expects, serving against the truth."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from worlds import mini, tiny

from course import ab_test, plots
from course.errors import ConfigError
from course.experiments import retrieval, softmax_laws, step_cost
from course.models.softmax import FullSoftmax, HierarchicalSoftmax, SampledSoftmax
from course.plots.retrieval import CORRECTED, FULL, PLAIN
from course.retrieval import Index


@functools.cache
def setting():
    return softmax_laws.prepare(tiny().logs(), examples=6_000)


@functools.cache
def model():
    return setting().fit(FullSoftmax(), depth=0, epochs=1)


def test_groups_hold_the_same_share_of_watches_rarest_first():
    counts = np.geomspace(2_000, 1, 3_000).astype(int)
    group = softmax_laws.popularity_groups(counts)
    share = np.bincount(group, weights=counts) / counts.sum()
    assert len(share) == 10 and (abs(share - 0.1) < 0.03).all()
    most, least = (f([counts[group == g] for g in range(10)]) for f in (_largest, _smallest))
    assert all(m <= n for m, n in zip(most[:-1], least[1:], strict=True))


def _largest(parts):
    return [part.max() for part in parts]


def _smallest(parts):
    return [part.min() for part in parts]


def test_trees_have_about_root_v_clusters_and_the_good_one_keeps_topics_together():
    ids = setting().game.features.videos.ids
    n, videos = len(ids), setting().game.train.videos
    trees = softmax_laws.topic_tree(setting().game.train, ids), softmax_laws.random_tree(n)
    language = videos["language"].cat.codes.to_numpy()[ids]
    mixed = []
    for cluster in trees:
        size = np.bincount(cluster)
        assert size.max() == round(n**0.5) and (size[:-1] == size[0]).all()
        mixed.append(np.mean([len(set(language[cluster == c])) for c in range(len(size))]))
    assert mixed[0] < 1.3 < 2 < mixed[1]


def test_what_a_model_expects_against_a_plain_twin():
    game, videos = setting().game, setting().game.features.videos
    events = game.events[:40]
    found = softmax_laws.expectation(setting(), model(), events, shown=5)
    known = events[np.isin(events["video_id"], videos.ids)]
    group, mass, watches = softmax_laws.popularity_groups(videos.counts), np.zeros(10), []
    scores = model().scores(game.features.of_examples(game.logs, known))
    hidden = game.hidden(known)[:, videos.ids]
    for row, out in zip(scores, hidden, strict=True):
        p = softmax(np.where(out, -np.inf, row).astype(float))
        mass += np.bincount(group, weights=p, minlength=10)
        watches.append(videos.counts[np.argsort(-p)[:5]].mean())
    np.testing.assert_allclose(found["expected"], mass / len(known), atol=1e-5)
    assert found["watches"] == pytest.approx(np.mean(watches))
    assert found["expected"].sum() == pytest.approx(1) and found["actual"].sum() == pytest.approx(1)


def test_the_ways_to_train_have_their_names_and_losses():
    made = {name: way() for name, way in _ways().items()}
    assert isinstance(made["full"], FullSoftmax)
    assert isinstance(made["topic tree"], HierarchicalSoftmax)
    for law in ("uniform", "popularity", "zipf", "in-batch"):
        assert made[f"{law}, corrected"].correct and not made[law].correct
        assert made[law].law == law


def _ways():
    before = softmax_laws.NEGATIVES
    softmax_laws.NEGATIVES = 50
    try:
        return {name: (lambda way=way: way) for name, way in _made(softmax_laws.ways(setting()))}
    finally:
        softmax_laws.NEGATIVES = before


def _made(ways):
    return [(name, way()) for name, way in ways.items()]


def test_cosine_vectors_have_length_one_over_temperature():
    kind = type("Cosine", (softmax_laws.CosineGenerator,), {"temperature": 0.2})
    counts = setting().counts
    made = setting().fit(SampledSoftmax(counts, law="in-batch"), kind=kind, epochs=1, depth=0)
    few = setting().data[torch.arange(20)]
    users, scores = made.user_vectors(few), made.scores(few)
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 5.0, rtol=1e-4)
    v = made.output.weight.detach().numpy()[:, :-1]
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    np.testing.assert_allclose(scores, users[:, :-1] @ v.T, atol=1e-4)


def test_quick_trainings_are_kept_and_shown(monkeypatch):
    monkeypatch.setattr(softmax_laws, "_small_setting", lambda seed, examples: setting())
    monkeypatch.setattr(softmax_laws, "_QUICK", {})
    steps = []
    run = softmax_laws.quick(20, correct=False, progress=lambda *s: steps.append(s))
    assert steps and 0 < run["mrr"] < 1
    assert softmax_laws.quick(20, correct=False)["mrr"] == run["mrr"]
    assert len(plots.trained_negatives(20, False).axes) == 1


def test_cost_of_a_step():
    for method in step_cost.METHODS:
        assert step_cost.step_seconds(300 + 1_000, method, batch=16, dim=4, steps=4) > 0
    with pytest.raises(ConfigError, match="method='half'.*full, sampled"):
        step_cost.step_seconds(100, "half")


def test_search_is_compared_on_the_requests_of_a_live_test():
    world, made = tiny(), model()
    vectors = made.video_vectors()
    index = Index(vectors, "ivf", cells=12)
    settings = {
        "flat": (Index(vectors), {}),
        "one": (index, {"nprobe": 1}),
        "all": (index, {"nprobe": 12}),
    }
    table = retrieval.compare(world, made, settings, n=60, k=30)
    assert table.loc["flat", ["recall@10", "recall@k", "scanned"]].tolist() == [1, 1, 1]
    assert table.loc["all", "recall@k"] == 1 and table.loc["one", "recall@k"] < 0.9
    for column in ("clicks", "watch_minutes", "ranked_clicks"):
        assert table.loc["all", column] == pytest.approx(table.loc["flat", column])
    assert (table["ranked_clicks"] >= table["clicks"]).all() and (table["ms"] > 0).all()
    live = ab_test(
        world, {"flat": retrieval.IndexPolicy(made, settings["flat"][0], 30)}, n=60,
        candidates="catalogue",
    ).table.set_index("metric")["expected"]  # fmt: skip
    assert table.loc["flat", "clicks"] == pytest.approx(live["clicks"])


def test_the_perfect_ranker_ranks_by_true_click_probability():
    world = mini()
    requests = retrieval.live_requests(world, 30)
    candidates = np.tile(np.arange(40), (30, 1))
    candidates[:, 30:] = -1
    pages = retrieval.best_by_truth(world, requests, candidates)
    p = world.truth.click_probability(
        requests.user[:, None], candidates[:, :30], requests.time[:, None], requests.device[:, None]
    )
    np.testing.assert_array_equal(pages, np.argsort(-p, axis=1, kind="stable")[:, :10])


# ---------------------------------------------------------------- figures


def made_up(trial, names, seeds=3):
    rng = np.random.default_rng(0)
    return pd.DataFrame([{name: rng.uniform(0.1, 1.0) for name in names} for _ in range(seeds)])


def laws():
    rows = (
        "full",
        "popular",
        "topic tree",
        "random tree",
        "uniform",
        "popularity",
        "zipf",
        "in-batch",
    )
    rows += tuple(f"{law}, corrected" for law in rows[4:])
    rows += tuple(f"popularity{c} {n}" for c in ("", ", corrected") for n in softmax_laws.LADDER)
    return made_up("laws", [f"{r}/{c}" for r in rows for c in ("mrr", "watches", "head")])


def served():
    names = ["flat", *(f"ivf {p}" for p in retrieval.NPROBE), *(f"hnsw {e}" for e in retrieval.EF)]
    names += [f"raw ivf {p}" for p in retrieval.RAW_NPROBE]
    names += [f"raw hnsw {e}" for e in retrieval.RAW_EF]
    columns = ("recall@k", "scanned", "ms", "clicks", "ranked_clicks")
    return made_up(
        "serving",
        [
            *(f"{n}/{c}" for n in names for c in columns),
            "random/clicks",
            "ivf/build seconds",
            "videos",
        ],
    )


def test_figures_draw():
    shares = np.full(10, 0.1)
    run = {"expected": shares, "mrr": 0.1, "corrected": True}
    steps = [f"{m}/{v}" for m in step_cost.METHODS for v in step_cost.SIZES]
    drawn = {
        1: [
            plots.expected_by_popularity({FULL: shares, PLAIN: shares}),
            plots.step_cost(made_up("step_cost", steps), {("full", 2_000): 3.0}),
            plots.quick_trainings({"one": run}, run),
        ],
        2: [
            plots.pushes(shares, {PLAIN: shares, CORRECTED: shares}, shares),
            plots.sampling_laws(laws()),
            *(plots.probes(served(), p) for p in (*retrieval.NPROBE, [2, 16])),
        ],
        3: [plots.serving(served())],
        4: [plots.quick_trainings({"a": run, "b": run, "c": run}, run, laws())],
    }
    for panels, figures in drawn.items():
        for figure in figures:
            assert len(figure.axes) == panels and figure.describe()
