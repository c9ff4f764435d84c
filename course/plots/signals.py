"""Figures of chapter 04: lives of videos, the served age, who gains, depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.plots import paper
from course.plots.palette import colour, look
from course.plots.style import Figure, band, figure, interval, styled

_WORLDS = {"no moment": "moment does\nnot matter", "no time": "nothing changes\nwith time"}
_LINES = {"observed": "observed", "with example age": "example age", "without age": "no clock"}


@styled
def lives(span: np.ndarray, curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of all watches that went to each of some videos, and its mean.

    Parameters
    ----------
    span : (d,) days since upload
    curves : name of the video -> (d,) share of the day's watches; NaN where the log has no day
    """
    fig, axes = figure(len(curves), height=3.3, sharey=True)
    for ax, (name, share) in zip(np.atleast_1d(axes), curves.items(), strict=True):
        ax.bar(span, 100 * share, width=1.0, color=colour("observed"), alpha=0.75)
        ax.axhline(100 * np.nanmean(share), color=colour("no clock"), lw=2, ls="--")
        ax.set(title=name, xlabel="days since upload")
    np.atleast_1d(axes)[0].set_ylabel("share of the\nday's watches (%)")
    return fig


@styled
def learned_lives(span: np.ndarray, panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw the three curves of P1's Figure 4: ours, and the paper's on the right.

    Parameters
    ----------
    span : (d,) days since upload
    panels : title -> "observed", "with example age", "without age" -> (d,) class probability
    """
    fig, axes = figure(len(panels) + 1, height=4.1)
    for ax, (title, curves) in zip(axes, panels.items(), strict=False):
        for name, label in _LINES.items():
            style = {**look(label), "marker": "o" if name == "observed" else "", "ms": 4}
            ax.plot(span, 1000 * np.asarray(curves[name]), **style)
        ax.set_title(title, fontsize=12)
    for name, label in _LINES.items():
        style = {**look(label), "marker": "o" if name == "observed" else "", "ms": 4}
        axes[-1].plot(paper.FIG4_DAYS, paper.FIG4[name], label=name, **style)
    for ax in axes:
        ax.axvline(0, color=colour("control"), lw=1, ls=":")
        ax.set_xlabel("days since upload")
        ax.set_ylim(bottom=0)
    for ax in axes[1:-1]:
        ax.set_ylim(axes[0].get_ylim())
    axes[0].set_ylabel("class probability x 1000")
    axes[-1].set_title("P1, Fig. 4 (digitised)", fontsize=12)
    fig.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _served_point(ax, x: float, y: float, text: str) -> None:
    """Mark what is served; the words stay inside the frame."""
    ax.plot(x, y, "o", ms=12, color=colour("you"), clip_on=False, zorder=3)
    left, right = ax.get_xlim()
    share = (x - left) / (right - left)
    side = "left" if share < 0.15 else "right" if share > 0.85 else "center"
    above = 28 if side == "right" else 16  # clear of the curve, which comes from the left
    ax.annotate(
        text, (x, y), xytext=(0, above), textcoords="offset points", ha=side, color=colour("you"),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85},
        annotation_clip=False,
    )  # fmt: skip


@styled
def served_age(
    days_before: int,
    video: str,
    lives: Mapping[str, np.ndarray],
    span: np.ndarray,
    t_max: float,
    uploaded: Mapping[str, float],
) -> Figure:
    """Draw what the model answers when it is served at an example age.

    Parameters
    ----------
    days_before : example age (days); 0 = now
    video : key of ``lives``
    lives : video -> (d,) class probability by example age ``span``, all else equal
    span : (d,) example ages, days
    t_max : end of the training log, days
    uploaded : video -> day of upload
    """
    fig, ax = figure(height=3.4)
    curve, at = 1000 * np.asarray(lives[video]), int(np.abs(span - days_before).argmin())
    ax.plot(t_max - span, curve, color=colour("example age"), lw=2.5)
    ax.axvline(uploaded[video], color=colour("control"), lw=1, ls=":")
    ax.annotate(
        "uploaded", (uploaded[video], 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0),
        textcoords="offset points", color=colour("control"),
    )  # fmt: skip
    ax.set(xlabel="day of the log that the model believes it is", title=video)
    ax.set_ylabel("class probability x 1000")
    ax.set_ylim(0, 1.25 * max(1e-9, curve.max()))
    ax.set_xlim(t_max - span.max() - 1, t_max + 2)
    _served_point(ax, t_max - span[at], curve[at], f"served at age {span[at]:g}: {curve[at]:.2f}")
    return fig


@styled
def served_ages(
    settings: Sequence[int],
    video: str,
    lives: Mapping[str, np.ndarray],
    span: np.ndarray,
    t_max: float,
    uploaded: Mapping[str, float],
) -> Figure:
    """Draw `served_age` at several settings in one picture: a point for each."""
    fig = served_age(settings[0], video, lives, span, t_max, uploaded)
    ax, curve = fig.axes[0], 1000 * np.asarray(lives[video])
    for age in settings[1:]:
        at = int(np.abs(span - age).argmin())
        _served_point(ax, t_max - span[at], curve[at], f"age {span[at]:g}: {curve[at]:.2f}")
    return fig


@styled
def serving_sweep(table: pd.DataFrame, true_fresh: float) -> Figure:
    """Draw quality and freshness against the example age at serving.

    Parameters
    ----------
    table : columns ``age`` (days), ``mrr``, ``fresh`` (share of the first 20)
    true_fresh : share of fresh videos among what was watched
    """
    fig, axes = figure(2, height=3.4)
    axes[0].plot(table["age"], table["mrr"], **look("example age"))
    axes[0].set(ylabel="mean reciprocal rank", title="Guessing the next watch")
    axes[1].plot(table["age"], 100 * table["fresh"], **look("example age"))
    axes[1].axhline(100 * true_fresh, color=colour("truth"), ls="--", lw=1.4)
    axes[1].annotate("truly watched", (table["age"].iloc[-1], 100 * true_fresh), ha="right",
                     xytext=(0, 4), textcoords="offset points")  # fmt: skip
    axes[1].set(ylabel="under 5 days old (%)", title="How fresh the first 20 are")
    axes[0].annotate("mean age of training", (table["age"].iloc[-1], table["mrr"].iloc[-1]),
                     xytext=(4, -18), ha="right", textcoords="offset points")  # fmt: skip
    for ax in axes:
        ax.set_xlabel("example age at serving (days)")
        ax.set_ylim(bottom=0)
    return fig


@styled
def gain_by_history(gains: Mapping[str, np.ndarray]) -> Figure:
    """Draw what demographics add, by the number of watches before.

    Parameters
    ----------
    gains : group -> (seeds,) difference of the mean reciprocal rank
    """
    fig, ax = figure(height=3.4, alt=f"Gain by demographics: {', '.join(gains)} watches before")
    for x, values in enumerate(gains.values()):
        mean, half = interval(values)
        ax.bar(x, mean, color=colour("demographics"), width=0.6, alpha=0.75)
        ax.errorbar(x, mean, yerr=half, color=colour("truth"), capsize=5, lw=1.5)
        ax.plot(np.full(len(values), x + 0.18), values, "o", ms=4, color=colour("control"))
    ax.axhline(0, color=colour("control"), lw=1)
    ax.set_xticks(range(len(gains)), list(gains))
    ax.set(xlabel="watches before", ylabel="gain in mean reciprocal rank")
    ax.grid(axis="x", visible=False)
    return fig


@styled
def depth_grid(
    ours: Mapping[str, np.ndarray],
    live: Mapping[tuple[str, int], float] | None = None,
    ylabel: str = "mean reciprocal rank",
) -> Figure:
    """Draw P1's Figure 6: feature sets by depth, ours beside the paper's.

    Parameters
    ----------
    ours : feature set -> (seeds, depths), or (seeds, 1) for a dashed line
    live : (feature set, depth) -> value of models trained just now
    """
    fig, axes = figure(2, height=4.4)
    x = np.arange(max(values.shape[1] for values in ours.values()))
    dashed = {"ls": "--", "marker": ""}
    for i, (name, values) in enumerate(ours.items()):
        line = values.shape[1] == 1
        # Side by side: four bands on top of each other cannot be told apart.
        mean, half = interval(values)
        aside = x[: values.shape[1]] + 0.11 * (i - (len(ours) - 1) / 2)
        axes[0].errorbar(aside, mean, yerr=half, capsize=2, elinewidth=1, **look(name))
        if line:
            axes[0].plot(x, np.full(len(x), mean[0]), **{**look(name), **dashed})
        axes[1].plot(x, paper.FIG6[name], label=name, **{**look(name), **(dashed if line else {})})
    for (name, depth), value in (live or {}).items():
        axes[0].plot(depth, value, "*", ms=16, mfc=colour(name), mec=colour("truth"), mew=1.2,
                     ls="", zorder=5, label=f"{name}, depth {depth}, just now")  # fmt: skip
    if live:
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(low - 0.16 * (high - low), high)  # room for the legend of the stars
        stars, names = axes[0].get_legend_handles_labels()
        chosen = [(s, n) for s, n in zip(stars, names, strict=True) if n.endswith("just now")]
        axes[0].legend(*zip(*chosen, strict=True), loc="lower left", fontsize=10)
    axes[0].set(ylabel=ylabel, title="Here (five worlds)")
    axes[1].set(ylabel="mean average precision (%)", title="P1, Figure 6 (digitised)")
    for ax in axes:
        ax.set_xlabel("hidden layers")
        ax.set_xticks(x)
    axes[1].set_ylim(0, 18)
    axes[1].legend(loc="upper left", ncols=2)
    return fig


@styled
def depth_by_measure(panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw the change against depth 0, one panel for each measure.

    Parameters
    ----------
    panels : title (with the unit) -> feature set -> (seeds, depths) difference from depth 0
    """
    fig, axes = figure(len(panels), height=3.7)
    for ax, (title, lines) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        for name, values in lines.items():
            band(ax, np.arange(values.shape[1]), values, name)
        ax.axhline(0, color=colour("control"), lw=1)
        ax.set(title=title, xlabel="hidden layers")
        ax.set_xticks(np.arange(values.shape[1]))
    np.atleast_1d(axes)[0].set_ylabel("change against depth 0")
    np.atleast_1d(axes)[0].legend(loc="best")
    return fig


@styled
def what_depth_is_for(
    layer: Mapping[str, np.ndarray], x: Sequence[float], rivals: Mapping[str, np.ndarray]
) -> Figure:
    """Draw what one hidden layer gains world by world, and beside it what its rivals gain.

    Parameters
    ----------
    layer : kind of world -> (seeds,) fall of the cross-entropy on the days after, nats
    x : (k,) settings of the dial ``context_taste``
    rivals : rival -> (seeds, k) fall of the cross-entropy inside the window, nats
    """
    fig, (left, right) = figure(2, height=3.9)
    for y, values in enumerate(reversed(list(layer.values()))):
        values = np.asarray(values)
        mean, half = interval(values)
        left.plot(values, np.full(len(values), y), "o", color=colour("one layer"), ms=5, alpha=0.45)
        left.errorbar(mean, y, xerr=half, fmt="D", color=colour("one layer"), ms=8, capsize=4)
    left.axvline(0, color=colour("control"), lw=1)
    left.set_yticks(range(len(layer)), [_WORLDS.get(name, name) for name in reversed(list(layer))])
    left.set_ylim(-0.6, len(layer) - 0.4)
    left.grid(axis="y", visible=False)
    left.set(xlabel="gain over the linear model (nats)", title="One layer, days after")
    for name, values in rivals.items():
        band(right, x, values, name)
    right.axhline(0, color=colour("control"), lw=1)
    right.set_xticks(list(x), ["does not matter", "matters twofold"])
    right.set_xlim(min(x) - 0.6, max(x) + 0.6)
    right.set(ylabel="gain over the linear model (nats)", title="Rivals, in the window")
    right.set_xlabel("the moment")
    right.legend(loc="center right", fontsize=10)
    return fig
