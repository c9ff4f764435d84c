"""Ledger of chapter 05, labels and context: which question a network is trained on."""

import dataclasses
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import candidate_generation as cg
from course.lessons import labels_and_context as lc
from course.logs import first_watches
from course.metrics import hit_rate, mean_reciprocal_rank
from course.simulator.experiment import FRESH_DAYS
from course.simulator.organic import TOPIC_WORDS
from course.tasks.next_watch import Moments, NextWatch

CLAIMS = """
P1-F5: A model of held-out watches looks better on its own test and is worse at the next watch.
paper: the next watch performs much better live than a randomly held-out watch, because consumption
  is asymmetric (section 3.4, Figure 5; no numbers)
trial: labels, order
* MRR, held-out model on its own test minus next-watch model on the next watch
  | `held-out watch/both sides, never watched` - `next watch/mrr` | above 0
* the next watch: held-out against next watch (MRR, %)
  | percent(`held-out watch/mrr`, `next watch/mrr`) | below 0
* live: held-out against next watch (clicks, %)
  | percent(`held-out watch/clicks`, `next watch/clicks`) | below 0
* what it loses where people climb from the mainstream to the niche, minus where nothing has an
  order (points of MRR, %)
  | percent(`ladder only/held-out watch/mrr`, `ladder only/next watch/mrr`)
  - percent(`no order/held-out watch/mrr`, `no order/next watch/mrr`) | below 0
* the same where episodes follow each other
  | percent(`series only/held-out watch/mrr`, `series only/next watch/mrr`)
  - percent(`no order/held-out watch/mrr`, `no order/next watch/mrr`) | below 0
- held-out watches, same rivals and the past only: held-out against next watch (MRR, %)
  | percent(`held-out watch/past, never watched`, `next watch/past, never watched`)
- next watches that the home page led to (MRR, %)
  | percent(`held-out watch/mrr home`, `next watch/mrr home`)
- next watches that are the next episode (MRR, %)
  | percent(`held-out watch/mrr series`, `next watch/mrr series`)
- in a shuffled log, by the recipe of the next watch with four passes (MRR, %)
  | percent(`shuffled, 4 passes/held-out watch/mrr`, `shuffled, 4 passes/next watch/mrr`)
- the same after two passes (MRR, %)
  | percent(`shuffled, 2 passes/held-out watch/mrr`, `shuffled, 2 passes/next watch/mrr`)
- in that log, guessing what came before from what came after (MRR, %)
  | percent(`shuffled, 4 passes/what came after/mrr`, `shuffled, 4 passes/next watch/mrr`)
- live: held-out against next watch (satisfied watches, %)
  | percent(`held-out watch/satisfied`, `next watch/satisfied`)
note: Each model has the recipe that is best for the next watch, which favours the held-out one.

P1-F5a: What a held-out watch loses hangs on fashions that pass and on tastes that change
paper: not in the paper; a search for the reason
trial: order, clock
* held-out against next watch (MRR, %), no fashion minus fashion, both without order (points)
  | percent(`no fashion/held-out watch/mrr`, `no fashion/next watch/mrr`)
  - percent(`no order/held-out watch/mrr`, `no order/next watch/mrr`) | above 0
* the same, no drift of tastes minus drift, both without fashion (points)
  | percent(`no fashion, no drift/held-out watch/mrr`, `no fashion, no drift/next watch/mrr`)
  - percent(`no fashion/held-out watch/mrr`, `no fashion/next watch/mrr`) | above 0
- held-out against next watch (MRR, %), no order
  | percent(`no order/held-out watch/mrr`, `no order/next watch/mrr`)
- the same, nor fashion | percent(`no fashion/held-out watch/mrr`, `no fashion/next watch/mrr`)
- the same, nor drift
  | percent(`no fashion, no drift/held-out watch/mrr`, `no fashion, no drift/next watch/mrr`)

P1-C7: The same weight for every account serves the accounts better.
paper: a fixed number of training examples per user improved live metrics (no number)
trial: labels
* MRR by account, weights as 10 per account against all alike (%)
  | percent(`weight as 10 per account/mrr by account`, `next watch/mrr by account`) | above 0
* live: weights as 10 per account against all alike (clicks, %)
  | percent(`weight as 10 per account/clicks`, `next watch/clicks`) | above 0
- MRR by account, 10 per account against a sample of that size (%)
  | percent(`10 per account/mrr by account`, `sample like 10 per account/mrr by account`) | above 0
- MRR by account, 10 per account against all (%)
  | percent(`10 per account/mrr by account`, `next watch/mrr by account`)
- MRR by account, weight 1 / n against all alike (%)
  | percent(`weight 1 / n/mrr by account`, `next watch/mrr by account`)
- lightest fifth, weights as 10 per account against all alike (MRR, %)
  | percent(`weight as 10 per account/mrr group 1`, `next watch/mrr group 1`)
- heaviest fifth, the same (MRR, %)
  | percent(`weight as 10 per account/mrr group 5`, `next watch/mrr group 5`)
- live: 10 per account against a sample of that size (clicks, %)
  | percent(`10 per account/clicks`, `sample like 10 per account/clicks`)
note: A cap of 10 throws much of the examples away; the weights do not. A site with more
  examples than it can use does not feel the difference.

P1-C8: The last query in order guesses better after searches and makes worse home pages.
paper: reproducing the last search page as the home page performs very poorly; queries as an
  unordered bag of tokens avoid it (no numbers)
trial: labels
* MRR after a search, last query against the bag (%)
  | percent(`last query in order/mrr search`, `bag of words/mrr search`) | above 0
* cards on the topic of the last query, last query minus the bag (share)
  | `last query in order/query topic` - `bag of words/query topic` | above 0
* live: last query against the bag (clicks, %)
  | percent(`last query in order/clicks`, `bag of words/clicks`) | below 0
- MRR of all next watches (%) | percent(`last query in order/mrr`, `bag of words/mrr`) | above 0
- MRR of next watches that the home page led to (%)
  | percent(`last query in order/mrr home`, `bag of words/mrr home`) | below 0
- live, within half a day after a search (clicks, %)
  | percent(`last query in order/clicks after search`, `bag of words/clicks after search`)
- live: the bag of words against no searches (clicks, %)
  | percent(`bag of words/clicks`, `next watch/clicks`)

P1-C8a: The harm done by the last query grows with the share of searches that are errands.
paper: not in the paper; a test of the reason that it gives for P1-C8
trial: errands
* MRR of watches from the home page, last query against the bag, nearly all errands minus none
  (points) | percent(`nearly all errands/last query in order/mrr home`,
  `nearly all errands/bag of words/mrr home`) - percent(`no errands/last query in order/mrr home`,
  `no errands/bag of words/mrr home`) | below 0
* clicks, the same (points) | percent(`nearly all errands/last query in order/clicks`,
  `nearly all errands/bag of words/clicks`) - percent(`no errands/last query in order/clicks`,
  `no errands/bag of words/clicks`) | below 0
- clicks, nearly all errands (%) | percent(`nearly all errands/last query in order/clicks`,
  `nearly all errands/bag of words/clicks`)
- clicks, no errands (%) | percent(`no errands/last query in order/clicks`,
  `no errands/bag of words/clicks`)

P1-C9: Learning from all watches brings new videos to light and shows more of the catalogue.
paper: from own recommendations only, new content would hardly surface and the system would
  over-exploit (no numbers)
trial: labels
* videos of the last week that are shown, all minus own pages (share)
  | `next watch/new shown` - `own pages only/new shown` | above 0
* coverage of the catalogue, all minus own pages (share)
  | `next watch/coverage` - `own pages only/coverage` | above 0
- new videos, a sample of the same size minus own pages (share)
  | `sample like own pages/new shown` - `own pages only/new shown` | above 0
- coverage, a sample of the same size minus own pages (share)
  | `sample like own pages/coverage` - `own pages only/coverage` | above 0
- live: own pages against all (clicks, %) | percent(`own pages only/clicks`, `next watch/clicks`)
- live: own pages against all (satisfied watches, %)
  | percent(`own pages only/satisfied`, `next watch/satisfied`)

P1-C5: Implicit labels are so many more than explicit ones that they reach deep into the tail.
paper: completed watches are orders of magnitude more available than explicit feedback, so that
  recommendations can be made deep in the tail (no numbers)
trial: labels
* MRR, completed against liked (%) | percent(`completed/mrr`, `liked/mrr`) | above 0
* recall@100 in the tail, completed minus liked
  | `completed/tail recall@100` - `liked/tail recall@100` | above 0
* recall@100 in the tail, completed minus 4 or 5 stars
  | `completed/tail recall@100` - `4 or 5 stars/tail recall@100` | above 0
- recall@100 in the tail, all watches minus liked
  | `next watch/tail recall@100` - `liked/tail recall@100` | above 0
- MRR, 4 or 5 stars against a sample of that size (%)
  | percent(`4 or 5 stars/mrr`, `sample like the stars/mrr`)
- live: completed against all watches (minutes, %)
  | percent(`completed/watch_minutes`, `next watch/watch_minutes`)
- MRR, completed against a sample of that size (%)
  | percent(`completed/mrr`, `sample like completed/mrr`)
- live: completed against a sample of that size (satisfied watches, %)
  | percent(`completed/satisfied`, `sample like completed/satisfied`)
- live: liked against a sample of that size (satisfied watches, %)
  | percent(`liked/satisfied`, `sample like liked/satisfied`)
- live: completed against all watches (satisfied watches, %)
  | percent(`completed/satisfied`, `next watch/satisfied`)
note: In this world people like one watch in nine and complete one in eight, so the one is not
  rarer than the other. Stars are; beside them stands a sample of as many watches.

P1-C19: What is better offline is not always better live.
paper: live tests decide, since offline metrics do not always agree (sections 1 and 3.4)
trial: labels
* rank correlation of MRR and clicks over the variants | `agreement/clicks` | below 0.9
* pairs of variants that stand the other way round live (share) | `agreement/turned` | above 0.05
- rank correlation of MRR of watches from the home page and clicks | `agreement/home and clicks`
- rank correlation of MRR and satisfied watches | `agreement/satisfied`
- last query against the bag, offline (MRR, %)
  | percent(`last query in order/mrr`, `bag of words/mrr`) | above 0
- the same, live (clicks, %)
  | percent(`last query in order/clicks`, `bag of words/clicks`) | below 0
"""

