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

# %%
import pandas as pd
import seaborn as sns

from course import answer, ledger, plots, simulate
from course.cast import cast
from course.retrieval import one_thread, recall
from course.tasks.next_watch import Moments, NextWatch
from course.widgets import Choice, predict, sliders

world = simulate("town", seed=7)
game = NextWatch(world.logs())
players = cast(game.train)
examples = game.examples()[-15_360:]
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
# P1's tower, the part that looks like "the network", is nothing beside its tables and its examples. So there are two cures. Examples can be **dealt out** to workers, each with a copy of the whole network (section 2). Tables can be **cut**, so that each worker holds a part of the rows (section 4).
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
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped")  # joblib has given it a fresh one
        meet = Path(folder, "meet").as_uri()
        pool = joblib.Parallel(workers, backend="loky", batch_size=1, pre_dispatch="all")
        return pool(joblib.delayed(joined)(work, r, workers, meet, given) for r in range(workers))


# %%
def greet(rank, workers):
    own = torch.tensor([rank + 1.0])
    dist.all_reduce(own)  # PyTorch's own sum over all workers
    return f"I am worker {rank} of {workers}. The sum over us is {own.item():g}."


try:
    print(*together(greet, 2), sep="\n")
except Exception as error:
    raise RuntimeError(
        "Here a notebook may not start two processes that talk to each other, and this chapter needs "
        "them. Run it on another machine, or read it with the results that are stored in it."
    ) from error

# %% [markdown]
# On several machines one writes the same work into a file, ends it with `joined(work, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "env://", ())`, and starts it on each of them with `torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:PORT file.py`. Nothing else changes.
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


# %%
def learn(rank, workers, bags, label, counts):
    """03's generator, one pass; each step takes 512 examples, shared among the workers."""
    model = cg.NextVideo(len(counts), counts=counts)
    share_gradients(model)
    losses = cg.train(model, MyShare(bags), MyShare(label), passes=1, batch=512)
    return model, losses


(alone, its_loss), = together(learn, 1, bags, label, counts)
(first, one_half), (second, other_half) = together(learn, 2, bags, label, counts)
print(f"loss of the last batch: {its_loss[-1]:.4f} alone, {one_half[-1]:.4f} and {other_half[-1]:.4f} on the two halves")


def apart(one, other):
    """The largest difference between the weights of two networks."""
    pairs = zip(one.parameters(), other.parameters())
    return max((a - b).detach().abs().max().item() for a, b in pairs)


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
# Nothing in this is about the generator. The ranker of chapter 12, trained by its own loop, is put on two workers in the same way, and a test of the course does so.
#
# The batch as a whole is what counts. Each of the two took 256 examples; together they did the steps of 512. Whoever adds workers and leaves each worker's batch as it was trains with larger batches, and then the best learning rate and the number of steps change, too. That is another method, and it has to be tuned again.

# %% [markdown]
# ## 3. When does a second worker help?
#
# Now the question of the beginning. Both workers do half of the arithmetic. But at every step each gradient travels, and the gradient of a table is as long as the table, though a batch has touched a few of its rows only.
#
# We time steps of the same network on random examples. The loop is 03's `fit`, which calls `progress` after each step, and there we look at the clock. What makes workers out of copies is handed over as `prepare`, so that we can take it away: workers who are *silent* share the arithmetic and tell each other nothing. They learn nonsense, but they show what the second core can give at most.


# %% tags=["export"]
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


# %%
def milliseconds(workers, videos, batch, prepare):
    return 1_000 * max(together(step_seconds, workers, videos, batch, prepare, 3))


grid = [(videos, batch) for videos in (2_000, 100_000) for batch in (512, 4_096)]
ways = {"one worker": (1, silent), "two, silent": (2, silent), "two": (2, share_gradients)}
took = pd.DataFrame({
    (f"{videos:,} videos", f"batch {batch:,}"): {
        name: milliseconds(workers, videos, batch, prepare) for name, (workers, prepare) in ways.items()
    } for videos, batch in grid
}).T  # fmt: skip
took.round(0)

# %%
speed = took["one worker"] / took["two"]
guess.beside(f"with a batch of 512, {speed['100,000 videos', 'batch 512']:.2f} times as fast as one worker")


