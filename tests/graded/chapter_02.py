"""Graded variants of chapter 02, matrix factorization. Never handed out."""

import numpy as np
import torch

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _vectors(alpha, scale):
    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for rows, length, factors in ((1, 3, 2), (4, 6, 3), (6, 9, 4)):
            near = torch.randn(rows, length, factors, generator=random)
            r = torch.randint(1, 9, (rows, length), generator=random).float()
            r[:, -1] = 0.0
            everywhere = torch.randn(30, factors, generator=random)
            yield near, r, everywhere.T @ everywhere + 2.0 * torch.eye(factors)

    def solve(near, left, right, shared):
        both = shared + torch.einsum("bl,blf,blg->bfg", left, near, near)
        return torch.linalg.solve(both, torch.einsum("bl,blf->bf", right, near))

    def reference(near, r, shared):
        extra = alpha * torch.log1p(r / scale)
        return solve(near, extra, (1 + extra) * (r > 0), shared)

    def linear(near, r, shared):
        return solve(near, alpha * r, (1 + alpha * r) * (r > 0), shared)

    def padded(near, r, shared):
        extra = alpha * torch.log1p(r / scale)
        return solve(near, extra, 1 + extra, shared)

    def twice(near, r, shared):
        c = (1 + alpha * torch.log1p(r / scale)) * (r > 0)
        return solve(near, c, c, shared)

    return {
        "reference": reference,
        "cases": cases,
        "tolerance": Tolerance(1e-3, 1e-4),
        "mistakes": (
            Mistake(linear, "The confidence grows with the logarithm of the watches here."),
            Mistake(padded, "A padded place adds its vector on the right side."),
            Mistake(twice, "On the left side the watched videos count their 1 twice."),
        ),
    }


def _score(k, tie):
    def reference(scores, target, hidden):
        rivals = ~hidden & (np.arange(len(scores)) != target)
        level = tie * (scores[rivals] == scores[target]).sum()
        rank = 1 + (scores[rivals] > scores[target]).sum() + level
        return float(1 / rank) if rank <= k else 0.0

    def cases(rng):
        for above in rng.permutation([0, 1, k - 3, k - 2, k - 1, k, k + 3]):
            scores = rng.integers(0, 5, 40).astype(float)
            level = int(rng.integers(2, 6))
            order = rng.permutation(40)
            target, hidden = int(order[0]), np.zeros(40, bool)
            hidden[order[1:9]] = True
            scores[order[[0, 1, 2, *range(30, 30 + level)]]] = 5.0
            scores[order[[3, 4, *range(10, 10 + above)]]] = 8.0
            yield scores, target, hidden

    def half(scores, target, hidden):
        return _score(k, 0.5)["reference"](scores, target, hidden)

    def uncut(scores, target, hidden):
        return _score(10**6, tie)["reference"](scores, target, hidden)

    def seen(scores, target, hidden):
        return reference(scores, target, np.zeros_like(hidden))

    if tie == 0.5:  # only the mistake asks for it
        return {"reference": reference}
    return {
        "reference": reference,
        "cases": cases,
        "mistakes": (
            Mistake(half, "Your ties count half; read again how much one counts here."),
            Mistake(uncut, "A rank beyond the end of the list is worth nothing."),
            Mistake(seen, "Hidden videos take places in your ranking; they do not compete."),
        ),
    }


VARIANTS = (
    Variant(
        id="02-graded-log-confidence",
        title="Confidence that levels off",
        points=5,
        draw=lambda rng: {
            "alpha": round(float(rng.uniform(2, 9)), 2),
            "scale": round(float(rng.uniform(0.3, 2)), 2),
        },
        statement="""
Ten watches of one video are not ten times as sure as one. Hu et al. also tried a confidence that
grows with the logarithm: $c = 1 + \\alpha \\log(1 + r / \\epsilon)$, with $\\alpha$ = {{alpha}} and
$\\epsilon$ = {{scale}}. An empty cell still has $c = 1$ and target 0; a watched one has target 1.

Write the best vectors of accounts (B, d). Given are the vectors `near` (B, H, d) of what each one
watched, how often, `r` (B, H), where 0 is padding, and `shared` (d, d), which is $Y^T Y$ over *all*
videos plus the regularisation.""",
        stub='''
def log_vectors(near, r, shared):
    """Best vectors (B, d): near (B, H, d), r (B, H), shared (d, d)."""
    ...  # your code
''',
        make=_vectors,
        example=(
            torch.tensor([[[1.0, 0.5], [0.0, 1.0]]]),
            torch.tensor([[2.0, 0.0]]),
            torch.tensor([[3.0, 1.0], [1.0, 4.0]]),
        ),
        right=(
            """
def log_vectors(near, r, shared):
    found = []
    for vectors, times in zip(near.double(), r.double()):
        v, t = vectors[times > 0], times[times > 0]
        c = 1 + {{alpha}} * torch.log(1 + t / {{scale}})
        left = shared.double() + v.T @ torch.diag(c - 1) @ v
        found.append(torch.linalg.inv(left) @ (v.T @ c))
    return torch.stack(found)
""",
        ),
        wrong=(
            """
from course.lessons.matrix_factorization import best_vectors
def log_vectors(near, r, shared):
    return best_vectors(near, r, shared, {{alpha}})
""",
            """
def log_vectors(near, r, shared):
    c = {{alpha}} * torch.log(1 + r / {{scale}})
    left = shared + (near * c[:, :, None]).mT @ near
    return torch.linalg.solve(left, (c[:, None] @ near)[:, 0])
""",
        ),
    ),
    Variant(
        id="02-graded-hit-score",
        title="What a place in a short list is worth",
        points=4,
        draw=lambda rng: {"k": int(rng.integers(4, 15)), "tie": int(rng.integers(10, 49)) / 100},
        statement="""
A list of {{k}} places is shown. The target scores 1 / rank if its rank is at most {{k}}, and 0
otherwise. The rank counts from 1, among the videos that are not `hidden` (the target itself always
takes part); each other video with the *same* score as the target counts {{tie}} of a place.""",
        stub='''
def hit_score(scores, target, hidden):
    """Score of one target: scores (V,), its number, and a mask (V,) of what does not compete."""
    ...  # your code
''',
        make=_score,
        example=(
            np.array([0.3, 0.9, 0.3, 0.7, 0.3]),
            2,
            np.array([False, False, False, True, False]),
        ),
        right=(
            """
def hit_score(scores, target, hidden):
    rank = 1
    for video, score in enumerate(scores):
        if video != target and not hidden[video]:
            rank += 1 if score > scores[target] else {{tie}} * (score == scores[target])
    return 1 / rank if rank <= {{k}} else 0
""",
        ),
        wrong=(
            """
from course.lessons.matrix_factorization import rank_of
def hit_score(scores, target, hidden):
    rank = rank_of(scores, target, hidden)
    return 1 / rank if rank <= {{k}} else 0.0
""",
            """
def hit_score(scores, target, hidden):
    rank = 1 + ((scores > scores[target]) & ~hidden).sum()
    return 1 / rank if rank <= {{k}} else 0.0
""",
        ),
    ),
)
