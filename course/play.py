"""You are the recommender: cards and rounds of the game, dealt from a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from course.errors import ConfigError
from course.pages import Card, picture_words, thumbnail
from course.plots.live import standing
from course.plots.style import Figure
from course.simulator.behaviour import Situation
from course.simulator.feed import Requests, rank
from course.simulator.names import AGE_BANDS, COUNTRIES, DAYPARTS, DEVICES, channel_name
from course.simulator.oracle import value
from course.simulator.streams import generator
from course.widgets import Deal
from course.world import World


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


def home_request(world: World, rng: np.random.Generator) -> tuple[Situation, Requests]:
    """A viewer with at least 15 watches who opens the home page, and what the platform sees.

    Returns
    -------
    the viewer's situation, and one request with its nominated candidates

    Raises
    ------
    ConfigError
        If there is no such viewer.
    """
    engine, memory = world.engine, world.engine.memory
    known = np.flatnonzero((memory.recent_videos >= 0).sum(axis=1) >= 15)
    if len(known) == 0:
        raise ConfigError("This world has no viewer with 15 watches", fix="take a larger size")
    user = rng.choice(known, 1)
    device = engine.people.device_weights[user].argmax(axis=1)
    time = np.array([world.config.days + 0.8])
    engine.market.open(float(world.config.days))  # what a system that learned can know
    viewer = engine.behaviour.situation(user, time, device)
    return viewer, engine.requests(viewer, np.array([-1]), memory, np.array([-1]), rng)


@dataclass(frozen=True)
class Secret:
    """What the game knows and the reader does not: who is watching, and each card's worth."""

    videos: np.ndarray
    p_click: np.ndarray
    seen: np.ndarray
    rival: tuple[int, ...] = ()


class Rounds:
    """Deals viewers of one world, and scores the reader's pages by the truth.

    Parameters
    ----------
    world : World
    shown : int, how many cards are dealt
    picks : int, how many make a page
    seed : int, which viewers come
    rival : optional policy; it gets the same cards as the candidates of a request
    """

    def __init__(self, world: World, *, shown: int = 12, picks: int = 4, seed: int = 0, rival=None):
        if not 1 <= picks <= shown <= world.config.candidates:
            raise ConfigError(
                f"picks={picks} of shown={shown}",
                allowed=f"1 <= picks <= shown <= {world.config.candidates}",
            )
        self.world, self.shown, self.picks, self.seed = world, shown, picks, seed
        self.rival = rival

    def deal(self, number: int) -> Deal:
        """The viewer and the cards of a round (counted from 0)."""
        engine, memory = self.world.engine, self.world.engine.memory
        rng = generator(engine.seed, "game", self.seed, number)
        viewer, asked = home_request(self.world, rng)
        videos = rng.permutation(asked.candidates[0])[: self.shown]
        p_click = value(engine.behaviour, memory, viewer, videos[None, :], "clicks")[0]
        seen = engine.behaviour.examined(viewer.device, np.arange(1, self.picks + 1))
        return Deal(
            viewer_html=self._describe(viewer),
            cards=cards(self.world, videos, float(viewer.time[0])),
            secret=Secret(videos, p_click, seen, self._rival_page(asked, videos)),
        )

    def score(self, deal: Deal, picks, history=()) -> tuple[Figure, str]:
        """Expected clicks of the reader's page between random pages and the best page."""
        you, chance, best = self._values(deal.secret, picks)
        share = (you - chance.mean()) / (best - chance.mean())
        text = (
            f"Your page is worth <b>{you:.2f}</b> clicks in expectation, a random one "
            f"{chance.mean():.2f}, the best one {best:.2f}. You closed <b>{share:.0%}</b> of the "
            f"gap and beat {np.mean(chance < you):.0%} of random pages."
        )
        if history:
            shares = [share]
            for earlier, earlier_picks in history:
                you_then, chance_then, best_then = self._values(earlier.secret, earlier_picks)
                middle = chance_then.mean()
                shares.append((you_then - middle) / (best_then - middle))
            text += f" Over {len(shares)} viewers: {np.mean(shares):.0%} of the gap."
        system = None
        if deal.secret.rival:
            system = self._values(deal.secret, deal.secret.rival)[0]
            of_gap = (system - chance.mean()) / (best - chance.mean())
            text += (
                f" The system's page is worth <b>{system:.2f}</b>: {of_gap:.0%} of the gap, and "
                f"more than {np.mean(chance < system):.0%} of random pages."
            )
        return standing(chance, you, best, system), text

    def _rival_page(self, asked, videos) -> tuple[int, ...]:
        if self.rival is None:
            return ()
        at = (asked.candidates[0, :, None] == videos).argmax(axis=0)
        cards = ("candidates", "nominators", "previous_impressions")
        few = replace(asked, slate=self.picks, **{n: getattr(asked, n)[:, at] for n in cards})
        page = rank(self.rival, few, "the rival")
        return tuple(page[0].tolist())

    def _values(self, secret: Secret, picks):
        place = {video: i for i, video in enumerate(secret.videos.tolist())}
        you = float(secret.p_click[[place[video] for video in picks]] @ secret.seen[: len(picks)])
        rng = np.random.default_rng(0)
        order = rng.random((4_000, len(secret.videos))).argsort(axis=1)[:, : self.picks]
        chance = secret.p_click[order] @ secret.seen
        best = float(np.sort(secret.p_click)[::-1][: self.picks] @ secret.seen)
        return you, chance, best

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
            f"<b>Pick {self.picks} of {self.shown} videos</b>, the most promising first."
        )
