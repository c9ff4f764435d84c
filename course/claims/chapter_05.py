"""Claims of chapter 05, labels and context."""

from __future__ import annotations

import pandas as pd

from course.claims import Claim, Contrast, Trial, Values, column, difference, percent
from course.experiments import asymmetry, labels
from course.experiments.agreement import rank_correlation, reversed_pairs

TRIALS = (
    Trial("labels", labels.trial, minutes=1.1),
    Trial("asymmetry", asymmetry.trial, minutes=1.6),
    Trial("errands", labels.errands_trial, minutes=1.0, further=True),
)

SAME = 3.0
"""Per cent. A loss below this is less than half of the smallest step between two sets of signals
in the paper's Figure 6 (7 %), so it would not be called a difference there."""


def _gain(name: str, over: str, metric: str) -> Values:
    """Gain of one variant over another, in per cent, seed by seed."""
    return percent(f"{name}/{metric}", f"{over}/{metric}")


def _minus(name: str, other: str, metric: str) -> Values:
    return difference(f"{name}/{metric}", f"{other}/{metric}")


def _light_minus_heavy(name: str, over: str) -> Values:
    """Gain in the two lightest fifths less that in the heaviest, in percentage points."""

    def value(t: pd.DataFrame) -> pd.Series:
        gains = [_gain(name, over, f"mrr group {group}")(t) for group in (1, 2, 5)]
        return (gains[0] + gains[1]) / 2 - gains[2]

    return value


HELD, NEXT, QUERY, OWN = (
    "held-out watch",
    "next watch",
    "last query in order",
    "own pages only",
)
CAP, LIKE_CAP = "20 per account", "sample, as many as 20 per account"
LIKE_OWN, LIKE_LIKED = "sample, as many as own pages", "sample, as many as liked"
OWN_TEST, HONEST_TEST = "held around, never watched", "held past, not watched before"

