"""Does the rewritten model compute what the original computes? Both run on the same inputs, in children."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..runtime import launch
from ..runtime.launch import Json
from ..runtime.session import open_session, run, session_options
from .arrays import Array, load_arrays, save_arrays
from .compare import Comparison, compare, merge


def compare_models(
    original: str | os.PathLike[str],
    rewritten: str | os.PathLike[str],
    inputs: Sequence[Mapping[str, Array]],
    *,
    rtol: float | None = None,
    atol: float | None = None,
    provider: str = "cpu",
    threads: int | None = None,
    timeout_s: float | None = None,
) -> Comparison:
    """Run both models, one after the other, and compare their outputs.

    Outputs pass through temporary files, in the folder that `tempfile` chooses (`TMPDIR`).

    Args:
        original: the ONNX file to be equal to.
        rewritten: the ONNX file to check.
        inputs: one mapping of arrays for each run.
        rtol: relative tolerance for float32; other types' are scaled alike. None: the default.
        atol: absolute tolerance for float32; likewise.
        provider: "cpu" or "cuda".
        threads: threads within an operator; None or 0 leaves the number to ONNX Runtime.
        timeout_s: for all runs of one model.

    Returns:
        The worst of all runs.

    Raises:
        ModelError: ONNX Runtime does not accept a model.
        ChildError: a run failed, was killed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as name:
        folder = Path(name)
        for index, arrays in enumerate(inputs):
            save_arrays(folder / "inputs" / str(index), arrays)
        for label, path in (("original", original), ("rewritten", rewritten)):
            launch.call(
                _run_all,
                {
                    "path": str(Path(path).absolute()),
                    "inputs": [str(folder / "inputs" / str(index)) for index in range(len(inputs))],
                    "outputs": str(folder / label),
                    "provider": provider,
                    "threads": threads,
                },
                timeout_s=timeout_s,
            )
        return merge(
            compare(
                load_arrays(folder / "original" / str(index), mapped=True),
                load_arrays(folder / "rewritten" / str(index), mapped=True),
                rtol=rtol,
                atol=atol,
            )
            for index in range(len(inputs))
        )


def _run_all(request: Json) -> Json:
    """Runs in the child."""
    options = session_options(threads=request["threads"])
    session = open_session(request["path"], options=options, provider=request["provider"])
    for index, folder in enumerate(request["inputs"]):
        save_arrays(Path(request["outputs"]) / str(index), run(session, load_arrays(Path(folder))))
    return {}
