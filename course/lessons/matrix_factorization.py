"""Matrix factorization.

Written in notebooks/source/02_matrix_factorization.py, and there only.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import nn
from torch.nn import functional


def who_watched_what(logs):
    """The table (users, videos) of first watches, sparse float32: 1 where the two met."""
    pairs = logs.watches[["user_id", "video_id"]].drop_duplicates().to_numpy()
    shape = len(logs.users), len(logs.videos)
    return csr_matrix((np.ones(len(pairs), np.float32), pairs.T), shape)


def popularity(logs, days=np.inf):
    """Watches (languages, videos) of the last days, counted by the language of the account."""
    recent = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    language = logs.users["language"].cat
    counts = np.zeros((len(language.categories), len(logs.videos)))
    cells = language.codes.to_numpy()[recent["user_id"]], recent["video_id"].to_numpy()
    np.add.at(counts, cells, 1.0)
    return counts


def best_vectors(near, r, shared, alpha, now=None):
    """Best vectors (B, d), given what each watched: near (B, H, d), r (B, H), shared (d, d)."""
    extra = alpha * r  # what a watch counts beyond an empty cell; 0 where padded
    left = shared + (near * extra[:, :, None]).mT @ near
    right = ((extra + (r > 0))[:, None] @ near)[:, 0]
    return torch.linalg.solve(left, right)


def packs(table, cells=12_000):
    """Packs of filled rows of a table: rows (B,), columns (B, H), values (B, H), padded by 0."""
    lengths = np.diff(table.indptr)
    order, found = np.argsort(lengths, kind="stable"), []
    order = order[lengths[order] > 0]
    while len(order):
        size = np.searchsorted(lengths[order] * np.arange(1, len(order) + 1), cells, "right")
        rows, order = np.split(order, [max(1, size)])
        place = np.arange(lengths[rows[-1]])
        real = place < lengths[rows, None]
        at = np.where(real, table.indptr[rows, None] + place, 0)
        columns, values = table.indices[at] * real, table.data[at] * real
        found.append((torch.from_numpy(rows), torch.from_numpy(columns), torch.from_numpy(values)))
    return found


def take_turns(of_users, of_videos, x, y, regularisation, alpha, iterations, solve=best_vectors):
    """Yield the tables x (users, d), y (videos, d) after each iteration of least squares."""
    x, y = x.clone(), y.clone()
    for _ in range(iterations):
        for packed, goal, fixed in ((of_users, x, y), (of_videos, y, x)):
            shared = fixed.T @ fixed
            shared.diagonal().add_(regularisation)
            for rows, columns, values in packed:
                near = functional.embedding(columns, fixed)  # fixed[columns], only faster
                goal[rows] = solve(near, values, shared, alpha, goal[rows])
        yield x, y


def start(table, factors, seed=0):
    """Where ALS begins: zeros (users, d), and small random numbers (videos, d), float32."""
    random = torch.Generator().manual_seed(seed)
    kind = {"dtype": torch.float32}
    small = 0.1 / factors**0.5 * torch.randn(table.shape[1], factors, generator=random, **kind)
    small[torch.from_numpy(table.getnnz(axis=0) == 0)] = 0  # never watched: nothing to learn
    return torch.zeros(table.shape[0], factors, **kind), small


def dot(x, y):
    """A method from two tables: scores (n, videos) of the accounts that ask."""
    x, y = (np.asarray(vectors) for vectors in (x, y))
    return lambda moments: x[moments.user] @ y.T


def better_vectors(near, r, shared, alpha, now, steps=3):
    """Vectors (B, d) nearer to the best ones than `now`, by conjugate gradients."""
    extra = alpha * r

    def scores(vectors):  # (B, d) -> (B, H)
        return torch.bmm(vectors[:, None], near.mT)[:, 0]

    def spread(weights):  # (B, H) -> (B, d)
        return torch.bmm(weights[:, None], near)[:, 0]

    left = spread(extra + (r > 0) - extra * scores(now)) - now @ shared
    direction, size = left, (left * left).sum(dim=1, keepdim=True)
    for _ in range(steps):
        image = direction @ shared + spread(extra * scores(direction))
        length = size / (direction * image).sum(dim=1, keepdim=True).clamp_min(1e-30)
        now, left = now + length * direction, left - length * image
        before, size = size, (left * left).sum(dim=1, keepdim=True)
        direction = left + size / before.clamp_min(1e-30) * direction
    return now


def als(table, factors=64, regularisation=10.0, alpha=3.0, iterations=15, seed=0, **options):
    """Vectors of users (users, d) and videos (videos, d) by alternating least squares, float32."""
    sides = packs(table), packs(table.T.tocsr())
    settings = regularisation, alpha, iterations
    options = {"solve": better_vectors, **options}
    *_, (x, y) = take_turns(*sides, *start(table, factors, seed), *settings, **options)
    return x.numpy(), y.numpy()


def neighbours(vectors, row, k=5):
    """The k rows of a table (n, d) whose directions are nearest to that of one row, best first."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    return np.argsort(-(unit @ unit[row]), kind="stable")[1 : k + 1]


