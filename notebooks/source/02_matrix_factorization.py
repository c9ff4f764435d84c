# ---
# course:
#   number: "02"
#   title: Matrix factorization
#   question: How far do two tables of vectors get?
#   paper: P1 section 3 (the predecessor system); Hu et al. 2008; Rendle et al. 2020
#   minutes: 100
#   lesson: matrix_factorization
# ---

# %% [markdown]
# # 02 · Matrix factorization
#
# **Promise.** You will guess who will watch what, from a vector for each account and one for each video. You find these vectors twice, first by solving equations and then by a training loop that you write. And you will know what such vectors can learn, and what they cannot.
#
# * **Papers.** The system that Covington et al. 2016 (P1, section 3) replaced was a matrix factorization. The method is from Hu et al. 2008; Rendle et al. 2020 ask whether a network should take the place of the dot product.
# * **You should know.** Chapters 00 and 01; what a dot product and a derivative are; a little PyTorch.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 100 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import nn
from torch.nn import functional

# %%
import pandas as pd
import seaborn as sns

from course import answer, contest, ledger, plots, simulate, tuning
from course.cast import cast
from course.tasks.next_watch import NextWatch, policy
from course.tasks.oracle import oracle
from course.widgets import Choice, predict, sliders

world = simulate("town", seed=7)
game = NextWatch(world.logs())
train = game.train  # what happened before day 42

# %% [markdown]
# The world is a *town*, which means 2,500 accounts, 2,000 videos and a log of 45 days. Where we need many worlds, we take *villages* of 400 accounts, 400 videos and 30 days. (In both, people's time is limited.)
#
# We keep the last three days of the log for testing; the moment at which they begin is called the *cut*. Three accounts will stay with us through the course. They were found by what they did:

# %%
players = cast(train)
players.table

# %% [markdown]
# ## 1. A table that is nearly empty
#
# Write down who watched what: a row for each account, a column for each video, a 1 where the two met. In a real system nearly all cells are empty, so only the filled ones are stored.


# %% tags=["export"]
def who_watched_what(logs):
    """The table (users, videos) of first watches, sparse float32: 1 where the two met."""
    pairs = logs.watches[["user_id", "video_id"]].drop_duplicates().to_numpy()
    shape = len(logs.users), len(logs.videos)
    return csr_matrix((np.ones(len(pairs), np.float32), pairs.T), shape)


# %%
table = who_watched_what(train)
print(f"{table.nnz:,} of {table.shape[0] * table.shape[1]:,} cells are filled")

# %% [markdown]
# Is there anything in this table that could be learned? Take a video and another one of the same language and topic. How many viewers do they share, compared with what chance would give?

# %%
speaks, topic = (train.videos[name].astype(str).to_numpy() for name in ("language", "topic"))
same_language, same_topic = speaks[:, None] == speaks, topic[:, None] == topic
other = ~np.eye(len(topic), dtype=bool)
shared = (table.T @ table).toarray()
viewers = table.sum(axis=0).A1
by_chance = np.outer(viewers, viewers) / table.shape[0]
kinds = {
    "same language, same topic": same_language & same_topic & other,
    "same language, another topic": same_language & ~same_topic,
    "another language": ~same_language,
}
pd.Series({k: shared[p].sum() / by_chance[p].sum() for k, p in kinds.items()}).round(2)

# %% [markdown]
# So the table has structure. Videos of one language share many more viewers than chance would give, and those of one topic share more still. A model that finds such groups by itself can guess which empty cells will be filled next.
#
# **The game.** Somebody is about to watch a video that is new to them, after the cut. Which one? Each such first watch is an *event*. (Videos uploaded after the cut are left out, since nobody could have learned about them.) A method gives every video a score for this account at this moment. We sort the videos that the account has not watched yet by their scores, and look up the *rank* of the one that was truly watched; the best rank is 1. Two numbers sum up all events:
#
# * **MRR**, the mean of 1/rank, asks whether the video stood near the very top;
# * **recall@100**, the share of events with a rank of at most 100, asks whether it would have been among the hundred candidates that a first stage hands on.
#
# Every method of this chapter is a function of `moments` (who asks, and when) that returns a row of scores for each. The simplest methods count.


# %% tags=["export"]
def popularity(logs, days=np.inf):
    """Watches (languages, videos) of the last days, counted by the language of the account."""
    recent = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    language = logs.users["language"].cat
    counts = np.zeros((len(language.categories), len(logs.videos)))
    cells = language.codes.to_numpy()[recent["user_id"]], recent["video_id"].to_numpy()
    np.add.at(counts, cells, 1.0)
    return counts


# %%
language = train.users["language"].cat.codes.to_numpy()
all_days, two_days = popularity(train), popularity(train, days=2)
chance = np.random.default_rng(0)
methods = {
    "random": lambda moments: chance.random((len(moments), game.videos)),
    "popularity in my language": lambda moments: all_days[language[moments.user]],
    "recent popularity": lambda moments: two_days[language[moments.user]],
}
found = {name: game.offline(method) for name, method in methods.items()}
found["oracle"] = game.offline(oracle(world, game), game.sample(600))
pd.DataFrame(found).T.round(3)

# %% [markdown]
# The first row is the floor. The last is a ceiling, by an oracle that knows everybody's true interests and how easily each video is found at that moment. It does not know which cards the page showed, nor who was in the middle of a series, so it is a high mark rather than a proven limit. (It is also slow, and was asked 600 events only.) In between stand two counts, over all 42 days and over the last two.

