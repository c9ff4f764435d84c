"""The cast: three accounts and three videos that every chapter comes back to.

    players = cast(world.logs())
    players.table                              # who they are, by what they did
    players.pages(world, lambda users: ...)    # what a system shows them, side by side

They are found in the log by what they do, without the truth, so they can be found in any log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from course.errors import LogError, PolicyError
from course.logs.tables import Logs
from course.pages import Page, shelf_page
from course.play import cards
from course.world import World

KNOWN_FORMATS = ("music", "tutorial", "episode")
BUSY = 300
"""Among so many of the busiest accounts a shared one is looked for; others did too little."""


@dataclass(frozen=True)
class Cast:
    """Who chapters show.

    Attributes
    ----------
    heavy, newcomer, shared : int, accounts: among the busiest tenth the one that keeps most to one
        topic; the one that came last and did nothing yet; the busy one whose watches look most
        like those of two people who take turns (`two_people`)
    videos : dict format -> id of its most watched video
    table : DataFrame, one row per account: language, watches, topic (and its share), devices
    """

    heavy: int
    newcomer: int
    shared: int
    videos: dict[str, int]
    table: pd.DataFrame

    @property
    def users(self) -> np.ndarray:
        """The three accounts (3,) int32: heavy, newcomer, shared."""
        return np.array([self.heavy, self.newcomer, self.shared], np.int32)

    def pages(self, world: World, system: Callable[[np.ndarray], np.ndarray], k: int = 6) -> Page:
        """The first ``k`` cards of each account's page by a system.

        It is a function from accounts (3,) to pages, an int array (3, m) of video ids.
        """
        pages = np.asarray(system(self.users))
        if pages.ndim != 2 or len(pages) != 3:
            raise PolicyError(
                f"The pages have the shape {pages.shape}", allowed="(3, m), a row for each account"
            )
        return shelves(world, dict(zip(self.table.index, pages[:, :k], strict=True)))

    def neighbours(self, world: World, near: Callable[[int], np.ndarray], k: int = 5) -> Page:
        """The known videos, each with the ``k`` videos that ``near(video)`` puts next to it."""
        rows = {form: np.append(video, near(video)[:k]) for form, video in self.videos.items()}
        return shelves(
            world, {f"Near the {form}, which stands first": r for form, r in rows.items()}
        )


def shelves(world: World, videos: Mapping[str, np.ndarray]) -> Page:
    """Rows of cards, from heading -> video ids, best first: the pages of several accounts."""
    known = world.engine.catalogue.available(world.config.days)
    rows = {}
    for heading, ids in videos.items():
        ids = np.asarray(ids)
        if not np.issubdtype(ids.dtype, np.integer) or not ((ids >= 0) & (ids < known)).all():
            raise PolicyError(
                f"{heading!r} has the videos {ids.tolist()}", allowed=f"ids from 0 to {known - 1}"
            )
        rows[heading] = cards(world, ids)
    return shelf_page(rows)


def cast(logs: Logs) -> Cast:
    """Find the cast of a log; the same log gives the same cast.

    The shared account is found where people watch a lot: in ten towns all ten were shared (of the
    busy accounts a quarter are), in villages it is a guess.

    Raises a LogError if nobody watched anything.
    """
    w, joined = logs.watches, logs.users["joined"].to_numpy()
    if w.empty:
        raise LogError("There are no watches to find a cast in", fix="take a later day of the log")
    user, video = w["user_id"].to_numpy(), w["video_id"].to_numpy()
    topics = pd.crosstab(user, logs.videos["topic"].to_numpy()[video])
    topics = topics.reindex(range(len(joined)), fill_value=0)
    total = topics.sum(axis=1).to_numpy()
    share = topics.max(axis=1).to_numpy() / np.maximum(total, 1)
    heavy = int(np.where(total >= np.quantile(total, 0.9), share, -1).argmax())
    searched = np.bincount(logs.searches["user_id"], minlength=len(joined))
    absent = joined > w["time"].max()
    newcomer = int(np.lexsort((-joined, total + searched, absent))[0])
    likely = two_people(logs)
    likely[[heavy, newcomer]] = -np.inf
    accounts = {"heavy viewer": heavy, "newcomer": newcomer, "shared account": int(likely.argmax())}
    rows = [_line(logs, one, topics.loc[one]) for one in accounts.values()]
    count = np.bincount(video, minlength=len(logs.videos))
    of = {form: (logs.videos["format"] == form).to_numpy() for form in KNOWN_FORMATS}
    videos = {form: int(np.where(it, count, -1).argmax()) for form, it in of.items() if it.any()}
    return Cast(*accounts.values(), videos, pd.DataFrame(rows, index=list(accounts)))


def _line(logs: Logs, user: int, topics: pd.Series) -> dict:
    """What the table says about an account."""
    own = logs.watches[logs.watches["user_id"] == user]
    devices = own["device"].astype(str).value_counts()
    share = topics.max() / max(len(own), 1)
    return {
        "user_id": user,
        "language": logs.users["language"].iloc[user],
        "watches": len(own),
        "topic": f"{topics.idxmax()} ({share:.0%})" if len(own) else "",
        "devices": ", ".join(f"{device} {n}" for device, n in devices.items()),
    }


def two_people(logs: Logs, starts: int = 4, rounds: int = 20, prior: float = 10.0) -> np.ndarray:
    r"""How much better two people explain an account than one: log likelihood ratios (u,).

    A device in a part of the day is a *cell*. One person: topics are drawn with the account's own
    shares, tilted by what everybody likes in that cell. Two people: each cell is one person's,
    whose shares are fitted by expectation maximisation from several random halves of the cells.

    .. math:: \sum_c \log \tfrac12 \left(\prod_k p_{1kc}^{n_{ck}} + \prod_k p_{2kc}^{n_{ck}}\right)
              - \sum_{ck} n_{ck} \log p_{kc}

    A topic counts once a day in a cell, for people stay with a topic once they are at it. Minus
    infinity for accounts that are not among the busiest.
    """
    w = logs.watches
    watched = np.bincount(w["user_id"], minlength=len(logs.users))
    busiest = np.argsort(-watched, kind="stable")[: min(BUSY, np.count_nonzero(watched))]
    rank = pd.Series(np.arange(len(busiest)), index=busiest)
    votes = pd.DataFrame(
        {
            "user": w["user_id"].map(rank),
            "cell": w["device"].cat.codes * 4 + w["daypart"].cat.codes,
            "topic": logs.videos["topic"].cat.codes.to_numpy()[w["video_id"]],
            "day": np.floor(w["time"]),
        }
    )
    votes = votes.dropna().drop_duplicates().astype(int)
    n = np.zeros((len(busiest), 12, len(logs.videos["topic"].cat.categories)))
    np.add.at(n, tuple(votes[name] for name in ("user", "cell", "topic")), 1)
    each = n.sum(axis=1)
    alone = np.einsum("uk,uc->ck", each, n.sum(axis=2) / np.maximum(each.sum(1), 1)[:, None])
    tilt = (n.sum(axis=0) + 5) / (alone + 5)
    everybody = n.sum(axis=(0, 1)) / n.sum() + 1e-9

    def likelihood(part):
        """Log likelihood of each cell (u, 12) for a person who watched this part of the whole."""
        p = (part.sum(axis=1) + prior * everybody)[:, None, :] * tilt
        return (n * np.log(p / p.sum(axis=2, keepdims=True))).sum(axis=2)

    best, rng = np.full(len(n), -np.inf), np.random.default_rng(0)
    for _ in range(starts):
        second = np.where(rng.random((1, 12)) > 0.5, 0.9, 0.1)
        for _ in range(rounds):
            one, two = likelihood(n * (1 - second[..., None])), likelihood(n * second[..., None])
            second = expit(two - one)
        best = np.maximum(best, (np.logaddexp(one, two) - np.log(2)).sum(axis=1))
    out = np.full(len(logs.users), -np.inf)
    out[busiest] = best - likelihood(n).sum(axis=1)
    return out
