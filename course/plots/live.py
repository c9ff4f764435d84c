"""Where a page of the game stands."""

from __future__ import annotations

import numpy as np

from course.plots.palette import colour
from course.plots.style import Figure, figure, floor_and_ceiling, styled


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
    floor_and_ceiling(ax, float(np.mean(chance)), best, orient="v")
    ax.set(xlabel="expected clicks of the page", ylabel="number of random pages", yticks=[])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))  # no line crosses it there
    return fig
