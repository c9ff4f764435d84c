"""Chapter 14's lesson: the loop, exploration, residuals, PLE, few bits, moods, codes."""

import numpy as np
import pandas as pd
import pytest
import torch

from course import simulate
from course.lessons import feedback_loops as fl
from course.lessons import many_objectives as mo
from course.lessons import position_bias as pb
from course.lessons.ranking_features import InputLayer, Scales
from course.simulator import laws
from course.tasks.seven_tasks import SevenTasks

SIZE = {"users": 150, "videos": 200, "days": 8, "future_days": 6}


@pytest.fixture(scope="module")
def world():
    return simulate("village", seed=3, cache=False, **SIZE)


def test_a_service_leaves_the_world_alone_and_adds_its_days_to_the_log(world):
    before = world.engine.memory.video_impressions.copy()
    service = fl.Service(world)
    record = service.serve(world.random(), 2)
    assert service.today == 10 and (world.engine.memory.video_impressions == before).all()
    log, first = service.logs(ahead=1), world.logs()
    assert len(log.impressions) == len(first.impressions) + len(record.table("impressions")["user"])
    assert (log.impressions["time"].to_numpy()[-1] < 10) and len(log.videos) > len(first.videos)
    assert (log.videos["uploaded"] < 11).all()
    again = fl.Service(world).serve(world.random(), 2).table("impressions")
    assert (again["video"] == record.table("impressions")["video"]).all()


def test_two_services_meet_the_same_people_with_the_same_luck(world):
    one, two = fl.Service(world), fl.Service(world)
    first = one.serve(world.random(), 1)
    one.serve(world.random(), 1)
    assert two.today == 8
    assert (two.serve(world.random(), 1).table("impressions")["clicked"]
            == first.table("impressions")["clicked"]).all()  # fmt: skip


def test_rounds_are_learned_from_what_was_logged_until_then(world):
    service, seen = fl.Service(world), []

    def learn(own):
        seen.append((own.today, own.logs().impressions["time"].max()))
        return world.random()

    records = fl.retrain(service, learn, rounds=3, days=2)
    assert [today for today, _ in seen] == [8, 10, 12] and len(records) == 3
    assert all(time < today for today, time in seen)
    assert all(time > today - 1 for today, time in seen[1:])


@pytest.mark.parametrize("stage", [None, fl.own_clicks, fl.all_watches])
def test_a_learner_serves_pages_of_its_own(world, stage):
    service = fl.Service(world)
    learn = fl.learner(pb.ShallowTower, share=0.2, stage=stage, passes=1)
    came = [fl.came_of(service, record) for record in fl.retrain(service, learn, 2, 2)]
    assert all(0 < c["clicks"] < 10 and 0 < c["gini"] < 1 and 0 <= c["new"] <= 1 for c in came)


def test_the_control_learns_from_pages_in_the_old_order(world):
    past, service = fl.Service(world), fl.Service(world)
    fl.retrain(service, fl.learner(past=past, passes=1), 3, 2)
    assert past.today == service.today - 2  # the last round was served, and nobody learned from it
    straight = fl.Service(world)
    want = straight.serve(straight.engine.past_ranking(straight.engine.memory), 2)
    got = past.record.table("impressions")["video"]
    assert (got[: len(want.table("impressions")["video"])]
            == want.table("impressions")["video"]).all()  # fmt: skip


def test_counts_of_a_first_stage_by_a_plain_loop(world):
    log = world.logs()
    own, everywhere = fl.own_clicks(log, 8), fl.all_watches(log, 8)
    video = 17 if own[17] else int(own.argmax())
    rows = log.impressions
    n = ((rows["time"] >= 2) & (rows["video_id"] == video) & rows["clicked"]).sum()
    assert own[video] == n > 0
    w = log.watches
    assert everywhere[video] == ((w["time"] >= 2) & (w["video_id"] == video)).sum()


def test_narrowed_by_hand():
    scores = np.array([[5.0, 4, 3, 2], [1, 2, 3, 4]])
    worth = np.array([[0, 1, 2, 3], [3, 3, 3, 0]])
    order = np.argsort(-fl.narrowed(scores, worth, keep=2), axis=1)
    assert order.tolist() == [[2, 3, 0, 1], [1, 0, 3, 2]]


