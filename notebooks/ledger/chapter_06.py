"""Ledger of chapter 06, what goes into the ranker, and in which shape."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier

from course import ab_test, simulate, tuning
from course.features import BAG_LENGTH, history_bags
from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
    SPACE,
)
from course.ledger import Trial
from course.lessons import candidate_generation as cg
from course.lessons import ranking_features as rf
from course.logs.splits import first_watches
from course.metrics import weighted_per_user_loss
from course.simulator import laws
from course.simulator.behaviour import COMPONENTS
from course.tasks.next_day import NextDay, expected_loss
from course.tasks.next_watch import Moments

# Ranges of "as good as": two trainings that differ by the seed alone lie up to .4 points of loss
# apart, so what differs by less is called alike.
CLAIMS = """
P1-F7: The ranker's input layer: tables that features share with a place for each, powers, ReLU.
paper: Figure 7
trial: ranking_inputs
built: shapes of our own network
* largest difference between the layer and a concatenation by hand
  | `shape/largest difference` | below 0.0001
* largest difference between the first layer once a page and on all cards
  | `shape/largest difference, once a page` | below 0.0001
* features that enter through the table of videos | `shape/entries of the video table` | above 3
* ReLU layers | `shape/ReLU layers` | 2.5 to 3.5 | 3
note: A test of the shape. Widths are an eighth of the paper's; dozens of features, not hundreds.
  What is served, the exponential, is chapter 07's.

P1-C12: The most important features describe the account's past with the item and similar ones.
paper: stated, no numbers
trial: ranking_importance
* watch ranker: true loss by shuffling the past, minus by the next best group
  | `watch/group/past with channel and topic`
    - most(`watch/group/which video, channel, topic`, `watch/group/the video's record`,
           `watch/group/duration`, `watch/group/video age`, `watch/group/previous impressions`,
           `watch/group/nominator`, `watch/group/moment`, `watch/group/account`,
           `watch/group/what was watched and searched`) | above 0
* click ranker: the same
  | `click/group/past with channel and topic`
    - most(`click/group/which video, channel, topic`, `click/group/the video's record`,
           `click/group/duration`, `click/group/video age`, `click/group/previous impressions`,
           `click/group/nominator`, `click/group/moment`, `click/group/account`,
           `click/group/what was watched and searched`) | above 0
- watch ranker trained without the past minus with it (points of true loss)
  | `watch/loss/without the past` - `watch/loss/ranker` | above 0
- click ranker trained without the past minus with it (points of true loss)
  | `click/loss/without the past` - `click/loss/ranker` | above 0
- the truth, watch: interest and past, minus the next best group of laws
  | `watch/law/interest and past`
    - most(`watch/law/quality and packaging`, `watch/law/duration`, `watch/law/video age`,
           `watch/law/previous impressions`, `watch/law/language`, `watch/law/moment`)
- the truth, click: the same
  | `click/law/interest and past`
    - most(`click/law/quality and packaging`, `click/law/duration`, `click/law/video age`,
           `click/law/previous impressions`, `click/law/language`, `click/law/moment`)
- importance of the moment after 8 passes minus after 1 (points)
  | `moment/8 passes/importance` - `moment/1 passes/importance` | above 0
- importance of the moment with the whole log minus with the last week, 8 passes
  | `moment, whole log/8 passes/importance` - `moment/8 passes/importance` | above 0
- the moment in the truth minus the ranker's best (points)
  | `watch/law/moment` - `moment, whole log/8 passes/importance`
note: The past comes first or second, before or behind the video's record of clicks; in the truth
  interest and past lead. The moment, a cross that no feature gives, is found by more passes
  over more days.

P1-C12b: The source that nominated a video, and its score, help the ranker.
paper: stated, no numbers
trial: ranking_nomination
* few features, watch ranker: true loss with nomination minus without (points)
  | `few + nomination/watch, true` - `few/watch, true` | below 0
* few features, click ranker | `few + nomination/click, true` - `few/click, true` | below 0
* all other features, watch ranker
  | `all + nomination/watch, true` - `all/watch, true` | below 0
