# ---
# course:
#   number: "02"
#   title: Matrix factorization
#   question: How far do two tables of vectors get?
#   paper: P1 section 3 (the predecessor system); Hu et al. 2008; Rendle et al. 2020
#   minutes: 75
# ---

# %% [markdown]
# # 02 · Matrix factorization
#
# **Promise.** After this chapter you can fill the empty cells of *who watched what* with two tables of vectors, in closed form, and you know what such vectors learn about taste and what they cannot know: the time.
#
# * **Papers.** Covington et al. 2016 (P1), section 3: the system before theirs was a matrix factorization. Hu et al. 2008 and Rendle et al. 2020 on the method.
# * **You should know.** Chapters 00 and 01; what a dot product and a derivative are.
# * **Your time** about 75 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML

from course import check, claims, plots, simulate
from course.experiments import factorization
from course.experiments.factorization import dot, per_account
from course.experiments.next_watch import NextWatch
from course.metrics import mean_reciprocal_rank, ranks
from course.models.factorization import als_objective, half_step, interactions
from course.widgets import Choice, predict, sliders

world = simulate("small", seed=7)
game = NextWatch(world.logs())
train, events = game.train, game.events
game

# %% [markdown]
# ## 1. A table that is nearly empty
#
# `game` cuts the log at day 42; what came before is for learning (`train`). We make its table *who watched what*: a row for each account, a column for each video, 1 where they met. We also count how many viewers two videos share, relative to chance.

# %%
table = interactions(train)  # a sparse matrix: it stores the filled cells only
per_video = table.sum(axis=0).A1
shared = (table.T @ table).toarray()
by_chance = np.outer(per_video, per_video) / table.shape[0]
speaks, topic = (train.videos[name].astype(str).to_numpy() for name in ("language", "topic"))
same_language, same_topic = speaks[:, None] == speaks, topic[:, None] == topic
kinds = {
    "same language and topic": same_language & same_topic & ~np.eye(len(topic), dtype=bool),
    "same language": same_language & ~same_topic,
    "another language": ~same_language,
}
lift = {kind: shared[pairs].sum() / by_chance[pairs].sum() for kind, pairs in kinds.items()}
plots.who_watched_what(table, train.users["language"].astype(str).to_numpy(), speaks, lift)

# %% [markdown]
# *What to see:* three blocks, the languages; the darker columns are popular videos. Videos of one language share viewers far beyond chance, those of one topic still more. A model that finds such patterns can guess the empty cells.

# %% [markdown]
# ## 2. The game: what is watched next?
#
# An *event* is the first watch of a video by an account, in the three days after the cut. A method gives every video a score for the account; then the videos that it has not watched yet are ranked. With $r$ the rank of the right one, we report
#
# * **MRR**, the mean of $1/r$: 1 if always on top, 0.1 if always tenth;
# * **recall@20**, the share of events with $r \le 20$.
#
# The floor is *random*, the ceiling an *oracle* that knows true interests, the true odds of a click and how easily each video is found at that moment. In between stand three ways of counting.

# %%
floors = factorization.floors(game)
sample = factorization.sampled(game, 1_000)  # the oracle is slow, so it guesses 1,000 events
oracle = factorization.oracle_scores(world, game, sample)
score = {name: game.measure(per_account(of, events), recall=(20,)) for name, of in floors.items()}
score["oracle"] = game.measure(oracle, sample, recall=(20,))
pd.DataFrame(score).T.round(3)

# %% [markdown]
# *Popularity* counts all watches, *in my language* those by accounts of the same language, *recent* among those the last two days. Even the oracle has the right video among its 20 best in less than half of the events: it does not know the page on the screen, and the rest is chance.

# %%
guess = predict(
    "02-floor",
    "Vectors of 2,500 accounts and 2,000 videos, learned from all 42 days: what MRR will they get?",
    ["below popularity in my language", "between it and recent popularity", "above both"],
)
guess

