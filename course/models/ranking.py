r"""The first layer of every ranking network: mixed features become one vector (P1 Fig. 7).

* Categorical features look their value up in the embedding table of their id space. Features of
  one space share the table, and each takes its own place in the vector.
* A set of values is the mean of its embeddings.
* A value that the vocabulary does not know has the zero vector.
* A continuous feature enters as :math:`\tilde x, \tilde x^2, \sqrt{\tilde x}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from course.errors import ConfigError
from course.features import RANKING_FEATURES, RankingFeatures
from course.features.batch import RankingBatch
from course.features.taxonomy import (
    BAGS,
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
    SPACE,
)
from course.models.bags import mean_of_bags
from course.training import check_whole, seeded

DIMS_PER_NAT = 32 / math.log(1e6)
"""P1 gives a million ids 32 dimensions; in between, dimensions go with the logarithm."""


def embedding_dim(cardinality: int) -> int:
    """Dimensions of an embedding for so many values: in proportion to their logarithm, at least 2.

    Examples
    --------
    >>> [embedding_dim(n) for n in (3, 30, 2_000, 1_000_000)]
    [3, 8, 18, 32]
    """
    check_whole("cardinality", cardinality, 1)
    return max(2, round(DIMS_PER_NAT * math.log(cardinality)))


class InputLayer(nn.Module):
    """Turns a batch into one vector for each card.

    Parameters
    ----------
    features : RankingFeatures, for the sizes of the vocabularies
    include : names of the features that enter, some of ``features.names``; None = all
    powers : feed squares and roots of the continuous features, too
    dim : dimensions of every embedding; None = by the logarithm of the number of values
    shared : one table for each id space; False = one for each feature
    seed : of the first weights

    Attributes
    ----------
    tables : the embedding tables by id space (by feature, if not shared)
    width : numbers in the vector
    query_width : how many of them, at the end, are the query's

    Raises
    ------
    ConfigError
        For a feature that does not exist.
    """

    def __init__(
        self,
        features: RankingFeatures,
        include: Sequence[str] | None = None,
        *,
        powers: bool = True,
        dim: int | None = None,
        shared: bool = True,
        seed: int = 0,
    ):
        super().__init__()
        known = features.names
        names = known if include is None else tuple(include)
        if isinstance(include, str) or not names or set(names) - set(known):
            raise ConfigError(f"include={include!r}", allowed=f"some of {', '.join(known)}")
        self.include, self.powers, self.shared = names, powers, shared
        kept = [f for f in RANKING_FEATURES if f.name in names]
        self._impression_codes = [n for n in IMPRESSION_CODES if n in names]
        self._query_codes = [n for n in QUERY_CODES if n in names]
        self._bags = [n for n in BAGS if n in names]
        self._columns = {
            "numbers": [i for i, n in enumerate(IMPRESSION_NUMBERS) if n in names],
            "query_numbers": [i for i, n in enumerate(QUERY_NUMBERS) if n in names],
        }
        sizes = {self._table(f.name): features.cardinality(f.space) for f in kept if f.space}
        with seeded(seed):
            self.tables = nn.ModuleDict()
            for table, n in sizes.items():
                # One more row, which stays zero, for everything that is not known.
                width = embedding_dim(n) if dim is None else dim
                self.tables[table] = nn.Embedding(n + 1, width, padding_idx=n)
                with torch.no_grad():
                    self.tables[table].weight.mul_(0.3)
        each = 3 if powers else 1
        width = {
            side: sum(self._width(n) for n in codes) + each * len(self._columns[numbers])
            for side, codes, numbers in (
                ("impression", self._impression_codes, "numbers"),
                ("query", [*self._query_codes, *self._bags], "query_numbers"),
            )
        }
        self.query_width = width["query"]
        self.width = width["impression"] + width["query"]

    def _table(self, feature: str) -> str:
        return SPACE[feature] if self.shared else feature.replace(" ", "_")

    def _width(self, feature: str) -> int:
        return self.tables[self._table(feature)].embedding_dim

    def forward(self, batch: RankingBatch) -> Tensor:
        """Vectors (n, width): the impression's part, then the query's."""
        impression, query = self.parts(batch)
        return torch.cat([impression, query[batch.page]], dim=1)

    def parts(self, batch: RankingBatch) -> tuple[Tensor, Tensor]:
        """The impressions' part (n, width - query_width) and the queries' (r, query_width)."""
        impression = self._embedded(batch.codes, IMPRESSION_CODES, self._impression_codes)
        impression += self._continuous(batch.numbers, "numbers")
        query = self._embedded(batch.query_codes, QUERY_CODES, self._query_codes)
        for name in self._bags:
            ids = batch.watched if name == "watched videos" else batch.searched
            query.append(mean_of_bags(self.tables[self._table(name)], ids))
        query += self._continuous(batch.query_numbers, "query_numbers")
        return tuple(
            torch.cat(part, dim=1) if part else torch.zeros(rows, 0, dtype=torch.float32)
            for part, rows in ((impression, len(batch)), (query, batch.pages))
        )

    def _embedded(self, codes, names, kept) -> list[Tensor]:
        return [self.tables[self._table(n)](codes[:, names.index(n)]) for n in kept]

    def _continuous(self, numbers, field) -> list[Tensor]:
        columns = self._columns[field]
        x = numbers if len(columns) == numbers.shape[1] else numbers[:, columns]
        return [x, x**2, x.sqrt()] if self.powers else [x]


class FirstLinear(nn.Module):
    """A linear layer on the vectors of an `InputLayer`, faster than on their concatenation.

    The query's share of the sum is the same for all cards of a page and is computed once.
    """

    def __init__(self, inputs: InputLayer, out: int):
        super().__init__()
        self.inputs, self.linear = inputs, nn.Linear(inputs.width, out)

    def forward(self, batch: RankingBatch) -> Tensor:
        """Sums (n, out): equal to the linear layer on ``inputs(batch)``."""
        impression, query = self.inputs.parts(batch)
        of_impression, of_query = self.linear.weight.split(
            [impression.shape[1], query.shape[1]], dim=1
        )
        shared = functional.linear(query, of_query, self.linear.bias)
        return functional.linear(impression, of_impression) + shared[batch.page]


class RankingTower(nn.Module):
    """Input layer and ReLU layers: (n, last width) for a batch of n cards.

    Parameters
    ----------
    inputs : InputLayer
    hidden : widths of the layers, from the bottom up; empty = the inputs themselves
    seed : of the first weights
    """

    def __init__(self, inputs: InputLayer, hidden: Sequence[int] = (128, 64, 32), seed: int = 0):
        super().__init__()
        for width in hidden:
            check_whole("width", width, 1)
        with seeded(seed):
            layers = [FirstLinear(inputs, hidden[0]), nn.ReLU()] if hidden else [inputs]
            for below, above in zip(hidden[:-1], hidden[1:], strict=True):
                layers += [nn.Linear(below, above), nn.ReLU()]
            self.layers = nn.Sequential(*layers)
        self.width = hidden[-1] if hidden else inputs.width

    def forward(self, batch: RankingBatch) -> Tensor:
        """Outputs (n, width) of the last layer."""
        return self.layers(batch)
