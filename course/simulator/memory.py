"""What changes from day to day: what accounts remember and what the platform has counted."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd

from course.simulator.catalogue import N_GENRES, N_TOPICS, Catalogue

RECENT = 50
"""Watches and search tokens that the platform keeps at hand for each account."""

FOLLOWED = 8
MAX_BUCKETS = 4096
GENRE_DECAY = 0.8
MOOD_DECAY = 0.9
COUNT_LIMIT = 200
"""8-bit counters stop here: below 255, for one batch may count the same cell several times."""


class Memory:
    """State of all accounts after some day. Everything here could be computed from the log.

    Attributes (u accounts, n videos, c channels)
    ---------------------------------------------
    topic_watches : (u, 30) int32, watches of each topic so far
    genre_watches : (u, 10) int32, watches of each genre so far
    recent_by_genre : (u, 10) float32, watches of each genre, fading by a fifth each day
    channel_watches : (u, c) uint8, saturating at 200 or soon after
    follows : (u, c) bool
    followed : (u, 8) int32, the channels followed last, -1 = none
    recent_videos, recent_tokens : (u, 50) int32, newest first, -1 = none
    last_episode : (u,) int32, the episode watched last, -1 = none
    video_watches, video_impressions, video_clicks : (n,) int64, platform counters
    seen, shown : (u, b), whether watched / how often shown (saturating likewise), by video bucket

    With up to 4,096 videos a bucket is a video. In larger worlds several videos share a bucket,
    which keeps the table small; a person then believes now and then to have seen something else.

    In a world with an aftertaste also what pages did to people: ``mood`` (u,) and
    ``shown_by_genre`` (u, 10) float32, which fade by a tenth each day.
    """

    def __init__(self, users: int, catalogue: Catalogue, aftertaste: bool = False):
        n = len(catalogue)
        self.buckets = min(n, MAX_BUCKETS)
        self.topic_watches = np.zeros((users, N_TOPICS), dtype=np.int32)
        self.genre_watches = np.zeros((users, N_GENRES), dtype=np.int32)
        self.recent_by_genre = np.zeros((users, N_GENRES), dtype=np.float32)
        self.channel_watches = np.zeros((users, catalogue.channels), dtype=np.uint8)
        self.follows = np.zeros((users, catalogue.channels), dtype=bool)
        self.followed = np.full((users, FOLLOWED), -1, dtype=np.int32)
        self.recent_videos = np.full((users, RECENT), -1, dtype=np.int32)
        self.recent_tokens = np.full((users, RECENT), -1, dtype=np.int32)
        self.last_episode = np.full(users, -1, dtype=np.int32)
        self.video_watches = np.zeros(n, dtype=np.int64)
        self.video_impressions = np.zeros(n, dtype=np.int64)
        self.video_clicks = np.zeros(n, dtype=np.int64)
        self.seen = np.zeros((users, self.buckets), dtype=bool)
        self.shown = np.zeros((users, self.buckets), dtype=np.uint8)
        if aftertaste:
            self.mood = np.zeros(users, dtype=np.float32)
            self.shown_by_genre = np.zeros((users, N_GENRES), dtype=np.float32)

    def copy(self) -> Memory:
        """Return an independent copy, for a live experiment or a round."""
        return copy.deepcopy(self)

    def bucket(self, video: np.ndarray) -> np.ndarray:
        """Bucket of each video in ``seen`` and ``shown``."""
        return video % self.buckets

    def new_day(self) -> None:
        """Let the memory of recent genres fade, and what pages did."""
        self.recent_by_genre *= GENRE_DECAY
        if hasattr(self, "mood"):
            self.mood *= MOOD_DECAY
            self.shown_by_genre *= MOOD_DECAY

    def add_watches(self, catalogue: Catalogue, user, video, follow) -> None:
        """Remember watches (m,) in order of time, and who follows the channel from now on."""
        topic, channel = catalogue.topic[video], catalogue.channel[video]
        np.add.at(self.topic_watches, (user, topic), 1)
        np.add.at(self.genre_watches, (user, topic // 3), 1)
        np.add.at(self.recent_by_genre, (user, topic // 3), np.float32(1))
        np.add.at(self.video_watches, video, 1)
        self.seen[user, self.bucket(video)] = True
        fresh = self.channel_watches[user, channel] < COUNT_LIMIT
        np.add.at(self.channel_watches, (user[fresh], channel[fresh]), np.uint8(1))
        serial = catalogue.episode[video] > 0
        self.last_episode[user[serial]] = video[serial]
        _push(self.recent_videos, user, video)
        new = follow & ~self.follows[user, channel]
        # Followed twice within one batch is still followed once.
        pairs = pd.DataFrame({"user": user, "channel": channel})[new].drop_duplicates()
        user, channel = pairs.to_numpy().T
        self.follows[user, channel] = True
        _push(self.followed, user, channel)

    def add_searches(self, user, tokens) -> None:
        """Remember search tokens (m, t), given in order of time; -1 = no token."""
        there = tokens >= 0
        _push(self.recent_tokens, np.repeat(user, there.sum(axis=1)), tokens[there])

    def add_aftertaste(self, catalogue: Catalogue, user, pages, gain) -> None:
        """What pages (r, k) did to their viewers (r,), with a gain of mood (r, k) of each card."""
        np.add.at(self.mood, user, gain.sum(axis=1).astype(np.float32))
        genre = catalogue.topic[pages] // 3
        np.add.at(self.shown_by_genre, (user[:, None], genre), np.float32(1))

    def add_impressions(self, user, pages, clicked) -> None:
        """Count the cards of pages (r, k) of accounts (r,), and which were clicked (r, k) bool."""
        user, video = np.repeat(user, pages.shape[1]), pages.ravel()
        bucket = self.bucket(video)
        fresh = self.shown[user, bucket] < COUNT_LIMIT
        np.add.at(self.shown, (user[fresh], bucket[fresh]), np.uint8(1))
        self.video_impressions += np.bincount(video, minlength=len(self.video_impressions))
        self.video_clicks += np.bincount(pages[clicked], minlength=len(self.video_clicks))


def lock(part: object, *but: str) -> None:
    """Make the arrays of an object read-only, apart from those named in ``but``."""
    for name, values in vars(part).items():
        if isinstance(values, np.ndarray) and name not in but:
            values.flags.writeable = False


def _push(table: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Put values (in order of time) in front of their rows, the newest first."""
    if not len(rows):
        return
    order = np.argsort(rows, kind="stable")
    rows, values = rows[order], values[order]
    start = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    count = np.diff(np.r_[start, len(rows)])
    width = table.shape[1]
    touched = rows[start]
    # For each touched row: old entries shift right by the number of new ones.
    column = np.arange(width)
    source = column - count[:, None]
    moved = np.take_along_axis(table[touched], np.maximum(source, 0), axis=1)
    newest = values[np.maximum((start + count - 1)[:, None] - column, 0)]
    table[touched] = np.where(source >= 0, moved, newest)
