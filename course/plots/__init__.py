"""Figures of the course: pure functions of their arguments that return a figure.

`palette` says which colour means which method, `style` holds the one look; each other module
draws the figures of one subject.
"""

from course.plots.factorization import (
    clock_weights,
    contest,
    descent,
    factors_and_regularisation,
    factors_at,
    taste_by_history,
    who_watched_what,
)
from course.plots.labels import (
    against,
    asymmetry,
    by_activity,
    inflation,
    offline_live,
    two_questions,
)
from course.plots.live import experiment, funnel_tradeoff, gap_closed, standing
from course.plots.logs import (
    ages_watched,
    by_device,
    click_against_satisfaction,
    dials,
    life_of_a_video,
    locally_sparse,
    long_tail,
    position_split,
    turned_dials,
)
from course.plots.palette import COLOURS, colour, look
from course.plots.pictures import funnel, system_loop
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
    "against",
    "ages_watched",
    "apply",
    "asymmetry",
    "band",
    "by_activity",
    "by_device",
    "click_against_satisfaction",
    "clock_weights",
    "colour",
    "contest",
    "descent",
    "dials",
    "experiment",
    "factors_and_regularisation",
    "factors_at",
    "figure",
    "floor_and_ceiling",
    "funnel",
    "funnel_tradeoff",
    "gap_closed",
    "inflation",
    "interval",
    "life_of_a_video",
    "locally_sparse",
    "long_tail",
    "look",
    "offline_live",
    "png",
    "position_split",
    "show",
    "standing",
    "styled",
    "system_loop",
    "taste_by_history",
    "turned_dials",
    "two_questions",
    "who_watched_what",
]
