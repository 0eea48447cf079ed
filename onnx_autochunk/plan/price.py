"""What a candidate region costs: its peak and its time as functions of the chunk length, for each form.

The interval is run on paper as prefix | loop | suffix with the planner's own rules (`memory.lifetime`). In
the body every value carries the flow, so that what is held at a step is proportional to the length; only
halos and what kernels take for themselves are not: then two lengths give a line for each step.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..graph.model import Graph, Op, Origin, Value, numbered
from ..memory.kernels import temporary_bytes
from ..memory.lifetime import simulate
from ..options import Form
from .body import body_of
from .feeders import Front, in_order
from .hosts import sweep_hosts
from .lifetimes import Lifetimes
from .oversize import UNBEARABLE, charged, longest_chunk
from .region import Cut, Region, in_front
from .rules import Rules

LOOP, COPY, HOLD, RELEASE = "autochunk.Loop", "autochunk.Copy", "autochunk.Hold", "autochunk.Release"
# What ops read that stand for outside ones.
ELSEWHERE = Value("autochunk.elsewhere", "float32", None, Origin.INPUT)


@dataclass(frozen=True, slots=True)
class BodyPeak:
    """Peak of a body: the highest of some lines over the chunk length, each of bytes and bytes per step.

    Attributes:
        longest: longer chunks have oversize values; None sets no limit.
    """

    lines: tuple[tuple[float, float], ...]
    longest: int | None = None

    def at(self, length: int) -> int:
        """The peak for one length."""
        if self.longest is not None and length > self.longest:
            return UNBEARABLE
        return int(max(fixed + per_step * length for fixed, per_step in self.lines))


@dataclass(frozen=True, slots=True)
class Footprint:
    """Peak of one region in one form, in bytes, as a function of the chunk length.

    Attributes:
        around: the highest of prefix and suffix.
        loop: held while the loop runs, without its body.
        body: peak of the body.
        feeders: the last two of each feeder.
        overlaps: the first chunk may begin before the prefix ends.
    """

    around: int
    loop: int
    body: BodyPeak
    feeders: tuple[tuple[int, BodyPeak], ...] = ()
    overlaps: bool = False

    def peak_bytes(self, length: int) -> int:
        """Peak of the whole interval, without its feeders."""
        chunk = self.body.at(length)
        return max(self.around + (chunk if self.overlaps else 0), self.loop + chunk)

    def is_deep(self, length: int) -> bool:
        """True when the body holds more than half of what is held around it."""
        return 2 * self.body.at(length) > self.loop

    def feeder_bytes(self, at: int, length: int) -> int:
        """What is held while a feeder runs."""
        loop, body = self.feeders[at]
        return loop + body.at(length)


def is_view(graph: Graph, cut: Cut, even: bool, provider: str) -> bool:
    """True when chunks of an input are views of it: the cut axis outermost, and the chunks equal.

    Of a constant only where the shape of the view is hidden from ORT (`emit.apart`), which would fold it.
    """
    value = graph.values[cut.value]
    hides = value.origin is not Origin.CONSTANT or provider == "cpu"
    return even and hides and in_front(value, cut.position)


def is_block(graph: Graph, cut: Cut, even: bool, provider: str) -> bool:
    """True when chunks of an input that are no views of it are blocks of one: the chunks equal, no constant.

    Gather copies blocks with all threads of the CPU, Slice with one. ORT would fold the view of a constant.

    Source: onnxruntime/core/providers/cpu/tensor/gather.cc, slice.cc.
    """
    return even and provider == "cpu" and graph.values[cut.value].origin is not Origin.CONSTANT


def footprint(
    graph: Graph,
    region: Region,
    form: Form,
    around: Lifetimes,
    provider: str,
    *,
    even: bool = True,
    front: Front | None = None,
    rules: Rules | None = None,
    body: BodyPeak | None = None,
    other: Footprint | None = None,
    most_elements: int | None = None,
) -> Footprint:
    """Simulate one region in one form, with chunks of equal length or with a shorter last one.

    With a front its feeders run as loops. The rules are for regions that accumulate. A body whose
    peak is known is not simulated again, and of the `other` footprint, with the same front and chunks of
    equal length or not, what does not depend on that. Values with more than `most_elements` are oversize.
    """
    if (
        body is None
        and other is not None
        and not any(_depends(graph, cut, form, provider) for cut in region.sliced)
    ):
        body = other.body

    def limited(peak: BodyPeak, loop: Region) -> BodyPeak:
        return replace(peak, longest=longest_chunk(graph, loop, most_elements))

    steps = _interval(graph, region, form, around, even, front)
    order = range(len(steps.ops))
    held_bytes = simulate(steps, order=order, provider=provider).live_bytes
    live_bytes = charged(held_bytes, steps, order, most_elements)
    *others, at = [op.index for op in steps.ops if op.type == LOOP]
    outside = [held for step, held in enumerate(live_bytes) if step not in (*others, at)]
    fed = {op.outputs[0]: live_bytes[op.index] for op in steps.ops if op.type == LOOP}
    return Footprint(
        around=max(outside, default=0),
        loop=live_bytes[at],
        body=body or limited(_body(graph, region, form, provider, rules or Rules(graph, ()), even), region),
        feeders=tuple(
            (
                fed[_pieces(feeder.outputs[0].value)],
                limited(_mapping(graph, feeder, feeding, provider, even=False), feeder)
                if other is None
                else other.feeders[at][1],
            )
            for at, (feeder, feeding) in enumerate(_feeders(front))
        ),
        overlaps=bool(_hosts(graph, region, form) and region.whole),
    )


def _depends(graph: Graph, cut: Cut, form: Form, provider: str) -> bool:
    """True when it depends on the chunks being equally long whether they copy their slices of an input."""
    return form is Form.SCAN and is_view(graph, cut, even=True, provider=provider)


def _body(graph: Graph, region: Region, form: Form, provider: str, rules: Rules, even: bool) -> BodyPeak:
    if region.accumulator is None:
        return _mapping(graph, region, form, provider, even)
    return _accumulating(graph, region, form, provider, rules, even)


def _mapping(graph: Graph, region: Region, form: Form, provider: str, even: bool) -> BodyPeak:
    """Peak of the body, by what is held at each step of it when a chunk is short and when it is long."""
    copied = [
        cut for cut in region.sliced if form is not Form.SCAN or not is_view(graph, cut, even, provider)
    ]
    ops = (graph.ops[index] for index in region.ops)
    if not region.varies and not any(temporary_bytes(op, graph, provider) for op in ops):
        return BodyPeak(((0, max(body_bytes(graph, region, copied, form, provider)) / region.extent),))
    short, long = max(1, region.extent // 8), max(2, region.extent // 2)
    low, high = (
        body_bytes(_at_length(graph, region, length), region, copied, form, provider)
        for length in (short, long)
    )
    return _lines_through((short, low), (long, high))


def _accumulating(
    graph: Graph, region: Region, form: Form, provider: str, rules: Rules, even: bool
) -> BodyPeak:
    """The same where chunks hand on what is carried, and all else that does not grow with the chunk."""
    short, long = max(1, region.extent // 64), max(2, region.extent // 16)
    low, high = (_chunk_bytes(graph, region, form, provider, rules, n, even) for n in (short, long))
    return _lines_through((short, low), (long, high))


def _lines_through(low: tuple[int, Sequence[int]], high: tuple[int, Sequence[int]]) -> BodyPeak:
    """Lines through what is held at each step with two lengths, without those that lie below another."""
    (short, less), (long, more) = low, high
    slopes = [max(0.0, (late - early) / (long - short)) for early, late in zip(less, more, strict=True)]
    lines = {(max(0.0, held - slope * short), slope) for held, slope in zip(less, slopes, strict=True)}
    return BodyPeak(tuple(sorted(line for line in lines if not _is_below(line, lines))))


def _is_below(line: tuple[float, float], others: Iterable[tuple[float, float]]) -> bool:
    return any(fixed >= line[0] and slope >= line[1] for fixed, slope in others if (fixed, slope) != line)


def _chunk_bytes(
    graph: Graph, region: Region, form: Form, provider: str, rules: Rules, length: int, even: bool
) -> tuple[int, ...]:
    """What is held at each step of one chunk with the states around it.

    A Scan has two buffers of each state beside the first, and its results are there only as far as they are
    written. Where chunks are written out, each keeps its buffers for the next.

    Source: onnxruntime/core/providers/cpu/controlflow/scan_utils.cc, LoopStateVariable.
    """
    body = body_of(graph, region, rules, length)
    values = _over(body.graph.values)
    values[ELSEWHERE.name] = ELSEWHERE
    states = sum(values[state.value].nbytes for state in body.states)
    cuts = [cut for cut in region.sliced if form is not Form.SCAN or not is_view(graph, cut, even, provider)]
    names = [body.slices[cut] for cut in cuts]
    for name in names:
        values[name] = replace(values[name], origin=Origin.COMPUTED)
    ops = numbered([*(Op(0, "", COPY, (ELSEWHERE.name,), (name,)) for name in names), *body.graph.ops])
    chunk = Graph(ops, _own(values, ops), (), body.graph.outputs)
    timeline = simulate(chunk, provider=provider)
    if form is not Form.SCAN:
        return (sum(buffer.nbytes for buffer in timeline.buffers) + states,)
    assert region.accumulator is not None
    result = graph.values[region.accumulator.value].nbytes  # counted around the loop
    return tuple(max(0, live - states) + 3 * states - result for live in timeline.live_bytes)


def _at_length(graph: Graph, region: Region, length: int) -> Graph:
    """The graph with the values that the region cuts as one chunk sees them."""
    cuts = {
        **region.flow,
        **{cut.value: cut.position for cut in region.sliced if cut.value not in region.flow},
    }
    values = _over(graph.values)
    for name, position in cuts.items():
        shape = values[name].shape
        assert shape is not None, "a cut value has a shape"
        values[name] = replace(values[name], shape=position.sliced_shape(shape, length))
    return replace(graph, values=values)


def body_bytes(
    graph: Graph, region: Region, copied: Sequence[Cut], form: Form, provider: str
) -> tuple[int, ...]:
    """What is held at each step of the body when one chunk is all, with the slices that are copied.

    A Scan's results are there already, as far as they are written: the part of the last chunk is not until
    the end (`memory.control`).
    """
    copies = {cut: f"{cut.value}/{number}" for number, cut in enumerate(copied)}
    values = _over(graph.values)
    values[ELSEWHERE.name] = ELSEWHERE
    for cut, name in copies.items():
        values[name] = replace(values[cut.value], name=name, origin=Origin.COMPUTED)
    names = {cut.value: name for cut, name in copies.items() if cut.value not in region.flow}
    ops = [Op(0, "", COPY, (ELSEWHERE.name,), (name,)) for name in copies.values()]
    ops += [_renamed(graph.ops[index], names) for index in region.ops]
    outputs = tuple(cut.value for cut in region.outputs)
    body = Graph(numbered(ops), _own(values, ops), (), outputs)
    written = sum(graph.values[name].nbytes for name in outputs) if form is Form.SCAN else 0
    return tuple(max(0, live - written) for live in simulate(body, provider=provider).live_bytes)


def _renamed(op: Op, names: Mapping[str, str]) -> Op:
    """An op that reads copies of some values."""
    if names.keys().isdisjoint(op.inputs):
        return op
    return replace(op, inputs=tuple(names.get(name, name) for name in op.inputs))


def _interval(
    graph: Graph, region: Region, form: Form, around: Lifetimes, even: bool, front: Front | None
) -> Graph:
    """The interval as a graph: held values appear, prefix, loop, reassembly, suffix, needed values go."""
    values = _over(graph.values)
    values[ELSEWHERE.name] = ELSEWHERE
    held = around.held[region.start]
    for loop, written in ((region, form), *_feeders(front)):
        in_place = _hosts(graph, loop, written)
        for name in loop.results:
            pieces = _put_side_by_side(values[name])
            values[pieces.name] = replace(pieces, shape=(0,)) if name in in_place else pieces
    before = [graph.ops[index] for index in (region.hoisted if front is None else front.plain)]
    for feeder, feeding in _feeders(front):
        before += _loop(graph, feeder, feeding, even=False)
    steps = [*in_order(before), *_loop(graph, region, form, even=even)]
    steps += [graph.ops[index] for index in region.sunk]
    ops = [Op(0, "", HOLD, (ELSEWHERE.name,), (name,)) for name in held]
    ops += [around.on_buffers(op, held) for op in steps]
    results = dict.fromkeys(name for op in ops for name in op.outputs)
    needed = tuple(name for name in results if around.last_read(name) > region.end)
    ops.append(Op(0, "", RELEASE, needed, ()))
    outputs = tuple(name for name in results if name in graph.results)
    return Graph(numbered(ops), _own(values, ops), (), outputs)


def _feeders(front: Front | None) -> list[tuple[Region, Form]]:
    return [] if front is None else list(zip(front.feeders, front.forms, strict=True))


def _pieces(name: str) -> str:
    """What a loop makes of a region's output, before it is put together."""
    return f"{name}/pieces"