STORE, DIM, CAP = "tuning_labels", 32, 10
FIRST_DAY = 22.0  # examples are the last twenty days before the cut; bags look back further
GRID = {"rate": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3), "passes": (1, 2, 3, 5, 8, 12, 20, 30, 45)}
STEPS = {"held-out watch": lc.BOTH_SIDES, "what came after": lc.AFTER}
QUERY = {"bag of words": False, "last query in order": True}
SAMPLES = {
    "sample like 10 per account": "10 per account",
    "sample like own pages": "own pages only",
    "sample like completed": "completed",
    "sample like liked": "liked",
    "sample like the stars": "4 or 5 stars",
}
SHARED = {  # samples of about one size share a recipe, and so do the two weights
    "sample like own pages": "sample like 10 per account",
    "sample like liked": "sample like completed",
    "weight 1 / n": "weight as 10 per account",
}
QUESTIONS = ("next watch", *STEPS)
TUNED = ("next watch", "held-out watch", *QUERY, "10 per account", "weight as 10 per account",
         *lc.LABELS, "sample like 10 per account", "sample like completed",
         "sample like the stars")  # fmt: skip
VARIANTS = (*TUNED, *SHARED)  # "what came after" is a control: the next watch, turned round
SOON = 0.5  # days: a page asked for within this time after a search comes right after it


