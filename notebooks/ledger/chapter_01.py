"""Ledger of chapter 01, a simulated YouTube: what the log is like, and which cause makes what."""

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from course import simulate
from course.ledger import Trial
from course.lessons import clicks as lesson
from course.lessons import watch_time
from course.lessons.ranking_features import InputLayer, Scales
from course.simulator.behaviour import COMPONENTS, EXAMINATION_EXPONENT, TASKS
from course.simulator.experiment import live_requests
from course.simulator.laws import mean_rating
from course.tasks.next_day import NextDay

CLAIMS = """
P2-C15: Data are locally sparse: next to nothing is known about the tail of the videos
paper: stated as a difficulty (section 5.1), without numbers
trial: click_log
* clicks / impressions: median relative error, tenth of the videos that is shown least minus tenth
  that is shown most | `counted 0/error` - `counted 9/error` | above 0
- the same difference with at most 60 showings of each video minus that with all
  | (`thinned 0/error` - `thinned 9/error`) - (`counted 0/error` - `counted 9/error`) | below 0
- a trained ranker on fresh cards: median relative error, the same difference
  | `ranker 0/error` - `ranker 9/error` | above 0
- clicks / impressions: error in the least shown tenth | `counted 0/error`
- clicks / impressions: error in the most shown tenth | `counted 9/error`
- clicks / impressions: error in the most shown tenth, at most 60 showings | `thinned 9/error`
- ranker: error in the least shown tenth | `ranker 0/error`
- ranker: error in the most shown tenth | `ranker 9/error`
note: Counting knows nothing of the tail, and with as few showings next to nothing of the head. A
  ranker lets similar videos help each other through their features: card by card no difference
  between tail and head was seen (it misses most cards by much, for it does not know the viewer).

S-11: The fall of the click rate over positions is bias times relevance, and each part stays alone
paper: our own question; P2's Figure 6 shows an 11-fold fall over nine positions and no parts
trial: click_switches, click_log
* halvings with position bias off, minus those that relevance had before
  | `all positions looked at/click rate` - `as it is/relevance` | -0.3 to 0.3
* halvings with random pages, minus those that bias had before
  | `random pages/click rate` - `as it is/bias` | -0.3 to 0.3
* halvings with both off | `both/click rate` | -0.3 to 0.3
- relevance's share of the halvings, villages
  | `as it is/relevance` / `as it is/click rate` | below 0.5
- relevance's share of the halvings, towns | `town/relevance` / `town/click rate` | below 0.5
- fall of the click rate over nine positions, towns (fold) | `town/nine positions` || 11
note: Relevance is that of the cards that are looked at, so bias times relevance is the click rate
  exactly. The laws are ours, so this says that the split finds what was put in.

S-12: The bias can be found in the log, by comparing each video with itself
paper: P2 removes it by a shallow tower, and has no truth to compare with
trial: click_log
* what it leaves of the miss of click rates (share), phones, positions 2 to 10, over new coins
  | `phones/each video with itself` / `phones/click rates as they are` | below 0.5
- its mean miss | `phones/each video with itself` | -0.02 to 0.02
- the same by click rates as they are | `phones/click rates as they are` | below -0.02
- the same where each video is wanted alike everywhere
  | `phones/wanted alike everywhere` | -0.002 to 0.002
- standard deviation by chance at one position | `phones/by chance`
note: What new coins do not move is that a video stands higher for those whom it fits. Where it is
  wanted alike everywhere, that part is gone. The first line was put in the first place after five
  worlds had been seen.

S-13: Clickbait is clicked more and liked less
paper: P1 (section 4.2) and P2 (section 1) give it as a reason not to learn from clicks alone
trial: click_switches
* click rate of what is looked at (%), loudest quarter minus calmest: dial 1 minus dial 0
  | `clickbait 1/wanted (%)` - `clickbait 0/wanted (%)` | above 0
* stars after a click, loudest quarter minus calmest: dial 1 minus dial 0
  | `clickbait 1/stars` - `clickbait 0/stars` | below 0
- the same cards without that ingredient: change of the first (%)
  | `same cards without/wanted (%)` - `same cards/wanted (%)` | below 0
- the same cards without that ingredient: change of the second
  | `same cards without/stars` - `same cards/stars` | above 0

S-14: Where time is short, a watch takes time from the next one on its page
paper: our own question; a law of ours
trial: click_switches
* share watched of second clicks minus that of first ones: time short minus time without end
  | (`time 1/second` - `time 1/first`) - (`time 0/second` - `time 0/first`) | below 0
- minutes per click on videos over 20 minutes, time short against without end (%)
  | percent(`time 1/long minutes`, `time 0/long minutes`) | below 0
- clicks, time short against without end (%) | percent(`time 1/clicks`, `time 0/clicks`)

S-15: Titles tell the topic of a video that nobody has watched
paper: our own question; P2 (section 3) speaks of content and its semantic gap
trial: click_switches
* pairs with a word in common: share of the same topic, content 1 minus content 0
  | `content 1/same topic` - `content 0/same topic` | above 0
- any two videos: share of the same topic | `content 1/any two`
- content 0: pairs with a word in common minus any two
  | `content 0/same topic` - `content 0/any two`
"""

