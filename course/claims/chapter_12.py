"""Claims of chapter 12: the whole system in front of users."""

from __future__ import annotations

import pandas as pd

from course.claims import Claim, Contrast, Trial, Values, column, difference, percent, ratio
from course.experiments import drift, funnel_width, off_policy_bench, request_speed, system_trial
from course.experiments.offline_live import agreement
from course.experiments.whole_system import STEPS

TRIALS = (
    Trial("whole_system", system_trial.trial, minutes=2.1),
    Trial("drift", drift.trial, minutes=0.37),
    Trial("off_policy", off_policy_bench.trial, minutes=0.25),
    Trial("request_speed", request_speed.trial, minutes=0.09),
)

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


def _turned(offline: str, live: str, what: str = "turned") -> Values:
    def value(t: pd.DataFrame) -> pd.Series:
        found = [agreement(system_trial.dozen_table(row), offline, live)[what]
                 for _, row in t.iterrows()]  # fmt: skip
        return pd.Series(found, t.index) * (100 if what == "turned" else 1)

    return value


def _waiting(name: str, t: pd.DataFrame) -> pd.Series:
    """Assumed milliseconds of the usual ranker, and of the one that is too large."""
    times = t[f"slow/{name}/multiplications"] / t["slow/usual/multiplications"]
    return funnel_width.FIXED_MS + funnel_width.MS_PER_CARD * times * t["funnel/pool/cards"]


def _patient(value: pd.Series, ms: pd.Series, leave: float = system_trial.SLOW) -> pd.Series:
    return value * (1 - leave) ** (ms / 100)


def _wide_after_waiting(t: pd.DataFrame) -> pd.Series:
    wide, usual = (_patient(t[f"slow/{n}/watch_minutes"], _waiting(n, t))
                   for n in ("wide", "usual"))  # fmt: skip
    return 100 * (wide / usual - 1)


def _corpus_after_waiting(t: pd.DataFrame) -> pd.Series:
    corpus, pool = (
        _patient(t[f"funnel/{n}/watch_minutes"],
                 funnel_width.FIXED_MS + funnel_width.MS_PER_CARD * t[f"funnel/{n}/cards"])
        for n in ("corpus", "pool")
    )  # fmt: skip
    return 100 * (corpus / pool - 1)


def _break_even(t: pd.DataFrame) -> pd.Series:
    more = _waiting("wide", t) - _waiting("usual", t)
    minutes = (t[f"slow/{name}/watch_minutes"] for name in ("usual", "wide"))
    found = [funnel_width.break_even(*row) for row in zip(*minutes, more, strict=True)]
    return 100 * pd.Series(found, t.index)


def _sequential(dial: str, key: str = "ranker", metric: str = "minutes") -> Values:
    return percent(f"drift {dial}/{key}/on/{metric}", f"drift {dial}/{key}/once/{metric}")


def _stale(t: pd.DataFrame, dial: str) -> pd.Series:
    """Taste that vectors of the last days know more of than vectors of the first days."""
    return t[f"drift {dial}/factors/late/taste"] - t[f"drift {dial}/factors/once/taste"]


def _estimate(key: str, other: str | None = None) -> Values:
    if other is None:
        return column(key)
    return difference(key, other)


