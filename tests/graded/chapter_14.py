"""Graded variants of chapter 14, feedback loops. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _surprise(least, extra):
    def surprise(clicked, p, group, least=least, extra=extra, level=True, root=True):
        p = p * clicked.sum() / p.sum() if level else p
        found = []
        for one in range(int(group.max()) + 1):
            own = group == one
            spread = (p[own] * (1 - p[own])).sum() + extra
            value = (clicked[own].sum() - p[own].sum()) / (spread**0.5 if root else spread)
            found.append(value if own.sum() >= least else 0.0)
        return np.array(found)

    def cases(rng):
        for groups in (3, 6):
            group = np.r_[np.repeat(np.arange(groups), 40), np.full(least - 1, groups)]
            p = rng.uniform(0.05, 0.4, len(group))
            clicked = (rng.random(len(group)) < 1.5 * p * (1 + (group == 1))).astype(float)
            clicked[-2:] = 1.0
            yield clicked, p, group

    return {
        "reference": lambda clicked, p, group: surprise(clicked, p, group),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-4),
        "mistakes": (
            Mistake(
                lambda *a: surprise(*a, level=False), "That all is too high or low is no news."
            ),
            Mistake(lambda *a: surprise(*a, least=0), "Of a small group nothing is said."),
            Mistake(lambda *a: surprise(*a, root=False), "Divide by the root of the variance."),
            Mistake(lambda *a: surprise(*a, extra=0), "Something is added to the variance."),
        ),
    }


def _moods(fade, gain, floor):
    def moods(start, taste, fade=fade, gain=gain, floor=floor, centre=True):
        now, found = np.asarray(start, float), []
        for day in taste.T:
            now = fade * now + gain * (day - (0.5 if centre else 0))
            now = np.maximum(now, floor)
            found.append(now)
        return np.stack(found, axis=1)

    def cases(rng):
        for n, days in ((3, 6), (6, 12)):
            taste = rng.uniform(0, 1, (n, days))
            start = rng.uniform(-0.2, 0.5, n)
            start[0], taste[0] = 0.0, np.arange(days) > days / 2  # to the floor, and up again
            yield start, taste

    def at_the_end(start, taste):
        return np.maximum(moods(start, taste, floor=-99), floor)

    return {
        "reference": lambda start, taste: moods(start, taste),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: moods(*a, fade=1.0), "Your moods do not fade."),
            Mistake(lambda *a: moods(*a, centre=False), "A middling day changes nothing."),
            Mistake(lambda *a: moods(*a, floor=-99.0), "Your moods fall below the floor."),
            Mistake(at_the_end, "Next day begins at the floor, not at what would be below it."),
        ),
    }


VARIANTS = (
    Variant(
        id="14-graded-surprise",
        title="Which groups surprise?",
        points=5,
        draw=lambda rng: {
            "least": int(rng.integers(4, 25)),
            "extra": int(rng.integers(5, 60)) / 10,
        },
        statement="""
A model gave the cards of a log chances `p` (n,); `clicked` (n,) is 0 or 1; `group` (n,) is a number from 0. First
multiply all p by one number, so that their sum is that of the clicks. Then the surprise of a group is the sum of
clicked - p over its cards, divided by the root of {{extra}} plus the sum of p (1 - p). A group of fewer than {{least}} cards has
surprise 0. Give it for all groups from 0 to the largest.""",
        stub='''
def surprises(clicked, p, group):
    """Surprises (groups,) of the cards (n,) of each group."""
    ...  # your code
''',
        make=_surprise,
        example=(
            np.r_[np.ones(10), np.zeros(50)],
            np.full(60, 0.2),
            np.repeat([0, 1], 30),
        ),
        right=(
            """
def surprises(clicked, p, group):
    p = p / p.mean() * clicked.mean()
    size = np.bincount(group)
    surplus = np.bincount(group, clicked) - np.bincount(group, p)
    spread = np.bincount(group, p) - np.bincount(group, p * p)
    return np.where(size < {{least}}, 0, surplus / np.sqrt(spread + {{extra}}))
""",
        ),
        wrong=(
            """
def surprises(clicked, p, group):
    surplus = np.bincount(group, clicked - p)
    return surplus / np.sqrt(np.bincount(group, p * (1 - p)) + {{extra}})
""",
        ),
    ),
    Variant(
        id="14-graded-moods",
        title="Moods with a floor",
        points=4,
        draw=lambda rng: {
            "fade": int(rng.integers(60, 95)) / 100,
            "gain": int(rng.integers(40, 90)) / 100,
            "floor": -int(rng.integers(5, 15)) / 100,
        },
        statement="""
People begin with moods `start` (n,). On each day the mood fades to {{fade}} of what it was, then {{gain}} times
(taste - 0.5) is added, where `taste` (n, days) says how good that day's pages were; and a mood that would
fall below {{floor}} stays there, also for the next day. Give the moods (n, days) at the end of each day.""",
        stub='''
def moods_of(start, taste):
    """Moods (n, days) from those at the start (n,) and the taste of the pages (n, days)."""
    ...  # your code
''',
        make=_moods,
        example=(np.array([0.2, 0.0]), np.array([[0.9, 0.0], [0.0, 0.0]])),
        right=(
            """
def moods_of(start, taste):
    found = np.zeros(taste.shape)
    for person in range(len(start)):
        mood = float(start[person])
        for day in range(taste.shape[1]):
            mood = max({{floor}}, {{fade}} * mood + {{gain}} * taste[person, day] - {{gain}} / 2)
            found[person, day] = mood
    return found
""",
        ),
        wrong=(
            """
def moods_of(start, taste):
    found, now = [], start
    for day in taste.T:
        now = {{fade}} * now + {{gain}} * (day - 0.5)
        found.append(np.maximum(now, {{floor}}))
    return np.stack(found, axis=1)
""",
        ),
    ),
)
