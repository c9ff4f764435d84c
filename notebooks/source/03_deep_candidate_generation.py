# ---
# course:
#   number: "03"
#   title: The deep candidate generator
#   question: How does one choose the next video out of a very large number of classes?
#   paper: P1 sections 3.1 and 3.2, Fig. 3; Yi et al. 2019
#   minutes: 120
#   lesson: candidate_generation
# ---

# %% [markdown]
# # 03 · The deep candidate generator
#
# **Promise.** You will write the network of P1's Figure 3 and a loop that trains it well. You will teach it to choose among all videos while each step looks at a few only, and serve its answers without comparing every video.
#
# * **Papers.** Covington et al. 2016 (P1), sections 3.1 and 3.2, Figure 3. Yi et al. 2019 for the correction of sampled negatives.
# * **You should know.** Chapters 00 to 02; what a gradient is; a little PyTorch.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 120 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import math

import numpy as np
import torch
from scipy.optimize import brentq
from torch import nn
from torch.nn import functional

# %%
import pandas as pd
import seaborn as sns
from sklearn.cluster import KMeans

from course import answer, contest, ledger, plots, simulate, tuning
from course.cast import cast, shelves
from course.lessons.matrix_factorization import neighbours, popularity
from course.metrics import popularity_groups
from course.retrieval import Index
from course.tasks.next_watch import Moments, NextWatch
from course.widgets import Choice, Toggle, predict, sliders

world = simulate("town", seed=7)
game = NextWatch(world.logs())
players = cast(game.train)

# %% [markdown]
# ## 1. One question, thousands of classes
#
# Here is what our heavy viewer watched before one evening of the last three days, oldest first. The last video in the row is what came next.

# %%
own = game.events[game.events["user_id"] == players.heavy]
event = (own if len(own) else game.events).iloc[[-1]]
before = Moments.of_events(game.logs, event).watched[0, :6][::-1]
row = np.append(before[before >= 0], event["video_id"])
shelves(world, {"watched, and then watched next": row})

# %% [markdown]
# P1 makes this the whole task, to guess the next video. Every video is a *class*, one of the possible answers. What is known of the viewer at this moment, the history and the situation, is turned into a vector $x$. Each video has a vector $y_i$, and the probability that video $i$ is watched next is a softmax over all classes:
#
# $$P(i \mid x)=\frac{e^{x\cdot y_i}}{\sum_j e^{x\cdot y_j}}.$$
#
# Chapter 02 had the same formula, with one fixed vector $x_u$ for each account. Here $x$ is *computed*, from what is known right now. So a new account has a vector of its own after its first watch, and an old one gets a new vector with every watch.
#
# **What a first stage is for.** The generator does not make the page. It hands a few hundred videos to a ranker, which sorts them (chapter 06). So what counts here is how often the right video is among the hundreds that are handed on, which is recall at 100 or 300. We keep an eye on MRR, too, because it says how well the top is ordered. The rivals to beat are counts in the language of the viewer:

# %%
language = game.train.users["language"].cat.codes.to_numpy()
deep = (20, 100, 300)


def counted(days):
    counts = popularity(game.train, days)
    return game.offline(lambda moments: counts[language[moments.user]], recall=deep)


found = {f"popular, last {days} days": counted(days) for days in (2, 7)}
print(f"{game.videos:,} classes, {len(game.events):,} events")
pd.DataFrame(found).T.round(3)

# %% [markdown]
# The count of two days is a strong rival: it has a clock. The network of this chapter has none of its own; it can tell the date only from what people watched last. Chapter 04 gives it a clock.

# %%
guess = predict(
    "03-correction",
    "To save work, each training step will compare the watched video with 500 others only, drawn "
    "as often as they are watched. Which videos will such a model recommend, compared with a model "
    "that is trained on all videos?",
    ["more popular ones", "about the same", "less popular ones"],
)
guess

# %% [markdown]
# ## 2. The network
#
# This is P1's Figure 3, as far as we need it now:

# %%
boxes = {
    "ids": (1.4, 0.6, "ids of the last 50 watches"),
    "table": (1.4, 1.6, "input table: a vector for each"),
    "mean": (1.4, 2.6, "average"),
    "n": (4.6, 2.6, "how many there are"),
    "more": (7.3, 2.6, "searches, age, ... (chapter 04)"),
    "tower": (4.4, 3.7, "ReLU layers, each half as wide as the one below"),
    "x": (4.4, 4.7, "user vector x"),
    "y": (7.6, 4.7, "output table: y for each video"),
    "train": (2.6, 5.8, "training: softmax over videos"),
    "serve": (6.4, 5.8, "serving: nearest neighbours of x"),
}
arrows = [("ids", "table"), ("table", "mean"), ("mean", "tower"), ("n", "tower"), ("more", "tower"),
          ("tower", "x"), ("x", "train"), ("y", "train"), ("x", "serve"), ("y", "serve")]
plots.diagram(boxes, arrows, size=(8.8, 6.4), fills={"x": "#fde7d3", "y": "#fde7d3"})

# %% [markdown]
# Histories have different lengths, and a layer wants a fixed number of inputs. P1's answer is to *average*. Every watched video has a vector in the input table, and a *bag* of the last 50 watches, whose order is forgotten, becomes the mean of its vectors. A second table, at the top, has the vectors of videos as something to be chosen.
#
# Four things below are ours and not P1's. The mean is brought to an even scale (`LayerNorm`). The number of watches is an input. A linear map follows the last ReLU layer, so that $x$ can hold negative numbers. And each video has a bias $b_i$ for its popularity. The bias needs no place of its own, because $x$ ends in a 1 and $y_i$ in $b_i$, so the dot product adds it.


