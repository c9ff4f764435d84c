"""What is observed: tables with a documented schema, and the store of worlds."""

from course.logs.schema import SCHEMA, Field
from course.logs.splits import first_watches
from course.logs.tables import Logs

__all__ = ["SCHEMA", "Field", "Logs", "first_watches"]
