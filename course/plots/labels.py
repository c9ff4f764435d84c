"""Figures of labels and context: what is asked of a log, and what it does to pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from course.plots.palette import colour, look
from course.plots.style import INK, MUTED, Figure, figure, interval, styled

SHORT = {
    "next watch": "next watch",
    "held-out watch": "held-out watch",
    "last query in order": "last query in order",
    "no searches": "no searches",
    "20 per account": "20 per account",
    "sample, as many as 20 per account": "sample like 20 each",
    "own pages only": "own pages only",
    "sample, as many as own pages": "sample like own pages",
    "completed": "completed",
    "liked": "liked",
    "sample, as many as liked": "sample like liked",
    "4 or 5 stars": "4 or 5 stars",
}
"""Names of the variants, short enough for a figure."""

ORDER = ("shuffled", "dials at 0", "as it is", "dials at 2")
"""Settings from no order to much."""


@styled
def two_questions(
    watches: Sequence[float],
    searches: Sequence[float],
    label: float,
    contexts: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> Figure:
    """Draw one account's log as a line of time, once for each way to make an example (Fig. 5).

    Parameters
    ----------
    watches, searches : times (days) of all that the account did
    label : time of the watch that is to be guessed
    contexts : name of the question -> times of the watches and of the searches that the model sees

    The axis ends a little outside of what any question sees; the rest of the log is left out.
    """
    times = np.concatenate([[label], *(part for pair in contexts.values() for part in pair)])
    margin = 0.06 * max(1.0, np.ptp(times))
    fig, axes = figure(
        nrows=len(contexts), height=1.55 * len(contexts) + 0.5, sharex=True,
        alt="One account on a line of time. " + "; ".join(
            f"{name}: {sum(np.asarray(w) > label)} of {len(w)} watches in the context come after "
            "the label" for name, (w, _) in contexts.items()
        ),
    )  # fmt: skip
    for ax, (name, (seen, asked)) in zip(np.atleast_1d(axes), contexts.items(), strict=True):
        for y, everything, used, mark in ((1, watches, seen, "o"), (0, searches, asked, "s")):
            everything = np.sort(everything)
            # Events of one session lie close together: spread them up and down.
            height = y + 0.17 * (np.arange(len(everything)) % 3 - 1)
            filled = np.isin(everything, used)
            if y == 1:
                ax.plot([label], height[everything == label][:1], "*", color=INK, ms=17, zorder=3)
                height = np.where(everything == label, np.nan, height)
            ax.plot(everything[~filled], height[~filled], mark, mfc="white", mec="#9aa0a8", ms=7)
            ax.plot(everything[filled], height[filled], mark, color=colour(name), ms=7)
        ax.axvline(label, color=INK, lw=1, ls=(0, (5, 3)))
        ax.set(ylim=(-0.7, 1.7), title=name)
        ax.set_xlim(times.min() - margin, times.max() + margin)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_yticks([1, 0], ["watches", "searches"])
        ax.grid(axis="y", visible=False)
    np.atleast_1d(axes)[-1].set_xlabel("day of the log (star: the label; filled: what is seen)")
    return fig


@styled
def inflation(steps: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw how a good-looking number shrinks when one leak after the other is closed.

    Parameters
    ----------
    steps : name of the model -> {name of the test: MRR}, from the most generous test to the true
        task; all models have the same tests
    """
    tests = list(next(iter(steps.values())))
    fig, ax = figure(
        height=1.2 + 0.72 * len(tests),
        alt="; ".join(
            f"{name}: " + ", ".join(f"{test} {value:.3f}" for test, value in row.items())
            for name, row in steps.items()
        ),
    )
    thick = 0.8 / len(steps)
    for i, (name, row) in enumerate(steps.items()):
        y = np.arange(len(tests))[::-1] + 0.4 - thick * (i + 0.5)
        values = [row[test] for test in tests]
        ax.barh(y, values, height=0.92 * thick, color=colour(name), label=name)
        for place, value in zip(y, values, strict=True):
            ax.text(value, place, f" {value:.3f}", va="center", fontsize=10.5)
    ax.set_yticks(np.arange(len(tests))[::-1], tests)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="mean reciprocal rank (MRR)")
    ax.set_xlim(0, 1.12 * max(max(row.values()) for row in steps.values()))
    ax.legend(loc="lower right")
    return fig


