"""The observed tables and their schema; the data card; splits in time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from worlds import mini, organic, tiny

from course.errors import LogError
from course.logs import SCHEMA, Logs, first_watches
from course.logs.card import BEGIN, END, refreshed
from course.logs.schema import OBSERVED, markdown
from course.logs.tables import check_table
from course.paths import data_dir


class TestSchema:
    @pytest.mark.parametrize("make", [tiny, mini, organic])
    def test_every_table_follows_it(self, make):
        for name, frame in make()._tables.items():
            check_table(name, frame)
        assert set(make()._tables) == set(SCHEMA)

    def test_ids_fit_together(self):
        logs = tiny().logs()
        assert (logs.users["user_id"] == np.arange(400)).all()
        assert (logs.videos["video_id"] == np.arange(400)).all()
        for frame in (logs.watches, logs.searches, logs.impressions):
            assert frame["user_id"].between(0, 399).all()
        for frame in (logs.watches, logs.impressions):
            assert frame["video_id"].between(0, 399).all()

    def test_no_truth_among_what_is_observed(self):
        truth = {f.name for name in SCHEMA if name not in OBSERVED for f in SCHEMA[name]}
        for name in OBSERVED:
            # the label "shared" of a card has a namesake among the truth about accounts
            assert not {field.name for field in SCHEMA[name]} & (truth - {"shared"}), name
            assert {field.seen_by for field in SCHEMA[name]} <= {"log", "label"}
        labels = {f.name for name in OBSERVED for f in SCHEMA[name] if f.seen_by == "label"}
        assert {"clicked", "watched_seconds", "survey"} <= labels
        assert not {"position", "device", "previous_impressions"} & labels

    @pytest.mark.parametrize("table", list(SCHEMA))
    def test_every_field_is_explained(self, table):
        for field in SCHEMA[table]:
            assert field.meaning and field.seen_by in ("log", "label", "truth")
            assert (field.dtype == "category") == (field.categories is not None)

    def test_logs_say_their_sizes(self):
        assert repr(mini().logs()).startswith("Logs(users 150, videos 200, watches ")


class TestCheckTable:
    def frame(self) -> pd.DataFrame:
        return mini().logs().watches.head(50).copy()

    def refused(self, frame, *words) -> None:
        with pytest.raises(LogError) as caught:
            check_table("watches", frame)
        for word in ("watches", *words):
            assert word in str(caught.value)

    def test_good(self):
        check_table("watches", self.frame())

    def test_wrong_dtype(self):
        frame = self.frame()
        frame["user_id"] = frame["user_id"].astype("int64")
        self.refused(frame, "user_id", "int64", "int32")

    def test_category_as_text(self):
        frame = self.frame()
        frame["device"] = frame["device"].astype(str)
        self.refused(frame, "device", "category")

    @pytest.mark.parametrize(
        "change",
        [
            lambda c: c.cat.add_categories(["fridge"]),
            lambda c: c.where(c != "tv", "phone").cat.remove_categories(["tv"]),
            lambda c: c.cat.reorder_categories(["tv", "desktop", "phone"]),
            lambda c: c.cat.rename_categories({"tv": "television"}),
        ],
    )
    def test_wrong_categories(self, change):
        frame = self.frame()
        frame["device"] = change(frame["device"])
        self.refused(frame, "device")

    def test_missing_and_extra_columns(self):
        self.refused(self.frame().drop(columns="survey"))
        self.refused(self.frame().assign(member=1), "member")
        frame = self.frame()
        self.refused(frame[frame.columns[::-1]])

    def test_missing_values(self):
        frame = self.frame()
        frame.loc[frame.index[3], "watched_seconds"] = np.nan
        self.refused(frame, "watched_seconds", "missing")
        frame = self.frame()
        frame.loc[frame.index[3], "device"] = np.nan
        self.refused(frame, "device", "missing")

    def test_unknown_table(self):
        with pytest.raises(LogError, match="no table 'clicks'"):
            check_table("clicks", self.frame())


class TestCard:
    def test_is_fresh(self):
        text = (data_dir() / "README.md").read_text(encoding="utf-8")
        assert markdown() in text, "run: python -m course.logs.card"
        assert refreshed(text) == text

    def test_a_change_of_the_schema_would_be_noticed(self, monkeypatch):
        text = (data_dir() / "README.md").read_text(encoding="utf-8")
        odd = dataclasses.replace(SCHEMA["users"][0], meaning="something else")
        monkeypatch.setitem(SCHEMA, "users", (odd, *SCHEMA["users"][1:]))
        assert refreshed(text) != text

    def test_every_field_has_one_row_of_five_cells(self):
        rows = [line for line in markdown().splitlines() if line.startswith("| ")]
        rows = [line for line in rows if not line.startswith("| field")]
        assert len(rows) == sum(len(fields) for fields in SCHEMA.values())
        for row in rows:
            assert row.replace(r"\|", "").count("|") == 6, row

    def test_writes_only_between_the_markers(self):
        text = refreshed(f"# Mine\n{BEGIN}\nold\n{END}\nafter\n")
        assert text.startswith("# Mine\n") and text.endswith("\nafter\n")
        assert "old" not in text and markdown() in text

    def test_says_the_true_sizes(self):
        from course.simulator.config import SIZES

        text = (data_dir() / "README.md").read_text(encoding="utf-8")
        for name, size in SIZES.items():
            want = f"| {name} | {size['users']:,} | {size['videos']:,} | {size['days']} |"
            assert want in text


class TestBefore:
    def test_later_rows_are_gone(self):
        logs = tiny().logs()
        past = logs.before(12.5)
        for name in ("watches", "searches", "impressions"):
            whole, cut = getattr(logs, name), getattr(past, name)
            assert 0 < len(cut) < len(whole)
            assert (cut["time"] < 12.5).all()
            assert len(cut) == (whole["time"] < 12.5).sum()
        assert (past.videos["uploaded"] < 12.5).all()
        assert len(past.users) == len(logs.users)
        # Whatever is mentioned exists: ids are row numbers in the shorter table too.
        assert past.watches["video_id"].max() < len(past.videos)
        assert past.impressions["video_id"].max() < len(past.videos)

    def test_the_edge_is_excluded(self):
        logs = tiny().logs()
        moment = logs.watches["time"].iloc[500]
        assert moment not in set(logs.before(moment).watches["time"])


def test_first_watches_against_brute_force():
    frame = tiny().logs().watches
    got = first_watches(frame.sample(frac=1, random_state=0))
    want = {}
    for row in frame.itertuples():
        pair = (row.user_id, row.video_id)
        want[pair] = min(row.time, want.get(pair, np.inf))
    assert len(got) == len(want) < len(frame)
    assert dict(zip(zip(got.user_id, got.video_id, strict=True), got.time, strict=True)) == want
    assert (np.diff(got["time"]) >= 0).all()


def test_logs_hold_what_the_platform_sees():
    assert [f.name for f in dataclasses.fields(Logs)] == [*OBSERVED, "_content", "_ids", "filled"]
