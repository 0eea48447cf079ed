"""Measured calls: what calibration times, constants are fitted to and tests hold the model against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..graph.model import Graph, Op, Origin, Value
from .call import Call

OPSET = 21


@dataclass(frozen=True)
class Point:
    """One op on float32 tensors: `MatMul 64x768 768x3072* -> 64x3072`, where a star marks what is constant.

    Attributes:
        constants: operands that are initializers.
        seconds: as measured, with the dispatch.
    """

    type: str
    operands: tuple[tuple[int, ...], ...]
    result: tuple[int, ...]
    constants: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def graph(self) -> Graph:
        """A graph with nothing but this op."""
        names = tuple(f"x{index}" for index in range(len(self.operands)))
        values = {
            name: Value(name, "float32", shape, Origin.CONSTANT if index in self.constants else Origin.INPUT)
            for index, (name, shape) in enumerate(zip(names, self.operands, strict=True))
        }
        values["y"] = Value("y", "float32", self.result)
        op = Op(0, "op", self.type, names, ("y",), version=OPSET, attributes=self.attributes)
        return Graph((op,), values, names, ("y",))

    def call(self) -> Call:
        """The op at these shapes."""
        graph = self.graph()
        return Call(graph.ops[0], graph, self.operands, (self.result,))

    def __str__(self) -> str:
        *operands, result = ("x".join(map(str, shape)) for shape in (*self.operands, self.result))
        operands = [f"{text}*" if at in self.constants else text for at, text in enumerate(operands)]
        attributes = f" {dict(self.attributes)}" if self.attributes else ""
        return f"{self.type} {' '.join(operands)} -> {result}{attributes}"


def to_json(point: Point) -> dict[str, Any]:
    """A row of a profile's `points`."""
    return {
        "type": point.type,
        "operands": point.operands,
        "result": point.result,
        "constants": point.constants,
        "attributes": dict(point.attributes),
        "seconds": point.seconds,
    }


def from_json(row: Mapping[str, Any]) -> Point:
    """The point that `to_json` wrote."""
    attributes = {k: tuple(v) if isinstance(v, list) else v for k, v in row["attributes"].items()}
    return Point(
        row["type"],
        tuple(tuple(shape) for shape in row["operands"]),
        tuple(row["result"]),
        tuple(row["constants"]),
        attributes,
        row["seconds"],
    )
