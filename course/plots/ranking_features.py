"""Figures of chapter 06: skewed features, their scales, repeats, stale scores, importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments.ranking_inputs import DESCENT_STEPS, descend, scaled, skewed
from course.plots.palette import colour, look
from course.plots.style import Figure, band, figure, floor_and_ceiling, interval, styled

_LINES = {"truth": "truth", "with": "with previous impressions",
          "without": "without previous impressions"}  # fmt: skip
_TOP = 0.75
WARM_UP = 20
"""Steps that learning curves leave out: their running means are of very few."""


@styled
def raw_features(columns: Mapping[str, np.ndarray], per_row: int = 3) -> Figure:
    """Draw how the values of some continuous features are spread.

    Parameters
    ----------
    columns : name with unit -> (n,) values
    """
    rows = -(-len(columns) // per_row)
    fig, axes = figure(per_row, rows, height=2.4 * rows + 0.2, sharey=True, squeeze=False)
    for ax, (name, values) in zip(axes.ravel(), columns.items(), strict=False):
        weights = np.full(len(values), 100 / len(values))
        ax.hist(values, bins=40, weights=weights, color=colour("observed"), alpha=0.8)
        ax.set(xlabel=name)
        ax.locator_params(axis="x", nbins=4)
    for ax in axes.ravel()[len(columns) :]:
        ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("% of cards")
    return fig


def _histogram(ax, values, title, xlabel) -> None:
    ax.hist(values, bins=40, weights=np.full(len(values), 100 / len(values)),
            color=colour("observed"), alpha=0.8)  # fmt: skip
    ax.set(title=title, xlabel=xlabel, ylabel="% of cards")


def _descents(ax, skew: float) -> None:
    x, clicked = skewed(skew)
    for name, columns in scaled(x).items():
        losses = np.minimum(descend(columns, clicked), 9.0)
        ax.plot(losses, color=colour(name), label=name)
    ax.set(xlabel="steps of gradient descent", ylabel="loss", ylim=(0.55, _TOP),
           xlim=(0, DESCENT_STEPS))  # fmt: skip


@styled
def one_scale(skew: float) -> Figure:
    """Draw a feature x = exp(skew z), its quantiles, and how a logistic regression learns from it.

    Parameters
    ----------
    skew : standard deviation of log x; 0 = a constant
    """
    x, _ = skewed(skew)
    fig, (left, middle, right) = figure(3, height=3.5)
    _histogram(left, x, "The feature", "x")
    _histogram(middle, scaled(x)["quantiles"][:, 0], "Its quantiles", r"$\tilde x$")
    middle.set_xlim(-0.05, 1.05)
    _descents(right, skew)
    right.set_title("Learning from it")
    right.legend(loc="upper right")
    return fig


@styled
def scales(skews: Sequence[float]) -> Figure:
    """Draw features of several skews (above) and what is learned from each (below)."""
    fig, axes = figure(len(skews), 2, height=5.6, squeeze=False)
    for column, skew in enumerate(skews):
        _histogram(axes[0, column], skewed(skew)[0], f"skew {skew:g}", "x")
        _descents(axes[1, column], skew)
    axes[1, 0].legend(loc="upper right")
    return fig


@styled
def learning_curves(curves: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Draw training losses by step.

    Parameters
    ----------
    curves : name -> one or more (steps,) running means of the loss
    """
    fig, ax = figure(height=3.6)
    for name, several in curves.items():
        for i, curve in enumerate(several):
            steps = np.arange(WARM_UP, len(curve))
            ax.plot(steps, curve[WARM_UP:], color=colour(name), label="" if i else name)
    ax.set(xlabel="batches of 200 pages", ylabel="training loss (running mean)")
    ax.legend(loc="upper right")
    return fig


@styled
def paired_losses(differences: Mapping[str, np.ndarray], xlabel: str, name: str = "all") -> Figure:
    """Draw differences between two ways, one dot for each world, with the interval.

    Parameters
    ----------
    differences : label -> (seeds,)
    xlabel : what a positive number means, with its unit
    name : method whose colour is used
    """
    fig, ax = figure(height=1.0 + 0.55 * len(differences), alt=f"{xlabel}: {list(differences)}")
    labels = list(differences)[::-1]
    for y, label in enumerate(labels):
        values = np.asarray(differences[label])
        mean, half = interval(values)
        ax.plot(values, np.full(len(values), y), "o", ms=5, color=colour(name), alpha=0.45)
        ax.errorbar(mean, y, xerr=half, fmt="D", ms=8, capsize=4, color=colour(name))
    ax.axvline(0, color=colour("control"), lw=1)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    ax.set_xlabel(xlabel)
    ax.grid(axis="y", visible=False)
    return fig


def _again(card: str, cards, counts):
    column, lines = cards[card]
    fig, (left, right) = figure(2, height=3.7)
    for name, label in _LINES.items():
        scores = np.asarray(lines[name])
        dashed = {"ls": "--"} if name == "truth" else {}
        share = 100 * scores[:, column] / scores[0, column]
        left.plot(counts, share, color=colour(label), label=label, **dashed)
        place = 1 + (scores > scores[:, [column]]).sum(axis=1)
        right.plot(counts, place, color=colour(label), drawstyle="steps-mid", **dashed)
    left.set(ylabel="expected watch time\n(% of that of a card never shown)", title=card,
             xlabel="times shown before")  # fmt: skip
    right.set(ylabel="place among the candidates", title="Where it stands",
              xlabel="times shown before")  # fmt: skip
    left.set_ylim(bottom=0)
    low = max(1 + (np.asarray(s) > np.asarray(s)[:, [column]]).sum(axis=1).max()
              for s in lines.values())  # fmt: skip
    right.set_ylim(low + 3, 0)
    left.legend(loc="lower left", fontsize=9.5)
    return fig, left, right, np.asarray(lines["with"]), column


