"""The site in a real browser: widgets move by keyboard, nothing is broken, nothing goes out.

All real pages are built; the frames are a demonstration's, since making the chapters' own takes
half an hour.
"""

from __future__ import annotations

import functools
import http.server
import json
import threading
import warnings
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser_lab
import pytest
from test_site import game
from test_widgets import wave

from course.widgets import predict, sliders
from course.workshop import frames, site
from course.workshop.book import Book

for name in site.NEEDED:
    pytest.importorskip(name, reason='the site needs: pip install -e ".[lab,site]"')
pytest.importorskip("playwright", reason="the browser test needs the package playwright")
pytestmark = browser_lab.marks()

START, LATER = "notebooks/00_start_here.html", "notebooks/07_expected_watch_time.html"
PAGES = [START, "index.html", "notebooks/GLOSSARY.ko.html"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def build(home: Path) -> Path:
    """Build the site with the frames of a demonstration; return its folder."""
    controls = {"frequency": (1, 4, 1, 2), "shape": ["sine", "square"], "grid": True}
    shown = sliders(wave, **controls)
    asked = predict("site", "What comes?", ["more", "less"])
    for chapter, widgets in {"first": [asked, shown, asked, game()], "other": [shown] * 9}.items():
        (home / chapter).mkdir()
        for number, widget in enumerate(widgets):
            made = frames.data(widget, home / chapter, number)
            (home / chapter / f"{number}.json").write_text(json.dumps(made), "utf-8")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Sphinx warns the theme of its next version
        patch.setattr(
            site, "frames_of",
            lambda path, quick: home / ("first" if path.stem.startswith("00") else "other"),
        )  # fmt: skip
        assert site.main(home / "site") == 0
    return home / "site"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site."""
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def reader(built):
    """A reader at a browser, before whom the site lies."""
    handler = functools.partial(Quiet, directory=str(built))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with browser_lab.reader(address, browser_lab.find_browser()) as found:
        yield found
    server.shutdown()
    server.server_close()


def visit(reader, name, width=1280, dark=False):
    reader.page.set_viewport_size({"width": width, "height": 900})
    reader.page.goto(f"{reader.address}/{name}")
    mode = "dark" if dark else "light"
    # Colours that fade from one theme to the other have no contrast of their own.
    reader.page.add_style_tag(content="* { transition: none !important }")
    reader.page.evaluate(
        "mode => { document.documentElement.dataset.mode = mode;"
        " document.documentElement.dataset.theme = mode; }", mode,
    )  # fmt: skip
    return reader.page


class Links(HTMLParser):
    """What a page points to, and the places in it that can be pointed to."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.places = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.targets += [found[name] for name in ("href", "src") if found.get(name)]
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}


