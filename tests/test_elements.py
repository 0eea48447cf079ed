"""`--max-elements`: no tensor that a result computes has more, or it is said which ones cannot be helped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Any

import onnx
import pytest

from onnx_autochunk import autochunk
from onnx_autochunk.cuda.check import check
from onnx_autochunk.cuda.findings import Kind
from onnx_autochunk.errors import BudgetError
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Graph, Origin
from onnx_autochunk.options import CUDA_ELEMENTS
from onnx_autochunk.report.record import Status
from tests.plan.enclosing import branched
from tests.plan.graphs import model, transformer

SCORES = 4 * 256 * 256  # elements of the attention scores of a layer
WIDE = 256 * 128  # ... of what its MLP computes
ROWS = 256 * 32  # ... of what goes from layer to layer

HEADS = "float16[1,8,32768,64]"
LONG = f"""({HEADS} q, float16[1,8,64,32768] k, {HEADS} v) => ({HEADS} y) {{
    scores = MatMul(q, k)  probs = Softmax(scores)  y = MatMul(probs, v)
}}"""

RESULTS = "float[256,64] p, float[256,64] q, float[256,64] r, float[256,64] s, float[256,64] y"
KEPT = f"""(float[256,64] x) => ({RESULTS}) {{
    wide = MatMul(x, up)  y = MatMul(wide, down)  p = Relu(y)  q = Exp(y)  r = Neg(y)  s = Tanh(y)
}}"""


def _counts(graph: Graph) -> Iterator[int]:
    """Elements of everything that ops compute, which is more than another view of a constant."""
    for op in graph.ops:
        source = graph.values.get(op.inputs[0]) if op.type == "Reshape" else None
        if source is None or source.origin is not Origin.CONSTANT:
            yield from (prod(graph.shape(name) or ()) for name in op.outputs)
        for body in op.subgraphs.values():
            yield from _counts(body)


@pytest.fixture(scope="module")
def layers() -> onnx.ModelProto:
    return transformer(2)


@pytest.mark.parametrize("form", ["auto", "scan", "unroll", "sweep"])
@pytest.mark.parametrize("most", [SCORES // 3, WIDE - 1, ROWS])
@pytest.mark.parametrize("goal", [{"max_slowdown": 50.0}, {"budget": "500%"}], ids=str)
def test_no_tensor_has_more(most: int, form: str, goal: dict[str, Any], layers: onnx.ModelProto) -> None:
    result = autochunk(layers, max_elements=most, form=form, no_verify=True, max_load_s=100.0, **goal)
    assert result.report.status is Status.CHUNKED
    assert ROWS <= max(_counts(load(result.model).graph)) <= most


def test_what_is_within_the_limit_is_left_to_the_goal(layers: onnx.ModelProto) -> None:
    plans = [autochunk(layers, max_elements=n, budget="40%", no_verify=True).plan for n in (None, SCORES)]
    assert plans[0] == plans[1] is not None
    fits = autochunk(layers, max_elements=SCORES, budget="100%", no_verify=True).report
    assert fits.status is Status.UNCHANGED


def test_it_chunks_what_memory_would_not() -> None:
    """The model's results hold more than what goes before them."""
    kept = model(KEPT, {"up": (64, 128), "down": (128, 64)})
    asked: dict[str, Any] = {"max_slowdown": 50.0, "no_verify": True}
    assert autochunk(kept, **asked).report.status is Status.UNCHANGED
    result = autochunk(kept, max_elements=256 * 64, **asked)
    assert result.report.status is Status.CHUNKED
    assert max(_counts(load(result.model).graph)) == 256 * 64


@pytest.mark.parametrize("goal", [{"budget": "100%"}, {"max_slowdown": 50.0}], ids=str)
def test_cuda_has_a_limit_of_its_own(goal: dict[str, Any]) -> None:
    long = model(LONG)
    assert autochunk(long, provider="cpu", budget="100%", no_verify=True).report.status is Status.UNCHANGED
    result = autochunk(long, provider="cuda", no_verify=True, **goal)
    graph = load(result.model).graph
    assert max(_counts(graph)) <= CUDA_ELEMENTS
    assert Kind.LARGE not in {finding.kind for finding in check(graph).findings}


