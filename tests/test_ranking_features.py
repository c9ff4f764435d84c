"""The ranker's features against a slow, plain twin; quantiles and daily sums by hand."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from course import simulate
from course.errors import ConfigError, LogError
from course.features import RANKING_FEATURES, RankingFeatures
from course.features.history import DailySums
from course.features.taxonomy import (
    BAGS,
    IMPRESSION_CODES,
    IMPRESSION_NUMBERS,
    NEVER,
    QUERY_CODES,
    QUERY_NUMBERS,
)
from course.logs.schema import SURFACES
from course.simulator.names import DAYPARTS, DEVICES
from course.simulator.nominate import NOMINATORS
from course.tasks.next_day import fresh_pages

CODES = {"device": DEVICES, "daypart": DAYPARTS, "surface": SURFACES}


@functools.cache
def world():
    return simulate("village", seed=4, cache=False)


@functools.cache
def features():
    return RankingFeatures(world().logs())


@functools.cache
def sample():
    """Cards of 60 pages spread over the log: home pages and up-next lists."""
    rows = world().logs().impressions
    pages = rows["request_id"].unique()
    chosen = np.random.default_rng(0).choice(pages, 60, replace=False)
    return rows[rows["request_id"].isin(chosen)]


@functools.cache
def live():
    """Requests as a live policy gets them, and the cards that the log of that day would hold."""
    asked, past = [], world().past_ranking()

    class Spy:
        def __call__(self, requests):
            asked.append(requests)
            return past(requests)

    return asked, fresh_pages(world(), 200, seed=5, policy=Spy())


# --- A plain twin: one card at a time, from nothing but the tables ----------------------------


def twin(logs, card):
    """Raw features of one card: ids and numbers by name, sets as lists of ids, newest first."""
    user, time, video = card.user_id, card.time, card.video_id
    v = logs.videos.set_index("video_id").loc[video]
    u = logs.users.set_index("user_id").loc[user]
    watched = logs.watches[(logs.watches.user_id == user) & (logs.watches.time < time)]
    recent = watched.sort_values("time", kind="stable").iloc[::-1].head(50)
    facts = logs.videos.set_index("video_id").loc[recent.video_id]
    searched = logs.searches[(logs.searches.user_id == user) & (logs.searches.time < time)]
    words = [t for row in searched[["token_1", "token_2", "token_3"]].to_numpy() for t in row]
    out = {
        "video": video, "channel": v.channel_id, "topic": v.topic, "video language": v.language,
        "format": v.format, "nominator": card.nominator, "seed video": card.query_video_id,
        "last video": recent.video_id.iloc[0] if len(recent) else -1,
        "account language": u.language, "country": u.country, "gender": u.gender,
        "age band": u.age_band, "logged in": u.logged_in, "device": card.device,
        "daypart": card.daypart, "surface": card.surface,
        "watched videos": recent.video_id.tolist(),
        "searched tokens": [t for t in words if t >= 0][::-1],
        "duration": v.duration_seconds, "video age": max(0.0, time - v.uploaded),
        "days since watch": time - recent.time.iloc[0] if len(recent) else NEVER,
        "watched before": float(video in set(recent.video_id)), "nominating score": 0.0,
    }  # fmt: skip
    earlier = logs.impressions[(logs.impressions.user_id == user) & (logs.impressions.time < time)]
    out["previous impressions"] = (earlier.video_id == video).sum()
    for name, column in (("channel", "channel_id"), ("topic", "topic")):
        same = facts[column].to_numpy() == v[column]
        out[f"watches of {name}"] = same.sum()
        ago = (time - recent.time.to_numpy())[same]
        out[f"days since {name}"] = ago.min() if len(ago) else NEVER
    out["next episode"] = 0.0
    if v.episode > 0:
        before = facts[(facts.channel_id == v.channel_id) & (facts.episode == v.episode - 1)]
        out["next episode"] = 1.0 if len(before) and v.episode > 1 else -1.0
    midnight = np.floor(time)
    for name, of in (("video", video), ("account", user)):
        key = "video_id" if name == "video" else "user_id"
        i = logs.impressions[(logs.impressions[key] == of) & (logs.impressions.time < midnight)]
        w = logs.watches[(logs.watches[key] == of) & (logs.watches.time < midnight)]
        if name == "account":
            out["account click rate"] = (i.clicked.sum() + 1) / (len(i) + 20)
            out["account watches"] = len(w)
            out["account watch time"] = w.watched_seconds.sum() / max(len(w), 1)
        else:
            share = (w.watched_seconds / v.duration_seconds).sum()
            out["video click rate"] = (i.clicked.sum() + 2) / (len(i) + 40)
            out["video watches"] = len(w)
            out["video watched share"] = (share + 1.2) / (len(w) + 3)
    return out


def decoded(f, inputs, name, rows):
    """A categorical feature of some cards, as the ids or words it stands for."""
    codes = inputs.column(name)[rows]
    space = next(x.space for x in RANKING_FEATURES if x.name == name)
    if space in f.vocabularies:
        known = np.append(f.vocabularies[space].ids, -1)
        return known[codes].tolist()
    if space == "logged_in":
        return codes.astype(bool).tolist()
    logs = world().logs()
    names = CODES.get(space) or (NOMINATORS if space == "nominator" else None)
    if names is None:
        table = logs.users if space in logs.users else logs.videos
        names = table[space].cat.categories
    return [names[code] for code in codes]


def test_every_feature_against_its_plain_twin():
    f, logs, cards = features(), world().logs(), sample()
    inputs = f.of_impressions(logs, cards)
    rows = np.random.default_rng(1).choice(len(cards), 150, replace=False)
    truth = pd.DataFrame([twin(logs, cards.iloc[row]) for row in rows])
    assert {x.name for x in RANKING_FEATURES} == set(truth.columns)
    for name in (*IMPRESSION_NUMBERS, *QUERY_NUMBERS):
        if name == "previous impressions":
            continue  # the platform counts once per quarter of a day, see below
        assert np.allclose(inputs.column(name)[rows], truth[name], rtol=1e-4, atol=1e-4), name
    for name in (*IMPRESSION_CODES, *QUERY_CODES):
        want = truth[name]
        space = next(x.space for x in RANKING_FEATURES if x.name == name)
        if space in f.vocabularies:
            want = want.where(want.isin(f.vocabularies[space].ids), -1)
        assert decoded(f, inputs, name, rows) == want.tolist(), name
    for name, array in (("watched videos", inputs.watched), ("searched tokens", inputs.searched)):
        v = f.vocabularies["video" if name == "watched videos" else "token"]
        for row, page in zip(truth[name], array[inputs.page[rows]], strict=True):
            want = [x if x in v.ids else -1 for x in row[:20]]
            assert np.append(v.ids, -1)[page].tolist() == want + [-1] * (20 - len(want)), name


def test_previous_impressions_count_what_was_shown_in_earlier_quarters_of_a_day():
    logs = world().logs()
    rows = logs.impressions
    for card in sample().sample(60, random_state=0).itertuples():
        same = rows[(rows.user_id == card.user_id) & (rows.video_id == card.video_id)]
        earlier = (same.time < np.floor(card.time * 4) / 4).sum()
        upto = ((same.time < np.floor(card.time * 4 + 1) / 4).sum()) - 1
        assert earlier <= card.previous_impressions <= upto


def test_there_are_enough_features_and_about_half_of_them_are_numbers():
    kinds = [f.kind for f in RANKING_FEATURES]
    assert len(kinds) >= 20 and len({f.name for f in RANKING_FEATURES}) == len(kinds)
    assert 0.4 <= kinds.count("continuous") / len(kinds) <= 0.6
    assert {f.valence for f in RANKING_FEATURES} == {"univalent", "multivalent"}
    assert {f.side for f in RANKING_FEATURES} == {"impression", "query"}
    spaces = [f.space for f in RANKING_FEATURES if f.space]
    assert spaces.count("video") == 4 and spaces.count("language") == 2
    names = {*IMPRESSION_CODES, *QUERY_CODES, *BAGS, *IMPRESSION_NUMBERS, *QUERY_NUMBERS}
    assert names == {f.name for f in RANKING_FEATURES}
    assert not {"position", "large_thumbnail", "clicked"} & names


# --- The moment ---------------------------------------------------------------------------------


def frame(logs, cards, leak=None):
    """A row of features for each card, with counters of the log."""
    f = RankingFeatures(world().logs())
    f._count(logs)  # counters of that log; vocabularies stay, so that codes can be compared
    inputs = f.of_impressions(logs, cards)
    out = {n: inputs.column(n) for n in (*IMPRESSION_NUMBERS, *QUERY_NUMBERS, *QUERY_CODES)}
    for i in range(3):
        out[f"watched {i}"] = inputs.watched[inputs.page, i]
        out[f"searched {i}"] = inputs.searched[inputs.page, i]
    if leak == "counter":  # clicks of the whole log, not of the days before
        i = logs.impressions
        clicks = np.bincount(i["video_id"], weights=i["clicked"], minlength=len(logs.videos))
        out[leak] = clicks[cards["video_id"]]
    if leak == "this moment":  # what was watched up to and at the moment
        w = logs.watches
        at = [((w.user_id == c.user_id) & (w.time <= c.time)).sum() for c in cards.itertuples()]
        out[leak] = np.array(at, float)
    return pd.DataFrame(out, index=cards.index)


def know_the_future(cards, leak=None):
    """Features of cards that change when everything from the last one's moment on is deleted."""
    found = set()
    for cut in np.quantile(cards["time"], np.linspace(0.1, 0.9, 5), method="higher"):
        rows = cards[cards["time"] <= cut]
        whole, past = (
            frame(logs, rows, leak) for logs in (world().logs(), world().logs().before(cut))
        )
        found |= {name for name in whole if not np.allclose(whole[name], past[name], rtol=1e-5)}
    return found