# %% tags=["export"]
def tower(inputs, widths):
    """ReLU layers of the given widths on `inputs` numbers; and how many numbers come out."""
    layers = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers), inputs


# %% [markdown]
# > **Exercise 1 · The forward pass** (building, 15 minutes). `bags` is ($B$, 50), rows of the input table, and `self.videos` where there is nothing; `self.watched` averages them, without the empty places. Put the mean, normalised by `self.norm`, and $\log(1+n)$ side by side, where $n$ is the number of watches in the bag; send both through `self.tower` and then `self.last`; and append the 1 that goes with the bias. The result is ($B$, dim + 1).
#
# <details><summary>Hint 1</summary>A comparison with <code>self.videos</code> and a sum over the bag give n; <code>keepdim=True</code> keeps it a column.</details>
# <details><summary>Hint 2</summary><code>functional.pad(x, (0, 1), value=1.0)</code> appends a 1 to every row.</details>


# %% tags=["exercise"]
class NextVideo(nn.Module):
    """P1's Figure 3 on watches: the mean of a bag, a ReLU tower, a dot product with each video."""

    def __init__(self, videos, dim=64, widths=(256,), counts=None, bag="mean", scale=0.1, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.videos = videos
            self.watched = nn.EmbeddingBag(videos + 1, dim, mode=bag, padding_idx=videos)
            self.norm = nn.LayerNorm(dim)
            self.tower, last = tower(dim + 1, widths)
            self.last = nn.Linear(last, dim)
            self.output = nn.Embedding(videos, dim + 1)  # the last column is the bias
            with torch.no_grad():
                self.watched.weight *= scale
                self.output.weight *= scale
                self.output.weight[:, -1] = 0 if counts is None else torch.log1p(counts)

    def forward(self, bags):
        """User vectors (B, dim + 1) of bags (B, H); their last number is 1."""
        ...  # your code


# %% tags=["solution", "export"]
class NextVideo(nn.Module):
    """P1's Figure 3 on watches: the mean of a bag, a ReLU tower, a dot product with each video."""

    def __init__(self, videos, dim=64, widths=(256,), counts=None, bag="mean", scale=0.1, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.videos = videos
            self.watched = nn.EmbeddingBag(videos + 1, dim, mode=bag, padding_idx=videos)
            self.norm = nn.LayerNorm(dim)
            self.tower, last = tower(dim + 1, widths)
            self.last = nn.Linear(last, dim)
            self.output = nn.Embedding(videos, dim + 1)  # the last column is the bias
            with torch.no_grad():
                self.watched.weight *= scale
                self.output.weight *= scale
                self.output.weight[:, -1] = 0 if counts is None else torch.log1p(counts)

    def forward(self, bags):
        """User vectors (B, dim + 1) of bags (B, H); their last number is 1."""
        n = (bags != self.videos).sum(dim=1, keepdim=True)
        x = torch.cat([self.norm(self.watched(bags)), torch.log1p(n)], dim=1)
        return functional.pad(self.last(self.tower(x)), (0, 1), value=1.0)


# %%
NextVideo = answer("03-forward", NextVideo)

# %% [markdown]
# What goes in are bags of ids; what comes out is compared with the output table. Two small functions translate between the game and the network:


# %% tags=["export"]
def as_bags(watched, videos):
    """Bags (n, H) int64 of ids (n, H); `videos` stands for nothing and for what is not known."""
    ids = torch.from_numpy(np.asarray(watched, np.int64))
    return torch.where((ids < 0) | (ids >= videos), videos, ids)


def scorer(model):
    """A method from a network: scores (n, videos) of moments."""

    def scores(moments):
        with torch.no_grad():
            user = model(as_bags(moments.watched, model.videos))
            return (user @ model.output.weight.T).numpy()

    return scores


# %%
examples = game.examples()
bags = as_bags(Moments.of_events(game.train, examples).watched, game.videos)
label = torch.tensor(examples["video_id"].to_numpy(np.int64))
counts = torch.bincount(label, minlength=game.videos)
print(f"{len(label):,} examples: what was watched, and the 50 watches before it")

# %% [markdown]
# How much is in these bags?

# %%
n = (bags != game.videos).sum(dim=1).numpy()
words = f"{(n == 0).mean():.0%} of the bags are empty, {(n == 50).mean():.0%} full; half hold at most {np.median(n):.0f}"
fig, ax = plots.figure(height=2.8, alt=f"How many watches a bag holds: {words}")
sns.histplot(x=n, bins=np.arange(-0.5, 51), ax=ax)
ax.set(xlabel="watches in the bag", ylabel="examples", title=words)
fig

# %% [markdown]
# ## 3. A loop that works
#
# The network is the smaller half of the work. Take the loop of chapter 02 without its penalty, leave the tables as PyTorch starts them, use one learning rate, and train for two passes:

# %%
events = game.sample(3_000)
plain = NextVideo(game.videos, scale=1.0)
optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
random = torch.Generator().manual_seed(0)
for _ in range(2):
    for rows in torch.randperm(len(label), generator=random).split(512):
        scores = plain(bags[rows]) @ plain.output.weight.T
        loss = functional.cross_entropy(scores, label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
result = {"plain loop": game.offline(scorer(plain), events, deep)}
result |= {name: value for name, value in found.items()}
pd.DataFrame(result).T.round(3)

# %% [markdown]
# That is a disappointment, since it stays behind a count of the last week. Is the *idea* bad? We cannot know before the training is good. So let us add four ingredients, of which papers seldom tell, and ask afterwards which of them mattered:
#
# * **A small start.** PyTorch draws embeddings from a normal distribution with standard deviation 1; we start ten times smaller. Two reasons come to mind, and we have tested neither: long vectors make wild scores before anything is learned, and a step of fixed size hardly turns a long vector.
# * **A start at the counts.** If the bias of a video begins at the logarithm of its count, the model begins as popularity, and has to learn only what is personal.
# * **Two rates.** A row of the input table is used in few batches, the tower in all of them. We give the tables a larger learning rate than the tower.
# * **Warm-up and decay.** Adam's first steps are large, while it knows nothing yet; so the rate rises slowly. At the end it falls nearly to zero, so that the model settles.
#
# > **Exercise 2 · The learning rate over time** (warm-up, 8 minutes). Return what the learning rate is multiplied with at a `step` (0, 1, ...) out of so many `steps`. During the first `warm_up` share of the steps it rises in a straight line, from one part at step 0 to all of it; then it follows half a cosine, $\frac12(1+\cos(\pi \cdot \text{way}))$, where the *way* runs from 0 towards 1 over the steps that are left.
#
# <details><summary>Hint</summary>The rise takes warm_up times steps. Before its end, count the steps so far (this one, too) in parts of it; after it, the way says how far the step is on from there to the end.</details>


# %% tags=["exercise"]
def rate_factor(step, steps, warm_up=0.1):
    """Share of the learning rate at a step: a straight line up, then half a cosine down."""
    ...  # your code


# %% tags=["solution", "export"]
def rate_factor(step, steps, warm_up=0.1):
    """Share of the learning rate at a step: a straight line up, then half a cosine down."""
    rising = warm_up * steps
    if step < rising:
        return min(1.0, (step + 1) / rising)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


# %%
rate_factor = answer("03-rate", rate_factor)

# %% [markdown]
# And this is the loop of the course. Later chapters import it under the name `fit`; what it does is what you see here. The first line is for speed: our matrices are small, and two threads would spend more time on waiting for each other than they save.


# %% tags=["export"]
torch.set_num_threads(1)


def fit(loss, groups, n, passes=3, batch=512, warm_up=0.1, seed=0, progress=None):
    """Make loss(rows) small with Adam, rows drawn from range(n); the loss of each step."""
    random = torch.Generator().manual_seed(seed)
    steps, losses = passes * math.ceil(n / batch), []
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, steps, warm_up)
    )
    for _ in range(passes):
        for rows in torch.randperm(n, generator=random).split(batch):
            value = loss(rows)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            losses.append(value.item())
            if progress is not None:
                progress(len(losses), steps)
    return losses


def two_rates(model, rate=0.01, tower_rate=0.0025):
    """Groups of parameters: the tables at one rate, what lies between them at another."""
    between = [*model.tower.parameters(), *model.last.parameters()]
    own = {id(p) for p in between}
    tables = [p for p in model.parameters() if id(p) not in own]
    return [{"params": tables, "lr": rate}, {"params": between, "lr": tower_rate}]


def full_softmax(user, videos, label):
    """Mean of -log P(label | x) over all videos; user (B, d), videos (V, d), label (B,)."""
    return functional.cross_entropy(user @ videos.T, label)


def train(model, bags, label, loss=full_softmax, rate=0.01, tower_rate=0.0025, **options):
    """Fit a network to next watches (n,) by a loss(user, videos, label); the loss of each step."""

    def batch_loss(rows):
        return loss(model(bags[rows]), model.output.weight, label[rows])

    return fit(batch_loss, two_rates(model, rate, tower_rate), len(label), **options)


# %%
better = NextVideo(game.videos, counts=counts)
fell = {"full softmax": train(better, bags, label, passes=2)}
result["the four ingredients"] = game.offline(scorer(better), events, deep)
pd.DataFrame(result).T.round(3)

# %% [markdown]
# The same network, the same data, the same number of passes. Which ingredient did it? Take away one at a time. To do so at the rates that suit the whole would be unfair, since a network without an ingredient may want others. So each was **tuned for itself** on development worlds 7, 11 and 13, over rates from .001 to .1 and one to twelve passes, and then trained in worlds that had no part in that (stored results, a dot for each world; `python3 -m course reproduce ingredients` makes them anew):

# %%
stored = ledger.results("ingredients")
ways = ["all four", "without the small start", "without the counts", "with one rate",
        "without warm-up and decay", "none of them"]
rows = [
    {"who": way, "measure": m, "value": value}
    for m in ("mrr", "recall@300")
    for way in ways
    for value in stored[f"{way}/{m}"]
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="higher is better")

# %% [markdown]
# *What to see:* without the four the network stays far behind, at its own best rate and however long it trains. The small start is worth most by far. A lower rate for the tower, and the warm-up with its decay, are worth a little each. What the counts are worth beside the other three, five worlds do not decide.
#
# From now on the networks of this course are trained by this loop. Every stored contest of this chapter tunes whoever stands in it in the same way, and the recipes stand at its end; the short trainings on this page use the rates above.
#
# **What does a computed vector buy?** This is what sets the network apart from chapter 02. The stored contest has the factorization of chapter 02, with its fixed vectors, beside the network with and without a hidden layer. Two further rows give the *trained* network old histories: bags that end at the cut, and bags that end a week before it.

# %%
stored = ledger.results("generator")
ways = ["matrix factorization", "popular, last 7 days", "popular, last 2 days", "depth 0, bag a week old",
        "depth 0, bag at the cut", "depth 0", "depth 1"]
rows = [
    {"who": way, "measure": m, "value": value}
    for m in ("mrr", "recall@300")
    for way in ways
    for value in stored[f"{way}/{m}"]
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="higher is better")

# %% [markdown]
# *What to see:* the same network, fed old histories, falls back towards the factorization. What it has over fixed vectors is what it knows of the last days: of the person, and, since the bag holds what people watch now, of fashion.
#
# ## 4. What all videos cost
#
# The loss above looks at *every* video at every step. With some 2,000 classes that is no trouble. P1 has millions. How long does one step take, as the catalogue grows? (Stored results; both axes are logarithmic.)

# %%
cost = ledger.results("step_cost")
names = {"full": "all videos", "sampled": "1,000 videos, dense updates",
         "sampled, sparse": "1,000 videos, sparse updates"}
rows = [
    {"who": names[way], "videos": int(n), "milliseconds": value}
    for column in cost
    for way, n in [column.split("/")]
    for value in cost[column]
]
fig = plots.lines(pd.DataFrame(rows), "videos", "milliseconds", log=True, label="ms per step of 512")
fig.axes[0].set_yscale("log")
fig

# %% [markdown]
# *What to see:* at a million classes one step on all videos takes seconds, a step on a thousand of them a fraction of a tenth. P1 reports a factor above 100.
#
# Note the middle line: sampling alone is not enough, because Adam still touches every row of the tables at every step. Only when the update is *sparse*, too, does the catalogue nearly cease to matter. And note the left end: for a catalogue as small as ours, none of this pays.
#
# ## 5. A few videos, and what they do to the answer
#
# So compare the watched video $i$, the *label*, with a *sample* $S$ of others only. The obvious loss is the softmax over the label and the sample,
#
# $$L = -s_i+\log\Big(e^{s_i}+\sum_{j\in S}e^{s_j}\Big), \qquad s_j = x\cdot y_j .$$
#
# Popular videos are the harder rivals. So let each video $j$ enter the sample on its own, with a chance $Q_j$ that grows with its count.
#
# What does a model learn from this loss? It learns to answer the question that the loss asks, and that is which of these few videos, shown in no order, is the label. Suppose there are two, which this viewer is equally likely to watch. One is popular and in every sample, the other rare and hardly ever drawn. Then the rare one is most likely here because it is the label. For this question it is right to prefer the rare, and so the model will.
#
# Bayes' rule says by how much. For the set $C$ to arise with label $j$, the video $j$ must be watched, all others in $C$ must be drawn, and nothing else may be:
#
# $$P(\text{label}=j \mid C) \;\propto\; P(j\mid x)\prod_{i\in C,\,i\neq j}Q_i\prod_{i\notin C}(1-Q_i) \;\propto\; \frac{P(j\mid x)}{Q_j}.$$
#
# The last step divides by the product of $Q_i$ over *all* of $C$ and by the one over what is not in $C$, which are the same for each $j$. So the best scores for this loss are $s_j = \log P(j\mid x)-\log Q_j$ plus a constant. The model learns the probability *divided by* the chance to be drawn, and popular videos come out far too low.
#
# The remedy stands in the formula. If we want $x\cdot y_j$ to become $\log P(j \mid x)$, then the scores in the loss must be
#
# $$s_j=x\cdot y_j-\log Q_j ,$$
#
# for the label as for the sample. This is the **logQ correction**. It belongs to training alone; what is served are the plain products.
#
# > **Exercise 3 · The sampled softmax** (building, 20 minutes). Return the mean loss of a batch. `user` ($B$, $d$) and `videos` ($V$, $d$) are vectors, `label` ($B$,) and `sample` are rows of `videos`; the sample is the same for the whole batch. If `log_chance` (V,) is given, subtract it from the scores of labels and sample. Where a video of the sample is the label of a row, it must not count as a rival there.
#
# <details><summary>Hint 1</summary>The label's score is a row-wise product; the sample's scores are one matrix product, a row for each label and a column for each video of the sample.</details>
# <details><summary>Hint 2</summary><code>masked_fill(label[:, None] == sample, -torch.inf)</code> takes out the accidental hits: the exponential of minus infinity is 0.</details>
# <details><summary>Hint 3</summary>With the label's score in column 0, it is an ordinary cross-entropy with class 0.</details>


# %% tags=["exercise"]
def sampled_softmax(user, videos, label, sample, log_chance=None):
    """Mean softmax loss over the label and a sample; log_chance (V,) corrects for the drawing."""
    ...  # your code


# %% tags=["solution", "export"]
def sampled_softmax(user, videos, label, sample, log_chance=None):
    """Mean softmax loss over the label and a sample; log_chance (V,) corrects for the drawing."""
    right = (user * functional.embedding(label, videos)).sum(dim=1, keepdim=True)
    wrong = user @ functional.embedding(sample, videos).T
    if log_chance is not None:
        right, wrong = right - log_chance[label, None], wrong - log_chance[sample]
    wrong = wrong.masked_fill(label[:, None] == sample, -torch.inf)
    return functional.cross_entropy(torch.cat([right, wrong], dim=1), torch.zeros_like(label))


# %%
sampled_softmax = answer("03-sampled-softmax", sampled_softmax)

# %% [markdown]
# What is missing is the drawing itself. Let $q_j$ be the chance that a single draw hits video $j$; we call $q$ the *law of drawing*. If about $n$ videos are drawn one after the other, and repeats thrown away, then video $j$ is in the sample with the chance $Q_j = 1-e^{-n q_j}$. The number $n$ of draws is chosen so that the sample has the size that we want on average.
#
# A popular variant draws nothing. The labels of the *other rows* of the batch serve as the sample (*in-batch negatives*). They are free, they follow popularity, and in a batch of $B$ rows the chance is $Q_j = 1-(1-q_j)^{B-1}$.


# %% tags=["export"]
def law(counts, kind="popularity"):
    """How often each video is drawn (V,), summing to 1: popularity, uniform, or zipf (1/rank)."""
    counts = counts.double().clamp(min=1)
    rank = counts.argsort(descending=True, stable=True).argsort()
    share = {"popularity": counts, "uniform": counts**0, "zipf": 1 / (rank.double() + 1)}[kind]
    return share / share.sum()


def chances(q, size):
    """Chance (V,) of each video to be in a sample of about `size`, drawn by the law q (V,)."""
    draws = brentq(lambda d: float(-torch.expm1(-d * q).sum()) - size, 0.0, 1e12)
    return -torch.expm1(-draws * q).float()


def sampled(chance, correct=True, seed=0):
    """A loss(user, videos, label) on a fresh sample at each call."""
    random, log_chance = torch.Generator().manual_seed(seed), chance.log() if correct else None

    def loss(user, videos, label):
        sample = (torch.rand(len(chance), generator=random) < chance).nonzero()[:, 0]
        return sampled_softmax(user, videos, label, sample, log_chance)

    return loss


def in_batch(q, correct=True):
    """A loss(user, videos, label) whose sample are the labels of the batch."""

    def loss(user, videos, label):
        others = max(1, len(label) - 1)
        log_chance = torch.log(-torch.expm1(others * torch.log1p(-q))).float()
        return sampled_softmax(user, videos, label, label.unique(), log_chance if correct else None)

    return loss


# %% [markdown]
# **Does the correction do what it promises?** Look at the gradient of the loss for the bias of a video. It has two parts. Each label *pulls* its own video up, in all these losses alike. And the loss *pushes* every video down, by the probability that the model gives to it. So it is the push that tells the losses apart.
#
# We take random vectors for 300 videos, compute the exact push of the full softmax, and compare it with the mean push of 500 samples of about 60 videos. (The labels are drawn from the model's own probabilities, since Bayes' rule speaks of a model that is right.)

# %%
torch.manual_seed(0)
popular = torch.arange(300, 0, -1.0)
chance = chances(law(popular), 60)
x, y = functional.pad(torch.randn(256, 8), (0, 1), value=1.0), (0.2 * torch.randn(300, 9)).requires_grad_()
probability = torch.softmax(x @ y.detach().T, dim=1)


def push(loss):
    some = torch.multinomial(probability, 1)[:, 0]
    return torch.autograd.grad(loss(x, y, some), y)[0][:, -1] + some.bincount(minlength=300) / 256


exact, pushes = probability.mean(dim=0), {}
for name, correct in (("not corrected", False), ("corrected", True)):
    loss = sampled(chance, correct)
    pushes[name] = sum(push(loss) for _ in range(500)) / 500
points = pd.concat(
    [
        pd.DataFrame({"exact push": exact, "mean push of samples": p, "chance": chance, "who": name})
        for name, p in pushes.items()
    ]
)
grid = sns.relplot(points, x="exact push", y="mean push of samples", col="who", size="chance",
                   height=3.4, alpha=0.6)
grid.set_titles("{col_name}")
for ax in grid.axes.flat:
    ax.axline((0, 0), slope=1, color="grey", linestyle="--", linewidth=1)
plots.adopt(grid.figure, alt="Mean push of samples against the exact push, a dot for each of 300 "
            "videos. Not corrected: popular videos lie far above the diagonal. Corrected: all lie near it.")

# %% [markdown]
# *What to see:* each dot is a video, larger if it is drawn more often. Without the correction (left) what is drawn often is pushed down too hard, even on average over many samples; with it the dots lie along the diagonal.
#
# ## 6. What the correction is worth
#
# The network that saw all videos is trained already; train two more, by the same loop.

# %%
losses = {
    "sampled softmax": sampled(chances(law(counts), 500), correct=False),
    "sampled softmax with correction": sampled(chances(law(counts), 500)),
}
models = {"full softmax": better, **{name: NextVideo(game.videos, counts=counts) for name in losses}}
for name, loss in losses.items():
    fell[name] = train(models[name], bags, label, loss, passes=2)
quality = pd.DataFrame({n: game.offline(scorer(m), events, deep) for n, m in models.items()}).T
for measure, of in (("first", slice(0, 20)), ("last", slice(-20, None))):
    quality[f"loss, {measure} 20 steps"] = {n: np.mean(values[of]) for n, values in fell.items()}
quality.round(3)

# %% [markdown]
# Compare the second row with the others. Its loss fell as that of the third did; nothing in it says that something is wrong. *Where* does the model go wrong?
#
# Sort the videos by how often they were watched in training, and cut them into ten groups with a tenth of all watches each. (So groups 6 to 10 are the few videos that together got half of all watches.) Which share of the next watches does each model expect in each group?

# %%
group = popularity_groups(counts.numpy())
shares = {name: game.shares(scorer(model), events) for name, model in models.items()}
truly = np.bincount(events["video_id"], minlength=game.videos) / len(events)
rows = [
    {"who": name, "group, from rare to popular": g + 1, "share": share}
    for name, of in {**shares, "truth": truly}.items()
    for g, share in enumerate(np.bincount(group, weights=of, minlength=10))
]
plots.lines(pd.DataFrame(rows), "group, from rare to popular", "share", label="share of the next watches",
            alt="Expected share of next watches by popularity group, from rare (1) to popular (10)")

# %%
popular_now = {name: float(of[group >= 5].sum()) for name, of in shares.items()}
a, b = popular_now["sampled softmax"], popular_now["full softmax"]
word = "less popular ones" if a < b - 0.02 else "more popular ones" if a > b + 0.02 else "about the same"
guess.beside(f"{word}: it expects {a:.0%} of the next watches in the popular groups 6 to 10, the "
             f"model that saw all videos {b:.0%}.")  # fmt: skip

# %% [markdown]
# *What to see:* the corrected sample follows the full softmax closely. Without the correction the model moves its expectation from the popular to the rare: it was told again and again that popular videos are the wrong answer.
#
# **How many does one need?** Each setting below trains a network without hidden layers for about a second.

# %%
few = torch.randperm(len(label), generator=torch.Generator().manual_seed(1))[:20_000]
some_events = game.sample(1_000)
tried = {}


def quick(negatives, correct):
    """MRR and the expected shares of groups after one short training."""
    if (negatives, correct) not in tried:
        model = NextVideo(game.videos, widths=(), counts=counts)
        loss = sampled(chances(law(counts), negatives), correct)
        train(model, bags[few], label[few], loss, passes=1)
        share = np.bincount(group, weights=game.shares(scorer(model), some_events), minlength=10)
        tried[negatives, correct] = game.offline(scorer(model), some_events)["mrr"], share
    return tried[negatives, correct]


def negatives_curve(negatives, correct):
    mrr, share = quick(negatives, correct)
    fig, ax = plots.figure(height=3.4, alt=f"Expected shares by popularity group; MRR {mrr:.3f}")
    ax.bar(range(1, 11), np.bincount(group, weights=truly, minlength=10), color="#d5dbe3", label="truth")
    ax.plot(range(1, 11), share, marker="o", color=plots.colour("sampled softmax"), label="expected")
    ax.set(title=f"{negatives} negatives, {'corrected' if correct else 'not corrected'}: MRR {mrr:.3f}",
           xlabel="group, from rare to popular", ylabel="share of next watches", ylim=(0, 0.45))
    ax.legend()
    return fig


sliders(negatives_curve, negatives=Choice([10, 30, 100, 300, 600, 1000], 300),
        correct=Toggle(False, "correct for the law of drawing"))

# %%
settings = [(10, True), (100, True), (300, True), (1000, True), (300, False), (1000, False)]
pd.DataFrame(
    [{"negatives": n, "share of all videos": n / game.videos, "corrected": c, "MRR": quick(n, c)[0]}
     for n, c in settings]
).round(3)

# %% [markdown]
# *What to see:* read the corrected rows from the top, and see where more negatives cease to help. Then compare the pairs at 300 and at 1,000, with an eye on the share of all videos that is drawn at each step; among millions nobody draws such a share.
#
# **Other laws, other worlds.** These results are stored. Each law of drawing, with and without the correction, a dot for each world, as a difference from the full softmax in the same world:

# %%
laws = ledger.results("softmax_laws")
rows = [
    {"who": f"{kind}{word}", "measure": m, "value": value}
    for m in ("mrr", "recall@300")
    for kind in ("uniform", "zipf", "popularity", "in-batch")
    for word in ("", ", corrected")
    for value in laws[f"{kind}{word}/{m}"] - laws[f"full/{m}"]
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="minus full softmax", zero=True)

# %% [markdown]
# *What to see:* compare each law with and without the correction. For uniform drawing the pair must agree, because $\log Q_j$ is the same for all videos there, and a constant drops out of a softmax.
#
# That is the switch that takes the cause away.
#
# ## 7. A tree instead of a sample
#
# There is an older way to avoid the sum over all videos, which is to choose in two steps, first a *cluster* of videos and then a video inside it. With about $\sqrt V$ clusters of $\sqrt V$ videos each, a step compares $2\sqrt V$ scores instead of $V$. P1 tried such a *hierarchical softmax* and could not reach the quality of sampling. It guesses that this is because a cluster lumps together videos that have nothing to do with each other.


# %% tags=["export"]
class Tree(nn.Module):
    """Hierarchical softmax of two levels: a cluster (of those in `cluster` (V,)), then a video."""

    def __init__(self, cluster, dim=64):
        super().__init__()
        cluster = torch.as_tensor(cluster)
        size = cluster.bincount()
        order = cluster.argsort(stable=True)
        place = torch.arange(len(cluster)) - (size.cumsum(0) - size).repeat_interleave(size)
        members = torch.full((len(size), int(size.max())), -1)
        members[cluster[order], place] = order
        within = torch.empty_like(order)
        within[order] = place
        for name, value in (("cluster", cluster), ("members", members), ("within", within)):
            self.register_buffer(name, value)
        self.vectors = nn.Parameter(torch.zeros(len(size), dim + 1))

    def forward(self, user, videos, label):
        """Mean of -log P(label | x), the sum of the two choices."""
        own = self.members[self.cluster[label]]
        inside = functional.embedding(own.clamp(min=0), videos)
        scores = torch.bmm(inside, user[:, :, None])[:, :, 0].masked_fill(own < 0, -torch.inf)
        first = functional.cross_entropy(user @ self.vectors.T, self.cluster[label])
        return first + functional.cross_entropy(scores, self.within[label])

    def log_probability(self, user, videos):
        """Log-probability of every video (n, V)."""
        scores = user @ videos.T
        padded = functional.pad(scores, (0, 1), value=-torch.inf)[:, self.members]
        choice = functional.log_softmax(user @ self.vectors.T, dim=1) - padded.logsumexp(dim=2)
        return scores + choice[:, self.cluster]


# %% [markdown]
# The stored contest has two trees: one whose clusters are neighbours in language, topic and age, and one whose clusters are random. Beside them stand the sample of 500 from above, and one with as many scores per example as the tree.

# %%
rows = [
    {"who": who, "measure": m, "value": value}
    for m in ("mrr", "recall@300")
    for who, key in {
        "tree of topics": "topic tree", "random tree": "random tree",
        "sampled, 500": "popularity, corrected", "sampled, 90": "popularity, corrected 90",
    }.items()
    for value in laws[f"{key}/{m}"] - laws[f"full/{m}"]
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="minus full softmax", zero=True)

# %% [markdown]
# *What to see:* compare the two trees with each other first, then each with the samples. In our world topic labels have no errors, and taste is about topics, so a tree of topics has clusters that hold what belongs together; P1 had no such labels.
#
# A tree has another handicap, which these measures do not show. The probability that it gives is a product of two softmaxes and no softmax of dot products, so the search of section 9 cannot serve it directly.
#
# ## 8. Mean, sum or maximum?
#
# Why average the vectors of a bag, and not add them up, or take the largest value of each component? P1 says that averaging did best among these ways. Our network would hide such a difference, since it normalises what comes out of the bag, and after that a sum and a mean are the same. So the stored contest takes the normalisation out, tunes each way for itself, its starting scale included, and shows beside it what the normalisation is worth.

# %%
bags_of = ledger.results("bags")
ways = ["mean", "sum", "max", "mean, normalised", "max, normalised"]
rows = [
    {"who": way, "measure": m, "value": value}
    for m in ("mrr", "recall@300")
    for way in ways
    for value in bags_of[f"{way}/{m}"] - bags_of[f"mean/{m}"]
    if way != "mean"
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="minus the plain mean", zero=True)

# %% [markdown]
# *What to see:* the plain mean is the line at 0. Compare the sum and the maximum with it first, then see in the two lower rows what the normalisation does to each.
#
# ## 9. Serving: the nearest neighbours of $x$
#
# A request needs the few hundred videos with the largest $x\cdot y_i$. Comparing with all of them is fine for thousands and too slow for millions. An *inverted file* (IVF) sorts the videos into cells beforehand, and looks only into the few cells that are nearest to $x$.
#
# There is a catch. "Near" is about distances, and we want large *products*. A long vector has large products with many $x$ without being near to any. Here lengths differ a lot, because popular videos have large biases. The way out is one more number, which a plus shall mark. Let $M$ be the length of the longest vector, and append to each
#
# $$y_i^+=\big(y_i,\sqrt{M^2-|y_i|^2}\big), \qquad x^+ = (x, 0).$$
#
# Now all $y_i^+$ are equally long, and no product has changed. And since $|x^+-y_i^+|^2=|x|^2+M^2-2\,x\cdot y_i$, the nearest ones *are* those with the largest products.
#
# > **Exercise 4 · Search by cells** (building, 20 minutes). `centres` (cells, $d$) are the middles of the cells and `cell` ($V$,) says in which cell each video lies; `places` ($V$, $d$) are the vectors of equal length, and `user` ($d$,) one user vector, with its 0 appended already. Look only into the `nprobe` cells whose centres are nearest to `user`, and return the ids of the `k` videos with the largest products there, best first.
#
# <details><summary>Hint</summary>Sort the squared distances to the centres; <code>np.isin</code> finds the videos of the chosen cells; then sort their products.</details>


# %% tags=["export"]
def equally_long(vectors):
    """Vectors (V, d + 1), all as long as the longest of (V, d); the first d numbers stay."""
    length = np.linalg.norm(vectors, axis=1)
    lacking = np.sqrt(np.maximum(length.max() ** 2 - length**2, 0))
    return np.hstack([vectors, lacking[:, None]])


# %% tags=["exercise"]
def search_cells(user, places, centres, cell, nprobe, k):
    """Ids (k,) of the largest products with user (d,), among places (V, d) in the nearest cells."""
    ...  # your code


# %% tags=["solution", "export"]
def search_cells(user, places, centres, cell, nprobe, k):
    """Ids (k,) of the largest products with user (d,), among places (V, d) in the nearest cells."""
    near = np.argsort(((centres - user) ** 2).sum(axis=1))[:nprobe]
    inside = np.flatnonzero(np.isin(cell, near))
    return inside[np.argsort(-(places[inside] @ user))[:k]]


# %%
search_cells = answer("03-search-cells", search_cells)

# %%
best = models["sampled softmax with correction"]
vectors = best.output.weight.detach().numpy()
with torch.no_grad():
    users = best(bags[-300:]).numpy()
places = equally_long(vectors)
kmeans = KMeans(43, n_init=1, random_state=0).fit(places)  # about the root of the number of videos
exact, _ = Index(vectors).search(users, 100)
rows = []
for nprobe in (1, 2, 4, 8, 16, 43):
    ours = [search_cells(np.append(x, 0), places, kmeans.cluster_centers_, kmeans.labels_, nprobe, 100)
            for x in users]
    hit = np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(ours, exact)])
    rows.append({"cells searched": nprobe, "share of cells": nprobe / 43, "found of the exact 100": hit})
