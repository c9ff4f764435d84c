# ---
# course:
#   number: "00"
#   title: Start here
#   question: How does one page request travel through the whole system?
#   paper: P1 Fig. 1 and 2, P2 Fig. 1, 3 and 4
#   minutes: 60
# ---

# %% [markdown]
# # 00 · Start here
#
# **Promise.** In one sitting you follow page requests through a whole recommender: from the corpus to hundreds of candidates, to a page of ten, to a click. You build a first system, put it in front of simulated viewers, and play against it yourself.
#
# * **Papers.** Covington et al. 2016 (P1), Figures 1 and 2; Zhao et al. 2019 (P2), Figures 1, 3 and 4.
# * **You should know.** Python, a little pandas, what a probability is. No machine learning yet.
# * **Your time** about 60 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["nbval-check-output"]
import numpy as np
import pandas as pd
from IPython.display import HTML

from course import ab_test, check, play, plots, simulate
from course.metrics import gap_closed
from course.models.starter import FEATURES, PopularInLanguage, Profiles, TwoStage, fit_click_model
from course.pages import home_page, up_next_page
from course.plots import show
from course.widgets import Choice, RecommenderGame, predict, sliders

world = simulate("small", seed=7)
world

# %% [markdown]
# `world` is a simulated YouTube: accounts, videos, and a *log* of 45 days, which is the platform's record of what was searched, shown, clicked and watched. The number 7 is the *seed*: another seed gives another world of the same kind. And there is one thing that the real site does not have: **we know the truth**. For every account, video and moment we can look up how likely a click is and how long the watch would be. The models never see that; we judge them by it.

# %% [markdown]
# ## 1. What a viewer sees
#
# Here is the home page that one viewer was served near the end of the log (P1 opens with such a picture). The titles and pictures are made up; length, age and views are the simulator's.

# %%
pages = world.logs().impressions
english = (world.logs().users["language"] == "English").to_numpy()[pages["user_id"]]
home = pages[(pages["surface"] == "home") & (pages["device"] == "desktop") & english]
page = home[home["request_id"] == home["request_id"].iloc[-1]]
home_page(play.cards(world, page["video_id"][:8]))

# %% [markdown]
# *What to see:* the first eight of the ten cards of this page, position 1 at the top left. Each card makes a promise with its picture and its title; what the video holds is another matter.
#
# P2 is about the other page: somebody is watching a video already, and a list says what is *up next*.

# %%
lists = pages[pages["surface"] == "up_next"]
page = lists[lists["request_id"] == lists["request_id"].iloc[-1]]
playing = play.cards(world, page["query_video_id"][:1])[0]
up_next_page(playing, play.cards(world, page["video_id"][:8]))

# %% [markdown]
# *What to see:* the video being watched (the *query video*) says a lot about what fits next. So does the viewer's history. A system has to use both, within tens of milliseconds.

# %% [markdown]
# ## 2. The question: which ten of two thousand?
#
# A page holds ten cards. The corpus holds thousands of videos (millions on the real site). What is it worth to choose well? First your guess:

# %%
guess = predict(
    "00-oracle",
    "An oracle that knows every click probability fills a page of ten. Compared with ten random "
    "videos, how many more clicks will its page get?",
    ["about twice as many", "about five times", "more than ten times"],
)
guess

# %% [markdown]
# We ask the simulated viewers. `ab_test` takes 1,000 page requests from the day after the log ends and serves them with each *policy*. A policy is a function from requests to pages, that is, to the ids of ten videos, best first. Each viewer brings the same luck to every policy, so differences come from the pages. The choice is out of the whole *corpus*, all videos uploaded so far.

# %%
ends = {"random": world.random(), "oracle": world.oracle("click")}
result = ab_test(world, ends, n=1000, candidates="catalogue")
clicks = result.table[result.table["metric"] == "clicks"].set_index("policy")["expected"]
factor = clicks["oracle"] / clicks["random"]
guess.beside(f"about {factor:.0f} times as many clicks.")

# %% [markdown]
# Part of this is language: random draws from all three. The rest is taste, quality and the moment.
#
# Random is the **floor** and the oracle the **ceiling** of everything that follows. No real system reaches the oracle: it knows tastes, moods and qualities that no log reveals. But the distance between the two is what we play for, and we will state results as *the share of this gap* that a method closes.

# %% [markdown]
# ## 3. The naive way: show what is popular
#
# The simplest policy needs no model: what was watched most in the last week, in the viewer's language, minus the viewer's last 50 watches. *Profiles* are counts from the log: who watched which topics, which channels, what is popular now.

