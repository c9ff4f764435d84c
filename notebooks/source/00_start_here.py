# ---
# course:
#   number: "00"
#   title: Start here
#   question: How does one page request travel through the whole system?
#   paper: P1 Fig. 1 and 2, P2 Fig. 1 and 4
#   minutes: 75
#   lesson: first_system
# ---

# %% [markdown]
# # 00 · Start here
#
# **Promise.** You will build a recommender in two stages out of nothing but counting. You put it in front of simulated people, find out which of its parts are worth their place, and play against it. No machine learning is needed; at the end you will know what it is for.
#
# * **Papers.** Two articles by engineers of YouTube, Covington et al. 2016 (P1) and Zhao et al. 2019 (P2). This chapter goes with their pictures, P1's Figures 1 and 2 and P2's Figures 1 and 4.
# * **You should know.** Python, a little NumPy and pandas, and what a probability is.
# * **Your time** about 75 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
import numpy as np

# %%
import pandas as pd
import seaborn as sns

from course import ab_test, answer, contest, ledger, play, plots, simulate
from course.cast import cast
from course.pages import home_page, up_next_page
from course.simulator.experiment import live_requests
from course.tasks.next_day import evening_requests
from course.widgets import Choice, RecommenderGame, predict, sliders

world = simulate("town", seed=7)
logs = world.logs()
world

# %% [markdown]
# `world` is a simulated YouTube, a *town* of people who search, click and watch. Another *seed* than 7 gives another town of the same kind. `logs` is what the platform wrote down in 45 days, as tables. Here are the last lines of the longest one, which says what was shown to whom, and what came of it:

# %%
logs.impressions[["user_id", "time", "video_id", "position", "clicked", "watched_seconds"]].tail(4)

# %% [markdown]
# Nothing else is known to a recommender. But a simulated world has something that the real site has not. **We know the truth.** For every person, video and moment we can look up how likely a click is. No recommender ever sees that; we judge them by it.
#
# ## 1. What a viewer sees
#
# Three accounts will stay with us through the whole course. They were found in the log, by what they did:

# %%
players = cast(logs)
players.table

# %% [markdown]
# The first watches a lot and keeps to one topic. The second is new. The third looks as if two people used it in turns. Here is the last home page that the heavy viewer was served (P1 opens with such a picture):

# %%
shown = logs.impressions[logs.impressions["user_id"] == players.heavy]
home = shown[shown["surface"] == "home"]
page = home[home["request_id"] == home["request_id"].iloc[-1]]
home_page(play.cards(world, page["video_id"][:8]))

# %% [markdown]
# *What to see:* the first eight of ten cards, the best place at the top left. Each card makes a promise with its picture and its title; what the video holds is another matter.
#
# P2 is about the other kind of page, the list beside a video that is being watched:

# %%
lists = shown[shown["surface"] == "up_next"]
page = lists[lists["request_id"] == lists["request_id"].iloc[-1]]
playing = play.cards(world, page["query_video_id"][:1])[0]
up_next_page(playing, play.cards(world, page["video_id"][:6]))

# %% [markdown]
# *What to see:* this page knows one thing more than a home page does, namely what is being watched at the moment. In this chapter we fill home pages.
#
# ## 2. Which ten of two thousand?
#
# A page has ten places. Our town has 2,000 videos. What is it worth to choose well?

# %%
guess = predict(
    "00-oracle",
    "An oracle that knows the probability of every click fills a page of ten. Compared with ten "
    "random videos, how many clicks will its page get?",
    ["about twice as many", "about five times as many", "more than ten times as many"],
)
guess

# %% [markdown]
# We ask the people. `ab_test` takes 600 page requests of the day after the log and lets each *policy* answer them. A policy is any function from requests to pages (the ids of ten videos, best first). All policies meet the same people with the same luck, and we read off what is to be *expected* on a page.


# %%
def meet(policies):
    """What is to be expected on a page of each policy: clicks, minutes, satisfied watches."""
    table = ab_test(world, policies, n=600, candidates="catalogue").table
    return table.pivot(index="policy", columns="metric", values="expected").loc[list(policies)]


measures = ["clicks", "watch_minutes", "satisfied"]
ends = meet({"random": world.random()} | {f"oracle of {m}": world.oracle(m) for m in measures})
ends[[*measures, "length_minutes"]].round(2)

