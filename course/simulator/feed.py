"""The feed: requests go in, a policy ranks, people respond.

A *policy* is any callable that takes ``Requests`` (only what a platform observes) and returns the
pages: an int array (r, k) of video ids, best first. The feed knows no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, ndtri

from course.errors import PolicyError
from course.simulator import laws
from course.simulator.behaviour import Behaviour, Situation
from course.simulator.memory import Memory
from course.simulator.streams import coins

SURFACES = ("home", "up_next")
SURVEY_SHARE = 0.1
"""Share of watches after which the person is asked for a rating."""


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
    """What happened on the pages (r, k each). Times in seconds; ``survey`` 0 = not asked.

    ``p_seen``, ``p_click_if_seen`` and ``p_click`` are the truth behind the click;
    ``expected_seconds`` and ``expected_rating`` the truth behind the watch, given a click there.
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
    expected_seconds: np.ndarray | None = None
    expected_rating: np.ndarray | None = None
    p_satisfied: np.ndarray | None = None
    p_complete: np.ndarray | None = None
    p_like: np.ndarray | None = None
    p_share: np.ndarray | None = None


def named(policy: Policy, name: str) -> Policy:
    """The same policy under the name that errors shall call it by."""

    def ask(requests: Requests) -> np.ndarray:
        return policy(requests)

    ask.__name__ = str(name)
    return ask


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


def rank(policy: Policy, requests: Requests) -> np.ndarray:
    """Ask a policy for its pages and check them. Every policy of the course is asked here.

    Returns
    -------
    int32 array (r, slate) of its own; what the policy returned beyond the slate is cut

    Raises
    ------
    PolicyError
        When the policy raises, changes its requests in place, returns the wrong type or shape
        (pages shorter than the slate, too), a video that does not exist, is not uploaded yet, was
        not nominated, or stands on one page twice.
    """
    if not len(requests):  # nobody asked: spare policies the special case
        return np.zeros((0, requests.slate), dtype=np.int32)
    name = getattr(policy, "__name__", type(policy).__name__)
    want = f"an integer array of shape ({len(requests)}, {requests.slate}), best video first"
    answer = _ask(policy, name, requests)
    try:
        pages = np.asarray(answer)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length, odd tensors
        raise PolicyError(
            f"The policy {name!r} returned no array ({error})", allowed=want
        ) from error
    if pages.ndim != 2 or len(pages) != len(requests) or pages.shape[1] < requests.slate:
        raise PolicyError(
            f"The policy {name!r} returned an array of shape {pages.shape}", allowed=want
        )
    if not np.issubdtype(pages.dtype, np.integer):
        raise PolicyError(
            f"The policy {name!r} returned values of type {pages.dtype}", allowed=want
        )
    pages = pages[:, : requests.slate]
    bad = (pages < 0) | (pages >= requests.available)
    if bad.any():
        raise PolicyError(
            f"The policy {name!r} returned the unknown video {int(pages[bad][0])}",
            allowed=f"ids from 0 to {requests.available - 1}, the videos uploaded by then",
            fix="rank only videos that requests.available or requests.candidates offer",
        )
    ordered = np.sort(pages, axis=1)
    twice = ordered[:, 1:] == ordered[:, :-1]
    if twice.any():
        row = int(np.flatnonzero(twice.any(axis=1))[0])
        raise PolicyError(
            f"The policy {name!r} put video {int(ordered[row, 1:][twice[row]][0])} "
            f"twice on the page of request row {row}",
            allowed="each video at most once on a page",
        )
    if requests.candidates is not None:
        offered = (pages[:, :, None] == requests.candidates[:, None, :]).any(axis=2)
        if not offered.all():
            row = int(np.flatnonzero(~offered.all(axis=1))[0])
            raise PolicyError(
                f"The policy {name!r} showed video {int(pages[row][~offered[row]][0])} "
                f"in request row {row}, which was not nominated",
                allowed="videos in the same row of requests.candidates",
            )
    return pages.astype(np.int32)


