# ---
# course:
#   number: "10"
#   title: Position bias
#   question: How much of a click is the position, and what to do about it?
#   paper: P2 section 4.3, Figs. 6 and 7, Table 2
#   minutes: 110
#   lesson: position_bias
# ---

# %% [markdown]
# # 10 · Position bias
#
# **Promise.** You will write six treatments of position bias, lay what they learn over the truth, put them in front of people, and say under which two conditions a bias can be told from relevance at all.
#
# * **Papers.** Zhao et al. 2019 (P2), section 4.3, Figures 6 and 7, Table 2. Guo et al. 2019 (PAL), Wang et al. 2018 (regression-EM), Hager et al. 2025.
# * **You should know.** Chapter 01 on clicks and positions, and chapter 07's ranker.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 110 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg

# %%
import pandas as pd
from scipy.special import expit, logit

from course import answer, ledger, plots, simulate, tuning
from course.cast import cast
from course.lessons.watch_time import served
from course.plots.paper import P2_FIG6, P2_FIG7, P2_TABLE2
from course.simulator.names import DEVICES as NAMES
from course.tasks.places import Bottle, ByFeatures, ById, Places, beside_truth, cells_of
from course.widgets import FloatSlider, predict, sliders

world = simulate("town", seed=7)
task = Places(world)  # the cards of the last eight days, and where each of them stood
players = cast(task.logs)
task

# %% [markdown]
# ## 1. Two reasons for a click
#
# The card at the top of a page is clicked more often than the card at the bottom. That has two reasons. The past ranking put there what it took for the best (**relevance**), and people look there first (**position bias**). A log shows only their product. Here the truth is open, so we can draw all three, each relative to the first position:

# %%
place = task.fresh.cards["position"].to_numpy()
columns = {
    "p_click": "click rate",
    "p_click_if_seen": "relevance: clicked, if looked at",
    "p_seen": "bias: looked at",
}
split = task.fresh.truth.groupby(place)[list(columns)].mean().rename(columns=columns)
long = (split / split.loc[1]).rename_axis("position").reset_index().melt("position", var_name="who")
fig = plots.lines(long, "position", label="relative to position 1")
fig.axes[0].set(yscale="log")
fig

# %% [markdown]
# *What to see:* all three fall, and the click rate falls by the other two together. In this world most of its fall is bias.
#
# A ranker that learns from these clicks cannot see the difference. It only finds which videos are clicked, and those used to stand at the top.

# %%
guess = predict(
    "10-treatments",
    "P2 compared three treatments in front of people. Which one brings the most clicks in this world?",
    ["the position as one more input", "an adversarial loss", "a shallow tower"],
)
guess

# %% [markdown]
# ## 2. The naive way
#
# First the ranker that ignores the question, chapter 07's, trained on clicks. Around it we put a frame for all treatments, which differ in what they say of a click *at its place* and in their loss.
#
# A **place** is a position on a device, since people look at a phone in another way than at a TV. Each device has eleven, of which the first, position 0, means *missing*: nobody knows where the card stood.


# %% tags=["export"]
POSITIONS, DEVICES = 10, 3
PLACES = DEVICES * (POSITIONS + 1)


def cells(position, device):
    """Places (n,) in a flat table that has a row for each device; position 0 is *missing*."""
    return device * (POSITIONS + 1) + position


def missing(cell):
    """The places (n,) on the same devices with the position left out."""
    return cell - cell % (POSITIONS + 1)


# %% tags=["export"]
class Clicks(nn.Module):
    """No treatment: a ranker explains the clicks, wherever the cards stood."""

    def __init__(self, main):
        super().__init__()
        self.main = main

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        return self.main(batch)

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return entropy(self(batch, cell), clicked)


def entropy(z, label):
    """Cross-entropy of each card (n,); labels may be any numbers from 0 to 1."""
    return functional.binary_cross_entropy_with_logits(z, label, reduction="none")


# %% [markdown]
# The loop is chapter 07's, with two additions. A table of places gets five times the rate of the network, because it has some two logits to go and would otherwise arrive too late. And each card may have a weight, which section 8 needs.


# %% tags=["export"]
def train_clicks(model, batch, cell, clicked, weight=None, rate=0.01, passes=4, decay=1e-4,
                 pages=200, seed=0, **options):  # fmt: skip
    """Fit a click model to cards (n,) of a scaled batch, pages at a time; the loss of each step."""

    def page_loss(chosen):
        rows = batch.rows(chosen)
        loss = model.loss(batch[chosen], cell[rows], clicked[rows])
        return loss.mean() if weight is None else (weight[rows] * loss).mean()

    groups = {kind: {"params": [], "lr": rate} for kind in ("ids", "place", "rest")}
    groups["ids"]["weight_decay"], groups["place"]["lr"] = decay, 5 * rate
    for name, values in model.named_parameters():
        kind = "ids" if ".inputs." in name else name if name == "place" else "rest"
        groups[kind]["params"].append(values)
    groups = [group for group in groups.values() if group["params"]]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"passes": passes, "batch": pages, "seed": seed, **options}
        return cg.fit(page_loss, groups, batch.pages, **options)


def scores_of(model, batch, cell):
    """Logits (n,) of any number of scaled cards, served at these places, as an array."""
    with torch.no_grad():
        parts = [model(batch[some], cell[batch.rows(some)])
                 for some in torch.arange(batch.pages).split(5_000)]  # fmt: skip
    return torch.cat(parts).numpy()


# %% [markdown]
# For the stored contest of section 7 everybody is tuned alike, the control included, by live clicks in three worlds that no contest uses. Some recipes train three times as long as this page has time for, so here everybody makes four passes at one rate.

# %%
def trained(model):
    """A click model after four passes."""
    train_clicks(model, task.cards, task.cell, task.clicked, rate=0.01, passes=4)
    return model


