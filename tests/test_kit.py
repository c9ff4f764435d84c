"""The pages beside the chapters: instructors, contributors, Korean readers, licences, version.

What these pages name (files, headings, commands, chapters, minutes, exercises) exists.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import course
from course.__main__ import parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "README.ko.md", "INSTRUCTORS.md", "CONTRIBUTING.md", "CHANGELOG.md",
         "notebooks/GLOSSARY.ko.md")  # fmt: skip
LEVELS = ("Good", "Middling", "Poor")


def read(name: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Head:
    """What the pages must agree with, from a chapter's source."""

    stem: str
    title: str
    minutes: int
    exercises: int
    predictions: tuple[str, ...]

    @property
    def number(self) -> str:
        return self.stem[:2]


def heads() -> list[Head]:
    """The chapters, from their sources."""
    found = []
    for path in sorted((ROOT / "notebooks" / "source").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        fields = yaml.safe_load(text.split("# ---")[1].replace("\n# ", "\n"))["course"]
        predictions = re.findall(r'\bpredict\(\s*"([\w-]+)"', text)
        exercises = len(re.findall(r'\banswer\("', text))
        found.append(
            Head(path.stem, fields["title"], fields["minutes"], exercises, tuple(predictions))
        )
    return found


HEADS = heads()
BY_NUMBER = {head.number: head for head in HEADS}


# --- links and commands


def slug(heading: str) -> str:
    """The anchor of a heading, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_links(name: str, text: str) -> list[str]:
    """Targets of links and pictures that do not exist: files, and headings of a page."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if file and not path.exists():
            found.append(target)
        elif anchor:
            page = path.read_text(encoding="utf-8") if file else text
            if anchor not in map(slug, re.findall(r"^#+ (.+)$", page, re.M)):
                found.append(target)
    return found


def unknown_commands(text: str) -> list[str]:
    """Commands that the course does not have."""
    known = next(action.choices for action in parser()._actions if action.dest == "command")
    named = re.findall(r"python3? -m course[ \n]+([a-z][\w-]*)", text)
    return sorted({name for name in named if name not in known})


@pytest.mark.parametrize("name", PAGES)
def test_links_and_commands_of_a_page_exist(name):
    text = read(name)
    assert dead_links(name, text) == []
    assert unknown_commands(text) == []
    assert re.search(r"\]\(", text) or name == "CHANGELOG.md"


def test_planted_links_and_commands_are_found():
    text = "# A b, c\n[a](nowhere.md) [b](#a-b-c) [c](#nothing) [d](README.md#start)"
    assert dead_links("x.md", text) == ["nowhere.md", "#nothing"]
    assert unknown_commands("`python3 -m course open` and `python3 -m course\nfly`") == ["fly"]


# --- instructors


def section(text: str, head: Head) -> str:
    """A chapter's section in the page for instructors; empty if it has none."""
    found = re.search(
        rf"^### {head.number} · {re.escape(head.title)}\n(.*?)(?=^##)", text, re.M | re.S
    )
    return found[1] if found else ""


def numbers(text: str) -> set[int]:
    """Numbers of the exercises that a text names: `exercise 2`, `exercises 1, 4`, `1 to 3`."""

    def written_out(between: re.Match) -> str:
        return " ".join(map(str, range(int(between[1]), int(between[2]) + 1)))

    found = set()
    for run in re.findall(r"[Ee]xercises? ((?:\d+|,|;|\s|and|to|then|at home)+)", text):
        run = re.sub(r"(\d+) to (\d+)", written_out, run)
        found |= {int(number) for number in re.findall(r"\d+", run)}
    return found


def faults_of(text: str, head: Head) -> list[str]:
    """What is wrong with a chapter's section."""
    part, found = section(text, head), []
    if not part:
        return ["no section"]
    if f"**{head.minutes} minutes" not in part:
        found.append(f"not {head.minutes} minutes")
    if missing := numbers(part) - set(range(1, head.exercises + 1)):
        found.append(f"exercises {sorted(missing)}")
    if not re.search(r"^Core: exercises? \d", part, re.M):
        found.append("no core exercise")
    votes = re.findall(r"`(\d\d-[\w-]+)`", part)
    if sorted(votes) != sorted(head.predictions):
        found.append(f"votes {votes}")
    for words in ("Before it: ", "*Afterwards a student can*", "*They stumble over*",
                  "**Open question.** *", *(f"\n- *{level}:* " for level in LEVELS)):  # fmt: skip
        if part.count(words) != 1:
            found.append(f"{part.count(words)} times {words.strip()!r}")
    return found


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.number)
def test_each_chapter_has_its_section_for_instructors(head):
    assert faults_of(read("INSTRUCTORS.md"), head) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("### 03 · The deep", "### 03 · The shallow", "no section"),
        ("**120 minutes", "**90 minutes", "not 120 minutes"),
        ("`03-correction`", "`03-corection`", "votes ['03-corection']"),
        ("ids (exercise 4)", "ids (exercise 5)", "exercises [5]"),
        ("Core: exercise 3", "Exercise 3", "no core exercise"),
        ("- *Middling:* ", "- ", "0 times '- *Middling:*'"),
    ],
)
def test_planted_faults_in_a_section_are_found(old, new, fault):
    text, head = read("INSTRUCTORS.md"), BY_NUMBER["03"]
    part = f"### 03 · {head.title}\n{section(text, head)}"
    assert part.count(old) == 1
    assert faults_of(text.replace(part, part.replace(old, new)), head) == [fault]


