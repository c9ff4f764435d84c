"""Contestants, polarisation and figures of chapter 08."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from course import plots, simulate
from course.experiments import multitask, polarisation, two_tasks
from course.experiments.live_pages import LivePages, curve
from course.experiments.seven_tasks import CONTEXT_WIDTH, TASKS, SevenTasks
from course.ledger.claim import SEEDS
from course.plots import paper_multitask
from course.plots.multitask import CONTESTANTS
from course.tuning import load


@pytest.fixture(scope="module")
def data():
    return SevenTasks(simulate("tiny", seed=3, cache=False), test_pages=150)


def test_all_shapes_of_a_size_have_equal_multiplications():
    for name, c in multitask.CONTESTANTS.items():
        inputs = 185 + 13 * CONTEXT_WIDTH * c.crosses
        whole = {"big": 19_888, "small": 14_757}[c.size]
        for shape, make in c.shapes.items():
            count = make(inputs, 0).multiplications()
            assert abs(count / whole - 1) < 0.01, (name, shape, count)


def test_everybody_was_tuned_on_other_worlds_over_the_stated_grid():
    tuned = load(multitask.STORE)
    assert set(tuned.best) == set(multitask.CONTESTANTS)
    assert not set(tuned.worlds) & set(SEEDS)
    for name, recipe in tuned.best.items():
        for axis, value in recipe.items():
            values = multitask.GRID[axis]
            assert value in (values[name] if axis == "shape" else values)
    # The recipe is the best of what was tried in all worlds.
    for name, own in tuned.cells.groupby("who"):
        axes = list(tuned.best[name])
        whole = own.groupby(axes).filter(lambda rows: len(rows) == len(tuned.worlds))
        means = whole.groupby(axes)["captured"].mean()
        assert means.idxmax() == tuple(tuned.best[name].values())


def test_every_contestant_trains_and_is_measured(data):
    few = {"epochs": 1, "pages_per_batch": 400}
    rankers = multitask.contest(data, seed=1, **few)
    found = multitask._measured(data, rankers)
    assert all(np.isfinite(v) for v in found.values())
    assert {name.split("/")[0] for name in found} == set(multitask.CONTESTANTS)
    g = multitask._gates(data, rankers, 1)
    assert g["eight experts/untrained/overlap/between"] > 0.7
    pages, curves = multitask.live_curves(data, {"shared bottom": rankers["shared bottom"]})
    assert set(curves) == {"shared bottom", "oracle"}
    assert curves["oracle"]["watch_minutes"].max() >= curves["shared bottom"]["watch_minutes"].max()
    assert pages.shape[0] == 2_000


def test_the_recipe_is_what_is_trained(data, monkeypatch):
    given = {}
    monkeypatch.setattr(multitask, "train", lambda *a, **options: given.update(options))
    multitask.fit(data, "crosses", 3, {"shape": "48", "rate": 0.02, "passes": 5})
    assert given == {"crosses": True, "seed": 3, "epochs": 5, "learning_rate": 0.02,
                     "pages_per_batch": multitask.PAGES_PER_BATCH}  # fmt: skip
    recipe = multitask.recipes()["film"]
    multitask.fit(data, "film", 3, epochs=recipe["passes"] + 1)
    assert (given["epochs"], given["learning_rate"]) == (recipe["passes"] + 1, recipe["rate"])


def test_gate_numbers_against_two_made_up_gates():
    gates = np.zeros((7, 8))
    gates[:3, :4] = 0.25  # engagement spreads over four experts
    gates[3:, 7] = 1.0  # satisfaction stands on one
    found = multitask.gate_numbers(gates)
    assert found["effective experts/engagement"] == pytest.approx(4.0)
    assert found["effective experts/satisfaction"] == pytest.approx(1.0)
    assert found["overlap/engagement"] == found["overlap/satisfaction"] == pytest.approx(1.0)
    assert found["overlap/between"] == 0.0


def test_layout_holds():
    found = multitask.layout_trial(3)
    assert found["gate sums off by"] < 1e-5 and found["one expert off by"] < 1e-5
    assert found["on the input over on a shared layer"] > 1.2


def test_runs_differ_and_drop_out_is_used_in_training_only(data):
    given = polarisation.table(data, seed=1)
    assert (
        given.x.shape[1] == 3 * 17 + CONTEXT_WIDTH and 2.9 < len(given.x) / len(given.test_x) < 3.1
    )
    runs = {
        share: polarisation.train_runs(
            given, learning_rate=0.01, schedule=True, gate_dropout=share, runs=2, steps=30
        )
        for share in (0.0, 0.5)
    }
    gates = runs[0.0].gates
    assert gates.shape == (2, 7, 8) and np.allclose(gates.sum(axis=2), 1, atol=1e-4)
    assert not np.allclose(gates[0], gates[1])
    assert not np.allclose(gates, runs[0.5].gates)
    flat = polarisation.summary({"sane": runs[0.0]})
    assert flat["sane/runs"] == 2 and 0 <= flat["sane/polarised below 2"] <= 1


def test_a_polarised_run_is_counted():
    gates = np.full((3, 7, 8), 1 / 8)
    gates[1, 4] = np.eye(8)[2]
    found = polarisation.Gates(gates, np.array([0.4, 0.6, 0.5]))
    assert found.polarised.tolist() == [False, True, False]
    flat = polarisation.summary({"x": found})
    assert flat["x/polarised below 1.5"] == pytest.approx(1 / 3)
    assert flat["x/least effective experts"] == pytest.approx((8 + 1 + 8) / 3)


def _results():
    rng = np.random.default_rng(0)
    columns = {}
    for name in CONTESTANTS:
        for p in two_tasks.CORRELATIONS:
            columns[f"{name}/{p:g}/loss"] = rng.random(5)
    for p, name in itertools.product(two_tasks.NEEDS, CONTESTANTS):
        columns[f"{p:g}/{name}/loss"] = rng.random(5)
    for name in polarisation.SETTINGS:
        columns[f"{name}/polarised below 1.5"] = rng.random(5)
        columns[f"{name}/loss"] = rng.random(5)
    return pd.DataFrame(columns)


def test_figures_draw(data):
    rng = np.random.default_rng(1)
    gates = rng.dirichlet(np.ones(8), 7)
    pages = LivePages(data.world, data.features, n=40)
    truth = pages.truth_as_predictions()
    curves = {"oracle": curve(pages, truth, (0.0, 2.0)), "shared bottom": curve(pages, truth)}
    counts = {t.name: 10 ** (k + 1) for k, t in enumerate(TASKS)}
    panel = {"film": rng.random(5), "one gate": rng.random(5)}
    figures = [
        plots.label_counts(counts, np.corrcoef(rng.random((7, 20)))),
        plots.two_task_losses(_results(), _results()),
        plots.contest_differences({"Engagement": panel, "Satisfaction": panel}, {"film": "FiLM"}),
        plots.gate_maps({"trained": gates, "paper": np.array(list(paper_multitask.FIG5.values()))}),
        plots.polarisation(_results(), list(polarisation.SETTINGS)),
        plots.tradeoff(1.0, 2.0, pages, truth, curves),
        plots.tradeoffs([(1.0, 0.0), (0.5, 4.0)], pages, truth, curves),
    ]
    for fig in figures:
        assert plots.png(fig)[:4] == b"\x89PNG"
        for ax in fig.axes:
            assert ax.get_xlabel(), fig.describe()


@pytest.mark.parametrize(("experts", "correlation"), [(1, 0.0), (12, 1.0)])
def test_slider_over_its_corners(experts, correlation, monkeypatch):
    monkeypatch.setattr(two_tasks, "QUICK_STEPS", 40)
    told = []
    fig = plots.experts_and_correlation(experts, correlation, progress=lambda *a: told.append(a))
    assert plots.png(fig)[:4] == b"\x89PNG" and told
    plots.experts_at([(experts, correlation)])


def test_fig5_of_the_paper_sums_to_one_per_task():
    gates = torch.tensor(list(paper_multitask.FIG5.values()))
    assert torch.allclose(gates.sum(dim=1), torch.ones(7), atol=0.06)
