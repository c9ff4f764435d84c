"""Ledger of chapter 10, position bias: six treatments, the curve they learn, and when they fail."""

import functools

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from course import simulate, tuning
from course.ledger import Trial
from course.lessons import position_bias as pb
from course.simulator.names import DEVICES
from course.tasks.places import Bottle, ByFeatures, ById, Places, beside_truth

# A place that is misjudged by less than a quarter (.22 in logarithm) is called right, and so is a
# slope between .9 and 1.1; 1 % of the clicks is a fifth of what a treatment is worth.
CLAIMS = """
P2-F6: Click-through rate falls with the position, most between the first two.
paper: Figure 6: from 3.55 to .31 over nine positions, 2.9-fold from 1 to 2 (digitised)
trial: position_bias
* rate at position 1 over rate at position 9 | `ctr/1` / `ctr/9` | 5 to 25 | 11
* smallest fall from a position to the next (logarithm) | `ctr/smallest fall` | above 0 | .11
* fall from 1 to 2 minus the largest of the others (logarithm)
  | `ctr/first fall` - `ctr/largest other fall` | above 0 | .74
- share of relevance in the fall from 1 to 9
  | log(`relevance/1` / `relevance/9`) / log(`ctr/1` / `ctr/9`)
note: The share of relevance is open in the paper. If its learned bias is right, relevance has more
  than half of the fall there.

P2-F3: The layout: the shallow tower's logit is added before the sigmoid, and missing at serving.
paper: Figure 3 and section 4.3
trial: shallow_layout
built: layout of our own network
* largest distance of the output from main logit plus shallow logit
  | `logit off by` | below 0.00001
* served: sd of what is added to the cards of one device
  | `serving shifts by more than a constant` | below 0.00001
- share of positions that are left out in training | `share of hidden positions` | 0.08 to 0.12
- mean distance from a product of two probabilities
  | `a product of probabilities is off by` | above 0.05

P2-F7: The tower learns a bias that falls with the position, most at the top, less than the clicks.
paper: Figure 7: .97 logits over nine positions, convex; the log click rate falls by 2.43
trial: position_bias
* phone: smallest fall from a position to the next | `learned/smallest fall` | above 0 | .02
* phone: first fall minus last fall
  | `learned/first fall` - `learned/last fall` | above 0 | .19
* phone: span of the learned bias minus span of the log click rate
  | `learned/span, phone` - log(`ctr/1` / `ctr/9`) | below 0 | -1.46
- phone: slope over the best curve | `shallow tower/slope, phone` | 0.9 to 1.1
- desktop: slope over the best curve | `shallow tower/slope, desktop` | 0.9 to 1.1
- TV: slope over the best curve | `shallow tower/slope, tv` | 0.9 to 1.1
- phone: slope without drop-out | `shallow, no drop-out/slope, phone` | 0.9 to 1.1
- phone: largest distance | `shallow tower/error, phone` | below 0.22
- desktop: largest distance | `shallow tower/error, desktop` | below 0.22
- TV: largest distance | `shallow tower/error, tv`
note: The best curve is what one would have to add to the logits of a ranker that knows everything.

P2-F7b: The same where the position shifts the logit, which is what the tower assumes.
paper: Figure 7; the form of the true bias is not known there
trial: position_bias_additive
* phone: slope over the truth | `shallow tower/slope, phone` | 0.9 to 1.1
* desktop: slope over the truth | `shallow tower/slope, desktop` | 0.9 to 1.1
- phone: slope without drop-out | `shallow, no drop-out/slope, phone` | 0.9 to 1.1
- phone: largest distance | `shallow tower/error, phone` | below 0.22
- desktop: largest distance | `shallow tower/error, desktop` | below 0.22

P2-T2: Live: shallow tower before adversarial loss, that before input, which brings nothing.
paper: Table 2: engagement -.07 % (input), +.01 % (adversarial), +.24 % (shallow tower)
trial: position_bias
* clicks, shallow tower against no treatment (%)
  | percent(`live/shallow tower/clicks`, `live/none/clicks`) | above 0 | .24
* clicks, shallow tower against adversarial (%)
  | percent(`live/shallow tower/clicks`, `live/adversarial/clicks`) | above 0 | .23
* clicks, adversarial against input served as missing (%)
  | percent(`live/adversarial/clicks`, `live/input, missing/clicks`) | above 0 | .08
* clicks, input served as missing, against no treatment (%)
  | percent(`live/input, missing/clicks`, `live/none/clicks`) | below 0.5 | -.07
- clicks, shallow tower against input served as missing (%)
  | percent(`live/shallow tower/clicks`, `live/input, missing/clicks`) | above 0 | .31
- clicks, shallow tower against input served as first (%)
  | percent(`live/shallow tower/clicks`, `live/input, first/clicks`) | above 0
- clicks, adversarial against no treatment (%)
  | percent(`live/adversarial/clicks`, `live/none/clicks`)
- clicks, no treatment trained as long as any other, against no treatment (%)
  | percent(`live/none, as long/clicks`, `live/none/clicks`)
- clicks, oracle against no treatment (%)
  | percent(`live/oracle/clicks`, `live/none/clicks`)
note: The paper does not say how its input was served.

P2-C8: Leaving out a tenth of the positions in training makes the missing value at serving fit.
paper: 10 % feature drop-out; no numbers
trial: position_bias
* distance of the served mean from the click rate, without minus with drop-out (logarithm)
  | `shallow, no drop-out/off by` - `shallow tower/off by` | above 0
- clicks, with against without drop-out (%)
  | percent(`live/shallow tower/clicks`, `live/shallow, no drop-out/clicks`) | above 0
- clicks, 5 % against 10 % drop-out (%)
  | percent(`live/drop-out 5 %/clicks`, `live/shallow tower/clicks`) | -1 to 1
- clicks, 20 % against 10 % drop-out (%)
  | percent(`live/drop-out 20 %/clicks`, `live/shallow tower/clicks`) | -1 to 1
- phone: slope over the best curve, without minus with drop-out
  | `shallow, no drop-out/slope, phone` - `shallow tower/slope, phone`

P2-C9: The bias differs between devices, so position and device are crossed.
paper: stated, no numbers
trial: position_bias
* learned span over nine positions, TV minus phone
  | `learned/span, tv` - `learned/span, phone` | above 0
* learned span, phone minus desktop
  | `learned/span, phone` - `learned/span, desktop` | above 0
- desktop: largest distance, one curve for all minus crossed
  | `one curve for all/error, desktop` - `shallow tower/error, desktop` | above 0
- TV: largest distance, one curve for all minus crossed
  | `one curve for all/error, tv` - `shallow tower/error, tv` | above 0
- clicks of TV viewers, crossed against one curve for all (%)
  | percent(`live/shallow tower/clicks, tv`, `live/one curve for all/clicks, tv`) | above 0
- clicks, crossed against one curve for all (%)
  | percent(`live/shallow tower/clicks`, `live/one curve for all/clicks`)

P2-C10: No random pages are needed: the bias is learned from the usual log.
paper: stated as the advantage over inverse propensity weighting
trial: position_orders
* past ranking by incumbency and chance: clicks, shallow tower against no treatment (%)
  | percent(`incumbency/live/shallow tower/clicks`, `incumbency/live/none/clicks`) | above 0
* past ranking by incumbency and chance: phone, slope
  | `incumbency/shallow tower/slope, phone` | 0.9 to 1.1
- past ranking by relevance alone: clicks, shallow tower against no treatment (%)
  | percent(`relevance/live/shallow tower/clicks`, `relevance/live/none/clicks`) | above 0
- past ranking by relevance alone: phone, slope
  | `relevance/shallow tower/slope, phone` | 0.9 to 1.1
- past ranking by relevance alone: phone, slope without drop-out
  | `relevance/shallow, no drop-out/slope, phone` | 0.9 to 1.1
- no bias at all: clicks, shallow tower against no treatment (%)
  | percent(`no bias/live/shallow tower/clicks`, `no bias/live/none/clicks`) | -1 to 1
- no bias at all: phone, largest distance of the learned curve from 0
  | `no bias/shallow tower/error, phone` | below 0.22

P2-C10b: Where no card moves, a learned bias swallows relevance, unless places share features.
paper: not in the paper; Hager et al. 2025 say so of additive towers
trial: position_limits
* ids, no swaps, no overlap: slope | `ids, overlap 0, swaps 0/slope` | above 1.2
* ids, all swapped: slope | `ids, overlap 0, swaps 1/slope` | 0.9 to 1.1
* features, no swaps, no overlap: largest distance
  | `features, overlap 0, swaps 0/error` | above 0.22
* features, no swaps, half an overlap: largest distance
  | `features, overlap 0.5, swaps 0/error` | below 0.22
* ids, no swaps, half an overlap: slope | `ids, overlap 0.5, swaps 0/slope` | above 1.2
* wrong model, a tenth swapped: slope | `wrong model, overlap 0, swaps 0.1/slope` | above 1.2
* the same with a weight on each card: slope
  | `wrong model, weighted, overlap 0, swaps 0.1/slope` | 0.9 to 1.1
- wrong model, no swaps, with the weight: slope
  | `wrong model, weighted, overlap 0, swaps 0/slope` | above 1.2
- the past ranking knows more, no swaps: slope | `knows more, swaps 0/slope` | above 1.2
- the past ranking knows more, a tenth swapped: slope | `knows more, swaps 0.1/slope` | above 1.2
- the same with a weight on each card: slope
  | `knows more, weighted, swaps 0.1/slope` | 0.9 to 1.1
note: A log in a bottle, endless, so that what is off is not luck.

P2-C10c: In the town a weight on each card, against a wrong model, brings no clicks.
paper: not in the paper; Hager et al. 2025 propose the weight
trial: position_bias
* clicks, shallow tower with weights against without (%)
  | percent(`live/shallow, weighted/clicks`, `live/shallow tower/clicks`) | below 1
- effective share of the cards under the weights (%) | 100 * `weights/effective share`
- phone: slope | `shallow, weighted/slope, phone` | 0.9 to 1.1

R-3: Where a look and a wish multiply, PAL's product beats no treatment, and it beats the sum.
paper: PAL wins live over position as a feature (+3 to +35 %); no shallow tower there
trial: position_bias
* clicks, PAL against no treatment (%)
  | percent(`live/PAL/clicks`, `live/none/clicks`) | above 0
* clicks, PAL against shallow tower (%)
  | percent(`live/PAL/clicks`, `live/shallow tower/clicks`) | above 0
- clicks, PAL against shallow tower without drop-out (%)
  | percent(`live/PAL/clicks`, `live/shallow, no drop-out/clicks`)
- clicks, PAL against input served as missing (%)
  | percent(`live/PAL/clicks`, `live/input, missing/clicks`) | above 0 | 14
- clicks, PAL against input served as first (%)
  | percent(`live/PAL/clicks`, `live/input, first/clicks`) | above 0 | 26
- clicks, regression-EM against PAL (%)
  | percent(`live/regression-EM/clicks`, `live/PAL/clicks`)
- clicks, inverse propensity against no treatment (%)
  | percent(`live/inverse propensity/clicks`, `live/none/clicks`)

R-3b: Where the position shifts the logit, the sum is ahead of the product.
paper: expected from the form of the two models
trial: position_bias_additive
* clicks, shallow tower against PAL (%)
  | percent(`live/shallow tower/clicks`, `live/PAL/clicks`) | above 0
- clicks, shallow tower without drop-out against PAL (%)
  | percent(`live/shallow, no drop-out/clicks`, `live/PAL/clicks`) | above 0
- clicks, shallow tower against no treatment (%)
  | percent(`live/shallow tower/clicks`, `live/none/clicks`) | above 0
- phone: largest distance, PAL minus shallow tower without drop-out
  | `PAL/error, phone` - `shallow, no drop-out/error, phone` | above 0

R-4: Regression-EM finds P(looked at) where cards move between positions.
paper: recovers the ratios where there is enough movement; no common number
trial: position_limits, position_bias
* bottle, a third of the cards moved: mean relative error of P(looked at)
  | `regression-EM/error of P(looked at)` | below 0.1
- town, phone: slope of log P(looked at) | `regression-EM/slope, phone` | 0.9 to 1.1
- town, desktop: slope of log P(looked at) | `regression-EM/slope, desktop` | 0.9 to 1.1
"""

