"""The simple models of the first chapters."""

import functools

import numpy as np
import pytest

from course import ab_test, simulate
from course.errors import LogError
from course.logs import check_future, check_truth
from course.models.starter import (
    FEATURES,
    PopularInLanguage,
    Profiles,
    TwoStage,
    factorize,
    fit_click_model,
    recent_popularity,
)


@functools.cache
def world():
    return simulate("tiny", seed=4, cache=False)


@functools.cache
def system():
    logs = world().logs()
    return TwoStage(Profiles(logs), fit_click_model(logs, at=20.0), candidates=80)


def test_recent_popularity_counts_the_last_week():
    logs = world().logs()
    end = logs.watches["time"].max()
    late = logs.watches[logs.watches["time"] > end - 7.0]
    counts = recent_popularity(logs)
    assert counts.sum() == len(late)
    video = int(late["video_id"].iloc[0])
    assert counts[video] == (late["video_id"] == video).sum()


def test_factorization_is_the_best_approximation_of_its_rank():
    logs = world().logs()
    u, v = factorize(logs, 8)
    table = np.zeros((len(logs.users), len(logs.videos)))
    table[logs.watches["user_id"], logs.watches["video_id"]] = 1
    s = np.linalg.svd(table, compute_uv=False)
    error = ((table - u @ v.T) ** 2).sum()
    assert error == pytest.approx((s[8:] ** 2).sum(), rel=1e-4)


def test_features_know_neither_the_future_nor_the_truth():
    logs = world().logs()
    rows = logs.impressions[logs.impressions["time"] > 15].sample(400, random_state=0)

    def features(log, examples):
        import pandas as pd

        profiles = Profiles(log.before(15.0), factors=4)
        x = profiles.features(
            examples["user_id"].to_numpy(),
            np.minimum(examples["video_id"].to_numpy(), len(profiles.videos) - 1)[:, None],
            examples["time"].to_numpy(),
        )[:, 0]
        return pd.DataFrame(x, columns=FEATURES, index=examples.index)

    check_future(features, logs, rows, cuts=2)
    check_truth(features(logs, rows), world().true_table("impressions").loc[rows.index])


def test_two_stage_pages_are_allowed_and_beat_random():
    random = world().random()
    table = ab_test(
        world(),
        {"random": random, "two": system(), "popular": PopularInLanguage(system().profiles)},
        n=400,
        candidates="catalogue",
    ).table.set_index(["policy", "metric"])["expected"]
    assert table["two", "clicks"] > 2 * table["random", "clicks"]
    assert table["popular", "clicks"] > 1.5 * table["random", "clicks"]


def test_first_stage_nominates_distinct_videos_of_the_language():
    seen = []

    def spy(requests):
        candidates = system().nominate(requests)
        seen.append((requests, candidates))
        return system().rank(requests, candidates)

    ab_test(world(), {"spy": spy}, n=60, candidates="catalogue")
    requests, candidates = seen[0]
    p = system().profiles
    assert all(len(set(row)) == len(row) == 80 for row in candidates.tolist())
    spoken = p.language[candidates] == p.user_language[requests.user][:, None]
    # English has more than 80 videos at this size, so its accounts get nothing else.
    assert spoken[p.user_language[requests.user] == 0].all()


def test_empty_logs_are_refused():
    logs = world().logs()
    with pytest.raises(LogError, match="no watches"):
        Profiles(logs.before(-1.0))
    with pytest.raises(LogError, match="not both clicked and not"):
        fit_click_model(logs, at=29.9999)
