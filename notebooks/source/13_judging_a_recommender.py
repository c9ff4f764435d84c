# ---
# course:
#   number: "13"
#   title: Judging a recommender
#   question: Which number do you trust?
#   paper: P2 sections 3, 4.3 and 5
#   minutes: 110
#   lesson: judging
# ---

# %% [markdown]
# # 13 · Judging a recommender
#
# **Promise.** You will judge fourteen recommenders by a log and by people, estimate from one policy's log what another would have earned, say how many people a test needs, and put a price on a better loss, a varied page, a larger network and a fresher one.
#
# * **Papers.** P2, sections 3, 4.3 and 5. Others stand at the end.
# * **You should know.** Chapter 07 (the ranker), 08 (many objectives) and 10 (the shallow tower).
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 110 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import time

import numpy as np
import torch
from torch.nn import functional

from course.lessons import position_bias as pb

# %%
import pandas as pd
import seaborn as sns
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from course import answer, ledger, plots, simulate, tuning
from course.cast import cast
from course.features.taxonomy import IMPRESSION_CODES
from course.lessons.watch_time import logits_of, served
from course.plots.palette import OTHER_COLOURS
from course.tasks.places import Places, cells_of
from course.widgets import Choice, FloatSlider, predict, sliders

world = simulate("town", seed=7)
task = Places(world)  # the cards of the last eight days, and the pages of a live test
pages, players = task.live_pages, cast(task.logs)
task

# %% [markdown]
# ## 1. Fourteen policies, judged twice
#
# You have a new ranker. Is it better than the old one? There are two whom you can ask. The **log** answers at once: let the ranker score yesterday's cards, and see whether the clicked ones come out on top. **People** answer slowly, and some of them get the worse page while they do.
#
# The usual question to a log is the *AUC* (area under the curve): take a clicked card and one that was not clicked, from anywhere in the log. How often does the ranker put the clicked one higher? Half of the time if it guesses. P2 tracks the AUC for yes-or-no tasks and the squared error for numbers, and lets live experiments decide.
#
# How far do you trust the log?

# %%
guess = predict(
    "13-turned",
    "Fourteen policies, from a random one to a ranker of seven tasks. Take any two. How often does "
    "the AUC prefer the one that brings fewer clicks live?",
    ["hardly ever", "about once in ten", "about once in four", "about half of the time"],
)
guess

# %% [markdown]
# For the answer we count, over all pairs of policies, how often two measures disagree:


# %% tags=["export"]
def turned(offline, live):
    """Share of the pairs of policies (n,) that two measures put into opposite orders."""
    i, j = np.triu_indices(len(offline), 1)
    return float(np.mean((offline[i] - offline[j]) * (live[i] - live[j]) < 0))


# %% [markdown]
# The stored trial has put fourteen policies to both tests, in worlds that none of them was tuned on. Offline they score 5,000 fresh pages that the past ranking has served. Live they order the candidates of 4,000 pages, and since the world is ours, the clicks are exact expectations.

# %%
stored = ledger.results("judges")
names = ("random", "popularity", "click rate", "own topics", "length", "watch-time ranker",
         "seven tasks, minutes", "seven tasks, rated", "none", "input, missing", "shallow tower",
         "point-wise", "pair-wise", "list-wise")  # fmt: skip
called = {"none": "click ranker", "input, missing": "position as input"}
measures = ("auc", "auc at its place", "auc within pages", "error", "clicks", "watch_minutes")
dozen = pd.DataFrame(
    {m: {called.get(n, n): stored[f"{n}/{m}"].mean() for n in names} for m in measures}
)


# %%
def two_orders(offline, live):
    """Policies by an offline measure (left) and by people (right); what moves by two is coloured."""
    ends = pd.DataFrame({0: offline.rank(method="first"), 1: live.rank(method="first")})
    said = ", ".join(f"{n} {offline[n]:.3f} and {live[n]:.3f}" for n in ends.sort_values(1).index)
    fig, ax = plots.figure(width=8.6, height=5.2, alt=f"{offline.name} and {live.name}: {said}")
    for name, (left, right) in ends.iterrows():
        colour = "#b0b6bd" if abs(left - right) < 2 else "#d55e00" if left > right else "#0072b2"
        ax.plot([0, 1], [left, right], "-o", color=colour, linewidth=2.2, ms=5)
        ax.text(-0.04, left, f"{name}  {offline[name]:.3f}", ha="right", va="center")
        ax.text(1.04, right, f"{live[name]:.3f}  {name}", ha="left", va="center")
    for x, title in ((0, offline.name), (1, live.name)):
        ax.text(x, len(ends) + 1, title, ha="center", fontweight="bold")
    ax.set(xlim=(-1.1, 2.1), ylim=(0.3, len(ends) + 1.6))
    ax.axis("off")
    return fig


# %%
guess.beside(f"in percent of the pairs: {plots.in_words(100 * stored['auc, clicks/turned'])}")
two_orders(dozen["auc"].rename("AUC on the log"), dozen["clicks"].rename("clicks per page, live"))

# %% [markdown]
# *What to see:* the log knows the bad from the good. At the top, where one has to choose, it prefers the click ranker that ignores the position, and people click more, in the mean, on the pages of the tower. (The rankers are those of chapters 07, 08 and 10, and of section 4 below.)
#
# Close neighbours may change places: *shallow tower* and *point-wise* are nearly one model by two recipes.
#
# Our guess at the reason: this log was served by the past ranking, and its clicks depend on where a card stood. A ranker that has learned the old order, position and all, foretells the old log well. The tower has taken the position out of its scores, so it looks worse there.
#
# One could ask for less: not any two cards, but two cards of the *same page*, with the position given back to those models that know it (*AUC within pages*, section 4). And one can ask about minutes instead of clicks:

