# ---
# course:
#   number: "15"
#   title: Beyond one machine
#   question: What changes at a million videos and a hundred workers?
#   paper: P1 sections 1, 3 and 3.5 (scale); P2 sections 1 and 5
#   minutes: 110
#   lesson: beyond_one_machine
# ---

# %% [markdown]
# # 15 · Beyond one machine
#
# **Promise.** You will make two processes learn one network, and prove that they learn what one alone learns. You will see when the second one helps and when it hurts, cut a table that nobody can hold, kill a worker in the middle of its work and lose nothing, search among very many videos with a few bytes for each, and read off what all this would cost at the size of the papers.
#
# * **Papers.** P1 and P2, for the numbers that say how large they are. Neither tells how its machines share the work.
# * **You should know.** Chapter 03 (the generator, its loop, search by cells). No other chapter is needed.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 110 minutes; **the machine's** about {{seconds}} seconds, on two cores for a part of them.

# %%
# {{setup}}

# %% tags=["export"]
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

# %%
import pandas as pd
import seaborn as sns

from course import answer, ledger, plots, simulate
from course.cast import cast
from course.metrics import recall
from course.retrieval import one_thread
from course.tasks.next_watch import Moments, NextWatch
from course.widgets import Choice, predict, sliders

world = simulate("town", seed=7)
game = NextWatch(world.logs())
players = cast(game.train)
examples = game.examples()[-20_480:]
bags = cg.as_bags(Moments.of_events(game.train, examples).watched, game.videos)
label = torch.tensor(examples["video_id"].to_numpy(np.int64))
counts = torch.bincount(label, minlength=game.videos)

# %% [markdown]
# ## 1. What does not fit
#
# All of this course fits into a laptop. P1's system does not: its models have about a billion parameters, and learn from hundreds of billions of examples. What exactly is too large? Let us count bytes before we buy machines.
#
# A number takes 4 bytes. To *train* a number takes more: beside the number itself there is its gradient, and Adam keeps two averages for it (of the gradient and of its square). That makes four numbers for each parameter.
#
# > **Exercise 1 · Count the bytes** (warm-up, 8 minutes). `tables` is a list of pairs (rows, width), and `widths` lists how many numbers go in and come out of the layers: (512, 1024, 256) means a layer from 512 to 1,024 and one from there to 256, each with a bias for every number that comes out. Return the bytes that training needs.
#
# <details><summary>Hint</summary>zip(widths, widths[1:]) gives the layers one after the other.</details>


# %% tags=["exercise"]
def training_bytes(tables, widths):
    """Bytes to train tables [(rows, width)] and layers: values, gradients, Adam's two averages."""
    ...  # your code


# %% tags=["solution", "export"]
def training_bytes(tables, widths):
    """Bytes to train tables [(rows, width)] and layers: values, gradients, Adam's two averages."""
    numbers = sum(rows * width for rows, width in tables)
    numbers += sum((inside + 1) * out for inside, out in zip(widths, widths[1:], strict=False))
    return 4 * 4 * numbers


# %%
training_bytes = answer("15-bytes", training_bytes)

# %% [markdown]
# P1 (section 3.5) has a million videos and a million search tokens with 256 numbers each, a second table of a million videos at the top, and a tower of 1,024, 512 and 256. Of one example it needs to know the last 50 watches, the last 50 tokens and the label, say 4 bytes each. "Hundreds of billions" shall be three hundred.

# %%
million, gigabyte = 1_000_000, 1e9
sizes = {
    "our network, in training": training_bytes([(game.videos, 64), (game.videos, 65)], (65, 256, 64)),
    "our examples": bags.numel() * 4,
    "P1's tower, in training": training_bytes([], (520, 1024, 512, 256)),
    "P1's tables, in training": training_bytes(3 * [(million, 256)], ()),
    "P1's examples": 300e9 * 101 * 4,
}
fig, ax = plots.figure(height=3.2)
sns.barplot(x=pd.Series(sizes) / gigabyte, y=list(sizes), color=plots.colour("observed"), ax=ax)
ax.axvline(8, color="#d55e00", linestyle="--")
ax.text(8, -0.65, "a laptop's memory", ha="center", color="#d55e00")
ax.set(xscale="log", xlabel="gigabytes", ylabel="")
fig.alt = "Gigabytes, logarithmic: " + ", ".join(f"{n} {v / gigabyte:,.3g}" for n, v in sizes.items())
fig

