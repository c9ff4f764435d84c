"""Figures of matrix factorization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from scipy.sparse import csr_matrix

from course.experiments.factor_settings import TOP, settings_curve
from course.plots.palette import colour, look
from course.plots.style import MUTED, Figure, figure, floor_and_ceiling, interval, styled

METRICS = {"mrr": "MRR"}
_CELLS = 220  # accounts and videos are drawn in at most so many groups


@styled
def who_watched_what(
    table: csr_matrix, user_group: np.ndarray, video_group: np.ndarray, lift: Mapping[str, float]
) -> Figure:
    """Draw the table who-watched-what, and how far videos share their viewers.

    Parameters
    ----------
    table : (users, videos); user_group, video_group : names of groups (users,) and (videos,), such
        as languages; rows and columns are sorted by them, videos further by their number
    lift : kind of pairs of videos -> shared viewers, 1 = as many as by chance
    """
    fig, axes = figure(2, height=3.9, width_ratios=(1.25, 1))
    rows, columns = np.argsort(user_group, kind="stable"), np.argsort(video_group, kind="stable")
    axes[0].imshow(
        _shrunk(table[rows][:, columns]) ** 0.5, cmap="Blues", aspect="auto",
        extent=(0, table.shape[1], table.shape[0], 0), interpolation="nearest",
    )  # fmt: skip
    for axis, group in ((axes[0].xaxis, video_group), (axes[0].yaxis, user_group)):
        names, counts = np.unique(group, return_counts=True)
        middle = np.cumsum(counts) - counts / 2
        axis.set_ticks(middle, names)
        for edge in np.cumsum(counts)[:-1]:
            (axes[0].axvline if axis is axes[0].xaxis else axes[0].axhline)(edge, color=MUTED, lw=1)
    axes[0].tick_params(length=0)
    axes[0].grid(visible=False)
    axes[0].set(xlabel="videos, by language, old to new", ylabel="accounts, by language")
    axes[0].set_title("Who watched what")
    names = list(lift)[::-1]
    axes[1].barh(names, [lift[name] for name in names], color=colour("observed"), alpha=0.8)
    axes[1].axvline(1, color=colour("random"), ls="--", lw=1.4)
    for y, name in enumerate(names):
        axes[1].annotate(f"{lift[name]:.1f}", (lift[name], y), xytext=(4, 0), va="center",
                         textcoords="offset points")  # fmt: skip
    axes[1].set(xlabel="shared viewers (1 = by chance)", title="Viewers of two videos")
    axes[1].set_xlim(0, 1.15 * max(lift.values()))
    axes[1].grid(axis="y", visible=False)
    return fig


def _shrunk(table: csr_matrix) -> np.ndarray:
    """Mean of blocks of a large table."""
    pairs = table.tocoo()
    r, c = min(_CELLS, table.shape[0]), min(_CELLS, table.shape[1])
    out = np.zeros((r, c))
    place = (pairs.row.astype(np.int64) * r // table.shape[0],
             pairs.col.astype(np.int64) * c // table.shape[1])  # fmt: skip
    np.add.at(out, place, 1.0)
    return out / out.max()


@styled
def descent(objective: Sequence[float], mrr: Sequence[float], counts: float) -> Figure:
    """Draw the objective after each half step, and the held-out quality after each iteration.

    Parameters
    ----------
    objective : (2 n,), users' and videos' half steps in turns; mrr : (n,)
    counts : MRR of popularity in the account's language
    """
    fig, axes = figure(2, height=3.4)
    steps = (np.arange(len(objective)) + 1) / 2
    axes[0].plot(steps, np.asarray(objective) / 1e3, **look("matrix factorization"))
    axes[0].set(ylabel="objective (thousands)", title="What is minimised falls")
    axes[1].plot(np.arange(len(mrr)) + 1, mrr, **look("matrix factorization"))
    axes[1].axhline(counts, color=colour("popularity in my language"), ls="--", lw=1.4)
    axes[1].annotate(
        "popularity in my language", (1, counts), xytext=(0, -14), textcoords="offset points",
        color=colour("popularity in my language"),
    )  # fmt: skip
    axes[1].set(ylabel="MRR of the next watch", title="What we want rises")
    axes[1].set_ylim(0.7 * min(counts, *mrr), 1.08 * max(counts, *mrr))
    for ax in axes:
        ax.set_xlabel("iteration")
    return fig


@styled
def contest(
    tables: Mapping[str, Mapping[str, Sequence[float]]], *, floor: str = "random",
    ceiling: str = "oracle",
) -> Figure:  # fmt: skip
    """Draw how well methods guess the next watch, in one world or in several.

    Parameters
    ----------
    tables : metric -> {method: one value, or one for each world}; a method's colour is that of its
        name up to a comma. ``floor`` and ``ceiling`` become dashed lines, if they are there.
    """
    first = next(iter(tables.values()))
    names = [name for name in first if name not in (floor, ceiling)]
    fig, axes = figure(len(tables), height=1.6 + 0.4 * len(names), sharey=True)
    for ax, (metric, values) in zip(np.atleast_1d(axes), tables.items(), strict=True):
        for y, name in enumerate(reversed(names)):
            points = np.atleast_1d(np.asarray(values[name], float))
            style = {"color": colour(name.split(",")[0])}
            if len(points) == 1:
                ax.plot([0, points[0]], [y, y], lw=9, alpha=0.35, solid_capstyle="butt", **style)
                ax.plot(points, [y], "o", ms=7, **style)
            else:
                mean, half = interval(points)
                ax.plot(points, np.full(len(points), y), "o", ms=4, alpha=0.45, **style)
                ax.errorbar(mean, y, xerr=half, fmt="D", ms=7, capsize=4, **style)
        ends = [np.mean(values[name]) if name in values else None for name in (floor, ceiling)]
        ax.set_xlim(left=0)
        # No words at the lines: side by side, "oracle" of one panel runs into "random" of the next.
        floor_and_ceiling(ax, *ends, orient="v", labels=("", ""))
        ax.set_xlim(left=0)
        ax.set_xlabel(METRICS.get(metric, metric))
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.grid(axis="y", visible=False)
    np.atleast_1d(axes)[0].set_yticks(range(len(names)), names[::-1])
    lines = [
        Line2D([], [], color=colour(look_of), ls=(0, (5, 3)), lw=1.4, label=name)
        for name, look_of in ((floor, "random"), (ceiling, "oracle"))
        if name in first
    ]
    if lines:
        fig.legend(handles=lines, loc="outside lower center", ncols=2)
    return fig


@styled
def clock_weights(table: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Draw held-out quality against the weight of what is in fashion.

    Parameters
    ----------
    table : index weight, columns are metrics
    lines : index method, the same columns; drawn as dashed lines for comparison
    """
    fig, axes = figure(table.shape[1], height=3.5)
    x = np.arange(len(table))
    for ax, metric in zip(np.atleast_1d(axes), table.columns, strict=True):
        ax.plot(x, table[metric], **look("factorization with a clock"))
        for name in lines.index:
            value = lines.loc[name, metric]
            ax.axhline(value, color=colour(name), ls="--", lw=1.4)
            ax.annotate(name, (x[-1], value), xytext=(0, -4), va="top", ha="right",
                        textcoords="offset points", color=colour(name))  # fmt: skip
        ax.set(xlabel="weight w of what is in fashion", ylabel=METRICS.get(metric, metric))
        ax.set_xticks(x, [f"{weight:g}" for weight in table.index])
        values = np.append(table[metric], lines[metric])
        ax.set_ylim(0.75 * values.min(), 1.06 * values.max())
    return fig


