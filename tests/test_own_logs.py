"""Tables from outside become logs, and the models of the course learn from them."""

import re
import warnings

import numpy as np
import own_logs
import pandas as pd
import pytest

from course import __main__ as cli
from course.errors import LogError
from course.features import RankingFeatures
from course.lessons import matrix_factorization as mf
from course.logs import Logs, outside
from course.logs.schema import SCHEMA
from course.metrics import resampled, weight_report
from course.tasks.next_watch import NextWatch


@pytest.fixture(scope="module")
def theirs():
    """Tables of a platform, and the clicks that were to be expected."""
    return own_logs.tables()


@pytest.fixture
def tables(theirs):
    """Copies of the tables, to be spoilt."""
    return {name: table.copy() for name, table in theirs[0].items()}


def test_every_column_is_there_in_its_type_and_ids_lead_back(theirs):
    given = theirs[0]
    logs = Logs.from_tables(**given)
    for name in given:
        made = getattr(logs, name)
        assert list(made) == [field.name for field in SCHEMA[name]] and len(made) == len(
            given[name]
        )
        assert all(field.categories or str(made[field.name].dtype) == field.dtype
                   for field in SCHEMA[name])  # fmt: skip
        assert not made.isna().any().any()
    old = given["impressions"].set_index(["request_id", "position"])
    card = logs.impressions.iloc[4_321]
    same = old[(old["user_id"] == logs.ids["user_id"][card["user_id"]])
               & (old["video_id"] == logs.ids["video_id"][card["video_id"]])]  # fmt: skip
    first = given["impressions"]["time"].min().tz_convert("UTC").normalize()
    since = (same["time"] - first) / pd.Timedelta(days=1)
    at = np.abs(since - card["time"]).argmin()
    assert since.iloc[at] == pytest.approx(card["time"])
    assert same["clicked"].iloc[at] == card["clicked"]
    assert (logs.impressions.groupby("request_id")["position"].agg(list).map(tuple)
            == tuple(range(1, 9))).all()  # fmt: skip
    assert "users.age_band" in logs.filled and "impressions.position" not in logs.filled
    assert logs.before(10.0).ids is logs.ids


def test_categories_are_the_tables_own_and_agree_between_tables(tables):
    tables["watches"] = tables["watches"][tables["watches"]["device"] == "phone"]
    logs = Logs.from_tables(**tables)
    assert len(logs.videos["topic"].cat.categories) == 40
    assert list(logs.users["gender"].cat.categories) == ["f", "m", "unknown"]
    for name in ("watches", "impressions"):
        assert list(getattr(logs, name)["device"].cat.categories) == ["fridge", "phone"]
    features = RankingFeatures(logs)
    assert features.cardinality("topic") == 40 and features.cardinality("device") == 2
    assert "searched tokens" not in features.names
    inputs = features.of_impressions(logs, logs.impressions[:80])
    assert inputs.codes[:, 2].max() < 40


@pytest.mark.parametrize("dates", [True, False])
def test_the_least_that_is_needed(theirs, dates):
    """Ids from 1, no users, no videos, no searches, no impressions, no upload times."""
    w = theirs[0]["watches"][["user_id", "video_id", "time"]].copy()
    w["user_id"] = w["user_id"].str[4:].astype(int) + 1
    w["video_id"] = w["video_id"].str[2:].astype(int)
    if not dates:
        w["time"] = (w["time"] - w["time"].min()) / pd.Timedelta(days=1)
    logs = Logs.from_tables(watches=w)
    assert logs.users["user_id"].max() == len(logs.users) - 1 == w["user_id"].nunique() - 1
    assert (logs.ids["user_id"] == np.sort(w["user_id"].unique())).all()
    assert len(logs.impressions) == len(logs.searches) == 0
    game = NextWatch(logs, days=4)
    assert game.videos == w["video_id"].nunique()  # a missing upload time hides nothing
    x, y = mf.als(mf.who_watched_what(game.train), factors=16, iterations=5)
    chance = game.offline(lambda m: np.random.default_rng(0).random((len(m), game.videos)))
    assert game.offline(lambda m: x[m.user] @ y.T)["mrr"] > 2 * chance["mrr"]
    with pytest.raises(LogError, match="No impression was clicked"):
        RankingFeatures(logs)


