"""Rewrite exported ONNX models so that their activations need a fraction of the memory.

`autochunk("in.onnx", budget="20%").save("out.onnx")`
"""

from ._version import __version__
from .api import analyze, autochunk
from .errors import AutochunkError, BudgetError, ModelError, UsageError, VerificationError
from .options import Options
from .result import Result
from .runtime.session import session_options

__all__ = [
    "AutochunkError", "BudgetError", "ModelError", "Options", "Result", "UsageError", "VerificationError",
    "__version__", "analyze", "autochunk", "session_options",
]  # fmt: skip
