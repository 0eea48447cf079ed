"""What ONNX Runtime does with a model, observed in a child process: the peak it holds, the order of nodes."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.running import as_run
from onnx_autochunk.runtime import launch
from onnx_autochunk.runtime.exact import read_optimized
from onnx_autochunk.runtime.launch import EXACT_MEMORY, Json
from onnx_autochunk.runtime.session import exact_options, ort_values
from onnx_autochunk.verify import measure

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def save(models: Mapping[str, onnx.ModelProto], folder: Path) -> dict[str, str]:
    paths = {name: str(folder / f"{name}.onnx") for name in models}
    for name, model in models.items():
        onnx.save(model, paths[name])
    return paths


def peaks(paths: Iterable[str], *, optimized: str | None = None, reuse: bool = True) -> list[int]:
    """Activation peak of each model; one child for all.

    Args:
        paths: the models.
        optimized: suffix under which to save the graph that ran; without it nothing is optimized.
        reuse: whether dead buffers are kept for later values.
    """
    request = {"paths": list(paths), "optimized": optimized, "reuse": reuse}
    answer = launch.call(_peaks, request, environment=EXACT_MEMORY)
    return [int(peak) for peak in answer["peaks"]]


def optimized_runs(models: Mapping[str, onnx.ModelProto], folder: Path) -> dict[str, tuple[Path, int]]:
    """Of each model the file of the graph that ran, and its activation peak."""
    paths = save(models, folder)
    found = peaks(paths.values(), optimized=".run.onnx")
    return {
        name: (Path(f"{path}.run.onnx"), peak)
        for (name, path), peak in zip(paths.items(), found, strict=True)
    }


def op_counts(model: onnx.ModelProto, optimized: Path) -> tuple[Counter[str], Counter[str]]:
    """Types of the ops that are taken to run, and of those in the file of the graph that ran."""
    calls = as_run(load(model).graph, None, "cpu", ()).calls
    ran = Counter(op.type for _, op in calls if op is not None)
    return ran, Counter(op.type for op in read_optimized(optimized).ops)


def sequences(paths: Iterable[str]) -> list[list[str]]:
    """Names of the nodes of each model in the order they ran."""
    answer = launch.call(_sequences, {"paths": list(paths)})
    return [list(names) for names in answer["names"]]


def _peaks(request: Json) -> Json:
    return {"peaks": [_peak(path, request["optimized"], request["reuse"]) for path in request["paths"]]}


def _peak(path: str, optimized: str | None, reuse: bool) -> int:
    options = exact_options(threads=1)
    options.enable_mem_reuse = reuse
    if optimized is None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    else:
        options.optimized_model_filepath = path + optimized
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    once = _runner(session)
    once()
    gc.collect()
    held = measure._settled_bytes()
    return measure._high_water(once) - held


def _sequences(request: Json) -> Json:
    return {"names": [_sequence(path) for path in request["paths"]]}


def _sequence(path: str) -> list[str]:
    options = exact_options(threads=1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.profile_file_prefix = path
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    _runner(session)()
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = sorted((e["ts"], e["name"]) for e in events if e["name"].endswith("_kernel_time"))
    return [name.removesuffix("_kernel_time") for _, name in ran]


def _runner(session: ort.InferenceSession) -> Any:
    feeds = {i.name: np.ones(i.shape, DTYPES[i.type]) for i in session.get_inputs()}
    values = ort_values(feeds)
    names = [output.name for output in session.get_outputs()]
    return lambda: session.run_with_ort_values(names, values) and None
