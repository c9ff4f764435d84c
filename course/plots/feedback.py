"""Figures of chapter 14: loops, a second bias, winners and losers, cheaper rankers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import matplotlib.ticker
import numpy as np
import pandas as pd
import torch

from course.experiments import compression, feedback_bench
from course.experiments.seven_tasks import TASKS
from course.plots.palette import colour, look
from course.plots.style import MUTED, Figure, band, figure, interval, styled

PANELS = {
    "clicks": "Clicks (% of oracle)",
    "gini": "Gini of showings",
    "new": "New uploads (%)",
}
BOTTLE_SEEDS = (7, 11)
GUILTY = "#b8340f"
_BETWEEN = {"fontsize": 9.5, "ncols": 2, "loc": "center", "bbox_to_anchor": (0.5, 0.53)}
STAGES = {
    "all 30": ("open/naive", "naive"),
    "12 by chance": ("chance", "naive"),
    "12 by all watches": ("all watches", "naive"),
    "12 by own clicks": ("own clicks", "naive"),
    "the same, exploring": ("closed/naive + exploration", "naive + exploration"),
}
"""First stage -> columns of its results, and whose colour it has."""


def _values(results: pd.DataFrame, stage: str, arm: str, measure: str) -> np.ndarray:
    """A measure by seed and round (seeds, rounds), as the panels show it."""
    numbers = sorted({int(c.split("/")[2]) for c in results if c.startswith(f"{stage}/{arm}/")})
    found = results[[f"{stage}/{arm}/{n}/{measure}" for n in numbers]].to_numpy()
    if measure == "clicks":
        return 100 * found / results[[f"open/oracle/{n}/clicks" for n in numbers]].to_numpy()
    return 100 * found if measure == "new" else found


@styled
def loop_rounds(
    results: pd.DataFrame,
    arms: Sequence[str] = ("naive", "shallow tower", "shallow + exploration"),
    stage: str = "open",
) -> Figure:
    """Draw what rounds of serve, log and learn do, arm by arm.

    Parameters
    ----------
    results : a row for each seed; columns ``<stage>/<arm>/<round>/<measure>``, with the arms
        "oracle" and "random" of the stage "open"
    """
    fig, axes = figure(len(PANELS), height=3.9)
    for ax, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for arm in arms:
            found = _values(results, stage, arm, measure)
            rounds = np.arange(1, found.shape[1] + 1)
            band(ax, rounds, found, arm)
        for arm in ("oracle", "random"):
            line = _values(results, "open", arm, measure).mean(axis=0)
            ax.plot(rounds, line, color=colour(arm), ls=(0, (5, 3)), lw=1.6, label=arm)
        ax.set(title=title, xlabel="round")
        ax.set_xticks(rounds)
    axes[0].set_ylim(bottom=0)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=10)
    return fig


@styled
def loop_stages(
    results: pd.DataFrame, stages: pd.DataFrame, rounds: Sequence[int] = (5, 6)
) -> Figure:
    """Draw the last rounds of the naive ranker behind several first stages.

    Parameters
    ----------
    results : as for `loop_rounds`: without a first stage, and closed with exploration
    stages : a row for each seed; columns ``<stage>/<round>/<measure>``
    rounds : over which the mean is taken
    """
    fig, axes = figure(len(PANELS), height=3.4, sharey=True)

    def mean_of(table, prefix, measure):
        return table[[f"{prefix}/{n}/{measure}" for n in rounds]].mean(axis=1).to_numpy()

    for ax, (measure, title) in zip(axes, PANELS.items(), strict=True):
        oracle = mean_of(results, "open/oracle", measure)
        factor = {"clicks": 100 / oracle, "new": 100.0}.get(measure, 1.0)
        for y, (name, arm) in enumerate(STAGES.values()):
            table = results if "/" in name else stages
            mean, half = interval(factor * mean_of(table, name, measure))
            style = {**look(arm), "ls": "", "ms": 8}
            ax.errorbar(mean, len(STAGES) - 1 - y, xerr=half, capsize=4, **style)
        line = (factor * oracle).mean()
        ax.axvline(line, color=colour("oracle"), ls=(0, (5, 3)), lw=1.4, label="oracle")
        ax.set(title=title, xlabel="mean of the last rounds")
        ax.margins(x=0.12)  # keeps the outer ticks of two panels apart
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.6, len(STAGES) - 0.4)
    axes[0].set_yticks(range(len(STAGES)), list(STAGES)[::-1])
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center")
    return fig


@styled
def bottle_loop(position_bias: float = 1.0, explore: float = 0.0, closed: bool = False) -> Figure:
    """Turn the loop in a bottle for twenty rounds and draw what becomes of it.

    Parameters
    ----------
    position_bias, explore, closed : see `course.experiments.feedback_bench.Bottle`
    """
    fig, axes = figure(2, height=3.5)
    _bottle(axes, feedback_bench.Bottle(position_bias, explore, closed))
    axes[0].legend(**_BETWEEN)
    return fig


@styled
def bottle_loops(settings: Mapping[str, Mapping]) -> Figure:
    """Draw `bottle_loop` at several settings, one below the other.

    Parameters
    ----------
    settings : title -> arguments of `bottle_loop`
    """
    fig, axes = figure(2, len(settings), height=2.6 * len(settings))
    for pair, (title, dials) in zip(np.atleast_2d(axes), settings.items(), strict=True):
        _bottle(pair, feedback_bench.Bottle(**dials))
        pair[0].set_title(f"{title}: clicks")
        pair[1].set_title("New uploads")
    axes.flat[0].legend(**_BETWEEN)
    return fig


@functools.lru_cache(maxsize=128)
def _turn(name: str, bottle: feedback_bench.Bottle, seed: int) -> pd.DataFrame:
    return feedback_bench.turn(name, bottle, seed=seed)


def _bottle(axes, bottle: feedback_bench.Bottle) -> None:
    plain = feedback_bench.Bottle(bottle.position_bias)  # oracle and random do not learn
    turned = {
        name: [
            _turn(name, plain if name in ("oracle", "random") else bottle, seed)
            for seed in BOTTLE_SEEDS
        ]
        for name in ("naive", "corrected", "oracle", "random")
    }
    mean = {name: sum(runs) / len(runs) for name, runs in turned.items()}
    for name, table in mean.items():
        style = {"color": colour("shallow tower" if name == "corrected" else name)}
        if name in ("oracle", "random"):
            style |= {"ls": (0, (5, 3)), "lw": 1.4}
        table = table.iloc[1:]
        share = 100 * table["clicks"] / mean["oracle"]["clicks"].iloc[1:]
        axes[0].plot(table["round"], share, label=name, **style)
        axes[1].plot(table["round"], 100 * table["new"], **style)
    axes[0].set(title="Clicks", xlabel="round", ylabel="% of the oracle's", ylim=(0, 108))
    axes[1].set(title="New uploads", xlabel="round", ylabel="% of the cards", ylim=(0, 60))


@styled
def suspects(tables: Mapping[str, pd.DataFrame], guilty: str = "large thumbnail") -> Figure:
    """Draw the residual test of several models, column by column.

    Parameters
    ----------
    tables : title -> what `course.experiments.second_bias.residual_test` returned
    guilty : the column that really has a bias
    """
    fig, axes = figure(len(tables), height=3.9, sharey=True, sharex=True)
    axes = np.atleast_1d(axes)
    names = list(next(iter(tables.values())).index)[::-1]
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        size = table["z"].abs().reindex(names)
        tones = [GUILTY if name == guilty else "#9aa0a8" for name in names]
        ax.barh(range(len(names)), size, color=tones, height=0.65)
        ax.axvline(2, color=colour("control"), ls=":", lw=1.4)
        ax.set(title=title, xlabel="|z| of the worst group")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(names)), names)
    return fig


@styled
def winners_and_losers(results: pd.DataFrame, names: Sequence[str] = ("MMoE", "PLE")) -> Figure:
    """Draw for each task what sharing gains over a network alone.

    Parameters
    ----------
    results : a row for each seed; columns ``<name>/<task>`` and ``alone/<task>``
    """
    fig, axes = figure(len(names), height=3.7, sharey=True, sharex=True)
    axes = np.atleast_1d(axes)
    tasks = [task.name for task in TASKS][::-1]
    for ax, name in zip(axes, names, strict=True):
        for y, task in enumerate(tasks):
            gap = 100 * (results[f"{name}/{task}"] - results[f"alone/{task}"]).to_numpy()
            ax.plot(gap, np.full(len(gap), y), "o", ms=4, alpha=0.35, color=colour(name))
            mean, half = interval(gap)
            ax.errorbar(mean, y, xerr=half, fmt="D", ms=7, capsize=4, color=colour(name))
        ax.axvline(0, color=colour("control"), lw=1)
        ax.set(title=name, xlabel="captured, minus alone (points)")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(tasks)), tasks)
    return fig


@styled
def price_of_quality(results: pd.DataFrame) -> Figure:
    """Draw the share of the gain that cheaper rankers keep, over multiplications and over bytes.

    Parameters
    ----------
    results : stored results of `course.experiments.compression.trial`
    """
    fig, axes = figure(2, height=3.9, sharey=True)
    floor, top = results["past ranking/minutes"], results["teachers/minutes"]

    def points(ax, names, cost, label, aside=1.0):
        gain = [100 * (results[f"{n}/minutes"] - floor) / (top - floor) for n in names]
        mean, half = interval(np.stack(gain, axis=1))
        # Two students cost the same: set a little apart.
        x = [results[f"{n}/{cost}"].mean() * aside for n in names]
        line = {"color": colour(label), "marker": look(label)["marker"], "capsize": 4}
        ax.errorbar(x, mean, yerr=half, ls=":" if len(names) > 1 else "", label=label, **line)
        return x, mean

    for ax, cost in zip(axes, ("multiplications", "bytes"), strict=True):
        points(ax, ["teachers"], cost, "four teachers")
        points(ax, ["one teacher"], cost, "one teacher")
        points(ax, ["student, clicks"], cost, "student, by clicks", 0.93)
        points(ax, ["student, taught"], cost, "student, taught", 1.07)
        ax.axhline(100, color=MUTED, lw=1, ls="--")
        unit = "multiplications of one card" if cost == "multiplications" else "bytes stored"
        ax.set(xscale="log", title=f"Against {cost}", xlabel=unit)
        ax.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    fewer = [f"one teacher, {b} bits" for b in compression.BITS]
    x, y = points(axes[1], fewer, "bytes", "one teacher, rounded")
    for bits, a, b in zip(compression.BITS, x, y, strict=True):
        axes[1].annotate(f"{bits}", (a, b), xytext=(4, 5), textcoords="offset points", fontsize=9.5)
    axes[0].set_ylabel("share of the four teachers' gain (%)")
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=5,
               fontsize=9.5, columnspacing=1.2)  # fmt: skip
    return fig


def _rounding(axes, weight: np.ndarray, scores: Mapping[int, np.ndarray], bits: int) -> None:
    left, right = axes
    found = compression.rounded(torch.from_numpy(weight), bits).numpy()
    left.plot(weight[0], found[0], "o", ms=3.5, color=colour("student, taught"), alpha=0.7)
    end = np.abs(weight[0]).max()
    left.plot([-end, end], [-end, end], color=colour("truth"), lw=1, ls="--")
    error = np.sqrt(((found - weight) ** 2).mean() / (weight**2).mean())
    left.set(title=f"{bits} bits: error {error:.1%}", xlabel="weight of the first unit",
             ylabel="weight after rounding")  # fmt: skip
    right.plot(scores[0], scores[bits], "o", ms=2.5, alpha=0.35, color=colour("student, taught"))
    ends = [scores[0].min(), scores[0].max()]
    right.plot(ends, ends, color=colour("truth"), lw=1, ls="--")
    ranks = [pd.Series(scores[b]).rank() for b in (0, bits)]
    right.set(title=f"rank correlation {np.corrcoef(*ranks)[0, 1]:.4f}", xlabel="logit at 32 bits",
              ylabel=f"logit at {bits} bits")  # fmt: skip


@styled
def fewer_bits(weight: np.ndarray, scores: Mapping[int, np.ndarray], bits: int = 8) -> Figure:
    """Draw what rounding does to the weights and to the scores of a ranker.

    Parameters
    ----------
    weight : (rows, columns) float32, a layer
    scores : bits -> (n,) logits of some cards with all layers rounded; 0 = not rounded
    bits : one of the keys
    """
    fig, axes = figure(2, height=3.6)
    _rounding(axes, weight, scores, bits)
    return fig


@styled
def fewer_bits_at(
    weight: np.ndarray, scores: Mapping[int, np.ndarray], settings: Sequence[int] = (8, 4, 2)
) -> Figure:
    """Draw `fewer_bits` at several settings, one below the other."""
    fig, axes = figure(2, len(settings), height=2.9 * len(settings))
    for pair, bits in zip(np.atleast_2d(axes), settings, strict=True):
        _rounding(pair, weight, scores, bits)
    return fig
