# ---
# course:
#   number: "10"
#   title: Position bias
#   question: How much of a click is the position, and what to do about it?
#   paper: P2 section 4.3, Figs. 6 and 7, Table 2
#   minutes: 90
# ---

# %% [markdown]
# # 10 · Position bias
#
# **Promise.** After this chapter you can build P2's shallow tower, judge what it has learned, compare it live with five rivals, and say when it must fail.
#
# * **Papers.** Zhao et al. 2019 (P2), section 4.3, Figures 6 and 7, Table 2. Guo et al. 2019 (PAL), Wang et al. 2018 (regression-EM).
# * **You should know.** Chapter 01, sections 7 and 8; chapter 06; logistic regression.
# * **Your time** about 90 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML

from course import check, claims, plots, simulate
from course.experiments.position_bias import BiasTask, fit_treatment, leaning, live, served
from course.models.position_bias import ShallowTower, against_truth
from course.widgets import FloatSlider, Toggle, predict, sliders

world = simulate("small", seed=7)
task = BiasTask(world)  # the cards of the log with their positions, and fresh pages to be judged on
print(f"{len(task.rows):,} cards, {task.rows['clicked'].mean():.1%} clicked")

# %% [markdown]
# ## 1. The question
#
# Chapter 01 took the click-through rate of a position apart: what stands higher is more wanted (*relevance*), and it is looked at more (*bias*). To a ranker that trains on them, a click at the top and a click at the bottom look the same.

# %%
guess = predict(
    "10-treatments",
    "Which treatment of position brings the most clicks when it ranks live pages?",
    ["position as one more input", "adversarial training", "shallow tower"],
)
guess

# %% [markdown]
# ## 2. The naive way
#
# We train a click model and ignore the position: features (chapter 06), two hidden layers, one logit. How closely does its order of a page follow popularity, the number of watches so far? The past ranking liked that (*incumbency*), wanted or not.

# %%
none = fit_treatment(task, "none", seed=7)
wanted = task.next_day.truth["p_click_if_seen"].to_numpy()
print(f"rank correlation with popularity: the model {leaning(task, served(none, task.test)):.2f}")
print(f"                                  the truth {leaning(task, wanted):.2f}")

# %% [markdown]
# On these pages what people want leans *against* popularity (what got there without being popular had to fit); the model does not. What was popular stood high and was looked at: the model hands the advantage of the place to whatever used to stand there.

# %% [markdown]
# ## 3. The shallow tower
#
# P2 lets a second, *shallow* tower explain what the place explains. It sees position $k$ and device $d$ and nothing of the video; its output is one number, added to the logit of the main tower:
#
# $$P(\text{click}) = \sigma\big(\underbrace{z(x)}_{\text{main tower}} + \underbrace{b_{dk}}_{\text{shallow tower}}\big).$$
#
# Both are trained together on all impressions. (P2 adds such a logit to its engagement tasks only.) Three details belong to it; section 6 asks what two of them are worth:
#
# 1. **A cell for each pair** of position and device: people look further down on a desktop than on a TV.
# 2. **Missing at serving.** A page that is being ranked has no places yet. So each device has one more cell, for "missing".
# 3. **Feature drop-out.** In training the position is set to missing for 10% of the cards. That trains the cell, and the model cannot lean on the place alone.


# %%
class Shallow(torch.nn.Module):
    """Logit of position and device. Position 0 stands for missing."""

    def __init__(self, positions, devices, drop_out=0.1):
        super().__init__()
        self.positions, self.drop_out = positions, drop_out
        self.table = torch.nn.Embedding(devices * (positions + 1), 1)
        torch.nn.init.zeros_(self.table.weight)

    def forward(self, position, device):
        if position is None:  # at serving
            position = torch.zeros_like(device)
        elif self.training:
            position = position * (torch.rand(len(position)) >= self.drop_out)
        return self.table(device * (self.positions + 1) + position)[:, 0]


