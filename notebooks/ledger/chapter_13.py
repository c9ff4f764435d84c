"""Ledger of chapter 13, judging a recommender: offline and live, off-policy, losses, waiting."""

import functools
import itertools
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, softmax
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from course import simulate, tuning
from course.features.batch import RankingBatch
from course.ledger import Trial
from course.lessons import judging as jd
from course.lessons import many_objectives as mo
from course.lessons import position_bias as pb
from course.lessons import watch_time as wt
from course.lessons.matrix_factorization import als, who_watched_what
from course.lessons.ranking_features import InputLayer
from course.tasks.places import Places, cells_of
from course.tasks.seven_tasks import labels

CLAIMS = """
P2-C13: Offline measures do not put policies into the order in which people put them.
paper: stated: offline AUC and squared error are tracked, live experiments decide
trial: judges
* pairs of fourteen policies turned round, AUC against live clicks (%)
  | 100 * `auc, clicks/turned` | above 1
* pairs turned round, squared error against live minutes (%)
  | 100 * `error, minutes/turned` | above 1
* AUC at its place, position as input minus list-wise loss
  | `input, missing/auc at its place` - `list-wise/auc at its place` | above 0
* live clicks, position as input over list-wise loss (%)
  | percent(`input, missing/clicks`, `list-wise/clicks`) | below 0
- AUC as served, no treatment minus shallow tower
  | `none/auc` - `shallow tower/auc` | above 0
- live clicks, no treatment over shallow tower (%)
  | percent(`none/clicks`, `shallow tower/clicks`) | below 0
- pairs turned round, AUC within pages against live clicks (%)
  | 100 * `auc within pages, clicks/turned`
- pairs turned round, AUC against live minutes (%) | 100 * `auc, minutes/turned`
- rank correlation of AUC and live clicks | `auc, clicks/rho`
- rank correlation of AUC within pages and live clicks | `auc within pages, clicks/rho`
- rank correlation of AUC and live minutes | `auc, minutes/rho`
- rank correlation of squared error and live minutes | `error, minutes/rho`
note: The fourteen do not count the oracle.

P2-C13b: Position as a feature wins offline on a biased log, and not live.
paper: stated for the log's own metrics; Table 2: live it brings nothing
trial: position_bias
* AUC where the cards stood, position as input minus no treatment
  | `input, missing/auc at its place` - `none/auc at its place` | above 0
* live clicks, position as input over shallow tower (%)
  | percent(`live/input, missing/clicks`, `live/shallow tower/clicks`) | below 0
- AUC where the cards stood, position as input minus shallow tower
  | `input, missing/auc at its place` - `shallow tower/auc at its place` | above 0

R-8: Inverse propensities are unbiased and noisy, self-normalised ones less noisy, doubly robust
  ones best; all fail where the log lacks what the new policy does.
paper: Dudik et al. 2011; Swaminathan and Joachims 2015
trial: off_policy_logs
* IPS, 30,000 pages: bias (% of the value) | `full, 30000, IPS/bias` | -2 to 2
* spread at 3,000 pages, SNIPS minus IPS (% of the value)
  | `full, 3000, SNIPS/sd` - `full, 3000, IPS/sd` | below 0
* error at 3,000 pages, doubly robust minus IPS (% of the value)
  | `full, 3000, doubly robust/rmse` - `full, 3000, IPS/rmse` | below 0
* error at 3,000 pages, doubly robust minus SNIPS (% of the value)
  | `full, 3000, doubly robust/rmse` - `full, 3000, SNIPS/rmse` | below 0
* without support, 30,000 pages: IPS's bias (% of the value)
  | `no support, 30000, IPS/bias` | below -5
* without support, 30,000 pages: SNIPS's bias (% of the value)
  | `no support, 30000, SNIPS/bias` | below -5
* without support, 30,000 pages: doubly robust's error minus that with support (% of the value)
  | `no support, 30000, doubly robust/rmse` - `full, 30000, doubly robust/rmse` | above 0
- error at 300 pages, direct minus IPS (% of the value)
  | `full, 300, direct/rmse` - `full, 300, IPS/rmse` | below 0
- error at 30,000 pages, direct minus doubly robust (% of the value)
  | `full, 30000, direct/rmse` - `full, 30000, doubly robust/rmse` | above 0
- the new policy by the model that it goes by, as it is: bias (% of the value)
  | `its own model/bias` | above 5
- IPS at 3,000 pages, weights cut at 5: bias (% of the value) | `cut at 5, 3000, IPS/bias` | below 0
- error at 3,000 pages, IPS cut at 5 minus uncut (% of the value)
  | `cut at 5, 3000, IPS/rmse` - `full, 3000, IPS/rmse`
- doubly robust with wrong chances and a right model: bias (% of the value)
  | `wrong chances, right model/bias` | -2 to 2
- doubly robust with right chances and a wrong model: bias (% of the value)
  | `right chances, wrong model/bias` | -2 to 2
- doubly robust with both wrong: bias (% of the value) | `wrong chances, wrong model/bias`
note: 200 logs of each size in each world. The model is chapter 10's shallow tower, trained on the
  past ranking's log, its level and slope set right on an earlier log of 10,000 pages of the old
  policy.

S-31: Point-wise, pair-wise and list-wise losses, tuned alike on one network: which is best live?
paper: P2 ranks point-wise, because pair-wise and list-wise serving cost more; no numbers
trial: judges
* live clicks, pair-wise over point-wise (%) | percent(`pair-wise/clicks`, `point-wise/clicks`)
  | -2 to 2
* live clicks, list-wise over point-wise (%) | percent(`list-wise/clicks`, `point-wise/clicks`)
  | -2 to 2
* AUC of all cards at their places, list-wise minus point-wise
  | `list-wise/auc at its place` - `point-wise/auc at its place` | below 0
- AUC of all cards at their places, pair-wise minus point-wise
  | `pair-wise/auc at its place` - `point-wise/auc at its place` | below 0
- AUC within pages at their places, list-wise minus point-wise
  | `list-wise/auc within pages` - `point-wise/auc within pages`
- topics on a page, list-wise minus point-wise | `list-wise/topics` - `point-wise/topics`
- live minutes, list-wise over point-wise (%)
  | percent(`list-wise/watch_minutes`, `point-wise/watch_minutes`)
- core seconds of a pass, pair-wise over point-wise
  | `pair-wise/seconds a pass` / `point-wise/seconds a pass`

P2-C4: Point-wise ranking costs in proportion to the candidates; choosing the page as a whole costs
  more and makes it more diverse.
paper: stated as the reason for point-wise ranking
trial: serving_cost, judges
* share of the cost that a straight line in the candidates explains | `line/share` | above 0.95
* cost of scoring 7,680 candidates over that of 3,840 (times)
  | `7680 cards/network` / `3840 cards/network` | 1.6 to 2.4
* choosing 10 of 480: place by place over sorting (times)
  | `480 cards/place by place` / `480 cards/sorting` | above 1
* topics on the page, variety .5 minus none | `variety 0.5/topics` - `variety 0/topics` | above 0
- cost of scoring 960 candidates over that of 480 (times)
  | `960 cards/network` / `480 cards/network` | 1.6 to 2.4
- choosing place by place as a share of features and network, 480 candidates
  | `480 cards/place by place` / (`480 cards/network` + `480 cards/features`)
- clicks, variety .5 over none (%) | percent(`variety 0.5/clicks`, `variety 0/clicks`)
- minutes, variety .5 over none (%)
  | percent(`variety 0.5/watch_minutes`, `variety 0/watch_minutes`)
- satisfied watches, variety .5 over none (%)
  | percent(`variety 0.5/satisfied`, `variety 0/satisfied`)
note: Milliseconds of one core, the least of several repeats. A first run had 30 to 960 candidates,
  where a fixed millisecond hides the line.

P2-C14: A ranker that is too large loses live although it is better offline, once waiting counts.
paper: stated: serving cost limits the model; no numbers
trial: sizes, serving_cost
* AUC at its place, 256-128 minus 64-32
  | `256-128/auc at its place` - `64-32/auc at its place` | above 0
* live clicks without waiting, 256-128 over 64-32 (%)
  | percent(`256-128/clicks`, `64-32/clicks`) | above 0
* 100 candidates, 1 % leave in each 100 ms: 256-128 over 64-32 (%)
  | 100 * `256-128/clicks` / `64-32/clicks`
    * 0.99 ** (`card, 256-128/ms` - `card, 64-32/ms`) - 100
  | below 0
- 100,000 candidates, 1 % leave in each 100 ms: 256-128 over 64-32 (%)
  | 100 * `256-128/clicks` / `64-32/clicks`
    * 0.99 ** (1000 * (`card, 256-128/ms` - `card, 64-32/ms`)) - 100
  | below 0
- live clicks, 64-32 over 16 (%) | percent(`64-32/clicks`, `16/clicks`) | above 0
- time of a card, 1024-512 over 64-32 (times) | `card, 1024-512/ms` / `card, 64-32/ms`
- time of a card's features over that of the network 64-32 (times)
  | `card, features/ms` / `card, 64-32/ms`
note: The milliseconds are measured, on one core and without a rush of other requests. That people
  leave is an assumption: the world has no law for it, and the papers no number.

P2-C12: Where people change, sequential training beats training once, the more the more they change.
paper: stated as the reason for sequential training
trial: people_change
* world as it is: live clicks, day after day over once (%)
  | percent(`drift 0.05/on/clicks`, `drift 0.05/once/clicks`) | above 0
* the same with much drift minus without drift (points)
  | percent(`drift 0.2/on/clicks`, `drift 0.2/once/clicks`)
  - percent(`drift 0/on/clicks`, `drift 0/once/clicks`) | above 0
- without drift: live clicks, day after day over once (%)
  | percent(`drift 0/on/clicks`, `drift 0/once/clicks`)
- as many days, late over once, without drift (%)
  | percent(`drift 0/late/clicks`, `drift 0/once/clicks`)
- as many days, late over once, much drift minus none (points)
  | percent(`drift 0.2/late/clicks`, `drift 0.2/once/clicks`)
  - percent(`drift 0/late/clicks`, `drift 0/once/clicks`)
- vectors of accounts: taste known, late minus once, much drift minus none (correlation)
  | (`drift 0.2/vectors, late/taste` - `drift 0.2/vectors, once/taste`)
  - (`drift 0/vectors, late/taste` - `drift 0/vectors, once/taste`) | above 0
- vectors of accounts: taste known, late minus once, without drift (correlation)
  | `drift 0/vectors, late/taste` - `drift 0/vectors, once/taste`
note: The ranker reads taste from histories, which are up to date either way; vectors keep it in the
  weights. Once: the first twelve days after the warm-up. Late: the last twelve.

S-32: An A/B test finds what the formula for n says: a false alarm in 20, and 4 of 5 real ones.
paper: not in the paper; statistics
trial: judges
* A/A tests that see a difference (%) | 100 * `A/A/found` | 4 to 6
* shallow tower against click rates, with the formula's people: tests that see it (%)
  | 100 * `A/B/found` | 77 to 83
- A/A tests whose people are drawn, but whose pages are counted, that see a difference (%)
  | 100 * `A/A by page/found` | above 6
- people in two groups for one percent of the clicks (thousands) | `one percent/two groups` / 1000
- the same people twice with the same luck, over those of two groups (%)
  | 100 * `one percent/pairs` / `one percent/two groups` | below 100
"""

