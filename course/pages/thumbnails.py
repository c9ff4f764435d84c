"""Generated thumbnails: motif and colours by topic, marks by format, noise by clickbait."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

import numpy as np

from course.pages.cards import PageError
from course.pages.motifs import MOTIFS
from course.pages.pen import BLACK, WHITE, Pen, mix, rgb
from course.simulator.names import FORMATS, TOPICS

_SHOUTS = ("WOW!", "NO WAY", "WHAT?!", "INSANE", "OMG!", "100%")
_YELLOW, _RED = (255, 226, 20), (230, 28, 32)


def number_of(name: int | str, names: tuple[str, ...], what: str) -> int:
    """Return the index of a topic or format given by name or index.

    Raises
    ------
    PageError
        If there is none.
    """
    if isinstance(name, str):
        if name in names:
            return names.index(name)
    elif 0 <= int(name) < len(names):
        return int(name)
    allowed = f"0 to {len(names) - 1}, or one of {', '.join(names)}"
    raise PageError(f"the {what} is {name!r}", allowed=allowed)


def thumbnail(
    topic: int | str,
    format: int | str,
    style_seed: int,
    *,
    clickbait: float = 0.0,
    title: str = "",
) -> bytes:
    """Draw the thumbnail of a made-up video; the same arguments always give the same picture.

    Parameters
    ----------
    topic : int or str
        Index into `course.simulator.names.TOPICS`, or the name; decides motif and colours.
    format : int or str
        Index into `course.simulator.names.FORMATS`, or the name; decides the small marks.
    style_seed : int
        Any number of 0 or more; varies colours, background and details.
    clickbait : float
        0 (calm) to 1 (saturated colours, burst, arrow, a shocked face).
    title : str
        One to three words written on the picture.

    Returns
    -------
    bytes
        PNG, 320 by 180 pixels.

    Raises
    ------
    PageError
        If an argument is outside its range.
    """
    if not 0 <= clickbait <= 1:
        raise PageError(f"clickbait is {clickbait!r}", allowed="0 to 1")
    if int(style_seed) < 0:
        raise PageError(f"style_seed is {style_seed!r}", allowed="a whole number of 0 or more")
    topic_number = number_of(topic, TOPICS, "topic")
    format_number = number_of(format, FORMATS, "format")
    # Twenty steps of loudness look the same as a continuum, and can be kept.
    loudness = round(20 * float(clickbait)) / 20
    return _drawn(topic_number, format_number, int(style_seed), loudness, title)


@lru_cache(maxsize=512)
def _drawn(topic: int, form: int, style_seed: int, loudness: float, title: str) -> bytes:
    rng = np.random.default_rng([style_seed, topic, form])
    pen = _pen(topic, rng, loudness)
    _background(pen, rng, loudness)
    MOTIFS[topic](pen, rng)
    if rng.random() < 0.5:
        pen.mirror()
    _mark(pen, FORMATS[form], rng, loudness)
    _shout(pen, rng, loudness, title)
    return pen.png()


def _pen(topic: int, rng: np.random.Generator, loudness: float) -> Pen:
    genre, part = divmod(topic, 3)
    # Ten genres go round the colour circle; sub-topics and seeds move a little from there.
    hue = (genre * 0.1 + 0.03 * (part - 1) + rng.uniform(-0.02, 0.02) + 0.06) % 1
    other = hue + (0.5 if rng.random() < 0.5 else 0.38)
    calm = 0.42 + 0.5 * loudness
    bright = rng.uniform(0.66, 0.8) - 0.12 * loudness
    return Pen(
        top=rgb(hue, bright, calm),
        bottom=rgb(hue + 0.05, bright - 0.24, calm),
        main=rgb(hue - 0.03, 0.42, 0.35 + 0.5 * loudness),
        accent=rgb(other, 0.5, 0.6 + 0.4 * loudness),
        light=rgb(hue + 0.1, 0.87, 0.6 + 0.4 * loudness),
        dark=rgb(hue, 0.17, 0.35),
    )


def _background(pen: Pen, rng: np.random.Generator, loudness: float) -> None:
    kind = 3 if loudness > 0.5 else int(rng.integers(3))
    tint = mix(pen.top, WHITE, 0.22 + 0.25 * loudness)
    if kind == 0:
        for _ in range(14):
            x, y = rng.uniform((0, 0), (16, 9))
            pen.disc(x, y, rng.uniform(0.2, 0.9), mix(pen.top, pen.bottom, rng.uniform(0.2, 0.8)))
    elif kind == 1:
        pen.disc(8, 9.5, 8.5, mix(pen.bottom, pen.main, 0.25))
    elif kind == 3:
        turn = rng.uniform(0, 2 * pi)
        for k in range(12):
            a, b = turn + k * pi / 6, turn + (k + 0.5) * pi / 6
            pen.shape([(8, 4.5), (8 + 12 * cos(a), 4.5 + 12 * sin(a)),
                       (8 + 12 * cos(b), 4.5 + 12 * sin(b))], tint)  # fmt: skip


def _mark(pen: Pen, form: str, rng: np.random.Generator, loudness: float) -> None:
    if form == "music":
        for k in range(6):
            height = rng.uniform(0.4, 1.5)
            pen.box(0.6 + 0.42 * k, 8.4 - height, 0.88 + 0.42 * k, 8.4, WHITE, 0.12)
    elif form == "news":
        pen.box(0, 7.1, 10.4, 8.4, WHITE)
        pen.box(0, 7.1, 0.5, 8.4, _RED)
        pen.text(0.9, 7.78, "TODAY", 0.85, BLACK, anchor="lm")
        pen.box(4.5, 7.45, 9.9, 7.68, (150, 155, 165), 0.1)
        pen.box(4.5, 7.92, 8.6, 8.12, (190, 195, 205), 0.1)
    elif form == "tutorial":
        pen.box(0.5, 0.5, 4.6, 1.9, WHITE, 0.7)
        pen.text(2.55, 1.22, "HOW TO", 0.78, pen.dark)
    elif form == "episode":
        pen.shape([(0, 0.5), (4.4, 0.5), (3.8, 1.25), (4.4, 2.0), (0, 2.0)], pen.dark)
        pen.text(1.95, 1.28, "SERIES", 0.82, WHITE)
    elif form == "live":
        pen.box(0.5, 0.5, 5.0, 1.9, _RED, 0.35)
        pen.disc(1.15, 1.2, 0.26, WHITE)
        pen.text(3.2, 1.22, "ON AIR", 0.78, WHITE)
    elif form == "vlog":
        _person(pen, 2.6, rng, surprised=loudness > 0.6)


def _person(
    pen: Pen, x: float, rng: np.random.Generator, *, surprised: bool, size: float = 1
) -> None:
    skin = mix((255, 219, 180), (110, 70, 45), float(rng.random()))
    hair = mix((30, 24, 20), (190, 130, 70), float(rng.random()))
    y = 9 - 3.6 * size
    pen.box(x - 2 * size, y + 1.5 * size, x + 2 * size, 10.5, pen.accent, 1.4 * size)
    pen.disc(x, y - 0.35 * size, 1.72 * size, hair)
    pen.disc(x, y + 0.1 * size, 1.5 * size, skin, 1.12)
    pen.slice(x, y - 0.55 * size, 1.52 * size, 185, 355, hair)
    for side in (-0.55, 0.55):
        pen.disc(x + side * size, y, (0.36 if surprised else 0.17) * size,
                 WHITE if surprised else BLACK)  # fmt: skip
        if surprised:
            pen.disc(x + side * size, y, 0.15 * size, BLACK)
    if surprised:
        pen.disc(x, y + 0.95 * size, 0.42 * size, (110, 20, 24), 1.25)
    else:
        pen.arc(x, y + 0.45 * size, 0.6 * size, 25, 155, (130, 50, 40), 0.14 * size)


def _shout(pen: Pen, rng: np.random.Generator, loudness: float, title: str) -> None:
    words = title.upper()[:18] or (
        _SHOUTS[int(rng.integers(len(_SHOUTS)))] if loudness > 0.45 else ""
    )
    if loudness > 0.75:
        _person(pen, 13.1, rng, surprised=True, size=1.25)
    if loudness > 0.6:
        _arrow(pen, rng)
    if loudness > 0.3:
        # A face takes the right side; then the burst moves to the middle.
        x, y, r = (9.3, 1.6, 1.7) if loudness > 0.75 else (12.6, 2.2, 1.2 + 1.1 * loudness)
        pen.star(x, y, r, _YELLOW, 11, 0.68, rng.uniform(0, 1))
        pen.text(x, y + 0.05, "!" if loudness < 0.6 else "!!", 0.6 + 0.55 * r, _RED)
    if words:
        size = min(1.15 + 0.75 * loudness, 1.15 * 9.6 / max(pen.text_width(words, 1.15), 1e-6))
        fill = _YELLOW if loudness > 0.3 else WHITE
        pen.text(0.7, 7.75, words, size, fill, rim=BLACK, anchor="lm", tilt=5 * (loudness > 0.6))
    if loudness > 0.85:
        for edge in ((0, 0, 16, 0.28), (0, 8.72, 16, 9), (0, 0, 0.28, 9), (15.72, 0, 16, 9)):
            pen.box(*edge, _YELLOW)


def _arrow(pen: Pen, rng: np.random.Generator) -> None:
    x, y = 7.4 + rng.uniform(-0.6, 0.6), 3.9
    outline = [(-3.4, -1.0), (-0.9, 0.35), (-0.45, -0.5), (1.0, 1.9), (-1.7, 2.0), (-1.3, 1.15),
               (-3.9, -0.2)]  # fmt: skip
    corners = [(x + dx, y + dy) for dx, dy in outline]
    pen.line([*corners, corners[0]], WHITE, 0.5)
    pen.shape(corners, _RED)
