"""What `tools.cuda_check` runs in child processes: sessions that may exhaust the GPU or crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.errors import AutochunkError
from onnx_autochunk.graph.load import load
from onnx_autochunk.runtime.launch import Json
from onnx_autochunk.runtime.session import open_session, runner, session_options
from onnx_autochunk.runtime.trace import Trace, read_trace
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from tools.calibration_models import chain_model, scan_model, unrolled_model

OPSET = 20
SIDE = 4096  # of the matrices that are multiplied and added
TYPES = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}


def traced(request: Json) -> Json:
    """Run each of `paths` once; by name, which provider ran what."""
    return {name: _traced(Path(path), request) for name, path in request["paths"].items()}


def _traced(path: Path, request: Json) -> Json:
    options = session_options()
    options.enable_profiling = True
    options.profile_file_prefix = str(path.with_suffix(""))
    try:
        session = open_session(path, options=options, provider=request["provider"])
        runner(session, random_inputs(read_specs(path), seed=0), request["provider"])()
        return _told(read_trace(Path(session.end_profiling())))
    except AutochunkError as error:
        return {"error": str(error)}


def _told(trace: Trace) -> Json:
    nodes, calls = trace.copies()
    return {"nodes": trace.nodes, "copy_nodes": nodes, "copy_calls": calls}


def run_capped(request: Json) -> Json:
    """Run `path` once with at most `most` bytes in the GPU's arena, weights among them."""
    path, settings = Path(request["path"]), {"gpu_mem_limit": str(request["most"])}
    session = open_session(path, options=session_options(), provider="cuda", settings=settings)
    once = runner(session, random_inputs(read_specs(path), seed=0), "cuda")
    return {"elapsed_s": _seconds(once)}


def constants(request: Json) -> Json:
    """Seconds of calls and iterations that do next to nothing, and of two that are bound by the device."""
    folder, provider, side = Path(request["folder"]), request["provider"], request["side"]
    time_of = partial(_fastest, folder=folder, provider=provider, repeats=request["repeats"])
    short, long = (time_of(chain_model(length)) for length in (50, 250))
    dispatch_s = (long - short) / 200
    few, many = (time_of(scan_model(count, 2)) for count in (64, 512))
    written_few, written_many = (time_of(unrolled_model(count)) for count in (32, 128))
    found: dict[str, Any] = {
        "dispatch_s": dispatch_s,
        "iteration_s": {
            "scan": (many - few) / 448 - 2 * dispatch_s,
            "unroll": (written_many - written_few) / 96 - 2 * dispatch_s,
        },
    }
    for name, model in _bound(side):
        graph = load(model).graph
        priced_s = CostModel.load("cpu").op_seconds(graph.ops[0], graph, graph.shape)
        seconds = time_of(model)
        found[name] = {"seconds": seconds, "times_faster": priced_s / seconds}
    return found


def _bound(side: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    for kind in ("MatMul", "Add"):
        for dtype, code in TYPES.items():
            taken, given = (helper.make_tensor_value_info(name, code, [side, side]) for name in "xy")
            graph = helper.make_graph([helper.make_node(kind, ["x", "x"], ["y"])], "g", [taken], [given])
            opsets = [helper.make_opsetid("", OPSET)]
            yield f"{kind} {dtype}", helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _fastest(model: onnx.ModelProto, folder: Path, provider: str, repeats: int) -> float:
    path = folder / "constants.onnx"
    onnx.save(model, path)
    session = open_session(path, options=session_options(), provider=provider)
    once = runner(session, random_inputs(read_specs(path), seed=0), provider)
    once()
    return min(_seconds(once) for _ in range(repeats))


def _seconds(once: Callable[[], None]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