FIRST_DAY, STORE = 37, "tuning_losses"
LOSSES = {"point-wise": jd.point_wise, "pair-wise": jd.pair_wise, "list-wise": jd.list_wise}
SIZES = {"16": (16,), "64-32": (64, 32), "256-128": (256, 128)}
GRID = {"rate": (0.001, 0.003, 0.01, 0.03), "passes": (1, 2, 3, 4, 6, 8, 12, 16)}
SHARE = 0.5  # of the candidates that an old policy without support may show: the most watched
NUMBERS = {"popularity": "video watches", "click rate": "video click rate",
           "own topics": "watches of topic", "length": "duration"}  # fmt: skip


class Setting(Places):
    """The task of one town, and everybody who is to be judged on it."""

    def __init__(self, seed, **dials):
        super().__init__(simulate("town", seed=seed, **dials), first_day=FIRST_DAY)
        self.oracle = self.live_clicks(self.wanted)["clicks"]
        cards, topic = self.live_pages.asked.candidates, self.logs.videos["topic"].cat.codes
        self.topic = topic.to_numpy(np.int64)[cards]

    def by_page(self, loss, widths=(64, 32), seed=0, **recipe):
        """A ranker and tower, trained by a loss of pages."""
        model = jd.ByPage(self.ranker(widths, seed), loss)
        pb.train_clicks(model, self.cards, self.cell, self.clicked, seed=seed, **recipe)
        return model

    def topics(self, scores):
        """Topics on a page that shows the best by scores."""
        best = np.argsort(-scores.reshape(self.topic.shape), axis=1, kind="stable")[:, :10]
        shown = np.sort(np.take_along_axis(self.topic, best, axis=1), axis=1)
        return 1 + (shown[:, 1:] != shown[:, :-1]).sum(axis=1).mean()

    def judge(self, offline, live, at_place=None):
        """Everything that is said of scores: of the fresh cards, and of the live candidates."""
        cards = self.fresh.cards
        clicked = cards["clicked"].to_numpy().reshape(-1, 10)
        minutes = cards["watched_seconds"].to_numpy() / 60
        half = np.arange(len(cards)) // 10 % 2 == 0
        rising = IsotonicRegression(out_of_bounds="clip").fit(offline[half], minutes[half])
        wrong = rising.predict(offline[~half]) - minutes[~half]
        here = offline if at_place is None else at_place
        found = self.live_pages.outcomes(live)
        return {
            "auc": roc_auc_score(clicked.ravel(), offline),
            "auc at its place": roc_auc_score(clicked.ravel(), here),
            "auc within pages": jd.page_auc(here.reshape(-1, 10), clicked),
            "error": (wrong**2).mean() / minutes[~half].var(),
            **{name: found[name] for name in ("clicks", "watch_minutes", "satisfied")},
            "topics": self.topics(live),
        }  # fmt: skip

    def judge_model(self, model):
        """The same of a click model."""
        batch, cell = self.scales(self.test), cells_of(self.fresh.cards)
        at_place = pb.scores_of(model, batch, cell)
        return self.judge(pb.scores_of(model, batch, pb.missing(cell)), self.serve(model), at_place)


