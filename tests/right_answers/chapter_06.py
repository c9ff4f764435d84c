"""Differently written right answers to the exercises of chapter 06."""

import dataclasses

import numpy as np
import torch

from course.features.taxonomy import (
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    QUERY_CODES,
    QUERY_NUMBERS,
)
from course.lessons import ranking_features as lesson


class LayerByMasks(lesson.InputLayer):
    """Bags by a mask, look-ups by multiplication with ones."""

    def parts(self, batch):
        def rows(names, codes):
            for column, name in zip(codes.T, names, strict=True):
                if name in self.key:
                    yield self.tables[self.key[name]].weight[column]

        def average(name, ids):
            if name not in self.key:
                return []
            table = self.tables[self.key[name]]
            there = (ids != table.padding_idx).to(table.weight.dtype)
            total = torch.einsum("rl,rld->rd", there, table.weight[ids])
            return [total / there.sum(dim=1, keepdim=True).clamp(min=1)]

        card = torch.hstack([*rows(IMPRESSION_CODES, batch.codes), batch.numbers[:, self.of_card]])
        bags = average("watched videos", batch.watched) + average("searched tokens", batch.searched)
        own = [*rows(QUERY_CODES, batch.query_codes), *bags]
        return card, torch.hstack([*own, batch.query_numbers[:, self.of_page]])


def share_one_by_one(x, knots, shares):
    out = []
    for value in x:
        if value > knots[-1]:
            out.append(1.0)
        elif value <= knots[0]:
            out.append(shares[0])
        else:
            right = int(np.searchsorted(knots, value))
            way = (value - knots[right - 1]) / (knots[right] - knots[right - 1])
            out.append(shares[right - 1] + way * (shares[right] - shares[right - 1]))
    return np.array(out, np.float32)


def changed_share(feature, log, cut):
    day = log[np.floor(log["time"]) == np.floor(cut)]
    day = day[day["time"] <= cut]
    past = log.drop(log.index[log["time"] >= cut])
    moved = np.abs(np.asarray(feature(log, day)) - np.asarray(feature(past, day))) > 1e-6
    return np.float32(moved.sum() / len(moved))


def mixed_one_by_one(batch, names, cards, pages):
    out = {f.name: getattr(batch, f.name).clone() for f in dataclasses.fields(batch)}
    for name in names:
        if name == "watched videos":
            out["watched"] = out["watched"][pages]
        elif name == "searched tokens":
            out["searched"] = out["searched"][pages]
        else:
            for field, known, order in (
                ("codes", IMPRESSION_CODES, cards), ("numbers", IMPRESSION_NUMBERS, cards),
                ("query_codes", QUERY_CODES, pages), ("query_numbers", QUERY_NUMBERS, pages),
            ):  # fmt: skip
                if name in known:
                    column = known.index(name)
                    out[field][:, column] = out[field][order, column]
    return type(batch)(**out)


RIGHT = {
    "06-input-layer": [LayerByMasks],
    "06-share-below": [share_one_by_one],
    "06-leak-check": [changed_share],
    "06-shuffled": [mixed_one_by_one],
}
