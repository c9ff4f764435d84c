"""Graded variants of chapter 06, features for ranking. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _scaled(width, power):
    def scaled(x, knots, shares, missing=0.5, width=width, centre=0.5):
        share = np.interp(x, knots, shares)
        share = np.where(x > knots[-1], 1.0, share)
        share = np.where(np.isnan(x), missing, share)
        return np.stack([width * (share - centre), share**power], axis=1)

    def cases(rng):
        for n in (5, 20):
            train = np.sort(rng.normal(size=60))
            knots = train[::6]
            x = rng.normal(size=n)
            x[:3] = np.nan, knots[-1] + 1, knots[0] - 1
            yield x, knots, np.searchsorted(train, knots) / 60

    return {
        "reference": lambda x, knots, shares: scaled(x, knots, shares),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-4),
        "mistakes": (
            Mistake(lambda *a: scaled(*a, missing=0.0), "What is missing is in the middle."),
            Mistake(lambda *a: scaled(*a, centre=0.0), "The first column is centred."),
            Mistake(lambda *a: scaled(*a, width=1.0), "The first column has another width."),
        ),
    }


def _rate(days, clicks, shows):
    def rate(day, video, clicked, at, of, days=days, own=0, prior=(clicks, shows)):
        found = []
        for today, one in zip(at, of, strict=True):
            past = (video == one) & (day >= today - days) & (day < today + own)
            found.append((clicked[past].sum() + prior[0]) / (past.sum() + prior[1]))
        return np.array(found)

    def cases(rng):
        for n in (80, 300):
            day, video = rng.integers(30, size=n), rng.integers(3, size=n)
            yield day, video, rng.random(n) < 0.3, rng.integers(18, 30, 8), rng.integers(3, size=8)

    return {
        "reference": lambda *a: rate(*a),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: rate(*a, own=1), "The day itself leaks into the rate."),
            Mistake(lambda *a: rate(*a, days=99), "Your window has no beginning."),
            Mistake(lambda *a: rate(*a, days=days + 1), "Your window is one day too long."),
            Mistake(lambda *a: rate(*a, prior=(0, 1e-9)), "The prior is missing."),
        ),
    }


VARIANTS = (
    Variant(
        id="06-graded-scaled",
        title="Two columns from one number",
        points=3,
        draw=lambda rng: {
            "width": int(rng.integers(15, 60)) / 10,
            "power": int(rng.integers(15, 40)) / 10,
        },
        statement="""
Bring a raw number to the scale of a network. First its share s: how much of the training data was smaller,
by straight lines between `knots` and their `shares`, as in the chapter; above the last knot it is 1, below the
first one that of the first. A missing number (NaN) has s = 0.5. Then two columns: {{width}} · (s - 0.5), and s to
the power of {{power}}.""",
        stub='''
def two_columns(x, knots, shares):
    """Columns (n, 2) from raw numbers x (n,), by knots (k,) and shares (k,)."""
    ...  # your code
''',
        make=_scaled,
        example=(np.array([1.0, 5.0]), np.array([0.0, 2.0, 4.0]), np.array([0.0, 0.4, 0.9])),
        right=(
            """
def two_columns(x, knots, shares):
    found = []
    for value in x:
        if value != value:
            s = 0.5
        elif value > knots[-1]:
            s = 1.0
        elif value <= knots[0]:
            s = shares[0]
        else:
            at = max(i for i in range(len(knots) - 1) if knots[i] < value)
            way = (value - knots[at]) / (knots[at + 1] - knots[at])
            s = shares[at] + way * (shares[at + 1] - shares[at])
        found.append([{{width}} * s - {{width}} / 2, s ** {{power}}])
    return np.array(found)
""",
        ),
        wrong=(
            """
def two_columns(x, knots, shares):
    s = np.nan_to_num(np.interp(x, knots, shares), nan=0.5)
    return np.stack([{{width}} * (s - 0.5), s ** {{power}}], axis=1)
""",
        ),
    ),
    Variant(
        id="06-graded-past-rate",
        title="A rate that does not look ahead",
        points=5,
        draw=lambda rng: {
            "days": int(rng.integers(3, 15)),
            "clicks": int(rng.integers(1, 9)) / 2,
            "shows": int(rng.integers(10, 60)),
        },
        statement="""
A log has a row for each showing: `day`, `video` and `clicked` (n,). For each card of a day `at` and a video
`of` (m,), give the video's click rate over the {{days}} days *before* that day, without the day itself, with
{{clicks}} clicks and {{shows}} showings added.""",
        stub='''
def past_rate(day, video, clicked, at, of):
    """Rates (m,) of cards from a log of showings (n,)."""
    ...  # your code
''',
        make=_rate,
        example=(
            np.array([1, 4, 5]),
            np.array([0, 0, 0]),
            np.array([True, True, True]),
            np.array([5]),
            np.array([0]),
        ),
        right=(
            """
def past_rate(day, video, clicked, at, of):
    size = max(day.max(), at.max()) + 2, max(video.max(), of.max()) + 1
    tables = np.zeros((2, *size))
    np.add.at(tables[0], (day + 1, video), clicked)
    np.add.at(tables[1], (day + 1, video), 1)
    clicks, shows = tables.cumsum(axis=1)
    first = np.maximum(at - {{days}}, 0)
    done = clicks[at, of] - clicks[first, of]
    return (done + {{clicks}}) / (shows[at, of] - shows[first, of] + {{shows}})
""",
        ),
        wrong=(
            """
def past_rate(day, video, clicked, at, of):
    inside = (day <= at[:, None]) & (day > at[:, None] - {{days}}) & (video == of[:, None])
    return ((inside & clicked).sum(1) + {{clicks}}) / (inside.sum(1) + {{shows}})
""",
        ),
    ),
)
