"""The simple models of the first chapters: popularity, plain factorization, logistic regression.

They make a complete two-stage system in about a second. Later chapters replace each part by
what the papers propose.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course.errors import LogError
from course.logs.splits import first_watches
from course.logs.tables import Logs
from course.simulator.feed import Requests
from course.simulator.policies import top

FEATURES = (
    "factorization score",
    "popular this week (log)",
    "age in days (log)",
    "share of watches in the topic (root)",
    "watches of the channel (log)",
    "same language",
    "length in minutes (log)",
)
RECENT_DAYS = 7.0


def recent_popularity(logs: Logs, days: float = RECENT_DAYS) -> np.ndarray:
    """Watches of each video in the last ``days`` of the log (n_videos,) float64."""
    end = logs.watches["time"].max()
    recent = logs.watches[logs.watches["time"] > end - days]
    return np.bincount(recent["video_id"], minlength=len(logs.videos)).astype(float)


def factorize(logs: Logs, factors: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Plain matrix factorization: truncated SVD of the table who-watched-what.

    Returns
    -------
    user_vectors (users, factors), video_vectors (videos, factors) : float32
        Their dot product approximates 1 where the account watched the video and 0 elsewhere.
    """
    seen = first_watches(logs.watches)
    shape = (len(logs.users), len(logs.videos))
    table = csr_matrix((np.ones(len(seen)), (seen["user_id"], seen["video_id"])), shape=shape)
    start = np.ones(min(shape))  # a fixed start makes the result the same at each run
    u, s, vt = svds(table, k=min(factors, min(shape) - 1), v0=start)
    root = np.sqrt(s)
    return (u * root).astype(np.float32), (vt.T * root).astype(np.float32)


