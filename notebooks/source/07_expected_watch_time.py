# ---
# course:
#   number: "07"
#   title: Expected watch time
#   question: What should a ranker predict, and why is the answer the odds of a weighted logistic regression?
#   paper: P1 sections 4.2 and 4.3, Fig. 7, Table 1; Zhan et al. 2022
#   minutes: 120
#   lesson: watch_time
# ---

# %% [markdown]
# # 07 · Expected watch time
#
# **Promise.** You will write P1's ranker and the loop that trains it. You will derive what a logistic regression learns when a click weighs as much as was watched, say when that is the expected watch time, and take apart what it gains when it meets people.
#
# * **Papers.** Covington et al. 2016 (P1), sections 4.2 and 4.3 with Figure 7 and Table 1. Zhan et al. 2022 (D2Q) for the last section.
# * **You should know.** Chapter 03's loop, and chapter 06's features and input layer.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 120 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import itertools

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.lessons.ranking_features import FirstLinear

# %%
from matplotlib.colors import LogNorm

from course import ab_test, answer, contest, ledger, plots, simulate, tuning
from course.cast import cast
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.lessons.ranking_features import InputLayer, Scales
from course.plots.paper import TABLE1
from course.tasks.next_day import NextDay, ranker_policy
from course.widgets import FloatSlider, predict, sliders

world = simulate("town", seed=7)
task = NextDay(world, first_day=25)  # learns from the last 20 days, is judged on the day after
players = cast(task.logs)
print(f"{len(task.rows):,} cards to learn from, {task.rows['clicked'].mean():.1%} of them clicked")

# %% [markdown]
# ## 1. A score of what?
#
# A ranker gives each candidate a score and shows the highest. A score of what? Of what it is worth to show the card. Here is what the log says about each video:

# %%
of = task.rows.groupby("video_id")[["clicked", "watched_seconds"]].agg(["size", "sum"])
of = of[of["clicked", "sum"] >= 10]
shown, clicks, seconds = of["clicked", "size"], of["clicked", "sum"], of["watched_seconds", "sum"]
length = task.logs.videos["duration_seconds"].to_numpy()[of.index]
videos = pd.DataFrame({
    "clicks per 100 showings": 100 * clicks / shown,
    "share of it that is watched": seconds / clicks / length,
    "minutes per 100 showings": 100 / 60 * seconds / shown,
})  # fmt: skip
best = [set(videos.nlargest(50, column).index) for column in videos.columns[::2]]
words = (
    f"Of the 50 most clicked videos, {len(best[0] & best[1])} are among the 50 with most minutes"
)
fig, ax = plots.figure(
    height=4.2, alt=f"Each video's clicks and the share of it that is watched. {words}."
)
x, y, minutes = (videos.sort_values("minutes per 100 showings")[c] for c in videos)
dots = ax.scatter(x, y, c=minutes, cmap="viridis", norm=LogNorm(), edgecolors="white", linewidths=0.5)
ax.set(title=words, xlabel=x.name, ylabel=y.name)
fig.colorbar(dots, label=minutes.name)
fig

# %% [markdown]
# *What to see:* far to the right, what is clicked most; yellow, what brings the most minutes. Low and yellow is a long video, but what is often clicked and brings few minutes is quickly left: a promising title over a poor video, *clickbait*.
#
# P1 ranks by the **expected watch time** of an *impression*, $E[T]$. That is the mean of the minutes $T$ over all showings of a card, where a showing without a click counts as 0 minutes.

# %%
guess = predict(
    "07-minutes",
    "Pages are ranked by expected watch time, and no longer by the probability of a click. What "
    "happens in front of people?",
    ["more minutes, and about as many clicks", "more minutes, fewer clicks",
     "more minutes and more clicks", "hardly anything"],
)  # fmt: skip
guess

# %% [markdown]
# ## 2. A yardstick in minutes
#
# P1 judges its ranker by a **weighted, per-user loss** on the day after the log. Take two cards of one page, one clicked and one not. If the unclicked one has the higher score, the time for which the clicked one was watched counts as *mispredicted*. The loss is the mispredicted time as a share of the time of all such pairs. Random scores lose half.
#
# > **Exercise 1 · P1's loss** (building, 15 minutes). `scores`, `clicked` (bool) and `seconds` are ($B$, $k$), a row for each page of $k$ cards. Return the loss, a number from 0 to 1. A pair weighs the seconds of its clicked card; if both cards score alike, half of that is lost.
#
# <details><summary>Hint 1</summary>With <code>scores[:, :, None]</code> and <code>scores[:, None, :]</code> each card of a page meets each other one: the result is (B, k, k).</details>
# <details><summary>Hint 2</summary>Which pairs count? Those whose first card is clicked and whose second is not. <code>np.heaviside(x, 0.5)</code> is 1 for positive x, 0 for negative x, and a half at 0.</details>


# %% tags=["exercise"]
def lost_time(scores, clicked, seconds):
    """P1's weighted, per-user loss, 0 to 1, of pages (B, k): all pairs pooled (section 4.3)."""
    ...  # your code


# %% tags=["solution", "export"]
def lost_time(scores, clicked, seconds):
    """P1's weighted, per-user loss, 0 to 1, of pages (B, k): all pairs pooled (section 4.3)."""
    time = (clicked[:, :, None] & ~clicked[:, None, :]) * seconds[:, :, None]
    wrong = np.heaviside(scores[:, None, :] - scores[:, :, None], 0.5)
    return (wrong * time).sum() / time.sum()


