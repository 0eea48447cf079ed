"""Simulation of what ONNX Runtime holds during one run: which buffers there are, from when until when.

It repeats the decisions of ORT's allocation planner rather than an ideal one's, because the difference is
large: a dead buffer that a later value of the same shape takes over stays allocated in between.
`Relu(a) -> b; MatMul(b) -> c` -> buffer 1 holds a and b, buffer 2 holds c.

Source: onnxruntime/core/framework/allocation_planner.cc, ComputeSingleStreamReusePlan and
GenerateDeallocationPlan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import prod
from typing import TypeAlias

from ..graph.model import ITEM_BITS, Graph, Op, Value
from .blocked import with_blocked_shapes
from .control import body_bytes
from .kernels import alias_of, inplace_operands, temporary_bytes
from .order import execution_order
from .running import Running, as_it_stands, as_run

SizeKey: TypeAlias = tuple[int, tuple[int | str | None, ...]]


@dataclass(frozen=True, slots=True)
class Buffer:
    """One allocation.

    Attributes:
        values: what it holds, in the order in which they come to be; the first one was allocated.
        first_step: the step that allocates it.
        last_step: the step after which it is freed; the last step for results of the run.
    """

    values: tuple[str, ...]
    nbytes: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Timeline:
    """Activation memory over one run.

    Attributes:
        order: indices of the ops, in the order they run; a step is a position in it.
        live_bytes: bytes held while each step runs, its temporaries included.
        peak_step: the first step with the most bytes.
        buffers: in order of allocation; operands of the graph and constants are not among them.
    """

    order: tuple[int, ...]
    live_bytes: tuple[int, ...]
    peak_bytes: int
    peak_step: int
    buffers: tuple[Buffer, ...]

    def at(self, step: int) -> tuple[Buffer, ...]:
        """The buffers held while `step` runs."""
        return tuple(b for b in self.buffers if b.first_step <= step <= b.last_step)


def simulate(
    graph: Graph,
    *,
    order: Sequence[int] | None = None,
    provider: str = "cpu",
    reuse: bool = True,
    fuse: bool = True,
) -> Timeline:
    """Run the graph on paper.

    A graph that ORT wrote itself is simulated with `order=range(len(graph.ops)), fuse=False`.

    Args:
        graph: what to run: as exported, or as ORT rewrote it.
        order: indices of the ops in the order to run them; by default the order ORT would choose.
        provider: whose kernels, "cpu" or "cuda".
        reuse: whether dead buffers are kept for later values (ORT's `enable_mem_reuse`).
        fuse: whether ORT will still fold and fuse ops; what it joins into a later op holds nothing.
    """
    return _simulate(graph, _Settings(provider, reuse, fuse), order)


def body_peaks(op: Op, graph: Graph, *, provider: str, reuse: bool) -> dict[str, int]:
    """What one round of each body of an op holds, by attribute; arguments are those of `simulate`."""
    return {
        name: simulate(_scope(body, op, graph), provider=provider, reuse=reuse).peak_bytes
        for name, body in op.subgraphs.items()
    }


def _scope(body: Graph, op: Op, graph: Graph) -> Graph:
    """A body with the values of the graph around it that it reads."""
    values = {name: graph.values[name] for name in op.captures} | dict(body.values)
    return Graph(body.ops, values, body.inputs, body.outputs)


def _simulate(graph: Graph, settings: _Settings, order: Sequence[int] | None) -> Timeline:
    running = _running(with_blocked_shapes(graph), settings, order)
    graph, calls = running.graph, running.calls
    settings = replace(settings, converted=running.converted)
    plan = _Plan(graph, [op for _, op in calls], settings.provider, settings.reuse, there=settings.present)
    for call, (_, op) in enumerate(calls):
        if op:
            plan.run(call, op)
    buffers = plan.buffers(len(calls) - 1)
    extra = [_extra_bytes(op, graph, settings, plan.present(op)) if op else 0 for _, op in calls]
    live = _live_bytes(buffers, extra)
    if len(calls) > len(running.order):
        live, buffers = _by_step(live, buffers, [step for step, _ in calls])
    peak = max(live, default=0)
    return Timeline(running.order, live, peak, live.index(peak) if live else 0, buffers)


def _running(graph: Graph, settings: _Settings, order: Sequence[int] | None) -> Running:
    if settings.fuse:
        return as_run(graph, order, settings.provider, settings.outer, converted=settings.converted)
    return as_it_stands(graph, execution_order(graph) if order is None else order)


def _by_step(
    live: Sequence[int], buffers: Sequence[Buffer], step_of: Sequence[int]
) -> tuple[tuple[int, ...], tuple[Buffer, ...]]:
    """What is held by steps rather than by calls, of which a step has one or more."""
    most = [0] * (step_of[-1] + 1)
    for step, held in zip(step_of, live, strict=True):
        most[step] = max(most[step], held)
    moved = (replace(b, first_step=step_of[b.first_step], last_step=step_of[b.last_step]) for b in buffers)
    return tuple(most), tuple(moved)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What is passed on to bodies.

    Attributes:
        present: results of the graph whose memory is there before they are computed, and counted elsewhere.
        outer: values of the graphs around it that it reads.
        converted: whether ORT converted constants of those from float16.
    """

    provider: str
    reuse: bool
    fuse: bool
    present: frozenset[str] = frozenset()
    outer: frozenset[str] = frozenset()
    converted: bool = False


def _live_bytes(buffers: Sequence[Buffer], extra: Sequence[int]) -> tuple[int, ...]:
    change = [0] * (len(extra) + 1)
    for buffer in buffers:
        change[buffer.first_step] += buffer.nbytes
        change[buffer.last_step + 1] -= buffer.nbytes
    return tuple(held + more for held, more in zip(accumulate(change), extra, strict=False))


def _extra_bytes(op: Op, graph: Graph, settings: _Settings, present: frozenset[str]) -> int:
    def body_peak(body: Graph, there: frozenset[str]) -> int:
        order = None if settings.fuse else range(len(body.ops))  # ORT writes bodies in order, too
        inner = replace(settings, present=there, outer=frozenset(op.captures))
        return _peak_without(_simulate(_scope(body, op, graph), inner, order), there)

    if op.subgraphs:
        return body_bytes(op, graph, body_peak, present)
    return temporary_bytes(op, graph, settings.provider, used=not present.isdisjoint(op.outputs[:1]))


def _peak_without(timeline: Timeline, names: frozenset[str]) -> int:
    """The peak, not counting the buffers that begin as one of these values."""
    if not names:
        return timeline.peak_bytes
    left_out = [buffer for buffer in timeline.buffers if buffer.values[0] in names]
    return max(
        live - sum(b.nbytes for b in left_out if b.first_step <= step <= b.last_step)
        for step, live in enumerate(timeline.live_bytes)
    )


@dataclass(slots=True)
class _Allocation:
    """A buffer while the plan is made; `uses` counts what still stands between it and the free list."""

    values: list[str]
    nbytes: int
    key: SizeKey | None
    first_step: int
    last_read: int = -1
    last_made: int = -1
    uses: int = 0
    is_result: bool = False


@dataclass(slots=True)
class _Plan:
    """The planner's state: which buffer each value is in, and which buffers are free."""

    graph: Graph
    ops: Sequence[Op | None]
    provider: str
    reuse: bool
    held: dict[str, _Allocation] = field(default_factory=dict)
    made: list[_Allocation] = field(default_factory=list)
    free: dict[SizeKey, list[_Allocation]] = field(default_factory=lambda: defaultdict(list))
    uses: Counter[str] = field(default_factory=Counter)
    results: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.results = self.graph.results
        ops = [op for op in self.ops if op is not None]
        self.uses.update(name for op in ops for name in op.reads)
        self.uses.update(name for op in ops for name in op.outputs)
        self.uses.update(self.graph.outputs)

    def run(self, step: int, op: Op) -> None:
        """Give each output a buffer, then count down what the op was the last to need."""
        for position, name in enumerate(op.outputs):
            if name:
                self._place(step, op, position, name)
        for name in op.reads:
            if buffer := self.held.get(name):
                buffer.last_read = step
                self._drop(buffer)
        for name in op.outputs:
            if buffer := self.held.get(name):
                self._drop(buffer)

    def present(self, op: Op) -> frozenset[str]:
        """Results of an op that lie in a buffer which held something before."""
        held = ((name, self.held.get(name)) for name in op.outputs if name)
        return frozenset(
            name for name, buffer in held if name in self.there or (buffer and buffer.values[0] != name)
        )

    def buffers(self, last_step: int) -> tuple[Buffer, ...]:
        """Every allocation with its lifetime.

        ORT frees after the last read. What nobody reads, or is made after the last read, stays to the end.
        """
        return tuple(
            Buffer(
                tuple(a.values),
                a.nbytes,
                a.first_step,
                last_step if a.is_result or a.last_read < a.last_made else a.last_read,
            )
            for a in self.made
        )

    def _place(self, step: int, op: Op, position: int, name: str) -> None:
        value = self.graph.values[name]
        if name in self.results:
            return self._allocate(step, value, _size_key(value), is_result=True)
        aliased = alias_of(op) if position == 0 else None
        if aliased is not None:
            return self._share(step, self.held.get(op.inputs[aliased]), name)
        taken = self._overwritten(op, value) if position == 0 else None
        key = _size_key(value, as_matrix=op.type == "Gemm")
        taken = taken or self._free_buffer(key)
        return self._share(step, taken, name) if taken else self._allocate(step, value, key)

    def _allocate(self, step: int, value: Value, key: SizeKey | None, *, is_result: bool = False) -> None:
        made = _Allocation([], value.nbytes, key, step, is_result=is_result)
        self.made.append(made)
        self._share(step, made, value.name)

    def _share(self, step: int, buffer: _Allocation | None, name: str) -> None:
        """Put a value into a buffer; None stands for a buffer that this graph does not own."""
        if buffer is None:
            return
        buffer.values.append(name)
        buffer.uses += self.uses[name]
        buffer.last_made = step
        self.held[name] = buffer

    def _overwritten(self, op: Op, value: Value) -> _Allocation | None:
        """The buffer of an operand that nobody else waits for and that has the output's size."""
        for position in inplace_operands(op, self.provider):
            name = op.inputs[position] if position < len(op.inputs) else ""
            buffer = self.held.get(name)
            if buffer and buffer.uses == 1 and _size_key(self.graph.values[name]) == _size_key(value):
                return buffer if _size_key(value) is not None else None
        return None

    def _free_buffer(self, key: SizeKey | None) -> _Allocation | None:
        """The buffer most recently freed among those of the same size; a scalar never takes one over."""
        found = self.free.get(key) if key is not None and key[1] else None
        return found.pop() if found else None

    def _drop(self, buffer: _Allocation) -> None:
        buffer.uses -= 1
        if buffer.uses == 0 and buffer.key is not None and self.reuse:
            self.free[buffer.key].append(buffer)


def _size_key(value: Value, *, as_matrix: bool = False) -> SizeKey | None:
    """What ORT compares: the element's size and the whole shape, not the bytes; None fits nothing.

    A Gemm of more axes, made of a MatMul and an Add, computes a matrix that is only then viewed with all
    its axes.
    """
    shape = value.shape if value.dims is None else value.dims
    if value.shape is None or shape is None or None in shape or value.dtype == "string":
        return None
    if as_matrix and len(shape) > 2:
        rows = prod(value.shape[:-1]) if value.dims is None else "*".join(map(str, shape[:-1]))
        shape = (rows, shape[-1])
    return ITEM_BITS[value.dtype], shape
