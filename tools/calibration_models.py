"""The models that calibration times, loads and measures.

One op at given shapes; chains and loops that cost little but their overhead; blocks written out again and
again, named as emission names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onnx_autochunk.cost.fit import FINDERS
from onnx_autochunk.cost.points import OPSET, Point

Shapes = Mapping[str, tuple[int, ...]]
Weights = Mapping[str, NDArray[Any]]
EVICTED_BYTES = 4 << 20  # more than the second-level cache holds
FEW_ROWS = 512  # beyond them reading the right operand does not show
LAYERS = "abcd"  # weights of the body that is loaded many times
HEADS = 4
PREFIX = "chunk/000_layer"
COPY_NODES = 1 + 7 * len(LAYERS)  # with the Slice
SCANNED = 4  # rows that a Scan reads
WIDTH = 64  # elements of the values in bodies that measure overhead alone
SQUARE = 2.0  # a constant scalar: Pow has a kernel for it, and it is the usual exponent


def point_model(point: Point) -> onnx.ModelProto:
    """A model of this op, repeated with other operands where calls do not find theirs in the cache."""
    nodes, inputs, outputs, weights = [], {}, {}, {}
    for copy in range(repeats(point)):
        names = [f"x{index}_{copy if index else 0}" for index in range(len(point.operands))]
        nodes.append(helper.make_node(point.type, names, [f"y{copy}"], **dict(point.attributes)))
        outputs[f"y{copy}"] = point.result
        for index, name in enumerate(names):
            if index in point.constants:
                weights[name] = numbers(point.operands[index], seed=copy)
            else:
                inputs[name] = point.operands[index]
    return _model(nodes, inputs, outputs, weights)


def repeats(point: Point) -> int:
    """So many calls in turn that the right operands of the next are not in the second-level cache."""
    found = FINDERS[point.type](point.call()) if point.type in FINDERS else None
    if found is None or not found.is_far or found.m > FEW_ROWS:
        return 1
    return -(-EVICTED_BYTES // (4 * found.right))


def _chain(length: int) -> list[onnx.NodeProto]:
    """So many ops that cost little but their dispatch, and that ONNX Runtime does not fuse."""
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    return [helper.make_node("Add", [a, "x"], [b]) for a, b in pairwise(names)]


def chain_model(length: int) -> onnx.ModelProto:
    """A chain of cheap ops."""
    return _model(_chain(length), {"x": (1, WIDTH)}, {"y": (1, WIDTH)}, {})


def scan_model(count: int, length: int) -> onnx.ModelProto:
    """The same as the body of a Scan of `count` iterations."""
    row = {"x": (1, WIDTH)}
    body = helper.make_graph(_chain(length), "body", _infos(row), _infos({"y": (1, WIDTH)}))
    node = helper.make_node("Scan", ["rows"], ["out"], body=body, num_scan_inputs=1)
    return _model([node], {"rows": (count, 1, WIDTH)}, {"out": (count, 1, WIDTH)}, {})


def unrolled_model(count: int) -> onnx.ModelProto:
    """`count` copies of two ops on one row each, between their Slices and one Concat."""
    nodes, constants = [], {"axes": np.array([0, 1])}
    for index in range(count):
        constants |= {f"from{index}": np.array([index, 0]), f"to{index}": np.array([index + 1, WIDTH])}
        nodes.append(helper.make_node("Slice", ["x", f"from{index}", f"to{index}", "axes"], [f"x{index}"]))
        nodes += _step(index)
    nodes.append(helper.make_node("Concat", [f"y{i}" for i in range(count)], ["y"], axis=0))
    return _model(nodes, {"x": (count, WIDTH)}, {"y": (count, WIDTH)}, constants)


def _step(index: int) -> list[onnx.NodeProto]:
    middle = f"m{index}"
    first = helper.make_node("Add", [f"x{index}", f"x{index}"], [middle])
    return [first, helper.make_node("Add", [middle, f"x{index}"], [f"y{index}"])]


def _block(prefix: str, source: str, result: str, width: int) -> tuple[list[onnx.NodeProto], Shapes]:
    """Nodes as emission names them, and the shapes of what they compute."""
    flat, split, turned = (1, 1, width), (1, 1, HEADS, width // HEADS), (1, HEADS, 1, width // HEADS)
    swap = {"perm": [0, 2, 1, 3]}
    nodes, shapes = list[onnx.NodeProto](), dict[str, tuple[int, ...]]()
    for layer in LAYERS:
        steps: list[tuple[str, list[str], tuple[int, ...], dict[str, Any]]] = [
            ("MatMul", [layer], flat, {}),
            ("Add", ["bias"], flat, {}),
            ("Reshape", ["split"], split, {}),
            ("Transpose", [], turned, swap),
            ("Softmax", [], turned, {"axis": -1}),
            ("Transpose", [], split, swap),
            ("Reshape", ["flat"], flat, {}),
        ]
        for op_type, more, shape, attributes in steps:
            name = f"{prefix}/{op_type.lower()}_{len(nodes)}"
            node = helper.make_node(
                op_type, [source, *more], [name], f"{prefix}/node_{len(nodes)}", **attributes
            )
            nodes.append(node)
            shapes[name], source = shape, name
    del shapes[source]
    nodes[-1].output[0] = result
    return nodes, shapes | {result: flat}


def _copies(count: int, width: int, source: str, result: str) -> tuple[list[onnx.NodeProto], Shapes]:
    """`count` blocks on one row each, between their Slices and one Concat."""
    nodes, shapes = list[onnx.NodeProto](), dict[str, tuple[int, ...]]()
    for index in range(count):
        sliced = f"{PREFIX}/{index}/slice"
        bounds = [f"{PREFIX}/from{index}", f"{PREFIX}/to{index}", "axes"]
        nodes.append(helper.make_node("Slice", [source, *bounds], [sliced], f"{sliced}/Slice"))
        block, inner = _block(f"{PREFIX}/{index}", sliced, f"{PREFIX}/{index}/y", width)
        nodes += block
        shapes |= {sliced: (1, 1, width), **inner}
    pieces = [f"{PREFIX}/{index}/y" for index in range(count)]
    nodes.append(helper.make_node("Concat", pieces, [result], axis=1))
    return nodes, shapes


def written_out(count: int, width: int) -> onnx.ModelProto:
    """`count` copies of a block."""
    nodes, shapes = _copies(count, width, "x", "y")
    rows = (1, count, width)
    return _model(nodes, {"x": rows}, {"y": rows}, _block_weights(count, width), shapes)


def framed(count: int, width: int) -> onnx.ModelProto:
    """The same in the body of a Scan that runs once."""
    nodes, shapes = _copies(count, width, "rows", "done")
    rows = (1, count, width)
    body = helper.make_graph(
        nodes, "frame", _infos({"rows": rows}), _infos({"done": rows}), value_info=_infos(shapes)
    )
    scan = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    return _model([scan], {"x": (1, *rows)}, {"y": (1, *rows)}, _block_weights(count, width))


def scans(count: int, width: int) -> onnx.ModelProto:
    """`count` Scans one after another, each with a block of its own."""
    names = ["x", *(f"{PREFIX}/stacked_{index}" for index in range(count - 1)), "y"]
    loops = []
    for index, (source, result) in enumerate(pairwise(names)):
        row, done = (f"{PREFIX}/{index}/{end}" for end in ("row", "done"))
        nodes, shapes = _block(f"{PREFIX}/{index}", row, done, width)
        taken, given = (_infos({name: (1, 1, width)}) for name in (row, done))
        body = helper.make_graph(nodes, f"{PREFIX}/{index}", taken, given, value_info=_infos(shapes))
        loops.append(helper.make_node("Scan", [source], [result], body=body, num_scan_inputs=1))
    rows = (SCANNED, 1, 1, width)
    return _model(loops, {"x": rows}, {"y": rows}, _block_weights(0, width))


def _block_weights(count: int, width: int) -> Weights:
    found: dict[str, NDArray[Any]] = {name: numbers((width, width)) for name in LAYERS}
    found |= {"bias": numbers((width,)), "axes": np.array([0, 1])}
    found |= {"split": np.array([1, 1, HEADS, width // HEADS]), "flat": np.array([1, 1, width])}
    for index in range(count):
        found |= {f"{PREFIX}/from{index}": np.array([0, index])}
        found |= {f"{PREFIX}/to{index}": np.array([1, index + 1])}
    return found


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes,
    outputs: Shapes,
    weights: Weights,
    computed: Shapes | None = None,
) -> onnx.ModelProto:
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    taken, given, between = (_infos(shapes) for shapes in (inputs, outputs, computed or {}))
    graph = helper.make_graph(nodes, "calibration", taken, given, initializers, value_info=between)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _infos(shapes: Shapes) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
    ]


def numbers(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Elements; ONNX Runtime keeps one copy of weights that are equal, hence the seed."""
    if not shape:
        return np.array(SQUARE, np.float32)
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype(np.float32)
