"""Matrix factorization: against brute force, against planted truth, and its errors."""

import functools

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from worlds import tiny

from course import ab_test
from course.errors import ConfigError, LogError, PolicyError
from course.models import als as als_module
from course.models.factorization import (
    DotProductPolicy,
    MLPCombiner,
    SoftmaxFactorization,
    als,
    als_objective,
    fit_pairs,
    half_step,
    interactions,
    popularity_scores,
)
from course.models.starter import recent_popularity

LAMBDA, ALPHA = 0.7, 3.0


def small_table(users=23, videos=17, share=0.25, seed=0):
    """Random counts 0 to 3 with an empty row and an empty column."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, (users, videos)) * (rng.random((users, videos)) < share)
    dense[4], dense[:, 2] = 0, 0
    return csr_matrix(dense.astype(np.float32))


def brute_force(table, y, regularisation, alpha):
    """The same half step with dense matrices and a loop."""
    dense = table.toarray().astype(float)
    x = np.zeros((len(dense), y.shape[1]))
    for u, r in enumerate(dense):
        c, p = np.diag(1 + alpha * r), (r > 0).astype(float)
        x[u] = np.linalg.solve(y.T @ c @ y + regularisation * np.eye(y.shape[1]), y.T @ c @ p)
    return x


def dense_objective(table, x, y, regularisation, alpha):
    r = table.toarray().astype(float)
    error = ((1 + alpha * r) * ((r > 0) - x @ y.T) ** 2).sum()
    return error + regularisation * ((x**2).sum() + (y**2).sum())


def planted(users=300, videos=120, groups=4, share=0.5, seed=0):
    """Accounts and videos of ``groups`` tastes; an account watches only its own."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.integers(groups, size=users), rng.integers(groups, size=videos)
    own = taste[:, None] == kind
    watched = own & (rng.random(own.shape) < share)
    return csr_matrix(watched.astype(np.float32)), own


def separation(scores, table, own):
    """Share of (own and not watched, foreign) pairs of videos in the right order, per account."""
    seen = table.toarray() > 0
    parts = []
    for s, mine, done in zip(scores, own, seen, strict=True):
        good, bad = s[mine & ~done], s[~mine]
        if len(good):
            parts.append((good[:, None] > bad).mean())
    return np.mean(parts)


# --- tables -------------------------------------------------------------------------------------


def test_interactions_by_hand():
    logs = tiny().logs()
    w, pairs = logs.watches, interactions(logs)
    assert pairs.shape == (len(logs.users), len(logs.videos)) and pairs.dtype == np.float32
    assert set(pairs.data) == {1.0} and pairs.nnz == len(w.groupby(["user_id", "video_id"]))
    assert (pairs[w["user_id"], w["video_id"]] == 1).all()


def test_popularity_by_hand():
    logs = tiny().logs()
    w = logs.watches.merge(logs.users[["user_id", "language"]], on="user_id")
    late = w[w["time"] > w["time"].max() - 2]
    table = popularity_scores(logs, 2, by_language=True)
    for code, name in enumerate(logs.users["language"].cat.categories):
        counts = late.loc[late["language"] == name, "video_id"].value_counts()
        expected = counts.reindex(range(len(logs.videos)), fill_value=0)
        np.testing.assert_array_equal(table[code], expected)
    np.testing.assert_array_equal(table.sum(axis=0), popularity_scores(logs, 2))
    np.testing.assert_array_equal(popularity_scores(logs, 7), recent_popularity(logs, 7))
    assert popularity_scores(logs).sum() == len(w)
    assert popularity_scores(logs, by_language=True).sum() == len(w)


def test_tables_of_nothing_are_refused():
    logs = tiny().logs()
    with pytest.raises(LogError, match="no watches"):
        interactions(logs.before(-1.0))
    with pytest.raises(LogError, match="no watches"):
        popularity_scores(logs.before(-1.0))
    for days in (0, -2.0, float("nan")):
        with pytest.raises(ConfigError, match="days="):
            popularity_scores(logs, days)


