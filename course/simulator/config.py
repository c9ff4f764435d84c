"""The configuration of a world: its size and its dials, checked before anything is built."""

from __future__ import annotations

import dataclasses
import difflib
import numbers
from dataclasses import dataclass, field

from course.errors import ConfigError

DURING_LOG_SHARE = 0.65
"""Share of the videos that are uploaded during the log; the others exist when it begins."""


def _dial(default, low, high, doc):
    return field(default=default, metadata={"low": low, "high": high, "doc": doc})


@dataclass(frozen=True)
class WorldConfig:
    """Everything that decides a world, apart from its seed; best made by `WorldConfig.of`.

    The first block is the size, the rest are *dials*, one for each mechanism: default, lowest,
    highest, meaning. 0 switches a mechanism off.

    Raises
    ------
    ConfigError
        For a field that does not exist, has the wrong type, or is out of range.
    """

    # Size.
    users: int = _dial(2_500, 10, 1_000_000, "accounts")
    videos: int = _dial(2_000, 60, 1_000_000, "videos uploaded by the end of the log")
    days: int = _dial(45, 2, 365, "length of the log")
    future_days: int = _dial(14, 0, 365, "days after the log, for live tests and rounds")
    slate: int = _dial(10, 1, 50, "videos shown on one page")
    candidates: int = _dial(30, 2, 500, "videos nominated for one page")

    # How busy people are.
    sessions_per_day: float = _dial(0.8, 0.0, 10.0, "mean sessions of an active account")

    # What is clicked and what is liked.
    click_rate: float = _dial(0.06, 0.001, 0.5, "P(click | seen), average video and viewer")
    clickbait: float = _dial(1.0, 0.0, 3.0, "strength of clickbait in clicks and in regret")
    task_conflict: float = _dial(
        1.0, 0.0, 1.0, "0 = satisfaction follows the click, 1 = its own rule"
    )
    task_context: float = _dial(0.5, 0.0, 2.0, "how far each task's rule changes by context")
    time_budget: float = _dial(1.0, 0.0, 10.0, "scarcity of time: 2 = half as much, 0 = no end")

    # The page.
    position_bias: float = _dial(1.0, 0.0, 3.0, "steepness of the examination curve")
    bias_truth: str = field(
        default="examination",
        metadata={"options": ("examination", "additive"), "doc": "how a place enters"},
    )
    fatigue: float = _dial(1.0, 0.0, 3.0, "tiredness of a card shown before")
    thumbnail_bias: float = _dial(0.0, 0.0, 3.0, "a second bias, on the logit, of large thumbnails")
    logger_relevance: float = _dial(1.0, 0.0, 5.0, "weight of relevance in the past ranking")
    logger_incumbency: float = _dial(1.0, 0.0, 5.0, "weight of popularity in the past ranking")
    logger_noise: float = _dial(0.5, 0.0, 5.0, "weight of chance in the past ranking")

    # Time.
    freshness: float = _dial(1.0, 0.0, 1.0, "rise and decay of popularity, and taste for the new")
    own_taste: float = _dial(1.0, 0.0, 1.0, "share of people with a taste of their own")
    drift: float = _dial(0.05, 0.0, 1.0, "P(a person swaps one interest) per day")

    # How people move through the catalogue.
    series: float = _dial(1.0, 0.0, 2.0, "pull of the next episode; 0 = the order does not matter")
    niche_ladder: float = _dial(1.0, 0.0, 3.0, "from the popular to the niche within a genre")
    satiation: float = _dial(1.0, 0.0, 3.0, "appetite rises, then falls with a genre's share")
    context_taste: float = _dial(1.0, 0.0, 3.0, "how far taste hangs on device, daypart and age")
    search_errands: float = _dial(0.35, 0.0, 1.0, "share of searches that are not taste")
    aftertaste: float = _dial(0.0, 0.0, 3.0, "how far pages change who comes and what is liked")
    rewatch: float = _dial(0.03, 0.0, 1.0, "share of repeats outside the feed that happen")

    # What can be read and seen of a video. No table depends on it.
    content: float = _dial(1.0, 0.0, 2.0, "how much titles and thumbnails say; 0 = nothing")

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _valid(spec, getattr(self, spec.name)))
        start = self.videos - int(DURING_LOG_SHARE * self.videos)
        if self.candidates + 2 > start:
            raise ConfigError(
                f"candidates={self.candidates} is too many for videos={self.videos}",
                allowed=f"at most {start - 2}, since {start} videos exist when the log begins",
                fix="take fewer candidates or more videos",
            )
        if self.slate > self.candidates:
            raise ConfigError(
                f"slate={self.slate} is longer than candidates={self.candidates}",
                allowed="a slate no longer than the number of candidates",
            )

    @classmethod
    def of(cls, size: str | WorldConfig = "town", **changes) -> WorldConfig:
        """Return the configuration of a named size with some dials changed.

        ``size`` is a name in ``SIZES`` or a WorldConfig, ``changes`` are fields of this class.

        >>> WorldConfig.of("village", clickbait=0.0).clickbait
        0.0
        """
        known = {spec.name for spec in dataclasses.fields(cls)}
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                fix = f"write {near[0]}={changes[name]!r}" if near else ""
                raise ConfigError(
                    f"There is no dial called {name!r}", allowed=", ".join(sorted(known)), fix=fix
                )
        if isinstance(size, WorldConfig):
            return dataclasses.replace(size, **changes)
        if not isinstance(size, str) or size not in SIZES:
            raise ConfigError(
                f"There is no size {size!r}", allowed=f"{', '.join(SIZES)}, or a WorldConfig"
            )
        return cls(**{**SIZES[size], **changes})

    @property
    def horizon(self) -> int:
        """Days of which people and uploads are known: the log plus the future (days)."""
        return self.days + self.future_days


SIZES = {
    "village": {"users": 400, "videos": 400, "days": 30},
    "town": {"users": 2_500, "videos": 2_000, "days": 45},
    "city": {"users": 30_000, "videos": 20_000, "days": 60},
}
"""Named sizes: for tests, for chapters, for large runs."""


def _valid(spec: dataclasses.Field, value):
    """The value, if it is allowed; 400.0 and np.int64(400) become 400, as they mean the same."""
    meta, whole = spec.metadata, spec.type == "int"
    if "options" in meta:
        if isinstance(value, str) and value in meta["options"]:
            return value
        allowed = " or ".join(map(repr, meta["options"]))
    else:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if number and meta["low"] <= value <= meta["high"] and not (whole and value % 1):
            return int(value) if whole else float(value)
        allowed = f"{'a whole' if whole else 'any'} number, {meta['low']:g} to {meta['high']:g}"
    raise ConfigError(f"{spec.name}={value!r} is not possible ({meta['doc']})", allowed=allowed)
