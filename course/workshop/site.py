"""A site to read without installing, built by Sphinx from the executed notebooks.

Sphinx, MyST-NB and a book theme do the pages. What is ours: the solved notebooks and the texts are
laid into one folder, figures become WebP with their words, and widgets become frames
(`course.workshop.frames`). Frames need the chapters' own functions, so a kernel runs each chapter
once; they are kept in the cache until the chapter changes.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from course.errors import ConfigError
from course.paths import cache_dir
from course.workshop import markup
from course.workshop.book import Book
from course.workshop.chapters import WIDGET_TEXT
from course.workshop.checks import SETUP, SOLUTION, has, output_texts

DEFAULT = Path("build") / "site"
STATIC = Path(__file__).parent / "static"
NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme", "math_core", "ziamath")
CELL_SECONDS = 1800  # a slider may train a model for each of its frames

#: What stands beside the chapters: heading of the list, and files in its order.
PAGES = {
    "Look up": ["notebooks/NOTATION.md", "notebooks/OWN_LOGS.md", "notebooks/GLOSSARY.ko.md",
                "data/LEDGER.md"],
    "Work and teach": ["README.ko.md", "INSTRUCTORS.md", "CONTRIBUTING.md", "CHANGELOG.md",
                       "data/README.md"],
}  # fmt: skip
#: Files that the pages link to.
FILES = ("LICENSE", "LICENSE-CC-BY-4.0", "CITATION.cff", "data/pictures")


def main(folder: Path | None = None, *, quick: bool = False) -> int:
    """Build the site into a folder; return Sphinx's exit status.

    Parameters
    ----------
    folder : where the site goes; a site that is there already is replaced
    quick : run no chapter; a slider whose frames are not in the cache does not move

    Raises
    ------
    ConfigError
        If a package is missing, the folder holds something else, or a chapter fails.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the site needs packages that are not here: {', '.join(missing)}",
            fix=f'{sys.executable} -m pip install -e ".[lab,site]"',
        )
    from sphinx.application import Sphinx

    book = Book()
    folder = (folder or book.root / DEFAULT).expanduser().absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / "objects.inv").exists():
        raise ConfigError(
            f"{folder} holds something that is not this site",
            allowed="a folder that is missing, empty, or holds an earlier site",
        )
    frames = {path.stem: frames_of(book.notebook(path.stem, SOLUTION), quick)
              for path in book.sources()}  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        lay_out(book, source, frames)
        app = Sphinx(
            str(source), None, str(folder), str(Path(scratch, "trees")), "html",
            confoverrides=settings(book.root), freshenv=True, status=None,
        )  # fmt: skip
        app.build()
    for left in [*folder.rglob("*.map"), *folder.glob("_static/*webpack-macros.html")]:
        left.unlink()  # the theme's own, of no use to a reader
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"The site is {folder / 'index.html'}: {size / 1e6:.1f} MB.")
    return app.statuscode


def frames_of(path: Path, quick: bool = False) -> Path | None:
    """Return the folder with the frames of a solved chapter; make it if it is not in the cache.

    Returns
    -------
    Path, or None if ``quick`` and the cache does not hold it
    """
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = max((i for i, cell in enumerate(code) if _is_widget(cell)), default=None)
    if last is None:
        return None
    widgets = sum(map(_is_widget, code))
    # What came out counts, too: it changes where the package computes something else.
    texts = [text for cell in code for out in cell.outputs for text in output_texts(out)]
    parts = [cell.source for cell in code] + texts
    parts += [(Path(__file__).parent / "frames.py").read_text(encoding="utf-8")]
    key = hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    folder = cache_dir() / "frames" / f"{path.stem}-{key}"
    if folder.exists() or quick:
        return folder if folder.exists() else None
    print(f"{path.stem}: running it for the frames of its sliders", flush=True)
    from nbclient import execute
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, path.stem)
        recorder = f"from course.workshop import frames; frames.record({str(made)!r})"
        run = nbformat.v4.new_notebook(cells=[new_code_cell(recorder), *code[: last + 1]])
        try:
            execute(
                run, cwd=str(path.parent.parent), timeout=CELL_SECONDS, kernel_name="python3",
                startup_timeout=300, extra_arguments=["--log-level=40"],
            )  # fmt: skip
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:  # or a dead kernel
            last_line = re.sub("\x1b\\[[0-9;]*m", "", str(error).strip().splitlines()[-1])
            raise ConfigError(f"{path.stem} gave no frames: {last_line}") from error
        if (found := len(list(made.glob("*.json")))) != widgets:
            raise ConfigError(f"{path.stem} holds {widgets} widgets, but showed {found}")
        for old in folder.parent.glob(f"{path.stem}-*"):
            shutil.rmtree(old)
        folder.parent.mkdir(exist_ok=True)
        shutil.move(made, folder)
    return folder


def lay_out(book: Book, target: Path, frames: dict[str, Path | None]) -> None:
    """Lay chapters, texts, pictures and frames into the folder that Sphinx reads."""
    korean = summaries((book.root / "notebooks" / "GLOSSARY.ko.md").read_text(encoding="utf-8"))
    shutil.copytree(STATIC, target / "_static")
    font = Path(importlib.util.find_spec("ziamath").origin).parent / "fonts"
    shutil.copy(font / "STIXTwoMath-Regular.ttf", target / "_static")
    for stem, folder in frames.items():
        notebook = nbformat.read(book.notebook(stem, SOLUTION), as_version=4)
        if folder:
            ignored = shutil.ignore_patterns("*.json")
            shutil.copytree(folder, target / "_static" / "frames" / stem, ignore=ignored)
        figures = target / "_static" / "figures" / stem
        figures.mkdir(parents=True)
        read = for_reading(notebook, figures, folder)
        read.cells.insert(1, new_markdown_cell(_korean(*korean[stem])))
        path = target / "notebooks" / f"{stem}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(read, path)
    for name in [*sum(PAGES.values(), []), *FILES, "README.md"]:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (book.root / name).is_dir():
            shutil.copytree(book.root / name, place)
        elif place.suffix == ".md":
            text = (book.root / name).read_text(encoding="utf-8")
            # The README is the first page.
            place = target / "index.md" if name == "README.md" else place
            text = re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text)
            place.write_text(text + (_lists(list(frames)) if name == "README.md" else ""), "utf-8")
        else:
            shutil.copy(book.root / name, place)


