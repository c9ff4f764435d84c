"""The exercises of each chapter: stub, known wrong answers, solution, another right answer."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from exercise_rule import assert_exercise

from course.exercises import chapters, find, of_chapter, registry
from course.lessons import clicks
from course.paths import load_by_path

# Each chapter has a file: tests/right_answers/chapter_NN.py with a dict RIGHT.
RIGHT = {}
for path in sorted((Path(__file__).parent / "right_answers").glob("chapter_*.py")):
    RIGHT.update(runpy.run_path(str(path))["RIGHT"])


def test_every_exercise_has_a_right_alternative():
    ids = {exercise.id for number in chapters() for exercise in of_chapter(number)}
    assert ids == set(RIGHT)


@pytest.mark.parametrize("exercise_id", sorted(RIGHT))
def test_exercise_tells_right_from_wrong(exercise_id):
    assert_exercise(find(exercise_id), right_alternatives=RIGHT[exercise_id])


def test_the_bias_from_a_log_is_nearer_to_the_truth_than_click_rates():
    """The estimate that the check takes as its middle is near the truth of the hidden world."""
    chapter_01 = load_by_path(registry.folder() / "chapter_01.py")

    for seed, steepness in enumerate((0.3, 0.8, 1.3)):
        log = chapter_01._draw_log(np.random.default_rng(seed), steepness)
        truth = clicks.looked_at(np.arange(1, chapter_01.POSITIONS + 1), steepness)
        off = np.abs(clicks.bias_from_log(*log) - truth).max()
        assert off < 0.06 and np.abs(chapter_01._raw(*log) - truth).max() > 2 * off
