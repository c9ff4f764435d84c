"""Metrics against hand-worked examples."""

import numpy as np
import pytest

from course.errors import CourseError, LogError
from course.metrics import (
    gap_closed,
    gini,
    hit_rate,
    mean_reciprocal_rank,
    ranks,
    weighted_per_user_loss,
)
from course.simulator.policies import top


def test_gap_closed_by_hand():
    assert gap_closed(1.0, 1.0, 3.0) == 0.0
    assert gap_closed(3.0, 1.0, 3.0) == 1.0
    assert gap_closed(1.5, 1.0, 3.0) == 0.25
    with pytest.raises(LogError, match="floor and ceiling"):
        gap_closed(1.0, 2.0, 2.0)


def test_ranks_by_hand():
    scores = np.array([[0.9, 0.5, 0.1, 0.5], [0.0, 0.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    # Row 0: one above, one tied with the target: 1 + 1 + 1/2. Row 1: tied with three others.
    assert ranks(scores, np.array([1, 2, 3])).tolist() == [2.5, 2.5, 4.0]
    exclude = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 1]], bool)
    # The target competes even where it is excluded itself.
    assert ranks(scores, np.array([1, 2, 3]), exclude).tolist() == [1.5, 1.0, 2.0]


def test_ranks_against_sorting_and_for_a_constant_model():
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(200, 50)), rng.integers(50, size=200)
    order = np.argsort(-scores, axis=1)
    assert (ranks(scores, target) == (order == target[:, None]).argmax(axis=1) + 1).all()
    assert (ranks(np.zeros((5, 99)), np.arange(5)) == 50).all()  # the middle, not the top


def test_mean_reciprocal_rank_and_hit_rate_by_hand():
    assert mean_reciprocal_rank([1, 2, 4]) == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert hit_rate([1, 2, 4], 2) == pytest.approx(2 / 3)
    with pytest.raises(LogError, match="k is 0"):
        hit_rate([1], 0)


def test_ranks_refuses_what_does_not_fit():
    with pytest.raises(LogError, match="video ids from 0 to 3"):
        ranks(np.zeros((1, 4)), np.array([4]))
    with pytest.raises(LogError, match="shape"):
        ranks(np.zeros((2, 4)), np.array([1]))


PAGE = {
    # Two clicks (10 and 30 s) and two cards without one.
    "scores": np.array([3.0, 1.0, 2.0, 3.0]),
    "clicked": np.array([True, True, False, False]),
    "seconds": np.array([10.0, 30.0, 0.0, 0.0]),
    "page": np.zeros(4, int),
}


def test_weighted_per_user_loss_by_hand():
    # The 10 s click beats the card scored 2 and ties with the card scored 3: half of 10 s is lost.
    # The 30 s click loses to both: 60 s are lost. All pairs together weigh 2 x 10 + 2 x 30.
    assert weighted_per_user_loss(**PAGE) == pytest.approx(65 / 80)


def brute_force_loss(scores, clicked, seconds, page, user):
    lost, total = {}, {}
    for i in range(len(scores)):
        for j in range(len(scores)):
            if page[i] == page[j] and clicked[i] and not clicked[j]:
                share = 1.0 if scores[j] > scores[i] else 0.5 if scores[j] == scores[i] else 0.0
                lost[user[i]] = lost.get(user[i], 0.0) + share * seconds[i]
                total[user[i]] = total.get(user[i], 0.0) + seconds[i]
    each = [lost[u] / total[u] for u in total if total[u] > 0]
    return sum(lost.values()) / sum(total.values()), sum(each) / len(each)


