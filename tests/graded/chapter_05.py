"""Graded variants of chapter 05, labels and context. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _weights(power):
    def weights(user, power=power, norm="mean"):
        n = np.bincount(user)[user].astype(float)
        w = n**-power
        return w / {"mean": w.mean(), "sum": w.sum(), "none": 1.0}[norm]

    def cases(rng):
        for accounts, n in ((3, 8), (6, 40), (10, 90)):
            user = rng.integers(accounts, size=n) ** 2 // accounts
            user[:3] = 0, 0, accounts
            yield (user,)

    return {
        "reference": lambda user: weights(user),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda user: weights(user, power=1.0), "That makes all accounts equal."),
            Mistake(lambda user: weights(user, norm="sum"), "Your weights sum to 1."),
            Mistake(lambda user: weights(user, norm="none"), "Your weights are not 1 on average."),
            Mistake(
                lambda user: weights(user, power=-power), "The busy account should count less."
            ),
        ),
    }


def _window(k, gap, reach):
    def window(time, video, at, gap=gap, reach=reach, newest=True):
        rows = []
        for now in at:
            inside = np.flatnonzero((time < now - gap) & (time >= now - reach))
            inside = inside[::-1][:k] if newest else inside[:k]
            rows.append(np.r_[video[inside], np.full(k - len(inside), -1)])
        return np.array(rows)

    def cases(rng):
        for n in (12, 80):
            time = np.sort(rng.uniform(0, 20, n))
            time[:4] /= 20  # long ago
            at = np.sort(np.r_[time[4:7] + 0.01, rng.uniform(6, 21, 20)])
            yield time, rng.integers(1000, size=n), at
        time = np.r_[np.sort(rng.uniform(0, 0.5, 4)), reach + 1]  # nearly all long ago
        yield time, rng.integers(1000, size=5), np.array([reach + 2])

    return {
        "reference": lambda time, video, at: window(time, video, at),
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda t, v, at: window(t, v, at, newest=False), "The latest watch comes first."
            ),
            Mistake(
                lambda t, v, at: window(t, v, at, gap=0.0),
                "What was watched just before the moment is in your bag.",
            ),
            Mistake(lambda t, v, at: window(t, v, at, reach=99), "Your bag reaches too far back."),
        ),
    }


VARIANTS = (
    Variant(
        id="05-graded-softer-weights",
        title="Busy accounts, not quite equal",
        points=3,
        draw=lambda rng: {"power": int(rng.integers(15, 85)) / 100},
        statement="""
Equal weight for each account is one end, equal weight for each watch the other. Take what lies between: an
example of an account with n examples in all counts in proportion to $n^{-{{power}}}$, and the weights of all
examples are 1 on average. `user` (n,) holds the account of each example.""",
        stub='''
def softer_weights(user):
    """Weights (n,) of examples of accounts (n,), 1 on average."""
    ...  # your code
''',
        make=_weights,
        example=(np.array([0, 0, 0, 1]),),
        right=(
            """
def softer_weights(user):
    raw = [1 / sum(other == one for other in user) ** {{power}} for one in user]
    return np.array(raw) * len(raw) / sum(raw)
""",
        ),
        wrong=(
            """
def softer_weights(user):
    accounts, n = np.unique(user, return_counts=True)
    w = n ** -{{power}}
    return (w / w.mean())[np.searchsorted(accounts, user)]
""",
        ),
    ),
    Variant(
        id="05-graded-window",
        title="A bag with a gap",
        points=5,
        draw=lambda rng: {
            "k": int(rng.integers(3, 9)),
            "gap": int(rng.integers(20, 150)) / 100,
            "reach": int(rng.integers(50, 120)) / 10,
        },
        statement="""
The watches of one account are given in order: their times in days (m,), which differ, and videos (m,). For
each moment of `at` (n,) fill a bag of {{k}} places with what was watched at times from moment - {{reach}} up to (not
including) moment - {{gap}}, the latest first. What is left of the places holds -1.""",
        stub='''
def window(time, video, at):
    """Bags (n, places) of what was watched before each moment, with a gap."""
    ...  # your code
''',
        make=_window,
        example=(np.array([1.0, 2.0, 3.0, 9.9]), np.array([7, 8, 9, 5]), np.array([10.0])),
        right=(
            """
def window(time, video, at):
    bags = np.full((len(at), {{k}}), -1)
    for row, now in enumerate(at):
        first, last = np.searchsorted(time, [now - {{reach}}, now - {{gap}}])
        found = video[first:last][::-1][:{{k}}]
        bags[row, :len(found)] = found
    return bags
""",
        ),
        wrong=(
            """
def window(time, video, at):
    bags = np.full((len(at), {{k}}), -1)
    for row, now in enumerate(at):
        found = video[time < now - {{gap}}][::-1][:{{k}}]
        bags[row, :len(found)] = found
    return bags
""",
        ),
    ),
)
