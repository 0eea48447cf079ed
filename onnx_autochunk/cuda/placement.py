"""Which device runs each op, and where each value lies, when ONNX Runtime plans for its CUDA provider.

1. An op without a CUDA kernel for its version and types runs on the CPU.
2. What depends on nothing but values in the CPU's memory runs there too: `Shape -> Gather -> Mul`.
3. A value that one device leaves and the other reads is copied, once for each graph: a Memcpy node.
4. What a body gets and gives lies where its ops want it; what lay elsewhere is copied each time it runs.

Source: onnxruntime/core/framework/fallback_cpu_capability.cc (`GetCpuPreferredNodes`),
onnxruntime/core/optimizer/transformer_memcpy.cc, onnxruntime/core/framework/allocation_planner.cc.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from ..graph.model import Graph, Op, Origin, Value
from .host import host_operands, host_results, refused
from .kernels import lacks

SMALL_ELEMENTS = 100  # a constant up to this size does not keep an op on the GPU
GPU_ONLY = frozenset(  # an op with an operand of such a type is never moved to the CPU
    "float16 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz float4e2m1".split()
)


class Device(enum.Enum):
    """Where an op runs or a value lies."""

    CPU = "CPU"
    GPU = "GPU"


@dataclass(frozen=True)
class Placement:
    """The devices of one graph.

    Attributes:
        graph: the main graph or a body.
        values: everything its ops may read, those of outer graphs too.
        reasons: why an op runs on the CPU, by index; the others run on the GPU.
        preferred: of those, the ones that have a CUDA kernel and run where their operands are.
    """

    graph: Graph
    values: Mapping[str, Value]
    reasons: Mapping[int, str]
    preferred: frozenset[int]

    def device(self, op: Op) -> Device:
        """Where an op of the graph runs."""
        return Device.CPU if op.index in self.reasons else Device.GPU

    def read_on(self, op: Op, position: int) -> Device:
        """Where an operand has to lie."""
        return Device.CPU if position in host_operands(op) else self.device(op)

    def left_on(self, op: Op, position: int) -> Device:
        """Where a result lies."""
        return Device.CPU if position in host_results(op) else self.device(op)

    @cached_property
    def readers(self) -> Mapping[str, frozenset[Device]]:
        """Devices on which ops read each value; captures of an op on the GPU do not count."""
        found: dict[str, set[Device]] = {}
        for op in self.graph.ops:
            for position, name in enumerate(op.inputs):
                if name:
                    found.setdefault(name, set()).add(self.read_on(op, position))
            if self.device(op) is Device.CPU:
                for name in op.captures:
                    found.setdefault(name, set()).add(Device.CPU)
        return {name: frozenset(devices) for name, devices in found.items()}

    @cached_property
    def made(self) -> Mapping[str, Device]:
        """Where each computed value lies first."""
        return {
            name: self.left_on(op, position)
            for op in self.graph.ops
            for position, name in enumerate(op.outputs)
            if name
        }

    def wanted(self, name: str) -> Device | None:
        """Where an input of the graph, or a value of an outer one, is brought to before the graph runs.

        None when no op of the graph itself reads it. What both devices read comes to the CPU; a Memcpy brings
        it on.
        """
        devices = self.readers.get(name)
        if devices is None:
            return None
        return Device.CPU if Device.CPU in devices else Device.GPU

    def lies(self, name: str) -> Device | None:
        """Where a value lies that is defined in this graph."""
        return self.made.get(name) or self.wanted(name)

    def copies(self) -> Iterator[tuple[str, Device]]:
        """What Memcpy nodes of this graph copy, and where to; constants are doubled at load instead."""
        for name, devices in self.readers.items():
            value = self.values.get(name)
            source = self.made.get(name, Device.CPU)
            fed = name not in self.made
            if value is not None and value.origin is Origin.CONSTANT:
                continue
            if fed and len(devices) < 2:
                continue
            yield from ((name, device) for device in devices if device is not source)


def place(graph: Graph, outer: Mapping[str, Value] | None = None) -> Placement:
    """The devices of a graph's ops; bodies are placed each by itself.

    Args:
        graph: the main graph or a body.
        outer: values that are visible from outside.
    """
    values = {**(outer or {}), **graph.values}
    without = {op.index: reason for op in graph.ops if (reason := lacks(op, values) or refused(op))}
    preferred = frozenset(_preferred(graph, values, frozenset(without)))
    why = dict.fromkeys(preferred, "depends on values in the CPU's memory only")
    return Placement(graph, values, {**without, **why}, preferred)


def _preferred(graph: Graph, values: Mapping[str, Value], without: frozenset[int]) -> Iterator[int]:
    """Ops that have a kernel and are moved to the CPU, in the order of the file, which is topological."""
    on_cpu = {
        op.outputs[position]
        for op in graph.ops
        if op.index not in without
        for position in host_results(op)
        if position < len(op.outputs)
    }
    candidates = _readers(graph, on_cpu)
    for op in graph.ops:
        if op.index not in candidates:
            continue
        moved = op.index not in without and _may_move(op, graph, values, on_cpu)
        if moved or op.index in without:
            on_cpu.update(op.outputs)
            candidates |= _readers(graph, op.outputs)
        if moved:
            yield op.index


def _readers(graph: Graph, names: set[str] | tuple[str, ...]) -> set[int]:
    return {op.index for name in names for op in graph.consumers.get(name, ())}


def _may_move(op: Op, graph: Graph, values: Mapping[str, Value], on_cpu: set[str]) -> bool:
    return all(
        _keeps_moving(name, position, op, graph, values, on_cpu) for position, name in enumerate(op.inputs)
    )


def _keeps_moving(
    name: str, position: int, op: Op, graph: Graph, values: Mapping[str, Value], on_cpu: set[str]
) -> bool:
    value = values.get(name)
    if value is None or value.dtype in GPU_ONLY:
        return False
    small = value.origin is Origin.CONSTANT and value.shape is not None
    if (small and prod(value.shape or ()) <= SMALL_ELEMENTS) or name in graph.inputs:
        return True
    return name in on_cpu and position not in host_operands(op)
