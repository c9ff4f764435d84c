"""Bags: many ids of unequal number become one vector (P1, section 3.2)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csc_matrix
from torch import Tensor, nn
from torch.nn import functional

from course.errors import LogError


class _BagSum(torch.autograd.Function):
    """Sum of table rows for each bag; the same as an EmbeddingBag, several times faster on a CPU.

    The gradient of row i is the sum of the gradients of the bags that hold i: the (rows x bags)
    table of counts times the gradients. No sorting is needed for that.
    """

    @staticmethod
    def forward(ctx, table: Tensor, ids: Tensor) -> Tensor:
        ctx.ids, ctx.rows = ids, len(table)
        return functional.embedding_bag(ids, table, mode="sum")

    @staticmethod
    def backward(ctx, gradient: Tensor):
        n, length = ctx.ids.shape
        ends = np.arange(0, n * length + 1, length)
        ones = np.ones(n * length, np.float32)
        holds = csc_matrix((ones, ctx.ids.numpy().ravel(), ends), shape=(ctx.rows, n))
        out = torch.from_numpy(holds @ gradient.contiguous().numpy())
        out[-1] = 0.0  # the padding row stays the zero vector
        return out, None


def mean_of_bags(table: nn.Embedding, ids: Tensor) -> Tensor:
    """Means (n, dim) of the embeddings of the ids (n, L) in a table that other features share.

    The table's padding row does not count; a bag of nothing else is the zero vector.
    """
    count = (ids != table.padding_idx).sum(dim=1, keepdim=True).clamp(min=1)
    return _BagSum.apply(table.weight, ids) / count


class Bag(nn.Module):
    """One vector for a bag of ids: the mean of their embeddings.

    Row ``size`` of the table is padding: the zero vector, without a gradient, and not counted in
    the mean. An empty bag is the zero vector.

    Parameters
    ----------
    size : ids go from 0 to ``size - 1``
    sparse : make sparse gradients, for `torch.optim.SparseAdam`
    """

    def __init__(self, size: int, dim: int, sparse: bool = False):
        super().__init__()
        self.size, self.sparse = size, sparse
        self.table = nn.Embedding(size + 1, dim, padding_idx=size, sparse=sparse)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (n, dim) of the bags (n, L), and how many ids (n, 1) each holds."""
        if ids.numel():
            low, high = torch.aminmax(ids)
            if low < 0 or high > self.size:
                raise LogError(
                    f"a bag holds the row {int(low if low < 0 else high)}",
                    allowed=f"0 to {self.size}, where {self.size} is padding",
                    fix="encode the ids with the vocabulary that the model was made with",
                )
        count = (ids != self.size).sum(dim=1, keepdim=True)
        weight = self.table.weight
        if self.sparse or not torch.is_grad_enabled():
            out = functional.embedding_bag(
                ids, weight, mode="sum", padding_idx=self.size, sparse=self.sparse
            )
        else:
            out = _BagSum.apply(weight, ids)
        return out / count.clamp(min=1), count
