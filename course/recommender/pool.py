"""What several sources found, joined: each video once, with every source that named it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course.errors import ConfigError
from course.features import NONE
from course.recommender.sources import Source
from course.simulator.feed import Requests
from course.training import check_whole


@dataclass(frozen=True)
class Pool:
    """Candidates of r requests.

    Attributes
    ----------
    videos : (r, c) int32, distinct in each row; -1 = no more, at the end
    scores : (r, c, s) float32, the score that each source gave; NaN = it did not name the video
    sources : names of the s sources
    """

    videos: np.ndarray
    scores: np.ndarray
    sources: tuple[str, ...]

    def of(self, source: str) -> np.ndarray:
        """What one source named: videos (r, c), -1 where it was another one."""
        if source not in self.sources:
            raise ConfigError(f"There is no source {source!r}", allowed=", ".join(self.sources))
        named = ~np.isnan(self.scores[:, :, self.sources.index(source)])
        return np.where(named, self.videos, NONE)

    def first(self, n: int) -> Pool:
        """The n candidates of each request that stand highest in the list of any one source.

        Places are compared, since scores of different sources cannot be. Ties go to the candidate
        that more sources named.
        """
        check_whole("n", n, 1)
        named = ~np.isnan(self.scores)
        worst_first = np.where(named, -self.scores, np.inf)
        place = worst_first.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        best = np.where(named, place, self.videos.shape[1]).min(axis=2)
        key = best - named.sum(axis=2) / (len(self.sources) + 1.0)
        # Sorted by place; the gaps at the end of a row stay at its end.
        order = np.argsort(np.where(self.videos >= 0, key, np.inf), axis=1, kind="stable")[:, :n]
        return Pool(
            np.take_along_axis(self.videos, order, axis=1),
            np.take_along_axis(self.scores, order[:, :, None], axis=1),
            self.sources,
        )

    @property
    def size(self) -> np.ndarray:
        """Number of candidates of each request (r,)."""
        return (self.videos >= 0).sum(axis=1)


def pooled(sources: Sequence[Source], requests: Requests) -> Pool:
    """Ask all sources and join what they find.

    Left out are videos that are not uploaded yet, the query video, and what the account watched
    lately.

    Raises
    ------
    ConfigError
        If there is no source, or two have one name.
    """
    names = tuple(source.name for source in sources)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"sources={names}", allowed="one or more, with different names")
    found = [source(requests) for source in sources]
    video = np.concatenate([v for v, _ in found], axis=1).astype(np.int64)
    score = np.concatenate([s for _, s in found], axis=1)
    source = np.repeat(np.arange(len(found)), [v.shape[1] for v, _ in found])
    video[~_allowed(video, requests)] = NONE
    # Sorted by id, equal ids stand together; the first of them opens a new place in the pool.
    order = np.argsort(video, axis=1, kind="stable")
    video = np.take_along_axis(video, order, axis=1)
    opens = video >= 0
    opens[:, 1:] &= video[:, 1:] != video[:, :-1]
    place = np.cumsum(opens, axis=1) - 1
    row, column = np.nonzero(video >= 0)
    shape = (len(video), int(opens.sum(axis=1).max(initial=0)))
    videos = np.full(shape, NONE, np.int32)
    scores = np.full((*shape, len(found)), np.nan, np.float32)
    at = place[row, column]
    videos[row, at] = video[row, column]
    taken = order[row, column]
    named = (row * shape[1] + at) * len(found) + source[taken]
    # A source may name a video twice; its first mention, the best one, counts.
    _, first = np.unique(named, return_index=True)
    scores.reshape(-1)[named[first]] = score[row, taken][first]
    return Pool(videos, scores, names)


def _allowed(video: np.ndarray, requests: Requests) -> np.ndarray:
    """Which videos (r, m) may be shown."""
    out = (video >= 0) & (video < requests.available)
    out &= video != np.asarray(requests.query_video)[:, None]
    for watched in np.asarray(requests.recent_videos).T:
        out &= video != watched[:, None]
    return out
