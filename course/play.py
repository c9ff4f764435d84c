"""You are the recommender: cards and rounds of the game, dealt from a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from course.errors import ConfigError
from course.metrics import gap_closed
from course.pages import Card, picture_words, thumbnail
from course.plots.pictures import standing
from course.plots.style import Figure
from course.simulator.behaviour import Situation
from course.simulator.feed import Policy, Requests, rank
from course.simulator.names import AGE_BANDS, COUNTRIES, DAYPARTS, DEVICES, channel_name
from course.simulator.oracle import value
from course.simulator.streams import generator
from course.widgets import Deal
from course.world import World

SHOWN, PICKS = 12, 4
"""Cards that are dealt, and how many of them make a page."""


def cards(world: World, videos, time: float | None = None) -> list[Card]:
    """Cards of videos as a page shows them at a time (days; default: the end of the log).

    Titles and thumbnails are those of ``world.content``.
    """
    c, content = world.engine.catalogue, world.content
    end = world.config.days if time is None else time
    views = world.engine.memory.video_watches
    videos = np.asarray(videos).astype(int)
    return [
        Card(
            video_id=video,
            title=title,
            channel=channel_name(int(c.channel[video])),
            duration_seconds=float(c.seconds[video]),
            age_days=max(0.0, end - float(c.uploaded[video])),
            views=int(views[video]),
            thumbnail=thumbnail(content, video),
            picture=picture_words(content, video),
        )
        for video, title in zip(videos.tolist(), content.titles(videos), strict=True)
    ]


@dataclass(frozen=True)
class Secret:
    """What the game knows and the reader does not: what each card and each place is worth."""

    videos: np.ndarray
    p_click: np.ndarray
    seen: np.ndarray
    rival: tuple[int, ...] = ()


class Rounds:
    """Deals viewers of one world, and scores the reader's pages by the truth.

    A ``rival`` is a policy that gets the same cards as the candidates of a request.
    """

    def __init__(self, world: World, rival: Policy | None = None):
        self.world, self.rival = world, rival

    def deal(self, number: int) -> Deal:
        """The viewer and the cards of a round (from 0); somebody must have 15 watches."""
        engine, memory = self.world.engine, self.world.engine.memory
        rng = generator(engine.seed, "game", 0, number)
        known = np.flatnonzero((memory.recent_videos >= 0).sum(axis=1) >= 15)
        if len(known) == 0:
            raise ConfigError("This world has no viewer with 15 watches", fix="take a larger size")
        user = rng.choice(known, 1)
        device = engine.people.device_weights[user].argmax(axis=1)
        engine.market.open(float(self.world.config.days))  # what a system that learned can know
        time = np.array([self.world.config.days + 0.8])
        viewer = engine.behaviour.situation(user, time, device)
        asked = engine.requests(viewer, np.array([-1]), memory, np.array([-1]), rng)
        videos = rng.permutation(asked.candidates[0])[:SHOWN]
        p_click = value(engine.behaviour, memory, viewer, videos[None, :], "clicks")[0]
        seen = engine.behaviour.examined(viewer.device, np.arange(1, PICKS + 1))
        return Deal(
            viewer_html=self._describe(viewer),
            cards=cards(self.world, videos, float(time[0])),
            secret=Secret(videos, p_click, seen, self._rival_page(asked, videos)),
        )

    def score(self, deal: Deal, picks, history=()) -> tuple[Figure, str]:
        """Expected clicks of the reader's page between random pages and the best page."""
        secret = deal.secret
        chance, best = _ends(secret)
        you = _worth(secret, picks)
        text = (
            f"Your page is worth <b>{you:.2f}</b> clicks in expectation, a random one "
            f"{chance.mean():.2f}, the best one {best:.2f}. You closed "
            f"<b>{_share(secret, picks):.0%}</b> of the gap and beat {np.mean(chance < you):.0%} "
            "of random pages."
        )
        if history:
            shares = [_share(secret, picks), *(_share(d.secret, own) for d, own in history)]
            text += f" Over {len(shares)} viewers: {np.mean(shares):.0%} of the gap."
        system = None
        if secret.rival:
            system = _worth(secret, secret.rival)
            text += (
                f" The system's page is worth <b>{system:.2f}</b>: "
                f"{_share(secret, secret.rival):.0%} of the gap, and more than "
                f"{np.mean(chance < system):.0%} of random pages."
            )
        return standing(chance, you, best, system), text

    def truth(self, deal: Deal) -> dict[int, str]:
        """What each card is worth, in words, by video id; and which make the oracle's page."""
        secret = deal.secret
        best = np.argsort(-secret.p_click, kind="stable")[:PICKS].tolist()
        return {
            video: f"true chance {secret.p_click[i]:.0%}"
            + (f" · the oracle's place {best.index(i) + 1}" if i in best else "")
            for i, video in enumerate(secret.videos.tolist())
        }

    def _rival_page(self, asked: Requests, videos: np.ndarray) -> tuple[int, ...]:
        if self.rival is None:
            return ()
        at = (asked.candidates[0, :, None] == videos).argmax(axis=0)
        names = ("candidates", "nominators", "previous_impressions")
        few = replace(asked, slate=PICKS, **{n: getattr(asked, n)[:, at] for n in names})
        return tuple(rank(self.rival, few, "the rival")[0].tolist())

    def _describe(self, viewer: Situation) -> str:
        world, user = self.world, int(viewer.user[0])
        people = world.engine.people
        recent = world.engine.memory.recent_videos[user]
        last = cards(world, recent[recent >= 0][:6])
        listed = "".join(f"<li>{card.title} <i>({card.channel})</i></li>" for card in last)
        return (
            f"<b>Your viewer</b> is {AGE_BANDS[people.age_band[user]]} years old, lives in "
            f"{COUNTRIES[people.country[user]]} and opens the home page on a "
            f"{DEVICES[int(viewer.device[0])]} in the {DAYPARTS[int(viewer.daypart[0])]}. "
            f"Last watched:<ul style='margin:.2em 0'>{listed}</ul>"
            f"<b>Pick {PICKS} of {SHOWN} videos</b>, the most promising first."
        )


def _worth(secret: Secret, page) -> float:
    """Clicks to be expected of a page of video ids, best first."""
    place = {video: i for i, video in enumerate(secret.videos.tolist())}
    return float(secret.p_click[[place[video] for video in page]] @ secret.seen)


def _ends(secret: Secret) -> tuple[np.ndarray, float]:
    """The same of 4,000 random pages, and of the best page."""
    order = np.random.default_rng(0).random((4_000, len(secret.videos))).argsort(axis=1)
    chance = secret.p_click[order[:, :PICKS]] @ secret.seen
    return chance, float(np.sort(secret.p_click)[::-1][:PICKS] @ secret.seen)


def _share(secret: Secret, page) -> float:
    """Share of the gap between random pages and the best one that a page closes."""
    chance, best = _ends(secret)
    return gap_closed(_worth(secret, page), chance.mean(), best)
