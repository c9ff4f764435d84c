"""Ledger of chapter 03, softmax over videos, its shortcuts, and serving."""

import time

import numpy as np
import torch
from torch.nn import functional

from course import ab_test, simulate, tuning
from course.ledger import Trial
from course.lessons import candidate_generation as cg
from course.lessons import matrix_factorization as mf
from course.metrics import popularity_groups
from course.retrieval import Index, recall
from course.simulator.config import WorldConfig
from course.simulator.experiment import live_requests
from course.simulator.oracle import value
from course.simulator.policies import top
from course.tasks.next_watch import Moments, NextWatch

# The first two ranges of P1-C1: with about one click a page (standard deviation about 1), an
# experiment of 50,000 pages in each arm would just see a difference of 2 %. The range of P1-C10: in
# the paper's Figure 6 the smallest step between two sets of signals is 7 % (example age, at depth
# 0), so what differs by more than 10 % is not "very similar" there.
CLAIMS = """
P1-C1: Serving needs only a nearest-neighbour search, and which one hardly matters.
paper: A/B results were not particularly sensitive to the choice of the algorithm
trial: serving
* clicks of the ten best, IVF (nprobe 16) against exact (%)
  | percent(`ivf 16/clicks`, `flat/clicks`) | -2 to 2
* clicks of the ten best, HNSW (ef 200) against exact (%)
  | percent(`hnsw 200/clicks`, `flat/clicks`) | -2 to 2
- share of the exact 200 found, IVF | `ivf 16/recall@k` | above 0.9
- share of the exact 200 found, HNSW | `hnsw 200/recall@k` | above 0.9
- time of the exact search / IVF's | `flat/ms` / `ivf 16/ms` | above 3
- time of the exact search / HNSW's | `flat/ms` / `hnsw 200/ms` | above 3
- clicks of the ten best, HNSW on vectors of unequal length against exact (%)
  | percent(`raw hnsw 200/clicks`, `flat/clicks`)
- share of the exact 200 found, HNSW on vectors of unequal length | `raw hnsw 200/recall@k`
- clicks of the ten that a perfect ranker takes from the 200, HNSW on vectors of unequal length
  against exact (%) | percent(`raw hnsw 200/ranked_clicks`, `flat/ranked_clicks`)
note: On the raw vectors, whose lengths differ because of the learned bias, the graph finds a small
  part of the exact answer. A good ranker behind the search loses more by that than the first ten
  do. With so many vectors of 33 numbers the exact search takes about a millisecond, so there is
  little to gain; the gain grows with the catalogue.

P1-C2: A corrected sample of negatives does what all videos would do.
paper: several thousand sampled negatives with importance weighting instead of millions
trial: softmax_laws
* MRR, 500 corrected negatives against the full softmax (%)
  | percent(`popularity, corrected/mrr`, `full/mrr`) | above -5
* MRR, 500 negatives without the correction against with it (%)
  | percent(`popularity/mrr`, `popularity, corrected/mrr`) | below 0
- recall@300, 500 corrected negatives against the full softmax (%)
  | percent(`popularity, corrected/recall@300`, `full/recall@300`) | above -5
- recall@300, without the correction against with it (%)
  | percent(`popularity/recall@300`, `popularity, corrected/recall@300`) | below 0
- MRR, zipf without correction against with it (%)
  | percent(`zipf/mrr`, `zipf, corrected/mrr`) | below 0
- MRR, in-batch without correction against with it (%)
  | percent(`in-batch/mrr`, `in-batch, corrected/mrr`) | below 0
- MRR, uniform without correction against with it (%)
  | percent(`uniform/mrr`, `uniform, corrected/mrr`) | -1 to 1
- share expected of the popular half, without correction minus full softmax
  | `popularity/popular half` - `full/popular half` | below 0
- MRR, 1,000 negatives against 10 (%)
  | percent(`popularity, corrected 1000/mrr`, `popularity, corrected 10/mrr`) | above 0
- MRR gained from 100 to 1,000 negatives, minus from 10 to 100
  | `popularity, corrected 1000/mrr` - 2 * `popularity, corrected 100/mrr`
    + `popularity, corrected 10/mrr` | below 0
note: The correction repairs every law, and what is missing without it is popularity. For uniform
  drawing it changes nothing, as it must.

P1-C2-speed: Sampling makes a step many times cheaper than the full softmax.
paper: more than 100 times, with several thousand of about a million classes
trial: step_cost
* full / sampled with sparse updates, 1,000,000 videos
  | `full/1000000` / `sampled, sparse/1000000` | above 10 | more than 100
- the same ratio at 200,000 videos | `full/200000` / `sampled, sparse/200000` | above 10
- the same ratio at 2,000 videos | `full/2000` / `sampled, sparse/2000`
note: The ratio grows with the catalogue. Sampling alone is not enough: the updates have to be
  sparse, too.

P1-C3: A hierarchical softmax does not reach the sampled softmax.
paper: could not achieve comparable accuracy
trial: softmax_laws
* MRR, tree of topics against the sampled softmax (%)
  | percent(`topic tree/mrr`, `popularity, corrected/mrr`) | below 0
* MRR, random tree against the sampled softmax (%)
  | percent(`random tree/mrr`, `popularity, corrected/mrr`) | below 0
- MRR, tree of topics against a sample at its cost (%)
  | percent(`topic tree/mrr`, `popularity, corrected 90/mrr`)
- MRR, random tree against the tree of topics (%)
  | percent(`random tree/mrr`, `topic tree/mrr`) | below 0
- recall@300, tree of topics against the sampled softmax (%)
  | percent(`topic tree/recall@300`, `popularity, corrected/recall@300`)
note: The world labels topics without error and taste is about topics, so a tree of topics has good
  clusters. The paper suspects that its trees asked to tell apart sets of unrelated videos.

P1-C4: Averaging the bag is better than its sum or its maximum.
paper: averaging performed best among several strategies (sum, component-wise max, etc.)
trial: bags
* MRR, mean against sum (%) | percent(`mean/mrr`, `sum/mrr`) | above 0
* MRR, mean against max (%) | percent(`mean/mrr`, `max/mrr`) | above 0
- MRR, mean against max, both normalised (%)
  | percent(`mean, normalised/mrr`, `max, normalised/mrr`) | above 0
- MRR, mean normalised against not (%) | percent(`mean, normalised/mrr`, `mean/mrr`)
- recall@300, mean against sum (%) | percent(`mean/recall@300`, `sum/recall@300`)
note: Each way was tuned for itself. After a normalisation mean and sum are one and the same, so
  the paper's comparison can be made only without one.

P1-C10: A candidate generator without hidden layers does about as well as matrix factorization
paper: depth 0 performed very similarly to the factorization that it replaced (no number)
trial: generator
* depth 0, watches only, against ALS (MRR, %)
  | percent(`depth 0/mrr`, `matrix factorization/mrr`) | -10 to 10 | very similar
- depth 0 against ALS (recall@300, %)
  | percent(`depth 0/recall@300`, `matrix factorization/recall@300`)
- depth 0 with bags that end at the cut, against ALS (MRR, %)
  | percent(`depth 0, bag at the cut/mrr`, `matrix factorization/mrr`)
- depth 0 with bags a week old, against ALS (MRR, %)
  | percent(`depth 0, bag a week old/mrr`, `matrix factorization/mrr`)
- one ReLU layer against depth 0 (MRR, %) | percent(`depth 1/mrr`, `depth 0/mrr`)
- one ReLU layer minus count of a week (recall@300)
  | `depth 1/recall@300` - `popular, last 7 days/recall@300`
- one ReLU layer minus count of two days (recall@300)
  | `depth 1/recall@300` - `popular, last 2 days/recall@300`
note: The bag of the last 50 watches tells what is in fashion; the vector of an account blends all
  weeks. The paper does not say how its factorization dealt with time.

P1-F3: The tower halves from layer to layer; input and output have their own tables.
paper: Figure 3: 1024, 512, 256 units; averaged watches and searches; age and its square
trial: tower
built: shapes of our own network
* widest ratio of a layer to the one below
  | `ratio of neighbouring widths, largest` | 0.499 to 0.501 | 0.5
* narrowest ratio of a layer to the one below
  | `ratio of neighbouring widths, smallest` | 0.499 to 0.501 | 0.5
* units of the last ReLU layer | `last ReLU layer` | 255.5 to 256.5 | 256
* output table moves with the input table | `output follows input table` | -0.5 to 0.5
note: A check of shapes, not of quality. Unlike the drawing, a linear map to the dimension of the
  dot products follows the last ReLU layer.

R-2: With in-batch negatives, the correction raises recall at every temperature.
paper: Yi et al. 2019: recall@50 .459 to .532 (+16 %) at temperature 0.05; higher at all
trial: in_batch
* recall@50, corrected against plain, temperature 0.05 (%)
  | percent(`corrected 0.05/recall@50`, `plain 0.05/recall@50`) | above 0 | 16
* recall@50, corrected against plain, temperature 0.1 (%)
  | percent(`corrected 0.1/recall@50`, `plain 0.1/recall@50`) | above 0
* recall@50, corrected against plain, temperature 0.2 (%)
  | percent(`corrected 0.2/recall@50`, `plain 0.2/recall@50`) | above 0

S-4: How a network is trained decides more than how it is built
paper: our own question; the papers do not tell how they start, warm up and stop
trial: ingredients
* none of the four ingredients minus all (MRR) | `none of them/mrr` - `all four/mrr` | below 0
- without the small start minus all (MRR)
  | `without the small start/mrr` - `all four/mrr` | below 0
- without the counts minus all (MRR) | `without the counts/mrr` - `all four/mrr` | below 0
- with one rate minus all (MRR) | `with one rate/mrr` - `all four/mrr` | below 0
- without warm-up and decay minus all (MRR)
  | `without warm-up and decay/mrr` - `all four/mrr` | below 0
note: Each was tuned for itself; where one rate serves all, it is that of the tables.
"""

