"""Exercises of chapter 00, start here."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake
from course.simulator import laws


def _page(rng: np.random.Generator):
    for _ in range(3):
        k = int(rng.integers(4, 11))
        seen = laws.examination(np.arange(1, k + 1), rng.uniform(0.4, 1.4))
        yield rng.beta(1.5, 6.0, k), seen


def _page_clicks(p_click_if_seen, seen):
    return float(np.sum(p_click_if_seen * seen))


def _gaps(rng: np.random.Generator):
    for low, high in ((0.0, 1.0), (0.0, 1.0), (-0.4, -0.1)):  # the last is worse than random
        floor = rng.uniform(0.1, 1.0)
        ceiling = floor * rng.uniform(2.0, 8.0)
        yield floor + rng.uniform(low, high) * (ceiling - floor), floor, ceiling


def _gap(value, floor, ceiling):
    return (value - floor) / (ceiling - floor)


def _lists(rng: np.random.Generator):
    for _ in range(4):
        candidates = rng.permutation(200)[: int(rng.integers(20, 60))]
        watched = rng.permutation(200)[: int(rng.integers(3, 9))]
        kept = rng.choice(candidates, 2, replace=False)
        again = rng.choice(kept, 1)  # a video that was watched twice
        yield candidates.tolist(), np.concatenate([watched, kept, again]).tolist()


def _recall(candidates, watched):
    return len(set(candidates) & set(watched)) / len(set(watched))


EXERCISES = (
    Exercise(
        id="00-page-clicks",
        chapter=0,
        reference=_page_clicks,
        cases=_page,
        mistakes=(
            Mistake(
                lambda p_click_if_seen, seen: float(np.sum(p_click_if_seen)),
                "You count every card as if it were looked at; the lower ones often are not.",
            ),
            Mistake(
                lambda p_click_if_seen, seen: float(1 - np.prod(1 - p_click_if_seen * seen)),
                "That is the chance of at least one click; the expected number is asked for.",
            ),
            Mistake(
                lambda p_click_if_seen, seen: float(np.mean(p_click_if_seen * seen)),
                "That is the mean over the cards; a page's clicks add up.",
            ),
            Mistake(
                lambda p_click_if_seen, seen: float(np.sum(p_click_if_seen) * np.sum(seen)),
                "Multiply card by card first, then add; you added first.",
            ),
        ),
    ),
    Exercise(
        id="00-gap-closed",
        chapter=0,
        reference=_gap,
        cases=_gaps,
        mistakes=(
            Mistake(
                lambda value, floor, ceiling: value / ceiling,
                "You measure from zero; the floor is what random pages give already.",
            ),
            Mistake(
                lambda value, floor, ceiling: (value - floor) / floor,
                "That is the gain over random; it says nothing about how much was possible.",
            ),
            Mistake(
                lambda value, floor, ceiling: (value - floor) / ceiling,
                "The way you went is right; divide it by the whole way from random to oracle.",
            ),
            Mistake(
                lambda value, floor, ceiling: max(0.0, (value - floor) / (ceiling - floor)),
                "A method can be worse than random; then its share is negative.",
            ),
            Mistake(
                lambda value, floor, ceiling: (ceiling - value) / (ceiling - floor),
                "That is the part that is still open, not the part that is closed.",
            ),
        ),
    ),
    Exercise(
        id="00-recall",
        chapter=0,
        reference=_recall,
        cases=_lists,
        mistakes=(
            Mistake(
                lambda candidates, watched: len(set(candidates) & set(watched)) / len(candidates),
                "You divide by the number of candidates: that is precision.",
            ),
            Mistake(
                lambda candidates, watched: (
                    sum(v in set(candidates) for v in watched) / len(watched)
                ),
                "A video that was watched twice counts once.",
            ),
            Mistake(
                lambda candidates, watched: len(set(candidates) & set(watched)) / len(watched),
                "Repeats are dropped above the line but not below it; drop them in both.",
            ),
            Mistake(
                lambda candidates, watched: float(len(set(candidates) & set(watched))),
                "That is the number of hits; recall is a share.",
            ),
        ),
    ),
)
