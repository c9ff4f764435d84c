"""Beyond one machine.

Written in notebooks/source/15_beyond_one_machine.py, and there only.
"""

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import faiss
import joblib
import numpy as np
import torch
import torch.distributed as dist
from scipy.optimize import nnls
from torch import nn
from torch.distributed.nn.functional import all_to_all_single as exchange
from torch.nn import functional

from course.lessons import candidate_generation as cg


def training_bytes(tables, widths):
    """Bytes to train tables [(rows, width)] and layers: values, gradients, Adam's two averages."""
    numbers = sum(rows * width for rows, width in tables)
    numbers += sum((inside + 1) * out for inside, out in zip(widths, widths[1:], strict=False))
    return 4 * 4 * numbers


def joined(work, rank, workers, meet, given):
    """One worker: finds the others at `meet`, does work(rank, workers, *given), and leaves."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=workers, timeout=timedelta(seconds=120)
    )
    try:
        return work(rank, workers, *given)
    finally:
        dist.destroy_process_group()


def together(work, workers, *given):
    """What work(rank, workers, *given) returns in each of so many processes that can talk."""
    with tempfile.TemporaryDirectory() as folder:
        meet = Path(folder, "meet").as_uri()
        pool = joblib.Parallel(workers, backend="loky", batch_size=1, pre_dispatch="all")
        return pool(joblib.delayed(joined)(work, r, workers, meet, given) for r in range(workers))


def ring_sum(numbers, rank, workers, pass_on):
    """Sum (n,) over a ring of workers; pass_on(part) sends to the right, returns the left's."""
    parts = list(numbers.chunk(workers))
    for step in range(workers - 1):
        arrived = pass_on(parts[(rank - step) % workers])
        own = (rank - step - 1) % workers
        parts[own] = parts[own] + arrived
    for step in range(workers - 1):
        parts[(rank - step) % workers] = pass_on(parts[(rank + 1 - step) % workers])
    return torch.cat(parts)


def pass_on(part):
    """Send a part to the right neighbour, and return what the left one sends."""
    rank, workers = dist.get_rank(), dist.get_world_size()
    arrived = torch.empty_like(part)
    sending = dist.isend(part.contiguous(), (rank + 1) % workers)
    dist.recv(arrived, (rank - 1) % workers)
    sending.wait()
    return arrived


class MyShare:
    """A table of examples (n, ...) that hands out this worker's share of any rows it is asked for."""

    def __init__(self, table):
        self.table, self.rank, self.workers = table, dist.get_rank(), dist.get_world_size()

    def __len__(self):
        return len(self.table)

    def __getitem__(self, rows):
        return self.table[rows[self.rank :: self.workers]]


def share_gradients(model):
    """From now on each gradient of the model becomes the mean over all workers."""

    def mean(parameter):
        if not getattr(parameter, "cut", False):  # rows that only one worker holds: section 4
            dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(mean)


def step_seconds(rank, workers, videos, batch, cut=False, steps=8, dim=64, widths=(256,)):
    """Median seconds of a step of 03's generator on random examples; `cut` tables or copies."""
    random, stamps = torch.Generator().manual_seed(0), []
    model = cg.NextVideo(videos, dim, widths)
    if cut:
        cut_tables(model)
    share_gradients(model)
    bags = MyShare(torch.randint(videos, (batch, 50), generator=random))
    label = MyShare(torch.randint(videos, (batch,), generator=random))
    sample = torch.randperm(videos, generator=random)[:500]

    def loss(rows):
        return sampled_loss(model, bags[rows], label[rows], sample)

    def progress(done, of):
        stamps.append(time.perf_counter())

    cg.fit(loss, cg.two_rates(model), batch, passes=steps + 2, batch=batch, progress=progress)
    return float(np.median(np.diff(stamps[1:])))


def sampled_loss(model, bags, label, sample, log_chance=None):
    """03's sampled softmax that asks the output table only for the rows that it needs."""
    ids, place = torch.cat([label, sample]).unique(return_inverse=True)
    chance = None if log_chance is None else log_chance[ids]
    own, other = place.split([len(label), len(sample)])
    return cg.sampled_softmax(model(bags), model.output(ids), own, other, chance)


class CutTable(nn.Module):
    """A table (V, d) of which worker r of W holds the rows r, r + W, r + 2W, ..."""

    def __init__(self, table):
        super().__init__()
        self.workers = dist.get_world_size()
        self.weight = nn.Parameter(table.detach()[dist.get_rank() :: self.workers].clone())
        self.weight.cut = True

    def forward(self, ids):
        """Rows (n, d) of ids (n,), wherever they are; their gradients travel back the same way."""
        owner = ids % self.workers
        order = owner.argsort(stable=True)
        ask = owner.bincount(minlength=self.workers)  # how many rows I want from each worker
        asked = torch.empty_like(ask)  # and how many each wants from me
        dist.all_to_all_single(asked, ask)
        ask, asked = ask.tolist(), asked.tolist()
        wanted = ids.new_empty(sum(asked))
        dist.all_to_all_single(wanted, ids[order], asked, ask)
        rows = functional.embedding(wanted // self.workers, self.weight)
        arrived = exchange(rows.new_empty(len(ids), rows.shape[1]), rows, ask, asked)
        return arrived[order.argsort()]


class CutBag(CutTable):
    """The mean of a bag of rows, as 03's input table makes it; the last id stands for nothing."""

    def __init__(self, bag):
        super().__init__(bag.weight)
        self.nothing = bag.padding_idx

    def forward(self, bags):
        """Means (B, d) of bags (B, H)."""
        ids = functional.pad(bags.flatten(), (0, 1), value=self.nothing)
        ids, place = ids.unique(return_inverse=True)
        place = place[:-1].reshape(bags.shape)
        return functional.embedding_bag(place, super().forward(ids), mode="mean",
                                        padding_idx=len(ids) - 1)  # fmt: skip


def cut_tables(model):
    """Give each worker its own rows of the two tables of 03's network, and nothing else of them."""
    model.watched, model.output = CutBag(model.watched), CutTable(model.output.weight)


def place_tables(gigabytes, load, workers, room):
    """Worker (n,) of each table: within room, the busiest worker as little busy as you can."""
    used, busy, place = np.zeros(workers), np.zeros(workers), np.zeros(len(load), int)
    for table in np.argsort(-np.asarray(load), kind="stable"):
        fits = used + gigabytes[table] <= room
        best = np.where(fits, busy, np.inf).argmin()
        place[table] = best
        used[best] += gigabytes[table]
        busy[best] += load[table]
    return place
