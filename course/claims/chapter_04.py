"""Claims of chapter 04: searches, demographics, example age, depth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.claims import Claim, Contrast, Trial, column, difference
from course.experiments import depth, signals

TRIALS = (
    Trial("signals", signals.trial, minutes=1.6),
    Trial("depth_grid", depth.grid_trial, minutes=3.7),
    Trial("depth_context", depth.context_trial, minutes=1.9, further=True),
    Trial("depth_switch", depth.switch_trial, minutes=1.3, further=True),
)


def _smallest_step(upper: str, lower: str, measure: str = "mrr"):
    """The smallest advantage of a feature set over the one before, over all depths."""

    def value(t: pd.DataFrame) -> pd.Series:
        table = depth.grid(t, measure)  # "watches" has one depth, compared with all
        return pd.Series((table[upper] - table[lower]).min(axis=1), t.index)

    return value


def _depth_gain(name: str, measure: str = "mrr"):
    """Mean of depths 1 to 4 minus depth 0."""

    def value(t: pd.DataFrame) -> pd.Series:
        table = depth.grid(t, measure)[name]
        return pd.Series(table[:, 1:].mean(axis=1) - table[:, 0], t.index)

    return value


def _first_step_over_second(name: str, measure: str):
    def value(t: pd.DataFrame) -> pd.Series:
        steps = -np.diff(depth.grid(t, measure)[name], axis=1)
        return pd.Series(steps[:, 0] - steps[:, 1], t.index)

    return value


def _gain(group: str):
    measure = f"history {group}/mrr"
    return difference(f"all/{measure}", f"no demographics/{measure}")


def _dose(one: str, other: str, strength: str, measure: str = "nats"):
    prefix = f"context {strength}"
    return difference(f"{prefix}/{one}/{measure}", f"{prefix}/{other}/{measure}")


def _one_layer(world: str, measure: str = "nats"):
    return difference(f"{world}/depth 1/{measure}", f"{world}/depth 0/{measure}")


CLAIMS = (
    Claim(
        id="P1-F4",
        chapter="04",
        title="With example age the model learns the rise and fall of a video; without it, the "
        "average over the window",
        paper="correlation with the empirical curve .94 with age, .35 without; peak 76 %, a day "
        "late; about 0 before the upload (digitised)",
        trial="signals",
        contrasts=(
            Contrast("with age: correlation with the empirical curve",
                     column("all/of the day/correlation"), low=0.9, headline=True),
            Contrast("with age: height of the peak over the empirical one",
                     column("all/of the day/peak"), low=0.6, high=1.0, headline=True),
            Contrast("with age: days by which the peak is late",
                     column("all/of the day/delay"), low=-2.0, high=2.0, headline=True),
            Contrast("with age: mean before the upload over mean after it",
                     column("all/of the day/before"), high=0.2, headline=True),
            Contrast("without age: correlation", column("no age/of the day/correlation"),
                     high=0.4, headline=True),
            Contrast("without age and without history: correlation",
                     column("no history, no age/of the day/correlation")),
            Contrast("with age, nothing but the age changes: correlation",
                     column("all/fixed/correlation")),
        ),
        note="The model without the age is not blind: the last watches of an account say what day "
        "it is. Without watches it is. Single videos have few watches a day here, which holds the "
        "correlation down.",
    ),
    Claim(
        id="P1-C6",
        chapter="04",
        title="Example age improves hold-out precision and brings new videos to the viewers; "
        "other clocks do not",
        paper="MAP + 0.6 to 0.9 points; a dramatic rise of watch time on new videos live",
        trial="signals",
        contrasts=(
            Contrast("MRR, all signals minus all without age", difference("all/mrr",
                     "no age/mrr"), low=0.0, headline=True),
            Contrast("videos under 5 days old among the first 20, with minus without age",
                     difference("all/fresh share", "no age/fresh share"), low=0.0,
                     headline=True),
            Contrast("live clicks per page, with minus without age",
                     difference("live/example age/clicks", "live/no clock/clicks"), low=0.0),
            Contrast("live watch minutes per page, with minus without age",
                     difference("live/example age/watch_minutes",
                                 "live/no clock/watch_minutes"), low=0.0),
            Contrast("MRR, served at the mean age minus served at 0",
                     difference("served at the mean age/mrr", "all/mrr"), high=0.0),
            Contrast("MRR, age of the video minus age of the example",
                     difference("age of the video/mrr", "all/mrr"), high=0.0),
            Contrast("live clicks per page, age of the video minus age of the example",
                     difference("live/age of the video/clicks", "live/example age/clicks"),
                     high=0.0),
        ),
    ),
    Claim(
        id="P1-C11",
        chapter="04",
        title="Demographics serve new users: the gain is where history is missing",
        paper="stated, no numbers",
        trial="signals",
        contrasts=(
            Contrast("MRR gain by demographics, accounts without a watch", _gain("none"), low=0.0,
                     headline=True),
            Contrast("gain without a watch minus gain from 20 watches on",
                     difference(_gain("none"), _gain("20 or more")), low=0.0, headline=True),
            Contrast("MRR gain by demographics, accounts with 20 or more watches",
                     _gain("20 or more")),
        ),
    ),
    Claim(
        id="P1-F6",
        chapter="04",
        title="More features and more depth improve hold-out precision",
        paper="MAP 6.4 % watches; 8.9 to 10.1 with searches; 9.5 to 10.95 with age; 10.8 to 12.9 "
        "all (depth 0 to 4, digitised)",
        trial="depth_grid",
        contrasts=(
            Contrast("searches: smallest gain over depths (MRR)",
                     _smallest_step("+ searches", "watches"), low=0.0, headline=True),
            Contrast("example age: smallest gain over depths (MRR)",
                     _smallest_step("+ example age", "+ searches"), low=0.0, headline=True),
            Contrast("all: smallest gain over depths (MRR)",
                     _smallest_step("all", "+ example age"), low=0.0, headline=True),
            Contrast("all: depth 1 to 4 minus depth 0, days after (MRR)", _depth_gain("all"),
                     low=0.0, headline=True),
            Contrast("all: depth 1 to 4 minus depth 0, inside the window (MRR)",
                     _depth_gain("all", "inside/mrr"), low=0.0),
            Contrast("all: depth 1 to 4 minus depth 0, days after (nats, less is better)",
                     _depth_gain("all", "nats"), high=0.0),
            Contrast("all: depth 1 to 4 minus depth 0, inside the window (nats)",
                     _depth_gain("all", "inside/nats"), high=0.0),
            Contrast("depth gain in nats, all minus searches (the more signals, the more gain)",
                     difference(_depth_gain("all", "nats"),
                                _depth_gain("+ searches", "nats")), high=0.0),
            Contrast("all: gain by the first layer minus gain by the second (nats)",
                     _first_step_over_second("all", "nats"), low=0.0),
            Contrast("all: depth 1 to 4 minus depth 0, without next episodes (MRR)",
                     _depth_gain("all", "chosen/mrr")),
        ),
    ),
    Claim(
        id="P1-F6b",
        chapter="04",
        title="Depth pays because signals interact",
        paper="given as the reason for hidden layers; not tested apart",
        trial="depth_context",
        contrasts=(
            Contrast("one layer minus linear where the moment matters twofold (nats)",
                     _dose("depth 1", "depth 0", "2"), high=0.0, headline=True),
            Contrast("that gain minus the gain where the moment does not matter (nats)",
                     difference(_dose("depth 1", "depth 0", "2"),
                                _dose("depth 1", "depth 0", "0")), high=0.0, headline=True),
            Contrast("hand-made cross minus linear, moment twofold (nats)",
                     _dose("cross", "depth 0", "2"), high=0.0),
            Contrast("one layer minus linear trained twice as long, moment twofold (nats)",
                     _dose("depth 1", "depth 0, twice as long", "2"), high=0.0),
            Contrast("one layer minus linear, moment twofold (MRR)",
                     _dose("depth 1", "depth 0", "2", "mrr"), low=0.0),
            Contrast("one layer minus linear, moment twofold, inside the window (MRR)",
                     _dose("depth 1", "depth 0", "2", "inside/mrr"), low=0.0),
        ),
    ),
    Claim(
        id="P1-F6c",
        chapter="04",
        title="Depth pays for what a linear model cannot say; with that switched off its gain goes",
        paper="given as the reason for hidden layers; not tested apart",
        trial="depth_switch",
        contrasts=(
            Contrast("one layer minus linear, as it is, days after (nats)",
                     _one_layer("as it is"), high=0.0, headline=True),
            Contrast("that gain minus the gain in a world without time (nats)",
                     difference(_one_layer("as it is"), _one_layer("no time")), high=0.0,
                     headline=True),
            Contrast("that gain minus the gain in a world where the moment does not matter (nats)",
                     difference(_one_layer("as it is"), _one_layer("no moment")), high=0.0,
                     headline=True),
            Contrast("one layer minus linear with all off, days after (nats): within 0.02 of 0",
                     _one_layer("all off"), low=-0.02, high=0.02, headline=True),
            Contrast("one layer minus linear with all off, inside the window (nats)",
                     _one_layer("all off", "inside/nats")),
        ),
    ),
)  # fmt: skip
