# ---
# course:
#   number: "04"
#   title: Signals, depth and freshness
#   question: What do search, demographics, example age and depth add, and to whom?
#   paper: P1 sections 3.3 to 3.5, Figs. 4 and 6
#   minutes: 90
# ---

# %% [markdown]
# # 04 · Signals, depth and freshness
#
# **Promise.** After this chapter you can feed searches, demographics and a clock to the candidate generator, say to whom each of them helps, name two wrong clocks, and say what hidden layers are good for and what they are not.
#
# * **Papers.** Covington et al. 2016 (P1), sections 3.3 (signals), "Example Age" with Figure 4, 3.5 with Figure 6.
# * **You should know.** Chapter 03: averaged bags, the ReLU tower, the softmax over all videos.
# * **Your time** about 90 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
from IPython.display import HTML

from course import check, claims, plots, simulate
from course.experiments import depth, factorization, signals
from course.experiments.next_watch import NextWatch, fit_candidates
from course.features import NONE, example_age, search_bags, with_bigrams
from course.widgets import Choice, IntSlider, predict, sliders

world = simulate("small", seed=7)
task = NextWatch(world.logs())  # the guessing game: the last three days are to be guessed
rows = task.examples()  # its training examples
print(f"{len(rows):,} training examples, {len(task.events):,} watches to be guessed")

# %% [markdown]
# ## 1. The question
#
# A softmax over videos answers *which video is watched next?* with one probability for each video. But the right answer moves. Here is the share of all watches that went to three videos, day by day since their upload.

# %%
days = np.arange(5, int(task.at))  # whole days of the training log, after the first few
span = np.arange(-8, 17)  # days since upload
share = signals.watched_share(task, days)
born = signals.launched(task)  # uploaded in the middle of the log, and watched often
watched = task.features.videos.counts[task.features.videos.encode(born)]
stars = born[np.argsort(-watched)[:3]]
real = signals.lives(task, share, days, stars, span)
plots.lives(span, {f"video {v}": curve for v, curve in zip(stars, real, strict=True)})

# %% [markdown]
# *What to see:* nothing before the upload, a rise, a peak, a decay (bars). The dashed line is the mean over the window. A model that does not know what day it is can do no better than that line.
#
# P1 gives the model four kinds of signals (watches, searches, demographics, the age of the example) and up to four hidden layers. Before we add them one by one:

# %%
guess = predict(
    "04-what-helps",
    "What will add most to a linear model on watches alone?",
    ["searches", "the clock (example age)", "demographics", "hidden layers"],
)
guess

# %% [markdown]
# ## 2. The naive way
#
# The linear model on watched videos alone (chapter 03's tower with depth 0), between chapter 02's floor, *recent popularity*, and its ceiling, an oracle that knows what people really want and come upon. The number is the mean reciprocal rank (MRR) of the next watch, as in chapter 02.


# %%
def train(inputs, layers):
    return fit_candidates(task.features, task.train, rows, inputs, depth=layers, width=128)


sample = factorization.sampled(task, 1_000)
naive = train(("watches",), layers=0)
ceiling = task.measure(factorization.oracle_scores(world, task, sample), sample)["mrr"]
popular = factorization.floors(task)["recent popularity"]
floor = task.measure(factorization.per_account(popular, task.events))["mrr"]
linear = task.measure(naive)["mrr"]
print(f"recent popularity {floor:.3f}, watches alone {linear:.3f}, oracle {ceiling:.3f}")

# %% [markdown]
# Watches alone do not even reach a count of the last two days.

# %% [markdown]
# ## 3. Searches: a bag without order
#
# A query is cut into words (*tokens*). P1 embeds single tokens (unigrams) and pairs of neighbours (bigrams), and averages them, as it does with watched videos. Here are the last tokens of three accounts, newest first; -1 means "none".

# %%
bags = search_bags(task.train, rows.tail(3), length=6)
pd.DataFrame(bags, index=[f"account {u}" for u in rows.tail(3)["user_id"]])