* all other features, click ranker
  | `all + nomination/click, true` - `all/click, true` | below 0
- the score alone, generator of last night: watch loss (%)
  | `score alone/0 days old/watch, true` | below 50
- the score alone, a week old minus of last night (points)
  | `score alone/7 days old/watch, true` - `score alone/0 days old/watch, true` | above 0
- cards that a generator a week old knows (share) | `score alone/7 days old/known`
note: The generator is trained anew every night, and a card is scored by the one of its night.

P1-C13: With previous impressions cards shown in vain are demoted, and pages stop repeating.
paper: stated, no numbers
trial: ranking_churn
* shown in vain, nominated again: share shown again, with minus without
  | `fatigue 1/with/shown again` - `fatigue 1/without/shown again` | below 0
* their mean place among the candidates, with minus without
  | `fatigue 1/with/place` - `fatigue 1/without/place` | above 0
* overlap of successive pages, with minus without
  | `fatigue 1/with/overlap` - `fatigue 1/without/overlap` | below 0
- change of the logit when a card was shown five times, not never
  | `fatigue 1/with/five times` | below 0
- watch minutes per page, with minus without
  | `fatigue 1/with/watch_minutes` - `fatigue 1/without/watch_minutes`
- fatigue off: share shown again, with minus without
  | `fatigue 0/with/shown again` - `fatigue 0/without/shown again`
- fatigue threefold: share shown again, with minus without
  | `fatigue 3/with/shown again` - `fatigue 3/without/shown again` | below 0
- fatigue threefold: overlap of successive pages, with minus without
  | `fatigue 3/with/overlap` - `fatigue 3/without/overlap` | below 0
note: At the usual fatigue the effect is small. It is clear where people tire three times as
  fast, and turns round where nobody tires.

P1-C14: Shared tables with dimensions by the logarithm do as well as larger ones and hold the most.
paper: a million ids of 32 dimensions are seven times a layer of 2,048 x 2,048
trial: ranking_inputs
* true loss, dimensions by the logarithm minus 32 for all (points)
  | `by the logarithm/true loss` - `32 for all/true loss` | -0.4 to 0.4
* share of all parameters that are in tables
  | `by the logarithm/parameters, tables` / `by the logarithm/parameters, all` | above 0.5
- parameters in tables, by the logarithm over 32 for all
  | `by the logarithm/parameters, tables` / `32 for all/parameters, tables` | below 0.6
- true loss, shared minus unshared tables (points)
  | `by the logarithm/true loss` - `unshared/true loss` | below 0.4
- training loss of the first pass, shared minus unshared
  | `by the logarithm/first pass` - `unshared/first pass` | below 0
- true loss, a quarter of the video ids minus all (points)
  | `a quarter of the videos/true loss` - `by the logarithm/true loss`
- cards whose video is then unknown (share) | `a quarter of the videos/unknown`
note: Each layout is trained by a recipe of its own, a quarter of the videos by that of all of them.
  Where 32 for all do better, the chapter shows that the small id spaces do it. With 2,000 videos
  the tables hold less than half of the parameters; they grow with the catalogue, the layers do not.

P1-C15: Networks need continuous features on an even scale to converge; trees do not.
paper: stated ('critical for convergence'), no numbers
trial: ranking_inputs
* training loss at the end, raw minus centred quantiles
  | `raw/training loss at the end` - `centred/training loss at the end` | above 0
* true loss, raw minus centred quantiles, each tuned (points)
  | `raw/true loss` - `centred/true loss` | above 0
* trees: true loss, raw minus quantiles (points)
  | `trees, raw/true loss` - `trees, quantiles/true loss` | -0.4 to 0.4
- true loss, standardised minus centred quantiles, both without powers (points)
  | `standardised/true loss` - `centred/true loss`
- true loss, quantiles in [0, 1] minus the same centred (points)
  | `quantiles/true loss` - `centred/true loss`