# %%
mine, course_tower = Shallow(10, 3), ShallowTower(10, 3)
torch.nn.init.normal_(mine.table.weight)
course_tower.load_state_dict(mine.state_dict())
k, d = torch.randint(1, 11, (1000,)), torch.randint(0, 3, (1000,))
answers = []
for tower in (mine, course_tower):
    torch.manual_seed(0)  # the same cards are hidden
    answers.append(tower.train()(k, d))
    answers.append(tower.eval()(None, d))
assert torch.allclose(answers[0], answers[2]) and torch.allclose(answers[1], answers[3])
print("agrees with course.models.position_bias.ShallowTower")

# %% [markdown]
# From here on we use the course's. One trap: the table starts at 0 and has to get to −2 or −3, which the network's small steps might not reach. It gets a learning rate of its own, five times as large.

# %%
shallow = fit_treatment(task, "shallow tower", seed=7)
for name, model in {"no treatment": none, "shallow tower": shallow}.items():
    print(f"{name:14} leans on popularity: {leaning(task, served(model, task.test)):.2f}")

# %% [markdown]
# ## 4. What has it learned?
#
# Only differences between positions mean anything: add 1 to every $b$, take 1 off $z$, and nothing has changed. So we compare curves that are 0 at position 1: by the *slope* of the least-squares line of learned on true (above 1 = too steep) and by the *largest error*. The truth here is a *product* (looked at, times wanted), so we take what moving a card does to the log-odds of its click.

# %%
rows, device = task.rows, task.device.numpy()
rate = rows["clicked"].groupby([device, rows["position"].to_numpy()]).mean().unstack()
curves = {"click rate": np.log(rate.to_numpy()), "shallow tower": shallow.curve()}
plots.learned_bias(curves, task.log_odds)

# %%
found = {name: against_truth(curve, task.log_odds) for name, curve in curves.items()}
columns = {}
for name, curve in curves.items():
    columns[name, "slope"] = found[name]["slope"]
    columns[name, "largest error"] = found[name]["max_error"]
    pairs = zip(curve, task.log_odds, strict=True)
    columns[name, "correlation"] = [np.corrcoef(*pair)[0, 1] for pair in pairs]
pd.DataFrame(columns, index=["phone", "desktop", "TV"]).round(2)

# %% [markdown]
# *What to see:* the shallow tower lies close to the true curve (low on the TV there are few clicks, and it jumps). The raw click rate is too steep everywhere: relevance is in it. (Over five worlds the tower's curve is a little too steep as well, 7% on the phone, 12% on the desktop.) The **slope** tells the two apart, and so does the **largest error** where clicks are many; the *correlation* praises both, as any two falling curves correlate.
#
# Beside the paper:

# %%
plots.beside_the_paper(rate.loc[0].to_numpy(), shallow.curve()[0])

# %% [markdown]
# *What to see:* the click rate falls about as far as P2's (left, phone); the learned bias falls further here (right), where looking is most of the fall. In the paper the learned bias is 1 logit of 2.4. Whether that is right we cannot know.

# %% [markdown]
# ## 5. What is it worth live?

# %%
result = live(task, {"none": none, "shallow tower": shallow})
table = result.table[result.table["metric"] == "clicks"].set_index("policy")
table[["observed", "expected", "expected_lift", "lift_low", "lift_high"]].round(2)

# %% [markdown]
# Clicks a page. `expected_lift` (per cent) is exact; the last two columns are what a company would see (by bad luck, its interval misses the exact lift here).
#
# Now the rivals, trained alike:
#
# * **Input.** Position and device go into the main tower as ordinary features. Served as *missing* (with the same drop-out), or as if every card stood *first*.
# * **Adversarial.** A second head guesses the position from the last hidden layer; its gradient is turned round before it reaches the tower, which unlearns what gives the position away. (Its weight, 0.01, was chosen on other worlds; ten times that does harm.)
# * **PAL.** A product of two probabilities, $\sigma(s_{dk})\,\sigma(z(x))$; the second factor is served.
# * **Inverse propensity.** A click counts $1/\theta_{dk}$, with $\theta_{dk}$ = P(looked at), so that $E[\text{click}/\theta]$ is what would be clicked if everything were looked at. The $\theta$ come from 5,000 random pages, which cost clicks.
# * **Regression-EM.** The product again, in turns: guess how likely each unclicked card was looked at, and wanted (exercise 3); then fit $\theta$ to the first guess and $z$ to the second.
#
# The last three train without drop-out.
#
# Each in five worlds where look and wish multiply (*a product*), and in five where the position shifts the logit (*a sum*):