# %%
pairs = {"auc": ("clicks", "minutes"), "auc within pages": ("clicks", "minutes"),
         "error": ("clicks", "minutes")}  # fmt: skip
pd.DataFrame({
    f"live {live}": {offline: plots.in_words(100 * stored[f"{offline}, {live}/turned"]) for offline in pairs}
    for live in ("clicks", "minutes")
}).rename_axis("pairs turned round (%)")  # fmt: skip

# %% [markdown]
# A measure must fit the goal. The AUC is about clicks, so it turns more pairs round when live *minutes* count. The squared error of the minutes (after a rising curve has turned scores into minutes) is, in the mean, the other way round. And pairs of one page, with the position given back, agree with live clicks better than pairs of the whole log. That fits our guess, and proves nothing, since two things have changed.

# %% [markdown]
# ## 2. What would another policy have earned?
#
# A second way to ask a log needs neither AUC nor people. It needs a log in which **chance** had a part: the old policy *drew* what it showed, and wrote down how likely each draw was.
#
# To see it work we make the pages as small as possible, one card each, in the first place (`live_cell + 1`). The old policy draws one of thirty candidates, popular ones more often. The new one prefers what chapter 10's shallow tower likes. First we train the tower:

# %%
def trained(model, rate=0.01, passes=3):
    """A click model after three passes."""
    pb.train_clicks(model, task.cards, task.cell, task.clicked, rate=rate, passes=passes)
    return model


tower = trained(pb.ShallowTower(task.ranker()))


# %% tags=["export"]
class OneCard:
    """Pages of one card: chances of each card (pages, cards) by two policies, and click rates."""

    def __init__(self, old, new, rate):
        self.old, self.new, self.rate = old, new, rate
        self.value = float((new * rate).sum(axis=1).mean())

    def draw(self, logs, n, seed=0):
        """Logs of n pages each, served by the old policy: pages, cards, clicks (logs, n)."""
        random = np.random.default_rng(seed)
        page = random.integers(len(self.old), size=(logs, n))
        ladder = np.cumsum(self.old, axis=1)
        ladder = ladder / ladder[:, -1:] + np.arange(len(ladder))[:, None]
        card = np.searchsorted(ladder.ravel(), page + random.random(page.shape), side="right")
        card = np.minimum(card - page * ladder.shape[1], ladder.shape[1] - 1)
        return page, card, (random.random(page.shape) < self.rate[page, card]).astype(float)


# %%
shape = pages.shape  # (pages, candidates)
logit = pb.scores_of(tower, task.live_cards, task.live_cell + 1).astype(float).reshape(shape)
popular = np.log1p(pages.batch.number("video watches")).reshape(shape)
rate = task.wanted.reshape(shape) * task.theta[pages.situation.device, :1]
lab = OneCard(softmax(popular, axis=1), softmax(2 * logit, axis=1), rate)
page, card, clicked = lab.draw(1, 1_000)
print(f"one log of 1,000 pages, clicks per page: {clicked.mean():.3f}; truth of the new policy: {lab.value:.3f}")

# %% [markdown]
# The mean of the log is the worth of the *old* policy. How do we get that of the new one, which made no log?
#
# Let $\mu_0(i)$ be the probability that the old policy shows card $i$, $\mu_1(i)$ that of the new one, and $o$ the outcome, here 1 for a click. A card that the new policy would show three times as often as the old did is there too seldom by a factor of three. So let its outcome count three times:
#
# $$\omega=\frac{\mu_1(i)}{\mu_0(i)},\qquad E_{\mu_0}[\omega\,o]=\sum_i\mu_0(i)\,\frac{\mu_1(i)}{\mu_0(i)}\,E[o\mid i]=\sum_i\mu_1(i)\,E[o\mid i]=E_{\mu_1}[o].$$
#
# This is *inverse propensity scoring* (IPS). Chapter 10 did the same to positions. The catch is in the division. A card that the old policy hardly ever shows has a huge weight on the rare page where it was shown, and one lucky click moves the whole mean. So one often *clips* the weights: none may be larger than some number.
#
# > **Exercise 1 · Inverse propensity** (warm-up, 8 minutes). All arrays have the shape (..., $n$), a row for each log. `new` and `old` are the probabilities, by both policies, of the card that was shown. Return the mean outcome under the new policy, one number for each log, with no weight above `most`.
#
# <details><summary>Hint</summary>np.minimum cuts; the mean runs over the last axis only.</details>


# %% tags=["exercise"]
def inverse_propensity(outcome, new, old, most=np.inf):
    """Mean outcome under the new policy from logs (..., n) of the old; weights cut at `most`."""
    ...  # your code


# %% tags=["solution", "export"]
def inverse_propensity(outcome, new, old, most=np.inf):
    """Mean outcome under the new policy from logs (..., n) of the old; weights cut at `most`."""
    return (np.minimum(new / old, most) * outcome).mean(axis=-1)


# %%
inverse_propensity = answer("13-inverse-propensity", inverse_propensity)

# %% [markdown]
# The weights have the mean 1, but in a log of a thousand pages they may sum to 800 or 1,200. That is luck that we can see, so we can divide it out. The estimate is then called *self-normalised* (SNIPS):


# %% tags=["export"]
def self_normalised(outcome, new, old, most=np.inf):
    """The same, divided by the sum of the weights instead of n."""
    weight = np.minimum(new / old, most)
    return (weight * outcome).sum(axis=-1) / weight.sum(axis=-1)