models = {"none": trained(Clicks(task.ranker()))}

# %% [markdown]
# What does it think of cards that used to stand low? We take fresh cards of the past ranking and divide the mean probability that the ranker serves by the true probability that the card is *wanted*, once it is looked at. For an honest order this ratio is the same wherever a card happened to stand.

# %%
fresh, fresh_batch = task.fresh.truth["p_click_if_seen"].to_numpy(), task.scales(task.test)
fresh_cell = cells_of(task.fresh.cards)


def credit(names):
    """Served over wanted, by the position where the past ranking puts the card, 1 at the first."""
    rows = []
    for name in names:
        said = expit(scores_of(models[name], fresh_batch, missing(fresh_cell)).astype(float))
        ratio = pd.Series(said).groupby(place).mean() / pd.Series(fresh).groupby(place).mean()
        rows += [{"who": name, "position": k, "value": v / ratio[1]} for k, v in ratio.items()]
    return plots.lines(pd.DataFrame(rows), "position", label="served / wanted, 1 at position 1")


credit(["none"])

# %% [markdown]
# *What to see:* a card at the bottom gets a part of the credit that an equally wanted card gets at the top. So the ranker hands the old order on.
#
# ## 3. The shallow tower
#
# P2's idea is to give the clicks a second explanation. Beside the ranker stands a very small model that sees nothing but the place. It says one number, $b_{\delta k}$ for position $k$ on device $\delta$, and the two are *added* before the sigmoid:
#
# $$P(\text{click})=\sigma\big(z(\phi)+b_{\delta k}\big).$$
#
# What the place explains, the ranker need not explain any more. When the page is served, nobody knows yet where a card will stand: the position is *missing*, every card gets the same number, and the order is that of $z(\phi)$.

# %%
boxes = {
    "features": (2.4, 0.6, "features of the card (chapter 06)"),
    "place": (6.6, 0.6, "position and device"),
    "main": (2.4, 1.7, "ranker: ReLU layers, one logit z"),
    "shallow": (6.6, 1.7, "shallow tower: one logit b"),
    "sum": (4.5, 2.8, "z + b"),
    "click": (4.5, 3.7, "sigmoid: P(click)"),
}
arrows = [
    ("features", "main"),
    ("place", "shallow"),
    ("main", "sum"),
    ("shallow", "sum"),
    ("sum", "click"),
]
plots.diagram(boxes, arrows, size=(8.8, 4.3), fills={"shallow": "#fde7d3", "sum": "#fde7d3"})

# %% [markdown]
# One detail. If the position is never missing in training, the number for *missing* is never learned. So P2 leaves the position out for one card in ten while it trains, drawn anew in each step:


# %% tags=["export"]
def dropped(cell, share):
    """Places (n,), a share of them with the position left out, drawn anew at each call."""
    return torch.where(torch.rand(len(cell)) < share, missing(cell), cell)


# %% [markdown]
# > **Exercise 1 · The shallow tower** (warm-up, 8 minutes). Write `forward`. `self.main(batch)` gives the ranker's logits ($n$,), `self.place` is a flat table with a number for each place, and `cell` ($n$,) says which place is whose. Return the logits of a click at its place.
#
# <details><summary>Hint</summary>A table that is indexed with n numbers gives n numbers. The sigmoid is in the loss.</details>


# %% tags=["exercise"]
class ShallowTower(Clicks):
    """P2's treatment: a logit for each place is added to the ranker's (section 4.3, Fig. 3)."""

    def __init__(self, main, drop=0.1, cross=True):
        super().__init__(main)
        self.drop, self.cross = drop, cross
        self.place = nn.Parameter(torch.zeros(PLACES))

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        cell = cell if self.cross else cell % (POSITIONS + 1)
        ...  # your code

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,), with some positions left out."""
        return super().loss(batch, dropped(cell, self.drop), clicked)

    def curve(self):
        """Learned bias (devices, positions) in logits, 0 at the first position."""
        return relative(self.place if self.cross else self.place[: POSITIONS + 1].repeat(DEVICES))


# %% tags=["solution", "export"]
class ShallowTower(Clicks):
    """P2's treatment: a logit for each place is added to the ranker's (section 4.3, Fig. 3)."""

    def __init__(self, main, drop=0.1, cross=True):
        super().__init__(main)
        self.drop, self.cross = drop, cross
        self.place = nn.Parameter(torch.zeros(PLACES))

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        cell = cell if self.cross else cell % (POSITIONS + 1)
        return self.main(batch) + self.place[cell]

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,), with some positions left out."""
        return super().loss(batch, dropped(cell, self.drop), clicked)

    def curve(self):
        """Learned bias (devices, positions) in logits, 0 at the first position."""
        return relative(self.place if self.cross else self.place[: POSITIONS + 1].repeat(DEVICES))


# %% tags=["export"]
def relative(table):
    """A flat table of places as an array (devices, positions), 0 at the first position."""
    table = table.detach().numpy().reshape(DEVICES, -1)[:, 1:]
    return table - table[:, :1]


# %%
ShallowTower = answer("10-shallow-logit", ShallowTower)

# %% [markdown]
# (With `cross=False` all devices share one curve, for section 4. `relative` makes each curve 0 at the first position: only *differences* between places mean anything, since a constant may move over to the ranker.)

# %%
models["shallow tower"] = trained(ShallowTower(task.ranker()))
credit(["none", "shallow tower"])

# %% [markdown]
# *What to see:* the shallow tower is far more even-handed, though not quite.
#
# ## 4. The learned curve over the true one
#
# Did the second model learn the bias, or something else that falls with the position? Any two falling curves look alike, and correlate even where one is twice as steep. So we lay the curve over the truth.
#
# **But which truth?** In this world a card is clicked if it is looked at *and* wanted, so probabilities multiply, $P(\text{click})=\theta_{\delta k}\,p$, while the tower adds logits. For rare clicks that is nearly the same. For the cards at the top, many of which are clicked, it is not. The fair yardstick is the curve that fits best beside a ranker that knows everything: at each place, what must be added to the true logits of $p$ so that the mean click probability comes out right (`task.true_curve()`).
#
# And how near can one come? With $n$ clicks at a place, the logarithm of its click rate is known to about $1/\sqrt n$. The grey band is twice that.

