"""The deep candidate generator: its shape, its losses, its sampling laws, its policy."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from course import ab_test, simulate
from course.errors import ConfigError, LogError, PolicyError
from course.features import Features, example_age, examples
from course.models.bags import Bag
from course.models.candidate_generation import (
    Batch,
    CandidateGenerator,
    CandidatePolicy,
    training_set,
)
from course.models.softmax import (
    LAWS,
    FullSoftmax,
    HierarchicalSoftmax,
    SampledSoftmax,
    full_softmax_loss,
    sampled_softmax_loss,
)


@functools.cache
def world():
    return simulate("tiny", seed=4, cache=False)


@functools.cache
def data():
    logs = world().logs()
    features = Features(logs, floor=1.0)
    return features, training_set(features, logs, examples(logs, 30.0))


def train(model, batch, steps=120, size=256):
    torch.manual_seed(0)
    groups = model.parameter_groups()
    large = [p for group in groups if group.pop("sparse", False) for p in group["params"]]
    dense = [group for group in groups if group["params"][0] not in set(large)]
    optimisers = [torch.optim.Adam(dense)]
    optimisers += [torch.optim.SparseAdam(large, lr=1e-2)] if large else []
    for _ in range(steps):
        model.zero_grad()
        model.loss(batch[torch.randint(len(batch), (size,))]).backward()
        for optimiser in optimisers:
            optimiser.step()
    return model


@functools.cache
def trained():
    features, batch = data()
    return train(CandidateGenerator(features), batch)


def vectors(n=7, videos=11, dim=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    user = torch.randn(n, dim, generator=g, requires_grad=True)
    video = torch.randn(videos, dim, generator=g, requires_grad=True)
    return user, video, torch.randint(videos, (n,), generator=g)


# ---------------------------------------------------------------- bags


def plain_bag(ids, table, padding, mode):
    out = []
    for bag in ids.tolist():
        rows = [table[i] for i in bag if i != padding]
        if not rows:
            out.append(torch.zeros(table.shape[1]))
        elif mode == "max":
            out.append(torch.stack(rows).max(dim=0).values)
        else:
            total = torch.stack(rows).sum(dim=0)
            out.append(total / len(rows) if mode == "mean" else total)
    return torch.stack(out)


IDS = torch.tensor([[0, 3, 3, 5], [2, 5, 5, 5], [5, 5, 5, 5], [4, 1, 0, 2]], dtype=torch.int32)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bag_and_its_gradient_are_those_of_a_plain_loop(mode, sparse):
    if sparse and mode == "max":
        with pytest.raises(ConfigError, match="sparse"):
            Bag(5, 3, mode, sparse)
        return
    torch.manual_seed(0)
    bag = Bag(5, 3, mode, sparse)
    vector, count = bag(IDS)
    twin = bag.table.weight.detach().clone().requires_grad_()
    want = plain_bag(IDS, twin, 5, mode)
    torch.testing.assert_close(vector, want)
    assert count.ravel().tolist() == [3, 1, 0, 4]
    upstream = torch.randn(4, 3)
    (vector * upstream).sum().backward()
    (want * upstream).sum().backward()
    gradient = bag.table.weight.grad
    torch.testing.assert_close(gradient.to_dense() if sparse else gradient, twin.grad)
    with torch.no_grad():  # serving takes another path
        torch.testing.assert_close(bag(IDS)[0], want)


def test_padding_is_the_zero_vector_and_stays_it():
    features, batch = data()
    model = copy.deepcopy(trained())
    for bag in model.bags.values():
        assert (bag.table.weight[bag.size] == 0).all()
    model.zero_grad()
    model.loss(batch[torch.arange(64)]).backward()
    for bag in model.bags.values():
        assert (bag.table.weight.grad[bag.size] == 0).all()
        assert (bag.table.weight.grad[: bag.size] != 0).any()
    empty = batch[torch.arange(2)]
    empty.watched[:] = len(features.videos)
    assert (model.bags["watches"](empty.watched)[0] == 0).all()


def test_longer_padding_changes_nothing():
    model = copy.deepcopy(trained()).eval()
    _, batch = data()
    rows = batch[torch.arange(5)]
    padding = model.features.videos.padding
    wider = torch.cat([rows.watched, torch.full((5, 9), padding, dtype=torch.int32)], dim=1)
    same = Batch(wider, rows.searched, rows.age, rows.demographics, rows.context)
    with torch.no_grad():
        torch.testing.assert_close(model(same), model(rows))


def test_rows_outside_the_vocabulary_are_refused():
    bag = Bag(5, 3)
    for row in (-1, 6):
        with pytest.raises(LogError, match=f"row {row}"):
            bag(torch.tensor([[0, row]]))
    with pytest.raises(ConfigError, match="median"):
        Bag(5, 3, "median")


# ---------------------------------------------------------------- losses


def same_loss_and_gradients(loss, twin, *leaves):
    torch.testing.assert_close(loss, twin)
    for got, want in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(twin, leaves), strict=True
    ):
        torch.testing.assert_close(got, want)


def test_full_softmax_against_a_plain_twin():
    user, video, label = vectors()
    terms = []
    for u, y in zip(user, label, strict=True):
        odds = torch.stack([torch.exp(u @ v) for v in video])
        terms.append(-torch.log(odds[y] / odds.sum()))
    same_loss_and_gradients(
        full_softmax_loss(user, video, label), torch.stack(terms).mean(), user, video
    )


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_sampled_softmax_against_a_plain_twin(corrected, sparse):
    user, video, label = vectors()
    negatives = torch.tensor([0, 2, 3, 7, 8])
    assert set(label.tolist()) & {0, 2, 3, 7, 8}, "no accidental hit in this test"
    log_q = torch.linspace(-3, 0.5, 11) if corrected else None
    terms = []
    for u, y in zip(user, label.tolist(), strict=True):
        shift = (lambda j: log_q[j]) if corrected else (lambda j: 0.0)
        right = torch.exp(u @ video[y] - shift(y))
        wrong = [torch.exp(u @ video[j] - shift(j)) for j in negatives.tolist() if j != y]
        terms.append(-torch.log(right / (right + sum(wrong))))
    twin = torch.stack(terms).mean()
    loss = sampled_softmax_loss(user, video, label, negatives, log_q, sparse=sparse)
    got = torch.autograd.grad(loss, (user, video), retain_graph=True)
    want = torch.autograd.grad(twin, (user, video))
    torch.testing.assert_close(loss, twin)
    torch.testing.assert_close(got[0], want[0])
    torch.testing.assert_close(got[1].to_dense() if sparse else got[1], want[1])


def test_all_videos_as_negatives_is_the_full_softmax():
    user, video, label = vectors()
    everything = torch.arange(11)
    same_loss_and_gradients(
        sampled_softmax_loss(user, video, label, everything, torch.zeros(11)),
        full_softmax_loss(user, video, label),
        user,
        video,
    )


def z_scores(correct, law, seed=0, draws=4_000, n=32):
    """How many standard errors the mean gradient lies from 0 where the model is already right.

    Labels come from the model's own probabilities, so an unbiased loss must not move it.
    """
    torch.manual_seed(seed)
    videos = 12
    bias = torch.linspace(1.5, -1.5, videos)
    truth = torch.softmax(bias, dim=0)
    softmax = SampledSoftmax(truth.numpy() * 1e4, 4, law, correct)
    table = bias[:, None].clone().requires_grad_()
    one = torch.ones(n, 1)
    total, square = torch.zeros(videos), torch.zeros(videos)
    for _ in range(draws):
        label = torch.multinomial(truth, n, replacement=True)
        (gradient,) = torch.autograd.grad(softmax(one, table, label), table)
        total += gradient[:, 0]
        square += gradient[:, 0] ** 2
    mean = total / draws
    return mean / ((square / draws - mean**2) / draws).sqrt()


@pytest.mark.parametrize("law", ["popularity", "zipf"])
def test_corrected_sampling_leaves_the_truth_where_it_is_and_uncorrected_does_not(law):
    # 12 videos, threshold 4 standard errors: by chance, once in 1,300 times.
    assert z_scores(True, law).abs().max() < 4
    wrong = z_scores(False, law, draws=400)
    # Uncorrected, the popular are drawn too often and pushed down: descent lowers them ...
    assert wrong[0] > 8
    assert wrong[6:].max() < -4  # ... and lifts the rare.


def test_the_test_of_bias_catches_probabilities_taken_for_expected_counts():
    """On the negatives alone, a constant in the correction does not drop out."""
    torch.manual_seed(0)
    bias = torch.linspace(1.5, -1.5, 12)
    truth = torch.softmax(bias, dim=0)
    softmax = SampledSoftmax(truth.numpy() * 1e4, 4, "popularity")
    table = bias.clone().requires_grad_()
    gradients = []
    for _ in range(2_000):
        label = torch.multinomial(truth, 32, replacement=True)
        negatives, _ = softmax.draw(label)
        wrong = (table[negatives] - truth[negatives].log()).expand(32, -1)
        wrong = wrong.masked_fill(label[:, None] == negatives, -torch.inf)
        loss = (torch.logaddexp(table[label], wrong.logsumexp(1)) - table[label]).mean()
        gradients.append(torch.autograd.grad(loss, table)[0])
    g = torch.stack(gradients)
    assert (g.mean(0) / (g.std(0) / 2_000**0.5)).abs().max() > 8


def test_in_batch_negatives_are_nearly_unbiased_and_far_better_than_uncorrected():
    # The sample is made of labels of the same batch, so videos do not enter on their own.
    assert z_scores(False, "in-batch", draws=400).abs().max() > 10
    assert z_scores(True, "in-batch", draws=400).abs().max() < 4


def test_uniform_sampling_needs_no_correction_at_all():
    user, video, label = vectors()
    softmax = SampledSoftmax(np.arange(1, 12), 4, "uniform")
    negatives, log_q = softmax.draw(label)
    assert (log_q == log_q[0]).all()
    same_loss_and_gradients(
        sampled_softmax_loss(user, video, label, negatives, log_q),
        sampled_softmax_loss(user, video, label, negatives),
        user,
        video,
    )


@pytest.mark.parametrize("law", LAWS)
def test_videos_enter_the_sample_as_often_as_expected(law):
    torch.manual_seed(1)
    counts = np.geomspace(2_000, 1, 40)
    softmax = SampledSoftmax(counts, 10, law)
    truth = torch.from_numpy(np.maximum(counts, 1))
    times, draws, sizes = torch.zeros(40), 3_000, []
    for _ in range(draws):
        label = torch.multinomial(truth, 4, replacement=True)
        negatives, log_q = softmax.draw(label)
        assert len(set(negatives.tolist())) == len(negatives)
        if law == "in-batch":
            assert set(negatives.tolist()) == set(label.tolist())
            negatives = label[:-1].unique()  # what the last row sees besides itself
        times[negatives] += 1
        sizes.append(len(negatives))
    expected = log_q.exp()
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((times / draws - expected).abs() < 4.5 * error + 1e-3).all()
    if law != "in-batch":
        assert np.mean(sizes) == pytest.approx(10, abs=0.3)
    if law == "uniform":
        assert expected.std() < 1e-6
    else:
        assert expected[0] > 5 * expected[-1]


def test_hierarchical_softmax_against_a_plain_twin_and_sums_to_one():
    user, video, label = vectors()
    clusters = np.array([3, 0, 0, 9, 3, 3, 0, 9, 3, 3, 0])
    softmax = HierarchicalSoftmax(clusters, dim=3)
    nn.init.normal_(softmax.vectors)
    names = [0, 3, 9]
    probability = torch.zeros(len(user), 11)
    terms = []
    for r, (u, y) in enumerate(zip(user, label.tolist(), strict=True)):
        choice = torch.softmax(softmax.vectors @ u, dim=0)
        for c, name in enumerate(names):
            inside = np.flatnonzero(clusters == name)
            within = torch.softmax(video[inside] @ u, dim=0)
            probability[r, inside] = (choice[c] * within).detach()
            if clusters[y] == name:
                terms.append(-torch.log(choice[c] * within[list(inside).index(y)]))
    got = softmax.log_probability(user, video).exp()
    torch.testing.assert_close(got, probability)
    torch.testing.assert_close(got.sum(dim=1), torch.ones(len(user)))
    same_loss_and_gradients(
        softmax(user, video, label), torch.stack(terms).mean(), user, video, softmax.vectors
    )


def test_one_cluster_or_one_video_each_is_the_full_softmax():
    user, video, label = vectors()
    one = HierarchicalSoftmax(np.zeros(11, int), dim=3)
    torch.testing.assert_close(
        one(user, video, label), full_softmax_loss(user, video, label), check_dtype=False
    )
    each = HierarchicalSoftmax(np.arange(11), dim=3)
    each.vectors.data.copy_(video.detach())
    torch.testing.assert_close(each(user, video, label), full_softmax_loss(user, video, label))


def test_softmax_refuses_what_does_not_fit():
    features, _ = data()
    n = len(features.videos)
    with pytest.raises(ConfigError, match="law='alphabetical'"):
        SampledSoftmax(features.videos.counts, 5, "alphabetical")
    with pytest.raises(ConfigError, match=f"negatives={n} of {n} videos"):
        SampledSoftmax(features.videos.counts, n)
    with pytest.raises(ConfigError, match="float64"):
        HierarchicalSoftmax(np.zeros(3))
    for wrong in (SampledSoftmax(np.ones(9), 3), HierarchicalSoftmax(np.zeros(9, int))):
        with pytest.raises(ConfigError, match="made for 9 videos"):
            CandidateGenerator(features, softmax=wrong)
    with pytest.raises(ConfigError, match="dim=64"):
        CandidateGenerator(features, softmax=HierarchicalSoftmax(np.zeros(n, int), dim=32))


# ---------------------------------------------------------------- the model


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_the_tower_halves_from_the_bottom_up(depth):
    features, batch = data()
    model = CandidateGenerator(features, depth=depth, width=16, dim=8)
    rows = batch[torch.arange(4)]
    concat = model.concatenated(rows)
    # two bags and the size of each, three powers of the age, seven codes in 8 numbers
    assert concat.shape == (4, 2 * (8 + 1) + 3 + 7 * 8)
    linear = [m for m in model.tower if isinstance(m, nn.Linear)]
    widths = [concat.shape[1], *(16 * 2**k for k in reversed(range(depth))), 8]
    assert [(m.in_features, m.out_features) for m in linear] == list(
        zip(widths[:-1], widths[1:], strict=True)
    )
    assert sum(isinstance(m, nn.ReLU) for m in model.tower) == depth
    user = model(rows)
    assert user.shape == (4, 9) and (user[:, -1] == 1).all()


def test_input_and_output_tables_are_separate_and_the_bias_starts_at_the_log_count():
    features, batch = data()
    model = CandidateGenerator(features)
    watched, output = model.bags["watches"].table.weight, model.output.weight
    assert watched.shape[0] == len(features.videos) + 1
    assert output.shape == (len(features.videos), 65)
    assert watched.data_ptr() != output.data_ptr()
    np.testing.assert_allclose(
        output[:, -1].detach().numpy(), np.log(features.videos.counts), rtol=1e-5
    )
    before = watched.detach().clone()
    with torch.no_grad():
        output += 1.0
    assert (watched == before).all()


def test_age_enters_as_three_powers():
    features, batch = data()
    model = CandidateGenerator(features, ("age",))
    concat = model.concatenated(batch[torch.arange(9)])
    a = concat[:, 0]
    assert concat.shape == (9, 3) and len(a.unique()) > 1
    torch.testing.assert_close(concat, torch.stack([a, a**2, a.sqrt()], dim=1))


def test_depth_0_is_linear():
    plain = CandidateGenerator(data()[0], depth=0).eval()
    x = torch.randn(3, plain.tower[0].in_features)
    total = plain.tower(x[:1] + x[1:2]) - plain.tower(x[:1]) - plain.tower(x[1:2])
    torch.testing.assert_close(total, -plain.tower(torch.zeros_like(x[:1])), atol=1e-4, rtol=1e-4)


def test_only_the_chosen_signals_are_read():
    features, batch = data()
    model = CandidateGenerator(features, ("watches",)).eval()
    rows = batch[torch.arange(6)]
    other = Batch(rows.watched, rows.searched * 0, rows.age + 9, rows.demographics * 0,
                  rows.context * 0)  # fmt: skip
    with torch.no_grad():
        assert (model(rows) == model(other)).all()
    for wrong in (("watch",), (), "age"):
        with pytest.raises(ConfigError, match="signals"):
            CandidateGenerator(features, wrong)
    with pytest.raises(ConfigError, match="depth=-1"):
        CandidateGenerator(features, depth=-1)


def test_the_seed_decides_the_weights_and_leaves_the_global_stream_alone():
    features, _ = data()
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (CandidateGenerator(features, seed=s) for s in (1, 1, 2))
    assert (torch.rand(3) == want).all()
    assert (a.output.weight == b.output.weight).all()
    assert not (a.output.weight == c.output.weight).all()


@pytest.mark.parametrize("kind", ["full", "popularity", "in-batch", "clusters", "sparse"])
def test_training_beats_popularity(kind):
    features, batch = data()
    counts = features.videos.counts
    softmax = {
        "full": None,
        "popularity": SampledSoftmax(counts, 80, "popularity"),
        "sparse": SampledSoftmax(counts, 80, "uniform"),
        "in-batch": SampledSoftmax(counts, law="in-batch"),
        "clusters": HierarchicalSoftmax(np.arange(len(counts)) % 20),
    }[kind]
    model = CandidateGenerator(features, depth=0, softmax=softmax, sparse=kind == "sparse")
    train(model, batch)
    assert model.output.weight.grad.is_sparse == (kind == "sparse")
    scores = torch.from_numpy(model.scores(batch[torch.arange(2_000)]))
    share = torch.log_softmax(scores, dim=1)[torch.arange(2_000), batch.label[:2_000]].mean()
    popular = np.log(counts / counts.sum())
    assert share > popular[batch.label[:2_000]].mean() + 0.15


def test_examples_without_a_label_are_left_out_or_refused():
    logs = world().logs()
    features = Features(logs, top_videos=30)
    rows = examples(logs, 30.0)
    batch = training_set(features, logs, rows)
    assert len(batch) == rows["video_id"].isin(features.videos.ids).sum() < len(rows)
    model = CandidateGenerator(features)
    for label in (None, torch.tensor([3, 30]), torch.tensor([-1, 3])):
        pair = batch[torch.arange(2)]
        with pytest.raises(LogError, match="no label"):
            model.loss(Batch(pair.watched, pair.searched, pair.age, pair.demographics,
                             pair.context, label))  # fmt: skip
    with pytest.raises(LogError, match="None of 5 examples"):
        training_set(features, logs, rows[~rows["video_id"].isin(features.videos.ids)].head(5))


def test_a_small_last_batch_does_not_shift_what_is_served():
    model, (_, batch) = copy.deepcopy(trained()), data()
    mean = model.norm.running_mean.clone()
    for n in (1, 31):
        assert torch.isfinite(model.loss(batch[torch.arange(n)]))
    assert (model.norm.running_mean == mean).all()
    model.loss(batch[torch.arange(32)])
    assert not (model.norm.running_mean == mean).all()
    assert np.isfinite(model.scores(batch[torch.arange(1)])).all()


def test_each_parameter_is_in_one_group():
    features, _ = data()
    for options in ({"depth": 0}, {"depth": 2}, {"sparse": True}):
        model = CandidateGenerator(features, softmax=SampledSoftmax(features.videos.counts, 9),
                                   **options)  # fmt: skip
        groups = model.parameter_groups(0.5, 0.25)
        grouped = [id(p) for group in groups for p in group["params"]]
        assert sorted(grouped) == sorted(map(id, model.parameters()))
        rate = {id(p): group["lr"] for group in groups for p in group["params"]}
        assert rate[id(model.output.weight)] == 0.5
        assert rate[id(model.tower[0].weight)] == (0.5 if options.get("depth") == 0 else 0.25)
        sparse = [g["params"] for g in groups if g.get("sparse")]
        assert len(sparse) == ("sparse" in options)
        assert not sparse or len(sparse[0]) == 3


# ---------------------------------------------------------------- serving


def test_vectors_give_the_scores():
    model, (_, batch) = trained().train(), data()
    rows = batch[torch.arange(40)]
    users, videos = model.user_vectors(rows), model.video_vectors()
    scores = model.scores(rows)
    np.testing.assert_allclose(users @ videos.T, scores, rtol=1e-4, atol=1e-4)
    assert model.training, "serving leaves the mode as it was"
    videos[:] = 0
    assert (model.scores(rows) == scores).all(), "what is handed out is a copy"


def test_a_tree_has_scores_but_no_vectors_to_search():
    features, batch = data()
    n = len(features.videos)
    model = CandidateGenerator(features, softmax=HierarchicalSoftmax(np.arange(n) % 9))
    scores = model.scores(batch[torch.arange(6)])
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, rtol=1e-4)
    with pytest.raises(ConfigError, match="no dot product"):
        model.video_vectors()


def test_live_pages_are_allowed_new_to_the_account_and_beat_random():
    model, seen = trained(), []
    policy = CandidatePolicy(model)

    def spy(requests):
        pages = policy(requests)
        seen.append((requests, pages))
        return pages

    table = ab_test(world(), {"random": world().random(), "deep": spy}, n=300,
                    candidates="catalogue").table  # fmt: skip
    clicks = table[table["metric"] == "clicks"].set_index("policy")["expected"]
    assert clicks["deep"] > 1.8 * clicks["random"]
    requests, pages = seen[0]
    again = (pages[:, :, None] == requests.recent_videos[:, None, :]).any()
    assert not again
    sweep = model.features.of_requests(requests).with_age(example_age(np.zeros(1), 30.0)[0])
    assert not np.allclose(model.scores(sweep), model.scores(requests)), "the age is read"
    nominated = ab_test(world(), {"deep": policy}, n=100)
    assert nominated.pages["deep"].shape == (100, world().config.slate)


def test_a_video_that_is_not_there_yet_is_not_shown_and_a_page_must_fit():
    seen = []
    policy = CandidatePolicy(trained())

    def spy(requests):
        requests.available = 60
        seen.append(policy(requests))
        return seen[0]

    ab_test(world(), {"spy": spy}, n=50, candidates="catalogue")
    assert seen[0].max() < 60
    features = Features(world().logs(), top_videos=4)
    small = CandidatePolicy(CandidateGenerator(features))
    with pytest.raises(PolicyError, match="vocabulary of 4"):
        ab_test(world(), {"small": small}, n=20, candidates="catalogue")


def test_the_default_softmax_is_the_full_one():
    assert isinstance(CandidateGenerator(data()[0]).softmax, FullSoftmax)