def test_clicked_impressions_are_watches_where_there_are_no_others(tables):
    logs = Logs.from_tables(
        impressions=tables["impressions"].drop(columns=["request_id", "position"])
    )
    assert len(logs.watches) == tables["impressions"]["clicked"].sum()
    assert logs.impressions["position"].tolist()[:16] == 2 * list(range(1, 9))
    again = logs.impressions.sort_values("time", kind="stable")
    counted = again.groupby(["user_id", "video_id"]).cumcount()
    assert (again["previous_impressions"] == counted).all() and counted.max() > 3


def test_uploads_order_the_videos_and_searches_are_numbered(tables):
    n = len(tables["videos"])
    start = pd.Timestamp("2024-02-20", tz="UTC")
    tables["videos"]["uploaded"] = start - pd.to_timedelta(np.arange(n), unit="h")
    tables["searches"] = pd.DataFrame({
        "user_id": ["acc-00001", "acc-00002"], "time": tables["watches"]["time"].iloc[:2].to_list(),
        "token_1": ["walnut", "boards"], "token_2": ["boards", None]})  # fmt: skip
    logs = Logs.from_tables(**tables)
    assert logs.videos["uploaded"].is_monotonic_increasing and logs.videos["uploaded"].max() < 0
    assert logs.ids["video_id"][0] == f"tt{n:07d}"
    words = logs.ids["token"][logs.searches["token_1"]].tolist()
    assert sorted(words) == ["boards", "walnut"] and (logs.searches["token_3"] == -1).all()
    assert RankingFeatures(logs).cardinality("token") == 2


def spoil(name, **columns):
    return lambda tables: tables.update({name: tables[name].assign(**columns)})


ERRORS = {
    "no column user_id": lambda t: t.update(watches=t["watches"].drop(columns="user_id")),
    "there is no event": lambda t: [t.pop("watches"), t.pop("impressions")],
    "there is no such table": lambda t: t.update(clicks=t["watches"]),
    "Give a pandas DataFrame": lambda t: t.update(watches=[1, 2]),
    "rows have no time": spoil("watches", time=pd.NaT),
    "time goes from": spoil("watches", time=lambda w: 1.7e9 + np.arange(len(w))),
    "to_datetime": spoil("watches", time="2024-03-01"),
    "the same kind in all tables": spoil("watches", time=1.0),
    "is text here and a number": spoil("watches", video_id=lambda w: np.arange(len(w))),
    "that videos does not know, such as 'tt0000001'":
        lambda t: t.update(videos=t["videos"].iloc[1:]),
    "does not know, such as 'nobody'": spoil("watches", user_id="nobody"),
    "ids stand in two rows": lambda t: t.update(users=pd.concat([t["users"], t["users"][:3]])),
    "other values than true and false": spoil("impressions", clicked=2),
    "position is not everywhere": spoil("impressions", position=0),
    "watched_seconds is not everywhere": spoil("watches", watched_seconds=-1.0),
}  # fmt: skip


@pytest.mark.parametrize("words", ERRORS)
def test_what_cannot_be_used_is_refused_with_a_way_out(words, tables):
    ERRORS[words](tables)
    found = [fault for fault in outside.check(tables) if fault.error]
    assert words in " ".join(map(str, found))
    if "no such table" not in words:
        with pytest.raises(LogError, match="To fix it"):
            Logs.from_tables(**tables)


REMARKS = {
    "copies of others": lambda t: t.update(watches=pd.concat([t["watches"], t["watches"][:3]])),
    "3 clicks without a watch": lambda t: t.update(
        watches=t["watches"][~t["watches"]["video_id"].isin(["tt0000001"])],
        impressions=t["impressions"].assign(clicked=lambda i: np.where(
            i["video_id"] == "tt0000001", (i["video_id"] == "tt0000001").cumsum() <= 3,
            i["clicked"]))),
    "earlier than the upload": spoil("videos", uploaded=pd.Timestamp("2024-03-02", tz="UTC")),
    "no time zone": lambda t: [t.update({n: t[n].assign(time=t[n]["time"].dt.tz_localize(None))})
                               for n in ("watches", "impressions")],
    "much longer than their video": spoil("videos", duration_seconds=10.0),
    "total_views": lambda t: None,
}  # fmt: skip