# %%
hit = task.clicked.numpy() > 0
clicks = np.bincount(task.cell[hit], minlength=PLACES).reshape(DEVICES, -1)[:, 1:]
noise = 2 * np.sqrt(1 / clicks + 1 / clicks[:, :1])
noise[:, 0] = 0


def over_truth(curves, true, words):
    """Learned curves over the true one with its band, a panel for each device."""
    alt = "; ".join(f"{name} from 0 to {[round(float(v), 2) for v in c[:, -1]]} at the last position "
                    f"of {', '.join(NAMES)}" for name, c in {"true": true, **curves}.items())  # fmt: skip
    fig, axes = plots.figure(3, height=3.6, sharey=True, alt=f"{words}: {alt}")
    at = np.arange(1, POSITIONS + 1)
    for d, ax in enumerate(axes):
        ax.fill_between(at, true[d] - noise[d], true[d] + noise[d], color="grey", alpha=0.25)
        ax.plot(at, true[d], color=plots.colour("truth"), linewidth=3, alpha=0.5, label="true")
        for name, curve in curves.items():
            ax.plot(at, curve[d], label=name, **{**plots.look(name), "ms": 4})
        ax.set(title=NAMES[d], xlabel="position", ylim=(-5.5, 0.5))
    axes[0].set(ylabel=words)
    axes[0].legend(fontsize=9)
    return fig


rate = logit(task.rows.groupby(["device", "position"], observed=True)["clicked"].mean().unstack())
rate = rate.to_numpy() - rate.to_numpy()[:, :1]
curves = {"click rate": rate, "shallow tower": models["shallow tower"].curve()}
over_truth(curves, task.true_curve(), "bias (logit)")

# %%
found = {name: beside_truth(curve, task.true_curve()) for name, curve in curves.items()}
pd.DataFrame({(name, what): values for name, both in found.items()
              for what, values in zip(("slope", "largest distance"), both)}, NAMES).round(2)  # fmt: skip

# %% [markdown]
# *What to see:* the raw click rate falls too far on every device, for relevance is in it. The tower's curve has the right shape and is a little too flat, most of all on the desktop. Where the band is wide, as at the bottom of the TV, no log of this size could say more; where the curve leaves a narrow band, the tower is wrong.
#
# **Beside the paper.** P2 prints its click rates and its learned curve, and no truth, because a company has none:

# %%
shown = {
    "click rate": (split["click rate"].to_numpy(), np.array(P2_FIG6)),
    "learned bias": (np.exp(models["shallow tower"].curve()[0]), np.exp(P2_FIG7)),
}
rows = [{"who": who, "panel": panel, "position": k + 1, "value": np.log(values[k] / values[0])}
        for panel, both in shown.items()
        for who, values in zip(("this world", "P2, digitised"), both) for k in range(9)]  # fmt: skip
fig = plots.lines(pd.DataFrame(rows), "position", panel="panel", label="logarithm, 0 at position 1")
fig

# %% [markdown]
# *What to see:* the click rates fall alike, and P2's learned bias falls much less than ours. Either looking matters less on its pages, or its curve is too flat. Without the truth there is no telling.
#
# **Two details of P2.** It leaves out one position in ten, and it crosses the position with the device. What do they buy? The stored trial trains variants by the tower's own recipe: 0 to 20 % left out, and one curve for all devices (*no cross*). Left, the clicks, in per cent more than P2's tower. Middle, how far the mean of what is *served* is from the click rate (as a logarithm; 0 is right). Right, the slope of the learned curve over the true one.

# %%
stored = ledger.results("position_bias")
variants = {"shallow, no drop-out": "0 %", "drop-out 5 %": "5 %", "shallow tower": "10 % (P2)",
            "drop-out 20 %": "20 %", "one curve for all": "no cross"}  # fmt: skip
tower = stored["live/shallow tower/clicks"]
measures = {
    "clicks, %": lambda n: 100 * (stored[f"live/{n}/clicks"] / tower - 1),
    "served level": lambda n: stored[f"{n}/off by"],
    "slope, phone": lambda n: stored[f"{n}/slope, phone"],
}
rows = [{"who": who, "panel": panel, "value": value} for panel, of in measures.items()
        for name, who in variants.items() for value in of(name)]  # fmt: skip
plots.worlds(pd.DataFrame(rows), panel="panel", label=" ")

# %% [markdown]
# *What to see:* drop-out does what P2 wants of it. Without it nothing ever trains the number for *missing*, and the served level is off by about a fifth. To the order of a page that number is a constant, and what drop-out does to the clicks is undecided. Each position that is left out is also a lesson in the naive way, and the more of them, the flatter the curve.
#
# With one curve for all, the curve of the TV is far off. Whether its viewers lose clicks by that, four worlds do not decide (row P2-C9 of the ledger).
#
# ## 5. Two rivals inside the ranker
#
# Table 2 of P2 compares the tower with two other treatments, both of which work on the ranker itself.
#
# **The position as an input** is the common habit: the place goes into the network like any other feature. When the page is served, some value must stand there. It can be *missing*, with the same drop-out in training, or one pretends that every card stands *first*; P2 does not say which it was. An input is a vector that is added before the first ReLU, so the treatment is one line:


# %% tags=["export"]
class PositionInput(Clicks):
    """The place as one more input of the ranker: a vector for each joins its first layer."""

    def __init__(self, main, drop=0.1):
        super().__init__(main)
        self.drop = drop
        self.place = nn.Parameter(torch.zeros(PLACES, main.first.linear.out_features))

    def forward(self, batch, cell):
        """Logits (n,) of a click on the cards of a scaled batch at these places."""
        x = self.main.first(batch) + self.place[cell]
        for layer in self.main.rest:
            x = layer(x.relu())
        return x[:, 0]

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,), with some positions left out."""
        return super().loss(batch, dropped(cell, self.drop), clicked)


# %% [markdown]
# It can say all that the tower can, and also that the place matters more for one card than for another. Then, unlike a sum, it may order the cards differently by the place that one pretends.
#
# **The adversary.** Could the ranker be made blind for the place? Let a second head, the *reader*, guess the position from the ranker's last hidden layer, `h` in the code. The reader learns to guess well, and the layer below learns to make it guess badly, because on its way down the gradient of the guess is *turned round*. What gives the position away should so be unlearned.
#
# > **Exercise 2 · Turn the gradient round** (building, 15 minutes). Return a tensor that has the value of `h`, and through which the gradient comes back multiplied with `-strength`. (What comes back is then the opposite of what would help the reader.)
#
# <details><summary>Hint 1</summary><code>h.detach()</code> has the value of h and lets no gradient through.</details>
# <details><summary>Hint 2</summary>Which multiple of h has the right gradient? Add a multiple of <code>h.detach()</code> that puts the value right again. A <code>torch.autograd.Function</code> with a backward of its own does it, too.</details>


# %% tags=["exercise"]
def turned_back(h, strength):
    """The same h (n, width), whose gradient comes back with the factor -strength."""
    ...  # your code


# %% tags=["solution", "export"]
def turned_back(h, strength):
    """The same h (n, width), whose gradient comes back with the factor -strength."""
    return (1 + strength) * h.detach() - strength * h


# %%
turned_back = answer("10-turned-back", turned_back)


# %% tags=["export"]
class Adversarial(Clicks):
    """A reader guesses the position from the last hidden layer, which learns to hide it."""

    def __init__(self, main, strength=0.01):
        super().__init__(main)
        self.strength = strength
        self.reader = nn.Linear(main.rest[-1].in_features, POSITIONS)
        nn.init.zeros_(self.reader.weight)

    def hidden(self, batch):
        """The last hidden layer (n, width)."""
        x = self.main.first(batch)
        for layer in self.main.rest[:-1]:
            x = layer(x.relu())
        return x.relu()

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,): of the click, and of the reader's guess."""
        h = self.hidden(batch)
        guess = self.reader(turned_back(h, self.strength))
        read = functional.cross_entropy(guess, cell % (POSITIONS + 1) - 1, reduction="none")
        return entropy(self.main.rest[-1](h)[:, 0], clicked) + read


# %%
models["input, missing"] = trained(PositionInput(task.ranker()))

# %%
models["adversarial"] = trained(Adversarial(task.ranker()))
credit(["none", "input, missing", "adversarial", "shallow tower"])

# %% [markdown]
# *What to see:* the input, served as missing, goes a part of the way that the tower goes. The adversary changes little.
#
# Why not? What gives a position away is, before anything else, *relevance*, since good cards stand high. A layer that hides the position hides how good the card is. That is our guess; the tuning chose a small strength.
#
# ## 6. Three treatments with a product
#
# In this world looking and wanting multiply. Three treatments start from there, and differ in how they come by $\theta_{\delta k}$.
#
# **PAL** learns both factors at once, each with a sigmoid of its own, and serves the second:
#
# $$P(\text{click})=\sigma(b_{\delta k})\,\sigma(z(\phi)).$$
#
# > **Exercise 3 · The product** (building, 12 minutes). `z` and `b` are logits ($n$,), `clicked` is 1.0 or 0.0. Return the cross-entropy of each card, $-\log P$ for a click and $-\log(1-P)$ for none. Stay in logarithms, because a product of two small numbers may round to nothing.
#
# <details><summary>Hint 1</summary>The logarithm of a product is a sum, and functional.logsigmoid gives the logarithm of a sigmoid.</details>
# <details><summary>Hint 2</summary>log(1 - e^x) is torch.log1p(-x.exp()).</details>


# %% tags=["exercise"]
def product_loss(z, b, clicked):
    """Cross-entropy (n,) of P(click) = sigmoid(z) sigmoid(b), in logarithms."""
    ...  # your code


# %% tags=["solution", "export"]
def product_loss(z, b, clicked):
    """Cross-entropy (n,) of P(click) = sigmoid(z) sigmoid(b), in logarithms."""
    log_p = functional.logsigmoid(z) + functional.logsigmoid(b)
    return -torch.where(clicked > 0, log_p, torch.log1p(-log_p.exp()))


# %%
product_loss = answer("10-product", product_loss)


# %% tags=["export"]
class PAL(Clicks):
    """P(looked at) times P(wanted), both learned; the second is served (Guo et al. 2019)."""

    def __init__(self, main):
        super().__init__(main)
        self.place = nn.Parameter(torch.zeros(PLACES))

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return product_loss(self.main(batch), self.place[cell], clicked)

    def curve(self):
        """Learned log P(looked at) (devices, positions), 0 at the first position."""
        return relative(functional.logsigmoid(self.place))


# %% [markdown]
# **Inverse propensity** wants to know $\theta$ beforehand. A platform can buy that. On random pages every position holds the same mix of cards, so the click rates differ by the looking alone. We buy 5,000 of them:


# %% tags=["export"]
def propensities(cell, clicked):
    """Click rate of random pages over that at position 1 (devices, positions); relative error."""
    clicks = np.bincount(cell, clicked, PLACES).reshape(DEVICES, -1)[:, 1:]
    rate = clicks / np.bincount(cell, minlength=PLACES).reshape(DEVICES, -1)[:, 1:].clip(1)
    error = np.sqrt(1 / clicks.clip(1) + 1 / clicks[:, :1].clip(1))
    return rate / rate[:, :1], error