# %% [markdown]
# The other way is to have a **model** that guesses each card's outcome, and to ask it what the new policy's cards would earn, whether the log shows them or not. That is the *direct method*. It has no weights, so it hardly varies. But it is as wrong as its model, and no log however long will tell.
#
# Can one have both? The log shows where the model errs: on each logged page we know what it guessed for the card and what happened. So take the direct answer, and correct it by the *weighted errors*.
#
# > **Exercise 2 · Doubly robust** (building, 15 minutes). Beside what you had before, `guess` is what the model says of the card that was shown, and `expected` the mean of the model over the new policy's cards on the same page. Return the direct method's answer plus the weighted mean error of the model.
#
# <details><summary>Hint 1</summary>If the model is always right, nothing must be added on average. If it always says 0, IPS must come out.</details>
# <details><summary>Hint 2</summary>The error of a page is the outcome minus the guess.</details>


# %% tags=["exercise"]
def doubly_robust(outcome, new, old, guess, expected, most=np.inf):
    """A model's answer, put right by its weighted errors on the log; all (..., n)."""
    ...  # your code


# %% tags=["solution", "export"]
def doubly_robust(outcome, new, old, guess, expected, most=np.inf):
    """A model's answer, put right by its weighted errors on the log; all (..., n)."""
    weight = np.minimum(new / old, most)
    return (expected + weight * (outcome - guess)).mean(axis=-1)


# %%
doubly_robust = answer("13-doubly-robust", doubly_robust)

# %% [markdown]
# *Doubly robust* means: it is right on average if the probabilities are right, whatever the model says, and also if the model is right, whatever the probabilities. Let us spoil one, the other, and both. The wrong probabilities claim that the old policy drew all candidates alike; the wrong model says 0.5 of every card. Two hundred logs of 10,000 pages each, bias in percent of the truth:

# %%
page, card, clicked = lab.draw(200, 10_000, seed=1)
chances = {"right chances": lab.old[page, card], "wrong chances": np.full(page.shape, 1 / shape[1])}
models = {"right model": rate, "wrong model": np.full(shape, 0.5)}
bias = {}
for how, old in chances.items():
    for which, said in models.items():
        expected = (lab.new * said).sum(axis=1)[page]
        found = doubly_robust(clicked, lab.new[page, card], old, said[page, card], expected)
        bias[which, how] = 100 * (found.mean() / lab.value - 1)
pd.Series(bias).unstack(sort=False).round(1)

# %% [markdown]
# The estimate is far off only where both are wrong; the rest is luck.
#
# Which model shall we take? The tower itself is at hand. But the new policy picks what the tower likes best, and among those are the cards where it errs upwards. Asked about its own choices, it may boast. So we set its level and slope right on an earlier log of the old policy, with a logistic regression on its logit:

# %%
page, card, clicked = lab.draw(1, 10_000, seed=9)
line = LogisticRegression(C=1e6).fit(logit[page, card].reshape(-1, 1), clicked[0])
guessed = line.predict_proba(logit.reshape(-1, 1))[:, 1].reshape(shape)
said = {"as it is": expit(logit), "set right": guessed}
boast = {who: 100 * ((lab.new * of).sum(axis=1).mean() / lab.value - 1) for who, of in said.items()}
pd.Series(boast, name="direct method, bias (%)").round(0).to_frame()

# %% [markdown]
# As it is, it boasts; set right, it says a little too little here.
#
# **One log is luck.** A single number from a single log says nothing about an estimator: it may hit by chance. So we draw two hundred logs, and look at where their estimates lie.


# %% tags=["export"]
def four_estimates(lab, guess, logs=200, n=1_000, most=np.inf, seed=0):
    """What four estimators say of the new policy (logs,), by a model's guess (pages, cards)."""
    page, card, clicked = lab.draw(logs, n, seed)
    new, old = lab.new[page, card], lab.old[page, card]
    expected = (lab.new * guess).sum(axis=1)[page]
    return {
        "IPS": inverse_propensity(clicked, new, old, most),
        "SNIPS": self_normalised(clicked, new, old, most),
        "direct": expected.mean(axis=-1),
        "doubly robust": doubly_robust(clicked, new, old, guess[page, card], expected, most),
    }


# %%
def estimates(support=1.0, most=1_000, n=1_000):
    """Estimates of 200 logs whose old policy shows a share of the candidates, the most watched."""
    shown = popular >= np.quantile(popular, 1 - support, axis=1, keepdims=True)
    old = np.where(shown, lab.old, 0)
    cut = OneCard(old / old.sum(axis=1, keepdims=True), lab.new, rate)
    table = pd.DataFrame(four_estimates(cut, guessed, 200, n, most))
    off = table.div(lab.value).sub(1).mul(100)
    said = ", ".join(f"{name} bias {of.mean():.0f} %, spread {of.std():.0f} %" for name, of in off.items())
    fig, ax = plots.figure(height=2.7, alt=f"share shown {support:g}, cut at {most:g}, {n} pages: {said}")
    sns.boxplot(table, orient="h", ax=ax, color="#9ecae1", width=0.6, fliersize=2)
    ax.axvline(lab.value, color="black", linewidth=2)
    ax.set(xlim=(0, 2.2 * lab.value), xlabel="clicks per page that 200 logs foretell; line: the truth",
           title=f"share shown {support:g}, weights cut at {most:g}, {n:,} pages")  # fmt: skip
    return fig


sliders(estimates, support=FloatSlider(0.1, 1.0, 0.1, 1.0, label="share of the candidates that the old policy shows"),
        most=Choice((1, 2, 5, 20, 1_000), 1_000, label="largest weight"),
        n=Choice((100, 1_000, 10_000), 1_000, label="pages in a log"))  # fmt: skip

# %% [markdown]
# Everything shown and nothing cut; weights cut at 2; and an old policy that never shows the less popular half:

# %%
for dials in ((1.0, 1_000, 1_000), (1.0, 2, 1_000), (0.5, 1_000, 10_000)):
    plots.show(estimates(*dials))