def _straight(t: pd.DataFrame) -> pd.Series:
    sizes = funnel_width.COST_SIZES
    found = [funnel_width.straightness(sizes, [row[f"cost/{c}/score"] for c in sizes])
             for _, row in t.iterrows()]  # fmt: skip
    return pd.Series(found, t.index)


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
        id="S-2",
        chapter="12",
        title="The course's system answers one request in tens of milliseconds with 100,000 videos",
        paper="ours; P1 and P2 only say that serving must be quick",
        trial="request_speed",
        contrasts=(
            Contrast("one request, core milliseconds (median)", _estimate("request"), high=100.0),
            Contrast("the slowest tenth of the requests take more than (core milliseconds)",
                     _estimate("slowest"), high=100.0),
            Contrast("share of the sources", ratio("sources", "request")),
        ),
        note="100,000 vectors, most of them random; the candidates behind the search are real.",
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
    Claim(
        id="P2-C4",
        chapter="12",
        title="Point-wise ranking costs in proportion to the candidates; choosing the page as a "
        "whole costs more and makes it more diverse",
        paper="stated as the reason for point-wise ranking",
        trial="whole_system",
        contrasts=(
            Contrast("share of the cost that a straight line in the candidates explains",
                     _straight, low=0.95, headline=True),
            Contrast("cost of scoring 800 candidates over that of 400 (times)",
                     ratio("cost/800/score", "cost/400/score"), low=1.6, high=2.4,
                     headline=True),
            Contrast("choosing 10 of 400: list-wise over point-wise (times)",
                     ratio("cost/400/list", "cost/400/point"), low=1.0, headline=True),
            Contrast("topics on the page, list-wise minus point-wise",
                     difference("list/1/topics", "list/0/topics"), low=0.0, headline=True),
            Contrast("minutes, list-wise over point-wise (percent)",
                     percent("list/1/watch_minutes", "list/0/watch_minutes")),
            Contrast("list-wise choosing as a share of scoring, 400 candidates",
                     ratio("cost/400/list", "cost/400/score")),
        ),
        note="Seconds depend on what else the machine does: an earlier run of the same worlds gave "
        "2.2 ± 0.6 times, undecided.",
    ),
    Claim(
        id="P2-C12",
        chapter="12",
        title="Where people change, sequential training beats training once, the more the more "
        "they change",
        paper="stated as the reason for sequential training",
        trial="drift",
        contrasts=(
            Contrast("ranker, world as it is: live minutes, sequential over once (percent)",
                     _sequential("0.05"), low=0.0, headline=True),
            Contrast("ranker: the same with much drift minus without drift (points)",
                     difference(_sequential("0.2"), _sequential("0")), low=0.0,
                     headline=True),
            Contrast("vectors, world as it is: reciprocal rank, sequential over once (percent)",
                     _sequential("0.05", "factors", "mrr"), low=0.0),
            Contrast("vectors of the last days know more taste than of as many first days: with "
                     "much drift minus without drift (correlation)",
                     lambda t: _stale(t, "0.2") - _stale(t, "0"), low=0.0),
            Contrast("ranker without drift: live minutes, sequential over once (percent)",
                     _sequential("0")),
            Contrast("vectors: reciprocal rank, sequential over once, much drift minus none "
                     "(points)",
                     difference(_sequential("0.2", "factors", "mrr"),
                                _sequential("0", "factors", "mrr"))),
        ),
        note="The ranker reads taste from histories, which are up to date either way; vectors keep "
        "it in the weights.",
    ),
    Claim(
        id="P2-C13",
        chapter="12",
        title="Offline measures do not put policies into the order in which people put them",
        paper="stated: offline AUC and squared error are tracked, live experiments decide",
        trial="whole_system",
        contrasts=(
            Contrast("pairs of policies turned round, AUC against live clicks (percent)",
                     _turned("auc", "clicks"), low=1.0, headline=True),
            Contrast("pairs turned round, squared error against live minutes (percent)",
                     _turned("error", "watch_minutes"), low=1.0, headline=True),
            Contrast("AUC, no position bias treated minus shallow tower",
                     difference("dozen/many objectives, clicks/auc",
                                 "dozen/shallow tower, clicks/auc"), low=0.0),
            Contrast("live clicks, no position bias treated over shallow tower (percent)",
                     percent("dozen/many objectives, clicks/clicks",
                              "dozen/shallow tower, clicks/clicks"), high=0.0),
            Contrast("rank correlation of AUC and live clicks", _turned("auc", "clicks", "rho")),
            Contrast("rank correlation of AUC and live minutes",
                     _turned("auc", "watch_minutes", "rho")),
            Contrast("rank correlation of squared error and live minutes",
                     _turned("error", "watch_minutes", "rho")),
        ),
    ),
    Claim(
        id="P2-C13b",
        chapter="12",
        title="Position as a feature wins offline on a biased log, and not live",
        paper="stated for the log's own metrics; Table 2: live it brings nothing",
        trial="position_bias",
        contrasts=(
            Contrast("AUC where the cards stood, position as input minus no treatment",
                     difference("input, missing/auc at its place", "none/auc at its place"),
                     low=0.0, headline=True),
            Contrast("AUC where the cards stood, position as input minus shallow tower",
                     difference("input, missing/auc at its place",
                                 "shallow tower/auc at its place"), low=0.0),
            Contrast("live clicks, position as input over shallow tower (percent)",
                     percent("live/input, missing/clicks", "live/shallow tower/clicks"),
                     high=0.0, headline=True),
        ),
        note="Offline, with the positions given, the two are level.",
    ),
    Claim(
        id="P2-C14",
        chapter="12",
        title="A ranker that is too large loses live although it is better offline, once waiting "
        "counts",
        paper="stated: serving cost limits the model; no numbers",
        trial="whole_system",
        contrasts=(
            Contrast("weighted per-user loss, large minus usual (points)",
                     difference("slow/wide/loss", "slow/usual/loss"), high=0.0,
                     headline=True),
            Contrast("AUC, large minus usual", difference("slow/wide/auc", "slow/usual/auc"),
                     low=0.0, headline=True),
            Contrast("live minutes without waiting, large over usual (percent)",
                     percent("slow/wide/watch_minutes", "slow/usual/watch_minutes")),
            Contrast("5 % leave per 100 ms: live minutes, large over usual (percent)",
                     _wide_after_waiting, high=0.0, headline=True),
            Contrast("5 % leave per 100 ms: live minutes, whole corpus over pool (percent)",
                     _corpus_after_waiting, high=0.0),
            Contrast("drop-off per 100 ms at which large and usual are level (percent)",
                     _break_even),
        ),
        note="By assumption 20 ms for a page, and 0.2 ms for each card and usual ranker.",
    ),
    Claim(
        id="R-8",
        chapter="12",
        title="Inverse propensities are unbiased and noisy, self-normalised ones less noisy, "
        "doubly robust ones best; all fail where the log lacks what the new policy does",
        paper="Dudik et al. 2011; Swaminathan and Joachims 2015",
        trial="off_policy",
        contrasts=(
            Contrast("IPS, 30,000 pages: bias (percent of the value)",
                     _estimate("full/30000/IPS/bias"), low=-2.0, high=2.0, headline=True),
            Contrast("spread at 3,000 pages, SNIPS minus IPS (percent of the value)",
                     _estimate("full/3000/SNIPS/sd", "full/3000/IPS/sd"), high=0.0,
                     headline=True),
            Contrast("error at 3,000 pages, doubly robust minus IPS (percent of the value)",
                     _estimate("full/3000/doubly robust/rmse", "full/3000/IPS/rmse"), high=0.0,
                     headline=True),
            Contrast("error at 3,000 pages, doubly robust minus SNIPS (percent of the value)",
                     _estimate("full/3000/doubly robust/rmse", "full/3000/SNIPS/rmse"), high=0.0,
                     headline=True),
            Contrast("error at 30,000 pages, direct minus doubly robust (percent of the value)",
                     _estimate("full/30000/direct/rmse", "full/30000/doubly robust/rmse"),
                     low=0.0),
            Contrast("error at 300 pages, direct minus IPS (percent of the value)",
                     _estimate("full/300/direct/rmse", "full/300/IPS/rmse"), high=0.0),
            Contrast("without support, 30,000 pages: IPS's bias (percent of the value)",
                     _estimate("no support/30000/IPS/bias"), high=-5.0, headline=True),
            Contrast("without support, 30,000 pages: doubly robust intervals that hold the truth",
                     _estimate("no support/30000/doubly robust/covered"), high=0.85),
            Contrast("without support, 30,000 pages: SNIPS intervals that hold the truth",
                     _estimate("no support/30000/SNIPS/covered"), high=0.85),
            Contrast("with support, 30,000 pages: doubly robust intervals that hold the truth",
                     _estimate("full/30000/doubly robust/covered"), low=0.9, high=1.0),
        ),
        note="The model behind the doubly robust estimate comes from pages of ten cards and "
        "corrects little, so it is about as good as the self-normalised one.",
    ),
)  # fmt: skip
