"""Regions: what joins, what runs before and after, and that every one of them can be cut out."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_autochunk.axes import positions
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.model import Graph, Origin
from onnx_autochunk.plan.grow import grow
from onnx_autochunk.plan.region import Region
from onnx_autochunk.plan.setting import Setting
from tests.plan.graphs import grown, loaded, results, setting, transformer

X, CUBE = "float[1,64,8]", "float[1,8,8]"
SQUARE = {"w": (8, 8), "u": (8, 8), "bias": (8,), "gain": (8,)}
INTEGERS = {"rows": [64, 8], "back": [1, 64, 8], "halves": [8, 8], "axes": [1]}


def cuts(region: Region) -> tuple[set[str], set[str], set[str]]:
    """Names of what is read in slices, read whole and written."""
    sliced = {cut.value for cut in region.sliced}
    return sliced, set(region.whole), {cut.value for cut in region.outputs}


def words(text: str) -> set[str]:
    return set(text.split())


# Nodes from x to y, the axis of y that is cut, and of the longest region: its ops, those computed again,
# those that run before it, what it reads in slices and what whole. Space-separated names of results.
GROWN: dict[str, tuple[str, int, str, str, str, str, str]] = {
    "a chain": ("a = Neg(x) b = MatMul(a, w) y = Exp(b)", 1, "a b y", "", "", "x", ""),
    "a residual": ("a = Neg(x) b = MatMul(a, w) y = Add(a, b)", 1, "a b y", "", "", "x", ""),
    "rows and columns of a product": (
        "a = Neg(x) t = Transpose<perm=[0,2,1]>(a) y = MatMul(a, t)", 1, "a y", "a", "a t", "x", "t",
    ),
    "merged axes": (
        "a = Neg(x) r = Reshape(a, rows) m = Gemm(r, w, bias) s = Reshape(m, back) y = Add(a, s)", 1,
        "a r m s y", "", "", "x", "",
    ),
    "an axis that an op needs whole": (
        "a = Neg(x) s = Softmax<axis=1>(a) b = Exp(s) y = Abs(b)", 1, "b y", "", "", "s", "",
    ),
    "the same op along another axis": (
        "a = Neg(x) s = Softmax<axis=1>(a) b = Exp(s) y = Abs(b)", 2, "a s b y", "", "", "x", "",
    ),
    "an op without a rule": (
        "a = Neg(x) s = RandomNormalLike(a) b = Exp(s) y = Add(b, a)", 1, "a b y", "a", "a s",
        "x s", "",
    ),
    "a slice and all of it, heavy": (
        "a = MatMul(x, w) t = Transpose<perm=[0,2,1]>(a) p = MatMul(a, t) y = MatMul(p, a)", 1,
        "p y", "", "", "a", "t a",
    ),
    "a slice and all of it, cheap": (
        "a = LayerNormalization<axis=-1>(x, gain, bias) t = Transpose<perm=[0,2,1]>(a) y = MatMul(a, t)",
        1, "a y", "a",
        "a t", "x", "t",
    ),
    "several results": (
        "a = Neg(x) p, q = Split<axis=2, num_outputs=2>(a) r = Exp(p) y = Concat<axis=2>(r, q)", 1,
        "a p r y", "", "", "x", "",
    ),
    "constants are sliced too": ("a = Add(x, table) y = Exp(a)", 1, "a y", "", "", "x table", ""),
}  # fmt: skip


def block(nodes: str, results_of: str = f"{X} y") -> Graph:
    weights = {**SQUARE, "table": (1, 64, 8)}
    return loaded(f"({X} x) => ({results_of}) {{ {nodes} }}", weights, **INTEGERS).graph


@pytest.mark.parametrize("case", GROWN.values(), ids=GROWN)
def test_the_longest_region(case: tuple[str, int, str, str, str, str, str]) -> None:
    nodes, axis, ops, recomputed, hoisted, sliced, whole = case
    shape = "float[1,64,64] y" if "y = MatMul(a, t)" in nodes else f"{X} y"
    graph = block(nodes, shape)
    region = grown(setting(graph), "y", axis)[-1]
    assert results(graph, region.ops) == words(ops)
    assert results(graph, region.recomputed) == words(recomputed)
    assert results(graph, region.hoisted) == words(hoisted)
    assert cuts(region) == (words(sliced), words(whole), {"y"})
    assert region.sunk == ()
    check_legal(setting(graph), region)


def test_attention_is_cut_along_the_queries() -> None:
    graph = load(transformer(1, tokens=64)).graph
    where = setting(graph)
    by_start = {region.start: region for region in grown(where, "l0_res", 1)}
    first = where.rules.step[graph.producer["l0_ln"].index]
    region = by_start[first]
    inside, before = results(graph, region.ops), results(graph, region.hoisted)
    assert {
        f"l0_{name}" for name in "ln q0 q qs qh scores scaled probs heads back context o0 o res".split()
    } == inside
    assert {f"l0_{name}" for name in "ln k0 k ks kh v0 v vs vh".split()} == before
    assert results(graph, region.recomputed) == {"l0_ln"}
    assert cuts(region) == ({"x0"}, {"l0_kh", "l0_vh"}, {"l0_res"})
    assert {region.flow[f"l0_{name}"].axis for name in ("scores", "qh")} == {2}


def test_one_value_may_be_sliced_along_two_axes() -> None:
    nodes = "a = MatMul(x, w) t = Transpose<perm=[0,2,1]>(a) q = Add(a, t) y = Exp(q)"
    graph = loaded(f"({CUBE} x) => ({CUBE} y) {{ {nodes} }}", SQUARE).graph
    region = grown(setting(graph), "y", 1)[-1]
    assert results(graph, region.ops) == {"t", "q", "y"}
    assert {(cut.value, cut.position.axis) for cut in region.sliced} == {("a", 1), ("a", 2)}
    check_legal(setting(graph), region)


def test_heads_are_an_axis_like_others() -> None:
    graph = load(transformer(1, tokens=64)).graph
    where = setting(graph)
    region = grown(where, "l0_heads", 1)[-1]
    assert region.extent == 4
    assert {"l0_qh", "l0_scores", "l0_probs", "l0_kh", "l0_vh", "l0_q0"} <= results(graph, region.ops)
    check_legal(where, region)


def test_excluded_ops_stay_outside() -> None:
    graph = block("a = Neg(x) b = Exp(a) c = Abs(b) y = Neg(c)")
    barred = graph.producer["b"].index
    region = grown(setting(graph, [barred]), "y", 1)[-1]
    assert results(graph, region.ops) == {"c", "y"}
    assert grown(setting(graph, [graph.producer["y"].index]), "y", 1) == []


def test_results_read_elsewhere_are_put_together_too() -> None:
    graph = block("a = Neg(x) b = Exp(a) s = Softmax<axis=1>(b) c = Abs(b) y = Neg(c)", f"{X} y, {X} s")
    where = setting(graph)
    region = grown(where, "y", 1)[-1]
    assert cuts(region)[2] >= {"y"}
    for each in grown(where, "y", 1):
        check_legal(where, each)


def test_what_reads_a_result_inside_the_interval_runs_after() -> None:
    nodes = "a = Neg(x) b = Exp(a) s = Softmax<axis=1>(b) n = ReduceSum(s, axes) c = Abs(b) y = Neg(c)"
    graph = block(nodes, f"{X} y, float[1,1,8] n")
    order = tuple(range(len(graph.ops)))
    where = Setting(graph, order, type(setting(graph).rules)(graph, order))
    region = grown(where, "y", 1)[-1]
    assert results(graph, region.ops) == {"a", "b", "c", "y"}
    assert results(graph, region.sunk) == {"s", "n"}
    assert {cut.value for cut in region.outputs} == {"b", "y"}
    check_legal(where, region)


def test_borders_bound_regions() -> None:
    graph = block("a = Neg(x) b = Exp(a) c = Abs(b) y = Neg(c)")
    where = setting(graph)
    end, seed = 3, positions(where.rules[3], result=0)[0]
    assert [region.start for region in grow(where, end, seed, {0, 2})] == [2, 0]


def check_legal(where: Setting, region: Region) -> None:
    """What emission relies on.

    1. Prefix, loop and suffix are the interval, each op once but for recomputed ones.
    2. They can run in this order: nothing reads what a later part computes, so no path leaves and comes back.
    3. The borders are exactly what crosses them, and can be cut there.
    4. Every chunked value has the flow where the region says.
    """
    graph, inside = where.graph, set(region.ops)
    interval = {where.order[step] for step in range(region.start, region.end + 1)}
    assert inside - region.recomputed | set(region.hoisted) | set(region.sunk) == interval
    assert region.recomputed == inside & set(region.hoisted)
    assert not set(region.sunk) & (inside | set(region.hoisted))
    loop = _made(graph, inside)
    before, after = _made(graph, region.hoisted), _made(graph, region.sunk)
    assert not _read(graph, region.hoisted) & (loop | after) - before
    assert not _read(graph, region.ops) & after
    assert [where.rules.step[i] for i in region.ops] == sorted(where.rules.step[i] for i in region.ops)
    _check_borders(where, region, loop)
    for name, position in region.flow.items():
        shape = graph.shape(name)
        assert shape is not None and position.fits(shape) and position.extent == region.extent


def _check_borders(where: Setting, region: Region, loop: set[str]) -> None:
    graph, inside = where.graph, set(region.ops)
    entering = {
        name
        for name in _read(graph, region.ops) - loop
        if graph.values[name].origin is not Origin.CONSTANT or name in {cut.value for cut in region.sliced}
    }
    spelled = {graph.ops[i].inputs[operand] for i in region.ops for operand in where.rules[i].sizes}
    sliced, whole, written = cuts(region)
    twice = _made(graph, region.recomputed)  # what the loop computes again may also be read whole
    assert entering - spelled == (sliced | whole - twice) - spelled
    assert whole & loop <= twice
    leaving = {
        name
        for name in _made(graph, inside - region.recomputed)
        if name in graph.outputs or any(op.index not in inside for op in graph.consumers.get(name, ()))
    }
    assert written == leaving
    for cut in (*region.sliced, *region.outputs):
        shape = graph.shape(cut.value)
        assert shape is not None and cut.position.fits(shape) and cut.position.sliceable
        assert cut.position.extent == region.extent
    assert len(set(region.sliced)) == len(region.sliced)


def _made(graph: Graph, ops: Iterable[int]) -> set[str]:
    return {name for index in ops for name in graph.ops[index].outputs if name}


def _read(graph: Graph, ops: Iterable[int]) -> set[str]:
    return {name for index in ops for name in graph.ops[index].reads}


CALLS = [
    *("Neg({0})", "Exp({0})", "Softmax<axis=1>({0})", "LayerNormalization<axis=-1>({0}, gain, bias)"),
    *("MatMul({0}, w)", "Transpose<perm=[0,2,1]>({0})", "RandomNormalLike({0})"),
    *("Add({0}, {1})", "Mul({0}, {1})", "MatMul({0}, {1})") * 2,
]
SPLIT = "{n}p, {n}q = Split<axis={axis}, num_outputs=2>({0}) {n} = Concat<axis={axis}>({n}q, {n}p)"


def random_graph(seed: int) -> Graph:
    """Ops over square values, so that every operand fits; some values are read often, others by nobody."""
    draw = random.Random(seed)
    names, nodes = ["x", "table"], []
    for number in range(draw.randint(3, 14)):
        name, reads = f"n{number}", (draw.choice(names[-4:]), draw.choice(names))
        call = SPLIT if draw.random() < 0.12 else "{n} = " + draw.choice(CALLS)
        nodes.append(call.format(*reads, n=name, axis=draw.randint(1, 2)))
        names.append(name)
    signature = f"({CUBE} x) => ({CUBE} y, {CUBE} e)"
    text = f"{signature} {{ {' '.join(nodes)} y = Neg({names[-1]}) e = Abs({draw.choice(names[2:])}) }}"
    return loaded(text, {**SQUARE, "table": (1, 8, 8)}).graph


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_every_region_of_any_graph_is_legal(seed: int) -> None:
    graph = random_graph(seed)
    where = setting(graph)
    for end, index in enumerate(where.order):
        for seed_position in positions(where.rules[index], result=0):
            for region in grow(where, end, seed_position, range(len(where.order) + 1)):
                assert region.end == end
                check_legal(where, region)