# %% [markdown]
# ## 3. Two tables of vectors
#
# Every account $u$ gets a vector $x_u$ and every video $i$ a vector $y_i$, of $f$ numbers (*factors*) each; the score is the dot product $x_u^\top y_i$. With $r_{ui}$ watches of $i$ by $u$, the target is $p_{ui} = 1$ where $r_{ui} > 0$, and 0 in an empty cell. But an empty cell is weak evidence: nearly always the two never met. So each cell has a *confidence* $c_{ui} = 1 + \alpha r_{ui}$, and *all* cells count (Hu, Koren, Volinsky 2008; we count first watches, so $r_{ui}$ is 0 or 1):
#
# $$\min_{x, y} \; \sum_{u,i} c_{ui}\,(p_{ui} - x_u^\top y_i)^2 + \lambda \Big(\sum_u |x_u|^2 + \sum_i |y_i|^2\Big).$$
#
# The last term, with weight $\lambda$ (*regularisation*), keeps vectors short. Hold all $y_i$ fixed, and what is left is a weighted least-squares problem for each account. Its derivative is zero where
#
# $$\sum_i c_{ui}\,(p_{ui} - x_u^\top y_i)\, y_i = \lambda x_u
# \quad\Longrightarrow\quad
# x_u = \Big(\sum_i c_{ui}\, y_i y_i^\top + \lambda I\Big)^{-1} \sum_i c_{ui}\, p_{ui}\, y_i .$$
#
# Solve for all accounts, then with these fixed for all videos, and so on: *alternating least squares* (ALS). The first sum is $\sum_i y_i y_i^\top + \alpha \sum_i r_{ui}\, y_i y_i^\top$; its first part is the same for everybody.


# %% tags=["nbval-check-output"]
def my_half_step(R, Y, regularisation, alpha):
    """The best vectors of all rows of the table R (rows, columns), given Y (columns, factors)."""
    factors = Y.shape[1]
    shared = Y.T @ Y + regularisation * torch.eye(factors)
    outer = (Y[:, :, None] * Y[:, None, :]).reshape(len(Y), -1)  # y yᵀ of each column, laid flat
    matrices = shared + alpha * (R @ outer).reshape(-1, factors, factors)
    targets = ((R > 0) * (1 + alpha * R)) @ Y
    return torch.linalg.solve(matrices, targets)


R = torch.from_numpy(table.toarray())
Y = 0.1 * torch.randn(R.shape[1], 32, generator=torch.Generator().manual_seed(0))
X = my_half_step(R, Y, 10.0, 3.0)
theirs = torch.from_numpy(half_step(table, Y.numpy(), 10.0, 3.0))
assert torch.allclose(X, theirs, atol=1e-4)
print("agrees with course.models.als.half_step")

# %% [markdown]
# The course's version touches only the filled cells, so it works for large tables, too. Each half step is the best answer of one side, so the objective can only fall. Do the guesses follow?

# %%
objective, quality = [], []
for _ in range(6):
    X = my_half_step(R, Y, 10.0, 3.0)
    objective.append(als_objective(table, X, Y, 10.0, 3.0))
    Y = my_half_step(R.T, X, 10.0, 3.0)
    objective.append(als_objective(table, X, Y, 10.0, 3.0))
    rows = per_account(dot(X.numpy(), Y.numpy()), events)
    quality.append(game.measure(rows)["mrr"])
assert (np.diff(objective) <= 0).all()
plots.descent(objective, quality, score["popularity in my language"]["mrr"])

# %% [markdown]
# *What to see:* most of the change comes in the first iterations.

# %% [markdown]
# ## 4. How far do they get?
#
# From here on we use the course's ALS with a cheaper, approximate step and 64 factors. Its settings ($\lambda = 10$, $\alpha = 3$) were chosen on this world and another.

# %%
vectors = factorization.fit_als(table)
als = dot(*vectors)
score["matrix factorization"] = game.measure(per_account(als, events), recall=(20,))
order = ["random", "popularity", "popularity in my language", "matrix factorization"]
order, metrics = [*order, "recent popularity", "oracle"], ("mrr", "recall@20")
plots.contest({m: {k: score[k][m] for k in order} for m in metrics})

# %%
mf, alike, recent = (
    score[name]["mrr"]
    for name in ("matrix factorization", "popularity in my language", "recent popularity")
)
guess.beside(f"{mf:.3f}: hardly above the counts of a language ({alike:.3f}), "
             f"and far below those of its last two days ({recent:.3f}).")  # fmt: skip

# %% [markdown]
# *What to see:* vectors beat counts of the same 42 days in recall; in MRR by so little that over five worlds it may be nothing. A count of two days, which knows nothing of the viewer but the language, beats them by far. Section 6 asks why. First we make sure that the numbers mean what they say.

# %% [markdown]
# ## 5. Three traps
#
# **Ties.** An account without a watch before the cut has the zero vector and scores 0 everywhere. Whoever computes a rank as *1 + number of better videos* gives it rank 1. We count a tie half.
#
# **Masking.** A factorization gives its highest scores to what was watched already. People seldom watch a video twice, so these videos must not compete.
#
# **Repeats.** If a repeated watch counts as an event, the model is paid for remembering. (For the same reason it learns from first watches.)


