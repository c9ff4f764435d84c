"""Held-out watches: the other way to make examples (P1, Fig. 5a), and the tests it is judged by.

A held-out watch is guessed from what lies around it, before and after. The next watch (Fig. 5b)
is guessed from what lies before it. Everything here is pure and works on whole tables.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.experiments.next_watch import NextWatch
from course.features import (
    BAG_LENGTH,
    NONE,
    WARM_UP_DAYS,
    Features,
    Inputs,
    history_bags,
    search_bags,
)
from course.logs.tables import Logs
from course.metrics import ranks
from course.models.candidate_generation import CandidateGenerator

CANDIDATE_SETS = ("never watched", "not watched before")


def around_bags(logs: Logs, examples: pd.DataFrame, length: int = BAG_LENGTH) -> np.ndarray:
    """Watches around each example: half of them before its time and half after.

    The label itself is left out, also where the account watched it once more.

    Parameters
    ----------
    examples : rows with ``user_id``, ``time`` (days) and ``video_id`` (the label)
    length : even, at least 2

    Returns
    -------
    (n, length) int32 video ids: the nearest first, before the example in the left half and after
    it in the right half; `NONE` where there is none
    """
    half = _half(length)
    found = np.hstack([history_bags(part, at, half) for part, at in _both_ways(logs, examples)])
    return np.where(found == examples["video_id"].to_numpy()[:, None], NONE, found)


def around_search_bags(logs: Logs, examples: pd.DataFrame, length: int = BAG_LENGTH) -> np.ndarray:
    """Search tokens around each example (n, length) int32, arranged like `around_bags`."""
    half = _half(length)
    return np.hstack([search_bags(part, at, half) for part, at in _both_ways(logs, examples)])


def _half(length: int) -> int:
    if length < 2 or length % 2:
        raise ConfigError(f"length={length!r}", allowed="an even number, at least 2")
    return length // 2


def _both_ways(logs: Logs, examples: pd.DataFrame):
    """The log and the examples as they are, and with the clock running backwards.

    What came after a moment is what came before it on the backward clock.
    """
    yield logs, examples
    # The rows turn round too, for the order of events that share a time.
    backward = {
        name: getattr(logs, name)[::-1].assign(time=lambda table: -table["time"])
        for name in ("watches", "searches")
    }
    yield dataclasses.replace(logs, **backward), examples.assign(time=-examples["time"])


def around_inputs(features: Features, logs: Logs, examples: pd.DataFrame) -> Inputs:
    """Inputs of examples with the bags of what lies around them, before and after."""
    inputs = features.of_examples(logs, examples)
    return inputs.replace(
        watched=features.videos.encode(around_bags(logs, examples, features.length)),
        searched=features.tokens.encode(around_search_bags(logs, examples, features.length)),
    )


class HeldOut:
    """The random held-out test, as it is usual: one watch of each account is taken out of the log.

    Parameters
    ----------
    game : NextWatch; the watches are taken from its training days
    seed : int, of the draw

    Attributes
    ----------
    events : DataFrame, the watches that were taken out, like ``game.events``
    logs : the training log without them: what models of either kind may train on
    """

    def __init__(self, game: NextWatch, seed: int = 0):
        watches = game.train.watches
        pool = game.examples(after=WARM_UP_DAYS)
        drawn = pool.sample(frac=1.0, random_state=seed).drop_duplicates("user_id").sort_index()
        pair = ["user_id", "video_id"]
        # A repeat of the same video would give the answer away, so it goes too.
        out = watches.reset_index().merge(drawn[pair], on=pair)["index"]
        self.game, self.events = game, drawn
        self.logs = dataclasses.replace(game.train, watches=watches.drop(index=out))
        self._watched = np.zeros((len(game.logs.users), len(game.train.videos)), bool)
        self._watched[watches["user_id"], watches["video_id"]] = True
        self._uploaded = game.train.videos["uploaded"].to_numpy()

    def hidden(self, candidates: str) -> np.ndarray:
        """Videos (n, videos) bool that do not compete with each event's own.

        Parameters
        ----------
        candidates : {"never watched", "not watched before"}
            "never watched": all that the account watched at any time are out of the race, also
            those that it watched only after the event (the usual way). "not watched before": only
            what was watched before it. Videos that were not uploaded yet are out in both.
        """
        if candidates not in CANDIDATE_SETS:
            raise ConfigError(f"candidates={candidates!r}", allowed=" or ".join(CANDIDATE_SETS))
        if candidates == "not watched before":
            return self.game.hidden(self.events)
        unborn = self._uploaded > self.events["time"].to_numpy()[:, None]
        return self._watched[self.events["user_id"].to_numpy()] | unborn

    def rank(self, model: CandidateGenerator, context: str, candidates: str) -> np.ndarray:
        """Rank (n,) of each held-out watch.

        Parameters
        ----------
        context : {"around", "past"}, what the model may look at
        candidates : see `hidden`
        """
        if context not in ("around", "past"):
            raise ConfigError(f"context={context!r}", allowed="'around' or 'past'")
        of = around_inputs if context == "around" else Features.of_examples
        scores = np.full(self.hidden(candidates).shape, -np.inf, np.float32)
        scores[:, model.features.videos.ids] = model.scores(
            of(model.features, self.logs, self.events)
        )
        return ranks(scores, self.events["video_id"].to_numpy(), self.hidden(candidates))
