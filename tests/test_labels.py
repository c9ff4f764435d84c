"""Labels and context: how examples are made, and how the two kinds of tests treat them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from course import ab_test, plots
from course.errors import ConfigError
from course.experiments import agreement, asymmetry, labels
from course.experiments.heldout import (
    HeldOut,
    around_bags,
    around_inputs,
    around_search_bags,
)
from course.experiments.last_query import (
    LastQueryFeatures,
    LastQueryGenerator,
    last_queries,
    last_query,
)
from course.experiments.next_watch import NextWatch
from course.features import Features, history_bags
from course.models.candidate_generation import Batch, CandidateGenerator, CandidatePolicy
from course.world import simulate


@pytest.fixture(scope="module")
def world():
    return simulate("tiny", seed=5, cache=False, days=20)


@pytest.fixture(scope="module")
def game(world):
    return NextWatch(world.logs())


@pytest.fixture(scope="module")
def held(game):
    return HeldOut(game, seed=1)


@pytest.fixture(scope="module")
def rows(game, held):
    return game.examples().drop(index=held.events.index)


# --- the two kinds of context


def around_by_hand(watches, user, time, video, half):
    own = watches[watches["user_id"] == user]
    before = own[own["time"] < time].sort_values("time", kind="stable")["video_id"][::-1][:half]
    after = own[own["time"] > time].sort_values("time", kind="stable")["video_id"][:half]
    return {v for v in [*before, *after] if v != video}


def test_around_is_what_lies_on_both_sides(game, rows):
    some = rows.sample(80, random_state=0)
    bags = around_bags(game.train, some, 10)
    assert bags.shape == (80, 10)
    for bag, (_, row) in zip(bags, some.iterrows(), strict=True):
        expected = around_by_hand(
            game.train.watches, row["user_id"], row["time"], row["video_id"], 5
        )
        assert set(bag[bag >= 0]) == expected


def test_left_half_is_the_past(game, rows):
    past = history_bags(game.train, rows, 5)
    label = rows["video_id"].to_numpy()[:, None]
    assert np.array_equal(
        around_bags(game.train, rows, 10)[:, :5], np.where(past == label, -1, past)
    )


def test_a_repeat_of_the_label_is_no_context(game, rows):
    one = rows.iloc[[40]]
    again = game.train.watches.loc[one.index].assign(time=one["time"].iloc[0] + 0.01)
    logs = dataclasses.replace(
        game.train, watches=pd.concat([game.train.watches, again], ignore_index=True)
    )
    assert one["video_id"].iloc[0] not in around_bags(logs, one, 50)


def test_searches_around_come_from_both_sides(game, rows):
    first = game.train.searches.sort_values("time").groupby("user_id").head(1)
    one = rows[rows["user_id"].isin(first["user_id"])].iloc[[0]]
    user, time = one["user_id"].iloc[0], one["time"].iloc[0]
    own = game.train.searches[game.train.searches["user_id"] == user]
    tokens = own.loc[own["time"] != time, ["token_1", "token_2", "token_3"]].to_numpy().ravel()
    bag = around_search_bags(game.train, one, 400)[0]
    assert sorted(bag[bag >= 0]) == sorted(tokens[tokens >= 0])


@pytest.mark.parametrize("length", [0, 1, 7])
def test_both_halves_need_an_even_length(game, rows, length):
    with pytest.raises(ConfigError, match=str(length)):
        around_bags(game.train, rows, length)


# --- the held-out test


def test_held_out_watches_are_gone_from_the_log(game, held):
    pair = ["user_id", "video_id"]
    left = held.logs.watches[pair].merge(held.events[pair])
    assert left.empty
    assert held.events["user_id"].is_unique
    assert (held.events["time"] < game.at).all()
    assert len(held.logs.watches) <= len(game.train.watches) - len(held.events)


def test_never_watched_strikes_out_more(game, held):
    never, before = held.hidden("never watched"), held.hidden("not watched before")
    assert not (before & ~never).any()
    extra = (never & ~before).sum(axis=1)
    assert extra.mean() > 1
    later = game.train.watches
    row = int(extra.argmax())
    event = held.events.iloc[row]
    own = later[(later["user_id"] == event["user_id"]) & (later["time"] >= event["time"])]
    assert set(np.flatnonzero(never[row] & ~before[row])) <= set(own["video_id"])


def test_fewer_rivals_never_hurt(held, game, rows):
    model = CandidateGenerator(game.features, depth=0, dim=8)
    wide = held.rank(model, "past", "not watched before")
    assert (held.rank(model, "past", "never watched") <= wide).all()


@pytest.mark.parametrize("bad", [("sideways", "never watched"), ("past", "all")])
def test_unknown_test_is_refused(held, game, bad):
    with pytest.raises(ConfigError, match=bad[0] if bad[0] == "sideways" else bad[1]):
        held.rank(CandidateGenerator(game.features, depth=0, dim=8), *bad)


# --- the last query


def test_last_query_by_hand():
    opens = np.array([True, True, False, False, False])  # 4 = padding
    tokens = np.array([[2, 0, 3, 1], [0, 2, 1, 4], [3, 2, 1, 0], [4, 4, 4, 4], [2, 3, 4, 4]])
    expected = [[0, 2, 4], [0, 4, 4], [1, 2, 3], [4, 4, 4], [4, 4, 4]]
    assert last_query(tokens, opens, 4).tolist() == expected


def test_words_that_open_a_query_stand_nowhere_else(world):
    searches = world.logs().searches
    opens = set(searches["token_1"])
    assert not opens & set(searches["token_2"]) and not opens & set(searches["token_3"])


def test_the_last_query_of_a_request_is_that_of_the_log(world):
    """What is cut out of the flat list of a live request is the last row of the log's searches."""
    features = LastQueryFeatures(world.logs())
    seen = []

    def spy(requests):
        seen.append((requests.user, features.of_requests(requests).searched[:, -3:]))
        return world.random()(requests)

    ab_test(world, {"spy": spy}, n=100)
    user, query = seen[0]
    last = world.logs().searches.drop_duplicates("user_id", keep="last").set_index("user_id")
    compared = 0
    for account, words in zip(user, query, strict=True):
        if account in last.index:
            tokens = last.loc[account, ["token_1", "token_2", "token_3"]].to_numpy(int)
            expected = features.tokens.encode(tokens[tokens >= 0])
            assert list(words[words != features.tokens.padding]) == list(expected)
            compared += 1
    assert compared > 50


