"""Ledger of chapter 14, feedback loops: rounds, a hidden bias, PLE, small rankers, four weeks."""

import functools

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from course import ledger, simulate, tuning
from course.ledger import Trial
from course.lessons import feedback_loops as fl
from course.lessons import many_objectives as mo
from course.lessons import mixtures_of_experts as me
from course.lessons import position_bias as pb
from course.lessons import watch_time as wt
from course.lessons.ranking_features import InputLayer, Scales
from course.tasks.next_day import LivePages, NextDay
from course.tasks.places import Places, cells_of
from course.tasks.seven_tasks import TASKS, SevenTasks

CLAIMS = """
P2-C11: Retrained on its own pages a naive ranker gets narrower and worse; the tower slows that.
paper: P2 speaks of a feedback loop; Chaney et al. 2018 simulate one (no numbers for this)
trial: loops
* naive: clicks, round 6 against round 1, both over the oracle's (%)
  | percent(`naive, 6/clicks` / `oracle, 6/clicks`, `naive, 1/clicks` / `oracle, 1/clicks`)
  | below 0
* naive: Gini of the showings, round 6 minus round 1
  | `naive, 6/gini` - `naive, 1/gini` | above 0
* shallow tower against naive, round 1: clicks (%)
  | percent(`shallow tower, 1/clicks`, `naive, 1/clicks`) | above 0
- shallow tower against naive, round 6: clicks (%)
  | percent(`shallow tower, 6/clicks`, `naive, 6/clicks`)
- naive on the past ranking's pages: clicks, round 6 against round 1, over the oracle's (%)
  | percent(`naive, on past pages, 6/clicks` / `oracle, 6/clicks`,
            `naive, on past pages, 1/clicks` / `oracle, 1/clicks`)
- naive, own pages against the past ranking's, round 6: clicks (%)
  | percent(`naive, 6/clicks`, `naive, on past pages, 6/clicks`)
- shallow tower minus naive, round 6: Gini | `shallow tower, 6/gini` - `naive, 6/gini`
- exploration against none (tower), rounds 5 and 6: clicks (%)
  | percent(`tower, exploring, 5/clicks` + `tower, exploring, 6/clicks`,
            `shallow tower, 5/clicks` + `shallow tower, 6/clicks`)
- exploration minus none (tower), rounds 5 and 6: Gini
  | (`tower, exploring, 5/gini` + `tower, exploring, 6/gini`
     - `shallow tower, 5/gini` - `shallow tower, 6/gini`) / 2
- naive minus random, round 6: share of new uploads | `naive, 6/new` - `random, 6/new`
note: The loop is open here. The nominators offer what is popular anywhere, and most watches do not
  come from the pages.

P2-C11b: A first stage of own clicks starves new uploads; one that counts all watches does less so.
paper: P1, section 3.4: trained on all watches, or new content hardly surfaces (no number)
trial: loops
* 12 of 30 by own clicks minus by chance, rounds 5 and 6: share of new uploads
  | (`own clicks, 5/new` + `own clicks, 6/new` - `by chance, 5/new` - `by chance, 6/new`) / 2
  | below 0
* by all watches minus by own clicks: share of new uploads
  | (`all watches, 5/new` + `all watches, 6/new` - `own clicks, 5/new` - `own clicks, 6/new`) / 2
  | above 0
* by all watches against by own clicks: clicks (%)
  | percent(`all watches, 5/clicks` + `all watches, 6/clicks`,
            `own clicks, 5/clicks` + `own clicks, 6/clicks`) | above 0
- by own clicks against by chance: clicks (%)
  | percent(`own clicks, 5/clicks` + `own clicks, 6/clicks`,
            `by chance, 5/clicks` + `by chance, 6/clicks`)
- by own clicks minus by chance: Gini
  | (`own clicks, 5/gini` + `own clicks, 6/gini` - `by chance, 5/gini` - `by chance, 6/gini`) / 2
- by all watches minus by own clicks: Gini
  | (`all watches, 5/gini` + `all watches, 6/gini`
     - `own clicks, 5/gini` - `own clicks, 6/gini`) / 2
- own clicks: share of new uploads, round 6 minus round 1
  | `own clicks, 6/new` - `own clicks, 1/new`
- own clicks, exploration minus none: share of new uploads
  | (`own clicks, exploring, 5/new` + `own clicks, exploring, 6/new`
     - `own clicks, 5/new` - `own clicks, 6/new`) / 2
- own clicks, exploration against none: clicks (%)
  | percent(`own clicks, exploring, 5/clicks` + `own clicks, exploring, 6/clicks`,
            `own clicks, 5/clicks` + `own clicks, 6/clicks`)

S-18: In a bottle a first stage of own clicks makes a loop that runs down, and exploration is paid
paper: Chaney et al. 2018 and P2 describe such loops (no number for this)
trial: bottles
* closed: clicks, late against the middle (%)
  | percent(`closed, late/clicks`, `closed, middle/clicks`) | below 0
* open: clicks, late against the middle (%)
  | percent(`open, late/clicks`, `open, middle/clicks`) | above -1
* closed minus random, late: share of new cards
  | `closed, late/new` - `random, late/new` | below 0
- closed, without position bias: clicks, late against the middle (%)
  | percent(`closed, no bias, late/clicks`, `closed, no bias, middle/clicks`)
- closed, a fifth explored against none, late: clicks (%)
  | percent(`closed, exploring, late/clicks`, `closed, late/clicks`)
- closed, a fifth explored against none, early: clicks (%)
  | percent(`closed, exploring, early/clicks`, `closed, early/clicks`)
- closed, a fifth explored minus none, late: share of new cards
  | `closed, exploring, late/new` - `closed, late/new` | above 0
note: Early: rounds 2 and 3 of 20; middle: 6 to 8; late: the last five. Sixty bottles a seed.

P2-C16: There are biases beside the position; the shallow tower takes one out once it is known.
paper: discussion: many other biases, known and unknown; how to find them is open
trial: hidden_bias
* position only: what is left of the size, log of clicks over expected
  | `bias 1, by chance, position/gap` | above 0.1
* position only: size of its z minus the largest of nine innocent columns
  | `bias 1, by chance, position/z` - `bias 1, by chance, position/innocent` | above 0
* position and size: share of the gap that is left
  | `bias 1, by chance, and size/gap` / `bias 1, by chance, position/gap` | -0.25 to 0.25
- sizes by chance: clicks, with the size against without (%)
  | percent(`bias 1, by chance, and size/clicks`, `bias 1, by chance, position/clicks`)
- sizes by popularity: clicks, with the size against without (%)
  | percent(`bias 1, by popularity, and size/clicks`, `bias 1, by popularity, position/clicks`)
- no such bias: size of its z minus the largest innocent
  | `bias 0, by chance, position/z` - `bias 0, by chance, position/innocent` | below 0
note: In this world the size is a coin toss. A log is thinned until large thumbnails stand mostly
  with popular videos in the line on popularity.

R-5: Experts of one task beside common ones: fewer tasks gain at another's expense (PLE).
paper: Tang et al. 2020: the seesaw of earlier models goes; +2.23 % views live
trial: ple
* pairs of a winner and a loser against alone, MMoE minus PLE
  | `mmoe/pairs` - `ple/pairs` | above 0
* captured, mean of seven tasks, PLE minus MMoE
  | `ple/mean` - `mmoe/mean` | above 0
- pairs of a winner and a loser, MMoE | `mmoe/pairs`
- tasks worse than alone, MMoE minus PLE | `mmoe/losers` - `ple/losers`
- captured, mean of seven tasks, MMoE minus alone | `mmoe/mean` - `alone/mean`
- likes captured, PLE minus MMoE (looked at because it stood out) | `ple/like` - `mmoe/like`
- captured, mean of seven tasks, PLE minus alone | `ple/mean` - `alone/mean`
note: Won or lost: by more than .005 of what there is to capture. Alone: seven networks of the same
  width, each tuned for its task, with seven times the multiplications.

P2-C17: A compressed ranker keeps nearly all of the gain at a fraction of the cost.
paper: future work: model compression, distillation (no number)
trial: small_rankers
* taught student: share of four teachers' gain in live minutes (%)
  | 100 * (`student, taught/minutes` - `past/minutes`) / (`teachers/minutes` - `past/minutes`)
  | above 95
* one teacher, 8 bits against 32: minutes (%)
  | percent(`one teacher, 8 bits/minutes`, `one teacher/minutes`) | -0.5 to 0.5
- taught student against the student of clicks: minutes (%)
  | percent(`student, taught/minutes`, `student, clicks/minutes`) | above 0
- one teacher against the student of clicks: minutes (%)
  | percent(`one teacher/minutes`, `student, clicks/minutes`)
- four teachers against one: minutes (%)
  | percent(`teachers/minutes`, `one teacher/minutes`)
- taught student, 4 bits against 32: minutes (%)
  | percent(`student, taught, 4 bits/minutes`, `student, taught/minutes`)
- one teacher, 2 bits against 32: minutes (%)
  | percent(`one teacher, 2 bits/minutes`, `one teacher/minutes`)
- taught student: multiplications, % of the teachers'
  | 100 * `student, taught/multiplications` / `teachers/multiplications`
note: Rates and passes of teacher, student of clicks and taught student are tuned alike.

S-19: Where pages change who comes back, the most clicked pages lose people, and clicks, in weeks
paper: neither paper tests returns over weeks; P2 names satisfaction as what to aim at
trial: weeks
* clicks of four weeks, planner against the click oracle (%)
  | percent(`dial 2, planner/all clicks`, `dial 2, clicks/all clicks`) | above 0
* pages opened in week 4, planner against the click oracle (%)
  | percent(`dial 2, planner/last pages`, `dial 2, clicks/last pages`) | above 0
- clicks of week 1, planner against the click oracle (%)
  | percent(`dial 2, planner/first clicks`, `dial 2, clicks/first clicks`)
- clicks of four weeks, oracle of satisfied watches against the click oracle (%)
  | percent(`dial 2, satisfied/all clicks`, `dial 2, clicks/all clicks`) | above 0
- clicks of four weeks, planner against the oracle of satisfied watches (%)
  | percent(`dial 2, planner/all clicks`, `dial 2, satisfied/all clicks`) | above 0
* no aftertaste: pages in week 4, oracle of satisfied watches against the click oracle (%)
  | percent(`dial 0, satisfied/last pages`, `dial 0, clicks/last pages`) | -2 to 2
- no aftertaste: clicks of four weeks, the same (%)
  | percent(`dial 0, satisfied/all clicks`, `dial 0, clicks/all clicks`) | below 0
note: A positive control by construction: the dial is the law that the planner knows. The planner
  thinks of moods alone and is not the best there is. Without aftertaste a small difference
  stays, of the other sign: who clicks more opens more lists of what to watch next.
"""

