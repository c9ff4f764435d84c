"""Exercises of chapter 12, the whole system."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.features.batch import RankingBatch
from course.features.ranking import RankingInputs
from course.features.taxonomy import IMPRESSION_NUMBERS, QUERY_CODES
from course.lessons import many_objectives as mo
from course.lessons import whole_system as lesson
from course.simulator.feed import Requests
from course.simulator.policies import top

TASKS = len(lesson.TASKS)


def _pool_cases(rng: np.random.Generator):
    for size in (2, 5, 9):
        scores = rng.normal(size=(3, 14, 3)) * [1.0, 10.0, 0.1]
        scores[rng.random((3, 14)) < 0.2] = -np.inf  # watched lately
        yield scores, size


def _of_pool(found):
    """Videos, and scores in which a mark stands for what was not named."""
    if found is None:
        return None
    videos, scores = found
    return np.asarray(videos), np.nan_to_num(np.asarray(scores, float), nan=-99.0, neginf=-999.0)


def _pool(by=None, named="lines"):
    """The pool with a part done wrong."""

    def pool(scores, size):
        place = (-scores).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        met = place.min(axis=2) if by is None else by(scores, place)
        videos = met.argsort(axis=1, kind="stable")[:, :size]
        own, given = (np.take_along_axis(a, videos[:, :, None], axis=1) for a in (place, scores))
        last = np.take_along_axis(place.min(axis=2), videos, axis=1).max(axis=1)[:, None, None]
        before = {"lines": own <= last, "all": own >= 0, "size": own < size, "best": own < last}
        return videos, np.where(before[named], given, np.nan)

    return pool


class _Inputs(torch.nn.Module):
    """A stand-in for an InputLayer: cards (n, 3), and what belongs to their pages (pages, 2)."""

    width = 5

    def parts(self, batch):
        return batch.cards, batch.of_pages


def _batch(random):
    """Six cards on three pages, with the codes that a context is read from."""
    page = torch.tensor([0, 0, 1, 1, 2, 2])
    query_codes = torch.zeros(3, len(QUERY_CODES), dtype=torch.int64)
    query_codes[:, QUERY_CODES.index("device")] = torch.tensor([2, 0, 1])
    codes = torch.randint(0, 2, (6, 6), generator=random)
    return SimpleNamespace(
        page=page, query_codes=query_codes, codes=codes,
        cards=torch.randn(6, 3, generator=random), of_pages=torch.randn(3, 2, generator=random),
    )  # fmt: skip


def _network_cases(rng: np.random.Generator):
    for _ in range(2):
        shared, experts, width = rng.integers(3, 9, size=3).tolist()
        yield _Inputs(), torch.randn(TASKS), shared, experts, width


def _of_network(model):
    """Outputs with and without cells at fixed weights, and a gradient of the first layer."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, values in sorted(model.named_parameters()):
            values.copy_(torch.randn(values.shape, generator=random))
    batch = _batch(random)
    placed = model(batch, torch.tensor([1, 10, 12, 15, 23, 30]))
    if placed is None:
        return None
    (gradient,) = torch.autograd.grad(placed.square().mean(), model.first.linear.weight)
    with torch.no_grad():
        return placed.detach(), model(batch), gradient


def _network(relu=True, gates_over=2, columns=None, cell=lesson.unplaced, shallow=True):
    """The network with a part of ``forward`` done wrong."""

    def forward(self, batch, cell_=None):
        h = self.first(batch)
        h = h.relu() if relu else h
        logits = self.gate(lesson.context_of(batch)).unflatten(1, self.shape)
        out = self.towers(lesson.mix(self.experts(h), logits.softmax(dim=gates_over)))
        if not shallow or (cell_ is None and cell is None):
            return out
        table = self.place[cell(batch) if cell_ is None else cell_]
        if columns == "all":
            return out + table.mean(dim=1, keepdim=True)
        left = TASKS - 3 if columns == "last" else 0
        return out + functional.pad(table, (left, TASKS - 3 - left))

    return type("Figure1", (lesson.Figure1,), {"forward": forward, "__module__": __name__})


