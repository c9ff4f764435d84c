"""The words of titles: what videos of a topic speak of, and how titles are put."""

from __future__ import annotations

import re

import numpy as np

from course.simulator.names import FORMATS, GENRES, LANGUAGES, TOPICS

#: Eight subjects of each topic, in the order of `TOPICS`; each stands in one list alone.
TOPIC_WORDS = """
sourdough croissants brioche focaccia meringues bagels eclairs doughnuts
tacos dumplings skewers falafel churros samosas satay noodles
omelettes risotto stir-fries curry ramen pasta fritters lentils
glitches wall_jumps world_records boss_rushes frame_skips checkpoints split_times any_percent
city_builders chess hex_maps sieges supply_lines tower_defence empires openings
platformers roguelikes pixel_art puzzlers game_jams cosy_farms demos visual_novels
busking encores duets loop_pedals jazz_trios soundchecks street_drummers rooftop_gigs
choruses synths key_changes ballads bass_lines remixes hooks dance_breaks
sonatas cellos string_quartets fugues overtures oboes nocturnes symphonies
penalties derbies free_kicks counter_attacks goalkeepers offsides cup_finals headers
bouldering granite overhangs belays crimps rope_work alpine_routes chalk
marathons hill_sprints trail_shoes intervals tempo_runs ultras shin_splints pacing
Saturn comets neutron_stars telescopes dark_matter moon_bases nebulae exoplanets
birdsong cells deep-sea_life bees fungi genes mitosis coral
crystals flames electrolytes soap_bubbles rust acids polymers strange_metals
foldables phone_cameras chargers touchscreens ringtones repairable_phones sim_cards megapixels
recursion compilers debuggers hash_tables sorting regular_expressions pointers unit_tests
backups network_cables smart_lights storage_pools quiet_servers routers containers old_laptops
Lisbon Osaka Prague Tangier Oslo Valparaiso tram_lines old_towns
ridge_walks mountain_huts coast_paths river_crossings long_trails packing_light scree blisters
sleeper_cars dining_cars couchettes border_stations snowy_railways night_routes timetables platforms
dovetails walnut hand_planes workbenches spoons chisels veneers lathes
socks scarves cable_stitches colourwork lace_shawls sweaters yarn bobbles
glazes tea_bowls kilns pinch_pots wheel_throwing porcelain large_jars slipware
waiters office_meetings family_dinners time_travellers bad_directions talking_plants costumes queues
first_dates small_towns airports grandmothers parallel_parking hecklers open_mics being_tall
rubber_ducks fake_lifts silent_alarms wrong_birthdays frozen_keys invisible_string whoopees confetti
elections budgets debates coalitions housing_plans ballots transport_bills mayors
interest_rates small_shops chip_makers pay_talks harvest_prices start-ups mergers tariffs
storms droughts heat_waves floods fog snowfall lightning forecasts
""".split()
TOPIC_WORDS = [word.replace("_", " ") for word in TOPIC_WORDS]
#: Four subjects of each genre, in the order of `GENRES`.
GENRE_WORDS = """
recipes kitchens spices leftovers games levels controllers consoles
songs concerts microphones rehearsals training stadiums coaches injuries
experiments theories laboratories measurements gadgets updates settings passwords
suitcases passports detours postcards tools patterns materials workshops
jokes punchlines characters audiences headlines interviews opinions statistics
""".split()
#: Subjects that any video may have.
COMMON_WORDS = """
secrets mistakes surprises beginnings weekends memories details stories
choices habits mornings endings ideas favourites lessons neighbours
""".split()

