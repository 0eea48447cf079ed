"""Measures what ONNX Runtime's kernels cost on this machine and writes `onnx_autochunk/cost/profiles/<provider>.json`.

`python tools/calibrate.py` takes about two minutes. Every case runs in short bursts, in many rounds over all cases, and its
fastest run counts: other work on the machine hits some bursts, seldom all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onnx_autochunk.cost.constants import SCHEMA, Constants, Overhead
from onnx_autochunk.cost.fit import fit
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.points import OPSET, Point, to_json
from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.runtime.session import default_options, open_session, runner

Run = Callable[[], Any]
PROFILES = Path(__file__).parents[1] / "onnx_autochunk" / "cost" / "profiles"
BURST_S = 0.004
WIDTH = 64  # elements of the values in bodies that measure overhead alone
LONGEST = 1.3e9  # multiplications and additions of the largest product


def _matmuls() -> Iterable[Point]:
    for k, n in ((768, 3072), (3072, 768), (768, 768), (128, 512), (128, 128)):
        for m in (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384):
            if m * n * k * 2 <= LONGEST:
                yield Point("MatMul", ((m, k), (k, n)), (m, n), (1,))
    for batch, k, n in ((1, 64, 4096), (1, 4096, 64), (12, 64, 4096), (12, 4096, 64), (8, 16, 4096), (8, 4096, 16)):
        for m in (8, 16, 32, 64, 128, 256, 512, 1024, 4096):
            if batch * m * n * k * 2 <= LONGEST:
                yield Point("MatMul", ((batch, m, k), (batch, k, n)), (batch, m, n))
    for batch, m, k, n in ((16, 256, 32, 256), (128, 256, 32, 256), (16, 256, 256, 32), (128, 256, 256, 32),
                           (128, 8, 256, 256), (128, 32, 256, 256), (32, 256, 256, 256)):  # fmt: skip
        yield Point("MatMul", ((batch, m, k), (batch, k, n)), (batch, m, n))


def _convs() -> Iterable[Point]:
    for channels, size, rows in ((128, 64, 4), (128, 64, 16), (128, 64, 64), (256, 32, 4), (256, 32, 32), (512, 16, 16)):
        for window, group in ((3, 1), (1, 1), (3, channels)):
            shape = (1, channels, rows, size)
            pad = window // 2
            attributes = {"group": group, "pads": (pad,) * 4, "kernel_shape": (window,) * 2}
            yield Point("Conv", (shape, (channels, channels // group, window, window)), shape, (1,), attributes)


def _elementwise() -> Iterable[Point]:
    for power in range(15, 26):
        yield Point("Add", ((1 << power,),) * 2, (1 << power,))
    for rows, columns in ((8192, 128), (2048, 128), (16384, 32)):
        yield Point("Add", ((rows, columns), (columns,)), (rows, columns), (1,))
    for type_ in "Exp Erf Tanh Sigmoid Gelu Relu Sqrt Pow Div Neg Sin Log Softplus".split():
        for count in (1 << 18, 1 << 20):
            yield _unary(type_, count)


def _unary(type_: str, count: int) -> Point:
    shape = (count // 256, 256)
    if type_ in ("Pow", "Div"):
        return Point(type_, (shape, ()), shape, (1,))
    return Point(type_, (shape,), shape)


def _normalizing() -> Iterable[Point]:
    for rows, columns in ((256, 768), (1024, 768), (8192, 128)):
        shape = (rows, columns)
        yield Point("LayerNormalization", (shape, (columns,), (columns,)), shape, (1, 2))
    for shape in ((384, 4096), (4, 64, 4096), (4096, 256)):
        yield Point("Softmax", (shape,), shape)
    for shape in ((1, 32, 16384), (1, 32, 49152)):
        yield Point("InstanceNormalization", (shape, (32,), (32,)), shape, (1, 2))
    for type_ in "ReduceSum ReduceMean ReduceMax".split():
        yield Point(type_, ((1024, 768),), (1024, 1), (), {"keepdims": 1})


def _moving() -> Iterable[Point]:
    for shape in ((512, 768), (2048, 768), (4096, 256)):
        yield Point("Transpose", (shape,), shape[::-1], (), {"perm": (1, 0)})
    for rows, columns in ((4096, 16), (4096, 64), (1024, 1024), (16384, 64), (256, 16384)):
        yield Point("Concat", ((rows, columns),) * 2, (rows, 2 * columns), (), {"axis": 1})


def cases() -> list[Point]:
    """What is measured."""
    groups = (_matmuls, _convs, _elementwise, _normalizing, _moving)
    return [point for group in groups for point in group()]


def point_model(point: Point) -> onnx.ModelProto:
    """A model of this one op."""
    names = [f"x{index}" for index in range(len(point.operands))]
    node = helper.make_node(point.type, names, ["y"], **dict(point.attributes))
    shapes = dict(zip(names, point.operands, strict=True))
    weights = {names[index]: _numbers(point.operands[index]) for index in point.constants}
    return _model([node], {n: s for n, s in shapes.items() if n not in weights}, {"y": point.result}, weights)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
    weights: Mapping[str, NDArray[Any]],
) -> onnx.ModelProto:
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "calibration", _infos(inputs), _infos(outputs), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _infos(shapes: Mapping[str, tuple[int, ...]]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def _numbers(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def opened(model: onnx.ModelProto, folder: Path, threads: int = 1) -> Run:
    """A function that runs the model once, on random inputs."""
    path = folder / "case.onnx"
    onnx.save(model, path)
    session = open_session(path, options=default_options(threads=threads))
    return runner(session, {value.name: _numbers(tuple(value.shape)) for value in session.get_inputs()})


def fastest(runs: Sequence[Run], clock: Callable[[], float], limit_s: float) -> list[float]:
    """Least seconds of each by that clock, over as many rounds as fit the limit."""
    best = [float("inf")] * len(runs)
    end = time.perf_counter() + limit_s
    while time.perf_counter() < end:
        for index, run in enumerate(runs):
            run()  # brings the data into the cache
            best[index] = min(best[index], _burst(run, clock))
    return best


def _burst(run: Run, clock: Callable[[], float]) -> float:
    best, start = float("inf"), clock()
    while True:
        before = clock()
        run()
        after = clock()
        best = min(best, after - before)
        if after - start > BURST_S:
            return best


def _chain(length: int) -> list[onnx.NodeProto]:
    """So many ops that only cost their dispatch, and that ONNX Runtime cannot fuse."""
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    return [helper.make_node("Add", [a, "x"], [b]) for a, b in zip(names, names[1:], strict=False)]


def dispatch_model(length: int) -> onnx.ModelProto:
    """A chain of small ops."""
    return _model(_chain(length), {"x": (1, WIDTH)}, {"y": (1, WIDTH)}, {})


def scan_model(count: int, length: int) -> onnx.ModelProto:
    """A Scan over `count` rows whose body is the chain."""
    row = {"x": (1, WIDTH)}
    body = helper.make_graph(_chain(length), "body", _infos(row), _infos({"y": (1, WIDTH)}))
    node = helper.make_node("Scan", ["rows"], ["out"], body=body, num_scan_inputs=1)
    return _model([node], {"rows": (count, 1, WIDTH)}, {"out": (count, 1, WIDTH)}, {})


def unrolled_model(count: int, rows: int, body: Callable[[str, str, int], list[onnx.NodeProto]], width: int,
                   weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:  # fmt: skip
    """`count` copies of a body, each between a Slice and the one Concat."""
    nodes, bounds = [], dict(weights) | {"axes": np.array([0, 1])}
    for index in range(count):
        bounds |= {f"from{index}": np.array([index * rows, 0]), f"to{index}": np.array([(index + 1) * rows, width])}
        nodes.append(helper.make_node("Slice", ["x", f"from{index}", f"to{index}", "axes"], [f"x{index}"]))
        nodes += body(f"x{index}", f"y{index}", index)
    nodes.append(helper.make_node("Concat", [f"y{i}" for i in range(count)], ["y"], axis=0))
    shape = (count * rows, width)
    return _model(nodes, {"x": shape}, {"y": shape}, bounds)
