# ---
# course:
#   number: "01"
#   title: A simulated YouTube
#   question: What do the logs look like, and what do they hide?
#   paper: P1 section 1, P2 sections 1 and 5, P2 Fig. 6
#   minutes: 110
#   lesson: clicks
# ---

# %% [markdown]
# # 01 · A simulated YouTube
#
# **Promise.** You will write the law by which simulated people click and the ranking that chose what they saw. Then you will read the log that the two leave behind, and recover from it, without looking at the truth, how far down a page people look.
#
# * **Papers.** Covington et al. 2016 (P1), section 1: scale, freshness, noise. Zhao et al. 2019 (P2): position bias (Figure 6), locally sparse data (section 5).
# * **You should know.** Python, pandas, what a probability is, and chapter 00. No machine learning.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 110 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import numpy as np
import pandas as pd

# %%
import seaborn as sns
from sklearn.metrics import roc_auc_score

from course import answer, contest, ledger, plots, simulate
from course.cast import cast, shelves
from course.simulator import laws
from course.simulator.behaviour import COMPONENTS, EXAMINATION_EXPONENT, TASKS, TIME_BY_DAYPART, TIME_MINUTES
from course.simulator.names import DEVICES
from course.simulator.policies import offered, top
from course.simulator.streams import coins
from course.widgets import FloatSlider, predict, sliders

world = simulate("town", seed=7)
logs = world.logs()
logs

# %% [markdown]
# The world is a *town* of 2,500 accounts and 2,000 videos; the log covers 45 days. Where we need many worlds we take *villages* of 400 accounts, 400 videos and 30 days. The three accounts of chapter 00 are here again:

# %%
players = cast(logs)
players.table

# %% [markdown]
# ## 1. The law of a click
#
# It is the evening after the log. Our three accounts open the home page. The platform nominates 30 candidates for each, and the ranking that is in use puts ten of them on the page:


# %%
def asks(users, seed=0):
    """Who opens the home page on the evening after the log, and what the platform sees of it."""
    engine, n, day = world.engine, len(users), world.config.days
    engine.market.open(day)
    device = engine.people.device_weights[users].argmax(axis=1)  # the one each of them uses most
    situation = engine.behaviour.situation(users, np.full(n, day + 0.8), device)
    rng, nobody = np.random.default_rng(seed), np.full(n, -1)
    return situation, engine.requests(situation, nobody, engine.memory, -1 - np.arange(n), rng)


situation, requests = asks(players.users)
pages = world.past_ranking()(requests)
shelves(world, {"the heavy viewer's page": pages[0, :5]})

# %% [markdown]
# Will the first card be clicked? A person meets a video, and what they see in it comes down to thirteen numbers, the *ingredients*. There is taste, and appetite for this topic on this device at this time of day (*context*). There are quality, *clickbait* (how much the card promises beyond what the video holds) and *packaging* (how well title and picture are made). There are length, freshness, how familiar channel and series are, and how often the card was shown before (*fatigue*). The others say whether the language is *foreign*, whether the video was watched already (*rewatch*), whether it is too easy or too special for this person (*ladder*), and whether they have had enough of its genre (*satiation*). Most ingredients no platform can see.
#
# Each ingredient has a *weight*, which changes a little with the format, the device and the time of day. Here are the ingredients and weights of this card for this viewer:

# %%
behaviour, memory = world.engine.behaviour, world.engine.memory
saw = behaviour.components(situation, pages, memory)  # (3 accounts, 10 cards, 13)
weigh = behaviour.weights[TASKS.index("click"), behaviour.weight_row(situation, pages)]
start = behaviour.intercepts["click"]
card = pd.DataFrame({"ingredient": saw[0, 0], "weight": weigh[0, 0]}, index=COMPONENTS)
card["product"] = card["ingredient"] * card["weight"]
card.T.round(2)

# %% [markdown]
# The law has two steps. First the position has to be looked at. On a device $\delta$ that happens at position $k$ with the probability $\theta_{\delta k}$, which falls from 1 at the top by a power of $k$.
#
# Then the card has to be wanted. The products are added up, from a start that makes an average card unlikely: $z=\text{start}+\sum_j\text{weight}_j\cdot\text{ingredient}_j$. The sum can be any number, and the *sigmoid* $\sigma(z)=1/(1+e^{-z})$ makes a probability of it. So
#
# $$P(\text{click})=\theta_{\delta k}\cdot p,\qquad p=\sigma(z).$$


# %% tags=["export"]
def looked_at(position, steepness):
    """P(a position, counted from 1, is looked at): it falls by a power, from 1 at the top."""
    return np.asarray(position, float) ** -steepness


# %% [markdown]
# > **Exercise 1 · The law of a click** (warm-up, 5 minutes). `ingredients` and `weights` are (..., 13), one card for each row; `seen` (...) is the probability that its position is looked at; `start` is a number. Return the probabilities of a click (...).
#
# <details><summary>Hint 1</summary>Multiply, and add up along the last axis: <code>.sum(axis=-1)</code>.</details>
# <details><summary>Hint 2</summary>The look stands outside the sigmoid. It multiplies the probability of wanting.</details>


