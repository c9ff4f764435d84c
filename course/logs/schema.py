"""The documented schema of every table: field, type, unit, meaning, who sees it.

``data/README.md`` is written from this module, and a test compares the two.

Who sees a field: ``log`` = the platform observes it, models may use it; ``label`` = observed, but
only after the fact, so it is a label and never a feature of the same row; ``truth`` = nobody but
the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

from course.simulator.names import (
    AGE_BANDS,
    COUNTRIES,
    DAYPARTS,
    DEVICES,
    FORMATS,
    GENDERS,
    LANGUAGES,
    TOPICS,
)
from course.simulator.nominate import NOMINATORS
from course.simulator.organic import SOURCES

SURFACES = ("home", "up_next")


@dataclass(frozen=True)
class Field:
    """One column: its name, NumPy dtype, unit, meaning, who sees it, and names of its codes."""

    name: str
    dtype: str
    unit: str
    meaning: str
    seen_by: str = "log"
    categories: tuple[str, ...] | None = None


def _codes(name, categories, meaning, seen_by="log"):
    return Field(name, "category", "", meaning, seen_by, tuple(categories))


_WHO_WHEN = (
    Field("user_id", "int32", "", "account"),
    Field("time", "float64", "days", "time since the start of the log"),
    _codes("device", DEVICES, "device"),
    _codes("daypart", DAYPARTS, "part of the day, six hours each from midnight"),
)
_OUTCOMES = (
    Field("watched_seconds", "float32", "seconds", "time watched; 0 without a click", "label"),
    Field("completed", "bool", "", "at least 80 % was watched", "label"),
    Field("liked", "bool", "", "pressed like", "label"),
    Field("shared", "bool", "", "shared the video", "label"),
    Field("survey", "int8", "stars", "survey answer 1 to 5; 0 = not asked", "label"),
)

SCHEMA: dict[str, tuple[Field, ...]] = {
    "users": (
        Field("user_id", "int32", "", "account; row number"),
        _codes("country", COUNTRIES, "country of the account"),
        _codes("language", LANGUAGES, "language of the account"),
        _codes("gender", GENDERS, "as stated"),
        _codes("age_band", AGE_BANDS, "age in years, as stated"),
        Field("logged_in", "bool", "", "logged in; others cannot like or follow"),
        Field("joined", "float64", "days", "first day of the account; negative = before the log"),
    ),
    "videos": (
        Field("video_id", "int32", "", "video; row number; grows with the upload time"),
        Field("channel_id", "int32", "", "channel that uploaded it"),
        _codes("topic", TOPICS, "topic as labelled by the channel"),
        _codes("language", LANGUAGES, "language of the video"),
        _codes("format", FORMATS, "format of the video"),
        Field("episode", "int32", "", "number within its series; 0 = not an episode"),
        Field("duration_seconds", "float32", "seconds", "length of the video"),
        Field("uploaded", "float64", "days", "upload time; negative = before the log"),
    ),
    "watches": (
        *_WHO_WHEN,
        Field("video_id", "int32", "", "video watched"),
        _codes("source", SOURCES, "what led to the watch"),
        Field("request_id", "int64", "", "page request it came from; -1 = not from the feed"),
        *_OUTCOMES,
    ),
    "searches": (
        *_WHO_WHEN,
        Field("token_1", "int32", "", "first search token"),
        Field("token_2", "int32", "", "second search token; -1 = none"),
        Field("token_3", "int32", "", "third search token; -1 = none"),
    ),
    "impressions": (
        Field("request_id", "int64", "", "page request; all rows of a page share it"),
        *_WHO_WHEN,
        _codes("surface", SURFACES, "home page or up-next list"),
        Field("query_video_id", "int32", "", "video being watched (up next); -1 = home page"),
        Field("video_id", "int32", "", "video shown"),
        Field("position", "int8", "", "1 = top of the page"),
        _codes("nominator", NOMINATORS, "source that nominated the video"),
        Field(
            "previous_impressions",
            "int16",
            "",
            "earlier showings to this account (in worlds above 4,096 videos: of its bucket)",
        ),
        Field("large_thumbnail", "bool", "", "shown with a large thumbnail"),
        Field("clicked", "bool", "", "clicked", "label"),
        Field("dismissed", "bool", "", "pressed 'not interested'", "label"),
        *_OUTCOMES,
    ),
    "truth_users": (
        Field("sessions_per_day", "float64", "1/day", "true activity", "truth"),
        Field("shared", "bool", "", "a second person uses the account", "truth"),
    ),
    "truth_videos": (
        Field("quality", "float32", "sd", "true quality", "truth"),
        Field("clickbait", "float32", "sd", "true clickbait", "truth"),
        Field("packaging", "float32", "sd", "true pull of title and thumbnail", "truth"),
        Field("level", "int8", "", "0 mainstream to 2 niche", "truth"),
        Field("base_popularity", "float64", "", "true popularity at the peak", "truth"),
        Field("peak_days", "float64", "days", "age at which popularity peaks", "truth"),
    ),
    "truth_watches": (Field("member", "int8", "", "which person of the account", "truth"),),
    "truth_searches": (
        Field("errand", "bool", "", "the search was an errand, not taste", "truth"),
    ),
    "truth_impressions": (
        Field("p_seen", "float32", "", "P(the position is looked at)", "truth"),
        Field("p_click_if_seen", "float32", "", "P(click | looked at)", "truth"),
        Field("expected_seconds_if_clicked", "float32", "seconds", "E[watched | click]", "truth"),
        Field("expected_rating_if_clicked", "float32", "stars", "E[survey | click]", "truth"),
        Field("member", "int8", "", "which person of the account", "truth"),
    ),
}
"""Tables whose name starts with ``truth_`` are row-aligned with the table they speak of."""

OBSERVED = tuple(name for name in SCHEMA if not name.startswith("truth_"))


def markdown() -> str:
    """The schema as Markdown tables, for ``data/README.md``."""
    lines = []
    for table, fields in SCHEMA.items():
        lines += [f"### {table}", "", "| field | type | unit | who sees it | meaning |"]
        lines.append("|---|---|---|---|---|")
        for field in fields:
            meaning = field.meaning
            if field.categories and len(field.categories) <= 8:
                meaning += f" ({', '.join(field.categories)})"
            meaning = meaning.replace("|", "\\|")  # a bare one would end the cell
            lines.append(
                f"| {field.name} | {field.dtype} | {field.unit} | {field.seen_by} | {meaning} |"
            )
        lines.append("")
    return "\n".join(lines)
