"""The JSON object that scripts read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from onnx_autochunk.report.json import to_dict, to_text
from onnx_autochunk.report.record import Report, Status, Verification
from tests.report.examples import FULL, MIB

COST = {
    "predicted_peak_bytes", "measured_peak_bytes", "latency_s", "resident_bytes", "load_s",
    "default_session_rise_bytes",
}  # fmt: skip
REGION = {
    "name", "form", "axis", "length", "count", "nodes", "inputs", "outputs", "hoisted",
    "peak_before_bytes", "peak_after_bytes",
}  # fmt: skip
KEYS = {
    "schema", "status", "message", "baseline", "chunked", "weights_bytes", "budget_bytes", "budget_met",
    "slowdown_measured", "floor_bytes", "front", "measured", "regions", "refusals", "verify",
    "timings_s", "plan", "dims", "chosen", "is_open",
}  # fmt: skip


def test_the_keys_of_schema_1() -> None:
    found = json.loads(to_text(FULL))
    assert found["schema"] == 1
    assert set(found) == KEYS
    assert set(found["baseline"]) == set(found["chunked"]) == COST
    assert set(found["regions"][0]) == REGION
    assert set(found["front"][0]) == {
        "budget_bytes", "predicted_peak_bytes", "predicted_slowdown", "regions"
    }  # fmt: skip
    assert set(found["measured"][0]) == {
        "budget_bytes", "regions", "predicted_peak_bytes", "predicted_slowdown", "measured_peak_bytes",
        "slowdown_measured", "resident_bytes", "load_s", "taken",
    }  # fmt: skip
    assert set(found["refusals"][0]) == {"value", "bytes", "node", "reason"}
    assert set(found["verify"]) == {"passed", "runs", "max_abs", "max_rel", "dims"}


def test_values_survive_as_plain_numbers_and_texts() -> None:
    found = json.loads(to_text(FULL))
    assert found == to_dict(FULL)
    assert found["status"] == "chunked"
    assert found["chunked"]["measured_peak_bytes"] == 92 * MIB
    assert found["regions"][0]["inputs"] == ["x", "k"]
    assert found["verify"]["dims"] == [{"tokens": 4096}]
    assert list(found["timings_s"]) == ["load", "search"]


def test_what_was_not_measured_is_null() -> None:
    found = json.loads(to_text(Report(Status.PLANNED)))
    assert found["chunked"]["latency_s"] is None
    assert found["verify"] is None
    assert found["regions"] == []


def test_infinite_differences_are_null_because_json_has_no_such_number() -> None:
    verify = Verification(passed=True, runs=1, max_abs=math.nan, max_rel=math.inf)
    found = json.loads(to_text(replace(FULL, verify=verify)))
    assert found["verify"]["max_abs"] is found["verify"]["max_rel"] is None