class Setting:
    """A town, cut for the game, with one watch of each account set aside for held-out tests."""

    def __init__(self, seed, mix=False, **dials):
        self.world = simulate("town", seed=seed, **dials)
        logs = shuffled(self.world.logs(), seed) if mix else self.world.logs()
        self.game = NextWatch(logs)
        examples = self.game.examples(FIRST_DAY)
        self.held, watches = lc.set_aside(self.game, examples, seed)
        self.log = dataclasses.replace(self.game.train, watches=watches)
        self.rows = examples.drop(index=self.held.index)
        self.words = lc.Words(self.log.searches)

    def chosen(self, name):
        """Which examples a variant learns from (n,) bool."""
        if name in SAMPLES:
            n = self.chosen(SAMPLES[name]).sum()
            drawn = np.random.default_rng(0).permutation(len(self.rows))[:n]
            return np.isin(np.arange(len(self.rows)), drawn)
        if name == "10 per account":
            return lc.cap(self.rows["user_id"].to_numpy(), CAP)
        if name in lc.LABELS:
            return lc.LABELS[name](self.log.watches.loc[self.rows.index]).to_numpy()
        return np.ones(len(self.rows), bool)

    def fit(self, name, seed=0, **recipe):
        """The network of a variant."""
        rows, videos = self.rows[self.chosen(name)], self.game.videos
        label, weight = torch.tensor(rows["video_id"].to_numpy(np.int64)), None
        counts = torch.bincount(label, minlength=videos)
        if name in QUERY:
            moments, query = Moments.of_events(self.log, rows), QUERY[name]
            bags = self.words.bags(moments, videos, query)
            model = lc.WithWords(videos, self.words.more(query), DIM, counts=counts, seed=seed)
        else:
            found = lc.bags(self.log.watches, rows, STEPS.get(name, lc.PAST))
            bags = cg.as_bags(found, videos)
            model = cg.NextVideo(videos, DIM, (), counts=counts, seed=seed)
        if name.startswith("weight"):
            most = 1 if name == "weight 1 / n" else CAP
            weight = torch.from_numpy(lc.equal_weight(rows["user_id"].to_numpy(), most))
        lc.learn(model, bags, label, weight, seed=seed, **recipe)
        return model

    def scorer(self, name, model):
        """What a network of this variant says of moments."""
        return self.words.scorer(model, QUERY[name]) if name in QUERY else cg.scorer(model)

    def own_test(self, model, steps, rivals):
        """Ranks of the held-out watches, from what lies so many steps away."""
        found = cg.as_bags(lc.bags(self.log.watches, self.held, steps), self.game.videos)
        with torch.no_grad():
            scores = (model(found) @ model.output.weight.T).numpy()
        return lc.ranks_of(self.game, scores, self.held, rivals)

    def offline(self, scores):
        """What the standard test says: MRR of all next watches, by source, by account, and tail."""
        events, logs = self.game.events, self.game.train
        rank = self.game.rank(scores)
        each, user = pd.Series(1 / rank), events["user_id"].to_numpy()
        own = each.groupby(user).mean()
        busy = np.bincount(logs.watches["user_id"], minlength=len(logs.users))[own.index]
        fifth = 1 + np.argsort(np.argsort(busy, kind="stable"), kind="stable") * 5 // len(busy)
        watched = np.bincount(logs.watches["video_id"], minlength=self.game.videos)
        tail = np.argsort(np.argsort(watched, kind="stable"), kind="stable") < len(watched) // 2
        return {
            "mrr": each.mean(), "mrr by account": own.mean(),
            **{f"mrr group {k}": of.mean() for k, of in own.groupby(fifth)},
            **{f"mrr {k}": of.mean() for k, of in each.groupby(events["source"].astype(str))},
            "tail recall@100": hit_rate(rank[tail[events["video_id"]]], 100),
        }  # fmt: skip

    def live(self, scorers, n=4_000, seed=0):
        """What people make of the pages of the day after the log; exact expectations per page."""
        result = self.game.live(self.world, scorers, n=n, seed=seed)
        searches, videos = self.world.logs().searches, self.world.logs().videos
        last = searches.drop_duplicates("user_id", keep="last").set_index("user_id")
        last = last.reindex(result.requests["user"])
        topic = last["token_1"].to_numpy(float) // TOPIC_WORDS
        soon = result.requests["time"].to_numpy() - last["time"].to_numpy() < SOON
        table = result.table.set_index(["policy", "metric"])["expected"]
        new = np.flatnonzero(videos["uploaded"] > self.world.config.days - FRESH_DAYS)
        codes = videos["topic"].cat.codes.to_numpy()
        for name in scorers:
            page = result.pages[name]
            on_topic = codes[np.minimum(page, len(codes) - 1)] == topic[:, None]
            yield {
                "who": name, **table[name][["clicks", "watch_minutes", "satisfied", "coverage"]],
                "clicks after search": result.per_page[name]["clicks"][1][soon].mean(),
                "query topic": on_topic[~np.isnan(topic)].mean(),
                "new shown": np.isin(new, page).mean(),
            }  # fmt: skip


