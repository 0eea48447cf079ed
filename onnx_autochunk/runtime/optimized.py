"""The graph that ONNX Runtime really executes: its own fusions and foldings applied, saved as a model."""

from __future__ import annotations

import os
from pathlib import Path

from . import launch
from .launch import Json
from .session import open_session, session_options


def optimized_model(
    path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    provider: str = "cpu",
    *,
    timeout_s: float | None = None,
) -> None:
    """Save ONNX Runtime's optimised form of a model; weights go to `<out_path>.data`.

    Loads the model, in a child process, and does not run it.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
        UsageError: ONNX Runtime or the provider is missing.
        ChildError: the child process failed.

    Source: onnxruntime/core/session/inference_session.cc, SaveToFile with external initializers.
    """
    request = {
        "path": str(Path(path).absolute()),
        "out": str(Path(out_path).absolute()),
        "provider": provider,
    }
    launch.call(_save_optimized, request, timeout_s=timeout_s)


def _save_optimized(request: Json) -> Json:
    out = Path(request["out"])
    options = session_options(threads=1)
    options.optimized_model_filepath = str(out)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": f"{out.name}.data",
        "session.optimized_model_external_initializers_min_size_in_bytes": "4096",
        "session.disable_prepacking": "1",  # packed weights are not part of the graph and take time
    }.items():
        options.add_session_config_entry(key, value)
    open_session(request["path"], options=options, provider=request["provider"])
    return {}
