"""Models answer the same amid a training, after a batch of one row, and in any default type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from worlds import mini

from course.experiments.seven_tasks import CONTEXT_WIDTH, TASKS, MultitaskRanker, SevenTasks
from course.features import Features, examples
from course.models.candidate_generation import CandidateGenerator, training_set
from course.models.multitask import MixtureOfExperts, MultitaskLoss, SharedBottom, Task
from course.models.position_bias import ClickModel, MainTower, ShallowTowerModel, fit_clicks
from course.models.ranking import InputLayer
from course.models.softmax import FullSoftmax, SampledSoftmax
from course.models.watch_time import WatchTimeRanker, weighted_logistic_loss
from course.training import evaluating, fit, seeded

K, DEVICES, N = 4, 2, 300
RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(N, 3)).astype(np.float32))
POSITION, DEVICE = RNG.integers(1, K + 1, N), RNG.integers(DEVICES, size=N)
CLICKED = RNG.random(N) < 0.4
PLACE, MACHINE = torch.from_numpy(POSITION), torch.from_numpy(DEVICE)

CLICK_MODELS = {
    "none": lambda: ClickModel(MainTower(3, (8,)), K, DEVICES),
    "shallow": lambda: ShallowTowerModel(MainTower(3, (8,)), K, DEVICES, 0.5),
}
PAIR = (Task("click"), Task("minutes", "regression"))
MULTITASK = {
    "bottom": lambda: SharedBottom(3, PAIR, (8,)),
    "experts": lambda: MixtureOfExperts(3, PAIR, 4, (4,), 8, gate_dropout=0.3),
}


@pytest.fixture(scope="module")
def data():
    return SevenTasks(mini(), 60)


@pytest.fixture(scope="module")
def next_watch():
    logs = mini().logs()
    features = Features(logs)
    return features, training_set(features, logs, examples(logs, 8.0, after=3.0))


@pytest.fixture
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def predictors(data, features, batch) -> dict:
    """Every model of the course, with everything that it answers."""
    inputs = InputLayer(data.features)
    mixture = MixtureOfExperts(inputs.width, TASKS, gate_dropout=0.5)
    ranker = MultitaskRanker(inputs, mixture)
    watch, deep = WatchTimeRanker(data.features, (8,)), CandidateGenerator(features)
    out = {
        "watch": (watch, lambda: watch.logits(data.test)),
        "seven": (ranker, lambda: ranker.predict(data.test, data.test_context)),
        "gates": (ranker, lambda: ranker.gates(data.test, data.test_context)),
        "deep": (deep, lambda: deep.scores(batch[torch.arange(20)])),
    }
    for name, make in MULTITASK.items():
        model = make()
        out[name] = model, lambda m=model: m.predict(X)
    for name, make in CLICK_MODELS.items():
        model = make()
        out[name] = model, lambda m=model: (m.serve(X, MACHINE), m.probability(X, PLACE, MACHINE))
    return out


def numbers(answer) -> list[np.ndarray]:
    if isinstance(answer, tuple):
        return [np.asarray(part) for part in answer]
    if isinstance(answer, dict):
        return [np.asarray(part) for part in answer.values()]
    return [np.asarray(answer)]


def test_a_prediction_is_in_evaluation_mode_and_leaves_the_mode_as_it_was(data, next_watch):
    for name, (model, ask) in predictors(data, *next_watch).items():
        parts = list(model.modules())
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))  # so that what is dropped would show
        model.train()
        parts[-1].eval()  # whatever was found is given back, part by part
        before = [part.training for part in parts]
        one, two = numbers(ask()), numbers(ask())
        assert [part.training for part in parts] == before, name
        model.eval()
        for a, b, c in zip(one, two, numbers(ask()), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
            np.testing.assert_array_equal(a, c, err_msg=name)


def test_the_mode_comes_back_after_an_error():
    model = nn.Dropout()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert not model.training and not torch.is_grad_enabled()
        _ = 1 / 0
    assert model.training and torch.is_grad_enabled()


def test_serving_while_training_changes_nothing():
    """The missing cell of the shallow tower learns from hidden positions, to the last step."""
    learned = []
    for ask in (False, True):
        model = CLICK_MODELS["shallow"]()

        def progress(done, steps, loss, model=model, ask=ask):
            if ask:
                model.serve(X, MACHINE)

        fit_clicks(model, X, POSITION, DEVICE, CLICKED, epochs=20, batch=50, progress=progress)
        learned.append(model.shallow.table.weight.detach().numpy().copy())
    np.testing.assert_array_equal(*learned)
    assert (learned[0][:: K + 1] != 0).all(), "the cells of missing positions were trained"


# --- the last batch of an epoch may hold one row


SOFTMAXES = {
    "full": lambda counts: FullSoftmax(),
    "sampled": lambda counts: SampledSoftmax(counts, 20),
}


@pytest.mark.parametrize("kind", SOFTMAXES)
def test_a_last_batch_of_one_row(kind, next_watch):
    features, batch = next_watch
    softmax = SOFTMAXES[kind](features.videos.counts)
    model = CandidateGenerator(features, depth=0, dim=8, softmax=softmax)
    rows = batch[torch.arange(33)]
    history = fit(model.parameter_groups(), lambda i: model.loss(rows[i]), 33, batch=32)
    assert np.isfinite(history.step_losses).all() and len(history.step_losses) == 2


def test_a_last_batch_of_one_row_elsewhere():
    labels = torch.stack([torch.from_numpy(CLICKED).float(), X[:, 0]], dim=1)
    loss, x = MultitaskLoss(PAIR, labels), X
    for make in MULTITASK.values():
        model = make()
        fit(model.parameters(), lambda i, m=model: loss(m(x[i]), i), 33, batch=32)
    for make in CLICK_MODELS.values():
        fit_clicks(make(), X[:33], POSITION[:33], DEVICE[:33], CLICKED[:33], batch=32, epochs=1)


# --- a reader's default type


def trained(data, next_watch) -> dict[str, np.ndarray]:
    features, batch = next_watch
    out = {}
    some = batch[torch.arange(200)]
    for kind, make in SOFTMAXES.items():
        model = CandidateGenerator(
            features, depth=1, width=8, dim=8, softmax=make(features.videos.counts)
        )
        with seeded(0):
            fit(model.parameter_groups(), lambda i, m=model: m.loss(some[i]), 200, batch=64)
        out[kind] = model.scores(some)
    loss, context = MultitaskLoss(TASKS, data.labels), data.context
    for name, make in (
        ("bottom", lambda w: SharedBottom(w, TASKS, (8,), context=CONTEXT_WIDTH, film=True)),
        ("experts", lambda w: MixtureOfExperts(w, TASKS, 2, (4,), 8, gate_dropout=0.2)),
    ):
        inputs = InputLayer(data.features)
        ranker = MultitaskRanker(inputs, make(inputs.width))
        ranker.model.start_at(data.labels)
        pages = torch.arange(50)
        rows = data.train.rows(pages)
        with seeded(0):
            loss(ranker(data.train[pages], context[rows]), rows).backward()
        out[name] = ranker.predict(data.test, data.test_context).to_numpy()
    watch = WatchTimeRanker(data.features, (8,))
    ones = torch.ones(len(data.test), dtype=torch.float32)
    weighted_logistic_loss(watch(data.test), ones > 0, ones).backward()
    out["watch"] = watch.logits(data.test)
    for name, make in CLICK_MODELS.items():
        model = make()
        fit_clicks(model, X, POSITION, DEVICE, CLICKED, epochs=1)
        out[name] = model.serve(X, MACHINE).numpy()
    return out


def test_the_default_type_of_torch_changes_nothing(data, next_watch, request):
    usual = trained(data, next_watch)
    request.getfixturevalue("float64")
    for name, found in trained(data, next_watch).items():
        assert found.dtype == usual[name].dtype, name
        np.testing.assert_allclose(found, usual[name], rtol=1e-4, atol=1e-6, err_msg=name)
