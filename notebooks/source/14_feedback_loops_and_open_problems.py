# ---
# course:
#   number: "14"
#   title: Feedback loops and open problems
#   question: What happens when a system learns from itself?
#   paper: P1 section 5, P2 sections 4.3, 5.4 and 6
#   minutes: 90
# ---

# %% [markdown]
# # 14 · Feedback loops and open problems
#
# **Promise.** After this chapter you can let a recommender learn from its own pages, search a log for a bias that nobody told you of, compress a ranker, and say which claims of the two papers came out here.
#
# * **Papers.** Zhao et al. 2019 (P2), sections 4.3, 5.4 and 6; Chaney et al. 2018 (feedback loops); Tang et al. 2020 (PLE).
# * **You should know.** Chapters 07 to 10.
# * **Your time** about 90 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML

from course import check, claims, plots, run_rounds
from course.experiments import compression, feedback, second_bias
from course.models.ple import Level
from course.simulator.policies import PopularityPolicy
from course.widgets import Choice, FloatSlider, Toggle, predict, sliders

world = feedback.loop_world(seed=7)  # 1,000 accounts, 1,000 videos, and 18 days after the log
print(world)

# %% [markdown]
# ## 1. The question
#
# A system shows pages, logs the clicks, learns from the log, and shows again. What stood on top was clicked because it stood there; what was never shown was never clicked. P2 calls this a *feedback loop*.

# %%
guess = predict(
    "14-loop",
    "A ranker that ignores positions is retrained six times, more and more on its own pages. "
    "What do the clicks per page do?",
    ["they fall", "they stay about the same", "they rise"],
)
guess

# %% [markdown]
# ## 2. Serve, log, learn
#
# `run_rounds` gives each *arm* its own copy of the world. Before each round it hands the arm's rows so far to a *learner* and serves the policy that comes back; `None` recommends nothing. The smallest learner: clicks over showings of each video, on the arm's own pages.


# %%
def by_click_rate(record, engine):
    rows, n = record.table("impressions"), len(engine.catalogue)
    if not rows:
        return world.random()  # before the first page nothing is known
    shown = np.bincount(rows["video"], minlength=n)
    clicked = np.bincount(rows["video"], rows["clicked"], minlength=n)
    return PopularityPolicy((clicked + 1) / (shown + 20))


# %%
learners = {
    "click rate": by_click_rate,
    "random": lambda record, engine: world.random(),
    "nothing": None,
}
found = run_rounds(world, learners, rounds=3, days_per_round=2)
columns = ["clicks", "gini", "coverage", "topics", "watched_gini"]
found.table.set_index(["arm", "round"])[columns].round(2)

# %% [markdown]
# `gini` is the *Gini coefficient* of the showings: 0 = all videos are shown equally often, towards 1 = one takes all (exercise 1). `coverage` is the share of the videos that were shown at all; `topics` and `watched_gini` are about what people watch from anywhere. Serving by click rate brings more clicks than chance and narrows what is shown. Too much? Only the oracle can say: what people like *is* uneven.

# %% [markdown]
# ## 3. Six rounds in five worlds
#
# Now chapter 10's click models, with all features, trained anew before each round on the last six days: from the third round on, all their own. Three arms: *naive* (no treatment of position), the *shallow tower*, and the tower with *exploration*: one card in ten goes to a candidate drawn by chance. New videos arrive all the time (*new uploads*: younger than 7 days).

# %%
rounds = claims.results("feedback")
plots.loop_rounds(rounds)

# %%
clicks = {n: [100 * (rounds[f"open/{n}/{r}/clicks"] / rounds[f"open/oracle/{r}/clicks"]).mean()
              for r in (1, 6)] for n in ("naive", "shallow tower")}  # fmt: skip
guess.beside(
    "; ".join(f"{n}: {a:.0f}% to {b:.0f}% of the oracle's" for n, (a, b) in clicks.items())
)