@functools.lru_cache(3)
def _setting(seed):
    return Setting(seed)


def _contestant(loss, widths):
    def run(settings, world):
        s = _setting(world)
        return (
            100 * s.live_clicks(s.serve(s.by_page(loss, widths, **settings)))["clicks"] / s.oracle
        )

    return run


CONTESTANTS = {name: (loss, (64, 32)) for name, loss in LOSSES.items()}
CONTESTANTS |= {name: (jd.point_wise, w) for name, w in SIZES.items() if name != "64-32"}


def tune():
    """Tune losses and sizes alike, by live clicks, then the ways to train in a changing world."""
    tuning.tune(
        {name: _contestant(*of) for name, of in CONTESTANTS.items()}, GRID, store=STORE,
        start={"rate": 0.003, "passes": 4}, give_up=1.0, compare=("list-wise", "point-wise"),
        about={"size": "town", "first day": FIRST_DAY},
    )  # fmt: skip
    tuning.tune(
        {way: functools.partial(_trained_in_time, way) for way in ("once", "late", "on")},
        {"rate": GRID["rate"], "passes": (1, 2, 3, 4, 6, 8)}, store="tuning_sequential",
        start={"rate": 0.003, "passes": 2}, give_up=2.0, compare=("on", "once"),
        about=CHANGING,
    )  # fmt: skip