RECALL = (20, 50, 100, 300)
TREE_COST = 90  # clusters and members that a tree of 2,000 videos compares
GRID = {"rate": (0.001, 0.003, 0.01, 0.03, 0.1), "passes": (1, 2, 3, 5, 8, 12)}


class Setting:
    """A town, cut for the game, with its examples as tensors."""

    def __init__(self, seed, world=None):
        self.game = NextWatch((world or simulate("town", seed=seed)).logs())
        self.videos = self.game.videos
        rows = self.game.examples()
        self.bags = cg.as_bags(Moments.of_events(self.game.train, rows).watched, self.videos)
        self.label = torch.tensor(rows["video_id"].to_numpy(np.int64))
        self.counts = torch.bincount(self.label, minlength=self.videos)

    def train(self, loss=cg.full_softmax, rate=0.01, network=None, **options):
        """A network trained by this loss; the tower learns at a quarter of the rate."""
        model = cg.NextVideo(self.videos, counts=self.counts, **(network or {}))
        options = {"tower_rate": rate / 4, **options}
        cg.train(model, self.bags, self.label, loss, rate, **options)
        return model

    def clusters(self, rng=None):
        """Clusters of about sqrt(V) videos: of one language, topic and age, or at random."""
        v = self.game.train.videos
        order = np.lexsort((v["uploaded"], v["topic"].cat.codes, v["language"].cat.codes))
        order = order if rng is None else rng.permutation(self.videos)
        cluster = np.empty(self.videos, np.int64)
        cluster[order] = np.arange(self.videos) // round(self.videos**0.5)
        return cluster

    def by_tree(self, cluster, rate=0.01, **options):
        """A scorer trained by hierarchical softmax."""
        model, tree = cg.NextVideo(self.videos, counts=self.counts), cg.Tree(cluster)
        groups = [*cg.two_rates(model, rate, rate / 4), {"params": tree.parameters(), "lr": rate}]
        cg.fit(
            lambda rows: tree(model(self.bags[rows]), model.output.weight, self.label[rows]),
            groups, len(self.label), **options,
        )  # fmt: skip

        def scores(moments):
            with torch.no_grad():
                user = model(cg.as_bags(moments.watched, self.videos))
                return tree.log_probability(user, model.output.weight).numpy()

        return scores

    def sample(self, negatives, kind="popularity", correct=True, seed=0):
        """The sampled loss of a law."""
        return cg.sampled(cg.chances(cg.law(self.counts, kind), negatives), correct, seed)

    def ask(self, scores):
        """What a scorer reaches on a part of the events, for tuning."""
        return self.game.offline(scores, self.game.sample(4_000), RECALL)