# %%
guess = predict(
    "02-floor",
    "We will learn a vector for each account and each video from all 42 days. Where will it stand?",
    ["below the count of 42 days", "between the two counts", "above both"],
)
guess

# %% [markdown]
# ## 2. Two tables of vectors
#
# Give every account $u$ a vector $x_u$ and every video $i$ a vector $y_i$, each of $d$ numbers (*factors*), and let the score be their dot product $x_u^\top y_i$. Accounts that like the same things will get similar vectors, if we choose them well. What is *well*?
#
# **The naive way** is to ask for $x_u^\top y_i = 1$ wherever the account watched the video, and to ignore the empty cells, since we know nothing about them. Think for a moment. Which vectors solve this perfectly?
#
# All equal ones do. If every vector is $(1, 0, 0, \dots)$, each filled cell gets its 1, and each empty cell, too. Nothing has been learned. The empty cells have to count.
#
# **Confidence.** An empty cell says little, since nearly always the two never met. A watch says more. Let $r_{ui}$ be how often $u$ watched $i$ (we count first watches, so it is 0 or 1). We aim at 1 where $r_{ui} > 0$ and at 0 elsewhere, which is written $[r_{ui} > 0]$, and give each cell a *confidence* $c_{ui} = 1 + \alpha\, r_{ui}$ as its weight (Hu, Koren, Volinsky 2008):
#
# $$\min_{x, y} \; \sum_{u,i} c_{ui}\,\big([r_{ui} > 0] - x_u^\top y_i\big)^2 + \lambda \Big(\sum_u |x_u|^2 + \sum_i |y_i|^2\Big).$$
#
# The last term, with its weight $\lambda$ (the *regularisation*), keeps the vectors short, so that an account with two watches does not get an extreme one.
#
# **Taking turns.** Both tables at once are hard to find. But suppose that all $y_i$ are given. Then the sum above falls apart into one small sum of squares for each account, and the best $x_u$ is where its derivative is zero:
#
# $$\Big(\sum_i c_{ui}\, y_i y_i^\top + \lambda I\Big)\, x_u = \sum_i c_{ui}\, [r_{ui} > 0]\, y_i .$$
#
# These are $d$ linear equations with $d$ unknowns. The trouble is that the sum on the left runs over all videos, for every account anew. Split the confidence into its 1 and its $\alpha r_{ui}$. Then the sum becomes $\sum_i y_i y_i^\top$, which is the same for everybody, plus $\alpha \sum_i r_{ui}\, y_i y_i^\top$, which needs only the videos that this account watched. That is what makes it affordable to count the empty cells, too.
#
# **Many accounts at once.** A machine is fast when it does the same for many accounts together, and then their lists of videos must stand in one rectangle. But one account has watched three videos and another three hundred. So short lists are filled up with *padding*, places that hold no watch and must not count.
#
# > **Exercise 1 · The best vectors** (building, 20 minutes). You get the vectors of what $B$ accounts watched, in $H$ places each, as `near` ($B$, $H$, $d$); how often, as `r` ($B$, $H$), where a 0 marks a place that is only padding; and `shared` ($d$, $d$), which is $\sum_i y_i y_i^\top + \lambda I$. Return the best vectors ($B$, $d$). Four lines are enough. (`now`, the vectors as they are, will be of use later; the best answer does not depend on it.)
#
# <details><summary>Hint 1</summary>The left side is <code>shared</code> plus a sum over the H places, each an outer product weighted by alpha times r. A batched matrix product does that sum for all accounts: (B, d, H) times (B, H, d).</details>
# <details><summary>Hint 2</summary>The right side sums the vectors of the places that are filled, each with its full confidence, 1 plus alpha times r. A padded place must add nothing.</details>
# <details><summary>Hint 3</summary><code>torch.linalg.solve</code> takes a whole batch of matrices (B, d, d) and of right sides (B, d), and returns the vectors (B, d) that each matrix turns into its right side.</details>


# %% tags=["exercise"]
def best_vectors(near, r, shared, alpha, now=None):
    """Best vectors (B, d), given what each watched: near (B, H, d), r (B, H), shared (d, d)."""
    ...  # your code


# %% tags=["solution", "export"]
def best_vectors(near, r, shared, alpha, now=None):
    """Best vectors (B, d), given what each watched: near (B, H, d), r (B, H), shared (d, d)."""
    extra = alpha * r  # what a watch counts beyond an empty cell; 0 where padded
    left = shared + (near * extra[:, :, None]).mT @ near
    right = ((extra + (r > 0))[:, None] @ near)[:, 0]
    return torch.linalg.solve(left, right)


# %%
best_vectors = answer("02-best-vectors", best_vectors)

# %% [markdown]
# **Packs.** One rectangle for everybody would be as wide as the longest list, and most of it would be padding. So we sort the accounts by the length of their lists and cut them into *packs* of neighbours, each only as wide as its own longest list.


# %% tags=["export"]
def packs(table, cells=12_000):
    """Packs of filled rows of a table: rows (B,), columns (B, H), values (B, H), padded by 0."""
    lengths = np.diff(table.indptr)
    order, found = np.argsort(lengths, kind="stable"), []
    order = order[lengths[order] > 0]
    while len(order):
        size = np.searchsorted(lengths[order] * np.arange(1, len(order) + 1), cells, "right")
        rows, order = np.split(order, [max(1, size)])
        place = np.arange(lengths[rows[-1]])
        real = place < lengths[rows, None]
        at = np.where(real, table.indptr[rows, None] + place, 0)
        columns, values = table.indices[at] * real, table.data[at] * real
        found.append((torch.from_numpy(rows), torch.from_numpy(columns), torch.from_numpy(values)))
    return found