MEDIUM = {"users": 1_000, "videos": 1_000, "days": 24}
"""Between a village and a town, so that a round takes seconds."""
ROUNDS, DAYS, WIDTHS = 6, 3, (32, 16)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
STORE, STORE_PLE, STORE_SMALL = "tuning_loops", "tuning_ple", "tuning_small"
KINDS = {"naive": pb.Clicks, "shallow tower": pb.ShallowTower}


# --- Click models that are trained anew before each round


@functools.lru_cache(maxsize=1)
def _six_days(seed):
    return Places(simulate("town", seed=seed, **MEDIUM), 500, first_day=18, live=3_000)


def _click_model(name):
    def run(settings, world):
        s = _six_days(world)
        model = KINDS[name](s.ranker(WIDTHS))
        pb.train_clicks(model, s.cards, s.cell, s.clicked, **settings)
        return s.live_clicks(s.serve(model))["clicks"]

    return run


def tune_loops():
    """Tune both click models on the past ranking's last six days, by clicks of live pages."""
    tuning.tune(
        {name: _click_model(name) for name in KINDS},
        {"rate": RATES, "passes": (1, 2, 3, 4, 6, 8, 12, 16)},
        start={"rate": 0.01, "passes": 4}, store=STORE, about=MEDIUM, give_up=0.03,
    )  # fmt: skip


