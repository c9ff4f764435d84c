"""Figures of position bias: what is learned about it, and what that is worth."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from course.experiments import bias_bench
from course.models.position_bias import against_truth
from course.plots.palette import colour, look
from course.plots.paper import P2_FIG6, P2_FIG7, P2_TABLE2
from course.plots.style import MUTED, Figure, band, figure, interval, styled
from course.simulator.names import DEVICES

SHORT = {
    "input, missing": "input, served missing",
    "input, first": "input, served first",
    "adversarial": "adversarial",
    "PAL": "PAL (product)",
    "inverse propensity": "inverse propensity",
    "regression-EM": "regression-EM",
    "shallow, no drop-out": "shallow, no drop-out",
    "shallow tower": "shallow tower",
}
"""Names of the treatments, short enough for a figure."""

TABLE2 = {"input, missing": "Input Feature", "adversarial": "Adversarial Loss",
          "shallow tower": "Shallow Tower"}  # fmt: skip


@styled
def beside_the_paper(ctr: np.ndarray, learned: np.ndarray) -> Figure:
    """Draw click rate and learned bias by position, ours beside P2's Figures 6 and 7.

    Parameters
    ----------
    ctr : (k,) click-through rate of positions 1 to k
    learned : (k,) learned logits of one device
    """
    fig, axes = figure(2, height=3.7, sharey=True)
    panels = (("Click-through rate (P2 Fig. 6)", np.log(ctr), np.log(P2_FIG6)),
              ("Learned bias (P2 Fig. 7)", learned, np.asarray(P2_FIG7)))  # fmt: skip
    for ax, (title, ours, theirs) in zip(axes, panels, strict=True):
        given = {"this world": (ours, look("shallow tower")),
                 "P2, digitised": (theirs, {"color": MUTED, "marker": "s"})}  # fmt: skip
        for label, (values, style) in given.items():
            ax.plot(np.arange(1, len(values) + 1), values - values[0], label=label, **style)
        ax.set(title=title, xlabel="position on the page")
        ax.set_xticks(np.arange(1, len(ours) + 1))
    axes[0].set_ylabel("logarithm, relative to position 1")
    axes[0].legend()
    return fig


@styled
def learned_bias(curves: Mapping[str, np.ndarray], truth: np.ndarray) -> Figure:
    """Draw learned bias curves over the true one, a panel for each device.

    Parameters
    ----------
    curves : name -> (devices, k) logits relative to position 1
    truth : (devices, k) what the curves should be
    """
    fig, axes = figure(len(DEVICES), height=3.6, sharey=True)
    position = np.arange(1, truth.shape[1] + 1)
    for d, (ax, device) in enumerate(zip(axes, DEVICES, strict=True)):
        ax.plot(position, truth[d], color=colour("truth"), lw=4, alpha=0.35, label="true")
        for name, values in curves.items():
            ax.plot(position, values[d] - values[d][0], label=name, **{**look(name), "ms": 4})
        ax.set(title=device if device != "tv" else "TV", xlabel="position on the page")
        ax.set_xticks(position)
    axes[0].set_ylabel("bias (logit), relative to position 1")
    axes[0].legend(fontsize=9.5)
    return fig


@styled
def position_treatments(results: Mapping[str, pd.DataFrame], metric: str = "clicks") -> Figure:
    """Draw the live change of each treatment against no treatment, and P2's Table 2 beside it.

    Parameters
    ----------
    results : title of a panel -> DataFrame with a row for each seed and the columns
        ``live/<treatment>/<metric>``. Large markers are means with their 95 % intervals, small
        ones are worlds.
    """
    fig, axes = figure(len(results) + 1, height=3.9, sharey=True)
    names = list(SHORT)[::-1]
    for ax, (title, table) in zip(axes, results.items(), strict=False):
        for y, name in enumerate(names):
            column = f"live/{name}/{metric}"
            if column not in table:
                continue
            values = 100 * (table[column] / table[f"live/none/{metric}"] - 1).to_numpy()
            mean, half = interval(values)
            style = {**look(name), "ls": ""}
            ax.plot(values, np.full(len(values), y), alpha=0.35, **{**style, "ms": 4})
            ax.errorbar(mean, y, xerr=half, capsize=4, **{**style, "ms": 8})
        ax.set(title=title, xlabel=f"{metric}, change (%)")
    ours = [limit for ax in axes[:-1] for limit in ax.get_xlim()]
    for ax in axes[:-1]:
        ax.set_xlim(min(ours), max(ours))
    paper = axes[-1]
    for name, row in TABLE2.items():
        # The paper does not say how its input was served: its marker stands between the two rows.
        y = names.index(name) - (0.5 if row == "Input Feature" else 0.0)
        paper.plot(P2_TABLE2[row], y, **{**look(name), "ls": "", "ms": 8})
    paper.set(title="P2, Table 2", xlabel="engagement, change (%)")
    for ax in axes:
        ax.axvline(0, color=colour("control"), lw=1)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.6, len(names) - 0.4)
    axes[0].set_yticks(range(len(names)), [SHORT[name] for name in names])
    return fig


@styled
def logged_orders(results: pd.DataFrame, worlds: Sequence[str], names: Sequence[str]) -> Figure:
    """Draw what treatments are worth, and how steep their curves are, by how the log was ordered.

    Parameters
    ----------
    results : a row for each seed; columns ``<world>/live/<treatment>/clicks`` and
        ``<world>/<treatment>/slope/<device>``
    worlds : in the order of the axis
    names : treatments
    """
    fig, (left, right) = figure(2, height=3.9)
    x = np.arange(len(worlds))
    for name in names:
        gain = [100 * (results[f"{w}/live/{name}/clicks"] / results[f"{w}/live/none/clicks"] - 1)
                for w in worlds]  # fmt: skip
        band(left, x, np.stack(gain, axis=1), name)
        given = name == "inverse propensity"  # its curve is not learned from the log
        if f"{worlds[0]}/{name}/slope/phone" in results and not given:
            slope = [np.mean([results[f"{w}/{name}/slope/{d}"] for d in DEVICES], axis=0)
                     for w in worlds]  # fmt: skip
            band(right, x, np.stack(slope, axis=1), name)
    left.axhline(0, color=colour("control"), lw=1)
    right.axhline(1, color=colour("truth"), lw=1, ls="--")
    left.set(title="Live", ylabel="clicks against no treatment (%)")
    right.set(
        title="Learned bias, mean of the devices", ylabel="slope over the true one (1 = right)"
    )
    for ax in (left, right):
        ax.set_xticks(x, [textwrap.fill(world, 12) for world in worlds], fontsize=9.5)
        ax.set_xlabel("how the past ranking ordered its pages")
        ax.margins(x=0.12)
    left.legend(fontsize=9.5)
    return fig


@styled
def position_bench(
    strength: float = 1.0,
    incumbency: float = 1.0,
    noise: float = 0.5,
    knows_more: bool = False,
    *,
    pages: int = 6_000,
    seed: int = 7,
    progress: Callable | None = None,
) -> Figure:
    """Make a log, train with and without the shallow tower, and draw what came of it.

    Parameters
    ----------
    strength : of the position bias
    incumbency, noise : weights in the past ranking, beside a relevance of 1
    knows_more : the past ranking and the viewers know a part of the appeal that the model does not
    """
    fig, axes = figure(2, height=3.7)
    dials = {"strength": strength, "incumbency": incumbency, "noise": noise}
    _bench(axes, {**dials, "hidden": float(knows_more)}, pages, seed, progress)
    return fig


@styled
def position_benches(
    settings: Mapping[str, Mapping[str, float]], *, pages: int = 6_000, seed: int = 7
) -> Figure:
    """Draw `position_bench` at several settings, one below the other.

    Parameters
    ----------
    settings : title -> arguments of `position_bench`
    """
    fig, axes = figure(2, len(settings), height=3.0 * len(settings))
    for pair, (title, dials) in zip(np.atleast_2d(axes), settings.items(), strict=True):
        dials = dict(dials)
        hidden = float(dials.pop("knows_more", False))
        _bench(pair, {**dials, "hidden": hidden}, pages, seed, None)
        found = pair[0].get_title(loc="left").split(": ")[1]
        pair[0].set_title(f"{title}, phone: {found}")
        pair[1].set(title="", xlim=(-15, 25))
    return fig


def _bench(axes, dials, pages, seed, progress) -> None:
    log = bias_bench.make_log(pages, seed=seed, **dials)
    fresh = bias_bench.make_log(3 * pages, seed=seed + 1_000, **dials)
    models = {}
    for i, name in enumerate(("none", "shallow tower")):

        def report(done, total, loss, i=i, name=name):
            if progress is not None and done % 25 == 0:
                progress(i * total + done, 2 * total, name)

        models[name] = bias_bench.train(log, name, seed=seed, progress=report)
    clicks = bias_bench.clicks_per_page(fresh, models)
    curve, rate = models["shallow tower"].curve()[0], log.clicked[log.device == 0].mean(axis=0)
    fit = against_truth(curve[None], log.log_seen[:1])
    left, right = axes
    position = np.arange(1, bias_bench.SLATE + 1)
    rate = np.log(rate.clip(1e-4))
    left.plot(position, rate - rate[0], label="click rate", ls="--", **look("observed"))
    left.plot(position, log.log_seen[0], color=colour("truth"), lw=4, alpha=0.35, label="true bias")
    left.plot(position, curve, label="learned bias", **look("shallow tower"))
    slope = f"slope {fit['slope'][0]:.2f}" if np.ptp(log.log_seen[0]) else "no bias"
    left.set_title(f"Phone: {slope}, largest error {fit['max_error'][0]:.2f}")
    left.set(xlabel="position on the page", ylabel="logarithm, relative to 1", ylim=(-6, 0.6))
    left.set_xticks(position)
    left.legend(fontsize=9.5)
    names = ("oracle", "shallow tower", "past ranking")
    for y, name in enumerate(names):
        change = 100 * (clicks[name] / clicks["none"] - 1)
        right.barh(y, change, color=colour(name), height=0.6)
        right.annotate(f"{change:+.1f}%", (max(change, 0.0), y), xytext=(5, 0), va="center",
                       textcoords="offset points", fontsize=10)  # fmt: skip
    right.axvline(0, color=colour("control"), lw=1)
    right.set_yticks(range(len(names)), names)
    right.grid(axis="y", visible=False)
    right.set(title="Fresh pages", xlabel="clicks against no treatment (%)", xlim=(-45, 28))
