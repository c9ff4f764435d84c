"""The exercises of each chapter: stub, known wrong answers, solution, another right answer."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from course.exercises import chapters, find, of_chapter
from course.exercises.selftest import assert_exercise


def page_clicks(p_click_if_seen, seen):
    total = 0.0
    for p, s in zip(p_click_if_seen, seen, strict=True):
        total += p * s
    return total


def gap(value, floor, ceiling):
    return 1 - (ceiling - value) / (ceiling - floor)


def recall(candidates, watched):
    return float(np.isin(np.unique(watched), candidates).mean())


def ctr(impressions):
    out = []
    for k in sorted(impressions["position"].unique()):
        rows = impressions[impressions["position"] == k]
        out.append(rows["clicked"].sum() / len(rows))
    return out


def ctr_series(impressions):
    return impressions.groupby("position")["clicked"].mean()


def relevance(ctr, seen):
    return [(c / s) * seen[0] / ctr[0] for c, s in zip(ctr, seen, strict=True)]


def noise(clicks, impressions):
    coins = np.zeros(impressions)
    coins[:clicks] = 1
    return coins.std() / impressions**0.5


def noise_by_simulation(clicks, impressions):
    rng = np.random.default_rng(0)
    return (rng.binomial(impressions, clicks / impressions, 200_000) / impressions).std()


def same_video(impressions):
    """A fixed effect for each video: iterate rates of videos and of positions."""
    table = impressions.groupby(["video_id", "position"])["clicked"].agg(["sum", "count"])
    clicks = table["sum"].unstack(fill_value=0).to_numpy(float)
    shown = table["count"].unstack(fill_value=0).to_numpy(float)
    ratio = np.ones(clicks.shape[1])
    for _ in range(200):
        rate = clicks.sum(axis=1) / (shown * ratio).sum(axis=1)
        ratio = clicks.sum(axis=0) / (shown * rate[:, None]).sum(axis=0)
        ratio = ratio / ratio[0]
    return pd.Series(ratio)


RIGHT = {
    "00-page-clicks": [page_clicks],
    "00-gap-closed": [gap],
    "00-recall": [recall],
    "01-ctr": [ctr, ctr_series],
    "01-relevance": [relevance],
    "01-noise": [noise, noise_by_simulation],
    "01-same-video": [same_video],
}


# The chapters from 02 on have a file each: tests/right_answers/chapter_NN.py with a dict RIGHT.
for path in sorted((Path(__file__).parent / "right_answers").glob("chapter_*.py")):
    RIGHT.update(runpy.run_path(str(path))["RIGHT"])


def test_every_exercise_has_a_right_alternative():
    ids = {exercise.id for number in chapters() for exercise in of_chapter(number)}
    assert ids == set(RIGHT)


@pytest.mark.parametrize("exercise_id", sorted(RIGHT))
def test_exercise_tells_right_from_wrong(exercise_id):
    # The tolerance of this one is made of 20 simulated logs for each seed.
    seeds = (1,) if exercise_id == "01-same-video" else (1, 2, 3)
    assert_exercise(find(exercise_id), right_alternatives=RIGHT[exercise_id], seeds=seeds)


def test_the_true_ratio_is_within_the_tolerance():
    """The estimate that the check takes as its middle is near the truth of the hidden world."""
    from course.exercises import chapter_01

    for seed in range(3):
        ((log,), *_) = chapter_01._sorted_logs(np.random.default_rng(seed))
        estimate, truth = chapter_01._estimate(log), chapter_01._true_ratio(log)
        raw = chapter_01._raw_ratio(log)
        assert np.abs(estimate - truth).max() < 0.06
        assert np.abs(raw - truth).max() > 2 * np.abs(estimate - truth).max()
