"""Ledger of chapter 11, titles and thumbnails: what they tell, and what they are good for."""

from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from scipy.sparse import diags
from sklearn.linear_model import Ridge

from course import ab_test, simulate, tuning
from course.ledger import Trial
from course.lessons import content as ct
from course.lessons import matrix_factorization as mf
from course.metrics import ranks
from course.tasks.next_watch import Moments, NextWatch

CLAIMS = """
P2-C18: Content helps where watches are few.
paper: names learning from a sparse distribution of items as the problem of collaborative filtering
trial: content_cold, content_live
* recall@30 after 1 watch, content alone minus watches alone
  | `both/recall@30` - `watches 1/recall@30` | above 0
* recall@30 after 4 watches, blend minus watches alone
  | `blend 4/recall@30` - `watches 4/recall@30` | above 0
* minutes a page of new uploads, blend against watches alone (%)
  | percent(`blend/watch_minutes`, `watches/watch_minutes`) | above 0
- minutes a page of new uploads, blend against the direction of watches alone (%)
  | percent(`blend/watch_minutes`, `direction of watches/watch_minutes`)
- recall@30 after 4 watches, content alone minus watches alone
  | `both/recall@30` - `watches 4/recall@30`
- recall@30 after 8 watches, content alone minus watches alone
  | `both/recall@30` - `watches 8/recall@30`
- recall@30 after 16 watches, content alone minus watches alone
  | `both/recall@30` - `watches 16/recall@30`
- recall@30 after 32 watches, content alone minus watches alone
  | `both/recall@30` - `watches 32/recall@30`
- recall@30 after 4 watches, blend minus content alone
  | `blend 4/recall@30` - `both/recall@30`
- recall@30 after 32 watches, blend minus watches alone
  | `blend 32/recall@30` - `watches 32/recall@30`
- recall@30 after 4 watches, blend with another video's content minus watches alone
  | `wrong content 4/recall@30` - `watches 4/recall@30` | below 0
- recall@30 without a watch, title and thumbnail minus title
  | `both/recall@30` - `title/recall@30` | above 0
- recall@30 without a watch, network minus straight line | `both/recall@30` - `line/recall@30`
- recall@30, true topic and language minus content
  | `true topic and language/recall@30` - `both/recall@30`
- minutes a page of new uploads, content against watches alone (%)
  | percent(`content/watch_minutes`, `watches/watch_minutes`)
- minutes a page of new uploads, content against chance (%)
  | percent(`content/watch_minutes`, `chance/watch_minutes`) | above 0
- minutes a page of new uploads, content of another video against chance (%)
  | percent(`wrong content/watch_minutes`, `chance/watch_minutes`)
- minutes a page of new uploads, blend against the most watched (%)
  | percent(`blend/watch_minutes`, `most watched in the language/watch_minutes`)
note: In recall each new video has handed back the same number of watches, so that popularity helps
  nobody. Live, each has those that it had, and the vector of its watches is the longer the more
  they are; the blend joins directions and leaves that out.

P2-C19: Low-level features carry less of taste than of topic.
paper: bridging the semantic gap from low-level content features is named as a hard problem
trial: content_gap
* share told by title and thumbnail, taste minus topic | `both 1/taste` - `both 1/topic` | below 0
* share told by title and thumbnail, taste within topics minus topic
  | `both 1/taste within topics` - `both 1/topic` | below 0
- share of the taste that the true topic tells | `true topic/taste`
- share of the taste, title and thumbnail minus true topic
  | `both 1/taste` - `true topic/taste` | below 0
- the same where content is clearest (dial 2) | `both 2/taste` - `true topic/taste`
- share of the taste within topics, clearest content | `both 2/taste within topics`
- share of the taste within topics, vectors of 32 watches and more
  | `watches/taste within topics` | above 0
- share of the taste, vectors of 32 watches and more minus title and thumbnail
  | `watches/taste` - `both 1/taste`
- share of the taste, title and thumbnail minus title | `both 1/taste` - `title 1/taste` | above 0
- share of the topic where content says nothing (dial 0) | `both 0/topic` | -0.05 to 0.05
- share of the quality that title and thumbnail tell | `both 1/quality`
note: Told by a straight line from counts of words and mean colours. That content tells nothing of
  taste within a topic is a law of this world; nine tenths of its taste are a matter of topic.

P2-C20: Matching topics finds candidates where nothing was watched together yet.
paper: topic match and co-watch are two of the sources of candidates; no numbers
trial: content_cold
* recall@100, same content minus watched together, query watched under 10 times
  | `near in content, under 10/recall@100` - `watched together, under 10/recall@100` | above 0
- the same, query watched 10 to 49 times
  | `near in content, 10 to 49/recall@100` - `watched together, 10 to 49/recall@100`
- the same, query watched 50 times and more
  | `near in content, 50 and more/recall@100` - `watched together, 50 and more/recall@100`

S-17: Clickbait can be seen in pixels before the first click
paper: our own question
trial: content_gap
* correlation with the true clickbait, unseen videos | `eye 1/loudness` | above 0.2
* the same where content says nothing (dial 0) | `eye 0/loudness` | -0.1 to 0.1
- the same where content is clearest (dial 2) | `eye 2/loudness`
note: Trained on what is clicked much and left early. The world lets a thumbnail's loudness
  correlate with the truth by 0.7 at dial 1, which is the ceiling.
"""

