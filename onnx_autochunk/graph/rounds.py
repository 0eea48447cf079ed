"""How often an If, a Loop or a Scan runs its bodies.

Scan <num_scan_inputs=1> (state, x [16, 8, 64])  ->  16
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .model import Op, Value


def rounds(
    op: Op, values: Mapping[str, Value], shape_of: Callable[[str], tuple[int, ...] | None] | None = None
) -> int | None:
    """How often an op runs its body; None where only the run itself tells. A Loop may end before its count.

    Args:
        op: the If, Loop or Scan.
        values: of the graph around it.
        shape_of: shapes at which it runs; by default those of `values`.
    """
    if op.type == "Loop":
        count = values.get(op.inputs[0])
        return None if count is None or count.data is None else int(count.data.item())
    if op.type == "Scan":
        scanned, axes = op.inputs[-op.integer("num_scan_inputs", 1)], op.attributes.get("scan_input_axes")
        value = values.get(scanned)
        shape = shape_of(scanned) if shape_of else value and value.shape
        return shape[axes[0] if isinstance(axes, tuple) else 0] if shape else None
    return 1
