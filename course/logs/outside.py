"""Logs from outside: somebody's own tables, looked through and brought into the course's form.

What has to be there is little (`NEEDED`); the rest is filled with values that say nothing, and
`Logs.filled` names it. Ids may be of any kind: they are numbered anew, and `Logs.ids` leads back.
Categories are the tables' own. A column that `course.logs.schema` does not know is left out, since
nobody can tell whether it was known when a page was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from course.errors import LogError
from course.logs.schema import OBSERVED, SCHEMA
from course.logs.tables import Logs
from course.simulator.names import DAYPARTS

NEEDED = {
    "watches": ("user_id", "video_id", "time"),
    "impressions": ("user_id", "video_id", "time", "clicked"),
    "videos": ("video_id",),
    "users": ("user_id",),
    "searches": ("user_id", "time", "token_1"),
}
"""The least that each table needs; `watches` or `impressions` must be there."""

TIMED = ("watches", "impressions", "searches")
BEFORE = -1.0
"""Day of joining and of upload of what has none: all were there when the log began."""
UNKNOWN = "unknown"
MOST_DAYS = 40_000
TOKENS = ("token_1", "token_2", "token_3")
DEFAULTS = {"joined": BEFORE, "uploaded": BEFORE, "logged_in": True, "position": 1}
NOT_THERE = ("request_id", "query_video_id", *TOKENS)


@dataclass(frozen=True)
class Fault:
    """Something about a table: an error keeps it from being used, a remark does not."""

    table: str
    what: str
    fix: str
    error: bool = True

    def __str__(self) -> str:
        return f"{'ERROR ' if self.error else 'remark'} {self.table}: {self.what}. {self.fix}."


def from_tables(**tables: pd.DataFrame | None) -> Logs:
    """See `Logs.from_tables`."""
    given = {name: table for name, table in tables.items() if table is not None}
    faults = [fault for fault in check(given) if fault.error]
    if faults:
        more = f" ({len(faults) - 1} more: see `python3 -m course check-logs`)" * (len(faults) > 1)
        raise LogError(f"the table {faults[0].table!r}: {faults[0].what}{more}", fix=faults[0].fix)
    frames = {name: table.reset_index(drop=True) for name, table in given.items()}
    _as_days(frames)
    if "watches" not in frames:
        shown = frames["impressions"]
        frames["watches"] = shown[shown["clicked"].astype(bool)]
    frames["impressions"] = _with_pages(frames.get("impressions"))
    videos = frames.get("videos", pd.DataFrame({"video_id": _all(frames, "video_id")}))
    frames["videos"] = (
        videos.sort_values("uploaded", kind="stable") if "uploaded" in videos else videos
    )
    frames.setdefault("users", pd.DataFrame({"user_id": _all(frames, "user_id")}))
    frames.setdefault("searches", pd.DataFrame({"user_id": frames["users"]["user_id"][:0]}))
    ids = {
        name: pd.Index(frames[table][name])
        for table, name in (("users", "user_id"), ("videos", "video_id"))
    }
    if "channel_id" in videos:
        ids["channel_id"] = pd.Index(videos["channel_id"].dropna().unique())
    tokens = [frames["searches"][name] for name in TOKENS if name in frames["searches"]]
    ids["token"] = pd.Index(pd.concat(tokens).dropna().unique()) if tokens else pd.Index([])
    filled: list[str] = []
    made = {name: _in_form(name, frames[name], ids, frames, filled) for name in OBSERVED}
    for name in ("watches", "searches"):
        made[name] = made[name].sort_values("time", kind="stable", ignore_index=True)
    order = ["time", "request_id", "position"]
    made["impressions"] = made["impressions"].sort_values(order, kind="stable", ignore_index=True)
    return Logs(**made, _ids=ids, filled=tuple(filled))


def _all(frames: Mapping[str, pd.DataFrame], name: str) -> pd.Series:
    """All ids of a kind in the tables of events, in rising order."""
    found = pd.concat([frames[t][name] for t in TIMED if name in frames.get(t, ())])
    return found.drop_duplicates().sort_values(ignore_index=True)


def _as_days(frames: dict[str, pd.DataFrame]) -> None:
    """Dates become days since the midnight (UTC) before the first event; numbers stay."""
    moments = {
        name: pd.to_datetime(frames[name]["time"], utc=True)
        for name in TIMED
        if name in frames and not pd.api.types.is_numeric_dtype(frames[name]["time"])
    }
    if not moments:
        return
    start = min(times.min() for times in moments.values()).normalize()
    for name, columns in (
        ("videos", ["uploaded"]),
        ("users", ["joined"]),
        *((name, ["time"]) for name in moments),
    ):
        for column in [c for c in columns if c in frames.get(name, ())]:
            since = pd.to_datetime(frames[name][column], utc=True) - start
            frames[name] = frames[name].assign(**{column: since / pd.Timedelta(days=1)})


def _with_pages(shown: pd.DataFrame | None) -> pd.DataFrame:
    """Impressions with their pages: cards of one account at one time, in the order of the rows."""
    if shown is None:
        return pd.DataFrame({"user_id": []})
    page = ["request_id"] if "request_id" in shown else ["user_id", "time"]
    out = {"request_id": shown.groupby(page, sort=False, dropna=False).ngroup()}
    if "position" not in shown:
        out["position"] = shown.groupby(page, sort=False).cumcount() + 1
    if "previous_impressions" not in shown:
        before = shown.sort_values("time", kind="stable").groupby(["user_id", "video_id"])
        out["previous_impressions"] = before.cumcount().clip(upper=32_767)
    return shown.assign(**out)


def _in_form(table, frame, ids, frames, filled) -> pd.DataFrame:
    out = {}
    for field in SCHEMA[table]:
        values = frame.get(field.name)
        if values is None:
            values = _fill(table, field, frame, frames)
            filled += [f"{table}.{field.name}"] * (len(frame) > 0)
        kind = "token" if field.name in TOKENS else field.name.removeprefix("query_")
        if field.categories is not None:
            names = pd.Series(values).astype("string").fillna(UNKNOWN)
            values = pd.Categorical(names, _kinds(field.name, names, frames))
        elif kind in ids:
            values = np.where(pd.isna(values), -1, ids[kind].get_indexer(values))
        else:
            values = pd.Series(values).fillna(DEFAULTS.get(field.name, 0)).to_numpy()
        out[field.name] = values if field.categories else np.asarray(values).astype(field.dtype)
    return pd.DataFrame(out)


def _kinds(name: str, names: pd.Series, frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """Categories of a column: what occurs in any table, so that codes agree between tables."""
    if name == "daypart" and set(names) <= set(DAYPARTS):
        return list(DAYPARTS)
    columns = [
        frame[name].astype("string").fillna(UNKNOWN) for frame in frames.values() if name in frame
    ]
    return sorted(set().union(names, *columns))


def _fill(table, field, frame, frames):
    """Values of a column that was not given."""
    if field.categories is not None:
        if field.name == "daypart" and len(frame):
            return np.array(DAYPARTS)[(frame["time"].to_numpy(float) % 1 * 4).astype(int)]
        return np.full(len(frame), UNKNOWN)
    if field.name == "duration_seconds":  # the longest watch of it that is known
        w = frames["watches"]
        seconds = w["watched_seconds"] if "watched_seconds" in w else pd.Series(1.0, w.index)
        longest = seconds.groupby(w["video_id"]).max()
        return longest.reindex(frame["video_id"]).clip(lower=1.0).fillna(1.0).to_numpy()
    if field.name in (*NOT_THERE, "channel_id"):
        return np.full(len(frame), -1 if field.name in NOT_THERE else 0)
    return np.full(len(frame), DEFAULTS.get(field.name, 0))


# --- what is wrong with tables ----------------------------------------------------------------


def check(tables: Mapping[str, pd.DataFrame]) -> list[Fault]:
    """All that is wrong or remarkable in tables from outside; errors first."""
    found: list[Fault] = []
    for name, table in tables.items():
        if name not in NEEDED:
            found.append(
                Fault(name, "there is no such table", f"Call it one of {', '.join(NEEDED)}")
            )
        elif not isinstance(table, pd.DataFrame):
            found.append(Fault(name, f"it is a {type(table).__name__}", "Give a pandas DataFrame"))
        elif lacks := [column for column in NEEDED[name] if column not in table]:
            found.append(
                Fault(
                    name,
                    f"it has no column {', '.join(lacks)}, but "
                    f"{', '.join(map(str, table.columns))}",
                    "Rename its columns",
                )
            )
    if all(not len(tables.get(name, ())) for name in ("watches", "impressions")):
        found.append(Fault("watches", "there is no event", "Give watches, or impressions"))
    if found:
        return found
    for name, table in tables.items():
        found += _columns(name, table)
    found += _times({n: tables[n]["time"] for n in TIMED if len(tables.get(n, ()))})
    if not any(fault.error for fault in found):
        found += _ids(tables) or _between(tables)
    return sorted(found, key=lambda fault: not fault.error)


def _columns(name: str, table: pd.DataFrame) -> list[Fault]:
    found = []
    for column in NEEDED[name]:
        if n := int(table[column].isna().sum()):
            found.append(Fault(name, f"{n} rows have no {column}", "Leave these rows out"))
    for column in ("clicked", "dismissed", "liked", "shared", "completed"):
        if column in table and not table[column].isin([0, 1]).all():
            found.append(
                Fault(
                    name,
                    f"{column} has other values than true and false",
                    "Write true or false, or 1 or 0",
                )
            )
    for column, low, high in (
        ("position", 1, 127),
        ("watched_seconds", 0, np.inf),
        ("duration_seconds", 1e-9, np.inf),
    ):
        if column in table and not table[column].dropna().between(low, high).all():
            found.append(
                Fault(
                    name,
                    f"{column} is not everywhere from {low:g} to {high:g}",
                    "Correct these rows, or leave them out",
                )
            )
    if name in ("users", "videos"):
        if n := int(table[NEEDED[name][0]].duplicated().sum()):
            found.append(Fault(name, f"{n} ids stand in two rows", "Leave a row for each"))
    elif n := int(table.duplicated().sum()):
        found.append(
            Fault(
                name,
                f"{n} rows are copies of others",
                "Drop them if they are one event",
                error=False,
            )
        )
    known = {field.name for field in SCHEMA[name]}
    if more := [str(column) for column in table if column not in known]:
        found.append(
            Fault(
                name,
                f"not used, as the course does not know it: {', '.join(more)}",
                "Totals of the whole log would tell models the future",
                error=False,
            )
        )
    if filled := [f.name for f in SCHEMA[name] if f.name not in table]:
        found.append(
            Fault(
                name,
                f"filled with values that say nothing: {', '.join(filled)}",
                "Add what you have",
                error=False,
            )
        )
    return found


def _times(times: dict[str, pd.Series]) -> list[Fault]:
    kinds, found = set(), []
    for name, values in times.items():
        if pd.api.types.is_numeric_dtype(values):
            kinds.add("numbers")
            if values.min() < 0 or values.max() > MOST_DAYS:
                found.append(
                    Fault(
                        name,
                        f"time goes from {values.min():g} to {values.max():g}",
                        "Give days since the start of the log, or dates",
                    )
                )
        elif isinstance(values.dtype, pd.DatetimeTZDtype):
            kinds.add("dates")
        elif pd.api.types.is_datetime64_dtype(values):
            kinds.add("dates without a time zone")
            found.append(
                Fault(
                    name,
                    "its times have no time zone, and count as UTC",
                    "Use .dt.tz_localize(...) if they are not",
                    error=False,
                )
            )
        else:
            found.append(
                Fault(
                    name,
                    f"time is of the type {values.dtype}",
                    "Use pandas.to_datetime(..., utc=True)",
                )
            )
    if len(kinds) > 1:
        found.append(
            Fault(
                " and ".join(times),
                f"times are {' and '.join(sorted(kinds))}",
                "Give the same kind in all tables",
            )
        )
    return found


def _ids(tables: Mapping[str, pd.DataFrame]) -> list[Fault]:
    found = []
    for column, home in (("user_id", "users"), ("video_id", "videos")):
        kinds = {}
        for name, table in tables.items():
            if column in table:
                text = not pd.api.types.is_numeric_dtype(table[column])
                kinds.setdefault("words" if text else "numbers", []).append(name)
            if column in table and home in tables and name != home:
                unknown = table.loc[~table[column].isin(tables[home][column]), column]
                if len(unknown):
                    found.append(
                        Fault(
                            name,
                            f"{len(unknown)} rows have a {column} that {home} "
                            f"does not know, such as {unknown.iloc[0]!r}",
                            f"Add it to {home}, or leave these rows out",
                        )
                    )
        if len(kinds) > 1:
            found.insert(
                0,
                Fault(
                    kinds["words"][0],
                    f"{column} is text here and a number in {kinds['numbers'][0]}",
                    "Use .astype(str) on both",
                ),
            )
    return found


def _between(tables: Mapping[str, pd.DataFrame]) -> list[Fault]:
    """Remarks on what two tables say about each other."""
    found, w = [], tables.get("watches")
    frames = {name: table for name, table in tables.items()}
    _as_days(frames)
    for name in [name for name in TIMED[:2] if "uploaded" in tables.get("videos", ())]:
        if len(frames.get(name, ())):
            up = frames["videos"].set_index("video_id")["uploaded"]
            early = int((frames[name]["time"] < frames[name]["video_id"].map(up)).sum())
            if early:
                found.append(
                    Fault(
                        name,
                        f"{early} rows are earlier than the upload of their video",
                        "Look at time zones and at videos that were renewed",
                        False,
                    )
                )
    if w is not None and len(tables.get("impressions", ())):
        met = pd.MultiIndex.from_frame(w[["user_id", "video_id"]])
        shown = tables["impressions"]
        clicks = shown.loc[shown["clicked"].astype(bool), ["user_id", "video_id"]]
        if n := int((~pd.MultiIndex.from_frame(clicks).isin(met)).sum()):
            found.append(
                Fault(
                    "impressions",
                    f"{n} clicks without a watch of that video",
                    "Look whether watches are complete",
                    False,
                )
            )
    if w is not None and "duration_seconds" in tables.get("videos", ()) and "watched_seconds" in w:
        length = tables["videos"].set_index("video_id")["duration_seconds"]
        if n := int((w["watched_seconds"] > 1.5 * w["video_id"].map(length)).sum()):
            found.append(
                Fault(
                    "watches",
                    f"{n} are much longer than their video",
                    "Seconds, and not minutes or milliseconds, are meant",
                    False,
                )
            )
    return found


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a folder: files such as ``watches.parquet`` or ``watches.csv``.

    A column ``time`` of words is read as a date, in UTC where it names no zone.
    """
    tables = {}
    for name in NEEDED:
        files = [folder / f"{name}.{kind}" for kind in ("parquet", "csv")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            continue
        try:
            table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        except Exception as error:  # libraries have many kinds of it for a damaged file
            raise LogError(f"{file} cannot be read ({type(error).__name__}: {error})") from error
        for column in [c for c in ("time", "uploaded", "joined") if c in table]:
            if not pd.api.types.is_numeric_dtype(table[column]):
                dates = pd.to_datetime(table[column], utc=True, errors="coerce")
                table[column] = dates if dates.notna().all() else table[column]
        tables[name] = table
    if not tables:
        raise LogError(f"{folder} holds no table", allowed=", ".join(f"{n}.csv" for n in NEEDED))
    return tables


def main(folder: Path) -> int:
    """Print what is wrong or remarkable in the tables of a folder; 1 if they cannot be used."""
    tables = read(folder)
    faults = check(tables)
    for fault in faults:
        print(fault)
    errors = sum(fault.error for fault in faults)
    print(f"{errors} errors" if errors else f"They can be used: {from_tables(**tables)}")
    return 1 if errors else 0
