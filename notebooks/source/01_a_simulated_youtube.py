# ---
# course:
#   number: "01"
#   title: A simulated YouTube
#   question: What do the logs look like, and what do they hide?
#   paper: P1 section 1, P2 sections 1 and 5, P2 Fig. 6
#   minutes: 75
# ---

# %% [markdown]
# # 01 · A simulated YouTube
#
# **Promise.** After this chapter you know the tables of the log and what they hide, and you can split the click-through rate of a position into what people wanted and what they merely saw.
#
# * **Papers.** Covington et al. 2016 (P1), section 1: scale, freshness, noise. Zhao et al. 2019 (P2): implicit feedback, position bias, locally sparse data.
# * **You should know.** pandas, averages and variances, chapter 00.
# * **Your time** about 75 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %%
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from course import check, plots, simulate
from course.metrics import ctr_by_position, same_video_ratio
from course.simulator.names import DEVICES
from course.widgets import FloatSlider, predict, sliders

world = simulate("small", seed=7)
logs = world.logs()
logs

# %% [markdown]
# ## 1. What is written down
#
# A platform sees accounts, videos, watches, searches and *impressions* (cards shown on a page, clicked or not). Here are some that were clicked. `time` counts days since the start of the log.

# %%
clicked = logs.impressions[logs.impressions["clicked"]]
columns = ["user_id", "time", "device", "video_id", "position", "watched_seconds"]
clicked[columns].sample(3, random_state=0).sort_values("time").astype({"watched_seconds": int})

# %% [markdown]
# Not every watch comes from the feed (home and up next). Most come from elsewhere: browsing a topic, a link from outside, a search, the next episode of a series (*autoplay* when it starts by itself), a channel one follows.

# %%
logs.watches["source"].value_counts(normalize=True).round(2).to_frame("share of watches")

# %% [markdown]
# Every field of every table, with its unit and who may see it, stands in `data/README.md`. One number tells the size of the matter: the share of all (account, video) pairs that ever met in a watch.

# %% tags=["nbval-check-output"]
seen_pairs = logs.watches.drop_duplicates(["user_id", "video_id"])
filled = len(seen_pairs) / (len(logs.users) * len(logs.videos))
print(f"accounts x videos that were ever watched: {filled:.1%}")

# %% [markdown]
# More than 97 of 100 cells of the table *who watched what* are empty; on the real site nearly all are. An empty cell does not mean "dislikes"; nearly always it means "never met".

# %% [markdown]
# ## 2. The long tail
#
# P1 names **scale** as the first difficulty. What makes it worse is how unevenly the watches are spread.

# %%
per_video = np.bincount(logs.watches["video_id"], minlength=len(logs.videos))
per_user = np.bincount(logs.watches["user_id"], minlength=len(logs.users))
plots.long_tail(per_video, per_user)

# %% [markdown]
# *What to see:* a few videos and a few accounts (shaded) hold a large share of all watches; half of the videos have about 33 or fewer (a count of 0 is drawn as 0.5). A model can be right on average and wrong about nearly every video.

# %% [markdown]
# ## 3. Freshness
#
# The second difficulty: new videos arrive all the time, and people want them. We look at the most watched video of those uploaded in the third week, beside the law that the simulator follows.

# %%
third_week = logs.videos["uploaded"].between(14, 21).to_numpy()
star = int(np.argmax(np.where(third_week, per_video, 0)))
age = logs.watches["time"] - logs.videos["uploaded"].to_numpy()[logs.watches["video_id"]]
days = np.arange(0, 24)
watches = np.histogram(age[logs.watches["video_id"] == star], bins=np.arange(0, 25))[0]
catalogue = world.engine.catalogue

# %%
from course.simulator.laws import popularity

law = popularity(days + 0.5, catalogue.base_popularity[star], catalogue.peak_days[star])
plots.life_of_a_video(days + 0.5, watches, law, f"video {star}")

# %% [markdown]
# *What to see:* the log (bars) has the shape of the curve (line): a rise, a peak, a long decay. It is also a little earlier: the curve is the rate at which people come upon the video, and clicking favours the new besides. The rest is chance.
#
# The curve is $b\,[(a/\tau)\,e^{1-a/\tau} + 0.06\,(1-e^{-a/\tau})]$ with age $a$ in days, peak age $\tau$ and height $b$. A model without a clock learns the *average* of this curve. Chapter 04 gives it a clock.

