"""Right answers to the exercises of chapter 14, written in other ways than the reference."""

import numpy as np
import torch


def retrain_by_number(service, learn, rounds=6, days=3):
    done = {}
    while len(done) < rounds:
        done[len(done)] = service.serve(learn(service), days)
    return list(done.values())


def explore_page_by_page(pages, candidates, share, rng):
    out = pages.copy()
    for row, (page, offered) in enumerate(zip(pages, candidates, strict=True)):
        spare = rng.permutation([video for video in offered if video not in set(page)])
        for place in np.flatnonzero(rng.random(len(page)) < share):
            out[row, place] = spare[place]
    return out


def worst_group_in_a_loop(clicked, p, column):
    p = (np.asarray(p, np.float32) * clicked.sum() / p.sum()).astype(float)
    worst = 0.0
    for value in set(column.tolist()):
        own = column == value
        z = (clicked[own].sum() - p[own].sum()) / (p[own] * (1 - p[own])).sum() ** 0.5
        worst = z if abs(z) > abs(worst) else worst
    return worst


def reach_cell_by_cell(tasks, own, common):
    table = torch.zeros(tasks, own * tasks + common, dtype=torch.bool)
    for task in range(tasks):
        table[task, own * task : own * (task + 1)] = True
    table[:, own * tasks :] = True
    return table


def worth_by_powers(dial, visits, clicks, left, fades=0.9):
    steady = np.float32(dial) * visits * clicks / (1 - fades)
    return steady - steady * np.power(fades, left)


def codes_row_by_row(x, centres):
    out = np.zeros((len(x), len(centres)), np.int32)
    for row, left in enumerate(x):
        for level, table in enumerate(centres):
            out[row, level] = np.linalg.norm(left - table, axis=1).argmin()
            left = left - table[out[row, level]]
    return out


RIGHT = {
    "14-retrain": [retrain_by_number],
    "14-explore": [explore_page_by_page],
    "14-residual": [worst_group_in_a_loop],
    "14-reach": [reach_cell_by_cell],
    "14-mood": [worth_by_powers],
    "14-codes": [codes_row_by_row],
}
