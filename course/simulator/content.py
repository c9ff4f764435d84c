"""What can be read and seen of a video before it is watched: its title and its thumbnail.

Both are made from what the video is, with noise, so they carry a part of the truth. All that they
carry is listed here; beyond it they are chance. ``share`` is the value at the dial ``content`` = 1;
at a dial c it is ``1 - (1 - share)**c``, so 0 says nothing and more says more.

========== ============= ================================================================= ======
what       where         how                                                               share
========== ============= ================================================================= ======
topic      each subject  the word is one of the topic's eight with this chance             0.6
           motif         the motif is one of the topic's two with this chance              0.6
           hue           the hue is the topic's, give or take 7 degrees                    0.6
genre      subject,      if not the topic's: one of the genre's four words, or a motif of  0.4
           motif         the genre; else a word or a motif that any video may have
format     wording       the wording is the format's, unless the title is loud             0.7
           sign          a sign of the format stands on the picture                        0.6
language   tag           "(Spanish)" or "(Korean)" after the title                         0.9
clickbait  title         correlation with the title's loudness                             0.7
           picture       correlation with the picture's loudness                           0.7
packaging  picture       correlation with the picture's contrast                           0.6
========== ============= ================================================================= ======

Of the words and motifs of a topic, one in ten is borrowed: it belongs to any topic. Loudness and
contrast are standard normal at every dial: ``rho * truth + sqrt(1 - rho**2) * noise``, with a
noise of their own. From 0.75 on a title takes a loud wording, from 1.5 the loudest, from 2.1 "!!!";
a picture gets stronger colours with loudness, and a burst, an arrow, a face and a frame at 0.75,
1.5, 1.9, 2.3. Less contrast is a veil of grey.

Nothing else of the truth is in them: not quality, not the latent vector beyond its topic, not
popularity. Each video's coins depend on the seed and the video alone.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import ndtri

from course.errors import ConfigError
from course.simulator import titles
from course.simulator.catalogue import LANGUAGE_SHARES, N_TOPICS, Catalogue
from course.simulator.memory import lock
from course.simulator.names import LANGUAGES
from course.simulator.streams import coins

SHARES = {
    "word": 0.6,
    "motif": 0.6,
    "hue": 0.6,
    "genre": 0.4,
    "wording": 0.7,
    "sign": 0.6,
    "tag": 0.9,
    "loud title": 0.7,
    "loud picture": 0.7,
    "contrast": 0.6,
}
"""How much each part says at ``content`` = 1; see the table above."""
BORROWED = 0.1
LOUD_TITLE = (0.75, 1.5, 2.1)
LOUD_PICTURE = (0.75, 1.5, 1.9, 2.3)
HEIGHT, WIDTH = 36, 64
GRAIN = 8.0
"""Largest deviation of a pixel's brightness by chance, of 255."""

# Rows of the sheet of sprites. Each kind has two variants; -1 is an empty sprite.
GENERIC, SIGN, BURST, GROUND, RAYS = 2 * N_TOPICS, 68, 80, 88, 92
SPRITES = 94
_CHUNK = 512
_COINS = (
    "kind 1", "kind 2", "any topic 1", "any topic 2", "word", "word shift", "wording", "template",
    "number", "tag", "any language", "loud title", "loud picture", "contrast", "motif",
    "any topic 3", "variant", "ground", "sign", "sign variant", "burst", "mirror", "hue",
    "any hue", "hue shift", "accent", "bright",
)  # fmt: skip


