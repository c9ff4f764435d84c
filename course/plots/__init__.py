"""Figures of the course: pure functions of their arguments that return a figure.

`palette` says which colour means which method, `style` holds the one look; each other module
draws the figures of one subject.
"""

from course.plots.palette import COLOURS, colour, look
from course.plots.style import (
    Figure,
    apply,
    band,
    figure,
    floor_and_ceiling,
    interval,
    png,
    show,
    styled,
)

__all__ = [
    "COLOURS",
    "Figure",
    "apply",
    "band",
    "colour",
    "figure",
    "floor_and_ceiling",
    "interval",
    "look",
    "png",
    "show",
    "styled",
]