# --- alternating least squares ------------------------------------------------------------------


@pytest.mark.parametrize("entries", [1, 20, 10_000])
def test_half_step_against_brute_force(monkeypatch, entries):
    # Whether rows are solved one by one, a few at a time or all at once must not matter.
    monkeypatch.setattr(als_module, "_ENTRIES", entries)
    table = small_table()
    y = np.random.default_rng(1).normal(size=(17, 5))
    x = half_step(table, y, LAMBDA, ALPHA)
    np.testing.assert_allclose(x, brute_force(table, y, LAMBDA, ALPHA), rtol=1e-9, atol=1e-12)
    assert x.dtype == np.float64 and not x[4].any()


def test_conjugate_gradients_reach_the_closed_form():
    # In exact arithmetic as many steps as factors solve the equations.
    table, y = small_table(), np.random.default_rng(1).normal(size=(17, 5))
    x = torch.zeros(23, 5, dtype=torch.float64)
    chunks = als_module._chunks(table)
    five = functools.partial(als_module._conjugate_gradients, steps=5)
    als_module._solve(five, chunks, torch.from_numpy(y), x, LAMBDA, ALPHA)
    np.testing.assert_allclose(x, brute_force(table, y, LAMBDA, ALPHA), rtol=1e-6, atol=1e-9)
    # From there on nothing changes, and nothing is divided by zero.
    again = x.clone()
    als_module._solve(five, chunks, torch.from_numpy(y), again, LAMBDA, ALPHA)
    np.testing.assert_allclose(again, x, atol=1e-9)


def test_the_closed_form_is_a_stationary_point():
    table = small_table()
    y = torch.from_numpy(np.random.default_rng(1).normal(size=(17, 5)))
    x = torch.from_numpy(half_step(table, y.numpy(), LAMBDA, ALPHA)).requires_grad_()
    r = torch.from_numpy(table.toarray().astype(float))
    error = ((1 + ALPHA * r) * ((r > 0).double() - x @ y.T) ** 2).sum()
    (error + LAMBDA * (x**2).sum()).backward()
    assert x.grad.abs().max() < 1e-10


def test_objective_without_the_loop_over_pairs():
    table, rng = small_table(), np.random.default_rng(2)
    x, y = rng.normal(size=(23, 5)), rng.normal(size=(17, 5))
    expected = dense_objective(table, x, y, LAMBDA, ALPHA)
    assert als_objective(table, x, y, LAMBDA, ALPHA) == pytest.approx(expected, rel=1e-12)


def test_every_half_step_lowers_the_objective():
    table = small_table()
    y = np.random.default_rng(1).normal(size=(17, 5))
    y[2] = 0  # as `als` starts; nobody watched it
    values = []
    for _ in range(4):
        x = half_step(table, y, LAMBDA, ALPHA)
        values.append(als_objective(table, x, y, LAMBDA, ALPHA))
        y = half_step(table.T.tocsr(), x, LAMBDA, ALPHA)
        values.append(als_objective(table, x, y, LAMBDA, ALPHA))
    assert (np.diff(values) < 0).all()


def test_als_is_its_half_steps():
    table = small_table()
    x, y = als(table, 5, LAMBDA, ALPHA, iterations=3, seed=1)
    assert x.shape == (23, 5) and y.shape == (17, 5) and x.dtype == y.dtype == np.float32
    before = als(table, 5, LAMBDA, ALPHA, iterations=2, seed=1)[1]
    np.testing.assert_allclose(x, brute_force(table, before, LAMBDA, ALPHA), atol=1e-4)
    np.testing.assert_allclose(y, brute_force(table.T, x, LAMBDA, ALPHA), atol=1e-4)


