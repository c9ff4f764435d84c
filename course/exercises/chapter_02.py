"""Exercises of chapter 02, matrix factorization."""

from __future__ import annotations

import numpy as np

from course.exercises.exercise import Exercise, Mistake, Tolerance

VIDEOS = 40


def _objective_cases(rng: np.random.Generator):
    for _ in range(3):
        shape = int(rng.integers(4, 8)), int(rng.integers(5, 9))
        watched = rng.integers(1, 5, shape) * (rng.random(shape) < 0.4)
        watched[0, :2] = 3, 0  # there is always a cell of each kind
        yield watched.astype(float), rng.normal(0.3, 0.4, shape), float(rng.uniform(1, 6))


def _weighted_error(watched, scores, alpha):
    wanted = (watched > 0).astype(float)
    return float(((1 + alpha * watched) * (wanted - scores) ** 2).sum())


def _only_filled(watched, scores, alpha):
    error = (1 + alpha * watched) * (1 - scores) ** 2
    return float(error[watched > 0].sum())


def _rank_cases(rng: np.random.Generator):
    """The target is never the best or among the hidden, and shares its score with others."""
    for _ in range(4):
        scores = rng.integers(0, 9, VIDEOS).astype(float)
        target = int(rng.integers(VIDEOS))
        scores[target] = 5.0
        others = rng.permutation(np.setdiff1d(np.arange(VIDEOS), target))
        hidden = np.zeros(VIDEOS, bool)
        hidden[others[:8]] = True
        scores[others[[0, 1, 8, 9]]] = 5.0  # hidden and open videos that are level
        scores[others[[2, 3, 10, 11]]] = 8.0  # hidden and open videos that are above
        yield scores, target, hidden


def _rank(scores, target, hidden):
    rivals = ~hidden & (np.arange(len(scores)) != target)
    above = (rivals & (scores > scores[target])).sum()
    level = (rivals & (scores == scores[target])).sum()
    return float(1 + above + level / 2)


def _open(scores, target, hidden):
    """Scores of the videos that compete with the target."""
    rivals = ~hidden & (np.arange(len(scores)) != target)
    return scores[rivals], scores[target]


def _ties_win(scores, target, hidden):
    rivals, own = _open(scores, target, hidden)
    return float(1 + (rivals > own).sum())


def _ties_lose(scores, target, hidden):
    rivals, own = _open(scores, target, hidden)
    return float(1 + (rivals >= own).sum())


def _half_step_cases(rng: np.random.Generator):
    for _ in range(3):
        videos, factors = int(rng.integers(8, 20)), int(rng.integers(2, 5))
        watched = rng.integers(1, 4, videos) * (rng.random(videos) < 0.4)
        watched[:3] = 2, 0, 1
        vectors = rng.normal(0, 1, (videos, factors))
        yield vectors, watched.astype(float), float(rng.uniform(0.5, 2)), float(rng.uniform(1, 5))


def _solve(vectors, confidence, wanted, regularisation):
    matrix = vectors.T @ (confidence[:, None] * vectors)
    return np.linalg.solve(
        matrix + regularisation * np.eye(vectors.shape[1]), vectors.T @ (confidence * wanted)
    )


def _half_step(vectors, watched, regularisation, alpha):
    return _solve(vectors, 1 + alpha * watched, (watched > 0).astype(float), regularisation)


def _half_step_of_filled(vectors, watched, regularisation, alpha):
    confidence = np.where(watched > 0, 1 + alpha * watched, 0.0)
    return _solve(vectors, confidence, (watched > 0).astype(float), regularisation)


def _plain_right_side(vectors, watched, regularisation, alpha):
    confidence = 1 + alpha * watched
    matrix = vectors.T @ (confidence[:, None] * vectors)
    matrix = matrix + regularisation * np.eye(vectors.shape[1])
    return np.linalg.solve(matrix, vectors.T @ (watched > 0))


