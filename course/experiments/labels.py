"""Labels and context: one network, trained on different questions.

Every variant below is the candidate generator of chapter 03 with the same inputs, the same
optimiser and the same number of passes. Only the examples differ: which watches are labels, what
lies in the context, how many each account may give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.experiments.heldout import CANDIDATE_SETS, HeldOut, around_inputs
from course.experiments.last_query import LastQueryFeatures, LastQueryGenerator, last_queries
from course.experiments.next_watch import AGE_FLOOR, CHUNK, NextWatch, fit_model
from course.features import Features
from course.logs.tables import Logs
from course.metrics import hit_rate, mean_reciprocal_rank, ranks
from course.models.candidate_generation import (
    SIGNALS,
    Batch,
    CandidateGenerator,
    CandidatePolicy,
    training_set,
)
from course.simulator.experiment import FRESH_DAYS
from course.world import World, ab_test, simulate

CAP = 20
"""Examples that each account may give."""

FEED = ("home", "up_next")
Select = Callable[[pd.DataFrame, Logs], pd.DataFrame]


def capped(rows: pd.DataFrame, logs: Logs, per_user: int = CAP, seed: int = 0) -> pd.DataFrame:
    """At most ``per_user`` examples of each account, drawn at random."""
    shuffled = rows.sample(frac=1.0, random_state=seed)
    return shuffled[shuffled.groupby("user_id").cumcount() < per_user].sort_index()


def own_pages(rows: pd.DataFrame, logs: Logs) -> pd.DataFrame:
    """Examples that came from the platform's own pages."""
    return rows[logs.watches.loc[rows.index, "source"].isin(FEED)]


def completed(rows: pd.DataFrame, logs: Logs) -> pd.DataFrame:
    """Examples that were watched to the end (80 % or more)."""
    return rows[logs.watches.loc[rows.index, "completed"]]


def liked(rows: pd.DataFrame, logs: Logs) -> pd.DataFrame:
    """Examples after which the viewer pressed like."""
    return rows[logs.watches.loc[rows.index, "liked"]]


def surveyed(rows: pd.DataFrame, logs: Logs) -> pd.DataFrame:
    """Examples to which a survey gave four or five stars."""
    return rows[logs.watches.loc[rows.index, "survey"] >= 4]


def as_many_as(select: Select) -> Select:
    """As many examples as another choice takes, drawn from all."""

    def sample(rows: pd.DataFrame, logs: Logs) -> pd.DataFrame:
        return rows.sample(len(select(rows, logs)), random_state=0).sort_index()

    return sample


@dataclass(frozen=True)
class Variant:
    """One way to ask the question.

    Attributes
    ----------
    select : which of all examples become labels
    around : the context is what lies before and after the label, not only before
    last_query : the words of the last query are a separate input
    signals : what the model sees
    """

    select: Select | None = None
    around: bool = False
    last_query: bool = False
    signals: tuple[str, ...] = SIGNALS


NO_SEARCH = tuple(name for name in SIGNALS if name != "searches")
VARIANTS: dict[str, Variant] = {
    "next watch": Variant(),
    "held-out watch": Variant(around=True),
    "last query in order": Variant(last_query=True),
    "no searches": Variant(signals=NO_SEARCH),
    "20 per account": Variant(capped),
    "sample, as many as 20 per account": Variant(as_many_as(capped)),
    "own pages only": Variant(own_pages),
    "sample, as many as own pages": Variant(as_many_as(own_pages)),
    "completed": Variant(completed),
    "liked": Variant(liked),
    "sample, as many as liked": Variant(as_many_as(liked)),
    "4 or 5 stars": Variant(surveyed),
}


