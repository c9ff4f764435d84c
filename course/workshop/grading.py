"""Marks for a folder of returned notebooks: ``python3 -m course grade FOLDER --csv marks.csv``.

Answers are taken out of the notebooks by the id of their cells. Each runs in a process of its own
(see `course.workshop.sandbox`), which gets inputs and gives outputs; what they should be never
leaves this process. So a bad notebook costs its own marks only.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from course.cluster import spread
from course.errors import ConfigError, ExerciseError
from course.exercises.checking import _hidden_cases, check
from course.paths import notebooks_dir, repository_root, write_whole
from course.workshop import sandbox
from course.workshop.checks import shorten
from course.workshop.variants import Variant, load

COLUMNS = ("student", "exercise", "points", "of", "verdict", "message", "seconds", "answer")
VERDICTS = {"correct": "#1b7a3d", "wrong": "#b8340f", "error": "#d98324", "stopped": "#6b4c9a",
            "unreadable": "#5b6673", "not answered": "#c7cdd4"}  # fmt: skip
LARGEST_NOTEBOOK = 50_000_000  # bytes


@dataclass(frozen=True)
class Limits:
    """What an answer may use: seconds of a processor on all cases together, GB of memory."""

    seconds: float = 20.0
    memory: float = 2.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.memory > 0):
            raise ConfigError(f"seconds={self.seconds}, memory={self.memory}", allowed="above 0")


@dataclass(frozen=True)
class Answer:
    """A cell that answers a variant, and what is odd about it."""

    source: str
    remark: str = ""


# --- out of the notebooks


def notebooks_of(folder: Path) -> dict[str, list[Path]]:
    """The returned notebooks of each student: of each folder, or by the name of a lone file."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", fix="name the folder of the notebooks")
    chapters = "|".join(path.stem for path in notebooks_dir().glob("[0-9]*.ipynb"))
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        inside = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or ".ipynb_checkpoints" in inside.parts:
            continue
        name = re.sub(chapters or "^$", "", inside.stem).strip(" _-.")
        student = inside.parts[0] if len(inside.parts) > 1 else name or inside.stem
        found.setdefault(student, []).append(path)
    if not found:
        raise ConfigError(f"{folder} holds no notebooks", allowed="files *.ipynb, at any depth")
    return found


