"""Figures of chapter 08: two tasks, seven tasks, gates, the combination function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments import two_tasks
from course.experiments.gates import effective_experts, overlap
from course.experiments.live_pages import LivePages, weights
from course.experiments.seven_tasks import TASKS
from course.models.combination import Combination
from course.plots import paper_multitask as paper
from course.plots.palette import colour, look
from course.plots.style import Figure, band, figure, interval, styled

CONTESTANTS = ("shared bottom", "shared bottom, gates counted", "one gate", "multitask")
_SHORT = {"watch time": "watch", "completion": "complete", "dismissal": "dismiss"}


def _short(names: Sequence[str]) -> list[str]:
    return [_SHORT.get(name, name) for name in names]


@styled
def label_counts(counts: Mapping[str, int], relation: np.ndarray) -> Figure:
    """Draw how many labels each task has, and how the truths of the tasks go together.

    Parameters
    ----------
    counts : task -> number of impressions that carry its label
    relation : (7, 7) correlation of the tasks' true expectations
    """
    fig, (left, right) = figure(2, height=3.9, width_ratios=(1, 1))
    names = list(counts)
    group = {t.name: t.group for t in TASKS}
    tint = {"engagement": colour("observed"), "satisfaction": colour("shared bottom")}
    left.barh(range(len(names)), list(counts.values()), color=[tint[group[n]] for n in names])
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set(xscale="log", xlabel="impressions with this label", title="Labels in the log")
    left.set_xlim(left=min(counts.values()) / 3)
    for y, n in enumerate(counts.values()):
        left.annotate(f"{n:,}", (n, y), xytext=(-4, 0), textcoords="offset points",
                      ha="right", va="center", color="white", fontsize=10)  # fmt: skip
    left.grid(axis="y", visible=False)
    _matrix(right, relation, _short(names), "RdBu_r", -1, 1)
    right.set(title="Correlation of the truths", xlabel="task")
    return fig


def _matrix(ax, values, names, cmap, low, high, columns=None, size=9) -> None:
    values = np.asarray(values)
    picture = ax.imshow(values, cmap=cmap, vmin=low, vmax=high, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        red, green, blue, _ = picture.cmap(picture.norm(value))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        text = f"{value:.2f}".replace("0.", ".", 1)
        ax.text(j, i, text, ha="center", va="center", fontsize=size,
                color="white" if dark else "black")  # fmt: skip
    columns = names if columns is None else columns
    turned = {"rotation": 40, "ha": "right"} if max(map(len, columns)) > 2 else {}
    ax.set_xticks(range(values.shape[1]), columns, fontsize=9.5, **turned)
    ax.set_yticks(range(values.shape[0]), names, fontsize=9.5)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


@styled
def two_task_losses(results: pd.DataFrame, needs: pd.DataFrame) -> Figure:
    """Draw the losses of the two-task contest, the paper's, and those over all directions.

    Parameters
    ----------
    results, needs : stored results of the trials "two_tasks" and "two_tasks_needs"
    """
    fig, (left, right, last) = figure(3, height=3.9, width_ratios=(1.35, 1, 1.25))
    at = np.array(two_tasks.NEEDS)
    for name in ("shared bottom", "one gate", "multitask"):
        values = np.stack([needs[f"{q:g}/{name}/loss"] for q in at], axis=1)
        band(last, at, values, name)
    last.set(xlabel="cosine p of the directions", ylabel="squared error, both tasks",
             title="Smaller problem", ylim=(0, None))  # fmt: skip
    p = two_tasks.CORRELATIONS
    for shift, name in zip((-0.3, -0.1, 0.1, 0.3), CONTESTANTS, strict=True):
        values = np.stack([results[f"{name}/{q:g}/loss"] for q in p], axis=1)
        mean, half = interval(values)
        left.bar(np.arange(len(p)) + shift, mean, 0.2, yerr=half, color=colour(name), label=name,
                 capsize=3, error_kw={"lw": 1.2})  # fmt: skip
    for shift, (name, values) in zip((-0.25, 0.0, 0.25), paper.MMOE_FIG4.items(), strict=True):
        right.bar(np.arange(len(p)) + shift, values, 0.25, color=colour(name), label=name)
    left.set(ylabel="squared error, both tasks", title="Loss, here (five seeds)")
    right.set(ylabel="loss", title="Loss, paper, Fig. 4")
    for ax in (left, right):
        ax.set_xticks(range(len(p)), [f"{q:g}" for q in p])
        ax.set_xlabel("cosine p of the directions")
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0, 1.45 * ax.get_ylim()[1])
    left.legend(loc="upper right", fontsize=9.5)
    return fig


@styled
def experts_and_correlation(
    experts: int, correlation: float, progress: Callable | None = None
) -> Figure:
    """Train two small networks on two tasks; draw losses and gates. For a slider.

    Parameters
    ----------
    experts : number of experts, at least 1
    correlation : cosine of the two tasks, -1 to 1
    progress : called while it works
    """
    found = two_tasks.quick(experts, correlation, progress=progress)
    fig, (left, right) = figure(2, height=3.8, width_ratios=(1.2, 1))
    for name, runs in found.items():
        mine = look(name) | {"marker": ""}
        left.plot(runs.step, runs.curve, lw=0.8, alpha=0.45, **mine)
        left.plot(runs.step, runs.curve.mean(axis=1), label=f"{name}: {runs.loss.mean():.2f}",
                  **mine)  # fmt: skip
    left.set(xlabel="step", ylabel="squared error, sum of both tasks", ylim=(0, 6))
    left.set_title(f"{experts} experts, p = {correlation:g}")
    left.legend(loc="upper right", title="at the end (mean of 4)", title_fontsize=10.5)
    gates = found["multitask"].gates
    _gate_bars(right, gates[0])
    common = overlap(gates)[:, 0, 1].mean()
    right.set_title(f"Gates; overlap {common:.2f} (mean of 4)", fontsize=11.5)
    return fig


def _gate_bars(ax, gates: np.ndarray) -> None:
    """Mean gates (2, E) of one run as paired bars."""
    at = np.arange(gates.shape[1])
    for shift, task, name in ((-0.2, 0, "observed"), (0.2, 1, "shared bottom")):
        ax.bar(at + shift, gates[task], 0.4, color=colour(name), label=f"task {task + 1}")
    ax.set(xlabel="expert", ylabel="mean gate probability", ylim=(0, 1.05))
    ax.set_xticks(at, [str(i) for i in at])
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper right", fontsize=10)


@styled
def experts_at(settings: Sequence[tuple[int, float]]) -> Figure:
    """Draw the gates of `experts_and_correlation` at several (experts, correlation)."""
    fig, axes = figure(len(settings), height=3.2, sharey=True)
    for ax, (experts, correlation) in zip(np.atleast_1d(axes), settings, strict=True):
        found = two_tasks.quick(experts, correlation)
        _gate_bars(ax, found["multitask"].gates[0])
        # The losses of so few runs would mislead; the ledger has them over many.
        common = overlap(found["multitask"].gates)[:, 0, 1].mean()
        ax.set_title(
            f"{experts} experts, p = {correlation:g}\nmean overlap {common:.2f}", fontsize=11
        )
    return fig


@styled
def contest_differences(
    differences: Mapping[str, Mapping[str, np.ndarray]],
    labels: Mapping[str, str] | None = None,
    xlabel: str = "difference in captured share",
) -> Figure:
    """Draw differences from a base, with intervals over seeds: one panel for each group.

    Parameters
    ----------
    differences : panel -> name -> (seeds,) difference
    labels : name -> words at its line
    """
    names = list(next(iter(differences.values())))
    many = len(differences) > 2
    height = 1.0 + 0.42 * len(names)
    fig, axes = figure(len(differences), height=height, sharey=True, sharex=True)
    for ax, (title, rows) in zip(np.atleast_1d(axes), differences.items(), strict=True):
        for y, name in enumerate(reversed(names)):
            values = np.asarray(rows[name], float)
            mean, half = interval(values)
            ax.plot(values, np.full(len(values), y), "o", color=colour(name), ms=4, alpha=0.4)
            ax.errorbar(mean, y, xerr=half, fmt="D", color=colour(name), ms=7, capsize=4)
        ax.axvline(0, color=colour("control"), lw=1)
        ax.set_title(title, fontsize=11 if many else 13)
        ax.set_xlabel(xlabel)
        ax.grid(axis="y", visible=False)
    words = labels or {}
    first = np.atleast_1d(axes)[0]
    first.set_yticks(range(len(names)), [words.get(n, n) for n in reversed(names)])
    first.set_ylim(-0.6, len(names) - 0.4)
    return fig


@styled
def gate_maps(panels: Mapping[str, np.ndarray], rows: Sequence[str] | None = None) -> Figure:
    """Draw mean gates as maps: tasks down, experts across, effective experts at the side.

    Parameters
    ----------
    panels : title -> (7, E) mean gate probabilities
    rows : names of the tasks, of the first panel's rows
    """
    fig, axes = figure(len(panels), height=3.4)
    names = [t.name for t in TASKS] if rows is None else list(rows)
    for i, (ax, (title, gates)) in enumerate(zip(np.atleast_1d(axes), panels.items(), strict=True)):
        in_use = effective_experts(gates)
        sides = [f"{n}  ({e:.1f})" for n, e in zip(_short(names), in_use, strict=True)]
        if i:
            sides = [f"({e:.1f})" for e in in_use]
        columns = [str(e) for e in range(np.shape(gates)[1])]
        _matrix(ax, gates, sides, "cividis", 0, 0.8, columns, size=7.5)
        ax.set_xlabel("expert")
        ax.set_title(title, fontsize=11)
        ax.axhline(2.5, color="white", lw=2)
    return fig


@styled
def polarisation(results: pd.DataFrame, settings: Sequence[str], threshold: float = 1.5) -> Figure:
    """Draw the share of polarised runs and the loss, setting by setting.

    Parameters
    ----------
    results : stored results of the trial "polarisation"
    """
    fig, (left, right) = figure(2, height=3.1, sharey=True)
    for y, name in enumerate(reversed(list(settings))):
        share = results[f"{name}/polarised below {threshold:g}"].to_numpy()
        loss = results[f"{name}/loss"].to_numpy()
        for ax, values in ((left, 100 * share), (right, loss)):
            mean, half = interval(values)
            ax.plot(values, np.full(len(values), y), "o", color=colour("multitask"), alpha=0.4)
            ax.errorbar(mean, y, xerr=half, fmt="D", color=colour("multitask"), ms=7, capsize=4)
            ax.grid(axis="y", visible=False)
    left.set_yticks(range(len(settings)), list(reversed(list(settings))))
    left.set_ylim(-0.6, len(settings) - 0.4)
    left.set(xlabel="polarised runs (%)", title="How often", xlim=(-2, None))
    right.set(xlabel="held-out loss (less is better)", title="Loss of each setting")
    return fig


@styled
def tradeoff(
    watch_time: float,
    rating: float,
    pages: LivePages,
    predictions: Mapping[str, np.ndarray],
    curves: Mapping[str, Mapping[str, np.ndarray]],
) -> Figure:
    """Draw where two weights of the combination function lead, on the curve of all ratings.

    Parameters
    ----------
    watch_time, rating : weights, at least 0; a click counts once
    pages : LivePages
    predictions : factors of a ranker, see `LivePages.factors`
    curves : name -> dict metric -> (k,), drawn as lines
    """
    fig, ax = figure(width=7.2, height=4.3)
    _curves(ax, curves)
    _here(ax, pages, predictions, watch_time, rating)
    ax.legend(loc="lower left", fontsize=10.5)
    return fig


@styled
def tradeoffs(settings: Sequence[tuple[float, float]], pages, predictions, curves) -> Figure:
    """Draw `tradeoff` with several (watch time, rating) marked at once."""
    fig, ax = figure(width=7.2, height=4.3)
    _curves(ax, curves)
    for watch_time, rating in settings:
        _here(ax, pages, predictions, watch_time, rating)
    ax.legend(loc="lower left", fontsize=10.5)
    return fig


def _curves(ax, curves) -> None:
    for name, found in curves.items():
        style = {"ls": "--"} if name == "oracle" else {}
        ax.plot(found["watch_minutes"], found["stars"], label=name, **{**look(name), **style})
    ax.set(xlabel="live engagement: minutes watched per page",
           ylabel="live satisfaction: mean stars of a watch")  # fmt: skip


def _here(ax, pages, predictions, watch_time, rating) -> None:
    found = pages.outcomes(Combination(weights(watch_time, rating)).score(predictions))
    at = found["watch_minutes"], found["stars"]
    ax.plot(*at, "*", ms=17, color=colour("you"), zorder=5)
    ax.annotate(f"time {watch_time:g}, rating {rating:g}", at, xytext=(9, 6),
                textcoords="offset points", color=colour("you"), fontsize=10.5)  # fmt: skip
