"""Softmax over many videos: the full sum, a sample with correction, a tree (P1, section 3.1).

Each loss is a function of user vectors, video vectors and labels; the classes choose the negatives
or hold the tree's own parameters.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError, LogError

LAWS = ("uniform", "popularity", "zipf", "in-batch")


def full_softmax_loss(user: Tensor, videos: Tensor, label: Tensor) -> Tensor:
    r"""Mean cross-entropy over all videos.

    .. math:: L = -u \cdot v_y + \log \sum_j e^{u \cdot v_j}

    Parameters
    ----------
    user : (n, d); videos : (V, d); label : (n,) int64, rows of ``videos``
    """
    _fit_together(user, videos, label)
    return functional.cross_entropy(user @ videos.T, label)


def sampled_softmax_loss(
    user: Tensor,
    videos: Tensor,
    label: Tensor,
    negatives: Tensor,
    log_expected_count: Tensor | None = None,
    sparse: bool = False,
) -> Tensor:
    r"""Mean cross-entropy over the label and a few sampled videos, shared by all rows.

    .. math:: s_j = u \cdot v_j - \log E_j, \qquad
              L = -s_y + \log \Big( e^{s_y} + \sum_{j \in S,\, j \ne y} e^{s_j} \Big)

    :math:`E_j` is how often video j is expected in the sample S. A video that is sampled often
    stands for itself only, a rare one also for others like it that were not drawn; subtracting
    its logarithm, from the label as from the negatives, is the importance weighting. It belongs
    to training: at serving the scores are :math:`u \cdot v_j`.

    A negative that happens to be the label of a row (an accidental hit) is left out there.

    Parameters
    ----------
    user : (n, d); videos : (V, d); label : (n,) int64, rows of ``videos``
    negatives : (S,) int64, distinct rows of ``videos``
    log_expected_count : (V,), or None for no correction
    sparse : make a sparse gradient of ``videos``
    """
    _fit_together(user, videos, label)
    drawn = functional.embedding(torch.cat([label, negatives]), videos, sparse=sparse)
    own, others = drawn[: len(label)], drawn[len(label) :]
    right = (user * own).sum(dim=1)
    if log_expected_count is None:
        wrong = user @ others.T
    else:
        right = right - log_expected_count[label]
        wrong = torch.addmm(-log_expected_count[negatives], user, others.T)
    drawn_too = torch.zeros(len(videos), dtype=torch.bool)
    drawn_too[negatives] = True
    hit = drawn_too[label].nonzero()[:, 0]
    row, column = (label[hit, None] == negatives).nonzero(as_tuple=True)
    # exp(-inf) = 0: no share in the sum and no gradient, so this needs no place in the graph.
    wrong.detach()[hit[row], column] = -torch.inf
    scores = torch.cat([right[:, None], wrong], dim=1)
    return functional.cross_entropy(scores, torch.zeros_like(label))


def _fit_together(user: Tensor, videos: Tensor, label: Tensor) -> None:
    if user.dim() != 2 or user.shape[1] != videos.shape[-1] or label.shape != user.shape[:1]:
        raise LogError(
            f"users have shape {tuple(user.shape)}, videos {tuple(videos.shape)}, labels "
            f"{tuple(label.shape)}",
            allowed="(n, d), (V, d) and (n,)",
            fix="take the only column of a table (n, 1) by [:, 0]",
        )


class FullSoftmax(nn.Module):
    """Compare the label with every video, at each step."""

    def forward(self, user: Tensor, videos: Tensor, label: Tensor, sparse: bool = False) -> Tensor:
        """Loss, see `full_softmax_loss`."""
        return full_softmax_loss(user, videos, label)


class SampledSoftmax(nn.Module):
    r"""Compare the label with a fresh sample of videos at each step.

    Each video enters the sample at most once and on its own, with probability

    .. math:: E_j = 1 - e^{-\lambda q_j}

    as if about :math:`\lambda` videos were drawn from the law q and repeats thrown away;
    :math:`\lambda` is set so that ``negatives`` videos are expected. In-batch negatives are the
    distinct labels of the other rows, and :math:`E_j = 1 - (1 - q_j)^{n-1}`.

    Parameters
    ----------
    counts : (V,) how often each video was a label, most frequent first for the law "zipf"
    negatives : expected size of the sample (not used in-batch)
    law : {"uniform", "popularity", "zipf", "in-batch"}, q_j equal, proportional to the counts, or
        :math:`\propto \log((r+2)/(r+1))` for the r-th most frequent (from r = 0)
    correct : subtract log E_j (see `sampled_softmax_loss`)

    Raises
    ------
    ConfigError
        For an unknown law, or more negatives than there are videos to choose from.
    """

    def __init__(
        self, counts: np.ndarray, negatives: int = 1_000, law: str = "uniform", correct: bool = True
    ):
        super().__init__()
        n = len(counts)
        if law not in LAWS:
            raise ConfigError(f"law={law!r}", allowed=", ".join(LAWS))
        if law != "in-batch" and not 1 <= negatives < n:
            raise ConfigError(
                f"negatives={negatives} of {n} videos", allowed=f"1 to {n - 1}",
                fix="use FullSoftmax to compare with all videos",
            )  # fmt: skip
        self.negatives, self.law, self.correct = negatives, law, correct
        # A video that was never a label counts once: it must be possible to draw it.
        q = np.maximum(np.asarray(counts, float), 1.0)
        if law == "uniform":
            q = np.ones(n)
        elif law == "zipf":
            q = np.log((np.arange(n) + 2.0) / (np.arange(n) + 1.0))
        q = q / q.sum()
        self.register_buffer("q", torch.from_numpy(q))
        if law != "in-batch":
            expected = -np.expm1(-_draws(q, negatives) * q)
            self.register_buffer("expected", torch.from_numpy(expected.astype(np.float32)))

    def draw(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled videos (S,) int64, and the log of the expected count of every video (V,)."""
        if self.law == "in-batch":
            if len(label) < 2:  # no other row, so no negative: the loss is 0
                return label[:0], torch.zeros(len(self.q), dtype=torch.float32)
            expected = -torch.expm1((len(label) - 1) * torch.log1p(-self.q))
            return torch.unique(label), expected.log().float()
        drawn = torch.rand(len(self.expected), dtype=torch.float32) < self.expected
        return drawn.nonzero()[:, 0], self.expected.log()

    def forward(self, user: Tensor, videos: Tensor, label: Tensor, sparse: bool = False) -> Tensor:
        """Loss with fresh negatives, see `sampled_softmax_loss`."""
        negatives, log_expected = self.draw(label)
        return sampled_softmax_loss(
            user, videos, label, negatives, log_expected if self.correct else None, sparse
        )