def cells_of(path: Path) -> list[dict[str, Any]]:
    """The code cells of a returned notebook; a `ConfigError` says why there are none."""
    try:
        if path.stat().st_size > LARGEST_NOTEBOOK:
            raise ValueError(f"larger than {LARGEST_NOTEBOOK // 10**6} MB; clear its outputs")
        cells = json.loads(path.read_bytes())["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        for cell in code:
            cell["source"] = "".join(cell["source"])
            cell["tags"] = list(map(str, cell.get("metadata", {}).get("tags", [])))
        return code
    except Exception as error:
        why = str(error) if type(error) is ValueError else f"no notebook ({type(error).__name__})"
        raise ConfigError(f"{path.name}: {shorten(why)}") from None


def answer_to(variant: Variant, cells: Iterable[dict], cohort: int) -> Answer | None:
    """The cell that answers a variant: by its tag, else by the function's name; the last counts."""
    cells = list(cells)
    name = re.compile(rf"^(?:async )?(?:def|class) {variant.function}\b", re.MULTILINE)
    stub = "".join(variant.fill(variant.stub, cohort).split())
    filled = [cell for cell in cells if "".join(cell["source"].split()) not in ("", stub)]
    tagged = [cell for cell in filled if variant.id in cell["tags"]]
    named = [cell for cell in filled if name.search(cell["source"])]
    written = [cell for cell in tagged if name.search(cell["source"])] or named or tagged
    if not written:
        return None
    remark = ""
    if not any(cell is written[-1] for cell in tagged):
        remark = f"Found by the name {variant.function}; its cell has lost its tag. "
    if len({cell["source"] for cell in written}) > 1:
        remark += f"{len(written)} cells answer it; the last counts. "
    other = [t for t in written[-1]["tags"] if t.startswith("cohort-") and t != f"cohort-{cohort}"]
    if other:
        remark += f"Its question is that of {other[0]}. "
    lines = written[-1]["source"].splitlines()  # magics of a notebook are no Python
    source = "\n".join("" if re.match(r"\s*[%!]", line) else line for line in lines)
    return Answer(source, remark)


def cohort_of(cells: Iterable[dict]) -> int:
    """The cohort that most graded cells name."""
    tags = [tag for cell in cells for tag in cell["tags"]]
    named = Counter(tag for tag in tags if re.fullmatch(r"cohort-\d{1,9}", tag))
    if not named:
        raise ConfigError(
            "no graded cell names a cohort", fix="say which one is meant, as in --cohort 2027"
        )
    return int(named.most_common(1)[0][0].removeprefix("cohort-"))


# --- judging


class _Replayed:
    """Stands in for an answer: gives the outputs that came out of its process, in order."""

    __name__ = "answer"

    def __init__(self, lines: list[dict]) -> None:
        self.lines = iter(lines)

    def __call__(self, *arguments: Any) -> Any:
        line = next(self.lines)
        if "error" not in line:
            return sandbox.decode(line["output"])
        if line["error"] == "NotImplementedError":
            raise NotImplementedError
        raise type(str(line["error"])[:60], (Exception,), {})(str(line["message"]))


def judge(
    variant: Variant, cohort: int, source: str, limits: Limits = Limits()
) -> tuple[str, str, float]:
    """Verdict, message and seconds of an answer's source, which runs in a process of its own."""
    exercise = variant.exercise(cohort)
    seed = int(np.random.SeedSequence(variant.seed(cohort)).generate_state(1)[0])
    cases, _ = _hidden_cases(exercise, np.random.default_rng(seed))
    lines, ending, seconds = run(source, variant.function, cases, limits)
    if ending:
        return "stopped", ending, seconds
    try:
        result = check(exercise, _Replayed(lines[1:]), seed=seed)
    except ExerciseError:
        raise
    except Exception as error:  # outputs that no answer of ours writes
        return "error", f"Its outputs cannot be read ({type(error).__name__}).", seconds
    return result.status, result.message, seconds


def run(
    source: str, name: str, cases: Sequence[tuple], limits: Limits
) -> tuple[list[dict], str, float]:
    """Run a function of a source on cases: what it said, why it was stopped, core seconds.

    The first thing said is what the system refuses, then comes a line for each case.
    """
    root = repository_root()
    course = [str(root / part) for part in ("course", "data", "pyproject.toml")]
    closed = [str(root / part) for part in ("tests", "notebooks", ".git")]
    job = {"source": source, "name": name, "cases": [sandbox.encode(case) for case in cases],
           "seconds": limits.seconds, "memory": limits.memory, "root": str(root),
           "readable": course, "closed": closed}  # fmt: skip
    spent = _children()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+b") as said,
    ):
        json.dump(job, given)
        given.seek(0)
        # Nothing of the grader's own environment goes in.
        env = {"HOME": folder, "TMPDIR": folder, "COURSE_CACHE": folder, "MPLBACKEND": "Agg",
               "PATH": os.defpath, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
               "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        env.update({k: v for k, v in os.environ.items() if k == "SYSTEMROOT"})  # Windows
        process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", sandbox.__file__], stdin=given, stdout=said,
            stderr=subprocess.DEVNULL, cwd=folder, env=env, start_new_session=True,
        )  # fmt: skip
        # Its own start is not the answer's fault, so the clock begins with the first line.
        end = time.monotonic() + 300
        started = False
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
            if not started and os.fstat(said.fileno()).st_size:
                started, end = True, time.monotonic() + 60 + 10 * limits.seconds
        code = process.poll()
        _end(process)
        said.seek(0)
        text = said.read(4 * sandbox.LARGEST)
    seconds = _children() - spent
    try:
        first, *lines = (dict(json.loads(line)) for line in text.splitlines())
        lines = [first, *(line for line in lines if "output" in line or "error" in line)]
    except (ValueError, TypeError, RecursionError):
        return [], "Its outputs cannot be read.", seconds
    if len(lines) > len(cases) or (lines and "error" in lines[-1]):
        return lines, "", seconds
    if code is None:
        return [], "It was still waiting long after its seconds; perhaps it sleeps.", seconds
    if code in (-9, -24):  # the signals KILL and XCPU
        return [], f"It did not end within {limits.seconds:g} s, or took too much memory.", seconds
    return [], f"Its process ended before all cases were done (status {code}).", seconds