# %% [markdown]
# A pair gets an id of its own: with 1,024 as a bound on token ids, (first, second) becomes (first + 1) · 1024 + second. (The bag does not say where a query ends, so a pair may span two.)


# %%
def add_pairs(bag):
    """Unigrams, then bigrams. In the bag the newest token stands first."""
    first, second = bag[:, 1:], bag[:, :-1]
    pair = np.where((first < 0) | (second < 0), NONE, (first + 1) * 1024 + second)
    return np.hstack([bag, pair])


assert np.array_equal(add_pairs(bags), with_bigrams(bags))

# %% [markdown]
# Averaging forgets the order: the model knows *what* was searched for lately, not what came last. That is on purpose. A model that knows the last query repeats the search-result page on the home page; chapter 05 tries it out. (From here on we use unigrams only.)

# %% [markdown]
# ## 4. The clock: example age
#
# Let $t_{max}$ be the end of the training log and $t$ the time of a training example (a watch). Its **example age** is $a = t_{max} - t$. P1 feeds it with its square; we add the root, as P1's ranker does, so that a network of few layers can bend it:
#
# $$\left(a,\; a^2,\; \sqrt a\right), \qquad a \text{ in units of 30 days.}$$
#
# It is a property of the *moment*, the same for all videos. During training the model learns what was watched when. **At serving the age is set to 0**: answer for now.


# %%
def age_powers(time, t_max):
    a = np.maximum(t_max - time, 0) / 30  # nothing is newer than the end of the log
    return np.stack([a, a**2, np.sqrt(a)], axis=-1)


times = rows["time"].to_numpy()
assert np.allclose(age_powers(times, task.features.t_max), example_age(times, task.features.t_max))

# %% [markdown]
# Now the same network twice, with two hidden layers: *all signals* (watches, searches, age, demographics, and as context the device and the part of the day), and all but the age.

# %%
clock, no_clock = (train(names, layers=2) for names in (signals.SIGNALS, signals.NO_AGE))
for name, model in {"no clock": no_clock, "example age": clock}.items():
    scores = task.catalogue_scores(model)
    fresh, truly = signals.fresh_share(task, scores)
    print(f"{name:12} MRR {task.measure(scores)['mrr']:.3f}, under 5 days old: {fresh:.0%}")
print(f"{'truly watched':12} under 5 days old: {truly:.0%}")

# %% [markdown]
# The clock lifts the MRR and brings new videos into the first 20 of each list, even more than are truly watched. What has it learned? We ask both models on each day of the log for the probability of the most watched of our three videos: once averaged over moments of *that day* (left), and once over *the same* moments for every day (middle), so that nothing changes but the age.

# %%
learned = {}
for title, how in {"Moments of that day": "of the day", "The same moments": "fixed"}.items():
    curves = {"observed": real[0]}
    for name, model in {"with example age": clock, "without age": no_clock}.items():
        table = signals.class_probabilities(task, model, days, moments=how)
        curves[name] = signals.lives(task, table, days, stars[:1], span)[0]
    learned[title] = curves
plots.learned_lives(span, learned)

# %% [markdown]
# *What to see:* with the age (orange) the model follows the rise and the fall, flatter and a little late, as in the paper (right). Without it (grey) our model is *not* blind on the left, though the paper's is. Why? The last watches of an account tell what day it is: who has just watched Tuesday's videos lives on Wednesday. (Only roughly: the curve rises days too early.) In the middle that is taken away: the model without age is flat, and above 0 *before the upload*, much like P1's. The other bends by its age input alone.

# %% [markdown]
# ## 5. Serving at the wrong age
#
# Turn the age that is served. At $a$ the model believes that today is $t_{max} - a$. Move the slider back to before the upload.

