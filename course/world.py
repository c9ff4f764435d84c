"""A world in one object: its dials, what was observed, and the truth.

    world = simulate("town", seed=7)
    world.logs()      # what the platform observed
    world.truth       # what it did not

The first call with a given size, seed and dials simulates the days and stores the result; later
calls read it back.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from course.errors import ConfigError
from course.logs import store
from course.logs.schema import OBSERVED, SCHEMA
from course.logs.tables import Logs, from_record
from course.paths import cache_dir
from course.simulator import experiment
from course.simulator.config import WorldConfig
from course.simulator.content import Content
from course.simulator.engine import Engine, Record
from course.simulator.feed import Policy
from course.simulator.oracle import OraclePolicy
from course.simulator.policies import PastRanking, RandomPolicy
from course.simulator.truth import Truth


class World:
    """A simulated YouTube at the end of its log. Make one with `simulate`.

    Attributes
    ----------
    config : WorldConfig
    seed : int
    truth : Truth, for evaluation only
    engine : Engine, the world in motion (for experiments and rounds)
    """

    def __init__(self, engine: Engine, tables: dict[str, pd.DataFrame]):
        self.engine, self._tables = engine, tables
        self.config, self.seed = engine.config, engine.seed
        self.truth = Truth(engine.behaviour, engine.memory, engine.config.days)

    def __repr__(self) -> str:
        c = self.config
        return f"World({c.users:,} accounts, {c.videos:,} videos, {c.days} days, seed {self.seed})"

    @functools.cached_property
    def content(self) -> Content:
        """Titles and thumbnails of all videos."""
        return Content(self.config.content, self.engine.catalogue, self.seed)

    def logs(self) -> Logs:
        """What the platform observed: tables of the caller's own, to be changed at will."""
        tables = {name: self._tables[name].copy() for name in OBSERVED}
        return Logs(**tables, _content=self.content)

    def true_table(self, of: str) -> pd.DataFrame:
        """True columns, row-aligned with a table of the log (for evaluation only).

        Parameters
        ----------
        of : {"users", "videos", "watches", "searches", "impressions"}
        """
        name = f"truth_{of}"
        if name not in SCHEMA:
            raise ConfigError(f"There is no truth about {of!r}", allowed=", ".join(OBSERVED))
        return self._tables[name].copy()

    def oracle(self, objective: str = "watch_minutes") -> OraclePolicy:
        """The best pages by the truth, for one outcome of `ab_test`, such as "clicks"."""
        return OraclePolicy(self.engine.behaviour, self.engine.memory, objective)

    def past_ranking(self) -> PastRanking:
        """The policy that made the log."""
        return self.engine.past_ranking()

    def random(self) -> RandomPolicy:
        """The floor: candidates in random order."""
        return RandomPolicy(self.seed)


def simulate(
    size: str | WorldConfig = "town",
    seed: int = 7,
    *,
    cache: bool | str | Path = True,
    recommend: bool = True,
    **dials,
) -> World:
    """Simulate a world, or read it back if it was simulated before.

    Parameters
    ----------
    size : a name in ``course.simulator.config.SIZES``, such as "town", or a WorldConfig
    seed : int, at least 0; the same seed and dials give the same logs, byte for byte on one kind
        of processor. Another one may round the last digit of a float32 otherwise: then who does
        what and when, what is shown and clicked, and every other id, count and label are equal,
        and seconds watched (and the truth's probabilities and seconds) within 1e-6 of themselves.
    cache : True = the course's cache folder, False = keep nothing, or a folder
    recommend : False = a world in which the feed shows nothing
    **dials : any field of WorldConfig, such as ``clickbait=0`` or ``position_bias=2``

    Raises
    ------
    ConfigError
        For an unknown size or dial, or a value out of range.
    CacheError
        If the cache folder cannot be written.

    Examples
    --------
    >>> world = simulate("village", seed=1, cache=False)
    >>> world
    World(400 accounts, 400 videos, 30 days, seed 1)
    """
    config = WorldConfig.of(size, **dials)
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed!r}", allowed="a whole number from 0 to 4294967295")
    engine = Engine(config, int(seed))

    def make():
        record = Record()
        engine.run(0, config.days, engine.past_ranking() if recommend else None, record)
        return from_record(engine, record), _state(engine)

    if cache is False:
        tables, _ = make()
        return World(engine, tables)
    folder = cache_dir() if cache is True else Path(cache)
    name = store.key(config, int(seed)) + ("" if recommend else "-organic")
    tables, state = store.load_or_make(folder, name, make)
    _restore(engine, state)
    return World(engine, tables)


def ab_test(world: World, policies: Mapping[str, Policy], **options) -> experiment.ABResult:
    """Put policies in front of the same fresh page requests; see `experiment.ab_test`."""
    return experiment.ab_test(world.engine, policies, **options)


def _state(engine: Engine) -> dict[str, np.ndarray]:
    arrays = {k: v for k, v in vars(engine.memory).items() if isinstance(v, np.ndarray)}
    return arrays | {"requests_made": np.array(engine.requests_made)}


def _restore(engine: Engine, state: dict[str, np.ndarray]) -> None:
    for name, values in state.items():
        if name == "requests_made":
            engine.requests_made = int(values)
        else:
            setattr(engine.memory, name, values)