def walls() -> str:
    """Say what keeps answers from the network and from other folders here."""
    (first, *_), _, _ = run("def look():\n    return 1", "look", [()], Limits())
    by = {name: "the system" if first[name] else "Python alone, which a villain gets round"
          for name in ("network", "folders")}  # fmt: skip
    return f"Refused to answers: the network by {by['network']}, other folders by {by['folders']}."


_walls = functools.cache(walls)


def assert_right(name: str, cohort: int, cells: Sequence[str]) -> None:
    """Raise an `AssertionError` unless the last of some cells that answers a variant is right.

    For nbgrader's hidden tests, which hand over the kernel's list `In`. The answer is judged
    in a process of its own, too; but this test itself runs in the student's kernel.
    """
    (variant,) = (v for v in load([int(name[:2])]) if v.id == name)
    answer = answer_to(variant, [{"source": text, "tags": []} for text in cells], cohort)
    verdict, message = ("not answered", "")
    if answer is not None:
        verdict, message, _ = judge(variant, cohort, answer.source)
    assert verdict == "correct", f"{verdict}. {message}"


def _end(process: subprocess.Popen) -> None:
    """End a process and what it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.kill()
    process.wait()


def _children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


# --- the table


def grade(
    folder: Path,
    table: Path,
    cohort: int | None = None,
    chapters: Sequence[int] | None = None,
    limits: Limits = Limits(),
    say: Callable[[str], None] = print,
    jobs: int | None = 1,
    backend: str | None = None,
    address: str | None = None,
) -> list[dict[str, str]]:
    """Grade a folder of notebooks; rows go into the table as they come, and a picture beside it.

    What stands in the table already is not graded again, unless the answer has changed.

    Parameters
    ----------
    folder : a folder for each student, or files; at any depth
    table : the CSV file
    cohort : whose numbers are asked; None for the one that most graded cells name
    chapters : those that are graded; None for all whose variants occur
    jobs, backend, address : how answers are spread, as of `course.cluster.spread`; a worker gets
        the texts of the answers, and needs the instructor's whole repository

    Returns
    -------
    list of the rows, by student and exercise
    """
    students, variants = {}, load(chapters)
    for student, paths in notebooks_of(folder).items():
        cells, unreadable = students.setdefault(student, ([], []))
        for path in paths:
            try:
                cells += cells_of(path)
            except ConfigError as error:
                unreadable.append(str(error))
    every = [cell for cells, _ in students.values() for cell in cells]
    cohort = cohort_of(every) if cohort is None else cohort
    if chapters is None:
        there = {tag[:2] for cell in every for tag in cell["tags"] if "-graded-" in tag}
        variants = [variant for variant in variants if variant.id[:2] in there] or variants
    names = ", ".join(sorted({variant.id[:2] for variant in variants}))
    say(f"cohort {cohort}, chapters {names}: {len(variants)} questions, {len(students)} students")
    done, total, asked, marks, told = _stored(table), {}, [], {}, set()
    for student, (cells, unreadable) in students.items():
        total[_safe(student)] = student, Counter()
        for variant in variants:
            answer, key = answer_to(variant, cells, cohort), (_safe(student), variant.id)
            what = (cohort, str(variant.numbers(cohort)), limits, answer, unreadable)
            marks[key] = hashlib.sha256(repr(what).encode("utf-8", "replace")).hexdigest()[:12]
            if done.get(key, {}).get("answer") != marks[key]:
                asked.append((*key, cohort, answer, " ".join(unreadable), limits))

    def count(key: tuple[str, str]) -> None:
        student, verdicts = total[key[0]]
        verdicts[done[key]["verdict"]] += 1
        if verdicts.total() == len(variants):
            say(f"{student}: " + ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items()))

    fresh = {call[:2] for call in asked}
    for key in (key for key in marks if key not in fresh):
        count(key)
    for call, (row, wall) in spread(_graded, asked, jobs=jobs, backend=backend, address=address):
        key = call[:2]
        if wall not in told:
            told.add(wall)
            say(wall)
        done[key] = {**dict(zip(COLUMNS, key, strict=False)), **row, "answer": marks[key]}
        _append(table, done[key])
        count(key)
    rows = [done[key] for key in sorted(done)]
    write_whole(table, "\ufeff" + _lines(rows, head=True))
    write_whole(table.with_suffix(".png"), picture(rows))
    return rows


@functools.cache
def _known(chapter: int) -> dict[str, Variant]:
    return {variant.id: variant for variant in load([chapter])}


def _graded(student, name, *asked) -> tuple[dict[str, str], str]:
    """The row of an answer, and what this machine refuses to it."""
    return _row(_known(int(name[:2]))[name], *asked), _walls()


def _row(variant, cohort, answer, unreadable, limits) -> dict[str, str]:
    verdict, message, seconds = "unreadable" if unreadable else "not answered", unreadable, 0.0
    if answer is not None:
        verdict, message, seconds = judge(variant, cohort, answer.source, limits)
        message = answer.remark + message
    points = variant.points if verdict == "correct" else 0
    return {"points": str(points), "of": str(variant.points), "verdict": verdict,
            "message": _safe(shorten(message, 400)), "seconds": f"{seconds:.1f}"}  # fmt: skip


def _safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and that UTF-8 can hold."""
    text = text.encode("utf-8", "replace").decode()
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def _lines(rows: Iterable[dict[str, str]], head: bool = False) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _append(table: Path, row: dict[str, str]) -> None:
    new = not table.exists()
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a", encoding="utf-8-sig" if new else "utf-8", newline="") as file:
        file.write(_lines([row], head=new))