class Content:
    """Titles and thumbnails of all videos, also of those that are uploaded after the log.

    It holds what was made, noise and all, and nothing of what it was made from: the truth of a
    catalogue, which is heard as loud as the dial (that of `WorldConfig`) says.

    Attributes
    ----------
    title_tokens : (videos, T) int16, in the order of the title, -1 = none
    wording : (videos, 6) int16: template, first and second subject, number, language tag, shout
    sprites : (videos, 4) int8, rows of the sheet: ground, motif, sign, burst; -1 = none
    mirrored : (videos,) bool, ground and motif are turned left to right
    palette : (videos, 6, 3) float32, 0 to 255: top, bottom, main, accent, light, dark
    veil : (videos,) float32, how much grey lies over the picture
    grain_seed : int, of the pixels' noise
    vocabulary : tuple of str, the word of each token
    """

    vocabulary = titles.VOCABULARY

    def __init__(self, dial: float, catalogue: Catalogue, seed: int):
        video = np.arange(len(catalogue))[:, None]
        u = dict(zip(_COINS, coins(seed, "content", video, np.arange(len(_COINS))).T, strict=True))
        said = {part: 1.0 - (1.0 - share) ** dial for part, share in SHARES.items()}

        def channel(part: str, truth: np.ndarray) -> np.ndarray:
            """Standard normal (videos,), correlated with a standard normal truth."""
            rho = said[part]
            return rho * truth + np.sqrt(1 - rho**2) * ndtri(u[part])

        def one_of(n: int, coin: str) -> np.ndarray:
            """A choice (videos,) among n, by a coin."""
            return (n * u[coin]).astype(int)

        self.wording = _wording(catalogue, u, said, channel("loud title", catalogue.clickbait))
        tokens = [titles.tokens(*row) for row in self.wording.tolist()]
        self.title_tokens = np.array(tokens, np.int16)
        loud = channel("loud picture", catalogue.clickbait)
        level = np.searchsorted(LOUD_PICTURE, loud, side="right")
        kind, topic = _subject(catalogue, u["motif"], u["any topic 3"], said, "motif")
        # Three grounds (dots, hill, none) for calm pictures, rays for loud ones.
        place, variant = one_of(6, "ground"), one_of(2, "variant")
        ground = np.where(level > 0, RAYS + variant, np.where(place < 4, GROUND + place, -1))
        motif = np.where(kind == 2, GENERIC + one_of(8, "variant"), 2 * topic + variant)
        sign = SIGN + 2 * catalogue.format + one_of(2, "sign variant")
        sign = np.where(u["sign"] < said["sign"], sign, -1)
        burst = np.where(level > 0, BURST + 2 * (level - 1) + one_of(2, "burst"), -1)
        self.sprites = np.stack([ground, motif, sign, burst], axis=1).astype(np.int8)
        self.mirrored = u["mirror"] < 0.5
        self.palette = _palette(catalogue.topic, loud, u, said["hue"])
        contrast = channel("contrast", catalogue.packaging)
        self.veil = (0.5 / (1 + np.exp(1.6 * contrast)) ** 1.5).astype(np.float32)
        self.grain_seed = seed
        lock(self)  # every model of a world reads the same arrays

    def __len__(self) -> int:
        return len(self.title_tokens)

    def __repr__(self) -> str:
        return f"Content(titles and thumbnails of {len(self):,} videos)"

    def titles(self, videos) -> list[str]:
        """Titles as people read them.

        Parameters
        ----------
        videos : int array (n,), video ids

        Raises
        ------
        ConfigError
            If there is no such video.
        """
        return [titles.text(*wording) for wording in self.wording[self._ids(videos)].tolist()]

    def thumbnails(self, videos) -> np.ndarray:
        """Thumbnails as pixels (n, 36, 64, 3) uint8, red, green, blue.

        The pictures are made now, 7 kB each. Parameter and error are those of `titles`.
        """
        ids = self._ids(videos)
        out = np.empty((len(ids), HEIGHT, WIDTH, 3), np.uint8)
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK]
            grain = coins(self.grain_seed, "grain", some[:, None], np.arange(HEIGHT * WIDTH))
            pixels = self._painted(some) + (GRAIN * (2 * grain - 1)).astype(np.float32)[..., None]
            out[start : start + _CHUNK] = pixels.clip(0, 255).reshape(-1, *out.shape[1:])
        return out

    def _painted(self, ids: np.ndarray) -> np.ndarray:
        """Pictures without grain (n, 36 * 64, 3) float32: ground, motif, sign, burst, veil."""
        palette, planes = self.palette[ids].transpose(0, 2, 1), sheet()
        mixing = np.concatenate([palette, np.broadcast_to(np.eye(3), (len(ids), 3, 3))], axis=2)
        mixing = mixing.astype(np.float32)
        down = np.repeat(np.linspace(0, 1, HEIGHT, dtype=np.float32), WIDTH)
        canvas = palette[:, :, :1] * (1 - down) + palette[:, :, 1:2] * down
        for layer in range(4):
            rows = self.sprites[ids, layer].astype(int)
            rows[self.mirrored[ids] & (rows >= 0) & (layer < 2)] += SPRITES
            for row in np.unique(rows[rows >= 0]):
                here = np.flatnonzero(rows == row)
                canvas[here] *= 1 - planes[row, 9]
                canvas[here] += mixing[here] @ planes[row, :9]
        veil = self.veil[ids, None, None]
        return (canvas * (1 - veil) + 128 * veil).transpose(0, 2, 1)

    def _ids(self, videos) -> np.ndarray:
        ids = np.atleast_1d(np.asarray(videos))
        if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
            raise ConfigError(
                f"videos has shape {ids.shape} and dtype {ids.dtype}", allowed="ids (n,), int"
            )
        if len(ids) and not (ids.min() >= 0 and ids.max() < len(self)):
            raise ConfigError(
                f"There is no video {ids[(ids < 0) | (ids >= len(self))][0]}",
                allowed=f"ids from 0 to {len(self) - 1}",
            )
        return ids.astype(np.int64)


