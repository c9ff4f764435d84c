"""The whole ledger in one picture: every claim of every chapter, by verdict."""

from __future__ import annotations

import matplotlib.patches

from course import ledger
from course.ledger.claim import BUILT, CONTRADICTED, LEFT_OPEN, MIXED, REPRODUCED, UNTESTABLE
from course.plots.style import INK, MUTED, Figure, figure, styled

LOOKS = {
    REPRODUCED: ("#1f6f9e", "white", "✓"),
    MIXED: ("#f0c565", INK, "±"),
    LEFT_OPEN: ("#ffffff", INK, "?"),
    CONTRADICTED: ("#a33b20", "white", "✗"),
    BUILT: ("#a9d3ea", INK, "="),
    UNTESTABLE: ("#c9ced6", INK, "–"),
}
"""Verdict -> colour of the cell and of the words, and a sign for eyes that see no colours."""

CHAPTERS = {
    "00": "start here", "01": "the simulator", "02": "matrix factorization",
    "03": "deep candidates", "04": "signals and depth", "05": "labels and context",
    "06": "features", "07": "watch time", "08": "many objectives", "09": "mixtures of experts",
    "10": "position bias", "11": "titles and thumbnails", "12": "the whole system",
    "13": "judging", "14": "feedback loops", "15": "beyond one machine",
}  # fmt: skip


@styled
def ledger_overview() -> Figure:
    """Draw every claim of the stored ledger as one cell, a row for each chapter, by verdict."""
    table = ledger.summary()
    chapters = sorted(table["chapter"].unique())
    longest = int(table["chapter"].value_counts().max())
    counts = table["verdict"].value_counts()
    alt = "The ledger, claim by claim: " + ", ".join(
        f"{counts[v]} {v}" for v in LOOKS if v in counts
    )
    fig, ax = figure(height=1.0 + 0.42 * len(chapters), alt=alt)
    for y, chapter in enumerate(chapters):
        for x, row in enumerate(table[table["chapter"] == chapter].itertuples()):
            face, ink, sign = LOOKS[row.verdict]
            ax.add_patch(
                matplotlib.patches.FancyBboxPatch(
                    (x + 0.07, y + 0.12), 0.86, 0.76, boxstyle="round,pad=0,rounding_size=0.08",
                    facecolor=face, edgecolor=MUTED, linewidth=0.6,
                )
            )  # fmt: skip
            words = row.claim if len(row.claim) < 8 else "-\n".join(row.claim.rsplit("-", 1))
            ax.text(x + 0.9, y + 0.16, sign, ha="right", va="top", color=ink, fontsize=7)
            ax.text(x + 0.5, y + 0.53, words, ha="center", va="center", color=ink,
                    fontsize=8.5 if len(row.claim) < 7 else 7.3, linespacing=0.9)  # fmt: skip
    ax.set(xlim=(0, longest), ylim=(len(chapters), 0))
    ax.set_yticks([y + 0.5 for y in range(len(chapters))],
                  [f"{c}  {CHAPTERS.get(c, '')}" for c in chapters], ha="left")  # fmt: skip
    ax.tick_params(axis="y", length=0, pad=140)
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.grid(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    marks = [
        matplotlib.patches.Patch(
            facecolor=LOOKS[v][0], edgecolor=MUTED, label=f"{LOOKS[v][2]} {v} ({counts[v]})"
        )
        for v in LOOKS
        if v in counts
    ]
    fig.legend(handles=marks, loc="outside lower center", ncols=min(3, len(marks)), fontsize=9.5,
               columnspacing=1.2, handlelength=1.4)  # fmt: skip
    return fig
