"""Feedback loops.

Written in notebooks/source/14_feedback_loops.py, and there only.
"""

import copy
import dataclasses

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional

from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.lessons import position_bias as pb
from course.lessons.first_system import share_closed
from course.lessons.mixtures_of_experts import RankingMixture, keep_experts
from course.lessons.ranking_features import InputLayer, Scales
from course.lessons.watch_time import Ranker
from course.logs.tables import Logs, from_record
from course.metrics import gini
from course.simulator import laws
from course.simulator.engine import Record
from course.simulator.policies import top
from course.simulator.truth import Truth
from course.tasks.places import cells_of
from course.world import simulate


def until(engine, end):
    """A copy of an engine that knows which videos come until a day, and nothing else of it."""
    later = copy.copy(engine)
    future = max(0, later.config.horizon - end)
    later.config = dataclasses.replace(later.config, days=end, future_days=future)
    return later


class Service:
    """A system in front of a world's people after the log, with a memory of its own."""

    def __init__(self, world):
        self.world, self.engine = world, copy.copy(world.engine)
        self.engine.memory = world.engine.memory.copy()
        self.engine.market = world.engine.market.copy()
        self.today, self.record = world.config.days, Record()

    def serve(self, policy, days):
        """Let days pass under a policy; what happened in them (a Record)."""
        record = Record()
        self.engine.run(self.today, self.today + days, policy, record)
        self.today += days
        self.record.extend(record)
        return record

    def logs(self, ahead=3):
        """The world's log and what was added to it; of the next days only which videos come."""
        own = from_record(until(self.engine, self.today + ahead), self.record)
        first = self.world.logs()
        tables = {name: pd.concat([getattr(first, name), own[name]], ignore_index=True)
                  for name in ("watches", "searches", "impressions")}  # fmt: skip
        return Logs(users=first.users, videos=own["videos"], **tables)


def retrain(service, learn, rounds=6, days=3):
    """Learn, serve, log, and again; what happened in each round (a list)."""
    records = []
    for _ in range(rounds):
        policy = learn(service)
        records.append(service.serve(policy, days))
    return records


class Trained:
    """A click model of chapter 10, trained on rows of a log's impressions."""

    def __init__(self, logs, rows, kind=pb.Clicks, widths=(32, 16), seed=0, **recipe):
        self.logs, self.features = logs, RankingFeatures(logs, rows)
        raw = RankingBatch.of(self.features.of_impressions(logs, rows))
        self.scales = Scales(raw)
        clicked = torch.from_numpy(rows["clicked"].to_numpy(np.float32))
        inputs = InputLayer(self.features, seed=seed)
        self.model = kind(Ranker(inputs, widths, float(torch.logit(clicked.mean())), seed))
        cards = self.scales(raw)
        pb.train_clicks(self.model, cards, cells_of(rows), clicked, seed=seed, **recipe)

    def scores(self, requests):
        """Logits (r, c) of the candidates, without their places."""
        raw = RankingBatch.of(self.features.of_requests(requests, self.logs))
        with torch.no_grad():
            return self.model.main(self.scales(raw)).numpy().reshape(requests.candidates.shape)


def last_days(logs, now, days=6):
    """The impressions of the last days before now."""
    time = logs.impressions["time"]
    return logs.impressions[(time >= now - days) & (time < now)]


def explore(pages, candidates, share, rng):
    """Pages (r, k), each place given with this probability to a candidate that is not on it."""
    on = (candidates[:, :, None] == pages[:, None, :]).any(axis=2)
    order = np.argsort(on + rng.random(on.shape), axis=1)[:, : pages.shape[1]]
    others = np.take_along_axis(candidates, order, axis=1)
    return np.where(rng.random(pages.shape) < share, others, pages)


def narrowed(scores, worth, keep=12):
    """Scores (r, c) of which only the candidates with the highest worth (r, c) come before all."""
    place = np.argsort(np.argsort(-worth, axis=1, kind="stable"), axis=1)
    return np.where(place < keep, scores, scores - 1e3)


def own_clicks(logs, now):
    """Clicks of each video (V,) on pages of the last days."""
    rows = last_days(logs, now)
    return np.bincount(rows["video_id"], rows["clicked"], minlength=len(logs.videos))


