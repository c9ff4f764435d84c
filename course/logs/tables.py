"""The tables of a world: what a platform observes, and apart from it, the truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from course.errors import LogError
from course.logs.schema import OBSERVED, SCHEMA
from course.simulator.content import Content
from course.simulator.engine import Engine, Record

# Names of the engine's columns where they differ from the schema's.
_RENAME = {
    "user": "user_id",
    "video": "video_id",
    "request": "request_id",
    "query_video": "query_video_id",
}


@dataclass(frozen=True)
class Logs:
    """What the platform observed, one DataFrame per table; fields in ``course.logs.schema``.

    ``videos`` holds the videos uploaded by the end of the log, ``users`` all accounts, also those
    that join later (they are needed in live tests). In both the row number is the id. ``content``
    has the titles and thumbnails of all videos, also of those uploaded later (for the same reason).
    """

    users: pd.DataFrame
    videos: pd.DataFrame
    watches: pd.DataFrame
    searches: pd.DataFrame
    impressions: pd.DataFrame
    _content: Content | None = dataclasses.field(default=None, repr=False)
    _ids: dict[str, pd.Index] | None = dataclasses.field(default=None, repr=False)
    filled: tuple[str, ...] = ()

    @classmethod
    def from_tables(
        cls,
        watches: pd.DataFrame | None = None,
        impressions: pd.DataFrame | None = None,
        videos: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        searches: pd.DataFrame | None = None,
    ) -> Logs:
        """Logs of a platform of one's own; notebooks/OWN_LOGS.md goes through an example.

        Parameters
        ----------
        watches : at least ``user_id, video_id, time``; None = the clicked impressions
        impressions : at least ``user_id, video_id, time, clicked``; None = there are none
        videos, users : at least the id; None = all that occur
        searches : at least ``user_id, time, token_1``

        Times are dates, or days (float) since the start of the log. Further columns are those of
        `course.logs.schema`; ``filled`` names those that were not given, as "table.column".

        Raises
        ------
        LogError
            For the first thing that keeps the tables from being used.
        """
        from course.logs.outside import from_tables

        return from_tables(watches=watches, impressions=impressions, videos=videos, users=users,
                           searches=searches)  # fmt: skip

    @property
    def ids(self) -> dict[str, pd.Index]:
        """Ids as they were before they were numbered: ``ids["video_id"][7]`` is video 7's."""
        if self._ids is None:
            return {"user_id": pd.RangeIndex(len(self.users)),
                    "video_id": pd.RangeIndex(len(self.videos))}  # fmt: skip
        return self._ids

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(getattr(self, name)):,}" for name in OBSERVED)
        return f"Logs({sizes})"

    @property
    def content(self) -> Content:
        """Titles and thumbnails: ``content.title_tokens``, ``content.thumbnails(videos)``.

        Raises
        ------
        LogError
            If these logs came without.
        """
        if self._content is None:
            raise LogError(
                "These logs have no titles and thumbnails", allowed="the logs of a simulated world"
            )
        return self._content

    def before(self, day: float) -> Logs:
        """The same logs as they were at ``day`` (float days): later rows are gone."""
        keep = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("watches", "searches", "impressions"):
            keep[name] = keep[name][keep[name]["time"] < day]
        keep["videos"] = self.videos[self.videos["uploaded"] < day]
        return Logs(**keep)


def from_record(engine: Engine, record: Record) -> dict[str, pd.DataFrame]:
    """All tables, observed and true, from what the engine wrote down.

    Rows are sorted by time (impressions: by request, then position).
    """
    raw = {"truth_impressions": record.table("truth_impressions"), **_fixed(engine)}
    for table in ("watches", "searches", "impressions"):
        raw[table] = {_RENAME.get(name, name): of for name, of in record.table(table).items()}
    for name in ("watches", "searches"):
        rows = np.argsort(raw[name]["time"], kind="stable") if raw[name] else np.arange(0)
        raw[name] = {key: values[rows] for key, values in raw[name].items()}
        raw[f"truth_{name}"] = raw[name]
    return {name: as_table(name, raw[name]) for name in SCHEMA}


def _fixed(engine: Engine) -> dict[str, dict[str, np.ndarray]]:
    people, c, end = engine.people, engine.catalogue, engine.config.days
    n = c.available(end)
    users = {
        "user_id": np.arange(len(people)),
        "country": people.country,
        "language": people.language,
        "gender": people.gender,
        "age_band": people.age_band,
        "logged_in": people.logged_in,
        "joined": people.joined,
    }
    videos = {
        "video_id": np.arange(n),
        "channel_id": c.channel[:n],
        "topic": c.topic[:n],
        "language": c.language[:n],
        "format": c.format[:n],
        "episode": c.episode[:n],
        "duration_seconds": c.seconds[:n],
        "uploaded": c.uploaded[:n],
    }
    traits = ("quality", "clickbait", "packaging", "level", "base_popularity", "peak_days")
    return {
        "users": users,
        "videos": videos,
        "truth_users": {
            "sessions_per_day": people.sessions_per_day,
            "shared": people.second_member.any(axis=(1, 2)),
        },
        "truth_videos": {name: getattr(c, name)[:n] for name in traits},
    }


def as_table(table: str, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """A table in the documented columns and types, from arrays; categories as codes."""
    out = {}
    for field in SCHEMA[table]:
        values = columns.get(field.name, np.zeros(0))
        if field.categories is not None:
            values = pd.Categorical.from_codes(np.asarray(values, int), field.categories)
        else:
            values = np.asarray(values).astype(field.dtype)
        out[field.name] = values
    return pd.DataFrame(out)


def check_table(table: str, frame: pd.DataFrame) -> None:
    """Raise a `LogError` that names the first thing in which a table departs from its schema."""
    if table not in SCHEMA:
        raise LogError(f"There is no table {table!r}", allowed=", ".join(SCHEMA))
    want = [field.name for field in SCHEMA[table]]
    if list(frame.columns) != want:
        raise LogError(
            f"The table {table!r} has the columns {list(frame.columns)}", allowed=str(want)
        )
    for field in SCHEMA[table]:
        column = frame[field.name]
        if field.categories is not None:
            if not isinstance(column.dtype, pd.CategoricalDtype):
                raise LogError(f"{table}.{field.name} is {column.dtype}", allowed="a category")
            # In this order too: a model that uses the codes must get the same codes.
            if tuple(column.cat.categories) != field.categories:
                raise LogError(
                    f"{table}.{field.name} has the categories {list(column.cat.categories)}",
                    allowed=f"exactly {', '.join(field.categories)}, in this order",
                )
        elif str(column.dtype) != field.dtype:
            raise LogError(f"{table}.{field.name} is {column.dtype}", allowed=field.dtype)
        if column.isna().any():
            raise LogError(f"{table}.{field.name} has a missing value", allowed="no missing values")