def test_no_feature_knows_the_future_and_a_planted_leak_is_found():
    assert know_the_future(sample()) == set()
    assert know_the_future(sample(), "counter") == {"counter"}


def test_a_leak_at_the_very_moment_is_found():
    logs = world().logs()
    w = logs.watches[logs.watches["source"] == "home"]
    # The first card of a home page is watched at the moment of the page itself.
    rows = logs.impressions.merge(w[["user_id", "time"]].drop_duplicates(), on=["user_id", "time"])
    cards = rows[rows["request_id"].isin(rows["request_id"].unique()[::40])].head(400)
    assert len(cards) > 100
    assert know_the_future(cards) == set()
    assert know_the_future(cards, "this moment") == {"this moment"}


def test_labels_are_not_read():
    f, logs, cards = features(), world().logs(), sample()
    blind = cards.drop(columns=["clicked", "watched_seconds", "completed", "liked", "position"])
    one, other = f.of_impressions(logs, cards), f.of_impressions(logs, blind)
    for name, array in vars(one).items():
        assert np.array_equal(array, getattr(other, name)), name


# --- Log and live -------------------------------------------------------------------------------


def test_a_live_request_and_the_log_row_of_the_same_moment_give_the_same_inputs():
    f, logs = features(), world().logs()
    requests, fresh = live()
    for asked, (_, cards) in zip(requests, fresh.cards.groupby("surface", observed=True),
                                 strict=True):  # fmt: skip
        from_log = f.of_impressions(logs, cards)
        from_request = f.of_requests(asked)
        assert len(from_request) == asked.candidates.size
        shown = cards["video_id"].to_numpy().reshape(len(asked), -1)
        at = (shown[:, :, None] == asked.candidates[:, None, :]).argmax(axis=2)
        at += np.arange(len(asked))[:, None] * asked.candidates.shape[1]
        order = np.sort(at, axis=1)  # the cards in the order of the request
        place = np.argsort(at, axis=1) + np.arange(len(asked))[:, None] * shown.shape[1]
        some = from_request[order.ravel()]
        assert np.array_equal(some.page, from_log.page)
        for name in ("watched", "searched", "query_codes", "query_numbers"):
            assert np.array_equal(getattr(some, name), getattr(from_log, name)), name
        assert np.array_equal(some.codes, from_log.codes[place.ravel()])
        assert np.allclose(some.numbers, from_log.numbers[place.ravel()])


