"""Ways to feed a ranker: scales of continuous features, powers, sizes and sharing of tables."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from course.errors import ConfigError
from course.experiments.churn import FIRST_DAY
from course.experiments.ranking import HIDDEN, RankingTask, fit_ranker
from course.features import RankingInputs
from course.features.batch import RankingBatch
from course.features.quantiles import Quantiles, powers
from course.features.taxonomy import IMPRESSION_CODES, IMPRESSION_NUMBERS, QUERY_CODES, SPACE
from course.models.ranking import InputLayer
from course.models.watch_time import SECONDS_PER_UNIT, click_weights
from course.world import simulate

SCALES = ("raw", "standardised", "quantiles")
TREE_CARDS = 100_000
DESCENT_STEPS = 100


def on_scale(task: RankingTask, scale: str) -> RankingTask:
    """The same task with its continuous features fed in another way.

    Parameters
    ----------
    scale : {"raw", "standardised", "quantiles"}; standardised = minus the mean, over the standard
        deviation, both of the training cards

    Raises
    ------
    ConfigError
        For an unknown scale.
    """
    if scale not in SCALES:
        raise ConfigError(f"scale={scale!r}", allowed=", ".join(SCALES))
    if scale == "quantiles":
        return task
    out = copy.copy(task)
    train, test = (RankingBatch.of(inputs, task.features, normalise=False)
                   for inputs in (task.inputs, task.test_inputs))  # fmt: skip
    if scale == "standardised":
        for field in ("numbers", "query_numbers"):
            x = getattr(train, field)
            mean, sd = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
            train, test = (replace(batch, **{field: (getattr(batch, field) - mean) / sd})
                           for batch in (train, test))  # fmt: skip
    out.train, out.test = train, test
    return out


def smooth(losses: Sequence[float], window: int = 50) -> np.ndarray:
    """Running means of ``window`` losses; the first ones over what there is."""
    total = np.cumsum(np.r_[0.0, losses])
    end = np.arange(1, len(losses) + 1)
    start = np.maximum(end - window, 0)
    return (total[end] - total[start]) / (end - start)


def table_parameters(layer: InputLayer) -> dict[str, int]:
    """Numbers in each embedding table, without the row of zeros."""
    return {name: (t.num_embeddings - 1) * t.embedding_dim for name, t in layer.tables.items()}


def parameters(model) -> dict[str, int]:
    """Trained numbers of a ranker: in its tables and in all."""
    layer = next(m for m in model.modules() if isinstance(m, InputLayer))
    tables = sum(table_parameters(layer).values())
    padding = sum(t.embedding_dim for t in layer.tables.values())
    return {"tables": tables, "all": sum(p.numel() for p in model.parameters()) - padding}


# --- One skewed feature -------------------------------------------------------------------------


def skewed(skew: float, n: int = 2_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A feature x = exp(skew * z) of n cards, and clicks whose odds rise evenly with its rank.

    Returns
    -------
    x (n,) float, clicked (n,) bool
    """
    rng = np.random.default_rng(seed)
    z = np.sort(rng.normal(size=n))
    share = (np.arange(n) + 0.5) / n
    return np.exp(skew * z), rng.random(n) < 1 / (1 + np.exp(-4 * (share - 0.5)))


def scaled(x: np.ndarray) -> dict[str, np.ndarray]:
    """A feature (n,) on the three scales: columns (n, 1), and (n, 3) for quantiles with powers."""
    share = Quantiles(x)(x).astype(float)[:, None]
    return {
        "raw": x[:, None],
        "standardised": ((x - x.mean()) / max(x.std(), 1e-9))[:, None],
        "quantiles": powers(share),
    }


def descend(
    columns: np.ndarray, clicked: np.ndarray, steps: int = DESCENT_STEPS, rate: float = 0.5
) -> np.ndarray:
    """Loss (steps + 1,) of a logistic regression on some columns, by plain gradient descent.

    What overflows counts as infinite.
    """
    x = np.column_stack([np.ones(len(columns)), columns])
    w, losses = np.zeros(x.shape[1]), []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps + 1):
            z = x @ w
            losses.append(np.mean(np.logaddexp(0.0, z) - clicked * z))
            w = w - rate * x.T @ (1 / (1 + np.exp(-z)) - clicked) / len(x)
    return np.nan_to_num(np.asarray(losses), nan=np.inf)


# --- Trees --------------------------------------------------------------------------------------


def tree_columns(inputs: RankingInputs, task: RankingTask, scale: str) -> np.ndarray:
    """All univalent features as columns (n, f): codes as they are, numbers raw or as quantiles."""
    if scale not in ("raw", "quantiles"):
        raise ConfigError(f"scale={scale!r}", allowed="raw, quantiles")
    batch = RankingBatch.of(inputs, task.features, normalise=scale == "quantiles")
    parts = (batch.codes, batch.numbers, batch.query_codes[batch.page],
             batch.query_numbers[batch.page])  # fmt: skip
    return torch.cat([part.float() for part in parts], dim=1).numpy()


