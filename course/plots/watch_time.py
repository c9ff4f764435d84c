"""Figures of chapter 07: clicks against minutes, the odds, the ladder, what a click may weigh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments.watch_time import oracle_contest, simulated_odds
from course.plots import paper
from course.plots.palette import colour, look
from course.plots.style import MUTED, Figure, figure, floor_and_ceiling, interval, styled

_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
_CONTEST = {
    "watch_minutes": "minutes per page",
    "clicks": "clicks per page",
    "satisfied": "satisfied watches",
    "clickbait": "clickbait shown (%)",
}


@styled
def clicks_against_minutes(
    click_rate: np.ndarray, share: np.ndarray, minutes: np.ndarray, best: int = 40
) -> Figure:
    """Draw for each video what its clicks are worth.

    Parameters
    ----------
    click_rate : (v,) clicks per showing
    share : (v,) mean share of the video that a click watched
    minutes : (v,) minutes watched per 100 showings
    best : how many are marked as the best by clicks and by minutes
    """
    fig, (left, right) = figure(2, height=3.9)
    by_clicks, by_minutes = (np.argsort(-x)[:best] for x in (click_rate, minutes))
    for ax, y in ((left, 100 * share), (right, minutes)):
        ax.plot(100 * click_rate, y, "o", ms=3, color=colour("random"), alpha=0.5)
        # The second is smaller: a video that is both shows a rim of the first.
        for rows, name, ms in ((by_clicks, "click ranker", 7.5),
                               (by_minutes, "watch-time ranker", 4)):  # fmt: skip
            ax.plot(100 * click_rate[rows], y[rows], ls="", ms=ms, marker=look(name)["marker"],
                    color=colour(name), alpha=0.9)  # fmt: skip
        ax.set_xlabel("clicks per 100 showings")
    left.set(ylabel="share of the video that\na click watches (%)", title="What a click gets")
    right.set(yscale="log", ylabel="minutes watched\nper 100 showings",
              title="What a showing is worth")  # fmt: skip
    marks = [
        right.plot([], [], ls="", marker=look(name)["marker"], color=colour(name), label=label)[0]
        for name, label in (("click ranker", f"the {best} most clicked"),
                            ("watch-time ranker", f"the {best} with the most minutes"))
    ]  # fmt: skip
    fig.legend(handles=marks, loc="outside lower center", ncols=2)
    return fig


def _draw_odds(ax, curve_ax, click_rate: float) -> None:
    p, watch, odds = simulated_odds(click_rate)
    ax.plot(watch, odds, "o", ms=3.5, color=colour("watch-time ranker"), alpha=0.6)
    ends = [0.8 * watch.min(), 1.3 * odds.max()]
    ax.plot(ends, ends, color=colour("truth"), lw=1.4, ls="--")
    ax.annotate("odds = E[T]", (0.96, 0.06), xycoords="axes fraction", color=MUTED, ha="right",
                bbox=_BOX)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="E[T], minutes per showing",
           title=f"{p.mean():.0%} are clicked")  # fmt: skip
    grid = np.linspace(0, 0.95, 200)
    curve_ax.plot(100 * p, odds / watch, "o", ms=3.5, color=colour("watch-time ranker"), alpha=0.6)
    curve_ax.plot(100 * grid, 1 / (1 - grid), color=colour("truth"), lw=1.4, ls="--")
    curve_ax.set(xlabel="P(click) of the video (%)", xlim=(0, 100), ylim=(0.8, 8))
    i, j = np.triu_indices(len(p), 1)
    turned = ((watch[i] - watch[j]) * (odds[i] - odds[j]) < 0).mean()
    curve_ax.set_title(f"{turned:.1%} of pairs turned", fontsize=12)


@styled
def odds_leave(click_rate: float) -> Figure:
    """Draw the odds of simulated videos against their expected watch time.

    Parameters
    ----------
    click_rate : P(click) of a typical video
    """
    fig, (left, right) = figure(2, height=3.7)
    _draw_odds(left, right, click_rate)
    left.set_ylabel("odds learned (minutes)")
    right.set_ylabel("odds / E[T]")
    right.annotate("1 / (1 - P)", (78, 4.5), xytext=(-64, 4), textcoords="offset points",
                   color=MUTED, bbox=_BOX)  # fmt: skip
    return fig


@styled
def odds_leave_at(click_rates: Sequence[float]) -> Figure:
    """Draw `odds_leave` at several click rates, one column each."""
    fig, axes = figure(len(click_rates), 2, height=6.2)
    for (top, bottom), rate in zip(axes.T, click_rates, strict=True):
        _draw_odds(top, bottom, rate)
    axes[0, 0].set_ylabel("odds learned (minutes)")
    axes[1, 0].set_ylabel("odds / E[T]")
    return fig


@styled
def calibration(worlds: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw served odds over the true watch time, by the click probability of the group.

    Parameters
    ----------
    worlds : title -> table of `course.experiments.watch_time.calibration`
    """
    fig, axes = figure(len(worlds), height=4.1)
    for ax, (title, table) in zip(np.atleast_1d(axes), worlds.items(), strict=True):
        p = 100 * table["p"]
        ax.plot(p, table["odds"] / table["watch"], ls="", ms=7,
                label="odds", **look("watch-time ranker"))  # fmt: skip
        if "repaired" in table:
            ax.plot(p, table["repaired"] / table["watch"], ls="", ms=7,
                    label="odds x (1 - P by a click ranker)", **look("repaired odds"))  # fmt: skip
        grid = np.linspace(0, max(0.15, 1.1 * table["p"].max()), 100)
        ax.plot(100 * grid, 1 / (1 - grid), color=colour("truth"), ls="--", lw=1.4,
                label="1 / (1 - P)")  # fmt: skip
        ax.axhline(1, color=colour("control"), lw=1)
        ax.set(title=title, xlabel="true P(click) of the group (%)")
    np.atleast_1d(axes)[0].set_ylabel("served / true E[T]")
    handles = np.atleast_1d(axes)[-1].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=3)
    return fig