- true loss, quantiles in [0, 1] minus the same centred, both with powers (points)
  | `quantiles with powers/true loss` - `centred with powers/true loss`
- true loss, trees minus the network on centred quantiles (points)
  | `trees, raw/true loss` - `centred/true loss`
note: Any common scale repairs most of it. P1's shares gain by being centred, although the first
  layer could do that by itself.

P1-A1l: Squares and roots of the quantiles help models that cannot bend their inputs.
paper: for the deep network + 0.2 % loss without powers; chapter 07 looks at that
trial: ranking_inputs
* linear model: true loss without powers minus with (points)
  | `linear, centred/true loss` - `linear, centred with powers/true loss` | above 0
* one layer of 32: true loss without powers minus with (points)
  | `32, centred/true loss` - `32, centred with powers/true loss` | above 0
- three layers: true loss without powers minus with (points)
  | `centred/true loss` - `centred with powers/true loss`
note: Tuned alike, the powers bring little. With the deep network's recipe for all, they seem
  to bring the linear model several times as much.
"""

FIRST_DAY = 38.0  # the rankers of this chapter learn from the last week
HIDDEN = (128, 64, 32)
NETS = {"linear": (), "32": (32,), "128-64-32": HIDDEN}
UNIT = 60.0  # seconds; a click weighs the minutes watched
PREVIOUS = "previous impressions"


class Setting:
    """A town, its cards and labels, and rankers that are trained on them."""

    def __init__(self, world, pages=10_000, **options):
        self.world = simulate("town", seed=world) if isinstance(world, int) else world
        self.task = NextDay(self.world, pages, **{"first_day": FIRST_DAY, **options})
        self.clicked = self.task.label("clicked")
        self.weight = {"watch": self.task.label("watched_seconds") / UNIT,
                       "click": torch.ones(len(self.clicked))}  # fmt: skip
        self.scaled = {}

    def on(self, kind):
        """The scales of a kind, and the training and fresh cards on them."""
        if kind not in self.scaled:
            scales = rf.Scales(self.task.train, kind)
            self.scaled[kind] = scales, scales(self.task.train), scales(self.task.test)
        return self.scaled[kind]

    def train(self, kind="centred quantiles", hidden=HIDDEN, objective="watch", seed=0,
              rate=0.003, passes=4, **inputs):  # fmt: skip
        """A ranker on numbers of a kind; the loss of each step."""
        layer = rf.InputLayer(self.task.features, seed=seed, **inputs)
        model = rf.PlainRanker(layer, hidden, seed)
        recipe = {"rate": rate, "passes": passes, "pages": 100, "seed": seed}
        losses = rf.fit_ranker(
            model, self.on(kind)[1], self.clicked, self.weight[objective], **recipe
        )
        return model, losses

    def trees(self, kind, rate, passes, seed=0):
        """Logits of the fresh cards by boosted trees; a pass is 25 trees."""
        _, train, test = self.on(kind)
        train, test = _columns(train), _columns(test)
        weight = torch.where(self.clicked, self.weight["watch"], 1.0).numpy()
        model = HistGradientBoostingClassifier(
            learning_rate=rate, max_iter=25 * passes, early_stopping=False, random_state=seed
        )
        model.fit(train, self.clicked.numpy(), sample_weight=weight)
        return model.decision_function(test)

    def policy(self, model):
        """Pages by a ranker on centred quantiles."""
        scales = self.on("centred quantiles")[0]
        return self.task.policy(lambda batch: _scores(model, scales(batch)))


def _scores(model, batch):
    with torch.no_grad():
        return model(batch).numpy()


def _columns(batch):
    """All univalent features as columns, for trees."""
    f, g = len(IMPRESSION_NUMBERS), len(QUERY_NUMBERS)
    parts = (batch.codes, batch.numbers[:, :f], batch.query_codes[batch.page],
             batch.query_numbers[batch.page][:, :g])  # fmt: skip
    return torch.cat([part.float() for part in parts], dim=1).numpy()


def _net(kind, powers, net="128-64-32", **inputs):
    def run(s, seed=0, **recipe):
        model, losses = s.train(kind, NETS[net], powers=powers, seed=seed, **recipe, **inputs)
        return _scores(model, s.on(kind)[2]), model, losses

    return run


def _trees(kind):
    return lambda s, **recipe: (s.trees(kind, **recipe), None, [])


WAYS = {
    "raw": _net("raw", False),
    "standardised": _net("standardised", False),
    "quantiles": _net("quantiles", False),
    "quantiles with powers": _net("quantiles", True),
    "centred": _net("centred quantiles", False),
    "centred with powers": _net("centred quantiles", True),
    "linear, centred": _net("centred quantiles", False, "linear"),
    "linear, centred with powers": _net("centred quantiles", True, "linear"),
    "32, centred": _net("centred quantiles", False, "32"),
    "32, centred with powers": _net("centred quantiles", True, "32"),
    "trees, raw": _trees("raw"),
    "trees, quantiles": _trees("quantiles"),
    "32 for all": _net("centred quantiles", True, size=lambda n: 32),
    "unshared": _net("centred quantiles", True, shared=False),
}
TABLES = {"centred with powers": "by the logarithm", "32 for all": "32 for all",
          "unshared": "unshared"}  # fmt: skip
RATES = {"trees": (0.03, 0.1, 0.3), "": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)}
PASSES = (1, 2, 4, 8, 16)
# Shallow nets learn best in another corner of the grid, so their search begins there.
SHALLOW = [who for who in WAYS if who.startswith(("linear", "32"))]
STORES = {
    "tuning_ranking_inputs": ([who for who in WAYS if who not in [*SHALLOW, *list(TABLES)[1:]]],
                              0.003, 4, ("centred with powers", "standardised")),
    "tuning_ranking_powers": (SHALLOW, 0.01, 2, ("linear, centred with powers", "linear, centred")),
    "tuning_ranking_tables": (list(TABLES)[1:], 0.003, 4, ("32 for all", "unshared")),
}  # fmt: skip


def tune():
    """Tune whoever stands in the contest of scales and powers."""
    settings = functools.lru_cache(3)(lambda world: Setting(world, 4_000))

    def contestant(way):
        return lambda recipe, world: (
            -settings(world).task.offline(way(settings(world), **recipe)[0])["true loss"]
        )

    for store, (who, rate, passes, compare) in STORES.items():
        grid = {"rate": {name: RATES["trees" if "trees" in name else ""] for name in who},
                "passes": PASSES}  # fmt: skip
        tuning.tune(
            {name: contestant(WAYS[name]) for name in who}, grid,
            start={"rate": rate, "passes": passes}, compare=compare, store=store,
            about={"size": "town", "days": 7}, give_up=0.3,
        )  # fmt: skip


def recipes():
    """The tuned settings of all contestants."""
    return {who: best for store in STORES for who, best in tuning.load(store).best.items()}


# --- Scales, powers, tables


def inputs(seed):
    """Every way to feed the ranker with its tuned recipe; tables of other sizes; the shape."""
    s, best = Setting(seed), recipes()
    for who, way in WAYS.items():
        scores, model, losses = way(s, seed=seed, **best[who])
        if TABLES.get(who) != who:
            yield {"who": who, **_at_the_end(losses), **s.task.offline(scores)}
        if who == "centred with powers":
            yield {"who": "shape", **_shape(s, model)}
        if who in TABLES:
            yield {"who": TABLES[who], **_tables(s, model, losses)}
    quarter = len(s.task.features.vocabularies["video"]) // 4
    few = Setting(seed, top_videos=quarter)
    unknown = few.task.test_inputs.column("video") == quarter
    model, losses = few.train(seed=seed, **best["centred with powers"])
    yield {"who": "a quarter of the videos", "unknown": unknown.mean(),
           **_tables(few, model, losses)}  # fmt: skip


def _at_the_end(losses):
    return {"training loss at the end": np.mean(losses[-len(losses) // 5 :])} if losses else {}


def _tables(s, model, losses):
    """Loss, training loss of the first pass, and numbers in the tables and in all."""
    layer = model.first.inputs
    padding = sum(t.embedding_dim for t in layer.tables.values())
    tables = sum(p.numel() for p in layer.parameters()) - padding
    every = sum(p.numel() for p in model.parameters()) - padding
    first = np.mean(losses[: -(-s.task.train.pages // 100)])
    return {**s.task.offline(_scores(model, s.on("centred quantiles")[2])), "first pass": first,
            "parameters, tables": tables, "parameters, all": every}  # fmt: skip


def _shape(s, model):
    """Whether the network is wired as P1's Figure 7 says."""
    layer, batch = model.first.inputs, s.on("centred quantiles")[2][torch.arange(100)]
    used = [i for i, name in enumerate(IMPRESSION_NUMBERS) if name in s.task.features.names]
    f, g, page = len(IMPRESSION_NUMBERS), len(QUERY_NUMBERS), batch.page
    rows = [
        layer.tables[SPACE[n]].weight[batch.codes[:, i]] for i, n in enumerate(IMPRESSION_CODES)
    ]
    rows += [batch.numbers[:, [i + b * f for b in range(3) for i in used]]]
    rows += [layer.tables[SPACE[n]].weight[batch.query_codes[page, i]]
             for i, n in enumerate(QUERY_CODES)]  # fmt: skip
    for space, ids in (("video", batch.watched), ("token", batch.searched)):
        table = layer.tables[space]
        known = (ids[page] < table.padding_idx).float()[:, :, None]
        rows.append((table.weight[ids[page]] * known).sum(1) / known.sum(1).clamp(min=1))
    rows.append(batch.query_numbers[page][:, : 3 * g])
    with torch.no_grad():
        difference = (layer(batch) - torch.cat(rows, dim=1)).abs().max()
        served = model.first.linear(layer(batch)) - model.first(batch)
    return {
        "largest difference": difference,
        "largest difference, once a page": served.abs().max(),
        "entries of the video table": sum(space == "video" for space in SPACE.values()),
        "ReLU layers": 1 + sum(isinstance(m, torch.nn.ReLU) for m in model.tower),
    }


