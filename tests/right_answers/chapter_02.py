"""Right answers to the exercises of chapter 02, written in other ways than the reference."""

import numpy as np
import torch
from scipy.stats import rankdata


def objective_in_loops(watched, scores, alpha):
    total = 0.0
    for row, predicted in zip(watched, scores, strict=True):
        for r, s in zip(row, predicted, strict=True):
            total += (1 + alpha * r) * ((1.0 if r > 0 else 0.0) - s) ** 2
    return total


def objective_of_two_parts(watched, scores, alpha):
    """All cells as if they were empty, then what the filled ones change."""
    filled = watched > 0
    s, c = scores[filled], 1 + alpha * watched[filled]
    return (scores**2).sum() + (c * (1 - s) ** 2 - s**2).sum()


def rank_by_scipy(scores, target, hidden):
    """Average ranks are what "a tie counts half" means."""
    kept = np.flatnonzero(~hidden | (np.arange(len(scores)) == target))
    return rankdata(-scores[kept], method="average")[list(kept).index(target)]


def rank_in_a_loop(scores, target, hidden):
    rank = 1
    for video, score in enumerate(scores):
        if hidden[video] or video == target:
            continue
        rank += 1 if score > scores[target] else 0.5 if score == scores[target] else 0
    return rank


def half_step_with_matrices(vectors, watched, regularisation, alpha):
    c = np.diag(1 + alpha * watched)
    p = np.where(watched > 0, 1, 0)
    inverse = np.linalg.inv(vectors.T @ c @ vectors + regularisation * np.eye(vectors.shape[1]))
    return inverse @ vectors.T @ c @ p


def half_step_as_least_squares(vectors, watched, regularisation, alpha):
    """Ridge regression as ordinary least squares with extra rows, in torch."""
    root = np.sqrt(1 + alpha * watched)
    rows = np.vstack([root[:, None] * vectors, regularisation**0.5 * np.eye(vectors.shape[1])])
    aims = np.append(root * (watched > 0), np.zeros(vectors.shape[1]))
    return torch.linalg.lstsq(torch.tensor(rows), torch.tensor(aims)[:, None]).solution[:, 0]


RIGHT = {
    "02-objective": [objective_in_loops, objective_of_two_parts],
    "02-rank": [rank_by_scipy, rank_in_a_loop],
    "02-half-step": [half_step_with_matrices, half_step_as_least_squares],
}
