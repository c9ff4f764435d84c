"""Click models of the first edition that know about position; chapters 12 and 13 use them."""

import numpy as np
import pytest
import torch

from course.errors import ConfigError, CourseError
from course.models.position_bias import (
    ClickModel,
    MainTower,
    ShallowTower,
    ShallowTowerModel,
    fit_clicks,
    pieces,
)

K, DEVICES = 5, 2
THETA = np.array([1 / np.arange(1, K + 1) ** 0.9, 1 / np.arange(1, K + 1) ** 0.5])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swapped_clicks(n=20_000, relevance=0.7, truth="product", seed=0):
    """Pages of K cards, ordered by relevance and chance, so that cards move between positions."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n // K, K, 3)).astype(np.float32)
    appeal = -1.0 + x @ np.array([0.8, -0.5, 0.3])
    score = relevance * appeal + rng.normal(size=appeal.shape)
    position = (-score).argsort(axis=1).argsort(axis=1) + 1
    device = np.broadcast_to(rng.integers(0, DEVICES, (n // K, 1)), position.shape)
    theta = THETA[device, position - 1]
    p = theta * sigmoid(appeal) if truth == "product" else sigmoid(appeal + np.log(theta))
    clicked = rng.random(p.shape) < p
    return (
        torch.from_numpy(x.reshape(-1, 3)), position.ravel(), device.ravel(), clicked.ravel()
    )  # fmt: skip


def main(seed=1, **options):
    return MainTower(3, hidden=(8,), start=-1.0, seed=seed, **options)


def models():
    return {
        "none": ClickModel(main(), K, DEVICES),
        "shallow": ShallowTowerModel(main(), K, DEVICES),
    }


@pytest.fixture(scope="module")
def data():
    return swapped_clicks()


def batch(n=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 3, generator=g),
        torch.randint(1, K + 1, (n,), generator=g),
        torch.randint(0, DEVICES, (n,), generator=g),
        torch.randint(0, 2, (n,), generator=g).float(),
    )


def with_random_table(model):
    with torch.no_grad():
        for table in model.tables():
            table.copy_(torch.randn(table.shape, generator=torch.Generator().manual_seed(5)))
    return model.eval()


def test_the_shallow_logit_is_added_and_never_multiplied():
    model = with_random_table(ShallowTowerModel(main(), K, DEVICES))
    x, position, device, _ = batch()
    bias = model.shallow(position, device)
    p = model.probability(x, position, device)
    assert torch.allclose(p, torch.sigmoid(model.main(x) + bias))
    assert not torch.allclose(p, torch.sigmoid(model.main(x)) * torch.sigmoid(bias), atol=0.05)


def test_serving_with_missing_is_the_main_tower_plus_a_constant_of_the_device():
    model = with_random_table(ShallowTowerModel(main(), K, DEVICES))
    x, _, device, _ = batch()
    rest = (model.serve(x, device) - model.main(x)).detach()
    for d in range(DEVICES):
        assert rest[device == d].std() < 1e-6
    assert (rest[device == 0][0] - rest[device == 1][0]).abs() > 1e-3


def test_drop_out_hides_a_tenth_of_the_positions_in_training_only():
    tower = ShallowTower(K, DEVICES)
    with torch.no_grad():
        tower.table.weight.fill_(1.0)
        tower.table.weight[[0, K + 1]] = 0.0  # the two "missing" cells
    position = torch.ones(20_000, dtype=torch.int64)
    torch.manual_seed(0)
    assert (tower.train()(position, 0 * position) == 0).float().mean() == pytest.approx(
        0.1, abs=0.01
    )
    assert (tower.eval()(position, 0 * position) == 1).all()
    assert (tower(None, 0 * position) == 0).all()


def test_one_logit_for_each_head_and_one_curve_without_the_cross():
    tower = ShallowTower(K, DEVICES, heads=3)
    assert tower(torch.tensor([1, 5]), torch.tensor([0, 1])).shape == (2, 3)
    flat = ShallowTower(K, DEVICES, cross=False)
    with torch.no_grad():
        flat.table.weight[:, 0] = torch.arange(K + 1.0)
    assert flat.curve().tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0]] * 2
    assert flat(torch.tensor([3, 3]), torch.tensor([0, 1])).tolist() == [3.0, 3.0]


def test_theta_comes_back_where_cards_move():
    x, position, device, clicked = swapped_clicks(60_000, truth="additive")
    model = models()["shallow"]
    fit_clicks(model, x, position, device, clicked, batch=512, epochs=4)
    assert np.abs(model.curve() - np.log(THETA)).max() < 0.2


@pytest.mark.parametrize("name", list(models()))
def test_every_model_learns_what_is_wanted(name, data):
    x, position, device, clicked = data
    model = models()[name]
    history = fit_clicks(model, x, position, device, clicked, batch=256, epochs=2, seed=3)
    assert len(history.losses) == 2
    score = model.serve(x, torch.as_tensor(device)).numpy()
    wanted = x.numpy() @ np.array([0.8, -0.5, 0.3])
    assert np.corrcoef(score, wanted)[0, 1] > 0.9
    p = model.probability(x, torch.as_tensor(position), torch.as_tensor(device)).numpy()
    assert p.shape == (len(x),) and 0 <= p.min() and p.max() <= 1
    assert p.mean() == pytest.approx(clicked.mean(), rel=0.25)


def test_the_same_seed_gives_the_same_model(data):
    x, position, device, clicked = data
    curves = []
    for seed in (1, 1, 2):
        model = ShallowTowerModel(main(), K, DEVICES)
        fit_clicks(model, x, position, device, clicked, epochs=1, seed=seed)
        curves.append(model.curve())
    assert np.array_equal(curves[0], curves[1]) and not np.array_equal(curves[0], curves[2])


def test_weights_count(data):
    x, position, device, clicked = data
    first = position == 1
    model, same = ClickModel(main(), K, DEVICES), ClickModel(main(), K, DEVICES)
    only_first = first.astype(float)
    fit_clicks(model, x, position, device, clicked, weight=only_first, batch=256, epochs=3)
    fit_clicks(same, x, position, device, clicked, batch=256, epochs=3)
    d = torch.as_tensor(device)
    p, q = (torch.sigmoid(m.serve(x, d))[first].mean().item() for m in (model, same))
    assert p == pytest.approx(clicked[first].mean(), rel=0.1)
    assert q < 0.8 * p  # it has also met the same cards further down


def test_pieces_hold_every_row_once():
    x = torch.arange(23.0)[:, None]
    parts = list(pieces(x, 10))
    assert torch.equal(torch.cat([rows for _, rows in parts]), torch.arange(23))
    assert torch.equal(torch.cat([part for part, _ in parts]), x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": [K + 1, 1]}, "position=6 was not trained"),
        ({"position": [0, 1]}, "position=0 was not trained"),
        ({"position": [1.0, 2.0]}, "float"),
        ({"device": [DEVICES, 0]}, "device=2 was not trained"),
        ({"device": [-1, 0]}, "device=-1"),
        ({"device": [0]}, "shape"),
        ({"weight": [-1.0, 2.0]}, "a weight is -1"),
        ({"weight": [np.nan, 2.0]}, "a weight is nan"),
        ({"weight": [0.0, 0.0]}, "all weights are 0"),
        ({"weight": [1.0]}, "weight has shape"),
        ({"clicked": [True]}, r"clicked \(1,\)"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_bad_input_to_training(change, words):
    good = {"position": [1, 2], "device": [0, 1], "clicked": [True, False]}
    given = {**good, **change}
    args = [given.pop(name) for name in ("position", "device", "clicked")]
    with pytest.raises(CourseError, match=words):
        fit_clicks(ClickModel(main(), K, DEVICES), torch.zeros(2, 3), *args, **given)


@pytest.mark.parametrize("name", list(models()))
def test_bad_places_at_serving(name):
    model, x = models()[name], torch.zeros(1, 3)
    with pytest.raises(ConfigError, match=r"position=9 was not trained.*1 to 5"):
        model.probability(x, torch.tensor([9]), torch.tensor([0]))
    with pytest.raises(ConfigError, match="position=0"):
        model.probability(x, torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ConfigError, match="device=7"):
        model.serve(x, torch.tensor([7]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ShallowTower(0), "positions=0"),
        (lambda: ShallowTower(5, heads=0), "heads=0"),
        (lambda: ShallowTower(5, drop_out=1.0), "drop_out=1.0"),
        (lambda: ShallowTower(5, drop_out=-0.1), "drop_out=-0.1"),
        (lambda: ShallowTower(5)(torch.tensor([6]), torch.tensor([0])), "position=6"),
        (lambda: MainTower(3, hidden=()), "hidden is empty"),
        (lambda: MainTower(0), "inputs=0"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
