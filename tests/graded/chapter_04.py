"""Graded variants of chapter 04, signals, depth and freshness. Never handed out."""

import numpy as np

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _ages(unit, half):
    def ages(time, t_max, e=2.0, clip=True, unit=unit):
        a = t_max - np.asarray(time, float)
        a = np.maximum(a, 0) if clip else a
        return np.stack([a / unit, e ** (-a / half), np.log1p(np.maximum(a, -0.9))], axis=1)

    def cases(rng):
        for n in (3, 7, 15):
            t_max = float(rng.uniform(20, 40))
            time = rng.uniform(0, t_max, n)
            time[0] = t_max + 0.4  # a request after the end of training
            yield time, t_max

    return {
        "reference": lambda time, t_max: ages(time, t_max),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda t, m: ages(t, m, clip=False), "Requests after training have age 0."),
            Mistake(
                lambda t, m: ages(t, m, e=np.e), "After its half-life a half is left, not 1/e."
            ),
            Mistake(lambda t, m: ages(t, m, unit=30), "The unit is not that of the chapter."),
        ),
    }


def _cells(devices, parts, bands):
    def cell(device, part, band, sizes=(devices, parts, bands), missing=True):
        known = (device >= 0) & (part >= 0) & (band >= 0)
        number = (band * sizes[1] + part) * sizes[0] + device
        return np.where(known, number, devices * parts * bands) if missing else number

    def cases(rng):
        for n in (6, 20):
            codes = [rng.integers(size, size=n) for size in (devices, parts, bands)]
            for code in codes:
                code[rng.integers(n)] = -1
            codes[2][:3] = bands - 1
            yield tuple(codes)

    return {
        "reference": lambda device, part, band: cell(device, part, band),
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda device, part, band: cell(device, part, band, missing=False),
                "What is not known has a number of its own.",
            ),
            Mistake(
                lambda device, part, band: np.where(
                    (device >= 0) & (part >= 0) & (band >= 0),
                    (device * parts + part) * bands + band,
                    devices * parts * bands,
                ),
                "In your numbers the age band counts fastest; it is to be the device.",
            ),
        ),
    }


VARIANTS = (
    Variant(
        id="04-graded-ages",
        title="Example age, told in another way",
        points=3,
        draw=lambda rng: {"unit": int(rng.integers(4, 28)), "half": int(rng.integers(15, 90)) / 10},
        statement="""
The example age a is how many days before the end of training, `t_max`, something happened; what comes
after it has age 0. Give the network three numbers: a in units of {{unit}} days, a share that falls from 1 and
halves every {{half}} days, and $\\log(1 + a)$, side by side (n, 3).""",
        stub='''
def ages(time, t_max):
    """Three numbers for each of the times (n,), in days: (n, 3)."""
    ...  # your code
''',
        make=_ages,
        example=(np.array([10.0, 31.0]), 30.0),
        right=(
            """
def ages(time, t_max):
    rows = []
    for t in time:
        a = max(t_max - t, 0.0)
        rows.append([a / {{unit}}, 0.5 ** (a / {{half}}), math.log(1 + a)])
    return np.array(rows)
""",
        ),
        wrong=(
            """
from course.lessons.signals import age_inputs
def ages(time, t_max):
    return age_inputs(time, t_max)
""",
            """
def ages(time, t_max):
    a = np.maximum(t_max - time, 0)
    return np.stack([a / {{unit}}, 1 - 0.5 * a / {{half}}, np.log1p(a)], axis=1)
""",
        ),
    ),
    Variant(
        id="04-graded-cells",
        title="A number for each combination",
        points=3,
        draw=lambda rng: {
            "devices": int(rng.integers(3, 9)),
            "parts": int(rng.integers(4, 13)),
            "bands": int(rng.integers(3, 10)),
        },
        statement="""
A table has a row for each combination of device (0 to less than {{devices}}), part of the day (less than {{parts}}) and
age band (less than {{bands}}). Number the rows from 0 so that the device counts fastest, then the part of the
day, then the age band. One more row, the last, is for moments of which any of the three is not known (-1).""",
        stub='''
def cell_of(device, part, band):
    """Numbers (n,) of the rows for codes (n,) each; -1 is not known."""
    ...  # your code
''',
        make=_cells,
        example=(np.array([1, 2, -1]), np.array([0, 3, 2]), np.array([2, 1, 0])),
        right=(
            """
def cell_of(device, part, band):
    rows = np.arange({{devices}} * {{parts}} * {{bands}}).reshape({{bands}}, {{parts}}, {{devices}})
    found = rows[band, part, device]
    found[(device == -1) | (part == -1) | (band == -1)] = rows.size
    return found
""",
        ),
        wrong=(
            """
def cell_of(device, part, band):
    found = (band * {{parts}} + part) * {{devices}} + device
    found[device < 0] = {{devices}} * {{parts}} * {{bands}}
    return found
""",
        ),
    ),
)