@styled
def table1(
    ours: Mapping[str, np.ndarray],
    oracle: np.ndarray,
) -> Figure:
    """Draw P1's Table 1, ours beside the paper's, in percent of the loss without hidden layers.

    Numbers beside the points are the losses themselves.

    Parameters
    ----------
    ours : hidden layers -> (seeds,) weighted per-user loss, percent; the first is the base
    oracle : (seeds,) the loss of the truth
    """
    fig, (left, right) = figure(2, height=4.4, sharey=True)
    losses_of = np.stack(list(ours.values()), axis=1)
    share = 100 * losses_of / losses_of[:, :1]
    mean, half = interval(share)
    x = np.arange(len(ours))
    left.plot(x, share.T, color=colour("watch-time ranker"), lw=0.8, alpha=0.35)
    left.errorbar(x, mean, yerr=half, capsize=3, ls="", ms=7, **look("watch-time ranker"))
    floor_and_ceiling(left, None, float(np.mean(100 * oracle / losses_of[:, 0])))
    values = np.array(list(paper.TABLE1.values()))
    right.plot(x, 100 * values / values[0], ls="", ms=7, **look("watch-time ranker"))
    for ax, names, y, text in (
        (left, ours, mean + np.nan_to_num(half), losses_of.mean(axis=0)),
        (right, paper.TABLE1, 100 * values / values[0], values),
    ):
        for at, height, value in zip(x, y, text, strict=True):
            ax.annotate(f"{value:.1f}", (at, height), xytext=(0, 7), ha="center", color=MUTED,
                        textcoords="offset points", fontsize=10)  # fmt: skip
        ax.set_xticks(x, list(names), rotation=35, ha="right")
        ax.set_xlabel("hidden layers (ReLU)")
        ax.grid(axis="x", visible=False)
    left.set(ylabel="loss in percent of that\nwithout hidden layers", title="Here (five worlds)")
    right.set_title("P1, Table 1")
    return fig


@styled
def losses(
    values: Mapping[str, np.ndarray], base: str, looks: Mapping[str, str] | None = None
) -> Figure:
    """Draw by how much each ranker loses more than a base, world by world.

    Parameters
    ----------
    values : name -> (seeds,) weighted per-user loss, percent
    base : one of the names
    looks : name -> method whose colour it has
    """
    others = [name for name in values if name != base]
    fig, ax = figure(height=1.3 + 0.45 * len(others),
                     alt=f"Weighted per-user loss beside {base}: {', '.join(others)}")  # fmt: skip
    for y, name in enumerate(reversed(others)):
        more = np.asarray(values[name]) - np.asarray(values[base])
        mean, half = interval(more)
        style = colour((looks or {}).get(name, name))
        ax.plot(more, np.full(len(more), y), "o", ms=4, alpha=0.45, color=style)
        ax.errorbar(mean, y, xerr=half, fmt="D", ms=8, capsize=4, color=style)
        ax.annotate(f"{mean:+.2f}", (mean, y), xytext=(0, 8), ha="center", color=style,
                    textcoords="offset points")  # fmt: skip
    ax.axvline(0, color=colour("control"), lw=1)
    ax.set_yticks(range(len(others)), list(reversed(others)))
    ax.set_ylim(-0.6, len(others) - 0.3)
    ax.set_xlabel(f"loss minus that of {base} (percentage points; more is worse)")
    ax.grid(axis="y", visible=False)
    return fig