# %% [markdown]
# *What to see:* **left**, no decay. In the first round, fed by the past ranking's pages, the naive ranker gets about half of the oracle's clicks; on its own pages it improves, to about 70%. The shallow tower starts several per cent ahead, because it does not take over the past ranking's bias; at the end the two are level. **Middle**, concentration does not grow, either. The naive ranker spreads its showings more unevenly than the oracle throughout, most at the start; the shallow tower less so on average, and with exploration less still. **Right**, nobody starves new uploads. Exploration costs about 6% of the clicks and does not earn them back in six rounds.

# %% [markdown]
# ## 4. The switch: close the loop
#
# Why no decay? Perhaps because the loop is open: the nominators draw from what is popular *outside* (about six watches in ten do not come from our pages), and the ranker's counters see those watches, too. So we put a first stage before the naive ranker. It lets 12 of the 30 candidates through: those most clicked on our own pages in the last six days. Beside it: those most watched anywhere, and 12 by chance, since a smaller choice costs clicks by itself.

# %%
plots.loop_stages(rounds, claims.results("first_stage"))

# %% [markdown]
# *What to see:* **left**, nearly a quarter of the clicks is gone; 12 by chance lose about as many, so the smaller choice explains it. **Middle and right**, own clicks concentrate the showings and take a third of what chance gives to new uploads, from the first round on (not drawn): a bias that stays, not a loop that grows. Watches from anywhere bring most of that back, as P1 says, but concentrate even more. Exploration helps both a little, for 3% of the clicks.

# %% [markdown]
# ## 5. The loop in a bottle
#
# Everybody likes the same; a ranker is one number for each of 200 videos: clicks over showings (*naive*), or clicks over the sum of P(seen) (*corrected*). Ten videos come (*new* for five rounds) and ten go in each round, and all fade with age. The first log is of random pages.

# %%
sliders(
    plots.bottle_loop,
    position_bias=FloatSlider(0.0, 2.0, 0.5, 1.0, label="strength of the position bias"),
    explore=FloatSlider(0.0, 0.4, 0.05, 0.0, label="share of exploration"),
    closed=Toggle(False, label="a first stage of own clicks (closed)"),
)

# %% [markdown]
# Three settings:

# %%
plots.bottle_loops(
    {
        "Open": {},
        "Closed": {"closed": True},
        "Closed, explores": {"closed": True, "explore": 0.2},
    }
)

# %% [markdown]
# *What to see:* **open**, both rankers settle near 90% of the oracle, the corrected one with fewer new uploads. **Closed**, clicks slide down and new uploads fall below what chance would give them: the loop of the papers. **With exploration** new uploads get half of the way back to chance; clicks are lost, above all at first. Take the position bias away and the closed loop slides all the same: a first stage that believes in the past is enough.

# %% [markdown]
# ## 6. A bias that nobody told you of
#
# In the next world large thumbnails are clicked more, whatever the video (dial `thumbnail_bias`). The size is logged, but no model knows it. Could you have found out?
#
# A **residual test**. Take cards that trained nothing. For a group of them add up the clicks, $O$, and what the model expected, $E=\sum p$. If the model is right, $z=(O-E)/\sqrt{\sum p(1-p)}$ is about standard normal. Try every column of the log; the worst group speaks for its column.


# %%
def worst_group(clicked, p, column):
    p = p * clicked.sum() / p.sum()  # that everything is too high or too low is no news
    cards = pd.DataFrame({"gap": clicked - p, "variance": p * (1 - p)})
    sums = cards.groupby(np.asarray(column)).sum()
    z = sums["gap"] / np.sqrt(sums["variance"])
    return z.iloc[z.abs().argmax()]


# %%
task = second_bias.bias_task(seed=7)
cards = task.next_day.cards
clicked, columns = cards["clicked"].to_numpy(), second_bias.columns(cards)
models = {"position": second_bias.fit_with(task, size=False, seed=7)}
p = second_bias.at_its_place(task, models["position"])
tests = {"position alone": second_bias.residual_test(clicked, p, columns)}
for name, column in columns.items():
    assert np.isclose(worst_group(clicked, p, column), tests["position alone"].loc[name, "z"])