def test_exploration_of_nothing_and_of_everything():
    candidates = np.arange(24).reshape(2, 12)
    pages, rng = candidates[:, :4], np.random.default_rng(0)
    assert (fl.explore(pages, candidates, 0.0, rng) == pages).all()
    other = fl.explore(pages, candidates, 1.0, rng)
    assert all(not set(a) & set(b) and set(a) <= set(c)
               for a, b, c in zip(other, pages, candidates, strict=True))  # fmt: skip


def bottle_by_hand(seed, closed, share):
    """One bottle, card by card, with the draws of the vectorised one."""
    rng, theta = np.random.default_rng(seed), laws.examination(np.arange(1, 11), 0.9, 1.0)
    wish = rng.normal(-1.7, 1, (1, 200))[0]
    age = np.arange(200)[::-1] // 10
    clicks, looks, out = np.zeros(200), np.zeros(200), []
    for number in range(4):
        want = 1 / (1 + np.exp(-(wish - 0.1 * age)))
        mixed = rng.permuted(np.arange(200)[None], axis=1)[0]
        start = rng.integers(200, size=(1, 5, 1))[0, :, 0]
        offered = np.array([[mixed[(s + i) % 200] for i in range(30)] for s in start])
        score = rng.random((1, 5, 30))[0]
        if number:
            score = ((clicks + 10 * clicks.sum() / looks.sum()) / (looks + 10))[offered]
            if closed:
                for row in range(5):
                    last = np.argsort(-clicks[offered[row]], kind="stable")[12:]
                    score[row, last] -= 1e3
        page = fl.top(score, offered, 10)
        if number:
            page = fl.explore(page, offered, share, rng)
        coins, total = rng.random(50).reshape(5, 10), 0.0
        clicks, looks = 0.8 * clicks, 0.8 * looks
        for row in range(5):
            for place in range(10):
                p = theta[place] * want[page[row, place]]
                total += p
                looks[page[row, place]] += 1
                clicks[page[row, place]] += coins[row, place] < p
        out.append(total / 5)
        leaving = np.arange(10) + 10 * number
        age = age + 1
        wish[leaving], age[leaving] = rng.normal(-1.7, 1, (1, 10))[0], 0
        clicks[leaving] = looks[leaving] = 0
    return out


@pytest.mark.parametrize(("closed", "share"), [(False, 0.0), (True, 0.0), (True, 0.3)])
def test_a_bottle_card_by_card(closed, share):
    found = fl.bottle("naive", closed=closed, share=share, worlds=1, rounds=4, pages=5, seed=2)
    assert np.allclose(found["clicks"][0], bottle_by_hand(2, closed, share))


def test_many_bottles_lie_between_chance_and_the_truth():
    means = {who: fl.bottle(who, worlds=8, rounds=8)["clicks"][:, 3:].mean()
             for who in ("random", "naive", "corrected", "oracle")}  # fmt: skip
    assert means["random"] < means["naive"] < means["oracle"]
    assert means["random"] < means["corrected"] < means["oracle"]


def test_the_worst_group_is_standard_normal_where_the_model_is_right():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.3, 4_000)
    found = []
    for _ in range(300):
        clicked, half = rng.random(4_000) < p, rng.random(4_000) < 0.1
        found.append(fl.worst_group(clicked, p, half))
    assert abs(np.mean(found)) < 0.2 and 0.85 < np.std(found) < 1.15
    biased = rng.random(4_000) < np.where(half, 2 * p, p)
    assert fl.worst_group(biased, p, half) > 4


def test_a_tower_with_size_has_a_number_for_each_place_and_size():
    main = torch.nn.Linear(1, 1)
    tower = fl.TwoBiases(main)
    assert len(tower.place) == 2 * pb.PLACES
    large = pb.cells(torch.tensor([3]), torch.tensor([1])) + pb.PLACES
    with torch.no_grad():
        tower.place[large] = 0.7
    x = torch.zeros(1, 1)
    with torch.no_grad():
        assert torch.allclose(tower(x, large) - main(x), torch.tensor([[0.7]]))
        assert torch.allclose(tower(x, large - pb.PLACES), main(x))


@pytest.fixture(scope="module")
def mixture(world):
    data = SevenTasks(world, 60)
    start = mo.best_constants(data.labels)
    return fl.PLE(InputLayer(data.features), start, 2, 3, 4), Scales(data.train)(data.test)


