"""Which watches are labels."""

from __future__ import annotations

import pandas as pd


def first_watches(watches: pd.DataFrame) -> pd.DataFrame:
    """Only the first watch of each (account, video): a repeat is memory, not a recommendation."""
    ordered = watches.sort_values("time", kind="stable")
    return ordered[~ordered.duplicated(["user_id", "video_id"])]
