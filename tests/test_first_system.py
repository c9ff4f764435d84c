"""The trained system that chapter 00 shows."""

import numpy as np
import pytest

from course import play, simulate
from course.experiments.first_system import answer, for_clicks, train_system


@pytest.fixture(scope="module")
def world():
    return simulate("tiny", seed=4)


@pytest.fixture(scope="module")
def system(world):
    return train_system(world)


def test_one_request_is_followed(world, system):
    _, asked = play.home_request(world, np.random.default_rng(1))
    counts, page = answer(system, asked)
    assert list(counts) == ["topic match", "co-watch", "sequence", "context", "pool"]
    assert max(list(counts.values())[:4]) <= counts["pool"] <= sum(list(counts.values())[:4])
    assert len(page) == asked.slate == page["video_id"].nunique()
    assert page["named by"].ne("").all()
    assert page["P(click), %"].between(0, 100).all() and page["stars"].between(0, 6).all()
    combined = page["P(click), %"] * page["minutes"] * ((page["stars"] - 1) / 4)
    assert np.all(np.diff(combined) <= 1e-4 * combined.iloc[0])  # the order of the page
    shown = system(asked.__class__(**{**vars(asked), "candidates": None}))[0]
    assert shown.tolist() == page["video_id"].tolist()


def test_the_player_ranks_the_cards_it_is_given(world, system):
    _, asked = play.home_request(world, np.random.default_rng(2))
    videos = asked.candidates[:, 3:9]
    ranked = for_clicks(system)(asked, videos)
    assert ranked.shape == videos.shape and set(ranked[0]) == set(videos[0])
    turned = for_clicks(system)(asked, videos[:, ::-1])
    assert turned.tolist() == ranked.tolist()  # the order in which cards are given does not matter


def test_the_game_tells_where_the_system_stands(world, system):
    rounds = play.Rounds(world, rival=for_clicks(system))
    deal = rounds.deal(0)
    _, text = rounds.score(deal, [card.video_id for card in deal.cards[:4]])
    assert "The system's page is worth" in text and "of the gap" in text


def test_without_a_viewer_the_error_says_what_to_do(world):
    memory = world.engine.memory
    before = memory.recent_videos.copy()
    memory.recent_videos[:] = -1
    try:
        with pytest.raises(Exception, match="15 watches"):
            play.home_request(world, np.random.default_rng(0))
    finally:
        memory.recent_videos[:] = before