def test_a_watch_of_this_very_session_is_known_to_a_live_request():
    f = features()
    requests, _ = live()
    asked = requests[0]
    old = f.of_requests(asked)
    later = np.array(asked.recent_videos)
    new = asked.candidates[:, 3]  # everybody has just watched their fourth candidate
    unseen = ~(later == new[:, None]).any(axis=1)
    later[:, 1:] = later[:, :-1]
    later[:, 0] = new
    now = f.of_requests(replace(asked, recent_videos=later))
    c = asked.candidates.shape[1]
    card = np.arange(len(asked)) * c + 3
    assert (now.column("watched before")[card] == 1.0).all()
    assert (old.column("watched before")[card][unseen] == 0.0).all()
    assert (now.column("days since channel")[card][unseen] == 0.0).all()
    assert (now.column("days since watch")[card][unseen] == 0.0).all()
    more = now.column("watches of channel")[card] - old.column("watches of channel")[card]
    full = asked.recent_videos[:, -1] >= 0  # there the oldest watch drops out
    assert (more[unseen & ~full] == 1).all()
    encoded = f.vocabularies["video"].encode(new)
    assert np.array_equal(now.watched[unseen, 0], encoded[unseen])
    assert np.array_equal(now.column("last video")[card][unseen], encoded[unseen])