def _by(loss):
    """A way to train, by a function Setting -> loss."""
    return lambda s, seed=0, **recipe: cg.scorer(
        s.train(loss(s), network={"seed": seed}, seed=seed, **recipe)
    )


def _bag(bag, normalised):
    def scorer(s, rate, scale, passes, seed=0):
        model = cg.NextVideo(s.videos, counts=s.counts, bag=bag, scale=scale, seed=seed)
        if not normalised:
            model.norm = torch.nn.Identity()
        loss = s.sample(500, seed=seed)
        cg.train(model, s.bags, s.label, loss, rate, rate / 4, passes=passes, seed=seed)
        return cg.scorer(model)

    return scorer


def _ingredients(scale=0.1, counts=True, share=0.25, warm=True):
    """The network of the chapter, with some of the four ingredients taken away."""

    def scorer(s, rate, passes, seed=0):
        known = s.counts if counts else None
        model = cg.NextVideo(s.videos, counts=known, scale=scale, seed=seed)
        groups, loss = cg.two_rates(model, rate, share * rate), s.sample(500, seed=seed)

        def step(rows):
            return loss(model(s.bags[rows]), model.output.weight, s.label[rows])

        loop = cg.fit if warm else _flat
        loop(step, groups, len(s.label), passes=passes, seed=seed)
        return cg.scorer(model)

    return scorer