def _relative(results: pd.DataFrame, name: str, base: str, metric: str) -> np.ndarray:
    """Difference from the base in per cent, seed by seed."""
    return (100 * (results[f"{name}/{metric}"] / results[f"{base}/{metric}"] - 1)).to_numpy()


@styled
def against(
    results: pd.DataFrame, names: Sequence[str], metrics: Mapping[str, str], base: str
) -> Figure:
    """Draw how far variants lie from a base, in per cent, with 95 % intervals over seeds.

    Parameters
    ----------
    results : one row a seed, columns ``"<variant>/<metric>"``
    names : variants, from top to bottom
    metrics : name of the metric in the results -> title of its panel
    base : the variant at 0; compared within each seed
    """
    fig, axes = figure(
        len(metrics), height=1.5 + 0.45 * len(names), sharey=True,
        alt=f"Difference from {base} in per cent: " + "; ".join(
            f"{title}: " + ", ".join(
                f"{name} {_relative(results, name, base, metric).mean():+.0f}" for name in names
            ) for metric, title in metrics.items()
        ),
    )  # fmt: skip
    for ax, (metric, title) in zip(np.atleast_1d(axes), metrics.items(), strict=True):
        ax.axvline(0, color=MUTED, lw=1.2)
        for y, name in enumerate(reversed(names)):
            values = _relative(results, name, base, metric)
            mean, half = interval(values)
            ax.plot(values, np.full(len(values), y), "o", color=colour(name), ms=3.5, alpha=0.4)
            ax.errorbar(mean, y, xerr=half, fmt="D", color=colour(name), ms=6, capsize=3)
        ax.set_title(title, fontsize=11)
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.set_yticks(range(len(names)), [SHORT.get(n, n) for n in reversed(names)])
        ax.set_xlabel("%")
        ax.grid(axis="y", visible=False)
    fig.suptitle(f"Difference from “{SHORT.get(base, base)}”, {len(results)} worlds",
                 x=0.01, ha="left", fontsize=13, fontweight="bold")  # fmt: skip
    return fig


