"""A reader at a real browser: cells run, a slider moves by keyboard, a round of the game is played.

Needs a Chromium of the machine; is skipped where there is none.
"""

from __future__ import annotations

import os
from pathlib import Path

import browser_lab
import nbformat
import pytest

pytest.importorskip("playwright", reason="the browser test needs the package playwright")
pytest.importorskip("jupyterlab", reason="the browser test needs JupyterLab")

BROWSER = browser_lab.find_browser()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None,
        reason="the browser test needs Chromium (on Debian: apt-get install chromium)",
    ),
]

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: Chapters that show things of single accounts, which a smaller world does not have.
WHOLE = ("02", "05")

#: Set this to a folder to look at what the reader sees.
SCREENSHOTS = os.environ.get("COURSE_SCREENSHOTS")

CELLS = [
    "import numpy as np\n"
    "from course import pages, plots, widgets\n"
    "from course.simulator.names import channel_name",
    "asked = widgets.predict('demo', 'What does a higher frequency give?',\n"
    "                        ['more waves', 'fewer waves'])\n"
    "asked",
    "@plots.styled\n"
    "def wave(frequency, shape='sine', grid=True):\n"
    "    fig, ax = plots.figure(height=3)\n"
    "    x = np.linspace(0, 1, 300)\n"
    "    y = np.sin(2 * np.pi * frequency * x)\n"
    "    ax.plot(x, y if shape == 'sine' else np.sign(y))\n"
    "    ax.set(title=f'{frequency} waves', xlabel='seconds', ylabel='height')\n"
    "    ax.grid(grid)\n"
    "    return fig",
    "widgets.sliders(wave, frequency=widgets.IntSlider(1, 9, 1, 3, 'waves per second'),\n"
    "                shape=['sine', 'square'], grid=True)",
    "asked.beside('More <b>waves</b>.')",
    "def deal(number):\n"
    "    cards = [\n"
    "        widgets.Card(k, pages.title_for(k, k % 6, 0, k + number), channel_name(k), 95 * k,\n"
    "                     k**1.5, 3**k, pages.thumbnail(k, k % 6, k + number, clickbait=k / 12))\n"
    "        for k in range(12)\n"
    "    ]\n"
    "    return widgets.Deal(f'<b>Viewer {number}</b> watched two videos on baking.', cards)\n"
    "\n"
    "@plots.styled\n"
    "def score(deal, picks):\n"
    "    fig, ax = plots.figure(height=2.2)\n"
    "    ax.barh(['you'], [sum(picks)], color=plots.colour('you'))\n"
    "    ax.set(title='Where you stand', xlabel='points', xlim=(0, 50))\n"
    "    plots.floor_and_ceiling(ax, 20, 38, 'v')\n"
    "    return fig, f'You stand at <b>{sum(picks)}</b>.'",
    "widgets.RecommenderGame(deal, score, picks=4)",
]


BAD_CELLS = [
    "from course import plots, widgets\n"
    "def draw(x):\n"
    "    if x > 1:\n"
    "        raise ValueError('too far')\n"
    "    return plots.figure()[0]",
    "widgets.sliders(draw, x=(1, 3, 1, 1))",
    "from IPython.display import HTML\nHTML('<img src=\"http://example.com/a.png\">')",
    "1 / 0",
]


