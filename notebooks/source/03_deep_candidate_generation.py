# ---
# course:
#   number: "03"
#   title: The deep candidate generator
#   question: How does one choose the next video out of a very large number of classes?
#   paper: P1 sections 3.1 and 3.2, Fig. 3
#   minutes: 90
# ---

# %% [markdown]
# # 03 · The deep candidate generator
#
# **Promise.** After this chapter you can train a network that answers *which of all videos is watched next?* while it looks at few of them, correct for the way those were drawn, and serve its answers in a fraction of a millisecond.
#
# * **Papers.** Covington et al. 2016 (P1), sections 3.1 and 3.2, Figure 3. Yi et al. 2019 for the correction.
# * **You should know.** Chapters 00 to 02; what a gradient is; a little PyTorch.
# * **Your time** about 90 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional

from course import check, claims, play, plots, simulate
from course.experiments.softmax_laws import expectation, floor, prepare, quick
from course.features import history_bags
from course.models.candidate_generation import CandidateGenerator
from course.models.softmax import FullSoftmax, SampledSoftmax, sampled_softmax_loss
from course.pages import home_page
from course.plots.retrieval import CORRECTED, FULL, PLAIN
from course.retrieval import Index, equally_long, recall
from course.widgets import Choice, Toggle, predict, sliders

world = simulate("small", seed=7)
logs = world.logs()
setting = prepare(logs)  # cuts off the last three days, makes inputs and labels of the rest
game, counts = setting.game, setting.counts
game

# %% [markdown]
# ## 1. One question, thousands of classes
#
# Here are seven videos that somebody watched, oldest first; the marked eighth came next.

# %%
event = game.events.iloc[[700]]
before = history_bags(logs, event)[0, :7][::-1]  # the bag has the newest first
answer = int(event["video_id"].iloc[0])
home_page(play.cards(world, [*before, answer]), marks={answer: "next"})

# %% [markdown]
# P1 makes this the whole task. Every video $i$ (here: if watched before the cut) is a *class*; the history $U$ and the situation $C$ of a viewer are turned into a vector $u$; and the probability of the next watch $w$ is a softmax over all classes,
#
# $$P(w=i\mid U,C)=\frac{e^{u\cdot v_i}}{\sum_j e^{u\cdot v_j}},$$
#
# with one vector $v_i$ for each video. In chapter 02 each account had a vector of its own; here $u$ is *computed* from what is known now. We play the same guessing game: the first watches of the last three days, ranked among all videos not yet watched. The floor is popularity of the last week in the viewer's language:

# %%
popular = floor(game)
print(f"{len(game.features.videos):,} classes")
print("floor:", ", ".join(f"{name} {value:.3f}" for name, value in popular.items()))

# %% [markdown]
# That is a strong floor: it has a clock, and this chapter's network has none. (Chapter 02's count of two days, MRR 0.098, is out of its reach; chapter 04 gives it a clock.) Now your guess about section 5:

# %%
guess = predict(
    "03-correction",
    "To save work, each step compares the watched video with 500 others only, drawn as often as "
    "they are watched. Which videos will such a model recommend, compared with one that "
    "compares with all videos?",
    ["more popular ones", "about the same", "less popular ones"],
)
guess

# %% [markdown]
# ## 2. The network
#
# Histories have different lengths. P1 averages: each watched video has a vector in an input table, and the *bag* of the last 50 watches becomes their mean. What else is known is put beside it, and a tower of ReLU layers follows, each half as wide as the one below. The $v_i$ stand in an output table of their own. With watches alone and two ReLU layers:


# %% tags=["nbval-check-output"]
class NextVideo(nn.Module):
    def __init__(self, videos, dim=64, width=256):
        super().__init__()
        self.watched = nn.Embedding(videos + 1, dim)  # input table; the last row is "nothing"
        self.norm = nn.BatchNorm1d(dim + 1)
        self.tower = nn.Sequential(
            *(nn.Linear(dim + 1, 2 * width), nn.ReLU()),
            *(nn.Linear(2 * width, width), nn.ReLU()),
            nn.Linear(width, dim),
        )
        self.output = nn.Embedding(videos, dim + 1)  # output table; its last column is a bias

    def forward(self, bags):
        there = (bags != len(self.output.weight))[:, :, None]  # which places are filled
        n = there.sum(dim=1)
        mean = (self.watched(bags) * there).sum(dim=1) / n.clamp(min=1)
        x = self.norm(torch.cat([mean, torch.log1p(n)], dim=1))
        return functional.pad(self.tower(x), (0, 1), value=1.0)  # u ends in a 1, for the bias


