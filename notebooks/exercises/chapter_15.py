"""Exercises of chapter 15, beyond one machine."""

from __future__ import annotations

import numpy as np
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import beyond_one_machine as lesson


def _byte_cases(rng: np.random.Generator):
    for tables, layers in ((2, 3), (1, 2), (0, 4), (3, 0)):
        pairs = rng.integers(2, 60, size=(tables, 2))
        widths = rng.integers(3, 40, layers)
        yield [(int(a), int(b)) for a, b in pairs], tuple(int(n) for n in widths)


def _bytes(tables, widths, each=16, bias=1):
    numbers = sum(rows * width for rows, width in tables)
    return each * (numbers + sum((a + bias) * b for a, b in zip(widths, widths[1:], strict=False)))


class Neighbours:
    """The other workers of a ring, who follow the rule; what goes wrong comes around.

    A wrong part spoils the sums of the others, and so all that arrives afterwards.
    """

    def __init__(self, lists, rank):
        self.parts = [torch.stack(list(one.chunk(len(lists)))) for one in lists]
        self.rank, self.workers, self.step, self.spoilt = rank, len(lists), 0, 0.0

    def state_dict(self):
        """Tells the engine that this object has a state, so that each call gets a fresh copy."""
        return vars(self)

    def sum_of(self, part, last, many):
        """The sum of a part over so many workers, the last of whom is `last`."""
        return sum(self.parts[(last - back) % self.workers][part] for back in range(many))

    def __call__(self, given):
        """Take a part, and give what the left neighbour passes on in this step."""
        around, rank, step = self.workers, self.rank, self.step
        if step >= 2 * (around - 1):
            raise RuntimeError(f"The ring is done after {2 * (around - 1)} steps; nobody listens")
        self.step += 1
        adding = step < around - 1
        shift = step if adding else step - around  # the number of the part is rank - shift
        many = step + 1 if adding else around
        expected = self.sum_of((rank - shift) % around, rank, many)
        if given.shape != expected.shape:
            raise RuntimeError(f"A part of shape {tuple(expected.shape)} was to be passed on")
        self.spoilt += float((given - expected).abs().sum())
        left = (rank - 1) % around
        return self.sum_of((left - shift) % around, left, many) + self.spoilt


def _ring_cases(rng: np.random.Generator):
    for workers, each in ((2, 2), (3, 2), (5, 3)):
        lists = [torch.from_numpy(rng.normal(size=workers * each).astype(np.float32))
                 for _ in range(workers)]  # fmt: skip
        rank = int(rng.integers(workers))
        yield lists[rank], rank, workers, Neighbours(lists, rank)


def _ring(rounds=2, add=True, mean=False, first=0):
    """The ring, with one thing done in another way."""

    def ring(numbers, rank, workers, pass_on):
        parts = list(numbers.chunk(workers))
        for step in range(workers - 1):
            arrived = pass_on(parts[(rank - step + first) % workers])
            own = (rank - step - 1 + first) % workers
            parts[own] = parts[own] + arrived if add else arrived
        for step in range((workers - 1) * (rounds - 1)):
            parts[(rank - step) % workers] = pass_on(parts[(rank + 1 - step) % workers])
        return torch.cat(parts) / (workers if mean else 1)

    return ring


def _curve_cases(rng: np.random.Generator):
    for n in (5, 7, 12):
        workers = np.sort(rng.choice(np.arange(1, 40), n, replace=False))
        fixed, shared, talk = rng.uniform(0.01, 0.1), rng.uniform(0.5, 5), rng.uniform(0.002, 0.02)
        seconds = fixed + shared / workers + talk * (workers - 1)
        yield workers, seconds * rng.uniform(0.99, 1.01, n)


def _curve(columns, best=lambda fixed, shared, talk: np.sqrt(abs(shared / talk))):
    def curve(workers, seconds):
        found = np.linalg.lstsq(np.stack(columns(workers), axis=1), seconds, rcond=None)[0]
        return np.array([*found, best(*found)])

    return curve


def _law(workers):
    return np.ones(len(workers)), 1 / workers, workers - 1.0


def _place_cases(rng: np.random.Generator):
    """Large idle tables and small busy ones, in rooms where looking at the load alone fails."""
    for tables, workers in ((8, 2), (12, 3), (20, 4)):
        fits = []
        while fits != [True, False]:
            idle = rng.permutation(tables) < tables // 2
            gigabytes = np.where(idle, rng.uniform(2, 4, tables), rng.uniform(0.1, 0.6, tables))
            load = np.where(idle, rng.uniform(0.5, 3, tables), rng.uniform(10, 50, tables))
            given = gigabytes, load, workers, float(1.2 * gigabytes.sum() / workers + 0.3)
            ways = lesson.place_tables, _greedy(_by_load, room_matters=False)
            held = (np.bincount(way(*given), gigabytes, workers).max() for way in ways)
            fits = [bool(most <= given[3]) for most in held]
        yield given


