"""Every figure function: over the corners of its slider, with labelled axes, as a picture."""

import numpy as np

from course import plots


def test_axes_are_labelled_and_the_picture_is_drawn():
    fig = plots.standing(np.random.default_rng(0).random(100), 0.5, 1.2)
    assert plots.png(fig)[:8] == b"\x89PNG\r\n\x1a\n"
    assert fig.axes[0].get_xlabel() and fig.axes[0].get_ylabel()


def test_drawings_without_axes():
    for fig in (plots.system_loop(), plots.funnel([("corpus", 2000), ("page", 10)])):
        assert len(plots.png(fig)) > 5_000 and fig.describe()