# --- Churn


def churn(seed, n=2_000, visits=3):
    """Rankers with and without previous impressions before people who come back."""
    recipe = recipes()["centred with powers"]
    for fatigue in (0, 1, 3):
        s = Setting(simulate("town", seed=seed, fatigue=float(fatigue)), 5_000)
        rest = [name for name in s.task.features.names if name != PREVIOUS]
        models = {"with": s.train(seed=seed, **recipe)[0],
                  "without": s.train(seed=seed, include=rest, **recipe)[0]}  # fmt: skip
        policies = {who: Watched(s.policy(model)) for who, model in models.items()}
        policies["oracle"] = Watched(s.world.oracle())
        live = ab_test(s.world, policies, n=n, visits=visits)
        for who, policy in policies.items():
            yield {"dial": f"fatigue {fatigue}", "who": who, **_repeats(policy, live.pages[who]),
                   **{name: live.per_page[who][name][1].mean()
                      for name in ("watch_minutes", "clicks")}}  # fmt: skip
        for who, model in models.items():
            scores = _scores(model, s.on("centred quantiles")[2])
            yield {"dial": f"fatigue {fatigue}", "who": who, **s.task.offline(scores)}
        yield {
            "dial": f"fatigue {fatigue}",
            "who": "with",
            "five times": _demotion(s, models["with"]),
        }


