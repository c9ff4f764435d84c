"""Figures of chapter 12: steps of the course, sources, funnel, combination, offline and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from course.plots.palette import colour, look
from course.plots.style import MUTED, Figure, figure, floor_and_ceiling, interval, styled

_NAMES = {
    "+ watch-time ranker": "watch-time ranker",
    "+ many objectives": "multitask",
    "+ shallow tower": "shallow tower",
}
_METRICS = {
    "watch_minutes": "watch time",
    "satisfied": "satisfied watches",
    "clicks": "clicks",
}


@styled
def course_steps(
    results: pd.DataFrame,
    steps: Sequence[str],
    metrics: Sequence[str] = ("watch_minutes", "satisfied"),
) -> Figure:
    """Draw what each step of the course is worth live, as a share of the oracle's.

    Parameters
    ----------
    results : stored results, index seed, columns ``steps/<step>/<metric>/expected``
    steps : from the floor to the ceiling; these two are drawn as lines
    metrics : one panel each
    """
    alt = f"Live outcomes of {', '.join(steps[1:-1])}, in percent of the oracle's"
    fig, axes = figure(len(metrics), height=0.9 + 0.55 * len(steps), sharey=True, alt=alt)
    shown = list(steps[1:-1])
    for ax, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        values = {
            s: 100 * (results[f"steps/{s}/{metric}/expected"]
                      / results[f"steps/{steps[-1]}/{metric}/expected"]).to_numpy()
            for s in steps
        }  # fmt: skip
        for y, step in enumerate(reversed(shown)):
            name = _NAMES.get(step, step)
            mean, half = interval(values[step])
            ax.plot(values[step], np.full(len(results), y), "o", color=colour(name), ms=4,
                    alpha=0.45)  # fmt: skip
            ax.errorbar(mean, y, xerr=half, color=colour(name), marker=look(name)["marker"], ms=8,
                        capsize=4)  # fmt: skip
        ax.set_yticks(range(len(shown)), list(reversed(shown)))
        ax.set_ylim(-0.6, len(shown) - 0.4)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"{_METRICS.get(metric, metric)},\nin percent of the oracle's")
        floor_and_ceiling(ax, float(values[steps[0]].mean()), 100.0, orient="v")
        ax.set_xlim(0, 106)
    return fig


@styled
def source_recall(results: pd.DataFrame, sources: Sequence[str]) -> Figure:
    """Draw recall of each source and of the pool; the dark part is what no other source finds.

    Parameters
    ----------
    results : index seed, columns ``sources/<name>/recall`` and ``sources/<name>/alone``
    sources : names of the sources
    """
    names = [*sources, "pool, as many", "pool", "random"]
    labels = [*sources, "pool, cut to one source's size", "pool", "as many random videos"]
    fig, ax = figure(height=1.1 + 0.45 * len(names), title="Watches to come that are nominated")
    for y, name in enumerate(reversed(names)):
        found = 100 * results[f"sources/{name}/recall"].to_numpy()
        mean, half = interval(found)
        of = {"random": "random", "sequence": "deep candidates", "co-watch": "co-watched",
              "topic match": "recent popularity", "context": "softmax factorization"}  # fmt: skip
        tone = colour(of.get(name, "observed" if name in sources else "treatment"))
        ax.barh(y, mean, color=tone, alpha=0.4, height=0.62)
        if name in sources:
            ax.barh(y, 100 * results[f"sources/{name}/alone"].mean(), color=tone, height=0.62)
        ax.errorbar(mean, y, xerr=half, color=MUTED, capsize=3, lw=1.4)
        ax.annotate(f"{mean:.0f}%", (mean + np.nan_to_num(half), y), xytext=(7, 0), va="center",
                    textcoords="offset points")  # fmt: skip
    ax.set_yticks(range(len(labels)), list(reversed(labels)))
    ax.set(xlim=(0, 100), xlabel="recall (%)")
    ax.grid(axis="y", visible=False)
    return fig


def _funnel(ax, cards, minutes, drop_off, width, fixed_ms, ms_per_card) -> None:
    label = "with those who leave" if width is None else f"{drop_off:.1%} leave per 100 ms"
    cards, minutes = np.asarray(cards, float), np.asarray(minutes, float)
    left = (1.0 - drop_off) ** ((fixed_ms + ms_per_card * cards) / 100.0)
    ax.plot(cards, minutes, color=colour("oracle"), ls=":", lw=1.6, label="nobody minds waiting")
    ax.plot(cards, minutes * left, color=colour("treatment"), marker="o", ms=5,
            label=label)  # fmt: skip
    best = int(np.argmax(minutes * left))
    ax.plot(cards[best], (minutes * left)[best], "D", ms=10, mfc="none", mew=2,
            color=colour("treatment"))  # fmt: skip
    ax.set(xscale="log", ylim=(0, 1.12 * minutes.max()), xlabel="candidates ranked")
    ax.set_xticks([10, 100, 1_000], ["10", "100", "1,000"])
    ax.minorticks_off()
    if width is not None:
        ms = fixed_ms + ms_per_card * width
        # Between two measured widths a straight line over the logarithm.
        kept = np.interp(np.log(width), np.log(cards), minutes)
        kept *= (1.0 - drop_off) ** (ms / 100.0)
        ax.plot(width, kept, "o", ms=12, mfc="none", mew=2, color=MUTED)
        ax.axvline(width, color=MUTED, lw=1.2, ls="--")
        ax.set_title(f"{width:,} cards: {ms:.0f} ms, {kept:.1f} minutes", fontsize=12)
    else:
        ax.set_title(f"{drop_off:.0%} leave: best {cards[best]:,.0f}", fontsize=12)


@styled
def funnel_value(
    width: int,
    drop_off: float,
    cards: np.ndarray,
    minutes: np.ndarray,
    fixed_ms: float = 20.0,
    ms_per_card: float = 0.2,
) -> Figure:
    """Draw what pages are worth by the width of the funnel, if waiting drives people away.

    Parameters
    ----------
    width : candidates to mark, at least 1
    drop_off : share of people who leave per 100 ms
    cards, minutes : (k,) candidates and expected minutes per page
    fixed_ms, ms_per_card : assumed waiting time
    """
    fig, ax = figure(height=3.9)
    _funnel(ax, cards, minutes, drop_off / 100.0, width, fixed_ms, ms_per_card)
    ax.set_ylabel("minutes per page")
    ax.legend(loc="lower right")
    return fig


@styled
def funnel_value_at(
    drop_offs: Sequence[float],
    cards: np.ndarray,
    minutes: np.ndarray,
    fixed_ms: float = 20.0,
    ms_per_card: float = 0.2,
) -> Figure:
    """Draw `funnel_value` at several drop-offs (percent per 100 ms), one panel each."""
    fig, axes = figure(len(drop_offs), height=3.6, sharey=True)
    for ax, drop_off in zip(axes, drop_offs, strict=True):
        _funnel(ax, cards, minutes, drop_off / 100.0, None, fixed_ms, ms_per_card)
    axes[0].set_ylabel("minutes per page")
    fig.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def _combination(ax, sweep: pd.DataFrame, mark) -> None:
    for weight, rows in sweep.groupby("watch time"):
        name = {0.0: "click ranker", 0.5: "share ranker", 1.0: "watch-time ranker"}.get(
            weight, "truth"
        )
        rows = rows.sort_values("rating")
        ax.plot(rows["watch_minutes"], rows["satisfied"], ms=5, lw=1.4, alpha=0.9, **look(name),
                label=f"weight of watch time {weight:g}")  # fmt: skip
    x, y = mark
    ax.plot(x, y, "o", ms=15, mfc="none", mew=2.4, color=colour("treatment"))
    ax.set(xlabel="minutes per page")


@styled
def combination_value(watch_time: float, rating: float, sweep: pd.DataFrame) -> Figure:
    """Draw live minutes and satisfied watches of combination weights set by hand.

    Parameters
    ----------
    watch_time, rating : weights to mark (the nearest of the sweep); the click's weight is 1
    sweep : columns ``watch time``, ``rating``, ``watch_minutes``, ``satisfied``, ``clicks``
    """
    off = (sweep["watch time"] - watch_time).abs() * 100 + (sweep["rating"] - rating).abs()
    row = sweep.loc[off.idxmin()]
    fig, ax = figure(height=4.0)
    _combination(ax, sweep, (row["watch_minutes"], row["satisfied"]))
    ax.set_ylabel("satisfied watches per page")
    ax.set_title(f"watch time {row['watch time']:g}, rating {row['rating']:g}: "
                 f"{row['watch_minutes']:.1f} minutes, {row['satisfied']:.2f} satisfied, "
                 f"{row['clicks']:.2f} clicks", fontsize=12)  # fmt: skip
    ax.legend(loc="lower left", fontsize=10)
    return fig


@styled
def combination_values(settings: Sequence[tuple[float, float]], sweep: pd.DataFrame) -> Figure:
    """Draw `combination_value` at several settings (watch time, rating), one panel each."""
    fig, axes = figure(len(settings), height=3.9, sharey=True)
    for ax, (watch_time, rating) in zip(axes, settings, strict=True):
        off = (sweep["watch time"] - watch_time).abs() * 100 + (sweep["rating"] - rating).abs()
        row = sweep.loc[off.idxmin()]
        _combination(ax, sweep, (row["watch_minutes"], row["satisfied"]))
        ax.set_title(f"watch time {row['watch time']:g}, rating {row['rating']:g}", fontsize=12)
    axes[0].set_ylabel("satisfied watches per page")
    fig.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


@styled
def offline_beside_live(
    found: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    named: Sequence[Mapping[str, tuple[int, int]]],
) -> Figure:
    """Draw each policy's offline measure against its live result.

    Parameters
    ----------
    found : a row for each policy
    pairs : (offline column, live column), a panel each
    named : for each panel, policy -> offset of its label in points, which reaches to the left if
        the offset does; the others are only dots
    """
    labels = {
        "auc": "AUC of clicks on logged pages",
        "error": "squared error of minutes / variance\n(better to the right)",
        "loss": "weighted per-user loss (%)\n(better to the right)",
        "clicks": "live clicks per page",
        "watch_minutes": "live minutes per page",
    }
    alt = "Offline against live: " + "; ".join(f"{a} against {b}" for a, b in pairs)
    fig, axes = figure(len(pairs), height=4.4, alt=alt)
    for ax, (offline, live), texts in zip(np.atleast_1d(axes), pairs, named, strict=True):
        for name, row in found.iterrows():
            base = name.split(",")[0]
            same = {"many objectives": "multitask", "watch ranker": "watch-time ranker"}
            ax.plot(row[offline], row[live], ls="", ms=8, **look(same.get(base, base)))
            if name in texts:
                ax.annotate(name, (row[offline], row[live]), xytext=texts[name], fontsize=9.5,
                            textcoords="offset points", color=MUTED,
                            ha="right" if texts[name][0] < 0 else "left")  # fmt: skip
        ax.set(xlabel=labels.get(offline, offline), ylabel=labels.get(live, live))
        if offline in ("error", "loss"):
            ax.invert_xaxis()
        ax.margins(0.16)
    return fig


@styled
def off_policy_errors(
    results: pd.DataFrame,
    sizes: Sequence[int],
    methods: Sequence[str],
    kinds: Mapping[str, str],
) -> Figure:
    """Draw the error of off-policy estimates by the size of the log, mean of the seeds.

    Parameters
    ----------
    results : index seed, columns ``<kind>/<size>/<method>/rmse``, percent of the true value
    kinds : kind -> title, one panel each
    """
    fig, axes = figure(len(kinds), height=4.2, sharey=True)
    tones = {"IPS": "random", "SNIPS": "matrix factorization", "direct": "sampled softmax",
             "doubly robust": "treatment"}  # fmt: skip
    for ax, (kind, title) in zip(np.atleast_1d(axes), kinds.items(), strict=True):
        for method in methods:
            ys = results[[f"{kind}/{n}/{method}/rmse" for n in sizes]].to_numpy()
            mean, half = interval(ys)
            style = look(tones.get(method, method))
            ax.plot(sizes, mean, label=method, ms=7, **style)
            ax.fill_between(sizes, np.maximum(mean - half, 0.5), mean + half, alpha=0.18,
                            color=style["color"], lw=0)  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="logged pages", title=title)
        ticks = [2, 5, 10, 20, 50]
        ax.set_yticks(ticks, [f"{v}%" for v in ticks])
        ax.minorticks_off()
        ax.set_xticks(list(sizes), [f"{n:,}" for n in sizes], fontsize=9.5)
    np.atleast_1d(axes)[0].set_ylabel("error, in percent of\nthe true value")
    fig.legend(*np.atleast_1d(axes)[-1].get_legend_handles_labels(), loc="outside lower center",
               ncols=len(methods))  # fmt: skip
    return fig


@styled
def drift_gains(results: pd.DataFrame, drifts: Sequence[float]) -> Figure:
    """Draw what going on with the training is worth, by how fast people change.

    Parameters
    ----------
    results : index seed, columns of `course.experiments.drift.trial`
    drifts : settings of the dial
    """
    fig, (left, right) = figure(2, height=4.0)
    x = np.arange(len(drifts))
    keys = [f"drift {d:g}" for d in drifts]
    once, on = (np.stack([results[f"{k}/ranker/{w}/minutes"] for k in keys], axis=1)
                for w in ("once", "on"))  # fmt: skip
    gain = 100 * (on / once - 1)
    _by_drift(left, x, gain, "watch-time ranker", "ranker, trained on / once")
    left.set(title="Ranker: live minutes", ylabel="gain of sequential training (%)")
    for way, name, label in (("once", "random", "the first days"),
                             ("late", "observed", "as many last days"),
                             ("on", "treatment", "all days")):  # fmt: skip
        taste = np.stack([results[f"{k}/factors/{way}/taste"] for k in keys], axis=1)
        _by_drift(right, x, taste, name, label)
    right.set(title="Vectors: taste they know", ylabel="correlation with true taste")
    right.legend(fontsize=10)
    for ax in (left, right):
        ax.set_xticks(x, [f"{d:g}" for d in drifts])
        ax.set_xlabel("drift: P(an interest changes) per day")
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    return fig


def _by_drift(ax, x, ys, name, label) -> None:
    mean, half = interval(ys)
    ax.plot(x, ys.T, color=colour(name), lw=0.8, alpha=0.35)
    ax.errorbar(x, mean, yerr=half, label=label, capsize=4, ms=7, **look(name))
