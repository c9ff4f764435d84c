"""Claims of chapter 01: what the data are like."""

from __future__ import annotations

from course.claims import Claim, Contrast, Trial, column, difference
from course.experiments import sparsity

TRIALS = (Trial("sparsity", sparsity.trial, minutes=0.27),)

LEAST, MOST = 0, sparsity.GROUPS - 1


CLAIMS = (
    Claim(
        id="P2-C15",
        chapter="01",
        title="Data are locally sparse: next to nothing is known about the tail of the videos",
        paper="stated as a difficulty (section 5.1), without numbers",
        trial="sparsity",
        contrasts=(
            Contrast("clicks / impressions: median relative error, tenth of the videos that is "
                     "shown least minus tenth that is shown most",
                     difference(f"counted/{LEAST}", f"counted/{MOST}"), low=0.0),
            Contrast("a trained ranker on fresh cards: median relative error, the same difference",
                     difference(f"ranker/{LEAST}", f"ranker/{MOST}"), low=0.0),
            Contrast("clicks / impressions: error in the least shown tenth",
                     column(f"counted/{LEAST}")),
            Contrast("clicks / impressions: error in the most shown tenth",
                     column(f"counted/{MOST}")),
            Contrast("ranker: error in the least shown tenth", column(f"ranker/{LEAST}")),
            Contrast("ranker: error in the most shown tenth", column(f"ranker/{MOST}")),
        ),
        note="Counting knows nothing of the tail. A ranker lets similar videos help each other "
        "through their features: card by card it is no further off in the tail than in the head "
        "(what is left there is mostly the viewer and the moment).",
    ),
)  # fmt: skip