# %% [markdown]
# *What to see:* two things are too large, and they are too large in different ways. The examples are many, but a step looks at a few of them only. The tables are needed at every step.
#
# The tower, the part that looks like "the network", is the smallest of all. So there are two cures. Examples can be **dealt out** to workers, each with a copy of the whole network (section 2). Tables can be **cut**, so that each worker holds a part of the rows (section 4).
#
# One *worker* is here a process of its own, with its own memory, on one of your cores; in a data centre it would be a machine. It knows of the others only what they send.

# %%
guess = predict(
    "15-speed",
    "Two workers share the examples of each step, half to each. Then they tell each other what they "
    "have learned, so that both stay the same. How fast is a step with 100,000 videos, compared with one worker?",
    ["nearly twice as fast", "about one and a half times as fast", "about as fast", "slower"],
)
guess

# %% [markdown]
# ## 2. Two workers, one network
#
# A gradient of a batch is a mean over its examples. So if two workers take half of the batch each, compute their gradients, and take the *mean of the two*, that is the gradient of the whole batch. If both then make the same step, both have the same network again. This is *data parallel* training. All it needs is a sum over workers, of a list as long as the network.
#
# Somebody must start the processes. On a cluster that is `torchrun`; from a notebook we let *joblib* do it, as it sends along functions that were written in a cell. The processes find each other through a file, and then talk over *gloo*, the part of PyTorch that carries numbers between processors (between graphics cards it is called NCCL, and nothing else changes).


# %% tags=["export"]
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


# %%
def greet(rank, workers):
    own = torch.tensor([rank + 1.0])
    dist.all_reduce(own)  # PyTorch's own sum over all workers
    return f"I am worker {rank} of {workers}, in process {'first' if rank == 0 else 'second'}; our sum is {own.item():g}"


together(greet, 2)

# %% [markdown]
# If a school's machine forbids new processes, this cell stops with an error of joblib, and the chapter cannot go on there. Everything that follows is made of `together`.
#
# **How does one sum over workers?** The naive way is that all send their list to worker 0, which adds and sends the sum back. With a hundred workers, worker 0 sends and receives a hundred lists while the others wait. The way that is really used is a *ring*: each worker talks to its right neighbour only, and sends a small part at a time.
#
# Cut the list into as many parts as there are workers, $W$. In the first round of $W-1$ steps, each worker passes on the part that it has just added to: what arrives from the left is added to one's own part of the same number. After that each worker has *one part* that is summed over all. In a second round of $W-1$ steps these finished parts travel around, and everybody copies them. Each worker has sent $2(W-1)/W$ of the list, which is less than twice its length, however many workers there are.
#
# > **Exercise 2 · All-reduce by hand** (building, 25 minutes). You are worker `rank` of `workers`. `numbers` ($n$,) is your own list; $n$ is a multiple of `workers`. `pass_on(part)` sends a part to your right neighbour, waits, and returns what your left neighbour has passed on in the same step. In step $0,1,\dots$ of the first round send part number `rank - step`, and add what arrives to part number `rank - step - 1`. In step $0,1,\dots$ of the second round send part `rank + 1 - step`, and what arrives replaces part `rank - step`. All part numbers count around the ring, so they are taken modulo `workers`. Return the sum over all workers ($n$,). Do not change `numbers`.
#
# <details><summary>Hint 1</summary>numbers.chunk(workers) cuts; torch.cat joins.</details>
# <details><summary>Hint 2</summary>A list of parts may be changed: parts[j] = parts[j] + arrived makes a new tensor.</details>


# %% tags=["exercise"]
def ring_sum(numbers, rank, workers, pass_on):
    """Sum (n,) over a ring of workers; pass_on(part) sends to the right, returns the left's."""
    ...  # your code


# %% tags=["solution", "export"]
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


# %%
ring_sum = answer("15-ring", ring_sum)


# %% tags=["export"]
def pass_on(part):
    """Send a part to the right neighbour, and return what the left one sends."""
    rank, workers = dist.get_rank(), dist.get_world_size()
    arrived = torch.empty_like(part)
    sending = dist.isend(part.contiguous(), (rank + 1) % workers)
    dist.recv(arrived, (rank - 1) % workers)
    sending.wait()
    return arrived


# %%
def two_sums(rank, workers):
    own = torch.randn(1_000, generator=torch.Generator().manual_seed(rank))
    ours = ring_sum(own, rank, workers, pass_on)
    dist.all_reduce(own)
    return float((ours - own).abs().max())