def all_watches(logs, now):
    """Watches of each video (V,) in the last days, from anywhere."""
    lately = logs.watches["video_id"][logs.watches["time"] >= now - 6]
    return np.bincount(lately, minlength=len(logs.videos)).astype(float)


def old_pages(past, now):
    """The log of a Service that the past ranking serves until now."""
    if past.today < now:
        past.serve(past.engine.past_ranking(past.engine.memory), now - past.today)
    return past.logs()


def learner(kind=pb.Clicks, share=0.0, stage=None, past=None, **recipe):
    """What `retrain` asks before each round: train on the last six days of pages, serve those.

    share: of exploration. stage: counts (V,) by which a first stage lets 12 candidates through.
    past: a Service whose pages, in the old order, are learned from instead of one's own.
    """

    def learn(service):
        log, now = service.logs(), service.today
        source = log if past is None else old_pages(past, now)
        trained = Trained(source, last_days(source, now), kind, **recipe)
        trained.logs, rng = log, np.random.default_rng(now)
        counts = None if stage is None else stage(log, now)

        def policy(requests):
            scores = trained.scores(requests)
            if counts is not None:
                scores = narrowed(scores, counts[requests.candidates])
            pages = top(scores, requests.candidates, requests.slate)
            return explore(pages, requests.candidates, share, rng)

        return policy

    return learn


def oracle(service, objective):
    """The best pages by the truth, as things stand in a service."""
    policy = service.world.oracle(objective)
    policy.memory = service.engine.memory
    return policy


def came_of(service, record):
    """Of a round: clicks to expect per page, Gini of the showings, share of new uploads."""
    shown, truth = record.table("impressions"), record.table("truth_impressions")
    catalogue, pages = service.engine.catalogue, len(np.unique(shown["request"]))
    p = truth["p_seen"].astype(float) * truth["p_click_if_seen"]
    counts = np.bincount(shown["video"], minlength=catalogue.available(shown["time"].max()))
    new = shown["time"] - catalogue.uploaded[shown["video"]] < 7
    return {"clicks": p.sum() / pages, "gini": gini(counts), "new": new.mean()}


def offers(rng, worlds, pages, videos):
    """Candidates (worlds, pages, 30) of pages: 30 in a row of a mixed list of all videos."""
    mixed = rng.permuted(np.tile(np.arange(videos), (worlds, 1)), axis=1)
    start = rng.integers(videos, size=(worlds, pages, 1))
    return mixed[np.arange(worlds)[:, None, None], (start + np.arange(30)) % videos]


def tally(rng, page, p, theta, shape):
    """Clicks, showings and looks to expect of each video (3 tables) of pages with chances p."""
    worlds, videos = shape
    at = page.reshape(worlds, -1) + videos * np.arange(worlds)[:, None]
    counts = rng.random(p.shape) < p, np.ones(p.shape), np.broadcast_to(theta, p.shape)
    return [np.bincount(at.ravel(), c.ravel(), worlds * videos).reshape(shape) for c in counts]


def believed(clicks, looks, offered, closed):
    """Scores (pages of all worlds, 30) by clicks over looks, drawn a little towards the mean."""
    row = np.arange(len(clicks))[:, None, None]
    mean = clicks.sum(axis=1, keepdims=True) / looks.sum(axis=1, keepdims=True)
    score = ((clicks + 10 * mean) / (looks + 10))[row, offered].reshape(-1, 30)
    return narrowed(score, clicks[row, offered].reshape(-1, 30)) if closed else score


def renew(rng, number, wish, age, clicks, looks):
    """The ten oldest videos of each world go, and ten come of which nothing is known."""
    leaving = (np.arange(10) + 10 * number) % wish.shape[1]
    wish[:, leaving], age[leaving] = rng.normal(-1.7, 1, (len(wish), 10)), 0
    clicks[:, leaving] = looks[:, leaving] = 0