def _draws(q: np.ndarray, distinct: float) -> float:
    """The lambda for which sum_j (1 - exp(-lambda q_j)) = distinct, by bisection."""
    low, high = 0.0, 1.0
    while -np.expm1(-high * q).sum() < distinct:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = (low + high) / 2.0
        if -np.expm1(-middle * q).sum() < distinct:
            low = middle
        else:
            high = middle
    return high


class HierarchicalSoftmax(nn.Module):
    r"""First choose a cluster of videos, then a video in it.

    .. math:: P(i \mid u) = \frac{e^{u \cdot w_{c(i)}}}{\sum_c e^{u \cdot w_c}} \cdot
              \frac{e^{u \cdot v_i}}{\sum_{j \in c(i)} e^{u \cdot v_j}}

    With about :math:`\sqrt V` clusters a step costs :math:`\sqrt V` rather than V scores. The
    product is not a dot product, so nearest-neighbour search cannot serve it.

    Parameters
    ----------
    clusters : (V,) int, any assignment of the rows of the video vocabulary to clusters
    dim : as of the model that it is used in
    """

    def __init__(self, clusters: np.ndarray, dim: int = 64):
        super().__init__()
        clusters = np.asarray(clusters)
        if clusters.ndim != 1 or not np.issubdtype(clusters.dtype, np.integer):
            raise ConfigError(f"clusters of shape {clusters.shape}, type {clusters.dtype}",
                              allowed="one whole number for each video")  # fmt: skip
        _, cluster, count = np.unique(clusters, return_inverse=True, return_counts=True)
        order = np.argsort(cluster, kind="stable")
        place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        members = np.full((len(count), count.max()), -1)
        members[cluster[order], place] = order
        within = np.empty(len(order), np.int64)
        within[order] = place
        self.register_buffer("members", torch.from_numpy(members))
        self.register_buffer("cluster", torch.from_numpy(cluster.astype(np.int64)))
        self.register_buffer("within", torch.from_numpy(within))
        # Zeros: all clusters alike at first, and no random numbers needed.
        self.vectors = nn.Parameter(torch.zeros(len(count), dim + 1, dtype=torch.float32))

    def forward(self, user: Tensor, videos: Tensor, label: Tensor, sparse: bool = False) -> Tensor:
        """Mean of -log P(label | user)."""
        _fit_together(user, videos, label)
        own = self.cluster[label]
        members = self.members[own]
        inside = functional.embedding(members.clamp(min=0), videos, sparse=sparse)
        scores = torch.bmm(inside, user[:, :, None])[:, :, 0]
        scores = scores.masked_fill(members < 0, -torch.inf)
        return functional.cross_entropy(user @ self.vectors.T, own) + functional.cross_entropy(
            scores, self.within[label]
        )

    def log_probability(self, user: Tensor, videos: Tensor) -> Tensor:
        """Log-probability of every video (n, V)."""
        scores = user @ videos.T
        padded = functional.pad(scores, (0, 1), value=-torch.inf)[:, self.members]
        inside = torch.logsumexp(padded, dim=2)
        choice = functional.log_softmax(user @ self.vectors.T, dim=1)
        return scores + (choice - inside)[:, self.cluster]
