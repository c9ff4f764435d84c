"""Cards on pages as tensors, as the ranking networks read them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from course.errors import ConfigError
from course.features.ranking import RankingInputs
from course.features.taxonomy import IMPRESSION_NUMBERS


@dataclass(frozen=True)
class RankingBatch(RankingInputs):
    """`RankingInputs` of n cards on r pages as tensors; index it by pages.

    ``start`` (r + 1,) int64 says where each page's cards begin.
    """

    start: Tensor

    @classmethod
    def of(cls, inputs: RankingInputs) -> RankingBatch:
        """Tensors of inputs; the numbers are as they are."""
        arrays = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
        arrays["start"] = np.searchsorted(inputs.page, np.arange(inputs.pages + 1))
        return cls(**{n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()})

    def number(self, name: str) -> np.ndarray:
        """A number of the impressions (n,), such as "duration"."""
        if name not in IMPRESSION_NUMBERS:
            raise ConfigError(f"There is no number {name!r}", allowed=", ".join(IMPRESSION_NUMBERS))
        return self.numbers[:, IMPRESSION_NUMBERS.index(name)].numpy()

    def rows(self, pages: Tensor) -> Tensor:
        """The cards (m,) int64 of some pages (p,), page by page."""
        first, count = self.start[pages], self.start[pages + 1] - self.start[pages]
        offset = torch.repeat_interleave(
            first - functional.pad(count.cumsum(0), (1, 0))[:-1], count
        )
        return torch.arange(len(offset)) + offset

    def __getitem__(self, pages: Tensor) -> RankingBatch:
        """The batch of some pages (p,) int64, with all their cards."""
        rows, count = self.rows(pages), self.start[pages + 1] - self.start[pages]
        return RankingBatch(
            torch.repeat_interleave(torch.arange(len(pages)), count),
            self.watched[pages], self.searched[pages],
            self.query_codes[pages], self.query_numbers[pages],
            self.codes[rows], self.numbers[rows],
            functional.pad(count.cumsum(0), (1, 0)),
        )  # fmt: skip
