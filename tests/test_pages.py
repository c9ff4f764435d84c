"""Drawn pages: short texts, thumbnails, titles, and a page on which nothing overlaps."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from course.pages import (
    Card,
    PageError,
    age_text,
    duration_text,
    home_page,
    thumbnail,
    title_for,
    up_next_page,
    views_text,
)
from course.pages.canvas import text_width, wrap
from course.pages.motifs import MOTIFS
from course.pages.titles import SUBJECTS
from course.plots import png
from course.simulator import names

LONG = "A remarkably long title about interchangeable windscreen wipers, part seventeen of many"


def make_card(number, title=None, **changes):
    topic, form = number % 30, number % 6
    card = {
        "video_id": number,
        "title": title or title_for(topic, form, 0, number),
        "channel": names.channel_name(number),
        "duration_seconds": 60.0 * (number + 1),
        "age_days": 1.7**number,
        "views": 7**number,
        "thumbnail": thumbnail(topic, form, number),
    }
    return Card(**{**card, **changes})


CARDS = [make_card(k, LONG if k % 3 == 0 else None) for k in range(12)]


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)


# --- names and short texts


def test_names_fit_together():
    assert len(names.TOPICS) == len(MOTIFS) == len(SUBJECTS) == 30
    assert len(set(names.TOPICS)) == 30 and len(set(MOTIFS)) == 30
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
        make_card(1, **bad)


# --- thumbnails


@pytest.mark.parametrize("topic", range(30))
def test_every_thumbnail_is_a_picture_of_the_same_size(topic):
    for form in range(len(names.FORMATS)):
        for loudness in (0.0, 0.5, 1.0):
            seen = pixels(thumbnail(topic, form, 5, clickbait=loudness))
            assert seen.shape == (180, 320, 3) and seen.std() > 10


def test_thumbnails_are_deterministic_and_differ():
    assert thumbnail(3, 2, 7) == thumbnail("gaming: speedruns", "tutorial", 7)
    assert len({thumbnail(topic, 0, 1) for topic in range(30)}) == 30
    assert len({thumbnail(3, form, 1) for form in range(6)}) == 6
    assert len({thumbnail(3, 0, seed) for seed in range(9)}) == 9


def test_clickbait_is_louder():
    def saturation(loudness):
        seen = [pixels(thumbnail(topic, 0, 2, clickbait=loudness)) for topic in range(0, 30, 3)]
        return np.mean([np.ptp(one, axis=2).mean() for one in seen])

    steps = [saturation(loudness) for loudness in (0.0, 0.35, 0.7, 1.0)]
    assert all(np.diff(steps) > 10), steps


def test_words_can_stand_on_a_thumbnail():
    assert thumbnail(0, 0, 1, title="Day one") != thumbnail(0, 0, 1)


@pytest.mark.parametrize(
    "arguments",
    [(30, 0, 1), (0, 6, 1), ("fishing", 0, 1), (0, "opera", 1), (0, 0, -1)],
)
def test_unknown_thumbnails_are_refused(arguments):
    with pytest.raises(PageError):
        thumbnail(*arguments)
    with pytest.raises(PageError, match="clickbait"):
        thumbnail(0, 0, 1, clickbait=1.5)


def test_a_grid_of_thumbnails_is_quick():
    from course.pages import thumbnails

    def seconds():
        thumbnails._drawn.cache_clear()
        start = time.perf_counter()
        for k in range(12):
            thumbnail(k, k % 6, 900 + k, clickbait=k / 12)
        return time.perf_counter() - start

    # About 0.15 s on two cores; the best of three, since the machine may be busy.
    assert min(seconds() for _ in range(3)) < 0.5


# --- titles


@pytest.mark.parametrize("form", names.FORMATS)
def test_titles_read_well(form):
    seen = set()
    for topic in range(30):
        for seed in range(12):
            for loudness in (0.0, 0.4, 0.7, 1.0):
                title = title_for(topic, form, 0, seed, clickbait=loudness)
                assert title == title_for(topic, form, "English", seed, clickbait=loudness)
                assert 8 <= len(title) <= 75, title
                assert title[0].upper() == title[0] and "{" not in title and "  " not in title
                seen.add(title)
    assert len(seen) > 500


def test_titles_get_louder_and_name_their_language():
    def capitals(loudness):
        words = [title_for(t, 1, 0, t, clickbait=loudness) for t in range(30)]
        return sum(word.isupper() and len(word) > 3 for text in words for word in text.split())

    assert capitals(0.0) == 0 < capitals(0.7)
    assert title_for(0, 0, 0, 1, clickbait=0.9).endswith("!!!")
    assert title_for(0, 0, "Korean", 1) == title_for(0, 0, 0, 1) + " (Korean)"
    rng = np.random.default_rng(3)
    assert title_for(0, 0, 0, rng) != title_for(0, 0, 0, rng)
    for bad in ({"clickbait": -0.1}, {"language": "Latin"}, {"topic": 99}, {"format": "opera"}):
        with pytest.raises(PageError):
            title_for(**{"topic": 0, "format": 0, **bad})


# --- breaking lines


@pytest.mark.parametrize("words", [LONG, "Word", "x" * 200, "a b " * 80, "One two"])
@pytest.mark.parametrize("width", [60, 140, 300])
def test_lines_fit_and_are_cut_with_an_ellipsis(words, width):
    lines = wrap(words, width, 14, 2, bold=True)
    assert 1 <= len(lines) <= 2
    assert all(text_width(line, 14, bold=True) <= width for line in lines)
    shown = "".join(lines).replace(" ", "")
    if not lines[-1].endswith("…"):
        assert shown == words.replace(" ", "")
    else:
        assert words.replace(" ", "").startswith(shown[:-1])


def test_a_text_that_fits_is_not_broken():
    assert wrap("Short", 300, 14) == ["Short"]
    assert wrap("", 300, 14) == []


# --- pages


def boxes(figure, *roles):
    """Return the boxes of the words on a page, in pixels, by what they are."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.axes[0].texts
        if text.get_gid() in roles
    ]