# %% tags=["exercise"]
def click_probability(ingredients, weights, start, seen):
    """P(click) (...): the position is looked at (...), and then the card (..., 13) is wanted."""
    ...  # your code


# %% tags=["solution", "export"]
def click_probability(ingredients, weights, start, seen):
    """P(click) (...): the position is looked at (...), and then the card (..., 13) is wanted."""
    z = start + (np.asarray(weights) * ingredients).sum(axis=-1)
    return seen / (1 + np.exp(-z))


# %%
click_probability = answer("01-click", click_probability)

# %%
device = situation.device[:, None]
seen = looked_at(np.arange(1, 11), EXAMINATION_EXPONENT[device])
mine = click_probability(saw, weigh, start, seen)
truth = world.truth.click_probability(
    situation.user[:, None], pages, situation.time[:, None], device, np.arange(1, 11)
)
print(f"first card: {mine[0, 0]:.3f}; largest difference from the world's own: {abs(mine - truth).max():.0e}")

# %% [markdown]
# Those lines *are* how people click in this world. Now move the same card down the page, on each device:

# %%
everywhere = pd.DataFrame(
    {"position": k, "device": name, "P(click)": click_probability(saw[0, 0], weigh[0, 0], start, looked_at(k, s))}
    for name, s in zip(DEVICES, EXAMINATION_EXPONENT) for k in range(1, 11)
)  # fmt: skip
plots.lines(everywhere, "position", "P(click)", "device", alt="One card at ten positions")

# %% [markdown]
# *What to see:* one card, one viewer, one wish, and thirty click rates. On the TV they fall far more steeply than on the desktop.
#
# ## 2. Who chose the cards
#
# People can click only what they are shown. The log was made by the *past ranking*, which knows nothing of the truth. It gives every candidate a score of three parts:
#
# * **Relevance**, half of it *fit*, which is the account's share of watches in the candidate's topic and whether it follows the channel, and half of it the candidate's click rate so far.
# * **Incumbency**, how often the candidate has been watched by anybody, whoever asks.
# * **Luck**, fresh for each page.
#
# Parts in different units cannot be added. So each is first brought to mean 0 and standard deviation 1 among the candidates of the page.


# %% tags=["export"]
def among_candidates(x):
    """Numbers (pages, candidates) on one scale: mean 0 and standard deviation 1 on each page."""
    x = x - x.mean(axis=1, keepdims=True)
    return x / (x.std(axis=1, keepdims=True) + 1e-6)


# %% [markdown]
# > **Exercise 2 · The past ranking** (building, 20 minutes). All arrays are ($B$, candidates). Add up three parts. *Relevance* is (fit + rate) / √2: fit is √`share` + 0.2 `follows`, and rate is the logarithm of (`clicks` + 2) / (`shown` + 50), each by `among_candidates`. *Incumbency* is log(1 + `watches`) by `among_candidates`. `luck` counts as it is. The weights of the three are 1, 1 and 0.5, unless other ones are given. Last, what the account has `watched` already (True or False) loses 10, which puts it at the end.
#
# <details><summary>Hint 1</summary><code>np.log1p(x)</code> is log(1 + x). True counts as 1, so <code>10 * watched</code> is 10 or 0.</details>
# <details><summary>Hint 2</summary>Bring fit and rate to one scale each, and add them afterwards; the other order gives one of them more say.</details>


# %% tags=["exercise"]
def past_score(share, follows, clicks, shown, watches, luck, watched, weights=(1.0, 1.0, 0.5)):
    """Scores (B, candidates) of the ranking that made the log: relevance, incumbency, luck."""
    ...  # your code


# %% tags=["solution", "export"]
def past_score(share, follows, clicks, shown, watches, luck, watched, weights=(1.0, 1.0, 0.5)):
    """Scores (B, candidates) of the ranking that made the log: relevance, incumbency, luck."""
    fit = among_candidates(np.sqrt(share) + 0.2 * follows)
    rate = among_candidates(np.log((clicks + 2) / (shown + 50)))
    incumbency = among_candidates(np.log1p(watches))
    parts = (fit + rate) / np.sqrt(2), incumbency, luck
    return sum(w * part for w, part in zip(weights, parts, strict=True)) - 10 * watched


# %%
past_score = answer("01-past-ranking", past_score)

# %%
videos, user = requests.candidates, requests.user[:, None]
catalogue, topics = world.engine.catalogue, memory.topic_watches[requests.user]
share = topics / (topics.sum(axis=1, keepdims=True) + 5)
known = {
    "share": np.take_along_axis(share, catalogue.topic[videos], axis=1),
    "follows": memory.follows[user, catalogue.channel[videos]],
    "clicks": memory.video_clicks[videos],
    "shown": memory.video_impressions[videos],
    "watches": memory.video_watches[videos],
    "luck": 12**0.5 * (coins(world.seed, "past ranking", requests.request[:, None], videos) - 0.5),  # even luck, standard deviation 1
    "watched": memory.seen[user, videos],
}
agree = (top(past_score(**known), videos, 10) == pages).mean()
print(f"{agree:.0%} of the cards stand where the world's own ranking puts them")