def judges(seed):
    """A dozen policies offline and live, three losses, variety, and tests of n people."""
    s, own = Setting(seed), tuning.load(STORE).best
    bias = tuning.load("tuning_position_bias").best
    made = {"none": pb.Clicks, "input, missing": pb.PositionInput, "shallow tower": pb.ShallowTower}
    models = {}
    for name, kind in made.items():
        models[name] = kind(s.ranker(seed=seed))
        pb.train_clicks(models[name], s.cards, s.cell, s.clicked, seed=seed, **bias[name])
    found = {name: s.judge_model(model) for name, model in models.items()}
    for name, loss in LOSSES.items():
        begun = time.process_time()
        twice = [s.by_page(loss, seed=t, **own[name]) for t in (seed, seed + 100)]
        taken = (time.process_time() - begun) / own[name]["passes"] / 2
        yield {"who": name, "seconds a pass": taken}
        found[name] = _mean(s.judge_model(model) for model in twice)
        models[name] = twice[0]
    for name, (offline, live) in _others(s, seed).items():
        found[name] = s.judge(offline, live)
    truth = s.fresh.truth["p_click_if_seen"].to_numpy()
    yield {"who": "oracle", **s.judge(truth, s.wanted)}
    for name, numbers in found.items():
        yield {"who": name, **numbers}
    for offline, live in itertools.product(("auc", "auc within pages", "error"),
                                           ("clicks", "watch_minutes")):  # fmt: skip
        x, y = (np.array([of[name] for of in found.values()]) for name in (offline, live))
        x = -x if offline == "error" else x
        yield {"who": f"{offline}, {live.removeprefix('watch_')}",
               "turned": jd.turned(x, y), "rho": spearmanr(x, y).statistic}  # fmt: skip
    scores = s.serve(models["point-wise"]).astype(float).reshape(s.topic.shape)
    for strength in (0.0, 0.25, 0.5, 1.0, 2.0):
        chosen = jd.as_scores(jd.choose_page(scores, s.topic, 10, strength), scores.shape[1])
        yield {"who": f"variety {strength:g}", "topics": s.topics(chosen),
               **{name: s.live_pages.outcomes(chosen)[name]
                  for name in ("clicks", "watch_minutes", "satisfied")}}  # fmt: skip
    far = s.live_pages.batch.number("video click rate")
    yield from _tests(s, (far, *(s.serve(models[n]) for n in ("none", "shallow tower"))), seed)


