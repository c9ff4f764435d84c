"""Formulas over the columns of a trial's results, evaluated by pandas.

Columns stand in backticks: ``percent(`deep 0/mrr`, `als/mrr`)`` or ``100 * `all/fresh share```.
Beside what `pandas.eval` knows there are ``percent(a, b)``, by how many per cent a is above b, and
``mean``, ``least`` and ``most`` of several columns, seed by seed.
"""

from __future__ import annotations

import ast
import difflib
import re

import pandas as pd

from course.errors import ConfigError

COLUMN = re.compile(r"`([^`]*)`")
FUNCTIONS = {
    "percent": lambda a, b: 100 * (a / b - 1),
    "mean": lambda *columns: pd.concat(columns, axis=1).mean(axis=1),
    "least": lambda *columns: pd.concat(columns, axis=1).min(axis=1),
    "most": lambda *columns: pd.concat(columns, axis=1).max(axis=1),
}


def check(formula: str) -> None:
    """Raise a ConfigError if a formula cannot be read, or reads no column."""
    plain, names = _plain(formula)
    try:
        ast.parse(plain, mode="eval")
    except SyntaxError as error:
        raise ConfigError(f"the formula {formula!r} cannot be read ({error.msg})") from error
    if not names:
        raise ConfigError(f"the formula {formula!r} reads no column", allowed="names in backticks")


def evaluate(formula: str, results: pd.DataFrame) -> pd.Series:
    """Values of a formula, one for each row of the results."""
    plain, names = _plain(formula)
    for name in set(names) - set(results):
        close = difflib.get_close_matches(name, map(str, results), n=1, cutoff=0)
        fix = f"perhaps it is `{close[0]}`" if close else ""
        raise ConfigError(f"the results have no column {name!r}", fix=fix)
    # The names are replaced because pandas does not allow every sign between backticks.
    frame = results[list(names)].set_axis(list(names.values()), axis=1)
    try:
        return frame.eval(plain, engine="python", resolvers=(FUNCTIONS,))
    except (SyntaxError, ValueError, TypeError, NameError, AttributeError) as error:
        raise ConfigError(
            f"the formula {formula!r} cannot be evaluated ({error})",
            allowed=f"columns in backticks, what pandas.eval knows, and {', '.join(FUNCTIONS)}",
        ) from error


def _plain(formula: str) -> tuple[str, dict[str, str]]:
    names = {name: f"column_{i}" for i, name in enumerate(dict.fromkeys(COLUMN.findall(formula)))}
    return COLUMN.sub(lambda found: names[found[1]], formula), names
