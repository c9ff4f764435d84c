"""Figures of the course: pure functions of their arguments that return a figure.

`palette` says which colour means which method, `style` holds the one look; each other module
draws the figures of one subject.
"""

from course.metrics import interval
from course.plots.ledger import ledger_overview
from course.plots.palette import COLOURS, colour, look
from course.plots.pictures import funnel, standing, system_loop
from course.plots.shapes import diagram, in_words, lines, worlds
from course.plots.style import Figure, adopt, figure, floor_and_ceiling, png, show, styled

__all__ = ["COLOURS", "Figure", "adopt", "colour", "diagram", "figure",
           "floor_and_ceiling", "funnel", "in_words", "interval",
           "ledger_overview", "lines", "look", "png", "show", "standing", "styled",
           "system_loop", "worlds"]  # fmt: skip