# %% [markdown]
# (The 2 clicks in 50 showings are taken as given, so that a new video with one lucky click does not jump to the top.)
#
# Now both hands that write the log are known. One puts videos where it expects clicks; the other looks at the top first.
#
# ## 3. What is written down
#
# The platform writes down watches, and *impressions*, which are cards that were shown, clicked or not. Here are some that were clicked; `time` counts days since the start of the log.

# %%
columns = ["user_id", "time", "device", "video_id", "position", "clicked", "watched_seconds"]
impressions = logs.impressions
impressions.loc[impressions["clicked"], columns].sample(4, random_state=0).round(1)

# %% [markdown]
# Most watches do not come from the two pages of the feed (`home` and `up_next`). People browse a topic, follow a link from outside, search, or go on with a series:

# %%
logs.watches["source"].value_counts(normalize=True).round(2).to_frame("share of watches")

# %%
met = len(logs.watches.drop_duplicates(["user_id", "video_id"]))
print(f"{met / (len(logs.users) * len(logs.videos)):.1%} of all pairs of an account and a video ever met in a watch")

# %% [markdown]
# An empty pair rarely means "does not like it". Nearly always it means that the two never met. And this is a town. P1's first difficulty, **scale**, is that methods which do well on small problems fail on YouTube's.
#
# P1's second difficulty is **freshness**. Take all videos that were uploaded from day 3 to day 21, without choosing among them, and count their watches by age. Beside it stands the law of how often people come upon a video of each age, and the same count in a town where the dial `freshness` stands at 0:


# %%
def lives(logs, days=24):
    """Share of the watches at each age (days,) of the videos uploaded from day 3 to day 21."""
    uploaded = logs.videos["uploaded"].to_numpy()[logs.watches["video_id"]]
    age = (logs.watches["time"] - uploaded)[(uploaded >= 3) & (uploaded < 21)]
    count = np.histogram(age, np.arange(days + 1))[0]
    return count / count.sum()


young = catalogue.uploaded[(catalogue.uploaded >= 3) & (catalogue.uploaded < 21)]
which, age = np.isin(catalogue.uploaded, young), np.arange(24) + 0.5
law = laws.popularity(age[:, None], catalogue.base_popularity[which], catalogue.peak_days[which]).sum(axis=1)
still = simulate("town", seed=7, freshness=0)
curves = {"the law": law / law.sum(), "the log": lives(logs), "the log, freshness 0": lives(still.logs())}
rows = [{"who": n, "age in days": a, "share": s} for n, c in curves.items() for a, s in zip(age, c)]
plots.lines(pd.DataFrame(rows), "age in days", "share", label="share of the watches")

# %% [markdown]
# *What to see:* the watches rise and fall as the law does, only earlier and more steeply. With freshness at 0 the hump is all but gone, and what is left is a slow decline (a growing catalogue in which nobody watches twice would do that, but this is a guess). Chapter 04 gives a model a clock.
#
# ## 4. Much about few, little about many
#
# P2 adds that the data are *locally sparse*: plenty for some videos, next to nothing for many. To see it, estimate the click rate of each video by clicks divided by showings, and compare it with the truth, in ten groups of equally many videos.
#
# How far off should such an estimate be? A showing is a coin that comes up "click" with the probability $P$, so its variance is $P(1-P)$. The variance of the mean of $n$ independent coins is $n$ times smaller.
#
# > **Exercise 3 · How far off is a click rate?** (warm-up, 5 minutes). `rate` and `shown` are arrays: the click rates of videos, and how often each was shown. Return the standard error of each rate, which is the root of its variance.
#
# <details><summary>Hint</summary>The variance of one showing, over the number of showings; then the root.</details>


# %% tags=["exercise"]
def standard_error(rate, shown):
    """Standard errors of click rates, each the mean of so many showings."""
    ...  # your code


# %% tags=["solution", "export"]
def standard_error(rate, shown):
    """Standard errors of click rates, each the mean of so many showings."""
    return np.sqrt(rate * (1 - rate) / shown)


# %%
standard_error = answer("01-noise", standard_error)


# %% tags=["export"]
def known_rates(video, clicked, chance):
    """Of each video, how often it was shown and how far its rate is off; of showings (n,)."""
    frame = pd.DataFrame({"video": video, "clicked": clicked, "rate": chance})
    table = frame.groupby("video").mean()
    table["shown"] = frame.groupby("video").size()
    table["off by"] = (table["clicked"] - table["rate"]).abs() / table["rate"]
    return table


# %%
hidden = world.true_table("impressions")
video, clicked = (impressions[name].to_numpy() for name in ("video_id", "clicked"))
chance = (hidden["p_seen"] * hidden["p_click_if_seen"]).to_numpy()
rates = known_rates(video, clicked, chance)
tenth = pd.qcut(rates["shown"].rank(method="first"), 10, labels=range(1, 11)).astype(int)
rates["by the formula"] = 0.67 * standard_error(rates["rate"], rates["shown"]) / rates["rate"]
by_tenth = rates.groupby(tenth).median()
by_tenth[["shown", "off by", "by the formula"]].round(2).T