EXERCISES = (
    Exercise(
        id="02-objective",
        chapter=2,
        reference=_weighted_error,
        cases=_objective_cases,
        mistakes=(
            Mistake(
                _only_filled,
                "You add up the filled cells alone; the empty ones count too, with confidence 1.",
            ),
            Mistake(
                lambda watched, scores, alpha: float(
                    ((1 + alpha * watched) * (watched - scores) ** 2).sum()
                ),
                "You aim at the number of watches; the target is 1 in a filled cell, however "
                "often it was watched. The number goes into the confidence.",
            ),
            Mistake(
                lambda watched, scores, alpha: float((((watched > 0) - scores) ** 2).sum()),
                "All cells weigh the same in your sum; a watch says more than its absence.",
            ),
            Mistake(
                lambda watched, scores, alpha: float(
                    ((alpha * watched) * ((watched > 0) - scores) ** 2).sum()
                ),
                "With confidence alpha r an empty cell weighs nothing; it is 1 + alpha r.",
            ),
            Mistake(
                lambda watched, scores, alpha: float(
                    ((1 + alpha * (watched > 0)) * ((watched > 0) - scores) ** 2).sum()
                ),
                "Your confidence is the same for one watch and for four; it grows with each.",
            ),
            Mistake(
                lambda watched, scores, alpha: (
                    _weighted_error(watched, scores, alpha) / watched.size
                ),
                "That is the mean over the cells; the sum is asked for.",
            ),
        ),
    ),
    Exercise(
        id="02-rank",
        chapter=2,
        reference=_rank,
        cases=_rank_cases,
        mistakes=(
            Mistake(
                _ties_win,
                "Your target wins every tie: an account whose scores are all equal would get "
                "rank 1. A tie counts half.",
            ),
            Mistake(
                _ties_lose,
                "Your target loses every tie; a tie counts half.",
            ),
            Mistake(
                lambda scores, target, hidden: _rank(scores, target, np.zeros_like(hidden)),
                "Hidden videos take places in your ranking; they do not compete.",
            ),
            Mistake(
                lambda scores, target, hidden: _ties_win(scores, target, np.zeros_like(hidden)),
                "Hidden videos take places in your ranking, and the target wins every tie.",
            ),
            Mistake(
                lambda scores, target, hidden: _rank(scores, target, hidden) + 0.5,
                "You count the target as tied with itself.",
            ),
            Mistake(
                lambda scores, target, hidden: _rank(scores, target, hidden) - 1,
                "Your ranks begin at 0; the best has rank 1.",
            ),
        ),
    ),
    Exercise(
        id="02-half-step",
        chapter=2,
        reference=_half_step,
        cases=_half_step_cases,
        tolerance=Tolerance(relative=1e-4, absolute=1e-6),
        mistakes=(
            Mistake(
                _half_step_of_filled,
                "You solve for the filled cells alone. The empty ones belong to the sum, too, with "
                "confidence 1.",
            ),
            Mistake(
                lambda vectors, watched, regularisation, alpha: _half_step(
                    vectors, watched, 0.0, alpha
                ),
                "The regularisation is missing on the diagonal.",
            ),
            Mistake(
                _plain_right_side,
                "The confidence is missing on the right-hand side: there it stands, too.",
            ),
            Mistake(
                lambda vectors, watched, regularisation, alpha: _solve(
                    vectors, 1 + alpha * watched, watched, regularisation
                ),
                "You aim at the number of watches; the target is 1 in a filled cell.",
            ),
            Mistake(
                lambda vectors, watched, regularisation, alpha: _half_step(
                    vectors, (watched > 0).astype(float), regularisation, alpha
                ),
                "Your confidence is the same for one watch and for three; it grows with each.",
            ),
            Mistake(
                lambda vectors, watched, regularisation, alpha: _half_step(
                    vectors, watched, regularisation, 0.0
                ),
                "All cells weigh the same; the confidence 1 + alpha r is missing.",
            ),
        ),
    ),
)
