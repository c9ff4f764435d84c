"""How fast is it? Measured in seconds of one core, as medians over repeats.

``python -m course benchmark`` prints the speed of the simulator, of training candidate generators
and rankers, of one request, and the seconds of each notebook. ``tests/rivals.py`` runs the lessons
beside other people's packages. Budgets (chapter lengths, worlds, sliders) are judged here and not
in timed tests, since a busy machine would make those fail for no reason.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

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
from course.simulator.config import SIZES, WorldConfig
from course.simulator.engine import Engine, Record
from course.simulator.experiment import live_requests
from course.simulator.feed import respond
from course.tasks.places import Places
from course.tasks.seven_tasks import SevenTasks
from course.workshop.book import Book
from course.world import simulate

SEED = 7
FEED_REQUESTS = 2_000
BATCH = 1_024
RANKED = 600_000
BIASED = 300_000


def core_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds of a piece of work (all threads of the process added up)."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def feed_speed(engine: Engine, repeats: int = 3) -> float:
    """Impressions per core-second from page to feedback, all laws and expectations on."""
    rng = np.random.default_rng(0)
    user = rng.integers(len(engine.people), size=FEED_REQUESTS)
    time_ = np.full(FEED_REQUESTS, engine.config.days - 0.3)
    situation = engine.behaviour.situation(user, time_, np.zeros(FEED_REQUESTS, int))
    available = engine.catalogue.available(engine.config.days - 1)
    # Distinct videos on each page: a random start and a stride.
    start = rng.integers(available, size=(FEED_REQUESTS, 1))
    pages = (start + 7 * np.arange(engine.config.slate)) % available
    number = np.arange(FEED_REQUESTS)

    def work():
        for _ in range(10):
            respond(engine.behaviour, engine.memory, situation, number, pages, engine.seed)

    return 10 * pages.size / core_seconds(work, repeats)


def day_speed(size: str, repeats: int = 3, days: int | None = None) -> dict[str, float]:
    """Rows per core-second of whole days: sessions, search, watches, nominating, ranking, feed.

    Returns
    -------
    dict with ``rows``, ``impressions`` (of the log), ``rows per second``, ``seconds`` per world
    """
    config = WorldConfig.of(size)
    days = config.days if days is None else min(days, config.days)
    kept: dict[str, dict] = {}

    def work():
        engine, record = Engine(config, SEED), Record()
        engine.run(0, days, engine.past_ranking(), record)
        kept["tables"] = {
            name: record.table(name) for name in ("watches", "searches", "impressions")
        }

    seconds = core_seconds(work, repeats)
    rows = {name: len(table["time"]) for name, table in kept["tables"].items()}
    total = sum(rows.values())
    return {
        "rows": total,
        "impressions": rows["impressions"],
        "rows per second": total / seconds,
        "seconds": seconds,
    }


def world_seconds(size: str, repeats: int = 3) -> float:
    """Wall seconds to make a world of a size, tables included, nothing stored."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        engine, record = Engine(WorldConfig.of(size), SEED), Record()
        engine.run(0, engine.config.days, engine.past_ranking(), record)
        from_record(engine, record)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def candidate_speed(batch: int = BATCH, steps: int = 20) -> float:
    """Training examples of chapter 03's generator per core-second, on made-up histories.

    10,000 videos, 64 dimensions, 50 watches in the bag, 1,000 shared negatives.
    """
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
    return batch / float(np.median(np.diff(taken)[2:]))  # the first steps warm up


def ranking_speed(
    size: str = "town", impressions: int = RANKED, repeats: int = 3
) -> dict[str, float]:
    """Core-seconds of the ranker: features alone, and features with two epochs of training.

    Parameters
    ----------
    impressions : that train; a log with fewer gives what it has, and the seconds are scaled up

    Returns
    -------
    dict with ``features``, seconds for a million impressions (vocabularies, counters, quantiles
    and inputs), and ``ranker``, seconds for ``impressions`` through features, tensors and two
    epochs of 128-64-32
    """
    logs = simulate(size, seed=SEED).logs()
    rows = logs.impressions.iloc[-impressions:]
    rows = rows[rows["request_id"].isin(rows["request_id"].iloc[10:])]  # whole pages
    clicked = torch.from_numpy(rows["clicked"].to_numpy().copy())
    minutes = torch.from_numpy(rows["watched_seconds"].to_numpy() / 60)
    kept = {}

    def build():
        kept["features"] = RankingFeatures(logs, rows)
        kept["inputs"] = kept["features"].of_impressions(logs, rows)

    def train():
        build()
        raw = RankingBatch.of(kept["inputs"])
        model = Ranker(InputLayer(kept["features"]), (128, 64, 32))
        train_ranker(model, Scales(raw)(raw), clicked, minutes, passes=2)

    return {"features": core_seconds(build, repeats) * 1e6 / len(rows),
            "ranker": core_seconds(train, repeats) * impressions / len(rows)}  # fmt: skip


