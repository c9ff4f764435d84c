"""Right answers to the exercises of chapter 02, written in other ways than the reference."""

import numpy as np
import torch
from scipy.stats import rankdata

from course.lessons import matrix_factorization as lesson


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


def vectors_one_by_one(near, r, shared, alpha, now=None):
    """As regression for each account: rows of the whole table that count, in float64."""
    found = []
    for vectors, times in zip(near.double(), r.double(), strict=True):
        kept = times > 0
        v, c = vectors[kept], 1 + alpha * times[kept]
        left = shared.double() + v.T @ torch.diag(c - 1) @ v
        found.append(torch.linalg.inv(left) @ (v.T @ c))
    return torch.stack(found)


def turns_on_dense_tables(of_users, of_videos, x, y, regularisation, alpha, iterations, solve=None):
    """Through the full normal equations of every row."""
    r = torch.zeros(len(x), len(y))
    for rows, columns, values in of_users:
        r[rows[:, None], columns] = values
    x, y = x.clone(), y.clone()
    for _ in range(iterations):
        for goal, fixed, table in ((x, y, r), (y, x, r.T)):
            for i, row in enumerate(table):
                c = torch.diag(1 + alpha * row)
                left = fixed.T @ c @ fixed + regularisation * torch.eye(fixed.shape[1])
                best = torch.linalg.solve(left, fixed.T @ c @ (row > 0).float())
                goal[i] = (goal[i] + best) / 2  # what the given solver does
        yield x, y


def loop_by_log_softmax(
    model, user, video, passes=3, rate=0.01, decay=0.01, negatives=None, seed=0
):
    """Another order of the examples, another way to write the loss."""
    rng, losses = np.random.default_rng(seed), []
    draws = torch.Generator().manual_seed(seed + 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(passes):
        for rows in np.array_split(rng.permutation(len(user)), range(512, len(user), 512)):
            u, v = user[rows], video[rows]
            if negatives:
                scores, right = lesson.few_scores(model, u, v, negatives, draws), 0 * v
            else:
                scores, right = model(u), v
            chosen = scores.log_softmax(dim=1).gather(1, right[:, None])
            loss = decay * model.user[u].square().sum() / len(u) - chosen.mean()
            for values in model.parameters():
                values.grad = None
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


class CombinerOnConcatenation(lesson.SoftmaxFactorization):
    """The first layer as one matrix on both vectors laid end to end."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__(users, videos, factors, seed)
        linear = torch.nn.Linear
        self.from_user, self.from_video = linear(factors, 64), linear(factors, 64)
        self.second, self.last = linear(64, 32), linear(32, 1)

    def forward(self, user, video=None):
        video = torch.arange(len(self.video)) if video is None else video
        video = video.expand(len(user), -1)
        both = torch.cat(
            [self.user[user][:, None].expand(-1, video.shape[1], -1), self.video[video]], dim=2
        )
        weight = torch.cat([self.from_user.weight, self.from_video.weight], dim=1)
        bias = self.from_user.bias + self.from_video.bias
        hidden = torch.relu(torch.nn.functional.linear(both, weight, bias))
        return self.last(torch.relu(self.second(hidden))).squeeze(2) + self.bias[video]


RIGHT = {
    "02-best-vectors": [vectors_one_by_one],
    "02-take-turns": [turns_on_dense_tables],
    "02-rank": [rank_by_scipy, rank_in_a_loop],
    "02-fit-pairs": [loop_by_log_softmax],
    "02-combiner": [CombinerOnConcatenation],
}