class Profiles:
    """What can be said about accounts and videos from a log: counts and factorization vectors.

    Parameters
    ----------
    logs : Logs
        Cut them with ``logs.before(day)`` to describe the world as it was on that day.
    factors : int
    """

    def __init__(self, logs: Logs, factors: int = 24):
        users, videos, watches = logs.users, logs.videos, logs.watches
        if watches.empty:
            raise LogError("There are no watches to learn from", fix="cut the logs at a later day")
        self.users, self.videos = users, videos
        self.topic = videos["topic"].cat.codes.to_numpy()
        self.channel = videos["channel_id"].to_numpy()
        self.language = videos["language"].cat.codes.to_numpy()
        self.user_language = users["language"].cat.codes.to_numpy()
        self.uploaded = videos["uploaded"].to_numpy()
        self.minutes = videos["duration_seconds"].to_numpy() / 60.0
        self.popular = np.log1p(recent_popularity(logs)).astype(np.float32)
        by_topic = np.zeros((len(users), self.topic.max() + 1), np.float32)
        by_channel = np.zeros((len(users), self.channel.max() + 1), np.float32)
        user, video = watches["user_id"].to_numpy(), watches["video_id"].to_numpy()
        np.add.at(by_topic, (user, self.topic[video]), 1)
        np.add.at(by_channel, (user, self.channel[video]), 1)
        self.topic_share = by_topic / (by_topic.sum(axis=1, keepdims=True) + 5.0)
        self.channel_watches = np.log1p(by_channel)
        self.user_vectors, self.video_vectors = factorize(logs, factors)

    def scores(self, user: np.ndarray) -> np.ndarray:
        """Factorization scores of all videos for each account, (r, n) float32."""
        return self.user_vectors[user] @ self.video_vectors.T

    def features(self, user: np.ndarray, video: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Ranking features (r, k, 7) float32 in the order of ``FEATURES``.

        Parameters
        ----------
        user, time : (r,) arrays; video : (r, k) int
        """
        u = user[:, None]
        match = np.einsum("rd,rkd->rk", self.user_vectors[user], self.video_vectors[video])
        columns = [
            match,
            self.popular[video],
            np.log1p(np.maximum(time[:, None] - self.uploaded[video], 0)),
            np.sqrt(self.topic_share[u, self.topic[video]]),
            self.channel_watches[u, self.channel[video]],
            self.language[video] == self.user_language[u],
            np.log(self.minutes[video]),
        ]
        return np.stack(columns, axis=-1).astype(np.float32)


def fit_click_model(logs: Logs, at: float, *, sample: int = 150_000):
    """Logistic regression for clicks on the impressions from day ``at`` on.

    The features come from the log before ``at``, the labels from after it, so that no feature
    knows its own label.

    Returns
    -------
    scikit-learn pipeline with ``decision_function``
    """
    profiles = Profiles(logs.before(at))
    rows = logs.impressions[logs.impressions["time"] >= at]
    rows = rows[rows["video_id"] < len(profiles.videos)]
    if rows["clicked"].nunique() < 2:
        raise LogError(
            f"The {len(rows)} impressions from day {at:g} on are not both clicked and not clicked",
            allowed="a day that leaves some of both behind it",
        )
    rows = rows.sample(min(sample, len(rows)), random_state=0)
    x = profiles.features(
        rows["user_id"].to_numpy(), rows["video_id"].to_numpy()[:, None], rows["time"].to_numpy()
    )[:, 0]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return model.fit(x, rows["clicked"].to_numpy())


def first_stage_scores(p: Profiles, user: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """Scores of all videos for accounts (r, n): factorization, a little popularity, no repeats.

    Parameters
    ----------
    user : (r,) int; recent : (r, 50) int, the last watches of each, -1 = none
    """
    return _not_watched(p, user, recent, p.scores(user) + 0.02 * p.popular)


def popular_scores(p: Profiles, user: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """The same for popularity: watches of the last week, in the account's language (r, n)."""
    return _not_watched(p, user, recent, np.broadcast_to(p.popular, (len(user), len(p.popular))))


class TwoStage:
    """Two-stage policy: factorization nominates, logistic regression ranks.

    Parameters
    ----------
    profiles : Profiles of the whole log
    click_model : what `fit_click_model` returned
    candidates : int, how many videos the first stage hands to the second
    """

    def __init__(self, profiles: Profiles, click_model, candidates: int = 200):
        self.profiles, self.click_model, self.candidates = profiles, click_model, candidates

    def nominate(self, requests: Requests) -> np.ndarray:
        """First stage: ids of the best ``candidates`` videos (r, c), in any order."""
        scores = first_stage_scores(self.profiles, requests.user, requests.recent_videos)
        count = min(self.candidates, scores.shape[1])
        return np.argpartition(-scores, count - 1, axis=1)[:, :count].astype(np.int32)

    def rank(self, requests: Requests, videos: np.ndarray) -> np.ndarray:
        """Second stage: the best of the nominated videos (r, slate), best first."""
        x = self.profiles.features(requests.user, videos, requests.time)
        scores = self.click_model.decision_function(x.reshape(-1, x.shape[-1]))
        scores = scores.reshape(videos.shape)
        # A large first stage reaches down to videos that were watched already.
        watched = np.zeros((len(videos), len(self.profiles.videos) + 1), bool)
        watched[np.arange(len(videos))[:, None], requests.recent_videos] = True
        seen = np.take_along_axis(watched, videos.astype(np.int64), axis=1)
        return top(np.where(seen, scores - 100.0, scores), videos, requests.slate)

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        return self.rank(requests, self.nominate(requests))


class PopularInLanguage:
    """What was watched most in the last week, in the account's language, without repeats."""

    def __init__(self, profiles: Profiles):
        self.profiles = profiles

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        p = self.profiles
        scores = popular_scores(p, requests.user, requests.recent_videos)
        everything = np.broadcast_to(np.arange(len(p.popular), dtype=np.int32), scores.shape)
        return top(scores, everything, requests.slate)


def _not_watched(p: Profiles, user, recent, scores: np.ndarray) -> np.ndarray:
    """Push videos in another language, and the last 50 watches, below all others."""
    foreign = p.language[None, :] != p.user_language[user][:, None]
    # One extra column takes the "no video" entries (-1) and is cut off again.
    out = np.concatenate([np.where(foreign, scores - 10.0, scores), scores[:, :1]], axis=1)
    out[np.arange(len(out))[:, None], recent] -= 20.0
    return out[:, :-1]
