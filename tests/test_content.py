"""Titles and thumbnails: the stated laws, what they carry, and that they carry nothing else."""

from __future__ import annotations

import copy
import functools
import hashlib

import browser_lab
import numpy as np
import pytest
import sprite_sheet
from PIL import Image
from scipy.stats import norm
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import MultinomialNB
from sprite_sheet import SHEET
from worlds import mini, tiny

from course.errors import ConfigError, LogError
from course.logs import Logs, store
from course.pages import thumbnail
from course.simulator import content as made
from course.simulator import titles
from course.simulator.catalogue import Catalogue
from course.simulator.config import WorldConfig
from course.simulator.content import SHARES, Content

DIALS = (0.0, 0.5, 1.0, 2.0)


@functools.cache
def catalogue(videos=20_000):
    return Catalogue(WorldConfig.of("city", videos=videos, future_days=0), 3)


@functools.cache
def content(dial, videos=20_000):
    return Content(dial, catalogue(videos), 3)


def near(share, expected, n):
    """Within four standard errors of a share of n."""
    return share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n) + 1e-9)


def bags(dial):
    """How often each token stands in each title (videos, tokens)."""
    tokens = content(dial).title_tokens
    out = np.zeros((len(tokens), len(titles.VOCABULARY) + 1))
    np.add.at(out, (np.arange(len(tokens))[:, None], tokens), 1)
    return out[:, :-1]  # the last column took the -1


# --- laws


