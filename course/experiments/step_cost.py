"""What a training step costs as the catalogue grows: core seconds, on made-up histories."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import torch

from course.errors import ConfigError
from course.experiments.next_watch import fit_model
from course.experiments.softmax_laws import random_tree
from course.features import BAG_LENGTH, Vocabulary
from course.models.candidate_generation import Batch, CandidateGenerator
from course.models.softmax import FullSoftmax, HierarchicalSoftmax, SampledSoftmax

SIZES = (2_000, 10_000, 50_000, 200_000)
METHODS = ("full", "sampled", "sampled, sparse", "hierarchical")
NEGATIVES = 1_000


def step_seconds(
    videos: int, method: str, *, batch: int = 256, dim: int = 64, steps: int = 12, seed: int = 0
) -> float:
    """Median core seconds of a step of a linear model over bags of 50 watches.

    Parameters
    ----------
    videos : size of the catalogue
    method : one of ``METHODS``; "sparse" updates only the rows of the tables that a batch used
    steps : how many to take, at least 3; the first two do not count
    """
    if method not in METHODS:
        raise ConfigError(f"method={method!r}", allowed=", ".join(METHODS))
    rng = np.random.default_rng(seed)
    counts = np.arange(videos, 0, -1)
    law = counts / counts.sum()
    features = SimpleNamespace(videos=Vocabulary(np.arange(videos)), tokens=())
    features.videos.counts = counts
    if method == "full":
        softmax = FullSoftmax()
    elif method == "hierarchical":
        softmax = HierarchicalSoftmax(random_tree(videos, seed), dim)
    else:
        softmax = SampledSoftmax(counts, NEGATIVES)
    model = CandidateGenerator(
        features, ("watches",), depth=0, dim=dim, softmax=softmax, sparse="sparse" in method
    )
    n = batch * steps
    empty = torch.zeros(n, 0)
    watched = torch.from_numpy(rng.choice(videos, (n, BAG_LENGTH), p=law).astype(np.int32))
    label = torch.from_numpy(rng.choice(videos, n, p=law))
    taken = [time.process_time()]
    fit_model(
        model, Batch(watched, empty, empty, empty, empty, label), epochs=1, batch=batch,
        progress=lambda *_: taken.append(time.process_time()),
    )  # fmt: skip
    return float(np.median(np.diff(taken)[2:]))
