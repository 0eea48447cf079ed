"""Every rule against the oracle, and nothing left without a rule or a reason."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from onnx_autochunk.axes.registry import entries
from tests.axes.cases import CASES
from tests.axes.oracle import Case
from tests.axes.proof import proofs, proved

FIRST_OPSET = 7  # what ONNX Runtime still runs
SCHEMAS = [schema for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chunks_give_the_whole(case: Case) -> None:
    """The oracle asserts it, for every flow that the case's rule lets pass."""
    proved(case)


def test_every_entry_passes_something_or_says_why_not() -> None:
    assert {(p.domain, p.op, p.since) for p in proofs() if not p.axes_proved and p.barrier is None} == set()


def test_every_entry_has_cases() -> None:
    """None is needed for a barrier that reads nothing but the operator's name."""
    cases: Counter[tuple[str, str]] = Counter()
    for proof in proofs():
        assert proof.cases or proof.barrier, proof
        cases[proof.domain, proof.op] += proof.cases
    passing = {(p.domain, p.op) for p in proofs() if p.axes_proved}
    assert {key for key in passing if cases[key] < 2} == set()


def test_every_standard_operator_has_an_entry_at_every_opset() -> None:
    ranges: dict[str, list[range]] = {}
    for entry in entries():
        if not entry.domain:
            ranges.setdefault(entry.type, []).append(range(entry.since, entry.until))
    lacking = {
        f"{name} at opset {opset}"
        for name, first, last in _live()
        for opset in range(first, last + 1)
        if not any(opset in covered for covered in ranges.get(name, ()))
    }
    assert lacking == set()


def _live() -> list[tuple[str, int, int]]:
    """(operator, first and last opset that has it), of those that ONNX Runtime still runs."""
    latest = onnx.defs.onnx_opset_version()
    found = []
    for name in sorted({schema.name for schema in SCHEMAS}):
        own = [schema for schema in SCHEMAS if schema.name == name]
        first = max(FIRST_OPSET, min(schema.since_version for schema in own if not schema.deprecated))
        ends = [schema.since_version - 1 for schema in own if schema.deprecated]
        found.append((name, first, min([latest, *ends])))
    return [(name, first, last) for name, first, last in found if first <= last]