# %%
logs = world.logs()
profiles = Profiles(logs)
popular = PopularInLanguage(profiles)
result = ab_test(world, {"popularity": popular, **ends}, n=1000, candidates="catalogue")
result.table[result.table["metric"] == "clicks"].set_index("policy")[["expected"]].round(1)

# %% [markdown]
# Popularity gets a few times the clicks of random pages and is still far from the oracle. All who speak the same language get about the same page.

# %% [markdown]
# ## 4. The papers' way: two stages
#
# Scoring every video for every request with a rich model is too slow. Both papers use a funnel. A cheap first stage, **candidate generation**, cuts the corpus to a few hundred; a careful second stage, **ranking**, orders those.
#
# In this chapter both stages are the simplest that work. Stage one is plain *matrix factorization*: each account $u$ gets a vector $x_u$ of 24 numbers, each video $v$ a vector $y_v$, chosen so that the dot product $x_u \cdot y_v$ comes as near as possible to 1 where $u$ watched $v$ and to 0 elsewhere. (Chapter 02 does this properly.) Stage two is a *logistic regression* on seven features, which predicts a click:
#
# $$P(\text{click}) = \frac{1}{1 + e^{-(b + \sum_j w_j f_j)}},$$
#
# with features $f_j$, learned weights $w_j$ and a constant $b$; the sum in the exponent is called the *log-odds*. Its features come from the first 35 days and its labels (clicks) from the last 10, so that no feature knows its own label. Here are the features and what was learned about them:

# %%
click_model = fit_click_model(logs, at=35.0)
pd.DataFrame({"weight (per sd)": click_model[-1].coef_[0].round(2)}, index=FEATURES)

# %% [markdown]
# A positive weight raises the chance of a click; *per sd* means per standard deviation of the feature, so that the weights can be compared. The factorization's weight is next to nothing: on pages that a ranking has already chosen, its score adds little about clicks. Here it is the first stage and the topic share that carry the taste. Now the serving side: what happens when page requests come in.

# %%


def two_stages(requests, keep=200):
    """Pages for page requests: nominate `keep` videos, rank them, show the best ten."""
    users, rows = requests.user, np.arange(len(requests.user))[:, None]
    score = profiles.user_vectors[users] @ profiles.video_vectors.T
    score = score + 0.02 * profiles.popular  # among equals, what is popular
    score[profiles.user_language[users][:, None] != profiles.language] -= 10  # never
    score = np.pad(score, ((0, 0), (0, 1)))  # an extra column for "no video", which is -1
    score[rows, requests.recent_videos] -= 20  # nor the last 50 watches
    candidates = np.argsort(-score[:, :-1], axis=1)[:, :keep]
    features = profiles.features(users, candidates, requests.time)
    log_odds = click_model.decision_function(features.reshape(-1, features.shape[-1]))
    best = np.argsort(-log_odds.reshape(candidates.shape), axis=1)[:, : requests.slate]
    return np.take_along_axis(candidates, best, axis=1)


# %% [markdown]
# That is the serving side of a recommender in a dozen lines. The course has the same as `TwoStage`; we check that the two agree and use the course's from here on.

# %% tags=["nbval-check-output"]
system = TwoStage(profiles, click_model, candidates=200)
both = ab_test(world, {"ours": two_stages, "course": system}, n=200, candidates="catalogue")
same = (both.pages["ours"] == both.pages["course"]).mean()
print(f"{same:.0%} of the cards stand at the same place")
assert same > 0.99

# %% [markdown]
# Now one thousand requests travel through it. We count what is left after each step (P1, Figure 2).

# %%
ends["watch oracle"] = world.oracle("watch")
policies = {"popularity": popular, "two stages": system, **ends}
result = ab_test(world, policies, n=1000, candidates="catalogue")
clicked = result.table.set_index(["policy", "metric"])["expected"]["two stages", "clicks"]
stages = [("corpus", len(logs.videos)), ("candidates", 200), ("on the page", 10)]
plots.funnel([*stages, ("clicked, on average", round(clicked, 2))])

# %% [markdown]
# *What to see:* corpus → hundreds → ten → less than one click per page. And here is what the viewers make of the pages:

# %%
plots.experiment(result, ceiling={"clicks": "oracle", "watch_minutes": "watch oracle"})

# %% [markdown]
# *What to see:* in clicks the two are about level in this world; in watch time the two stages lead by far. One world can hide a difference; the next section takes eight.
#
# The dot is the exact expectation for these requests, which only a simulator knows; the pale bar is what a company would see: a 95% interval around the sampled mean, a range that in 19 of 20 such tests holds the mean one would get from endlessly many requests. Each panel has its own ceiling, the oracle for clicks and the oracle for watch time. Both policies are far from it. The rest of this course is about the rest of the gap.