@pytest.mark.parametrize("dial", DIALS)
def test_shares_are_those_of_the_table(dial):
    c, k = catalogue(), content(dial)
    n, own = len(c), 1 - made.BORROWED + made.BORROWED / 30
    said = {part: 1 - (1 - share) ** dial for part, share in SHARES.items()}
    genre = said["genre"]
    template, first, second, _, language, shout = k.wording.T
    for word in (first, second):
        assert near((word // 8 == c.topic).mean(), said["word"] * own, n)
        in_genre = (word >= 240) & (word < 280) & ((word - 240) // 4 == c.genre)
        assert near(in_genre.mean(), (1 - said["word"]) * genre, n)
        assert near((word >= 280).mean(), (1 - said["word"]) * (1 - genre), n)
    assert not (first == second).any()
    ground, motif, sign, burst = k.sprites.T
    of_topic = said["motif"] * own + (1 - said["motif"]) * genre / 3
    assert near((motif // 2 == c.topic).mean(), of_topic, n)
    assert near((motif >= made.GENERIC).mean(), (1 - said["motif"]) * (1 - genre), n)
    assert near((sign >= 0).mean(), said["sign"], n)
    assert ((sign < 0) | ((sign - made.SIGN) // 2 == c.format)).all()
    kind = np.searchsorted(titles.FIRST, template, side="right") - 1
    calm = kind < 7
    assert near((kind[calm] > 0).mean(), said["wording"], calm.sum())
    assert ((kind == 0) | (kind == 1 + c.format) | ~calm).all()
    chance = [0.55, 0.28, 0.17]
    spanish = c.language == 1
    right = said["tag"] + (1 - said["tag"]) * chance[1]
    assert near((language[spanish] == 1).mean(), right, spanish.sum())
    # Of a standard normal beyond a threshold, the mean of what it is correlated with by rho.
    beyond = norm.pdf(0.75) / norm.sf(0.75)
    for part, loud in (("loud title", kind >= 7), ("loud picture", burst >= 0)):
        assert near(loud.mean(), norm.sf(0.75), n)
        assert c.clickbait[loud].mean() == pytest.approx(said[part] * beyond, abs=0.06)
        assert ((ground >= made.RAYS) == (burst >= 0)).all()
    assert near(shout.mean(), norm.sf(2.1), n)
    contrast = np.log((0.5 / k.veil) ** (2 / 3) - 1) / 1.6
    assert np.corrcoef(contrast, c.packaging)[0, 1] == pytest.approx(said["contrast"], abs=0.03)
    assert contrast.std() == pytest.approx(1, abs=0.03)


def test_content_is_made_from_what_the_table_names_and_nothing_else():
    c, rng = catalogue(2_000), np.random.default_rng(0)
    open_ = {"topic", "format", "language", "clickbait", "packaging"}
    arrays = {k: v for k, v in vars(c).items() if isinstance(v, np.ndarray) and len(v) == len(c)}
    hidden = {k: rng.permutation(v) for k, v in arrays.items() if k not in open_}
    assert {"quality", "latent", "level", "base_popularity", "channel"} <= set(hidden)
    other = Content(1.0, changed(c, **hidden), 3)
    same_everywhere(other, content(1.0, 2_000))
    everything = {k: rng.permutation(v) for k, v in arrays.items()}
    nothing = Content(0.0, changed(c, **everything), 3)
    same_everywhere(nothing, content(0.0, 2_000))
    for name in open_:
        other = Content(1.0, changed(c, **{name: everything[name]}), 3)
        with pytest.raises(AssertionError):
            same_everywhere(other, content(1.0, 2_000))


def changed(catalogue, **arrays):
    other = copy.copy(catalogue)
    vars(other).update(arrays)
    return other


def same_everywhere(one, other):
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, vars(other)[name], err_msg=name)


def test_a_video_keeps_its_content_whatever_else_is_uploaded():
    c, few = catalogue(2_000), 100
    short = {
        k: v[:few] for k, v in vars(c).items() if isinstance(v, np.ndarray) and len(v) == len(c)
    }
    first = Content(1.0, changed(c, **short), 3)
    np.testing.assert_array_equal(first.title_tokens, content(1.0, 2_000).title_tokens[:few])
    np.testing.assert_array_equal(
        first.thumbnails(range(5)), content(1.0, 2_000).thumbnails(range(5))
    )
    other = Content(1.0, c, 4)
    assert (other.title_tokens != content(1.0, 2_000).title_tokens).any(axis=1).mean() > 0.9


# --- what can be read


def test_topics_are_read_from_titles_the_better_the_higher_the_dial():
    topic, train = catalogue().topic, np.arange(len(catalogue())) % 2 == 0
    right = []
    for dial in DIALS:
        x = bags(dial)
        guess = MultinomialNB().fit(x[train], topic[train]).predict(x[~train])
        right.append((guess == topic[~train]).mean())
    assert right[0] < 1.2 * np.bincount(topic[~train]).max() / (~train).sum()
    assert np.all(np.diff(right) > 0.1) and 0.6 < right[2] < 0.9


def test_topic_bait_and_packaging_are_read_from_pixels_with_the_dial_only():
    c, n = catalogue(2_000), 1_500
    scores = {}
    for dial in (0.0, 1.0):
        x = content(dial, 2_000).thumbnails(np.arange(n)).astype(float) / 255
        colourful = (x.max(axis=3) - x.min(axis=3)).mean(axis=(1, 2))
        contrast = x.std(axis=(1, 2, 3))
        scores[dial] = [
            np.corrcoef(colourful, c.clickbait[:n])[0, 1],
            np.corrcoef(contrast, c.packaging[:n])[0, 1],
        ]
        # The mean colour says the genre: compare with the means of the other half.
        colour, genre = x.mean(axis=(1, 2)), c.genre[:n]
        means = np.array([colour[::2][genre[::2] == g].mean(axis=0) for g in range(10)])
        guess = ((colour[1::2, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        scores[dial].append((guess == genre[1::2]).mean() - 0.1)
    assert np.abs(scores[0.0]).max() < 0.1
    assert np.min(scores[1.0]) > 0.2, scores


def test_what_is_hidden_cannot_be_read():
    c = catalogue()
    x = bags(1.0)
    rest = c.latent - c.topic_vectors[c.topic]
    hidden = np.column_stack([rest, c.quality, np.log(c.base_popularity)])
    shuffled = np.random.default_rng(0).permutation(len(c))
    train, test = shuffled[:10_000], shuffled[10_000:]
    guess = Ridge(alpha=10.0).fit(x[train], hidden[train]).predict(x[test])
    left = ((hidden[test] - guess) ** 2).sum(axis=0)
    total = ((hidden[test] - hidden[train].mean(axis=0)) ** 2).sum(axis=0)
    # Channels have a format and a language, so a little of a channel is known through them.
    assert (1 - left / total).max() < 0.02


# --- titles and pictures


def test_tokens_are_the_words_of_the_title():
    k = content(1.0)
    for title, tokens in zip(k.titles(range(500)), k.title_tokens, strict=False):
        words = " ".join(titles.VOCABULARY[token] for token in tokens if token >= 0)
        assert titles.words_of(words) == titles.words_of(title), title
        assert 5 <= len(title) <= 80 and title[0] == title[0].upper() and "{" not in title
        used = (tokens >= 0).sum()
        assert (tokens[:used] >= 0).all()
    assert k.title_tokens.max() < len(titles.VOCABULARY) == len(set(titles.VOCABULARY))
    subjects = {word.lower() for word in titles.SUBJECTS}
    assert len(subjects) == 296  # each word has one meaning
    assert not subjects & {word for t in titles.TEMPLATES for word in titles.words_of(t)}


def test_pictures_are_painted_as_a_plain_loop_would():
    k, planes = content(1.0, 2_000), made.sheet()
    for video in (0, 1, int(np.flatnonzero(k.sprites[:, 3] >= 0)[0])):
        palette = k.palette[video]
        picture = np.empty((36, 64, 3))
        for y in range(36):
            picture[y] = palette[0] + (palette[1] - palette[0]) * y / 35
            for x in range(64):
                for layer, row in enumerate(k.sprites[video]):
                    if row < 0:
                        continue
                    column = 63 - x if layer < 2 and k.mirrored[video] else x
                    dot = planes[row, :, 64 * y + column]
                    picture[y, x] = (1 - dot[9]) * picture[y, x] + dot[:6] @ palette + dot[6:9]
        picture += (128 - picture) * k.veil[video]
        assert np.abs(k._painted(np.array([video]))[0] - picture.reshape(-1, 3)).max() < 0.1
        grain = k.thumbnails([video])[0] - picture.clip(0, 255)
        assert np.abs(grain).max() <= made.GRAIN + 1 and grain.std() > 2


def test_thumbnails_come_in_the_order_asked_for():
    k = content(1.0, 2_000)
    some = k.thumbnails([7, 3, 7, 600])
    assert some.shape == (4, 36, 64, 3) and some.dtype == np.uint8
    np.testing.assert_array_equal(some[0], some[2])
    np.testing.assert_array_equal(some[1], k.thumbnails(np.arange(700))[3])
    assert k.thumbnails(np.zeros(0, int)).shape == (0, 36, 64, 3) and k.titles([]) == []
    with pytest.raises(ValueError, match="read-only"):
        k.title_tokens[0] = 0
    for bad, words in ((-1, "no video -1"), ([2_000], "no video 2000"), ([0.5], "float64"),
                       ([[1]], "shape"), (["a"], "dtype")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            k.thumbnails(bad)


@pytest.mark.browser
@pytest.mark.skipif(browser_lab.find_browser() is None, reason="needs Chromium")
def test_pixels_and_drawings_show_the_same_picture():
    pytest.importorskip("playwright.sync_api")
    k, videos = content(1.0, 2_000), np.arange(40)
    parts = [
        thumbnail(k, v)
        .decode()
        .replace("width='640' height='360'", "")
        .replace("id='g'", f"id='g{v}'")
        .replace("#g)", f"#g{v})")
        for v in videos
    ]
    shown = np.asarray(sprite_sheet.shot(parts, 10), float)
    shown = shown.reshape(4, 36, 10, 64, 3).transpose(0, 2, 1, 3, 4).reshape(40, -1, 3)
    assert np.abs(shown - k._painted(videos)).mean(axis=(1, 2)).max() < 3
    drawn, kept = (np.asarray(s, float) for s in (sprite_sheet.sheet(), Image.open(SHEET)))
    assert np.abs(drawn - kept).reshape(made.SPRITES, 36, 640).mean(axis=(1, 2)).max() < 0.5


# --- worlds


def test_logs_have_titles_and_thumbnails_of_all_videos():
    world = mini()
    logs = world.logs()
    assert len(logs.content) == len(world.engine.catalogue) > len(logs.videos)
    assert logs.before(3.0).content is logs.content is world.content
    assert "titles and thumbnails of" in repr(logs.content)
    bare = Logs(logs.users, logs.videos, logs.watches, logs.searches, logs.impressions)
    with pytest.raises(LogError, match="no titles"):
        _ = bare.content


def test_content_changes_no_table_and_no_name_of_a_world():
    silent = mini(content=0.0)
    for name, table in mini()._tables.items():
        assert table.equals(silent._tables[name])
    assert (silent.content.title_tokens != mini().content.title_tokens).any()
    quiet = WorldConfig.of("village", content=0.0)
    assert store.key(quiet, 7) == store.key(WorldConfig.of("village"), 7)


@pytest.mark.skipif(np.__version__ != "2.4.6", reason="another NumPy may draw other numbers")
def test_tables_are_what_they_always_were():
    digest = hashlib.sha256()
    for name, table in sorted(tiny()._tables.items()):
        for column in table:
            values = table[column]
            values = values.cat.codes if values.dtype == "category" else values
            values = np.ascontiguousarray(values.to_numpy())
            kind = values.dtype
            if values.dtype.kind == "f":  # the last digits hang on the processor
                values = values.astype(np.float32)
            digest.update(f"{name}.{column}.{kind}".encode() + values.tobytes())
    assert digest.hexdigest()[:16] == "c175d0ead387cb74"
