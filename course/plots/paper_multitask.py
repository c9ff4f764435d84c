"""What the papers show about many tasks on one network; figures are digitised."""

from __future__ import annotations

MMOE_FIG2 = [0.06, 0.075, 0.10, 0.135, 0.19, 0.31, 0.45, 0.66, 1.0]
"""Ma et al. 2018, Figure 2: correlation of the labels at cosines .4 .5 .6 .7 .8 .9 .95 .98 1."""

MMOE_FIG4 = {
    "shared bottom": [0.254, 0.220, 0.200],
    "one gate": [0.145, 0.117, 0.077],
    "multitask": [0.081, 0.080, 0.069],
}
"""Ma et al. 2018, Figure 4: final loss at correlation .5, .9, 1, mean of 200 runs."""

TABLE1 = {
    "Shared-Bottom, 3.7M": (0.0, 0.0),
    "Shared-Bottom, 6.1M": (0.1, 1.89),
    "MMoE (4 experts), 3.7M": (0.20, 1.22),
    "MMoE (8 experts), 6.1M": (0.45, 3.07),
}
"""P2, Table 1: change of the live engagement and satisfaction metric, per cent of the first."""

FIG5 = {
    "Engagement 1": [0.05, 0.06, 0.03, 0.22, 0.01, 0.27, 0.04, 0.32],
    "Engagement 2": [0.04, 0.05, 0.08, 0.42, 0.04, 0.31, 0.04, 0.02],
    "Engagement 3": [0.04, 0.19, 0.05, 0.16, 0.08, 0.35, 0.13, 0.01],
    "Satisfaction 1": [0.05, 0.18, 0.11, 0.03, 0.03, 0.39, 0.10, 0.14],
    "Satisfaction 2": [0.02, 0.01, 0.80, 0.0, 0.0, 0.11, 0.03, 0.04],
    "Satisfaction 3": [0.03, 0.02, 0.63, 0.11, 0.0, 0.16, 0.02, 0.04],
    "Satisfaction 4": [0.0, 0.0, 0.28, 0.0, 0.0, 0.0, 0.0, 0.69],
}
"""P2, Figure 5: share of each of eight experts in each task's gate."""
