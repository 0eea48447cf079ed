"""One report with everything in it, for the tests of its texts."""

from __future__ import annotations

from onnx_autochunk.report.record import (
    Cost,
    FrontPoint,
    MeasuredPlan,
    Refusal,
    Region,
    Report,
    Status,
    Verification,
)

MIB = 2**20

FULL = Report(
    status=Status.CHUNKED,
    baseline=Cost(1800 * MIB, 1776 * MIB, 2.9, 230 * MIB, 0.5, 1900 * MIB),
    chunked=Cost(95 * MIB, 92 * MIB, 2.8, 240 * MIB, 0.9, 130 * MIB),
    weights_bytes=220 * MIB,
    budget_bytes=100 * MIB,
    budget_met=True,
    slowdown_measured=0.98,
    floor_bytes=50 * MIB,
    front=(
        FrontPoint(100 * MIB, 95 * MIB, 0.98, 2),
        FrontPoint(94 * MIB, 51 * MIB, 1.234, 4),
    ),
    measured=(MeasuredPlan(100 * MIB, 2, 95 * MIB, 0.98, 92 * MIB, 0.98, 240 * MIB, 0.9, taken=True),),
    regions=(
        Region(
            "attention[0]",
            "scan",
            "1 (tokens)",
            128,
            32,
            41,
            ("x", "k"),
            ("y",),
            1776 * MIB,
            92 * MIB,
            ("k",),
        ),
        Region("mlp", "unroll", "1", 257, 16, 7, ("x",), ("z",), 300 * MIB, 40 * MIB),
    ),
    refusals=(
        Refusal("small", MIB, "node_1", "axis 3 (keys): Softmax needs all of it"),
        Refusal("logits", 64 * MIB, "node_2", "no rule for com.acme::Blur"),
    ),
    verify=Verification(passed=True, runs=2, max_abs=2.4e-6, max_rel=1.1e-4, dims=({"tokens": 4096},)),
    timings_s={"load": 0.5, "search": 3.44},
)
