"""How fast are the lessons beside other people's packages? A script, not a test.

    python tests/rivals.py [als] [softmax] [generator] [mixture] [--rounds 3]

It needs packages that the course never does, ``implicit`` for the factorizations, ``torch-rechub``
for the generator, and both ``torch-rechub`` and ``deepctr-torch`` for the mixture of experts, and
says so in words where one is missing.

Every contest runs in one process on one thread, in turns A B A B, and is counted in core seconds
(``time.process_time``). Other work on the machine then slows both sides alike, so the ratio of the
medians says more than either number does: above 1 the lesson is the faster one.

Equal quality. The factorizations see one planted table (20,000 accounts, 10,000 videos, a million
pairs, a fifth of them held out) and print recall@50 of what was held out; a ratio counts only
where the lesson's recall is not the lower one. `implicit` gives a watch the whole weight `alpha`
where Hu et al. 2008, and we, write 1 + alpha. The generators are compared by the work that they
do, on random histories: the lesson compares every example with about 1,000 shared videos and
corrects for their chances; the rival's YoutubeDNN compares it with 3 that were drawn beforehand,
in a bare loop that spares it its own data loader. The rival is measured with the five account
columns of its own example (id, gender, age, occupation, zip code), and with the history alone;
each side at three sizes of batch, and the best one counts. The mixtures have eight experts of 16
units and seven binary tasks, linear gates and towers of 8 units, first on 185 plain numbers, then
on the cards of a town as chapter 09 trains it: the same ids in vectors of the same sizes and the
same numbers, which the lesson reads page by page and a rival row by row (bags are left out on both
sides). The rivals' experts, gates and towers are normalised over the batch in torch-rechub, which
cannot be turned off there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy and torch are loaded
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402

from course import simulate  # noqa: E402
from course.features.taxonomy import BAGS, IMPRESSION_CODES, QUERY_CODES, SPACE  # noqa: E402
from course.lessons import candidate_generation, matrix_factorization  # noqa: E402
from course.lessons import mixtures_of_experts as me  # noqa: E402
from course.lessons.ranking_features import InputLayer, Scales, dimensions  # noqa: E402
from course.tasks.seven_tasks import TASKS, SevenTasks  # noqa: E402

USERS, VIDEOS, PAIRS, FACTORS = 20_000, 10_000, 1_000_000, 64
ITERATIONS = 15
HISTORY, NEGATIVES, RIVALS_NEGATIVES = 50, 1_000, 3
BATCHES = 512, 1_024, 2_048  # the first is the lesson's own, the last that of the rival's example
ACCOUNT = {"user": USERS, "gender": 2, "age": 7, "occupation": 21, "zip": 3_439}  # how many values


def planted(seed=0, topics=32):
    """Tables (users, videos) to train on and held out: tastes, fashion and chance."""
    rng = np.random.default_rng(seed)
    x, y = (0.6 * rng.normal(size=(n, topics)).astype(np.float32) for n in (USERS, VIDEOS))
    popular = 0.7 * np.log(rng.zipf(1.6, VIDEOS).clip(max=300))
    active = rng.lognormal(0, 1, USERS)
    watches = rng.poisson(active / active.sum() * PAIRS).clip(1, 1_500)
    order = np.empty((USERS, watches.max()), np.int32)
    for rows in np.array_split(np.arange(USERS), 40):
        scores = x[rows] @ y.T + popular + rng.gumbel(size=(len(rows), VIDEOS))
        order[rows] = np.argsort(-scores, axis=1)[:, : order.shape[1]]
    user = np.repeat(np.arange(USERS), watches)
    video = order[np.arange(order.shape[1]) < watches[:, None]]
    held = rng.random(len(user)) < 0.2
    return [
        csr_matrix((np.ones(part.sum(), np.float32), (user[part], video[part])), (USERS, VIDEOS))
        for part in (~held, held)
    ]


def recall(train, held, x, y, bias=0.0, k=50, people=4_000):
    """Mean share of min(k, held out) that is among the k best not seen in training."""
    rng, found = np.random.default_rng(0), []
    asked = rng.choice(np.flatnonzero(np.diff(held.indptr)), people, replace=False)
    for rows in np.array_split(asked, 10):
        scores = x[rows] @ y.T + bias
        scores[train[rows].nonzero()] = -np.inf
        top = np.argpartition(-scores, k, axis=1)[:, :k]
        hits = np.take_along_axis(held[rows].toarray(), top, axis=1).sum(axis=1)
        found.append(hits / np.minimum(k, np.diff(held[rows].indptr)))
    return np.concatenate(found).mean()


def in_turns(sides, rounds):
    """Core seconds (rounds,) of each side {name: function}, taken A B A B; and the last results."""
    taken, results = {name: [] for name in sides}, {}
    for _ in range(rounds):
        for name, work in sides.items():
            start = time.process_time()
            results[name] = work()
            taken[name].append(time.process_time() - start)
    return taken, results


def factorizations(title, train, held, sides, rounds):
    """Print core seconds, recall and ratio of each side {name: function -> (x, y, bias)}."""
    print(f"\n{title}: core seconds, recall@50, the rival's seconds over ours")
    taken, results = in_turns(sides, rounds)
    ours = np.median(next(iter(taken.values())))
    for name, seconds in taken.items():
        quality, middle = recall(train, held, *results[name]), np.median(seconds)
        print(f"  {name:38} {middle:7.2f}   {quality:.4f}   {middle / ours:5.2f}")


def als(train, held, rounds):
    """ALS by conjugate gradients, three steps of them on either side."""
    from implicit.als import AlternatingLeastSquares

    def lesson():
        return matrix_factorization.als(train, FACTORS, 10.0, 3.0, ITERATIONS)

    def rival():
        model = AlternatingLeastSquares(
            FACTORS, 10.0, 4.0, use_cg=True, iterations=ITERATIONS, num_threads=1, random_state=0
        )
        model.fit(train, show_progress=False)
        return model.user_factors, model.item_factors

    factorizations("ALS", train, held, {"lesson": lesson, "implicit": rival}, rounds)


def softmax(train, held, rounds):
    """One pass of softmax factorization with shared negatives; the rivals at their defaults."""
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.lmf import LogisticMatrixFactorization

    def lesson():
        model = matrix_factorization.SoftmaxFactorization(*train.shape, FACTORS)
        cells = matrix_factorization.pairs(train)
        matrix_factorization.fit_pairs(model, *cells, passes=1, negatives=NEGATIVES)
        return [p.detach().numpy() for p in (model.user, model.video, model.bias)]

    def rival(kind):
        def work():
            model = kind(FACTORS, num_threads=1, random_state=0)
            model.fit(train, show_progress=False)
            return model.user_factors, model.item_factors

        return work

    sides = {
        "lesson": lesson,
        "implicit, BPR": rival(BayesianPersonalizedRanking),
        "implicit, LMF": rival(LogisticMatrixFactorization),
    }
    factorizations("Softmax factorization", train, held, sides, rounds)


def youtube_dnn(bags, label, negatives, account=None):
    """A step(batch) of torch-rechub's model on examples; ids begin at 1 there, 0 is padding."""
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.matching import YoutubeDNN

    def ids(name, **options):
        shared = {"shared_with": "video", "padding_idx": 0}
        return SequenceFeature(name, VIDEOS + 1, FACTORS, **shared, **options)

    account = account or {}
    table = account | {"video": label + 1, "history": bags + 1, "negatives": negatives + 1}
    features = [SparseFeature(name, ACCOUNT[name], FACTORS) for name in account]
    features.append(ids("history", pooling="mean"))
    video = [SparseFeature("video", VIDEOS + 1, FACTORS)]
    wrong = [ids("negatives", pooling="concat")]
    model = YoutubeDNN(features, video, wrong, {"dims": [128, FACTORS]}, temperature=0.02)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)

    def one_pass(batch):
        for rows in torch.randperm(len(label)).split(batch):
            scores = model({name: column[rows] for name, column in table.items()})
            loss = torch.nn.functional.cross_entropy(scores, torch.zeros_like(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return one_pass


def generator(rounds, examples=16_384):
    """Print the examples per core second of chapter 03's loop and of torch-rechub's model."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, VIDEOS + 1) ** 0.8

    def draw(*shape):
        return torch.from_numpy(rng.choice(VIDEOS, shape, p=share / share.sum()))

    bags, label, wrong = (draw(examples, k) for k in (HISTORY, 1, RIVALS_NEGATIVES))
    label = label[:, 0]
    account = {k: torch.from_numpy(rng.integers(n, size=examples)) for k, n in ACCOUNT.items()}

    counts = torch.bincount(label, minlength=VIDEOS)
    model = candidate_generation.NextVideo(VIDEOS, FACTORS, counts=counts)
    chance = candidate_generation.chances(candidate_generation.law(counts), NEGATIVES)
    loss = candidate_generation.sampled(chance)

    def lesson(batch):
        candidate_generation.train(model, bags, label, loss, passes=1, batch=batch)

    passes = {
        f"lesson, {NEGATIVES:,} shared negatives": lesson,
        f"torch-rechub, {RIVALS_NEGATIVES} negatives": youtube_dnn(bags, label, wrong, account),
        "torch-rechub, the history alone": youtube_dnn(bags, label, wrong),
    }
    sides = {(n, b): lambda f=f, b=b: f(b) for n, f in passes.items() for b in BATCHES}
    taken, _ = in_turns(sides, rounds)
    rate = {side: examples / np.median(seconds) for side, seconds in taken.items()}
    best = {name: max(BATCHES, key=lambda b, name=name: rate[name, b]) for name in passes}
    ours = rate[next(iter(best.items()))]
    print("\nGenerator: examples per core second at its best batch, ours over the rival's")
    for side in best.items():
        at_each = ", ".join(f"{rate[side[0], b]:,.0f} at {b}" for b in BATCHES)
        print(f"  {side[0]:40} {rate[side]:8,.0f}   {ours / rate[side]:5.2f}   ({at_each})")


EXPERTS, WIDTH, TOWER = 8, 16, 8


def rechub_mixture(numbers, ids):
    """torch-rechub's MMOE on columns ``x0, x1, ...`` of so many numbers and ids of given sizes."""
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models.multi_task import MMOE

    features = [DenseFeature("numbers", embed_dim=numbers)]
    features += [SparseFeature(name, n, embed_dim=dim) for name, (n, dim) in ids.items()]
    expert = {"dims": [WIDTH], "activation": "relu", "dropout": 0}
    towers = [{"dims": [TOWER], "activation": "relu", "dropout": 0}] * len(TASKS)
    return MMOE(features, ["classification"] * len(TASKS), EXPERTS, expert, towers)


def deepctr_mixture(numbers, ids):
    """deepctr-torch's MMOE, which reads one table: first the numbers, then the ids."""
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models.multitask.mmoe import MMOE

    columns = [DenseFeat("numbers", numbers)]
    columns += [SparseFeat(name, n, embedding_dim=dim) for name, (n, dim) in ids.items()]
    return MMOE(columns, EXPERTS, (WIDTH,), (), (TOWER,), l2_reg_linear=0, l2_reg_embedding=0,
                task_types=["binary"] * len(TASKS), task_names=list(TASKS))  # fmt: skip


class OnNumbers(me.MMoE):
    """The lesson's MMoE with gates that read all numbers, as the rivals' do."""

    def forward(self, x):
        """Outputs (n, tasks)."""
        return super().forward(x, x)


def trainer(model, read, label, n, on_logits):
    """A pass(batch) over n examples; `read(rows)` gives what the model is called with."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    functional = torch.nn.functional
    measure = functional.binary_cross_entropy
    if on_logits:
        measure = functional.binary_cross_entropy_with_logits

    def one_pass(batch):
        model.train()
        for rows in torch.randperm(n).split(batch):
            loss = measure(model(read(rows)), label(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return one_pass


def mixture(rounds, examples=65_536):
    """Print the examples per core second of chapter 09's mixture and of two packages' MMOE."""
    x = torch.randn(examples, 185)
    y = (torch.rand(examples, len(TASKS)) < 0.3).float()
    own = OnNumbers(185, 185, len(TASKS), EXPERTS, WIDTH)
    passes = {
        "lesson": trainer(own, x.__getitem__, y.__getitem__, examples, True),
        "torch-rechub": trainer(rechub_mixture(185, {}), lambda r: {"numbers": x[r]},
                                y.__getitem__, examples, False),
        "deepctr-torch": trainer(deepctr_mixture(185, {}), x.__getitem__, y.__getitem__, examples,
                                 False),
    }  # fmt: skip
    _rates("MMoE on plain numbers", passes, dict.fromkeys(passes, BATCHES), examples, rounds)

    data = SevenTasks(simulate("town", seed=7), 100, first_day=40)
    cards = Scales(data.train)(data.train)
    layer = InputLayer(data.features, include=set(data.features.names) - set(BAGS))
    own = me.RankingMixture(layer, torch.zeros(len(TASKS)), EXPERTS, WIDTH, reads="input")
    labels = (data.labels > 0.5).float()
    ids, columns = {}, {}
    for known, codes in ((IMPRESSION_CODES, cards.codes), (QUERY_CODES, cards.query_codes)):
        at = codes if known is IMPRESSION_CODES else codes[cards.page]
        for i, name in enumerate(known):
            n = data.features.cardinality(SPACE[name]) + 1
            ids[name], columns[name] = (n, dimensions(n - 1)), at[:, i]
    # torch-rechub wants vectors of one size: as wide in all.
    even = round(sum(dim for _, dim in ids.values()) / len(ids))
    one_size = {name: (n, even) for name, (n, _) in ids.items()}
    plain = torch.cat([cards.numbers[:, layer.of_card],
                       cards.query_numbers[:, layer.of_page][cards.page]], dim=1)  # fmt: skip
    table = torch.cat([plain, torch.stack(list(columns.values()), dim=1).float()], dim=1)
    width = plain.shape[1]

    def by_name(rows):
        return {"numbers": plain[rows], **{name: c[rows] for name, c in columns.items()}}

    passes = {
        "lesson": trainer(own, cards.__getitem__, lambda p: labels[cards.rows(p)], cards.pages,
                          True),
        "torch-rechub": trainer(rechub_mixture(width, one_size), by_name, labels.__getitem__,
                                len(labels), False),
        "deepctr-torch": trainer(deepctr_mixture(width, ids), table.__getitem__,
                                 labels.__getitem__, len(labels), False),
    }  # fmt: skip
    cards_of_page = len(labels) / cards.pages
    sizes = dict.fromkeys(passes, BATCHES)
    sizes["lesson"] = tuple(round(b / cards_of_page) for b in BATCHES)
    _rates(f"MMoE on {len(labels):,} cards of a town", passes, sizes, len(labels), rounds)


def _rates(title, passes, sizes, examples, rounds):
    sides = {(n, b): lambda f=f, b=b: f(b) for n, f in passes.items() for b in sizes[n]}
    taken, _ = in_turns(sides, rounds)
    rate = {side: examples / np.median(seconds) for side, seconds in taken.items()}
    best = {name: max(rate[name, b] for b in sizes[name]) for name in passes}
    print(f"\n{title}: examples per core second at the best batch, the lesson's over the rival's")
    for name, fastest in best.items():
        at_each = ", ".join(f"{rate[name, b]:,.0f} at {b}" for b in sizes[name])
        print(f"  {name:16} {fastest:8,.0f}   {best['lesson'] / fastest:5.2f}   ({at_each})")


def main():
    """Run the contests that are asked for, or all."""
    needs = {"als": ["implicit"], "softmax": ["implicit"], "generator": ["torch-rechub"],
             "mixture": ["torch-rechub", "deepctr-torch"]}  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contests", nargs="*", metavar="als|softmax|generator|mixture")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side has its turn")
    asked = parser.parse_args()
    if unknown := set(asked.contests) - set(needs):
        parser.error(f"no contest is called {', '.join(sorted(unknown))}; there are {list(needs)}")
    chosen = asked.contests or list(needs)
    for package in sorted({package for name in chosen for package in needs[name]}):
        if find_spec(package.replace("-", "_")) is None:
            parser.exit(2, f"{package} is not installed: pip install {package}\n")
    torch.set_num_threads(1)
    if tables := [name for name in chosen if name in ("als", "softmax")]:
        train, held = planted()
        print(f"planted table: {train.nnz:,} pairs to train on, {held.nnz:,} held out")
        for name in tables:
            {"als": als, "softmax": softmax}[name](train, held, asked.rounds)
    if "generator" in chosen:
        generator(asked.rounds)
    if "mixture" in chosen:
        mixture(asked.rounds)


if __name__ == "__main__":
    main()
