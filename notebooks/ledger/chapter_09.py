"""Ledger of chapter 09, mixtures of experts: the plane, and P2's layout."""

import math

import torch
from torch import nn

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import many_objectives as mo
from course.lessons import mixtures_of_experts as me
from course.lessons.ranking_features import InputLayer, Scales
from course.tasks.seven_tasks import TASKS, SevenTasks

CLAIMS = """
P2-F2: Gates sum to one, one expert is a shared bottom, experts on a shared layer cost less
paper: equations of section 4.2, Figure 2
trial: layout, costs
built: identities of our own code
* gates of a card sum to 1, off by at most | `gate sums off by` | -0.00001 to 0.00001
* one expert against the shared bottom, off by at most
  | `one expert off by` | -0.0001 to 0.0001
* multiplications, eight experts on the input over the same on a shared layer
  | `on the input over on a shared layer` | above 1
- multiplications on the plane, the mixture's over the shared layer's
  | `mmoe, 600/multiplications` / `shared layer, 600/multiplications` | below 1

S-7: Gates pay where needs turn with what they read; one for each task, where tasks are at odds
paper: Ma et al. 2018 and P2 give low correlation of the tasks as the reason for MMoE
trial: plane
* error left, shared layer minus MMoE, at odds and turning
  | `conflict, context, 600, shared layer/error` - `conflict, context, 600, mmoe/error` | above 0
* error left, one gate minus MMoE, at odds and turning
  | `conflict, context, 600, one gate/error` - `conflict, context, 600, mmoe/error` | above 0
* error left, shared layer minus MMoE, at odds and not turning
  | `conflict only, 600, shared layer/error` - `conflict only, 600, mmoe/error` | below 0.01
- error left, one gate minus MMoE, at odds and turning, after 600 steps
  | `600 steps, one gate/error` - `600 steps, mmoe/error` | above 0
- error left, one gate minus MMoE, agreeing and turning
  | `context only, 600, one gate/error` - `context only, 600, mmoe/error`
- error left, FiLM minus MMoE, at odds and turning
  | `conflict, context, 600, film/error` - `conflict, context, 600, mmoe/error` | above 0
- error left, P2's layout minus MMoE, at odds and turning
  | `conflict, context, 600, p2/error` - `conflict, context, 600, mmoe/error`
- error left, P2's layout with gates on the place minus P2's layout
  | `conflict, context, 600, p2, gates on the place/error`
    - `conflict, context, 600, p2/error` | below 0
- error left, MMoE with gates on all inputs minus on the place
  | `conflict, context, 600, mmoe, all inputs/error` - `conflict, context, 600, mmoe/error`
- gain of MMoE over the shared layer, at 2,400 multiplications minus at 600
  | (`conflict, context, 2400, shared layer/error` - `conflict, context, 2400, mmoe/error`)
  - (`conflict, context, 600, shared layer/error` - `conflict, context, 600, mmoe/error`)
  | below 0
- gain of MMoE over the shared layer, after 2,400 steps minus after 1,200
  | (`2400 steps, shared layer/error` - `2400 steps, mmoe/error`)
  - (`conflict, context, 600, shared layer/error` - `conflict, context, 600, mmoe/error`)
- error left, two of eight experts minus all eight | `top 2 of 8/error` - `top 8 of 8/error`
note: Made so that a gate for each task is the right tool. It shows what a mixture is good at, and
  is no evidence that the world is such a plane.
"""

BUDGETS = (600, 1_200, 2_400)
KINDS = {
    "conflict, context": {}, "context only": {"conflict": False},
    "conflict only": {"turning": False},
}  # fmt: skip
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
MIXTURES = {"4": 4, "6": 6, "8": 8, "12": 12}


