"""Drawn pages: short texts, and pages as HTML that reads without pictures, styles or colours."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from worlds import mini

from course import play
from course.pages import Card, home_page, picture_words, thumbnail, up_next_page
from course.pages.cards import PageError, age_text, duration_text, views_text
from course.pages.thumbnails import _sprites
from course.simulator import content, names

VIDEOS = np.arange(0, 120, 10)
HOSTILE = "<script>alert('x')</script> & \"so on\""


def cards():
    return play.cards(mini(), VIDEOS)


def a_card(**changes):
    card = {"video_id": 1, "title": "A title", "channel": "A channel", "duration_seconds": 61.0,
            "age_days": 3.0, "views": 5, "thumbnail": b"<svg/>"}  # fmt: skip
    return Card(**{**card, **changes})


class Read(HTMLParser):
    """What a page says: its words, its images, its tags."""

    def __init__(self, html):
        super().__init__()
        self.words, self.images, self.open, self.tags = [], [], [], set()
        self.feed(html)
        self.close()
        assert not self.open, "a tag is not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


# --- names and short texts


def test_names_fit_together():
    assert len(set(names.TOPICS)) == len(names.TOPICS) == 30
    assert names.TOPICS[15] == "technology: phones" and len(names.COUNTRIES) == 6
    assert len({names.channel_name(k) for k in range(5000)}) == 5000


def test_names_refuse_unknown_numbers():
    with pytest.raises(ValueError, match="0 or larger"):
        names.channel_name(-1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (42, "0:42"), (632, "10:32"), (3723.4, "1:02:03")]
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "just now"), (1 / 24, "1 hour ago"), (0.999, "23 hours ago"), (1, "1 day ago"),
        (3.4, "3 days ago"), (13, "13 days ago"), (14, "2 weeks ago"), (45, "1 month ago"),
        (364, "12 months ago"), (365, "1 year ago"), (800, "2 years ago"),
    ],
)  # fmt: skip
def test_ages(days, text):
    assert age_text(days) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "no views"), (1, "1 view"), (999, "999 views"), (1000, "1K views"),
        (1250, "1.2K views"), (9999, "9.9K views"), (12_400, "12K views"),
        (999_999, "999K views"), (3_400_000, "3.4M views"), (2_000_000_000, "2B views"),
    ],
)  # fmt: skip
def test_views(count, text):
    assert views_text(count) == text


@pytest.mark.parametrize(
    "bad", [{"views": -1}, {"age_days": float("nan")}, {"duration_seconds": -2}]
)
def test_impossible_cards_are_refused(bad):
    with pytest.raises(PageError, match=next(iter(bad))):
        a_card(**bad)


# --- thumbnails


def test_every_sprite_is_a_drawing_with_words():
    sprites = _sprites()
    assert len(sprites) == content.SPRITES == len(content.sheet()) // 2
    for sprite in sprites:
        drawn = sprite["svg"].format(*["#123456"] * len(sprite["colours"]))
        ElementTree.fromstring(f"<svg>{drawn}</svg>")
        assert {len(colour) for colour in sprite["colours"]} == {9}
    assert all(sprite["words"] for sprite in sprites[: content.GROUND])
    for topic, name in enumerate(names.TOPICS):
        assert sprites[2 * topic]["name"] == f"{name} 0"
    assert sprites[content.SIGN + 2]["name"] == "news 0"
    assert sprites[content.BURST + 6]["name"] == "loud 4 0"
    assert sprites[content.RAYS]["name"] == "rays 0"


def test_thumbnails_are_drawings_of_a_few_kilobytes():
    made = mini().content
    pictures = [thumbnail(made, video) for video in VIDEOS]
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("viewBox") == "0 0 320 180" and len(picture) < 16_000
    assert len(set(pictures)) == len(VIDEOS)
    assert thumbnail(made, 10) == pictures[1]
    assert picture_words(made, 10).count(",") == (made.sprites[10, 2:] >= 0).sum()


# --- pages


def pages():
    yield home_page(cards())
    yield up_next_page(cards()[0], cards())


@pytest.mark.parametrize("number", range(2))
def test_a_page_is_text_and_images_with_words(number):
    page = list(pages())[number]
    read = Read(page.html)
    assert read.tags <= {"div", "ol", "li", "span", "img"}  # what no notebook viewer strips
    words = " ".join(read.words)
    places = [words.index(card.title) for card in cards()[1:]]
    assert places == sorted(places)
    for card in cards():
        assert card.channel in words and card.facts in words and card.badge in words
    described = [image["alt"] for image in read.images if image["alt"]]
    assert described[-12:] == [card.picture for card in cards()]
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in read.images)
    assert "http://" not in re.sub(r"base64,[\w+/=]+", "", page.html)
    assert len(page.html) < 120_000
    shown = page._repr_mimebundle_()
    assert shown == {"text/html": page.html, "text/plain": page.alt} and repr(page) == page.alt
    assert "12 videos: 1. " in page.alt and all(card.title in page.alt for card in cards())
    # Words take the colour of what is around them, so they read in light and in dark; only what
    # lies on a colour of its own sets its ink.
    assert set(re.findall(r"[;\"]color:([^;\"]+)", page.html)) == {"#fff"}
    assert "<style" not in page.html and "<script" not in page.html


def test_foreign_words_stay_words():
    card = a_card(title=HOSTILE, channel=HOSTILE, picture=HOSTILE)
    for page in (home_page([card]), up_next_page(card, [card])):
        read = Read(page.html)
        assert "script" not in read.tags and read.words.count(HOSTILE) >= 2
        assert HOSTILE in [image["alt"] for image in read.images]


def test_pages_refuse_what_they_cannot_draw():
    for draw in (home_page, lambda cards: up_next_page(a_card(), cards)):
        with pytest.raises(PageError, match="no cards"):
            draw([])
    with pytest.raises(PageError, match="bytes of an SVG"):
        home_page([a_card(thumbnail=b"not a picture")])
