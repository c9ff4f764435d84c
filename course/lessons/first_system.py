"""Start here.

Written in notebooks/source/00_start_here.py, and there only.
"""

import numpy as np


def share_closed(value, floor, ceiling):
    """The share of the way from a floor (0) to a ceiling (1) that a value has come."""
    return (value - floor) / (ceiling - floor)


def count_pairs(rows, columns, shape):
    """A table of this shape: how often each (row, column) occurs in two lists (n,)."""
    table = np.zeros(shape, np.float32)
    np.add.at(table, (np.asarray(rows), np.asarray(columns)), 1)
    return table


def times_more(counted, expected, prior=1.0):
    """How many times more often than expected; near 1 where little is known."""
    return (counted + prior) / (expected + prior)


def popular(logs, days=2.0):
    """Piece: watched lately by people who speak my language."""
    language = logs.users["language"].cat.codes.to_numpy()
    lately = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    shape = language.max() + 1, len(logs.videos)
    counted = count_pairs(language[lately["user_id"]], lately["video_id"], shape)
    more = times_more(counted, counted.mean(axis=1, keepdims=True))
    return lambda requests: more[language[requests.user]]


def by_chance(counted):
    """What a table would hold if its rows and its columns had nothing to do with each other."""
    rows, columns = counted.sum(axis=1, keepdims=True), counted.sum(axis=0, keepdims=True)
    return rows * columns / counted.sum()


def mine(logs, column):
    """Piece: of a topic, or from a channel, that I watch more than others do."""
    kind = logs.videos[column].astype("category").cat.codes.to_numpy()
    shape = len(logs.users), kind.max() + 1
    counted = count_pairs(logs.watches["user_id"], kind[logs.watches["video_id"]], shape)
    more = times_more(counted, by_chance(counted))
    return lambda requests: more[requests.user][:, kind]


def watched_next(logs, last=5):
    """Piece: what people watched right after the videos that I watched last."""
    watches, n = logs.watches.sort_values(["user_id", "time"]), len(logs.videos)
    user, video = watches["user_id"].to_numpy(), watches["video_id"].to_numpy()
    same = user[1:] == user[:-1]
    counted = count_pairs(video[:-1][same], video[1:][same], (n + 1, n))
    chance = by_chance(counted)

    def more(requests):
        last_ones = requests.recent_videos[:, :last]  # -1, no video, is the empty last row
        return times_more(counted[last_ones].sum(axis=1), chance[last_ones].sum(axis=1))

    return more


def clicked(logs):
    """Piece: clicked more often than other videos are, when it is shown."""
    shown, n = logs.impressions, len(logs.videos)
    counted = np.bincount(shown["video_id"], shown["clicked"], minlength=n)
    expected = np.bincount(shown["video_id"], minlength=n) * shown["clicked"].mean()
    more = times_more(counted, expected)
    return lambda requests: np.tile(more, (len(requests), 1))


PIECES = {
    "popular": popular,
    "watched next": watched_next,
    "my topics": lambda logs: mine(logs, "topic"),
    "my channels": lambda logs: mine(logs, "channel_id"),
    "clicked": clicked,
}


SOURCES = (("popular",), ("watched next", "popular"), ("my topics", "popular"))


def best_of(score, named, k):
    """The k best videos (n, k) by scores (n, V), among what the sources named: arrays of n rows."""
    pool = np.zeros(score.shape, bool)
    for videos in named:
        np.put_along_axis(pool, videos, True, axis=1)
    return np.argsort(-np.where(pool, score, -np.inf), axis=1, kind="stable")[:, :k]


class FirstSystem:
    """Two stages from counts: sources name videos, a product of pieces ranks those."""

    def __init__(self, logs, pieces=tuple(PIECES), sources=SOURCES):
        self.pieces, self.sources, self.videos = pieces, sources, len(logs.videos)
        self.more = {name: PIECES[name](logs) for name in {*pieces, *sum(sources, ())}}
        pairs, shape = logs.watches[["user_id", "video_id"]], (len(logs.users), self.videos)
        self.watched = count_pairs(pairs["user_id"], pairs["video_id"], shape) > 0

    def score(self, requests, names):
        """The product (n, V) of some pieces; 0 for what the account has watched already."""
        product = np.where(self.watched[requests.user], 0.0, 1.0)
        for name in names:
            product *= self.more[name](requests)
        return product

    def named(self, requests):
        """Candidates (n, V / 20) of each source; if the request brings some along, those."""
        if requests.candidates is not None:
            return [requests.candidates]
        everything = [np.tile(np.arange(self.videos), (len(requests), 1))]
        few = self.videos // 20
        return [best_of(self.score(requests, names), everything, few) for names in self.sources]

    def __call__(self, requests):
        """Pages (n, slate) for n page requests: the pool's best."""
        return best_of(self.score(requests, self.pieces), self.named(requests), requests.slate)


KEPT = ("my channels", "clicked")
