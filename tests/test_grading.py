"""Grading a class: each bad notebook costs its own marks only."""

import csv
import json
import os
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from returned import COHORT, HOSTILE, hostile, notebook, place, right_and_wrong

from course.errors import CourseError
from course.workshop import grading, sandbox, variants
from course.workshop.grading import Limits, answer_to, cells_of, cohort_of, grade, judge

SHORT = Limits(seconds=3, memory=0.3)
TWO = variants.load([2])
VECTORS, SCORE = TWO
RIGHT = right_and_wrong(TWO, "right")
LINUX = sys.platform == "linux"


def quiet(*_):
    pass


def test_values_go_to_a_process_and_come_back():
    values = (
        1, 0.1, float("nan"), "ä", None, True, [1, (2.5, "x")], {"a": np.arange(3), 2: [..., None]},
        np.zeros((2, 0)), np.float32(3), np.array(["a", "bcd"]), torch.arange(4.0).reshape(2, 2),
        pd.DataFrame({"x": [1, 2], "name": ["a", "b"], "y": [True, False]}),
    )  # fmt: skip
    back = sandbox.decode(json.loads(json.dumps(sandbox.encode(values))))
    assert str(back) == str(values).replace("np.float32(3.0)", "array(3., dtype=float32)")
    assert back[-2].dtype == torch.float32 and back[3] == "ä"


@pytest.mark.parametrize(
    "value",
    [["array", "|O", [1], "AAAAAAAAAAA="], ["array", "<f8", [10**9], ""], ["pickle", "x"],
     ["array", "<f8,O", [1], ""], ["array", "<i8", [-1, 3], ""]],
)  # fmt: skip
def test_a_forged_value_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        sandbox.decode(value)


def test_objects_do_not_leave_a_process():
    with pytest.raises(TypeError, match="numbers are asked for"):
        sandbox.encode(np.array([object()]))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_costs_its_own_points_only(what, tmp_path):
    if "by C" in what and not grading.run("", "x", [()], SHORT)[0][0]["folders"]:
        pytest.skip("this system cannot close folders to a process")
    folder, keep = tmp_path / "class", tmp_path / "keep"
    folder.mkdir()
    keep.write_text("still here")
    source = hostile(SCORE, what, folder, variants.folder())
    verdict, message, _ = judge(SCORE, COHORT, source, SHORT)
    assert verdict == HOSTILE[what][1], message
    assert keep.read_text() == "still here" and folder.is_dir()


@pytest.mark.skipif(not LINUX, reason="the system itself refuses on Linux only")
def test_the_system_itself_keeps_the_answers_secret():
    """By C, so that nothing of Python's own stands in the way."""
    first, *_ = grading.run("", "x", [()], SHORT)[0]
    if not (first["network"] and first["folders"]):
        pytest.skip(f"this system allows no walls: {first}")
    secret = variants.folder() / "chapter_02.py"
    source = f"""
import ctypes, os, socket
def NAME(*a):
    c = ctypes.CDLL(None)
    got = [c.open({os.fsencode(secret)!r}, 0), c.open(b"/etc/hosts", 0) > 0, len(os.listdir("."))]
    return np.array([*got, len(socket.if_nameindex()), "SECRET" in os.environ])
""".replace("NAME", SCORE.function)
    os.environ["SECRET"] = "of the grader"
    try:
        lines, ending, _ = grading.run(source, SCORE.function, [()], SHORT)
    finally:
        del os.environ["SECRET"]
    assert not ending and sandbox.decode(lines[1]["output"]).tolist() == [-1, 1, 0, 1, 0]


def test_a_line_of_the_student_is_named():
    source = f"def {SCORE.function}(scores, target, hidden):\n    x = 1\n    return x / 0"
    verdict, message, seconds = judge(SCORE, COHORT, source, SHORT)
    assert (verdict, seconds > 0) == ("error", True)
    assert message.startswith("ZeroDivisionError") and "line 3: return x / 0" in message


def test_what_a_cell_does_after_its_function_may_fail():
    source = RIGHT[SCORE.id] + "\n\nprint(hit_score(my_scores, 3, nothing))"
    assert judge(SCORE, COHORT, source, SHORT)[0] == "correct"
    helper = "import numpy as n\ndef half(x):\n    return n.asarray(x)\n" + RIGHT[SCORE.id]
    assert judge(SCORE, COHORT, helper, SHORT)[0] == "correct"


def changed(kind, cells):
    """A notebook whose cells a student moved, renamed or copied."""
    score = next(cell for cell in cells if SCORE.id in cell.metadata.get("tags", []))
    stub = SCORE.fill(SCORE.stub, COHORT)
    other = nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["graded"]})
    if kind == "turned round":
        cells = [other, *cells[::-1]]
    elif kind == "magic":
        score.source = "%time\n!ls\n" + score.source
    elif kind == "no tags":
        score.metadata = {}
    elif kind == "two":
        right, score.source = score.source, "def hit_score(*a):\n    return 7"
        cells.append(nbformat.v4.new_code_cell(right, metadata=score.metadata))
    elif kind == "beside its stub":
        right, score.source = score.source, stub
        cells.append(nbformat.v4.new_code_cell(right))
    elif kind == "last year's":
        score.metadata["tags"] = ["graded", SCORE.id, "cohort-2026"]
    elif kind == "tag elsewhere":
        score.metadata, other.metadata = {}, score.metadata
        cells.append(other)
    return cells


