"""Exercises of chapter 08, many objectives and MMoE."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake


def _loss_cases(rng: np.random.Generator):
    for _ in range(3):
        n = int(rng.integers(40, 80))
        y = (rng.random((n, 3)) < 0.4).astype(float)
        y[rng.random(n) < 0.6, 1] = np.nan
        y[rng.random(n) < 0.85, 2] = np.nan
        y[0], y[1] = 0.0, 1.0  # every task has labels of both kinds
        yield rng.normal(0, 1.5, (n, 3)), y


def _entropy(logits, y):
    return np.logaddexp(0, logits) - y * logits


def _masked(logits, y):
    return float(np.nanmean(_entropy(logits, y), axis=0).sum())


def _zeros_for_unknown(logits, y):
    return float(_entropy(logits, np.nan_to_num(y)).mean(axis=0).sum())


def _by_all_rows(logits, y):
    return float(np.nansum(_entropy(logits, y)) / len(y))


def _one_mean(logits, y):
    return float(np.nanmean(_entropy(logits, y)))


def _complete_rows(logits, y):
    known = ~np.isnan(y).any(axis=1)
    return float(_entropy(logits[known], y[known]).mean(axis=0).sum())


def _gate_cases(rng: np.random.Generator):
    for _ in range(3):
        tasks, experts = int(rng.integers(2, 6)), int(rng.integers(3, 7))
        gates = rng.dirichlet(np.ones(experts), tasks)
        keep = rng.random((tasks, experts)) > 0.4
        keep[0] = False  # once all experts are dropped
        keep[1, :2] = True, False
        yield gates, keep


def _dropped(gates, keep):
    left = gates * keep
    total = left.sum(axis=1, keepdims=True)
    return np.where(total > 0, left / np.where(total > 0, total, 1.0), gates)


def _softly(gates, keep):
    weight = np.exp(gates * keep)
    return weight / weight.sum(axis=1, keepdims=True)


def _scaled(gates, keep):
    share = keep.mean(axis=1, keepdims=True)
    return np.where(share > 0, gates * keep / np.where(share > 0, share, 1), gates)


def _zero_rows(gates, keep):
    left = gates * keep
    return left / np.maximum(left.sum(axis=1, keepdims=True), 1e-12)


def _count_cases(rng: np.random.Generator):
    for _ in range(4):
        inputs, shared = (int(v) for v in rng.integers(20, 200, 2))
        experts, width, tasks, tower = (int(v) for v in rng.integers(2, 20, 4))
        yield inputs, shared, experts, width, tasks, tower


def _parts(d, s, e, h, k, t):
    return {
        "shared": d * s,
        "experts": e * s * h,
        "gates": k * e * s,
        "mixing": k * e * h,
        "towers": k * (h * t + t),
    }


def _count(inputs, shared, experts, width, tasks, tower):
    return sum(_parts(inputs, shared, experts, width, tasks, tower).values())


def _without(name):
    return lambda *sizes: _count(*sizes) - _parts(*sizes)[name]


def _one_gate(d, s, e, h, k, t):
    return _count(d, s, e, h, k, t) - (k - 1) * (e * s + e * h)


def _experts_on_input(d, s, e, h, k, t):
    return _count(d, s, e, h, k, t) - e * s * h + e * d * h


def _one_tower(d, s, e, h, k, t):
    return _count(d, s, e, h, k, t) - (k - 1) * (h * t + t)


def _page_cases(rng: np.random.Generator):
    for _ in range(4):
        n = int(rng.integers(8, 15))
        yield (
            rng.uniform(0.01, 0.3, n),
            rng.uniform(20, 900, n),
            rng.beta(1, 6, n),
            np.array([1.0, rng.uniform(0.3, 1.0), rng.uniform(2.0, 12.0)]),
        )


def _scores(click, seconds, dismissal, weights):
    return weights[0] * np.log(click) + weights[1] * np.log(seconds) + weights[2] * np.log(
        1 - dismissal
    )  # fmt: skip


def _order(score):
    return np.argsort(-score)


EXERCISES = (
    Exercise(
        id="08-masked-loss",
        chapter=8,
        reference=_masked,
        cases=_loss_cases,
        mistakes=(
            Mistake(_zeros_for_unknown, "You count what is not known as a label of 0: a video that "
                    "nobody was asked about is not one that nobody liked."),
            Mistake(_by_all_rows, "You divide by the number of rows; a task's mean runs over its "
                    "own known labels."),
            Mistake(_one_mean, "That is one mean over all known labels; it is the sum of the "
                    "tasks' means that is asked for."),
            Mistake(_complete_rows, "You use the rows in which every label is known; each task "
                    "has its own known rows."),
            Mistake(lambda z, y: _masked(z, y) / y.shape[1],
                    "That is the mean over the tasks; the sum is asked for."),
        ),
    ),
    Exercise(
        id="08-gate-dropout",
        chapter=8,
        reference=_dropped,
        cases=_gate_cases,
        mistakes=(
            Mistake(lambda g, k: g * k, "The rows no longer sum to one."),
            Mistake(_zero_rows, "A gate from which all experts would be dropped becomes all "
                    "zero; it should stay as it was."),
            Mistake(_softly, "A softmax over the remaining probabilities flattens the gate, and "
                    "gives dropped experts a share; divide by the sum instead."),
            Mistake(_scaled, "You divide by the share of experts that are left, as in ordinary "
                    "drop-out; here each row should sum to exactly one."),
            Mistake(lambda g, k: _dropped(g, ~np.asarray(k)),
                    "You dropped the experts that should be kept."),
        ),
    ),
    Exercise(
        id="08-count",
        chapter=8,
        reference=_count,
        cases=_count_cases,
        mistakes=(
            Mistake(_without("gates"), "The gates are missing: each task has a linear layer from "
                    "the shared layer to one logit for each expert."),
            Mistake(_without("mixing"), "The mixing is missing: each task multiplies every "
                    "expert's output with a probability."),
            Mistake(lambda *s: _count(*s) - _parts(*s)["gates"] - _parts(*s)["mixing"],
                    "Gates and mixing are missing; a comparison at equal cost counts them."),
            Mistake(_one_gate, "That is one gate for all tasks; here each task has its own."),
            Mistake(_experts_on_input, "Your experts read the input; here they stand on the "
                    "shared layer."),
            Mistake(_one_tower, "That is one tower; each task has its own."),
            Mistake(_without("towers"), "The towers are missing."),
        ),
    ),
    Exercise(
        id="08-combine",
        chapter=8,
        reference=lambda *given: _order(_scores(*given)),
        cases=_page_cases,
        mistakes=(
            Mistake(lambda c, s, d, w: _order(w[0] * c + w[1] * s + w[2] * (1 - d)),
                    "That is a weighted sum; the seconds decide alone."),
            Mistake(lambda c, s, d, w: _order(w[0] * c * w[1] * s * w[2] * (1 - d)),
                    "Your weights change no order; they are exponents."),
            Mistake(lambda c, s, d, w: _order(
                w[0] * np.log(c) + w[1] * np.log(s) + w[2] * np.log(d)),
                    "A likely dismissal should count against a video: use 1 minus it."),
            Mistake(lambda c, s, d, w: _order(
                w[0] * np.log(c) + w[1] * np.log(s) - w[2] * np.log(d)),
                    "Not being dismissed has the probability 1 - d; its logarithm is not -log(d)."),
            Mistake(lambda *given: np.argsort(_scores(*given)), "The worst video comes first."),
            Mistake(lambda *given: _scores(*given),
                    "Those are scores; the order of the videos is asked for, best first."),
        ),
    ),
)  # fmt: skip
