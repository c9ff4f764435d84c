"""Graded variants of chapter 09, mixtures of experts. Never handed out."""

import torch

from course.exercises import Mistake, Tolerance
from course.workshop.variants import Variant


def _mix(share):
    def mixed(said, logits, share=share, over="experts", shared="mean"):
        gates = logits.softmax(dim=2 if over == "experts" else 1)
        own = torch.einsum("nme,enw->mnw", gates, said)
        everybody = said.mean(dim=0) if shared == "mean" else said.sum(dim=0)
        return (1 - share) * own + share * everybody

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for tasks, experts, n in ((2, 3, 4), (3, 4, 5)):
            said = torch.randn(experts, n, 2, generator=random)
            yield said, torch.randn(n, tasks, experts, generator=random)

    return {
        "reference": lambda said, logits: mixed(said, logits),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(
                lambda *a: mixed(*a, over="tasks"), "Gates of a task sum to 1 over its experts."
            ),
            Mistake(lambda *a: mixed(*a, shared="sum"), "The shared part is a mean, not a sum."),
            Mistake(lambda *a: mixed(*a, share=0.0), "The part that all tasks share is missing."),
            Mistake(lambda *a: mixed(*a, share=1 - share), "You swapped the two shares."),
        ),
    }


def _gates(heat, least):
    def gates(logits, heat=heat, least=least, again=True, hot=False):
        soft = (logits * heat if hot else logits / heat).softmax(dim=-1)
        kept = soft * (soft >= least * soft.amax(dim=-1, keepdim=True))
        return kept / kept.sum(dim=-1, keepdim=True) if again else kept

    def cases(rng):
        random = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for shape in ((2, 4), (3, 2, 5)):
            logits = torch.randn(*shape, generator=random)
            logits[..., 0] = logits[..., 1] + 3 * heat
            yield (logits,)
        yield (0.3 * heat * torch.randn(3, 12, generator=random),)

    return {
        "reference": lambda logits: gates(logits),
        "cases": cases,
        "tolerance": Tolerance(1e-4, 1e-5),
        "mistakes": (
            Mistake(lambda z: gates(z, least=0.0), "Small gates are closed."),
            Mistake(lambda z: gates(z, again=False), "What is kept sums to 1 again."),
            Mistake(lambda z: gates(z, heat=1.0), "The temperature is missing."),
            Mistake(lambda z: gates(z, hot=True), "The temperature divides the logits."),
        ),
    }


VARIANTS = (
    Variant(
        id="09-graded-shared-part",
        title="A mixture with a part for all",
        points=4,
        draw=lambda rng: {"share": int(rng.integers(5, 45)) / 100},
        statement="""
Experts have said `said` (experts, n, width), and the gates of each task have the logits `logits`
(n, tasks, experts). Each task reads its own mixture, by a softmax of its logits, and the plain mean of all
experts: the mean with share {{share}}, its own mixture with the rest. Give the inputs of the towers
(tasks, n, width).""",
        stub='''
def shared_part(said, logits):
    """What the towers read (tasks, n, width)."""
    ...  # your code
''',
        make=_mix,
        example=(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[0.0, 1.0], [2.0, 0.0]]])),
        right=(
            """
def shared_part(said, logits):
    powers = torch.exp(logits - logits.amax(dim=2, keepdim=True))
    gates = (1 - {{share}}) * powers / powers.sum(dim=2, keepdim=True) + {{share}} / said.shape[0]
    rows = []
    for task in range(logits.shape[1]):
        rows.append(sum(gates[:, task, e, None] * said[e] for e in range(said.shape[0])))
    return torch.stack(rows)
""",
        ),
        wrong=(
            """
from course.lessons.mixtures_of_experts import mix
def shared_part(said, logits):
    return mix(said, logits.softmax(dim=2)) + {{share}} * said.mean(dim=0)
""",
        ),
    ),
    Variant(
        id="09-graded-closed-gates",
        title="Gates that close",
        points=4,
        draw=lambda rng: {
            "heat": int(rng.integers(30, 90)) / 100,
            "least": int(rng.integers(10, 50)) / 100,
        },
        statement="""
Write gates (..., experts) from logits of the same shape. Divide the logits by a temperature of {{heat}} and take
the softmax over the experts. Then close each gate that is below {{least}} times the largest of the same row, and
bring the others back to sum 1.""",
        stub='''
def closed_gates(logits):
    """Gates (..., experts) of which the small ones are 0."""
    ...  # your code
''',
        make=_gates,
        example=(torch.tensor([0.0, 1.0, 0.8]),),
        right=(
            """
def closed_gates(logits):
    behind = (logits - logits.amax(dim=-1, keepdim=True)) / {{heat}}
    kept = torch.where(behind >= math.log({{least}}), behind, -torch.inf)
    return torch.softmax(kept, dim=-1)
""",
        ),
        wrong=(
            """
def closed_gates(logits):
    gates = (logits / {{heat}}).softmax(dim=-1)
    kept = gates * (gates >= {{least}})
    return kept / kept.sum(dim=-1, keepdim=True).clamp(min=1e-9)
""",
        ),
    ),
)
