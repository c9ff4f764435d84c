"""The memory of accounts against a slow twin in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from course.simulator.catalogue import Catalogue
from course.simulator.config import WorldConfig
from course.simulator.memory import COUNT_LIMIT, FOLLOWED, GENRE_DECAY, MAX_BUCKETS, RECENT, Memory

USERS = 9


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue(WorldConfig.of("village", users=10, videos=120, days=10), 3)


class Twin:
    """The same memory, one event after another."""

    def __init__(self, catalogue):
        c, self.c, n = catalogue, catalogue, len(catalogue)
        self.topic_watches = [[0] * 30 for _ in range(USERS)]
        self.genre_watches = [[0] * 10 for _ in range(USERS)]
        self.recent_by_genre = [[0.0] * 10 for _ in range(USERS)]
        self.channel_watches = [[0] * c.channels for _ in range(USERS)]
        self.follows = [[False] * c.channels for _ in range(USERS)]
        self.followed = [[-1] * FOLLOWED for _ in range(USERS)]
        self.recent_videos = [[-1] * RECENT for _ in range(USERS)]
        self.recent_tokens = [[-1] * RECENT for _ in range(USERS)]
        self.last_episode = [-1] * USERS
        self.video_watches, self.video_impressions = [0] * n, [0] * n
        self.video_clicks = [0] * n
        self.seen = [[False] * n for _ in range(USERS)]
        self.shown = [[0] * n for _ in range(USERS)]

    def new_day(self):
        self.recent_by_genre = [[x * GENRE_DECAY for x in row] for row in self.recent_by_genre]

    def watch(self, user, video, follow):
        topic, channel = int(self.c.topic[video]), int(self.c.channel[video])
        self.topic_watches[user][topic] += 1
        self.genre_watches[user][topic // 3] += 1
        self.recent_by_genre[user][topic // 3] += 1
        self.channel_watches[user][channel] += 1
        self.video_watches[video] += 1
        self.seen[user][video] = True
        if self.c.episode[video] > 0:
            self.last_episode[user] = video
        self.recent_videos[user] = [video, *self.recent_videos[user]][:RECENT]
        if follow and not self.follows[user][channel]:
            self.follows[user][channel] = True
            self.followed[user] = [channel, *self.followed[user]][:FOLLOWED]

    def search(self, user, tokens):
        for token in tokens:
            if token >= 0:
                self.recent_tokens[user] = [token, *self.recent_tokens[user]][:RECENT]

    def impression(self, user, video, clicked):
        self.shown[user][video] += 1
        self.video_impressions[video] += 1
        self.video_clicks[video] += clicked


def test_against_the_twin(catalogue):
    rng = np.random.default_rng(1)
    memory, twin = Memory(USERS, catalogue), Twin(catalogue)
    for day in range(12):
        memory.new_day()
        twin.new_day()
        m = int(rng.integers(0, 160)) if day != 4 else 0
        user, video = rng.integers(USERS, size=m), rng.integers(len(catalogue), size=m)
        follow = rng.random(m) < 0.3
        memory.add_watches(catalogue, user, video.astype(np.int32), follow)
        for row in zip(user.tolist(), video.tolist(), follow.tolist(), strict=True):
            twin.watch(*row)
        q = int(rng.integers(0, 60))
        asker, tokens = rng.integers(USERS, size=q), rng.integers(-1, 50, size=(q, 3))
        memory.add_searches(asker, tokens)
        for one, row in zip(asker.tolist(), tokens.tolist(), strict=True):
            twin.search(one, row)
        user, video = rng.integers(USERS, size=300), rng.integers(len(catalogue), size=300)
        clicked = rng.random(300) < 0.2
        memory.add_impressions(user, video[:, None], clicked[:, None])
        for row in zip(user.tolist(), video.tolist(), clicked.tolist(), strict=True):
            twin.impression(*row)
        for name, want in vars(twin).items():
            if name == "recent_by_genre":
                np.testing.assert_allclose(getattr(memory, name), want, rtol=1e-5)
            elif name != "c":
                assert getattr(memory, name).tolist() == want, (name, day)


def test_counters_stop_instead_of_starting_again_at_zero(catalogue):
    memory = Memory(USERS, catalogue)
    one, video = np.array([1, 1]), np.array([5, 5])
    for _ in range(200):
        memory.add_impressions(one, video[:, None], np.array([[True], [False]]))
        memory.add_watches(catalogue, one, video, np.array([False, False]))
    assert COUNT_LIMIT <= memory.shown[1, 5] <= 255
    assert COUNT_LIMIT <= memory.channel_watches[1, catalogue.channel[5]] <= 255
    assert memory.video_impressions[5] == 400 and memory.video_watches[5] == 400


@pytest.mark.parametrize("videos", [500, 3_500, 9_000])
def test_buckets(videos):
    catalogue = Catalogue(WorldConfig.of("village", videos=videos, future_days=0), 1)
    memory = Memory(4, catalogue)
    bucket = memory.bucket(np.arange(len(catalogue)))
    assert memory.seen.shape == memory.shown.shape == (4, min(videos, MAX_BUCKETS))
    assert bucket.min() == 0 and bucket.max() == memory.buckets - 1
    counts = np.bincount(bucket)
    if videos <= MAX_BUCKETS:
        assert (bucket == np.arange(videos)).all()
    else:
        assert counts.max() - counts.min() <= 1  # shared evenly
    memory.add_watches(catalogue, np.array([1]), np.array([7]), np.array([False]))
    also = np.flatnonzero(memory.seen[1, bucket])
    assert 7 in also and len(also) == counts[bucket[7]]


def test_copy_is_independent(catalogue):
    memory = Memory(USERS, catalogue)
    other = memory.copy()
    other.add_impressions(np.array([1]), np.array([[2]]), np.array([[True]]))
    assert memory.shown.sum() == 0 and other.shown.sum() == 1