FIRST_DAY = 37
STORE = "tuning_position_bias"
TREATMENTS = {
    "none": pb.Clicks,
    "input, missing": pb.PositionInput,
    "input, first": pb.PositionInput,
    "adversarial": lambda main, strength=0.01: pb.Adversarial(main, strength),
    "shallow tower": pb.ShallowTower,
    "shallow, no drop-out": lambda main: pb.ShallowTower(main, drop=0.0),
    "PAL": pb.PAL,
    "regression-EM": pb.RegressionEM,
}
"""Those that need nothing but the log; the two others are in `Setting.build`."""
VARIANTS = {
    "drop-out 5 %": lambda main: pb.ShallowTower(main, drop=0.05),
    "drop-out 20 %": lambda main: pb.ShallowTower(main, drop=0.2),
    "one curve for all": lambda main: pb.ShallowTower(main, cross=False),
}
NAMES = (*TREATMENTS, "inverse propensity", "shallow, weighted")
GRID = {
    "rate": (0.001, 0.003, 0.01, 0.03, 0.1),
    "passes": (1, 2, 3, 4, 6, 8, 12, 16, 24),
    "strength": {
        "adversarial": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        "inverse propensity": (2.5, 5.0, 10.0, 20.0, 50.0),
        "shallow, weighted": (1.5, 3.0, 6.0, 12.0, 25.0),
    },
}
SUMS = ("shallow", "drop-out", "one curve")