def test_only_the_last_query_knows_an_order(world, game, rows):
    some = rows.iloc[-200:]
    found = {}
    for kind, made in ((Features, CandidateGenerator), (LastQueryFeatures, LastQueryGenerator)):
        features = kind(game.train)
        model = made(features, depth=0, dim=8)
        inputs = features.of_examples(game.train, some)
        turned = inputs.searched.copy()
        words = turned[:, -3:] if kind is LastQueryFeatures else turned[:, :3]
        words[:] = words[:, ::-1].copy()
        other = dataclasses.replace(inputs, searched=turned)
        found[kind] = np.abs(model.scores(inputs) - model.scores(other)).max()
    assert found[Features] < 1e-5 < found[LastQueryFeatures]


def test_last_queries_of_requests(world):
    asked = pd.DataFrame({"user": [0, 1, 2, 3], "time": 20.5})
    topic, errand, since = last_queries(world, asked)
    own = world.logs().searches
    for user in range(4):
        mine = own[own["user_id"] == user]
        assert np.isnan(topic[user]) if mine.empty else topic[user] == mine["token_1"].iloc[-1] // 8
    assert errand.dtype == bool and (since[~np.isnan(since)] > 0.5).all()


# --- choices of examples


def test_choices_of_examples(game, held, rows):
    watches = held.logs.watches
    capped = labels.capped(rows, held.logs, 7)
    counts = rows["user_id"].value_counts()
    assert capped["user_id"].value_counts().eq(counts.clip(upper=7)).all()
    own = labels.own_pages(rows, held.logs)
    assert set(watches.loc[own.index, "source"]) <= {"home", "up_next"}
    assert watches.loc[labels.completed(rows, held.logs).index, "completed"].all()
    assert watches.loc[labels.liked(rows, held.logs).index, "liked"].all()
    assert (watches.loc[labels.surveyed(rows, held.logs).index, "survey"] >= 4).all()
    sample = labels.as_many_as(labels.own_pages)(rows, held.logs)
    assert len(sample) == len(own) and sample.index.is_unique