pd.DataFrame(rows).round(2)

# %% [markdown]
# A fifth of the cells holds nearly everything. The library *faiss* does the same, only much faster, and `course.retrieval.Index` hands the work to it.
#
# **Do viewers notice what is missed?** That matters for large catalogues, so the stored results come from worlds with 200,000 videos, some 110,000 of them watched and learned (by a linear model with 32 factors). For 1,000 live requests they take the 200 best videos from each kind of search and ask the truth for the clicks on two pages: the first ten as they come, and the ten that a perfect ranker would choose from the 200.

# %%
serving = ledger.results("serving")
kinds = {"IVF, 16 cells": "ivf 16", "IVF, 2 cells": "ivf 2", "HNSW": "hnsw 200",
         "HNSW on raw lengths": "raw hnsw 200"}
rows = [
    {"who": who, "measure": name, "value": value}
    for name, of, base in (
        ("found", "recall@k", 1.0),
        ("clicks, first ten", "clicks", serving["flat/clicks"]),
        ("clicks, ten best", "ranked_clicks", serving["flat/ranked_clicks"]),
    )
    for who, key in kinds.items()
    for value in serving[f"{key}/{of}"] / base
]
plots.worlds(pd.DataFrame(rows), panel="measure", label="exact search = 1")

# %% [markdown]
# *What to see:* on vectors of equal length, IVF with 16 cells and HNSW (which walks along links between neighbours) find nearly all, and the pages are worth the same: P1's live results did not depend much on the kind of search, nor do ours, *if* the search works.
#
# On raw vectors HNSW finds a small part. Clicks fall by less than recall does, because what is missed is replaced by videos nearly as good; a good ranker behind the search loses more than the first ten do.