# %%
places = [values.numel() for *_, values in packs(table)]
one = np.count_nonzero(np.diff(table.indptr)) * np.diff(table.indptr).max()
print(f"{table.nnz:,} watches, {sum(places):,} places in {len(places)} packs, {one:,} in one rectangle")

# %% [markdown]
# Now take turns. One half step finds the vectors of all accounts while those of the videos stay; the next does the reverse, and so on. This is *alternating least squares* (ALS).
#
# > **Exercise 2 · Taking turns** (building, 15 minutes). Write the loop. It renews vectors by `solve`, a function like yours (hand over `goal[rows]`, the vectors as they are, as its last argument). `of_users` and `of_videos` are packs of the table and of its transpose. Start from the given `x` (zeros) and `y` (small random numbers); work on copies of them. Each iteration first renews all of `x`, then all of `y`. Yield `x, y` after each iteration, so that we can watch.
#
# <details><summary>Hint 1</summary>Both half steps are the same code with the roles exchanged: write an inner loop over <code>((of_users, x, y), (of_videos, y, x))</code>.</details>
# <details><summary>Hint 2</summary>For each pack, hand the vectors <code>fixed[columns]</code> and the rest to <code>solve</code>, in the order of the arguments of <code>best_vectors</code>, and write what comes back into the rows of <code>goal</code>. Make <code>shared</code> anew before each half step.</details>


# %% tags=["exercise"]
def take_turns(of_users, of_videos, x, y, regularisation, alpha, iterations, solve=best_vectors):
    """Yield the tables x (users, d), y (videos, d) after each iteration of least squares."""
    ...  # your code


# %% tags=["solution", "export"]
def take_turns(of_users, of_videos, x, y, regularisation, alpha, iterations, solve=best_vectors):
    """Yield the tables x (users, d), y (videos, d) after each iteration of least squares."""
    x, y = x.clone(), y.clone()
    for _ in range(iterations):
        for packed, goal, fixed in ((of_users, x, y), (of_videos, y, x)):
            shared = fixed.T @ fixed
            shared.diagonal().add_(regularisation)
            for rows, columns, values in packed:
                near = functional.embedding(columns, fixed)  # fixed[columns], only faster
                goal[rows] = solve(near, values, shared, alpha, goal[rows])
        yield x, y


# %%
take_turns = answer("02-take-turns", take_turns)

# %% [markdown]
# Now run it, and look at two things after each iteration: the sum that ALS makes small, which can only fall, and the quality of the guesses, which nobody promised.


# %% tags=["export"]
def start(table, factors, seed=0):
    """Where ALS begins: zeros (users, d), and small random numbers (videos, d), float32."""
    random = torch.Generator().manual_seed(seed)
    kind = {"dtype": torch.float32}
    small = 0.1 / factors**0.5 * torch.randn(table.shape[1], factors, generator=random, **kind)
    small[torch.from_numpy(table.getnnz(axis=0) == 0)] = 0  # never watched: nothing to learn
    return torch.zeros(table.shape[0], factors, **kind), small


def dot(x, y):
    """A method from two tables: scores (n, videos) of the accounts that ask."""
    x, y = (np.asarray(vectors) for vectors in (x, y))
    return lambda moments: x[moments.user] @ y.T


# %%
of_users, of_videos, watched = packs(table), packs(table.T.tocsr()), torch.tensor(table.toarray())
rows = []
for x, y in take_turns(of_users, of_videos, *start(table, 32), 10.0, 3.0, iterations=6):
    errors = ((1 + 3.0 * watched) * (watched - x @ y.T) ** 2).sum()
    weighted = float(errors + 10.0 * ((x**2).sum() + (y**2).sum()))
    rows.append({"sum to be made small": weighted, **game.offline(dot(x, y))})
assert all(b["sum to be made small"] < a["sum to be made small"] for a, b in zip(rows, rows[1:]))
pd.DataFrame(rows, index=pd.RangeIndex(1, 7, name="iteration")).round(3)

# %% [markdown]
# The sum falls at every step, as it must. Most of what the guesses gain, they gain in the first iterations.
#
# **A cheaper step.** Solving $d$ equations for every account costs about $d^3$ multiplications, again in each iteration. But from one iteration to the next a vector moves little, so a few good steps from where it stands will do.
#
# Picture the sum of squares of one account as a bowl, whose lowest point is the best vector. In a long, narrow bowl, walking straight downhill goes to and fro between the walls. *Conjugate gradients* (Takács and others 2011) choose each direction so that it undoes nothing of what the steps before have won, and walk to the lowest point along it. After $d$ steps one would be at the bottom; we take three. A step only multiplies the matrix with a vector, so the matrix itself is never built. You may also read the function as a black box, into which vectors go and out of which better ones come.


# %% tags=["export"]
def better_vectors(near, r, shared, alpha, now, steps=3):
    """Vectors (B, d) nearer to the best ones than `now`, by conjugate gradients."""
    extra = alpha * r

    def scores(vectors):  # (B, d) -> (B, H)
        return torch.bmm(vectors[:, None], near.mT)[:, 0]

    def spread(weights):  # (B, H) -> (B, d)
        return torch.bmm(weights[:, None], near)[:, 0]

    left = spread(extra + (r > 0) - extra * scores(now)) - now @ shared
    direction, size = left, (left * left).sum(dim=1, keepdim=True)
    for _ in range(steps):
        image = direction @ shared + spread(extra * scores(direction))
        length = size / (direction * image).sum(dim=1, keepdim=True).clamp_min(1e-30)
        now, left = now + length * direction, left - length * image
        before, size = size, (left * left).sum(dim=1, keepdim=True)
        direction = left + size / before.clamp_min(1e-30) * direction
    return now


