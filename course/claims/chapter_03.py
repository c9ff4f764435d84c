"""Chapter 03: softmax over videos, its shortcuts, and serving."""

from __future__ import annotations

from course.claims.claim import Claim, Contrast, Trial
from course.claims.values import column, percent, ratio
from course.experiments import retrieval, softmax_laws, step_cost

TRIALS = (
    Trial("softmax_laws", softmax_laws.trial, minutes=2),
    Trial("step_cost", step_cost.trial, minutes=0.23),
    Trial("bags", softmax_laws.trial_bags, minutes=1.0),
    Trial("in_batch", softmax_laws.trial_in_batch, minutes=0.66),
    Trial("tower", softmax_laws.trial_shapes, minutes=0.022, cheap=True),
    # A world of 200,000 videos takes minutes to simulate and to learn: three seeds.
    Trial("serving", retrieval.trial, minutes=2.4, seeds=(1, 2, 3)),
)

_SAMPLED = "popularity, corrected/mrr"
_SAME = 2.0
"""Percent. With about one click a page (standard deviation about 1), an experiment of 50,000
pages in each arm would just see such a difference."""


def _relative(one: str, other: str):
    """Percent by which one result is larger than another."""
    return percent(one, other)


CLAIMS = (
    Claim(
        id="P1-C1",
        chapter="03",
        title="Serving needs only a nearest-neighbour search, and which one hardly matters.",
        paper="A/B results were not particularly sensitive to the choice of the algorithm",
        trial="serving",
        contrasts=(
            Contrast(
                "clicks of the ten best, IVF (nprobe 16) against exact (%)",
                _relative("ivf 16/clicks", "flat/clicks"), low=-_SAME, high=_SAME,
            ),
            Contrast(
                "clicks of the ten best, HNSW (ef 200) against exact (%)",
                _relative("hnsw 200/clicks", "flat/clicks"), low=-_SAME, high=_SAME,
            ),
            Contrast("share of the exact 200 found, IVF", column("ivf 16/recall@k"), low=0.9),
            Contrast(
                "share of the exact 200 found, HNSW", column("hnsw 200/recall@k"), low=0.9
            ),
            Contrast(
                "time of the exact search / IVF's",
                ratio("flat/ms", "ivf 16/ms"), low=3.0,
            ),
            Contrast(
                "time of the exact search / HNSW's",
                ratio("flat/ms", "hnsw 200/ms"), low=3.0,
            ),
            Contrast(
                "clicks of the ten best, HNSW on vectors of unequal length against exact (%)",
                _relative("raw hnsw 200/clicks", "flat/clicks"),
            ),
            Contrast(
                "share of the exact 200 found, HNSW on vectors of unequal length",
                column("raw hnsw 200/recall@k"),
            ),
        ),
        note="The pages are worth the same once the vectors are made equally long. On the raw "
        "vectors, whose lengths differ because of the learned bias, the graph finds a small part "
        "of the exact answer, and then the choice does matter. With some 115,000 vectors of 33 "
        "numbers the exact search takes less than a millisecond, so there is little to gain; the "
        "gain grows with the catalogue.",
    ),
    Claim(
        id="P1-C2",
        chapter="03",
        title="A corrected sample of negatives does what all videos would do.",
        paper="several thousand sampled negatives with importance weighting instead of millions",
        trial="softmax_laws",
        contrasts=(
            Contrast(
                "MRR, 500 corrected negatives against the full softmax (%)",
                _relative(_SAMPLED, "full/mrr"), low=-5.0,
            ),
            *(
                Contrast(
                    f"MRR, {law} without correction against with it (%)",
                    _relative(f"{law}/mrr", f"{law}, corrected/mrr"), high=0.0,
                )
                for law in ("popularity", "zipf", "in-batch")
            ),
            Contrast(
                "share expected of the 5 % most watched videos, popularity, without correction "
                "against the full softmax (%)",
                _relative("popularity/head", "full/head"), high=0.0,
            ),
            Contrast(
                "MRR, 1,000 negatives against 10 (%)",
                _relative("popularity, corrected 1000/mrr", "popularity, corrected 10/mrr"),
                low=0.0,
            ),
            Contrast(
                "MRR gained from 100 to 1,000 negatives, minus from 10 to 100",
                lambda t: t["popularity, corrected 1000/mrr"]
                - 2 * t["popularity, corrected 100/mrr"]
                + t["popularity, corrected 10/mrr"],
                high=0.0,
            ),
        ),
        note="The correction repairs every law, and what is missing without it is popularity: the "
        "most watched videos get less than half of their share. Whether a tenfold number of "
        "negatives brings less the second time is undecided: it does on average, and the interval "
        "touches zero.",
    ),
    Claim(
        id="P1-C2-speed",
        chapter="03",
        title="Sampling makes a step many times cheaper than the full softmax.",
        paper="more than 100 times, with several thousand of about a million classes",
        trial="step_cost",
        contrasts=(
            Contrast(
                "full / sampled with sparse updates, 200,000 videos",
                ratio("full/200000", "sampled, sparse/200000"), low=10.0,
            ),
            Contrast(
                "the same ratio at 2,000 videos",
                ratio("full/2000", "sampled, sparse/2000"),
            ),
        ),
        note="The ratio grows with the catalogue. Ours ends at 200,000 videos, 200 times the "
        "number of negatives.",
    ),
    Claim(
        id="P1-C3",
        chapter="03",
        title="A hierarchical softmax does not reach the sampled softmax.",
        paper="could not achieve comparable accuracy",
        trial="softmax_laws",
        contrasts=(
            Contrast(
                "MRR, tree of topics against the sampled softmax (%)",
                _relative("topic tree/mrr", _SAMPLED), high=0.0,
            ),
            Contrast(
                "MRR, random tree against the sampled softmax (%)",
                _relative("random tree/mrr", _SAMPLED), high=0.0,
            ),
            Contrast(
                "MRR, random tree against the tree of topics (%)",
                _relative("random tree/mrr", "topic tree/mrr"), high=0.0,
            ),
        ),
        note="A random tree loses, as the paper says. A tree of topics does not: the world labels "
        "topics without error and taste is about topics. The paper suspects that its trees asked "
        "to tell apart sets of unrelated videos.",
    ),
    Claim(
        id="P1-C4",
        chapter="03",
        title="Averaging the bag is better than its sum or its maximum.",
        paper="averaging performed best among several strategies (sum, component-wise max, etc.)",
        trial="bags",
        contrasts=(
            Contrast(
                "MRR, mean against sum, all signals (%)",
                _relative("all signals, mean/mrr", "all signals, sum/mrr"), low=0.0,
            ),
            Contrast(
                "MRR, mean against max, all signals (%)",
                _relative("all signals, mean/mrr", "all signals, max/mrr"), low=0.0,
            ),
            Contrast(
                "MRR, mean against sum, watches only (%)",
                _relative("watches, mean/mrr", "watches, sum/mrr"),
            ),
            Contrast(
                "MRR, mean against max, watches only (%)",
                _relative("watches, mean/mrr", "watches, max/mrr"),
            ),
        ),
        note="The mean comes first on average. The sum is hardly worse, perhaps because the "
        "inputs are normalised after it and the size of the bag is an input of its own.",
    ),
    Claim(
        id="P1-F3",
        chapter="03",
        title="The tower halves from layer to layer; input and output have their own tables.",
        paper="Figure 3: 1024, 512, 256 units; averaged watches and searches; age and its square",
        trial="tower",
        contrasts=(
            Contrast(
                "widest ratio of a layer to the one below",
                column("ratio of neighbouring widths, largest"), low=0.499, high=0.501,
            ),
            Contrast(
                "narrowest ratio of a layer to the one below",
                column("ratio of neighbouring widths, smallest"), low=0.499, high=0.501,
            ),
            Contrast("units of the last ReLU layer", column("last ReLU layer"), 255.5, 256.5),
            Contrast(
                "output table moves with the input table",
                column("output follows input table"), low=-0.5, high=0.5,
            ),
            Contrast(
                "largest error of the squared age", column("age squared"),
                low=-1e-5, high=1e-5,
            ),
        ),
        note="A check of shapes, not of quality. Unlike the drawing, a linear map to the dimension "
        "of the dot products follows the last ReLU layer.",
    ),
    Claim(
        id="R-2",
        chapter="03",
        title="With in-batch negatives, the correction raises recall at every temperature.",
        paper="Yi et al. 2019: recall@50 .459 to .532 (+16 %) at temperature 0.05; higher at all",
        trial="in_batch",
        contrasts=tuple(
            Contrast(
                f"recall@50, corrected against plain, temperature {temperature} (%)",
                _relative(f"corrected {temperature}/recall@50", f"plain {temperature}/recall@50"),
                low=0.0,
            )
            for temperature in softmax_laws.TEMPERATURES
        ),
    ),
)  # fmt: skip
