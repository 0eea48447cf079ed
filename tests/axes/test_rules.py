"""Every rule against the oracle."""

from __future__ import annotations

import pytest

from tests.axes.cases import CASES
from tests.axes.oracle import Case, check


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chunks_give_the_whole(case: Case) -> None:
    check(case)