class Watched:
    """A policy that keeps what it was asked and how it ordered all candidates."""

    def __init__(self, policy):
        self.policy, self.requests, self.orders = policy, [], []
        self.memory = getattr(policy, "memory", None)  # an experiment hands in that of its people

    def __call__(self, requests):
        """Pages (r, k) for page requests."""
        if self.memory is not None:
            self.policy.memory = self.memory
        order = self.policy(replace(requests, slate=requests.candidates.shape[1]))
        self.requests.append(requests)
        self.orders.append(order)
        return order[:, : requests.slate]


def _repeats(policy, pages):
    """Overlap of successive pages; what becomes of cards that were shown, not watched, nominated
    again: the share that is shown again, and their mean place among the candidates.
    """
    visits, places = len(policy.requests), []
    by_visit = pages.reshape(visits, -1, pages.shape[1])
    overlap = (by_visit[1:, :, :, None] == by_visit[:-1, :, None, :]).any(axis=3).mean()
    slate = policy.requests[0].slate
    visit = zip(policy.orders[:-1], policy.orders[1:], policy.requests[1:], strict=True)
    for before, after, now in visit:
        shown = before[:, :slate]
        watched = (shown[:, :, None] == now.recent_videos[:, None, :]).any(axis=2)
        match = shown[:, :, None] == after[:, None, :]
        places.append((match.argmax(axis=2) + 1)[match.any(axis=2) & ~watched])
    place = np.concatenate(places)
    return {"overlap": overlap, "shown again": (place <= slate).mean(), "place": place.mean()}