def als(table, factors=64, regularisation=10.0, alpha=3.0, iterations=15, seed=0, **options):
    """Vectors of users (users, d) and videos (videos, d) by alternating least squares, float32."""
    sides = packs(table), packs(table.T.tocsr())
    settings = regularisation, alpha, iterations
    options = {"solve": better_vectors, **options}
    *_, (x, y) = take_turns(*sides, *start(table, factors, seed), *settings, **options)
    return x.numpy(), y.numpy()


# %%
same = {"factors": 32, "iterations": 6}
for name, solve in (("best vectors", best_vectors), ("better vectors", better_vectors)):
    print(f"{name}: MRR {game.offline(dot(*als(table, **same, solve=solve)))['mrr']:.4f}")

# %% [markdown]
# At equal settings the two agree to the third digit. From here on we use the cheaper one, with 64 factors and 15 iterations. These numbers, $\lambda = 10$ and $\alpha = 3$ were chosen on development worlds, this one among them, and on none of the ledger's.

# %%
x, y = als(table)
methods["matrix factorization"] = dot(x, y)
found["matrix factorization"] = game.offline(methods["matrix factorization"])
order = ["random", "popularity in my language", "matrix factorization", "recent popularity", "oracle"]
measured = pd.DataFrame(
    [{"who": name, "measure": m, "value": found[name][m]} for m in ("mrr", "recall@100") for name in order]
)
plots.worlds(measured, panel="measure", label="higher is better", references=("random", "oracle"))

# %%
counted, mf, recent = (found[name] for name in order[1:4])
guess.beside(
    f"MRR {mf['mrr']:.3f} (recall@100 {mf['recall@100']:.3f}); the count of 42 days has "
    f"{counted['mrr']:.3f} ({counted['recall@100']:.3f}), that of two days {recent['mrr']:.3f} "
    f"({recent['recall@100']:.3f})."
)

# %% [markdown]
# *What to see:* compare the vectors with the count of the same 42 days first, then with the count of two days, which knows nothing about the viewer except the language. Section 4 asks why.
#
# **Neighbours.** First, what have the vectors found? Nobody told the model topics, formats or channels. Two videos are *neighbours* if their vectors point in nearly the same direction (the cosine of the angle between them is near 1).


