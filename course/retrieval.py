"""Serving by nearest neighbours: the videos with the largest dot products, found by faiss.

Three ways behind one class: compare with every vector ("flat"), only with those in a few cells
("ivf"), or walk along a graph of neighbours ("hnsw"). The settings that trade speed for recall
are arguments of the search, so one index serves them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from course.checks import check_whole
from course.errors import ConfigError
from course.lessons.candidate_generation import equally_long

KINDS = ("flat", "ivf", "hnsw")
NPROBE, EF = 16, 128
LINKS = 32
"""Of each vector in "hnsw"; twice as many on its lowest level."""
MISSING = -1
"""Stands where a search found fewer than k videos; its score is minus infinity."""


class Index:
    r"""Finds the vectors with the largest inner products.

    * "flat" compares with all V vectors: exact.
    * "ivf" (inverted file) sorts the vectors into cells by k-means. A search looks into the
      ``nprobe`` cells whose centres fit best.
    * "hnsw" (hierarchical navigable small world) links each vector to a few good neighbours. A
      search walks along the links and remembers the ``ef`` best it has met.

    Cells and links are about who is *near*, and a long vector has large inner products without
    being near to anything. One more number makes all vectors equally long,

    .. math:: a_i = (v_i, \sqrt{M^2 - |v_i|^2}), \qquad M = \max_i |v_i|,

    and a 0 behind the user's vector leaves all inner products as they were. Now the largest
    product belongs to the nearest vector: :math:`|u - a_i|^2 = |u|^2 + M^2 - 2\, u \cdot v_i`.

    Parameters
    ----------
    vectors : (V, d) float, finite; row numbers are the ids that a search returns
    kind : {"flat", "ivf", "hnsw"}
    equal_length : make the vectors equally long as above; "flat" does not need it
    seed : of the k-means, which makes :math:`2\sqrt V` cells for "ivf"

    Raises a ConfigError for an unknown kind, or vectors that are empty, not two-dimensional or not
    finite.

    >>> index = Index(np.eye(3))
    >>> ids, scores = index.search(np.array([[0.1, 0.9, 0.3]]), k=2)
    >>> ids.tolist()
    [[1, 2]]
    """

    def __init__(
        self, vectors: np.ndarray, kind: str = "flat", *, equal_length: bool = True, seed: int = 0
    ):
        if kind not in KINDS:
            raise ConfigError(f"kind={kind!r}", allowed=", ".join(KINDS))
        vectors = _checked("vectors", vectors)
        if not vectors.size:
            raise ConfigError(
                f"vectors of shape {vectors.shape} hold nothing to search", allowed="at least one"
            )
        n, self.dim = vectors.shape
        self.kind, self.cells = kind, min(n, max(1, round(2 * n**0.5)))
        self.equal_length = bool(equal_length) and kind != "flat"
        if self.equal_length:
            vectors = equally_long(vectors.astype(np.float64)).astype(np.float32)
        faiss = _faiss()
        name = {"flat": "Flat", "ivf": f"IVF{self.cells},Flat", "hnsw": f"HNSW{LINKS},Flat"}[kind]
        made = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        if kind == "ivf":
            made.cp.seed = int(seed)
            made.cp.min_points_per_centroid = 1  # faiss warns below 39; a small index is to teach
        with one_thread():
            made.train(vectors)
            made.add(vectors)
        self._made = made

    def __len__(self) -> int:
        return int(self._made.ntotal)

    def __repr__(self) -> str:
        return f"Index({self.kind}: {len(self):,} vectors of {self.dim} numbers)"

    def search(
        self, users: np.ndarray, k: int, *, nprobe: int | None = None, ef: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best videos of each user vector, best first.

        Parameters
        ----------
        users : (n, d) float, finite
        k : 1 to V
        nprobe : cells to look into, "ivf" only; 16 if not given (all, if there are fewer)
        ef : how many of the best to remember on the walk, "hnsw" only; 128 if not given, and never
            fewer than ``k``

        Returns
        -------
        ids : (n, k) int64, rows of ``vectors``; -1 where fewer than k were found
        scores : (n, k) float32, inner products; minus infinity where none was found

        Raises a ConfigError for vectors of the wrong length or that are not finite, k larger than
        the index, or a setting that this kind of index does not have.
        """
        users = _checked("users", users)
        if users.shape[1] != self.dim:
            raise ConfigError(
                f"users have {users.shape[1]} numbers each",
                allowed=f"{self.dim}, like the vectors of the index",
                fix="build the index and search it with vectors of the same model",
            )
        users = np.pad(users, ((0, 0), (0, 1))) if self.equal_length else users
        check_whole("k", k, 1)
        if k > len(self):
            raise ConfigError(f"k={k} of {len(self)} videos", allowed=f"1 to {len(self)}")
        options = self._options(k, nprobe, ef)
        with one_thread():
            scores, ids = self._made.search(users, k, params=options)
        return ids, np.where(ids == MISSING, -np.inf, scores).astype(np.float32)

    def _options(self, k: int, nprobe: int | None, ef: int | None):
        for name, value, kind in (("nprobe", nprobe, "ivf"), ("ef", ef, "hnsw")):
            if value is None:
                continue
            if self.kind != kind:
                raise ConfigError(
                    f"{name}={value!r} for an index of kind {self.kind!r}",
                    allowed=f"only for kind={kind!r}",
                )
            check_whole(name, value, 1)
        if self.kind == "ivf":
            nprobe = min(NPROBE, self.cells) if nprobe is None else nprobe
            if nprobe > self.cells:
                raise ConfigError(f"nprobe={nprobe}", allowed=f"1 to {self.cells}, the cells")
            return _faiss().SearchParametersIVF(nprobe=int(nprobe))
        if self.kind == "hnsw":
            return _faiss().SearchParametersHNSW(efSearch=int(max(EF if ef is None else ef, k)))
        return None


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Mean share of the exact neighbours (n, k) that a search found (n, a; -1 is no video)."""
    found, exact = np.asarray(found), np.asarray(exact)
    if found.ndim != 2 or exact.ndim != 2 or len(found) != len(exact) or not exact.size:
        raise ConfigError(f"found has shape {found.shape} and exact {exact.shape}",
                          allowed="(n, a) and (n, k), neither empty")  # fmt: skip
    hits = [np.isin(e, f).mean() for f, e in zip(found, exact, strict=True)]
    return float(np.mean(hits))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let faiss work in one thread: its idle threads and those of torch disturb each other."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss():
    import faiss  # takes a while to load, and only serving needs it

    return faiss


def _checked(name: str, vectors) -> np.ndarray:
    try:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} are no table of numbers ({error})", allowed="(n, d)") from error
    if np.ndim(vectors) != 2:
        raise ConfigError(f"{name} have shape {vectors.shape}", allowed="(n, d), a row for each")
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ConfigError(
            f"row {int(bad.argmax())} of {name} holds a number that is not finite",
            fix="look for a training that diverged",
        )
    return vectors