def fit_trees(task: RankingTask, scale: str, cards: int = TREE_CARDS, seed: int = 0):
    """Gradient-boosted trees for weighted clicks, on some of the training cards.

    Returns
    -------
    (n,) float, logits of the fresh cards
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(task.inputs))[:cards])
    labels = task.rows.iloc[rows]
    weight = click_weights(labels["clicked"], labels["watched_seconds"]).numpy()
    clicked = labels["clicked"].to_numpy()
    trees = HistGradientBoostingClassifier(random_state=seed, early_stopping=False)
    columns = tree_columns(task.inputs[rows], task, scale)
    trees.fit(columns, clicked, sample_weight=np.where(clicked, weight, 1.0))
    return trees.decision_function(tree_columns(task.test_inputs, task, scale))


# --- The ledger ---------------------------------------------------------------------------------

TABLES = {
    "by the logarithm": {}, "32 for all": {"dim": 32}, "unshared": {"shared": False},
}  # fmt: skip
NETS = {"linear": (), "32": (32,), "128-64-32": HIDDEN}


def by_hand(layer: InputLayer, batch: RankingBatch) -> torch.Tensor:
    """What an `InputLayer` gives for all features (n, width), one feature after the other."""
    own = [layer.tables[SPACE[name]](batch.codes[:, i]) for i, name in enumerate(IMPRESSION_CODES)]
    query = [layer.tables[SPACE[name]](batch.query_codes[:, i])
             for i, name in enumerate(QUERY_CODES)]  # fmt: skip
    for space, ids in (("video", batch.watched), ("token", batch.searched)):
        table = layer.tables[space]
        known = (ids != table.padding_idx).sum(dim=1, keepdim=True)
        query.append(table(ids).sum(dim=1) / known.clamp(min=1))
    x = batch.numbers[:, [i for i, n in enumerate(IMPRESSION_NUMBERS) if n in layer.include]]
    own += [x, x**2, x**0.5]
    query += [batch.query_numbers, batch.query_numbers**2, batch.query_numbers**0.5]
    return torch.cat([*own, *(part[batch.page] for part in query)], dim=1)


def shape(task: RankingTask, model) -> dict[str, float]:
    """Whether a trained ranker is wired as P1's Figure 7 says."""
    layer = next(m for m in model.modules() if isinstance(m, InputLayer))
    batch = task.test[torch.arange(100)]
    with torch.no_grad():
        difference = (layer(batch) - by_hand(layer, batch)).abs().max()
    served = model.expected_seconds(batch) / np.exp(model.logits(batch)) / SECONDS_PER_UNIT
    return {
        "largest difference": float(difference),
        "entries of the video table": float(sum(space == "video" for space in SPACE.values())),
        "served over exp(logit)": float(served.mean()),
        "ReLU layers": float(sum(isinstance(m, torch.nn.ReLU) for m in model.modules())),
    }


def trial(
    seed: int, size: str = "small", test_pages: int = 10_000, first_day: float = FIRST_DAY
) -> dict[str, float]:
    """Scales, powers, tables and vocabularies for one seed."""
    task = RankingTask(simulate(size, seed=seed), test_pages, first_day=first_day)
    out: dict[str, float] = {}
    for scale in SCALES:
        view = on_scale(task, scale)
        model = fit_ranker(view, powers=False, seed=seed)
        out[f"{scale}/loss"] = task.loss(model.logits(view.test))
        steps = model.history.step_losses
        out[f"{scale}/training loss at the end"] = float(np.mean(steps[-len(steps) // 5 :]))
    out["128-64-32/no powers/loss"] = out["quantiles/loss"]
    for scale in ("raw", "quantiles"):
        out[f"trees, {scale}/loss"] = task.loss(fit_trees(task, scale, seed=seed))
    for net in ("linear", "32"):
        for name, options in {"powers": True, "no powers": False}.items():
            model = fit_ranker(task, NETS[net], powers=options, seed=seed)
            out[f"{net}/{name}/loss"] = task.loss(model.logits(task.test))
    for name, options in TABLES.items():
        model = fit_ranker(task, seed=seed, **options)
        _note(out, name, model, task)
        if not options:
            out.update({f"shape/{key}": v for key, v in shape(task, model).items()})
    out["128-64-32/powers/loss"] = out["by the logarithm/loss"]
    quarter = len(task.features.vocabularies["video"]) // 4
    few = RankingTask(task.world, test_pages, first_day=first_day, top_videos=quarter)
    _note(out, "quarter of the videos", fit_ranker(few, seed=seed), few)
    unknown = few.test_inputs.column("video") == len(few.features.vocabularies["video"])
    out["quarter of the videos/unknown"] = float(unknown.mean())
    return out


def _note(out, name, model, task) -> None:
    out[f"{name}/loss"] = task.loss(model.logits(task.test))
    out[f"{name}/first epoch"] = model.history.losses[0]
    out.update({f"{name}/parameters, {k}": float(v) for k, v in parameters(model).items()})