# %%
lost_time = answer("07-lost-time", lost_time)

# %%
cards, truth = task.fresh.cards, task.fresh.truth
known = {
    "random": np.random.default_rng(0).random(len(cards)),
    "length only": task.test.number("duration"),
    "the order in which they stood": -cards["position"].to_numpy(),
    "oracle of clicks": truth["p_click_if_seen"].to_numpy(),
    "oracle of watch time": task.fresh.value,
}
pages = [cards[name].to_numpy().reshape(-1, 10) for name in ("clicked", "watched_seconds")]
table = pd.DataFrame({name: task.offline(scores) for name, scores in known.items()}).T
table["your function"] = [100 * lost_time(s.reshape(-1, 10), *pages) for s in known.values()]
table.round(1)

# %% [markdown]
# Your function agrees with the first column. The second column answers a question that P1 leaves open: how are the accounts put together? Pooled, as in your function, all pairs go into one sum, and people who watch for long decide. **By account**, each person has a loss, and the mean of these losses counts everybody alike. The two can disagree, and below they will.
#
# The third column is one that no platform has. It is what to *expect* of the pooled loss if the same people met the same pages again and again, so the luck of single clicks is out of it. Differences of a few tenths need it. And even an oracle of clicks loses more time than one that knows the watch time, so the *target* matters, however good the model.
#
# ## 3. A click weighs what was watched
#
# How does a network learn $E[T]$? It could predict minutes by least squares. But nearly all cards have 0 minutes and a few have very many, which is a poor fit for squares. P1 keeps the logistic regression and changes one thing: a clicked card $i$ weighs as many units as it was watched, $T_i$ minutes, and each card without a click weighs 1. With the logit $z$ the loss is
#
# $$L=\sum_{\text{clicked}} T_i\,\log(1+e^{-z})+\sum_{\text{not clicked}}\log(1+e^{z}).$$
#
# What does this learn? Take the simplest model of all, one constant $z$ for $n$ cards. Where $L$ is smallest, its derivative is 0. The derivative of $\log(1+e^{z})$ is $\sigma(z)$, and that of $\log(1+e^{-z})$ is $-\sigma(-z)$, so the pulls of both kinds of cards are in balance:
#
# $$\sigma(-z)\sum_{\text{clicked}} T_i=\sigma(z)\cdot(\text{cards not clicked}).$$
#
# Now $\sigma(z)/\sigma(-z)=e^{z}$, which is what *odds* are. Divide numerator and denominator by $n$:
#
# $$e^{z}=\frac{\sum T_i}{\text{cards not clicked}}=\frac{\sum T_i/n}{1-\text{clicked}/n}=\frac{E[T]}{1-P(\text{click})}.$$
#
# The odds are no probability any more. They are the expected watch time of an impression, over the share of cards that are not clicked; and where clicks are rare, that share is nearly 1. So P1 trains with this loss and **serves** $e^{z}$.
#
# > **Exercise 2 · The weighted loss** (warm-up, 5 minutes). `logit`, `clicked` (bool) and `weight` are ($n$,). Return the mean over the cards: a click counts $\log(1+e^{-z})$ times its weight, a card without a click $\log(1+e^{z})$.
#
# <details><summary>Hint</summary><code>functional.softplus(z)</code> is log(1 + e^z), without overflow for large z; <code>torch.where</code> chooses between the two.</details>


# %% tags=["exercise"]
def weighted_logistic(logit, clicked, weight):
    """Mean loss of logits (n,): a click pulls with its weight, any other card with 1 (P1, 4.2)."""
    ...  # your code


# %% tags=["solution", "export"]
def weighted_logistic(logit, clicked, weight):
    """Mean loss of logits (n,): a click pulls with its weight, any other card with 1 (P1, 4.2)."""
    pull = torch.where(clicked, weight * functional.softplus(-logit), functional.softplus(logit))
    return pull.mean()


# %%
weighted_logistic = answer("07-weighted-loss", weighted_logistic)

# %% [markdown]
# A constant is not much of a model. But nothing in the derivation asked for *all* cards. A model with one logit for each of many cells is a constant in each cell, so its odds should be $E[T]/(1-P(\text{click}))$ in each. Let 50 cells be tenths of the videos' click rate times fifths of their length, and train the table of 50 logits by chapter 03's loop:


# %%
hit, minutes = task.label("clicked"), task.label("watched_seconds").float() / 60
axes = {"video click rate": 10, "duration": 5}
edges = {
    n: np.quantile(task.train.number(n), np.linspace(0, 1, k + 1)[1:-1]) for n, k in axes.items()
}


def cell_of(batch):
    tenth, fifth = (np.searchsorted(edges[n], batch.number(n)) for n in axes)
    return torch.from_numpy(5 * tenth + fifth)


cell, logits = cell_of(task.train), nn.Parameter(torch.zeros(50))
cg.fit(lambda rows: weighted_logistic(logits[cell[rows]], hit[rows], minutes[rows]),
       [{"params": [logits], "lr": 0.1}], len(hit), passes=20, batch=10_000)  # fmt: skip
odds = logits.detach().exp()
formula = cell.bincount(minutes, 50) / cell.bincount((~hit).float(), 50)
print(
    f"odds over the formula, in the 50 cells: from {(odds / formula).min():.3f} to {(odds / formula).max():.3f}"
)

# %% [markdown]
# The trained odds meet the formula in each cell, up to a little noise from the last steps. That was about the log. Do they meet the *truth* of the next day, too? The served odds of the fresh cards over their true $E[T]$, in all and cell by cell:

# %%
fresh = cell_of(task.test)
n_fresh = fresh.bincount(minlength=50).double()
true_minutes = fresh.bincount(torch.as_tensor(task.fresh.expected_seconds / 60), 50) / n_fresh
ratio = (odds / true_minutes)[n_fresh > 200].numpy()
print(f"odds over the true E[T]: {(n_fresh @ odds.double()) / (n_fresh @ true_minutes):.2f} for all cards together, "
      f"four fifths of the cells from {np.quantile(ratio, 0.1):.2f} to {np.quantile(ratio, 0.9):.2f}; "
      f"the formula says {1 / (1 - truth['p_click'].mean()):.2f}")  # fmt: skip

# %% [markdown]
# Nearly right for all cards together, and well off in single cells, which hold a few hundred clicks each and meet another day. Now we know what the served number means, as long as a model *can* be right. Section 7 asks what a network makes of it.
#
# ## 4. When clicks are common
#
# The odds are too large by the factor $1/(1-P(\text{click}))$. That is 5 % where 5 in 100 cards are clicked, which nobody minds; it is two thirds where 40 are. And since $P(\text{click})$ differs between cards, the factor does, too, so that the *order* can change.
#
# Turn the click rate yourself. Each dot is an invented video with a constant model of its own, from 4,000 showings:


# %%
def odds_leave(click_rate):
    """Odds over expected watch time, for 200 invented videos of about this click rate."""
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-(np.log(click_rate / (1 - click_rate)) + 0.8 * rng.normal(size=200))))
    clicked = np.maximum(rng.binomial(4_000, p), 1)
    total = rng.gamma(2 * clicked, 2 * np.exp(0.7 * rng.normal(size=200)))  # minutes of all clicks
    expected, served = total / 4_000, total / (4_000 - clicked)
    above = (served[:, None] > served) != (expected[:, None] > expected)
    words = f"{above.sum() / (200 * 199):.1%} of the pairs change places"
    fig, ax = plots.figure(
        width=6.6, height=3.6, alt=f"Odds against E[T] at click rate {click_rate:g}: {words}"
    )
    dots = ax.scatter(expected, served, c=clicked / 4_000, cmap="viridis", s=18, vmin=0)
    ax.axline((1, 1), slope=1, color="grey", linestyle="--", linewidth=1)
    ax.set(
        xscale="log", yscale="log", xlabel="E[T], minutes per showing", ylabel="odds", title=words
    )
    fig.colorbar(dots, label="P(click)")
    return fig


sliders(
    odds_leave, click_rate=FloatSlider(0.01, 0.6, 0.01, 0.05, label="P(click) of a typical video")
)

# %% [markdown]
# The same function at three settings:

# %%
for rate in (0.02, 0.1, 0.4):
    plots.show(odds_leave(rate))

# %% [markdown]
# *What to see:* with rare clicks the dots lie on the dashed line. As clicks grow common, the dots with many clicks (yellow) rise above it, and pairs change places.
#
# The remedy is exact and stands in the formula. Train a second model for the click, and serve $e^z\,(1-\hat P(\text{click}))$. (A related trap: to save time, many keep a share $\kappa$ of the cards without a click only. The denominator is then $\kappa$ times as small and the odds $1/\kappa$ times as large. The order does not mind; whoever reads minutes off the odds must multiply by $\kappa$.)
#
# Here is the same in four *worlds*, whose dial for the click rate stands at 0.01 to 0.4 and where every card is looked at. The model is the table of 50 cells again, trained on the log and compared with the truth of the day after (stored results; `python3 -m course reproduce watch_odds` makes them anew):

# %%
stored = ledger.results("watch_odds")
names = {"odds over truth": "odds", "repaired over truth": "odds x (1 - P by a click model)"}
rows = []
for rate in ("0.01", "0.06", "0.2", "0.4"):
    share = stored[f"rate {rate}/clicks"]
    rows += [
        {"share of cards that are clicked": share.mean(), "who": name, "value": value}
        for key, name in names.items()
        for value in stored[f"rate {rate}/cells/{key}"]
    ]
    rows += [{"share of cards that are clicked": share.mean(), "who": "formula 1 / (1 - P)", "value": value}
             for value in 1 / (1 - share)]  # fmt: skip
plots.lines(
    pd.DataFrame(rows),
    "share of cards that are clicked",
    label="served over true E[T]",
    alt="Served over true expected watch time, mean of ten groups of cards",
)

# %% [markdown]
# *What to see:* the odds rise with the formula wherever the dial stands, and the repaired odds stay near 1. (The formula's line takes one click rate for all cards, so it lies a little low.)
#
# The approximation belongs to rare clicks; the identity does not.
#
# **A twist.** Which order does P1's *own* yardstick ask for, the loss of section 2? Take two cards $i$ and $j$ of a page. If $j$ stands above $i$, the pair costs $T_i$ whenever $i$ is clicked and $j$ is not, which is $E[T_i]\,(1-P_j)$ in the mean, with $P_j$ for the probability that $j$ is clicked. The other way round it costs $E[T_j]\,(1-P_i)$. So $i$ should stand above $j$ if
#
# $$E[T_i]\,(1-P_j)>E[T_j]\,(1-P_i), \qquad\text{that is}\qquad \frac{E[T_i]}{1-P_i}>\frac{E[T_j]}{1-P_j}.$$
#
# These are the odds! The loss that is trained and the loss that judges want the same order, and where clicks are common neither of them wants that of the minutes. Here are both orders by the true values of the fresh cards. (These know the place where each card stood. The oracle of section 2 does not, and loses more.)