# %%
theta, error = propensities(*(column.numpy() for column in task.random_pages()))
fig, axes = plots.figure(3, height=3.2, sharey=True, alt="P(looked at), true and from random pages: at the last "
                         f"position true {task.theta[:, -1].round(2)}, estimated {theta[:, -1].round(2)}")  # fmt: skip
at = np.arange(1, POSITIONS + 1)
for d, ax in enumerate(axes):
    ax.plot(at, task.theta[d], color=plots.colour("truth"), linewidth=3, alpha=0.5, label="true")
    ax.errorbar(at, theta[d], 2 * error[d] * theta[d], fmt="o", ms=4, label="5,000 random pages")
    ax.set(title=NAMES[d], xlabel="position", ylim=(0, 1.4))
axes[0].legend(fontsize=9)
fig

# %% [markdown]
# *What to see:* the dots scatter around the truth, and their bars (two standard errors) are long, because people click little on random pages. At the bottom of the TV a single click decides.
#
# With $\theta$ in hand, a click at a place that half of the people look at counts twice. Let $o$ be 1 if the card was clicked. Since $E[o/\theta]=p$, we may put $o/\theta$ where the cross-entropy has its label, and have on average what we would have if everybody had looked at everything:
#
# $$L=\log(1+e^{z})-\frac{o}{\theta}\,z .$$
#
# > **Exercise 4 · As if everything had been seen** (building, 10 minutes). Return the loss of each card for logits `z`, clicks `clicked` and propensities `theta`, all ($n$,).
#
# <details><summary>Hint 1</summary>The cross-entropy of a label y is softplus(z) - y z, whatever y is.</details>
# <details><summary>Hint 2</summary>The label here is larger than 1 for a click far down. Do not cut it off.</details>


# %% tags=["exercise"]
def as_if_seen(z, clicked, theta):
    """Loss (n,) whose mean is what it would be if every card had been looked at."""
    ...  # your code


# %% tags=["solution", "export"]
def as_if_seen(z, clicked, theta):
    """Loss (n,) whose mean is what it would be if every card had been looked at."""
    return functional.softplus(z) - clicked / theta * z


# %%
as_if_seen = answer("10-inverse-propensity", as_if_seen)


# %% tags=["export"]
class InversePropensity(Clicks):
    """A click counts 1 / theta, at most `most`; theta (devices, positions) must be known."""

    def __init__(self, main, theta, most=20.0):
        super().__init__(main)
        theta = np.insert(theta, 0, 1, axis=1).clip(1 / most)
        self.theta = torch.tensor(theta.ravel(), dtype=torch.float32)

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,)."""
        return as_if_seen(self.main(batch), clicked, self.theta[cell])


# %% [markdown]
# The price is noise, since one lucky click at the bottom counts as much as ten at the top. So the largest count is cut (`most`, which was tuned).
#
# **Regression-EM** buys nothing and learns the product in turns. If we knew which cards were *looked at*, $\theta$ would be a simple share. So we guess it, fit both to the guess, and guess again. A clicked card was looked at and wanted. There are three ways to *no click*: looked at and not wanted, wanted and not looked at, and neither. By Bayes,
#
# $$P(\text{looked at}\mid\text{no click})=\frac{\theta\,(1-p)}{1-\theta p},\qquad P(\text{wanted}\mid\text{no click})=\frac{(1-\theta)\,p}{1-\theta p}.$$
#
# > **Exercise 5 · After the fact** (building, 12 minutes). Return a pair of arrays or tensors ($n$,), the chance that each card was looked at, and the chance that it was wanted, now that we know whether it was clicked (`clicked`, 1.0 or 0.0).
#
# <details><summary>Hint</summary>For a click both are 1. A blend, clicked + (1 - clicked) times the formula, does both cases at once.</details>


# %% tags=["exercise"]
def after_the_fact(clicked, theta, p):
    """Chances (n,) that a card was looked at and that it was wanted, once we know of its click."""
    ...  # your code


# %% tags=["solution", "export"]
def after_the_fact(clicked, theta, p):
    """Chances (n,) that a card was looked at and that it was wanted, once we know of its click."""
    no_click = 1 - theta * p
    looked, wanted = theta * (1 - p) / no_click, (1 - theta) * p / no_click
    return clicked + (1 - clicked) * looked, clicked + (1 - clicked) * wanted


# %%
after_the_fact = answer("10-e-step", after_the_fact)


# %% [markdown]
# In each batch the ranker learns the guess as if it were a label. Every tenth batch $\theta$ becomes the mean guess at each place, twenty times over on the latest fifty batches, because clicks are rare and one turn leaves most of the old belief.


# %% tags=["export"]
class RegressionEM(Clicks):
    """PAL's product, learned in turns: guess what is hidden, then fit to the guess (Wang 2018)."""

    def __init__(self, main, every=10, memory=50, turns=20):
        super().__init__(main)
        self.every, self.memory, self.turns = every, memory, turns
        self.theta, self.latest, self.steps = torch.full((PLACES,), 0.5), [], 0

    def loss(self, batch, cell, clicked):
        """Loss of each card (n,): the ranker learns how likely it was wanted after all."""
        z = self.main(batch)
        p = z.detach().sigmoid()
        self.latest = [*self.latest, (clicked, cell, p)][-self.memory :]
        self.steps += 1
        if self.steps % self.every == 0:
            self.look_again(*(torch.cat(column) for column in zip(*self.latest, strict=True)))
        return entropy(z, after_the_fact(clicked, self.theta[cell], p)[1])

    def look_again(self, clicked, cell, p):
        """Fit theta, the share of a place's cards that were looked at, to the latest cards."""
        shown = torch.bincount(cell, minlength=PLACES)
        for _ in range(self.turns):
            looked, _ = after_the_fact(clicked, self.theta[cell], p)
            share = torch.bincount(cell, looked, PLACES) / shown.clamp(min=1)
            self.theta = torch.where(shown > 0, share, self.theta).clamp(1e-3, 1 - 1e-3)

    def curve(self):
        """Learned log P(looked at) (devices, positions), 0 at the first position."""
        return relative(self.theta.log())


