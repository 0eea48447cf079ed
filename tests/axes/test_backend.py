"""The ONNX project's own node tests, run through the oracle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.axes.backend import calls
from tests.axes.oracle import assert_step, flows, rule_of


def test_every_flow_through_the_projects_own_cases(record_property: Callable[[str, object], None]) -> None:
    left_out: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wrong = []
    for call in calls(left_out):
        found["cases"] += 1
        try:
            rule = rule_of(call.case, call.whole)
            steps = list(flows(rule))
        except Exception as error:
            wrong.append(f"{call.name}: {error}")
            continue
        found["flows"] += len(steps)
        found["axes"] += len({step.factor.name for step in steps if step.factor})
        for step in steps:
            try:
                assert_step(call.case, call.run, rule, step, call.whole)
            except Exception as error:
                wrong.append(f"{call.name}: {step}: {error}")
    for name, count in (found | left_out).items():
        record_property(name, count)
    assert wrong == []
    # lost coverage shows here: raise the numbers when rules or the suite grow
    assert found["cases"] >= 1360 and found["axes"] >= 2410 and found["flows"] >= 3500