# %%
def probes(nprobe):
    """Recall and clicks of IVF in the large worlds, at so many cells."""
    fig, axes = plots.figure(3, height=2.8, alt=f"IVF with {nprobe} cells: recall and clicks over exact")
    steps = [1, 2, 4, 8, 16, 32, 64, 128]
    curves = {"recall@k": "found of the 200", "clicks": "clicks, first ten",
              "ranked_clicks": "clicks, ten best"}
    for ax, (of, title) in zip(axes, curves.items()):
        base = 1.0 if of == "recall@k" else serving[f"flat/{of}"]
        values = [(serving[f"ivf {n}/{of}"] / base).mean() for n in steps]
        ax.plot(steps, values, color=plots.colour("observed"))
        ax.plot(nprobe, values[steps.index(nprobe)], "o", color=plots.colour("treatment"), markersize=10)
        ax.set(xscale="log", title=title, xlabel="cells searched, of about 650", ylim=(0, 1.08))
    return fig


sliders(probes, nprobe=Choice([1, 2, 4, 8, 16, 32, 64, 128], 16))

# %% [markdown]
# Three settings, for those who read without running:

# %%
for nprobe in (1, 4, 32):
    plots.show(probes(nprobe))

# %% [markdown]
# *What to see:* recall falls quickly when one looks into few cells; clicks, relative to an exact search, fall much less. The dot product is only the model's opinion, and what is missed is replaced by its next best ones.