# %%
models["PAL"] = trained(PAL(task.ranker()))

# %%
models["regression-EM"] = trained(RegressionEM(task.ranker()))
curves = {name: models[name].curve() for name in ("PAL", "regression-EM")}
over_truth(curves, task.true_curve("product"), "log P(looked at)")

# %% [markdown]
# *What to see:* two roads to the same product lead to nearly the same curve, near the truth, which is $\log\theta$ itself.
#
# ## 7. In front of people
#
# Now for the question that counts. Each ranker orders 4,000 live pages, and we take the exact expectation of the clicks:

# %%
models["inverse propensity"] = trained(InversePropensity(task.ranker(), theta))
live = {name: task.live_clicks(task.serve(model)) for name, model in models.items()}
live["input, first"] = task.live_clicks(task.serve(models["input, missing"], position=1))
live["oracle"] = task.live_clicks(task.wanted)
table = pd.DataFrame(live).T
table.assign(**{"% more": 100 * (table["clicks"] / table["clicks"]["none"] - 1)}).round(3)

# %% [markdown]
# One world and one training decide nothing. The stored trial has more of them, each treatment by its own recipe. On the left look and wish multiply. On the right the world's other law holds, in which a place *shifts the logit*, as the tower assumes:

# %%
names = {
    "input, missing": "input, missing",
    "input, first": "input, first",
    "adversarial": "adversarial",
    "shallow tower": "shallow tower",
    "shallow, no drop-out": "shallow, no drop-out",
    "PAL": "PAL",
    "regression-EM": "regression-EM",
    "inverse propensity": "inverse propensity",
}
worlds = {"a product": stored, "a sum": ledger.results("position_bias_additive")}
rows = [
    {"who": who, "panel": panel, "value": 100 * (value - 1)}
    for panel, results in worlds.items()
    for name, who in names.items()
    if f"live/{name}/clicks" in results
    for value in results[f"live/{name}/clicks"] / results["live/none/clicks"]
]
plots.worlds(pd.DataFrame(rows), panel="panel", label="clicks, % more than no treatment", zero=True)

# %%
lift = {
    name: 100 * (stored[f"live/{name}/clicks"] / stored["live/none/clicks"] - 1) for name in names
}
ours = {"Input Feature": "input, missing", "Adversarial Loss": "adversarial",
        "Shallow Tower": "shallow tower"}  # fmt: skip
guess.beside(", ".join(f"{name}: {plots.in_words(lift[name])} %" for name in ours.values()))
pd.DataFrame({
    "P2, Table 2 (%)": P2_TABLE2,
    "this world (%)": {row: plots.in_words(lift[name]) for row, name in ours.items()},
}, list(ours))  # fmt: skip

# %% [markdown]
# *What to see:* on the left the means stand in the order of Table 2, with the tower first, then the adversary, then the input served as missing. But the intervals are as long as the gains, so four worlds do not decide that order. The same input, served as **first**, is another treatment, and P2 does not say which of them it tried.
#
# On the right, where a sum is true, PAL and the input served as missing are *behind* no treatment at all, and the tower is not. So a treatment of the wrong form can cost more than none, and the form is something that one has to know.
#
# **Why is there so little to see?** Because the control was tuned as well. Here is what the tuning saw on its three worlds, after four passes for everybody, and with each contestant's own recipe, as clicks in percent of an oracle's:

# %%
tuned = tuning.load("tuning_position_bias")
four = tuned.cells.query("rate == 0.01 and passes == 4").groupby(["who", "world"])["score"].max()
own = {who: tuned.cells.merge(pd.DataFrame([{"who": who, **settings}]))["score"].mean()
       for who, settings in tuned.best.items()}  # fmt: skip
both = pd.DataFrame({"four passes, rate .01": four.groupby("who").mean(), "own recipe": own})
both.loc[list(tuned.best)].round(1)

# %% [markdown]
# *What to see:* after four passes the untreated ranker is far behind. Given its own recipe it trains three times as long, and makes up for about half of that. So a part of what looks like a cure is that the ranker learns *sooner*. Whoever tunes his own treatment alone will not notice.
#
# The recipes, and what else the tuning had to say:

# %%
tuned.recipes().round({"seconds": 0}).astype(object).fillna("")

# %% [markdown]
# **And offline?** A platform has only the clicks of the day after, on pages of the old ranking, and computes the AUC, the share of pairs of a clicked and an unclicked card that a score has in order. The score may be the one that is served, or the probability *at its place*:

# %%
shown = ["none", "adversarial", "input, missing", "shallow tower", "shallow, no drop-out"]
offline = {name: {"AUC as served": stored[f"{name}/auc"].mean(),
                  "AUC at its place": stored[f"{name}/auc at its place"].mean(),
                  "live clicks": stored[f"live/{name}/clicks"].mean()} for name in shown}  # fmt: skip
pd.DataFrame(offline).T.round(3)

# %% [markdown]
# *What to see:* by what is served, the untreated ranker wins, because the old pages reward whoever guesses where the old ranking put the cards. At its place, whoever knows of places is ahead, and the input served as missing, whose mean is the lowest in front of people, is as good as any. Neither column sorts them as people do.

