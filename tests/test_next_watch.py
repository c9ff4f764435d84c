"""The guessing game: what may be known, what is left to recommend, how a rank is counted."""

import numpy as np
import pytest

from course import simulate
from course.errors import LogError
from course.experiments.next_watch import NextWatch, fit_candidates
from course.features import example_age


@pytest.fixture(scope="module")
def task():
    return NextWatch(simulate("tiny", seed=3, cache=False).logs())


def test_training_ends_where_the_events_begin(task):
    assert task.train.watches["time"].max() < task.at <= task.events["time"].min()
    assert task.examples()["time"].max() < task.at
    assert task.features.t_max < task.at


def test_events_are_first_watches_of_videos_that_were_there(task):
    w = task.logs.watches.sort_values("time", kind="stable")
    for event in task.events.sample(30, random_state=0).itertuples():
        mine = w[(w["user_id"] == event.user_id) & (w["video_id"] == event.video_id)]
        assert mine["time"].iloc[0] == event.time
        assert event.video_id < len(task.train.videos)


def test_hidden_is_what_was_watched_or_is_not_uploaded(task):
    events = task.events.sample(20, random_state=1)
    hidden = task.hidden(events)
    w, uploaded = task.logs.watches, task.train.videos["uploaded"].to_numpy()
    for row, event in zip(hidden, events.itertuples(), strict=True):
        seen = w[(w["user_id"] == event.user_id) & (w["time"] < event.time)]["video_id"]
        expected = uploaded > event.time
        expected[[v for v in seen if v < len(expected)]] = True
        assert (row == expected).all()


def test_rank_in_chunks_equals_rank_by_hand(task, monkeypatch):
    monkeypatch.setattr("course.experiments.next_watch.CHUNK", 7)
    events = task.events.head(30)
    scores = np.random.default_rng(0).integers(0, 50, (30, len(task.train.videos))).astype(float)
    got, hidden = task.rank(scores, events), task.hidden(events)
    for row, video, out, rank in zip(scores, events["video_id"], hidden, got, strict=True):
        rivals = [s for v, s in enumerate(row) if v != video and not out[v]]
        by_hand = 1 + sum(s > row[video] for s in rivals) + sum(s == row[video] for s in rivals) / 2
        assert rank == by_hand
    assert (task.rank(lambda part: scores[part], events) == got).all()


def test_a_model_is_measured_and_other_inputs_change_it(task):
    model = fit_candidates(
        task.features, task.train, task.examples(), ("watches", "age"), depth=0, dim=8, epochs=1
    )
    found = task.measure(model)
    assert set(found) == {"mrr", "recall@20", "recall@100", "nats"}
    assert 0 < found["mrr"] < 1 and found["nats"] < np.log(len(task.features.videos)) + 0.5
    old = example_age(np.array(0.0), task.at)
    assert not np.array_equal(
        task.rank(task.catalogue_scores(model, age=old)), task.rank(task.catalogue_scores(model))
    )


def test_the_same_seed_trains_the_same_model(task):
    def made(seed):
        return fit_candidates(
            task.features, task.train, task.examples(), ("watches",), depth=0, dim=8, epochs=1,
            seed=seed,
        ).video_vectors()  # fmt: skip

    assert np.array_equal(made(1), made(1))
    assert not np.array_equal(made(1), made(2))


def test_test_days_that_do_not_fit_are_refused(task):
    with pytest.raises(LogError):
        NextWatch(task.logs, days=60)
