"""Exercises of chapter 02, matrix factorization."""

from __future__ import annotations

import numpy as np
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import matrix_factorization as lesson

VIDEOS = 40


def _vectors_cases(rng: np.random.Generator):
    random = torch.Generator().manual_seed(int(rng.integers(2**31)))
    for rows, length, factors in ((1, 3, 2), (4, 6, 3), (5, 9, 4)):
        near = torch.randn(rows, length, factors, generator=random)
        r = torch.randint(1, 4, (rows, length), generator=random).float()
        r[:, -1] = 0.0  # padded, with a vector that must not count
        everywhere = torch.randn(30, factors, generator=random)
        shared = everywhere.T @ everywhere + 2.0 * torch.eye(factors)
        yield near, r, shared, float(rng.uniform(1, 5)), torch.zeros(rows, factors)


def _solve(near, left_weight, right_weight, shared):
    left = shared + torch.einsum("bl,blf,blg->bfg", left_weight, near, near)
    return torch.linalg.solve(left, torch.einsum("bl,blf->bf", right_weight, near))


def _turns_cases(rng: np.random.Generator):
    for users, videos in ((6, 5), (9, 7)):
        table = rng.integers(0, 2, (users, videos)).astype(np.float32)
        table[:, 0] = 1.0  # nobody and nothing is empty
        table[0] = 1.0
        sides = _packs(table), _packs(table.T)
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        tables = (torch.randn(n, 2, generator=random) for n in (users, videos))
        yield *sides, *tables, float(rng.uniform(1, 3)), float(rng.uniform(1, 4)), 3, half_way


def half_way(near, r, shared, alpha, now):
    """A solver that depends on where the vectors are, so that it shows who hands them over."""
    return (now + lesson.best_vectors(near, r, shared, alpha)) / 2


def _packs(table):
    """Packs of a few rows each, so that a row's pack cannot be mistaken for the whole table."""
    columns = torch.arange(table.shape[1])
    chunks = torch.arange(len(table)).split(3)
    return [(rows, columns.expand(len(rows), -1), torch.tensor(table)[rows]) for rows in chunks]


def _steps(output):
    return tuple(part.clone() for step in output for part in step)


def _turns(order, shared_again=True, regularised=True, ours=False):
    """Taking turns in another way: which side first, what is made anew, what is left out."""

    def run(of_users, of_videos, x, y, regularisation, alpha, iterations, solve=None):
        x, y = x.clone(), y.clone()
        sides = {"x": (of_users, x, y), "y": (of_videos, y, x)}
        first = {name: fixed.T @ fixed for name, (_, _, fixed) in sides.items()}
        for _ in range(iterations):
            before = {"x": x.clone()}
            for name in order:
                packed, goal, fixed = sides[name.lower()]
                if name == "Y":  # with x as it was before this iteration
                    fixed = before["x"]
                shared = fixed.T @ fixed if shared_again else first[name.lower()]
                if regularised:
                    shared = shared + regularisation * torch.eye(x.shape[1])
                for rows, columns, values in packed:
                    by = lesson.best_vectors if ours else solve
                    goal[rows] = by(fixed[columns], values, shared, alpha, goal[rows])
            yield x, y

    return run


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


def _pairs_cases(rng: np.random.Generator):
    random = torch.Generator().manual_seed(int(rng.integers(2**31)))
    taste = torch.randn(60, 3, generator=random) @ torch.randn(3, VIDEOS, generator=random)
    user = torch.randint(60, (int(rng.integers(1_100, 1_900)),), generator=random)
    video = torch.multinomial(torch.softmax(2.0 * taste[user], dim=1), 1, generator=random)[:, 0]
    for negatives in (None, 10):
        model = lesson.SoftmaxFactorization(60, VIDEOS, 8, int(rng.integers(1_000)))
        yield (
            model,
            user,
            video,
            int(rng.integers(10, 15)),
            0.1,
            0.1,
            negatives,
            int(rng.integers(1_000)),
        )


def _alike(got, right, *arguments):
    """Losses as of a right loop: as many steps, the same start, as low on average."""
    got, right = (np.asarray([float(loss) for loss in losses]) for losses in (got, right))
    if len(got) != len(right):
        return (f"{len(got)} losses came back; with {arguments[3]} passes over {len(arguments[1])} "
                f"watches in batches of 512 there are {len(right)} steps")  # fmt: skip
    if abs(got[0] - right[0]) > 0.08 * right[0]:
        return f"the loss of the first step is {got[0]:.3g}, and should be about {right[0]:.3g}"
    if not 0.93 < got.mean() / right.mean() < 1.07:
        return (
            f"over all steps the loss is {got.mean():.3g} on average, and about "
            f"{right.mean():.3g} in a right loop"
        )
    return None


def _loop(zero=True, step=True, decay=True, shuffle=True, few=True):
    """The loop with a part left out."""

    def run(model, user, video, passes=3, rate=0.01, weight=0.01, negatives=None, seed=0):
        random = torch.Generator().manual_seed(seed)
        optimizer, losses = torch.optim.Adam(model.parameters(), lr=rate), []
        for _ in range(passes):
            order = torch.randperm(len(user), generator=random)
            for rows in (order if shuffle else torch.arange(len(user))).split(512):
                u, v = user[rows], video[rows]
                if negatives is None or not few:
                    loss = torch.nn.functional.cross_entropy(model(u), v)
                else:
                    scores = lesson.few_scores(model, u, v, negatives, random)
                    loss = torch.nn.functional.cross_entropy(scores, torch.zeros_like(v))
                if decay:
                    loss = loss + weight * (model.user[u] ** 2).sum(dim=1).mean()
                if zero:
                    optimizer.zero_grad()
                loss.backward()
                if step:
                    optimizer.step()
                losses.append(loss.item())
        return losses

    return run


