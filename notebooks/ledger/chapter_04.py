"""Ledger of chapter 04, signals, the clock, and hidden layers."""

import time
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import candidate_generation as cg
from course.lessons import signals as sg
from course.metrics import mean_reciprocal_rank
from course.tasks.next_watch import Moments, NextWatch

CLAIMS = """
P1-F4: With example age the model learns the rise and fall of a video; without it, the average.
paper: correlation with the empirical curve .94 with age, .35 without; peak 76 %, a day late; about
  0 before the upload (digitised)
trial: freshness
* with age: correlation with the empirical curve
  | `clock, moments of the day/correlation` | above 0.9 | 0.94
* with age: height of the peak over the empirical one
  | `clock, moments of the day/peak` | 0.6 to 1 | 0.76
* with age: days by which the peak is late | `clock, moments of the day/delay` | -2 to 2 | 1
* with age: mean before the upload over mean after it
  | `clock, moments of the day/before` | below 0.2
* without age: correlation | `no clock, moments of the day/correlation` | below 0.4 | 0.35
- with age, nothing but the age changes: correlation | `clock, the same moments/correlation`
- with age, nothing but the age changes: height of the peak | `clock, the same moments/peak`
note: The model without the age is not blind, since the last watches of an account tell what day it
  is. Single videos have few watches a day here, which holds every correlation down.

P1-C6: Example age improves hold-out precision and brings new videos; other clocks do not
paper: MAP + 0.6 to 0.9 points; a dramatic rise of watch time on new videos live
trial: freshness
* MRR, with age minus without | `true age/mrr` - `no clock/mrr` | above 0
* videos under 5 days old among the first 20, with minus without age
  | `true age/fresh` - `no clock/fresh` | above 0
- nats, with age minus without (less is better) | `true age/nats` - `no clock/nats` | below 0
- live clicks a page, with minus without age
  | `live, true age/clicks` - `live, no clock/clicks` | above 0
- live minutes a page, with minus without age
  | `live, true age/watch_minutes` - `live, no clock/watch_minutes` | above 0
- MRR, served at the mean age minus at the true one | `mean age/mrr` - `true age/mrr` | below 0
- MRR, served at 0 minus at the true, slightly negative age | `age 0/mrr` - `true age/mrr`
- MRR, age of the video minus age of the example | `age of the video/mrr` - `true age/mrr` | below 0
- live clicks a page, age of the video minus age of the example
  | `live, age of the video/clicks` - `live, true age/clicks` | below 0
- live clicks a page, served at the mean age minus at the true one
  | `live, mean age/clicks` - `live, true age/clicks` | below 0
- MRR, with the quiet clock (its numbers as they are) minus with the tuned one
  | `quiet clock/mrr` - `true age/mrr` | below 0
note: The true age of a request is slightly negative; the root is that of 0 there. Live, the pages
  are made three days after the end of training, of videos that were there before it.

P1-C11: Demographics serve new users: the gain is where history is missing
paper: stated, no numbers
trial: newcomers
* MRR gained by region, gender, age and login, before the first watch
  | `both, none/mrr` - `nothing, none/mrr` | above 0
* that gain minus the gain from 20 watches on
  | (`both, none/mrr` - `nothing, none/mrr`)
  - (`both, 20 or more/mrr` - `nothing, 20 or more/mrr`) | above 0
- MRR gained before the first watch, among videos of the viewer's own language
  | `both, none, own language/mrr` - `nothing, none, own language/mrr` | above 0
- the same by gender, age and login alone
  | `person, none, own language/mrr` - `nothing, none, own language/mrr` | above 0
- MRR gained from 20 watches on
  | `both, 20 or more/mrr` - `nothing, 20 or more/mrr`
- MRR gained with 1 to 4 watches before | `both, 1 to 4/mrr` - `nothing, 1 to 4/mrr`
note: Asked about all watches of accounts of which the training saw nothing. The region tells the
  language, so among videos of the own language less is left.

P1-F6: More features and more depth improve hold-out precision
paper: MAP 6.4 % watches; 8.9 to 10.1 with searches; 9.5 to 10.95 with age; 10.8 to 12.9 all (depth
  0 to 4, digitised)
trial: depth
* searches: MRR above watches alone, no hidden layer (%)
  | percent(`searches, depth 0/mrr`, `watches, depth 0/mrr`) | above 0 | 39
* example age: MRR above searches, smallest over depths (%)
  | least(percent(`age, depth 0/mrr`, `searches, depth 0/mrr`),
    percent(`age, depth 1/mrr`, `searches, depth 1/mrr`),
    percent(`age, depth 2/mrr`, `searches, depth 2/mrr`)) | above 0 | 7 to 9
* all: MRR above example age, smallest over depths (%)
  | least(percent(`all, depth 0/mrr`, `age, depth 0/mrr`),
    percent(`all, depth 1/mrr`, `age, depth 1/mrr`),
    percent(`all, depth 2/mrr`, `age, depth 2/mrr`)) | above 0 | 14 to 16
* all: one layer above none, days after (MRR, %)
  | percent(`all, depth 1/mrr`, `all, depth 0/mrr`) | above 0 | 12
* all: two layers above none, days after (MRR, %)
  | percent(`all, depth 2/mrr`, `all, depth 0/mrr`) | above 0 | 15
- two layers and a skip above none, days after (MRR, %)
  | percent(`all, depth 2, skip/mrr`, `all, depth 0/mrr`) | above 0
- two layers and a skip minus none, days after (recall at 300)
  | `all, depth 2, skip/recall@300` - `all, depth 0/recall@300` | above 0
- one layer above none, inside the window (MRR, %)
  | percent(`all, depth 1/inside/mrr`, `all, depth 0/inside/mrr`) | above 0
- two layers and a skip above none, inside the window (MRR, %)
  | percent(`all, depth 2, skip/inside/mrr`, `all, depth 0/inside/mrr`) | above 0
- one layer minus none, days after (nats, less is better)
  | `all, depth 1/nats` - `all, depth 0/nats` | below 0
- two layers and a skip minus none, days after (nats)
  | `all, depth 2, skip/nats` - `all, depth 0/nats` | below 0
- two layers and a skip minus none, inside the window (nats)
  | `all, depth 2, skip/inside/nats` - `all, depth 0/inside/nats` | below 0
- one layer: gain in MRR with all signals minus with searches alone
  | (`all, depth 1/mrr` - `all, depth 0/mrr`)
  - (`searches, depth 1/mrr` - `searches, depth 0/mrr`) | above 0
note: Each tower was tuned for itself, by likelihood, on all signals, the loudness of its clock
  included. Up to two layers of half the paper's widths; the paper has four.

P1-F6b: Depth pays because signals interact.
paper: given as the reason for hidden layers; not tested apart
trial: depth_switch
* two layers and a skip minus linear, days after (nats)
  | `as it is, depth 2, skip/nats` - `as it is, depth 0/nats` | below 0
* that gain minus the gain where taste does not depend on the moment (nats)
  | (`as it is, depth 2, skip/nats` - `as it is, depth 0/nats`)
  - (`no moment, depth 2, skip/nats` - `no moment, depth 0/nats`) | below 0
- the same inside the window (nats)
  | (`as it is, depth 2, skip/inside/nats` - `as it is, depth 0/inside/nats`)
  - (`no moment, depth 2, skip/inside/nats` - `no moment, depth 0/inside/nats`) | below 0
- linear with a hand-made cross minus linear (nats)
  | `depth 0, a hand-made cross/nats` - `as it is, depth 0/nats` | below 0
- two layers and a skip minus linear with a hand-made cross (nats)
  | `as it is, depth 2, skip/nats` - `depth 0, a hand-made cross/nats` | below 0

P1-F6c: Depth pays for time, which a linear model cannot bend
paper: our own question; the paper gives interactions as the reason
trial: depth_switch
* gain of two layers and a skip minus the gain in a world without time (nats)
  | (`as it is, depth 2, skip/nats` - `as it is, depth 0/nats`)
  - (`no time, depth 2, skip/nats` - `no time, depth 0/nats`) | below 0
* linear with a vector for each day minus linear (nats)
  | `depth 0, a vector for each day/nats` - `as it is, depth 0/nats` | below 0
- two layers and a skip minus linear in a world without time (nats)
  | `no time, depth 2, skip/nats` - `no time, depth 0/nats`
- gain minus the gain in a world without time, inside the window (nats)
  | (`as it is, depth 2, skip/inside/nats` - `as it is, depth 0/inside/nats`)
  - (`no time, depth 2, skip/inside/nats` - `no time, depth 0/inside/nats`) | below 0

P1-F6d: With ten times the accounts, hidden layers pay.
paper: our own question; the paper has about a million times as many examples
trial: depth_more
* two layers and a skip above none, days after (MRR, %)
  | percent(`depth 2, skip/mrr`, `depth 0/mrr`) | above 0
* two layers and a skip minus none, days after (nats, less is better)
  | `depth 2, skip/nats` - `depth 0/nats` | below 0
- two layers and a skip above none, inside the window (MRR, %)
  | percent(`depth 2, skip/inside/mrr`, `depth 0/inside/mrr`) | above 0
- examples to learn from | `examples`
note: 25,000 accounts watch the same 2,000 videos, whose ranks are found over 20,000 watches. The
  recipes are those of a town of 2,500.
"""