# %%
ages = np.arange(0, 37)
moments = np.array([task.features.t_max - a - 0.5 for a in ages])
sweep = signals.class_probabilities(task, clock, np.floor(moments).astype(int), moments="fixed")
by_video = {f"video {v}": sweep[:, task.features.videos.encode(v)] for v in stars}
uploaded = {f"video {v}": task.train.videos["uploaded"][v] for v in stars}
given = dict(lives=by_video, span=ages, t_max=task.features.t_max, uploaded=uploaded)
sliders(
    plots.served_age,
    days_before=IntSlider(0, 36, 1, 12, label="example age at serving (days)"),
    video=Choice(list(by_video)),
    fixed=given,
)

# %% [markdown]
# The same function at three settings:

# %%
plots.served_ages((0, 21, 30), next(iter(by_video)), **given)

# %% [markdown]
# *What to see:* at age 0 the video is old news; at 21 it is at its peak; at 30 it was not there yet. Two mistakes are common. The first leaves the age at its training mean:

# %%
mean_age = task.features.t_max - times.mean()
served = []
for age in (0, 1, 3, 7, mean_age):
    powers = signals.AtAge(clock, age).powers()
    scores = task.catalogue_scores(clock, sample, age=powers)
    found = task.measure(scores, sample)["mrr"]
    served.append((age, found, signals.fresh_share(task, scores, sample)[0]))
plots.serving_sweep(pd.DataFrame(served, columns=["age", "mrr", "fresh"]), truly)

# %% [markdown]
# *What to see:* both fall. The rightmost point is the mean age of training; it recommends what was watched weeks ago, and hardly anything new.
#
# The second mistake reads "age" as the age of the *video*. In training that gives the answer away (a watch of a two-day-old video must be one of the few two-day-old videos), and no such thing is known of a page request. Served at 0 it asks for videos that were uploaded this second. Both mistakes, live, in five other worlds:

# %%
stored = claims.results("signals")
systems = ("no clock", "example age", "served at the mean age", "age of the video")
live = {name: stored[f"live/{name}/clicks"] for name in systems}
fresh_live = {name: stored[f"live/{name}/fresh_share"] for name in systems}
pd.DataFrame({"clicks per page": live, "under 7 days old": fresh_live}).map(np.mean).round(2)

# %% [markdown]
# *What to see:* served at the mean age, the pages lose about a third of their clicks. With the age of the video they are the freshest of all, and get fewer clicks than with the right clock.

# %% [markdown]
# ## 6. Demographics: for those without a history
#
# Country, language, gender, age band and whether somebody is logged in are known before the first watch. What do they add to a model that has everything else? We take the account's number of watches before the moment.

# %%
every, fewer = "all/history {}/mrr", "no demographics/history {}/mrr"
gains = {g: stored[every.format(g)] - stored[fewer.format(g)] for g in signals.HISTORY_GROUPS}
without, with_them = (stored[f"{n}/history none/mrr"].mean() for n in ("no demographics", "all"))
print(f"MRR without a watch before: {without:.3f}; with demographics {with_them:.3f}")
plots.gain_by_history(gains)

# %% [markdown]
# *What to see:* for accounts without a watch the gain is large: their MRR about doubles. With the first watches it is gone, probably because these give away the language. An average over all events would have hidden it: few of them come from accounts without a watch.

# %% [markdown]
# ## 7. Depth
#
# P1's Figure 6 crosses the four feature sets with 0 to 4 hidden layers. We did so in five worlds (half the paper's widths; watches alone stay linear, as there). The stars are two models of this notebook.

# %%
grid = claims.results("depth_grid")
points = {("watches", 0): linear, ("all", 2): task.measure(clock)["mrr"]}
plots.depth_grid(depth.grid(grid), points)

# %%
best = {name: values[:, 0].mean() for name, values in depth.grid(grid).items()}
steps = ", ".join(f"{name} {value:.3f}" for name, value in best.items())
guess.beside(f"linear, five worlds: {steps}. The clock adds most; hidden layers take away.")

