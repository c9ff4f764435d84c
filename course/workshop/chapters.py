"""The text of a chapter, and the two notebooks it stands for.

A chapter is written once, as ``notebooks/source/NN_name.py`` (jupytext's percent format). It opens
with a small header of its own::

    # ---
    # course:
    #   number: "01"
    #   title: A simulated YouTube
    #   question: What do the logs look like, and what do they hide?
    #   paper: P2-C15
    #   minutes: 60
    # ---

An exercise is a code cell tagged ``exercise`` (the stub), directly followed by one tagged
``solution``. What cells tagged ``export`` hold becomes a module (see `course.workshop.lessons`)
whose name the header gives as ``lesson``. Two tokens are filled in: ``{{seconds}}`` in the first
cell (how long the chapter takes to run), and ``# {{setup}}``, which is all that stands in the first
code cell.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_raw_cell
from PIL import Image, ImageChops, ImageStat

from course import __version__
from course.errors import ConfigError
from course.workshop import address
from course.workshop.checks import EXERCISE, SETUP, SOLUTION, WIDGET_VIEW, has

SECONDS_TOKEN = "{{seconds}}"
SETUP_TOKEN = "# {{setup}}"
HEADER_FIELDS = {"number": str, "title": str, "question": str, "paper": str, "minutes": int,
                 "lesson": str}  # fmt: skip
WIDGET_TEXT = "[controls: run this cell to use them]"

SETUP_CELL = """\
# Makes the package `course` importable; does nothing where it already is.
REPOSITORY = ""  # on Colab: the address of the course's repository, as `git clone` takes it

import importlib.util
import os
import subprocess
import sys
from pathlib import Path


def ours(file):  # this course in this version, and not something else of that name
    text = Path(file).read_text("utf-8", "ignore") if file and Path(file).is_file() else ""
    return "How YouTube recommends" in text and '__version__ = "VERSION"' in text


colab, spec = "google.colab" in sys.modules, importlib.util.find_spec("course")
other = spec and (spec.origin or list(spec.submodule_search_locations)[0])
if not ours(other):
    folders = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "course-repository"]
    if colab and REPOSITORY and not folders[-1].exists():
        command = ["git", "clone", "-q", "--depth=1", REPOSITORY, folders[-1]]
        silent = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a private one would ask who you are
        done = subprocess.run(command, capture_output=True, text=True, env=silent)
        if done.returncode:
            said = (done.stderr.strip() or "no message").splitlines()[-1]
            raise RuntimeError(
                f"git could not fetch {REPOSITORY} ({said}). "
                "Is the address right, and may everybody read that repository?"
            )
    found = [str(folder) for folder in folders if ours(folder / "course" / "__init__.py")]
    if not found:
        raise RuntimeError(
            "The package `course` of this course, version VERSION, was not found. "
            + (f"{other} is not it: rename it, or bring it up to date. " if other else "")
            + f"Clone the course's repository {REPOSITORY}, and there open the notebook with "
            "`python3 -m course open`. "
            "On Colab, write the repository's address into REPOSITORY above and run it again."
        )
    sys.path.insert(0, found[0])
if colab and importlib.util.find_spec("faiss") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "faiss-cpu"], check=True)