def multitask_speed(
    size: str = "town", impressions: int = RANKED, repeats: int = 3
) -> dict[str, float]:
    """Core-seconds of two passes by chapter 08's recipes for seven tasks, in turns.

    Returns
    -------
    dict with ``shared bottom`` and ``eight experts``, equal in multiplications, in seconds for
    ``impressions``, and their ``ratio``
    """
    data = SevenTasks(simulate(size, seed=SEED), 100)
    scaled, start = Scales(data.train)(data.train), mo.best_constants(data.labels)
    scale = impressions / len(data.labels)
    taken: dict[str, list[float]] = {"shared bottom": [], "eight experts": []}
    for _ in range(repeats):
        for name, seconds in taken.items():
            inputs = InputLayer(data.features)
            model = (mo.SharedBottom(inputs, start) if name == "shared bottom"
                     else RankingMixture(inputs, start, 8, 16, 49, "shared"))  # fmt: skip
            once = partial(mo.train_tasks, model, scaled, data.labels)
            seconds.append(core_seconds(once, 1))
    out = {name: scale * statistics.median(seconds) for name, seconds in taken.items()}
    return out | {"ratio": out["eight experts"] / out["shared bottom"]}


def shallow_speed(size: str = "town", impressions: int = BIASED, repeats: int = 3) -> float:
    """Core-seconds of two passes of chapter 10's shallow tower on so many impressions."""
    task = Places(simulate(size, seed=SEED), pages=100, first_day=0, live=20)

    def work():
        model = ShallowTower(task.ranker())
        train_clicks(model, task.cards, task.cell, task.clicked, passes=2)

    return core_seconds(work, repeats) * impressions / len(task.rows)


def _print_ranking(size: str, repeats: int) -> None:
    taken = ranking_speed(size, repeats=repeats)
    print(
        f"ranker on the {size} world: features of 1,000,000 impressions "
        f"{taken['features']:.1f} core-s (at most 4 wanted);\n{RANKED:,} impressions x 2 epochs "
        f"through 128-64-32, features included, {taken['ranker']:.1f} core-s (at most 8 wanted)"
    )


def _print_multitask(size: str, repeats: int) -> None:
    taken = multitask_speed(size, repeats=repeats)
    print(
        f"seven tasks, {RANKED:,} impressions: eight experts {taken['eight experts']:.1f} core-s "
        f"(at most 15 wanted), {taken['ratio']:.2f} times\na shared bottom with as many "
        "multiplications (at most 2.5 wanted)\n"
        f"shallow tower, {BIASED:,} impressions: {shallow_speed(size, repeats=repeats):.1f} core-s "
        "(at most 3 wanted)"
    )


def serving_speed(size: str = "town", requests: int = 50) -> dict[str, float]:
    """Core milliseconds of one request to chapter 12's system: ``nominate`` and ``rank``."""
    world = simulate(size, seed=SEED)
    system = assemble(world.logs(), passes=1)
    asked = live_requests(world.engine, requests, candidates="catalogue")[1]
    ready = system.first(asked)
    return {
        "nominate": 1_000 * core_seconds(lambda: system.first(asked)) / requests,
        "rank": 1_000 * core_seconds(lambda: system(ready)) / requests,
    }


def _print_serving(size: str) -> None:
    taken = serving_speed(size)
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in taken.items())
    print(f"one request to the whole system, core-ms: {parts} (at most 100 wanted)")


def _print_training(repeats: int) -> None:
    speed = statistics.median(candidate_speed() for _ in range(repeats))
    print(
        "\ncandidate generator, 10,000 videos, 64 dimensions, 50 watches, 1,000 shared negatives:\n"
        f"{speed:,.0f} examples per core-second (at least 30,000 wanted)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m course benchmark", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["village", "town"], choices=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args(argv)

    print(f"{'size':8}{'world, s':>10}{'log rows':>12}{'rows/core-s':>13}{'feed/core-s':>13}")
    for size in arguments.sizes:
        repeats = 1 if size == "city" else arguments.repeats
        seconds = world_seconds(size, repeats)
        days = day_speed(size, repeats)
        engine = Engine(WorldConfig.of(size), SEED)
        engine.run(0, 3, engine.past_ranking(), Record())
        feed = feed_speed(engine, arguments.repeats)
        rate = days["rows per second"]
        print(f"{size:8}{seconds:10.1f}{days['rows']:12,}{rate:13,.0f}{feed:13,.0f}")

    print("rows: watches, searches, impressions; feed: impressions from page to feedback")

    _print_training(arguments.repeats)
    _print_ranking(arguments.sizes[-1], arguments.repeats)
    _print_multitask(arguments.sizes[-1], arguments.repeats)
    _print_serving(arguments.sizes[-1])
    simulate("town", seed=SEED)
    start = time.perf_counter()
    simulate("town", seed=SEED)
    print(f"\ntown read back from the store: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    simulate("village", seed=99, cache=False, days=10, future_days=0)
    seconds = time.perf_counter() - start
    print(f"slider that simulates ten days of a village: {seconds:.2f} s (budget 3)")
    print("\nnotebook                        seconds (last build; budget 60)")
    for name, taken in Book().seconds().items():
        print(f"{name:32}{taken:4d}")
    return 0
