"""How much of the gap between random and oracle is closed; where a page of the game stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from course.plots.palette import colour
from course.plots.style import Figure, figure, floor_and_ceiling, interval, styled


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