import course  # before torch: it sets how idle threads wait
""".replace("VERSION", __version__)


@dataclass(frozen=True)
class Chapter:
    """One chapter as it was written: its header, and its cells with stubs and solutions.

    ``lesson`` names its module in ``course.lessons``; empty if it exports nothing. ``shelf`` has
    the names of all chapters by number, ``next`` a link to the one that follows, in Markdown, and
    ``address`` the repository's address and branch.
    """

    name: str
    number: str
    title: str
    question: str
    paper: str
    minutes: int
    lesson: str
    notebook: NotebookNode
    shelf: dict[str, str]
    next: str
    address: tuple[str, str]


def read_chapter(path: Path) -> Chapter:
    """Read and verify the source of a chapter.

    Raises
    ------
    ConfigError
        If the header is incomplete, an exercise lacks its solution, or a token is missing.
    """
    header, text = _split_header(path)
    notebook = jupytext.reads(text, fmt="py:percent")
    _verify_cells(path.name, notebook)
    shelf = {other.stem[:2]: other for other in sorted(path.parent.glob("[0-9][0-9]*.py"))}
    after = next((other for number, other in shelf.items() if number > path.stem[:2]), None)
    line = ""
    if after:
        its, _ = _split_header(after)
        line = (
            f"**Next.** [{its['number']} · {its['title']}]({after.stem}.ipynb): {its['question']}"
        )
    root = path.parent.parent.parent
    found = address.read(root) if (root / "pyproject.toml").is_file() else ("", "")
    return Chapter(
        name=path.stem,
        notebook=notebook,
        next=line,
        address=found,
        shelf={number: other.stem for number, other in shelf.items()},
        **header,
    )


def _split_header(path: Path) -> tuple[dict, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = [number for number, line in enumerate(lines) if line.rstrip() == "# ---"][:2]
    if len(marks) < 2 or marks[0] != 0:
        raise ConfigError(
            f"{path.name} does not open with a header",
            allowed="'# ---', the block 'course:', '# ---' in the first lines",
            fix="copy the header of another chapter",
        )
    block = "\n".join(line[2:] for line in lines[1 : marks[1]])
    try:
        header = (yaml.safe_load(block) or {}).get("course") or {}
    except (yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"the header of {path.name} is not YAML: {error}") from error
    header = {"lesson": "", **header}
    wrong = [name for name, kind in HEADER_FIELDS.items() if not isinstance(header.get(name), kind)]
    wrong += sorted(set(header) - set(HEADER_FIELDS))
    if wrong:
        raise ConfigError(
            f"the header of {path.name} is wrong in: {', '.join(wrong)}",
            allowed=", ".join(f"{name} ({kind.__name__})" for name, kind in HEADER_FIELDS.items()),
            fix="mind that a number such as 01 needs quotes",
        )
    return header, "\n".join(lines[marks[1] + 1 :]).strip("\n") + "\n"


def _verify_cells(name: str, notebook: NotebookNode) -> None:
    def wrong(number: int, what: str, fix: str) -> ConfigError:
        return ConfigError(
            f"{name}, cell {number}: {what}",
            allowed=f"a code cell tagged {EXERCISE}, directly followed by one tagged {SOLUTION}",
            fix=fix,
        )

    before = None
    for number, cell in enumerate([*notebook.cells, new_raw_cell()], start=1):
        role = _role(cell)
        if has(cell, EXERCISE) and has(cell, SOLUTION):
            raise wrong(number, "it is both exercise and solution", "split it into two cells")
        if role != "shared" and cell.cell_type != "code":
            raise wrong(number, f"a text cell is tagged {role}", "take the tag off")
        if before == EXERCISE and role != SOLUTION:
            raise wrong(number - 1, "an exercise has no solution", "write it into the next cell")
        if role == SOLUTION and before != EXERCISE:
            raise wrong(number, "a solution has no exercise before it", "write the stub before it")
        before = role
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code or code[0].source.strip() != SETUP_TOKEN:
        raise ConfigError(f"{name}: its first code cell must hold the line {SETUP_TOKEN} only")
    if not any(SECONDS_TOKEN in cell.source for cell in notebook.cells[:1]):
        raise ConfigError(f"{name}: its first cell must hold the token {SECONDS_TOKEN}")


def _role(cell: NotebookNode) -> str:
    return EXERCISE if has(cell, EXERCISE) else SOLUTION if has(cell, SOLUTION) else "shared"


def render(chapter: Chapter, role: str, seconds: int | None = None) -> NotebookNode:
    """Return the student's or the solved notebook of a chapter, without outputs.

    Parameters
    ----------
    role : ``"student"`` drops the solutions, ``"solution"`` drops the stubs
    seconds : what is written for the token ``{{seconds}}``; None writes a question mark
    """
    notebook = copy.deepcopy(chapter.notebook)
    numbers: Counter[str] = Counter()
    for cell in notebook.cells:
        # Ids depend on the place only, so building again changes nothing; and a cell that both
        # notebooks share has the same id in both.
        kind = _role(cell)
        numbers[kind] += 1
        label = f"{chapter.name}/{kind}/{numbers[kind]}"
        cell.id = hashlib.sha256(label.encode()).hexdigest()[:12]
        cell.source = cell.source.replace(SECONDS_TOKEN, "?" if seconds is None else str(seconds))
        if role == SOLUTION:  # it lies one folder further down
            cell.source = cell.source.replace("](NOTATION.md)", "](../NOTATION.md)")
        if cell.source.strip() == SETUP_TOKEN:
            empty, filled = 'REPOSITORY = ""', f'REPOSITORY = "{chapter.address[0]}"'
            cell.source = SETUP_CELL.replace(empty, filled).rstrip()
            cell.metadata["tags"] = [SETUP]
            cell.metadata["jupyter"] = {"source_hidden": True}
    _add_links(chapter, notebook, role)
    drop = EXERCISE if role == SOLUTION else SOLUTION
    remover = TagRemovePreprocessor(remove_cell_tags={drop}, enabled=True)
    notebook, _ = remover.preprocess(notebook, {})
    return tidy(notebook)


def _add_links(chapter: Chapter, notebook: NotebookNode, role: str) -> None:
    """From the first cell to the chapters that come before, from the last to the next one."""
    folder = "notebooks/solutions" if role == SOLUTION else "notebooks"
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    title, *lines = texts[0].source.split("\n")
    opens = address.badges(*chapter.address, f"{folder}/{chapter.name}.ipynb")
    for place, line in enumerate(lines):
        if line.startswith("* **You should know.**"):
            lines[place] = re.sub(r"\b\d\d\b", lambda n: _link(n[0], chapter.shelf.get(n[0])), line)
    texts[0].source = "\n".join([title, *(["", opens] if opens else []), *lines])
    if chapter.next:
        texts[-1].source += f"\n\n{chapter.next}"


def _link(words: str, name: str | None) -> str:
    return f"[{words}]({name}.ipynb)" if name else words


def few_colours(picture: str) -> str:
    """A stored PNG (base64) in a third of the bytes, if 256 colours show all there is to see."""
    image, written = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    if image.mode == "P":
        return picture
    whole = image.convert("RGB")
    few = whole.quantize(256, dither=Image.Dither.NONE)
    lost = ImageStat.Stat(ImageChops.difference(whole, few.convert("RGB"))).mean
    if max(lost) > 0.3:  # of 255: a smooth surface would show steps
        return picture
    few.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode() + "\n"


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Take out what depends on this run or this machine; join split streams."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("lines_to_next_cell", None)
        if cell.cell_type != "code":
            continue
        outputs: list[NotebookNode] = []
        for output in cell.outputs:
            if "application/javascript" in output.get("data", {}):
                continue  # it works on controls, which are not stored either
            if "image/png" in output.get("data", {}):
                output.data.pop("text/html", None)  # the same picture for JupyterLab
            last = outputs[-1] if outputs else None
            if WIDGET_VIEW in output.get("data", {}):
                # Its state lives in the kernel. Stored without it, it would show an error.
                output.data = nbformat.from_dict({"text/plain": WIDGET_TEXT})
                output.metadata = nbformat.from_dict({})
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = few_colours(output.data["image/png"])
            kind = output.output_type, output.get("name")
            if last and kind == (last.output_type, last.get("name")) and kind[0] == "stream":
                last.text += output.text
            else:
                outputs.append(output)
        cell.outputs = outputs
    nbformat.validate(notebook)
    return notebook
