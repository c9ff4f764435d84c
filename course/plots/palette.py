"""Which colour and which marker mean which method, in every chapter."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import cycle
from typing import Any

#: What each method looks like. Neighbours in one chapter differ in lightness as well as in hue,
#: so that they stay apart for colour-blind readers and in grey print.
COLOURS: dict[str, str] = {
    # References that appear in every chapter.
    "random": "#9aa0a8",
    "oracle": "#111111",
    "truth": "#111111",
    "observed": "#0072b2",
    "popularity": "#6e4b10",
    "recent popularity": "#d89b12",
    "popularity in my language": "#a6761d",
    # Candidate generation.
    "co-watched": "#0b4f46",
    "matrix factorization": "#0072b2",
    "factorization with a clock": "#1c9099",
    "factorization of the last week": "#56a0d3",
    "softmax factorization": "#6a51a3",
    "mlp combiner": "#8c2d6b",
    "deep candidates": "#d55e00",
    "full softmax": "#1b7a3d",
    "sampled softmax": "#e69f00",
    "sampled softmax with correction": "#8f1d0a",
    "hierarchical softmax": "#56a0d3",
    # Signals, depth and freshness.
    "watches": "#9aa0a8",
    "+ searches": "#e69f00",
    "+ example age": "#0072b2",
    "all": "#d55e00",
    "example age": "#d55e00",
    "no clock": "#5b6673",
    "demographics": "#1b7a3d",
    "one layer": "#d55e00",
    "two layers": "#8f1d0a",
    "hand-made cross": "#56a0d3",
    "linear, twice as long": "#6fa8a0",
    # Labels and context.
    "next watch": "#d55e00",
    "held-out watch": "#0072b2",
    "last query in order": "#8c2d6b",
    "bag of words": "#5b6673",
    "10 per account": "#1b7a3d",
    "own pages only": "#c2185b",
    "completed": "#0b4f46",
    "liked": "#d89b12",
    "4 or 5 stars": "#6e4b10",
    "sample like 10 per account": "#7fb28e",
    "sample like own pages": "#dd7fa6",
    "sample like liked": "#b8963e",
    # Features of the ranker.
    "raw": "#5b6673",
    "standardised": "#e69f00",
    "quantiles": "#8f1d0a",
    "with previous impressions": "#8c2d6b",
    "without previous impressions": "#e69f00",
    # Ranking.
    "logistic regression": "#4b5fa8",
    "linear": "#6fa8a0",
    "trees": "#1b7a3d",
    "click ranker": "#56a0d3",
    "watch-time ranker": "#8c2d6b",
    "share ranker": "#d89b12",
    "length ranker": "#6e4b10",
    "repaired odds": "#1b7a3d",
    "without powers": "#a6761d",
    "network that sees what trees see": "#c77fb0",
    "minutes by least squares": "#e69f00",
    "share within length, mapped back": "#0072b2",
    "share within length": "#0b4f46",
    # Many objectives.
    "single task": "#9aa0a8",
    "shared bottom": "#e69f00",
    "one gate": "#56a0d3",
    "multitask": "#8c2d6b",
    "shared bottom, small": "#b8963e",
    "shared bottom, gates counted": "#a6761d",
    "four experts": "#b06a97",
    "gates on the context": "#1b7a3d",
    "gates on the input": "#5b6673",
    "film": "#0072b2",
    "crosses": "#0b4f46",
    # Position bias.
    "no treatment": "#9aa0a8",
    "position as input": "#e69f00",
    "adversarial": "#56a0d3",
    "inverse propensity": "#0b5d46",
    "shallow tower": "#b8340f",
    # Live experiments.
    "control": "#5b6673",
    "treatment": "#b8340f",
    "you": "#c2185b",
    # Position bias, further variants (at the end: the place decides the marker).
    "shallow, no drop-out": "#e5916f",
    "input, first": "#8a5a00",
    "pal": "#0072b2",
    "regression-em": "#7a4fa3",
    "without the device cross": "#7f8fa6",
    # Feedback loops and open problems.
    "naive": "#d89b12",
    "naive + exploration": "#8a5a00",
    "shallow + exploration": "#0072b2",
    "ple": "#1b7a3d",
    "four teachers": "#111111",
    "one teacher": "#8c2d6b",
    "one teacher, rounded": "#c77fb0",
    "student, by clicks": "#e69f00",
    "student, taught": "#0072b2",
    # Many objectives, a further contestant.
    "experts on the input": "#d55e00",
    # Labels and context, further variants.
    "weight as 10 per account": "#56a0d3",
    "weight 1 / n": "#4b5fa8",
    "sample like completed": "#6fa8a0",
    "what came after": "#1b7a3d",
    # Devices.
    "phone": "#0072b2",
    "desktop": "#d55e00",
    "tv": "#1b7a3d",
    # Titles and thumbnails.
    "content alone": "#d55e00",
    "watches alone": "#0072b2",
    "blend": "#8c2d6b",
    "topic": "#0b4f46",
    "taste": "#d55e00",
    "taste within topics": "#56a0d3",
    # Mixtures of experts, further layouts.
    "p2's layout": "#d55e00",
    "mmoe, gates on all inputs": "#c77fb0",
}

#: Other names under which the same method is known.
SAME_AS: dict[str, str] = {
    "mf": "matrix factorization",
    "dot product": "matrix factorization",
    "mmoe": "multitask",
    "multi-gate mixture of experts": "multitask",
    "eight experts": "multitask",
    "ceiling": "oracle",
    "floor": "random",
    "reader": "you",
    "two stages": "logistic regression",
    "the system": "logistic regression",
    "click": "click ranker",
    "watch time": "watch-time ranker",
    "logq": "sampled softmax with correction",
    "ipw": "inverse propensity",
    "none": "no treatment",
    "input, missing": "position as input",
    "click rate": "observed",
    "shared layer": "shared bottom",
    "p2's, gates on the place": "gates on the context",
    "p2's, gates on the context": "gates on the context",
    "p2's, gates on the input": "gates on the input",
}

#: Colours for names that are not in the list (and the cycle for plain `ax.plot` calls).
OTHER_COLOURS: tuple[str, ...] = (
    "#0072b2", "#d55e00", "#1b7a3d", "#8c2d6b", "#e69f00", "#56a0d3", "#a6761d", "#5b6673",
)  # fmt: skip

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")


def _key(name: str) -> str:
    key = " ".join(name.lower().replace("_", " ").split())
    return SAME_AS.get(key, key)


def colour(name: str, other: str | None = None) -> str:
    """The colour that means this method in the whole course, as ``"#rrggbb"``.

    Capitals and underscores of the name do not matter. One that is neither in `COLOURS` nor in
    `SAME_AS` gets the colour ``other``; None = one from a small list, always the same one.
    """
    key = _key(name)
    if key in COLOURS:
        return COLOURS[key]
    if other is not None:
        return other
    return OTHER_COLOURS[zlib.crc32(key.encode("utf-8")) % len(OTHER_COLOURS)]


def colours(names: Iterable[str]) -> dict[str, str]:
    """The colour of each name; those without one of their own get different ones, in order."""
    own = {name: colour(name, "") for name in names}
    left = cycle([c for c in OTHER_COLOURS if c not in own.values()] or OTHER_COLOURS)
    return {name: found or next(left) for name, found in own.items()}


def look(name: str) -> dict[str, Any]:
    """Colour and marker of a method, for ``ax.plot(x, y, label=name, **look(name))``.

    The marker is a second sign beside the colour, for colour-blind readers and grey print.
    """
    key = _key(name)
    number = list(COLOURS).index(key) if key in COLOURS else zlib.crc32(key.encode("utf-8"))
    return {"color": colour(name), "marker": _MARKERS[number % len(_MARKERS)]}