class Setting(Places):
    """The task of one town, and what trains and judges any treatment on it."""

    def __init__(self, seed, **dials):
        super().__init__(simulate("town", seed=seed, **dials), first_day=FIRST_DAY)
        self.oracle = self.live_clicks(self.wanted)["clicks"]

    @functools.cached_property
    def random_theta(self):
        """P(looked at) by 5,000 random pages."""
        return pb.propensities(*(column.numpy() for column in self.random_pages()))[0]

    @functools.cached_property
    def chance(self):
        """P(position | features) of each card, by a reader that is helped and not hindered."""
        reader = pb.Adversarial(self.ranker(seed=1), strength=-1.0)
        pb.train_clicks(reader, self.cards, self.cell, self.clicked, passes=3, seed=1)
        return pb.chance_of_place(reader, self.cards, self.cell)

    def fit(self, name, seed=0, strength=None, **recipe):
        """A trained treatment, by its name."""
        main, weight = self.ranker(seed=seed), None
        if name == "inverse propensity":
            model = pb.InversePropensity(main, self.random_theta, strength or 20.0)
        elif name == "shallow, weighted":
            model, weight = pb.ShallowTower(main), pb.even_weights(self.chance, strength or 6.0)
        elif name == "adversarial":
            model = pb.Adversarial(main, strength or 0.01)
        else:
            model = (TREATMENTS | VARIANTS)[name](main)
        pb.train_clicks(model, self.cards, self.cell, self.clicked, weight, seed=seed, **recipe)
        return model

    def clicks(self, name, model):
        """Clicks per live page by a treatment, in all and by device."""
        return self.live_clicks(self.serve(model, position=int(name == "input, first")))

    def judge(self, name, model):
        """What a test on fresh pages says, and how near the learned curve is to the truth."""
        found = self.offline(model, position=int(name == "input, first"))
        if hasattr(model, "curve"):
            true = self.true_curve("sum" if name.startswith(SUMS) else "product")
            slope, error = beside_truth(model.curve(), true)
            for d, device in enumerate(DEVICES):
                found[f"error, {device}"] = error[d]
                if np.ptp(true[d]) > 0.1:  # over a flat curve nothing has a slope
                    found[f"slope, {device}"] = slope[d]
        return found