class OneGate(me.MMoE):
    """One gate on the place, the same for all tasks."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        with torch.random.fork_rng():
            torch.manual_seed(options.get("seed", 0))
            self.gate = nn.Linear(self.gate.in_features, self.count)

    def gates(self, z):
        """Shares (n, 1, experts)."""
        return self.gate(z).softmax(dim=1)[:, None]


class AllInputs(me.MMoE):
    """Gates that read all inputs."""

    def forward(self, x, z):
        """Outputs (n, tasks)."""
        return super().forward(x, x)


class OverLayer(me.MMoE):
    """Experts over a shared layer; gates on that layer, as in P2, or on the place."""

    def __init__(self, shared, experts, width, on_place=False, seed=0):
        super().__init__(shared, 2 if on_place else shared, 2, experts, width, seed)
        self.on_place = on_place
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.below = nn.Linear(10, shared)

    def forward(self, x, z):
        """Outputs (n, tasks)."""
        h = self.below(x).relu()
        return super().forward(h, z if self.on_place else h)


class Film(nn.Module):
    """A shared layer whose units the place turns up and down."""

    def __init__(self, width, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.film = nn.Linear(10, width), nn.Linear(2, 2 * width, bias=False)
            nn.init.zeros_(self.film.weight)
            self.towers = me.Towers(width, torch.zeros(2))

    def forward(self, x, z):
        """Outputs (n, tasks)."""
        scale, shift = self.film(z).chunk(2, dim=1)
        return self.towers(self.first(x).relu() * (1 + scale) + shift)


def widest(cost, budget, least=1):
    """The largest width whose cost is within the budget."""
    width = least
    while cost(width + 1) <= budget:
        width += 1
    return width


def cost_of(name, shape, budget):
    """Width, or (shared units, width), of a contestant in a shape, and its multiplications."""
    if name == "shared layer":  # never less than the mixtures
        width = widest(lambda w: me.multiplications(1, w), budget) + 1
        return width, me.multiplications(1, width)
    if name == "film":

        def cost(w):
            return 10 * w + 4 * w + w + 16 * w + 16

        width = widest(cost, budget) + 1
        return width, cost(width)
    experts = MIXTURES[shape] if "p2" not in name else int(shape.split(" x ")[0])
    if "p2" in name:
        width, reads = int(shape.split(" x ")[1]), 2 if "place" in name else None

        def cost(s):
            gates = 2 * experts * ((reads or s) + width)
            return 10 * s + experts * s * width + gates + 16 * width + 16

        shared = widest(cost, budget)
        return (shared, width), cost(shared)
    gates, reads = (1 if name == "one gate" else 2), 10 if "all" in name else 2

    def cost(w):
        return experts * 10 * w + gates * experts * (reads + w) + 16 * w + 16

    width = widest(cost, budget)
    return width, cost(width)


SHAPES = {
    "shared layer": ("one",), "film": ("one",), "one gate": tuple(MIXTURES),
    "mmoe": tuple(MIXTURES), "mmoe, all inputs": tuple(MIXTURES),
    "p2": ("4 x 4", "4 x 8", "6 x 4"), "p2, gates on the place": ("4 x 4", "4 x 8", "6 x 4"),
}  # fmt: skip


def made(name, shape, budget, seed):
    """An untrained contestant on the plane."""
    size, _ = cost_of(name, shape, budget)
    if name == "shared layer":
        return me.MMoE(10, 2, experts=1, width=size, seed=seed)
    if name == "film":
        return Film(size, seed)
    if "p2" in name:
        experts = int(shape.split(" x ")[0])
        return OverLayer(size[0], experts, size[1], "place" in name, seed)
    kind = {"one gate": OneGate, "mmoe, all inputs": AllInputs}.get(name, me.MMoE)
    reads = 10 if "all" in name else 2
    return kind(10, reads, experts=MIXTURES[shape], width=size, seed=seed)


ON_PLANE = {
    f"{name}, {budget}": (name, budget)
    for budget in BUDGETS
    for name in (SHAPES if budget == 600 else ("shared layer", "film", "one gate", "mmoe"))
}


STEPS = 1_200
"""Everybody sees as many examples: so many steps of 256, all of them fresh."""


def error(model, seed, rate=0.03, steps=STEPS, **kind):
    """What a model leaves on a plane after its training: the mean of both tasks."""
    plane = me.Plane(seed=seed, **kind)
    return float(me.error_left(plane, me.train_on(plane, model, rate, steps)).mean())


def _on_plane(name, budget):
    def run(settings, world):
        shape = settings.get("shape", "one")
        return -math.log(error(made(name, shape, budget, world), world, settings["rate"]))

    return run


def tune():
    """Tune everybody on the plane: shape where there are several, and rate."""
    tuning.tune(
        {key: _on_plane(*of) for key, of in ON_PLANE.items()},
        {"shape": {k: SHAPES[n] for k, (n, _) in ON_PLANE.items() if len(SHAPES[n]) > 1},
         "rate": (0.003, 0.01, 0.03, 0.1, 0.3)},
        start={"rate": 0.03}, store="tuning_plane", about={"steps": STEPS},
    )  # fmt: skip


def plane(seed):
    """Everybody on one plane, by tuned recipes; budgets, steps, experts, sparse gates."""
    best = tuning.load("tuning_plane").best

    def found(key, **options):
        name, budget = ON_PLANE[key]
        model = made(name, best[key].get("shape", "one"), budget, seed)
        return error(model, seed, best[key]["rate"], **options)

    for kind, dials in KINDS.items():
        for key, (name, budget) in ON_PLANE.items():
            if budget == 600 or kind != "conflict only":
                yield {"who": f"{kind}, {budget}, {name}", "error": found(key, **dials)}
    for name in ("shared layer", "film", "one gate", "mmoe"):
        for steps in (300, 600, 2_400):
            yield {"who": f"{steps} steps, {name}", "error": found(f"{name}, 600", steps=steps)}
    rate = best["mmoe, 600"]["rate"]
    for count in COUNTS:
        width = widest(lambda w, e=count: me.multiplications(e, w), 610)
        model = me.MMoE(10, 2, experts=count, width=width, seed=seed)
        yield {"who": f"{count} experts", "error": error(model, seed, rate)}
    for k in (1, 2, 4, 8):
        model = me.SparseMMoE(10, 2, experts=8, width=5, seed=seed)
        model.k = k
        yield {"who": f"top {k} of 8", "error": error(model, seed, rate)}


def costs(seed):
    """Multiplications of everybody for one card, in the tuned shapes."""
    best = tuning.load("tuning_plane").best
    for key, (name, budget) in ON_PLANE.items():
        _, cost = cost_of(name, best[key].get("shape", "one"), budget)
        yield {"who": key, "multiplications": cost}


def layout(seed):
    """What must hold of P2's equations and of where the experts stand."""
    s = SevenTasks(simulate("village", seed=seed), 50)
    scaled, bias = Scales(s.train)(s.test), torch.zeros(len(TASKS))

    def mixture(*sizes, **options):
        return me.RankingMixture(
            InputLayer(s.features, seed=seed), bias, *sizes, seed=seed, **options
        )

    one, bottom = (
        mixture(1, 82),
        mo.SharedBottom(InputLayer(s.features, seed=seed), bias, (82,), seed),
    )
    bottom.load_state_dict({n: v for n, v in one.state_dict().items() if not n.startswith("gate")},
                           strict=False)  # fmt: skip
    with torch.no_grad():
        yield {
            "gate sums off by": _rounded(mixture(8, 16, 49, "shared").parts(scaled)[1].sum(2) - 1),
            "one expert off by": _rounded(one(scaled) - bottom(scaled)),
            "on the input over on a shared layer": cost(185, 8, 16) / cost(185, 8, 16, 49),
        }


def cost(inputs, experts, width, shared=0, reads=13, tasks=7, tower=8):
    """Multiplications of a mixture for one card, above the input layer."""
    below = inputs * shared + experts * shared * width if shared else inputs * experts * width
    return below + tasks * experts * (reads + width) + tasks * (width * tower + tower)


def _rounded(gap):
    """The largest distance from 0, without the rounding of 32 bits, which no two machines share."""
    return round(float(gap.abs().max()), 5)


TRIALS = (
    Trial("layout", layout, minutes=0.1, cheap=True),
    Trial("costs", costs, minutes=0.01, cheap=True),
    Trial("plane", plane, minutes=1.2),
)