# %%
product, additive = claims.results("position_bias"), claims.results("position_bias_additive")
plots.position_treatments({"A product": product, "A sum": additive})

# %%
gain = {n: 100 * (product[f"live/{n}/clicks"] / product["live/none/clicks"] - 1).mean()
        for n in ("input, missing", "input, first", "adversarial", "shallow tower")}  # fmt: skip
guess.beside(", ".join(f"{name} {value:+.1f}%" for name, value in gain.items()))

# %% [markdown]
# *What to see:* **left**, the shallow tower brings about 8% more clicks, the adversarial loss nothing, as in Table 2 (the sizes cannot be compared). But here the input served as *missing* is worth about 5%; the tower is 2.1 ± 3.4 points ahead. Served as *first*, the input is ahead, by 1.3 ± 4.1 points: no winner. (P2 does not say how its input was served.) PAL and regression-EM are level. Inverse propensity pays with noise: a single click counts up to 50 times.
#
# **Middle**, where the sum is the truth, whatever helped is worth less. PAL's curve is now about a fifth too flat on phone and desktop and the shallow tower's is not (section 9), but in clicks the two are level; the form hardly matters. Inverse propensity, whose weights assume a product, loses on average.
#
# **Offline** (product) the score that is *served* says the opposite: the untreated model has the highest AUC, presumably because it guesses where the past ranking put the cards. Judged *at its place* it is far behind.

# %%
shown = (*gain, "none", "PAL")
auc = {"as served": [product[f"{n}/auc"].mean() for n in shown],
       "at its place": [product[f"{n}/auc at its place"].mean() for n in shown]}  # fmt: skip
pd.DataFrame(auc, index=shown).sort_values("as served", ascending=False).round(3)

# %% [markdown]
# ## 6. Two details, checked
#
# **Drop-out and the missing value.** Does the mean served probability equal the click rate? (To the order of a page "missing" is a constant. A product of several predictions, as in chapter 08, does care.) **The device cross.** What if all devices share one curve? Means of five worlds:

# %%
names = ["shallow tower", "shallow, no drop-out", "without the device cross"]
measures = {"slope": "slope", "largest error": "max_error", "served / clicked": "calibration"}
columns = {(label, device): [product[f"{name}/{key}/{device}"].mean() for name in names]
           for label, key in measures.items() for device in ("phone", "desktop", "tv")}  # fmt: skip
pd.DataFrame(columns, index=names).round(2)

# %% [markdown]
# *What to see:* without **drop-out** the served probabilities are off by up to 40%: nothing ever trained the cell for "missing", so its level is an accident. The slope is steeper, too; probably the table takes what the main tower has not learned yet. That costs no clicks here: live, 0%, 5% and 10% are level, and 20% is about 2 points behind, for each hidden position is also a naive lesson for the main tower.
#
# Without the **cross** all devices get about the phone's curve: too steep for the desktop, too flat for the TV. Live it costs the few TV viewers about 7% of their clicks, all viewers together less than the noise.

# %% [markdown]
# ## 7. When it must fail
#
# A small log of made-up cards, whose past ranking mixes relevance (weight 1), incumbency and chance. Each move makes a log and trains two models. With the switch on, the past ranking knows a part of the wish that the model cannot see.

