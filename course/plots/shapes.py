"""Chart shapes that recur: dots per world, lines with bands, a drawing of boxes and arrows.

Each takes a tidy table (a row for each number) and returns a figure whose alternative in words is
made of the numbers that it shows. A chart that occurs once is drawn where it occurs, with seaborn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns

from course.metrics import interval
from course.plots.palette import OTHER_COLOURS, colour, colours
from course.plots.style import INK, MUTED, WIDTH, Figure, figure, floor_and_ceiling, styled


def _whisker(values: pd.Series) -> tuple[float, float]:
    """Ends of the 95 % interval of a mean, as seaborn's ``errorbar`` wants them."""
    mean, half = interval(np.asarray(values, float))
    return float(mean - half), float(mean + half)


def in_words(values: pd.Series) -> str:
    """Mean and 95 % interval over worlds, as in "0.12 ± 0.03"."""
    mean, half = interval(np.asarray(values, float))
    return f"{mean:.3g}" + (f" ± {half:.2g}" if np.isfinite(half) and half > 0 else "")


def _panels(data: pd.DataFrame, panel: str | None) -> dict[str, pd.DataFrame]:
    if panel is None:
        return {"": data}
    parts = data.groupby(panel, sort=False, observed=True)
    return {{"mrr": "MRR"}.get(str(name), str(name)): part for name, part in parts}


@styled
def worlds(
    data: pd.DataFrame,
    value: str = "value",
    who: str = "who",
    panel: str | None = None,
    *,
    label: str = "",
    zero: bool = False,
    sharex: bool = False,
    references: Sequence[str] = (),
    alt: str = "",
) -> Figure:
    """Dots, one for each world, with their mean (diamond) and its 95 % interval.

    Parameters
    ----------
    data : one row for each world and method (and panel)
    value, who, panel : names of columns; panels stand side by side and share the methods
    label : of the axis of values
    zero : draw a line at 0
    sharex : draw all panels on one scale
    references : up to two of the methods that are shown as dashed lines instead: floor, ceiling
    alt : what comes before the numbers in the alternative in words
    """
    parts = _panels(data, panel)
    shown = [name for name in dict.fromkeys(data[who]) if name not in references]
    fig, axes = figure(ncols=len(parts), height=1.3 + 0.42 * len(shown), sharey=True, sharex=sharex,
                       squeeze=False)  # fmt: skip
    words = []
    for ax, (title, part) in zip(axes[0], parts.items(), strict=True):
        rows = part[part[who].isin(shown)]
        look = {"x": value, "y": who, "order": shown, "ax": ax}
        palette = {name: colour(name, OTHER_COLOURS[0]) for name in shown}  # rows have names
        sns.stripplot(rows, **look, hue=who, palette=palette, size=5, alpha=0.6, jitter=False,
                      legend=False)  # fmt: skip
        if rows.groupby(who).size().max() > 1:
            sns.pointplot(rows, **look, errorbar=_whisker, color=INK, marker="D", markersize=5,
                          linestyle="none", err_kws={"linewidth": 1.6})  # fmt: skip
        ends = [part.loc[part[who] == name, value].mean() for name in references]
        floor_and_ceiling(ax, *[*ends, None, None][:2], labels=[*references, "", ""][:2])
        if zero:
            ax.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
        if len(parts) > 1:  # narrow panels: the numbers at their axes would run into each other
            ax.locator_params(axis="x", nbins=5 if len(parts) == 2 else 4)
        ax.set(xlabel=label or value, ylabel="")
        ax.set_title(title, pad=24 if references else None)  # above the words at the dashed lines
        said = (f"{name} {in_words(of[value])}" for name, of in part.groupby(who, sort=False))
        words.append(f"{title}: " * bool(title) + ", ".join(said))
    fig.alt = f"{alt or label or value}. " + "; ".join(words) + "."
    return fig


@styled
def lines(
    data: pd.DataFrame,
    x: str,
    value: str = "value",
    who: str = "who",
    panel: str | None = None,
    *,
    label: str = "",
    log: bool = False,
    alt: str = "",
) -> Figure:
    """One line for each method over x: the mean over worlds, with its 95 % interval as a band.

    Parameters
    ----------
    data : one row for each method, x and world (and panel)
    x, value, who, panel : names of columns
    label : of the axis of values
    log : draw x on a logarithmic axis
    alt : what comes before the numbers in the alternative in words
    """
    parts = _panels(data, panel)
    fig, axes = figure(ncols=len(parts), height=4.0, squeeze=False)
    palette = colours(dict.fromkeys(data[who]))
    words = []
    for ax, (title, part) in zip(axes[0], parts.items(), strict=True):
        sns.lineplot(part, x=x, y=value, hue=who, style=who, palette=palette, markers=True,
                     dashes=False, errorbar=_whisker, legend=ax is axes[0][-1], ax=ax)  # fmt: skip
        if log:
            ax.set_xscale("log")
            ax.set_xticks(ticks := sorted(data[x].unique()), [f"{tick:,g}" for tick in ticks])
            ax.minorticks_off()
        ax.set(title=title, xlabel=x, ylabel=label or value)
        for name, of in part.groupby(who, sort=False):
            ends = of[of[x] == of[x].min()], of[of[x] == of[x].max()]
            first, last = (in_words(end[value]) for end in ends)
            words.append(f"{title}: " * bool(title) + f"{name} from {first} to {last}")
    axes[0][-1].legend(title="")
    span = f"{x} from {data[x].min():g} to {data[x].max():g}"
    fig.alt = f"{alt or label or value}, {span}. " + "; ".join(words) + "."
    return fig


@styled
def diagram(
    boxes: Mapping[str, tuple[float, float, str]],
    arrows: Sequence[tuple[str, str]],
    *,
    size: tuple[float, float] = (WIDTH, 5.0),
    fills: Mapping[str, str] | None = None,
    alt: str = "",
) -> Figure:
    """Boxes with words, joined by arrows: the drawing of a network or of a system.

    Parameters
    ----------
    boxes : name -> (x, y, words); x and y are the box's middle, in inches from the lower left
    arrows : pairs of names, from and to
    size : width and height, in inches
    fills : name -> colour of the box
    alt : the drawing in words; made of the boxes and arrows when left out
    """
    fig, ax = figure(width=size[0], height=size[1])
    ax.set(xlim=(0, size[0]), ylim=(0, size[1]))
    ax.axis("off")
    drawn = {}
    for name, (x, y, words) in boxes.items():
        fill = (fills or {}).get(name, "#eef2f6")
        drawn[name] = ax.text(
            x, y, words, ha="center", va="center", fontsize=11, color=INK, zorder=3,
            bbox={"boxstyle": "round,pad=0.45", "facecolor": fill, "edgecolor": MUTED},
        )  # fmt: skip
    for start, end in arrows:
        ax.annotate(
            "", xy=boxes[end][:2], xytext=boxes[start][:2], zorder=1,
            arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.3, "shrinkA": 4,
                        "patchA": drawn[start].get_bbox_patch(), "shrinkB": 4,
                        "patchB": drawn[end].get_bbox_patch()},
        )  # fmt: skip
    said = (f"{boxes[a][2]} leads to {boxes[b][2]}" for a, b in arrows)
    fig.alt = alt or ("Drawing. " + "; ".join(said) + ".").replace("\n", " ")
    return fig
