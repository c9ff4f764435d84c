"""Claims of chapter 02, matrix factorization."""

from __future__ import annotations

from course.claims.claim import Claim, Contrast, Trial
from course.claims.values import Values, difference, percent
from course.experiments import factorization

TRIALS = (Trial("factorization", factorization.trial, minutes=1),)

SIMILAR = 10.0
"""Per cent. In the paper's Figure 6 the smallest step between two sets of signals is 7 % (example
age, at depth 0); two systems that differ by more than 10 % are not called very similar there."""


def _gain(method: str, over: str, metric: str = "mrr") -> Values:
    """Function of the results: gain of one method over another, in per cent."""
    return percent(f"{method}/{metric}", f"{over}/{metric}")


def _minus(method: str, other: str, metric: str = "mrr") -> Values:
    return difference(f"{method}/{metric}", f"{other}/{metric}")


CLAIMS = (
    Claim(
        id="P1-C10",
        chapter="02",
        title="A candidate generator without hidden layers does about as well as matrix "
        "factorization; with all signals and depth it is clearly better",
        paper="depth 0 performed very similarly to the factorization that it replaced (no number); "
        "MAP 6.4 % with watches only, 12.9 % with all signals and four layers (Figure 6)",
        trial="factorization",
        contrasts=(
            Contrast(
                "depth 0, watches only, against ALS (MRR, %)",
                _gain("deep 0", "als"),
                low=-SIMILAR,
                high=SIMILAR,
            ),
            Contrast("depth 1, all signals, minus ALS (MRR)", _minus("deep all", "als"), low=0.0),
            Contrast(
                "depth 1, all signals, minus depth 0, watches only (MRR)",
                _minus("deep all", "deep 0"),
                low=0.0,
            ),
            Contrast(
                "depth 0 with bags that end at the cut, against ALS (MRR, %)",
                _gain("deep 0, bag at the cut", "als"),
            ),
            Contrast(
                "depth 0 with bags a week old, against ALS (MRR, %)",
                _gain("deep 0, bag a week old", "als"),
            ),
            Contrast(
                "ALS of the last week against ALS of all weeks (MRR, %)",
                _gain("als of a week", "als"),
            ),
            Contrast(
                "ALS with a clock minus recent popularity (MRR)",
                _minus("als with a clock", "recent popularity"),
            ),
            Contrast(
                "ALS with a clock minus recent popularity (recall@20)",
                _minus("als with a clock", "recent popularity", "recall@20"),
            ),
        ),
        note="Depth 0 is about twice as good as ALS here. Its bag of the last 50 watches tells "
        "what is in fashion; the vector of an account blends all weeks. With bags that end a week "
        "before the cut the same model is at the level of ALS, and ALS of one week beats ALS of "
        "all weeks. The paper does not say how its factorization (trained by a ranking loss) "
        "dealt with time. All signals beat both, as in the paper, but a factorization with a "
        "hand-made clock is level with them.",
    ),
    Claim(
        id="R-6",
        chapter="02",
        title="A tuned dot product does at least as well as a network on the two vectors, at "
        "equal data",
        paper="Rendle et al. 2020: a tuned dot product beats learned combinations on their data "
        "sets; a network needs much width and data to learn a dot product",
        trial="factorization",
        contrasts=(
            Contrast(
                "dot product minus MLP combiner (MRR)",
                _minus("dot product", "MLP combiner"),
                low=0.0,
            ),  # fmt: skip
            Contrast(
                "dot product minus MLP combiner (recall@20)",
                _minus("dot product", "MLP combiner", "recall@20"),
            ),
        ),
        note="The difference is small in MRR and clear in recall. Both were trained on the same "
        "pairs with 100 negatives for three epochs; learning rate and penalty were chosen on other "
        "worlds. Much more data or width for the network was not tried.",
    ),
)
