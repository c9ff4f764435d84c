"""Beyond one machine.

Written in notebooks/source/15_beyond_one_machine.py, and there only.
"""

import os
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path

import faiss
import joblib
import numpy as np
import torch
import torch.distributed as dist
from scipy.optimize import nnls
from torch import nn
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
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # joblib has given it a fresh one
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
    """Examples (n, ...); hands out this worker's share of the rows that it is asked for."""

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


def sampled_loss(model, bags, label, sample, log_chance=None):
    """03's sampled softmax; asks the output table only for the rows that it needs."""
    ids, place = torch.cat([label, sample]).unique(return_inverse=True)
    chance = None if log_chance is None else log_chance[ids]
    own, other = place.split([len(label), len(sample)])
    return cg.sampled_softmax(model(bags), model.output(ids), own, other, chance)


def step_seconds(rank, workers, videos, batch, prepare, steps=5, dim=64, widths=(256,)):
    """Median seconds of a step of 03's generator on random examples, after prepare(model)."""
    random, stamps = torch.Generator().manual_seed(0), []
    model = cg.NextVideo(videos, dim, widths)
    prepare(model)
    bags = MyShare(torch.randint(videos, (batch, 50), generator=random))
    label = MyShare(torch.randint(videos, (batch,), generator=random))
    sample = torch.randperm(videos, generator=random)[:500]

    def loss(rows):
        return sampled_loss(model, bags[rows], label[rows], sample)

    def look(done, of):
        stamps.append(time.perf_counter())

    cg.fit(loss, cg.two_rates(model), batch, passes=steps + 2, batch=batch, progress=look)
    return float(np.median(np.diff(stamps[1:])))


def silent(model):
    """Prepare nothing: workers who never talk."""


def read_curve(workers, seconds):
    """Fixed, shared, and talk of a step, and the best number of workers (4,), by least squares."""
    columns = np.stack([np.ones(len(workers)), 1 / workers, workers - 1.0], axis=1)
    fixed, shared, talk = np.linalg.lstsq(columns, seconds, rcond=None)[0]
    return np.array([fixed, shared, talk, np.sqrt(shared / talk)])


def sleeping_step(rank, workers, work=0.1, numbers=1_000_000, steps=15):
    """Median seconds of a step whose work is slept, shared among workers, and whose sum is real."""
    own, stamps = torch.ones(numbers), []
    for _ in range(steps):
        stamps.append(time.perf_counter())
        time.sleep(work / workers)
        dist.all_reduce(own)
    return float(np.median(np.diff(stamps)[2:]))


def place_tables(gigabytes, load, workers, room):
    """A worker (n,) for each table: none above room, the busiest as little busy as you can."""
    used, busy, place = np.zeros(workers), np.zeros(workers), np.zeros(len(load), int)
    for table in np.argsort(-load, kind="stable"):
        fits = used + gigabytes[table] <= room
        worker = np.where(fits, busy, np.inf).argmin()
        place[table] = worker
        used[worker] += gigabytes[table]
        busy[worker] += load[table]
    return place


class Exchange(torch.autograd.Function):
    """Send rows[:sent[0]] to worker 0, the next sent[1] to 1, ...; gradients travel back."""

    @staticmethod
    def forward(ctx, rows, sent, received):
        """Rows (sum(received), ...) that arrive, for rows (sum(sent), ...) that leave."""
        ctx.back = received, sent
        arrived = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(arrived, rows.contiguous(), received, sent)
        return arrived

    @staticmethod
    def backward(ctx, gradient):
        """The gradients of what left are what comes back for it."""
        return Exchange.apply(gradient, *ctx.back), None, None


