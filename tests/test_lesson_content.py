"""Chapter 11's lesson: reading titles and thumbnails, stand-ins, against plain loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from course import ab_test, simulate
from course.lessons import content as ct
from course.lessons import matrix_factorization as mf
from course.tasks.next_watch import NextWatch


@pytest.fixture(scope="module")
def world():
    return simulate("village", seed=4, cache=False)


@pytest.fixture(scope="module")
def game(world):
    return NextWatch(world.logs())


def test_words_and_pictures_are_those_of_the_content(world):
    content = world.content
    words, looks = ct.title_words(content), ct.pictures(content)
    assert words.shape == content.title_tokens.shape and len(looks) == len(content)
    assert ((words == len(content.vocabulary)).numpy() == (content.title_tokens < 0)).all()
    pixels = content.thumbnails([5])[0].astype(float)
    for row, column, colour in ((0, 0, 0), (17, 31, 2), (8, 3, 1)):
        four = pixels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, colour]
        want = four.mean() / 255 - 0.5
        assert float(looks[5, colour, row, column]) == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize(("size", "step"), [(1, 1), (3, 1), (3, 2), (5, 4)])
def test_convolve_is_what_torch_does(size, step):
    random = torch.Generator().manual_seed(size)
    pictures = torch.randn(2, 3, 9, 12, generator=random)
    filters = torch.randn(4, 3, size, size, generator=random)
    want = functional.conv2d(pictures, filters, stride=step)
    torch.testing.assert_close(ct.convolve(pictures, filters, step), want)


def test_a_reader_forgets_the_order_of_words_and_the_colour_of_nothing():
    reader = ct.Reader(20, 3)
    looks = torch.randn(2, 3, 18, 32)
    one = reader(torch.tensor([[1, 7, 20], [4, 4, 4]]), looks)
    other = reader(torch.tensor([[7, 1, 20], [4, 20, 20]]), looks)
    torch.testing.assert_close(one, other)
    assert one.shape == (2, 64) and (one >= 0).all()
    torch.manual_seed(9)
    want = torch.rand(2)
    torch.manual_seed(9)
    assert torch.equal(ct.Reader(20, 3, seed=1).both.weight, ct.Reader(20, 3, seed=1).both.weight)
    assert torch.equal(torch.rand(2), want)  # the global stream is left alone


def test_the_reading_loss_by_hand():
    reader = ct.Reader(20, 3, dim=4)
    words, looks = torch.randint(0, 20, (6, 5)), torch.randn(6, 3, 18, 32)
    topic, weight = torch.tensor([0, 1, 2, 0, 1, 2]), torch.rand(6)
    aim = functional.normalize(torch.randn(6, 4))
    rows = torch.tensor([4, 1])
    got = ct.reading_loss(reader, words, looks, topic, aim, weight, topics=2.0)(rows)
    want = 0.0
    for row in rows:
        hidden = reader(words[row][None], looks[row][None])
        away = ((reader.vector(hidden)[0] - aim[row]) ** 2).sum()
        wrong = -functional.log_softmax(reader.topic(hidden)[0], dim=0)[topic[row]]
        want += (weight[row] * away + 2.0 * wrong) / 2
    torch.testing.assert_close(got, want)


def test_what_is_taught_is_the_direction_and_the_topic(world, game):
    videos = game.train.videos
    known = np.arange(len(videos) // 2)
    aims = np.zeros((len(videos), 2), np.float32)
    aims[:, 0] = 5.0  # all point the same way, and one word is enough to say so
    reader = ct.Reader(len(world.content.vocabulary), videos["topic"].cat.categories.size, dim=2)
    words, looks = ct.title_words(world.content), ct.pictures(world.content)
    losses = ct.teach(reader, words, looks, game.train, aims, known, passes=4)
    hidden, vectors = ct.read(reader, words, looks)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert hidden.shape == (len(world.content), 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
    assert vectors[:, 0].mean() > 0.95


def test_told_is_the_share_of_the_variance():
    rng = np.random.default_rng(0)
    given = rng.normal(size=(4_000, 3))
    signal, noise = given @ [1.0, 2.0, 0.0], rng.normal(size=4_000)
    known, fresh = np.arange(2_000), np.arange(2_000, 4_000)
    assert ct.told(given, signal, known, fresh) == pytest.approx(1, abs=1e-3)
    assert ct.told(given, noise, known, fresh) == pytest.approx(0, abs=0.02)
    half = signal / signal.std() + noise
    both = np.column_stack([half, noise])
    assert ct.told(given, half, known, fresh) == pytest.approx(0.5, abs=0.05)
    assert ct.told(given, both, known, fresh) == pytest.approx(1 / 3, abs=0.05)


def test_first_watchers_are_the_first(game):
    videos = np.array([3, 11, 40])
    got = ct.first_watchers(game.train, videos, 4)
    for video, row in zip(videos, got, strict=True):
        own = game.train.watches[game.train.watches["video_id"] == video].sort_values("time")
        want = list(dict.fromkeys(own["user_id"]))[:4]
        assert row.tolist() == want + [-1] * (4 - len(want))


def test_own_vectors_solve_the_least_squares_of_chapter_02():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4)).astype(np.float32)
    watchers = np.array([[3, 8, 20], [5, -1, -1], [-1, -1, -1]])
    got = ct.own_vectors(x, watchers, regularisation=2.0, alpha=3.0)
    for row, own in zip(got, watchers, strict=True):
        weight, wanted = np.ones(30), np.zeros(30)
        weight[own[own >= 0]], wanted[own[own >= 0]] = 4.0, 1.0
        left = x.T @ (x * weight[:, None]) + 2.0 * np.eye(4)
        np.testing.assert_allclose(row, np.linalg.solve(left, x.T @ (weight * wanted)), atol=1e-4)
    assert not got[2].any()


def test_a_blend_by_hand():
    content, own = np.array([[3.0, 0], [0, 5], [2, 0]]), np.array([[0, 2.0], [0, 1], [0, 0]])
    got = ct.blend(content, own, np.array([1, 3, 0]), half=3)
    np.testing.assert_allclose(got, [[0.75, 0.25], [0, 1], [1, 0]])


def test_the_judge_ranks_among_the_new_videos_alone(game):
    new = np.sort(game.events["video_id"].drop_duplicates().to_numpy()[:25])
    x, y = mf.als(mf.who_watched_what(game.train), factors=8)
    found = ct.judge(game, new, x)

    def wide(moments):
        scores = np.full((len(moments), game.videos), -np.inf)
        scores[:, new] = x[moments.user] @ y[new].T
        return scores

    events = game.events[game.events["video_id"].isin(new)]
    want = game.offline(wide, events, recall=(30,))
    assert found(y[new])["mrr"] == pytest.approx(want["mrr"])


def test_match_is_a_table_of_cosines():
    vectors = np.array([[1.0, 0], [2, 2], [0, -3]])
    got = ct.match(vectors, np.array([1, 2]))
    np.testing.assert_allclose(got, [[0.5**0.5, 1, -(0.5**0.5)], [0, -(0.5**0.5), 1]], atol=1e-9)


def test_pages_of_new_videos_hold_new_videos_alone(world, game):
    new = np.arange(game.videos - 40, game.videos)
    shown = []

    def watched(name, best):
        def policy(requests):
            page = best(requests)
            shown.append(page)
            return page

        return policy

    policies = ct.policies_of_new(world, new, {"last": lambda m: np.tile(new, (len(m), 1))})
    spied = {name: watched(name, best) for name, best in policies.items()}
    table = ab_test(world, spied, n=200, candidates="catalogue").table
    assert len(shown) == 3 and all(np.isin(page, new).all() for page in shown)
    assert (shown[1][:, 0] >= new[-3]).mean() > 0.9  # the largest id first, unless just watched
    minutes = table[table["metric"] == "watch_minutes"].set_index("policy")["expected"]
    assert minutes["oracle"] > minutes["chance"] and minutes["oracle"] > minutes["last"]


def test_regrets_by_hand(world):
    logs = world.logs()
    label, trust = ct.regrets(logs)
    cards = logs.impressions
    length = logs.videos["duration_seconds"].to_numpy()
    share = (cards["watched_seconds"] / length[cards["video_id"]])[cards["clicked"]]
    rate, part = [], []
    for video in range(len(logs.videos)):
        own = cards[cards["video_id"] == video]
        seen = share[own.index[own["clicked"]]]
        rate.append(np.log((len(seen) + 3) / (len(own) + 50)))
        part.append((seen.sum() + 10 * share.mean()) / (len(seen) + 10))
        assert trust[video] == pytest.approx(len(seen) / (len(seen) + 20))
    rate, part = (pd.Series(values) for values in (rate, part))
    want = (rate - rate.mean()) / rate.std(ddof=0) - (part - part.mean()) / part.std(ddof=0)
    np.testing.assert_allclose(label, want, rtol=1e-4, atol=1e-4)


def test_an_eye_learns_what_is_red():
    random = torch.Generator().manual_seed(0)
    looks = torch.rand(200, 3, 18, 32, generator=random) - 0.5
    looks[::2, 0, 4:9, 6:14] = 0.5
    looks[::2, 1:, 4:9, 6:14] = -0.5
    label = np.where(np.arange(200) % 2 == 0, 1.0, -1.0)
    seen = ct.learn_to_see(looks, label, np.ones(200), np.arange(100), passes=40)
    assert np.corrcoef(seen[100:], label[100:])[0, 1] > 0.8
