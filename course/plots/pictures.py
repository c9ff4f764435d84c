"""Diagrams: the funnel of one request, and the loop of the whole system."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon

from course.plots.palette import colour
from course.plots.style import INK, MUTED, Figure, figure, styled


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
    fig, ax = figure(
        height=4.0,
        alt="The system as a loop: log, candidate sources, ranker with many tasks, "
        "combination, page, viewer, and back into the log; position enters by a side path.",
    )
    boxes = {
        "log": (0.3, 0.6, "log\nwhat was shown,\nclicked, watched", "control"),
        "candidates": (2.65, 2.2, "candidate sources\ncorpus → hundreds", "matrix factorization"),
        "ranker": (5.1, 2.2, "ranker\none score per task", "multitask"),
        "combine": (7.55, 2.2, "combination\none score", "watch-time ranker"),
        "page": (10.0, 2.2, "page\nten cards here", "deep candidates"),
        "viewer": (10.0, 0.6, "viewer\nlooks, clicks,\nwatches", "truth"),
        "bias": (5.1, 0.6, "position, device\n(in training only)", "shallow tower"),
    }
    for x, y, text, name in boxes.values():
        ax.add_patch(
            FancyBboxPatch(
                (x - 1.0, y - 0.42), 2.0, 0.84, boxstyle="round,pad=0.02,rounding_size=0.12",
                facecolor="white", edgecolor=colour(name), linewidth=2,
            )
        )  # fmt: skip
        ax.text(x, y, text, ha="center", va="center", fontsize=9.5)
    steps = [
        ("log", "candidates", ""),
        ("candidates", "ranker", ""),
        ("ranker", "combine", ""),
        ("combine", "page", ""),
        ("page", "viewer", ""),
        ("bias", "ranker", "added to the\nclick's score"),
        ("log", "ranker", ""),
    ]
    for start, end, label in steps:
        _arrow(ax, boxes[start], boxes[end], label)
    ax.add_patch(
        FancyArrowPatch(
            (10.0, 0.16), (0.3, 0.16), connectionstyle="arc3,rad=-0.08", arrowstyle="-|>",
            mutation_scale=16, color=MUTED, linewidth=1.6,
        )
    )  # fmt: skip
    ax.text(5.15, -0.62, "what the viewer does becomes the next log", ha="center", color=MUTED)
    ax.set(xlim=(-0.85, 11.15), ylim=(-0.9, 2.9), title="The system is a loop")
    ax.axis("off")
    return fig


def _arrow(ax, start, end, label) -> None:
    (x0, y0, *_), (x1, y1, *_) = start, end
    if abs(y0 - y1) < 0.1:
        a, b = (x0 + 1.03, y0), (x1 - 1.03, y1)
    elif abs(x0 - x1) < 0.1:
        step = 0.44 if y1 > y0 else -0.44
        a, b = (x0, y0 + step), (x1, y1 - step)
    else:
        a, b = (x0 + 0.2, y0 + 0.44), (x1 - 1.03, y1)
        if x1 - x0 > 3:  # a longer way: from the side of one box to the corner of the other
            a, b = (x0 + 1.03, y0 + 0.1), (x1 - 0.85, y1 - 0.46)
    ax.add_patch(
        FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=16, color=MUTED, linewidth=1.6)
    )
    if label:
        ax.text(
            (a[0] + b[0]) / 2 + 0.1, (a[1] + b[1]) / 2, label, fontsize=9, color=MUTED, va="center"
        )
