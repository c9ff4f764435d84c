"""The whole system.

Written in notebooks/source/12_the_whole_system.py, and there only.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix
from torch import nn
from torch.nn import functional

from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.features.taxonomy import QUERY_CODES
from course.lessons import candidate_generation as cg
from course.lessons import content as ct
from course.lessons import first_system as fs
from course.lessons import labels_and_context as lc
from course.lessons import many_objectives as mo
from course.lessons import matrix_factorization as mf
from course.lessons import position_bias as pb
from course.lessons.mixtures_of_experts import Experts, mix
from course.lessons.ranking_features import FirstLinear, InputLayer, Scales
from course.logs.splits import first_watches
from course.simulator.experiment import live_requests
from course.simulator.feed import rank, respond
from course.simulator.policies import top
from course.tasks.next_watch import Moments
from course.tasks.seven_tasks import CONTEXT, ENGAGEMENT, TASKS, context_of, labels


def moments_of(requests, videos):
    """What sources may know of page requests: Moments, led by the video that is being watched."""
    moments, query = Moments.of_requests(requests), requests.query_video[:, None]
    watched = np.where(query >= 0, np.hstack([query, moments.watched[:, :-1]]), moments.watched)
    return replace(moments, watched=np.where(watched < videos, watched, -1))


def topic_match(logs, last=5, passes=10):
    """Source: like the last watches by title and thumbnail (P2, section 3; chapter 11)."""
    table = mf.who_watched_what(logs)
    known, y = np.flatnonzero(table.getnnz(axis=0) >= 5), mf.als(table)[1]
    words, looks = ct.title_words(logs.content), ct.pictures(logs.content)
    reader = ct.Reader(len(logs.content.vocabulary), logs.videos["topic"].cat.categories.size)
    ct.teach(reader, words, looks, logs, y, known, passes=passes)
    vectors = ct.unit(ct.read(reader, words, looks)[1][: len(y)])

    def near(moments):
        watched = moments.watched[:, :last]
        taste = (vectors[watched] * (watched >= 0)[:, :, None]).sum(axis=1)
        return taste @ vectors.T

    return near


def co_watch(logs, last=20):
    """Source: what people watched right after the videos that I watched last (chapter 00)."""
    after = fs.watched_next(logs, last)
    return lambda moments: after(SimpleNamespace(recent_videos=moments.watched))


def sequence(logs, days=15.0, passes=4):
    """Source: the network of P1's Figure 3, on the watches of the last days (chapter 03)."""
    examples = first_watches(logs.watches)
    examples = examples[examples["time"] >= max(5.0, logs.watches["time"].max() - days)]
    label = torch.tensor(examples["video_id"].to_numpy(np.int64))
    bags = cg.as_bags(lc.bags(logs.watches, examples, lc.PAST), len(logs.videos))
    videos = len(logs.videos)
    model = cg.NextVideo(videos, counts=torch.bincount(label, minlength=videos))
    lc.learn(model, bags, label, passes=passes, negatives=min(500, videos // 4))
    return cg.scorer(model)


def context(logs, days=3.0, factors=16):
    """Source: what is watched in such a situation, by ALS, so against all videos (chapter 02)."""
    kind = logs.users.groupby(["language", "age_band"], observed=True).ngroup().to_numpy()

    def situation(user, device, daypart):
        return (kind[user] * 3 + device) * 4 + daypart

    lately = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    codes = (lately[name].cat.codes.to_numpy(np.int64) for name in ("device", "daypart"))
    cells = situation(lately["user_id"].to_numpy(), *codes), lately["video_id"].to_numpy()
    shape = 12 * (kind.max() + 1), len(logs.videos)
    x, y = mf.als(csr_matrix((np.ones(len(lately), np.float32), cells), shape), factors)
    return lambda moments: x[situation(moments.user, moments.device, moments.daypart)] @ y.T


FOUR = {"topic match": topic_match, "co-watch": co_watch, "sequence": sequence,
           "context": context}  # fmt: skip


def ask(sources, moments):
    """Scores (n, V, sources) of all videos; minus infinity for what was watched lately."""
    scores = np.stack([source(moments) for source in sources.values()], axis=2)
    lately = np.zeros((len(scores), scores.shape[1] + 1), bool)  # a last column for "no video"
    np.put_along_axis(lately, moments.watched.astype(np.int64), True, axis=1)
    scores[lately[:, :-1]] = -np.inf
    return scores


def pool(scores, size):
    """Videos (n, size) that sources name first, and scores (n, size, sources); NaN = not named."""
    place = (-scores).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    met = place.min(axis=2)
    videos = met.argsort(axis=1, kind="stable")[:, :size]
    last = np.take_along_axis(met, videos[:, -1:], axis=1)[:, :, None]
    own, given = (np.take_along_axis(a, videos[:, :, None], axis=1) for a in (place, scores))
    return videos, np.where(own <= last, given, np.nan)


class Cards:
    """Rows of a log as rankers learn from them: features, scales, labels (n, 7), cells (n,)."""

    def __init__(self, logs, rows):
        self.logs, self.rows = logs, rows
        self.features = RankingFeatures(logs, rows)
        raw = RankingBatch.of(self.features.of_impressions(logs, rows))
        self.scales = Scales(raw)
        self.batch = self.scales(raw)
        self.labels = torch.from_numpy(labels(rows, raw.number("duration")))
        self.start = mo.best_constants(self.labels)
        places = rows["position"], rows["device"].cat.codes
        self.cell = pb.cells(*(torch.from_numpy(at.to_numpy(np.int64)) for at in places))

    def inputs(self, seed=0):
        """An input layer for these cards (chapter 06)."""
        return InputLayer(self.features, set(self.features.names) - {"nominator"}, seed=seed)


def unplaced(batch):
    """The cells (n,) of cards that have no position yet: *missing*, on the device of each page."""
    device = batch.query_codes[:, QUERY_CODES.index("device")]
    return pb.cells(0, device[batch.page])


class Figure1(nn.Module):
    """P2's Figure 1: shared layer, experts, gates, towers; a shallow logit for engagement only."""

    def __init__(self, inputs, bias, shared=55, experts=8, width=16, seed=0):
        super().__init__()
        self.shape = len(bias), experts
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, shared)
            self.experts = Experts(experts, shared, width)
            self.gate = nn.Linear(sum(map(len, CONTEXT.values())), len(bias) * experts)
            self.towers = mo.Towers(width, bias)
        self.place = nn.Parameter(torch.zeros(pb.PLACES, len(ENGAGEMENT)))

    def forward(self, batch, cell=None):
        """Outputs (n, tasks) of n scaled cards in cells (n,); None = not placed yet."""
        h = self.first(batch).relu()
        gates = self.gate(context_of(batch)).unflatten(1, self.shape).softmax(dim=2)
        out = self.towers(mix(self.experts(h), gates))
        shallow = self.place[unplaced(batch) if cell is None else cell]
        return out + functional.pad(shallow, (0, out.shape[1] - shallow.shape[1]))


def train_system(model, cards, weights=mo.WEIGHTS, rate=0.01, passes=2, drop=0.1, pages=100,
                 seed=0, **options):  # fmt: skip
    """Fit Figure 1 to cards: seven losses where labels are known (08), some places hidden (10)."""
    share = (~torch.isnan(cards.labels)).float().mean(dim=0)
    spread = torch.nanmean((cards.labels - torch.nanmean(cards.labels, dim=0)) ** 2, dim=0)
    each = torch.tensor([weights[task] for task in TASKS]) / share
    each = each / torch.where(mo.YES_NO, 1.0, spread)

    def page_loss(chosen):
        rows = cards.batch.rows(chosen)
        own, cell = cards.labels[rows], pb.dropped(cards.cell[rows], drop)
        in_batch = (~torch.isnan(own)).float().mean(dim=0)
        return (each * in_batch * mo.task_losses(model(cards.batch[chosen], cell), own)).sum()

    place = [model.place]
    rest = [values for values in model.parameters() if values is not model.place]
    groups = [{"params": rest, "lr": rate}, {"params": place, "lr": 5 * rate}]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"passes": passes, "batch": pages, "seed": seed, **options}
        return cg.fit(page_loss, groups, cards.batch.pages, **options)


