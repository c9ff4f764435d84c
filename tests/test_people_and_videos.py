"""Who the people are and what is uploaded: shares, drift, links between episodes."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import kstest

from course.simulator.behaviour import TASTE_MEAN, TASTE_SD, Behaviour, Situation
from course.simulator.catalogue import Catalogue
from course.simulator.config import WorldConfig
from course.simulator.names import FORMATS
from course.simulator.people import SEARCH_LEAD_DAYS, People

SIZE = {"users": 4_000, "videos": 6_000, "days": 30}


@functools.cache
def built(seed: int = 5, **dials):
    config = WorldConfig.of("village", **{**SIZE, **dials})
    catalogue = Catalogue(config, seed)
    return config, People(config, catalogue, seed), catalogue


def near(share: float, want: float, n: int) -> None:
    assert abs(share - want) < 4.5 * np.sqrt(want * (1 - want) / n) + 1e-9, (share, want)


class TestPeople:
    def test_shares(self):
        config, people, _ = built()
        n = len(people)
        for language, want in enumerate([0.55, 0.28, 0.17]):
            near((people.language == language).mean(), want, n)
        for gender, want in enumerate([0.45, 0.45, 0.10]):
            near((people.gender == gender).mean(), want, n)
        for band, want in enumerate([0.12, 0.24, 0.26, 0.24, 0.14]):
            near((people.age_band == band).mean(), want, n)
        near(people.logged_in.mean(), 0.85, n)
        near((people.country % 2).mean(), 0.4, n)
        assert (people.country // 2 == people.language).all()  # two countries for each

    def test_half_join_during_log_and_future(self):
        config, people, _ = built()
        inside = people.joined >= 0
        near(inside.mean(), 0.5, len(people))
        assert kstest(people.joined[inside] / config.horizon, "uniform").pvalue > 1e-3
        assert people.joined.min() >= -400 and people.joined.max() < config.horizon

    def test_activity_is_heavy_tailed_with_the_stated_mean(self):
        config, people, _ = built()
        activity = people.sessions_per_day
        assert activity.mean() == pytest.approx(config.sessions_per_day, rel=0.08)
        assert np.log(activity[activity < 8]).std() == pytest.approx(1.0, rel=0.06)
        top = np.sort(activity)[-len(activity) // 10 :].sum() / activity.sum()
        assert top > 0.3  # the busiest tenth does more than three times its share

    def test_everybody_owns_a_device(self):
        _, people, _ = built()
        owned = people.device_weights > 0
        assert owned.any(axis=1).all()
        near(owned[:, 1].mean(), 0.6, len(people))

    def test_second_members_only_on_shared_accounts(self):
        config, people, catalogue = built()
        shared = people.second_member.any(axis=(1, 2))
        near(shared.mean(), 0.25, len(people))
        behaviour = Behaviour(config, people, catalogue, 5)
        rng = np.random.default_rng(0)
        user = rng.integers(len(people), size=20_000)
        device = rng.integers(3, size=len(user))
        s = behaviour.situation(user, rng.random(len(user)) * 30, device)
        assert not s.member[~shared[user]].any()
        chance = people.second_member[user, device, s.daypart]
        assert abs(s.member.mean() - chance.mean()) < 0.01
        assert s.member[chance > 0.9].mean() > 0.9 and s.member[chance < 0.1].mean() < 0.1

    def test_one_person_within_one_part_of_a_day(self):
        config, people, catalogue = built()
        behaviour = Behaviour(config, people, catalogue, 5)
        user = np.repeat(np.flatnonzero(people.second_member.any(axis=(1, 2)))[:500], 6)
        time = np.tile(9.5 + np.linspace(0, 0.249, 6), 500)
        member = behaviour.situation(user, time, np.zeros(3000, int)).member.reshape(500, 6)
        assert (member == member[:, :1]).all() and 0 < member.mean() < 1

    def test_members_of_one_account_differ(self):
        _, people, _ = built()
        n = len(people)
        same = (people.interests[:n, 0] == people.interests[n:, 0]).all(axis=1).mean()
        assert same < 0.01

    def test_demographics_inform_about_taste(self):
        """P(two people share their first interest): larger within an age band."""
        _, people, _ = built()
        first = people.interests[: len(people), 0, 0]

        def agreement(group):
            counts = np.bincount(first[group], minlength=30) / max(group.sum(), 1)
            return (counts**2).sum()

        within = [agreement(people.age_band == band) for band in range(5)]
        assert np.mean(within) > 1.1 * agreement(np.ones(len(people), bool))


class TestDrift:
    @staticmethod
    def changes(interests):
        return (interests[:, 1:] != interests[:, :-1]).any(axis=2)

    def test_none(self):
        assert not self.changes(built(drift=0.0)[1].interests).any()

    @pytest.mark.parametrize("drift", [0.05, 0.4, 1.0])
    def test_rate(self, drift):
        """A swap is invisible when the new topic equals the old: correct for it by brute force."""
        _, people, _ = built(drift=drift)
        interests = people.interests
        changed = (interests[:, 1:] != interests[:, :-1]).sum(axis=2)
        assert changed.max() == 1  # at most one slot a day
        # P(two independent draws of one person agree), from the four slots of the first day.
        today = interests[:, 0].astype(int)
        agree = np.mean([today[:, i] == today[:, j] for i in range(4) for j in range(i)])
        want = drift * (1 - agree)
        assert changed.mean() == pytest.approx(want, rel=0.04)

    def test_slots_change_in_proportion_to_their_weight(self):
        interests = built(drift=1.0)[1].interests
        by_slot = (interests[:, 1:] != interests[:, :-1]).mean(axis=(0, 1))
        np.testing.assert_allclose(by_slot / by_slot.sum(), [0.45, 0.27, 0.17, 0.11], atol=0.01)

    def test_days_reach_as_far_as_searches_look_ahead(self):
        config, people, _ = built()
        assert people.interests.shape[1] > config.horizon - 1 + SEARCH_LEAD_DAYS


def test_own_taste_off_makes_all_like_the_same():
    _, people, _ = built(own_taste=0.0)
    assert (people.interests == people.interests[:1]).all()
    assert not people.residual.any()
    half = built(own_taste=0.5)[1]
    near((half.residual == 0).all(axis=1).mean(), 0.5, 2 * len(half))


class TestTaste:
    def test_by_hand(self):
        config, people, catalogue = built()
        liked = catalogue.topic_vectors[people.interests[11, 4]]
        vector = np.array([0.45, 0.27, 0.17, 0.11]) @ liked + people.residual[11]
        behaviour, video = Behaviour(config, people, catalogue, 5), np.arange(9)
        s = Situation(np.array([11]), np.zeros(1, np.int8), np.array([4.2]), np.zeros(1, int))
        want = (catalogue.latent[video] @ vector - TASTE_MEAN) / TASTE_SD
        np.testing.assert_allclose(behaviour.taste(s, video[None])[0], want, rtol=1e-4, atol=1e-5)

    def test_normalised_over_random_pairs(self):
        """Mean about 0, sd about 1, in the mean over worlds."""
        means, sds = [], []
        for seed in range(6):
            config, people, catalogue = built(seed, users=500, videos=1_000)
            behaviour = Behaviour(config, people, catalogue, seed)
            rng = np.random.default_rng(seed)
            user = rng.integers(500, size=4_000)
            s = Situation(user, np.zeros(4_000, np.int8), np.zeros(4_000), np.zeros(4_000, int))
            taste = behaviour.taste(s, rng.integers(1_000, size=(4_000, 1)))
            means.append(taste.mean())
            sds.append(taste.std())
        assert abs(np.mean(means)) < 0.35, (TASTE_MEAN, means)
        assert 0.8 < np.mean(sds) < 1.2, (TASTE_SD, sds)


class TestVideos:
    def test_back_catalogue_and_steady_uploads(self):
        config, _, catalogue = built()
        up = catalogue.uploaded
        assert catalogue.available(config.days) == config.videos
        assert (up < 0).sum() == round(0.35 * config.videos)
        assert up.min() >= -60 and up.max() < config.horizon
        assert kstest((up[up < 0] + 60) / 60, "uniform").pvalue > 1e-3
        during = up[(up >= 0) & (up < config.days)]
        assert kstest(during / config.days, "uniform").pvalue > 1e-3
        later = (up >= config.days).sum()  # the same rate per day goes on
        assert later / config.future_days == pytest.approx(len(during) / config.days, rel=0.01)

    def test_available_against_counting(self):
        _, _, catalogue = built()
        for day in (-61.0, -5.5, 0.0, 12.34, 44.0, catalogue.uploaded[77]):
            assert catalogue.available(day) == (catalogue.uploaded <= day).sum()

    def test_traits(self):
        _, _, catalogue = built()
        assert catalogue.seconds.min() > 0 and catalogue.seconds.max() <= 180 * 60
        for name in ("clickbait", "packaging"):
            assert kstest(getattr(catalogue, name), "norm").pvalue > 1e-3
        assert catalogue.quality.std() == pytest.approx(1.0, abs=0.1)
        assert (catalogue.base_popularity > 0).all() and (catalogue.peak_days > 0).all()
        near((catalogue.level == 2).mean(), 0.30, len(catalogue))
        assert (catalogue.genre == catalogue.topic // 3).all()

    def test_popularity_has_a_long_tail(self):
        base = np.sort(built()[2].base_popularity)[::-1]
        head = base[: len(base) // 10].sum() / base.sum()
        assert 0.35 < head < 0.8  # a tenth of the videos holds about half, the tail is not empty

    def test_niche_videos_are_less_popular(self):
        _, _, c = built()
        by_level = [np.log(c.base_popularity[c.level == level]).mean() for level in range(3)]
        np.testing.assert_allclose(np.diff(by_level), -0.7, atol=0.15)


class TestEpisodes:
    def test_links(self):
        _, _, c = built()
        linked = np.flatnonzero(c.next >= 0)
        assert len(linked) > 500
        assert (c.previous[c.next[linked]] == linked).all()
        back = np.flatnonzero(c.previous >= 0)
        assert (c.next[c.previous[back]] == back).all()
        assert len(back) == len(linked)

    def test_numbers_follow_upload_order_within_a_channel(self):
        _, _, c = built()
        linked = np.flatnonzero(c.next >= 0)
        after = c.next[linked]
        assert (after > linked).all()
        assert (c.uploaded[after] >= c.uploaded[linked]).all()
        assert (c.channel[after] == c.channel[linked]).all()
        assert (c.episode[after] == c.episode[linked] + 1).all()
        for channel in np.unique(c.channel[c.episode > 0])[:20]:
            ids = np.flatnonzero(c.channel == channel)
            assert c.episode[ids].tolist() == list(range(1, len(ids) + 1))

    def test_ends(self):
        _, _, c = built()
        assert ((c.previous < 0) == (c.episode <= 1)).all()
        assert (c.next[c.episode == 0] == -1).all()
        assert (c.format[c.episode > 0] == FORMATS.index("episode")).all()
