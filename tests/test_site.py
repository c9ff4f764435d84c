"""The site without its browser: frames, figures with words, folded answers, refusals."""

from __future__ import annotations

import base64
import io
import json
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from test_widgets import CONTROLS, wave

from course.errors import ConfigError
from course.plots import png
from course.widgets import Card, Choice, Deal, IntSlider, RecommenderGame, Sliders, predict, sliders
from course.workshop import frames, markup, site
from course.workshop.book import Book
from course.workshop.chapters import WIDGET_TEXT, tidy

SLIDER = [
    "from course.plots import figure\n"
    "from course.widgets import sliders\n"
    "def draw(height):\n"
    "    fig, ax = figure()\n"
    "    ax.set_title(f'height {height}')\n"
    "    return fig",
    "sliders(draw, height=(1, 3, 1, 2))",
]


def deal(number: int) -> Deal:
    cards = [Card(100 + k, f"video {k}", "channel", 60, 1, 10, b"<svg/>") for k in range(6)]
    secret = SimpleNamespace(
        videos=np.arange(105, 99, -1), p_click=np.linspace(0.6, 0.1, 6),
        seen=np.array([1.0, 0.5]), rival=(105, 100),
    )  # fmt: skip
    return Deal(f"viewer {number}", cards, secret)


def game() -> RecommenderGame:
    return RecommenderGame(deal, lambda deal, picks, history: wave(1.0), picks=2)


def chapter(path, sources):
    cells = [new_code_cell(source) for source in sources]
    cells[-1].outputs = [new_output("display_data", {"text/plain": WIDGET_TEXT})]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_frames_are_what_the_notebook_shows_at_every_setting():
    shown = sliders(wave, frequency=(1, 3, 1, 2), shape=["sine", "square"], grid=True)
    made = list(shown.frames(60))
    assert len(made) == 3 * 2 * 2
    for values, figure, text in made:
        assert png(figure) == shown.set(**values).png and text == ""


def test_many_places_are_thinned_but_for_ends_and_start():
    shown = sliders(wave, **CONTROLS)
    places = shown.places(60)
    assert np.prod([len(found) for found in places.values()]) <= 60
    for name, control in CONTROLS.items():
        assert {*control.corners()} <= {*places[name]} <= {*control.places()}
    assert sliders(wave, frequency=(1, 9, 1, 3)).places(60) == {"frequency": list(range(1, 10))}


def test_a_slider_that_cannot_be_thinned_keeps_its_places():
    shown = sliders(wave, frequency=IntSlider(1, 2, 1, 1), shape=Choice(["sine", "square"]))
    assert np.prod([len(found) for found in shown.places(3).values()]) == 4


def test_a_page_has_every_frame_with_words_label_and_value(tmp_path):
    shown = sliders(wave, frequency=(1, 3, 1, 2), shape=["sine", "square"], grid=True)
    page = markup.widget(frames.data(shown, tmp_path, 7), "../here", 7)
    told = json.loads(re.search(r"<script[^>]*>(.*)</script>", page)[1])
    assert len(told) == 12 == len({frame["alt"] for frame in told}) * 2  # the grid has no words
    assert {frame["src"] for frame in told} == {f"../here/{p.name}" for p in tmp_path.iterdir()}
    # Counted as the script counts: the last control is the fastest.
    assert told[6]["alt"] == "Figure: square 2.00" and f'alt="{told[5]["alt"]}"' in page
    assert '<label for="w7-0">frequency</label>' in page and 'aria-valuetext="2"' in page
    assert "<legend>shape</legend>" in page and "checked> grid" in page
    assert page.count("<li>") == 12 and "<noscript>" in page


def test_words_of_a_figure_cannot_break_the_page(tmp_path):
    def draw(height):
        figure = wave(1.0)
        figure.alt = 'a "quote" & </script>'
        return figure, "<b>text</b></script>"

    page = markup.widget(frames.data(sliders(draw, height=[1, 2]), tmp_path, 0), ".", 0)
    assert page.count("</script>") == 1 + page.count('class="text"')  # the text is the author's
    assert 'alt="a &quot;quote&quot; &amp; &lt;/script&gt;"' in page


def test_the_game_of_a_page_knows_the_truth_by_card(tmp_path):
    made = frames.data(game(), tmp_path, 0)
    first = made["rounds"][0]
    assert [card["p"] for card in first["cards"]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert first["system"] == [5, 0] and first["seen"] == [1.0, 0.5] and made["picks"] == 2
    assert [made["rounds"][n]["viewer"] for n in range(2)] == ["viewer 0", "viewer 1"]
    assert 'data-kind="game"' in markup.widget(made, ".", 0)


def test_a_prediction_of_a_page_has_its_options(tmp_path):
    made = frames.data(
        predict("site", "More <i>or</i> less?", ["more & more", "less"]), tmp_path, 0
    )
    page = markup.widget(made, ".", 0)
    assert "More <i>or</i> less?" in page and page.count("<button") == 2
    assert "more &amp; more" in page


def test_a_stored_picture_is_smaller_and_looks_the_same():
    before = png(wave(2.0))
    after = frames.webp(before)
    one, other = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        for data in (before, after)
    )
    assert len(after) < len(before) / 2
    assert one.shape == other.shape and np.abs(one - other).max() <= 16