# %% [markdown]
# *What to see:* the second column is what two cores can do without talking. The third comes near it only where a step has much to count and little to tell, so with a large batch and small tables. With large tables and a small batch, two workers are slower than one.
#
# These are times of one machine, taken once, and it may have had other things to do. The stored trial has taken them five times, and counts the fastest of three runs that took turns. So many times faster than one worker were two:

# %%
stored = ledger.results("step_times")
pd.DataFrame({
    f"{videos:,} videos": {
        f"batch {batch:,}": plots.in_words(
            stored[f"one, {batch}, {videos}/seconds"] / stored[f"copies, {batch}, {videos}/seconds"]
        ) for batch in (512, 4_096)
    } for videos in (2_000, 100_000, 300_000)
}).T.rename_axis("two workers, speed-up")  # fmt: skip

# %% [markdown]
# **A law for it.** A step has a part that does not get shorter with more workers (a fixed part, $\tau_0$), a part that is shared ($\tau_1/W$), and talk. In a ring every worker more adds two steps to each round trip, so we write the talk as $\tau_2\,(W-1)$:
#
# $$\tau(W)=\tau_0+\frac{\tau_1}{W}+\tau_2\,(W-1).$$
#
# At first the middle term falls quickly. But it cannot fall below nothing, and the last one always rises. So there is a best number of workers, and beyond it each further machine makes things worse. Where is it? The derivative $-\tau_1/W^2+\tau_2$ is 0 at $W=\sqrt{\tau_1/\tau_2}$.
#
# > **Exercise 3 · Read a scaling curve** (building, 15 minutes). Somebody has measured the seconds of a step with different numbers of workers, both (n,). Find the three $\tau$ by least squares and return an array of four numbers, $\tau_0$, $\tau_1$, $\tau_2$, and the best number of workers (not rounded).
#
# <details><summary>Hint</summary>np.linalg.lstsq wants a column for each unknown: what is each of them multiplied with?</details>


# %% tags=["exercise"]
def read_curve(workers, seconds):
    """Fixed, shared, and talk of a step, and the best number of workers (4,), by least squares."""
    ...  # your code


# %% tags=["solution", "export"]
def read_curve(workers, seconds):
    """Fixed, shared, and talk of a step, and the best number of workers (4,), by least squares."""
    columns = np.stack([np.ones(len(workers)), 1 / workers, workers - 1.0], axis=1)
    fixed, shared, talk = np.linalg.lstsq(columns, seconds, rcond=None)[0]
    return np.array([fixed, shared, talk, np.sqrt(shared / talk)])


# %%
read_curve = answer("15-curve", read_curve)

# %% [markdown]
# Two cores cannot show eight workers at work. But they can show eight workers *talking*, if the arithmetic is only played. So in a stored trial up to eight processes *sleep* for their share of the work and then really add up a list of a million numbers. We fit the law to some of the numbers of workers and ask it for the others:

# %% tags=["export"]
def sleeping_step(rank, workers, work=0.1, numbers=1_000_000, steps=15):
    """Median seconds of a step whose work is slept, shared among workers, and whose sum is real."""
    own, stamps = torch.ones(numbers), []
    for _ in range(steps):
        stamps.append(time.perf_counter())
        time.sleep(work / workers)
        dist.all_reduce(own)
    return float(np.median(np.diff(stamps)[2:]))


# %%
sleepers = ledger.results("sleepers").mean()
team = np.array([1, 2, 3, 4, 6, 8])
taken = np.array([sleepers[f"{w} workers/seconds"] for w in team])
known = np.isin(team, (1, 2, 4, 8))
*taus, best = read_curve(team[known], taken[known])
many = np.linspace(1, 10, 91)
fig, ax = plots.figure(height=3.2)
ax.plot(many, 1_000 * (taus[0] + taus[1] / many + taus[2] * (many - 1)), label="the law")
ax.plot(team[known], 1_000 * taken[known], "o", label="measured")
ax.plot(team[~known], 1_000 * taken[~known], "X", color="#d55e00", ms=9, label="measured, not used for the law")
ax.axvline(best, color="#5b6673", linestyle=":")
ax.set(xlabel="workers", ylabel="milliseconds per step", title=f"best number of workers by the law: {best:.1f}")
ax.legend()
steps = ", ".join(f"{w} {1_000 * t:.0f}" for w, t in zip(team, taken))
fig.alt = f"Milliseconds by workers, first falling, then rising: {steps}; best by the law {best:.1f}"
fig

