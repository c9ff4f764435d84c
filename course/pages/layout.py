"""Drawn pages of the simulated YouTube: a home page, and a watch page with its up-next list.

A page is drawn in screen pixels on one empty axes, so a length in the code is a length on the
page. The design is the course's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.patches import Circle, Polygon

from course.pages.canvas import DARK, LIGHT, Page, text_width, wrap
from course.pages.cards import Card, PageError, duration_text
from course.plots.style import Figure, styled

Device = Literal["phone", "desktop", "tv"]


_BRAND = "#0f766e"
_MARK = "#c2185b"


def _tint(name: str) -> str:
    """Return the colour of a channel's round picture; the same name, the same colour."""
    tints = ("#b4532a", "#3d6fa5", "#5a7d2a", "#8b4a8f", "#b0842b", "#2b8a86", "#a33b54", "#5b5fb0")
    return tints[zlib.crc32(name.encode("utf-8")) % len(tints)]


def _avatar(page: Page, x: float, y: float, r: float, name: str) -> None:
    page.disc(x, y, r, _tint(name))
    initial = name[:1].upper() or "?"
    page.text(x, y + r * 0.06, initial, r * 1.05, "#ffffff", bold=True, across="center")


def _thumbnail(
    page: Page, card: Card, x: float, y: float, width: float, mark: str | None, size: float
) -> float:
    """Draw picture, badge and mark; return the height."""
    height = width * 9 / 16
    corner = min(12.0, width * 0.05)
    page.box(x, y, width, height, page.theme.field, corner=corner)
    page.picture(card.thumbnail, x, y, width, height, corner)
    wide = text_width(card.badge, size, bold=True) + size * 0.9
    left, top = x + width - wide - 6, y + height - size * 1.55 - 6
    tint = "#c62828" if card.live else "#101114"
    page.box(left, top, wide, size * 1.55, tint, corner=4, alpha=0.9).set_zorder(3)
    page.text(left + wide / 2, top + size * 0.8, card.badge, size, "#ffffff", bold=True,
              across="center", role="badge")  # fmt: skip
    if mark is not None:
        page.box(x - 2, y - 2, width + 4, height + 4, "none", corner=corner, rim=_MARK,
                 stroke=3).set_zorder(4)  # fmt: skip
        words = wrap(mark, width - 24, size, 1, bold=True)[0] if mark else ""
        if words:
            wide = text_width(words, size, bold=True) + size
            # On the upper edge, so that it hides little of the picture.
            top = y - size * 0.8
            page.box(x + 12, top, wide, size * 1.6, _MARK, corner=4).set_zorder(4)
            page.text(x + 12 + wide / 2, top + size * 0.82, words, size, "#ffffff", bold=True,
                      across="center", role="mark")  # fmt: skip
    return height


def _words(page: Page, card: Card, x: float, y: float, width: float, size: float) -> float:
    """Write title, channel, views and age; return how far down they reach."""
    for line in wrap(card.title, width, size, 2, bold=True):
        page.text(x, y, line, size, page.theme.ink, bold=True, down="top", role="title")
        y += size * 1.35
    small = size * 0.86
    y += size * 0.12
    for words in (card.channel, card.facts):
        line = wrap(words, width, small, 1)[0]
        page.text(x, y, line, small, page.theme.soft, down="top", role="facts")
        y += small * 1.4
    return y


def _card_height(width: float, size: float) -> float:
    return width * 9 / 16 + size * (0.75 + 2 * 1.35 + 0.12 + 2 * 0.86 * 1.4 + 1.1)


def _grid_card(
    page: Page, card: Card, x: float, y: float, width: float, size: float, mark: str | None
) -> None:
    height = _thumbnail(page, card, x, y, width, mark, size * 0.82)
    r = size * 1.15
    _avatar(page, x + r, y + height + size * 0.75 + r, r, card.channel)
    left = 2 * r + size * 0.7
    _words(page, card, x + left, y + height + size * 0.75, width - left, size)


def _top_bar(page: Page, title: str, height: float = 56) -> None:
    theme, middle = page.theme, height / 2
    size = 16.0
    narrow = page.width < 600
    x = 20.0
    if not narrow:
        for k in (-6, 0, 6):
            page.box(x, middle + k - 1, 18, 2, theme.ink)
        x += 38
    # The course's own sign: a round tile with three rising bars.
    page.box(x, middle - 13, 26, 26, _BRAND, corner=8)
    for k, tall in enumerate((7, 12, 17)):
        page.box(x + 5.5 + 5.5 * k, middle + 8.5 - tall, 4, tall, "#ffffff", corner=1.5)
    page.text(x + 36, middle, title, size + 1, theme.ink, bold=True, role="heading")
    after = x + 36 + text_width(title, size + 1, bold=True)
    r = 14.0
    page.disc(page.width - 20 - r, middle, r, _BRAND)
    page.text(page.width - 20 - r, middle + 1, "Y", r, "#ffffff", bold=True, across="center")
    if narrow:
        _lens(page, page.width - 72, middle, theme.ink)
        return
    width = min(520.0, page.width - after - 150)
    left = max(after + 40, (page.width - width) / 2)
    page.box(left, middle - 18, width, 36, theme.field, corner=18, rim=theme.rim)
    page.text(left + 18, middle, "Search", size * 0.92, theme.soft)
    _lens(page, left + width - 26, middle, theme.soft)


