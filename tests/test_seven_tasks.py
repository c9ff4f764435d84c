"""Seven tasks: labels and their masks, measures against counting, live pages against ab_test."""

import numpy as np
import pandas as pd
import pytest
import torch

from course import simulate
from course.experiments import seven_tasks
from course.experiments.seven_tasks import CONTEXT_WIDTH, TASKS, SevenTasks, measure, train
from course.models.multitask import MixtureOfExperts, SharedBottom
from course.tasks import seven_tasks as task

NAMES = [task.name for task in TASKS]


@pytest.fixture(scope="module")
def data():
    return SevenTasks(simulate("tiny", seed=3, cache=False), test_pages=300)


@pytest.fixture(scope="module")
def ranker(data):
    def make(width, seed):
        return MixtureOfExperts(width, TASKS, 3, (6,), 12, gates="context",
                                context=CONTEXT_WIDTH, seed=seed)  # fmt: skip

    return train(data, make, epochs=4, learning_rate=1e-2)


def test_labels_are_known_where_they_can_be(data):
    rows, y = data.task.rows, pd.DataFrame(data.labels.numpy(), columns=NAMES)
    clicked = rows["clicked"].to_numpy()
    assert y[["click", "dismissal"]].notna().all().all()
    after = y[["watch time", "completion", "like", "share"]]
    assert after[clicked].notna().all().all() and after[~clicked].isna().all().all()
    asked = rows["survey"].to_numpy() > 0
    assert (y["rating"].notna().to_numpy() == asked).all()
    assert (y["rating"][asked] == rows["survey"].to_numpy()[asked]).all()
    seconds = data.task.logs.videos["duration_seconds"].to_numpy()[rows["video_id"]]
    share = rows["watched_seconds"].to_numpy()[clicked] / seconds[clicked]
    assert np.allclose(y["watch time"][clicked], share, rtol=1e-5)
    assert (y["completion"][clicked] == (share >= 0.8)).mean() > 0.99


def test_context_is_format_device_and_daypart_of_the_card(data):
    rows, videos = data.task.rows, data.task.logs.videos
    want = np.stack([
        videos["format"].cat.codes.to_numpy()[rows["video_id"]],
        6 + rows["device"].cat.codes,
        9 + rows["daypart"].cat.codes,
    ], axis=1)  # fmt: skip
    found = data.context.numpy()
    assert found.shape == (len(rows), CONTEXT_WIDTH) and (found.sum(axis=1) == 3).all()
    assert (np.take_along_axis(found, want, axis=1) == 1).all()


def test_the_truth_captures_all_and_the_mean_nothing(data):
    perfect = measure(data.truth, data.truth)
    assert all(
        v == pytest.approx(1.0, abs=1e-3) for k, v in perfect.items() if k.endswith("captured")
    )
    weight = data.truth["click"].to_numpy()
    mean = {
        name: np.full(
            len(data.truth),
            np.average(data.truth[name], weights=None if name in task.SURE else weight),
        )
        for name in NAMES
    }
    nothing = measure(data.truth, pd.DataFrame(mean))
    assert all(
        v == pytest.approx(0.0, abs=1e-6) for k, v in nothing.items() if k.endswith("captured")
    )
    assert all(v == pytest.approx(0.5) for k, v in nothing.items() if k.endswith("auc"))


def test_expected_auc_against_drawing_labels():
    rng = np.random.default_rng(0)
    p, w = rng.random(300), rng.random(300)
    scores = p + rng.normal(0, 0.3, 300)
    better = scores[:, None] > scores[None]
    pairs = (w * p)[:, None] * (w * (1 - p))[None]
    want = (pairs * (better + 0.5 * (scores[:, None] == scores[None]))).sum() / pairs.sum()
    assert task.expected_auc(p, scores, w) == pytest.approx(want)


def test_a_trained_ranker_beats_the_mean(data, ranker):
    found = measure(data.truth, ranker.predict(data.test, data.test_context))
    assert found["click/captured"] > 0.05 and found["watch time/captured"] > 0.1
    assert 0 < found["watch time/error"] < 1
    gates = ranker.gates(data.test, data.test_context)
    assert gates.shape == (7, 3) and np.allclose(gates.sum(axis=1), 1.0, atol=1e-5)


def test_prediction_does_not_depend_on_the_chunk(data, ranker):
    one = ranker.predict(data.test, data.test_context, chunk=37)
    pd.testing.assert_frame_equal(one, ranker.predict(data.test, data.test_context), atol=1e-5)


def test_crosses_are_products_of_numbers_and_context(data):
    made = train(data, lambda w, s: SharedBottom(w, TASKS, (4,)), crosses=True, epochs=1)
    few = torch.arange(5)
    rows = data.train.rows(few)
    batch, context = data.train[few], data.context[rows]
    x = made.vectors(batch, context)
    plain = made.inputs.width
    numbers = batch.numbers.shape[1]
    assert x.shape[1] == plain + numbers * CONTEXT_WIDTH == seven_tasks.input_width(data, True)
    cell = x[3, plain + 2 * CONTEXT_WIDTH + 7]
    assert cell == batch.numbers[3, 2] * context[3, 7]


def test_correlation_of_the_truths(data):
    found = seven_tasks.relation(data)
    assert found.shape == (7, 7) and np.allclose(np.diag(found), 1.0)
    assert found[1, 2] > 0.8  # watched share and completion come from one law
    assert found[0, 4] < 0.2  # what is wanted is not dismissed


def test_the_task_is_that_of_the_first_edition(data):
    own = task.SevenTasks(data.world, 300)
    assert torch.equal(torch.nan_to_num(own.labels), torch.nan_to_num(data.labels))
    assert torch.equal(task.context_of(own.train), data.context)
    pd.testing.assert_frame_equal(own.expected, data.truth)
    assert own.captured(own.expected)["rating/captured"] == pytest.approx(1.0)
    np.testing.assert_allclose(own.relation(), seven_tasks.relation(data), rtol=1e-9)