def _flat(loss, groups, n, passes, seed):
    """The loop without warm-up and decay."""
    random, optimizer = torch.Generator().manual_seed(seed), torch.optim.Adam(groups, fused=True)
    for _ in range(passes):
        for rows in torch.randperm(n, generator=random).split(512):
            optimizer.zero_grad()
            loss(rows).backward()
            optimizer.step()


def _in_batch(correct, temperature):
    """In-batch negatives with vectors of length 1 over a temperature, as Yi et al. (2019) do."""

    def unit(vectors):
        return functional.normalize(vectors[:, :-1])

    def scorer(s, seed=0, **recipe):
        model, loss = cg.NextVideo(s.videos, seed=seed), cg.in_batch(cg.law(s.counts), correct)
        rate = recipe.pop("rate")
        cg.train(model, s.bags, s.label,
                 lambda user, videos, label: loss(unit(user) / temperature, unit(videos), label),
                 rate, rate / 4, seed=seed, **recipe)  # fmt: skip

        def scores(moments):
            with torch.no_grad():
                user = model(cg.as_bags(moments.watched, s.videos))
                return (unit(user) @ unit(model.output.weight).T).numpy()

        return scores

    return scorer


WAYS = {
    "full": _by(lambda s: cg.full_softmax),
    "corrected": _by(lambda s: s.sample(500)),
    "not corrected": _by(lambda s: s.sample(500, correct=False)),
    "topic tree": lambda s, **recipe: s.by_tree(s.clusters(), **recipe),
}
# After a normalisation mean and sum are the same, so there are five ways and not six.
BAGS = {
    "mean": _bag("mean", False), "sum": _bag("sum", False), "max": _bag("max", False),
    "mean, normalised": _bag("mean", True), "max, normalised": _bag("max", True),
}  # fmt: skip
TAKEN = {
    "without the small start": {"scale": 1.0},
    "without the counts": {"counts": False},
    "with one rate": {"share": 1.0},
    "without warm-up and decay": {"warm": False},
}
INGREDIENTS = {
    "all four": _ingredients(),
    **{name: _ingredients(**given) for name, given in TAKEN.items()},
    "none of them": _ingredients(**{k: v for given in TAKEN.values() for k, v in given.items()}),
}
IN_BATCH = {
    f"{name} {temperature}": _in_batch(correct, temperature)
    for temperature in (0.05, 0.1, 0.2)
    for correct, name in ((True, "corrected"), (False, "plain"))
}
CONTESTS = {
    "tuning_generator": WAYS,
    "tuning_ingredients": INGREDIENTS,
    "tuning_in_batch": IN_BATCH,
    "tuning_bags": BAGS,
}
COMPARED = {
    "tuning_generator": ("corrected", "full"),
    "tuning_ingredients": ("all four", "none of them"),
    "tuning_in_batch": ("corrected 0.05", "plain 0.05"),
    "tuning_bags": ("mean", "sum"),
}