def _lens(page: Page, x: float, y: float, tint: str) -> None:
    page.ax.add_patch(Circle((x - 1.5, y - 1.5), 5.5, facecolor="none", edgecolor=tint, lw=1.6))
    page.ax.plot([x + 2.6, x + 7], [y + 2.6, y + 7], color=tint, lw=1.8, solid_capstyle="round")


def _check(cards: Sequence[Card], marks: Mapping[int, str] | None) -> dict[int, str]:
    if not len(cards):
        raise PageError("there are no cards to draw", allowed="at least one card")
    unknown = set(marks or {}) - {card.video_id for card in cards}
    if unknown:
        raise PageError(f"the marks name {sorted(unknown)}", allowed="video ids of the cards")
    return dict(marks or {})


def _alt(kind: str, cards: Sequence[Card]) -> str:
    titles = "; ".join(f"{k}. {card.title}" for k, card in enumerate(cards, start=1))
    return f"{kind}, {len(cards)} videos: {titles}"


#: Page width, margin, columns, gap and size of the letters, in pixels.
_LAYOUTS: dict[str, tuple[int, int, int, int, float]] = {
    "phone": (390, 14, 1, 22, 15.0),
    "desktop": (1100, 24, 4, 18, 14.0),
    "tv": (1100, 44, 3, 30, 17.0),
}