# %% [markdown]
# (Half of what chance does lies within 0.67 standard errors.) The typical video of the top tenth is known well. In the lowest tenths it was never clicked, so its estimate is 0 and off by all of its rate. Even so long a log says little about half of the catalogue.
#
# Is it *because* they were shown so little, or are these videos of a kind that is hard to know? Take the cause away: keep at most 60 showings of each video, drawn at random.

# %%
order = np.random.default_rng(0).permutation(len(video))
nth = pd.Series(video[order]).groupby(video[order]).cumcount().to_numpy()
few = order[nth < 60]
thinned = known_rates(video[few], clicked[few], chance[few])
both = {"all showings": rates["off by"], "at most 60 of each": thinned["off by"],
        "the formula": rates["by the formula"].clip(upper=1)}  # fmt: skip
rows = [{"who": n, "tenth": k, "off by": v} for n, r in both.items() for k, v in r.groupby(tenth).median().items()]
plots.lines(pd.DataFrame(rows), "tenth", "off by", label="error of the typical video", alt="Ten groups, least shown first")

# %% [markdown]
# *What to see:* with at most 60 showings, the typical video of the top tenth is off by several times as much, so the number of showings is a cause. It is not the only one, for the line still falls. (That is in the formula, too: at equal $n$, a rate is better known, relative to its size, the higher it is.)
#
# So counting fails where most videos are, and one way out is to let similar videos help each other. That is what the vectors of chapter 02 do.
#
# ## 5. How much of a click is the position?
#
# Cards at the top are clicked far more often than those at the end. Two things could do that, and we built both: the ranking puts better cards higher, and people look there first.

# %%
guess = predict(
    "01-position",
    "From position 1 to position 10 the click rate falls by some factor. Count it in halvings. "
    "How many of the halvings come from better cards standing higher, rather than from where people look?",
    ["nearly all", "about half", "a third or less"],
)  # fmt: skip
guess

# %% [markdown]
# **The naive way** takes the mean of $\theta$ and the mean of $p$ at each position and hopes that their product is the click rate. It is not, since the mean of a product is not the product of the means. If people look further on a desktop *and* want more of what they see there, the two go together.
#
# The remedy is to ask what is wanted *of the cards that are looked at*. With sums over the cards at position $k$,
#
# $$\underbrace{\frac{\sum\theta p}{n}}_{\text{click rate}}=\underbrace{\frac{\sum\theta}{n}}_{\text{bias}}\cdot\underbrace{\frac{\sum\theta p}{\sum\theta}}_{\text{relevance}}.$$
#
# Now the product is exact. And halvings of factors add up, so one may speak of shares.


# %% tags=["export"]
def split(position, seen, wanted):
    """Click rate at each position as bias times relevance (of what is looked at), exactly."""
    table = pd.DataFrame({"click rate": seen * wanted, "bias": seen}).groupby(position).mean()
    table["relevance"] = table["click rate"] / table["bias"]
    return table


def halvings(table, first=1, last=10):
    """How many times each column of a table over positions halves from one to another."""
    return np.log2(table.loc[first] / table.loc[last])


# %%
position = impressions["position"].to_numpy()
parts = split(position, hidden["p_seen"].to_numpy(), hidden["p_click_if_seen"].to_numpy())
relative = (parts / parts.loc[1]).rename_axis("position").reset_index()
relative["clicks in the log"] = impressions.groupby("position")["clicked"].mean().to_numpy()
relative["clicks in the log"] /= relative["clicks in the log"][0]
fig = plots.lines(relative.melt("position", var_name="who"), "position", label="relative to position 1",
                  alt="Click rate and its two factors")  # fmt: skip
fig.axes[0].set(yscale="log")
fig

# %%
fall = halvings(parts)
guess.beside(", ".join(f"{name} {n:.2f} halvings" for name, n in fall.items())
             + f", so relevance has {fall['relevance'] / fall['click rate']:.0%} of them")  # fmt: skip

# %%
nine = impressions.groupby("position")["clicked"].mean()
print(f"in the log the click rate falls {nine[1] / nine[9]:.0f}-fold over nine positions")

# %% [markdown]
# *What to see:* the click rate, expected and in the log, falls faster than either factor, and the larger part of its fall is bias. P2's Figure 6 shows an 11-fold fall over nine positions; how much of it is bias, nobody can read off.
#
# Is this split more than arithmetic? If the two causes are what we say, then switching one off must leave what we gave to the other. In several villages we switch the look's preference for the top off (`position_bias=0`), then the ranking's care (its weights of relevance and incumbency at 0, so that pages are random), then both (stored results; `python3 -m course reproduce click_switches` makes them anew):

# %%
stored = ledger.results("click_switches", tidy=True)
settings = ["as it is", "all positions looked at", "random pages", "both"]
shown = stored[stored["who"].isin(settings) & stored["metric"].isin(["click rate", "bias", "relevance"])]
plots.worlds(shown, panel="metric", label="halvings, position 1 to 10", zero=True, sharex=True)