STORE = "tuning_content"
NEW, KNOWN_BY, WATCHES = 300, 32, (0, 1, 2, 4, 8, 16, 32)
DIALS = (0.0, 1.0, 2.0)
READERS = ("title", "picture", "both")
GRID = {
    "rate": {who: (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04) for who in READERS},
    "passes": {who: (10, 20, 40, 80, 160) for who in READERS},
    "penalty": {"line": (0.3, 1, 3, 10, 30, 100)},
    "regularisation": {"watches": (10, 30, 100, 300, 1000, 3000, 10000)},
    "alpha": {"watches": (1, 3, 10, 30, 100, 300, 1000)},
    "half": {"blend": (0.5, 1, 2, 4, 8, 16, 32, 64, 128)},
}


class Setting:
    """A town, some of whose videos are kept from the models: 300 at random, or the last ones."""

    def __init__(self, seed, content=1.0, late=None):
        self.world = simulate("town", seed=seed, content=content)
        self.logs, self.game = self.world.logs(), NextWatch(self.world.logs())
        self.log = self.game.train if late is None else self.logs
        videos = len(self.log.videos)
        table = mf.who_watched_what(self.log)
        self.n = np.asarray(table.sum(axis=0))[0]
        if late is None:
            able = np.flatnonzero(self.n >= KNOWN_BY)
            self.new = np.sort(np.random.default_rng(seed).choice(able, NEW, replace=False))
        else:
            self.new = np.flatnonzero(self.log.videos["uploaded"] >= late)
        old = np.ones(videos, np.float32)
        old[self.new] = 0
        self.old = np.flatnonzero(old)
        kept = (table @ diags(old)).tocsr().astype(np.float32)
        kept.eliminate_zeros()
        self.x, self.y = mf.als(kept, seed=seed)
        self.words, self.looks = ct.title_words(self.world.content), ct.pictures(self.world.content)

    def seen(self, which):
        """Words and pictures, one of them blank unless both are read."""
        words = self.words if which != "picture" else torch.full_like(self.words, self.blank)
        # A small blank picture says as little as a large one, and costs less.
        return words, self.looks if which != "title" else torch.zeros(len(words), 3, 4, 4)

    @property
    def blank(self):
        """What stands for no word."""
        return len(self.world.content.vocabulary)

    def reader(self, which="both", seed=0, known=None, **recipe):
        """A reader trained on known videos (None = the old): hidden numbers, vectors of all."""
        topics = len(self.log.videos["topic"].cat.categories)
        reader = ct.Reader(self.blank, topics, seed=seed)
        seen = self.seen(which)
        known = self.old if known is None else known
        ct.teach(reader, *seen, self.log, self.y, known, seed=seed, **recipe)
        return ct.read(reader, *seen)

    def flat(self, which="both"):
        """Counts of words and 60 mean colours (videos, numbers): what needs no network."""
        count = torch.nn.functional.one_hot(self.words, self.blank + 1).sum(dim=1)[:, :-1]
        colours = torch.nn.functional.avg_pool2d(self.looks, 3).flatten(1)
        parts = {"title": count.numpy(), "picture": colours.numpy()}
        return parts[which] if which in parts else np.hstack(list(parts.values()))

    def line(self, given, penalty):
        """Vectors of all videos by a straight line from what is given of them."""
        weight = self.n[self.old] / (self.n[self.old] + 20)
        aim = ct.unit(self.y[self.old])
        return ct.unit(Ridge(penalty).fit(given[self.old], aim, weight).predict(given))

    def goals(self):
        """Truths (videos, k) to be told, how many videos the log has, and the ids of the others."""
        world, videos = self.world, self.world.engine.catalogue
        rng = np.random.default_rng(self.world.seed)
        users = rng.choice(len(self.logs.users), 200, replace=False)
        taste = world.truth.interest(users[None], np.arange(len(videos))[:, None])
        of_topic = pd.DataFrame(taste).groupby(videos.topic).transform("mean").to_numpy()
        one = {name: np.eye(getattr(videos, name).max() + 1)[getattr(videos, name)]
               for name in ("language", "format", "topic")}  # fmt: skip
        loud = {"loudness": videos.clickbait, "quality": videos.quality}
        known = len(self.logs.videos)
        tastes = {"taste": taste, "taste within topics": taste - of_topic}
        return {**one, **loud, **tastes}, known, np.arange(known, len(videos))

    def own(self, n, **recipe):
        """Vectors of the new videos from their first n watchers."""
        return ct.own_vectors(self.x, ct.first_watchers(self.log, self.new, n), **recipe)


