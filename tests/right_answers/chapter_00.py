"""Right answers to the exercises of chapter 00, written in other ways than the reference."""

import numpy as np


def gap(value, floor, ceiling):
    return 1 - (ceiling - value) / (ceiling - floor)


def count_in_a_loop(rows, columns, shape):
    table = np.zeros(shape, int)
    for row, column in zip(rows, columns, strict=True):
        table[row, column] += 1
    return table


def count_by_bincount(rows, columns, shape):
    flat = np.bincount(np.ravel_multi_index((rows, columns), shape), minlength=np.prod(shape))
    return flat.reshape(shape).astype(np.float32)


def times_more_in_single(counted, expected, prior=1.0):
    counted, expected = np.float32(counted), np.float32(expected)
    return (np.float32(prior) + counted) / (np.float32(prior) + expected)


def best_by_sets(score, named, k):
    pages = []
    for row, values in enumerate(score):
        pool = {int(video) for videos in named for video in videos[row]}
        pages.append(sorted(pool, key=lambda video: -values[video])[:k])
    return pages


def best_by_isin(score, named, k):
    ids = np.arange(score.shape[1])
    rows = zip(score.astype(np.float32), np.hstack(named), strict=True)
    keep = [np.where(np.isin(ids, some), values, -np.inf) for values, some in rows]
    return np.argsort(np.array(keep), axis=1)[:, ::-1][:, :k]


RIGHT = {
    "00-gap-closed": [gap],
    "00-count-pairs": [count_in_a_loop, count_by_bincount],
    "00-times-more": [times_more_in_single],
    "00-best-of": [best_by_sets, best_by_isin],
}
