"""Ledger of chapter 00, start here: two pictures of the papers, and what each count is worth."""

from itertools import combinations

import numpy as np

from course import ab_test, simulate
from course.ledger import Trial
from course.ledger.claim import WORLDS
from course.lessons import first_system as fs

CLAIMS = """
P1-F1: The home page
paper: Figure 1, a picture of the mobile home page
untestable: a picture, which claims nothing; the chapter draws the same page for a viewer of the
  simulated world

P2-F4: The list of what to watch next
paper: Figure 4, a picture that marks positions on the page
untestable: a picture, which claims nothing; the chapter draws the same list for a viewer of the
  simulated world

S-8: A few counts that are well chosen do as well as all of them
paper: our own question; P1 and P2 have hundreds of features and do not show a system of counts
trial: first_pieces
* clicks, share of the gap, the kept two of five pieces minus all five
  | `score my channels + clicked/clicks`
    - `score popular + watched next + my topics + my channels + clicked/clicks` | above 0
- satisfied watches, the same
  | `score my channels + clicked/satisfied`
    - `score popular + watched next + my topics + my channels + clicked/satisfied`
* clicks, all three sources minus topics left out
  | `sources popular + watched next + my topics/clicks` - `sources popular + watched next/clicks`
  | above 0
- clicks, all three sources minus popular left out
  | `sources popular + watched next + my topics/clicks`
    - `sources watched next + my topics/clicks` | above 0
- clicks, every video ranked by the kept score, minus the three sources' pool
  | `every video/clicks` - `sources popular + watched next + my topics/clicks`
- satisfied watches, the same
  | `every video/satisfied` - `sources popular + watched next + my topics/satisfied`
note: Which pieces are kept was decided on the same villages, by leaving out one at a time.
"""

MEASURES = ("clicks", "watch_minutes", "satisfied")


def subsets(names):
    """All that can be made of some names, from one of them up to all."""
    sizes = range(1, len(names) + 1)
    return [chosen for size in sizes for chosen in combinations(names, size)]


def systems(logs):
    """Each score that can be made of the pieces; each pool of sources, under the kept score."""
    for pieces in subsets(tuple(fs.PIECES)):
        yield f"score {' + '.join(pieces)}", fs.FirstSystem(logs, pieces)
    for sources in subsets(fs.SOURCES):
        who = " + ".join(names[0] for names in sources)
        yield f"sources {who}", fs.FirstSystem(logs, fs.KEPT, sources)
    kept = fs.FirstSystem(logs, fs.KEPT)
    everything = np.arange(kept.videos)
    yield (
        "every video",
        lambda requests: fs.best_of(
            kept.score(requests, fs.KEPT), [np.tile(everything, (len(requests), 1))], requests.slate
        ),
    )


def first_pieces(seed):
    """Shares of the gap between random pages and the oracle of each measure, in one village."""
    world = simulate("village", seed=seed)
    ends = {"random": world.random(), **{name: world.oracle(name) for name in MEASURES}}
    own = {"past ranking": world.past_ranking(), **dict(systems(world.logs()))}
    table = ab_test(world, ends | own, n=1_000, candidates="catalogue").table
    found = table.pivot(index="policy", columns="metric", values="expected")
    for name in own:
        shares = {m: fs.share_closed(found.at[name, m], found.at["random", m], found.at[m, m])
                  for m in MEASURES}  # fmt: skip
        yield {"who": name, **shares, "length": found.at[name, "length_minutes"]}


TRIALS = (Trial("first_pieces", first_pieces, minutes=0.1, seeds=WORLDS[:8], cheap=True),)
