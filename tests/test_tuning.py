"""Fair contests: the search finds a known optimum, warns, keeps what is finished, names errors."""

import math

import joblib
import pytest

from course.errors import CacheError, ConfigError
from course.tuning import TuningWarning, load, tune

GRID = {"rate": (0.001, 0.01, 0.1, 1.0), "passes": (1, 2, 4, 8)}


class Toy:
    """A contestant whose best settings are known; counts its trainings."""

    def __init__(self, rate=0.1, passes=2, gain=0.0, stop_at=None):
        self.rate, self.passes, self.gain, self.calls = rate, passes, gain, 0
        self.stop_at = stop_at

    def __call__(self, settings, world):
        if self.calls == self.stop_at:
            self.stop_at = None
            raise KeyboardInterrupt
        self.calls += 1
        off = math.log10(settings["rate"] / self.rate) ** 2
        off += 0.1 * math.log2(settings["passes"] / self.passes) ** 2
        return {"captured": self.gain - off + 0.01 * world, "more": 2.0, "seconds": 3.0}


def test_each_contestant_gets_its_own_optimum():
    a, b = Toy(), Toy(rate=0.01, passes=4)
    tuned = tune({"a": a, "b": b}, GRID, (1, 2, 3))
    assert tuned.best == {"a": {"rate": 0.1, "passes": 2}, "b": {"rate": 0.01, "passes": 4}}
    assert tuned.warnings == {"a": [], "b": []}
    assert set(tuned.cells.columns) == {
        "who", "rate", "passes", "world", "captured", "more", "seconds", "error"
    }  # fmt: skip
    assert len(tuned.cells) == a.calls + b.calls
    # The neighbours of a best value were tried, in every world.
    near = tuned.cells[(tuned.cells["who"] == "a") & (tuned.cells["rate"] == 0.1)]
    assert set(near["passes"]) >= {1, 2, 4} and (near.groupby("passes").size() == 3).all()
    table = tuned.recipes(size={"a": 10, "b": 20})
    assert table.loc["b"].to_dict() == {
        "size": 20, "rate": 0.01, "passes": 4, "seconds": 3.0, "tuned on": "worlds 1, 2, 3",
        "warning": "",
    }  # fmt: skip


def test_names_are_a_choice_without_order_and_may_differ():
    def wide(settings, world):
        return {"8 x 12": 1.0, "4 x 24": 3.0, "1 x 96": 2.0}[settings["shape"]] + settings["rate"]

    def plain(settings, world):
        assert set(settings) == {"rate"}
        return -abs(settings["rate"] - 2)

    grid = {"rate": (1, 2, 3), "shape": {"wide": ("8 x 12", "1 x 96", "4 x 24")}}
    with pytest.warns(TuningWarning, match="wide: best rate 3 is at the edge"):
        tuned = tune({"wide": wide, "plain": plain}, grid, (1, 2))
    assert tuned.best == {"wide": {"rate": 3, "shape": "4 x 24"}, "plain": {"rate": 2}}


@pytest.mark.parametrize(("rate", "edge"), [(1e-4, 0.001), (5.0, 1.0)])
def test_a_best_value_at_the_edge_is_warned_of(rate, edge):
    with pytest.warns(TuningWarning, match=f"a: best rate {edge:g} is at the edge"):
        tuned = tune({"a": Toy(rate=rate)}, GRID, (1, 2))
    assert "edge" in tuned.recipes().loc["a", "warning"]


def test_a_contrast_that_more_training_moves_is_warned_of():
    def slow(settings, world):  # best for itself at 2 passes, and then falls far
        return {1: 0.0, 2: 1.0, 4: 0.5, 8: 0.2}[settings["passes"]] + 0.001 * world**2

    def steady(settings, world):
        return {1: 0.0, 2: 1.0, 4: 0.999, 8: 0.9}[settings["passes"]]

    grid = {"passes": (1, 2, 4, 8)}
    with pytest.warns(TuningWarning, match="more passes move the contrast with steady"):
        tune({"slow": slow, "steady": steady}, grid, compare=("slow", "steady"))
    settled = tune({"one": slow, "other": slow}, grid, compare=("one", "other"))
    assert settled.warnings["one"] == []


