"""Graded variants of chapter 00, start here. Never handed out."""

import numpy as np

from course.exercises import Mistake
from course.workshop.variants import Variant


def _lift(above, below, least):
    def lift(counted, expected, above=above, below=below, least=least):
        found = (np.asarray(counted) + above) / (np.asarray(expected) + below)
        return np.where(np.asarray(expected) < least, 1.0, found)

    def cases(rng):
        for shape in ((6,), (3, 5), (4, 8)):
            expected = rng.uniform(0.2, 1.8, shape) * least
            expected.flat[:2] = 0.5 * least, 1.5 * least
            yield rng.integers(1, 30, shape).astype(float), expected

    return {
        "reference": lambda counted, expected: lift(counted, expected),
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda c, e: lift(c, e, least=0), "Where little was expected, the answer is 1."
            ),
            Mistake(
                lambda c, e: lift(c, e, above=above + below, below=above + below),
                "The two priors are not the same here.",
            ),
            Mistake(
                lambda c, e: lift(c, e, above=below, below=above),
                "You took the two priors the wrong way round.",
            ),
        ),
    }


def _fading(fade):
    def reference(rows, columns, ages, shape):
        table = np.zeros(shape)
        np.add.at(table, (rows, columns), fade ** np.asarray(ages, float))
        return table

    def cases(rng):
        for n, shape in ((5, (2, 3)), (30, (4, 5)), (60, (6, 3))):
            rows, columns = (rng.integers(size, size=n) for size in shape)
            rows[:2], columns[:2] = rows[0], columns[0]  # one pair twice at least
            yield rows, columns, rng.uniform(0, 6, n), shape

    def once(rows, columns, ages, shape):
        table = np.zeros(shape)
        table[rows, columns] += fade ** np.asarray(ages, float)
        return table

    def counts(rows, columns, ages, shape):
        table = np.zeros(shape)
        np.add.at(table, (rows, columns), 1.0)
        return table

    return {
        "reference": reference,
        "cases": cases,
        "mistakes": (
            Mistake(once, "A pair that occurs twice counts once in your table."),
            Mistake(counts, "Your pairs do not fade."),
        ),
    }


VARIANTS = (
    Variant(
        id="00-graded-lift",
        title="How many times more, carefully",
        points=3,
        draw=lambda rng: {
            "above": round(float(rng.uniform(0.5, 2)), 2),
            "below": round(float(rng.uniform(2.5, 6)), 2),
            "least": int(rng.integers(3, 20)),
        },
        statement="""
How many times more often than expected does something happen? Add {{above}} to what was counted and
{{below}} to what was expected before you divide. Where less than {{least}} was expected, too little is known:
the answer there is 1. `counted` and `expected` are arrays of one shape.""",
        stub='''
def lift(counted, expected):
    """How many times more often than expected, in the shape of the two arrays."""
    ...  # your code
''',
        make=_lift,
        example=(np.array([4.0, 40.0]), np.array([1.0, 30.0])),
        right=(
            """
def lift(counted, expected):
    found = np.ones(np.shape(counted))
    known = np.asarray(expected) >= {{least}}
    found[known] = (counted[known] + {{above}}) / (expected[known] + {{below}})
    return found
""",
        ),
        wrong=(
            """
from course.lessons.first_system import times_more
def lift(counted, expected):
    return np.where(expected < {{least}}, 1, times_more(counted, expected, {{above}}))
""",
            """
def lift(counted, expected):
    return np.where(expected > {{least}}, 1, (counted + {{above}}) / (expected + {{below}}))
""",
        ),
    ),
    Variant(
        id="00-graded-fading-pairs",
        title="Pairs that fade",
        points=4,
        draw=lambda rng: {"fade": int(rng.integers(40, 95)) / 100},
        statement="""
Count pairs in a table, as in the chapter, but let old ones count less: a pair that is `age` days old
counts {{fade}} to the power of its age. `rows`, `columns` and `ages` are lists of one length; a pair may
occur several times. `shape` is that of the table.""",
        stub='''
def fading_pairs(rows, columns, ages, shape):
    """A table of this shape: the faded number of times that each (row, column) occurs."""
    ...  # your code
''',
        make=_fading,
        example=(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([0.0, 2.0, 1.0]), (2, 2)),
        right=(
            """
def fading_pairs(rows, columns, ages, shape):
    table = np.zeros(shape)
    for row, column, age in zip(rows, columns, ages):
        table[row, column] += {{fade}} ** age
    return table
""",
        ),
        wrong=(
            """
def fading_pairs(rows, columns, ages, shape):
    table = np.zeros(shape)
    table[rows, columns] = {{fade}} ** ages
    return table
""",
            """
def fading_pairs(rows, columns, ages, shape):
    table = np.zeros(shape)
    np.add.at(table, (rows, columns), np.exp(-{{fade}} * ages))
    return table
""",
        ),
    ),
)
