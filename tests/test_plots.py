"""Every figure function: over the corners of its slider, with labelled axes, as a picture."""

import numpy as np
import pytest

from course import plots


def figures():
    rng = np.random.default_rng(0)
    return {
        "gap_closed": lambda: plots.gap_closed({"popularity": [0.1, 0.2, 0.3]}, title="Worlds"),
        "standing": lambda: plots.standing(rng.random(100), 0.5, 1.2),
    }


@pytest.mark.parametrize("name", sorted(figures()))
def test_axes_are_labelled_and_the_picture_is_drawn(name):
    fig = figures()[name]()
    assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
    for ax in fig.axes:
        assert ax.get_xlabel(), f"{name}: an x axis without a label"
        labelled = ax.get_ylabel() or [tick.get_text() for tick in ax.get_yticklabels()]
        assert labelled, f"{name}: a y axis without a label"


def test_drawings_without_axes():
    for fig in (plots.system_loop(), plots.funnel([("corpus", 2000), ("page", 10)])):
        assert len(plots.png(fig)) > 5_000 and fig.describe()
