"""Errors of the course.

Every error that the course raises on purpose derives from `CourseError`, and its message has
three parts: what was wrong (with the value given), what is allowed, and how to fix it.
"""

from __future__ import annotations


class CourseError(ValueError):
    """Bad input, or a surrounding in which the course cannot work.

    Parameters
    ----------
    what
        What was wrong, with the value that was given.
    allowed
        What would have been allowed. Left out of the message when empty.
    fix
        What the reader can do about it. Left out of the message when empty.

    Examples
    --------
    >>> str(CourseError("size is 'huge'", allowed="tiny, small, large", fix="choose one"))
    "size is 'huge'. Allowed: tiny, small, large. To fix it: choose one."
    """

    def __init__(self, what: str, *, allowed: str = "", fix: str = "") -> None:
        self.what = what
        self.allowed = allowed
        self.fix = fix
        if not allowed and not fix:
            super().__init__(what)
            return
        parts = [_sentence(what)]
        if allowed:
            parts.append(_sentence(f"Allowed: {allowed}"))
        if fix:
            parts.append(_sentence(f"To fix it: {fix}"))
        super().__init__(" ".join(parts))


class ConfigError(CourseError):
    """A setting of the world, of a model or of the repository that cannot be used."""


class PolicyError(CourseError):
    """A recommender that returned something that cannot be shown as a page."""


class CacheError(CourseError):
    """A cache folder that cannot be written, or a stored file that cannot be trusted."""


class LogError(CourseError):
    """A log table that does not follow its schema."""


class ExerciseError(CourseError):
    """An exercise that does not exist, or that was asked for in a wrong way.

    A wrong *answer* is never an error: the check prints what is wrong and goes on.
    """


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else text + "."