# %% [markdown]
# ## 5. Is it luck? Eight worlds
#
# One world is one draw. We build the system anew in eight *tiny* worlds, which take a second each, and state the share of the gap that each method closes, with its 95% interval over the worlds.


# %%
def shares_closed(seed, **dials):
    tiny = simulate("tiny", seed=seed, **dials)
    profiles, model = Profiles(tiny.logs()), fit_click_model(tiny.logs(), at=20.0)
    policies = {
        "popularity": PopularInLanguage(profiles),
        "two stages": TwoStage(profiles, model, candidates=100),
        "random": tiny.random(),
        "oracle": tiny.oracle("click"),
    }
    table = ab_test(tiny, policies, n=1000, candidates="catalogue").table
    clicks = table[table["metric"] == "clicks"].set_index("policy")["expected"]
    return clicks.map(lambda value: gap_closed(value, clicks["random"], clicks["oracle"]))


runs = pd.DataFrame([shares_closed(seed) for seed in range(8)])
shown = runs[["popularity", "two stages"]]
plots.gap_closed(shown, title="Eight tiny worlds")

# %% [markdown]
# *What to see:* each small dot is a world, the diamond the mean. The worlds differ, so the fair comparison is *within* each world: two stages minus popularity, world by world.

# %%
gain, half = plots.interval(runs["two stages"] - runs["popularity"])
print(f"two stages minus popularity: {gain:+.0%} ± {half:.0%} of the gap")
assert gain > 0

# %% [markdown]
# ## 6. The switch: a world where all like the same
#
# Our explanation is that the system wins because it knows *individual* taste. The world has a dial for that: `own_taste` is the share of people with a taste of their own. At 0 all like the same topics. If the explanation is right, the advantage must shrink. We compare world by world: same seed, dial on and off.

# %%
off = pd.DataFrame([shares_closed(seed, own_taste=0.0) for seed in range(8)])
gain_off = off["two stages"] - off["popularity"]
left, wide = plots.interval(gain_off)
print(f"with one taste for all: {left:+.0%} ± {wide:.0%} of the gap")
lost, half = plots.interval(runs["two stages"] - runs["popularity"] - gain_off)
print(f"so individual taste is worth {lost:.0%} ± {half:.0%} of the gap")
assert lost > 0

# %% [markdown]
# The advantage shrinks, and the interval of the last line says that this is not luck. What is left, if anything, cannot be individual taste; the system also looks at a video's age, for example.

# %% [markdown]
# ## 7. How many candidates?
#
# The first stage may hand over 10 videos or all 2,000. Few are cheap but may miss the good ones; many cost time. We try a range: expected clicks, and *recall*, the share of what accounts watched later that is among the candidates. For recall the profiles stop at day 42, so that the watches of the last three days are new to them.

# %%
from course.experiments.funnel import candidate_sizes

sizes = candidate_sizes(world, click_model, [10, 20, 50, 100, 200, 500, 1000, 2000])
sliders(
    plots.funnel_tradeoff,
    fixed={"table": sizes},
    candidates=Choice([10, 20, 50, 100, 200, 500, 1000, 2000], 200),
)

# %% [markdown]
# The same picture with three settings marked:

# %%
plots.funnel_tradeoff(sizes, [20, 200, 2000])

# %% [markdown]
# *What to see:* from about a hundred candidates on, clicks no longer rise, while recall goes on rising. More candidates hardly harm the page here, but each one must be scored while the viewer waits, and a rich ranker is slow: that is the papers' reason for "hundreds". On the right, plain popularity keeps more of what is watched later than our factorization does, which knows taste but has no clock: a problem to solve in chapters 02 and 04.

# %% [markdown]
# ## 8. The system at the end of the course
#
# Chapter 11 puts together what the chapters before it build: four candidate sources, one of them a deep network (chapters 02 to 05), and one ranker that predicts the click, the watch time, the rating and more, and has learned what the position does to a click (06 to 09). We train it here, as a black box, and let it answer one request:

# %%
from course.experiments.first_system import answer, for_clicks, train_system

trained = train_system(world)
viewer, request = play.home_request(world, np.random.default_rng(3))
counts, page = answer(trained, request)
print(counts)
page.round(1)

# %% [markdown]
# *What to see:* each source names about a hundred videos; many are named twice, so the pool is smaller than their sum. The ranker gives each a chance of a click, the minutes of a watch and its stars, and the page is ordered by chance × minutes × (stars − 1).

# %%
policies = {"popularity": popular, "two stages": system, "trained": trained, **ends}
result = ab_test(world, policies, n=1000, candidates="catalogue")
worth = result.table.pivot(index="policy", columns="metric", values="expected")
worth.loc[list(policies), ["clicks", "watch_minutes", "satisfied"]].round(2)

