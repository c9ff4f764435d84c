"""A candidate generator that knows which query came last, and in which order its words stood.

The candidate generator of chapters 03 and 04 gets search words as a bag. This one gets the same
bag and, beside it, the words of the last query, each in its place. Nothing else differs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from course.features import Features, Inputs
from course.logs.tables import Logs
from course.models.bags import Bag
from course.models.candidate_generation import SIGNALS, Batch, CandidateGenerator
from course.simulator.feed import Requests
from course.simulator.organic import TOPIC_WORDS
from course.world import World

WORDS = 3
"""Words of a query, at most."""


def last_query(tokens: np.ndarray, opens: np.ndarray, padding: int) -> np.ndarray:
    """Words of the last query, in order, from a flat list of search words.

    Parameters
    ----------
    tokens : (n, T) int, rows of a vocabulary, newest first
    opens : (vocabulary + 1,) bool, whether a word stands at the beginning of a query
    padding : row that means "no word"

    Returns
    -------
    (n, 3) int, first word first; ``padding`` where there is none
    """
    begins = opens[tokens]
    column = begins.argmax(axis=1)[:, None] - np.arange(WORDS)
    found = np.take_along_axis(tokens, np.maximum(column, 0), axis=1)
    return np.where((column >= 0) & begins.any(axis=1)[:, None], found, padding)


class LastQueryFeatures(Features):
    """`Features` whose search inputs have three more columns: the last query, word by word.

    A live request lists search words without saying where one query ends and the next begins. In
    this log no word that opens a query ever stands elsewhere in one, so the list can be cut.

    Attributes
    ----------
    opens : (tokens + 1,) bool, whether a word opens queries in the training log
    """

    def __init__(self, logs: Logs, **options):
        super().__init__(logs, **options)
        self.opens = np.zeros(len(self.tokens) + 1, bool)
        self.opens[self.tokens.encode(logs.searches["token_1"].to_numpy())] = True
        self.opens[self.tokens.padding] = False

    def of_examples(self, logs: Logs, examples: pd.DataFrame) -> Inputs:
        """Inputs of past moments, see `Features.of_examples`."""
        return self._with_query(super().of_examples(logs, examples))

    def of_requests(self, requests: Requests) -> Inputs:
        """Inputs of live page requests, see `Features.of_requests`."""
        return self._with_query(super().of_requests(requests))

    def _with_query(self, inputs: Inputs) -> Inputs:
        query = last_query(inputs.searched, self.opens, self.tokens.padding)
        return replace(inputs, searched=np.hstack([inputs.searched, query]).astype(np.int32))


class LastQueryGenerator(CandidateGenerator):
    """The candidate generator with one more input: a vector of the last query.

    Each word of the vocabulary has an embedding for each place in the query, so the order counts.

    Parameters
    ----------
    features : LastQueryFeatures
    signals, **options : see `CandidateGenerator`; batch normalisation stays on
    """

    def __init__(
        self, features: LastQueryFeatures, signals: tuple[str, ...] = SIGNALS, *, seed=0, **options
    ):
        super().__init__(features, signals, seed=seed, **options)
        dim = self.output.embedding_dim - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.query = Bag(WORDS * len(features.tokens), dim)
            wide = self.norm.num_features + dim
            self.norm = nn.BatchNorm1d(wide)
            self.tower[0] = nn.Linear(wide, self.tower[0].out_features)

    def concatenated(self, batch: Batch) -> Tensor:
        """The wide first layer, with the last query at its end."""
        bag, query = batch.searched[:, :-WORDS], batch.searched[:, -WORDS:]
        words = len(self.features.tokens)
        placed = query + words * torch.arange(WORDS, dtype=query.dtype)
        placed = torch.where(query == words, WORDS * words, placed)
        vector, _ = self.query(placed)
        return torch.cat([super().concatenated(replace(batch, searched=bag)), vector], dim=1)


def last_queries(world: World, asked: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the accounts behind page requests searched for last (the truth; for evaluation).

    Parameters
    ----------
    world : World
    asked : rows with ``user`` and ``time``, such as ``ab_test(...).requests``

    Returns
    -------
    topic : (n,) float, topic of the last query of the log, NaN where there was none
    errand : (n,) bool, whether it was an errand
    since : (n,) float, days from that query to the request, NaN where there was none
    """
    searches = world.logs().searches
    rows = searches.assign(errand=world.true_table("searches")["errand"].to_numpy(float))
    last = rows.drop_duplicates("user_id", keep="last").set_index("user_id")
    last = last.reindex(asked["user"])
    topic = last["token_1"].to_numpy(float) // TOPIC_WORDS
    since = asked["time"].to_numpy() - last["time"].to_numpy()
    return topic, last["errand"].to_numpy() == 1.0, since