@styled
def by_clickbait(
    doses: Sequence[float], panels: Mapping[str, Mapping[str, np.ndarray]], base: str
) -> Figure:
    """Draw how rankers differ from a base over the dial ``clickbait``.

    Parameters
    ----------
    doses : (d,) settings of the dial
    panels : title (with the unit) -> ranker -> (seeds, d) difference from the base
    base : the ranker that is the line at 0
    """
    rows = -(-len(panels) // 2)
    fig, axes = figure(2, rows, height=3.1 * rows + 0.4, sharex=True)
    for ax, (title, lines) in zip(np.ravel(axes), panels.items(), strict=False):
        for i, (name, values) in enumerate(lines.items()):
            # Side by side: intervals on top of each other cannot be told apart.
            aside = np.asarray(doses) + 0.06 * (i - (len(lines) - 1) / 2)
            mean, half = interval(values)
            ax.errorbar(aside, mean, yerr=half, capsize=3, elinewidth=1, label=name, **look(name))
        ax.axhline(0, color=colour(base), lw=2, label=base)
        ax.set_title(title, fontsize=12)
        ax.set_xticks(doses)
    for ax in np.ravel(axes)[-2:]:
        ax.set_xlabel("dial clickbait (1 = as it is)")
    fig.legend(*np.ravel(axes)[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _contest_bars(axes, table: pd.DataFrame, labels: bool = True) -> None:
    names = {"clicks": "click ranker", "watch time": "watch-time ranker"}
    for ax, (metric, title) in zip(axes, _CONTEST.items(), strict=True):
        values = (100 if metric == "clickbait" else 1) * table[metric]
        bars = ax.bar(range(len(values)), values, color=[colour(names[n]) for n in table.index])
        ax.bar_label(bars, fmt="%.3g", fontsize=10)
        ax.set_xticks(range(len(values)), table.index if labels else ["", ""])
        ax.set_title(title, fontsize=10.5, fontweight="normal")
        ax.grid(axis="x", visible=False)


@styled
def clickbait_strength(strength: float) -> Figure:
    """Simulate a tiny world and draw what two all-knowing rankers do to its people.

    Parameters
    ----------
    strength : the dial ``clickbait``
    """
    fig, axes = figure(4, height=3.0, title=f"clickbait {strength:g}: ranked by the true ...")
    _contest_bars(axes, oracle_contest(strength))
    for ax, top in zip(axes, (10, 2.5, 0.8, 60), strict=True):
        ax.set_ylim(0, max(top, ax.get_ylim()[1]))
        ax.set_xlabel("ranked by")
    return fig


@styled
def clickbait_strengths(strengths: Sequence[float]) -> Figure:
    """Draw the outcomes of `clickbait_strength` at several settings, as lines."""
    tables = [oracle_contest(s) for s in strengths]
    fig, axes = figure(4, height=3.3)
    for ax, (metric, title) in zip(axes, _CONTEST.items(), strict=True):
        for name, method in (("clicks", "click ranker"), ("watch time", "watch-time ranker")):
            values = [(100 if metric == "clickbait" else 1) * t.loc[name, metric] for t in tables]
            ax.plot(strengths, values, label=f"ranked by true {name}", **look(method))
        ax.set_title(title, fontsize=10.5, fontweight="normal")
        ax.set(xlabel="dial clickbait", ylim=(0, None))
        ax.set_xticks(strengths)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


@styled
def long_videos(
    xauc: Mapping[str, np.ndarray], shown: Mapping[str, np.ndarray], ceiling: float
) -> Figure:
    """Draw order within groups of equal length, and how many long videos are shown.

    Parameters
    ----------
    xauc : way to value a watch -> (seeds,) XAUC within groups
    shown : the same ways -> (seeds,) share of long videos on the page
    ceiling : XAUC of the truth
    """
    fig, axes = figure(2, height=3.4, sharey=True)
    for ax, values, scale in ((axes[0], xauc, 1), (axes[1], shown, 100)):
        for y, name in enumerate(reversed(list(values))):
            mean, half = interval(scale * np.asarray(values[name]))
            ax.plot(scale * np.asarray(values[name]), np.full(len(values[name]), y), "o", ms=4,
                    alpha=0.45, color=colour(name))  # fmt: skip
            ax.errorbar(mean, y, xerr=half, fmt="D", ms=8, capsize=4, color=colour(name))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(xauc)), list(reversed(list(xauc))))
    axes[0].set_ylim(-0.6, len(xauc) - 0.2)
    floor_and_ceiling(axes[0], 0.5, ceiling, orient="v")
    axes[0].set_xlabel("XAUC within groups of equal length")
    axes[1].set_xlabel("long videos on the page (%)")
    return fig
