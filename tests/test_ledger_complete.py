"""The ledger has a row for every figure, table and claim of the papers that the course cites."""

from course import claims
from course.claims.claim import REPRODUCED, UNTESTABLE

P1 = ["F1", "F2", "F3", "F4", "F5", "F6", "F7", "T1", "A1", "A2", *(f"C{i}" for i in range(1, 20))]
P2 = [*(f"F{i}" for i in range(1, 8)), "T1", "T2", *(f"C{i}" for i in range(1, 18))]
RELATED = [f"R-{i}" for i in range(1, 9)]


def test_no_row_is_missing():
    wanted = {*(f"P1-{row}" for row in P1), *(f"P2-{row}" for row in P2), *RELATED}
    assert wanted <= set(claims.claims()), sorted(wanted - set(claims.claims()))


def test_what_cannot_be_tested_says_why():
    for claim in claims.claims().values():
        if not claim.trial:
            assert len(claim.untestable.split()) >= 5
            assert claims.verdict(claim.id) == UNTESTABLE != REPRODUCED