@lru_cache(1)
def _setting(seed):
    return Setting(seed)


def _contestant(who):
    def run(settings, world):
        s = _setting(world)
        found = ct.judge(s.game, s.new, s.x)
        if who == "line":
            return found(s.line(s.flat(), **settings)[s.new])["recall@30"]
        if who == "watches":
            return np.mean([found(s.own(n, **settings))["recall@30"] for n in (2, 8, 32)])
        if who == "blend":
            content, n = _content(world)[s.new], np.ones(NEW)
            return np.mean([found(ct.blend(content, s.own(k), k * n, **settings))["recall@30"]
                            for k in (2, 8, 32)])  # fmt: skip
        return found(s.reader(who, **settings)[1][s.new])["recall@30"]

    return run


@lru_cache(1)
def _content(world):
    return _setting(world).reader()[1]


def tune():
    """Tune the readers, the line, the vectors of watches, and the blend of both."""
    order = ("line", "watches", "blend", "title", "picture", "both")
    tuning.tune(
        {who: _contestant(who) for who in order}, GRID,
        start={"rate": 0.01, "passes": 40, "penalty": 30, "regularisation": 300, "alpha": 100,
               "half": 4},
        compare=("both", "title"), store=STORE, about={"size": "town", "new": NEW}, give_up=0.01,
    )  # fmt: skip


def gap(seed):
    """What the contents tell of their videos, from the surface down to taste, by the dial."""
    for dial in DIALS:
        s = Setting(seed, content=dial)
        goals, known, fresh = s.goals()
        for which in READERS if dial == 1 else ("both",):
            yield _told(f"{which} {dial:g}", s.flat(which), goals, np.arange(known), fresh)
        loud = ct.learn_to_see(s.looks, *ct.regrets(s.logs), np.arange(known), seed=seed)
        right = np.corrcoef(loud[fresh], goals["loudness"][fresh])[0, 1]
        yield {"who": f"eye {dial:g}", "loudness": right}
    yield _told("true topic", goals["topic"], goals, np.arange(known), fresh)
    many = np.random.default_rng(seed).permutation(s.old[s.n[s.old] >= KNOWN_BY])
    yield _told("watches", ct.unit(s.y), goals, *np.array_split(many, 2))


def _told(who, given, goals, known, fresh):
    share = {name: ct.told(given, goal, known, fresh) for name, goal in goals.items()}
    return {"who": who, **share}