def test_both_solvers_end_at_the_same_objective():
    table, _ = planted()
    exact = als(table, 8, 1.0, 5.0, 15)
    quick = als(table, 8, 1.0, 5.0, 15, solver="cg")
    values = [als_objective(table, x, y, 1.0, 5.0) for x, y in (exact, quick)]
    assert values[1] == pytest.approx(values[0], rel=0.01)


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_als_recovers_a_planted_table(solver):
    table, own = planted()
    x, y = als(table, 4, 1.0, 5.0, 15, solver=solver)
    assert separation(x @ y.T, table, own) > 0.99
    # Fewer factors than tastes cannot tell them apart.
    x, y = als(table, 1, 1.0, 5.0, 15, solver=solver)
    assert separation(x @ y.T, table, own) < 0.9


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_nobody_and_nothing_get_zero_vectors(solver):
    table = small_table()
    x, y = als(table, 5, LAMBDA, ALPHA, 2, solver=solver)
    assert not x[4].any() and not y[2].any()
    assert np.isfinite(x).all() and np.isfinite(y).all()
    assert np.abs(np.delete(x, 4, axis=0)).sum(axis=1).min() > 0


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_als_is_deterministic(solver):
    table, calls = small_table(), []
    one = als(table, 5, seed=3, iterations=2, solver=solver, progress=lambda *a: calls.append(a))
    two = als(table, 5, seed=3, iterations=2, solver=solver)
    other = als(table, 5, seed=4, iterations=2, solver=solver)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert calls == [(1, 2), (2, 2)]


def test_als_does_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(als_module, "_ENTRIES", 20)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(als(small_table(), 5, iterations=3, solver="cg"))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_confidence_counts():
    # The same pairs, but some watched three times: these must be fitted more closely.
    dense = small_table().toarray() > 0
    once = csr_matrix(dense.astype(np.float32))
    often = once.copy()
    often.data[::2] = 3.0
    scores = [x @ y.T for x, y in (als(t, 3, LAMBDA, 1.0, 10) for t in (once, often))]
    rows, columns = once.nonzero()
    gain = (scores[1] - scores[0])[rows, columns]
    assert gain[::2].mean() > gain[1::2].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": 0}, "factors=0"),
        ({"factors": 18}, "factors=18 for a table of 23 accounts and 17 videos"),
        ({"factors": 2.0}, "factors=2.0"),
        ({"regularisation": 0.0}, "regularisation=0"),
        ({"regularisation": -1.0}, "regularisation=-1.0"),
        ({"alpha": float("inf")}, "alpha=inf"),
        ({"iterations": 0}, "iterations=0"),
        ({"seed": -1}, "seed=-1"),
        ({"solver": "sgd"}, "solver='sgd'"),
    ],
)
def test_wrong_settings_of_als_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        als(small_table(), **{"factors": 3, **options})


def test_wrong_tables_are_named():
    table = small_table()
    with pytest.raises(LogError, match="empty"):
        als(csr_matrix((5, 4)), 2)
    with pytest.raises(LogError, match="ndarray"):
        als(table.toarray(), 2)
    with pytest.raises(LogError, match="below 0"):
        als(-table, 2)
    with pytest.raises(ConfigError, match="regularisation is too small"):
        half_step(table, np.ones((17, 3), np.float32), 1e-30, 1.0)
    with pytest.raises(ConfigError, match=r"shape \(16, 3\)"):
        half_step(table, np.ones((16, 3)), 1.0, 1.0)


# --- softmax ------------------------------------------------------------------------------------

MODELS = [SoftmaxFactorization, functools.partial(MLPCombiner, hidden=(32, 16))]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("negatives", [None, 40])
def test_softmax_learns_a_planted_preference(make, negatives):
    table, own = planted(users=150, videos=60)
    model = make(*table.shape, factors=8)
    everybody = np.arange(150)
    assert separation(model.scores(everybody), table, own) < 0.7
    history = fit_pairs(model, table, negatives=negatives, epochs=12, batch=64, learning_rate=0.02)
    assert separation(model.scores(everybody), table, own) > 0.95
    assert history.losses[-1] < 0.8 * history.losses[0]


