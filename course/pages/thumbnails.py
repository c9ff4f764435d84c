"""Thumbnails as SVG: what `Content.thumbnails` gives as pixels, sharp at any size."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from course.simulator.content import Content


def thumbnail(content: Content, video: int) -> bytes:
    """Draw the thumbnail of a video: the picture of `Content.thumbnails`, without the grain.

    Parameters
    ----------
    content : Content, such as ``world.content``
    video : int, video id

    Returns
    -------
    bytes
        SVG, 320 by 180 units, about 4 kB; the same video always gives the same picture.
    """
    palette = content.palette[video]
    top, bottom = map(_hex, palette[:2])
    parts = [
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 320 180' width='640' height='360'>"
        f"<linearGradient id='g' x2='0' y2='1'><stop stop-color='{top}'/>"
        f"<stop offset='1' stop-color='{bottom}'/></linearGradient>"
        "<rect width='320' height='180' fill='url(#g)'/>"
    ]
    for layer, row in enumerate(content.sprites[video]):
        if row >= 0:
            drawn = _recoloured(row, palette)
            turn = layer < 2 and content.mirrored[video]
            parts.append(f"<g transform='matrix(-1 0 0 1 320 0)'>{drawn}</g>" if turn else drawn)
    veil = content.veil[video]
    parts.append(f"<rect width='320' height='180' fill='#808080' opacity='{veil:.2f}'/></svg>")
    return "".join(parts).encode()


def picture_words(content: Content, video: int) -> str:
    """Say what a thumbnail shows: ``"a loaf of bread, a HOW TO sign"``."""
    rows = content.sprites[video]
    words = [_sprites()[row]["words"] for row in rows[1:] if row >= 0]
    return ", ".join(words)


def _recoloured(row: int, palette: np.ndarray) -> str:
    sprite = _sprites()[row]
    mixing = np.array(sprite["colours"], float)  # shares of the six colours, then a fixed part
    return sprite["svg"].format(*map(_hex, mixing[:, :6] @ palette + mixing[:, 6:]))


def _hex(colour: np.ndarray) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour.round().astype(int).clip(0, 255).tolist())


@cache
def _sprites() -> list[dict]:
    """The drawings behind the rows of the sheet: words, SVG with places for colours, colours."""
    return json.loads(Path(__file__).with_name("sprites.json").read_text(encoding="utf-8"))
