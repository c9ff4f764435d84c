# ---
# course:
#   number: "12"
#   title: The whole system
#   question: Does it work in front of people, and what is each idea worth?
#   paper: P1 Figure 2; P2 Figure 1 and section 3
#   minutes: 110
#   lesson: whole_system
# ---

# %% [markdown]
# # 12 · The whole system
#
# **Promise.** You will assemble a recommender from what you wrote in eleven chapters, put it in front of people, let it learn from its own pages, and say what each idea in it is worth.
#
# * **Papers.** Covington et al. 2016 (P1), Figure 2, the funnel; Zhao et al. 2019 (P2), Figure 1 and section 3.
# * **You should know.** Chapters 00, 02, 03, 05 and 11 for the candidates; 06 to 10 for the ranker.
# * **Symbols.** Each has one meaning through the whole course: [notebooks/NOTATION.md](NOTATION.md).
# * **Your time** about 110 minutes; **the machine's** about {{seconds}} seconds.

# %%
# {{setup}}

# %% tags=["export"]
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix
from torch import nn
from torch.nn import functional

from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.features.taxonomy import QUERY_CODES
from course.lessons import candidate_generation as cg
from course.lessons import content as ct
from course.lessons import first_system as fs
from course.lessons import labels_and_context as lc
from course.lessons import many_objectives as mo
from course.lessons import matrix_factorization as mf
from course.lessons import position_bias as pb
from course.lessons.mixtures_of_experts import Experts, mix
from course.lessons.ranking_features import FirstLinear, InputLayer, Scales
from course.logs.splits import first_watches
from course.simulator.experiment import live_requests
from course.simulator.feed import rank, respond
from course.simulator.policies import top
from course.tasks.next_watch import Moments
from course.tasks.seven_tasks import CONTEXT, ENGAGEMENT, TASKS, context_of, labels

# %%
from course import answer, contest, contests, ledger, plots, simulate, tuning
from course.cast import cast, shelves
from course.tasks.next_day import OwnPages, evening_requests
from course.tasks.next_watch import tomorrow
from course.widgets import FloatSlider, predict, sliders

world = simulate("town", seed=7)
logs = world.logs()
players = cast(logs)

# %% [markdown]
# ## 1. The question
#
# Each chapter has judged one part with everything around it held fixed. That is how one learns about parts. But nobody is recommended anything by a part. Here is the whole:

# %%
plots.system_loop()

# %% [markdown]
# Candidate sources look at the whole catalogue and name a few hundred videos (P1's Figure 2, the *funnel*). A ranker predicts several things for each. A combination makes one number of them. A page is shown, people react, and what they do goes into the log, from which everything is learned anew.
#
# You have written nearly all of it. Joining it raises questions that no part could ask. Are four sources better than one? How wide should the funnel be? Which of all these ideas still count once the others are there? And what happens when the loop closes?

# %%
guess = predict(
    "12-worth",
    "Which step brings the most additional satisfied watches?",
    [
        "predicting seven things instead of one",
        "experts and gates in the place of a shared bottom",
        "taking the position out of the clicks",
        "learning from one day of the system's own pages",
    ],
)
guess

# %% [markdown]
# ## 2. Four sources
#
# Why not let the ranker score every video? Because at YouTube there are too many. A *source* must be able to name good videos without looking closely at each of them, so it uses one sense in which a video can fit. P2 has four (section 3):
#
# * **topic match**: videos whose title and thumbnail are like those of the last watches (chapter 11);
# * **co-watch**: what people watched after the same videos (chapter 00);
# * **sequence**: what the network of chapter 03 expects next;
# * **context**: what is watched in such a situation. P2 trains this one against *all* videos at once, by a trick with sums of products. You know that trick from chapter 02: it is how ALS counts all the empty cells. So we factorize a table again, with situations in the place of accounts.
#
# A source of ours is a function of moments that scores every video. The moments are those of chapter 03. Two things have to be put right for a live request: on an up-next page the video that is being watched comes first, and nobody knows a video that was uploaded after the log.


# %% tags=["export"]
def moments_of(requests, videos):
    """What sources may know of page requests: Moments, led by the video that is being watched."""
    moments, query = Moments.of_requests(requests), requests.query_video[:, None]
    watched = np.where(query >= 0, np.hstack([query, moments.watched[:, :-1]]), moments.watched)
    return replace(moments, watched=np.where(watched < videos, watched, -1))


# %% [markdown]
# Topic match reads titles and thumbnails by the network of chapter 11, adds up the vectors of the last five watches, and asks what lies in that direction:


# %% tags=["export"]
def topic_match(logs, last=5, passes=10):
    """Source: like the last watches by title and thumbnail (P2, section 3; chapter 11)."""
    table = mf.who_watched_what(logs)
    known, y = np.flatnonzero(table.getnnz(axis=0) >= 5), mf.als(table)[1]
    words, looks = ct.title_words(logs.content), ct.pictures(logs.content)
    reader = ct.Reader(len(logs.content.vocabulary), logs.videos["topic"].cat.categories.size)
    ct.teach(reader, words, looks, logs, y, known, passes=passes)
    vectors = ct.unit(ct.read(reader, words, looks)[1][: len(y)])

    def near(moments):
        watched = moments.watched[:, :last]
        taste = (vectors[watched] * (watched >= 0)[:, :, None]).sum(axis=1)
        return taste @ vectors.T

    return near


# %% [markdown]
# Two more need little:


# %% tags=["export"]
def co_watch(logs, last=20):
    """Source: what people watched right after the videos that I watched last (chapter 00)."""
    after = fs.watched_next(logs, last)
    return lambda moments: after(SimpleNamespace(recent_videos=moments.watched))


