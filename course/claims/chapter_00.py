"""Claims of chapter 00: two figures of the papers that are pictures and claim nothing."""

from __future__ import annotations

from course.claims import Claim

TRIALS = ()

CLAIMS = (
    Claim(
        id="P1-F1",
        chapter="00",
        title="The home page",
        paper="Figure 1, a picture of the mobile home page",
        untestable="a picture, which claims nothing; the chapter draws the same page for a viewer "
        "of the simulated world",
    ),
    Claim(
        id="P2-F4",
        chapter="00",
        title="The list of what to watch next",
        paper="Figure 4, a picture that marks positions on the page",
        untestable="a picture, which claims nothing; the chapter draws the same list for a viewer "
        "of the simulated world",
    ),
)