# %% [markdown]
# ## 10. What has it learned?
#
# The vectors of the output table have neighbours, too; chapter 02 showed those of a factorization.

# %%
players.neighbours(world, lambda video: neighbours(vectors[:, :-1], video))

# %% [markdown]
# And our three accounts, on the evening at which the test begins:

# %%
players.pages(world, lambda users: game.pages(scorer(best), users))

# %% [markdown]
# The heavy viewer's page follows the last 50 watches. The newcomer's page was an accident in chapter 02. Now it shows what an empty bag stands for, which is what people watch who have not watched anything yet. The shared account still gets one page; whoever made more of the last 50 watches weighs more in it.
#
# ## What the ledger says

# %%
ledger.show("03")

# %% [markdown]
# **The recipes** of the stored contests, found by one search for everybody on worlds 7, 11 and 13. None stands at the edge of what was tried, so nobody lost for want of a better rate.

# %%
stores = ("ingredients", "generator", "in_batch", "bags")
pd.concat({name: tuning.load(f"tuning_{name}").recipes() for name in stores}, names=["contest"])[
    ["rate", "passes", "scale", "warning"]
].astype(object).fillna("")

# %% [markdown]
# ## Challenge
#
# > **A first stage of your own** (open, an hour or an evening). Train a network from the logs of a world that you have not seen, and make its pages. Wider, deeper, another bag, more passes, another sample, a touch of fashion: what closes more of the gap than this chapter's network?

