"""Stored worlds: whole or not at all; what is damaged or foreign is said and made anew."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import MINI, mini, same_arrays, table_bytes

from course.errors import CacheError
from course.logs import store
from course.logs.schema import SCHEMA
from course.simulator.config import WorldConfig
from course.world import ab_test, simulate


def again(folder, **options):
    return simulate("village", seed=7, cache=folder, **MINI, **options)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A cache folder with one good world in it; copied by the tests that damage it."""
    folder = tmp_path_factory.mktemp("worlds")
    again(folder)
    return folder


@pytest.fixture
def folder(stored, tmp_path) -> Path:
    shutil.copytree(stored, tmp_path / "cache")
    return tmp_path / "cache"


def place(folder: Path) -> Path:
    (only,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return only


def same(one, two) -> bool:
    return table_bytes(one) == table_bytes(two) and not same_arrays(
        one.engine.memory, two.engine.memory
    )


def test_round_trip(stored, monkeypatch):
    mini()
    monkeypatch.setattr("course.simulator.engine.Engine.run", None)  # must not be simulated again
    world = again(stored)
    assert same(world, mini())
    assert world.engine.requests_made == mini().engine.requests_made
    for name, frame in mini()._tables.items():
        pd.testing.assert_frame_equal(world._tables[name], frame)


def test_a_stored_world_lives_on_like_a_fresh_one(stored):
    results = []
    for world in (again(stored), mini()):
        result = ab_test(world, {"past": world.past_ranking(), "oracle": world.oracle()}, n=200)
        results.append(result.table)
    pd.testing.assert_frame_equal(*results)


def damaged_byte(world: Path):
    file = world / "watches.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def damaged_memory(world: Path):
    file = world / "memory.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def truncated(world: Path):
    file = world / "impressions.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def empty_file(world: Path):
    (world / "users.parquet").write_bytes(b"")


def missing_file(world: Path):
    (world / "searches.parquet").unlink()


def missing_memory(world: Path):
    (world / "memory.npz").unlink()


def no_archive(world: Path):
    (world / "memory.npz").write_bytes(b"PK\x03\x04 but not a zip file")


def wrong_schema(world: Path):
    frame = pd.read_parquet(world / "users.parquet")
    frame["user_id"] = frame["user_id"].astype("int64")
    frame.to_parquet(world / "users.parquet", index=False)


def a_file_in_its_place(world: Path):
    shutil.rmtree(world)
    world.write_text("something else", encoding="utf-8")


FAULTS = {
    damaged_byte: "CRC",
    damaged_memory: "CRC",
    truncated: "Parquet",
    empty_file: "size is 0 bytes",
    missing_file: "searches.parquet",
    missing_memory: "memory.npz",
    no_archive: "zip file",
    wrong_schema: "users.user_id is int64",
    a_file_in_its_place: "cannot be used",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_faults_are_said_and_made_anew(fault, folder):
    fault(place(folder))
    with pytest.warns(UserWarning, match=FAULTS[fault]) as caught:
        world = again(folder)
    assert "made anew" in str(caught[0].message)
    assert same(world, mini())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(again(folder), mini())  # and it is good now


def test_no_flipped_bit_goes_unseen(stored):
    """What a damaged file gives is what it gave before, or an error."""
    frame, rng = mini()._tables["watches"], np.random.default_rng(0)
    path = place(stored) / "watches.parquet"
    good = path.read_bytes()
    for _ in range(200):
        content = bytearray(good)
        content[rng.integers(len(good))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(content))
        try:
            found = store.load(stored, place(stored).name)[0]["watches"]
        except CacheError:
            continue
        pd.testing.assert_frame_equal(found, frame)
    path.write_bytes(good)


class TestUnwritable:
    """As root, file modes do not bind; below a plain file nobody can write."""

    def test_below_a_file(self, tmp_path):
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(CacheError) as caught:
            again(tmp_path / "file" / "cache")
        for word in (str(tmp_path), "cannot be written", "COURSE_CACHE", "cache=False"):
            assert word in str(caught.value)

    def test_the_cache_variable_points_below_a_file(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("", encoding="utf-8")
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
        with pytest.raises(CacheError, match="COURSE_CACHE"):
            again(True)

    def test_full_disk(self, tmp_path, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez", full)
        with pytest.raises(CacheError, match="No space left on device"):
            again(tmp_path)
        assert list(tmp_path.iterdir()) == []  # and no half-written rest

    @pytest.mark.parametrize("moment", ["to_parquet", "savez", "replace"])
    def test_interrupted_write_leaves_nothing_that_looks_whole(self, tmp_path, monkeypatch, moment):
        class Killed(BaseException):
            pass

        def killed(*args, **kwargs):
            raise Killed

        with monkeypatch.context() as patch:
            owner = {"to_parquet": pd.DataFrame, "savez": np, "replace": store.os}[moment]
            patch.setattr(owner, moment, killed)
            patch.setattr(store.shutil, "rmtree", lambda *a, **k: None)  # no time to tidy up
            with pytest.raises(Killed):
                again(tmp_path)
        name = store.key(WorldConfig.of("village", **MINI), 7)
        assert len(list(tmp_path.iterdir())) == 1 and not (tmp_path / name).exists()
        assert store.load(tmp_path, name) is None
        assert same(again(tmp_path), mini())


class TestKey:
    CONFIG = WorldConfig.of("village")

    def test_configuration_and_seed(self):
        keys = {
            store.key(self.CONFIG, 7),
            store.key(self.CONFIG, 8),
            store.key(WorldConfig.of("village", clickbait=0.5), 7),
            store.key(WorldConfig.of("village", bias_truth="additive"), 7),
        }
        assert len(keys) == 4
        assert store.key(WorldConfig.of("village", clickbait=1), 7) == store.key(self.CONFIG, 7)
        assert store.key(self.CONFIG, 7).startswith("400x400-seed7-")

    def test_changed_code(self, tmp_path, monkeypatch):
        folder = Path(store.__file__).resolve().parent
        copy = tmp_path / "course"
        shutil.copytree(folder.parent / "simulator", copy / "simulator")
        shutil.copytree(folder, copy / "logs")
        shutil.copy(folder.parent / "world.py", copy / "world.py")
        monkeypatch.setattr(store, "__file__", str(copy / "logs" / "store.py"))
        version = store.code_version.__wrapped__
        original = version()
        laws = copy / "simulator" / "laws.py"
        text = laws.read_text(encoding="utf-8")
        laws.write_bytes(text.replace("\n", "\r\n").encode())  # another checkout, the same code
        assert version() == original
        for file in (laws, copy / "logs" / "tables.py", copy / "logs" / "schema.py"):
            old = file.read_text(encoding="utf-8")
            file.write_text(old + "\n# changed\n", encoding="utf-8")
            assert version() != original
            file.write_text(old, encoding="utf-8")
        (copy / "simulator" / "more.py").write_text("", encoding="utf-8")
        assert version() != original

    def test_version_of_the_code_is_in_the_key(self, monkeypatch):
        before = store.key(self.CONFIG, 7)
        monkeypatch.setattr(store, "code_version", lambda: "0" * 16)
        assert store.key(self.CONFIG, 7) != before


def test_a_world_without_a_feed_is_stored_apart(folder):
    quiet = again(folder, recommend=False)
    assert len(quiet.logs().impressions) == 0
    assert len(list(folder.iterdir())) == 2
    assert same(again(folder), mini())


def test_stored_files(stored):
    names = {path.name for path in place(stored).iterdir()}
    assert names == {f"{table}.parquet" for table in SCHEMA} | {"memory.npz"}


def test_categories_survive_many_row_groups(tmp_path):
    frame = mini().logs().watches
    frame.to_parquet(tmp_path / "x.parquet", index=False, row_group_size=17)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), frame)