def write_notebook(path: Path, sources: list[str]) -> Path:
    """Write a notebook of code cells."""
    cells = [
        nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        for number, source in enumerate(sources)
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def with_fewer_users(chapter: Path) -> str:
    """The text of a chapter on a smaller world, since here the page is tested, not the numbers.

    nbval runs the chapters as they are.
    """
    text = chapter.read_text(encoding="utf-8")
    if chapter.stem.startswith(WHOLE):
        return text
    return text.replace('simulate(\\"small\\", seed=7', 'simulate(\\"small\\", seed=7, users=800')


def test_most_chapters_get_a_smaller_world():
    smaller = [c.stem for c in CHAPTERS if "users=800" in with_fewer_users(c)]
    assert len(smaller) >= len(CHAPTERS) - len(WHOLE) - 1  # chapter 11 makes a world of its own


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder of notebooks, JupyterLab on it, and a reader at a browser."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "demo.ipynb", CELLS)
    write_notebook(folder / "bad.ipynb", BAD_CELLS)
    for chapter in CHAPTERS:
        # A copy, so that nothing is ever saved over the chapter itself.
        (folder / chapter.name).write_text(with_fewer_users(chapter), encoding="utf-8")
    home = tmp_path_factory.mktemp("jupyter")
    with (
        browser_lab.jupyterlab(folder, home) as address,
        browser_lab.reader(address, BROWSER) as reader,
    ):
        yield reader


def screenshot(lab, name: str) -> None:
    if SCREENSHOTS:
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        lab.page.screenshot(path=folder / f"{name}.png")


def test_every_kind_of_widget_works_by_keyboard(lab):
    page = lab.page
    cells = lab.run_notebook("demo.ipynb")
    assert lab.errors() == []
    assert all(cell["execution_count"] for cell in cells), "a cell did not run"

    # The slider, by keyboard.
    handle = page.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    image = page.locator("img.widget-image, .widget-image img").first
    readout = page.locator(".widget-readout").first
    before, value = lab.wait_for_new_picture(image, ""), readout.inner_text()
    screenshot(lab, "slider-before")
    handle.focus()
    page.keyboard.press("ArrowRight")
    after = lab.wait_for_new_picture(image, before)
    assert (value, readout.inner_text()) == ("3", "4")
    page.keyboard.press("ArrowLeft")
    assert lab.wait_for_new_picture(image, after) == before, "the same value, the same picture"
    screenshot(lab, "slider-after")

    # The choice and the switch, by keyboard.
    page.locator(".widget-toggle-buttons button", has_text="square").focus()
    page.keyboard.press("Space")
    square = lab.wait_for_new_picture(image, before)
    page.locator(".widget-checkbox input[type=checkbox]").first.focus()
    page.keyboard.press("Space")
    lab.wait_for_new_picture(image, square)

    # The prediction, by keyboard.
    answer = page.locator("button.widget-button", has_text="fewer waves")
    answer.focus()
    page.keyboard.press("Space")
    page.get_by_text("You will see it again").wait_for()
    assert answer.inner_text() == "● fewer waves"
    screenshot(lab, "prediction")

    # A round of the game, by keyboard alone.
    picks = page.locator(".widget-gridbox button.widget-toggle-button")
    assert picks.count() == 12
    picks.first.scroll_into_view_if_needed()
    screenshot(lab, "game-start")
    recommend = page.locator("button.widget-button", has_text="Recommend")
    assert recommend.is_disabled()
    for number in (11, 10, 9, 4):
        picks.nth(number).focus()
        page.keyboard.press("Space")
        page.wait_for_timeout(100)
    page.get_by_text("Your page is full").wait_for()
    screenshot(lab, "game-full")
    recommend.focus()
    page.keyboard.press("Enter")
    page.get_by_text("You stand at 34.").wait_for()
    result = page.locator("img.widget-image, .widget-image img").last
    seen = lab.wait_for_new_picture(result, "")
    result.scroll_into_view_if_needed()
    assert result.bounding_box()["height"] > 100
    screenshot(lab, "game-result")
    page.locator("button.widget-button", has_text="Another viewer").press("Enter")
    page.get_by_text("Viewer 1").wait_for()
    result.wait_for(state="hidden")
    screenshot(lab, "game-next")

    assert seen and lab.errors() == []
    assert lab.outside == []


def test_what_goes_wrong_on_the_page_is_noticed(lab):
    lab.run_notebook("bad.ipynb")
    assert lab.errors() == ["ZeroDivisionError: division by zero"]
    assert set(lab.outside) == {"http://example.com/a.png"}
    handle = lab.page.locator(".noUi-handle").first
    handle.focus()
    lab.page.keyboard.press("ArrowRight")
    lab.page.locator("[role=alert].course-error").first.wait_for()
    screenshot(lab, "error")
    assert len(lab.errors()) == 2 and "ValueError" in lab.errors()[1]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_a_reader_works_through_a_chapter(lab, chapter):
    cells = lab.run_notebook(chapter.name, seconds=300)
    screenshot(lab, chapter.stem)
    assert lab.errors() == []
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")

    handles, games = lab.page.locator(".noUi-handle"), lab.page.locator(".widget-gridbox")
    assert handles.count() + games.count() > 0, "nothing to touch in this chapter"
    for number in range(handles.count()):
        before, after = lab.move_slider(handles.nth(number))
        assert after != before, f"slider {number} changes nothing"
        screenshot(lab, f"{chapter.stem}-slider-{number}")
    if games.count():
        game = games.first.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][last()]")
        assert lab.play(game)
        screenshot(lab, f"{chapter.stem}-game")
    assert lab.errors() == []
    assert lab.outside == []
