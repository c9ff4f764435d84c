"""Locally sparse data, and the layout of the shallow tower: small experiments of the ledger."""

import numpy as np
import pandas as pd
import pytest

from course.experiments import shallow_layout, sparsity


def test_groups_are_equal_and_ordered():
    group = sparsity.groups_of(np.array([5, 0, 9, 1, 2, 7]), 3)
    assert group.tolist() == [1, 0, 2, 0, 1, 2]


def test_error_of_counting_by_hand():
    # Video 0 is shown twice and clicked once (rate .5, truth .25: off by 100 %), video 1 four times
    # and never clicked (off by 100 %), video 2 six times with 3 clicks and the truth .5 (right).
    video = np.repeat([0, 1, 2], [2, 4, 6])
    clicked = np.array([1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0], bool)
    frame = pd.DataFrame({"video_id": video, "clicked": clicked})
    true = np.repeat([0.25, 0.1, 0.5], [2, 4, 6])
    assert sparsity.counted_error(frame, true, 3).tolist() == [1.0, 1.0, 0.0]


def test_error_of_a_model_leaves_out_videos_that_were_never_shown():
    shown = np.array([1, 10, 0])
    error = sparsity.predicted_error(
        shown, np.array([0, 1, 1, 2]), np.array([0.2, 0.5, 0.5, 0.9]),
        np.array([0.1, 0.5, 0.25, 0.1]), 2,
    )  # fmt: skip
    assert error == pytest.approx([1.0, 0.5])


def test_the_tail_is_known_worse_in_a_tiny_world():
    found = sparsity.trial(3, "tiny")
    assert found["counted/0"] > 2 * found["counted/9"]
    assert len(found) == 20


def test_layout_of_the_shallow_tower():
    found = shallow_layout.trial(1)
    assert found["logit off by"] < 1e-5 > found["serving shifts by more than a constant"]
    assert found["a product of probabilities is off by"] > 0.05
    assert 0.07 < found["share of hidden positions"] < 0.13