# %%
def mrr(events, score, masked=True, ties_won=False):
    user, video = events["user_id"].to_numpy(), events["video_id"].to_numpy()
    rows = np.array(score(user))
    if ties_won:
        rows[np.arange(len(rows)), video] += 1e-9  # a hair's breadth above its equals
    return mean_reciprocal_rank(ranks(rows, video, game.hidden(events) if masked else None))


later = world.logs().watches
later = later[(later["time"] >= game.at) & (later["video_id"] < table.shape[1])]
ways = {
    "as it should be": (events, {}),
    "ties are won": (events, {"ties_won": True}),
    "nothing is masked": (events, {"masked": False}),
    "repeats are events": (later, {}),
}
methods = {"matrix factorization": als, "recent popularity": floors["recent popularity"]}
traps = {w: {n: mrr(e, s, **how) for n, s in methods.items()} for w, (e, how) in ways.items()}
pd.DataFrame(traps).T.round(3)

# %% tags=["nbval-check-output"]
without = 1 - np.isin(events["user_id"], train.watches["user_id"]).mean()
repeats = 1 - len(events) / len(later)
print(f"{without:.1%} of the events are by accounts without a vector, {repeats:.1%} are repeats")
assert traps["ties are won"]["matrix factorization"] > 1.5 * mf

# %% [markdown]
# Three percent of events with a lucky rank 1 lift the MRR of the factorization by more than half. Without the mask the same model seems hopeless. Repeats are few here, so they do little.

# %% [markdown]
# ## 6. Vectors without a clock
#
# A vector blends 42 days. It cannot know that a video was in fashion three weeks ago and no longer is. If that is the reason, two things must help: **forgetting** all but the last week, although that throws away most of the data; and **adding a clock** by hand, $x_u^\top y_i + w \log(1 + n_i)$ with $n_i$ the watches of the last two days in the account's language.

# %%
week = dot(*factorization.fit_als(factorization.last_days(game, 7.0)))
score["factorization of the last week"] = game.measure(per_account(week, events), recall=(20,))
mixed = {w: factorization.with_clock(als, game, w) for w in (0, 0.05, 0.1, 0.2, 0.5, 1, 2)}
mixed = {w: game.measure(per_account(of, events), recall=(20,)) for w, of in mixed.items()}
lines = ["matrix factorization", "factorization of the last week", "recent popularity"]
plots.clock_weights(pd.DataFrame(mixed).T, pd.DataFrame(score).T.loc[lines])

# %% [markdown]
# *What to see:* the factorization of one week beats that of all weeks by far: less data, better guesses. And the sum of taste and fashion beats either; section 11 tries $w = 0.5$ in worlds that had no say in this choice. It is a patch: P1 gives the model itself a sense of time (chapter 04).

# %% [markdown]
# ## 7. The same two tables, trained by softmax
#
# P1 asks a different question of the same vectors: *which* of all videos is watched? With a constant $b_i$ for each video (its *bias*),
#
# $$P(i \mid u) = \frac{e^{x_u^\top y_i + b_i}}{\sum_j e^{x_u^\top y_j + b_j}},$$
#
# and the loss is the mean of $-\log P(i \mid u)$ over all filled cells, with a small penalty on $|x_u|^2$. There is no closed form; we follow the gradient in small batches.

# %%
model = factorization.softmax_factorization(game)
with torch.no_grad():
    odds = torch.exp(model.user[:5] @ model.video.T + model.bias)
    assert torch.allclose(odds, torch.exp(model(torch.arange(5))), rtol=1e-3)
score["softmax factorization"] = game.measure(per_account(model.scores, events), recall=(20,))
pd.DataFrame(score).T.loc[["matrix factorization", "softmax factorization"]].round(3)

# %% [markdown]
# Another loss, another way to minimise it, about the same quality. Both have one fixed vector for each account.

# %% [markdown]
# ## 8. Do the vectors know the taste?
#
# Guessing well and knowing a taste are two things; the second can be measured only in a simulated world. For each account we correlate the scores of 200 random videos of its language with the true interest (`world.truth.interest`), which has no part of fashion or quality. The softmax bias is the same for everybody and left out here.

