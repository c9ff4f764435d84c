"""The one question that all candidate generators are asked: what does this account watch next?

The log is cut at a day. What came before trains; each first watch of the days after is an event
to be guessed, from what was known just before it, among all videos that the account has not
watched yet. Ranks are turned into two numbers: the mean reciprocal rank and recall at k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from course.errors import LogError
from course.features import WARM_UP_DAYS, Features, examples
from course.logs import first_watches, time_split
from course.logs.tables import Logs
from course.metrics import hit_rate, mean_reciprocal_rank, ranks
from course.models.candidate_generation import SIGNALS, CandidateGenerator, training_set
from course.training import History, fit

TEST_DAYS = 3.0
AGE_FLOOR = 0.0
"""Smallest example age (days), the one that is served. A floor of two days was tried: a better
cross-entropy, and worse ranks."""
CHUNK = 1_000
"""Events that are ranked at a time: a row of scores for each would not fit for large worlds."""


class NextWatch:
    """The guessing game on one log.

    Parameters
    ----------
    logs : Logs, the whole log
    days : float, length of the test, at the end of the log
    **features : options of `course.features.Features`

    Attributes
    ----------
    logs, train : the whole log and its part before the cut
    at : float, the day of the cut
    events : DataFrame ``user_id, time, device, daypart, source, video_id``, what is to be guessed:
        first watches of videos that were there before the cut
    features : Features, fitted on ``train``
    """

    def __init__(self, logs: Logs, days: float = TEST_DAYS, **features):
        end = float(np.ceil(logs.watches["time"].max()))
        split = time_split(logs, end - days, days)
        self.logs, self.train, self.at = logs, split.train, split.at
        self.features = Features(split.train, **features)
        later = first_watches(logs.watches)
        later = later[(later["time"] >= self.at) & (later["video_id"] < len(split.train.videos))]
        if later.empty:
            raise LogError("no first watch of a known video after the cut", fix="test more days")
        columns = ["user_id", "time", "device", "daypart", "source", "video_id"]
        self.events = later[columns].reset_index(drop=True)
        # When each account first met each video: decides what is left to recommend.
        self._first = np.full((len(logs.users), len(split.train.videos)), np.inf, np.float32)
        known = logs.watches[logs.watches["video_id"] < self._first.shape[1]]
        pair = known["user_id"].to_numpy(), known["video_id"].to_numpy()
        np.minimum.at(self._first, pair, known["time"].to_numpy(np.float32))
        self._uploaded = split.train.videos["uploaded"].to_numpy(np.float32)

    def __repr__(self) -> str:
        return f"NextWatch({len(self.events):,} events from day {self.at:g} on)"

    def examples(self, **options) -> pd.DataFrame:
        """Training examples before the cut; options as in `course.features.examples`."""
        options = {"after": WARM_UP_DAYS, **options}
        return examples(self.train, self.at, **options)

    def hidden(self, events: pd.DataFrame) -> np.ndarray:
        """What cannot be recommended (n, videos) bool: watched before, or not uploaded yet."""
        time = events["time"].to_numpy(np.float32)[:, None]
        return (self._first[events["user_id"].to_numpy()] < time) | (self._uploaded > time)

    def rank(
        self,
        scores: np.ndarray | Callable[[slice], np.ndarray],
        events: pd.DataFrame | None = None,
    ) -> np.ndarray:
        """Rank of each event's video (n,), 1 = best; ties count half.

        Parameters
        ----------
        scores : float (n, videos), a column for each video of ``train``; or a function of a slice
            of the events that returns these rows
        events : rows like ``self.events`` (default: these)
        """
        events = self.events if events is None else events
        target, out = events["video_id"].to_numpy(), []
        for start in range(0, len(events), CHUNK):
            part = slice(start, start + CHUNK)
            rows = scores(part) if callable(scores) else scores[part]
            out.append(ranks(rows, target[part], self.hidden(events.iloc[part])))
        return np.concatenate(out)

    def catalogue_scores(
        self, model: CandidateGenerator, events: pd.DataFrame | None = None, **inputs
    ) -> Callable[[slice], np.ndarray]:
        """Scores of a candidate generator, as `rank` wants them.

        Videos outside its vocabulary get minus infinity. ``inputs`` replaces inputs of the model,
        such as ``age=example_age(...)``.
        """
        events = self.events if events is None else events
        found = model.features.of_examples(self.logs, events)
        found = found.replace(**inputs) if inputs else found

        def rows(part: slice) -> np.ndarray:
            known = model.scores(found[part])
            out = np.full((len(known), len(self.train.videos)), -np.inf, np.float32)
            out[:, model.features.videos.ids] = known
            return out

        return rows

    def measure(
        self,
        scores: np.ndarray | Callable[[slice], np.ndarray] | CandidateGenerator,
        events: pd.DataFrame | None = None,
        recall: Sequence[int] = (20, 100),
    ) -> dict[str, float]:
        """``mrr`` and ``recall@k``; of a model also ``nats``, its cross-entropy.

        The cross-entropy is over the whole vocabulary and the events whose video is in it.
        """
        out = {}
        if isinstance(scores, CandidateGenerator):
            out["nats"] = self.cross_entropy(scores, events)
            scores = self.catalogue_scores(scores, events)
        rank = self.rank(scores, events)
        at = {f"recall@{k}": hit_rate(rank, k) for k in recall}
        return {"mrr": mean_reciprocal_rank(rank), **at, **out}

    def cross_entropy(self, model: CandidateGenerator, events: pd.DataFrame | None = None) -> float:
        """Mean of -log P(video | moment) in nats."""
        events = self.events if events is None else events
        label = model.features.labels(events)
        known = label != model.features.videos.padding
        inputs = model.features.of_examples(self.logs, events[known])
        label, total = torch.from_numpy(label[known]), 0.0
        for start in range(0, len(label), CHUNK):
            part = slice(start, start + CHUNK)
            scores = torch.from_numpy(model.scores(inputs[part]))
            total += float(functional.cross_entropy(scores, label[part], reduction="sum"))
        return total / len(label)


def fit_candidates(
    features: Features,
    logs: Logs,
    examples: pd.DataFrame,
    signals: tuple[str, ...] = SIGNALS,
    *,
    epochs: int = 3,
    batch: int = 512,
    seed: int = 0,
    progress: Callable | None = None,
    **model,
) -> CandidateGenerator:
    """Train a candidate generator the way all chapters do.

    Parameters
    ----------
    features : Features
    logs : the log to look back into for the inputs of the examples
    examples : what `NextWatch.examples` or `course.features.examples` returned
    signals, **model : see `CandidateGenerator`
    epochs, batch, seed, progress : see `course.training.fit`

    Returns
    -------
    CandidateGenerator, with its training in the attribute ``history``
    """
    made = CandidateGenerator(features, signals, seed=seed, **model)
    made.history = fit_model(
        made, training_set(features, logs, examples), epochs=epochs, batch=batch, seed=seed,
        progress=progress,
    )  # fmt: skip
    return made


def fit_model(
    model: CandidateGenerator, data, *, epochs: int = 3, batch: int = 512, seed: int = 0, **options
) -> History:
    """Fit a candidate generator (or one like it) to a prepared `Batch` of examples."""
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # sampled negatives
        history = fit(
            model.parameter_groups(), lambda rows: model.loss(data[rows]), len(data),
            epochs=epochs, batch=batch, seed=seed, **options,
        )  # fmt: skip
    model.eval()
    return history