LEFT: dict[str, tuple[str, dict[str, Any], str]] = {
    "output": (KEPT, {"max_elements": 256 * 64 - 1}, r"y \(16384 elements: an output of the model\)"),
    "excluded": (
        KEPT,
        {"max_elements": 256 * 64, "exclude": "MatMul"},
        r"wide \(32768 elements: --include or --exclude keeps MatMul\w* out\)",
    ),
    "budget": (KEPT, {"max_elements": 100, "budget": "90%"}, r"more than 100 elements in a tensor: "),
    "more": (
        KEPT,
        {"max_elements": 100, "budget": "90%"},
        r"more than 100 elements in a tensor: .*, 2 more$",
    ),
    "time": (
        KEPT,
        {"max_elements": 256 * 64, "max_slowdown": 0.1},
        r"wide \(32768 elements\). No plan stays within the time ratio: .* A --max-slowdown of",
    ),
}


@pytest.mark.parametrize(("text", "options", "message"), LEFT.values(), ids=LEFT)
def test_what_cannot_be_helped_is_said(text: str, options: dict[str, Any], message: str) -> None:
    source = model(text, {"up": (64, 128), "down": (128, 64)})
    for at, node in enumerate(source.graph.node):
        node.name = f"{node.op_type}_{at}"
    with pytest.raises(BudgetError, match=message) as caught:
        autochunk(source, no_verify=True, **options)
    assert caught.value.exit_code == 3


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "closed": ({}, r"_scores \(262144 elements: in a body; --include-subgraphs chunks what can be chunked"),
    "left": (
        {"include_subgraphs": True, "exclude": "."},
        r"_scores \(262144 elements: --include or --exclude keeps \S+ out\)",
    ),
}


@pytest.mark.parametrize(("options", "message"), SAID.values(), ids=SAID)
def test_what_a_body_holds_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        autochunk(branched(), no_verify=True, **{"max_elements": 1 << 17, "max_slowdown": 9.0, **options})


def test_a_saved_plan_is_held_against_it(layers: onnx.ModelProto) -> None:
    plan = autochunk(layers, budget="60%", no_verify=True).report.plan
    assert autochunk(layers, plan=plan, max_elements=SCORES, no_verify=True).report.status is Status.CHUNKED
    with pytest.raises(BudgetError, match=f"more than {ROWS} elements"):
        autochunk(layers, plan=plan, max_elements=ROWS, no_verify=True)


# What is asked for, the elements of the largest tensor that is left, and what is said.
EFFORT: dict[str, tuple[dict[str, Any], int, str]] = {
    "an output": ({"max_elements": 100}, 256 * 64, r"A limit of 16384 can be kept$"),
    "an output, a budget": (
        {"max_elements": 100, "budget": "1KiB"},
        256 * 64,
        r"16384 can be kept. the budget of",
    ),
    "a budget that is met": ({"max_elements": 100, "budget": "500%"}, 256 * 64, r"16384 can be kept$"),
    "nothing avoidable": (
        {"max_elements": 100, "exclude": "MatMul"},
        256 * 128,
        r"32768 can be kept. No plan takes less than the original$",
    ),
    "time": (
        {"max_elements": 256 * 64, "max_slowdown": 0.1},
        256 * 64,
        r"wide \(32768 elements\). No plan stays within the time ratio",
    ),
}


@pytest.mark.parametrize(("options", "left", "message"), EFFORT.values(), ids=EFFORT)
def test_best_effort_leaves_the_least(options: dict[str, Any], left: int, message: str) -> None:
    source = model(KEPT, {"up": (64, 128), "down": (128, 64)})
    for at, node in enumerate(source.graph.node):
        node.name = f"{node.op_type}_{at}"
    asked: dict[str, Any] = {"max_slowdown": 50.0} if not options.keys() & {"budget", "max_slowdown"} else {}
    result = autochunk(source, no_verify=True, best_effort=True, **asked, **options)
    assert result.report.status is Status.MISSED
    assert re.search(message, result.report.message), result.report.message
    assert max(_counts(load(result.model).graph)) == left
    assert result.report.budget_met is (False if options.get("budget") == "1KiB" else None)


def test_best_effort_finds_a_limit_between_a_chunk_and_the_whole() -> None:
    """A column of 64 rows, or a few, is the least that a chunk has; the model's values have 64 or 65536."""
    text = """(float[64,512] x) => (float[64,1] y) {
        wide = MatMul(x, up)  act = Relu(wide)  y = ReduceMax(act, axis)
    }"""
    source = model(text, {"up": (512, 1024)}, axis=[1])
    asked: dict[str, Any] = {"max_elements": 100, "max_slowdown": 50.0, "no_verify": True}
    with pytest.raises(BudgetError):
        autochunk(source, **asked)
    result = autochunk(source, best_effort=True, **asked)
    assert result.report.status is Status.MISSED and "A limit of 800 can be kept" in result.report.message
    assert 100 < max(_counts(load(result.model).graph)) <= 800
