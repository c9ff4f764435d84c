"""Claims of chapter 12: the whole system in front of users."""

from __future__ import annotations

import pandas as pd

from course.claims import Claim, Contrast, Trial, Values, column, difference, percent, ratio
from course.experiments import system_trial
from course.experiments.whole_system import STEPS

TRIALS = (Trial("whole_system", system_trial.trial, minutes=2.1),)

SOURCES = ("topic match", "co-watch", "sequence", "context")


def _step(name: str, metric: str = "watch_minutes") -> Values:
    """Percent by which a step's expected outcome is above the step before."""
    before = STEPS[STEPS.index(name) - 1]
    return percent(f"steps/{name}/{metric}/expected", f"steps/{before}/{metric}/expected")


def _way_to_oracle(name: str) -> Values:
    def value(t: pd.DataFrame) -> pd.Series:
        floor, at, top = (t[f"steps/{n}/watch_minutes/expected"]
                          for n in ("random", name, "oracle"))  # fmt: skip
        return 100 * (at - floor) / (top - floor)

    return value


def _sources(t: pd.DataFrame, key: str) -> pd.DataFrame:
    return 100 * t[[f"sources/{name}/{key}" for name in SOURCES]]


def _over_best_source(pool: str) -> Values:
    return lambda t: 100 * t[f"sources/{pool}/recall"] - _sources(t, "recall").max(axis=1)


def _estimate(key: str, other: str | None = None) -> Values:
    if other is None:
        return column(key)
    return difference(key, other)


CLAIMS = (
    Claim(
        id="S-1",
        chapter="12",
        title="Each step of the course brings live watch minutes on top of the one before",
        paper="the papers report single steps; the ladder is ours",
        trial="whole_system",
        contrasts=(
            *(
                Contrast(f"{name.removeprefix('+ ')}: minutes over the step before (percent)",
                         _step(name), low=0.0, headline=True)
                for name in STEPS[1:-1]
            ),
            Contrast("many objectives: satisfied watches over the step before (percent)",
                     _step("+ many objectives", "satisfied"), low=0.0),
            Contrast("shallow tower: satisfied watches over the step before (percent)",
                     _step("+ shallow tower", "satisfied"), low=0.0),
            Contrast("shallow tower: clicks over the step before (percent)",
                     _step("+ shallow tower", "clicks")),
            Contrast("whole system: percent of the way from random to the oracle",
                     _way_to_oracle("+ shallow tower")),
        ),
        note="Matrix factorization predicts the next watch, not the worth of a showing. With the "
        "shallow tower the click head is less spread, so the same hand-set weights favour watch "
        "time more.",
    ),
    Claim(
        id="P2-F1",
        chapter="12",
        title="Logs, features, a shared layer, experts and heads, a shallow logit into engagement "
        "only, a weighted product, and a new log: the loop closes",
        paper="Figure 1",
        trial="whole_system",
        built="how our own system is put together",
        contrasts=(
            Contrast("largest change of a satisfaction head when all cards change place",
                     _estimate("flow/satisfaction moved"), low=-1e-9, high=1e-9,
                     headline=True),
            Contrast("change of the click's logit when all cards change place",
                     _estimate("flow/engagement moved"), low=0.5, headline=True),
            Contrast("cards that the system showed in one day and that are inputs again (share)",
                     ratio("flow/new inputs", "flow/new impressions"), low=0.999, high=1.001,
                     headline=True),
            Contrast("minutes per page, system over random (times)",
                     ratio("steps/+ shallow tower/watch_minutes/expected",
                            "steps/random/watch_minutes/expected"), low=1.0),
            Contrast("its ranker for a day, on the feed's candidates: minutes over the past "
                     "ranking (percent)",
                     percent("flow/new/system/watch_minutes", "flow/new/past/watch_minutes"),
                     low=0.0),
        ),
    ),
    Claim(
        id="P1-F2",
        chapter="12",
        title="Corpus to hundreds to dozens: two stages are worth about what ranking the whole "
        "corpus is, at a fraction of the cost",
        paper="Figure 2: millions, hundreds, dozens",
        trial="whole_system",
        contrasts=(
            Contrast("minutes of two stages over those of ranking the whole corpus (share)",
                     ratio("funnel/pool/watch_minutes", "funnel/corpus/watch_minutes"), low=0.85,
                     headline=True),
            Contrast("cards that are ranked (share of the corpus)",
                     ratio("funnel/pool/cards", "funnel/corpus/cards"), high=0.25,
                     headline=True),
            Contrast("core time per page (share)",
                     ratio("funnel/pool/core_ms", "funnel/corpus/core_ms"), high=0.5,
                     headline=True),
            Contrast("recall of the first 160 candidates over random ones (times)",
                     ratio("recall/160", "recall/160/random"), low=3.0),
            Contrast("recall of merged sources over the best one, as many candidates (points)",
                     _over_best_source("pool, as many"), low=0.0),
            Contrast("satisfied watches of two stages over ranking the corpus (share)",
                     ratio("funnel/pool/satisfied", "funnel/corpus/satisfied")),
        ),
    ),
    Claim(
        id="P2-C1",
        chapter="12",
        title="Each candidate source adds relevant videos that no other finds",
        paper="stated: sources capture different aspects of similarity",
        trial="whole_system",
        contrasts=(
            *(
                Contrast(f"watches to come that only {name} finds (percent)",
                         lambda t, n=name: 100 * t[f"sources/{n}/alone"], low=0.0,
                         headline=True)
                for name in SOURCES
            ),
            Contrast("recall of the pool minus that of the best source (points)",
                     _over_best_source("pool"), low=0.0),
            Contrast("the same with as many candidates (points)",
                     _over_best_source("pool, as many"), low=0.0),
            Contrast("recall of as many random videos as the pool has (percent)",
                     lambda t: 100 * t["sources/random/recall"]),
        ),
    ),
)  # fmt: skip
