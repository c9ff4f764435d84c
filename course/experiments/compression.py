"""Cheaper rankers: a student taught by an ensemble, and weights of a few bits (chapter 14)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError
from course.experiments.feedback import MEDIUM
from course.experiments.ranking import (
    RankerPolicy,
    RankingTask,
    fit_pages,
    fit_ranker,
    multiplications,
)
from course.features.batch import RankingBatch
from course.models.watch_time import WatchTimeRanker
from course.training import check_whole
from course.world import ab_test, simulate

TEACHERS = 4
TEACHER, STUDENT = (128, 64, 32), (32,)
EPOCHS = 3
LEARNING_RATE = 3e-3
BITS = (8, 6, 4, 3, 2)
FLOAT_BITS = 32
LIVE_PAGES = 4_000


def rounded(weight: Tensor, bits: int = 8) -> Tensor:
    r"""Weights as whole numbers times one scale for each row, put back together.

    .. math:: s_r = \max_c |w_{rc}| / (2^{b-1}-1), \qquad
              w_{rc} \approx s_r\,\mathrm{round}(w_{rc}/s_r)

    Parameters
    ----------
    weight : (rows, columns)
    bits : 2 to 16; with 8 the whole numbers are -127 to 127

    Returns
    -------
    (rows, columns); a row of zeros stays one
    """
    check_whole("bits", bits, 2)
    if bits > 16:
        raise ConfigError(f"bits={bits}", allowed="2 to 16")
    if weight.dim() != 2:
        raise ConfigError(f"weight has shape {tuple(weight.shape)}", allowed="(rows, columns)")
    largest = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=1, keepdim=True) / largest
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.round(weight / safe) * safe


def quantised(model: nn.Module, bits: int = 8) -> nn.Module:
    """A copy of a model whose weight matrices and embedding tables are `rounded`."""
    out = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in out.parameters():
            if parameter.dim() == 2:
                parameter.copy_(rounded(parameter, bits))
    return out


def size_in_bytes(model: nn.Module, bits: int = FLOAT_BITS) -> int:
    """Bytes that the parameters take: matrices at so many bits plus a scale for each row.

    Scales, and what is no matrix, take 4 bytes each.
    """
    check_whole("bits", bits, 2)
    total = 0
    for parameter in model.parameters():
        matrix = parameter.dim() == 2 and bits < FLOAT_BITS
        total += -(-parameter.numel() * bits // 8) if matrix else 4 * parameter.numel()
        total += 4 * len(parameter) if matrix else 0
    return int(total)


def teach(odds: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    r"""The loss of a student whose teacher gives each card the odds e^z (n,).

    The weighted logistic regression of chapter 07, in which every card is clicked with the weight
    of the teacher's odds *and* not clicked with the weight 1:

    .. math:: o\,\log(1+e^{-z}) + \log(1+e^{z}),\quad\text{smallest at } e^z = o.

    Returns
    -------
    function (logits (m,), rows (m,) of their cards) -> scalar
    """

    def loss(logit: Tensor, rows: Tensor) -> Tensor:
        return (odds[rows] * functional.softplus(-logit) + functional.softplus(logit)).mean()

    return loss


def ensemble_odds(models: Sequence[WatchTimeRanker], batch: RankingBatch) -> np.ndarray:
    """Mean of the odds e^z of several rankers (n,): expected watch time in minutes."""
    return np.mean([np.exp(model.logits(batch)) for model in models], axis=0)


def fit_teachers(task: RankingTask, n: int = TEACHERS, seed: int = 0) -> list[WatchTimeRanker]:
    """Rankers of chapter 07 that differ in their first weights and the order of the pages."""
    return [fit_ranker(task, TEACHER, seed=1_000 * seed + i) for i in range(n)]


def fit_student(
    task: RankingTask,
    odds: np.ndarray | None = None,
    hidden: Sequence[int] = STUDENT,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    progress=None,
) -> WatchTimeRanker:
    """Train a small ranker, on the clicks of the log or on what a teacher says.

    Parameters
    ----------
    odds : (n,) the teacher's odds of the training cards; None = learn from the clicks
    """
    if odds is None:
        return fit_ranker(task, hidden, seed=seed, epochs=epochs, learning_rate=LEARNING_RATE,
                          progress=progress)  # fmt: skip
    odds = np.asarray(odds, np.float32)
    if odds.shape != (len(task.rows),) or not (np.isfinite(odds) & (odds > 0)).all():
        raise ConfigError(
            f"odds of shape {odds.shape}", allowed=f"({len(task.rows)},) finite numbers above 0"
        )
    model = WatchTimeRanker(task.features, hidden, bias=float(np.log(odds.mean())), seed=seed)
    loss = teach(torch.from_numpy(odds))

    def batch_loss(batch: RankingBatch, rows: Tensor) -> Tensor:
        return loss(model(batch), rows)

    model.history = fit_pages(model, task.train, batch_loss, epochs=epochs, seed=seed,
                              learning_rate=LEARNING_RATE, progress=progress)  # fmt: skip
    return model


def live_minutes(task: RankingTask, scores: Mapping[str, Callable], n: int = LIVE_PAGES):
    """Expected watch minutes per page of each score, of the past ranking and of the oracle.

    Parameters
    ----------
    scores : name -> function RankingBatch -> (n,)
    """
    world = task.world
    policies = {name: RankerPolicy(task.features, score) for name, score in scores.items()}
    ends = {"past ranking": world.past_ranking(), "oracle": world.oracle("watch")}
    table = ab_test(world, {**ends, **policies}, n=n).table
    return table[table["metric"] == "watch_minutes"].set_index("policy")["expected"]


def kept(minutes, name: str) -> float:
    """Share of the teachers' gain over the past ranking that a ranker keeps, in percent."""
    floor = minutes["past ranking"]
    return 100 * (minutes[name] - floor) / (minutes["teachers"] - floor)