def cold(seed):
    """Recall among 300 videos of which only the first n watchers are known; queries, too."""
    s, best = Setting(seed), tuning.load(STORE).best
    found, goals = ct.judge(s.game, s.new, s.x), s.goals()[0]
    label = s.line(np.hstack([goals["topic"], goals["language"]]), 1.0)
    yield {"who": "true topic and language", **found(label[s.new])}
    yield {"who": "nothing", **found(0 * label[s.new])}
    yield {"who": "line", **found(s.line(s.flat(), **best["line"])[s.new])}
    read = {which: s.reader(which, seed=seed, **best[which])[1] for which in READERS}
    for which, vectors in read.items():
        yield {"who": which, **found(vectors[s.new])}
    content = read["both"][s.new]
    other = np.random.default_rng(seed).permutation(content)
    for n in WATCHES[1:]:
        own, count = s.own(n, **best["watches"]), np.full(NEW, n)
        yield {"who": f"watches {n}", **found(own)}
        yield {"who": f"blend {n}", **found(ct.blend(content, own, count, **best["blend"]))}
        yield {"who": f"wrong content {n}", **found(ct.blend(other, own, count, **best["blend"]))}
    known = s.old[(s.n[s.old] >= 10) & (s.old % 2 == 1)]
    yield from _queries(s, s.reader(seed=seed, known=known, **best["both"])[1], known)


def _queries(s, content, known):
    """Recall of the next watch near the last one, which no reader knows, by the last's watches."""
    events = s.game.events
    last = Moments.of_events(s.game.logs, events).watched[:, 0]
    fair = (last >= 0) & (last < s.game.videos) & ~np.isin(last, known)
    events, last = events[fair], last[fair]
    table = mf.who_watched_what(s.game.train)
    together = (table.T @ table).toarray() / np.sqrt(np.outer(s.n, s.n) + 1e-9)
    _, y = mf.als(table, seed=s.world.seed)
    near = {"near in content": ct.match(content[: len(y)], last),
            "watched together": together[last],
            "vectors of watches": ct.match(y, last)}  # fmt: skip
    hidden = s.game.hidden(Moments.of_events(s.game.logs, events))
    hidden[np.arange(len(last)), last] = True
    few = np.digitize(s.n[last], (10, 50))
    for who, scores in near.items():
        rank = ranks(scores, events["video_id"].to_numpy(), hidden)
        for part, words in enumerate(("under 10", "10 to 49", "50 and more")):
            yield {"who": f"{who}, {words}", "recall@100": (rank[few == part] <= 100).mean(),
                   "events": (few == part).sum()}  # fmt: skip


def first_hours(seed):
    """Pages of the last three days' uploads alone, in front of people."""
    s, best = Setting(seed, late=42), tuning.load(STORE).best
    content = s.reader(seed=seed, **best["both"])[1][s.new]
    own, n = s.own(200, **best["watches"]), s.n[s.new]
    counts = mf.popularity(s.logs)[:, s.new]
    spoken = s.logs.users["language"].cat.codes.to_numpy()
    vectors = {
        "watches": own, "content": content,
        "direction of watches": ct.unit(own),
        "blend": ct.blend(content, own, n, **best["blend"]),
        "wrong content": np.random.default_rng(seed).permutation(content),
    }  # fmt: skip
    scorers = {who: (lambda m, v=v: s.x[m.user] @ v.T) for who, v in vectors.items()}
    scorers["most watched in the language"] = lambda m: counts[spoken[m.user]]
    policies = ct.policies_of_new(s.world, s.new, scorers)
    table = ab_test(s.world, policies, n=3_000, seed=seed, candidates="catalogue").table
    table = table.pivot(index="policy", columns="metric", values="expected")
    for who, row in table.iterrows():
        yield {"who": who, **row}
    yield {"videos": len(n), "median watches": np.median(n)}


# Three worlds so far for the first; more are added by `reproduce --worlds N`.
TRIALS = (
    Trial("content_gap", gap, minutes=0.7),
    Trial("content_cold", cold, minutes=0.8),
    Trial("content_live", first_hours, minutes=0.5),
)
