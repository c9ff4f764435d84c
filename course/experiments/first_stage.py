"""What a first stage of a few candidates may know: own clicks, all watches, nothing (ch. 11)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from course.errors import ConfigError
from course.experiments import feedback
from course.experiments.feedback import DAYS_PER_ROUND, ROUNDS, WINDOW_DAYS
from course.simulator.engine import Engine, Record
from course.simulator.feed import Policy, Requests
from course.simulator.streams import coins
from course.world import World, run_rounds

STAGES = ("own clicks", "all watches", "chance")


def learner(
    world: World, stage: str, explore: float = 0.0, *, days_per_round=DAYS_PER_ROUND, seed: int = 0
) -> Callable[[Record, Engine], Policy]:
    """The naive ranker behind a first stage that keeps 12 of 30 candidates.

    Parameters
    ----------
    stage : {"own clicks", "all watches", "chance"}; by clicks on the own pages, by watches from
        anywhere, both of the last six days, or drawn anew for each page

    Raises
    ------
    ConfigError
        For another stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"stage={stage!r}", allowed=", ".join(STAGES))
    given = feedback.learner(world, False, explore, closed=True, days_per_round=days_per_round,
                             seed=seed)  # fmt: skip

    def learn(record: Record, engine: Engine) -> Policy:
        policy = given(record, engine)
        if stage == "all watches":
            watches = policy.logs.watches
            now = policy.logs.impressions["time"].max()
            recent = watches["video_id"][watches["time"] >= now - WINDOW_DAYS]
            policy.clicks = np.bincount(recent, minlength=len(policy.logs.videos))
        return _ByChance(policy) if stage == "chance" else policy

    return learn


class _ByChance:
    """A policy whose first stage draws its candidates by chance."""

    def __init__(self, policy: feedback.LoopPolicy):
        self.policy, self.seed = policy, policy.seed

    def __call__(self, requests: Requests) -> np.ndarray:
        candidates = requests.candidates
        draws = coins(self.seed, "first stage", requests.request[:, None], candidates)
        keep = np.sort(np.argsort(draws, axis=1)[:, : feedback.KEPT], axis=1)
        names = ("candidates", "nominators", "previous_impressions")
        few = {name: np.take_along_axis(getattr(requests, name), keep, axis=1) for name in names}
        self.policy.clicks = None
        return self.policy(Requests(**{**vars(requests), **few}))


def trial(seed: int, rounds: int = ROUNDS, size=None) -> dict[str, float]:
    """The naive ranker behind each of ``STAGES``.

    Parameters
    ----------
    size : dials of the world in place of `course.experiments.feedback.MEDIUM`

    Returns
    -------
    dict with ``<stage>/<round>/<measure>``
    """
    world = feedback.loop_world(seed, **(size or {}))
    arms = {stage: learner(world, stage, seed=seed) for stage in STAGES}
    found = run_rounds(world, arms, rounds=rounds, days_per_round=DAYS_PER_ROUND)
    out = {}
    for row in feedback.measures(world, found.records).to_dict("records"):
        name = f"{row.pop('arm')}/{row.pop('round')}"
        out |= {f"{name}/{key}": float(value) for key, value in row.items()}
    return out