# %% [markdown]
# *What to see:* whether the crosses lie on the line. (All eight talk through two cores here, so their talk is dearer than that of eight machines, each with a network of its own.)
#
# ## 4. Cut the tables
#
# The copies have two faults. They send whole tables for a few rows, and every worker must hold every table. Both are cured if each row lives *in one place* only.
#
# A large system has many tables, of videos, channels, words, places. The first thing to try is to give each worker some *whole* tables. A table costs room, and it costs work, which is about how often its rows are asked for. These two are not the same: the table of countries is tiny and in every request. All wait for the slowest worker, so what counts is the load of the *busiest*.
#
# > **Exercise 4 · Place the tables** (building, 20 minutes). For each table you know its size in gigabytes and its load, both ($n$,). Give each to a worker, so that no worker holds more than `room` gigabytes, and the busiest worker has as little load as you can manage. Return the workers ($n$,), numbers from 0. The check accepts any placement that fits and is as good as the greedy one: the tables with the largest load first, each to the worker with the least load so far, among those who still have room for it.
#
# <details><summary>Hint</summary>Keep two arrays, what each worker holds and how busy it is; np.where(fits, busy, np.inf).argmin() is the least busy one with room.</details>


# %% tags=["exercise"]
def place_tables(gigabytes, load, workers, room):
    """A worker (n,) for each table: none above room, the busiest as little busy as you can."""
    ...  # your code


# %% tags=["solution", "export"]
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


# %%
place_tables = answer("15-place", place_tables)

# %% [markdown]
# Here are eight tables of an imagined system of P1's size, on four workers with 6 gigabytes each. The load is how many rows an example asks for.

# %%
tables = pd.DataFrame({
    "rows": [1e6, 1e6, 1e6, 2e5, 1e5, 2e4, 300, 20],
    "width": [256, 256, 256, 128, 64, 64, 16, 8],
    "load": [50, 50, 20, 50, 300, 100, 1, 51],
}, index=["videos watched", "search tokens", "videos to choose", "channels", "title words", "topics",
          "places", "devices"])  # fmt: skip
tables["gigabytes"] = [training_bytes([(int(r), int(w))], ()) / gigabyte for r, w in zip(tables["rows"], tables["width"])]
size, load = tables["gigabytes"].to_numpy(), tables["load"].to_numpy(float)
placed = {"in turn": np.arange(8) % 4, "greedy": place_tables(size, load, 4, 6.0)}
pd.DataFrame({
    how: {"most gigabytes on a worker": np.bincount(at, size).max(), "load of the busiest, mean = 1":
          np.bincount(at, load).max() / load.sum() * 4} for how, at in placed.items()
}).T.round(2)  # fmt: skip

# %% [markdown]
# One table alone, the title words, is busier than a fair share, and no placement of whole tables helps against that. Nor does one help if a table is larger than any worker. Then it is cut *by rows*. Worker 0 of two holds the even rows, worker 1 the odd ones, so everybody knows where a row lives. A step now has three letters instead of one long parcel. *Which rows do you want from me?* goes to everybody, then the rows come back, and after the backward pass their gradients travel the same way home.
#
# Are there libraries for this? We tried two. TorchRec has all of it, but its kernels (those of fbgemm, built for processors) could not be loaded with the PyTorch of this course, since they were built for another release. PyTorch's own DTensor cuts an `nn.Embedding` by rows, but no `EmbeddingBag`, which chapter 03 uses, and chapter 03's losses do not run on its tables without changes. So here it is by hand, and it is short. PyTorch's `all_to_all_single` sends each worker its part of a list; we only have to tell PyTorch how the gradient goes back.


# %% tags=["export"]
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


# %% [markdown]
# With it, a table of which each worker holds every $W$-th row. To the outside it is an embedding like any other: ids go in, rows come out.


# %% tags=["export"]
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


# %% [markdown]
# The input table of chapter 03 wants the mean of a bag. It fetches the rows and takes the mean at home:


