"""What the number of candidates buys: expected clicks and recall of the two-stage system."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from course.features import history_bags
from course.logs import first_watches, time_split
from course.metrics import recall_at
from course.models.starter import Profiles, TwoStage, first_stage_scores, popular_scores
from course.world import World, ab_test

TEST_DAYS = 3.0


def candidate_sizes(world: World, click_model, sizes: Sequence[int], n: int = 300) -> pd.DataFrame:
    """Measure the two-stage system with first stages of different sizes.

    Parameters
    ----------
    world : World
    click_model : what `course.models.starter.fit_click_model` returned
    sizes : numbers of candidates
    n : page requests per size

    Returns
    -------
    DataFrame with columns ``candidates``, ``clicks`` (expected per page, on fresh requests),
    ``recall`` (share of the watches of the last three days that the first stage would have kept,
    knowing only what came before; first watches of videos that were there already) and
    ``popular_recall`` (the same for popularity in the account's language)
    """
    logs = world.logs()
    everyone = Profiles(logs)
    systems = {size: TwoStage(everyone, click_model, size) for size in sizes}
    table = ab_test(world, systems, n=n, candidates="catalogue").table
    clicks = table[table["metric"] == "clicks"].set_index("policy")["expected"]

    split = time_split(logs, world.config.days - TEST_DAYS, TEST_DAYS)
    past = Profiles(split.train)
    later = first_watches(logs.watches)
    later = later[(later["time"] >= split.at) & (later["video_id"] < len(past.videos))]
    users = later["user_id"].unique()
    asked = pd.DataFrame({"user_id": users, "time": split.at})
    recent = history_bags(split.train, asked)
    table = pd.DataFrame({"candidates": list(sizes), "clicks": clicks[list(sizes)].to_numpy()})
    for name, scores in (("recall", first_stage_scores), ("popular_recall", popular_scores)):
        order = np.argsort(-scores(past, users, recent), axis=1)
        table[name] = [recall_at(order[:, :size], users, later) for size in sizes]
    return table
