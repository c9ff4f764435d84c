"""The one address: written everywhere, taken out again without a trace; links between chapters."""

import re
import shutil

import nbformat
import pytest

from course.errors import ConfigError
from course.workshop import address, book
from course.workshop.checks import SOLUTION

HERE = "https://github.com/somebody/a-course"


@pytest.fixture
def small(tmp_path, repository, monkeypatch):
    """Two chapters of the course, its README and project, in a folder of their own."""
    for name in ("pyproject.toml", "README.md", "data/results/notebook_seconds.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    for stem in ("00_start_here", "01_a_simulated_youtube"):
        for name in (f"source/{stem}.py", f"{stem}.ipynb", f"solutions/{stem}.ipynb"):
            (tmp_path / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repository / "notebooks" / name, tmp_path / "notebooks" / name)
    here = book.Book(tmp_path)
    monkeypatch.setattr(book, "Book", lambda: here)
    address.main(address.NOBODY)  # with these two, links to the others are words
    return here


def everything(here):
    return {path: path.read_bytes() for path in here.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("given", [HERE, HERE + "/", HERE + ".git", f"  {HERE}"])
def test_there_and_back(small, given, capsys):
    before = everything(small)
    assert address.main(given) == 0 and HERE in capsys.readouterr().out
    assert address.read(small.root) == (HERE, "main")
    assert all(not _differs(path, small) for path in small.sources())
    for role, folder in (("student", "notebooks"), (SOLUTION, "notebooks/solutions")):
        cells = nbformat.read(small.notebook("00_start_here", role), as_version=4).cells
        place = f"github/somebody/a-course/blob/main/{folder}/00_start_here.ipynb"
        assert f"({address.COLAB}/{place})" in cells[0].source
        assert f"{folder}/00_start_here.ipynb" in cells[0].source.split(address.BINDER)[1]
        assert f'REPOSITORY = "{HERE}"' in "".join(cell.source for cell in cells)
        assert any(cell.get("outputs") for cell in cells)  # they were kept
    text = small.readme.read_text(encoding="utf-8")
    assert f"git clone {HERE} how-youtube-recommends" in text and address.COLAB in text
    address.main(HERE, "spring")
    assert "/blob/spring/" in small.readme.read_text(encoding="utf-8")
    address.main(address.NOBODY)
    assert everything(small) == before


def _differs(path, here):
    return [found for found in book.check(path, here) if "lessons" not in found]


def test_another_host_is_cloned_and_has_no_badge(small):
    address.main("https://git.example.org/team/a-course")
    first = nbformat.read(small.notebook("00_start_here", "student"), as_version=4).cells
    assert address.COLAB not in first[0].source
    assert "git.example.org/team/a-course" in small.readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("bad", ["", "somebody/a-course", "http://github.com/a/b", "https://github.com",
                                 "https://me:secret@github.com/a/b", "https://github.com/a/b?x=1",
                                 'https://github.com/a/"b'])  # fmt: skip
def test_what_is_no_address_is_refused_and_nothing_is_written(small, bad):
    before = everything(small)
    with pytest.raises(ConfigError, match="address"):
        address.main(bad)
    with pytest.raises(ConfigError, match="branch"):
        address.main(HERE, "a b")
    assert everything(small) == before


def test_a_chapter_whose_code_is_old_is_built_first(small):
    path = small.notebook("01_a_simulated_youtube", "student")
    stored = nbformat.read(path, as_version=4)
    next(c for c in stored.cells[5:] if c.cell_type == "code").source = "old = 1"
    path.write_text(book.dump(stored), encoding="utf-8")
    with pytest.raises(ConfigError, match="notebooks 01"):
        address.main(HERE)


def test_nothing_shows_a_placeholder(repository):
    if address.read(repository)[0]:
        pytest.skip("this copy has an address")
    pages = [*repository.glob("*.md"), *(repository / "notebooks").glob("*.md")]
    for path in pages:
        assert not re.search("<(the )?address|<이 저장소", path.read_text(encoding="utf-8")), path


def test_chapters_link_forward_and_back(repository):
    here = book.Book(repository)
    names = [path.stem for path in here.sources()]
    for role in ("student", SOLUTION):
        for name, after in zip(names, [*names[1:], None], strict=True):
            cells = nbformat.read(here.notebook(name, role), as_version=4).cells
            texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
            last = texts[-1].rpartition("\n\n")[2]
            assert not after or (last.startswith("**Next.** [") and f"({after}.ipynb)" in last)
            linked = set(re.findall(r"\]\((\d\d\w*)\.ipynb\)", texts[0]))
            assert linked <= set(names) and (linked or name.startswith("00"))