# %% [markdown]
# ## 4. Noise, and the best that anybody can do
#
# The third difficulty: what people do is only loosely tied to what they want. How well could somebody who knows the true click probabilities tell the clicks from the rest? The measure is the AUC: the chance that a randomly drawn click got a higher score than a randomly drawn non-click (0.5 = guessing, 1 = perfect).

# %% tags=["nbval-check-output"]
truth = world.true_table("impressions")
known = truth["p_seen"] * truth["p_click_if_seen"]
hits = logs.impressions["clicked"]
print(f"true P(seen) and P(click | seen): {roc_auc_score(hits, known):.2f}")
print(f"true P(click | seen) alone:       {roc_auc_score(hits, truth['p_click_if_seen']):.2f}")
print(f"P(seen) alone:                    {roc_auc_score(hits, truth['p_seen']):.2f}")

# %% [markdown]
# No model can be expected to beat the first line, because the rest is chance; so compare an AUC with it and not with 1. The second is what full knowledge of the wish alone gives. A model can pass it without knowing the position, by guessing where the past ranking put the card; that raises its AUC on this log and helps no viewer. The third is a warning: a score that knows *nothing but position and device* looks like a decent model.

# %% [markdown]
# ## 5. Locally sparse
#
# P2 adds that data are *locally sparse*: plenty for the few popular videos (the head), next to nothing for the many others (the tail). We estimate the click-through rate of each video by clicks / impressions, and compare it with the true one, in ten equal groups of videos (deciles) from the least to the most shown.

# %%
stats = logs.impressions.groupby("video_id")["clicked"].agg(["sum", "count"])
true_rate = known.groupby(logs.impressions["video_id"]).mean()
error = (stats["sum"] / stats["count"] - true_rate).abs() / true_rate
decile = pd.qcut(stats["count"].rank(method="first"), 10, labels=range(1, 11))
sparse = pd.DataFrame({"impressions": stats["count"], "error": error})
plots.locally_sparse(sparse.groupby(decile, observed=True).median())

# %% [markdown]
# *What to see:* in the top decile the estimate is off by about a tenth. In the lowest deciles the typical video was never clicked, so its estimate is 0 and its error exactly 100%. Even hundreds of thousands of impressions tell almost nothing about the tail. The way out is to let similar videos help each other, which is what the vectors of chapter 02 do.

# %% [markdown]
# ## 6. A click is not satisfaction
#
# Each video has a hidden degree of *clickbait*: how much its title and thumbnail promise beyond what it holds. We group the videos by it, from calm to loud.

# %%
hidden = world.true_table("videos")
group = pd.qcut(hidden["clickbait"], 8, labels=False).to_numpy()
shown = group[logs.impressions["video_id"]]
hit = logs.impressions["clicked"].to_numpy()
table = pd.DataFrame({"clickbait": hidden["clickbait"].groupby(group).mean()})
table["ctr"] = logs.impressions["clicked"].groupby(shown).mean()
table["rating"] = truth["expected_rating_if_clicked"][hit].groupby(shown[hit]).mean()
plots.click_against_satisfaction(table)

# %% [markdown]
# *What to see:* on the whole, the louder the video, the more clicks and the lower the true mean rating by those who clicked. A system that is trained on clicks alone sells its viewers what they regret. Is clickbait really the cause? Then turning it off must bring clicks and ratings together. We simulate each tiny world twice, with the dial `clickbait` at 1 and at 0:


# %%
def clicks_and_stars(seed, clickbait):
    """Correlation of P(click | seen) and expected rating over the clicked impressions."""
    other = simulate("tiny", seed=seed, clickbait=clickbait)
    true = other.true_table("impressions")
    rows = true[other.logs().impressions["clicked"].to_numpy()]
    return np.corrcoef(rows["p_click_if_seen"], rows["expected_rating_if_clicked"])[0, 1]