def _contestant(name):
    def run(settings, world):
        s = Setting(world)
        model = s.fit(name, **settings)
        return s.game.offline(s.scorer(name, model), s.game.sample(5_000))

    return run


def tune():
    """Tune every variant by the next watch, over one grid of rates and passes."""
    tuning.tune(
        {name: _contestant(name) for name in TUNED}, GRID, start={"rate": 0.01, "passes": 5},
        compare=("next watch", "held-out watch"), store=STORE,
        about={"size": "town", "factors": DIM, "first day": FIRST_DAY}, give_up=0.003,
    )  # fmt: skip


def shuffled(logs, seed=0):
    """The same log with each account's videos dealt out anew over its own watch times.

    All videos count as uploaded before the log, since a shuffled watch may come before the upload.
    """
    user = logs.watches["user_id"].to_numpy()
    video = np.empty(len(user), logs.watches["video_id"].dtype)
    dealt = np.lexsort((np.random.default_rng(seed).random(len(user)), user))
    video[np.argsort(user, kind="stable")] = logs.watches["video_id"].to_numpy()[dealt]
    watches, videos = logs.watches.assign(video_id=video), logs.videos.assign(uploaded=-1.0)
    return dataclasses.replace(logs, watches=watches, videos=videos)


def labels(seed):
    """All variants in one town, each with its tuned recipe: the standard test, and live."""
    s, best, offline, scorers = Setting(seed), tuning.load(STORE).best, {}, {}
    for name in VARIANTS:
        model = s.fit(name, seed, **best[SHARED.get(name, name)])
        scorers[name] = s.scorer(name, model)
        offline[name] = s.offline(scorers[name])
        yield {"who": name, "examples": s.chosen(name).sum(), **offline[name]}
        if name in QUESTIONS:
            yield {"who": name, **_own_tests(s, model)}
    live = {row["who"]: row for row in s.live(scorers)}
    yield from live.values()
    yield {"who": "agreement", **_agreement(pd.DataFrame(offline).T, pd.DataFrame(live).T)}


