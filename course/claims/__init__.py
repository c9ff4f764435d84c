"""The ledger: what the papers claim, how it is tested here, and what came out.

``claims.table("04")`` shows a chapter's rows, ``claims.results("trial")`` the stored numbers
behind them, and ``python3 -m course reproduce`` runs them again. Trials and claims of chapter NN
stand in ``chapter_NN.py`` as the tuples ``TRIALS`` and ``CLAIMS``.
"""

from course.claims.claim import Claim, Contrast, Finding, Trial

# isort: split
from course.claims.registry import claims, find, results, summary, table, trials, verdict

__all__ = [
    "Claim",
    "Contrast",
    "Finding",
    "Trial",
    "claims",
    "find",
    "results",
    "summary",
    "table",
    "trials",
    "verdict",
]
