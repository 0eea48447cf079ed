"""The graph that ONNX Runtime really executes: its own fusions and foldings applied, saved as a model."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from . import launch
from .launch import Json
from .session import disable, open_session, session_options

SMALL_BYTES = 1 << 12  # weights below this size stay in the file
READ_BYTES = 1 << 16  # when the others are left out: what `load` reads has to stay


def optimized_model(
    path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    provider: str = "cpu",
    *,
    weights: bool = True,
    disabled: str = "",
    timeout_s: float | None = None,
) -> None:
    """Save ONNX Runtime's optimised form of a model; weights go to `<out_path>.data`.

    Loads the model, in a child process, and does not run it.

    Args:
        path: the ONNX file.
        out_path: the file to write.
        provider: whose kernels and layouts to optimise for.
        weights: without them the data file is empty: enough to read the graph, and much faster.
        disabled: optimizers to leave out; see `session.disable`.
        timeout_s: after which the child is killed; None waits for ever.

    Raises:
        ModelError: ONNX Runtime does not accept the model, or cannot write what it made of it.
        UsageError: ONNX Runtime or the provider is missing.
        ChildError: the child process failed.

    Source: onnxruntime/core/session/inference_session.cc, SaveToFile with external initializers.
    """
    out = Path(out_path).absolute()
    data = out.with_name(f"{out.name}.data")
    request = {
        "path": str(Path(path).absolute()),
        "out": str(out),
        "data": data.name,
        "small_bytes": SMALL_BYTES if weights else READ_BYTES,
        "provider": provider,
        "disabled": disabled,
    }
    if weights:
        launch.call(_save_optimized, request, timeout_s=timeout_s)
        return
    with contextlib.suppress(OSError):  # where there are no links, the weights are written and emptied
        data.symlink_to(os.devnull)
    try:
        launch.call(_save_optimized, request, timeout_s=timeout_s)
    finally:
        data.unlink(missing_ok=True)
    data.touch()


def _save_optimized(request: Json) -> Json:
    """Runs in the child."""
    options = disable(session_options(threads=1), request["disabled"])
    options.optimized_model_filepath = request["out"]
    for key, value in {
        "session.optimized_model_external_initializers_file_name": request["data"],
        "session.optimized_model_external_initializers_min_size_in_bytes": str(request["small_bytes"]),
        "session.disable_prepacking": "1",  # packed weights are not part of the graph and take time
    }.items():
        options.add_session_config_entry(key, value)
    open_session(request["path"], options=options, provider=request["provider"])
    return {}
