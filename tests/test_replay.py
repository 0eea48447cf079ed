"""Saved plans as files and objects: what is read before the model is."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from onnx_autochunk import _version, replay
from onnx_autochunk.errors import UsageError
from onnx_autochunk.options import Budget, Options
from onnx_autochunk.replay import made_with, read_plan


def _record(**changes: object) -> dict[str, Any]:
    options = Options(budget=Budget(share=0.2), dims={"N": 4}, input_shapes={"x": (1, 2)})
    return {"schema": 1, "regions": [], **made_with(options), **changes}


def test_a_plan_may_be_a_report_or_the_object_in_it(tmp_path: Path) -> None:
    record = _record()
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"status": "chunked", "plan": record}))
    found = [read_plan(source, Options()).record for source in (path, {"plan": record}, record)]
    assert found == [record, record, record]


def test_sizes_are_those_of_the_plan_unless_they_are_given() -> None:
    own = read_plan(_record(), Options(threads=2)).options
    assert own == Options(threads=2, dims={"N": 4}, input_shapes={"x": (1, 2)})
    assert read_plan(_record(), Options(dims={"N": 9})).options.dims == {"N": 9}


BAD: dict[str, tuple[object, str]] = {
    "report of nothing": ({"status": "unchanged", "plan": None}, "there is no plan in it"),
    "something else": ({"a": 1}, "there is no plan in it"),
    "a list": ([1], "there is no plan in it"),
    "schema": (
        _record(schema=2),
        f"has schema 2, this version reads 1.*onnx_autochunk {_version.__version__}",
    ),
    "no schema": (_record(schema="one"), "schema is 'one', not a whole number"),
    "versions": (_record(versions={}), "versions.onnx_autochunk is missing"),
    "options": (_record(options=[]), r"options is \[\], not an object"),
    "provider": (_record(options={"provider": "cuda"}), "for provider 'cuda', not for 'cpu'"),
    "dims": (_record(options={"provider": "cpu", "dims": {"N": "4"}, "input_shapes": {}}), "dims.N is '4'"),
    "shapes": (
        _record(options={"provider": "cpu", "dims": {}, "input_shapes": {"x": [1, None]}}),
        r"input_shapes.x\[1\] is None",
    ),
}


@pytest.mark.parametrize(("found", "message"), BAD.values(), ids=BAD)
def test_what_is_no_plan_is_refused(found: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(found))
    with pytest.raises(UsageError, match=message):
        read_plan(path, Options())


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "is not JSON"), (b"\xff\xfe", "is not JSON"), (None, "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"--plan .*plan.json: {message}"):
        read_plan(path, Options())


def test_another_version_of_this_package_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "onnx_autochunk")
    record = _record()
    read_plan(record, Options())
    assert caplog.messages == []
    monkeypatch.setattr(replay, "__version__", "99.0")
    read_plan(record, Options())
    assert "the result may differ in bytes" in caplog.text


def test_a_plan_says_what_it_was_made_with() -> None:
    made = _record()
    assert made["versions"]["onnx_autochunk"] == _version.__version__
    assert (made["options"]["budget"], made["options"]["dims"]) == ("0.2 of the original", {"N": 4})
    assert json.loads(json.dumps(made)) == made
