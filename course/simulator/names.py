"""The words of the simulated world: genres, topics, formats, languages, places, people, channels.

Everything here is a plain constant. The simulator draws *numbers* (a topic index, a format
index); this module gives the numbers names, so that a table or a picture can be read aloud.
All names are made up. They describe no real country, channel or person.
"""

from __future__ import annotations

from course.errors import ConfigError

#: Ten genres, each with three sub-topics: topic ``3 * g + s`` is sub-topic ``s`` of genre ``g``.
GENRES = {
    "cooking": ("baking", "street food", "quick dinners"),
    "gaming": ("speedruns", "strategy", "indie games"),
    "music": ("live sessions", "pop", "classical"),
    "sport": ("football", "climbing", "running"),
    "science": ("space", "biology", "chemistry"),
    "technology": ("phones", "programming", "home servers"),
    "travel": ("cities", "hiking", "night trains"),
    "craft": ("woodwork", "knitting", "pottery"),
    "comedy": ("sketches", "stand-up", "pranks"),
    "current affairs": ("politics", "business", "weather"),
}

#: Thirty topics, ``"genre: sub-topic"``; the index in this tuple is the topic's number.
TOPICS = tuple(f"{genre}: {topic}" for genre, topics in GENRES.items() for topic in topics)

#: Six ways in which a video can be made.
FORMATS = ("music", "news", "tutorial", "episode", "live", "vlog")

#: Three languages. They are labels only: every made-up title is in English.
LANGUAGES = ("English", "Spanish", "Korean")

#: Six made-up countries, two for each language of `LANGUAGES`, in the same order.
COUNTRIES = ("Northland", "Westmark", "Solera", "Costa Verde", "Hanbit", "Saebyeok")

#: What a person watches on.
DEVICES = ("phone", "desktop", "tv")

#: Four parts of the day, six hours each, from midnight on.
DAYPARTS = ("night", "morning", "afternoon", "evening")

#: Age bands of the people, in years.
AGE_BANDS = ("13-17", "18-24", "25-34", "35-54", "55+")

#: What a person may have stated about themselves.
GENDERS = ("female", "male", "unspecified")

#: First and second words of made-up channel names.
CHANNEL_FIRST_WORDS = (
    "Amber", "Birch", "Blue", "Bright", "Copper", "Corner", "Daily", "Distant",
    "Early", "Field", "Golden", "Granite", "Harbour", "Hidden", "Juniper", "Lantern",
    "Little", "Lunar", "Maple", "Midnight", "Mossy", "North", "Open", "Orange",
    "Paper", "Pocket", "Quiet", "Rapid", "River", "Second", "Silver", "Slow",
    "Small", "Solar", "Stone", "Sunday", "Thunder", "Velvet", "Wandering", "Winter",
)  # fmt: skip

CHANNEL_SECOND_WORDS = (
    "Atlas", "Attic", "Bench", "Bureau", "Club", "Collective", "Compass", "Diary",
    "Dispatch", "Factory", "Frame", "Garage", "Garden", "Guide", "Hour", "Journal",
    "Kitchen", "Lab", "Lane", "Loft", "Notebook", "Notes", "Orbit", "Path",
    "Room", "School", "Shed", "Signal", "Sketchbook", "Society", "Station", "Studio",
    "Table", "Theory", "Trail", "Valley", "Weekly", "Window", "Works", "Workshop",
)  # fmt: skip


def channel_name(channel_id: int) -> str:
    """The made-up name of a channel, 0 or larger: two words, the same for the same number.

    The first 1,600 names differ; after that a counter is added ("Amber Atlas 2").
    """
    if channel_id < 0:
        raise ConfigError(f"channel_id is {channel_id!r}", allowed="0 or larger")
    lap, place = divmod(int(channel_id), len(CHANNEL_FIRST_WORDS) * len(CHANNEL_SECOND_WORDS))
    # 827 shares no factor with 1,600, so the stride visits every pair once before it repeats,
    # and neighbouring channel numbers do not get neighbouring names.
    place = (place * 827 + 31) % (len(CHANNEL_FIRST_WORDS) * len(CHANNEL_SECOND_WORDS))
    first, second = divmod(place, len(CHANNEL_SECOND_WORDS))
    name = f"{CHANNEL_FIRST_WORDS[first]} {CHANNEL_SECOND_WORDS[second]}"
    return name if lap == 0 else f"{name} {lap + 1}"
