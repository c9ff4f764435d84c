"""Exercises of chapter 06, features for ranking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.features.batch import RankingBatch
from course.features.taxonomy import (
    BAGS,
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
    RANKING_FEATURES,
    SPACE,
)
from course.lessons import ranking_features as lesson


class _Features:
    """As much of `RankingFeatures` as an input layer asks for."""

    names = tuple(f.name for f in RANKING_FEATURES if f.name != "nominating score")

    def __init__(self, rng: np.random.Generator):
        spaces = sorted(set(SPACE.values()))
        self._size = dict(zip(spaces, rng.integers(4, 40, len(spaces)).tolist(), strict=True))

    def cardinality(self, space: str) -> int:
        return self._size[space]


def _batch(rng: np.random.Generator, features: _Features, blocks: int = 3) -> RankingBatch:
    """A few pages of unequal length, with unknown ids and bags that are partly empty."""
    count = rng.integers(2, 6, 7)

    def codes(names, rows):
        return np.stack([rng.integers(0, features.cardinality(SPACE[n]) + 1, rows) for n in names],
                        axis=1)  # fmt: skip

    def bags(name):
        n = features.cardinality(SPACE[name])
        ids = rng.integers(0, n, (7, 5))
        return np.where(np.arange(5) < rng.integers(0, 6, 7)[:, None], ids, n)

    def numbers(rows, f):
        return rng.normal(size=(rows, blocks * f)).astype(np.float32)

    arrays = {
        "page": np.repeat(np.arange(7), count),
        "watched": bags("watched videos"),
        "searched": bags("searched tokens"),
        "query_codes": codes(QUERY_CODES, 7),
        "query_numbers": numbers(7, len(QUERY_NUMBERS)),
        "codes": codes(IMPRESSION_CODES, int(count.sum())),
        "numbers": numbers(int(count.sum()), len(IMPRESSION_NUMBERS)),
        "start": np.append(0, count.cumsum()),
    }
    return RankingBatch(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _layer_cases(rng: np.random.Generator):
    for left_out in ((), ("channel", "searched tokens", "duration", "account watches")):
        features = _Features(rng)
        yield features, [n for n in features.names if n not in left_out]


def _of_layer(layer):
    """Both parts of a batch, and the gradient of the tables, at fixed weights."""
    random, rng = torch.Generator().manual_seed(5), np.random.default_rng(5)
    with torch.no_grad():
        for _, table in sorted(layer.tables.items()):
            table.weight[:-1] = torch.randn(table.weight[:-1].shape, generator=random)
    spaces = {SPACE[n]: layer.tables[key].padding_idx for n, key in layer.key.items()}
    features = _Features(rng)
    features._size |= spaces
    out = layer.parts(_batch(rng, features))
    if out is None:
        return None
    card, page = out
    total = card.square().sum() + page.square().sum()
    tables = [table.weight for _, table in sorted(layer.tables.items())]
    used = torch.autograd.grad(total, tables, allow_unused=True)
    gradients = [torch.zeros_like(t) if g is None else g for g, t in zip(used, tables, strict=True)]
    return card.detach(), page.detach(), torch.cat([g.ravel() for g in gradients])


def _layer(parts):
    """The input layer with other ``parts``."""
    return type("InputLayer", (lesson.InputLayer,), {"parts": parts, "__module__": __name__})


def _parts(
    mean=lesson.mean_of, of_card=True, of_page=True, bags=True, swapped=False, all_bags=False
):
    """The two parts with something left out or done in another way."""

    def parts(self, batch):
        card = self.look_up(IMPRESSION_CODES, batch.codes)
        page = self.look_up(QUERY_CODES, batch.query_codes)
        both = (batch.searched, batch.watched) if swapped else (batch.watched, batch.searched)
        for name, ids in zip(BAGS, both, strict=True):
            if bags and name in self.key:
                table = self.tables[self.key[name]]
                page.append(mean(table, ids.clamp(max=table.padding_idx)))
        card.append(batch.numbers[:, self.of_card] if of_card else batch.numbers)
        page.append(batch.query_numbers[:, self.of_page] if of_page else batch.query_numbers)
        return torch.cat(card, dim=1), torch.cat(page, dim=1)

    return _layer(parts)


def _per_card(self, batch):
    card, page = lesson.InputLayer.parts(self, batch)
    return card, page[batch.page]


def _share_cases(rng: np.random.Generator):
    for _ in range(3):
        # Counts, so that many values are equal, and a long tail.
        x = np.floor(np.exp(rng.normal(1.0, 1.0, int(rng.integers(60, 120)))))
        knots, shares = lesson.quantile_knots(x, 12)
        inside = rng.uniform(knots[0], knots[-1], 20)
        yield np.concatenate([inside, knots, [knots[0] - 1, knots[-1] + 5]]), knots, shares


def _nearest_below(x, knots, shares):
    at = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, None)
    return np.where(x > knots[-1], 1.0, shares[at])


def _log(rng: np.random.Generator, n: int = 900, days: int = 4, videos: int = 120) -> pd.DataFrame:
    return pd.DataFrame({
        "time": np.sort(rng.uniform(0, days, n)),
        "video_id": rng.integers(0, videos, n),
        "clicked": rng.random(n) < 0.4,
    })  # fmt: skip


def _own_click(log, rows):
    """A feature that counts the clicks of the video up to the card, and with it."""
    return np.array([
        ((log["video_id"] == video) & (log["time"] <= time) & log["clicked"]).sum()
        for video, time in zip(rows["video_id"], rows["time"], strict=True)
    ], float)  # fmt: skip


def _leak_cases(rng: np.random.Generator):
    log = _log(rng)
    cut = float(log["time"].iloc[int(rng.integers(600, 800))])
    yield lesson.click_rate, log, cut
    yield (lambda log, rows: lesson.click_rate(log, rows, 1)), log, cut
    clicked = log[log["clicked"] & (log["time"] > 1)]  # only the card at the cut gives it away
    yield _own_click, log, float(clicked["time"].iloc[int(rng.integers(30, 200))])


def _leak(rows="day", past="before", first=True, share=True):
    """The check with a part done wrong."""

    def check(feature, log, cut):
        upto = log["time"] <= cut if rows != "before" else log["time"] < cut
        chosen = log[upto & (log["time"] >= np.floor(cut))] if rows != "all" else log[upto]
        if rows == "later":
            chosen = log[(log["time"] >= cut) & (log["time"] < np.floor(cut) + 1)]
        kept = log[log["time"] < cut] if past == "before" else log[log["time"] <= cut]
        same = np.isclose(feature(log, chosen), feature(kept, chosen))
        return 1 - same.mean() if share else same.mean()

    return check


def _shuffle_cases(rng: np.random.Generator):
    for names in (
        ("video", "duration"),
        ("watched videos", "device", "account watches"),
        ("searched tokens", "topic", "days since topic", "daypart"),
    ):
        batch = _batch(rng, _Features(rng), blocks=1)
        cards, pages = (torch.from_numpy(rng.permutation(n)) for n in (len(batch), batch.pages))
        yield batch, names, cards, pages


FIELDS = ("codes", "numbers", "query_codes", "query_numbers", "watched", "searched", "page")


def _fields(batch):
    return None if batch is None else tuple(getattr(batch, name) for name in FIELDS)


def _shuffle(inverse=False, whole=False, by_card=False, bags=True, rows=True):
    """The mixing with a part done wrong."""

    def shuffled(batch, names, cards, pages):
        if inverse:
            cards, pages = cards.argsort(), pages.argsort()
        out = lesson.shuffled(batch, names if rows else (), cards, pages)
        if not bags:
            out = replace(out, watched=batch.watched, searched=batch.searched)
        if whole:  # all columns of a table of which one was to be mixed
            for field, known, order in (("codes", IMPRESSION_CODES, cards),
                                        ("numbers", IMPRESSION_NUMBERS, cards),
                                        ("query_codes", QUERY_CODES, pages),
                                        ("query_numbers", QUERY_NUMBERS, pages)):  # fmt: skip
                if set(known) & set(names):
                    out = replace(out, **{field: getattr(batch, field)[order]})
        if by_card:  # the features of the card only
            kept = {name: getattr(batch, name) for name in FIELDS[2:6]}
            out = replace(out, **kept)
        return out

    return shuffled


EXERCISES = (
    Exercise(
        id="06-input-layer",
        reference=lesson.InputLayer,
        cases=_layer_cases,
        read=_of_layer,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes=(
            Mistake(
                _parts(mean=lambda table, ids: table(ids).mean(dim=1)),
                "You divide by the length of the bag; what is empty or unknown does not count.",
            ),
            Mistake(
                _parts(mean=lambda table, ids: table(ids).sum(dim=1)),
                "That is the sum of a bag; its mean is asked for.",
            ),
            Mistake(_parts(bags=False), "The two bags are missing from the page's part."),
            Mistake(_parts(swapped=True), "You look the watches up among the tokens."),
            Mistake(
                _parts(of_card=False, of_page=False),
                "All numbers go in; take only the columns self.of_card and self.of_page.",
            ),
            Mistake(
                _layer(_per_card),
                "Your second table has a row for each card; the page's part is computed once a "
                "page.",
            ),
        ),
    ),
    Exercise(
        id="06-share-below",
        reference=lesson.share_below,
        cases=_share_cases,
        mistakes=(
            Mistake(
                lambda x, knots, shares: np.interp(x, knots, shares),
                "What is above all knots has all of the training data below it, so its share is 1.",
            ),
            Mistake(_nearest_below, "That is a staircase; between two knots runs a straight line."),
            Mistake(
                lambda x, knots, shares: np.clip((x - knots[0]) / (knots[-1] - knots[0]), 0, 1),
                "That is the place between the smallest and the largest value, not a share of the "
                "data.",
            ),
        ),
    ),
    Exercise(
        id="06-leak-check",
        reference=lesson.leak_check,
        cases=_leak_cases,
        tolerance=Tolerance(1e-4, 1e-6),
        mistakes=(
            Mistake(
                _leak(past="upto"),
                "Your log still holds the card at the cut, and with it the card's own click; keep "
                "what is before the cut.",
            ),
            Mistake(
                _leak(rows="before"),
                "Your rows leave out the card at the cut, the only one whose own click is deleted.",
            ),
            Mistake(_leak(rows="all"), "Your rows are the whole log up to the cut; take its day."),
            Mistake(
                _leak(rows="later"),
                "Your rows lie after the cut. They may change, for you deleted their past.",
            ),
            Mistake(_leak(share=False), "That is the share of rows that stay as they are."),
        ),
    ),
    Exercise(
        id="06-shuffled",
        reference=lesson.shuffled,
        cases=_shuffle_cases,
        read=_fields,
        mistakes=(
            Mistake(
                _shuffle(inverse=True),
                "You send row cards[i] to row i the other way round: row i gets the value of row "
                "cards[i].",
            ),
            Mistake(_shuffle(whole=True), "You mixed whole tables; only the columns of the names."),
            Mistake(_shuffle(by_card=True), "The page's features stayed where they were."),
            Mistake(_shuffle(bags=False), "The bags stayed where they were."),
            Mistake(_shuffle(rows=False), "Nothing is mixed."),
        ),
    ),
)
