"""The ledger as the README shows it: a headline, a picture and a table, written by one command."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from course.claims import registry
from course.claims.claim import (
    FAILS,
    HOLDS,
    NOT,
    PARTLY,
    REPRODUCED,
    UNDECIDED,
    UNTESTABLE,
)
from course.errors import ConfigError
from course.paths import repository_root, write_whole

START = "<!-- ledger: written by `python3 -m course reproduce --readme` -->"
END = "<!-- end of ledger -->"

WORDS = {
    REPRODUCED: "came out as the papers say",
    PARTLY: "in part",
    NOT: "did not come out",
    UNTESTABLE: "cannot be tested here",
}


def counts() -> dict[str, int]:
    """Number of claims by verdict, in the order of ``WORDS``."""
    found = Counter(registry.summary()["verdict"])
    return {verdict: found.get(verdict, 0) for verdict in WORDS}


def lines() -> dict[str, int]:
    """Number of lines that decide, by outcome."""
    found = Counter(registry.table()["outcome"])
    return {outcome: found.get(outcome, 0) for outcome in (HOLDS, FAILS, UNDECIDED)}


def headline() -> str:
    """The ledger in two sentences."""
    known, deciding = counts(), lines()
    parts = [f"{n} {WORDS[verdict]}" for verdict, n in known.items() if n]
    return (
        f"Of {sum(known.values())} rows, {', '.join(parts[:-1])}, and {parts[-1]}. Of the "
        f"{sum(deciding.values())} lines that decide, {deciding[HOLDS]} hold, {deciding[FAILS]} "
        f"fail and {deciding[UNDECIDED]} are undecided: their interval is too wide to tell."
    )


def markdown_table() -> str:
    """One line for each claim: what the paper says, the first number that decides, the verdict."""
    lines = ["| claim | chapter | what the paper says | here (mean ± 95 % half width) | verdict |",
             "|---|---|---|---|---|"]  # fmt: skip
    columns = ["claim", "chapter", "what the paper says", "ours", "verdict"]
    for cells in registry.summary()[columns].itertuples(index=False):
        lines.append("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def section() -> str:
    """What stands between the two markers of the README."""
    return (
        f"{headline()}\n\n"
        "![Every claim by chapter and verdict](data/pictures/ledger.png)\n\n"
        "<details><summary>All rows of the ledger</summary>\n\n"
        f"{markdown_table()}\n\n</details>"
    )


def readme_with_ledger(text: str, ledger: Callable[[], str] = section) -> str:
    """The text of a README with a fresh ledger between the two markers.

    Parameters
    ----------
    ledger : function that returns what to write; for tests

    Raises
    ------
    ConfigError
        If a marker is not there exactly once.
    """
    if text.count(START) != 1 or text.count(END) != 1:
        raise ConfigError(
            "The README has no place for the ledger",
            allowed=f"one line {START} and one line {END}",
            fix="put both back",
        )
    before, rest = text.split(START)
    return f"{before}{START}\n{ledger()}\n{END}{rest.split(END)[1]}"


def write(
    root: Path | None = None,
    pictures: Mapping[str, Callable] | None = None,
    ledger: Callable[[], str] = section,
) -> list[Path]:
    """Write the README's ledger and its pictures; return the files.

    Parameters
    ----------
    root : the repository; None = this one
    pictures : name of a file in ``data/pictures`` -> function that draws it
    ledger : see `readme_with_ledger`
    """
    root = repository_root() if root is None else root
    readme, written = root / "README.md", []
    text = readme_with_ledger(readme.read_text(encoding="utf-8"), ledger)
    for name, draw in (_pictures() if pictures is None else pictures).items():
        target = root / "data" / "pictures" / name
        drawn = io.BytesIO()
        draw().savefig(drawn, dpi=110, bbox_inches="tight", metadata={"Software": None})
        write_whole(target, drawn.getvalue())
        written.append(target)
    write_whole(readme, text)
    return [*written, readme]


def _pictures() -> dict[str, Callable]:
    from course import plots
    from course.experiments.whole_system import STEPS

    return {
        "system.png": plots.system_loop,
        "worth.png": lambda: plots.course_steps(registry.results("whole_system"), STEPS),
        "ledger.png": plots.ledger_overview,
    }