@functools.lru_cache(3)
def _setting(seed):
    return Setting(seed)


def _contestant(name):
    def run(settings, world):
        s = _setting(world)
        return 100 * s.clicks(name, s.fit(name, **settings))["clicks"] / s.oracle

    return run


def tune():
    """Tune every treatment alike, by the clicks on live pages of development worlds.

    From a short and from a long training, since what is good early need not be good late.
    """
    for passes in (4, 12):
        tuning.tune(
            {name: _contestant(name) for name in NAMES}, GRID, store=STORE, give_up=1.0,
            start={"rate": 0.01, "passes": passes}, compare=("shallow tower", "none"),
            about={"size": "town", "first day": FIRST_DAY},
        )  # fmt: skip


def recipes():
    """Contestant -> its recipe; variants take that of the shallow tower."""
    best = dict(tuning.load(STORE).best)
    return best | {name: best["shallow tower"] for name in VARIANTS}


def _measured(s, names, seed):
    """Train treatments by their recipes; records of each, and the models."""
    best, models = recipes(), {}
    for name in names:
        twin = models.get("input, missing") if name == "input, first" else None
        same = twin and best["input, missing"] == best["input, first"]
        models[name] = twin if same else s.fit(name, seed, **best[name])
        yield {"who": name, **s.judge(name, models[name])}
        yield {"at": "live", "who": name, **s.clicks(name, models[name])}
        if name == "shallow tower":
            yield from _curve(s, models[name])
    ends = {"oracle": s.wanted, "random": np.random.default_rng(seed).random(len(s.wanted))}
    for name, scores in ends.items():
        yield {"at": "live", "who": name, **s.live_clicks(scores)}