def _demotion(s, model, times=5):
    """Mean change of the logit of the fresh cards, had they been shown so often and not never."""
    scales, _, _ = s.on("centred quantiles")
    at, logits = IMPRESSION_NUMBERS.index(PREVIOUS), []
    for count in (0, times):
        numbers = s.task.test.numbers.clone()
        numbers[:, at] = count
        logits.append(_scores(model, scales(replace(s.task.test, numbers=numbers))))
    return (logits[1] - logits[0]).mean()


# --- The source and its score

FIRST_NIGHT = 38
MEMORY = 12.0  # days of watches that a nightly generator learns from
NOMINATION = ("nominator", "nominating score")
FEW = ("video", "channel", "topic", "format", "video language", "account language", "device",
       "daypart", "duration")  # fmt: skip


class Nightly:
    """The feature "nominating score": of a card, by the newest generator of its moment.

    The score is the logarithm of the probability that chapter 03's network gives the video; what
    a network does not know gets the lowest on the page.
    """

    def __init__(self, logs, nights, seed):
        self.nights = np.asarray(nights, float)
        self.models = [self._trained(logs.before(night), night, seed) for night in nights]

    def _trained(self, logs, night, seed):
        rows = first_watches(logs.watches)
        rows = rows[rows["time"] >= night - MEMORY]
        videos = len(logs.videos)
        bags = cg.as_bags(Moments.of_events(logs, rows).watched, videos)
        label = torch.tensor(rows["video_id"].to_numpy(np.int64))
        counts = torch.bincount(label, minlength=videos)
        model = cg.NextVideo(videos, counts=counts, seed=seed)
        loss = cg.sampled(cg.chances(cg.law(counts), 500), seed=seed)
        recipe = dict(tuning.load("tuning_generator").best["corrected"])
        rate = recipe.pop("rate")
        cg.train(model, bags, label, loss, rate, rate / 4, seed=seed, **recipe)
        model.known = (counts > 0).numpy()
        return model

    def pair_scores(self, logs, moments, page, video):
        """Scores (n,) of the cards; ``page`` (n,) points into the moments."""
        night = np.searchsorted(self.nights, moments["time"], "right") - 1
        night, out = np.maximum(night, 0), np.empty(len(video), np.float32)
        for at in np.unique(night):
            pages, cards = np.flatnonzero(night == at), np.flatnonzero(night[page] == at)
            mine = {name: values[pages] for name, values in moments.items()}
            place = np.searchsorted(pages, page[cards])
            out[cards] = score_by(self.models[at], logs, mine, place, video[cards])
        return out


