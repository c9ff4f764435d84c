"""A small platform of somebody else's: tables as they come out of another database.

Ids are words, times are dates of a zone, genres and devices are not the course's. What people like
and how far down they look is known, so a test can tell whether a model has learned anything.
"""

import numpy as np
import pandas as pd

GENRES = [f"genre {k}" for k in range(40)]  # more topics than the course has
LOOKED_AT = 1 / np.arange(1, 9) ** 0.7
DAYS = 20


def tables(accounts=400, videos=300, pages=7_000, seed=0):
    """Tables by name, and the click that is to be expected, (accounts, videos)."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(len(GENRES), size=videos)
    likes = rng.integers(len(GENRES), size=(accounts, 3))
    fits = (genre == likes[:, :, None]).any(axis=1)
    popular = rng.normal(0, 0.5, videos)
    wanted = 1 / (1 + np.exp(-(-2.6 + 3.0 * fits + popular)))
    who = rng.integers(accounts, size=pages)
    when = np.sort(rng.uniform(0, DAYS, pages))
    shown = (rng.gumbel(size=(pages, videos)) + 2.0 * fits[who]).argsort(axis=1)[:, -8:]
    seen = rng.random(shown.shape) < LOOKED_AT
    clicked = seen & (rng.random(shown.shape) < wanted[who[:, None], shown])
    start = pd.Timestamp("2024-03-01 00:00", tz="Europe/Paris")
    cards = pd.DataFrame({
        "request_id": np.repeat([f"r{k}" for k in range(pages)], 8),
        "user_id": np.repeat([f"acc-{k:05d}" for k in who], 8),
        "video_id": [f"tt{k + 1:07d}" for k in shown.ravel()],
        "time": np.repeat(start + pd.to_timedelta(when, unit="D"), 8),
        "position": np.tile(np.arange(1, 9), pages),
        "device": np.repeat(rng.choice(["fridge", "phone"], pages), 8),
        "clicked": clicked.ravel(),
        "watched_seconds": np.where(clicked, rng.uniform(30, 300, clicked.shape), 0).ravel(),
    })  # fmt: skip
    about = pd.DataFrame({"video_id": [f"tt{k + 1:07d}" for k in range(videos)],
                          "topic": [GENRES[k] for k in genre], "duration_seconds": 300.0,
                          "total_views": rng.integers(1, 10_000, videos)})  # fmt: skip
    people = pd.DataFrame({"user_id": [f"acc-{k:05d}" for k in range(accounts)],
                           "gender": rng.choice(["f", "m", None], accounts)})  # fmt: skip
    columns = ["user_id", "video_id", "time", "device", "watched_seconds"]
    watches = cards.loc[cards["clicked"], columns]
    return {"watches": watches, "impressions": cards, "videos": about, "users": people}, wanted
