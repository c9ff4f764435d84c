"""Sources, pool and pipeline, each against a slow twin on a tiny world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from course import ab_test, simulate
from course.errors import ConfigError, LogError
from course.features import RankingFeatures
from course.recommender import ContextAware, CoWatch, Recommender, TopicMatch, pooled
from course.recommender.pipeline import ImpressionCounts
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