def score_by(model, logs, moments, page, video):
    """Log-probabilities (n,) of videos by one generator, at the moments of their pages."""
    when = pd.DataFrame({"user_id": moments["user"], "time": moments["time"]})
    bags = cg.as_bags(history_bags(logs, when, BAG_LENGTH), model.videos)
    out = np.empty(len(video), np.float32)
    for first in range(0, len(bags), 4_096):
        cards = slice(*np.searchsorted(page, [first, first + 4_096]))
        with torch.no_grad():
            scores = model(bags[first : first + 4_096]) @ model.output.weight.T
            scores = torch.log_softmax(scores, dim=1).numpy()
        low = scores[:, model.known].min(axis=1)
        known = knows(model, video[cards])
        own = scores[page[cards] - first, np.minimum(video[cards], model.videos - 1)]
        out[cards] = np.where(known, own, low[page[cards] - first])
    return out


def knows(model, video):
    """Whether a generator has learned from a watch of each video (n,)."""
    return (video < model.videos) & model.known[np.minimum(video, model.videos - 1)]


def nomination(seed):
    """What source and score add to few and to all other features; scores that grow old."""
    world = simulate("town", seed=seed)
    recipe = recipes()["centred with powers"]
    scorer = Nightly(world.logs(), range(FIRST_NIGHT, world.config.days + 1), seed)
    s = Setting(world, 5_000, scorer=scorer)
    cards, names = s.task.fresh.cards, s.task.features.names
    first = np.r_[True, np.diff(cards["request_id"]) != 0]
    moments = {"user": cards["user_id"].to_numpy()[first], "time": cards["time"].to_numpy()[first]}
    video, page = cards["video_id"].to_numpy(), np.cumsum(first) - 1
    for age in (0, 1, 2, 4, 7):
        model = scorer.models[-1 - age]
        scores = score_by(model, s.task.logs, moments, page, video)
        yield {"who": "score alone", "age": f"{age} days old", "known": knows(model, video).mean(),
               **_both(s, scores, scores)}  # fmt: skip
    rest = [name for name in names if name not in NOMINATION]
    for who, base in {"few": list(FEW), "all": rest}.items():
        for also, include in {"": base, " + nomination": [*base, *NOMINATION]}.items():
            given = {"include": include, "seed": seed, **recipe}
            models = [s.train(objective=goal, **given)[0] for goal in ("watch", "click")]
            test = s.on("centred quantiles")[2]
            yield {"who": who + also, **_both(s, *(_scores(model, test) for model in models))}
    worth = pd.Series(s.task.fresh.value).groupby(cards["nominator"].to_numpy()).mean()
    for source, seconds in worth.items():
        yield {"who": "true seconds", "source": str(source), "value": seconds}


def _both(s, watch, click):
    """Losses in percent of scores for watch time and of scores for clicks, and their truth."""
    cards, truth = s.task.fresh.cards, s.task.fresh.truth
    k = len(cards) // cards["request_id"].nunique()
    alike = truth.assign(expected_seconds=1.0)
    clicked = cards["clicked"].to_numpy()
    return {
        "watch": s.task.offline(watch)["loss"],
        "click": 100 * weighted_per_user_loss(
            click, clicked, clicked.astype(float), cards["request_id"]
        ),
        "watch, true": s.task.offline(watch)["true loss"],
        "click, true": 100 * expected_loss(click, alike, k),
    }  # fmt: skip


# --- What matters

PAST = "past with channel and topic"
GROUPS = {
    PAST: ("watches of channel", "watches of topic", "days since channel", "days since topic",
           "next episode", "watched before"),
    "which video, channel, topic": ("video", "channel", "topic", "video language", "format"),
    "the video's record": ("video click rate", "video watches", "video watched share"),
    "duration": ("duration",),
    "video age": ("video age",),
    "previous impressions": (PREVIOUS,),
    "nominator": ("nominator",),
    "moment": ("device", "daypart", "surface"),
    "account": ("account language", "country", "gender", "age band", "logged in",
                "account watches", "account click rate", "account watch time", "days since watch"),
    "what was watched and searched": ("seed video", "last video", "watched videos",
                                      "searched tokens"),
}  # fmt: skip
LAWS = {
    "interest and past": ("taste", "familiarity", "rewatch", "ladder", "satiation"),
    "quality and packaging": ("quality", "clickbait", "packaging"),
    "duration": ("length",),
    "video age": ("freshness",),
    "previous impressions": ("fatigue",),
    "language": ("foreign",),
    "moment": ("context",),
}
MOMENTS = {"moment": (1, 2, 4, 8), "moment, whole log": (2, 8)}