def _inputs_of(requests):
    """Inputs that depend on the account and the video, as a feature table would make them."""
    r, c = requests.candidates.shape
    video = requests.candidates.ravel().astype(float)
    user = np.repeat(requests.user, c).astype(float)
    numbers = np.sin(video[:, None] * np.arange(1, 14) + user[:, None]).astype(np.float32)
    numbers[:, IMPRESSION_NUMBERS.index("duration")] = 60 + 40 * (video % 7)
    return RankingInputs(
        np.repeat(np.arange(r), c), np.zeros((r, 1), np.int32), np.zeros((r, 1), np.int32),
        np.zeros((r, len(QUERY_CODES)), np.int64), np.zeros((r, 4), np.float32),
        np.zeros((r * c, 6), np.int64), numbers,
    )  # fmt: skip


def _policy_cases(rng: np.random.Generator):
    way = torch.from_numpy(rng.normal(size=(13, TASKS)).astype(np.float32))
    shift = int(rng.integers(5, 20))

    def first(requests, size=None):
        own = (requests.user[:, None] + shift * np.arange(1, 8)).astype(np.int32)
        zeros = np.zeros(own.shape, np.int8)
        return replace(requests, candidates=own, nominators=zeros, previous_impressions=zeros)

    cards = SimpleNamespace(
        features=SimpleNamespace(of_requests=_inputs_of),
        scales=lambda batch: replace(batch, numbers=(batch.numbers / 100).tanh()),
    )
    yield first, cards, lambda batch: batch.numbers @ way, {"click": 1.0, "rating": 2.0}
    yield first, cards, lambda batch: batch.numbers @ way, {"watch time": 1.0, "click": 0.5}


def _of_policy(system):
    """Scores of cards, and pages of requests with and without candidates."""
    n, c = 4, 6
    bags = np.full((n, 50), -1, np.int32)
    asked = Requests(
        request=np.arange(n), user=np.array([3, 1, 4, 1]), time=np.ones(n), device=np.zeros(n, int),
        daypart=np.zeros(n, int), surface=np.zeros(n, int), query_video=np.full(n, -1),
        candidates=None, nominators=None, previous_impressions=None, recent_videos=bags,
        recent_tokens=bags, slate=3, available=500,
    )  # fmt: skip
    given = (np.arange(n * c).reshape(n, c) * 7 % 97).astype(np.int32)
    zeros = np.zeros(given.shape, np.int8)
    brought = replace(asked, candidates=given, nominators=zeros, previous_impressions=zeros)
    score = system.score(RankingBatch.of(_inputs_of(brought)))
    if score is None:
        return None
    return np.asarray(score), np.asarray(system(asked)), np.asarray(system(brought))


def _policy(scaled=True, minutes=True, always=False, ids=True, product=False):
    """The policy with a part done wrong."""

    class System(lesson.System):
        def score(self, batch):
            said = mo.predict_tasks(self.model, self.cards.scales(batch) if scaled else batch)
            seconds = batch.number("duration") if minutes else np.full(len(said), 60.0)
            factors = mo.factors_of(said, seconds)
            if product:
                return sum(weight * factors[name] for name, weight in self.weights.items())
            return mo.combine(factors, self.weights)

        def __call__(self, requests):
            if requests.candidates is None or always:
                requests = self.first(requests)
            batch = RankingBatch.of(self.cards.features.of_requests(requests))
            scores, shape = self.score(batch), requests.candidates.shape
            videos = requests.candidates if ids else np.tile(np.arange(shape[1]), (shape[0], 1))
            return top(scores.reshape(shape), videos, requests.slate)

    System.__module__ = __name__
    return System


