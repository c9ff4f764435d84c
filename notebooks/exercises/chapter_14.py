"""Exercises of chapter 14, feedback loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import feedback_loops as lesson


class _Service(torch.nn.Module):
    """A stand-in for a Service, of which each answer gets a copy, as of a model.

    What a round brings hangs on the policy and on all before it.
    """

    def __init__(self, first):
        super().__init__()
        self.log, self.today = [first], 24

    def serve(self, policy, days):
        self.today += days
        self.log.append((7 * policy + 3 * days + len(self.log)) % 1_009)
        return self.log[-1]


def _learn(service):
    """A policy that depends on the whole log so far."""
    return sum((i + 2) * value for i, value in enumerate(service.log)) % 997 + service.today


def _loop_cases(rng: np.random.Generator):
    for rounds in (1, 3, 5):
        yield _Service(int(rng.integers(50))), _learn, rounds, int(rng.integers(1, 5))


def _learned_once(service, learn, rounds=6, days=3):
    policy = learn(service)
    return [service.serve(policy, days) for _ in range(rounds)]


def _one_too_many(service, learn, rounds=6, days=3):
    return lesson.retrain(service, learn, rounds + 1, days)


def _last(service, learn, rounds=6, days=3):
    return lesson.retrain(service, learn, rounds, days)[-1:]


def _explore_cases(rng: np.random.Generator):
    for share in (0.0, 0.3, 1.0):
        r, k = 3_000, 4
        candidates = np.argsort(rng.random((r, 40)), axis=1)[:, : 3 * k]
        pages = np.take_along_axis(candidates, np.argsort(rng.random((r, 3 * k)), axis=1)[:, :k], 1)
        yield pages, candidates, share, np.random.default_rng(rng.integers(2**31))


def _explored(got, right, pages, candidates, share, rng) -> str | None:
    """Why pages are no exploration of others; None if they are."""
    if not isinstance(got, np.ndarray) or got.shape != pages.shape:
        return f"an array of the shape {pages.shape} was asked for"
    if not (got[:, :, None] == candidates[:, None, :]).any(axis=2).all():
        return "you show a video that is no candidate of its request"
    ordered = np.sort(got, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        return "a video stands twice on one page; draw among those that are not on it"
    new = got != pages
    old = (got[:, :, None] == pages[:, None, :]).any(axis=2)
    if (new & old).any():
        return "a card that is kept must stay in its place"
    near = 5 * np.sqrt(share * (1 - share) / len(got))
    if (abs(new.mean(axis=0) - share) > near + 1e-9).any():
        return "each place goes away with the probability share, whatever happens to the others"
    each = new.sum(axis=1)
    if abs(each.var() - pages.shape[1] * share * (1 - share)) > 0.15 and 0 < share < 1:
        return "you decide page by page; decide place by place"
    place = np.argmax(candidates[:, None, :] == got[:, :, None], axis=2)
    off = ~(candidates[:, :, None] == pages[:, None, :]).any(axis=2)
    number = np.take_along_axis(np.cumsum(off, axis=1) - 1, place, axis=1)[new]
    count = np.bincount(number, minlength=int(off.sum(axis=1).max()))
    if share and (abs(count - count.mean()) > 6 * np.sqrt(count.mean())).any():
        return "each candidate that is not on the page has the same chance"
    return None


def _residual_cases(rng: np.random.Generator):
    for gap in (0.3, 0.8, -0.9):
        n = int(rng.integers(2_000, 4_000))
        column = rng.integers(3, size=n)
        p = rng.beta(1.2, 12.0, n).clip(1e-4, 0.95)
        odds = p / (1 - p) * np.exp(gap * (column == 1))
        yield rng.random(n) < odds / (1 + odds), 1.2 * p, column


def _worst(scale=True, square=False, n=False, absolute=False, first=False):
    """The worst group with a part done wrong."""

    def worst(clicked, p, column):
        p = p * clicked.sum() / p.sum() if scale else p
        variance = p if square else p * (1 - p)
        cards = pd.DataFrame({"surplus": clicked - p, "variance": variance, "n": 1.0})
        sums = cards.groupby(np.asarray(column)).sum()
        z = sums["surplus"] / np.sqrt(sums["n"] if n else sums["variance"])
        z = z.abs() if absolute else z
        return z.max() if first else z.iloc[z.abs().argmax()]

    return worst


def _reach_cases(rng: np.random.Generator):
    for common in (0, 2, 3):
        yield int(rng.integers(2, 6)), int(rng.integers(1, 4)), common


def _reach(interleaved=False, common_first=False, everybody=False, nothing_common=False):
    def reach(tasks, own, common):
        mine = torch.eye(tasks, dtype=torch.bool)
        mine = mine.repeat(1, own) if interleaved else mine.repeat_interleave(own, dim=1)
        shared = torch.ones(tasks, common, dtype=torch.bool)
        shared = shared & (not nothing_common)
        out = torch.cat([shared, mine] if common_first else [mine, shared], dim=1)
        return out | everybody

    return reach


def _mood_cases(rng: np.random.Generator):
    for left in (1, 7.5, rng.uniform(1, 28, 5)):
        yield float(rng.uniform(0.5, 3)), rng.uniform(0.2, 2, 5), float(rng.uniform(0.3, 1)), left


def _code_cases(rng: np.random.Generator):
    for levels in (1, 3):
        yield (rng.normal(size=(60, 5)),
               [rng.normal(size=(6, 5)) / (level + 1) for level in range(levels)])  # fmt: skip


def _codes(subtract=True, dot=False, far=False):
    """Residual codes with a part done wrong."""

    def codes(x, centres):
        out = []
        for table in centres:
            gap = ((x[:, None] - table) ** 2).sum(axis=2)
            gap = -(x @ table.T) if dot else -gap if far else gap
            out.append(gap.argmin(axis=1))
            x = x - table[out[-1]] if subtract else x
        return np.stack(out, axis=1)

    return codes


EXERCISES = (
    Exercise(
        id="14-retrain",
        reference=lesson.retrain,
        cases=_loop_cases,
        mistakes=(
            Mistake(_learned_once, "You learned only once; learn anew before each round."),
            Mistake(_one_too_many, "That is a round too many."),
            Mistake(_last, "Return what happened in each round, not in the last one only."),
        ),
    ),
    Exercise(
        id="14-explore",
        reference=lesson.explore,
        cases=_explore_cases,
        compare=_explored,
    ),
    Exercise(
        id="14-residual",
        reference=lesson.worst_group,
        cases=_residual_cases,
        tolerance=Tolerance(1e-3, 1e-3),
        mistakes=(
            Mistake(_worst(scale=False), "First bring the chances to the number of clicks."),
            Mistake(_worst(square=True), "The variance of a yes or no is p (1 - p)."),
            Mistake(_worst(n=True), "Divide by the root of the variance, not of the number."),
            Mistake(_worst(absolute=True), "Keep the sign of z."),
            Mistake(_worst(first=True), "The largest in size may be a negative one."),
        ),
    ),
    Exercise(
        id="14-reach",
        reference=lesson.reach,
        cases=_reach_cases,
        mistakes=(
            Mistake(
                _reach(interleaved=True), "The experts of one task stand next to each other."
            ),
            Mistake(_reach(common_first=True), "The common experts stand at the end."),
            Mistake(_reach(everybody=True), "That is MMoE: everybody reaches everything."),
            Mistake(_reach(nothing_common=True), "The common experts are there for all tasks."),
        ),
    ),
    Exercise(
        id="14-mood",
        reference=lesson.worth_of_mood,
        cases=_mood_cases,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes=(
            Mistake(
                lambda dial, visits, clicks, left, fades=0.9: dial * visits * clicks * left,
                "The mood fades; a later day brings less.",
            ),
            Mistake(
                lambda dial, visits, clicks, left, fades=0.9: dial * visits * clicks / (1 - fades),
                "The days come to an end.",
            ),
            Mistake(
                lambda dial, visits, clicks, left, fades=0.9: (
                    dial * visits * clicks * fades * (1 - fades**left) / (1 - fades)
                ),
                "Today counts in full; it starts to fade tomorrow.",
            ),
            Mistake(
                lambda dial, visits, clicks, left, fades=0.9: (
                    visits * clicks * (1 - fades**left) / (1 - fades)
                ),
                "The visits rise by the dial times the mood.",
            ),
        ),
    ),
    Exercise(
        id="14-codes",
        reference=lesson.residual_codes,
        cases=_code_cases,
        mistakes=(
            Mistake(_codes(subtract=False), "Subtract the centre before you go to the next level."),
            Mistake(_codes(dot=True), "The nearest centre has the least distance, not the "
                    "largest dot product."),
            Mistake(_codes(far=True), "That is the centre that is farthest away."),
        ),
    ),
)  # fmt: skip
