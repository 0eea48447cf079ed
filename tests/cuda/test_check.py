"""Small graphs, each with one thing that CUDA would run badly, and the same without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from onnx_autochunk.cuda.check import check
from onnx_autochunk.cuda.findings import CudaReport, Kind
from onnx_autochunk.cuda.kernels import DEFINED
from onnx_autochunk.graph.functions import WITHOUT_KERNEL, defined
from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate

FLOAT, HALF, BFLOAT, INT, BOOL = (
    getattr(onnx.TensorProto, name) for name in "FLOAT FLOAT16 BFLOAT16 INT64 BOOL".split()
)
Info = onnx.ValueInfoProto


def info(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> Info:
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    names = [name.replace("-", "") for name in inputs.split()]
    return helper.make_node(
        kind, names, outputs.split(), name=f"{kind}_{outputs.split(maxsplit=1)[0]}", **attributes
    )


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Info],
    outputs: Sequence[Info],
    **constants: NDArray[np.generic] | Sequence[int],
) -> onnx.GraphProto:
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(constants[name]), name) for name in sorted(constants)
    ]
    return helper.make_graph(nodes, "g", inputs, outputs, initializers)


def found(made: onnx.GraphProto, opset: int = 20) -> CudaReport:
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return check(defined(load(helper.make_model(made, opset_imports=opsets, ir_version=10))).graph)


def rows(report: CudaReport) -> list[tuple[str, str, str, str, int | None]]:
    return [(f.kind.name, "/".join(f.where), f.op, f.value, f.times) for f in report.findings]


def scan(
    body: onnx.GraphProto, inputs: str, outputs: str, scanned: int, **attributes: object
) -> onnx.NodeProto:
    return node("Scan", inputs, outputs, body=body, num_scan_inputs=scanned, **attributes)


def test_what_runs_on_the_gpu_is_no_finding() -> None:
    made = graph([node("Relu", "x", "y")], [info("x", [4, 64])], [info("y", [4, 64])])
    report = found(made)
    assert report.findings == () and report.text() == "Nothing found.\n"


# Operators without a kernel, by the first opset that has them.
DEFINITIONS = {"GroupNormalization": 18, "Mish": 18, "Swish": 24}
CALLS = [
    (kind, opset, type_)
    for kind, first in DEFINITIONS.items()
    for opset in (18, 20, 21, 24)
    for type_ in (FLOAT, HALF, BFLOAT)
    if opset >= (22 if (kind, type_) == ("Mish", BFLOAT) else first)
]


@pytest.mark.parametrize(("kind", "opset", "type_"), CALLS)
def test_what_nobody_has_a_kernel_for_is_seen_as_it_is_defined(kind: str, opset: int, type_: int) -> None:
    made = _one(kind, opset, type_)
    assert DEFINED == DEFINITIONS.keys() <= WITHOUT_KERNEL
    report = check(load(made).graph)
    assert report.findings == check(defined(load(made)).graph).findings == ()


def _one(kind: str, opset: int, type_: int) -> onnx.ModelProto:
    scales = [4 if opset >= 21 else 2] if kind == "GroupNormalization" else None
    shapes = {"x": [1, 4, 16, 16], **({"s": scales, "b": scales} if scales else {})}
    attributes = {"num_groups": 2} if scales else {}
    made = graph(
        [node(kind, " ".join(shapes), "y", **attributes)],
        [info(name, shape, type_) for name, shape in shapes.items()],
        [info("y", [1, 4, 16, 16], type_)],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize(("opset", "type_"), [(18, FLOAT), (18, HALF), (21, HALF)])
@pytest.mark.parametrize("kind", ["GroupNormalization", "Mish"])
def test_what_a_definition_holds_is_foreseen(kind: str, opset: int, type_: int) -> None:
    loaded = load(_one(kind, opset, type_))
    whole, written = (
        simulate(one.graph, provider="cuda", reuse=False).peak_bytes for one in (loaded, defined(loaded))
    )
    assert whole == pytest.approx(written, rel=0.05)


def test_definitions_in_bodies_are_seen_too() -> None:
    """The definition of CenterCropPad has a Pad, which has no kernel for bfloat16."""
    crop = node("CenterCropPad", "x size", "y")
    body = graph([crop], [info("x", [4, 64], BFLOAT)], [info("y", [6, 64], BFLOAT)], size=[6, 64])
    made = graph([scan(body, "a", "b", 1)], [info("a", [8, 4, 64], BFLOAT)], [info("b", [8, 6, 64], BFLOAT)])
    fallbacks = [finding for finding in found(made).findings if finding.kind is Kind.FALLBACK]
    assert [(finding.type, finding.times) for finding in fallbacks] == [("Pad", 8)]


@pytest.mark.parametrize(
    ("op", "kind", "opset", "why"),
    [
        ("Relu", FLOAT, 14, None),
        ("Acos", FLOAT, 20, "no CUDA kernel"),
        ("Softplus", FLOAT, 20, None),
        ("Abs", onnx.TensorProto.INT8, 20, None),
        ("Sqrt", HALF, 20, None),
        ("Reciprocal", onnx.TensorProto.BFLOAT16, 22, "no CUDA kernel for bfloat16 ('x')"),
    ],
)
def test_an_op_without_a_kernel_for_its_types_falls_back(
    op: str, kind: int, opset: int, why: str | None
) -> None:
    made = graph([node(op, "x", "y")], [info("x", [4, 64], kind)], [info("y", [4, 64], kind)])
    assert [finding.why for finding in found(made, opset).findings] == ([] if why is None else [why])


def test_a_value_between_the_devices_is_copied_once_each_way() -> None:
    nodes = [node("Relu", "x", "a"), node("Acos", "a", "b"), node("Relu", "b", "c"), node("Tanh", "b", "d")]
    made = graph(nodes, [info("x", [8])], [info("c", [8]), info("d", [8])])
    report = found(made)
    assert rows(report) == [
        ("FALLBACK", "", "Acos_b", "", 1),
        ("COPY", "", "Acos_b", "a", 1),
        ("COPY", "", "Relu_c", "b", 1),
    ]
    assert [finding.why for finding in report.findings[1:]] == ["to the CPU", "to the GPU"]
    assert report.bad == ()


def test_shape_arithmetic_stays_on_the_cpu_without_a_copy() -> None:
    nodes = [
        node("NonZero", "x", "places"),
        node("Shape", "places", "shape"),
        node("Mul", "shape two", "double"),
        node("Expand", "one double", "y"),
    ]
    made = graph(nodes, [info("x", [8])], [info("y", [2, 16])], two=[1, 2], one=np.ones((1, 1), np.float32))
    assert rows(found(made)) == [("KEPT", "", "Mul_double", "", 1)]


def _slice_by(bounds: str) -> onnx.GraphProto:
    """`16 x Slice(x, start, end)`, with the bounds scanned or constant."""
    body_inputs = [info("start", [1], INT), info("end", [1], INT)]
    names = "start end" if bounds == "scanned" else "zero four"
    body = graph(
        [node("Slice", f"x {names}", "piece"), node("Add", "piece piece", "sum")],
        body_inputs,
        [info("sum", [4, 64])],
    )
    return graph(
        [scan(body, "starts ends", "y", 2)],
        [info("x", [64, 64]), info("starts", [16, 1], INT), info("ends", [16, 1], INT)],
        [info("y", [16, 4, 64])],
        zero=[0],
        four=[4],
    )


def test_scanned_bounds_of_a_slice_are_copied_at_each_iteration() -> None:
    report = found(_slice_by("scanned"))
    copies = [finding for finding in report.findings if finding.kind is Kind.COPY]
    assert [(f.value, f.why, f.times) for f in copies] == [
        ("start", "to the CPU", 16),
        ("end", "to the CPU", 16),
    ]
    assert report.bad == tuple(copies)
    assert "| copied | Scan_y | Scan Scan_y | start | to the CPU | 16 |\n" in report.text()


def test_constant_bounds_are_not_copied() -> None:
    assert found(_slice_by("constant")).bad == ()


def test_what_a_body_captures_is_copied_at_each_iteration() -> None:
    body = graph([node("Expand", "row size", "y")], [info("row", [1, 64])], [info("y", [4, 64])])
    nodes = [node("Add", "sizes sizes", "size"), scan(body, "x", "out", 1)]
    made = graph(nodes, [info("x", [16, 1, 64]), info("sizes", [2], INT)], [info("out", [16, 4, 64])])
    assert rows(found(made)) == [("COPY", "Scan_out", "Scan_out", "size", 16)]


def test_a_loop_counts_on_the_cpu() -> None:
    body = graph(
        [
            node("Cast", "i", "step", to=FLOAT),
            node("Add", "x step", "y"),
            node("Not", "on", "off"),
        ],
        [info("i", [], INT), info("on", [], BOOL), info("x", [64])],
        [info("off", [], BOOL), info("y", [64])],
    )
    loop = node("Loop", "trips - x0", "last", body=body)
    made = graph([loop], [info("x0", [64])], [info("last", [64])], trips=np.asarray(5))
    report = found(made)
    assert {(f.value, f.why, f.times) for f in report.bad} == {
        ("i", "to the GPU", 5),
        ("on", "to the GPU", 5),
        ("off", "to the CPU", 5),
    }


def test_the_body_of_an_if_runs_once() -> None:
    branch = graph([node("Acos", "x", "a")], [], [info("a", [8])])
    other = graph([node("Relu", "x", "b")], [], [info("b", [8])])
    made = graph(
        [node("If", "c", "y", then_branch=branch, else_branch=other)],
        [info("c", [], BOOL), info("x", [8])],
        [info("y", [8])],
    )
    report = found(made)
    assert ("FALLBACK", "If_y", "Acos_a", "", 1) in rows(report)
    assert report.bad == ()


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ([2] * 32, None),
        ([2] * 33, "33 parts, more than 32"),
        ([2, 2, 1], "3 unequal parts"),
    ],
)
def test_many_or_unequal_parts_are_slow(sizes: list[int], why: str | None) -> None:
    parts = [f"p{index}" for index in range(len(sizes))]
    whole = info("y", [sum(sizes), 64])
    concat = graph(
        [node("Concat", " ".join(parts), "y", axis=0)],
        [info(name, [size, 64]) for name, size in zip(parts, sizes, strict=True)],
        [whole],
    )
    split = graph(
        [node("Split", "y sizes", " ".join(parts), axis=0)],
        [whole],
        [info(name, [size, 64]) for name, size in zip(parts, sizes, strict=True)],
        sizes=sizes,
    )
    for made in (concat, split):
        assert [finding.why for finding in found(made).findings] == ([] if why is None else [why])


def test_three_parts_of_the_last_axis_have_a_kernel() -> None:
    parts = [info("a", [4, 1]), info("b", [4, 2]), info("c", [4, 3])]
    made = graph([node("Split", "x sizes", "a b c", axis=-1)], [info("x", [4, 6])], parts, sizes=[1, 2, 3])
    assert found(made).findings == ()


@pytest.mark.parametrize(("rows_", "bad"), [(1 << 20, 0), ((1 << 20) + 1, 2)])
def test_more_than_2_31_elements_are_too_many(rows_: int, bad: int) -> None:
    made = graph([node("Relu", "x", "y")], [info("x", [rows_, 2048])], [info("y", [rows_, 2048])])
    assert [finding.kind for finding in found(made).findings] == [Kind.LARGE] * bad


@pytest.mark.parametrize(("width", "values"), [(64, []), (65, ["x", "y"]), (2, [])])
def test_views_that_are_not_aligned(width: int, values: list[str]) -> None:
    body = graph([node("Relu", "a", "b")], [info("a", [width])], [info("b", [width])])
    made = graph([scan(body, "x", "y", 1)], [info("x", [8, width])], [info("y", [8, width])])
    report = found(made)
    assert [finding.value for finding in report.findings] == values
    assert {finding.kind for finding in report.findings} <= {Kind.STRIDE}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_indices_of_a_gather_may_lie_anywhere(elsewhere: bool) -> None:
    nodes = [node("Gather", "x rows", "part"), node("Neg", "rows", "other")][: 1 + elsewhere]
    body = graph(nodes, [info("rows", [68], INT)], [info("part", [68, 64])])
    taken, given = [info("x", [99, 64]), info("i", [8, 68], INT)], [info("y", [8, 68, 64])]
    report = found(graph([scan(body, "i", "y", 1)], taken, given))
    assert [finding.value for finding in report.findings] == (["i"] if elsewhere else [])


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (node("ArgMax", "x", "y", axis=2, select_last_index=1), "select_last_index has no CUDA kernel"),
        (node("ArgMax", "x", "y", axis=2), None),
    ],
)
def test_attributes_that_cuda_refuses(made: onnx.NodeProto, why: str | None) -> None:
    report = found(graph([made], [info("x", [1, 2, 4])], [info("y", [1, 2, 1], INT)]))
    assert [finding.why for finding in report.findings] == ([] if why is None else [why])