# %% tags=["export"]
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


# %% [markdown]
# (The gradient of a row comes from all workers already summed, so `share_gradients` only divides it.) Does the cut network learn the same? We train it by 03's loop and the sampled softmax, in one piece on one worker and cut on two, and compare every row.

# %% tags=["export"]
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


# %%
data = bags, label, counts
(_, whole), = together(learn_sampled, 1, share_gradients, *data)
halves = [parts for _, parts in together(learn_sampled, 2, cut_tables, *data)]
pd.Series({
    "rows of a worker, of all": len(halves[0][0]) / len(whole[0]),
    "input table, largest difference": max(float((whole[0][r::2] - halves[r][0]).abs().max()) for r in (0, 1)),
    "output table": max(float((whole[1][r::2] - halves[r][1]).abs().max()) for r in (0, 1)),
    "tower": max(float((whole[2] - half[2]).abs().max()) for half in halves),
}).to_frame("cut on two, against one piece")  # fmt: skip

# %% [markdown]
# The same again, up to rounding, and nobody has seen the whole table. Now the times:

# %%
def bars(table, title):
    """Speed-up over one worker, a group of bars for each size."""
    ratio = (1 / table.div(table["one worker"], axis=0)).drop(columns="one worker")
    tidy = ratio.rename_axis(["size", "batch"]).melt(var_name="who", ignore_index=False).reset_index()
    fig, axes = plots.figure(2, height=3.2, sharey=True)
    for ax, (batch, part) in zip(axes, tidy.groupby("batch", sort=False)):
        sns.barplot(part, x="size", y="value", hue="who", ax=ax, legend=ax is axes[1],
                    palette=dict(zip(ratio, ("#b0b6bd", "#d55e00", "#0072b2"))))  # fmt: skip
        ax.axhline(1, color="#5b6673", linewidth=1)
        ax.set(title=batch, xlabel="", ylabel=title)
    axes[1].legend(title="")
    fig.alt = f"{title}: " + "; ".join(
        f"{' '.join(index)} " + ", ".join(f"{n} {v:.2f}" for n, v in row.items()) for index, row in ratio.iterrows()
    )
    return fig


took["two, cut"] = [milliseconds(2, videos, batch, cut_tables) for videos, batch in grid]
bars(took, "steps a second, one worker = 1")

# %% [markdown]
# *What to see:* the line at 1 is one worker, the grey bars are two who never talk. Compare the blue bars with the orange ones. For small tables and a large batch the three letters cost more than they save. With 100,000 videos and a small batch it is the other way round, and each worker holds half of the rows.
#
# ## 5. A worker dies
#
# A machine fails once in some years. With a thousand of them, one fails every day or so, and the whole team waits for it. So nobody asks whether a worker will die, only what is lost when it does.
#
# The answer is a *checkpoint*: now and then the first worker writes down all that the future depends on. If somebody dies, the team starts again from the last checkpoint. What does the future depend on? The network, of course. But also Adam's averages, the place on the curve of the learning rate, and the place in the order of the examples. Chapter 03's loop has no place for this, so here it is again with seven lines more:


# %% tags=["export"]
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


# %% [markdown]
# The order of the examples is drawn again from the seed, so its place is known from the number of losses. The last line matters: who dies while writing must not leave half a file.
#
# Now we kill. In its 26th step the second worker leaves without a word. That is what happens when the power goes.

# %% tags=["export"]
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


# %%
folder = tempfile.TemporaryDirectory()
calm, killed, forgetful = (Path(folder.name, name) for name in ("calm", "killed", "forgetful"))
(undisturbed, calm_losses), _ = together(learn_safely, 2, *data, calm)
try:
    together(learn_safely, 2, *data, killed, 26)
except Exception as error:
    print("the first try ended with", type(error).__name__)

# %%
saved = torch.load(killed)
print(f"the checkpoint knows {len(saved['losses'])} of {len(calm_losses)} steps")
saved["optimizer"]["state"] = {}  # what if the averages of Adam had been forgotten?
torch.save(saved, forgetful)
(resumed, losses), _ = together(learn_safely, 2, *data, killed)
(without, other_losses), _ = together(learn_safely, 2, *data, forgetful)
pd.Series({
    "resumed from the checkpoint": apart(resumed, undisturbed),
    "resumed without Adam's averages": apart(without, undisturbed),
}).to_frame("largest difference from the undisturbed training")  # fmt: skip