theirs = CandidateGenerator(game.features, ("watches",), depth=2)
mine = NextVideo(len(game.features.videos))
weights = {  # ours has the same layers, under other names
    name.replace("bags.watches.table", "watched"): w for name, w in theirs.state_dict().items()
}
mine.load_state_dict(weights)
few = setting.data[torch.arange(500)]
assert torch.allclose(mine(few.watched), theirs(few), atol=1e-4)
print("agrees with course.models.candidate_generation.CandidateGenerator")

# %% [markdown]
# Ours and not P1's are: the normalisation, the size $n$ of the bag as an input, a linear map to 64 numbers after the last ReLU layer, and a bias for each video, hidden in the dot product as one more number. From here on we use the course's network with one ReLU layer; depth and further inputs come in chapter 04.

# %% [markdown]
# ## 3. All videos, and what that costs
#
# The naive way scores *all* videos at each step: the loss for a label $y$ is $-u\cdot v_y+\log\sum_j e^{u\cdot v_j}$. How does its price grow with the catalogue? Lines are stored results, rings this machine, now. (Sampling: section 4; hierarchical softmax: section 6.)

# %%
from course.experiments.step_cost import step_seconds

points = [("full", 2_000), ("full", 10_000), ("sampled", 10_000)]
live = {point: 1e3 * step_seconds(point[1], point[0], steps=8) for point in points}
plots.step_cost(claims.results("step_cost"), live)

# %% [markdown]
# *What to see* (both axes are logarithmic): the full softmax grows with the catalogue, to about a second per step. With 1,000 sampled negatives, what still grows is that Adam updates every row of the tables. *Sparse* updates touch only the rows in use: dearer at 2,000 videos, but growing slowly. P1, with millions of classes, reports a factor above 100; ours reaches about 30.

# %% [markdown]
# ## 4. A few videos, and the correction
#
# Compare the label with a sample $S$ of *negatives* instead. But what is drawn often is pushed down often. The remedy is importance weighting: if video $j$ is expected $E_j$ times in the sample, count it $1/E_j$ times. (Repeats are thrown away, so $E_j$ is also its chance to be in.) In the exponent that is
#
# $$s_j=u\cdot v_j-\log E_j,\qquad L=-s_y+\log\Big(e^{s_y}+\sum_{j\in S,\,j\ne y}e^{s_j}\Big).$$
#
# This is called the **logQ correction**. A negative that is the label itself is left out.


# %%
def sampled_loss(user, videos, label, negatives, log_count=None):
    right = (user * videos[label]).sum(dim=1, keepdim=True)
    wrong = user @ videos[negatives].T
    if log_count is not None:
        right, wrong = right - log_count[label, None], wrong - log_count[negatives]
    wrong = wrong.masked_fill(label[:, None] == negatives, -torch.inf)
    return functional.cross_entropy(torch.cat([right, wrong], dim=1), torch.zeros_like(label))


# %% [markdown]
# Does it work? The gradient for a video's bias has two parts: each label pulls its video up, and each video is *pushed down* by the probability that the model gives it. A sampled loss has the same pull and estimates the push. For 300 videos with random vectors we compare the exact push with its *mean* over 2,000 samples of about 60 negatives, drawn in proportion to popularity.

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
popularity = torch.arange(300, 0, -1.0)
label = torch.multinomial(popularity, 256, replacement=True)
user = functional.pad(torch.randn(256, 8), (0, 1), value=1.0)
videos = (0.2 * torch.randn(300, 9)).requires_grad_()
pull = label.bincount(minlength=300) / 256


def push(loss):  # the gradient for the biases (last column) is push minus pull
    return torch.autograd.grad(loss, videos)[0][:, -1] + pull


exact = push(functional.cross_entropy(user @ videos.T, label))
sampler = SampledSoftmax(popularity.numpy(), 60, "popularity")
pushes = {PLAIN: torch.zeros(300), CORRECTED: torch.zeros(300)}
for _ in range(2_000):
    negatives, log_count = sampler.draw(label)
    for name, log_e in ((PLAIN, None), (CORRECTED, log_count)):
        pushes[name] += push(sampled_loss(user, videos, label, negatives, log_e)) / 2_000
ours = sampled_loss(user, videos, label, negatives, log_count)
assert torch.allclose(ours, sampled_softmax_loss(user, videos, label, negatives, log_count))
print("our loss agrees with course.models.softmax.sampled_softmax_loss")