def test_pages_are_kept_together_when_rows_are_chosen():
    f = features()
    inputs = f.of_impressions(world().logs(), sample())
    some = inputs[np.array([3, 25, 26, 90])]
    assert some.pages == 3 and some.page.tolist() == [0, 1, 1, 2]
    for name in ("video", "account watches", "duration", "daypart"):
        assert np.array_equal(some.column(name), inputs.column(name)[[3, 25, 26, 90]])


# --- Bad input ----------------------------------------------------------------------------------


def test_unknown_accounts_videos_and_empty_tables():
    f, logs, cards = features(), world().logs(), sample()
    for column, what in (("user_id", "account"), ("video_id", "video")):
        for wrong in (-3, 10_000):
            bad = cards.copy()
            bad[column] = wrong
            with pytest.raises(LogError, match=f"no {what} {wrong}"):
                f.of_impressions(logs, bad)
    with pytest.raises(LogError, match="no impressions"):
        f.of_impressions(logs, cards.iloc[:0])
    with pytest.raises(LogError, match="clicked"):
        RankingFeatures(logs, cards[~cards["clicked"]])


def test_requests_without_candidates_and_unknown_features():
    f = features()
    asked = live()[0][0]
    with pytest.raises(LogError, match="nominated"):
        f.of_requests(replace(asked, candidates=None))
    inputs = f.of_requests(asked)
    with pytest.raises(ConfigError, match="'colour'"):
        inputs.column("colour")
    with pytest.raises(ConfigError, match="'watched videos'"):
        inputs.column("watched videos")
    with pytest.raises(ConfigError, match="'colour'"):
        f.cardinality("colour")


def test_the_most_clicked_videos_stay_in_a_small_vocabulary():
    logs = world().logs()
    f = RankingFeatures(logs, top_videos=20)
    clicks = logs.impressions.loc[logs.impressions["clicked"], "video_id"].value_counts()
    assert f.cardinality("video") == 20
    assert clicks[f.vocabularies["video"].ids].min() >= clicks.iloc[19]
    inputs = f.of_impressions(logs, sample())
    video = sample()["video_id"].to_numpy()
    unknown = ~np.isin(video, f.vocabularies["video"].ids)
    assert unknown.any() and (inputs.column("video")[unknown] == 20).all()


def test_without_a_scorer_there_is_no_nominating_score():
    assert "nominating score" not in features().names

    class Scorer:
        def pair_scores(self, logs, moments, page, video):
            return moments["time"][page] + video

    f = RankingFeatures(world().logs(), scorer=Scorer())
    assert "nominating score" in f.names
    cards = sample()
    got = f.of_impressions(world().logs(), cards).column("nominating score")
    assert np.allclose(got, cards["time"] + cards["video_id"])


# --- Sums -------------------------------------------------------------------------


def test_daily_sums_stop_at_midnight():
    sums = DailySums(np.array([0.2, 1.9, -0.5]), np.array([1, 1, 0]), size=3,
                     weight=np.array([2.0, 3.0, 7.0]))  # fmt: skip
    assert sums.before(np.array([0.9, 1.95, 2.0, 40.0]), np.array([1, 1, 1, 1])).tolist() == [
        0, 2, 5, 5,
    ]  # fmt: skip
    assert sums.before(np.array([0.9, 1.0]), np.array([0, 2])).tolist() == [0, 0]
    assert sums.before(np.array([1.0]), np.array([0])).tolist() == [7]
    with pytest.raises(LogError, match="key is 5"):
        DailySums(np.array([0.1]), np.array([5]), size=3)
