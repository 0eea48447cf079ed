"""Which model a saved plan is for: everything that a plan depends on, as one digest and a few counts.

Names, operators, attributes, shapes, types and integer constants count; the values of weights do not, so a
plan holds for every set of weights of one architecture.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..graph.model import Graph, Op, Value


@dataclass(frozen=True, slots=True)
class Identity:
    """What a graph is recognised by.

    Attributes:
        digest: of all that counts.
        inputs: type and shape of each input, in words.
        outputs: likewise.
        ops: how many ops there are of each type.
    """

    digest: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    ops: Mapping[str, int]


def identity(graph: Graph) -> Identity:
    """What a graph is recognised by."""
    digest = hashlib.sha256()
    for line in _lines(graph):
        digest.update(line.encode())
    return Identity(
        f"sha256:{digest.hexdigest()}",
        {name: _written(graph.values[name]) for name in graph.inputs},
        {name: _written(graph.values[name]) for name in graph.outputs},
        dict(sorted(Counter(op.type for op in graph.ops).items())),
    )


def difference(plans: Identity, here: Identity) -> str | None:
    """What tells the model here from the plan's, in words; None when a plan for one holds for the other."""
    if plans.digest == here.digest:
        return None
    for kind, theirs, ours in (
        ("input", plans.inputs, here.inputs),
        ("output", plans.outputs, here.outputs),
    ):
        for name in sorted({*theirs, *ours}):
            there, found = theirs.get(name, "absent"), ours.get(name, "absent")
            if there != found:
                return f"{kind} {name!r} is {found} here and {there} there"
    for kind in sorted({*plans.ops, *here.ops}):
        if plans.ops.get(kind) != here.ops.get(kind):
            return f"there are {here.ops.get(kind, 0)} {kind} here and {plans.ops.get(kind, 0)} there"
    return "names, attributes, shapes or integer constants inside differ"


def _lines(graph: Graph) -> Iterator[str]:
    yield repr((graph.inputs, graph.outputs))
    for name, value in graph.values.items():
        yield repr((name, _written(value), value.origin.value, _integers(value)))
    for op in graph.ops:
        attributes = sorted((name, _plain(value)) for name, value in op.attributes.items())
        yield repr((op.name, op.domain, op.type, op.version, op.inputs, op.outputs, attributes))
        yield from _bodies(op)


def _bodies(op: Op) -> Iterator[str]:
    for name, body in sorted(op.subgraphs.items()):
        yield name
        yield from _lines(body)


def _written(value: Value) -> str:
    """`float32[1,256,32]`; `?` where the shape is unknown."""
    return f"{value.dtype}[{'?' if value.shape is None else ','.join(map(str, value.shape))}]"


def _integers(value: Value) -> str:
    """The elements that rules read: shapes, axes, bounds."""
    data = value.data
    return "" if data is None or data.dtype.kind not in "iub" else data.tobytes().hex()


def _plain(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{value.tobytes().hex()}"
    return repr(value)
