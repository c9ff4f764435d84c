"""Ledger of chapter 12, the whole system: sources, funnel, loop, and what each idea is worth."""

import time
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import first_system as fs
from course.lessons import many_objectives as mo
from course.lessons import matrix_factorization as mf
from course.lessons import whole_system as ws
from course.lessons.mixtures_of_experts import RankingMixture
from course.lessons.watch_time import Ranker, best_constant, logits_of, train_ranker
from course.metrics import gap_closed
from course.simulator.experiment import live_requests
from course.simulator.feed import rank
from course.simulator.policies import top
from course.tasks.next_day import OwnPages
from course.tasks.next_watch import Moments, policy, tomorrow

CLAIMS = """
P2-F1: Logs, a shared layer, experts, a shallow logit into engagement only, a product, and a new log
paper: Figure 1
trial: system
built: how our own system is put together
* largest change of a satisfaction output when all cards change place
  | `flow/satisfaction moved` | -1e-9 to 1e-9
* change of the click's logit when all cards change place | `flow/click moved` | above 0.5
* share of a served day's cards that are learned from again | `flow/learned again` | 0.999 to 1.001
- satisfied watches, the whole system over the past ranking, each on its own candidates (%)
  | percent(`Figure 1 (10)/satisfied`, `past ranking/satisfied`) | above 0

P2-C1: Each source names good videos that no other names
paper: each captures one aspect of similarity (section 3); no numbers
trial: system
* watches of the next day that topic match alone names (%) | 100 * `topic match/alone` | above 0
* watches of the next day that co-watch alone names (%) | 100 * `co-watch/alone` | above 0
* watches of the next day that the sequence alone names (%) | 100 * `sequence/alone` | above 0
* watches of the next day that the context alone names (%) | 100 * `context/alone` | above 0
* recall of the pool minus that of its best source (points)
  | 100 * (`pool/recall` - `best source/recall`) | above 0
- watches of the next day, the pool minus the best source with as many candidates (points)
  | 100 * (`pool/recall` - `best source, as many/recall`)
- the ten most satisfying videos by the truth, the same (points)
  | 100 * (`pool/best ten` - `best source, as many/best ten`)
- satisfied watches of the whole system, pool of three without topic match over pool of four (%)
  | percent(`without topic match/satisfied`, `all four/satisfied`)
- the same without co-watch (%) | percent(`without co-watch/satisfied`, `all four/satisfied`)
- the same without the sequence (%) | percent(`without sequence/satisfied`, `all four/satisfied`)
- the same without the context (%) | percent(`without context/satisfied`, `all four/satisfied`)
note: The next day passed under the past ranking, so its watches are what that brought up. In the
  last four lines each pool has 200 candidates, and ranker and weights are the same.

P1-F2: A funnel of hundreds is worth nearly what ranking the whole corpus is, at a part of the cost
paper: Figure 2: millions, hundreds, dozens
trial: system
* satisfied watches, 200 candidates over the whole corpus (%)
  | 100 * `width 200, before/satisfied` / `width 1949, before/satisfied` | above 90
* time to rank, 200 candidates over the whole corpus (%)
  | 100 * `width 200, cost/rank` / `width 1949, cost/rank` | below 25
* recall of 200 candidates over that of 200 random ones (times)
  | `pool/recall` / `random/recall` | above 3
- minutes, 200 candidates over the whole corpus (%)
  | 100 * `width 200, before/minutes` / `width 1949, before/minutes`
- minutes, 50 candidates over the whole corpus (%)
  | 100 * `width 50, before/minutes` / `width 1949, before/minutes`
- satisfied watches, 50 candidates over the whole corpus (%)
  | 100 * `width 50, before/satisfied` / `width 1949, before/satisfied`
- satisfied watches, 400 candidates over the whole corpus (%)
  | 100 * `width 400, before/satisfied` / `width 1949, before/satisfied`
- satisfied watches, the truth as ranker, 200 candidates over the whole corpus (%)
  | 100 * `width 200, truth/satisfied` / `width 1949, truth/satisfied`
- satisfied watches after a day of own pages, 200 candidates over the whole corpus (%)
  | 100 * `width 200, after/satisfied` / `width 1949, after/satisfied`

S-1: Each idea brings something on top of those before it
paper: our own question; P1 and P2 report single steps, P2 Table 1 and 2 live
trial: system
* satisfied watches, sequence over factorization, each alone (points of the gap)
  | `sequence (03)/satisfied gap` - `factorization (02)/satisfied gap` | above 0
* satisfied watches, a ranker of minutes on the pool over the sequence alone (points)
  | `minutes (07)/satisfied gap` - `sequence (03)/satisfied gap` | above 0
* satisfied watches, seven tasks over minutes (points)
  | `seven tasks (08)/satisfied gap` - `minutes (07)/satisfied gap` | above 0
* satisfied watches, experts over the shared bottom (points)
  | `experts (09)/satisfied gap` - `seven tasks (08)/satisfied gap` | above 0
* satisfied watches, shallow tower over none (points)
  | `Figure 1 (10)/satisfied gap` - `experts (09)/satisfied gap` | above 0
- minutes, seven tasks over minutes (points)
  | `seven tasks (08)/minutes gap` - `minutes (07)/minutes gap`
- clicks, seven tasks over minutes (points)
  | `seven tasks (08)/clicks gap` - `minutes (07)/clicks gap`
- minutes, experts over the shared bottom (points)
  | `experts (09)/minutes gap` - `seven tasks (08)/minutes gap`
- minutes, shallow tower over none (points)
  | `Figure 1 (10)/minutes gap` - `experts (09)/minutes gap`
- clicks, shallow tower over none (points)
  | `Figure 1 (10)/clicks gap` - `experts (09)/clicks gap`
- satisfied watches, shallow tower over none, both at the weights 1 and 1 (%)
  | percent(`Figure 1 (10), even/satisfied`, `experts (09), even/satisfied`)
- clicks, the whole system over two counts (points)
  | `Figure 1 (10)/clicks gap` - `two counts (00)/clicks gap`
- satisfied watches, the whole system over two counts (points)
  | `Figure 1 (10)/satisfied gap` - `two counts (00)/satisfied gap`
- minutes, the whole system over the longest videos of the pool (points)
  | `Figure 1 (10)/minutes gap` - `longest first/minutes gap`
note: Points of the way from random pages to the oracle of the measure. Each ranker was tuned alike
  and weighted for each measure, on one half of the pages, and is counted on the other.

S-20: Pages of one's own teach what pages of another system do not
paper: our own question; the loop is drawn in P2's Figure 1
trial: system
* satisfied watches after a day of own pages over none (points)
  | `own day/satisfied gap` - `before/satisfied gap` | above 0
* satisfied watches, a day of own pages over as many of the past ranking (points)
  | `own day/satisfied gap` - `past day/satisfied gap` | above 0
- satisfied watches after as many pages of the past ranking over none (points)
  | `past day/satisfied gap` - `before/satisfied gap`
- satisfied watches, own candidates in the past ranking's order over as many of its own (points)
  | `pool day/satisfied gap` - `past day/satisfied gap`
- satisfied watches, own order over the past ranking's, on own candidates (points)
  | `own day/satisfied gap` - `pool day/satisfied gap`
- minutes after a day of own pages over none (points)
  | `own day/minutes gap` - `before/minutes gap`
- clicks after a day of own pages over none (points)
  | `own day/clicks gap` - `before/clicks gap`
- satisfied watches after a second day over one (points)
  | `two days/satisfied gap` - `own day/satisfied gap`
note: A day is 2,000 pages; before it, the system has learned from about 28,000. The day is the same
  for all, and so are the people who judge.
"""

