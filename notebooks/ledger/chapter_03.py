"""Ledger of chapter 03, softmax over videos, its shortcuts, and serving."""

import numpy as np
import torch

from course import ab_test, simulate
from course.experiments import retrieval, step_cost
from course.experiments import softmax_laws as laws
from course.ledger import Trial
from course.models.bags import BAGS
from course.models.candidate_generation import SIGNALS
from course.models.softmax import SampledSoftmax
from course.simulator.config import WorldConfig

# The first two ranges of P1-C1: with about one click a page (standard deviation about 1), an
# experiment of 50,000 pages in each arm would just see a difference of 2 %.
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
note: The pages are worth the same once the vectors are made equally long. On the raw vectors,
  whose lengths differ because of the learned bias, the graph finds a small part of the exact
  answer, and then the choice does matter. With some 115,000 vectors of 33 numbers the exact search
  takes less than a millisecond, so there is little to gain; the gain grows with the catalogue.

P1-C2: A corrected sample of negatives does what all videos would do.
paper: several thousand sampled negatives with importance weighting instead of millions
trial: softmax_laws
* MRR, 500 corrected negatives against the full softmax (%)
  | percent(`popularity, corrected/mrr`, `full/mrr`) | above -5
- MRR, popularity without correction against with it (%)
  | percent(`popularity/mrr`, `popularity, corrected/mrr`) | below 0
- MRR, zipf without correction against with it (%)
  | percent(`zipf/mrr`, `zipf, corrected/mrr`) | below 0
- MRR, in-batch without correction against with it (%)
  | percent(`in-batch/mrr`, `in-batch, corrected/mrr`) | below 0
- share expected of the 5 % most watched videos, popularity, without correction against the full
  softmax (%) | percent(`popularity/head`, `full/head`) | below 0
- MRR, 1,000 negatives against 10 (%)
  | percent(`popularity, corrected 1000/mrr`, `popularity, corrected 10/mrr`) | above 0
- MRR gained from 100 to 1,000 negatives, minus from 10 to 100
  | `popularity, corrected 1000/mrr` - 2 * `popularity, corrected 100/mrr`
    + `popularity, corrected 10/mrr` | below 0
note: The correction repairs every law, and what is missing without it is popularity: the most
  watched videos get less than half of their share. Whether a tenfold number of negatives brings
  less the second time is undecided: it does on average, and the interval touches zero.

P1-C2-speed: Sampling makes a step many times cheaper than the full softmax.
paper: more than 100 times, with several thousand of about a million classes
trial: step_cost
* full / sampled with sparse updates, 200,000 videos
  | `full/200000` / `sampled, sparse/200000` | above 10 | more than 100
- the same ratio at 2,000 videos | `full/2000` / `sampled, sparse/2000`
note: The ratio grows with the catalogue. Ours ends at 200,000 videos, 200 times the number of
  negatives.

P1-C3: A hierarchical softmax does not reach the sampled softmax.
paper: could not achieve comparable accuracy
trial: softmax_laws
* MRR, tree of topics against the sampled softmax (%)
  | percent(`topic tree/mrr`, `popularity, corrected/mrr`) | below 0
* MRR, random tree against the sampled softmax (%)
  | percent(`random tree/mrr`, `popularity, corrected/mrr`) | below 0
- MRR, random tree against the tree of topics (%)
  | percent(`random tree/mrr`, `topic tree/mrr`) | below 0
note: A random tree loses, as the paper says. A tree of topics does not: the world labels topics
  without error and taste is about topics. The paper suspects that its trees asked to tell apart
  sets of unrelated videos.

P1-C4: Averaging the bag is better than its sum or its maximum.
paper: averaging performed best among several strategies (sum, component-wise max, etc.)
trial: bags
* MRR, mean against sum, all signals (%)
  | percent(`all signals, mean/mrr`, `all signals, sum/mrr`) | above 0
* MRR, mean against max, all signals (%)
  | percent(`all signals, mean/mrr`, `all signals, max/mrr`) | above 0
