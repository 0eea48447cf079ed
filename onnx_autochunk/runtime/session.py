"""Sessions: options for each purpose, opening a model, running it on numpy arrays.

`open_session("m.onnx", options=session_options())` -> a session for `run(session, feeds)`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

from ..errors import ModelError, UsageError
from . import device
from .library import onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort

Array = NDArray[Any]

PROVIDERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"}),
}
ERRORS_ONLY = 3  # ONNX Runtime's log severity


def default_options(*, threads: int | None = None) -> ort.SessionOptions:
    """ONNX Runtime's own defaults, quiet.

    Args:
        threads: threads within an operator; None or 0 leaves the number to ONNX Runtime.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    options = onnxruntime().SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    return options


def session_options(*, threads: int | None = None) -> ort.SessionOptions:
    """Options to run a chunked model with: the arena stays, the memory pattern goes.

    With the memory pattern, which is on by default, one block for the whole peak of the run before is held
    from the second run on, and one more for each Scan or Loop body.

    Args:
        threads: threads within an operator; None or 0 leaves the number to ONNX Runtime.

    Raises:
        UsageError: ONNX Runtime is not installed.

    Source: onnxruntime/core/framework/execution_frame.cc, ExecutionFrame; mem_pattern_planner.h.
    """
    options = default_options(threads=threads)
    options.enable_mem_pattern = False
    return options


def exact_options(*, threads: int | None = None) -> ort.SessionOptions:
    """Options to measure with: every buffer goes straight to the system and back.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    options = session_options(threads=threads)
    options.enable_cpu_mem_arena = False
    return options


def disable(options: ort.SessionOptions, optimizers: str) -> ort.SessionOptions:
    """The same options without some of ONNX Runtime's optimizers.

    Args:
        options: from one of the functions above; changed in place.
        optimizers: their names, separated by semicolons; empty disables none.

    Source: onnxruntime_session_options_config_keys.h, kOrtSessionOptionsDisableSpecifiedOptimizers.
    """
    if optimizers:
        options.add_session_config_entry("optimization.disable_specified_optimizers", optimizers)
    return options


def open_session(
    path: str | os.PathLike[str],
    *,
    options: ort.SessionOptions,
    provider: str = "cpu",
    settings: Mapping[str, str] | None = None,
) -> ort.InferenceSession:
    """Load a model.

    Args:
        path: the ONNX file.
        options: from one of the functions above.
        provider: a key of `PROVIDERS`; what it lacks runs on the CPU.
        settings: of the provider, on top of its own, such as `gpu_mem_limit`.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
        UsageError: the provider is unknown or not available here.
    """
    return _opened(os.fspath(path), os.fspath(path), options, provider, settings or {})


def start_library(provider: str = "cpu") -> None:
    """Load a model of one node and drop it: what ONNX Runtime needs for itself is there from then on.

    Raises:
        UsageError: the provider is unknown or not available here.
    """
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) { y = Neg(x) }'
    model = onnx.parser.parse_model(text).SerializeToString()
    _opened("one node", model, default_options(threads=1), provider, {})


@cache
def default_provider() -> str:
    """The provider to plan for where none is named: "cuda" where ONNX Runtime runs on a GPU here."""
    if not device.has_gpu():
        return "cpu"
    try:
        start_library("cuda")
    except (ModelError, UsageError):
        return "cpu"
    return "cuda"


def _opened(
    name: str, model: str | bytes, options: ort.SessionOptions, provider: str, settings: Mapping[str, str]
) -> ort.InferenceSession:
    """A session that really has the provider: ONNX Runtime takes the CPU's, and says so in its log only."""
    (wanted, own), *others = _providers(provider)
    _require_gpu(provider)
    try:
        session = onnxruntime().InferenceSession(
            model, options, providers=[(wanted, own | dict(settings)), *others]
        )
    except Exception as error:  # its binding raises a dozen classes that share no base class
        raise ModelError(f"{name}: ONNX Runtime does not load the model: {error}") from error
    if wanted not in session.get_providers():
        raise UsageError(f"{wanted} does not start here: its libraries (CUDA, cuDNN) are missing or too old")
    return session


def _require_gpu(provider: str) -> None:
    """Find the libraries of the provider, which may lie in Python packages of their own."""
    if provider != "cuda":
        return
    if not device.has_gpu():
        raise UsageError("the NVIDIA driver shows no GPU here; choose --provider cpu, or --no-verify")
    preload = getattr(onnxruntime(), "preload_dlls", None)  # ONNX Runtime 1.21
    if preload is not None:
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find
            preload()