# %%
factor = ends.loc["oracle of clicks", "clicks"] / ends.loc["random", "clicks"]
guess.beside(f"about {factor:.0f} times as many.")

# %% [markdown]
# *Satisfied* counts watches that deserve 4 or 5 stars of 5. The last column is the mean length of the videos on the page, in minutes; keep an eye on it.
#
# Each measure has an oracle of its own, and they disagree. The one that goes for minutes shows longer videos than the other two, and gets fewer clicks than the first. So "the best page" means nothing before somebody has said *best at what*.
#
# Random pages are the **floor**, and the oracle of a measure is its **ceiling**. No recommender can reach the ceiling, for the oracle knows moods and tastes that stand in no log. But it tells us how far there is to go. From now on we state results as the share of this way.
#
# > **Exercise 1 · The share of the gap** (warm-up, 5 minutes). Given a method's `value`, and those of the `floor` and the `ceiling`, return the share of the way from floor to ceiling that the method has come. Random pages must get 0, the oracle 1.
#
# <details><summary>Hint</summary>How far did the method come? How far is it in all? Divide the one by the other.</details>


# %% tags=["exercise"]
def share_closed(value, floor, ceiling):
    """The share of the way from a floor (0) to a ceiling (1) that a value has come."""
    ...  # your code


# %% tags=["solution", "export"]
def share_closed(value, floor, ceiling):
    """The share of the way from a floor (0) to a ceiling (1) that a value has come."""
    return (value - floor) / (ceiling - floor)


# %%
share_closed = answer("00-gap-closed", share_closed)


# %%
def shares(met):
    """The shares of the gap in per cent, each measure under its own ceiling."""
    top = {m: ends.loc[f"oracle of {m}", m] for m in measures}
    return pd.DataFrame(
        {m: 100 * share_closed(met[m], ends.loc["random", m], top[m]) for m in measures}
    )


# %% [markdown]
# ## 3. Count what is popular
#
# What would you show if you had an afternoon? What most people watch, surely; in the viewer's language, and nothing that they have watched already. That is a matter of counting pairs: language and video, for each watch. We will count other pairs in a minute, so let us write it once.
#
# > **Exercise 2 · Count pairs** (building, 10 minutes). `rows` and `columns` are two lists of the same length, of ids that belong together. Return a table (an array) of the given `shape`, which says how often each pair occurs. Count a pair that occurs three times as 3.
#
# <details><summary>Hint 1</summary>Start from <code>np.zeros(shape)</code>. A loop over <code>zip(rows, columns)</code> is right, and slow.</details>
# <details><summary>Hint 2</summary><code>table[rows, columns] += 1</code> looks right, but counts a repeated pair once. <code>np.add.at</code> does not forget.</details>


# %% tags=["exercise"]
def count_pairs(rows, columns, shape):
    """A table of this shape: how often each (row, column) occurs in two lists (n,)."""
    ...  # your code


# %% tags=["solution", "export"]
def count_pairs(rows, columns, shape):
    """A table of this shape: how often each (row, column) occurs in two lists (n,)."""
    table = np.zeros(shape, np.float32)
    np.add.at(table, (np.asarray(rows), np.asarray(columns)), 1)
    return table


# %%
count_pairs = answer("00-count-pairs", count_pairs)

# %% [markdown]
# A count alone says little. Is a video with 40 watches popular? That depends on what a video gets otherwise. What we want to know is *how many times more often than expected* something happened. A plain quotient has a weakness, though. A video that was watched once where .1 watches were expected would count as ten times as good as others, on the strength of a single accident. The remedy is old. Pretend that everything has been seen once more, just as often as expected, so that little evidence moves the quotient little.
#
# > **Exercise 3 · How many times more** (warm-up, 5 minutes). Return the quotient of `counted` and `expected` after `prior` has been added to both. (The `prior` is what we pretend to have seen. It may be a number or an array, and so may the others.)
#
# <details><summary>Hint</summary>Where nothing was counted and nothing expected, the result is 1.</details>


# %% tags=["exercise"]
def times_more(counted, expected, prior=1.0):
    """How many times more often than expected; near 1 where little is known."""
    ...  # your code


# %% tags=["solution", "export"]
def times_more(counted, expected, prior=1.0):
    """How many times more often than expected; near 1 where little is known."""
    return (counted + prior) / (expected + prior)