def sequence(logs, days=15.0, passes=4):
    """Source: the network of P1's Figure 3, on the watches of the last days (chapter 03)."""
    examples = first_watches(logs.watches)
    examples = examples[examples["time"] >= max(5.0, logs.watches["time"].max() - days)]
    label = torch.tensor(examples["video_id"].to_numpy(np.int64))
    bags = cg.as_bags(lc.bags(logs.watches, examples, lc.PAST), len(logs.videos))
    videos = len(logs.videos)
    model = cg.NextVideo(videos, counts=torch.bincount(label, minlength=videos))
    lc.learn(model, bags, label, passes=passes, negatives=min(500, videos // 4))
    return cg.scorer(model)


# %% [markdown]
# And the context: a situation is a language, an age band, a device and a part of the day. We count what was watched in each within three days and factorize that table.


# %% tags=["export"]
def context(logs, days=3.0, factors=16):
    """Source: what is watched in such a situation, by ALS, so against all videos (chapter 02)."""
    kind = logs.users.groupby(["language", "age_band"], observed=True).ngroup().to_numpy()

    def situation(user, device, daypart):
        return (kind[user] * 3 + device) * 4 + daypart

    lately = logs.watches[logs.watches["time"] > logs.watches["time"].max() - days]
    codes = (lately[name].cat.codes.to_numpy(np.int64) for name in ("device", "daypart"))
    cells = situation(lately["user_id"].to_numpy(), *codes), lately["video_id"].to_numpy()
    shape = 12 * (kind.max() + 1), len(logs.videos)
    x, y = mf.als(csr_matrix((np.ones(len(lately), np.float32), cells), shape), factors)
    return lambda moments: x[situation(moments.user, moments.device, moments.daypart)] @ y.T


FOUR = {"topic match": topic_match, "co-watch": co_watch, "sequence": sequence,
           "context": context}  # fmt: skip


# %%
sources = {name: build(logs) for name, build in FOUR.items()}

# %% [markdown]
# They are asked together, and what somebody watched lately is taken out:


# %% tags=["export"]
def ask(sources, moments):
    """Scores (n, V, sources) of all videos; minus infinity for what was watched lately."""
    scores = np.stack([source(moments) for source in sources.values()], axis=2)
    lately = np.zeros((len(scores), scores.shape[1] + 1), bool)  # a last column for "no video"
    np.put_along_axis(lately, moments.watched.astype(np.int64), True, axis=1)
    scores[lately[:, :-1]] = -np.inf
    return scores


# %%
_, evening = evening_requests(world, players.users, "catalogue")
scores = ask(sources, moments_of(evening, len(logs.videos)))
best = np.argsort(-scores[0], axis=0, kind="stable")
shelves(world, {name: best[:6, i] for i, name in enumerate(sources)})

# %% [markdown]
# *What to see:* four answers to the heavy viewer. Each looks sensible, and they are not the same.
#
# ## 3. One pool
#
# How do four lists become one? Their scores cannot be compared. A count of how much more often than by chance, a cosine and a logit have no common unit. But each source can at least say what it would name *first*. So let us go down the four lists side by side, line by line, and take what we have not taken yet, until there are enough.
#
# For each candidate we keep who named it, and with what score. P1 calls that crucial for the ranker (section 4.1), and we want to know whose find it was.
#
# > **Exercise 1 · The pool** (building, 20 minutes). `scores` is a table (n, V, sources). Return `videos` (n, size), distinct in each row, in the order in which they are met: all first choices before all second ones, and among choices of one line those of smaller ids first. And return the score (n, size, sources) that each source gave, NaN where a source did not name the video. A source has named what stands on the lines that were gone through, the last line included.
#
# <details><summary>Hint 1</summary>On which line does a video stand? A stable argsort of <code>-scores</code> along the videos lists them, best first; the argsort of that list is the line of each video, from 0.</details>
# <details><summary>Hint 2</summary>A video is met on its best line, the least of its places. Sort by that (stable) and keep <code>size</code> videos.</details>
# <details><summary>Hint 3</summary><code>np.take_along_axis(place, videos[:, :, None], axis=1)</code> gives the lines of the chosen ones. Compare with the best line of the last one.</details>


# %% tags=["exercise"]
def pool(scores, size):
    """Videos (n, size) that sources name first, and scores (n, size, sources); NaN = not named."""
    ...  # your code


# %% tags=["solution", "export"]
def pool(scores, size):
    """Videos (n, size) that sources name first, and scores (n, size, sources); NaN = not named."""
    place = (-scores).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    met = place.min(axis=2)
    videos = met.argsort(axis=1, kind="stable")[:, :size]
    last = np.take_along_axis(met, videos[:, -1:], axis=1)[:, :, None]
    own, given = (np.take_along_axis(a, videos[:, :, None], axis=1) for a in (place, scores))
    return videos, np.where(own <= last, given, np.nan)


# %%
pool = answer("12-pool", pool)

# %% [markdown]
# Is a pool of two hundred any good? We let the world go on for a day, as it did before, and look at what people come to watch that they had not watched yet. Is it among the candidates that we would have named at that moment?

# %%
game = tomorrow(world)
events = game.sample(1_000)
candidates, named = pool(ask(sources, Moments.of_events(game.logs, events)), 200)
watched = events["video_id"].to_numpy()[:, None]
found = (candidates == watched)[:, :, None] & ~np.isnan(named)
by = found.any(axis=1)
print(f"in the pool: {by.any(axis=1).mean():.0%}; a random pool: {200 / len(logs.videos):.0%}")
alone = by & (by.sum(axis=1) == 1)[:, None]
pd.DataFrame({"finds": by.mean(axis=0), "alone": alone.mean(axis=0)}, list(sources)).round(3)

# %% [markdown]
# Over several worlds, by the stored trial:

# %%
stored = ledger.results("system")
names = [*FOUR, "pool"]
rows = [{"who": name, "panel": panel, "value": 100 * value}
        for panel, what in (("recall (%)", "recall"), ("found by no other (%)", "alone"))
        for name in names if f"{name}/{what}" in stored
        for value in stored[f"{name}/{what}"]]  # fmt: skip
plots.worlds(pd.DataFrame(rows), panel="panel", label="% of the watches of the next day")

# %% [markdown]
# *What to see:* on the left how many of the watches each source had named; on the right those that it alone had named.
#
# Each source finds something that no other has named, which is P2's claim. But "the pool finds more than its best source" is nearly empty, since the pool is larger. The fair question gives the best source all two hundred places:

# %%
gain = 100 * (stored["pool/recall"] - stored["best source, as many/recall"])
truly = 100 * (stored["pool/best ten"] - stored["best source, as many/best ten"])
print(f"watches of the next day, pool minus best source: {plots.in_words(gain)} points")
print(f"the ten most satisfying videos, the same: {plots.in_words(truly)} points")

# %% [markdown]
# The first line asks what people *did* watch under the old ranking, which puts the popular videos on top and so before their eyes. The second asks what they would be most satisfied with if it were shown, which only the truth can say. The two need not agree, and it is the second that matters to a page of ours.
#
# Over the stored worlds the first is not decided, and the second is below zero. So with as many places, four sources do not visibly find more than the best one, the sequence; and of the most satisfying videos they find fewer. The ledger (row P2-C1) has the whole system with each source left out. Without the sequence it loses a little, without co-watch or the context nothing that one could see, and without topic match it even gains a little.
#
# ## 4. The network
#
# P2's Figure 1, with the parts that you have written:

# %%
boxes = {
    "input": (4.4, 0.5, "features of the card, the account, the moment (06)"),
    "shared": (4.4, 1.4, "shared layer h"),
    "experts": (2.6, 2.4, "experts (09)"),
    "gates": (6.4, 2.4, "a gate for each task,\nreads the context (09)"),
    "engage": (2.6, 3.5, "towers of engagement:\nclick, watch time, completion"),
    "satisfy": (6.9, 3.5, "towers of satisfaction:\nlike, dismissal, share, rating"),
    "place": (0.9, 1.4, "position,\ndevice (10)"),
    "score": (4.6, 4.6, "weighted product (08)"),
}
arrows = [("input", "shared"), ("shared", "experts"), ("input", "gates"), ("experts", "engage"),
          ("experts", "satisfy"), ("gates", "engage"), ("gates", "satisfy"), ("place", "engage"),
          ("engage", "score"), ("satisfy", "score")]  # fmt: skip
plots.diagram(boxes, arrows, size=(9.2, 5.1), fills={"place": "#fde7d3", "engage": "#fde7d3"})

# %% [markdown]
# The position enters by a side path and only where it does harm: into the tasks of engagement. Nobody gives five stars because a card stood on top.
#
# First, what it learns from. `Cards` takes rows of the log and puts beside each other what the chapters before have made: features, one scale for all numbers, seven labels with gaps, and the *cell*, which is the place on its device. One feature of chapter 06 is left out: which source of the *old* system had nominated the card. Our pool has other sources, and it would be a word in a foreign language.


# %% tags=["export"]
class Cards:
    """Rows of a log as rankers learn from them: features, scales, labels (n, 7), cells (n,)."""

    def __init__(self, logs, rows):
        self.logs, self.rows = logs, rows
        self.features = RankingFeatures(logs, rows)
        raw = RankingBatch.of(self.features.of_impressions(logs, rows))
        self.scales = Scales(raw)
        self.batch = self.scales(raw)
        self.labels = torch.from_numpy(labels(rows, raw.number("duration")))
        self.start = mo.best_constants(self.labels)
        places = rows["position"], rows["device"].cat.codes
        self.cell = pb.cells(*(torch.from_numpy(at.to_numpy(np.int64)) for at in places))

    def inputs(self, seed=0):
        """An input layer for these cards (chapter 06)."""
        return InputLayer(self.features, set(self.features.names) - {"nominator"}, seed=seed)


# %%
rows = logs.impressions[logs.impressions["time"] >= 39]  # the last six days
cards = Cards(logs, rows)
print(f"{len(rows):,} cards, {cards.inputs().width} numbers for each")

# %% [markdown]
# Which experts? Chapter 09 found that gates pay, if at all, when they read the context. So ours read it, where P2's read the shared layer. The experts stand on the shared layer, as in P2.
#
# > **Exercise 2 · Figure 1** (building, 25 minutes). Write `forward`. The shared layer `self.first` with its ReLU gives h. `self.gate` on `context_of(batch)` gives the gates' logits, (n, tasks * experts); bring them into the shape (n, *self.shape) and let the shares of a task sum to 1. Mix what `self.experts` says of h, and give it to `self.towers`. Then add `self.place[cell]`, (n, 3), to the first three columns, the tasks of engagement. A card that has not been placed yet (`cell` is None) gets the cell 0 of its device, *missing*: `unplaced(batch)`.
#
# <details><summary>Hint 1</summary><code>unflatten(1, self.shape)</code> and <code>softmax(dim=2)</code> make the gates; <code>mix(said, gates)</code> is chapter 09's.</details>
# <details><summary>Hint 2</summary><code>functional.pad(table, (0, m))</code> puts m columns of zeros behind a table.</details>


# %% tags=["export"]
def unplaced(batch):
    """The cells (n,) of cards that have no position yet: *missing*, on the device of each page."""
    device = batch.query_codes[:, QUERY_CODES.index("device")]
    return pb.cells(0, device[batch.page])


# %% tags=["exercise"]
class Figure1(nn.Module):
    """P2's Figure 1: shared layer, experts, gates, towers; a shallow logit for engagement only."""

    def __init__(self, inputs, bias, shared=55, experts=8, width=16, seed=0):
        super().__init__()
        self.shape = len(bias), experts
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, shared)
            self.experts = Experts(experts, shared, width)
            self.gate = nn.Linear(sum(map(len, CONTEXT.values())), len(bias) * experts)
            self.towers = mo.Towers(width, bias)
        self.place = nn.Parameter(torch.zeros(pb.PLACES, len(ENGAGEMENT)))

    def forward(self, batch, cell=None):
        """Outputs (n, tasks) of n scaled cards in cells (n,); None = not placed yet."""
        ...  # your code


# %% tags=["solution", "export"]
class Figure1(nn.Module):
    """P2's Figure 1: shared layer, experts, gates, towers; a shallow logit for engagement only."""

    def __init__(self, inputs, bias, shared=55, experts=8, width=16, seed=0):
        super().__init__()
        self.shape = len(bias), experts
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = FirstLinear(inputs, shared)
            self.experts = Experts(experts, shared, width)
            self.gate = nn.Linear(sum(map(len, CONTEXT.values())), len(bias) * experts)
            self.towers = mo.Towers(width, bias)
        self.place = nn.Parameter(torch.zeros(pb.PLACES, len(ENGAGEMENT)))

    def forward(self, batch, cell=None):
        """Outputs (n, tasks) of n scaled cards in cells (n,); None = not placed yet."""
        h = self.first(batch).relu()
        gates = self.gate(context_of(batch)).unflatten(1, self.shape).softmax(dim=2)
        out = self.towers(mix(self.experts(h), gates))
        shallow = self.place[unplaced(batch) if cell is None else cell]
        return out + functional.pad(shallow, (0, out.shape[1] - shallow.shape[1]))


# %%
Figure1 = answer("12-figure-1", Figure1)

# %% [markdown]
# The loop is that of chapter 08, with two lines more, and `cg.fit` of chapter 03 takes the steps. The network is told where each card stood, but in a tenth of the cases the place is hidden, so that *missing* is learned, too. And the table of places may take larger steps, as in chapter 10, or the ranker would have learned the old order before the table has learned the places.


# %% tags=["export"]
def train_system(model, cards, weights=mo.WEIGHTS, rate=0.01, passes=2, drop=0.1, pages=100,
                 seed=0, **options):  # fmt: skip
    """Fit Figure 1 to cards: seven losses where labels are known (08), some places hidden (10)."""
    share = (~torch.isnan(cards.labels)).float().mean(dim=0)
    spread = torch.nanmean((cards.labels - torch.nanmean(cards.labels, dim=0)) ** 2, dim=0)
    each = torch.tensor([weights[task] for task in TASKS]) / share
    each = each / torch.where(mo.YES_NO, 1.0, spread)

    def page_loss(chosen):
        rows = cards.batch.rows(chosen)
        own, cell = cards.labels[rows], pb.dropped(cards.cell[rows], drop)
        in_batch = (~torch.isnan(own)).float().mean(dim=0)
        return (each * in_batch * mo.task_losses(model(cards.batch[chosen], cell), own)).sum()

    place = [model.place]
    rest = [values for values in model.parameters() if values is not model.place]
    groups = [{"params": rest, "lr": rate}, {"params": place, "lr": 5 * rate}]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"passes": passes, "batch": pages, "seed": seed, **options}
        return cg.fit(page_loss, groups, cards.batch.pages, **options)