# %% tags=["export"]
def neighbours(vectors, row, k=5):
    """The k rows of a table (n, d) whose directions are nearest to that of one row, best first."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    return np.argsort(-(unit @ unit[row]), kind="stable")[1 : k + 1]


# %%
players.neighbours(world, lambda video: neighbours(y, video))

# %% [markdown]
# And this is what our three accounts would be shown:

# %%
players.pages(world, lambda users: game.pages(methods["matrix factorization"], users))

# %% [markdown]
# The heavy viewer gets a page of their topic. The newcomer has no vector at all: zero scores everywhere, so the page is an accident of the order of the videos. And the shared account gets one page for two people, since it has one vector.
#
# **What the settings do.** How many factors does one need, and how much regularisation? In a village we can afford to try many. Each point below is a factorization. One line says how well it fits the watches that it was trained on, the other how well it guesses the days after.

# %%
from course.metrics import hit_rate, ranks

small = NextWatch(simulate("village", seed=3).logs())
small_table = who_watched_what(small.train)
filled, seen = small_table.nonzero(), small_table.toarray() > 0


def past_and_future(regularisation):
    """Recall@20 of factorizations, on their own past and on the days after, by factors."""
    rows = []
    for factors in (1, 2, 4, 8, 16, 32, 64, 128):
        x, y = als(small_table, factors, regularisation, iterations=8)
        # a watch of the past competes with what its account has not watched
        past = hit_rate(ranks((x @ y.T)[filled[0]], filled[1], seen[filled[0]]), 20)
        future = small.offline(dot(x, y), recall=(20,))["recall@20"]
        given = {"factors": factors, "setting": f"regularisation {regularisation:g}"}
        rows += [{**given, "who": "watches it was trained on", "recall@20": past},
                 {**given, "who": "the days after", "recall@20": future}]
    return pd.DataFrame(rows)


def one_scale(fig):
    """All panels from 0 to 1, and the legend below them, where it hides nothing."""
    handles, labels = fig.axes[-1].get_legend_handles_labels()
    fig.axes[-1].get_legend().remove()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    for ax in fig.axes:
        ax.set_ylim(0, 1.05)
    return fig


def settings_curve(regularisation):
    return one_scale(plots.lines(past_and_future(regularisation), "factors", "recall@20", log=True))


sliders(settings_curve, regularisation=Choice([0.1, 1.0, 10.0, 30.0, 100.0], 10.0))

# %% [markdown]
# The same at three settings, for those who read without running:

# %%
three = pd.concat([past_and_future(regularisation) for regularisation in (0.1, 10.0, 100.0)])
one_scale(plots.lines(three, "factors", "recall@20", panel="setting", log=True))

# %% [markdown]
# *What to see:* with hardly any regularisation (left), many factors fit the past perfectly and guess the future worse than a few do. With very much of it (right), more factors change nothing.
#
# Whoever looked at the fit alone would choose many factors and no regularisation, and would have learned chance by heart.
#
# ## 3. Three ways to fool yourself
#
# Before we compare further, make sure that the numbers mean what they say. Here are three mistakes that make an evaluation lie. We measure the first two.
#
# * **Ties.** An account without a watch scores 0 everywhere. Whoever computes a rank as *1 + how many are better* gives such an account rank 1, every time.
# * **Masks.** The highest scores of a factorization belong to what the account has watched already. Nobody needs these again, so they must not compete.
# * **Repeats.** If watching again counts as an event, a model is paid for remembering.
#
# > **Exercise 3 · A rank that cannot be fooled** (warm-up, 10 minutes). Given the `scores` of one account (videos,), the `target` that was watched and which videos are `hidden` (videos, True = does not compete), return the rank of the target. A tie counts half: with two videos above and two that are level, the rank is $1 + 2 + 2/2 = 4$. The target always competes, and the inputs must stay as they are.
#
# <details><summary>Hint</summary>Rivals are all videos that are not hidden, without the target. Count those above, then those that are level.</details>


# %% tags=["exercise"]
def rank_of(scores, target, hidden):
    """Rank of one video (1 = best) among those that are not hidden; a tie counts half."""
    ...  # your code


# %% tags=["solution", "export"]
def rank_of(scores, target, hidden):
    """Rank of one video (1 = best) among those that are not hidden; a tie counts half."""
    rivals = ~hidden
    rivals[target] = False
    above, level = scores > scores[target], scores == scores[target]
    return 1 + above[rivals].sum() + level[rivals].sum() / 2


# %%
rank_of = answer("02-rank", rank_of)

# %% [markdown]
# What does each mistake do? We measure 2,000 events in the right way and in two wrong ones, by the same factorization.

# %%
from course.tasks.next_watch import Moments

events = game.sample(2_000)
moments, targets = Moments.of_events(game.logs, events), events["video_id"].to_numpy()
scored, hidden = methods["matrix factorization"](moments), game.hidden(moments)
nothing = np.zeros(game.videos, dtype=bool)
right = [rank_of(s, t, h) for s, t, h in zip(scored, targets, hidden)]
ties_won = [1 + ((s > s[t]) & ~h).sum() for s, t, h in zip(scored, targets, hidden)]
unmasked = [rank_of(s, t, nothing) for s, t in zip(scored, targets)]
ways = {"as it should be": right, "ties are won": ties_won, "nothing is hidden": unmasked}
print(f"{(~scored.any(axis=1)).mean():.1%} of the events are by accounts without a vector")
pd.Series({way: np.mean(1 / np.array(rank)) for way, rank in ways.items()}, name="MRR").round(3)

# %% [markdown]
# A few percent of lucky ranks are enough to make the model look much better than it is. Forgetting the mask makes the same model look hopeless.
#
# ## 4. Vectors without a clock
#
# Why does a count of two days beat vectors that know something of the taste of every account? Here is a guess. A vector blends 42 days, and cannot know that a video was in fashion three weeks ago and no longer is. If the missing clock is the reason, then two things should help. One is **forgetting** all but the last week, although that throws away most of the data. The other is **adding a clock** by hand to the score $s_{ui}$ of video $i$ for account $u$,
#
# $$s_{ui} = x_u^\top y_i + w \log(1 + n_i),$$
#
# where $n_i$ counts the watches of video $i$ in the last two days, in the language of the account, and $w$ is the weight of the clock.

# %%
from dataclasses import replace

last_week = train.watches[train.watches["time"] >= game.at - 7]
week = als(who_watched_what(replace(train, watches=last_week)))
fashion = np.log1p(two_days)


# %% tags=["export"]
def with_clock(method, fashion, language, weight=0.5):
    """A method plus `weight` times what is in fashion (languages, videos) where each one lives."""
    return lambda moments: method(moments) + weight * fashion[language[moments.user]]


# %%
clock = {
    weight: game.offline(with_clock(methods["matrix factorization"], fashion, language, weight))
    for weight in (0, 0.1, 0.2, 0.5, 1, 2, 5)
}
methods["factorization of the last week"] = dot(*week)
methods["factorization with a clock"] = with_clock(methods["matrix factorization"], fashion, language)
for name in ("factorization of the last week", "factorization with a clock"):
    found[name] = game.offline(methods[name])
rows = pd.DataFrame(clock).T.rename_axis("weight of the clock").reset_index()
fig, ax = plots.figure(height=3.6, alt="MRR over the weight of the clock; three levels for comparison")
sns.lineplot(rows, x="weight of the clock", y="mrr", marker="o", ax=ax, label="factorization + clock")
for name in ("matrix factorization", "factorization of the last week", "recent popularity"):
    ax.axhline(found[name]["mrr"], linestyle="--", color=plots.colour(name), label=name)
ax.set(xscale="symlog", ylabel="MRR", ylim=(0, None))
ax.legend(ncols=2)
fig

# %% [markdown]
# *What to see:* forgetting helps, and in this world the sum of taste and fashion beats either of the two. (We keep the weight $w = 0.5$, a choice made on this world; the ledger tries it in worlds that had no say in it.)
#
# That a clock helps does not yet prove that the *lack* of one was the trouble. The proof needs a world without the cause. The simulator has such a dial: with `freshness=0` no video goes out of fashion. If the guess is right, the count of two days must lose its lead there. (It need not lose all of it, since even there a video of yesterday has had one day to be counted and not 42.)

# %%
def leads(seed, freshness):
    """Lead in MRR of the count of two days over two methods without a clock, in a village."""
    g = NextWatch(simulate("village", seed=seed, freshness=freshness).logs())
    spoken, vectors = g.train.users["language"].cat.codes.to_numpy(), als(who_watched_what(g.train), 16)
    two, every = (popularity(g.train, days) for days in (2, np.inf))
    recent = g.offline(lambda moments: two[spoken[moments.user]])["mrr"]
    count = g.offline(lambda moments: every[spoken[moments.user]])["mrr"]
    return {"over the count of 42 days": recent - count,
            "over the vectors": recent - g.offline(dot(*vectors))["mrr"]}


rows = [
    {"who": f"freshness {dial:g}", "rival": rival, "lead": lead}
    for dial in (1.0, 0.0)
    for seed in range(6)
    for rival, lead in leads(seed, dial).items()
]
plots.worlds(pd.DataFrame(rows), "lead", panel="rival", label="lead of two days (MRR)", zero=True,
             alt="Lead of the recent count, six villages with and without fashions")

# %% [markdown]
# *What to see:* each dot is a village. Compare the two rows: how much of each lead is left without fashions?
#
# Whatever is left over the vectors needs another explanation. One suspect is the size of a village, where there is little to learn vectors from; the ledger repeats the test in towns. P1's answer to the missing clock is to give the model itself a sense of time, in chapter 04.

# %% [markdown]
# ## 5. The same two tables, trained by softmax
#
# Least squares looked at each cell by itself. P1 asks another question of the same vectors: *which* of all videos is watched? Give each video one more number, a *bias* $b_i$ for how popular it is, and turn the scores of an account into probabilities,
#
# $$P(i \mid u) = \frac{e^{x_u^\top y_i + b_i}}{\sum_j e^{x_u^\top y_j + b_j}}.$$
#
# Now every watch is an example, in which this one video was the right answer among all. The loss is the mean of $-\log P(i \mid u)$ over the watches, plus a small penalty $\lambda\,|x_u|^2$. No equations give the best vectors this time, so we walk downhill, a few hundred watches at a time.


# %% tags=["export"]
class SoftmaxFactorization(nn.Module):
    """Two tables of vectors and a bias for each video; P(i | u) is a softmax of x_u y_i + b_i."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.user = nn.Parameter(0.1 * torch.randn(users, factors, generator=random))
        self.video = nn.Parameter(0.1 * torch.randn(videos, factors, generator=random))
        self.bias = nn.Parameter(torch.zeros(videos))

    def forward(self, user, video=None):
        """Scores of accounts (B,) for all videos, for the same k (k,), or for own ones (B, k)."""
        rows = slice(None) if video is None else video
        x, y = self.user[user], self.video[rows]
        products = x @ y.T if y.ndim == 2 else (x[:, None] * y).sum(dim=2)
        return products + self.bias[rows]