# %%
times_more = answer("00-times-more", times_more)

# %% [markdown]
# Now the first *piece* of our recommender. A piece is made from the logs and is a function of the requests. For each of them it says of every video how many times more often it is watched than usual; here, by people who speak the viewer's language, in the last days. (`requests` holds who asks (`user`), when (`time`), what they watched last (`recent_videos`) and how many cards the page has (`slate`).)


# %% tags=["export"]
def popular(logs, days=2.0):
    """Piece: watched lately by people who speak my language."""
    language = logs.users["language"].cat.codes.to_numpy()
    lately = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    shape = language.max() + 1, len(logs.videos)
    counted = count_pairs(language[lately["user_id"]], lately["video_id"], shape)
    more = times_more(counted, counted.mean(axis=1, keepdims=True))
    return lambda requests: more[language[requests.user]]


# %% [markdown]
# Why only the last days? More days mean more watches, and more evidence should be better. Let the people decide. The figure shows the clicks, and how much of the page is new:

# %%
watched = count_pairs(logs.watches["user_id"], logs.watches["video_id"],
                      (len(logs.users), len(logs.videos))) > 0  # fmt: skip


def most_popular(days):
    """A policy: the ten most popular videos of the last days, without what was watched already."""
    piece = popular(logs, days)
    return lambda requests: np.argsort(-piece(requests) * ~watched[requests.user])[:, :10]


memory = [1, 2, 4, 7, 14, 45]
by_days = meet({days: most_popular(days) for days in memory})
by_days["share"] = shares(by_days)["clicks"]


# %%
def how_far_back(days):
    """Clicks and age of the page, with one setting marked."""
    words = f"{days} days: {by_days.loc[days, 'share']:.0f} % of the gap, {100 * by_days.loc[days, 'fresh_share']:.0f} % under a week old"
    fig, axes = plots.figure(2, height=2.9, alt=f"Popularity of the last {words}")
    titles = {"share": "clicks, % of the gap closed", "fresh_share": "share of the page under a week old"}
    for ax, (column, title) in zip(axes, titles.items()):
        ax.plot(by_days.index, by_days[column], "o-", color=plots.colour("popularity"))
        ax.plot(days, by_days.loc[days, column], "o", ms=14, mfc="none", mew=2.5, color="C1")
        ax.set(xscale="log", xlabel="days that are counted", title=title, ylim=(0, 1.12 * by_days[column].max()))
        ax.set_xticks(memory, memory, minor=False)
        ax.set_xticks([], minor=True)
    return fig


sliders(how_far_back, days=Choice(memory, 2, label="days that are counted"))

# %% [markdown]
# Two settings of it:

# %%
for days in (2, 45):
    plots.show(how_far_back(days))

# %% [markdown]
# *What to see:* the longer the memory, the fewer new videos get onto the page. Up to a few days the clicks stay about level, then they fall. Our guess is that fashions pass; chapter 02 looks at worlds in which they do not.
#
# ## 4. Count what belongs to me
#
# All who speak one language get the same page so far. Two ideas make it personal. The first looks at **what I watch more than others do**. For topics we count pairs of account and topic (for channels, of account and channel). And what should be *expected*? Suppose that taste did not exist. Then everybody would spread their watches over the topics like everybody else, and the cell of an account and a topic would hold the account's watches times the topic's share of all watches.


# %% tags=["export"]
def by_chance(counted):
    """What a table would hold if its rows and its columns had nothing to do with each other."""
    rows, columns = counted.sum(axis=1, keepdims=True), counted.sum(axis=0, keepdims=True)
    return rows * columns / counted.sum()


def mine(logs, column):
    """Piece: of a topic, or from a channel, that I watch more than others do."""
    kind = logs.videos[column].astype("category").cat.codes.to_numpy()
    shape = len(logs.users), kind.max() + 1
    counted = count_pairs(logs.watches["user_id"], kind[logs.watches["video_id"]], shape)
    more = times_more(counted, by_chance(counted))
    return lambda requests: more[requests.user][:, kind]


# %% [markdown]
# The second idea is **what people watched next**. Somebody watched the same video as I did just now; what did they watch right after it? This time the pairs are a video and the one that followed it. We look at my last five videos, and add up.


