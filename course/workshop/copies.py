"""The reader's own copies of the chapters. Standard library only.

`open` and `copy` bring what is missing into a folder that git ignores, so an update never collides
with what somebody wrote. A small file in that folder says what each copy was made from, cell by
cell. With it one can tell three cases apart: a chapter that nobody has touched is brought up to
date; one that only its reader has changed is left alone; of one that both have changed the
reader's is kept, and the sections that are new in the course are named.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from course.paths import write_whole
from course.workshop.bootstrap import SetupError, say

RECORD = ".course-copies.json"
WORDS = {"copied": "copied   {path}", "renewed": "renewed  {path} (you had not changed it)"}


def bring(target: Path, source: Path, tell: bool = True) -> dict[str, str]:
    """Bring copies of the chapters and the pages beside them up to date in a folder.

    Parameters
    ----------
    target : folder of the reader; it is made if it is missing
    source : folder of the chapters
    tell : whether a line is printed for each file of which something is to be said

    Returns
    -------
    dict, file name -> ``"copied"``, ``"renewed"``, ``"kept"`` (both have changed) or ``"same"``

    Raises
    ------
    SetupError
        If there are no chapters to copy.
    """
    chapters = [*sorted(source.glob("*.ipynb")), *sorted(source.glob("*.md"))]
    if not chapters:
        raise SetupError(
            f"{source} holds no chapters. The package alone is no course: clone the whole "
            "repository and give the command there."
        )
    before, done = _record(target), {}
    record = dict(before)
    for path in chapters:
        copy, now = target / path.name, cells(path)
        then = record.get(path.name)
        own = cells(copy) if copy.exists() else None
        if own is None or (own == then != now):
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            done[path.name] = "copied" if own is None else "renewed"
        else:
            done[path.name] = "same" if own == now or then == now else "kept"
        if tell and done[path.name] in WORDS:
            say(WORDS[done[path.name]].format(path=copy))
        if tell and done[path.name] == "kept":
            say(f"kept     {copy}: it is yours. {_news(path, then)}")
        if done[path.name] != "kept":
            record[path.name] = now
    if record != before:
        write_whole(target / RECORD, json.dumps(record, indent=0, sort_keys=True) + "\n")
    return done


def cells(path: Path) -> dict[str, str]:
    """A mark for the text of each cell, by the cell's id; outputs do not count.

    A page, or what is no notebook any more, counts as one cell.
    """
    content = path.read_bytes()
    try:
        found = json.loads(content)["cells"] if path.suffix == ".ipynb" else None
        texts = found and {
            cell.get("id", str(place)): "".join(cell["source"]) for place, cell in enumerate(found)
        }
    except (ValueError, KeyError, TypeError):
        texts = None
    if not texts:
        texts = {"all": content.decode("utf-8", "replace").replace("\r\n", "\n")}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:12] for name, text in texts.items()}


def _record(target: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((target / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = found if isinstance(found, dict) else {}
    return {name: marks for name, marks in found.items() if isinstance(marks, dict)}


def _news(path: Path, then: dict[str, str] | None) -> str:
    """Which sections of a chapter have changed since it was copied, in words."""
    how = f"To begin with the course's, rename yours; to read it, open {path}."
    if then is None or path.suffix != ".ipynb":
        return f"The course's is another one. {how}"
    now, heading, changed = cells(path), "its beginning", {}
    for place, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        text = "".join(cell["source"])
        titles = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
        if cell["cell_type"] == "markdown" and titles:
            heading = titles[0]
        name = cell.get("id", str(place))
        if then.get(name) != now[name]:
            changed[heading] = changed.get(heading, 0) + 1
    listed = ", ".join(f"{title} ({n} {'cell' if n == 1 else 'cells'})"
                       for title, n in changed.items())  # fmt: skip
    return f"New in the course's since you copied it: {listed or 'cells were taken out'}. {how}"
