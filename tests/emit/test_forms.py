"""Every form computes what the original computes, whatever the region; and leaves everything else alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from onnx_autochunk.cuda.check import check
from onnx_autochunk.emit.weave import METADATA, weave
from onnx_autochunk.graph.derive import derive
from onnx_autochunk.graph.functions import defined
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.numbers import released
from onnx_autochunk.options import Form
from onnx_autochunk.plan.hosts import sweep_hosts
from onnx_autochunk.plan.plan import Plan
from tests.emit.accumulating import ACCUMULATING
from tests.emit.regions import Outputs, bodies, check_close, nodes, outputs_of, plan_of, region_of
from tests.emit.samples import SAMPLES as MAPPED

SAMPLES = {**MAPPED, **ACCUMULATING}
NEW = "chunk/r", "apart/"  # what new names start with


def _cases() -> Iterator[object]:
    for name, sample in SAMPLES.items():
        for form in sample.forms:
            for length in sample.lengths:
                yield pytest.param(name, form, length, id=f"{name}-{form.value}-{length}")


@pytest.fixture(scope="module")
def expected() -> dict[str, Outputs]:
    return {name: outputs_of(sample.model()) for name, sample in SAMPLES.items()}


@pytest.mark.parametrize(("name", "form", "length"), list(_cases()))
def test_a_form_computes_the_same(name: str, form: Form, length: int, expected: dict[str, Outputs]) -> None:
    sample = SAMPLES[name]
    loaded = sample.loaded()
    before = ir.to_proto(loaded.model).SerializeToString(deterministic=True)
    plan = plan_of(loaded, sample.stretches, form, length)
    proto = ir.to_proto(released(weave(loaded, plan), None))
    assert ir.to_proto(loaded.model).SerializeToString(deterministic=True) == before
    onnx.checker.check_model(proto, full_check=True)
    _check_structure(ir.to_proto(loaded.model), proto, plan)
    found = outputs_of(proto)
    assert found.keys() == expected[name].keys()
    for output, array in expected[name].items():
        assert found[output].dtype == array.dtype
        check_close(found[output], array, sample.rtol)


def _check_structure(original: onnx.ModelProto, chunked: onnx.ModelProto, plan: Plan) -> None:
    """Shapes inside bodies, names, and whatever the plan does not speak of."""
    everything = nodes(chunked.graph)
    names = [node.name for node in everything]
    results = [name for node in everything for name in node.output if name]
    assert len(set(names)) == len(names) and len(set(results)) == len(results)
    _check_untouched(original, chunked)
    for body in bodies(chunked.graph):
        _check_declared(body)
    assert [p.key for p in chunked.metadata_props] == [METADATA]
    described = json.loads(chunked.metadata_props[0].value)
    assert [region["count"] for region in described["regions"]] == [p.chunking.total for p in plan.regions]
    sweeps = any(planned.form is Form.SWEEP for planned in plan.regions)
    version = {opset.domain: opset.version for opset in original.opset_import}[""]
    assert {o.domain: o.version for o in chunked.opset_import}[""] == (24 if sweeps else version)


def _check_untouched(original: onnx.ModelProto, chunked: onnx.ModelProto) -> None:
    """Old nodes, weights, inputs and outputs are what they were; new ones say where they belong."""
    old = {node.name: node.SerializeToString(deterministic=True) for node in original.graph.node}
    kept = [node for node in chunked.graph.node if node.name in old]
    assert all(old[node.name] == node.SerializeToString(deterministic=True) for node in kept)
    assert all(n.name.startswith(NEW) for n in nodes(chunked.graph) if n.name not in old)
    assert list(chunked.graph.input) == list(original.graph.input)
    assert list(chunked.graph.output) == list(original.graph.output)
    weights = {tensor.name: tensor for tensor in chunked.graph.initializer}
    for tensor in original.graph.initializer:
        assert weights.pop(tensor.name) == tensor
    assert all(name.startswith(NEW) for name in weights)


def _check_declared(body: onnx.GraphProto) -> None:
    """ORT drops in-place reuse for values of bodies whose shape it is not told."""
    declared = {value.name: value.type.tensor_type for value in (*body.value_info, *body.input, *body.output)}
    for node in body.node:
        for name in filter(None, node.output):
            assert declared[name].elem_type, name
            assert all(dim.HasField("dim_value") for dim in declared[name].shape.dim), name


UNPLANNED = {"a triangle whose diagonal moves"}  # as a Scan on CUDA: the diagonal is read on the CPU
SCANNED = [name for name, sample in SAMPLES.items() if Form.SCAN in sample.forms]


@pytest.mark.parametrize("name", [name for name in SCANNED if name not in UNPLANNED])
def test_bodies_for_cuda_compute_the_same_and_stay_on_the_gpu(
    name: str, expected: dict[str, Outputs]
) -> None:
    sample = SAMPLES[name]
    loaded = sample.loaded()
    model = weave(loaded, plan_of(loaded, sample.stretches, Form.SCAN, sample.lengths[1]), provider="cuda")
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    for body in bodies(ir.to_proto(model).graph):
        _check_declared(body)
    assert check(defined(derive(model)).graph).bad == ()
    found = outputs_of(model)
    for output, array in expected[name].items():
        check_close(found[output], array, sample.rtol)


@pytest.mark.parametrize(("name", "form"), [(n, f) for n, s in SAMPLES.items() for f in s.forms])
def test_copies_say_which_node_and_module_they_come_from(name: str, form: Form) -> None:
    sample = SAMPLES[name]
    loaded = sample.loaded()
    plan = plan_of(loaded, sample.stretches, form, sample.lengths[-1])
    chunked = nodes(ir.to_proto(weave(loaded, plan)).graph)
    for planned in plan.regions:
        for index in planned.region.ops:
            op = loaded.graph.ops[index]
            copies = [n for n in chunked if n.name.startswith("chunk/") and n.name.endswith(f"/{op.name}")]
            per_chunk = planned.chunking.total
            assert len(copies) == (1 + bool(planned.chunking.tail) if form is Form.SCAN else per_chunk)
            told = [prop.value for node in copies for prop in node.metadata_props]
            assert told == [f"module.{index}"]  # the others do not repeat what takes memory


@pytest.mark.parametrize("form", [Form.SCAN, Form.UNROLL])
def test_an_output_of_the_model_keeps_what_is_said_of_it(form: Form) -> None:
    sample = SAMPLES["graph input to graph output"]
    model = sample.model()
    model.graph.output[0].doc_string = "what comes out"
    helper.set_model_props(model.graph.output[0], {"kind": "result"})
    loaded = load(model)
    proto = ir.to_proto(weave(loaded, plan_of(loaded, sample.stretches, form, 5)))
    assert list(proto.graph.output) == list(model.graph.output)


def test_samples_say_which_regions_can_be_swept() -> None:
    for name, sample in MAPPED.items():
        loaded = sample.loaded()
        hosted = all(sweep_hosts(loaded.graph, region_of(loaded, stretch)) for stretch in sample.stretches)
        assert hosted == (Form.SWEEP in sample.forms), name


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("rows behind a batch of one", {"Scan", "Reshape"}),  # views only: nothing is copied
        ("an inner axis", {"Scan", "Reshape", "Transpose"}),
        ("columns of a weight", {"Scan", "Reshape", "Transpose"}),
        ("heads in a merged axis", {"Scan", "Reshape", "Transpose"}),
    ],
)
def test_an_even_scan_copies_only_what_is_not_in_front(name: str, kinds: set[str]) -> None:
    sample = SAMPLES[name]
    loaded = sample.loaded()
    proto = ir.to_proto(weave(loaded, plan_of(loaded, sample.stretches, Form.SCAN, 1)))
    assert {node.op_type for node in proto.graph.node if node.name.startswith("chunk/")} == kinds


@pytest.mark.parametrize(
    ("name", "length", "kinds"),
    [
        ("an inner axis", 2, {"Gather"}),  # 10 rows in even chunks: blocks of a view, copied by all threads
        ("an inner axis", 3, {"Slice"}),
        ("columns of a weight", 4, {"Slice"}),  # a view of it would be folded, and held twice
        ("one value along two axes", 4, {"Gather"}),  # the other is a view
        ("rows behind a batch of one", 4, set()),
    ],
)
def test_what_copies_the_chunks_of_a_scan(name: str, length: int, kinds: set[str]) -> None:
    sample = SAMPLES[name]
    loaded = sample.loaded()
    proto = ir.to_proto(weave(loaded, plan_of(loaded, sample.stretches, Form.SCAN, length)))
    found = {node.op_type for body in bodies(proto.graph) for node in body.node}
    assert found & {"Gather", "Slice", "Split"} == kinds


def test_slices_name_two_axes_so_that_none_become_one_split() -> None:
    sample = SAMPLES["rows behind a batch of one"]
    loaded = sample.loaded()
    for form in (Form.UNROLL, Form.SWEEP):
        model = weave(loaded, plan_of(loaded, sample.stretches, form, 3))
        slices = [node for node in model.graph if node.op_type == "Slice"]
        axes = [node.inputs[3] for node in slices]
        assert len(slices) == 4
        assert all(a is not None and a.const_value is not None and a.const_value.size == 2 for a in axes)
