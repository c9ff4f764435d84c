"""The leak checks catch planted futures and planted truth, and let honest features pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from worlds import tiny

from course.errors import LeakError
from course.logs import check_future, check_truth
from course.logs.schema import LABEL_COLUMNS, TRUTH_COLUMNS


@pytest.fixture(scope="module")
def logs():
    return tiny().logs()


@pytest.fixture(scope="module")
def examples(logs):
    return logs.impressions[logs.impressions["time"] > 3].sample(2_000, random_state=0)


def watches_before(logs, examples) -> pd.Series:
    """Watches of the account strictly before each example, the honest way."""
    times = logs.watches.groupby("user_id")["time"].apply(np.sort)
    return pd.Series(
        [
            np.searchsorted(times.get(user, np.zeros(0)), time, side="left")
            for user, time in zip(examples["user_id"], examples["time"], strict=True)
        ],
        index=examples.index,
    )


def honest(logs, examples):
    age = examples["time"] - logs.videos["uploaded"].reindex(examples["video_id"]).to_numpy()
    return pd.DataFrame(
        {
            "watches": watches_before(logs, examples),
            "log_watches": np.log1p(watches_before(logs, examples)),
            "age": age,
            "age_band": logs.users["age_band"].reindex(examples["user_id"]).to_numpy(),
            "device": examples["device"],
            "position": examples["position"],
            "never": np.nan,
        },
        index=examples.index,
    )


def caught(features, logs, examples) -> str:
    with pytest.raises(LeakError) as error:
        check_future(features, logs, examples)
    return str(error.value)


class TestFuture:
    def test_honest_features_pass(self, logs, examples):
        check_future(honest, logs, examples)

    def test_all_watches_of_the_account(self, logs, examples):
        def features(logs, examples):
            total = logs.watches["user_id"].value_counts()
            return honest(logs, examples).assign(
                total=total.reindex(examples["user_id"]).fillna(0).to_numpy()
            )

        text = caught(features, logs, examples)
        assert "'total'" in text and "knows the future" in text and "time <" in text

    def test_the_row_itself_is_already_too_late(self, logs):
        """A count up to and including the moment, for examples that are the watches themselves."""

        def features(logs, examples):
            times = logs.watches.groupby("user_id")["time"].apply(np.sort)
            count = [
                np.searchsorted(times.get(u, np.zeros(0)), t, side="right")
                for u, t in zip(examples["user_id"], examples["time"], strict=True)
            ]
            return pd.DataFrame({"count": count}, index=examples.index)

        examples = logs.watches[logs.watches["time"] > 3].sample(300, random_state=1)
        assert "'count'" in caught(features, logs, examples)

    def test_a_future_in_few_rows_only(self, logs, examples):
        """One account in twenty leaks. Looking at a handful of examples would miss it."""

        def features(logs, examples):
            total = logs.watches["user_id"].value_counts()
            total = total.reindex(examples["user_id"]).fillna(0).to_numpy()
            few = (examples["user_id"] % 20 == 3).to_numpy()
            return pd.DataFrame(
                {"mixed": np.where(few, total, watches_before(logs, examples))},
                index=examples.index,
            )

        text = caught(features, logs, examples)
        assert "'mixed'" in text

    def test_a_mean_over_the_whole_log(self, logs, examples):
        def features(logs, examples):
            rate = logs.impressions.groupby("video_id")["clicked"].mean()
            return pd.DataFrame(
                {"ctr": rate.reindex(examples["video_id"]).to_numpy()}, index=examples.index
            )

        assert "'ctr'" in caught(features, logs, examples)

    def test_counting_among_the_examples(self, logs, examples):
        def features(logs, examples):
            count = examples.groupby("user_id")["time"].transform("count")
            return pd.DataFrame({"count": count}, index=examples.index)

        assert "'count'" in caught(features, logs, examples)

    def test_repeated_index(self, logs, examples):
        doubled = pd.concat([examples, examples])
        check_future(lambda logs, e: e[["position"]], logs, doubled)

    def test_rows_that_do_not_fit(self, logs, examples):
        for wrong in (
            lambda logs, e: e[["position"]].head(3),
            lambda logs, e: e[["position"]].reset_index(drop=True),
            lambda logs, e: e["position"].to_numpy(),
        ):
            with pytest.raises(LeakError, match="one row per example"):
                check_future(wrong, logs, examples)


class TestTruth:
    def test_honest_features_pass(self, logs, examples):
        truth = tiny().true_table("impressions").loc[examples.index]
        check_truth(honest(logs, examples))
        check_truth(honest(logs, examples), truth)

    @pytest.mark.parametrize("name", sorted(TRUTH_COLUMNS))
    def test_truth_by_name(self, name):
        with pytest.raises(LeakError, match="truth") as error:
            check_truth(pd.DataFrame({"age": [1.0, 2.0], name: [1.0, 2.0]}))
        assert repr(name) in str(error.value)

    @pytest.mark.parametrize("name", sorted(LABEL_COLUMNS))
    def test_label_by_name(self, name):
        with pytest.raises(LeakError, match="label"):
            check_truth(pd.DataFrame({name: [1.0, 2.0]}))

    @pytest.mark.parametrize(
        "disguise",
        [lambda x: x, lambda x: -x, np.log, lambda x: (1e4 * x**3).astype(np.float32)],
        ids=["copy", "negative", "logarithm", "cube"],
    )
    @pytest.mark.parametrize("name", ["p_click_if_seen", "expected_seconds_if_clicked"])
    def test_renamed_copies(self, logs, examples, name, disguise):
        truth = tiny().true_table("impressions").loc[examples.index]
        features = honest(logs, examples).assign(innocent=disguise(truth[name].astype(float)))
        check_truth(features)  # the name says nothing
        with pytest.raises(LeakError) as error:
            check_truth(features, truth)
        assert "'innocent'" in str(error.value) and repr(name) in str(error.value)

    def test_a_noisy_guess_is_no_copy(self, logs, examples):
        truth = tiny().true_table("impressions").loc[examples.index]
        noise = np.random.default_rng(0).normal(size=len(truth))
        guess = np.log(truth["p_click_if_seen"].astype(float)) + 0.5 * noise
        check_truth(pd.DataFrame({"guess": guess}), truth)

    def test_position_is_observed_though_examination_falls_with_it(self, logs):
        rows = logs.impressions["device"] == "desktop"
        truth = tiny().true_table("impressions")[rows]
        check_truth(logs.impressions[rows][["position"]], truth)
        with pytest.raises(LeakError, match="p_seen"):
            check_truth(pd.DataFrame({"seen": np.sqrt(truth["p_seen"])}), truth)
