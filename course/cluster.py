"""Calls spread over the cores of this machine, or over a running Dask or Ray cluster.

Whoever spreads calls gets each outcome as it comes. A call whose worker dies is made again by the
cluster on another one, so a call must give the same whenever and wherever it is made.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import itertools
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import joblib

from course.errors import ConfigError
from course.paths import repository_root

CLUSTERS = {"dask": "distributed", "ray": "ray"}
"""Backends that are clusters, each with the module that it needs."""
FORMS = {"dask": "[tcp://]HOST:PORT, as `dask scheduler` printed it",
         "ray": "HOST:PORT, as `ray start --head` printed it, or ray://HOST:PORT"}  # fmt: skip
WORKERS = {"dask": "dask worker ADDRESS --nthreads 1", "ray": "ray start --address=ADDRESS"}
PROBES = {"dask": "import sys, distributed; distributed.Client(sys.argv[1])",
          "ray": "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)"}  # fmt: skip
PATIENCE = 10.0  # seconds without an answer
PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "torch", "faiss-cpu", "scikit-learn")
FILES = ("course/**/*.py", "notebooks/ledger/*.py", "tests/graded/*.py")


def spread(
    function: Callable,
    calls: Iterable[tuple],
    *,
    jobs: int | None = None,
    backend: str | None = None,
    address: str | None = None,
) -> Iterator[tuple[tuple, Any]]:
    """Make calls beside each other; an iterator over (call, outcome), in the order they end.

    Parameters
    ----------
    function : gives the same for a call wherever it is made
    calls : tuples of arguments
    jobs : calls at a time; None = one for each core, or as many as another backend can. 1 makes
        them in this process.
    backend : "dask" or "ray", or one of joblib's with its options ("threading"); None = joblib's
        own processes, or what `joblib.parallel_config` says
    address : where Dask's scheduler or Ray's head listens. Without one, Ray takes the cluster of
        this machine, and starts one if there is none.

    Raises
    ------
    ConfigError
        If the backend cannot be used, nobody answers, or a worker runs other code than this.
    """
    calls = list(calls)
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs}", allowed="1 or more")
    if backend not in CLUSTERS:
        if address is not None:
            what = f"the address {address!r} was given with the backend {backend!r}"
            raise ConfigError(what, allowed="an address of dask or ray", fix="add --backend")
        return _joblib(function, calls, jobs, backend)
    return _outcomes(_open(backend, address), function, calls, jobs) if calls else iter(())


def many_worlds(measure: Callable, seeds: Iterable[int], size="town", **options):
    """Simulate many seeds of one configuration; an iterator over (seed, ``measure(world)``).

    Parameters
    ----------
    measure : function of a `World`, which stays where it was simulated
    size : as of `course.simulate`
    **options : ``jobs``, ``backend`` and ``address`` of `spread`; the others are dials of
        `course.simulate`
    """
    how = {name: options.pop(name, None) for name in ("jobs", "backend", "address")}
    made = spread(_measured, ((measure, seed, size, options) for seed in seeds), **how)
    return ((call[1], outcome) for call, outcome in made)


def _measured(measure, seed, size, dials):
    from course.world import simulate

    return measure(simulate(size, seed, **dials))


def _joblib(function, calls, jobs, backend):
    name, *options = (backend or "").split(",")
    settings = {} if backend is None else {
        "backend": name, **dict(option.partition("=")[::2] for option in options)
    }  # fmt: skip
    jobs = jobs or (os.cpu_count() or 1 if backend in (None, "loky") else -1)
    try:
        if name in CLUSTERS:
            raise ValueError("its place is given by --address")
        with joblib.parallel_config(n_jobs=jobs, **settings):
            pool = joblib.Parallel(return_as="generator_unordered", batch_size=1)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(
            f"The backend {backend!r} cannot be used ({error})",
            allowed="dask, ray, and those of joblib that give results as they come, such as loky "
            "and threading",
        ) from error
    return pool(joblib.delayed(_with_call)(function, call) for call in calls)


def _with_call(function, call):
    return call, function(*call)


# --- clusters


def _outcomes(cluster, function, calls, jobs):
    """Keep a cluster busy; the outcomes as they come."""
    todo, waiting, here = iter(calls), {}, state()
    with contextlib.closing(cluster):
        while True:
            for call in itertools.islice(todo, None if jobs is None else jobs - len(waiting)):
                waiting[cluster.submit(_there, here, function, call)] = call
            if not waiting:
                return
            for future in cluster.ended(list(waiting)):
                try:
                    outcome = cluster.result(future)
                except (*cluster.broken, ImportError) as error:
                    raise ConfigError(
                        f"{cluster.name} gave up ({type(error).__name__}: {str(error)[-300:]})",
                        allowed="workers with a checkout in PYTHONPATH and the course's packages",
                        fix="see to the workers; the same command goes on where it stopped",
                    ) from error
                yield waiting.pop(future), outcome


def _there(here, function, call):
    """A call on a worker, which must run what the sender runs."""
    mine = state()
    if other := [f"{k} {mine[k]}, not {here[k]}" for k in here if mine[k] != here[k]]:
        raise ConfigError(
            f"a worker on {socket.gethostname()} runs another state of the course: "
            f"{', '.join(other)}",
            allowed="the same files, Python and packages everywhere, or numbers may differ",
            fix="bring its checkout and packages up to date, and start it again",
        )
    return function(*call)


@functools.cache
def state() -> dict[str, str]:
    """What this process runs: its Python, its packages, and its files as a short name."""
    root, digest = repository_root(), hashlib.sha256()
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"files": digest.hexdigest()[:12], "python": platform.python_version(), **versions}


def _open(backend: str, address: str | None):
    """The cluster at an address, once it has answered and has workers."""
    form, module = FORMS[backend], CLUSTERS[backend]
    try:
        importlib.import_module(module)
    except ImportError as error:
        what = f"the backend {backend} needs the package {module} ({error})"
        raise ConfigError(what, fix=f'pip install -e ".[{backend}]"') from error
    if address is None and backend == "dask":
        raise ConfigError("the backend dask needs an address", allowed=form, fix="add --address")
    if address is not None:
        scheme = {"dask": "(tcp|tls)", "ray": "(ray)"}[backend]
        parts = re.fullmatch(rf"(?:{scheme}://)?([^\s/:]+|\[.+\]):(\d{{1,5}})", address)
        if not parts:
            raise ConfigError(f"the address {address!r} cannot be read", allowed=form)
        try:
            socket.create_connection((parts[2].strip("[]"), int(parts[3])), 5).close()
        except (OSError, OverflowError) as error:
            what = f"nobody answers at {address} ({error})"
            raise ConfigError(what, allowed=form, fix="start the cluster first") from error
        # in a process of its own: at what is no cluster, ray tries for minutes and dask for ever
        words = [sys.executable, "-c", PROBES[backend], address]
        try:
            subprocess.run(words, check=True, capture_output=True, text=True, timeout=3 * PATIENCE)
        except subprocess.SubprocessError as error:
            late = isinstance(error, subprocess.TimeoutExpired)
            why = "no answer" if late else error.stderr.strip()[-300:]
            what = f"what answers at {address} is no {backend} that can be used ({why})"
            raise ConfigError(what, allowed=form) from error
    cluster = {"dask": _Dask, "ray": _Ray}[backend](address)
    cluster.ended([])
    return cluster


class _Cluster:
    """Submits calls, and tells which have ended."""

    def ended(self, waiting: list) -> Iterable:
        """Calls that have ended; none after some seconds. There must be workers."""
        done = self.wait(waiting) if waiting else ()
        if not done and not self.workers():
            start = WORKERS[self.backend]
            fix = f"start some, with a checkout in PYTHONPATH, or they end at once: {start}"
            raise ConfigError(f"{self.name} has no workers", fix=fix)
        return done


class _Dask(_Cluster):
    backend = "dask"

    def __init__(self, address: str) -> None:
        import distributed
        from distributed.comm import CommClosedError

        self.name = f"the dask cluster at {address}"
        self.broken = (distributed.KilledWorker, distributed.CancelledError, CommClosedError)
        self.client = distributed.Client(address, timeout=PATIENCE)
        self.close = self.client.close

    def workers(self) -> int:
        threads = self.client.nthreads().values()
        if set(threads) - {1}:  # trials seed the generators of their process
            what = f"{self.name} has workers with several threads"
            raise ConfigError(what, allowed="one thread each", fix=WORKERS["dask"])
        return len(threads)

    def submit(self, function: Callable, *call):
        return self.client.submit(function, *call, pure=False)

    def wait(self, waiting: list) -> Iterable:
        from distributed import wait

        try:
            return wait(waiting, PATIENCE, "FIRST_COMPLETED").done
        except TimeoutError:
            return ()

    def result(self, future) -> Any:
        return future.result()


class _Ray(_Cluster):
    backend = "ray"

    def __init__(self, address: str | None) -> None:
        import ray

        self.name, self.ray = f"the ray cluster at {address or 'this machine'}", ray
        self.broken = (ray.exceptions.RayError,)
        self.close = (lambda: None) if ray.is_initialized() else ray.shutdown
        ray.init(address, log_to_driver=False, logging_level="error", ignore_reinit_error=True)
        self.remote = functools.cache(ray.remote(num_cpus=1))

    def workers(self) -> int:
        return int(self.ray.cluster_resources().get("CPU", 0))

    def submit(self, function: Callable, *call):
        return self.remote(function).remote(*call)

    def wait(self, waiting: list) -> Iterable:
        return self.ray.wait(waiting, num_returns=1, timeout=PATIENCE)[0]

    def result(self, future) -> Any:
        try:
            return self.ray.get(future)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None
