"""Claims of chapter 10: position bias."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.claims import Claim, Contrast, Trial, column, difference, percent, ratio
from course.experiments import bias_bench, position_bias, shallow_layout
from course.simulator.names import DEVICES

TRIALS = (
    Trial("position_bias", position_bias.trial, minutes=1.3),
    Trial("position_bias_additive", position_bias.trial_additive, minutes=1, further=True),
    Trial("position_orders", position_bias.trial_orders, minutes=1.4),
    Trial("position_limits", bias_bench.limit_trial, minutes=0.3),
    Trial("shallow_layout", shallow_layout.trial, minutes=0.01, cheap=True),
)

POSITIONS = range(1, 10)
"""The paper shows nine positions."""


def _lift(name: str, other: str = "none", metric: str = "clicks", world: str = ""):
    """Change of a treatment against another, in per cent of no treatment."""

    def value(t: pd.DataFrame) -> pd.Series:
        one, two, none = (t[f"{world}live/{n}/{metric}"] for n in (name, other, "none"))
        return 100 * (one - two) / none

    return value


def _steps(prefix: str, t: pd.DataFrame) -> np.ndarray:
    """Falls from each position to the next (seeds, 8), on the scale of the columns."""
    return -np.diff(t[[f"{prefix}/{k}" for k in POSITIONS]].to_numpy(), axis=1)


def _log_rate_steps(t: pd.DataFrame) -> np.ndarray:
    columns = [f"ctr/{k}" for k in POSITIONS]
    return _steps("ctr", np.log(t[columns]))


def _series(values, t: pd.DataFrame) -> pd.Series:
    return pd.Series(np.asarray(values, float), t.index)


def _miscalibration(name: str):
    """Mean over the devices of |log(mean served probability / click rate)|."""

    def value(t: pd.DataFrame) -> pd.Series:
        return sum(np.log(t[f"{name}/calibration/{d}"]).abs() for d in DEVICES) / len(DEVICES)

    return value


def _mean_slope(name: str):
    return lambda t: sum(t[f"{name}/slope/{d}"] for d in DEVICES) / len(DEVICES)


def _span(device: str):
    return difference(f"curve/learned/{device}/1", f"curve/learned/{device}/9")


LEARNED = "curve/learned/phone"

CLAIMS = (
    Claim(
        id="P2-F6",
        chapter="10",
        title="Click-through rate falls with the position, most between the first two",
        paper="Figure 6: from 3.55 to 0.31 over nine positions (11-fold), 2.9-fold from 1 to 2 "
        "(digitised)",
        trial="position_bias",
        contrasts=(
            Contrast("rate at position 1 over rate at position 9",
                     ratio("ctr/1", "ctr/9"), low=5.0, high=25.0, headline=True),
            Contrast("smallest fall from a position to the next (logarithm)",
                     lambda t: _series(_log_rate_steps(t).min(axis=1), t), low=0.0,
                     headline=True),
            Contrast(
                "fall from 1 to 2 minus the largest of the others (logarithm)",
                lambda t: _series(
                    _log_rate_steps(t)[:, 0] - _log_rate_steps(t)[:, 1:].max(axis=1), t
                ),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "share of relevance in the fall from 1 to 9",
                lambda t: (
                    np.log(t["relevance/1"] / t["relevance/9"]) / np.log(t["ctr/1"] / t["ctr/9"])
                ),
            ),
        ),
        note="Here relevance has about a third of the fall or less; in the paper, if its learned "
        "bias is right, more than half.",
    ),
    Claim(
        id="P2-F3",
        chapter="10",
        title="The layout: the shallow tower's logit is added before the sigmoid, and missing at "
        "serving",
        paper="Figure 3 and section 4.3",
        trial="shallow_layout",
        built="layout of our own network",
        contrasts=(
            Contrast("largest distance of the output from main logit plus shallow logit",
                     column("logit off by"), low=-1.0, high=1e-5, headline=True),
            Contrast("served: sd of what is added to the cards of one device",
                     column("serving shifts by more than a constant"), low=-1.0, high=1e-5,
                     headline=True),
            Contrast("share of positions hidden in training",
                     column("share of hidden positions"), low=0.08, high=0.12),
            Contrast("mean distance from a product of two probabilities",
                     column("a product of probabilities is off by"), low=0.05),
        ),
    ),
    Claim(
        id="P2-F7",
        chapter="10",
        title="The shallow tower learns a bias that falls with the position, most at the top, and "
        "less than the click rate",
        paper="Figure 7: from -1.02 to -1.99 over nine positions, convex; 0.97 logits against a "
        "fall of the log click rate of 2.43 (digitised)",
        trial="position_bias",
        contrasts=(
            Contrast("phone: smallest fall from a position to the next",
                     lambda t: _series(_steps(LEARNED, t).min(axis=1), t), low=0.0,
                     headline=True),
            Contrast("phone: first fall minus last fall",
                     lambda t: _series(_steps(LEARNED, t)[:, 0] - _steps(LEARNED, t)[:, -1], t),
                     low=0.0, headline=True),
            Contrast("phone: span of the learned bias minus span of the log click rate",
                     lambda t: _span("phone")(t) - np.log(t["ctr/1"] / t["ctr/9"]), high=0.0,
                     headline=True),
            # A position misjudged by less than a quarter (0.22 in logarithm).
            Contrast("phone: largest error against the truth",
                     column("shallow tower/max_error/phone"), high=0.22),
            Contrast("phone: slope over the truth",
                     column("shallow tower/slope/phone"), low=0.9, high=1.1),
            Contrast("desktop: largest error",
                     column("shallow tower/max_error/desktop"), high=0.22),
            Contrast("desktop: slope", column("shallow tower/slope/desktop"), low=0.9, high=1.1),
            Contrast("TV: largest error", column("shallow tower/max_error/tv")),
            Contrast("TV: slope", column("shallow tower/slope/tv"), low=0.9, high=1.1),
        ),
        note="The form comes out. The learned bias is about 7 % too steep on the phone and 12 % on "
        "the desktop: what the main tower has not learned yet is taken for bias. On the TV single "
        "positions have few clicks.",
    ),
    Claim(
        id="P2-F7b",
        chapter="10",
        title="The same where the position shifts the logit, which is what the tower assumes",
        paper="Figure 7; the form of the true bias is not known there",
        trial="position_bias_additive",
        contrasts=tuple(
            contrast
            for device in ("phone", "desktop")
            for contrast in (
                Contrast(f"{device}: largest error against the truth",
                         column(f"shallow tower/max_error/{device}"), high=0.22,
                         headline=True),
                Contrast(f"{device}: slope over the truth",
                         column(f"shallow tower/slope/{device}"), low=0.9, high=1.1,
                         headline=True),
            )
        ),
        note="Here the slope is right on the mean; single positions are off by what a few hundred "
        "clicks allow.",
    ),
    Claim(
        id="P2-T2",
        chapter="10",
        title="Live, the shallow tower brings more than an adversarial loss, and that more than "
        "the position as an input, which brings nothing",
        paper="Table 2: engagement -0.07 % (input), +0.01 % (adversarial), +0.24 % (shallow)",
        trial="position_bias",
        contrasts=(
            Contrast("clicks, shallow tower against no treatment (%)",
                     _lift("shallow tower"), low=0.0, headline=True),
            Contrast("clicks, shallow tower minus adversarial (% of no treatment)",
                     _lift("shallow tower", "adversarial"), low=0.0, headline=True),
            Contrast("clicks, shallow tower minus input served as missing",
                     _lift("shallow tower", "input, missing"), low=0.0),
            Contrast("clicks, shallow tower minus input served as first",
                     _lift("shallow tower", "input, first"), low=0.0),
            Contrast("clicks, adversarial minus input served as missing",
                     _lift("adversarial", "input, missing"), low=0.0, headline=True),
            Contrast("clicks, input served as missing, against no treatment (%)",
                     _lift("input, missing"), high=0.5, headline=True),
            Contrast("clicks, adversarial against no treatment (%)", _lift("adversarial")),
            Contrast("watch time, shallow tower against no treatment (%)",
                     _lift("shallow tower", metric="watch_minutes")),
            Contrast("satisfied watches, shallow tower against no treatment (%)",
                     _lift("shallow tower", metric="satisfied")),
        ),
        note="As in the paper, the shallow tower is ahead of the adversarial loss, which brings "
        "about nothing. Unlike in the paper, the input brings several per cent; the shallow tower "
        "is ahead of it on the mean only if it is served as missing, and level if as first.",
    ),
    Claim(
        id="P2-C8",
        chapter="10",
        title="Hiding a tenth of the positions in training makes the missing value at serving fit, "
        "and keeps the model from leaning on the position",
        paper="10 % feature drop-out; no numbers",
        trial="position_bias",
        contrasts=(
            Contrast(
                "miscalibration of what is served, without minus with drop-out (logarithm)",
                difference(
                    _miscalibration("shallow, no drop-out"), _miscalibration("shallow tower")
                ),
                low=0.0,
                headline=True,
            ),
            Contrast("mean slope of the learned bias, without minus with drop-out",
                     difference(_mean_slope("shallow, no drop-out"), _mean_slope("shallow tower")),
                     low=0.0, headline=True),
            Contrast("clicks, with minus without drop-out (% of no treatment)",
                     _lift("shallow tower", "shallow, no drop-out"), low=0.0),
            # Equal: within one per cent, a third of what the treatment itself is worth.
            Contrast("clicks, 5 % minus 10 % drop-out",
                     _lift("drop-out 5 %", "shallow tower"), low=-1.0, high=1.0),
            Contrast("clicks, 20 % minus 10 % drop-out",
                     _lift("drop-out 20 %", "shallow tower"), low=-1.0, high=1.0),
        ),
        note="Drop-out makes the missing value fit and the curve less steep. It brings no clicks "
        "in this world, and 20 % costs some: the more positions are hidden, the nearer the model "
        "is to no treatment. Where the past ranking knows more it saves them (P2-C10b).",
    ),
    Claim(
        id="P2-C9",
        chapter="10",
        title="The bias differs between devices, so position and device are crossed",
        paper="stated, no numbers",
        trial="position_bias",
        contrasts=(
            Contrast("learned span over nine positions, TV minus phone",
                     difference(_span("tv"), _span("phone")), low=0.0, headline=True),
            Contrast("learned span, phone minus desktop",
                     difference(_span("phone"), _span("desktop")), low=0.0, headline=True),
            *(
                Contrast(
                    f"{device}: largest error, one curve for all minus crossed",
                    difference(
                        column(f"without the device cross/max_error/{device}"),
                        column(f"shallow tower/max_error/{device}"),
                    ),
                    low=0.0,
                )
                for device in ("desktop", "tv")
            ),
            Contrast(
                "clicks of TV viewers, crossed minus one curve for all (%)",
                percent("live/shallow tower/clicks/tv", "live/without the device cross/clicks/tv"),
                low=0.0,
            ),
            Contrast("clicks, crossed minus one curve for all (% of no treatment)",
                     _lift("shallow tower", "without the device cross")),
        ),
        note="The curves need the cross. Live it is worth something to the viewers on the TV, the "
        "smallest group; over all viewers it is within the noise.",
    ),
    Claim(
        id="P2-C10",
        chapter="10",
        title="No random pages are needed: the bias is learned from the usual log",
        paper="stated as the advantage over inverse propensity weighting",
        trial="position_orders",
        contrasts=(
            Contrast("past ranking by incumbency and chance: clicks against no treatment (%)",
                     _lift("shallow tower", world="incumbency/"), low=0.0, headline=True),
            Contrast("past ranking by incumbency and chance: mean slope",
                     _mean_slope("incumbency/shallow tower"), low=0.9, high=1.1,
                     headline=True),
            Contrast("past ranking by relevance alone: clicks against no treatment (%)",
                     _lift("shallow tower", world="relevance/"), low=0.0),
            Contrast("past ranking by relevance alone: mean slope",
                     _mean_slope("relevance/shallow tower"), low=0.9, high=1.1),
            Contrast("past ranking by relevance alone: mean slope without drop-out",
                     _mean_slope("relevance/shallow, no drop-out")),
        ),
        note="The bias is found without random pages, best where cards stand where they do for "
        "reasons other than relevance. Where relevance alone decided, there is next to nothing to "
        "win and the curve gets steeper, most so without drop-out.",
    ),
    Claim(
        id="P2-C10b",
        chapter="10",
        title="The limit: where the past ranking knows more of the wish than the model, and leaves "
        "nothing to chance, the learned bias swallows relevance and the treatment harms",
        paper="not in the paper; known from later work on additive towers",
        trial="position_limits",
        contrasts=(
            Contrast("cards move, nothing is hidden: clicks against no treatment (%)",
                     _lift("shallow tower", world="cards move/"), low=0.0, headline=True),
            Contrast("ranking knows more: mean slope of the learned bias",
                     _mean_slope("ranking knows more/shallow tower"), low=1.5, headline=True),
            Contrast("ranking knows more: clicks against no treatment (%)",
                     _lift("shallow tower", world="ranking knows more/"), high=0.0,
                     headline=True),
            Contrast("the same without drop-out, minus with it",
                     _lift("shallow, no drop-out", "shallow tower", world="ranking knows more/"),
                     high=0.0),
            Contrast("the same, regression-EM against no treatment",
                     _lift("regression-EM", world="ranking knows more/"), high=0.0),
            Contrast(
                "repaired by more chance: mean slope, minus the slope without",
                difference(
                    _mean_slope("knows more, chance/shallow tower"),
                    _mean_slope("ranking knows more/shallow tower"),
                ),
                high=0.0,
            ),
            Contrast("repaired by a table from random pages: clicks against no treatment (%)",
                     _lift("shallow, given", world="ranking knows more/"), low=0.0),
            Contrast("repaired by inverse propensities from random pages",
                     _lift("inverse propensity", world="ranking knows more/"), low=0.0),
        ),
    ),
    Claim(
        id="R-3",
        chapter="10",
        title="A product of probabilities (PAL) where a look and a wish multiply: both beat no "
        "treatment, and the product is ahead of the sum",
        paper="PAL wins live over position as a feature (+3 to +35 %); no shallow tower there",
        trial="position_bias",
        contrasts=(
            Contrast("clicks, PAL against no treatment (%)", _lift("PAL"), low=0.0,
                     headline=True),
            Contrast("clicks, PAL minus shallow tower (% of no treatment)",
                     _lift("PAL", "shallow tower"), low=0.0, headline=True),
            Contrast("clicks, PAL minus input served as missing",
                     _lift("PAL", "input, missing"), low=0.0),
            Contrast("clicks, PAL minus input served as first",
                     _lift("PAL", "input, first"), low=0.0),
            Contrast("clicks, regression-EM minus PAL", _lift("regression-EM", "PAL")),
        ),
        note="PAL is ahead of the sum by about a point on average, with an interval that holds 0.",
    ),
    Claim(
        id="R-3b",
        chapter="10",
        title="Where the position shifts the logit, the sum is ahead of the product",
        paper="expected from the form of the two models",
        trial="position_bias_additive",
        contrasts=(
            Contrast("clicks, shallow tower against no treatment (%)",
                     _lift("shallow tower"), low=0.0),
            Contrast("clicks, shallow tower minus PAL (% of no treatment)",
                     _lift("shallow tower", "PAL"), low=0.0, headline=True),
            Contrast(
                "phone: largest error of the bias, PAL minus shallow tower",
                difference(column("PAL/max_error/phone"), column("shallow tower/max_error/phone")),
                low=0.0,
            ),
        ),
        note="Each finds the bias in the world of its own form: here PAL's curve is about a fifth "
        "too flat. For the clicks the form hardly matters.",
    ),
    Claim(
        id="R-4",
        chapter="10",
        title="Regression-EM finds P(seen) where cards move between positions",
        paper="recovers the ratios where there is enough movement; no common number",
        trial="position_limits",
        contrasts=(
            *(
                Contrast(f"{device}: mean relative error of P(seen)",
                         column(f"swaps/regression-EM/error/{device}"), high=0.1,
                         headline=True)
                for device in ("phone", "desktop")
            ),
            Contrast("tv: mean relative error of P(seen)", column("swaps/regression-EM/error/tv")),
        ),
    ),
)  # fmt: skip