GROUPS, FEW, COINS = 10, 60, 20


def _truth(world):
    """P(looked at) and P(click | looked at) of each impression."""
    hidden = world.true_table("impressions")
    return [hidden[name].to_numpy(float) for name in ("p_seen", "p_click_if_seen")]


def _tenths(error, shown):
    """Median of errors (videos,) in ten groups of equally many videos, least shown first."""
    rank = np.argsort(np.argsort(np.asarray(shown), kind="stable"), kind="stable")
    group = rank * GROUPS // len(rank)
    return pd.Series(np.asarray(error)).groupby(group).median()


def click_log(seed):
    """One town: how well its videos are known, its fall over positions, and its bias found."""
    world = simulate("town", seed=seed)
    shown, (seen, wanted) = world.logs().impressions, _truth(world)
    video, place = shown["video_id"].to_numpy(), shown["position"].to_numpy()
    clicked, chance = shown["clicked"].to_numpy(), seen * wanted
    rates = lesson.known_rates(video, clicked, chance)
    order = np.random.default_rng(seed).permutation(len(video))
    few = order[pd.Series(video[order]).groupby(video[order]).cumcount().to_numpy() < FEW]
    thin = lesson.known_rates(video[few], clicked[few], chance[few])
    for who, error in (("counted", rates["off by"]), ("thinned", thin["off by"])):
        for tenth, value in _tenths(error, rates["shown"]).items():
            yield {"who": f"{who} {tenth}", "error": value}
    table = lesson.split(place, seen, wanted)
    nine = table["click rate"].loc[1] / table["click rate"].loc[9]
    yield {"who": "town", **lesson.halvings(table), "nine positions": nine}
    phone = shown["device"].cat.codes.to_numpy() == 0
    yield {"who": "phones", **_bias(video[phone], place[phone], seen[phone], wanted[phone], seed)}
    yield from _ranker(world, video, seed)


def _bias(video, place, seen, wanted, seed):
    """Mean misses of the bias of positions 2 to 10, over new coins on the same pages."""
    rng = np.random.default_rng(seed)
    true = lesson.looked_at(np.arange(2, 11), EXAMINATION_EXPONENT[0])
    alike = pd.Series(wanted).groupby(video).transform("mean").to_numpy()

    def found(chance):
        coins = (rng.random(len(video)) < chance for _ in range(COINS))
        tables = (lesson.count(video, place, clicked, video.max() + 1) for clicked in coins)
        return np.array([lesson.bias_from_log(*both)[1:] for both in tables])

    rate = lesson.split(place, seen, wanted)["click rate"].to_numpy()
    itself = found(seen * wanted)
    return {
        "each video with itself": (itself.mean(axis=0) - true).mean(),
        "wanted alike everywhere": (found(seen * alike).mean(axis=0) - true).mean(),
        "click rates as they are": (rate[1:] / rate[0] - true).mean(),
        "by chance": itself.std(axis=0, ddof=1).mean(),
    }


def _ranker(world, video, seed):
    """Errors of a click ranker on fresh cards, by how often their video was shown."""
    task = NextDay(world, 4_000, first_day=33)
    scales, clicked = Scales(task.train), task.label("clicked")
    ones = torch.ones(len(clicked))
    start = watch_time.best_constant(clicked, ones)
    ranker = watch_time.Ranker(InputLayer(task.features, seed=seed), (64, 32), start, seed)
    watch_time.train_ranker(ranker, scales(task.train), clicked, ones, passes=2, seed=seed)
    said = expit(watch_time.logits_of(ranker, scales(task.test)))
    # It does not know the place, so it is compared with the wish at a place of average visibility.
    truth = task.fresh.truth
    average = truth["p_click_if_seen"] * truth["p_click"].mean() / truth["p_click_if_seen"].mean()
    count = np.bincount(video, minlength=len(task.logs.videos))
    ever = np.flatnonzero(count)
    group = np.full(len(count), -1)
    group[ever] = np.argsort(np.argsort(count[ever], kind="stable")) * GROUPS // len(ever)
    of = group[task.fresh.cards["video_id"].to_numpy()]
    error = pd.Series(np.abs(said - average.to_numpy()) / average.to_numpy())
    for tenth, value in error.groupby(of).median().reindex(range(GROUPS)).items():
        yield {"who": f"ranker {tenth}", "error": value}