def learned(cards, seed=0, **recipe):
    """A Figure 1 that has learned from cards."""
    model = Figure1(cards.inputs(seed), cards.start, seed=seed)
    train_system(model, cards, seed=seed, **recipe)
    return model


# %%
model = learned(cards)
curve = pb.relative(model.place[:, 0])
table = pd.DataFrame(curve.T, index=range(1, 11), columns=["phone", "desktop", "TV"])
table.rename_axis("position").round(2).T

# %% [markdown]
# The table of the click falls with the position but for a few small steps, on each device in its own way, as in chapter 10. Does the position stay out of satisfaction? We move all cards of a thousand pages from the first place to the tenth and see how far each output moves:

# %%
some = cards.batch[torch.arange(1_000)]
with torch.no_grad():
    top_place, last_place = (model(some, unplaced(some) + place) for place in (1, 10))
moved = (top_place - last_place).abs().amax(dim=0)
pd.DataFrame([moved.tolist()], ["largest change"], TASKS).round(3)

# %% [markdown]
# Not at all, by construction. In the other two tasks of engagement the table has learned far less than in the click. (Watch time is a share of the video, the others are logits.) Their labels exist after a click only, and in this world whoever has clicked does not mind any more where the card stood.
#
# ## 5. From a request to a page
#
# The first stage turns a request into candidates. (It counts earlier showings for the ranker, and works five hundred requests at a time to save memory. Who named a candidate, which P1 calls crucial, stays outside the ranker, since no log says it of our sources yet.)


