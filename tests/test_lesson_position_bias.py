"""Chapter 10's lesson and its task: treatments of position bias, against what is known of them."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from course import simulate
from course.lessons import position_bias as pb
from course.tasks import places
from course.tasks.places import Bottle, ByFeatures, ById, Places


@pytest.fixture(scope="module")
def task():
    return Places(simulate("village", seed=4, cache=False), 300, first_day=20, live=200)


@pytest.fixture(scope="module")
def tower(task):
    model = pb.ShallowTower(task.ranker((16,)))
    pb.train_clicks(model, task.cards, task.cell, task.clicked, passes=3)
    return model


class Linear(torch.nn.Module):
    """A ranker of tables (n, 4)."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, batch):
        return self.layer(batch)[:, 0]


def some(n=60, seed=0):
    random = torch.Generator().manual_seed(seed)
    cell = pb.cells(torch.randint(1, 11, (n,), generator=random),
                    torch.randint(0, 3, (n,), generator=random))  # fmt: skip
    return (
        torch.randn(n, 4, generator=random),
        cell,
        (torch.rand(n, generator=random) < 0.3).float(),
    )


def test_places_are_numbered_through_and_missing_stays_on_the_device():
    position, device = np.meshgrid(np.arange(11), np.arange(3))
    cell = pb.cells(position, device)
    assert sorted(cell.ravel()) == list(range(pb.PLACES))
    assert (pb.missing(cell) == cell[:, :1]).all()
    kept = pb.dropped(torch.from_numpy(cell.ravel()).repeat(2_000), 0.1)
    share = (kept != torch.from_numpy(cell.ravel()).repeat(2_000)).float().mean()
    assert share == pytest.approx(0.1 * 10 / 11, abs=0.005)  # what is missing cannot be left out


