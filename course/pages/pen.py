"""A small pen for generated pictures: shapes on a canvas of 16 by 9 units."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, sin
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]

#: Pixels a unit while drawing; the picture is shrunk to half of it, which smooths the edges.
_SCALE = 40

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (22, 24, 28)


def rgb(hue: float, lightness: float, saturation: float) -> Colour:
    """Return a colour; all three parts from 0 to 1, the hue goes round."""
    parts = colorsys.hls_to_rgb(hue % 1.0, min(max(lightness, 0), 1), min(max(saturation, 0), 1))
    return tuple(round(255 * part) for part in parts)  # type: ignore[return-value]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return a colour between two: ``share`` 0 is the first, 1 the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


@lru_cache(maxsize=32)
def font(size: int, bold: bool = True) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own font (it is there wherever matplotlib is), in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size)


class Pen:
    """Draws in units (16 wide, 9 high, y downwards) with the colours of one picture.

    Parameters
    ----------
    top, bottom : Colour
        The background runs from one to the other.
    main, accent, light, dark : Colour
        What motifs are drawn with.
    """

    def __init__(
        self, top: Colour, bottom: Colour, main: Colour, accent: Colour, light: Colour, dark: Colour
    ) -> None:
        self.top, self.bottom = top, bottom
        self.main, self.accent, self.light, self.dark = main, accent, light, dark
        # A gradient by hand: one column, repeated.
        run = np.linspace(0, 1, 9 * _SCALE)[:, None, None]
        column = np.asarray(top) * (1 - run) + np.asarray(bottom) * run
        pixels = np.broadcast_to(column, (9 * _SCALE, 16 * _SCALE, 3)).astype(np.uint8)
        self.image = Image.fromarray(np.ascontiguousarray(pixels))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, *values: float) -> list[float]:
        return [value * _SCALE for value in values]

    def disc(self, x: float, y: float, r: float, fill: Colour, squash: float = 1.0) -> None:
        """Draw a filled circle, or an ellipse of height ``squash`` times its width."""
        self._draw.ellipse(self._at(x - r, y - r * squash, x + r, y + r * squash), fill=fill)

    def ring(
        self, x: float, y: float, r: float, stroke: Colour, width: float, squash: float = 1.0
    ) -> None:
        """Draw a circle's (or ellipse's) line."""
        box = self._at(x - r, y - r * squash, x + r, y + r * squash)
        self._draw.ellipse(box, outline=stroke, width=round(width * _SCALE))

    def arc(
        self, x: float, y: float, r: float, start: float, end: float, stroke: Colour, width: float
    ) -> None:
        """Draw part of a circle, in degrees, clockwise from three o'clock."""
        box = self._at(x - r, y - r, x + r, y + r)
        self._draw.arc(box, start, end, fill=stroke, width=round(width * _SCALE))

    def slice(self, x: float, y: float, r: float, start: float, end: float, fill: Colour) -> None:
        """Draw a filled piece of pie."""
        self._draw.pieslice(self._at(x - r, y - r, x + r, y + r), start, end, fill=fill)

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        fill: Colour,
        round_by: float = 0,
    ) -> None:
        """Draw a filled rectangle with rounded corners."""
        area = self._at(left, top, right, bottom)
        self._draw.rounded_rectangle(area, radius=round_by * _SCALE, fill=fill)

    def shape(self, points: Sequence[Point], fill: Colour) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=fill)

    def line(self, points: Sequence[Point], stroke: Colour, width: float) -> None:
        """Draw a line through points, with rounded ends."""
        pixels = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(pixels, fill=stroke, width=round(width * _SCALE), joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, width / 2, stroke)

    def star(
        self, x: float, y: float, r: float, fill: Colour, tips: int = 5, depth: float = 0.45,
        turn: float = 0.0,
    ) -> None:  # fmt: skip
        """Draw a star with ``tips`` tips; ``depth`` is the inner radius as a share."""
        points = []
        for k in range(2 * tips):
            reach = r if k % 2 == 0 else r * depth
            angle = pi * k / tips - pi / 2 + turn
            points.append((x + reach * cos(angle), y + reach * sin(angle)))
        self.shape(points, fill)

    def text(
        self, x: float, y: float, words: str, size: float, fill: Colour, *,
        rim: Colour | None = None, anchor: str = "mm", tilt: float = 0.0,
    ) -> None:  # fmt: skip
        """Write bold words, ``size`` units high, with an optional rim, tilted by degrees."""
        letters = font(round(size * _SCALE))
        stroke = {"stroke_width": round(size * _SCALE * 0.09), "stroke_fill": rim} if rim else {}
        if not tilt:
            self._draw.text(self._at(x, y), words, font=letters, fill=fill, anchor=anchor, **stroke)
            return
        layer = Image.new("RGBA", self.image.size, (0, 0, 0, 0))
        ImageDraw.Draw(layer).text(
            self._at(x, y), words, font=letters, fill=fill, anchor=anchor, **stroke
        )
        layer = layer.rotate(tilt, center=tuple(self._at(x, y)), resample=Image.Resampling.BICUBIC)
        self.image.paste(layer, (0, 0), layer)

    def text_width(self, words: str, size: float) -> float:
        """Return how wide bold words are, in units."""
        return font(round(size * _SCALE)).getlength(words) / _SCALE

    def mirror(self) -> None:
        """Turn what is drawn so far left to right."""
        self.image = self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        self._draw = ImageDraw.Draw(self.image)

    def png(self) -> bytes:
        """Return the picture, 320 by 180 pixels, as PNG bytes."""
        buffer = io.BytesIO()
        self.image.reduce(2).save(buffer, format="PNG", compress_level=6)
        return buffer.getvalue()
