"""The feed: requests go in, a policy ranks, people respond.

A *policy* is any callable that takes ``Requests`` (only what a platform observes) and returns the
pages: an int array (r, k) of video ids, best first. The feed knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, ndtri

from course.errors import PolicyError
from course.simulator import laws
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.memory import Memory
from course.simulator.streams import coins

SURVEY_SHARE = 0.1
"""Share of watches after which the person is asked for a rating."""
AFTER_CLICK = ("watch", "like", "share", "survey")
"""Tasks of which a click decides."""
CHANCES = (*AFTER_CLICK, "asked")


@dataclass
class Requests:
    """What the platform observes when a page is asked for. One row per request (r rows).

    Attributes
    ----------
    request : (r,) int64, a number that identifies the request
    user, device, daypart, surface : (r,) int; ``surface`` is 0 home, 1 up next
    time : (r,) float64, days since the start of the log
    query_video : (r,) int32, the video being watched (up next), -1 on the home page
    candidates : (r, c) int32 or None, the nominated videos; None = the whole catalogue
    nominators : (r, c) int8 or None, which source nominated each candidate (``NOMINATORS``)
    previous_impressions : (r, c) int or None, how often this account was shown the candidate
    recent_videos, recent_tokens : (r, 50) int32, last watches and search tokens, newest first,
        -1 = none
    slate : int, how many videos a page shows
    available : int, ids below this number are uploaded already
    """

    request: np.ndarray
    user: np.ndarray
    time: np.ndarray
    device: np.ndarray
    daypart: np.ndarray
    surface: np.ndarray
    query_video: np.ndarray
    candidates: np.ndarray | None
    nominators: np.ndarray | None
    previous_impressions: np.ndarray | None
    recent_videos: np.ndarray
    recent_tokens: np.ndarray
    slate: int
    available: int

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, index) -> Requests:
        """Some of the requests (int or bool index, or slice)."""
        arrays = {k: v[index] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)


Policy = Callable[[Requests], np.ndarray]


@dataclass
class Feedback:
    """What happened on the pages, (r, k) each, and the truth behind it.

    ``survey`` is 0 where nobody was asked. The expectations from ``expected_seconds`` on are given
    a click at that place of that page.
    """

    clicked: np.ndarray
    watched_seconds: np.ndarray
    completed: np.ndarray
    liked: np.ndarray
    dismissed: np.ndarray
    shared: np.ndarray
    survey: np.ndarray
    large_thumbnail: np.ndarray
    p_seen: np.ndarray
    p_click_if_seen: np.ndarray
    p_click: np.ndarray
    p_dismiss: np.ndarray
    expected_seconds: np.ndarray
    expected_rating: np.ndarray
    p_satisfied: np.ndarray
    p_complete: np.ndarray
    p_like: np.ndarray
    p_share: np.ndarray


def failed(who: str, error: BaseException) -> PolicyError:
    """What to raise when code of somebody else raised: it says whose code that was."""
    fix = "change a copy, such as own = array.copy()" if "read-only" in str(error) else ""
    return PolicyError(f"{who} failed: {type(error).__name__}: {error}", fix=fix)


def _ask(policy: Policy, name: str, requests: Requests) -> np.ndarray:
    """A policy's answer. Whatever it does with its requests, nobody else's requests change.

    It gets copies rather than read-only views, which torch would write through (and warn about).
    """
    own = {key: a.copy() for key, a in vars(requests).items() if isinstance(a, np.ndarray)}
    try:
        answer = policy(replace(requests, **own))
    except (Exception, SystemExit) as error:
        if isinstance(error, PolicyError) and repr(name) in error.what:
            raise  # it says already whose fault it is
        raise failed(f"The policy {name!r}", error) from error
    for key, values in own.items():
        if not np.array_equal(values, getattr(requests, key)):
            raise PolicyError(
                f"The policy {name!r} changed requests.{key} in place",
                allowed="reading what a request says",
                fix=f"copy first: {key} = requests.{key}.copy()",
            )
    return answer


def rank(policy: Policy, requests: Requests, name: str = "") -> np.ndarray:
    """Ask a policy for its pages and check them. Every policy of the course is asked here.

    Parameters
    ----------
    name : what errors call it by; "" = the name of the function or class

    Returns
    -------
    int32 array (r, slate) of its own; what the policy returned beyond the slate is cut

    Raises
    ------
    PolicyError
        When the policy raises, changes its requests in place, or returns the wrong type or shape,
        a video that is not uploaded yet, was not nominated, or stands on one page twice.
    """
    if not len(requests):  # nobody asked: spare policies the special case
        return np.zeros((0, requests.slate), dtype=np.int32)
    name = name or getattr(policy, "__name__", type(policy).__name__)
    want = f"an integer array of shape ({len(requests)}, {requests.slate}), best video first"

    def wrong(what, allowed=want, fix=""):
        return PolicyError(f"The policy {name!r} {what}", allowed=allowed, fix=fix)

    answer = _ask(policy, name, requests)
    try:
        pages = np.asarray(answer)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, odd tensors
        raise wrong(f"returned no array ({error})") from error
    if pages.ndim != 2 or len(pages) != len(requests) or pages.shape[1] < requests.slate:
        raise wrong(f"returned an array of shape {pages.shape}")
    if not np.issubdtype(pages.dtype, np.integer):
        raise wrong(f"returned values of type {pages.dtype}")
    pages = pages[:, : requests.slate]
    bad = (pages < 0) | (pages >= requests.available)
    if bad.any():
        raise wrong(
            f"returned the unknown video {int(pages[bad][0])}",
            f"ids from 0 to {requests.available - 1}, the videos uploaded by then",
            "rank only videos that requests.available or requests.candidates offer",
        )
    ordered = np.sort(pages, axis=1)
    row, place = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    if len(row):
        raise wrong(
            f"put video {ordered[row[0], place[0]]} twice on the page of request row {row[0]}",
            "each video at most once on a page",
        )
    if requests.candidates is not None:
        offered = (pages[:, :, None] == requests.candidates[:, None, :]).any(axis=2)
        row, place = np.nonzero(~offered)
        if len(row):
            raise wrong(
                f"showed video {pages[row[0], place[0]]} in request row {row[0]}, "
                "which was not nominated",
                "videos in the same row of requests.candidates",
            )
    return pages.astype(np.int32)


def respond(
    behaviour: Behaviour,
    memory: Memory,
    situation: Situation,
    request: np.ndarray,
    pages: np.ndarray,
    seed: int,
) -> Feedback:
    """Let people (r,) respond to pages (r, k) of videos, from the top position down.

    Each response hangs on a coin that is keyed on (request, video), not on position or policy:
    ``request`` (r,) int are the numbers of the requests.
    """
    config, number = behaviour.config, request[:, None]
    score = behaviour.scorer(situation, pages, memory)

    # Seen, and wanted; or neither wanted nor liked: nobody dismisses what they click.
    place = np.arange(1, pages.shape[1] + 1)
    p_seen = behaviour.examined(situation.device[:, None], place)
    large, appeal = coins(seed, "large thumbnail", number, pages) < 0.5, score("click")
    if config.thumbnail_bias:
        appeal = appeal + config.thumbnail_bias * (large - 0.5)
    p_if_seen = expit(appeal)
    p_click = laws.click_probability(appeal, p_seen, config.bias_truth)
    clicked = coins(seed, "click", number, pages) < p_click
    p_dismiss = p_seen * (1.0 - p_if_seen) * expit(score("dismiss"))
    chance = np.minimum(p_dismiss / np.maximum(1.0 - p_click, 1e-9), 1.0)

    # What follows a click: expected of each card, and drawn where there was one.
    latent = {task: score(task) for task in AFTER_CLICK}
    row, column = np.nonzero(clicked)
    viewer, video = situation.rows(row), pages[row, column]
    outcome = after_click(
        behaviour,
        viewer,
        video,
        {task: values[row, column] for task, values in latent.items()},
        {name: coins(seed, name, request[row], video) for name in CHANCES},
        [coins(seed, name, request[row], 0) for name in ("time kind", "time")],
        page=row,
    )

    def placed(values):
        out = np.zeros(pages.shape, values.dtype)
        out[row, column] = values
        return out

    return Feedback(
        clicked=clicked,
        dismissed=~clicked & (coins(seed, "dismiss", number, pages) < chance),
        large_thumbnail=large,
        p_seen=np.broadcast_to(p_seen, pages.shape),
        p_click_if_seen=p_if_seen,
        p_click=p_click,
        p_dismiss=p_dismiss,
        **{name: placed(values) for name, values in outcome.items()},
        **_expected_watch(behaviour, situation, pages, latent["watch"], p_click),
        expected_rating=laws.mean_rating(latent["survey"]),
        p_satisfied=laws.satisfied_probability(latent["survey"]),
        p_like=expit(latent["like"]) * behaviour.people.logged_in[situation.user][:, None],
        p_share=expit(latent["share"]),
    )


def after_click(
    behaviour: Behaviour,
    situation: Situation,
    video: np.ndarray,
    latent: dict[str, np.ndarray],
    uniforms: dict[str, np.ndarray],
    time: Sequence[np.ndarray],
    page: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Outcomes of m watches: seconds, completion, like, share, survey answer (0 = not asked).

    What one watch takes, the next on its page does not get. Whoever has no time left opens the
    video and leaves at once (a watch of one second); opinions do not hang on the time.

    There is an array (m,) of latents (`Behaviour.score`) for each of ``AFTER_CLICK``, of uniforms
    for each of ``CHANCES``, and two for the time that the person has for the whole page. Rows of
    one ``page`` (m,) int stand together and from the top down; None = each on its own.
    """
    share = laws.watched_share(latent["watch"], ndtri(uniforms["watch"]))
    duration = behaviour.catalogue.seconds[video]
    seconds, completed = share * duration, share >= laws.COMPLETE_AT
    if behaviour.config.time_budget:
        left = laws.time_budget(behaviour.time_mean(situation)[:, 0], *time)
        if page is not None:
            left = left - laws.wanted_above(seconds, page)
        completed &= left >= laws.COMPLETE_AT * duration
        seconds = np.minimum(seconds, left)
    stars = laws.rating(latent["survey"], ndtri(uniforms["survey"]))
    logged_in = behaviour.people.logged_in[situation.user]  # others have no like button
    return {
        "watched_seconds": np.maximum(1.0, seconds).astype(np.float32),
        "completed": completed,
        "liked": (uniforms["like"] < expit(latent["like"])) & logged_in,
        "shared": uniforms["share"] < expit(latent["share"]),
        "survey": np.where(uniforms["asked"] < SURVEY_SHARE, stars, 0).astype(np.int8),
    }


def _expected_watch(behaviour, situation, pages, latent, p_click) -> dict[str, np.ndarray]:
    """Seconds and P(completion) of each card (r, k), if it is clicked and with the time left."""
    seconds, p_complete = behaviour.catalogue.seconds[pages], laws.completion_probability(latent)
    if not behaviour.config.time_budget:
        share = laws.mean_watched_share(latent)
        return {"expected_seconds": share * seconds, "p_complete": p_complete}
    mean = behaviour.time_mean(situation)
    out = laws.runs_out(latent, seconds, mean)
    left = laws.time_left(p_click, out)
    done = 1.0 - laws.budget_cdf(laws.COMPLETE_AT * seconds, mean)
    return {
        "expected_seconds": mean * ((left * out) @ laws.BUDGET_SCALES),
        "p_complete": p_complete * np.einsum("rki,rki->rk", left, done),
    }
