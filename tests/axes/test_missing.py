"""The reverse check: what a rule does not let pass is tried too, and slicing that works needs a reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from onnx_autochunk.errors import RuleError
from tests.axes.backend import calls
from tests.axes.cases import CASES
from tests.axes.guarded import guarded
from tests.axes.missing import attempts, holds
from tests.axes.oracle import Array, Case, Run, runner
from tests.axes.reasons import WHOLE_THOUGH_IT_PASSES

Key = tuple[str, str, str]  # operator, what is cut, case
Tasks = Iterator[tuple[Key, Callable[[], bool]]]


def _tried(name: str, case: Case, run: Run, whole: Sequence[Array]) -> Tasks:
    try:
        found = attempts(case, whole)
    except RuleError:  # a wrong rule, which the oracle's own tests report
        return
    for what, rule in found:
        yield (case.type, what, name), partial(holds, case, run, rule, whole)


def own() -> Tasks:
    for case in CASES:
        run = runner(case)
        yield from _tried(str(case), case, run, run(case.operands))


def suite() -> Tasks:
    for call in calls(Counter()):
        yield from _tried(call.name, call.case, call.run, call.whole)


def test_what_is_held_back_cannot_be_cut(record_property: Callable[[str, object], None]) -> None:
    """No cut of an own case works, and none that works in every test of the suite, whose data are simple."""
    ours, theirs = guarded(own, fallen=False), guarded(suite, fallen=False)
    record_property("tried", len(ours) + len(theirs))
    works = {(type_, what): name for (type_, what, name), works in ours if works}
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for (type_, what, _), holds_here in theirs:
        found[type_, what].append(holds_here)
    works |= {key: "the suite" for key, every in found.items() if all(every) and _is_evidence(key[1], every)}
    assert {key: name for key, name in works.items() if key not in WHOLE_THOUGH_IT_PASSES} == {}
    assert set(WHOLE_THOUGH_IT_PASSES) - set(works) == set(), "reasons that nothing needs"


def _is_evidence(what: str, tests: list[bool]) -> bool:
    """One test is enough for a mapped axis; sums, maxima and minima are more often right by chance."""
    return len(tests) > 1 or what[-1] not in "+^_"