def tune():
    """Tune whoever stands in a contest of the chapter, all over one grid of rates and passes."""
    for store, contestants in CONTESTS.items():
        grid, start = dict(GRID), {"rate": 0.01, "passes": 3}
        if contestants is BAGS:
            grid["scale"], start["scale"] = (0.01, 0.03, 0.1, 0.3, 1.0), 0.1
        tuning.tune(
            {name: _score(make) for name, make in contestants.items()}, grid, start=start,
            compare=COMPARED[store], store=store, about={"size": "town"}, give_up=0.01,
        )  # fmt: skip


def _score(make):
    def run(settings, world):
        s = Setting(world)
        return s.ask(make(s, **settings))

    return run


def _stand(contestants, store, seed):
    """Every contestant with its recipe, in one town."""
    s, best = Setting(seed), tuning.load(store).best
    for name, make in contestants.items():
        yield {"who": name, **s.game.offline(make(s, seed=seed, **best[name]), recall=RECALL)}


def softmax_laws(seed):
    """Every way to train with its tuned recipe, and more and more negatives."""
    s, best = Setting(seed), tuning.load("tuning_generator").best
    ways = {"full": (cg.full_softmax, "full")}
    for correct, word in ((True, ", corrected"), (False, "")):
        recipe = "corrected" if correct else "not corrected"
        for kind in ("uniform", "zipf", "popularity"):
            # Uniform drawing is the switch: the correction is a constant, so one recipe for both.
            own = "corrected" if kind == "uniform" else recipe
            ways[f"{kind}{word}"] = s.sample(500, kind, correct, seed), own
        ways[f"in-batch{word}"] = cg.in_batch(cg.law(s.counts), correct), recipe
    for negatives in (10, TREE_COST, 100, 1_000):
        ways[f"popularity, corrected {negatives}"] = s.sample(negatives, seed=seed), "corrected"
    scorers = {
        name: cg.scorer(s.train(loss, network={"seed": seed}, seed=seed, **best[recipe]))
        for name, (loss, recipe) in ways.items()
    }
    rng = np.random.default_rng(seed)
    for name, cluster in (("topic tree", s.clusters()), ("random tree", s.clusters(rng))):
        scorers[name] = s.by_tree(cluster, seed=seed, **best["topic tree"])
    popular, events = popularity_groups(s.counts.numpy()) >= 5, s.game.sample(3_000, seed)
    for name, scores in scorers.items():
        yield {"who": name, **s.game.offline(scores, recall=RECALL),
               "popular half": s.game.shares(scores, events)[popular].sum()}  # fmt: skip


def bags(seed):
    """Mean, sum and maximum of the bag, normalised or not, each with its tuned recipe."""
    return _stand(BAGS, "tuning_bags", seed)


def ingredients(seed):
    """The four ingredients of a training that works, each taken away alone; each tuned."""
    return _stand(INGREDIENTS, "tuning_ingredients", seed)


