"""A model in both forms: the ONNX IR, which emission changes, and the `Graph`, which plans are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from .dynamic import Dynamic
from .model import Graph
from .written import WrittenOut


@dataclass(frozen=True)
class Loaded:
    """A model in both forms.

    Attributes:
        model: the IR model, cleaned: functions inlined, names unique, shapes inferred.
        nodes: IR node of each op of `graph`.
        dims: sizes given to symbolic dimensions.
        written: what `write_out` replaced.
        dynamic: the sizes that the model can have; None for those of `dims` alone.
        bodies: of its own If, Loop and Scan, where they are to be chunked.
        closed: those that cannot be.
    """

    model: ir.Model
    graph: Graph
    nodes: tuple[ir.Node, ...]
    dims: Mapping[str, int]
    written: tuple[WrittenOut, ...] = ()
    dynamic: Dynamic | None = None
    bodies: tuple[Enclosed, ...] = ()
    closed: tuple[Closed, ...] = ()

    @property
    def every_body(self) -> Iterator[Enclosed]:
        """The bodies and those in them."""
        for body in self.bodies:
            yield body
            yield from body.loaded.every_body


@dataclass(frozen=True)
class Enclosed:
    """A body of an If, Loop or Scan, as a model of its own.

    Attributes:
        home: names the body, in the whole model: `loop.body`, or `if.then_branch/loop.body`.
        op: name of the node around it.
        attribute: of that node.
        loaded: the model: its inputs are the body's, then what the body reads of the graphs around it.
        inputs: how many are the body's.
        captures: names of what it reads of the graphs around it.
    """

    home: str
    op: str
    attribute: str
    loaded: Loaded
    inputs: int
    captures: tuple[str, ...]

    @property
    def homes(self) -> frozenset[str]:
        """Names of the body and of those in it."""
        return frozenset((self.home, *(body.home for body in self.loaded.every_body)))


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a body is left as it is; the node around it, with a result of that and the bytes it takes."""

    op: str
    value: str
    nbytes: int
    reason: str
