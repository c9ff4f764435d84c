"""Click models that know about position: the shallow tower, its rivals, propensities."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from course.errors import ConfigError, CourseError
from course.models.position_bias import (
    ClickModel,
    MainTower,
    ShallowTower,
    ShallowTowerModel,
    against_truth,
    fit_clicks,
    pieces,
)
from course.models.position_rivals import (
    PAL,
    Adversarial,
    InversePropensity,
    PositionInput,
    RegressionEM,
    reverse_gradient,
)
from course.models.propensity import (
    em_theta,
    inverse_propensity_loss,
    posterior,
    propensities_from_random,
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
        "input": PositionInput(main(extra=PositionInput.width(K, DEVICES)), K, DEVICES),
        "adversarial": Adversarial(main(), K, DEVICES),
        "PAL": PAL(main(), K, DEVICES),
        "inverse propensity": InversePropensity(main(), THETA, K, DEVICES),
        "regression-EM": RegressionEM(main(), K, DEVICES),
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


def test_an_extra_input_is_the_same_as_a_longer_first_layer():
    tower = main(extra=4)
    x, extra = torch.randn(6, 3), torch.randn(6, 4)
    weight = torch.cat([tower.first.weight, tower.more.weight], dim=1)
    h = functional.relu(torch.cat([x, extra], dim=1) @ weight.T + tower.first.bias)
    assert torch.allclose(tower(x, extra), tower.top(h)[:, 0])


def test_pal_is_a_product_of_two_probabilities():
    model = with_random_table(PAL(main(), K, DEVICES))
    x, position, device, _ = batch()
    seen = torch.sigmoid(model.seen)[device * K + position - 1]
    product = seen * torch.sigmoid(model.main(x))
    assert torch.allclose(model.probability(x, position, device), product, atol=1e-6)
    assert torch.equal(model.serve(x, device), model.main(x))
    assert np.allclose(model.curve()[0, 2], (torch.sigmoid(model.seen)[2].log()
                       - torch.sigmoid(model.seen)[0].log()).item(), atol=1e-6)  # fmt: skip


def test_reversed_gradient_has_the_other_sign():
    h = torch.tensor([1.0, -2.0], requires_grad=True)
    out = reverse_gradient(h, 0.5)
    assert torch.equal(out, h)
    (out * torch.tensor([3.0, 4.0])).sum().backward()
    assert h.grad.tolist() == [-1.5, -2.0]


def test_the_adversary_learns_forwards_and_the_tower_backwards():
    x, position, device, clicked = batch(200)
    model = Adversarial(main(), K, DEVICES, strength=0.3)
    torch.nn.init.normal_(model.reader.weight, generator=torch.Generator().manual_seed(2))

    def gradients():
        model.zero_grad()
        model.loss(x, position, device, clicked).mean().backward()
        return model.main.first.weight.grad.clone(), model.reader.weight.grad.clone()

    tower, reader = gradients()
    model.strength = 0.0
    clicks_alone, same_reader = gradients()
    model.zero_grad()
    read = model.reader(model.main.represent(x))
    functional.cross_entropy(read, position - 1).backward()
    assert torch.allclose(reader, same_reader, atol=1e-7)
    assert torch.allclose(reader, model.reader.weight.grad, atol=1e-7)
    assert torch.allclose(tower, clicks_alone - 0.3 * model.main.first.weight.grad, atol=1e-6)


@pytest.mark.parametrize(("theta", "gamma"), [(0.1, 0.3), (0.5, 0.05), (1.0, 0.6)])
def test_inverse_propensity_is_unbiased(theta, gamma):
    z, propensity = torch.linspace(-4, 4, 801), torch.full((801,), theta)
    p = theta * gamma  # of a click
    expected = p * inverse_propensity_loss(z, torch.ones(801), propensity) + (
        1 - p
    ) * inverse_propensity_loss(z, torch.zeros(801), propensity)
    all_seen = functional.binary_cross_entropy_with_logits(
        z, torch.full((801,), gamma), reduction="none"
    )
    assert torch.allclose(expected, all_seen, atol=1e-5)
    assert torch.sigmoid(z[expected.argmin()]) == pytest.approx(gamma, abs=0.01)


def test_propensities_from_random_pages():
    position = np.array([1] * 100 + [2] * 200 + [3] * 50)
    clicked = np.zeros(350, bool)
    clicked[:40] = clicked[100:130] = True  # rates 0.4, 0.15 and 0
    found = propensities_from_random(position, 0 * position, clicked, 3, 1, floor=0.05)
    assert found == pytest.approx(np.array([[1.0, 0.375, 0.05]]))


def test_posterior_by_counting():
    looked, wanted = posterior(
        torch.tensor([1.0, 0.0]), torch.full((2,), 0.4), torch.full((2,), 0.3)
    )
    # Without a click: (E, R) = (1, 0), (0, 1), (0, 0) with .28, .18, .42 of .88.
    assert looked.tolist() == pytest.approx([1.0, 0.28 / 0.88])
    assert wanted.tolist() == pytest.approx([1.0, 0.18 / 0.88])


def test_em_steps_never_lower_the_likelihood_and_find_theta():
    rng = np.random.default_rng(3)
    gamma = torch.from_numpy(rng.uniform(0.05, 0.6, 40_000).astype(np.float32))
    cell = torch.arange(40_000) % 2
    true = torch.tensor([0.8, 0.2])
    clicked = (torch.from_numpy(rng.random(40_000)) < true[cell] * gamma).float()
    theta, values = torch.tensor([0.5, 0.5]), []
    for _ in range(60):
        p = theta[cell] * gamma
        values.append((clicked * p.log() + (1 - clicked) * (-p).log1p()).sum().item())
        theta = em_theta(theta, cell, clicked, gamma)
    assert min(np.diff(values)) > -0.5 and values[-1] > values[0]
    assert theta.tolist() == pytest.approx([0.8, 0.2], abs=0.03)


def test_regression_em_takes_the_gradient_of_pal():
    x, position, device, clicked = batch(300)
    pal, em = PAL(main(), K, DEVICES), RegressionEM(main(), K, DEVICES)
    with_random_table(pal)
    em.theta = torch.sigmoid(pal.seen.detach())
    gradients = []
    for model in (pal, em):
        model.loss(x, position, device, clicked).mean().backward()
        gradients.append(model.main.first.weight.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


@pytest.mark.parametrize("name", ["regression-EM", "PAL", "shallow"])
def test_theta_comes_back_where_cards_move(name, data):
    truth = "additive" if name == "shallow" else "product"
    x, position, device, clicked = swapped_clicks(60_000, truth=truth)
    model = models()[name]
    fit_clicks(model, x, position, device, clicked, batch=512, epochs=4)
    found = against_truth(model.curve(), np.log(THETA))
    assert (found["max_error"] < 0.2).all(), found
    assert np.abs(found["slope"] - 1).max() < 0.15, found


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


def test_input_is_served_as_first_or_as_missing(data):
    x, position, device, clicked = data
    model = models()["input"]
    fit_clicks(model, x, position, device, clicked, epochs=1)
    d = torch.as_tensor(device)
    missing = model.serve(x, d)
    assert torch.equal(missing, model(x, None, d))
    model.serve_at = 1
    assert torch.equal(model.serve(x, d), model(x, torch.ones_like(d), d))
    assert not torch.allclose(missing, model.serve(x, d))


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


def test_against_truth_sees_what_a_correlation_does_not():
    true = np.log(THETA)
    twice = against_truth(2 * true, true)
    assert np.allclose(twice["slope"], 2) and np.allclose(twice["max_error"], np.abs(true).max(1))
    shifted = against_truth(true + 3.0, true)  # the level is a matter of convention
    assert np.allclose(shifted["slope"], 1) and np.allclose(shifted["max_error"], 0)
    assert np.corrcoef(2 * true[0], true[0])[0, 1] == pytest.approx(1.0)


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
        (lambda: PositionInput(main(), K, DEVICES), "extra inputs"),
        (lambda: PositionInput(main(extra=12), K, DEVICES, serve_at=6), "position=6"),
        (lambda: Adversarial(main(), K, strength=-1.0), "strength=-1.0"),
        (lambda: InversePropensity(main(), THETA * 2, K, DEVICES), "a propensity is 2"),
        (lambda: InversePropensity(main(), THETA * 0, K, DEVICES), "a propensity is 0"),
        (lambda: InversePropensity(main(), THETA[:1], K, DEVICES), "shape"),
        (lambda: propensities_from_random([1, 2], [0, 0], [0, 1], 2, 1), "no click at position 1"),
        (lambda: propensities_from_random([1, 3], [0, 0], [0, 1], 2, 1), "position=3"),
        (lambda: against_truth(THETA, THETA[:1]), "shape"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