def learned(cards, seed=0, **recipe):
    """A Figure 1 that has learned from cards."""
    model = Figure1(cards.inputs(seed), cards.start, seed=seed)
    train_system(model, cards, seed=seed, **recipe)
    return model


class FirstStage:
    """Gives page requests their candidates: the pool of some sources."""

    def __init__(self, logs, sources, size=200):
        self.sources, self.size, self.videos = sources, size, len(logs.videos)
        shown = logs.impressions["user_id"], logs.impressions["video_id"]
        self.shown = fs.count_pairs(*shown, (len(logs.users), self.videos))

    def __call__(self, requests, size=None):
        """The same requests (n) with candidates (n, size)."""
        moments, size = moments_of(requests, self.videos), size or self.size
        parts = [pool(ask(self.sources, moments[at : at + 500]), size)[0]
                 for at in range(0, len(requests), 500)]  # fmt: skip
        videos = np.concatenate(parts).astype(np.int32)
        before = self.shown[requests.user[:, None], videos]
        return replace(requests, candidates=videos, nominators=np.zeros(videos.shape, np.int8),
                       previous_impressions=before)  # fmt: skip


class System:
    """A policy: nominate, predict, combine, show the best (P2, Figure 1 and section 3)."""

    def __init__(self, first, cards, model, weights):
        self.first, self.cards, self.model, self.weights = first, cards, model, weights

    def score(self, batch):
        """Scores (n,) of raw cards that are not placed yet."""
        said = mo.predict_tasks(self.model, self.cards.scales(batch))
        return mo.combine(mo.factors_of(said, batch.number("duration")), self.weights)

    def __call__(self, requests):
        """Pages (n, slate) for n page requests."""
        if requests.candidates is None:
            requests = self.first(requests)
        batch = RankingBatch.of(self.cards.features.of_requests(requests))
        scores = self.score(batch).reshape(requests.candidates.shape)
        return top(scores, requests.candidates, requests.slate)


