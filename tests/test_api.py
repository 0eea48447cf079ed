"""The library's two verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest

import onnx_autochunk
from onnx_autochunk import analyze, api, autochunk
from onnx_autochunk.errors import UsageError
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report.record import Status
from tests.plan.graphs import transformer

SYMBOLIC = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["": 21]> g (float[N,64] x) => (float[N,64] y) '
    "{ a = Relu(x)  y = Add(a, x) }"
)


@pytest.mark.parametrize("kind", ["path", "text", "proto", "ir"])
def test_a_model_may_come_in_any_form_and_is_not_modified(kind: str, tmp_path: Path) -> None:
    proto = transformer(1)
    path = tmp_path / "in.onnx"
    onnx.save(proto, path)
    model = ir.load(path)
    source: Any = {"path": path, "text": str(path), "proto": proto, "ir": model}[kind]
    before = path.read_bytes(), proto.SerializeToString(), ir.to_proto(model).SerializeToString()
    result = autochunk(source, budget="50%", no_verify=True)
    assert result.report.status is Status.CHUNKED
    assert (path.read_bytes(), proto.SerializeToString(), ir.to_proto(model).SerializeToString()) == before
    result.save(tmp_path / "out.onnx")
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
    assert any(node.op_type == "Scan" for node in onnx.load(tmp_path / "out.onnx").graph.node)


OPTIONS: list[tuple[dict[str, Any], Options]] = [
    ({}, Options()),
    ({"budget": "20%"}, Options(budget=Budget(share=0.2))),
    ({"budget": 4096}, Options(budget=Budget(absolute_bytes=4096))),
    ({"budget": Budget(share=0.5)}, Options(budget=Budget(share=0.5))),
    ({"plan": "p.json"}, Options(plan=Path("p.json"))),
    ({"plan": {"schema": 1}}, Options(plan={"schema": 1})),
    ({"form": "scan"}, Options(form=Form.SCAN)),
    ({"form": Form.SWEEP, "max_slowdown": 2.0}, Options(form=Form.SWEEP, max_slowdown=2.0)),
    ({"input_data": "in.npz", "dims": {"N": 4}}, Options(input_data=Path("in.npz"), dims={"N": 4})),
]


@pytest.mark.parametrize(("given", "options"), OPTIONS)
def test_options_may_be_written_as_text(
    given: dict[str, Any], options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []
    monkeypatch.setattr(api, "run", lambda *arguments: seen.append(arguments))
    autochunk("in.onnx", **given)
    assert seen == [("in.onnx", options, None)]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"budget": "lots"}, UsageError, "is not a size"),
        ({"form": "loop"}, UsageError, "form 'loop' is not one of auto, sweep, scan, unroll"),
        ({"budget": "1GiB", "max_slowdown": 1.1}, UsageError, "exclude each other"),
        ({"chunks": 4}, TypeError, "chunks"),
        ({"dims": {"N": 4, "M": 5}}, UsageError, "--dim M: no input has a dimension of that name"),
        ({"fix_dims": True}, UsageError, "--dim N=SIZE"),
    ],
)
def test_bad_options_are_named(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        autochunk(SYMBOLIC, **given)


def test_analyze_says_what_is_held() -> None:
    timeline = analyze(SYMBOLIC, dims={"N": 128})
    assert timeline.peak_bytes == 2 * 128 * 64 * 4
    held = timeline.at(timeline.peak_step)
    assert {name for buffer in held for name in buffer.values} == {"a", "y"}


def test_every_public_name_is_there() -> None:
    assert all(hasattr(onnx_autochunk, name) for name in onnx_autochunk.__all__)
