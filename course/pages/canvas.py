"""An empty page measured in screen pixels, and words broken into lines that fit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Polygon

from course.pages.cards import PageError
from course.pages.pen import font
from course.plots.style import SCREEN_DPI, Figure


@dataclass(frozen=True)
class Theme:
    """The colours of a page: ground, words, small words, fields, rims."""

    paper: str
    ink: str
    soft: str
    field: str
    rim: str


LIGHT = Theme("#ffffff", "#17191c", "#61676e", "#f1f2f4", "#d8dbe0")
DARK = Theme("#15171b", "#f3f4f6", "#a4a9b1", "#262a31", "#3a3f48")


class Page:
    """An empty page of ``width`` by ``height`` screen pixels, y downwards."""

    def __init__(self, width: int, height: int, theme: Theme, alt: str) -> None:
        size = (width / SCREEN_DPI, height / SCREEN_DPI)
        self.figure = Figure(
            figsize=size, dpi=SCREEN_DPI, facecolor=theme.paper, layout="none", alt=alt, colours=256
        )
        self.ax: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set_axis_off()
        self.ax.set(xlim=(0, width), ylim=(height, 0))
        self.width, self.height, self.theme = width, height, theme

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *,
        corner: float = 0, rim: str = "none", stroke: float = 1.0, alpha: float = 1.0,
    ) -> FancyBboxPatch:  # fmt: skip
        """Draw a filled box, with round corners and a rim if asked for."""
        shape = FancyBboxPatch(
            (x, y), width, height, boxstyle=f"round,pad=0,rounding_size={corner}" if corner
            else "square,pad=0", facecolor=fill, edgecolor=rim, linewidth=stroke, alpha=alpha,
        )  # fmt: skip
        return self.ax.add_patch(shape)

    def disc(self, x: float, y: float, r: float, fill: str, *, rim: str = "none") -> None:
        """Draw a filled circle."""
        """Draw a filled box with round corners."""
        self.ax.add_patch(Circle((x, y), r, facecolor=fill, edgecolor=rim))

    def shape(self, points: Sequence[tuple[float, float]], fill: str) -> None:
        """Draw a filled polygon."""
        self.ax.add_patch(Polygon(points, closed=True, facecolor=fill, edgecolor="none"))

    def text(
        self, x: float, y: float, words: str, size: float, fill: str, *, bold: bool = False,
        across: str = "left", down: str = "center", role: str = "text",
    ) -> None:  # fmt: skip
        """Write words ``size`` pixels high."""
        self.ax.text(
            x, y, words, fontsize=size * 72 / SCREEN_DPI, color=fill, ha=across, va=down,
            fontweight="bold" if bold else "normal", parse_math=False, gid=role, zorder=8,
        )  # fmt: skip

    def picture(self, data: bytes, x: float, y: float, width: float, height: float,
                corner: float) -> None:  # fmt: skip
        """Show a PNG in a box with round corners."""
        pixels = _decode(data)
        enlarged = width > pixels.shape[1]
        image = self.ax.imshow(
            pixels,
            extent=(x, x + width, y + height, y),
            aspect="auto",
            interpolation="bicubic" if enlarged else "antialiased",
            zorder=1,
        )
        clip = FancyBboxPatch(
            (x, y), width, height, boxstyle=f"round,pad=0,rounding_size={corner}",
            transform=self.ax.transData,
        )  # fmt: skip
        image.set_clip_path(clip)
        # imshow moves the limits and the direction of the y axis.
        self.ax.set(xlim=(0, self.width), ylim=(self.height, 0))


def _decode(data: bytes) -> np.ndarray:
    try:
        return matplotlib.image.imread(io.BytesIO(data), format="png")
    except Exception as error:
        raise PageError(
            f"a thumbnail cannot be read ({type(error).__name__})", allowed="bytes of a PNG picture"
        ) from error


def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Return how wide words are, in pixels, when written ``size`` pixels high."""
    # Measured large and scaled down: whole pixels would add up to an error over a line.
    return font(64, bold).getlength(words) * size / 64


def wrap(words: str, width: float, size: float, lines: int = 2, *, bold: bool = False) -> list[str]:
    """Break a text into at most ``lines`` lines, with an ellipsis where it is cut.

    Parameters
    ----------
    words : str
    width : float
        In pixels; no line is wider.
    size : float
        Height of the letters, in pixels.
    lines : int
    bold : bool

    Returns
    -------
    list of str
    """
    done: list[str] = []
    rest = " ".join(words.split())
    while rest and len(done) < lines:
        last = len(done) == lines - 1
        if text_width(rest, size, bold=bold) <= width:
            done.append(rest)
            break
        # The longest beginning that fits, at a space if there is one (not on the last line).
        room = width - (text_width("…", size, bold=bold) if last else 0)
        end = 1
        while end < len(rest) and text_width(rest[: end + 1], size, bold=bold) <= room:
            end += 1
        if last:
            done.append(rest[:end].rstrip(" ,.:;") + "…")
            break
        space = rest.rfind(" ", 0, end + 1)
        end = space if space > 0 else end
        done.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return done
