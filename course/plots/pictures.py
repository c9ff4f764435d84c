"""Pictures: the funnel of a request, the loop of the system, where a page of the game stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Polygon

from course.plots.palette import colour
from course.plots.shapes import diagram
from course.plots.style import INK, WIDTH, Figure, figure, floor_and_ceiling, styled


@styled
def funnel(stages: Sequence[tuple[str, float]]) -> Figure:
    """Draw the funnel of a request: each stage (name, number of videos) in order (P1, Fig. 2)."""
    counts = ", ".join(f"{name} {count:,.4g}" for name, count in stages)
    fig, ax = figure(height=3.4, alt=f"Funnel of one request: {counts}")
    title = "One page request (heights: logarithm of the number, at least 1)"
    half = [0.35 + math.log10(max(count, 1)) for _, count in stages]
    colours = ("#c9d3de", "#9db7d1", "#5f8fbf", "#1f5f9e", "#173f67")
    for i, (name, count) in enumerate(stages):
        right = half[i + 1] if i + 1 < len(stages) else half[i]
        shape = [(i, -half[i]), (i + 0.94, -right), (i + 0.94, right), (i, half[i])]
        ax.add_patch(Polygon(shape, closed=True, facecolor=colours[min(i, 4)], edgecolor="none"))
        ink = "white" if i >= 2 else INK
        ax.text(i + 0.47, 0, f"{count:,.4g}", ha="center", va="center", fontsize=13, color=ink)
        ax.text(i + 0.47, -max(half) - 0.35, name, ha="center", va="top", fontsize=11.5)
    ax.set(xlim=(-0.05, len(stages)), ylim=(-max(half) - 1.2, max(half) + 0.2), title=title)
    ax.axis("off")
    return fig


@styled
def system_loop() -> Figure:
    """Draw the whole system as a loop: from the log to the page and back (P2, Fig. 1)."""
    boxes = {
        "log": (1.0, 0.5, "log\nwhat was shown,\nclicked, watched"),
        "candidates": (1.0, 3.3, "candidate sources\ncorpus → hundreds"),
        "ranker": (3.5, 3.3, "ranker\none score per task"),
        "combination": (5.7, 3.3, "combination\none score"),
        "page": (7.8, 3.3, "page\nten cards here"),
        "viewer": (7.8, 0.5, "viewer\nlooks, clicks,\nwatches"),
        "bias": (4.7, 1.7, "position, device\n(in training only:\nadded to the click's score)"),
    }
    arrows = [("log", "candidates"), ("log", "ranker"), ("candidates", "ranker"),
              ("bias", "ranker"), ("ranker", "combination"), ("combination", "page"),
              ("page", "viewer"), ("viewer", "log")]  # fmt: skip
    fig = diagram(
        boxes, arrows, size=(WIDTH, 4.0),
        alt="The system as a loop: log, candidate sources, ranker with many tasks, "
        "combination, page, viewer, and back into the log; position enters by a side path.",
    )  # fmt: skip
    fig.axes[0].set_title("The system is a loop: what the viewer does becomes the next log")
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
        alt=f"Expected clicks: you {you:.2f}, random {np.mean(chance):.2f}, oracle {best:.2f}"
        + ("" if system is None else f", the system {system:.2f}"),
    )
    ax.hist(chance, bins=40, color=colour("random"), alpha=0.6, label="random pages")
    if system is not None:
        ax.axvline(system, color=colour("the system"), lw=2, ls="-.", label="the system's page")
    ax.axvline(you, color=colour("you"), lw=3, label="your page")
    floor_and_ceiling(ax, float(np.mean(chance)), best)
    ax.set(xlabel="expected clicks of the page", ylabel="number of random pages", yticks=[])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))  # no line crosses it there
    return fig
