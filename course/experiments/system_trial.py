"""The ledger's trial of the whole system: one world, one training, many read-outs (chapter 12)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from course.experiments import funnel_width, offline_live, source_recall
from course.experiments.funnel_width import CorpusPages
from course.experiments.live_pages import factors
from course.experiments.ranking import fit_ranker
from course.experiments.whole_system import STEPS, System, build, run_steps, table_of_steps
from course.features import RankingFeatures
from course.features.batch import RankingBatch
from course.logs.tables import Logs, from_record
from course.recommender import Pool
from course.simulator.engine import Record
from course.world import World, run_rounds, simulate

CLICK_HIDDEN, WIDE_HIDDEN = (64, 32), (512, 256, 128)
"""The click ranker, and the ranker that is too large: eight times the multiplications."""
STEP_PAGES, CORPUS_PAGES = 1_500, 500
STEP_METRICS = ("watch_minutes", "satisfied", "clicks")
RATING_SWEEP = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SLOW = 0.05
"""Share of people who leave per 100 ms, by assumption."""


def flow(system: System) -> dict[str, float]:
    """One turn of the whole loop: log, features, network, page, new log, features again.

    Returns
    -------
    dict with ``impressions`` of the log, ``inputs`` of the network, ``tasks``; ``satisfaction
    moved`` and ``engagement moved``, the largest change of a head's output when all cards move
    from the top of the page to its end; ``new impressions`` and ``new inputs`` after the system
    served one day; ``new/<arm>/watch_minutes`` per page of that day
    """
    task, final, world = system.data.task, system.final.eval(), system.world
    some = task.test[torch.arange(200)]
    ends = [torch.full((len(some),), p) for p in (1, world.config.slate)]
    with torch.no_grad():
        moved = (final(some, ends[0]) - final(some, ends[1])).abs().amax(dim=0)
    engaged = torch.zeros(len(moved), dtype=torch.bool)
    engaged[final.engaged] = True
    arms = {"past": lambda record, engine: engine.past_ranking(),
            "system": lambda record, engine: system.whole}  # fmt: skip
    rounds = run_rounds(world, arms, rounds=1, days_per_round=1)
    served = rounds.records["system"][0]
    logs = joined(world, served)
    new = logs.impressions.iloc[len(system.logs.impressions) :]
    again = RankingBatch.of(RankingFeatures(logs).of_impressions(logs, new), system.data.features)
    out = {
        "impressions": float(len(system.logs.impressions)),
        "inputs": float(final.inputs.width),
        "tasks": float(len(final.model.tasks)),
        "satisfaction moved": float(moved[~engaged].max()),
        "engagement moved": float(moved[final.engaged[0]]),
        "new impressions": float(len(new)),
        "new inputs": float(len(again)),
    }
    minutes = rounds.table.set_index("arm")["watch_minutes"]
    return out | {f"new/{arm}/watch_minutes": float(minutes[arm]) for arm in arms}


def joined(world: World, record: Record) -> Logs:
    """The log of a world with the days of a record behind it.

    Rows about videos that were uploaded in these days are left out.
    """
    old = world.logs()
    tables = from_record(world.engine, record)
    rows = {}
    for name in ("watches", "searches", "impressions"):
        new = tables[name]
        if "video_id" in new:
            new = new[new["video_id"] < len(old.videos)]
        if "query_video_id" in new:
            new = new[new["query_video_id"] < len(old.videos)]
        rows[name] = pd.concat([getattr(old, name), new], ignore_index=True)
    return replace(old, **rows)


def combined(system: System, pages: CorpusPages, pool: Pool) -> dict[str, dict[str, float]]:
    """Outcomes by the weight of the rating: the combination that is set by hand."""
    recommender = system.whole
    asked = recommender.with_candidates(pages.requests, pool)
    known = replace(asked, candidates=np.maximum(asked.candidates, 0))
    inputs = recommender.features.of_requests(known, system.logs)
    batch = RankingBatch.of(inputs, recommender.features)
    predicted = factors(system.final.predict(batch), inputs.column("duration"))
    there = pool.videos >= 0
    out = {}
    for weight in RATING_SWEEP:
        scores = system.combined(system.final, weight).combination.score(predicted)
        scores = np.where(there, scores.reshape(there.shape), -np.inf)
        out[f"{weight:g}"] = pages.best(scores, np.maximum(pool.videos, 0))
    return out


def _flat(prefix: str, found: dict) -> dict[str, float]:
    """Nested names joined with "/"."""
    out: dict[str, float] = {}
    for name, value in found.items():
        key = f"{prefix}/{name:g}" if isinstance(name, float) else f"{prefix}/{name}"
        out |= _flat(key, value) if isinstance(value, dict) else {key: float(value)}
    return out


def _steps(system: System) -> dict[str, float]:
    table = table_of_steps(run_steps(system, n=STEP_PAGES), STEP_METRICS)
    assert tuple(table.index) == STEPS
    return {f"steps/{step}/{metric}/{what}": float(value)
            for (metric, what), column in table.items()
            for step, value in column.items() if np.isfinite(value)}  # fmt: skip


def _slow(system: System, pages: CorpusPages, pool: Pool, seed: int) -> dict[str, float]:
    """The ranker that is too large, beside the ranker of the system."""
    task, out = system.data.task, {}
    wide = fit_ranker(task, WIDE_HIDDEN, seed=seed)
    there, videos = pool.videos >= 0, np.maximum(pool.videos, 0)
    asked = system.recommender.with_candidates(pages.requests, pool)
    known = replace(asked, candidates=videos)
    batch = RankingBatch.of(task.features.of_requests(known, system.logs), task.features)
    for name, ranker in (("wide", wide), ("usual", system.watch)):
        out |= _flat(f"slow/{name}", offline_live.offline(task, ranker.logits(task.test)))
        scores = np.where(there, ranker.logits(batch).reshape(there.shape), -np.inf)
        out |= _flat(f"slow/{name}", pages.best(scores, videos))
        out[f"slow/{name}/multiplications"] = float(funnel_width.multiplications(ranker))
    return out


def trial(seed: int) -> dict[str, float]:
    """Steps, sources, funnel, costs, a dozen policies, combination, size and flow; see the keys."""
    system = build(simulate("small", seed=seed), plain=True, seed=seed)
    out = _steps(system) | _flat("flow", flow(system))
    requests, videos = source_recall.future_watches(system.world, seed=seed)
    found = source_recall.recall_of_sources(system.sources, requests, videos)
    out |= _flat("sources", found)
    widths = source_recall.recall_by_width(system.recommender.nominate(requests), videos,
                                           funnel_width.WIDTHS, requests.available)  # fmt: skip
    for width, (recall, chance) in widths.items():
        out |= {f"recall/{width}": recall, f"recall/{width}/random": chance}
    pages = CorpusPages(system.world, CORPUS_PAGES)
    out |= _flat("funnel", funnel_width.widths(system, pages)[0])
    pool = system.recommender.nominate(pages.requests)
    scores = funnel_width.scored(system.recommender, pages, pool)
    out |= _flat("list", funnel_width.diversity(pages, scores, pool))
    cost = funnel_width.page_cost(system.recommender, pages)
    out |= _flat("cost", {str(size): ms for size, ms in cost.items()})
    out |= _flat("combined", combined(system, pages, pool))
    click = fit_ranker(system.data.task, CLICK_HIDDEN, "click", seed=seed)
    scored = offline_live.dozen(system, click)
    out |= _flat("dozen", offline_live.compare(system, scored, pages))
    return out | _slow(system, pages, pool, seed)


def dozen_table(row: pd.Series) -> pd.DataFrame:
    """The dozen policies of one seed's results: a row for each, a column for each measure."""
    parts = {}
    for name in offline_live.DOZEN:
        keys = [key for key in row.index if key.startswith(f"dozen/{name}/")]
        parts[name] = {key.rsplit("/", 1)[1]: row[key] for key in keys}
    return pd.DataFrame(parts).T