# %% [markdown]
# *What to see:* **top**, IPS, SNIPS and the doubly robust estimate lie around the truth, but each single log may be off by a third of it or more. The direct method hardly varies, and is wrong.
#
# **Middle**, cut weights make narrower boxes in the wrong place. What was cut away are the very cards that the new policy prefers. Of the three with weights the doubly robust estimate suffers least, since its model fills the gap.
#
# **Bottom**, ten times the pages, and the boxes are narrow. But cards that the old policy never shows are in no log. IPS counts them as nothing, SNIPS takes them to be like the others (nearly true in this town), and the doubly robust estimate believes its model. No estimator can know better. One warning is free, though: the mean weight should be 1, and here it is the share of the new policy's choices that the old one could have made.
#
# How large are the errors (root of the mean square, so bias and spread together) over worlds and sizes of the log?

# %%
logs = ledger.results("off_policy_logs")
who = ("IPS", "SNIPS", "direct", "doubly robust")
rows = [
    {"who": name, "pages in a log": n, "panel": panel, "value": value}
    for kind, panel in (("full", "everything has a chance"), ("no support", "half is never shown"))
    for name in who
    for n in (300, 1_000, 3_000, 10_000, 30_000)
    for value in logs[f"{kind}, {n}, {name}/rmse"]
]


def curves(rows, x, label, panel=None):
    """Means over worlds against x, both on logarithmic axes, a panel for each value of panel."""
    names = [*([panel] if panel else []), "who", x]
    means = pd.DataFrame(rows).groupby(names, sort=False)["value"].mean().reset_index()
    parts = dict(list(means.groupby(panel))) if panel else {"": means}
    fig, axes = plots.figure(len(parts), height=3.4, sharey=True, squeeze=False)
    for ax, (title, part) in zip(axes[0], parts.items()):
        sns.lineplot(part, x=x, y="value", hue="who", style="who", markers=True, dashes=False,
                     palette=OTHER_COLOURS[: part["who"].nunique()], ax=ax)  # fmt: skip
        ax.set(xscale="log", yscale="log", title=title, ylabel=label)
        ax.legend(title="").set_visible(ax is axes[0][-1])
    sns.move_legend(axes[0][-1], "upper left", bbox_to_anchor=(1.0, 1.0), title="")
    said = (f"{', '.join(map(str, key))}: {value:.3g}" for *key, value in means.itertuples(index=False))
    fig.alt = f"{label}: " + "; ".join(said)
    return fig


curves(rows, "pages in a log", "error, % of the truth", "panel")

# %% [markdown]
# *What to see:* left, ten times the pages bring about a third of the error, as for any mean, except for the direct method, which gains nothing. On very small logs it is the best nevertheless, since a number that is a little wrong beats a wild one.
# Right, more pages help less and less, and IPS hardly at all.
#
# The doubly robust estimate errs less than IPS, but a little more than SNIPS (row R-8). Our guess: with rare clicks most of the noise is the click itself, and no model foretells that. It pays where the model explains much of the outcome.
#
# ## 3. How many people does a test need?
#
# So in the end one asks people. An *A/B test* shows one policy to one half and another to the other half, and compares the means. But people differ far more than policies do. Here is what one evening brings from each account of the live pages, by three policies: the candidates' past click rates, a click ranker without any treatment, and the tower.

# %%
plain = trained(pb.Clicks(task.ranker()))
user = pages.situation.user


def people(scores):
    """Clicks of each account on its pages (accounts,), with the luck of a day."""
    clicks = pages.per_page(scores, observed=True)["clicks"]
    return np.bincount(user, clicks)[np.unique(user)]


rates = people(pages.batch.number("video click rate"))
a, b = people(task.serve(plain)), people(task.serve(tower))
columns = {"click rates": rates, "click ranker": a, "shallow tower": b}
pd.DataFrame(columns).describe().loc[["count", "mean", "std", "max"]].round(2)

# %% [markdown]
# The spread is as large as the mean or larger, and policies differ by a part of the mean. With $n$ people in each group, the difference of two means has the variance $2\,\mathrm{sd}^2/n$. We call it real if it is 1.96 standard errors from zero, which luck alone reaches once in twenty tests. And we want to see a real difference in four of five tests. Then the truth must lie another .84 standard errors further out:
#
# $$\text{difference}=(1.96+0.84)\sqrt{\frac{2\,\mathrm{sd}^2}{n}} .$$
#
# > **Exercise 3 · How many people** (warm-up, 6 minutes). Solve this for $n$, the people in *each* group.


# %% tags=["exercise"]
def people_needed(sd, difference):
    """People in each of two groups, so that four of five tests see a difference of the means."""
    ...  # your code


# %% tags=["solution", "export"]
def people_needed(sd, difference):
    """People in each of two groups, so that four of five tests see a difference of the means."""
    return 2 * ((1.96 + 0.84) * sd / difference) ** 2


# %%
people_needed = answer("13-people", people_needed)

# %% [markdown]
# Formulas like this one rest on assumptions, so we try it. We draw people, give one half this policy and the other half that one, and count how many of a thousand tests see a difference. In an *A/A test* both halves get the same policy, so each difference is a false alarm.


# %% tags=["export"]
def share_found(a, b, n, tests=1_000, seed=0):
    """Share of A/B tests that see a difference, n people in each group drawn from a and b (m,)."""
    random, found = np.random.default_rng(seed), 0
    for _ in range(tests):
        x, y = random.choice(a, n), random.choice(b, n)
        error = np.sqrt((x.var() + y.var()) / n)
        found += abs(x.mean() - y.mean()) > 1.96 * error
    return found / tests


