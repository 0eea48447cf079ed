"""Raise the opset version of a model whose operators mean the same in the newer one.

onnx's own converter drops node metadata and cannot pass 2 GB; from opset 18 on, hardly any operator changed
its meaning, so the number is enough, and a model with one that did is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ..errors import UsageError

# Operators whose meaning changed, and the version that changed it, after opset 13. Source: ONNX changelog.
CHANGED: Mapping[str, tuple[int, ...]] = {
    "GroupNormalization": (21,),
    "AveragePool": (19,),
    "Resize": (18, 19),
    "Pad": (18, 19),
    "Split": (18,),
    "DFT": (20,),
    "BatchNormalization": (14, 15),
    "Reshape": (14,),
    "ReduceMax": (18, 20), "ReduceMin": (18, 20), "ReduceMean": (18,), "ReduceProd": (18,), "ReduceL1": (18,),
    "ReduceL2": (18,), "ReduceLogSum": (18,), "ReduceLogSumExp": (18,), "ReduceSumSquare": (18,),
    "ScatterElements": (16, 18), "ScatterND": (16, 18),
    "GridSample": (16, 20),
    "RoiAlign": (16,),
}  # fmt: skip

OLDEST = 13


def opset_obstacle(model: ir.Model, target: int) -> str | None:
    """Why the model cannot be raised to `target`; None when it can."""
    version = model.opset_imports.get("", 1)
    if version >= target:
        return None
    if version < OLDEST:
        return f"opset {version} is older than {OLDEST}"
    for node in model.graph.all_nodes():
        if node.domain in ("", "ai.onnx") and any(
            version < v <= target for v in CHANGED.get(node.op_type, ())
        ):
            return f"{node.op_type} {node.name!r} changes its meaning between opset {version} and {target}"
    return None


def raise_opset(model: ir.Model, target: int) -> None:
    """Raise the model's opset to `target` unless it is there already.

    Raises:
        UsageError: an operator changed its meaning in between.
    """
    if obstacle := opset_obstacle(model, target):
        raise UsageError(
            f"cannot raise the model to opset {target}: {obstacle}; choose --form scan or unroll"
        )
    if model.opset_imports.get("", 1) < target:
        model.opset_imports[""] = target
        model.ir_version = max(model.ir_version, 10)