# %% [markdown]
# *What to see:* per page (*satisfied*: 4 or 5 stars), more than twice the watch time of section 4's system, with about as many clicks; it also counts what comes after the click. Most of the gap to the oracle remains.

# %% [markdown]
# ## 9. You are the recommender
#
# Twelve videos were nominated for a viewer. Pick four, the most promising first, and press *Recommend*. Then the truth is opened: where does your page stand between random and oracle, and where does the trained system? (The game counts clicks, so here it ranks by the click. Tab moves between the cards, Space picks.)

# %%
rounds = play.Rounds(world, rival=for_clicks(trained))
game = RecommenderGame(rounds.deal, rounds.score, picks=4)
game

# %% [markdown]
# For readers who cannot play here, one viewer, the cards, and how a page of the first four would have done:

# %%
deal = rounds.deal(0)
titles = "".join(f"<li>{card.title}</li>" for card in deal.cards)
HTML(f"{deal.viewer_html}<ol>{titles}</ol>")

# %%
figure, text = rounds.score(deal, [card.video_id for card in deal.cards[:4]])
show(figure)
HTML(text)

# %% [markdown]
# *What to see:* the grey hill is made of random pages, the solid coloured line is the page that was picked, the dash-dotted one the trained system's; the dashed lines are floor and ceiling. One viewer says little; play a few rounds.

# %% [markdown]
# ## 10. The system is a loop
#
# What a viewer does with a page is written down, and tomorrow's model learns from it (P2, Figure 1). So the system learns from its own pages.

# %%
plots.system_loop()

# %% [markdown]
# *What to see:* the upper row is section 8's system. The box in the lower middle is P2's way out of a trap, *position bias*: what stands at the top is clicked more because it stands there. Chapter 01 shows the trap, chapter 10 the way out.

# %% [markdown]
# ## Exercises
#
# Write your answer into the stub and run the check below it. It tries your function on hidden cases that are drawn afresh each time.
#
# **Exercise 1 · Expected clicks of a page** (difficulty 1 of 3, 5 minutes). Given arrays over the cards of a page, `p_click_if_seen` (P(click) if the card is looked at) and `seen` (P(looked at)), return the expected number of clicks of the page.
#
# <details><summary>Hint 1</summary>A click needs two things: the card is looked at, and it is wanted.</details>
# <details><summary>Hint 2</summary>Chances of two things that must both happen are multiplied; expected counts add up.</details>


# %% tags=["exercise"]
def expected_clicks(p_click_if_seen, seen):
    return ...  # your code


_ = check("00-page-clicks", expected_clicks)


# %% tags=["solution"]
def expected_clicks(p_click_if_seen, seen):
    return (p_click_if_seen * seen).sum()


_ = check("00-page-clicks", expected_clicks)

# %% [markdown]
# **Exercise 2 · How much of the gap is closed?** (difficulty 1, 5 minutes). Given the `value` of a method and those of random (`floor`) and oracle (`ceiling`), return the share of the gap that the method closes.
#
# <details><summary>Hint</summary>Random must come out as 0 and the oracle as 1.</details>


# %% tags=["exercise"]
def share_of_gap(value, floor, ceiling):
    return ...  # your code


_ = check("00-gap-closed", share_of_gap)


# %% tags=["solution"]
def share_of_gap(value, floor, ceiling):
    return (value - floor) / (ceiling - floor)


_ = check("00-gap-closed", share_of_gap)

# %% [markdown]
# **Exercise 3 · Recall of the first stage** (difficulty 2, 10 minutes). For one account, given the list of its `candidates` and the list of videos it `watched` later (some twice), return the recall.
#
# <details><summary>Hint 1</summary>Of all the videos that were watched later, which share did the first stage keep?</details>
# <details><summary>Hint 2</summary>A set drops repeats, and & gives what two sets share.</details>


# %% tags=["exercise"]
def recall(candidates, watched):
    return ...  # your code


_ = check("00-recall", recall)


# %% tags=["solution"]
def recall(candidates, watched):
    later = set(watched)
    return len(later & set(candidates)) / len(later)


_ = check("00-recall", recall)

# %% [markdown]
# ## Summary
#
# 1. A request travels corpus → hundreds of candidates → a page of ten → on average less than one click.
# 2. Random is the floor and an oracle the ceiling; results are shares of the gap between them.
# 3. Popularity is hard to beat; two simple stages beat it, by nothing in one world and by more in others, partly because they know individual taste.
# 4. With one taste for all that advantage shrinks: this is how we test explanations. In this world a trained system more than doubles the watch time.
# 5. The system learns from logs that it made itself, which is why the next chapter looks hard at a log.
#
# **What the papers say and we could not show here.** Tens of milliseconds for millions of videos: our corpus is small enough to score whole.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019.