def _own_tests(s, model):
    return {
        f"{name}, {rivals}": mean_reciprocal_rank(s.own_test(model, steps, rivals))
        for name, steps in (("both sides", lc.BOTH_SIDES), ("past", lc.PAST))
        for rivals in lc.RIVALS
    }


def _agreement(offline, live):
    """How far the offline test puts the variants into the order of the live test."""
    clicks, mrr = live.loc[offline.index, "clicks"].astype(float), offline["mrr"]
    turned = [
        (mrr[a] - mrr[b]) * (clicks[a] - clicks[b]) < 0 for a, b in combinations(mrr.index, 2)
    ]
    satisfied = live.loc[offline.index, "satisfied"].astype(float)
    return {"clicks": spearmanr(mrr, clicks).statistic, "turned": np.mean(turned),
            "home and clicks": spearmanr(offline["mrr home"], clicks).statistic,
            "satisfied": spearmanr(mrr, satisfied).statistic}  # fmt: skip


PASSES = (1, 2, 4)
ORDERS = {
    "no order": {"series": 0.0, "niche_ladder": 0.0},
    "series only": {"series": 2.0, "niche_ladder": 0.0},
    "ladder only": {"series": 0.0, "niche_ladder": 3.0},
}


def order(seed):
    """Both questions where consumption has no order, one kind of it, or was shuffled."""
    best = tuning.load(STORE).best
    for setting, dials in ORDERS.items():
        s = Setting(seed, **dials)
        yield {"who": setting, **order_kept(s.game.logs, _level(s.world))}
        for name in ("next watch", "held-out watch"):
            model = s.fit(name, seed, **best[name])
            found = s.offline(s.scorer(name, model))
            kept = {key: found[key] for key in ("mrr", "mrr home", "mrr series") if key in found}
            yield {"who": f"{setting}/{name}", **kept}
    usual = simulate("town", seed=seed)
    yield {"who": "as it is", **order_kept(usual.logs(), _level(usual))}
    s = Setting(seed, mix=True)
    yield {"who": "shuffled", **order_kept(s.game.logs, _level(usual))}
    for name in QUESTIONS:
        for passes in PASSES:
            scores = s.scorer(name, s.fit(name, seed, **best["next watch"] | {"passes": passes}))
            who = f"shuffled, {passes} passes/{name}"
            yield {"who": who, "mrr": s.game.offline(scores)["mrr"]}


