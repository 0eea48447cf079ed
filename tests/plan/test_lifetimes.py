"""What is held around each step, and where little crosses."""

from __future__ import annotations

import pytest

from onnx_autochunk.memory.order import execution_order
from onnx_autochunk.plan.lifetimes import Lifetimes, lifetimes
from tests.plan.graphs import loaded

ROW = 4 * 8 * 32  # bytes of x
CHAIN = "a = Neg(x) b = Exp(a) y = Abs(b)"
WIDE = "a = Neg(x) u = MatMul(a, up) e = Erf(u) d = MatMul(e, down) r = Add(a, d) y = Neg(r)"
LAYERS = (
    "a = Neg(x) u = MatMul(a, up) d = MatMul(u, down) p = Add(a, d) "
    "v = MatMul(p, up) f = MatMul(v, down) q = Add(p, f) y = Neg(q)"
)


def of(nodes: str, outputs: str = "float[8,32] y") -> Lifetimes:
    weights = {"up": (32, 128), "down": (128, 32)}
    graph = loaded(f"(float[8,32] x) => ({outputs}) {{ {nodes} }}", weights, flat=[256]).graph
    return lifetimes(graph, execution_order(graph))


# Nodes, rows held in front of each step and after the last, the steps in front of which least is held, and
# those next to which much more is.
CROSSING: dict[str, tuple[str, list[int], set[int], set[int]]] = {
    "a chain": (CHAIN, [0, 1, 1, 1], {0, 3}, {0}),
    "a wide middle": (WIDE, [0, 1, 5, 5, 2, 1, 1], {0, 5, 6}, {0, 1}),
    "two layers": (LAYERS, [0, 1, 5, 2, 1, 5, 2, 1, 1], {0, 4, 7, 8}, {0, 1, 4}),
}


@pytest.mark.parametrize(("nodes", "rows", "valleys", "cliffs"), CROSSING.values(), ids=CROSSING)
def test_what_crosses(nodes: str, rows: list[int], valleys: set[int], cliffs: set[int]) -> None:
    found = of(nodes)
    assert [held / ROW for held in found.crossing_bytes] == rows
    assert found.valleys() == valleys
    assert found.cliffs() == cliffs


def test_held_values_are_those_read_later() -> None:
    found = of(WIDE)
    assert found.held == ((), ("a",), ("a", "u"), ("a", "e"), ("a", "d"), ("r",))
    assert found.last_read("a") == 4 and found.last_read("u") == 2


def test_outputs_are_held_to_the_end() -> None:
    found = of(CHAIN, "float[8,32] y, float[8,32] a")
    assert found.held == ((), ("a",), ("b",))  # to be read, that is; a is only kept from step 2 on
    assert found.kept_bytes == (0, 0, ROW) and found.crossing_bytes == (0, ROW, 2 * ROW, 2 * ROW)
    assert found.last_read("a") == 3 and found.last_read("x") == 0


def test_a_view_lives_in_the_buffer_of_what_it_shows() -> None:
    found = of(
        "a = Neg(x) b = Reshape(a, flat) c = Exp(b) y = Add(a, a) z = Neg(c)", "float[8,32] y, float[256] z"
    )
    assert found.buffer["b"] == "a"
    assert found.last_read("b") == found.last_read("a") == max(found.last[name] for name in ("a",))
    assert all("b" not in held for held in found.held)


def test_what_nobody_reads_is_not_held() -> None:
    found = of("a = Neg(x) p, q = Split<axis=1, num_outputs=2>(a) b = Exp(p) y = Concat<axis=1>(b, b)")
    assert all("q" not in held for held in found.held)
    assert found.last_read("q") == -1