RECALL = (20, 300)
GRID = {
    "rate": (0.003, 0.01, 0.03, 0.1), "tower_rate": (0.0003, 0.001, 0.003, 0.01, 0.03),
    "passes": (1, 2, 3, 5, 8),
}  # fmt: skip
TOWERS = {
    "depth 0": {"widths": ()},
    "depth 1": {"widths": (128,)},
    "depth 2": {"widths": (256, 128)},
    "depth 2, skip": {"widths": (256, 128), "skip": True},
}
SETS = {
    "watches": ("watches",),
    "searches": ("watches", "searches"),
    "age": ("watches", "searches", "age"),
    "all": sg.SIGNALS,
}


class Setting:
    """A town, cut for the game; one example in twenty is kept from training, to be asked about."""

    def __init__(self, seed, world=None, kept_out=None, days=3.0):
        self.seed, self.world = seed, world or simulate("town", seed=seed)
        self.game = NextWatch(self.world.logs(), days)
        self.videos, rows = self.game.videos, self.game.examples()
        out = np.random.default_rng(seed).random(len(rows)) < 0.05
        out = out if kept_out is None else kept_out(self, rows)
        self.inside = rows[out].reset_index(drop=True)
        self.tell = sg.teller(self.game.train, self.videos, self.game.at)
        self.given = self.tell(Moments.of_events(self.game.train, rows[~out]))
        self.label = torch.tensor(rows["video_id"].to_numpy(np.int64)[~out])
        self.counts = torch.bincount(self.label, minlength=self.videos)

    def train(self, rate, tower_rate, passes, signals=sg.SIGNALS, model=None, seed=0, **network):
        """A network trained with 500 corrected negatives."""
        network |= {"counts": self.counts, "seed": seed}
        model = model or sg.AllSignals(self.videos, signals, **network)
        loss = cg.sampled(cg.chances(cg.law(self.counts), 500), seed=seed)
        cg.train(model, self.given, self.label, loss, rate, tower_rate, passes=passes, seed=seed)
        return model

    def ask(self, model, n=None):
        """Rank and likelihood of the watches of the days after, and of those kept out."""
        scores = sg.answers(model, self.tell)
        days_after = self.game.events if n is None else self.game.sample(n)
        found = measured(self.game, scores, days_after)
        inside = measured(self.game, scores, self.inside if n is None else self.inside.head(n // 2))
        return found | {f"inside/{name}": value for name, value in inside.items()}


def measured(game, scores, events):
    """``mrr``, ``recall@k``, and ``nats``: minus the mean log probability of what was watched."""
    moments, label = Moments.of_events(game.logs, events), events["video_id"].to_numpy(np.int64)
    loss = []
    for rows in np.array_split(np.arange(len(events)), max(1, len(events) // 1_000)):
        one = moments[rows]
        s = torch.from_numpy(np.where(game.hidden(one), -np.inf, scores(one)))
        loss.append(functional.cross_entropy(s, torch.from_numpy(label[rows]), reduction="none"))
    nats = torch.cat(loss)
    return {**game.offline(scores, events, RECALL), "nats": float(nats[nats.isfinite()].mean())}


@cache
def _setting(seed):
    return Setting(seed)


def _score(who):
    def run(settings, world):
        begun, s = time.process_time(), _setting(world)
        model = s.train(**settings, **TOWERS[who])
        taken = time.process_time() - begun
        found = s.ask(model, 4_000)
        return {"score": -found["nats"], **found, "seconds": taken}

    return run


def tune():
    """Tune each tower, by the likelihood of what was watched on the days after."""
    tuning.tune(
        {who: _score(who) for who in TOWERS}, GRID,
        start={"rate": 0.01, "tower_rate": 0.001, "passes": 3},
        compare=("depth 2, skip", "depth 0"), store="tuning_depth", about={"size": "town"},
        give_up=0.01,
    )  # fmt: skip

    tuning.tune(
        {who: _louder(who) for who in TOWERS}, {"loud": (1, 3, 10, 30)},
        start={"loud": 3}, compare=("depth 2, skip", "depth 0"), more="loud", store="tuning_loud",
        about={"size": "town", "recipes": {who: _best(who) for who in TOWERS}}, give_up=0.1,
    )  # fmt: skip


def _louder(who):
    """The tuned tower, with the numbers of the clock multiplied."""

    def run(settings, world):
        begun, s = time.process_time(), _setting(world)
        model = s.train(**settings, **_best(who))
        taken = time.process_time() - begun
        found = s.ask(model, 4_000)
        fresh, _ = fresh_share(s.game, sg.answers(model, s.tell), s.game.sample(2_000))
        return {"score": -found["nats"], **found, "fresh": fresh, "seconds": taken}

    return run


def _best(who):
    """The recipe of a tower, with a clock of loudness 1."""
    return tuning.load("tuning_depth").best[who] | TOWERS[who]


def _loud(who):
    """The same with the loudness that suits it."""
    return _best(who) | tuning.load("tuning_loud").best[who]


# --- depth


def depth(seed):
    """Four sets of signals by depth, each depth with its recipe."""
    s = Setting(seed)
    for name, signals in SETS.items():
        for who in TOWERS if name != "watches" else ("depth 0",):
            if name == "all" or "skip" not in who:
                model = s.train(signals=signals, seed=seed, **_loud(who))
                yield {"who": f"{name}, {who}", **s.ask(model)}


RIVALS = {"depth 0, a vector for each day": sg.Daily, "depth 0, a hand-made cross": sg.Crossed}
SWITCHES = {
    "as it is": {},
    "no time": {"freshness": 0.0, "drift": 0.0},
    "no moment": {"context_taste": 0.0},
}


def depth_switch(seed):
    """Hidden layers against none, where a mechanism is off, and against rivals made by hand."""
    for kind, dials in SWITCHES.items():
        s = Setting(seed, simulate("town", seed=seed, **dials))
        for who in ("depth 0", "depth 2, skip"):
            yield {"who": f"{kind}, {who}", **s.ask(s.train(seed=seed, **_loud(who)))}
        for who, rival in RIVALS.items() if kind == "as it is" else ():
            recipe = _loud("depth 0")
            network = {name: recipe.pop(name) for name in ("widths", "loud")}
            model = rival(s.videos, counts=s.counts, seed=seed, **network)
            yield {"who": who, **s.ask(s.train(model=model, seed=seed, **recipe))}


ACCOUNTS = 25_000


def depth_more(seed):
    """Ten times the accounts: hidden layers against none."""
    s = Setting(seed, simulate("town", seed=seed, users=ACCOUNTS, cache=False))
    yield {"examples": len(s.label)}
    for who in ("depth 0", "depth 2, skip"):
        model = s.train(seed=seed, **_loud(who))
        yield {"who": who, **s.ask(model, 20_000)}


# --- the clock

SPAN = np.arange(-8, 17)
NO_CLOCK = tuple(name for name in sg.SIGNALS if name != "age")


def _video_age(s, **recipe):
    """The same network, told the age of the label's video where the example's age belongs."""
    own = s.given["age"]
    uploaded = s.game.train.videos["uploaded"].to_numpy()[s.label]
    age = s.at_of - uploaded
    s.given["age"] = torch.tensor(sg.age_inputs(-age, 0.0), dtype=torch.float32)
    model = s.train(**recipe)
    s.given["age"] = own
    return model


def fresh_share(game, scores, events, k=20, days=5.0):
    """Share of videos younger than `days` among the first k of each list; and truly watched."""
    moments = Moments.of_events(game.logs, events)
    uploaded = game.train.videos["uploaded"].to_numpy()
    rows = np.where(game.hidden(moments), -np.inf, scores(moments))
    first = np.argpartition(-rows, k, axis=1)[:, :k]
    young = moments.time[:, None] - uploaded[first] < days
    return young.mean(), (moments.time - uploaded[events["video_id"]] < days).mean()


def likeness(curves, real):
    """How like the true lives (videos, span) are the learned ones: medians over videos."""
    both = np.isfinite(curves) & np.isfinite(real)
    curves, real = np.where(both, curves, np.nan), np.where(both, real, np.nan)
    r = [np.corrcoef(c[k], t[k])[0, 1] if np.ptp(c[k]) > 1e-9 else 0.0
         for c, t, k in zip(curves, real, both, strict=True)]  # fmt: skip
    before = np.nanmean(curves[:, SPAN < -1], axis=1) / np.nanmean(curves[:, SPAN >= 0], axis=1)
    late = SPAN[np.nanargmax(curves, axis=1)] - SPAN[np.nanargmax(real, axis=1)]
    peak = np.nanmax(curves, axis=1) / np.nanmax(real, axis=1)
    return {"correlation": np.median(r), "peak": np.median(peak), "delay": np.median(late),
            "before": np.median(before)}  # fmt: skip


def freshness(seed):
    """Clocks: what they do to rank, to freshness, to the lives of videos, and to live pages."""
    s, recipe = Setting(seed), _loud(NETWORK)
    game, mean_age = s.game, float(30 * s.given["age"][:, 0].mean())
    s.at_of = game.at - 30 * s.given["age"][:, 0].numpy()
    models = {
        "no clock": s.train(signals=NO_CLOCK, seed=seed, **recipe),
        "clock": s.train(seed=seed, **recipe),
        "quiet clock": s.train(seed=seed, **_best(NETWORK)),
        "age of the video": _video_age(s, seed=seed, **recipe),
    }
    served = {
        "quiet clock": ("quiet clock", None),
        "no clock": ("no clock", None), "true age": ("clock", None), "age 0": ("clock", 0.0),
        "age 1": ("clock", 1.0), "mean age": ("clock", mean_age),
        "age of the video": ("age of the video", 0.0),
    }  # fmt: skip
    for who, (model, age) in served.items():
        scores = sg.answers(models[model], sg.teller(game.train, s.videos, game.at, age))
        share, true = fresh_share(game, scores, game.events)
        yield {"who": who, **measured(game, scores, game.events), "fresh": share}
    yield {"who": "watched", "fresh": true}
    days, videos = np.arange(5, int(game.at)), sg.launched(game)
    real = sg.since_upload(sg.daily_shares(game, days), days, game, videos, SPAN)
    rng = np.random.default_rng(seed)
    some = s.given[torch.from_numpy(rng.choice(len(s.label), 400, replace=False))]
    watches = game.examples()
    for who in ("no clock", "clock", "quiet clock"):
        fixed = sg.class_probabilities(models[who], some, game.at - days - 0.5)
        ofday = []
        for day in days:
            rows = watches[np.floor(watches["time"]) == day]
            rows = rows.sample(min(200, len(rows)), random_state=seed)
            one = s.tell(Moments.of_events(game.train, rows))
            with torch.no_grad():
                p = torch.softmax(models[who](one) @ models[who].output.weight.T, dim=1)
            ofday.append(p.mean(dim=0).numpy())
        for how, curves in (("the same moments", fixed), ("moments of the day", np.array(ofday))):
            lives = sg.since_upload(curves, days, game, videos, SPAN)
            yield {"who": f"{who}, {how}", **likeness(lives, real)}
    yield {"lives": len(videos)}
    live = {
        who: sg.answers(models[model], sg.teller(game.train, s.videos, game.at, age))
        for who, (model, age) in served.items()
    }
    for row in game.live(s.world, live, n=1_500).table.itertuples():
        if row.metric in ("clicks", "watch_minutes", "fresh_share"):
            value = row.observed if row.metric == "fresh_share" else row.expected
            yield {"who": f"live, {row.policy}", row.metric: value}


# --- newcomers

GROUPS = {"none": (0, 0), "1 to 4": (1, 4), "5 to 19": (5, 19), "20 or more": (20, 50)}
KNOWN = {
    "nothing": (), "region": ("region",), "person": ("person",), "both": ("region", "person"),
}  # fmt: skip


def _of_newcomers(s, rows):
    """Examples of two fifths of the accounts that joined during the log."""
    joined = s.game.train.users["joined"].to_numpy()
    chosen = (joined > 0) & (np.random.default_rng(s.seed).random(len(joined)) < 0.4)
    return chosen[rows["user_id"].to_numpy()]


def newcomers(seed):
    """What is known of a person, for people of whom the model has never seen anything."""
    s = Setting(seed, kept_out=_of_newcomers)
    game, recipe = s.game, _loud(NETWORK)
    spoken = game.train.users["language"].to_numpy()
    language = game.train.videos["language"].to_numpy()
    asked = pd.concat([s.inside, game.events[_of_newcomers(s, game.events)]], ignore_index=True)
    asked = asked[language[asked["video_id"]] == spoken[asked["user_id"]]].reset_index(drop=True)
    n = (Moments.of_events(game.logs, asked).watched >= 0).sum(axis=1)
    for name, known in KNOWN.items():
        signals = ("watches", "searches", "age", *known, "moment")
        scores = sg.answers(s.train(signals=signals, seed=seed, **recipe), s.tell)

        def own(moments, scores=scores):
            foreign = language[None] != spoken[moments.user][:, None]
            return np.where(foreign, -1e9, scores(moments))

        for how, scorer in (("", scores), (", own language", own)):
            rank = game.rank(scorer, asked)
            for group, (low, high) in GROUPS.items():
                rows = (n >= low) & (n <= high)
                yield {"who": f"{name}, {group}{how}", "mrr": mean_reciprocal_rank(rank[rows]),
                       "n": rows.sum()}  # fmt: skip


NETWORK = "depth 2, skip"
TRIALS = (
    Trial("depth", depth, minutes=2.7),
    Trial("depth_switch", depth_switch, minutes=2.0, further=True),
    Trial("depth_more", depth_more, minutes=5.0, further=True),
    Trial("freshness", freshness, minutes=1.2),
    Trial("newcomers", newcomers, minutes=0.9),
)
