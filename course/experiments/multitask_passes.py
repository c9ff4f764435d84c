"""Does the contest of chapter 08 hang on when training stops? The main contestants over passes."""

from __future__ import annotations

from course.experiments.multitask import GROUPS, MAIN, MAIN_CONTESTANTS, corner, fit
from course.experiments.seven_tasks import measure

PASSES = (2, 3, 4)
"""One less, as many and one more than the tuned recipes have."""


def trial(seed: int) -> dict[str, float]:
    """Captured of each group after some passes, from other first weights than in the contest."""
    data, out = corner(MAIN, seed), {}
    for passes in PASSES:
        for name in MAIN_CONTESTANTS:
            ranker = fit(data, name, seed + 100, epochs=passes)
            found = measure(data.truth, ranker.predict(data.test, data.test_context))
            out |= {f"{passes}/{name}/{g}/captured": found[f"{g}/captured"] for g in GROUPS}
    return out
