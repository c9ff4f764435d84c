"""The loop in a bottle, the second bias, the picture of the ledger."""

import numpy as np
import pandas as pd
import pytest
import torch

from course import ledger, plots
from course.errors import ConfigError
from course.experiments import second_bias
from course.experiments.feedback_bench import Bottle, turn
from course.experiments.position_bias import BiasTask
from course.simulator.config import WorldConfig
from course.world import simulate


@pytest.fixture(scope="module")
def task():
    world = simulate(WorldConfig.of("tiny", thumbnail_bias=2.0), seed=5, cache=False)
    return BiasTask(world, test_pages=1_500)


def mean(ranker, seeds=6, **dials):
    runs = [turn(ranker, Bottle(**dials), seed=s) for s in range(seeds)]
    return sum(runs) / len(runs)


def test_the_same_seed_turns_the_same_way():
    pd.testing.assert_frame_equal(turn("naive", seed=3), turn("naive", seed=3))


def test_oracle_above_learners_above_chance():
    late = {name: mean(name)["clicks"].iloc[10:].mean() for name in ("naive", "oracle", "random")}
    assert late["oracle"] > 1.05 * late["naive"] and late["naive"] > 1.5 * late["random"]


def test_a_closed_first_stage_costs_clicks_and_new_uploads():
    shut, free = mean("naive", closed=True).iloc[10:], mean("naive").iloc[10:]
    assert shut["clicks"].mean() < 0.95 * free["clicks"].mean()
    assert shut["new"].mean() < 0.7 * free["new"].mean()


def test_without_position_bias_there_is_nothing_to_correct():
    pd.testing.assert_frame_equal(
        turn("naive", Bottle(position_bias=0.0)), turn("corrected", Bottle(position_bias=0.0))
    )


def test_exploration_shows_more_of_the_catalogue():
    assert mean("naive", explore=0.2)["coverage"].mean() > mean("naive")["coverage"].mean() + 0.1


@pytest.mark.parametrize(
    "bad", [{"explore": 1.5}, {"explore": -0.1}, {"position_bias": -1.0}, {"new": 999}]
)
def test_bad_bottles(bad):
    with pytest.raises(ConfigError):
        Bottle(**bad)


def test_unknown_ranker():
    with pytest.raises(ConfigError, match="naive"):
        turn("nobody")


def test_bottle_figures_over_the_corners():
    pictures = {plots.png(plots.bottle_loop(b, e, c))
                for b in (0.0, 2.0) for e in (0.0, 0.4) for c in (False, True)}  # fmt: skip
    assert len(pictures) == 8
    assert len(plots.bottle_loops({"a": {}, "b": {"closed": True}}).axes) == 4


# --- The second bias -----------------------------------------------------------------------------


def test_residual_test_finds_a_gap_and_spares_the_innocent():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.3, 40_000)
    side, other = rng.random(len(p)) < 0.5, rng.integers(0, 4, len(p))
    clicked = rng.random(len(p)) < p * np.where(side, 1.15, 0.85)
    table = second_bias.residual_test(clicked, p, {"other": other, "side": side})
    assert list(table.index) == ["side", "other"]
    assert abs(table.loc["side", "gap"] - np.log(1.15 / 0.85)) < 0.06
    assert table.loc["side", "p"] < 1e-4 and table.loc["other", "p"] > 0.05


def test_residual_z_is_standard_normal_where_the_model_is_right():
    rng = np.random.default_rng(1)
    z = []
    for _ in range(300):
        p = rng.uniform(0.02, 0.3, 2_000)
        group = np.arange(2_000) % 2
        z.append(second_bias.residual_test(rng.random(2_000) < p, p, {"g": group})["z"].iloc[0])
    # The level is fitted, so one group's surplus is the other's lack: half of the variance.
    assert np.std(z) == pytest.approx(np.sqrt(0.5), abs=0.12) and abs(np.mean(z)) < 0.15