# %% [markdown]
# *What to see:* without position bias the fall of the click rate (left) is nearly what relevance had; with random pages it is nearly what bias had; with both switched off there is none. As it is, relevance is the smaller part in each of these villages.
#
# Turn the dials yourself. Each move simulates ten days of a fresh village.


# %%
turned = {}


def two_causes(position_bias, ranking):
    """Click rate and its two factors over positions, in a village with these dials."""
    if (position_bias, ranking) not in turned:
        village = simulate("village", seed=3, cache=False, days=10, future_days=0, position_bias=position_bias,
                           logger_relevance=ranking, logger_incumbency=ranking)  # fmt: skip
        true, at = village.true_table("impressions"), village.logs().impressions["position"].to_numpy()
        turned[position_bias, ranking] = split(at, true["p_seen"].to_numpy(), true["p_click_if_seen"].to_numpy())
    table = 100 * turned[position_bias, ranking][["click rate", "relevance"]]
    words = ", ".join(f"{name} {n:.1f}" for name, n in halvings(turned[position_bias, ranking]).items())
    fig, ax = plots.figure(width=6.6, height=3.4, alt=f"Halvings from the top to the end: {words}.")
    sns.lineplot(table.rename_axis("position").reset_index().melt("position", var_name="what"), x="position",
                 y="value", hue="what", style="what", markers=True, dashes=False, ax=ax,
                 palette=[plots.colour(name) for name in table])  # fmt: skip
    ax.set(ylim=(0, 40), ylabel="%", title=f"Halvings: {words}")
    ax.legend(title="")
    return fig


sliders(
    two_causes,
    position_bias=FloatSlider(0.0, 2.0, 0.5, 1.0, label="steepness of the look"),
    ranking=FloatSlider(0.0, 3.0, 0.5, 1.0, label="care of the past ranking"),
)

# %% [markdown]
# Three settings:

# %%
for dials in ((0, 1), (1, 1), (1, 0)):
    plots.show(two_causes(*dials))

# %% [markdown]
# *What to see:* without bias the click rate *is* the relevance (the two lines are one). With random pages relevance is nearly flat, so the click rate shows the bias directly, but the cards are wanted less.
#
# **A warning, and P1's third difficulty, noise.** How well can one tell clicks from the other showings? Draw a clicked card and an unclicked one at random. The *AUC* is the chance that the clicked one has the higher score. Guessing gives 0.5.

# %%
scores = {"everything that is true": chance, "the wish p alone": hidden["p_click_if_seen"],
          "the look alone": hidden["p_seen"]}  # fmt: skip
pd.Series({name: roc_auc_score(clicked, score) for name, score in scores.items()}).round(2)

# %% [markdown]
# Even the whole truth stays below 1, as a click is a coin; that is the ceiling for this log. And a score that knows nothing but device and position looks like a decent model.
#
# ## 6. The bias, without the truth
#
# A platform has no truth table. But the same video stood at position 1 on some pages and at position 4 on others, and it took its relevance along. So compare each video *with itself*. Let video $i$ have $n_{ik}$ showings at position $k$, and clicks in $n^+_{ik}$ of them. Alone, it would say that clicks at $k$ are $(n^+_{ik}/n_{ik})\,/\,(n^+_{i1}/n_{i1})$ times as frequent as at the top. A rarely shown video says this with a lot of noise, or divides by 0. So do not average these quotients. Take the two click rates, add up each of them over all videos with the weight $n_{i1}n_{ik}/(n_{i1}+n_{ik})$, which is large only where a video stood often at both places, and divide the sums:
#
# $$\hat\theta_k/\hat\theta_1=\sum_i\frac{n^+_{ik}\,n_{i1}}{n_{i1}+n_{ik}}\Big/\sum_i\frac{n^+_{i1}\,n_{ik}}{n_{i1}+n_{ik}}.$$
#
# (Mantel and Haenszel, 1959, for medical statistics, with hospitals in the place of videos.)


# %% tags=["export"]
def count(video, position, clicked, videos, positions=10):
    """Clicks and showings (videos, positions) of a log: video, position from 1, clicked (n,)."""
    cell, size = video * positions + position - 1, videos * positions
    tables = np.bincount(cell, clicked, size), np.bincount(cell, minlength=size).astype(float)
    return [table.reshape(videos, positions) for table in tables]


# %% [markdown]
# > **Exercise 4 · The bias from the log** (building, 20 minutes). `clicks` and `shown` are (videos, positions) of a log in which better videos stand higher. Return how much each position is looked at, relative to position 1: an array (positions,) that begins with 1. The formula above does it. So does any other method that gets as near to the truth of hidden worlds.
#
# <details><summary>Hint 1</summary><code>shown[:, :1]</code> is (videos, 1) and meets all positions at once; sum over <code>axis=0</code>.</details>
# <details><summary>Hint 2</summary>A video may never have stood at 1 nor at k. Then the sum below is 0, and above it, too: divide by at least 1.</details>
# <details><summary>Another way</summary>Give each video a rate and each position a factor, and fit them in turns until they settle.</details>


# %% tags=["exercise"]
def bias_from_log(clicks, shown):
    """How much positions are looked at, relative to the first (positions,)."""
    ...  # your code