def broken(folder: Path) -> list[str]:
    """Return the links between the pages of a folder that lead nowhere."""
    pages = {path: Links(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            place = unquote(parts.fragment)
            if not path.exists() or (place and path in pages and place not in pages[path].places):
                found.append(f"{page.relative_to(folder)}: {target}")
    return found


def test_all_chapters_are_there_and_no_link_is_broken(built):
    assert len(list(built.glob("notebooks/[0-9]*.html"))) == len(Book().sources())
    assert broken(built) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"><a href="a.html#x"><a href="a.html#y">')
    (tmp_path / "b.html").write_text('<a href="a.html#x"><img src="c.png"><a href="https://x.org">')
    assert broken(tmp_path) == ["a.html: a.html#y", "b.html: c.png"]


def test_the_site_is_small(built):
    kinds = {path.suffix for path in built.rglob("*") if path.is_file()}
    files = [path for path in built.rglob("*") if path.is_file() and "frames" not in path.parts]
    size = sum(path.stat().st_size for path in files)
    assert size < 15e6, "leaves 10 MB for the frames of the chapters"
    assert ".ipynb" not in kinds and ".doctree" not in kinds


def test_a_slider_moves_by_keyboard_and_says_what_it_shows(reader):
    page = visit(reader, START)
    box = page.locator("[data-kind=sliders]").first
    handle, image = box.get_by_label("frequency"), box.locator("img")
    assert handle.get_attribute("aria-valuetext") == "2"
    before = reader.picture(image)
    handle.focus()
    page.keyboard.press("ArrowRight")
    after = reader.wait_for_new_picture(image, before)
    assert handle.get_attribute("aria-valuetext") == box.locator("output").inner_text() == "3"
    assert image.get_attribute("alt") == "Figure: sine 3.00"
    assert box.locator("[aria-live]").inner_text() == "Figure: sine 3.00"
    box.get_by_label("sine").focus()
    page.keyboard.press("ArrowRight")  # among radio buttons, arrows choose
    square = reader.wait_for_new_picture(image, after)
    assert image.get_attribute("alt") == "Figure: square 3.00"
    box.get_by_label("grid").focus()
    page.keyboard.press("Space")
    reader.wait_for_new_picture(image, square)
    reader.screenshot("site-slider")
    assert reader.outside == []


def test_an_answer_opens_after_a_prediction_only(reader):
    page = visit(reader, START)
    answer = page.locator(".course-answer").first
    assert not answer.locator("table").is_visible()
    page.locator("[data-kind=predict] button", has_text="less").first.press("Enter")
    assert answer.locator("table").is_visible()
    assert answer.locator(".course-you").inner_text() == "You expected less"


def test_a_round_of_the_game_by_keyboard_shows_the_truth(reader):
    page = visit(reader, START)
    box = page.locator("[data-kind=game]")
    recommend = box.get_by_role("button", name="Recommend")
    assert recommend.is_disabled() and "true chance" not in box.inner_text()
    for number in (5, 1):  # worth .6 and .2; the best are .6 and .5
        box.locator(".grid button").nth(number).press("Space")
    assert box.locator(".grid button").nth(0).is_disabled()
    recommend.press("Enter")
    assert "worth 0.70 clicks" in box.inner_text() and "the best one 0.85" in box.inner_text()
    told = box.locator(".truth").all_inner_texts()
    assert told[1] == "true chance 20 %" and told[5] == "true chance 60 % · the oracle's place 1"
    assert box.locator(".oracle").count() == 2
    assert "you 0.70" in box.locator("svg[role=img]").get_attribute("aria-label")
    reader.screenshot("site-game")
    box.get_by_role("button", name="Another viewer").press("Enter")
    assert "viewer 1" in box.inner_text() and "true chance" not in box.inner_text()


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_nothing_scrolls_sideways_and_nothing_goes_out(reader, built, width):
    reader.outside.clear()
    wide = []
    for path in sorted(built.rglob("*.html")):
        page = visit(reader, path.relative_to(built).as_posix(), width)
        room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        if room[0] > room[1]:
            wide.append((path.name, *room))
    reader.screenshot(f"site-{width}")
    assert wide == [] and reader.outside == []


def test_formulas_search_and_the_next_page(reader):
    page = visit(reader, LATER)
    assert page.locator("math").count() > 10 and page.locator("math merror").count() == 0
    page.locator("a.right-next").click()
    page.wait_for_url("**/08_many_objectives.html")
    page.goto(f"{reader.address}/search.html?q=odds")
    page.locator("#search-results li", has_text="Expected watch time").first.wait_for()


def test_without_scripts_the_settings_stand_in_a_list(reader):
    context = reader.page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{reader.address}/{START}")
    box = page.locator("[data-kind=sliders]").first
    assert box.locator("noscript li a").count() == 16 and box.locator("img").is_visible()
    box.locator("noscript li a").nth(1).click()
    assert page.url.endswith("1-001.webp")
    context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(reader, name, dark):
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    page = visit(reader, name, dark=dark)
    if name == START:  # the widgets as they are while somebody uses them
        page.locator("[data-kind=predict] button").first.click()
    reader.screenshot(f"site-{Path(name).stem}-{'dark' if dark else 'light'}")
    assert browser_lab.serious(page) == []


def test_axe_notices(reader):
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    page = visit(reader, "notebooks/NOTATION.html")
    page.evaluate(
        "document.querySelector('article').innerHTML += '<img src=x.png><button></button>'"
    )
    assert {text.split(" at ")[0] for text in browser_lab.serious(page)} >= {
        "image-alt",
        "button-name",
    }
