"""Claims of chapter 06: what goes into the ranker, and in which shape."""

from __future__ import annotations

import pandas as pd

from course.claims import Claim, Contrast, Trial, column, difference, ratio
from course.experiments import churn, importance, nomination, ranking_inputs
from course.experiments.importance import GROUPS, LAW_GROUPS, PAST

TRIALS = (
    Trial("ranking_inputs", ranking_inputs.trial, minutes=0.84),
    Trial("ranking_churn", churn.trial, minutes=0.6),
    Trial("ranking_importance", importance.trial, minutes=0.62),
    Trial("ranking_nomination", nomination.trial, minutes=0.81, further=True),
)


def _above_all_others(objective: str, kind: str, name: str, names) -> object:
    """Importance of a group minus that of the most important other one."""

    def value(t: pd.DataFrame) -> pd.Series:
        others = [f"{objective}/{kind}/{other}" for other in names if other != name]
        return t[f"{objective}/{kind}/{name}"] - t[others].max(axis=1)

    return value


def _repeats(measure: str, fatigue: str = "1"):
    return difference(f"fatigue {fatigue}/with/{measure}", f"fatigue {fatigue}/without/{measure}")


CLAIMS = (
    Claim(
        id="P1-F7",
        chapter="06",
        title="The ranking network: shared embedding tables with an entry for each feature, "
        "quantiles with their powers, ReLU layers, the exponential served",
        paper="Figure 7",
        trial="ranking_inputs",
        built="shapes of our own network",
        contrasts=(
            Contrast(
                "largest difference between the layer and a concatenation by hand",
                column("shape/largest difference"),
                high=1e-4,
                headline=True,
            ),
            Contrast(
                "features that enter through the table of videos",
                column("shape/entries of the video table"),
                low=3.0,
                headline=True,
            ),
            Contrast("ReLU layers", column("shape/ReLU layers"), low=2.5, high=3.5, headline=True),
            Contrast(
                "what is served over the exponential of the logit",
                column("shape/served over exp(logit)"),
                low=0.999,
                high=1.001,
                headline=True,
            ),
        ),
        note="A test of the shape. Widths are an eighth of the paper's; dozens of features, not "
        "hundreds.",
    ),
    Claim(
        id="P1-C12",
        chapter="06",
        title="The most important features describe the account's past with the item and with "
        "similar ones",
        paper="stated, no numbers",
        trial="ranking_importance",
        contrasts=(
            Contrast(
                "watch ranker: loss by shuffling the past, minus by the next best group",
                _above_all_others("watch", "group", PAST, GROUPS),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "click ranker: the same",
                _above_all_others("click", "group", PAST, GROUPS),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "watch ranker trained without the past minus with it (points of loss)",
                difference("watch/loss/without the past", "watch/loss/ranker"),
                low=0.0,
            ),
            Contrast(
                "click ranker trained without the past minus with it (points of loss)",
                difference("click/loss/without the past", "click/loss/ranker"),
                low=0.0,
            ),
            Contrast(
                "the truth, watch: interest and past, minus the next best group of laws",
                _above_all_others("watch", "law", "interest and past", LAW_GROUPS),
            ),
            Contrast(
                "the truth, click: the same",
                _above_all_others("click", "law", "interest and past", LAW_GROUPS),
            ),
        ),
        note="One of the first two groups, but not alone: the ids of video, channel and topic "
        "weigh about as much for watch time, the video's record of clicks more for clicks. In the "
        "truth interest and past come first.",
    ),
    Claim(
        id="P1-C12b",
        chapter="06",
        title="The source that nominated a video, and its score, help the ranker",
        paper="stated, no numbers",
        trial="ranking_nomination",
        contrasts=(
            Contrast(
                "few features, watch loss: with nomination minus without (points)",
                difference("few + nomination/watch", "few/watch"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "few features, click loss",
                difference("few + nomination/click", "few/click"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "all other features, watch loss",
                difference("all + nomination/watch", "all/watch"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "all other features, click loss",
                difference("all + nomination/click", "all/click"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "the score alone, generator of last night: watch loss (%)",
                column("score alone/0 days old/watch"),
                high=50.0,
            ),
            Contrast(
                "the score alone, generator ten days old: watch loss (%)",
                column("score alone/10 days old/watch"),
            ),
            Contrast(
                "cards that a generator ten days old knows (share)",
                column("score alone/10 days old/known"),
            ),
        ),
        note="Worth a point beside few other features, and a third of one beside all. The "
        "generator must be trained again every night: after ten days its score is worse than "
        "chance, since it does not know the newest videos.",
    ),
    Claim(
        id="P1-C13",
        chapter="06",
        title="With previous impressions as a feature, cards shown in vain are demoted, and pages "
        "stop repeating",
        paper="stated, no numbers",
        trial="ranking_churn",
        contrasts=(
            Contrast(
                "shown in vain, nominated again: share shown again, with minus without",
                _repeats("shown again"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "their mean place among the candidates, with minus without",
                _repeats("place"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "overlap of successive pages, with minus without",
                _repeats("overlap"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "change of the logit when a card was shown five times, not never",
                column("fatigue 1/with/five times"),
                high=0.0,
            ),
            Contrast("watch minutes per page, with minus without", _repeats("watch_minutes")),
            Contrast(
                "fatigue off: share shown again, with minus without", _repeats("shown again", "0")
            ),
            Contrast(
                "fatigue threefold: share shown again, with minus without",
                _repeats("shown again", "3"),
            ),
        ),
    ),
    Claim(
        id="P1-C14",
        chapter="06",
        title="Shared tables with dimensions by the logarithm do as well as larger ones; most "
        "parameters are in the tables",
        paper="a million ids of 32 dimensions are seven times a layer of 2,048 x 2,048",
        trial="ranking_inputs",
        contrasts=(
            # Two trainings that differ by the seed alone are up to .4 points apart.
            Contrast(
                "loss, dimensions by the logarithm minus 32 for all (points)",
                difference("by the logarithm/loss", "32 for all/loss"),
                low=-0.4,
                high=0.4,
                headline=True,
            ),
            Contrast(
                "parameters in tables, by the logarithm over 32 for all",
                ratio("by the logarithm/parameters, tables", "32 for all/parameters, tables"),
                high=0.6,
            ),
            Contrast(
                "loss, shared minus unshared tables (points)",
                difference("by the logarithm/loss", "unshared/loss"),
                high=0.4,
            ),
            Contrast(
                "training loss of the first epoch, shared minus unshared",
                difference("by the logarithm/first epoch", "unshared/first epoch"),
                high=0.0,
            ),
            Contrast(
                "share of all parameters that are in tables",
                ratio("by the logarithm/parameters, tables", "by the logarithm/parameters, all"),
                low=0.5,
                headline=True,
            ),
            Contrast(
                "loss, a quarter of the video ids minus all (points)",
                difference("quarter of the videos/loss", "by the logarithm/loss"),
            ),
            Contrast(
                "cards whose video is then unknown (share)",
                column("quarter of the videos/unknown"),
            ),
        ),
        note="With 2,000 videos the tables hold a little less than half of the parameters; they "
        "grow with the catalogue, the layers do not.",
    ),
    Claim(
        id="P1-C15",
        chapter="06",
        title="Networks need continuous features on an even scale to converge; trees do not",
        paper="stated ('critical for convergence'), no numbers",
        trial="ranking_inputs",
        contrasts=(
            Contrast(
                "training loss at the end, raw minus quantiles",
                difference("raw/training loss at the end", "quantiles/training loss at the end"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "loss on fresh pages, raw minus quantiles (points)",
                difference("raw/loss", "quantiles/loss"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "trees: loss on fresh pages, raw minus quantiles (points)",
                difference("trees, raw/loss", "trees, quantiles/loss"),
                low=-0.4,
                high=0.4,
                headline=True,
            ),
            Contrast(
                "loss on fresh pages, standardised minus quantiles, both without powers (points)",
                difference("standardised/loss", "quantiles/loss"),
            ),
        ),
        note="It is an even scale that counts: minus the mean, over the standard deviation, does "
        "even a little better than quantiles here.",
    ),
    Claim(
        id="P1-A1l",
        chapter="06",
        title="Squares and roots of the quantiles help models that cannot bend their inputs",
        paper="for the deep network + 0.2 % loss without powers; chapter 07 looks at that",
        trial="ranking_inputs",
        contrasts=(
            Contrast(
                "linear model: loss without powers minus with (points)",
                difference("linear/no powers/loss", "linear/powers/loss"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "one layer of 32: loss without powers minus with (points)",
                difference("32/no powers/loss", "32/powers/loss"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "128-64-32: loss without powers minus with (points)",
                difference("128-64-32/no powers/loss", "128-64-32/powers/loss"),
            ),
        ),
    ),
)