print("agrees with course.experiments.second_bias.residual_test")

# %% [markdown]
# Found, it goes where position went: into the shallow tower, crossed with position and device. At serving all count as small.

# %%
models["position and size"] = second_bias.fit_with(task, size=True, seed=7)
p = second_bias.at_its_place(task, models["position and size"])
tests["position and size"] = second_bias.residual_test(clicked, p, columns)
plots.suspects(tests)

# %% [markdown]
# *What to see:* **left**, the size sticks out, with |z| above ten. The nominator reaches 6 with no bias of its own, before and after: the test names suspects. The worst of many groups passes 2 (dotted) by luck. **Right**, with the size in the tower it is one column among others.
#
# What did it cost? Here the size is a coin toss, and the order on the page hardly suffers. So we also thin the log until large thumbnails stand mostly with popular videos. Live, mean of five worlds:

# %%
biases = claims.results("second_bias")
for sizes in ("chance", "popularity"):
    live = [biases[f"live/{sizes}/{name}/clicks"] for name in models]
    print(
        f"sizes by {sizes:10}: knowing the size is worth {100 * (live[1] / live[0] - 1).mean():+.1f}% clicks"
    )

# %% [markdown]
# ## 7. Who pays for sharing? PLE
#
# If one task gains by sharing experts, another may pay: a *seesaw*. PLE (progressive layered extraction) gives each task $k$ experts of its own beside common ones; its gate cannot reach the others':
#
# $$y_k = h^k\Big(\sum_i g^k_i\, f_i\Big), \qquad i \in \text{own experts of } k \;\cup\; \text{common experts}.$$


# %%
def one_level(x, own, common, gate):
    """One task: own and common experts (E, d, h), gate (d, E own + E common)."""
    experts = torch.relu(torch.einsum("bd,edh->beh", x, torch.cat([own, common])))
    weights = torch.softmax(x @ gate, dim=1)
    return torch.einsum("be,beh->bh", weights, experts)


level = Level(inputs=6, tasks=2, own=2, common=3, width=4, last=True)
for part in (*level.experts, *level.gate):
    torch.nn.init.zeros_(part.bias)
x = torch.randn(50, 6)
theirs = level([x, x, x])
for k in (0, 1):
    mine = one_level(x, level.experts[k].weight, level.experts[2].weight, level.gate[k].weight.T)
    assert torch.allclose(mine, theirs[k], atol=1e-6)
print("agrees with course.models.ple")

# %% [markdown]
# The seven tasks of chapter 08, at about 19,000 multiplications each: MMoE, PLE, and seven small networks (*alone*). *Captured* is the share of the truth that was learned. Each task against itself alone:

# %%
shared = claims.results("seesaw")
plots.winners_and_losers(shared)

# %% [markdown]
# *What to see:* sharing is expensive here. Likes and dismissals, which follow rules of their own, lose about 15 points or more in both; of the rest only completion gains, 2 points. PLE captures about one point more than MMoE on average; fewer pairs of a winner and a loser cannot be shown (section 10). About half of the damage is done below the experts, in the common layer of 48 units that P2 puts there for its cost: with experts directly on the input, at no more multiplications, it is gone, for both (mean of five worlds).

# %% [markdown]
# ## 8. Cheaper rankers
#
# **Distillation.** A teacher, here the mean of four rankers of chapter 07, gives each card odds $o$, free of the luck of a single click. For the student each card counts as clicked with the weight $o$ *and* as not clicked with the weight 1; the best answer is $e^z=o$.


# %%
def taught(z, odds):
    return (odds * torch.log1p(torch.exp(-z)) + torch.log1p(torch.exp(z))).mean()


odds = torch.tensor([0.2, 1.0, 7.0])
z = torch.zeros(3, requires_grad=True)
step = torch.optim.LBFGS([z], max_iter=100, line_search_fn="strong_wolfe")


