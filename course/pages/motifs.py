"""One small picture for each of the thirty topics.

Each motif draws around the middle of a 16 by 9 canvas with the colours of its pen; ``rng`` makes
two videos of one topic differ.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np

from course.pages.pen import BLACK, WHITE, Pen, mix

Motif = Callable[[Pen, np.random.Generator], None]


def _baking(pen: Pen, rng: np.random.Generator) -> None:
    crust, crumb = mix(pen.accent, (158, 92, 36), 0.9), mix(pen.light, (245, 214, 160), 0.6)
    pen.disc(8, 7.35, 4.9, mix(pen.bottom, BLACK, 0.35), 0.16)
    pen.disc(8, 5.2, 4.3, crust, 0.56)
    pen.box(3.7, 5.1, 12.3, 7.2, crust, 1.0)
    for k in range(3 + int(rng.integers(2))):
        x = 5.3 + 1.7 * k
        pen.line([(x - 0.5, 4.2), (x + 0.7, 6.3)], crumb, 0.34)


def _street_food(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc(8, 4.9, 4.1, mix(pen.light, (250, 200, 90), 0.4), 0.3)
    for k in range(6):
        pen.disc(5.4 + k, 4.6 + 0.3 * (k % 2), 0.55, mix(pen.accent, pen.main, k % 3 / 2))
    pen.slice(8, 4.9, 4.2, 0, 180, pen.main)
    pen.box(6.2, 8.2, 9.8, 8.7, pen.dark, 0.2)
    for k in range(3):
        x = 6.3 + 1.6 * k + rng.uniform(-0.2, 0.2)
        wave = [(x + 0.3 * sin(t * 2.2), 3.6 - t * 0.8) for t in np.linspace(0, 3, 12)]
        pen.line(wave, mix(pen.top, WHITE, 0.65), 0.22)
    pen.line([(10.3, 4.9), (14, 1.5)], pen.dark, 0.22)
    pen.line([(9.6, 4.7), (13.0, 1.0)], pen.dark, 0.22)


def _quick_dinners(pen: Pen, rng: np.random.Generator) -> None:
    pen.line([(10.5, 5), (15.4, 5.6)], pen.dark, 0.7)
    pen.disc(7.3, 5, 3.7, pen.dark)
    pen.disc(7.3, 5, 3.2, mix(pen.dark, WHITE, 0.18))
    x, y = 6.7 + rng.uniform(-0.4, 0.4), 4.9
    for dx, dy, r in ((0, 0, 1.7), (1.1, 0.5, 1.2), (-0.9, 0.7, 1.1), (0.3, -0.9, 1.1)):
        pen.disc(x + dx, y + dy, r, WHITE)
    pen.disc(x + 0.2, y, 0.85, (250, 180, 40))


def _speedruns(pen: Pen, rng: np.random.Generator) -> None:
    for k in range(8):
        top = 6.4 - (1.1 if k in (2, 3, 6) else 0) - float(rng.integers(0, 2)) * 0.4
        pen.box(2 * k, top, 2 * k + 1.9, 9, mix(pen.main, pen.dark, 0.25 * (k % 2)), 0.12)
    for k in range(4):
        pen.line([(1.2 + 0.3 * k, 3 + 0.5 * k), (3.6, 3 + 0.5 * k)], pen.light, 0.14)
    pen.disc(8, 3.3, 2.3, WHITE)
    pen.ring(8, 3.3, 2.3, pen.dark, 0.32)
    pen.box(7.6, 0.45, 8.4, 1.1, pen.dark, 0.1)
    angle = rng.uniform(0, 2 * pi)
    pen.line([(8, 3.3), (8 + 1.5 * cos(angle), 3.3 + 1.5 * sin(angle))], pen.accent, 0.26)


def _strategy(pen: Pen, rng: np.random.Generator) -> None:
    for row in range(4):
        for column in range(7):
            x, y = 1.2 + 2.3 * column + 1.15 * (row % 2), 1.6 + 2 * row
            tint = mix(pen.main, (pen.accent, pen.light, pen.dark)[int(rng.integers(3))], 0.45)
            hexagon = [
                (x + 1.22 * cos(pi / 6 + k * pi / 3), y + 1.22 * sin(pi / 6 + k * pi / 3))
                for k in range(6)
            ]
            pen.shape(hexagon, tint)
    x = 6.9 + float(rng.integers(2)) * 2.3
    pen.line([(x, 1.6), (x, 6.2)], WHITE, 0.24)
    pen.shape([(x, 1.6), (x + 2.6, 2.5), (x, 3.4)], WHITE)


def _indie_games(pen: Pen, rng: np.random.Generator) -> None:
    # A sprite of 11 by 8 cells, the same on both sides.
    half = rng.random((8, 6)) < 0.55
    half[:, 5] |= True
    half[2, 3] = False
    sprite = np.hstack([half, half[:, 4::-1]])
    for row, column in zip(*np.nonzero(sprite), strict=True):
        x, y = 8 + 0.78 * (column - 5.5), 1.4 + 0.78 * row
        pen.box(x, y, x + 0.7, y + 0.7, pen.accent if row < 4 else pen.light, 0.06)


def _live_sessions(pen: Pen, rng: np.random.Generator) -> None:
    for lean in (-4.4, 0.0, 4.4):
        glow = mix(pen.top, pen.light, 0.3)
        pen.shape([(8 + lean * 0.3, -0.5), (6.2 + lean, 9), (9.8 + lean, 9)], glow)
    pen.line([(8, 5.4), (8, 9)], pen.dark, 0.3)
    pen.box(6.9, 1.3, 9.1, 5.2, pen.main, 1.1)
    for y in np.arange(1.9, 3.6, 0.5):
        pen.line([(7.15, y), (8.85, y)], pen.dark, 0.1)
    pen.box(6.8, 3.7, 9.2, 4.0, pen.light)
    pen.arc(8, 4.2, 1.8, 15, 165, pen.dark, 0.26)


def _pop(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc(6, 4.6, 3.5, BLACK)
    for r in (3.0, 2.5, 2.0):
        pen.ring(6, 4.6, r, (70, 72, 80), 0.06)
    pen.disc(6, 4.6, 1.35, pen.accent)
    pen.disc(6, 4.6, 0.25, WHITE)
    for k in range(5):
        height = rng.uniform(1.2, 5.4)
        pen.box(10.4 + 0.95 * k, 8 - height, 11.05 + 0.95 * k, 8, pen.light, 0.2)


def _classical(pen: Pen, rng: np.random.Generator) -> None:
    for k in range(5):
        pen.line([(0, 2.6 + k), (16, 2.6 + k)], mix(pen.top, pen.light, 0.75), 0.09)
    for k in range(5):
        x, y = 2.6 + 2.7 * k, 3.1 + 0.5 * float(rng.integers(0, 7))
        pen.disc(x, y, 0.68, pen.dark, 0.76)
        up = -1 if y > 4.6 else 1
        side = 0.56 if up < 0 else -0.56
        pen.line([(x + side, y), (x + side, y + 2.9 * up)], pen.dark, 0.18)


def _football(pen: Pen, rng: np.random.Generator) -> None:
    grass = mix(pen.main, (52, 140, 62), 0.75)
    for k in range(8):
        stripe = grass if k % 2 else mix(grass, WHITE, 0.1)
        pen.shape([(2 * k, 9), (2 * k + 2, 9), (5 + 0.75 * (k + 1), 3), (5 + 0.75 * k, 3)], stripe)
    pen.box(0, 2.8, 16, 3.0, mix(grass, BLACK, 0.3))
    x = 8 + rng.uniform(-2.5, 2.5)
    pen.disc(x, 7.95, 2.0, mix(grass, BLACK, 0.35), 0.2)
    pen.disc(x, 5.5, 2.4, WHITE)
    pen.star(x, 5.5, 1.0, BLACK, 5, 0.8)
    for k in range(5):
        angle = 2 * pi * k / 5 - pi / 2
        pen.line([(x + 0.9 * cos(angle), 5.5 + 0.9 * sin(angle)),
                  (x + 1.7 * cos(angle), 5.5 + 1.7 * sin(angle))], BLACK, 0.12)  # fmt: skip
        pen.disc(x + 1.95 * cos(angle), 5.5 + 1.95 * sin(angle), 0.4, BLACK)
    pen.ring(x, 5.5, 2.4, mix(BLACK, WHITE, 0.35), 0.1)


def _climbing(pen: Pen, rng: np.random.Generator) -> None:
    edge = [(5.6 + rng.uniform(-0.8, 0.8) + 0.35 * k, 9 - 1.5 * k) for k in range(8)]
    pen.shape([*edge, (16, -2), (16, 9)], mix(pen.main, (120, 110, 105), 0.5))
    pen.shape([(x + 2.2, y) for x, y in edge] + [(16, -2), (16, 9)], mix(pen.main, BLACK, 0.3))
    for k in range(7):
        x, y = rng.uniform(8, 15), rng.uniform(0.8, 8.3)
        pen.disc(x, y, rng.uniform(0.25, 0.5), (pen.accent, pen.light)[k % 2], 0.7)
    pen.line([(9.4, -0.2), (9.2, 3.6)], pen.light, 0.12)
    pen.disc(9.2, 3.3, 0.55, pen.dark)
    pen.line([(9.2, 3.9), (9.5, 5.6)], pen.accent, 0.8)
    for foot in ((8.2, 7.1), (10.4, 6.9), (8.0, 2.6), (10.6, 2.9)):
        pen.line([(9.4, 5.5 if foot[1] > 5 else 4.2), foot], pen.dark, 0.32)


def _running(pen: Pen, rng: np.random.Generator) -> None:
    clay = mix(pen.accent, (190, 80, 50), 0.6)
    for k in range(5):
        left, right = 3.2 * k, 3.2 * (k + 1)
        pen.shape([(left, 9), (right, 9), (6.5 + 0.6 * (k + 1), 3.2), (6.5 + 0.6 * k, 3.2)],
                  mix(clay, WHITE, 0.08 * (k % 2)))  # fmt: skip
        pen.line([(left, 9), (6.5 + 0.6 * k, 3.2)], WHITE, 0.1)
    pen.box(0, 2.9, 16, 3.25, mix(pen.bottom, BLACK, 0.3))
    x = 8 + rng.uniform(-1.2, 1.2)
    pen.disc(x + 0.5, 1.6, 0.75, pen.dark)
    pen.line([(x + 0.3, 2.6), (x - 0.2, 5)], pen.light, 1.0)
    for limb in ([(x, 3), (x + 1.6, 3.7), (x + 2.4, 2.9)], [(x, 3), (x - 1.5, 3.6), (x - 1.7, 4.8)],
                 [(x, 5), (x + 1.5, 5.8), (x + 1.1, 7.4)], [(x - 0.2, 5), (x - 1.2, 6.4), (x - 2.8, 6.3)]):  # fmt: skip # noqa: E501
        pen.line(limb, pen.dark, 0.42)


def _stars(pen: Pen, rng: np.random.Generator, number: int, low: float = 9.0) -> None:
    for x, y in rng.uniform((0, 0), (16, low), size=(number, 2)):
        pen.disc(x, y, rng.uniform(0.03, 0.1), WHITE)


def _space(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(0, 0, 16, 9, mix(pen.dark, (12, 12, 40), 0.7))
    _stars(pen, rng, 60)
    x, y = 8 + rng.uniform(-1.5, 1.5), 4.6
    pen.disc(x, y, 2.7, pen.main)
    pen.slice(x, y, 2.7, 20, 200, mix(pen.main, pen.light, 0.25))
    pen.ring(x, y, 4.6, pen.accent, 0.42, 0.28)
    pen.slice(x, y, 2.7, 180, 360, pen.main)
    pen.disc(x - 0.9, y - 1.2, 0.5, mix(pen.main, WHITE, 0.3))
    pen.disc(2.2, 1.7, 0.7, pen.light)


def _biology(pen: Pen, rng: np.random.Generator) -> None:
    phase = rng.uniform(0, pi)
    xs = np.linspace(0.5, 15.5, 23)
    for x in xs:
        a, b = (4.5 + 2.5 * sin(x * 0.75 + phase + shift) for shift in (0, pi))
        pen.line([(x, a), (x, b)], mix(pen.bottom, pen.light, 0.55), 0.14)
    for shift, tint in ((0, pen.accent), (pi, pen.light)):
        pen.line([(x, 4.5 + 2.5 * sin(x * 0.75 + phase + shift)) for x in np.linspace(0, 16, 60)],
                 tint, 0.42)  # fmt: skip
        for x in xs[::2]:
            pen.disc(x, 4.5 + 2.5 * sin(x * 0.75 + phase + shift), 0.34, tint)


def _chemistry(pen: Pen, rng: np.random.Generator) -> None:
    glass = mix(pen.top, WHITE, 0.8)
    pen.shape([(7, 1), (9, 1), (9, 3.6), (12, 8.2), (4, 8.2), (7, 3.6)], glass)
    pen.box(6.5, 0.6, 9.5, 1.2, glass, 0.25)
    pen.shape([(6.05, 5.4), (9.95, 5.4), (11.5, 7.9), (4.5, 7.9)], pen.accent)
    for _ in range(9):
        pen.disc(rng.uniform(6, 10), rng.uniform(5.6, 7.5), rng.uniform(0.12, 0.32),
                 mix(pen.accent, WHITE, 0.55))  # fmt: skip
    for k in range(4):
        pen.ring(8 + rng.uniform(-0.8, 0.8), 4.6 - k, 0.3, mix(pen.accent, WHITE, 0.35), 0.1)


def _phones(pen: Pen, rng: np.random.Generator) -> None:
    for k, x in enumerate((4.2, 8.0, 11.8)):
        lift = (0.5, 0.0, 0.5)[k]
        pen.box(x - 1.75, 0.8 + lift, x + 1.75, 8.4 + lift, BLACK, 0.45)
        screen = (pen.main, pen.light, pen.accent)[(k + int(rng.integers(3))) % 3]
        pen.box(x - 1.5, 1.1 + lift, x + 1.5, 8.1 + lift, screen, 0.3)
        pen.box(x - 0.5, 1.3 + lift, x + 0.5, 1.55 + lift, BLACK, 0.12)
        for row in range(3):
            for column in range(2):
                px, py = x - 0.95 + column, 3 + row * 1.15 + lift
                pen.box(px, py, px + 0.8, py + 0.8, mix(screen, WHITE, 0.5), 0.2)


def _programming(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(2, 0.9, 14, 8.1, (30, 33, 42), 0.4)
    for k, tint in enumerate(((240, 95, 90), (245, 190, 80), (95, 200, 110))):
        pen.disc(2.8 + 0.7 * k, 1.6, 0.2, tint)
    tints = (pen.accent, pen.light, mix(pen.main, WHITE, 0.4), (150, 155, 170))
    indent = 0
    for row in range(7):
        indent = max(0, min(3, indent + int(rng.integers(-1, 2))))
        x = 2.8 + 0.8 * indent
        for _ in range(int(rng.integers(1, 4))):
            width = rng.uniform(0.9, 2.8)
            if x + width > 13.4:
                break
            pen.box(x, 2.5 + 0.76 * row, x + width, 2.86 + 0.76 * row,
                    tints[int(rng.integers(4))], 0.18)  # fmt: skip
            x += width + 0.35


def _home_servers(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(4, 0.5, 12, 8.6, pen.dark, 0.3)
    for row in range(5):
        y = 0.95 + 1.5 * row
        pen.box(4.5, y, 11.5, y + 1.2, mix(pen.dark, WHITE, 0.22), 0.15)
        for k in range(6):
            tint = (pen.accent, pen.light, (90, 220, 120))[int(rng.integers(3))]
            pen.disc(5.1 + 0.5 * k, y + 0.6, 0.16, tint)
        for k in range(5):
            pen.line([(8.8 + 0.5 * k, y + 0.3), (8.8 + 0.5 * k, y + 0.9)], pen.dark, 0.12)


def _cities(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc(11.5, 3.2, 1.8, mix(pen.light, (255, 230, 150), 0.5))
    for depth in (0, 1):
        tint = mix(pen.main, pen.bottom, 0.45) if depth == 0 else pen.dark
        x = -0.3
        while x < 16:
            width, height = rng.uniform(1.3, 2.4), rng.uniform(2.2, 6.0 - 1.2 * depth)
            pen.box(x, 9 - height, x + width - 0.15, 9.2, tint)
            if depth:
                for wx in np.arange(x + 0.3, x + width - 0.5, 0.5):
                    for wy in np.arange(9.3 - height, 8.7, 0.62):
                        if rng.random() < 0.55:
                            pen.box(
                                wx, wy, wx + 0.24, wy + 0.34, mix(pen.light, (255, 220, 120), 0.6)
                            )
            x += width


def _hiking(pen: Pen, rng: np.random.Generator) -> None:
    pen.disc(4 + rng.uniform(0, 8), 2.4, 1.2, mix(pen.light, (255, 220, 120), 0.5))
    for depth, tint in enumerate((mix(pen.main, pen.top, 0.5), pen.main, pen.dark)):
        for k in range(3):
            x = rng.uniform(-1, 3) + 5.5 * k
            peak = 2.4 + 1.9 * depth + rng.uniform(-0.5, 0.5)
            pen.shape([(x - 5, 9.2), (x, peak), (x + 5, 9.2)], tint)
            if depth == 0:
                pen.shape([(x - 0.95, peak + 1.29), (x, peak), (x + 0.95, peak + 1.29),
                           (x + 0.3, peak + 0.95), (x - 0.25, peak + 1.4)], WHITE)  # fmt: skip
    pen.line([(6 + 1.3 * sin(t) + t * 0.5, 9 - t * 0.55) for t in np.linspace(0, 4, 20)],
             mix(pen.light, WHITE, 0.3), 0.2)  # fmt: skip


def _night_trains(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(0, 0, 16, 9, mix(pen.dark, (18, 20, 56), 0.7))
    _stars(pen, rng, 35, 4.5)
    pen.disc(12.6, 2, 1.05, (245, 240, 215))
    pen.disc(13.1, 1.75, 0.9, mix(pen.dark, (18, 20, 56), 0.7))
    pen.box(-1, 4.3, 12.6, 7.5, pen.main, 0.9)
    pen.shape([(11.4, 4.3), (14.6, 6.7), (14.6, 7.5), (11, 7.5)], pen.main)
    pen.box(-1, 6.5, 14.6, 6.8, pen.accent)
    for k in range(6):
        tint = (255, 226, 140) if rng.random() < 0.75 else mix(pen.main, BLACK, 0.4)
        pen.box(0.3 + 1.9 * k, 4.9, 1.7 + 1.9 * k, 6.0, tint, 0.2)
    pen.line([(0, 8), (16, 8)], (140, 140, 150), 0.16)
    for k in range(12):
        pen.line([(0.5 + 1.4 * k, 8.2), (0.2 + 1.4 * k, 8.7)], (100, 100, 112), 0.18)


def _woodwork(pen: Pen, rng: np.random.Generator) -> None:
    wood = mix(pen.main, (176, 118, 66), 0.7)
    for k in range(5):
        pen.box(0, 1.85 * k, 16, 1.85 * k + 1.75, mix(wood, BLACK, 0.1 * float(rng.random())), 0.05)
        for _ in range(3):
            x, y = rng.uniform(0, 12), 1.85 * k + rng.uniform(0.3, 1.4)
            pen.line([(x, y), (x + rng.uniform(2, 4), y + 0.08)], mix(wood, BLACK, 0.25), 0.07)
    pen.shape([(3, 5.9), (12, 2.5), (12, 3.9), (3.4, 6.9)], (205, 210, 218))
    for k in range(15):
        x = 3.6 + 0.56 * k
        y = 6.85 - (x - 3.4) * (3 / 8.6)
        pen.shape([(x, y), (x + 0.5, y - 0.17), (x + 0.25, y + 0.3)], (205, 210, 218))
    pen.box(11.4, 1.6, 14.2, 4.6, pen.accent, 0.9)
    pen.box(12.2, 2.5, 13.4, 3.7, wood, 0.5)


def _knitting(pen: Pen, rng: np.random.Generator) -> None:
    pen.line([(2.6, 1), (10.6, 7.4)], pen.dark, 0.24)
    pen.line([(13.4, 1), (5.4, 7.4)], pen.dark, 0.24)
    pen.disc(2.6, 1, 0.36, pen.light)
    pen.disc(13.4, 1, 0.36, pen.light)
    pen.disc(8, 5, 3.2, pen.accent)
    thread = mix(pen.accent, WHITE, 0.3)
    for r in (0.8, 1.5, 2.2, 2.8):
        pen.arc(8 + rng.uniform(-0.3, 0.3), 5, r, 200, 330, thread, 0.13)
        pen.arc(8, 5 + rng.uniform(-0.3, 0.3), r, 40, 160, mix(pen.accent, BLACK, 0.22), 0.13)
    pen.line([(10.5, 7), (12, 8.3), (14, 7.8), (16, 8.4)], pen.accent, 0.18)


def _pottery(pen: Pen, rng: np.random.Generator) -> None:
    clay = mix(pen.accent, (190, 110, 75), 0.5)
    belly, neck = rng.uniform(2.1, 2.9), rng.uniform(0.8, 1.3)
    ys = np.linspace(1.3, 7.4, 40)
    wide = [neck + (belly - neck) * sin(pi * min(1, (y - 1.0) / 6.2)) ** 1.4 for y in ys]
    pen.disc(8, 7.7, 4.6, pen.dark, 0.18)
    pen.shape([*((8 - w, y) for w, y in zip(wide, ys, strict=True)),
               *((8 + w, y) for w, y in zip(wide[::-1], ys[::-1], strict=True))], clay)  # fmt: skip
    pen.disc(8, 1.3, wide[0], mix(clay, BLACK, 0.35), 0.3)
    for place in (14, 18, 24):
        pen.line([(8 - wide[place], ys[place]), (8 + wide[place], ys[place])], pen.light, 0.16)


def _sketches(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(1.6, 1.2, 8.6, 5.2, WHITE, 1.2)
    pen.shape([(3, 4.8), (5, 4.8), (2.8, 6.7)], WHITE)
    pen.box(7.4, 3.6, 14.4, 7.4, pen.accent, 1.2)
    pen.shape([(11, 7.2), (13.2, 7.2), (13.6, 8.7)], pen.accent)
    for k in range(3):
        pen.disc(3.6 + 1.5 * k, 3.1, 0.42, pen.dark)
    for x in (10.2, 11.8):
        pen.arc(x, 5.0, 0.45, 180, 360, WHITE, 0.2)
    pen.slice(11, 5.2, 1.2 + rng.uniform(-0.2, 0.2), 0, 180, WHITE)


def _stand_up(pen: Pen, rng: np.random.Generator) -> None:
    brick = mix(pen.main, (150, 70, 56), 0.6)
    for row in range(9):
        for k in range(-1, 8):
            x = 2.2 * k + 1.1 * (row % 2)
            tint = mix(brick, BLACK, 0.12 + 0.16 * float(rng.random()))
            pen.box(x, row, x + 2.1, row + 0.9, tint, 0.05)
    pen.disc(8, 4.7, 3.9, mix(brick, (255, 240, 200), 0.45))
    pen.line([(7.4, 5.2), (6.6, 9)], pen.dark, 0.26)
    pen.line([(7.3, 5.4), (9.3, 3.5)], pen.dark, 0.7)
    pen.disc(9.7, 3.1, 1.05, (180, 184, 194))
    pen.arc(9.7, 3.1, 0.75, 200, 320, WHITE, 0.12)


def _pranks(pen: Pen, rng: np.random.Generator) -> None:
    spring = [(8 + 0.85 * (-1) ** k, 5.6 - 0.42 * k) for k in range(8)]
    pen.line(spring, pen.dark, 0.2)
    pen.disc(8, 2.0, 1.5, pen.accent)
    pen.disc(7.45, 1.7, 0.28, WHITE)
    pen.disc(8.55, 1.7, 0.28, WHITE)
    pen.arc(8, 2.1, 0.8, 20, 160, WHITE, 0.18)
    pen.box(4.9, 5.5, 11.1, 8.5, pen.main, 0.2)
    pen.box(7.5, 5.5, 8.5, 8.5, pen.light)
    pen.shape([(4.7, 5.6), (2.4, 3.9), (3.0, 3.2), (5.3, 4.9)], pen.main)
    for _ in range(14):
        x, y = rng.uniform(1, 15), rng.uniform(0.5, 5)
        pen.box(x, y, x + 0.28, y + 0.28, (pen.light, pen.accent, WHITE)[int(rng.integers(3))])


def _politics(pen: Pen, rng: np.random.Generator) -> None:
    pen.box(4, 4.3, 12, 8.5, pen.main, 0.25)
    pen.box(3.6, 3.8, 12.4, 4.9, mix(pen.main, BLACK, 0.25), 0.25)
    pen.box(6.2, 4.1, 9.8, 4.5, BLACK, 0.15)
    lean = rng.uniform(-0.4, 0.4)
    pen.shape([(6.6 + lean, 0.7), (9.4 + lean, 0.7), (9.2, 4.3), (6.8, 4.3)], WHITE)
    pen.line([(7.4 + lean, 2.2), (7.9, 2.9), (8.9, 1.5)], pen.accent, 0.3)
    pen.star(8, 6.7, 0.95, pen.light)


def _business(pen: Pen, rng: np.random.Generator) -> None:
    heights = np.cumsum(rng.uniform(0.1, 1.4, size=7)) + 0.8
    heights *= 5.6 / heights[-1]
    for k, height in enumerate(heights):
        pen.box(
            1.9 + 1.8 * k, 8.2 - height, 3.2 + 1.8 * k, 8.2, mix(pen.main, pen.light, k / 9), 0.1
        )
    trend = [(2.5 + 1.8 * k, 7.2 - h + rng.uniform(-0.4, 0.2)) for k, h in enumerate(heights)]
    pen.line(trend, pen.accent, 0.3)
    x, y = trend[-1]
    pen.star(x, y, 0.6, pen.accent, 3, 0.6)
    pen.line([(1.2, 8.3), (14.9, 8.3)], pen.dark, 0.18)


def _weather(pen: Pen, rng: np.random.Generator) -> None:
    sun = (255, 205, 70)
    pen.star(10.4, 3.1, 3.0, mix(pen.top, sun, 0.6), 12, 0.72)
    pen.disc(10.4, 3.1, 1.8, sun)
    for x, y, r in ((5.2, 5, 1.6), (7.2, 4, 2.1), (9.2, 5, 1.6)):
        pen.disc(x, y, r, WHITE)
    pen.box(4.2, 4.8, 10.6, 6.6, WHITE, 0.9)
    for k in range(5):
        x = 4.9 + 1.2 * k + rng.uniform(-0.2, 0.2)
        pen.line([(x, 7.2), (x - 0.4, 8.2)], pen.accent, 0.24)


#: In the order of `course.simulator.names.TOPICS`.
MOTIFS: tuple[Motif, ...] = (
    _baking, _street_food, _quick_dinners,
    _speedruns, _strategy, _indie_games,
    _live_sessions, _pop, _classical,
    _football, _climbing, _running,
    _space, _biology, _chemistry,
    _phones, _programming, _home_servers,
    _cities, _hiking, _night_trains,
    _woodwork, _knitting, _pottery,
    _sketches, _stand_up, _pranks,
    _politics, _business, _weather,
)  # fmt: skip