def _subject(catalogue: Catalogue, coin, other, said, part: str):
    """Kind (0 topic's, 1 genre's, 2 any video's) and the topic meant (its own, or borrowed)."""
    of_topic = said[part]
    of_genre = (1 - of_topic) * said["genre"]
    kind = np.searchsorted([of_topic, of_topic + of_genre], coin, side="right")
    # The lower tenth of the topic's coins borrows; a genre's motif is that of any of its topics.
    topic = np.where(
        kind == 0,
        np.where(coin < of_topic * BORROWED, (N_TOPICS * other).astype(int), catalogue.topic),
        3 * catalogue.genre + (3 * other).astype(int),
    )
    return kind, topic


def _wording(catalogue: Catalogue, u, said, loud) -> np.ndarray:
    tier = np.searchsorted(LOUD_TITLE, loud, side="right")
    by_format = np.where(u["wording"] < said["wording"], 1 + catalogue.format, 0)
    kind = np.where(tier == 0, by_format, np.minimum(6 + tier, 8))
    first, last = titles.FIRST[kind], titles.FIRST[kind + 1]
    template = first + (u["template"] * (last - first)).astype(int)
    # Two words of one list differ: the second coin is a multiple of 1/4 away from the first.
    second = (u["word"] + (1 + (3 * u["word shift"]).astype(int)) / 4) % 1
    subjects = []
    for k, place in ((1, u["word"]), (2, second)):
        kind, topic = _subject(catalogue, u[f"kind {k}"], u[f"any topic {k}"], said, "word")
        start = np.choose(kind, [8 * topic, 240 + 4 * catalogue.genre, 280])
        subjects.append(start + (place * np.choose(kind, [8, 4, 16])).astype(int))
    number = titles.NUMBERS.start + (u["number"] * len(titles.NUMBERS)).astype(int)
    any_language = np.searchsorted(np.cumsum(LANGUAGE_SHARES), u["any language"], side="right")
    any_language = np.minimum(any_language, len(LANGUAGES) - 1)
    language = np.where(u["tag"] < said["tag"], catalogue.language, any_language)
    return np.stack([template, *subjects, number, language, tier == 3], axis=1).astype(np.int16)


def _palette(topic, loud, u, known: float) -> np.ndarray:
    """Six colours of each picture: genres go round the colour circle, loudness is saturation."""
    own = 0.1 * (topic // 3) + 0.03 * (topic % 3 - 1) + 0.06
    hue = np.where(u["hue"] < known, own + 0.04 * (u["hue shift"] - 0.5), u["any hue"])
    other = hue + np.where(u["accent"] < 0.5, 0.5, 0.38)
    calm = np.clip(0.55 + 0.15 * loud, 0.2, 1.0)
    bright = 0.66 + 0.14 * u["bright"] - 0.04 * np.clip(loud, 0, 2.5)
    ones = np.ones_like(hue)
    colours = [
        (hue, bright, calm),
        (hue + 0.05, bright - 0.24, calm),
        (hue - 0.03, 0.42 * ones, 0.9 * calm),
        (other, 0.5 * ones, np.minimum(0.2 + calm, 1)),
        (hue + 0.1, 0.87 * ones, np.minimum(0.2 + calm, 1)),
        (hue, 0.17 * ones, 0.35 * ones),
    ]
    return np.stack([_rgb(*colour) for colour in colours], axis=1).astype(np.float32)


def _rgb(hue, lightness, saturation) -> np.ndarray:
    """Red, green and blue (n, 3), 0 to 255, of hue, lightness and saturation (n,)."""
    k = (np.array([0, 8, 4]) + 12 * hue[:, None]) % 12
    reach = (saturation * np.minimum(lightness, 1 - lightness))[:, None]
    return 255 * (lightness[:, None] - reach * np.clip(np.minimum(k - 3, 9 - k), -1, 1))


@cache
def sheet() -> np.ndarray:
    """The sheet of sprites, first as it is, then turned left to right: (188, 10, 36 * 64) float32.

    Ten planes a sprite: how much of each of the six colours of a palette, then red, green and blue
    that are the same in each palette (0 to 255), then how much the sprite covers. So to recolour
    a sprite is to multiply it with a palette.
    """
    with Image.open(Path(__file__).with_name("sprites.png")) as picture:
        tiles = np.asarray(picture, np.float32).reshape(SPRITES, HEIGHT, 10, WIDTH)
    tiles = np.concatenate([tiles, tiles[..., ::-1]]).transpose(0, 2, 1, 3).copy()
    tiles[:, [0, 1, 2, 3, 4, 5, 9]] /= 255
    return tiles.reshape(2 * SPRITES, 10, HEIGHT * WIDTH)
