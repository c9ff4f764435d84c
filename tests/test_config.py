"""Wrong settings of a world get an error that names the field, the value and what is allowed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from course.errors import ConfigError, CourseError
from course.simulator.config import SIZES, WorldConfig
from course.world import simulate

FIELDS = dataclasses.fields(WorldConfig)
NUMBERS = [spec for spec in FIELDS if "low" in spec.metadata]


def message(**dials) -> str:
    with pytest.raises(ConfigError) as caught:
        WorldConfig.of("village", **dials)
    return str(caught.value)


@pytest.mark.parametrize("size", ["huge", "", None, 3, ["town"], "Town"])
def test_unknown_size(size):
    with pytest.raises(ConfigError, match="village, town, city") as caught:
        WorldConfig.of(size)
    assert repr(size) in str(caught.value)


def test_sizes_are_possible():
    assert list(SIZES) == ["village", "town", "city"]
    for size in SIZES:
        assert WorldConfig.of(size).users == SIZES[size]["users"]


def test_unknown_dial_gets_a_suggestion():
    text = message(clickbate=2)
    assert "clickbate" in text and "clickbait=2" in text and "fatigue" in text
    assert "To fix it" not in message(qqqqq=1)


@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -math.inf, [1], 1j])
def test_wrong_type(spec, value):
    text = message(**{spec.name: value})
    assert spec.name in text and repr(value) in text
    assert f"{spec.metadata['low']:g}" in text and f"{spec.metadata['high']:g}" in text


@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.name)
def test_out_of_range(spec):
    low, high = spec.metadata["low"], spec.metadata["high"]
    for value in (low - 1, high + 1):
        text = message(**{spec.name: value})
        assert f"{spec.name}={value!r}" in text and f"{low:g} to {high:g}" in text


@pytest.mark.parametrize("value", ["product", 1, None, ["examination"]])
def test_bias_truth(value):
    text = message(bias_truth=value)
    assert repr(value) in text and "'examination' or 'additive'" in text


def test_candidates_need_videos():
    assert "at most 19" in message(videos=60, candidates=20, slate=5)
    assert WorldConfig.of("village", videos=60, candidates=19, slate=5).candidates == 19


def test_slate_needs_candidates():
    assert "slate=12" in message(slate=12, candidates=11)
    assert WorldConfig.of("village", slate=12, candidates=12).slate == 12


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "7", None, True, math.nan])
def test_bad_seed(seed):
    with pytest.raises(ConfigError, match="0 to 4294967295") as caught:
        simulate("village", seed=seed, cache=False)
    assert repr(seed) in str(caught.value)


def test_errors_are_value_errors_of_the_course():
    assert issubclass(ConfigError, CourseError) and issubclass(CourseError, ValueError)


def test_same_numbers_of_other_types_are_the_same_configuration():
    plain = WorldConfig.of("village", users=300, clickbait=0.0)
    odd = WorldConfig.of("village", users=np.int64(300), clickbait=np.float32(0))
    assert odd == plain and type(odd.users) is int and type(odd.clickbait) is float
    assert type(WorldConfig.of("village", users=300.0, clickbait=0).users) is int


def test_of_changes_another_configuration():
    one = WorldConfig.of("village", clickbait=2)
    two = WorldConfig.of(one, fatigue=0)
    assert (two.clickbait, two.fatigue, two.users) == (2, 0, 400)
    with pytest.raises(ConfigError):
        WorldConfig.of(one, fatigue=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.users = 3
