"""Graded variants of chapter 01, a simulated YouTube. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _click(slope, power):
    def chance(position, z, first=1, inside=False):
        seen = (1 + slope * (np.asarray(position, float) - first)) ** -power
        z = np.asarray(z, float)
        return 1 / (1 + np.exp(-z * seen)) if inside else seen / (1 + np.exp(-z))

    def cases(rng):
        for n in (3, 8, 20):
            yield rng.integers(2, 11, n), rng.normal(size=n)

    return {
        "reference": lambda position, z: chance(position, z),
        "cases": cases,
        "mistakes": (
            Mistake(lambda p, z: chance(p, z, first=0), "The first position is 1, not 0."),
            Mistake(
                lambda p, z: chance(p, z, inside=True),
                "The two chances multiply; what is wanted does not depend on the place.",
            ),
        ),
    }


def _beside(base, least):
    def bias(clicks, shown, base=base, least=least, pooled=False):
        there = [column[:, base - 1 : base] for column in (clicks, shown)]
        both = (shown >= least) & (there[1] >= least)
        if pooled:
            return (clicks.sum(axis=0) / shown.sum(axis=0)) / (there[0].sum() / there[1].sum())
        rate, at_base = clicks / np.maximum(shown, 1), there[0] / np.maximum(there[1], 1)
        weight = both * shown * there[1] / np.maximum(shown + there[1], 1)
        return (weight * rate).sum(axis=0) / (weight * at_base).sum(axis=0)

    def cases(rng):
        for videos in (12, 30):
            shown = rng.integers(1, 3 * least, (videos, 5)).astype(float)
            shown[:4] = rng.integers(least, 3 * least, (4, 5))
            clicks = rng.binomial(shown.astype(int), 0.5).astype(float)
            clicks[:4] = np.maximum(clicks[:4], 1)
            yield clicks, shown

    return {
        "reference": lambda clicks, shown: bias(clicks, shown),
        "cases": cases,
        "mistakes": (
            Mistake(lambda c, s: bias(c, s, pooled=True), "Compare a video with itself only."),
            Mistake(
                lambda c, s: bias(c, s, least=1), "A video counts where both were shown enough."
            ),
            Mistake(lambda c, s: bias(c, s, base=1), "You compare with the first position."),
        ),
        "tolerance": Tolerance(1e-4, 1e-5),
    }


VARIANTS = (
    Variant(
        id="01-graded-look",
        title="Another law of looking",
        points=3,
        draw=lambda rng: {
            "slope": int(rng.integers(10, 90)) / 100,
            "power": int(rng.integers(60, 200)) / 100,
        },
        statement="""
On another platform a position p, counted from 1, is looked at with probability
$(1 + {{slope}} (p - 1))^{-{{power}}}$. A card that is looked at is clicked with probability
$1 / (1 + e^{-z})$. Write the chance of a click for arrays `position` (n,) and `z` (n,).""",
        stub='''
def click_chance(position, z):
    """Chances (n,) of clicks on cards at positions (n,) with logits z (n,)."""
    ...  # your code
''',
        make=_click,
        example=(np.array([1, 4]), np.array([0.0, 1.0])),
        right=(
            """
def click_chance(position, z):
    looked = np.exp(-{{power}} * np.log1p({{slope}} * (position - 1)))
    return looked * (0.5 + 0.5 * np.tanh(z / 2))
""",
        ),
        wrong=(
            """
from course.lessons.clicks import looked_at
def click_chance(position, z):
    return looked_at(position, {{power}}) / (1 + np.exp(-z))
""",
        ),
    ),
    Variant(
        id="01-graded-beside",
        title="The same video in two places",
        points=5,
        draw=lambda rng: {"base": int(rng.integers(2, 6)), "least": int(rng.integers(5, 30))},
        statement="""
Estimate how much each position is looked at, relative to position {{base}} (counted from 1). Given are
tables (videos, positions) of clicks and of showings. At each position only videos count that were shown
at least {{least}} times there *and* at least {{least}} times at position {{base}}. Of such a video, with $n$ showings
here and $m$ at position {{base}}, both click rates get the weight $nm / (n + m)$. The answer is the sum of
weighted rates here over the sum of weighted rates of the same videos at position {{base}}.""",
        stub='''
def beside(clicks, shown):
    """How much positions are looked at, relative to one of them (positions,)."""
    ...  # your code
''',
        make=_beside,
        example=(
            np.array([[9.0, 20.0, 6.0, 10.0, 4.0], [8.0, 16.0, 9.0, 10.0, 6.0]]),
            np.full((2, 5), 40.0),
        ),
        right=(
            """
def beside(clicks, shown):
    found = []
    for place in range(shown.shape[1]):
        here = there = 0.0
        for c, s in zip(clicks, shown):
            n, m = s[place], s[{{base}} - 1]
            if n >= {{least}} and m >= {{least}}:
                here += c[place] * m / (n + m)
                there += c[{{base}} - 1] * n / (n + m)
        found.append(here / there)
    return np.array(found)
""",
        ),
        wrong=(
            """
from course.lessons.clicks import bias_from_log
def beside(clicks, shown):
    return bias_from_log(clicks, shown)
""",
            """
def beside(clicks, shown):
    rate = clicks.sum(axis=0) / shown.sum(axis=0)
    return rate / rate[{{base}} - 1]
""",
        ),
    ),
)