@pytest.mark.parametrize("words", REMARKS)
def test_what_is_remarkable_is_said_and_used(words, tables):
    REMARKS[words](tables)
    found = outside.check(tables)
    assert not any(fault.error for fault in found), found
    assert words in " ".join(map(str, found))
    assert len(Logs.from_tables(**tables).watches) == len(tables["watches"])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_check_logs(tables, kind, tmp_path, capsys):
    for name, table in tables.items():
        path = tmp_path / f"{name}.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert cli.main(["check-logs", str(tmp_path)]) == 0
    assert "They can be used: Logs(users 400, videos 300" in capsys.readouterr().out
    for path in tmp_path.glob("videos.*"):
        path.write_text("video_id\n1\n1\n", encoding="utf-8")
    (tmp_path / "videos.parquet").unlink(missing_ok=True)
    (tmp_path / "videos.csv").write_text("video_id\n1\n1\n", encoding="utf-8")
    assert cli.main(["check-logs", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "ERROR  videos: 1 ids stand in two rows" in said and said.endswith("1 errors\n")
    (tmp_path / "videos.csv").write_text("", encoding="utf-8")
    assert cli.main(["check-logs", str(tmp_path)]) == 2
    assert cli.main(["check-logs", str(tmp_path / "nothing")]) == 2


@pytest.mark.slow
def test_the_page_runs_as_it_is_written(theirs, repository, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine").mkdir()
    for name, table in theirs[0].items():
        table.to_csv(tmp_path / "mine" / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    page = (repository / "notebooks" / "OWN_LOGS.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5 and max(block.count("\n") for block in blocks) <= 34
    names = {}
    for block in blocks:
        exec(compile(block, "OWN_LOGS.md", "exec"), names)
    assert min(found["mrr"] for found in names["found"].values()) > 0.05  # by chance .016
    looks = np.log(own_logs.LOOKED_AT / own_logs.LOOKED_AT[0])
    curve = names["tower"].curve()[0, :8]
    assert np.corrcoef(curve, looks)[0, 1] > 0.95 and curve[-1] < 0.5 * looks[-1]
    assert (names["error"][1:8] > 0).all()
    assert np.mean(names["losses"][-10:]) < 0.7 * np.mean(names["losses"][:10])


# --- how far an estimate can be trusted ---------------------------------------------------------


def test_good_weights_are_silent_and_counted():
    weight = np.array([1.0, 1.0, 1.0, 1.0] * 25)
    assert weight_report(weight, propensity=np.full(100, 0.5)) == {
        "effective rows": 100.0, "mean weight": 1.0, "share cut": 0.0}  # fmt: skip
    # By hand: (1 + 3)^2 / (1 + 9) = 1.6 rows of 2, 400 times.
    assert weight_report(np.tile([0.5, 1.5], 400))["effective rows"] == pytest.approx(640)


@pytest.mark.parametrize(("weight", "how", "words"), [
    (np.r_[np.zeros(500), 1.0], {}, "1 effective rows of 501"),
    (np.full(500, 0.5), {}, "the mean weight is 0.50"),
    (np.r_[np.ones(990), np.full(10, 9.0)], {"most": 5.0}, "1.0% of the weights are cut at 5"),
    (np.ones(100), {"propensity": np.full(100, 1.2)}, "no chances"),
])  # fmt: skip
def test_weights_that_cannot_be_trusted_are_named(weight, how, words):
    with pytest.warns(UserWarning, match=words):
        weight_report(weight, **how)


def test_bad_weights_are_refused():
    for bad in (np.array([np.nan]), np.array([-1.0]), np.ones((2, 2)), np.ones(0)):
        with pytest.raises(LogError):
            weight_report(bad)


def test_the_error_of_a_mean_by_accounts():
    """By theory the error is that of a mean of as many independent things as there are accounts."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(400), 10)
    value = rng.normal(0, 1, 400)[user]  # rows of one account are all alike
    mean, error = resampled(lambda rows: value[rows].mean(), user, times=200)
    assert error == pytest.approx(1 / 400**0.5, rel=0.25)
    assert mean == pytest.approx(value.mean(), abs=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = resampled(lambda rows: np.ones(3), user, times=2)[1]
    assert alone.tolist() == [0.0, 0.0, 0.0]