# %%
sliders(
    plots.position_bench,
    strength=FloatSlider(0.0, 2.0, 0.5, 1.0, label="strength of the bias"),
    incumbency=FloatSlider(0.0, 3.0, 0.5, 1.0, label="incumbency in the past ranking"),
    noise=FloatSlider(0.0, 3.0, 0.5, 0.5, label="chance in the past ranking"),
    knows_more=Toggle(False, label="the past ranking knows more"),
)

# %% [markdown]
# The same function at three settings:

# %%
plots.position_benches(
    {
        "as above": {},
        "by relevance alone": {"incumbency": 0.0, "noise": 0.0},
        "it knows more": {"incumbency": 0.5, "noise": 0.0, "knows_more": True},
    }
)

# %% [markdown]
# *What to see:* **top**, incumbency and chance move the cards, the learned curve comes out about right, and the treatment gets more than half of what an oracle could. **Middle**, sorted by relevance alone: the curve is still about right, but there is nothing to win, since the past order was right. **Bottom**, the place says something about the wish that nothing else says, and the shallow tower takes it for bias: a slope of 2 on the phone. Cards from further down get too much credit.
#
# The last with its remedies, over five such logs:

# %%
limits = claims.results("position_limits")
rankings = ("cards move", "sorted by relevance", "ranking knows more", "knows more, chance")
shown = ("shallow tower", "shallow, no drop-out", "regression-EM", "inverse propensity")
plots.logged_orders(limits, rankings, shown)

# %% [markdown]
# *What to see:* where the ranking knows more, regression-EM and the tower without drop-out lose about 6%; with drop-out, 2%: a tenth of the main tower's lessons are then naive ones. (Bands: 95% intervals over five logs.) Two remedies. **Chance** in the past ranking (weight 2) brings the slope from 2.3 to 1.5 and the loss to nothing, but that ranking itself then gets 19% fewer clicks. And a **P(seen) from elsewhere**, such as random pages (inverse propensity has the true one here), still gains a little; elsewhere its noise may cost more.

# %% [markdown]
# ## 8. The switch: the same in the world
#
# Is it what moves cards for other reasons, incumbency and chance, that makes the treatment worth its while? Then taking relevance out of the past ranking must raise its worth, and taking both others out must lower it. Five worlds each:

# %%
orders = claims.results("position_orders").join(product.add_prefix("as it is/"))
shown = ("input, missing", "regression-EM", "shallow, no drop-out", "shallow tower")
plots.logged_orders(orders, ("incumbency", "as it is", "relevance"), shown)

# %% [markdown]
# *What to see:* **left**, it does both. With incumbency and chance alone the gain doubles, to about 15%; with relevance alone it may be nothing. **Right**, the more relevance decides, the steeper the curve, most without drop-out. It does not break as in section 7: in this world the model sees nearly all that the past ranking uses.

# %% [markdown]
# ## 9. Truth check over five worlds
#
# Five worlds that chose no setting; the ranges were fixed before. *Span* is the fall of a curve from position 1 to 9, *miscalibration* is |log(served / clicked)|; the *table from random pages* is the shallow tower with the true P(seen) put in.

# %%
with pd.option_context("display.max_colwidth", None):
    ledger = HTML(claims.table("10").drop(columns="detectable").to_html(index=False))
ledger

# %% [markdown]
# What did not come out: that the input brings less than the adversarial loss; that the tower is clearly ahead of the input; that drop-out brings clicks (our expectation, not P2's). The live worth of the right form is within the noise.
#
# ## Exercises
#
# **Exercise 1 · Add the shallow logit** (difficulty 1 of 3, 5 minutes). You get main logits `main` (n,), a `table` (devices, positions + 1) of shallow logits whose column 0 is for *missing* and column k for position k, and `position` (n,) with 0 = missing and `device` (n,). Return the click probabilities.
#
# <details><summary>Hint</summary>table[device, position] takes one number for each row.</details>


# %% tags=["exercise"]
def click_probability(main, table, position, device):
    return ...  # your code


_ = check("10-shallow-logit", click_probability)


