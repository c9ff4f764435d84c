"""Matrix factorization: a vector for each account and each video, scored by their dot product.

Two ways to learn the vectors, alternating least squares (in ``course.models.als``) and softmax; a
learned combiner as the rival of the dot product; popularity as the floor; and a policy that makes
pages of vectors. None of them knows what day it is, which is their weakness.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import nn

from course.errors import ConfigError, LogError, PolicyError
from course.logs.tables import Logs
from course.models.als import als, als_objective, half_step, interactions
from course.models.starter import recent_popularity
from course.simulator.feed import Requests
from course.simulator.policies import top
from course.training import (
    History,
    check_number,
    check_whole,
    evaluating,
    fit,
    seeded,
    softmax_cross_entropy,
)

__all__ = [
    "DotProductPolicy",
    "MLPCombiner",
    "SoftmaxFactorization",
    "als",
    "als_objective",
    "fit_pairs",
    "half_step",
    "interactions",
    "popularity_scores",
]

_SPREAD = 0.1  # standard deviation of the numbers in a vector before training
_SCORES = 4_000_000  # scores computed at a time when nobody learns from them


def popularity_scores(
    logs: Logs, days: float | None = None, by_language: bool = False
) -> np.ndarray:
    """Watches of each video: of all time or of the last days, by everybody or by language.

    Parameters
    ----------
    logs : Logs
    days : float, only the last so many days of the log; None = all
    by_language : count apart the accounts of each language

    Returns
    -------
    float64 (videos,), or (languages, videos) in the order of the categories of ``users.language``
    """
    if days is not None and not days > 0:
        raise ConfigError(f"days={days!r}", allowed="a number above 0, or None for all time")
    if logs.watches.empty:
        raise LogError("There are no watches to count", fix="cut the logs at a later day")
    if not by_language:
        return recent_popularity(logs, np.inf if days is None else days)
    watches, language = logs.watches, logs.users["language"].cat
    if days is not None:
        watches = watches[watches["time"] > watches["time"].max() - days]
    spoken = language.codes.to_numpy()[watches["user_id"]]
    counts = np.zeros((len(language.categories), len(logs.videos)))
    np.add.at(counts, (spoken, watches["video_id"].to_numpy()), 1.0)
    return counts


class _Tables(nn.Module):
    """Two tables of vectors, a bias for each video, and a way to combine them into scores."""

    def __init__(self, users: int, videos: int, factors: int, popularity, seed: int):
        super().__init__()
        for name, value in (("users", users), ("videos", videos), ("factors", factors)):
            check_whole(name, value, 1)
        check_whole("seed", seed, 0)
        if factors > videos:
            raise ConfigError(
                f"factors={factors} for {videos} videos", allowed=f"1 to {videos} factors"
            )
        bias = torch.zeros(videos, dtype=torch.float32)
        if popularity is not None:
            counts = np.asarray(popularity, dtype=float)
            if counts.shape != (videos,) or not (np.isfinite(counts).all() and counts.min() >= 0):
                raise ConfigError(
                    f"popularity has shape {counts.shape}",
                    allowed=f"{videos} counts, none of them below 0",
                )
            bias = torch.from_numpy(np.log(counts + 1.0)).float()
        random = torch.Generator().manual_seed(int(seed))
        drawn = {"generator": random, "dtype": torch.float32}
        self.user = nn.Parameter(_SPREAD * torch.randn(users, factors, **drawn))
        self.video = nn.Parameter(_SPREAD * torch.randn(videos, factors, **drawn))
        self.bias = nn.Parameter(bias)

    def forward(self, user: torch.Tensor, video: torch.Tensor | None = None) -> torch.Tensor:
        """Scores of videos for accounts.

        Parameters
        ----------
        user : int64 (b,)
        video : None for the whole catalogue, (k,) for the same videos in each row, or (b, k)

        Returns
        -------
        float32 (b, videos) or (b, k)
        """
        vectors, bias = self.video, self.bias
        if video is not None:
            vectors, bias = self.video[video], self.bias[video]
        return self.combine(self.user[user], vectors) + bias

    def scores(self, user: np.ndarray) -> np.ndarray:
        """Scores of the whole catalogue (r, videos) float32 for accounts (r,)."""
        user = _known(user, len(self.user))
        at_a_time = max(1, _SCORES // self.score_cost)
        with evaluating(self):
            parts = [self(rows) for rows in torch.from_numpy(user).split(at_a_time)]
        return torch.cat(parts).numpy() if parts else np.zeros((0, len(self.video)), np.float32)


class SoftmaxFactorization(_Tables):
    r"""Matrix factorization as a classifier: which of all videos does this account watch?

    .. math:: P(i | u) = \frac{e^{x_u^\top y_i + b_i}}{\sum_j e^{x_u^\top y_j + b_j}}

    The same softmax as in Covington, Adams, Sargin, "Deep Neural Networks for YouTube
    Recommendations" (2016), section 3.1, with a free vector for each account in the place of a
    network. Train it with `fit_pairs`.

    Parameters
    ----------
    users, videos : int
    factors : int, at most the number of videos
    popularity : optional (videos,) counts; the bias of a video starts at log(1 + count). Without
        it the biases start at 0; they are learned in both cases
    seed : int, of the starting vectors
    """

    def __init__(self, users: int, videos: int, factors: int = 64, popularity=None, seed: int = 0):
        super().__init__(users, videos, factors, popularity, seed)
        self.score_cost = videos

    def combine(self, users: torch.Tensor, videos: torch.Tensor) -> torch.Tensor:
        """Dot products: (b, f) with (k, f) or (b, k, f) gives (b, k)."""
        if videos.ndim == 2:
            return users @ videos.T
        return (users[:, None] * videos).sum(dim=2)

    def groups(self, learning_rate: float) -> list[dict]:
        """Parameter groups for `course.training.fit`."""
        return [{"params": [self.user, self.video, self.bias], "lr": learning_rate}]

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """User vectors (users, factors + 1) and video vectors (videos, factors + 1), float32.

        The last number is 1 for accounts and the bias for videos, so that the dot product alone
        gives the whole score and any nearest-neighbour search can serve it.
        """
        user = nn.functional.pad(self.user.detach(), (0, 1), value=1.0)
        video = torch.cat([self.video.detach(), self.bias.detach()[:, None]], dim=1)
        return user.numpy(), video.numpy()


class MLPCombiner(_Tables):
    """The rival of the dot product: a network on the two vectors laid end to end.

    score = MLP(concat(user vector, video vector)) + bias, with ReLU layers that halve. A network
    can in principle learn any way to combine two vectors; whether it does is the question of
    Rendle, Krichene, Zhang, Anderson, "Neural Collaborative Filtering vs. Matrix Factorization
    Revisited" (2020). Train it with `fit_pairs`, as the dot product.

    Parameters
    ----------
    users, videos, factors, popularity, seed : as in `SoftmaxFactorization`
    hidden : widths of the hidden layers, none below 1
    """

    def __init__(
        self,
        users: int,
        videos: int,
        factors: int = 64,
        popularity=None,
        seed: int = 0,
        hidden: tuple[int, ...] = (64, 32),
    ):
        super().__init__(users, videos, factors, popularity, seed)
        if not hidden:
            raise ConfigError(f"hidden={hidden!r}", allowed="at least one width")
        for width in hidden:
            check_whole("hidden width", width, 1)
        # The first layer on the concatenation is a sum of one layer for each half. Written like
        # this, the halves are computed once for each account and video, not once for each pair.
        with seeded(seed):
            self.from_user = nn.Linear(factors, hidden[0])
            self.from_video = nn.Linear(factors, hidden[0], bias=False)
            layers: list[nn.Module] = [nn.ReLU()]
            for below, above in zip(hidden, hidden[1:], strict=False):
                layers += [nn.Linear(below, above), nn.ReLU()]
            self.above = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))
        self.score_cost = videos * hidden[0]

    def combine(self, users: torch.Tensor, videos: torch.Tensor) -> torch.Tensor:
        """Network scores: (b, f) with (k, f) or (b, k, f) gives (b, k)."""
        first = self.from_user(users)[:, None] + self.from_video(videos)
        return self.above(first)[..., 0]

    def groups(self, learning_rate: float) -> list[dict]:
        """Parameter groups for `course.training.fit`: the network learns at a fifth of the rate."""
        network = [*self.from_user.parameters(), *self.from_video.parameters()]
        network += self.above.parameters()
        return [
            {"params": [self.user, self.video, self.bias], "lr": learning_rate},
            {"params": network, "lr": 0.2 * learning_rate},
        ]


def fit_pairs(
    model: SoftmaxFactorization | MLPCombiner,
    table: csr_matrix,
    *,
    negatives: int | None = None,
    decay: float = 0.01,
    epochs: int = 3,
    batch: int = 512,
    learning_rate: float = 1e-2,
    seed: int = 0,
    progress: Callable[[int, int, float], object] | None = None,
) -> History:
    r"""Train on (account, video) pairs by softmax over the catalogue or over sampled videos.

    The loss of a pair is :math:`-\log P(i | u) + \text{decay} \cdot |x_u|^2`. Accounts with few
    watches need the second term: without it they are fitted to the letter.

    Parameters
    ----------
    model : changed in place
    table : csr_matrix (users, videos); each entry is one example, whatever its value
    negatives : int, train against this many videos, drawn uniformly for each batch and shared by
        its rows, in the place of the whole catalogue; a row's own video does not count as its
        negative. (Uniform draws need no correction: it would be the same for each video.)
    decay : float, the penalty on user vectors
    epochs, batch, learning_rate, seed, progress : see `course.training.fit`

    Raises
    ------
    ConfigError
        For a setting out of range, or a table that does not fit the model.
    LogError
        If the table is empty.
    """
    check_number("decay", decay, 0.0)
    shape = (len(model.user), len(model.video))
    if table.shape != shape:
        raise ConfigError(f"The table is {table.shape} and the model {shape}", allowed="the same")
    if negatives is not None:
        check_whole("negatives", negatives, 1)
    pairs = table.tocoo()
    if not pairs.nnz:
        raise LogError("The table is empty", fix="cut the logs at a later day")
    user, video = (torch.from_numpy(ids.astype(np.int64)) for ids in (pairs.row, pairs.col))
    draws = torch.Generator().manual_seed(int(seed) + 1)

    def batch_loss(rows: torch.Tensor) -> torch.Tensor:
        u, target = user[rows], video[rows]
        if negatives is None:
            loss = softmax_cross_entropy(model(u), target)
        else:
            others = torch.randint(shape[1], (negatives,), generator=draws)
            own = model(u, target[:, None])
            against = model(u, others).masked_fill(others == target[:, None], -torch.inf)
            first = torch.zeros(len(u), dtype=torch.int64)
            loss = softmax_cross_entropy(torch.cat([own, against], dim=1), first)
        return loss + decay * (model.user[u] ** 2).sum(dim=1).mean()

    return fit(
        model.groups(learning_rate),
        batch_loss,
        pairs.nnz,
        epochs=epochs,
        batch=batch,
        seed=seed,
        progress=progress,
    )


class DotProductPolicy:
    """Pages from vectors: the highest dot products among what was not watched lately.

    Accounts without a watch have no vector worth the name: they get what accounts of their
    language watched most in the last days. Videos uploaded after the vectors were learned have no
    vector either and are shown only when nothing else is left.

    Parameters
    ----------
    user_vectors : float (users, factors); video_vectors : float (videos, factors)
    logs : Logs that the vectors were learned from
    fallback_days : float, how far the fallback looks back

    Raises
    ------
    ConfigError
        If the vectors do not fit each other or the logs.
    """

    def __init__(
        self,
        user_vectors: np.ndarray,
        video_vectors: np.ndarray,
        logs: Logs,
        fallback_days: float = 2.0,
    ):
        user, video = np.asarray(user_vectors), np.asarray(video_vectors)
        for name, vectors, rows in (
            ("user_vectors", user, len(logs.users)),
            ("video_vectors", video, len(logs.videos)),
        ):
            if vectors.ndim != 2 or len(vectors) != rows or vectors.shape[1] != video.shape[-1]:
                raise ConfigError(
                    f"{name} has shape {vectors.shape}",
                    allowed=f"({rows}, factors), with as many factors as the other",
                )
            if not np.isfinite(vectors).all():
                raise ConfigError(f"{name} holds a number that is not finite")
        self.user_vectors, self.video_vectors = user, video
        self.popular = popularity_scores(logs, fallback_days, by_language=True)
        self.language = logs.users["language"].cat.codes.to_numpy()
        self.known = np.bincount(logs.watches["user_id"], minlength=len(user)) > 0

    def scores(self, user: np.ndarray) -> np.ndarray:
        """Scores (r, videos) for accounts (r,); only their order within a row has a meaning."""
        user = _known(user, len(self.user_vectors))
        scores = self.user_vectors[user] @ self.video_vectors.T
        new = ~self.known[user]
        scores[new] = self.popular[self.language[user[new]]]
        return scores

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests, of candidates or of the whole catalogue."""
        n, rows = len(self.video_vectors), np.arange(len(requests))[:, None]
        # One column for each video there is, and a last one for the "no video" entries (-1).
        table = np.full((len(rows), max(requests.available, n) + 1), -np.inf)
        table[:, :n] = self.scores(requests.user)
        table[rows, requests.recent_videos] = -np.inf
        videos = requests.candidates
        if videos is None:
            everything = np.arange(requests.available, dtype=np.int32)
            videos = np.broadcast_to(everything, (len(rows), requests.available))
        return top(
            np.take_along_axis(table, videos.astype(np.int64), axis=1), videos, requests.slate
        )


def _known(user: np.ndarray, users: int) -> np.ndarray:
    user = np.asarray(user, dtype=np.int64)
    if user.ndim != 1:
        raise PolicyError(f"Accounts of shape {user.shape}", allowed="a list of account numbers")
    wrong = user[(user < 0) | (user >= users)]
    if len(wrong):
        raise PolicyError(f"There is no account {wrong[0]}", allowed=f"0 to {users - 1}")
    return user
