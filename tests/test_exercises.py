"""The exercise mechanism, on made-up exercises; those of the chapters are tested beside them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from exercise_rule import assert_exercise
from scipy.sparse import csr_matrix

import course.exercises
from course.errors import ExerciseError
from course.exercises import (
    Exercise,
    Mistake,
    Tolerance,
    answer,
    check,
    find,
    registry,
)
from course.exercises.compare import difference


def softmax(scores):
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


SOFTMAX = Exercise(
    id="90-softmax",
    reference=softmax,
    cases=lambda rng: ((rng.normal(0, 2, size=n),) for n in (3, 5, 40)),
    mistakes=(
        Mistake(lambda s: np.exp(s), "You did not divide by the sum."),
        Mistake(lambda s: s / s.sum(), "You left out the exponential."),
        Mistake(lambda s: np.exp(-s) / np.exp(-s).sum(), "The sign of the scores is turned round."),
    ),
)


def same_as(function):
    """The same answer, as if a reader had written it: taken as it is, the reference is refused."""
    return lambda *arguments: function(*arguments)


def verdict(answer, exercise=SOFTMAX, seed=None):
    if answer is exercise.reference:
        answer = same_as(answer)
    return check(exercise, answer, seed=seed)


# --- the whole rule for an exercise


def test_softmax_holds_the_rule():
    def slowly(scores):
        raised = [float(np.exp(s)) for s in scores]
        return [value / sum(raised) for value in raised]

    def in_torch(scores):
        return torch.softmax(torch.tensor(scores), dim=0)

    assert_exercise(SOFTMAX, right_alternatives=[slowly, in_torch], wrong=[lambda s: s * 0])


@pytest.mark.parametrize(
    "broken",
    [
        {"mistakes": (Mistake(softmax, "The right answer is called a mistake."),)},
        {"mistakes": SOFTMAX.mistakes[:1] * 2},
        # Cases without chance: repeating the numbers would pass.
        {"cases": lambda rng: [(np.array([1.0, 2.0]),)]},
        {"tolerance": Tolerance(1e9)},
    ],
)
def test_the_rule_catches_a_badly_made_exercise(broken):
    with pytest.raises(AssertionError):
        assert_exercise(dataclasses.replace(SOFTMAX, **broken))


def test_the_rule_catches_a_reference_that_disagrees_with_another_right_answer():
    with pytest.raises(AssertionError):
        assert_exercise(SOFTMAX, right_alternatives=[lambda s: softmax(2 * s)])


# --- stubs


def unfinished(scores):
    """Turn scores into probabilities."""
    ...


def raises(scores):
    raise NotImplementedError("your turn")


def half_way(scores):
    shifted = scores - scores.max()
    del shifted
    return ...


@pytest.mark.parametrize("stub", [unfinished, raises, half_way, None, ..., lambda s: (None, None)])
def test_stubs_are_not_answered_yet(stub):
    found = verdict(stub)
    assert (found.status, found.message) == ("not answered", "")


def test_a_forgotten_return_is_named():
    def forgetful(scores):
        raised = np.exp(scores)
        raised / raised.sum()

    found = verdict(forgetful)
    assert found.status == "not answered" and "return" in found.message


# --- wrong answers


def test_hard_coded_answers_fail():
    numbers = {len(case[0]): softmax(case[0]) for case in SOFTMAX.cases(np.random.default_rng(3))}
    assert verdict(lambda s: numbers[len(s)], seed=3).status == "correct"
    assert verdict(lambda s: numbers[len(s)]).status == "wrong"


def test_hidden_cases_are_fresh_each_time():
    seen = []

    def spy(scores):
        seen.append(scores.copy())
        return softmax(scores)

    verdict(spy), verdict(spy)
    assert not np.allclose(seen[0], seen[3])


def test_inputs_changed_in_place_are_named():
    def careless(scores):
        scores -= scores.max()
        return np.exp(scores) / np.exp(scores).sum()

    found = verdict(careless)
    assert found.status == "wrong" and "`scores` in place" in found.message


@dataclasses.dataclass(frozen=True)
class Held:
    train: np.ndarray


@pytest.mark.parametrize(
    "change",
    [
        lambda table, more: table.insert(0, "new", 1),
        lambda table, more: more["list"].append(3),
        lambda table, more: more["tensor"].add_(1),
        lambda table, more: more["sparse"].data.fill(0),
        lambda table, more: more["split"].train.fill(0),
    ],
)
def test_changes_inside_tables_lists_and_tensors_are_seen(change):
    def reference(table, more):
        return float(table["x"].sum() + sum(more["list"]))

    def cases(rng):
        table = pd.DataFrame({"x": rng.normal(size=4)})
        held = {"sparse": csr_matrix(np.eye(2)), "split": Held(np.ones(3))}
        yield table, {"list": [1.0, 2.0], "tensor": torch.zeros(2), **held}

    exercise = Exercise("90-table", reference, cases)
    assert verdict(reference, exercise).status == "correct"

    def careless(table, more):
        answer = reference(table, more)
        change(table, more)
        return answer

    assert "in place" in verdict(careless, exercise).message


def test_a_generator_is_handed_over_in_the_same_state():
    def draw(rng, n):
        return rng.normal(size=n)

    exercise = Exercise("90-draw", draw, lambda rng: [(np.random.default_rng(rng.integers(99)), 3)])
    assert verdict(draw, exercise).status == "correct"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda s: softmax(s)[:, None], "shape is"),
        (lambda s: float(softmax(s)[0]), "shape is () instead of (3,)"),
        (lambda s: np.where(s == s.max(), np.nan, softmax(s)), "1 of 3 values is NaN"),
        (lambda s: softmax(s) / 0.0, "infinite"),
        (lambda s: -softmax(s), "sign is turned round"),
        (lambda s: 100 * softmax(s), "factor of 100"),
        (lambda s: 3 * softmax(s), "3 times"),
        (lambda s: softmax(s) / 4, "1/4 of"),
        (lambda s: softmax(s) + 0.5, "too high by the same amount"),
        (lambda s: np.sort(softmax(s))[::-1], "another order"),
        (lambda s: "0.3", "Expected an array of shape (3,), got a text"),
        (lambda s: [[1], [2, 3]], "even grid"),
        (lambda s: softmax, "got a function"),
        (lambda s: np.full(len(s), 1 / len(s)), "it should lie between"),
        (np.exp(1.0), "without calling it"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_differs_is_said_in_plain_words(answer, words):
    # Scores that fall from left to right would make the sorted answer right.
    found = verdict(answer, seed=12)
    assert found.status == "wrong" and words in found.message, found.message


def test_the_smallest_failing_case_is_described():
    def wrong_for_three(scores):
        return softmax(scores) if len(scores) != 5 else np.full(5, 0.2)

    message = verdict(wrong_for_three).message
    assert "For example with scores = [" in message and "of 5 values are off" in message


def test_known_mistakes_are_named_only_if_they_agree_everywhere():
    def sometimes(scores):
        return np.exp(scores) if len(scores) == 3 else softmax(scores)

    assert "did not divide" not in verdict(sometimes).message
    assert verdict(lambda s: np.exp(s)).message == "You did not divide by the sum."


def test_the_readers_exception_is_shown_with_their_line():
    def stops(scores):
        total = np.exp(scores)
        return total / undefined_name  # noqa: F821

    found = verdict(stops)
    line = inspect.getsourcelines(stops)[1] + 2
    assert found.status == "error"
    assert "NameError" in found.message and "undefined_name" in found.message
    assert f"line {line}: return total / undefined_name" in found.message


def test_an_exception_below_the_readers_code_names_the_readers_line():
    def stops(scores):
        return np.linalg.inv(scores)

    found = verdict(stops)
    assert "LinAlgError" in found.message and "np.linalg.inv(scores)" in found.message


@pytest.mark.parametrize("answer", [lambda: 1, lambda s, t: s, sys.exit, lambda s: s.nothing])
def test_other_ways_to_fail_are_errors_not_exceptions(answer):
    assert verdict(answer).status in ("error", "wrong")


# --- tolerance and comparison


def test_a_tolerance_may_be_a_function_of_the_case():
    rate = Exercise(
        "90-rate", lambda p: p, lambda rng: [(0.08,)], tolerance=lambda expected, p: 0.25 * p
    )
    assert verdict(lambda p: p + 0.012, rate).status == "correct"
    assert verdict(lambda p: p + 0.042, rate).status == "wrong"


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        ((1.0, 2.0), (1.0, 2.0), None),
        ([1.0, 2.0], (1.0, 2.0), None),
        ((1.0, 3.0), (1.0, 2.0), "value 2 of 2"),
        (1.0, (1.0, 2.0), "expected 2 values in a tuple"),
        (pd.Series([1.0, 2.0]), np.array([1, 2]), None),
        (np.array([True, False]), np.array([True, True]), "wrong way round"),
        (np.array([1, 0]), np.array([True, False]), "expected True or False"),
        (np.ones((3, 2)), np.ones((2, 3)), "transposed"),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), None),
        (True, 1.0, None),
        ("1", 1.0, "got a text"),
    ],
)
def test_differences(got, expected, words):
    found = difference(got, expected, Tolerance())
    assert found is None if words is None else words in found


def test_own_comparison_replaces_the_usual_one():
    exercise = Exercise(
        "90-order", np.argsort,
        lambda rng: [(rng.integers(0, 3, size=9),)],
        compare=lambda got, right, x: None if (np.diff(x[got]) >= 0).all() else "not sorted",
    )  # fmt: skip
    assert_exercise(
        exercise, right_alternatives=[lambda x: sorted(range(len(x)), key=lambda i: (x[i], -i))]
    )


# --- the registry


@pytest.fixture
def chapter_90(tmp_path, monkeypatch):
    text = "from test_exercises import SOFTMAX\nEXERCISES = (SOFTMAX,)\n"
    (tmp_path / "chapter_90.py").write_text(text, encoding="utf-8")
    (tmp_path / "chapter_91.py").write_text("raise ImportError('not asked for')", encoding="utf-8")
    monkeypatch.setattr(registry, "folder", lambda: tmp_path)
    monkeypatch.setitem(sys.modules, "test_exercises", sys.modules[__name__])


def test_only_the_chapter_that_is_asked_for_is_imported(chapter_90):
    assert find("90-softmax") is SOFTMAX
    assert check("90-softmax", same_as(softmax)).status == "correct"


def test_unknown_ids_list_the_known_ones(chapter_90):
    with pytest.raises(ExerciseError, match=r"90-softmax.*did you mean \"90-softmax\""):
        check("90-sotfmax", softmax)
    for name in ("softmax", None, 7, ""):
        with pytest.raises((ExerciseError, ImportError)):
            find(name)


def test_the_chapters_own_exercises_carry_their_numbers():
    for chapter in course.exercises.chapters():
        assert course.exercises.of_chapter(chapter)


def test_badly_described_exercises_are_refused():
    for name in ("x", "90", "90-", "9-x"):
        with pytest.raises(ExerciseError, match="such as"):
            Exercise(name, softmax, SOFTMAX.cases)


def test_a_broken_exercise_does_not_blame_the_reader():
    broken = Exercise("90-x", lambda x: 1 / 0, lambda rng: [(1,)])
    with pytest.raises(ExerciseError, match="not your mistake"):
        check(broken, softmax)


# --- how a verdict is shown


def test_a_verdict_is_one_short_line(capsys):
    assert answer(SOFTMAX, same_as(softmax)) is not softmax
    assert capsys.readouterr().out == "✓ 90-softmax: Correct. It holds on 3 hidden cases.\n"
    check(SOFTMAX, same_as(softmax))
    assert capsys.readouterr().out == ""


def test_a_verdict_is_safe_html():
    def stops(scores):
        raise ValueError("<script>")

    found = verdict(stops)
    assert "<script>" not in found._repr_html_() and "&lt;script&gt;" in found._repr_html_()


# --- exercises in place


def test_a_right_answer_is_taken_and_any_other_replaced_by_ours(capsys):
    mine = same_as(softmax)
    assert answer(SOFTMAX, mine) is mine
    for other in (None, lambda x: None, lambda x: x, lambda x: 1 / 0):
        assert answer(SOFTMAX, other) is softmax
        assert "The notebook goes on with" in capsys.readouterr().out.splitlines()[-1]


def test_what_comes_from_the_course_is_no_answer():
    taken = check(SOFTMAX, softmax)
    assert (taken.status, "Write yours" in taken.message) == ("wrong", True)
    ours = same_as(softmax)
    ours.__module__ = "course.lessons.anything"
    for function in (ours, partial(ours)):
        assert "Write yours" in check(SOFTMAX, function).message