def bottle(ranker="naive", bias=1.0, share=0.0, closed=False, worlds=60, rounds=20, seed=0,
           videos=200, pages=100):  # fmt: skip
    """Clicks per page, Gini, share of new cards: (worlds, rounds) each, of made-up worlds."""
    rng, row = np.random.default_rng(seed), np.arange(worlds)[:, None, None]
    theta, shape = laws.examination(np.arange(1, 11), 0.9, bias), (worlds, videos)
    wish, age = rng.normal(-1.7, 1, shape), np.arange(videos)[::-1] // 10
    clicks, looks, found = np.zeros(shape), np.zeros(shape), []
    learns = ranker in ("naive", "corrected")
    for number in range(rounds):
        want, offered = laws.sigmoid(wish - 0.1 * age), offers(rng, worlds, pages, videos)
        score = rng.random(offered.shape).reshape(-1, 30)
        if number and learns:
            score = believed(clicks, looks, offered, closed)
        elif number and ranker == "oracle":
            score = want[row, offered].reshape(-1, 30)
        page = top(score, offered.reshape(-1, 30), 10)
        if number and learns:
            page = explore(page, offered.reshape(-1, 30), share, rng)
        page = page.reshape(worlds, pages, 10)
        p = theta * want[row, page]
        clicked, shown, seen = tally(rng, page, p, theta, shape)
        found.append((p.sum(axis=(1, 2)) / pages, [gini(counts) for counts in shown],
                      shown[:, age < 5].sum(axis=1) / (10 * pages)))  # fmt: skip
        looked = seen if ranker == "corrected" else shown
        clicks, looks, age = 0.8 * clicks + clicked, 0.8 * looks + looked, age + 1
        renew(rng, number, wish, age, clicks, looks)
    names = "clicks", "gini", "new"
    return {name: np.array([each[i] for each in found]).T for i, name in enumerate(names)}


def worst_group(clicked, p, column):
    """The surprise of the group of a column's values (n,) that surprises most."""
    p = p * clicked.sum() / p.sum()  # that all is too high or too low is no news
    cards = pd.DataFrame({"surplus": clicked - p, "variance": p * (1 - p)})
    sums = cards.groupby(np.asarray(column)).sum()
    surprise = sums["surplus"] / np.sqrt(sums["variance"])
    return surprise.iloc[surprise.abs().argmax()]


class TwoBiases(pb.ShallowTower):
    """The shallow tower with a number for each place and size: a large card's are a block later."""

    def __init__(self, main, **options):
        super().__init__(main, **options)
        self.place = nn.Parameter(torch.zeros(2 * pb.PLACES))


def reach(tasks, own, common):
    """Which experts a task's gate reaches (tasks, experts): its own, and the common at the end."""
    mine = torch.eye(tasks, dtype=torch.bool).repeat_interleave(own, dim=1)
    return torch.cat([mine, torch.ones(tasks, common, dtype=torch.bool)], dim=1)


class PLE(RankingMixture):
    """Experts of one task each beside common ones, on the input (Tang et al. 2020, one level)."""

    def __init__(self, inputs, bias, own=1, common=5, width=8, **options):
        super().__init__(inputs, bias, own * len(bias) + common, width, **options)
        self.reach = reach(len(bias), own, common)

    def parts(self, batch):
        """What the experts say (experts, n, width), and the gates (n, tasks, experts)."""
        said, gates = super().parts(batch)
        return said, keep_experts(gates, self.reach)


def taught(logit, odds):
    """Mean loss of logits (n,): clicked with the teacher's odds as weight, not clicked with 1."""
    return (odds * functional.softplus(-logit) + functional.softplus(logit)).mean()


def rounded(weight, bits=8):
    """A table of weights as whole numbers times one scale for each row, put back together."""
    scale = weight.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    return torch.round(weight / scale.clamp(min=1e-12)) * scale


def with_few_bits(model, bits):
    """A copy of a model with all its tables rounded."""
    out = copy.deepcopy(model)
    with torch.no_grad():
        for values in out.parameters():
            if values.dim() == 2:
                values.copy_(rounded(values, bits))
    return out


def worth_of_mood(dial, visits, clicks, left, fades=0.9):
    """Clicks that a unit of mood brings, with so many visits a day, clicks a visit, and days."""
    return dial * visits * clicks * (1 - fades**left) / (1 - fades)


