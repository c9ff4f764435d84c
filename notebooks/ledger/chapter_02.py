"""Ledger of chapter 02, matrix factorization: its claims, the trial that tests them, the tuning."""

from dataclasses import replace

import numpy as np

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import matrix_factorization as mf
from course.tasks.next_watch import NextWatch
from course.tasks.oracle import oracle

CLAIMS = """
R-6: A tuned dot product does at least as well as a network on the two vectors, at equal data
paper: Rendle et al. 2020: a tuned dot product beats learned combinations on their data sets; a
  network needs much width and data to learn a dot product
trial: factorization
* dot product minus MLP combiner (MRR) | `dot product/mrr` - `MLP combiner/mrr` | above 0
- dot product minus MLP combiner (recall@100)
  | `dot product/recall@100` - `MLP combiner/recall@100` | above 0
note: Both train on the same watches, each against 100 videos drawn evenly; rate, passes and penalty
  of each were tuned on other worlds. The dot product's best is the most passes and the largest
  penalty of the grid, where its score has flattened.

S-3: What a factorization lacks is a clock
paper: our own question; P1 gives its model a clock in section 3.3
trial: factorization
* count of two days minus factorization (MRR)
  | `recent popularity/mrr` - `matrix factorization/mrr` | above 0
* the same lead where nothing goes out of fashion, minus that lead (MRR)
  | (`recent popularity, no fashions/mrr` - `matrix factorization, no fashions/mrr`) -
  (`recent popularity/mrr` - `matrix factorization/mrr`) | below 0
- factorization of the last week minus that of all weeks (MRR)
  | `factorization of the last week/mrr` - `matrix factorization/mrr` | above 0
- factorization with a clock minus count of two days (MRR)
  | `factorization with a clock/mrr` - `recent popularity/mrr` | above 0
- the lead of the count of two days where nothing goes out of fashion (MRR)
  | `recent popularity, no fashions/mrr` - `matrix factorization, no fashions/mrr`
- softmax minus least squares (MRR)
  | `softmax factorization/mrr` - `matrix factorization/mrr`
note: Without fashions the lead of the recent count goes; what is left of it has to do with how
  little there is to learn vectors from.
"""

RIVALS = {"dot product": mf.SoftmaxFactorization, "MLP combiner": mf.MLPCombiner}
NEGATIVES = 100
GRID = {"rate": (0.001, 0.003, 0.01, 0.03), "passes": (2, 4, 8, 16, 32, 64),
        "decay": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}  # fmt: skip
STORE = "tuning_combiners"


def trained(kind, game, settings):
    """A dot product or a network, trained on what came before the cut, as a method."""
    table = mf.who_watched_what(game.train)
    model = kind(*table.shape)
    mf.fit_pairs(model, *mf.pairs(table), negatives=NEGATIVES, **settings)
    return mf.method_of(model)


def contestant(kind):
    """What `course.tuning.tune` calls: (settings, development world) -> scores."""

    def run(settings, world):
        game = NextWatch(simulate("town", seed=world).logs())
        return game.offline(trained(kind, game, settings), game.sample(4_000))

    return run


START = {"rate": 0.003, "passes": 4, "decay": 0.01}


def tune():
    """Tune both rivals over one grid: python3 -m course reproduce --tune 02."""
    return tuning.tune(
        {name: contestant(kind) for name, kind in RIVALS.items()}, GRID, start=START,
        compare=tuple(RIVALS), give_up=0.003, store=STORE,
        about={"size": "town", "negatives": NEGATIVES},
    )  # fmt: skip


def counts_and_vectors(logs):
    """Methods that need no training loop."""
    spoken, (x, y) = logs.users["language"].cat.codes.to_numpy(), mf.als(mf.who_watched_what(logs))
    every, two = mf.popularity(logs), mf.popularity(logs, days=2)
    return {
        "popularity in my language": lambda moments: every[spoken[moments.user]],
        "recent popularity": lambda moments: two[spoken[moments.user]],
        "matrix factorization": mf.dot(x, y),
        "factorization with a clock": mf.with_clock(mf.dot(x, y), np.log1p(two), spoken),
    }


def factorization(seed):
    """Floors, ceiling, factorizations and rivals in one town, and counts without fashions."""
    world = simulate("town", seed=seed)
    game = NextWatch(world.logs())
    table = mf.who_watched_what(game.train)
    softmax = mf.SoftmaxFactorization(*table.shape)
    mf.fit_pairs(softmax, *mf.pairs(table))
    last = game.train.watches[game.train.watches["time"] >= game.at - 7]
    week = mf.als(mf.who_watched_what(replace(game.train, watches=last)))
    chance = np.random.default_rng(seed)
    methods = {
        "random": lambda moments: chance.random((len(moments), game.videos)),
        **counts_and_vectors(game.train),
        "factorization of the last week": mf.dot(*week),
        "softmax factorization": mf.method_of(softmax),
    }
    best = tuning.load(STORE).best
    methods |= {name: trained(kind, game, best[name]) for name, kind in RIVALS.items()}
    for name, method in methods.items():
        yield {"who": name, **game.offline(method)}
    yield {"who": "oracle", **game.offline(oracle(world, game), game.sample(2_000, seed))}
    still = NextWatch(simulate("town", seed=seed, freshness=0).logs())
    for name, method in counts_and_vectors(still.train).items():
        yield {"who": f"{name}, no fashions", **still.offline(method)}


# Three worlds so far; two more are added by `reproduce --worlds 5`.
TRIALS = (Trial("factorization", factorization, minutes=4),)
