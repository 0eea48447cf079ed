"""Measures what ONNX Runtime's kernels cost here and writes `onnx_autochunk/cost/profiles/cpu.json`.

`python tools/calibrate.py` takes about two minutes. Other work on the machine must not show in the numbers.
So each case runs on one thread and is timed by that thread's own clock, which stops while something else has
the core; it runs in short bursts, in many rounds over all cases, and its fastest run counts. An op that hands
work to other threads is then taken to be that many times as fast.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from onnx_autochunk.cost.cases import cases
from onnx_autochunk.cost.constants import SCHEMA, Constants, Holding, Overhead, to_json
from onnx_autochunk.cost.fit import FINDERS, fit
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.points import OPSET, Point
from onnx_autochunk.cost.points import to_json as point_to_json
from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.runtime.session import default_options, open_session, runner
from onnx_autochunk.verify.measure import measure_peak

Run = Callable[[], Any]
Shapes = Mapping[str, tuple[int, ...]]
Weights = Mapping[str, NDArray[Any]]
PROFILES = Path(__file__).parents[1] / "onnx_autochunk" / "cost" / "profiles"
BURST_S = 0.004
LONG_S = 0.005  # long enough for every thread to get its part of a call, whatever else is running
HELPED_S = 0.2
EVICTED_BYTES = 48 << 20
FEW_ROWS = 512  # beyond them reading the right operand does not show
LAYERS = "abcd"  # weights of the body that is loaded many times
WIDTHS = (64, 512)  # of its rows
HEADS = 4
PREFIX = "chunk/000_layer"
COPY_NODES = 1 + 7 * len(LAYERS)  # with the Slice
COPIES = (4, 132)  # few and many
SCANNED = 4  # rows that a Scan reads
EXPORTED = {  # characters of what PyTorch's exporter writes beside a node, by key
    "namespace": 500,
    "pkg.torch.onnx.class_hierarchy": 335,
    "pkg.torch.onnx.fx_node": 140,
    "pkg.torch.onnx.name_scopes": 200,
    "pkg.torch.onnx.stack_trace": 880,
}
FORMS = ("unroll", "sweep", "scan", "loop")
WIDTH = 64  # elements of the values in bodies that measure overhead alone
SQUARE = 2.0  # a constant scalar: Pow has a kernel for it, and it is the usual exponent


def main() -> None:
    """Calibrate, write the profile, print how well the model agrees with what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="threads that the profile is for (default: 2)")
    parser.add_argument("--seconds", type=float, default=100, help="time to measure for (default: 100)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points, constants = calibrate(Path(folder), args.threads, args.seconds)
    meta = {"schema": SCHEMA, "onnxruntime": onnxruntime().__version__}
    profile = meta | to_json(constants) | {"points": [point_to_json(p) for p in points]}
    (PROFILES / f"{constants.provider}.json").write_text(_dump(profile), encoding="utf-8")
    _print(points, CostModel(constants))


def calibrate(folder: Path, threads: int, limit_s: float) -> tuple[list[Point], Constants]:
    """Measured points, and the constants that follow from them."""
    todo = cases()
    runs = [opened(point_model(point), folder) for point in todo]
    overheads = [opened(model, folder) for model in _overhead_models()]
    least = fastest([*runs, *overheads], limit_s)
    found, (empty, short, long, *repeated) = least[: len(todo)], least[len(todo) :]
    dispatch_s = (long - short) / 200
    speedups = _speedups(todo, found, folder, threads)
    points = [
        replace(
            point, seconds=_figures(dispatch_s + (seconds - empty) / speedups[point.type] / repeats(point))
        )
        for point, seconds in zip(todo, found, strict=True)
    ]
    constants = fit(
        points,
        provider="cpu",
        threads=threads,
        dispatch_s=dispatch_s,
        iteration=_iteration(repeated, dispatch_s),
        load=_load(folder),
        resident=_resident(folder),
    )
    return points, constants


def _overhead_models() -> list[onnx.ModelProto]:
    chains = [_chain_model(length) for length in (1, 50, 250)]
    scans = [_scan_model(count, length) for length in (2, 12) for count in (64, 512)]
    return [*chains, *scans, *(_unrolled_model(count) for count in (32, 128))]


def _speedups(
    points: Sequence[Point], seconds: Sequence[float], folder: Path, threads: int
) -> dict[str, int]:
    """By op type: all threads, or one when the kernel makes no use of more."""
    order = sorted(range(len(points)), key=lambda index: min(seconds[index], LONG_S))
    largest = {points[index].type: points[index] for index in order}
    return {
        type_: threads if _helpers_share(point, folder, threads) > 0.05 else 1
        for type_, point in largest.items()
    }


def _helpers_share(point: Point, folder: Path, threads: int) -> float:
    """Share of the work that threads other than the calling one do, when they sleep while there is none."""
    options = default_options(threads=threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = opened(point_model(point), folder, options)
    run()
    everyone, caller, end = time.process_time(), time.thread_time(), time.perf_counter() + HELPED_S
    while time.perf_counter() < end:
        run()
    everyone, caller = time.process_time() - everyone, time.thread_time() - caller
    return 1 - caller / everyone


def _iteration(seconds: Sequence[float], dispatch_s: float) -> dict[str, Overhead]:
    """Per iteration, besides the dispatch of the ops in it; what slices and joins move is priced apart."""
    short64, short512, long64, long512, unroll32, unroll128 = seconds
    short, long = (short512 - short64) / 448, (long512 - long64) / 448
    op_s = max(0.0, (long - short) / 10 - dispatch_s)
    scan = Overhead(_figures(max(0.0, short - 2 * (op_s + dispatch_s))), _figures(op_s))
    written = Overhead(_figures(max(0.0, (unroll128 - unroll32) / 96 - 2 * dispatch_s)), 0.0)
    return {"scan": scan, "loop": scan, "unroll": written, "sweep": written}


def _load(folder: Path) -> dict[str, Overhead]:
    """Per copy of a body: optimising its nodes and packing its weights."""
    narrow, wide = (_more(_written_out, width, lambda model: _opening(model, folder)) for width in WIDTHS)
    nbytes = 4 * len(LAYERS) * (WIDTHS[1] ** 2 - WIDTHS[0] ** 2)
    copied = Overhead(0.0, _figures(narrow / COPY_NODES), _figures(max(0.0, wide - narrow) / nbytes))
    return dict.fromkeys(FORMS, copied)


def _resident(folder: Path) -> dict[str, Holding]:
    """Per region, and per copy of a body: in a frame, where ONNX Runtime keeps nodes as text too."""
    width = WIDTHS[0]
    plain, framed, scanned = (
        _more(build, width, lambda model: _kept(model, folder)) for build in (_written_out, _framed, _scans)
    )
    node = _figures(framed / COPY_NODES)
    scan = Holding(_figures(max(0.0, scanned - plain)), node)
    return dict.fromkeys(FORMS, Holding(0.0, node)) | dict.fromkeys(("scan", "loop"), scan)


def _more(
    build: Callable[[int, int], onnx.ModelProto], width: int, of: Callable[[onnx.ModelProto], float]
) -> float:
    """What one more body of this width adds to a figure of a model that has many."""
    few, many = COPIES
    return (of(build(many, width)) - of(build(few, width))) / (many - few)


def _kept(model: onnx.ModelProto, folder: Path) -> float:
    """Bytes resident after loading."""
    path = folder / "kept.onnx"
    onnx.save(model, path)
    inputs = {
        v.name: _numbers(tuple(d.dim_value for d in v.type.tensor_type.shape.dim)) for v in model.graph.input
    }
    return measure_peak(path, inputs, threads=1, default_session=False).resident_bytes


def _opening(model: onnx.ModelProto, folder: Path) -> float:
    path = folder / "load.onnx"
    onnx.save(model, path)
    return min(_opening_once(path) for _ in range(4))


def _opening_once(path: Path) -> float:
    before = time.thread_time()
    open_session(path, options=default_options(threads=1))
    return time.thread_time() - before


def point_model(point: Point) -> onnx.ModelProto:
    """A model of this op, repeated with other operands where calls do not find theirs in the cache."""
    nodes, inputs, outputs, weights = [], {}, {}, {}
    for copy in range(repeats(point)):
        names = [f"x{index}_{copy if index else 0}" for index in range(len(point.operands))]
        nodes.append(helper.make_node(point.type, names, [f"y{copy}"], **dict(point.attributes)))
        outputs[f"y{copy}"] = point.result
        for index, name in enumerate(names):
            if index in point.constants:
                weights[name] = _numbers(point.operands[index], seed=copy)
            else:
                inputs[name] = point.operands[index]
    return _model(nodes, inputs, outputs, weights)


def repeats(point: Point) -> int:
    """So many calls that right operands beyond the second-level cache do not stay in the next one either."""
    found = FINDERS[point.type](point.call()) if point.type in FINDERS else None
    if found is None or not found.is_far or found.m > FEW_ROWS:
        return 1
    return -(-EVICTED_BYTES // (4 * found.right))


def _chain(length: int) -> list[onnx.NodeProto]:
    """So many ops that cost little but their dispatch, and that ONNX Runtime does not fuse."""
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    return [helper.make_node("Add", [a, "x"], [b]) for a, b in pairwise(names)]


def _chain_model(length: int) -> onnx.ModelProto:
    return _model(_chain(length), {"x": (1, WIDTH)}, {"y": (1, WIDTH)}, {})


def _scan_model(count: int, length: int) -> onnx.ModelProto:
    row = {"x": (1, WIDTH)}
    body = helper.make_graph(_chain(length), "body", _infos(row), _infos({"y": (1, WIDTH)}))
    node = helper.make_node("Scan", ["rows"], ["out"], body=body, num_scan_inputs=1)
    return _model([node], {"rows": (count, 1, WIDTH)}, {"out": (count, 1, WIDTH)}, {})


def _unrolled_model(count: int) -> onnx.ModelProto:
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
    """Nodes as emission names and exporters annotate them, and the shapes of what they compute."""
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
            _annotate(node)
            nodes.append(node)
            shapes[name], source = shape, name
    del shapes[source]
    nodes[-1].output[0] = result
    return nodes, shapes | {result: flat}


def _annotate(node: onnx.NodeProto) -> None:
    """What PyTorch's exporter writes beside every node."""
    for key, length in EXPORTED.items():
        node.metadata_props.add(key=key, value="x" * length)


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


def _written_out(count: int, width: int) -> onnx.ModelProto:
    nodes, shapes = _copies(count, width, "x", "y")
    rows = (1, count, width)
    return _model(nodes, {"x": rows}, {"y": rows}, _block_weights(count, width), shapes)


def _framed(count: int, width: int) -> onnx.ModelProto:
    """The same in the body of a Scan that runs once."""
    nodes, shapes = _copies(count, width, "rows", "done")
    rows = (1, count, width)
    body = helper.make_graph(
        nodes, "frame", _infos({"rows": rows}), _infos({"done": rows}), value_info=_infos(shapes)
    )
    scan = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    return _model([scan], {"x": (1, *rows)}, {"y": (1, *rows)}, _block_weights(count, width))


def _scans(count: int, width: int) -> onnx.ModelProto:
    """`count` Scans one after another, each with a block of its own."""
    names = ["x", *(f"{PREFIX}/stacked_{index}" for index in range(count - 1)), "y"]
    scans = []
    for index, (source, result) in enumerate(pairwise(names)):
        row, done = (f"{PREFIX}/{index}/{end}" for end in ("row", "done"))
        nodes, shapes = _block(f"{PREFIX}/{index}", row, done, width)
        taken, given = (_infos({name: (1, 1, width)}) for name in (row, done))
        body = helper.make_graph(nodes, f"{PREFIX}/{index}", taken, given, value_info=_infos(shapes))
        scans.append(helper.make_node("Scan", [source], [result], body=body, num_scan_inputs=1))
    rows = (SCANNED, 1, 1, width)
    return _model(scans, {"x": rows}, {"y": rows}, _block_weights(0, width))


def _block_weights(count: int, width: int) -> Weights:
    found: dict[str, NDArray[Any]] = {name: _numbers((width, width)) for name in LAYERS}
    found |= {"bias": _numbers((width,)), "axes": np.array([0, 1])}
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


def _numbers(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Elements; ONNX Runtime keeps one copy of weights that are equal, hence the seed."""
    if not shape:
        return np.array(SQUARE, np.float32)
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype(np.float32)


def opened(model: onnx.ModelProto, folder: Path, options: Any = None) -> Run:
    """A function that runs the model once, on random inputs."""
    path = folder / "case.onnx"
    onnx.save(model, path)
    session = open_session(path, options=options or default_options(threads=1))
    return runner(session, {value.name: _numbers(tuple(value.shape)) for value in session.get_inputs()})


def fastest(runs: Sequence[Run], limit_s: float) -> list[float]:
    """Least seconds of each by the thread's clock, over as many rounds as fit the limit, one at least."""
    best = [float("inf")] * len(runs)
    end = time.perf_counter() + limit_s
    while best[-1] == float("inf") or time.perf_counter() < end:
        for index, run in enumerate(runs):
            run()  # brings the data into the cache
            best[index] = min(best[index], _burst(run))
    return best


def _burst(run: Run) -> float:
    best, start = float("inf"), time.thread_time()
    while True:
        before = time.thread_time()
        run()
        after = time.thread_time()
        best = min(best, after - before)
        if after - start > BURST_S:
            return best


def _figures(seconds: float) -> float:
    """Four significant figures: more would only be noise in the file's history."""
    return float(f"{seconds:.4g}")


def _dump(profile: Mapping[str, Any]) -> str:
    """JSON with one line for each point, so that two calibrations can be compared."""
    rows = ",\n".join("  " + json.dumps(row) for row in profile["points"])
    head = json.dumps({key: value for key, value in profile.items() if key != "points"}, indent=1)
    return head.removesuffix("\n}") + ',\n "points": [\n' + rows + "\n ]\n}\n"


def _print(points: Sequence[Point], model: CostModel) -> None:
    for point in points:
        graph = point.graph()
        predicted = model.op_seconds(graph.ops[0], graph, graph.shape)
        print(f"{predicted / point.seconds:5.2f}  {point.seconds * 1e6:9.1f} us  {point}")


if __name__ == "__main__":
    main()
