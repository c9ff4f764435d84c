"""Reads a chapter's claims from one table of words, formula and range.

A blank line ends a claim. Its first line is ``ID: title``; then come ``paper:``, ``trial:`` (two
names with a comma, where it reads two), ``note:``, ``built:``, ``untestable:``, and its lines::

    * words | formula | range | the paper's number     (a headline line)
    - words | formula | range                          (a further line)
    - words | formula                                  (only shown)

A range is ``above 0``, ``below 0.5`` or ``-1 to 1``. What is indented goes on with the line before.
"""

from __future__ import annotations

import inspect
import re

from course.errors import ConfigError
from course.ledger.claim import Claim, Contrast, naming

KEYS = ("paper", "trial", "note", "built", "untestable")
_END = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
_RANGE = re.compile(rf"above {_END}|below {_END}|{_END} to {_END}|")


def read(text: str, chapter: str) -> tuple[Claim, ...]:
    """The claims of a chapter; an error names the claim and the line."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return tuple(_claim(re.sub(r"\n\s+", " ", block).splitlines(), chapter) for block in blocks)


def _claim(lines: list[str], chapter: str) -> Claim:
    name, colon, title = lines[0].partition(": ")
    if not colon or not re.fullmatch(r"[\w-]+", name):
        raise ConfigError(f"A claim begins with {lines[0]!r}", allowed="ID: title")
    fields, contrasts = {}, []
    with naming(f"Claim {name}, line"):
        for line in lines[1:]:
            key, _, value = line.partition(":")
            if line.startswith(("* ", "- ")):
                contrasts.append(_contrast(line))
            elif key in KEYS and key not in fields:
                fields[key] = value.strip()
            else:
                allowed = f"each once: {', '.join(KEYS)}, with a colon; lines with * or -"
                raise ConfigError(repr(line), allowed=allowed)
    trial, _, beside = (part.strip() for part in fields.pop("trial", "").partition(","))
    return Claim(name, chapter, title, trial=trial, beside=beside, contrasts=tuple(contrasts),
                 **fields)  # fmt: skip


def _contrast(line: str) -> Contrast:
    words, *cells = (cell.strip() for cell in line[2:].split("|"))
    if not 1 <= len(cells) <= 3:
        raise ConfigError(
            f"{words!r} has {len(cells) + 1} cells", allowed="words | formula | range"
        )
    formula, within, paper = [*cells, "", ""][:3]
    found = _RANGE.fullmatch(within)
    if not found:
        allowed = "above 0, below 0.5, -1 to 1, or nothing"
        raise ConfigError(f"{words!r}: the range is {within!r}", allowed=allowed)
    above, below, low, high = (end and float(end) for end in found.groups())
    low, high = above if low is None else low, below if high is None else high
    return Contrast(words, formula, low, high, line.startswith("*"), paper)