# %% tags=["solution", "export"]
def bias_from_log(clicks, shown):
    """How much positions are looked at, relative to the first (positions,)."""
    both = np.maximum(shown + shown[:, :1], 1)
    here = (clicks * shown[:, :1] / both).sum(axis=0)
    at_the_top = (clicks[:, :1] * shown / both).sum(axis=0)
    return here / at_the_top


# %%
bias_from_log = answer("01-same-video", bias_from_log)

# %% [markdown]
# People look further down on a desktop than on a TV, so we take the devices one by one. The truth also lets us do what nobody else can. We let the same people meet the same pages 100 times, with new coins each time. That tells us how much of a miss is chance.

# %%
on = impressions["device"].cat.codes.to_numpy()
rng, places = np.random.default_rng(0), np.arange(1, 11)


def found(rows, clicked):
    return bias_from_log(*count(video[rows], position[rows], clicked, len(logs.videos)))


estimates, again = {}, {}
for d, name in enumerate(DEVICES):
    rows = on == d
    estimates[name] = found(rows, clicked[rows])
    again[name] = np.array([found(rows, rng.random(rows.sum()) < chance[rows]) for _ in range(100)])

# %%
truly = {name: looked_at(places, s) for name, s in zip(DEVICES, EXAMINATION_EXPONENT)}
off = ", ".join(f"{name} {abs(estimates[name] - truly[name]).max():.3f}" for name in DEVICES)
fig, ax = plots.figure(height=3.8, alt=f"P(looked at) by position, found and true. Largest differences: {off}.")
for name, points in estimates.items():
    ax.plot(places, truly[name], label=name, color=plots.colour(name))
    ax.errorbar(places, points, 2 * again[name].std(axis=0), fmt="o", color=plots.colour(name), capsize=3)
ax.set(xlabel="position", ylabel="P(looked at), relative to the top", xticks=places)
ax.legend(title="lines: the truth")
fig

# %% [markdown]
# *What to see:* the points, found without any truth, lie near the lines, and nearly all within what chance explains (bars of two standard deviations).
#
# Nearly all: is there something left that more data would not cure? On the phone, take the mean of the 100 repetitions instead of the one log, so that chance is out of it:

# %%
phone = on == 0
alike = pd.Series(hidden["p_click_if_seen"].to_numpy()[phone]).groupby(video[phone]).transform("mean").to_numpy()
same = np.array([found(phone, rng.random(phone.sum()) < hidden["p_seen"][phone] * alike) for _ in range(100)])
naive = split(position[phone], hidden["p_seen"].to_numpy()[phone], hidden["p_click_if_seen"].to_numpy()[phone])["click rate"].to_numpy()
naive = naive / naive[0]
misses = {"click rates, read as they are": naive[None], "each video with itself": again["phone"],
          "the same, where a video is wanted alike everywhere": same}  # fmt: skip
pd.DataFrame({
    name: {"mean miss, positions 2 to 10": (t.mean(axis=0) - truly["phone"])[1:].mean(), "standard deviation by chance": t[:, 1:].std(axis=0).mean()}
    for name, t in misses.items()
}).T.round(4)  # fmt: skip

# %% [markdown]
# A small miss stays, and it says that people look down less than they do. The reason could be that a video does *not* quite take its relevance along: the ranking puts it higher for viewers whom it fits. The last row takes that away and nothing else. Each video is wanted alike, by its own mean, wherever it stood; and the miss is gone.
#
# How large it is differs from town to town. As a share of what click rates, read as they are, would miss (stored results):

# %%
towns = ledger.results("click_log")
(towns["phones/each video with itself"] / towns["phones/click rates as they are"]).round(2).to_frame("share of the miss that stays").T

# %% [markdown]
# So comparing each video with itself takes away most of the error, and not always all of it. Chapter 10 returns to this with better tools.
#
# ## 7. A click is not satisfaction
#
# Clickbait has a positive weight in the law of a click. After a watch, people judge by other weights, and there clickbait counts against a video. Here is the first card again, with its clickbait turned from low to high and nothing else:

# %%
bait = COMPONENTS.index("clickbait")
judge = behaviour.weights[TASKS.index("survey"), behaviour.weight_row(situation, pages)]


def with_bait(amount):
    """P(click | looked at) and expected stars of the first card, with so much clickbait."""
    turned = saw[0, 0].copy()
    turned[bait] = amount
    stars = laws.mean_rating(behaviour.intercepts["survey"] + (turned * judge[0, 0]).sum())
    return {"P(click | looked at)": click_probability(turned, weigh[0, 0], start, 1.0), "stars": stars}


pd.DataFrame({f"clickbait {amount:+d}": with_bait(amount) for amount in (-2, -1, 0, 1, 2)}).T.round(3)

# %% [markdown]
# That was one card. In the log, loud videos might be worse for other reasons. So compare the loudest quarter of the videos with the calmest, in worlds with the dial `clickbait` at 1 and at 0. The difference that goes away is what clickbait does:

# %%
loud = stored[stored["who"].str.startswith("clickbait")]
plots.worlds(loud, panel="metric", label="loudest quarter minus calmest", zero=True)