def arms(world, seed):
    """Whoever is in front of the people, as what `retrain` asks before each round."""
    best = tuning.load(STORE).best
    naive = functools.partial(fl.learner, pb.Clicks, seed=seed, **best["naive"])
    tower = functools.partial(fl.learner, pb.ShallowTower, seed=seed, **best["shallow tower"])

    def chance(logs, now):
        return np.random.default_rng(now).random(len(logs.videos))

    return {
        "random": lambda service: world.random(),
        "oracle": lambda service: fl.oracle(service, "clicks"),
        "naive": naive(),
        "naive, on past pages": naive(past=fl.Service(world)),
        "shallow tower": tower(),
        "tower, exploring": tower(share=0.1),
        "own clicks": naive(stage=fl.own_clicks),
        "all watches": naive(stage=fl.all_watches),
        "by chance": naive(stage=chance),
        "own clicks, exploring": naive(stage=fl.own_clicks, share=0.1),
    }


def loops(seed):
    """Six rounds of three days for each arm, all from the same log."""
    world = simulate("town", seed=seed, **MEDIUM, future_days=ROUNDS * DAYS)
    for name, learn in arms(world, seed).items():
        service = fl.Service(world)
        for number, record in enumerate(fl.retrain(service, learn, ROUNDS, DAYS), start=1):
            yield {"who": f"{name}, {number}", **fl.came_of(service, record)}