@pytest.mark.parametrize("make", MODELS)
def test_scores_are_the_same_by_every_way(make):
    model = make(12, 9, factors=4, popularity=np.arange(9))
    with torch.no_grad():
        model.bias += torch.randn(9)
    user = torch.tensor([3, 3, 11])
    whole = model(user).detach()
    np.testing.assert_allclose(model.scores(user.numpy()), whole, rtol=1e-5, atol=1e-6)
    shared = torch.tensor([8, 0])
    torch.testing.assert_close(model(user, shared), whole[:, shared])
    own = torch.tensor([[1, 2], [3, 4], [0, 8]])
    torch.testing.assert_close(model(user, own), whole.gather(1, own))


def test_dot_product_by_hand_and_as_vectors():
    model = SoftmaxFactorization(12, 9, 4, popularity=np.full(9, np.e - 1))
    x, y = model.user.detach().numpy(), model.video.detach().numpy()
    np.testing.assert_allclose(model.scores(np.array([5])), [x[5] @ y.T + 1.0], rtol=1e-5)
    user, video = model.vectors()
    assert user.shape == (12, 5) and video.shape == (9, 5)
    np.testing.assert_allclose(user @ video.T, model.scores(np.arange(12)), rtol=1e-5)


def test_combiner_is_a_network_on_the_concatenation():
    model = MLPCombiner(12, 9, 4, hidden=(8,))
    first = torch.cat([model.from_user.weight, model.from_video.weight], dim=1)
    both = torch.cat([model.user[5], model.video[7]])
    hidden = torch.relu(first @ both + model.from_user.bias)
    expected = model.above[1](hidden) + model.bias[7]
    assert float(expected.detach()) == pytest.approx(model.scores(np.array([5]))[0, 7], rel=1e-5)


def test_own_video_is_not_its_own_negative():
    # One video only: every negative is the own one, nothing is left to lose.
    model = SoftmaxFactorization(3, 1, 1)
    history = fit_pairs(model, csr_matrix(np.ones((3, 1))), negatives=5, decay=0.0, epochs=1)
    assert history.losses == [0.0]


def test_decay_shortens_user_vectors():
    table, _ = planted(users=80, videos=40)
    lengths = []
    for decay in (0.0, 0.5):
        model = SoftmaxFactorization(*table.shape, 4)
        fit_pairs(model, table, decay=decay, epochs=5, batch=64)
        lengths.append(float(model.user.detach().norm(dim=1).mean()))
    assert lengths[1] < 0.7 * lengths[0]


@pytest.mark.parametrize("make", MODELS)
def test_softmax_training_is_deterministic(make):
    table, _ = planted(users=40, videos=30)

    def trained(seed):
        torch.manual_seed(np.random.default_rng().integers(1000))  # must not matter
        model = make(*table.shape, factors=4, seed=seed)
        fit_pairs(model, table, negatives=10, epochs=1, seed=seed)
        return model.scores(np.arange(40))

    assert np.array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))