# %% [markdown]
# *What to see:* the signals matter as in the paper, with one large step, the clock. (Searches add next to nothing here; a third of them are *errands*, needed once, no taste.) Depth does not: with the clock, each layer lowers the MRR, where the paper's lines rise. (Intervals are wide because worlds differ; within a world the order is much the same.) Is depth useless, then? We look at *all signals* and *watches and searches* by two more yardsticks: on examples that were held out at random **inside** the training window, and in **nats**, the cross-entropy that is trained (less is better).

# %%
yardsticks = {
    "MRR, days after\n(more is better)": "mrr",
    "MRR, in the window\n(more is better)": "inside/mrr",
    "nats, days after\n(less is better)": "nats",
}
panels = {}
for title, measure in yardsticks.items():
    table = depth.grid(grid, measure)
    panels[title] = {name: table[name] - table[name][:, :1] for name in ("+ searches", "all")}
plots.depth_by_measure(panels)

# %% [markdown]
# *What to see:* inside the window the paper's shape is there: the first two layers pay. Layers three and four take it back; they have about 100,000 examples to learn from, the paper's had hundreds of billions. In nats every depth beats the linear model on the days after, most by its first layer, and more with all signals. But there, with all signals, the MRR falls. So a deep net says better *how likely* each video is, and worse which one stands *on top*.
#
# ## 8. The switch: what is depth for?
#
# A linear model adds up its signals. It cannot say that a topic is wanted in the evening on the TV only, and it bends the clock no further than the three powers go. So switch off what it cannot say, and the gain of a layer must go. Four kinds of worlds, five of each: as it is; taste does not depend on the moment; nothing changes with time (no fashions, no drift of taste); all of it off, and with it satiation (too much of one genre), series, the way from popular to niche videos, and shared accounts.

# %%
switch = claims.results("depth_switch")
layer = {
    kind: switch[f"{kind}/depth 0/nats"] - switch[f"{kind}/depth 1/nats"] for kind in depth.SWITCHES
}
dose = claims.results("depth_context")
rivals = {
    "one layer": "depth 1",
    "hand-made cross": "cross",
    "linear, twice as long": "depth 0, twice as long",
}
gain = {}
for label, name in rivals.items():
    change = [
        dose[f"context {s:g}/depth 0/inside/nats"] - dose[f"context {s:g}/{name}/inside/nats"]
        for s in depth.STRENGTHS
    ]
    gain[label] = np.stack(change, axis=1)
    mean, half = plots.interval(dose[f"context 2/{name}/mrr"] - dose["context 2/depth 0/mrr"])
    print(f"days after, the moment matters twofold: {label:21} MRR {mean:+.4f} ± {half:.4f}")
plots.what_depth_is_for(layer, depth.STRENGTHS, gain)

# %% [markdown]
# *What to see:* left: take the *moment* away, and a layer gains as much as before. Take *time* away, and most of its gain is gone. So in this world hidden layers are above all for the clock: fashions that rise and fall are no sum of signals. A little stays even with all off; what that is, we have not traced.
#
# Right, two honest rivals: a linear model with a *hand-made cross* (a vector for each combination of device, part of the day and age band), and the linear model trained twice as long. The cross helps only where taste depends on the moment, which is what it was made for; there it reaches about half of the layer's gain. Longer training does harm: the linear model learns chance by heart. By MRR on the days after (printed lines) the cross is the only one of the three that gains at all. Who knows what interacts can write part of it down; a layer finds more, untold.

# %% [markdown]
# ## 9. Truth check: the ledger
#
# Five worlds that were not used to choose any setting. A contrast *holds* when its whole 95% interval lies where the paper says.

# %%
with pd.option_context("display.max_colwidth", None):
    ledger = HTML(claims.table("04").drop(columns="detectable").to_html(index=False))
