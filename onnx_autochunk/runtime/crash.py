"""Whose fault it is that a child process died: ONNX Runtime's own, if it cannot even load the model.

"the child process crashed (SIGSEGV)" -> "ONNX Runtime itself crashes while it loads m.onnx ...", and what
helps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ChildError
from . import launch
from .launch import Json
from .session import disable, open_session, session_options

# Optimizers of ONNX Runtime that are known to crash; tried one by one.
SUSPECTS = ("NchwcTransformer",)


@contextmanager
def explained(path: str | os.PathLike[str], provider: str = "cpu", advice: str = "") -> Iterator[None]:
    """Say so when what ends a child process in here is that ONNX Runtime does not survive loading a model.

    Args:
        path: the ONNX file that children load in here.
        provider: likewise.
        advice: what to do about it.

    Raises:
        ChildError: a child failed.
    """
    try:
        yield
    except ChildError as error:
        fate = _failure(path, provider)
        if fate is None:
            raise
        found = f"{os.fspath(path)}: ONNX Runtime itself does not survive loading this model, so it can be "
        found += f"neither measured nor compared: {fate}{_remedy(path, provider)}"
        raise ChildError(f"{found}. {advice}" if advice else found) from error


def _remedy(path: str | os.PathLike[str], provider: str) -> str:
    """The optimizer without which the model loads, in words; empty when it is another one."""
    for name in SUSPECTS:
        if _failure(path, provider, name) is None:
            return f". It loads without one optimizer: InferenceSession(..., disabled_optimizers=[{name!r}])"
    return ""


def _failure(path: str | os.PathLike[str], provider: str, disabled: str = "") -> str | None:
    """How loading ends a child process; None when it does not."""
    request = {"path": str(Path(path).absolute()), "provider": provider, "disabled": disabled}
    try:
        launch.call(_load, request)
    except ChildError as error:
        return str(error)
    return None


def _load(request: Json) -> Json:
    """Runs in the child."""
    options = disable(session_options(threads=1), request["disabled"])
    open_session(request["path"], options=options, provider=request["provider"])
    return {}