def for_reading(notebook: NotebookNode, figures: Path, frames: Path | None) -> NotebookNode:
    """Return a solved chapter as the site shows it; its figures are written into a folder.

    Figures carry their words, widgets their frames, and what came out of a prediction is folded.
    """
    from course.workshop.frames import webp

    drawn = widgets = 0
    for cell in notebook.cells:
        cell.source = cell.source.replace("](../NOTATION.md)", "](NOTATION.md)")
        if has(cell, SETUP):
            cell.metadata.tags = ["remove-cell"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                name, about = f"{drawn}.webp", output.metadata.get("image/png", {})
                (figures / name).write_bytes(webp(base64.b64decode(data["image/png"])))
                source = f"../_static/figures/{figures.name}/{name}"
                words = about.get("alt", data.get("text/plain", "Figure"))
                size = about.get("width", 880), about.get("height", 420)
                data, drawn = {"text/html": markup.picture(source, words, *size)}, drawn + 1
            elif data.get("text/plain") == WIDGET_TEXT:
                data = {"text/html": _widget(frames, figures.name, widgets)}
                widgets += 1
            elif "course-answer" in data.get("text/html", ""):
                data = {"text/html": data["text/html"]}
            elif "text/html" in data:
                text = re.sub(r"LEDGER\.md(?=[#'\"])", "LEDGER.html", data["text/html"])
                data = {"text/html": f"<div class=course-wide>{text}</div>"}
            if data:
                output.data = nbformat.from_dict(data)
                output.metadata = nbformat.from_dict({})
    return notebook


def summaries(text: str) -> dict[str, tuple[str, str, str]]:
    """Return the Korean title, question and summary of each chapter from the glossary's text."""
    form = r"^### (\d\d_\w+)\n\n- 제목: (.+)\n- 질문: (.+)\n\n((?:(?!#).+\n?)+)"
    return {stem: (title, question, " ".join(summary.split()))
            for stem, title, question, summary in re.findall(form, text, re.M)}  # fmt: skip


def settings(root: Path) -> dict[str, object]:
    """Return Sphinx's settings; no page asks another machine for anything."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "")
    theme: dict[str, object] = {
        "use_download_button": False, "show_toc_level": 2, "navbar_persistent": [],
    }  # fmt: skip
    if address:
        theme |= {"repository_url": address, "use_repository_button": True,
                  "launch_buttons": {"colab_url": "https://colab.research.google.com"}}  # fmt: skip
    return {
        "project": "How YouTube recommends",
        "language": "en",
        "root_doc": "index",
        "extensions": ["myst_nb", __name__],
        "myst_update_mathjax": False,
        "nb_execution_mode": "off",
        "myst_enable_extensions": ["dollarmath", "amsmath"],
        "myst_heading_anchors": 4,
        "html_theme": "sphinx_book_theme",
        "html_title": "How YouTube recommends",
        "html_theme_options": theme,
        "html_static_path": ["_static"],
        "html_css_files": ["course.css"],
        "html_js_files": ["course.js"],
        "html_math_renderer": "mathml",
        "html_use_index": False,
        "html_copy_source": False,
        "html_show_sourcelink": False,
        "html_show_copyright": False,
        "nb_merge_streams": True,
    }


def setup(app) -> dict[str, bool]:
    """Let Sphinx write formulas as MathML, which browsers draw and screen readers speak."""
    app.add_html_math_renderer("mathml", (_math, None), (_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _is_widget(cell: NotebookNode) -> bool:
    return any(out.get("data", {}).get("text/plain") == WIDGET_TEXT for out in cell.outputs)


def _widget(frames: Path | None, stem: str, number: int) -> str:
    stored = frames / f"{number}.json" if frames else None
    if stored is None or not stored.exists():
        return "<p class=course-still>Controls stand here in the notebook.</p>"
    made = json.loads(stored.read_text(encoding="utf-8"))
    return markup.widget(made, f"../_static/frames/{stem}", number)


def _korean(title: str, question: str, summary: str) -> str:
    title, question, summary = map(html.escape, (title, question, summary))
    return (f"<details lang=ko class=course-korean><summary>{title}</summary><p><b>{question}</b>"
            f"</p><p>{summary}</p></details>")  # fmt: skip


def _lists(chapters: list[str]) -> str:
    lists = {"Chapters": [f"notebooks/{stem}" for stem in chapters], **PAGES}
    return "".join(
        f"\n\n```{{toctree}}\n:caption: {caption}\n:hidden:\n"
        + "".join(f"{name.removesuffix('.md')}\n" for name in names) + "```"
        for caption, names in lists.items()
    )  # fmt: skip


def _math(translator, node) -> None:
    import math_core
    from docutils.nodes import SkipNode

    block = node.tagname == "math_block"
    made = math_core.LatexToMathML().convert_with_local_state(node.astext(), displaystyle=block)
    translator.body.append(f'<div class="math">{made}</div>' if block else made)
    raise SkipNode
