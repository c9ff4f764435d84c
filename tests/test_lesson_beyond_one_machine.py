"""Chapter 15's lesson: two processes against one, a ring, cut tables, a death, search, costs."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from worlds import mini

from course.lessons import beyond_one_machine as bm
from course.lessons import candidate_generation as cg
from course.lessons import whole_system as ws

VIDEOS = 60


@pytest.fixture(scope="module")
def data():
    random = torch.Generator().manual_seed(0)
    bags = torch.randint(VIDEOS + 1, (4_000, 50), generator=random)
    label = torch.randint(VIDEOS, (4_000,), generator=random)
    return bags, label, torch.bincount(label, minlength=VIDEOS)


def apart(one, other):
    return max(float((a - b).detach().abs().max()) for a, b in zip(one, other, strict=True))


def several(rank, workers):
    """What several functions give in this worker, so that processes are started once."""
    own = torch.randn(12, generator=torch.Generator().manual_seed(rank))
    ours = bm.ring_sum(own, rank, workers, bm.pass_on)
    total = own.clone()
    dist.all_reduce(total)
    table = torch.arange(40.0).reshape(10, 4)
    cut = bm.CutTable(table)
    ids = torch.tensor([9, 2, 2, 0]) if rank == 0 else torch.tensor([], dtype=torch.int64)
    rows = cut(ids)
    (rows * torch.arange(1.0, 5.0)).sum().backward()
    share = bm.MyShare(torch.arange(7))[torch.tensor([0, 2, 4, 6, 1])]
    return ours, total, rows.detach(), cut.weight.grad, share


def test_two_processes_that_talk():
    first, second = bm.together(several, 2)
    for ours, total, *_ in (first, second):
        assert torch.allclose(ours, total, atol=1e-6)
    assert torch.equal(first[1], second[1])
    table = torch.arange(40.0).reshape(10, 4)
    assert torch.equal(first[2], table[[9, 2, 2, 0]])
    assert second[2].shape == (0, 4)
    gradient = torch.zeros(10, 4)
    gradient.index_add_(0, torch.tensor([9, 2, 2, 0]), torch.arange(1.0, 5.0).repeat(4, 1))
    assert torch.equal(first[3], gradient[0::2])
    assert torch.equal(second[3], gradient[1::2])
    assert first[4].tolist() == [0, 4, 1] and second[4].tolist() == [2, 6]


def test_two_workers_learn_what_one_learns(data):
    ((losses, one),) = bm.together(bm.learn_sampled, 1, bm.silent, *data)
    ((_, other),) = bm.together(bm.learn_sampled, 1, bm.silent, *data, 1)
    (own, first), (their, second) = bm.together(bm.learn_sampled, 2, bm.share_gradients, *data)
    halves = bm.together(bm.learn_sampled, 2, bm.cut_tables, *data)
    assert apart(one, first) < 1e-5 and apart(first, second) == 0
    assert np.allclose((np.array(own) + their) / 2, losses, atol=1e-5)
    for rank, (_, parts) in enumerate(halves):
        assert len(parts[0]) == len(range(rank, VIDEOS + 1, 2))
        assert apart([*(t[rank::2] for t in one[:2]), one[2]], parts) < 1e-5
    assert apart(one, other) > 1e-4  # so the tolerance can fail
    silent = bm.together(bm.learn_sampled, 2, bm.silent, *data)
    assert apart(silent[0][1], silent[1][1]) > 1e-4


class MyPages(bm.MyShare):
    """The same for the cards of pages."""

    @property
    def pages(self):
        return self.table.pages

    def rows(self, pages):
        return self.table.rows(pages[self.rank :: self.workers])


def rank_together(rank, workers, logs, prepare=bm.share_gradients):
    """Chapter 12's ranker, trained by its own loop on this worker's share of each batch."""
    rows = logs.impressions
    rows = rows[rows["request_id"].isin(rows["request_id"].unique()[:240])]
    cards = ws.Cards(logs, rows)
    model = ws.Figure1(cards.inputs(), cards.start)
    prepare(model)
    own = SimpleNamespace(batch=MyPages(cards.batch), labels=cards.labels, cell=cards.cell)
    ws.train_system(model, own, passes=1, pages=40, drop=0.0)
    return [values.detach() for values in model.parameters()]


@pytest.mark.slow
def test_chapter_12s_ranker_is_trained_by_two_workers_unchanged():
    logs = mini().logs()
    (one,) = bm.together(rank_together, 1, logs)
    first, second = bm.together(rank_together, 2, logs)
    assert apart(first, second) == 0
    assert apart(one, first) < 1e-4
    silent, _ = bm.together(rank_together, 2, logs, bm.silent)
    assert apart(one, silent) > 1e-3


def test_a_killed_worker_costs_nothing_but_steps(data, tmp_path):
    (calm, losses), _ = bm.together(bm.learn_safely, 2, *data, tmp_path / "calm", None, 3)
    with pytest.raises(Exception, match="(?i)terminated|killed|worker"):
        bm.together(bm.learn_safely, 2, *data, tmp_path / "killed", 6, 3)
    assert len(torch.load(tmp_path / "killed")["losses"]) == 3
    (resumed, again), _ = bm.together(bm.learn_safely, 2, *data, tmp_path / "killed", None, 3)
    assert again == losses
    assert apart(calm.parameters(), resumed.parameters()) == 0


def test_the_loop_with_checkpoints_is_chapter_03s_loop(data, tmp_path):
    bags, label, counts = data

    def trained(fit):
        model = cg.NextVideo(VIDEOS, counts=counts)

        def loss(rows):
            return cg.full_softmax(model(bags[rows]), model.output.weight, label[rows])

        return fit(loss, model), model

    options = {"passes": 2, "batch": 100}
    plain, one = trained(lambda loss, m: cg.fit(loss, cg.two_rates(m), 500, **options))
    safe, other = trained(
        lambda loss, m: bm.fit_safely(
            loss, m, cg.two_rates(m), 500, tmp_path / "x", every=99, **options
        )
    )
    assert plain == safe and apart(one.parameters(), other.parameters()) == 0


def test_torchrun_starts_the_same_work(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(
        "import os\nimport torch\nimport torch.distributed as dist\n"
        "from course.lessons import beyond_one_machine as bm\n\n\n"
        "def work(rank, workers):\n    own = torch.tensor([rank + 1.0])\n"
        "    dist.all_reduce(own)\n    print('sum', own.item(), flush=True)\n\n\n"
        "bm.joined(work, int(os.environ['RANK']), int(os.environ['WORLD_SIZE']), 'env://', ())\n"
    )
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*call, str(script)], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert done.stdout.count("sum 3.0") == 2, done.stderr


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_the_ring_in_lock_step(workers):
    """Every worker in a thread of its own, with queues for wires."""
    import queue
    import threading

    wires = [queue.Queue() for _ in range(workers)]
    lists = [
        torch.randn(workers * 3, generator=torch.Generator().manual_seed(r)) for r in range(workers)
    ]
    sent, found = [0] * workers, [None] * workers

    def work(rank):
        def pass_on(part):
            sent[rank] += len(part)
            wires[(rank + 1) % workers].put(part.clone())
            return wires[rank].get(timeout=20)

        found[rank] = bm.ring_sum(lists[rank], rank, workers, pass_on)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for one in found:
        assert torch.allclose(one, sum(lists), atol=1e-5)
    assert sent == [2 * (workers - 1) * 3] * workers


def test_bytes_of_the_paper():
    tables = 3 * [(1_000_000, 256)]
    assert bm.training_bytes(tables, ()) == 16 * 768_000_000
    assert bm.training_bytes([], (2, 3, 1)) == 16 * (3 * 3 + 4 * 1)


def test_a_curve_is_read_back():
    workers = np.array([1, 2, 5, 9, 16])
    found = bm.read_curve(workers, 0.2 + 3.0 / workers + 0.03 * (workers - 1))
    assert np.allclose(found, [0.2, 3.0, 0.03, 10.0])


def test_prices_are_read_back():
    counts = np.array([
        bm.step_counts(w, batch, videos, cut)
        for w in (1, 2) for batch in (512, 4_096) for videos in (2_000, 90_000)
        for cut in (False, True)
    ])  # fmt: skip
    price = np.array([2e-10, 3e-9, 2e-9, 1e-9, 1e-4])
    assert np.allclose(bm.fitted(counts, counts @ price), price, rtol=1e-3)


def test_what_a_step_sends():
    """One worker sends nothing; cutting sends rows of the batch, whole tables everything."""
    assert bm.step_counts(1, 512, 10_000, False)[3:].tolist() == [0, 0]
    whole, cut = (bm.step_counts(2, 64, 1_000_000, c) for c in (False, True))
    assert whole[3] == pytest.approx(4 * whole[1])  # a ring of two sends the list once
    assert cut[3] < whole[3] / 100
    assert cut[1] == pytest.approx(whole[1] / 2, rel=1e-3)


def test_halves_of_an_index_find_what_the_whole_finds():
    random = np.random.default_rng(0)
    vectors = bm.crowd(random.normal(size=(50, 7)), 400, random)
    users = random.normal(size=(5, 7)).astype(np.float32)
    exact = np.argsort(-users @ vectors.T, axis=1)[:, :9]
    ids, scores = bm.found_by(bm.built_index(vectors, "Flat"), users, 9)
    assert (np.sort(ids) == np.sort(exact)).all()
    halves = [np.argsort(-users @ vectors[r::2].T, axis=1)[:, :9] for r in (0, 1)]
    found = bm.merged(
        [half * 2 + r for r, half in enumerate(halves)],
        [
            np.take_along_axis(users @ vectors[r::2].T, half, axis=1)
            for r, half in enumerate(halves)
        ],
        9,
    )
    assert (found == exact).all()


def test_the_crowd_is_near_what_was_learned():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(20, 4)) * [1, 2, 3, 0]
    many = bm.crowd(vectors, 5_000, random, spread=0.5)
    nearest = np.abs(many[:, None] - vectors).sum(axis=2).argmin(axis=1)
    assert len(set(nearest)) == 20
    assert (many[:, 3] == 0).all()
    same = bm.crowd(vectors, 50, random, spread=0)
    assert (np.abs(same[:, None] - vectors).sum(axis=2).min(axis=1) < 1e-5).all()
