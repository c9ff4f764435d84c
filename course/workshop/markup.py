"""The HTML of figures and widgets on the site; ``static/course.js`` brings it to life.

Without JavaScript a slider's first picture stays, with a list of all others.
"""

from __future__ import annotations

import json
import math
from html import escape
from typing import Any


def picture(source: str, alt: str, width: float, height: float) -> str:
    """Return a figure with its words, as large as the notebook shows it."""
    return (
        f'<img class="course-figure" src="{source}" alt="{escape(alt)}" '
        f'width="{width:.0f}" height="{height:.0f}" loading="lazy">'
    )


def widget(data: dict[str, Any], place: str, number: int) -> str:
    """Return a widget from what `course.workshop.frames` wrote.

    Parameters
    ----------
    data : content of its file
    place : where a page finds its pictures
    number : the widget's number in its chapter
    """
    if data["kind"] == "sliders":
        return _sliders(data, place, number)
    if data["kind"] == "predict":
        buttons = "".join(
            f'<button type="button" aria-pressed="false">{escape(option)}</button>'
            for option in data["options"]
        )
        return _box("predict", f"<p><b>Predict first.</b> {data['question']}</p>{buttons}")
    says = "<noscript>The game needs JavaScript, or the notebook.</noscript>"
    return _box("game", says, {name: data[name] for name in ("picks", "rounds")})


def _box(kind: str, inside: str, data: Any = None) -> str:
    # A closing tag within the data would end the script.
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    script = f'<script type="application/json">{text}</script>' if data is not None else ""
    return f'<div class="course-widget" data-kind="{kind}">{inside}{script}</div>'


def _sliders(data: dict[str, Any], place: str, number: int) -> str:
    controls, frames = data["controls"], data["frames"]
    at = 0
    for control in controls:
        at = at * len(control["words"]) + control["start"]
    made = "".join(_control(c, f"w{number}-{i}") for i, c in enumerate(controls))
    first = picture(f"{place}/{frames[at]['file']}", frames[at]["alt"], *frames[at]["size"])
    listed = "".join(
        f'<li><a href="{place}/{frame["file"]}">{escape(frame["said"])}</a></li>'
        for frame in frames
    )
    without = f"<noscript>Without JavaScript, choose a setting here:<ul>{listed}</ul></noscript>"
    needed = [
        {"src": f"{place}/{frame['file']}", "alt": frame["alt"], "text": frame["text"]}
        for frame in frames
    ]
    text = f'<div class="text">{frames[at]["text"]}</div>'
    return _box("sliders", f"{made}{first}{text}{without}", needed)


def _control(control: dict[str, Any], key: str) -> str:
    label, words, start = escape(control["label"]), control["words"], control["start"]
    count = f'data-n="{len(words)}"'
    if control["kind"] == "Toggle":
        checked = " checked" if start else ""
        return f'<p><label><input type="checkbox" {count}{checked}> {label}</label></p>'
    if control["kind"] == "Choice" and not all(map(_is_number, words)):
        options = "".join(
            f'<label><input type="radio" name="{key}"{" checked" * (i == start)}> {escape(word)}'
            "</label> "
            for i, word in enumerate(words)
        )
        return f"<fieldset {count}><legend>{label}</legend>{options}</fieldset>"
    told = escape(json.dumps(words))
    return (
        f'<p><label for="{key}">{label}</label><input type="range" id="{key}" min="0" '
        f'max="{len(words) - 1}" value="{start}" {count} data-words="{told}" '
        f'aria-valuetext="{words[start]}"><output for="{key}">{words[start]}</output></p>'
    )


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
