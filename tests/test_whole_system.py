"""The whole system on a tiny world: its steps, sources, funnel and the loop (chapter 12)."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from course import ab_test, plots, simulate
from course.errors import ConfigError
from course.experiments import funnel_width, offline_live, source_recall
from course.experiments import system_trial as trial
from course.experiments import whole_system as ws
from course.experiments.ranking import fit_ranker
from course.recommender import Pool, pooled

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world():
    return simulate("tiny", seed=3, cache=False)


@pytest.fixture(scope="module")
def system(world):
    return ws.build(world, plain=True, seed=1, test_pages=400)


@pytest.fixture(scope="module")
def pages(world):
    return funnel_width.CorpusPages(world, 60)


def test_the_shallow_tower_learns_that_lower_is_less_clicked(system):
    curve = system.final.shallow.curve()[0]
    assert curve[-1] < -0.5
    assert system.plain.shallow is None
    assert system.final.shallow.table.weight.shape[1] == 3  # click, watch time, completion


def test_steps_are_those_of_the_course(system):
    made = ws.policies(system)
    assert tuple(made) == ws.STEPS
    assert tuple(ws.policies(replace(system, plain=None))) == tuple(
        step for step in ws.STEPS if step != "+ many objectives"
    )


def test_prepared_pages_are_those_of_the_recommender(world, system):
    made = ws.policies(system)
    names = {"+ watch-time ranker": system.recommender, "+ shallow tower": system.whole}
    arms = {name: made[name] for name in names}
    arms |= {f"{name}, alone": alone for name, alone in names.items()}
    shown = ab_test(world, arms, n=40, candidates="catalogue").pages
    for name in names:
        same = shown[name] == shown[f"{name}, alone"]
        assert same.mean() > 0.97  # equal scores may stand in another order


def test_table_of_steps_is_paired(system):
    result = ws.run_steps(system, n=80)
    table = ws.table_of_steps(result)
    assert tuple(table.index) == ws.STEPS
    seen, mean = result.per_page["popularity"]["watch_minutes"]
    before = result.per_page["random"]["watch_minutes"][0]
    row = table.loc["popularity"]
    assert row["watch_minutes", "expected"] == pytest.approx(mean.mean())
    assert row["watch_minutes", "step"] == pytest.approx((seen - before).mean())
    assert np.isnan(table.loc["random"]["watch_minutes", "step"])
    expected = table["watch_minutes", "expected"]
    assert expected["oracle"] == expected.max()
    assert expected["+ watch-time ranker"] > expected["random"]


def test_steps_over_worlds_against_arithmetic():
    rows = {f"steps/{s}/watch_minutes/{w}": [i + 1.0, 2 * (i + 1.0), 4 * (i + 1.0)]
            for i, s in enumerate(ws.STEPS) for w in ("expected", "observed")}  # fmt: skip
    table = ws.steps_over_worlds(pd.DataFrame(rows))
    assert table.loc["oracle", "of the oracle (%)"] == pytest.approx(100)
    assert table.loc["popularity", "step (%)"] == pytest.approx(100)
    assert table.loc["popularity", "half"] == pytest.approx(0)
    assert table.loc["random", "expected"] == pytest.approx(7 / 3)


def test_future_watches_are_first_and_known_only_later(world):
    requests, videos = source_recall.future_watches(world, days=2, n=200)
    logs = world.logs()
    assert (requests.time >= world.config.days).all()
    assert (videos < len(logs.videos)).all()
    old = set(zip(logs.watches["user_id"], logs.watches["video_id"], strict=True))
    assert not old & set(zip(requests.user, videos, strict=True))
    assert (requests.recent_videos != videos[:, None]).all()
    row = int(np.argmin(requests.time))  # nothing new has happened yet, or hardly anything
    w = logs.watches[logs.watches["user_id"] == requests.user[row]].sort_values("time")
    if len(w):
        assert set(w["video_id"].tail(5)) & set(requests.recent_videos[row])
    with pytest.raises(ConfigError, match="n="):
        source_recall.future_watches(world, n=0)


def test_recall_of_sources_by_hand(world, system):
    requests, videos = source_recall.future_watches(world, days=2, n=60)
    found = source_recall.recall_of_sources(system.sources, requests, videos)
    pool = pooled(system.sources, requests)
    at = [(i, j) for i, v in enumerate(videos) for j in np.flatnonzero(pool.videos[i] == v)]
    named = [[n for n, s in zip(pool.sources, pool.scores[i, j], strict=True) if not np.isnan(s)]
             for i, j in at]  # fmt: skip
    assert found["pool/recall"] == pytest.approx(len(named) / 60)
    for name in pool.sources:
        hit, only = sum(name in n for n in named), sum(n == [name] for n in named)
        assert found[f"{name}/recall"] == pytest.approx(hit / 60)
        assert found[f"{name}/alone"] == pytest.approx(only / 60)
    assert found["pool/recall"] >= max(found[f"{n}/recall"] for n in pool.sources)
    widths = source_recall.recall_by_width(pool, videos, (5, 400), requests.available)
    assert widths[400][0] == found["pool/recall"]
    assert widths[5][0] <= widths[400][0] and widths[5][1] < widths[400][1]


def test_outcomes_are_those_of_a_live_experiment(world, pages):
    result = ab_test(world, {"random": world.random()}, n=60, candidates="catalogue")
    found = pages.outcomes(result.pages["random"])
    table = result.table.set_index("metric")["expected"]
    for metric in ("watch_minutes", "satisfied", "clicks", "topics"):
        assert found[metric] == pytest.approx(table[metric], rel=1e-4)


def test_the_oracle_is_the_best_of_the_corpus(world, pages):
    result = ab_test(world, {"oracle": world.oracle("watch")}, n=60, candidates="catalogue")
    everything = np.broadcast_to(np.arange(pages.requests.available), pages.value["clicks"].shape)
    best = pages.best(pages.value["watch_minutes"], everything)
    expected = result.table.set_index("metric")["expected"]["watch_minutes"]
    assert best["watch_minutes"] == pytest.approx(expected, rel=1e-3)


def test_widths_end_at_the_pages_of_the_two_stages(world, system, pages):
    found, scores = funnel_width.widths(system, pages, (10, 40))
    live = ab_test(world, {"system": system.recommender}, n=60, candidates="catalogue").table
    expected = live.set_index("metric")["expected"]["watch_minutes"]
    assert found["pool"]["watch_minutes"] == pytest.approx(expected, rel=0.02)
    assert found["10"]["cards"] == 10
    assert found["10"]["cards"] < found["40"]["cards"] < found["pool"]["cards"]
    assert found["pool"]["cards"] < found["corpus"]["cards"]
    assert scores.shape == pages.value["clicks"].shape


def test_whole_catalogue_leaves_out_what_was_watched(pages):
    everything = pages.everything()
    for row in range(5):
        recent = {v for v in pages.requests.recent_videos[row] if v >= 0}
        shown = {v for v in everything.videos[row] if v >= 0}
        assert shown == set(range(pages.requests.available)) - recent


def test_first_pages_are_a_part(pages):
    few = pages.first(7)
    assert len(few) == 7 and few.seen.shape[0] == 7 and len(pages) == 60
    assert few.value["clicks"].shape[0] == 7


def test_waiting_costs_what_it_says():
    p = funnel_width.break_even(10.0, 11.0, 300.0)
    assert 11.0 * (1 - p) ** 3 == pytest.approx(10.0)
    assert funnel_width.break_even(10.0, 9.0, 300.0) == 0.0


def test_diversity_grows_with_its_strength(system, pages):
    pool = system.recommender.nominate(pages.requests)
    scores = funnel_width.scored(system.recommender, pages, pool)
    found = funnel_width.diversity(pages, scores, pool, (0.0, 1.0, 5.0))
    plain = pages.best(scores, np.maximum(pool.videos, 0))
    assert found[0.0]["watch_minutes"] == pytest.approx(plain["watch_minutes"])
    assert found[0.0]["topics"] < found[1.0]["topics"] <= found[5.0]["topics"]


def test_costs_and_straightness(system, pages):
    cost = funnel_width.page_cost(system.recommender, pages, (20, 200), repeats=1, n=20)
    assert cost[200]["score"] > cost[20]["score"]
    assert set(cost[20]) == {"score", "point", "list"}
    assert funnel_width.straightness([1, 2, 3], [5.0, 7.0, 9.0]) == pytest.approx(1.0)
    assert funnel_width.straightness([1, 2, 3], [5.0, 9.0, 5.0]) == pytest.approx(0.0)
    layers = system.watch.tower.layers
    by_hand = sum(m.weight.numel() for m in (layers[0].linear, layers[2], layers[4]))
    assert funnel_width.multiplications(system.watch) == by_hand + 32


def test_combination_sweep_holds_the_served_setting(world, system, pages):
    pool = system.recommender.nominate(pages.requests)
    sweep = funnel_width.combination_sweep(system, pages, pool)
    row = sweep[(sweep["watch time"] == 1.0) & (sweep["rating"] == ws.RATING_WEIGHT)].iloc[0]
    live = ab_test(world, {"whole": system.whole}, n=60, candidates="catalogue").table
    expected = live.set_index("metric")["expected"]["watch_minutes"]
    assert row["watch_minutes"] == pytest.approx(expected, rel=0.02)
    again = trial.combined(system, pages, pool)["1"]
    assert row["satisfied"] == pytest.approx(again["satisfied"])


@pytest.fixture(scope="module")
def dozen(system, pages):
    click = fit_ranker(system.data.task, (16,), "click", epochs=1)
    return pd.DataFrame(offline_live.compare(system, offline_live.dozen(system, click), pages)).T


def test_a_dozen_policies(system, pages, dozen):
    assert tuple(dozen.index) == offline_live.DOZEN
    assert abs(dozen.loc["random", "auc"] - 0.5) < 0.05
    assert dozen.loc["click ranker", "auc"] > 0.6
    pool = system.recommender.nominate(pages.requests)
    scores = funnel_width.scored(system.recommender, pages, pool)
    plain = pages.best(scores, np.maximum(pool.videos, 0))
    assert dozen.loc["watch ranker", "watch_minutes"] == pytest.approx(
        plain["watch_minutes"], rel=0.02
    )


def test_offline_error_does_not_care_about_the_scale(system):
    task = system.data.task
    scores = system.watch.logits(task.test).astype(float)
    one, other = (offline_live.offline(task, s) for s in (scores, np.exp(3 * scores)))
    assert one["auc"] == pytest.approx(other["auc"])
    assert one["error"] == pytest.approx(other["error"], rel=1e-3)
    truth = offline_live.offline(task, task.next_day.cards["watched_seconds"].to_numpy(float))
    assert truth["error"] < 0.3 < one["error"]


def test_agreement_knows_that_errors_are_better_low():
    found = pd.DataFrame({"auc": [1, 2, 3], "error": [3.0, 2.0, 1.0], "clicks": [1.0, 2.0, 3.0]})
    assert offline_live.agreement(found, "auc", "clicks") == {"rho": 1.0, "turned": 0.0}
    assert offline_live.agreement(found, "error", "clicks") == {"rho": 1.0, "turned": 0.0}
    found.loc[0, "clicks"] = 2.5
    assert offline_live.agreement(found, "auc", "clicks")["turned"] == pytest.approx(1 / 3)


def test_the_loop_closes(system):
    found = trial.flow(system)
    assert found["satisfaction moved"] == 0.0
    assert found["engagement moved"] > 0.3
    assert found["new inputs"] == found["new impressions"] > 0
    assert found["new impressions"] % system.world.config.slate == 0
    assert found["tasks"] == 7 and found["inputs"] == system.final.inputs.width


def test_figures_of_the_chapter(dozen):
    rng = np.random.default_rng(0)
    names = ("a", "b")
    steps = {f"steps/{s}/{m}/expected": rng.uniform(1, 9, 3)
             for s in ws.STEPS for m in ("watch_minutes", "satisfied")}  # fmt: skip
    recall = {f"sources/{n}/{k}": rng.random(3) for n in (*names, "pool", "pool, as many", "random")
              for k in ("recall", "alone")}  # fmt: skip
    ope = {f"{k}/{n}/IPS/rmse": rng.uniform(1, 50, 3) for k in ("full", "no") for n in (10, 100)}
    drift = {f"drift {d}/ranker/{w}/minutes": rng.uniform(1, 2, 3) for d in (0, 0.5)
             for w in ("once", "on")}  # fmt: skip
    drift |= {f"drift {d}/factors/{w}/taste": rng.uniform(0, 1, 3) for d in (0, 0.5)
              for w in ("once", "on", "late")}  # fmt: skip
    sweep = pd.DataFrame({"watch time": [0, 0, 1, 1], "rating": [0, 8, 0, 8],
                          "watch_minutes": [1, 2, 3, 4], "satisfied": [4, 3, 2, 1],
                          "clicks": [1, 1, 1, 1]}).astype(float)  # fmt: skip
    cards, minutes = np.array([10.0, 100.0, 2_000.0]), np.array([1.0, 3.0, 3.3])
    figures = [
        plots.course_steps(pd.DataFrame(steps), ws.STEPS),
        plots.source_recall(pd.DataFrame(recall), names),
        plots.funnel_value(90, 2.0, cards, minutes),
        plots.funnel_value_at((0.0, 20.0), cards, minutes),
        plots.combination_value(1.0, 0.0, sweep),
        plots.combination_values([(0.0, 0.0), (1.0, 8.0)], sweep),
        plots.offline_beside_live(dozen, [("auc", "clicks"), ("error", "watch_minutes")],
                                  [{"random": (5, 5)}, {}]),
        plots.off_policy_errors(pd.DataFrame(ope), (10, 100), ("IPS",), {"full": "A", "no": "B"}),
        plots.drift_gains(pd.DataFrame(drift), (0.0, 0.5)),
    ]  # fmt: skip
    for fig in figures:
        assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
        for ax in fig.axes:
            assert ax.get_xlabel()
        assert any(ax.get_ylabel() or ax.get_yticklabels() for ax in fig.axes)


def test_impatience_narrows_the_best_funnel():
    cards, minutes = np.array([10.0, 100.0, 2_000.0]), np.array([1.0, 3.0, 3.3])
    titles = [ax.get_title("left") for ax in
              plots.funnel_value_at((0.0, 20.0), cards, minutes).axes]  # fmt: skip
    assert "2,000" in titles[0] and "best 100" in titles[1]


def test_an_empty_pool_row_is_never_shown(system, pages):
    few = pages.first(2)
    pool = Pool(np.array([[3, 4, 5], [6, -1, -1]], np.int32), np.zeros((2, 3, 1), np.float32),
                ("x",))  # fmt: skip
    scores = funnel_width.scored(system.recommender, few, pool)
    assert np.isneginf(scores[1, 1:]).all() and np.isfinite(scores[0]).all()


def test_a_width_between_two_measured_ones_is_interpolated():
    cards, minutes = np.array([10.0, 1_000.0]), np.array([2.0, 4.0])
    titles = [plots.funnel_value(w, d, cards, minutes).axes[0].get_title("left")
              for w, d in ((100, 0.0), (110, 0.0), (100, 50.0))]  # fmt: skip
    assert titles[0] == "100 cards: 40 ms, 3.0 minutes"
    assert len(set(titles)) == 3
    assert titles[2].endswith("2.3 minutes")  # half leaves per 100 ms: 3 x 0.5 ** 0.4