# %%
off = {name: float((p - exact).norm() / exact.norm()) for name, p in pushes.items()}
assert off[CORRECTED] < 0.2 < 0.4 < off[PLAIN]
print(", ".join(f"{name}: off by {value:.0%}" for name, value in off.items()))
plots.pushes(exact.numpy(), {name: p.numpy() for name, p in pushes.items()}, popularity.numpy())

# %% [markdown]
# *What to see:* each point is a video, the larger the more popular. With the correction the points lie around the diagonal. Without it the push follows popularity, and no averaging will mend that. *Around* it: part of the scatter is chance, mostly of rare videos, and a small bias remains (the logarithm of a noisy sum is too small on average), which shrinks as the sample grows. All this belongs to training; served are plain dot products.

# %% [markdown]
# ## 5. What the correction is worth
#
# We train the same network three times, with three passes over the examples each. *Past watches*: how often the 20 best videos were watched in training.

# %%
losses = {
    FULL: FullSoftmax(),
    PLAIN: SampledSoftmax(counts, 500, "popularity", correct=False),
    CORRECTED: SampledSoftmax(counts, 500, "popularity"),
}
models = {name: setting.fit(loss) for name, loss in losses.items()}
found = {name: expectation(setting, model) for name, model in models.items()}
quality = pd.DataFrame({name: game.measure(model) for name, model in models.items()}).T
quality.loc["popular in the language"] = pd.Series(popular)
quality["past watches"] = pd.Series({name: f["watches"] for name, f in found.items()})
assert quality["mrr"][PLAIN] < 0.85 * quality["mrr"][CORRECTED]
HTML(quality.drop(columns="nats").round(3).to_html(na_rep=""))

# %%
guess.beside("clearly less popular ones: see the last column, and the figure below.")
curves = {name: f["expected"] for name, f in found.items()}
plots.expected_by_popularity(curves, actual=found[FULL]["actual"])

# %% [markdown]
# *What to see:* the videos are sorted by past watches and cut into ten groups with a tenth of all watches each. Of what was truly watched (bars), more than a tenth is in the rare group, where the new videos are. The full softmax (dashed) comes near, and the corrected sample follows it closely. Without the correction about half goes to the rare: the model was told again and again that popular videos are wrong, and learned roughly the probability *divided by* popularity. Nothing in its loss shows this.

# %% [markdown]
# ## 6. Is it luck? Several laws, five worlds
#
# Other laws of drawing: *uniform*; *zipf*, about $1/r$ for the $r$-th most popular; and *in-batch*, where the labels of the other rows serve as negatives, at no extra cost. These results are stored (`python3 -m course reproduce` makes them anew), with those of two *trees*.

# %%
laws = claims.results("softmax_laws")
plots.sampling_laws(laws)

# %% [markdown]
# *What to see:* with the correction, all laws come within about 5% of the full softmax. Without it, all but the uniform lose 18 to 27%, fall below plain popularity, and choose much less popular videos. (Intervals are wide because worlds differ; section 11 compares within each.)
#
# **Trees.** A *hierarchical* softmax first chooses a cluster, then a video in it: about $2\sqrt V$ scores instead of $V$. P1 could not reach the accuracy of sampling with it. Here a random tree loses, but a tree of language and topic is a little *better* than sampling. We think the reason is our world: topic labels are perfect, and taste is about topics; P1 suspects that its trees set apart unrelated videos. A product of softmaxes is no dot product, so section 10 cannot serve it.

# %% [markdown]
# ## 7. How many negatives?
#
# Each setting trains a linear model for about a second; the dashed line was trained as briefly, with all videos.

# %%
sliders(
    plots.trained_negatives,
    negatives=Choice([10, 30, 100, 200, 300, 600, 1000], 300),
    correct=Toggle(False, "correct for the law of drawing"),
)

# %% [markdown]
# Three settings, and full trainings (one ReLU layer) in five worlds:

# %%
three = {
    "10 negatives, corrected": (10, True),
    "300 negatives, not corrected": (300, False),
    "300 negatives, corrected": (300, True),
}
runs = {name: {**quick(n, correct=right), "corrected": right} for name, (n, right) in three.items()}
plots.quick_trainings(runs, quick(0), laws)

# %% [markdown]
# *What to see:* with the correction, more negatives help, and with a few hundred the sample comes close to all videos. Without it 1,000 help as well: they are more than half of all classes, and the more are drawn, the less the chances differ. With a tiny share of millions that way out is closed.

# %% [markdown]
# ## 8. The switch: when all are drawn alike
#
# If the trouble comes from *unequal* drawing, then with equal chances the correction must do nothing: a constant drops out of a softmax. We train with uniform negatives, corrected and not.