loud = np.array([clicks_and_stars(seed, 1.0) for seed in range(5)])
calm = np.array([clicks_and_stars(seed, 0.0) for seed in range(5)])
gain, half = plots.interval(calm - loud)
print(f"correlation with clickbait {loud.mean():.2f}, without {calm.mean():.2f}")
print(f"difference {gain:+.2f} ± {half:.2f}")
assert gain > half

# %% [markdown]
# Without clickbait the correlation is higher. It is still not 1: what makes people click is not quite what makes them content. Watch time (chapter 07) and several objectives at once (chapter 08) are the papers' answers.

# %% [markdown]
# ## 7. How much of a click is the position?
#
# Cards at the top are clicked far more often than those below. Before you look at why:

# %%
guess = predict(
    "01-position",
    "From position 1 to position 10 the click-through rate falls by some factor. How much of "
    "that factor (on a logarithmic scale) is due to better videos standing higher, rather than "
    "to where people look?",
    ["nearly all of it", "about half", "a third or less"],
)
guess

# %% [markdown]
# **The naive way** reads the click-through rate as quality. We can take it apart. In this world a click needs two things: the card at position $k$ is looked at, with probability $\theta_k$, and then wanted, with probability $p$:
#
# $$P(\text{click at } k) = \theta_k \cdot p .$$
#
# So the mean click-through rate at $k$ is about the mean of $p$ there (*relevance*) times $\theta_k$ (*bias*).

# %%
position = logs.impressions["position"]
ctr = ctr_by_position(logs.impressions).to_numpy()
relevance = truth["p_click_if_seen"].groupby(position).mean().to_numpy()
bias = truth["p_seen"].groupby(position).mean().to_numpy()
plots.position_split(ctr, relevance, bias)

# %% [markdown]
# *What to see:* on the left a fall like in P2's Figure 6. On the right (logarithmic axis) the two factors: the bias falls steeply, the relevance less.

# %%
falls = {"click-through rate": ctr, "bias": bias, "relevance": relevance}
share = np.log(relevance[0] / relevance[-1]) / np.log(ctr[0] / ctr[-1])
by = ", ".join(f"{name} {curve[0] / curve[-1]:.1f}-fold" for name, curve in falls.items())
guess.beside(f"the fall is {by}, so relevance has {share:.0%} of its logarithm.")

# %% [markdown]
# Logarithms turn the product into a sum, so one can speak of shares. In P2 (nine positions, an 11-fold fall in Figure 6) the learned bias of Figure 7 falls by a factor of about 2.6 in odds. Read at face value, most of their fall is relevance; but a bias that is learned from a log may also come out too small.

# %% [markdown]
# ## 8. Finding the bias without knowing the truth
#
# A platform has no truth table. But the same video stands at position 1 on some pages and at position 4 on others, and it carries its relevance with it. So compare each video *with itself*: with $n_{vk}$ impressions and $c_{vk}$ clicks of video $v$ at position $k$,
#
# $$R_k = \frac{\sum_v c_{vk}\, n_{v1} / (n_{v1}+n_{vk})}{\sum_v c_{v1}\, n_{vk} / (n_{v1}+n_{vk})}.$$
#
# $R_k$ estimates $\theta_k / \theta_1$, the bias relative to the top. Each video votes on the ratio of its two click-through rates; the weight keeps rarely shown videos from shouting. This is the Mantel-Haenszel ratio of medical statistics.


# %% tags=["nbval-check-output"]
def bias_from_the_log(impressions):
    table = impressions.groupby(["video_id", "position"])["clicked"].agg(["sum", "count"])
    clicks = table["sum"].unstack(fill_value=0)
    shown = table["count"].unstack(fill_value=0)
    ratio = {}
    for k in shown.columns:
        total = (shown[1] + shown[k]).clip(lower=1)
        above = (clicks[k] * shown[1] / total).sum()
        below = (clicks[1] * shown[k] / total).sum()
        ratio[k] = above / below
    return pd.Series(ratio)


mine = bias_from_the_log(logs.impressions)
assert np.allclose(mine, same_video_ratio(logs.impressions))
print("agrees with course.metrics.same_video_ratio")

# %% [markdown]
# From here on we use the course's version. People look further down on a desktop than on a TV, so we do it device by device.

