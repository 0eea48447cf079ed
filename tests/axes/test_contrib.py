"""Every operator that the installed ONNX Runtime knows has a rule or a reason."""

from __future__ import annotations

from collections.abc import Callable

from onnxruntime.capi import onnxruntime_pybind11_state as ort

from onnx_autochunk.axes.registry import entries, registered
from tests.axes.proof import plain_barrier


def test_every_operator_of_the_runtime_is_registered(record_property: Callable[[str, object], None]) -> None:
    known = {(schema.domain, schema.name) for schema in ort.get_all_operator_schema()}
    barriers = {(entry.domain, entry.type) for entry in entries() if plain_barrier(entry)}
    record_property("rules", len(known - barriers))
    record_property("barriers", len(known & barriers))
    assert known - set(registered()) == set()
