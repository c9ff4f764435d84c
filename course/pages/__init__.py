"""Drawn pages of the simulated YouTube, as HTML: cards, thumbnails, home page, up-next page."""

from course.pages.cards import Card
from course.pages.layout import Page, card_html, home_page, shelf_page, up_next_page
from course.pages.thumbnails import picture_words, thumbnail

__all__ = ["Card", "Page", "card_html", "home_page", "picture_words", "shelf_page", "thumbnail",
           "up_next_page"]  # fmt: skip