def _stored(table: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of an earlier run; a last line that was cut off is left out."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ConfigError(
                f"{table} is not a table of marks", fix="name another file after --csv"
            )
        rows = [row for row in reader if None not in row and None not in row.values()]
    return {(row["student"], row["exercise"]): row for row in rows}


def picture(rows: Sequence[dict[str, str]]) -> bytes:
    """A picture of the class: verdicts on each question, and the points of the students."""
    import pandas as pd

    from course import plots

    frame = pd.DataFrame(rows).astype({"points": float, "of": float})
    counts = pd.crosstab(frame["exercise"], frame["verdict"])
    counts = counts.reindex(columns=list(VERDICTS), fill_value=0)
    sums = frame.groupby("student")[["points", "of"]].sum()

    @plots.styled
    def draw():
        fig, (left, right) = plots.figure(2, height=2.6 + 0.3 * len(counts), width_ratios=(3, 2))
        counts.iloc[::-1].plot.barh(
            stacked=True, ax=left, color=list(VERDICTS.values()), legend=False
        )
        left.set(title="Verdicts", xlabel="students", ylabel="")
        fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6)
        right.hist(sums["points"], np.arange(sums["of"].max() + 2) - 0.5, color="#1b7a3d")
        right.set(title="Points", xlabel=f"points, of {sums['of'].max():g}", ylabel="students")
        return fig

    return plots.png(draw())
