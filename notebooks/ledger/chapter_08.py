"""Ledger of chapter 08, many objectives: help and fights on one layer, and combined predictions."""

import numpy as np
import torch

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import many_objectives as mo
from course.lessons.ranking_features import InputLayer, Scales
from course.tasks.next_day import LivePages
from course.tasks.seven_tasks import TASKS, SevenTasks

CLAIMS = """
P2-C2: What engages is not what satisfies: ranking by engagement alone lowers satisfaction.
paper: stated as the reason for several objectives
trial: objectives
* satisfied watches per page, rating's weight 4 against 0 (%)
  | percent(`live, rating 4/satisfied`, `live, rating 0/satisfied`) | above 0
* minutes per page, rating's weight 16 against 0 (%)
  | percent(`live, rating 16/watch_minutes`, `live, rating 0/watch_minutes`) | below 0
- minutes per page, the same for a ranker that knows the truth (%)
  | percent(`truth, rating 16/watch_minutes`, `truth, rating 0/watch_minutes`) | below 0
- dismissals per page, rating's weight 4 against 0 (%)
  | percent(`live, rating 4/dismissals`, `live, rating 0/dismissals`)

P2-C3: The best weights of the multiplication lie inside: neither engagement alone nor rating alone.
paper: weights tuned by hand for both kinds of metrics
trial: objectives
* satisfied watches per page, best inner weight over the better end (%), shared bottom
  | percent(`live, best inside/satisfied`, `live, better end/satisfied`) | above 0
- the same for a ranker that knows the truth (%)
  | percent(`truth, best inside/satisfied`, `truth, better end/satisfied`) | above 0
note: The ends are the expected watch time alone and the rating alone. The best inner weight is
  taken on half of the pages and counted on the other half.

S-5: Tasks with few labels gain by company; tasks with many lose nothing
paper: our own question; P2 trains all tasks together and does not show them alone
trial: objectives
* rating captured, together minus alone | `together/rating` - `alone rating/rating` | above 0
* click captured, together minus alone | `together/click` - `alone click/click` | above -0.01
- share captured, together minus alone | `together/share` - `alone share/share`
- like captured, together minus alone | `together/like` - `alone like/like`
- dismissal captured, together minus alone
  | `together/dismissal` - `alone dismissal/dismissal`
- watch time captured, together minus alone
  | `together/watch time` - `alone watch time/watch time`
- completion captured, together minus alone
  | `together/completion` - `alone completion/completion`

S-6: Tasks that need different things of few units fight over them
paper: Ma et al. 2018 speak of low correlation between tasks as what hurts a shared bottom
trial: objectives
* click captured, 8 units, rating's weight 3 minus .03
  | `8 units, rating 3/click` - `8 units, rating 0.03/click` | below 0
* what the click loses by that weight in 8 units minus in 82
  | (`8 units, rating 3/click` - `8 units, rating 0.03/click`)
  - (`82 units, rating 3/click` - `82 units, rating 0.03/click`) | below 0
- rating captured, 8 units, rating's weight 3 minus .03
  | `8 units, rating 3/rating` - `8 units, rating 0.03/rating`
- cosine of the gradients, watch time and completion | `pull/watch time, completion` | above 0
- cosine of the gradients, click and rating | `pull/click, rating`
- the same where all tasks follow one rule, minus that
  | `pull, no conflict/click, rating` - `pull/click, rating`
"""

FIRST_DAY, WIDE, NARROW = 33, (82,), (8,)
RATING = (0.003, 0.03, 0.3, 3.0)
STORE = "tuning_objectives"
GRID = {"rate": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), "passes": (1, 2, 3, 4, 6)}
PAIRS = (("watch time", "completion"), ("like", "rating"), ("click", "rating"))
ALONE = {f"alone {task}": {name: float(name == task) for name in TASKS} for task in TASKS}


class Setting:
    """A town with its seven tasks, on one scale."""

    def __init__(self, seed, **dials):
        self.world = simulate("town", seed=seed, **dials)
        self.data = SevenTasks(self.world, 5_000, first_day=FIRST_DAY)
        self.scales = Scales(self.data.train)
        self.train, self.test = self.scales(self.data.train), self.scales(self.data.test)

    def bottom(self, widths=WIDE, seed=0):
        """An untrained shared bottom."""
        start = mo.best_constants(self.data.labels)
        return mo.SharedBottom(InputLayer(self.data.features, seed=seed), start, widths, seed)

    def fit(self, widths=WIDE, seed=0, **recipe):
        """A trained one."""
        model = self.bottom(widths, seed)
        mo.train_tasks(model, self.train, self.data.labels, seed=seed, **recipe)
        return model

    def captured(self, model):
        """What a model captures of each task."""
        found = self.data.captured(mo.predict_tasks(model, self.test))
        return {task: found[f"{task}/captured"] for task in TASKS}