def test_timetables_name_each_chapter_and_exercises_that_exist():
    text = read("INSTRUCTORS.md")
    term = re.search(r"^## A term\n(.*?)^## ", text, re.M | re.S)[1]
    rows = re.findall(r"^\| \d+ \| \[(\d\d)\]\(#([^)]+)\) \| (.*)$", term, re.M)
    assert [number for number, _, _ in rows] == [head.number for head in HEADS]
    for number, anchor, row in rows:
        head = BY_NUMBER[number]
        assert anchor == slug(f"{number} · {head.title}")
        named = numbers(row.split("|")[1].replace(" at home", "").replace(";", ","))
        assert named == set(range(1, head.exercises + 1)), number
    days = re.search(r"^## Three days\n(.*?)^## ", text, re.M | re.S)[1]
    for number, row in re.findall(r"\*\*(\d\d)\*\*(.*)$", days, re.M):
        assert numbers(row) <= set(range(1, BY_NUMBER[number].exercises + 1)), number
    hours: dict[str, int] = {}
    day = ""
    for name, hour, minute in re.findall(r"^\| (\d?) ?\| (\d):(\d\d) \|", days, re.M):
        day = name or day
        hours[day] = hours.get(day, 0) + 60 * int(hour) + int(minute)
    assert hours == {"1": 360, "2": 360, "3": 360}  # six hours of work a day, as it says


def test_code_of_the_contest_for_a_class_is_python_that_fits():
    blocks = re.findall(r"```python\n(.*?)```", read("INSTRUCTORS.md"), re.S)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "INSTRUCTORS.md", "exec")
        for module, names in re.findall(r"^from (course[\w.]*) import (.+)$", block, re.M):
            for name in names.split(", "):
                exec(f"from {module} import {name}", {})


# --- Korean


def korean() -> dict[str, tuple[str, str, str]]:
    """Title, question and summary of the chapters, by stem, as the site reads them."""
    pattern = r"^### (\d\d_\w+)\n\n- 제목: (.+)\n- 질문: (.+)\n\n((?:.+\n)+)"
    found = re.findall(pattern, read("notebooks/GLOSSARY.ko.md"), re.M)
    return {stem: (title, question, text) for stem, title, question, text in found}


def test_each_chapter_has_title_question_and_three_sentences_in_korean():
    found = korean()
    assert list(found) == [head.stem for head in HEADS]
    for stem, (title, question, text) in found.items():
        assert title.strip() and question.endswith("?"), stem
        assert len(re.findall(r"다\.(?=\s|$)", text)) == 3, stem
        assert re.search("[가-힣]", title + question), stem


def test_the_korean_readme_lists_the_same_chapters():
    rows = re.findall(
        r"^\| (\d\d) \| \[(.+?)\]\(notebooks/(\w+)\.ipynb\) \| (.+?) \| (\d+) \|$",
        read("README.ko.md"), re.M,
    )  # fmt: skip
    summaries = korean()
    assert [row[2] for row in rows] == [head.stem for head in HEADS]
    for number, title, stem, question, minutes in rows:
        assert (title, question) == summaries[stem][:2]
        assert (number, int(minutes)) == (stem[:2], BY_NUMBER[number].minutes)


def test_the_glossary_names_chapters_that_exist_and_each_term_once():
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\| ([\d, ]+) \|$",
                      read("notebooks/GLOSSARY.ko.md"), re.M)  # fmt: skip
    assert len(rows) > 100
    terms = [english for english, *_ in rows]
    assert len(set(terms)) == len(terms)
    for english, words, _, chapters in rows:
        assert words.strip(), english
        assert set(chapters.split(", ")) <= set(BY_NUMBER), english


# --- version and licences


def test_the_version_is_the_same_everywhere():
    version = course.__version__
    citation = yaml.safe_load(read("CITATION.cff"))
    project = tomllib.loads(read("pyproject.toml"))
    assert citation["version"] == version
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "course.__version__"}
    newest = re.search(r"^## (\S+) (.*)$", read("CHANGELOG.md"), re.M)
    assert version.startswith(newest[1])
    assert (f"`{version}`" in newest[2]) == (version != newest[1])
    for path in sorted((ROOT / "notebooks").rglob("[0-9]*.ipynb")):
        if "checkpoints" not in str(path):
            assert f'__version__ = \\"{version}\\"' in path.read_text(encoding="utf-8"), path.name


def test_the_citation_has_what_its_format_asks_for():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"] and citation["title"] and citation["authors"]
    assert [str(paper["year"]) for paper in citation["references"]] == ["2016", "2019"]
    for work in (citation, *citation["references"]):
        for author in work["authors"]:
            assert set(author) in ({"name"}, {"family-names", "given-names"})


def test_code_is_under_mit_and_text_under_cc_by():
    assert read("LICENSE").startswith("MIT License")
    words = read("LICENSE-CC-BY-4.0")
    assert words.startswith("Attribution 4.0 International")
    assert "Section 8 -- Interpretation." in words
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])
    for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "INSTRUCTORS.md"):
        assert "(LICENSE)" in read(name) and "(LICENSE-CC-BY-4.0)" in read(name), name