# %%
p, watch = truth["p_click"].to_numpy(), task.fresh.expected_seconds
orders = {"by E[T]": watch, "by E[T] / (1 - P)": watch / (1 - p)}
pd.Series({name: task.offline(s)["true loss"] for name, s in orders.items()}).to_frame(
    "true loss"
).round(3)

# %% [markdown]
# ## 5. The ranker
#
# So much for the loss. What should compute $z$? This is P1's Figure 7. What enters is chapter 06's input layer; what we add is above it:

# %%
boxes = {
    "ids": (1.5, 0.6, "ids: video, channel, ..."),
    "bag": (4.5, 0.6, "watched videos, searches"),
    "numbers": (7.3, 0.6, "numbers: age, counters, ..."),
    "tables": (1.5, 1.6, "tables: a vector each"),
    "mean": (4.5, 1.6, "mean of their vectors"),
    "scaled": (7.3, 1.6, "centred shares, squares, roots"),
    "x": (4.5, 2.6, "one vector for each card (chapter 06)"),
    "tower": (4.5, 3.6, "ReLU layers"),
    "z": (4.5, 4.6, "one logit z"),
    "train": (2.3, 5.6, "training: weighted logistic loss"),
    "serve": (6.7, 5.6, "serving: e to the z"),
}
arrows = [
    ("ids", "tables"),
    ("bag", "mean"),
    ("numbers", "scaled"),
    ("tables", "x"),
    ("mean", "x"),
    ("scaled", "x"),
    ("x", "tower"),
    ("tower", "z"),
    ("z", "train"),
    ("z", "serve"),
]
plots.diagram(boxes, arrows, size=(8.8, 6.2), fills={"tower": "#fde7d3", "z": "#fde7d3"})

# %% [markdown]
# > **Exercise 3 · The ranker** (building, 20 minutes). `inputs` is an `InputLayer`. `self.first` is chapter 06's `FirstLinear`, a linear layer on its vectors. Give `self.rest` the linear layers that follow, one for each step from width to width and on to the one logit; start the *last* linear layer of all with weights 0 and the bias `bias`; and write `forward`, with a ReLU before each layer of `self.rest`. With `widths=()` the whole is one linear model.
#
# <details><summary>Hint 1</summary><code>sizes = (*widths, 1)</code> are the numbers that come out of each linear layer; the first of them belongs to <code>FirstLinear</code>.</details>
# <details><summary>Hint 2</summary>With no hidden layer the last linear layer is <code>self.first.linear</code>.</details>
# <details><summary>Hint 3</summary>The result has the shape (n,): drop the column with <code>[:, 0]</code>.</details>


# %% tags=["exercise"]
class Ranker(nn.Module):
    """P1's Figure 7: an InputLayer, ReLU layers of these widths, one logit for each card."""

    def __init__(self, inputs, widths=(64, 32), bias=0.0, seed=0):
        super().__init__()
        sizes = (*widths, 1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, sizes[0])
            self.rest = ...  # your code: an nn.ModuleList, in the order of the layers
        # your code: the last layer's start

    def forward(self, batch):
        """Logits (n,) of a scaled batch of n cards."""
        ...  # your code


# %% tags=["solution", "export"]
class Ranker(nn.Module):
    """P1's Figure 7: an InputLayer, ReLU layers of these widths, one logit for each card."""

    def __init__(self, inputs, widths=(64, 32), bias=0.0, seed=0):
        super().__init__()
        sizes = (*widths, 1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, sizes[0])
            self.rest = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        last = [self.first.linear, *self.rest][-1]
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, bias)

    def forward(self, batch):
        """Logits (n,) of a scaled batch of n cards."""
        x = self.first(batch)
        for layer in self.rest:
            x = layer(x.relu())
        return x[:, 0]


# %%
Ranker = answer("07-ranker", Ranker)

# %% [markdown]
# And this is how it learns. A step takes 200 whole *pages*, not single cards, because what belongs to the person and the moment is then computed once for the ten cards of a page. A vector of its own for every video would let the network learn the luck of a few clicks by heart, so at each step the tables are pulled a little towards 0. This *decay* is chapter 02's penalty $\lambda$ once more, and section 7 takes it away.
#
# The steps themselves are taken by `cg.fit`, which you wrote in chapter 03. Beside the loop there are two ways to use what was trained, the logits of scaled cards, and a scorer for live pages, which scales them first:


# %% tags=["export"]
def best_constant(clicked, weight):
    """The logit of the best constant model: log(sum of the clicks' weights / cards not clicked)."""
    return float(torch.log(weight[clicked].sum() / (~clicked).sum()))


def train_ranker(ranker, batch, clicked, weight, rate=0.01, passes=4, decay=1e-4, seed=0,
                 loss=weighted_logistic, pages=200, **options):  # fmt: skip
    """Fit logits to the cards (n,) of a scaled batch, pages at a time; the loss of each step."""

    def page_loss(chosen):
        rows = batch.rows(chosen)
        return loss(ranker(batch[chosen]), clicked[rows], weight[rows])

    tables = [*ranker.first.inputs.parameters()]
    rest = [p for p in ranker.parameters() if all(p is not table for table in tables)]
    groups = [{"params": tables, "lr": rate, "weight_decay": decay}, {"params": rest, "lr": rate}]
    options = {"passes": passes, "batch": pages, "seed": seed, **options}
    return cg.fit(page_loss, groups, batch.pages, **options)