def _mean(found):
    """The mean of several trainings' numbers."""
    return pd.DataFrame(found).mean().to_dict()


def _others(s, seed):
    """Scores of the fresh cards and of the live candidates, by policies that are no click model."""
    random = np.random.default_rng(seed)
    fresh, live = s.scales(s.test), s.live_cards
    found = {
        name: (s.test.number(of), s.live_pages.batch.number(of)) for name, of in NUMBERS.items()
    }
    found["random"] = random.random(len(fresh)), random.random(len(live))
    minutes = s.label("watched_seconds").float() / 60
    best = tuning.load("tuning_watch_time").best["64"]
    clicked = s.clicked > 0
    watch = wt.Ranker(InputLayer(s.features, seed=seed), (64, 32),
                      wt.best_constant(clicked, minutes), seed)  # fmt: skip
    wt.train_ranker(watch, s.cards, clicked, minutes, seed=seed, **best)
    found["watch-time ranker"] = wt.logits_of(watch, fresh), wt.logits_of(watch, live)
    known = torch.from_numpy(labels(s.rows, s.inputs.column("duration")))
    many = mo.SharedBottom(InputLayer(s.features, seed=seed), mo.best_constants(known), seed=seed)
    mo.train_tasks(
        many, s.cards, known, seed=seed, **tuning.load("tuning_objectives").best["together"]
    )
    said = [mo.factors_of(mo.predict_tasks(many, batch), raw.number("duration"))
            for batch, raw in ((fresh, s.test), (live, s.live_pages.batch))]  # fmt: skip
    for name, weight in (("seven tasks, minutes", 0.0), ("seven tasks, rated", 4.0)):
        weights = {"click": 1.0, "watch time": 1.0, "rating": weight}
        found[name] = tuple(mo.combine(factors, weights) for factors in said)
    return found


def _tests(s, scores, seed, tests=4_000):
    """How often tests of n people see what is there, and what is not."""
    user = s.live_pages.situation.user
    pages = [s.live_pages.per_page(of, observed=True)["clicks"] for of in scores]
    far, a, b = (np.bincount(user, clicks)[np.unique(user)] for clicks in pages)
    yield {"who": "A/A", "found": jd.share_found(a, a, 500, tests, seed)}
    yield {"who": "A/A by page", "found": _by_page(pages[1], user, tests, seed)}
    people = jd.people_needed(np.sqrt((far.var() + b.var()) / 2), b.mean() - far.mean())
    yield {"who": "A/B", "people": people,
           "found": jd.share_found(far, b, round(people), tests, seed)}  # fmt: skip
    one = 0.01 * a.mean()
    yield {"who": "one percent", "two groups": 2 * jd.people_needed(a.std(), one),
           "pairs": jd.people_needed((b - a).std() / np.sqrt(2), one)}  # fmt: skip


def _by_page(clicks, user, tests, seed, n=500):
    """Share of A/A tests that see a difference if people are drawn and pages are counted."""
    random, found = np.random.default_rng(seed), 0
    rows = [np.flatnonzero(user == one) for one in np.unique(user)]
    own = [clicks[of] for of in rows]
    for _ in range(tests):
        x, y = (np.concatenate([own[i] for i in random.integers(len(own), size=n)]) for _ in "ab")
        found += abs(x.mean() - y.mean()) > 1.96 * np.sqrt(x.var() / len(x) + y.var() / len(y))
    return found / tests


