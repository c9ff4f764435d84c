"""Claims of chapter 09, mixtures of experts; their trials are those of the first edition."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.claims import Claim, Contrast, Trial, column, difference, percent
from course.experiments import multitask, multitask_passes, two_tasks
from course.plots import paper_multitask as paper

TRIALS = (
    Trial("two_tasks", two_tasks.trial, minutes=0.66),
    Trial("two_tasks_needs", two_tasks.needs_trial, minutes=0.4, further=True),
    Trial("multitask", multitask.trial, minutes=2.9),
    Trial("multitask_context", multitask.context_trial, minutes=2.0, further=True),
    Trial("multitask_passes", multitask_passes.trial, minutes=1.6, further=True),
    Trial("polarisation", multitask.polarisation_trial, minutes=1.8),
)


def _loss(name: str, p: str):
    return column(f"{name}/{p}/loss")


def _gap(one: str, other: str, p: str):
    return difference(_loss(one, p), _loss(other, p))


def _growth(one: str, other: str):
    return difference(_gap(one, other, "0.5"), _gap(one, other, "1"))


def _furthest_from_the_paper(t: pd.DataFrame) -> pd.Series:
    ours = np.stack([t[f"label correlation/{p:g}"] for p in two_tasks.PAPERS_P], axis=1)
    return pd.Series(np.abs(ours - paper.MMOE_FIG2).max(axis=1), t.index)


HAND = f"{multitask.HAND_WEIGHT:g}"


def live_change(one: str, other: str, metric: str, weight: str = HAND):
    """Per cent by which a live metric differs at one weight of the rating."""
    return percent(f"{one}/live/{metric}/{weight}", f"{other}/live/{metric}/{weight}")


def captured(one: str, other: str, group: str, corner: str = ""):
    """Difference of the captured share of a group of tasks, in a corner ("" = the main one)."""
    return difference(f"{corner}{one}/{group}/captured", f"{corner}{other}/{group}/captured")


def _both(one: str, other: str, corner: str = ""):
    return lambda t: 0.5 * (captured(one, other, "engagement", corner)(t)
                            + captured(one, other, "satisfaction", corner)(t))  # fmt: skip


def _twice(one, other):
    """Mean of two trainings in the same worlds."""
    return lambda t: 0.5 * (one(t) + other(t))


def _gate(key: str, name: str = "eight experts", state: str = "trained", corner: str = ""):
    return column(f"{corner}{name}/{state}/{key}")


def _apart(name: str, state: str = "trained", corner: str = ""):
    """By how much tasks of one group overlap more than tasks of different groups."""

    def value(t: pd.DataFrame) -> pd.Series:
        own = 0.5 * (_gate("overlap/engagement", name, state, corner)(t)
                     + _gate("overlap/satisfaction", name, state, corner)(t))  # fmt: skip
        return own - _gate("overlap/between", name, state, corner)(t)

    return value


def _harm(setting: str):
    """Mean loss of polarised runs minus that of the others; NaN where there is no such run."""

    def value(t: pd.DataFrame) -> pd.Series:
        sick, runs = t[f"{setting}/polarised runs"], t[f"{setting}/runs"]
        ill, total = t[f"{setting}/loss of polarised"], t[f"{setting}/loss"] * runs
        return ill / sick - (total - ill) / (runs - sick)

    return value


BOTTOM, SMALL = "shared bottom", "shared bottom, small"
M4, M8, MIXTURE = "four experts", "eight experts", multitask.MIXTURE
LONGER = "/one more pass"
COUNTED = "shared bottom, gates counted"

CLAIMS = (
    Claim(
        id="R-1",
        chapter="09",
        title="Directions with cosine p give labels whose correlation is far below p (Ma et al. "
        "2018)",
        paper="Figure 2: .075 at p = .5, .31 at .9, .66 at .98 (digitised)",
        trial="two_tasks",
        built="our constants were chosen so that the data follow the paper's curve",
        contrasts=(
            Contrast("label correlation at p = .9", column("label correlation/0.9"),
                     low=0.25, high=0.37, headline=True),
            Contrast("label correlation at p = .5", column("label correlation/0.5"), high=0.15,
                     headline=True),
            Contrast("largest distance from the paper's curve", _furthest_from_the_paper,
                     high=0.05, headline=True),
        ),
        note="The paper leaves the constants of its data open. Ours were chosen so that this curve "
        "fits; the row says that such constants exist and that the rest of the chapter uses them.",
    ),
    Claim(
        id="P2-C5",
        chapter="09",
        title="Low correlation of the tasks hurts a shared bottom; gates for each task help (Ma et "
        "al. 2018)",
        paper="loss, shared bottom minus MMoE: .13 at p = 1, .17 at p = .5; one gate minus MMoE: "
        ".008 and .064 (digitised)",
        trial="two_tasks",
        contrasts=(
            Contrast("loss after 2,000 steps, shared bottom minus MMoE at p = .5",
                     _gap("shared bottom", "multitask", "0.5"), low=0.0),
            Contrast("loss, shared bottom minus MMoE at p = 1",
                     _gap("shared bottom", "multitask", "1"), low=0.0),
            Contrast("growth of that gap from p = 1 to p = .5",
                     _growth("shared bottom", "multitask"), low=0.0),
            Contrast("loss, shared bottom with gates counted minus MMoE at p = .5",
                     _gap(COUNTED, "multitask", "0.5"), low=0.0),
            Contrast("loss, one gate minus MMoE at p = .5",
                     _gap("one gate", "multitask", "0.5"), low=0.0),
            Contrast("growth of that gap from p = 1 to p = .5",
                     _growth("one gate", "multitask"), low=0.0),
            Contrast("overlap of the two gates, p = 1 minus p = .5",
                     difference("multitask/1/overlap", "multitask/0.5/overlap")),
        ),
        note="Not trained to the end: 2,000 steps at a rate of .03, the largest of those that were "
        "tried, leave losses of .4 to .9; the paper's are .07 to .25. The lines compare how fast "
        "the layouts learn. The paper does not count the gates' multiplications; our second shared "
        "bottom has them in its width.",
    ),
    Claim(
        id="P2-C5b",
        chapter="09",
        title="Gates pay where tasks need different things of the input, not where their labels "
        "disagree",
        paper="speaks of task correlation; does not separate the two",
        trial="two_tasks_needs",
        contrasts=(
            Contrast("loss after 600 steps, shared bottom minus MMoE at p = 0 (different needs)",
                     difference("0/shared bottom/loss", "0/multitask/loss"), low=0.0,
                     headline=True),
            Contrast("that gap minus the gap at p = -1 (same needs, unrelated labels)",
                     lambda t: t["0/shared bottom/loss"] - t["0/multitask/loss"]
                     - t["-1/shared bottom/loss"] + t["-1/multitask/loss"], low=0.0,
                     headline=True),
            Contrast("loss of the shared bottom, p = 0 minus p = -1",
                     difference("0/shared bottom/loss", "-1/shared bottom/loss"), low=0.0),
            Contrast("label correlation at p = 0: within .2 of 0",
                     column("0/label correlation"), low=-0.2, high=0.2),
            Contrast("label correlation at p = -1: within .2 of 0",
                     column("-1/label correlation"), low=-0.2, high=0.2),
            Contrast("loss, shared bottom minus MMoE at p = -1",
                     difference("-1/shared bottom/loss", "-1/multitask/loss")),
            Contrast("loss, a shared bottom four times as wide minus MMoE at p = 0",
                     difference("0/shared bottom, four times/loss", "0/multitask/loss")),
        ),
        note="600 steps at a rate of .03, none of it tuned for this problem: it compares how fast "
        "the layouts learn.",
    ),
    Claim(
        id="P2-T1",
        chapter="09",
        title="At equal multiplications MMoE beats the shared bottom, more in satisfaction; more "
        "experts are better",
        paper="live, against the small shared bottom: large shared bottom +0.1 / +1.89 %, four "
        "experts +0.20 / +1.22 %, eight experts +0.45 / +3.07 % (engagement / satisfaction)",
        trial="multitask",
        contrasts=(
            Contrast("live minutes, eight experts over the large shared bottom (%)",
                     live_change(M8, BOTTOM, "watch_minutes"), low=0.0, headline=True,
                     paper="0.35"),
            Contrast("live stars, eight experts over the large shared bottom (%)",
                     live_change(M8, BOTTOM, "stars"), low=0.0, headline=True, paper="1.18"),
            Contrast("live minutes, four experts over the small shared bottom (%)",
                     live_change(M4, SMALL, "watch_minutes"), low=0.0, headline=True,
                     paper="0.20"),
            Contrast("live stars, four experts over the small shared bottom (%)",
                     live_change(M4, SMALL, "stars"), low=0.0, headline=True, paper="1.22"),
            Contrast("live stars, eight experts over four (%)", live_change(M8, M4, "stars"),
                     low=0.0),
            Contrast("live stars, large over small shared bottom (%)",
                     live_change(BOTTOM, SMALL, "stars"), low=0.0),
            Contrast("captured engagement, eight experts minus large shared bottom",
                     captured(M8, BOTTOM, "engagement"), low=0.0),
            Contrast("captured satisfaction, eight experts minus large shared bottom",
                     captured(M8, BOTTOM, "satisfaction"), low=0.0),
            Contrast("live minutes at the shared bottom's stars, eight experts (%)",
                     percent(f"{M8}/minutes at equal stars", f"{BOTTOM}/minutes at equal stars")),
            Contrast("captured engagement, experts on the input and gates on the context minus "
                     "large shared bottom", captured(MIXTURE, BOTTOM, "engagement")),
            Contrast("captured satisfaction, the same", captured(MIXTURE, BOTTOM, "satisfaction")),
            Contrast("live minutes at the shared bottom's stars, the same (%)",
                     percent(f"{MIXTURE}/minutes at equal stars",
                             f"{BOTTOM}/minutes at equal stars")),
        ),
        note="Four and eight experts are P2's layout: experts on a shared layer, gates that read "
        "it. Shape, rate and passes of each were tuned on worlds 7, 11 and 13.",
    ),
    Claim(
        id="P2-T1b",
        chapter="09",
        title="A gate for each task pays where tasks conflict and their rules depend on what the "
        "gate can see",
        paper="given as the reason for MMoE (section 4.2); not tested apart",
        trial="multitask_context",
        beside="multitask",
        contrasts=(
            Contrast("captured (all tasks), experts on the input with gates on the context minus "
                     "shared bottom", _both(MIXTURE, BOTTOM), low=0.0, headline=True),
            Contrast("in satisfaction", captured(MIXTURE, BOTTOM, "satisfaction"), low=0.0),
            Contrast("in engagement", captured(MIXTURE, BOTTOM, "engagement"), low=0.0),
            Contrast("that gain (all tasks) minus the gain where tasks agree and context does not "
                     "matter", difference(_both(MIXTURE, BOTTOM),
                                          _both(MIXTURE, BOTTOM, "neither/")), low=0.0,
                     headline=True),
            Contrast("that gain minus the gain where context does not matter",
                     difference(_both(MIXTURE, BOTTOM),
                                _both(MIXTURE, BOTTOM, "conflict only/")), low=0.0),
            Contrast("that gain minus the gain where tasks agree",
                     difference(_both(MIXTURE, BOTTOM),
                                _both(MIXTURE, BOTTOM, "context only/")), low=0.0),
            Contrast("captured, the mixture minus one gate for all", _both(MIXTURE, "one gate"),
                     low=0.0),
            Contrast("captured, the mixture minus a shared bottom with FiLM",
                     _both(MIXTURE, "film"), low=0.0),
            Contrast("the first line, both with one more pass",
                     _both(MIXTURE + LONGER, BOTTOM + LONGER)),
            Contrast("captured, experts on a shared layer with gates on the context minus shared "
                     "bottom", _both("gates on the context", BOTTOM)),
            Contrast("captured, a shared bottom with FiLM minus the plain one",
                     _both("film", BOTTOM)),
            Contrast("the same where context does not matter",
                     _both("film", BOTTOM, "conflict only/")),
            Contrast("captured, a shared bottom with crosses minus the plain one",
                     _both("crosses", BOTTOM)),
            Contrast("captured, P2's layout (eight experts) minus the plain shared bottom",
                     _both(M8, BOTTOM)),
        ),
        note="All at equal multiplications, within one per cent; shape, rate and passes of each "
        "were tuned on worlds 7, 11 and 13. The other corners are learned by the same recipes.",
    ),
    Claim(
        id="P2-T1c",
        chapter="09",
        title="The gain of that mixture does not hang on the pass at which training stops",
        paper="not in the paper; a control for the row above",
        trial="multitask_passes",
        beside="multitask",
        contrasts=(
            *(Contrast(f"captured (all tasks), mixture minus shared bottom, {n} passes",
                       _both(MIXTURE, BOTTOM, f"{n}/"), low=0.0, headline=True)
              for n in multitask_passes.PASSES),
            Contrast("captured (all tasks), mixture minus shared bottom, mean of this training and "
                     "the contest's, 3 passes", _twice(_both(MIXTURE, BOTTOM),
                                                       _both(MIXTURE, BOTTOM, "3/"))),
            Contrast("the same in satisfaction",
                     _twice(captured(MIXTURE, BOTTOM, "satisfaction"),
                            captured(MIXTURE, BOTTOM, "satisfaction", "3/"))),
            Contrast("captured by the shared bottom, 4 passes minus 3",
                     lambda t: 0.5 * sum(t[f"4/{BOTTOM}/{g}/captured"]
                                         - t[f"3/{BOTTOM}/{g}/captured"]
                                         for g in multitask.GROUPS)),
            Contrast("captured by the mixture, 4 passes minus 3",
                     lambda t: 0.5 * sum(t[f"4/{MIXTURE}/{g}/captured"]
                                         - t[f"3/{MIXTURE}/{g}/captured"]
                                         for g in multitask.GROUPS)),
            Contrast("captured, mixture minus a shared bottom with FiLM, 3 passes",
                     _both(MIXTURE, "film", "3/")),
        ),
    ),
    Claim(
        id="P2-C6",
        chapter="09",
        title="Gates that read the input are no better than gates on the shared layer, and cost "
        "more",
        paper="no substantial difference live",
        trial="multitask",
        contrasts=(
            Contrast("live minutes, gates on the input over gates on the shared layer (%): within "
                     "1 of 0", live_change("gates on the input", M8, "watch_minutes"),
                     low=-1.0, high=1.0),
            Contrast("live stars, the same (%): within 1 of 0",
                     live_change("gates on the input", M8, "stars"), low=-1.0, high=1.0),
            Contrast("captured (all tasks), the same", _both("gates on the input", M8)),
        ),
        note="Compared at equal multiplications, so with smaller experts where gates read the "
        "input; at the same widths they would cost 39 % more.",
    ),
    Claim(
        id="P2-F5",
        chapter="09",
        title="Engagement tasks spread over many experts and share them; satisfaction tasks "
        "concentrate on few",
        paper="effective experts about 5.3 against 3.4; overlap .67 within engagement, .41 within "
        "satisfaction, .38 between (digitised)",
        trial="multitask",
        contrasts=(
            Contrast("effective experts, engagement minus satisfaction",
                     difference(_gate("effective experts/engagement"),
                                _gate("effective experts/satisfaction")), low=0.0),
            Contrast("overlap within engagement minus between the groups",
                     difference(_gate("overlap/engagement"), _gate("overlap/between")),
                     low=0.0),
            Contrast("overlap within satisfaction minus between the groups",
                     difference(_gate("overlap/satisfaction"), _gate("overlap/between"))),
            Contrast("within minus between, trained minus untrained",
                     difference(_apart(M8), _apart(M8, "untrained")), low=0.0),
        ),
    ),
    Claim(
        id="P2-F5b",
        chapter="09",
        title="What is common to the gates of one group comes from the conflict of the groups",
        paper="not in the paper; a control for Figure 5",
        trial="multitask_context",
        beside="multitask",
        contrasts=(
            Contrast("within minus between, conflict minus no conflict",
                     difference(_apart(M8), _apart(M8, corner="context only/")), low=0.0),
            Contrast("experts on the input, gates on the context: within minus between, conflict "
                     "minus no conflict",
                     difference(_apart(MIXTURE), _apart(MIXTURE, corner="context only/"))),
        ),
    ),
    Claim(
        id="P2-C7",
        chapter="09",
        title="Gates polarise in a part of the runs; 10 % drop-out of experts cures it",
        paper="20 % of the runs on many machines; none with drop-out; polarised gates harm",
        trial="polarisation",
        contrasts=(
            Contrast("share of polarised runs, sane", column("sane/polarised below 1.5"),
                     low=0.02),
            Contrast("share of polarised runs, stressed", column("stressed/polarised below 1.5"),
                     low=0.02),
            Contrast("share of polarised runs, sane, with drop-out minus without",
                     difference("sane, drop-out/polarised below 1.5",
                                 "sane/polarised below 1.5"), high=0.0),
            Contrast("share of polarised runs, stressed, with drop-out minus without",
                     difference("stressed, drop-out/polarised below 1.5",
                                 "stressed/polarised below 1.5"), high=0.0),
            Contrast("share of polarised runs, sane, with drop-out: at most one in fifty",
                     column("sane, drop-out/polarised below 1.5"), high=0.02),
            Contrast("share of polarised runs, stressed, with drop-out: at most one in fifty",
                     column("stressed, drop-out/polarised below 1.5"), high=0.02),
            Contrast("held-out loss, stressed, polarised minus other runs", _harm("stressed"),
                     low=0.0),
            Contrast("held-out loss, stressed, with drop-out minus without",
                     difference("stressed, drop-out/loss", "stressed/loss")),
            Contrast("held-out loss, sane, with drop-out minus without",
                     difference("sane, drop-out/loss", "sane/loss")),
        ),
        note="Polarised: a gate uses fewer than 1.5 effective experts of 8. The threshold is ours "
        "and moves the share.",
    ),
)  # fmt: skip
