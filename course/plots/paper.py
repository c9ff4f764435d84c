"""What the papers' figures show, digitised from the figures (they print no tables)."""

from __future__ import annotations

import numpy as np

FIG4_DAYS = np.array([-20, -10, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 40])
FIG4 = {
    "observed": [0, 0, 0, 0.71, 0.94, 6.08, 4.04, 2.39, 2.01, 1.21, 0.98, 0.85, 0.81, 0.72, 0.78],
    "with example age": [
        0, 0, 0.06, 0.35, 1.33, 3.85, 5.07, 3.21, 1.87, 1.20, 0.97, 0.79, 0.78, 0.73, 0.82,
    ],
    "without age": [
        0.38, 0.40, 0.46, 0.53, 0.49, 0.55, 0.58, 0.61, 0.56, 0.52, 0.60, 0.54, 0.68, 0.81, 0.77,
    ],
}  # fmt: skip
"""P1, Figure 4: class probability x 1000 of one video over days since its upload."""

FIG6 = {
    "watches": [6.4, 6.4, 6.4, 6.4, 6.4],
    "+ searches": [8.9, 9.7, 9.9, 10.1, 10.1],
    "+ example age": [9.5, 10.6, 10.7, 10.9, 10.95],
    "all": [10.8, 12.1, 12.4, 12.8, 12.9],
}
"""P1, Figure 6: hold-out mean average precision (%) at depth 0 to 4. Watches only is one dashed
line in the paper, not swept over depth."""

TABLE1 = {
    "None": 41.6,
    "256": 36.9,
    "512": 36.7,
    "1024": 35.8,
    "512-256": 35.2,
    "1024-512": 34.7,
    "1024-512-256": 34.6,
}
"""P1, Table 1: weighted per-user loss (%) by hidden layers."""

P2_FIG6 = [3.55, 1.21, 1.08, 0.77, 0.60, 0.48, 0.40, 0.36, 0.31]
"""P2, Figure 6: click-through rate of positions 1 to 9, on a relative scale."""

P2_FIG7 = [-1.02, -1.26, -1.49, -1.71, -1.81, -1.89, -1.92, -1.94, -1.99]
"""P2, Figure 7: learned position bias (logit) of positions 1 to 9."""

P2_TABLE2 = {"Input Feature": -0.07, "Adversarial Loss": 0.01, "Shallow Tower": 0.24}
"""P2, Table 2: live change of the engagement metric in per cent; the control is not named."""

P2_FIG5 = [
    [0.05, 0.06, 0.03, 0.22, 0.01, 0.27, 0.04, 0.32],
    [0.04, 0.05, 0.08, 0.42, 0.04, 0.31, 0.04, 0.02],
    [0.04, 0.19, 0.05, 0.16, 0.08, 0.35, 0.13, 0.01],
    [0.05, 0.18, 0.11, 0.03, 0.03, 0.39, 0.10, 0.14],
    [0.02, 0.01, 0.80, 0.0, 0.0, 0.11, 0.03, 0.04],
    [0.03, 0.02, 0.63, 0.11, 0.0, 0.16, 0.02, 0.04],
    [0.0, 0.0, 0.28, 0.0, 0.0, 0.0, 0.0, 0.69],
]
"""P2, Figure 5: share of each of eight experts in the gates of three engagement tasks and four
satisfaction tasks; digitised."""