def rank_of(scores, target, hidden):
    """Rank of one video (1 = best) among those that are not hidden; a tie counts half."""
    rivals = ~hidden
    rivals[target] = False
    above, level = scores > scores[target], scores == scores[target]
    return 1 + above[rivals].sum() + level[rivals].sum() / 2


def with_clock(method, fashion, language, weight=0.5):
    """A method plus `weight` times what is in fashion (languages, videos) where each one lives."""
    return lambda moments: method(moments) + weight * fashion[language[moments.user]]


class SoftmaxFactorization(nn.Module):
    """Two tables of vectors and a bias for each video; P(i | u) is a softmax of x_u y_i + b_i."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.user = nn.Parameter(0.1 * torch.randn(users, factors, generator=random))
        self.video = nn.Parameter(0.1 * torch.randn(videos, factors, generator=random))
        self.bias = nn.Parameter(torch.zeros(videos))

    def forward(self, user, video=None):
        """Scores of accounts (B,) for all videos, for the same k (k,), or for own ones (B, k)."""
        rows = slice(None) if video is None else video
        x, y = self.user[user], self.video[rows]
        products = x @ y.T if y.ndim == 2 else (x[:, None] * y).sum(dim=2)
        return products + self.bias[rows]


def few_scores(model, user, video, negatives, random):
    """Scores (B, 1 + negatives): first the watched video's, then those of videos drawn evenly."""
    others = torch.randint(len(model.bias), (negatives,), generator=random)
    hit = others == video[:, None]  # drawn by accident: it is no negative
    wrong = model(user, others).masked_fill(hit, -torch.inf)
    return torch.cat([model(user, video[:, None]), wrong], dim=1)


def fit_pairs(model, user, video, passes=3, rate=0.01, decay=0.01, negatives=None, seed=0):
    """Train on watches user (n,), video (n,) by softmax over videos; the loss of each step."""
    random = torch.Generator().manual_seed(seed)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=rate, fused=True), []
    for _ in range(passes):
        for rows in torch.randperm(len(user), generator=random).split(512):
            u, v = user[rows], video[rows]
            if negatives is None:
                loss = functional.cross_entropy(model(u), v)
            else:
                scores = few_scores(model, u, v, negatives, random)
                loss = functional.cross_entropy(scores, torch.zeros_like(v))
            loss = loss + decay * (model.user[u] ** 2).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def pairs(table):
    """The filled cells of a table as accounts (n,) and videos (n,), int64 tensors."""
    cells = table.tocoo()
    return torch.from_numpy(cells.row).long(), torch.from_numpy(cells.col).long()


def method_of(model):
    """A method from a model of accounts: scores (n, videos) without gradients."""

    def scores(moments):
        with torch.no_grad():
            return model(torch.from_numpy(moments.user)).numpy()

    return scores


class MLPCombiner(SoftmaxFactorization):
    """The same tables and biases, combined by a network with ReLU layers of 64 and 32 units."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__(users, videos, factors, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.from_user, self.from_video = nn.Linear(factors, 64), nn.Linear(factors, 64)
            self.second, self.last = nn.Linear(64, 32), nn.Linear(32, 1)

    def forward(self, user, video=None):
        """Scores of accounts (B,) for all videos, for the same k (k,), or for own ones (B, k)."""
        rows = slice(None) if video is None else video
        vectors, bias = self.video[rows], self.bias[rows]
        first = self.from_user(self.user[user])[:, None] + self.from_video(vectors)
        return self.last(self.second(first.relu()).relu())[..., 0] + bias