# %%
fig, ax = plots.figure(height=3.0)
off = {"resumed": losses, "resumed without Adam's averages": other_losses}
for name, line in off.items():
    ax.plot(np.array(line) - np.array(calm_losses), label=name)
ax.axvspan(20, 25, color="#b0b6bd", alpha=0.35)
ax.set(xlabel="step", ylabel="loss, minus undisturbed", title="a worker dies in step 25; 20 to 25 are made again")
ax.legend()
fig.alt = "Loss minus that of the undisturbed training, largest difference: " + ", ".join(
    f"{name} {np.abs(np.array(line) - calm_losses).max():.2g}" for name, line in off.items()
)
fig

# %% [markdown]
# *What to see:* with the whole checkpoint nothing at all has changed, to the last digit. The price of the death is the steps since the last checkpoint, made again. Forget Adam's averages, and another network comes out, without any error message.
#
# How often should one save? Rarely, and a death costs many steps; often, and saving costs more than training. A model of P1's size writes three of the four numbers of section 1 each time, some nine gigabytes. With cut tables each worker saves its own rows, and the checkpoint counts only when all have written.

# %% [markdown]
# ## 6. Search among very many
#
# Serving has the same trouble. A million videos with 256 numbers each are a gigabyte, and a comparison with all of them would eat up the tens of milliseconds that P1 allows for a page. Chapter 03 looked into a few *cells* only (IVF), or walked along links (HNSW). Both keep every number of every vector. Can a vector be smaller?
#
# Four bytes for each number is a lot, if we only want to know who is near. *Product quantisation* (PQ) cuts each vector into pieces of a few numbers. For each place it learns 256 typical pieces, by k-means, and keeps of a vector only *which* of the 256 is nearest, piece by piece. That is one byte a piece. A product with $x$ is then a sum of numbers that are looked up: for each place, the 256 products with $x$ are computed once.
#
# We want very many videos, and have trained on a town. So we add a *crowd* that nobody will ever watch, vectors that are learned ones with some noise on top. They stand in the way, as millions of other videos would.


# %% tags=["export"]
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


# %%
vectors = first.output.weight.detach().numpy()
with torch.no_grad():
    users = first(bags[-200:]).numpy()
among = np.vstack([vectors, crowd(vectors, 30_000, np.random.default_rng(0))])
kinds = {"flat": ("Flat", {}), "IVF": ("IVF256,Flat", {"nprobe": 16}), "IVF-PQ": ("IVF256,PQ11", {"nprobe": 16}),
         "HNSW": ("HNSW16,Flat", {"efSearch": 128})}  # fmt: skip
found, rows = {}, {}
with one_thread():
    for name, (kind, options) in kinds.items():
        index = built_index(among, kind)
        begun = time.process_time()
        found[name] = found_by(index, users, 100, **options)
        rows[name] = {"bytes a video": len(faiss.serialize_index(index)) / len(among),
                      "found of the exact 100": recall(found[name][0], found["flat"][0]),
                      "ms a request": 1e3 * (time.process_time() - begun) / len(users)}  # fmt: skip
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# *What to see:* PQ takes a small part of the room and finds less. What it misses is what it cannot tell apart.
#
# What if even that does not fit into one machine? Then the index is cut like the tables: each worker holds some of the videos, finds its own best, and somebody merges the lists. Nothing is lost by it, for the best of all are among the best of each part.


# %% tags=["export"]
def merged(ids, scores, k):
    """The best k (n, k) of what several workers have found, lists of ids and scores (n, m)."""
    ids, scores = np.hstack(ids), np.hstack(scores)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, best, axis=1)


