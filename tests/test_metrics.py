"""Metrics against hand-worked examples."""

import numpy as np
import pandas as pd
import pytest

from course.errors import LogError
from course.metrics import (
    ctr_by_position,
    gap_closed,
    hit_rate,
    mean_reciprocal_rank,
    ranks,
    recall_at,
    same_video_ratio,
)


def test_gap_closed_by_hand():
    assert gap_closed(1.0, 1.0, 3.0) == 0.0
    assert gap_closed(3.0, 1.0, 3.0) == 1.0
    assert gap_closed(1.5, 1.0, 3.0) == 0.25
    with pytest.raises(LogError, match="floor and ceiling"):
        gap_closed(1.0, 2.0, 2.0)


def test_recall_by_hand():
    candidates = np.array([[1, 2, 3], [4, 5, 6]])
    watched = pd.DataFrame(
        {"user_id": [7, 7, 7, 9, 9, 5], "video_id": [1, 1, 8, 4, 6, 1]},
    )
    # Account 7: one of two videos (the repeat counts once); 9: both; 5 is not asked about.
    assert recall_at(candidates, np.array([7, 9]), watched) == pytest.approx((0.5 + 1.0) / 2)
    assert np.isnan(recall_at(candidates, np.array([1, 2]), watched))


def test_ctr_by_position_by_hand():
    log = pd.DataFrame({"position": [1, 1, 1, 2], "clicked": [True, False, False, True]})
    assert ctr_by_position(log).tolist() == pytest.approx([1 / 3, 1.0])


def test_same_video_ratio_by_hand():
    # One video: 2 of 4 clicks at position 1, 1 of 8 at position 2, so 1/8 over 1/2.
    log = pd.DataFrame(
        {
            "video_id": [1] * 12 + [2] * 3,
            "position": [1] * 4 + [2] * 8 + [2] * 3,
            "clicked": [True, True, False, False] + [True] + [False] * 7 + [True] * 3,
        }
    )
    # Video 2 never stood at position 1, so it must not count.
    assert same_video_ratio(log).tolist() == pytest.approx([1.0, 0.25])


def test_same_video_ratio_removes_what_sorting_by_quality_adds():
    rng = np.random.default_rng(0)
    appeal = rng.choice([0.05, 0.5], 300_000)
    position = np.where(rng.random(len(appeal)) < 0.2 + appeal, 1, 2)
    clicked = rng.random(len(appeal)) < appeal * np.where(position == 1, 1.0, 0.6)
    log = pd.DataFrame(
        {"video_id": (appeal > 0.1).astype(int), "position": position, "clicked": clicked}
    )
    raw = ctr_by_position(log)
    assert raw[2] / raw[1] < 0.5
    assert same_video_ratio(log)[2] == pytest.approx(0.6, abs=0.02)


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
