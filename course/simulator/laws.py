"""The laws of behaviour: small pure functions, each with its equation.

Nothing here knows about users, tables or policies. Every law has a test against a closed form or
a brute-force simulation (``tests/test_laws.py``). All functions are vectorised over NumPy arrays.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, ndtr

COMPLETE_AT = 0.8
"""A watch counts as completed from this share of the video's duration on."""

WATCH_NOISE = 1.0
"""Standard deviation of the noise in the watched share, on the logit scale."""

RATING_NOISE = 0.8
"""Standard deviation of the noise in a survey answer, in stars."""

SHARES_OF_INTEREST = np.array([0.45, 0.27, 0.17, 0.11], dtype=np.float32)
"""Weights of a person's four interests; they sum to one."""

BUDGET_SHARES = np.array([6, 5, 1], dtype=np.float32) / 12
BUDGET_SCALES = np.array([0.5, 1.0, 4.0], dtype=np.float32)
"""Kinds of time budget: how frequent, and their means as multiples of the mean of all."""
# 9-point rule for E[f(N(0, 1))]; exact for polynomials up to degree 17.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))``."""
    return expit(x)


def popularity(age_days, base, peak_days, freshness=1.0):
    r"""Rate at which a video is found by people, relative to others.

    .. math:: b\,[(1-f)\;+\;f\,((a/\tau)e^{1-a/\tau} + 0.06\,(1-e^{-a/\tau}))],\quad a>0

    It is 0 before the upload (age a < 0, in days), rises to about ``base`` b at age ``peak_days``
    :math:`\tau` and decays to an evergreen floor of 6 %. With ``freshness=0`` it is b throughout.
    """
    ratio = np.maximum(age_days, 0.0) / peak_days
    decay = np.exp(-ratio)
    shape = ratio * decay * np.e + 0.06 * (1.0 - decay)
    shape = (1.0 - freshness) + freshness * shape
    return np.where(age_days > 0, base * shape, 0.0)


def examination(position, exponent, strength=1.0):
    r"""Probability that a person looks at a position: :math:`\theta_k = k^{-p\,s}`.

    Position k counts from 1; the exponent p is the device's, the strength s is the dial
    ``position_bias``. At s = 0 every position is seen.
    """
    return np.power(np.asarray(position, dtype=np.float64), -np.asarray(exponent) * strength)


def click_probability(appeal, examined, truth="examination"):
    r"""Probability of a click at a position, in one of the two worlds of position bias.

    * ``"examination"``: :math:`P = \theta_k\,\sigma(a)` (looked at, then wanted: a product);
    * ``"additive"``: :math:`P = \sigma(a + \log\theta_k)` (position shifts the logit: a sum).

    The appeal a is the logit of a click where the card is surely seen.
    """
    if truth == "additive":
        return expit(appeal + np.log(examined))
    return examined * expit(appeal)


def watched_share(latent, noise):
    r"""Share of a video that is watched: :math:`\sigma(m + 1.0\,\varepsilon)`, normal noise."""
    return expit(latent + WATCH_NOISE * noise)


def mean_watched_share(latent):
    r"""Expected watched share :math:`E[\sigma(m + \varepsilon)]` by 9-point Gauss-Hermite."""
    latent = np.asarray(latent)
    total = np.zeros(latent.shape, dtype=np.result_type(latent.dtype, np.float32))
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * expit(latent + total.dtype.type(WATCH_NOISE * node))
    return total


def completion_probability(latent):
    r"""P(watched share >= 0.8) :math:`= \Phi((m - \mathrm{logit}\,0.8) / 1.0)`, exact."""
    return ndtr((latent - np.log(COMPLETE_AT / (1.0 - COMPLETE_AT))) / WATCH_NOISE)


def overlong(seconds, mean):
    r"""Log-length that a video seems to gain where it exceeds people's time: 4 log+(d / mu)."""
    return 4.0 * np.maximum(np.log(seconds / mean), 0.0)


def time_budget(mean, kind, amount):
    r"""Seconds that a person has: :math:`B = \mu\,s_i\,(-\log u)`, kind i with its share.

    A mixture of three exponentials has a heavy tail (sd 1.66 means), and yet a page as a whole
    has a closed form: time that is exponential has no memory, so what is left at a card hangs on
    the kind alone. ``kind`` and ``amount`` are uniforms in (0, 1) of the shape of ``mean``.
    """
    index = np.searchsorted(np.cumsum(BUDGET_SHARES)[:-1], kind)
    return mean * BUDGET_SCALES[index] * -np.log(amount)


def wanted_above(wanted, page):
    """Seconds wanted further up on the same page (m,); rows from the top down, page by page."""
    before = np.cumsum(wanted) - wanted
    first = np.diff(page, prepend=-1) != 0
    return before - np.maximum.accumulate(np.where(first, before, 0.0))


def budget_cdf(seconds, mean):
    r"""P(a budget of each kind is over by then) :math:`1 - e^{-t/(\mu s_i)}` (..., 3)."""
    return np.stack(_over_by_kind(seconds / mean), axis=-1)