def test_activity_groups_are_equal_and_in_order(world):
    user = np.arange(len(world.logs().users))
    group = labels.activity_group(world.logs(), user)
    watches = np.bincount(world.logs().watches["user_id"], minlength=len(user))
    assert set(np.bincount(group)[1:]) == {len(user) // 5}
    assert watches[group == 1].max() <= watches[group == 5].min()


@pytest.mark.parametrize("name", ["held-out watch", "last query in order", "completed"])
def test_variants_train_and_serve(world, game, held, rows, name):
    model = labels.train(labels.VARIANTS[name], held.logs, rows, epochs=1, dim=8)
    assert model.history.losses[-1] < model.history.step_losses[0]
    found = labels.offline(game, model)
    assert 0 < found["mrr"] < 1 and 0 <= found["tail listed"] <= 1
    live = labels.live(world, {name: CandidatePolicy(model), "random": world.random()}, n=100)
    assert live[name].keys() == live["random"].keys()


def test_held_out_training_sees_both_sides(held, game, rows):
    """The data of the two kinds differ only in their bags."""
    past = game.features.of_examples(held.logs, rows)
    both = around_inputs(game.features, held.logs, rows)
    for name in ("age", "demographics", "context"):
        assert np.array_equal(getattr(past, name), getattr(both, name))
    assert (past.watched != both.watched).any() and (past.searched != both.searched).any()
    assert torch.equal(Batch.of(past).age, Batch.of(both).age)


# --- order


def test_shuffling_keeps_who_watched_what_and_when(world):
    logs, mixed = world.logs(), asymmetry.shuffled(world.logs(), 3)
    pair = ["user_id", "video_id"]
    before, after = (t.watches[pair].sort_values(pair).to_numpy() for t in (logs, mixed))
    assert np.array_equal(before, after)
    assert np.array_equal(logs.watches["time"], mixed.watches["time"])
    assert (logs.watches["video_id"] != mixed.watches["video_id"]).mean() > 0.5


def test_order_kept_by_hand(world):
    logs = world.logs()
    videos = logs.videos.iloc[:3].assign(
        channel_id=[0, 0, 1],
        episode=[1, 2, 0],
        uploaded=-1.0,
        topic=logs.videos["topic"].iloc[[0] * 3].array,
    )
    rows = logs.watches.iloc[:5].assign(
        user_id=[0, 0, 1, 1, 1], video_id=[0, 1, 1, 0, 2], time=[1.0, 2.0, 1.0, 2.0, 3.0]
    )
    found = asymmetry.order_kept(
        dataclasses.replace(logs, videos=videos, watches=rows), np.array([0, 1, 2])
    )
    # Account 0 watches 1 then 2, account 1 the other way round. Levels: 0<1; 1>0, 1<2, 0<2.
    assert found == {"series": 0.5, "ladder": 0.75}


def test_series_have_an_order_and_shuffling_destroys_it(world):
    level = world.true_table("videos")["level"].to_numpy()
    assert asymmetry.order_kept(world.logs(), level)["series"] > 0.65
    mixed = asymmetry.order_kept(asymmetry.shuffled(world.logs()), level)
    assert abs(mixed["series"] - 0.5) < 0.08


# --- the ledger's own numbers, and figures


def fake_results(seeds=3):
    rng = np.random.default_rng(0)
    keys = ["mrr", "clicks", "satisfied", *(f"mrr group {g}" for g in range(1, 6))]
    names = [f"{v}/{key}" for v in labels.VARIANTS for key in keys]
    return pd.DataFrame(rng.uniform(0.5, 1, (seeds, len(names))), columns=names)


def test_agreement_of_offline_and_live():
    table = fake_results()
    for place, name in enumerate(labels.VARIANTS):
        table[f"{name}/mrr"], table[f"{name}/clicks"] = float(place), float(place)
    assert np.allclose(agreement.rank_correlation(table), 1)
    assert np.allclose(agreement.reversed_pairs(table), 0)
    table["next watch/clicks"] = 5.5  # the worst offline now beats five others
    assert np.allclose(agreement.reversed_pairs(table), 5 / 66)
    two = ("next watch", "held-out watch")  # of these, the one that is worse offline is better live
    assert np.allclose(agreement.rank_correlation(table, variants=two), -1)
    assert np.allclose(agreement.reversed_pairs(table, variants=two), 1)


def test_costs_of_the_wrong_question_in_the_usual_world():
    order = pd.DataFrame({"as it is/series": [0.6, 0.7]}, index=[1, 2])
    variants = pd.DataFrame(
        {
            "next watch/mrr": [0.10, 0.20],
            "held-out watch/mrr": [0.09, 0.10],
            "held-out watch/held around, never watched": [0.3, 0.2],
            "held-out watch/held past, never watched": [0.2, 0.2],
        },
        index=[1, 2],
    )
    found = asymmetry.with_usual(order, variants)
    assert np.allclose(found["as it is/gap"], [10, 50])
    assert np.allclose(found["as it is/leak"], [50, 0])
    assert list(found["as it is/series"]) == [0.6, 0.7]


def test_figures():
    results = fake_results()
    names = list(labels.VARIANTS)
    made = [
        plots.against(results, names[1:4], {"mrr": "MRR", "clicks": "clicks"}, names[0]),
        plots.by_activity(results, [(names[4], names[5])]),
        plots.offline_live(results, names, names[0]),
        plots.inflation(
            {"next watch": {"a": 0.2, "b": 0.1}, "held-out watch": {"a": 0.3, "b": 0.1}}
        ),
        plots.two_questions([1, 2, 3], [1.5], 2, {"next watch": ([1], [1.5])}),
    ]
    settings = [*asymmetry.SETTINGS, asymmetry.USUAL, asymmetry.SHUFFLED]
    order = pd.DataFrame(
        np.ones((3, 16)),
        columns=[f"{s}/{k}" for s in settings for k in ("gap", "leak", "series", "ladder")],
    )
    made += [plots.asymmetry(order, "as it is"), plots.asymmetry(order, 0)]
    assert made[-2].describe() != made[-1].describe()
    for fig in made:
        assert fig.describe() and plots.png(fig).startswith(b"\x89PNG")
