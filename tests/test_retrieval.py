"""The index: against plain numpy, its settings, and what it refuses."""

import functools

import numpy as np
import pytest

from course.errors import ConfigError
from course.retrieval import KINDS, Index, one_thread, recall


def vectors(n=2_000, dim=9, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)).astype(np.float32)


USERS, VIDEOS = vectors(40, seed=1), vectors()


@functools.cache
def index(kind):
    return Index(VIDEOS, kind)


def test_flat_search_is_the_exact_one():
    ids, scores = index("flat").search(USERS, 25)
    assert ids.shape == scores.shape == (40, 25)
    assert ids.dtype == np.int64 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, np.argsort(-(USERS @ VIDEOS.T), axis=1)[:, :25])
    np.testing.assert_allclose(scores, -np.sort(-(USERS @ VIDEOS.T), axis=1)[:, :25], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_returns_true_scores_best_first_and_nothing_twice(kind):
    ids, scores = index(kind).search(USERS, 20)
    np.testing.assert_allclose(scores, (USERS[:, None] * VIDEOS[ids]).sum(axis=2), rtol=1e-3)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 20 for row in ids.tolist())


def test_more_work_finds_more_and_all_cells_find_everything():
    exact, _ = index("flat").search(USERS, 20)
    ivf, hnsw = index("ivf"), index("hnsw")
    found = [recall(ivf.search(USERS, 20, nprobe=p)[0], exact) for p in (1, 4, 16, ivf.cells)]
    assert found == sorted(found) and found[0] < 0.5 and found[-1] == 1.0
    few = recall(hnsw.search(USERS, 1, ef=1)[0], exact[:, :1])
    assert few < recall(hnsw.search(USERS, 1, ef=200)[0], exact[:, :1]) == 1.0


def test_equal_length_finds_more_among_long_and_short_vectors():
    # Like vectors with a bias: the users' last number is 1, the videos' is small for most.
    rng = np.random.default_rng(0)
    videos, users = rng.normal(size=(5_000, 16)), rng.normal(size=(40, 16))
    videos[:, -1], users[:, -1] = rng.exponential(2.0, 5_000), 1.0
    exact, _ = Index(videos).search(users, 50)
    for kind, options, gain in (("ivf", {"nprobe": 8}, 0.4), ("hnsw", {}, 0.1)):
        found = {}
        for equal in (True, False):
            made = Index(videos, kind, equal_length=equal)
            ids, got = made.search(users, 50, **options)
            found[equal] = recall(ids, exact)
            products = (users[:, None] * videos[ids]).sum(axis=2)
            np.testing.assert_allclose(got, products, rtol=1e-3, atol=1e-3)
        assert found[True] > found[False] + gain, (kind, found)


def test_places_that_stay_empty_are_marked():
    ids, scores = index("ivf").search(USERS, 500, nprobe=1)
    assert (ids[:, 0] >= 0).all() and (ids == -1).any()
    assert np.isneginf(scores[ids == -1]).all() and np.isfinite(scores[ids != -1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_vector_and_no_users(kind):
    one = Index([[1.0, 2.0]], kind)
    ids, scores = one.search([[1.0, 1.0]], 1)
    assert ids.tolist() == [[0]] and scores.tolist() == [[3.0]] and len(one) == 1
    ids, scores = one.search(np.zeros((0, 2)), 1)
    assert ids.shape == scores.shape == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_searches(kind):
    made = index(kind)
    with pytest.raises(ConfigError, match="users have 5 numbers each.*9, like the vectors"):
        made.search(USERS[:, :5], 3)
    with pytest.raises(ConfigError, match="k=2001 of 2000 videos.*1 to 2000"):
        made.search(USERS, 2_001)
    for k in (0, 2.5, True):
        with pytest.raises(ConfigError, match="k="):
            made.search(USERS, k)
    with pytest.raises(ConfigError, match="users have shape"):
        made.search(USERS[0], 3)
    broken = USERS.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ConfigError, match="row 3 of users"):
        made.search(broken, 3)


def test_settings_belong_to_their_kind():
    with pytest.raises(ConfigError, match="nprobe=4 for an index of kind 'flat'"):
        index("flat").search(USERS, 3, nprobe=4)
    with pytest.raises(ConfigError, match="ef=4 for an index of kind 'ivf'"):
        index("ivf").search(USERS, 3, ef=4)
    with pytest.raises(ConfigError, match=f"nprobe={10**6}"):
        index("ivf").search(USERS, 3, nprobe=10**6)
    with pytest.raises(ConfigError, match="nprobe=0"):
        index("ivf").search(USERS, 3, nprobe=0)


def test_bad_vectors():
    with pytest.raises(ConfigError, match="kind='tree'.*flat, ivf, hnsw"):
        Index(VIDEOS, "tree")
    for empty in (np.zeros((0, 4)), np.zeros((4, 0))):
        with pytest.raises(ConfigError, match="nothing to search"):
            Index(empty)
    with pytest.raises(ConfigError, match="vectors have shape"):
        Index(np.zeros(4))
    with pytest.raises(ConfigError, match="no table of numbers"):
        Index([["a"]])
    broken = VIDEOS.copy()
    broken[7, 0] = np.inf
    with pytest.raises(ConfigError, match="row 7 of vectors"):
        Index(broken)


def test_recall_of_a_search():
    exact = np.array([[0, 1, 2, 3], [4, 5, 6, 7]])
    found = np.array([[3, 9, 0], [-1, -1, 8]])
    assert recall(found, exact) == 0.25
    assert recall(exact[:, ::-1], exact) == 1.0
    with pytest.raises(ConfigError, match="neither empty"):
        recall(found, exact[:1])


def test_faiss_gets_its_threads_back():
    import faiss

    before = faiss.omp_get_max_threads()
    with pytest.raises(KeyError), one_thread():
        assert faiss.omp_get_max_threads() == 1
        raise KeyError
    assert faiss.omp_get_max_threads() == before
