"""Figures of the log, and of what it hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments.worlds import dial_world
from course.plots.palette import colour, look
from course.plots.style import MUTED, Figure, figure, styled
from course.simulator.names import DEVICES


@styled
def long_tail(per_video: np.ndarray, per_user: np.ndarray) -> Figure:
    """Draw watches per video and per account, both sorted, on logarithmic axes."""
    fig, axes = figure(2, height=3.5)
    for ax, counts, what in ((axes[0], per_video, "videos"), (axes[1], per_user, "accounts")):
        ordered = np.sort(counts)[::-1]
        head = max(1, len(ordered) // 20)
        share = ordered[:head].sum() / ordered.sum()
        ax.plot(np.arange(1, len(ordered) + 1), np.maximum(ordered, 0.5), color=colour("observed"))
        ax.axvspan(1, head, color=colour("recent popularity"), alpha=0.2, lw=0)
        ax.set(xscale="log", yscale="log", xlabel=f"{what}, most watched first", ylabel="watches")
        ax.set_title(f"The top 5% of {what} have {share:.0%}")
    return fig


@styled
def life_of_a_video(day: np.ndarray, watches: np.ndarray, law: np.ndarray, name: str) -> Figure:
    """Draw one video's watches per day since its upload beside the law behind them.

    Parameters
    ----------
    day : (d,) days since upload; watches : (d,) per day; law : (d,) true popularity, any scale
    """
    fig, ax = figure(height=3.4)
    ax.bar(
        day, watches, width=0.8, color=colour("observed"), alpha=0.65, label="watches in the log"
    )
    scale = watches.sum() / law.sum()
    ax.plot(day, law * scale, color=colour("truth"), label="true popularity (scaled)")
    ax.axvline(0, color=MUTED, lw=1, ls=":")
    ax.set(xlabel="days since upload", ylabel="watches per day", title=f"The life of {name}")
    ax.legend()
    return fig


@styled
def position_split(
    ctr: np.ndarray, relevance: np.ndarray, seen: np.ndarray, *, title: str = ""
) -> Figure:
    """Draw the click-through rate by position, and its two factors (P2, Fig. 6).

    Parameters
    ----------
    ctr, relevance, seen : (k,) for positions 1 to k; observed click-through rate, true mean
        P(click | seen) and true P(seen)
    """
    position = np.arange(1, len(ctr) + 1)
    fig, axes = figure(2, height=3.7)
    axes[0].bar(position, 100 * ctr, color=colour("observed"), alpha=0.75)
    axes[0].set(xlabel="position on the page", ylabel="click-through rate (%)")
    axes[0].set_title("What the log shows")
    for values, name, label in (
        (ctr, "observed", "click-through rate"),
        (relevance, "recent popularity", "relevance: P(click | seen)"),
        (seen, "shallow tower", "bias: P(seen)"),
    ):
        style = {**look(name), "ls": "--" if name == "observed" else "-"}
        axes[1].plot(position, values / values[0], label=label, **style)
    axes[1].set(xlabel="position on the page", ylabel="relative to position 1", yscale="log")
    axes[1].set_title("The two factors behind it")
    axes[1].set_yticks([1, 0.5, 0.2, 0.1, 0.05], ["1", "1/2", "1/5", "1/10", "1/20"])
    axes[1].set_yticks([], minor=True)
    axes[1].set_ylim(0.7 * min(values.min() / values[0] for values in (ctr, relevance, seen)), 1.15)
    axes[1].legend()
    for ax in axes:
        ax.set_xticks(position)
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return fig


@styled
def by_device(curves: Mapping[str, np.ndarray], truth: np.ndarray) -> Figure:
    """Draw P(seen) by position for each device: estimated (points) over true (lines).

    Parameters
    ----------
    curves : device name -> (k,) estimate relative to position 1
    truth : (3, k) true P(seen), in the order of ``DEVICES``
    """
    fig, ax = figure(height=3.6)
    for i, device in enumerate(DEVICES):
        position = np.arange(1, truth.shape[1] + 1)
        style = ("-", "--", ":")[i]
        (line,) = ax.plot(position, truth[i], ls=style, label=f"{device}, true")
        if device in curves:
            ax.plot(
                position, curves[device], "o", color=line.get_color(), label=f"{device}, estimated"
            )
    ax.set(xlabel="position on the page", ylabel="P(seen), relative to position 1")
    ax.set_title("How far down people look")
    ax.set_xticks(np.arange(1, truth.shape[1] + 1))
    ax.legend(ncols=2)
    return fig


@styled
def locally_sparse(table: pd.DataFrame) -> Figure:
    """Draw the error of a video's estimated click rate by popularity decile (P2, section 5).

    Parameters
    ----------
    table : DataFrame, index 1 (least shown) to 10; columns ``impressions`` (median per video) and
        ``error`` (median relative error of the estimate)
    """
    fig, axes = figure(2, height=3.4)
    axes[0].plot(table.index, table["impressions"], **look("observed"))
    axes[0].set(yscale="log", ylabel="impressions of a video (median)")
    axes[0].set_title("What we have")
    axes[1].plot(table.index, 100 * table["error"], **look("no treatment"))
    axes[1].set(ylabel="error of its rate (%, median)", ylim=(0, None))
    axes[1].set_title("What we know")
    for ax in axes:
        ax.set_xlabel("popularity decile (1 = least shown)")
        ax.set_xticks(range(1, 11))
    return fig


@styled
def click_against_satisfaction(table: pd.DataFrame) -> Figure:
    """Draw clicks and ratings against clickbait.

    Parameters
    ----------
    table : DataFrame, one row per clickbait group, ordered; columns ``clickbait`` (mean, in sd),
        ``ctr`` (click-through rate), ``rating`` (mean stars of those who clicked)
    """
    fig, axes = figure(2, height=3.4)
    axes[0].plot(table["clickbait"], 100 * table["ctr"], **look("click ranker"))
    axes[0].set(ylabel="click-through rate (%)", title="Clicks rise")
    axes[1].plot(table["clickbait"], table["rating"], **look("watch-time ranker"))
    axes[1].set(ylabel="true mean rating (stars)", title="Ratings fall")
    for ax in axes:
        ax.set_xlabel("clickbait of the video (sd, hidden)")
    return fig


@styled
def dials(results: Sequence[tuple[str, pd.DataFrame]], *, top: float | None = None) -> Figure:
    """Draw click-through rate and true relevance by position for one or more worlds.

    Parameters
    ----------
    results : (title, DataFrame with index position and columns ``ctr``, ``relevance``)
    top : end of the y axis in percent; without it, what the curves need
    """
    fig, axes = figure(len(results), height=3.4, sharey=True)
    for ax, (title, table) in zip(np.atleast_1d(axes), results, strict=True):
        ax.plot(table.index, 100 * table["ctr"], label="click-through rate", **look("observed"))
        ax.plot(
            table.index, 100 * table["relevance"], label="relevance: P(click | seen)",
            **look("recent popularity"),
        )  # fmt: skip
        ax.set(xlabel="position on the page", title=title)
        ax.set_xticks(table.index)
    axes = np.atleast_1d(axes)
    axes[0].set_ylim(0, top or 105 * max(table.to_numpy().max() for _, table in results))
    axes[0].set_ylabel("probability (%)")
    axes[0].legend()
    return fig


def turned_dials(position_bias: float, logger_relevance: float, logger_noise: float) -> Figure:
    """Simulate a tiny world with three dials turned, and draw it (see `dials`)."""
    table = dial_world(
        position_bias=position_bias, logger_relevance=logger_relevance, logger_noise=logger_noise
    )
    title = f"bias {position_bias:g}, relevance {logger_relevance:g}, noise {logger_noise:g}"
    return dials([(title, table)], top=40.0)
