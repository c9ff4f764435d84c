"""What chapter 03 writes: against plain twins, laws against draws, and examples worked by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from course.lessons import candidate_generation as cg
from course.tasks.next_watch import Moments

V = 11
BAGS = torch.tensor([[0, 3, 3, V], [2, V, V, V], [V, V, V, V], [4, 1, 0, 2]])


def vectors(n=7, videos=V, dim=4):
    random = torch.Generator().manual_seed(0)
    user = torch.randn(n, dim, generator=random, requires_grad=True)
    video = torch.randn(videos, dim, generator=random, requires_grad=True)
    return user, video, torch.randint(videos, (n,), generator=random)


def same_loss_and_gradients(loss, twin, *leaves):
    torch.testing.assert_close(loss, twin)
    for got, want in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(twin, leaves), strict=True
    ):
        torch.testing.assert_close(got, want)


# --- the network


def test_a_tower_has_the_widths_that_it_is_given():
    layers, last = cg.tower(7, (5, 3))
    linear = [(m.in_features, m.out_features) for m in layers if isinstance(m, nn.Linear)]
    assert linear == [(7, 5), (5, 3)] and last == 3 and isinstance(layers[-1], nn.ReLU)
    x = torch.randn(2, 7)
    empty, last = cg.tower(7, ())
    assert last == 7 and torch.equal(empty(x), x)


@pytest.mark.parametrize("bag", ["mean", "sum", "max"])
def test_the_network_against_a_loop_by_hand(bag):
    model = cg.NextVideo(V, 4, (6, 5), bag=bag)
    with torch.no_grad():
        model.norm.weight.normal_()
        for ids, got in zip(BAGS, model(BAGS), strict=True):
            rows = [model.watched.weight[i] for i in ids.tolist() if i != V]
            x = torch.zeros(4)
            if rows:
                x = torch.stack(rows).max(dim=0).values if bag == "max" else sum(rows)
                x = x / len(rows) if bag == "mean" else x
            x = (x - x.mean()) / (x.var(unbiased=False) + model.norm.eps).sqrt()
            x = x * model.norm.weight + model.norm.bias
            x = torch.cat([x, torch.tensor([math.log(1 + len(rows))])])
            for layer in (model.tower[0], model.tower[2]):
                x = (layer.weight @ x + layer.bias).clamp(min=0)
            want = torch.cat([model.last.weight @ x + model.last.bias, torch.ones(1)])
            torch.testing.assert_close(got, want)
        assert not model.watched(BAGS)[2].any()  # nobody's bag


def test_where_the_weights_start():
    counts = torch.arange(V)
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (cg.NextVideo(V, 64, counts=counts, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), want)  # the global stream is left alone
    assert torch.equal(one.last.weight, two.last.weight)
    assert not torch.equal(one.last.weight, other.last.weight)
    torch.testing.assert_close(one.output.weight[:, -1], torch.log1p(counts.float()))
    assert float(one.output.weight[:, :-1].detach().std()) == pytest.approx(0.1, rel=0.1)
    assert not cg.NextVideo(V).output.weight[:, -1].any() and not one.watched.weight[V].any()


def test_bags_and_scores_of_moments():
    watched = np.array([[3, -1], [V + 4, 0], [V, V - 1]], np.int32)
    assert cg.as_bags(watched, V).tolist() == [[3, V], [V, 0], [V, V - 1]]
    model = cg.NextVideo(V, 4, (5,))
    nothing = np.zeros(3)
    scores = cg.scorer(model)(Moments(nothing, nothing, nothing, nothing, watched, watched))
    with torch.no_grad():
        users = torch.cat([model(bag[None]) for bag in cg.as_bags(watched, V)])
        torch.testing.assert_close(torch.from_numpy(scores), users @ model.output.weight.T)


# --- the loop


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine():
    factors = [cg.rate_factor(step, 10, 0.2) for step in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0] and factors[6] == pytest.approx(0.5)
    assert factors[9] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    assert [cg.rate_factor(s, 4, 0.0) for s in (0, 2)] == [1.0, pytest.approx(0.5)]


def test_fit_meets_every_row_once_a_pass_at_the_rate_of_the_step():
    w, seen, told = torch.zeros(1, requires_grad=True), [], []

    def loss(rows):
        seen.append(rows)
        return (w * 3.0).sum()

    losses = cg.fit(loss, [{"params": [w], "lr": 0.1}], 33, 2, batch=16, warm_up=0.5,
                    progress=lambda *step: told.append((*step, w.item())))  # fmt: skip
    assert [len(rows) for rows in seen] == [16, 16, 1] * 2 and len(losses) == 6
    for i in (0, 3):
        assert sorted(torch.cat(seen[i : i + 3]).tolist()) == list(range(33))
    assert [step[:2] for step in told] == [(i, 6) for i in range(1, 7)]
    # Under a gradient that never changes, each step of Adam is as long as the rate.
    lengths = -np.diff([0.0, *(step[2] for step in told)])
    np.testing.assert_allclose(lengths, [0.1 * cg.rate_factor(i, 6, 0.5) for i in range(6)],
                               rtol=1e-3)  # fmt: skip


def test_each_parameter_has_one_rate():
    model = cg.NextVideo(V, 4, (5,))
    tables, between = cg.two_rates(model, 0.5, 0.25)
    assert (tables["lr"], between["lr"]) == (0.5, 0.25)
    every = [id(p) for group in (tables, between) for p in group["params"]]
    assert sorted(every) == sorted(map(id, model.parameters()))
    rate = {id(p): group["lr"] for group in (tables, between) for p in group["params"]}
    assert rate[id(model.output.weight)] == 0.5 and rate[id(model.tower[0].weight)] == 0.25


def pupils(n=1_500, videos=30, groups=3):
    """Bags and labels of people who watch one kind of video only."""
    rng = np.random.default_rng(0)
    kind = rng.integers(groups, size=(n, 1))
    watched = torch.from_numpy(kind + groups * rng.integers(videos // groups, size=(n, 6)))
    return watched[:, 1:], watched[:, 0]


CHANCE = cg.chances(cg.law(torch.ones(30)), 12)
LOSSES = {
    "full": lambda: cg.full_softmax,
    "sampled": lambda: cg.sampled(CHANCE),
    "in batch": lambda: cg.in_batch(torch.full((30,), 1 / 30, dtype=torch.float64)),
}


def right_kind(model, bags, label):
    """Share of the probability that goes to videos of the right kind."""
    with torch.no_grad():
        p = torch.softmax(model(bags) @ model.output.weight.T, dim=1)
    return float(p[torch.arange(30) % 3 == label[:, None] % 3].sum() / len(label))


@pytest.mark.parametrize("kind", LOSSES)
def test_training_finds_what_people_watch_and_the_seed_decides(kind):
    bags, label = pupils()

    def trained(seed):
        model = cg.NextVideo(30, 8, (16,), seed=seed)
        cg.train(model, bags, label, LOSSES[kind](), passes=6, batch=64, seed=seed)
        return model

    one = trained(1)
    assert right_kind(cg.NextVideo(30, 8, (16,)), bags, label) < 0.45 < 0.9
    assert right_kind(one, bags, label) > 0.9
    assert torch.equal(one.output.weight, trained(1).output.weight)
    assert not torch.equal(one.output.weight, trained(2).output.weight)


# --- losses


def test_the_full_softmax_against_a_plain_twin():
    user, video, label = vectors()
    terms = []
    for u, y in zip(user, label, strict=True):
        odds = torch.stack([torch.exp(u @ v) for v in video])
        terms.append(-torch.log(odds[y] / odds.sum()))
    same_loss_and_gradients(
        cg.full_softmax(user, video, label), torch.stack(terms).mean(), user, video
    )


@pytest.mark.parametrize("corrected", [False, True])
def test_the_sampled_softmax_against_a_plain_twin(corrected):
    user, video, label = vectors()
    sample = torch.tensor([0, 2, 3, 7, 8])
    assert set(label.tolist()) & set(sample.tolist()), "no accidental hit in this test"
    log_q = torch.linspace(-3, 0.5, V) if corrected else torch.zeros(V)
    terms = []
    for u, y in zip(user, label.tolist(), strict=True):
        right = torch.exp(u @ video[y] - log_q[y])
        wrong = [torch.exp(u @ video[j] - log_q[j]) for j in sample.tolist() if j != y]
        terms.append(-torch.log(right / (right + sum(wrong))))
    loss = cg.sampled_softmax(user, video, label, sample, log_q if corrected else None)
    same_loss_and_gradients(loss, torch.stack(terms).mean(), user, video)


def test_with_everything_in_the_sample_it_is_the_full_softmax():
    user, video, label = vectors()
    full = cg.full_softmax(user, video, label)
    for correct in (True, False):
        loss = cg.sampled(torch.ones(V), correct)(user, video, label)
        same_loss_and_gradients(loss, cg.full_softmax(user, video, label), user, video)
    even = cg.sampled(torch.full((V,), 0.4), True, 3), cg.sampled(torch.full((V,), 0.4), False, 3)
    one, two = (loss(user, video, label) for loss in even)
    torch.testing.assert_close(one, two)  # an even chance needs no correction ...
    assert one < full  # ... and a sum over fewer is smaller


def z_scores(loss_of, draws, n=32, seed=0):
    """How many standard errors the mean gradient lies from 0 where the model is already right.

    Labels come from the model's own probabilities, so an unbiased loss must not move it.
    """
    random = torch.Generator().manual_seed(seed)
    bias = torch.linspace(1.5, -1.5, 12)
    truth = torch.softmax(bias, dim=0)
    loss, table, one = loss_of(truth.double()), bias[:, None].requires_grad_(), torch.ones(n, 1)
    found = []
    for _ in range(draws):
        label = torch.multinomial(truth, n, replacement=True, generator=random)
        found.append(torch.autograd.grad(loss(one, table, label), table)[0][:, 0])
    g = torch.stack(found)
    return g.mean(dim=0) / (g.std(dim=0) / draws**0.5)


@pytest.mark.parametrize("kind", ["sampled", "in batch"])
def test_corrected_samples_leave_the_truth_where_it_is_and_uncorrected_do_not(kind):
    def loss_of(correct):
        if kind == "in batch":
            return lambda q: cg.in_batch(q, correct)
        return lambda q: cg.sampled(cg.chances(q, 4), correct)

    # 12 videos, 4 standard errors: by chance, once in 1,300 times.
    assert z_scores(loss_of(True), 1_500).abs().max() < 4
    wrong = z_scores(loss_of(False), 800)
    # Uncorrected, the popular are drawn too often and pushed down: descent lowers them ...
    assert wrong[0] > 8
    assert wrong[6:].max() < -4  # ... and lifts the rare.


@pytest.mark.parametrize("correct", [True, False])
def test_a_batch_of_one_row_tells_nothing_apart(correct):
    user, video, _ = vectors(1)
    q = torch.full((V,), 1 / V, dtype=torch.float64)
    assert cg.in_batch(q, correct)(user, video, torch.tensor([3])) == 0.0


def test_samples_in_the_batch_are_its_labels():
    user, video, _ = vectors(4)
    label = torch.tensor([3, 3, 0, 5])
    loss = cg.in_batch(torch.full((V,), 1 / V), correct=False)(user, video, label)
    want = cg.sampled_softmax(user, video, label, torch.tensor([0, 3, 5]))
    torch.testing.assert_close(loss, want)


# --- laws of drawing


def test_laws_by_hand():
    counts = torch.tensor([3, 0, 8, 1])  # a video without a watch counts once
    near = {"rel": 1e-12}
    assert cg.law(counts).tolist() == pytest.approx([3 / 13, 1 / 13, 8 / 13, 1 / 13], **near)
    assert cg.law(counts, "uniform").tolist() == [0.25] * 4
    whole = 1 + 1 / 2 + 1 / 3 + 1 / 4
    zipf = [1 / 2 / whole, 1 / 3 / whole, 1 / whole, 1 / 4 / whole]
    assert cg.law(counts, "zipf").tolist() == pytest.approx(zipf, rel=1e-6)


@pytest.mark.parametrize("kind", ["popularity", "uniform", "zipf"])
def test_chances_are_those_of_draws_without_their_repeats(kind):
    q = cg.law(torch.from_numpy(np.geomspace(2_000, 1, 40)), kind)
    chance = cg.chances(q, 10)
    assert float(chance.sum()) == pytest.approx(10, abs=1e-4)
    # Draw a Poisson number of videos, all by the law, and throw the repeats away.
    draws = float(-torch.log1p(-chance.double())[0] / q[0])
    rng, times, n = np.random.default_rng(0), np.zeros(40), 4_000
    for size in rng.poisson(draws, n):
        times[np.unique(rng.choice(40, size, p=q.numpy()))] += 1
    error = (chance * (1 - chance) / n).sqrt().numpy()
    assert (abs(times / n - chance.numpy()) < 4.5 * error).all()


def test_videos_enter_the_sample_as_often_as_said(monkeypatch):
    chance, times = cg.chances(cg.law(torch.arange(1, 41)), 10), torch.zeros(40)

    def caught(user, videos, label, sample, log_chance):
        times[sample] += 1
        torch.testing.assert_close(log_chance, chance.log())

    monkeypatch.setattr(cg, "sampled_softmax", caught)
    loss = cg.sampled(chance)
    for _ in range(4_000):
        loss(None, None, None)
    error = (chance * (1 - chance) / 4_000).sqrt()
    assert ((times / 4_000 - chance).abs() < 4.5 * error).all()


# --- the tree


def tree(cluster, dim=3):
    made = cg.Tree(cluster, dim)
    nn.init.normal_(made.vectors, generator=torch.Generator().manual_seed(1))
    return made


def test_the_tree_against_a_plain_twin_and_sums_to_one():
    user, video, label = vectors()
    clusters = np.array([2, 0, 0, 1, 2, 2, 0, 1, 2, 2, 0])
    made, terms, probability = tree(clusters), [], torch.zeros(len(user), V)
    for (r, (u, y)), c in itertools.product(
        enumerate(zip(user, label.tolist(), strict=True)), range(3)
    ):
        inside = np.flatnonzero(clusters == c)
        choice = torch.softmax(made.vectors @ u, dim=0)[c]
        within = choice * torch.softmax(video[inside] @ u, dim=0)
        probability[r, inside] = within.detach()
        if clusters[y] == c:
            terms.append(-torch.log(within[list(inside).index(y)]))
    got = made.log_probability(user, video)
    torch.testing.assert_close(got.exp(), probability)
    torch.testing.assert_close(got.exp().sum(dim=1), torch.ones(len(user)))
    loss = made(user, video, label)
    torch.testing.assert_close(loss, -got[torch.arange(len(user)), label].mean())
    same_loss_and_gradients(loss, torch.stack(terms).mean(), user, video, made.vectors)


def test_one_cluster_or_one_video_each_is_the_full_softmax():
    user, video, label = vectors()
    full = cg.full_softmax(user, video, label)
    torch.testing.assert_close(tree(np.zeros(V, int))(user, video, label), full)
    each = cg.Tree(torch.arange(V), 3)
    each.vectors.data.copy_(video.detach())
    torch.testing.assert_close(each(user, video, label), full)


# --- search


def test_equally_long_vectors_keep_their_products():
    rng = np.random.default_rng(0)
    places, user = rng.normal(size=(50, 4)), rng.normal(size=4)
    longer = cg.equally_long(places)
    np.testing.assert_allclose(longer @ np.append(user, 0), places @ user)
    length = np.linalg.norm(longer, axis=1)
    np.testing.assert_allclose(length, np.linalg.norm(places, axis=1).max())


def test_search_in_all_cells_is_exact_and_in_few_stays_inside():
    rng = np.random.default_rng(0)
    places, user, centres = (rng.normal(size=shape) for shape in ((200, 4), (4,), (9, 4)))
    cell = functional.pairwise_distance(
        torch.from_numpy(places)[:, None], torch.from_numpy(centres)
    ).argmin(dim=1).numpy()  # fmt: skip
    exact = np.argsort(-(places @ user))
    found = cg.search_cells(user, places, centres, cell, 9, 10)
    np.testing.assert_array_equal(found, exact[:10])
    near = np.argsort(np.linalg.norm(centres - user, axis=1))[:2]
    found = cg.search_cells(user, places, centres, cell, 2, 10)
    np.testing.assert_array_equal(found, exact[np.isin(cell[exact], near)][:10])
