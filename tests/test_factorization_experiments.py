"""Experiments and figures of chapter 02: against counts by hand, switches, and their errors."""

import functools

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from worlds import tiny

from course import plots
from course.experiments import factor_settings, factorization
from course.experiments.factorization import dot, per_account
from course.experiments.next_watch import NextWatch
from course.models.factorization import interactions
from course.simulator.engine import Engine, Record


@functools.cache
def game() -> NextWatch:
    return NextWatch(tiny().logs())


@functools.cache
def vectors():
    return factorization.fit_als(interactions(game().train), factors=16)


def mrr(score, events=None):
    events = game().events if events is None else events
    return game().measure(per_account(score, events), events, recall=(20,))["mrr"]


# --- floors and ceiling


def test_floors_are_the_counts_they_are_named_after():
    floors, train = factorization.floors(game()), game().train
    user, w = np.array([0, 3, 9]), train.watches
    language = train.users["language"].astype(str).to_numpy()
    alike = language[w["user_id"]] == language[3]
    recent = w["time"] > w["time"].max() - factorization.RECENT_DAYS
    for name, rows in (
        ("popularity", w),
        ("popularity in my language", w[alike]),
        ("recent popularity", w[alike & recent]),
    ):
        counts = np.bincount(rows["video_id"], minlength=len(train.videos))
        assert np.array_equal(floors[name](user)[1], counts), name
    assert floors["random"](user).shape == (3, len(train.videos))


def test_the_oracle_is_above_all_floors_and_random_is_below():
    events = factorization.sampled(game(), 400)
    oracle = factorization.oracle_scores(tiny(), game(), events)
    best = game().measure(oracle, events)["mrr"]
    floors = {name: mrr(of, events) for name, of in factorization.floors(game()).items()}
    assert floors["random"] < min(floors["popularity"], floors["popularity in my language"])
    assert best > 1.1 * max(floors.values())


def test_the_oracle_finds_only_uploaded_videos_of_the_own_language():
    world, events = tiny(), factorization.sampled(game(), 50)
    user, time = events["user_id"].to_numpy(), events["time"].to_numpy()
    device = events["device"].cat.codes.to_numpy().astype(int)
    videos = len(world.logs().videos)
    found = factorization._found(world, user, time, device, videos)
    c, people = world.engine.catalogue, world.engine.people
    foreign = c.language[:videos] != people.language[user][:, None]
    future = c.uploaded[:videos] > time[:, None]
    assert np.all(found[foreign | future] == 0)
    # A share is lost to topics that have no video yet; in a tiny world there are such.
    total = found.sum(axis=1)
    assert total.max() < 1 + 1e-6 and np.median(total) > 0.7


def test_truth_at_a_day_remembers_that_day_and_no_more():
    world = tiny()
    engine = Engine(world.config, world.seed)
    engine.run(0, world.config.days, engine.past_ranking(), Record())
    assert np.array_equal(engine.memory.video_watches, world.truth._memory.video_watches)
    early = factorization.truth_at(world, 10.0)
    counted = world.logs().watches.query("time < 10")["video_id"]
    assert early._memory.video_watches.sum() == len(counted)
    assert early.end == 10.0


# --- factorizations


def test_scores_of_events_are_those_of_their_accounts():
    x, y = vectors()
    rows = per_account(dot(x, y), game().events)(slice(3, 6))
    assert np.allclose(rows, x[game().events["user_id"].to_numpy()[3:6]] @ y.T)


def test_the_clock_adds_the_log_of_recent_counts():
    base, user = dot(*vectors()), np.arange(7)
    recent = factorization.floors(game())["recent popularity"](user)
    gained = factorization.with_clock(base, game(), 0.3)(user) - base(user)
    assert np.allclose(gained, 0.3 * np.log1p(recent), atol=1e-5)


def test_the_last_week_holds_only_its_watches():
    week = factorization.last_days(game(), 7.0)
    w = game().train.watches
    late = w[w["time"] >= game().at - 7.0].drop_duplicates(["user_id", "video_id"])
    assert week.nnz == len(late) < interactions(game().train).nnz


def test_old_bags_hold_nothing_from_the_days_between():
    events = game().events.iloc[:200]
    bags = factorization.late_bags(game(), events, 7.0)
    vocabulary = game().features.videos
    uploaded = game().train.videos["uploaded"].to_numpy()
    ids = vocabulary.decode(bags)
    assert np.all(uploaded[ids[ids >= 0]] < game().at - 7.0)
    assert (ids >= 0).sum() < (factorization.late_bags(game(), events, 0.0) >= 0).sum() + 1


def test_recovery_knows_the_truth_from_its_opposite_and_from_chance():
    world, rng = tiny(), np.random.default_rng(0)
    accounts, videos = np.arange(60), np.arange(len(game().train.videos))
    moment = int(game().at) - 0.5

    def true(user):
        return world.truth.interest(user[:, None], videos, moment)

    scores = {
        "true": true,
        "opposite": lambda user: -true(user),
        "chance": lambda user: rng.random((len(user), len(videos))),
        "equal": lambda user: np.zeros((len(user), len(videos))),
    }
    found = factorization.recovery(world, scores, accounts, game().at, videos=20)
    assert list(found.index) == list(accounts)
    assert found["true"].mean() > 0.8
    assert np.allclose(found["opposite"], -found["true"])
    assert abs(found["chance"].mean()) < 0.1
    assert found["equal"].isna().all()


