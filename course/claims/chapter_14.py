"""Claims of chapter 14: feedback loops and open problems."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.claims import Claim, Contrast, Trial, column, difference, percent, ratio
from course.experiments import compression, feedback, first_stage, second_bias, seesaw

TRIALS = (
    Trial("feedback", feedback.trial, minutes=1.2),
    Trial("first_stage", first_stage.trial, minutes=0.55, further=True),
    Trial("second_bias", second_bias.trial, minutes=0.21),
    Trial("seesaw", seesaw.trial, minutes=0.36),
    Trial("compression", compression.trial, minutes=0.3),
)

ALL = tuple(range(1, feedback.ROUNDS + 1))
EARLY, LATE = ALL[:2], ALL[-2:]
KEPT = 95.0
"""Per cent of the gain: what compression has to keep to be called nearly free."""
POINT = 1.0
"""Points of the gain by which rounding may change it and still be called harmless."""
GUILTY = "large thumbnail"


def _mean(arm: str, measure: str, rounds=ALL, stage: str = "open"):
    """Mean of a measure over some rounds, for each seed."""
    return lambda t: t[[f"{stage}/{arm}/{n}/{measure}" for n in rounds]].mean(axis=1)


def _growth(arm: str, measure: str):
    return difference(_mean(arm, measure, LATE), _mean(arm, measure, EARLY))


def _share_of_oracle(arm: str, rounds):
    return lambda t: 100 * _mean(arm, "clicks", rounds)(t) / _mean("oracle", "clicks", rounds)(t)


def _arms(one: str, other: str, measure: str):
    return difference(_mean(one, measure), _mean(other, measure))


def _stages(arm: str, measure: str):
    """Closed minus open, in the last rounds."""
    return difference(_mean(arm, measure, LATE, "closed"), _mean(arm, measure, LATE))


def _stage(name: str, measure: str):
    """Mean over the last rounds behind a first stage."""
    return lambda t: t[[f"{name}/{n}/{measure}" for n in LATE]].mean(axis=1)


def _between(one: str, other: str, measure: str):
    return difference(_stage(one, measure), _stage(other, measure))


def _gap(model: str, of: str = GUILTY):
    return column(f"{model}/gap/{of}")


def _innocent(model: str, t: pd.DataFrame) -> pd.Series:
    """Largest |z| among the columns that have no bias of their own."""
    prefix = f"{model}/z/"
    names = [c for c in t if c.startswith(prefix) and not c.endswith(GUILTY)]
    return t[names].abs().max(axis=1)


def _lead(model: str):
    """|z| of the guilty column minus the largest of the innocent ones."""
    return lambda t: t[f"{model}/z/{GUILTY}"].abs() - _innocent(model, t)


def _live(sizes: str):
    return percent(f"live/{sizes}/position and size/clicks", f"live/{sizes}/position/clicks")


def _gain(name: str):
    return lambda t: pd.Series(
        np.asarray([compression.kept({key: row[f"{key}/minutes"]
                                      for key in ("past ranking", "teachers", name)}, name)
                    for _, row in t.iterrows()]),
        t.index,
    )  # fmt: skip


def _cost(name: str, cost: str):
    return lambda t: 100 * t[f"{name}/{cost}"] / t[f"teachers/{cost}"]


def _counted(key: str):
    return difference(f"MMoE/{key}", f"PLE/{key}")


EXPLORING = "shallow + exploration"

CLAIMS = (
    Claim(
        id="P2-C11",
        chapter="14",
        title="A ranker that learns from its own pages concentrates more and more and serves "
        "people worse; the shallow tower and exploration slow it down",
        paper="selection bias in the logs makes a feedback loop (no number); Chaney et al. 2018: "
        "retraining makes behaviour more alike without being more useful",
        trial="feedback",
        contrasts=(
            Contrast(
                "naive: Gini of what is shown, rounds 5-6 minus 1-2, minus the oracle's",
                difference(_growth("naive", "gini"), _growth("oracle", "gini")),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "naive: clicks in per cent of the oracle's, rounds 5-6 minus 1-2",
                difference(_share_of_oracle("naive", LATE), _share_of_oracle("naive", EARLY)),
                high=0.0,
                headline=True,
            ),
            Contrast("naive minus oracle: Gini", _arms("naive", "oracle", "gini"), low=0.0),
            Contrast(
                "shallow tower minus naive: Gini", _arms("shallow tower", "naive", "gini"), high=0.0
            , headline=True),
            Contrast(
                "shallow tower against naive: clicks (%)",
                percent(_mean("shallow tower", "clicks"), _mean("naive", "clicks")),
                low=0.0,
            ),
            Contrast(
                "shallow + exploration minus naive: Gini",
                _arms(EXPLORING, "naive", "gini"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "shallow + exploration minus naive: coverage",
                _arms(EXPLORING, "naive", "coverage"),
                low=0.0,
            ),
            Contrast(
                "closed first stage against open, naive, rounds 5-6: clicks (%)",
                percent(_mean("naive", "clicks", LATE, "closed"), _mean("naive", "clicks", LATE)),
            ),
            Contrast("closed minus open, naive, rounds 5-6: Gini", _stages("naive", "gini")),
            Contrast(
                "closed minus open, naive, rounds 5-6: share of new uploads",
                _stages("naive", "new"),
            ),
            Contrast(
                "closed, exploration against none (shallow), rounds 5-6: clicks (%)",
                percent(_mean(EXPLORING, "clicks", LATE, "closed"),
                         _mean("shallow tower", "clicks", LATE, "closed")),
            ),
            Contrast(
                "exploration against none (shallow), rounds 5-6: clicks (%)",
                percent(_mean(EXPLORING, "clicks", LATE), _mean("shallow tower", "clicks", LATE)),
            ),
            Contrast(
                "naive minus nothing recommended: topics watched per account",
                _arms("naive", "nothing recommended", "topics"),
            ),
        ),
        note="In this world the loop is open: most watches happen outside the pages, and the "
        "nominators draw from what is popular there. The naive ranker starts worst, on the pages "
        "of the past ranking, and gets better on its own. A closed first stage is compared with an "
        "open one for the record only: it also leaves a smaller choice (see P2-C11b).",
    ),
    Claim(
        id="P2-C11b",
        chapter="14",
        title="A first stage that learns from nothing but its own pages takes cards from new "
        "uploads; one that sees what is watched elsewhere does so less, and serves people better",
        paper="P1, section 3.4: trained on all watches, not only those of its own pages, or new "
        "content hardly surfaces and the system exploits too much (no number)",
        trial="first_stage",
        contrasts=(
            Contrast(
                "12 of 30 by own clicks minus by chance, rounds 5-6: share of new uploads",
                _between("own clicks", "chance", "new"),
                high=0.0,
                headline=True,
            ),
            Contrast("the same: Gini", _between("own clicks", "chance", "gini"), low=0.0),
            Contrast(
                "the same: clicks (%)",
                percent(_stage("own clicks", "clicks"), _stage("chance", "clicks")),
                high=0.0,
            ),
            Contrast(
                "by all watches minus by own clicks: share of new uploads",
                _between("all watches", "own clicks", "new"),
                low=0.0,
                headline=True,
            ),
            Contrast("the same: Gini", _between("all watches", "own clicks", "gini"), high=0.0),
            Contrast(
                "the same: clicks (%)",
                percent(_stage("all watches", "clicks"), _stage("own clicks", "clicks")),
                low=0.0,
                headline=True,
            ),
        ),
        note="By own clicks the showings concentrate and new uploads lose a third of what chance "
        "gives them; counting all watches brings most of it back, but concentrates even more, "
        "since watches elsewhere are uneven, too. Clicks hardly differ: a popular dozen is worth "
        "no more than any dozen, when the ranker behind is personal.",
    ),
    Claim(
        id="P2-C16",
        chapter="14",
        title="There are biases beside the position; the shallow tower takes one out once it is "
        "known",
        paper="discussion: many other biases, known and unknown; how to find them is open",
        trial="second_bias",
        contrasts=(
            Contrast(
                "position only: what is left of the size, log of clicks over expected",
                _gap("chance/position"),
                low=0.1,
                headline=True,
            ),
            Contrast(
                "position only: |z| of the size minus the largest of nine innocent columns",
                _lead("chance/position"),
                low=0.0,
            ),
            Contrast(
                "position and size: share of it that is left",
                ratio(f"chance/position and size/gap/{GUILTY}", f"chance/position/gap/{GUILTY}"),
                high=0.25,
                headline=True,
            ),
            Contrast(
                "sizes by popularity: clicks, with the size against without (%)",
                _live("popularity"),
                low=0.0,
            ),
            Contrast("sizes by chance: clicks, with against without (%)", _live("chance")),
            Contrast("the true gap", column("truth/gap")),
            Contrast(
                "no such bias: |z| of the size minus largest innocent", _lead("no bias/position")
            ),
        ),
        note="A thumbnail's size is a coin toss in this world, so the bias hardly harms the order. "
        "Where a thinned log ties the size to popularity, knowing it pays. No model is right "
        "everywhere, so some innocent columns pass |z| = 2 as well.",
    ),
    Claim(
        id="R-5",
        chapter="14",
        title="Experts for one task beside common ones: fewer tasks gain at another's expense",
        paper="PLE (Tang et al. 2020): the seesaw of earlier models goes; +2.23 % views and "
        "+1.84 % watch time live against an earlier multitask model",
        trial="seesaw",
        contrasts=(
            Contrast(
                "pairs of a winner and a loser, MMoE minus PLE", _counted("seesaw"), low=0.0
            ),
            Contrast(
                "tasks worse than alone, MMoE minus PLE", _counted("worse"), low=0.0
            ),
            Contrast(
                "captured share, mean of seven tasks, PLE minus MMoE",
                difference("PLE/mean", "MMoE/mean"),
                low=0.0,
            ),
            Contrast("pairs, MMoE", column("MMoE/seesaw")),
            Contrast("pairs, alone from other first weights", column("alone, again/seesaw")),
            Contrast(
                "captured share, alone minus MMoE", difference("alone/mean", "MMoE/mean")
            ),
            Contrast(
                "captured share, PLE minus MMoE, both on the input",
                difference("PLE on the input/mean", "MMoE on the input/mean"),
            ),
        ),
        note="Both lose most on likes and dismissals, about half of it in the common layer below "
        "the experts. The number of pairs differs so much between worlds that five cannot tell.",
    ),
    Claim(
        id="P2-C17",
        chapter="14",
        title="A compressed ranker keeps nearly all of the gain at a fraction of the cost",
        paper="future work: model compression, distillation (no number)",
        trial="compression",
        contrasts=(
            Contrast(
                "taught student: share of four teachers' gain in watch time (%)",
                _gain("student, taught"),
                low=KEPT,
            ),
            Contrast(
                "taught minus not taught (points of the gain)",
                difference(_gain("student, taught"), _gain("student, clicks")),
                low=0.0,
            ),
            Contrast(
                "one teacher, 8 bits minus 32 bits (points of the gain)",
                difference(_gain("one teacher, 8 bits"), _gain("one teacher")),
                low=-POINT,
                high=POINT,
            ),
            Contrast("taught student at 8 bits: share of the gain (%)",
                     _gain("student, taught, 8 bits")),
            Contrast("student: multiplications, in per cent of the teachers'",
                     _cost("student, taught", "multiplications")),
            Contrast("student at 8 bits: bytes, in per cent of the teachers'",
                     _cost("student, taught, 8 bits", "bytes")),
            Contrast("one teacher: share of the gain (%)", _gain("one teacher")),
            Contrast("one teacher, 3 bits: share of the gain (%)", _gain("one teacher, 3 bits")),
        ),
        note="Five worlds do not show that four large rankers are worth more live than one small "
        "one that learned from clicks; perhaps there is little to teach. On the two worlds on "
        "which the settings were chosen the teaching paid.",
    ),
)  # fmt: skip
