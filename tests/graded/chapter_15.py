"""Graded variants of chapter 15, beyond one machine. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _arriving(block, jump):
    def arriving(ids, rank, workers, once=True, own=False, spread=jump, size=block):
        ids = np.unique(ids) if once else np.asarray(ids)
        count = np.bincount(ids // size * spread % workers, minlength=workers)
        if not own:
            count[rank] = 0
        return count

    def cases(rng):
        for workers, n in ((3, 40), (5, 120), (7, 300)):
            ids = rng.integers(0, 60 * block, n)
            yield np.append(ids, ids[:10]), int(rng.integers(workers)), workers

    return {
        "reference": lambda *given: arriving(*given),
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda ids, rank, workers: arriving(ids, rank, workers, once=False),
                "A row that is asked for twice travels once.",
            ),
            Mistake(
                lambda ids, rank, workers: arriving(ids, rank, workers, own=True),
                "Your own rows do not travel.",
            ),
            Mistake(
                lambda ids, rank, workers: arriving(ids, rank, workers, size=1),
                "Rows live in blocks.",
            ),
        ),
    }


def _forecast(power, ask):
    def forecast(workers, seconds, power=power, ask=ask):
        def columns(w):
            w = np.asarray(w, float)
            return np.stack([np.ones(w.shape), 1 / w, w**power], axis=-1)

        found = np.linalg.lstsq(columns(workers), seconds, rcond=None)[0]
        return float(columns(ask) @ found)

    def cases(rng):
        for n in (6, 8):
            workers = np.sort(rng.choice(np.arange(1, 30), n, replace=False))
            law = rng.uniform(0.1, 0.3) + rng.uniform(2, 6) / workers
            law = law + rng.uniform(0.02, 0.05) * workers**power
            yield workers, law * rng.uniform(0.98, 1.02, n)

    return {
        "reference": lambda *given: forecast(*given),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(
                lambda workers, seconds: forecast(workers, seconds, power=1.0),
                "The talk grows with another power of the workers.",
            ),
            Mistake(
                lambda workers, seconds: float(np.interp(ask, workers, seconds)),
                "You draw a line between what was measured; use the law.",
            ),
        ),
    }


VARIANTS = (
    Variant(
        id="15-graded-rows",
        title="Rows that travel",
        points=3,
        draw=lambda rng: {"block": int(rng.integers(5, 40)), "jump": int(rng.integers(11, 90))},
        statement="""
A table is cut by blocks: row i lies in block i // {{block}}, and block b is held by worker (b * {{jump}}) modulo
the number of workers. You are worker `rank` and need the rows `ids`, some of them more than once. Each row that you
do not hold yourself travels once. How many rows arrive from each worker?""",
        stub='''
def arriving(ids, rank, workers):
    """Rows (workers,) that arrive from each worker, for ids (n,) that worker `rank` needs."""
    ...  # your code
''',
        make=_arriving,
        example=(np.array([0, 0, 3, 500, 700]), 0, 3),
        right=(
            """
def arriving(ids, rank, workers):
    out = np.zeros(workers, int)
    for row in set(ids.tolist()):
        owner = (row // {{block}}) * {{jump}} % workers
        if owner != rank:
            out[owner] += 1
    return out
""",
        ),
        wrong=(
            """
def arriving(ids, rank, workers):
    out = np.bincount(np.unique(ids) % workers, minlength=workers)
    out[rank] = 0
    return out
""",
        ),
    ),
    Variant(
        id="15-graded-forecast",
        title="A larger team",
        points=3,
        draw=lambda rng: {
            "power": int(rng.integers(30, 95)) / 100,
            "ask": int(rng.integers(40, 200)),
        },
        statement="""
The seconds of a step were measured with different numbers of workers W. In this network the law is
$\\tau_0 + \\tau_1 / W + \\tau_2 W^\\gamma$ with $\\gamma$ = {{power}}. Find the three constants by least
squares and forecast the seconds of a step with {{ask}} workers.""",
        stub='''
def forecast(workers, seconds):
    """Seconds with a larger team, a number, from measured workers (n,) and seconds (n,)."""
    ...  # your code
''',
        make=_forecast,
        example=(np.array([1, 2, 4, 8, 16]), np.array([5.2, 3.0, 1.6, 1.2, 0.9])),
        right=(
            """
def forecast(workers, seconds):
    def columns(w):
        return np.column_stack([w * 0.0 + 1, 1.0 / w, w ** {{power}}])
    x = columns(np.asarray(workers, float))
    taus = np.linalg.pinv(x) @ seconds
    return (columns(np.array([{{ask}}.0])) @ taus)[0]
""",
        ),
        wrong=(
            """
from course.lessons.beyond_one_machine import read_curve
def forecast(workers, seconds):
    fixed, shared, talk, _ = read_curve(workers, seconds)
    return fixed + shared / {{ask}} + talk * ({{ask}} - 1)
""",
        ),
    ),
)
