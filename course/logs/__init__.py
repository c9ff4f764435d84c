"""What is observed: tables with a documented schema, splits in time, the store, leak checks."""

from course.logs.leaks import check_future, check_truth
from course.logs.schema import SCHEMA, Field
from course.logs.splits import Split, first_watches, time_split
from course.logs.tables import Logs

__all__ = [
    "SCHEMA",
    "Field",
    "Logs",
    "Split",
    "check_future",
    "check_truth",
    "first_watches",
    "time_split",
]
