"""Right answers to the exercises of chapter 12, written in other ways than the reference."""

import numpy as np
import pandas as pd
import torch

from course.features.batch import RankingBatch
from course.lessons import many_objectives as mo
from course.lessons import whole_system as lesson


def pool_line_by_line(scores, size):
    n, _, sources = scores.shape
    videos = np.zeros((n, size), int)
    given = np.full((n, size, sources), np.nan)
    for row in range(n):
        lists = [np.argsort(-scores[row, :, s], kind="stable") for s in range(sources)]
        met, line = [], 0
        while len(met) < size:
            met += [v for v in sorted({of[line] for of in lists}) if v not in met]
            line += 1
        videos[row] = met[:size]
        for s, of in enumerate(lists):
            for column, video in enumerate(videos[row]):
                if video in of[:line]:
                    given[row, column, s] = scores[row, video, s]
    return videos, given


class FigureByHand(lesson.Figure1):
    def forward(self, batch, cell=None):
        tasks, experts = self.shape
        h = torch.clamp(self.first(batch), min=0)
        logits = self.gate(lesson.context_of(batch)).reshape(-1, tasks, experts)
        said = self.experts(h)
        mixed = []
        for m in range(tasks):
            odds = logits[:, m].exp()
            shares = odds / odds.sum(dim=1, keepdim=True)
            mixed.append(sum(shares[:, e, None] * said[e] for e in range(experts)))
        out = self.towers(torch.stack(mixed))
        if cell is None:
            cell = lesson.unplaced(batch)
        engaged = [out[:, m] + self.place[cell, m] for m in range(3)]
        return torch.stack([*engaged, *out[:, 3:].unbind(dim=1)], dim=1)


class SystemByHand(lesson.System):
    def score(self, batch):
        said = mo.predict_tasks(self.model, self.cards.scales(batch))
        factors = mo.factors_of(said, batch.number("duration"))
        product = np.ones(len(said))
        for name, weight in self.weights.items():
            product *= factors[name] ** weight
        return np.log(product)

    def __call__(self, requests):
        asked = self.first(requests) if requests.candidates is None else requests
        batch = RankingBatch.of(self.cards.features.of_requests(asked))
        scores = self.score(batch).reshape(asked.candidates.shape)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : asked.slate]
        return np.take_along_axis(asked.candidates, order, axis=1)


def turns_by_a_list(rows, learn, serve, days):
    parts = [rows]
    policies = []
    for day in range(days + 1):
        policies.append(learn(pd.concat(parts, ignore_index=True)))
        if day < days:
            parts.append(serve(policies[day], day))
    return policies


RIGHT = {
    "12-pool": [pool_line_by_line],
    "12-figure-1": [FigureByHand],
    "12-policy": [SystemByHand],
    "12-turns": [turns_by_a_list],
}