# %% tags=["export"]
class FirstStage:
    """Gives page requests their candidates: the pool of some sources."""

    def __init__(self, logs, sources, size=200):
        self.sources, self.size, self.videos = sources, size, len(logs.videos)
        shown = logs.impressions["user_id"], logs.impressions["video_id"]
        self.shown = fs.count_pairs(*shown, (len(logs.users), self.videos))

    def __call__(self, requests, size=None):
        """The same requests (n) with candidates (n, size)."""
        moments, size = moments_of(requests, self.videos), size or self.size
        parts = [pool(ask(self.sources, moments[at : at + 500]), size)[0]
                 for at in range(0, len(requests), 500)]  # fmt: skip
        videos = np.concatenate(parts).astype(np.int32)
        before = self.shown[requests.user[:, None], videos]
        return replace(requests, candidates=videos, nominators=np.zeros(videos.shape, np.int8),
                       previous_impressions=before)  # fmt: skip


# %% [markdown]
# > **Exercise 3 · The policy** (building, 15 minutes). Write the two methods. `score` gets raw cards: bring them to the scales of `self.cards`, predict the seven tasks by `mo.predict_tasks` (which gives no cell, so the position is missing), make factors of the predictions by `mo.factors_of(predictions, seconds)`, and combine them by `mo.combine(factors, self.weights)`. `__call__` asks `self.first` for candidates where the requests bring none, makes a batch of them, and returns the best `requests.slate` videos of each row.
#
# <details><summary>Hint 1</summary><code>batch.number("duration")</code> are the seconds of the cards.</details>
# <details><summary>Hint 2</summary><code>RankingBatch.of(self.cards.features.of_requests(requests))</code> makes the batch, row by row; <code>top(scores, videos, k)</code> takes tables (n, c).</details>


