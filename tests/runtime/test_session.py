from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnx_autochunk import errors, runtime
from onnx_autochunk.runtime import session
from onnx_autochunk.runtime.session import run
from onnx_autochunk.runtime.trace import read_trace
from tests.runtime.small_models import save


def test_options_for_each_purpose() -> None:
    flags = {
        make.__name__: (
            options.enable_mem_pattern,
            options.enable_cpu_mem_arena,
            options.intra_op_num_threads,
        )
        for make in (runtime.default_options, runtime.session_options, runtime.exact_options)
        for options in [make(threads=2)]
    }
    assert flags == {
        "default_options": (True, True, 2),
        "session_options": (False, True, 2),
        "exact_options": (False, False, 2),
    }


def test_importing_needs_no_onnxruntime_and_using_it_names_the_extras() -> None:
    script = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from onnx_autochunk import errors, runtime\n"
        "try: runtime.session_options()\n"
        "except errors.UsageError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install onnx_autochunk[cpu] or pip install onnx_autochunk[gpu]" in result.stdout


def test_a_provider_that_the_session_lacks_is_not_taken_for_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.start_library("cpu")
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda _: ["AnotherProvider"])
    with pytest.raises(errors.UsageError, match="CPUExecutionProvider does not start here"):
        session.start_library("cpu")


def test_a_bound_run_leaves_inputs_and_outputs_where_they_are(tmp_path: Path) -> None:
    path = save(tmp_path, "m", "g (float[4] x) => (float[4] y) { y = Neg(x) }")
    options = runtime.session_options(threads=1)
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    opened = runtime.open_session(path, options=options)
    once = session._on_device(opened, {"x": np.ones(4, np.float32)}, "cpu")
    once()
    once()
    assert read_trace(Path(opened.end_profiling())).calls == {"CPUExecutionProvider": {"Neg": 2}}


def test_without_a_gpu_models_are_planned_for_the_cpu() -> None:
    assert session.default_provider() == "cpu"


@pytest.mark.parametrize(
    ("content", "provider", "error", "pattern"),
    [
        (b"not a model", "cpu", errors.ModelError, r"m\.onnx: ONNX Runtime does not load the model"),
        (b"", "tpu", errors.UsageError, r"provider 'tpu' is not supported; choose one of cpu, cuda"),
        (b"", "cuda", errors.UsageError, r"the NVIDIA driver shows no GPU here"),
    ],
)
def test_open_session_failure(
    tmp_path: Path, content: bytes, provider: str, error: type[errors.AutochunkError], pattern: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(error, match=pattern):
        runtime.open_session(path, options=runtime.session_options(threads=1), provider=provider)


FLOATS = np.array([1.0, -2.5, np.inf], np.float32)
WORDS = np.array(["a", "bb", "ü"], object)


@pytest.mark.parametrize(
    ("text", "feeds", "expected"),
    [
        ("g (float[3] x) => (float[3] y) { y = Neg(x) }", {"x": FLOATS}, {"y": -FLOATS}),
        (
            "g (bfloat16[3] x) => (float[3] w, bfloat16[3] y) { w = Cast<to=1> (x)\n y = Cast<to=16> (w) }",
            {"x": FLOATS.astype(ml_dtypes.bfloat16)},
            {"w": FLOATS, "y": FLOATS.astype(ml_dtypes.bfloat16)},
        ),
        ("g (string[3] x) => (string[3] y) { y = Identity(x) }", {"x": WORDS}, {"y": WORDS}),
        (
            "g (float[3] x) => (seq(float[3]) y) { y = SequenceConstruct(x, x) }",
            {"x": FLOATS},
            {"y[0]": FLOATS, "y[1]": FLOATS},
        ),
    ],
    ids=["float32", "bfloat16", "string", "sequence"],
)
def test_run(
    tmp_path: Path, text: str, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray]
) -> None:
    session = runtime.open_session(save(tmp_path, "m", text), options=runtime.session_options(threads=1))
    outputs = run(session, feeds)
    assert outputs.keys() == expected.keys()
    for name, array in expected.items():
        assert outputs[name].dtype == array.dtype
        np.testing.assert_array_equal(outputs[name], array)


def test_optimized_model_is_fused_and_keeps_weights_outside(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        "m",
        "g (float[8, 64] x) => (float[8, 64] y) { m = MatMul(x, w)\n y = Add(m, b) }",
        w=(64, 64),
        b=(64,),
    )
    out = tmp_path / "out.onnx"
    runtime.optimized_model(path, out)
    saved = onnx.load(out, load_external_data=False)
    assert [node.op_type for node in saved.graph.node] == ["Gemm"]
    assert (tmp_path / "out.onnx.data").stat().st_size >= 64 * 64 * 4
    assert out.stat().st_size < 64 * 64 * 4
