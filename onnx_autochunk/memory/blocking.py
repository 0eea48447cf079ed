"""What ONNX Runtime brings into the blocked channel layout on the CPU, in a graph as exported.

In that layout channels are rounded up to whole blocks, and values are copied on their way in and out, which
decides the peak of networks with few channels. `y = Conv(x, w)` -> `x@in = ReorderInput(x)`, `y@out =
Conv(x@in, w)`, `y = ReorderOutput(y@out)`.

Source: onnxruntime/core/optimizer/nchwc_transformer.cc.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..graph.model import Graph, Op, Origin, Value
from .blocked import BLOCK, DOMAIN

PART = 4  # channels of what is copied into blocks are a multiple of it
JOIN = frozenset("Relu Sigmoid Tanh HardSigmoid HardSwish".split())  # become part of the Conv before
JOIN_ALONE = frozenset("LeakyRelu Clip".split())  # likewise, but not behind a sum
STAY = frozenset("Relu Sigmoid Tanh HardSigmoid Gelu QuickGelu".split())  # compute on blocks otherwise


def bring_into_blocks(layout: Layout) -> None:
    """Find what runs in blocks at the place of each op, and the copies between the two layouts.

    The rules it follows:
        1. A Conv over two axes by a constant of this very graph is blocked if its input's channels are a
           multiple of 4, or fewer than a block (then it reads its input as it is), and if groups are whole
           blocks or single channels; a pool if its channels are whole blocks.
        2. What reads blocked results only stays in the layout: an activation (one behind a Conv joins it), a
           sum or product of equal shapes (a sum joins a Conv before it), a Concat of channels, an upsampling.
        3. Everything else reads a copy in the usual layout.
    """
    if any(op is not None and op.type in ENTRIES for op in layout.run):
        layout.convert()


@dataclass(slots=True)
class Layout:
    """What runs, and the state of the conversion.

    Attributes:
        graph: as exported.
        run: the op that runs at each place, without copies; None when nothing does.
        values: the graph's, with those that copies make.
        outer: values of the graph around this one, if it is a body: no weights of a blocked Conv.
        inside: the blocked name of each result of a blocked op.
        entered: the name of each value's blocked copy.
        open: the place of the blocked Conv that computes a value and can still take in an activation.
        summed: results that a Conv computes together with a sum.
        copies: the op that makes a copy in another layout or element type, by its result.
    """

    graph: Graph
    run: list[Op | None]
    values: Mapping[str, Value]
    outer: frozenset[str] = frozenset()
    inside: dict[str, str] = field(default_factory=dict)
    entered: dict[str, str] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    summed: set[str] = field(default_factory=set)
    copies: dict[str, Op] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)

    def convert(self) -> None:
        """Bring each op for which there is a rule into the layout, in file order."""
        self.values = dict(self.values)
        copies = self.needed_copies().values()
        self.uses.update(name for op in (*self.run, *copies) if op is not None for name in op.reads)
        self.uses.update(self.graph.outputs)
        for op in tuple(self.run):
            rule = None if op is None else _RULES.get(op.type)
            if op is not None and rule is not None:
                rule(self, op)

    def needed_copies(self) -> dict[str, Op]:
        """The copies that somebody reads or that are results of the run, by the value they make."""
        if not self.copies:
            return {}
        waiting = [name for op in self.run if op is not None for name in op.reads] + list(self.graph.outputs)
        found: dict[str, Op] = {}
        while waiting:
            name = waiting.pop()
            if name in self.copies and name not in found:
                found[name] = self.copies[name]
                waiting.extend(found[name].reads)
        return found

    def image(self, name: str) -> tuple[int, ...] | None:
        """Shape of a float32 tensor of four axes."""
        value = self.values.get(name)
        if value is None or value.dtype != "float32" or value.shape is None or len(value.shape) != 4:
            return None
        return value.shape

    def weight(self, name: str) -> tuple[int, ...] | None:
        """Shape of a kernel that is in this graph and constant."""
        value = self.values.get(name)
        is_here = value is not None and value.origin is Origin.CONSTANT and name not in self.outer
        return self.image(name) if is_here else None

    def enter(self, name: str, reader: Op) -> str:
        """The blocked name of an operand, which is copied unless a blocked op computes it."""
        if name in self.inside:
            return self.inside[name]
        if name not in self.entered:
            made = self.entered[name] = self._name(name, f"{name}@in")
            self.copies[made] = Op(reader.index, "", "ReorderInput", (name,), (made,), DOMAIN)
        return self.entered[name]

    def put(self, op: Op, inputs: Sequence[str], *, is_open: bool = False) -> None:
        """Let an op compute in the layout; who needs its result in the usual one makes a copy."""
        result = op.outputs[0]
        made = self.inside[result] = self._name(result, f"{result}@out")
        self.copies[result] = Op(op.index, "", "ReorderOutput", (made,), (result,), DOMAIN)
        self.run[op.index] = replace(op, inputs=tuple(inputs), outputs=(made,))
        if is_open:
            self.open[result] = op.index

    def take(self, name: str) -> Op | None:
        """The Conv that computes a value for a single reader and can take that reader in."""
        place = self.open.get(name) if self.uses[name] == 1 else None
        return None if place is None else self.run[place]

    def _name(self, name: str, made: str) -> str:
        value = self.values[name]
        assert value.shape is not None, "checked by the rules"
        batch, channels, *sizes = value.shape
        shape = (batch, -(-channels // BLOCK) * BLOCK, *sizes)
        assert isinstance(self.values, dict), "a copy, made by `convert`"
        self.values[made] = replace(value, name=made, shape=shape, origin=Origin.COMPUTED, data=None)
        return made


def _conv(layout: Layout, op: Op) -> None:
    weight, result = layout.weight(op.inputs[1]), layout.image(op.outputs[0])
    if weight is None or result is None or layout.image(op.inputs[0]) is None:
        return
    made, read, groups = weight[0], weight[1], op.integer("group", 1)
    if groups > 1 and read == 1 and made == groups:
        fits = made % PART == 0
    elif groups > 1:
        fits = read % BLOCK == 0 and made // groups % BLOCK == 0
    else:
        fits = read < BLOCK or read % PART == 0
    if not fits:
        return
    as_it_is = groups == 1 and read < BLOCK
    first = op.inputs[0] if as_it_is else layout.enter(op.inputs[0], op)
    layout.put(replace(op, domain=DOMAIN), (first, *op.inputs[1:]), is_open=True)


def _pool(layout: Layout, op: Op) -> None:
    shape = layout.image(op.inputs[0])
    if shape is not None and shape[1] % BLOCK == 0 and not any(op.outputs[1:]):
        layout.put(replace(op, domain=DOMAIN), (layout.enter(op.inputs[0], op),))


def _pool_inside(layout: Layout, op: Op) -> None:
    if op.inputs[0] in layout.inside:
        _pool(layout, op)


def _activation(layout: Layout, op: Op) -> None:
    name = op.inputs[0]
    if name not in layout.inside:
        return
    conv, is_summed = layout.take(name), name in layout.summed
    if conv is not None and (op.type in JOIN or (op.type in JOIN_ALONE and not is_summed)):
        layout.run[op.index] = None
        layout.put(replace(conv, index=layout.open.pop(name), outputs=op.outputs), conv.inputs)
    elif op.type in STAY:
        layout.put(op, (layout.inside[name], *op.inputs[1:]))


def _sum(layout: Layout, op: Op) -> None:
    if not _is_uniform(layout, op):
        return
    for name, other in (op.inputs, op.inputs[::-1]) if len(op.inputs) == 2 else ():
        conv = layout.take(name)
        if conv is not None and name not in layout.summed:
            operands = (*conv.inputs, "")[:3]
            layout.run[layout.open.pop(name)] = None
            moved = replace(conv, index=op.index, outputs=op.outputs)
            layout.put(moved, (*operands, layout.inside[other]), is_open=True)
            layout.summed.add(op.outputs[0])
            return
    layout.put(op, [layout.inside[name] for name in op.inputs])


def _product(layout: Layout, op: Op) -> None:
    if _is_uniform(layout, op):
        layout.put(op, [layout.inside[name] for name in op.inputs])


def _is_uniform(layout: Layout, op: Op) -> bool:
    """True when all operands are blocked results of one shape."""
    shapes = {layout.image(name) for name in op.inputs}
    return len(shapes) == 1 and None not in shapes and all(name in layout.inside for name in op.inputs)


def _concat(layout: Layout, op: Op) -> None:
    whole = all(name in layout.inside and _channels(layout, name) % BLOCK == 0 for name in op.inputs)
    if whole and op.integer("axis", 0) == 1:
        layout.put(op, [layout.inside[name] for name in op.inputs])


def _channels(layout: Layout, name: str) -> int:
    return (layout.image(name) or (0, 1))[1]


def _resize(layout: Layout, op: Op) -> None:
    """By whole factors: the nearest element to the upper left, or linearly."""
    before, after = layout.image(op.inputs[0]), layout.image(op.outputs[0])
    if op.inputs[0] not in layout.inside or before is None or after is None or before[:2] != after[:2]:
        return
    how = tuple(_text(op, name, default) for name, default in RESIZE.items())
    whole = all(large % small == 0 for small, large in zip(before, after, strict=True))
    if whole and (how[0] == "linear" or how == NEAREST):
        upsample = replace(op, type="Upsample", domain=DOMAIN)
        layout.put(upsample, (layout.inside[op.inputs[0]],))


def _text(op: Op, name: str, default: str) -> str:
    value = op.attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


# Attributes of Resize with their defaults, and the only way in which blocks take the nearest element.
RESIZE = {
    "mode": "nearest",
    "coordinate_transformation_mode": "half_pixel",
    "nearest_mode": "round_prefer_floor",
}
NEAREST = ("nearest", "asymmetric", "floor")

Rule: TypeAlias = Callable[[Layout, Op], None]

ENTRIES: Mapping[str, Rule] = {"Conv": _conv, "MaxPool": _pool, "AveragePool": _pool}
_RULES: Mapping[str, Rule] = {
    **ENTRIES,
    **dict.fromkeys(JOIN | JOIN_ALONE | STAY, _activation),
    **dict.fromkeys(("Add", "Sum"), _sum),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), _pool_inside),
    "Mul": _product,
    "Concat": _concat,
    "Resize": _resize,
}