# %% [markdown]
# *What to see:* with clickbait the loud quarter is wanted more and liked less. At 0 no difference in clicks can be told from chance, and that in stars is slight and of the other sign.
#
# (The ledger also takes the ingredient out of the very same cards, as we did with one, and finds the same.) A system that learns from clicks alone may show people what they regret; chapters 07 and 08 are about that.
#
# ## 8. Time is short
#
# Nobody has endless time. In this world a person comes with an amount of time that is drawn anew for each page. Its mean is longer for the TV and the evening; most people have less than that, a few much more. Nobody watches for longer than the time that is left, and what one watch takes, the next one on that page does not get.
#
# > **Exercise 5 · What is left** (building, 10 minutes). `wanted` ($B$, $k$) holds the seconds for which the clicked videos of each page would be watched, from the top of the page down (0 without a click); `has` ($B$,) is the time that the person has. Return the seconds that are watched ($B$, $k$).
#
# <details><summary>Hint 1</summary><code>wanted.cumsum(axis=1) - wanted</code> is what was wanted further up.</details>
# <details><summary>Hint 2</summary>What is left is never below 0.</details>


# %% tags=["exercise"]
def watched_seconds(wanted, has):
    """Seconds watched (B, k), if each page's watches (B, k) share the time that one has (B,)."""
    ...  # your code


# %% tags=["solution", "export"]
def watched_seconds(wanted, has):
    """Seconds watched (B, k), if each page's watches (B, k) share the time that one has (B,)."""
    left = has[:, None] - (wanted.cumsum(axis=1) - wanted)
    return np.minimum(wanted, left.clip(min=0))


# %%
watched_seconds = answer("01-time", watched_seconds)

# %% [markdown]
# The dial `time_budget` says how scarce time is; at 0 it has no end. What does that do to a long video?


# %%
spent = {}
STEPS = [0, 2, 5, 10, 20, 40]


def scarce(time_budget):
    """Minutes per click by the length of the video, and share watched of first and second clicks."""
    if time_budget not in spent:
        tables = simulate("village", seed=3, cache=False, days=10, future_days=0, time_budget=time_budget).logs()
        clicks = tables.impressions[tables.impressions["clicked"]]
        length = tables.videos["duration_seconds"].to_numpy()[clicks["video_id"]] / 60
        spent[time_budget] = pd.DataFrame({
            "length": pd.cut(length, [*STEPS, 999], labels=[*(f"up to {s}" for s in STEPS[1:]), "over 40"]),
            "minutes": clicks["watched_seconds"] / 60,
            "share": clicks["watched_seconds"] / 60 / length,
            "click": clicks.groupby("request_id").cumcount().map({0: "first", 1: "second"}),
        })  # fmt: skip
    table = spent[time_budget]
    by_click = table.groupby("click")["share"].mean()
    words = f"scarcity {time_budget:g}: {table['minutes'].sum() / 60:.0f} hours watched"
    fig, axes = plots.figure(2, height=3.0, alt=f"{words}; share watched " + ", ".join(f"{n} {x:.2f}" for n, x in by_click.items()) + ".")
    sns.barplot(table, x="length", y="minutes", color=plots.colour("observed"), errorbar=None, ax=axes[0])
    sns.barplot(table, x="click", y="share", order=by_click.index, color=plots.colour("observed"), errorbar=None, ax=axes[1])
    axes[0].set(ylim=(0, 14), xlabel="length of the video, minutes", ylabel="minutes per click", title=words)
    axes[1].set(ylim=(0, 0.6), xlabel="click on a page", ylabel="share watched", title="first and second")
    axes[0].tick_params(axis="x", rotation=30)
    return fig


sliders(scarce, time_budget=FloatSlider(0.0, 4.0, 0.5, 1.0, label="scarcity of time (0 = no end)"))

# %% [markdown]
# Three settings:

# %%
for dial in (0, 1, 4):
    plots.show(scarce(dial))

# %% [markdown]
# *What to see:* where time has no end, a click on a long video brings the most minutes. The scarcer it is, the sooner that turns round; and the second click on a page gets less than the first.
#
# Does the second click get less *because* the first took the time, or because time is short anyway? We take what people wanted (the clicks of the endless world), draw the times that they have, and let the second click once share the time and once have a fresh amount of its own:

# %%
endless = simulate("village", seed=3, time_budget=0).logs()
clicks = endless.impressions[endless.impressions["clicked"]]
nth = clicks.groupby("request_id").cumcount()
length = pd.Series(endless.videos["duration_seconds"].to_numpy()[clicks["video_id"]], clicks.index)
wanted, lengths = (v.groupby([clicks["request_id"], nth]).first().unstack() for v in (clicks["watched_seconds"], length))
first = clicks[nth == 0]
mean = 60 * TIME_MINUTES[first["device"].cat.codes] * TIME_BY_DAYPART[first["daypart"].cat.codes]
rng, wish = np.random.default_rng(0), wanted.fillna(0).to_numpy()
times = [laws.time_budget(mean, *rng.random((2, len(mean)))) for _ in range(2)]
second = {
    "as much time as one wants": wish,
    "a fresh amount of time": watched_seconds(np.c_[0 * wish[:, 0], wish[:, 1:]], times[1]),
    "what the first click left": watched_seconds(wish, times[0]),
}
pd.Series({name: np.nanmean(w[:, 1] / lengths[1]) for name, w in second.items()}).round(2).to_frame("share watched of second clicks")