@styled
def home_page(
    cards: Sequence[Card],
    *,
    device: Device = "desktop",
    title: str = "Simulated YouTube",
    marks: Mapping[int, str] | None = None,
) -> Figure:
    """Draw a home page.

    Parameters
    ----------
    cards : sequence of Card
        In the order of the page: row by row, from the left.
    device : {"phone", "desktop", "tv"}
        One, four or three columns; the TV page is dark.
    title : str
        What stands at the top.
    marks : mapping of video id to str, optional
        Cards to outline, with a word in the corner ("picked", "watched").

    Returns
    -------
    course.plots.Figure
        Shows itself as the last expression of a cell.

    Raises
    ------
    PageError
        If there are no cards, or the device or a mark is unknown.
    """
    if device not in _LAYOUTS:
        raise PageError(f"the device is {device!r}", allowed=", ".join(_LAYOUTS))
    marked = _check(cards, marks)
    width, margin, columns, gap, size = _LAYOUTS[device]
    theme = DARK if device == "tv" else LIGHT
    wide = (width - 2 * margin - (columns - 1) * gap) / columns
    tall = _card_height(wide, size) + (0 if device == "phone" else 4)
    rows = -(-len(cards) // columns)
    top = 108 if device != "phone" else 64
    bottom = 60 if device == "phone" else 8
    page = Page(width, round(top + rows * tall + bottom), theme, _alt("Home page", cards))
    _top_bar(page, title)
    if device != "phone":
        _chips(page, margin, 64, size)
    for k, card in enumerate(cards):
        x = margin + (k % columns) * (wide + gap)
        y = top + (k // columns) * tall
        _grid_card(page, card, x, y, wide, size, marked.get(card.video_id))
    if device == "phone":
        _bottom_bar(page)
    return page.figure


def _chips(page: Page, x: float, y: float, size: float) -> None:
    for k, words in enumerate(("For you", "New", "Music", "Cooking", "Live", "Watched")):
        wide = text_width(words, size * 0.92, bold=k == 0) + 24
        fill, ink = (
            (page.theme.ink, page.theme.paper) if k == 0 else (page.theme.field, page.theme.ink)
        )
        page.box(x, y, wide, 28, fill, corner=8)
        page.text(x + wide / 2, y + 14.5, words, size * 0.92, ink, bold=k == 0, across="center")
        x += wide + 10


def _bottom_bar(page: Page) -> None:
    y = page.height - 52
    page.box(0, y, page.width, 52, page.theme.paper).set_zorder(4)
    page.box(0, y, page.width, 1, page.theme.rim).set_zorder(4)
    for k, words in enumerate(("Home", "Search", "Following", "You")):
        x = page.width * (k + 0.5) / 4
        tint = page.theme.ink if k == 0 else page.theme.soft
        sign = page.box(x - 8, y + 10, 16, 14, tint if k == 0 else "none", corner=4, rim=tint,
                        stroke=1.6)  # fmt: skip
        sign.set_zorder(5)
        page.text(x, y + 38, words, 11, tint, bold=k == 0, across="center")


@styled
def up_next_page(
    playing: Card,
    cards: Sequence[Card],
    *,
    title: str = "Simulated YouTube",
    marks: Mapping[int, str] | None = None,
) -> Figure:
    """Draw a watch page: the playing video on the left, the up-next list on the right.

    Parameters
    ----------
    playing : Card
    cards : sequence of Card
        The up-next list from the top; about eight fill the height of the player.
    title : str
        What stands at the top.
    marks : mapping of video id to str, optional
        Cards of the list to outline, with a word in the corner.

    Returns
    -------
    course.plots.Figure

    Raises
    ------
    PageError
        If there are no cards, or a mark is unknown.
    """
    marked = _check(cards, marks)
    width, margin, top, size = 1100, 24, 72, 13.0
    player = 660.0
    tall = player * 9 / 16
    thumb = 156.0
    step = thumb * 9 / 16 + 12
    height = round(max(top + tall + 128, top + 34 + len(cards) * step + 8))
    alt = f"Watch page of “{playing.title}”. {_alt('Up next', cards)}"
    page = Page(width, height, LIGHT, alt)
    _top_bar(page, title)
    _player(page, playing, margin, top, player, tall)
    y = top + tall + 18
    for line in wrap(playing.title, player, 20, 2, bold=True):
        page.text(margin, y, line, 20, page.theme.ink, bold=True, down="top", role="title")
        y += 27
    _avatar(page, margin + 19, y + 30, 19, playing.channel)
    page.text(margin + 50, y + 22, playing.channel, 14, page.theme.ink, bold=True, role="facts")
    page.text(margin + 50, y + 41, playing.facts, 12.5, page.theme.soft, role="facts")
    x = margin + player
    for words in ("Share", "Save", "Like", "Follow"):
        wide = text_width(words, 13, bold=True) + 28
        x -= wide + 8
        follow = words == "Follow"
        page.box(x, y + 14, wide, 32, page.theme.ink if follow else page.theme.field, corner=16)
        page.text(x + wide / 2, y + 30.5, words, 13, page.theme.paper if follow else page.theme.ink,
                  bold=True, across="center")  # fmt: skip
    _below(page, margin, y + 66, player)
    left = margin + player + 26
    page.text(left, top + 10, "Up next", 17, page.theme.ink, bold=True, role="heading")
    y = top + 34.0
    for card in cards:
        _thumbnail(page, card, left, y, thumb, marked.get(card.video_id), 10.5)
        _words(page, card, left + thumb + 12, y + 1, width - margin - left - thumb - 12, size)
        y += step
    return page.figure


def _player(page: Page, card: Card, x: float, y: float, width: float, height: float) -> None:
    page.picture(card.thumbnail, x, y, width, height, 12)
    middle_x, middle_y = x + width / 2, y + height / 2
    page.ax.add_patch(Circle((middle_x, middle_y), 38, facecolor="#101114", alpha=0.72, zorder=3))
    page.ax.add_patch(
        Polygon(
            [(middle_x - 12, middle_y - 18), (middle_x - 12, middle_y + 18),
             (middle_x + 20, middle_y)],
            facecolor="#ffffff", edgecolor="none", zorder=4,
        )
    )  # fmt: skip
    # A bar with a third of the video played.
    bar = page.box(x + 14, y + height - 22, width - 28, 5, "#ffffff", corner=2.5, alpha=0.55)
    bar.set_zorder(3)
    page.box(x + 14, y + height - 22, (width - 28) / 3, 5, _MARK, corner=2.5).set_zorder(4)
    page.ax.add_patch(
        Circle((x + 14 + (width - 28) / 3, y + height - 19.5), 7, facecolor=_MARK, zorder=5)
    )
    words = (
        card.badge if card.live else f"{duration_text(card.duration_seconds / 3)} / {card.badge}"
    )
    wide = text_width(words, 12, bold=True) + 14
    left = x + width - 14 - wide
    page.box(left, y + height - 50, wide, 20, "#101114", corner=4, alpha=0.8).set_zorder(3)
    page.text(left + wide / 2, y + height - 39.5, words, 12, "#ffffff", bold=True,
              across="center", role="badge")  # fmt: skip


def _below(page: Page, x: float, y: float, width: float) -> None:
    """Fill the place under the player with a description and comments, as grey bars."""
    theme = page.theme
    page.box(x, y, width, 84, theme.field, corner=12)
    for k, share in enumerate((0.9, 0.82, 0.4)):
        page.box(x + 18, y + 18 + 20 * k, (width - 36) * share, 8, theme.rim, corner=4)
    y += 112
    if y > page.height - 90:
        return
    page.text(x, y, "Comments", 15, theme.ink, bold=True, role="heading")
    k, y = 0, y + 28
    while y < page.height - 58:
        page.disc(x + 17, y + 18, 17, theme.rim)
        page.box(x + 48, y + 4, 90 + 23 * (k % 3), 8, theme.rim, corner=4)
        page.box(x + 48, y + 23, (width - 60) * (0.86, 0.55, 0.72)[k % 3], 8, theme.field, corner=4)
        k, y = k + 1, y + 56
