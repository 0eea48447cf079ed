"""Which operators ONNX Runtime's CUDA provider has kernels for: versions and element types.

It is read from `kernels.json`, which `python -m tools.kernels` makes of ONNX Runtime's own list of kernels.

    Cast at opset 21 from float8e5m2 -> the kernel of versions 21 and 22
    SplitToSequence at any opset    -> "no CUDA kernel"

Source: docs/OperatorKernels.md; how a kernel is looked up: onnxruntime/core/framework/kernel_registry.cc.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

from ..graph.model import Graph, Op, Value

FILE = Path(__file__).with_name("kernels.json")
STANDARD = "ai.onnx"
# Without a kernel anywhere, and run as they are defined (`graph.functions`): all of that has CUDA kernels for
# these types.
DEFINED = frozenset({"GroupNormalization", "Mish", "Swish"})
DEFINED_TYPES = frozenset({"bfloat16", "float16", "float32"})


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernels of one operator for a range of versions.

    Attributes:
        since: first version of the operator.
        until: last version; None where the list says "and newer", which ORT takes for exactly `since`.
        operands: type variable of each operand; the last one stands for all further ones.
        results: the same for the results.
        types: element types of each type variable; of a sequence, those of its tensors.
        new: the oldest listed release lacks it, or lacks some of its types or versions.
    """

    since: int
    until: int | None
    operands: tuple[str, ...]
    results: tuple[str, ...]
    types: Mapping[str, frozenset[str]]
    new: bool = False

    def serves(self, version: int) -> bool:
        """Whether ORT takes it for an operator that was last changed in opset `version`."""
        return version == self.since or (self.until is not None and self.since <= version <= self.until)


@dataclass(frozen=True, slots=True)
class Operator:
    """The versions of an operator in ONNX, and its CUDA kernels."""

    versions: tuple[int, ...]
    kernels: tuple[Kernel, ...]

    def version(self, opset: int) -> int:
        """The opset that last changed the operator."""
        return max((version for version in self.versions if version <= opset), default=opset)


@cache
def operators() -> Mapping[tuple[str, str], Operator]:
    """Every operator that has a CUDA kernel, by domain ("" is ai.onnx) and type."""
    found = json.loads(FILE.read_text(encoding="utf-8"))["operators"]
    return {_key(one["domain"], one["op"]): _operator(one) for one in found}


def _key(domain: str, kind: str) -> tuple[str, str]:
    return ("" if domain == STANDARD else domain, kind)


def _operator(record: Mapping[str, Any]) -> Operator:
    return Operator(tuple(record["versions"]), tuple(map(_kernel, record["kernels"])))


def _kernel(record: Mapping[str, Any]) -> Kernel:
    return Kernel(
        since=record["since"],
        until=record.get("until"),
        operands=tuple(record["operands"].split()),
        results=tuple(record["results"].split()),
        types={name: frozenset(types.split()) for name, types in record["types"].items()},
        new=record.get("new", False),
    )


def lacks(op: Op, values: Mapping[str, Value]) -> str | None:
    """Why no CUDA kernel can run the op; None if one can.

    Args:
        op: the call.
        values: everything that it may read or write, by name.
    """
    operator = operators().get((op.domain, op.type))
    if operator is None:
        return None if _is_defined(op, values) else "no CUDA kernel"
    version = operator.version(op.version)
    serving = [kernel for kernel in operator.kernels if kernel.serves(version)]
    if not serving:
        return f"no CUDA kernel for version {version} of the operator"
    wrong = [_wrong_type(op, kernel, values) for kernel in serving]
    return None if None in wrong else wrong[0]


def _is_defined(op: Op, values: Mapping[str, Value]) -> bool:
    value = values.get(op.inputs[0]) if op.type in DEFINED and not op.domain else None
    return value is not None and value.dtype in DEFINED_TYPES


def loses_kernel(graph: Graph, opset: int) -> Op | None:
    """The first op, in bodies too, that has a CUDA kernel now and none once the model is raised to `opset`.

    Args:
        graph: with the types of its values.
        opset: version of ai.onnx.
    """
    return next(_losing(graph, opset, {}), None)


def _losing(graph: Graph, opset: int, outer: Mapping[str, Value]) -> Iterator[Op]:
    values = {**outer, **graph.values}
    for op in graph.ops:
        raised = replace(op, version=max(opset, op.version))
        if not op.domain and lacks(op, values) is None and lacks(raised, values) is not None:
            yield op
        for body in op.subgraphs.values():
            yield from _losing(body, opset, values)


def _wrong_type(op: Op, kernel: Kernel, values: Mapping[str, Value]) -> str | None:
    sides = ((op.inputs, kernel.operands), (op.outputs, kernel.results))
    for names, variables in sides:
        for name, variable in zip(names, _for_all(variables, len(names)), strict=False):
            value, types = values.get(name), kernel.types.get(variable)
            if value is not None and types is not None and value.dtype not in types:
                return f"no CUDA kernel for {value.dtype} ({name!r})"
    return None


def _for_all(variables: Sequence[str], count: int) -> list[str]:
    return [*variables, *repeat(variables[-1], max(count - len(variables), 0))] if variables else []
