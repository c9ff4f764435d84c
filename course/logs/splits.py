"""Splits in time: the past trains, the future tests."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from course.errors import LogError
from course.logs.tables import Logs


@dataclass(frozen=True)
class Split:
    """``train``: logs before ``at``; ``test``: rows of one table from ``at`` on (``days`` long)."""

    train: Logs
    test: pd.DataFrame
    at: float
    days: float


def time_split(logs: Logs, at: float, days: float = 3.0, table: str = "watches") -> Split:
    """Cut the logs at a time: train on what came before, test on the days after.

    Parameters
    ----------
    at : float, days; training rows have ``time < at``
    days : float, test rows have ``at <= time < at + days``
    table : {"watches", "searches", "impressions"}

    Raises
    ------
    LogError
        If one of the two sides would be empty or the test days lie beyond the log.
    """
    if table not in ("watches", "searches", "impressions"):
        raise LogError(f"table={table!r}", allowed="watches, searches, impressions")
    rows = getattr(logs, table)
    end = rows["time"].max()
    if not (0 < at < end and days > 0 and at + days <= end + 1):
        raise LogError(
            f"A split at day {at:g} with {days:g} test days does not fit a log of {end:.1f} days",
            allowed="0 < at, 0 < days, and at + days within the log",
        )
    test = rows[(rows["time"] >= at) & (rows["time"] < at + days)]
    train = logs.before(at)
    for side, frame in (("training", getattr(train, table)), ("test", test)):
        if frame.empty:
            raise LogError(
                f"A split at day {at:g} with {days:g} test days leaves no {side} rows in {table}",
                allowed="a cut with rows of the table on both sides",
            )
    return Split(train, test, float(at), float(days))


def first_watches(watches: pd.DataFrame) -> pd.DataFrame:
    """Only the first watch of each (account, video): a repeat is memory, not a recommendation."""
    ordered = watches.sort_values("time", kind="stable")
    return ordered[~ordered.duplicated(["user_id", "video_id"])]
