"""The trained ranking that chapter 00 puts beside the reader's counts."""

import numpy as np
import pytest

from course import simulate
from course.lessons import first_system as fs
from course.tasks.next_day import evening_requests
from course.tasks.second_stage import train_second_stage


@pytest.fixture(scope="module")
def world():
    return simulate("village", seed=4)


def test_it_orders_the_candidates_of_the_counts(world):
    counts = fs.FirstSystem(world.logs(), fs.KEPT)
    trained = train_second_stage(world, counts, days=5.0, passes=1)
    _, asked = evening_requests(world, [3, 4, 5], candidates="catalogue")
    pages, pools = trained(asked), np.hstack(counts.named(asked))
    assert pages.shape == (3, asked.slate)
    assert all(set(page) <= set(pool) for page, pool in zip(pages, pools, strict=True))
    assert pages.tolist() != counts(asked).tolist()
