"""Which features matter, and which laws: shuffle a column between cards, see what the loss says.

The same is done twice. *Model*: shuffle what the ranker sees. *Truth*: shuffle a component of the
laws (`course.simulator.behaviour`) and let the oracle score with it. The first says what a model
leans on, the second what there was to lean on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import expit

from course.errors import ConfigError
from course.experiments.churn import FIRST_DAY, all_but
from course.experiments.ranking import RankingTask, fit_ranker
from course.features import RankingInputs
from course.features.batch import RankingBatch
from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
)
from course.metrics import weighted_per_user_loss
from course.simulator import laws
from course.simulator.behaviour import COMPONENTS, Situation
from course.world import World, simulate

PAST = "past with channel and topic"
GROUPS: dict[str, tuple[str, ...]] = {
    PAST: (
        "watches of channel", "watches of topic", "days since channel", "days since topic",
        "next episode", "watched before",
    ),
    "which video, channel, topic": ("video", "channel", "topic", "video language", "format"),
    "the video's record": ("video click rate", "video watches", "video watched share"),
    "duration": ("duration",),
    "video age": ("video age",),
    "previous impressions": ("previous impressions",),
    "nominator": ("nominator", "nominating score"),
    "moment": ("device", "daypart", "surface"),
    "account": (
        "account language", "country", "gender", "age band", "logged in", "account watches",
        "account click rate", "account watch time", "days since watch",
    ),
    "what was watched and searched": (
        "seed video", "last video", "watched videos", "searched tokens",
    ),
}  # fmt: skip
"""All features, by what they speak of."""

LAW_GROUPS: dict[str, tuple[str, ...]] = {
    "interest and past": ("taste", "familiarity", "rewatch", "ladder", "satiation"),
    "quality and packaging": ("quality", "clickbait", "packaging"),
    "duration": ("length",),
    "video age": ("freshness",),
    "previous impressions": ("fatigue",),
    "language": ("foreign",),
    "moment": ("context",),
}
"""All components of the laws, by what they speak of."""

Measure = Callable[[np.ndarray], float]


def shuffled(
    inputs: RankingInputs, names: Sequence[str], rng: np.random.Generator
) -> RankingInputs:
    """The same cards with some features shuffled together: those of the impression between cards,
    those of the query between pages.

    Raises
    ------
    ConfigError
        For a feature that does not exist.
    """  # fmt: skip
    cards, pages = rng.permutation(len(inputs)), rng.permutation(inputs.pages)
    columns = {
        "codes": (IMPRESSION_CODES, cards), "numbers": (IMPRESSION_NUMBERS, cards),
        "query_codes": (QUERY_CODES, pages), "query_numbers": (QUERY_NUMBERS, pages),
    }  # fmt: skip
    bags = {"watched videos": "watched", "searched tokens": "searched"}
    known = {*bags, *(name for of, _ in columns.values() for name in of)}
    if isinstance(names, str) or set(names) - known:
        raise ConfigError(f"names={names!r}", allowed=f"some of {', '.join(sorted(known))}")
    changed = {bags[n]: getattr(inputs, bags[n])[pages] for n in names if n in bags}
    for field, (of, order) in columns.items():
        places = [i for i, name in enumerate(of) if name in names]
        if places:
            array = getattr(inputs, field).copy()
            array[:, places] = array[order][:, places]
            changed[field] = array
    return replace(inputs, **changed)


def permutation_importance(
    task: RankingTask,
    model,
    groups: Mapping[str, Sequence[str]],
    measure: Measure,
    *,
    repeats: int = 2,
    seed: int = 0,
) -> dict[str, float]:
    """Rise of the loss on fresh pages when the features of each group are shuffled.

    Parameters
    ----------
    model : a trained ranker with ``logits(batch)``
    groups : name -> features shuffled together
    measure : function scores (n,) of the fresh cards -> loss, see `measure_of`
    """
    rng = np.random.default_rng(seed)
    base = measure(model.logits(task.test))
    out = {}
    for group, names in groups.items():
        losses = []
        for _ in range(repeats):
            inputs = shuffled(task.test_inputs, names, rng)
            losses.append(measure(model.logits(RankingBatch.of(inputs, task.features))))
        out[group] = float(np.mean(losses)) - base
    return out


def measure_of(task: RankingTask, objective: str = "watch") -> Measure:
    """Loss in percent of the watch time of all pairs ("watch"), or of their clicks ("click")."""
    cards = task.next_day.cards
    seconds = cards["watched_seconds"] if objective == "watch" else cards["clicked"]

    def measure(scores: np.ndarray) -> float:
        loss = weighted_per_user_loss(scores, cards["clicked"], seconds, cards["request_id"])
        return 100 * loss

    return measure


def true_scores(
    world: World,
    cards: pd.DataFrame,
    objective: str = "watch",
    permute: Sequence[str] = (),
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """What the oracle says of cards (n,) when some components of the laws are shuffled.

    Parameters
    ----------
    cards : whole pages, as `course.experiments.next_day.NextDay.cards`
    objective : "watch" = expected seconds of a card that is looked at, "click" = P(click) then
    permute : some of `course.simulator.behaviour.COMPONENTS`, shuffled together between cards;
        with "length" the seconds of the video move along
    """
    unknown = set(permute) - set(COMPONENTS)
    if unknown:
        raise ConfigError(f"components {sorted(unknown)}", allowed=", ".join(COMPONENTS))
    behaviour = world.engine.behaviour
    slate = int(cards["position"].max())
    head = cards.iloc[::slate]
    situation: Situation = behaviour.situation(
        head["user_id"].to_numpy(), head["time"].to_numpy(), head["device"].cat.codes.to_numpy()
    )
    video = cards["video_id"].to_numpy().reshape(-1, slate)
    parts = behaviour.components(situation, video, world.engine.memory)
    seconds = behaviour.catalogue.seconds[video]
    if permute:
        order = rng.permutation(video.size)
        flat = parts.reshape(-1, len(COMPONENTS))
        columns = [COMPONENTS.index(name) for name in permute]
        flat[:, columns] = flat[order][:, columns]
        if "length" in permute:
            seconds = seconds.ravel()[order].reshape(seconds.shape)
    score = expit(behaviour.score("click", situation, video, parts))
    if objective == "watch":
        score = score * laws.mean_watched_share(behaviour.score("watch", situation, video, parts))
        score = score * seconds
    return score.ravel()


def true_importance(
    task: RankingTask,
    groups: Mapping[str, Sequence[str]],
    objective: str = "watch",
    *,
    repeats: int = 2,
    seed: int = 0,
) -> dict[str, float]:
    """Rise of the oracle's loss when the components of each group are shuffled between cards."""
    rng, measure = np.random.default_rng(seed), measure_of(task, objective)
    cards = task.next_day.cards
    base = measure(true_scores(task.world, cards, objective))
    return {
        group: float(np.mean([
            measure(true_scores(task.world, cards, objective, names, rng)) for _ in range(repeats)
        ])) - base
        for group, names in groups.items()
    }  # fmt: skip


