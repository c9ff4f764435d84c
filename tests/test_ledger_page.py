"""The ledger as a page and in the README: what is written, and that it is up to date."""

import functools
import re

import pytest

from course import ledger
from course.errors import ConfigError
from course.ledger import registry
from course.paths import repository_root
from course.workshop import ledger_page as page


@pytest.fixture(autouse=True, scope="module")
def lines_once():
    """What stands in the store does not change meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "lines", functools.cache(registry.lines))
        yield


def test_summary_counts_every_claim_and_every_line_once():
    counts, found = page.summary(), registry.lines()
    assert sum(counts["verdicts"].values()) == counts["rows"] == len(ledger.claims())
    assert (
        sum(counts["worlds"].values())
        == counts["rows"] - counts["verdicts"]["cannot be tested here"]
    )
    for outcome, n in counts["lines"].items():
        assert n == (found["outcome"] == outcome).sum() > counts["headline lines"][outcome] > 0
    assert counts["minutes"] > 60 and f"Of {counts['rows']} rows" in page.headline(counts)


def test_the_page_has_every_claim_with_its_verdict_and_every_line():
    text = page.page()
    for row in registry.lines().itertuples():
        assert f"### {row.claim}: {row.verdict}\n" in text
        assert row.line in text.replace(r"\|", "|")
        assert not row.worlds or f" | {row.says} | {row.ours} | {row.words} |" in text


def test_numbers_of_surprises_come_from_the_ledger():
    row = registry.lines("P1-C10").iloc[0]
    assert page.surprises("gains {P1-C10/1} %") == f"gains {row['ours']} %"
    assert page.surprises(f"{{P1-C10/1 {row['outcome']}}}") == row["ours"]
    other = "holds" if row["outcome"] == "fails" else "fails"
    with pytest.raises(ConfigError, match="P1-C10/1.*now.*write that sentence"):
        page.surprises(f"{{P1-C10/1 {other}}}")
    with pytest.raises(ConfigError, match="no such line.*1 to 7"):
        page.surprises("{P1-C10/9}")


def test_write_makes_everything_or_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(page.plots, "system_loop", page.plots.ledger_overview)
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{page.START}\n@@@\n{page.END}\n\nafter\n", encoding="utf-8")
    names = ["LEDGER.md", "README.md", "system.png", "worth.png", "ledger.png", "summary.json"]
    assert [file.name for file in page.write(tmp_path)] == names
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n") and text.endswith("\n\nafter\n") and "@@@" not in text
    (tmp_path / "data" / "LEDGER.md").unlink()
    readme.write_text("no markers", encoding="utf-8")
    with pytest.raises(ConfigError, match="no place.*ledger: written by"):
        page.write(tmp_path)
    assert not (tmp_path / "data" / "LEDGER.md").exists()


def test_what_is_stored_is_up_to_date():
    root, fix = repository_root(), "run: python3 -m course reproduce --page"
    for path, text in page.texts(root).items():
        assert path.read_text(encoding="utf-8") == text, fix
    for picture in re.findall(r"\((data/[^)]+)\)", text):
        assert (root / picture).is_file()