def test_wrong_settings_of_softmax_are_named():
    table, _ = planted(users=40, videos=30)
    for options, message in (
        ({"factors": 0}, "factors=0"),
        ({"factors": 31}, "factors=31 for 30 videos"),
        ({"popularity": np.ones(5)}, r"popularity has shape \(5,\)"),
        ({"popularity": -np.ones(30)}, "none of them below 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            SoftmaxFactorization(40, 30, **{"factors": 2, **options})
    with pytest.raises(ConfigError, match="hidden"):
        MLPCombiner(40, 30, 2, hidden=())
    with pytest.raises(ConfigError, match="hidden width=0"):
        MLPCombiner(40, 30, 2, hidden=(8, 0))
    model = SoftmaxFactorization(40, 30, 2)
    with pytest.raises(ConfigError, match="negatives=0"):
        fit_pairs(model, table, negatives=0)
    with pytest.raises(ConfigError, match="decay=-1"):
        fit_pairs(model, table, decay=-1)
    with pytest.raises(ConfigError, match=r"\(30, 40\)"):
        fit_pairs(model, table.T.tocsr())
    with pytest.raises(LogError, match="empty"):
        fit_pairs(model, csr_matrix((40, 30)))
    with pytest.raises(PolicyError, match="no account 40"):
        model.scores(np.array([3, 40]))


# --- the policy ---------------------------------------------------------------------------------


@functools.cache
def vectors():
    return als(interactions(tiny().logs()), 16, 3.0, 5.0, 8)


def spied(policy):
    """The policy, and a list in which the requests it answered are put."""
    seen = []

    def spy(requests):
        pages = policy(requests)
        seen.append((requests, pages))
        return pages

    return spy, seen


@pytest.mark.parametrize("candidates", ["catalogue", "nominated"])
def test_pages_hold_the_best_dot_products(candidates):
    policy = DotProductPolicy(*vectors(), tiny().logs())
    spy, seen = spied(policy)
    ab_test(tiny(), {"als": spy}, n=100, candidates=candidates)
    requests, pages = seen[0]
    x, y = vectors()
    for i in np.flatnonzero(policy.known[requests.user])[:30]:
        recent = set(requests.recent_videos[i].tolist())
        pool = range(len(y)) if requests.candidates is None else requests.candidates[i]
        pool = np.array([v for v in pool if v not in recent])
        best = np.sort(y[pool] @ x[requests.user[i]])[::-1][: requests.slate]
        np.testing.assert_allclose(y[pages[i]] @ x[requests.user[i]], best, rtol=1e-5, atol=1e-6)
        assert not recent & set(pages[i].tolist())


def test_pages_beat_random():
    policy = DotProductPolicy(*vectors(), tiny().logs())
    table = ab_test(
        tiny(), {"random": tiny().random(), "als": policy}, n=400, candidates="catalogue"
    ).table.set_index(["policy", "metric"])["expected"]
    assert table["als", "clicks"] > 1.5 * table["random", "clicks"]


def test_accounts_without_history_get_what_their_language_watches():
    logs = tiny().logs()
    policy = DotProductPolicy(*vectors(), logs)
    new = np.flatnonzero(~policy.known)
    assert len(new)
    expected = popularity_scores(logs, 2.0, by_language=True)
    language = logs.users["language"].cat.codes.to_numpy()
    np.testing.assert_array_equal(policy.scores(new), expected[language[new]])


def test_videos_without_a_vector_come_last():
    logs = tiny().logs().before(20.0)
    x, y = als(interactions(logs), 8, 3.0, 5.0, 3)
    assert len(y) < len(tiny().logs().videos)
    spy, seen = spied(DotProductPolicy(x, y, logs))
    ab_test(tiny(), {"old": spy}, n=60, candidates="catalogue")
    assert seen[0][1].max() < len(y)


def test_wrong_vectors_and_accounts_are_named():
    logs = tiny().logs()
    x, y = vectors()
    with pytest.raises(ConfigError, match="user_vectors has shape"):
        DotProductPolicy(x[:-1], y, logs)
    with pytest.raises(ConfigError, match="video_vectors has shape"):
        DotProductPolicy(x, y[:-1], logs)
    with pytest.raises(ConfigError, match="user_vectors has shape"):
        DotProductPolicy(x[:, :-1], y, logs)
    with pytest.raises(ConfigError, match="not finite"):
        DotProductPolicy(np.where(x == x[0, 0], np.nan, x), y, logs)
    policy = DotProductPolicy(x, y, logs)
    for wrong in (len(x), -1):
        with pytest.raises(PolicyError, match=f"no account {wrong}"):
            policy.scores(np.array([0, wrong]))