#: How titles are put: {s} and {t} are two subjects, {n} is a number from 2 to 30.
PLAIN = ("{S} and {t}", "{S}, again", "On {s}", "{S}, {t} and more", "More {s}")
BY_FORMAT = {
    "music": ("Music for {s}", "{S} and {t} (full album)", "{S}: the playlist",
              "Melodies for {s}"),
    "news": ("{S}: what changed this week", "{S} and {t}, the short version",
             "What we know about {s}", "{S} in {n} charts"),
    "tutorial": ("{S} explained, part {n}", "A first guide to {s}", "{S} in {n} minutes",
                 "Getting better at {s}, step by step"),
    "episode": ("{S}, episode {n}", "Season {n}: {s} and {t}", "{S} and {t}, chapter {n}",
                "Episode {n}: back to {s}"),
    "live": ("Live: {s} with questions", "{S} and {t}, live all night", "Live now: {s}, day {n}",
             "{S} live, the whole stream"),
    "vlog": ("My week with {s}", "We went out for {s} and {t}", "A quiet day of {s}",
             "Thinking about {s}, day {n}"),
}  # fmt: skip
LOUD = ("The truth about {s}", "{n} facts about {s} and {t}", "Why nobody talks about {s}",
        "{S}: was it worth it?", "I only did {s} for {n} days!")  # fmt: skip
LOUDEST = ("You WON'T BELIEVE this about {s}", "{S} changed EVERYTHING",
           "They LIED to you about {s}", "I tried {s} and {t} for {n} days: SHOCKING",
           "STOP! Watch this before {s}", "{S} gone WRONG (not clickbait)")  # fmt: skip

KINDS = (PLAIN, *(BY_FORMAT[form] for form in FORMATS), LOUD, LOUDEST)
TEMPLATES = tuple(template for kind in KINDS for template in kind)
FIRST = np.cumsum([0, *map(len, KINDS)])
"""Kind k (0 plain, 1 to 6 by format, 7 loud, 8 loudest) has templates FIRST[k]:FIRST[k + 1]."""

NUMBERS = range(2, 31)
SUBJECTS = (*TOPIC_WORDS, *GENRE_WORDS, *COMMON_WORDS)
SHOUT = "!!!"


def words_of(title: str) -> list[str]:
    """Words of a title or template, in order; a slot such as ``{s}`` is a word, and so is !!!."""
    return re.findall(r"\{\w\}|!!!|[\w'-]+", title.lower())


WORDS = [words_of(template) for template in TEMPLATES]
LONGEST = max(map(len, WORDS)) + 2
"""Words of the longest title: those of a template, "!!!" and a language."""
VOCABULARY = tuple(
    dict.fromkeys(
        [
            *map(str.lower, SUBJECTS),
            *map(str, NUMBERS),
            *map(str.lower, LANGUAGES[1:]),
            SHOUT,
            *(word for words in WORDS for word in words if "{" not in word),
        ]
    )
)
"""All tokens: token k is the word ``VOCABULARY[k]``. Subjects come first: 8 for each topic, 4 for
each genre, 16 for any video; then numbers, languages and the words of the templates."""
TOKEN = {word: k for k, word in enumerate(VOCABULARY)}

assert len(TOPIC_WORDS) == 8 * len(TOPICS) and len(GENRE_WORDS) == 4 * len(GENRES)


def text(template: int, first: int, second: int, number: int, language: int, shout: int) -> str:
    """One title as people read it, from numbers; the subjects are those of ``SUBJECTS``."""
    s, t = SUBJECTS[first], SUBJECTS[second]
    title = TEMPLATES[template].format(S=s[0].upper() + s[1:], s=s, t=t, n=number)
    title += SHOUT if shout else ""
    return title if language == 0 else f"{title} ({LANGUAGES[language]})"


def tokens(template, first, second, number, language, shout) -> list[int]:
    """The same title as tokens; -1 fills it up to the longest."""
    slots = {"{s}": first, "{t}": second, "{n}": TOKEN[str(number)]}
    found = [slots[word] if word in slots else TOKEN[word] for word in WORDS[template]]
    found += [TOKEN[SHOUT]] if shout else []
    found += [TOKEN[LANGUAGES[language].lower()]] if language else []
    return found + [-1] * (LONGEST - len(found))