# %% [markdown]
# The first version of a training loop fits on a board. Everything that is trained in this course is trained by a loop like this one:
#
# 1. shuffle the examples and cut them into batches;
# 2. compute the loss of a batch;
# 3. forget the old gradients, compute the new ones (`backward`), and let the optimizer take a step.
#
# > **Exercise 4 · The loop** (building, 25 minutes). Train `model` on the watches `user`, `video` (int64, both (n,)) with Adam at the learning rate `rate`, for so many `passes` over the data, in batches of 512. The loss of a batch is the mean cross-entropy of `model(user)` and `video`, plus `decay` (our $\lambda$) times the mean of $|x_u|^2$ over the batch. Draw the order of each pass with a generator seeded by `seed`. Return the list of the losses, one for each step. Where `negatives` is a number, compare the watched video not with all, but with so many videos drawn evenly, the same for the whole batch: use `few_scores`, which is given.
#
# <details><summary>Hint 1</summary><code>torch.randperm(n, generator=random).split(512)</code> gives the row numbers of each batch.</details>
# <details><summary>Hint 2</summary><code>functional.cross_entropy(scores, label)</code> takes scores (B, classes) and the number of the right class (B,). With <code>few_scores</code> the right class is always number 0.</details>
# <details><summary>Hint 3</summary>A step has three lines: the optimizer's <code>zero_grad</code>, the loss's <code>backward</code>, the optimizer's <code>step</code>, in this order.</details>


# %% tags=["export"]
def few_scores(model, user, video, negatives, random):
    """Scores (B, 1 + negatives): first the watched video's, then those of videos drawn evenly."""
    others = torch.randint(len(model.bias), (negatives,), generator=random)
    hit = others == video[:, None]  # drawn by accident: it is no negative
    wrong = model(user, others).masked_fill(hit, -torch.inf)
    return torch.cat([model(user, video[:, None]), wrong], dim=1)


# %% tags=["exercise"]
def fit_pairs(model, user, video, passes=3, rate=0.01, decay=0.01, negatives=None, seed=0):
    """Train on watches user (n,), video (n,) by softmax over videos; the loss of each step."""
    ...  # your code


# %% tags=["solution", "export"]
def fit_pairs(model, user, video, passes=3, rate=0.01, decay=0.01, negatives=None, seed=0):
    """Train on watches user (n,), video (n,) by softmax over videos; the loss of each step."""
    random = torch.Generator().manual_seed(seed)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=rate, fused=True), []
    for _ in range(passes):
        for rows in torch.randperm(len(user), generator=random).split(512):
            u, v = user[rows], video[rows]
            if negatives is None:
                loss = functional.cross_entropy(model(u), v)
            else:
                scores = few_scores(model, u, v, negatives, random)
                loss = functional.cross_entropy(scores, torch.zeros_like(v))
            loss = loss + decay * (model.user[u] ** 2).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %%
fit_pairs = answer("02-fit-pairs", fit_pairs)

# %% [markdown]
# Here is the loss of each step, over three passes. A model that holds all videos for equally likely has the loss $\log V$ with $V$ videos, which is where it begins. (Natural logarithms are counted in *nats*.)