def pages():
    loud = [make_card(k, LONG, views=10**9, age_days=900.0) for k in range(8)]
    yield "desktop", home_page(CARDS)
    yield "phone", home_page(CARDS[:4], device="phone")
    yield "tv", home_page(CARDS[:7], device="tv", marks={3: "picked by you"})
    yield "up next", up_next_page(CARDS[0], loud, marks={2: "watched"})
    yield "short up next", up_next_page(make_card(1), CARDS[1:3])


PAGES = dict(pages())


@pytest.mark.parametrize("name", PAGES)
def test_words_never_overlap_nor_leave_the_page(name):
    figure = PAGES[name]
    width, height = figure.get_size_inches() * figure.dpi
    words = boxes(figure, "title", "facts", "badge", "mark", "heading")
    assert len(words) >= 8
    for text, box in words:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for i, (one, a) in enumerate(words):
        for other, b in words[i + 1 :]:
            # Line boxes include the room for accents; a pixel of it may be shared.
            apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 2 or b.y1 <= a.y0 + 2
            assert apart, (one, other)


def test_words_are_as_wide_as_they_were_measured():
    for text, box in boxes(PAGES["desktop"], "title"):
        assert text_width(text, 14, bold=True) == pytest.approx(box.width, rel=0.03, abs=3)


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_themselves_in_words_and_stay_small(name):
    figure = PAGES[name]
    data, _ = figure._repr_mimebundle_()
    assert data["text/plain"] == figure.alt and "videos: 1. " in figure.alt
    assert len(data["image/png"]) < 250_000
    assert png(figure) == data["image/png"]


def test_a_page_shows_every_card_once_and_in_order():
    shown = [text for text, _ in boxes(PAGES["desktop"], "facts")]
    assert [line for line in shown if line.endswith("ago") or line.endswith("now")] == [
        card.facts for card in CARDS
    ]
    assert len(PAGES["desktop"].axes[0].images) == 12


def test_at_most_two_lines_for_a_title():
    for name in ("desktop", "tv"):
        lines = [text for text, _ in boxes(PAGES[name], "title")]
        cards = CARDS if name == "desktop" else CARDS[:7]
        assert len(lines) <= 2 * len(cards)
        assert sum(line.endswith("…") for line in lines) >= 2


def test_marks_and_live_badges_are_drawn():
    assert [text for text, _ in boxes(PAGES["tv"], "mark")] == ["picked by you"]
    live = home_page([make_card(1, live=True)], device="phone")
    assert [text for text, _ in boxes(live, "badge")] == ["LIVE"]


def test_pages_refuse_what_they_cannot_draw():
    with pytest.raises(PageError, match="phone, desktop, tv"):
        home_page(CARDS, device="watch")
    for draw in (home_page, lambda cards: up_next_page(CARDS[0], cards)):
        with pytest.raises(PageError, match="no cards"):
            draw([])
    with pytest.raises(PageError, match="marks name"):
        home_page(CARDS, marks={999: "x"})
    with pytest.raises(PageError, match="bytes of a PNG"):
        home_page([make_card(1, thumbnail=b"not a picture")])
