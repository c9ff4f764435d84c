"""The rounds of "you are the recommender", dealt from a world."""

import functools

import numpy as np

from course import play, simulate
from course.lessons.first_system import FirstSystem
from course.widgets import RecommenderGame


@functools.cache
def rounds():
    return play.Rounds(simulate("village", seed=2, cache=False))


def test_a_round_is_the_same_again_and_rounds_differ():
    one, again, other = rounds().deal(0), rounds().deal(0), rounds().deal(1)
    ids = [card.video_id for card in one.cards]
    assert ids == [card.video_id for card in again.cards]
    assert ids != [card.video_id for card in other.cards]
    assert len(set(ids)) == 12


def test_the_best_page_closes_the_gap_and_the_truth_is_not_told():
    deal = rounds().deal(3)
    order = np.argsort(-deal.secret.p_click)
    best = [int(deal.secret.videos[i]) for i in order[:4]]
    worst = [int(deal.secret.videos[i]) for i in order[::-1][:4]]
    assert "<b>100%</b> of the gap" in rounds().score(deal, best)[1]
    assert "<b>-" in rounds().score(deal, worst)[1]
    # The order of the picks counts: the best first is worth more than the best last.
    assert play._worth(deal.secret, best) > play._worth(deal.secret, best[::-1])
    assert "p_click" not in repr(deal)


def test_expected_clicks_are_those_of_the_truth():
    world, deal = rounds().world, rounds().deal(5)
    shown = deal.secret.videos
    p = deal.secret.p_click
    assert p.shape == shown.shape and ((p > 0) & (p < 1)).all()
    assert deal.secret.seen[0] == 1.0 and (np.diff(deal.secret.seen) < 0).all()
    assert shown.max() < world.engine.catalogue.available(world.config.days + 1)


def test_the_game_plays_several_rounds():
    game = RecommenderGame(rounds().deal, rounds().score, picks=4, truth=rounds().truth)
    for _ in range(3):
        assert all(told.value == "" for told in game._told.values())
        for card in game.deal.cards[:4]:
            game._buttons[card.video_id].value = True
        game.recommend_button.click()
        assert game.done and not game.error_html
        said = {video: told.value for video, told in game._told.items()}
        secret = game.deal.secret
        best = secret.videos[np.argsort(-secret.p_click)]
        assert [f"place {k + 1}<" in said[video] for k, video in enumerate(best[:4])] == [True] * 4
        assert sum("oracle" in words for words in said.values()) == 4
        assert f"true chance {secret.p_click.max():.0%} " in said[best[0]]
        game.another_button.click()
    assert len(game.history) == 3


def test_a_rival_system_can_play_every_round():
    """The system knows only videos of the log, so only those may be dealt."""
    system = FirstSystem(rounds().world.logs())
    against = play.Rounds(rounds().world, rival=system)
    for number in range(50):
        deal = against.deal(number)
        assert len(deal.secret.rival) == 4 and set(deal.secret.rival) <= set(deal.secret.videos)
    assert "The system's page" in against.score(deal, deal.secret.rival)[1]
