"""A video as a page shows it, and the short texts that stand on its card."""

from __future__ import annotations

from dataclasses import dataclass

from course.errors import CourseError


class PageError(CourseError):
    """Something that cannot be drawn on a page."""


@dataclass(frozen=True)
class Card:
    """What a viewer sees of a video before clicking.

    Parameters
    ----------
    duration_seconds : length of the video
    age_days : days since the upload
    views : so far
    thumbnail : SVG, 16:9 (see `course.pages.thumbnail`)
    picture : what the thumbnail shows, in words, for those who do not see it
    """

    video_id: int
    title: str
    channel: str
    duration_seconds: float
    age_days: float
    views: int
    thumbnail: bytes
    picture: str = "thumbnail"

    def __post_init__(self) -> None:
        for name in ("duration_seconds", "age_days", "views"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise PageError(f"{name} is {value!r}", allowed="a number of 0 or more")

    @property
    def badge(self) -> str:
        """The text in the corner of the thumbnail: the length."""
        return duration_text(self.duration_seconds)

    @property
    def facts(self) -> str:
        """Views and age in one line: ``"12K views · 3 days ago"``."""
        return f"{views_text(self.views)} · {age_text(self.age_days)}"


def duration_text(seconds: float) -> str:
    """Return a length as ``"0:42"``, ``"10:32"`` or ``"1:02:03"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def age_text(days: float) -> str:
    """Return an age as ``"just now"``, ``"5 hours ago"``, ``"3 days ago"``, ``"2 years ago"``."""
    units = ((365, "year"), (30, "month"), (7, "week"), (1, "day"), (1 / 24, "hour"))
    for length, unit in units:
        # Whole weeks only from two weeks on, as people say "8 days" rather than "1 week".
        if days >= length * (2 if unit == "week" else 1):
            number = int(days / length + 1e-9)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def views_text(views: float) -> str:
    """Return a count as ``"no views"``, ``"812 views"``, ``"12K views"``, ``"3.4M views"``."""
    count = int(views)
    if count == 0:
        return "no views"
    if count == 1:
        return "1 view"
    for size, letter in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if count >= size:
            # One digit after the point below ten, cut and not rounded, so 9,999 is not "10.0K".
            tenths = count * 10 // size
            number = f"{tenths / 10:g}" if tenths < 100 else str(tenths // 10)
            return f"{number}{letter} views"
    return f"{count} views"