def _curve(s, model):
    """The learned curve, the true one, and how the first falls on the phone."""
    for who, curve in (("learned", model.curve()), ("best", s.true_curve())):
        for d, device in enumerate(DEVICES):
            yield {"curve": who, "device": device,
                   **{str(k + 1): v for k, v in enumerate(curve[d])}}  # fmt: skip
            yield {"curve": who, f"span, {device}": curve[d, 0] - curve[d, 8]}
        falls = -np.diff(curve[0, :9])
        yield {"curve": who, "smallest fall": falls.min(), "first fall": falls[0],
               "last fall": falls[-1]}  # fmt: skip


def position_bias(seed):
    """All treatments in one town where look and wish multiply."""
    s = Setting(seed)
    yield from _measured(s, (*NAMES, *VARIANTS), seed)
    best = recipes()
    longest = max(recipe["passes"] for recipe in best.values())
    model = s.fit("none", seed, **best["none"] | {"passes": longest})
    yield {"at": "live", "who": "none, as long", **s.clicks("none", model)}
    weight = pb.even_weights(s.chance, best["shallow, weighted"]["strength"])
    yield {"who": "weights", "effective share": float(1 / (weight**2).mean())}
    rate = s.rows.groupby("position")["clicked"].mean()
    truth = s.fresh.truth["p_click_if_seen"].groupby(s.fresh.cards["position"]).mean()
    for name, values in (("ctr", rate), ("relevance", truth)):
        yield {"who": name, **{str(k): v for k, v in values.items()}}
    falls = -np.diff(np.log(rate.to_numpy()[:9]))
    yield {"who": "ctr", "smallest fall": falls.min(), "first fall": falls[0],
           "largest other fall": falls[1:].max()}  # fmt: skip


def additive(seed):
    """The treatments where the position shifts the logit, which is what the tower assumes."""
    s = Setting(seed, bias_truth="additive")
    names = ("none", "shallow tower", "shallow, no drop-out", "PAL", "input, missing",
             "input, first")  # fmt: skip
    yield from _measured(s, names, seed)


ORDERS = {
    "incumbency": {"logger_relevance": 0.0},
    "relevance": {"logger_incumbency": 0.0, "logger_noise": 0.0},
    "no bias": {"position_bias": 0.0},
}
"""Other ways in which the past ranking could order its pages, and a town without the bias."""


def orders(seed):
    """Some treatments, by how the past ranking ordered its pages."""
    for order, dials in ORDERS.items():
        s = Setting(seed, **dials)
        for record in _measured(s, ("none", "shallow tower", "shallow, no drop-out", "PAL"), seed):
            yield {"order": order, **record}


SWAPS = (0.0, 0.03, 0.1, 0.3, 1.0)
MAINS = {"ids": ById, "features": ByFeatures, "wrong model": lambda: ByFeatures(0)}