@styled
def by_activity(results: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Figure:
    """Draw the gain of one variant over another by activity of the account.

    Parameters
    ----------
    results : one row a seed, with columns ``"<variant>/mrr group <1 to 5>"``
    pairs : (variant, what it is compared with), one line each
    """
    fig, ax = figure(alt="Gain in MRR by activity group, from the lightest to the heaviest fifth")
    ax.axhline(0, color=MUTED, lw=1.2)
    groups = np.arange(1, 6)
    for shift, (name, base) in zip((-0.06, 0.06, 0.12), pairs, strict=False):
        gains = np.array([_relative(results, name, base, f"mrr group {g}") for g in groups]).T
        mean, half = interval(gains)
        label = f"{SHORT.get(name, name)}, against {SHORT.get(base, base)}"
        style = look(base) | {"color": colour(base)}
        ax.errorbar(groups + shift, mean, yerr=half, capsize=4, label=label, **style)
    ax.set_xticks(groups, ["lightest\nfifth", "2", "3", "4", "heaviest\nfifth"])
    ax.set(ylabel="gain in MRR (%)", xlabel="accounts by number of watches before the cut")
    ax.legend(loc="upper right")
    return fig


@styled
def offline_live(
    results: pd.DataFrame,
    names: Sequence[str],
    base: str,
    *,
    live: Sequence[str] = ("clicks", "satisfied"),
    offline: str = "mrr",
) -> Figure:
    """Draw each variant by its offline and its live result, relative to a base.

    Parameters
    ----------
    results : one row a seed; compared within each seed, crosses are 95 % intervals over the seeds
    names : variants; base : the one at the origin
    live : metrics of the live test, one panel each
    """
    titles = {"clicks": "clicks", "satisfied": "satisfied watches",
              "minutes": "watch time per page"}  # fmt: skip
    fig, axes = figure(
        len(live), height=5.4,
        alt="Offline against live result of each variant, relative to " + base,
    )  # fmt: skip
    for panel, (ax, metric) in enumerate(zip(np.atleast_1d(axes), live, strict=True)):
        ax.axhline(0, color=MUTED, lw=1)
        ax.axvline(0, color=MUTED, lw=1)
        for number, name in enumerate(names, start=1):
            x, dx = interval(_relative(results, name, base, offline))
            y, dy = interval(_relative(results, name, base, metric))
            ax.errorbar(x, y, xerr=dx, yerr=dy, fmt="none", ecolor=colour(name), alpha=0.45)
            label = f"{number}  {SHORT.get(name, name)}" if panel == 0 else None
            ax.plot(x, y, "o", color=colour(name), ms=13, label=label)
            ax.text(x, y, number, color="white", ha="center", va="center", fontsize=8.5)
        ax.set_xlabel("offline MRR, against 1 (%)")
        ax.set_ylabel(f"live {titles.get(metric, metric)}, against 1 (%)")
    fig.legend(loc="outside lower center", ncols=3, fontsize=10)
    return fig


@styled
def asymmetry(results: pd.DataFrame, setting: int | str | Sequence[str]) -> Figure:
    """Draw how ordered consumption is, and what the wrong question costs, by setting of the dials.

    Parameters
    ----------
    results : one row a seed, columns ``"<setting>/<name>"`` with ``series`` and ``ladder`` (share
        of pairs that were watched in order), ``leak`` and ``gap`` (per cent)
    setting : the setting to mark, by name or place in `ORDER`, or several names
    """
    setting = ORDER[setting] if isinstance(setting, int) else setting
    marked = [setting] if isinstance(setting, str) else list(setting)
    settings = list(dict.fromkeys(c.split("/")[0] for c in results.columns if c.endswith("/gap")))
    settings.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    fig, axes = figure(
        3, height=3.9,
        alt="; ".join(
            f"{s}: {results[f'{s}/series'].mean():.2f} of episode pairs in order, leak "
            f"{results[f'{s}/leak'].mean():.0f} %, loss {results[f'{s}/gap'].mean():.0f} %"
            for s in marked
        ),
    )  # fmt: skip
    panels = (
        (axes[0], "watched in order (share)", {"series": "o", "ladder": "s"}),
        (axes[1], "leak of the context (%)", {"leak": "D"}),
        (axes[2], "loss, next watch (%)", {"gap": "D"}),
    )
    words = {"series": "episodes", "ladder": "mainstream to niche"}
    for ax, title, metrics in panels:
        for metric, marker in metrics.items():
            values = results[[f"{s}/{metric}" for s in settings]].to_numpy()
            mean, half = interval(values)
            for i, s in enumerate(settings):
                tone = colour("you" if s in marked else "held-out watch")
                ax.plot(np.full(len(values), i), values[:, i], "o", color=tone, ms=3.5, alpha=0.4)
                ax.errorbar(i, mean[i], yerr=half[i], fmt=marker, color=tone, ms=8, capsize=4)
                if s in marked:
                    number = f"{mean[i]:.2f}" if ax is axes[0] else f"{mean[i]:.0f}"
                    both = results[[f"{s}/{m}" for m in metrics]].mean()  # they may coincide
                    up = 0 if len(both) == 1 else 8 if mean[i] >= both.max() else -9
                    ax.annotate(number, (i, mean[i]), xytext=(8, up), color=tone,
                                textcoords="offset points", va="center")  # fmt: skip
            if metric in words:
                ax.plot([], [], marker, color=MUTED, label=words[metric])
        ax.axhline(0.5 if ax is axes[0] else 0.0, color=MUTED, ls=(0, (5, 3)), lw=1.2)
        ax.set_title(title, fontsize=11.5)
        ax.set_xticks(np.arange(len(settings)), settings, rotation=30, ha="right")
        ax.set_xlim(-0.5, len(settings) - 0.1)
    axes[0].set_ylim(0.35, 1.2)
    axes[0].legend(loc="upper left", fontsize=9.5)
    return fig