# %% [markdown]
# ## 8. When can a bias be told from relevance at all?
#
# Suppose that each video always stood at the same position. Then its clicks say how well it does *there*, and nothing can tell how much of that is the video and how much the place. Two things can help.
#
# 1. **Swaps.** The same card stands at several positions, so one can compare it with itself.
# 2. **Overlap.** No card moves, but cards with the same *features* stand at several positions, and the ranker sees nothing but the features.
#
# To see both at work we leave the town for a bottle of 600 made-up videos with three features each, and an **endless** log: labels are true click probabilities, so whatever goes wrong is not luck. A past ranking has given each video a home position. The dial `swaps` says how often it stands at a random place instead, and `overlap` says how far chance, and not the wish, decided on the homes. A place shifts the logit, so the tower has the right form. Beside it stands one of three rankers: one that knows each video by its **id**, a network on the **features**, and a **wrong model**, which is linear although two features work as a product.


# %%
mains = {"ids": ById, "features": ByFeatures, "wrong model": lambda: ByFeatures(0)}


def bottled(log, main, weight=None, passes=300):
    """A shallow tower, trained on a log in a bottle."""
    model, weight = ShallowTower(main, drop=0.0), log.weight if weight is None else weight
    options = {"rate": 0.02, "passes": passes, "pages": log.pages}
    train_clicks(model, log, log.cell, log.p_click, weight, **options)
    return model


def opened(swaps, overlap):
    """Learned curves of three rankers in a bottle, over the true one."""
    log = Bottle(swaps, overlap)
    curves = {name: bottled(log, main()).curve()[0] for name, main in mains.items()}
    ends = ", ".join(f"{name} {curve[-1]:.1f}" for name, curve in curves.items())
    true = np.log(log.theta)
    fig, ax = plots.figure(width=6.2, height=3.2, alt=f"swaps {swaps:g}, overlap {overlap:g}: at the last "
                           f"position true {true[-1]:.1f}, {ends}")  # fmt: skip
    ax.plot(at, true, color=plots.colour("truth"), linewidth=4, alpha=0.4, label="true")
    for (name, curve), mark in zip(curves.items(), "os^"):
        ax.plot(at, curve, marker=mark, ms=4, label=name)
    ax.set(xlabel="position", ylabel="learned bias (logit)", ylim=(-6, 0.5),
           title=f"swaps {swaps:g}, overlap {overlap:g}")  # fmt: skip
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


sliders(opened, swaps=FloatSlider(0.0, 1.0, 0.1, 0.0), overlap=FloatSlider(0.0, 1.0, 0.25, 0.0))

# %% [markdown]
# Neither, swaps alone, and overlap alone:

# %%
for dials in ((0.0, 0.0), (0.3, 0.0), (0.0, 1.0)):
    plots.show(opened(*dials))

# %% [markdown]
# *What to see:* with **neither**, the tower takes much of the relevance for bias; how the fall is divided is decided by who learns faster, and that is the table. With a third of the cards **swapped**, the network on features is right, and the ids are on their way. With **overlap** alone, the features are right again.
#
# Are the ids on their way, or is that where they stay? We let them learn for longer, without swaps and with a tenth of the cards swapped:

# %%
slopes = {}
for swaps in (0.0, 0.1):
    log = Bottle(swaps, 0.0)
    for passes in (300, 1500):
        slopes[f"swaps {swaps:g}", passes] = log.judge(bottled(log, ById(), passes=passes))["slope"]
pd.Series(slopes).unstack().rename_axis(columns="slope over the truth after passes").round(2)

# %% [markdown]
# Without swaps more training changes nothing for the better, because nothing in the log says which of many divisions is the true one. With a few swaps it leads to the truth, slowly. So *can be told apart* is one thing, and *has been told apart* another.
#
# The wrong model was wrong in the first two figures. It cannot say what the past ranking knew, which videos gain by their product, and so the *places* where those videos stood say it. That is a third condition: the ranker must be able to learn what the past ranking went by.
#
# **A weight for a wrong model.** Hager et al. (2025) propose a remedy. A wrong model would leave the curve alone if the places had nothing to do with the cards. So we weigh the cards until that is true, each by $1/P(k\mid\text{card})$, the inverse of the chance that it stood where it stood:


# %% tags=["export"]
def even_weights(chance, most=20.0):
    """Weights (n,) with mean 1 that make places independent of the cards, from P(place | card)."""
    weight = (1 / (POSITIONS * chance)).clamp(max=most)
    return weight / weight.mean()


def chance_of_place(reader, batch, cell):
    """P(position | features) (n,) of each card's own position, by an Adversarial's reader."""
    with torch.no_grad():
        parts = [reader.reader(reader.hidden(batch[some])).softmax(dim=1)
                 for some in torch.arange(batch.pages).split(5_000)]  # fmt: skip
    return torch.cat(parts).gather(1, cell[:, None] % (POSITIONS + 1) - 1)[:, 0]


# %%
rows = {}
for swaps in (0.0, 0.1):
    log = Bottle(swaps, 0.0)
    weighted = log.weight * even_weights(log.chance, most=100.0)
    for name, weight in (("as it is", log.weight), ("weighted", weighted / weighted.mean())):
        rows[swaps, name] = log.judge(bottled(log, ByFeatures(0), weight))
pd.DataFrame(rows).T.rename_axis(["swaps", "wrong model"]).round(2)

# %% [markdown]
# With a tenth of swaps the weight mends the curve (a slope of 1 is right). It does not make the linear model a better one: the *order*, the correlation of its scores with the true wish, is what it was. And without swaps there is nothing to weigh, since each chance is 1.
#
# The stored trial has more bottles, and one case more, in which the past ranking **knows more** than any feature shows:

# %%
limits = ledger.results("position_limits")
swaps = (0.0, 0.03, 0.1, 0.3, 1.0)
looks = {"ids": "o-", "features": "s-", "wrong model": "^-", "wrong model, weighted": "^--",
         "knows more": "D-", "knows more, weighted": "D--"}  # fmt: skip