def test_residual_test_refuses_what_does_not_fit():
    with pytest.raises(ConfigError, match="shape"):
        second_bias.residual_test(np.zeros(3), np.full(4, 0.5), {})
    with pytest.raises(ConfigError, match="between 0 and 1"):
        second_bias.residual_test(np.zeros(3), np.array([0.0, 0.5, 0.5]), {})
    with pytest.raises(ConfigError, match="'x'"):
        second_bias.residual_test(np.zeros(3), np.full(3, 0.5), {"x": np.zeros(2)})


def test_the_size_goes_into_the_shallow_tower(task):
    cell = second_bias.cell(task.rows, True)
    large = task.rows["large_thumbnail"].to_numpy()
    assert torch.equal(cell % 3, task.device) and np.array_equal(cell.numpy() >= 3, large)
    models = {size: second_bias.fit_with(task, size, seed=1) for size in (False, True)}
    assert models[True].devices == 6 and second_bias.learned(models[True]) > 0.5
    clicked = task.next_day.cards["clicked"]
    gaps = []
    for size, model in models.items():
        p = second_bias.at_its_place(task, model)
        table = second_bias.residual_test(clicked, p, second_bias.columns(task.next_day.cards))
        gaps.append(table.loc["large thumbnail", "gap"])
        if not size:
            assert table.index[0] == "large thumbnail"
            assert plots.png(plots.suspects({"one": table, "two": table}))
    assert gaps[1] < 0.5 * gaps[0]
    assert second_bias.true_gap(task) > 0.5


def test_thinning_ties_the_size_to_popularity_and_to_nothing_else(task):
    watches = task.inputs.column("video watches")
    kept = second_bias.by_popularity(task.rows, watches, seed=1)
    large = task.rows["large_thumbnail"].to_numpy()
    assert abs(np.corrcoef(large, watches)[0, 1]) < 0.05
    assert np.corrcoef(large[kept], np.argsort(np.argsort(watches))[kept])[0, 1] > 0.25
    # Within a size and a level of popularity the clicks are as they were.
    popular = watches > np.median(watches)
    clicked = task.rows["clicked"].to_numpy()
    for cell in (large & popular, ~large & ~popular):
        assert clicked[cell & kept].mean() == pytest.approx(clicked[cell].mean(), rel=0.08)


# --- The ledger ----------------------------------------------------------------------------------


def test_every_claim_of_the_course_is_drawn():
    table = ledger.summary()
    fig = plots.ledger_overview()
    drawn = [text.get_text().replace("-\n", "-") for text in fig.axes[0].texts]
    signs = dict(zip(drawn[1::2], drawn[::2], strict=True))
    assert set(signs) == set(table["claim"])
    # A verdict has a sign of its own, for eyes that see no colours.
    known = table.set_index("claim")["verdict"].groupby(signs).unique()
    assert (known.str.len() == 1).all() and len(known) == table["verdict"].nunique()
    assert len(table) > 60
    assert (table["ours"] != "").all()
    for verdict, count in table["verdict"].value_counts().items():
        assert f"{count} {verdict}" in fig.describe()


def test_a_table_that_cannot_be_drawn():
    with pytest.raises(ConfigError, match="chapter"):
        plots.ledger_overview(pd.DataFrame({"claim": ["x"]}))
    bad = pd.DataFrame({"claim": ["x"], "chapter": ["01"], "verdict": ["maybe"]})
    with pytest.raises(ConfigError, match="maybe"):
        plots.ledger_overview(bad)


def test_winners_and_losers():
    rng = np.random.default_rng(0)
    columns = [f"{n}/{t}" for n in ("alone", "MMoE", "PLE")
               for t in ("click", "watch time", "completion", "like", "dismissal", "share",
                         "rating")]  # fmt: skip
    fig = plots.winners_and_losers(pd.DataFrame(rng.random((3, 21)), columns=columns))
    assert plots.png(fig) and len(fig.axes) == 2
