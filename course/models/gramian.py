r"""Learning from all pairs without visiting them: Gramians (Krichene et al. 2018).

A two-tower model shall give high dot products to the pairs that occurred and small ones to all
others. "All others" is every context with every video; their mean squared dot product needs only
two small matrices:

.. math:: \frac{1}{nm}\sum_{i,j} (u_i \cdot v_j)^2 = \langle G_u, G_v \rangle, \qquad
          G_u = \frac{1}{n}\sum_i u_i u_i^\top, \quad G_v = \frac{1}{m}\sum_j v_j v_j^\top.

While training, each batch brings a fresh but noisy estimate of the two, and a moving average of
them takes the noise out. P2 (section 3) names this technique for its context-aware candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError, LogError
from course.training import History, check_number, check_whole, fit, seeded


def gramian(vectors: Tensor) -> Tensor:
    """Mean outer product (d, d) of vectors (n, d)."""
    return vectors.T @ vectors / len(vectors)


class Gravity(nn.Module):
    """Mean squared dot product of all pairs, from batches: pulls all scores towards 0.

    The value's gradient is that of the exact one, but for the noise and the delay of the moving
    averages: each side is pulled by the average Gramian of the other.

    Parameters
    ----------
    dim : d of the vectors
    rate : weight of a new batch in the moving average, above 0, at most 1 (1 = no memory)
    """

    def __init__(self, dim: int, rate: float = 0.1):
        super().__init__()
        check_whole("dim", dim, 1)
        if not 0 < rate <= 1:
            raise ConfigError(f"rate={rate!r}", allowed="above 0, at most 1")
        self.rate = rate
        self.register_buffer("left", torch.zeros(dim, dim, dtype=torch.float32))
        self.register_buffer("right", torch.zeros(dim, dim, dtype=torch.float32))
        self.register_buffer("batches", torch.zeros((), dtype=torch.float32))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Scalar, for a batch of contexts (n, d) and a batch of videos (m, d)."""
        fresh = gramian(u), gramian(v)
        with torch.no_grad():
            self.batches += 1
            # The plain mean of the first batches, so that the start at 0 leaves no trace.
            rate = max(self.rate, 1.0 / float(self.batches))
            for average, now in zip((self.left, self.right), fresh, strict=True):
                average += rate * (now - average)
        pull = (fresh[0] * self.right).sum() + (self.left * fresh[1]).sum()
        value = (self.left * self.right).sum()
        return pull - pull.detach() + value


class ContextModel(nn.Module):
    """Contexts and videos as vectors; what fits has a dot product near 1, all else near 0.

    Parameters
    ----------
    context_sizes : number of values of each code that describes a context; the value ``size`` of a
        code stands for "unknown" and has the zero vector
    video_sizes : the same for the codes that describe a video, its id among them
    dim : of the vectors
    width : of the hidden layer on the side of the context
    weight : of the gravity, relative to the pairs that occurred
    seed : of the first weights
    """

    def __init__(
        self,
        context_sizes: Sequence[int],
        video_sizes: Sequence[int],
        *,
        dim: int = 32,
        width: int = 64,
        weight: float = 1.0,
        rate: float = 0.1,
        seed: int = 0,
    ):
        super().__init__()
        for name, sizes in (("context_sizes", context_sizes), ("video_sizes", video_sizes)):
            if not len(sizes):
                raise ConfigError(f"{name} is empty", allowed="at least one code")
            for size in sizes:
                check_whole(name, size, 1)
        check_number("weight", weight, 0.0)
        self.weight = float(weight)
        with seeded(seed):
            self.context = _tables(context_sizes, dim)
            self.video = _tables(video_sizes, dim)
            self.tower = nn.Sequential(
                nn.Linear(dim * len(context_sizes), width), nn.ReLU(), nn.Linear(width, dim)
            )
        self.gravity = Gravity(dim, rate)

    def contexts(self, codes: Tensor) -> Tensor:
        """Vectors (n, dim) of contexts (n, number of codes) int64."""
        parts = [table(codes[:, i]) for i, table in enumerate(self.context)]
        return self.tower(torch.cat(parts, dim=1))

    def videos(self, codes: Tensor) -> Tensor:
        """Vectors (m, dim) of videos (m, number of codes) int64: the sum of their parts."""
        return sum(table(codes[:, i]) for i, table in enumerate(self.video))

    def loss(self, context: Tensor, video: Tensor, others: Tensor) -> Tensor:
        """Squared error of a batch of pairs (b,), and the gravity of all pairs.

        Parameters
        ----------
        context : (b, codes) of the pairs; video : (b, codes)
        others : (m, codes) of videos drawn evenly from the catalogue
        """
        u, v = self.contexts(context), self.videos(video)
        return ((1.0 - (u * v).sum(dim=1)) ** 2).mean() + self.weight * self.gravity(
            u, self.videos(others)
        )


def fit_context_model(
    model: ContextModel,
    context: np.ndarray,
    video: np.ndarray,
    catalogue: np.ndarray,
    *,
    epochs: int = 3,
    batch: int = 1_024,
    learning_rate: float = 5e-3,
    seed: int = 0,
    progress=None,
) -> History:
    """Train on pairs that occurred.

    Parameters
    ----------
    context : (n, codes) int, one row for each watch
    video : (n,) int, rows of ``catalogue``
    catalogue : (V, codes) int, the codes of all videos

    Raises
    ------
    LogError
        If a pair names a video that the catalogue does not have, or there is no pair.
    """
    if not len(context) or np.shape(video) != np.shape(context)[:1]:
        raise LogError(
            f"contexts of shape {np.shape(context)} and videos {np.shape(video)}",
            allowed="pairs: (n, codes) and (n,)",
        )
    if video.min() < 0 or video.max() >= len(catalogue):
        raise LogError(
            f"a pair names video {int(video.max())}", allowed=f"0 to {len(catalogue) - 1}"
        )
    contexts, codes = (
        torch.from_numpy(np.asarray(context, np.int64)),
        torch.from_numpy(np.asarray(catalogue, np.int64)),
    )
    label = torch.from_numpy(np.asarray(video, np.int64))
    draw = torch.Generator().manual_seed(seed)

    def batch_loss(rows: Tensor) -> Tensor:
        others = torch.randint(len(codes), (batch,), generator=draw)
        return model.loss(contexts[rows], codes[label[rows]], codes[others])

    return fit(
        model.parameters(), batch_loss, len(label), epochs=epochs, batch=batch, seed=seed,
        learning_rate=learning_rate, progress=progress,
    )  # fmt: skip


def mean_squared_score(u: Tensor, v: Tensor) -> Tensor:
    """The exact gravity of all pairs (n, d) x (m, d), by the identity above."""
    return functional.relu((gramian(u) * gramian(v)).sum())


def _tables(sizes: Sequence[int], dim: int) -> nn.ModuleList:
    tables = nn.ModuleList(nn.Embedding(n + 1, dim, padding_idx=n) for n in sizes)
    with torch.no_grad():
        for table in tables:
            table.weight *= 0.3
    return tables
