"""Sources, pool and pipeline, each against a slow twin on a tiny world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from course import ab_test, simulate
from course.errors import ConfigError, LogError
from course.features import History, RankingFeatures
from course.features import ranking as ranking_features
from course.features.batch import RankingBatch
from course.features.taxonomy import QUERY_CODES
from course.models.combination import Combination
from course.models.multitask import Task
from course.recommender import (
    ContextAware,
    CoWatch,
    FinalRanker,
    MultitaskRecommender,
    Pool,
    Recommender,
    TopicMatch,
    diversified,
    pooled,
)
from course.recommender.pipeline import ImpressionCounts, as_known
from course.recommender.sources import seeds
from course.simulator.experiment import draw_requests
from course.simulator.streams import generator

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world():
    return simulate("tiny", seed=3, cache=False)


@pytest.fixture(scope="module")
def logs(world):
    return world.logs()


def asked(world, n=40, surface="home"):
    situation, query, day = draw_requests(world.engine, n, 0, surface)
    world.engine.market.open(day)
    rng = generator(0, "test")
    return world.engine.requests(
        situation, query, world.engine.memory, np.arange(n), rng, pool=False
    )


class Fixed:
    def __init__(self, name, videos, scores=None):
        self.name, self.videos = name, np.asarray(videos)
        self.scores = np.zeros(self.videos.shape) if scores is None else np.asarray(scores)

    def __call__(self, requests):
        return self.videos, self.scores


def bare(requests, rows):
    """The first requests, with nothing watched and nothing asked about."""
    short = {name: value[:rows] for name, value in vars(requests).items()
             if isinstance(value, np.ndarray)}  # fmt: skip
    short["recent_videos"] = np.full((rows, 50), -1)
    short["query_video"] = np.full(rows, -1)
    return replace(requests, **short)


def test_pool_joins_and_keeps_source_and_score(world):
    requests = bare(asked(world), 2)
    a = Fixed("a", [[5, 3, -1], [9, 9, 2]], [[1.0, 2.0, 0.0], [3.0, 1.0, 4.0]])
    b = Fixed("b", [[3, 7], [-1, -1]], [[8.0, 9.0], [0.0, 0.0]])
    pool = pooled([a, b], requests)
    assert pool.videos.tolist() == [[3, 5, 7], [2, 9, -1]]
    assert pool.size.tolist() == [3, 2]
    expected = [[[2, 8], [1, np.nan], [np.nan, 9]],
                [[4, np.nan], [3, np.nan], [np.nan, np.nan]]]  # fmt: skip
    np.testing.assert_array_equal(pool.scores, expected)
    assert pool.of("b").tolist() == [[3, -1, 7], [-1, -1, -1]]
    with pytest.raises(ConfigError, match="no source 'c'"):
        pool.of("c")


def test_pool_leaves_out_what_may_not_be_shown(world):
    requests = bare(asked(world), 1)
    requests.recent_videos[0, 1] = 4
    requests.query_video[0] = 6
    requests = replace(requests, available=10)
    pool = pooled([Fixed("a", [[4, 6, 10, 9, 2]])], requests)
    assert pool.videos.tolist() == [[2, 9]]


def test_sources_need_names_of_their_own(world):
    requests = bare(asked(world), 1)
    for sources in ([], [Fixed("a", [[1]]), Fixed("a", [[2]])]):
        with pytest.raises(ConfigError, match="sources"):
            pooled(sources, requests)


def test_seeds_are_the_query_or_the_last_watches(world):
    home, up_next = asked(world), asked(world, surface="up_next")
    assert (seeds(home) == home.recent_videos[:, :5]).all()
    assert (seeds(up_next)[:, 0] == up_next.query_video).all()
    assert (seeds(up_next)[:, 1:] == -1).all()


def test_topic_match_counts_recent_watches(world, logs):
    requests = asked(world, surface="up_next")
    videos, scores = TopicMatch(logs, k=8, days=3.0)(requests)
    end, row = logs.watches["time"].max(), 7
    query = requests.query_video[row]
    v = logs.videos
    language = logs.users["language"][requests.user[row]]
    recent = logs.watches[logs.watches["time"] > end - 3.0]["video_id"].value_counts()
    fits = v[(v["topic"] == v["topic"][query]) & (v["language"] == language)]["video_id"]
    count = recent.reindex(fits, fill_value=0).sort_values(ascending=False)
    found = videos[row, ::5]  # the first of five seeds; the others stand beside it
    assert scores[row, ::5][: len(count)] == pytest.approx(np.log1p(count.to_numpy()[:8]))
    assert set(found[found >= 0]) <= set(fits)
    assert (found >= 0).sum() == min(8, len(fits))


def test_co_watch_against_counting_by_hand(world, logs):
    source = CoWatch(logs, k=5, window=2)
    n = len(logs.videos)
    together, count = np.zeros((n, n)), np.zeros(n)
    for _, rows in logs.watches.groupby("user_id"):
        rows = rows.sort_values("time", kind="stable")
        v, t = rows["video_id"].to_numpy(), rows["time"].to_numpy()
        np.add.at(count, v, 1)
        for i in range(len(v)):
            before = [j for j in range(i) if t[j] < t[i]][-2:]
            for j in before:
                if v[i] != v[j]:
                    together[v[i], v[j]] += 1
                    together[v[j], v[i]] += 1
    score = together / np.sqrt(np.maximum(np.outer(count, count), 1))
    requests = asked(world, surface="up_next")
    videos, scores = source(requests)
    for row in range(10):
        best = np.sort(score[requests.query_video[row]])[::-1][:5]
        assert scores[row, ::5] == pytest.approx(best, abs=1e-5)


def test_impression_counts(logs):
    counts = ImpressionCounts(logs)
    i = logs.impressions
    expected = i.groupby(["user_id", "video_id"]).size()
    (user, video), n = expected.idxmax(), expected.max()
    never = next(v for v in range(len(logs.videos)) if (user, v) not in expected.index)
    assert counts(np.array([user, user]), np.array([video, never])).tolist() == [n, 0]


def test_system_ranks_its_pool(world, logs):
    features = RankingFeatures(logs)
    duration = lambda batch: batch.numbers[:, 0].numpy()  # noqa: E731  the longest first
    system = Recommender([TopicMatch(logs, k=5), CoWatch(logs, k=5)], features, duration, logs)
    requests = asked(world)
    pages = system(requests)
    pool = system.nominate(requests)
    length = logs.videos["duration_seconds"].to_numpy()
    for page, videos in zip(pages, pool.videos, strict=True):
        best = np.sort(length[videos[videos >= 0]])[::-1][: requests.slate]
        assert length[page] == pytest.approx(best)
    table = ab_test(world, {"system": system}, n=50, candidates="catalogue").table
    assert len(table)
    nominated = ab_test(world, {"system": system}, n=50).pages["system"]
    assert nominated.shape == (50, requests.slate)


def test_a_page_is_filled_where_sources_find_little(world, logs):
    system = Recommender([Fixed("one", np.ones((40, 1), int))], RankingFeatures(logs),
                         lambda batch: np.zeros(len(batch)), logs)  # fmt: skip
    pages = system(asked(world))
    assert (np.sort(pages, axis=1)[:, 1:] != np.sort(pages, axis=1)[:, :-1]).all()


def test_context_source_finds_what_is_watched_in_a_context(world, logs):
    source = ContextAware(logs, k=20, epochs=2)
    videos, scores = source(asked(world))
    assert videos.shape == (40, 20)
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    language = logs.videos["language"].cat.codes.to_numpy()
    own = logs.users["language"].cat.codes.to_numpy()[asked(world).user]
    assert (language[videos] == own[:, None]).mean() > 0.9


def test_empty_logs_are_refused(logs):
    empty = logs.before(0.0)
    for source in (TopicMatch, CoWatch):
        with pytest.raises(LogError, match="no watches"):
            source(empty)


def test_first_keeps_what_stands_high_in_any_source():
    nan = np.nan
    scores = np.array([[[9, nan], [8, 1], [nan, 5], [7, nan]]], np.float32)
    pool = Pool(np.array([[4, 6, 8, 9]], np.int32), scores, ("a", "b"))
    # Places: 4 first of a, 8 first of b, 6 second of both, 9 third of a.
    assert set(pool.first(2).videos[0]) == {4, 8}
    assert pool.first(3).videos[0, 2] == 6
    assert pool.first(9).videos.tolist() == [[4, 8, 6, 9]]
    np.testing.assert_array_equal(pool.first(3).of("b"), [[-1, 8, 6]])
    with pytest.raises(ConfigError, match="n="):
        pool.first(0)


def test_first_of_a_tie_is_what_more_sources_named():
    scores = np.array([[[5, np.nan], [np.nan, np.nan], [4, 3]]], np.float32)
    pool = Pool(np.array([[1, 2, 3]], np.int32), scores, ("a", "b"))
    assert pool.first(1).videos[0, 0] == 3  # first of b and second of a; 1 is only first of a


def test_gaps_stay_at_the_end_of_a_cut_pool():
    scores = np.array([[[2.0], [1.0]], [[3.0], [np.nan]]], np.float32)
    pool = Pool(np.array([[5, 7], [9, -1]], np.int32), scores, ("a",))
    assert pool.first(2).videos.tolist() == [[5, 7], [9, -1]]


def test_list_wise_pages_against_a_slow_twin():
    rng = np.random.default_rng(0)
    scores, topics = rng.normal(size=(20, 12)), rng.integers(0, 3, (20, 12))
    scores[:, 3] = -np.inf
    for strength in (0.0, 0.7, 5.0):
        found = diversified(scores, topics, 5, strength)
        for row, page in enumerate(found):
            chosen = []
            for _ in range(5):
                rest = [i for i in range(12) if i not in chosen]
                above = [sum(topics[row, j] == topics[row, i] for j in chosen) for i in rest]
                worth = scores[row, rest] - strength * np.array(above)
                chosen.append(rest[int(np.argmax(worth))])
            assert page.tolist() == chosen
    plain = np.argsort(-scores, axis=1)[:, :5]
    assert (diversified(scores, topics, 5, 0.0) == plain).all()


def test_list_wise_refuses_what_does_not_fit():
    scores, topics = np.zeros((2, 4)), np.zeros((2, 4), int)
    with pytest.raises(ConfigError, match="topics"):
        diversified(scores, topics[:, :3], 2)
    with pytest.raises(ConfigError, match="slate"):
        diversified(scores, topics, 5)
    with pytest.raises(ConfigError, match="strength"):
        diversified(scores, topics, 2, -1.0)


TASKS = (Task("click", "binary", "engagement"), Task("like", "binary", "satisfaction"),
         Task("share watched", "regression", "engagement"))  # fmt: skip


@pytest.fixture(scope="module")
def ranker(logs):
    made = FinalRanker(RankingFeatures(logs), TASKS, positions=10, seed=1)
    with torch.no_grad():
        made.shallow.table.weight.normal_(generator=torch.Generator().manual_seed(0))
    return made.eval()


def some_cards(logs, ranker, pages=30):
    rows = logs.impressions[logs.impressions["request_id"].isin(
        logs.impressions["request_id"].unique()[-pages:])]  # fmt: skip
    inputs = ranker.features.of_impressions(logs, rows)
    return inputs, RankingBatch.of(inputs, ranker.features)


def test_position_moves_engagement_heads_only(logs, ranker):
    _, batch = some_cards(logs, ranker)
    first, last = (torch.full((len(batch),), p) for p in (1, 10))
    with torch.no_grad():
        top, bottom, unplaced = (ranker(batch, p) for p in (first, last, None))
        bare = ranker.model(ranker.inputs(batch))
    assert torch.equal(top[:, 1], bottom[:, 1]) and torch.equal(top[:, 1], bare[:, 1])
    device = batch.query_codes[:, QUERY_CODES.index("device")][batch.page]
    moved = (top - bottom)[:, [0, 2]]
    table = ranker.shallow.table.weight.detach()
    assert torch.allclose(moved, table[device * 11 + 1] - table[device * 11 + 10], atol=1e-5)
    assert torch.allclose((unplaced - bare)[:, [0, 2]], table[device * 11], atol=1e-5)


def test_predictions_of_the_ranker(logs, ranker):
    _, batch = some_cards(logs, ranker)
    whole, in_chunks = ranker.predict(batch), ranker.predict(batch, chunk=7)
    assert set(whole) == {"click", "like", "share watched"}
    for name, values in whole.items():
        assert values.shape == (len(batch),)
        np.testing.assert_allclose(values, in_chunks[name], atol=1e-6)
    with torch.no_grad():
        out = ranker(batch).numpy()
    np.testing.assert_allclose(whole["like"], 1 / (1 + np.exp(-out[:, 1])), atol=1e-6)
    np.testing.assert_allclose(whole["share watched"], out[:, 2], atol=1e-6)


def test_shallow_tower_needs_a_task_of_engagement(logs):
    with pytest.raises(ConfigError, match="engagement"):
        FinalRanker(RankingFeatures(logs), TASKS[1:2], positions=10)
    assert FinalRanker(RankingFeatures(logs), TASKS[1:2]).shallow is None


def test_multitask_system_ranks_by_the_combination(world, logs, ranker):
    def factors(predictions, seconds):
        return {"click": predictions["click"], "length": seconds}

    sources = [TopicMatch(logs, k=5), CoWatch(logs, k=5)]
    system = MultitaskRecommender(sources, ranker, Combination({"length": 1.0}), factors, logs)
    requests = asked(world)
    pages, pool = system(requests), system.nominate(requests)
    length = logs.videos["duration_seconds"].to_numpy()
    for page, videos in zip(pages, pool.videos, strict=True):
        best = np.sort(length[videos[videos >= 0]])[::-1][: requests.slate]
        assert length[page] == pytest.approx(best)
    inputs, batch = some_cards(logs, ranker)
    both = MultitaskRecommender(sources, ranker, Combination({"click": 2.0, "length": 0.5}),
                                factors, logs)  # fmt: skip
    click = ranker.predict(batch)["click"]
    expected = 2 * np.log(click) + 0.5 * np.log(inputs.column("duration"))
    np.testing.assert_allclose(both.scores(inputs), expected, atol=1e-5)
    with pytest.raises(ConfigError, match="scores inputs"):
        both.score(batch)


def test_videos_uploaded_after_the_log_are_ranked_last(world, logs):
    features, n = RankingFeatures(logs), len(logs.videos)
    system = Recommender([CoWatch(logs)], features, lambda batch: np.ones(len(batch)), logs)
    requests = asked(world, 3)
    fresh = requests.recent_videos.copy()
    fresh[:, 0] = n + 2
    offered = np.array([[n, 4, n + 1, 5, 6, 7, 8, 9, 10, 11, 12, 13]] * 3, np.int32)
    requests = replace(
        requests, recent_videos=fresh, query_video=np.array([n, -1, 3]), candidates=offered,
        nominators=np.zeros_like(offered), previous_impressions=np.zeros_like(offered),
        available=n + 5,
    )  # fmt: skip
    assert (system(requests) < n).all()
    assert as_known(requests, n).query_video.tolist() == [-1, -1, 3]
    assert (as_known(requests, n).recent_videos < n).all()
    assert as_known(requests, n + 5) is requests


def test_a_request_does_not_sort_the_log_again(world, logs, monkeypatch):
    """Serving speed: the history is built once for a log, and again for another log."""
    features = RankingFeatures(logs)
    made = []
    monkeypatch.setattr(ranking_features, "History",
                        lambda *a: made.append(1) or History(*a))  # fmt: skip
    requests = world.engine.requests(*_situation(world), pool=True)
    first = features.of_requests(requests)
    second = features.of_requests(requests)
    before = len(made)
    np.testing.assert_array_equal(first.numbers, second.numbers)
    assert before <= 1
    short = replace(logs, watches=logs.watches.iloc[: len(logs.watches) // 2])
    third = features.of_requests(requests, short)
    assert len(made) == before + 1
    assert (third.watched != first.watched).any()
    fresh = RankingFeatures(logs).of_requests(requests, short)
    np.testing.assert_array_equal(third.numbers, fresh.numbers)


def _situation(world):
    situation, query, day = draw_requests(world.engine, 20, 0)
    world.engine.market.open(day)
    return situation, query, world.engine.memory, np.arange(20), generator(0, "test")
