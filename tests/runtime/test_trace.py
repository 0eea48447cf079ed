"""What is read from ONNX Runtime's profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onnx_autochunk.runtime.trace import read_trace

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def _ran(name: str, op: str, provider: str, peak: int | None = None) -> dict[str, Any]:
    counters = {} if peak is None else {"mem_in_use_peak": str(peak)}
    args = {"op_name": op, "provider": provider, **counters}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": args}


def test_nodes_calls_copies_and_peaks_are_counted(tmp_path: Path) -> None:
    events = [
        {"cat": "Session", "name": "model_run", "args": {}},
        {"cat": "Node", "name": "fence", "args": {}},
        _ran("a", "MatMul", CUDA, 100),
        _ran("a", "MatMul", CUDA, 300),
        _ran("b", "MatMul", CUDA, 200),
        _ran("c", "MemcpyToHost", CUDA, 300),
        *[_ran("d", "MemcpyFromHost", CUDA)] * 4,
        _ran("e", "Shape", CPU),
    ]
    (tmp_path / "profile.json").write_text(json.dumps(events), encoding="utf-8")
    trace = read_trace(tmp_path / "profile.json")
    assert trace.nodes == {CUDA: {"MatMul": 2, "MemcpyToHost": 1, "MemcpyFromHost": 1}, CPU: {"Shape": 1}}
    assert trace.calls[CUDA]["MatMul"] == 3
    assert trace.copies() == (2, 5)
    assert trace.peak_bytes == {CUDA: 300}
