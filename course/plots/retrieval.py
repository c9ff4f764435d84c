"""Figures of the deep candidate generator: samples of negatives, trees, bags, and serving."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments.softmax_laws import LADDER, quick
from course.plots.palette import colour, look
from course.plots.style import Figure, figure, interval, styled

FULL, PLAIN, CORRECTED = "full softmax", "sampled softmax", "sampled softmax with correction"


@styled
def expected_by_popularity(
    curves: Mapping[str, np.ndarray],
    *,
    title: str = "",
    ax=None,
    reference: str = FULL,
    actual: np.ndarray | None = None,
) -> Figure | None:
    """Draw how a model spreads the next watch over rare and popular videos.

    Parameters
    ----------
    curves : method -> (groups,) shares, from the rarest to the most watched videos; each group
        holds the same share of the watches in training
    reference : the method that is drawn black and dashed
    actual : (groups,), optional: where the next watches really were, drawn as bars
    """
    fig = None
    if ax is None:
        fig, ax = figure(height=3.8, title=title)
    if actual is not None:
        ax.bar(np.arange(1, len(actual) + 1), 100 * actual, width=0.6, alpha=0.35,
               color=colour("observed"), label="truly watched")  # fmt: skip
    for name, shares in curves.items():
        style = look(name)
        if name == reference:
            style = {"color": colour("truth"), "linestyle": (0, (5, 3)), "zorder": 3}
        ax.plot(np.arange(1, len(shares) + 1), 100 * shares, label=name, **style)
    n = len(next(iter(curves.values())))
    ax.axhline(100 / n, color=colour("random"), lw=1)
    ax.set_xticks(range(1, n + 1))
    ax.set(xlabel="rare  ←  tenths of all watches  →  popular", ylim=(0, None))
    ax.set_ylabel("share of the next watch\nexpected here (%)")
    ax.legend()
    return fig


@styled
def pushes(exact: np.ndarray, means: Mapping[str, np.ndarray], popularity: np.ndarray) -> Figure:
    """Draw how strongly sampled losses push each video down, against the full softmax.

    Parameters
    ----------
    exact : (V,) push of the full softmax: the mean probability that the model gives the video
    means : method -> (V,) mean push over many samples
    popularity : (V,) for the size of the points
    """
    fig, axes = figure(len(means), height=3.8, sharey=True, sharex=True)
    ends = 1e3 * np.array([exact.min(), exact.max()])
    size = 4 + 50 * popularity / popularity.max()
    for ax, (name, mean) in zip(np.atleast_1d(axes), means.items(), strict=True):
        ax.scatter(1e3 * exact, 1e3 * mean, s=size, alpha=0.5, color=colour(name), lw=0)
        ax.plot(ends, ends, color=colour("truth"), lw=1.4, ls=(0, (5, 3)))
        ax.set(xlabel="push of the full softmax (1/1000)", title=name.capitalize())
        ax.title.set_fontsize(12)
        ax.set_ylim(bottom=0)
    np.atleast_1d(axes)[0].set_ylabel("mean push of samples (1/1000)")
    return fig


@styled
def step_cost(results: pd.DataFrame, live: Mapping[tuple[str, int], float] | None = None) -> Figure:
    """Draw core milliseconds of a training step against the size of the catalogue.

    Parameters
    ----------
    results : what `course.ledger.results("step_cost")` returned
    live : (method, videos) -> milliseconds measured just now, drawn as open rings
    """
    names = {
        "full": FULL, "hierarchical": "hierarchical softmax", "sampled": PLAIN,
        "sampled, sparse": PLAIN,
    }  # fmt: skip
    labels = {"sampled": "sampled, 1,000 negatives", "sampled, sparse": "the same, sparse updates"}
    fig, ax = figure(height=4.0)
    sizes = sorted({int(c.split("/")[1]) for c in results.columns})
    for method, name in names.items():
        values = np.log10([results[f"{method}/{v}"] for v in sizes]).T
        mean, half = interval(values)
        line = {"ls": ":", "marker": "s"} if "sparse" in method else {}
        ax.plot(sizes, 10**mean, label=labels.get(method, name), **{**look(name), **line})
        ax.fill_between(
            sizes, 10 ** (mean - half), 10 ** (mean + half), color=colour(name), alpha=0.18
        )
    for i, ((method, videos), ms) in enumerate((live or {}).items()):
        ax.plot(
            videos, ms, "o", ms=13, mfc="none", mew=2, color=colour(names[method]),
            label="this machine, now" if i == 0 else None,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="videos in the catalogue")
    ax.set_ylabel("milliseconds of one core\nfor a step of 256 examples")
    ax.set_xticks(sizes, [f"{v:,}" for v in sizes])
    ax.set_xticks([], minor=True)
    ax.legend()
    return fig


def _dots(ax, results: pd.DataFrame, column: str, y: float, name: str, label=None) -> None:
    values = results[column].to_numpy()
    mean, half = interval(values)
    ax.plot(values, np.full(len(values), y), "o", ms=3.5, alpha=0.4, color=colour(name))
    style = look(name)
    ax.errorbar(
        mean, y, xerr=half, fmt=style["marker"], ms=8, capsize=4, color=style["color"], label=label
    )


LAW_ROWS = {
    "uniform": "uniform",
    "popularity": "like popularity",
    "zipf": "zipf",
    "in-batch": "in-batch",
    "topic tree": "tree of topics",
    "random tree": "random tree",
}


@styled
def sampling_laws(results: pd.DataFrame) -> Figure:
    """Draw quality and popularity of what is recommended, by law (and tree), over the seeds.

    Parameters
    ----------
    results : what `course.ledger.results("softmax_laws")` returned
    """
    fig, axes = figure(2, height=4.4, sharey=True)
    for ax, column in zip(axes, ("mrr", "watches"), strict=True):
        for y, law in enumerate(reversed(LAW_ROWS)):
            if law.endswith("tree"):
                label = "a tree" if law == "topic tree" else None
                _dots(ax, results, f"{law}/{column}", y, "hierarchical softmax", label)
                continue
            last = law == "in-batch"
            corrected = f"{law}, corrected/{column}"
            _dots(ax, results, corrected, y + 0.16, CORRECTED, "corrected" if last else None)
            _dots(
                ax, results, f"{law}/{column}", y - 0.16, PLAIN, "not corrected" if last else None
            )
        _dashed(ax.axvline, results, f"full/{column}", "truth", "full softmax")
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.6, len(LAW_ROWS) - 0.4)
    axes[0].set_yticks(range(len(LAW_ROWS)), list(reversed(LAW_ROWS.values())))
    _dashed(axes[0].axvline, results, "popular/mrr", "random", "popular in the language")
    axes[0].set(title="How well it guesses", xlabel="mean reciprocal rank of the next watch")
    axes[1].set(title="How popular its choices are", xlabel="past watches of the 20 best videos")
    for ax in axes:
        ax.set_xlim(left=0)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return fig


def _dashed(line, results: pd.DataFrame, column: str, name: str, label: str) -> None:
    line(results[column].mean(), color=colour(name), ls=(0, (5, 3)), lw=1.4, label=label)


def _ladder(ax, results: pd.DataFrame) -> None:
    for prefix, label, name in (
        ("popularity, corrected", "corrected", CORRECTED),
        ("popularity", "not corrected", PLAIN),
    ):
        values = np.array([results[f"{prefix} {n}/mrr"] for n in LADDER]).T
        mean, half = interval(values)
        ax.plot(LADDER, mean, label=label, **look(name))
        ax.fill_between(LADDER, mean - half, mean + half, color=colour(name), alpha=0.18)
    _dashed(ax.axhline, results, "full/mrr", "truth", "full softmax")
    _dashed(ax.axhline, results, "popular/mrr", "random", "popular")
    ax.set(xscale="log", xlabel="negatives, shared by the batch", ylabel="mean reciprocal rank")
    ax.set_xticks(LADDER, [f"{n:,}" for n in LADDER])
    ax.set_xticks([], minor=True)
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower right", fontsize=9.5, handlelength=1.3, borderaxespad=0.2)


KIND_LOOK = {"flat": "truth", "ivf": "matrix factorization", "hnsw": "deep candidates"}


def _settings(results: pd.DataFrame, kind: str) -> list[int]:
    names = {column.split("/")[0] for column in results.columns}
    return sorted(int(n[len(kind) + 1 :]) for n in names if re.fullmatch(rf"{kind} \d+", n))


@styled
def serving(results: pd.DataFrame) -> Figure:
    """Draw recall and true value of a search against its time, for each kind of index.

    Parameters
    ----------
    results : what `course.ledger.results("serving")` returned
    """
    columns = (
        ("recall@k", "Of the exact 200, found"),
        ("clicks", "Clicks: first ten"),
        ("ranked_clicks", "Clicks: best ten of 200"),
    )
    fig, axes = figure(3, height=4.4, sharey=True)
    for ax, (column, title) in zip(axes, columns, strict=True):
        exact = results[f"flat/{column}"]
        ax.axhline(100, color=colour("truth"), ls=(0, (5, 3)), lw=1.2)
        ax.plot(results["flat/ms"].mean(), 100, "*", ms=15, color=colour("truth"), label="exact")
        for kind in ("ivf", "hnsw", "raw ivf", "raw hnsw"):
            names = [f"{kind} {s}" for s in _settings(results, kind)]
            values = 100 * np.array([results[f"{n}/{column}"] / exact for n in names]).T
            ms = np.array([results[f"{n}/ms"].mean() for n in names])
            mean, half = interval(values)
            raw, style = kind.startswith("raw"), look(KIND_LOOK[kind.removeprefix("raw ")])
            label = kind.removeprefix("raw ").upper() + (", raw vectors" if raw else "")
            ax.plot(ms, mean, label=label, ls=":" if raw else "-", **style)
            ax.fill_between(ms, mean - half, mean + half, color=style["color"], alpha=0.15)
        if column == "clicks":
            floor = 100 * (results["random/clicks"] / exact).mean()
            ax.axhline(floor, color=colour("random"), ls=(0, (5, 3)), lw=1.4, label="random page")
        ax.set(xscale="log", xlabel="ms of one core for a request")
        ax.set_xticks([0.05, 0.2, 1.0], ["0.05", "0.2", "1"])
        ax.set_xticks([], minor=True)
        ax.set_title(title, fontsize=11.5)
        ax.set_ylim(0, 112)
    axes[0].set_ylabel("percent of the exact search")
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


@styled
def probes(results: pd.DataFrame, nprobe: int | Sequence[int] = 16) -> Figure:
    """Draw what the number of cells looked into costs and brings (stored results).

    Parameters
    ----------
    results : what `course.ledger.results("serving")` returned
    nprobe : the setting (or settings) to mark
    """
    at = _settings(results, "ivf")
    fig, axes = figure(2, height=3.9)
    rows = (
        (0, "recall@k", "of the exact 200, found", "matrix factorization", None),
        (0, "scanned", "of the catalogue, compared with", "random", None),
        (1, "clicks", "the first ten as they come", "matrix factorization", "flat/clicks"),
        (1, "ranked_clicks", "the best ten of the 200", "oracle", "flat/ranked_clicks"),
    )
    for panel, column, label, name, base in rows:
        ax, values = axes[panel], np.array([results[f"ivf {p}/{column}"] for p in at]).T
        if base:
            values = values / results[base].to_numpy()[:, None]
        mean, half = interval(100 * values)
        ax.plot(at, mean, label=label, **look(name))
        ax.fill_between(at, mean - half, mean + half, color=colour(name), alpha=0.18)
        up = column in ("recall@k", "clicks", "scanned")
        for setting in np.atleast_1d(nprobe):
            i = at.index(int(setting))
            # The curve of what is found rises steeply: left of it there is room.
            steep = column == "recall@k" and i < len(at) - 1
            side = "right" if steep or i == len(at) - 1 else "left" if i == 0 else "center"
            ax.plot(at[i], mean[i], "o", ms=13, mfc="none", mew=2.5, color=colour("you"))
            ax.annotate(
                f"{mean[i]:.1f}", (at[i], mean[i]), xytext=(-6 * steep, 11 if up else -22),
                textcoords="offset points", ha=side, color=colour("you"),
            )  # fmt: skip
    for ax in axes:
        ax.axhline(100, color=colour("truth"), ls=(0, (5, 3)), lw=1.2)
        ax.set(xscale="log", xlabel="nprobe: cells looked into", ylim=(-2, 118))
        ax.set_xticks(at, [str(p) for p in at])
        ax.set_xticks([], minor=True)
    axes[0].legend(loc="center right", bbox_to_anchor=(1.0, 0.4), handlelength=1.2)
    axes[1].legend(loc="lower right")
    axes[0].set(ylabel="percent", title="What it finds, and the work")
    axes[1].set(ylabel="percent of the exact search", title="Expected clicks")
    return fig


@styled
def quick_trainings(
    runs: Mapping[str, Mapping], reference: Mapping, results: pd.DataFrame | None = None
) -> Figure:
    """Draw short trainings: where each expects the next watch, and its mean reciprocal rank.

    Parameters
    ----------
    runs : label -> what `course.experiments.softmax_laws.quick` returned, and ``corrected``
    reference : the same of a training with the full softmax
    results : optional, what `course.ledger.results("softmax_laws")` returned; then a last panel
        shows quality by the number of negatives after full trainings (with three runs)
    """
    if results is None:
        fig, axes = figure(len(runs), height=3.8)
    else:
        fig, axes = figure(2, 2, height=7.0)
    axes = np.atleast_1d(axes).ravel()
    for ax, (label, run) in zip(axes, runs.items(), strict=False):
        name = CORRECTED if run["corrected"] else PLAIN
        expected_by_popularity({FULL: reference["expected"], name: run["expected"]}, ax=ax)
        ax.set_title(label, fontsize=12)
        ax.set_ylim(0, 32)
        handles, _ = ax.get_legend_handles_labels()
        mrr = (reference["mrr"], run["mrr"])
        names = ("full softmax", "sampled")
        labels = [f"{name}: MRR {value:.3f}" for name, value in zip(names, mrr, strict=True)]
        ax.legend(handles, labels)
    if results is not None:
        _ladder(axes[-1], results)
        axes[-1].set_title("Full trainings, five worlds", fontsize=12)
    return fig


def trained_negatives(
    negatives: int, correct: bool, law: str = "popularity", progress: Callable | None = None
) -> Figure:
    """Train for a second with this many negatives, and draw it (see `quick_trainings`)."""
    run = quick(negatives, law, correct, progress=progress)
    label = f"{negatives:,} negatives, {'corrected' if correct else 'not corrected'}"
    return quick_trainings({label: {**run, "corrected": correct}}, quick(0))