# %% tags=["export"]
def watched_next(logs, last=5):
    """Piece: what people watched right after the videos that I watched last."""
    watches, n = logs.watches.sort_values(["user_id", "time"]), len(logs.videos)
    user, video = watches["user_id"].to_numpy(), watches["video_id"].to_numpy()
    same = user[1:] == user[:-1]
    counted = count_pairs(video[:-1][same], video[1:][same], (n + 1, n))
    chance = by_chance(counted)

    def more(requests):
        last_ones = requests.recent_videos[:, :last]  # -1, no video, is the empty last row
        return times_more(counted[last_ones].sum(axis=1), chance[last_ones].sum(axis=1))

    return more


# %% [markdown]
# All of these count what people *watched*. But people watch for many reasons, and a page is about something narrower. It shows a card, and the card is clicked or not. The log says that, too, so here is a piece that counts **clicks per showing**:


# %% tags=["export"]
def clicked(logs):
    """Piece: clicked more often than other videos are, when it is shown."""
    shown, n = logs.impressions, len(logs.videos)
    counted = np.bincount(shown["video_id"], shown["clicked"], minlength=n)
    expected = np.bincount(shown["video_id"], minlength=n) * shown["clicked"].mean()
    more = times_more(counted, expected)
    return lambda requests: np.tile(more, (len(requests), 1))


PIECES = {
    "popular": popular,
    "watched next": watched_next,
    "my topics": lambda logs: mine(logs, "topic"),
    "my channels": lambda logs: mine(logs, "channel_id"),
    "clicked": clicked,
}

# %% [markdown]
# Each piece speaks in the same unit, *times more than usual*. So they can be combined by multiplying them. A video that is 3 times as popular as others, of a topic that I watch 4 times as much, scores 12.
#
# ## 5. Two stages
#
# We could multiply the five pieces for every video, and show the ten best. With 2,000 videos that works. With as many as the real site has, while somebody waits for the page, it does not. So both papers use a funnel. Cheap **sources** each name a few candidates that have something to be said for them, and a careful **ranking** looks only at this *pool*. This is **candidate generation** in front of **ranking**, the two stages around which the whole course is built.
#
# We take three sources. One names what is popular, one what people watched next, and one what is of my topics; the last two put the popular first. Each names one video in twenty.

# %% tags=["export"]
SOURCES = (("popular",), ("watched next", "popular"), ("my topics", "popular"))

# %% [markdown]
# > **Exercise 4 · The best of the pool** (building, 15 minutes). `score` is a table ($n$, $V$), a row for each of $n$ requests and a column for each of $V$ videos. `named` is a list with an array of video ids from each source, $n$ rows again; the same video may be named several times. Return the ids ($n$, $k$) of the `k` videos with the highest scores, best first, among those that at least one source named for this request.
#
# <details><summary>Hint 1</summary>Mark the pool in a table of False and True with the shape of <code>score</code>. <code>np.put_along_axis</code> marks what one source named, in all rows at once.</details>
# <details><summary>Hint 2</summary>Scores may be negative, so what is outside the pool needs a score below all others: <code>-np.inf</code>.</details>
# <details><summary>Hint 3</summary><code>np.argsort</code> sorts from low to high; sort the negative scores.</details>


# %% tags=["exercise"]
def best_of(score, named, k):
    """The k best videos (n, k) by scores (n, V), among what the sources named: arrays of n rows."""
    ...  # your code


# %% tags=["solution", "export"]
def best_of(score, named, k):
    """The k best videos (n, k) by scores (n, V), among what the sources named: arrays of n rows."""
    pool = np.zeros(score.shape, bool)
    for videos in named:
        np.put_along_axis(pool, videos, True, axis=1)
    return np.argsort(-np.where(pool, score, -np.inf), axis=1, kind="stable")[:, :k]


# %%
best_of = answer("00-best-of", best_of)

# %% [markdown]
# That was the last part. Put together, they are a complete recommender:


# %% tags=["export"]
class FirstSystem:
    """Two stages from counts: sources name videos, a product of pieces ranks those."""

    def __init__(self, logs, pieces=tuple(PIECES), sources=SOURCES):
        self.pieces, self.sources, self.videos = pieces, sources, len(logs.videos)
        self.more = {name: PIECES[name](logs) for name in {*pieces, *sum(sources, ())}}
        pairs, shape = logs.watches[["user_id", "video_id"]], (len(logs.users), self.videos)
        self.watched = count_pairs(pairs["user_id"], pairs["video_id"], shape) > 0

    def score(self, requests, names):
        """The product (n, V) of some pieces; 0 for what the account has watched already."""
        product = np.where(self.watched[requests.user], 0.0, 1.0)
        for name in names:
            product *= self.more[name](requests)
        return product

    def named(self, requests):
        """Candidates (n, V / 20) of each source; if the request brings some along, those."""
        if requests.candidates is not None:
            return [requests.candidates]
        everything = [np.tile(np.arange(self.videos), (len(requests), 1))]
        few = self.videos // 20
        return [best_of(self.score(requests, names), everything, few) for names in self.sources]

    def __call__(self, requests):
        """Pages (n, slate) for n page requests: the pool's best."""
        return best_of(self.score(requests, self.pieces), self.named(requests), requests.slate)


# %%
everything = FirstSystem(logs)
met = meet({"most popular": most_popular(2), "all five pieces": everything})
shares(met).round(1)

# %% [markdown]
# This is how many videos are left after each step (P1's Figure 2). The pool is smaller than three times a hundred, for the sources often name the same video:

# %%
_, requests = live_requests(world.engine, 600, candidates="catalogue")
pools = [len(set(row)) for row in np.hstack(everything.named(requests))]
counts = everything.videos, round(np.mean(pools)), requests.slate
stages = [*zip(("corpus", "candidates", "on the page"), counts)]
plots.funnel([*stages, ("clicked", round(met.loc["all five pieces", "clicks"], 2))])

# %% [markdown]
# *What to see:* from 2,000 videos to one click, more or less.
#
# ## 6. What is each piece worth?
#
# Five pieces work together. Does each of them work? To find out what a part is worth, take it away and see what is lost. This is called an *ablation*.

# %%
guess = predict("00-piece", "Which piece can go without loss?", list(PIECES))
guess

# %% [markdown]
# One world would not do. So we did it in several *villages* of 400 people each, with every system that can be made of the five pieces, all on the same pool (stored results; `python3 -m course reproduce first_pieces` makes them anew). First, what does a piece add to popularity alone? And what is lost without it when all others are there? Each dot is a village, the diamond the mean, and the bar its 95 % interval. If the bar misses the line at 0, these worlds are enough to tell the piece's worth from luck.

# %%
stored = 100 * ledger.results("first_pieces")


def score_of(names, measure="clicks"):
    """Shares of the gap (one for each world) of the score that is made of these pieces."""
    return stored[f"score {' + '.join(name for name in PIECES if name in names)}/{measure}"]


def worth(name, names, measure="clicks"):
    """What a piece adds (one for each world) to the others among these names."""
    return score_of(names, measure) - score_of(set(names) - {name}, measure)


rows = [
    {"who": name, "panel": panel, "value": value}
    for name in PIECES
    for panel, others in (("added to popularity", ["popular"]), ("taken from all five", PIECES))
    if panel != "added to popularity" or name != "popular"
    for value in worth(name, {name, *others})
]
fig = plots.worlds(pd.DataFrame(rows), panel="panel", label="clicks, points of the gap", zero=True)
for ax in fig.axes:
    ax.set_xlim(-3, 18)
fig

# %% [markdown]
# *What to see:* on the left each piece helps; on the right, where the others are there, only the clicks keep most of their worth.
#
# That is no contradiction. A piece may be worth much *alone* and nothing *beside the others*, if they know the same.
#
# So which do we keep? Not "all those that matter on the right", for two pieces that stand in for each other would both go, and take with them what both knew. We take away one at a time. The piece that is worth least goes, unless its interval lies above 0; then we measure again.


# %%
def take_away(measure):
    """What each piece is worth at each step, until each is worth something for sure."""
    names, steps = list(PIECES), []
    while True:
        found = {name: plots.interval(worth(name, names, measure)) for name in names}
        steps.append(pd.Series({name: mean for name, (mean, _) in found.items()}))
        least = steps[-1].idxmin()
        if found[least][0] > found[least][1]:  # the mean exceeds its ±
            return pd.DataFrame({f"{len(step)} pieces": step for step in steps}, list(PIECES))
        names.remove(least)


by_clicks = take_away("clicks")
by_clicks.round(1).astype(object).fillna("gone")

