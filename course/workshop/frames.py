"""What a widget needs on a page without Python: its frames, made by the notebook's own function.

`record` runs in a chapter's kernel while the site is built (`course.workshop.site`). From then on
the chapter's n-th widget writes ``n.json`` and its pictures into a folder when it ends a cell.
"""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

from PIL import Image

from course.pages.layout import card_html
from course.plots import style
from course.widgets import Prediction, RecommenderGame, Sliders
from course.widgets.stage import Shown

#: Frames of a slider that a page holds; of more, every second place of the finest control is kept.
MOST_FRAMES = 60
#: Rounds of the game that a page holds.
ROUNDS = 6


def record(folder: str | Path) -> None:
    """From now on, write what each widget needs on a page into a folder, and show nothing."""
    numbers, folder = itertools.count(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def write(widget: Shown) -> None:
        number = next(numbers)
        text = json.dumps(data(widget, folder, number), ensure_ascii=False)
        (folder / f"{number}.json").write_text(text, encoding="utf-8")

    Shown._ipython_display_ = write


def data(widget: Shown, folder: Path, number: int) -> dict[str, Any]:
    """Return what a page needs of a widget, the chapter's ``number``-th; write its pictures."""
    if isinstance(widget, Sliders):
        return {"kind": "sliders", **_sliders(widget, folder, number)}
    if isinstance(widget, Prediction):
        return {"kind": "predict", "question": widget.question, "options": widget.options}
    if isinstance(widget, RecommenderGame):
        rounds = [_round(widget.deal_of(number)) for number in range(ROUNDS)]
        return {"kind": "game", "picks": widget.picks, "rounds": rounds}
    raise TypeError(f"a page cannot show {type(widget).__name__}")


def webp(png: bytes) -> bytes:
    """Return a picture in a quarter of the bytes: lossless but for the number of its colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    few = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    written = io.BytesIO()
    few.convert("RGB").save(written, "WEBP", lossless=True, method=2)
    return written.getvalue()


def _sliders(widget: Sliders, folder: Path, number: int) -> dict[str, Any]:
    places, frames = widget.places(MOST_FRAMES), []
    for values, figure, text in widget.frames(MOST_FRAMES):
        name = f"{number}-{len(frames):03d}.webp"
        (folder / name).write_bytes(webp(style.png(figure)))
        words = figure.describe() if isinstance(figure, style.Figure) else "Figure"
        size = [round(side * style.SCREEN_DPI) for side in figure.get_size_inches()]
        said = ", ".join(f"{widget.label(name)} {_word(v)}" for name, v in values.items())
        frames.append({"file": name, "alt": words, "text": text, "said": said, "size": size})
    controls = [
        {
            "label": widget.label(name),
            "kind": type(widget.controls[name]).__name__,
            "words": [_word(value) for value in values],
            "start": values.index(widget.values[name]),
        }
        for name, values in places.items()
    ]
    return {"controls": controls, "frames": frames}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _round(deal: Any) -> dict[str, Any]:
    secret, ids = deal.secret, [card.video_id for card in deal.cards]
    chances = dict(zip(secret.videos.tolist(), secret.p_click.tolist(), strict=True))
    return {
        "viewer": deal.viewer_html,
        "cards": [
            {"title": card.title, "html": card_html(card), "p": round(chances[card.video_id], 4)}
            for card in deal.cards
        ],
        "seen": [round(float(share), 4) for share in secret.seen],
        "system": [ids.index(video) for video in secret.rival],
    }
