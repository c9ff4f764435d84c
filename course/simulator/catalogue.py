"""Videos and the channels that upload them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.simulator.config import DURING_LOG_SHARE, WorldConfig
from course.simulator.names import FORMATS, GENRES, LANGUAGES
from course.simulator.streams import generator

DIMENSION = 8
"""Size of the latent space in which tastes and videos live."""

N_GENRES = len(GENRES)
N_TOPICS = 3 * N_GENRES
N_LANGUAGES = len(LANGUAGES)
LANGUAGE_SHARES = np.array([0.55, 0.28, 0.17])
BACK_CATALOGUE_DAYS = 60
SERIAL_CHANNELS = 0.25
LONGEST_MINUTES = 180.0

# Median minutes of each format: music, news, tutorial, episode, live, vlog.
FORMAT_MINUTES = np.array([3.5, 4.0, 9.0, 22.0, 60.0, 8.0])


class Catalogue:
    """All videos that will ever exist in this world, in order of upload (so ids grow with time).

    Arrays over videos (n,): ``channel``, ``topic``, ``genre``, ``language``, ``format``, ``level``
    (0 mainstream to 2 niche), ``episode`` (1, 2, ... or 0), ``previous`` and ``next`` episode
    (video ids or -1): int; ``seconds``, ``uploaded`` (days; negative = before the log),
    ``base_popularity``, ``peak_days``, ``quality``, ``clickbait``, ``packaging`` (pull of title
    and thumbnail): float; ``latent`` (n, 8) float32. Quality, clickbait and packaging are roughly
    standard normal and hidden from every model.

    35 % of the videos were uploaded in the 60 days before the log, the rest evenly over the log;
    uploads go on at the same rate through the future days.
    """

    def __init__(self, config: WorldConfig, seed: int):
        rng = generator(seed, "channels")
        topic_vectors = _topic_vectors(generator(seed, "topic vectors"))
        self.topic_vectors = topic_vectors.astype(np.float32)
        self.channels = channels = max(config.videos // 10, N_TOPICS)
        channel_language = rng.choice(N_LANGUAGES, channels, p=LANGUAGE_SHARES)
        channel_topic = rng.integers(N_TOPICS, size=channels)
        channel_quality = rng.normal(0, 0.7, channels)
        channel_size = rng.lognormal(0, 0.8, channels)
        channel_serial = rng.random(channels) < SERIAL_CHANNELS
        episode = FORMATS.index("episode")
        others = np.delete(np.arange(len(FORMATS)), episode)
        channel_format = np.where(channel_serial, episode, rng.choice(others, channels))
        channel_latent = rng.normal(0, 0.3 / np.sqrt(DIMENSION), (channels, DIMENSION))

        rng = generator(seed, "uploads")
        during = int(DURING_LOG_SHARE * config.videos)
        later = round(during * config.future_days / config.days)
        spans = [(config.videos - during, -BACK_CATALOGUE_DAYS, 0), (during, 0, config.days),
                 (later, config.days, config.horizon)]  # fmt: skip
        uploads = [rng.uniform(low, high, number) for number, low, high in spans]
        self.uploaded = np.sort(np.concatenate(uploads))
        n = len(self.uploaded)

        rng = generator(seed, "videos")
        channel = rng.choice(channels, n, p=channel_size / channel_size.sum())
        self.channel = channel.astype(np.int32)
        self.language = channel_language[channel].astype(np.int8)
        same_topic = rng.random(n) < 0.85
        sibling = 3 * (channel_topic[channel] // 3) + rng.integers(3, size=n)
        serial = channel_serial[channel]
        topic = np.where(same_topic | serial, channel_topic[channel], sibling)
        self.topic = topic.astype(np.int16)
        usual_format = serial | (rng.random(n) < 0.8)
        format_ = np.where(usual_format, channel_format[channel], rng.choice(others, n))
        self.format = format_.astype(np.int8)
        self.level = rng.choice(3, n, p=[0.35, 0.35, 0.30]).astype(np.int8)
        quality = channel_quality[channel] + rng.normal(0, 0.7, n)
        self.quality = quality.astype(np.float32)
        peak_by_genre = np.exp(rng.uniform(np.log(1.5), np.log(8.0), N_GENRES))
        minutes = FORMAT_MINUTES[format_] * rng.lognormal(0, 0.5, n)
        self.seconds = (60 * np.minimum(minutes, LONGEST_MINUTES)).astype(np.float32)
        own = rng.normal(0, 0.2 / np.sqrt(DIMENSION), (n, DIMENSION))
        self.latent = (topic_vectors[topic] + channel_latent[channel] + own).astype(np.float32)
        popularity = rng.normal(0, 1.2, n) + 0.5 * quality - 0.7 * self.level
        self.base_popularity = np.exp(popularity)
        self.peak_days = peak_by_genre[topic // 3] * rng.lognormal(0, 0.2, n)
        self.clickbait, self.packaging = rng.normal(0, 1, (2, n)).astype(np.float32)
        self.episode, self.previous, self.next = _episodes(channel, serial)

    def __len__(self) -> int:
        return len(self.topic)

    @property
    def genre(self) -> np.ndarray:
        """Genre of each video (n,) int."""
        return self.topic // 3

    def available(self, day: float) -> int:
        """Number of videos uploaded by ``day``; their ids are 0 to this number minus one."""
        return int(np.searchsorted(self.uploaded, day, side="right"))


def _topic_vectors(rng: np.random.Generator) -> np.ndarray:
    """Unit vectors (30, 8); sub-topics of one genre lie close together."""
    centre = rng.normal(size=(N_GENRES, DIMENSION))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    vectors = np.repeat(centre, 3, axis=0)
    vectors = vectors + 0.6 * rng.normal(size=vectors.shape) / np.sqrt(DIMENSION)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _episodes(channel: np.ndarray, serial: np.ndarray):
    """Number the videos of serial channels in upload order and link neighbours."""
    number = pd.Series(serial).groupby(channel).cumsum().to_numpy()
    episode = np.where(serial, number, 0).astype(np.int32)
    previous, next_ = np.full((2, len(channel)), -1, dtype=np.int32)
    ids = np.flatnonzero(serial)
    ids = ids[np.argsort(channel[ids], kind="stable")]  # by channel, then by upload
    before, after = ids[:-1], ids[1:]
    linked = channel[before] == channel[after]
    previous[after[linked]], next_[before[linked]] = before[linked], after[linked]
    return episode, previous, next_
