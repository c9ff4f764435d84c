"""The ledger as a page, in pictures, and as the README's part of it, all from stored results."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from course import plots
from course.errors import ConfigError
from course.ledger import registry
from course.ledger.claim import FAILS, HOLDS, UNDECIDED, UNTESTABLE, VERDICTS, Claim
from course.ledger.registry import PAGE
from course.paths import fill_between, notebooks_dir, repository_root, write_whole

START = "<!-- ledger: written by `python3 -m course reproduce --page` -->"
END = "<!-- end of ledger -->"
SUMMARY = "data/results/summary.json"
PICTURE = "pictures/ledger.png"
OUTCOMES = HOLDS, FAILS, UNDECIDED
_PLACE = re.compile(r"\{([\w-]+)/(\d+)(?: (holds|fails|undecided))?\}")


def summary() -> dict:
    """The ledger in numbers.

    Returns
    -------
    dict with ``rows``, the number of claims; ``verdicts``; ``lines`` that decide and, of them,
    ``headline lines``, each by outcome; ``worlds``, the number of claims by how many worlds judge
    them; ``minutes`` of one core that the stored runs took
    """
    found = registry.lines()
    claims = found.drop_duplicates("claim")
    heads = found[found["headline"]]
    seconds = sum(sum(registry.results(name).attrs["core_seconds"]) for name in registry.trials())

    def count(column, names):
        counts = column.value_counts()
        return {str(name): int(counts.get(name, 0)) for name in names}

    return {
        "rows": len(claims),
        "verdicts": count(claims["verdict"], VERDICTS),
        "lines": count(found["outcome"], OUTCOMES),
        "headline lines": count(heads["outcome"], OUTCOMES),
        "worlds": count(claims["worlds"], sorted(set(claims["worlds"]) - {0})),
        "minutes": round(seconds / 60, 1),
    }


def headline(counts: Mapping) -> str:
    """A `summary` in words."""
    verbs = {UNTESTABLE: "", "one": "is ", "more": "are "}
    parts = [
        f"{n} {verbs.get(verdict, verbs['one' if n == 1 else 'more'])}{verdict}"
        for verdict, n in counts["verdicts"].items()
        if n
    ]
    lines, heads = counts["lines"], counts["headline lines"]
    return (
        f"Of {counts['rows']} rows {', '.join(parts[:-1])}, and {parts[-1]}. Of the "
        f"{sum(heads.values())} headline lines {heads[HOLDS]} hold, {heads[FAILS]} fail and "
        f"{heads[UNDECIDED]} are undecided: their interval is too wide to tell. Of all "
        f"{sum(lines.values())} lines that have a range, {lines[HOLDS]} hold, {lines[FAILS]} fail "
        f"and {lines[UNDECIDED]} are undecided."
    )


def page() -> str:
    """Every line of the ledger, as Markdown."""
    parts = [
        "# The ledger\n\n<!-- written by `python3 -m course reproduce --page` -->\n",
        f"{headline(summary())}\n",
        f"![Every claim by chapter and verdict]({PICTURE})\n",
        "Each claim of the papers was tested over simulated worlds whose seeds chose no setting. "
        "A line holds if its whole 95 % interval lies in its range, fails if all of it lies "
        "outside, and is undecided otherwise; then the smallest effect stands beside it that as "
        "many worlds would have shown in four of five repetitions. The verdict follows from the "
        "**headline lines**, which say what the paper says: *reproduced* if all hold, *mixed* if "
        "some do, *contradicted* if none holds and one fails, *undecided* if all are. *Built as "
        "in the paper*: our own code satisfies them by construction.\n",
    ]
    known = registry.claims()
    for chapter, rows in registry.lines().groupby("chapter"):
        parts.append(f"## Chapter {chapter}\n")
        parts += [_row(known[name], own) for name, own in rows.groupby("claim", sort=False)]
    return "\n".join(parts)


def _row(claim: Claim, rows: pd.DataFrame) -> str:
    verdict, worlds = rows[["verdict", "worlds"]].iloc[0]
    parts = [f"### {claim.id}: {verdict}\n", f"{claim.title.rstrip('.')}.\n"]
    parts += [f"*In the paper:* {claim.paper.rstrip('.')}.\n"] if claim.paper else []
    why = claim.built or claim.untestable
    parts += [f"*{verdict.capitalize()}:* {why.rstrip('.')}.\n"] if why else []
    if worlds:
        parts += [f"| line | it says | here, {worlds} worlds | outcome |", "|---|---|---|---|"]
        for row in rows.itertuples():
            label = row.line.replace("|", "\\|")
            label = f"**{label}**" if row.headline else label
            parts.append(f"| {label} | {row.says} | {row.ours} | {row.words} |")
    return "\n".join([*parts, f"\n{claim.note}\n" if claim.note else ""])


def surprises(text: str) -> str:
    """A text with numbers of the ledger for its places.

    ``{P1-C10/1}`` stands for what came out of the first line of that claim. ``{P1-C10/1 fails}``
    raises a ConfigError as soon as the line no longer fails, for then the words are wrong.
    """

    def fill(place: re.Match) -> str:
        name, number, outcome = place.groups()
        rows = registry.lines(name)
        if not 1 <= int(number) <= len(rows):
            raise ConfigError(f"{place[0]}: there is no such line", allowed=f"1 to {len(rows)}")
        row = rows.iloc[int(number) - 1]
        if outcome and row["outcome"] != outcome:
            raise ConfigError(
                f"{place[0]}: the line {row['line']!r} now {row['outcome']} ({row['ours']})",
                fix="write that sentence of notebooks/ledger/surprises.md anew",
            )
        return row["ours"]

    return _PLACE.sub(fill, text)


def section() -> str:
    """What stands between the two markers of the README."""
    text = (notebooks_dir() / "ledger" / "surprises.md").read_text(encoding="utf-8")
    return (
        f"{headline(summary())}\n\n![Every claim by chapter and verdict](data/{PICTURE})\n\n"
        f"Five results that we did not expect:\n\n{surprises(text)}\n"
        f"Every line, with the smallest effect that one could have seen: [the ledger]({PAGE})."
    )


def texts(root: Path) -> dict[Path, str]:
    """What stands in the two files that tell of the ledger, the page and the README."""
    readme = root / "README.md"
    fresh = fill_between(readme.read_text(encoding="utf-8"), START, END, section())
    return {root / PAGE: page(), readme: fresh}


def write_summary(root: Path | None = None) -> Path:
    """Write the ledger in numbers; return the file."""
    path = (repository_root() if root is None else root) / SUMMARY
    write_whole(path, json.dumps(summary(), indent=1) + "\n")
    return path


def write(root: Path | None = None) -> list[Path]:
    """Write the page, the summary, the README's ledger and the pictures; return the files."""
    root = repository_root() if root is None else root
    # First all that may fail, so that nothing is half written.
    files: dict[Path, str | bytes] = {**texts(root)}
    figures = {
        "system.png": plots.system_loop(),
        "worth.png": worth(registry.results("system")),
        "ledger.png": plots.ledger_overview(),
    }
    for name, figure in figures.items():
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=110, bbox_inches="tight", metadata={"Software": None})
        files[root / "data" / "pictures" / name] = drawn.getvalue()
    for path, content in files.items():
        write_whole(path, content)
    return [*files, write_summary(root)]


STEPS = ("two counts (00)", "popular (01)", "factorization (02)", "sequence (03)", "minutes (07)",
         "seven tasks (08)", "experts (09)", "Figure 1 (10)", "own day")  # fmt: skip
"""Of the README's picture, as chapter 12's trial calls them."""


def worth(results: pd.DataFrame):
    """Figure: what each step of the course is worth live, each measure under its own ceiling."""
    measures = {"minutes": "minutes", "satisfied": "satisfied watches"}
    rows = [
        {"who": who, "panel": label, "value": value}
        for who in STEPS
        for name, label in measures.items()
        for value in results[f"{who}/{name} gap"]
    ]
    label = "share of the way from random pages to the oracle (%)"
    return plots.worlds(pd.DataFrame(rows), panel="panel", label=label)