def test_what_falls_behind_in_the_first_world_is_given_up():
    all_worlds, first = Toy(), Toy()
    tune({"a": all_worlds}, GRID, (1, 2, 3))
    given_up = tune({"a": first}, GRID, (1, 2, 3), give_up=0.05)
    assert first.calls < all_worlds.calls and given_up.best["a"] == {"rate": 0.1, "passes": 2}


def test_an_interrupted_tuning_goes_on(tmp_path):
    file, toy = tmp_path / "t.json", Toy()
    whole = tune({"a": toy}, GRID, (1, 2))
    again = Toy(stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        tune({"a": again}, GRID, (1, 2), store=file)
    with pytest.raises(CacheError, match="no finished tuning"):
        load(file)
    resumed = tune({"a": again}, GRID, (1, 2), store=file)
    assert again.calls == toy.calls and resumed.best == whole.best
    tune({"a": again}, GRID, (1, 2), store=file)
    assert again.calls == toy.calls  # nothing is trained twice
    stored = load(file)
    assert stored.best == whole.best and stored.worlds == (1, 2)
    assert stored.recipes().equals(resumed.recipes())
    tune({"a": again}, GRID, (1, 2), store=file, about={"users": 9})  # other worlds: anew
    assert again.calls == 2 * toy.calls


def test_trainings_side_by_side_give_the_same():
    with joblib.parallel_config("threading", n_jobs=2):
        together = tune({"a": Toy()}, GRID, (1, 2))
    assert together.best == tune({"a": Toy()}, GRID, (1, 2)).best


@pytest.mark.parametrize("bad", ["raises", "nan", "inf"])
def test_a_contestant_that_fails_is_named_and_the_others_go_on(bad, tmp_path):
    def broken(settings, world):
        if bad == "raises":
            raise KeyError("width")
        return float(bad)

    with pytest.warns(TuningWarning, match="broken: no score at .*(KeyError: 'width'|nan|inf)"):
        tuned = tune({"broken": broken, "good": Toy()}, GRID, (1, 2), store=tmp_path / "t.json")
    assert tuned.best == {"good": {"rate": 0.1, "passes": 2}}
    assert tuned.cells.query("who == 'broken'")["error"].str.len().gt(0).all()
    repaired = tune({"broken": Toy(), "good": Toy()}, GRID, (1, 2), store=tmp_path / "t.json")
    assert set(repaired.best) == {"broken", "good"}  # what failed is tried again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {"rate": (0.1,)}}, r"rate of 'a' has the values \[0.1\]"),
        ({"grid": {"rate": (0.1, 0.01)}}, "rising"),
        ({"grid": {"rate": (0.1, 0.1)}}, "two or more different"),
        ({"grid": {"rate": {"b": (1, 2)}}}, "no contestant 'b'"),
        ({"start": {"width": 3}}, "no setting 'width'"),
        ({"start": {"rate": 0.5}}, "rate=0.5"),
        ({"compare": ("a", "z")}, "no contestant 'z'"),
        ({"compare": ("a", "a"), "more": "steps"}, "no setting 'steps'"),
        ({"worlds": (7,)}, "two different worlds"),
        ({"worlds": (7, 7)}, "two different worlds"),
        ({"contestants": {}}, "0 contestants"),
    ],
)
def test_bad_input_is_named_before_anything_is_trained(changes, message):
    toy = Toy()
    given = {"contestants": {"a": toy}, "grid": GRID, "worlds": (1, 2)} | changes
    with pytest.raises(ConfigError, match=message):
        tune(**given)
    assert toy.calls == 0


def test_a_damaged_file_is_named(tmp_path):
    file = tmp_path / "t.json"
    with pytest.raises(CacheError, match="no finished tuning in t.json"):
        load(file)
    file.write_text("{", encoding="utf-8")
    for read in (load, lambda f: tune({"a": Toy()}, GRID, (1, 2), store=f)):
        with pytest.raises(CacheError, match=r"t\.json"):
            read(file)


def test_another_start_finds_another_hill_and_the_best_of_all_wins(tmp_path):
    hills = {1: 0.0, 2: 1.0, 4: 0.5, 8: 2.0, 16: 1.5}
    store = tmp_path / "hills.json"

    def found(start):
        tuned = tune({"a": lambda s, world: hills[s["passes"]] + world}, {"passes": tuple(hills)},
                     (7, 11), start={"passes": start}, store=store)  # fmt: skip
        return tuned.best["a"]["passes"]

    assert [found(2), found(8), found(2)] == [2, 8, 8]
