"""The models that calibration times, loads and measures.

One op at given shapes; chains and loops that cost little but their overhead; blocks written out again and
again, named as emission names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onnx_autochunk.cost.fit import FINDERS
from onnx_autochunk.cost.points import OPSET, Point
from onnx_autochunk.cost.prices import CUT

Shapes = Mapping[str, tuple[int, ...]]
Weights = Mapping[str, NDArray[Any]]
EVICTED_BYTES = 48 << 20  # the weights of a layer: between two chunks of it all others are read, ...
ROW_BYTES = 384 << 10  # ... and this much is read and written for each row, ...
EVICTED_MOST_BYTES = 128 << 20  # ... but what does not fit the caches anyway need not be more
NEIGHBOURS = 4  # calls whose data competes for the caches, as in a model
CHUNK_BYTES = 36 << 20  # that a call in a chunk finds in the last cache
CROWDED_BYTES = 192 << 20  # what touches more leaves nothing of its own in a cache
FEW_ROWS = 512  # beyond them reading the right operand does not show
LAYERS = "abcd"  # weights of the body that is loaded many times
HEADS = 4
PREFIX = "chunk/000_layer"
COPY_NODES = 1 + 7 * len(LAYERS)  # with the Slice
SCANNED = 4  # rows that a Scan reads
WIDTH = 64  # elements of the values in bodies that measure overhead alone
SOFTMAX_ROWS, SOFTMAX_COLUMNS = 256, 1024
SCORES, SCORES_DEPTH = (256, 4096), 64  # rows, columns: more than the second-level cache holds
HIDDEN = -1e30  # what masks add to what they hide
SQUARE = 2.0  # a constant scalar: Pow has a kernel for it, and it is the usual exponent


def point_model(point: Point) -> onnx.ModelProto:
    """A model of this op, repeated with other operands where calls would find too much in the caches."""
    nodes, inputs, outputs = [], {}, {}
    weights: dict[str, NDArray[Any]] = {}
    for copy in range(repeats(point)):
        source = copy % NEIGHBOURS if point.type == CUT else copy
        names = [f"x{index}_{source}" for index in range(len(point.operands))]
        outputs[f"y{copy}"] = point.result
        for index, name in enumerate(names):
            if index in point.constants:
                weights[name] = numbers(point.operands[index], seed=copy)
            else:
                inputs[name] = point.operands[index]
        attributes = dict(point.attributes)
        if point.type == CUT:
            bounds = _bounds(point, attributes.pop("axis"), copy)
            names += [f"{name}_{copy}" for name in bounds]
            weights |= dict(zip(names[1:], bounds.values(), strict=True))
        nodes.append(helper.make_node(point.type, names, [f"y{copy}"], **attributes))
    return _model(nodes, inputs, outputs, weights)


def _bounds(point: Point, axis: int, copy: int) -> dict[str, NDArray[np.int64]]:
    """Of the Slices of one operand every second one: all of them would become one Split."""
    start = 2 * (copy // NEIGHBOURS) * point.result[axis]
    bounds = {"starts": start, "ends": start + point.result[axis], "axes": axis}
    return {name: np.array([bound], np.int64) for name, bound in bounds.items()}


def repeats(point: Point) -> int:
    """So many calls in turn that the right operands of the next are in no cache that is near."""
    if point.type == CUT:
        return NEIGHBOURS * (prod(point.operands[0]) // (2 * prod(point.result)))
    touched = point.call().touched_bytes()
    found = FINDERS[point.type](point.call()) if point.type in FINDERS else None
    crowding = -(-CROWDED_BYTES // touched)
    if found is None:
        return NEIGHBOURS if touched <= CHUNK_BYTES else crowding
    least = min(NEIGHBOURS, crowding)
    if found.kind in ("plain", "vector") or not found.is_far or found.m > FEW_ROWS:
        return least
    evicted = min(EVICTED_BYTES + found.m * ROW_BYTES, EVICTED_MOST_BYTES)
    return max(least, -(-evicted // (4 * found.right)))


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


def softmax_model(share: float) -> onnx.ModelProto:
    """A Softmax of rows that a mask hides this share of."""
    mask = np.zeros((SOFTMAX_ROWS, SOFTMAX_COLUMNS), np.float32)
    mask[:, : int(share * SOFTMAX_COLUMNS)] = HIDDEN
    nodes = [helper.make_node("Add", ["x", "mask"], ["m"]), helper.make_node("Softmax", ["m"], ["y"])]
    return _model(nodes, {"x": mask.shape}, {"y": mask.shape}, {"mask": mask})


def scores_model(products: int) -> onnx.ModelProto:
    """Rows of scores and their Softmax, as one product or more; one is split among threads by columns."""
    rows, columns = SCORES
    left = (products, rows // products, SCORES_DEPTH)
    right, result = (products, SCORES_DEPTH, columns), (products, rows // products, columns)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    return _model(nodes, {"x": left, "w": right}, {"y": result}, {})


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