# %% [markdown]
# Both. Short time costs something by itself, and the first click takes its part on top. So in this world a minute that one video wins is in part a minute that another one loses.
#
# ## 9. What can be read
#
# Titles and pictures are made from what a video is, with noise. The dial `content` says how much they tell. Take pairs of videos whose titles share a word that is not everywhere. How often are they of the same topic?


# %% tags=["export"]
def same_topic(logs):
    """Share of pairs of videos with the same topic: of those with a word in common, and of all."""
    tokens = logs.content.title_tokens[: len(logs.videos)]
    topic = logs.videos["topic"].cat.codes.to_numpy()
    has = np.zeros((len(tokens), len(logs.content.vocabulary)))
    row, column = np.nonzero(tokens >= 0)
    has[row, tokens[row, column]] = 1
    rare = has[:, has.mean(axis=0) < 0.05]
    other, same = ~np.eye(len(topic), dtype=bool), topic[:, None] == topic
    common = (rare @ rare.T > 0) & other
    return {"a word in common": same[common].mean(), "any two": same[other].mean()}


# %%
told = {dial: same_topic(simulate("village", seed=3, content=dial, days=2, future_days=0).logs()) for dial in (0, 1, 2)}
pd.DataFrame(told).rename_axis("pairs").rename(columns="content {}".format).round(3)

# %% [markdown]
# With the dial at 0 a common word says next to nothing. As it is, such a pair shares its topic several times as often as any two do. So something can be known of a video that nobody has watched yet.
#
# ## 10. The pages of three accounts
#
# Each chapter ends with what its system would show our three accounts. So far the system is the past ranking:

# %%
players.pages(world, lambda users: world.past_ranking()(asks(users)[1]))

# %% [markdown]
# Which of these cards would they want, and where would they look?

# %%
wants = click_probability(saw, weigh, start, 1.0)
pd.DataFrame({
    "best p on the page": wants.max(axis=1),
    "stands at position": wants.argmax(axis=1) + 1,
    "expected clicks": mine.sum(axis=1),
    "expected clicks, best order": (-np.sort(-wants, axis=1) * seen).sum(axis=1),
}, players.table.index).round(2)  # fmt: skip

# %% [markdown]
# *What to see:* on none of the three pages does the card that is wanted most stand at the top. The same ten cards in the best order would be clicked more.
#
# ## What the ledger says
#
# The claims of this chapter, over worlds that were not used to choose any setting; every other line stands in the ledger's own page.

# %%
ledger.show("01")

# %% [markdown]
# ## Challenge
#
# > **A fairer count** (open, an hour or an evening). The past ranking trusts click rates, in which the position is mixed. You can take it out. Rank the nominated candidates by anything that you can count in the log, and get closer to an oracle of clicks than the past ranking does. As a start, here are clicks per *look*. (`offered` gives the candidates of each request, and `top` the best of them by their scores.)


# %%
def my_ranking(logs):
    """Candidates by clicks per look, from the log of a hidden world."""
    shown = logs.impressions
    where = shown["position"].to_numpy(), EXAMINATION_EXPONENT[shown["device"].cat.codes]
    video, size = shown["video_id"].to_numpy(), len(logs.videos)
    looks = np.bincount(video, looked_at(*where), size)
    rate = (np.bincount(video, shown["clicked"], size) + 1) / (looks + 15)

    def policy(requests):
        known = np.append(rate, np.full(requests.available, 1 / 15))  # a new video: one click in 15 looks
        return top(known[offered(requests)], offered(requests), requests.slate)

    return policy


scored = contest(my_ranking, world="village", worlds=3, candidates="nominated")
scored

# %% [markdown]
# (It takes the steepness of the look from the world. With `bias_from_log` you need not.)
#
# ## Summary
#
# 1. A click in this world is a look times a wish, and the log is written by two hands: a ranking that chose the cards, and people who look at the top first.
# 2. Most pairs of an account and a video never met; and about half of the videos the log says little, in good part because it showed them little.
# 3. The click rate of a position is bias times relevance, exactly, if relevance is that of what is looked at. Here bias is the larger part, and each part stays when the other is switched off.
# 4. The bias can be found without the truth, by comparing each video with itself. What is left is chance, and a miss because the ranking knows whom a video fits.
# 5. Clickbait is clicked more and liked less; and where time is short, a watch takes time from the next.
#
# **Limits.** We wrote these laws, so what is learned here is which cause makes which effect, and whether a method finds it; the sizes are not YouTube's. A look does not depend on the cards above it, nobody leaves in anger, and no creator adapts to the ranking. Our wishes follow a sigmoid of a sum, which flatters later models that have this very form. And the past ranking leaves something to luck; where videos never move between positions, section 6 has nothing to compare.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Mantel and Haenszel, *Statistical aspects of the analysis of data from retrospective studies of disease*, 1959.