def _put_side_by_side(value: Value) -> Value:
    """The pieces of a value: one more axis, so that they take over no buffer of the same shape."""
    return replace(value, name=_pieces(value.name), shape=(1, *(value.shape or ())))


def _loop(graph: Graph, region: Region, form: Form, *, even: bool) -> list[Op]:
    """A region as one op and those that put its results together."""
    reads = dict.fromkeys([cut.value for cut in region.sliced] + list(region.whole))
    pieces = tuple(map(_pieces, region.results))
    hosts = _hosts(graph, region, form)
    made = [
        _assemble(graph, cut, _pieces(cut.value), form, even)
        if cut.value not in hosts
        else Op(0, "", "Identity", (hosts[cut.value],), (cut.value,))
        for cut in region.outputs
    ]
    if carried := region.accumulator:
        made.append(Op(0, "", COPY, (_pieces(carried.value),), (carried.value,)))
    return [Op(0, "", LOOP, (ELSEWHERE.name, *reads), pieces), *made]


def _hosts(graph: Graph, region: Region, form: Form) -> Mapping[str, str]:
    """For each output that is written over an input, that input."""
    found = sweep_hosts(graph, region) if form is Form.SWEEP else None
    return {output.value: host.value for output, host in (found or {}).items()}


def _assemble(graph: Graph, cut: Cut, pieces: str, form: Form, even: bool) -> Op:
    """The op that makes a region output of the loop's result: free when the loop wrote it in place."""
    free = form is Form.SWEEP or (
        form is Form.SCAN and even and in_front(graph.values[cut.value], cut.position)
    )
    return Op(0, "", "Identity" if free else COPY, (pieces,), (cut.value,))


def _over(values: Mapping[str, Value]) -> ChainMap[str, Value]:
    """The values, of which some can be replaced: a copy of them all would cost more than the simulation."""
    return ChainMap({}, values)  # type: ignore[arg-type]  # only the first map is written to


def _own(values: Mapping[str, Value], ops: Iterable[Op]) -> dict[str, Value]:
    """The values that the ops name; what none of them makes is somebody else's memory."""
    made = {name for op in ops for name in op.outputs}
    named = made | {name for op in ops for name in op.reads}
    return {
        name: values[name] if name in made or values[name].origin is not Origin.COMPUTED
        else replace(values[name], origin=Origin.INPUT)
        for name in named if name in values
    }  # fmt: skip