# %% tags=["nbval-check-output"]
twins = [setting.fit(SampledSoftmax(counts, 500, "uniform", c), epochs=1) for c in (True, False)]
scores = [model.scores(few) for model in twins]
assert np.corrcoef(*(s.ravel() for s in scores))[0, 1] > 0.999  # up to rounding, which adds up
print("uniform negatives: with and without the correction, the same model")

# %% [markdown]
# ## 9. Mean, sum or maximum?
#
# P1 found averaging best. MRR over five worlds, for the network with all inputs (searches and more) and for watches alone:

# %%
bags, inputs = claims.results("bags"), ("all signals", "watches")
kinds = ("mean", "sum", "max")
table = {name: {kind: bags[f"{name}, {kind}/mrr"].mean() for kind in kinds} for name in inputs}
pd.DataFrame(table).round(4)

# %% [markdown]
# Mean comes first, as in P1, by small margins. Over five worlds it beats the maximum; against the sum, with all inputs, the difference is not larger than chance (section 11).

# %% [markdown]
# ## 10. Serving: the nearest neighbours of $u$
#
# A request needs the few hundred videos with the largest $u\cdot v_i$. Comparing with all is fine for thousands and slow for millions. An *inverted file* (IVF) sorts the videos into cells and looks only into the few nearest to $u$. But a long vector has large products without being near to anything, and here lengths differ, because popular videos have a large bias. One more number makes all equally long, and changes no product if $u$ gets a 0 there:
#
# $$a_i=\big(v_i,\sqrt{M^2-|v_i|^2}\big),\quad M=\max_i|v_i|,\qquad |u-a_i|^2=|u|^2+M^2-2\,u\cdot v_i.$$

# %% tags=["nbval-check-output"]
best = models[CORRECTED]
vectors, users = best.video_vectors(), best.user_vectors(setting.data[torch.arange(300)])
places = equally_long(vectors)
cells = KMeans(43, n_init=1, random_state=0).fit(places)  # about the root of 1,846


def search_cells(user, k, nprobe):
    user = np.append(user, 0.0)  # the 0 that goes with the added number
    near = np.argsort(((cells.cluster_centers_ - user) ** 2).sum(axis=1))[:nprobe]
    inside = np.flatnonzero(np.isin(cells.labels_, near))
    return inside[np.argsort(-(places[inside] @ user))[:k]]


exact, _ = Index(vectors).search(users, 10)
ours = np.array([search_cells(user, 10, 43) for user in users])
print(f"all cells: recall {recall(ours, exact):.2f}")
ours = np.array([search_cells(user, 10, 8) for user in users])
theirs, _ = Index(vectors, "ivf", cells=43).search(users, 10, nprobe=8)
assert min(recall(ours, exact), recall(theirs, exact)) > 0.85
print("8 of 43 cells: ours and course.retrieval.Index both find most of the exact ten")

# %% [markdown]
# `Index` hands the work to the library *faiss*. Its third kind, HNSW, links each vector to a few neighbours, walks along the links, and remembers the `ef` best it met. Do viewers notice what is missed? That matters for large catalogues, so the ledger has three worlds of 200,000 videos, more than 100,000 of them watched and learned. For 1,000 live requests it takes the 200 best videos from each index, and asks the truth for the expected clicks of two pages: the first ten as they come, and the ten that a perfect ranker would pick from the 200.

# %%
serving = claims.results("serving")
plots.serving(serving)

# %% [markdown]
# *What to see:* on vectors of equal length (solid), both kinds find nearly everything faster than the exact search, IVF four to five times, HNSW two to three times, and their pages are worth the same. P1's live results were not very sensitive to the choice; nor are ours, *if* the search works: on raw vectors (dotted) HNSW finds about an eighth and loses clicks, but far fewer than its recall suggests: what is missed is replaced by videos nearly as good.

# %%
sliders(plots.probes, fixed={"results": serving}, nprobe=Choice([1, 2, 4, 8, 16, 32, 64, 128], 16))

# %%
plots.probes(serving, [2, 16, 128])

# %% [markdown]
# *What to see:* 16 of about 650 cells are about 2% of the catalogue and hold nearly all of the exact answer. The clicks of the first ten hardly change over the whole range: the dot product is only the model's opinion, and a miss can be a piece of luck. A ranker behind the search loses more by poor recall, but even one cell leaves it about nine tenths.