def logits_of(ranker, batch):
    """Logits (n,) of any number of scaled cards, as an array."""
    with torch.no_grad():
        parts = [ranker(batch[some]) for some in torch.arange(batch.pages).split(5_000)]
    return torch.cat(parts).numpy()


def served(ranker, scales):
    """A scorer for live pages: the logits (n,) of raw batches; e to the z has the same order."""
    return lambda batch: logits_of(ranker, scales(batch))


# %% [markdown]
# **Where to start.** A fresh network says $z=0$, that is odds of one minute for every card, and spends its first steps on unlearning this. `best_constant` is the $z$ of section 3's formula for all cards together; with it the network starts as the best constant, and learns differences only. The loss of the first hundred steps, with and without:

# %%
scales = Scales(task.train)
train, test = scales(task.train), scales(task.test)
constant = best_constant(hit, minutes)
few, some_pages = train.rows(torch.arange(20_000)), train[torch.arange(20_000)]
for bias in (0.0, constant):
    losses = train_ranker(
        Ranker(InputLayer(task.features), (64, 32), bias),
        some_pages,
        hit[few],
        minutes[few],
        passes=1,
    )
    print(
        f"start at odds of {np.exp(bias):.2f} minutes: loss {losses[0]:.2f} at first, "
        f"{np.mean(losses[10:20]):.3f} in steps 11 to 20, {np.mean(losses[-20:]):.3f} in the last 20"
    )

# %% [markdown]
# **How long, and with how much decay?** Whoever stands in a contest of this chapter was tuned on three worlds that the contests do not use. Networks, click ranker and linear model share one grid of decays and passes (at the rate .01) and were judged by the true loss; so were the trees of section 8, on a grid of their own, and the two networks of section 10, judged by their order. It was one round over the axes, so the recipes are good and not the best there are.

# %%
pd.concat(
    [tuning.load(f"tuning_{what}").recipes() for what in ("watch_time", "trees", "lengths")]
).astype(object).fillna("")

# %% [markdown]
# Now two rankers. One predicts clicks, so each click weighs 1 (*equal weights*). The other one predicts watch time.

# %%
recipes = tuning.load("tuning_watch_time").best
equal = torch.ones_like(minutes)


def trained(weight, widths, recipe, **options):
    ranker = Ranker(InputLayer(task.features), widths, best_constant(hit, weight))
    train_ranker(ranker, train, hit, weight, **{**recipes[recipe], **options})
    return ranker


rankers = {
    "click ranker": trained(equal, (64, 32), "equal weights"),
    "watch-time ranker": trained(minutes, (64, 32), "128-64-32"),
}
scores = {name: logits_of(ranker, test) for name, ranker in rankers.items()}
pd.DataFrame({name: task.offline(s) for name, s in scores.items()}).T.round(1)

# %% [markdown]
# Same network, same cards, same loop; only the weight of a click (and the recipe) has changed. Compare the columns: by the pooled loss the target decides a lot, while by account it hardly matters.
#
# ## 6. In front of people
#
# Each request brings some thirty nominated videos; a ranker chooses and sorts ten. All numbers are exact expectations for the same 2,000 requests. *length_minutes* is how long the videos on the page are on average, and *length only* is a rival that shows the longest ones and knows nothing else.

# %%
live = task.live({name: served(ranker, scales) for name, ranker in rankers.items()})
live.round(2)

# %%
change = live.loc["watch-time ranker"] / live.loc["click ranker"] - 1
guess.beside(f"watch time {change['watch_minutes']:+.0%}, clicks {change['clicks']:+.0%}, "
             f"and what is shown is {change['length_minutes']:+.0%} as long.")  # fmt: skip

# %% [markdown]
# More is watched, and the pages hold longer videos. So is watch time only another word for length? *Length only* says no: its pages hold the longest videos of all, and bring less than those of either ranker. Section 9 takes the lead apart.
#
# ## 7. Are the network's odds right?
#
# The table of cells could be right everywhere, and was. A network with a vector for each video has far more freedom than the log has clicks. Sort the fresh cards by the odds that it serves, make ten equal groups, and compare with the truth. Beside the ranker stands the same one, trained without the decay of its tables:

# %%
free = trained(minutes, (64, 32), "128-64-32", decay=0.0)
network = {"with decay": scores["watch-time ranker"], "without decay": logits_of(free, test)}
rows = []
for name, z in network.items():
    group = np.argsort(np.argsort(z)) * 10 // len(z)
    table = pd.DataFrame({"served": np.exp(z.astype(float)), "truth": task.fresh.expected_seconds / 60,
                          "p": truth["p_click"]}).groupby(group).mean()  # fmt: skip
    by_formula = table["truth"] / (1 - table["p"])
    rows += [{"who": name, "group, from low to high odds": g + 1, "value": value}
             for g, value in (table["served"] / by_formula).items()]  # fmt: skip
fig = plots.lines(
    pd.DataFrame(rows), "group, from low to high odds", label="served over E[T] / (1 - P)"
)
fig.axes[0].axhline(1, color="grey", linestyle="--", linewidth=1)
fig

# %%
lost = [task.offline(z)["true loss"] for z in network.values()]
print(f"true loss: {lost[0]:.1f} with decay, {lost[1]:.1f} without")

# %% [markdown]
# *What to see:* the formula is at 1. Without decay the highest odds exceed the truth by far and the lowest fall far short of it; with decay they err the same way, but much less.
#
# The decay touches the tables alone, so it is these that had learned the luck of their training clicks.
#
# So the identity of section 3 says what the loss *wants*; whether a model gets there is a question of its own. An order forgives a part of it (the printed losses). Whoever multiplies predictions, as chapter 08 does, should look at this figure first.