# %% tags=["exercise"]
class System:
    """A policy: nominate, predict, combine, show the best (P2, Figure 1 and section 3)."""

    def __init__(self, first, cards, model, weights):
        self.first, self.cards, self.model, self.weights = first, cards, model, weights

    def score(self, batch):
        """Scores (n,) of raw cards that are not placed yet."""
        ...  # your code

    def __call__(self, requests):
        """Pages (n, slate) for n page requests."""
        ...  # your code


# %% tags=["solution", "export"]
class System:
    """A policy: nominate, predict, combine, show the best (P2, Figure 1 and section 3)."""

    def __init__(self, first, cards, model, weights):
        self.first, self.cards, self.model, self.weights = first, cards, model, weights

    def score(self, batch):
        """Scores (n,) of raw cards that are not placed yet."""
        said = mo.predict_tasks(self.model, self.cards.scales(batch))
        return mo.combine(mo.factors_of(said, batch.number("duration")), self.weights)

    def __call__(self, requests):
        """Pages (n, slate) for n page requests."""
        if requests.candidates is None:
            requests = self.first(requests)
        batch = RankingBatch.of(self.cards.features.of_requests(requests))
        scores = self.score(batch).reshape(requests.candidates.shape)
        return top(scores, requests.candidates, requests.slate)


# %%
System = answer("12-policy", System)

# %% tags=["export"]
BALANCED = {"click": 1.0, "watch time": 0.5, "rating": 1.0}


def assemble(logs, weights=BALANCED, size=200, days=12, **recipe):
    """The whole system, from a log and nothing else."""
    first = FirstStage(logs, {name: build(logs) for name, build in FOUR.items()}, size)
    late = logs.impressions["time"] >= logs.impressions["time"].max() - days
    cards = Cards(logs, logs.impressions[late])
    return System(first, cards, learned(cards, **recipe), weights)


# %% [markdown]
# It stands. (Our page here learns from six days and in two passes, to be quick; the stored trial from twelve, by tuned recipes.) Now six hundred people ask for a page. `OwnPages` keeps their requests and our candidates, and says what any page would be worth, in exact expectation. Each measure has its own ceiling, an oracle that knows the truth and ranks by that measure alone:

# %%
first = FirstStage(logs, sources)
system = System(first, cards, model, BALANCED)
pages = OwnPages(world, cards.features, first, 600)
counts, alone = fs.FirstSystem(logs, fs.KEPT), {"sequence": sources["sequence"]}
met = {
    "random": rank(world.random(), pages.open),
    "longest first": pages.best(pages.batch.number("duration")),
    "two counts (00)": rank(counts, pages.open),
    "sequence alone (03)": pool(ask(alone, moments_of(pages.open, len(logs.videos))), 10)[0],
    "the whole system": pages.best(system.score(pages.batch)),
}
for measure in ("watch_minutes", "clicks", "satisfied"):
    met[f"oracle of {measure}"] = world.oracle(measure)(pages.open)
live = pd.DataFrame({who: pages.worth(page).mean() for who, page in met.items()}).T
live[["watch_minutes", "clicks", "satisfied", "dismissals", "length_minutes"]].round(2)

# %% [markdown]
# *What to see:* in all three measures the system is far above chance, above the longest videos, and above the sequence alone. But look at the clicks of the two counts from chapter 00. They are ahead. The system has been told to care for minutes and stars as well, so let us look at other weights before we judge.
#
# ## 6. Weights, before anything is compared
#
# A ranker that predicts seven things is not one recommender but many, one for each choice of weights. Chapter 08 has shown that one must compare along the *frontier*. We keep the click's weight at 1 and turn the two others, on the same requests:


# %% tags=["export"]
GRID = [(time, rating) for time in (0.0, 0.25, 0.5, 1.0) for rating in (0.0, 0.5, 1.0, 2.0, 4.0)]


def along(pages, factors, grid=GRID):
    """What pages are worth at each pair of weights: one table for each request, by weights."""
    found = {}
    for watch_time, rating in grid:
        weights = {"click": 1.0, "watch time": watch_time, "rating": rating}
        found[watch_time, rating] = pages.worth(pages.best(mo.combine(factors, weights)))
    return found


# %%
seconds = pages.batch.number("duration")
factors = mo.factors_of(mo.predict_tasks(model, cards.scales(pages.batch)), seconds)
frontier = pd.DataFrame({at: worth.mean() for at, worth in along(pages, factors).items()}).T