def closure():
    step.zero_grad()
    loss = taught(z, odds)
    loss.backward()
    return loss


step.step(closure)
assert torch.allclose(taught(z, odds), compression.teach(odds)(z, torch.arange(3)))
print("e^z =", z.exp().detach().numpy().round(2))

# %% [markdown]
# **Rounding.** A weight is stored as a whole number from −127 to 127 (8 bits instead of 32) times one scale for each row (exercise 3). All tables and layers of a small ranker, rounded:

# %%
small = compression.compression_task(seed=7, test_pages=300)
student = compression.fit_student(small, seed=7)
bits = (2, 3, 4, 5, 6, 8)
scores = {b: compression.quantised(student, b).logits(small.test)[:1500] for b in bits}
scores[0] = student.logits(small.test)[:1500]
weight = student.tower.layers[0].linear.weight.detach().numpy()
sliders(
    plots.fewer_bits,
    fixed={"weight": weight, "scores": scores},
    bits=Choice(bits, 8, label="bits of a weight"),
)

# %% [markdown]
# Three settings:

# %%
plots.fewer_bits_at(weight, scores)

# %% [markdown]
# *What to see:* at 8 bits nothing changes. At 4 bits the weights stand on a staircase, and the scores hardly notice. At 2 bits each weight is minus its row's scale, 0 or plus; even then most of the order is left.
#
# Live, the gain is watch minutes per page above the past ranking; 100% is that of the four teachers.

# %%
plots.price_of_quality(claims.results("compression"))

# %% [markdown]
# *What to see:* **right**, 8 bits are free, and even 2 or 3 keep the gain, at an eighth of the bytes or less (the wide bars: in one world the teachers gain little). Students are drawn a little apart. **Left**, the taught student, with 4% of the multiplications, keeps about 96%. But so does a student that learned from the clicks alone: five worlds do not show that four large rankers are worth more live than one small one; perhaps there is little to hand down. On the two worlds on which the settings were chosen the teaching had paid.

# %% [markdown]
# ## 9. What the papers leave open, and where this course stands
#
# * **No ground truth** (P1). Clicks and minutes are proxies. We had the truth, and chapter 07 showed a proxy leading away from it: many extra minutes were only longer videos.
# * **Offline is not online** (P1, P2). Held-out metrics preferred the wrong label (chapter 05) and the biased ranker (chapter 10). The live test has the last word.
# * **A corpus that is sparse and never ends** (P1, P2). Most videos have few clicks, new ones none (chapters 01, 04). Our thousands of videos say little about billions.
# * **Effectiveness against efficiency** (P2). A slower page costs what a better model wins (chapter 12).
# * **Biases of the training data** (P2). Section 6 finds one that stands in a logged column. One that no column holds stays invisible.
# * **Architectures do not carry over** (P2). Mixed features, many objectives and noisy labels resist what works on text or pictures. Not tested here: attention, semantic ids, generating models.
# * **Stability and expressiveness** (P2). Section 7 tried one successor of MMoE; training on many machines, where P2 saw gates polarise, we do not have.
# * **People who change.** Ours tire of what they are shown, but do not come to like it. Echo chambers and harm cannot be studied in a world without them.

# %% [markdown]
# ## 10. Truth check over five worlds

# %%
with pd.option_context("display.max_colwidth", None):
    own = HTML(claims.table("14").drop(columns="detectable").to_html(index=False))
own

# %% [markdown]
# What did not come out: growing concentration and falling clicks; that own clicks in the first stage cost more clicks than its smaller choice; fewer seesaws; that teaching beats clicks.
#
# ## 11. The whole ledger
#
# Every claim, by its headline lines. *Reproduced*: all hold; *mixed*: some; *contradicted*: one fails, none holds; *undecided*: neither; *built as in the paper*: by construction.

# %%
plots.ledger_overview()

# %%
with pd.option_context("display.max_colwidth", None):
    short = claims.summary()
    rows = short.to_html(index=False)