# %% [markdown]
# ## 8. Wider and deeper: Table 1
#
# P1's Table 1 compares hidden layers by the weighted, per-user loss. Ours have an eighth of its widths. To see steps of tenths, we train each network twice in each world, and score it by the *true* loss, as a difference from the widest and deepest one in the same world (stored results, a dot for each world). The recipes are those of section 5. The networks with one layer share one, and those with two or three share one.

# %%
stored = ledger.results("watch_ladder")
deepest, (base, *_) = "128-64-32", TABLE1.values()
names = ["None", "32", "64", "128", "64-32", "128-64", deepest]
rows = [
    {"who": name, "value": value}
    for name in names[:-1]
    for value in stored[f"{name}/true loss"] - stored[f"{deepest}/true loss"]
]
plots.show(plots.worlds(pd.DataFrame(rows), label=f"true loss, points above {deepest}", zero=True))
ladder = pd.DataFrame({
    "P1's layers": list(TABLE1), "P1's loss": list(TABLE1.values()),
    "its step down from none": [base - value for value in TABLE1.values()],
    "ours": names,
})  # fmt: skip
ladder["our true loss"] = [stored[f"{name}/true loss"].mean() for name in ladder["ours"]]
ladder["our step down"] = [
    (stored["None/true loss"] - stored[f"{n}/true loss"]).mean() for n in ladder["ours"]
]
ladder.round(2)

# %% [markdown]
# *What to see:* in the mean the first hidden layer is by far the largest step, as in P1, and a wider one goes a little further. A second and a third layer add nothing that one could see here, where P1's table still goes down.
#
# The intervals say how far each of these is decided.
#
# For scale: random scores lose half, an oracle loses what no model could save.

# %%
ends = stored[
    ["random/true loss", "past/true loss", "oracle of clicks/true loss", "oracle/true loss"]
].mean()
ends.rename(lambda name: name.split("/")[0]).round(1).to_frame("true loss").T

# %% [markdown]
# **What else did P1 take away?** Equal weights cost it 4.1 % and the squares and roots of the numbers .2 % (points, as we read it); and it says that the network beats linear models and trees. All of these stand in one contest here, on equal data; linear model, network, equal weights and trees each have their own recipe. (Trees see the numbers, and the ids only through their counters; a network that sees no more than they do stands beside them.)

# %%
rivals = {"equal weights": "equal weights", "None": "linear", "trees": "trees",
          "no ids": "network that sees what trees see", "no powers": "without powers"}  # fmt: skip
rows = [
    {"who": who, "panel": panel, "value": value}
    for measure, panel in (("true loss", "pooled (true loss)"), ("loss by account", "by account"))
    for name, who in rivals.items()
    for value in stored[f"{name}/{measure}"] - stored[f"{deepest}/{measure}"]
]
plots.worlds(pd.DataFrame(rows), panel="panel", label=f"points above {deepest}", zero=True)

# %% [markdown]
# *What to see:* on the left, where all pairs are pooled, equal weights cost most in the mean, as P1 says. On the right, where each account counts alike, they cost nothing in the mean, with a wide interval.
#
# Trees are not visibly behind on either side. (In chapter 06 they were, with ids as plain codes, fewer cards and another grid; which of these it was, we have not tested.) And the network does not miss its powers.
#
# ## 9. What is the lead made of?
#
# P1's reason for watch time is *clickbait*: ranking by clicks promotes what is clicked and not completed. A world has a switch for that. But time watched is the *length* of a video times the *share* of it that is watched, so there is a second way to more minutes, which is to show longer videos. What a longer video is worth hangs on how much time people *have*. In this world nobody watches a video for longer than the minutes that they have left. The dial `time_budget` says how scarce these minutes are; at 0 time has no end.
#
# Two rankers that know the truth, one of clicks and one of watch time, in a village that is simulated anew at each move:


# %%
met = {}


def two_oracles(clickbait, time_budget):
    """What oracles of clicks and of watch time bring in a village with these dials."""
    if (clickbait, time_budget) not in met:
        village = simulate("village", seed=3, cache=False, days=8, future_days=1,
                           clickbait=clickbait, time_budget=time_budget)  # fmt: skip
        both = {"clicks": village.oracle("clicks"),
                "watch time": village.oracle("watch_minutes")}  # fmt: skip
        found = ab_test(village, both, n=400).table
        met[clickbait, time_budget] = found.pivot(
            index="policy", columns="metric", values="expected"
        )
    table = met[clickbait, time_budget].loc[["clicks", "watch time"]]
    panels = {
        "watch_minutes": "minutes",
        "clicks": "clicks",
        "satisfied": "satisfied",
        "length_minutes": "length shown",
    }
    lead = table.loc["watch time", "watch_minutes"] / table.loc["clicks", "watch_minutes"] - 1
    words = (
        f"clickbait {clickbait:g}, time budget {time_budget:g}: {lead:+.0%} minutes by watch time"
    )
    fig, axes = plots.figure(
        4, height=2.6, alt=f"{words}. {table[list(panels)].round(2).to_dict('index')}"
    )
    for ax, (metric, title), high in zip(axes, panels.items(), (9, 1.6, 0.8, 20)):
        ax.bar(
            ["clicks", "watch\ntime"],
            table[metric],
            color=[plots.colour("click ranker"), plots.colour("watch-time ranker")],
        )
        ax.set(title=title, ylim=(0, high))
    fig.suptitle(words, x=0.01, ha="left")
    return fig


