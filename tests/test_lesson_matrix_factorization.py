"""What chapter 02 writes: against dense twins, planted tables, and examples worked by hand."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from torch.nn import functional
from worlds import mini

from course.lessons import matrix_factorization as mf
from course.tasks.next_watch import Moments

LAMBDA, ALPHA = 0.75, 3.0  # numbers that float32 holds to the last digit
MODELS = mf.SoftmaxFactorization, mf.MLPCombiner


def small_table(users=23, videos=17):
    """Random counts 0 to 3 with an empty row and an empty column."""
    rng = np.random.default_rng(0)
    dense = rng.integers(1, 4, (users, videos)) * (rng.random((users, videos)) < 0.25)
    dense[4], dense[:, 2] = 0, 0
    return csr_matrix(dense.astype(np.float32))


def planted(users=200, videos=90, groups=4, seed=0):
    """Accounts and videos of ``groups`` tastes; an account watches half of its own."""
    rng = np.random.default_rng(seed)
    own = rng.integers(groups, size=users)[:, None] == rng.integers(groups, size=videos)
    return csr_matrix((own & (rng.random(own.shape) < 0.5)).astype(np.float32)), own


def separation(scores, table, own):
    """Share of (own and not watched, foreign) pairs of videos in the right order, per account."""
    parts = []
    for s, mine, done in zip(scores, own, table.toarray() > 0, strict=True):
        good, bad = s[mine & ~done], s[~mine]
        if len(good):
            parts.append((good[:, None] > bad).mean())
    return np.mean(parts)


def brute_force(dense, y):
    """A half step by the normal equations, row by row, with all cells."""
    x = np.zeros((len(dense), y.shape[1]))
    for u, r in enumerate(dense):
        c, p = np.diag(1 + ALPHA * r), (r > 0).astype(float)
        x[u] = np.linalg.solve(y.T @ c @ y + LAMBDA * np.eye(y.shape[1]), y.T @ c @ p)
    return x


def objective(dense, x, y):
    error = ((1 + ALPHA * dense) * ((dense > 0) - x @ y.T) ** 2).sum()
    return error + LAMBDA * ((x**2).sum() + (y**2).sum())


def moments_of(users):
    nothing, none = np.zeros(len(users)), np.full((len(users), 1), -1)
    return Moments(np.asarray(users), nothing, nothing, nothing, none, none)


# --- tables


def test_the_table_and_the_counts_by_hand():
    logs = mini().logs()
    w, table = logs.watches, mf.who_watched_what(logs)
    assert table.shape == (len(logs.users), len(logs.videos)) and table.dtype == np.float32
    assert set(table.data) == {1.0} and table.nnz == len(w.groupby(["user_id", "video_id"]))
    assert (table[w["user_id"], w["video_id"]] == 1).all()
    user, video = mf.pairs(table)
    assert {*zip(user.tolist(), video.tolist(), strict=True)} == {
        *zip(w["user_id"], w["video_id"], strict=True)
    }
    assert mf.popularity(logs).sum() == len(w)
    late = w[w["time"] > w["time"].max() - 2].merge(logs.users[["user_id", "language"]])
    counts = mf.popularity(logs, days=2)
    for code, name in enumerate(logs.users["language"].cat.categories):
        own = late.loc[late["language"] == name, "video_id"]
        np.testing.assert_array_equal(counts[code], np.bincount(own, minlength=len(logs.videos)))


@pytest.mark.parametrize("cells", [1, 20, 10_000])
def test_packs_hold_each_filled_cell_once(cells):
    table = small_table()
    rebuilt, met = np.zeros(table.shape), []
    for rows, columns, values in mf.packs(table, cells):
        assert columns.shape == values.shape and (len(rows) == 1 or values.numel() <= cells)
        np.add.at(rebuilt, (rows[:, None].numpy(), columns.numpy()), values.numpy())
        assert int((values > 0).sum()) == table[rows.numpy()].nnz  # padding is 0, and only it
        met += rows.tolist()
    np.testing.assert_array_equal(rebuilt, table.toarray())
    assert sorted(met) == [row for row in range(23) if row != 4]


# --- least squares


def double(packed):
    return [(rows, columns, values.double()) for rows, columns, values in packed]


def sides(table, cells=20):
    return double(mf.packs(table, cells)), double(mf.packs(table.T.tocsr(), cells))


def ends(f=5):
    random = torch.Generator().manual_seed(1)
    return (torch.randn(n, f, generator=random, dtype=torch.float64) for n in (23, 17))


def rows_solved(solve, y, x=None, **options):
    """All rows of the small table by a solver of packs."""
    x = torch.zeros(23, y.shape[1], dtype=y.dtype) if x is None else x.clone()
    shared = y.T @ y + LAMBDA * torch.eye(y.shape[1], dtype=y.dtype)
    for rows, columns, values in sides(small_table())[0]:
        x[rows] = solve(y[columns], values, shared, ALPHA, x[rows], **options)
    return x


def test_best_vectors_solve_the_normal_equations_of_every_row():
    _, y = ends()
    x = rows_solved(mf.best_vectors, y)
    want = brute_force(small_table().toarray(), y.numpy())
    np.testing.assert_allclose(x, want, atol=1e-10)
    assert not x[4].any()


def test_steps_of_conjugate_gradients_go_down_and_reach_the_best_vectors():
    x, y = ends()
    x[4] = 0
    dense, best = small_table().toarray(), rows_solved(mf.best_vectors, y)
    found = [rows_solved(mf.better_vectors, y, x, steps=n) for n in range(6)]
    values = [objective(dense, x.numpy(), y.numpy()) for x in found]
    assert (np.diff(values) < 0).all()
    np.testing.assert_allclose(found[5], best, atol=1e-9)  # as many steps as factors
    # From there on nothing changes, and nothing is divided by zero.
    np.testing.assert_allclose(rows_solved(mf.better_vectors, y, best), best, atol=1e-9)


def test_taking_turns_is_one_half_step_after_the_other_and_always_goes_down():
    table, (x, y) = small_table(), ends()
    dense = table.toarray()
    x[4], y[2] = 0, 0
    before, values = y.numpy().copy(), [objective(dense, x.numpy(), y.numpy())]
    for new_x, new_y in mf.take_turns(*sides(table), x, y, LAMBDA, ALPHA, 4):
        want = brute_force(dense, before)
        np.testing.assert_allclose(new_x, want, atol=1e-9)
        np.testing.assert_allclose(new_y, brute_force(dense.T, want), atol=1e-9)
        before = new_y.numpy().copy()
        values.append(objective(dense, want, before))
    assert (np.diff(values) < 0).all() and len(values) == 5


def test_turns_leave_what_they_were_given():
    x, y = ends()
    kept = x.clone(), y.clone()
    list(mf.take_turns(*sides(small_table()), x, y, LAMBDA, ALPHA, 1))
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])


def test_als_finds_a_planted_table():
    table, own = planted()
    x, y = mf.als(table, 4, 1.0, 5.0)
    assert x.dtype == y.dtype == np.float32 and x.shape == (200, 4) and y.shape == (90, 4)
    assert separation(x @ y.T, table, own) > 0.99
    x, y = mf.als(table, 1, 1.0, 5.0)  # fewer factors than tastes cannot tell them apart
    assert separation(x @ y.T, table, own) < 0.9


def test_both_solvers_end_at_the_same_objective():
    table, _ = planted()
    ends = (mf.als(table, 8, LAMBDA, ALPHA, solve=solve)
            for solve in (mf.best_vectors, mf.better_vectors))  # fmt: skip
    exact, quick = (objective(table.toarray(), x, y) for x, y in ends)
    assert quick == pytest.approx(exact, rel=0.01)


def test_who_watched_nothing_gets_zeros_and_the_seed_decides():
    one, two, other = (mf.als(small_table(), 5, iterations=2, seed=s) for s in (3, 3, 4))
    assert not one[0][4].any() and np.isfinite(one[0]).all() and np.isfinite(one[1]).all()
    np.testing.assert_array_equal(one[1], two[1])
    assert not np.array_equal(one[1], other[1])


# --- methods


def test_methods_by_hand():
    x, y = np.array([[1.0, 0], [0, 2]]), np.array([[3.0, 1], [0, 1], [1, 1]])
    moments = moments_of([1, 0, 1])
    scores = mf.dot(x, torch.from_numpy(y))(moments)
    np.testing.assert_array_equal(scores, [[2, 2, 2], [3, 0, 1], [2, 2, 2]])
    fashion, language = np.array([[4.0, 0, 0], [0, 6, 0]]), np.array([1, 0])
    clocked = mf.with_clock(mf.dot(x, y), fashion, language, weight=0.5)
    np.testing.assert_array_equal(clocked(moments), [[4, 2, 2], [3, 3, 1], [4, 2, 2]])


def test_neighbours_go_by_direction():
    vectors = np.array([[1.0, 0], [9, 1], [1, 1], [0, 5], [-1, 0], [0, 0]])
    assert mf.neighbours(vectors, 0, 3).tolist() == [1, 2, 3]


def test_the_rank_against_counting_by_scipy():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, hidden = rng.integers(0, 5, 12), rng.random(12) < 0.3
        target = int(rng.integers(12))
        shown = ~hidden
        shown[target] = True  # the video that was watched is never hidden from itself
        want = rankdata(-scores[shown])[shown[:target].sum()]
        assert mf.rank_of(scores, target, hidden) == want


# --- softmax


@pytest.mark.parametrize("kind", MODELS)
def test_scores_are_the_same_by_every_way(kind):
    model = kind(12, 9, 4)
    with torch.no_grad():
        model.bias += torch.randn(9)
        user, few = torch.tensor([3, 3, 11]), torch.tensor([8, 0])
        own = torch.tensor([[1, 2], [3, 4], [0, 8]])
        whole = model(user)
        torch.testing.assert_close(model(user, few), whole[:, few])
        torch.testing.assert_close(model(user, own), whole.gather(1, own))
        assert (mf.method_of(model)(moments_of([3, 3, 11])) == whole.numpy()).all()


def test_scores_by_hand():
    dot, mlp = (kind(12, 9, 4) for kind in MODELS)
    with torch.no_grad():
        for model in (dot, mlp):
            model.bias += torch.arange(9)
        assert dot(torch.tensor([5]))[0, 7] == pytest.approx(
            float(dot.user[5] @ dot.video[7]) + 7, rel=1e-5
        )
        # The network stands on the two vectors end to end: one first layer for each half.
        first = torch.cat([mlp.from_user.weight, mlp.from_video.weight], dim=1)
        bias = mlp.from_user.bias + mlp.from_video.bias
        hidden = (first @ torch.cat([mlp.user[5], mlp.video[7]]) + bias).relu()
        want = mlp.last(mlp.second(hidden).relu()) + 7
        torch.testing.assert_close(mlp(torch.tensor([5]))[0, 7], want[0])


def test_the_combiner_leaves_the_global_stream_alone():
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (mf.MLPCombiner(3, 3, 2, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), want)
    assert torch.equal(one.last.weight, two.last.weight)
    assert not torch.equal(one.last.weight, other.last.weight)


def test_few_scores_hold_the_label_once():
    model, user, video = mf.SoftmaxFactorization(4, 5, 2), torch.arange(4), torch.arange(4)
    with torch.no_grad():
        scores = mf.few_scores(model, user, video, 40, torch.Generator().manual_seed(0))
        whole = model(user)
    others = torch.randint(5, (40,), generator=torch.Generator().manual_seed(0))
    assert scores.shape == (4, 41)
    for row in range(4):
        assert scores[row, 0] == pytest.approx(float(whole[row, row]))
        hit = others == row
        assert hit.any() and torch.isneginf(scores[row, 1:][hit]).all()
        torch.testing.assert_close(scores[row, 1:][~hit], whole[row, others[~hit]])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("negatives", [None, 40])
def test_softmax_learns_a_planted_taste(kind, negatives):
    table, own = planted(120, 50)
    model, everybody = kind(*table.shape, 8), moments_of(np.arange(120))
    assert separation(mf.method_of(model)(everybody), table, own) < 0.7
    losses = mf.fit_pairs(model, *mf.pairs(table), passes=40, negatives=negatives)
    assert separation(mf.method_of(model)(everybody), table, own) > 0.95
    assert len(losses) == 40 * -(-table.nnz // 512)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_many_even_draws_come_near_the_whole_softmax():
    table, _ = planted(60, 40)
    user, video = mf.pairs(table)
    model = mf.SoftmaxFactorization(*table.shape, 8, seed=1)
    whole = functional.cross_entropy(model(user), video)
    (want,) = torch.autograd.grad(whole, model.video)
    apart = []
    for negatives in (10, 8_000):
        scores = mf.few_scores(model, user, video, negatives, torch.Generator().manual_seed(0))
        # Drawn n times from 40, each video stands for n / 40 of itself.
        scores = torch.cat([scores[:, :1] + np.log(negatives / 40), scores[:, 1:]], dim=1)
        loss = functional.cross_entropy(scores, torch.zeros_like(video))
        (got,) = torch.autograd.grad(loss, model.video)
        apart.append(float((got - want).norm() / want.norm()))
    assert apart[1] < 0.05 < 0.2 < apart[0]


def test_decay_shortens_the_vectors_of_accounts_and_the_seed_decides():
    table, _ = planted(60, 40)

    def trained(**options):
        model = mf.SoftmaxFactorization(*table.shape, 4)
        mf.fit_pairs(model, *mf.pairs(table), passes=10, **options)
        return model.user.detach()

    assert trained(decay=0.5).norm() < 0.7 * trained(decay=0.0).norm()
    assert torch.equal(trained(negatives=9, seed=1), trained(negatives=9, seed=1))
    assert not torch.equal(trained(negatives=9, seed=1), trained(negatives=9, seed=2))
