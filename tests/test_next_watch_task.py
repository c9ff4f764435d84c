"""The guessing game of chapters 02 and 03: what is known, what is hidden, ranks, pages, ceiling."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from worlds import mini

from course import ab_test
from course.errors import LogError, PolicyError
from course.lessons import candidate_generation as cg
from course.lessons import matrix_factorization as mf
from course.simulator.engine import Engine, Record
from course.simulator.experiment import live_requests
from course.tasks import oracle as ceiling
from course.tasks.next_watch import Moments, NextWatch, policy
from course.tasks.oracle import oracle, truth_at


@functools.cache
def game():
    return NextWatch(mini().logs(), days=2)


def by_luck(moments):
    """Scores of few values, the same for the same moments."""
    rng = np.random.default_rng((1_000 * moments.time).astype(int).tolist())
    return rng.integers(0, 20, (len(moments), game().videos)).astype(float)


def knows_the_answer(moments):
    """A planted leak: the next first watch, looked up by account and time."""
    answer = game().events.set_index(["user_id", "time"])["video_id"]
    out = np.zeros((len(moments), game().videos))
    asked = zip(moments.user.tolist(), moments.time.tolist(), strict=True)
    out[np.arange(len(out)), answer.loc[list(asked)]] = 1.0
    return out


def requests_of(n=40, candidates="catalogue"):
    """Live page requests of the world of the game."""
    return live_requests(mini().engine, n, candidates=candidates)[1]


# --- what is known


def test_training_ends_where_the_events_begin():
    g = game()
    assert g.train.watches["time"].max() < g.at <= g.events["time"].min()
    assert g.examples(after=3.0)["time"].between(3.0, g.at, inclusive="left").all()
    assert g.videos == len(g.train.videos) and g.events["video_id"].max() < g.videos
    with pytest.raises(LogError):
        NextWatch(g.logs, days=60)


def test_events_are_first_watches():
    w = game().logs.watches.sort_values("time", kind="stable")
    first = w.drop_duplicates(["user_id", "video_id"]).set_index(["user_id", "video_id"])["time"]
    events = game().events
    assert (first.loc[list(zip(events["user_id"], events["video_id"], strict=True))].to_numpy()
            == events["time"]).all()  # fmt: skip
    late = first[(first >= game().at) & (first.index.get_level_values(1) < game().videos)]
    assert len(events) == len(late)
    few = game().sample(9)
    assert len(few) == 9 and few["time"].is_monotonic_increasing
    assert len(game().sample(10**6)) == len(events)


def test_past_moments_by_hand():
    g, events = game(), game().events.tail(20)
    moments = Moments.of_events(g.logs, events)
    assert len(moments) == 20 and len(moments[3:5]) == 2
    np.testing.assert_array_equal(moments.user, events["user_id"])
    for i, event in enumerate(events.itertuples()):
        w = g.logs.watches.query(f"user_id == {event.user_id} and time < {event.time!r}")
        bag = w.sort_values("time", kind="stable")["video_id"].to_numpy()[::-1][:50]
        np.testing.assert_array_equal(moments.watched[i], np.pad(bag, (0, 50 - len(bag)),
                                                                 constant_values=-1))  # fmt: skip
        assert g.logs.watches["device"].cat.categories[moments.device[i]] == event.device


def test_a_live_request_and_the_log_tell_the_same_of_one_moment():
    requests, logs = requests_of(), mini().logs()
    live = Moments.of_requests(requests)
    kinds = {name: logs.watches[name].cat.categories for name in ("device", "daypart")}
    asked = pd.DataFrame({"user_id": requests.user, "time": requests.time} | {
        name: pd.Categorical.from_codes(getattr(requests, name), kinds[name]) for name in kinds
    })  # fmt: skip
    logged = Moments.of_events(logs, asked)
    assert (live.watched >= 0).any() and (live.searched >= 0).any()
    for name, value in vars(live).items():
        other = getattr(logged, name)
        assert value.dtype == other.dtype and value.shape == other.shape, name
        if value.ndim == 2:  # what happened at the same time has no order; a full bag is cut there
            kept = (value[:, -1] < 0) & (other[:, -1] < 0)
            assert kept.mean() > 0.5
            value, other = (np.sort(bags[kept], axis=1) for bags in (value, other))
        np.testing.assert_array_equal(value, other, err_msg=name)


# --- ranks and measures


def test_hidden_is_what_was_watched_or_is_not_uploaded():
    g, events = game(), game().events.sample(20, random_state=1)
    hidden = g.hidden(Moments.of_events(g.logs, events))
    w, uploaded = g.logs.watches, g.train.videos["uploaded"].to_numpy()
    for row, event in zip(hidden, events.itertuples(), strict=True):
        seen = w[(w["user_id"] == event.user_id) & (w["time"] < event.time)]["video_id"]
        want = uploaded > event.time
        want[[v for v in seen if v < len(want)]] = True
        assert (row == want).all()


def test_ranks_by_hand_with_ties_and_in_chunks(monkeypatch):
    g, events = game(), game().events.head(30)
    moments = Moments.of_events(g.logs, events)
    scores, hidden = by_luck(moments), g.hidden(moments)
    found = g.rank(lambda part: scores, events)
    for row, video, out, rank in zip(scores, events["video_id"], hidden, found, strict=True):
        rivals = [s for v, s in enumerate(row) if v != video and not out[v]]
        assert rank == 1 + sum(s > row[video] for s in rivals) + sum(
            s == row[video] for s in rivals) / 2  # fmt: skip
    monkeypatch.setattr("course.tasks.next_watch.CHUNK", 7)
    rows = iter(np.split(scores, range(7, 30, 7)))
    assert (g.rank(lambda part: next(rows), events) == found).all()


def test_who_knows_the_answer_is_always_right_and_who_knows_nothing_is_in_the_middle():
    g = game()
    alone = g.events.drop_duplicates(["user_id", "time"], keep=False)  # one answer a moment
    assert g.offline(knows_the_answer, alone)["mrr"] == 1.0
    free = (~g.hidden(Moments.of_events(g.logs, g.events))).sum(axis=1)
    even = g.rank(lambda moments: np.zeros((len(moments), g.videos)))
    np.testing.assert_array_equal(even, (free + 1) / 2)


def test_shares_are_a_softmax_over_what_can_be_recommended():
    g, events = game(), game().events.head(12)
    moments = Moments.of_events(g.logs, events)
    odds = np.exp(by_luck(moments)) * ~g.hidden(moments)
    want = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
    found = g.shares(by_luck, events)
    np.testing.assert_allclose(found, want, atol=1e-12)
    assert found.sum() == pytest.approx(1)


# --- pages


@pytest.mark.parametrize("candidates", ["catalogue", "nominated"])
def test_live_pages_hold_the_best_that_were_not_watched(candidates):
    requests, scores = requests_of(40, candidates), {}

    def scorer(moments):
        scores["now"] = by_luck(moments)
        return scores["now"]

    pages = game().policy(scorer)(requests)
    assert pages.shape == (40, requests.slate)
    for i, page in enumerate(pages):
        offered = range(requests.available)
        offered = offered if requests.candidates is None else requests.candidates[i]
        watched = {*requests.recent_videos[i].tolist()}
        known = [v for v in offered if v not in watched and v < game().videos]
        best = np.sort(scores["now"][i, known])[::-1][: len(page)]
        # What is newer than the model, or was watched, is shown when nothing else is left.
        assert len({*page.tolist()}) == len(page) and {*page[: len(best)].tolist()} <= {*known}
        np.testing.assert_array_equal(scores["now"][i, page[: len(best)]], best)


def test_pages_at_the_cut_show_nothing_watched_or_future():
    g, users = game(), np.arange(60)
    pages = g.pages(by_luck, users, k=7)
    table = mf.who_watched_what(g.train)
    assert pages.shape == (60, 7) and not table[users[:, None], pages].toarray().any()
    assert (g.train.videos["uploaded"].to_numpy()[pages] <= g.at).all()


def test_a_page_must_fit():
    with pytest.raises(PolicyError, match="out of 4 videos"):
        ab_test(mini(), {"few": policy(lambda m: np.zeros((len(m), 4)), 4)}, n=20,
                candidates="catalogue")  # fmt: skip


def test_live_is_a_test_of_the_pages():
    scorers = {"luck": by_luck, "count": counts()}
    found = game().live(mini(), scorers, n=60).table
    pages = {name: game().policy(scorer) for name, scorer in scorers.items()}
    pd.testing.assert_frame_equal(found, ab_test(mini(), pages, n=60, candidates="catalogue").table)


def counts():
    table, language = mf.popularity(game().train), game().train.users["language"].cat.codes
    return lambda moments: table[language.to_numpy()[moments.user]]


def test_a_readers_default_type_changes_nothing():
    def found():
        model = cg.NextVideo(game().videos, 8, (6,))
        user, video = mf.als(mf.who_watched_what(game().train), 8, iterations=2)
        moments = Moments.of_events(game().logs, game().events.head(40))
        return game().offline(cg.scorer(model)), game().offline(mf.dot(user, video)), moments

    try:
        torch.set_default_dtype(torch.float64)
        wide = found()
    finally:
        torch.set_default_dtype(torch.float32)
    for result in wide[:2]:
        assert all(0 <= value <= 1 for value in result.values())
    np.testing.assert_array_equal(wide[2].watched, found()[2].watched)


# --- the ceiling


def test_the_oracle_is_above_the_counts_and_luck_is_below():
    mrr = {name: game().offline(scorer)["mrr"] for name, scorer in (
        ("oracle", oracle(mini(), game())), ("counts", counts()), ("luck", by_luck),
    )}  # fmt: skip
    assert mrr["oracle"] > 1.1 * mrr["counts"] and mrr["counts"] > 1.1 * mrr["luck"]


def test_the_oracle_finds_only_uploaded_videos_of_the_own_language():
    world, moments = mini(), Moments.of_events(game().logs, game().sample(60))
    found = ceiling._found(world, moments, game().videos)
    c, people = world.engine.catalogue, world.engine.people
    foreign = c.language[: game().videos] != people.language[moments.user][:, None]
    future = c.uploaded[: game().videos] > moments.time[:, None]
    assert (found[foreign | future] == 0).all()
    # A share is lost to topics that have no video yet; in a small world there are such.
    assert found.sum(axis=1).max() < 1 + 1e-6 and np.median(found.sum(axis=1)) > 0.5


def test_truth_at_a_day_remembers_that_day_and_no_more():
    world = mini()
    engine = Engine(world.config, world.seed)
    engine.run(0, world.config.days, engine.past_ranking(), Record())
    assert np.array_equal(engine.memory.video_watches, world.truth._memory.video_watches)
    early = truth_at(world, 5.0)
    counted = world.logs().watches.query("time < 5")["video_id"]
    assert early._memory.video_watches.sum() == len(counted) and early.end == 5.0