sliders(two_oracles, clickbait=FloatSlider(0.0, 2.0, 0.5, 1.0),
        time_budget=FloatSlider(0.0, 4.0, 0.5, 1.0, label="scarcity of time (0 = no end)"))  # fmt: skip

# %% [markdown]
# Three settings:

# %%
for dials in ((1, 0), (1, 1), (0, 4)):
    plots.show(two_oracles(*dials))

# %% [markdown]
# *What to see:* the scarcer time is, the less a minute can be bought by length. The oracle of watch time then shows shorter videos, and its lead shrinks; take the clickbait away as well, and little is left of it.
#
# **And rankers that have to learn?** Let a click weigh one factor only, the *length* of the video or the *share* watched, beside clicks alone and both together. There are four settings: no clickbait, clickbait as it is, doubled, and clickbait as it is where time has no end (*endless time*) (stored results, as change from the click ranker of the same world):

# %%
stored = ledger.results("watch_doses")
labels = {
    "length": "length ranker",
    "share": "share ranker",
    "watch": "watch-time ranker",
    "length only": "length only",
}
settings = {"clickbait 0": "no clickbait", "clickbait 1": "as it is", "clickbait 2": "doubled",
            "no budget": "endless time"}  # fmt: skip
rows = [
    {"who": label, "panel": panel, "value": 100 * (value - 1)}
    for at, panel in settings.items()
    for who, label in labels.items()
    for value in stored[f"{at}/live/{who}/watch_minutes"] / stored[f"{at}/live/click/watch_minutes"]
]
fig = plots.worlds(pd.DataFrame(rows), panel="panel", label="minutes, % more", zero=True)
for ax in fig.axes:
    ax.set_xlim(-120, 200)
fig

# %%
measures = {"clicks": "clicks", "completions": "completed", "satisfied": "satisfied", "bait": "clickbait cards",
            "length_minutes": "length shown"}  # fmt: skip
change = {
    (panel, label): {
        name: 100 * (stored[f"{at}/live/{who}/{m}"] / stored[f"{at}/live/click/{m}"] - 1).mean()
        for m, name in measures.items()
    }
    for at, panel in settings.items()
    for who, label in list(labels.items())[:3]
}
pd.DataFrame(change).T.round(0).astype(int).add_suffix(", % more")

# %% [markdown]
# *What to see:* in the mean the lead is much larger in the last panel, where time has no end, and *length* alone brings most of it. With a budget the lead shrinks, but where there is no clickbait length still brings about as many minutes as watch time.
#
# The worlds differ a lot: take the sizes of these leads as undecided.
#
# The *share* watched brings few minutes or none. What it does is seen in the table, in means: it thins out the clickbait cards, and where clickbait is doubled it satisfies far more people. So P1's reason seems a good one for what people get out of their time. The minutes come mostly from length, except where clickbait is doubled.
#
# ## 10. Coda: watches of equal length
#
# A ranker of minutes likes what is long, whether people like it or not. D2Q (Zhan et al. 2022) therefore compares a watch only with watches of videos of *about the same length*. Sort the watches into ten groups by the length of the video; the label of a watch is the share of its group's watches that were shorter. A network predicts this label, and the way back to minutes goes through the group's own distribution.
#
# > **Exercise 4 · The share of shorter watches** (building, 10 minutes). `seconds` and `group` are ($n$,). Return for each watch the share of the watches of *its group* that were shorter. Watches of the same time, the watch itself included, count half.
#
# <details><summary>Hint 1</summary>Pandas can rank within groups; equal ones get their mean rank, which counts from 1.</details>
# <details><summary>Hint 2</summary>The watch itself is one of those that count half, so a mean rank r means r - ½ of the group.</details>


# %% tags=["exercise"]
def share_of_shorter(seconds, group):
    """Of each watch (n,), the share of its group's watches that were shorter; equal ones half."""
    ...  # your code


# %% tags=["solution", "export"]
def share_of_shorter(seconds, group):
    """Of each watch (n,), the share of its group's watches that were shorter; equal ones half."""
    watches = pd.Series(seconds).groupby(group)
    return ((watches.rank() - 0.5) / watches.transform("size")).to_numpy()


# %%
share_of_shorter = answer("07-shorter", share_of_shorter)

# %% [markdown]
# The way back, a loss for labels that are numbers, and the measure of the D2Q paper: XAUC, the share of pairs of watches that a prediction puts in the order of their times.


# %% tags=["export"]
def time_at_share(share, group, seconds, of_group):
    """Watch times (n,) at shares (n,) of shorter watches, of those in the log: seconds (m,)."""
    time = np.empty(len(share))
    for g in np.unique(group):
        time[group == g] = np.quantile(seconds[of_group == g], share[group == g].clip(0, 1))
    return time


def squared(z, label, weight):
    """Mean squared error of predictions z (n,)."""
    return (weight * (z - label) ** 2).mean()


def xauc(scores, seconds, group=None):
    """Share of pairs of watches (n,) that the scores order by time; of a group's only, if given."""
    right = pairs = 0.0
    for g in [None] if group is None else np.unique(group):
        of = slice(None) if group is None else group == g
        longer = seconds[of][:, None] > seconds[of]
        above = np.heaviside(scores[of][:, None] - scores[of], 0.5)
        right, pairs = right + above[longer].sum(), pairs + longer.sum()
    return right / pairs


