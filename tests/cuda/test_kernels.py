"""The table of CUDA's kernels, how it is read from ONNX Runtime's list, and how a kernel is looked up."""

from __future__ import annotations

import pytest

from onnx_autochunk.cuda import host
from onnx_autochunk.cuda.kernels import Kernel, lacks, operators
from onnx_autochunk.graph.model import Op, Value
from tools.kernels import rows, table

LIST = """\
## Operators implemented by CPUExecutionProvider

|**Operator Domain:** *ai.onnx*||||
|Acos|*in* input:**T**<br> *out* output:**T**|7+|**T** = tensor(float)|

## Operators implemented by CUDAExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|ReduceSum|*in* data:**T**<br> *in* axes:**tensor(int64)**<br> *out* reduced:**T**|13+|**T** = tensor(float)|
|||[1, 12]|**T** = tensor(double), tensor(float)|
| |
| |
|**Operator Domain:** *com.microsoft*||||
|Own|*in* A:**T**<br> *in* B:**U**<br> *out* Y:**T**<br><br>or<br><br>*in* A:**T**<br> *out* Y:**T**|1+|\
**T** = tensor(float16)<br/> **U** = seq(tensor(bool)), tensor(int64)|
"""


def test_a_list_is_read() -> None:
    found = list(rows(LIST))
    assert [(row.domain, row.op, row.since, row.until) for row in found] == [
        ("ai.onnx", "ReduceSum", 13, None),
        ("ai.onnx", "ReduceSum", 1, 12),
        ("com.microsoft", "Own", 1, None),
    ]
    assert found[2].types == {"T": frozenset({"float16"}), "U": frozenset({"bool", "int64"})}


def test_a_table_says_what_is_new_and_what_onnx_knows() -> None:
    reduce, own, unlisted = table(LIST.replace("tensor(double), ", ""), LIST)
    assert reduce["versions"] == [1, 11, 13]
    assert [kernel.get("new", False) for kernel in reduce["kernels"]] == [False, True]  # type: ignore[attr-defined]  # a list of records
    assert unlisted["op"] == "NonMaxSuppression"
    assert own["kernels"] == [
        {"since": 1, "operands": "T U", "results": "T", "types": {"T": "float16", "U": "bool int64"}}
    ]


@pytest.mark.parametrize(
    ("until", "served"),
    [(None, {13}), (20, {13, 14, 20}), (13, {13})],
)
def test_an_open_range_serves_its_first_version_only(until: int | None, served: set[int]) -> None:
    kernel = Kernel(13, until, ("T",), ("T",), {})
    assert {version for version in (12, 13, 14, 20, 21) if kernel.serves(version)} == served


@pytest.mark.parametrize(
    ("kind", "opset", "why"),
    [
        ("InstanceNormalization", 21, None),
        ("InstanceNormalization", 24, "no CUDA kernel for version 22 of the operator"),
        ("TensorScatter", 24, None),
        ("SplitToSequence", 24, "no CUDA kernel"),
    ],
)
def test_versions(kind: str, opset: int, why: str | None) -> None:
    op = Op(0, "op", kind, ("x", "x", "x"), ("y",), version=opset)
    values = {"y": Value("y", "float32", (4,))}
    assert lacks(op, values) == why


@pytest.mark.parametrize("op", ["Reshape", "Loop", "Scan", "Slice", "TopK"])
def test_types_of_all_kernels_are_known(op: str) -> None:
    for kernel in operators()["", op].kernels:
        assert "float32" in frozenset[str]().union(*kernel.types.values())


def test_only_operators_with_a_kernel_have_operands_on_the_cpu() -> None:
    named = {
        *(("", kind) for kind in (*host._OPERANDS, *host._RESULTS)),
        *(("com.microsoft", kind) for kind in (*host._CONTRIB_OPERANDS, *host._CONTRIB_RESULTS)),
    }
    assert named <= set(operators())