def _mark(axes, at: int, counts, scores, column) -> None:
    row = int(np.abs(np.asarray(counts) - at).argmin())
    place = 1 + int((scores[row] > scores[row, column]).sum())
    share = 100 * scores[row, column] / scores[0, column]
    for ax, y in zip(axes, (share, place), strict=True):
        ax.axvline(counts[row], color=colour("control"), lw=1, ls=":")
        ax.plot(counts[row], y, "o", ms=9, color=colour(_LINES["with"]), zorder=5)
    last = counts[row] == max(counts)  # the label must not hang outside the frame
    axes[1].annotate(f"{place}.", (counts[row], place), xytext=(-7 if last else 7, 6),
                     ha="right" if last else "left", textcoords="offset points")  # fmt: skip


@styled
def shown_again(
    times: int,
    card: str,
    cards: Mapping[str, tuple[int, Mapping[str, np.ndarray]]],
    counts: np.ndarray,
) -> Figure:
    """Draw what two rankers and the truth say of a card that was shown before.

    Parameters
    ----------
    times : how often it was shown; a marker stands there
    card : which of ``cards``
    cards : name -> (its column, "truth" / "with" / "without" -> (m, c) expected seconds of all
        candidates of its page)
    counts : (m,) the numbers of earlier showings that were asked for
    """
    fig, left, right, scores, column = _again(card, cards, counts)
    _mark((left, right), times, counts, scores, column)
    return fig


@styled
def shown_agains(settings: Sequence[int], card: str, cards, counts: np.ndarray) -> Figure:
    """Draw `shown_again` at several settings in one picture: a marker for each."""
    fig, left, right, scores, column = _again(card, cards, counts)
    for times in settings:
        _mark((left, right), times, counts, scores, column)
    return fig


@styled
def repeats(by_fatigue: Mapping[float, pd.DataFrame]) -> Figure:
    """Draw how many cards are shown once more, by the strength of fatigue in the world.

    Parameters
    ----------
    by_fatigue : dial -> DataFrame, a row for each seed, a column for each policy, shares
    """
    fig, ax = figure(height=3.7)
    names = list(next(iter(by_fatigue.values())).columns)
    x = np.asarray(list(by_fatigue), float)
    for i, name in enumerate(names):
        shares = np.stack([100 * t[name].to_numpy() for t in by_fatigue.values()], axis=1)
        mean, half = interval(shares)
        aside = x + 0.05 * (i - (len(names) - 1) / 2)
        ax.errorbar(aside, mean, yerr=half, capsize=3, label=name, **look(name))
    ax.set_xticks(x)
    ax.set(xlabel="dial fatigue of the world",
           ylabel="shown in vain and nominated again:\non the next page, too (%)")  # fmt: skip
    ax.legend(loc="best")
    return fig


@styled
def stale_scores(ages: Sequence[float], loss: np.ndarray, known: np.ndarray) -> Figure:
    """Draw what a candidate generator's score alone is worth as it gets older.

    Parameters
    ----------
    ages : (a,) days since the generator was trained
    loss, known : (seeds, a) percent: weighted loss of the score alone; cards that it knows
    """
    fig, (left, right) = figure(2, height=3.4)
    band(left, ages, loss, "deep candidates")
    floor_and_ceiling(left, 50, None)
    left.set(ylabel="loss of the score alone (%)", title="As a ranking")
    band(right, ages, known, "deep candidates")
    right.set(ylabel="cards it knows (%)", title="As a memory", ylim=(0, 100))
    for ax in (left, right):
        ax.set_xlabel("days since the generator was trained")
    return fig


@styled
def importances(
    panels: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str] = ()
) -> Figure:
    """Draw the rise of the loss by shuffling, largest on top, one panel for each kind.

    Parameters
    ----------
    panels : title -> label -> (seeds,) rise of the loss, points
    names : methods whose colours are used, one for each panel
    """
    longest = max(len(values) for values in panels.values())
    fig, axes = figure(len(panels), height=1.1 + 0.36 * longest, squeeze=False)
    for i, (ax, (title, values)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        order = sorted(values, key=lambda label: np.mean(values[label]))
        tint = colour(names[i]) if i < len(names) else colour("watch-time ranker")
        for y, label in enumerate(order):
            mean, half = interval(values[label])
            ax.barh(y, mean, color=tint, alpha=0.8, height=0.65)
            ax.errorbar(mean, y, xerr=half, color=colour("truth"), capsize=3, lw=1.2)
        ax.set_yticks(range(len(order)), order)
        ax.axvline(0, color=colour("control"), lw=1)
        ax.set(title=title, xlabel="rise of the loss (points)")
        ax.grid(axis="y", visible=False)
    ends = np.array([ax.get_xlim() for ax in axes[0]])
    for ax in axes[0]:  # one scale, so that bars can be compared across panels
        ax.set_xlim(ends[:, 0].min(), ends[:, 1].max())
    return fig