# %% [markdown]
# We train on the clicked cards alone, once for the minutes by least squares and once for the share:

# %%
watches = RankingBatch.of(task.inputs[hit.numpy()])
seconds = task.rows["watched_seconds"].to_numpy()[hit.numpy()].astype(float)
edges = np.quantile(watches.number("duration"), np.linspace(0, 1, 11)[1:-1])
group, fresh_group = (np.searchsorted(edges, b.number("duration")) for b in (watches, task.test))
targets = {"minutes": seconds / seconds.mean(), "share": share_of_shorter(seconds, group)}
value, recipes = {}, tuning.load("tuning_lengths").best
for name, target in targets.items():
    label = torch.from_numpy(target.astype(np.float32))
    network = Ranker(InputLayer(task.features), (64, 32), label.mean())
    train_ranker(
        network, scales(watches), label, torch.ones_like(label), loss=squared, **recipes[name]
    )
    value[name] = logits_of(network, test)
value["share, mapped back"] = time_at_share(value["share"], fresh_group, seconds, group)
clicked = cards["clicked"].to_numpy()
time = cards["watched_seconds"].to_numpy()[clicked]
pd.DataFrame({
    name: {"XAUC": xauc(v[clicked], time), "within groups": xauc(v[clicked], time, fresh_group[clicked])}
    for name, v in {**value, "oracle": truth["expected_seconds"].to_numpy()}.items()
}).T.round(3)  # fmt: skip

# %% [markdown]
# Within a group, mapping back changes no order; between groups it says which length a share means. And in front of people? Each value is multiplied with a click ranker's $\hat P(\text{click})$ (stored results, as change from minutes by least squares):

# %%
stored = ledger.results("watch_lengths")
measures = {
    "watch_minutes": "minutes",
    "length_minutes": "length shown",
    "completions": "completed",
    "satisfied": "satisfied",
}
rows = [
    {"who": f"share{how}", "panel": panel, "value": 100 * (x - 1)}
    for m, panel in measures.items()
    for how in (", mapped back", "")
    for x in stored[f"live/share{how}/{m}"] / stored[f"live/minutes/{m}"]
]
plots.worlds(pd.DataFrame(rows), panel="panel", label="% more", zero=True)

# %% [markdown]
# *What to see:* ranked by the share alone, pages hold much shorter videos and lose some minutes; in the mean more watches are completed. Mapped back to minutes, it does a little of the same.
#
# ## 11. The pages of three accounts
#
# This is what our three accounts would see on the evening after the log, sorted by expected watch time:

# %%
players.pages(world, lambda users: task.pages(served(rankers["watch-time ranker"], scales), users))

# %% [markdown]
# And how long the ten videos of each page are on average, in minutes, under both rankers:

# %%
length = task.logs.videos["duration_seconds"].to_numpy(float) / 60
pages = {
    name: task.pages(served(rankers[name], scales), players.users) for name in list(rankers)[:2]
}
pd.DataFrame(
    {n: length[videos].mean(axis=1) for n, videos in pages.items()}, players.table.index
).round(1)

# %% [markdown]
# ## What the ledger says

# %%
ledger.show("07")

# %% [markdown]
# ## Challenge
#
# > **A ranker of your own** (open, an hour or an evening). Build a ranker from the log of a world that you have never seen, and make people watch for longer. A wider network, a repaired formula, fewer or more passes, another weight for a click, a value of length that knows how little time people have: what closes more of the gap to an oracle of watch time?


# %%
def my_ranker(logs):
    """This chapter's watch-time ranker, trained on the log of a hidden world."""
    rows = logs.impressions
    features = RankingFeatures(logs, rows)
    batch = RankingBatch.of(features.of_impressions(logs, rows))
    mine, clicked = Scales(batch), torch.tensor(rows["clicked"].to_numpy())
    weight = torch.tensor(rows["watched_seconds"].to_numpy(np.float32)) / 60
    ranker = Ranker(InputLayer(features), (64, 32), best_constant(clicked, weight))
    train_ranker(ranker, mine(batch), clicked, weight)
    return ranker_policy(features, served(ranker, mine))


scored = contest(
    my_ranker, world="village", worlds=3, metric="watch_minutes", candidates="nominated"
)
scored

# %% [markdown]
# ## Summary
#
# 1. Give a click the weight of its minutes, and logistic regression learns odds of $E[T]/(1-P(\text{click}))$. That holds at every click rate; the odds *are* the expected watch time where clicks are rare, and times $1-\hat P(\text{click})$ everywhere.
# 2. That is what the loss wants. A network with a vector for each video comes near it only if it is kept from learning the luck of single clicks by heart.
# 3. By P1's loss the target matters most if all pairs are pooled; if each account counts alike, equal weights cost nothing in the mean. In the mean a first hidden layer pays. Further layers did not pay here, and boosted trees were not visibly behind.
# 4. In front of people, watch time brings more minutes than clicks do, and in the mean most of them come from length: so what the lead is worth hangs on how scarce people's time is. What watch time does against clickbait is seen in satisfied people more than in minutes.
# 5. Comparing watches with those of videos of equal length orders them better within such groups, and takes the head start from long videos.
#
# **Limits.** Widths an eighth of P1's, and 400,000 cards where P1 had hundreds of billions. Where an interval is wide, the worlds are few. The recipes were searched along decay and passes only, at one rate. The budget of time is a law that we wrote: what a minute is worth outside of this world, we do not know.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. D2Q: Zhan et al., *Deconfounding Duration Bias in Watch-time Prediction for Video Recommendation*, KDD 2022.