# %%
def my_generator(logs):
    """The network of this chapter, trained on the logs of a hidden world."""
    g = NextWatch(logs)
    rows = g.examples()
    mine = as_bags(Moments.of_events(g.train, rows).watched, g.videos)
    next_one = torch.tensor(rows["video_id"].to_numpy(np.int64))
    model = NextVideo(g.videos, counts=torch.bincount(next_one, minlength=g.videos))
    train(model, mine, next_one)
    return g.policy(scorer(model))


scored = contest(my_generator, worlds=5)
scored

# %% [markdown]
# ## Summary
#
# 1. Candidate generation is a classification with a class for each video. The vector of the viewer is computed from what was watched last, so it is never out of date.
# 2. The same network, trained by a plain loop, falls far behind: where it starts, and at which rates it learns, belongs to the method.
# 3. A few hundred sampled videos do nearly what all of them would do, if the scores are corrected by the logarithm of the chance to be drawn. The correction follows from Bayes' rule; without it the model divides by the chance to be drawn, and its loss does not tell.
# 4. A tree is as good as its clusters, and a search for products cannot serve it directly.
# 5. Serving is a search for nearest neighbours, once the vectors are made equally long.
#
# **Limits.** Labels are all first watches here; P1 took completed ones (chapter 05 compares). Our catalogue is small, so that a sample of 500 is a quarter of it in the contests, and far less in the large worlds of section 9 only.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. Yi et al., *Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations*, RecSys 2019. Jean et al., *On Using Very Large Target Vocabulary for Neural Machine Translation*, ACL 2015. Douze et al., *The Faiss library*, 2024.