def _combiner_cases(rng: np.random.Generator):
    for _ in range(2):
        yield *(int(n) for n in rng.integers((4, 5, 2), (12, 30, 7))), int(rng.integers(1_000))


def _of_combiner(model):
    """Scores of all videos and of some, and the gradient of the vectors, from fixed weights."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    user = torch.arange(len(model.user)).flip(0)
    some = torch.randint(len(model.video), (len(user), 3), generator=random)
    everything, own, same = model(user), model(user, some), model(user, some[0])
    if everything is None:
        return None
    (gradient,) = torch.autograd.grad(everything.square().mean(), model.user)
    return everything.detach(), own.detach(), same.detach(), gradient


def _combiner(forward):
    """The combiner with another ``forward``."""
    return type("MLPCombiner", (lesson.MLPCombiner,), {"forward": forward, "__module__": __name__})


def _parts(self, video):
    whole = video is None
    return (self.video, self.bias) if whole else (self.video[video], self.bias[video])


def _without_relu(self, user, video=None):
    vectors, bias = _parts(self, video)
    first = self.from_user(self.user[user])[:, None] + self.from_video(vectors)
    return self.last(self.second(first))[..., 0] + bias


def _one_relu(self, user, video=None):
    vectors, bias = _parts(self, video)
    first = self.from_user(self.user[user])[:, None] + self.from_video(vectors)
    return self.last(self.second(first.relu()))[..., 0] + bias


def _relu_on_each(self, user, video=None):
    vectors, bias = _parts(self, video)
    first = self.from_user(self.user[user]).relu()[:, None] + self.from_video(vectors).relu()
    return self.last(self.second(first).relu())[..., 0] + bias


def _without_bias(self, user, video=None):
    return lesson.MLPCombiner.forward(self, user, video) - _parts(self, video)[1]


EXERCISES = (
    Exercise(
        id="02-best-vectors",
        reference=lesson.best_vectors,
        cases=_vectors_cases,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                lambda near, r, shared, alpha, now=None: _solve(
                    near, alpha * r, 1 + alpha * r, shared
                ),
                "On the right side a padded place adds its vector: its confidence is 1, but its "
                "target is 0.",
            ),
            Mistake(
                lambda near, r, shared, alpha, now=None: _solve(
                    near, (1 + alpha * r) * (r > 0), (1 + alpha * r) * (r > 0), shared
                ),
                "On the left side the watched videos count their 1 twice: `shared` has it already "
                "for all videos.",
            ),
            Mistake(
                lambda near, r, shared, alpha, now=None: _solve(
                    near, alpha * r, (r > 0).float(), shared
                ),
                "On the right side each target counts with its confidence, too.",
            ),
            Mistake(
                lambda near, r, shared, alpha, now=None: _solve(near, alpha * r, alpha * r, shared),
                "On the right side the confidence of a watch is 1 plus alpha r.",
            ),
            Mistake(
                lambda near, r, shared, alpha, now=None: _solve(
                    near, alpha * (r > 0), (1 + alpha) * (r > 0), shared
                ),
                "A video that was watched three times counts no more than one that was watched "
                "once in your sums.",
            ),
        ),
    ),
    Exercise(
        id="02-take-turns",
        reference=lesson.take_turns,
        cases=_turns_cases,
        read=_steps,
        tolerance=Tolerance(1e-2, 1e-3),
        mistakes=(
            Mistake(_turns("yx"), "Your iterations begin with the videos; x comes first."),
            Mistake(
                _turns("xY"),
                "Your y answers to the x of the iteration before; the new x is there already.",
            ),
            Mistake(
                _turns("xy", shared_again=False),
                "Your `shared` is made once; it belongs to the table that is held fixed, which "
                "changes with each half step.",
            ),
            Mistake(_turns("xy", regularised=False), "The regularisation is missing in `shared`."),
            Mistake(_turns("x"), "Only the accounts get new vectors in your loop."),
            Mistake(
                _turns("xy", ours=True), "Your loop does not use the `solve` that it is given."
            ),
        ),
    ),
    Exercise(
        id="02-rank",
        reference=lesson.rank_of,
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
        id="02-fit-pairs",
        reference=lesson.fit_pairs,
        cases=_pairs_cases,
        compare=_alike,
        mistakes=(
            Mistake(
                _loop(zero=False),
                "Your gradients add up from step to step: forget the old ones first.",
            ),
            Mistake(_loop(step=False), "Your optimizer never takes a step."),
            Mistake(_loop(decay=False), "The penalty on the vectors of the accounts is missing."),
            Mistake(
                _loop(few=False), "Where `negatives` is given, not all videos are to be compared."
            ),
        ),
    ),
    Exercise(
        id="02-combiner",
        reference=lesson.MLPCombiner,
        cases=_combiner_cases,
        read=_of_combiner,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _combiner(_without_relu),
                "Without ReLU in between, three layers are no more than one.",
            ),
            Mistake(_combiner(_one_relu), "The second layer wants its ReLU, too."),
            Mistake(
                _combiner(_relu_on_each),
                "ReLU comes after the sum of the two: a layer on both vectors laid end to end is "
                "the sum of one layer for each.",
            ),
            Mistake(_combiner(_without_bias), "The bias of the video is missing."),
        ),
    ),
)