def compression_task(seed: int, test_pages: int = 4_000) -> RankingTask:
    """The ranking task on which rankers are made smaller."""
    return RankingTask(simulate("small", seed=seed, **MEDIUM), test_pages)


# --- The ledger ----------------------------------------------------------------------------------


def trial(seed: int, n: int = LIVE_PAGES) -> dict[str, float]:
    """Teachers, one of them, students with and without teaching, and fewer bits.

    Returns
    -------
    dict with ``<ranker>/minutes`` (live, per page), ``<ranker>/loss`` (weighted per-user, %) and
    for those with a cost ``<ranker>/multiplications`` and ``<ranker>/bytes``
    """
    task = compression_task(seed)
    teachers = fit_teachers(task, seed=seed)
    odds = ensemble_odds(teachers, task.train)
    models = {
        "one teacher": teachers[0],
        "student, clicks": fit_student(task, seed=seed),
        "student, taught": fit_student(task, odds, seed=seed),
    }
    for bits in BITS:
        models[f"one teacher, {bits} bits"] = quantised(teachers[0], bits)
    models["student, taught, 8 bits"] = quantised(models["student, taught"], 8)
    scores = {name: model.logits for name, model in models.items()}
    scores["teachers"] = lambda batch: ensemble_odds(teachers, batch)
    minutes = live_minutes(task, scores, n)
    out = {f"{name}/minutes": float(value) for name, value in minutes.items()}
    out |= {f"{name}/loss": float(task.loss(score(task.test))) for name, score in scores.items()}
    for name, model in models.items():
        bits = int(name.split(", ")[-1].split()[0]) if name.endswith("bits") else FLOAT_BITS
        out[f"{name}/multiplications"] = float(multiplications(model))
        out[f"{name}/bytes"] = float(size_in_bytes(model, bits))
    for cost in ("multiplications", "bytes"):
        out[f"teachers/{cost}"] = TEACHERS * out[f"one teacher/{cost}"]
    return out