KINDS = {"full": ("old", np.inf), "cut at 5": ("old", 5.0), "no support": ("cut", np.inf)}
LOG_SIZES, LOGS = (300, 1_000, 3_000, 10_000, 30_000), 200


def off_policy_logs(seed):
    """Four estimators on two hundred logs of each size, beside the truth."""
    s = Setting(seed)
    tower = pb.ShallowTower(s.ranker(seed=seed))
    best = tuning.load("tuning_position_bias").best["shallow tower"]
    pb.train_clicks(tower, s.cards, s.cell, s.clicked, seed=seed, **best)
    shape = s.live_pages.shape
    popular = np.log1p(s.live_pages.batch.number("video watches")).reshape(shape)
    logit = pb.scores_of(tower, s.live_cards, s.live_cell + 1).astype(float).reshape(shape)
    old, new = softmax(popular, axis=1), softmax(2 * logit, axis=1)
    rate = s.wanted.reshape(shape) * s.theta[s.live_pages.situation.device, 0][:, None]
    shown = popular >= np.quantile(popular, 1 - SHARE, axis=1, keepdims=True)
    cut = np.where(shown, old, 0)
    worlds = {"old": jd.OneCard(old, new, rate),
              "cut": jd.OneCard(cut / cut.sum(axis=1, keepdims=True), new, rate)}  # fmt: skip
    value = worlds["old"].value
    page, card, clicked = (column[0] for column in worlds["old"].draw(1, 10_000, [seed, 0]))
    line = LogisticRegression(C=1e6).fit(logit[page, card][:, None], clicked)
    guess = line.predict_proba(logit.reshape(-1, 1))[:, 1].reshape(shape)
    yield {
        "who": "its own model",
        "bias": 100 * ((new * expit(logit)).sum(axis=1).mean() / value - 1),
    }
    yield {"who": "new", "value": value, "covered": (new * shown).sum(axis=1).mean(),
           "old": (old * rate).sum(axis=1).mean()}  # fmt: skip
    for (kind, (world, most)), n in itertools.product(KINDS.items(), LOG_SIZES):
        estimates = jd.four_estimates(worlds[world], guess, LOGS, n, most, [seed, n])
        for name, found in estimates.items():
            off = 100 * (found / value - 1)
            yield {"who": f"{kind}, {n}, {name}", "bias": off.mean(), "sd": off.std(),
                   "rmse": np.sqrt((off**2).mean())}  # fmt: skip
    yield from _doubly(worlds["old"], rate, value, seed)


def _doubly(pages, rate, value, seed, n=30_000):
    """The bias of the doubly robust estimate, by what is wrong."""
    page, card, clicked = pages.draw(LOGS, n, seed)
    even = np.full(page.shape, 1 / rate.shape[1])
    chances = {"right chances": pages.old[page, card], "wrong chances": even}
    models = {"right model": rate, "wrong model": np.full(rate.shape, 0.5)}
    for (how, old), (which, guess) in itertools.product(chances.items(), models.items()):
        expected = (pages.new * guess).sum(axis=1)[page]
        found = jd.doubly_robust(clicked, pages.new[page, card], old, guess[page, card], expected)
        yield {"who": f"{how}, {which}", "bias": 100 * (found.mean() / value - 1)}


def sizes(seed):
    """Three sizes of one ranker, tuned alike: offline and live."""
    s, own = Setting(seed), tuning.load(STORE).best
    for name, widths in SIZES.items():
        recipe = own["point-wise" if name == "64-32" else name]
        twice = (s.by_page(jd.point_wise, widths, t, **recipe) for t in (seed, seed + 100))
        yield {"who": name, **_mean(map(s.judge_model, twice))}


COUNTS = (30, 120, 480, 960, 1_920, 3_840, 7_680)
COST_WIDTHS = {**SIZES, "512-256": (512, 256), "1024-512": (1024, 512)}