STORE = "tuning_system"
GRID = {"rate": (0.001, 0.003, 0.01, 0.03, 0.1), "passes": (1, 2, 3, 4, 6, 8)}
MEASURES = {"minutes": "watch_minutes", "clicks": "clicks", "satisfied": "satisfied"}
FIRST_DAY, SIZE, DAY = 33, 200, 2_000


class Setting:
    """A town with four sources, the cards of twelve days, and people who ask for a page."""

    def __init__(self, seed, n=2_000):
        self.seed, self.world = seed, simulate("town", seed=seed)
        self.logs = self.world.logs()
        self.sources = {name: build(self.logs) for name, build in ws.FOUR.items()}
        self.first = ws.FirstStage(self.logs, self.sources, SIZE)
        rows = self.logs.impressions
        self.cards = ws.Cards(self.logs, rows[rows["time"] >= FIRST_DAY])
        self.pages = OwnPages(self.world, self.cards.features, self.first, n)
        asked = self.pages.open
        self.floor = self.pages.worth(rank(self.world.random(), asked))
        self.ceiling = {m: self.pages.worth(self.world.oracle(m)(asked)) for m in MEASURES.values()}

    def gap(self, worth, measure, rows=slice(None)):
        """Percent of the way from random pages to the oracle of a measure."""
        ends = self.floor[measure][rows].mean(), self.ceiling[measure][measure][rows].mean()
        return 100 * gap_closed(worth[measure][rows].mean(), *ends)

    def alone(self, who, pages):
        """The row of a policy without weights, counted where the others are."""
        worth, half = self.pages.worth(pages), slice(len(pages) // 2, None)
        found = {name: worth[m][half].mean() for name, m in MEASURES.items()}
        found |= {f"{name} gap": self.gap(worth, m, half) for name, m in MEASURES.items()}
        return {"who": who, **found, "length": worth["length_minutes"][half].mean()}

    def weighted(self, who, along):
        """The same of a ranker, weighted for each measure on the other half of the pages."""
        n = len(next(iter(along.values()))) // 2
        found = {"who": who}
        for name, m in MEASURES.items():
            at = max(along, key=lambda weights, m=m: along[weights][m][:n].mean())
            worth = along[at]
            found |= {name: worth[m][n:].mean(), f"{name} gap": self.gap(worth, m, slice(n, None))}
            if name == "minutes":
                found["length"] = worth["length_minutes"][n:].mean()
        return found

    def factors(self, model, cards=None):
        """What a model of seven tasks predicts of the candidates, as factors."""
        cards = cards or self.cards
        pages = self.pages
        if cards is not self.cards:  # other cards, other words for videos and channels
            n = len(self.pages.asked)
            pages = OwnPages(self.world, cards.features, lambda _: self.pages.asked, n)
        said = mo.predict_tasks(model, cards.scales(pages.batch))
        return mo.factors_of(said, pages.batch.number("duration"))


def by_minutes(s, seed=0, **recipe):
    """Chapter 07: expected minutes, one number for each card."""
    hit = s.cards.labels[:, 0] > 0
    minutes = torch.from_numpy(s.cards.rows["watched_seconds"].to_numpy() / 60).float()
    ranker = Ranker(s.cards.inputs(seed), (64,), best_constant(hit, minutes), seed)
    train_ranker(ranker, s.cards.batch, hit, minutes, seed=seed, **recipe)
    return ranker


def bottom(s, seed=0, **recipe):
    """Chapter 08: seven tasks on a shared bottom."""
    model = mo.SharedBottom(s.cards.inputs(seed), s.cards.start, seed=seed)
    mo.train_tasks(model, s.cards.batch, s.cards.labels, seed=seed, **recipe)
    return model


def experts(s, seed=0, **recipe):
    """Chapter 09: experts over a shared layer, gates that read the context."""
    model = RankingMixture(s.cards.inputs(seed), s.cards.start, 8, 16, 55, seed=seed)
    mo.train_tasks(model, s.cards.batch, s.cards.labels, seed=seed, **recipe)
    return model


def figure_1(s, seed=0, **recipe):
    """Chapters 08 to 10: the same with a shallow tower."""
    return ws.learned(s.cards, seed, **recipe)


RANKERS = {"minutes (07)": by_minutes, "seven tasks (08)": bottom, "experts (09)": experts,
           "Figure 1 (10)": figure_1}  # fmt: skip


@lru_cache(3)
def _development(world):
    return Setting(world, 1_000)


def _contestant(who):
    def run(settings, world):
        s = _development(world)
        begun = time.process_time()
        model = RANKERS[who](s, **settings)
        taken = {"seconds": time.process_time() - begun}
        if who == "minutes (07)":
            worth = s.pages.worth(s.pages.best(logits_of(model, s.cards.scales(s.pages.batch))))
            return {"live": s.gap(worth, "watch_minutes"), **taken}
        along = ws.along(s.pages, s.factors(model))
        best = [max(s.gap(worth, m) for worth in along.values()) for m in MEASURES.values()]
        return {"live": float(np.mean(best)), **taken}

    return run


def tune():
    """Tune the four rankers by what they bring live: minutes, or the mean of the three measures."""
    tuning.tune(
        {who: _contestant(who) for who in RANKERS}, GRID, start={"rate": 0.01, "passes": 2},
        store=STORE, about={"size": "town", "first day": FIRST_DAY, "pool": SIZE}, give_up=1.0,
    )  # fmt: skip


WIDTHS, FEW = (10, 20, 50, 100, 200, 400, 800, 1_600, 1_949), 200


def system(seed):
    """One town: each idea, sources, widths, and the loop with its controls."""
    s, best = Setting(seed), tuning.load(STORE).best
    yield from _simple(s)
    models = {who: fit(s, seed, **best[who]) for who, fit in RANKERS.items()}
    ranked = logits_of(models["minutes (07)"], s.cards.scales(s.pages.batch))
    yield s.alone("minutes (07)", s.pages.best(ranked))
    for who in tuple(RANKERS)[1:]:
        along = ws.along(s.pages, s.factors(models[who]))
        yield s.weighted(who, along)
        half = along[1.0, 1.0].iloc[len(s.pages.asked) // 2 :].mean()
        yield {"who": f"{who}, even", **{name: half[m] for name, m in MEASURES.items()}}
        for (watch_time, rating), worth in along.items():
            mean = {name: worth[m].mean() for name, m in MEASURES.items()}
            yield {"who": f"{who} at {watch_time:g}, {rating:g}", **mean}
    whole = ws.System(s.first, s.cards, models["Figure 1 (10)"], ws.BALANCED)
    yield from _sources(s, whole)
    after, rows = None, {}
    for who, row, learned in _loop(s, whole, best["Figure 1 (10)"]):
        rows[who] = row
        after = learned if who == "own day" else after
    yield from rows.values()
    yield {"who": "flow", **_flow(s, whole), "learned again": after.learned_again}
    yield from _widths(s, {"before": whole, "after": after})


def _simple(s):
    """What needs no ranker of this chapter."""
    asked, videos = s.pages.open, len(s.logs.videos)
    counts, language = mf.popularity(s.logs, 2.0), s.logs.users["language"].cat.codes.to_numpy()
    x, y = mf.als(mf.who_watched_what(s.logs))
    moments = ws.moments_of(asked, videos)
    named = {name: ws.pool(ws.ask({name: s.sources[name]}, moments), 10)[0] for name in s.sources}
    yield s.alone("random", rank(s.world.random(), asked))
    nominated = live_requests(s.world.engine, len(asked))[1]
    yield s.alone("past ranking", rank(s.world.past_ranking(), nominated))
    yield s.alone("longest first", s.pages.best(s.pages.batch.number("duration")))
    popular = policy(lambda m: counts[language[m.user]], videos)
    yield s.alone("popular (01)", rank(popular, asked))
    yield s.alone("factorization (02)", rank(policy(lambda m: x[m.user] @ y.T, videos), asked))
    yield s.alone("sequence (03)", named["sequence"])
    yield s.alone("two counts (00)", rank(fs.FirstSystem(s.logs, fs.KEPT), asked))
    for name, m in MEASURES.items():
        yield s.alone(f"oracle of {name}", rank(s.world.oracle(m), asked))


def _sources(s, whole):
    """What each source names of the next day and of the best ten, and pools without it."""
    game = tomorrow(s.world)
    events = game.sample(3_000, s.seed)
    watched = events["video_id"].to_numpy()[:, None]
    scores = ws.ask(s.sources, Moments.of_events(game.logs, events))
    asked = s.pages.open.rows(slice(500))
    best = s.world.oracle("satisfied")(asked)
    live = ws.ask(s.sources, ws.moments_of(asked, len(s.logs.videos)))

    def named_best(scores):
        videos = ws.pool(scores, SIZE)[0]
        return (best[:, :, None] == videos[:, None, :]).any(axis=2).mean()

    videos, named = ws.pool(scores, SIZE)
    by = ((videos == watched)[:, :, None] & ~np.isnan(named)).any(axis=1)
    only = by & (by.sum(axis=1) == 1)[:, None]
    single = []
    for i, name in enumerate(s.sources):
        one = ws.pool(scores[:, :, [i]], SIZE)[0]
        single.append(((one == watched).any(axis=1).mean(), named_best(live[:, :, [i]])))
        yield {"who": name, "recall": by[:, i].mean(), "alone": only[:, i].mean(),
               "as many": single[-1][0], "best ten": single[-1][1]}  # fmt: skip
    yield {"who": "pool", "recall": by.any(axis=1).mean(), "best ten": named_best(live)}
    yield {"who": "random", "recall": SIZE / len(s.logs.videos)}
    yield {"who": "best source", "recall": by.mean(axis=0).max()}
    yield {"who": "best source, as many", "recall": max(r for r, _ in single),
           "best ten": max(b for _, b in single)}  # fmt: skip
    for left_out in (None, *s.sources):
        kept = {name: source for name, source in s.sources.items() if name != left_out}
        first = ws.FirstStage(s.logs, kept, SIZE)
        worth = s.pages.worth(rank(ws.System(first, *_parts(whole)), s.pages.open)).mean()
        who = f"without {left_out}" if left_out else "all four"
        yield {"who": who, **{name: worth[m] for name, m in MEASURES.items()}}


def _parts(whole):
    return whole.cards, whole.model, whole.weights


def _loop(s, whole, recipe):
    """Systems that have learned from one more day, by who made its pages: (who, row, system)."""
    rows, past = s.cards.rows, s.world.past_ranking()
    yield "before", s.weighted("before", ws.along(s.pages, s.factors(whole.model))), whole
    own = ws.serve_a_day(s.world, whole, DAY)
    days = {
        "past day": ws.serve_a_day(s.world, past, DAY, candidates="nominated"),
        "pool day": ws.serve_a_day(s.world, lambda asked: past(s.first(asked)), DAY),
        "own day": own,
    }
    for who, day in days.items():
        later = _later(s, rows, day, recipe)
        yield who, s.weighted(who, ws.along(s.pages, s.factors(later.model, later.cards))), later
    both = pd.concat([own, ws.serve_a_day(s.world, later, DAY, seed=2)], ignore_index=True)
    later = _later(s, rows, both, recipe)
    along = ws.along(s.pages, s.factors(later.model, later.cards))
    yield "two days", s.weighted("two days", along), later


def _later(s, rows, day, recipe):
    """A system that has learned from a day, too."""
    cards = ws.Cards(s.logs, pd.concat([rows, day], ignore_index=True))
    system = ws.System(s.first, cards, ws.learned(cards, s.seed, **recipe), ws.BALANCED)
    system.learned_again = (len(cards.batch) - len(rows)) / len(day)
    return system


def _flow(s, whole):
    """How far outputs move when all cards of some pages go from the top to the end."""
    some = s.cards.batch[torch.arange(1_000)]
    with torch.no_grad():
        ends = [whole.model(some, ws.unplaced(some) + place) for place in (1, 10)]
    moved = (ends[0] - ends[1]).abs().amax(dim=0)
    return {"click moved": float(moved[0]), "satisfaction moved": float(moved[3:].max())}


def _widths(s, systems):
    """What pages are worth by the width of the pool, by our rankers and by the truth; the cost."""
    for key, system in systems.items():
        pages = OwnPages(s.world, system.cards.features, lambda a: s.first(a, WIDTHS[-1]), FEW)
        scores = system.score(pages.batch).reshape(pages.shape)
        for width in WIDTHS:
            page = top(scores[:, :width], pages.asked.candidates[:, :width], 10)
            worth = pages.worth(page).mean()
            found = {name: worth[m] for name, m in MEASURES.items()}
            yield {"who": f"width {width}, {key}", **found}
    for width in WIDTHS:
        cut = replace(pages.open, candidates=pages.asked.candidates[:, :width])
        best = {name: pages.worth(s.world.oracle(m)(cut))[m].mean() for name, m in MEASURES.items()}
        yield {"who": f"width {width}, truth", **best}
    asked = pages.open.rows(slice(50))
    for width in WIDTHS:
        begun = time.process_time()
        ready = s.first(asked, width)
        named = time.process_time()
        systems["before"](ready)
        ms = 20 * np.array([named - begun, time.process_time() - named])  # of 50 pages
        yield {"who": f"width {width}, cost", "nominate": ms[0], "rank": ms[1]}


# Three worlds so far; more are added by `reproduce --worlds N`.
TRIALS = (Trial("system", system, minutes=4.5),)
