"""Claims of chapter 07: expected watch time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.claims import Claim, Contrast, Trial, difference, percent, ratio
from course.experiments import watch_time

TRIALS = (
    Trial("watch_odds", watch_time.odds, minutes=0.29),
    Trial("watch_ladder", watch_time.ladder, minutes=2.6),
    Trial("watch_doses", watch_time.doses, minutes=0.95),
)

BEST = "128-64-32"


def _loss(one: str, other: str, measure: str = "loss"):
    return difference(f"{one}/{measure}", f"{other}/{measure}")


def _groups(rate: str, served: str, true: str):
    """Geometric mean over the ten groups of served over true."""

    def value(t: pd.DataFrame) -> pd.Series:
        logs = [np.log(t[f"rate {rate}/{g}/{served}"] / t[f"rate {rate}/{g}/{true}"])
                for g in range(10)]  # fmt: skip
        return np.exp(sum(logs) / len(logs))

    return value


def _top(rate: str, served: str, true: str):
    """Served over true in the highest of the ten groups."""
    return ratio(f"rate {rate}/9/{served}", f"rate {rate}/9/{true}")


def _slope(rate: str, served: str):
    def value(t: pd.DataFrame) -> pd.Series:
        ours, true = (np.stack([t[f"rate {rate}/{g}/{c}"] for g in range(10)], axis=1)
                      for c in (served, "watch"))  # fmt: skip
        slopes = [watch_time.slope(a, b) for a, b in zip(ours, true, strict=True)]
        return pd.Series(slopes, t.index)

    return value


def _first_step_over_the_others(t: pd.DataFrame) -> pd.Series:
    first = t["None/loss"] - t["32/loss"]
    return first - (t["32/loss"] - t[f"{BEST}/loss"])


def _gain(t: pd.DataFrame, dose: str, one: str = "watch", metric: str = "watch_minutes"):
    """Percent by which a ranker beats the click ranker live."""
    live = f"clickbait {dose}/live"
    return 100 * (t[f"{live}/{one}/{metric}"] / t[f"{live}/click/{metric}"] - 1)


def _live(metric: str, dose: str = "1", scale: float = 1.0):
    live = f"clickbait {dose}/live"
    return difference(f"{live}/watch/{metric}", f"{live}/click/{metric}", scale)


def _equal_weights(dose: str):
    return difference(f"clickbait {dose}/click/loss", f"clickbait {dose}/watch/loss")


CLAIMS = (
    Claim(
        id="P1-C16",
        chapter="07",
        title="The odds of the weighted logistic regression are the expected watch time over "
        "1 - P(click), so about the expected watch time where clicks are rare",
        paper="derived: E[T](1 + P), about E[T] since P is small",
        trial="watch_odds",
        contrasts=(
            Contrast("constant model: relative error of the odds against sum T / (N - k)",
                     lambda t: t[[f"rate {r:g}/constant error" for r in watch_time.RATES]]
                     .max(axis=1), high=1e-4),
            Contrast("1 click in 20: slope of log odds over log E[T], ten groups",
                     _slope("0.01", "odds"), low=0.9, high=1.1),
            Contrast("1 click in 20: slope of log repaired odds over log E[T], ten groups",
                     _slope("0.01", "repaired"), low=0.9, high=1.1),
            Contrast("1 click in 20: odds / E[T], mean of ten groups",
                     _groups("0.01", "odds", "watch"), low=0.85, high=1.15, headline=True),
            Contrast("click rate 0.4: odds / E[T], mean of ten groups",
                     _groups("0.4", "odds", "watch"), low=1.3),
            Contrast("click rate 0.4: odds / (E[T] / (1 - P)), mean of ten groups",
                     _groups("0.4", "odds", "exact"), low=0.9, high=1.1, headline=True),
            Contrast("click rate 0.4: odds x (1 - P by a click ranker) / E[T], mean of ten groups",
                     _groups("0.4", "repaired", "watch"), low=0.9, high=1.1),
            Contrast("1 click in 20: odds x (1 - P by a click ranker) / E[T], mean of ten groups",
                     _groups("0.01", "repaired", "watch"), low=0.9, high=1.1),
            Contrast("click rate 0.4: odds x (1 - P by a click ranker) / E[T], highest group",
                     _top("0.4", "repaired", "watch"), low=0.85, high=1.15),
        ),
        note="The identity is exact and the overshoot follows 1 / (1 - P). What is left, low "
        "groups too low and the highest too high, is overfitting: where 1 card in 20 is clicked, "
        "a ranker of this trial learns from about 10,000 clicks.",
    ),
    Claim(
        id="P1-T1",
        chapter="07",
        title="Wider and deeper ReLU layers lower the weighted per-user loss",
        paper="41.6 % with none; 36.9, 36.7, 35.8 by width; 35.2, 34.7, 34.6 by depth",
        trial="watch_ladder",
        contrasts=(
            Contrast("none minus 128-64-32 (points)", _loss("None", BEST), low=0.0,
                     headline=True),
            Contrast("none minus 32 (points)", _loss("None", "32"), low=0.0),
            Contrast("none to 32, minus 32 to 128-64-32 (points)", _first_step_over_the_others,
                     low=0.0),
            Contrast("width: 32 minus 128 (points)", _loss("32", "128"), low=0.0,
                     headline=True),
            Contrast("depth: 64 minus 64-32 (points)", _loss("64", "64-32"), low=0.0,
                     headline=True),
            Contrast("depth: 128 minus 128-64 (points)", _loss("128", "128-64"), low=0.0,
                     headline=True),
            Contrast("last step: 128-64 minus 128-64-32 (points)", _loss("128-64", BEST),
                     low=0.0, headline=True),
            Contrast("none minus 128-64-32, each account counts alike (points)",
                     _loss("None", BEST, "per user"), low=0.0),
            Contrast("fall of the loss from none to 128-64-32 (percent)",
                     lambda t: 100 * (1 - t[f"{BEST}/loss"] / t["None/loss"])),
            Contrast("core seconds, 128-64-32 over none",
                     ratio(f"{BEST}/seconds", "None/seconds")),
        ),
        note="The first layer and its width help; further layers add nothing that five worlds "
        "could show. Less than a million examples, widths an eighth of the paper's.",
    ),
    Claim(
        id="P1-A1",
        chapter="07",
        title="Without squares and roots of the continuous features the loss rises a little",
        paper="+0.2 % on 1024-512-256",
        trial="watch_ladder",
        contrasts=(
            Contrast("128-64-32: without powers minus with them (points)",
                     _loss("no powers", BEST), low=0.0),
            Contrast("no hidden layer: without powers minus with them (points)",
                     _loss("None, no powers", "None")),
        ),
    ),
    Claim(
        id="P1-A2",
        chapter="07",
        title="With equal weights, a click model, the weighted per-user loss rises clearly",
        paper="+4.1 % on 1024-512-256, about twenty times the effect of the powers",
        trial="watch_ladder",
        contrasts=(
            Contrast("128-64-32: equal weights minus watch time (points)",
                     _loss("equal weights", BEST), low=0.0),
            Contrast("the same, minus the effect of the powers (points)",
                     difference("equal weights/loss", "no powers/loss"), low=0.0),
            Contrast("each account counts alike: equal weights minus watch time (points)",
                     _loss("equal weights", BEST, "per user")),
        ),
    ),
    Claim(
        id="P1-A2b",
        chapter="07",
        title="The more clickbait, the more equal weights cost",
        paper="given as the reason for watch time; not tested apart",
        trial="watch_doses",
        contrasts=(
            Contrast("equal weights minus watch time, clickbait doubled (points)",
                     _equal_weights("2"), low=0.0, headline=True),
            Contrast("that, minus the same without clickbait (points)",
                     difference(_equal_weights("2"), _equal_weights("0")), low=0.0,
                     headline=True),
            Contrast("equal weights minus watch time, without clickbait (points)",
                     _equal_weights("0")),
        ),
    ),
    Claim(
        id="P1-C17",
        chapter="07",
        title="Ranking by click rate promotes clickbait that is not completed; expected watch "
        "time captures engagement better",
        paper="stated, no numbers",
        trial="watch_doses",
        contrasts=(
            Contrast("live minutes per page, watch ranker over click ranker (percent)",
                     lambda t: _gain(t, "1"), low=0.0, headline=True),
            Contrast("live clicks per page, watch ranker over click ranker (percent)",
                     lambda t: _gain(t, "1", metric="clicks"), high=0.0),
            Contrast("clickbait on the page, watch ranker minus click ranker (points)",
                     _live("clickbait", scale=100.0), high=0.0, headline=True),
            Contrast("completed watches per page, watch ranker over click ranker (percent)",
                     lambda t: _gain(t, "1", metric="completions"), low=0.0, headline=True),
            Contrast("satisfied watches per page, watch ranker over click ranker (percent)",
                     lambda t: _gain(t, "1", metric="satisfied"), low=0.0),
        ),
        note="Long videos are completed less often, and a ranker of minutes seeks them out; so "
        "completed and satisfied watches rise in some worlds and fall in others.",
    ),
    Claim(
        id="P1-C17b",
        chapter="07",
        title="The watch ranker's gain comes from avoiding clickbait: without clickbait it goes",
        paper="given as the reason; not tested apart",
        trial="watch_doses",
        contrasts=(
            Contrast("gain in minutes, clickbait doubled minus without clickbait (points)",
                     lambda t: _gain(t, "2") - _gain(t, "0"), low=0.0, headline=True),
            Contrast("gain in minutes without clickbait (percent): within 5 of 0",
                     lambda t: _gain(t, "0"), low=-5.0, high=5.0, headline=True),
            Contrast("clickbait on the page without its effects, watch minus click (points)",
                     _live("clickbait", "0", 100.0), low=-2.0, high=2.0),
            Contrast("as it is: gain in minutes by length alone (percent)",
                     lambda t: _gain(t, "1", "length")),
            Contrast("as it is: gain in minutes by share watched alone (percent)",
                     lambda t: _gain(t, "1", "share")),
        ),
        note="Length alone brings more than half of the minutes again, with clickbait or without. "
        "What clickbait adds comes from the share watched.",
    ),
    Claim(
        id="P1-C18",
        chapter="07",
        title="The deep ranker beats linear and tree-based models for watch time",
        paper="stated, no numbers",
        trial="watch_ladder",
        contrasts=(
            Contrast("linear minus 128-64-32 (points)", _loss("None", BEST), low=0.0,
                     headline=True),
            Contrast("trees minus 128-64-32 (points)", _loss("trees", BEST), low=0.0,
                     headline=True),
            Contrast("trees minus 128-64-32, each account counts alike (points)",
                     _loss("trees", BEST, "per user")),
            Contrast("linear minus trees (points)", _loss("None", "trees")),
            Contrast("trees minus 128-64-32 that sees what trees see (points)",
                     _loss("trees", "no ids")),
            Contrast("live minutes per page, deep over linear (percent)",
                     percent("live/watch/watch_minutes", "live/linear/watch_minutes")),
        ),
        note="Trees win in some worlds and lose in others; averaged over accounts they win.",
    ),
    Claim(
        id="R-7",
        chapter="07",
        title="Comparing watches with those of videos of equal length orders them better within "
        "groups, and shows fewer long videos",
        paper="D2Q (KDD 2022): XAUC up; +0.746 % watch time live",
        trial="watch_ladder",
        contrasts=(
            Contrast("XAUC within groups of equal length, D2Q minus minutes by least squares",
                     difference("xauc/share, mapped back/within", "xauc/minutes/within"),
                     low=0.0, headline=True),
            Contrast("XAUC of all pairs, D2Q minus minutes by least squares",
                     difference("xauc/share, mapped back/overall", "xauc/minutes/overall"),
                     low=0.0),
            Contrast("long videos on the page, ranked by share minus by minutes (points)",
                     difference("length/share/long", "length/minutes/long", 100),
                     high=0.0, headline=True),
            Contrast("live minutes per page, D2Q mapped back over minutes (percent)",
                     percent("length/share, mapped back/watch_minutes",
                             "length/minutes/watch_minutes"), low=0.0),
            Contrast("live minutes per page, ranked by share over minutes (percent)",
                     percent("length/share/watch_minutes", "length/minutes/watch_minutes")),
        ),
    ),
)  # fmt: skip