- MRR, mean against sum, watches only (%) | percent(`watches, mean/mrr`, `watches, sum/mrr`)
- MRR, mean against max, watches only (%) | percent(`watches, mean/mrr`, `watches, max/mrr`)
note: The mean comes first on average. The sum is hardly worse, perhaps because the inputs are
  normalised after it and the size of the bag is an input of its own.

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
* largest error of the squared age | `age squared` | -1e-5 to 1e-5
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
"""


def softmax_laws(seed):
    """Every way to train, and more and more negatives."""
    setting = laws.prepare(simulate("small", seed=seed).logs())
    yield {"who": "popular", **laws.floor(setting.game)}
    ways = dict(laws.ways(setting, seed))
    for negatives in laws.LADDER:
        for correct, name in ((True, "popularity, corrected"), (False, "popularity")):
            ways[f"{name} {negatives}"] = lambda n=negatives, correct=correct: SampledSoftmax(
                setting.counts, n, "popularity", correct
            )
    for name, softmax in ways.items():
        model = setting.fit(softmax(), seed=seed)
        found = setting.game.measure(setting.game.catalogue_scores(model), recall=laws.RECALL)
        where = laws.expectation(setting, model)
        yield {"who": name, **found, "head": where["head"], "watches": where["watches"]}
    yield {"actual head": where["actual_head"]}


def bags(seed):
    """Mean, sum and maximum of the bags: all signals (the paper's network), and watches alone."""
    logs = simulate("small", seed=seed).logs()
    for name, signals in (("all signals", SIGNALS), ("watches", ("watches",))):
        setting = laws.prepare(logs, signals)
        for bag in BAGS:
            yield {"who": f"{name}, {bag}", **setting.game.measure(setting.fit(bag=bag, seed=seed))}


def in_batch(seed):
    """In-batch negatives with and without the correction, at several temperatures."""
    setting = laws.prepare(simulate("small", seed=seed).logs())
    for temperature in laws.TEMPERATURES:
        kind = type("Cosine", (laws.CosineGenerator,), {"temperature": temperature})
        for correct, name in ((True, "corrected"), (False, "plain")):
            softmax = SampledSoftmax(setting.counts, law="in-batch", correct=correct)
            model = setting.fit(softmax, kind=kind, seed=seed)
            yield {
                "who": f"{name} {temperature}",
                **setting.game.measure(model, recall=laws.RECALL),
            }


def tower(seed):
    """Widths of the tower and tables of the model: what the paper's drawing says."""
    setting = laws.prepare(simulate("tiny", seed=seed, cache=False).logs(), SIGNALS)
    model = setting.fit(depth=3, epochs=1, seed=seed)
    before = model.output.weight.detach().clone()
    watched = model.bags["watches"].table.weight
    with torch.no_grad():
        watched += 1.0
    layers = [layer for layer in model.tower if isinstance(layer, torch.nn.Linear)]
    widths = [layer.out_features for layer in layers[:-1]]
    age = setting.data.age
    yield {
        "ratio of neighbouring widths, largest": max(np.divide(widths[1:], widths[:-1])),
        "ratio of neighbouring widths, smallest": min(np.divide(widths[1:], widths[:-1])),
        "last ReLU layer": widths[-1],
        "concatenated": layers[0].in_features,
        "output follows input table": (model.output.weight != before).any(),
        "age squared": (age[:, 1] - age[:, 0] ** 2).abs().max(),
    }


def cost(seed):
    """Milliseconds of one core for a step of 256 examples, by method and size of the catalogue."""
    for videos in step_cost.SIZES:
        steps = 6 if videos > 100_000 else 12
        for method in step_cost.METHODS:
            seconds = step_cost.step_seconds(videos, method, seed=seed, steps=steps)
            yield {"who": method, "videos": str(videos), "value": 1e3 * seconds}


def serving(seed):
    """Flat, IVF and HNSW on learned vectors of more than 100,000 videos."""
    world = simulate(WorldConfig.of("large", **retrieval.LARGE), seed=seed, cache=False)
    model = retrieval.learned(world, seed)
    vectors = model.video_vectors()
    settings, seconds = retrieval.indexes(vectors, seed)
    for name, row in retrieval.compare(world, model, settings).iterrows():
        yield {"who": name, **row.dropna()}
    ends = {"random": world.random(), "oracle": world.oracle("click")}
    found = ab_test(world, ends, n=200, candidates="catalogue").table
    found = found.set_index(["policy", "metric"])["expected"]
    for name in ends:
        yield {"who": name, "clicks": found[name, "clicks"]}
    for kind, spent in seconds.items():
        yield {"who": kind, "build seconds": spent}
    norms = np.linalg.norm(vectors, axis=1)
    yield {"videos": len(norms), "spread of norms": norms.std() / norms.mean()}


TRIALS = (
    Trial("softmax_laws", softmax_laws, minutes=2),
    Trial("step_cost", cost, minutes=0.23),
    Trial("bags", bags, minutes=1.0),
    Trial("in_batch", in_batch, minutes=0.66),
    Trial("tower", tower, minutes=0.022, cheap=True),
    # A world of 200,000 videos takes minutes to simulate and to learn: three seeds.
    Trial("serving", serving, minutes=2.4, seeds=(1, 2, 3)),
)