def test_every_chapter_has_a_korean_title_question_and_summary():
    book = Book()
    found = site.summaries((book.root / "notebooks" / "GLOSSARY.ko.md").read_text("utf-8"))
    assert list(found) == [path.stem for path in book.sources()]
    assert all(len(part) > 3 for parts in found.values() for part in parts)
    assert all("\n" not in summary and len(summary) > 80 for _, _, summary in found.values())


def test_figures_bring_their_words_and_answers_are_folded(tmp_path):
    about = {"image/png": {"width": 880, "height": 250, "alt": "two <waves>"}}
    picture = {"image/png": base64.b64encode(png(wave(2.0))).decode(), "text/plain": "x"}
    cells = [
        new_code_cell("figure", outputs=[new_output("display_data", picture, metadata=about)]),
        new_code_cell("guess.beside('')", outputs=[new_output(
            "display_data", {"text/html": predict("t", "?", ["a", "b"]).note("x")._repr_html_(),
                             "text/plain": "It came out: x"})]),
        new_code_cell("slider", outputs=[new_output("display_data", {"text/plain": WIDGET_TEXT})]),
        new_code_cell("setup", metadata={"tags": ["setup"]}),
    ]  # fmt: skip
    read = site.for_reading(new_notebook(cells=cells), tmp_path, None)
    shown = [cell.outputs[0].data["text/html"] for cell in read.cells[:3]]
    assert 'alt="two &lt;waves&gt;"' in shown[0] and 'width="880" height="250"' in shown[0]
    assert (tmp_path / "0.webp").stat().st_size > 1000
    assert shown[1].startswith("<details") and "It came out" in shown[1]
    assert "in the notebook" in shown[2]
    assert read.cells[3].metadata.tags == ["remove-cell"]


@pytest.mark.slow
def test_frames_are_made_once_and_again_when_a_chapter_changes(tmp_path, monkeypatch):
    import nbclient

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    path = chapter(tmp_path / "notebooks" / "solutions" / "00_demo.ipynb", SLIDER)
    assert site.frames_of(path, quick=True) is None
    made = site.frames_of(path)
    assert {p.name for p in made.iterdir()} == {"0.json", *(f"0-00{k}.webp" for k in range(3))}
    told = json.loads((made / "0.json").read_text("utf-8"))
    assert [frame["said"] for frame in told["frames"]] == ["height 1", "height 2", "height 3"]

    with monkeypatch.context() as patch:
        patch.setattr(nbclient, "execute", None)  # nothing may run
        assert site.frames_of(path) == made == site.frames_of(path, quick=True)
    chapter(path, [*SLIDER[:1], "1 / 0", *SLIDER[1:]])
    assert site.frames_of(path, quick=True) is None
    with pytest.raises(ConfigError, match="00_demo gave no frames: ZeroDivisionError: division"):
        site.frames_of(path)


def test_the_script_of_controls_is_not_stored():
    script = new_output("display_data", {"application/javascript": "look()"})
    cell = new_code_cell("slider", outputs=[script])
    assert tidy(new_notebook(cells=[cell])).cells[0].outputs == []


def test_a_picture_is_stored_once():
    picture = base64.b64encode(png(wave(2.0))).decode()
    both = {"image/png": picture, "text/html": "<img>", "text/plain": "words"}
    cell = new_code_cell("figure", outputs=[new_output("display_data", both)])
    kept = tidy(new_notebook(cells=[cell])).cells[0].outputs[0].data
    assert kept["text/plain"] == "words" and kept.keys() == {"image/png", "text/plain"}


def test_a_chapter_without_widgets_needs_no_frames(tmp_path):
    path = tmp_path / "00_demo.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), path)
    assert site.frames_of(path) is None


def test_nothing_else_is_overwritten_and_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "NEEDED", ("json", "a_package_that_is_not_here"))
    with pytest.raises(ConfigError, match=r"a_package_that_is_not_here.*\[lab,site\]"):
        site.main(tmp_path / "new")
    monkeypatch.setattr(site, "NEEDED", ())
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds something that is not this site"):
        site.main(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_no_address_no_buttons(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert "launch_buttons" not in site.settings(tmp_path)["html_theme_options"]
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("[project.urls]\nRepository = 'https://example.org/x'\n")
    theme = site.settings(tmp_path)["html_theme_options"]
    assert theme["repository_url"] == "https://example.org/x" and "launch_buttons" in theme


def test_other_widgets_are_refused(tmp_path):
    with pytest.raises(TypeError, match="object"):
        frames.data(object(), tmp_path, 0)
    assert isinstance(sliders(wave, frequency=(1, 3, 1, 2)), Sliders)