BALANCED = {"click": 1.0, "watch time": 0.5, "rating": 1.0}


def assemble(logs, weights=BALANCED, size=200, days=12, **recipe):
    """The whole system, from a log and nothing else."""
    first = FirstStage(logs, {name: build(logs) for name, build in FOUR.items()}, size)
    late = logs.impressions["time"] >= logs.impressions["time"].max() - days
    cards = Cards(logs, logs.impressions[late])
    return System(first, cards, learned(cards, **recipe), weights)


GRID = [(time, rating) for time in (0.0, 0.25, 0.5, 1.0) for rating in (0.0, 0.5, 1.0, 2.0, 4.0)]


def along(pages, factors, grid=GRID):
    """What pages are worth at each pair of weights: one table for each request, by weights."""
    found = {}
    for watch_time, rating in grid:
        weights = {"click": 1.0, "watch time": watch_time, "rating": rating}
        found[watch_time, rating] = pages.worth(pages.best(mo.combine(factors, weights)))
    return found


def serve_a_day(world, policy, n=2_000, seed=1, candidates="catalogue"):
    """Pages of a policy on the day after the log, as rows of `logs.impressions`."""
    engine, kinds = world.engine, world.logs().impressions.dtypes
    situation, asked = live_requests(engine, n, seed, candidates=candidates)
    pages = rank(policy, asked)
    done = respond(engine.behaviour, engine.memory, situation, asked.request, pages, engine.seed)
    names = {"request_id": "request", "user_id": "user", "query_video_id": "query_video"}
    shown = engine.memory.shown[asked.user[:, None], engine.memory.bucket(pages)]
    of_card = {"video_id": pages, "position": np.arange(1, asked.slate + 1) + 0 * pages,
               "nominator": np.full_like(pages, -1), "previous_impressions": shown}  # fmt: skip
    columns = {}
    for name, kind in kinds.items():
        values = of_card.get(name, getattr(done, name, None))
        if values is None:
            values = np.repeat(getattr(asked, names.get(name, name))[:, None], asked.slate, axis=1)
        values = values.ravel()
        if isinstance(kind, pd.CategoricalDtype):
            columns[name] = pd.Categorical.from_codes(values.astype(int), dtype=kind)
        else:
            columns[name] = values.astype(kind)
    return pd.DataFrame(columns)


def turns(rows, learn, serve, days):
    """Policies (days + 1): learned from rows of a log, then anew after each day they served."""
    policies = [learn(rows)]
    for day in range(days):
        rows = pd.concat([rows, serve(policies[-1], day)], ignore_index=True)
        policies.append(learn(rows))
    return policies