def serving_cost(seed):
    """Milliseconds of one page by the number of its candidates, and of a card by the network."""
    s, counts = Setting(seed), COUNTS
    ranker, times = s.ranker(), []
    random = np.random.default_rng(seed)
    for count in counts:
        batch = s.live_cards[torch.arange(count // 30)]
        scores, topic = random.random((1, count)), random.integers(20, size=(1, count))
        times.append(
            jd.core_ms(lambda b=batch: [wt.logits_of(ranker, b) for _ in range(50)], 9) / 50
        )
        asked = s.live_pages.asked.rows(slice(0, count // 30))
        features = jd.core_ms(lambda a=asked: RankingBatch.of(s.features.of_requests(a)), 9)
        lists = jd.core_ms(
            lambda x=scores, t=topic: [jd.choose_page(x, t, 10) for _ in range(20)], 9
        )
        sort = jd.core_ms(lambda x=scores: [np.argpartition(-x, 9)[:, :10] for _ in range(200)], 9)
        yield {"who": f"{count} cards", "network": times[-1], "features": features,
               "place by place": lists / 20, "sorting": sort / 200}  # fmt: skip
    yield {"who": "line", "share": np.corrcoef(counts, times)[0, 1] ** 2}
    some = s.live_cards[torch.arange(1_000)]
    for name, widths in COST_WIDTHS.items():
        network = s.ranker(widths)
        layers = [network.first.linear, *network.rest]
        yield {"who": f"card, {name}",
               "ms": jd.core_ms(lambda n=network: wt.logits_of(n, some)) / len(some),
               "multiplications": sum(layer.weight.numel() for layer in layers)}  # fmt: skip
    asked = s.live_pages.asked.rows(slice(0, 1_000))
    taken = jd.core_ms(lambda: RankingBatch.of(s.features.of_requests(asked)))
    yield {"who": "card, features", "ms": taken / len(some)}


DRIFTS, DAYS, SPAN, WARM_UP = (0.0, 0.05, 0.2), 40, 12, 8
CHANGING = {"users": 1_500, "videos": 1_000, "days": DAYS}
WAYS = {"once": (WARM_UP, WARM_UP + SPAN), "late": (DAYS - SPAN, DAYS), "on": (WARM_UP, DAYS)}


@functools.lru_cache(4)
def _changing(seed, drift):
    return simulate("town", seed=seed, cache=False, drift=drift, **CHANGING)


@functools.lru_cache(9)
def _span(seed, drift, way):
    """The task of some days of a world; its tables know of no other days."""
    first, last = WAYS[way]
    return Places(_changing(seed, drift), 20, first, last_day=last)


def _trained_in_time(way, settings, seed, drift=0.05, training=0):
    """Live clicks after training once, late, or day after day."""
    s = _span(seed, drift, way)
    model = jd.ByPage(s.ranker(seed=training), jd.point_wise)
    if way == "on":
        day = np.floor(s.rows["time"].to_numpy()[s.cards.start[:-1]])
        jd.train_in_order(model, s.cards, s.cell, s.clicked, day, seed=training, **settings)
    else:
        pb.train_clicks(model, s.cards, s.cell, s.clicked, seed=training, **settings)
    return s.live_clicks(s.serve(model))["clicks"]


def people_change(seed):
    """Once, late, and day after day, in worlds whose people change little or much."""
    best = tuning.load("tuning_sequential").best
    for drift in DRIFTS:
        for way in WAYS:
            clicks = [_trained_in_time(way, best[way], seed, drift, t) for t in (seed, seed + 100)]
            yield {"drift": f"drift {drift:g}", "who": way, "clicks": np.mean(clicks)}
        for way in ("once", "late"):
            yield {"drift": f"drift {drift:g}", "who": f"vectors, {way}",
                   "taste": _taste(_changing(seed, drift), *WAYS[way])}  # fmt: skip


def _taste(world, first, last):
    """How well vectors that are learned from some days know what the busier half likes today."""
    logs, known = world.logs(), int((world.logs().videos["uploaded"] < WARM_UP + SPAN).sum())
    when = logs.watches["time"]
    some = replace(logs, watches=logs.watches[(when >= first) & (when < last)])
    x, y = als(who_watched_what(some), 32, 10.0, 3.0, 10)
    count = np.bincount(logs.watches["user_id"], minlength=len(logs.users))
    busy = np.argsort(-count)[: len(count) // 2]
    true = world.truth.interest(busy[:, None], np.arange(known)[None], float(DAYS))
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*(
        t - t.mean(axis=0) for t in (x[busy] @ y[:known].T, true)), strict=True)])  # fmt: skip


TRIALS = (
    Trial("judges", judges, minutes=1.2),
    Trial("off_policy_logs", off_policy_logs, minutes=0.5),
    Trial("sizes", sizes, minutes=0.8),
    Trial("serving_cost", serving_cost, minutes=0.25),
    Trial("people_change", people_change, minutes=1.7),
)
