"""Which buffer a sweep may write into: each of the five conditions, kept and broken."""

from __future__ import annotations

import pytest

from onnx_autochunk.plan.hosts import hosted, sweep_hosts
from tests.plan.graphs import grown, loaded, setting

CUBE = "float[1,8,8]"
HOST = "h = Softmax<axis=1>(x)"
LAST = "z = Softmax<axis=1>(y)"

# Nodes, the value that ends the region, other outputs of the graph, and pairs of output and host; None where
# an output finds none.
HOSTS: dict[str, tuple[str, str, str, dict[str, str] | None]] = {
    "a host": (f"{HOST} a = Exp(h) y = Neg(a) {LAST}", "y", "", {"y": "h"}),
    "1: an input of the graph": (f"a = Exp(x) y = Neg(a) {LAST}", "y", "", None),
    "1: a constant": (f"a = Mul(x, w) y = Neg(a) {LAST}", "y", "", None),
    "2: another shape": (
        f"{HOST} y = Concat<axis=2>(h, h) b = Softmax<axis=1>(y) z, q = Split<axis=2, num_outputs=2>(b)",
        "y", "", None,
    ),
    "2: another type": (
        f"{HOST} a = Exp(h) y = Cast<to=10>(a) b = Softmax<axis=1>(y) z = Cast<to=1>(b)", "y", "", None,
    ),
    "2: another cut": (f"{HOST} y = Transpose<perm=[0,2,1]>(h) {LAST}", "y", "", None),
    "3: read after the region": (f"{HOST} y = Exp(h) s = Softmax<axis=1>(y) z = Add(s, h)", "y", "", None),
    "3: read before the loop": (
        f"{HOST} t = Transpose<perm=[0,2,1]>(h) a = Exp(h) y = MatMul(a, t) {LAST}", "y", "", {"y": "h"},
    ),
    "4: read whole as well": (f"{HOST} y = MatMul(h, h) {LAST}", "y", "", None),
    "4: read along another axis as well": (
        f"{HOST} t = Transpose<perm=[0,2,1]>(h) y = Add(h, t) {LAST}", "y", "", None,
    ),
    "5: an output of the graph": (f"{HOST} y = Exp(h) z = Neg(x)", "y", f"{CUBE} y", None),
    "5: the host is an output of the graph": (f"{HOST} y = Exp(h) {LAST}", "y", f"{CUBE} h", None),
    "5: one host for two outputs": (
        f"{HOST} a = Exp(h) s = Softmax<axis=1>(a) y = Neg(a) q = Softmax<axis=1>(y) z = Add(s, q)",
        "y", "", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "end", "others", "expected"), HOSTS.values(), ids=HOSTS)
def test_hosts(nodes: str, end: str, others: str, expected: dict[str, str] | None) -> None:
    signature = ", ".join(filter(None, [f"{CUBE} z", others]))
    graph = loaded(f"({CUBE} x) => ({signature}) {{ {nodes} }}", {"w": (1, 8, 8)}).graph
    region = grown(setting(graph), end, 1)[-1]
    hosts = sweep_hosts(graph, region)
    found = None if hosts is None else {output.value: host.value for output, host in hosts.items()}
    assert found == expected


def test_each_output_has_a_host_of_its_own() -> None:
    nodes = (
        f"{HOST} k = Softmax<axis=2>(x) a = Add(h, k) y = Exp(a) s = Softmax<axis=1>(a) {LAST} v = Add(z, s)"
    )
    graph = loaded(f"({CUBE} x) => ({CUBE} v) {{ {nodes} }}").graph
    where = setting(graph)
    barred = setting(graph, [graph.producer["k"].index])
    region = grown(barred, "y", 1)[-1]
    hosts = sweep_hosts(where.graph, region)
    assert hosts is not None
    assert {output.value for output in hosts} == {"a", "y"}
    assert {host.value for host in hosts.values()} == {"h", "k"}


def test_what_is_computed_anew_is_left_out_where_it_would_be_the_host() -> None:
    nodes = """h = Exp(x) e = Neg(h) k = MatMul(e, w) kt = Transpose<perm=[0,2,1]>(k) q = MatMul(e, w)
        s = MatMul(q, kt) p = Softmax(s) a = MatMul(p, k) y = Add(a, h) z = Softmax<axis=1>(y)"""
    graph = loaded(f"({CUBE} x) => ({CUBE} z) {{ {nodes} }}", {"w": (8, 8)}).graph
    where = setting(graph)
    region = grown(where, "y", 1)[-1]
    assert {graph.ops[index].type for index in region.recomputed} == {"Exp", "Neg"}
    assert sweep_hosts(graph, region) is None
    other = hosted(where, region)
    assert other is not None and hosted(where, other) is None
    assert {graph.ops[index].type for index in other.recomputed} == {"Neg"}
    hosts = sweep_hosts(graph, other)
    assert hosts is not None
    assert [(out.value, host.value) for out, host in hosts.items()] == [("y", "h")]