# %%
with one_thread():
    whole = cg.equally_long(among)  # made equally long before it is cut, so that scores agree
    parts = [faiss.IndexFlatIP(whole.shape[1]) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.add(np.ascontiguousarray(whole[rank::2], np.float32))
    answers = [part.search(np.pad(users, ((0, 0), (0, 1))), 100) for part in parts]
both = merged([ids * 2 + rank for rank, (_, ids) in enumerate(answers)], [s for s, _ in answers], 100)
print("two halves against the whole, share of the same videos:", recall(both, found["flat"][0]))

# %% [markdown]
# **And people?** A stored trial has a world of 200,000 videos, about half of them learned, and a crowd that makes a million of it. For 1,000 live requests it takes what each index finds, leaves out the crowd, and asks the truth for the clicks on the first ten that are left, and on the ten that a perfect ranker would take.

# %%
million_of = ledger.results("search_million")
shown = {"IVF, 16 cells": "IVF, 16", "IVF-PQ, 17 bytes": "IVF-PQ17, 64", "IVF-PQ, 2 bytes": "IVF-PQ2, 64",
         "HNSW": "HNSW, 400"}  # fmt: skip
rows = [
    {"who": who, "measure": title, "value": value}
    for title, of, base in (("found of the exact 400", "recall", 1.0),
                            ("clicks, first ten", "clicks", million_of["flat/clicks"]),
                            ("clicks, ten best", "ranked_clicks", million_of["flat/ranked_clicks"]))
    for who, key in shown.items()
    for value in million_of[f"{key}/{of}"] / base
]  # fmt: skip
plots.worlds(pd.DataFrame(rows), panel="measure", label="exact search = 1")

# %%
pd.DataFrame({
    who: {"bytes a video": f'{million_of[f"{key}/bytes"].mean():.0f}',
          "ms a request": plots.in_words(million_of[f"{key}/ms"])}
    for who, key in {"flat": "flat", **shown}.items()
}).T  # fmt: skip

# %% [markdown]
# *What to see:* compare the left panel with the two others. With two bytes for a vector most of the exact 400 are missed, and clicks fall by far less, because what is missed is replaced by what the model likes nearly as much. With 17 bytes we see no loss at all, even a little gain. But that is the crowd's doing: short codes let a few more learned videos through (54 of the 400 instead of 51, in the first world), and only these can be shown. In a catalogue without a crowd there is no such gift.
#
# IVF and HNSW are quick and save no memory; they even need some more, for cells and links. Only PQ makes the index small. All of them answer many times faster than the exact search.

# %% [markdown]
# ## 7. What would it cost?
#
# Is it worth while to buy a hundred machines? Now put it all together. What does a step cost a worker? Five things can be counted on paper, without running anything: its multiplications; the numbers that the worker holds, since Adam touches all of them; the numbers that it fetches from a cut table; the bytes that it sends; and how often it waits for the others. (For a short list, libraries do not go around a ring but up and down a tree, so we let the waiting grow with the logarithm of the number of workers. With two workers, which is all that we can measure, the two are the same.)


# %% tags=["export"]
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


# %% [markdown]
# What does each of the five cost in seconds? We fit the prices to the stored times of one and of two workers, with whole and with cut tables, so that the *relative* errors are small. All settings with 50,000 videos are kept out of the fit, to see how far the law can be trusted.

# %%
times = ledger.results("step_times").T
times, setting = times[~times.index.str.startswith("silent")], []  # who never talks learns nothing
for key in times.index:
    who, batch, videos = key.removesuffix("/seconds").split(", ")
    setting.append({"workers": 1 + (who != "one"), "batch": int(batch), "videos": int(videos), "cut": who == "cut"})
counted = np.array([step_counts(**one) for one in setting])
seconds = times.median(axis=1).to_numpy()
held_out = np.array([one["videos"] == 50_000 for one in setting])
price = fitted(counted[~held_out], seconds[~held_out])
guessed = counted @ price
fig, ax = plots.figure(width=5.6, height=4.2)
for keep, name, mark in ((~held_out, "used for the fit", "o"), (held_out, "kept out", "X")):
    ax.plot(1e3 * guessed[keep], 1e3 * seconds[keep], mark, label=name)
ax.axline((10, 10), slope=1, color="#5b6673", linewidth=1)
ax.set(xscale="log", yscale="log", xlabel="milliseconds by the law", ylabel="milliseconds measured")
ax.legend()
error = np.exp(np.abs(np.log(guessed / seconds)))
fig.alt = f"Measured against the law; typical factor {np.median(error[held_out]):.2f} where kept out, largest {error.max():.2f}"
fig

# %%
print(f"typically off by a factor of {np.median(error[~held_out]):.2f} where used, {np.median(error[held_out]):.2f} where kept out")
things = ("a million multiplications", "a million numbers held", "a million numbers fetched", "a megabyte sent", "a wait")
pd.Series(dict(zip(things, price * [1e9, 1e9, 1e9, 1e9, 1e3])), name="milliseconds").round(2).to_frame()

# %% [markdown]
# So the law is no clockwork. It is good enough to tell which of two plans is many times better, and no better than that. With the prices at hand we can play at a size that no laptop has. Workers, batch and tables are yours:


# %%
def plan(workers=16, batch=4_096, videos=1_000_000):
    """Where a worker's time goes, and what more workers bring, for copies and cut tables."""
    fig, (left, right) = plots.figure(2, height=3.4)
    team, words = 2.0 ** np.arange(11), []
    parts = {"whole tables": False, "cut tables": True}
    for row, (name, cut) in enumerate(parts.items()):
        spent = 1e3 * step_counts(workers, batch, videos, cut) * price
        start = 0.0
        for what, value, tint in zip(("arithmetic", "keeping tables", "talk"),
                                     (spent[0], spent[1], spent[2:].sum()),
                                     ("#0072b2", "#b0b6bd", "#d55e00")):  # fmt: skip
            left.barh(row, value, left=start, color=tint, label=what if row == 0 else None)
            start += value
        one = step_counts(1, batch, videos, False) @ price
        curve = np.array([one / (step_counts(w, batch, videos, cut) @ price) for w in team])
        right.plot(team, curve, label=name, color=("#d55e00", "#0072b2")[row])
        right.plot(workers, one / (1e-3 * start), "o", color=("#d55e00", "#0072b2")[row], ms=9)
        words.append(f"{name}: {start:,.0f} ms a step, {one / (1e-3 * start):.1f} times one worker")
    left.set(yticks=[0, 1], yticklabels=list(parts), xlabel="milliseconds per step", ylim=(1.6, -0.9))
    left.legend(loc="upper right", ncols=3, fontsize=9)
    right.plot(team, team, ":", color="#5b6673")
    right.set(xscale="log", yscale="log", xlabel="workers", ylabel="times as fast as one", ylim=(0.1, 1_100))
    right.legend()
    fig.suptitle(f"{workers:,} workers, batch {batch:,}, {videos:,} videos", x=0.01, ha="left")
    fig.alt = f"{workers:,} workers, batch {batch:,}, {videos:,} videos. " + "; ".join(words)
    return fig


sliders(plan, workers=Choice([1, 2, 4, 16, 64, 256, 1_024], 16), batch=Choice([512, 4_096, 32_768, 262_144], 4_096),
        videos=Choice([2_000, 100_000, 1_000_000, 10_000_000], 1_000_000))  # fmt: skip

# %%
for workers, batch, videos in ((2, 512, 2_000), (16, 4_096, 1_000_000), (256, 262_144, 1_000_000)):
    plots.show(plan(workers, batch, videos))

# %% [markdown]
# *What to see:* whole tables hit a ceiling that no number of workers lifts, because each worker holds, moves and updates everything. Cut tables get over it. What then stops the curve is the batch: if it is small, there is nothing left to share.
#
# **P1's size.** A million videos and tokens, 256 numbers, three hundred billion examples, tables cut. How long is one pass over them, with our prices? The band says how sure the prices are: we draw the settings of the fit again and again, with replacement. It does *not* say whether a law that was measured with two workers holds for thousands. That is a leap. And P1 says "hundreds of billions", which can be one or nine, so the dashed lines are drawn, too.

# %%
random, team = np.random.default_rng(0), 2.0 ** np.arange(0, 15)
size = {"batch": 262_144, "videos": 1_500_000, "cut": True, "dim": 256, "widths": (1_024, 512), "negatives": 5_000}
paper = np.array([step_counts(w, **size) for w in team])
drawn = [random.integers(len(seconds), size=len(seconds)) for _ in range(200)]
days = np.array([paper @ fitted(counted[d], seconds[d]) for d in drawn]) * 300e9 / size["batch"] / 86_400
low, middle, high = np.quantile(days, (0.025, 0.5, 0.975), axis=0)
fig, ax = plots.figure(height=3.4)
ax.fill_between(team, low, high, alpha=0.25)
ax.plot(team, middle, label="300 billion examples")
for billions, style in ((100, ":"), (900, "--")):
    ax.plot(team, middle * billions / 300, style, color="#5b6673", label=f"{billions} billion")
ax.legend()
ax.set(xscale="log", yscale="log", xlabel="workers, each like one core of this machine", ylabel="days for one pass")
fig.alt = f"Days for one pass over P1's examples: {middle[0]:,.0f} with one worker, {middle[-1]:,.1f} with {team[-1]:,.0f}"
fig

# %%
print(f"one worker: {middle[0] / 365:,.0f} years; 1,024 workers: {middle[10]:,.0f} days ({low[10]:,.0f} to {high[10]:,.0f})")

# %% [markdown]
# ## 8. The pages of three accounts
#
# By the network that two workers have learned together:

# %%
players.pages(world, lambda users: game.pages(cg.scorer(first), users))

# %% [markdown]
# They are what one worker would have shown. That is the point of this chapter: nothing that you see in front of people tells how many machines stood behind it.
#
# ## What the ledger says

# %%
ledger.show("15")

# %% [markdown]
# ## Challenge
#
# > **Fewer bytes** (open, an hour or two). With whole tables, nearly all that travels are zeros. Find a way to send less without cutting the tables: send only the rows that were touched, or numbers of two bytes, or the largest gradients only (and keep the rest for later). The score says how much of the bytes is left, and what it costs in loss after one pass. The start sends numbers of two bytes.

# %%
def my_sharing(model):
    """Gradients become the mean over workers; returns a function that gives the bytes sent."""
    sent = []

    def mean(parameter):
        small = parameter.grad.bfloat16()
        dist.all_reduce(small)
        sent.append(2 * small.numel())
        parameter.grad.copy_(small / dist.get_world_size())

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(mean)
    return lambda: sum(sent)


def score(rank, workers, sharing, bags, label, counts):
    model = cg.NextVideo(len(counts), counts=counts)
    bytes_sent = sharing(model)
    losses = cg.train(model, MyShare(bags), MyShare(label), passes=1, batch=512)
    everything = 4 * sum(p.numel() for p in model.parameters()) * len(losses)
    return {"bytes, of all": bytes_sent() / everything, "loss of the last ten steps": np.mean(losses[-10:])}


scores = pd.DataFrame(together(score, 2, my_sharing, *data))
scores.mean().round(4).to_frame("two bytes a number").T

# %% [markdown]
# ## Summary
#
# 1. Two things outgrow a machine, the examples and the tables. The network between them is small.
# 2. Workers who share a batch and take the mean of their gradients learn what one learns from the whole batch, up to rounding, with chapter 03's code unchanged.
# 3. A second worker helps where a step has much to count and little to tell. With whole tables and a small batch it was slower than one.
# 4. Tables that are cut by rows are held by nobody as a whole, send only the rows of a batch, and give the same network.
# 5. Whoever saves all that the future depends on, loses a few steps by a death and nothing else.
# 6. Search takes a few bytes a video, if one may miss some; how much of that people notice is another, smaller number.
#
# **Limits.** Two cores of one machine, so all that was measured is the talk between neighbours, and what is said of hundreds of workers is a law that was fitted to one and two. Random examples in the timings. Workers wait for each other at every step here; systems in which they do not (P2 speaks of models that diverge in distributed training) were not built. A dense Adam, which touches every row at every step, where large systems update only the rows of the batch.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next*, RecSys 2019. Li et al., *PyTorch Distributed: Experiences on Accelerating Data Parallel Training*, VLDB 2020. Goyal et al., *Accurate, Large Minibatch SGD*, 2017. Ivchenko et al., *TorchRec: a PyTorch Domain Library for Recommendation Systems*, RecSys 2022. Jégou, Douze, Schmid, *Product Quantization for Nearest Neighbor Search*, PAMI 2011. Malkov, Yashunin, *Efficient and Robust Approximate Nearest Neighbor Search Using HNSW Graphs*, PAMI 2018.