def test_recovery_takes_fewer_videos_where_a_language_has_few():
    found = factorization.recovery(
        tiny(), {"als": dot(*vectors())}, np.arange(len(tiny().logs().users)), game().at, videos=999
    )
    assert found["als"].notna().any()


def test_vectors_recover_taste_better_than_counts():
    active = np.unique(game().train.watches["user_id"])
    scores = {"als": dot(*vectors()), **factorization.floors(game())}
    found = factorization.recovery(tiny(), scores, active, game().at, videos=20).mean()
    assert found["als"] > found["recent popularity"] + 0.03


def test_correlation_by_hand():
    a = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    b = np.array([[2.0, 1.0, 6.0], [1.0, 2.0, 3.0]])
    got = factorization._correlation(a, b)
    assert got[0] == pytest.approx(np.corrcoef(a[0], b[0])[0, 1]) and np.isnan(got[1])


# --- settings and the switch


def test_more_factors_fit_better_and_strong_regularisation_stops_them():
    loose, tight = (factor_settings.settings_curve(r) for r in (0.1, 100.0))
    assert loose["fit"].is_monotonic_increasing and loose["fit"].iloc[-1] > 0.95
    assert loose["held_out"].idxmax() < 64, "many factors without regularisation do harm"
    assert loose["held_out"].iloc[-1] < 0.8 * loose["held_out"].max()
    assert np.ptp(tight["fit"]) < 0.05 and tight["fit"].max() < loose["fit"].max()


def test_progress_is_told_and_settings_are_kept():
    told = []
    factor_settings.settings_curve(7.0, progress=lambda *report: told.append(report))
    assert [report[:2] for report in told] == [(k, 8) for k in range(1, 9)]
    before = factor_settings.fit_and_quality.cache_info().hits
    factor_settings.settings_curve(7.0)
    assert factor_settings.fit_and_quality.cache_info().hits == before + 8


def test_the_personal_gain_is_gone_in_a_world_of_one_taste():
    seeds = range(4)
    own = np.mean([factor_settings.personal_gain(seed) for seed in seeds])
    alike = np.mean([factor_settings.personal_gain(seed, own_taste=0.0) for seed in seeds])
    assert own > 0.01 and abs(alike) < 0.01


# --- the figures


def figures():
    rng = np.random.default_rng(0)
    table = csr_matrix((rng.random((50, 40)) < 0.1).astype(float))
    methods = ("random", "matrix factorization", "deep candidates, old bags", "oracle")
    one = {"MRR": dict(zip(methods, (0.01, 0.04, 0.05, 0.2), strict=True))}
    five = {m: {name: rng.random(5) for name in methods} for m in ("MRR", "recall@20")}
    weights = pd.DataFrame({"mrr": [0.1, 0.2], "recall@20": [0.3, 0.4]}, index=[0, 1])
    lines = pd.DataFrame({"mrr": [0.15], "recall@20": [0.2]}, index=["recent popularity"])
    found = pd.DataFrame({"matrix factorization": rng.random(90)})
    return {
        "who_watched_what": lambda: plots.who_watched_what(
            table, np.array(["a", "b"] * 25), np.array(["a", "b"] * 20), {"same": 2.0, "other": 1.0}
        ),
        "descent": lambda: plots.descent([9e3, 5e3, 4e3, 3e3], [0.02, 0.03], 0.025),
        "contest of one": lambda: plots.contest(one),
        "contest of five": lambda: plots.contest(five),
        "clock_weights": lambda: plots.clock_weights(weights, lines),
        "taste_by_history": lambda: plots.taste_by_history(found, rng.integers(1, 200, 90)),
        "slider, lowest": lambda: plots.factors_and_regularisation(1, 0.1),
        "slider, highest": lambda: plots.factors_and_regularisation(128, 100.0),
        "settings": lambda: plots.factors_at([(1, 0.1), (64, 100.0)]),
    }


@pytest.mark.parametrize("name", sorted(figures()))
def test_figures_are_drawn_and_labelled(name):
    fig = figures()[name]()
    assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
    for ax in fig.axes:
        assert ax.get_xlabel(), f"{name}: an x axis without a label"
    labelled = fig.axes[0].get_ylabel() or [t.get_text() for t in fig.axes[0].get_yticklabels()]
    assert labelled, f"{name}: a y axis without a label"


def test_the_figure_of_the_table_shows_what_is_filled():
    table = csr_matrix(np.array([[1.0, 0, 0], [0, 0, 1.0]]))
    names = np.array(["x", "y"]), np.array(["q", "p", "q"])
    image = plots.who_watched_what(table, *names, {"any": 1.0}).axes[0].images[0].get_array()
    assert np.array_equal(np.asarray(image), [[0, 1, 0], [0, 0, 1]]), "columns p, q, q"
