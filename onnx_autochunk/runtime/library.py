"""ONNX Runtime itself, imported when it is first needed: rewriting a model works without it."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..errors import UsageError


def onnxruntime() -> ModuleType:
    """The `onnxruntime` module.

    Raises:
        UsageError: it is not installed, or does not load.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise UsageError(
            f"ONNX Runtime is needed to run, measure or verify a model, but does not load ({error}); "
            "install it with pip install onnx_autochunk[cpu] or pip install onnx_autochunk[gpu]"
        ) from error


def version() -> tuple[int, int]:
    """Major and minor version of the installed ONNX Runtime.

    Raises:
        UsageError: it is not installed.
    """
    major, minor, *_ = onnxruntime().__version__.split(".")
    return int(major), int(minor)
