"""Exercises of chapter 01, a simulated YouTube."""

from __future__ import annotations

import numpy as np
import pandas as pd

from course.exercises.exercise import Exercise, Mistake, Tolerance, noise_tolerance
from course.metrics import ctr_by_position, same_video_ratio
from course.simulator import laws

POSITIONS = 6
VIDEOS = 150
ROWS = 40_000


def _impressions(rng: np.random.Generator, n=4_000) -> pd.DataFrame:
    """Pages of unequal length, so that positions are not shown equally often."""
    position = np.minimum(rng.geometric(0.3, n), POSITIONS)
    user = rng.zipf(1.8, n) % 50
    chance = 0.3 / position * np.where(user < 3, 0.4, 1.0)
    return pd.DataFrame({"user_id": user, "position": position, "clicked": rng.random(n) < chance})


def _by_position(values) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _split_cases(rng: np.random.Generator):
    for _ in range(3):
        k = int(rng.integers(4, 11))
        # Even the top card may be overlooked, and the best card need not stand at the top.
        seen = rng.uniform(0.6, 0.95) * laws.examination(np.arange(1, k + 1), rng.uniform(0.4, 1.4))
        relevance = rng.uniform(0.02, 0.2, k)
        yield relevance * seen, seen


def _relative_relevance(ctr, seen):
    relevance = ctr / seen
    return relevance / relevance[0]