panels = {
    "no overlap": [(who, f"{who}, overlap 0, swaps") for who in list(looks)[:4]],
    "full overlap": [(who, f"{who}, overlap 1, swaps") for who in list(looks)[:4]],
    "ranking knows more": [(who, f"{who}, swaps") for who in list(looks)[4:]],
}
alt = "slope over the truth without and with all swapped: " + "; ".join(
    f"{panel}, {who} {limits[f'{column} 0/slope'].mean():.2f} and {limits[f'{column} 1/slope'].mean():.2f}"
    for panel, columns in panels.items() for who, column in columns)  # fmt: skip
fig, axes = plots.figure(3, height=3.8, sharey=True, alt=alt)
for ax, (panel, columns) in zip(axes, panels.items()):
    for who, column in columns:
        slope = [limits[f"{column} {share:g}/slope"].mean() for share in swaps]
        ax.plot(range(len(swaps)), slope, looks[who], ms=5, label=who)
    ax.axhline(1, color="grey", linewidth=1)
    ax.set(title=panel, xlabel="share swapped", xticks=range(len(swaps)), xticklabels=swaps)
    ax.legend(fontsize=8)
axes[0].set(ylabel="slope over the truth")
fig

# %% [markdown]
# *What to see:* without overlap the ids need many swaps, the network on features few, and the wrong model nearly all, or the weight and a few. Where the past ranking knows more, the weight helps as well, if one knows the chances exactly, as whoever deals the swaps does.
#
# ## 9. The same question in the town
#
# The town has dials for its past ranking. It can go by *incumbency* and chance alone, so that cards stand where they do for reasons that have little to do with what people want, or by *relevance* alone. And the bias itself can be switched off.

# %%
orders = ledger.results("position_orders")
both = {"incumbency": ("incumbency/", orders), "as it is": ("", stored),
        "relevance": ("relevance/", orders), "no bias": ("no bias/", orders)}  # fmt: skip
shown = {
    "shallow tower": "shallow tower",
    "shallow, no drop-out": "shallow, no drop-out",
    "PAL": "PAL",
}
rows = []
for panel, (before, results) in both.items():
    for name, who in shown.items():
        for value in results[f"{before}live/{name}/clicks"] / results[f"{before}live/none/clicks"]:
            rows.append({"who": who, "panel": panel, "value": 100 * (value - 1)})
plots.worlds(pd.DataFrame(rows), panel="panel", label="clicks, % more", zero=True)

# %%
rows = {panel: {who: plots.in_words(results[f"{before}{who}/error, phone"]) for who in shown}
        for panel, (before, results) in both.items()}  # fmt: skip
pd.DataFrame(rows).T.rename_axis("largest distance from the true curve, phone")

# %% [markdown]
# *What to see:* where cards stand high for no good reason, the means of the treatments are the largest. Where relevance alone decided, PAL *costs* clicks, although its curve is about right there (row P2-C10). Our guess is that the place then *is* knowledge of relevance, and a naive ranker takes it along for nothing. With no bias at all the treatments cost nothing that one could see.
#
# The last row of the table is a surprise. Without any bias the tower still learns a curve that falls, by a third of a logit on the phone. So a part of a learned curve is relevance. Our explanation is that of the bottle: what the ranker has *not* learned of the past ranking's reasons goes to the place.
#
# **The weight in the town.** There nobody knows $P(k\mid\text{card})$, so a reader has to learn it: the adversary's own, only that now the layer below *helps* it (a strength of $-1$). In the stored towns these weights neither bring clicks nor cost any that one could see, though they throw about half of the cards away (row P2-C10c of the ledger).
#
# ## 10. The pages of three accounts
#
# The evening after the log, first by the naive ranker, then by the shallow tower:


# %%
def evening(name):
    """What the three accounts see if this model ranks."""
    score = served(models[name].main, task.scales)
    return players.pages(world, lambda users: task.pages(score, users), k=4)


evening("none")

# %%
evening("shallow tower")

# %% [markdown]
# ## What the ledger says

# %%
ledger.show("10")

# %% [markdown]
# ## Challenge
#
# > **A bias that a classmate must find** (open, an hour or an evening). In `simulate("town", seed=…, thumbnail_bias=1.0)` large thumbnails are clicked more, whatever the video. Find out from the log alone that a tower for positions leaves something over, give the tower what it lacks, and measure with `task.live_clicks` what that brings. Then hide a bias of your own in a log, and hand it to a classmate.

# %% [markdown]
# ## Summary
#
# 1. A ranker that learns from clicks gives each card the credit of the place where it used to stand, and so hands the old order on.
# 2. The shallow tower explains the place by a number that is added to the logit and left out when the page is served. Its curve is judged by slope and distance from the truth, never by correlation.
# 3. In front of people the tower's mean gain is the largest, as in P2, but once the untreated ranker is tuned as well, four worlds do not decide the order. A part of what a treatment brings is that the ranker learns sooner. Offline, on the old pages, the untreated ranker looks best.
# 4. A bias can be told from relevance where the same cards stand at several places, or where cards at several places share features, and if the ranker is able to learn what the past ranking went by. Where it is not, a weight mends the curve, as long as some cards move.
# 5. What a treatment is worth hangs on the past ranking: in the mean most where cards stood high for no good reason, and for one of them less than nothing where it was right.
#
# **Limits.** One law of looking, that falls with the position and is the same for all people. The yardstick is clicks; chapter 07 has said what is wrong with them. The search for recipes was stopped before five of the ten had come to rest (the last column of their table), and there are four worlds. The bottle's log is endless and its only fault the one that is turned.
#
# **References.** P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Guo et al., *PAL: A Position-bias Aware Learning Framework for CTR Prediction in Live Recommender Systems*, RecSys 2019. Wang et al., *Position Bias Estimation for Unbiased Learning to Rank in Personal Search*, WSDM 2018. Hager et al., *Unidentified and Confounded? Understanding Two-Tower Models for Unbiased Learning to Rank*, 2025.
