"""Drawn pages of the simulated YouTube: cards, thumbnails, titles, home page, up-next page."""

from course.pages.cards import Card, PageError, age_text, duration_text, views_text

# isort: split
from course.pages.layout import home_page, up_next_page
from course.pages.thumbnails import thumbnail
from course.pages.titles import title_for

__all__ = [
    "Card",
    "PageError",
    "age_text",
    "duration_text",
    "home_page",
    "thumbnail",
    "title_for",
    "up_next_page",
    "views_text",
]