# --- The bottle


BOTTLES = {
    "open": {}, "closed": {"closed": True}, "closed, exploring": {"closed": True, "share": 0.2},
    "open, exploring": {"share": 0.2}, "closed, no bias": {"closed": True, "bias": 0.0},
}  # fmt: skip


PARTS = {"early": slice(1, 3), "middle": slice(5, 8), "late": slice(15, 20)}


def bottles(seed):
    """Twenty rounds in sixty bottles, in three parts of them."""
    for name, dials in BOTTLES.items():
        found = fl.bottle("naive", seed=seed, **dials)
        for part, rows in (
            ("early", slice(1, 3)),
            ("middle", slice(5, 8)),
            ("late", slice(15, 20)),
        ):
            yield {"who": f"{name}, {part}", **{k: v[:, rows].mean() for k, v in found.items()}}
    found = fl.bottle("random", seed=seed)
    for part, rows in PARTS.items():
        yield {"who": f"random, {part}", **{k: v[:, rows].mean() for k, v in found.items()}}


# --- A bias that nobody told us of


def suspects(cards):
    """Columns of a log that one may suspect (name -> (n,)); one is guilty."""
    return {
        "large thumbnail": cards["large_thumbnail"].to_numpy(),
        **{name: cards[name].cat.codes.to_numpy()
           for name in ("surface", "nominator", "daypart", "device")},
        "position": cards["position"].to_numpy(),
        "shown before": cards["previous_impressions"].to_numpy() > 0,
        "odd account": cards["user_id"].to_numpy() % 2,
        "odd video": cards["video_id"].to_numpy() % 2,
        "odd minute": (cards["time"].to_numpy() * 1_440).astype(int) % 2,
    }  # fmt: skip


def with_size(cards):
    """Places (n,) of cards, those of large thumbnails a block later."""
    return cells_of(cards) + pb.PLACES * torch.tensor(cards["large_thumbnail"].to_numpy()).long()


def _by_popularity(s, seed):
    """Weights (n,), 0 or 1, that leave large thumbnails mostly with popular videos."""
    clicks = np.bincount(s.rows["video_id"], s.rows["clicked"])[s.rows["video_id"]]
    rank = pd.Series(clicks).rank(pct=True).to_numpy()
    odd = np.where(s.rows["large_thumbnail"], 1 - rank, rank)
    return torch.tensor(np.random.default_rng(seed).random(len(odd)) >= 0.9 * odd).float()


def hidden_bias(seed):
    """A second bias of thumbnails: what the tower leaves of it, with and without its size."""
    recipe = tuning.load(STORE).best["shallow tower"]
    for bias in (1.0, 0.0):
        world = simulate("town", seed=seed, **MEDIUM, thumbnail_bias=bias)
        s = Places(world, 8_000, first_day=8)
        fresh, clicked = s.fresh.cards, s.fresh.cards["clicked"].to_numpy()
        ways = {"by chance": None}
        if bias:
            ways["by popularity"] = _by_popularity(s, seed)
        for way, weight in ways.items():
            for name, kind in (("position", pb.ShallowTower), ("and size", fl.TwoBiases)):
                cell = cells_of if name == "position" else with_size
                model = kind(s.ranker(WIDTHS))
                pb.train_clicks(model, s.cards, cell(s.rows), s.clicked, weight, seed=seed,
                                **recipe)  # fmt: skip
                p = expit(pb.scores_of(model, s.scales(s.test), cell(fresh)).astype(float))
                z = {n: abs(fl.worst_group(clicked, p, c)) for n, c in suspects(fresh).items()}
                large = fresh["large_thumbnail"].to_numpy()
                ratio = [clicked[own].sum() / p[own].sum() for own in (large, ~large)]
                guilty = z.pop("large thumbnail")
                yield {"who": f"bias {bias:g}, {way}, {name}", "gap": np.log(ratio[0] / ratio[1]),
                       "z": guilty, "innocent": max(z.values()),
                       "clicks": s.live_clicks(s.serve(model))["clicks"]}  # fmt: skip


