"""Softmax over many videos, for the candidate generator of the chapters from 04 on.

Chapter 03 writes both losses (`course.lessons.candidate_generation`); these make sparse gradients
on request, without which a table of 200,000 videos trains slowly.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError
from course.lessons.candidate_generation import chances, full_softmax, law


class FullSoftmax(nn.Module):
    """Compare the label with every video, at each step."""

    def forward(self, user: Tensor, videos: Tensor, label: Tensor, sparse: bool = False) -> Tensor:
        """Mean loss of user vectors (n, d), video vectors (V, d), labels (n,) int64."""
        return full_softmax(user, videos, label)


class SampledSoftmax(nn.Module):
    """Compare the label with a fresh sample at each step, drawn by popularity and corrected.

    Parameters
    ----------
    counts : (V,) how often each video was a label
    negatives : expected size of the sample, below V
    """

    def __init__(self, counts: np.ndarray, negatives: int = 1_000):
        super().__init__()
        if not 1 <= negatives < len(counts):
            raise ConfigError(
                f"negatives={negatives} of {len(counts)} videos", allowed=f"1 to {len(counts) - 1}",
                fix="use FullSoftmax to compare with all videos",
            )  # fmt: skip
        q = law(torch.as_tensor(counts, dtype=torch.float64))
        self.register_buffer("expected", chances(q, negatives))

    def forward(self, user: Tensor, videos: Tensor, label: Tensor, sparse: bool = False) -> Tensor:
        """Loss as of `FullSoftmax`, with fresh negatives."""
        enters = torch.rand(len(self.expected), dtype=torch.float32) < self.expected
        negatives = enters.nonzero()[:, 0]
        drawn = functional.embedding(torch.cat([label, negatives]), videos, sparse=sparse)
        own, others = drawn[: len(label)], drawn[len(label) :]
        right = (user * own).sum(dim=1) - self.expected[label].log()
        wrong = torch.addmm(-self.expected[negatives].log(), user, others.T)
        wrong = wrong.masked_fill(label[:, None] == negatives, -torch.inf)
        scores = torch.cat([right[:, None], wrong], dim=1)
        return functional.cross_entropy(scores, torch.zeros_like(label))
