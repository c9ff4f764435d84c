"""The contest: a reader's recommender on hidden worlds, between chance and the truth.

    def mine(logs):                  # called once in each hidden world
        ...
        return policy                # a function of Requests

    contest(mine)
    contest({"mine": mine, "yours": yours}, world="town")

What is handed over is the log and the page requests, copies of both, and nothing else. That the
worlds are hidden is a matter of honour: anybody can simulate them, as anybody can read this file.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from course import plots
from course.checks import check_whole
from course.errors import ConfigError, PolicyError
from course.lessons import first_system
from course.lessons.matrix_factorization import popularity
from course.logs.tables import Logs
from course.metrics import gap_closed
from course.simulator.config import WorldConfig
from course.simulator.feed import Policy, Requests, failed, rank
from course.simulator.policies import offered, top
from course.world import World, ab_test, simulate

Maker = Callable[[Logs], Policy]

FIRST_SEED = 90_001
BATCH = 200
"""Requests that a submission is asked at once; its clock is read in between."""
METRICS = ("clicks", "watch_minutes", "satisfied")
"""What can be counted; the oracle of the same is the ceiling."""
REFERENCES = ("random", "past ranking", "oracle")


def popularity_in_my_language(logs: Logs) -> Policy:
    """Shows what accounts of the same language watched most."""
    counts = popularity(logs)
    language = logs.users["language"].cat.codes.to_numpy()

    def policy(requests: Requests) -> np.ndarray:
        videos = offered(requests)
        return top(counts[language[requests.user][:, None], videos], videos, requests.slate)

    return policy


def two_counts(logs: Logs) -> Policy:
    """Chapter 00: what fits an account's channels and is clicked when it is shown."""
    return first_system.FirstSystem(logs, first_system.KEPT)


def whole_system(logs: Logs) -> Policy:
    """Chapter 12: four sources, seven tasks, and the weights that fit clicks."""
    from course.lessons.whole_system import assemble  # it brings all lessons along

    return assemble(logs, {"click": 1.0})


SYSTEMS: dict[str, Maker] = {"popularity in my language": popularity_in_my_language}
"""Who takes part always; each is built from the logs alone, as a submission is."""
CHAPTERS = {**SYSTEMS, "two counts (00)": two_counts, "the whole system (12)": whole_system}
"""The ladder of the course, for ``systems=``; the last one takes some seconds in each world."""


@dataclass(frozen=True)
class Ladder:
    """Result of a `contest`; shows itself as a table.

    Attributes
    ----------
    table : DataFrame, one row per contestant, best first: ``share`` of the gap between random (0)
        and oracle (1) that it closes, mean over worlds, with the 95 % interval ``low`` to ``high``;
        ``value``, the metric per page; ``seconds`` that a submission took per world; ``problem``,
        why a submission was taken out (it then has no share)
    worlds : DataFrame, the share of each contestant (columns) in each hidden world (index: seed);
        all met the same requests with the same luck there, so columns may be subtracted
    metric : what was counted
    """

    table: pd.DataFrame
    worlds: pd.DataFrame
    metric: str

    def _repr_html_(self) -> str:
        percent = self.table[["share", "low", "high"]].map("{:.0%}".format)
        shown = self.table.assign(**percent).round(2).where(self.table.notna(), "")
        return shown.rename(columns={"value": self.metric}).to_html()


class _Submission:
    """One submission in one world: built, asked in batches, its seconds counted."""

    def __init__(self, name: str, entry: Policy | Maker, logs: Logs, limit: float):
        self.name, self.limit, self.seconds = name, limit, 0.0
        self._policy = (
            self._call(entry, logs, "logs") if _first_argument(entry) == "logs" else entry
        )

    def __call__(self, requests: Requests) -> np.ndarray:
        def ask(batch):
            return self._call(self._policy, batch, "requests")

        parts = (slice(at, at + BATCH) for at in range(0, len(requests), BATCH))
        return np.concatenate([rank(ask, requests.rows(part), self.name) for part in parts])

    def _call(self, function, given, what: str):
        start = time.perf_counter()
        try:
            answer = function(given)
        except (Exception, SystemExit) as error:
            raise failed(f"{self.name!r}, called with {what},", error) from error
        self.seconds += time.perf_counter() - start
        if self.seconds > self.limit:
            raise PolicyError(
                f"{self.name!r} took {self.seconds:.1f} seconds in one world",
                allowed=f"{self.limit:g} seconds to be built and to serve all pages",
                fix="compute once what is the same for all requests, or raise seconds=",
            )
        if callable(answer) != (what == "logs"):
            raise PolicyError(
                f"{self.name!r}, called with {what}, returned a {type(answer).__name__}",
                allowed="a function of logs returns a policy, and a policy returns pages",
                fix="" if what == "logs" else "call the argument logs if it builds a policy",
            )
        return answer