def in_batch(seed):
    """In-batch negatives at three temperatures, corrected or not; each tuned."""
    return _stand(IN_BATCH, "tuning_in_batch", seed)


def generator(seed):
    """Factorization, counts, and the network without and with a hidden layer."""
    s, best = Setting(seed), tuning.load("tuning_generator").best["corrected"]
    game, spoken = s.game, s.game.train.users["language"].cat.codes.to_numpy()
    scorers = {"matrix factorization": mf.dot(*mf.als(mf.who_watched_what(game.train)))}
    for days in (2, 7):
        counts = mf.popularity(game.train, days)
        scorers[f"popular, last {days} days"] = lambda m, c=counts: c[spoken[m.user]]
    for depth, widths in enumerate([(), (256,)]):
        model = s.train(s.sample(500, seed=seed), network={"widths": widths, "seed": seed},
                        seed=seed, **best)  # fmt: skip
        scorers[f"depth {depth}"] = cg.scorer(model)
    for name, days in (("bag at the cut", 0.0), ("bag a week old", 7.0)):
        scorers[f"depth 0, {name}"] = _late(game, scorers["depth 0"], days)
    for name, scores in scorers.items():
        yield {"who": name, **game.offline(scores, recall=RECALL)}


def _late(game, scores, days):
    """The same scorer with bags that end some days before the cut."""

    def late(moments):
        asked = game.events.iloc[:0].reindex(range(len(moments)))
        asked = asked.assign(user_id=moments.user, time=game.at - days)
        for name in ("device", "daypart"):
            kinds = game.events[name].cat.categories
            asked[name] = getattr(moments, name)
            asked[name] = asked[name].map(dict(enumerate(kinds))).astype("category")
        return scores(Moments.of_events(game.logs, asked))

    return late


def tower(seed):
    """Widths of the tower and tables of the model: what the paper's drawing says."""
    model = cg.NextVideo(50, widths=(1024, 512, 256), seed=seed)
    before = model.output.weight.detach().clone()
    with torch.no_grad():
        model.watched.weight += 1.0
    widths = [layer.out_features for layer in model.tower if isinstance(layer, torch.nn.Linear)]
    yield {
        "ratio of neighbouring widths, largest": max(np.divide(widths[1:], widths[:-1])),
        "ratio of neighbouring widths, smallest": min(np.divide(widths[1:], widths[:-1])),
        "last ReLU layer": widths[-1],
        "output follows input table": (model.output.weight != before).any(),
    }


def cost(seed):
    """Milliseconds of one core for a step of 512 examples, by method and size of the catalogue."""
    for videos in (2_000, 10_000, 50_000, 200_000, 1_000_000):
        for method in ("full", "sampled", "sampled, sparse"):
            yield {"who": method, "videos": str(videos), "value": 1e3 * _step(videos, method, seed)}