def _turns_cases(rng: np.random.Generator):
    def learn(rows):
        x = rows["x"].to_numpy()
        return np.array([len(x), x.sum(), (x * np.arange(len(x))).sum()])

    def serve(policy, day):
        return pd.DataFrame({"x": policy[1] / policy[0] + day + np.arange(3.0)})

    for days in (1, 3):
        yield pd.DataFrame({"x": rng.normal(size=5)}), learn, serve, days


def _turns(keep=True, newest=True, learn_first=True, last=True):
    """The loop with a part done wrong."""

    def turns(rows, learn, serve, days):
        policies, first = [learn(rows)], rows
        for day in range(days):
            new = serve(policies[-1] if newest else policies[0], day)
            rows = pd.concat([rows if keep else first, new], ignore_index=True)
            policies.append(learn(rows if last else new))
        return policies if learn_first else policies[1:]

    return turns


EXERCISES = (
    Exercise(
        id="12-pool",
        reference=lesson.pool,
        cases=_pool_cases,
        read=_of_pool,
        mistakes=(
            Mistake(
                _pool(by=lambda scores, place: -scores.max(axis=2)),
                "You compared scores of different sources; compare the lines they stand on.",
            ),
            Mistake(
                _pool(by=lambda scores, place: place.sum(axis=2)),
                "You added up the lines; a video is met on its best one.",
            ),
            Mistake(
                _pool(by=lambda scores, place: place.max(axis=2)),
                "You took the worst line of a video; it is met on its best one.",
            ),
            Mistake(
                _pool(named="all"),
                "You kept the scores of sources that did not name the video; put NaN there.",
            ),
            Mistake(
                _pool(named="size"),
                "A source has named what stands on the lines gone through, and no more.",
            ),
            Mistake(_pool(named="best"), "The last line that was gone through counts, too."),
        ),
    ),
    Exercise(
        id="12-figure-1",
        reference=lesson.Figure1,
        cases=_network_cases,
        read=_of_network,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(_network(relu=False), "Your shared layer has no ReLU."),
            Mistake(
                _network(gates_over=1),
                "Your shares sum to 1 over the tasks; let those of a task sum to 1.",
            ),
            Mistake(_network(columns="last"), "You added the place to tasks of satisfaction."),
            Mistake(_network(columns="all"), "You added the place to all tasks."),
            Mistake(_network(shallow=False), "The place is not in your outputs."),
            Mistake(
                _network(cell=None),
                "Without a cell you add nothing; *missing* has a row of its own, by the device.",
            ),
            Mistake(
                _network(cell=lambda batch: torch.zeros(len(batch.page), dtype=torch.int64)),
                "*Missing* on the first device is not *missing* on the others.",
            ),
            Mistake(
                _network(cell=lambda batch: lesson.unplaced(batch) + 1),
                "A card that is not placed yet does not stand at the top.",
            ),
        ),
    ),
    Exercise(
        id="12-policy",
        reference=lesson.System,
        cases=_policy_cases,
        read=_of_policy,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(_policy(scaled=False), "Your network got raw numbers; scale them first."),
            Mistake(_policy(minutes=False), "The seconds of the cards are not in your factors."),
            Mistake(_policy(product=True), "You added up predictions; mo.combine multiplies."),
            Mistake(
                _policy(always=True),
                "Where a request brings candidates, only they may be shown.",
            ),
            Mistake(_policy(ids=False), "You returned columns of the pool, not ids of videos."),
        ),
    ),
    Exercise(
        id="12-turns",
        reference=lesson.turns,
        cases=_turns_cases,
        mistakes=(
            Mistake(_turns(keep=False), "You forget the days before the last one."),
            Mistake(_turns(newest=False), "Your days are all served by the first policy."),
            Mistake(_turns(last=False), "You learn from the last day only."),
            Mistake(_turns(learn_first=False), "The one that learned from rows alone is missing."),
        ),
    ),
)  # fmt: skip
