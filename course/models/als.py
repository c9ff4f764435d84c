"""Alternating least squares: the table who-watched-what as a product of two small tables."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse
from torch.nn.functional import embedding

from course.errors import ConfigError, LogError
from course.logs.splits import first_watches
from course.logs.tables import Logs
from course.training import check_number, check_whole

SOLVERS = ("exact", "cg")
_ENTRIES = 8_000  # table entries solved at a time: with 64 factors, 2 MB, which a cache holds


def interactions(logs: Logs) -> csr_matrix:
    """The table who-watched-what.

    Parameters
    ----------
    logs : Logs

    Returns
    -------
    csr_matrix (users, videos) float32, 1 for each pair that was watched at least once

    Raises
    ------
    LogError
        If no watch is left.
    """
    watches = first_watches(logs.watches)
    if watches.empty:
        raise LogError("There are no watches to count", fix="cut the logs at a later day")
    shape = (len(logs.users), len(logs.videos))
    rows = (watches["user_id"].to_numpy(), watches["video_id"].to_numpy())
    return csr_matrix((np.ones(len(watches), np.float32), rows), shape=shape)


class _Chunk(NamedTuple):
    """Rows of a table of about the same length, padded to one length L."""

    rows: torch.Tensor  # (b,)
    columns: torch.Tensor  # (b, L), 0 where padded
    strength: torch.Tensor  # (b, L), 0 where padded


def als(
    table: csr_matrix,
    factors: int = 64,
    regularisation: float = 10.0,
    alpha: float = 3.0,
    iterations: int = 15,
    seed: int = 0,
    *,
    solver: str = "exact",
    progress: Callable[[int, int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Factorise implicit feedback by alternating least squares.

    Minimises, over *all* pairs of an account and a video, watched or not,

    .. math:: \sum_{ui} c_{ui} (p_{ui} - x_u^\top y_i)^2
              + \lambda \Big(\sum_u |x_u|^2 + \sum_i |y_i|^2\Big)

    with :math:`p_{ui} = 1` where the table has an entry :math:`r_{ui} > 0` and 0 elsewhere, and
    the confidence :math:`c_{ui} = 1 + \alpha r_{ui}`. With one side fixed, the other has a closed
    form; the two take turns.

    Parameters
    ----------
    table : csr_matrix (users, videos), entries >= 0, such as `interactions` returns
    factors : int, 1 to the smaller side of the table
    regularisation : float, the :math:`\lambda` above
    alpha : float, how much more a watch counts than its absence
    iterations : int, each solves users, then videos
    seed : int, of the starting vectors
    solver : {"exact", "cg"}
        Closed form by Cholesky, or three steps of conjugate gradients from the vectors of the
        iteration before: no longer exact, three to four times as fast, as good after a few
        iterations
    progress : called after each iteration with (iterations done, iterations)

    Returns
    -------
    user_vectors (users, factors), video_vectors (videos, factors) : float32
        Accounts and videos without an entry have the zero vector.

    Raises
    ------
    ConfigError
        For a setting out of range.
    LogError
        If the table is empty, or has a negative entry or one that is not a number.

    References
    ----------
    Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008), sections
    4 and 4.1. The conjugate gradients: Takács, Pilászy, Tikk, "Applications of the Conjugate
    Gradient Method for Implicit Feedback Collaborative Filtering" (2011).
    """
    table = _checked_table(table)
    check_whole("factors", factors, 1)
    if factors > min(table.shape):
        raise ConfigError(
            f"factors={factors} for a table of {table.shape[0]} accounts and {table.shape[1]} "
            "videos",
            allowed=f"1 to {min(table.shape)}",
        )
    check_number("alpha", alpha, 0.0)
    check_whole("iterations", iterations, 1)
    check_whole("seed", seed, 0)
    if solver not in SOLVERS:
        raise ConfigError(f"solver={solver!r}", allowed=" or ".join(map(repr, SOLVERS)))
    _check_regularisation(regularisation)
    by_user, by_video = _chunks(table), _chunks(table.T.tocsr())
    random = torch.Generator().manual_seed(int(seed))
    x = torch.zeros(table.shape[0], factors, dtype=torch.float32)
    y = torch.randn(table.shape[1], factors, generator=random, dtype=torch.float32)
    y = 0.1 * y / factors**0.5
    y[torch.from_numpy(table.getnnz(axis=0) == 0)] = 0.0
    one_chunk = _exact if solver == "exact" else _conjugate_gradients
    for iteration in range(iterations):
        _solve(one_chunk, by_user, y, x, float(regularisation), float(alpha))
        _solve(one_chunk, by_video, x, y, float(regularisation), float(alpha))
        if progress is not None:
            progress(iteration + 1, iterations)
    return x.numpy(), y.numpy()


def half_step(
    table: csr_matrix, fixed: np.ndarray, regularisation: float, alpha: float
) -> np.ndarray:
    r"""One half of an iteration: the best row vectors, given the column vectors.

    .. math:: x_u = (Y^\top C^u Y + \lambda I)^{-1} Y^\top C^u p(u), \qquad
              Y^\top C^u Y = Y^\top Y + Y^\top (C^u - I) Y

    The first part of the sum is the same for all rows, and the second needs only the entries of
    the row: that makes it affordable to count all pairs.

    Parameters
    ----------
    table : csr_matrix (rows, columns), entries >= 0
    fixed : float array (columns, factors), Y

    Returns
    -------
    (rows, factors), of the dtype of ``fixed``; zero for rows without an entry
    """
    table = _checked_table(table)
    check_number("alpha", alpha, 0.0)
    _check_regularisation(regularisation)
    y = torch.from_numpy(np.ascontiguousarray(fixed))
    if y.ndim != 2 or len(y) != table.shape[1] or not y.is_floating_point():
        raise ConfigError(
            f"fixed is {y.dtype} of shape {tuple(y.shape)}",
            allowed=f"a float array ({table.shape[1]}, factors)",
        )
    x = torch.zeros(table.shape[0], y.shape[1], dtype=y.dtype)
    _solve(_exact, _chunks(table), y, x, float(regularisation), float(alpha))
    return x.numpy()


