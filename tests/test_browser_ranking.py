"""A reader works through the chapters on ranking at a real browser; see `test_browser.py`."""

from __future__ import annotations

import browser_lab
import pytest

pytest.importorskip("playwright", reason="the browser test needs the package playwright")
pytest.importorskip("jupyterlab", reason="the browser test needs JupyterLab")

pytestmark = browser_lab.marks()
CHAPTERS = browser_lab.CHAPTERS[8:]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """These chapters, JupyterLab on them, and a reader at a browser."""
    folder = tmp_path_factory.mktemp("notebooks")
    browser_lab.copy_chapters(folder, CHAPTERS)
    with browser_lab.lab_on(folder, tmp_path_factory.mktemp("jupyter")) as reader:
        yield reader


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_a_reader_works_through_a_chapter(lab, chapter):
    lab.work_through(chapter)