# %%
per_device = logs.impressions.groupby("device", observed=True)
curves = {name: same_video_ratio(rows).to_numpy() for name, rows in per_device}
places = np.arange(1, world.config.slate + 1)
true_curves = np.array([world.truth.examination(places, d) for d in range(len(DEVICES))])
plots.by_device(curves, true_curves)

# %% [markdown]
# *What to see:* the points, found without any truth, lie close to the true lines, and each device has its own. Most misses are chance. A small one stays with endless data: a video stands higher for viewers whom it suits, and comparing a video with itself does not remove that. Chapter 10 does it properly.

# %% [markdown]
# ## 9. Is it luck? Five worlds
#
# One world is one draw. We repeat the split of section 7 in five *tiny* worlds (400 accounts, quick to simulate) and give the mean and its 95% interval.


# %%
def relevance_share(seed, **dials):
    other = simulate("tiny", seed=seed, **dials)
    at = other.logs().impressions["position"]
    top, bottom = at == 1, at == other.config.slate
    true = other.true_table("impressions")
    wanted = np.log(true["p_click_if_seen"][top].mean() / true["p_click_if_seen"][bottom].mean())
    looked = np.log(true["p_seen"][top].mean() / true["p_seen"][bottom].mean())
    return wanted / (wanted + looked)


shares = [relevance_share(seed) for seed in range(5)]
mean, half = plots.interval(shares)
print(f"relevance has {mean:.0%} ± {half:.0%} of the fall (5 tiny worlds)")
assert max(shares) < 0.5

# %% [markdown]
# The number moves from world to world; in all five, relevance is the smaller part.

# %% [markdown]
# ## 10. The switch: turn the dials
#
# Every mechanism of this world has a dial. Each move of a slider simulates a fresh tiny world of ten days, which takes a second or two. `position_bias` is the steepness of $\theta_k$, and 0 switches it off. `logger_relevance` is how much the past ranking cared about what fits the viewer, `logger_noise` how much it left to chance; a third part, `logger_incumbency`, is its weight on what is popular already.

# %%
from course.experiments.worlds import dial_world

sliders(
    plots.turned_dials,
    position_bias=FloatSlider(0.0, 2.0, 0.5, 1.0),
    logger_relevance=FloatSlider(0.0, 3.0, 0.5, 1.0),
    logger_noise=FloatSlider(0.0, 4.0, 0.5, 0.5),
)

# %% [markdown]
# The same function at three settings, for readers who cannot move the sliders:

# %%
settings = {
    "no position bias": {"position_bias": 0.0},
    "as it is": {},
    "random past pages": {"logger_relevance": 0.0, "logger_incumbency": 0.0},
}
plots.dials([(name, dial_world(**dials)) for name, dials in settings.items()])

# %% [markdown]
# *What to see:* with the bias switched off (left) the click-through rate *is* the relevance and the two lines coincide. With it on (middle) the click-through rate falls much faster. When the past pages were random (right), the relevance is nearly flat, and the fall is bias alone. A log of random pages would show the bias directly, but costs clicks.

# %% [markdown]
# ## 11. How far can you trust this world?
#
# **Assumed.** Taste is a point in a space of 8 dimensions and drifts slowly. Clicking and liking weigh the same thirteen ingredients (taste, the moment, quality, clickbait, packaging (the pull of title and thumbnail), length, freshness and more) differently. A look at a card does not depend on the cards above it. People click several cards independently, and nobody leaves the platform in anger.
#
# **Where it flatters a method.** Given a look, the click probability is logistic in the ingredients, so logistic models of the wish have the right form. The past ranking contains chance, so positions vary; on a real site they vary less. Labels of topic and language are never wrong. And how long people watch depends a great deal on how long the video is, so whatever ranks by watch time will favour long videos.
#
# **What the log hides,** as a list: who of two people on an account is watching; what was seen and not wanted, against what was never looked at; taste, against the moment; quality, against packaging; and everything about videos that were never shown.
#
# **What cannot be learned here.** Anything about the *size* of effects on the real YouTube; pictures, sound and words (titles here are decoration); creators who react to the ranking; harm. We can learn which mechanism makes which effect appear, and whether a method finds it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1 · Click-through rate by position** (difficulty 1 of 3, 5 minutes). Given a table of impressions with the columns `user_id`, `position`, `clicked`, return the click-through rate of each position, in order of position.
#
# <details><summary>Hint 1</summary>A rate is clicks divided by impressions, position by position.</details>
# <details><summary>Hint 2</summary>The mean of a True/False column is the share of True; groupby does it by position.</details>


