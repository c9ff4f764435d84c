"""How fast is it? Medians in seconds of one core; run by hand: ``python3 tests/speed.py [SIZE]``.

Budgets are judged here and not in timed tests, since a busy machine would make those fail for no
reason. ``tests/rivals.py`` runs the lessons beside other people's packages.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from course import simulate
from course.features import BAG_LENGTH, RankingFeatures
from course.features.batch import RankingBatch
from course.lessons import candidate_generation as cg
from course.lessons import many_objectives as mo
from course.lessons.mixtures_of_experts import RankingMixture
from course.lessons.position_bias import ShallowTower, train_clicks
from course.lessons.ranking_features import InputLayer, Scales
from course.lessons.watch_time import Ranker, train_ranker
from course.lessons.whole_system import assemble
from course.logs.tables import from_record
from course.simulator.config import WorldConfig
from course.simulator.engine import Engine, Record
from course.simulator.experiment import live_requests
from course.simulator.feed import respond
from course.tasks.places import Places
from course.tasks.seven_tasks import SevenTasks
from course.workshop.book import Book

SEED = 7


def core_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds of a piece of work (all threads of the process added up)."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def days(size: str) -> str:
    """Whole days of a world, tables included: sessions, search, nominating, ranking, feed."""
    rows = []

    def work():
        engine, record = Engine(WorldConfig.of(size), SEED), Record()
        engine.run(0, engine.config.days, engine.past_ranking(), record)
        tables = from_record(engine, record)
        rows.append(sum(len(tables[name]) for name in ("watches", "searches", "impressions")))

    seconds = core_seconds(work)
    return f"{size} world: {seconds:.1f} s, {rows[0]:,} log rows, {rows[0] / seconds:,.0f} a second"


def feed(size: str, pages: int = 20_000) -> str:
    """From page to feedback, all laws and expectations on."""
    engine, rng = simulate(size, seed=SEED).engine, np.random.default_rng(0)
    user, number = rng.integers(len(engine.people), size=pages), np.arange(pages)
    time_ = np.full(pages, engine.config.days - 0.3)
    situation = engine.behaviour.situation(user, time_, np.zeros(pages, int))
    available = engine.catalogue.available(engine.config.days - 1)
    start = rng.integers(available, size=(pages, 1))  # and a stride: distinct videos on each page
    shown = (start + 7 * np.arange(engine.config.slate)) % available
    arguments = engine.behaviour, engine.memory, situation, number, shown, engine.seed
    return f"feed: {shown.size / core_seconds(lambda: respond(*arguments)):,.0f} impressions/core-s"


def generator(batch: int = 1_024, steps: int = 20) -> str:
    """Chapter 03's generator: 10,000 videos, 64 dimensions, 50 watches, 1,000 shared negatives."""
    rng, videos, n = np.random.default_rng(SEED), 10_000, batch * steps
    q = cg.law(torch.arange(videos, 0, -1))
    bags, label = (
        torch.from_numpy(rng.choice(videos, shape, p=q.numpy())) for shape in ((n, BAG_LENGTH), n)
    )
    taken = [time.process_time()]
    cg.train(
        cg.NextVideo(videos), bags, label, cg.sampled(cg.chances(q, 1_000)), passes=1, batch=batch,
        progress=lambda *_: taken.append(time.process_time()),
    )  # fmt: skip
    speed = batch / float(np.median(np.diff(taken)[2:]))  # the first steps warm up
    return f"candidate generator: {speed:,.0f} examples/core-s (at least 30,000 wanted)"


def ranker(size: str) -> str:
    """Chapter 07's ranker: features, and two passes of 128-64-32, for 600,000 impressions."""
    logs = simulate(size, seed=SEED).logs()
    rows = logs.impressions.iloc[-600_000:]
    rows = rows[rows["request_id"].isin(rows["request_id"].iloc[10:])]  # whole pages
    clicked = torch.from_numpy(rows["clicked"].to_numpy().copy())
    minutes = torch.from_numpy(rows["watched_seconds"].to_numpy() / 60)

    def build():
        features = RankingFeatures(logs, rows)
        return features, RankingBatch.of(features.of_impressions(logs, rows))

    def train():
        features, raw = build()
        model = Ranker(InputLayer(features), (128, 64, 32))
        train_ranker(model, Scales(raw)(raw), clicked, minutes, passes=2)

    alone, whole = (600_000 / len(rows) * core_seconds(work) for work in (build, train))
    return (
        f"ranker, 600,000 impressions: features {alone:.1f} core-s, with two passes {whole:.1f} "
        "(at most 2.4 and 8 wanted)"
    )


def many_tasks(size: str) -> str:
    """Two passes over seven tasks, and of the shallow tower; scaled to so many impressions."""
    data = SevenTasks(simulate(size, seed=SEED), 100)
    scaled, start = Scales(data.train)(data.train), mo.best_constants(data.labels)

    def shared():
        model = mo.SharedBottom(InputLayer(data.features), start)
        mo.train_tasks(model, scaled, data.labels)

    def experts():
        model = RankingMixture(InputLayer(data.features), start, 8, 16, 49, "shared")
        mo.train_tasks(model, scaled, data.labels)

    few, many = core_seconds(shared), core_seconds(experts)
    task = Places(simulate(size, seed=SEED), pages=100, first_day=0, live=20)

    def shallow():
        model = ShallowTower(task.ranker())
        train_clicks(model, task.cards, task.cell, task.clicked, passes=2)

    tower = core_seconds(shallow) * 300_000 / len(task.rows)
    return (
        f"eight experts, 600,000 impressions: {many * 600_000 / len(data.labels):.1f} core-s "
        f"(at most 15 wanted), {many / few:.2f} times a shared bottom (at most 2.5)\n"
        f"shallow tower, 300,000 impressions: {tower:.1f} core-s (at most 3 wanted)"
    )


def request(size: str, n: int = 50) -> str:
    """One request to chapter 12's system."""
    world = simulate(size, seed=SEED)
    system = assemble(world.logs(), passes=1)
    asked = live_requests(world.engine, n, candidates="catalogue")[1]
    ready = system.first(asked)
    first, second = core_seconds(lambda: system.first(asked)), core_seconds(lambda: system(ready))
    return (
        f"one request: nominate {1_000 * first / n:.1f}, rank {1_000 * second / n:.1f} core-ms "
        "(at most 100 wanted)"
    )


def main(size: str = "town") -> None:
    """Print the figures."""
    print(days(size), feed(size), generator(), ranker(size), many_tasks(size), request(size),
          sep="\n", flush=True)  # fmt: skip
    slider = core_seconds(lambda: simulate("village", 99, cache=False, days=10, future_days=0))
    print(f"slider that simulates ten days of a village: {slider:.2f} core-s (at most 3 wanted)")
    for name, taken in Book().seconds().items():
        print(f"{name:32}{taken:4d} s when last built (at most 60 wanted)")


if __name__ == "__main__":
    main(*sys.argv[1:])
