"""Makes the sheet of sprites from the drawings: ``python tests/sprite_sheet.py`` (needs Chromium).

A row is a sprite, a column a plane (see `course.simulator.content.sheet`). To draw a plane, each
colour of a drawing becomes the grey that says how much of the plane is in it.
"""

from __future__ import annotations

import io
from pathlib import Path

import browser_lab
import numpy as np
from PIL import Image

import course.simulator
from course.pages.thumbnails import _hex, _sprites
from course.simulator.content import HEIGHT, WIDTH

FINE = 4  # pixels drawn for each pixel of the sheet
SHEET = Path(course.simulator.__file__).with_name("sprites.png")


def shot(pictures: list[str], columns: int) -> Image.Image:
    """Draw SVG fragments of 320 by 180 units side by side, each 64 by 36 pixels."""
    from playwright.sync_api import sync_playwright

    size = f"width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 320 180'"
    drawn = "".join(f"<svg {size} style='float:left'>{part}</svg>" for part in pictures)
    view = {"width": columns * WIDTH, "height": len(pictures) // columns * HEIGHT}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_lab.find_browser())
        page = chromium.new_page(viewport=view, device_scale_factor=FINE)
        page.set_content(f"<body style='margin:0;background:#000'>{drawn}</body>")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        chromium.close()
    return picture.reduce(FINE)


def sheet() -> Image.Image:
    """Draw the whole sheet, in two halves, since a screenshot has a largest height."""
    tiles = []
    for sprite in _sprites():
        colours = np.array(sprite["colours"], float)
        colours[:, :6] *= 255
        planes = [*colours.T, np.full(len(colours), 255.0)]
        tiles += [sprite["svg"].format(*(_hex(np.full(3, v)) for v in p)) for p in planes]
    half = len(tiles) // 20 * 10
    rows = [np.asarray(shot(part, 10).convert("L")) for part in (tiles[:half], tiles[half:])]
    return Image.fromarray(np.vstack(rows))


if __name__ == "__main__":
    sheet().save(SHEET, optimize=True)