# %%
watched = np.bincount(train.watches["user_id"], minlength=len(train.users))
accounts = np.random.default_rng(0).choice(np.flatnonzero(watched), 1_000, replace=False)
tables = model.user, model.video
methods = {
    "matrix factorization": als,
    "softmax factorization, without bias": dot(*(t.detach().numpy() for t in tables)),
    "factorization with a clock": factorization.with_clock(als, game),
    "recent popularity": floors["recent popularity"],
}
found = factorization.recovery(world, methods, accounts, game.at)
plots.taste_by_history(found, watched[accounts])

# %% [markdown]
# *What to see:* on the whole, the longer the history, the better the vectors know the taste (bars: 95% interval over accounts), yet the correlation stays far below 1. Tastes drift, accounts are shared, and a history holds much chance and fashion. Recent popularity, by far the better guesser, knows next to nothing about taste. The clock improves the guesses and dilutes the taste: a game that pays for the next watch pays for fashion first.

# %% [markdown]
# ## 9. How many factors, how much regularisation?
#
# In a tiny world (400 accounts) ALS takes a tenth of a second. We measure recall@20 twice: on the watches it was trained on (the account's other watches do not compete), and on those of the next days.

# %%
sliders(
    plots.factors_and_regularisation,
    factors=Choice([1, 2, 4, 8, 16, 32, 64, 128], 16),
    regularisation=Choice([0.1, 1.0, 10.0, 30.0, 100.0], 10.0),
)

# %% [markdown]
# The same at three settings:

# %%
plots.factors_at([(64, 0.1), (64, 10.0), (64, 100.0)])

# %% [markdown]
# *What to see:* with hardly any regularisation (left) more factors fit the past to perfection, and from some number on the future suffers: they learn chance by heart. With $\lambda = 10$ (middle) extra factors do no harm. With $\lambda = 100$ (right) all but one are pressed to zero. The grey line alone would choose many factors and no regularisation, one of the worst settings.

# %% [markdown]
# ## 10. The switch: a world of one taste
#
# Vectors beat the counts of a language. If that is because they know individual taste, the gain must vanish where all have the same one (dial `own_taste` at 0). Eight tiny worlds, each with the dial on and off; the gain is in recall@20.

# %%
from course.experiments.factor_settings import personal_gain

gains = pd.DataFrame({dial: [personal_gain(seed, own_taste=dial) for seed in range(8)]
                      for dial in (1.0, 0.0)})  # fmt: skip

# %%
for dial in gains:
    mean, half = plots.interval(gains[dial])
    print(f"own_taste={dial:g}: vectors minus counts of a language {mean:+.3f} ± {half:.3f}")
lost, half = plots.interval(gains[1.0] - gains[0.0])
print(f"so individual taste is worth {lost:+.3f} ± {half:.3f}")
assert lost > half

# %% [markdown]
# Without individual taste the vectors are worth no more than the counts.

# %% [markdown]
# ## 11. Five worlds: the truth check
#
# The *ledger* of this course repeats experiments in five worlds whose seeds were never used to choose a setting. We read its stored results. Further methods take part:
#
# * the **deep candidate generator** of chapter 03 in its simplest form (*depth 0*: no hidden layer; *watches only*): an account is the average of the vectors of its last 50 watches (its *bag*), then a linear map. P1 says that depth 0 did about as well as the factorization before it;
# * the same with **old bags**, which end a week before the cut, and with **all signals** of chapter 04 and a hidden layer;
# * a **network** on the two vectors (*MLP combiner*), which can in principle learn any combination, against a dot product, both trained alike against 100 random videos per batch (*negatives*).

# %%
results = claims.results("factorization")
keys = {
    "random": "random",
    "popularity in my language": "popularity in my language",
    "recent popularity": "recent popularity",
    "matrix factorization": "als",
    "factorization of the last week": "als of a week",
    "factorization with a clock": "als with a clock",
    "softmax factorization": "softmax",
    "dot product, 100 negatives": "dot product",
    "MLP combiner, 100 negatives": "MLP combiner",
    "deep candidates, depth 0": "deep 0",
    "deep candidates, old bags": "deep 0, bag a week old",
    "deep candidates, all signals": "deep all",
    "oracle": "oracle",
}
plots.contest({m: {name: results[f"{key}/{m}"] for name, key in keys.items()} for m in metrics})

# %%
with pd.option_context("display.max_colwidth", None):
    ledger = HTML(claims.table("02").drop(columns="detectable").to_html(index=False))
ledger