# %% tags=["export"]
def pairs(table):
    """The filled cells of a table as accounts (n,) and videos (n,), int64 tensors."""
    cells = table.tocoo()
    return torch.from_numpy(cells.row).long(), torch.from_numpy(cells.col).long()


def method_of(model):
    """A method from a model of accounts: scores (n, videos) without gradients."""

    def scores(moments):
        with torch.no_grad():
            return model(torch.from_numpy(moments.user)).numpy()

    return scores


# %%
model = SoftmaxFactorization(*table.shape)
losses = fit_pairs(model, *pairs(table))
methods["softmax factorization"] = method_of(model)
found["softmax factorization"] = game.offline(methods["softmax factorization"])
fig, ax = plots.figure(height=3.2, alt="The loss of each step falls quickly, then slowly")
ax.plot(losses, linewidth=0.8)
ax.axhline(np.log(game.videos), linestyle="--", color=plots.colour("random"))
ax.set(xlabel="step", ylabel="loss (nats)", title="Dashed: all videos equally likely")
fig

# %%
pd.DataFrame(found).T.loc[["matrix factorization", "softmax factorization"]].round(3)

# %% [markdown]
# Another loss, made small in another way, leads about as far. What both models share is that each account has one fixed vector; chapter 03 tries a vector that is computed.
#
# ## 6. Should a network replace the dot product?
#
# A dot product is a very simple way to combine two vectors. Why not let a network find a better one? If we lay the two vectors end to end and send them through layers that are wide enough, the network can come near any way of combining them, the dot product among them. Whether it learns such a way from our data is the question.
#
# > **Exercise 5 · A network on two vectors** (building, 15 minutes). Write `forward` of the *MLP combiner*: a layer on each of the two vectors (a layer on both laid end to end is the sum of one layer for each), ReLU, a second layer, ReLU, and a last one that gives one number; then add the bias of the video. Like the model above it scores all videos, the same k videos for everybody, or each account's own.
#
# <details><summary>Hint</summary><code>self.from_user(...)</code> is (B, 64) and needs a place for the videos: <code>[:, None]</code>. <code>self.from_video(...)</code> is (k, 64) or (B, k, 64). Their sum is what the first ReLU gets.</details>