def train(
    variant: Variant,
    logs: Logs,
    rows: pd.DataFrame,
    *,
    features: Features | None = None,
    seed: int = 0,
    epochs: int = 3,
    progress: Callable | None = None,
    depth: int = 0,
    **model,
) -> CandidateGenerator:
    """Train the network on a variant's examples.

    Parameters
    ----------
    logs : the log to look back into (and, for held-out watches, around)
    rows : all examples, from `course.features.examples`, with the index of ``logs.watches``
    features : Features of that log; made if left out. The last query needs its own kind.
    """
    rows = rows if variant.select is None else variant.select(rows, logs)
    kind = LastQueryFeatures if variant.last_query else Features
    if features is None or variant.last_query:
        features = kind(logs, floor=AGE_FLOOR)
    made = LastQueryGenerator if variant.last_query else CandidateGenerator
    network = made(features, variant.signals, depth=depth, seed=seed, **model)
    data = training_set(features, logs, rows)
    if variant.around:
        label = features.labels(rows)
        known = label != features.videos.padding
        data = Batch.of(around_inputs(features, logs, rows[known]), label[known])
    network.examples = len(data)
    network.history = fit_model(network, data, epochs=epochs, seed=seed, progress=progress)
    return network


LIVE = {"clicks": "clicks", "watch_minutes": "minutes", "satisfied": "satisfied"}
SOON = 0.5
"""Days: a page asked for within this time after a search comes right after it."""


def offline(game: NextWatch, model: CandidateGenerator) -> dict[str, float]:
    """What the standard test says: next watches of the last days, and some parts of them.

    Returns
    -------
    dict of float
        ``mrr``, ``recall@100``: over watches. ``mrr by account``: mean over accounts of their own
        mean. ``mrr group 1`` (lightest) to ``5``: the same by activity before the cut. ``mrr after
        search``, ``mrr home``: watches that a search or the home page led to. ``tail recall@100``:
        watches of the less watched half of the videos. ``tail listed``: share of that half that
        stands among the first 20 of some event.
    """
    events, scores = game.events, game.catalogue_scores(model)
    listed, rank = np.zeros(len(game.train.videos), bool), []
    for start in range(0, len(events), CHUNK):
        part = slice(start, start + CHUNK)
        hidden, rows = game.hidden(events.iloc[part]), scores(part)
        rank.append(ranks(rows, events["video_id"].to_numpy()[part], hidden))
        listed[np.argpartition(np.where(hidden, np.inf, -rows), 20, axis=1)[:, :20]] = True
    rank = np.concatenate(rank)
    reciprocal = pd.Series(1.0 / rank)
    user = events["user_id"].to_numpy()
    own = reciprocal.groupby(user).mean()
    out = {
        "mrr": float(reciprocal.mean()),
        "recall@100": hit_rate(rank, 100),
        "mrr by account": float(own.mean()),
    }
    group = activity_group(game.train, own.index.to_numpy())
    for number, value in own.groupby(group).mean().items():
        out[f"mrr group {number}"] = float(value)
    source = events["source"].to_numpy()
    out["mrr after search"] = float(reciprocal[source == "search"].mean())
    out["mrr home"] = float(reciprocal[source == "home"].mean())
    tail = is_tail(game.train)
    out["tail recall@100"] = hit_rate(rank[tail[events["video_id"]]], 100)
    out["tail listed"] = float(listed[tail].mean())
    return out


def held_out(test: HeldOut, model: CandidateGenerator) -> dict[str, float]:
    """MRR of held-out watches by what may be looked at and what competes, see `HeldOut.rank`."""
    return {
        f"held {context}, {candidates}": mean_reciprocal_rank(test.rank(model, context, candidates))
        for context in ("around", "past")
        for candidates in CANDIDATE_SETS
    }


def activity_group(logs: Logs, user: np.ndarray, groups: int = 5) -> np.ndarray:
    """Group of each account, 1 (fewest watches in the log) to ``groups``, of equal size."""
    watches = np.bincount(logs.watches["user_id"], minlength=len(logs.users))[user]
    order = np.argsort(np.argsort(watches, kind="stable"), kind="stable")
    return 1 + order * groups // max(len(user), 1)


def is_tail(logs: Logs) -> np.ndarray:
    """The less watched half of the videos (videos,) bool."""
    watches = np.bincount(logs.watches["video_id"], minlength=len(logs.videos))
    return np.argsort(np.argsort(watches, kind="stable"), kind="stable") < len(watches) // 2


