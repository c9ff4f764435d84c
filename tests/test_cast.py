"""The cast: found by what accounts do, the same for the same log, and what it claims is so."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest
from worlds import mini, tiny

from course import simulate
from course.cast import cast, shelves, two_people
from course.errors import LogError, PolicyError
from course.logs.tables import Logs


def staged(people: int = 60, watches: int = 120) -> Logs:
    """A made-up log: account 0 is two people by device, all others are one; topics are even.

    Account 1 watches both halves of account 0's topics on every device.
    """
    logs, rng = tiny().logs(), np.random.default_rng(0)
    topic = logs.videos["topic"].cat.codes.to_numpy()
    of_topic = [np.flatnonzero(topic == t) for t in np.unique(topic)]
    user = np.repeat(np.arange(people), watches)
    device, daypart = rng.integers(3, size=len(user)), rng.integers(4, size=len(user))
    wanted = np.concatenate(
        [rng.choice(rng.choice(len(of_topic), 4), watches) for _ in range(people)]
    )
    both = user < 2
    wanted[both] = rng.integers(0, 6, both.sum())
    wanted[user == 0] = wanted[user == 0] % 3 + 3 * (device[user == 0] == 2)
    frame = logs.watches.iloc[np.zeros(len(user), int)].reset_index(drop=True)
    frame["user_id"] = user.astype(np.int32)
    frame["video_id"] = np.array([rng.choice(of_topic[t]) for t in wanted], np.int32)
    frame["time"] = rng.integers(30, size=len(user)) + (daypart + 0.5) / 4
    for name, codes in (("device", device), ("daypart", daypart)):
        frame[name] = pd.Categorical.from_codes(codes, frame[name].cat.categories)
    return dataclasses.replace(logs, watches=frame)


class TestTwoPeople:
    def test_the_staged_account_is_found(self):
        logs = staged()
        found = two_people(logs)
        assert found.argmax() == 0 and found[0] > 3 * np.sort(found[:60])[-2]
        assert cast(logs).shared == 0

    def test_not_by_the_mix_of_topics_but_by_who_watches_when(self):
        """The same watches with devices drawn anew look like those of one person."""
        logs = staged()
        mixed = logs.watches.copy()
        mixed["device"] = mixed["device"].sample(frac=1, random_state=0).array
        before, after = two_people(logs), two_people(dataclasses.replace(logs, watches=mixed))
        assert after[0] < before[0] / 3

    def test_order_of_rows_and_repeats_within_a_day_do_not_count(self):
        logs = staged()
        other = pd.concat([logs.watches, logs.watches]).sample(frac=1, random_state=1)
        again = two_people(dataclasses.replace(logs, watches=other.reset_index(drop=True)))
        np.testing.assert_allclose(again, two_people(logs))

    def test_who_watched_nothing_is_out(self):
        logs = mini().logs()
        quiet = np.bincount(logs.watches["user_id"], minlength=len(logs.users)) == 0
        assert (np.isneginf(two_people(logs)) == quiet).all()

    @pytest.mark.slow
    def test_against_the_truth(self):
        """In a world where people watch a lot, the accounts on top are shared far more often."""
        top, base = [], []
        for seed in (31, 32):
            world = simulate("town", seed=seed, cache=False)
            found, shared = two_people(world.logs()), world.true_table("users")["shared"].to_numpy()
            top.append(shared[np.argsort(-found)[:5]].mean())
            base.append(shared[np.isfinite(found)].mean())
        assert np.mean(top) > 2 * np.mean(base)


class TestCast:
    def test_what_the_three_did(self):
        logs = tiny().logs()
        found, end = cast(logs), tiny().config.days
        watches = np.bincount(logs.watches["user_id"], minlength=len(logs.users))
        topic = logs.videos["topic"].to_numpy()[logs.watches["video_id"]]
        counts = pd.crosstab(logs.watches["user_id"].to_numpy(), topic)
        busy = watches >= np.quantile(watches, 0.9)
        share = (counts.max(axis=1) / counts.sum(axis=1)).reindex(range(len(busy))).to_numpy()
        assert busy[found.heavy] and share[found.heavy] == share[busy].max()
        joined = logs.users["joined"].to_numpy()
        assert watches[found.newcomer] == 0 and joined[found.newcomer] <= end
        idle = (watches == 0) & (joined <= logs.watches["time"].max())
        idle[logs.searches["user_id"]] = False
        assert joined[found.newcomer] == joined[idle].max()
        assert len(set(found.users)) == 3

    def test_the_same_log_gives_the_same_cast(self):
        one, two = cast(tiny().logs()), cast(tiny().logs())
        pd.testing.assert_frame_equal(one.table, two.table)
        assert one.videos == two.videos and (one.users == two.users).all()

    def test_videos_are_the_most_watched_of_their_format(self):
        logs = tiny().logs()
        count = logs.watches["video_id"].value_counts()
        for form, video in cast(logs).videos.items():
            same = logs.videos.index[logs.videos["format"] == form]
            assert video in same and count[video] == count.reindex(same).max()
        assert logs.videos["episode"][cast(logs).videos["episode"]] > 0

    def test_table(self):
        table = cast(tiny().logs()).table
        assert list(table.index) == ["heavy viewer", "newcomer", "shared account"]
        assert table.loc["newcomer", ["watches", "topic", "devices"]].tolist() == [0, "", ""]
        assert "%" in table.loc["heavy viewer", "topic"]

    def test_it_asks_for_logs_alone(self):
        assert list(inspect.signature(cast).parameters) == ["logs"]

    def test_an_empty_log(self):
        with pytest.raises(LogError, match="no watches"):
            cast(mini().logs().before(-1.0))


class TestPages:
    def test_side_by_side(self):
        found = cast(mini().logs())
        asked = []

        def system(users):
            asked.append(users)
            return np.arange(30).reshape(3, 10)

        shown = found.pages(mini(), system, k=4)
        assert (asked[0] == found.users).all()
        titles = mini().content.titles(np.array([0, 3, 4, 10, 20]))
        assert shown.html.count("<img") == 12 and "newcomer" in shown.html
        for there, title in zip((True, True, False, True, True), titles, strict=True):
            assert (title in shown.alt) == there

    def test_neighbours_of_the_known_videos(self):
        found = cast(mini().logs())
        shown = found.neighbours(mini(), lambda video: np.arange(30), k=2)
        assert shown.html.count("<img") == 3 * len(found.videos)
        assert mini().content.titles([found.videos["music"]])[0] in shown.alt

    def test_words_are_escaped(self):
        assert "&lt;b&gt;" in shelves(mini(), {"<b>": np.array([1])}).html

    @pytest.mark.parametrize(
        "answer", [np.arange(10), np.zeros((2, 10), int), np.zeros((3, 4)), np.full((3, 4), 10**6),
                   np.full((3, 4), -1), None])  # fmt: skip
    def test_pages_that_cannot_be_shown(self, answer):
        with pytest.raises(PolicyError) as caught:
            cast(mini().logs()).pages(mini(), lambda users: answer)
        assert "Allowed:" in str(caught.value)
