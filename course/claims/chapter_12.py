"""Claims about judging a recommender that still stand here."""

from __future__ import annotations

import pandas as pd

from course.claims import Claim, Contrast, Trial, Values, column, difference, percent
from course.experiments import drift, off_policy_bench

TRIALS = (
    Trial("drift", drift.trial, minutes=0.37),
    Trial("off_policy", off_policy_bench.trial, minutes=0.25),
)


def _sequential(dial: str, key: str = "ranker", metric: str = "minutes") -> Values:
    return percent(f"drift {dial}/{key}/on/{metric}", f"drift {dial}/{key}/once/{metric}")


def _stale(t: pd.DataFrame, dial: str) -> pd.Series:
    """Taste that vectors of the last days know more of than vectors of the first days."""
    return t[f"drift {dial}/factors/late/taste"] - t[f"drift {dial}/factors/once/taste"]


def _estimate(key: str, other: str | None = None) -> Values:
    if other is None:
        return column(key)
    return difference(key, other)


CLAIMS = (
    Claim(
        id="P2-C12",
        chapter="13",
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
        id="P2-C13b",
        chapter="13",
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
        id="R-8",
        chapter="13",
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
