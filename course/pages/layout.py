"""Pages of the simulated YouTube as HTML: a home page, and a watch page with its up-next list.

All styles are inline and nothing is a script, since many places that show notebooks strip the
rest. Words take the colour of what is around them, and fields are a thin grey that lets it
through: so a page reads in light and in dark, whoever decides which (JupyterLab, VS Code, Colab,
the system's own setting). Columns come and go with the width. The design is the course's own.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from course.pages.cards import Card, PageError, duration_text

_PLAYED, _BRAND = "#c2185b", "#0f766e"
_TINTS = ("#b4532a", "#3d6fa5", "#5a7d2a", "#8b4a8f", "#8a6a1f", "#23807c", "#a33b54", "#5b5fb0")
_FIELD = "background:rgba(128,128,128,.16)"
_PILL = f"{_FIELD};border-radius:16px;padding:5px 13px;font-weight:600;white-space:nowrap"
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;line-height:1.35"
_SIGN = (
    b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 26 26'><rect width='26' height='26' "
    b"rx='8' fill='#0f766e'/><path d='M7.5 18.5v-6M13 18.5v-10M18.5 18.5v-13' stroke='#fff' "
    b"stroke-width='3.6' stroke-linecap='round'/></svg>"
)
_PLAY = (
    b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 76 76'><circle cx='38' cy='38' r='38' "
    b"fill='#101114' opacity='.72'/><path d='M27 20v36l32-18z' fill='#fff'/></svg>"
)


class Page:
    """A page that shows itself as the last expression of a cell.

    Attributes
    ----------
    html : str
    alt : str
        The page in words; shown where HTML cannot be.
    """

    def __init__(self, html: str, alt: str) -> None:
        self.html, self.alt = html, alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}


def home_page(cards: Sequence[Card]) -> Page:
    """Draw a home page, row by row from the left, with as many columns as fit.

    Raises
    ------
    PageError
        If there are no cards.
    """
    grid = (
        "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(210px,100%),1fr));"
        "gap:22px 16px;list-style:none;margin:14px 0 6px;padding:0"
    )
    shown = [_el("li", "min-width:0;margin:0", card_html(card)) for card in cards]
    inside = _top_bar() + _chips() + _el("ol", grid, *shown)
    html = _el("div", f"{_FONT};font-size:14px;max-width:1240px;box-sizing:border-box", inside)
    return Page(html, _alt("Home page", cards))


def up_next_page(playing: Card, cards: Sequence[Card]) -> Page:
    """Draw a watch page: the playing video, and beside it (or below, where narrow) what is next.

    Raises
    ------
    PageError
        If there are no cards.
    """
    rows = [_el("li", "margin:0 0 10px", card_html(card, wide=True)) for card in cards]
    side = _el("div", "font-weight:700;font-size:1.2em;margin:0 0 10px", "Up next")
    side += _el("ol", "list-style:none;margin:0;padding:0", *rows)
    columns = _el("div", "flex:2 1 420px;min-width:0", _player(playing))
    columns += _el("div", "flex:1 1 300px;min-width:0", side)
    inside = _top_bar()
    inside += _el("div", "display:flex;flex-wrap:wrap;gap:22px;margin-top:14px", columns)
    html = _el("div", f"{_FONT};font-size:14px;max-width:1240px;box-sizing:border-box", inside)
    return Page(html, f"Watch page of “{playing.title}”. {_alt('Up next', cards)}")


def shelf_page(rows: Mapping[str, Sequence[Card]]) -> Page:
    """Draw rows of cards under headings: pages of several people, neighbours of several videos.

    Parameters
    ----------
    rows : heading -> cards
    """
    grid = (
        "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(150px,45%),1fr));"
        "gap:12px;list-style:none;margin:8px 0 18px;padding:0"
    )
    parts = []
    for heading, cards in rows.items():
        shown = (_el("li", "min-width:0;margin:0", card_html(card)) for card in cards)
        parts += [_el("div", "font-weight:700", escape(heading)), _el("ol", grid, *shown)]
    alt = ". ".join(_alt(heading, cards) for heading, cards in rows.items())
    return Page(_el("div", f"{_FONT};font-size:12px;max-width:1240px", *parts), alt)


def card_html(card: Card, *, wide: bool = False) -> str:
    """One card: thumbnail with badge, title, channel, views and age.

    With ``wide``, the words stand beside the picture, as in an up-next list, and not below it.

    Raises
    ------
    PageError
        If the thumbnail is no SVG.
    """
    clamp = "display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden"
    small = "font-size:.87em;opacity:.72;overflow-wrap:anywhere"
    words = _el(
        "div",
        "flex:1 1 0;min-width:0",
        _el("div", f"font-weight:600;{clamp}", escape(card.title), title=card.title),
        _el("div", f"{small};margin-top:2px", escape(card.channel)),
        _el("div", small, escape(card.facts)),
    )
    if wide:
        picture = _el("div", "flex:0 0 45%;max-width:168px", _thumbnail(card))
        row = f"{_FONT};display:flex;gap:10px;align-items:flex-start"
        return _el("div", row, picture, words)
    words = _avatar(card.channel, 2.3) + words
    below = _el("div", "display:flex;gap:10px;margin-top:9px;align-items:flex-start", words)
    return _el("div", _FONT, _thumbnail(card), below)


def _el(tag: str, style: str, *inside: str, **attributes: str) -> str:
    """An element; what is inside is HTML already, attributes are escaped here."""
    extra = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f'<{tag} style="{style}"{extra}>{"".join(inside)}</{tag}>'


def _image(data: bytes, alt: str, style: str) -> str:
    if not data.startswith(b"<svg"):
        raise PageError(f"a thumbnail begins with {data[:12]!r}", allowed="bytes of an SVG picture")
    source = f"data:image/svg+xml;base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img src="{source}" alt="{escape(alt)}" style="margin:0;{style}">'


def _thumbnail(card: Card) -> str:
    shape = "width:100%;max-width:none;aspect-ratio:16/9;display:block;border-radius:10px"
    badge = (
        "position:absolute;color:#fff;border-radius:4px;padding:0 5px;font-weight:600;"
        "background:rgba(16,17,20,.86);right:6px;bottom:6px;font-size:12px"
    )
    return _el(
        "div",
        "position:relative",
        _image(card.thumbnail, card.picture, f"{shape};object-fit:cover"),
        _el("span", badge, escape(card.badge)),
    )


def _avatar(name: str, size: float) -> str:
    """The round picture of a channel; the same name has the same colour."""
    tint = _TINTS[zlib.crc32(name.encode("utf-8")) % len(_TINTS)]
    style = (
        f"flex:0 0 auto;width:{size}em;height:{size}em;line-height:{size}em;border-radius:50%;"
        f"background:{tint};color:#fff;text-align:center;font-weight:600"
    )
    return _el("div", style, escape(name[:1].upper() or "?"))


def _top_bar() -> str:
    search = f"{_FIELD};border-radius:18px;padding:6px 16px;opacity:.8"
    return _el(
        "div",
        "display:flex;align-items:center;gap:12px;flex-wrap:wrap",
        _image(_SIGN, "", "width:26px;height:26px;flex:0 0 auto"),
        _el("div", "font-weight:700;font-size:1.2em;flex:0 0 auto", "Simulated YouTube"),
        _el("div", f"{search};flex:1 1 140px;max-width:460px;margin:0 auto", "Search"),
    )


def _chips() -> str:
    row = "display:flex;gap:8px;margin-top:12px;overflow:hidden;font-size:.93em"
    first = f"{_PILL};background:{_BRAND};color:#fff"
    chips = [
        _el("span", first if k == 0 else _PILL, words)
        for k, words in enumerate(("For you", "New", "Music", "Cooking", "Live", "Watched"))
    ]
    return _el("div", row, *chips)


def _player(card: Card) -> str:
    third = f"{duration_text(card.duration_seconds / 3)} of {card.badge}"
    shown = _image(
        card.thumbnail,
        card.picture,
        "width:100%;max-width:none;aspect-ratio:16/9;display:block;border-radius:12px",
    )
    centre = (
        "position:absolute;left:0;top:0;width:100%;height:100%;display:flex;align-items:center;"
        "justify-content:center"
    )
    over = "position:absolute;left:14px;right:14px;bottom:14px"
    bar = _el("div", f"height:5px;width:33%;border-radius:3px;background:{_PLAYED}")
    time = "color:#fff;background:rgba(16,17,20,.8);border-radius:4px;padding:0 6px;font-size:12px"
    picture = _el(
        "div",
        "position:relative",
        shown,
        _el("div", centre, _image(_PLAY, "", "width:76px;height:76px")),
        _el(
            "div",
            over,
            _el("div", "text-align:right;margin-bottom:8px", _el("span", time, third)),
            _el("div", "background:rgba(255,255,255,.55);border-radius:3px", bar),
        ),
    )
    facts = _el("div", "font-weight:600", escape(card.channel))
    facts += _el("div", "font-size:.87em;opacity:.72", escape(card.facts))
    pills = [_el("span", _PILL, words) for words in ("Follow", "Like", "Share", "Save")]
    row = _avatar(card.channel, 2.8) + _el("div", "flex:1 1 150px;min-width:0", facts)
    row += _el("div", "display:flex;gap:8px;flex-wrap:wrap", *pills)
    lines = [
        _el("div", f"{_FIELD};height:8px;width:{share}%;border-radius:4px;margin:10px 0")
        for share in (92, 84, 40)
    ]
    return (
        picture
        + _el("div", "font-weight:700;font-size:1.4em;margin:12px 0 8px", escape(card.title))
        + _el("div", "display:flex;gap:12px;align-items:center;flex-wrap:wrap", row)
        + _el("div", f"{_FIELD};border-radius:12px;padding:6px 18px;margin-top:14px", *lines)
    )


def _alt(kind: str, cards: Sequence[Card]) -> str:
    if not len(cards):
        raise PageError("there are no cards to draw", allowed="at least one card")
    titles = [f"{k}. {card.title}" for k, card in enumerate(cards, start=1)]
    return f"{kind}, {len(cards)} videos: {'; '.join(titles)}"