def test_ple_is_a_sum_over_own_and_common_experts(mixture):
    model, batch = mixture
    with torch.no_grad():
        said, gates = model.parts(batch)
        logits = model.gate(fl.RankingMixture.parts.__globals__["context_of"](batch))
        logits = logits.unflatten(1, model.shape)
        for task in range(7):
            mine = [2 * task, 2 * task + 1, 14, 15, 16]
            weights = logits[:, task, mine].softmax(dim=1)
            want = sum(weights[:, i, None] * said[nu] for i, nu in enumerate(mine))
            got = torch.einsum("ne,enw->nw", gates[:, task], said)
            assert torch.allclose(got, want, atol=1e-5)
            others = [nu for nu in range(17) if nu not in mine]
            assert (gates[:, task, others] == 0).all()


def test_nobody_pulls_at_the_experts_of_others(mixture):
    model, batch = mixture
    weight = model.first.linear.weight
    (pull,) = torch.autograd.grad(model(batch)[:, 1].sum(), weight)
    rows = pull.abs().sum(dim=1).reshape(17, 4).sum(dim=1)
    assert (rows[[2, 3, 14, 15, 16]] > 0).all()
    assert (rows[[nu for nu in range(14) if nu not in (2, 3)]] == 0).all()


def test_the_taught_student_ends_at_the_odds():
    odds = torch.tensor([0.2, 1.0, 7.0])
    z = torch.zeros(3, requires_grad=True)
    step = torch.optim.LBFGS([z], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        step.zero_grad()
        loss = fl.taught(z, odds)
        loss.backward()
        return loss

    step.step(closure)
    assert torch.allclose(z.exp(), odds, rtol=1e-3)


def test_rounded_by_hand_and_tables_only():
    weight = torch.tensor([[1.0, -0.3, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(fl.rounded(weight, 2), torch.tensor([[1.0, 0, 0], [0, 0, 0]]))
    want = torch.tensor([1, -round(0.3 * 127) / 127, 0])
    assert torch.allclose(fl.rounded(weight)[0], want)
    layer = torch.nn.Linear(5, 3)
    few = fl.with_few_bits(layer, 3)
    assert torch.equal(few.bias, layer.bias) and not torch.equal(few.weight, layer.weight)
    assert all(len(row.unique()) <= 7 for row in few.weight)


def test_the_worth_of_a_mood_is_a_plain_sum():
    total = sum(2.0 * 0.9**day * 1.5 * 0.7 for day in range(10))
    assert np.isclose(fl.worth_of_mood(2.0, 1.5, 0.7, 10), total)


def test_a_planner_without_days_left_shows_the_most_clicked():
    world = simulate("village", seed=3, cache=False, aftertaste=2.0, **SIZE)
    service, today = fl.Service(world), world.config.days
    record = service.serve(fl.planner(service, last=today), 1)  # the last moment has passed
    assert len(record.table("impressions")["user"])
    one, two = fl.Service(world), fl.Service(world)
    short = fl.weeks_of(one, fl.planner(one, today + 6), weeks=0)
    assert short.empty and fl.oracle(two, "clicks").memory is two.engine.memory


def test_codes_halve_what_is_left_and_name_alike_what_is_alike():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(6, 8)), 20, axis=0) + 0.05 * rng.normal(size=(120, 8))
    centres = fl.learn_centres(x, k=4, levels=3)
    codes = fl.residual_codes(x, centres)
    left = [((x - sum(t[codes[:, i]] for i, t in enumerate(centres[:n]))) ** 2).sum()
            for n in (1, 2, 3)]  # fmt: skip
    assert left[0] > left[1] > left[2]
    kinds = pd.Series(codes[:, 0]).groupby(np.repeat(np.arange(6), 20)).nunique()
    assert (kinds == 1).all()


def test_a_speller_gives_each_word_the_product_of_its_letters():
    codes = np.array([[0, 1, 2], [0, 1, 0], [2, 2, 1], [0, 1, 2]])
    model = fl.NextCode(codes, k=3, dim=5)
    bags = torch.tensor([[0, 2, 4, 4], [4, 4, 4, 4]])
    with torch.no_grad():
        said, x = model(bags), fl.mean_word(model.letters, model.codes, bags)
        want = sum(model.spell(x, torch.from_numpy(codes[2:3, :n]))[:, 0, codes[2, n]]
                   for n in range(3))  # fmt: skip
        assert torch.allclose(said[:, 2], want, atol=1e-6)
        assert torch.allclose(said[:, 0], said[:, 3]) and (x[1] == 0).all()
        every = np.stack(np.meshgrid(*[range(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        whole = fl.NextCode(every, k=3, dim=5)(torch.tensor([[1, 5]]))
    assert np.isclose(whole.exp().sum().item(), 1, atol=1e-5)
