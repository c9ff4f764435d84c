"""Fresh pages on the day after the log, under the ranking that made the log, with the truth beside.

A log's own last day would do as well, but holds few pages. Here a test can be as large as it needs
to be, and every card carries what no platform knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.logs.schema import SCHEMA
from course.simulator.experiment import draw_requests
from course.simulator.feed import rank, respond
from course.simulator.streams import generator
from course.training import check_whole
from course.world import World

HOME_SHARE = 0.55
"""Of the pages of a log about so many are home pages; the others are up-next lists."""

TRUE_COLUMNS = ("p_seen", "p_click_if_seen", "p_click", "expected_seconds", "expected_rating",
                "p_satisfied", "p_complete", "p_like", "p_share", "p_dismiss")  # fmt: skip


@dataclass(frozen=True)
class NextDay:
    """Cards of fresh pages.

    Attributes
    ----------
    cards : DataFrame in the columns of ``logs.impressions``; request_id is negative
    truth : DataFrame, row-aligned, ``TRUE_COLUMNS``: probabilities, and expectations given a
        click (seconds, stars). For evaluation only.
    """

    cards: pd.DataFrame
    truth: pd.DataFrame

    def __len__(self) -> int:
        return len(self.cards)

    @property
    def expected_seconds(self) -> np.ndarray:
        """True expected watch time of each impression where it stood (n,), seconds."""
        return (self.truth["p_click"] * self.truth["expected_seconds"]).to_numpy()

    @property
    def value(self) -> np.ndarray:
        """True expected watch time of each card if it is looked at (n,), seconds: the ceiling."""
        return (self.truth["p_click_if_seen"] * self.truth["expected_seconds"]).to_numpy()


def next_day(world: World, pages: int = 10_000, seed: int = 0, policy=None) -> NextDay:
    """Serve fresh pages to the people of a world; the world itself does not change.

    Parameters
    ----------
    pages : number of pages, at least 20
    seed : which requests and which luck
    policy : who ranks them; None = the past ranking, which made the log

    Raises
    ------
    ConfigError
        For a number of pages or a seed out of range.
    """
    check_whole("pages", pages, 20)
    check_whole("seed", seed, 0)
    if seed >= 2**31:
        raise ConfigError(f"seed={seed!r}", allowed="0 to 2147483647")
    home = round(HOME_SHARE * pages)
    parts = [_serve(world, home, seed, "home", policy, 0),
             _serve(world, pages - home, seed, "up_next", policy, home)]  # fmt: skip
    cards, truth = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    return NextDay(cards, truth)


def _serve(world, n, seed, surface, policy, offset):
    engine = world.engine
    situation, query, day = draw_requests(engine, n, seed, surface)
    engine.market.open(day)
    # Far below the numbers of live experiments, so that no luck is shared with them.
    number = -(10**15) - (np.arange(n, dtype=np.int64) + offset + 10**7 * seed)
    rng = generator(engine.seed, "next day nominate", seed, offset)
    asked = engine.requests(situation, query, engine.memory, number, rng)
    pages = rank(policy or engine.past_ranking(), asked)
    f = respond(engine.behaviour, engine.memory, situation, number, pages, engine.seed)
    k = pages.shape[1]
    place = (pages[:, :, None] == asked.candidates[:, None, :]).argmax(axis=2)
    columns = {
        "request_id": np.repeat(number, k),
        "user_id": np.repeat(situation.user, k),
        "time": np.repeat(situation.time, k),
        "device": np.repeat(situation.device, k),
        "daypart": np.repeat(situation.daypart, k),
        "surface": np.repeat(asked.surface, k),
        "query_video_id": np.repeat(query, k),
        "video_id": pages.ravel(),
        "position": np.tile(np.arange(1, k + 1), n),
        "nominator": np.take_along_axis(asked.nominators, place, axis=1).ravel(),
        "previous_impressions": np.take_along_axis(
            asked.previous_impressions, place, axis=1
        ).ravel(),
    }
    frame = {}
    for field in SCHEMA["impressions"]:
        values = columns[field.name] if field.name in columns else getattr(f, field.name).ravel()
        if field.categories:
            frame[field.name] = pd.Categorical.from_codes(values.astype(int), field.categories)
        else:
            frame[field.name] = values.astype(field.dtype)
    truth = {name: getattr(f, name).ravel() for name in TRUE_COLUMNS}
    return pd.DataFrame(frame), pd.DataFrame(truth)