CLAIMS = (
    Claim(
        id="P1-F5",
        chapter="05",
        title="Guessing a held-out watch from both sides looks better offline and is worse at "
        "guessing the next watch and live; the more ordered consumption is, the more so",
        paper="predicting the next watch performs much better live than a randomly held-out watch, "
        "because consumption is asymmetric (section 3.4, Figure 5; no numbers)",
        trial="asymmetry",
        contrasts=(
            Contrast(
                "held-out watches: held-out model (both sides, rivals never watched) minus "
                "next-watch model (past only, not watched before) (MRR)",
                difference(f"{HELD}/{OWN_TEST}", f"{NEXT}/{HONEST_TEST}"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "the next watch: next minus held-out (MRR)",
                difference(f"{NEXT}/mrr", f"{HELD}/mrr"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "live: next against held-out (clicks, %)",
                _gain(NEXT, HELD, "clicks"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "loss on the next watch, dials at 2 minus dials at 0 (points)",
                difference("dials at 2/gap", "dials at 0/gap"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "leak through the context, dials at 2 minus dials at 0 (points)",
                difference("dials at 2/leak", "dials at 0/leak"),
                low=0.0,
            ),
            Contrast(
                "loss on the next watch when watches are shuffled, best of 1 to 3 passes (%)",
                column("shuffled/gap at best passes"),
                low=-SAME,
                high=SAME,
            ),
            Contrast(
                "the same after three passes, as in all other tests (%)",
                column("shuffled/gap"),
            ),
            Contrast(
                "live: next against held-out (watch minutes, %)",
                _gain(NEXT, HELD, "minutes"),
            ),
        ),
        note="The held-out model looks better on its own test and is worse at the next watch; live "
        "it is worse on the mean, with an interval that holds zero. But the reason is not the "
        "paper's: the loss does not clearly grow with the dials of order, and it is largest in "
        "a log without order. There it is next to nothing after one pass and grows with each "
        "further one: any two watches of an account stand in each other's contexts, so what "
        "belongs to one account can be learned by heart.",
        beside="labels",
    ),
    Claim(
        id="P1-C7",
        chapter="05",
        title="The same number of examples for every account serves the accounts better",
        paper="a fixed number of training examples per user improved live metrics (section 3.4; "
        "no number)",
        trial="labels",
        contrasts=(
            Contrast(
                "20 per account against a sample of that size (MRR by account, %)",
                _gain(CAP, LIKE_CAP, "mrr by account"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "that gain in the two lightest fifths minus the heaviest (points)",
                _light_minus_heavy(CAP, LIKE_CAP),
                low=0.0,
            ),
            Contrast(
                "live, against a sample of that size (clicks, %)",
                _gain(CAP, LIKE_CAP, "clicks"),
                low=0.0,
                headline=True,
            ),
            Contrast("live, against all examples (clicks, %)", _gain(CAP, NEXT, "clicks")),
            Contrast(
                "against all examples (MRR by account, %)", _gain(CAP, NEXT, "mrr by account")
            ),
        ),
        note="The gain goes to the light accounts, as expected, and the heavy ones gain nothing. "
        "Averaged over accounts it is small, and live there is none: live requests come in "
        "proportion to activity. Against all examples a cap of 20 loses, because it throws two "
        "thirds of them away, which a site with more examples than it can use does not feel.",
    ),
    Claim(
        id="P1-C8",
        chapter="05",
        title="A model that knows the last query in order guesses better after searches and makes "
        "worse home pages, which look like the page of search results; a bag of words does not",
        paper="reproducing the last search page as the home page performs very poorly; queries as "
        "an unordered bag of tokens avoid it (section 3.4; no numbers)",
        trial="labels",
        contrasts=(
            Contrast(
                "watches after a search, against the bag (MRR, %)",
                _gain(QUERY, NEXT, "mrr after search"),
                low=0.0,
                headline=True,
            ),
            Contrast("all next watches, against the bag (MRR, %)", _gain(QUERY, NEXT, "mrr")),
            Contrast(
                "cards on the last query's topic, minus the bag (share)",
                _minus(QUERY, NEXT, "query topic"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "live, home page, against the bag (clicks, %)",
                _gain(QUERY, NEXT, "clicks"),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "live, within half a day after a search (clicks, %)",
                _gain(QUERY, NEXT, "clicks after search"),
                high=0.0,
            ),
            Contrast(
                "live, bag against no searches at all (clicks, %)",
                _gain(NEXT, "no searches", "clicks"),
                low=0.0,
            ),
        ),
        note="Everything but one step comes out: within half a day after a search the loss is "
        "smaller, few requests fall into that time, and the interval holds zero. The bag keeps "
        "what searches say about taste.",
    ),
    Claim(
        id="P1-C8a",
        chapter="05",
        title="The harm done by the last query in order grows with the share of searches that are "
        "errands",
        paper="not in the paper; a test of the reason that it gives for P1-C8",
        trial="errands",
        contrasts=(
            Contrast(
                "nearly all errands minus none: change in MRR of watches from home (points)",
                difference(
                    _gain(f"nearly all errands/{QUERY}", f"nearly all errands/{NEXT}", "mrr home"),
                    _gain(f"no errands/{QUERY}", f"no errands/{NEXT}", "mrr home"),
                ),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "nearly all errands minus none: change in clicks (points)",
                difference(
                    _gain(f"nearly all errands/{QUERY}", f"nearly all errands/{NEXT}", "clicks"),
                    _gain(f"no errands/{QUERY}", f"no errands/{NEXT}", "clicks"),
                ),
                high=0.0,
                headline=True,
            ),
            Contrast(
                "nearly all errands: change in clicks (%)",
                _gain(f"nearly all errands/{QUERY}", f"nearly all errands/{NEXT}", "clicks"),
            ),
            Contrast(
                "no errands: change in clicks (%)",
                _gain(f"no errands/{QUERY}", f"no errands/{NEXT}", "clicks"),
            ),
        ),
        note="These ranges, unlike all others of the chapter, were written down after the five "
        "worlds had been run. The harm to watches from the home page grows; live the worlds "
        "differ too much to tell.",
    ),
    Claim(
        id="P1-C9",
        chapter="05",
        title="Learning from all watches, not only from one's own pages, brings new videos to "
        "light and shows more of the catalogue",
        paper="with examples from own recommendations only, new content would hardly surface and "
        "the system would over-exploit (section 3.4; no numbers)",
        trial="labels",
        contrasts=(
            Contrast(
                "videos of the last week that were shown, all minus own pages (share)",
                _minus(NEXT, OWN, "new shown"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "coverage of the catalogue, all minus own pages (share)",
                _minus(NEXT, OWN, "coverage"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "the same with equally many examples: new videos (share)",
                _minus(LIKE_OWN, OWN, "new shown"),
                low=0.0,
            ),
            Contrast(
                "the same with equally many examples: coverage (share)",
                _minus(LIKE_OWN, OWN, "coverage"),
                low=0.0,
            ),
            Contrast("live, own pages against all (clicks, %)", _gain(OWN, NEXT, "clicks")),
            Contrast("live, own pages against all (satisfied, %)", _gain(OWN, NEXT, "satisfied")),
        ),
        note="Own pages show far fewer of the new videos, also against as many examples drawn from "
        "all watches. Live they get more clicks on the first day: their labels are clicks on "
        "pages, which is what is counted. What that costs later is not in a test of one day.",
    ),
    Claim(
        id="P1-C5",
        chapter="05",
        title="Implicit labels are so many more than explicit ones that they reach deep into the "
        "tail",
        paper="explicit feedback exists but completed watches are orders of magnitude more "
        "available, so that recommendations can be made deep in the tail (section 3; no numbers)",
        trial="labels",
        contrasts=(
            Contrast(
                "completed against liked (MRR, %)",
                _gain("completed", "liked", "mrr"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "completed minus liked: recall@100 in the tail",
                _minus("completed", "liked", "tail recall@100"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "completed minus 4 or 5 stars: recall@100 in the tail",
                _minus("completed", "4 or 5 stars", "tail recall@100"),
                low=0.0,
                headline=True,
            ),
            Contrast(
                "completed minus liked: share of the tail that is ever listed",
                _minus("completed", "liked", "tail listed"),
                low=0.0,
            ),
            Contrast(
                "live, completed against liked (clicks, %)", _gain("completed", "liked", "clicks")
            ),
            Contrast(
                "live, completed against all watches (satisfied, %)",
                _gain("completed", NEXT, "satisfied"),
            ),
        ),
        note="Liked watches are rarer than completed ones and lose in the tail. Each like says "
        "more than a random watch (more satisfied watches from equally many examples), but "
        "there are too few. In this world likes are an eighth of all watches, not orders of "
        "magnitude rarer.",
    ),
    Claim(
        id="P1-C19",
        chapter="05",
        title="What is better offline is not always better live",
        paper="offline metrics guide the work, but live tests decide, since the two do not always "
        "agree (sections 1 and 3.4; no numbers)",
        trial="labels",
        contrasts=(
            Contrast(
                "rank correlation of MRR and clicks over 12 variants",
                rank_correlation,
                high=0.9,
                headline=True,
            ),
            Contrast(
                "pairs of variants in the opposite order live (share)",
                reversed_pairs,
                low=0.05,
                headline=True,
            ),
            Contrast(
                "last query in order, offline: against the bag (MRR, %)",
                _gain(QUERY, NEXT, "mrr"),
                low=0.0,
            ),
            Contrast(
                "last query in order, live: against the bag (clicks, %)",
                _gain(QUERY, NEXT, "clicks"),
                high=0.0,
            ),
            Contrast(
                "held-out watch on its own test minus next watch on the standard one (MRR)",
                difference(f"{HELD}/{OWN_TEST}", f"{NEXT}/mrr"),
                low=0.0,
            ),
            Contrast(
                "rank correlation of MRR and clicks, watches from the home page only",
                lambda t: rank_correlation(t, offline="mrr home"),
            ),
            Contrast(
                "rank correlation of MRR and satisfied watches",
                lambda t: rank_correlation(t, live="satisfied"),
            ),
        ),
        note="Offline and live agree on what is plainly bad, mostly small training sets, which "
        "keeps the rank correlation high. Among the good variants the order turns: the last "
        "query in order is best offline and worse live, own pages the other way round. With "
        "satisfied watches as the live result hardly any agreement is left.",
    ),
)
