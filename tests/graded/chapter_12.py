"""Graded variants of chapter 12, the whole system. Never handed out."""

import numpy as np

from course.exercises import Mistake
from course.workshop.variants import Variant


def _fused(shift, most):
    def fused(scores, size, shift=shift, most=most, best=True):
        rank = (-scores).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") + 1
        worth = np.where(rank <= most, 1.0 / (shift + rank), 0.0)
        worth = worth.sum(axis=2) if best is True else best(worth)
        return (-worth.round(12)).argsort(axis=1, kind="stable")[:, :size]

    def cases(rng):
        for n, videos, sources in ((2, 30, 2), (3, 40, 3), (4, 60, 4)):
            common = rng.normal(size=(n, videos, 1))
            yield common + rng.normal(size=(n, videos, sources)), 3

    return {
        "reference": lambda scores, size: fused(scores, size),
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda scores, size: fused(scores, size, best=lambda w: w.max(axis=2)),
                "Who is named by several sources collects from all of them.",
            ),
            Mistake(
                lambda scores, size: scores.sum(axis=2).argsort(axis=1)[:, ::-1][:, :size],
                "Scores of different sources have no common unit; add what places are worth.",
            ),
        ),
    }


def _page(most, fade):
    def page(scores, channel, k, most=most, fade=fade, again=True):
        left, count, chosen = np.asarray(scores, float).copy(), np.zeros(channel.max() + 1, int), []
        for _ in range(k):
            now = left * fade ** count[channel] if again else left
            now = np.where(count[channel] < most, now, -np.inf)
            best = int(np.argmax(np.where(np.isin(np.arange(len(left)), chosen), -np.inf, now)))
            chosen.append(best)
            count[channel[best]] += 1
        return np.array(chosen)

    def cases(rng):
        for n, channels in ((24, 4), (40, 6), (60, 7)):
            channel = rng.integers(channels, size=n)
            channel[:channels], channel[-8:] = np.arange(channels), 0
            scores = rng.uniform(1, 2, n) * np.where(channel == 0, 3 / fade**most, 1)
            yield scores, channel, 10

    def unlike(scores, channel, k):
        return page(scores, channel, k, fade=1.0)

    return {
        "reference": lambda scores, channel, k: page(scores, channel, k),
        "cases": cases,
        "mistakes": (
            Mistake(unlike, "Each card of a channel makes its next one worth less."),
            Mistake(lambda *a: page(*a, most=99), "A channel has more cards than it may have."),
        ),
    }


VARIANTS = (
    Variant(
        id="12-graded-fused",
        title="Sources that vote",
        points=4,
        draw=lambda rng: {
            "shift": int(rng.integers(0, 61)),
            "most": int(rng.integers(4, 13)),
        },
        statement="""
Several sources give scores (n, V, sources) to all videos; their units differ. In each source, the video of place r
(1 for the highest score) gets 1 / ({{shift}} + r), if r is at most {{most}}, else nothing. What a video got from
all sources is added. Give the videos (n, size) with the largest sums, the best first; where sums are level,
the smaller number first.""",
        stub='''
def fused(scores, size):
    """Videos (n, size) by the places in sources, from scores (n, V, sources)."""
    ...  # your code
''',
        make=_fused,
        example=(np.array([[[0.1, 9.0], [0.9, 8.0], [0.5, 1.0]]]), 2),
        right=(
            """
def fused(scores, size):
    rows = []
    for one in scores:
        worth = [0.0] * len(one)
        for source in one.T:
            for place, video in enumerate(np.argsort(-source)[:{{most}}]):
                worth[video] += 1 / ({{shift}} + place + 1)
        rows.append(sorted(range(len(one)), key=lambda v: (-round(worth[v], 12), v))[:size])
    return np.array(rows)
""",
        ),
        wrong=(
            """
def fused(scores, size):
    place = (-scores).argsort(axis=1).argsort(axis=1) + 1
    return (-(1 / (1 + {{shift}} + {{most}} + place.min(axis=2)))).argsort(axis=1, kind="stable")[:, :size]
""",
        ),
    ),
    Variant(
        id="12-graded-page",
        title="A page with room for others",
        points=5,
        draw=lambda rng: {
            "most": int(rng.integers(3, 6)),
            "fade": int(rng.integers(45, 95)) / 100,
        },
        statement="""
Fill a page place by place. For each place take the card with the largest score that is not on the page yet. The
scores are positive; that of a card whose channel has c cards on the page already is multiplied by
{{fade}} to the power of c, and a channel has {{most}} cards on a page at most. Give the numbers (k,) of the cards in
their order.""",
        stub='''
def page_of(scores, channel, k):
    """Numbers (k,) of cards from scores (n,) and channels (n,), which count from 0."""
    ...  # your code
''',
        make=_page,
        example=(np.array([5.0, 4.9, 4.8, 2.0, 1.0]), np.array([0, 0, 0, 1, 2]), 3),
        right=(
            """
def page_of(scores, channel, k):
    rest, chosen = set(range(len(scores))), []
    for _ in range(k):
        on = [channel[card] for card in chosen]
        open_ = [card for card in rest if on.count(channel[card]) < {{most}}]
        best = max(open_, key=lambda card: scores[card] * {{fade}} ** on.count(channel[card]))
        chosen.append(best)
        rest.remove(best)
    return np.array(chosen)
""",
        ),
        wrong=(
            """
def page_of(scores, channel, k):
    chosen = []
    for card in np.argsort(-scores):
        if sum(channel[c] == channel[card] for c in chosen) < {{most}}:
            chosen.append(card)
    return np.array(chosen[:k])
""",
        ),
    ),
)