def _providers(provider: str) -> list[tuple[str, dict[str, str]]]:
    if provider not in PROVIDERS:
        raise UsageError(f"provider {provider!r} is not supported; choose one of {', '.join(PROVIDERS)}")
    name, settings = PROVIDERS[provider]
    available = onnxruntime().get_available_providers()
    if name not in available:
        raise UsageError(f"{name} is not in the installed ONNX Runtime, which has {', '.join(available)}")
    chosen = [(name, dict(settings))]
    return chosen if provider == "cpu" else [*chosen, ("CPUExecutionProvider", {})]


def run(session: ort.InferenceSession, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of one run, by name; the elements of a sequence are named `name[0]`, `name[1]`, ...

    Raises:
        ModelError: an input or output is of a kind that cannot be given from or to numpy.
    """
    names = [output.name for output in session.get_outputs()]
    if _is_plain(session):
        results = session.run_with_ort_values(names, ort_values(feeds))
        return {name: _to_numpy(value) for name, value in zip(names, results, strict=True)}
    return _flat(names, session.run(names, dict(feeds)))


def _is_plain(session: ort.InferenceSession) -> bool:
    """True when inputs and outputs are tensors of numbers: what an OrtValue can share with numpy."""
    types = [value.type for value in (*session.get_inputs(), *session.get_outputs())]
    return all(kind.startswith("tensor(") and kind != "tensor(string)" for kind in types)


def runner(
    session: ort.InferenceSession, feeds: Mapping[str, Array], provider: str = "cpu"
) -> Callable[[], None]:
    """A function without arguments that runs the session once and drops what it computed.

    Nothing but ONNX Runtime's own work is in it: inputs are converted before, outputs not copied to numpy.
    Inputs lie on the GPU before and outputs stay there; it returns when the GPU has done its work.
    """
    names = [output.name for output in session.get_outputs()]
    if _is_plain(session):
        if provider == "cuda":
            return _on_device(session, feeds, "cuda")
        values = ort_values(feeds)
        return lambda: _drop(session.run_with_ort_values(names, values))
    return lambda: _drop(session.run(names, dict(feeds)))


def _on_device(session: ort.InferenceSession, feeds: Mapping[str, Array], place: str) -> Callable[[], None]:
    """The function for inputs and outputs on a device: binding an input copies it to where it is read."""
    binding, names = session.io_binding(), [output.name for output in session.get_outputs()]
    for name, value in ort_values(feeds).items():
        binding.bind_ortvalue_input(name, value)

    def once() -> None:
        for name in names:
            binding.bind_output(name, place, device.FIRST)
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        binding.clear_binding_outputs()

    return once


def _drop(_: object) -> None:
    """Take results and let them go."""


def element_code(dtype: np.dtype[Any]) -> int:
    """ONNX's number of an element type; `object` stands for strings."""
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def element_dtype(code: int) -> np.dtype[Any]:
    """The numpy type of an element type given by ONNX's number."""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))


def ort_values(feeds: Mapping[str, Array]) -> dict[str, ort.OrtValue]:
    """The arrays as ONNX Runtime's values, which share their memory.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    return {name: _ort_value(np.asarray(array, order="C")) for name, array in feeds.items()}


def _ort_value(array: Array) -> ort.OrtValue:
    value = onnxruntime().OrtValue
    if array.dtype.isbuiltin == 1:
        return value.ortvalue_from_numpy(array)
    bits = array.view(f"u{array.dtype.itemsize}")  # bfloat16 and float8, unknown to numpy
    return value.ortvalue_from_numpy_with_onnx_type(bits, element_code(array.dtype))


def _to_numpy(value: ort.OrtValue) -> Array:
    """A copy; ONNX Runtime itself cannot hand out the types that numpy does not know."""
    dtype = element_dtype(value.element_type())
    if dtype.isbuiltin == 1:
        result: Array = value.numpy()
        return result
    raw = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(raw, dtype).reshape(value.shape())


def _flat(names: Sequence[str], results: Sequence[Any]) -> dict[str, Array]:
    flat: dict[str, Array] = {}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, np.ndarray):
            flat[name] = result
        elif isinstance(result, list) and all(isinstance(item, np.ndarray) for item in result):
            flat |= {f"{name}[{i}]": item for i, item in enumerate(result)}
        else:
            raise ModelError(
                f"output {name!r} is a {type(result).__name__}: only tensors and sequences are compared"
            )
    return flat