# --- PLE


SHAPES = {"mmoe": ("8 x 12", "5 x 19"), "ple": ("1 + 1 x 12", "1 + 5 x 8", "2 + 2 x 6")}
"""Experts x units on the input; of PLE each task's own + the common ones. All have 95 or 96."""


@functools.lru_cache(maxsize=1)
def _seven(seed):
    data = SevenTasks(simulate("town", seed=seed), 5_000, first_day=33)
    scales = Scales(data.train)
    return data, scales(data.train), scales(data.test)


LOST = 0.005
"""Of what there is to capture: who is that much below a network alone has lost."""


def _captured(name, seed, shape, **recipe):
    data, train, test = _seven(seed)
    numbers = [int(n) for n in shape.replace("+", "x").split("x")]
    kind = fl.PLE if name == "ple" else me.RankingMixture
    model = kind(InputLayer(data.features, seed=0), mo.best_constants(data.labels), *numbers)
    mo.train_tasks(model, train, data.labels, **recipe)
    found = data.captured(mo.predict_tasks(model, test))
    return {task: found[f"{task}/captured"] for task in TASKS}


def tune_ple():
    """Tune PLE and MMoE over one grid, by the mean of what they capture of the seven tasks."""

    def contestant(name):
        return lambda settings, world: np.mean([*_captured(name, world, **settings).values()])

    tuning.tune(
        {name: contestant(name) for name in SHAPES},
        {"shape": SHAPES, "rate": RATES, "passes": (1, 2, 3, 4, 6)},
        start={"rate": 0.01, "passes": 2}, store=STORE_PLE,
        about={"size": "town", "first day": 33}, give_up=0.02,
    )  # fmt: skip


def ple(seed):
    """What PLE and MMoE capture of each task, in the world of the trial `objectives`."""
    stored = ledger.row("objectives", seed)
    alone = {task: stored[f"alone {task}/{task}"] for task in TASKS}
    yield {"who": "alone", **alone, "mean": np.mean([*alone.values()])}
    for name, recipe in tuning.load(STORE_PLE).best.items():
        found = _captured(name, seed, **recipe)
        gain = np.array([found[task] - alone[task] for task in TASKS])
        losers = (gain < -LOST).sum()
        yield {"who": name, **found, "mean": np.mean([*found.values()]), "losers": losers,
               "pairs": (gain > LOST).sum() * losers}  # fmt: skip


# --- Small rankers


TEACHERS, LARGE, SMALL = 4, (128, 64, 32), (32,)


@functools.lru_cache(maxsize=1)
def _minutes(seed):
    s = NextDay(simulate("town", seed=seed, **MEDIUM), 500, first_day=10)
    scales = Scales(s.train)
    pages = LivePages(s.world, s.features, 4_000)
    return s, scales(s.train), pages, scales(pages.batch)


def _ranker(seed, widths, odds=None, first=0, **recipe):
    s, train, _, _ = _minutes(seed)
    clicked, weight = s.label("clicked"), s.label("watched_seconds") / 60
    bias = wt.best_constant(clicked, weight)
    model = wt.Ranker(InputLayer(s.features, seed=first), widths, bias, first)
    if odds is not None:
        recipe |= {"loss": lambda logit, _, weight: fl.taught(logit, weight)}
        weight = torch.from_numpy(odds)
    wt.train_ranker(model, train, clicked, weight, decay=3e-4, seed=first, **recipe)
    return model


def _live_minutes(seed, *models):
    _, _, pages, cards = _minutes(seed)
    odds = np.mean([np.exp(wt.logits_of(model, cards)) for model in models], axis=0)
    return pages.outcomes(odds)["watch_minutes"]


