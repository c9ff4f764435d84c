r"""The deep candidate generator: which of all videos is watched next?

The user's side is a network over averaged embeddings, the video's side one vector per video, and
the answer a softmax over their dot products:

.. math:: P(i \mid u) = e^{v_i \cdot u} / \sum_j e^{v_j \cdot u}

Both sides carry one more coordinate: ``u`` ends in a 1 and ``v_i`` in a learned bias, so that
searching for the nearest neighbours of ``u`` needs nothing but dot products.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError, LogError, PolicyError
from course.features import CONTEXT, DEMOGRAPHICS, Features, Inputs, sizes
from course.logs.tables import Logs
from course.models.bags import Bag
from course.models.softmax import FullSoftmax, HierarchicalSoftmax
from course.simulator.feed import Requests
from course.simulator.policies import top
from course.training import evaluating, seeded

SIGNALS = ("watches", "searches", "age", "demographics", "context")
CODE_DIM = 8
SMALLEST_BATCH = 32
"""The last batch of an epoch may be smaller: too few rows for a mean of their own, so they are
normalised by the running one."""


@dataclass(frozen=True)
class Batch:
    """Inputs (see `course.features.Inputs`) and labels as tensors of n rows; index it by rows.

    ``label`` is a row of the video vocabulary.
    """

    watched: Tensor
    searched: Tensor
    age: Tensor
    demographics: Tensor
    context: Tensor
    label: Tensor | None = None

    @classmethod
    def of(cls, inputs: Inputs, label: np.ndarray | None = None) -> Batch:
        """Tensors of inputs, and of labels if there are any."""
        tensors = {name: torch.from_numpy(values) for name, values in vars(inputs).items()}
        return cls(**tensors, label=None if label is None else torch.from_numpy(label))

    def __len__(self) -> int:
        return len(self.watched)

    def __getitem__(self, rows) -> Batch:
        return Batch(*(v if v is None else v[rows] for v in map(self._get, fields(self))))

    def _get(self, field):
        return getattr(self, field.name)


def training_set(features: Features, logs: Logs, examples: pd.DataFrame) -> Batch:
    """Everything a fit loop needs; examples whose label is not in the vocabulary are left out.

    Raises
    ------
    LogError
        If no example has a label in the vocabulary.
    """
    label = features.labels(examples)
    kept = label != features.videos.padding
    if not kept.any():
        raise LogError(
            f"None of {len(kept)} examples has a label in the vocabulary",
            fix="make the vocabulary from the log that the examples come from, or make it larger",
        )
    return Batch.of(features.of_examples(logs, examples[kept]), label[kept])


class CandidateGenerator(nn.Module):
    """Averaged bags and a few codes, a ReLU tower that halves, a softmax over videos.

    Parameters
    ----------
    features : Features, for the sizes of the vocabularies and to read requests
    signals : what the model sees, some of ``SIGNALS``
    depth : number of ReLU layers; 0 = a linear map
    width : of the last ReLU layer; each layer below is twice as wide
    dim : of the embeddings and of the dot products (the vectors have one more number, the bias)
    bag : {"mean", "sum", "max"}
    softmax : FullSoftmax (default), SampledSoftmax or HierarchicalSoftmax
    sparse : sparse gradients of the large tables, for `torch.optim.SparseAdam`
    seed : of the first weights

    Raises
    ------
    ConfigError
        For an unknown signal, or sizes that do not fit.
    """

    def __init__(
        self,
        features: Features,
        signals: tuple[str, ...] = SIGNALS,
        *,
        depth: int = 1,
        width: int = 256,
        dim: int = 64,
        bag: str = "mean",
        softmax: nn.Module | None = None,
        sparse: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        unknown = [s for s in signals if s not in SIGNALS]
        if unknown or not signals or isinstance(signals, str):
            raise ConfigError(f"signals={signals!r}", allowed=f"some of {', '.join(SIGNALS)}")
        if depth < 0 or min(width, dim) < 1:
            raise ConfigError(f"depth={depth}, width={width}, dim={dim}",
                              allowed="depth 0 or more, width and dim 1 or more")  # fmt: skip
        self.features, self.signals, self.sparse = features, tuple(signals), sparse
        self.softmax = softmax or FullSoftmax()
        n = len(features.videos)
        for name in ("q", "cluster"):
            of = getattr(self.softmax, name, None)
            if of is not None and len(of) != n:
                raise ConfigError(
                    f"The softmax was made for {len(of)} videos", allowed=f"{n}, the vocabulary"
                )
        if getattr(self.softmax, "vectors", torch.zeros(1, dim + 1)).shape[1] != dim + 1:
            raise ConfigError(f"dim={dim} does not fit the softmax", fix="give both the same dim")
        with seeded(seed):
            self._build(depth, width, dim, bag)

    def _build(self, depth, width, dim, bag) -> None:
        f, concat = self.features, 0
        self.bags, self.codes = nn.ModuleDict(), nn.ModuleDict()
        for name, vocabulary in (("watches", f.videos), ("searches", f.tokens)):
            if name in self.signals:
                self.bags[name] = Bag(len(vocabulary), dim, bag, self.sparse)
                concat += dim + 1
        tables = {"demographics": ("users", DEMOGRAPHICS), "context": ("watches", CONTEXT)}
        for name, (table, columns) in tables.items():
            if name in self.signals:
                self.codes[name] = nn.ModuleList(
                    nn.Embedding(size, CODE_DIM) for size in sizes(table, columns)
                )
                concat += CODE_DIM * len(columns)
        concat += 3 * ("age" in self.signals)
        self.norm = nn.BatchNorm1d(concat)
        widths = [concat, *(width * 2**k for k in reversed(range(depth)))]
        layers = []
        for below, above in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(below, above), nn.ReLU()]
        self.tower = nn.Sequential(*layers, nn.Linear(widths[-1], dim))
        self.output = nn.Embedding(len(f.videos), dim + 1, sparse=self.sparse)
        with torch.no_grad():
            self.output.weight *= 0.1
            self.output.weight[:, -1] = torch.log(torch.from_numpy(f.videos.counts))

    def concatenated(self, batch: Batch) -> Tensor:
        """The wide first layer (n, c): bags and the log of their sizes, age powers, codes."""
        parts = []
        for name, ids in (("watches", batch.watched), ("searches", batch.searched)):
            if name in self.bags:
                vector, count = self.bags[name](ids)
                parts += [vector, torch.log1p(count.float())]
        if "age" in self.signals:
            parts.append(batch.age)
        for name, embeddings in self.codes.items():
            codes = getattr(batch, name)
            parts += [embedding(codes[:, i]) for i, embedding in enumerate(embeddings)]
        return torch.cat(parts, dim=1)

    def forward(self, batch: Batch) -> Tensor:
        """User vectors (n, dim + 1), the last number a 1."""
        out = self.tower(self._normalised(self.concatenated(batch)))
        return functional.pad(out, (0, 1), value=1.0)

    def _normalised(self, x: Tensor) -> Tensor:
        if self.training and len(x) < SMALLEST_BATCH:
            n = self.norm
            return functional.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias)
        return self.norm(x)

    def loss(self, batch: Batch) -> Tensor:
        """Training loss of a batch.

        Raises
        ------
        LogError
            If an example has no label, or one that is not in the vocabulary.
        """
        n = len(self.features.videos)
        if batch.label is None or ((batch.label < 0) | (batch.label >= n)).any():
            raise LogError(
                "an example has no label in the vocabulary", allowed=f"rows 0 to {n - 1}",
                fix="leave such examples out; training_set(...) does",
            )  # fmt: skip
        return self.softmax(self(batch), self.output.weight, batch.label, self.sparse)

    def parameter_groups(self, lr: float = 1e-2, tower_lr: float = 2.5e-3) -> list[dict]:
        """Groups for `course.training.fit`: tables (and a linear model's map), and a ReLU tower.

        A sparse model has its large tables in a third group, marked ``sparse``.
        """
        tower = list(self.tower.parameters()) if len(self.tower) > 1 else []
        large = [self.output.weight, *(bag.table.weight for bag in self.bags.values())]
        large = large if self.sparse else []
        held = {id(p) for p in (*tower, *large)}
        rest = [p for p in self.parameters() if id(p) not in held]
        groups = [{"params": rest, "lr": lr}, {"params": tower, "lr": tower_lr}]
        groups.append({"params": large, "lr": lr, "sparse": True})
        return [group for group in groups if group["params"]]

    def user_vectors(self, of: Requests | Inputs | Batch) -> np.ndarray:
        """User vectors (n, dim + 1) float32 of live requests or of inputs."""
        if isinstance(of, Requests):
            of = self.features.of_requests(of)
        batch = Batch.of(of) if isinstance(of, Inputs) else of
        with evaluating(self), torch.inference_mode():
            parts = [self(batch[i : i + 4096]) for i in range(0, len(batch), 4096)]
        if not parts:
            return np.zeros((0, self.output.embedding_dim), np.float32)
        return torch.cat(parts).numpy()

    def video_vectors(self) -> np.ndarray:
        """Video vectors (V, dim + 1) float32; row r is the video ``features.videos.ids[r]``."""
        if isinstance(self.softmax, HierarchicalSoftmax):
            raise ConfigError(
                "A hierarchical softmax is no dot product, so it has no vectors to search",
                fix="use scores(...), or train with another softmax",
            )
        return self.output.weight.detach().numpy().copy()

    def scores(self, of: Requests | Inputs | Batch) -> np.ndarray:
        """Scores (n, V) float32 of all videos in the vocabulary, higher = more likely next."""
        users, videos = torch.from_numpy(self.user_vectors(of)), self.output.weight.detach()
        if isinstance(self.softmax, HierarchicalSoftmax):
            with torch.inference_mode():
                return self.softmax.log_probability(users, videos).numpy()
        return (users @ videos.T).numpy()


class CandidatePolicy:
    """Shows what the candidate generator expects next: a policy for live experiments.

    Use it with ``ab_test(..., candidates="catalogue")``. Nominated candidates are ranked, too; one
    that is not in the vocabulary goes to the end, as does what the account watched lately.
    """

    def __init__(self, model: CandidateGenerator):
        self.model = model

    def __call__(self, requests: Requests) -> np.ndarray:
        """Pages (r, k) int for page requests."""
        vocabulary = self.model.features.videos
        if requests.candidates is None and requests.slate > len(vocabulary):
            raise PolicyError(
                f"A page of {requests.slate} videos from a vocabulary of {len(vocabulary)}",
                allowed="a vocabulary at least as large as the page",
            )
        scores = np.pad(self.model.scores(requests), ((0, 0), (0, 1)), constant_values=-1e9)
        row = np.arange(len(requests))[:, None]
        watched = vocabulary.encode(requests.recent_videos)
        scores[row, watched] -= 1e6
        if requests.candidates is not None:
            offered = scores[row, vocabulary.encode(requests.candidates)]
            return top(offered, requests.candidates, requests.slate)
        scores[:, :-1][:, vocabulary.ids >= requests.available] = -np.inf
        scores[:, -1] = -np.inf
        rows = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        return vocabulary.decode(top(scores, rows, requests.slate))