@styled
def taste_by_history(found: pd.DataFrame, watches: np.ndarray) -> Figure:
    """Draw the correlation of scores with true interest by the number of watches of an account.

    Parameters
    ----------
    found : index account, a column for each method (`course.experiments.factorization.recovery`);
        its colour is that of its name up to a comma
    watches : (accounts,), watches of each before the cut
    """
    edges = [0, 4, 9, 19, 39, 79, np.inf]
    labels = ["1-4", "5-9", "10-19", "20-39", "40-79", "80+"]
    group = pd.cut(watches, edges, labels=labels)
    fig, ax = figure(height=3.7)
    x = np.arange(len(labels))
    for name in found.columns:
        by_group = found[name].groupby(group, observed=False)
        mean, error = by_group.mean(), by_group.sem()
        ax.errorbar(x, mean, yerr=1.96 * error, label=name, capsize=3, **look(name.split(",")[0]))
    ax.axhline(0, color=MUTED, lw=1)
    ax.set_xticks(x, labels)
    ax.set(xlabel="watches of the account before the cut", ylabel="correlation with true interest")
    ax.set_title("What the scores know about taste")
    ax.legend(loc="upper left", fontsize=10)
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])
    return fig


def _fit_panel(ax, regularisation: float, factors: int, progress: Callable | None = None) -> None:
    table = settings_curve(regularisation, progress=progress)
    x = np.arange(len(table))
    for column, name, label, place in (
        ("fit", "no treatment", "watches it was trained on", 12),
        ("held_out", "matrix factorization", "watches of the next days", -22),
    ):
        ax.plot(x, table[column], label=label, **look(name))
        at = int(np.abs(np.log(table.index.to_numpy() / factors)).argmin())
        share = table[column].iloc[at]
        ax.plot(at, share, "o", ms=13, mfc="none", mew=2.5, color=colour("you"))
        ax.annotate(
            f"{share:.2f}", (at, share), xytext=(0, place), textcoords="offset points",
            ha="center", color=colour("you"),
        )  # fmt: skip
    ax.set_xticks(x, table.index)
    ax.set(xlabel="factors", ylim=(0, 1.6), title=f"regularisation {regularisation:g}")
    ax.set_yticks(np.arange(6) / 5)


@styled
def factors_and_regularisation(
    factors: int, regularisation: float, progress: Callable | None = None
) -> Figure:
    """Train ALS in a tiny world at each number of factors; draw fit and held-out quality."""
    fig, ax = figure(height=3.7)
    _fit_panel(ax, regularisation, factors, progress)
    ax.set_ylabel(f"share among the {TOP} best")
    ax.legend(loc="upper left")
    return fig


@styled
def factors_at(settings: Sequence[tuple[int, float]]) -> Figure:
    """Draw `factors_and_regularisation` for several (factors, regularisation)."""
    fig, axes = figure(len(settings), height=3.5, sharey=True)
    for ax, (factors, regularisation) in zip(np.atleast_1d(axes), settings, strict=True):
        _fit_panel(ax, regularisation, factors)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel(f"share among the {TOP} best")
    first.legend(loc="upper left", fontsize=10)
    return fig