def _level(world):
    return world.true_table("videos")["level"].to_numpy()


def order_kept(logs, level):
    """Of pairs that accounts watched, the share in order; one half would be no order at all.

    ``episodes``: of one and the next one, both out before either was watched. ``ladder``: of two
    videos of a genre that differ in their true level (0 mainstream to 2 niche).
    """
    rows = first_watches(logs.watches)[["user_id", "video_id", "time"]]
    video = rows["video_id"].to_numpy()
    columns = logs.videos[["channel_id", "episode", "uploaded"]].iloc[video]
    rows = rows.assign(**{name: columns[name].to_numpy() for name in columns})
    episodes = rows[rows["episode"] > 0]
    before = episodes.assign(episode=episodes["episode"] + 1)
    both = before.merge(episodes, on=["user_id", "channel_id", "episode"])
    first = both[["time_x", "time_y"]].min(axis=1)
    both = both[(both["uploaded_x"] < first) & (both["uploaded_y"] < first)]
    genre = logs.videos["topic"].cat.codes.to_numpy()[video] // 3
    now = np.eye(3)[level[video]]
    steps = pd.DataFrame(now).groupby([rows["user_id"].to_numpy(), genre])
    seen = steps.cumsum().to_numpy() - now
    up = (now * (np.cumsum(seen, axis=1) - seen)).sum()
    down = (now * (seen.sum(axis=1, keepdims=True) - np.cumsum(seen, axis=1))).sum()
    return {"episodes": (both["time_x"] < both["time_y"]).mean(), "ladder": up / (up + down)}


STILL = {"series": 0.0, "niche_ladder": 0.0, "freshness": 0.0}
CLOCKS = {"no fashion": STILL, "no fashion, no drift": STILL | {"drift": 0.0}}


def clock(seed):
    """Both questions where nothing has an order, and nothing comes into fashion, or changes."""
    best = tuning.load(STORE).best
    for setting, dials in CLOCKS.items():
        s = Setting(seed, **dials)
        for name in ("next watch", "held-out watch"):
            scores = s.scorer(name, s.fit(name, seed, **best[name]))
            yield {"who": f"{setting}/{name}", "mrr": s.game.offline(scores)["mrr"]}


ERRANDS = {"no errands": 0.0, "nearly all errands": 0.9}


def errands(seed):
    """The bag of words against the last query, where searches are taste, or are not."""
    best = tuning.load(STORE).best
    for setting, share in ERRANDS.items():
        s = Setting(seed, search_errands=share)
        scorers = {name: s.scorer(name, s.fit(name, seed, **best[name])) for name in QUERY}
        for name, row in zip(QUERY, s.live(scorers), strict=True):
            found = s.offline(scorers[name])
            yield {"who": f"{setting}/{name}", "mrr": found["mrr"], "mrr home": found["mrr home"],
                   "mrr search": found["mrr search"], "clicks": row["clicks"]}  # fmt: skip


TRIALS = (
    Trial("labels", labels, minutes=1.5),
    Trial("order", order, minutes=1.1),
    Trial("clock", clock, minutes=0.5),
    Trial("errands", errands, minutes=0.8, further=True),
)
