"""The ledger in the README: what is written, and that it is up to date."""

import re

import pytest

from course.claims import page, registry
from course.errors import ConfigError
from course.paths import repository_root

TEXT = f"# Title\n\n{page.START}\n@@@\n{page.END}\n\nafter\n"


class Drawn:
    """Stands for a figure."""

    def savefig(self, file, **options):
        file.write(b"picture")


def test_headline_counts_every_claim_once():
    counts = page.counts()
    assert sum(counts.values()) == len(registry.claims())
    assert f"Of {len(registry.claims())} rows, {counts['reproduced']} came out" in page.headline()
    outcomes = registry.table()["outcome"]
    assert page.lines()["holds"] == (outcomes == "holds").sum()
    assert sum(page.lines().values()) == outcomes.isin(["holds", "fails", "undecided"]).sum()


def test_table_has_a_line_for_each_claim_with_its_verdict():
    lines = page.markdown_table().splitlines()
    assert len(lines) == 2 + len(registry.claims())
    for line, (name, claim) in zip(lines[2:], registry.claims().items(), strict=True):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert cells[0] == name and cells[1] == claim.chapter and len(cells) == 5
        assert cells[4] == registry.verdict(name) and all(cells)


def test_only_the_place_between_the_markers_changes():
    text = page.readme_with_ledger(TEXT, lambda: "new")
    assert text.startswith("# Title\n\n") and text.endswith("\n\nafter\n") and "@@@" not in text
    assert "\nnew\n" in text and page.readme_with_ledger(text, lambda: "new") == text


@pytest.mark.parametrize("text", ["", TEXT + page.START, TEXT.replace(page.END, "")])
def test_a_readme_without_a_place_is_refused(text):
    with pytest.raises(ConfigError, match="no place for the ledger"):
        page.readme_with_ledger(text, lambda: "new")


def test_write_makes_pictures_and_leaves_nothing_half(tmp_path):
    (tmp_path / "README.md").write_text(TEXT, encoding="utf-8")
    files = page.write(tmp_path, {"a.png": Drawn}, lambda: "new")
    assert [f.name for f in files] == ["a.png", "README.md"]
    assert files[0].read_bytes() == b"picture"
    (tmp_path / "README.md").write_text("no markers", encoding="utf-8")
    with pytest.raises(ConfigError):
        page.write(tmp_path, {"b.png": Drawn}, lambda: "new")
    assert not (tmp_path / "data" / "pictures" / "b.png").exists()


def test_the_readme_is_up_to_date():
    root = repository_root()
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text == page.readme_with_ledger(text), "run: python3 -m course reproduce --readme"
    for picture in re.findall(r"\((data/pictures/[^)]+)\)", text):
        assert (root / picture).is_file()
