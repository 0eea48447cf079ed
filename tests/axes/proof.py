"""What the oracle has proved: one record for each registered rule, counted from the cases.

proofs()[0]  ->  Proof("", "Abs", since=1, cases=2, axes_proved=3, rule=".0 .1 -> .0 .1 | .0=2 .1=3", ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from onnx_autochunk.axes import Mark, Rule, written
from onnx_autochunk.axes.registry import Entry, entries
from tests.axes.cases import CASES
from tests.axes.oracle import Case, check, version


@dataclass(frozen=True, slots=True)
class Proof:
    """One rule: an operator in a range of opsets.

    Attributes:
        since: first opset of the range.
        until: first opset after the range.
        cases: calls in that range that were run.
        axes_proved: pairs of a case and an axis that passes and was proved.
        rule: the bound rule of the case in which most axes pass; None for a barrier.
        barrier: why no axis passes, if none does in any case.
    """

    domain: str
    op: str
    since: int
    until: int
    cases: int
    axes_proved: int
    rule: str | None
    barrier: str | None


proved = cache(check)
"""The rule of a case, once the oracle has passed it; cases are told apart by identity."""


@cache
def proofs() -> tuple[Proof, ...]:
    """One record for each entry of the registry, in its order."""
    return tuple([_proof(entry) for entry in entries()])


def cases_of(entry: Entry) -> list[Case]:
    """The calls that the entry answers."""
    return [case for case in CASES if covers(entry, case)]


def covers(entry: Entry, case: Case) -> bool:
    """True when the entry answers the call."""
    is_same = (entry.domain, entry.type) == (case.domain, case.type)
    return is_same and entry.since <= version(case) < entry.until


def passing(rule: Rule) -> int:
    """How many axes pass."""
    return sum(factor.mark is not Mark.WHOLE for factor in rule.factors)


def plain_barrier(entry: Entry) -> str | None:
    """The reason of an entry that refuses whatever it is asked: it reads nothing but the operator's name."""
    unread: Any = SimpleNamespace(op=SimpleNamespace(type=entry.type))
    try:
        answer = entry.make(unread)
    except Exception:  # it looked further than the name
        return None
    return answer.barrier if isinstance(answer, Rule) else None


def _proof(entry: Entry) -> Proof:
    cases = cases_of(entry)
    rules = [proved(case) for case in cases]
    best = max(rules, key=passing, default=None)
    reason = plain_barrier(entry) if best is None else best.barrier
    return Proof(
        entry.domain,
        entry.type,
        entry.since,
        entry.until,
        len(cases),
        sum(map(passing, rules)),
        None if best is None or reason else written(best),
        reason,
    )