def respond(
    behaviour: Behaviour,
    memory: Memory,
    situation: Situation,
    request: np.ndarray,
    pages: np.ndarray,
    seed: int,
    *,
    expectations: bool = True,
) -> Feedback:
    """Let people respond to pages.

    Each response depends on a coin that is keyed on (request, video) and not on the position or
    the policy, so that two policies can be compared on the same people and the same luck.

    Parameters
    ----------
    situation : r rows
    request : (r,) int, the request numbers (they key the coins)
    pages : (r, k) int, videos from the top position down
    expectations : bool, also compute the exact expectations of what follows a click
    """
    config = behaviour.config
    components = behaviour.components(situation, pages, memory)
    position = np.arange(1, pages.shape[1] + 1)[None, :]
    p_seen = behaviour.examined(situation.device[:, None], position)
    large = coins(seed, "large thumbnail", request[:, None], pages) < 0.5
    context = behaviour.weight_row(situation, pages)
    appeal = behaviour.score("click", situation, pages, components, context)
    if config.thumbnail_bias:
        appeal = appeal + config.thumbnail_bias * (large - 0.5)
    p_if_seen = expit(appeal)
    p_click = laws.click_probability(appeal, p_seen, config.bias_truth)
    clicked = coins(seed, "click", request[:, None], pages) < p_click
    # Nobody dismisses what they click: P(dismiss) = P(seen) P(not wanted) P(disliked).
    disliked = expit(behaviour.score("dismiss", situation, pages, components, context))
    p_dismiss = p_seen * (1.0 - p_if_seen) * disliked
    chance = np.minimum(p_dismiss / np.maximum(1.0 - p_click, 1e-9), 1.0)
    dismissed = ~clicked & (coins(seed, "dismiss", request[:, None], pages) < chance)
    feedback = Feedback(
        clicked=clicked,
        watched_seconds=np.zeros(pages.shape, np.float32),
        completed=np.zeros(pages.shape, bool),
        liked=np.zeros(pages.shape, bool),
        dismissed=dismissed,
        shared=np.zeros(pages.shape, bool),
        survey=np.zeros(pages.shape, np.int8),
        large_thumbnail=large,
        p_seen=np.broadcast_to(p_seen, pages.shape),
        p_click_if_seen=p_if_seen,
        p_click=p_click,
        p_dismiss=p_dismiss,
    )
    row, column = np.nonzero(clicked)
    video = pages[row, column]
    key = request[row]
    uniforms = {
        purpose: coins(seed, purpose, key, video)
        for purpose in ("watch", "like", "share", "survey", "asked")
    }
    watcher, budget = situation.rows(row), None
    if config.time_budget:
        chances = coins(seed, "time kind", key, 0), coins(seed, "time", key, 0)
        budget = laws.time_budget(behaviour.time_mean(watcher)[:, 0], *chances)
    outcome = after_click(behaviour, watcher, video, components[row, column], uniforms, budget, row)
    for name, values in outcome.items():
        getattr(feedback, name)[row, column] = values
    if expectations:
        _expect(behaviour, situation, pages, components, context, feedback)
    return feedback


def after_click(
    behaviour, situation, video, components, uniforms, budget=None, page=None
) -> dict[str, np.ndarray]:
    """Outcomes of m watches: seconds, completion, like, share, survey answer (0 = not asked).

    What one watch takes, the next on its page does not get. Whoever has no time left opens the
    video and leaves at once (a watch of one second); opinions do not hang on the time.

    Parameters
    ----------
    situation : m rows
    video : (m,) int
    components : (m, 13)
    uniforms : dict of (m,) arrays in (0, 1): "watch", "like", "share", "survey", "asked"
    budget : seconds (m,) that the person has for the whole page; None = no end
    page : (m,) int, rows of one page together and from the top down; None = each on its own
    """
    context = behaviour.weight_row(situation, video[:, None])

    def score(task):
        return behaviour.score(task, situation, video[:, None], components[:, None], context)[:, 0]

    share = laws.watched_share(score("watch"), ndtri(uniforms["watch"]))
    duration = behaviour.catalogue.seconds[video]
    seconds, completed = share * duration, share >= laws.COMPLETE_AT
    if budget is not None:
        left = budget if page is None else budget - laws.wanted_above(seconds, page)
        completed &= left >= laws.COMPLETE_AT * duration
        seconds = np.minimum(seconds, left)
    stars = laws.rating(score("survey"), ndtri(uniforms["survey"]))
    logged_in = behaviour.people.logged_in[situation.user]  # others have no like button
    return {
        "watched_seconds": np.maximum(1.0, seconds).astype(np.float32),
        "completed": completed,
        "liked": (uniforms["like"] < expit(score("like"))) & logged_in,
        "shared": uniforms["share"] < expit(score("share")),
        "survey": np.where(uniforms["asked"] < SURVEY_SHARE, stars, 0).astype(np.int8),
    }


def _expect(behaviour, situation, pages, components, context, feedback) -> None:
    def score(task):
        return behaviour.score(task, situation, pages, components, context)

    watch, seconds = score("watch"), behaviour.catalogue.seconds[pages]
    feedback.p_complete = laws.completion_probability(watch)
    if behaviour.config.time_budget:
        mean = behaviour.time_mean(situation)
        out = laws.runs_out(watch, seconds, mean)
        left = laws.time_left(feedback.p_click, out)
        feedback.expected_seconds = mean * ((left * out) @ laws.BUDGET_SCALES)
        done = laws.budget_cdf(laws.COMPLETE_AT * seconds, mean)
        feedback.p_complete = feedback.p_complete * np.einsum("rki,rki->rk", left, 1.0 - done)
    else:
        feedback.expected_seconds = laws.mean_watched_share(watch) * seconds
    opinion = score("survey")
    feedback.expected_rating = laws.mean_rating(opinion)
    feedback.p_satisfied = laws.satisfied_probability(opinion)
    feedback.p_like = expit(score("like")) * behaviour.people.logged_in[situation.user][:, None]
    feedback.p_share = expit(score("share"))