def _first_argument(function) -> str:
    try:
        return next(iter(inspect.signature(function).parameters), "")
    except (TypeError, ValueError):  # some built-in functions do not say
        return ""


def contest(
    policy: Policy | Maker | Mapping[str, Policy | Maker],
    *,
    world: str | WorldConfig = "village",
    worlds: int = 8,
    first_seed: int = FIRST_SEED,
    n: int = 1_000,
    metric: str = "clicks",
    candidates: str = "catalogue",
    seconds: float = 60.0,
    systems: Mapping[str, Maker] = SYSTEMS,
) -> Ladder:
    """Score recommenders on hidden worlds, as the share of the gap between chance and the truth.

    Parameters
    ----------
    policy : function whose first argument is called ``logs`` and that returns a policy; it is
        called once in each hidden world. Or a ready policy, for rules that need no training. Or a
        dict of several by name: a bad one costs its own row only.
    world : any named size, or a WorldConfig
    worlds, first_seed : how many hidden worlds, and the seed of the first
    n : page requests in each world
    metric : {"clicks", "watch_minutes", "satisfied"}, by exact expectation per page
    candidates : {"catalogue", "nominated"}, as for `course.ab_test`
    seconds : that a submission may take in one world. The clock is read when it is built and after
        each 200 requests. One call that never returns (an endless loop) is not stopped by it.
    systems : the course's own contestants; ``CHAPTERS`` are all there are

    Raises a ConfigError for bad arguments; what is wrong with a submission stands in its row.
    """
    entries = dict(policy) if isinstance(policy, Mapping) else {"you": policy}
    _check(entries, worlds, metric, seconds, systems)
    value, spent, problem = {}, {name: [] for name in entries}, {}
    for seed in range(first_seed, first_seed + worlds):
        hidden = simulate(world, seed=seed)

        def score(policies: Mapping[str, Policy], hidden: World = hidden) -> dict[str, float]:
            found = ab_test(hidden, policies, n=n, candidates=candidates).per_page
            return {name: values[metric][1].mean() for name, values in found.items()}

        ours = {name: make(hidden.logs()) for name, make in systems.items()}
        ends = (hidden.random(), hidden.past_ranking(), hidden.oracle(metric))
        value[seed] = score({**dict(zip(REFERENCES, ends, strict=True)), **ours})
        for name, entry in entries.items():
            if name in problem:
                continue
            try:
                policy = _Submission(name, entry, hidden.logs(), seconds)
                value[seed] |= score({name: policy})
                spent[name].append(policy.seconds)
            except PolicyError as error:
                problem[name] = f"world {seed}: {error}"
    return _ladder(pd.DataFrame(value).T, spent, problem, metric)


def _check(entries, worlds, metric, seconds, systems) -> None:
    taken = set(entries) & {*REFERENCES, *systems}
    if not entries or taken or not all(map(callable, entries.values())):
        raise ConfigError(
            f"policy={entries!r}",
            allowed="a function, or a dict of functions by name, the names being others than "
            + ", ".join([*REFERENCES, *systems]),
        )
    check_whole("worlds", worlds, 1)
    if metric not in METRICS:
        raise ConfigError(f"metric={metric!r}", allowed=", ".join(METRICS))
    if not seconds > 0:
        raise ConfigError(f"seconds={seconds!r}", allowed="a number above 0")


def _ladder(value: pd.DataFrame, spent, problem, metric) -> Ladder:
    value = value.reindex(columns=[*value, *(name for name in problem if name not in value)])
    value[list(problem)] = np.nan  # a mean over some of the worlds would be no fair score
    shares = value.apply(lambda row: gap_closed(row, row["random"], row["oracle"]), axis=1)
    mean, half = plots.interval(shares)
    table = pd.DataFrame(
        {
            "share": mean,
            "low": mean - half,
            "high": mean + half,
            "value": value.mean(),
            "seconds": pd.Series({name: np.mean(s) if s else np.nan for name, s in spent.items()}),
            "problem": pd.Series(problem, dtype=object),
        },
        index=shares.columns,
    )
    return Ladder(table.sort_values("share", ascending=False), shares, metric)
