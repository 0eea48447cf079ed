"""Rules and steps of one graph's ops, looked up once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from ..axes import Rule, rule_for
from ..graph.model import Graph

# Work per element of the result grows with a contracted axis: never recompute these.
HEAVY = frozenset(
    "MatMul Gemm Einsum Conv ConvTranspose Attention MultiHeadAttention FusedMatMul FusedConv MatMulInteger "
    "MatMulIntegerToFloat QLinearMatMul QLinearConv QGemm MatMulNBits GroupQueryAttention RNN LSTM GRU "
    "Resize TopK".split()
)


class Rules:
    """`rules[i]` is the axis rule of op i; `rules.step[i]` the step at which it runs."""

    def __init__(self, graph: Graph, order: Sequence[int], known: dict[int, Rule] | None = None) -> None:
        self._graph = graph
        self._order = order
        self._cache: dict[int, Rule] = {} if known is None else known

    def __getitem__(self, index: int) -> Rule:
        if index not in self._cache:
            self._cache[index] = rule_for(self._graph.ops[index], self._graph)
        return self._cache[index]

    def along(self, order: Sequence[int]) -> Rules:
        """The same rules, with the steps of another order."""
        return Rules(self._graph, order, self._cache)

    @cached_property
    def step(self) -> Mapping[int, int]:
        """Step of each op in the execution order."""
        return {index: step for step, index in enumerate(self._order)}

    def is_heavy(self, index: int) -> bool:
        """True when running the op twice would be noticed."""
        return self._graph.ops[index].type in HEAVY
