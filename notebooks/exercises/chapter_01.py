"""Exercises of chapter 01, a simulated YouTube."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from course.exercises.exercise import Exercise, Mistake, Tolerance
from course.lessons import clicks as lesson

POSITIONS, VIDEOS, ROWS = 6, 150, 60_000


# --- the law of a click


def _card_cases(rng: np.random.Generator):
    for shape in ((4,), (2, 5), ()):
        ingredients, weights = rng.normal(size=(2, *shape, 13))
        yield ingredients, weights, float(rng.uniform(-3, -1)), rng.uniform(0.2, 0.9, shape)


def _logit(ingredients, weights, start):
    return start + (weights * ingredients).sum(axis=-1)


# --- the past ranking


def _candidate_cases(rng: np.random.Generator):
    for weights in ((1.0, 1.0, 0.5), (0.3, 2.0, 1.0)):
        shape = int(rng.integers(2, 5)), int(rng.integers(8, 20))
        shown = rng.integers(0, 400, shape)
        yield (
            rng.uniform(0, 0.6, shape), rng.random(shape) < 0.3, rng.binomial(shown, 0.05), shown,
            rng.integers(0, 900, shape), rng.normal(size=shape), rng.random(shape) < 0.2, weights,
        )  # fmt: skip


def _past(root=True, half=True, logs=True, whole=False, before=False, last=True):
    """The past ranking with a part done wrong."""

    def scale(x):
        return (x - x.mean()) / (x.std() + 1e-6) if whole else lesson.among_candidates(x)

    def past_score(share, follows, clicks, shown, watches, luck, watched, weights=(1.0, 1.0, 0.5)):
        fit = (np.sqrt(share) if root else share) + 0.2 * follows
        rate = np.log((clicks + 2) / (shown + 50))
        relevance = scale(fit + rate) if before else scale(fit) + scale(rate)
        relevance = relevance / np.sqrt(2) if half else relevance
        incumbency = scale(np.log1p(watches) if logs else watches)
        score = weights[0] * relevance + weights[1] * incumbency + weights[2] * luck
        return score - 10 * watched if last else score

    return past_score


# --- how far off a click rate is


def _rate_cases(rng: np.random.Generator):
    for n in (3, 6):
        yield rng.uniform(0.01, 0.5, n), rng.integers(20, 2_000, n)


# --- the bias from the log


def _sorted_logs(rng: np.random.Generator):
    """Logs in which better videos stand higher; from flat to steep bias, in random order."""
    for low in rng.permutation([0.3, 0.7, 1.1]):
        yield _draw_log(rng, rng.uniform(low, low + 0.2))


def _draw_log(rng: np.random.Generator, exponent: float):
    """Clicks and showings (videos, positions) of a world with this steepness of the look."""
    appeal = rng.normal(-1.2, 0.9, VIDEOS)
    video = rng.integers(VIDEOS, size=ROWS)
    place = appeal[video] + rng.normal(0, 0.9, ROWS)  # it decides how high a video stands
    position = np.empty(ROWS, int)
    position[np.argsort(-place)] = 1 + np.arange(ROWS) * POSITIONS // ROWS
    clicked = rng.random(ROWS) < lesson.looked_at(position, exponent) * expit(appeal[video])
    return tuple(lesson.count(video, position, clicked, VIDEOS, POSITIONS))


def _with_new_coins(rng: np.random.Generator, clicks, shown):
    """The estimate from the same pages, met by the same people with other luck."""
    ratio = lesson.bias_from_log(clicks, shown)
    rate = clicks.sum(axis=1) / np.maximum((shown * ratio).sum(axis=1), 1e-9)
    chance = np.clip(rate[:, None] * ratio, 0, 1)
    return lesson.bias_from_log(rng.binomial(shown.astype(int), chance), shown)


def _near_enough(expected, clicks, shown):
    """Any method may be chosen, as long as it ends within what chance explains."""
    # The same draws for every check, so that a borderline answer gets one verdict.
    rng = np.random.default_rng(20160915)
    draws = np.array([_with_new_coins(rng, clicks, shown) for _ in range(60)])
    off = np.abs(draws - np.median(draws, axis=0))
    return 1e-4 + 1.5 * np.quantile(off, 0.99, axis=0)  # wider: the spread itself is estimated


def _raw(clicks, shown):
    rate = clicks.sum(axis=0) / shown.sum(axis=0)
    return rate / rate[0]


def _mean_rates_as_relevance(clicks, shown):
    rate = clicks.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
    ratio = clicks.sum(axis=0) / (shown * rate[:, None]).sum(axis=0)
    return ratio / ratio[0]


def _odds(clicks, shown):
    both = np.maximum(shown + shown[:, :1], 1)
    above = (clicks * (shown - clicks)[:, :1] / both).sum(axis=0)
    return above / ((shown - clicks) * clicks[:, :1] / both).sum(axis=0)


def _upside_down(clicks, shown):
    return 1 / lesson.bias_from_log(clicks, shown)


# --- what is left of the time


def _time_cases(rng: np.random.Generator):
    for _ in range(2):
        wanted = rng.exponential(400, (6, 4)) * (rng.random((6, 4)) < 0.7)
        yield wanted, rng.exponential(600, 6)


def _until_one_is_too_long(wanted, has):
    return np.where(wanted.cumsum(axis=1) <= has[:, None], wanted, 0)


EXERCISES = (
    Exercise(
        id="01-click",
        reference=lesson.click_probability,
        cases=_card_cases,
        mistakes=(
            Mistake(
                lambda ingredients, weights, start, seen: expit(
                    _logit(ingredients, weights, start) + np.log(seen)
                ),
                "You put the look inside the sigmoid; it multiplies the probability of wanting.",
            ),
            Mistake(
                lambda ingredients, weights, start, seen: expit(
                    _logit(ingredients, weights, start)
                ),
                "That is the probability of wanting; the position has to be looked at, too.",
            ),
            Mistake(
                lambda ingredients, weights, start, seen: (
                    seen * expit(_logit(ingredients, weights, 0.0))
                ),
                "You left out where the sum starts.",
            ),
            Mistake(
                lambda ingredients, weights, start, seen: (
                    seen * _logit(ingredients, weights, start)
                ),
                "The sum can be any number; the sigmoid makes a probability of it.",
            ),
        ),
    ),
    Exercise(
        id="01-past-ranking",
        reference=lesson.past_score,
        cases=_candidate_cases,
        tolerance=Tolerance(1e-3, 1e-3),
        mistakes=(
            Mistake(
                _past(before=True),
                "You added fit and rate before they were on one scale; scale each, then add.",
            ),
            Mistake(
                _past(half=False), "Relevance has two parts; their sum goes over the root of 2."
            ),
            Mistake(
                _past(whole=True),
                "You scaled over all pages together; candidates compete on their own page.",
            ),
            Mistake(_past(logs=False), "Incumbency is the logarithm of (1 + watches)."),
            Mistake(_past(root=False), "Fit takes the root of the share."),
            Mistake(_past(last=False), "What was watched already loses 10."),
        ),
    ),
    Exercise(
        id="01-noise",
        reference=lesson.standard_error,
        cases=_rate_cases,
        tolerance=Tolerance(1e-3, 1e-6),
        mistakes=(
            Mistake(
                lambda rate, shown: rate * (1 - rate) / shown,
                "That is the variance; take the root.",
            ),
            Mistake(
                lambda rate, shown: np.sqrt(rate / shown),
                "That takes clicks as rare events; leave in the factor (1 - P).",
            ),
            Mistake(
                lambda rate, shown: np.sqrt(rate * (1 - rate)),
                "That is the spread of one showing; a mean over many is steadier.",
            ),
            Mistake(
                lambda rate, shown: np.sqrt(rate * (1 - rate) * shown),
                "That is the spread of the number of clicks; you want that of the rate.",
            ),
        ),
    ),
    Exercise(
        id="01-same-video",
        reference=lesson.bias_from_log,
        cases=_sorted_logs,
        tolerance=_near_enough,
        mistakes=(
            Mistake(
                _raw,
                "That is the click rate relative to position 1. The better videos stand higher, so "
                "it mixes relevance into the bias; compare each video with itself.",
            ),
            Mistake(
                _odds,
                "Position multiplies the probability of a click here; you let it multiply the "
                "odds, which is another law.",
            ),
            Mistake(
                _mean_rates_as_relevance,
                "You take a video's mean click rate as its relevance, but in that rate are the "
                "positions it stood at. Fit rates and positions in turns, or compare each video "
                "with itself.",
            ),
            Mistake(_upside_down, "That is position 1 relative to the others; turn it round."),
        ),
    ),
    Exercise(
        id="01-time",
        reference=lesson.watched_seconds,
        cases=_time_cases,
        tolerance=Tolerance(1e-3, 1e-2),
        mistakes=(
            Mistake(
                lambda wanted, has: np.minimum(wanted, has[:, None]),
                "Each watch got all the time; what was watched further up is gone.",
            ),
            Mistake(
                lambda wanted, has: np.minimum(
                    wanted, has[:, None] - (wanted.cumsum(axis=1) - wanted)
                ),
                "Nobody watches for a negative time.",
            ),
            Mistake(
                lambda wanted, has: np.minimum(
                    wanted, (has[:, None] - wanted.cumsum(axis=1)).clip(min=0)
                ),
                "You took the watch's own seconds off before it began.",
            ),
            Mistake(
                _until_one_is_too_long,
                "A video that is too long for the time left is watched for what is left.",
            ),
        ),
    ),
)
