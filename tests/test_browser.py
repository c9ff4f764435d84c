"""A reader at a real browser: cells run, a slider moves by keyboard, a round of the game is played.

Needs a Chromium of the machine; is skipped where there is none.
"""

from __future__ import annotations

from pathlib import Path

import browser_lab
import nbformat
import pytest

pytest.importorskip("playwright", reason="the browser test needs the package playwright")
pytest.importorskip("jupyterlab", reason="the browser test needs JupyterLab")

pytestmark = browser_lab.marks()
CHAPTERS = browser_lab.CHAPTERS[:8]

CELLS = [
    "import numpy as np\n"
    "from course import pages, plots, widgets\n"
    "from course.simulator.catalogue import Catalogue\n"
    "from course.simulator.config import WorldConfig\n"
    "from course.simulator.content import Content\n"
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
    "content = Content(1.0, Catalogue(WorldConfig.of('village'), 7), 7)\n"
    "def deal(number):\n"
    "    cards = [\n"
    "        widgets.Card(k, content.titles([k + number])[0], channel_name(k), 95 * k,\n"
    "                     k**1.5, 3**k, pages.thumbnail(content, k + number))\n"
    "        for k in range(12)\n"
    "    ]\n"
    "    return widgets.Deal(f'<b>Viewer {number}</b> watched two videos on baking.', cards)\n"
    "\n"
    "@plots.styled\n"
    "def score(deal, picks, history):\n"
    "    fig, ax = plots.figure(height=2.2)\n"
    "    ax.barh(['you'], [sum(picks)], color=plots.colour('you'))\n"
    "    ax.set(title='Where you stand', xlabel='points', xlim=(0, 50))\n"
    "    plots.floor_and_ceiling(ax, 20, 38)\n"
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder of notebooks, JupyterLab on it, and a reader at a browser."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "demo.ipynb", CELLS)
    write_notebook(folder / "bad.ipynb", BAD_CELLS)
    browser_lab.copy_chapters(folder, CHAPTERS)
    with browser_lab.lab_on(folder, tmp_path_factory.mktemp("jupyter")) as reader:
        yield reader


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
    lab.screenshot("slider-before")
    assert page.locator('.noUi-handle[aria-label="waves per second"]').count() == 1
    assert image.get_attribute("alt") == "Figure: 3 waves"
    handle.focus()
    page.keyboard.press("ArrowRight")
    after = lab.wait_for_new_picture(image, before)
    assert (value, readout.inner_text()) == ("3", "4")
    assert handle.get_attribute("aria-valuetext") == "4"
    assert image.get_attribute("alt") == "Figure: 4 waves"
    page.keyboard.press("ArrowLeft")
    assert lab.wait_for_new_picture(image, after) == before, "the same value, the same picture"
    lab.screenshot("slider-after")

    # The choice and the switch, by keyboard.
    page.locator(".widget-toggle-buttons button", has_text="square").focus()
    page.keyboard.press("Space")
    square = lab.wait_for_new_picture(image, before)
    page.locator(".widget-checkbox input[type=checkbox]").first.focus()
    page.keyboard.press("Space")
    lab.wait_for_new_picture(image, square)

    # The prediction, by keyboard: what came out is folded until something was chosen.
    assert page.locator("details.course-answer").count() == 1
    assert not page.locator("details.course-answer table").is_visible()
    answer = page.locator("button.widget-button", has_text="fewer waves")
    answer.focus()
    page.keyboard.press("Space")
    page.get_by_text("You will see it again").wait_for()
    assert answer.inner_text() == "● fewer waves"
    page.get_by_text("You expected").wait_for()
    assert page.locator("details.course-answer").count() == 0
    lab.screenshot("prediction")

    # A round of the game, by keyboard alone.
    picks = page.locator(".widget-gridbox button.widget-toggle-button")
    assert picks.count() == 12
    picks.first.scroll_into_view_if_needed()
    lab.screenshot("game-start")
    recommend = page.locator("button.widget-button", has_text="Recommend")
    assert recommend.is_disabled()
    for number in (11, 10, 9, 4):
        picks.nth(number).focus()
        page.keyboard.press("Space")
        page.wait_for_timeout(100)
    page.get_by_text("Your page is full").wait_for()
    lab.screenshot("game-full")
    recommend.focus()
    page.keyboard.press("Enter")
    page.get_by_text("You stand at 34.").wait_for()
    result = page.locator("img.widget-image, .widget-image img").last
    seen = lab.wait_for_new_picture(result, "")
    result.scroll_into_view_if_needed()
    assert result.bounding_box()["height"] > 100
    lab.screenshot("game-result")
    page.locator("button.widget-button", has_text="Another viewer").press("Enter")
    page.get_by_text("Viewer 1").wait_for()
    result.wait_for(state="hidden")
    lab.screenshot("game-next")

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
    lab.screenshot("error")
    assert len(lab.errors()) == 2 and "ValueError" in lab.errors()[1]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_a_reader_works_through_a_chapter(lab, chapter):
    lab.work_through(chapter)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_serious_in_a_chapter(lab, theme):
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    if theme == "Light":  # the dark one is the same page
        lab.run_notebook(CHAPTERS[0].name, seconds=300)
        lab.page.wait_for_timeout(2000)
    lab.page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
        f"JupyterLab {theme}",
    )
    assert browser_lab.serious(lab.page, ".jp-Notebook") == []
    pictures = lab.page.locator("img.widget-image:visible, .jp-RenderedHTMLCommon > img")
    words = pictures.evaluate_all("all => all.map(image => image.alt)")
    assert len(words) > 5 and all(len(text) > 20 for text in words)
