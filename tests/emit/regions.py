"""Regions picked by hand from small models, and the plans that chunk them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper, numpy_helper, parser

from onnx_autochunk.axes import Position
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.options import Form
from onnx_autochunk.plan.chunking import Chunking
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.plan import Frames, Plan, PlannedRegion
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.setting import make_setting

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
Outputs = dict[str, Array]


@dataclass(frozen=True)
class Stretch:
    """A region by what it computes.

    Attributes:
        values: first results of its ops; the last one is where the flow starts.
        axis: the axis of that value that is cut.
        steps: extent of the flow where the axis is merged; None when it is all of the axis.
        operand: of the last op, in which the axis lies that it reduces; None where the axis is the result's.
    """

    values: str
    axis: int
    steps: int | None = None
    operand: int | None = None


@dataclass(frozen=True)
class Sample:
    """A model and the stretches of it that are chunked.

    Attributes:
        graph: signature and nodes in ONNX's text form.
        weights: float weights of these shapes.
        integers: int64 constants.
        numbers: float constants.
        lengths: chunk lengths to try.
        forms: forms that its regions can take.
        rtol: how far results may be off.
    """

    graph: str
    stretches: tuple[Stretch, ...]
    weights: Mapping[str, Sequence[int]] = field(default_factory=dict)
    integers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    lengths: tuple[int, ...] = (1, 3, 5, 11)
    forms: tuple[Form, ...] = (Form.SCAN, Form.UNROLL)
    opset: int = 21
    rtol: float = 1e-5

    def model(self) -> onnx.ModelProto:
        """The model, with random weights."""
        made = parser.parse_model(f'<ir_version: 10, opset_import: ["": {self.opset}]> g {self.graph}')
        generator = np.random.default_rng(0)
        tensors = [
            numpy_helper.from_array(generator.standard_normal(shape, dtype=np.float32), name)
            for name, shape in self.weights.items()
        ]
        tensors += [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in self.integers.items()]
        tensors += [
            numpy_helper.from_array(np.array(v, np.float32), name) for name, v in self.numbers.items()
        ]
        made.graph.initializer.extend(tensors)
        for index, node in enumerate(made.graph.node):
            node.name = f"layer/{node.op_type}_{index}"
            helper.set_model_props(node, {"namespace": f"module.{index}"})
        return made

    def loaded(self) -> Loaded:
        """The model as the pipeline reads it."""
        return load(self.model())


def region_of(loaded: Loaded, stretch: Stretch) -> Region:
    """The region that holds exactly the ops of a stretch."""
    graph = loaded.graph
    wanted = stretch.values.split()
    end = graph.producer[wanted[-1]].index
    start = wanted[-1] if stretch.operand is None else graph.ops[end].inputs[stretch.operand]
    seed = Position.whole(graph.shape(start) or (), stretch.axis)
    if stretch.steps is not None:
        seed = Position(stretch.axis, 1, stretch.steps, seed.extent // stretch.steps)
    found = list(grow(make_setting(graph), end, seed, range(len(graph.ops)), operand=stretch.operand))
    for region in found:
        if sorted(graph.ops[index].outputs[0] for index in region.ops) == sorted(wanted):
            return region
    seen = [" ".join(graph.ops[index].outputs[0] for index in region.ops) for region in found]
    raise AssertionError(f"no region computes {stretch.values!r}; there are {seen}")


def plan_of(
    loaded: Loaded,
    stretches: Sequence[Stretch],
    form: Form,
    length: int,
    frames: Frames = Frames.NONE,
    crossing: Sequence[int] = (0, 0),
) -> Plan:
    """A plan that cuts every stretch into chunks of this length; `crossing` is held after each of them."""
    regions, after = [], 0
    for number, stretch in enumerate(stretches):
        region = region_of(loaded, stretch)
        inside = set(region.ops) - region.recomputed
        alongside = tuple(index for index in range(after, region.end + 1) if index not in inside)
        chunking = Chunking(region.extent, length)
        regions.append(PlannedRegion(f"r{number}", region, form, chunking, alongside, crossing[number], 0, 0))
        after = region.end + 1
    return Plan(tuple(regions), 0, 1.0, 0.0, frames)


def outputs_of(model: ir.Model | onnx.ModelProto) -> Outputs:
    """What a model computes for inputs that depend on their names and shapes only."""
    proto = ir.to_proto(released(model, None)) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(1)
    feeds = {
        value.name: generator.standard_normal(value.shape, dtype=np.float32) for value in session.get_inputs()
    }
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def check_close(found: Array, expected: Array, rtol: float = 1e-5) -> None:
    """Equal up to the order in which a product adds up, whose terms may be larger than the sum."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    largest = float(np.nanmax(np.abs(expected))) if expected.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol / 10 * max(1.0, largest))


def bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Every graph inside a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from bodies(attribute.g)


def nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Every node of a graph and of those inside it."""
    return [*graph.node, *(node for body in bodies(graph) for node in body.node)]