def _step(videos, method, seed, dim=64, batch=512):
    """Median core seconds of a step of a linear model over bags of 50 watches."""
    random, sparse = torch.Generator().manual_seed(seed), "sparse" in method
    watched = torch.nn.EmbeddingBag(videos, dim, sparse=sparse)
    output = torch.nn.Parameter(0.1 * torch.randn(videos, dim))
    q = cg.law(torch.arange(videos, 0, -1))
    tables = [watched.weight, output]
    kind = torch.optim.SparseAdam if sparse else torch.optim.Adam
    optimizer, chance, taken = kind(tables, lr=0.01), cg.chances(q, 1_000), []
    for _ in range(2 if videos > 500_000 else 6):  # the first one warms up
        ids = torch.searchsorted(q.cumsum(0), torch.rand(batch, 51, generator=random).double())
        ids = ids.clamp(max=videos - 1)
        begun = time.process_time()
        user, label = watched(ids[:, 1:]), ids[:, 0]
        if method == "full":
            loss = cg.full_softmax(user, output, label)
        else:
            sample = (torch.rand(videos, generator=random) < chance).nonzero()[:, 0]
            both = functional.embedding(torch.cat([label, sample]), output, sparse=sparse)
            own, rest = both[: len(label)], both[len(label) :]
            right = (user * own).sum(dim=1, keepdim=True) - chance.log()[label, None]
            scores = torch.cat([right, user @ rest.T - chance.log()[sample]], dim=1)
            loss = functional.cross_entropy(scores, torch.zeros_like(label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.process_time() - begun)
    return float(np.median(taken[1:]))


CATALOGUE = {"users": 16_000, "videos": 200_000, "days": 30, "future_days": 1}
PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
SEARCHES = {
    "flat": ("flat", True, {}), "hnsw 200": ("hnsw", True, {"ef": 200}),
    "raw hnsw 200": ("hnsw", False, {"ef": 200}),
    **{f"ivf {n}": ("ivf", True, {"nprobe": n}) for n in PROBES},
}  # fmt: skip


def serving(seed, k=200, single=200):
    """Exact search, cells and a graph on learned vectors of a catalogue of 200,000 videos."""
    world = simulate(WorldConfig.of("city", **CATALOGUE), seed=seed, cache=False)
    s = Setting(seed, world)
    model = s.train(s.sample(1_000, seed=seed), network={"widths": (), "dim": 32, "seed": seed},
                    batch=1_024, passes=2, seed=seed)  # fmt: skip
    vectors = model.output.weight.detach().numpy()
    kinds = {(kind, equal): Index(vectors, kind, equal_length=equal, seed=seed)
             for kind, equal, _ in SEARCHES.values()}  # fmt: skip
    situation, asked = live_requests(world.engine, 1_000, 0, candidates="catalogue")
    with torch.no_grad():
        users = model(cg.as_bags(Moments.of_requests(asked).watched, s.videos)).numpy()
    exact, _ = kinds["flat", True].search(users, k)
    taken, found, pages = {name: [] for name in SEARCHES}, {}, {}
    for user in users[:single, None]:  # one at a time, and all take turns
        for name, (kind, equal, options) in SEARCHES.items():
            begun = time.process_time()
            kinds[kind, equal].search(user, k, **options)
            taken[name].append(time.process_time() - begun)
    for name, (kind, equal, options) in SEARCHES.items():
        ids, scores = kinds[kind, equal].search(users, k, **options)
        found[name] = recall(ids, exact)
        seen = (ids[:, :, None] == asked.recent_videos[:, None]).any(axis=2) | (ids < 0)
        worth = value(world.engine.behaviour, world.engine.memory, situation,
                      np.maximum(ids, 0), "clicks")  # fmt: skip
        for which, order in ((name, scores), (f"{name}, ranked", worth)):
            pages[which] = top(np.where(seen, -np.inf, order), ids, asked.slate)
    policies = {name: (lambda requests, page=page: page) for name, page in pages.items()}
    policies |= {"random": world.random(), "oracle": world.oracle("clicks")}
    live = ab_test(world, policies, n=1_000, candidates="catalogue").table
    live = live[live["metric"] == "clicks"].set_index("policy")["expected"]
    for name in SEARCHES:
        yield {"who": name, "recall@k": found[name], "clicks": live[name],
               "ranked_clicks": live[f"{name}, ranked"],
               "ms": 1e3 * float(np.median(taken[name]))}  # fmt: skip
    for name in ("random", "oracle"):
        yield {"who": name, "clicks": live[name]}
    norms = np.linalg.norm(vectors, axis=1)
    yield {"videos": len(norms), "spread of norms": norms.std() / norms.mean()}


TRIALS = (
    Trial("softmax_laws", softmax_laws, minutes=3.5),
    Trial("ingredients", ingredients, minutes=1.2),
    Trial("generator", generator, minutes=0.6),
    Trial("step_cost", cost, minutes=0.7),
    Trial("bags", bags, minutes=0.8),
    Trial("in_batch", in_batch, minutes=0.8),
    Trial("tower", tower, minutes=0.01, cheap=True),
    # A world of 200,000 videos takes minutes to simulate and to learn.
    Trial("serving", serving, minutes=4.5),
)