def live(
    world: World, policies: Mapping[str, Callable], n: int = 4_000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """What viewers make of the pages on the day after the log: exact expectations per page.

    Parameters
    ----------
    policies : name -> policy; all face the same requests, for the home page

    Returns
    -------
    dict of dict of float
        ``clicks``, ``minutes``, ``satisfied`` per page; ``clicks after search`` and ``clicks after
        errand``: pages within half a day after a search (one that was no taste);
        ``query topic``: share of cards on the topic of the account's last query, ``query topic
        after search`` likewise; ``coverage``, ``fresh`` (cards under a week old), ``age`` (days),
        ``new shown`` (share of the videos of the last week that were shown at all).
    """
    result = ab_test(world, policies, n=n, seed=seed, candidates="catalogue")
    topic, errand, since = last_queries(world, result.requests)
    soon = since < SOON
    errand &= soon
    videos = world.logs().videos
    new = videos["uploaded"].to_numpy() > world.config.days - FRESH_DAYS
    of_video = videos["topic"].cat.codes.to_numpy()
    table = result.table.set_index(["policy", "metric"])["expected"]
    out = {}
    for name, page in result.pages.items():
        row = {ours: float(table[name, theirs]) for theirs, ours in LIVE.items()}
        for metric, ours in (("clicks", "clicks"), ("satisfied", "satisfied")):
            each = result.per_page[name][metric][1]
            row[f"{ours} after search"] = float(each[soon].mean())
            row[f"{ours} after errand"] = float(each[errand].mean())
        page = np.minimum(page, len(videos) - 1)  # uploaded since: nobody's topic
        same = (of_video[page] == topic[:, None]).mean(axis=1)
        row["query topic"] = float(same[~np.isnan(topic)].mean())
        row["query topic after search"] = float(same[soon].mean())
        row["query topic after errand"] = float(same[errand].mean())
        row["coverage"] = float(table[name, "coverage"])
        row["fresh"] = float(table[name, "fresh_share"])
        row["age"] = float(table[name, "age_days"])
        shown = np.zeros(len(videos), bool)
        shown[page] = True
        row["new shown"] = float(shown[new].mean())
        out[name] = row
    return out


def trial(seed: int) -> dict[str, float]:
    """All variants in one small world: the standard test, the held-out tests, and live."""
    return measure_all(simulate("small", seed=seed), seed)


def measure_all(world: World, seed: int, names: Iterable[str] = tuple(VARIANTS)) -> dict:
    """Train the variants on the log up to the cut; measure each in every way.

    Live, the models are as old as the test is long (three days), all of them alike; what accounts
    watched and searched in those days they do see, as inputs.
    """
    game = NextWatch(world.logs())
    held = HeldOut(game, seed)
    rows = game.examples().drop(index=held.events.index)
    models, out = {}, {}
    for name in names:
        models[name] = train(VARIANTS[name], held.logs, rows, seed=seed)
        out |= {f"{name}/{key}": v for key, v in offline(game, models[name]).items()}
        out[f"{name}/examples"] = float(models[name].examples)
        if name in ("next watch", "held-out watch"):
            out |= {f"{name}/{key}": v for key, v in held_out(held, models[name]).items()}
    policies = {name: CandidatePolicy(model) for name, model in models.items()}
    ends = {"random": world.random(), "oracle": world.oracle("click")}
    for name, row in live(world, policies | ends).items():
        out |= {f"{name}/{key}": value for key, value in row.items()}
    return out


ERRANDS: dict[str, dict[str, float]] = {
    "no errands": {"search_errands": 0.0},
    "nearly all errands": {"search_errands": 0.9},
}
QUERY_MODELS = ("next watch", "last query in order")


def errands_trial(seed: int) -> dict[str, float]:
    """The bag of words against the last query in order, where searches are taste, or are not."""
    out = {}
    for setting, dials in ERRANDS.items():
        found = measure_all(simulate("small", seed=seed, **dials), seed, QUERY_MODELS)
        kept = ("mrr", "mrr after search", "mrr home", "clicks", "minutes", "query topic")
        for name in QUERY_MODELS:
            out |= {f"{setting}/{name}/{key}": found[f"{name}/{key}"] for key in kept}
    return out