def _placed(got, expected, gigabytes, load, workers, room):
    """A sentence if a placement does not fit, or is busier than the greedy one."""
    place = np.asarray(got)
    if place.shape != expected.shape or not np.issubdtype(place.dtype, np.integer):
        return f"one whole number for each of the {len(load)} tables was asked for"
    if place.min() < 0 or place.max() >= workers:
        return f"the workers have the numbers 0 to {workers - 1}"
    held = np.bincount(place, gigabytes, workers).max()
    if held > room * (1 + 1e-9):
        return f"a worker holds {held:.3g} gigabytes and has room for {room:.3g}"
    busiest, most = (np.bincount(of, load, workers).max() for of in (place, expected))
    if busiest > most * (1 + 1e-9):
        return f"the busiest worker has a load of {busiest:.4g}; the greedy way reaches {most:.4g}"
    return None


def _by_load(gigabytes, load):
    return np.argsort(-load, kind="stable")


def _greedy(key, room_matters=True, by="load"):
    """Greedy with another order, without the room, or by what is held."""

    def place(gigabytes, load, workers, room):
        used, busy, out = np.zeros(workers), np.zeros(workers), np.zeros(len(load), int)
        for table in key(gigabytes, load):
            fits = (used + gigabytes[table] <= room) | (not room_matters)
            out[table] = np.where(fits, busy if by == "load" else used, np.inf).argmin()
            used[out[table]] += gigabytes[table]
            busy[out[table]] += load[table]
        return out

    return place


EXERCISES = (
    Exercise(
        id="15-bytes",
        reference=lesson.training_bytes,
        cases=_byte_cases,
        mistakes=(
            Mistake(
                lambda tables, widths: _bytes(tables, widths, 4),
                "That holds the values only; training needs three more numbers for each.",
            ),
            Mistake(
                lambda tables, widths: _bytes(tables, widths, 12),
                "One of the four numbers is missing: value, gradient, and two averages.",
            ),
            Mistake(
                lambda tables, widths: _bytes(tables, widths, 4 * 4, 0),
                "The biases are missing, one for each number that comes out of a layer.",
            ),
            Mistake(
                lambda tables, widths: _bytes(tables, widths, 1),
                "You count numbers; each of the four that training needs takes 4 bytes.",
            ),
            Mistake(
                lambda tables, widths: _bytes(tables, ()),
                "The layers are missing.",
            ),
        ),
    ),
    Exercise(
        id="15-ring",
        reference=lesson.ring_sum,
        cases=_ring_cases,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes=(
            Mistake(_ring(rounds=1), "After the first round each worker has one finished part; "
                    "the second round, in which these travel, is missing."),
            Mistake(_ring(add=False), "In the first round what arrives is added, not copied."),
            Mistake(_ring(mean=True), "You return the mean; the sum was asked for."),
            Mistake(_ring(first=1), "You begin with another part than the rule says; all must "
                    "follow the same rule."),
            Mistake(lambda numbers, rank, workers, pass_on: numbers * workers,
                    "You have asked nobody."),
        ),
    ),
    Exercise(
        id="15-curve",
        reference=lesson.read_curve,
        cases=_curve_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                _curve(_law, lambda fixed, shared, talk: shared / talk),
                "The best number is where the derivative is 0; you have forgotten the root.",
            ),
            Mistake(
                _curve(_law, lambda fixed, shared, talk: np.sqrt(talk / shared)),
                "The best number is upside down: more talk, fewer workers.",
            ),
            Mistake(
                _curve(lambda w: (np.ones(len(w)), 1 / w, w * 1.0)),
                "One worker talks to nobody; the last column counts the others.",
            ),
            Mistake(
                _curve(lambda w: (np.ones(len(w)), w * 1.0, w - 1.0)),
                "The shared part is divided by the number of workers.",
            ),
            Mistake(
                lambda workers, seconds: np.array(
                    [*lesson.read_curve(workers, seconds)[:3], workers[np.argmin(seconds)]]
                ),
                "That is the best of the numbers that were tried; the law says where it lies.",
            ),
        ),
    ),
    Exercise(
        id="15-place",
        reference=lesson.place_tables,
        cases=_place_cases,
        compare=_placed,
        mistakes=(
            Mistake(
                lambda gigabytes, load, workers, room: np.arange(len(load)) % workers,
                "You deal the tables out in turn and look at neither load nor room.",
            ),
            Mistake(
                _greedy(_by_load, room_matters=False),
                "You look at no room; a worker holds more than fits.",
            ),
            Mistake(
                _greedy(lambda gigabytes, load: np.argsort(-gigabytes, kind="stable"), by="room"),
                "You level what workers hold; all wait for the one with the most load.",
            ),
            Mistake(
                _greedy(lambda gigabytes, load: np.argsort(load, kind="stable")),
                "You begin with the smallest load; then the largest come last and fit nowhere.",
            ),
        ),
    ),
)  # fmt: skip
