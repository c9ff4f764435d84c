"""The data card ``data/README.md``: its schema part is written from ``course.logs.schema``.

``python -m course.logs.card`` brings it up to date.
"""

from __future__ import annotations

from course.logs.schema import markdown
from course.paths import data_dir, fill_between, write_whole

BEGIN = "<!-- schema: begin (written by `python -m course.logs.card`) -->"
END = "<!-- schema: end -->"


def refreshed(text: str) -> str:
    """Return the card's text with the part between the two marks written anew."""
    return fill_between(text, BEGIN, END, f"\n{markdown()}")


if __name__ == "__main__":
    card = data_dir() / "README.md"
    write_whole(card, refreshed(card.read_text(encoding="utf-8")))
    print(f"Wrote {card}")
