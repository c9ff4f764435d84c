"""What a stored notebook must not contain, and how long it is."""

from __future__ import annotations

import re
import statistics

from nbformat import NotebookNode

EXERCISE, SOLUTION, SETUP = "exercise", "solution", "setup"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# A shorter line of a solution, such as "total = 0", also stands in places that give nothing away.
LEAK_LENGTH = 15

# What must not stand in an output, because it differs from machine to machine or run to run.
UNWANTED = {
    "an absolute path": re.compile(
        r"(?<![\w.:/<])/(?:home|Users|root|tmp|var|private|opt|usr|work|content)/[\w.-]"
        r"|\b[A-Za-z]:\\+\w|site-packages"
    ),
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "an address of a local server": re.compile(r"https?://(?:localhost|127\.0\.0\.1)"),
    "terminal colours": re.compile("\x1b\\["),
    "a time of this run": re.compile(r"Wall time|CPU times|(?<![A-Za-z])(?:it/s|s/it)\b"),
    "a submission that failed": re.compile(r"\bworld \d+: '"),
}
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")


def size(notebook: NotebookNode) -> str:
    """Say how much there is to read, without the set-up cell that is the same in every chapter."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and not has(cell, SETUP)]
    lines = [sum(map(bool, map(str.strip, cell.source.splitlines()))) for cell in code]
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    prose = re.sub(r"```.*?```|<[^>]+>", " ", "\n".join(texts), flags=re.DOTALL)
    words = sum(any(letter.isalpha() for letter in word) for word in prose.split())
    outputs = [output for cell in code for output in cell.get("outputs", [])]
    return (
        f"{len(code)} code cells (lines: median {statistics.median(lines):g}, longest "
        f"{max(lines)}), {words} words, {sum(map(is_figure, outputs))} figures"
    )


def is_figure(output: NotebookNode) -> bool:
    """Say whether an output shows a picture: an image, or HTML that draws one."""
    data = output.get("data", {})
    if any(mime.startswith("image/") for mime in data):
        return True
    html = "".join(data.get("text/html", ""))
    return "<svg" in html or "<img" in html


def has(cell: NotebookNode, tag: str) -> bool:
    """Say whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def faults(notebook: NotebookNode) -> list[str]:
    """Return what a stored, executed notebook must not contain, one sentence each.

    These are: cells that were not run in order, errors, messages on stderr, the state of widgets,
    and the patterns of `UNWANTED` in an output that is text.
    """
    found = []
    if "widgets" in notebook.metadata:
        found.append("the notebook holds the state of widgets")
    expected = 0
    for number, cell in enumerate(notebook.cells, start=1):
        where = f"cell {number}"
        found += [
            f"{where} has {what} in its metadata"
            for what in ("execution", "ExecuteTime")
            if what in cell.metadata
        ]
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        expected += 1
        if cell.execution_count != expected:
            found.append(f"{where} was not run in order (its number is {cell.execution_count})")
        for output in cell.outputs:
            found += [f"{where} has {what}" for what in output_faults(output)]
    return found


def output_faults(output: NotebookNode) -> list[str]:
    """Return what is wrong with one output."""
    if output.output_type == "error":
        return [f"an error: {output.ename}: {output.evalue}"]
    if output.output_type == "stream" and output.name == "stderr":
        return [f"a message on stderr: {shorten(output.text)}"]
    if WIDGET_VIEW in output.get("data", {}):
        return ["a widget whose state is not stored"]
    pictures = [mime for mime in output.get("data", {}) if mime.startswith("image/")]
    found = [
        f"a picture without words for those who cannot see it: {mime}"
        for mime in pictures
        if not output.metadata.get(mime, {}).get("alt", "").strip()
    ]
    for text in output_texts(output):
        text = _DATA_URI.sub("", text)
        for what, pattern in UNWANTED.items():
            if hit := pattern.search(text):
                found.append(f"{what} in an output: {shorten(text[hit.start() :])}")
    return found


def output_texts(output: NotebookNode) -> list[str]:
    """Return the texts of an output that a reader or a search would see."""
    if output.output_type == "stream":
        return ["".join(output.text)]
    data = output.get("data", {})
    return ["".join(value) for mime, value in data.items() if mime.startswith("text/")]


def leaks(student: NotebookNode, source: NotebookNode) -> list[str]:
    """Return the lines of solutions that stand anywhere in a student notebook.

    Parameters
    ----------
    student : the notebook that is handed out
    source : the chapter with its stubs and solutions; a line that its other cells show openly is
        no secret
    """
    lines: dict[bool, set[str]] = {True: set(), False: set()}
    for cell in source.cells:
        lines[has(cell, SOLUTION)] |= _lines(cell.source)
    secret = lines[True] - lines[False]
    # Spaces are no protection: compare without them.
    squeezed = "".join("".join(_strings(student)).split())
    return sorted(line for line in secret if "".join(line.split()) in squeezed)


def _lines(text: str) -> set[str]:
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if len("".join(line.split())) >= LEAK_LENGTH}


def _strings(value: object) -> list[str]:
    """Return every text in a nested value: sources, outputs, metadata, attachments."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        images = {key for key in value if key.startswith("image/")}
        return [text for key, item in value.items() if key not in images for text in _strings(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _strings(item)]
    return []


def shorten(text: str, length: int = 80) -> str:
    """Return the beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."