def _over_by_kind(time):
    long = -np.expm1(time / -BUDGET_SCALES[2])
    half = long * (2 - long)  # 1 - e^-2t is x (2 - x) with x = 1 - e^-t
    usual = half * (2 - half)
    return usual * (2 - usual), usual, long


def runs_out(latent, seconds, mean):
    r"""P(a fresh budget of each kind ends within a watch) :math:`x_i = 1 - E[e^{-W/(\mu s_i)}]`.

    ``W`` is the time wanted, watched share (its logit without noise is ``latent``) times the
    ``seconds`` of the video; 9-point Gauss-Hermite. The watch itself then lasts
    :math:`E[\min(W, B_i)] = \mu s_i\,x_i`. Arrays (...); returns float32 (..., 3).
    """
    time, total = np.asarray(seconds / mean, np.float32), [np.float32(0)] * 3
    for node, weight in zip(_NODES.astype(np.float32), _WEIGHTS.astype(np.float32), strict=True):
        over = _over_by_kind(watched_share(latent, node) * time)
        total = [sum_ + weight * x for sum_, x in zip(total, over, strict=True)]
    return np.stack(total, axis=-1)


def time_left(p_click, out):
    r"""P(kind i, and time is left at card k) (r, k, 3): :math:`w_i\prod_{j<k}(1 - p_j x_{ji})`.

    ``p_click`` (r, k) from the top of the page down, ``out`` (r, k, 3) as of `runs_out`.
    """
    stays = 1.0 - p_click[..., None] * out
    stays = np.concatenate([np.ones_like(stays[:, :1]), stays[:, :-1]], axis=1)
    return BUDGET_SHARES * np.cumprod(stays, axis=1)


def rating(latent, noise):
    """Stars 1 to 5: the latent opinion plus noise, rounded to the nearest allowed star."""
    return np.clip(np.rint(latent + RATING_NOISE * noise), 1, 5)


def mean_rating(latent):
    r"""Expected stars :math:`1 + \sum_{s=2}^{5}\Phi((r - s + \tfrac12)/0.8)`, exact."""
    latent = np.asarray(latent)
    return 1.0 + sum(ndtr((latent - star + 0.5) / RATING_NOISE) for star in (2, 3, 4, 5))


def satisfied_probability(latent):
    r"""P(4 or 5 stars) :math:`= \Phi((r - 3.5)/0.8)`, exact."""
    return ndtr((np.asarray(latent) - 3.5) / RATING_NOISE)


def freshness_appeal(age_days):
    r"""Extra appeal of a new video: :math:`e^{-a/7} - 0.2` (0.8 when new, -0.2 when old)."""
    return np.exp(-np.maximum(age_days, 0.0) / 7.0) - 0.2


def fatigue(previous_impressions):
    """How tired a person is of seeing a card: ``log(1 + n)`` earlier impressions."""
    return np.log1p(previous_impressions)


def ladder_place(genre_watches):
    r"""Place on a genre's ladder: :math:`\min(2, \log_2(1+n)/2.5)`, 0 mainstream, 2 niche."""
    return np.minimum(2.0, np.log2(1.0 + genre_watches) / 2.5)


def ladder_gap(level, place, ladder=1.0):
    r"""How near a video's level is to the person's place: :math:`\lambda\,(0.8 - |\ell - p|)`.

    0.8 is about the mean distance, so that the dial moves who wants what rather than how much is
    wanted. With ``ladder=0`` it is 0 for everybody.
    """
    return ladder * (0.8 - np.abs(level - place))


def satiation(share, strength=1.0):
    r"""Appetite for a genre that fills ``share`` of the recent watches: :math:`8\,q(0.35-q)`.

    It rises first (more of what I just found), peaks at a share of 0.175 and falls below zero when
    one genre fills more than 0.35 of the recent watches.
    """
    return strength * 8.0 * share * (0.35 - share)


def mood_gain(stars):
    r"""What a click on a page does to the mood: :math:`(r - 4)/5`, r the stars to expect."""
    return (np.asarray(stars) - 4.0) / 5.0


def comes_back(mood, strength=1.0):
    r"""Factor on how often a person comes: :math:`e^{s\,\min(\max(m, -2), 1)}`."""
    return np.exp(strength * np.clip(mood, -2.0, 1.0))


def by_odds(odds, uniforms):
    """Pick one column per row (n,) by odds (n, m), with uniforms (n,) in (0, 1)."""
    cumulative = np.cumsum(odds, axis=1)
    chosen = (uniforms[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)
    return np.minimum(chosen, odds.shape[1] - 1)


def choose(utilities, uniforms):
    r"""Pick one column per row (n,) with :math:`P(i) = e^{u_i}/\sum_j e^{u_j}` (Gumbel-max).

    A utility (n, m) of ``-inf`` marks an option that is not there; -1 where a row has none at all.
    ``uniforms`` (n, m) are in (0, 1).
    """
    noisy = utilities - np.log(-np.log(uniforms))
    chosen = np.argmax(noisy, axis=1)
    none = ~np.isfinite(noisy[np.arange(len(noisy)), chosen])
    return np.where(none, -1, chosen)
