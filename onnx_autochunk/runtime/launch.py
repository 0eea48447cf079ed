"""Child processes: what may exhaust memory, crash or leave memory behind runs in a process of its own.

`call(function, {"path": "m.onnx"})` -> the child imports `function` by name, calls it and answers by a file,
so that nothing a library prints can spoil the answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import errors

Json = dict[str, Any]
Function = Callable[[Json], Json]

EXACT_MEMORY: Mapping[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": "16384",  # a buffer from 16 KiB on is its own mapping: freed means returned
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TOP_PAD_": "0",
}
"""glibc's settings under which resident memory follows what is allocated. Source: mallopt(3)."""

LOG_TAIL = 2000  # characters of a dead child's output that are shown


def call(
    function: Function,
    request: Mapping[str, object],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Json:
    """Call a function of this package in a child process.

    Args:
        function: a module-level function from a JSON object to a JSON object.
        request: its argument.
        environment: variables to set in addition to the present ones.
        timeout_s: after which the child is killed; None waits for ever.

    Returns:
        What the function returned.

    Raises:
        AutochunkError: the function raised it (the same class is raised here).
        ChildError: it raised anything else, was killed, or took longer than `timeout_s`.
    """
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log.txt"
        target = f"{function.__module__}:{function.__qualname__}"
        order = json.dumps({"function": target, "request": dict(request), "answer": str(answer)})
        code = _execute(order, log, target, os.environ | _import_paths() | dict(environment or {}), timeout_s)
        if not answer.exists():
            raise errors.ChildError(_obituary(target, code, log))
        return _result(json.loads(answer.read_text(encoding="utf-8")), target)


def _import_paths() -> Json:
    """Let the child find modules where this process does, and not where it happens to stand."""
    return {
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "PYTHONSAFEPATH": "1",
    }


def _execute(
    order: str, log: Path, target: str, environment: Mapping[str, str], timeout_s: float | None
) -> int:
    command = [sys.executable, "-m", "onnx_autochunk.runtime.child"]
    try:
        with log.open("wb") as stream:
            return subprocess.run(
                command,
                input=order.encode(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=timeout_s,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise errors.ChildError(
            f"{target}: the child process took longer than {timeout_s:g} s and was ended"
        ) from error


def _result(answer: Json, target: str) -> Json:
    if "result" in answer:
        result: Json = answer["result"]
        return result
    known = getattr(errors, answer["error"], None)
    if isinstance(known, type) and issubclass(known, errors.AutochunkError):
        raise known(answer["message"])
    raise errors.ChildError(f"{target}: {answer['error']} in the child process: {answer['message']}")


def _obituary(target: str, code: int, log: Path) -> str:
    """Why a child died without an answer."""
    what = f"{target}: the child process {_fate(code)}"
    tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
    return f"{what}; its last words: {tail}" if tail else what


def _fate(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} and no answer"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == getattr(signal, "SIGKILL", None):
        return (
            f"was killed ({name}), probably because memory ran out: use smaller sizes (--dim) or free memory"
        )
    return f"crashed ({name})"
