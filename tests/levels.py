"""What `test_afterwards` asks a child: to run a model at one of ONNX Runtime's optimisation levels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from onnx_autochunk.runtime import launch
from onnx_autochunk.runtime.launch import EXACT_MEMORY, Json
from onnx_autochunk.runtime.session import exact_options, open_session, run, runner
from onnx_autochunk.verify import measure
from onnx_autochunk.verify.arrays import Array, load_arrays, save_arrays
from onnx_autochunk.verify.inputs import random_inputs, read_specs

ALL, NONE = "ORT_ENABLE_ALL", "ORT_DISABLE_ALL"
BETWEEN = ("ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT")


def peak_and_outputs(path: Path, level: str = ALL) -> tuple[int, Mapping[str, Array]]:
    """Bytes of one run's activations, and what it gives on the inputs of seed 0."""
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "inputs", random_inputs(read_specs(path), seed=0))
        request = {"path": str(path), "folder": folder, "level": level}
        answer = launch.call(_at_level, request, environment=EXACT_MEMORY)
        return answer["peak_bytes"], load_arrays(Path(folder) / "outputs")


def _at_level(request: Json) -> Json:
    options, folder = exact_options(threads=1), Path(request["folder"])
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, request["level"])
    session, feeds = open_session(request["path"], options=options), load_arrays(folder / "inputs")
    save_arrays(folder / "outputs", run(session, feeds))
    return {"peak_bytes": measure._steady_rise(runner(session, feeds))}
