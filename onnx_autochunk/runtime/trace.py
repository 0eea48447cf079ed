"""What ONNX Runtime's profile of a run says: which provider ran each node, and what the arenas held.

`session.end_profiling()` -> file -> `read_trace(file).nodes["CUDAExecutionProvider"]["MatMul"]` -> 12

Source: onnxruntime/core/framework/sequential_executor.cc, KernelScope; the arenas' counters are there from
ONNX Runtime 1.28 on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COPIES = frozenset({"MemcpyToHost", "MemcpyFromHost"})
PEAK = "mem_in_use_peak"


@dataclass(frozen=True)
class Trace:
    """One profile.

    Attributes:
        nodes: by provider and op type, how many nodes ran on it.
        calls: the same, how often they ran.
        peak_bytes: by provider, the most that its arena had handed out until then; empty where the profile
            does not say.
    """

    nodes: Mapping[str, Mapping[str, int]]
    calls: Mapping[str, Mapping[str, int]]
    peak_bytes: Mapping[str, int]

    def copies(self) -> tuple[int, int]:
        """Nodes that copy between devices, and how often they ran."""
        return _copies(self.nodes), _copies(self.calls)


def read_trace(path: Path) -> Trace:
    """Read the file that a session wrote when it ended profiling."""
    ran = [event for event in json.loads(path.read_text(encoding="utf-8")) if _is_call(event)]
    one_each = {(event["name"], event["args"]["op_name"]): event for event in ran}
    return Trace(_counted(one_each.values()), _counted(ran), _peaks(ran))


def _is_call(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and "provider" in event.get("args", {})


def _counted(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for event in events:
        args = event["args"]
        found.setdefault(args["provider"], Counter())[args["op_name"]] += 1
    return {provider: dict(counts) for provider, counts in found.items()}


def _peaks(events: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for event in events:
        args = event["args"]
        if PEAK in args:
            provider = args["provider"]
            found[provider] = max(found.get(provider, 0), int(args[PEAK]))
    return found


def _copies(counts: Mapping[str, Mapping[str, int]]) -> int:
    return sum(number for ops in counts.values() for kind, number in ops.items() if kind in COPIES)