def test_the_tower_adds_and_serving_moves_all_cards_of_a_device_alike():
    x, cell, _ = some()
    model = pb.ShallowTower(Linear())
    with torch.no_grad():
        model.place.copy_(torch.randn(pb.PLACES))
        assert torch.allclose(model(x, cell) - model.main(x), model.place[cell], atol=1e-6)
        shift = model(x, pb.missing(cell)) - model.main(x)
    assert all(shift[cell // 11 == d].std() < 1e-6 for d in range(3))
    assert np.allclose(model.curve()[:, 0], 0) and model.curve().shape == (3, 10)


def test_one_curve_for_all_devices():
    model = pb.ShallowTower(Linear(), cross=False)
    with torch.no_grad():
        model.place.copy_(torch.arange(float(pb.PLACES)))
    assert (model.curve() == np.arange(10)).all()


def test_an_input_of_the_first_layer_is_a_vector_that_is_added(task):
    model = pb.PositionInput(task.ranker((8, 4)))
    pages = torch.arange(5)
    batch, cell = task.cards[pages], task.cell[task.cards.rows(pages)]
    before = model.main(batch)
    assert torch.allclose(model(batch, cell), before)  # the table starts at 0
    with torch.no_grad():
        model.place.normal_()
        model.main.rest[-1].weight.normal_()
        first = torch.cat(
            [model.main.first.inputs(batch), torch.nn.functional.one_hot(cell, pb.PLACES)], 1
        )
        weight = torch.cat([model.main.first.linear.weight, model.place.T], dim=1)
        h = (first @ weight.T + model.main.first.linear.bias).relu()
        by_hand = model.main.rest[1](model.main.rest[0](h).relu())[:, 0]
    assert torch.allclose(model(batch, cell), by_hand, atol=1e-4)


def test_the_turned_gradient():
    h = torch.randn(5, 3, requires_grad=True)
    out = pb.turned_back(h, 0.4)
    assert torch.allclose(out, h, atol=1e-6)
    (gradient,) = torch.autograd.grad((out * torch.arange(3.0)).sum(), h)
    assert torch.allclose(gradient, -0.4 * torch.arange(3.0).expand(5, 3))


def test_the_adversary_learns_as_it_should(task):
    """The reader descends on its guess, and the layer below climbs on it."""
    model = pb.Adversarial(task.ranker((8, 4)), strength=0.5)
    with torch.no_grad():
        model.reader.weight.normal_()
        model.main.rest[-1].weight.normal_()
    pages = torch.arange(20)
    batch, rows = task.cards[pages], task.cards.rows(pages)
    cell, clicked = task.cell[rows], task.clicked[rows]
    weights = model.main.first.linear.weight, model.reader.weight
    found = torch.autograd.grad(model.loss(batch, cell, clicked).mean(), weights)
    click = torch.autograd.grad(pb.entropy(model.main(batch), clicked).mean(), weights[0])[0]
    read = torch.nn.functional.cross_entropy(model.reader(model.hidden(batch)), cell % 11 - 1)
    of_read = torch.autograd.grad(read, weights)
    assert torch.allclose(found[1], of_read[1], atol=1e-6)
    assert torch.allclose(found[0], click - 0.5 * of_read[0], atol=1e-6)


def test_the_product_loss_is_the_cross_entropy_of_the_product():
    z, b = torch.linspace(-4, 3, 50), torch.linspace(2, -6, 50)
    p = z.double().sigmoid() * b.double().sigmoid()
    for clicked in (0.0, 1.0):
        label = torch.full((50,), clicked)
        by_hand = -(p.log() if clicked else (1 - p).log())
        assert torch.allclose(pb.product_loss(z, b, label), by_hand.float(), atol=1e-5)


def test_the_weighted_click_is_unbiased():
    """Its mean over looks and wishes is the loss of a log in which all was looked at."""
    z, theta, p = torch.tensor([-1.3]), torch.tensor([0.2]), 0.35
    losses = {c: pb.as_if_seen(z, torch.tensor([c]), theta) for c in (0.0, 1.0)}
    mean = 0.2 * p * losses[1.0] + (1 - 0.2 * p) * losses[0.0]
    assert mean.item() == pytest.approx(pb.entropy(z, torch.tensor([p])).item(), abs=1e-6)


def test_random_pages_give_the_propensities():
    rng = np.random.default_rng(0)
    cell = pb.cells(rng.integers(1, 11, 900_000), rng.integers(0, 3, 900_000))
    theta = np.arange(1, 11) ** -np.array([[0.9], [0.5], [1.4]])
    clicked = rng.random(len(cell)) < 0.4 * theta[cell // 11, cell % 11 - 1]
    found, error = pb.propensities(cell, clicked)
    assert np.abs((found / theta - 1) / error)[:, 1:].max() < 3.5
    assert np.abs(found / theta - 1).max() < 0.15


def test_an_unknown_propensity_is_cut_at_most():
    model = pb.InversePropensity(Linear(), np.zeros((3, 10)), most=5.0)
    assert model.theta[1:11].tolist() == pytest.approx([0.2] * 10)


def test_after_the_fact_against_enumeration():
    for theta, p in itertools.product((0.1, 0.6, 0.95), (0.05, 0.5)):
        ways = {(e, w): (theta if e else 1 - theta) * (p if w else 1 - p)
                for e in (0, 1) for w in (0, 1)}  # fmt: skip
        silent = {way: chance for way, chance in ways.items() if way != (1, 1)}
        total = sum(silent.values())
        want = [sum(chance for way, chance in silent.items() if way[i]) / total for i in (0, 1)]
        assert pb.after_the_fact(0.0, theta, p) == pytest.approx(want)
        assert pb.after_the_fact(1.0, theta, p) == (1.0, 1.0)


def test_em_steps_climb_the_likelihood():
    """With p given, turns of `look_again` never make the log less likely, and find theta."""
    rng = np.random.default_rng(1)
    theta, n = np.arange(1, 11) ** -0.9, 60_000
    cell, p = rng.integers(1, 11, n), rng.uniform(0.2, 0.9, n)
    clicked = torch.tensor(rng.random(n) < p * theta[cell - 1]).float()
    cell, p = torch.from_numpy(cell), torch.tensor(p).float()
    model, last = pb.RegressionEM(Linear(), turns=1), -np.inf
    for _ in range(300):
        chance = (model.theta[cell] * p).double()
        now = float((clicked * chance.log() + (1 - clicked) * (1 - chance).log()).sum())
        assert now >= last - 0.05
        last = now
        model.look_again(clicked, cell, p)
    assert np.abs(model.theta[1:11].numpy() / theta - 1).max() < 0.15  # 400 clicks a place


def test_the_best_curve_is_the_shift_where_places_shift_and_log_theta_where_clicks_are_rare():
    rng = np.random.default_rng(2)
    cell = pb.cells(np.tile(np.arange(1, 11), 300), np.repeat(np.arange(3), 1_000))
    shift = np.log(np.arange(1, 11) ** -np.array([[0.9], [0.5], [1.4]]))
    z = rng.normal(-1, 1, len(cell))
    p_click = expit(z + shift[cell // 11, cell % 11 - 1])
    assert np.allclose(places.best_curve(expit(z), p_click, cell), shift, atol=1e-6)
    rare, theta = expit(z - 8), np.exp(shift)
    found = places.best_curve(rare, rare * theta[cell // 11, cell % 11 - 1], cell)
    assert np.allclose(found, shift, atol=2e-3)
    common = places.best_curve(expit(z), expit(z) * theta[cell // 11, cell % 11 - 1], cell)
    assert (common[:, 1:] < shift[:, 1:]).all()  # a product is steeper on the logit


def test_slope_and_distance_of_curves():
    true = np.log(np.arange(1, 11) ** -np.array([[0.9], [0.5], [1.4]]))
    slope, error = places.beside_truth(1.5 * true, true)
    assert np.allclose(slope, 1.5) and np.allclose(error, 0.5 * np.abs(true[:, -1]))


def test_a_log_with_a_bias_of_its_own_is_found(tower, task):
    """Training learns a curve that falls; served scores do not hang on the place."""
    assert (tower.curve()[:, 9] < tower.curve()[:, 1]).all()
    clicks = task.live_clicks(task.serve(tower))["clicks"]
    chance = task.live_clicks(np.random.default_rng(0).random(len(task.wanted)))["clicks"]
    assert chance < clicks < task.live_clicks(task.wanted)["clicks"]
    first = task.serve(tower, position=1) - task.serve(tower)
    device = task.live_cell.numpy() // 11
    assert max(first[device == d].std() for d in np.unique(device)) < 1e-5


def test_the_true_curves_of_a_world(task):
    theta = task.theta
    assert np.allclose(theta[:, 0], 1) and (np.diff(theta) < 0).all()
    assert np.allclose(task.true_curve("product"), np.log(theta))
    assert (task.true_curve()[:, 1:] < np.log(theta)[:, 1:] + 1e-6).all()
    found = task.offline(pb.Clicks(task.ranker((8,))))
    assert set(found) == {"auc", "auc at its place", "off by"}


def test_training_twice_is_the_same_and_leaves_the_generator_alone(task):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    curves = []
    for _ in range(2):
        model = pb.ShallowTower(task.ranker((8,)))
        pb.train_clicks(model, task.cards, task.cell, task.clicked, passes=1)
        curves.append(model.curve())
    assert np.array_equal(*curves) and torch.equal(torch.random.get_rng_state(), before)


def bottled(swaps, overlap, main, weighted=False, knows=0.0):
    log = Bottle(swaps, overlap, knows)
    model = pb.ShallowTower(main, drop=0.0)
    weight = log.weight * (pb.even_weights(log.chance, 100.0) if weighted else 1.0)
    pb.train_clicks(model, log, log.cell, log.p_click, weight / weight.mean(), rate=0.02,
                    passes=200, pages=log.pages)  # fmt: skip
    return log.judge(model)


def test_a_bottle_is_a_law():
    log = Bottle(0.25, 0.5)
    assert log.weight.mean().item() == pytest.approx(1)
    shares = torch.zeros(600).index_add_(0, log.video, log.chance)
    assert torch.allclose(shares, torch.ones(600), atol=1e-5)
    z = log.wish[log.video] - 2 + np.log(log.theta[log.cell - 1])
    assert np.allclose(logit(log.p_click.numpy().astype(float)), z, atol=1e-3)
    assert Bottle(0.0, 0.0).pages == 600 and Bottle(1.0, 0.0).pages == 6_000


def test_a_bias_is_told_from_relevance_under_either_condition_and_not_without():
    """The planted failure: no card moves and no feature is shared."""
    assert bottled(0.0, 0.0, ById())["slope"] > 1.4
    assert bottled(1.0, 0.0, ByFeatures())["slope"] == pytest.approx(1, abs=0.05)
    assert bottled(0.0, 0.5, ByFeatures())["slope"] == pytest.approx(1, abs=0.1)
    assert bottled(0.0, 0.5, ById())["slope"] > 1.4


def test_a_weight_mends_the_curve_of_a_wrong_model_where_cards_move():
    assert bottled(0.1, 0.0, ByFeatures(0))["slope"] > 1.4
    assert bottled(0.1, 0.0, ByFeatures(0), weighted=True)["slope"] == pytest.approx(1, abs=0.12)


def test_even_weights_make_places_independent_of_videos():
    log = Bottle(0.3, 0.0)
    weight = log.chance * pb.even_weights(log.chance, 100.0)
    table = torch.zeros(600, 11).index_put_((log.video, log.cell), weight)[:, 1:]
    assert torch.allclose(table, table.mean().expand_as(table), rtol=1e-4)


def test_a_reader_gives_chances(task):
    reader = pb.Adversarial(task.ranker((8,)), strength=-1.0)
    with torch.no_grad():
        reader.reader.weight.normal_()
        every = reader.reader(reader.hidden(task.cards)).softmax(dim=1)
    found = pb.chance_of_place(reader, task.cards, task.cell)
    by_hand = every[torch.arange(len(found)), task.cell % 11 - 1]
    assert torch.allclose(found, by_hand, atol=1e-5) and found.std() > 0
