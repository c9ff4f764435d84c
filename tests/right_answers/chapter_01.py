"""Right answers to the exercises of chapter 01, written in other ways than the reference."""

import numpy as np
from scipy.special import expit


def click_one_by_one(ingredients, weights, start, seen):
    ingredients, weights = np.asarray(ingredients), np.asarray(weights)
    seen, out = np.asarray(seen), np.empty(np.shape(seen))
    for at in np.ndindex(out.shape):
        z = start + float(weights[at] @ ingredients[at])
        out[at] = seen[at] / (1 + np.exp(-z))
    return out


def click_single(ingredients, weights, start, seen):
    z = np.einsum("...c,...c->...", np.float32(ingredients), np.float32(weights))
    return np.float32(seen) * expit(z + np.float32(start))


def past_page_by_page(share, follows, clicks, shown, watches, luck, watched, weights=(1, 1, 0.5)):
    pages = []
    for row in range(len(share)):
        taste = share[row] ** 0.5 + 0.2 * follows[row]
        earlier = np.log(clicks[row] + 2) - np.log(shown[row] + 50)
        parts = taste, earlier, np.log(watches[row] + 1)
        fit, rate, known = ((part - part.mean()) / part.std() for part in parts)
        score = weights[0] * (fit + rate) * 0.5**0.5 + weights[1] * known + weights[2] * luck[row]
        pages.append(np.where(watched[row], score - 10, score))
    return pages


def past_single(share, follows, clicks, shown, watches, luck, watched, weights=(1, 1, 0.5)):
    given = share, follows, clicks, shown, watches, luck, watched
    return np.float32(past_page_by_page(*(np.asarray(x, np.float32) for x in given), weights))


def error_of_coins(rate, shown):
    variance = [(r - r**2) / n for r, n in zip(rate, shown, strict=True)]
    return [v**0.5 for v in variance]


def error_single(rate, shown):
    rate = np.float32(rate)
    return (rate * (1 - rate) / np.float32(shown)) ** np.float32(0.5)


def bias_in_turns(clicks, shown):
    """A rate for each video and a factor for each position, fitted in turns."""
    factor = np.ones(clicks.shape[1])
    for _ in range(200):
        rate = clicks.sum(axis=1) / (shown * factor).sum(axis=1)
        factor = clicks.sum(axis=0) / (shown * rate[:, None]).sum(axis=0)
        factor = factor / factor[0]
    return factor


def bias_video_by_video(clicks, shown):
    out = []
    for k in range(clicks.shape[1]):
        above = below = 0.0
        for c, n in zip(clicks, shown, strict=True):
            if n[0] + n[k]:
                above += c[k] * n[0] / (n[0] + n[k])
                below += c[0] * n[k] / (n[0] + n[k])
        out.append(above / below)
    return np.float32(out)


def time_one_by_one(wanted, has):
    out = np.zeros(wanted.shape)
    for page, seconds in enumerate(has):
        left = seconds
        for place, want in enumerate(wanted[page]):
            out[page, place] = min(want, left)
            left -= out[page, place]
    return out


def time_as_difference(wanted, has):
    until = np.minimum(np.float32(wanted).cumsum(axis=1), np.float32(has)[:, None])
    return np.diff(until, axis=1, prepend=0)


RIGHT = {
    "01-click": [click_one_by_one, click_single],
    "01-past-ranking": [past_page_by_page, past_single],
    "01-noise": [error_of_coins, error_single],
    "01-same-video": [bias_in_turns, bias_video_by_video],
    "01-time": [time_one_by_one, time_as_difference],
}
