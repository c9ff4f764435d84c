"""What people do on their own: each mechanism has the right sign and is gone when switched off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from worlds import mini, organic, tiny

from course.simulator import laws
from course.simulator.behaviour import COMPONENTS
from course.simulator.organic import (
    EVENTS_PER_SESSION,
    NEW_INTEREST_SEARCHED,
    SOURCES,
    TOPIC_WORDS,
    sessions,
)
from course.simulator.people import SEARCH_LEAD_DAYS


def watched(world) -> pd.DataFrame:
    frame = world.logs().watches
    c = world.engine.catalogue
    video = frame["video_id"].to_numpy()
    extra = {"topic": c.topic[video], "genre": c.genre[video], "level": c.level[video]}
    return frame.assign(**extra)


def codes(frame, name) -> np.ndarray:
    return frame[name].cat.codes.to_numpy().astype(int)


class TestSessions:
    def test_number_is_poisson_with_the_stated_mean(self):
        world = organic()
        behaviour, people = world.engine.behaviour, world.engine.people
        steps = range(0, 4 * world.config.days)
        count = np.zeros(len(people))
        mean = np.zeros(len(people))
        for step in steps:
            count += np.bincount(
                sessions(behaviour, step, world.engine.memory).user, minlength=len(people)
            )
            share = [0.09, 0.21, 0.28, 0.42][step % 4]
            mean += people.sessions_per_day * share * (people.joined <= step // 4)
        assert abs(count.sum() - mean.sum()) < 4.5 * np.sqrt(mean.sum())
        assert (count[mean == 0] == 0).all()
        tail = poisson.sf(count - 1, mean) * (mean > 0)
        assert (tail[mean > 0] > 1e-7).all()  # nobody does impossibly much
        # Pearson's statistic over accounts is about 1 per account for a Poisson law.
        busy = mean > 2
        assert ((count - mean)[busy] ** 2 / mean[busy]).mean() == pytest.approx(1, abs=0.25)

    def test_times_lie_in_the_quarter_and_devices_are_owned(self):
        world = organic()
        for step in (0, 6, 51):
            s = sessions(world.engine.behaviour, step, world.engine.memory)
            assert ((s.time >= step / 4) & (s.time < (step + 1) / 4)).all()
            assert (s.daypart == step % 4).all()
            assert (world.engine.people.device_weights[s.user, s.device] > 0).all()


@pytest.mark.parametrize("make", [organic, tiny], ids=["organic", "with a feed"])
class TestTables:
    def test_time(self, make):
        world = make()
        people, c = world.engine.people, world.engine.catalogue
        logs = world.logs()
        for name in ("watches", "searches", "impressions"):
            frame = getattr(logs, name)
            time = frame["time"].to_numpy()
            if name != "impressions":
                assert (np.diff(time) >= 0).all()
            assert ((time >= 0) & (time < world.config.days)).all()
            assert ((time % 1 * 4).astype(int) == codes(frame, "daypart")).all()
            joined = people.joined[frame["user_id"]]
            assert (time >= joined).all(), f"{name}: somebody acted before joining"
            if "video_id" in frame:
                up = c.uploaded[frame["video_id"]]
                assert (time >= up).all(), f"{name}: a video was met before its upload"

    def test_device_is_owned_and_person_fits(self, make):
        world = make()
        frame = world.logs().watches
        user, device = frame["user_id"].to_numpy(), codes(frame, "device")
        assert (world.engine.people.device_weights[user, device] > 0).all()
        s = world.engine.behaviour.situation(user, frame["time"].to_numpy(), device)
        assert (s.member == world.true_table("watches")["member"]).all()
        assert s.member.any()

    def test_watched_seconds(self, make):
        world = make()
        frame = world.logs().watches
        length = world.engine.catalogue.seconds[frame["video_id"]]
        assert (frame["watched_seconds"] >= 1).all()
        share = frame["watched_seconds"] / length
        assert (share <= 1 + 1e-6).all()
        assert (frame["completed"] == (share >= laws.COMPLETE_AT - 1e-6)).mean() > 0.999
        asked = frame["survey"] > 0
        assert abs(asked.mean() - 0.1) < 4.5 * np.sqrt(0.09 / len(frame))

    def test_all_sources_occur(self, make):
        found = set(make().logs().watches["source"].unique())
        assert found == set(SOURCES if make is tiny else SOURCES[:6])


def test_events_per_session():
    world = organic(rewatch=1.0, search_errands=0.0)
    started = sum(
        len(sessions(world.engine.behaviour, step, world.engine.memory)) for step in range(120)
    )
    searches = len(world.logs().searches)
    # 28 % of the events are searches.
    want = 0.28 * EVENTS_PER_SESSION * started
    assert abs(searches - want) < 6 * np.sqrt(want)


class TestSeries:
    @staticmethod
    def predecessor_seen(world) -> float:
        """Share of watches of later episodes that follow a watch of the episode before."""
        first = watched(world).drop_duplicates(["user_id", "video_id"])
        time = first.set_index(["user_id", "video_id"])["time"]
        before = world.engine.catalogue.previous[first["video_id"]]
        key = pd.MultiIndex.from_arrays([first["user_id"], before])
        earlier = time.reindex(key).to_numpy()[before >= 0]
        return (earlier < first["time"].to_numpy()[before >= 0]).mean()

    def test_asymmetry_grows_with_the_dial(self):
        off, on, strong = (organic(series=s) for s in (0.0, 1.0, 2.0))
        assert self.predecessor_seen(off) < 0.4
        assert self.predecessor_seen(on) > self.predecessor_seen(off) + 0.25
        assert self.predecessor_seen(strong) > self.predecessor_seen(on) + 0.05

    def test_off_means_no_series_watches(self):
        assert not watched(organic(series=0.0))["source"].isin(["series", "autoplay"]).any()

    def test_autoplay_plays_only_the_next_episode(self):
        world = organic(series=2.0)
        frame = watched(world)
        auto = frame[frame["source"] == "autoplay"]
        previous = world.engine.catalogue.previous[auto["video_id"]]
        assert len(auto) > 100 and (previous >= 0).all()
        seen = set(zip(frame["user_id"], frame["video_id"], strict=True))
        assert all(pair in seen for pair in zip(auto["user_id"], previous, strict=True))
        time = frame.groupby(["user_id", "video_id"])["time"].min()
        key = pd.MultiIndex.from_arrays([auto["user_id"], previous])
        assert (time.reindex(key).to_numpy() <= auto["time"].to_numpy()).all()

    def test_pull_in_the_appeal(self):
        """+1.5 with the predecessor seen, -1.5 without, times the dial; 0 when off."""
        for dial, want in ((1.0, 1.5), (2.0, 3.0), (0.0, 0.0)):
            world = mini(series=dial)
            b, memory = world.engine.behaviour, world.engine.memory.copy()
            video = int(np.flatnonzero(world.engine.catalogue.previous >= 0)[0])
            before = world.engine.catalogue.previous[video]
            memory.seen[3] = False
            args = (np.array([[3]]), np.array([[video]]), b.catalogue.channel[[[video]]])
            low = b.familiarity(memory, *args)[0, 0]
            memory.seen[3, before] = True
            high = b.familiarity(memory, *args)[0, 0]
            assert high - low == pytest.approx(2 * want)


def ladder(b, memory, user, video):
    n = memory.genre_watches[user[:, None], b.catalogue.genre[video]]
    return 0.8 - np.abs(b.catalogue.level[video] - np.minimum(2, np.log2(1 + n) / 2.5))


def satiation(b, memory, user, video):
    recent = memory.recent_by_genre[user]
    share = recent / (recent.sum(axis=1, keepdims=True) + 1)
    q = np.take_along_axis(share, b.catalogue.genre[video].astype(int), axis=1)
    return 8 * q * (0.35 - q)


@pytest.mark.parametrize("law", [ladder, satiation], ids=lambda law: law.__name__)
def test_components_against_the_law(law):
    b, memory = tiny().engine.behaviour, tiny().engine.memory
    rng = np.random.default_rng(0)
    s = b.situation(rng.integers(400, size=80), np.full(80, 30.0), np.zeros(80, int))
    video = rng.integers(300, size=(80, 4))
    got = b.components(s, video, memory)[..., COMPONENTS.index(law.__name__)]
    np.testing.assert_allclose(got, law(b, memory, s.user, video), rtol=1e-3, atol=1e-5)
    assert got.max() > 0.1 and got.min() < -0.3


def test_satiation_lowers_the_click_on_what_filled_the_last_days():
    """Too weak to see in shares of watches at this size, so it is shown where it acts."""
    gained = []
    for dial in (0.0, 1.0):
        b, memory = mini(satiation=dial).engine.behaviour, mini().engine.memory.copy()
        s = b.situation(np.arange(150), np.full(150, 8.0), np.zeros(150, int))
        video = np.random.default_rng(0).integers(150, size=(150, 20))
        fed = memory.copy()
        fed.recent_by_genre[:] = memory.recent_by_genre[:] = 0
        fed.recent_by_genre[np.arange(150)[:, None], b.catalogue.genre[video[:, :1]]] = 9
        score = [b.score("click", s, video, b.components(s, video, m)) for m in (memory, fed)]
        gained.append((score[1] - score[0])[:, 0])
    assert (gained[0] == 0).all() and (gained[1] < -0.1).all()


class TestLadder:
    @staticmethod
    def slope(world) -> float:
        """Mean level from the fourth watch in a genre on, minus that of the first."""
        frame = watched(world)
        nth = frame.groupby(["user_id", "genre"]).cumcount()
        return frame["level"][nth >= 3].mean() - frame["level"][nth == 0].mean()

    def test_level_grows_with_watches_of_the_genre(self):
        off, on, strong = (self.slope(organic(niche_ladder=x)) for x in (0.0, 1.0, 3.0))
        assert on > off + 0.05 and strong > on + 0.1


class TestSearch:
    @staticmethod
    def queries(world):
        """Topic of each query (from its first word), person's interests now and ahead."""
        frame = world.logs().searches
        people = world.engine.people
        day = frame["time"].to_numpy().astype(int)
        s = world.engine.behaviour.situation(
            frame["user_id"].to_numpy(), frame["time"].to_numpy(), codes(frame, "device")
        )
        person = people.person(s.user, s.member)
        now = people.interests[person, day]
        ahead = people.interests[person, day + SEARCH_LEAD_DAYS]
        return frame["token_1"].to_numpy() // TOPIC_WORDS, now, ahead

    def leading(self, world) -> tuple[float, int]:
        """P(the query is about the coming interest), where there is one that is new."""
        topic, now, ahead = self.queries(world)
        changed = now != ahead
        coming = np.take_along_axis(ahead, changed.argmax(axis=1)[:, None], axis=1)[:, 0]
        new = changed.any(axis=1) & ~(now == coming[:, None]).any(axis=1)
        return (topic == coming)[new].mean(), new.sum()

    def test_queries_run_ahead_of_taste(self):
        share, n = self.leading(organic(drift=0.3))
        errands = organic().config.search_errands
        want = (1 - errands) * NEW_INTEREST_SEARCHED + errands / 30
        assert n > 800 and abs(share - want) < 4.5 * np.sqrt(0.25 / n)

    def test_not_when_all_searches_are_errands(self):
        share, n = self.leading(organic(drift=0.3, search_errands=1.0))
        assert abs(share - 1 / 30) < 4.5 * np.sqrt(1 / 30 / n)

    def test_not_without_drift(self):
        _, now, ahead = self.queries(organic(drift=0.0))
        assert (now == ahead).all()

    @pytest.mark.parametrize("share", [0.0, 0.35, 1.0])
    def test_errand_share(self, share):
        world = organic(search_errands=share)
        errand = world.true_table("searches")["errand"].to_numpy()
        assert abs(errand.mean() - share) <= 4.5 * np.sqrt(share * (1 - share) / len(errand))
        topic, now, ahead = self.queries(world)
        liked = ((topic[:, None] == now) | (topic[:, None] == ahead)).any(axis=1)
        assert liked[~errand].all()  # also shows that truth and log are aligned
        if share == 1:
            assert liked.mean() < 0.25

    def test_words(self):
        frame = organic().logs().searches
        topic = frame["token_1"] // TOPIC_WORDS
        genre_words = frame["token_2"][frame["token_2"] >= 0] - 30 * TOPIC_WORDS
        assert (genre_words // 6 == topic[frame["token_2"] >= 0] // 3).all()
        assert frame["token_1"].between(0, 30 * TOPIC_WORDS - 1).all()
        third = frame["token_3"][frame["token_3"] >= 0]
        assert third.between(300, 339).all()
        assert abs((frame["token_2"] >= 0).mean() - 0.6) < 0.04
        assert abs((frame["token_3"] >= 0).mean() - 0.4) < 0.04
        used = np.bincount(frame["token_1"] % TOPIC_WORDS, minlength=TOPIC_WORDS)
        want = len(frame) / np.arange(1, 9) / (1 / np.arange(1, 9)).sum()
        np.testing.assert_allclose(used, want, rtol=0.2)


class TestContext:
    @staticmethod
    def appetite(world) -> float:
        """Mean default appetite of the moment for what is watched."""
        frame = watched(world)
        table = organic().engine.behaviour.context_appetite
        age = world.engine.people.age_band[frame["user_id"]]
        device, part = codes(frame, "device"), codes(frame, "daypart")
        return table[device, part, age, frame["topic"]].mean()

    def test_choices_fit_the_moment_more_with_the_dial(self):
        off, on, strong = (self.appetite(organic(context_taste=x)) for x in (0.0, 1.0, 3.0))
        assert abs(off) < 0.1 and on > off + 0.25 and strong > on + 0.1

    def test_most_of_it_is_interaction(self):
        table = organic().engine.behaviour.context_appetite.astype(float)
        total = table.var(axis=(0, 1, 2)).sum()
        main = sum(
            table.mean(axis=tuple(a for a in range(3) if a != axis)).var(axis=0).sum()
            for axis in range(3)
        )
        assert main / total < 0.5
        assert not organic(context_taste=0.0).engine.behaviour.context_appetite.any()


class TestRepeats:
    @staticmethod
    def share(world) -> float:
        return watched(world).duplicated(["user_id", "video_id"]).mean()

    def test_dial(self):
        off, default, full = (self.share(organic(rewatch=x)) for x in (0.0, 0.03, 1.0))
        assert off < 0.005 and off < default < 0.05 and full > 0.25

    def test_rare_by_default_with_a_feed(self):
        assert self.share(tiny()) < 0.06


def test_taste_decides_what_is_watched():
    world = organic()
    frame = watched(world)
    day = frame["time"].to_numpy().astype(int)
    member = world.true_table("watches")["member"].to_numpy()
    person = world.engine.people.person(frame["user_id"].to_numpy(), member)
    liked = (world.engine.people.interests[person, day] == frame["topic"].to_numpy()[:, None]).any(
        1
    )
    by_source = {name: liked[(frame["source"] == name).to_numpy()].mean() for name in SOURCES[:4]}
    assert by_source["browse"] > 0.5  # chance would be about 0.11
    assert by_source["external"] < by_source["browse"]


def test_nearly_all_is_watched_in_the_own_language():
    world = organic()
    frame = watched(world)
    c, people = world.engine.catalogue, world.engine.people
    own = c.language[frame["video_id"]] == people.language[frame["user_id"]]
    assert own.mean() > 0.95


def test_freshness_makes_watched_videos_younger():
    ages = {}
    for freshness in (0.0, 1.0):
        frame = watched(organic(freshness=freshness))
        late = frame[frame["time"] > 15]
        uploaded = organic(freshness=freshness).engine.catalogue.uploaded
        ages[freshness] = (late["time"] - uploaded[late["video_id"]]).median()
    assert ages[1.0] < ages[0.0] / 2