def bottled(log, main, weighted=False, seed=0):
    """A shallow tower on a log in a bottle, and how it is judged."""
    model = pb.ShallowTower(main, drop=0.0)
    weight = log.weight * pb.even_weights(log.chance, 100.0) if weighted else log.weight
    pb.train_clicks(model, log, log.cell, log.p_click, weight / weight.mean(), rate=0.02,
                    passes=300, pages=log.pages, seed=seed)  # fmt: skip
    return log.judge(model)


def limits(seed):
    """The two conditions under which a bias can be told from relevance, as dials of a bottle."""
    for swaps in SWAPS:
        for overlap in (0.0, 0.5, 1.0):
            log, at = Bottle(swaps, overlap, seed=seed), f"overlap {overlap:g}, swaps {swaps:g}"
            for name, main in MAINS.items():
                yield {"who": f"{name}, {at}", **bottled(log, main())}
            yield {"who": f"wrong model, weighted, {at}",
                   **bottled(log, ByFeatures(0), weighted=True)}  # fmt: skip
        log = Bottle(swaps, 0.3, knows=1.0, seed=seed)
        for name, weighted in (("knows more", False), ("knows more, weighted", True)):
            yield {"who": f"{name}, swaps {swaps:g}", **bottled(log, ByFeatures(), weighted)}
    yield {"who": "regression-EM", "error of P(looked at)": _drawn_em(seed)}


class Drawn:
    """Clicks drawn from a bottle in which a look and a wish multiply."""

    def __init__(self, log, n, seed):
        random = torch.Generator().manual_seed(seed)
        rows = torch.multinomial(log.weight, n, replacement=True, generator=random)
        p = log.theta[log.cell[rows] - 1] * expit(log.wish[log.video[rows]] - 2)
        self.log, self.of, self.cell, self.pages = log, rows, log.cell[rows], n
        self.clicked = (torch.rand(n, generator=random) < torch.tensor(p)).float()

    def rows(self, pages):
        """Each row is a page of its own."""
        return pages

    def __getitem__(self, rows):
        """Features and videos of some rows."""
        return self.log[self.of[rows]]


def _drawn_em(seed, n=200_000):
    log = Drawn(Bottle(0.3, 0.0, seed=seed), n, seed)
    model = pb.RegressionEM(ByFeatures(), memory=100)
    pb.train_clicks(model, log, log.cell, log.clicked, rate=0.02, passes=6, pages=2_000, seed=seed)
    ratio = np.exp(model.curve()[0]) / log.log.theta
    return float(np.abs(ratio - 1)[1:].mean())


def layout(seed):
    """How the shallow tower's number joins the ranker's: random numbers through random weights."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(2_000, 12, generator=random)
    weights = torch.randn(12, generator=random)
    position = torch.arange(2_000) % pb.POSITIONS + 1
    device = torch.randint(0, pb.DEVICES, (2_000,), generator=random)
    main = _Plain(weights)
    model, cell = pb.ShallowTower(main), pb.cells(position, device)
    with torch.no_grad():
        model.place.copy_(torch.randn(pb.PLACES, generator=random))
        own, output, served = main(x), model(x, cell), model(x, pb.missing(cell))
        place = model.place.reshape(pb.DEVICES, -1)[device, position]
        torch.manual_seed(seed)
        hidden = pb.dropped(cell, model.drop) != cell
        product = own.sigmoid() * place.sigmoid()
    shift = pd.Series((served - own).numpy()).groupby(device.numpy()).std()
    found = {
        "logit off by": (output - own - place).abs().max(),
        "serving shifts by more than a constant": shift.max(),
        "share of hidden positions": hidden.float().mean(),
        "a product of probabilities is off by": (product - output.sigmoid()).abs().mean(),
    }
    return {name: round(float(value), 6) for name, value in found.items()}  # no rounding errors


class _Plain(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, x):
        return x @ self.weights


TRIALS = (
    Trial("position_bias", position_bias, minutes=1.2),
    Trial("position_bias_additive", additive, minutes=0.5),
    Trial("position_orders", orders, minutes=2.0),
    Trial("position_limits", limits, minutes=0.7),
    Trial("shallow_layout", layout, minutes=0.01, cheap=True),
)
