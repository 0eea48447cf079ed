"""The child's side of `launch.call`: `python -m onnx_autochunk.runtime.child` takes an order from stdin.

Imported by nobody, because a module that is run with `-m` must not have been imported before.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

from .launch import Function, Json


def main() -> None:
    """Read the order, call its function, write the answer."""
    order = json.load(sys.stdin)
    _die_first()
    answer = Path(order["answer"])
    unfinished = answer.with_suffix(".part")
    unfinished.write_text(json.dumps(_answer(order)), encoding="utf-8")
    unfinished.replace(answer)


def _answer(order: Json) -> Json:
    try:
        return {"result": _function(order["function"])(order["request"])}
    except Exception as error:  # noqa: BLE001 whatever it is, the parent has to tell the user
        return {"error": type(error).__name__, "message": str(error)}


def _function(target: str) -> Function:
    module, name = target.split(":")
    function: Function = getattr(importlib.import_module(module), name)
    return function


def _die_first() -> None:
    """When memory runs out, the kernel shall end this process and not its parent or a neighbour."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the answer is written: skip the teardown of native libraries, which can hang or crash