# %%
need = round(people_needed(np.sqrt((rates.var() + b.var()) / 2), b.mean() - rates.mean()))
found = {
    "A/A, 500 people in each group": share_found(a, a, 500),
    f"tower against click rates, {need:,} in each (the formula)": share_found(rates, b, need),
    f"the same, {need // 4:,} in each": share_found(rates, b, need // 4),
}
pd.Series(found, name="tests that see a difference").map("{:.0%}".format).to_frame()

# %% [markdown]
# The formula keeps its word: about one false alarm in twenty, four of five found. With a quarter of the people the same difference is missed more often than seen. So "no significant difference" may only say that few were asked.
#
# A trap waits in the A/A test. People are drawn, and each brings several pages. Who counts the *pages* as if each were a person of its own takes one heavy clicker for ten independent witnesses, and the interval comes out too small. In the stored trial such A/A tests cry wolf this often (percent):

# %%
wolf = {"people counted": "A/A/found", "pages counted": "A/A by page/found"}
pd.Series({who: plots.in_words(100 * stored[key]) for who, key in wolf.items()}, name="false alarms").to_frame()

# %% [markdown]
# That difference was a large one. Teams live on improvements of one percent. How many people would it take to see one percent more clicks?

# %%
one = 0.01 * a.mean()
ways = {
    "two groups": 2 * people_needed(a.std(), one),
    "the same people twice, with the same luck": people_needed((b - a).std() / np.sqrt(2), one),
}
print(f"the town has {len(task.logs.users):,} accounts")
pd.Series(ways, name="people in all").map("{:,.0f}".format).to_frame()

# %% [markdown]
# Far more than there are. Only a simulator can show the same person both pages on the same evening with the same luck. Then the differences between people cancel, and so does the luck of every card that both pages show. Even so, this town is too small. That is why the course's live numbers are exact expectations: no luck of clicks is left in them, only that of the training and of the world.
#
# ## 4. Three losses for one ranker
#
# All rankers so far were trained **point-wise**: each card by itself, is it clicked or not? But a page is an order. Why not train for that?
#
# *Pair-wise*: a clicked card should stand above one that was not clicked on the same page. With the scores $s_i$ and $s_j$ of the two, the loss is that of a coin, $\log(1+e^{-(s_i-s_j)})$, as if "which of the two?" were a question with the logit $s_i-s_j$.
#
# *List-wise*: of all cards of the page, which was clicked? The loss is chapter 03's softmax, with a page in place of the catalogue.
#
# All three get the same network and the same pages, and the shallow tower's number for the place is part of each score, or position bias would come back by the side door.


# %% tags=["export"]
def point_wise(scores, clicked):
    """Loss of each page (B,): the cross-entropy of its cards; scores, clicks (B, k)."""
    return pb.entropy(scores, clicked).sum(dim=1)


def list_wise(scores, clicked):
    """Loss of each page (B,): -log P(card | page) of the clicked ones, P a softmax of the page."""
    return -(clicked * functional.log_softmax(scores, dim=1)).sum(dim=1)


# %% [markdown]
# > **Exercise 4 · Pair-wise** (building, 15 minutes). `scores` and `clicked` (1.0 or 0.0) are tables (B, k) with a row for each page. Return the loss of each page, the sum over all its pairs of a clicked card and one that was not clicked.
#
# <details><summary>Hint 1</summary>scores[:, :, None] - scores[:, None, :] has all differences of a page, (B, k, k).</details>
# <details><summary>Hint 2</summary>A table of the same shape says which pairs count: clicked here, not clicked there. functional.softplus(x) is log(1 + e^x).</details>


# %% tags=["exercise"]
def pair_wise(scores, clicked):
    """Loss of each page (B,): a logistic loss on each pair of a clicked and another card."""
    ...  # your code


# %% tags=["solution", "export"]
def pair_wise(scores, clicked):
    """Loss of each page (B,): a logistic loss on each pair of a clicked and another card."""
    ahead = scores[:, :, None] - scores[:, None, :]
    counts = clicked[:, :, None] * (1 - clicked[:, None, :])
    return (counts * functional.softplus(-ahead)).sum(dim=(1, 2))


# %%
pair_wise = answer("13-pair-wise", pair_wise)


# %% tags=["export"]
class ByPage(pb.ShallowTower):
    """Ranker and shallow tower that learn by a loss of whole pages, of scores and clicks (B, k)."""

    def __init__(self, main, page_loss):
        super().__init__(main, drop=0.0)
        self.page_loss = page_loss

    def loss(self, batch, cell, clicked):
        """Loss of each page (B,)."""
        scores = self(batch, cell)
        return self.page_loss(scores.view(batch.pages, -1), clicked.view(batch.pages, -1))


# %% [markdown]
# One more measure is due. Pair-wise training never compares cards of two pages. So we also count pairs *within* a page only:


# %% tags=["export"]
def page_auc(scores, clicked):
    """Share of pairs of a page, one card clicked and one not, in the right order; (pages, k)."""
    counts = clicked[:, :, None] & ~clicked[:, None, :]
    right = np.heaviside(scores[:, :, None] - scores[:, None, :], 0.5)
    return float((right * counts).sum() / counts.sum())


# %%
fresh = task.fresh.cards
fresh_batch, fresh_cell = task.scales(task.test), cells_of(fresh)
losses = {"point-wise": point_wise, "pair-wise": pair_wise, "list-wise": list_wise}
models, rows = {}, {}
for name, loss in losses.items():
    models[name] = trained(ByPage(task.ranker(), loss))
    scores = pb.scores_of(models[name], fresh_batch, fresh_cell)
    rows[name] = {
        "mean predicted click": expit(scores.astype(float)).mean(),
        "AUC": task.offline(models[name])["auc at its place"],
        "AUC within pages": page_auc(scores.reshape(-1, 10), fresh["clicked"].to_numpy().reshape(-1, 10)),
        "live clicks": task.live_clicks(task.serve(models[name]))["clicks"],
    }
print(f"click rate of the fresh pages: {fresh['clicked'].mean():.3f}")
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# Pair-wise and list-wise scores have no *level*: add 5 to all scores of a page, and both losses stay what they were. So their sigmoid is no click rate any more, and the AUC, which also compares cards of different pages, suffers. Within pages the three are alike. (One training each. Chapter 08's product of predictions needs real probabilities, which is a reason for point-wise losses that has nothing to do with serving.)
#
# The stored trial has two trainings of each in each world. Each loss was tuned alike, over rates and passes:

# %%
recipes = tuning.load("tuning_losses").recipes().round({"seconds": 0})
recipes.loc[list(losses)]

# %%
rows = []
for name in ("pair-wise", "list-wise"):
    own, point = (stored.filter(like=f"{who}/").rename(columns=lambda c: c.split("/")[1]) for who in (name, "point-wise"))
    values = {"live clicks (%)": 100 * (own["clicks"] / point["clicks"] - 1),
              "AUC, all cards": own["auc at its place"] - point["auc at its place"],
              "AUC, within pages": own["auc within pages"] - point["auc within pages"]}  # fmt: skip
    rows += [{"who": name, "panel": panel, "value": v} for panel, of in values.items() for v in of]
plots.worlds(pd.DataFrame(rows), panel="panel", label="against point-wise", zero=True)

# %% [markdown]
# *What to see:* live, none of the three is surely ahead, and a difference of a few percent could have been missed.
# The AUC of all cards puts point-wise first. Who chooses the loss by that number chooses for a reason that no page ever sees, since a page never holds cards of another page.
#
# ## 5. Choosing the page as a whole
#
# A list-wise *loss* is paid once, in training. Serving is as before: score each card by itself, and sort. One can also choose the **page** as a whole, since ten good cards of one topic may be a worse page than nine of them and something else. P2 expects more diverse pages of such methods, and does without them, because they score a list several times.
#
# A simple way: fill the places one by one, and let a card lose some score for each card of its topic that stands above. With $n$ of them,
#
# $$s_i-\eta\,n .$$
#
# > **Exercise 5 · Place by place** (building, 20 minutes). `scores` and `topic` (small whole numbers) are tables (pages, cards). Return the columns (pages, $k$) of the chosen cards, first place first. No card may come twice.
#
# <details><summary>Hint 1</summary>Keep a table (pages, topics) of how often each topic has been chosen, and fill one place of all pages at a time.</details>
# <details><summary>Hint 2</summary>above[rows[:, None], topic] looks up the counter of each card's topic. What is chosen gets the score minus infinity.</details>


# %% tags=["exercise"]
def choose_page(scores, topic, k=10, strength=0.5):
    """Columns (pages, k), chosen place by place by score - strength * same topic above."""
    ...  # your code


# %% tags=["solution", "export"]
def choose_page(scores, topic, k=10, strength=0.5):
    """Columns (pages, k), chosen place by place by score - strength * same topic above."""
    rows, left = np.arange(len(scores)), scores.astype(float)
    above, chosen = np.zeros((len(scores), topic.max() + 1)), []
    for _ in range(k):
        best = (left - strength * above[rows[:, None], topic]).argmax(axis=1)
        chosen.append(best)
        above[rows, topic[rows, best]] += 1
        left[rows, best] = -np.inf
    return np.stack(chosen, axis=1)


# %%
choose_page = answer("13-choose-page", choose_page)


# %% tags=["export"]
def as_scores(chosen, cards):
    """Scores (pages, cards) that put the chosen columns (pages, k) first, in their order."""
    scores = np.full((len(chosen), cards), -1.0)
    np.put_along_axis(scores, chosen, np.arange(chosen.shape[1])[None, ::-1] * 1.0, axis=1)
    return scores


# %%
topic = task.logs.videos["topic"].cat.codes.to_numpy(np.int64)[pages.asked.candidates]
scores = task.serve(tower).astype(float).reshape(shape)
rows = {}
for strength in (0.0, 0.25, 0.5, 1.0, 2.0):
    chosen = choose_page(scores, topic, 10, strength)
    shown = np.sort(np.take_along_axis(topic, chosen, axis=1), axis=1)
    rows[strength] = {"topics": 1 + (shown[:, 1:] != shown[:, :-1]).sum(axis=1).mean(),
                      **pages.outcomes(as_scores(chosen, shape[1]))}  # fmt: skip
varied = pd.DataFrame(rows).T.rename_axis("strength")
varied[["topics", "clicks", "watch_minutes", "satisfied"]].round(3)

# %% [markdown]
# *What to see:* each step of variety brings topics and costs clicks, minutes and satisfied watches. The first step is cheap.
#
# People in this world do not tire of a topic within a page, so here variety has a price and no reward that one could measure. In life it may have one.
#
# And what does it cost the machine? We count the milliseconds that a core is busy:


# %% tags=["export"]
def core_ms(work, repeats=5):
    """Milliseconds that a piece of work keeps a core busy: the least of some repeats."""
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return 1_000 * min(taken)


# %%
cost = ledger.results("serving_cost").mean()
counts = (30, 120, 480, 960, 1_920, 3_840, 7_680)
parts = ("features", "network", "place by place", "sorting")
rows = [{"candidates": c, "who": part, "value": cost[f"{c} cards/{part}"]} for c in counts for part in parts]
curves(rows, "candidates", "milliseconds per page")

# %% [markdown]
# *What to see:* features and network each have a fixed price for a page, however few cards are on it: many small steps, one after the other. With thousands of candidates the cost goes up nearly in a straight line, as P2 says (row P2-C4; these axes bend it).
#
# Sorting is next to nothing. Choosing place by place costs many times as much as sorting, and yet little beside the scoring. Dearer ways score a card *by its neighbours*, or whole orders of a page. We have built none.
#
# ## 6. Waiting is a cost
#
# P2 says that the cost of serving limits the model. Let us put a price on it. How long does the network take for a card? We do not assume it, we measure it, here, on one core, five hundred pages at a time:

# %%
widths = {"16": (16,), "64-32": (64, 32), "256-128": (256, 128), "512-256": (512, 256)}
some, rows = task.live_cards[torch.arange(500)], {}
for name, layers in widths.items():
    network = task.ranker(layers)
    tables = [network.first.linear, *network.rest]
    rows[name] = {"multiplications": sum(layer.weight.numel() for layer in tables),
                  "microseconds": 1_000 * core_ms(lambda n=network: logits_of(n, some)) / len(some)}  # fmt: skip
card_cost = pd.DataFrame(rows).T
card_cost.round(2)

# %% [markdown]
# A multiplication takes far less than a nanosecond, and the time grows with their number once there are many.
#
# What is waiting worth? *That* we must assume: people in this world wait forever, and the papers give no number. Let a fixed share of the people leave in each 100 milliseconds. It is a dial, and the only thing here that is not measured.


# %% tags=["export"]
def after_waiting(value, ms, leave):
    """What is left of a page's value after so many ms, if a share leaves in each 100 ms."""
    return value * (1 - leave) ** (ms / 100)


# %%
by_size = ledger.results("sizes")


def waiting(leave=1.0):
    """What a page is worth with each size, by the number of candidates, if a share leaves."""
    cards = 10.0 ** np.linspace(1, 6.5, 60)
    base = by_size["64-32/clicks"].mean()
    fig, ax = plots.figure(height=3.4)
    said = []
    for name, style in (("16", ":"), ("64-32", "-"), ("256-128", "--")):
        ms = cards * card_cost.loc[name, "microseconds"] / 1_000
        left = 100 * after_waiting(by_size[f"{name}/clicks"].mean(), ms, leave / 100) / base
        ax.plot(cards, left, style, label=name)
        said.append(f"{name} from {left[0]:.1f} to {left[-1]:.1f}")
    ax.set(xscale="log", ylim=(80, 112), xlabel="candidates that are ranked", ylabel="clicks, % of 64-32",
           title=f"{leave:g} % leave in each 100 ms")  # fmt: skip
    ax.legend(title="", loc="lower left")
    fig.alt = f"{leave:g} % leave in each 100 ms: " + ", ".join(said)
    return fig


sliders(waiting, leave=FloatSlider(0.0, 20.0, 0.5, 1.0, label="percent who leave in each 100 ms"))

# %%
for leave in (0.0, 1.0, 10.0):
    plots.show(waiting(leave))

# %% [markdown]
# *What to see:* whether the largest network, on top here, brings more clicks is undecided (row P2-C14), and its AUC is no better. If people leave, the curves bend, its own first. But they bend far to the right of where a ranker works: P1 hands it hundreds of candidates. (The features, which take about as long as a small network, are not counted.)
#
# So from which size on does waiting matter? Turn the question round. How many multiplications may a card cost before waiting takes one percent of all clicks?

# %%
small, large = card_cost.loc["64-32"], card_cost.loc["512-256"]
each = (large - small)["microseconds"] / (large - small)["multiplications"]
limits = {
    f"{leave} % leave in each 100 ms": {
        f"{cards:,} candidates": 100_000 * np.log(0.99) / np.log(1 - leave / 100) / cards / each
        for cards in (100, 1_000, 10_000)
    }
    for leave in (1, 5)
}
print(f"our ranker: {small['multiplications']:,.0f} multiplications a card")
pd.DataFrame(limits).map(lambda n: f"{n / 1e6:,.2g} million")

# %% [markdown]
# With a hundred candidates a card may cost hundreds of times what ours does. At the size of this course waiting is no reason for anything. It becomes one for networks that are so much larger, for thousands of candidates, or for a busy machine. On ours nobody stood in line.
#
# ## 7. People change
#
# All of this chapter's judgements were about one evening. P2 trains its models *sequentially*: day after day, each day from where the last one ended, since people and catalogue change. This is the one loop of the chapter that is new:


# %% tags=["export"]
def train_in_order(model, batch, cell, clicked, day, **recipe):
    """Train day after day, each day from where the last one ended; day (pages,)."""
    for today in np.unique(day):
        on = torch.from_numpy(np.flatnonzero(day == today))
        rows = batch.rows(on)
        pb.train_clicks(model, batch[on], cell[rows], clicked[rows], **recipe)


# %%
day = np.floor(task.rows["time"].to_numpy()[task.cards.start[:-1]])
daily = ByPage(task.ranker(), point_wise)
train_in_order(daily, task.cards, task.cell, task.clicked, day, rate=0.01, passes=3)
ways = {"shuffled": models["point-wise"], "day after day": daily}
pd.Series({name: task.live_clicks(task.serve(m))["clicks"] for name, m in ways.items()}, name="live clicks").round(3).to_frame()

# %% [markdown]
# Here the shuffled cards do better (one training each), so the order itself promises no gain. What going on may buy is freshness.
#
# For the contest we leave world 7 for smaller towns of forty days, and train in three ways. **Once**: on the first twelve days after the warm-up, and never again. **Day after day**: on from there to the end of the log. And **late**: once, but on the *last* twelve days, so that it has as many days as the first. The dial `drift` is the chance per day that a person swaps an interest. It is .05 in all other chapters; here also 0, the control, and .2. Each way has its own tuned recipe, at .05 (`on` is day after day).

# %%
tuning.load("tuning_sequential").recipes().round({"seconds": 0})

# %%
change = ledger.results("people_change")
rows = [
    {"who": way, "drift": f"drift {drift:g}", "value": value}
    for drift in (0.0, 0.05, 0.2)
    for way, key in (("late over once", "late"), ("day after day over once", "on"))
    for value in 100 * (change[f"drift {drift:g}/{key}/clicks"] / change[f"drift {drift:g}/once/clicks"] - 1)
]
plots.worlds(pd.DataFrame(rows), panel="drift", label="live clicks, % more", zero=True, sharex=True)

# %% [markdown]
# *What to see:* with much drift, *day after day* brings a few percent more clicks. But without any drift it is ahead as far in the mean, so the drift need not be the reason; the worlds cannot tell (row P2-C12). Elsewhere nothing is sure, and differences of ten percent may go unseen. (The rate of *day after day* is at the edge of its grid, so a better recipe may be left.)
#
# One reason to expect little here: a ranker does not keep people's taste in its weights. It *reads* it from their histories, which are up to date whenever a page is served. Chapter 02's vectors of accounts do keep it. How well do they know what people like today? We correlate their scores with the true interests of the busier half of the people (relative to each video's mean), for vectors of the first twelve days and of the last twelve:

# %%
pd.DataFrame({
    way: {f"drift {d:g}": plots.in_words(change[f"drift {d:g}/vectors, {key}/taste"]) for d in (0.0, 0.05, 0.2)}
    for way, key in (("first twelve days", "once"), ("last twelve days", "late"))
})  # fmt: skip

# %% [markdown]
# Without drift the old days are not seen to be worse than the new ones. With much drift they are worth about half. So when you ask whether a model must be trained every day, ask first *where it keeps what changes*: in its weights, or in its inputs.
#
# ## 8. The pages of three accounts
#
# By the tower, sorted, and then chosen place by place with a strength of 1:


# %%
def evening(strength):
    """What the three accounts see if the tower's pages are chosen place by place."""

    def score(batch):
        one_by_one = served(tower.main, task.scales)(batch).reshape(batch.pages, -1)
        of = batch.codes[:, IMPRESSION_CODES.index("topic")].numpy().reshape(one_by_one.shape)
        chosen = choose_page(one_by_one, of, 10, strength)
        return as_scores(chosen, one_by_one.shape[1]).ravel()

    return players.pages(world, lambda users: task.pages(score, users), k=4)


evening(0.0)

# %%
evening(1.0)

# %% [markdown]
# *What to see:* of the four cards drawn here, variety changes those of the heavy viewer.
#
# ## What the ledger says

# %%
ledger.show("13")

# %% [markdown]
# ## Challenge
#
# > **Half the people** (open, an hour). Much of the difference between people is known before a test begins, since who clicked a lot last week will click a lot tonight. Take each account's clicks in the last week of the log (`task.logs.impressions`) as a second number, fit tonight's clicks on it by a straight line, and compare what is *left over* in the two groups. By how much does that lower `people_needed`? Then find a number that does better than the last week's clicks. The score says which share of the people is saved, and checks that you have not cheated: an A/A test should cry wolf once in twenty times, and the difference between two real policies (1) should still be seen. As a start, each account is compared with the mean of its country.

# %%
def score(left_over, tests=500):
    """How good a test is made of what a function leaves over of tonight's clicks (accounts,)."""
    random, same, alarms, seen = np.random.default_rng(0), left_over(rates), [], []
    for _ in range(tests):
        half = random.random(len(rates)) < 0.5  # they get the tower; in the A/A test nobody does
        x, y, left = same[half], same[~half], left_over(np.where(half, b, rates))
        error = np.sqrt(x.var() / len(x) + y.var() / len(y))
        alarms.append(abs(x.mean() - y.mean()) > 1.96 * error)
        seen.append(left[half].mean() - left[~half].mean() - (x.mean() - y.mean()))
    return {"people saved": 1 - same.var() / rates.var(), "false alarms": np.mean(alarms),
            "difference seen": np.mean(seen) / (b - rates).mean()}  # fmt: skip


country = task.logs.users["country"].to_numpy()[np.unique(user)]
start = score(lambda clicks: clicks - pd.Series(clicks).groupby(country).transform("mean").to_numpy())
pd.Series(start, name="mean of the country").round(3).to_frame()

# %% [markdown]
# ## Summary
#
# 1. A measure on the log tells bad policies from good ones. At the top, where one has to choose, its order was not that of people, and it must fit the goal in the first place.
# 2. A log whose choices were drawn with known probabilities can judge another policy. Inverse propensities are right on average and noisy; the doubly robust estimate is right if either the probabilities or the model are; nothing helps where the old policy never went.
# 3. The people that a test needs grow with the square as the difference shrinks. Count people, not pages.
# 4. Of the point-wise, pair-wise and list-wise loss none was surely ahead live, and only the first learns probabilities.
# 5. A varied page cost minutes and satisfied watches, and little time. Waiting costs nothing that one could see at our size.
# 6. Where people change, a model that keeps taste in its weights goes stale. Whether a ranker that reads it from histories does is undecided.
#
# **Limits.** Few worlds, so differences of a few percent are undecided. One-card pages, whose estimates are far less noisy than those of whole pages would be. Clicks as the goal nearly everywhere. That people leave is assumed, and nobody here tires of a page.
#
# **References.** P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Dudík, Langford, Li, *Doubly Robust Policy Evaluation and Learning*, ICML 2011. Swaminathan, Joachims, *The Self-Normalized Estimator for Counterfactual Learning*, NeurIPS 2015. Burges et al., *Learning to Rank using Gradient Descent*, ICML 2005. Cao et al., *Learning to Rank: From Pairwise Approach to Listwise Approach*, ICML 2007. Deng et al., *Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment Data*, WSDM 2013.