print("our ring and PyTorch's sum differ by at most", max(together(two_sums, 2)))

# %% [markdown]
# Now chapter 03's generator. We change nothing: its network, its loss, its loop stay as they were imported. Two things are put around them. The tables of examples hand out only the worker's own share of the rows that the loop asks for. And each gradient is replaced by the mean over all workers, at the moment when it is ready; PyTorch calls a function that we *hook* to a parameter.


# %% tags=["export"]
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


# %%
def learn(rank, workers, bags, label, counts):
    """03's generator, one pass; each step takes 512 examples, shared among the workers."""
    model = cg.NextVideo(len(counts), counts=counts)
    share_gradients(model)
    losses = cg.train(model, MyShare(bags), MyShare(label), passes=1, batch=512)
    return model, losses


(alone, alone_losses), = together(learn, 1, bags, label, counts)
(first, first_losses), (second, second_losses) = together(learn, 2, bags, label, counts)


def apart(one, other):
    """The largest difference between two networks, beside the mean size of a weight."""
    pairs = list(zip(one.parameters(), other.parameters()))
    return max(float((a - b).abs().max()) for a, b in pairs)


def other_seed():
    model = cg.NextVideo(game.videos, counts=counts)
    cg.train(model, bags, label, passes=1, batch=512, seed=1)
    return model


shuffled = other_seed()
events = game.sample(2_000)
rows = {"one worker": (alone, alone), "two workers, the first": (first, alone),
        "two workers, the second": (second, alone), "one worker, examples in another order": (shuffled, alone)}  # fmt: skip
pd.DataFrame({
    name: {"largest difference from one worker": apart(*pair),
           **game.offline(cg.scorer(pair[0]), events, (100,))}
    for name, pair in rows.items()
}).T  # fmt: skip

# %% [markdown]
# *What to see:* two workers learn what one learns, up to rounding, and both hold the same network. Another order of the examples, which nobody would call another method, makes a far larger difference.
#
# The batch as a whole is what counts. Each of the two took 256 examples; together they did the steps of 512. Whoever adds workers and leaves each worker's batch as it was trains with larger batches, and then the best learning rate and the number of steps change, too. That is another method, and it has to be tuned again.

# %%
halves = pd.DataFrame({"first worker": first_losses, "second worker": second_losses})
both = halves.mean(axis=1)
fig, ax = plots.figure(height=3.0)
for name, line, width in (("one worker", alone_losses, 5), ("mean of two workers", both, 1.5)):
    ax.plot(line, label=name, linewidth=width, alpha=0.5 if width > 2 else 1)
ax.set(xlabel="step", ylabel="loss of the batch")
ax.legend()
fig.alt = f"Loss by step, one worker and the mean of two: they differ by at most {np.abs(both - alone_losses).max():.1g}"
fig

# %% [markdown]
# ## 3. When does a second worker help?
#
# Now the question of the beginning. Both workers do half of the arithmetic. But after every step each gradient travels, and the gradient of a table is as long as the table, though a batch has touched a few of its rows only.
#
# We time steps of the same network on random examples, with few and with many videos. The loop is 03's `fit`, which calls `progress` after each step; we write down the clock.


# %% tags=["export"]
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


# %% [markdown]
# (`cut_tables` comes in section 4.)

# %%
measured = []
for videos in (2_000, 20_000, 100_000):
    for batch in (512, 4_096):
        times = {w: max(together(step_seconds, w, videos, batch)) for w in (1, 2)}
        measured.append({"videos": videos, "batch": batch, "one": times[1], "two": times[2],
                         "speed-up": times[1] / times[2]})  # fmt: skip
table = pd.DataFrame(measured)
guess.beside(f"with a batch of 512: one step of two workers is {table['speed-up'].iloc[-2]:.2f} times as fast as one of one worker")

# %%
table.round({"one": 4, "two": 4, "speed-up": 2})

# %% [markdown]
# ## 4. Cut the tables

# %% tags=["export"]
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


# %% [markdown]
# ## 5. Place the tables
#
# > **Exercise 3 · Place the tables** (building, 20 minutes). TODO


# %% tags=["exercise"]
def place_tables(gigabytes, load, workers, room):
    """Worker (n,) of each table: within room, the busiest worker as little busy as you can."""
    ...  # your code


# %% tags=["solution", "export"]
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


# %%
place_tables = answer("15-place", place_tables)

# %% [markdown]
# ## What the ledger says

# %%
ledger.show("15")

# %% [markdown]
# ## Summary
