"""Finding leaks: features that know the future, and features that know the truth.

The test for the future is not statistical. A feature of an example at time t must not change when
everything from t on is deleted from the log. So the check computes the features twice, once from
the whole log and once from a log that ends just before the example, and compares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from course.errors import LeakError
from course.logs.schema import LABEL_COLUMNS, TRUTH_COLUMNS
from course.logs.tables import Logs

FeatureFunction = Callable[[Logs, pd.DataFrame], pd.DataFrame]


def check_future(
    features: FeatureFunction, logs: Logs, examples: pd.DataFrame, *, cuts: int = 5
) -> None:
    """Raise a `LeakError` if a feature of an example depends on what came later.

    Parameters
    ----------
    features : function (logs, examples) -> DataFrame, one row per example, same index
    examples : rows with a ``time`` column (days); labels may be among the columns
    cuts : number of moments to try, spread over the examples

    Raises
    ------
    LeakError
        Names the column, and an example whose value changes when the future is deleted.
    """
    whole = _aligned(features(logs, examples), examples)
    times = examples["time"].to_numpy()
    for moment in np.quantile(times, np.linspace(0.1, 0.9, cuts)):
        # All examples up to the cut: what the cut deletes is the future of each of them, and the
        # whole future of those exactly at the cut.
        upto = times[times >= moment].min()
        rows = np.flatnonzero(times <= upto)
        earlier = examples.iloc[rows]
        past = _aligned(features(logs.before(upto), earlier), earlier)
        for column in whole.columns:
            full, cut = whole[column].iloc[rows], past[column]
            same = (full.to_numpy() == cut.to_numpy()) | (full.isna() & cut.isna()).to_numpy()
            if pd.api.types.is_float_dtype(full):
                same |= np.isclose(full.astype(float), cut.astype(float), rtol=1e-5, atol=1e-8)
            if not same.all():
                row = int(np.flatnonzero(~same)[0])
                raise LeakError(
                    f"The feature {column!r} of the example at day {times[rows[row]]:.3f} is "
                    f"{full.iloc[row]!r} with the whole log but {cut.iloc[row]!r} without what "
                    "came later: it knows the future",
                    allowed="features that can be computed from rows before the example's time",
                    fix="count only rows with time < the example's time",
                )


def check_truth(features: pd.DataFrame, truth: pd.DataFrame | None = None) -> None:
    """Raise a `LeakError` if a feature is a column of truth, or a label of the same row.

    Parameters
    ----------
    features : the columns that a model would see
    truth : optional, row-aligned truth; a feature that rises and falls exactly with one of its
        columns (rank correlation above 0.999) is caught even under another name
    """
    for column in features.columns:
        if column in TRUTH_COLUMNS:
            raise LeakError(
                f"The feature {column!r} is a column of the truth, which no platform observes",
                allowed="columns that data/README.md marks as seen by the log",
            )
        if column in LABEL_COLUMNS:
            raise LeakError(
                f"The feature {column!r} is a label: it is known only after the page was shown",
                allowed="what was known when the page was asked for",
            )
    if truth is None:
        return
    numbers = features.select_dtypes(["number", "bool"]).astype(float)
    for name in truth.select_dtypes("number").columns:
        if truth[name].nunique() < 10:
            continue
        rank = truth[name].rank()
        for column in numbers.columns:
            if (column, name) == ("position", "p_seen"):
                continue  # observed; on one device it orders the rows as examination does
            if numbers[column].nunique() >= 10 and abs(rank.corr(numbers[column].rank())) > 0.999:
                raise LeakError(
                    f"The feature {column!r} orders the rows exactly as the true {name!r} does",
                    allowed="features computed from the log",
                )


def _aligned(frame: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(frame, pd.DataFrame) or not frame.index.equals(examples.index):
        raise LeakError(
            "The feature function did not return one row per example",
            allowed="a DataFrame with the same index as the examples",
        )
    return frame
