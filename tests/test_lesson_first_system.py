"""What chapter 00 writes: counts against brute force, pages against sets, the whole by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from worlds import mini

from course.lessons import first_system as fs
from course.simulator.experiment import live_requests


@pytest.fixture(scope="module")
def logs():
    return mini().logs()


@pytest.fixture(scope="module")
def requests():
    return live_requests(mini().engine, 40, candidates="catalogue")[1]


def test_shares_by_hand():
    assert fs.share_closed(3.0, 1.0, 5.0) == 0.5
    assert (fs.share_closed(1.0, 1.0, 5.0), fs.share_closed(5.0, 1.0, 5.0)) == (0, 1)
    assert fs.share_closed(0.0, 1.0, 5.0) < 0


def test_pairs_and_what_chance_would_make_of_them():
    table = fs.count_pairs([0, 1, 1, 1], [2, 0, 0, 1], (3, 4))
    assert table.tolist() == [[0, 0, 1, 0], [2, 1, 0, 0], [0, 0, 0, 0]]
    chance = fs.by_chance(table)
    np.testing.assert_allclose(chance.sum(axis=1), table.sum(axis=1))
    np.testing.assert_allclose(chance.sum(axis=0), table.sum(axis=0))
    assert chance[1, 0] == 3 * 2 / 4
    assert fs.times_more(0, 0) == 1 and fs.times_more(3.0, 1.0) == 2
    assert fs.times_more(1.0, 0.1, prior=0.0) == pytest.approx(10)


def test_popularity_against_brute_force(logs, requests):
    w, language = logs.watches, logs.users["language"].astype(str).to_numpy()
    late = w[w["time"] > w["time"].max() - 3]
    more = fs.popular(logs, days=3.0)(requests)
    for row in (0, 7):
        own = late.loc[language[late["user_id"]] == language[requests.user[row]], "video_id"]
        counts = np.bincount(own, minlength=len(logs.videos))
        np.testing.assert_allclose(more[row], (counts + 1) / (counts.mean() + 1), rtol=1e-5)


@pytest.mark.parametrize("column", ["topic", "channel_id"])
def test_what_is_mine_against_brute_force(logs, requests, column):
    kind = logs.videos[column].astype(str).to_numpy()
    watched = kind[logs.watches["video_id"]]
    more = fs.mine(logs, column)(requests)
    for row, video in itertools.product((0, 5), (1, 20)):
        own = watched[logs.watches["user_id"] == requests.user[row]]
        expected = len(own) * (watched == kind[video]).mean()
        want = ((own == kind[video]).sum() + 1) / (expected + 1)
        assert more[row, video] == pytest.approx(want, rel=1e-5)


def test_what_is_watched_next_against_brute_force(logs, requests):
    n, follows = len(logs.videos), {}
    for _, own in logs.watches.sort_values("time", kind="stable").groupby("user_id"):
        for pair in itertools.pairwise(own["video_id"]):
            follows[pair] = follows.get(pair, 0) + 1
    table = np.zeros((n, n))
    for pair, times in follows.items():
        table[pair] = times
    chance = table.sum(axis=1)[:, None] * table.sum(axis=0) / table.sum()
    more = fs.watched_next(logs, last=2)(requests)
    for row in range(len(requests)):
        last = [video for video in requests.recent_videos[row, :2] if video >= 0]
        want = (table[last].sum(axis=0) + 1) / (chance[last].sum(axis=0) + 1)
        np.testing.assert_allclose(more[row], want, rtol=1e-4)


def test_who_has_no_history_gets_one_everywhere(logs, requests):
    stranger = replace(requests, recent_videos=np.full_like(requests.recent_videos, -1))
    np.testing.assert_allclose(fs.watched_next(logs)(stranger), 1)


def test_clicks_per_showing_against_brute_force(logs, requests):
    shown = logs.impressions
    more, rate = fs.clicked(logs)(requests), shown["clicked"].mean()
    for video in (0, 11):
        own = shown.loc[shown["video_id"] == video, "clicked"]
        assert more[3, video] == pytest.approx((own.sum() + 1) / (rate * len(own) + 1))


def test_the_best_of_the_pool_against_sets():
    rng = np.random.default_rng(0)
    score = rng.normal(size=(6, 30))
    named = [np.argsort(rng.random(score.shape), axis=1)[:, :7] for _ in range(2)]
    for row, page in enumerate(fs.best_of(score, named, 4)):
        pool = set(named[0][row]) | set(named[1][row])
        assert page.tolist() == sorted(pool, key=lambda video: -score[row, video])[:4]


def test_a_page_is_the_best_of_the_pool_and_nothing_watched(logs, requests):
    system = fs.FirstSystem(logs)
    pages, pool = system(requests), np.hstack(system.named(requests))
    product = np.ones((len(requests), len(logs.videos)))
    for piece in fs.PIECES.values():
        product = product * piece(logs)(requests)
    for row, user in enumerate(requests.user):
        done = set(logs.watches.loc[logs.watches["user_id"] == user, "video_id"])
        free = set(pool[row]) - done
        want = sorted(free, key=lambda video: -product[row, video])[: requests.slate]
        assert not set(pages[row]) & done
        np.testing.assert_allclose(product[row, pages[row]], product[row, want], rtol=1e-5)


def test_offered_candidates_are_the_pool(logs, requests):
    offered = np.tile(np.arange(30, 50), (len(requests), 1))
    pages = fs.FirstSystem(logs, fs.KEPT)(replace(requests, candidates=offered))
    assert ((pages >= 30) & (pages < 50)).all()


def test_only_what_is_needed_is_counted(logs):
    system = fs.FirstSystem(logs, fs.KEPT, (("popular",),))
    assert set(system.more) == {*fs.KEPT, "popular"}