# %% [markdown]
# *What to see:* small dots are worlds, diamonds their mean with its 95% interval. The table compares within each world; a contrast *holds* when its whole interval lies where the claim says (P1-… from P1, R-… from related work); without a range it is only shown.
#
# **Not as in the paper.** The simplest deep generator guesses about twice as well as the factorization. Part of it is an unequal game: its bag runs on to the moment of the event, an account's vector ends at the cut; with bags that end there, too, the lead is about 70%. The rest we put down to the clock: the *last* 50 watches know the fashion. With old bags the same model is back at the level of the factorization.
#
# **As in the paper.** With all signals and a hidden layer the generator is better than both. But the factorization with a clock, two lines of code, is level with it here.
#
# **Dot product or network?** At equal data the dot product is better, a little in MRR, more in recall.
#
# ## Exercises
#
# **Exercise 1 · The weighted error of a table** (difficulty 1 of 3, 6 minutes). Given `watched` (accounts × videos, numbers of watches), `scores` (the same shape) and `alpha`, return the weighted squared error: the first sum of section 3, without the regularisation.
#
# <details><summary>Hint 1</summary>Three arrays of one shape: the target (0 or 1), the confidence, the squared error.</details>
# <details><summary>Hint 2</summary>A comparison gives the target; the confidence is 1 plus alpha times the number of watches.</details>


# %% tags=["exercise"]
def weighted_error(watched, scores, alpha):
    return ...  # your code


_ = check("02-objective", weighted_error)


# %% tags=["solution"]
def weighted_error(watched, scores, alpha):
    target = watched > 0
    return ((1 + alpha * watched) * (target - scores) ** 2).sum()


_ = check("02-objective", weighted_error)

# %% [markdown]
# **Exercise 2 · A rank with ties and hidden videos** (difficulty 2, 10 minutes). Given the `scores` of one account (videos,), the number `target` of the video that was watched and `hidden` (videos, True = does not compete), return the rank of the target; a tie counts half. Hidden videos may have any score.
#
# <details><summary>Hint 1</summary>Count the rivals above the target, then those that are level with it.</details>
# <details><summary>Hint 2</summary>Rivals are all videos that are not hidden, without the target itself.</details>


# %% tags=["exercise"]
def rank_of(scores, target, hidden):
    return ...  # your code


_ = check("02-rank", rank_of)


# %% tags=["solution"]
def rank_of(scores, target, hidden):
    rivals = ~hidden
    rivals[target] = False
    above = scores[rivals] > scores[target]
    level = scores[rivals] == scores[target]
    return 1 + above.sum() + level.sum() / 2


_ = check("02-rank", rank_of)

# %% [markdown]
# **Exercise 3 · The best vector of one account** (difficulty 3, 15 minutes). Given the `vectors` of all videos (videos, factors), how often one account `watched` each (videos,), `regularisation` and `alpha`, return the best vector of this account, with NumPy.
#
# <details><summary>Hint 1</summary>Section 3 has the formula; for one account the confidences are a vector.</details>
# <details><summary>Hint 2</summary>A diagonal matrix times a table multiplies each of its rows.</details>
# <details><summary>Hint 3</summary>np.linalg.solve(A, b) solves A x = b.</details>


# %% tags=["exercise"]
def best_vector(vectors, watched, regularisation, alpha):
    return ...  # your code


_ = check("02-half-step", best_vector)


# %% tags=["solution"]
def best_vector(vectors, watched, regularisation, alpha):
    weighted = (1 + alpha * watched)[:, None] * vectors
    left = vectors.T @ weighted + regularisation * np.eye(vectors.shape[1])
    return np.linalg.solve(left, weighted.T @ (watched > 0))


_ = check("02-half-step", best_vector)

# %% [markdown]
# ## Summary
#
# 1. Two tables of vectors can be learned in closed form, in turns, over all cells, the empty ones with little confidence.
# 2. They find taste in a table that is nearly empty, more of it the longer a history is; with one taste for all their gain is gone.
# 3. They have no clock. A count of two days guesses the next watch better, and the sum of both is better still.
# 4. Ties won and masks forgotten change a number by more than most models do.
# 5. Fit on training data says little; regularisation decides what extra factors learn.
#
# **What the papers say and we could not show here.** That depth 0 is about as good as a factorization (section 11). P1's was trained with a ranking loss, which we did not try. The sizes of effects are those of this world.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. Hu, Koren, Volinsky, *Collaborative Filtering for Implicit Feedback Datasets*, ICDM 2008. Rendle, Krichene, Zhang, Anderson, *Neural Collaborative Filtering vs. Matrix Factorization Revisited*, RecSys 2020.
