"""Work over a cluster: equal numbers, and nothing lost or made twice when a worker is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from returned import HOSTILE, notebook, place, right_and_wrong

from course import cluster
from course.errors import ConfigError
from course.workshop import variants

TRIAL = '''
import os, time
from pathlib import Path
import numpy as np
from course.ledger import Trial

CLAIMS = """
X-1: A title
trial: made
* words | `x` | above 0
"""

def made(seed):
    def tell(name):
        with (Path(os.environ["COURSE_TOLD"]) / name).open("a") as file:
            file.write(f"{seed} {os.getpid()}\\\\n")

    tell("begun")
    time.sleep(0.4)
    tell("ended")
    yield {"x": np.random.default_rng(seed).normal(), "y": float(np.exp(seed / 7))}

TRIALS = (Trial("made", made, seeds=(1, 2, 3)),)
'''.replace("\\\\", "\\")
SEEDS = [str(seed) for seed in range(101, 115)]
EXTRA = {name: importlib.util.find_spec(module) for name, module in cluster.CLUSTERS.items()}


def needs(backend):
    """Skip where an extra is not installed."""
    if not EXTRA[backend]:
        pytest.skip(f'{backend} is not installed: pip install -e ".[{backend}]"')


# --- what is wrong is said within seconds --------------------------------------------------------


def refused(backend, address=None):
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        next(cluster.spread(abs, [(-1,)], backend=backend, address=address))
    assert time.monotonic() - start < 45
    return str(caught.value)


@pytest.mark.parametrize("backend", cluster.CLUSTERS)
def test_an_extra_that_is_not_installed(backend, monkeypatch):
    monkeypatch.setitem(sys.modules, cluster.CLUSTERS[backend], None)
    said = refused(backend, "127.0.0.1:1")
    assert f"{backend} needs the package" in said and f'pip install -e ".[{backend}]"' in said


@pytest.mark.parametrize("backend", cluster.CLUSTERS)
def test_addresses_that_cannot_be_used(backend):
    needs(backend)
    for address in ("nowhere", "http://127.0.0.1:80", "127.0.0.1:1:"):
        said = refused(backend, address)
        assert f"{address!r} cannot be read. Allowed: " in said and "HOST:PORT" in said
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        said = refused(backend, f"127.0.0.1:{taken.getsockname()[1]}")
    assert "nobody answers at 127.0.0.1" in said and "start the cluster" in said
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        said = refused(backend, f"127.0.0.1:{mute.getsockname()[1]}")
    assert f"is no {backend} that can be used" in said and "(no answer)" in said


def test_what_does_not_fit_together():
    for backend in (None, "threading"):
        assert "allowed: an address of dask or ray" in refused(backend, "127.0.0.1:1").lower()
    assert "given by --address" in refused("dask,scheduler_host=127.0.0.1:1")
    needs("dask")
    assert "dask needs an address" in refused("dask")


def test_a_cluster_without_workers_and_one_with_threads(checkout):
    needs("dask")
    with dask_cluster(checkout, workers=0) as address:
        assert "has no workers" in refused("dask", address)
    with dask_cluster(checkout, workers=1, threads=2) as address:
        said = refused("dask", address)
    assert "one thread each" in said and "--nthreads 1" in said


def test_without_a_cluster_the_same_door_leads_to_the_cores():
    assert sorted(cluster.spread(divmod, [(7, 2), (9, 4)], jobs=1)) == [
        ((7, 2), (3, 1)),
        ((9, 4), (2, 1)),
    ]
    assert list(cluster.spread(abs, [], backend="dask", address="127.0.0.1:1")) == []
    worlds = cluster.many_worlds(repr, [1, 2], "village", jobs=1, days=2, cache=False)
    assert [seed for seed, text in worlds if f"2 days, seed {seed}" in text] == [1, 2]


# --- two workers, one of which is killed ---------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the course with a trial of a fraction of a second."""
    root, here = tmp_path_factory.mktemp("checkout"), Path(__file__).resolve().parent.parent
    for part in ("course", "notebooks/ledger", "tests/graded"):
        shutil.copytree(here / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(here / "pyproject.toml", root)
    (root / "notebooks/ledger/chapter_98.py").write_text(TRIAL, encoding="utf-8")
    (root / "told").mkdir()
    return root


def surroundings(root):
    return os.environ | {
        "PYTHONPATH": str(root), "COURSE_TOLD": str(root / "told"), "OMP_NUM_THREADS": "1",
        "COURSE_CACHE": str(root / "cache"), "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip


class Started:
    """Processes that end with the block."""

    def __init__(self, root):
        self.root, self.all = root, []

    def __call__(self, module, *words, log=os.devnull):
        with open(log, "w") as said:
            self.all.append(
                subprocess.Popen(
                    [sys.executable, "-u", "-m", module, *words], cwd=self.root,
                    env=surroundings(self.root), stdout=said, stderr=said, start_new_session=True,
                )
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.all):
            process.terminate()
        for process in self.all:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has left behind


def until(ready, seconds=90):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


class dask_cluster(Started):  # noqa: N801
    """A scheduler and its workers; the block gets the address."""

    def __init__(self, root, workers=2, threads=1):
        super().__init__(root)
        self.workers, self.threads = workers, threads

    def __enter__(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "address.json"
            place = ["--scheduler-file", str(file), "--no-dashboard"]
            self("distributed.cli.dask_scheduler", *place, "--host", "127.0.0.1", "--port", "0")
            until(lambda: file.exists() and file.read_text().endswith("}"))
            address = json.loads(file.read_text())["address"]
        for _ in range(self.workers):
            self("distributed.cli.dask_worker", address, "--nthreads", str(self.threads),
                 "--no-nanny", "--no-dashboard")  # fmt: skip
        wait = (
            "import sys, distributed as d; d.Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]))"
        )
        words = [sys.executable, "-c", wait, address, str(self.workers)]
        if self.workers:
            subprocess.run(words, check=True, timeout=90, capture_output=True)
        return address


class ray_cluster(Started):  # noqa: N801
    """A head that runs two workers; the block gets the address."""

    def __enter__(self):
        for _ in range(3):  # on a busy machine it may find itself too slow, and end
            ports = []
            for _ in range(3):
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    ports.append(str(free.getsockname()[1]))
            self.folder = tempfile.mkdtemp(prefix="ray")  # a short path, as sockets need
            log = Path(self.folder) / "said"
            self("ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "2", "--port",
                 ports[0], "--ray-client-server-port", ports[1],
                 "--dashboard-agent-listen-port", ports[2], "--include-dashboard=false",
                 "--disable-usage-stats", "--temp-dir", self.folder, "--object-store-memory",
                 "100000000", log=log)  # fmt: skip
            head = self.all[-1]
            gone = head.poll
            until(lambda: "runtime started" in log.read_text() or gone() is not None, 150)  # noqa: B023
            if head.poll() is None:
                return f"127.0.0.1:{ports[0]}"
            self.__exit__()
        pytest.skip("ray does not start on this machine")

    def __exit__(self, *what):
        super().__exit__(*what)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module", params=["dask", "ray"])
def over(request, checkout):
    """The options that name a running cluster."""
    needs(request.param)
    with {"dask": dask_cluster, "ray": ray_cluster}[request.param](checkout) as address:
        yield ["--backend", request.param, "--address", address]


def course(root, *words):
    """A command of that copy of the course."""
    return subprocess.Popen(
        [sys.executable, "-m", "course", *map(str, words)], cwd=root, env=surroundings(root),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(process):
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def kept(root):
    """Numbers of the finished seeds, to the last digit."""
    found = sorted((root / "cache" / "reproduce").glob("*.json"))
    return {path.name: json.loads(path.read_text())[0] for path in found}


def lines(root, name):
    file = root / "told" / name
    return [tuple(map(int, line.split())) for line in file.read_text().splitlines()]


@pytest.fixture
def fresh(checkout):
    shutil.rmtree(checkout / "cache", ignore_errors=True)
    shutil.rmtree(checkout / "told")
    (checkout / "told").mkdir()
    return checkout


@pytest.fixture(scope="module")
def alone(checkout):
    """What one process gives."""
    words = ["reproduce", "made", "first_pieces", "--no-store", "--jobs", 1, "--seeds", *SEEDS[:2]]
    assert ended(course(checkout, *words))[0] == 0
    words = ["reproduce", "made", "--no-store", "--jobs", 1, "--seeds", *SEEDS]
    assert ended(course(checkout, *words))[0] == 0
    return kept(checkout)


def test_a_real_trial_gives_the_same(over, alone, fresh):
    words = ["reproduce", "made", "first_pieces", "--no-store", *over, "--seeds", *SEEDS[:2]]
    code, said = ended(course(fresh, *words))
    assert code == 0 and "X-1" in said, said
    found = kept(fresh)
    assert len(found) == 4 and found == {name: alone[name] for name in found}


def test_graded_answers_run_in_processes_of_their_own_on_the_workers(over, checkout, tmp_path):
    two = variants.load([2])
    right, ends = right_and_wrong(two, "right"), HOSTILE["ends the process"][0]
    answers = {"kim": right, "none": {}, "lee": {two[1].id: ends.replace("NAME", two[1].function)}}
    for student, given in answers.items():
        place(tmp_path / "class", student, json.dumps(notebook(two, given)))
    tables = []
    for name, options in (("cluster", over), ("alone", [])):
        table = tmp_path / f"{name}.csv"
        code, said = ended(course(checkout, "grade", tmp_path / "class", "--csv", table, *options))
        assert code == 0 and "kim: 2 correct" in said and "Refused to answers" in said, said
        rows = [line.split(",") for line in table.read_text("utf-8-sig").splitlines()]
        tables.append([[*row[:6], row[-1]] for row in rows])  # without the seconds
    assert tables[0] == tables[1] and len(tables[0]) == 7


def test_workers_of_another_state_are_refused(over, checkout, tmp_path):
    with pytest.raises(ConfigError, match="runs another state of the course: files .*, not old"):
        cluster._there({"files": "old"}, abs, (-1,))
    if "ray" in over:
        pytest.skip("on one machine, Ray's workers follow the caller to its checkout")
    shutil.copytree(checkout, tmp_path / "newer")
    with (tmp_path / "newer/notebooks/ledger/chapter_98.py").open("a") as file:
        file.write("# newer\n")
    words = ["reproduce", "made", "--no-store", "--fresh", *over, "--seeds", *SEEDS]
    code, said = ended(course(tmp_path / "newer", *words))
    assert code == 2 and "runs another state of the course: files" in said, said


def test_a_killed_worker_loses_nothing_and_nothing_is_made_twice(over, alone, fresh):
    run = course(fresh, "reproduce", "made", "--no-store", *over, "--seeds", *SEEDS)
    until(lambda: len(kept(fresh)) >= 4)
    until(lambda: set(lines(fresh, "begun")) - set(lines(fresh, "ended")))
    before = {int(name.split("-")[-1].removesuffix(".json")) for name in kept(fresh)}
    killed = sorted(set(lines(fresh, "begun")) - set(lines(fresh, "ended")))[-1]
    os.kill(killed[1], signal.SIGKILL)
    code, said = ended(run)
    assert code == 0, said
    found = kept(fresh)
    assert len(found) == len(SEEDS) and found == {name: alone[name] for name in found}
    begun = [seed for seed, _ in lines(fresh, "begun")]
    again = {seed for seed in begun if begun.count(seed) > 1}
    print(f"before the kill {len(before)} of {len(SEEDS)}; killed in {killed}; again {again}")
    assert killed[0] in again and len({pid for _, pid in lines(fresh, "begun")}) >= 2
    assert not again & before and len(again) <= 2 and len(begun) <= len(SEEDS) + 2