def at_weights(watch_time, rating):
    """The frontier, and where one stands with these weights."""
    weights = {"click": 1.0, "watch time": watch_time, "rating": rating}
    here = pages.worth(pages.best(mo.combine(factors, weights))).mean()
    said = f"{here.watch_minutes:.2f} minutes, {here.satisfied:.3f} satisfied, {here.clicks:.2f} clicks"
    alt = f"satisfied watches against minutes, a line for each weight of the time; here {said}"
    fig, ax = plots.figure(height=3.6, alt=alt)
    for time_, part in frontier.groupby(level=0):
        ax.plot(part["watch_minutes"], part["satisfied"], "-o", markersize=4, label=f"{time_:g}")
    ax.plot(live.loc["two counts (00)", "watch_minutes"], live.loc["two counts (00)", "satisfied"],
            "s", color="grey", label="two counts")  # fmt: skip
    ax.plot(here.watch_minutes, here.satisfied, "*", color="black", markersize=14)
    ax.set(xlabel="minutes per page", ylabel="satisfied watches per page", title=said)
    ax.legend(title="weight of the time", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


sliders(at_weights, watch_time=FloatSlider(0.0, 1.0, 0.25, 0.5, label="weight of the watch time"),
        rating=FloatSlider(0.0, 4.0, 0.5, 1.0, label="weight of the rating"))  # fmt: skip

# %% [markdown]
# Three settings, for those who read without running:

# %%
for watch_time, rating in ((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)):
    plots.show(at_weights(watch_time, rating))

# %% [markdown]
# *What to see:* each line is one weight of the watch time; along it the weight of the rating grows from 0 (the star of the first and last picture). With 0 on both, the clicks (in the title) are about those of the two counts; with 1 and 0 they are fewest, and there are no more minutes for it than in the middle.
#
# No point is best at everything. So from here on each recommender is judged three times, by minutes, by clicks and by satisfied watches, each time at the weights that suit it, and each measure has its own ceiling. The weights are chosen on half of the requests and counted on the other half; otherwise whoever has more weights to choose from would seem to win.
#
# ## 7. How wide should the funnel be?
#
# Now the second question. Our catalogue is small enough to do what YouTube cannot: rank *everything* and look what the first stage has cost us. Since a pool is a list, a narrow one is the beginning of a wide one. So one long pool gives all widths:

# %%
few, widths = 60, (10, 20, 50, 100, 200, 400, 800, 1_600, 1_949)
corpus = OwnPages(world, cards.features, lambda asked: first(asked, widths[-1]), few)
scores = system.score(corpus.batch).reshape(corpus.shape)
table = {}
for width in widths:
    page = top(scores[:, :width], corpus.asked.candidates[:, :width], 10)
    best = world.oracle("satisfied")(replace(corpus.open, candidates=corpus.asked.candidates[:, :width]))
    table[width] = {"ranker": corpus.worth(page)["satisfied"].mean(),
                    "truth": corpus.worth(best)["satisfied"].mean()}  # fmt: skip
pd.DataFrame(table).round(2)

# %% [markdown]
# Satisfied watches per page, once by our ranker, once by a ranker that knows the truth. (The last width is the whole catalogue but for what one has watched lately.) Sixty requests of one town; the stored trial has more:

# %%
rows_of = [
    {"who": who, "candidates": width, "panel": panel, "value": value}
    for who, key in (("our ranker", "before"), ("after a day (section 8)", "after"), ("truth", "truth"))
    for width in widths for name, panel in (("minutes", "minutes"), ("satisfied", "satisfied watches"))
    for value in 100 * stored[f"width {width}, {key}/{name}"] / stored[f"width 1949, truth/{name}"]
]  # fmt: skip
fig = plots.lines(pd.DataFrame(rows_of), "candidates", panel="panel", label="% of the best pages",
                  log=True)  # fmt: skip
for ax in fig.axes:
    ax.set_xticks(ticks := (10, 50, 200, 800, 1_949), [f"{tick:,}" for tick in ticks])
fig.axes[1].legend(title="", loc="center left", bbox_to_anchor=(1.0, 0.5))
plots.show(fig)

# %% [markdown]
# *What to see:* the truth gains by every further candidate, though less and less. Our ranker has what it can get from a few hundred. Beyond that the mean of its pages gets *worse*, but worlds differ: whether the whole catalogue does harm is undecided (row P1-F2).
#
# How could more candidates make a page worse? We have two guesses. A ranker makes mistakes, and the best of two thousand is more often a mistake than the best of two hundred. And it has learned from cards that some source had named, and knows little of the rest; a first stage that leaves those out protects it. After a day of our own pages (section 8) the mean loses less, which would fit the second guess; the worlds do not agree on it.
#
# The two curves also say who should be improved next. Among twenty candidates a perfect ranker would find about as much as ours finds among two hundred. So here it is the ranker that holds us back, and a wider pool would be lost on it.
#
# And what does a page cost? Milliseconds of one core, again from the stored trial:

# %%
cost = {width: {"rank them (ms)": stored[f"width {width}, cost/rank"].mean(),
                "share of the corpus's satisfied watches (%)":
                100 * (stored[f"width {width}, before/satisfied"]
                       / stored["width 1949, before/satisfied"]).mean()}
        for width in widths}  # fmt: skip
print(f"asking four sources and pooling: {stored['width 200, cost/nominate'].mean():.1f} ms a page")
pd.DataFrame(cost).T.rename_axis("candidates").round(1)

# %% [markdown]
# Few candidates cost more than their share, since much is done once for a page; from a few hundred on, the time grows at least as their number does. The sources look at the whole catalogue in about the time that ranking a few hundred takes, since each asks one cheap question. That is all there is to the idea of the funnel. (Here the sources score every video; with millions of them one would search by cells, as in chapter 03.)
#
# ## 8. Close the loop
#
# Everything so far was learned from pages that *another* system had made. Of the cards that our pool brings up, our ranker may have seen few. And it has never been told about its own mistakes: a video that it overrates was perhaps never shown, so nobody ever turned it down.
#
# One day is enough to change that. `serve_a_day` shows pages to people on the day after the log and writes down what they do, in the columns of `logs.impressions`. (The world stands still while it does: the same day can be served again by another system, and nothing but the system differs. Chapter 14 lets the days pass.)


# %% tags=["export"]
def serve_a_day(world, policy, n=2_000, seed=1, candidates="catalogue"):
    """Pages of a policy on the day after the log, as rows of `logs.impressions`."""
    engine, kinds = world.engine, world.logs().impressions.dtypes
    situation, asked = live_requests(engine, n, seed, candidates=candidates)
    pages = rank(policy, asked)
    done = respond(engine.behaviour, engine.memory, situation, asked.request, pages, engine.seed)
    names = {"request_id": "request", "user_id": "user", "query_video_id": "query_video"}
    shown = engine.memory.shown[asked.user[:, None], engine.memory.bucket(pages)]
    of_card = {"video_id": pages, "position": np.arange(1, asked.slate + 1) + 0 * pages,
               "nominator": np.full_like(pages, -1), "previous_impressions": shown}  # fmt: skip
    columns = {}
    for name, kind in kinds.items():
        values = of_card.get(name, getattr(done, name, None))
        if values is None:
            values = np.repeat(getattr(asked, names.get(name, name))[:, None], asked.slate, axis=1)
        values = values.ravel()
        if isinstance(kind, pd.CategoricalDtype):
            columns[name] = pd.Categorical.from_codes(values.astype(int), dtype=kind)
        else:
            columns[name] = values.astype(kind)
    return pd.DataFrame(columns)


# %%
day = serve_a_day(world, system, n=1_200)
old = logs.impressions[logs.impressions["time"] >= logs.impressions["time"].max() - 1]
print(f"clicks per page: {10 * day['clicked'].mean():.2f}, on the log's last day {10 * old['clicked'].mean():.2f}")
day[["user_id", "video_id", "position", "clicked", "watched_seconds", "survey"]].head(4)

# %% [markdown]
# > **Exercise 4 · The loop** (building, 15 minutes). `learn(rows)` gives a policy that has learned from rows of a log, `serve(policy, day)` gives the rows of one more day, on which this policy has made the pages. Days are counted from 0. Return the list of all policies, the first one learned from `rows` alone, and one more after each day, which has learned from everything up to then.
#
# <details><summary>Hint 1</summary><code>pd.concat([rows, more], ignore_index=True)</code> puts one table below the other.</details>
# <details><summary>Hint 2</summary>The day is served by the newest policy.</details>


# %% tags=["exercise"]
def turns(rows, learn, serve, days):
    """Policies (days + 1): learned from rows of a log, then anew after each day they served."""
    ...  # your code


# %% tags=["solution", "export"]
def turns(rows, learn, serve, days):
    """Policies (days + 1): learned from rows of a log, then anew after each day they served."""
    policies = [learn(rows)]
    for day in range(days):
        rows = pd.concat([rows, serve(policies[-1], day)], ignore_index=True)
        policies.append(learn(rows))
    return policies


# %%
turns = answer("12-turns", turns)

# %%
def learn(rows):
    """A system that has learned from rows; the one that we have is not learned again."""
    if len(rows) == len(cards.rows):
        return system
    more = Cards(logs, rows)
    return System(first, more, learned(more), BALANCED)


before, after = turns(rows, learn, lambda policy, at: day, days=1)
live.loc["after one day"] = pages.worth(after(pages.asked)).mean()
live.loc[["the whole system", "after one day"], ["watch_minutes", "clicks", "satisfied"]].round(2)

# %% [markdown]
# One training in one town says little, and not every column has gone up. If the day helps, why? "More data" would be one answer, "fresh data" another. A *because* needs the run without the cause. So the stored trial adds as many pages of the same day, but made by others: by the past ranking on its own candidates, as before; by the past ranking on *our* candidates; and by our system.

# %%
measures = {"minutes": "minutes", "clicks": "clicks", "satisfied": "satisfied watches"}
ways = {"past ranking, its candidates": "past day", "past ranking, our candidates": "pool day",
        "our system": "own day", "our system, two days": "two days"}  # fmt: skip
rows_of = [{"who": who, "panel": panel, "value": value} for who, key in ways.items()
           for name, panel in measures.items()
           for value in stored[f"{key}/{name} gap"] - stored[f"before/{name} gap"]]  # fmt: skip
plots.worlds(pd.DataFrame(rows_of), panel="panel", label="points of the gap", zero=True)

# %% [markdown]
# *What to see:* points gained over the same system without that day (0). Pages that our system made bring most, and in minutes and satisfied watches a second day adds a little. As many pages of the past ranking bring next to nothing, on its own candidates as on ours.

# %%
pairs = {"own day": "before", "own day ": "past day", "pool day": "past day", "two days": "own day"}
words = ("a day of own pages, over none", "the same, over as many pages of the past ranking",
         "our candidates in the old order, over old candidates", "a second day, over one")  # fmt: skip
pd.Series({what: plots.in_words(stored[f"{a.strip()}/satisfied gap"] - stored[f"{b}/satisfied gap"])
           for what, (a, b) in zip(words, pairs.items())}, name="satisfied, points").to_frame()  # fmt: skip

# %% [markdown]
# In each measure the day of our own pages is worth more than the day of the past ranking, and the worlds agree on it (row S-20).
#
# So what counts is neither that there is more data, nor that it is fresh, but whose pages they are. Nor do our candidates suffice: in the old ranking's order, they are worth clearly less than in ours. Our guess at a reason: the old pages say much about the cards that the old system liked, and nearly nothing about those that only we bring up. And on its own pages the ranker meets its own mistakes, high up, where people look at them and turn them down.
#
# This has a dark side, too: a system that learns from what it shows may come to believe in itself. That is the question of chapter 14.
#
# ## 9. What is each idea worth?
#
# Now the table that the whole course has been heading for. All rankers of the table below stand behind the same first stage, read the same inputs, learn from the same twelve days, and were tuned on worlds 7, 11 and 13 for what they bring live (*minutes* for its minutes, the others for the mean of three measures):

# %%
tuning.load("tuning_system").recipes().round({"seconds": 1})

# %% [markdown]
# The search goes from a recipe to a better neighbour until there is none. *Figure 1* had two starts, the others one, so better ones may have been missed: *seven tasks* was never tried with the four passes of the two below it.
#
# Each is then judged in other worlds, by each measure at its own weights. The numbers are the share of the way from random pages (0) to the oracle of that measure (100), with the half width of the 95 % interval over the worlds.

# %%
STEPS = ("longest first", "popular (01)", "factorization (02)", "sequence (03)", "two counts (00)",
         "minutes (07)", "seven tasks (08)", "experts (09)", "Figure 1 (10)", "own day")  # fmt: skip
worth = {who: {label: plots.in_words(stored[f"{who}/{name} gap"]) for name, label in measures.items()}
         | {"length shown": plots.in_words(stored[f"{who}/length"])} for who in STEPS}  # fmt: skip
pd.DataFrame(worth).T

# %%
rows_of = [{"who": who, "panel": label, "value": value} for who in STEPS
           for name, label in measures.items() for value in stored[f"{who}/{name} gap"]]
plots.worlds(pd.DataFrame(rows_of), panel="panel", label="gap closed (%)")

# %%
satisfied = pd.DataFrame({who: stored[f"{who}/satisfied gap"] for who in STEPS})
steps = satisfied[list(STEPS[5:])].diff(axis=1).iloc[:, 1:]
guess.beside(f"points of satisfied watches: {'; '.join(f'{who} {plots.in_words(steps[who])}' for who in steps)}")

# %% [markdown]
# *What to see:* the sequence alone is a weak recommender. It stands a little above popularity at best. A factorization of all weeks, which knows nothing of what is new, stands below.
#
# The large step over the sequence comes from ranking. A network that predicts minutes takes the pool much further, and not just by length: *longest first*, on the same candidates, stays far behind.
#
# Seven tasks in the place of one bring more of all three, least in minutes. Probably because they can be weighed for each measure.
#
# Experts in the place of the shared bottom bring a little in clicks and minutes, where their longer training may have helped. In satisfied watches nothing is seen of them.
#
# The shallow tower adds to all three measures, at the same recipe, and most to clicks.
#
# And the two counts of chapter 00? In minutes and satisfied watches, of which the counts know nothing, the whole machine is far ahead of them. In clicks it is not visibly so, until it has learned from a day of its own pages. A good count is a strong opponent; whoever leaves it out has shown little.
#
# Below the oracle a wide gap is left in each measure: what we have not tried, and what no log of twelve days can know.
#
# **A trap.** Had we compared rankers at one pair of weights, say 1 and 1, this is what the shallow tower would seem to be worth, beside what it is worth with weights of its own:

# %%
even = {who: stored[f"{who}, even/satisfied"] for who in STEPS[7:9]}
own = {who: stored[f"{who}/satisfied"] for who in STEPS[7:9]}
pd.Series({at: plots.in_words(100 * (of["Figure 1 (10)"] / of["experts (09)"] - 1))
           for at, of in (("at 1 and 1", even), ("each at its own", own))},
          name="satisfied watches, Figure 1 over experts (%)").to_frame()  # fmt: skip

# %% [markdown]
# With one pair of weights for both, the mean shows next to nothing of it, though the interval is wide. Our guess at the reason: a head freed from the position says less loudly who will be clicked, so the same weight of the watch time pulls harder. Who changes a part should set the weights anew.
#
# ## 10. Who sees what
#
# The three accounts, first by the system that has learned from the old pages only, then after its own day:

# %%
def shown(policy):
    """Pages of some accounts, on the evening after the log."""
    return lambda users: policy(evening_requests(world, users, "catalogue")[1])


players.pages(world, shown(before))

# %%
players.pages(world, shown(after))

# %% [markdown]
# *What to see:* of the six videos drawn for each account, most are still there after the day, some at another place.
#
# ## What the ledger says

# %%
ledger.show("12")

# %% [markdown]
# ## Challenge
#
# > **Beat the course** (open, an evening or a month). `contest` puts your recommender into worlds that it has not seen, between chance and the truth. `contests.CHAPTERS` are the course's own: popularity, the two counts of chapter 00, and the whole system of this chapter, weighted for clicks, which is what the contest counts. Everything is allowed that a platform could know. Ideas: the pool's scores as features; the two counts as a fifth source; another width; three networks in the place of one. (Two villages, as below, rank nobody.)


# %%
def my_system(logs):
    """Three counts of chapter 00: a start to be improved."""
    return fs.FirstSystem(logs, (*fs.KEPT, "watched next"))


scored = contest(my_system, world="village", worlds=2, n=200, systems=contests.CHAPTERS)
scored

# %% [markdown]
# ## Summary
#
# 1. Each source names something that no other names. A pool is not for that reason better than its best source with as many places; here it was not visibly so, and held fewer of the most satisfying videos.
# 2. A pool of two hundred served our ranker no worse in the mean than the whole catalogue (worlds differ much), at a small part of the time. With a perfect ranker every further candidate would pay, so the two stages must be improved in turns.
# 3. P2's Figure 1 is built of parts that you know. The position enters engagement alone and is missing when a page is served.
# 4. A day of its own pages taught the system more than as many pages of the old one. Fresh pages in another's order taught it next to nothing.
# 5. What an idea is worth depends on the measure and on weights that suit it. Here ranking and several tasks brought the large steps, the shallow tower a smaller one, experts little. In clicks the whole was not visibly ahead of two well-chosen counts before it had learned from its own pages.
#
# **Limits.** Two thousand videos, of which the sources score every one; the widths of the funnel are those of a small town. The past ranking sees to it that many of the same popular videos stand in the log, so that our system never meets a catalogue that nobody has looked at. The day that the loop learns from is served while the world stands still. Weights are chosen on live pages, which costs a company real people.
#
# **References.** P1: Covington, Adams, Sargin, *Deep Neural Networks for YouTube Recommendations*, RecSys 2016. P2: Zhao et al., *Recommending What Video to Watch Next: A Multitask Ranking System*, RecSys 2019. Krichene et al., *Efficient Training on Very Large Corpora via Gramian Estimation*, ICLR 2019. Ma et al., *Off-policy Learning in Two-stage Recommender Systems*, WWW 2020.