@functools.lru_cache(maxsize=3)
def _teachers(seed):
    recipe = tuning.load(f"{STORE_SMALL}_clicks").best["teacher"]
    models = [_ranker(seed, LARGE, first=i, **recipe) for i in range(TEACHERS)]
    train = _minutes(seed)[1]
    return models, np.mean([np.exp(wt.logits_of(m, train)) for m in models], axis=0)


def tune_small():
    """Tune a teacher and a student on clicks, then the student on what the teachers say."""
    grid = {"rate": RATES, "passes": (1, 2, 3, 4, 6, 8, 12, 16)}
    options = {"start": {"rate": 0.01, "passes": 4}, "about": MEDIUM, "give_up": 0.2, "rounds": 1}

    def learns(widths):
        return lambda settings, world: _live_minutes(world, _ranker(world, widths, **settings))

    tuning.tune({"teacher": learns(LARGE), "student, clicks": learns(SMALL)}, grid,
                store=f"{STORE_SMALL}_clicks", **options)  # fmt: skip

    def is_taught(settings, world):
        return _live_minutes(world, _ranker(world, SMALL, _teachers(world)[1], **settings))

    tuning.tune({"student, taught": is_taught}, grid, store=f"{STORE_SMALL}_taught", **options)


def small_rankers(seed):
    """Live minutes of teachers, students and few bits; what they cost."""
    models, odds = _teachers(seed)
    clicks = tuning.load(f"{STORE_SMALL}_clicks").best["student, clicks"]
    taught = tuning.load(f"{STORE_SMALL}_taught").best["student, taught"]
    student = _ranker(seed, SMALL, odds, **taught)
    s, _, pages, _ = _minutes(seed)
    ends = {"past": s.world.past_ranking(), "oracle": s.world.oracle("watch_minutes")}
    for name, policy in ends.items():
        chosen = policy(pages.asked)
        score = np.zeros(pages.shape)
        for place in range(chosen.shape[1]):
            score[pages.asked.candidates == chosen[:, place : place + 1]] = 99 - place
        yield {"who": name, "minutes": pages.outcomes(score.ravel())["watch_minutes"]}
    found = {"teachers": models, "one teacher": models[:1], "student, taught": [student],
             "student, clicks": [_ranker(seed, SMALL, **clicks)]}  # fmt: skip
    found |= {f"one teacher, {b} bits": [fl.with_few_bits(models[0], b)] for b in (8, 4, 3, 2)}
    found |= {f"student, taught, {b} bits": [fl.with_few_bits(student, b)] for b in (8, 4)}
    for name, some in found.items():
        yield {"who": name, "minutes": _live_minutes(seed, *some),
               "multiplications": sum(_multiplications(model) for model in some)}  # fmt: skip


def _multiplications(model):
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))


# --- Four weeks


def weeks(seed):
    """Four weeks in a village with an aftertaste, and in one without."""
    for dial in (2.0, 0.0):
        world = simulate("village", seed=seed, aftertaste=dial, future_days=28)
        policies = {
            "random": lambda service: service.world.random(),
            "past": lambda service: service.engine.past_ranking(service.engine.memory),
            "clicks": lambda service: fl.oracle(service, "clicks"),
            "satisfied": lambda service: fl.oracle(service, "satisfied"),
        }
        if dial:
            policies["planner"] = lambda service: fl.planner(service, service.today + 28)
        for name, make in policies.items():
            service = fl.Service(world)
            found = fl.weeks_of(service, make(service))
            yield {"who": f"dial {dial:g}, {name}", "all clicks": found["clicks"].sum(),
                   "first clicks": found["clicks"].iloc[0],
                   "last pages": found["pages"].iloc[-1]}  # fmt: skip


def tune():
    """Tune everybody in the chapter's contests."""
    tune_loops()
    tune_ple()
    tune_small()


TRIALS = (
    Trial("loops", loops, minutes=2.0),
    Trial("bottles", bottles, minutes=0.2),
    Trial("hidden_bias", hidden_bias, minutes=0.6),
    Trial("ple", ple, minutes=0.4, after=("objectives",)),
    Trial("small_rankers", small_rankers, minutes=1.0),
    Trial("weeks", weeks, minutes=0.5),
)
