"""The truth: what no platform observes, in closed form, for any person, video and time.

For evaluation only: nothing here may reach a model's features.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from course.errors import ConfigError
from course.simulator import laws
from course.simulator.behaviour import Behaviour
from course.simulator.memory import Memory
from course.simulator.names import DEVICES
from course.simulator.oracle import Cards

_DEVICES = ", ".join(map(str, enumerate(DEVICES)))


class Truth:
    """Truth of one world at the end of its log.

    All methods take arrays that broadcast to one shape and return float arrays of that shape.
    ``user`` and ``video`` are ids, ``time`` is in days since the start of the log (default: the
    end of the log), ``device`` an index into ``DEVICES`` (0 phone, 1 desktop, 2 TV), ``position``
    counts from 1. What a person remembers (cards shown, videos watched) is as at the end of the
    log. On a shared account the answer is about the person who is watching at that time. The
    size of the thumbnail (dial ``thumbnail_bias``) is left out: it is not the video's. Where time
    is short (dial ``time_budget``), seconds and completion are those of the first card of a page,
    with all the time still left.
    """

    def __init__(self, behaviour: Behaviour, memory: Memory, end: float):
        self._behaviour, self._memory, self.end = behaviour, memory, float(end)

    def examination(self, position, device=0) -> np.ndarray:
        """P(the position is looked at) on a device."""
        position, device = np.broadcast_arrays(position, device)
        _check("position", position, 1, 1_000, "positions count from 1, the top of the page")
        _check("device", device, 0, len(DEVICES) - 1, _DEVICES)
        return self._behaviour.examined(device, position)

    def interest(self, user, video, time=None) -> np.ndarray:
        """How well the video's subject fits the person (mean about 0, sd about 1)."""
        return self._flat(self._behaviour.taste, user, video, time, 0)

    def click_probability(self, user, video, time=None, device=0, position=None) -> np.ndarray:
        """P(click | the card is looked at), or P(click at ``position``) if a position is given."""
        appeal = self._task("click", user, video, time, device)
        if position is None:
            return expit(appeal)
        appeal, position, device = np.broadcast_arrays(appeal, position, device)
        seen = self.examination(position, device)
        return laws.click_probability(appeal, seen, self._behaviour.config.bias_truth)

    def watch_seconds(self, user, video, time=None, device=0) -> np.ndarray:
        """E[seconds watched | click]."""
        return self._worth("watch_minutes", user, video, time, device)

    def completion_probability(self, user, video, time=None, device=0) -> np.ndarray:
        """P(at least 80 % is watched | click)."""
        return self._worth("completions", user, video, time, device)

    def rating(self, user, video, time=None, device=0) -> np.ndarray:
        """Expected survey answer in stars, given a watch."""
        return laws.mean_rating(self._task("survey", user, video, time, device))

    def probability(self, task, user, video, time=None, device=0) -> np.ndarray:
        """P(like | watch), P(share | watch) or P(dismiss | the card is looked at).

        What is wanted is clicked and not dismissed, so the last is P(not wanted) P(disliked).
        """
        objectives = {"like": "likes", "share": "shares", "dismiss": "dismissals"}
        if task not in objectives:
            raise ConfigError(f"There is no task {task!r} here", allowed=", ".join(objectives))
        return abs(self._worth(objectives[task], user, video, time, device))

    def _worth(self, objective, user, video, time, device):
        def worth(situation, videos):
            return Cards(self._behaviour, self._memory, situation, videos, objective).worth

        return self._flat(worth, user, video, time, device)

    def _task(self, task, user, video, time, device):
        def score(situation, videos):
            return self._behaviour.scorer(situation, videos, self._memory)(task)

        return self._flat(score, user, video, time, device)

    def _flat(self, function, user, video, time, device):
        """Check the ids, call ``function(situation, videos)`` on flat rows, restore the shape."""
        time = self.end if time is None else time
        user, video, time, device = np.broadcast_arrays(user, video, time, device)
        people, catalogue = self._behaviour.people, self._behaviour.catalogue
        for name, ids in (("user", user), ("video", video), ("device", device)):
            if not np.issubdtype(ids.dtype, np.integer):
                raise ConfigError(f"{name} has the type {ids.dtype}", allowed="whole numbers")
        _check("user", user, 0, len(people) - 1, "the world's accounts")
        _check("video", video, 0, len(catalogue) - 1, "the world's videos")
        _check("device", device, 0, len(DEVICES) - 1, _DEVICES)
        _check("time", time, 0, self._behaviour.config.horizon, "days since the start of the log")
        situation = self._behaviour.situation(user.ravel(), time.ravel(), device.ravel())
        return function(situation, video.reshape(-1, 1))[:, 0].reshape(user.shape)


def _check(name, values, low, high, meaning) -> None:
    values = np.asarray(values)
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        raise ConfigError(
            f"{name}={values[bad].flat[0].item()!r} does not exist",
            allowed=f"{low} to {high} ({meaning})",
        )
