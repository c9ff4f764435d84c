"""Graded variants: right answers pass, wrong ones and those of another year do not."""

import numpy as np
import pytest
from exercise_rule import assert_exercise

from course.workshop.variants import load

COHORTS = (2026, 2027)
VARIANTS = {variant.id: variant for variant in load()}


def functions(variant, sources, cohort):
    """The functions that sources of a variant define, in this process."""
    import math

    import torch
    from torch import nn

    for source in sources:
        scope = {"np": np, "torch": torch, "nn": nn, "functional": nn.functional, "math": math}
        exec(variant.fill(source, cohort), scope)
        yield scope[variant.function]


def test_each_chapter_that_has_variants_has_two():
    numbers = [variant.chapter for variant in VARIANTS.values()]
    assert all(numbers.count(number) == 2 for number in numbers)
    assert len({variant.function for variant in VARIANTS.values()}) == len(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_tells_right_from_wrong(name):
    variant = VARIANTS[name]
    for cohort in COHORTS:
        right = functions(variant, variant.right, cohort)
        wrong = functions(variant, variant.wrong, cohort)
        assert_exercise(variant.exercise(cohort), [*right], [*wrong], seeds=(1, 2))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_answer_of_last_year_fails(name):
    variant = VARIANTS[name]
    for last, this in ((2026, 2027), (2027, 2026), (2030, 2031)):
        old = list(functions(variant, variant.right, last))
        assert_exercise(variant.exercise(this), wrong=old, seeds=(1, 2))
    for cohort in range(2020, 2040):
        one, other = variant.numbers(cohort), variant.numbers(cohort + 1)
        assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_question_shows_its_numbers_and_an_answer(name):
    variant = VARIANTS[name]
    text = variant.question(2027)
    assert "{{" not in text + variant.fill(variant.stub, 2027)
    for value in variant.numbers(2027).values():
        assert str(value) in text
    (right,) = functions(variant, variant.right[:1], 2027)
    assert np.allclose(
        np.asarray(right(*variant.example), float),
        np.asarray(variant.exercise(2027).reference(*variant.example), float),
        atol=1e-4,
    )