class CutTable(nn.Module):
    """A table (V, d) of which worker r of W holds the rows r, r + W, r + 2W, ... only."""

    def __init__(self, table):
        super().__init__()
        self.workers = dist.get_world_size()
        self.weight = nn.Parameter(table.detach()[dist.get_rank() :: self.workers].clone())
        self.weight.cut = True

    def forward(self, ids):
        """Rows (n, d) of ids (n,), from wherever they are."""
        owner = ids % self.workers
        order = owner.argsort(stable=True)
        ask = owner.bincount(minlength=self.workers)  # how many rows I want of each worker
        asked = Exchange.apply(ask, [1] * self.workers, [1] * self.workers)
        ask, asked = ask.tolist(), asked.tolist()
        wanted = Exchange.apply(ids[order], ask, asked)  # which of my rows the others want
        rows = functional.embedding(wanted // self.workers, self.weight)
        return Exchange.apply(rows, asked, ask)[order.argsort()]


class CutBag(CutTable):
    """03's input table, cut: the mean of a bag of rows; the last id stands for nothing."""

    def __init__(self, bag):
        super().__init__(bag.weight)
        self.nothing = bag.padding_idx

    def forward(self, bags):
        """Means (B, d) of bags (B, H); each row is asked for once, however often it occurs."""
        ids = functional.pad(bags.flatten(), (0, 1), value=self.nothing)
        ids, place = ids.unique(return_inverse=True)
        return functional.embedding_bag(
            place[:-1].reshape(bags.shape), super().forward(ids), mode="mean",
            padding_idx=len(ids) - 1,
        )  # fmt: skip


def cut_tables(model):
    """Leave each worker its own rows of the two tables of 03's network, and copies of the rest."""
    model.watched, model.output = CutBag(model.watched), CutTable(model.output.weight)
    share_gradients(model)


def learn_sampled(rank, workers, prepare, bags, label, counts, seed=0):
    """03's generator by its sampled softmax, one pass; its losses, two tables and last layer."""
    chance = cg.chances(cg.law(counts), min(500, len(counts) // 4))
    model = cg.NextVideo(len(counts), counts=counts)
    prepare(model)
    own_bags, own_label, random = MyShare(bags), MyShare(label), torch.Generator().manual_seed(0)

    def loss(rows):
        sample = (torch.rand(len(chance), generator=random) < chance).nonzero()[:, 0]
        return sampled_loss(model, own_bags[rows], own_label[rows], sample, chance.log())

    losses = cg.fit(loss, cg.two_rates(model), len(label), passes=1, seed=seed)
    layers = model.watched, model.output, model.last
    return losses, [layer.weight.detach() for layer in layers]


def fit_safely(loss, model, groups, n, file, every=10, passes=1, batch=512, warm_up=0.1, seed=0):
    """The loop of chapter 03 that starts at its last checkpoint, if there is one; the losses."""
    random = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(n, generator=random) for _ in range(passes)]
    plan = [rows for order in passes for rows in order.split(batch)]
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cg.rate_factor(step, len(plan), warm_up)
    )
    parts, losses = {"model": model, "optimizer": optimizer, "schedule": schedule}, []
    if Path(file).exists():
        saved = torch.load(file)
        losses = saved["losses"]
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    for rows in plan[len(losses) :]:
        value = loss(rows)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        losses.append(value.item())
        if len(losses) % every == 0 and dist.get_rank() == 0:
            saved = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**saved, "losses": losses}, f"{file}.new")
            os.replace(f"{file}.new", file)  # all of it or nothing, whenever we die
    return losses


def learn_safely(rank, workers, bags, label, counts, file, dies_in=None, every=10):
    """03's generator with checkpoints; the last worker dies in a step of this number."""
    model = cg.NextVideo(len(counts), counts=counts)
    share_gradients(model)
    own_bags, own_label, calls = MyShare(bags), MyShare(label), []

    def loss(rows):
        calls.append(rows)
        if len(calls) == dies_in and rank == workers - 1:
            os._exit(1)
        return cg.full_softmax(model(own_bags[rows]), model.output.weight, own_label[rows])

    return model, fit_safely(loss, model, cg.two_rates(model), len(label), file, every)


def crowd(vectors, n, random, spread=0.5):
    """Vectors (n, d): random ones of those given (V, d), with noise of `spread` deviations."""
    noise = random.normal(size=(n, vectors.shape[1])) * spread * vectors.std(axis=0)
    return (vectors[random.integers(len(vectors), size=n)] + noise).astype(np.float32)


def built_index(vectors, kind):
    """A faiss index of a kind such as "IVF256,PQ22", over vectors (V, d) made equally long."""
    places = cg.equally_long(vectors.astype(np.float64)).astype(np.float32)
    index = faiss.index_factory(places.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    if "PQ" in kind:
        index.do_polysemous_training = False  # slow, and for searches that we do not make
    index.train(places)
    index.add(places)
    return index


def found_by(index, users, k, **options):
    """Ids and scores (n, k) of the best for users (n, d); options as nprobe=16 or efSearch=200."""
    settings = {"nprobe": faiss.SearchParametersIVF, "efSearch": faiss.SearchParametersHNSW}
    params = settings[next(iter(options))](**options) if options else None
    scores, ids = index.search(np.pad(users, ((0, 0), (0, 1))).astype(np.float32), k, params=params)
    return ids, scores


def merged(ids, scores, k):
    """The best k (n, k) of what several workers have found, lists of ids and scores (n, m)."""
    ids, scores = np.hstack(ids), np.hstack(scores)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, best, axis=1)


def step_counts(workers, batch, videos, cut, dim=64, widths=(256,), negatives=500):
    """Counts (5,) of a worker's step: multiplications, numbers held, fetched; bytes sent; waits."""
    own, ring = batch / workers, 2 * (workers - 1) / workers
    layers = [dim + 1, *widths, dim]
    tower = sum((a + 1) * b for a, b in zip(layers, layers[1:], strict=False))
    tables, rounds = videos * (2 * dim + 1), np.log2(workers)
    times = own * (50 * dim + tower + (negatives + 1) * (dim + 1))
    if not cut:
        return np.array([times, tables + tower, 0, 4 * ring * (tables + tower), 8 * rounds])
    asked = [videos * -np.expm1(n * np.log1p(-1 / videos)) for n in (50 * own, own + negatives)]
    rows = asked[0] * dim + asked[1] * (dim + 1)  # each travels there, and its gradient back
    waits = 6 * rounds + 8 * (workers > 1)
    return np.array([times, tables / workers + tower, rows, 4 * ring * (tower + rows), waits])


def fitted(counts, seconds):
    """Seconds (m,) that each count costs, none below 0, from counts (n, m) and seconds (n,)."""
    scale = (counts / seconds[:, None]).max(axis=0)
    return nnls(counts / seconds[:, None] / scale, np.ones(len(seconds)))[0] / scale