def trial(
    seed: int, size: str = "small", test_pages: int = 10_000, first_day: float = FIRST_DAY
) -> dict[str, float]:
    """Importance of all groups and features for a watch-time and a click ranker, for one seed."""
    world = simulate(size, seed=seed)
    task = RankingTask(world, test_pages, first_day=first_day)
    no_past = all_but(task.features, *GROUPS[PAST])
    singles = {name: (name,) for name in task.features.names}
    out: dict[str, float] = {}
    for objective in ("watch", "click"):
        measure = measure_of(task, objective)
        model = fit_ranker(task, objective=objective, seed=seed)
        blind = fit_ranker(task, objective=objective, seed=seed, include=no_past)
        found = {
            "loss": {"ranker": measure(model.logits(task.test)),
                     "without the past": measure(blind.logits(task.test)),
                     "oracle": measure(true_scores(world, task.next_day.cards, objective))},
            "group": permutation_importance(task, model, GROUPS, measure, seed=seed),
            "feature": permutation_importance(task, model, singles, measure, repeats=1, seed=seed),
            "law": true_importance(task, LAW_GROUPS, objective, seed=seed),
            "component": true_importance(
                task, {name: (name,) for name in COMPONENTS}, objective, seed=seed
            ),
        }  # fmt: skip
        for kind, values in found.items():
            out.update({f"{objective}/{kind}/{name}": v for name, v in values.items()})
    return out
