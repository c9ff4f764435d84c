"""Graded variants of chapter 13, judging a recommender. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _shrunk(lam):
    def shrunk(outcome, new, old, guess, expected, how="shrink", model=True):
        w = new / old
        w = {"shrink": lam * w / (w**2 + lam), "plain": w, "cut": np.minimum(w, lam)}[how]
        if not model:
            return float((w * outcome).mean())
        return float((expected + w * (outcome - guess)).mean())

    def cases(rng):
        for n in (6, 40):
            old = rng.uniform(0.05, 0.6, n)
            new = rng.uniform(0.05, 0.9, n)
            old[0], new[0] = 0.02, 0.9
            outcome = (rng.random(n) < 0.4).astype(float)
            yield outcome, new, old, rng.uniform(0.1, 0.6, n), rng.uniform(0.1, 0.6, n)

    return {
        "reference": lambda *given: shrunk(*given),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda *a: shrunk(*a, how="plain"), "Your weights are not shrunk."),
            Mistake(lambda *a: shrunk(*a, how="cut"), "You cut the weights; shrink them."),
            Mistake(lambda *a: shrunk(*a, model=False), "The model's own answer is missing."),
        ),
    }


def _people(level, power, ratio):
    def people(sd, difference, ratio=ratio, z=level + power):
        return np.asarray(z**2 * np.asarray(sd, float) ** 2 * (1 + 1 / ratio) / difference**2)

    def cases(rng):
        for n in (1, 4, 8):
            yield rng.uniform(0.5, 3, n), rng.uniform(0.05, 0.5, n)

    return {
        "reference": lambda sd, difference: people(sd, difference),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-2),
        "mistakes": (
            Mistake(lambda s, d: people(s, d, ratio=1.0), "The two groups are not equally large."),
            Mistake(
                lambda s, d: people(s, d, ratio=1 / ratio),
                "You give the number of the other group.",
            ),
            Mistake(
                lambda s, d: people(s, d, z=(level**2 + power**2) ** 0.5),
                "The two z values are added before they are squared.",
            ),
        ),
    }


VARIANTS = (
    Variant(
        id="13-graded-shrunk",
        title="Doubly robust, with shrunken weights",
        points=4,
        draw=lambda rng: {"lam": int(rng.integers(15, 90)) / 10},
        statement="""
Instead of cutting a weight w = new / old, shrink it to $\\lambda w / (w^2 + \\lambda)$ with $\\lambda$ = {{lam}}
(Su et al. 2020): small weights stay, large ones go back to 0. Write the doubly robust estimate of the mean outcome
under the new policy with such weights. All arguments are (n,): outcomes, chances by both policies, the model's
`guess` for the card that was shown, and what the model expects of the new policy, `expected`.""",
        stub='''
def shrunk(outcome, new, old, guess, expected):
    """A number: the estimate from a log of n rows."""
    ...  # your code
''',
        make=_shrunk,
        example=(
            np.array([1.0, 0.0]),
            np.array([0.8, 0.1]),
            np.array([0.2, 0.5]),
            np.array([0.3, 0.2]),
            np.array([0.4, 0.3]),
        ),
        right=(
            """
def shrunk(outcome, new, old, guess, expected):
    total = 0.0
    for y, a, b, g, e in zip(outcome, new, old, guess, expected):
        total += e + (y - g) / (a / b / {{lam}} + b / a)
    return total / len(outcome)
""",
        ),
        wrong=(
            """
from course.lessons.judging import doubly_robust
def shrunk(outcome, new, old, guess, expected):
    return doubly_robust(outcome, new, old, guess, expected, {{lam}} ** 0.5 / 2)
""",
        ),
    ),
    Variant(
        id="13-graded-people",
        title="A test with a small group",
        points=3,
        draw=lambda rng: {
            "level": int(rng.integers(165, 330)) / 100,
            "power": int(rng.integers(52, 165)) / 100,
            "ratio": int(rng.integers(2, 20)),
        },
        statement="""
In an A/B test the new page goes to n people, and {{ratio}} n people keep the old one. Outcomes have the standard
deviation sd in both groups. A difference of the means counts as seen if it is {{level}} of its standard errors
away from 0, and it is to be seen with the probability at which a normal number is below {{power}} standard
deviations. Give n (not rounded) for each sd and true difference.""",
        stub='''
def people_of(sd, difference):
    """People (m,) who get the new page, for standard deviations (m,) and differences (m,)."""
    ...  # your code
''',
        make=_people,
        example=(np.array([1.0]), np.array([0.1])),
        right=(
            """
def people_of(sd, difference):
    wanted_error = difference / ({{level}} + {{power}})
    variance_for_one = sd * sd + sd * sd / {{ratio}}
    return variance_for_one / wanted_error / wanted_error
""",
        ),
        wrong=(
            """
from course.lessons.judging import people_needed
def people_of(sd, difference):
    return people_needed(sd, difference)
""",
        ),
    ),
)
