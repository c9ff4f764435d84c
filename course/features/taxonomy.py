"""The ranker's features and their taxonomy (P1 section 4.1).

A feature is *categorical* or *continuous*; it holds one value (*univalent*) or a set of them
(*multivalent*); it belongs to the *query* (account, moment: once for each page) or to the
*impression* (the card: once for each video on the page). Features whose values come from one
space of ids share that space's embedding table.

The position on the page is not among them: see the chapter about position bias.
"""

from __future__ import annotations

from dataclasses import dataclass

NEVER = 1_000.0
"""Days since something that never happened. What counts is that it is longer than any log."""


@dataclass(frozen=True)
class Feature:
    """One feature: its name, its place in the taxonomy, the id space it shares, its meaning.

    ``unit`` is empty for categorical features and pure numbers.
    """

    name: str
    kind: str
    valence: str
    side: str
    space: str
    meaning: str
    unit: str = ""


def _category(name, side, space, meaning, valence="univalent"):
    return Feature(name, "categorical", valence, side, space, meaning)


def _number(name, side, unit, meaning):
    return Feature(name, "continuous", "univalent", side, "", meaning, unit)


RANKING_FEATURES: tuple[Feature, ...] = (
    _category("video", "impression", "video", "the video on the card"),
    _category("channel", "impression", "channel", "its channel"),
    _category("topic", "impression", "topic", "its topic, as labelled by the channel"),
    _category("video language", "impression", "language", "its language"),
    _category("format", "impression", "format", "its format"),
    _category("nominator", "impression", "nominator", "the source that nominated it"),
    _category("seed video", "query", "video", "the video being watched (up next)"),
    _category("last video", "query", "video", "the video watched last"),
    _category("account language", "query", "language", "language of the account"),
    _category("country", "query", "country", "country of the account"),
    _category("gender", "query", "gender", "as stated"),
    _category("age band", "query", "age_band", "as stated"),
    _category("logged in", "query", "logged_in", "whether the account is logged in"),
    _category("device", "query", "device", "phone, desktop or TV"),
    _category("daypart", "query", "daypart", "part of the day"),
    _category("surface", "query", "surface", "home page or up-next list"),
    _category("watched videos", "query", "video", "the last watches", "multivalent"),
    _category("searched tokens", "query", "token", "the last search tokens", "multivalent"),
    _number("duration", "impression", "seconds", "length of the video"),
    _number("video age", "impression", "days", "time since its upload"),
    _number("previous impressions", "impression", "", "earlier showings to this account"),
    _number("watches of channel", "impression", "", "of the account's last 50 watches"),
    _number("watches of topic", "impression", "", "of the account's last 50 watches"),
    _number("days since channel", "impression", "days", "since the account's last watch of it"),
    _number("days since topic", "impression", "days", "since the account's last watch of it"),
    _number("watched before", "impression", "", "1 if among the account's last 50 watches"),
    _number("next episode", "impression", "", "1 if the episode before it was watched, -1 if not"),
    _number("video click rate", "impression", "", "clicks / showings by last midnight"),
    _number("video watches", "impression", "", "watches by last midnight"),
    _number("video watched share", "impression", "", "mean watched share by last midnight"),
    _number("nominating score", "impression", "", "the candidate generator's score"),
    _number("days since watch", "query", "days", "since the account's last watch"),
    _number("account watches", "query", "", "watches of the account by last midnight"),
    _number("account click rate", "query", "", "clicks / showings by last midnight"),
    _number("account watch time", "query", "seconds", "mean of its watches by last midnight"),
)

IMPRESSION_CODES = ("video", "channel", "topic", "video language", "format", "nominator")
QUERY_CODES = tuple(
    f.name
    for f in RANKING_FEATURES
    if f.side == "query" and f.kind == "categorical" and f.valence == "univalent"
)
BAGS = ("watched videos", "searched tokens")
IMPRESSION_NUMBERS = tuple(
    f.name for f in RANKING_FEATURES if f.side == "impression" and f.kind == "continuous"
)
QUERY_NUMBERS = tuple(
    f.name for f in RANKING_FEATURES if f.side == "query" and f.kind == "continuous"
)
SPACE = {f.name: f.space for f in RANKING_FEATURES if f.space}