# %%
left = list(by_clicks.iloc[:, -1].dropna().index)
order = by_clicks.count(axis=1).drop(left).sort_values().index
gained, half = plots.interval(score_of(left) - score_of(PIECES))
guess.beside(
    f"{', then '.join(order)} could go. Without them there are {gained:+.1f} ± {half:.1f} points more."
)

# %% [markdown]
# Would you have bet on that? All three of our first ideas go, and the clicks *rise*.
#
# Look at *my channels* in the table. They are worth little as long as my topics are there, and a lot once those are gone. So the two know much of the same. A product, however, treats each piece as if it brought news. Our guess is that this is why topics do harm: the same news is counted twice. (A model that is *trained* can learn how much each piece should count. That is the first thing that machine learning is for.)
#
# Were the three ideas bad, then? They are still in the system, as *sources*. Take these away, one by one, while the score is the one that we keep. The last row does without a pool, and ranks every video:

# %%
every = [source[0] for source in SOURCES]
whole = stored[f"sources {' + '.join(every)}/clicks"]
rows = [
    {"who": f"no {gone}", "value": value}
    for gone in every
    for value in stored[f"sources {' + '.join(n for n in every if n != gone)}/clicks"] - whole
]
rows += [{"who": "every video", "value": value} for value in stored["every video/clicks"] - whole]
plots.worlds(pd.DataFrame(rows), label="clicks, points of the gap, against all three", zero=True)

# %% [markdown]
# *What to see:* without any one of the sources, clicks are lost, most of all without my topics. What is popular, or watched next, or of my topic, is worth *looking at*; what should stand at the top is decided by other evidence.
#
# But without a source the pool is also smaller, and the last row shows what that may mean. Where every video is ranked, we see no loss; whether something is gained, these villages leave undecided. So we cannot say that the sources make the page better than a look at everything would. They let a small pool do about as well, and the reason for two stages is the time that this saves.

# %% tags=["export"]
KEPT = ("my channels", "clicked")

# %%
gains = {m: plots.interval(score_of(KEPT, m) - score_of(PIECES, m)) for m in measures}
verdict = pd.DataFrame(gains, ["kept minus all five", "±"]).T.round(1)
verdict["what would be kept by it"] = [
    " and ".join(take_away(m).iloc[:, -1].dropna().index) for m in measures
]
verdict

# %% [markdown]
# Two cautions. We have judged by clicks. Minutes or satisfied watches would have kept the same pieces, but whether anything is gained there is undecided, for the interval holds 0. And these villages have *chosen* the pieces, so they are no longer fair judges of them. The fair judges are worlds that had no say.
#
# ## 7. In front of people
#
# The town of this chapter had no say. Three more policies join. *Longest first* shows the longest videos. The *past ranking* is the one that made the log. And the *trained* one orders the same candidates as your counts, but by a neural network that has learned to predict minutes; you will write it in chapter 07. Take it as a black box. Its training is kept short here, so this is a first meeting and no contest.

# %%
from course.tasks.second_stage import train_second_stage

kept = FirstSystem(logs, KEPT)
trained = train_second_stage(world, kept)
length = logs.videos["duration_seconds"].to_numpy()


def longest(requests):
    return np.argsort(-length * ~watched[requests.user])[:, :10]


# %%
joined = {"the pieces we keep": kept, "longest first": longest,
          "past ranking": world.past_ranking(), "trained": trained}  # fmt: skip
everybody = pd.concat([met, meet(joined)])
pd.concat([everybody, ends])[[*measures, "length_minutes", "topics"]].round(2)

# %%
closed = shares(everybody).rename_axis("who")
words = "; ".join(f"{who} {', '.join(row.round(0).astype(str))}" for who, row in closed.iterrows())
tidy = closed.reset_index().melt("who", var_name="measure")
fig, ax = plots.figure(height=4.6, alt=f"Per cent of the gap, clicks, minutes, satisfied: {words}")
three = ["#0072b2", "#d55e00", "#1b7a3d"]
sns.barplot(tidy, y="who", x="value", hue="measure", palette=three, ax=ax)
ax.axvline(0, color="grey", linewidth=0.8)
ax.set(xlabel="share of the gap closed, %, each measure under its own ceiling", ylabel="")
ax.legend(title="", loc="center right", bbox_to_anchor=(1, 0.4))
fig