sharp = [f"{grid[f'all/{layers}/clock'].mean():.2f}" for layers in depth.DEPTHS]
print("all signals, only the age changes, correlation at depth 0 to 4:", ", ".join(sharp))
ledger

# %% [markdown]
# What did not come out, and why, as far as we know:
#
# * *The correlation stays below .9, and the peak is a day or two late.* The videos here have a few watches a day, so the empirical curve is itself uncertain; and more layers sharpen the clock (from .48 with none to .86 with four, by the age alone).
# * *Without age the model is not flat.* Its histories tell the day (section 4).
# * *No more watch time live.* Clicks rise with the clock, but minutes hang on how long videos are (chapter 07).
# * *Depth lowers the MRR of the days after.* The clock is asked for a day at the very edge of what it has seen. A likely reason is that the linear model leans harder on the newest there, and that this is right more often than the smoother answer; we have not shown it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1 · Example age** (difficulty 1 of 3, 5 minutes). Given the times of training examples and the end of the training log (both in days), return the example age of each, in days. A time after the end counts as the end.
#
# <details><summary>Hint</summary>It is about the example, so the upload of the video does not come into it.</details>


# %% tags=["exercise"]
def example_ages(time, t_max):
    return ...  # your code


_ = check("04-example-age", example_ages)


# %% tags=["solution"]
def example_ages(time, t_max):
    return np.maximum(t_max - time, 0)


_ = check("04-example-age", example_ages)

# %% [markdown]
# **Exercise 2 · The best answer without a clock** (difficulty 2, 10 minutes). `watches` (days × videos) holds how often each video was watched on each day; every watch is a training example. A model that knows neither the day nor the viewer gives one probability to each video. Return those (one per video) that minimise the cross-entropy over all examples.
#
# <details><summary>Hint 1</summary>With one video watched n times out of N, which p minimises −n log p − (N − n) log(1 − p)?</details>
# <details><summary>Hint 2</summary>The days do not matter, only how often each video was watched in all.</details>


# %% tags=["exercise"]
def without_a_clock(watches):
    return ...  # your code


_ = check("04-no-clock", without_a_clock)


# %% tags=["solution"]
def without_a_clock(watches):
    return watches.sum(axis=0) / watches.sum()


_ = check("04-no-clock", without_a_clock)

# %% [markdown]
# **Exercise 3 · Who gains?** (difficulty 2, 10 minutes). For each event you have the rank with a signal (`ranks_with`), the rank without it (`ranks_without`) and the number of watches before (`watches`). Return the gain in mean reciprocal rank of the events with no watch before, minus that of all others.
#
# <details><summary>Hint 1</summary>The reciprocal comes before the mean.</details>
# <details><summary>Hint 2</summary>Two gains, one for each group; the answer is their difference.</details>


# %% tags=["exercise"]
def gain_of_the_new(ranks_with, ranks_without, watches):
    return ...  # your code


_ = check("04-new-users", gain_of_the_new)


# %% tags=["solution"]
def gain_of_the_new(ranks_with, ranks_without, watches):
    gain, new = 1 / ranks_with - 1 / ranks_without, watches == 0
    return gain[new].mean() - gain[~new].mean()


_ = check("04-new-users", gain_of_the_new)

# %% [markdown]
# ## Summary
#
# 1. Searches enter as an unordered bag of tokens.
# 2. Example age is a clock of the moment: learned in training, 0 at serving. Left at its mean, or read as the video's age, it does harm.
# 3. Demographics are priors: they help those who have no history yet, and hardly anybody else.
# 4. Hidden layers say what a sum of signals cannot, above all how fashions rise and fall. On the days after they pay in likelihood; in rank, only inside the window, and two at most.
# 5. Which yardstick, and which days, decides what depth is worth. State both.
#
# **What the paper says and we could not show here.** That rank on held-out watches rises with every layer: here two layers at most, and only inside the training window. A gain by searches, although here they run three days ahead of taste. Anything about a billion parameters and hundreds of billions of examples.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016.