# %% tags=["solution"]
def click_probability(main, table, position, device):
    logit = main + table[device, position]
    return 1 / (1 + np.exp(-logit))


_ = check("10-shallow-logit", click_probability)

# %% [markdown]
# **Exercise 2 · Had everything been seen** (difficulty 2, 8 minutes). Given `clicked` (n,) True or False, `position` (n,) from 1 and the propensities `theta` (k,) of positions 1 to k, estimate without bias the click rate that these cards would have if every card were looked at.
#
# <details><summary>Hint 1</summary>What must a click count at a place that half of the people look at?</details>
# <details><summary>Hint 2</summary>E[clicked / theta] is P(click | seen), card by card. Then take the mean.</details>


# %% tags=["exercise"]
def rate_if_seen(clicked, position, theta):
    return ...  # your code


_ = check("10-inverse-propensity", rate_if_seen)


# %% tags=["solution"]
def rate_if_seen(clicked, position, theta):
    seen = theta[position - 1]
    return np.mean(clicked / seen)


_ = check("10-inverse-propensity", rate_if_seen)

# %% [markdown]
# **Exercise 3 · What does no click say?** (difficulty 2, 10 minutes). A card is looked at with probability `theta` and, independently, wanted with probability `gamma`; it is clicked if both. It was *not* clicked. Return a tuple of two arrays: the probability that it was looked at, and the probability that it was wanted.
#
# <details><summary>Hint 1</summary>There are three ways to no click: looked at and not wanted, wanted and not looked at, neither.</details>
# <details><summary>Hint 2</summary>Bayes: the probability of a way, divided by that of all ways to no click.</details>


# %% tags=["exercise"]
def after_no_click(theta, gamma):
    return ...  # your code


_ = check("10-e-step", after_no_click)


# %% tags=["solution"]
def after_no_click(theta, gamma):
    no_click = 1 - theta * gamma
    looked_at = theta * (1 - gamma) / no_click
    wanted_after_all = (1 - theta) * gamma / no_click
    return looked_at, wanted_after_all


_ = check("10-e-step", after_no_click)

# %% [markdown]
# **Exercise 4 · Judge a learned bias** (difficulty 2, 8 minutes). Given a `learned` and a `true` curve (k,), in logits, return two numbers: the slope of the least-squares line of learned on true, and the largest absolute error when both curves are 0 at position 1.
#
# <details><summary>Hint 1</summary>np.polyfit(true, learned, 1) gives slope and intercept.</details>
# <details><summary>Hint 2</summary>Subtract from each curve its first value before you look for the largest difference.</details>


# %% tags=["exercise"]
def judge(learned, true):
    return ...  # your code


_ = check("10-judge", judge)


# %% tags=["solution"]
def judge(learned, true):
    slope = np.polyfit(true, learned, 1)[0]
    error = (learned - learned[0]) - (true - true[0])
    return slope, np.abs(error).max()


_ = check("10-judge", judge)

# %% [markdown]
# ## Summary
#
# 1. A ranker that ignores the position hands its advantage to whatever used to stand there.
# 2. The shallow tower explains the place: a number for each device and position, added to the logit, missing at serving, hidden now and then in training.
# 3. Judge a learned bias by slope and largest error, not by correlation.
# 4. What it is worth depends on the past ranking: much where that followed incumbency, little where it was right.
# 5. Where the past ranking knows more of the wish than the model and leaves nothing to chance, a bias learned from the log swallows relevance. More chance takes the loss away, at a price; so does a P(seen) from elsewhere.
#
# **What we could not show.** That the position as an input brings nothing, or surely less than the tower (Table 2); that most of the fall is relevance (Figures 6 and 7, read together).
#
# **References.** P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Guo et al., *PAL: A Position-bias Aware Learning Framework for CTR Prediction in Live Recommender Systems*, RecSys 2019. Wang et al., *Position Bias Estimation for Unbiased Learning to Rank in Personal Search*, WSDM 2018.