# %% [markdown]
# *What to see:* the pieces that the villages chose are ahead of all five in the town, too, above all in clicks. *Longest first* shows videos of more than two hours, and gets no more minutes than popularity does.
#
# The trained network had the same candidates. It was trained for minutes, and in minutes it is well ahead of your counts; in satisfied watches, too. It does so with longer videos than yours (look at the lengths), though nowhere near the longest. In clicks the two counts keep up with it. One town and one short training decide nothing of the kind. But it is a warning. A well-chosen count is a strong opponent, and whoever leaves it out of a comparison has shown nothing.
#
# What should a trained model be able to do that our counts cannot? It can weigh its evidence, say something about a video that nobody has watched yet, and learn what is due to the place on the page. Whether it does is what the other chapters ask.
#
# And what do the three accounts get? First from your counts, then from the trained system:

# %%
_, evening = evening_requests(world, players.users, candidates="catalogue")
players.pages(world, lambda users: kept(evening), k=5)

# %%
players.pages(world, lambda users: trained(evening), k=5)

# %% [markdown]
# *What to see:* the newcomer has watched nothing, so each personal count is 1, and its page is what is clicked most among what is popular in its language. The account of two gets one page, from the sum of what both have watched.
#
# ## 8. You are the recommender
#
# Twelve videos were nominated for a viewer. Pick four, the most promising first, and press *Recommend*. Then the truth is opened: each card says how likely its click was, and the four that an oracle would have picked are named. Where does your page stand between random pages and the best one, and where does the one of your counts? (Tab moves between the cards, Space picks.)

# %%
rounds = play.Rounds(world, rival=kept)
game = RecommenderGame(rounds.deal, rounds.score, picks=4, truth=rounds.truth)
game

# %% [markdown]
# For readers who cannot play here, this is how the first four of the cards would have done:

# %%
deal = rounds.deal(0)
figure, words = rounds.score(deal, [card.video_id for card in deal.cards[:4]])
figure

# %% [markdown]
# *What to see:* the grey hill is made of random pages; the solid line is the page that was picked, the dash-dotted one that of the counts. One viewer says little, so play a few rounds.
#
# ## 9. The system is a loop
#
# What a viewer does with a page is written down, and tomorrow's system counts it, or learns from it (P2's Figure 1).

# %%
plots.system_loop()

# %% [markdown]
# *What to see:* the upper row is the way of one request; the arrow below leads back into the log. The box in the lower middle is a remedy against a trap, for what stands at the top is clicked more *because* it stands there.
#
# Our piece of clicks per showing walks into that trap. Chapter 01 measures it, and chapter 10 shows the way out.
#
# ## What the ledger says
#
# From here on, each chapter ends with the claims that it has tested. This one has two pictures of the papers, and a question of our own (its id begins with S). Its first line is judged by the villages that chose the pieces (the second caution of section 6).

# %%
ledger.show("00")

# %% [markdown]
# ## Challenge
#
# > **A better count** (open, half an hour or an evening). Write a piece of your own. What about the age of a video, its length, the hour of the day, the searches? (`logs` has `users`, `videos`, `watches`, `searches` and `impressions`. Add your function to `PIECES`.) `contest` builds your recommender in hidden villages, which had no say in anything above, and puts its pages in front of their people. The score is the share of the way from random pages to the oracle of clicks. As a start, here are the counts that we keep:


# %%
def my_recommender(logs):
    """A recommender from the logs of a world that it has never seen."""
    return FirstSystem(logs, KEPT)


scored = contest(my_recommender, world="village", worlds=3)
scored

# %% [markdown]
# ## Summary
#
# 1. A request travels from the corpus to a pool of candidates, to a page of ten, to about one click.
# 2. Random pages are the floor and an oracle is the ceiling, and each measure has its own.
# 3. Counting, and asking *how many times more than expected*, makes a recommender that beats popularity by far.
# 4. What a part is worth is what is lost without it. Added to popularity each piece helped; beside the others, most could go, and clicks rose.
# 5. As sources the ideas that went are still of use, as long as the pool must be small. Finding and ordering are two tasks, and evidence that is good for one may be useless for the other.
#
# **Limits.** Which pieces pay was decided in a few villages; other worlds may decide otherwise. Our corpus is small enough to score whole, so what P1 and P2 say about tens of milliseconds could not be shown here.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019.
