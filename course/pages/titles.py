"""Made-up video titles from word lists; deterministic, and louder with clickbait."""

from __future__ import annotations

import numpy as np

from course.pages.cards import PageError
from course.pages.thumbnails import number_of
from course.simulator.names import FORMATS, LANGUAGES, TOPICS

#: What videos of each topic are about, in the order of `TOPICS`. Every entry reads well both
#: after "about" and at the start of a line.
SUBJECTS: tuple[tuple[str, ...], ...] = (
    ("sourdough", "rye bread", "croissants", "cinnamon rolls", "pizza dough", "lemon cake"),
    ("noodle soup", "night market snacks", "tacos", "dumplings", "skewers", "flatbread"),
    ("one-pan pasta", "fried rice", "omelettes", "lentil curry", "sheet-pan dinners", "ramen"),
    ("wall jumps", "the glitchless route", "frame-perfect skips", "world records", "boss rushes",
     "the any-percent run"),
    ("city builders", "opening moves", "supply lines", "hex maps", "tower defence", "late game"),
    ("pixel art games", "tiny platformers", "cosy farms", "puzzle boxes", "one-person games",
     "roguelikes"),
    ("acoustic sets", "rooftop concerts", "a jazz trio", "street drummers", "loop pedals",
     "late-night blues"),
    ("summer choruses", "synth hooks", "key changes", "dance breaks", "bass lines",
     "power ballads"),
    ("cello suites", "piano sonatas", "string quartets", "baroque dances", "the oboe",
     "opera overtures"),
    ("free kicks", "counter-attacks", "the offside trap", "cup finals", "goalkeepers", "derbies"),
    ("granite slabs", "finger strength", "bouldering", "alpine routes", "rope work", "overhangs"),
    ("the first ten miles", "hill sprints", "marathon pacing", "trail shoes", "breathing",
     "winter training"),
    ("Saturn's rings", "neutron stars", "space telescopes", "dark matter", "moon bases", "comets"),
    ("bird songs", "cell division", "deep-sea life", "bee dances", "old forests", "gene editing"),
    ("crystals", "flame colours", "batteries", "soap bubbles", "rust", "strange metals"),
    ("folding phones", "phone cameras", "repairable phones", "cheap phones", "old phones",
     "battery life"),
    ("sorting algorithms", "tiny compilers", "recursion", "debuggers", "regular expressions",
     "hash tables"),
    ("quiet servers", "home backups", "network cables", "old laptops as servers", "smart lights",
     "storage pools"),
    ("Lisbon by tram", "Osaka at dawn", "rooftops of Prague", "Mexico City markets",
     "Oslo in winter",
     "Tangier"),
    ("ridge walks", "mountain huts", "coast paths", "packing light", "river crossings",
     "long trails"),
    ("sleeper cabins", "the midnight express", "dining cars", "border stations", "snowy railways",
     "night routes"),
    ("dovetail joints", "a walnut table", "hand planes", "workbenches", "carved spoons",
     "old tools"),
    ("cable stitches", "wool socks", "colourwork", "a first scarf", "sweater sleeves",
     "lace shawls"),
    ("wheel throwing", "ash glazes", "tea bowls", "kiln firing", "pinch pots", "large jars"),
    ("office meetings", "family dinners", "talking plants", "bad directions", "time travellers",
     "the worst waiter"),
    ("first dates", "small towns", "being tall", "airports", "my grandmother", "parallel parking"),
    ("fake lifts", "rubber ducks", "silent alarms", "wrong birthdays", "frozen keys",
     "invisible string"),
    ("the budget vote", "city elections", "housing plans", "the transport bill", "debate night",
     "coalition talks"),
    ("interest rates", "small shops", "supply chains", "chip makers", "pay talks",
     "the harvest price"),
    ("spring storms", "the long drought", "snow records", "the heat wave", "river floods",
     "fog season"),
)  # fmt: skip

_CALM: dict[str, tuple[str, ...]] = {
    "music": ("Music for {s}", "{S}: the playlist", "{S}, slowly (full album)", "Songs about {s}"),
    "news": ("{S}: what changed this week", "{S}, the short version", "What we know about {s}",
             "{S}: three charts"),
    "tutorial": ("{S} explained, part {n}", "A first guide to {s}", "{S} in {m} minutes",
                 "Getting better at {s}, step by step"),
    "episode": ("{S}, episode {n}: {adjective}", "Season {k}, episode {n}: {s}",
                "{S} ({adjective}), chapter {n}"),
    "live": ("Live: {s} with questions", "{S}, live all {daypart}", "Live now: {s}, day {n}"),
    "vlog": ("My week with {s}", "We went out for {s}", "A quiet {daypart} of {s}",
             "Thinking about {s}, day {n}"),
}  # fmt: skip
_LOUDER = ("The truth about {s}", "{n} secrets of {s}", "Why nobody talks about {s}",
           "{S}: was it worth it?", "I only did {s} for {n} days!")  # fmt: skip
_LOUDEST = ("You WON'T BELIEVE this about {s}", "{S} changed EVERYTHING",
            "They LIED to you about {s}", "I tried {s} for {n} days: SHOCKING",
            "STOP! Watch this before {s}", "{S} gone WRONG (not clickbait)")  # fmt: skip
_ADJECTIVES = ("the slow way", "the hard part", "a fresh start", "the long road", "back again",
               "two mistakes", "the big day", "what comes next")  # fmt: skip
_DAYPARTS = ("morning", "afternoon", "evening", "night")


def title_for(
    topic: int | str,
    format: int | str,
    language: int | str = 0,
    seed: int | np.random.Generator = 0,
    *,
    clickbait: float = 0.0,
) -> str:
    """Make up a title.

    Parameters
    ----------
    topic, format, language : int or str
        Index into `TOPICS`, `FORMATS`, `LANGUAGES`, or the name. Titles are in English; any other
        language is named at the end.
    seed : int or numpy Generator
        The same number always gives the same title. A Generator is advanced.
    clickbait : float
        0 (calm) to 1: from 0.3 on the title is louder, from 0.6 on it shouts.

    Returns
    -------
    str
        At most about 70 characters.

    Raises
    ------
    PageError
        If an argument is outside its range.
    """
    if not 0 <= clickbait <= 1:
        raise PageError(f"clickbait is {clickbait!r}", allowed="0 to 1")
    topic_number = number_of(topic, TOPICS, "topic")
    form = FORMATS[number_of(format, FORMATS, "format")]
    spoken = LANGUAGES[number_of(language, LANGUAGES, "language")]
    rng = np.random.default_rng(seed)

    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    templates = _LOUDEST if clickbait >= 0.6 else _LOUDER if clickbait >= 0.3 else _CALM[form]
    subject = pick(SUBJECTS[topic_number])
    title = pick(templates).format(
        s=subject,
        S=subject[0].upper() + subject[1:],
        n=int(rng.integers(2, 31)),
        m=int(rng.integers(2, 13)) * 5,
        k=int(rng.integers(1, 7)),
        adjective=pick(_ADJECTIVES),
        daypart=pick(_DAYPARTS),
    )
    if clickbait >= 0.85:
        title = f"{title}!!!"
    return title if spoken == LANGUAGES[0] else f"{title} ({spoken})"
