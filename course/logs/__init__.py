"""What is observed: tables with a documented schema, splits in time, the store."""

from course.logs.schema import SCHEMA, Field
from course.logs.splits import Split, first_watches, time_split
from course.logs.tables import Logs

__all__ = [
    "SCHEMA",
    "Field",
    "Logs",
    "Split",
    "first_watches",
    "time_split",
]