def true_scores(task, objective, names=(), rng=None):
    """What an oracle says of the fresh cards (n,) when components of the laws are shuffled."""
    behaviour, cards = task.world.engine.behaviour, task.fresh.cards
    k = int(cards["position"].max())
    head, video = cards.iloc[::k], cards["video_id"].to_numpy().reshape(-1, k)
    situation = behaviour.situation(
        head["user_id"].to_numpy(), head["time"].to_numpy(), head["device"].cat.codes.to_numpy()
    )
    parts = behaviour.components(situation, video, task.world.engine.memory)
    seconds = behaviour.catalogue.seconds[video]
    if names:
        order, flat = rng.permutation(video.size), parts.reshape(-1, len(COMPONENTS))
        columns = [COMPONENTS.index(name) for name in names]
        flat[:, columns] = flat[order][:, columns]
        if "length" in names:
            seconds = seconds.ravel()[order].reshape(seconds.shape)
    score = expit(behaviour.score("click", situation, video, parts))
    if objective == "watch":
        share = laws.mean_watched_share(behaviour.score("watch", situation, video, parts))
        score = score * share * seconds
    return score.ravel()


def importance(seed):
    """Rise of the loss when groups of features, and of laws, are shuffled; and by passes."""
    s = Setting(seed)
    recipe = recipes()["centred with powers"]
    no_past = [name for name in s.task.features.names if name not in GROUPS[PAST]]
    for goal in ("watch", "click"):
        rng = np.random.default_rng(seed)
        model = s.train(objective=goal, seed=seed, **recipe)[0]
        base, truth = _loss(s, goal, model=model), _loss(s, goal, true_scores(s.task, goal))
        blind = s.train(objective=goal, include=no_past, seed=seed, **recipe)[0]
        yield {"goal": goal, "kind": "loss", "ranker": base, "oracle": truth,
               "without the past": _loss(s, goal, model=blind)}  # fmt: skip
        for group, names in GROUPS.items():
            rise = _loss(s, goal, model=model, names=names, rng=rng) - base
            yield {"goal": goal, "kind": "group", "name": group, "value": rise}
        for group, names in LAWS.items():
            rise = _loss(s, goal, true_scores(s.task, goal, names, rng)) - truth
            yield {"goal": goal, "kind": "law", "name": group, "value": rise}
    for kind, several in MOMENTS.items():
        own = s if kind == "moment" else Setting(s.world, first_day=None)
        for passes in several:
            yield {"kind": kind, "passes": f"{passes} passes", **_moment(own, seed, passes)}


def _moment(s, seed, passes):
    """What a ranker with so many passes leans on the moment, and its loss."""
    recipe = recipes()["centred with powers"]
    model = s.train(seed=seed, **{**recipe, "passes": passes})[0]
    base, rng = _loss(s, "watch", model=model), np.random.default_rng(seed)
    rise = _loss(s, "watch", model=model, names=GROUPS["moment"], rng=rng) - base
    return {"importance": rise, "loss": base}


def _loss(s, goal, scores=None, model=None, names=(), rng=None):
    """True loss (%) of scores, or of a ranker that sees some features shuffled."""
    if model is not None:
        scales, _, test = s.on("centred quantiles")
        if names:
            orders = [torch.from_numpy(rng.permutation(n)) for n in (len(test), test.pages)]
            test = scales(rf.shuffled(s.task.test, names, *orders))
        scores = _scores(model, test)
    return _both(s, scores, scores)[f"{goal}, true"]


TRIALS = (
    Trial("ranking_inputs", inputs, minutes=1.8),
    Trial("ranking_churn", churn, minutes=0.8),
    Trial("ranking_importance", importance, minutes=2.4),
    Trial("ranking_nomination", nomination, minutes=1.2, further=True),
)
