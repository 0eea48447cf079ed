"""Drawn calls of every family through the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.axes.oracle import assert_step, flows, rule_of, runner
from tests.axes.strategies import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_drawn_calls(family: str, data: st.DataObject) -> None:
    case = data.draw(FAMILIES[family])
    run = runner(case)
    try:
        whole = run(case.operands)
    except Exception:  # the operator itself does not take the call
        reject()
    rule = rule_of(case, whole)
    for step in flows(rule):
        assert_step(case, run, rule, step, whole)