# %% [markdown]
# ## 11. Truth check over five worlds
#
# Directions and margins were written down before the worlds were run (serving: three worlds); the verdict is computed. R-2 is Yi et al.'s model: vectors of length 1, products divided by a *temperature*.

# %%
with pd.option_context("display.max_colwidth", None):
    ledger = HTML(claims.table("03").drop(columns="detectable").to_html(index=False))
ledger

# %% [markdown]
# ## Exercises
#
# **Exercise 1 · The mean of a bag** (difficulty 1 of 3, 8 minutes). `ids` is an int array (n, L) of rows of `table`, with -1 where there is nothing; `table` is (V, d). Return the mean vector of each row (n, d); of an empty row, the zero vector.
#
# <details><summary>Hint</summary>Make the vectors of the empty places zero, add up, and divide by how many are there.</details>


# %% tags=["exercise"]
def mean_bag(ids, table):
    return ...  # your code


_ = check("03-mean-bag", mean_bag)


# %% tags=["solution"]
def mean_bag(ids, table):
    there = (ids != -1)[:, :, None]
    total = np.where(there, table[ids], 0.0).sum(axis=1)
    return total / there.sum(axis=1).clip(min=1)


_ = check("03-mean-bag", mean_bag)

# %% [markdown]
# **Exercise 2 · The corrected loss** (difficulty 2, 12 minutes). `right` (n,) are the scores of the labels, `wrong` (n, S) those of the sampled negatives (none is a label); `right_count` (n,) and `wrong_count` (S,) are the expected counts of these videos. Return the corrected mean loss.
#
# <details><summary>Hint 1</summary>Subtract from each score the logarithm of its video's expected count.</details>
# <details><summary>Hint 2</summary>Then it is an ordinary softmax over 1 + S scores, the label first.</details>


# %% tags=["exercise"]
def corrected_loss(right, wrong, right_count, wrong_count):
    return ...  # your code


_ = check("03-logq", corrected_loss)


# %% tags=["solution"]
def corrected_loss(right, wrong, right_count, wrong_count):
    right, wrong = right - np.log(right_count), wrong - np.log(wrong_count)
    total = np.exp(right) + np.exp(wrong).sum(axis=1)
    return (np.log(total) - right).mean()


_ = check("03-logq", corrected_loss)

# %% [markdown]
# **Exercise 3 · How often is a video in the sample?** (difficulty 2, 8 minutes). `draws` videos are drawn one after the other from the law `q` (V,), each time from all videos; repeats are thrown away. Return the expected count (V,) of each video in the sample.
#
# <details><summary>Hint</summary>It is in the sample unless every single draw missed it.</details>


# %% tags=["exercise"]
def expected_count(q, draws):
    return ...  # your code


_ = check("03-expected-count", expected_count)


# %% tags=["solution"]
def expected_count(q, draws):
    missed_by_all = (1 - q) ** draws
    return 1 - missed_by_all


_ = check("03-expected-count", expected_count)

# %% [markdown]
# **Exercise 4 · One more number** (difficulty 3, 12 minutes). Append to each of the `vectors` (V, d) one number, not below 0, so that all become as long as the longest of them. The first d numbers stay as they are.
#
# <details><summary>Hint</summary>Pythagoras: squares of lengths add up.</details>


# %% tags=["exercise"]
def make_equally_long(vectors):
    return ...  # your code


_ = check("03-equal-length", make_equally_long)


# %% tags=["solution"]
def make_equally_long(vectors):
    length = np.linalg.norm(vectors, axis=1)
    lacking = length.max() ** 2 - length**2
    return np.hstack([vectors, np.sqrt(lacking)[:, None]])


_ = check("03-equal-length", make_equally_long)

# %% [markdown]
# ## Summary
#
# 1. Candidate generation is classification with a class for each video: a network makes $u$ from averaged bags, and the classes are vectors $v_i$.
# 2. A few hundred sampled negatives do nearly what all videos would do, at a price that grows slowly with the catalogue.
# 3. The sample must be corrected by the logarithm of the expected counts. Else the model divides by popularity, and nothing in its loss says so.
# 4. Equal chances need no correction; in-batch negatives are free, and need it.
# 5. Serving is a search for the largest dot products. Make the vectors equally long, and it hardly matters which index does it.
#
# **What the papers say and we could not show.** That any tree does worse: a good one does not, here. A speed-up of 100: our catalogues are too small. That the mean of a bag beats the sum beyond chance, with all inputs.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. Yi et al., *Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations*, RecSys 2019. Jean et al., *On Using Very Large Target Vocabulary for Neural Machine Translation*, ACL 2015. Douze et al., *The Faiss library*, 2024.