def als_objective(
    table: csr_matrix, x: np.ndarray, y: np.ndarray, regularisation: float, alpha: float
) -> float:
    """What `als` minimises, without a loop over all pairs.

    Parameters
    ----------
    table : csr_matrix (users, videos)
    x : (users, factors); y : (videos, factors)
    """
    table, x, y = _checked_table(table).tocoo(), np.asarray(x, float), np.asarray(y, float)
    everywhere = np.sum((x.T @ x) * (y.T @ y))  # the squared scores of all pairs
    score = np.einsum("ef,ef->e", x[table.row], y[table.col])
    confidence = 1.0 + alpha * table.data.astype(float)
    watched = np.sum(confidence * (1.0 - score) ** 2 - score**2)
    return float(everywhere + watched + regularisation * (np.sum(x * x) + np.sum(y * y)))


def _check_regularisation(regularisation) -> None:
    check_number("regularisation", regularisation, 0.0)
    if regularisation == 0:
        raise ConfigError(
            "regularisation=0 can leave vectors without a unique solution",
            allowed="a number above 0",
        )


def _checked_table(table) -> csr_matrix:
    if not issparse(table):
        raise LogError(
            f"The table is a {type(table).__name__}", allowed="a scipy csr_matrix (users, videos)"
        )
    table = csr_matrix(table, copy=True)
    table.sum_duplicates()
    if not np.isfinite(table.data).all() or (table.data < 0).any():
        raise LogError(
            "The table has an entry below 0, or one that is not a number", allowed=">= 0"
        )
    table.eliminate_zeros()
    if not table.nnz:
        raise LogError("The table is empty", fix="cut the logs at a later day")
    return table


def _chunks(table: csr_matrix) -> list[_Chunk]:
    """Rows with entries, sorted by length and cut into chunks of about ``_ENTRIES`` entries."""
    lengths = np.diff(table.indptr)
    order = np.argsort(lengths, kind="stable")
    order, chunks = order[lengths[order] > 0], []
    while len(order):
        padded = lengths[order] * np.arange(1, len(order) + 1)  # entries if the chunk ended here
        count = max(1, int(np.searchsorted(padded, _ENTRIES, side="right")))
        rows, order = order[:count], order[count:]
        place = np.arange(lengths[rows[-1]])
        real = place < lengths[rows][:, None]
        at = np.where(real, table.indptr[rows][:, None] + place, 0)
        chunks.append(
            _Chunk(
                torch.from_numpy(rows),
                torch.from_numpy(np.where(real, table.indices[at], 0).astype(np.int64)),
                torch.from_numpy(np.where(real, table.data[at], 0)),
            )
        )
    return chunks


def _solve(one_chunk, chunks: list[_Chunk], y, x, regularisation: float, alpha: float) -> None:
    """Write new vectors into the rows of ``x`` that have entries.

    Each operation on a chunk is so short that sharing it between threads costs more than it
    saves. So each chunk is the work of one thread, and the result does not depend on their number.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        gram = y.T @ y + regularisation * torch.eye(y.shape[1], dtype=y.dtype)
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda chunk: one_chunk(chunk, gram, y, x, alpha), chunks):
                pass  # an error in a thread is raised here
    finally:
        torch.set_num_threads(threads)


def _exact(chunk: _Chunk, gram, y, x, alpha) -> None:
    """Closed form, by Cholesky."""
    near = embedding(chunk.columns, y)  # (b, L, f)
    extra = alpha * chunk.strength.to(y.dtype)  # c - 1, and 0 where padded
    matrix = torch.baddbmm(gram, (near * extra[..., None]).mT, near)
    target = torch.bmm((extra + (chunk.strength > 0))[:, None], near)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed.any():
        raise ConfigError(
            f"regularisation is too small for the precision of {y.dtype}",
            fix="raise it, or ask for fewer factors",
        )
    x[chunk.rows] = torch.cholesky_solve(target.mT, factor)[..., 0]


def _conjugate_gradients(chunk: _Chunk, gram, y, x, alpha, steps: int = 3) -> None:
    """A few steps from where ``x`` is, for all rows of the chunk at once.

    The matrix of a row is never built: a product with it needs only the vectors of its entries.
    """
    near = embedding(chunk.columns, y)
    extra = alpha * chunk.strength.to(y.dtype)

    # Rows times matrices: products of matrices with columns are several times slower in torch.
    def scores(vectors):  # (b, f) -> (b, L)
        return torch.bmm(vectors[:, None], near.mT)[:, 0]

    def spread(weights):  # (b, L) -> (b, f)
        return torch.bmm(weights[:, None], near)[:, 0]

    now = x[chunk.rows]
    left = spread(extra + (chunk.strength > 0) - extra * scores(now)) - now @ gram
    direction, size = left, (left * left).sum(dim=1, keepdim=True)
    for _ in range(steps):
        image = direction @ gram + spread(extra * scores(direction))
        # Where nothing is left to improve, 0 / tiny keeps the vector as it is.
        length = size / (direction * image).sum(dim=1, keepdim=True).clamp_min(1e-30)
        now = now + length * direction
        left = left - length * image
        before, size = size, (left * left).sum(dim=1, keepdim=True)
        direction = left + size / before.clamp_min(1e-30) * direction
    x[chunk.rows] = now