HTML(f"<details><summary>All rows: claim, first headline line, verdict</summary>{rows}</details>")

# %% [markdown]
# *What to see:* many claims hold in part. A row that failed is a finding and stays.
#
# ## Exercises
#
# **Exercise 1 · The Gini coefficient** (difficulty 1 of 3, 8 minutes). Given `counts` (n,), how often each video was shown (0 for some), return the mean of $|a-b|$ over all $n \times n$ pairs of counts, divided by twice the mean count.
#
# <details><summary>Hint</summary>np.abs(counts[:, None] - counts) holds all pairs.</details>


# %% tags=["exercise"]
def gini(counts):
    return ...  # your code


_ = check("14-gini", gini)


# %% tags=["solution"]
def gini(counts):
    gaps = np.abs(counts[:, None] - counts)
    return gaps.mean() / (2 * counts.mean())


_ = check("14-gini", gini)

# %% [markdown]
# **Exercise 2 · Test one group** (difficulty 2, 10 minutes). Given `clicked` (n,) True or False, `probability` (n,) and `group` (n,) True or False, return $z$ of the cards in the group. Do not rescale.
#
# <details><summary>Hint</summary>Variances add up: that of the sum is the sum of p(1 − p).</details>


# %% tags=["exercise"]
def group_z(clicked, probability, group):
    return ...  # your code


_ = check("14-residual", group_z)


# %% tags=["solution"]
def group_z(clicked, probability, group):
    expected = probability[group]
    surplus = clicked[group].sum() - expected.sum()
    return surplus / np.sqrt((expected * (1 - expected)).sum())


_ = check("14-residual", group_z)

# %% [markdown]
# **Exercise 3 · Eight bits** (difficulty 2, 10 minutes). Given `weight` (rows, columns), give each row the scale *largest absolute value / 127*, round the weights to the nearest whole number of scales, and return them as weights again (rows, columns).
#
# <details><summary>Hint</summary>np.abs(weight).max(axis=1, keepdims=True) has the shape (rows, 1).</details>


# %% tags=["exercise"]
def to_int8_and_back(weight):
    return ...  # your code


_ = check("14-int8", to_int8_and_back)


# %% tags=["solution"]
def to_int8_and_back(weight):
    scale = np.abs(weight).max(axis=1, keepdims=True) / 127
    return np.round(weight / scale) * scale


_ = check("14-int8", to_int8_and_back)

# %% [markdown]
# ## Summary
#
# 1. A ranker that learns from its own pages need not run away; here it mends what the past ranking's pages had taught it.
# 2. A first stage that knows only its own clicks takes a third of their cards from new uploads. Look at what is never offered.
# 3. The shallow tower removes the bias of the *predecessor*, so it pays most at first. Exploration spreads showings and costs clicks.
# 4. A residual test over all columns of the log names suspects; a bias that is found goes into the shallow tower.
# 5. Ranking networks have room to spare: eight bits cost nothing, a small student little.
#
# **What the papers say and we could not show.** That a system gets worse by learning from itself, except in a bottle; that PLE has fewer seesaws; that a teacher pays.
#
# **Where to go next.** Feedback: *How Algorithmic Confounding in Recommendation Systems Increases Homogeneity and Decreases Utility* (RecSys 2018); *Degenerate Feedback Loops in Recommender Systems* (AIES 2019). Learning from logs: *Top-K Off-Policy Correction for a REINFORCE Recommender System* (WSDM 2019); *Off-policy Learning in Two-stage Recommender Systems* (WWW 2020). Many tasks: *SNR: Sub-Network Routing* (AAAI 2019); *Improving Training Stability for Multitask Ranking Models in Recommender Systems* (KDD 2023). Evaluation: *On Sampled Metrics for Item Recommendation* (KDD 2020). Compression: *Ranking Distillation* (KDD 2018).
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Tang, Liu, Zhao, Gong, *Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for Personalized Recommendations*, RecSys 2020.