RANDOM = {"logger_relevance": 0, "logger_incumbency": 0}
SETTINGS = {"as it is": {}, "all positions looked at": {"position_bias": 0},
            "random pages": RANDOM, "both": {"position_bias": 0, **RANDOM}}  # fmt: skip


def click_switches(seed):
    """Villages with one mechanism switched off at a time."""
    for who, dials in SETTINGS.items():
        world = simulate("village", seed=seed, **dials)
        position = world.logs().impressions["position"].to_numpy()
        table = lesson.split(position, *_truth(world))
        yield {"who": who, **lesson.halvings(table)}
    for dial in (1, 0):
        yield {"who": f"clickbait {dial}", **_loud(simulate("village", seed=seed, clickbait=dial))}
    yield from _same_cards(simulate("village", seed=seed))
    for dial in (1, 0):
        logs = simulate("village", seed=seed, time_budget=dial).logs()
        yield {"who": f"time {dial}", **_times(logs)}
    for dial in (1, 0):
        short = {"content": dial, "days": 2, "future_days": 0, "cache": False}
        logs = simulate("village", seed=seed, **short).logs()
        yield {"who": f"content {dial}", **_topics(logs)}


def _apart(bait, of, weight, **values):
    """Loudest quarter of the videos minus the calmest, in the weighted mean of each value."""
    low, high = np.quantile(bait, [0.25, 0.75])
    groups = bait[of] > high, bait[of] < low
    mean = {name: [np.average(value[m], weights=weight[name][m]) for m in groups]
            for name, value in values.items()}  # fmt: skip
    return {name: loud - calm for name, (loud, calm) in mean.items()}


def _loud(world):
    hidden, bait = world.true_table("impressions"), world.true_table("videos")["clickbait"]
    seen, wanted = _truth(world)
    stars = hidden["expected_rating_if_clicked"].to_numpy(float)
    values = {"wanted (%)": 100 * wanted, "stars": stars}
    weight = {"wanted (%)": seen, "stars": seen * wanted}
    return _apart(bait.to_numpy(), world.logs().impressions["video_id"], weight, **values)


def _same_cards(world, n=2_000):
    """What the ingredient clickbait does to the same cards, met by the same people."""
    situation, asked = live_requests(world.engine, n)
    behaviour, pages = world.engine.behaviour, world.past_ranking()(asked)
    saw = behaviour.components(situation, pages, world.engine.memory)
    row = behaviour.weight_row(situation, pages)
    bait = world.engine.catalogue.clickbait
    for who, keep in (("same cards", 1), ("same cards without", 0)):
        here = saw.copy()
        here[..., COMPONENTS.index("clickbait")] *= keep
        z = {}
        for task in ("click", "survey"):
            weights = behaviour.weights[TASKS.index(task), row]
            z[task] = behaviour.intercepts[task] + (weights * here).sum(axis=-1).ravel()
        wanted = expit(z["click"])
        weight = {"wanted (%)": np.ones(len(wanted)), "stars": wanted}
        values = {"wanted (%)": 100 * wanted, "stars": mean_rating(z["survey"])}
        yield {"who": who, **_apart(bait, pages.ravel(), weight, **values)}


def _times(logs):
    clicks = logs.impressions[logs.impressions["clicked"]]
    length = logs.videos["duration_seconds"].to_numpy()[clicks["video_id"]]
    nth = clicks.groupby("request_id").cumcount().to_numpy()
    seconds = clicks["watched_seconds"].to_numpy(float)
    first, second = ((seconds / length)[nth == n].mean() for n in (0, 1))
    return {"first": first, "second": second, "clicks": len(clicks),
            "long minutes": seconds[length > 1200].mean() / 60}  # fmt: skip


def _topics(logs):
    found = lesson.same_topic(logs)
    return {"same topic": found["a word in common"], "any two": found["any two"]}


TRIALS = (
    Trial("click_log", click_log, minutes=0.2),
    Trial("click_switches", click_switches, minutes=0.2),
)
