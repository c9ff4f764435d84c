"""Stored worlds: whole or not at all; what is damaged or foreign is said and made anew."""

from __future__ import annotations

import json
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


def truncated(world: Path):
    file = world / "impressions.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def empty_file(world: Path):
    (world / "users.parquet").write_bytes(b"")


def missing_file(world: Path):
    (world / "searches.parquet").unlink()


def missing_memory(world: Path):
    (world / "memory.npz").unlink()


def no_manifest(world: Path):
    (world / "manifest.json").unlink()


def broken_manifest(world: Path):
    (world / "manifest.json").write_text('{"world": ', encoding="utf-8")


def binary_manifest(world: Path):
    (world / "manifest.json").write_bytes(b"\xff\xfe\x00\x81")


def list_manifest(world: Path):
    (world / "manifest.json").write_text("[1, 2]", encoding="utf-8")


def _rewrite(world: Path, change):
    manifest = json.loads((world / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (world / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def foreign_manifest(world: Path):
    _rewrite(world, lambda m: m.update(world="400x400-seed1-0123456789abcdef"))


def manifest_without_files(world: Path):
    _rewrite(world, lambda m: m.update(files={}))


def manifest_with_more(world: Path):
    (world / "more.parquet").write_bytes(b"x")
    _rewrite(
        world,
        lambda m: m["files"].update({"more.parquet": store._checksum(world / "more.parquet")}),
    )


def _replace(world: Path, name: str, content: bytes):
    """Another content under a checksum that fits."""
    (world / name).write_bytes(content)
    _rewrite(world, lambda m: m["files"].update({name: store._checksum(world / name)}))


def no_parquet_inside(world: Path):
    _replace(world, "videos.parquet", b"not a parquet file at all")


def no_memory_inside(world: Path):
    _replace(world, "memory.npz", b"PK\x03\x04 but not a zip file")


def empty_memory_inside(world: Path):
    _replace(world, "memory.npz", b"")


def wrong_schema_inside(world: Path):
    frame = pd.read_parquet(world / "users.parquet")
    frame["user_id"] = frame["user_id"].astype("int64")
    frame.to_parquet(world / "users.parquet", index=False)
    _replace(world, "users.parquet", (world / "users.parquet").read_bytes())


def a_file_in_its_place(world: Path):
    shutil.rmtree(world)
    world.write_text("something else", encoding="utf-8")


FAULTS = {
    damaged_byte: "watches.parquet is damaged",
    truncated: "impressions.parquet is damaged",
    empty_file: "users.parquet is damaged",
    missing_file: "searches.parquet is missing",
    missing_memory: "memory.npz is missing",
    no_manifest: "no readable manifest",
    broken_manifest: "no readable manifest",
    binary_manifest: "no readable manifest",
    list_manifest: "no readable manifest",
    foreign_manifest: "holds another world",
    manifest_without_files: "too many or too few",
    manifest_with_more: "too many or too few: more.parquet",
    no_parquet_inside: "cannot be read",
    no_memory_inside: "cannot be read",
    empty_memory_inside: "cannot be read",
    wrong_schema_inside: "int64",
    a_file_in_its_place: "no readable manifest",
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


def test_another_worlds_folder_renamed(tmp_path):
    other = simulate("village", seed=8, cache=tmp_path, **MINI)
    name = store.key(WorldConfig.of("village", **MINI), 7)
    place(tmp_path).rename(tmp_path / name)
    with pytest.warns(UserWarning, match="holds another world"):
        world = again(tmp_path)
    assert same(world, mini()) and not same(world, other)


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
    assert names == {f"{table}.parquet" for table in SCHEMA} | {"memory.npz", "manifest.json"}


def test_categories_survive_many_row_groups(tmp_path):
    frame = mini().logs().watches
    frame.to_parquet(tmp_path / "x.parquet", index=False, row_group_size=17)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), frame)
