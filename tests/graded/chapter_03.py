"""Graded variants of chapter 03, the deep candidate generator. Never handed out."""

import math

import torch
from torch.nn import functional

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _plan(rise, fall, floor):
    def part(step, steps, down=None, first=1):
        done = step / steps
        if done < rise:
            return (step + first) / (rise * steps) if step + first < rise * steps else 1.0
        if done < fall:
            return 1.0
        way = (done - fall) / (1 - fall)
        return floor + (1 - floor) * (1 - way) if down is None else down(way)

    def cases(rng):
        for steps in rng.integers(40, 300, size=3).tolist():
            for share in (0, rise / 2, rise * 1.01, (rise + fall) / 2, fall + 0.02, 0.93, 1):
                yield min(int(share * steps), steps - 1), steps

    return {
        "reference": part,
        "cases": cases,
        "mistakes": (
            Mistake(
                lambda step, steps: part(step, steps, first=0),
                "Your first step has the rate 0 and learns nothing.",
            ),
            Mistake(
                lambda step, steps: part(step, steps, lambda way: 1 - way),
                "Your rate falls to 0 instead of to the floor.",
            ),
            Mistake(
                lambda step, steps: part(
                    step, steps, lambda way: floor + (1 - floor) * (1 + math.cos(math.pi * way)) / 2
                ),
                "Half a cosine is the chapter's way down; here it is a straight line.",
            ),
        ),
    }


def _tempered(heat, share):
    def loss(user, videos, label, sample, log_chance, heat=heat, share=share, hits=True):
        right = (user * videos[label]).sum(dim=1, keepdim=True) / heat
        wrong = user @ videos[sample].T / heat
        right = right - share * log_chance[label, None]
        wrong = wrong - share * log_chance[sample]
        if hits:
            wrong = wrong.masked_fill(label[:, None] == sample, -torch.inf)
        return functional.cross_entropy(torch.cat([right, wrong], dim=1), torch.zeros_like(label))

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for _ in range(4):
            videos = torch.randn(12, 4, generator=random)
            user = torch.randn(6, 4, generator=random)
            label = torch.randint(12, (6,), generator=random)
            sample = torch.randperm(12, generator=random)[:5]
            sample = torch.unique(torch.cat([sample, label[:2]]))
            chance = torch.rand(12, generator=random) * 0.8 + 0.1
            yield user, videos, label, sample, chance.log()

    def corrected_first(user, videos, label, sample, log_chance):
        return loss(user, videos, label, sample, log_chance / heat)

    return {
        "reference": lambda *given: loss(*given),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(
                lambda *given: loss(*given, share=1.0),
                "You take off the whole logarithm; here it is a part of it.",
            ),
            Mistake(
                lambda *given: loss(*given, hits=False),
                "Where the label is in the sample, it is its own rival.",
            ),
            Mistake(corrected_first, "The temperature divides the products alone."),
            Mistake(lambda *given: loss(*given, heat=1.0), "The temperature is missing."),
        ),
    }


VARIANTS = (
    Variant(
        id="03-graded-rate-plan",
        title="Up, along, down",
        points=4,
        draw=lambda rng: {
            "rise": int(rng.integers(5, 30)) / 100,
            "fall": int(rng.integers(40, 80)) / 100,
            "floor": int(rng.integers(5, 40)) / 100,
        },
        statement="""
Write another plan for the learning rate, as the share of its largest value at a `step` (0, 1, ...)
of `steps`. While step / steps is below {{rise}}, it rises in a straight line and gets its first part at
step 0, as in the chapter: (step + 1) / ({{rise}} · steps), but never more than 1. Then it stays at 1. From
step / steps = {{fall}} on it falls in a straight line, which would reach {{floor}} at step = steps.""",
        stub='''
def rate_plan(step, steps):
    """Share of the learning rate at a step, counted from 0."""
    ...  # your code
''',
        make=_plan,
        example=(95, 100),
        right=(
            """
def rate_plan(step, steps):
    up = (step + 1) / ({{rise}} * steps) if step < {{rise}} * steps else 1.0
    down = 1 - (1 - {{floor}}) * (step - {{fall}} * steps) / (steps * (1 - {{fall}}))
    return min(1.0, up, down)
""",
        ),
        wrong=(
            """
from course.lessons.candidate_generation import rate_factor
def rate_plan(step, steps):
    return max({{floor}}, rate_factor(step, steps, {{rise}}))
""",
            """
def rate_plan(step, steps):
    if step < {{rise}} * steps:
        return step / ({{rise}} * steps)
    if step < {{fall}} * steps:
        return 1.0
    return 1 - (1 - {{floor}}) * (step / steps - {{fall}}) / (1 - {{fall}})
""",
        ),
    ),
    Variant(
        id="03-graded-tempered-softmax",
        title="A sampled softmax that is corrected in part",
        points=6,
        draw=lambda rng: {
            "heat": int(rng.integers(55, 90)) / 100,
            "share": int(rng.integers(15, 45)) / 100,
        },
        statement="""
Write the mean sampled softmax loss with two changes. The products of user and video are divided by a
temperature of {{heat}}. And of the logarithm of the chance only a part is taken off: {{share}} · log chance,
which is not divided by the temperature. As in the chapter, the label is corrected, too, and where it is
in the sample it is not its own rival. `user` is (B, d), `videos` (V, d), `label` (B,), `sample` (S,), and
`log_chance` (V,).""",
        stub='''
def tempered_softmax(user, videos, label, sample, log_chance):
    """Mean loss over the label and a sample, corrected in part."""
    ...  # your code
''',
        make=_tempered,
        example=(
            torch.tensor([[1.0, 0.5]]),
            torch.tensor([[0.2, 1.0], [1.0, 0.0], [0.5, 0.5]]),
            torch.tensor([0]),
            torch.tensor([0, 2]),
            torch.tensor([-1.0, -0.5, -2.0]),
        ),
        right=(
            """
def tempered_softmax(user, videos, label, sample, log_chance):
    total = 0.0
    for x, i in zip(user, label):
        ids = [int(i), *(int(j) for j in sample if j != i)]
        scores = videos[ids] @ x / {{heat}} - {{share}} * log_chance[ids]
        total = total + torch.logsumexp(scores, dim=0) - scores[0]
    return total / len(label)
""",
        ),
        wrong=(
            """
from course.lessons.candidate_generation import sampled_softmax
def tempered_softmax(user, videos, label, sample, log_chance):
    return sampled_softmax(user / {{heat}}, videos, label, sample, log_chance)
""",
            """
def tempered_softmax(user, videos, label, sample, log_chance):
    right = (user * videos[label]).sum(dim=1, keepdim=True) / {{heat}}
    wrong = user @ videos[sample].T / {{heat}} - {{share}} * log_chance[sample]
    wrong = wrong.masked_fill(label[:, None] == sample, -torch.inf)
    return functional.cross_entropy(torch.cat([right, wrong], dim=1), 0 * label)
""",
        ),
    ),
)