CONTESTANTS = {"together": (WIDE, mo.WEIGHTS), "8 units": (NARROW, mo.WEIGHTS),
               **{name: (WIDE, weights) for name, weights in ALONE.items()}}  # fmt: skip


def _contestant(name):
    widths, weights = CONTESTANTS[name]

    def run(settings, world):
        s = Setting(world)
        found = s.captured(s.fit(widths, weights=weights, **settings))
        own = name.removeprefix("alone ")
        return found[own] if own in found else float(np.mean(list(found.values())))

    return run


def tune():
    """Tune the shared bottom, the narrow one, and each task alone, over one grid."""
    tuning.tune(
        {name: _contestant(name) for name in CONTESTANTS}, GRID, start={"rate": 0.01, "passes": 2},
        store=STORE, about={"size": "town", "first day": FIRST_DAY}, give_up=0.01,
    )  # fmt: skip


def objectives(seed):
    """Alone and together, the seesaw, who pulls where, and what weights buy, in one town."""
    s, best = Setting(seed), tuning.load(STORE).best
    together = s.fit(seed=seed, **best["together"])
    yield {"who": "together", **s.captured(together)}
    for name, weights in ALONE.items():
        model = s.fit(weights=weights, seed=seed, **best[name])
        own = name.removeprefix("alone ")
        yield {"who": name, own: s.captured(model)[own]}
    for widths, name in ((WIDE, "together"), (NARROW, "8 units")):
        for weight in RATING:
            model = s.fit(widths, weights=mo.WEIGHTS | {"rating": weight}, seed=seed, **best[name])
            who = f"{widths[0]} units, rating {weight:g}"
            yield {"who": who, **{t: v for t, v in s.captured(model).items()
                                  if t in ("click", "rating")}}  # fmt: skip
    yield {"who": "pull", **_pulls(s, seed)}
    yield {"who": "pull, no conflict", **_pulls(Setting(seed, task_conflict=0.0), seed)}
    pages = LivePages(s.world, s.data.features, n=4_000)
    predicted = {"live": mo.predict_tasks(together, s.scales(pages.batch)), "truth": pages.truth()}
    for name, said in predicted.items():
        yield from _live(name, pages, mo.factors_of(said, pages.batch.number("duration")))


def _pulls(s, seed, every=10):
    """Mean cosines of gradients over the second half of a pass, on pages that stay the same."""
    model, found = s.bottom(seed=seed), []
    pages = torch.arange(0, s.train.pages, s.train.pages // 2_000)[:2_000]
    batch, labels = s.train[pages], s.data.labels[s.train.rows(pages)]

    def look(step, steps):
        if step > steps / 2 and step % every == 0:
            losses = mo.task_losses(model(batch), labels)
            found.append(mo.cosines(losses, model.first.linear.weight).numpy())

    mo.train_tasks(model, s.train, s.data.labels, passes=1, seed=seed, progress=look)
    mean = np.mean(found, axis=0)
    return {f"{a}, {b}": mean[TASKS.index(a), TASKS.index(b)] for a, b in PAIRS}


INSIDE = (1.0, 2.0, 4.0, 8.0, 16.0)


def _live(name, pages, factors):
    """The frontier, and the best inner weight beside the ends, chosen and counted apart."""
    for weight, row in mo.frontier(pages, factors, (0.0, *INSIDE)).iterrows():
        yield {"who": f"{name}, rating {weight:g}",
               **row[["watch_minutes", "clicks", "satisfied", "dismissals"]]}  # fmt: skip
    engaged = {"click": 1.0, "watch time": 1.0}
    ways = {"start": engaged, "end": {"rating": 1.0},
            **{w: {**engaged, "rating": w} for w in INSIDE}}  # fmt: skip
    halves = {way: pages.per_page(mo.combine(factors, weights))["satisfied"]
              for way, weights in ways.items()}  # fmt: skip
    half = len(next(iter(halves.values()))) // 2
    chosen = max(INSIDE, key=lambda way: halves[way][:half].mean())
    ends = [halves[way][half:].mean() for way in ("start", "end")]
    yield {"who": f"{name}, best inside", "satisfied": halves[chosen][half:].mean()}
    yield {"who": f"{name}, better end", "satisfied": max(ends)}


TRIALS = (Trial("objectives", objectives, minutes=1.6),)
