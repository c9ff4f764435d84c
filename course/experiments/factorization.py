"""Floor and ceiling of the next watch, as chapter 04 asks for them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd

from course.experiments.next_watch import NextWatch
from course.lessons.matrix_factorization import popularity
from course.tasks.next_watch import Moments
from course.tasks.oracle import oracle
from course.world import World

RECENT_DAYS = 2.0

Scores = Callable[[np.ndarray], np.ndarray]


def sampled(game: NextWatch, n: int, seed: int = 0) -> pd.DataFrame:
    """``n`` random events of a game (all, if there are fewer), in order of time."""
    events = game.events.sample(min(n, len(game.events)), random_state=seed)
    return events.sort_values("time", kind="stable").reset_index(drop=True)


def per_account(score: Scores, events: pd.DataFrame) -> Callable[[slice], np.ndarray]:
    """Scores of events, for `NextWatch.rank`, from a function of their accounts."""
    user = events["user_id"].to_numpy()
    return lambda part: score(user[part])


def floors(game: NextWatch) -> dict[str, Scores]:
    """The guess without a model: watches of the last two days before the cut, by language."""
    language = game.train.users["language"].cat.codes.to_numpy()
    recent = popularity(game.train, RECENT_DAYS)
    return {"recent popularity": lambda user: recent[language[user]]}


def oracle_scores(world: World, game: NextWatch, events: pd.DataFrame) -> np.ndarray:
    """Scores (n, videos) of the truth, see `course.tasks.oracle`."""
    cut = SimpleNamespace(at=game.at, videos=len(game.train.videos))
    return oracle(world, cut)(Moments.of_events(game.logs, events))