@pytest.mark.parametrize(
    ("kind", "remark"),
    [("turned round", ""), ("magic", ""), ("no tags", "lost its tag"), ("two", "the last counts"),
     ("beside its stub", "lost its tag"), ("last year's", "cohort-2026"),
     ("tag elsewhere", "lost its tag")],
)  # fmt: skip
def test_answers_are_found_wherever_they_stand(kind, remark, tmp_path):
    cells = changed(kind, notebook(TWO, RIGHT).cells)
    path = place(tmp_path, "kim", json.dumps(nbformat.v4.new_notebook(cells=cells)))
    answer = answer_to(SCORE, cells_of(path), COHORT)
    assert remark in answer.remark and bool(remark) == bool(answer.remark)
    assert judge(SCORE, COHORT, answer.source, SHORT)[0] == "correct"


def test_a_stub_is_no_answer(tmp_path):
    path = place(tmp_path, "kim", json.dumps(notebook(TWO, {})))
    assert answer_to(SCORE, cells_of(path), COHORT) is None


def test_a_class(tmp_path):
    """Rows as they come, each student's own; a second run goes on; a changed answer is new."""
    folder, table = tmp_path / "class", tmp_path / "marks" / "marks.csv"
    wrong = right_and_wrong(TWO, "wrong", 1)
    given = {
        "=evil(1)": json.dumps(notebook(TWO, RIGHT)),
        "김 서연": json.dumps(notebook(TWO, {**RIGHT, SCORE.id: wrong[SCORE.id]})),
        "broken": json.dumps(notebook(TWO, RIGHT))[:-40],
        "deep": "[" * 100_000,
        "list": "[1, 2]",
        "none": json.dumps(notebook(TWO, {})),
    }
    for student, text in given.items():
        place(folder, student, text)
    lone = json.dumps(notebook([SCORE], {SCORE.id: HOSTILE["ends the process"][0]}))
    (folder / "lee_02_matrix_factorization.ipynb").write_text(lone.replace("NAME", "hit_score"))
    said = []
    rows = grade(folder, table, limits=SHORT, say=said.append)
    assert f"cohort {COHORT}, chapters 02: 2 questions, 7 students" in said[0]
    verdicts = {(row["student"], row["exercise"]): row["verdict"] for row in rows}
    assert len(verdicts) == 14
    of = {s: (verdicts[s, VECTORS.id], verdicts[s, SCORE.id]) for s, _ in verdicts}
    assert of == {
        "'=evil(1)": ("correct", "correct"),
        "김 서연": ("correct", "wrong"),
        "broken": ("unreadable", "unreadable"),
        "deep": ("unreadable", "unreadable"),
        "list": ("unreadable", "unreadable"),
        "none": ("not answered", "not answered"),
        "lee": ("not answered", "stopped"),
    }
    stored = pd.read_csv(table)
    assert stored.groupby("student")["points"].sum()["김 서연"] == VECTORS.points
    assert table.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    # interrupted in the middle of a line, and a student who hands in again
    text = table.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    kept = [line for line in text if not line.startswith(("none", "lee"))]
    table.write_text("".join(kept) + "none,02-graded-h", encoding="utf-8-sig")
    place(folder, "list", json.dumps(notebook(TWO, {SCORE.id: RIGHT[SCORE.id]})))
    judged = []
    real = grading.judge
    grading.judge = lambda variant, *rest: judged.append(variant.id) or real(variant, *rest)
    try:
        again = grade(folder, table, limits=SHORT, say=quiet)
    finally:
        grading.judge = real
    assert judged == [SCORE.id, SCORE.id]  # lee's, and the new one
    assert [r for r in again if r["student"] != "list"] == [
        {**r, "seconds": a["seconds"]}
        for r, a in zip(rows, again, strict=True)
        if r["student"] != "list"
    ]
    with table.open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 14


def test_wrong_calls_are_told_in_words(tmp_path):
    with pytest.raises(CourseError, match="there is no folder"):
        grade(tmp_path / "nowhere", tmp_path / "m.csv")
    with pytest.raises(CourseError, match="holds no notebooks"):
        grade(tmp_path, tmp_path / "m.csv")
    path = place(tmp_path / "class", "kim", json.dumps(nbformat.v4.new_notebook()))
    with pytest.raises(CourseError, match="names a cohort"):
        cohort_of(cells_of(path))
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CourseError, match="not a table of marks"):
        grade(tmp_path / "class", tmp_path / "m.csv", COHORT, [2], say=quiet)
    with pytest.raises(CourseError, match="no graded variants for chapter 99"):
        variants.load([99])
    with pytest.raises(CourseError, match="above 0"):
        Limits(seconds=0)
    with pytest.raises(CourseError, match="whole number"):
        SCORE.numbers(-1)


def test_the_command(tmp_path):
    place(tmp_path / "class", "kim", json.dumps(notebook(TWO, {SCORE.id: RIGHT[SCORE.id]})))
    done = subprocess.run(
        [sys.executable, "-m", "course", "grade", "class", "--csv", "marks.csv", "--chapters", "2"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "kim: 1 not answered, 1 correct" in done.stdout
    assert (tmp_path / "marks.csv").is_file() and (tmp_path / "marks.png").is_file()
