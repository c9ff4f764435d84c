"""Drawn pages of the simulated YouTube: cards, thumbnails, titles, home page, up-next page."""

from course.pages.cards import Card, PageError, age_text, duration_text, views_text

__all__ = ["Card", "PageError", "age_text", "duration_text", "views_text"]