# %% tags=["exercise"]
class MLPCombiner(SoftmaxFactorization):
    """The same tables and biases, combined by a network with ReLU layers of 64 and 32 units."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__(users, videos, factors, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.from_user, self.from_video = nn.Linear(factors, 64), nn.Linear(factors, 64)
            self.second, self.last = nn.Linear(64, 32), nn.Linear(32, 1)

    def forward(self, user, video=None):
        """Scores of accounts (B,) for all videos, for the same k (k,), or for own ones (B, k)."""
        ...  # your code


# %% tags=["solution", "export"]
class MLPCombiner(SoftmaxFactorization):
    """The same tables and biases, combined by a network with ReLU layers of 64 and 32 units."""

    def __init__(self, users, videos, factors=64, seed=0):
        super().__init__(users, videos, factors, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.from_user, self.from_video = nn.Linear(factors, 64), nn.Linear(factors, 64)
            self.second, self.last = nn.Linear(64, 32), nn.Linear(32, 1)

    def forward(self, user, video=None):
        """Scores of accounts (B,) for all videos, for the same k (k,), or for own ones (B, k)."""
        rows = slice(None) if video is None else video
        vectors, bias = self.video[rows], self.bias[rows]
        first = self.from_user(self.user[user])[:, None] + self.from_video(vectors)
        return self.last(self.second(first.relu()).relu())[..., 0] + bias


# %%
MLPCombiner = answer("02-combiner", MLPCombiner)

# %% [markdown]
# **A fair contest.** Both are trained by the loop above on the same watches, each against 100 videos drawn evenly. But which learning rate, how many passes, what penalty? A network may want others than a dot product, and a contest at the settings of one of the two is no contest. So *both* are tuned over the same grid, on three worlds that are not used for the comparison:

# %%
tuned = tuning.load("tuning_combiners")
tuned.recipes().round(3)

# %% [markdown]
# Read the last column first. A best value at the edge of its grid, or a search that was stopped, means that a recipe is not final, and so neither is what follows from it.
#
# With these recipes the two met in worlds that had no part in the tuning:

# %%
results = ledger.results("factorization")
rivals = {"dot product": "dot product", "MLP combiner": "MLP combiner"}
met = pd.DataFrame(
    [
        {"who": name, "measure": measure, "value": value}
        for measure in ("mrr", "recall@100")
        for name, key in rivals.items()
        for value in results[f"{key}/{measure}"]
    ]
)
plots.worlds(met, panel="measure", label="higher is better")

# %%
difference = results["dot product/mrr"] - results["MLP combiner/mrr"]
mean, half = plots.interval(difference)
print(f"dot product minus network, MRR: {mean:+.4f} ± {half:.4f} over {len(difference)} worlds")

# %% [markdown]
# *What to see:* the dot product is ahead, although a network can come near any way of combining two vectors. That it *can* does not mean that our data teach it to. (The comparison is made within each world, so the differences between worlds drop out.)
#
# Whatever the contest says, there is also the cost. Among millions of videos, those with the largest dot products can be found without looking at all of them (chapter 03). A network would have to be run for every one.
#
# ## 7. Do the vectors know the taste?
#
# Guessing the next watch well and knowing what somebody likes are two things. The second can be measured in a simulated world only: `world.truth.interest` tells how well the subject of a video fits a person, without fashion or quality. For 600 accounts we correlate the scores of 200 random videos in their language with that truth.

# %%
rng = np.random.default_rng(0)
watched_so_far = np.diff(table.indptr)
accounts = rng.choice(np.flatnonzero(watched_so_far), 600, replace=False)
pools = [np.flatnonzero(speaks == train.users["language"].iloc[a]) for a in accounts]
drawn = np.stack([rng.choice(pool, min(200, min(map(len, pools))), replace=False) for pool in pools])
truth = world.truth.interest(accounts[:, None], drawn, game.at - 0.3)


def follows(scores):
    """Correlation of scores (accounts, videos) with the true interest, for each account."""
    given = np.take_along_axis(scores, drawn, axis=1)
    return np.array([np.corrcoef(a, b)[0, 1] if a.std() else np.nan for a, b in zip(given, truth)])


knowing = {
    "matrix factorization": x[accounts] @ y.T,
    "softmax factorization": (model.user[accounts] @ model.video.T).detach().numpy(),
    "recent popularity": two_days[language[accounts]],
}
groups = pd.cut(watched_so_far[accounts], [0, 10, 20, 40, 80, 10_000]).rename_categories(
    ["1-10", "11-20", "21-40", "41-80", "over 80"]
)
rows = [
    pd.DataFrame({"who": name, "watches so far": groups, "correlation": follows(scores)})
    for name, scores in knowing.items()
]
fig, ax = plots.figure(height=3.8, alt="Correlation with true interest by length of history")
sns.pointplot(pd.concat(rows), x="watches so far", y="correlation", hue="who", dodge=0.2, ax=ax,
              palette={name: plots.colour(name) for name in knowing}, errorbar=("se", 1.96))
ax.axhline(0, color="grey", linewidth=0.8)
ax.legend(title="")
fig

# %% [markdown]
# *What to see:* the vectors know the taste of those best who have watched most, and even there they are far from knowing it well. The recent count, which guesses so well, knows next to nothing about it.
#
# **The switch.** If it is individual taste that the vectors have learned, then they must be worth nothing more than a count in a world where all people like the same. The dial for this is `own_taste`.

# %%
def gain_of_vectors(seed, own_taste):
    """Recall@20 of ALS minus that of the count of all days, for accounts with a history."""
    g = NextWatch(simulate("village", seed=seed, own_taste=own_taste).logs())
    spoken, counts = g.train.users["language"].cat.codes.to_numpy(), popularity(g.train)
    known = g.events[g.events["user_id"].isin(g.train.watches["user_id"])].reset_index(drop=True)
    vectors = als(who_watched_what(g.train), factors=16, iterations=8)
    count = g.offline(lambda moments: counts[spoken[moments.user]], known, (20,))
    return g.offline(dot(*vectors), known, (20,))["recall@20"] - count["recall@20"]


gains = pd.DataFrame(
    [
        {"who": f"own taste {dial:g}", "gain in recall@20": gain_of_vectors(seed, dial)}
        for dial in (1.0, 0.0)
        for seed in range(8)
    ]
)
plots.worlds(gains, "gain in recall@20", zero=True, alt="Vectors minus counts, eight villages")

# %%
both = gains.pivot_table(index=gains.groupby("who").cumcount(), columns="who", values="gain in recall@20")
mean, half = plots.interval(both["own taste 1"] - both["own taste 0"])
print(f"what individual taste is worth, world by world: {mean:+.3f} ± {half:.3f} in recall@20")

# %% [markdown]
# ## What the ledger says
#
# The claims of this chapter, over worlds that were not used to choose any setting; every other line stands in the ledger's own page.

# %%
ledger.show("02")

# %% [markdown]
# ## Challenge
#
# > **A recommender of your own** (open, an hour or an evening). Build the best recommender that you can from this chapter: two tables, a clock, counts, anything. `contest` trains it on worlds that you have not seen and puts its pages in front of simulated people. The score is the share of the way from random pages (0) to an oracle's (1). As a start, here is the factorization with a clock:

# %%
def my_recommender(logs):
    """A recommender from the logs of a world that it has never seen."""
    vectors, spoken = als(who_watched_what(logs)), logs.users["language"].cat.codes.to_numpy()
    fashion = np.log1p(popularity(logs, days=2))
    return policy(with_clock(dot(*vectors), fashion, spoken), len(logs.videos))


scored = contest(my_recommender)
scored

# %% [markdown]
# ## Summary
#
# 1. Two tables of vectors, multiplied, can fill an empty table, if its empty cells count a little and its filled ones much.
# 2. Least squares finds the vectors of one side at a time by solving equations; a softmax over all videos needs a loop, and gets about as far.
# 3. The vectors find topics and tastes that nobody told them; in worlds with one taste for all, that gain shrinks or goes.
# 4. They have no clock. Where videos go out of fashion, a count of two days beats them; where they do not, it loses most of its lead. Forgetting helps; whether the sum of taste and fashion beats fashion alone, the ledger's worlds do not decide.
# 5. Whoever lets the target win its ties, or forgets to hide what was watched already, measures something else.
#
# **Limits.** P1's predecessor was trained with a ranking loss, which we did not try. All sizes of effects are those of this world, in which fashion is strong and histories are short.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. Hu, Koren, Volinsky, *Collaborative Filtering for Implicit Feedback Datasets*, ICDM 2008. Takács, Pilászy, Tikk, *Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering*, RecSys 2011. Rendle, Krichene, Zhang, Anderson, *Neural Collaborative Filtering vs. Matrix Factorization Revisited*, RecSys 2020.