# %% tags=["exercise"]
def ctr_of_positions(impressions):
    return ...  # your code


_ = check("01-ctr", ctr_of_positions)


# %% tags=["solution"]
def ctr_of_positions(impressions):
    return impressions.groupby("position")["clicked"].mean()


_ = check("01-ctr", ctr_of_positions)

# %% [markdown]
# **Exercise 2 · Take the bias out** (difficulty 2, 8 minutes). You know the click-through rate `ctr` and the probability of being looked at `seen`, both arrays over positions 1, 2, …. Return the relevance of each position *relative to position 1*.
#
# <details><summary>Hint</summary>The click-through rate is a product of two factors, and you know one of them.</details>


# %% tags=["exercise"]
def relative_relevance(ctr, seen):
    return ...  # your code


_ = check("01-relevance", relative_relevance)


# %% tags=["solution"]
def relative_relevance(ctr, seen):
    wanted = ctr / seen
    return wanted / wanted[0]


_ = check("01-relevance", relative_relevance)

# %% [markdown]
# **Exercise 3 · How far off is a click rate?** (difficulty 2, 8 minutes). A video has `clicks` clicks in `impressions` impressions. Return the standard error of its click rate.
#
# <details><summary>Hint 1</summary>One impression is a coin with P(click) = p; its variance is p(1 − p).</details>
# <details><summary>Hint 2</summary>The variance of a mean of n independent coins is the variance of one, divided by n.</details>


# %% tags=["exercise"]
def standard_error(clicks, impressions):
    return ...  # your code


_ = check("01-noise", standard_error)


# %% tags=["solution"]
def standard_error(clicks, impressions):
    rate = clicks / impressions
    return (rate * (1 - rate) / impressions) ** 0.5


_ = check("01-noise", standard_error)

# %% [markdown]
# **Exercise 4 · The bias from the log alone** (difficulty 3, 20 minutes). Given impressions with `video_id`, `position`, `clicked` from a hidden world in which better videos stand higher, estimate P(seen) of each position relative to position 1. Any method that works is accepted; try another than that of section 8.
#
# <details><summary>Hint 1</summary>A video that stood at position 1 on some pages and at position 4 on others carries its relevance with it.</details>
# <details><summary>Hint 2</summary>Or give each video a rate and each position a factor, and fit them in turns until they settle.</details>


# %% tags=["exercise"]
def estimate_bias(impressions):
    return ...  # your code


_ = check("01-same-video", estimate_bias)


# %% tags=["solution"]
def estimate_bias(impressions):
    """Rates of videos and factors of positions, fitted in turns."""
    groups = impressions.groupby(["video_id", "position"])["clicked"]
    clicks, shown = groups.sum().unstack(fill_value=0), groups.size().unstack(fill_value=0)
    factor = pd.Series(1.0, index=shown.columns)
    for _ in range(100):
        rate = clicks.sum(axis=1) / (shown * factor).sum(axis=1)
        factor = clicks.sum() / shown.mul(rate, axis=0).sum()
        factor = factor / factor[1]
    return factor


_ = check("01-same-video", estimate_bias)

# %% [markdown]
# ## Summary
#
# 1. Almost all cells of *who watched what* are empty, and a few videos and accounts hold a large share of the rest.
# 2. Popularity rises and falls with a video's age; the average hides it.
# 3. Even the true click probability has an AUC well below 1: that is the ceiling.
# 4. Clickbait raises clicks and lowers ratings; without it the two agree better.
# 5. The click-through rate of a position is about relevance times bias, and the two can be told apart when videos move between positions.
#
# **What the papers say and we could not show here.** In P2 the larger part of the fall over positions seems to be relevance; in our world it is bias. How it is on the real site we cannot know.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Mantel and Haenszel, *Statistical aspects of the analysis of data from retrospective studies of disease*, 1959.