def _noise_cases(rng: np.random.Generator):
    for _ in range(4):
        impressions = int(rng.integers(50, 2_000))
        yield int(rng.integers(impressions // 8, impressions // 2)), impressions


def _standard_error(clicks, impressions):
    rate = clicks / impressions
    return float(np.sqrt(rate * (1 - rate) / impressions))


def _sorted_logs(rng: np.random.Generator):
    """Logs in which better videos stand higher; from flat to steep bias, in random order."""
    for low in rng.permutation([0.2, 0.6, 1.0, 1.4]):
        yield (_draw_log(rng, rng.uniform(low, low + 0.2)),)


def _draw_log(rng: np.random.Generator, exponent: float) -> pd.DataFrame:
    appeal = rng.normal(-1.2, 0.9, VIDEOS)
    video = rng.integers(VIDEOS, size=ROWS)
    # The past ranking: appeal plus noise decides how high a video stands.
    place = appeal[video] + rng.normal(0, 0.9, ROWS)
    position = 1 + (POSITIONS * pd.Series(-place).rank(pct=True).to_numpy() * 0.9999).astype(int)
    seen = laws.examination(position, exponent)
    clicked = rng.random(ROWS) < laws.click_probability(appeal[video], seen)
    log = pd.DataFrame({"video_id": video, "position": position, "clicked": clicked})
    log.attrs["exponent"] = float(exponent)
    return log


def _true_ratio(impressions: pd.DataFrame) -> np.ndarray:
    """What an estimate is measured against: the truth of the hidden world, not an estimate."""
    return laws.examination(np.arange(1, POSITIONS + 1), impressions.attrs["exponent"])


def _estimate(impressions: pd.DataFrame) -> np.ndarray:
    return _by_position(same_video_ratio(impressions))


def _resimulated(rng: np.random.Generator, impressions: pd.DataFrame) -> np.ndarray:
    return _estimate(_draw_log(rng, impressions.attrs["exponent"]))


def _raw_ratio(impressions: pd.DataFrame) -> np.ndarray:
    ctr = ctr_by_position(impressions)
    return _by_position(ctr / ctr.iloc[0])


def _rates_as_relevance(impressions: pd.DataFrame) -> np.ndarray:
    rate = impressions.groupby("video_id")["clicked"].transform("mean")
    expected = rate.groupby(impressions["position"]).mean()
    ratio = ctr_by_position(impressions) / expected
    return _by_position(ratio / ratio.iloc[0])


def _odds_ratio(impressions: pd.DataFrame) -> np.ndarray:
    """What a logistic model with one term per video and per position finds."""
    groups = impressions.groupby(["video_id", "position"])["clicked"]
    clicks = groups.sum().unstack(fill_value=0)
    shown = groups.size().unstack(fill_value=0)
    total = shown.add(shown[1], axis=0).where(lambda n: n > 0, 1)
    above = (clicks.mul(shown[1] - clicks[1], axis=0) / total).sum()
    below = ((shown - clicks).mul(clicks[1], axis=0) / total).sum()
    return _by_position(above / below)


EXERCISES = (
    Exercise(
        id="01-ctr",
        chapter=1,
        reference=lambda impressions: _by_position(ctr_by_position(impressions)),
        cases=lambda rng: ((_impressions(rng),) for _ in range(3)),
        mistakes=(
            Mistake(
                lambda impressions: _by_position(
                    impressions[impressions["clicked"]].groupby("position").size()
                    / impressions["clicked"].sum()
                ),
                "That is how the clicks are spread over positions; "
                "divide by the impressions at the same position.",
            ),
            Mistake(
                lambda impressions: _by_position(
                    impressions.groupby("position")["clicked"].sum() / len(impressions)
                ),
                "You divide by all impressions; each position has its own number.",
            ),
            Mistake(
                lambda impressions: _by_position(
                    impressions.groupby(["position", "user_id"])["clicked"]
                    .mean()
                    .groupby("position")
                    .mean()
                ),
                "You average over accounts first, so light accounts weigh as much as heavy ones.",
            ),
        ),
    ),
    Exercise(
        id="01-relevance",
        chapter=1,
        reference=_relative_relevance,
        cases=_split_cases,
        mistakes=(
            Mistake(
                lambda ctr, seen: ctr / seen,
                "Right so far; now state it relative to position 1.",
            ),
            Mistake(
                lambda ctr, seen: ctr / seen / np.max(ctr / seen),
                "That is relative to the best position; state it relative to position 1.",
            ),
            Mistake(
                lambda ctr, seen: ctr / seen / ctr[0],
                "You divide by the click-through rate of position 1; its relevance is meant.",
            ),
            Mistake(
                lambda ctr, seen: (ctr * seen) / (ctr[0] * seen[0]),
                "You multiplied by P(seen), which counts the bias twice; it has to come out.",
            ),
            Mistake(
                lambda ctr, seen: ctr / ctr[0],
                "That is the click-through rate itself; the bias is still in it.",
            ),
        ),
    ),
    Exercise(
        id="01-noise",
        chapter=1,
        reference=_standard_error,
        cases=_noise_cases,
        tolerance=Tolerance(relative=0.03),
        mistakes=(
            Mistake(
                lambda clicks, impressions: (
                    (clicks / impressions) * (1 - clicks / impressions) / impressions
                ),
                "That is a variance; take the root.",
            ),
            Mistake(
                lambda clicks, impressions: 1.96 * _standard_error(clicks, impressions),
                "That is the half width of a 95% interval; one standard error is asked for.",
            ),
            Mistake(
                lambda clicks, impressions: float(np.sqrt(clicks) / impressions),
                "That takes clicks as rare events; leave in the factor (1 - p).",
            ),
            Mistake(
                lambda clicks, impressions: float(
                    np.sqrt(clicks / impressions * (1 - clicks / impressions))
                ),
                "That is the spread of one impression; a mean over many is steadier.",
            ),
            Mistake(
                lambda clicks, impressions: float(np.sqrt(clicks * (1 - clicks / impressions))),
                "That is the spread of the number of clicks; you want that of the rate.",
            ),
        ),
    ),
    Exercise(
        id="01-same-video",
        chapter=1,
        reference=_true_ratio,
        cases=_sorted_logs,
        tolerance=noise_tolerance(_resimulated, runs=20, margin=2.8),
        mistakes=(
            Mistake(
                _raw_ratio,
                "That is the click-through rate relative to position 1. The better videos stand "
                "higher, so it mixes relevance into the bias; compare each video with itself.",
            ),
            Mistake(
                _odds_ratio,
                "Position multiplies the probability of a click here; you let it add to the "
                "log-odds, which is another law.",
            ),
            Mistake(
                _rates_as_relevance,
                "You take a video's mean click rate as its relevance, but that rate already "
                "contains the positions it stood at. Fit rates and positions in turns, or compare "
                "each video with itself.",
            ),
        ),
    ),
)
