"""The ledger: what the papers claim, how it is tested here, and what came out.

``ledger.show("02")`` shows a chapter's headline lines, ``ledger.results("trial")`` the stored
numbers behind them, and ``python3 -m course reproduce`` runs them again. Claims and trials of
chapter NN stand in ``notebooks/ledger/chapter_NN.py``, which is loaded by its path: as one table
(`course.ledger.tables`) and as functions that yield records (`course.ledger.store.flatten`).
"""

from course.ledger.claim import Claim, Contrast, Finding, Trial
from course.ledger.registry import claims, find, lines, results, row, show, summary, table, trials

__all__ = ["Claim", "Contrast", "Finding", "Trial", "claims", "find", "lines", "results", "row",
           "show", "summary", "table", "trials"]  # fmt: skip