def planner(service, last, clicks=0.7):
    """A policy that knows the law: a click today, and what its mood is worth until the last day."""
    engine, dial = service.engine, service.engine.config.aftertaste
    truth = Truth(engine.behaviour, engine.memory, service.today)

    def policy(requests):
        user = requests.user
        asked = user[:, None], requests.candidates, requests.time[:, None], requests.device[:, None]
        visits = engine.people.sessions_per_day[user]
        visits = visits * laws.comes_back(engine.memory.mood[user], dial)
        worth = worth_of_mood(dial, visits, clicks, last - requests.time)[:, None]
        gain = laws.mood_gain(truth.rating(*asked))
        scores = truth.click_probability(*asked) * (1 + worth * gain)
        return top(scores, requests.candidates, requests.slate)

    return policy


def weeks_of(service, policy, weeks=4):
    """Home and up-next pages that were opened, and clicks, in each week (weeks rows)."""
    rows = []
    for _ in range(weeks):
        shown = service.serve(policy, 7).table("impressions")
        rows.append({"pages": len(np.unique(shown["request"])), "clicks": shown["clicked"].sum()})
    return pd.DataFrame(rows, index=pd.RangeIndex(1, weeks + 1, name="week"))


def residual_codes(x, centres):
    """Codes (n, levels) of x (n, d): the nearest centre to what the levels before have left."""
    codes = []
    for table in centres:
        near = ((x[:, None] - table) ** 2).sum(axis=2).argmin(axis=1)
        codes.append(near)
        x = x - table[near]
    return np.stack(codes, axis=1)


def learn_centres(x, k=16, levels=3):
    """Centres of residual codes, level by level, by k-means."""
    centres = []
    for level in range(levels):
        table = KMeans(k, n_init=1, random_state=level).fit(x).cluster_centers_
        centres.append(table)
        x = x - table[residual_codes(x, [table])[:, 0]]
    return centres


def beginnings(codes, k):
    """At each level: a video for each beginning of a word, and which beginning each video has."""
    keys = (codes[:, :n] @ k ** np.arange(n) for n in range(codes.shape[1]))
    return [np.unique(key, return_index=True, return_inverse=True)[1:] for key in keys]


def word_vectors(letters, codes):
    """Sums (..., dim) of the letters' vectors of codes (..., up to levels)."""
    parts = [table(codes[..., i]) for i, table in enumerate(letters[: codes.shape[-1]])]
    return sum(parts, torch.zeros(*codes.shape[:-1], letters[0].embedding_dim))


def mean_word(letters, codes, bags):
    """Means (B, dim) of the words in bags (B, H) of videos; the last number is no video."""
    known = (bags < len(codes) - 1)[..., None]
    return (word_vectors(letters, codes[bags]) * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


class NextCode(nn.Module):
    """Spells the next video: P(first code), P(second | first), ..., from a bag of past videos."""

    def __init__(self, codes, k=16, dim=32, seed=0):
        super().__init__()
        self.codes = torch.from_numpy(np.vstack([codes, np.zeros_like(codes[:1])]))
        self.starts, levels = beginnings(codes, k), range(codes.shape[1])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.letters = nn.ModuleList(nn.Embedding(k, dim) for _ in levels)
            self.heads = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * dim, 32), nn.ReLU(), nn.Linear(32, k)) for _ in levels
            )

    def spell(self, x, codes):
        """Log P (B, m, k) of the next letter after beginnings codes (m, level) at x (B, dim)."""
        word = word_vectors(self.letters, codes).expand(len(x), -1, -1)
        both = torch.cat([x[:, None].expand(-1, len(codes), -1), word], dim=2)
        return self.heads[codes.shape[1]](both).log_softmax(dim=2)

    def forward(self, bags):
        """Log P (B, videos) of the word of each video."""
        x, total = mean_word(self.letters, self.codes, bags), 0
        for level, (first, at) in enumerate(self.starts):
            said = self.spell(x, self.codes[first, :level])
            total = total + said[:, at, self.codes[:-1, level]]
        return total


def four_weeks(make, floor, planned):
    """The share of the way from random pages to the planner, for each village (a Series).

    make: function of a service that returns a policy; it is asked anew each week.
    floor, planned: clicks in four weeks by seed of the village.
    """
    shares = {}
    for seed in floor.index:
        service, clicks = Service(simulate("village", seed=seed, aftertaste=2.0, future_days=28)), 0
        for _ in range(4):
            clicks += weeks_of(service, make(service), 1)["clicks"].sum()
        shares[seed] = share_closed(clicks, floor[seed], planned[seed])
    return pd.Series(shares)
