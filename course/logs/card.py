"""The data card ``data/README.md``: its schema part is written from ``course.logs.schema``.

``python -m course.logs.card`` brings it up to date.
"""

from __future__ import annotations

from pathlib import Path

from course.errors import LogError
from course.logs.schema import markdown
from course.paths import data_dir, write_whole

BEGIN = "<!-- schema: begin (written by `python -m course.logs.card`) -->"
END = "<!-- schema: end -->"


def refreshed(text: str) -> str:
    """Return the card's text with the part between the two markers written anew.

    Raises
    ------
    LogError
        If the two markers are not there exactly once and in this order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after + before:
        raise LogError(
            "The data card lacks its two markers, or has them twice",
            allowed=f"one line {BEGIN!r} and after it one line {END!r}",
        )
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


def write_readme(path: Path | None = None) -> Path:
    """Write the schema part of ``data/README.md`` (or of ``path``) anew; returns the path."""
    path = path or data_dir() / "README.md"
    write_whole(path, refreshed(path.read_text(encoding="utf-8")))
    return path


if __name__ == "__main__":
    print(f"Wrote {write_readme()}")