@pytest.mark.parametrize("seed", range(4))
def test_weighted_per_user_loss_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    n = 120
    page = rng.integers(0, 25, n)  # pages of unequal size, in no order
    clicked = rng.random(n) < 0.3
    seconds = np.where(clicked, rng.exponential(100, n).round(), 0.0)
    given = (rng.integers(0, 6, n).astype(float), clicked, seconds, page)
    pooled, averaged = brute_force_loss(*given, page % 7)
    assert weighted_per_user_loss(*given) == pytest.approx(pooled)
    assert weighted_per_user_loss(*given, user=page % 7) == pytest.approx(averaged)


def test_random_scores_lose_half_and_any_rising_change_loses_the_same():
    rng = np.random.default_rng(1)
    n = 60_000
    page, clicked = np.arange(n) // 10, rng.random(n) < 0.1
    seconds = np.where(clicked, rng.exponential(60, n), 0.0)
    scores = rng.normal(size=n)
    loss = weighted_per_user_loss(scores, clicked, seconds, page)
    assert loss == pytest.approx(0.5, abs=0.02)
    assert weighted_per_user_loss(np.exp(scores), clicked, seconds, page) == pytest.approx(loss)
    assert weighted_per_user_loss(-scores, clicked, seconds, page) == pytest.approx(1 - loss)
    assert weighted_per_user_loss(np.ones(n), clicked, seconds, page) == 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seconds": np.array([10.0, -3.0, 0.0, 0.0])}, "-3.0 seconds"),
        ({"clicked": np.zeros(4, bool)}, "No page has both"),
        ({"clicked": np.ones(4, bool)}, "No page has both"),
    ],
)
def test_bad_input_of_the_loss(change, words):
    with pytest.raises(LogError, match=words):
        weighted_per_user_loss(**{**PAGE, **change})


def test_gini_by_hand_and_against_all_pairs():
    for counts, want in (([5, 5, 5, 5], 0), ([0, 0, 7], 2 / 3), ([1, 3], 0.25), ([], 0), ([0], 0)):
        assert gini(np.array(counts)) == pytest.approx(want)
    x = np.random.default_rng(0).poisson(3, 40)
    pairs = np.abs(x[:, None] - x).sum() / (2 * len(x) ** 2 * x.mean())
    assert gini(x) == pytest.approx(pairs) and gini(x[::-1]) == pytest.approx(pairs)


# --- what numpy passes over without a word


SCORES = np.random.default_rng(0).normal(size=(4, 9))
COMPARING = {
    "ranks": (lambda s: ranks(s, np.arange(4)), SCORES),
    "MRR": (mean_reciprocal_rank, np.arange(1.0, 5.0)),
    "hit rate": (lambda r: hit_rate(r, 3), np.arange(1.0, 5.0)),
    "weighted loss": (lambda s: weighted_per_user_loss(**{**PAGE, "scores": s}), PAGE["scores"]),
    "page": (lambda s: top(s, np.tile(np.arange(9), (4, 1)), 3), SCORES),
}


@pytest.mark.parametrize("name", COMPARING)
def test_nan_never_competes(name):
    """It is neither above nor below another: whoever counts the better ones would put it first."""
    compare, numbers = COMPARING[name]
    compare(numbers)
    for bad in (np.full_like(numbers, np.nan), np.where(numbers == numbers.min(), np.nan, numbers)):
        with pytest.raises(CourseError, match="(?i)nan"):
            compare(bad)


@pytest.mark.parametrize("name", PAGE)
def test_a_row_beside_a_column_is_refused(name):
    """(n,) beside (n, 1) would become a table (n, n)."""
    for other in (PAGE[name][:, None], np.append(PAGE[name], PAGE[name][:1])):
        with pytest.raises(LogError, match="shape"):
            weighted_per_user_loss(**{**PAGE, name: other})


def test_further_shapes_and_ranks_that_do_not_fit():
    for given in ((np.arange(4), np.zeros((4, 1), bool)), (np.arange(4)[:, None],)):
        with pytest.raises(LogError, match="shape"):
            ranks(SCORES, *given)
    with pytest.raises(LogError, match="a rank is 0"):
        mean_reciprocal_rank(np.arange(3))
