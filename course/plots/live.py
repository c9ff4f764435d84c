"""Figures of live experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.plots.palette import colour, look
from course.plots.style import Figure, figure, floor_and_ceiling, interval, styled
from course.simulator.experiment import ABResult

METRIC_LABELS = {
    "watch_minutes": "watch time per page (minutes)",
    "clicks": "clicks per page",
    "completions": "completed watches per page",
    "satisfied": "satisfied watches per page (4 or 5 stars)",
    "likes": "likes per page",
    "dismissals": "dismissals per page",
    "topics": "distinct topics on a page",
    "fresh_share": "share of videos under 7 days old",
    "coverage": "share of the catalogue shown",
}


@styled
def experiment(
    result: ABResult,
    metrics: Sequence[str] = ("clicks", "watch_minutes"),
    *,
    floor: str | None = "random",
    ceiling: str | Mapping[str, str] | None = "oracle",
) -> Figure:
    """Draw a live experiment: the 95 % interval of the sampled mean, exact expectation as a dot.

    Parameters
    ----------
    result : ABResult
    metrics : names of metrics, one panel each
    floor, ceiling : policies of the experiment that are drawn as dashed lines, where they exist;
        a ceiling may also be given for each metric
    """
    names = result.table["policy"].unique()
    alt = f"Live experiment on {', '.join(metrics)}: {', '.join(names)}"
    fig, axes = figure(len(metrics), height=0.9 + 0.5 * len(names), alt=alt)
    tops = dict(ceiling) if isinstance(ceiling, Mapping) else dict.fromkeys(metrics, ceiling)
    ends = {floor, *tops.values()}
    for ax, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        rows = result.table[result.table["metric"] == metric].set_index("policy")
        low, high = (rows["expected"].get(name) for name in (floor, tops.get(metric)))
        shown = [name for name in rows.index if name not in ends]
        for y, name in enumerate(reversed(shown)):
            row = rows.loc[name]
            ax.plot([row["low"], row["high"]], [y, y], color=colour(name), lw=12, alpha=0.3)
            ax.plot(row["expected"], y, "o", color=colour(name), ms=7)
        ax.set_yticks(range(len(shown)), list(reversed(shown)))
        ax.set_ylim(-0.6, len(shown) - 0.4)
        ax.set_xlabel(METRIC_LABELS.get(metric, metric))
        ax.grid(axis="y", visible=False)
        floor_and_ceiling(ax, low, high, orient="v")
        ax.set_xlim(left=0)
    return fig


@styled
def gap_closed(shares: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Draw the share of the gap between random (0 %) and oracle (100 %) that each method closes.

    Parameters
    ----------
    shares : method -> one value per seed, as a share (a dict, or a DataFrame with one column each)
    """
    shares = {name: np.asarray(shares[name], float) for name in shares}
    ends = {name: interval(100 * values) for name, values in shares.items()}
    words = "; ".join(f"{name} {m:.0f} (95 % ± {h:.0f})" for name, (m, h) in ends.items())
    alt = f"{title or 'Gap closed'}. Percent of the gap between random and oracle: {words}"
    fig, ax = figure(height=1.2 + 0.55 * len(shares), title=title, alt=alt)
    for y, (name, values) in enumerate(reversed(list(shares.items()))):
        values, (mean, half) = 100 * values, ends[name]
        ax.plot(values, np.full(len(values), y), "o", color=colour(name), ms=4, alpha=0.45)
        ax.errorbar(mean, y, xerr=half, fmt="D", color=colour(name), ms=8, capsize=4)
    ax.set_yticks(range(len(shares)), list(reversed(list(shares))))
    ax.set_ylim(-0.6, len(shares) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of the gap between random and oracle (%)")
    floor_and_ceiling(ax, 0, 100, orient="v")
    return fig


@styled
def funnel_tradeoff(table: pd.DataFrame, candidates: int | Sequence[int] = 200) -> Figure:
    """Draw what the first stage's size buys.

    Parameters
    ----------
    table : what `course.experiments.funnel.candidate_sizes` returned
    candidates : the setting (or settings) to mark; the nearest row of the table is taken
    """
    fig, axes = figure(2, height=3.6)
    x = table["candidates"].to_numpy()
    for ax, column, name, label in (
        (axes[0], "clicks", "two stages", ""),
        (axes[1], "recall", "matrix factorization", "factorization"),
    ):
        y = table[column].to_numpy()
        ax.plot(x, y, label=label, **look(name))
        for setting in np.atleast_1d(candidates):
            i = int(np.abs(np.log(x / setting)).argmin())
            ax.plot(x[i], y[i], "o", ms=13, mfc="none", mew=2.5, color=colour("you"))
            side = "right" if i == len(x) - 1 else "left" if i == 0 else "center"
            ax.annotate(
                f"{x[i]:,}: {y[i]:.2f}", (x[i], y[i]), xytext=(0, -22),
                textcoords="offset points", ha=side, color=colour("you"),
            )  # fmt: skip
        ax.set(xscale="log", xlabel="videos handed to the ranker")
        ax.set_xticks(x, [f"{value:,}" for value in x], rotation=45)
        ax.set_xticks([], minor=True)
    axes[0].set(ylabel="expected clicks per page", title="What the viewer gets")
    axes[0].set_ylim(0, 1.2 * table["clicks"].max())
    axes[1].plot(x, table["popular_recall"], label="popularity", **look("popularity"))
    axes[1].set(ylabel="share of later watches in it", title="What the first stage keeps")
    axes[1].set_ylim(-0.08, 1.08)
    axes[1].legend(loc="upper left")
    return fig


@styled
def standing(chance: np.ndarray, you: float, best: float, system: float | None = None) -> Figure:
    """Draw where a page stands between random pages and the best possible page.

    Parameters
    ----------
    chance : (m,) expected clicks of random pages; you, best, system : expected clicks of the
        reader's page, of the best page, and (optional) of the page of a rival system
    """
    fig, ax = figure(
        height=2.8,
        alt=f"Expected clicks: you {you:.2f}, random {np.mean(chance):.2f}, oracle {best:.2f}",
    )
    ax.hist(chance, bins=40, color=colour("random"), alpha=0.6, label="random pages")
    if system is not None:
        ax.axvline(system, color=colour("the system"), lw=2, ls="-.", label="the system's page")
    ax.axvline(you, color=colour("you"), lw=3, label="your page")
    floor_and_ceiling(ax, float(np.mean(chance)), best, orient="v")
    ax.set(xlabel="expected clicks of the page", ylabel="number of random pages", yticks=[])
    ax.legend(loc="upper center")
    return fig
