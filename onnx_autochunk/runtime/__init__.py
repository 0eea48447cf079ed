"""The only importer of ONNX Runtime, which is loaded when it is first needed."""

from .library import onnxruntime, version
from .optimized import optimized_model
from .session import default_options, exact_options, open_session, session_options

__all__ = [
    "session_options",
    "default_options",
    "exact_options",
    "open_session",
    "optimized_model",
    "onnxruntime",
    "version",
]
