"""Drawn pages of the simulated YouTube, as HTML: cards, thumbnails, home page, up-next page."""

from course.pages.cards import Card, PageError, age_text, duration_text, views_text
from course.pages.layout import Page, card_html, home_page, shelf_page, up_next_page
from course.pages.thumbnails import picture_words, thumbnail

__all__ = [
    "Card",
    "Page",
    "PageError",
    "age_text",
    "card_html",
    "duration_text",
    "home_page",
    "picture_words",
    "shelf_page",
    "thumbnail",
    "up_next_page",
    "views_text",
]
